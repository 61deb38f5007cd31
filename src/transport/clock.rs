//! One clock for all connections.

use std::future::poll_fn;
use std::sync::{Arc, Mutex, MutexGuard, Weak};
use std::task::Poll;

use tokio::time::Instant;
use tokio_util::time::DelayQueue;

use crate::hub::Outbox;

/// Rings for connections when their time has come: for pings, for pongs that are overdue, for writes
/// that do not end, for credentials that do. A connection has no timer of its own; the next of its
/// times stands here, at some 40 bytes.
#[derive(Debug, Default)]
pub(super) struct Clock(Mutex<DelayQueue<Weak<Outbox>>>);

impl Clock {
    /// Rings for this connection at that time, or a millisecond later.
    pub(super) fn ring_at(&self, time: Instant, outbox: &Arc<Outbox>) {
        self.queue().insert_at(Arc::downgrade(outbox), time);
    }

    /// Runs for as long as there are connections. To be run once.
    pub(super) async fn run(&self) {
        loop {
            let due = poll_fn(|context| match self.queue().poll_expired(context) {
                Poll::Ready(Some(due)) => Poll::Ready(due.into_inner()),
                // Whoever puts the next one in wakes this.
                Poll::Ready(None) | Poll::Pending => Poll::Pending,
            });
            if let Some(outbox) = due.await.upgrade() {
                outbox.ring();
            }
        }
    }

    fn queue(&self) -> MutexGuard<'_, DelayQueue<Weak<Outbox>>> {
        self.0
            .lock()
            .expect("nothing panics while it holds the queue")
    }
}
