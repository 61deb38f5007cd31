//! RESP2, as far as a subscriber hears it: read where it lies, without a tree of values in between.

use std::ops::Range;

use bytes::{Bytes, BytesMut};

/// What has arrived from Redis, and is given out reply by reply.
#[derive(Debug, Default)]
pub struct Replies {
    arrived: BytesMut,
    /// With fewer bytes than this the next reply is not whole: it is not looked at again before.
    whole_from: usize,
}

/// One whole thing that Redis has said.
#[derive(Debug, PartialEq, Eq)]
pub enum Reply {
    Array(Texts),
    /// Its words.
    Error(String),
    /// A status, a number, a text, or nothing.
    Other,
}

/// The texts among the first elements of an array. They are slices of the buffer into which they were
/// read, and keep that alive: of 64 KiB, which is what is read at a time.
#[derive(Debug, PartialEq, Eq)]
pub struct Texts {
    reply: Bytes,
    /// Empty, and at the beginning, for what is no text: no text is there.
    places: [Range<u32>; TEXTS],
}

/// This is not RESP2.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not RESP2: {0}")]
pub struct Garbled(&'static str);

/// The longest that a subscriber is told is `pmessage`, a pattern, a channel and a body.
const TEXTS: usize = 4;
/// Room for what is read at a time: some hundred events.
const READ_BYTES: usize = 64 * 1024;
/// With less room than this, more is made.
const LEAST_ROOM: usize = 4 * 1024;
/// What Redis lets anybody publish, if nobody has told it otherwise.
const TEXT_BYTES: usize = 512 * 1024 * 1024;
/// Of an error or a status: nobody is told more words than these.
const LINE_BYTES: usize = 64 * 1024;
const ELEMENTS: usize = 1024;
const DEPTH: usize = 8;

impl Replies {
    /// Where to put what arrives, behind what has.
    pub fn room(&mut self) -> &mut BytesMut {
        if self.arrived.capacity() - self.arrived.len() < LEAST_ROOM {
            self.arrived.reserve(READ_BYTES);
        }
        &mut self.arrived
    }

    /// The next reply, if all of it is here. After an error nothing that follows can be told apart.
    pub fn next_reply(&mut self) -> Result<Option<Reply>, Garbled> {
        if self.arrived.is_empty() || self.arrived.len() < self.whole_from {
            return Ok(None);
        }
        let mut cursor = Cursor {
            bytes: &self.arrived,
            at: 0,
        };
        let mut places = [const { 0..0 }; TEXTS];
        match cursor.reply(&mut places) {
            Ok(element) => {
                let end = cursor.at;
                self.whole_from = 0;
                let reply = self.arrived.split_to(end).freeze();
                Ok(Some(match element {
                    Element::Array => Reply::Array(Texts { reply, places }),
                    Element::Error(place) => {
                        Reply::Error(String::from_utf8_lossy(&reply[place]).into_owned())
                    }
                    Element::Text(_) | Element::Other => Reply::Other,
                }))
            }
            Err(Stop::NotWhole { from }) => {
                self.whole_from = from;
                Ok(None)
            }
            Err(Stop::Garbled(garbled)) => Err(garbled),
        }
    }
}

impl Texts {
    /// The element with this number, if it is a text.
    pub fn get(&self, number: usize) -> Option<&[u8]> {
        self.place(number).map(|place| &self.reply[place])
    }

    /// The same, without a copy.
    pub fn take(mut self, number: usize) -> Option<Bytes> {
        let place = self.place(number)?;
        self.reply.truncate(place.end);
        Some(self.reply.split_off(place.start))
    }

    fn place(&self, number: usize) -> Option<Range<usize>> {
        let place = self.places.get(number)?;
        (place.start > 0).then_some(place.start as usize..place.end as usize)
    }
}

/// Reads one reply from its beginning.
struct Cursor<'a> {
    bytes: &'a [u8],
    at: usize,
}

enum Element {
    Array,
    Text(Range<usize>),
    Error(Range<usize>),
    Other,
}

/// Why there is nothing to give out.
enum Stop {
    /// There may be with so many bytes.
    NotWhole {
        from: usize,
    },
    Garbled(Garbled),
}

impl Cursor<'_> {
    fn reply(&mut self, places: &mut [Range<u32>; TEXTS]) -> Result<Element, Stop> {
        if self.bytes.first() != Some(&b'*') {
            return self.element(DEPTH);
        }
        self.at = 1;
        let Some(count) = self.length(ELEMENTS)? else {
            return Ok(Element::Other);
        };
        for number in 0..count {
            let element = self.element(DEPTH)?;
            if let (Element::Text(text), Some(place)) = (element, places.get_mut(number)) {
                *place = text.start as u32..text.end as u32;
            }
        }
        Ok(Element::Array)
    }

    fn element(&mut self, depth: usize) -> Result<Element, Stop> {
        let Some(kind) = self.bytes.get(self.at) else {
            return Err(self.not_whole());
        };
        self.at += 1;
        match kind {
            b'$' => self.text(),
            b':' | b'+' => self.line().map(|_| Element::Other),
            b'-' => self.line().map(Element::Error),
            b'*' if depth == 0 => Err(garbled("arrays within arrays without end")),
            b'*' => {
                for _ in 0..self.length(ELEMENTS)?.unwrap_or_default() {
                    self.element(depth - 1)?;
                }
                Ok(Element::Other)
            }
            _ => Err(garbled("a reply of no known kind")),
        }
    }

    fn text(&mut self) -> Result<Element, Stop> {
        let Some(length) = self.length(TEXT_BYTES)? else {
            return Ok(Element::Other);
        };
        let text = self.at..self.at + length;
        match self.bytes.get(text.end..text.end + 2) {
            Some(b"\r\n") => {
                self.at = text.end + 2;
                Ok(Element::Text(text))
            }
            Some(_) => Err(garbled("a text that is longer than it said")),
            None => Err(Stop::NotWhole { from: text.end + 2 }),
        }
    }

    /// A length of at most so many; `None` for what is null.
    fn length(&mut self, most: usize) -> Result<Option<usize>, Stop> {
        let line = self.line()?;
        let digits = &self.bytes[line];
        if digits == b"-1" {
            return Ok(None);
        }
        let mut length = 0;
        for digit in digits {
            if !digit.is_ascii_digit() {
                return Err(garbled("a length that is no number"));
            }
            length = length * 10 + usize::from(digit - b'0');
            if length > most {
                return Err(garbled("more than there can be"));
            }
        }
        if digits.is_empty() {
            return Err(garbled("a length that is no number"));
        }
        Ok(Some(length))
    }

    /// The rest of this line.
    fn line(&mut self) -> Result<Range<usize>, Stop> {
        let rest = &self.bytes[self.at..];
        let Some(length) = rest.iter().position(|byte| *byte == b'\r') else {
            return Err(if rest.len() > LINE_BYTES {
                garbled("a line without end")
            } else {
                self.not_whole()
            });
        };
        match rest.get(length + 1) {
            Some(b'\n') => {
                let line = self.at..self.at + length;
                self.at = line.end + 2;
                Ok(line)
            }
            Some(_) => Err(garbled("a line that ends within")),
            None => Err(self.not_whole()),
        }
    }

    fn not_whole(&self) -> Stop {
        Stop::NotWhole {
            from: self.bytes.len() + 1,
        }
    }
}

fn garbled(how: &'static str) -> Stop {
    Stop::Garbled(Garbled(how))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use redis::{Value, ValueCodec};
    use tokio_util::codec::Decoder;

    /// All replies in what arrives in these pieces.
    fn read<'a>(pieces: impl IntoIterator<Item = &'a [u8]>) -> Result<Vec<Reply>, Garbled> {
        let (mut replies, mut all) = (Replies::default(), Vec::new());
        for piece in pieces {
            replies.room().extend_from_slice(piece);
            while let Some(reply) = replies.next_reply()? {
                all.push(reply);
            }
        }
        Ok(all)
    }

    /// What can be seen of a reply.
    fn seen(reply: &Reply) -> Vec<Option<Vec<u8>>> {
        match reply {
            Reply::Array(texts) => (0..TEXTS)
                .map(|number| texts.get(number).map(<[u8]>::to_vec))
                .collect(),
            Reply::Error(words) => vec![Some(words.clone().into_bytes())],
            Reply::Other => Vec::new(),
        }
    }

    /// The same of what the parser of the `redis` crate makes of it.
    fn seen_by_redis(value: &Value) -> Vec<Option<Vec<u8>>> {
        match value {
            Value::Array(elements) => {
                let mut texts: Vec<_> = elements
                    .iter()
                    .take(TEXTS)
                    .map(|element| match element {
                        Value::BulkString(text) => Some(text.clone()),
                        _ => None,
                    })
                    .collect();
                texts.resize(TEXTS, None);
                texts
            }
            Value::ServerError(error) => {
                let words = [Some(error.code()), error.details()];
                let words: Vec<_> = words.into_iter().flatten().collect();
                vec![Some(words.join(" ").into_bytes())]
            }
            _ => Vec::new(),
        }
    }

    fn any_reply() -> impl Strategy<Value = Vec<u8>> {
        let text = prop_oneof![
            proptest::collection::vec(any::<u8>(), 0..40),
            Just(b"message".to_vec()),
            Just(b"a\r\n$1\r\nb".to_vec()),
        ];
        let leaf = prop_oneof![
            text.prop_map(|text| {
                let length = format!("${}\r\n", text.len());
                [length.as_bytes(), &text, b"\r\n"].concat()
            }),
            any::<i64>().prop_map(|number| format!(":{number}\r\n").into_bytes()),
            "[A-Za-z ]{0,20}".prop_map(|words| format!("+{words}\r\n").into_bytes()),
            "MY[A-Z]{1,9}( [a-z]{1,9}){0,3}".prop_map(|words| format!("-{words}\r\n").into_bytes()),
            Just(b"$-1\r\n".to_vec()),
            Just(b"*-1\r\n".to_vec()),
        ];
        leaf.prop_recursive(3, 24, 6, |inner| {
            proptest::collection::vec(inner, 0..6).prop_map(|elements| {
                let mut array = format!("*{}\r\n", elements.len()).into_bytes();
                array.extend(elements.concat());
                array
            })
        })
    }

    proptest! {
        #[test]
        fn whatever_redis_says_is_read_as_the_redis_crate_reads_it(
            said in proptest::collection::vec(any_reply(), 1..6),
            cuts in proptest::collection::vec(any::<prop::sample::Index>(), 0..8),
        ) {
            let said = said.concat();
            let mut cuts: Vec<_> = cuts.iter().map(|cut| cut.index(said.len() + 1)).collect();
            cuts.extend([0, said.len()]);
            cuts.sort_unstable();
            let pieces = cuts.windows(2).map(|piece| &said[piece[0]..piece[1]]);
            let ours: Vec<_> = read(pieces).unwrap().iter().map(seen).collect();

            let (mut codec, mut rest) = (ValueCodec::default(), BytesMut::from(&said[..]));
            let mut theirs = Vec::new();
            while let Some(value) = codec.decode(&mut rest).unwrap() {
                theirs.push(seen_by_redis(&value));
            }
            prop_assert_eq!(ours, theirs);
        }

        #[test]
        fn nothing_that_arrives_makes_it_panic(
            said in prop_oneof![
                proptest::collection::vec(any::<u8>(), 0..60),
                "([*$:+-][-0-9]{0,3}\r?\n?[a-z]{0,3}){0,12}".prop_map(String::into_bytes),
            ],
            at in any::<prop::sample::Index>(),
        ) {
            let at = at.index(said.len() + 1);
            let _ = read([&said[..at], &said[at..]]);
        }
    }

    #[test]
    fn what_is_not_resp2_is_no_reply() {
        let arrays = "*1\r\n".repeat(DEPTH + 3);
        let line = format!("+{}", "x".repeat(LINE_BYTES + 1));
        for said in [
            "HTTP/1.1 400 Bad Request\r\n",
            ">1\r\n+x\r\n",
            "*x\r\n",
            "*\r\n",
            "*99999999\r\n",
            "$-2\r\n",
            "$99999999999999999999999999\r\n",
            "$1\r\nabc\r\n",
            "+a\rb",
            &arrays,
            &line,
        ] {
            assert!(read([said.as_bytes()]).is_err(), "{said:.20}");
        }
    }

    #[test]
    fn a_body_is_given_out_without_a_copy() {
        let mut replies = Replies::default();
        let said = b"*3\r\n$7\r\nmessage\r\n$1\r\na\r\n$2\r\n{}\r\n";
        replies.room().extend_from_slice(said);
        let place = replies.room().as_ptr() as usize;
        let Ok(Some(Reply::Array(texts))) = replies.next_reply() else {
            panic!("no array");
        };
        assert_eq!(texts.get(1), Some(b"a".as_slice()));
        let body = texts.take(2).unwrap();
        assert_eq!(body, "{}");
        assert_eq!(body.as_ptr() as usize - place, said.len() - 4);
    }

    #[test]
    fn a_long_body_is_looked_at_when_it_is_whole() {
        let mut replies = Replies::default();
        replies.room().extend_from_slice(b"*1\r\n$100000\r\n");
        for _ in 0..1_000 {
            assert_eq!(replies.next_reply(), Ok(None));
            assert_eq!(replies.whole_from, 100_015);
            replies.room().extend_from_slice(&[b'x'; 100]);
        }
        replies.room().extend_from_slice(b"\r\n");
        assert!(matches!(replies.next_reply(), Ok(Some(Reply::Array(_)))));
        assert!(replies.arrived.is_empty());
    }
}
