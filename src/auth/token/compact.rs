//! A token as it is written: three parts in base64url, with dots between (RFC 7515, section 7.1).

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::Algorithm;
use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::{Map, Value};

use crate::auth::reason::Reason;

/// A token that was read, and not believed.
pub(super) struct Compact<'a> {
    pub(super) header: Header,
    pub(super) claims: Map<String, Value>,
    /// What is signed: header and claims as they are written.
    pub(super) message: &'a str,
    pub(super) signature: &'a str,
}

/// What counts of a header. Where it says that keys are (`jku`, `jwk`, `x5u`, `x5c`) is not read:
/// whoever writes a token does not say what it is checked with.
#[derive(Deserialize)]
pub(super) struct Header {
    alg: String,
    pub(super) kid: Option<String>,
    crit: Option<IgnoredAny>,
}

impl<'a> Compact<'a> {
    /// Reads a token.
    pub(super) fn read(token: &'a str) -> Result<Self, Reason> {
        let (message, signature) = token.rsplit_once('.').ok_or(Reason::MalformedToken)?;
        let (header, claims) = message.split_once('.').ok_or(Reason::MalformedToken)?;
        let header: Header = json(header).ok_or(Reason::MalformedToken)?;
        // What a header calls critical must be understood or refused, and we understand nothing
        // (RFC 7515, section 4.1.11).
        if header.crit.is_some() {
            return Err(Reason::UnknownExtension);
        }
        Ok(Compact {
            header,
            claims: json(claims).ok_or(Reason::MalformedToken)?,
            message,
            signature,
        })
    }

    /// The claim `iss`, as far as it is text.
    pub(super) fn issuer(&self) -> Option<&str> {
        self.claims.get("iss")?.as_str()
    }
}

impl Header {
    /// Its algorithm, if there is such a one: `none` is none.
    pub(super) fn algorithm(&self) -> Option<Algorithm> {
        self.alg.parse().ok()
    }
}

/// The header and the claims of a token, as JSON: as far as they can be read.
pub(super) fn parts(token: &str) -> (Option<Value>, Option<Value>) {
    let mut parts = token.split('.');
    let mut part = || parts.next().and_then(json);
    (part(), part())
}

fn json<T: for<'de> Deserialize<'de>>(part: &str) -> Option<T> {
    let bytes = URL_SAFE_NO_PAD.decode(part).ok()?;
    serde_json::from_slice(&bytes).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn written(header: &str, claims: &str) -> String {
        let part = |text: &str| URL_SAFE_NO_PAD.encode(text);
        format!("{}.{}.c2ln", part(header), part(claims))
    }

    fn refused(token: &str) -> Option<Reason> {
        Compact::read(token).err()
    }

    #[test]
    fn a_token_is_read_and_nothing_else_is() {
        let good = written(r#"{"alg":"RS256","kid":"1"}"#, r#"{"iss":"me"}"#);
        let token = Compact::read(&good).ok().unwrap();
        assert_eq!(token.header.algorithm(), Some(Algorithm::RS256));
        assert_eq!(token.header.kid.as_deref(), Some("1"));
        assert_eq!(token.issuer(), Some("me"));
        for bad in [
            "",
            "a",
            "a.b",
            "a.b.c",
            "..",
            &format!("{good}.x"),
            &written("{}", "{}"),
            &written(r#"{"alg":7}"#, "{}"),
            &written(r#"{"alg":"RS256","kid":7}"#, "{}"),
            &written(r#"{"alg":"RS256","alg":"HS256"}"#, "{}"),
            &written(r#"["RS256"]"#, "[]"),
            &written(r#"{"alg":"RS256"}"#, "7"),
            &written(r#"{"alg":"RS256"}"#, &"[".repeat(10_000)),
        ] {
            assert_eq!(refused(bad), Some(Reason::MalformedToken), "{bad}");
        }
    }

    #[test]
    fn no_algorithm_is_none_of_ours_in_any_spelling() {
        for alg in [
            "none", "None", "NONE", "", "HS1", "rs256", "ES256K", "ES512",
        ] {
            let token = written(&format!(r#"{{"alg":"{alg}"}}"#), "{}");
            let token = Compact::read(&token).ok().unwrap();
            assert_eq!(token.header.algorithm(), None, "{alg}");
        }
    }

    #[test]
    fn what_is_critical_and_not_understood_is_refused() {
        let token = written(r#"{"alg":"RS256","crit":["b64"],"b64":false}"#, "{}");
        assert_eq!(refused(&token), Some(Reason::UnknownExtension));
    }

    proptest! {
        #[test]
        fn no_text_makes_it_panic(text in ".{0,80}", header in ".{0,80}", claims in ".{0,80}") {
            let _ = (Compact::read(&text).is_ok(), parts(&text));
            let _ = Compact::read(&written(&header, &claims)).is_ok();
        }
    }
}
