//! Why connections end. One reason an ending, from this one list.

use std::borrow::Cow;

use crate::registry::{BadConnectionId, GoodbyeCode, GoodbyeReason, TooMany};

/// Why a connection ended. `docs/close-codes.md` is made from this, for people.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Close {
    /// The client sent a close frame.
    ByClient,
    /// The client said `connection_terminate`, as graphql-ws has it.
    Terminated,
    /// The one operation of an HTTP stream has completed, or was refused.
    Completed,
    /// The socket ended without one.
    Gone,
    /// No pong came in time, or what was sent is acknowledged by nobody: the socket is dropped, there is nobody to tell.
    Unresponsive,
    /// This server stops.
    GoingAway,
    /// Not WebSocket (RFC 6455).
    ProtocolError,
    /// A text frame that is not UTF-8.
    NotUtf8,
    /// A message over `limits.message_bytes`.
    MessageTooBig,
    /// More pends than the limits allow, or a write did not end in time.
    TooSlow,
    /// Events were lost on their way, of those that nobody keeps.
    Missed,
    /// This server listens to as many topics as it may, where that is all that a connection is for.
    TooManyTopics,
    /// Credentials cannot be checked now. Never a code that says that they are wrong.
    Unavailable,
    /// The user or the key has as many connections as it may.
    TooManyConnections(TooMany),
    /// Not a message of the protocol; says what is wrong with it.
    InvalidMessage(Cow<'static, str>),
    /// A subscribe before the acknowledgement.
    Unauthorized,
    /// Bad credentials.
    Forbidden,
    /// A rewards user must name its connection, and nobody may name it so.
    BadConnectionId(BadConnectionId),
    /// The key was good, and was revoked.
    KeyRevoked,
    /// The key was good, and has expired.
    KeyExpired,
    /// The token was good, and has expired.
    TokenExpired,
    /// The client did not offer `graphql-transport-ws` or `graphql-ws`.
    SubprotocolNotAcceptable,
    /// No `connection_init` within `limits.init_timeout`, or nobody opened a stream that was reserved.
    InitTimeout,
    /// Nobody has said who it is in time, on a socket of a plain-JSON API.
    AuthTimeout,
    /// Nothing was subscribed to for a while, where that is all that a connection is for.
    IdleTimeout,
    /// The client was to ping, and has not.
    NoPing,
    /// The client says more than it may, and goes on when it is told so.
    TooManyMessages,
    /// A subscribe with an id that is in use.
    SubscriberExists(String),
    /// The same client has come back, with the same `connection_id`.
    Replaced,
    /// A second `connection_init`.
    TooManyInits,
    /// Somebody who may closed it: `DELETE /v1/connections`.
    ByOperator {
        code: GoodbyeCode,
        reason: Option<GoodbyeReason>,
    },
}

/// A close frame's payload is at most 125 bytes, two of which are the code (RFC 6455, section 5.5).
const REASON_BYTES: usize = 123;

impl Close {
    /// The code of the close frame; `None` if there is nobody to send one to.
    pub fn code(&self) -> Option<u16> {
        Some(match self {
            Close::ByClient | Close::Completed | Close::Gone | Close::Unresponsive => return None,
            Close::Terminated | Close::IdleTimeout => 1000,
            Close::GoingAway => 1001,
            Close::ProtocolError => 1002,
            Close::NotUtf8 => 1007,
            Close::MessageTooBig => 1009,
            Close::TooSlow
            | Close::Missed
            | Close::TooManyTopics
            | Close::Unavailable
            | Close::TooManyConnections(_) => 1013,
            Close::InvalidMessage(_) => 4400,
            Close::Unauthorized | Close::AuthTimeout => 4401,
            Close::Forbidden
            | Close::BadConnectionId(_)
            | Close::KeyRevoked
            | Close::KeyExpired
            | Close::TokenExpired => 4403,
            Close::SubprotocolNotAcceptable => 4406,
            Close::InitTimeout | Close::NoPing => 4408,
            Close::SubscriberExists(_) => 4409,
            Close::Replaced => 4410,
            Close::TooManyInits | Close::TooManyMessages => 4429,
            Close::ByOperator { code, .. } => code.number(),
        })
    }

    /// Whether the client should come back at once, as it is: nothing is wrong with it, or nothing that lasts.
    pub fn is_to_come_back(&self) -> bool {
        matches!(self.code(), Some(1001 | 1012 | 1013))
    }

    /// The words of the close frame, cut to what fits.
    pub fn reason(&self) -> String {
        let reason: Cow<'_, str> = match self {
            Close::ByClient | Close::Completed | Close::Gone | Close::Unresponsive => "".into(),
            Close::Terminated => "Terminated by the client".into(),
            Close::GoingAway => "Going away".into(),
            Close::ProtocolError => "Protocol error".into(),
            Close::NotUtf8 => "Text that is not UTF-8".into(),
            Close::MessageTooBig => "Message too big".into(),
            Close::TooSlow => "Too slow: more is pending than this connection may have".into(),
            Close::Missed => "Events were missed: the bus was away".into(),
            Close::TooManyTopics => "Too many topics are listened to here, try again later".into(),
            Close::Unavailable => "Credentials cannot be checked now, try again later".into(),
            Close::TooManyConnections(TooMany::User) => "Too many connections of this user".into(),
            Close::TooManyConnections(TooMany::Key) => "Too many connections with this key".into(),
            Close::InvalidMessage(what) => format!("Invalid message received: {what}").into(),
            Close::Unauthorized => "Unauthorized".into(),
            Close::Forbidden => "Forbidden".into(),
            Close::KeyRevoked => "API key revoked".into(),
            Close::KeyExpired => "API key expired".into(),
            Close::TokenExpired => "Token expired".into(),
            Close::BadConnectionId(bad) => bad.to_string().into(),
            Close::SubprotocolNotAcceptable => "Subprotocol not acceptable".into(),
            Close::InitTimeout => "Connection initialisation timeout".into(),
            Close::AuthTimeout => "Authentication timeout".into(),
            Close::IdleTimeout => "idle timeout".into(),
            Close::NoPing => "No ping for too long".into(),
            Close::TooManyMessages => "Too many messages".into(),
            Close::SubscriberExists(id) => format!("Subscriber for {id} already exists").into(),
            Close::Replaced => "Replaced by a newer connection".into(),
            Close::TooManyInits => "Too many initialisation requests".into(),
            Close::ByOperator { reason, .. } => match reason {
                Some(reason) => reason.as_str().into(),
                None => "Closed by an operator".into(),
            },
        };
        cut(&reason, REASON_BYTES).to_owned()
    }

    /// The name of this reason, for logs and labels of metrics.
    pub fn name(&self) -> &'static str {
        match self {
            Close::ByClient => "by_client",
            Close::Terminated => "terminated",
            Close::Completed => "completed",
            Close::Gone => "gone",
            Close::Unresponsive => "unresponsive",
            Close::GoingAway => "going_away",
            Close::ProtocolError => "protocol_error",
            Close::NotUtf8 => "not_utf8",
            Close::MessageTooBig => "message_too_big",
            Close::TooSlow => "too_slow",
            Close::Missed => "missed",
            Close::TooManyTopics => "too_many_topics",
            Close::Unavailable => "unavailable",
            Close::TooManyConnections(TooMany::User) => "too_many_of_user",
            Close::TooManyConnections(TooMany::Key) => "too_many_of_key",
            Close::InvalidMessage(_) => "invalid_message",
            Close::Unauthorized => "unauthorized",
            Close::Forbidden => "forbidden",
            Close::KeyRevoked => "key_revoked",
            Close::KeyExpired => "key_expired",
            Close::TokenExpired => "token_expired",
            Close::BadConnectionId(_) => "bad_connection_id",
            Close::SubprotocolNotAcceptable => "subprotocol_not_acceptable",
            Close::InitTimeout => "init_timeout",
            Close::AuthTimeout => "auth_timeout",
            Close::IdleTimeout => "idle_timeout",
            Close::NoPing => "no_ping",
            Close::TooManyMessages => "too_many_messages",
            Close::SubscriberExists(_) => "subscriber_exists",
            Close::Replaced => "replaced",
            Close::TooManyInits => "too_many_inits",
            Close::ByOperator { .. } => "by_operator",
        }
    }
}

/// The longest beginning of at most `bytes` bytes that does not end inside a character.
fn cut(text: &str, bytes: usize) -> &str {
    &text[..text.floor_char_boundary(bytes)]
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    /// One of each kind, in the order in which people look them up.
    fn every() -> Vec<Close> {
        vec![
            Close::ByClient,
            Close::Terminated,
            Close::IdleTimeout,
            Close::Completed,
            Close::Gone,
            Close::Unresponsive,
            Close::GoingAway,
            Close::ProtocolError,
            Close::NotUtf8,
            Close::MessageTooBig,
            Close::TooSlow,
            Close::Missed,
            Close::TooManyTopics,
            Close::Unavailable,
            Close::TooManyConnections(TooMany::User),
            Close::TooManyConnections(TooMany::Key),
            Close::InvalidMessage("…".into()),
            Close::Unauthorized,
            Close::AuthTimeout,
            Close::Forbidden,
            Close::BadConnectionId(BadConnectionId::Missing),
            Close::KeyRevoked,
            Close::KeyExpired,
            Close::TokenExpired,
            Close::ByOperator {
                code: GoodbyeCode::Forbidden,
                reason: None,
            },
            Close::SubprotocolNotAcceptable,
            Close::InitTimeout,
            Close::NoPing,
            Close::SubscriberExists("…".to_owned()),
            Close::Replaced,
            Close::TooManyInits,
            Close::TooManyMessages,
        ]
    }

    /// What a client does next. That is what graphql-ws does, as
    /// `tests/clients/close_codes.mjs` asks it; other clients copy it.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    enum Next {
        /// It has left by itself.
        HasLeft,
        ComesBack,
        GivesUp,
    }

    /// What a client does next.
    fn next(close: &Close) -> Next {
        match close.code() {
            None if *close == Close::Unresponsive => Next::ComesBack,
            Some(1000) | None => Next::HasLeft,
            Some(1001 | 1006 | 1012 | 1013 | 1014) => Next::ComesBack,
            Some(1000..=1999 | 4400 | 4401 | 4406 | 4409 | 4429 | 4500) => Next::GivesUp,
            Some(_) => Next::ComesBack,
        }
    }

    fn when(close: &Close) -> &'static str {
        match close {
            Close::ByClient => "The client sent a close frame, which is answered.",
            Close::Terminated => {
                "The client said `connection_terminate`, in the older protocol `graphql-ws`."
            }
            Close::Completed => {
                "The one operation of an HTTP stream (SSE, multipart) has completed, or was refused."
            }
            Close::Gone => {
                "The socket ended without one, or the client of an HTTP stream has gone."
            }
            Close::Unresponsive => {
                "No pong came within `limits.pong_timeout`; of an HTTP stream nothing was acknowledged for as long as that and `limits.ping_interval` together. The socket is dropped; the client sees 1006."
            }
            Close::GoingAway => "The server stops. Another one takes the client.",
            Close::ProtocolError => "What came is not WebSocket (RFC 6455).",
            Close::NotUtf8 => "A text frame is not UTF-8.",
            Close::MessageTooBig => "A message is over `limits.message_bytes`.",
            Close::TooSlow => {
                "More pends than `limits.outbox_frames` or `limits.outbox_bytes` allow, or a write took over `limits.write_timeout`."
            }
            Close::Missed => {
                "The bus was away, and the client listens to what nobody keeps meanwhile: datasets, bots, transactions. It is not left to believe that nothing has happened."
            }
            Close::TooManyTopics => "WebSocks: this server listens to `hub.topics` topics already.",
            Close::Unavailable => {
                "The credentials cannot be checked now: the store of keys was not read yet, or the issuer of the token is away and its key is not known."
            }
            Close::TooManyConnections(TooMany::User) => {
                "The rewards user has `limits.connections_per_user` connections."
            }
            Close::TooManyConnections(TooMany::Key) => {
                "The API key has `limits.connections_per_key` connections."
            }
            Close::InvalidMessage(_) => {
                "Not a message of the protocol. The reason says what is wrong. In `graphql-ws` most are answered `error` instead, and the connection goes on; so are AllenHark's, up to ten in a row that are none of its messages."
            }
            Close::Unauthorized => {
                "A subscribe before the acknowledgement. In `graphql-ws` it waits for that, but not for a `connection_init` that has not come."
            }
            Close::Forbidden => {
                "Bad credentials. Why is in the log and in `tidings_authentications_total`; for a token, `tidings token check` says it."
            }
            Close::BadConnectionId(_) => {
                "A rewards user brought no `connection_id`, or a bad one came: empty, longer than 128 characters, with control characters, or not a string. The reason says which."
            }
            Close::KeyRevoked => "The key was revoked while it was in use.",
            Close::KeyExpired => "The key expired while it was in use.",
            Close::TokenExpired => {
                "The token's `exp`, `jwt.leeway` and up to `jwt.expiry_jitter` are over. Bring a newer token, or refresh in time."
            }
            Close::SubprotocolNotAcceptable => {
                "The client offered neither `graphql-transport-ws` nor `graphql-ws`."
            }
            Close::InitTimeout => {
                "No `connection_init` within `limits.init_timeout`; or a reserved event stream that nobody opened within `limits.reservation`."
            }
            Close::AuthTimeout => "AllenHark: no `auth` within `allenhark.auth_timeout`.",
            Close::IdleTimeout => "BlockDB: nothing was subscribed to for `blockdb.idle_timeout`.",
            Close::NoPing => "AllenHark: the client sent no ping for `allenhark.idle_timeout`.",
            Close::TooManyMessages => {
                "AllenHark: the client said more than its tier allows, and went on after it was told so."
            }
            Close::SubscriberExists(_) => {
                "A subscribe with an id that is in use. In `graphql-ws` it takes the place of the other."
            }
            Close::Replaced => {
                "A newer connection of the same user, or of the same account, has the same `connection_id`: the client came back before its old socket was found dead. Two clients must not share one."
            }
            Close::TooManyInits => "A second `connection_init`.",
            Close::ByOperator { .. } => {
                "Somebody closed it: `tidings connections close`, `DELETE /v1/connections`. Code and reason may be chosen: 1001, 1012 or 1013 for a client that shall come back."
            }
        }
    }

    /// `docs/close-codes.md`
    fn reference() -> String {
        let mut page = "\
# Why connections end

Every connection ends for one reason. The client is told its code and words; the server logs the reason's name, and counts it
in `tidings_closes_total{reason=\"…\"}`. Whether a client comes back by itself is what
[graphql-ws](https://github.com/enisdenjo/graphql-ws) does with the code, which other clients copy; it waits longer from one
attempt to the next. This page is held against the program by a test.

Over HTTP there are no codes. Whoever is not let in is answered 401 (bad credentials), 400 (a bad `X-Connection-Id`), 429 (too
many connections) or 503 (come back later). A stream that is to come back at once (1001, 1012, 1013 below) just ends, which its
client answers by that, and a multipart response says the words first; every other end is told as an error with the words, and
the name in capitals as its `extensions.code`.

BlockDB's protocol has no codes of its own: there every code from 4400 on is 1008. WebSocks' and AllenHark's close with 4401
where it says 4403 here.

| code | words | the client | reason | when |
|---|---|---|---|---|
"
        .to_owned();
        for close in every() {
            let code = close.code().map_or("–".to_owned(), |code| code.to_string());
            let words = close.reason();
            let next = match next(&close) {
                Next::HasLeft => "has left",
                Next::ComesBack => "comes back",
                Next::GivesUp => "gives up",
            };
            let (name, when) = (close.name(), when(&close));
            page.push_str(&format!(
                "| {code} | {words} | {next} | `{name}` | {when} |\n"
            ));
        }
        page
    }

    #[test]
    fn the_page_about_close_codes_says_what_the_program_does() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/close-codes.md");
        if std::env::var_os("TIDINGS_UPDATE_DOCS").is_some() {
            std::fs::write(path, reference()).unwrap();
        }
        let page = std::fs::read_to_string(path).unwrap_or_default();
        let how = "TIDINGS_UPDATE_DOCS=1 cargo test --lib close_codes";
        assert_eq!(page, reference(), "write it anew with {how}");
    }

    #[test]
    fn the_page_leaves_no_reason_out() {
        let source = include_str!("close.rs");
        let names = source.split("pub fn name(").nth(1).unwrap();
        let names = names.split("\n    }\n").next().unwrap();
        let all: BTreeSet<_> = names.split('"').skip(1).step_by(2).collect();
        let listed: BTreeSet<_> = every().iter().map(Close::name).collect();
        assert_eq!(listed, all);
    }

    #[test]
    fn a_reason_is_cut_at_123_bytes_on_the_boundary_of_a_character() {
        let reason = Close::SubscriberExists("é".repeat(200)).reason();
        assert!(reason.len() <= 123);
        assert!(reason.starts_with("Subscriber for éé"));
        assert!(reason.ends_with('é'));
    }

    #[test]
    fn the_reasons_are_those_of_graphql_ws() {
        assert_eq!(
            Close::SubscriberExists("7".to_owned()).reason(),
            "Subscriber for 7 already exists"
        );
        assert_eq!(
            Close::InitTimeout.reason(),
            "Connection initialisation timeout"
        );
        assert_eq!(Close::TooManyInits.code(), Some(4429));
    }
}
