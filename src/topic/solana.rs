//! Names of Solana, and of the bots that trade there.

use std::fmt;
use std::sync::Arc;

use bitcoin::base58;

/// An address of Solana, of a mint or of a wallet: 32 bytes in base58, which spells them in one way.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SolanaAddress(Arc<str>);

/// The id of a trading bot: `bot_` and up to 64 letters, digits, hyphens and underscores.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct BotId(Arc<str>);

/// 32 bytes take at least so many digits (all of them ones, for zeros) and at most as many.
const ADDRESS_DIGITS: std::ops::RangeInclusive<usize> = 32..=44;

const BOT_PREFIX: &str = "bot_";
const BOT_CHARACTERS: std::ops::RangeInclusive<usize> = 1..=64;
/// Of an id that is made up: enough that no two are the same, and that nobody guesses one.
const RANDOM_BYTES: usize = 12;

impl SolanaAddress {
    /// Reads base58 that decodes to 32 bytes.
    pub fn parse(text: &str) -> Option<Self> {
        // What is longer is not decoded: that takes time that grows with the square of the length.
        if !ADDRESS_DIGITS.contains(&text.len()) {
            return None;
        }
        let bytes = base58::decode(text).ok()?;
        (bytes.len() == 32).then(|| SolanaAddress(text.into()))
    }

    /// The address of these bytes.
    pub fn of_bytes(bytes: &[u8; 32]) -> Self {
        SolanaAddress(base58::encode(bytes).into())
    }

    /// In base58.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl BotId {
    /// A new one. An error if the system has no random numbers.
    pub fn generate() -> Result<Self, getrandom::Error> {
        let mut random = [0; RANDOM_BYTES];
        getrandom::fill(&mut random)?;
        let name = base58::encode(&random);
        Ok(BotId(format!("{BOT_PREFIX}{name}").into()))
    }

    /// Reads an id.
    pub fn parse(text: &str) -> Option<Self> {
        let name = text.strip_prefix(BOT_PREFIX)?;
        let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_".contains(&byte);
        let is_id = BOT_CHARACTERS.contains(&name.len()) && name.bytes().all(is_plain);
        is_id.then(|| BotId(text.into()))
    }

    /// With its prefix.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

macro_rules! as_written {
    ($($name:ty),*) => {$(
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    )*};
}

as_written!(SolanaAddress, BotId);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_id_that_is_made_up_for_a_bot_is_one() {
        let id = BotId::generate().unwrap();
        assert_eq!(BotId::parse(id.as_str()), Some(id.clone()));
        assert_ne!(BotId::generate().unwrap(), id);
    }
}
