//! What the other end sends, message by message.

use std::borrow::Cow;

use super::close::is_close_code;
use super::frame::{Expected, HEADER_BYTES, Header, Opcode};
use super::{Role, mask};

/// Reads the messages of one connection.
///
/// Between messages it holds nothing but its limit. What came of a message that is not complete is
/// kept aside, no more than arrived, and given back with the message.
///
/// After an error it is of no more use: where the next frame begins is not known.
#[derive(Debug)]
pub struct Reader {
    role: Role,
    message_bytes: usize,
    /// There only while something is incomplete, and boxed: a connection that waits does not pay for it.
    partial: Option<Box<Partial>>,
}

/// A message: lying where it was received if it came in one piece, which is the rule, else put
/// together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Message<'a> {
    Text(Cow<'a, str>),
    Binary(Cow<'a, [u8]>),
    Ping(Cow<'a, [u8]>),
    Pong(Cow<'a, [u8]>),
    /// The code and the reason, if there are any. Nothing that follows may be acted upon.
    Close(Option<(u16, Cow<'a, str>)>),
}

/// Why a connection cannot go on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    #[error("a message of more than it may hold")]
    TooBig,
    #[error("text that is not UTF-8")]
    NotUtf8,
    #[error("{0}, which RFC 6455 does not allow")]
    Protocol(&'static str),
}

impl Error {
    pub(super) const CONTINUES_NOTHING: Self = Error::Protocol("a continuation of nothing");

    /// What the close frame says that answers it.
    pub fn close_code(self) -> u16 {
        match self {
            Error::TooBig => 1009,
            Error::NotUtf8 => 1007,
            Error::Protocol(_) => 1002,
        }
    }
}

impl Reader {
    /// The reader at this end of a connection. A message of more than `message_bytes` is
    /// [`Error::TooBig`].
    pub fn new(role: Role, message_bytes: usize) -> Self {
        Reader {
            role,
            message_bytes,
            partial: None,
        }
    }

    /// Takes the next message out of `input`, which it unmasks where it lies, and moves `input` behind
    /// it; `None` when all of `input` was taken in and more is needed.
    ///
    /// # Errors
    ///
    /// What the other end sent is no message, or too big a one. This is told as soon as a header tells
    /// it; that a fragmented text is not UTF-8, at its end.
    #[expect(
        clippy::should_implement_trait,
        reason = "an iterator has no place for the input"
    )]
    pub fn next<'a>(&mut self, input: &mut &'a mut [u8]) -> Result<Option<Message<'a>>, Error> {
        while !input.is_empty() {
            let Some((header, taken)) = self.header(input)? else {
                break;
            };
            let left = header.length - taken;
            let here = left.min(input.len());
            let payload;
            (payload, *input) = std::mem::take(input).split_at_mut(here);
            if self.role == Role::Server {
                mask::apply(mask::after(header.key, taken), payload);
            }
            if here < left {
                self.keep(header, taken, payload);
            } else if let Some(message) = self.complete(header, payload)? {
                return Ok(Some(message));
            }
        }
        Ok(None)
    }

    /// Whether it waits for a message to begin, and holds nothing of one.
    pub fn is_idle(&self) -> bool {
        self.partial.is_none()
    }

    /// The header of the frame that comes next or that was cut, and how much of its payload was taken
    /// in before; `None` when more of the header is needed.
    fn header(&mut self, input: &mut &mut [u8]) -> Result<Option<(Header, usize)>, Error> {
        let cut = self.partial.as_ref().map(|partial| &partial.cut);
        let mut kept = match cut {
            Some(Cut::Payload { header, taken, .. }) => return Ok(Some((*header, *taken))),
            Some(Cut::Header(kept)) => kept.clone(),
            Some(Cut::Nowhere) | None => Vec::new(),
        };
        let before = kept.len();
        let found = if before == 0 {
            Header::read(input, self.expected())?
        } else {
            let most = input.len().min(HEADER_BYTES - before);
            kept.extend_from_slice(&input[..most]);
            Header::read(&kept, self.expected())?
        };
        match found {
            Some((header, length)) => {
                *input = &mut std::mem::take(input)[length - before..];
                Ok(Some((header, 0)))
            }
            None => {
                if before == 0 {
                    kept.extend_from_slice(input);
                }
                *input = &mut [];
                self.partial.get_or_insert_default().cut = Cut::Header(kept);
                Ok(None)
            }
        }
    }

    fn expected(&self) -> Expected {
        let begun = self.partial.as_ref().and_then(|it| it.message.as_ref());
        let held = begun.map_or(0, |(_, payload)| payload.len());
        Expected {
            role: self.role,
            within_message: begun.is_some(),
            room: self.message_bytes - held,
        }
    }

    /// Puts aside a piece of a payload that more will follow.
    fn keep(&mut self, header: Header, taken: usize, piece: &[u8]) {
        let partial = self.partial.get_or_insert_default();
        let mut control = match std::mem::take(&mut partial.cut) {
            Cut::Payload { control, .. } => control,
            Cut::Header(_) | Cut::Nowhere => Vec::new(),
        };
        if header.opcode.is_control() {
            control.extend_from_slice(piece);
        } else {
            partial.add(header.opcode, piece);
        }
        partial.cut = Cut::Payload {
            header,
            taken: taken + piece.len(),
            control,
        };
    }

    /// The message that ends with this last piece of a frame, if one does.
    fn complete<'a>(
        &mut self,
        header: Header,
        piece: &'a [u8],
    ) -> Result<Option<Message<'a>>, Error> {
        let Header {
            opcode, is_final, ..
        } = header;
        let Some(partial) = &mut self.partial else {
            if is_final {
                return Message::of(opcode, Cow::Borrowed(piece)).map(Some);
            }
            self.partial.get_or_insert_default().add(opcode, piece);
            return Ok(None);
        };
        let cut = std::mem::take(&mut partial.cut);
        let whole = if opcode.is_control() {
            Some((opcode, with(cut, piece)))
        } else if is_final && partial.message.is_none() {
            Some((opcode, Cow::Borrowed(piece)))
        } else {
            partial.add(opcode, piece);
            let ended = partial.message.take_if(|_| is_final);
            ended.map(|(opcode, payload)| (opcode, Cow::Owned(payload)))
        };
        if partial.message.is_none() {
            self.partial = None;
        }
        whole
            .map(|(opcode, payload)| Message::of(opcode, payload))
            .transpose()
    }
}

/// What has come of a message, and of a frame.
#[derive(Debug, Default)]
struct Partial {
    /// The message that has begun: what it is, and its payload up to here.
    message: Option<(Opcode, Vec<u8>)>,
    cut: Cut,
}

/// Where the input ended within a frame.
#[derive(Debug, Default)]
enum Cut {
    #[default]
    Nowhere,
    /// Within its header: what there is of it.
    Header(Vec<u8>),
    /// Behind so many bytes of its payload. Those of a control frame are here, for it may come within a
    /// message.
    Payload {
        header: Header,
        taken: usize,
        control: Vec<u8>,
    },
}

impl Partial {
    fn add(&mut self, opcode: Opcode, piece: &[u8]) {
        let (_, payload) = self.message.get_or_insert((opcode, Vec::new()));
        payload.extend_from_slice(piece);
    }
}

/// The payload of a control frame, of which this is the last piece.
fn with(cut: Cut, piece: &[u8]) -> Cow<'_, [u8]> {
    match cut {
        Cut::Payload { mut control, .. } => {
            control.extend_from_slice(piece);
            Cow::Owned(control)
        }
        Cut::Header(_) | Cut::Nowhere => Cow::Borrowed(piece),
    }
}

impl<'a> Message<'a> {
    fn of(opcode: Opcode, payload: Cow<'a, [u8]>) -> Result<Self, Error> {
        Ok(match opcode {
            Opcode::Continuation => return Err(Error::CONTINUES_NOTHING),
            Opcode::Text => Message::Text(text(payload)?),
            Opcode::Binary => Message::Binary(payload),
            Opcode::Ping => Message::Ping(payload),
            Opcode::Pong => Message::Pong(payload),
            Opcode::Close => Message::Close(close(payload)?),
        })
    }
}

fn text(payload: Cow<'_, [u8]>) -> Result<Cow<'_, str>, Error> {
    match payload {
        Cow::Borrowed(payload) => str::from_utf8(payload).map(Cow::Borrowed).ok(),
        Cow::Owned(payload) => String::from_utf8(payload).map(Cow::Owned).ok(),
    }
    .ok_or(Error::NotUtf8)
}

fn close(payload: Cow<'_, [u8]>) -> Result<Option<(u16, Cow<'_, str>)>, Error> {
    if payload.is_empty() {
        return Ok(None);
    }
    let Some(&code) = payload.first_chunk() else {
        return Err(Error::Protocol("half of a close code"));
    };
    let code = u16::from_be_bytes(code);
    if !is_close_code(code) {
        return Err(Error::Protocol("a close code that is never sent"));
    }
    let reason = match payload {
        Cow::Borrowed(payload) => Cow::Borrowed(&payload[2..]),
        Cow::Owned(mut payload) => Cow::Owned(payload.split_off(2)),
    };
    Ok(Some((code, text(reason)?)))
}
