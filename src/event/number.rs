//! Numbers, as publishers spell them.

use std::fmt;

use serde::de::{Deserialize, Deserializer, Error, Visitor};

/// A number, or the decimal string that a big integer becomes on the bus.
pub(super) fn number<'de, D: Deserializer<'de>>(deserializer: D) -> Result<f64, D::Error> {
    Number::deserialize(deserializer).map(|Number(number)| number)
}

/// The same for a key that may be absent or null.
pub(super) fn optional_number<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<f64>, D::Error> {
    let number = Option::deserialize(deserializer)?;
    Ok(number.map(|Number(number)| number))
}

struct Number(f64);

impl<'de> Deserialize<'de> for Number {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(NumberOrText)
    }
}

struct NumberOrText;

impl Visitor<'_> for NumberOrText {
    type Value = Number;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a number, or a number in a string")
    }

    fn visit_f64<E: Error>(self, number: f64) -> Result<Number, E> {
        Ok(Number(number))
    }

    fn visit_u64<E: Error>(self, number: u64) -> Result<Number, E> {
        Ok(Number(number as f64))
    }

    fn visit_i64<E: Error>(self, number: i64) -> Result<Number, E> {
        Ok(Number(number as f64))
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Number, E> {
        let number = text
            .trim()
            .parse()
            .ok()
            .filter(|number: &f64| number.is_finite());
        number.map(Number).ok_or_else(|| E::custom("not a number"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// How it was read before it was read fast: the oracle.
    fn by_serde(json: &str) -> Option<f64> {
        #[derive(serde::Deserialize)]
        #[serde(untagged)]
        enum Number {
            Number(f64),
            Text(String),
        }
        let number = match serde_json::from_str(json).ok()? {
            Number::Number(number) => Some(number),
            Number::Text(text) => text.trim().parse::<f64>().ok(),
        };
        number.filter(|number| number.is_finite())
    }

    fn read(json: &str) -> Result<f64, String> {
        number(&mut serde_json::Deserializer::from_str(json)).map_err(|error| error.to_string())
    }

    #[test]
    fn what_is_no_number_is_named() {
        assert_eq!(read("-0.5"), Ok(-0.5));
        assert_eq!(read(r#"" 36941263391 ""#), Ok(36_941_263_391.0));
        for json in [r#""""#, r#""NaN""#, r#""inf""#, r#""1e999""#, r#""ten""#] {
            assert!(
                read(json).unwrap_err().starts_with("not a number"),
                "{json}"
            );
        }
        for json in ["true", "null", "{}", "[1]"] {
            let error = read(json).unwrap_err();
            assert!(
                error.contains("expected a number, or a number in a string"),
                "{error}"
            );
        }
    }

    proptest! {
        #[test]
        fn numbers_are_read_as_serde_reads_them(json in prop_oneof![
            r"-?(0|[1-9][0-9]{0,24})(\.[0-9]{1,20})?([eE][-+]?[0-9]{1,3})?",
            r#""[ +-]?[0-9]{0,20}(\.[0-9]{0,5})?(e-?[0-9]{1,3})? ?""#,
            r#""(NaN|inf|-infinity|0x10|\\u0031)""#,
            "(true|null|\\[1\\]|\\{\\}|18446744073709551615|-9223372036854775808)",
        ]) {
            prop_assert_eq!(read(&json).ok(), by_serde(&json), "{}", json);
        }
    }
}
