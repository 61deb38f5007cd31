//! The subscriptions of one connection.

use std::collections::HashMap;
use std::sync::Arc;

use futures_util::future::BoxFuture;
use futures_util::stream::FuturesUnordered;

use crate::graphql::Refusal;
use crate::hub::{Membership, Outbox};

/// The subscriptions of a connection: those that run, and those that are being started.
pub(super) struct Subscriptions {
    pub(super) outbox: Arc<Outbox>,
    /// By the id that the client gave.
    by_id: HashMap<String, u64>,
    running: HashMap<u64, Running>,
    pub(super) starting: FuturesUnordered<BoxFuture<'static, Started>>,
    /// Never used twice, so that what pends for an old one is not taken for a new one's.
    next: u64,
}

struct Running {
    id: String,
    /// None while it is being started.
    membership: Option<Membership>,
}

/// What became of a subscription that was being started.
pub(super) struct Started {
    pub(super) subscription: u64,
    pub(super) result: Result<Membership, Refusal>,
}

impl Subscriptions {
    pub(super) fn new(outbox: Arc<Outbox>) -> Self {
        Subscriptions {
            outbox,
            by_id: HashMap::new(),
            running: HashMap::new(),
            starting: FuturesUnordered::new(),
            next: 0,
        }
    }

    /// Whether the id is in use.
    pub(super) fn has(&self, id: &str) -> bool {
        self.by_id.contains_key(id)
    }

    /// How many the client has.
    pub(super) fn count(&self) -> usize {
        self.running.len()
    }

    /// How many there are, with those that the client has ended and that are still being started.
    pub(super) fn load(&self) -> usize {
        self.running.len().max(self.starting.len())
    }

    /// Takes an id, and gives the number that stands for it here.
    pub(super) fn reserve(&mut self, id: &str) -> u64 {
        self.next += 1;
        self.by_id.insert(id.to_owned(), self.next);
        let running = Running {
            id: id.to_owned(),
            membership: None,
        };
        self.running.insert(self.next, running);
        self.next
    }

    /// It runs; unless the client has ended it meanwhile: then the membership is dropped, and what
    /// pends with it.
    pub(super) fn runs(&mut self, subscription: u64, membership: Membership) {
        if let Some(running) = self.running.get_mut(&subscription) {
            running.membership = Some(membership);
        }
    }

    /// The client's `complete`: nothing more is sent for this id, and it is free again. An unknown
    /// id is not an error: client and server may complete at the same time.
    pub(super) fn end(&mut self, id: &str) {
        if let Some(subscription) = self.by_id.remove(id) {
            self.running.remove(&subscription);
            self.outbox.forget(subscription);
        }
    }

    /// Forgets a subscription that has ended here, and gives back its id; `None` if the client has
    /// ended it before.
    pub(super) fn forget(&mut self, subscription: u64) -> Option<String> {
        let running = self.running.remove(&subscription)?;
        self.by_id.remove(&running.id);
        Some(running.id)
    }
}
