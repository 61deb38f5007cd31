//! What a connection speaks: a closed list.

use super::close::Close;
use super::http::{Flow, multipart, sse};
use super::ws::{blockdb, graphql_transport_ws, graphql_ws, plain};
use crate::graphql::Refusal;
use crate::hub::{Envelope, Framing, Outbox, Words};

/// What is spoken on a connection. A request that is answered at once has none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protocol {
    /// The subprotocol `graphql-transport-ws`.
    GraphqlTransportWs,
    /// Its predecessor `graphql-ws`, of subscriptions-transport-ws.
    GraphqlWs,
    /// GraphQL over Server-Sent Events, a connection for each operation.
    Sse,
    /// The same with one connection for all operations of a client, which come in requests of their own.
    SseSingle,
    /// Subscriptions over `multipart/mixed`, as Apollo's clients ask for them.
    Multipart,
    /// An account's webhooks over a WebSocket, as WebSocks has them,
    WebSocks,
    /// and over Server-Sent Events.
    WebSocksSse,
    /// Datasets of chains, as BlockDB has them.
    BlockDb,
    /// Bots, prices and transactions, as AllenHark has them.
    AllenHark,
}

impl Protocol {
    /// Its name in lists, in log lines and in labels of metrics.
    pub fn name(self) -> &'static str {
        match self {
            Protocol::GraphqlTransportWs => graphql_transport_ws::SUBPROTOCOL,
            Protocol::GraphqlWs => graphql_ws::SUBPROTOCOL,
            Protocol::Sse => "sse",
            Protocol::SseSingle => "sse-single",
            Protocol::Multipart => "multipart",
            Protocol::WebSocks => "websocks",
            Protocol::WebSocksSse => "websocks-sse",
            Protocol::BlockDb => "blockdb",
            Protocol::AllenHark => "allenhark",
        }
    }

    /// How its texts are framed.
    pub(super) fn framing(self) -> Framing {
        match self {
            Protocol::GraphqlTransportWs
            | Protocol::GraphqlWs
            | Protocol::WebSocks
            | Protocol::BlockDb
            | Protocol::AllenHark => Framing::WebSocket,
            Protocol::Sse | Protocol::SseSingle | Protocol::Multipart | Protocol::WebSocksSse => {
                Framing::Bare
            }
        }
    }

    /// The code by which clients of this protocol are told why they are closed.
    pub(super) fn close_code(self, close: &Close) -> Option<u16> {
        let code = close.code()?;
        Some(match (self, code) {
            // It has no codes of its own.
            (Protocol::BlockDb, 4000..) => 1008,
            // Bad credentials are 4401 here, which GraphQL's protocols have for something else.
            (Protocol::WebSocks | Protocol::AllenHark, 4403) => 4401,
            _ => code,
        })
    }

    /// What a response that goes on says besides results, for protocols that are spoken in such.
    pub(super) fn flow(self) -> &'static Flow {
        match self {
            Protocol::Multipart => &multipart::FLOW,
            Protocol::WebSocksSse => &sse::PLAIN_FLOW,
            _ => &sse::FLOW,
        }
    }

    /// What goes around the results of the subscription with this id.
    pub(super) fn envelope(self, subscription: u64, id: &str) -> Envelope {
        Envelope {
            subscription,
            id: self.spelled(id).into_bytes().into(),
            words: self.words(),
        }
    }

    /// Says that an operation does not run, and why. Nothing follows for it.
    ///
    /// Of GraphQL alone: the other APIs have words of their own for that.
    pub(super) fn refuse(self, outbox: &Outbox, id: &str, refusal: &Refusal) {
        match (self, refusal) {
            (Protocol::GraphqlTransportWs, Refusal::Error(errors)) => {
                outbox.tell(&[graphql_transport_ws::error(id, errors).as_bytes()]);
            }
            (Protocol::GraphqlWs, Refusal::Error(errors)) => {
                outbox.tell(&[graphql_ws::error(id, errors).as_bytes()]);
            }
            (_, Refusal::Error(errors)) => {
                self.tell_once(outbox, id, &format!(r#"{{"errors":{errors}}}"#));
            }
            (_, Refusal::Result(payload)) => self.tell_once(outbox, id, payload),
        }
    }

    /// The one result of an operation, and that it has completed, where a response has nothing else.
    pub(super) fn only(self, payload: &str) -> String {
        let words = self.words();
        let result = words.result(b"", payload.as_bytes()).concat();
        let completion = words.completion(b"").concat();
        String::from_utf8([result, completion].concat()).expect("it is put together from texts")
    }

    /// Sends the one result of an operation, and completes it.
    pub(super) fn tell_once(self, outbox: &Outbox, id: &str, payload: &str) {
        let id = self.spelled(id);
        outbox.tell(&self.words().result(id.as_bytes(), payload.as_bytes()));
        self.complete(outbox, &id);
    }

    /// Says that an operation has completed, whose id is spelled so.
    fn complete(self, outbox: &Outbox, spelled: &str) {
        outbox.tell(&self.words().completion(spelled.as_bytes()));
    }

    /// Answers a client's own end of an operation, in protocols where it waits for that.
    pub(super) fn confirm_end(self, outbox: &Outbox, id: &str) {
        if self == Protocol::GraphqlWs {
            self.complete(outbox, &self.spelled(id));
        }
    }

    fn words(self) -> &'static Words {
        match self {
            Protocol::GraphqlTransportWs => &graphql_transport_ws::WORDS,
            Protocol::GraphqlWs => &graphql_ws::WORDS,
            Protocol::Sse => &sse::DISTINCT,
            Protocol::SseSingle => &sse::SINGLE,
            Protocol::Multipart => &multipart::WORDS,
            Protocol::WebSocks | Protocol::AllenHark => &plain::WORDS,
            Protocol::BlockDb => &blockdb::WORDS,
            Protocol::WebSocksSse => &sse::PLAIN,
        }
    }

    /// An id as it stands among the words; nothing where a connection has one operation alone.
    fn spelled(self, id: &str) -> String {
        match self {
            Protocol::Sse
            | Protocol::Multipart
            | Protocol::WebSocks
            | Protocol::WebSocksSse
            | Protocol::AllenHark => String::new(),
            Protocol::BlockDb => blockdb::spelled(id),
            Protocol::GraphqlTransportWs | Protocol::GraphqlWs | Protocol::SseSingle => {
                serde_json::to_string(id).expect("a string is JSON")
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_escaped() {
        let told = |protocol: Protocol| {
            let Envelope { id, words, .. } = protocol.envelope(1, "a\"b");
            let parts = [
                words.result(&id, b"{}").concat(),
                words.completion(&id).concat(),
            ];
            String::from_utf8(parts.concat()).unwrap()
        };
        let id = r#""a\"b""#;
        assert_eq!(
            told(Protocol::GraphqlTransportWs),
            format!(r#"{{"id":{id},"type":"next","payload":{{}}}}{{"id":{id},"type":"complete"}}"#)
        );
        assert_eq!(
            told(Protocol::GraphqlWs),
            format!(r#"{{"id":{id},"type":"data","payload":{{}}}}{{"id":{id},"type":"complete"}}"#)
        );
        assert_eq!(
            told(Protocol::SseSingle),
            format!(
                "event: next\ndata: {{\"id\":{id},\"payload\":{{}}}}\n\nevent: complete\ndata: {{\"id\":{id}}}\n\n"
            )
        );
        assert_eq!(
            told(Protocol::Sse),
            "event: next\ndata: {}\n\nevent: complete\ndata:\n\n"
        );
        assert_eq!(
            told(Protocol::Multipart),
            "\r\ncontent-type: application/json\r\n\r\n{\"payload\":{}}\r\n--graphql--\r\n"
        );
    }
}
