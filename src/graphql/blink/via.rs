//! How payments were asked for, and how they were settled.

use std::borrow::Cow;

use async_graphql::{Context, Object, SimpleObject, Union};

use super::invoice::InvoiceRequests;
use crate::event;
use crate::graphql::json;
use crate::graphql::plan::{self, Asked, Bail, Lookups, NotPlanned, Told, Write};
use crate::graphql::scalars::{
    LnPaymentPreImage, LnPaymentRequest, LnPaymentSecret, OnChainAddress, OnChainTxHash,
    PaymentHash, Timestamp, Username, WalletId,
};
use crate::topic;

/// How a payment was asked for.
#[derive(Union)]
pub enum InitiationVia {
    IntraLedger(InitiationViaIntraLedger),
    Ln(InitiationViaLn),
    OnChain(InitiationViaOnChain),
}

/// Asked for inside of the ledger.
#[derive(SimpleObject)]
pub struct InitiationViaIntraLedger {
    counter_party_username: Option<Username>,
    counter_party_wallet_id: Option<WalletId>,
}

/// Asked for by a Lightning invoice.
pub struct InitiationViaLn {
    payment_hash: String,
    payment_request: Option<String>,
}

/// Asked for by a bitcoin address.
#[derive(SimpleObject)]
pub struct InitiationViaOnChain {
    address: OnChainAddress,
}

impl InitiationVia {
    pub(super) fn of(published: &event::InitiationVia) -> Self {
        match published.clone() {
            event::InitiationVia::IntraLedger {
                counter_party_wallet_id,
                counter_party_username,
            } => InitiationVia::IntraLedger(InitiationViaIntraLedger {
                counter_party_username: counter_party_username.map(Into::into),
                counter_party_wallet_id: counter_party_wallet_id.map(Into::into),
            }),
            event::InitiationVia::Lightning {
                payment_hash,
                payment_request,
            } => InitiationVia::Ln(InitiationViaLn {
                payment_hash,
                payment_request,
            }),
            event::InitiationVia::OnChain { address } => {
                InitiationVia::OnChain(InitiationViaOnChain {
                    address: address_of(address.as_deref()).into(),
                })
            }
        }
    }
}

/// Asked for by a Lightning invoice.
#[Object]
impl InitiationViaLn {
    async fn payment_hash(&self) -> PaymentHash {
        self.payment_hash.as_str().into()
    }

    /// The invoice; empty if it is not known.
    async fn payment_request(&self, ctx: &Context<'_>) -> LnPaymentRequest {
        let requests = ctx.data_opt::<InvoiceRequests>();
        let request = self.payment_request.as_deref();
        request_of(request, &self.payment_hash, requests).into()
    }
}

/// The invoice that was paid: as published, or as it is known here; empty if it is not.
fn request_of<'a>(
    published: Option<&'a str>,
    payment_hash: &str,
    requests: Option<&InvoiceRequests>,
) -> Cow<'a, str> {
    let looked_up = || {
        let InvoiceRequests(find) = requests?;
        find(&topic::PaymentHash::parse(payment_hash)?)
    };
    let published = published.map(Cow::Borrowed);
    published
        .or_else(|| looked_up().map(Cow::Owned))
        .unwrap_or_default()
}

/// Where a payment on-chain was asked to go.
fn address_of(published: Option<&str>) -> &str {
    published.unwrap_or("<no-address>")
}

/// How a payment was settled.
#[derive(Union)]
pub enum SettlementVia {
    IntraLedger(SettlementViaIntraLedger),
    Ln(SettlementViaLn),
    OnChain(SettlementViaOnChain),
}

/// Settled inside of the ledger.
#[derive(SimpleObject)]
pub struct SettlementViaIntraLedger {
    /// Null if the other side has no name.
    counter_party_username: Option<Username>,
    counter_party_wallet_id: Option<WalletId>,
    pre_image: Option<LnPaymentPreImage>,
}

/// Settled over Lightning.
#[derive(SimpleObject)]
pub struct SettlementViaLn {
    #[graphql(
        deprecation = "Shifting property to 'preImage' to improve granularity of the LnPaymentSecret type"
    )]
    payment_secret: Option<LnPaymentSecret>,
    pre_image: Option<LnPaymentPreImage>,
    /// Null: it is not published.
    success_action: Option<LnurlSuccessAction>,
}

// Nobody publishes it, but newer clients select it, and a document that asks for an unknown field is
// refused as a whole.
/// What an LNURL service answers to whoever paid it (LUD-09).
#[derive(SimpleObject)]
pub struct LnurlSuccessAction {
    ciphertext: Option<String>,
    description: Option<String>,
    iv: Option<String>,
    message: Option<String>,
    tag: String,
    url: Option<String>,
}

/// Settled on-chain.
#[derive(SimpleObject)]
pub struct SettlementViaOnChain {
    /// Null: it is not published.
    arrival_in_mempool_estimated_at: Option<Timestamp>,
    transaction_hash: Option<OnChainTxHash>,
    vout: Option<i32>,
}

impl SettlementVia {
    pub(super) fn of(published: &event::SettlementVia) -> Self {
        match published.clone() {
            event::SettlementVia::IntraLedger {
                counter_party_wallet_id,
                counter_party_username,
                pre_image,
            } => SettlementVia::IntraLedger(SettlementViaIntraLedger {
                counter_party_username: counter_party_username.map(Into::into),
                counter_party_wallet_id: counter_party_wallet_id.map(Into::into),
                pre_image: pre_image.map(Into::into),
            }),
            event::SettlementVia::Lightning { revealed_pre_image } => {
                SettlementVia::Ln(SettlementViaLn {
                    payment_secret: revealed_pre_image.clone().map(Into::into),
                    pre_image: revealed_pre_image.map(Into::into),
                    success_action: None,
                })
            }
            event::SettlementVia::OnChain {
                transaction_hash,
                vout,
            } => SettlementVia::OnChain(SettlementViaOnChain {
                arrival_in_mempool_estimated_at: None,
                transaction_hash: transaction_hash.map(Into::into),
                vout,
            }),
        }
    }
}

/// What is written of how a payment was asked for, whichever way it was.
pub(super) struct ToldInitiation {
    intra_ledger: plan::Object<InitiationViaIntraLedger>,
    ln: plan::Object<InitiationViaLn>,
    on_chain: plan::Object<InitiationViaOnChain>,
}

impl ToldInitiation {
    pub(super) fn of(asked: &Asked<'_>) -> Result<Self, NotPlanned> {
        Ok(ToldInitiation {
            intra_ledger: plan::Object::one_of("InitiationVia", asked)?,
            ln: plan::Object::one_of("InitiationVia", asked)?,
            on_chain: plan::Object::one_of("InitiationVia", asked)?,
        })
    }

    pub(super) fn write(
        &self,
        via: &event::InitiationVia,
        lookups: &Lookups,
        json: &mut String,
    ) -> Result<(), Bail> {
        match via {
            event::InitiationVia::IntraLedger { .. } => self.intra_ledger.write(via, lookups, json),
            event::InitiationVia::Lightning { .. } => self.ln.write(via, lookups, json),
            event::InitiationVia::OnChain { .. } => self.on_chain.write(via, lookups, json),
        }
    }

    pub(super) fn size(&self) -> usize {
        self.intra_ledger.size() + self.ln.size() + self.on_chain.size()
    }
}

impl Told for InitiationViaIntraLedger {
    type Value = event::InitiationVia;

    fn field(asked: &Asked<'_>) -> Result<Write<event::InitiationVia>, NotPlanned> {
        use event::InitiationVia::IntraLedger;
        Ok(match asked.name() {
            "counterPartyUsername" => Write::optional(|via| match via {
                IntraLedger {
                    counter_party_username: name,
                    ..
                } => name.as_deref(),
                _ => None,
            }),
            "counterPartyWalletId" => Write::optional(|via| match via {
                IntraLedger {
                    counter_party_wallet_id: id,
                    ..
                } => id.as_deref(),
                _ => None,
            }),
            _ => return Err(NotPlanned),
        })
    }
}

impl Told for InitiationViaLn {
    type Value = event::InitiationVia;

    fn field(asked: &Asked<'_>) -> Result<Write<event::InitiationVia>, NotPlanned> {
        use event::InitiationVia::Lightning;
        Ok(match asked.name() {
            "paymentHash" => Write::fallible(|via, _, json| match via {
                Lightning { payment_hash, .. } => {
                    json::string(json, payment_hash);
                    Ok(())
                }
                _ => Err(Bail),
            }),
            "paymentRequest" => Write::fallible(|via, lookups: &Lookups, json| match via {
                Lightning {
                    payment_hash,
                    payment_request,
                } => {
                    let published = payment_request.as_deref();
                    let requests = Some(&lookups.requests);
                    json::string(json, &request_of(published, payment_hash, requests));
                    Ok(())
                }
                _ => Err(Bail),
            }),
            _ => return Err(NotPlanned),
        })
    }
}

impl Told for InitiationViaOnChain {
    type Value = event::InitiationVia;

    fn field(asked: &Asked<'_>) -> Result<Write<event::InitiationVia>, NotPlanned> {
        Ok(match asked.name() {
            "address" => Write::fallible(|via, _, json| match via {
                event::InitiationVia::OnChain { address } => {
                    json::string(json, address_of(address.as_deref()));
                    Ok(())
                }
                _ => Err(Bail),
            }),
            _ => return Err(NotPlanned),
        })
    }
}

/// What is written of how a payment was settled, whichever way it was.
pub(super) struct ToldSettlement {
    intra_ledger: plan::Object<SettlementViaIntraLedger>,
    ln: plan::Object<SettlementViaLn>,
    on_chain: plan::Object<SettlementViaOnChain>,
}

impl ToldSettlement {
    pub(super) fn of(asked: &Asked<'_>) -> Result<Self, NotPlanned> {
        Ok(ToldSettlement {
            intra_ledger: plan::Object::one_of("SettlementVia", asked)?,
            ln: plan::Object::one_of("SettlementVia", asked)?,
            on_chain: plan::Object::one_of("SettlementVia", asked)?,
        })
    }

    pub(super) fn write(
        &self,
        via: &event::SettlementVia,
        lookups: &Lookups,
        json: &mut String,
    ) -> Result<(), Bail> {
        match via {
            event::SettlementVia::IntraLedger { .. } => self.intra_ledger.write(via, lookups, json),
            event::SettlementVia::Lightning { .. } => self.ln.write(via, lookups, json),
            event::SettlementVia::OnChain { .. } => self.on_chain.write(via, lookups, json),
        }
    }

    pub(super) fn size(&self) -> usize {
        self.intra_ledger.size() + self.ln.size() + self.on_chain.size()
    }
}

impl Told for SettlementViaIntraLedger {
    type Value = event::SettlementVia;

    fn field(asked: &Asked<'_>) -> Result<Write<event::SettlementVia>, NotPlanned> {
        use event::SettlementVia::IntraLedger;
        Ok(match asked.name() {
            "counterPartyUsername" => Write::optional(|via| match via {
                IntraLedger {
                    counter_party_username: name,
                    ..
                } => name.as_deref(),
                _ => None,
            }),
            "counterPartyWalletId" => Write::optional(|via| match via {
                IntraLedger {
                    counter_party_wallet_id: id,
                    ..
                } => id.as_deref(),
                _ => None,
            }),
            "preImage" => Write::optional(|via| match via {
                IntraLedger { pre_image, .. } => pre_image.as_deref(),
                _ => None,
            }),
            _ => return Err(NotPlanned),
        })
    }
}

impl Told for SettlementViaLn {
    type Value = event::SettlementVia;

    fn field(asked: &Asked<'_>) -> Result<Write<event::SettlementVia>, NotPlanned> {
        Ok(match asked.name() {
            "paymentSecret" | "preImage" => Write::optional(|via| match via {
                event::SettlementVia::Lightning { revealed_pre_image } => {
                    revealed_pre_image.as_deref()
                }
                _ => None,
            }),
            "successAction" => Write::Always("null".to_owned()),
            _ => return Err(NotPlanned),
        })
    }
}

impl Told for SettlementViaOnChain {
    type Value = event::SettlementVia;

    fn field(asked: &Asked<'_>) -> Result<Write<event::SettlementVia>, NotPlanned> {
        use event::SettlementVia::OnChain;
        Ok(match asked.name() {
            "arrivalInMempoolEstimatedAt" => Write::Always("null".to_owned()),
            "transactionHash" => Write::optional(|via| match via {
                OnChain {
                    transaction_hash, ..
                } => transaction_hash.as_deref(),
                _ => None,
            }),
            "vout" => Write::fallible(|via, _, json| match via {
                OnChain { vout, .. } => {
                    match vout {
                        Some(vout) => json::plain(json, vout),
                        None => json.push_str("null"),
                    }
                    Ok(())
                }
                _ => Err(Bail),
            }),
            _ => return Err(NotPlanned),
        })
    }
}
