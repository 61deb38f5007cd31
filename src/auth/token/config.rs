//! `[jwt]`: whose tokens count, and by what rules.

use std::path::PathBuf;
use std::time::Duration;

use jsonwebtoken::Algorithm;
use secrecy::{ExposeSecret, SecretString};
use serde::de::Error as _;
use serde::{Deserialize, Deserializer};
use url::{Host, Url};

use super::key::MIN_SECRET_BYTES;
use super::key_file::FileKind;
use crate::auth::identity::Scope;

/// `[jwt]`. What is said of tokens here holds for every issuer that does not say otherwise.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct JwtConfig {
    pub issuers: Vec<IssuerConfig>,
    pub algorithms: Vec<Algorithm>,
    pub account_claim: String,
    pub user_claim: String,
    pub scope_claim: String,
    #[serde(deserialize_with = "scopes")]
    pub grantable_scopes: Vec<Scope>,
    #[serde(with = "humantime_serde")]
    pub leeway: Duration,
    #[serde(with = "humantime_serde")]
    pub expiry_jitter: Duration,
    #[serde(with = "humantime_serde")]
    pub file_interval: Duration,
    #[serde(with = "humantime_serde")]
    pub jwks_fresh_min: Duration,
    #[serde(with = "humantime_serde")]
    pub jwks_fresh_max: Duration,
    #[serde(with = "humantime_serde")]
    pub jwks_stale_for: Duration,
    #[serde(with = "humantime_serde")]
    pub jwks_interval: Duration,
    #[serde(with = "humantime_serde")]
    pub jwks_retry_min: Duration,
    #[serde(with = "humantime_serde")]
    pub jwks_retry_max: Duration,
    #[serde(with = "humantime_serde")]
    pub jwks_timeout: Duration,
    pub jwks_bytes: usize,
    #[serde(default)]
    pub ca_file: Option<PathBuf>,
}

/// One of `[[jwt.issuers]]`: whose tokens count, and by which keys they are known.
///
/// What is wrong with it is said without repeating it: there may be a secret in the wrong place.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct IssuerConfig {
    /// The claim `iss`. Without it, the issuer of all tokens that name no other.
    #[serde(deserialize_with = "optional_text")]
    pub issuer: Option<String>,
    /// What the claim `aud` must name one of. Empty if it does not matter.
    #[serde(deserialize_with = "texts")]
    pub audience: Vec<String>,
    #[serde(deserialize_with = "secrets")]
    pub hmac_secrets: Vec<SecretString>,
    #[serde(deserialize_with = "paths")]
    pub hmac_secret_files: Vec<PathBuf>,
    #[serde(deserialize_with = "paths")]
    pub pem_files: Vec<PathBuf>,
    #[serde(deserialize_with = "optional_path")]
    pub jwks_file: Option<PathBuf>,
    #[serde(deserialize_with = "jwks_url")]
    pub jwks_url: Option<Url>,
    #[serde(deserialize_with = "optional_algorithms")]
    pub algorithms: Option<Vec<Algorithm>>,
    #[serde(deserialize_with = "optional_text")]
    pub account_claim: Option<String>,
    #[serde(deserialize_with = "optional_text")]
    pub user_claim: Option<String>,
    #[serde(deserialize_with = "optional_text")]
    pub scope_claim: Option<String>,
    #[serde(deserialize_with = "optional_scopes")]
    pub grantable_scopes: Option<Vec<Scope>>,
}

/// What the claims are called that say who the bearer is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClaimNames {
    pub account: String,
    pub user: String,
    pub scope: String,
}

impl JwtConfig {
    /// What is wrong between settings that are right by themselves: the setting, and why.
    pub fn check(&self) -> Result<(), (String, &'static str)> {
        if self.jwks_fresh_min > self.jwks_fresh_max {
            let why = "expected no more than jwt.jwks_fresh_max";
            return Err(("jwt.jwks_fresh_min".to_owned(), why));
        }
        if self.jwks_retry_min > self.jwks_retry_max {
            let why = "expected no more than jwt.jwks_retry_max";
            return Err(("jwt.jwks_retry_min".to_owned(), why));
        }
        for (name, claim) in [
            ("account_claim", &self.account_claim),
            ("user_claim", &self.user_claim),
            ("scope_claim", &self.scope_claim),
        ] {
            if claim.is_empty() {
                return Err((format!("jwt.{name}"), "expected the name of a claim"));
            }
        }
        let none_is_allowed = "expected one algorithm at least: without, no token is good";
        if self.algorithms.is_empty() {
            return Err(("jwt.algorithms".to_owned(), none_is_allowed));
        }
        for (number, issuer) in self.issuers.iter().enumerate() {
            if issuer.algorithms.as_ref().is_some_and(Vec::is_empty) {
                return Err((format!("{}.algorithms", place(number)), none_is_allowed));
            }
            if !issuer.has_keys() {
                let why = "expected keys: hmac_secrets, hmac_secret_files, pem_files, jwks_file or jwks_url";
                return Err((place(number), why));
            }
        }
        Ok(())
    }

    /// What the claims of an issuer are called; of none in particular, what they are called here.
    pub fn claim_names(&self, issuer: Option<&IssuerConfig>) -> ClaimNames {
        let named = |own: Option<&String>, shared: &String| own.unwrap_or(shared).clone();
        ClaimNames {
            account: named(
                issuer.and_then(|own| own.account_claim.as_ref()),
                &self.account_claim,
            ),
            user: named(
                issuer.and_then(|own| own.user_claim.as_ref()),
                &self.user_claim,
            ),
            scope: named(
                issuer.and_then(|own| own.scope_claim.as_ref()),
                &self.scope_claim,
            ),
        }
    }
}

impl IssuerConfig {
    /// What may stand in `[[jwt.issuers]]`.
    pub const FIELDS: [&'static str; 12] = [
        "issuer",
        "audience",
        "hmac_secrets",
        "hmac_secret_files",
        "pem_files",
        "jwks_file",
        "jwks_url",
        "algorithms",
        "account_claim",
        "user_claim",
        "scope_claim",
        "grantable_scopes",
    ];

    /// One that signs with this secret, and is called nothing.
    pub fn of_secret(secret: SecretString) -> Self {
        IssuerConfig {
            hmac_secrets: vec![secret],
            ..IssuerConfig::default()
        }
    }

    /// Its files, and what is in each.
    pub(super) fn files(&self) -> impl Iterator<Item = (&PathBuf, FileKind)> {
        let secrets = self
            .hmac_secret_files
            .iter()
            .map(|path| (path, FileKind::Secret));
        let pems = self.pem_files.iter().map(|path| (path, FileKind::Pem));
        let sets = self.jwks_file.iter().map(|path| (path, FileKind::Jwks));
        secrets.chain(pems).chain(sets)
    }

    fn has_keys(&self) -> bool {
        !self.hmac_secrets.is_empty() || self.files().next().is_some() || self.jwks_url.is_some()
    }
}

/// Where the issuer of this number stands in the settings.
pub(super) fn place(number: usize) -> String {
    format!("jwt.issuers[{number}]")
}

/// Reads anything: serde's own errors would repeat what stands in the wrong place.
fn read<'de, D: Deserializer<'de>, T>(
    deserializer: D,
    expected: &str,
    as_expected: impl FnOnce(toml::Value) -> Option<T>,
) -> Result<T, D::Error> {
    let wrong = || D::Error::custom(format!("expected {expected}"));
    let value = toml::Value::deserialize(deserializer).map_err(|_| wrong())?;
    as_expected(value).ok_or_else(wrong)
}

fn text(value: toml::Value) -> Option<String> {
    match value {
        toml::Value::String(text) if !text.is_empty() => Some(text),
        _ => None,
    }
}

fn list<T>(value: toml::Value, item: impl Fn(toml::Value) -> Option<T>) -> Option<Vec<T>> {
    match value {
        toml::Value::Array(items) => items.into_iter().map(item).collect(),
        _ => None,
    }
}

fn optional_text<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<String>, D::Error> {
    read(deserializer, "some text", text).map(Some)
}

fn texts<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<String>, D::Error> {
    read(deserializer, "a list of texts", |value| list(value, text))
}

fn paths<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<PathBuf>, D::Error> {
    read(deserializer, "a list of files", |value| {
        list(value, |item| text(item).map(PathBuf::from))
    })
}

fn optional_path<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<PathBuf>, D::Error> {
    read(deserializer, "a file", |value| {
        text(value).map(PathBuf::from)
    })
    .map(Some)
}

fn secrets<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<SecretString>, D::Error> {
    let expected = "a list of secrets of 32 bytes or more (`openssl rand -hex 32` prints one)";
    let secret = |item| {
        let secret = SecretString::from(text(item)?);
        (secret.expose_secret().len() >= MIN_SECRET_BYTES).then_some(secret)
    };
    read(deserializer, expected, |value| list(value, secret))
}

/// Over the network without TLS, anybody could say which keys are good.
fn jwks_url<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Url>, D::Error> {
    let expected = "a URL such as \"https://issuer.example/.well-known/jwks.json\": https, or http on this \
                    machine, and no password";
    let is_here = |url: &Url| match url.host() {
        Some(Host::Domain(name)) => name == "localhost",
        Some(Host::Ipv4(ip)) => ip.is_loopback(),
        Some(Host::Ipv6(ip)) => ip.is_loopback(),
        None => false,
    };
    read(deserializer, expected, |value| {
        let url = Url::parse(&text(value)?).ok()?;
        let is_safe = url.scheme() == "https" || (url.scheme() == "http" && is_here(&url));
        let is_open = url.username().is_empty() && url.password().is_none();
        (is_safe && is_open).then_some(Some(url))
    })
}

fn optional_algorithms<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<Vec<Algorithm>>, D::Error> {
    let expected = "a list of algorithms such as [\"RS256\", \"ES256\"]";
    let algorithm = |item| text(item)?.parse().ok();
    read(deserializer, expected, |value| list(value, algorithm)).map(Some)
}

fn scopes<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<Scope>, D::Error> {
    let expected =
        "a list of scopes among \"read\", \"receive\", \"write\", \"publish\" and \"admin\"";
    let scope = |item| Scope::parse(&text(item)?);
    read(deserializer, expected, |value| list(value, scope))
}

fn optional_scopes<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<Vec<Scope>>, D::Error> {
    scopes(deserializer).map(Some)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wrong(text: &str) -> String {
        let error = toml::from_str::<IssuerConfig>(text).unwrap_err();
        error.message().to_owned()
    }

    #[test]
    fn the_list_of_fields_is_complete() {
        let said = wrong("nonsense = 1");
        for field in IssuerConfig::FIELDS {
            assert!(said.contains(&format!("`{field}`")), "{field}: {said}");
        }
        assert_eq!(
            said.matches('`').count(),
            2 * (IssuerConfig::FIELDS.len() + 1)
        );
    }

    #[test]
    fn keys_over_the_network_come_over_tls() {
        let url =
            |url: &str| toml::from_str::<IssuerConfig>(&format!("jwks_url = '{url}'")).is_ok();
        for good in [
            "https://issuer.example/jwks.json",
            "http://localhost:1/jwks.json",
            "http://127.0.0.1/jwks.json",
            "http://[::1]:80/",
        ] {
            assert!(url(good), "{good}");
        }
        for bad in [
            "http://issuer.example/jwks.json",
            "http://localhost.issuer.example/",
            "https://user:secret@issuer.example/",
            "file:///etc/jwks.json",
            "jwks.json",
            "",
        ] {
            assert!(!url(bad), "{bad}");
        }
    }

    #[test]
    fn no_error_repeats_what_was_written() {
        for field in IssuerConfig::FIELDS {
            for value in [
                "'hush'",
                "['hush']",
                "{ hush = 'hush' }",
                "[['hush']]",
                "31337",
            ] {
                if let Err(error) = toml::from_str::<IssuerConfig>(&format!("{field} = {value}")) {
                    let said = error.message();
                    assert!(!said.contains("hush") && !said.contains("31337"), "{said}");
                }
            }
        }
        let short = wrong("hmac_secrets = ['hush']");
        assert!(short.contains("32 bytes or more"), "{short}");
    }

    #[test]
    fn a_secret_does_not_print() {
        let issuer = IssuerConfig::of_secret("hush".into());
        assert!(!format!("{issuer:?}").contains("hush"));
    }
}
