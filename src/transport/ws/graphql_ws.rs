//! The words of `graphql-ws`, the subprotocol before `graphql-transport-ws`: that of the npm package
//! subscriptions-transport-ws, which is not maintained any more, and of the apps that were built on it.
//!
//! The text of the protocol is `PROTOCOL.md` of <https://github.com/apollographql/subscriptions-transport-ws>;
//! where that is silent, the package's own server is followed: `start` may come before the acknowledgement, an
//! id that is in use ends its operation for the new one, `stop` is answered `complete`, and what is no
//! message is answered `error`.
//!
//! Nothing else than `connection_ack`, `connection_error`, `ka`, `data`, `error` and `complete` may be said:
//! the package's client throws an exception at any other type.

use std::borrow::Cow;
use std::time::Duration;

use serde_json::value::RawValue;

use super::message::{ClientMessage, Frame, invalid};
use crate::hub::Words;
use crate::transport::close::Close;

/// The subprotocol, as it is spelled in `Sec-WebSocket-Protocol`.
pub const SUBPROTOCOL: &str = "graphql-ws";

/// `{"type":"ka"}`, after the acknowledgement and then now and then: clients that have heard one expect
/// more of them.
pub(super) const KEEP_ALIVE: &str = r#"{"type":"ka"}"#;

/// The longest time between two of them: a client is pinged that often, and told with each ping, and with a
/// pong that was slow. subscriptions-transport-ws takes a connection for dead on which
/// none has come for 30 seconds.
pub(in crate::transport) const KEEP_ALIVE_WITHIN: Duration = Duration::from_secs(20);

/// How what is told of a subscription is spelled.
pub const WORDS: Words = Words {
    before_id: r#"{"id":"#,
    before_payload: r#","type":"data","payload":"#,
    after_payload: "}",
    before_completed: r#"{"id":"#,
    after_completed: r#","type":"complete"}"#,
};

/// Reads a text frame. What is wrong with it does not end the connection, but where a client cannot be let
/// in for it.
pub fn decode(frame: &str) -> Result<ClientMessage, Close> {
    let frame = match Frame::read(frame) {
        Ok(frame) => frame,
        Err(wrong) => return Ok(ClientMessage::Invalid { id: None, wrong }),
    };
    let said = match frame.kind.as_str() {
        "connection_init" => return frame.introduction().map(ClientMessage::ConnectionInit),
        "start" => frame.id().and_then(|id| {
            let request = frame.request()?;
            Ok(ClientMessage::Subscribe { id, request })
        }),
        "stop" => frame.id().map(|id| ClientMessage::Complete { id }),
        "connection_terminate" => Ok(ClientMessage::Terminate),
        kind => Err(invalid(format!(
            "`{kind}` is no type of message of {SUBPROTOCOL}"
        ))),
    };
    Ok(said.unwrap_or_else(|wrong| ClientMessage::Invalid {
        id: frame.id().ok(),
        wrong,
    }))
}

/// An `error` message: the operation was refused, nothing follows for it. Its payload is one error, as
/// the protocol has it; where there are more, all of them are in it, too.
pub(in crate::transport) fn error(id: &str, errors: &str) -> String {
    let id = spelled(id);
    let list: Vec<&RawValue> = serde_json::from_str(errors).unwrap_or_default();
    let payload: Cow<'_, str> = match list[..] {
        [one] => one.get().into(),
        [first, ..] => {
            let rest = first.get().strip_suffix('}').unwrap_or_default();
            format!(r#"{rest},"errors":{errors}}}"#).into()
        }
        [] => r#"{"message":"refused"}"#.into(),
    };
    format!(r#"{{"id":{id},"type":"error","payload":{payload}}}"#)
}

/// An `error` message about what is no message.
pub(super) fn complaint(id: Option<&str>, wrong: &Close) -> String {
    let message = spelled(&wrong.reason());
    let id = id.map_or(String::new(), |id| format!(r#""id":{},"#, spelled(id)));
    format!(r#"{{{id}"type":"error","payload":{{"message":{message}}}}}"#)
}

/// `connection_error`: the client is not let in, and hears why before the socket is closed.
pub(in crate::transport) fn connection_error(close: &Close) -> String {
    let message = spelled(&close.reason());
    format!(r#"{{"type":"connection_error","payload":{{"message":{message}}}}}"#)
}

fn spelled(text: &str) -> String {
    serde_json::to_string(text).expect("a string is JSON")
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::Value;

    /// What is answered to something that is no message.
    fn refusal(frame: &str) -> String {
        match decode(frame) {
            Ok(ClientMessage::Invalid { id, wrong }) => complaint(id.as_deref(), &wrong),
            other => panic!("{frame} gave {other:?}"),
        }
    }

    #[test]
    fn its_messages_are_read() {
        let read = |frame: &str| match decode(frame) {
            Ok(ClientMessage::ConnectionInit(_)) => "init".to_owned(),
            Ok(ClientMessage::Subscribe { id, .. }) => format!("start {id}"),
            Ok(ClientMessage::Complete { id }) => format!("stop {id}"),
            Ok(ClientMessage::Terminate) => "terminate".to_owned(),
            other => panic!("{frame} gave {other:?}"),
        };
        // As the npm package and the apps write them.
        for init in [
            r#"{"type":"connection_init"}"#,
            r#"{"type":"connection_init","payload":{}}"#,
            r#"{"type":"connection_init","payload":null}"#,
        ] {
            assert_eq!(read(init), "init");
        }
        for start in [
            r#"{"id":"1","type":"start","payload":{"query":"q"}}"#,
            r#"{"id":"1","type":"start","payload":{"query":"q","variables":null,"operationName":null}}"#,
            r#"{"type":"start","id":"1","payload":{"operationName":"n","query":"q","variables":{},"extensions":{}}}"#,
        ] {
            assert_eq!(read(start), "start 1");
        }
        assert_eq!(read(r#"{"id":"1","type":"stop"}"#), "stop 1");
        for terminate in [
            r#"{"type":"connection_terminate","payload":null}"#,
            r#"{"type":"connection_terminate"}"#,
        ] {
            assert_eq!(read(terminate), "terminate");
        }
    }

    #[test]
    fn what_is_wrong_with_a_message_is_said() {
        insta::assert_snapshot!(refusal("hello"), @r#"{"type":"error","payload":{"message":"Invalid message received: not JSON"}}"#);
        insta::assert_snapshot!(refusal("[]"), @r#"{"type":"error","payload":{"message":"Invalid message received: not a JSON object"}}"#);
        insta::assert_snapshot!(refusal(r#"{"id":"1"}"#), @r#"{"type":"error","payload":{"message":"Invalid message received: `type` is missing"}}"#);
        insta::assert_snapshot!(refusal(r#"{"id":"a\"b","type":"subscribe","payload":{"query":"q"}}"#), @r#"{"id":"a\"b","type":"error","payload":{"message":"Invalid message received: `subscribe` is no type of message of graphql-ws"}}"#);
        insta::assert_snapshot!(refusal(r#"{"type":"start","payload":{"query":"q"}}"#), @r#"{"type":"error","payload":{"message":"Invalid message received: `id` is missing"}}"#);
        insta::assert_snapshot!(refusal(r#"{"id":"1","type":"start"}"#), @r#"{"id":"1","type":"error","payload":{"message":"Invalid message received: `payload` of start is missing"}}"#);
        insta::assert_snapshot!(refusal(r#"{"id":"1","type":"start","payload":{}}"#), @r#"{"id":"1","type":"error","payload":{"message":"Invalid message received: `payload.query` is missing"}}"#);
        // However long a message is, what is said of it is short.
        let long = format!(r#"{{"type":"{}"}}"#, "é".repeat(10_000));
        assert!(refusal(&long).len() < 200);
    }

    #[test]
    fn who_cannot_be_let_in_for_its_init_is_not_kept_waiting() {
        let refused = decode(r#"{"type":"connection_init","payload":[]}"#).unwrap_err();
        insta::assert_snapshot!(connection_error(&refused), @r#"{"type":"connection_error","payload":{"message":"Invalid message received: `payload` of connection_init is not an object"}}"#);
    }

    #[test]
    fn the_payload_of_an_error_is_one_object() {
        insta::assert_snapshot!(error("1", r#"[{"message":"m","locations":[{"line":1,"column":2}]}]"#), @r#"{"id":"1","type":"error","payload":{"message":"m","locations":[{"line":1,"column":2}]}}"#);
        insta::assert_snapshot!(error("1", r#"[{"message":"m"},{"message":"n"}]"#), @r#"{"id":"1","type":"error","payload":{"message":"m","errors":[{"message":"m"},{"message":"n"}]}}"#);
    }

    /// All that the package's client knows.
    const TYPES: [&str; 6] = [
        "connection_ack",
        "connection_error",
        "ka",
        "data",
        "error",
        "complete",
    ];

    /// Reads a text, and looks at what is answered if it is no message.
    fn is_answered(frame: &str) -> Result<(), TestCaseError> {
        let answer = match decode(frame) {
            Ok(ClientMessage::Invalid { id, wrong }) => complaint(id.as_deref(), &wrong),
            Err(close) => {
                prop_assert_eq!(close.code(), Some(4400));
                connection_error(&close)
            }
            Ok(_) => return Ok(()),
        };
        let answer: Value = serde_json::from_str(&answer).expect("what is said is JSON");
        let kind = answer["type"].as_str().unwrap_or_default();
        prop_assert!(TYPES.contains(&kind), "{}", answer);
        prop_assert!(answer["payload"]["message"].is_string(), "{}", answer);
        Ok(())
    }

    proptest! {
        #[test]
        fn no_frame_makes_the_decoder_panic(frame in ".{0,200}") {
            is_answered(&frame)?;
        }

        #[test]
        fn no_message_makes_the_decoder_panic(kind in "connection_init|start|stop|connection_terminate|[a-z]{0,9}", id in "[^\"\\\\\\pC]{0,5}", rest in "[\\[\\]{}\":,a-z0-9]{0,60}") {
            is_answered(&format!(r#"{{"type":"{kind}","id":"{id}",{rest}}}"#))?;
            is_answered(&format!(r#"{{"type":"{kind}","id":"{id}","payload":{{{rest}}}}}"#))?;
        }

        #[test]
        fn whatever_is_refused_is_told_in_one_object(messages in proptest::collection::vec(".{0,20}", 1..4)) {
            let errors: Vec<Value> = messages.iter().map(|message| serde_json::json!({ "message": message })).collect();
            let told: Value = serde_json::from_str(&error("1", &Value::from(errors).to_string())).expect("what is said is JSON");
            prop_assert_eq!(&told["payload"]["message"], &Value::from(messages[0].as_str()));
            let told = told["payload"]["errors"].as_array().map_or(1, Vec::len);
            prop_assert_eq!(told, messages.len());
        }
    }
}
