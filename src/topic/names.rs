//! What topics are named after at Blink and in reward programs.

use std::fmt;
use std::num::NonZeroI32;
use std::sync::Arc;

/// The code of a currency: three or four upper-case letters or digits.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Currency([u8; 4]);

impl Currency {
    /// The US dollar, the currency of Blink's `price` and the default of `realtimePrice`.
    pub const USD: Currency = Currency(*b"USD\0");

    /// Reads a code as people write it: letters of either case.
    pub fn parse(text: &str) -> Option<Self> {
        Self::of_code(&text.to_ascii_uppercase())
    }

    /// Reads a code as channels spell it: upper case only.
    pub(super) fn of_code(code: &str) -> Option<Self> {
        let bytes = code.as_bytes();
        let well_formed = (3..=4).contains(&bytes.len())
            && bytes
                .iter()
                .all(|byte| byte.is_ascii_uppercase() || byte.is_ascii_digit());
        let mut padded = [0; 4];
        padded[..bytes.len().min(4)].copy_from_slice(&bytes[..bytes.len().min(4)]);
        well_formed.then_some(Currency(padded))
    }

    /// The code, in upper case.
    pub fn code(&self) -> &str {
        let end = self.0.iter().position(|byte| *byte == 0).unwrap_or(4);
        std::str::from_utf8(&self.0[..end]).expect("a currency code is ASCII")
    }
}

impl fmt::Display for Currency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.code())
    }
}

impl fmt::Debug for Currency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.code())
    }
}

/// The id of a Blink account: a UUID, printed in lower case with hyphens.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct AccountId(uuid::Uuid);

impl AccountId {
    /// Reads a hyphenated UUID in either case.
    pub fn parse(text: &str) -> Option<Self> {
        (text.len() == 36)
            .then(|| uuid::Uuid::try_parse(text).ok().map(AccountId))
            .flatten()
    }

    /// Reads the one spelling that [`fmt::Display`] prints.
    pub(super) fn of_canonical(text: &str) -> Option<Self> {
        let lower = text.bytes().all(|byte| !byte.is_ascii_uppercase());
        if lower { Self::parse(text) } else { None }
    }
}

impl From<uuid::Uuid> for AccountId {
    fn from(id: uuid::Uuid) -> Self {
        AccountId(id)
    }
}

impl fmt::Display for AccountId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.hyphenated().fmt(f)
    }
}

/// The id of a user of a reward program: above 0 and below 2147483647, as its events have it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct UserId(NonZeroI32);

impl UserId {
    /// The id with this number, if it is in range.
    pub fn of_number(number: i64) -> Option<Self> {
        let id = NonZeroI32::new(i32::try_from(number).ok()?)?;
        (id.is_positive() && id < NonZeroI32::MAX).then_some(UserId(id))
    }

    /// Reads decimal digits, without a sign.
    pub fn parse(text: &str) -> Option<Self> {
        let digits = text.bytes().all(|byte| byte.is_ascii_digit());
        if digits {
            UserId::of_number(text.parse().ok()?)
        } else {
            None
        }
    }

    /// Reads the one spelling that [`fmt::Display`] prints: no zeros in front.
    pub(super) fn of_canonical(text: &str) -> Option<Self> {
        UserId::parse(text).filter(|_| !text.starts_with('0'))
    }

    /// The number.
    pub fn get(self) -> i32 {
        self.0.get()
    }
}

impl fmt::Display for UserId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// The hash of a Lightning payment: 32 bytes, printed as lower-case hex.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct PaymentHash(Arc<str>);

impl PaymentHash {
    /// Reads 64 hexadecimal digits of either case.
    pub fn parse(text: &str) -> Option<Self> {
        let well_formed = text.len() == 64 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
        well_formed.then(|| PaymentHash(text.to_ascii_lowercase().into()))
    }

    /// Reads the one spelling that [`fmt::Display`] prints.
    pub(super) fn of_canonical(text: &str) -> Option<Self> {
        let is_canonical = |byte: u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
        let well_formed = text.len() == 64 && text.bytes().all(is_canonical);
        well_formed.then(|| PaymentHash(text.into()))
    }

    /// 64 lower-case hexadecimal digits.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for PaymentHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for PaymentHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
