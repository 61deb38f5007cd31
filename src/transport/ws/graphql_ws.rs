//! The words of `graphql-ws`, the subprotocol before `graphql-transport-ws`: that of the npm package
//! subscriptions-transport-ws, which is not maintained any more, and of the apps that were built on it.
//!
//! The text of the protocol is `PROTOCOL.md` of <https://github.com/apollographql/subscriptions-transport-ws>;
//! where that is silent, the package's own server is followed: `start` may come before the acknowledgement, an
//! id that is in use ends its operation for the new one, `stop` is answered `complete`, and what is no
//! message is answered `error`.

use std::borrow::Cow;

use serde_json::value::RawValue;

use super::message::{ClientMessage, Frame, invalid};
use crate::hub::Words;
use crate::transport::close::Close;

/// The subprotocol, as it is spelled in `Sec-WebSocket-Protocol`.
pub const SUBPROTOCOL: &str = "graphql-ws";

/// `{"type":"ka"}`, after the acknowledgement and then now and then: clients that have heard one expect
/// more of them.
pub(super) const KEEP_ALIVE: &str = r#"{"type":"ka"}"#;

/// How what is told of a subscription is spelled.
pub const WORDS: Words = Words {
    before_id: r#"{"id":"#,
    before_payload: r#","type":"data","payload":"#,
    after_payload: "}",
    before_completed: r#"{"id":"#,
    after_completed: r#","type":"complete"}"#,
};

/// Reads a text frame. Nothing that is wrong with it ends the connection.
pub(super) fn decode(frame: &str) -> ClientMessage {
    let frame = match Frame::read(frame) {
        Ok(frame) => frame,
        Err(wrong) => return unusable(None, wrong),
    };
    let said = match frame.kind.as_str() {
        "connection_init" => frame.introduction().map(ClientMessage::ConnectionInit),
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
    said.unwrap_or_else(|wrong| unusable(frame.id().ok(), wrong))
}

fn unusable(id: Option<String>, wrong: Close) -> ClientMessage {
    let what = match wrong {
        Close::InvalidMessage(what) => what,
        other => other.reason().into(),
    };
    ClientMessage::Invalid { id, what }
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

/// An `error` message about what is no message, or about one that came at the wrong time.
pub(super) fn complaint(id: Option<&str>, what: &str) -> String {
    let message = spelled(&format!("Invalid message received: {what}"));
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
