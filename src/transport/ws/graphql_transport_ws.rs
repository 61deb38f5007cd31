//! The words of `graphql-transport-ws`: frames in, messages out, and back. Nothing else.
//!
//! The text of the protocol is `PROTOCOL.md` of <https://github.com/enisdenjo/graphql-ws>.

use std::collections::BTreeMap;

use async_graphql::Variables;
use jiff::Timestamp;
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};
use serde_json::Map;
use serde_json::value::RawValue;

use super::close::Close;
use crate::auth::Credentials;
use crate::graphql::{BadRequest, Request, Source};
use crate::hub::{Envelope, Words};
use crate::registry::{BadConnectionId, ConnectionId};

/// The subprotocol, as it is spelled in `Sec-WebSocket-Protocol`.
pub const SUBPROTOCOL: &str = "graphql-transport-ws";

/// What a client says.
#[derive(Debug)]
pub enum ClientMessage {
    ConnectionInit(Init),
    Subscribe {
        id: String,
        request: Request,
    },
    Complete {
        id: String,
    },
    /// With its payload, as the client wrote it.
    Ping(Option<String>),
    /// A ping whose payload has an `Authorization`: newer credentials, in the middle of the
    /// conversation. An extension of ours; to servers that do not know it, it is a ping.
    Refresh(SecretString),
    Pong,
}

/// The payload of `connection_init`.
#[derive(Debug, Default)]
pub struct Init {
    pub credentials: Credentials,
    /// `connection_id`
    pub connection_id: Option<Result<ConnectionId, BadConnectionId>>,
    /// `"connection_info": true`: the client wants to be told what was made of its credentials.
    pub wants_info: bool,
}

/// The payload of an acknowledgement, for those who asked for one.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct ConnectionInfo<'a> {
    pub(super) connection_id: &'a str,
    /// In Unix seconds; `null` for what does not end by itself.
    pub(super) expires_at: Option<i64>,
    /// `null` is without restriction.
    pub(super) scopes: Option<Vec<&'static str>>,
    pub(super) ping_interval_ms: u64,
    pub(super) reconnect_jitter_ms: u64,
}

/// What a pong says to newer credentials.
#[derive(Debug)]
pub(super) enum Refreshed {
    Authenticated { expires_at: Option<Timestamp> },
    Not { reason: &'static str },
}

/// `{"type":"connection_ack"}`, with what the client asked to be told: others expect no payload.
pub(super) fn connection_ack(info: Option<&ConnectionInfo<'_>>) -> String {
    match info {
        Some(info) => {
            let info = serde_json::to_string(info).expect("it is JSON");
            format!(r#"{{"type":"connection_ack","payload":{info}}}"#)
        }
        None => r#"{"type":"connection_ack"}"#.to_owned(),
    }
}

/// Reads a text frame. What is not a message of the protocol closes the connection with 4400.
pub fn decode(frame: &str) -> Result<ClientMessage, Close> {
    #[derive(Deserialize)]
    struct Message<'a> {
        #[serde(borrow, rename = "type")]
        kind: Option<&'a RawValue>,
        #[serde(borrow)]
        id: Option<&'a RawValue>,
        #[serde(borrow)]
        payload: Option<&'a RawValue>,
    }
    if !frame.trim_start().starts_with('{') {
        let is_json = serde_json::from_str::<serde::de::IgnoredAny>(frame).is_ok();
        return Err(invalid(if is_json {
            "not a JSON object"
        } else {
            "not JSON"
        }));
    }
    let message: Message<'_> = serde_json::from_str(frame).map_err(|error| {
        invalid(if error.is_data() {
            "a key appears twice"
        } else {
            "not JSON"
        })
    })?;
    let kind: String = match message.kind {
        Some(kind) => {
            serde_json::from_str(kind.get()).map_err(|_| invalid("`type` is not a string"))?
        }
        None => return Err(invalid("`type` is missing")),
    };
    match kind.as_str() {
        "connection_init" => Ok(ClientMessage::ConnectionInit(init(message.payload)?)),
        "subscribe" => Ok(ClientMessage::Subscribe {
            id: id(message.id)?,
            request: request(message.payload)?,
        }),
        "complete" => Ok(ClientMessage::Complete {
            id: id(message.id)?,
        }),
        "ping" => {
            let payload = object_or_nothing(message.payload, "ping")?;
            Ok(match payload.and_then(authorization) {
                Some(authorization) => ClientMessage::Refresh(authorization),
                None => ClientMessage::Ping(payload.map(|payload| payload.get().to_owned())),
            })
        }
        "pong" => object_or_nothing(message.payload, "pong").map(|_| ClientMessage::Pong),
        "connection_ack" | "next" | "error" => {
            Err(invalid(format!("`{kind}` is for servers to send")))
        }
        "start" | "stop" | "connection_terminate" => Err(invalid(format!(
            "`{kind}` is of the older protocol graphql-ws (subscriptions-transport-ws), this is {SUBPROTOCOL}"
        ))),
        _ => Err(invalid(format!("`{kind}` is no type of message"))),
    }
}

/// `{"type":"pong"}`, with the payload of the ping.
pub(super) fn pong(payload: Option<&str>) -> String {
    match payload {
        Some(payload) => format!(r#"{{"type":"pong","payload":{payload}}}"#),
        None => r#"{"type":"pong"}"#.to_owned(),
    }
}

/// The pong to a ping with newer credentials.
pub(super) fn refreshed(refreshed: &Refreshed) -> String {
    match refreshed {
        Refreshed::Authenticated { expires_at } => {
            let expires_at = expires_at.map_or("null".to_owned(), |at| at.as_second().to_string());
            pong(Some(&format!(
                r#"{{"authenticated":true,"expiresAt":{expires_at}}}"#
            )))
        }
        Refreshed::Not { reason } => {
            let reason = serde_json::to_string(reason).expect("a string is JSON");
            pong(Some(&format!(
                r#"{{"authenticated":false,"reason":{reason}}}"#
            )))
        }
    }
}

/// How what is told of a subscription is spelled.
const WORDS: Words = Words {
    before_id: r#"{"id":"#,
    before_payload: r#","type":"next","payload":"#,
    after_payload: "}",
    completed: r#","type":"complete"}"#,
};

/// What goes around the results of the subscription with this id.
pub(super) fn envelope(subscription: u64, id: &str) -> Envelope {
    Envelope {
        subscription,
        id: spelled(id).into_bytes().into(),
        words: &WORDS,
    }
}

/// A `next` message.
pub(super) fn next(id: &str, payload: &str) -> String {
    let Words {
        before_id,
        before_payload,
        after_payload,
        ..
    } = WORDS;
    let id = spelled(id);
    format!("{before_id}{id}{before_payload}{payload}{after_payload}")
}

/// A `complete` message.
pub(super) fn complete(id: &str) -> String {
    format!("{}{}{}", WORDS.before_id, spelled(id), WORDS.completed)
}

/// An `error` message: the operation was refused, nothing follows for it.
pub(super) fn error(id: &str, errors: &str) -> String {
    let id = spelled(id);
    format!(r#"{{"id":{id},"type":"error","payload":{errors}}}"#)
}

fn spelled(id: &str) -> String {
    serde_json::to_string(id).expect("a string is JSON")
}

/// The payload of `connection_init`. Names of keys are taken in any case; those that say nothing here
/// are the client's own affair.
fn init(payload: Option<&RawValue>) -> Result<Init, Close> {
    let mut init = Init::default();
    let Some(payload) = object_or_nothing(payload, "connection_init")? else {
        return Ok(init);
    };
    let entries = entries(payload).ok_or_else(|| invalid("not JSON"))?;
    for (name, value) in entries {
        if name.eq_ignore_ascii_case("x-api-key") {
            first_given(&mut init.credentials.api_key, secret(value));
        } else if name.eq_ignore_ascii_case("authorization") {
            first_given(&mut init.credentials.authorization, secret(value));
        } else if name.eq_ignore_ascii_case("connection_id") {
            init.connection_id = connection_id(value);
        } else if name.eq_ignore_ascii_case("connection_info") {
            init.wants_info = value.get() == "true";
        }
    }
    Ok(init)
}

/// The `Authorization` in the payload of a ping. Most have none, and are not read.
fn authorization(payload: &RawValue) -> Option<SecretString> {
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
    let is_given = |credential: &SecretString| !credential.expose_secret().is_empty();
    if !credential.as_ref().is_some_and(is_given) {
        *credential = Some(given);
    }
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

fn request(payload: Option<&RawValue>) -> Result<Request, Close> {
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Payload<'a> {
        #[serde(borrow)]
        query: Option<&'a RawValue>,
        #[serde(borrow)]
        operation_name: Option<&'a RawValue>,
        #[serde(borrow)]
        variables: Option<&'a RawValue>,
        #[serde(borrow)]
        extensions: Option<&'a RawValue>,
        #[serde(borrow)]
        document_id: Option<&'a RawValue>,
    }
    let payload = payload.ok_or_else(|| invalid("`payload` of subscribe is missing"))?;
    if !is_object(payload) {
        return Err(invalid("`payload` of subscribe is not an object"));
    }
    let payload: Payload<'_> = serde_json::from_str(payload.get())
        .map_err(|_| invalid("a key of `payload` appears twice"))?;
    let text = |value: Option<&RawValue>, name: &str| match value {
        Some(value) => serde_json::from_str(value.get())
            .map_err(|_| invalid(format!("`payload.{name}` is not a string"))),
        None => Ok(None),
    };
    let query = text(payload.query, "query")?;
    let operation_name = text(payload.operation_name, "operationName")?;
    let document_id = text(payload.document_id, "documentId")?;
    let extensions = match payload.extensions {
        Some(extensions) => serde_json::from_str::<Map<_, _>>(extensions.get())
            .map_err(|_| invalid("`payload.extensions` is not an object"))?,
        None => Map::new(),
    };
    let source = Source::of(query, Some(&extensions), document_id).map_err(|bad| match bad {
        BadRequest::NoDocument => invalid("`payload.query` is missing"),
        _ => invalid("`payload.extensions.persistedQuery` is not an object with a `sha256Hash`"),
    })?;
    let variables = match payload.variables {
        Some(variables) if is_object(variables) => serde_json::from_str(variables.get())
            .map_err(|_| invalid("`payload.variables` cannot be read"))?,
        Some(_) => return Err(invalid("`payload.variables` is not an object")),
        None => Variables::default(),
    };
    Ok(Request {
        source,
        operation_name,
        variables,
    })
}

fn id(id: Option<&RawValue>) -> Result<String, Close> {
    let id = id.ok_or_else(|| invalid("`id` is missing"))?;
    let id: String = serde_json::from_str(id.get()).map_err(|_| invalid("`id` is not a string"))?;
    if id.is_empty() {
        Err(invalid("`id` is empty"))
    } else {
        Ok(id)
    }
}

/// `null` is nothing, as `Option` has it.
fn object_or_nothing<'a>(
    payload: Option<&'a RawValue>,
    of: &str,
) -> Result<Option<&'a RawValue>, Close> {
    match payload {
        Some(payload) if !is_object(payload) => {
            Err(invalid(format!("`payload` of {of} is not an object")))
        }
        payload => Ok(payload),
    }
}

fn is_object(json: &RawValue) -> bool {
    json.get().starts_with('{')
}

fn invalid(what: impl Into<std::borrow::Cow<'static, str>>) -> Close {
    Close::InvalidMessage(what.into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn refusal(frame: &str) -> String {
        match decode(frame) {
            Err(Close::InvalidMessage(what)) => what.into_owned(),
            other => panic!("{frame} gave {other:?}"),
        }
    }

    fn init(frame: &str) -> Init {
        match decode(frame) {
            Ok(ClientMessage::ConnectionInit(init)) => init,
            other => panic!("{frame} gave {other:?}"),
        }
    }

    #[test]
    fn the_name_of_a_connection_is_read_or_what_is_wrong_with_it() {
        let given = |payload: &str| {
            let frame = format!(r#"{{"type":"connection_init","payload":{payload}}}"#);
            let given = init(&frame).connection_id;
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
    fn what_was_made_of_the_credentials_is_told_to_who_asks_alone() {
        assert_eq!(connection_ack(None), r#"{"type":"connection_ack"}"#);
        let wants = |payload: &str| {
            let frame = format!(r#"{{"type":"connection_init","payload":{payload}}}"#);
            init(&frame).wants_info
        };
        assert!(wants(r#"{"connection_info":true}"#));
        assert!(!wants(r#"{"connection_info":false}"#));
        assert!(!wants(r#"{"connection_info":"yes"}"#));
        assert!(!wants("{}"));
        let info = ConnectionInfo {
            connection_id: "tab-1",
            expires_at: Some(1_700_000_000),
            scopes: Some(vec!["read"]),
            ping_interval_ms: 12_000,
            reconnect_jitter_ms: 5_000,
        };
        insta::assert_snapshot!(connection_ack(Some(&info)), @r#"{"type":"connection_ack","payload":{"connectionId":"tab-1","expiresAt":1700000000,"scopes":["read"],"pingIntervalMs":12000,"reconnectJitterMs":5000}}"#);
    }

    #[test]
    fn a_ping_with_an_authorization_brings_newer_credentials() {
        for name in ["Authorization", "authorization", "AUTHORIZATION"] {
            let frame = format!(r#"{{"type":"ping","payload":{{"{name}":"Bearer y"}}}}"#);
            match decode(&frame) {
                Ok(ClientMessage::Refresh(given)) => assert_eq!(given.expose_secret(), "Bearer y"),
                other => panic!("{frame} gave {other:?}"),
            }
        }
        for payload in [
            r#"{"n":1}"#,
            r#"{"my":"authorization"}"#,
            r#"{"deep":{"Authorization":"Bearer y"}}"#,
        ] {
            let frame = format!(r#"{{"type":"ping","payload":{payload}}}"#);
            match decode(&frame) {
                Ok(ClientMessage::Ping(Some(echoed))) => assert_eq!(echoed, payload),
                other => panic!("{frame} gave {other:?}"),
            }
        }
        let good = Refreshed::Authenticated {
            expires_at: Some(Timestamp::from_second(1_700_000_000).unwrap()),
        };
        insta::assert_snapshot!(refreshed(&good), @r#"{"type":"pong","payload":{"authenticated":true,"expiresAt":1700000000}}"#);
        let bad = Refreshed::Not {
            reason: "Forbidden",
        };
        insta::assert_snapshot!(refreshed(&bad), @r#"{"type":"pong","payload":{"authenticated":false,"reason":"Forbidden"}}"#);
    }

    #[test]
    fn what_is_wrong_with_a_message_is_said() {
        insta::assert_snapshot!(refusal("hello"), @"not JSON");
        insta::assert_snapshot!(refusal("{"), @"not JSON");
        insta::assert_snapshot!(refusal("[]"), @"not a JSON object");
        insta::assert_snapshot!(refusal("null"), @"not a JSON object");
        insta::assert_snapshot!(refusal("{}"), @"`type` is missing");
        insta::assert_snapshot!(refusal(r#"{"type":7}"#), @"`type` is not a string");
        insta::assert_snapshot!(refusal(r#"{"type":"hello"}"#), @"`hello` is no type of message");
        insta::assert_snapshot!(refusal(r#"{"type":"next"}"#), @"`next` is for servers to send");
        insta::assert_snapshot!(refusal(r#"{"type":"start","id":"1"}"#), @"`start` is of the older protocol graphql-ws (subscriptions-transport-ws), this is graphql-transport-ws");
        insta::assert_snapshot!(refusal(r#"{"type":"complete"}"#), @"`id` is missing");
        insta::assert_snapshot!(refusal(r#"{"type":"complete","id":1}"#), @"`id` is not a string");
        insta::assert_snapshot!(refusal(r#"{"type":"complete","id":""}"#), @"`id` is empty");
        insta::assert_snapshot!(refusal(r#"{"type":"subscribe","id":"1"}"#), @"`payload` of subscribe is missing");
        insta::assert_snapshot!(refusal(r#"{"type":"subscribe","id":"1","payload":"q"}"#), @"`payload` of subscribe is not an object");
        insta::assert_snapshot!(refusal(r#"{"type":"subscribe","id":"1","payload":{}}"#), @"`payload.query` is missing");
        insta::assert_snapshot!(refusal(r#"{"type":"subscribe","id":"1","payload":{"query":1}}"#), @"`payload.query` is not a string");
        insta::assert_snapshot!(refusal(r#"{"type":"subscribe","id":"1","payload":{"query":"q","variables":[]}}"#), @"`payload.variables` is not an object");
        insta::assert_snapshot!(refusal(r#"{"type":"subscribe","id":"1","payload":{"query":"q","operationName":1}}"#), @"`payload.operationName` is not a string");
        insta::assert_snapshot!(refusal(r#"{"type":"subscribe","id":"1","payload":{"documentId":1}}"#), @"`payload.documentId` is not a string");
        insta::assert_snapshot!(refusal(r#"{"type":"subscribe","id":"1","payload":{"query":"q","extensions":[]}}"#), @"`payload.extensions` is not an object");
        insta::assert_snapshot!(refusal(r#"{"type":"subscribe","id":"1","payload":{"extensions":{"other":1}}}"#), @"`payload.query` is missing");
        insta::assert_snapshot!(refusal(r#"{"type":"connection_init","payload":[]}"#), @"`payload` of connection_init is not an object");
        insta::assert_snapshot!(refusal(r#"{"type":"ping","payload":"x"}"#), @"`payload` of ping is not an object");
    }

    #[test]
    fn a_payload_of_null_is_no_payload() {
        assert!(matches!(
            decode(r#"{"type":"ping","payload":null}"#),
            Ok(ClientMessage::Ping(None))
        ));
        assert!(matches!(
            decode(r#"{"type":"connection_init","payload":null}"#),
            Ok(ClientMessage::ConnectionInit(_))
        ));
        let subscribe = r#"{"type":"subscribe","id":"1","payload":{"query":"q","operationName":null,"variables":null,"extensions":null}}"#;
        assert!(matches!(
            decode(subscribe),
            Ok(ClientMessage::Subscribe { .. })
        ));
    }

    #[test]
    fn credentials_are_taken_from_the_payload() {
        let frame = r#"{"type":"connection_init","payload":{"X-API-KEY":"blink_x","authorization":"Bearer y"}}"#;
        let Init { credentials, .. } = init(frame);
        assert_eq!(credentials.api_key.unwrap().expose_secret(), "blink_x");
        assert_eq!(
            credentials.authorization.unwrap().expose_secret(),
            "Bearer y"
        );
    }

    #[test]
    fn an_empty_credential_does_not_hide_another_spelling_of_it() {
        for payload in [
            r#"{"Authorization":"Bearer y","authorization":""}"#,
            r#"{"Authorization":"","authorization":"Bearer y"}"#,
        ] {
            let frame = format!(r#"{{"type":"connection_init","payload":{payload}}}"#);
            let authorization = init(&frame).credentials.authorization.unwrap();
            assert_eq!(authorization.expose_secret(), "Bearer y");
        }
    }

    #[test]
    fn a_credential_that_is_not_a_string_is_not_an_absent_one() {
        let Init { credentials, .. } =
            init(r#"{"type":"connection_init","payload":{"X-API-KEY":7}}"#);
        assert_eq!(credentials.api_key.unwrap().expose_secret(), "7");
    }

    #[test]
    fn a_pong_carries_the_payload_of_its_ping_untouched() {
        let Ok(ClientMessage::Ping(payload)) =
            decode(r#"{"type":"ping","payload":{ "b":1.0, "a":[] }}"#)
        else {
            panic!("no ping")
        };
        assert_eq!(
            pong(payload.as_deref()),
            r#"{"type":"pong","payload":{ "b":1.0, "a":[] }}"#
        );
    }

    #[test]
    fn ids_are_escaped() {
        assert_eq!(&*envelope(1, "a\"b").id, br#""a\"b""#);
        assert_eq!(
            next("a\"b", "{}"),
            r#"{"id":"a\"b","type":"next","payload":{}}"#
        );
        assert_eq!(complete("a\"b"), r#"{"id":"a\"b","type":"complete"}"#);
    }

    proptest! {
        #[test]
        fn no_frame_makes_the_decoder_panic(frame in ".{0,200}") {
            let _ = decode(&frame);
        }

        #[test]
        fn no_message_makes_the_decoder_panic(kind in "connection_init|subscribe|complete|ping|pong|[a-z]{0,9}", rest in "[\\[\\]{}\":,a-z0-9]{0,60}") {
            if let Err(close) = decode(&format!(r#"{{"type":"{kind}",{rest}}}"#)) {
                prop_assert_eq!(close.code(), Some(4400));
                prop_assert!(close.reason().len() <= 123);
            }
        }
    }
}
