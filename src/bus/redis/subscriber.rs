//! One connection to Redis that does nothing but listen.
//!
//! The crate's own `PubSub` and push senders read the socket into an unbounded queue. Here the socket
//! is read when all has been taken that was read before, so a slow reader fills the socket and
//! then Redis's buffer, which has a limit. Spoken is RESP2: a subscriber needs no more, and every
//! Redis speaks it.

use std::io;
use std::time::Duration;

use bytes::Bytes;
use redis::{Cmd, cmd};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::timeout;

use super::resp::{Garbled, Replies, Reply, Texts};
use crate::redis_link::{RedisAddress, Wire};

pub(super) struct Subscriber {
    wire: Wire,
    replies: Replies,
    /// What connecting, and each write, may take.
    patience: Duration,
}

/// What Redis says to a subscriber.
#[derive(Debug, PartialEq)]
pub(super) enum Heard {
    Body(Body),
    /// The next thing that was asked about this channel is done: SUBSCRIBE or UNSUBSCRIBE.
    Confirmed {
        channel: String,
    },
    Pong,
    /// What we never asked for.
    Other,
}

/// A body, and the channel that it came on.
#[derive(Debug, PartialEq)]
pub(super) struct Body {
    texts: Texts,
    /// Which of the texts is the channel; the body is behind it.
    channel: usize,
}

/// Why a connection is not to be trusted any longer.
#[derive(Debug, thiserror::Error)]
pub(super) enum Doubt {
    #[error("no connection within {0:?}")]
    NotConnected(Duration),
    #[error("redis closed the connection")]
    Closed,
    #[error("{0}")]
    Broken(#[from] io::Error),
    #[error("redis said what is {0}")]
    Garbled(#[from] Garbled),
    #[error("redis refused: {0}")]
    Refused(String),
    #[error("nothing could be written for {0:?}")]
    NotWritten(Duration),
    #[error("no answer to PING within {0:?}")]
    NoPong(Duration),
    #[error("what we published ourselves did not arrive within {0:?}")]
    NoCanary(Duration),
    #[error("a SUBSCRIBE was not confirmed within {0:?}")]
    NotConfirmed(Duration),
}

impl Subscriber {
    /// Connects, and has `pattern` watched.
    pub(super) async fn connect(
        address: &RedisAddress,
        pattern: &str,
        patience: Duration,
    ) -> Result<Self, Doubt> {
        let connecting = async {
            let mut subscriber = Subscriber {
                wire: address.dial().await?,
                replies: Replies::default(),
                patience,
            };
            if let Some(password) = address.settings().password() {
                let mut auth = cmd("AUTH");
                if let Some(user) = address.settings().username() {
                    auth.arg(user);
                }
                subscriber.send(auth.arg(password)).await?;
                subscriber.reply().await?;
            }
            subscriber.send(cmd("PSUBSCRIBE").arg(pattern)).await?;
            subscriber.reply().await?;
            Ok(subscriber)
        };
        timeout(patience, connecting)
            .await
            .unwrap_or(Err(Doubt::NotConnected(patience)))
    }

    /// The next thing that Redis has said, if it was read already.
    pub(super) fn heard(&mut self) -> Result<Option<Heard>, Doubt> {
        match self.replies.next_reply()? {
            Some(Reply::Array(texts)) => Ok(Some(Heard::of(texts))),
            Some(Reply::Error(words)) => Err(Doubt::Refused(words)),
            Some(Reply::Other) => Ok(Some(Heard::Other)),
            None => Ok(None),
        }
    }

    /// Reads some of what Redis says. To be called when all was heard that was read before. Cancel-safe.
    pub(super) async fn read(&mut self) -> Result<(), Doubt> {
        match self.wire.read_buf(self.replies.room()).await? {
            0 => Err(Doubt::Closed),
            _ => Ok(()),
        }
    }

    /// Gives channels up, or asks for some.
    pub(super) async fn ask(&mut self, command: &str, channels: &[String]) -> Result<(), Doubt> {
        if channels.is_empty() {
            return Ok(());
        }
        self.send(cmd(command).arg(channels)).await
    }

    pub(super) async fn ping(&mut self) -> Result<(), Doubt> {
        self.send(&cmd("PING")).await
    }

    async fn send(&mut self, command: &Cmd) -> Result<(), Doubt> {
        let words = command.get_packed_command();
        let sent = async {
            self.wire.write_all(&words).await?;
            self.wire.flush().await
        };
        match timeout(self.patience, sent).await {
            Ok(sent) => Ok(sent?),
            Err(_) => Err(Doubt::NotWritten(self.patience)),
        }
    }

    /// Waits for the answer to what was asked before anything is watched.
    async fn reply(&mut self) -> Result<Heard, Doubt> {
        loop {
            if let Some(heard) = self.heard()? {
                return Ok(heard);
            }
            self.read().await?;
        }
    }
}

impl Heard {
    fn of(texts: Texts) -> Self {
        match texts.get(0) {
            Some(b"message") => Heard::body(texts, 1),
            Some(b"pmessage") => Heard::body(texts, 2),
            Some(b"subscribe" | b"unsubscribe") => {
                let channel = texts.get(1).map(str::from_utf8);
                match channel {
                    Some(Ok(channel)) => Heard::Confirmed {
                        channel: channel.to_owned(),
                    },
                    _ => Heard::Other,
                }
            }
            Some(b"pong") => Heard::Pong,
            _ => Heard::Other,
        }
    }

    fn body(texts: Texts, channel: usize) -> Self {
        match (texts.get(channel), texts.get(channel + 1)) {
            (Some(_), Some(_)) => Heard::Body(Body { texts, channel }),
            _ => Heard::Other,
        }
    }
}

impl Body {
    /// The name of the channel; nothing that is not UTF-8 is one.
    pub(super) fn channel(&self) -> Option<&str> {
        str::from_utf8(self.texts.get(self.channel)?).ok()
    }

    pub(super) fn into_bytes(self) -> Bytes {
        let body = self.texts.take(self.channel + 1);
        body.expect("it was there when this was made")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn heard(words: &[u8]) -> Heard {
        let mut replies = Replies::default();
        replies.room().extend_from_slice(words);
        match replies.next_reply() {
            Ok(Some(Reply::Array(texts))) => Heard::of(texts),
            _ => Heard::Other,
        }
    }

    fn body(words: &[u8]) -> (String, Bytes) {
        let Heard::Body(body) = heard(words) else {
            panic!("no body");
        };
        (body.channel().unwrap().to_owned(), body.into_bytes())
    }

    #[test]
    fn what_redis_says_to_a_subscriber_is_understood() {
        let message = b"*3\r\n$7\r\nmessage\r\n$1\r\na\r\n$2\r\n{}\r\n";
        assert_eq!(body(message), ("a".to_owned(), "{}".into()));
        let pmessage = b"*4\r\n$8\r\npmessage\r\n$2\r\na*\r\n$2\r\nab\r\n$2\r\n{}\r\n";
        assert_eq!(body(pmessage), ("ab".to_owned(), "{}".into()));
        let empty = b"*3\r\n$7\r\nmessage\r\n$1\r\na\r\n$0\r\n\r\n";
        assert_eq!(body(empty), ("a".to_owned(), "".into()));
        let confirmed = Heard::Confirmed {
            channel: "a".to_owned(),
        };
        assert_eq!(
            heard(b"*3\r\n$9\r\nsubscribe\r\n$1\r\na\r\n:1\r\n"),
            confirmed
        );
        assert_eq!(
            heard(b"*3\r\n$11\r\nunsubscribe\r\n$1\r\na\r\n:0\r\n"),
            confirmed
        );
        assert_eq!(heard(b"*2\r\n$4\r\npong\r\n$0\r\n\r\n"), Heard::Pong);
    }

    #[test]
    fn a_channel_that_is_not_utf_8_has_no_name() {
        let message = b"*3\r\n$7\r\nmessage\r\n$1\r\n\xff\r\n$2\r\n{}\r\n";
        let Heard::Body(body) = heard(message) else {
            panic!("no body");
        };
        assert_eq!(body.channel(), None);
    }

    #[test]
    fn what_nobody_asked_for_is_nothing() {
        for words in [
            b"+OK\r\n".as_slice(),
            b"*0\r\n",
            b"*1\r\n:1\r\n",
            b"*1\r\n$7\r\nmessage\r\n",
            b"*3\r\n$7\r\nmessage\r\n$1\r\na\r\n:1\r\n",
            b"*3\r\n$10\r\npsubscribe\r\n$2\r\na*\r\n:1\r\n",
        ] {
            assert_eq!(heard(words), Heard::Other, "{words:?}");
        }
    }
}
