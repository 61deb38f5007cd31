//! One client: what it says, and what it makes of what it hears.

use std::io::{self, ErrorKind, Read, Write};

use compare::frame::{self, Frame};
use compare::words;
use memchr::memmem;
use mio::net::TcpStream;

use crate::task::Question;

/// How far a client has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stage {
    Connecting,
    Upgrading,
    Initialising,
    Subscribing,
    /// It has heard something, or has been waited for long enough.
    Listening,
}

pub(crate) struct Client {
    number: usize,
    stream: TcpStream,
    pub(crate) stage: Stage,
    /// What the beginning of a frame is kept in until the rest of it comes.
    rest: Vec<u8>,
    /// The number that the next event has to bear. Lower ones are what a client is told first.
    expected: u64,
    step: u64,
}

/// What is the same for all clients.
pub(crate) struct Ways {
    pub(crate) question: Question,
    pub(crate) operations: usize,
    number_of: memmem::Finder<'static>,
    /// Numbers below are those of first messages.
    pub(crate) first_number: u64,
}

#[derive(Debug, thiserror::Error)]
pub(crate) enum Wrong {
    #[error("client {client}: {cause}")]
    Socket { client: usize, cause: io::Error },
    #[error("client {client} was let go by the server while it was {stage:?}")]
    Closed { client: usize, stage: Stage },
    #[error("client {client} was {stage:?} and was told {said}")]
    Unexpected {
        client: usize,
        stage: Stage,
        said: String,
    },
    #[error(
        "client {client} expected event {expected} and was told {number}: lost, twice, or out of order"
    )]
    Order {
        client: usize,
        expected: u64,
        number: u64,
    },
}

impl Ways {
    pub(crate) fn new(question: Question, operations: usize, first_number: u64) -> Self {
        let field = match question {
            Question::Price => words::PRICE_FIELD,
            Question::Updates => words::MEMO_FIELD,
        };
        Ways {
            question,
            operations,
            number_of: memmem::Finder::new(field),
            first_number,
        }
    }
}

impl Client {
    pub(crate) fn new(number: usize, stream: TcpStream) -> Self {
        Client {
            number,
            stream,
            stage: Stage::Connecting,
            rest: Vec::new(),
            expected: 0,
            step: 1,
        }
    }

    /// From now on events bear this number, and then each this much more.
    pub(crate) fn expect(&mut self, first: u64, step: u64) {
        (self.expected, self.step) = (first, step);
    }

    pub(crate) fn expected(&self) -> u64 {
        self.expected
    }

    /// The socket is connected: asks for the upgrade.
    pub(crate) fn on_connected(&mut self) -> Result<(), Wrong> {
        if let Some(cause) = self
            .stream
            .take_error()
            .map_err(|cause| self.socket(cause))?
        {
            return Err(self.socket(cause));
        }
        self.stage = Stage::Upgrading;
        self.write(words::upgrade().as_bytes())
    }

    /// Reads what there is; how many events it was.
    pub(crate) fn on_readable(&mut self, ways: &Ways, buffer: &mut [u8]) -> Result<u64, Wrong> {
        let mut events = 0;
        loop {
            let read = match self.stream.read(buffer) {
                Ok(0) => {
                    return Err(Wrong::Closed {
                        client: self.number,
                        stage: self.stage,
                    });
                }
                Ok(read) => read,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(events),
                Err(cause) => return Err(self.socket(cause)),
            };
            if self.rest.is_empty() {
                let taken = self.hear(ways, &buffer[..read], &mut events)?;
                self.rest.extend(&buffer[taken..read]);
            } else {
                let mut rest = std::mem::take(&mut self.rest);
                rest.extend(&buffer[..read]);
                let taken = self.hear(ways, &rest, &mut events)?;
                rest.drain(..taken);
                self.rest = rest;
            }
            // Less than there was room for: there is no more, and the next will be told of.
            if read < buffer.len() {
                return Ok(events);
            }
        }
    }

    /// How many of these bytes were whole messages.
    fn hear(&mut self, ways: &Ways, bytes: &[u8], events: &mut u64) -> Result<usize, Wrong> {
        let mut taken = 0;
        if self.stage == Stage::Upgrading {
            let Some(end) = memmem::find(bytes, b"\r\n\r\n") else {
                return Ok(0);
            };
            let head = &bytes[..end];
            if !head.starts_with(b"HTTP/1.1 101")
                || memmem::find(head, words::SOCKET_ACCEPT.as_bytes()).is_none()
            {
                return Err(self.unexpected(head));
            }
            taken = end + 4;
            self.stage = Stage::Initialising;
            self.say(&words::init(self.number))?;
        }
        while let Some(frame) = Frame::first_of(&bytes[taken..]) {
            taken += frame.size;
            match frame.first {
                frame::TEXT => *events += self.on_message(ways, frame.payload)?,
                frame::PING => {
                    let mut pong = Vec::new();
                    frame::masked(&mut pong, frame::PONG, frame.payload);
                    self.write(&pong)?;
                }
                frame::PONG => {}
                _ => return Err(self.unexpected(frame.payload)),
            }
        }
        Ok(taken)
    }

    fn on_message(&mut self, ways: &Ways, text: &[u8]) -> Result<u64, Wrong> {
        match self.stage {
            Stage::Initialising if memmem::find(text, b"connection_ack").is_some() => {
                self.stage = Stage::Subscribing;
                self.subscribe(ways)?;
                Ok(0)
            }
            Stage::Subscribing | Stage::Listening => {
                if !self.is_next(text) {
                    return Err(self.unexpected(text));
                }
                self.stage = Stage::Listening;
                match (number_in(text, &ways.number_of), ways.question) {
                    (Some(number), _) if number == self.expected && number >= ways.first_number => {
                        self.expected += self.step;
                        Ok(1)
                    }
                    // What a client is told first.
                    (Some(number), Question::Price) if number < ways.first_number => Ok(0),
                    (None, Question::Updates)
                        if memmem::find(text, words::PRICE_FIELD.as_bytes()).is_some() =>
                    {
                        Ok(0)
                    }
                    (Some(number), _) => Err(Wrong::Order {
                        client: self.number,
                        expected: self.expected,
                        number,
                    }),
                    (None, _) => Err(self.unexpected(text)),
                }
            }
            _ => Err(self.unexpected(text)),
        }
    }

    /// Whether this is a `next` of our own subscription. The two may stand in either order, in front of the payload.
    fn is_next(&self, text: &[u8]) -> bool {
        let head = &text[..text.len().min(96)];
        let id = words::operation_id(0).len();
        let own = memmem::find(head, br#""id":""#).and_then(|at| head.get(at + 6..at + 6 + id));
        memmem::find(head, br#""type":"next""#).is_some()
            && own.is_some_and(|own| is_operation_id(own, self.number))
    }

    fn subscribe(&mut self, ways: &Ways) -> Result<(), Wrong> {
        let (document, variables) = match ways.question {
            Question::Price => {
                let alias = match ways.operations {
                    1 => String::new(),
                    operations => format!("of{}: ", self.number % operations),
                };
                (words::price_document(&alias), words::PRICE_VARIABLES)
            }
            Question::Updates => (words::UPDATES_DOCUMENT.to_owned(), "{}"),
        };
        // No character of a document has to be escaped.
        self.say(&format!(
            r#"{{"id":"{}","type":"subscribe","payload":{{"query":"{document}","variables":{variables}}}}}"#,
            words::operation_id(self.number)
        ))
    }

    fn say(&mut self, text: &str) -> Result<(), Wrong> {
        let mut bytes = Vec::new();
        frame::masked(&mut bytes, frame::TEXT, text.as_bytes());
        self.write(&bytes)
    }

    /// In whole: a client says little, and a socket that takes none of it is as good as broken.
    fn write(&mut self, bytes: &[u8]) -> Result<(), Wrong> {
        self.stream
            .write_all(bytes)
            .map_err(|cause| self.socket(cause))
    }

    fn socket(&self, cause: io::Error) -> Wrong {
        Wrong::Socket {
            client: self.number,
            cause,
        }
    }

    fn unexpected(&self, said: &[u8]) -> Wrong {
        Wrong::Unexpected {
            client: self.number,
            stage: self.stage,
            said: String::from_utf8_lossy(said).into_owned(),
        }
    }
}

/// Whether this is [`words::operation_id`] of the client, without making one: it is asked of every message.
fn is_operation_id(id: &[u8], client: usize) -> bool {
    let digits = id.rsplit(|byte| *byte == b'-').next().unwrap_or_default();
    let number = digits.iter().try_fold(0, |number: usize, digit| {
        Some(number << 4 | char::from(*digit).to_digit(16)? as usize)
    });
    number == Some(client)
}

fn number_in(text: &[u8], field: &memmem::Finder<'_>) -> Option<u64> {
    let digits = &text[field.find(text)? + field.needle().len()..];
    let end = digits.iter().position(|byte| !byte.is_ascii_digit())?;
    std::str::from_utf8(&digits[..end]).ok()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_client_knows_its_own_id_and_no_other() {
        for client in [0, 7, 18_999] {
            assert!(is_operation_id(
                words::operation_id(client).as_bytes(),
                client
            ));
            assert!(!is_operation_id(
                words::operation_id(client + 1).as_bytes(),
                client
            ));
        }
    }

    #[test]
    fn the_number_of_a_message_is_the_first_one_behind_its_field() {
        let finder = memmem::Finder::new(words::PRICE_FIELD);
        assert_eq!(
            number_in(br#"{"a":{"base":17,"offset":12},"b":{"base":3}}"#, &finder),
            Some(17)
        );
        assert_eq!(number_in(b"{}", &finder), None);
    }
}
