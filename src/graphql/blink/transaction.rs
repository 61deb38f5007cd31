//! Entries of a wallet's ledger.

use std::sync::Arc;

use async_graphql::{Enum, ID, Object};

use super::price_interface::PriceOfOneSettlementMinorUnitInDisplayMinorUnit;
use super::via::{InitiationVia, SettlementVia, ToldInitiation, ToldSettlement};
use super::wallet::WalletCurrency;
use crate::event::{self, WalletTransaction};
use crate::graphql::json;
use crate::graphql::plan::{self, Asked, NotPlanned, Told, Write};
use crate::graphql::scalars::{
    DisplayCurrency, Memo, SignedAmount, SignedDisplayMajorAmount, Timestamp, TxExternalId,
};

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
                let price = plan::Object::<Price>::of(asked)?;
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
