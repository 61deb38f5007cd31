//! The command connection to Redis: what is published, remembered and looked up goes through it.
//!
//! A [`RedisLink`] is one multiplexed connection of this process. It is opened by the first command
//! that needs it, and dropped at the first doubt: a command without an answer in time, an I/O error,
//! a server that says it is no longer the one to ask. The next command opens another. While that
//! fails, commands fail at once instead of queueing up, and attempts are spread out ([`Backoff`]).
//!
//! The redis crate has a `ConnectionManager` that reconnects. It is not used: it does not notice a
//! link that went silent, and it gives up for good after six attempts.

mod address;
mod backoff;

pub use self::address::{BadAddress, RedisAddress, Wire};
pub use self::backoff::Backoff;

use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use redis::aio::MultiplexedConnection;
use redis::{AsyncConnectionConfig, Cmd, FromRedisValue, Pipeline, RedisError, RedisResult};
use serde::Deserialize;
use tokio::time::{Instant, timeout_at};
use tokio_util::task::AbortOnDropHandle;
use tracing::debug;
use url::Url;

/// `[redis]`: how patient we are with Redis.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RedisConfig {
    /// From one PING on the subscriber connection to the next.
    #[serde(with = "humantime_serde")]
    pub ping_interval: Duration,
    /// What any command may take, connecting included, before its connection is dropped.
    #[serde(with = "humantime_serde")]
    pub reply_timeout: Duration,
    /// From one canary (a message of ours to ourselves) to the next.
    #[serde(with = "humantime_serde")]
    pub canary_interval: Duration,
    /// What a canary may take. A deaf bus is noticed after one interval and one timeout.
    #[serde(with = "humantime_serde")]
    pub canary_timeout: Duration,
    /// The pause before the second attempt to connect; it doubles with every failure.
    #[serde(with = "humantime_serde")]
    pub reconnect_min: Duration,
    /// The longest pause between two attempts.
    #[serde(with = "humantime_serde")]
    pub reconnect_max: Duration,
    /// Channels a SUBSCRIBE. At most two such batches wait for their confirmation.
    pub resubscribe_batch: NonZeroUsize,
    /// The authority (PEM) that signed the certificate of a `rediss://`; absent if it is a public
    /// one.
    pub ca_file: Option<PathBuf>,
}

/// The command connection of this process. Cheap to clone; all clones share one connection.
#[derive(Clone, Debug)]
pub struct RedisLink(Arc<Link>);

/// Why a command has no result.
#[derive(Debug, thiserror::Error)]
pub enum Unavailable {
    /// It may have been carried out, or not.
    #[error("redis did not answer in time")]
    TimedOut,
    /// There is no connection, or it broke. A command that broke with it may have been carried out.
    #[error("redis is away: {0}")]
    Away(String),
    /// Redis is there, and it says no; it will say so again.
    #[error("redis refused: {0}")]
    Refused(#[source] RedisError),
}

impl RedisLink {
    /// A link to the Redis at `redis://…` or `rediss://…`. Connects to nothing yet.
    pub fn new(url: &Url, config: &RedisConfig) -> Result<Self, BadAddress> {
        let address = RedisAddress::of_url(url, config.ca_file.as_deref())?;
        let dialing = Dialing {
            backoff: Backoff::new(config.reconnect_min, config.reconnect_max),
            not_before: Instant::now(),
            failure: String::new(),
            opened: 0,
        };
        Ok(RedisLink(Arc::new(Link {
            address,
            reply_timeout: config.reply_timeout,
            reconnect: (config.reconnect_min, config.reconnect_max),
            open: Mutex::new(None),
            dialing: tokio::sync::Mutex::new(dialing),
        })))
    }

    /// Where this Redis is.
    pub fn address(&self) -> &RedisAddress {
        &self.0.address
    }

    /// The pauses of whoever tries again what was [`Unavailable`].
    pub fn backoff(&self) -> Backoff {
        Backoff::new(self.0.reconnect.0, self.0.reconnect.1)
    }

    /// Has a command carried out.
    pub async fn run<T: FromRedisValue>(&self, command: &Cmd) -> Result<T, Unavailable> {
        self.0
            .converse(async |mut connection| command.query_async(&mut connection).await)
            .await
    }

    /// Has several commands carried out, sent in one go.
    pub async fn run_all<T: FromRedisValue>(&self, commands: &Pipeline) -> Result<T, Unavailable> {
        self.0
            .converse(async |mut connection| commands.query_async(&mut connection).await)
            .await
    }
}

#[derive(Debug)]
struct Link {
    address: RedisAddress,
    reply_timeout: Duration,
    /// The shortest pause between attempts, and the longest.
    reconnect: (Duration, Duration),
    open: Mutex<Option<Open>>,
    /// Held by the one who connects: the others wait for that connection, and make none.
    dialing: tokio::sync::Mutex<Dialing>,
}

#[derive(Debug)]
struct Open {
    /// Which connection of this link it is, so that a late doubt does not close its successor.
    number: u64,
    connection: MultiplexedConnection,
    /// Ends with the connection. Without it the crate's task would wait for answers on a silent
    /// link for ever, and keep the socket.
    _driver: AbortOnDropHandle<()>,
}

#[derive(Debug)]
struct Dialing {
    backoff: Backoff,
    not_before: Instant,
    failure: String,
    opened: u64,
}

impl Link {
    async fn converse<T>(
        &self,
        ask: impl AsyncFnOnce(MultiplexedConnection) -> RedisResult<T>,
    ) -> Result<T, Unavailable> {
        let deadline = Instant::now() + self.reply_timeout;
        let (number, connection) = timeout_at(deadline, self.connection())
            .await
            .map_err(|_| Unavailable::TimedOut)??;
        match timeout_at(deadline, ask(connection)).await {
            Ok(Ok(answer)) => Ok(answer),
            Ok(Err(error)) if is_a_doubt(&error) => {
                self.drop_connection(number);
                Err(Unavailable::Away(error.to_string()))
            }
            Ok(Err(error)) => Err(Unavailable::Refused(error)),
            Err(_) => {
                self.drop_connection(number);
                Err(Unavailable::TimedOut)
            }
        }
    }

    async fn connection(&self) -> Result<(u64, MultiplexedConnection), Unavailable> {
        if let Some(open) = self.current() {
            return Ok(open);
        }
        let mut dialing = self.dialing.lock().await;
        if let Some(open) = self.current() {
            return Ok(open);
        }
        if Instant::now() < dialing.not_before {
            return Err(Unavailable::Away(dialing.failure.clone()));
        }
        // Noted before the attempt: the caller may be cancelled in the middle of it.
        dialing.not_before = Instant::now() + dialing.backoff.next_pause();
        "connecting took too long".clone_into(&mut dialing.failure);
        // Boxed: it is rare, and whoever has a command carried out has room for all of this.
        match Box::pin(self.dial()).await {
            Ok((connection, driver)) => {
                debug!(redis = %self.address, "the command connection to redis is open");
                dialing.backoff.reset();
                dialing.not_before = Instant::now();
                dialing.opened += 1;
                let number = dialing.opened;
                *self.open() = Some(Open {
                    number,
                    connection: connection.clone(),
                    _driver: driver,
                });
                Ok((number, connection))
            }
            Err(error) => {
                dialing.failure = error.to_string();
                Err(Unavailable::Away(dialing.failure.clone()))
            }
        }
    }

    async fn dial(&self) -> RedisResult<(MultiplexedConnection, AbortOnDropHandle<()>)> {
        let wire = self.address.dial().await?;
        // The time limits are ours.
        let config = AsyncConnectionConfig::new()
            .set_connection_timeout(None)
            .set_response_timeout(None);
        let (connection, driver) =
            MultiplexedConnection::new_with_config(self.address.settings(), wire, config).await?;
        Ok((connection, AbortOnDropHandle::new(tokio::spawn(driver))))
    }

    fn current(&self) -> Option<(u64, MultiplexedConnection)> {
        let open = self.open();
        let open = open.as_ref()?;
        Some((open.number, open.connection.clone()))
    }

    /// Drops the connection of this number, unless it is gone already. Its other commands fail.
    fn drop_connection(&self, number: u64) {
        let mut open = self.open();
        if open.as_ref().is_some_and(|open| open.number == number) {
            debug!(redis = %self.address, "the command connection to redis is dropped");
            *open = None;
        }
    }

    fn open(&self) -> MutexGuard<'_, Option<Open>> {
        self.open
            .lock()
            .expect("nothing panics while it holds the connection")
    }
}

/// Whether an error says that another connection may do better.
fn is_a_doubt(error: &RedisError) -> bool {
    let moved_on = ["READONLY", "LOADING", "MASTERDOWN", "NOAUTH"];
    error.is_io_error()
        || error.is_connection_dropped()
        || error.is_unrecoverable_error()
        || error.code().is_some_and(|code| moved_on.contains(&code))
}
