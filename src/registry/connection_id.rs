//! What clients call their connections.

use std::fmt;
use std::sync::Arc;

use uuid::Uuid;

/// What a client calls its connection, so that it is known when it comes back: 1 to 128 characters,
/// none of which is a control character.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ConnectionId(Arc<str>);

/// Why a text is no [`ConnectionId`]. The words are for close frames.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadConnectionId {
    #[error("connection_id is missing")]
    Missing,
    #[error("connection_id is not a string")]
    NotAString,
    #[error("connection_id is empty")]
    Empty,
    #[error("connection_id is longer than {MAX_CHARACTERS} characters")]
    TooLong,
    #[error("connection_id has control characters")]
    Control,
}

const MAX_CHARACTERS: usize = 128;

impl ConnectionId {
    /// Takes a client's own.
    pub fn parse(text: &str) -> Result<Self, BadConnectionId> {
        if text.is_empty() {
            Err(BadConnectionId::Empty)
        } else if text.chars().nth(MAX_CHARACTERS).is_some() {
            Err(BadConnectionId::TooLong)
        } else if text.contains(char::is_control) {
            Err(BadConnectionId::Control)
        } else {
            Ok(ConnectionId(text.into()))
        }
    }

    /// Makes one for a client that brought none, and is told it: a random UUID.
    pub fn generate() -> Self {
        ConnectionId::of(Uuid::new_v4())
    }

    /// Spells the one of a connection that nobody calls anything.
    pub(super) fn of(id: Uuid) -> Self {
        let mut text = [0; uuid::fmt::Hyphenated::LENGTH];
        ConnectionId((&*id.hyphenated().encode_lower(&mut text)).into())
    }

    /// As the client spelled it.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for ConnectionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn up_to_128_characters_of_any_script_are_taken_as_they_are() {
        for text in [
            "1",
            " ",
            "phone of Zoë",
            "用户/1",
            &"é".repeat(128),
            "user:1%00",
        ] {
            assert_eq!(ConnectionId::parse(text).unwrap().as_str(), text);
        }
    }

    #[test]
    fn what_is_wrong_is_said_in_the_words_of_the_close_frame() {
        let wrong = |text: &str| ConnectionId::parse(text).unwrap_err().to_string();
        assert_eq!(wrong(""), "connection_id is empty");
        assert_eq!(
            wrong(&"é".repeat(129)),
            "connection_id is longer than 128 characters"
        );
        for control in ["\0", "a\nb", "\u{7f}", "\u{85}"] {
            assert_eq!(wrong(control), "connection_id has control characters");
        }
    }

    #[test]
    fn those_that_are_made_are_well_formed_and_never_the_same() {
        let made = ConnectionId::generate();
        assert_eq!(ConnectionId::parse(made.as_str()), Ok(made.clone()));
        assert_ne!(made, ConnectionId::generate());
    }
}
