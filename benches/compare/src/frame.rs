//! Frames of WebSocket: whole ones, never fragments, which is how all these stacks send.

/// A text frame with `FIN`.
pub const TEXT: u8 = 0x81;
/// A close frame.
pub const CLOSE: u8 = 0x88;
/// A ping.
pub const PING: u8 = 0x89;
/// A pong.
pub const PONG: u8 = 0x8a;

const MASKED: u8 = 0x80;

/// A frame that has arrived in whole.
#[derive(Debug, PartialEq, Eq)]
pub struct Frame<'a> {
    /// `FIN` and the opcode.
    pub first: u8,
    /// As it was sent: of a client it is masked with [`Frame::mask`].
    pub payload: &'a [u8],
    pub mask: Option<[u8; 4]>,
    /// Bytes of all of it.
    pub size: usize,
}

impl<'a> Frame<'a> {
    /// The frame that these bytes begin with; `None` while some of it is missing.
    pub fn first_of(bytes: &'a [u8]) -> Option<Self> {
        let (&first, &second) = (bytes.first()?, bytes.get(1)?);
        let (length, mut start) = match second & !MASKED {
            126 => {
                let length = bytes.get(2..4)?.try_into().ok()?;
                (usize::from(u16::from_be_bytes(length)), 4)
            }
            127 => {
                let length = bytes.get(2..10)?.try_into().ok()?;
                (usize::try_from(u64::from_be_bytes(length)).ok()?, 10)
            }
            short => (usize::from(short), 2),
        };
        let mask = match second & MASKED {
            0 => None,
            _ => {
                let mask = bytes.get(start..start + 4)?.try_into().ok()?;
                start += 4;
                Some(mask)
            }
        };
        let size = start.checked_add(length)?;
        Some(Frame {
            first,
            payload: bytes.get(start..size)?,
            mask,
            size,
        })
    }

    /// What was sent, without the mask.
    pub fn unmasked(&self) -> Vec<u8> {
        let mask = self.mask.unwrap_or_default();
        let masks = mask.iter().cycle();
        self.payload.iter().zip(masks).map(|(b, m)| b ^ m).collect()
    }
}

/// Begins a frame of a server, in `out`.
pub fn begin(out: &mut Vec<u8>, first: u8, length: usize) {
    out.push(first);
    push_length(out, length, 0);
}

/// Writes a frame of a client: its mask is of zeroes, which changes nothing and costs us nothing.
pub fn masked(out: &mut Vec<u8>, first: u8, payload: &[u8]) {
    out.push(first);
    push_length(out, payload.len(), MASKED);
    out.extend([0; 4]);
    out.extend(payload);
}

fn push_length(out: &mut Vec<u8>, length: usize, masked: u8) {
    match u16::try_from(length) {
        Ok(short) if short < 126 => out.push(masked | short as u8),
        Ok(short) => {
            out.push(masked | 126);
            out.extend(short.to_be_bytes());
        }
        Err(_) => {
            out.push(masked | 127);
            out.extend((length as u64).to_be_bytes());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_frame_is_read_as_it_is_written_and_not_before_all_of_it_is_there() {
        for length in [0, 125, 126, 300, 65_535, 65_536] {
            let payload = vec![b'x'; length];
            let (mut of_server, mut of_client) = (Vec::new(), Vec::new());
            begin(&mut of_server, TEXT, length);
            of_server.extend(&payload);
            masked(&mut of_client, TEXT, &payload);
            for bytes in [of_server, of_client] {
                let frame = Frame::first_of(&bytes).unwrap();
                assert_eq!((frame.first, frame.size), (TEXT, bytes.len()));
                assert_eq!(frame.unmasked(), payload);
                assert_eq!(Frame::first_of(&bytes[..bytes.len() - 1]), None);
            }
        }
    }
}
