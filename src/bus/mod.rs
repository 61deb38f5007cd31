//! Where payloads come from, and where they are published.
//!
//! A [`Bus`] carries bodies between processes on named channels. What is true of every bus, and held
//! by `tests/it/bus_contract.rs`:
//!
//! * A body that is published on a watched topic arrives once, and bodies of one topic arrive in
//!   the order in which they were published.
//! * When [`Bus::watch`] has returned `Ok`, what is published afterwards arrives. What was published
//!   before does not.
//! * Invoices are watched always, whether somebody asks or not: what is paid while nobody listens
//!   must be known to who asks later.
//! * While a bus is away, [`Message::Lost`] and then [`Message::Restored`] say so: what was
//!   published between them is gone, but for what came on topics that were watched again before the
//!   others. At [`Message::Restored`] all topics are watched again.
//! * Whoever is told [`Away`] by [`Bus::watch`] hears [`Message::Restored`] later.

mod memory;
mod redis;

pub use self::memory::MemoryBus;
pub use self::redis::RedisBus;

#[doc(hidden)]
pub use self::redis::{Replies, Reply};

use bytes::Bytes;
use serde::Deserialize;
use tokio::sync::mpsc;
use url::Url;

use crate::topic::Topic;

/// `[bus]`: which bus.
#[derive(Clone, Debug, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum BusConfig {
    /// Inside this process: nothing to install, and nothing to share with a second node.
    Memory,
    /// `redis://` or `rediss://`.
    Redis { url: Url },
}

/// Carries payloads between processes.
#[derive(Clone)]
pub enum Bus {
    Memory(MemoryBus),
    Redis(RedisBus),
}

/// What comes from a bus.
#[derive(Clone, Debug, PartialEq)]
pub enum Message {
    /// A body on the channel of a topic.
    Payload { topic: Topic, body: Bytes },
    /// The bus is away; what is published from now on is lost.
    Lost,
    /// The bus is back, and all topics are watched again.
    Restored,
}

/// The receiving end of a bus: one a process, read by one task, so that order is kept. That task
/// must not await [`Bus::watch`] itself: while it does, nobody makes room for the confirmation.
pub struct Inbox(pub(super) mpsc::Receiver<Message>);

/// Messages that a bus may hold before its reader must have taken some. When it is full the bus
/// waits, and Redis buffers for us up to its own `client-output-buffer-limit`.
const INBOX_MESSAGES: usize = 4096;

/// The bus is away.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the bus is away")]
pub struct Away;

impl Inbox {
    /// The next message; `None` when the bus has ended. Cancel-safe.
    pub async fn next(&mut self) -> Option<Message> {
        self.0.recv().await
    }

    /// The next message, if it is here already.
    pub fn try_next(&mut self) -> Option<Message> {
        self.0.try_recv().ok()
    }
}

impl Bus {
    /// Publishes a body. `Ok` says that the bus took it, not that somebody listened.
    pub async fn publish(&self, topic: &Topic, body: Bytes) -> Result<(), Away> {
        match self {
            Bus::Memory(bus) => bus.publish(topic, body).await,
            Bus::Redis(bus) => bus.publish(topic, body).await,
        }
    }

    /// Watches a topic's channel from now on. After [`Away`] it is watched too, from the next
    /// [`Message::Restored`] on.
    pub async fn watch(&self, topic: &Topic) -> Result<(), Away> {
        match self {
            Bus::Memory(bus) => {
                bus.watch(topic);
                Ok(())
            }
            Bus::Redis(bus) => bus.watch(topic).await,
        }
    }

    /// Watches it no longer. Returns at once; a body that is under way may still arrive.
    pub fn release(&self, topic: &Topic) {
        match self {
            Bus::Memory(bus) => bus.release(topic),
            Bus::Redis(bus) => bus.release(topic),
        }
    }

    /// Whether what is published now would arrive.
    pub fn is_up(&self) -> bool {
        match self {
            Bus::Memory(_) => true,
            Bus::Redis(bus) => bus.is_up(),
        }
    }
}

/// A queue between a bus and its reader.
fn inbox() -> (mpsc::Sender<Message>, Inbox) {
    let (sender, receiver) = mpsc::channel(INBOX_MESSAGES);
    (sender, Inbox(receiver))
}
