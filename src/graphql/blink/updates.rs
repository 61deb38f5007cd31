//! `myUpdates`: payments that reach an account or leave it, and prices.

use std::sync::Arc;

use async_graphql::{Enum, Object, Union};

use super::error::Error;
use super::invoice::InvoicePaymentStatus;
use super::price::{Price, RealtimePrice};
use super::transaction::Transaction;
use super::user::User;
use crate::event::{self, AccountUpdate, Event, UserPriceUpdate, WalletTransaction};
use crate::graphql::scalars::{OnChainTxHash, PaymentHash, SatAmount, WalletId, thrown};

/// What `myUpdates` tells.
pub struct MyUpdatesPayload {
    me: Option<User>,
    update: UserUpdate,
}

/// What happened.
#[derive(Clone, Union)]
pub enum UserUpdate {
    IntraLedger(IntraLedgerUpdate),
    Ln(LnUpdate),
    OnChain(OnChainUpdate),
    Price(Price),
    RealtimePrice(RealtimePrice),
}

/// A payment inside of the ledger.
#[derive(Clone)]
pub struct IntraLedgerUpdate(Arc<event::IntraLedgerUpdate>);

/// A payment over Lightning.
#[derive(Clone)]
pub struct LnUpdate(Arc<event::LnUpdate>);

/// A payment on-chain.
#[derive(Clone)]
pub struct OnChainUpdate {
    update: Arc<event::OnChainUpdate>,
    tx_hash: OnChainTxHash,
}

/// Why the account is told of a transaction.
#[derive(Enum, Clone, Copy, Debug, PartialEq, Eq)]
#[graphql(remote = "event::TxNotificationType", rename_items = "PascalCase")]
pub enum TxNotificationType {
    IntraLedgerPayment,
    IntraLedgerReceipt,
    LigtningReceipt,
    OnchainPayment,
    OnchainReceipt,
    OnchainReceiptPending,
}

impl MyUpdatesPayload {
    /// What an event tells `me`; `None` for the events of other subscriptions.
    ///
    /// As in the original, `me` is not told with a `Price`.
    pub fn of(event: &Event, me: User) -> Option<Self> {
        let update = match event {
            Event::Account(update) => UserUpdate::of_account(update),
            Event::UserPrice(update) => UserUpdate::of_price(update),
            Event::Price(_) | Event::Invoice(_) | Event::Rewards(_) => return None,
        };
        let me = (!matches!(update, UserUpdate::Price(_))).then_some(me);
        Some(MyUpdatesPayload { me, update })
    }
}

#[Object]
impl MyUpdatesPayload {
    async fn errors(&self) -> Vec<Error> {
        Vec::new()
    }

    /// Null with a price in US cents.
    async fn me(&self) -> Option<&User> {
        self.me.as_ref()
    }

    async fn update(&self) -> Option<&UserUpdate> {
        Some(&self.update)
    }
}

impl UserUpdate {
    fn of_account(update: &AccountUpdate) -> Self {
        match update {
            AccountUpdate::Invoice(update) => UserUpdate::Ln(LnUpdate(update.clone())),
            AccountUpdate::IntraLedger(update) => {
                UserUpdate::IntraLedger(IntraLedgerUpdate(update.clone()))
            }
            AccountUpdate::Transaction(update) => UserUpdate::of_on_chain(update),
            AccountUpdate::Price(tick) => UserUpdate::Price(Price::of(tick.clone(), 1)),
            AccountUpdate::RealtimePrice(tick) => {
                UserUpdate::RealtimePrice(RealtimePrice::of(tick.clone()))
            }
        }
    }

    fn of_price(update: &UserPriceUpdate) -> Self {
        match update {
            UserPriceUpdate::Price(tick) => UserUpdate::Price(Price::of(tick.clone(), 1)),
            UserPriceUpdate::RealtimePrice(tick) => {
                UserUpdate::RealtimePrice(RealtimePrice::of(tick.clone()))
            }
        }
    }

    /// A payment that was asked for on-chain and settled inside of the ledger has no transaction
    /// hash, but `OnChainUpdate.txHash` is not null. The original answers `update: null` to whoever
    /// selects it, which crashes clients; we tell what the payment became.
    fn of_on_chain(update: &Arc<event::OnChainUpdate>) -> Self {
        let settled = match &update.transaction.settlement_via {
            event::SettlementVia::OnChain {
                transaction_hash, ..
            } => transaction_hash.as_ref(),
            _ => None,
        };
        match update.tx_hash.as_ref().or(settled) {
            Some(hash) => UserUpdate::OnChain(OnChainUpdate {
                update: update.clone(),
                tx_hash: hash.as_str().into(),
            }),
            None => {
                UserUpdate::IntraLedger(IntraLedgerUpdate(Arc::new(event::IntraLedgerUpdate {
                    wallet_id: update.wallet_id.clone(),
                    tx_notification_type: update.tx_notification_type,
                    amount: update.amount,
                    display_currency_per_sat: update.display_currency_per_sat,
                    transaction: update.transaction.clone(),
                })))
            }
        }
    }
}

/// A payment inside of the ledger.
#[Object]
impl IntraLedgerUpdate {
    #[graphql(deprecation = "Deprecated in favor of transaction")]
    async fn amount(&self) -> SatAmount {
        self.0.amount.abs().into()
    }

    #[graphql(deprecation = "Deprecated in favor of transaction")]
    async fn display_currency_per_sat(&self) -> async_graphql::Result<f64> {
        price_of_one(self.0.display_currency_per_sat, &self.0.transaction)
    }

    async fn transaction(&self) -> Transaction {
        Transaction::of(self.0.transaction.clone())
    }

    async fn tx_notification_type(&self) -> TxNotificationType {
        self.0.tx_notification_type.into()
    }

    #[graphql(deprecation = "updated over displayCurrencyPerSat")]
    async fn usd_per_sat(&self) -> async_graphql::Result<f64> {
        price_of_one(self.0.display_currency_per_sat, &self.0.transaction)
    }

    #[graphql(deprecation = "Deprecated in favor of transaction")]
    async fn wallet_id(&self) -> WalletId {
        self.0.wallet_id.as_str().into()
    }
}

/// A payment over Lightning.
#[Object]
impl LnUpdate {
    #[graphql(deprecation = "Deprecated in favor of transaction")]
    async fn payment_hash(&self) -> PaymentHash {
        self.0.payment_hash.as_str().into()
    }

    async fn status(&self) -> InvoicePaymentStatus {
        self.0.status.into()
    }

    async fn transaction(&self) -> Transaction {
        Transaction::of(self.0.transaction.clone())
    }

    #[graphql(deprecation = "Deprecated in favor of transaction")]
    async fn wallet_id(&self) -> WalletId {
        self.0.wallet_id.as_str().into()
    }
}

/// A payment on-chain.
#[Object]
impl OnChainUpdate {
    #[graphql(deprecation = "Deprecated in favor of transaction")]
    async fn amount(&self) -> SatAmount {
        self.update.amount.abs().into()
    }

    #[graphql(deprecation = "Deprecated in favor of transaction")]
    async fn display_currency_per_sat(&self) -> async_graphql::Result<f64> {
        let update = &self.update;
        price_of_one(update.display_currency_per_sat, &update.transaction)
    }

    async fn transaction(&self) -> Transaction {
        Transaction::of(self.update.transaction.clone())
    }

    #[graphql(deprecation = "Deprecated in favor of transaction")]
    async fn tx_hash(&self) -> OnChainTxHash {
        self.tx_hash.clone()
    }

    async fn tx_notification_type(&self) -> TxNotificationType {
        self.update.tx_notification_type.into()
    }

    #[graphql(deprecation = "updated over displayCurrencyPerSat")]
    async fn usd_per_sat(&self) -> async_graphql::Result<f64> {
        let update = &self.update;
        price_of_one(update.display_currency_per_sat, &update.transaction)
    }

    #[graphql(deprecation = "Deprecated in favor of transaction")]
    async fn wallet_id(&self) -> WalletId {
        self.update.wallet_id.as_str().into()
    }
}

/// `displayCurrencyPerSat` as it was published, or else the settlement price. (The original told
/// `base × 10^offset`; what it publishes today may still be that, and is passed through.)
fn price_of_one(
    published: Option<f64>,
    transaction: &WalletTransaction,
) -> async_graphql::Result<f64> {
    let settlement = &transaction.settlement_display_price;
    published
        .or_else(|| {
            let price = settlement.base / 10f64.powf(settlement.offset);
            price.is_finite().then_some(price)
        })
        .ok_or_else(|| thrown("Price not found", "NOT_FOUND"))
}
