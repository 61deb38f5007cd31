//! Why a connection ends, as a close frame says it.

use super::frame::CONTROL_BYTES;

/// The payload of a close frame: the code, and as much of the reason as a control frame holds, cut
/// where a character ends.
pub fn close_payload(code: u16, reason: &str) -> Vec<u8> {
    let reason = &reason[..reason.floor_char_boundary(CONTROL_BYTES - 2)];
    [&code.to_be_bytes(), reason.as_bytes()].concat()
}

/// Whether a close frame may hold this code: [7.4](https://www.rfc-editor.org/rfc/rfc6455#section-7.4),
/// and the three that were registered later (1012, 1013, 1014). 1004 to 1006 and 1015 are for
/// programs to tell each other that there was none.
pub fn is_close_code(code: u16) -> bool {
    matches!(code, 1000..=1003 | 1007..=1014 | 3000..=4999)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_close_says_its_code_and_then_its_reason() {
        assert_eq!(close_payload(1000, ""), [0x03, 0xe8]);
        assert_eq!(close_payload(4408, "late"), *b"\x11\x38late");
    }

    #[test]
    fn a_long_reason_is_cut_where_a_character_ends() {
        assert_eq!(close_payload(1000, &"x".repeat(123)).len(), 125);
        assert_eq!(close_payload(1000, &"x".repeat(124)).len(), 125);
        let payload = close_payload(1000, &format!("x{}", "₿".repeat(60)));
        let reason = std::str::from_utf8(&payload[2..]).expect("it is cut between characters");
        assert_eq!(reason, format!("x{}", "₿".repeat(40)));
    }

    #[test]
    fn codes_that_say_that_there_was_none_are_never_sent() {
        let refused: Vec<u16> = (998..=1017).filter(|&code| !is_close_code(code)).collect();
        assert_eq!(refused, [998, 999, 1004, 1005, 1006, 1015, 1016, 1017]);
        assert!([3000, 3999, 4000, 4999].into_iter().all(is_close_code));
        assert!(![0, 2999, 5000, u16::MAX].into_iter().any(is_close_code));
    }
}
