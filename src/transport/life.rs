//! What a client has that was let in, and what ends it.

use std::time::Duration;

use futures_util::FutureExt;
use jiff::Timestamp;
use tokio::time::Instant;

use super::close::Close;
use super::endpoint::Endpoint;
use super::operation::{NotBegun, Operation};
use super::subscriptions::{Started, Subscriptions};
use crate::auth::{Credential, Session, SessionEnd};
use crate::hub::State;
use crate::registry::{Goodbye, Registered};

/// What a client has that was let in, and what is known of it: the same whatever it speaks.
pub(super) struct Life {
    pub(super) session: Session,
    pub(super) registered: Registered,
    pub(super) subscriptions: Subscriptions,
    /// When the clock rings next.
    rings_at: Option<Instant>,
}

/// What becomes of an operation at once.
pub(super) enum Begun {
    /// It is being started, or its end is known already.
    Starts,
    Started(Started),
    /// Its id is in use.
    Exists,
}

/// The clock on the wall may be set, or the machine may sleep: it is looked at again this often.
const LOOK_AGAIN: Duration = Duration::from_secs(30);

impl Life {
    pub(super) fn new(session: Session, registered: Registered) -> Self {
        Life {
            session,
            registered,
            subscriptions: Subscriptions::default(),
            rings_at: None,
        }
    }

    /// Looks at what may end it: the drain, the end of the credentials and who may close it go first,
    /// then a client that does not take what it is sent. Forgets what has completed.
    pub(super) fn check(&mut self, endpoint: &Endpoint) -> Result<(), Close> {
        if endpoint.server.drain.is_cancelled() {
            return Err(Close::GoingAway);
        }
        if let Some(end) = self.session.credential.end(Timestamp::now()) {
            return Err(end.into());
        }
        if let Some(goodbye) = self.registered.goodbye() {
            return Err(goodbye.into());
        }
        self.forget_ended(endpoint);
        match endpoint.outbox.state() {
            State::Overflowed => Err(Close::TooSlow),
            State::Missed => Err(Close::Missed),
            State::Pending { since }
                if since + endpoint.server.limits.write_timeout <= Instant::now() =>
            {
                Err(Close::TooSlow)
            }
            State::Pending { .. } | State::Clear => Ok(()),
        }
    }

    /// Has the clock ring when there is something to [`check`](Self::check) that nobody else rings for,
    /// and at this time if that is sooner.
    pub(super) fn set_clock(&mut self, endpoint: &Endpoint, due: Instant) {
        let mut next = due;
        if let State::Pending { since } = endpoint.outbox.state() {
            next = next.min(since + endpoint.server.limits.write_timeout);
        }
        if let Some(in_time) = ends_in(&self.session.credential) {
            next = next.min(Instant::now() + in_time);
        }
        self.ring_at(endpoint, next);
    }

    /// Has the clock ring at this time, unless it rings before anyway.
    pub(super) fn ring_at(&mut self, endpoint: &Endpoint, time: Instant) {
        let now = Instant::now();
        if self.rings_at.is_none_or(|at| at <= now || time < at) {
            endpoint.server.clock.ring_at(time, &endpoint.outbox);
            self.rings_at = Some(time);
        }
    }

    /// Begins an operation. Most start on the spot; one that must wait for the bus keeps nobody waiting.
    pub(super) fn begin(&mut self, endpoint: &Endpoint, id: &str, operation: Operation) -> Begun {
        let limit = endpoint.server.limits.subscriptions;
        self.begin_up_to(limit, endpoint, id, operation)
    }

    /// The same where there may be so many.
    pub(super) fn begin_up_to(
        &mut self,
        limit: usize,
        endpoint: &Endpoint,
        id: &str,
        operation: Operation,
    ) -> Begun {
        // The client may have heard of an end before its task has.
        self.forget_ended(endpoint);
        let subscriptions = &mut self.subscriptions;
        if subscriptions.has(id) {
            return Begun::Exists;
        }
        let is_full = subscriptions.count() >= limit;
        let subscription = subscriptions.reserve(id);
        if is_full {
            return Begun::Started(Started {
                subscription,
                result: Err(NotBegun::TooMany(limit)),
            });
        }
        let server = endpoint.server.clone();
        let identity = self.session.identity.clone();
        let outbox = endpoint.outbox.clone();
        let envelope = endpoint.protocol.envelope(subscription, id);
        let mut start = async move {
            let result = operation.start(server, identity, outbox, envelope).await;
            Started {
                subscription,
                result,
            }
        }
        .boxed();
        match (&mut start).now_or_never() {
            Some(started) => Begun::Started(started),
            None => {
                subscriptions.starts(subscription, start);
                Begun::Starts
            }
        }
    }

    /// What has started runs from now on. What was refused is forgotten; that is to be told to the client,
    /// under this id, unless it has ended it meanwhile.
    pub(super) fn settle(&mut self, started: Started) -> Option<(Box<str>, NotBegun)> {
        let Started {
            subscription,
            result,
        } = started;
        match result {
            Ok(membership) => {
                self.subscriptions.runs(subscription, membership);
                None
            }
            Err(why) => Some((self.subscriptions.forget(subscription)?, why)),
        }
    }

    /// Says how many subscriptions run, for lists.
    pub(super) fn tell_registry(&self) {
        self.registered
            .set_subscriptions(self.subscriptions.count());
    }

    /// Frees the ids of subscriptions whose last message is on its way.
    pub(super) fn forget_ended(&mut self, endpoint: &Endpoint) {
        for ended in endpoint.outbox.take_ended() {
            self.subscriptions.forget(ended);
        }
    }
}

/// When credentials are to be looked at again, if they end by themselves.
fn ends_in(credential: &Credential) -> Option<Duration> {
    let left = credential.closes_at()?.duration_since(Timestamp::now());
    // An error is a time that has passed.
    Some(Duration::try_from(left).unwrap_or_default().min(LOOK_AGAIN))
}

impl From<SessionEnd> for Close {
    fn from(end: SessionEnd) -> Self {
        match end {
            SessionEnd::KeyRevoked => Close::KeyRevoked,
            SessionEnd::KeyExpired => Close::KeyExpired,
            SessionEnd::TokenExpired => Close::TokenExpired,
        }
    }
}

impl From<Goodbye> for Close {
    fn from(goodbye: Goodbye) -> Self {
        match goodbye {
            Goodbye::Replaced => Close::Replaced,
            Goodbye::Closed { code, reason } => Close::ByOperator { code, reason },
        }
    }
}
