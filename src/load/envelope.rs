//! `graphql-transport-ws` as a client hears and says it.
//!
//! A server says millions of messages that begin alike: the first one is parsed, and how it begins is
//! remembered. Those that begin the same are not parsed, only looked at.

use std::borrow::Cow;

use serde::Deserialize;
use serde_json::value::RawValue;

/// The subprotocol.
pub(super) const SUBPROTOCOL: &str = "graphql-transport-ws";

/// The id of the one operation that each connection has.
const ID: &str = "1";

/// What a server says.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Said<'a> {
    Ack,
    /// A result, in JSON.
    Next(&'a str),
    /// The operation was refused, with these errors.
    Error(&'a str),
    Complete,
    Ping,
    Pong,
}

/// Reads what a server says.
#[derive(Clone, Debug, Default)]
pub(super) struct Envelope {
    /// What its results begin with, up to the payload, and what is behind the payload.
    next: Option<String>,
}

#[derive(Deserialize)]
struct Message<'a> {
    #[serde(borrow)]
    r#type: Cow<'a, str>,
    #[serde(borrow)]
    id: Option<Cow<'a, str>>,
    #[serde(borrow)]
    payload: Option<&'a RawValue>,
}

impl Envelope {
    /// Reads one message; says what is wrong with it if it is none.
    pub(super) fn read<'a>(&mut self, text: &'a str) -> Result<Said<'a>, String> {
        let quick = self
            .next
            .as_deref()
            .and_then(|begins| text.strip_prefix(begins));
        if let Some(payload) = quick.and_then(|rest| rest.strip_suffix('}')) {
            return Ok(Said::Next(payload));
        }
        let message: Message<'a> =
            serde_json::from_str(text).map_err(|error| format!("not a message: {error}"))?;
        let payload = message.payload.map_or("null", RawValue::get);
        let is_ours = message.id.as_deref() == Some(ID);
        match &*message.r#type {
            "connection_ack" => Ok(Said::Ack),
            "ping" => Ok(Said::Ping),
            "pong" => Ok(Said::Pong),
            "next" if is_ours => {
                self.learn(text, payload);
                Ok(Said::Next(payload))
            }
            "error" if is_ours => Ok(Said::Error(payload)),
            "complete" if is_ours => Ok(Said::Complete),
            "next" | "error" | "complete" => Err(format!(
                "a message of an operation that is not ours: {}",
                cut(text)
            )),
            other => Err(format!("a message of an unknown type: {}", cut(other))),
        }
    }

    /// Results of this shape are alike up to the payload, for all have the same id.
    fn learn(&mut self, text: &str, payload: &str) {
        let head = text
            .strip_suffix('}')
            .and_then(|text| text.strip_suffix(payload));
        if let Some(head) = head {
            self.next = Some(head.to_owned());
        }
    }
}

/// `connection_init` with this payload.
pub(super) fn init(payload: &str) -> String {
    format!(r#"{{"type":"connection_init","payload":{payload}}}"#)
}

/// `subscribe` to this.
pub(super) fn subscribe(
    query: &str,
    variables: Option<&str>,
    operation_name: Option<&str>,
) -> String {
    let text = |text: &str| serde_json::Value::from(text).to_string();
    let variables = variables.map_or_else(String::new, |json| format!(r#","variables":{json}"#));
    let name = operation_name.map_or_else(String::new, |name| {
        format!(r#","operationName":{}"#, text(name))
    });
    let query = text(query);
    format!(r#"{{"id":"{ID}","type":"subscribe","payload":{{"query":{query}{variables}{name}}}}}"#)
}

/// `pong`.
pub(super) const PONG: &str = r#"{"type":"pong"}"#;

/// The first of the errors in a result or in a message of errors, if there are any.
pub(super) fn first_error(payload: &str) -> Option<String> {
    #[derive(Deserialize)]
    struct Errors {
        errors: Option<Vec<serde_json::Value>>,
    }
    let errors = match serde_json::from_str::<Errors>(payload) {
        Ok(result) => result.errors?,
        Err(_) => serde_json::from_str(payload).ok()?,
    };
    let first = errors.first()?;
    Some(cut(first["message"].as_str().unwrap_or(&first.to_string())))
}

/// The beginning of what a server said, for a report.
pub(super) fn cut(text: &str) -> String {
    const SHOWN: usize = 200;
    match text.char_indices().nth(SHOWN) {
        Some((at, _)) => format!("{}…", &text[..at]),
        None => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_began_alike_is_read_without_parsing_and_is_the_same() {
        for (first, second) in [
            (
                r#"{"id":"1","type":"next","payload":{"data":{"a":1}}}"#,
                r#"{"id":"1","type":"next","payload":{"data":{"a":2}}}"#,
            ),
            (
                r#"{ "type": "next", "id": "1", "payload": {"data":{"a":1}}}"#,
                r#"{ "type": "next", "id": "1", "payload": {"data":{"a":2}}}"#,
            ),
        ] {
            let mut envelope = Envelope::default();
            assert_eq!(envelope.read(first), Ok(Said::Next(r#"{"data":{"a":1}}"#)));
            assert!(envelope.next.is_some());
            assert_eq!(envelope.read(second), Ok(Said::Next(r#"{"data":{"a":2}}"#)));
            assert_eq!(
                Envelope::default().read(second),
                Ok(Said::Next(r#"{"data":{"a":2}}"#))
            );
        }
    }

    #[test]
    fn whatever_the_order_of_keys_it_is_read() {
        let text = r#"{"payload":{"data":{"a":"}"}},"type":"next","id":"1"}"#;
        let mut envelope = Envelope::default();
        for _ in 0..2 {
            assert_eq!(envelope.read(text), Ok(Said::Next(r#"{"data":{"a":"}"}}"#)));
        }
    }

    #[test]
    fn other_messages_are_told_apart() {
        let mut envelope = Envelope::default();
        let mut read = |text| envelope.read(text);
        assert_eq!(
            read(r#"{"type":"connection_ack","payload":{"x":1}}"#),
            Ok(Said::Ack)
        );
        assert_eq!(read(r#"{"type":"ping"}"#), Ok(Said::Ping));
        assert_eq!(read(r#"{"id":"1","type":"complete"}"#), Ok(Said::Complete));
        let refused = r#"{"id":"1","type":"error","payload":[{"message":"no"}]}"#;
        assert_eq!(read(refused), Ok(Said::Error(r#"[{"message":"no"}]"#)));
        assert!(read(r#"{"id":"2","type":"next","payload":{}}"#).is_err());
        assert!(read(r#"{"type":"data"}"#).is_err());
        assert!(read("hello").is_err());
    }

    #[test]
    fn errors_are_found_in_results_and_by_themselves() {
        let found = |text| first_error(text);
        assert_eq!(found(r#"[{"message":"no"}]"#).as_deref(), Some("no"));
        assert_eq!(
            found(r#"{"data":null,"errors":[{"message":"bad"}]}"#).as_deref(),
            Some("bad")
        );
        assert_eq!(found(r#"{"data":{"errors":[1]}}"#), None);
        assert_eq!(found(r#"{"errors":[]}"#), None);
        assert_eq!(found("null"), None);
    }

    #[test]
    fn what_is_said_is_json() {
        let query = "subscription ($a: Int) {\n  a(b: \"c\")\n}";
        let said = subscribe(query, Some(r#"{"a":1}"#), Some("A"));
        let said: serde_json::Value = serde_json::from_str(&said).unwrap();
        assert_eq!(said["payload"]["query"], query);
        assert_eq!(said["payload"]["variables"]["a"], 1);
        assert_eq!(said["payload"]["operationName"], "A");
        let plain: serde_json::Value = serde_json::from_str(&subscribe(query, None, None)).unwrap();
        assert_eq!(plain["payload"].as_object().unwrap().len(), 1);
    }
}
