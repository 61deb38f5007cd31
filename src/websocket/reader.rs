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
            Some((opcode, control_payload(cut, piece)))
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
fn control_payload(cut: Cut, piece: &[u8]) -> Cow<'_, [u8]> {
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::websocket::{close_payload, push_frame, push_masked};

    /// All messages of this input, which comes as a client receives it.
    fn read(input: &[u8]) -> Result<Vec<Message<'static>>, Error> {
        read_at(Role::Client, 1 << 20, input, input.len().max(1))
    }

    /// The same at either end, in pieces of this size.
    fn read_at(
        role: Role,
        message_bytes: usize,
        input: &[u8],
        piece: usize,
    ) -> Result<Vec<Message<'static>>, Error> {
        let mut reader = Reader::new(role, message_bytes);
        let mut messages = Vec::new();
        for piece in input.chunks(piece) {
            let mut piece = piece.to_vec();
            let mut rest = &mut *piece;
            while let Some(message) = reader.next(&mut rest)? {
                messages.push(message.into_owned());
            }
            assert!(rest.is_empty(), "all of it is taken in");
        }
        Ok(messages)
    }

    impl Message<'_> {
        fn into_owned(self) -> Message<'static> {
            match self {
                Message::Text(text) => Message::Text(text.into_owned().into()),
                Message::Binary(bytes) => Message::Binary(bytes.into_owned().into()),
                Message::Ping(bytes) => Message::Ping(bytes.into_owned().into()),
                Message::Pong(bytes) => Message::Pong(bytes.into_owned().into()),
                Message::Close(why) => {
                    Message::Close(why.map(|(code, reason)| (code, reason.into_owned().into())))
                }
            }
        }
    }

    fn text(text: &'static str) -> Message<'static> {
        Message::Text(text.into())
    }

    fn frame(opcode: Opcode, payload: &[u8]) -> Vec<u8> {
        let mut out = Vec::new();
        push_frame(&mut out, opcode, &[payload]);
        out
    }

    fn masked(opcode: Opcode, payload: &[u8]) -> Vec<u8> {
        let mut out = Vec::new();
        push_masked(&mut out, opcode, [1, 2, 3, 4], &[payload]);
        out
    }

    #[test]
    fn the_examples_of_the_specification_are_read_as_it_says() {
        assert_eq!(read(b"\x81\x05Hello"), Ok(vec![text("Hello")]));
        let masked = b"\x81\x85\x37\xfa\x21\x3d\x7f\x9f\x4d\x51\x58";
        assert_eq!(
            read_at(Role::Server, 5, masked, masked.len()),
            Ok(vec![text("Hello")])
        );
        assert_eq!(read(b"\x01\x03Hel\x80\x02lo"), Ok(vec![text("Hello")]));
        assert_eq!(
            read(b"\x89\x05Hello"),
            Ok(vec![Message::Ping(b"Hello".into())])
        );
        let pong = b"\x8a\x85\x37\xfa\x21\x3d\x7f\x9f\x4d\x51\x58";
        assert_eq!(
            read_at(Role::Server, 0, pong, pong.len()),
            Ok(vec![Message::Pong(b"Hello".into())])
        );
        for (header, length) in [
            (&b"\x82\x7e\x01\x00"[..], 256),
            (b"\x82\x7f\x00\x00\x00\x00\x00\x01\x00\x00", 65_536),
        ] {
            let payload = vec![7; length];
            assert_eq!(
                read(&[header, &payload].concat()),
                Ok(vec![Message::Binary(payload.into())])
            );
        }
    }

    #[test]
    fn a_reader_that_waits_is_small_and_holds_nothing() {
        assert!(size_of::<Reader>() <= 32, "{}", size_of::<Reader>());
        let frame = masked(Opcode::Text, "what comes in pieces".as_bytes());
        let mut reader = Reader::new(Role::Server, 100);
        assert!(reader.is_idle());
        for &byte in &frame[..frame.len() - 1] {
            assert_eq!(reader.next(&mut &mut [byte][..]), Ok(None));
            assert!(!reader.is_idle());
        }
        let mut last = [frame[frame.len() - 1]];
        let message = reader.next(&mut &mut last[..]);
        assert_eq!(message, Ok(Some(text("what comes in pieces"))));
        assert!(reader.is_idle());
    }

    #[test]
    fn what_came_in_one_piece_is_read_where_it_lies() {
        let mut input = [
            masked(Opcode::Text, b"text"),
            masked(Opcode::Binary, b"bytes"),
            masked(Opcode::Ping, b"ping"),
            masked(Opcode::Close, &close_payload(1000, "bye")),
        ]
        .concat();
        let mut reader = Reader::new(Role::Server, 5);
        let mut rest = &mut *input;
        let mut places = Vec::new();
        while let Some(message) = reader.next(&mut rest).expect("all is well") {
            match message {
                Message::Text(Cow::Borrowed(text)) => places.push(text.len()),
                Message::Binary(Cow::Borrowed(bytes)) | Message::Ping(Cow::Borrowed(bytes)) => {
                    places.push(bytes.len());
                }
                Message::Close(Some((1000, Cow::Borrowed(reason)))) => places.push(reason.len()),
                copied => panic!("copied: {copied:?}"),
            }
            assert!(reader.is_idle());
        }
        assert_eq!(places, [4, 5, 4, 3]);
    }

    #[test]
    fn control_frames_come_between_fragments_wherever_they_are_cut() {
        let input = b"\x01\x03Hel\x89\x02hi\x00\x00\x8a\x00\x80\x02lo\x82\x01x";
        for piece in 1..=input.len() {
            let messages = read_at(Role::Client, 5, input, piece);
            let expected = [
                Message::Ping(b"hi".into()),
                Message::Pong(b"".into()),
                text("Hello"),
                Message::Binary(b"x".into()),
            ];
            assert_eq!(messages, Ok(expected.into()), "in pieces of {piece}");
        }
    }

    #[test]
    fn a_close_may_say_why_or_nothing() {
        assert_eq!(read(b"\x88\x00"), Ok(vec![Message::Close(None)]));
        assert_eq!(
            read(&frame(Opcode::Close, &close_payload(4408, "late"))),
            Ok(vec![Message::Close(Some((4408, "late".into())))])
        );
        assert_eq!(
            read(b"\x88\x02\x03\xe8"),
            Ok(vec![Message::Close(Some((1000, "".into())))])
        );
    }

    #[test]
    fn what_the_specification_forbids_is_refused() {
        for (input, wrong) in [
            (&b"\xc1\x00"[..], "a reserved bit"),
            (b"\xa1\x00", "a reserved bit"),
            (b"\x91\x00", "a reserved bit"),
            (b"\x83\x00", "a reserved opcode"),
            (b"\x8b\x00", "a reserved opcode"),
            (b"\x80\x00", "a continuation of nothing"),
            (b"\x01\x00\x80\x00\x80\x00", "a continuation of nothing"),
            (b"\x01\x00\x81\x00", "a message within a message"),
            (b"\x02\x00\x01\x00", "a message within a message"),
            (b"\x09\x00", "a fragmented control frame"),
            (b"\x08\x00", "a fragmented control frame"),
            (b"\x81\x80\x00\x00\x00\x00", "a server that masks"),
            (b"\x89\x7e\x00\x7e", "a control frame of over 125 bytes"),
            (b"\x82\x7e\x00\x7d", "a length in more bytes than it needs"),
            (
                b"\x82\x7f\x00\x00\x00\x00\x00\x00\xff\xff",
                "a length in more bytes than it needs",
            ),
            (
                b"\x82\x7f\x80\x00\x00\x00\x00\x00\x00\x00",
                "a length of over 63 bits",
            ),
            (b"\x88\x01\x03", "half of a close code"),
            (b"\x88\x02\x03\xed", "a close code that is never sent"),
            (b"\x88\x02\x03\xe7", "a close code that is never sent"),
        ] {
            for piece in 1..=input.len() {
                let read = read_at(Role::Client, 1000, input, piece);
                assert_eq!(read, Err(Error::Protocol(wrong)), "{input:x?}");
            }
        }
        let unmasked = read_at(Role::Server, 1000, b"\x81\x00", 2);
        let wrong = Error::Protocol("a client that does not mask");
        assert_eq!(unmasked, Err(wrong));
        assert_eq!(wrong.close_code(), 1002);
    }

    #[test]
    fn text_that_is_not_utf8_is_refused_and_so_is_a_reason() {
        assert_eq!(Error::NotUtf8.close_code(), 1007);
        assert_eq!(read(b"\x81\x02\xc3\x28"), Err(Error::NotUtf8));
        assert_eq!(read(b"\x88\x03\x03\xe8\xff"), Err(Error::NotUtf8));
        // A character may be cut, but not left out.
        assert_eq!(read(b"\x01\x01\xe2\x80\x02\x82\xbf"), Ok(vec![text("₿")]));
        assert_eq!(read(b"\x01\x01\xe2\x80\x01\x82"), Err(Error::NotUtf8));
        assert!(read(b"\x82\x01\xff").is_ok(), "bytes are not text");
    }

    #[test]
    fn a_message_too_big_is_refused_at_its_header() {
        assert_eq!(Error::TooBig.close_code(), 1009);
        let header = |length: u16| [&[0x82, 126][..], &length.to_be_bytes()].concat();
        for (input, expected) in [
            (header(1000), Ok(None)),
            (header(1001), Err(Error::TooBig)),
            (
                b"\x82\x7f\x7f\xff\xff\xff\xff\xff\xff\xff".to_vec(),
                Err(Error::TooBig),
            ),
            // What has come before it counts.
            ([b"\x02\x01x\x80", &header(999)[1..]].concat(), Ok(None)),
            (
                [b"\x02\x01x\x80", &header(1000)[1..]].concat(),
                Err(Error::TooBig),
            ),
        ] {
            let mut received = input.clone();
            let mut reader = Reader::new(Role::Client, 1000);
            let next = reader.next(&mut &mut *received);
            assert_eq!(next, expected, "{input:x?}");
        }
        // A control frame is no part of it.
        assert!(read_at(Role::Client, 0, b"\x89\x02hi", 4).is_ok());
    }

    #[test]
    fn memory_grows_with_what_arrives_and_not_with_what_is_promised() {
        let mut reader = Reader::new(Role::Client, usize::MAX >> 1);
        let mut input = b"\x82\x7f\x00\x00\x00\x10\x00\x00\x00\x00a little".to_vec();
        assert_eq!(reader.next(&mut &mut *input), Ok(None));
        let partial = reader.partial.expect("a message has begun");
        let (_, payload) = partial.message.expect("a message has begun");
        assert_eq!(payload, b"a little");
        assert!(payload.capacity() < 100, "{}", payload.capacity());
    }
}
