//! The subscriptions of one connection.

use futures_util::StreamExt;
use futures_util::future::BoxFuture;
use futures_util::stream::FuturesUnordered;

use crate::graphql::Refusal;
use crate::hub::Membership;

/// The subscriptions of a connection: those that run, and those that are being started.
#[derive(Default)]
pub(super) struct Subscriptions {
    /// A list, because most clients have one or two, and none has more than `limits.subscriptions`.
    running: Vec<Running>,
    /// Rarely any, so it is boxed.
    starting: Option<Box<FuturesUnordered<BoxFuture<'static, Started>>>>,
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

/// What became of a subscription that was being started.
pub(super) struct Started {
    pub(super) subscription: u64,
    pub(super) result: Result<Membership, Refusal>,
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

    /// How many the client has.
    pub(super) fn count(&self) -> usize {
        self.running.len()
    }

    /// How many there are, with those that the client has ended and that are still being started.
    pub(super) fn load(&self) -> usize {
        let starting = self.starting.as_ref().map_or(0, |starting| starting.len());
        self.running.len().max(starting)
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
    pub(super) fn starts(&mut self, start: BoxFuture<'static, Started>) {
        self.starting.get_or_insert_default().push(start);
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

    /// It runs; unless the client has ended it meanwhile: then the membership is dropped, and what
    /// pends with it.
    pub(super) fn runs(&mut self, subscription: u64, membership: Membership) {
        let mut all = self.running.iter_mut();
        if let Some(running) = all.find(|running| running.number == subscription) {
            running.membership = Some(membership);
        }
    }

    /// The client's `complete`: nothing more is sent for this id, and it is free again. An unknown
    /// id is not an error: client and server may complete at the same time. Says whether there was one.
    pub(super) fn end(&mut self, id: &str) -> bool {
        let before = self.running.len();
        self.running.retain(|running| &*running.id != id);
        self.running.len() < before
    }

    /// Forgets a subscription that has ended here, and gives back its id; `None` if the client has
    /// ended it before.
    pub(super) fn forget(&mut self, subscription: u64) -> Option<Box<str>> {
        let mut all = self.running.iter();
        let place = all.position(|running| running.number == subscription)?;
        Some(self.running.remove(place).id)
    }
}
