//! Entries of a wallet's ledger.

use std::sync::Arc;

use async_graphql::{Context, Enum, ID, Object, SimpleObject, Union};

use super::invoice::InvoiceRequests;
use super::price_interface::PriceOfOneSettlementMinorUnitInDisplayMinorUnit;
use super::wallet::WalletCurrency;
use crate::event::{self, WalletTransaction};
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
        if self.0.settlement_amount > 0.0 {
            TxDirection::Receive
        } else {
            TxDirection::Send
        }
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
                    address: address.as_deref().unwrap_or("<no-address>").into(),
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
        let looked_up = || {
            let hash = topic::PaymentHash::parse(&self.payment_hash)?;
            InvoiceRequests::find(ctx, &hash)
        };
        let request = self.payment_request.clone().or_else(looked_up);
        request.unwrap_or_default().into()
    }
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

/// What became of a payment.
#[derive(Enum, Clone, Copy, Debug, PartialEq, Eq)]
#[graphql(remote = "event::TransactionStatus")]
pub enum TxStatus {
    Failure,
    Pending,
    Success,
}
