//! The words of `graphql-transport-ws`: frames in, messages out, and back. Nothing else.
//!
//! The text of the protocol is `PROTOCOL.md` of <https://github.com/enisdenjo/graphql-ws>.

use async_graphql::Variables;
use secrecy::SecretString;
use serde::Deserialize;
use serde_json::value::RawValue;

use super::close::Close;
use crate::auth::Credentials;
use crate::graphql::Request;
use crate::hub::Envelope;

/// The subprotocol, as it is spelled in `Sec-WebSocket-Protocol`.
pub const SUBPROTOCOL: &str = "graphql-transport-ws";

/// What a client says.
#[derive(Debug)]
pub enum ClientMessage {
    ConnectionInit(Credentials),
    Subscribe {
        id: String,
        request: Request,
    },
    Complete {
        id: String,
    },
    /// With its payload, as the client wrote it.
    Ping(Option<String>),
    Pong,
}

/// `{"type":"connection_ack"}`
pub(super) const CONNECTION_ACK: &str = r#"{"type":"connection_ack"}"#;

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
        "connection_init" => Ok(ClientMessage::ConnectionInit(credentials(message.payload)?)),
        "subscribe" => Ok(ClientMessage::Subscribe {
            id: id(message.id)?,
            request: request(message.payload)?,
        }),
        "complete" => Ok(ClientMessage::Complete {
            id: id(message.id)?,
        }),
        "ping" => {
            let payload = object_or_nothing(message.payload, "ping")?;
            Ok(ClientMessage::Ping(
                payload.map(|payload| payload.get().to_owned()),
            ))
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

/// What goes around the results of the subscription with this id.
pub(super) fn envelope(subscription: u64, id: &str) -> Envelope {
    let id = serde_json::to_string(id).expect("a string is JSON");
    Envelope {
        subscription,
        before: format!(r#"{{"id":{id},"type":"next","payload":"#).into(),
        after: "}",
        complete: format!(r#"{{"id":{id},"type":"complete"}}"#).into(),
    }
}

/// An `error` message: the operation was refused, nothing follows for it.
pub(super) fn error(id: &str, errors: &str) -> String {
    let id = serde_json::to_string(id).expect("a string is JSON");
    format!(r#"{{"id":{id},"type":"error","payload":{errors}}}"#)
}

/// Credentials in the payload of `connection_init`. Names of keys are taken in any case.
fn credentials(payload: Option<&RawValue>) -> Result<Credentials, Close> {
    let mut credentials = Credentials::default();
    let Some(payload) = object_or_nothing(payload, "connection_init")? else {
        return Ok(credentials);
    };
    let entries: std::collections::BTreeMap<String, &RawValue> =
        serde_json::from_str(payload.get()).map_err(|_| invalid("not JSON"))?;
    for (name, value) in entries {
        // A credential that is not a string is a wrong one, not an absent one.
        let text = || match serde_json::from_str::<Option<String>>(value.get()) {
            Ok(text) => text.unwrap_or_default(),
            Err(_) => value.get().to_owned(),
        };
        if name.eq_ignore_ascii_case("x-api-key") {
            credentials.api_key = Some(SecretString::from(text()));
        } else if name.eq_ignore_ascii_case("authorization") {
            credentials.authorization = Some(SecretString::from(text()));
        }
    }
    Ok(credentials)
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
    }
    let payload = payload.ok_or_else(|| invalid("`payload` of subscribe is missing"))?;
    if !is_object(payload) {
        return Err(invalid("`payload` of subscribe is not an object"));
    }
    let payload: Payload<'_> = serde_json::from_str(payload.get())
        .map_err(|_| invalid("a key of `payload` appears twice"))?;
    let query = payload
        .query
        .ok_or_else(|| invalid("`payload.query` is missing"))?;
    let query = serde_json::from_str(query.get())
        .map_err(|_| invalid("`payload.query` is not a string"))?;
    let operation_name = match payload.operation_name {
        Some(name) => serde_json::from_str(name.get())
            .map_err(|_| invalid("`payload.operationName` is not a string"))?,
        None => None,
    };
    if payload
        .extensions
        .is_some_and(|extensions| !is_object(extensions))
    {
        return Err(invalid("`payload.extensions` is not an object"));
    }
    let variables = match payload.variables {
        Some(variables) if is_object(variables) => serde_json::from_str(variables.get())
            .map_err(|_| invalid("`payload.variables` cannot be read"))?,
        Some(_) => return Err(invalid("`payload.variables` is not an object")),
        None => Variables::default(),
    };
    Ok(Request {
        query,
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
    use secrecy::ExposeSecret;

    fn refusal(frame: &str) -> String {
        match decode(frame) {
            Err(Close::InvalidMessage(what)) => what.into_owned(),
            other => panic!("{frame} gave {other:?}"),
        }
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
        let Ok(ClientMessage::ConnectionInit(credentials)) = decode(frame) else {
            panic!("no init")
        };
        assert_eq!(credentials.api_key.unwrap().expose_secret(), "blink_x");
        assert_eq!(
            credentials.authorization.unwrap().expose_secret(),
            "Bearer y"
        );
    }

    #[test]
    fn a_credential_that_is_not_a_string_is_not_an_absent_one() {
        let Ok(ClientMessage::ConnectionInit(credentials)) =
            decode(r#"{"type":"connection_init","payload":{"X-API-KEY":7}}"#)
        else {
            panic!("no init")
        };
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
        let envelope = envelope(1, "a\"b");
        assert_eq!(
            &*envelope.before,
            r#"{"id":"a\"b","type":"next","payload":"#
        );
        assert_eq!(&*envelope.complete, r#"{"id":"a\"b","type":"complete"}"#);
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
