//! How a delivery says that it was sent before.
//!
//! | the endpoint's scheme | what tells deliveries apart |
//! |---|---|
//! | none | `Idempotency-Key`, else `webhook-id`, else `X-GitHub-Delivery` |
//! | GitHub's | `X-GitHub-Delivery` |
//! | Stripe's | `id` in the body |
//! | Standard Webhooks | `webhook-id` |
//!
//! Where a signature is asked for, what is not signed does not count: who catches a delivery on its way could
//! send it again under another name. GitHub signs the body alone, and no time; there it is as good as it gets.

use axum::http::HeaderMap;
use serde::Deserialize;
use sha2::{Digest, Sha256};

use crate::webhook::{Endpoint, Scheme};

/// What is the same for two deliveries of one event, and different for any other two: SHA-256 of what the
/// sender says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct IdempotencyKey([u8; 32]);

impl IdempotencyKey {
    /// That of a delivery; `None` if it says nothing, or its endpoint does not want to know.
    pub(super) fn of(endpoint: &Endpoint, headers: &HeaderMap, body: &[u8]) -> Option<Self> {
        if !endpoint.is_idempotent {
            return None;
        }
        let names: &[&str] = match &endpoint.verification {
            None => &["idempotency-key", "webhook-id", "x-github-delivery"],
            Some(verification) => match verification.scheme {
                Scheme::GitHub => &["x-github-delivery"],
                Scheme::Standard => &["webhook-id"],
                Scheme::Stripe => return stripe_event(body).map(|id| Self::new("stripe", &id)),
            },
        };
        let given = |name: &&str| {
            let value = headers.get(*name)?.as_bytes();
            (!value.is_empty()).then(|| Self::new(name, value))
        };
        names.iter().find_map(given)
    }

    /// Of a value of this name: the same in another header is another key.
    fn new(name: &str, value: &[u8]) -> Self {
        let hash = Sha256::new_with_prefix(name);
        IdempotencyKey(
            hash.chain_update(b":")
                .chain_update(value)
                .finalize()
                .into(),
        )
    }

    pub(super) fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

/// The id of an event of Stripe's: `{"id": "evt_…", …}`.
fn stripe_event(body: &[u8]) -> Option<Vec<u8>> {
    #[derive(Deserialize)]
    struct Event {
        id: String,
    }
    // serde would take a list for an object without the names of its keys.
    if !body.trim_ascii_start().starts_with(b"{") {
        return None;
    }
    let event: Event = serde_json::from_slice(body).ok()?;
    (!event.id.is_empty()).then(|| event.id.into_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::webhook::{SigningSecret, Slug, Verification};
    use jiff::Timestamp;
    use uuid::Uuid;

    fn endpoint(scheme: Option<Scheme>) -> Endpoint {
        Endpoint {
            id: Uuid::from_u128(1),
            account: Uuid::from_u128(2).into(),
            name: None,
            slug: Slug::generate().unwrap().digest(),
            key: Uuid::from_u128(3),
            verification: scheme.map(|scheme| {
                let secret = SigningSecret::parse(scheme, "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw");
                Verification::new(scheme, vec![secret.unwrap()]).unwrap()
            }),
            allowed_from: Vec::new(),
            is_idempotent: true,
            created_at: Timestamp::UNIX_EPOCH,
        }
    }

    fn key(
        scheme: Option<Scheme>,
        headers: &[(&'static str, &str)],
        body: &str,
    ) -> Option<IdempotencyKey> {
        let headers = headers.iter();
        let headers = headers.map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap()));
        IdempotencyKey::of(&endpoint(scheme), &headers.collect(), body.as_bytes())
    }

    #[test]
    fn without_a_signature_the_first_header_that_says_something_counts() {
        let (given, hook, github) = (
            ("idempotency-key", "1"),
            ("webhook-id", "1"),
            ("x-github-delivery", "1"),
        );
        let all = key(None, &[github, hook, given], "");
        assert_eq!(all, key(None, &[given], "{}"));
        assert_ne!(all, key(None, &[("idempotency-key", "2")], ""));
        let two = key(None, &[("idempotency-key", ""), hook, github], "");
        assert_eq!(two, key(None, &[hook], ""));
        // The same word in another header is another event.
        assert_ne!(two, all);
        assert_ne!(two, key(None, &[github], ""));
        assert_eq!(key(None, &[], r#"{"id":"evt_1"}"#), None);
    }

    #[test]
    fn where_a_signature_is_asked_for_only_what_is_signed_counts() {
        let headers = [("idempotency-key", "1"), ("webhook-id", "1")];
        assert_eq!(key(Some(Scheme::GitHub), &headers, ""), None);
        assert!(key(Some(Scheme::GitHub), &[("x-github-delivery", "1")], "").is_some());
        let standard = key(Some(Scheme::Standard), &headers, "");
        assert_eq!(standard, key(Some(Scheme::Standard), &headers[1..], ""));
        let stripe = |body: &str| key(Some(Scheme::Stripe), &headers, body);
        let first = stripe(r#"{"object":"event","id":"evt_1"}"#);
        assert!(first.is_some());
        assert_eq!(first, stripe(r#"{"id":"\u0065vt_1","data":[[]]}"#));
        assert_ne!(first, stripe(r#"{"id":"evt_2"}"#));
        for other in [r#"["evt_1"]"#, r#"{"id":7}"#, r#"{"id":""}"#, "{}", "", "{"] {
            assert_eq!(stripe(other), None, "{other}");
        }
        // However deep it is.
        let deep = format!(
            r#"{{"a":{}{},"id":"evt_1"}}"#,
            "[".repeat(100_000),
            "]".repeat(100_000)
        );
        assert_eq!(stripe(&deep), first);
    }

    #[test]
    fn an_endpoint_may_want_every_delivery() {
        let endpoint = Endpoint {
            is_idempotent: false,
            ..endpoint(None)
        };
        let headers = HeaderMap::from_iter([(
            axum::http::HeaderName::from_static("idempotency-key"),
            axum::http::HeaderValue::from_static("1"),
        )]);
        assert_eq!(IdempotencyKey::of(&endpoint, &headers, b""), None);
    }
}
