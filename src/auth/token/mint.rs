//! Making tokens: for development, and for demonstrations.

use std::fmt::Write as _;

use jiff::Timestamp;
use jsonwebtoken::jwk::Jwk;
use jsonwebtoken::{Algorithm, AlgorithmFamily, EncodingKey, Header};
use secrecy::{ExposeSecret, SecretString};
use serde_json::{Map, Value, json};

use super::config::ClaimNames;
use super::key::MIN_SECRET_BYTES;
use super::key_file;
use crate::auth::identity::Scope;
use crate::topic::{AccountId, UserId};

/// What a new token says.
#[derive(Clone, Debug)]
pub struct Claims {
    pub account: Option<AccountId>,
    pub user: Option<UserId>,
    /// Empty is unrestricted.
    pub scopes: Vec<Scope>,
    /// `iss`
    pub issuer: Option<String>,
    /// `aud`
    pub audience: Option<String>,
    pub expires_at: Timestamp,
    /// What the claims are called that say who the bearer is.
    pub names: ClaimNames,
}

/// What tokens are signed with. Does not print.
#[derive(Clone, Debug)]
pub struct SigningKey {
    key: EncodingKey,
    algorithm: Algorithm,
    id: Option<String>,
}

/// Why there is no token. None of it repeats the key.
#[derive(Debug, thiserror::Error)]
pub enum MintError {
    #[error("a secret has {MIN_SECRET_BYTES} bytes or more (`openssl rand -hex 32` prints one)")]
    ShortSecret,
    #[error("no private key in PEM of RSA (2048 bits or more), P-256, P-384 or Ed25519, in PKCS#8")]
    NotPrivate,
    #[error(
        "a key in the old format; `openssl pkcs8 -topk8 -nocrypt -in FILE` writes it in the new one"
    )]
    OldFormat,
    #[error("an encrypted key; `openssl pkey -in FILE` prints it as it is")]
    Encrypted,
    #[error("{0:?} does not go with this key")]
    WrongAlgorithm(Algorithm),
    #[error("{0}")]
    Signing(#[from] jsonwebtoken::errors::Error),
}

/// Makes a token, issued now.
pub fn mint(claims: &Claims, key: &SigningKey) -> Result<SecretString, MintError> {
    let mut header = Header::new(key.algorithm);
    header.kid = key.id.clone();
    Ok(jsonwebtoken::encode(&header, &claims.to_json(), &key.key)?.into())
}

/// A secret that nobody can guess: 32 bytes in hexadecimal.
pub fn new_secret() -> Result<SecretString, getrandom::Error> {
    let mut bytes = [0; MIN_SECRET_BYTES];
    getrandom::fill(&mut bytes)?;
    let mut hex = String::with_capacity(2 * bytes.len());
    for byte in bytes {
        let _ = write!(hex, "{byte:02x}");
    }
    Ok(hex.into())
}

impl Claims {
    fn to_json(&self) -> Value {
        let mut claims = Map::new();
        let mut claim = |name: &str, value: Option<Value>| {
            claims.extend(value.map(|value| (name.to_owned(), value)));
        };
        claim(
            &self.names.account,
            self.account.map(|account| json!(account.to_string())),
        );
        claim(&self.names.user, self.user.map(|user| json!(user.get())));
        if !self.scopes.is_empty() {
            let words: Vec<_> = self.scopes.iter().map(|scope| scope.as_str()).collect();
            claim(&self.names.scope, Some(json!(words.join(" "))));
        }
        claim("iss", self.issuer.as_ref().map(|issuer| json!(issuer)));
        claim(
            "aud",
            self.audience.as_ref().map(|audience| json!(audience)),
        );
        claim("iat", Some(json!(Timestamp::now().as_second())));
        claim("exp", Some(json!(self.expires_at.as_second())));
        Value::Object(claims)
    }
}

impl SigningKey {
    /// A secret, for HS256 until another is asked for.
    pub fn of_secret(secret: &SecretString) -> Result<Self, MintError> {
        Self::of_secret_bytes(secret.expose_secret().as_bytes())
    }

    /// The secret in a file: all of it but the end of its line.
    pub fn of_secret_file(content: &[u8]) -> Result<Self, MintError> {
        Self::of_secret_bytes(key_file::secret(content))
    }

    fn of_secret_bytes(secret: &[u8]) -> Result<Self, MintError> {
        match secret.len() >= MIN_SECRET_BYTES {
            true => Ok(SigningKey::of(
                EncodingKey::from_secret(secret),
                Algorithm::HS256,
            )),
            false => Err(MintError::ShortSecret),
        }
    }

    /// A private key in PEM, for the first algorithm of its kind.
    pub fn of_pem(pem: &[u8]) -> Result<Self, MintError> {
        let has = |label: &[u8]| pem.windows(label.len()).any(|window| window == label);
        if has(b"ENCRYPTED") {
            return Err(MintError::Encrypted);
        }
        if has(b"BEGIN EC PRIVATE KEY") {
            return Err(MintError::OldFormat);
        }
        if !has(b"PRIVATE KEY-----") {
            return Err(MintError::NotPrivate);
        }
        // The library wants to be told what it will find, and finds out only when it is used.
        let keys = [
            (EncodingKey::from_ed_pem(pem), Algorithm::EdDSA),
            (EncodingKey::from_ec_pem(pem), Algorithm::ES256),
            (EncodingKey::from_ec_pem(pem), Algorithm::ES384),
            (EncodingKey::from_rsa_pem(pem), Algorithm::RS256),
        ];
        let mut keys = keys.into_iter().filter_map(|(key, algorithm)| {
            let key = SigningKey::of(key.ok()?, algorithm);
            key.signs().then_some(key)
        });
        keys.next().ok_or(MintError::NotPrivate)
    }

    fn of(key: EncodingKey, algorithm: Algorithm) -> Self {
        SigningKey {
            key,
            algorithm,
            id: None,
        }
    }

    /// The same key with another algorithm.
    pub fn with_algorithm(self, algorithm: Algorithm) -> Result<Self, MintError> {
        // What the other side would not take is not made here (RFC 7518, section 3.2).
        let least_bytes = match algorithm {
            Algorithm::HS384 => 48,
            Algorithm::HS512 => 64,
            _ => 0,
        };
        let is_long =
            self.key.family() != AlgorithmFamily::Hmac || self.key.as_bytes().len() >= least_bytes;
        let key = SigningKey { algorithm, ..self };
        match is_long && key.signs() {
            true => Ok(key),
            false => Err(MintError::WrongAlgorithm(algorithm)),
        }
    }

    /// The same key, which its tokens call this (`kid`).
    pub fn with_id(self, id: String) -> Self {
        SigningKey {
            id: Some(id),
            ..self
        }
    }

    /// What it signs with.
    pub fn algorithm(&self) -> Algorithm {
        self.algorithm
    }

    fn signs(&self) -> bool {
        let is_sound = match self.key.family() {
            AlgorithmFamily::Rsa => Jwk::from_encoding_key(&self.key, self.algorithm).is_ok(),
            _ => true,
        };
        is_sound && jsonwebtoken::crypto::sign(b"", &self.key, self.algorithm).is_ok()
    }
}
