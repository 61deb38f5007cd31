//! How a sender proves that a delivery is its own: a signature over the body, with a secret that both know.
//!
//! | scheme | header | what is signed | how it is spelled |
//! |---|---|---|---|
//! | GitHub's | `X-Hub-Signature-256` | the body | `sha256=<hex>` |
//! | Stripe's | `Stripe-Signature` | `<t>.<body>` | `t=<seconds>,v1=<hex>`, `v1` any number of times |
//! | Standard Webhooks | `webhook-signature`, `webhook-id`, `webhook-timestamp` | `<id>.<timestamp>.<body>` | `v1,<base64>`, any number of times with spaces between |
//!
//! All are HMAC with SHA-256. Where a time is signed it has to be near ours, before or behind it.

use std::time::Duration;

use aws_lc_rs::hmac;
use axum::http::HeaderMap;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use jiff::Timestamp;
use secrecy::{ExposeSecret, SecretString};
use subtle::{Choice, ConstantTimeEq};

/// How the senders of an endpoint sign, and with what.
#[derive(Clone, Debug)]
pub struct Verification {
    pub scheme: Scheme,
    secrets: Vec<SigningSecret>,
}

/// Who has thought of the way to sign.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scheme {
    GitHub,
    Stripe,
    /// <https://www.standardwebhooks.com>
    Standard,
}

/// What a sender signs with, as its owner is shown it. Does not print.
#[derive(Clone, Debug)]
pub struct SigningSecret(SecretString);

/// Why a text is no secret of a scheme.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadSigningSecret {
    #[error("it is empty")]
    Empty,
    #[error("it is longer than 1024 bytes, or has control characters in it")]
    Strange,
    #[error("expected whsec_ and 16 to 64 bytes in base64, as Standard Webhooks has them")]
    NotStandard,
}

/// More secrets than may be active at a time, or none.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("one secret is active, or two while they are changed")]
pub struct TooManySecrets;

/// Why a delivery is not taken for its sender's own. Nobody is told which; it is for log lines.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadSignature {
    #[error("there is none, or it cannot be read")]
    Missing,
    #[error("it was made too long ago, or for a time to come")]
    OutOfTime,
    #[error("it is not one by an active secret")]
    Wrong,
}

/// Two: the new one, and the one before it until the sender has changed, too.
const ACTIVE: usize = 2;
const SECRET_BYTES: usize = 1024;

impl Verification {
    /// With these secrets, all of which are active.
    pub fn new(scheme: Scheme, secrets: Vec<SigningSecret>) -> Result<Self, TooManySecrets> {
        match (1..=ACTIVE).contains(&secrets.len()) {
            true => Ok(Verification { scheme, secrets }),
            false => Err(TooManySecrets),
        }
    }

    /// The active secrets, for whoever keeps them: a signature can only be checked with the secret itself.
    pub fn secrets(&self) -> &[SigningSecret] {
        &self.secrets
    }

    /// The same with a newer secret, beside the newest of those before.
    pub fn renewed(&self, newer: SigningSecret) -> Self {
        let before = self.secrets.first().cloned();
        Verification {
            scheme: self.scheme,
            secrets: [newer].into_iter().chain(before).collect(),
        }
    }

    /// Checks the signature of a delivery.
    pub fn check(
        &self,
        headers: &HeaderMap,
        body: &[u8],
        now: Timestamp,
        tolerance: Duration,
    ) -> Result<(), BadSignature> {
        let claim = Claim::of(self.scheme, headers).ok_or(BadSignature::Missing)?;
        let is_signed = self.secrets.iter().fold(Choice::from(0), |found, secret| {
            let tag = claim.tag(&secret.key(self.scheme), body);
            let same = claim.signatures.iter();
            same.fold(found, |found, one| found | one[..].ct_eq(tag.as_ref()))
        });
        // The time last: it says something of our clock to whoever knows a secret, and to nobody else.
        match bool::from(is_signed) {
            false => Err(BadSignature::Wrong),
            true if claim.is_timely(now, tolerance) => Ok(()),
            true => Err(BadSignature::OutOfTime),
        }
    }
}

impl PartialEq for Verification {
    fn eq(&self, other: &Self) -> bool {
        let texts = |one: &Self| -> Vec<String> {
            let secrets = one.secrets.iter();
            secrets.map(|secret| secret.reveal().to_owned()).collect()
        };
        self.scheme == other.scheme && texts(self) == texts(other)
    }
}

impl Scheme {
    /// All schemes, in the order in which they are listed.
    pub const ALL: [Scheme; 3] = [Scheme::GitHub, Scheme::Stripe, Scheme::Standard];

    /// The word for it in the store and on the command line.
    pub fn as_str(self) -> &'static str {
        match self {
            Scheme::GitHub => "github",
            Scheme::Stripe => "stripe",
            Scheme::Standard => "standard",
        }
    }

    /// Reads the word.
    pub fn parse(text: &str) -> Option<Self> {
        let mut schemes = Scheme::ALL.into_iter();
        schemes.find(|scheme| scheme.as_str() == text)
    }
}

impl SigningSecret {
    /// Reads a secret as its owner is shown it, without the space around it.
    pub fn parse(scheme: Scheme, text: &str) -> Result<Self, BadSigningSecret> {
        let text = text.trim();
        if text.is_empty() {
            return Err(BadSigningSecret::Empty);
        }
        if text.len() > SECRET_BYTES || text.contains(char::is_control) {
            return Err(BadSigningSecret::Strange);
        }
        if scheme == Scheme::Standard
            && !standard_key(text).is_some_and(|key| (16..=64).contains(&key.len()))
        {
            return Err(BadSigningSecret::NotStandard);
        }
        Ok(SigningSecret(text.into()))
    }

    /// For whoever keeps it.
    pub fn reveal(&self) -> &str {
        self.0.expose_secret()
    }

    fn key(&self, scheme: Scheme) -> hmac::Key {
        let key = match scheme {
            Scheme::GitHub | Scheme::Stripe => self.reveal().as_bytes().to_vec(),
            Scheme::Standard => standard_key(self.reveal()).expect("it was read as one"),
        };
        hmac::Key::new(hmac::HMAC_SHA256, &key)
    }
}

/// The key in `whsec_<base64>`; the prefix is left out by some.
fn standard_key(text: &str) -> Option<Vec<u8>> {
    let text = text.strip_prefix("whsec_").unwrap_or(text);
    STANDARD.decode(text).ok()
}

/// What the headers of a delivery say.
struct Claim<'a> {
    /// What is signed before the body.
    before_body: Vec<&'a str>,
    /// In Unix seconds, where a time is signed.
    time: Option<i64>,
    /// Those that are as long as one is.
    signatures: Vec<[u8; 32]>,
}

impl<'a> Claim<'a> {
    /// `None` if there is none, or it cannot be read.
    fn of(scheme: Scheme, headers: &'a HeaderMap) -> Option<Self> {
        let text = |name: &str| headers.get(name)?.to_str().ok();
        let claim = match scheme {
            Scheme::GitHub => {
                let signature = text("x-hub-signature-256")?.strip_prefix("sha256=")?;
                Claim {
                    before_body: Vec::new(),
                    time: None,
                    signatures: hex(signature).into_iter().collect(),
                }
            }
            Scheme::Stripe => {
                let parts = text("stripe-signature")?.split(',');
                let parts = parts.filter_map(|part| part.trim().split_once('='));
                let (_, time) = parts.clone().find(|(name, _)| *name == "t")?;
                let signatures = parts.filter(|(name, _)| *name == "v1");
                Claim {
                    before_body: vec![time, "."],
                    time: Some(time.parse().ok()?),
                    signatures: signatures.filter_map(|(_, one)| hex(one)).collect(),
                }
            }
            Scheme::Standard => {
                let time = text("webhook-timestamp")?;
                let signatures = text("webhook-signature")?.split(' ');
                let signatures = signatures.filter_map(|one| one.strip_prefix("v1,"));
                let signatures = signatures.filter_map(|one| STANDARD.decode(one).ok());
                Claim {
                    before_body: vec![text("webhook-id")?, ".", time, "."],
                    time: Some(time.parse().ok()?),
                    signatures: signatures.filter_map(|one| one.try_into().ok()).collect(),
                }
            }
        };
        (!claim.signatures.is_empty()).then_some(claim)
    }

    fn tag(&self, key: &hmac::Key, body: &[u8]) -> hmac::Tag {
        let mut context = hmac::Context::with_key(key);
        for part in &self.before_body {
            context.update(part.as_bytes());
        }
        context.update(body);
        context.sign()
    }

    fn is_timely(&self, now: Timestamp, tolerance: Duration) -> bool {
        self.time
            .is_none_or(|time| now.as_second().abs_diff(time) <= tolerance.as_secs())
    }
}

fn hex(text: &str) -> Option<[u8; 32]> {
    let mut bytes = [0; 32];
    let well_formed = text.len() == 64 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    for (byte, pair) in bytes.iter_mut().zip(text.as_bytes().chunks_exact(2)) {
        *byte = u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok()?;
    }
    well_formed.then_some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const TOLERANCE: Duration = Duration::from_secs(300);

    fn verification(scheme: Scheme, secrets: &[&str]) -> Verification {
        let secrets = secrets.iter();
        let secrets = secrets.map(|text| SigningSecret::parse(scheme, text).unwrap());
        Verification::new(scheme, secrets.collect()).unwrap()
    }

    fn check(
        verification: &Verification,
        headers: &[(&'static str, &str)],
        body: &str,
        now: i64,
    ) -> Result<(), BadSignature> {
        let headers = headers.iter();
        let headers = headers.map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap()));
        let now = Timestamp::from_second(now).unwrap();
        verification.check(&headers.collect(), body.as_bytes(), now, TOLERANCE)
    }

    /// The values that GitHub's documentation gives for whoever tests an implementation.
    #[test]
    fn what_github_signs_is_known() {
        let secret = verification(Scheme::GitHub, &["It's a Secret to Everybody"]);
        let signature = "sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17";
        let headers = [("x-hub-signature-256", signature)];
        assert_eq!(check(&secret, &headers, "Hello, World!", 0), Ok(()));
        let wrong = Err(BadSignature::Wrong);
        assert_eq!(check(&secret, &headers, "Hello, World", 0), wrong);
        let other = verification(Scheme::GitHub, &["another"]);
        assert_eq!(check(&other, &headers, "Hello, World!", 0), wrong);
        for bad in [&[][..], &[("x-hub-signature-256", &signature[7..])][..]] {
            let missing = Err(BadSignature::Missing);
            assert_eq!(check(&secret, bad, "Hello, World!", 0), missing);
        }
    }

    const STRIPE: &str = "4abc68f0a7f09651a675caf0dd0f397163be490ac74d4a8439547a6e2fcc3986";
    const EVENT: &str = "{\n  \"id\": \"evt_test_webhook\",\n  \"object\": \"event\"\n}";

    /// The body is that of the tests of Stripe's libraries; the signature is Python's `hmac`'s.
    #[test]
    fn what_stripe_signs_is_known_and_timely() {
        let secret = verification(Scheme::Stripe, &["whsec_test_secret"]);
        let (now, old) = (1_795_375_882, "0".repeat(64));
        for spelled in [
            format!("t={now},v1={STRIPE}"),
            format!("t={now},v1={old},v1={STRIPE},v0={old}"),
            format!("v1={STRIPE}, t={now}"),
        ] {
            let headers = [("stripe-signature", spelled.as_str())];
            for at in [now, now + 300, now - 300] {
                assert_eq!(check(&secret, &headers, EVENT, at), Ok(()), "{spelled}");
            }
            for at in [now + 301, now - 301] {
                let late = Err(BadSignature::OutOfTime);
                assert_eq!(check(&secret, &headers, EVENT, at), late);
            }
        }
        for spelled in [
            format!("t={now},v0={STRIPE}"),
            format!("v1={STRIPE}"),
            format!("t=soon,v1={STRIPE}"),
        ] {
            let headers = [("stripe-signature", spelled.as_str())];
            let missing = Err(BadSignature::Missing);
            assert_eq!(check(&secret, &headers, EVENT, now), missing, "{spelled}");
        }
        let moved = format!("t={},v1={STRIPE}", now + 1);
        let headers = [("stripe-signature", moved.as_str())];
        let wrong = Err(BadSignature::Wrong);
        assert_eq!(check(&secret, &headers, EVENT, now), wrong);
    }

    /// The example that the libraries of Standard Webhooks, and of Svix before, are tested with.
    #[test]
    fn what_standard_webhooks_sign_is_known_and_timely() {
        let now = 1_614_265_330;
        let body = r#"{"test": 2432232314}"#;
        let signature = "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=";
        let several = format!("v1,bm9uZQ== v1a,{} {signature}", &signature[3..]);
        for secret in [
            "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
            "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
        ] {
            let secret = verification(Scheme::Standard, &[secret]);
            for signature in [signature, &several] {
                let headers = [
                    ("webhook-id", "msg_p5jXN8AQM9LWM0D4loKWxJek"),
                    ("webhook-timestamp", "1614265330"),
                    ("webhook-signature", signature),
                ];
                assert_eq!(check(&secret, &headers, body, now), Ok(()));
                assert_eq!(
                    check(&secret, &headers, body, now + 301),
                    Err(BadSignature::OutOfTime)
                );
                assert_eq!(
                    check(&secret, &headers[1..], body, now),
                    Err(BadSignature::Missing)
                );
                let other = [("webhook-id", "msg_other"), headers[1], headers[2]];
                assert_eq!(check(&secret, &other, body, now), Err(BadSignature::Wrong));
            }
        }
    }

    #[test]
    fn two_secrets_are_active_while_they_are_changed() {
        let headers = [("stripe-signature", &*format!("t=1795375882,v1={STRIPE}"))];
        let before = verification(Scheme::Stripe, &["whsec_test_secret"]);
        let newer = |text| SigningSecret::parse(Scheme::Stripe, text).unwrap();
        let both = before.renewed(newer("whsec_newer"));
        assert_eq!(check(&both, &headers, EVENT, 1_795_375_882), Ok(()));
        let after = both.renewed(newer("whsec_newest"));
        let wrong = Err(BadSignature::Wrong);
        assert_eq!(check(&after, &headers, EVENT, 1_795_375_882), wrong);
        assert_eq!(after.secrets().len(), 2);
        assert!(Verification::new(Scheme::Stripe, Vec::new()).is_err());
    }

    #[test]
    fn a_secret_is_one_of_its_scheme_and_does_not_print() {
        let parse = |scheme, text: &str| SigningSecret::parse(scheme, text).map(|_| ());
        assert_eq!(parse(Scheme::GitHub, " \n"), Err(BadSigningSecret::Empty));
        assert_eq!(
            parse(Scheme::GitHub, "a\nb"),
            Err(BadSigningSecret::Strange)
        );
        assert_eq!(parse(Scheme::GitHub, "any text\n"), Ok(()));
        for bad in ["whsec_", "whsec_not base64", "whsec_c2hvcnQ="] {
            let why = Err(BadSigningSecret::NotStandard);
            assert_eq!(parse(Scheme::Standard, bad), why, "{bad}");
        }
        let secret = SigningSecret::parse(Scheme::GitHub, "hush").unwrap();
        assert!(!format!("{secret:?}").contains("hush"));
    }

    proptest! {
        #[test]
        fn no_header_makes_the_check_panic(text in "[ -~]{0,120}") {
            for scheme in Scheme::ALL {
                let secret = "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
                let verification = verification(scheme, &[secret]);
                let names = [
                    "x-hub-signature-256", "stripe-signature",
                    "webhook-id", "webhook-timestamp", "webhook-signature",
                ];
                let headers = names.map(|name| (name, text.as_str()));
                prop_assert!(check(&verification, &headers, "", 0).is_err());
            }
        }
    }
}
