//! Another implementation as the oracle: what we write it reads, what it writes we read, and what it
//! refuses we refuse.
//!
//! We differ on purpose, and the tests below say where:
//!
//! * what is wrong with a frame is told as soon as it is known, here; there, often when all of the
//!   frame has come, and its size before all else;
//! * a length in more bytes than it needs is refused here (5.2: "the minimal number of bytes MUST be
//!   used") and taken there, and one of over 63 bits is wrong here and merely big there;
//! * a close code that is never sent is refused here, and handed out as 1002 there; 1014, which was
//!   registered after the specification, is a close code here and none there;
//! * fragments of a text that are not UTF-8 are refused at the end of the message here, and at once
//!   there.

use std::io::{self, Cursor, ErrorKind, Read, Write};

use proptest::collection::vec;
use proptest::prelude::*;
use tungstenite::protocol::frame::coding::{Data, OpCode};
use tungstenite::protocol::frame::{CloseFrame, Frame};
use tungstenite::protocol::{self, WebSocketConfig, WebSocketContext};

use super::*;

/// What either of the two reads, as far as it goes.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Said {
    Text(String),
    Binary(Vec<u8>),
    Ping(Vec<u8>),
    Pong(Vec<u8>),
    Close(Option<(u16, String)>),
}

impl Said {
    fn ours(message: Message<'_>) -> Self {
        match message {
            Message::Text(text) => Said::Text(text.into_owned()),
            Message::Binary(bytes) => Said::Binary(bytes.into_owned()),
            Message::Ping(bytes) => Said::Ping(bytes.into_owned()),
            Message::Pong(bytes) => Said::Pong(bytes.into_owned()),
            Message::Close(why) => {
                Said::Close(why.map(|(code, reason)| (code, reason.into_owned())))
            }
        }
    }

    fn theirs(message: tungstenite::Message) -> Self {
        match message {
            tungstenite::Message::Text(text) => Said::Text(text.to_string()),
            tungstenite::Message::Binary(bytes) => Said::Binary(bytes.into()),
            tungstenite::Message::Ping(bytes) => Said::Ping(bytes.into()),
            tungstenite::Message::Pong(bytes) => Said::Pong(bytes.into()),
            tungstenite::Message::Close(why) => {
                Said::Close(why.map(|frame| (frame.code.into(), frame.reason.to_string())))
            }
            tungstenite::Message::Frame(frame) => panic!("frames are not told: {frame}"),
        }
    }

    fn is_control(&self) -> bool {
        matches!(self, Said::Ping(_) | Said::Pong(_) | Said::Close(_))
    }

    fn opcode(&self) -> Opcode {
        match self {
            Said::Text(_) => Opcode::Text,
            Said::Binary(_) => Opcode::Binary,
            Said::Ping(_) => Opcode::Ping,
            Said::Pong(_) => Opcode::Pong,
            Said::Close(_) => Opcode::Close,
        }
    }

    fn payload(&self) -> Vec<u8> {
        match self {
            Said::Text(text) => text.clone().into_bytes(),
            Said::Binary(bytes) | Said::Ping(bytes) | Said::Pong(bytes) => bytes.clone(),
            Said::Close(None) => Vec::new(),
            Said::Close(Some((code, reason))) => close_payload(*code, reason),
        }
    }
}

/// What was read, up to a close, an error or the end of the input.
type Heard = (Vec<Said>, Option<Error>);

const MESSAGE_BYTES: usize = 70_000;

/// Read by us, the input cut into pieces of these sizes, again and again.
fn ours(role: Role, message_bytes: usize, input: &[u8], cuts: &[usize]) -> Heard {
    let (mut said, mut reader) = (Vec::new(), Reader::new(role, message_bytes));
    let (mut rest, mut sizes) = (input.to_vec(), cuts.iter().cycle());
    while !rest.is_empty() {
        let size = sizes
            .next()
            .map_or(rest.len(), |size| *size.min(&rest.len()));
        let mut piece: Vec<u8> = rest.drain(..size).collect();
        let mut piece = &mut *piece;
        loop {
            match reader.next(&mut piece) {
                Ok(Some(message)) => said.push(Said::ours(message)),
                Ok(None) => break,
                Err(error) => return (said, Some(error)),
            }
            if matches!(said.last(), Some(Said::Close(_))) {
                return (said, None);
            }
        }
        assert!(piece.is_empty(), "all of it is taken in");
    }
    (said, None)
}

/// Read by the other.
fn theirs(role: Role, message_bytes: usize, input: &[u8]) -> Heard {
    let mut context = WebSocketContext::new(their(role), Some(config(message_bytes)));
    let mut socket = Socket(Cursor::new(input.to_vec()), Vec::new());
    let mut said = Vec::new();
    loop {
        match context.read(&mut socket) {
            Ok(message) => said.push(Said::theirs(message)),
            Err(tungstenite::Error::Io(error)) if error.kind() == ErrorKind::WouldBlock => {
                return (said, None);
            }
            Err(tungstenite::Error::Capacity(_)) => return (said, Some(Error::TooBig)),
            Err(tungstenite::Error::Utf8(_)) => return (said, Some(Error::NotUtf8)),
            Err(tungstenite::Error::Protocol(_)) => {
                return (said, Some(Error::Protocol("as they say")));
            }
            Err(error) => panic!("{error}"),
        }
        if matches!(said.last(), Some(Said::Close(_))) {
            return (said, None);
        }
    }
}

fn their(role: Role) -> protocol::Role {
    match role {
        Role::Server => protocol::Role::Server,
        Role::Client => protocol::Role::Client,
    }
}

fn config(message_bytes: usize) -> WebSocketConfig {
    WebSocketConfig::default()
        .read_buffer_size(4096)
        .max_message_size(Some(message_bytes))
        // There, control frames are counted too.
        .max_frame_size(Some(message_bytes.max(125)))
}

/// What was received, after which nothing comes for the moment; and what is sent.
struct Socket(Cursor<Vec<u8>>, Vec<u8>);

impl Read for Socket {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self.0.read(buffer)? {
            0 => Err(ErrorKind::WouldBlock.into()),
            length => Ok(length),
        }
    }
}

impl Write for Socket {
    fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
        self.1.write(buffer)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// What either end may say, of every size at which a header changes.
fn any_said() -> impl Strategy<Value = Said> {
    let size = prop_oneof![
        0..4usize,
        120..132usize,
        Just(65_535usize),
        Just(65_536usize),
        Just(MESSAGE_BYTES),
    ];
    let control = vec(any::<u8>(), 0..=125);
    let code = prop_oneof![1000..=1003u16, 1007..=1013u16, 3000..=4999u16];
    let reason = ".{0,30}".prop_filter("a close frame holds it", |reason| reason.len() <= 123);
    prop_oneof![
        3 => ".{0,40}".prop_map(Said::Text),
        3 => (size, any::<u8>()).prop_map(|(size, first)| {
            Said::Binary((0..size).map(|at| first.wrapping_add(at as u8)).collect())
        }),
        2 => control.clone().prop_map(Said::Ping),
        2 => control.prop_map(Said::Pong),
        1 => proptest::option::of((code, reason)).prop_map(Said::Close),
    ]
}

fn any_role() -> impl Strategy<Value = Role> {
    prop_oneof![Just(Role::Server), Just(Role::Client)]
}

/// Where reads end. Never all the time byte by byte, for the long ones take their time.
fn any_cuts() -> impl Strategy<Value = Vec<usize>> {
    vec(prop_oneof![1..20usize, 100..5000usize, Just(70_000)], 0..6)
}

/// As the end opposite to `role` writes it.
fn push(out: &mut Vec<u8>, role: Role, key: [u8; 4], said: &Said) {
    let payload = said.payload();
    let (head, tail) = payload.split_at(payload.len() / 3);
    match role {
        Role::Server => push_masked(out, said.opcode(), key, &[head, tail]),
        Role::Client => push_frame(out, said.opcode(), &[head, b"", tail]),
    }
}

/// Nothing can follow a close.
fn up_to_a_close(mut said: Vec<Said>) -> Vec<Said> {
    let closes = |said: &Said| matches!(said, Said::Close(_));
    let end = said.iter().position(closes).map_or(said.len(), |at| at + 1);
    said.truncate(end);
    said
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn what_we_write_is_read_the_same_by_the_other_and_by_us(
        role in any_role(), said in vec(any_said(), 0..6), key: [u8; 4], cuts in any_cuts(),
    ) {
        let said = up_to_a_close(said);
        let mut input = Vec::new();
        said.iter().for_each(|said| push(&mut input, role, key, said));
        let theirs = theirs(role, MESSAGE_BYTES, &input);
        prop_assert_eq!(&theirs, &(said, None));
        prop_assert_eq!(ours(role, MESSAGE_BYTES, &input, &cuts), theirs);
    }

    #[test]
    fn what_the_other_writes_is_read_the_same_whatever_the_fragments_and_the_cuts(
        role in any_role(),
        said in vec((any_said(), vec(any::<prop::sample::Index>(), 0..3)), 0..6),
        cuts in any_cuts(),
    ) {
        let opposite = match role {
            Role::Server => protocol::Role::Client,
            Role::Client => protocol::Role::Server,
        };
        let mut context = WebSocketContext::new(opposite, None);
        let mut socket = Socket(Cursor::default(), Vec::new());
        for (said, fragments) in &said {
            for frame in frames(said, fragments) {
                let sent = context.write(&mut socket, tungstenite::Message::Frame(frame));
                sent.expect("it is written into memory");
            }
        }
        context.flush(&mut socket).expect("it is written into memory");
        let (said, _): (Vec<_>, Vec<_>) = said.into_iter().unzip();
        let heard = ours(role, MESSAGE_BYTES, &socket.1, &cuts);
        prop_assert_eq!(heard, (up_to_a_close(said), None));
    }

    #[test]
    fn whatever_comes_is_refused_or_taken_as_the_other_does(
        (role, frames) in any_role().prop_flat_map(|role| (Just(role), vec(any_frame(role), 0..6))),
        cuts in any_cuts(),
        limit in 0..300usize,
    ) {
        agree(role, limit, &frames.concat(), &cuts)?;
    }

    #[test]
    fn bytes_without_sense_are_refused_or_taken_as_the_other_does(
        role in any_role(), input: Vec<u8>, cuts in any_cuts(), limit in 0..300usize,
    ) {
        agree(role, limit, &input, &cuts)?;
    }
}

/// A message as frames of the other, a data message in fragments that end at these places.
fn frames(said: &Said, ends: &[prop::sample::Index]) -> Vec<Frame> {
    let payload = said.payload();
    match said {
        Said::Ping(_) => return vec![Frame::ping(payload)],
        Said::Pong(_) => return vec![Frame::pong(payload)],
        Said::Close(why) => {
            return vec![Frame::close(why.as_ref().map(|(code, reason)| {
                CloseFrame {
                    code: (*code).into(),
                    reason: reason.as_str().into(),
                }
            }))];
        }
        Said::Text(_) | Said::Binary(_) => {}
    }
    let mut ends: Vec<usize> = ends
        .iter()
        .map(|end| end.index(payload.len() + 1))
        .collect();
    ends.sort_unstable();
    ends.push(payload.len());
    let mut begin = 0;
    let mut fragments = Vec::new();
    for (at, &end) in ends.iter().enumerate() {
        let opcode = match (at, said) {
            (0, Said::Text(_)) => Data::Text,
            (0, _) => Data::Binary,
            _ => Data::Continue,
        };
        let piece = payload[begin..end].to_vec();
        let is_final = at + 1 == ends.len();
        fragments.push(Frame::message(piece, OpCode::Data(opcode), is_final));
        begin = end;
    }
    fragments
}

/// A frame that is whole, and often wrong in one way or another.
fn any_frame(role: Role) -> impl Strategy<Value = Vec<u8>> {
    let first = prop_oneof![
        6 => prop::sample::select(vec![0x00, 0x01, 0x02, 0x80, 0x81, 0x82, 0x88, 0x89, 0x8a]),
        1 => any::<u8>(),
    ];
    let payload = prop_oneof![
        6 => "[a-zä₿]{0,12}".prop_map(String::into_bytes),
        2 => vec(any::<u8>(), 0..160),
        1 => (980..1020u16, "[a-z]{0,9}").prop_map(|(code, reason)| close_payload(code, &reason)),
    ];
    let length_bytes = prop_oneof![8 => Just(0), 1 => Just(2), 1 => Just(8)];
    (
        first,
        payload,
        prop::bool::weighted(0.97),
        length_bytes,
        any::<[u8; 4]>(),
    )
        .prop_map(move |(first, mut payload, agrees, length_bytes, key)| {
            let is_masked = agrees == (role == Role::Server);
            let mut frame = vec![first];
            let mask_bit = u8::from(is_masked) << 7;
            match (length_bytes, payload.len()) {
                (0, length @ 0..126) => frame.push(mask_bit | length as u8),
                (0 | 2, length) => {
                    frame.push(mask_bit | 126);
                    frame.extend((length as u16).to_be_bytes());
                }
                (_, length) => {
                    frame.push(mask_bit | 127);
                    frame.extend((length as u64).to_be_bytes());
                }
            }
            if is_masked {
                frame.extend(key);
                mask::apply(key, &mut payload);
            }
            frame.extend(payload);
            frame
        })
}

/// Insists that both hear the same, but for what is different on purpose.
fn agree(role: Role, limit: usize, input: &[u8], cuts: &[usize]) -> Result<(), TestCaseError> {
    let (we_hear, we_refuse) = ours(role, limit, input, cuts);
    let (they_hear, they_refuse) = theirs(role, limit, input);
    let too_long = Error::Protocol("a length in more bytes than it needs");
    let never_sent = Error::Protocol("a close code that is never sent");
    if we_refuse == Some(too_long) && we_hear.len() <= they_hear.len() {
        prop_assert_eq!(&we_hear[..], &they_hear[..we_hear.len()]);
        return Ok(());
    }
    if they_refuse == Some(Error::NotUtf8) {
        // Where they tell it of a fragment, we go on to the end of the message, unless something else
        // ends it, or it does not come.
        let (same, more) = we_hear.split_at(they_hear.len().min(we_hear.len()));
        prop_assert_eq!(same, &they_hear[..]);
        prop_assert!(more.iter().all(Said::is_control), "{:?}", more);
        return Ok(());
    }
    match (we_hear.last(), they_hear.split_last()) {
        (_, Some((Said::Close(Some((1002, _))), before))) if we_refuse == Some(never_sent) => {
            prop_assert_eq!(&we_hear[..], before);
            return Ok(());
        }
        (Some(Said::Close(Some((1014, _)))), Some((Said::Close(Some((1002, _))), before))) => {
            prop_assert_eq!(&we_hear[..before.len()], before);
            return Ok(());
        }
        _ => prop_assert_eq!(we_hear, they_hear),
    }
    match (we_refuse, they_refuse) {
        (None, None) | (Some(Error::TooBig), Some(Error::TooBig)) => {}
        (Some(Error::Protocol(_)), Some(Error::Protocol(_) | Error::TooBig)) => {}
        // The input ends within the frame, and they wait for all of it. Bad text is no such thing.
        (Some(Error::Protocol(_) | Error::TooBig), None) => {}
        (ours, theirs) => prop_assert!(false, "{ours:?} is not {theirs:?}"),
    }
    Ok(())
}

#[test]
fn the_key_of_the_specification_is_accepted_as_it_says() {
    assert_eq!(
        accept_key("dGhlIHNhbXBsZSBub25jZQ=="),
        "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="
    );
}
