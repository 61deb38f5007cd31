//! What was published, decoded once a node.
//!
//! Bodies are JSON as Blink's back end publishes them: big integers may come as decimal strings,
//! dates as ISO 8601 strings, and absent values as absent keys. Those of rewards are as clients are
//! told them. Keys that nobody asks for are ignored, so that a newer publisher harms no one.

mod account;
mod dataset;
mod invoice;
mod number;
mod price;
mod rewards;
mod solana;
mod tagged;
mod timestamp;
mod webhook;

pub use self::account::{
    AccountUpdate, InitiationVia, IntraLedgerUpdate, LnUpdate, OnChainUpdate, SettlementPrice,
    SettlementVia, TransactionStatus, TxNotificationType, WalletCurrency, WalletTransaction,
};
pub use self::dataset::{Asks, DatasetRecord, Kind, Param, Shape, Stream, market_of};
pub use self::invoice::{InvoiceState, InvoiceStatus, InvoiceUpdate};
pub use self::price::{PriceTick, PriceUpdate, UserPriceUpdate};
pub use self::rewards::{StatusType, StatusUpdate};
pub use self::solana::{Amount, BotUpdate, Commitment, MintPrice, Transaction};
pub use self::webhook::{Webhook, WebhookId};

use std::sync::Arc;

use serde::Deserialize;

use crate::filter::Term;
use crate::topic::Topic;

/// What was published on a topic.
#[derive(Clone, Debug, PartialEq)]
pub enum Event {
    Price(PriceUpdate),
    UserPrice(UserPriceUpdate),
    Account(AccountUpdate),
    Invoice(InvoiceUpdate),
    /// Shared, because every rendering of it holds it.
    Rewards(Arc<StatusUpdate>),
    Dataset(Arc<DatasetRecord>),
    Bot(Arc<BotUpdate>),
    MintPrice(Arc<MintPrice>),
    Wallet(Arc<Transaction>),
    Webhook(Arc<Webhook>),
}

/// A body that is not what its topic tells.
#[derive(Debug, thiserror::Error)]
#[error("the body is not what {topic} tells: {cause}")]
pub struct Malformed {
    pub topic: Topic,
    // Not the `source` too: whoever prints the chain of sources would say it twice.
    pub cause: Cause,
}

/// What is wrong with a body.
#[derive(Debug, thiserror::Error)]
pub enum Cause {
    #[error("{0}")]
    Json(#[from] serde_path_to_error::Error<serde_json::Error>),
    #[error("{0}")]
    Meaning(String),
}

/// An error that a publisher tells the subscribers of a topic, instead of news.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct EventError {
    pub message: String,
    #[serde(default)]
    pub code: Option<String>,
    #[serde(default)]
    pub path: Option<Vec<Option<String>>>,
}

impl EventError {
    /// An error with a message and no code.
    pub fn new(message: impl Into<String>) -> Self {
        EventError {
            message: message.into(),
            code: None,
            path: None,
        }
    }

    /// An error with a message and a code.
    pub fn coded(message: impl Into<String>, code: &str) -> Self {
        EventError {
            message: message.into(),
            code: Some(code.to_owned()),
            path: None,
        }
    }
}

impl Event {
    /// Reads the body of a message on `topic`'s channel.
    pub fn decode(topic: &Topic, body: &[u8]) -> Result<Self, Malformed> {
        let event = match topic {
            Topic::Price(currency) => PriceUpdate::decode(*currency, body).map(Event::Price),
            Topic::UserPrice(currency) => {
                UserPriceUpdate::decode(*currency, body).map(Event::UserPrice)
            }
            Topic::Account(_) => AccountUpdate::decode(body).map(Event::Account),
            Topic::Invoice(hash) => InvoiceUpdate::decode(hash, body).map(Event::Invoice),
            Topic::Rewards(user) => {
                StatusUpdate::decode(*user, body).map(|update| Event::Rewards(update.into()))
            }
            Topic::Dataset(dataset) => {
                DatasetRecord::decode(*dataset, body).map(|record| Event::Dataset(record.into()))
            }
            Topic::Bot(_) => BotUpdate::decode(body).map(|update| Event::Bot(update.into())),
            Topic::MintPrice(_) => {
                MintPrice::decode(body).map(|price| Event::MintPrice(price.into()))
            }
            Topic::Wallet(_) => Transaction::decode(body).map(|tx| Event::Wallet(tx.into())),
            Topic::Webhook(_) => {
                Webhook::decode(body).map(|webhook| Event::Webhook(webhook.into()))
            }
        };
        event.map_err(|cause| Malformed {
            topic: topic.clone(),
            cause,
        })
    }

    /// Which of the topic's retained values this event replaces; `None` for what is only told live.
    pub fn slot(&self) -> Option<usize> {
        match self {
            Event::Price(PriceUpdate::Tick(_)) => Some(0),
            Event::UserPrice(UserPriceUpdate::Price(_)) => Some(0),
            Event::UserPrice(UserPriceUpdate::RealtimePrice(_)) => Some(1),
            Event::Invoice(InvoiceUpdate::State(_)) => Some(0),
            Event::MintPrice(_) => Some(0),
            Event::Price(_)
            | Event::Invoice(_)
            | Event::Account(_)
            | Event::Rewards(_)
            | Event::Dataset(_)
            | Event::Bot(_)
            | Event::Wallet(_)
            | Event::Webhook(_) => None,
        }
    }

    /// Whether somebody who joins may be told it though it was told before: as the present state, or because
    /// the asker says where it has stopped.
    pub fn is_kept(&self) -> bool {
        self.slot().is_some() || matches!(self, Event::Webhook(_))
    }

    /// What filters find it by.
    pub fn terms(&self) -> &[Term] {
        match self {
            Event::Dataset(record) => &record.terms,
            _ => &[],
        }
    }

    /// When the price that it tells was fetched; `None` for what tells no price.
    pub fn fetched_at(&self) -> Option<jiff::Timestamp> {
        match self {
            Event::Price(PriceUpdate::Tick(tick))
            | Event::UserPrice(
                UserPriceUpdate::Price(tick) | UserPriceUpdate::RealtimePrice(tick),
            ) => Some(tick.timestamp),
            _ => None,
        }
    }

    /// Whether a newer event of the same kind makes this one worthless to a slow client.
    pub fn conflates(&self) -> bool {
        match self {
            Event::Price(_) | Event::UserPrice(_) | Event::MintPrice(_) => true,
            Event::Account(AccountUpdate::Price(_) | AccountUpdate::RealtimePrice(_)) => true,
            Event::Account(_)
            | Event::Invoice(_)
            | Event::Rewards(_)
            | Event::Dataset(_)
            | Event::Bot(_)
            | Event::Wallet(_)
            | Event::Webhook(_) => false,
        }
    }
}

/// Reads JSON, and names the place of an error: `transaction.settlementAmount: …`.
///
/// The place is kept track of when there is an error to place, in a second reading: what is well
/// formed is read as fast as it can be.
fn from_json<'a, T: Deserialize<'a>>(body: &'a [u8]) -> Result<T, Cause> {
    // serde would take a list for an object without the names of its keys.
    if body.trim_ascii_start().starts_with(b"[") {
        return Err(Cause::Meaning("a list, not an object".to_owned()));
    }
    if let Ok(value) = serde_json::from_slice(body) {
        return Ok(value);
    }
    let mut json = serde_json::Deserializer::from_slice(body);
    let value = serde_path_to_error::deserialize(&mut json)?;
    match json.end() {
        Ok(()) => Ok(value),
        Err(error) => Err(Cause::Meaning(error.to_string())),
    }
}

/// Reads what will be shared, into its place at once: serde would make it elsewhere and move it.
fn shared<'de, D, T>(deserializer: D) -> Result<Arc<T>, D::Error>
where
    D: serde::Deserializer<'de>,
    T: Deserialize<'de>,
{
    T::deserialize(deserializer).map(Arc::new)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn no_body_makes_the_decoder_panic(body in proptest::collection::vec(any::<u8>(), 0..200), which in 0usize..10) {
            let _ = Event::decode(&topics()[which], &body);
        }

        #[test]
        fn no_json_makes_the_decoder_panic(body in "[{}\\[\\]\",:a-z0-9.e+-]{0,120}", which in 0usize..10) {
            let _ = Event::decode(&topics()[which], body.as_bytes());
        }
    }

    fn topics() -> Vec<Topic> {
        let hash = "0".repeat(64);
        [
            "PRICE_UPDATE_USD",
            "USER_PRICE_UPDATE_USD",
            "ACCOUNT_UPDATE_21087d73-28c9-4d1f-9b0c-1a2b3c4d5e6f",
            &format!("LN_PAYMENT_STATUS_{hash}"),
            "REWARDS_STATUS_123",
            "DATASET_1_0101",
            "BOT_bot_abc123",
            "MINT_PRICE_EPjFWdd5AufqSSqeM2qN1xzybapC8G4wEGGkZwyTDt1v",
            "WALLET_TX_11111111111111111111111111111111",
            "WEBHOOK_21087d73-28c9-4d1f-9b0c-1a2b3c4d5e6f",
        ]
        .iter()
        .map(|channel| Topic::of_channel(channel).unwrap())
        .collect()
    }

    #[test]
    fn a_list_is_not_an_object_whose_keys_go_without_saying() {
        for topic in topics() {
            let error = Event::decode(&topic, b" [1]").unwrap_err();
            assert!(
                error.to_string().ends_with("a list, not an object"),
                "{error}"
            );
        }
    }

    #[test]
    fn a_malformed_body_names_the_place() {
        let topic =
            Topic::of_channel("ACCOUNT_UPDATE_21087d73-28c9-4d1f-9b0c-1a2b3c4d5e6f").unwrap();
        let error = Event::decode(&topic, br#"{"invoice":{"walletId":7}}"#).unwrap_err();
        insta::assert_snapshot!(error, @"the body is not what ACCOUNT_UPDATE_21087d73-28c9-4d1f-9b0c-1a2b3c4d5e6f tells: invoice.walletId: invalid type: integer `7`, expected a string at line 1 column 24");
    }
}
