//! The words of `graphql-transport-ws`: frames in, messages out, and back. Nothing else.
//!
//! The text of the protocol is `PROTOCOL.md` of <https://github.com/enisdenjo/graphql-ws>.

use jiff::Timestamp;
use serde::Serialize;

use super::message::{ClientMessage, Frame, invalid};
use crate::hub::Words;
use crate::transport::close::Close;
use crate::transport::introduction::authorization;

/// The subprotocol, as it is spelled in `Sec-WebSocket-Protocol`.
pub const SUBPROTOCOL: &str = "graphql-transport-ws";

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
    let frame = Frame::read(frame)?;
    match frame.kind.as_str() {
        "connection_init" => frame.introduction().map(ClientMessage::ConnectionInit),
        "subscribe" => Ok(ClientMessage::Subscribe {
            id: frame.id()?,
            request: frame.request()?,
        }),
        "complete" => frame.id().map(|id| ClientMessage::Complete { id }),
        "ping" => {
            let payload = frame.object()?;
            Ok(match payload.and_then(authorization) {
                Some(authorization) => ClientMessage::Refresh(authorization),
                None => ClientMessage::Ping(payload.map(|payload| payload.get().to_owned())),
            })
        }
        "pong" => frame.object().map(|_| ClientMessage::Pong),
        kind @ ("connection_ack" | "next" | "error") => {
            Err(invalid(format!("`{kind}` is for servers to send")))
        }
        kind @ ("start" | "stop" | "connection_terminate") => Err(invalid(format!(
            "`{kind}` is of the older protocol graphql-ws (subscriptions-transport-ws), this is {SUBPROTOCOL}"
        ))),
        kind => Err(invalid(format!("`{kind}` is no type of message"))),
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
pub const WORDS: Words = Words {
    before_id: r#"{"id":"#,
    before_payload: r#","type":"next","payload":"#,
    after_payload: "}",
    before_completed: r#"{"id":"#,
    after_completed: r#","type":"complete"}"#,
};

/// An `error` message: the operation was refused, nothing follows for it.
pub(in crate::transport) fn error(id: &str, errors: &str) -> String {
    let id = serde_json::to_string(id).expect("a string is JSON");
    format!(r#"{{"id":{id},"type":"error","payload":{errors}}}"#)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::transport::introduction::Introduction;
    use proptest::prelude::*;
    use secrecy::ExposeSecret;

    fn refusal(frame: &str) -> String {
        match decode(frame) {
            Err(Close::InvalidMessage(what)) => what.into_owned(),
            other => panic!("{frame} gave {other:?}"),
        }
    }

    fn init(frame: &str) -> Introduction {
        match decode(frame) {
            Ok(ClientMessage::ConnectionInit(init)) => init,
            other => panic!("{frame} gave {other:?}"),
        }
    }

    #[test]
    fn what_was_made_of_the_credentials_is_told_to_who_asks_alone() {
        assert_eq!(connection_ack(None), r#"{"type":"connection_ack"}"#);
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
        let long = format!(r#"{{"type":"complete","id":"{}"}}"#, "é".repeat(513));
        insta::assert_snapshot!(refusal(&long), @"`id` is longer than 1024 bytes");
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
        let Introduction { credentials, .. } = init(frame);
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
        let Introduction { credentials, .. } =
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
