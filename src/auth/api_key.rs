//! API keys as Blink has them: `<prefix>_` and 64 letters and digits.

use std::fmt;

use jiff::Timestamp;
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Deserializer};
use sha2::{Digest as _, Sha256};
use uuid::Uuid;

use super::Scopes;
use crate::topic::{AccountId, UserId};

/// The part of a key behind its prefix. Does not print.
#[derive(Clone, Debug)]
pub struct ApiKey(SecretString);

/// What stands before the underscore: which deployment a key belongs to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyPrefix(String);

/// SHA-256 of the 64 characters behind the prefix: all that is kept of a key.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct KeyDigest([u8; 32]);

/// What is kept of a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyRecord {
    pub id: Uuid,
    /// What its owner calls it.
    pub name: Option<String>,
    pub account: AccountId,
    /// The rewards user that its owner is, too.
    pub user: Option<UserId>,
    pub scopes: Scopes,
    pub digest: KeyDigest,
    pub created_at: Timestamp,
    /// `None` for a key that lasts until it is revoked.
    pub expires_at: Option<Timestamp>,
    pub revoked_at: Option<Timestamp>,
}

/// Whether a key opens anything.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyState {
    Active,
    Revoked,
    Expired,
}

const ALPHABET: &[u8; 62] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";
const LENGTH: usize = 64;

impl ApiKey {
    /// A new key, of the operating system's randomness.
    pub fn generate() -> Result<Self, getrandom::Error> {
        random_letters(LENGTH).map(|code| ApiKey(code.into()))
    }

    /// Reads a key of the deployment with this prefix.
    pub fn parse(text: &str, prefix: &KeyPrefix) -> Option<Self> {
        let code = text.strip_prefix(&prefix.0)?.strip_prefix('_')?;
        let well_formed =
            code.len() == LENGTH && code.bytes().all(|byte| byte.is_ascii_alphanumeric());
        well_formed.then(|| ApiKey(code.into()))
    }

    /// The key in full. Its owner is shown it once.
    pub fn reveal(&self, prefix: &KeyPrefix) -> SecretString {
        format!("{}_{}", prefix.0, self.0.expose_secret()).into()
    }

    /// What is kept of it, and what it is found by.
    pub fn digest(&self) -> KeyDigest {
        KeyDigest::of(self.0.expose_secret())
    }
}

/// So many letters and digits that nobody guesses, of the operating system's randomness.
pub(crate) fn random_letters(length: usize) -> Result<String, getrandom::Error> {
    let mut letters = String::with_capacity(length);
    let mut random = [0; 2 * LENGTH];
    while letters.len() < length {
        getrandom::fill(&mut random)?;
        // Six bits choose one of 64; the two that are no letter are thrown away, as a remainder
        // of the division by 62 would make some letters likelier than others.
        let chosen = random
            .iter()
            .filter_map(|byte| ALPHABET.get(usize::from(byte & 63)));
        let missing = length - letters.len();
        letters.extend(chosen.take(missing).map(|letter| char::from(*letter)));
    }
    Ok(letters)
}

impl KeyPrefix {
    /// Reads letters, digits and underscores.
    pub fn parse(text: &str) -> Option<Self> {
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
        (!text.is_empty() && text.bytes().all(plain)).then(|| KeyPrefix(text.to_owned()))
    }
}

impl<'de> Deserialize<'de> for KeyPrefix {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        KeyPrefix::parse(&text).ok_or_else(|| {
            serde::de::Error::custom("expected letters, digits and underscores, such as \"blink\"")
        })
    }
}

impl KeyDigest {
    /// Of a secret that is looked up by its digest.
    pub(crate) fn of(secret: &str) -> Self {
        KeyDigest(Sha256::digest(secret).into())
    }

    /// Reads 64 hexadecimal digits.
    pub fn parse(hex: &str) -> Option<Self> {
        let mut digest = [0; 32];
        let well_formed = hex.len() == 64 && hex.bytes().all(|byte| byte.is_ascii_hexdigit());
        for (byte, pair) in digest.iter_mut().zip(hex.as_bytes().chunks_exact(2)) {
            let pair = std::str::from_utf8(pair).ok()?;
            *byte = u8::from_str_radix(pair, 16).ok()?;
        }
        well_formed.then_some(KeyDigest(digest))
    }

    /// The same as `==`, in a time that tells nothing of where they differ.
    pub(crate) fn is(&self, other: &KeyDigest) -> bool {
        subtle::ConstantTimeEq::ct_eq(&self.0[..], &other.0[..]).into()
    }
}

impl fmt::Display for KeyDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for KeyDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

impl KeyRecord {
    /// Whether the key opens anything at this time.
    pub fn state(&self, now: Timestamp) -> KeyState {
        if self.revoked_at.is_some() {
            KeyState::Revoked
        } else if self.expires_at.is_some_and(|end| end <= now) {
            KeyState::Expired
        } else {
            KeyState::Active
        }
    }
}

impl KeyState {
    /// The word for it.
    pub fn as_str(self) -> &'static str {
        match self {
            KeyState::Active => "active",
            KeyState::Revoked => "revoked",
            KeyState::Expired => "expired",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn prefix(text: &str) -> KeyPrefix {
        KeyPrefix::parse(text).unwrap()
    }

    #[test]
    fn what_is_generated_is_a_key_and_no_two_are_the_same() {
        let (one, other) = (ApiKey::generate().unwrap(), ApiKey::generate().unwrap());
        let text = one.reveal(&prefix("blink"));
        let read = ApiKey::parse(text.expose_secret(), &prefix("blink")).unwrap();
        assert_eq!(read.digest(), one.digest());
        assert_ne!(one.digest(), other.digest());
    }

    #[test]
    fn every_letter_is_as_likely_as_another() {
        let mut counts = std::collections::HashMap::new();
        for _ in 0..1000 {
            for letter in ApiKey::generate().unwrap().0.expose_secret().chars() {
                *counts.entry(letter).or_insert(0) += 1;
            }
        }
        // 1032 of each, give or take ten times their standard deviation.
        assert_eq!(counts.len(), 62);
        assert!(
            counts.values().all(|count| (711..1353).contains(count)),
            "{counts:?}"
        );
    }

    #[test]
    fn the_digest_is_the_sha_256_of_what_stands_behind_the_prefix() {
        let text = format!("galoy_staging_{}", "a".repeat(64));
        let key = ApiKey::parse(&text, &prefix("galoy_staging")).unwrap();
        let sha_256 = "ffe054fe7ae0cb6dc65c3af9b61d5209f439851db43d0ba5997337df154668eb";
        assert_eq!(key.digest().to_string(), sha_256);
        assert_eq!(KeyDigest::parse(sha_256), Some(key.digest()));
        assert!(key.digest().is(&KeyDigest::parse(sha_256).unwrap()));
    }

    #[test]
    fn the_key_of_another_deployment_is_none_of_ours() {
        let code = "a".repeat(64);
        assert!(ApiKey::parse(&format!("blink_{code}"), &prefix("blink")).is_some());
        for text in [
            format!("galoy_{code}"),
            format!("blink{code}"),
            format!("blink_{code}a"),
            format!("blink_{}", &code[1..]),
            format!("blink_{}é", &code[2..]),
            format!("blink_{}_", &code[1..]),
            code,
            String::new(),
        ] {
            assert!(ApiKey::parse(&text, &prefix("blink")).is_none(), "{text}");
        }
    }

    #[test]
    fn a_key_does_not_print() {
        let key = ApiKey::parse(&format!("blink_{}", "a".repeat(64)), &prefix("blink")).unwrap();
        assert!(!format!("{key:?}").contains("aaa"), "{key:?}");
    }

    proptest! {
        #[test]
        fn no_text_makes_the_parsers_panic(text in ".{0,80}") {
            let _ = (ApiKey::parse(&text, &prefix("blink")), KeyDigest::parse(&text));
        }

        #[test]
        fn a_digest_is_read_as_it_is_printed(digest in any::<[u8; 32]>()) {
            let digest = KeyDigest(digest);
            prop_assert_eq!(KeyDigest::parse(&digest.to_string()), Some(digest));
        }
    }
}
