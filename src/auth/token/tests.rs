//! Tokens of every kind, and those of attackers.

use std::fmt::Write as _;
use std::path::Path;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use futures_util::FutureExt;
use jsonwebtoken::Algorithm;
use proptest::prelude::*;
use secrecy::{ExposeSecret, SecretString};
use serde_json::{Value, json};

use super::mint::{Claims, SigningKey, mint};
use super::*;
use crate::auth::{Away, Scope};
use crate::config::Settings;
use crate::topic::{AccountId, UserId};

const SECRET: &str = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";
const OTHER_SECRET: &str = "fedcba9876543210fedcba9876543210fedcba9876543210fedcba9876543210";

/// Settings with these issuers, in TOML, where `KEYS` is the folder of the keys of the tests.
fn config(issuers: &str) -> JwtConfig {
    let keys = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/keys");
    let issuers = issuers.replace("KEYS", keys.to_str().unwrap());
    let env = [("TIDINGS_JWT__ISSUERS".to_owned(), issuers)];
    let settings = Settings::load(None, env.into_iter(), Vec::new());
    settings.map_err(|error| error.to_string()).unwrap().jwt
}

fn tokens(issuers: &str) -> Tokens {
    Tokens::new(&config(issuers))
        .map_err(|error| error.to_string())
        .unwrap()
}

/// What is made of a token without asking anybody; and explained just so.
fn check(tokens: &Tokens, token: &str) -> Result<Accepted, AuthError> {
    let answer = tokens.check(token).now_or_never().expect("nobody is asked");
    let explained = tokens
        .explain(token)
        .now_or_never()
        .expect("nobody is asked")
        .verdict;
    let without_chance = |answer: &Result<Accepted, AuthError>| match answer {
        Ok(accepted) => Ok((accepted.identity.clone(), accepted.expires_at)),
        Err(error) => Err(error.clone()),
    };
    assert_eq!(without_chance(&answer), without_chance(&explained));
    answer
}

fn forbidden(reason: Reason) -> Result<(), AuthError> {
    Err(AuthError::Forbidden(reason))
}

fn only(answer: Result<Accepted, AuthError>) -> Result<(), AuthError> {
    answer.map(|_| ())
}

fn key_file(name: &str) -> Vec<u8> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/it/keys")
        .join(name);
    std::fs::read(path).unwrap()
}

fn private(name: &str) -> SigningKey {
    SigningKey::of_pem(&key_file(name)).unwrap()
}

fn secret(secret: &str) -> SigningKey {
    SigningKey::of_secret(&SecretString::from(secret)).unwrap()
}

fn claims() -> Claims {
    Claims {
        account: None,
        user: UserId::of_number(42),
        scopes: Vec::new(),
        issuer: None,
        audience: None,
        expires_at: later(Timestamp::now(), Duration::from_secs(600)),
        names: config("[]").claim_names(None),
    }
}

fn signed(key: &SigningKey) -> String {
    mint(&claims(), key).unwrap().expose_secret().to_owned()
}

/// A token with this header, signed with HMAC by these bytes.
fn forged(header: &Value, secret: &[u8], algorithm: Algorithm) -> String {
    let part = |json: &Value| URL_SAFE_NO_PAD.encode(json.to_string());
    let exp = claims().expires_at.as_second();
    let message = format!(
        "{}.{}",
        part(header),
        part(&json!({ "user_id": 42, "exp": exp }))
    );
    let key = jsonwebtoken::EncodingKey::from_secret(secret);
    let signature = jsonwebtoken::crypto::sign(message.as_bytes(), &key, algorithm).unwrap();
    format!("{message}.{signature}")
}

const ALL_KEYS: &str = "[{ pem_files = ['KEYS/rsa.pub.pem', 'KEYS/p256.pub.pem', 'KEYS/p384.pub.pem', \
     'KEYS/ed25519.pub.pem'], hmac_secrets = \
     ['0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef'] }]";

#[test]
fn a_token_of_each_algorithm_is_accepted() {
    use Algorithm as A;
    let tokens = tokens(ALL_KEYS);
    let by_key = [
        (
            private("rsa.pem"),
            vec![A::RS256, A::RS384, A::RS512, A::PS256, A::PS384, A::PS512],
        ),
        (private("p256.pem"), vec![A::ES256]),
        (private("p384.pem"), vec![A::ES384]),
        (private("ed25519.pem"), vec![A::EdDSA]),
        (secret(SECRET), vec![A::HS256, A::HS384, A::HS512]),
    ];
    let mut seen = 0;
    for (key, algorithms) in by_key {
        for algorithm in algorithms {
            let key = key.clone().with_algorithm(algorithm).unwrap();
            let accepted = check(&tokens, &signed(&key)).unwrap();
            assert_eq!(accepted.identity.user().map(UserId::get), Some(42));
            seen += 1;
        }
    }
    assert_eq!(seen, config("[]").algorithms.len());
}

#[test]
fn each_algorithm_can_be_forbidden() {
    let mut config = config(ALL_KEYS);
    for forbidden_one in config.algorithms.clone() {
        config.algorithms.retain(|one| *one != forbidden_one);
    }
    let tokens = Tokens::new(&config).unwrap();
    for key in [private("rsa.pem"), secret(SECRET)] {
        assert_eq!(
            only(check(&tokens, &signed(&key))),
            forbidden(Reason::WrongAlgorithm)
        );
    }
    let tokens = self::tokens(&ALL_KEYS.replace("pem_files", "algorithms = ['ES256'], pem_files"));
    assert_eq!(only(check(&tokens, &signed(&private("p256.pem")))), Ok(()));
    assert_eq!(
        only(check(&tokens, &signed(&secret(SECRET)))),
        forbidden(Reason::WrongAlgorithm)
    );
}

#[test]
fn without_an_issuer_no_token_counts() {
    let token = signed(&secret(SECRET));
    assert_eq!(
        only(check(&Tokens::default(), &token)),
        forbidden(Reason::UnknownIssuer)
    );
    assert_eq!(
        only(check(&tokens("[]"), &token)),
        forbidden(Reason::UnknownIssuer)
    );
    assert_eq!(
        only(check(&tokens("[]"), "nonsense")),
        forbidden(Reason::UnknownIssuer)
    );
    assert_eq!(
        only(check(&tokens(ALL_KEYS), "nonsense")),
        forbidden(Reason::MalformedToken)
    );
}

#[test]
fn attack_a_token_that_is_not_signed() {
    let tokens = tokens(ALL_KEYS);
    for alg in ["none", "None", "NONE", "nOnE", ""] {
        let token = forged(&json!({ "alg": alg }), SECRET.as_bytes(), Algorithm::HS256);
        assert_eq!(
            only(check(&tokens, &token)),
            forbidden(Reason::WrongAlgorithm)
        );
        let (message, _) = token.rsplit_once('.').unwrap();
        assert_eq!(
            only(check(&tokens, &format!("{message}."))),
            forbidden(Reason::WrongAlgorithm)
        );
    }
    // Nor is one that says it is, and has no signature, or that of another.
    for key in [
        private("rsa.pem"),
        private("p256.pem"),
        private("ed25519.pem"),
        secret(SECRET),
    ] {
        let token = signed(&key);
        let (message, _) = token.rsplit_once('.').unwrap();
        for signature in ["", "AA", "AAAA", &"A".repeat(86), &"A".repeat(342)] {
            let answer = only(check(&tokens, &format!("{message}.{signature}")));
            assert_eq!(answer, forbidden(Reason::WrongSignature), "{signature}");
        }
    }
}

#[test]
fn attack_a_public_key_as_the_secret_of_an_hmac() {
    // Whoever can read the public key could sign with it, if it were taken for a secret.
    let issuers = "[{ pem_files = ['KEYS/rsa.pub.pem', 'KEYS/p256.pub.pem'] }]";
    let tokens = tokens(issuers);
    for file in ["rsa.pub.pem", "p256.pub.pem"] {
        let pem = key_file(file);
        let text = std::str::from_utf8(&pem).unwrap();
        let body: String = text
            .lines()
            .filter(|line| !line.starts_with("-----"))
            .collect();
        let der = base64::engine::general_purpose::STANDARD
            .decode(&body)
            .unwrap();
        for secret in [
            pem.as_slice(),
            text.trim().as_bytes(),
            body.as_bytes(),
            &der,
        ] {
            for alg in [Algorithm::HS256, Algorithm::HS384, Algorithm::HS512] {
                let token = forged(&json!({ "alg": format!("{alg:?}") }), secret, alg);
                assert_eq!(
                    only(check(&tokens, &token)),
                    forbidden(Reason::UnknownSigningKey)
                );
                // Nor may the header lie about it.
                let token = forged(&json!({ "alg": "RS256" }), secret, alg);
                assert_eq!(
                    only(check(&tokens, &token)),
                    forbidden(Reason::WrongSignature)
                );
            }
        }
    }
}

/// A set with an RSA key called `rsa`, a P-256 key called `p256`, and a secret called `secret`.
fn jwks_folder() -> tempfile::TempDir {
    use jsonwebtoken::jwk::Jwk;
    let folder = tempfile::tempdir().unwrap();
    let rsa = jsonwebtoken::EncodingKey::from_rsa_pem(&key_file("rsa.pem")).unwrap();
    let p256 = jsonwebtoken::EncodingKey::from_ec_pem(&key_file("p256.pem")).unwrap();
    let secret = jsonwebtoken::EncodingKey::from_secret(SECRET.as_bytes());
    let mut keys = Vec::new();
    for (id, key, algorithm) in [
        ("rsa", rsa, Algorithm::RS256),
        ("p256", p256, Algorithm::ES256),
        ("secret", secret, Algorithm::HS256),
    ] {
        let mut jwk =
            serde_json::to_value(Jwk::from_encoding_key(&key, algorithm).unwrap()).unwrap();
        jwk["kid"] = id.into();
        keys.push(jwk);
    }
    std::fs::write(
        folder.path().join("jwks.json"),
        json!({ "keys": keys }).to_string(),
    )
    .unwrap();
    folder
}

#[test]
fn attack_a_kid_that_points_elsewhere() {
    let folder = jwks_folder();
    let tokens = tokens(&format!(
        "[{{ jwks_file = '{}/jwks.json' }}]",
        folder.path().display()
    ));
    let by = |key: &SigningKey, kid: &str| {
        only(check(
            &tokens,
            &signed(&key.clone().with_id(kid.to_owned())),
        ))
    };
    let (rsa, p256, hmac) = (private("rsa.pem"), private("p256.pem"), secret(SECRET));
    assert_eq!(by(&rsa, "rsa"), Ok(()));
    assert_eq!(by(&p256, "p256"), Ok(()));
    assert_eq!(by(&hmac, "secret"), Ok(()));
    // Without a kid each key is tried.
    for key in [&rsa, &p256, &hmac] {
        assert_eq!(only(check(&tokens, &signed(key))), Ok(()));
    }
    for elsewhere in [
        "p256",
        "secret",
        "RSA",
        "",
        "../../../../dev/null",
        "/dev/null",
        "file:///dev/null",
        "https://attacker.example/jwks.json",
        "rsa' OR '1'='1",
        "rsa\0",
    ] {
        assert_eq!(
            by(&rsa, elsewhere),
            forbidden(Reason::UnknownSigningKey),
            "{elsewhere}"
        );
    }
    // The key is that of the kid, but somebody else has signed.
    assert_eq!(
        by(&private("rsa-2.pem"), "rsa"),
        forbidden(Reason::WrongSignature)
    );
    // The set says what each key is for.
    let other = rsa.with_algorithm(Algorithm::RS512).unwrap();
    assert_eq!(by(&other, "rsa"), forbidden(Reason::UnknownSigningKey));
    // /dev/null is no key, nor is what is empty.
    let token = forged(
        &json!({ "alg": "HS256", "kid": "/dev/null" }),
        b"",
        Algorithm::HS256,
    );
    assert_eq!(
        only(check(&tokens, &token)),
        forbidden(Reason::UnknownSigningKey)
    );
}

#[test]
fn attack_a_header_that_brings_its_own_key() {
    let tokens = tokens(ALL_KEYS);
    let jwk = json!({ "kty": "oct", "k": URL_SAFE_NO_PAD.encode(OTHER_SECRET), "alg": "HS256" });
    for header in [
        json!({ "alg": "HS256", "jwk": jwk }),
        json!({ "alg": "HS256", "jwk": "nonsense" }),
        json!({ "alg": "HS256", "jku": "https://attacker.example/jwks.json" }),
        json!({ "alg": "HS256", "x5u": "https://attacker.example/key.pem", "x5c": ["MII"] }),
    ] {
        let token = forged(&header, OTHER_SECRET.as_bytes(), Algorithm::HS256);
        assert_eq!(
            only(check(&tokens, &token)),
            forbidden(Reason::WrongSignature),
            "{header}"
        );
        // It is not looked at.
        let token = forged(&header, SECRET.as_bytes(), Algorithm::HS256);
        assert_eq!(only(check(&tokens, &token)), Ok(()), "{header}");
    }
}

#[test]
fn attack_claims_that_were_changed_after_they_were_signed() {
    let tokens = tokens(ALL_KEYS);
    for key in [private("rsa.pem"), private("p384.pem"), secret(SECRET)] {
        let token = signed(&key);
        let mut parts: Vec<_> = token.split('.').map(str::to_owned).collect();
        let exp = claims().expires_at.as_second();
        parts[1] = URL_SAFE_NO_PAD.encode(json!({ "user_id": 43, "exp": exp }).to_string());
        assert_eq!(
            only(check(&tokens, &parts.join("."))),
            forbidden(Reason::WrongSignature)
        );
    }
}

#[test]
fn two_keys_at_once_are_normal() {
    let both = tokens(&format!(
        "[{{ hmac_secrets = ['{OTHER_SECRET}', '{SECRET}'], pem_files = \
         ['KEYS/rsa-2.pub.pem', 'KEYS/rsa.pub.pem'] }}]"
    ));
    for key in [
        secret(SECRET),
        secret(OTHER_SECRET),
        private("rsa.pem"),
        private("rsa-2.pem"),
    ] {
        assert_eq!(only(check(&both, &signed(&key))), Ok(()));
    }
    let one = tokens(&format!(
        "[{{ hmac_secrets = ['{SECRET}'], pem_files = ['KEYS/rsa.crt.pem'] }}]"
    ));
    for key in [secret(OTHER_SECRET), private("rsa-2.pem")] {
        assert_eq!(
            only(check(&one, &signed(&key))),
            forbidden(Reason::WrongSignature)
        );
    }
    let none = private("ed25519.pem");
    assert_eq!(
        only(check(&one, &signed(&none))),
        forbidden(Reason::UnknownSigningKey)
    );
}

#[test]
fn an_issuer_speaks_for_itself_alone() {
    let tokens = tokens(&format!(
        "[{{ issuer = 'https://a', hmac_secrets = ['{SECRET}'], audience = ['one'] }}, \
          {{ issuer = 'https://b', hmac_secrets = ['{OTHER_SECRET}'] }}, \
          {{ pem_files = ['KEYS/ed25519.pub.pem'], user_claim = 'sub', account_claim = 'account' }}]"
    ));
    let from = |issuer: Option<&str>, key: &SigningKey, audience: Option<&str>| {
        let mut claims = claims();
        claims.issuer = issuer.map(str::to_owned);
        claims.audience = audience.map(str::to_owned);
        if issuer.is_none() {
            claims.names.user = "sub".to_owned();
        }
        let token = mint(&claims, key).unwrap();
        only(check(&tokens, token.expose_secret()))
    };
    let (a, b, c) = (secret(SECRET), secret(OTHER_SECRET), private("ed25519.pem"));
    assert_eq!(from(Some("https://a"), &a, Some("one")), Ok(()));
    assert_eq!(
        from(Some("https://a"), &a, Some("two")),
        forbidden(Reason::WrongAudience)
    );
    assert_eq!(
        from(Some("https://a"), &a, None),
        forbidden(Reason::MissingClaim("aud"))
    );
    assert_eq!(from(Some("https://b"), &b, Some("two")), Ok(()));
    assert_eq!(
        from(Some("https://b"), &a, Some("one")),
        forbidden(Reason::WrongSignature)
    );
    assert_eq!(
        from(Some("https://a"), &c, Some("one")),
        forbidden(Reason::UnknownSigningKey)
    );
    // Those without a name are of the one that has none, and so are those with a stranger's.
    assert_eq!(from(None, &c, None), Ok(()));
    assert_eq!(
        from(None, &a, Some("one")),
        forbidden(Reason::UnknownSigningKey)
    );
    assert_eq!(
        from(Some("https://A"), &a, Some("one")),
        forbidden(Reason::UnknownSigningKey)
    );
    let named = self::tokens(&format!(
        "[{{ issuer = 'https://a', hmac_secrets = ['{SECRET}'] }}]"
    ));
    assert_eq!(
        only(check(&named, &signed(&a))),
        forbidden(Reason::UnknownIssuer)
    );
}

#[test]
fn of_issuers_without_a_name_the_one_counts_that_has_signed() {
    let tokens = tokens(&format!(
        "[{{ hmac_secrets = ['{SECRET}'], audience = ['one'] }}, {{ hmac_secrets = ['{OTHER_SECRET}'] }}, \
          {{ hmac_secrets = ['{SECRET}'], audience = ['two'] }}]"
    ));
    let token = |key: &SigningKey, audience: &str| {
        let claims = Claims {
            audience: Some(audience.to_owned()),
            ..claims()
        };
        only(check(&tokens, mint(&claims, key).unwrap().expose_secret()))
    };
    assert_eq!(token(&secret(SECRET), "one"), Ok(()));
    assert_eq!(token(&secret(SECRET), "two"), Ok(()));
    assert_eq!(
        token(&secret(SECRET), "three"),
        forbidden(Reason::WrongAudience)
    );
    assert_eq!(token(&secret(OTHER_SECRET), "three"), Ok(()));
}

#[test]
fn only_what_an_issuer_may_grant_is_granted() {
    let granted = |issuer: &str, scopes: &[Scope]| {
        let tokens = tokens(&format!("[{{ {issuer} hmac_secrets = ['{SECRET}'] }}]"));
        let claims = Claims {
            scopes: scopes.to_vec(),
            ..claims()
        };
        let token = mint(&claims, &secret(SECRET)).unwrap();
        check(&tokens, token.expose_secret())
            .unwrap()
            .identity
            .scopes()
    };
    let all = Scope::ALL;
    assert_eq!(granted("", &all).to_string(), "read receive write");
    assert!(!granted("", &[Scope::Admin]).may_administer());
    assert!(!granted("", &[Scope::Admin]).may_read());
    assert!(granted("grantable_scopes = ['admin'],", &[Scope::Admin]).may_administer());
    assert!(granted("", &[]).is_unrestricted());
}

#[test]
fn what_a_token_opened_is_closed_a_little_after_it_has_expired() {
    let mut config = config(ALL_KEYS);
    (config.leeway, config.expiry_jitter) = (Duration::from_secs(30), Duration::from_secs(5));
    let tokens = Tokens::new(&config).unwrap();
    let token = signed(&secret(SECRET));
    let mut seen = std::collections::HashSet::new();
    for _ in 0..20 {
        let accepted = check(&tokens, &token).unwrap();
        let after =
            Duration::try_from(accepted.closes_at.duration_since(accepted.expires_at)).unwrap();
        assert!(
            Duration::from_secs(30) <= after && after <= Duration::from_secs(35),
            "{after:?}"
        );
        seen.insert(after);
    }
    assert!(seen.len() > 1, "chance has its part in it");
    (config.leeway, config.expiry_jitter) = (Duration::ZERO, Duration::ZERO);
    let accepted = check(&Tokens::new(&config).unwrap(), &token).unwrap();
    assert_eq!(accepted.closes_at, accepted.expires_at);
}

#[test]
fn what_is_looked_at_is_told_in_order() {
    let tokens = tokens(&format!(
        "[{{ issuer = 'me', hmac_secrets = ['{OTHER_SECRET}', '{SECRET}'] }}]"
    ));
    let mut claims = claims();
    claims.issuer = Some("me".to_owned());
    claims.account = AccountId::parse("0d3d3c1a-5e0e-4b7b-8f59-7f1a7b1f6a51");
    let token = mint(&claims, &secret(SECRET)).unwrap();
    let explained = tokens
        .explain(token.expose_secret())
        .now_or_never()
        .unwrap();
    let mut told = String::new();
    for note in explained
        .notes
        .iter()
        .filter(|note| !["exp", "iat"].contains(&note.about))
    {
        writeln!(told, "{}: {}", note.about, note.text).unwrap();
    }
    insta::assert_snapshot!(told, @r#"
    issuer: "me" (jwt.issuers[0])
    algorithm: HS256 is allowed
    key: a secret without kid, in hmac_secrets: it has signed
    aud: not looked at: none is configured for this issuer
    account: 0d3d3c1a-5e0e-4b7b-8f59-7f1a7b1f6a51 (sub)
    user: 42 (user_id)
    scopes: unrestricted: scope is empty
    "#);
    assert!(explained.header.unwrap().contains("HS256"));
    assert!(explained.claims.unwrap().contains("42"));
}

#[tokio::test(start_paused = true)]
async fn an_issuer_that_was_never_reached_is_away() {
    let tokens = tokens("[{ jwks_url = 'http://127.0.0.1:1/jwks.json' }]");
    let token = signed(&private("rsa.pem"));
    let stop = CancellationToken::new();
    let fresh = tokio::spawn(tokens.clone().keep_fresh(stop.clone()));
    let away = Err(AuthError::Unavailable(Away::Issuer));
    assert_eq!(tokens.check(&token).await, away);
    // Not even then is somebody let in who is no issuer's.
    let none = forged(
        &json!({ "alg": "none" }),
        SECRET.as_bytes(),
        Algorithm::HS256,
    );
    assert_eq!(
        only(check(&tokens, &none)),
        forbidden(Reason::WrongAlgorithm)
    );
    // Nor is one told to come back who signed with a secret: what is at a URL is none.
    let hmac = signed(&secret(SECRET));
    assert_eq!(
        only(check(&tokens, &hmac)),
        forbidden(Reason::UnknownSigningKey)
    );
    stop.cancel();
    fresh.await.unwrap();
}

#[test]
fn a_key_signs_only_with_what_it_is_made_for() {
    for (key, good, bad) in [
        (private("rsa.pem"), Algorithm::PS512, Algorithm::ES256),
        (private("rsa.old.pem"), Algorithm::RS384, Algorithm::HS256),
        (private("p256.pem"), Algorithm::ES256, Algorithm::ES384),
        (private("p384.pem"), Algorithm::ES384, Algorithm::ES256),
        (private("ed25519.pem"), Algorithm::EdDSA, Algorithm::RS256),
        (secret(&SECRET[..32]), Algorithm::HS256, Algorithm::HS512),
    ] {
        assert_eq!(key.clone().with_algorithm(good).unwrap().algorithm(), good);
        assert!(key.with_algorithm(bad).is_err(), "{bad:?}");
    }
    for file in [
        "rsa.pub.pem",
        "rsa.crt.pem",
        "p256.old.pem",
        "rsa-1024.pub.pem",
    ] {
        assert!(SigningKey::of_pem(&key_file(file)).is_err(), "{file}");
    }
    assert!(SigningKey::of_secret(&SecretString::from("short")).is_err());
    assert!(!format!("{:?}", secret(SECRET)).contains(SECRET));
}

#[test]
fn a_new_secret_is_one() {
    let one = mint::new_secret().unwrap();
    assert_ne!(
        one.expose_secret(),
        mint::new_secret().unwrap().expose_secret()
    );
    let tokens = tokens(&format!(
        "[{{ hmac_secrets = ['{}'] }}]",
        one.expose_secret()
    ));
    assert_eq!(
        only(check(
            &tokens,
            &signed(&SigningKey::of_secret(&one).unwrap())
        )),
        Ok(())
    );
}

proptest! {
    #[test]
    fn no_text_makes_it_panic(text in ".{0,200}", header in ".{0,60}", claims in ".{0,60}", signature in "[A-Za-z0-9_-]{0,90}") {
        let tokens = tokens(ALL_KEYS);
        prop_assert!(check(&tokens, &text).is_err());
        let part = |text: &str| URL_SAFE_NO_PAD.encode(text);
        for header in [header.as_str(), r#"{"alg":"RS256"}"#, r#"{"alg":"ES256"}"#, r#"{"alg":"HS256"}"#] {
            let token = format!("{}.{}.{signature}", part(header), part(&claims));
            prop_assert!(check(&tokens, &token).is_err());
            let token = format!("{}.{}.{text}", part(header), part("{}"));
            prop_assert!(check(&tokens, &token).is_err());
        }
    }
}
