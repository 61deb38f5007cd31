//! Datasets of EVM chains, as BlockDB names them.

use std::fmt;
use std::num::NonZeroU64;

use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// One dataset of one chain.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Dataset {
    pub chain: ChainId,
    pub id: DatasetId,
}

/// The number of a chain, as EIP-155 has it: 1 is Ethereum.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Deserialize, Serialize)]
pub struct ChainId(NonZeroU64);

/// The id of a dataset: four digits, the zeros in front among them.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct DatasetId([u8; 4]);

impl Dataset {
    /// Reads the one spelling that [`fmt::Display`] prints.
    pub(super) fn of_canonical(text: &str) -> Option<Self> {
        let (chain, id) = text.split_once('_')?;
        let is_canonical = !chain.starts_with('0') && chain.bytes().all(|b| b.is_ascii_digit());
        let chain = is_canonical.then(|| chain.parse().ok()).flatten()?;
        Some(Dataset {
            chain: ChainId::of_number(chain)?,
            id: DatasetId::parse(id)?,
        })
    }
}

impl ChainId {
    /// The chain with this number; 0 is none.
    pub fn of_number(number: u64) -> Option<Self> {
        NonZeroU64::new(number).map(ChainId)
    }

    /// The number.
    pub fn get(self) -> u64 {
        self.0.get()
    }
}

impl DatasetId {
    /// The id of these digits.
    ///
    /// # Panics
    ///
    /// If they are none: it is for ids that the program names, and is asked when it is compiled.
    pub const fn of_digits(digits: [u8; 4]) -> Self {
        let [a, b, c, d] = digits;
        assert!(
            a.is_ascii_digit() && b.is_ascii_digit() && c.is_ascii_digit() && d.is_ascii_digit()
        );
        DatasetId(digits)
    }

    /// Reads four decimal digits.
    pub fn parse(text: &str) -> Option<Self> {
        let digits: [u8; 4] = text.as_bytes().try_into().ok()?;
        let is_id = digits.iter().all(u8::is_ascii_digit);
        is_id.then_some(DatasetId(digits))
    }

    /// The digits.
    pub fn as_str(&self) -> &str {
        std::str::from_utf8(&self.0).expect("digits are ASCII")
    }
}

impl fmt::Display for Dataset {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}_{}", self.chain, self.id)
    }
}

impl fmt::Display for ChainId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Display for DatasetId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl<'de> Deserialize<'de> for DatasetId {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        DatasetId::parse(&text).ok_or_else(|| {
            D::Error::custom(format!(
                "expected the four digits of a dataset such as \"0101\", not {text:?}"
            ))
        })
    }
}

impl Serialize for DatasetId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

impl fmt::Debug for DatasetId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
