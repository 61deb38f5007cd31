//! The bus of one process: the default, and the double in tests.

use std::collections::HashSet;
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use tokio::sync::mpsc;

use super::{Away, Inbox, Message, inbox};
use crate::topic::Topic;

/// Carries payloads inside this process.
#[derive(Clone)]
pub struct MemoryBus {
    sender: mpsc::Sender<Message>,
    watched: Arc<Mutex<HashSet<Topic>>>,
}

impl MemoryBus {
    /// A bus, and the end that its one reader reads.
    pub fn new() -> (Self, Inbox) {
        let (sender, inbox) = inbox();
        (
            MemoryBus {
                sender,
                watched: Arc::default(),
            },
            inbox,
        )
    }

    /// Waits while the inbox is full: an in-process publisher is slowed down, not cut off.
    pub(super) async fn publish(&self, topic: &Topic, body: Bytes) -> Result<(), Away> {
        if !self.is_watched(topic) {
            return Ok(());
        }
        let message = Message::Payload {
            topic: topic.clone(),
            body,
        };
        self.sender.send(message).await.map_err(|_| Away)
    }

    pub(super) fn watch(&self, topic: &Topic) {
        self.watched().insert(topic.clone());
    }

    pub(super) fn release(&self, topic: &Topic) {
        self.watched().remove(topic);
    }

    fn is_watched(&self, topic: &Topic) -> bool {
        matches!(topic, Topic::Invoice(_)) || self.watched().contains(topic)
    }

    fn watched(&self) -> std::sync::MutexGuard<'_, HashSet<Topic>> {
        self.watched
            .lock()
            .expect("nothing panics while it holds the set of topics")
    }
}
