//! One connection to Redis, for commands.

use redis::FromRedisValue;
use redis::aio::MultiplexedConnection;
use tokio::sync::Mutex;
use url::Url;

/// A connection that is made when it is needed, and made again when it broke.
pub struct RedisLink {
    client: redis::Client,
    connection: Mutex<Option<MultiplexedConnection>>,
}

/// Redis did not do what it was told, or cannot be reached.
#[derive(Debug, thiserror::Error)]
#[error("Redis is not available")]
pub struct Unavailable(#[from] redis::RedisError);

impl RedisLink {
    /// Does not connect yet.
    pub fn new(url: &Url) -> Result<Self, Unavailable> {
        Ok(RedisLink {
            client: redis::Client::open(url.as_str())?,
            connection: Mutex::new(None),
        })
    }

    /// Sends one command and waits for its reply.
    pub async fn run<T: FromRedisValue>(&self, cmd: &redis::Cmd) -> Result<T, Unavailable> {
        let mut connection = self.connected().await?;
        let reply = cmd.query_async(&mut connection).await;
        if reply.is_err() {
            *self.connection.lock().await = None;
        }
        Ok(reply?)
    }

    async fn connected(&self) -> Result<MultiplexedConnection, Unavailable> {
        let mut slot = self.connection.lock().await;
        if let Some(connection) = &*slot {
            return Ok(connection.clone());
        }
        let connection = self.client.get_multiplexed_async_connection().await?;
        Ok(slot.insert(connection).clone())
    }
}
