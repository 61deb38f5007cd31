//! What AllenHark tells of: trading bots, prices of mints, transactions of wallets.
//!
//! Numbers are kept as they were written: clients are told the same digits, and those of a price are not
//! ours to round.

use std::fmt;

use jiff::Timestamp;
use serde::de::Error;
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;

use super::timestamp::optional_timestamp;
use super::{Cause, from_json};

/// Something that a bot did, or that happened to it.
#[derive(Clone, Debug, Deserialize)]
pub struct BotUpdate {
    /// `trade_executed`, `trade_failed`, `status_changed`, `error`, or whatever else its publisher says.
    #[serde(deserialize_with = "named")]
    pub event: String,
    /// An object, as it was published.
    #[serde(deserialize_with = "object")]
    pub data: Box<RawValue>,
}

/// What a token costs now.
#[derive(Clone, Debug, PartialEq, Deserialize)]
pub struct MintPrice {
    pub price: Amount,
    pub volume: Amount,
    /// When that was so. Where its publisher does not say: when it came here.
    #[serde(default = "Timestamp::now", deserialize_with = "timestamp_or_now")]
    pub timestamp: Timestamp,
}

/// A transaction of a wallet.
#[derive(Clone, Debug, PartialEq, Deserialize)]
pub struct Transaction {
    #[serde(deserialize_with = "signature")]
    pub signature: String,
    pub status: Commitment,
    pub slot: u64,
}

/// A price or a volume: a JSON number that is not below zero, in the digits of whoever published it.
#[derive(Clone, Debug, PartialEq)]
pub struct Amount(Box<str>);

/// How far a transaction has come: the commitment of a node of Solana to it, or that it has failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Commitment {
    Processed,
    Confirmed,
    Finalized,
    Failed,
}

/// 64 bytes take at most so many digits of base58.
const SIGNATURE_DIGITS: usize = 88;

/// The longest name of a bot's event, in bytes: it is a word, and goes to everybody who listens.
const EVENT_BYTES: usize = 64;

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

impl Commitment {
    /// As clients are told it.
    pub fn as_str(self) -> &'static str {
        match self {
            Commitment::Processed => "processed",
            Commitment::Confirmed => "confirmed",
            Commitment::Finalized => "finalized",
            Commitment::Failed => "failed",
        }
    }
}

impl PartialEq for BotUpdate {
    fn eq(&self, other: &Self) -> bool {
        (&self.event, self.data.get()) == (&other.event, other.data.get())
    }
}

impl fmt::Display for Amount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for Amount {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let json = Box::<RawValue>::deserialize(deserializer)?;
        let digits = json.get();
        // Of all JSON values, only numbers begin so. What is too large for JavaScript would be told as a
        // number that its clients read as infinity.
        let is_number = digits.starts_with(|first: char| first == '-' || first.is_ascii_digit());
        let number = if is_number { digits.parse().ok() } else { None };
        match number.filter(|number: &f64| number.is_finite() && *number >= 0.0) {
            Some(_) => Ok(Amount(digits.into())),
            None => Err(D::Error::custom("expected a number that is not below zero")),
        }
    }
}

fn timestamp_or_now<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Timestamp, D::Error> {
    Ok(optional_timestamp(deserializer)?.unwrap_or_else(Timestamp::now))
}

fn named<'de, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    let name = String::deserialize(deserializer)?;
    match (1..=EVENT_BYTES).contains(&name.len()) {
        true => Ok(name),
        false => Err(D::Error::custom(format_args!(
            "expected the name of an event, of 1 to {EVENT_BYTES} bytes"
        ))),
    }
}

fn object<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Box<RawValue>, D::Error> {
    let json = Box::<RawValue>::deserialize(deserializer)?;
    match json.get().starts_with('{') {
        true => Ok(json),
        false => Err(D::Error::custom("expected an object")),
    }
}

/// Base58. Not decoded, and not insisted to be 64 bytes: it is passed on, and nothing is looked up by it.
fn signature<'de, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    let text = String::deserialize(deserializer)?;
    let is_digit = |byte: u8| byte.is_ascii_alphanumeric() && !b"0OIl".contains(&byte);
    match (1..=SIGNATURE_DIGITS).contains(&text.len()) && text.bytes().all(is_digit) {
        true => Ok(text),
        false => Err(D::Error::custom(format_args!(
            "expected a signature in base58, of at most {SIGNATURE_DIGITS} digits"
        ))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use insta::assert_snapshot;

    #[test]
    fn the_samples_of_the_contract_are_read() {
        let update = BotUpdate::decode(
            br#"{"event":"trade_executed","data":{"signature":"5VERv8...","profit":0.15,"timestamp":"2024-01-15T10:30:00Z"}}"#,
        )
        .unwrap();
        assert_eq!(update.event, "trade_executed");
        let price = MintPrice::decode(
            br#"{"price":1.0001,"volume":1000000,"timestamp":"2024-01-15T10:30:00Z"}"#,
        )
        .unwrap();
        assert_eq!(price.price.to_string(), "1.0001");
        assert_eq!(price.timestamp.to_string(), "2024-01-15T10:30:00Z");
        let transaction =
            Transaction::decode(br#"{"signature":"5VERv8","status":"confirmed","slot":250123456}"#)
                .unwrap();
        assert_eq!(transaction.status, Commitment::Confirmed);
        assert_eq!(transaction.slot, 250_123_456);
    }

    #[test]
    fn digits_stay_as_they_were_written() {
        for digits in [
            "0",
            "1.0001",
            "1.00010",
            "1e-9",
            "2.5E+3",
            "123456789012345678901234567890",
            "0.1000000000000000055511151231257827",
        ] {
            let body = format!(r#"{{"price":{digits},"volume": {digits} ,"timestamp":0}}"#);
            let price = MintPrice::decode(body.as_bytes()).unwrap();
            assert_eq!(price.price.to_string(), digits);
            assert_eq!(price.volume.to_string(), digits);
        }
    }

    #[test]
    fn a_price_that_says_no_time_is_one_of_now() {
        for body in [
            r#"{"price":1,"volume":1}"#,
            r#"{"price":1,"volume":1,"timestamp":null}"#,
        ] {
            let before = Timestamp::now();
            let price = MintPrice::decode(body.as_bytes()).unwrap();
            assert!((before..=Timestamp::now()).contains(&price.timestamp));
        }
    }

    #[test]
    fn every_status_is_read_as_it_is_told() {
        for status in ["processed", "confirmed", "finalized", "failed"] {
            let body = format!(r#"{{"signature":"5VERv8","status":"{status}","slot":0}}"#);
            let transaction = Transaction::decode(body.as_bytes()).unwrap();
            assert_eq!(transaction.status.as_str(), status);
        }
    }

    /// What is said of a body, without the place in it.
    fn wrong<T: fmt::Debug>(decoded: Result<T, Cause>) -> String {
        let said = decoded.unwrap_err().to_string();
        said.split(" at line ")
            .next()
            .unwrap_or_default()
            .to_owned()
    }

    #[test]
    fn what_is_wrong_with_a_price_is_said() {
        let wrong = |body: &str| wrong(MintPrice::decode(body.as_bytes()));
        assert_snapshot!(wrong(r#"{"price":"1.0","volume":1}"#), @"price: expected a number that is not below zero");
        assert_snapshot!(wrong(r#"{"price":1,"volume":-1}"#), @"volume: expected a number that is not below zero");
        assert_snapshot!(wrong(r#"{"price":1e999,"volume":1}"#), @"price: expected a number that is not below zero");
        assert_snapshot!(wrong(r#"{"price":1}"#), @"missing field `volume`");
        assert_snapshot!(wrong(r#"{"price":1,"volume":1,"timestamp":true}"#), @"timestamp: invalid type: boolean `true`, expected a date as an ISO 8601 string or in Unix seconds");
    }

    #[test]
    fn what_is_wrong_with_an_update_of_a_bot_is_said() {
        let wrong = |body: &str| wrong(BotUpdate::decode(body.as_bytes()));
        assert_snapshot!(wrong(r#"{"event":"","data":{}}"#), @"event: expected the name of an event, of 1 to 64 bytes");
        assert_snapshot!(wrong(r#"{"event":"error","data":null}"#), @"data: expected an object");
        assert_snapshot!(wrong(r#"{"event":"error"}"#), @"missing field `data`");
    }

    #[test]
    fn what_is_wrong_with_a_transaction_is_said() {
        let wrong = |body: &str| wrong(Transaction::decode(body.as_bytes()));
        assert_snapshot!(wrong(r#"{"signature":"5VERv8...","status":"failed","slot":1}"#), @"signature: expected a signature in base58, of at most 88 digits");
        assert_snapshot!(wrong(r#"{"signature":"5VERv8","status":"lost","slot":1}"#), @"status: unknown variant `lost`, expected one of `processed`, `confirmed`, `finalized`, `failed`");
        assert_snapshot!(wrong(r#"{"signature":"5VERv8","status":"failed","slot":-1}"#), @"slot: invalid value: integer `-1`, expected u64");
    }
}
