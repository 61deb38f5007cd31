//! Entries of a wallet's ledger.

use std::borrow::Cow;
use std::sync::Arc;

use async_graphql::{Context, Enum, ID, Object, SimpleObject, Union};

use super::invoice::InvoiceRequests;
use super::price_interface::PriceOfOneSettlementMinorUnitInDisplayMinorUnit;
use super::wallet::WalletCurrency;
use crate::event::{self, WalletTransaction};
use crate::graphql::json;
use crate::graphql::plan::{Asked, Bail, Lookups, NotPlanned, Object, Told, Write};
use crate::graphql::scalars::{
    DisplayCurrency, LnPaymentPreImage, LnPaymentRequest, LnPaymentSecret, Memo, OnChainAddress,
    OnChainTxHash, PaymentHash, SignedAmount, SignedDisplayMajorAmount, Timestamp, TxExternalId,
    Username, WalletId,
};
use crate::topic;

/// One entry of a wallet's ledger.
#[derive(Clone)]
pub struct Transaction(Arc<WalletTransaction>);

impl Transaction {
    /// The entry that was published.
    pub fn of(published: Arc<WalletTransaction>) -> Self {
        Transaction(published)
    }
}

/// A payment that reached a wallet or left it. What was asked for over Lightning or on-chain may
/// settle inside of the ledger, if both ends have their wallets there.
#[Object]
impl Transaction {
    async fn created_at(&self) -> Timestamp {
        self.0.created_at.into()
    }

    async fn direction(&self) -> TxDirection {
        TxDirection::of(&self.0)
    }

    async fn external_id(&self) -> Option<TxExternalId> {
        self.0.external_id.clone().map(Into::into)
    }

    async fn id(&self) -> ID {
        self.0.id.as_str().into()
    }

    /// How the payment was asked for.
    async fn initiation_via(&self) -> InitiationVia {
        InitiationVia::of(&self.0.initiation_via)
    }

    async fn memo(&self) -> Option<Memo> {
        self.0.memo.clone().map(Into::into)
    }

    /// In minor units of the settlement currency; negative if it was sent.
    async fn settlement_amount(&self) -> SignedAmount {
        self.0.settlement_amount.into()
    }

    /// Currency of the wallet.
    async fn settlement_currency(&self) -> WalletCurrency {
        self.0.settlement_currency.into()
    }

    async fn settlement_display_amount(&self) -> SignedDisplayMajorAmount {
        self.0.settlement_display_amount.as_str().into()
    }

    async fn settlement_display_currency(&self) -> DisplayCurrency {
        let price = &self.0.settlement_display_price;
        price.display_currency.as_str().into()
    }

    async fn settlement_display_fee(&self) -> SignedDisplayMajorAmount {
        self.0.settlement_display_fee.as_str().into()
    }

    async fn settlement_fee(&self) -> SignedAmount {
        self.0.settlement_fee.into()
    }

    /// Price at the time of settlement.
    async fn settlement_price(&self) -> PriceOfOneSettlementMinorUnitInDisplayMinorUnit {
        let price = &self.0.settlement_display_price;
        PriceOfOneSettlementMinorUnitInDisplayMinorUnit::of(price)
    }

    /// How the payment was settled.
    async fn settlement_via(&self) -> SettlementVia {
        SettlementVia::of(&self.0.settlement_via)
    }

    async fn status(&self) -> TxStatus {
        self.0.status.into()
    }
}

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
    fn of(published: &event::InitiationVia) -> Self {
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
    fn of(published: &event::SettlementVia) -> Self {
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

/// Whether a payment reached a wallet or left it.
#[derive(Enum, Clone, Copy, Debug, PartialEq, Eq)]
pub enum TxDirection {
    Receive,
    Send,
}

impl TxDirection {
    fn of(entry: &WalletTransaction) -> Self {
        if entry.settlement_amount > 0.0 {
            TxDirection::Receive
        } else {
            TxDirection::Send
        }
    }
}

/// What became of a payment.
#[derive(Enum, Clone, Copy, Debug, PartialEq, Eq)]
#[graphql(remote = "event::TransactionStatus")]
pub enum TxStatus {
    Failure,
    Pending,
    Success,
}

impl Told for Transaction {
    type Value = WalletTransaction;

    fn field(asked: &Asked<'_>) -> Result<Write<WalletTransaction>, NotPlanned> {
        use WalletTransaction as Entry;
        Ok(match asked.name() {
            "createdAt" => Write::value(|entry: &Entry, json| {
                json::scalar(json, &Timestamp::from(entry.created_at));
            }),
            "direction" => {
                Write::value(|entry: &Entry, json| json::word(json, TxDirection::of(entry)))
            }
            "externalId" => Write::value(|entry: &Entry, json| {
                json::optional(json, entry.external_id.as_deref());
            }),
            "id" => Write::value(|entry: &Entry, json| json::string(json, &entry.id)),
            "initiationVia" => {
                let via = ToldInitiation::of(asked)?;
                Write::nested(via.size(), move |entry: &Entry, lookups, json| {
                    via.write(&entry.initiation_via, lookups, json)
                })
            }
            "memo" => Write::value(|entry: &Entry, json| {
                json::optional(json, entry.memo.as_deref());
            }),
            "settlementAmount" => Write::value(|entry: &Entry, json| {
                json::scalar(json, &SignedAmount::from(entry.settlement_amount));
            }),
            "settlementCurrency" => Write::value(|entry: &Entry, json| {
                json::word(json, WalletCurrency::from(entry.settlement_currency));
            }),
            "settlementDisplayAmount" => Write::value(|entry: &Entry, json| {
                json::string(json, &entry.settlement_display_amount);
            }),
            "settlementDisplayCurrency" => Write::value(|entry: &Entry, json| {
                json::string(json, &entry.settlement_display_price.display_currency);
            }),
            "settlementDisplayFee" => Write::value(|entry: &Entry, json| {
                json::string(json, &entry.settlement_display_fee);
            }),
            "settlementFee" => Write::value(|entry: &Entry, json| {
                json::scalar(json, &SignedAmount::from(entry.settlement_fee));
            }),
            "settlementPrice" => {
                type Price = PriceOfOneSettlementMinorUnitInDisplayMinorUnit;
                let price = Object::<Price>::of(asked)?;
                Write::nested(price.size(), move |entry: &Entry, lookups, json| {
                    price.write(&Price::of(&entry.settlement_display_price), lookups, json)
                })
            }
            "settlementVia" => {
                let via = ToldSettlement::of(asked)?;
                Write::nested(via.size(), move |entry: &Entry, lookups, json| {
                    via.write(&entry.settlement_via, lookups, json)
                })
            }
            "status" => {
                Write::value(|entry: &Entry, json| json::word(json, TxStatus::from(entry.status)))
            }
            _ => return Err(NotPlanned),
        })
    }
}

/// What is written of how a payment was asked for, whichever way it was.
struct ToldInitiation {
    intra_ledger: Object<InitiationViaIntraLedger>,
    ln: Object<InitiationViaLn>,
    on_chain: Object<InitiationViaOnChain>,
}

impl ToldInitiation {
    fn of(asked: &Asked<'_>) -> Result<Self, NotPlanned> {
        Ok(ToldInitiation {
            intra_ledger: Object::one_of("InitiationVia", asked)?,
            ln: Object::one_of("InitiationVia", asked)?,
            on_chain: Object::one_of("InitiationVia", asked)?,
        })
    }

    fn write(
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

    fn size(&self) -> usize {
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
struct ToldSettlement {
    intra_ledger: Object<SettlementViaIntraLedger>,
    ln: Object<SettlementViaLn>,
    on_chain: Object<SettlementViaOnChain>,
}

impl ToldSettlement {
    fn of(asked: &Asked<'_>) -> Result<Self, NotPlanned> {
        Ok(ToldSettlement {
            intra_ledger: Object::one_of("SettlementVia", asked)?,
            ln: Object::one_of("SettlementVia", asked)?,
            on_chain: Object::one_of("SettlementVia", asked)?,
        })
    }

    fn write(
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

    fn size(&self) -> usize {
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
