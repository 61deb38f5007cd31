//! `myUpdates`: payments that reach an account or leave it, and prices.

use std::sync::Arc;

use async_graphql::{Enum, Object, Union, Value};

use super::error::{Error, told_errors};
use super::invoice::InvoicePaymentStatus;
use super::price::{Price, RealtimePrice};
use super::transaction::Transaction;
use super::user::User;
use crate::event::{self, AccountUpdate, Event, UserPriceUpdate, WalletTransaction};
use crate::graphql::json;
use crate::graphql::plan::{self, Asked, Bail, Lookups, NotPlanned, Told, Write};
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
pub struct OnChainUpdate(Arc<event::OnChainUpdate>);

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
            _ => return None,
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
        match tx_hash_of(update) {
            Some(_) => UserUpdate::OnChain(OnChainUpdate(update.clone())),
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
        self.0.amount.abs().into()
    }

    #[graphql(deprecation = "Deprecated in favor of transaction")]
    async fn display_currency_per_sat(&self) -> async_graphql::Result<f64> {
        price_of_one(self.0.display_currency_per_sat, &self.0.transaction)
    }

    async fn transaction(&self) -> Transaction {
        Transaction::of(self.0.transaction.clone())
    }

    #[graphql(deprecation = "Deprecated in favor of transaction")]
    async fn tx_hash(&self) -> OnChainTxHash {
        tx_hash_of(&self.0).unwrap_or_default().into()
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

/// The hash of the transaction that a payment is, or that it was settled by; `None` if it was settled
/// inside of the ledger.
fn tx_hash_of(update: &event::OnChainUpdate) -> Option<&str> {
    let settled = match &update.transaction.settlement_via {
        event::SettlementVia::OnChain {
            transaction_hash, ..
        } => transaction_hash.as_deref(),
        _ => None,
    };
    update.tx_hash.as_deref().or(settled)
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

impl Told for MyUpdatesPayload {
    type Value = MyUpdatesPayload;

    fn field(asked: &Asked<'_>) -> Result<Write<MyUpdatesPayload>, NotPlanned> {
        use MyUpdatesPayload as Payload;
        Ok(match asked.name() {
            "errors" => told_errors(asked, |_: &Payload| &[])?,
            "me" => {
                let user = plan::Object::<User>::of(asked)?;
                Write::nested(user.size(), move |payload: &Payload, lookups, json| {
                    user.write_optional(payload.me.as_ref(), lookups, json)
                })
            }
            "update" => {
                let update = ToldUpdate::of(asked)?;
                Write::nested(update.size(), move |payload: &Payload, lookups, json| {
                    update.write(&payload.update, lookups, json)
                })
            }
            _ => return Err(NotPlanned),
        })
    }
}

/// What is written of an update, of whichever kind it is.
struct ToldUpdate {
    intra_ledger: plan::Object<IntraLedgerUpdate>,
    ln: plan::Object<LnUpdate>,
    on_chain: plan::Object<OnChainUpdate>,
    price: plan::Object<Price>,
    realtime_price: plan::Object<RealtimePrice>,
}

impl ToldUpdate {
    fn of(asked: &Asked<'_>) -> Result<Self, NotPlanned> {
        Ok(ToldUpdate {
            intra_ledger: plan::Object::one_of("UserUpdate", asked)?,
            ln: plan::Object::one_of("UserUpdate", asked)?,
            on_chain: plan::Object::one_of("UserUpdate", asked)?,
            price: plan::Object::one_of("UserUpdate", asked)?,
            realtime_price: plan::Object::one_of("UserUpdate", asked)?,
        })
    }

    fn write(&self, update: &UserUpdate, lookups: &Lookups, json: &mut String) -> Result<(), Bail> {
        match update {
            UserUpdate::IntraLedger(update) => self.intra_ledger.write(&update.0, lookups, json),
            UserUpdate::Ln(update) => self.ln.write(&update.0, lookups, json),
            UserUpdate::OnChain(update) => self.on_chain.write(&update.0, lookups, json),
            UserUpdate::Price(price) => self.price.write(price, lookups, json),
            UserUpdate::RealtimePrice(price) => {
                self.realtime_price.write(price.tick(), lookups, json)
            }
        }
    }

    fn size(&self) -> usize {
        self.intra_ledger.size()
            + self.ln.size()
            + self.on_chain.size()
            + self.price.size()
            + self.realtime_price.size()
    }
}

impl Told for IntraLedgerUpdate {
    type Value = event::IntraLedgerUpdate;

    fn field(asked: &Asked<'_>) -> Result<Write<event::IntraLedgerUpdate>, NotPlanned> {
        use event::IntraLedgerUpdate as Update;
        Ok(match asked.name() {
            "amount" => Write::value(|update: &Update, json| {
                json::scalar(json, &SatAmount::from(update.amount.abs()));
            }),
            "displayCurrencyPerSat" | "usdPerSat" => Write::fallible(|update: &Update, _, json| {
                let published = update.display_currency_per_sat;
                let price = price_of_one(published, &update.transaction)?;
                json::value(json, &Value::from(price));
                Ok(())
            }),
            "transaction" => {
                let entry = plan::Object::<Transaction>::of(asked)?;
                Write::nested(entry.size(), move |update: &Update, lookups, json| {
                    entry.write(&update.transaction, lookups, json)
                })
            }
            "txNotificationType" => Write::value(|update: &Update, json| {
                json::word(json, TxNotificationType::from(update.tx_notification_type));
            }),
            "walletId" => {
                Write::value(|update: &Update, json| json::string(json, &update.wallet_id))
            }
            _ => return Err(NotPlanned),
        })
    }
}

impl Told for LnUpdate {
    type Value = event::LnUpdate;

    fn field(asked: &Asked<'_>) -> Result<Write<event::LnUpdate>, NotPlanned> {
        use event::LnUpdate as Update;
        Ok(match asked.name() {
            "paymentHash" => {
                Write::value(|update: &Update, json| json::string(json, &update.payment_hash))
            }
            "status" => Write::value(|update: &Update, json| {
                json::word(json, InvoicePaymentStatus::from(update.status));
            }),
            "transaction" => {
                let entry = plan::Object::<Transaction>::of(asked)?;
                Write::nested(entry.size(), move |update: &Update, lookups, json| {
                    entry.write(&update.transaction, lookups, json)
                })
            }
            "walletId" => {
                Write::value(|update: &Update, json| json::string(json, &update.wallet_id))
            }
            _ => return Err(NotPlanned),
        })
    }
}

impl Told for OnChainUpdate {
    type Value = event::OnChainUpdate;

    fn field(asked: &Asked<'_>) -> Result<Write<event::OnChainUpdate>, NotPlanned> {
        use event::OnChainUpdate as Update;
        Ok(match asked.name() {
            "amount" => Write::value(|update: &Update, json| {
                json::scalar(json, &SatAmount::from(update.amount.abs()));
            }),
            "displayCurrencyPerSat" | "usdPerSat" => Write::fallible(|update: &Update, _, json| {
                let published = update.display_currency_per_sat;
                let price = price_of_one(published, &update.transaction)?;
                json::value(json, &Value::from(price));
                Ok(())
            }),
            "transaction" => {
                let entry = plan::Object::<Transaction>::of(asked)?;
                Write::nested(entry.size(), move |update: &Update, lookups, json| {
                    entry.write(&update.transaction, lookups, json)
                })
            }
            "txHash" => Write::value(|update: &Update, json| {
                json::string(json, tx_hash_of(update).unwrap_or_default());
            }),
            "txNotificationType" => Write::value(|update: &Update, json| {
                json::word(json, TxNotificationType::from(update.tx_notification_type));
            }),
            "walletId" => {
                Write::value(|update: &Update, json| json::string(json, &update.wallet_id))
            }
            _ => return Err(NotPlanned),
        })
    }
}
