//! What a connection is told that is to end.

/// Why a connection is to end, by somebody else's decision.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Goodbye {
    /// Its client has come back with the same `connection_id`: 4410.
    Replaced,
    /// An operator closed it.
    Closed {
        code: GoodbyeCode,
        reason: Option<GoodbyeReason>,
    },
}

/// The code that an operator closes with: whether the client is to come back.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum GoodbyeCode {
    /// 4403: it is not wanted here.
    #[default]
    Forbidden,
    /// 1001: it comes back, to another node.
    GoingAway,
    /// 1012: it comes back.
    ServiceRestart,
    /// 1013: it comes back, later.
    TryAgainLater,
}

/// The words of a close frame: at most 123 bytes, none of which is of a control character.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GoodbyeReason(Box<str>);

/// A close frame's payload is at most 125 bytes, two of which are the code (RFC 6455, section 5.5).
const REASON_BYTES: usize = 123;

impl GoodbyeCode {
    /// All codes, in the order in which they are listed.
    pub const ALL: [GoodbyeCode; 4] = [
        GoodbyeCode::Forbidden,
        GoodbyeCode::GoingAway,
        GoodbyeCode::ServiceRestart,
        GoodbyeCode::TryAgainLater,
    ];

    /// The code, as close frames have it.
    pub fn number(self) -> u16 {
        match self {
            GoodbyeCode::Forbidden => 4403,
            GoodbyeCode::GoingAway => 1001,
            GoodbyeCode::ServiceRestart => 1012,
            GoodbyeCode::TryAgainLater => 1013,
        }
    }

    /// Reads the number.
    pub fn parse(text: &str) -> Option<Self> {
        GoodbyeCode::ALL
            .into_iter()
            .find(|code| code.number().to_string() == text)
    }
}

impl GoodbyeReason {
    /// Takes words that fit into a close frame; `None` for others, and for none at all.
    pub fn parse(text: &str) -> Option<Self> {
        let fits = !text.is_empty() && text.len() <= REASON_BYTES;
        (fits && !text.contains(char::is_control)).then(|| GoodbyeReason(text.into()))
    }

    /// The words.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_code_is_one_of_four() {
        for code in GoodbyeCode::ALL {
            assert_eq!(GoodbyeCode::parse(&code.number().to_string()), Some(code));
        }
        for no in ["", "1000", "4410", "04403", "forbidden"] {
            assert_eq!(GoodbyeCode::parse(no), None, "{no}");
        }
    }

    #[test]
    fn a_reason_fits_into_a_close_frame() {
        assert!(GoodbyeReason::parse(&"x".repeat(123)).is_some());
        for no in ["", "a\nb", &"x".repeat(124), &"é".repeat(62)] {
            assert_eq!(GoodbyeReason::parse(no), None, "{no}");
        }
    }
}
