//! The scalars of the schema, as they stand on the wire.
//!
//! What is told is passed through as it was published: a scalar that is told does not fail, but for
//! [`SafeInt`], which is made by a resolver that may.
//!
//! What is asked is kept as it came. Reading a document never refuses a scalar: where a bad one
//! ends the request, and where it is only told in `errors`, is for the resolver to say. It calls
//! `check`, and must know whether the value was written in the document or given in a variable,
//! because some messages differ.

use async_graphql::{InputValueResult, Scalar, ScalarType, Value};

use crate::event::EventError;
use crate::price::{is_safe_int, js_number};
use crate::topic;

/// Where a value of an argument was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// In the document.
    Literal,
    /// In the variables of the request.
    Variable,
}

/// Why a scalar is refused; prints as the message that clients of the original know.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidInput {
    #[error("Invalid type for {0}")]
    InvalidType(&'static str),
    #[error("Invalid value for {0}")]
    InvalidValue(&'static str),
    #[error("Value too big for {0}")]
    TooBig(&'static str),
}

impl InvalidInput {
    /// As an error of the field, with its code: it ends the operation.
    pub fn thrown(self) -> async_graphql::Error {
        thrown(self.to_string(), INVALID_INPUT)
    }

    /// As one of a payload's `errors`, which have no code there: the operation goes on.
    pub fn in_band(self) -> EventError {
        EventError::new(self.to_string())
    }
}

/// The code of whatever a client got wrong.
pub const INVALID_INPUT: &str = "INVALID_INPUT";

/// An error of a field, with `extensions.code`.
pub fn thrown(message: impl Into<String>, code: &'static str) -> async_graphql::Error {
    let mut error = async_graphql::Error::new(message);
    error.extensions.get_or_insert_default().set("code", code);
    error
}

/// Defines scalars that are the JSON value that is told or asked, named as in the schema. The
/// comment is the description in the schema.
macro_rules! scalars {
    ($($(#[doc = $doc:literal])+ $name:ident)+) => {$(
        $(#[doc = $doc])+
        #[derive(Clone, Debug, PartialEq)]
        pub struct $name(Value);

        $(#[doc = $doc])+
        #[Scalar]
        impl ScalarType for $name {
            fn parse(value: Value) -> InputValueResult<Self> {
                Ok($name(value))
            }

            fn to_value(&self) -> Value {
                self.0.clone()
            }
        }
    )+};
}

/// Scalars that are told as the text that was published.
macro_rules! told_as_text {
    ($($name:ident)+) => {$(
        impl<T: Into<String>> From<T> for $name {
            fn from(published: T) -> Self {
                $name(Value::String(published.into()))
            }
        }
    )+};
}

/// Scalars that are told as the number that was published.
macro_rules! told_as_number {
    ($($name:ident)+) => {$(
        impl From<f64> for $name {
            fn from(published: f64) -> Self {
                $name(number(published))
            }
        }
    )+};
}

scalars! {
    /// Code of a currency that amounts are shown in.
    DisplayCurrency
    /// Proof of a Lightning payment, in hex.
    LnPaymentPreImage
    /// BOLT11 invoice.
    LnPaymentRequest
    /// Secret of a Lightning payment, in hex.
    LnPaymentSecret
    /// Text that goes with a payment.
    Memo
    /// Bitcoin address.
    OnChainAddress
    /// Id of an on-chain transaction, in hex.
    OnChainTxHash
    /// Hash of a Lightning payment, in hex.
    PaymentHash
    /// Integer between -(2^53 - 1) and 2^53 - 1.
    SafeInt
    /// Amount of satoshis, not negative.
    SatAmount
    /// Amount in minor units, negative if it was spent.
    SignedAmount
    /// Amount in major units as decimal text, negative if it was spent.
    SignedDisplayMajorAmount
    /// Unix time in seconds.
    Timestamp
    /// Reference of the client's own to a transaction.
    TxExternalId
    /// Name of a user.
    Username
    /// Id of a wallet.
    WalletId
}

told_as_text! {
    DisplayCurrency LnPaymentPreImage LnPaymentRequest LnPaymentSecret Memo OnChainAddress
    OnChainTxHash PaymentHash SignedDisplayMajorAmount TxExternalId Username WalletId
}

told_as_number! { SatAmount SignedAmount }

impl SafeInt {
    /// An integer that every JSON parser reads exactly; any other number is an error of its field.
    pub fn new(number: f64) -> async_graphql::Result<Self> {
        let kind = if is_safe_int(number) {
            return Ok(SafeInt(self::number(number)));
        } else if number.fract() == 0.0 {
            "non 53-bit signed integer"
        } else {
            "non-integer"
        };
        let number = js_number(number);
        let message = format!("SafeInt cannot represent {kind} value: {number}");
        Err(thrown(message, INVALID_INPUT))
    }
}

impl From<jiff::Timestamp> for Timestamp {
    fn from(time: jiff::Timestamp) -> Self {
        // `as_second` cuts towards 1970.
        let before_1970 = i64::from(time.subsec_nanosecond() < 0);
        Timestamp(Value::from(time.as_second() - before_1970))
    }
}

impl SatAmount {
    /// All bitcoin that there can be is less than this.
    const MAX: f64 = 10_000_000_000_000.0;

    /// An integer in the document; in a variable also a number, which is cut, or a numeric text.
    pub fn check(&self, origin: Origin) -> Result<u64, InvalidInput> {
        let amount = match (&self.0, origin) {
            (Value::Number(number), Origin::Variable) => number.as_f64().map(f64::trunc),
            (Value::Number(number), Origin::Literal) => Some(
                integer_literal(number).ok_or(InvalidInput::InvalidType("SatAmount"))?,
            ),
            (Value::String(text), Origin::Variable) => parse_int(text),
            _ => return Err(InvalidInput::InvalidType("SatAmount")),
        };
        match amount {
            Some(amount) if amount > Self::MAX => Err(InvalidInput::TooBig("SatAmount")),
            Some(amount) if amount >= 0.0 => Ok(amount as u64),
            _ => Err(InvalidInput::InvalidValue("SatAmount")),
        }
    }
}

impl DisplayCurrency {
    /// Three or four characters, in any case. `None` is a code that no currency can have.
    pub fn check(&self, origin: Origin) -> Result<Option<topic::Currency>, InvalidInput> {
        let Value::String(code) = &self.0 else {
            return Err(InvalidInput::InvalidType(match origin {
                Origin::Literal => "Currency",
                Origin::Variable => "DisplayCurrency",
            }));
        };
        if (3..=4).contains(&code.encode_utf16().count()) {
            Ok(topic::Currency::parse(code))
        } else {
            Err(InvalidInput::InvalidValue("DisplayCurrency"))
        }
    }
}

impl PaymentHash {
    /// 64 hexadecimal digits, in any case.
    pub fn check(&self) -> Result<topic::PaymentHash, InvalidInput> {
        text(&self.0, "PaymentHash", topic::PaymentHash::parse)
    }
}

impl LnPaymentRequest {
    /// Looks like an invoice: `ln`, then letters and digits. As the client spelled it.
    pub fn check(&self) -> Result<&str, InvalidInput> {
        text(&self.0, "LnPaymentRequest", |request| {
            let (prefix, rest) = request.split_at_checked(2)?;
            let well_formed = prefix.eq_ignore_ascii_case("ln")
                && !rest.is_empty()
                && rest.bytes().all(|byte| byte.is_ascii_alphanumeric());
            well_formed.then_some(request)
        })
    }
}

impl WalletId {
    /// A UUID of a version from 1 to 5, with hyphens, in any case.
    pub fn check(&self) -> Result<uuid::Uuid, InvalidInput> {
        text(&self.0, "WalletId", |id| {
            let id = (id.len() == 36).then(|| uuid::Uuid::try_parse(id).ok())??;
            let known = (1..=5).contains(&id.get_version_num())
                && id.get_variant() == uuid::Variant::RFC4122;
            known.then_some(id)
        })
    }
}

/// Reads a scalar that is asked as text.
fn text<'a, T>(
    value: &'a Value,
    scalar: &'static str,
    read: impl FnOnce(&'a str) -> Option<T>,
) -> Result<T, InvalidInput> {
    match value {
        Value::String(text) => read(text).ok_or(InvalidInput::InvalidValue(scalar)),
        _ => Err(InvalidInput::InvalidType(scalar)),
    }
}

/// An integer in JSON if it is one: `2707`, not `2707.0`. Beyond 2^53 it stays a double, so that it
/// is printed as JavaScript prints it.
fn number(number: f64) -> Value {
    if is_safe_int(number) {
        Value::from(number as i64)
    } else {
        Value::from(number)
    }
}

/// The value of a number in a document if it was written without point and exponent.
///
/// The parser keeps no spelling of a number beyond 64 bits; that one is taken for an integer.
fn integer_literal(number: &async_graphql::Number) -> Option<f64> {
    const BEYOND_64_BITS: f64 = 18_446_744_073_709_551_615.0;
    let value = number.as_f64()?;
    (!number.is_f64() || value.abs() >= BEYOND_64_BITS).then_some(value)
}

/// JavaScript's `parseInt(text, 10)`: the number that the text begins with.
fn parse_int(text: &str) -> Option<f64> {
    let text = text.trim_start_matches(|c: char| c.is_whitespace() || c == '\u{feff}');
    let (sign, digits) = match text.strip_prefix('-') {
        Some(digits) => (-1.0, digits),
        None => (1.0, text.strip_prefix('+').unwrap_or(text)),
    };
    let end = digits.bytes().take_while(u8::is_ascii_digit).count();
    digits[..end].parse::<f64>().ok().map(|value| sign * value)
}

#[cfg(test)]
mod tests {
    use super::*;
    use Origin::{Literal, Variable};
    use async_graphql::value;
    use insta::assert_snapshot;
    use proptest::prelude::*;

    fn amount(value: Value, origin: Origin) -> Result<u64, String> {
        SatAmount(value).check(origin).map_err(|e| e.to_string())
    }

    #[test]
    fn an_amount_in_the_document_is_an_integer() {
        assert_eq!(amount(value!(100), Literal), Ok(100));
        assert_eq!(amount(value!(0), Literal), Ok(0));
        for refused in [value!(1.5), value!(1e3), value!("100"), value!(true), value!(null)] {
            assert_eq!(
                amount(refused, Literal),
                Err("Invalid type for SatAmount".to_owned())
            );
        }
    }

    #[test]
    fn an_amount_in_a_variable_is_a_number_or_a_numeric_text() {
        for (asked, read) in [
            (value!(100), 100),
            (value!(1.9), 1),
            (value!(-0.5), 0),
            (value!("100"), 100),
            (value!(" +7 sats"), 7),
            (value!("1e3"), 1),
            (value!("-0"), 0),
        ] {
            assert_eq!(amount(asked.clone(), Variable), Ok(read), "{asked}");
        }
        for refused in [value!("sats"), value!(""), value!("-5"), value!(-1)] {
            assert_eq!(
                amount(refused, Variable),
                Err("Invalid value for SatAmount".to_owned())
            );
        }
        for refused in [value!(true), value!([1]), value!({"sats": 1})] {
            assert_eq!(
                amount(refused, Variable),
                Err("Invalid type for SatAmount".to_owned())
            );
        }
    }

    #[test]
    fn an_amount_beyond_all_bitcoin_is_too_big() {
        assert_eq!(
            amount(value!(10_000_000_000_000_u64), Literal),
            Ok(10_000_000_000_000)
        );
        for (asked, origin) in [
            (value!(10_000_000_000_001_u64), Literal),
            (value!(1e300), Literal),
            (value!(1e300), Variable),
            (value!("99999999999999999999999999"), Variable),
        ] {
            assert_eq!(
                amount(asked, origin),
                Err("Value too big for SatAmount".to_owned())
            );
        }
        assert_eq!(
            amount(value!(-3), Literal),
            Err("Invalid value for SatAmount".to_owned())
        );
    }

    #[test]
    fn a_currency_is_three_or_four_characters_in_any_case() {
        let check = |value, origin| DisplayCurrency(value).check(origin);
        assert_eq!(
            check(value!("usd"), Literal),
            Ok(Some(topic::Currency::USD))
        );
        assert_eq!(check(value!("€€€"), Variable), Ok(None));
        for code in ["", "US", "USDOLLAR"] {
            assert_eq!(
                check(value!(code), Literal),
                Err(InvalidInput::InvalidValue("DisplayCurrency"))
            );
        }
        assert_snapshot!(check(value!(1), Literal).unwrap_err(), @"Invalid type for Currency");
        assert_snapshot!(check(value!(1), Variable).unwrap_err(), @"Invalid type for DisplayCurrency");
    }

    #[test]
    fn a_hash_is_64_hexadecimal_digits() {
        let check = |value| PaymentHash(value).check();
        assert_eq!(
            check(value!("AB".repeat(32))).unwrap().as_str(),
            "ab".repeat(32)
        );
        assert_snapshot!(check(value!("ab")).unwrap_err(), @"Invalid value for PaymentHash");
        assert_snapshot!(check(value!(7)).unwrap_err(), @"Invalid type for PaymentHash");
    }

    #[test]
    fn a_request_looks_like_an_invoice() {
        let check = |value| LnPaymentRequest(value).check().map(str::to_owned);
        assert_eq!(check(value!("LnBC1x")).unwrap(), "LnBC1x");
        for request in ["", "ln", "bc1", "ln bc", "lné1", "€"] {
            let invalid = InvalidInput::InvalidValue("LnPaymentRequest");
            assert_eq!(check(value!(request)), Err(invalid));
        }
        assert_snapshot!(check(value!(null)).unwrap_err(), @"Invalid type for LnPaymentRequest");
    }

    #[test]
    fn a_wallet_id_is_a_uuid_of_version_1_to_5() {
        let check = |value| WalletId(value).check();
        let id = "21087D73-28c9-4d1f-9b0c-1a2b3c4d5e6f";
        assert_eq!(check(value!(id)).unwrap().to_string(), id.to_lowercase());
        for id in [
            "does-not-exist",
            "2108 7d73-28c9-4d1f-9b0c-1a2b3c4d5e6f",
            "21087d7328c94d1f9b0c1a2b3c4d5e6f",
            "21087d73-28c9-7d1f-9b0c-1a2b3c4d5e6f",
            "21087d73-28c9-4d1f-1b0c-1a2b3c4d5e6f",
        ] {
            let invalid = InvalidInput::InvalidValue("WalletId");
            assert_eq!(check(value!(id)), Err(invalid));
        }
        assert_snapshot!(check(value!([])).unwrap_err(), @"Invalid type for WalletId");
    }

    #[test]
    fn a_safe_int_that_is_not_safe_is_an_error_with_a_code() {
        let error = |number| {
            let error = SafeInt::new(number).unwrap_err();
            let code = error.extensions.and_then(|e| e.get("code").cloned());
            assert_eq!(code, Some(value!("INVALID_INPUT")));
            error.message
        };
        assert_eq!(
            SafeInt::new(9_007_199_254_740_991.0).unwrap().0,
            value!(9_007_199_254_740_991_u64)
        );
        assert_snapshot!(error(9_007_199_254_740_992.0), @"SafeInt cannot represent non 53-bit signed integer value: 9007199254740992");
        assert_snapshot!(error(-1e22), @"SafeInt cannot represent non 53-bit signed integer value: -1e+22");
        assert_snapshot!(error(1.5), @"SafeInt cannot represent non-integer value: 1.5");
        assert_snapshot!(error(f64::NAN), @"SafeInt cannot represent non-integer value: NaN");
    }

    #[test]
    fn times_are_cut_to_the_second_before() {
        let told = |time: &str| Timestamp::from(time.parse::<jiff::Timestamp>().unwrap()).0;
        assert_eq!(told("2023-11-21T01:49:38.999Z"), value!(1_700_531_378));
        assert_eq!(told("1969-12-31T23:59:58.5Z"), value!(-2));
    }

    #[test]
    fn amounts_are_integers_in_json() {
        assert_eq!(SignedAmount::from(-2707.0).0.to_string(), "-2707");
        assert_eq!(SatAmount::from(-0.0).0.to_string(), "0");
        assert_eq!(SignedAmount::from(0.5).0.to_string(), "0.5");
    }

    proptest! {
        #[test]
        fn whatever_is_asked_is_read_and_nothing_panics(
            text in "(ln|0x|[-+ ])?.{0,40}",
            number in any::<f64>(),
            origin in prop_oneof![Just(Literal), Just(Variable)],
        ) {
            for value in [value!(text), value!(number)] {
                let _ = SatAmount::parse(value.clone()).unwrap().check(origin);
                let _ = DisplayCurrency::parse(value.clone()).unwrap().check(origin);
                let _ = PaymentHash::parse(value.clone()).unwrap().check();
                let _ = LnPaymentRequest::parse(value.clone()).unwrap().check();
                let _ = WalletId::parse(value).unwrap().check();
            }
        }

        #[test]
        fn every_amount_of_bitcoin_is_read_in_each_spelling(sats in 0u64..=10_000_000_000_000) {
            prop_assert_eq!(amount(value!(sats), Literal), Ok(sats));
            prop_assert_eq!(amount(value!(sats), Variable), Ok(sats));
            prop_assert_eq!(amount(value!(sats.to_string()), Variable), Ok(sats));
        }

        #[test]
        fn every_integer_of_53_bits_is_told_exactly(number in -9_007_199_254_740_991_i64..=9_007_199_254_740_991) {
            prop_assert_eq!(SafeInt::new(number as f64).unwrap().0, value!(number));
        }
    }
}
