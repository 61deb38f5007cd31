//! Dates, as publishers spell them.

use std::fmt;

use jiff::Timestamp;
use serde::de::{Deserialize, Deserializer, Error, Unexpected, Visitor};

/// A date: ISO 8601 with a zone, or Unix time in seconds.
pub(super) fn timestamp<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Timestamp, D::Error> {
    Date::deserialize(deserializer).map(|Date(timestamp)| timestamp)
}

/// The same for a key that may be absent or null.
pub(super) fn optional_timestamp<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<Timestamp>, D::Error> {
    let date = Option::deserialize(deserializer)?;
    Ok(date.map(|Date(timestamp)| timestamp))
}

struct Date(Timestamp);

impl<'de> Deserialize<'de> for Date {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(TextOrSeconds)
    }
}

struct TextOrSeconds;

impl Visitor<'_> for TextOrSeconds {
    type Value = Date;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a date as an ISO 8601 string or in Unix seconds")
    }

    fn visit_i64<E: Error>(self, seconds: i64) -> Result<Date, E> {
        Timestamp::from_second(seconds).map(Date).map_err(E::custom)
    }

    fn visit_u64<E: Error>(self, seconds: u64) -> Result<Date, E> {
        match i64::try_from(seconds) {
            Ok(seconds) => self.visit_i64(seconds),
            Err(_) => Err(E::invalid_value(Unexpected::Unsigned(seconds), &self)),
        }
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Date, E> {
        text.parse().map(Date).map_err(E::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// How it was read before it was read fast: the oracle.
    fn by_serde(json: &str) -> Option<Timestamp> {
        #[derive(serde::Deserialize)]
        #[serde(untagged)]
        enum Date {
            Seconds(i64),
            Text(String),
        }
        match serde_json::from_str(json).ok()? {
            Date::Seconds(seconds) => Timestamp::from_second(seconds).ok(),
            Date::Text(text) => text.parse().ok(),
        }
    }

    fn read(json: &str) -> Result<Timestamp, String> {
        timestamp(&mut serde_json::Deserializer::from_str(json)).map_err(|error| error.to_string())
    }

    #[test]
    fn a_date_is_a_text_or_seconds_and_nothing_else() {
        let date = Ok(Timestamp::from_second(1_700_531_378).unwrap());
        assert_eq!(read("1700531378"), date);
        assert_eq!(read(r#""2023-11-21T01:49:38Z""#), date);
        for json in ["1700531378.5", "18446744073709551615", "null", "true"] {
            let error = read(json).unwrap_err();
            assert!(
                error.contains("expected a date as an ISO 8601 string"),
                "{error}"
            );
        }
    }

    proptest! {
        #[test]
        fn dates_are_read_as_serde_reads_them(json in prop_oneof![
            r"-?(0|[1-9][0-9]{0,20})(\.[0-9]{1,3})?(e[0-9]{1,2})?",
            r#""[0-9]{4}-[01][0-9]-[0-3][0-9][T ]?([0-2][0-9]:[0-5][0-9](:[0-5][0-9](\.[0-9]{1,9})?)?)?(Z|[+-][01][0-9]:?00)?""#,
            r#""(yesterday|)""#,
            "(true|null|\\[1\\]|\\{\\})",
        ]) {
            prop_assert_eq!(read(&json).ok(), by_serde(&json), "{}", json);
        }
    }
}
