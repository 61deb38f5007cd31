//! Keys that tell whether a signature is good, and what each may be used for.

use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use jsonwebtoken::jwk::{AlgorithmParameters, EllipticCurve, Jwk, KeyOperations, PublicKeyUse};
use jsonwebtoken::{Algorithm, DecodingKey, crypto};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, SubjectPublicKeyInfoDer};
use rustls::server::ParsedCertificate;
use serde::Deserialize;
use serde_json::value::RawValue;

use super::compact::Compact;
use crate::auth::reason::Reason;

/// A shorter secret can be guessed (RFC 7518, section 3.2).
pub(super) const MIN_SECRET_BYTES: usize = 32;

/// A key of an issuer.
#[derive(Clone)]
pub(super) struct Key {
    id: Option<String>,
    kind: Kind,
    /// The one algorithm that its owner says it is for.
    only: Option<Algorithm>,
    key: DecodingKey,
}

/// What a key is made of. It alone decides what the key may be used for, whatever a token says: a
/// public key is never taken for the secret of an HMAC.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Secret { bytes: usize },
    Rsa,
    P256,
    P384,
    Ed25519,
}

/// What is wrong with a key. None of it repeats the key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadKey {
    #[error("a secret has {MIN_SECRET_BYTES} bytes or more (`openssl rand -hex 32` prints one)")]
    ShortSecret,
    #[error("a private key; here belongs the public one (`openssl pkey -in FILE -pubout`)")]
    Private,
    #[error("more than one key; each has a file of its own")]
    Several,
    #[error("no public key or certificate in PEM")]
    NotPem,
    #[error("an RSA key has 2048 to 8192 bits")]
    RsaSize,
    #[error("no key of RSA, P-256, P-384 or Ed25519")]
    Unknown,
    #[error("not text")]
    NotText,
    #[error("no JSON Web Key Set")]
    NotJwks,
    #[error("no key in it can check a signature")]
    NoneUsable,
    #[error("more than {MAX_KEYS} keys")]
    TooMany,
}

/// Of one source. A token without `kid` is tried with each of them.
const MAX_KEYS: usize = 100;

impl Key {
    /// A secret that both sides know.
    pub(super) fn of_secret(secret: &[u8]) -> Result<Self, BadKey> {
        Key::of(DecodingKey::from_secret(secret), None, None)
    }

    /// A public key in PEM, or the one in a certificate: whose dates and issuer are not looked at.
    pub(super) fn of_pem(pem: &[u8]) -> Result<Self, BadKey> {
        let text = std::str::from_utf8(pem).map_err(|_| BadKey::NotText)?;
        if text.contains("PRIVATE KEY-----") {
            return Err(BadKey::Private);
        }
        if text.matches("-----BEGIN ").count() > 1 {
            return Err(BadKey::Several);
        }
        if text.contains("-----BEGIN RSA PUBLIC KEY-----") {
            let key = DecodingKey::from_rsa_pem(pem).map_err(|_| BadKey::Unknown)?;
            return Key::of(key, None, None);
        }
        let info = if text.contains("-----BEGIN CERTIFICATE-----") {
            let certificate = CertificateDer::from_pem_slice(pem).map_err(|_| BadKey::NotPem)?;
            let parsed = ParsedCertificate::try_from(&certificate).map_err(|_| BadKey::NotPem)?;
            parsed.subject_public_key_info()
        } else {
            SubjectPublicKeyInfoDer::from_pem_slice(pem).map_err(|_| BadKey::NotPem)?
        };
        Key::of(of_info(&info)?, None, None)
    }

    /// A key of a set, if it is one that checks signatures.
    fn of_jwk(jwk: &Jwk) -> Result<Self, BadKey> {
        let common = &jwk.common;
        let checks = match &common.key_operations {
            Some(operations) => operations.contains(&KeyOperations::Verify),
            None => true,
        };
        let signs =
            !matches!(&common.public_key_use, Some(other) if *other != PublicKeyUse::Signature);
        let only = common.key_algorithm.map(Algorithm::try_from).transpose();
        let curve_fits = match &jwk.algorithm {
            AlgorithmParameters::OctetKeyPair(pair) => pair.curve == EllipticCurve::Ed25519,
            AlgorithmParameters::EllipticCurve(point) => {
                matches!(point.curve, EllipticCurve::P256 | EllipticCurve::P384)
            }
            AlgorithmParameters::RSA(_) | AlgorithmParameters::OctetKey(_) => true,
            _ => false,
        };
        let (true, true, true, Ok(only)) = (checks, signs, curve_fits, only) else {
            return Err(BadKey::Unknown);
        };
        let key = DecodingKey::from_jwk(jwk).map_err(|_| BadKey::Unknown)?;
        Key::of(key, common.key_id.clone(), only)
    }

    fn of(key: DecodingKey, id: Option<String>, only: Option<Algorithm>) -> Result<Self, BadKey> {
        let kind = Kind::of(&key)?;
        let key = Key {
            id,
            kind,
            only,
            key,
        };
        match only {
            Some(algorithm) if !key.kind.fits(algorithm) => Err(BadKey::Unknown),
            _ => Ok(key),
        }
    }

    /// Whether this key may be used with this algorithm.
    fn fits(&self, algorithm: Algorithm) -> bool {
        self.kind.fits(algorithm) && self.only.is_none_or(|only| only == algorithm)
    }

    /// Whether it may be the key that this `kid` means.
    fn may_be(&self, id: Option<&str>) -> bool {
        match (&self.id, id) {
            (Some(own), Some(id)) => own == id,
            _ => true,
        }
    }

    /// Whether it was this key that signed.
    fn has_signed(&self, token: &Compact<'_>, algorithm: Algorithm) -> bool {
        let message = token.message.as_bytes();
        crypto::verify(token.signature, message, &self.key, algorithm).unwrap_or(false)
    }
}

/// The key in what X.509 calls a subject public key info.
fn of_info(info: &SubjectPublicKeyInfoDer<'_>) -> Result<DecodingKey, BadKey> {
    let body = STANDARD.encode(info);
    let pem = format!("-----BEGIN PUBLIC KEY-----\n{body}\n-----END PUBLIC KEY-----\n");
    let pem = pem.as_bytes();
    // The library does not look at the curve, and wants to be told what it will find.
    let has_curve = |oid: &[u8]| info.windows(oid.len()).any(|window| window == oid);
    let key = DecodingKey::from_ed_pem(pem)
        .or_else(|_| DecodingKey::from_rsa_pem(pem))
        .or_else(|error| match has_curve(P256_OID) || has_curve(P384_OID) {
            true => DecodingKey::from_ec_pem(pem),
            false => Err(error),
        });
    key.map_err(|_| BadKey::Unknown)
}

/// The names of curves, as X.509 writes them (RFC 5480, section 2.1.1.1).
const P256_OID: &[u8] = &[0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07];
const P384_OID: &[u8] = &[0x06, 0x05, 0x2b, 0x81, 0x04, 0x00, 0x22];

/// Which of the keys has signed a token, if one has. A token names its key, or else each that fits
/// is tried.
pub(super) fn signer<'k>(
    keys: &'k [Key],
    token: &Compact<'_>,
    algorithm: Algorithm,
) -> Result<&'k Key, Unsigned> {
    let id = token.header.kid.as_deref();
    let mut unsigned = Unsigned::default();
    for key in keys.iter().filter(|key| key.may_be(id)) {
        unsigned.is_named |= key.id.is_some() && id.is_some();
        if key.fits(algorithm) {
            if key.has_signed(token, algorithm) {
                return Ok(key);
            }
            unsigned.tried += 1;
        }
    }
    Err(unsigned)
}

/// None of the keys has signed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Unsigned {
    /// The very key that the token names is known: newer keys would not help.
    pub(super) is_named: bool,
    /// How many keys fit.
    pub(super) tried: usize,
}

impl Unsigned {
    /// None of these, and none of those.
    pub(super) fn or(self, other: Unsigned) -> Unsigned {
        Unsigned {
            is_named: self.is_named || other.is_named,
            tried: self.tried + other.tried,
        }
    }

    /// What that says of the token.
    pub(super) fn reason(self) -> Reason {
        match self.tried {
            0 => Reason::UnknownSigningKey,
            _ => Reason::WrongSignature,
        }
    }
}

impl Kind {
    fn of(key: &DecodingKey) -> Result<Self, BadKey> {
        // What the library takes for a key is checked by nobody until it is used.
        let public = Jwk::from_decoding_key(key, None).map_err(|_| BadKey::Unknown)?;
        let bytes = |part: &str| URL_SAFE_NO_PAD.decode(part).unwrap_or_default();
        match public.algorithm {
            AlgorithmParameters::OctetKey(secret) => match bytes(&secret.value).len() {
                bytes @ MIN_SECRET_BYTES.. => Ok(Kind::Secret { bytes }),
                _ => Err(BadKey::ShortSecret),
            },
            AlgorithmParameters::RSA(rsa) => {
                let modulus = bytes(&rsa.n);
                let zeros = modulus.iter().take_while(|byte| **byte == 0).count();
                let bits = (modulus.len() - zeros) * 8;
                match (2048..=8192).contains(&bits) {
                    true => Ok(Kind::Rsa),
                    false => Err(BadKey::RsaSize),
                }
            }
            AlgorithmParameters::EllipticCurve(point) => match point.curve {
                EllipticCurve::P256 => Ok(Kind::P256),
                EllipticCurve::P384 => Ok(Kind::P384),
                _ => Err(BadKey::Unknown),
            },
            AlgorithmParameters::OctetKeyPair(_) => Ok(Kind::Ed25519),
            _ => Err(BadKey::Unknown),
        }
    }

    /// A secret is as long as the hash, or longer (RFC 7518, section 3.2).
    fn fits(self, algorithm: Algorithm) -> bool {
        use Algorithm as A;
        match (self, algorithm) {
            (Kind::Secret { bytes }, A::HS256) => bytes >= 32,
            (Kind::Secret { bytes }, A::HS384) => bytes >= 48,
            (Kind::Secret { bytes }, A::HS512) => bytes >= 64,
            (Kind::Rsa, A::RS256 | A::RS384 | A::RS512 | A::PS256 | A::PS384 | A::PS512) => true,
            (Kind::P256, A::ES256) | (Kind::P384, A::ES384) | (Kind::Ed25519, A::EdDSA) => true,
            _ => false,
        }
    }
}

/// Whose word a set of keys is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum JwksFrom {
    /// The operator's own: there may be secrets in it.
    File,
    /// Everybody reads it: what is in it is no secret.
    Url,
}

/// The keys of a JSON Web Key Set that check signatures. Those that do not, or that we know nothing
/// of, are passed over: sets hold keys for others, too.
pub(super) fn jwks(json: &[u8], from: JwksFrom) -> Result<Vec<Key>, BadKey> {
    #[derive(Deserialize)]
    struct Set<'a> {
        #[serde(borrow)]
        keys: Vec<&'a RawValue>,
    }
    let set: Set<'_> = serde_json::from_slice(json).map_err(|_| BadKey::NotJwks)?;
    if set.keys.len() > MAX_KEYS {
        return Err(BadKey::TooMany);
    }
    let keys = set.keys.iter().filter_map(|key| {
        let jwk: Jwk = serde_json::from_str(key.get()).ok()?;
        let key = Key::of_jwk(&jwk).ok()?;
        let is_secret = matches!(key.kind, Kind::Secret { .. });
        (from == JwksFrom::File || !is_secret).then_some(key)
    });
    Ok(keys.collect())
}

/// For people: its kind and its id.
impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.kind {
            Kind::Secret { .. } => "a secret",
            Kind::Rsa => "an RSA key",
            Kind::P256 => "a P-256 key",
            Kind::P384 => "a P-384 key",
            Kind::Ed25519 => "an Ed25519 key",
        })?;
        match &self.id {
            Some(id) => write!(f, " with kid {id:?}"),
            None => write!(f, " without kid"),
        }
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn pem(name: &str) -> Result<Kind, BadKey> {
        let path = format!("{}/tests/it/keys/{name}.pem", env!("CARGO_MANIFEST_DIR"));
        Key::of_pem(&std::fs::read(path).unwrap()).map(|key| key.kind)
    }

    #[test]
    fn public_keys_and_certificates_are_keys() {
        assert_eq!(pem("rsa.pub"), Ok(Kind::Rsa));
        assert_eq!(pem("rsa.old.pub"), Ok(Kind::Rsa));
        assert_eq!(pem("rsa.crt"), Ok(Kind::Rsa));
        assert_eq!(pem("rsa-by-ed25519.crt"), Ok(Kind::Rsa));
        assert_eq!(pem("p256.pub"), Ok(Kind::P256));
        assert_eq!(pem("p384.pub"), Ok(Kind::P384));
        assert_eq!(pem("p384.crt"), Ok(Kind::P384));
        assert_eq!(pem("ed25519.pub"), Ok(Kind::Ed25519));
        assert_eq!(pem("ed25519.crt"), Ok(Kind::Ed25519));
    }

    #[test]
    fn no_other_key_is_one() {
        assert_eq!(pem("rsa-1024.pub"), Err(BadKey::RsaSize));
        for name in ["p521.pub", "secp256k1.pub", "x25519.pub"] {
            assert_eq!(pem(name), Err(BadKey::Unknown), "{name}");
        }
        for name in ["rsa", "rsa.old", "p256", "p256.old", "ed25519"] {
            assert_eq!(pem(name), Err(BadKey::Private), "{name}");
        }
        let two = [
            include_bytes!("../../../tests/it/keys/rsa.pub.pem").as_slice(),
            include_bytes!("../../../tests/it/keys/p256.pub.pem"),
        ];
        assert_eq!(Key::of_pem(&two.concat()).err(), Some(BadKey::Several));
    }

    #[test]
    fn a_key_is_used_for_what_it_is_made_for_alone() {
        use Algorithm as A;
        let all = [
            A::RS256,
            A::RS384,
            A::RS512,
            A::PS256,
            A::PS384,
            A::PS512,
            A::ES256,
            A::ES384,
            A::EdDSA,
            A::HS256,
            A::HS384,
            A::HS512,
        ];
        let fit = |kind: Kind| {
            all.into_iter()
                .filter(|one| kind.fits(*one))
                .collect::<Vec<_>>()
        };
        assert_eq!(fit(Kind::Rsa), all[..6]);
        assert_eq!(fit(Kind::P256), [A::ES256]);
        assert_eq!(fit(Kind::P384), [A::ES384]);
        assert_eq!(fit(Kind::Ed25519), [A::EdDSA]);
        assert_eq!(fit(Kind::Secret { bytes: 32 }), [A::HS256]);
        assert_eq!(fit(Kind::Secret { bytes: 63 }), [A::HS256, A::HS384]);
        assert_eq!(fit(Kind::Secret { bytes: 64 }), all[9..]);
    }

    /// The key of RFC 8037, appendix A.2, with more in it.
    fn ed25519(more: serde_json::Value) -> serde_json::Value {
        let x = "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo";
        let mut key = json!({ "kty": "OKP", "crv": "Ed25519", "x": x });
        key.as_object_mut()
            .unwrap()
            .extend(more.as_object().unwrap().clone());
        key
    }

    fn read(keys: serde_json::Value, from: JwksFrom) -> Result<Vec<Key>, BadKey> {
        jwks(json!({ "keys": keys }).to_string().as_bytes(), from)
    }

    #[test]
    fn of_a_set_those_keys_count_that_check_signatures() {
        let count = |key: serde_json::Value| read(json!([key]), JwksFrom::Url).unwrap().len();
        for good in [
            json!({}),
            json!({ "use": "sig", "alg": "EdDSA", "kid": "1" }),
            json!({ "key_ops": ["verify", "sign"] }),
            json!({ "d": "never read", "x5t": "1" }),
        ] {
            assert_eq!(count(ed25519(good.clone())), 1, "{good}");
        }
        for other in [
            json!({ "use": "enc" }),
            json!({ "key_ops": ["encrypt"] }),
            json!({ "key_ops": [] }),
            json!({ "alg": "RS256" }),
            json!({ "alg": "ES256" }),
            json!({ "alg": "RSA-OAEP" }),
            json!({ "alg": "none" }),
            json!({ "crv": "X25519" }),
            json!({ "crv": "Ed448" }),
            json!({ "crv": "P-256" }),
            json!({ "kty": "AKP" }),
            json!({ "kty": "RSA" }),
            json!({ "kty": "EC" }),
            json!({ "x": "short" }),
            json!({ "x": 7 }),
            json!({ "kid": 7 }),
        ] {
            assert_eq!(count(ed25519(other.clone())), 0, "{other}");
        }
        let strangers = json!([7, null, "key", {}, ed25519(json!({ "kid": "mine" }))]);
        assert_eq!(read(strangers, JwksFrom::Url).unwrap().len(), 1);
    }

    #[test]
    fn a_secret_that_everybody_reads_is_none() {
        let k = URL_SAFE_NO_PAD.encode("0123456789abcdef0123456789abcdef");
        let set = json!([{ "kty": "oct", "k": k }, { "kty": "oct", "k": "c2hvcnQ" }]);
        assert_eq!(read(set.clone(), JwksFrom::Url).unwrap().len(), 0);
        assert_eq!(read(set, JwksFrom::File).unwrap().len(), 1);
    }

    #[test]
    fn what_is_no_set_of_keys_is_refused() {
        for bad in ["", "[]", "{}", r#"{"keys":{}}"#, "not found"] {
            assert_eq!(
                jwks(bad.as_bytes(), JwksFrom::Url).err(),
                Some(BadKey::NotJwks)
            );
        }
        let many = vec![ed25519(json!({})); MAX_KEYS + 1];
        assert_eq!(
            read(json!(many), JwksFrom::Url).err(),
            Some(BadKey::TooMany)
        );
    }
}
