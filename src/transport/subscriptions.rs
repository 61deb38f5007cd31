//! The subscriptions of one connection.

use std::pin::Pin;
use std::task::{Context, Poll};

use futures_util::future::BoxFuture;
use futures_util::stream::FuturesUnordered;
use futures_util::{FutureExt, StreamExt};

use super::operation::NotBegun;
use crate::hub::Membership;

/// The longest id that a client may give an operation, in bytes: it is in everything that is told of it.
pub(super) const ID_BYTES: usize = 1024;

/// The subscriptions of a connection: those that run, and those that are being started.
#[derive(Default)]
pub(super) struct Subscriptions {
    /// A list, because most clients have one or two, and none has more than `limits.subscriptions`.
    running: Vec<Running>,
    /// Rarely any, so it is boxed.
    starting: Option<Box<FuturesUnordered<Starting>>>,
    /// Never used twice, so that what pends for an old one is not taken for a new one's.
    last: u64,
}

struct Running {
    number: u64,
    /// As the client gave it.
    id: Box<str>,
    /// None while it is being started.
    membership: Option<Membership>,
}

/// A subscription that is being started.
struct Starting {
    number: u64,
    start: BoxFuture<'static, Started>,
}

/// What became of a subscription that was being started.
pub(super) struct Started {
    pub(super) subscription: u64,
    pub(super) result: Result<Membership, NotBegun>,
}

impl Subscriptions {
    /// Whether the id is in use.
    pub(super) fn has(&self, id: &str) -> bool {
        self.running.iter().any(|running| &*running.id == id)
    }

    /// As the client gave them.
    pub(super) fn ids(&self) -> impl Iterator<Item = &str> {
        self.running.iter().map(|running| &*running.id)
    }

    /// Whether one has this id and does not run yet.
    pub(super) fn is_starting(&self, id: &str) -> bool {
        let mut all = self.running.iter();
        all.any(|running| &*running.id == id && running.membership.is_none())
    }

    /// How many there are, with those that are being started.
    pub(super) fn count(&self) -> usize {
        self.running.len()
    }

    /// Takes an id, and gives the number that stands for it here.
    pub(super) fn reserve(&mut self, id: &str) -> u64 {
        self.last += 1;
        if self.running.is_empty() {
            self.running.reserve_exact(1);
        }
        self.running.push(Running {
            number: self.last,
            id: id.into(),
            membership: None,
        });
        self.last
    }

    /// One is not started on the spot.
    pub(super) fn starts(&mut self, subscription: u64, start: BoxFuture<'static, Started>) {
        let starting = self.starting.get_or_insert_default();
        starting.push(Starting {
            number: subscription,
            start,
        });
    }

    /// What became of the next one that was being started; never if none is. Cancel-safe.
    pub(super) async fn started(&mut self) -> Started {
        let started = match &mut self.starting {
            Some(starting) => starting.next().await,
            None => None,
        };
        if self
            .starting
            .as_ref()
            .is_some_and(|starting| starting.is_empty())
        {
            self.starting = None;
        }
        match started {
            Some(started) => started,
            None => std::future::pending().await,
        }
    }

    /// It runs.
    pub(super) fn runs(&mut self, subscription: u64, membership: Membership) {
        let mut all = self.running.iter_mut();
        if let Some(running) = all.find(|running| running.number == subscription) {
            running.membership = Some(membership);
        }
    }

    /// The client's `complete`: nothing more is sent for this id, and it is free again. An unknown
    /// id is not an error: client and server may complete at the same time. Says whether there was one.
    pub(super) fn end(&mut self, id: &str) -> bool {
        self.take(id).is_some()
    }

    /// The same for one whose place another one takes: it is heard until what this gives is dropped, which
    /// holds nothing if it did not run yet.
    pub(super) fn take(&mut self, id: &str) -> Option<Option<Membership>> {
        let mut all = self.running.iter();
        let place = all.position(|running| &*running.id == id)?;
        let ended = self.running.remove(place);
        if ended.membership.is_none() {
            self.leave_start(ended.number);
        }
        Some(ended.membership)
    }

    /// Whether some do not run yet.
    pub(super) fn are_starting(&self) -> bool {
        self.starting.is_some()
    }

    /// Does not start one after all. Else it would be heard of before its start could be found to have
    /// ended, perhaps under an id that is another one's by now.
    fn leave_start(&mut self, subscription: u64) {
        if let Some(starting) = self.starting.take() {
            let all = starting.into_iter();
            let others: FuturesUnordered<_> = all
                .filter(|starting| starting.number != subscription)
                .collect();
            self.starting = (!others.is_empty()).then(|| Box::new(others));
        }
    }

    /// Forgets a subscription that has ended here, and gives back its id; `None` if the client has
    /// ended it before.
    pub(super) fn forget(&mut self, subscription: u64) -> Option<Box<str>> {
        let mut all = self.running.iter();
        let place = all.position(|running| running.number == subscription)?;
        Some(self.running.remove(place).id)
    }
}

impl Future for Starting {
    type Output = Started;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Started> {
        self.start.poll_unpin(context)
    }
}
