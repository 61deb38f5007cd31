//! What AllenHark tells of: trading bots, prices of mints, transactions of wallets.
//!
//! Numbers are kept as they were written: clients are told the same digits.

use jiff::Timestamp;
use serde::Deserialize;
use serde_json::value::RawValue;

use super::timestamp::timestamp;
use super::{Cause, from_json};

/// Something that a bot did, or that happened to it.
#[derive(Clone, Debug, Deserialize)]
pub struct BotUpdate {
    /// `trade_executed`, `trade_failed`, `status_changed`, `error`, or whatever else its publisher says.
    pub event: String,
    pub data: Box<RawValue>,
}

/// What a token costs now.
#[derive(Clone, Debug, Deserialize)]
pub struct MintPrice {
    pub price: serde_json::Number,
    pub volume: serde_json::Number,
    #[serde(deserialize_with = "timestamp")]
    pub timestamp: Timestamp,
}

/// A transaction of a wallet.
#[derive(Clone, Debug, PartialEq, Deserialize)]
pub struct Transaction {
    pub signature: String,
    pub status: Commitment,
    pub slot: u64,
}

/// How far a transaction has come: the commitment of a node of Solana to it, or that it has failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Commitment {
    Processed,
    Confirmed,
    Finalized,
    Failed,
}

impl BotUpdate {
    pub(super) fn decode(body: &[u8]) -> Result<Self, Cause> {
        from_json(body)
    }
}

impl MintPrice {
    pub(super) fn decode(body: &[u8]) -> Result<Self, Cause> {
        from_json(body)
    }
}

impl Transaction {
    pub(super) fn decode(body: &[u8]) -> Result<Self, Cause> {
        from_json(body)
    }
}

impl PartialEq for BotUpdate {
    fn eq(&self, other: &Self) -> bool {
        (&self.event, self.data.get()) == (&other.event, other.data.get())
    }
}

impl PartialEq for MintPrice {
    fn eq(&self, other: &Self) -> bool {
        let numbers = |of: &MintPrice| (of.price.to_string(), of.volume.to_string(), of.timestamp);
        numbers(self) == numbers(other)
    }
}
