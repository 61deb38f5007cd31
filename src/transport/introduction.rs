//! What a client says of itself when it comes.

use std::collections::BTreeMap;

use axum::http::HeaderMap;
use secrecy::{ExposeSecret, SecretString};
use serde_json::value::RawValue;

use crate::auth::Credentials;
use crate::registry::{BadConnectionId, ConnectionId};

/// What a client says of itself: in the headers of a request, or in the payload of `connection_init`.
#[derive(Debug, Default)]
pub struct Introduction {
    pub credentials: Credentials,
    /// `connection_id`, or `X-Connection-Id`
    pub connection_id: Option<Result<ConnectionId, BadConnectionId>>,
    /// `"connection_info": true`: the client wants to be told what was made of its credentials.
    pub wants_info: bool,
}

impl Introduction {
    /// The one in the headers of a request: `X-API-KEY`, `Authorization`, `X-Connection-Id`.
    pub fn of_headers(headers: &HeaderMap) -> Self {
        // A header that is not text is a wrong credential, not an absent one.
        let text = |name: &str| {
            let value = headers.get(name)?;
            Some(value.to_str().unwrap_or("not text"))
        };
        Introduction {
            credentials: Credentials {
                api_key: text("x-api-key").map(SecretString::from),
                authorization: text("authorization").map(SecretString::from),
            },
            connection_id: text("x-connection-id").map(ConnectionId::parse),
            wants_info: false,
        }
    }

    /// The one in a JSON object; `None` if it cannot be read. Names of keys are taken in any case; those
    /// that say nothing here are the client's own affair.
    ///
    /// Many clients put an object `headers` into the payload, as Hasura's documentation and Apollo's have it:
    /// what it says holds where the rest is silent.
    pub(super) fn of_payload(payload: &RawValue) -> Option<Self> {
        let mut said = Introduction::default();
        let mut headers = None;
        for (name, value) in entries(payload)? {
            if let Some(credential) = said.credential(&name) {
                first_given(credential, secret(value));
            } else if name.eq_ignore_ascii_case("connection_id") {
                said.connection_id = connection_id(value);
            } else if name.eq_ignore_ascii_case("connection_info") {
                said.wants_info = value.get() == "true";
            } else if name.eq_ignore_ascii_case("headers") {
                headers = Introduction::of_inner_headers(value);
            }
        }
        Some(match headers {
            Some(headers) => said.or(headers),
            None => said,
        })
    }

    /// The one in an object whose names are those of headers; `None` if it is something else.
    fn of_inner_headers(headers: &RawValue) -> Option<Self> {
        let mut said = Introduction::default();
        for (name, value) in entries(headers)? {
            if let Some(credential) = said.credential(&name) {
                first_given(credential, secret(value));
            } else if name.eq_ignore_ascii_case("x-connection-id") {
                said.connection_id = connection_id(value);
            }
        }
        Some(said)
    }

    /// The credential of this name, if there is one that is called so.
    fn credential(&mut self, name: &str) -> Option<&mut Option<SecretString>> {
        if name.eq_ignore_ascii_case("x-api-key") {
            Some(&mut self.credentials.api_key)
        } else if name.eq_ignore_ascii_case("authorization") {
            Some(&mut self.credentials.authorization)
        } else {
            None
        }
    }

    /// This one, and what another one says where this one is silent: credentials are taken from one of
    /// them, never a key from the one and a token from the other.
    pub(super) fn or(mut self, other: Introduction) -> Self {
        let Credentials {
            api_key,
            authorization,
        } = &self.credentials;
        if ![api_key, authorization].into_iter().any(is_given) {
            self.credentials = other.credentials;
        }
        self.connection_id = self.connection_id.or(other.connection_id);
        self
    }

    /// Whether it says nothing at all.
    pub(super) fn is_empty(&self) -> bool {
        let Credentials {
            api_key,
            authorization,
        } = &self.credentials;
        api_key.is_none() && authorization.is_none() && self.connection_id.is_none()
    }
}

/// The `Authorization` in a JSON object. Most have none, and are not read.
pub(super) fn authorization(payload: &RawValue) -> Option<SecretString> {
    let is_likely = payload
        .get()
        .as_bytes()
        .windows("authorization".len())
        .any(|bytes| bytes.eq_ignore_ascii_case(b"authorization"));
    if !is_likely {
        return None;
    }
    let found = entries(payload)?
        .into_iter()
        .find(|(name, _)| name.eq_ignore_ascii_case("authorization"));
    found.map(|(_, value)| secret(value))
}

fn entries(payload: &RawValue) -> Option<BTreeMap<String, &RawValue>> {
    serde_json::from_str(payload.get()).ok()
}

/// An empty one takes the place of none: a client may send one spelling full, and another empty.
fn first_given(credential: &mut Option<SecretString>, given: SecretString) {
    if !is_given(credential) {
        *credential = Some(given);
    }
}

fn is_given(credential: &Option<SecretString>) -> bool {
    let text = credential.as_ref().map(ExposeSecret::expose_secret);
    text.is_some_and(|text| !text.is_empty())
}

/// A credential. One that is not a string is a wrong one, not an absent one.
fn secret(value: &RawValue) -> SecretString {
    match serde_json::from_str::<Option<String>>(value.get()) {
        Ok(text) => text.unwrap_or_default().into(),
        Err(_) => value.get().into(),
    }
}

/// `null` is none.
fn connection_id(value: &RawValue) -> Option<Result<ConnectionId, BadConnectionId>> {
    match serde_json::from_str::<Option<String>>(value.get()) {
        Ok(text) => text.map(|text| ConnectionId::parse(&text)),
        Err(_) => Some(Err(BadConnectionId::NotAString)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(payload: &str) -> Introduction {
        Introduction::of_payload(&RawValue::from_string(payload.to_owned()).unwrap()).unwrap()
    }

    fn key(introduction: &Introduction) -> Option<&str> {
        let key = introduction.credentials.api_key.as_ref();
        key.map(ExposeSecret::expose_secret)
    }

    #[test]
    fn the_name_of_a_connection_is_read_or_what_is_wrong_with_it() {
        let given = |payload: &str| {
            let given = said(payload).connection_id;
            given.map(|given| given.map(|id| id.to_string()))
        };
        assert_eq!(given("{}"), None);
        assert_eq!(given(r#"{"connection_id":null}"#), None);
        let tab = given(r#"{"connection_id":"tab-1"}"#);
        assert_eq!(tab, Some(Ok("tab-1".to_owned())));
        let seven = given(r#"{"connection_id":7}"#);
        assert_eq!(seven, Some(Err(BadConnectionId::NotAString)));
        let empty = given(r#"{"connection_id":""}"#);
        assert_eq!(empty, Some(Err(BadConnectionId::Empty)));
    }

    #[test]
    fn only_true_asks_for_what_was_made_of_the_credentials() {
        assert!(said(r#"{"connection_info":true}"#).wants_info);
        assert!(!said(r#"{"connection_info":false}"#).wants_info);
        assert!(!said(r#"{"connection_info":"yes"}"#).wants_info);
        assert!(!said("{}").wants_info);
    }

    #[test]
    fn the_payload_wins_over_the_headers_and_their_credentials_are_not_mixed() {
        let headers = |name: &'static str, value: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(name, value.parse().unwrap());
            headers.insert("x-connection-id", "tab-1".parse().unwrap());
            Introduction::of_headers(&headers)
        };
        let both = said(r#"{"X-API-KEY":"payload"}"#).or(headers("x-api-key", "header"));
        assert_eq!(key(&both), Some("payload"));
        assert_eq!(both.connection_id.unwrap().unwrap().as_str(), "tab-1");
        let both = said(r#"{"X-API-KEY":"payload"}"#).or(headers("authorization", "Bearer x"));
        assert!(both.credentials.authorization.is_none());
        let both = said(r#"{"X-API-KEY":""}"#).or(headers("x-api-key", "header"));
        assert_eq!(key(&both), Some("header"));
        assert!(Introduction::of_headers(&HeaderMap::new()).is_empty());
    }

    #[test]
    fn headers_inside_of_the_payload_hold_where_it_is_silent_and_go_before_those_of_the_request() {
        let names = |introduction: &Introduction| {
            let id = introduction.connection_id.as_ref()?.as_ref().ok()?;
            Some(id.to_string())
        };
        let inner = said(r#"{"headers":{"X-Api-Key":"inner","x-connection-id":"tab-1"}}"#);
        assert_eq!(key(&inner), Some("inner"));
        assert_eq!(names(&inner).as_deref(), Some("tab-1"));
        let payload = r#"{"X-API-KEY":"outer","connection_id":"tab-2","headers":{"Authorization":"Bearer x","X-Connection-Id":"tab-1"}}"#;
        let outer = said(payload);
        assert_eq!(key(&outer), Some("outer"));
        assert!(outer.credentials.authorization.is_none());
        assert_eq!(names(&outer).as_deref(), Some("tab-2"));
        let emptied = said(r#"{"Authorization":"","headers":{"X-API-KEY":"inner"}}"#);
        assert_eq!(key(&emptied), Some("inner"));

        let mut request = HeaderMap::new();
        request.insert("x-api-key", "request".parse().unwrap());
        let request = || Introduction::of_headers(&request);
        let inner = said(r#"{"headers":{"X-API-KEY":"inner"}}"#).or(request());
        assert_eq!(key(&inner), Some("inner"));
        for silent in [
            r#"{"headers":{}}"#,
            r#"{"headers":null}"#,
            r#"{"headers":["X-API-KEY"]}"#,
            r#"{"headers":{"X-API-KEY":null}}"#,
            r#"{"headers":{"headers":{"X-API-KEY":"deep"}}}"#,
        ] {
            assert_eq!(
                key(&said(silent).or(request())),
                Some("request"),
                "{silent}"
            );
        }
    }
}
