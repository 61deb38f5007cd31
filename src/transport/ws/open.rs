//! What a connection does once its client was let in.

use std::convert::Infallible;
use std::future::poll_fn;
use std::time::Duration;

use futures_util::FutureExt;
use jiff::Timestamp;
use tokio::time::Instant;

use super::close::Close;
use super::connection::{Connection, Heard, hear};
use super::graphql_transport_ws::{self as words, ClientMessage, Refreshed};
use super::heartbeat::{Beat, Heartbeat};
use super::refresh::Refresh;
use super::socket::Line;
use super::subscriptions::{Started, Subscriptions};
use crate::auth::{Credential, Session, SessionEnd};
use crate::graphql::{GraphqlError, Refusal, Request, errors_json};
use crate::hub::State;
use crate::registry::{Goodbye, Registered};
use crate::websocket::{Opcode, push_frame};

/// A connection whose client was let in.
///
/// There are many of them, and most wait. So they wait for two things alone, the socket and the
/// [bell](crate::hub::Outbox::ring), with no timer and no buffer of their own; a test holds what one weighs.
pub(super) struct Open<L> {
    connection: Connection<L>,
    life: Life,
}

/// What a client that was let in has, and what is known of it.
struct Life {
    session: Session,
    registered: Registered,
    heartbeat: Heartbeat,
    subscriptions: Subscriptions,
    refresh: Refresh,
    /// When the clock rings next.
    rings_at: Option<Instant>,
}

/// The clock on the wall may be set, or the machine may sleep: it is looked at again this often.
const LOOK_AGAIN: Duration = Duration::from_secs(30);

impl<L: Line> Open<L> {
    pub(super) fn new(connection: Connection<L>, session: Session, registered: Registered) -> Self {
        let heartbeat = Heartbeat::new(connection.server.limits.ping_interval);
        Open {
            connection,
            life: Life {
                session,
                registered,
                heartbeat,
                subscriptions: Subscriptions::default(),
                refresh: Refresh::default(),
                rings_at: None,
            },
        }
    }

    /// What is left of it to close.
    pub(super) fn into_connection(self) -> Connection<L> {
        self.connection
    }

    /// What it was rung for goes first, then newer credentials, then the client, then what has
    /// started. Results are no part of this: whoever has one writes it. Everything that is awaited here
    /// is cancel-safe.
    pub(super) async fn operate(&mut self) -> Result<Infallible, Close> {
        let Open { connection, life } = self;
        connection.look_around(life)?;
        loop {
            let outbox = &connection.outbox;
            tokio::select! {
                biased;
                () = poll_fn(|context| outbox.poll_rung(context)) => connection.look_around(life)?,
                newer = life.refresh.checked() => connection.on_refreshed(newer, life)?,
                heard = hear(&mut connection.socket, outbox) => connection.on_heard(heard?, life)?,
                started = life.subscriptions.started() => {
                    connection.on_started(started, &mut life.subscriptions);
                }
            }
            life.registered
                .set_subscriptions(life.subscriptions.count());
        }
    }
}

impl<L: Line> Connection<L> {
    /// Looks at everything that may have been rung for: the drain, the end of the credentials and who
    /// may close it go first, then what is wrong with the client.
    fn look_around(&self, life: &mut Life) -> Result<(), Close> {
        let limits = &self.server.limits;
        if self.server.drain.is_cancelled() {
            return Err(Close::GoingAway);
        }
        if let Some(end) = life.session.credential.end(Timestamp::now()) {
            return Err(end.into());
        }
        if let Some(goodbye) = life.registered.goodbye() {
            return Err(goodbye.into());
        }
        self.forget_ended(&mut life.subscriptions);
        let now = Instant::now();
        match self.outbox.state() {
            State::Overflowed => return Err(Close::TooSlow),
            State::Pending { since } if since + limits.write_timeout <= now => {
                return Err(Close::TooSlow);
            }
            State::Pending { .. } | State::Clear => {}
        }
        match life.heartbeat.due(now) {
            Some(Beat::Silence) => return Err(Close::Unresponsive),
            Some(Beat::Ping) => {
                self.outbox.say(|out| push_frame(out, Opcode::Ping, &[]));
                life.heartbeat.pinged(limits.pong_timeout);
            }
            None => {}
        }
        let mut next = life.heartbeat.due_at();
        // The ping, too, may not have been taken.
        if let State::Pending { since } = self.outbox.state() {
            next = next.min(since + limits.write_timeout);
        }
        if let Some(in_time) = ends_in(&life.session.credential) {
            next = next.min(now + in_time);
        }
        self.set_clock(next, life);
        Ok(())
    }

    /// Has the clock ring at this time, unless it rings before anyway.
    fn set_clock(&self, time: Instant, life: &mut Life) {
        let now = Instant::now();
        if life.rings_at.is_none_or(|at| at <= now || time < at) {
            self.server.clock.ring_at(time, &self.outbox);
            life.rings_at = Some(time);
        }
    }

    fn on_refreshed(
        &self,
        newer: Result<Session, Refreshed>,
        life: &mut Life,
    ) -> Result<(), Close> {
        let refreshed = match newer {
            Ok(newer) => {
                let key = newer.credential.key_id();
                life.registered.set_credential(&newer.identity, key);
                life.session = newer;
                let expires_at = life.session.credential.expires_at();
                Refreshed::Authenticated { expires_at }
            }
            Err(refused) => refused,
        };
        self.say(&words::refreshed(&refreshed));
        // It may end sooner than the one before.
        self.look_around(life)
    }

    fn on_heard(&self, heard: Heard, life: &mut Life) -> Result<(), Close> {
        match heard {
            Heard::Says(message) => self.on_message(message, life),
            Heard::Ping => Ok(()),
            Heard::Pong => {
                let interval = self.server.limits.ping_interval;
                if let Some(round_trip) = life.heartbeat.ponged(interval) {
                    life.registered.set_round_trip(round_trip);
                    self.set_clock(life.heartbeat.due_at(), life);
                }
                Ok(())
            }
        }
    }

    fn on_message(&self, message: ClientMessage, life: &mut Life) -> Result<(), Close> {
        match message {
            ClientMessage::ConnectionInit(_) => return Err(Close::TooManyInits),
            ClientMessage::Subscribe { id, request } => {
                return self.subscribe(id, request, life);
            }
            ClientMessage::Complete { id } => life.subscriptions.end(&id),
            ClientMessage::Ping(payload) => self.say(&words::pong(payload.as_deref())),
            ClientMessage::Refresh(authorization) => {
                let authenticator = self.server.authenticator.clone();
                let present = life.session.identity.clone();
                // Beside everything else: an issuer may have to be asked.
                if let Err(busy) = life.refresh.begin(authenticator, present, authorization) {
                    self.say(&words::refreshed(&busy));
                }
            }
            ClientMessage::Pong => {}
        }
        Ok(())
    }

    fn subscribe(&self, id: String, request: Request, life: &mut Life) -> Result<(), Close> {
        let subscriptions = &mut life.subscriptions;
        // The client may have heard of an end before this task has.
        self.forget_ended(subscriptions);
        if subscriptions.has(&id) {
            return Err(Close::SubscriberExists(id));
        }
        let limit = self.server.limits.subscriptions;
        // What the client has ended may still be starting.
        if subscriptions.load() >= limit {
            let message = format!("A connection may have {limit} subscriptions at a time");
            let error = GraphqlError::new(message).coded("TOO_MANY_SUBSCRIPTIONS");
            self.say(&words::error(&id, &errors_json(&[error])));
            return Ok(());
        }
        let subscription = subscriptions.reserve(&id);
        let graphql = self.server.graphql.clone();
        let identity = life.session.identity.clone();
        let outbox = self.outbox.clone();
        let envelope = words::envelope(subscription, &id);
        let mut start = async move {
            let result = graphql
                .subscribe(&identity, request, &outbox, &envelope)
                .await;
            Started {
                subscription,
                result,
            }
        }
        .boxed();
        // Most start on the spot. One that must wait for the bus keeps nobody waiting.
        match (&mut start).now_or_never() {
            Some(started) => self.on_started(started, subscriptions),
            None => subscriptions.starts(start),
        }
        Ok(())
    }

    fn on_started(&self, started: Started, subscriptions: &mut Subscriptions) {
        let Started {
            subscription,
            result,
        } = started;
        let refusal = match result {
            Ok(membership) => return subscriptions.runs(subscription, membership),
            Err(refusal) => refusal,
        };
        let Some(id) = subscriptions.forget(subscription) else {
            return;
        };
        match refusal {
            Refusal::Error(errors) => self.say(&words::error(&id, &errors)),
            Refusal::Result(payload) => {
                self.say(&words::next(&id, &payload));
                self.say(&words::complete(&id));
            }
        }
    }

    /// Frees the ids of subscriptions whose last message is on its way.
    fn forget_ended(&self, subscriptions: &mut Subscriptions) {
        for ended in self.outbox.take_ended() {
            subscriptions.forget(ended);
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
