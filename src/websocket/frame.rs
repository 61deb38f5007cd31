//! Frames as they are sent, and the header of one that was received
//! ([5.2](https://www.rfc-editor.org/rfc/rfc6455#section-5.2)).

use super::reader::Error;
use super::{Role, mask};

/// The most that a control frame may hold.
pub(super) const CONTROL_BYTES: usize = 125;

/// The longest header: with eight bytes of length, and a mask.
pub(super) const HEADER_BYTES: usize = 14;

const FINAL: u8 = 0x80;
const RESERVED: u8 = 0x70;
const MASKED: u8 = 0x80;

/// What a frame is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Opcode {
    Continuation = 0x0,
    Text = 0x1,
    Binary = 0x2,
    Close = 0x8,
    Ping = 0x9,
    Pong = 0xa,
}

impl Opcode {
    /// Whether this is about the connection, and not a part of a message.
    pub(super) fn is_control(self) -> bool {
        self as u8 & 0x8 != 0
    }

    fn of(first: u8) -> Result<Self, Error> {
        Ok(match first & 0x0f {
            0x0 => Opcode::Continuation,
            0x1 => Opcode::Text,
            0x2 => Opcode::Binary,
            0x8 => Opcode::Close,
            0x9 => Opcode::Ping,
            0xa => Opcode::Pong,
            _ => return Err(Error::Protocol("a reserved opcode")),
        })
    }
}

/// Appends one frame, as a server sends it, whose payload is these parts in a row.
///
/// It is a message of its own: whoever writes decides how much to say at once, so nothing that we
/// send is fragmented. A control frame holds at most 125 bytes: the caller sees to that.
pub fn push_frame(out: &mut Vec<u8>, opcode: Opcode, parts: &[&[u8]]) {
    let length = length_of(opcode, parts);
    out.reserve(HEADER_BYTES + length);
    push_header(out, opcode, 0, length);
    for part in parts {
        out.extend_from_slice(part);
    }
}

/// The same as a client sends it: masked with this key, which is to be a new one for each frame, and
/// one that nobody can foresee where a browser could be made to send what somebody else wrote.
pub fn push_masked(out: &mut Vec<u8>, opcode: Opcode, key: [u8; 4], parts: &[&[u8]]) {
    let length = length_of(opcode, parts);
    out.reserve(HEADER_BYTES + length);
    push_header(out, opcode, MASKED, length);
    out.extend_from_slice(&key);
    let begin = out.len();
    for part in parts {
        out.extend_from_slice(part);
    }
    mask::apply(key, &mut out[begin..]);
}

fn length_of(opcode: Opcode, parts: &[&[u8]]) -> usize {
    let length = parts.iter().map(|part| part.len()).sum();
    debug_assert!(
        !opcode.is_control() || length <= CONTROL_BYTES,
        "{opcode:?} of {length} bytes"
    );
    length
}

fn push_header(out: &mut Vec<u8>, opcode: Opcode, masked: u8, length: usize) {
    let first = FINAL | opcode as u8;
    match length {
        0..126 => out.extend_from_slice(&[first, masked | length as u8]),
        126..65_536 => {
            let [high, low] = (length as u16).to_be_bytes();
            out.extend_from_slice(&[first, masked | 126, high, low]);
        }
        _ => {
            out.extend_from_slice(&[first, masked | 127]);
            out.extend_from_slice(&(length as u64).to_be_bytes());
        }
    }
}

/// What stands before the payload of a frame that was received.
#[derive(Debug, Clone, Copy)]
pub(super) struct Header {
    pub(super) is_final: bool,
    pub(super) opcode: Opcode,
    pub(super) length: usize,
    /// Zeroes where there is none.
    pub(super) key: [u8; 4],
}

/// What a header must agree with.
#[derive(Debug, Clone, Copy)]
pub(super) struct Expected {
    pub(super) role: Role,
    /// Whether a message has begun and not ended.
    pub(super) within_message: bool,
    /// How much more a message may hold.
    pub(super) room: usize,
}

impl Header {
    /// Reads the header at the beginning of these bytes, and says how long it is; `None` if more of it
    /// is needed. What is wrong is told as soon as there is enough to know.
    pub(super) fn read(bytes: &[u8], expected: Expected) -> Result<Option<(Self, usize)>, Error> {
        let Some((&first, rest)) = bytes.split_first() else {
            return Ok(None);
        };
        if first & RESERVED != 0 {
            return Err(Error::Protocol("a reserved bit"));
        }
        let (opcode, is_final) = (Opcode::of(first)?, first & FINAL != 0);
        match opcode {
            Opcode::Continuation if !expected.within_message => {
                return Err(Error::CONTINUES_NOTHING);
            }
            Opcode::Text | Opcode::Binary if expected.within_message => {
                return Err(Error::Protocol("a message within a message"));
            }
            control if control.is_control() && !is_final => {
                return Err(Error::Protocol("a fragmented control frame"));
            }
            _ => {}
        }

        let Some((&second, rest)) = rest.split_first() else {
            return Ok(None);
        };
        let is_masked = second & MASKED != 0;
        match (expected.role, is_masked) {
            (Role::Server, false) => return Err(Error::Protocol("a client that does not mask")),
            (Role::Client, true) => return Err(Error::Protocol("a server that masks")),
            _ => {}
        }
        let short = second & !MASKED;
        let Some((length, rest)) = read_length(short, rest)? else {
            return Ok(None);
        };
        let length = match usize::try_from(length) {
            Ok(length) if opcode.is_control() && length <= CONTROL_BYTES => length,
            _ if opcode.is_control() => {
                return Err(Error::Protocol("a control frame of over 125 bytes"));
            }
            Ok(length) if length <= expected.room => length,
            _ => return Err(Error::TooBig),
        };

        let (key, rest) = match (is_masked, rest.split_first_chunk()) {
            (false, _) => ([0; 4], rest),
            (true, Some((key, rest))) => (*key, rest),
            (true, None) => return Ok(None),
        };
        let header = Header {
            is_final,
            opcode,
            length,
            key,
        };
        Ok(Some((header, bytes.len() - rest.len())))
    }
}

/// The length that seven bits tell, or send on to more for; and what follows it.
fn read_length(short: u8, rest: &[u8]) -> Result<Option<(u64, &[u8])>, Error> {
    let (length, rest, least) = match short {
        126 => {
            let Some((bytes, rest)) = rest.split_first_chunk() else {
                return Ok(None);
            };
            (u16::from_be_bytes(*bytes).into(), rest, 126)
        }
        127 => {
            let Some((bytes, rest)) = rest.split_first_chunk() else {
                return Ok(None);
            };
            (u64::from_be_bytes(*bytes), rest, 65_536)
        }
        short => (short.into(), rest, 0),
    };
    if length < least {
        return Err(Error::Protocol("a length in more bytes than it needs"));
    }
    if length >> 63 != 0 {
        return Err(Error::Protocol("a length of over 63 bits"));
    }
    Ok(Some((length, rest)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(opcode: Opcode, parts: &[&[u8]]) -> Vec<u8> {
        let mut out = Vec::new();
        push_frame(&mut out, opcode, parts);
        out
    }

    #[test]
    fn the_examples_of_the_specification_are_written_as_it_does() {
        assert_eq!(frame(Opcode::Text, &[b"Hello"]), *b"\x81\x05Hello");
        assert_eq!(frame(Opcode::Ping, &[b"Hello"]), *b"\x89\x05Hello");
        let mut masked = Vec::new();
        push_masked(
            &mut masked,
            Opcode::Text,
            [0x37, 0xfa, 0x21, 0x3d],
            &[b"Hello"],
        );
        assert_eq!(masked, *b"\x81\x85\x37\xfa\x21\x3d\x7f\x9f\x4d\x51\x58");
        let binary = frame(Opcode::Binary, &[&[7; 256]]);
        assert_eq!(binary[..5], [0x82, 0x7e, 0x01, 0x00, 7]);
        let binary = frame(Opcode::Binary, &[&[7; 65_536]]);
        assert_eq!(binary[..11], [0x82, 0x7f, 0, 0, 0, 0, 0, 1, 0, 0, 7]);
    }

    #[test]
    fn a_length_takes_as_few_bytes_as_it_needs() {
        let header = |length: usize| frame(Opcode::Text, &[&vec![b'x'; length]]).len() - length;
        let headers = [0, 125, 126, 65_535, 65_536].map(header);
        assert_eq!(headers, [2, 2, 4, 4, 10]);
    }

    #[test]
    fn frames_follow_each_other_in_one_buffer_and_parts_in_one_frame() {
        let mut out = Vec::new();
        push_frame(&mut out, Opcode::Text, &[b"a", b"", b"bc"]);
        push_frame(&mut out, Opcode::Close, &[]);
        assert_eq!(out, *b"\x81\x03abc\x88\x00");
    }
}
