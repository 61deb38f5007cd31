//! One connection to Redis that does nothing but listen.
//!
//! The crate's own `PubSub` and push senders read the socket into an unbounded queue. Here a
//! message is read when the one before it has been taken, so a slow reader fills the socket and
//! then Redis's buffer, which has a limit. Spoken is RESP2: a subscriber needs no more, and every
//! Redis speaks it.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::{SinkExt, StreamExt};
use redis::{Cmd, RedisError, Value, ValueCodec, cmd};
use tokio::time::timeout;
use tokio_util::codec::Framed;

use super::watchlist::Batch;
use crate::redis_link::{RedisAddress, Wire};

pub(super) struct Subscriber {
    frames: Framed<Wire, ValueCodec>,
    /// What connecting, and each write, may take.
    patience: Duration,
}

/// What Redis says to a subscriber.
#[derive(Debug, PartialEq)]
pub(super) enum Heard {
    Body {
        channel: String,
        body: Bytes,
    },
    /// The next thing that was asked about this channel is done: SUBSCRIBE or UNSUBSCRIBE.
    Confirmed {
        channel: String,
    },
    Pong,
    /// What we never asked for.
    Other,
}

/// Why a connection is not to be trusted any longer.
#[derive(Debug, thiserror::Error)]
pub(super) enum Doubt {
    #[error("no connection within {0:?}")]
    NotConnected(Duration),
    #[error("redis closed the connection")]
    Closed,
    #[error("{0}")]
    Broken(#[from] RedisError),
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
            let wire = address.dial().await.map_err(RedisError::from)?;
            let mut subscriber = Subscriber {
                frames: Framed::new(wire, ValueCodec::default()),
                patience,
            };
            if let Some(password) = address.settings().password() {
                let mut auth = cmd("AUTH");
                if let Some(user) = address.settings().username() {
                    auth.arg(user);
                }
                subscriber.send(auth.arg(password)).await?;
                subscriber.value().await?;
            }
            subscriber.send(cmd("PSUBSCRIBE").arg(pattern)).await?;
            subscriber.value().await?;
            Ok(subscriber)
        };
        timeout(patience, connecting)
            .await
            .unwrap_or(Err(Doubt::NotConnected(patience)))
    }

    /// The next thing that Redis says. Cancel-safe.
    pub(super) async fn next(&mut self) -> Result<Heard, Doubt> {
        self.value().await.map(Heard::of)
    }

    /// Gives channels up, and asks for others: in this order, so that a channel that is confirmed
    /// says that those released before it are gone.
    pub(super) async fn ask(&mut self, batch: &Batch) -> Result<(), Doubt> {
        for (command, channels) in [
            ("UNSUBSCRIBE", &batch.unsubscribe),
            ("SUBSCRIBE", &batch.subscribe),
        ] {
            if !channels.is_empty() {
                let channels: Vec<&str> = channels.iter().map(Arc::as_ref).collect();
                self.send(cmd(command).arg(&channels)).await?;
            }
        }
        Ok(())
    }

    pub(super) async fn ping(&mut self) -> Result<(), Doubt> {
        self.send(&cmd("PING")).await
    }

    async fn send(&mut self, command: &Cmd) -> Result<(), Doubt> {
        let words = command.get_packed_command();
        match timeout(self.patience, self.frames.send(words)).await {
            Ok(sent) => Ok(sent?),
            Err(_) => Err(Doubt::NotWritten(self.patience)),
        }
    }

    async fn value(&mut self) -> Result<Value, Doubt> {
        match self.frames.next().await {
            Some(Ok(Value::ServerError(error))) => Err(Doubt::Refused(error.to_string())),
            Some(value) => Ok(value?),
            None => Err(Doubt::Closed),
        }
    }
}

impl Heard {
    fn of(value: Value) -> Self {
        let Value::Array(parts) = value else {
            return Heard::Other;
        };
        let mut parts = parts.into_iter().map(|part| match part {
            Value::BulkString(bytes) => Some(bytes),
            _ => None,
        });
        let mut next = || parts.next().flatten();
        let Some(kind) = next() else {
            return Heard::Other;
        };
        match kind.as_slice() {
            b"message" => Heard::body(next(), next()),
            b"pmessage" => {
                let _pattern = next();
                Heard::body(next(), next())
            }
            b"subscribe" | b"unsubscribe" => match next().map(String::from_utf8) {
                Some(Ok(channel)) => Heard::Confirmed { channel },
                _ => Heard::Other,
            },
            b"pong" => Heard::Pong,
            _ => Heard::Other,
        }
    }

    fn body(channel: Option<Vec<u8>>, body: Option<Vec<u8>>) -> Self {
        match (channel.map(String::from_utf8), body) {
            (Some(Ok(channel)), Some(body)) => Heard::Body {
                channel,
                body: body.into(),
            },
            _ => Heard::Other,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn heard(words: &[u8]) -> Heard {
        Heard::of(redis::parse_redis_value(words).unwrap())
    }

    fn body(channel: &str, body: &'static str) -> Heard {
        Heard::Body {
            channel: channel.to_owned(),
            body: body.into(),
        }
    }

    #[test]
    fn what_redis_says_to_a_subscriber_is_understood() {
        let message = b"*3\r\n$7\r\nmessage\r\n$1\r\na\r\n$2\r\n{}\r\n";
        assert_eq!(heard(message), body("a", "{}"));
        let pmessage = b"*4\r\n$8\r\npmessage\r\n$2\r\na*\r\n$2\r\nab\r\n$2\r\n{}\r\n";
        assert_eq!(heard(pmessage), body("ab", "{}"));
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
    fn what_nobody_asked_for_is_nothing() {
        for words in [
            b"+OK\r\n".as_slice(),
            b"*0\r\n",
            b"*1\r\n:1\r\n",
            b"*1\r\n$7\r\nmessage\r\n",
            b"*3\r\n$7\r\nmessage\r\n$1\r\n\xff\r\n$2\r\n{}\r\n",
            b"*3\r\n$10\r\npsubscribe\r\n$2\r\na*\r\n:1\r\n",
        ] {
            assert_eq!(heard(words), Heard::Other, "{words:?}");
        }
    }
}
