//! Why connections end. One reason an ending, from this one list.

use std::borrow::Cow;

/// Why a connection ended. What a client does next is what graphql-ws does with the code.
///
/// | reason | code | the client |
/// |---|---|---|
/// | `ByClient`, `Gone` | – | has left |
/// | `Unresponsive` | – (1006) | comes back |
/// | `GoingAway` | 1001 | comes back |
/// | `ProtocolError` | 1002 | gives up |
/// | `NotUtf8` | 1007 | gives up |
/// | `MessageTooBig` | 1009 | gives up |
/// | `TooSlow`, `Unavailable` | 1013 | comes back |
/// | `InvalidMessage` | 4400 | gives up |
/// | `Unauthorized` | 4401 | gives up |
/// | `Forbidden`, `KeyRevoked`, `KeyExpired` | 4403 | comes back |
/// | `SubprotocolNotAcceptable` | 4406 | gives up |
/// | `InitTimeout` | 4408 | comes back |
/// | `SubscriberExists` | 4409 | gives up |
/// | `TooManyInits` | 4429 | gives up |
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Close {
    /// The client sent a close frame.
    ByClient,
    /// The socket ended without one.
    Gone,
    /// No pong came in time: the socket is dropped, there is nobody to tell.
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
    /// Credentials cannot be checked now. Never a code that says that they are wrong.
    Unavailable,
    /// Not a message of the protocol; says what is wrong with it.
    InvalidMessage(Cow<'static, str>),
    /// A subscribe before the acknowledgement.
    Unauthorized,
    /// Bad credentials.
    Forbidden,
    /// The key was good, and was revoked.
    KeyRevoked,
    /// The key was good, and has expired.
    KeyExpired,
    /// The client did not offer `graphql-transport-ws`.
    SubprotocolNotAcceptable,
    /// No `connection_init` within `limits.init_timeout`.
    InitTimeout,
    /// A subscribe with an id that is in use.
    SubscriberExists(String),
    /// A second `connection_init`.
    TooManyInits,
}

/// A close frame's payload is at most 125 bytes, two of which are the code (RFC 6455, section 5.5).
const REASON_BYTES: usize = 123;

impl Close {
    /// The code of the close frame; `None` if there is nobody to send one to.
    pub fn code(&self) -> Option<u16> {
        Some(match self {
            Close::ByClient | Close::Gone | Close::Unresponsive => return None,
            Close::GoingAway => 1001,
            Close::ProtocolError => 1002,
            Close::NotUtf8 => 1007,
            Close::MessageTooBig => 1009,
            Close::TooSlow | Close::Unavailable => 1013,
            Close::InvalidMessage(_) => 4400,
            Close::Unauthorized => 4401,
            Close::Forbidden | Close::KeyRevoked | Close::KeyExpired => 4403,
            Close::SubprotocolNotAcceptable => 4406,
            Close::InitTimeout => 4408,
            Close::SubscriberExists(_) => 4409,
            Close::TooManyInits => 4429,
        })
    }

    /// The words of the close frame, cut to what fits.
    pub fn reason(&self) -> String {
        let reason: Cow<'_, str> = match self {
            Close::ByClient | Close::Gone | Close::Unresponsive => "".into(),
            Close::GoingAway => "Going away".into(),
            Close::ProtocolError => "Protocol error".into(),
            Close::NotUtf8 => "Text that is not UTF-8".into(),
            Close::MessageTooBig => "Message too big".into(),
            Close::TooSlow => "Too slow: more is pending than this connection may have".into(),
            Close::Unavailable => "Credentials cannot be checked now, try again later".into(),
            Close::InvalidMessage(what) => format!("Invalid message received: {what}").into(),
            Close::Unauthorized => "Unauthorized".into(),
            Close::Forbidden => "Forbidden".into(),
            Close::KeyRevoked => "API key revoked".into(),
            Close::KeyExpired => "API key expired".into(),
            Close::SubprotocolNotAcceptable => "Subprotocol not acceptable".into(),
            Close::InitTimeout => "Connection initialisation timeout".into(),
            Close::SubscriberExists(id) => format!("Subscriber for {id} already exists").into(),
            Close::TooManyInits => "Too many initialisation requests".into(),
        };
        cut(&reason, REASON_BYTES).to_owned()
    }

    /// The name of this reason, for logs and labels of metrics.
    pub fn name(&self) -> &'static str {
        match self {
            Close::ByClient => "by_client",
            Close::Gone => "gone",
            Close::Unresponsive => "unresponsive",
            Close::GoingAway => "going_away",
            Close::ProtocolError => "protocol_error",
            Close::NotUtf8 => "not_utf8",
            Close::MessageTooBig => "message_too_big",
            Close::TooSlow => "too_slow",
            Close::Unavailable => "unavailable",
            Close::InvalidMessage(_) => "invalid_message",
            Close::Unauthorized => "unauthorized",
            Close::Forbidden => "forbidden",
            Close::KeyRevoked => "key_revoked",
            Close::KeyExpired => "key_expired",
            Close::SubprotocolNotAcceptable => "subprotocol_not_acceptable",
            Close::InitTimeout => "init_timeout",
            Close::SubscriberExists(_) => "subscriber_exists",
            Close::TooManyInits => "too_many_inits",
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
