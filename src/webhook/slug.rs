//! The part of an endpoint's URL that nobody guesses.

use std::fmt;

use secrecy::{ExposeSecret, SecretString};

use crate::auth::{KeyDigest, random_letters};

/// The last part of the URL that webhooks are posted to: whoever knows it may post. Does not print.
#[derive(Clone, Debug)]
pub struct Slug(SecretString);

/// SHA-256 of a slug: all that is kept of it.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct SlugDigest(KeyDigest);

/// Letters and digits: 238 bits of chance.
const LENGTH: usize = 40;

impl Slug {
    /// A new one, of the operating system's randomness.
    pub fn generate() -> Result<Self, getrandom::Error> {
        random_letters(LENGTH).map(|letters| Slug(letters.into()))
    }

    /// Reads one as it stands in a URL; `None` for what is none.
    pub fn parse(text: &str) -> Option<Self> {
        let well_formed =
            text.len() == LENGTH && text.bytes().all(|byte| byte.is_ascii_alphanumeric());
        well_formed.then(|| Slug(text.into()))
    }

    /// The slug itself. Its owner is shown it once.
    pub fn reveal(&self) -> &str {
        self.0.expose_secret()
    }

    /// What is kept of it, and what its endpoint is found by.
    pub fn digest(&self) -> SlugDigest {
        SlugDigest(KeyDigest::of(self.reveal()))
    }
}

impl SlugDigest {
    /// Reads 64 hexadecimal digits.
    pub fn parse(hex: &str) -> Option<Self> {
        KeyDigest::parse(hex).map(SlugDigest)
    }

    /// The same as `==`, in a time that tells nothing of where they differ.
    pub(super) fn is(&self, other: &SlugDigest) -> bool {
        self.0.is(&other.0)
    }
}

impl fmt::Display for SlugDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Debug for SlugDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn what_is_generated_is_a_slug_that_does_not_print() {
        let slug = Slug::generate().unwrap();
        let text = slug.reveal();
        assert_eq!(Slug::parse(text).unwrap().digest(), slug.digest());
        assert!(!format!("{slug:?}").contains(text));
        assert_ne!(Slug::generate().unwrap().digest(), slug.digest());
    }

    proptest! {
        #[test]
        fn what_is_no_slug_is_found_out(text in ".{0,60}") {
            let plain = text.len() == LENGTH && text.bytes().all(|byte| byte.is_ascii_alphanumeric());
            prop_assert_eq!(Slug::parse(&text).is_some(), plain);
        }
    }
}
