//! The life of a socket of a plain-JSON API: the same for all of them.
//!
//! What such an API says and hears is an `Api`: it reads what its client says, answers at its `Desk`, and
//! begins and ends subscriptions there. Everything else (places, credentials, limits, pings, the drain, what
//! ends a connection) is here, as GraphQL's sockets have it.

use std::convert::Infallible;
use std::future::poll_fn;
use std::time::Duration;

use axum::response::{IntoResponse, Response};
use tokio::time::{Instant, timeout};

use super::connection::{Connection, Conversation, Heard, Opened, Says, hear};
use super::door::{self, Door, Premises};
use super::heartbeat::{Heartbeat, Rhythm};
use super::socket::Line;
use super::upgrade::Upgrade;
use crate::auth::{Credentials, Identity, Session};
use crate::channels::Question;
use crate::event::WebhookId;
use crate::hub::{Membership, Words};
use crate::registry::Registered;
use crate::transport::arrival::Arrival;
use crate::transport::close::Close;
use crate::transport::endpoint::{Endpoint, identify};
use crate::transport::life::{Begun, Life};
use crate::transport::operation::{NotBegun, Operation};
use crate::transport::protocol::Protocol;
use crate::transport::server::{ConnectionLimits, Server};
use crate::transport::subscriptions::Started;

/// What goes around results: nothing, they are whole messages. Nor is it said that a subscription has
/// completed, but by the last of them.
pub(in crate::transport) const WORDS: Words = Words {
    before_id: "",
    before_payload: "",
    after_payload: "",
    before_completed: "",
    after_completed: "",
};

/// What a plain-JSON API does with what its client says: one for each connection.
pub(super) trait Api: Send + 'static {
    /// What a client says, read.
    type Said: Send;

    /// Reads a message. That closes nothing: what is wrong is something that is said, too.
    fn read(says: Says<'_>) -> Self::Said;

    /// The client was let in.
    fn on_open(&mut self, _desk: &mut Desk<'_>) -> Result<(), Close> {
        Ok(())
    }

    fn on_said(&mut self, desk: &mut Desk<'_>, said: Self::Said) -> Result<(), Close>;

    /// A subscription does not run, and why. Of one that runs its welcome was told.
    fn on_refused(&mut self, desk: &mut Desk<'_>, id: &str, why: NotBegun) -> Result<(), Close>;

    /// A ping came, a frame of RFC 6455. It was answered.
    fn on_ping(&mut self) {}

    /// How often its clients are pinged.
    fn rhythm(&self, limits: &ConnectionLimits) -> Rhythm {
        Rhythm {
            interval: limits.ping_interval,
            patience: limits.pong_timeout,
        }
    }

    /// How many subscriptions its client may have at a time.
    fn subscriptions(&self, limits: &ConnectionLimits) -> usize {
        limits.subscriptions
    }

    /// When it wants to look at the time again.
    fn due_at(&self) -> Option<Instant> {
        None
    }

    /// That time has come, or is past.
    fn on_due(&mut self, _desk: &mut Desk<'_>) -> Result<(), Close> {
        Ok(())
    }
}

/// How clients of an API come in that say who they are on the socket.
pub(super) trait Entry: Send + 'static {
    type Api: Api;
    /// What a client says, read.
    type Said: Send;

    /// Reads a message.
    fn read(says: Says<'_>) -> Self::Said;

    /// How long a client may take to say who it is.
    fn patience(&self) -> Duration;

    /// Answers what is said before that; or gives the credentials that it brings.
    fn on_said(
        &mut self,
        endpoint: &Endpoint,
        said: Self::Said,
    ) -> Result<Option<Credentials>, Close>;

    /// Says why the client is not let in, before it is closed for that.
    fn refuse(&self, endpoint: &Endpoint, close: &Close);

    /// What goes on once it was let in.
    fn let_in(self, endpoint: &Endpoint, session: &Session) -> Self::Api;
}

/// Where an API answers its client.
pub(super) struct Desk<'a> {
    endpoint: &'a Endpoint,
    life: &'a mut Life,
    begun: &'a mut Option<Started>,
    replaced: &'a mut Option<Membership>,
    /// How many subscriptions there may be.
    limit: usize,
}

impl Desk<'_> {
    /// Sends a message.
    pub(super) fn say(&self, text: &str) {
        self.endpoint.say(text);
    }

    pub(super) fn server(&self) -> &Server {
        &self.endpoint.server
    }

    /// Who the client is.
    pub(super) fn identity(&self) -> &Identity {
        &self.life.session.identity
    }

    /// Begins a subscription: at most one for each thing that is said. One that has the same id goes on until
    /// the new one runs. When that does, the client is told its welcome, before anything that it hears.
    pub(super) fn begin(
        &mut self,
        id: &str,
        question: Question,
        welcome: String,
        after: Option<WebhookId>,
    ) {
        let subscriptions = &mut self.life.subscriptions;
        *self.replaced = subscriptions.take(id).flatten();
        let operation = Operation::Channel {
            question,
            welcome,
            after,
        };
        let begun = self
            .life
            .begin_up_to(self.limit, self.endpoint, id, operation);
        match begun {
            Begun::Started(started) => *self.begun = Some(started),
            // It was taken out.
            Begun::Starts | Begun::Exists => {}
        }
    }

    /// Ends a subscription: nothing more is told of it. Says whether there was one.
    pub(super) fn end(&mut self, id: &str) -> bool {
        self.life.subscriptions.end(id)
    }

    /// Whether one runs or starts. The client may have heard of its end before its task has.
    pub(super) fn has(&mut self, id: &str) -> bool {
        self.life.forget_ended(self.endpoint);
        self.life.subscriptions.has(id)
    }

    /// How many subscriptions there are.
    pub(super) fn count(&self) -> usize {
        self.life.subscriptions.count()
    }
}

/// A connection whose client was let in.
struct Plain<L, A> {
    connection: Connection<L>,
    talk: Talk<A>,
}

struct Talk<A> {
    life: Life,
    heartbeat: Heartbeat,
    begun: Option<Started>,
    /// What goes on until what takes its place runs.
    replaced: Option<Membership>,
    api: A,
}

impl<L, A: Api> Plain<L, A> {
    fn new(connection: Connection<L>, session: Session, registered: Registered, api: A) -> Self {
        let rhythm = api.rhythm(&connection.endpoint.server.limits);
        Plain {
            connection,
            talk: Talk {
                life: Life::new(session, registered),
                heartbeat: Heartbeat::new(rhythm),
                begun: None,
                replaced: None,
                api,
            },
        }
    }
}

impl<L: Line, A: Api> Conversation<L> for Plain<L, A> {
    fn into_connection(self) -> Connection<L> {
        self.connection
    }

    /// What it was rung for goes first, then the client, then what has started. While a subscription starts
    /// the client is not read, so that it is answered in the order in which it asks. Everything that is
    /// awaited here is cancel-safe.
    async fn operate(&mut self) -> Result<Infallible, Close> {
        let Plain { connection, talk } = self;
        let Connection { socket, endpoint } = connection;
        let read = |_, says: Says<'_>| Ok(A::read(says));
        talk.with(endpoint, A::on_open)?;
        talk.look_around(endpoint)?;
        loop {
            let outbox = &endpoint.outbox;
            let listens = !talk.life.subscriptions.are_starting();
            tokio::select! {
                biased;
                () = poll_fn(|context| outbox.poll_rung(context)) => talk.look_around(endpoint)?,
                heard = hear(socket, endpoint, read), if listens => talk.on_heard(endpoint, heard?)?,
                started = talk.life.subscriptions.started() => talk.on_started(endpoint, started)?,
            }
            talk.life.tell_registry();
        }
    }
}

impl<A: Api> Talk<A> {
    /// Looks at everything that may have been rung for, and pings the client when it is time to.
    fn look_around(&mut self, endpoint: &Endpoint) -> Result<(), Close> {
        self.life.check(endpoint)?;
        let rhythm = self.api.rhythm(&endpoint.server.limits);
        self.heartbeat.beat(rhythm, endpoint)?;
        if self.api.due_at().is_some_and(|at| at <= Instant::now()) {
            self.with(endpoint, A::on_due)?;
        }
        let beats_at = self.heartbeat.due_at(rhythm);
        let due_at = self.api.due_at();
        self.life
            .set_clock(endpoint, due_at.map_or(beats_at, |at| at.min(beats_at)));
        Ok(())
    }

    fn on_heard(&mut self, endpoint: &Endpoint, heard: Heard<A::Said>) -> Result<(), Close> {
        match heard {
            Heard::Says(said) => self.with(endpoint, |api, desk| api.on_said(desk, said))?,
            Heard::Ping => self.api.on_ping(),
            Heard::Pong => {
                let rhythm = self.api.rhythm(&endpoint.server.limits);
                if let Some(round_trip) = self.heartbeat.ponged(rhythm) {
                    self.life.registered.set_round_trip(round_trip);
                    self.life.ring_at(endpoint, self.heartbeat.due_at(rhythm));
                }
            }
        }
        if let Some(at) = self.api.due_at() {
            self.life.ring_at(endpoint, at);
        }
        Ok(())
    }

    /// Has the API do something, and hears what became of what it began.
    fn with(
        &mut self,
        endpoint: &Endpoint,
        act: impl FnOnce(&mut A, &mut Desk<'_>) -> Result<(), Close>,
    ) -> Result<(), Close> {
        let mut desk = Desk {
            endpoint,
            life: &mut self.life,
            begun: &mut self.begun,
            replaced: &mut self.replaced,
            limit: self.api.subscriptions(&endpoint.server.limits),
        };
        act(&mut self.api, &mut desk)?;
        match self.begun.take() {
            Some(started) => self.on_started(endpoint, started),
            None => Ok(()),
        }
    }

    fn on_started(&mut self, endpoint: &Endpoint, started: Started) -> Result<(), Close> {
        let refused = self.life.settle(started);
        self.replaced = None;
        match refused {
            Some((id, why)) => self.with(endpoint, |api, desk| api.on_refused(desk, &id, why)),
            None => Ok(()),
        }
    }
}

/// Lets a client in that said who it is when it asked for the upgrade. Its messages have so many bytes at most.
pub(super) fn accept_known(
    arrival: Arrival,
    upgrade: Upgrade,
    protocol: Protocol,
    message_bytes: usize,
    session: Session,
    api: impl Api,
) -> Response {
    let door = Known { session, api };
    accept(arrival, upgrade, protocol, message_bytes, door)
}

/// Lets a client in that says it on the socket, in messages of so many bytes at most.
pub(super) fn accept_stranger(
    arrival: Arrival,
    upgrade: Upgrade,
    protocol: Protocol,
    message_bytes: usize,
    entry: impl Entry,
) -> Response {
    accept(arrival, upgrade, protocol, message_bytes, Entered(entry))
}

fn accept(
    arrival: Arrival,
    upgrade: Upgrade,
    protocol: Protocol,
    message_bytes: usize,
    door: impl Door,
) -> Response {
    let place = match arrival.place() {
        Ok(place) => place,
        Err(full) => return full.into_response(),
    };
    let premises = Premises {
        server: arrival.server().clone(),
        client: arrival.client,
        place,
        protocol,
        message_bytes,
    };
    door::accept(upgrade, None, premises, door)
}

/// The door of those who said who they are when they asked for the upgrade.
struct Known<A> {
    session: Session,
    api: A,
}

impl<A: Api> Door for Known<A> {
    type Conversation<L: Line> = Plain<L, A>;

    async fn open<L: Line>(self, mut connection: Connection<L>) -> Opened<L, Plain<L, A>> {
        let Known { session, api } = self;
        connection.endpoint.set_session(&session);
        match connection.endpoint.register(&session).await {
            Ok(registered) => Ok(Box::new(Plain::new(connection, session, registered, api))),
            Err(close) => Err(Box::new((connection, close))),
        }
    }
}

/// The door of those who say it on the socket.
struct Entered<E>(E);

impl<E: Entry> Door for Entered<E> {
    type Conversation<L: Line> = Plain<L, E::Api>;

    async fn open<L: Line>(self, mut connection: Connection<L>) -> Opened<L, Plain<L, E::Api>> {
        let Entered(mut entry) = self;
        match enter(&mut connection, &mut entry).await {
            Ok((session, registered)) => {
                connection.endpoint.set_session(&session);
                let api = entry.let_in(&connection.endpoint, &session);
                Ok(Box::new(Plain::new(connection, session, registered, api)))
            }
            Err(close) => {
                if connection.endpoint.protocol.close_code(&close).is_some() {
                    entry.refuse(&connection.endpoint, &close);
                }
                Err(Box::new((connection, close)))
            }
        }
    }
}

/// Hears a client until it brings credentials that are good. While they are checked it is not read: what it
/// says meanwhile waits in the socket, and is answered in order.
async fn enter<L: Line, E: Entry>(
    connection: &mut Connection<L>,
    entry: &mut E,
) -> Result<(Session, Registered), Close> {
    let drain = connection.endpoint.server.drain.clone();
    let patience = entry.patience();
    let brought = async {
        let Connection { socket, endpoint } = &mut *connection;
        let read = |_, says: Says<'_>| Ok(E::read(says));
        loop {
            if let Heard::Says(said) = hear(socket, endpoint, read).await?
                && let Some(credentials) = entry.on_said(endpoint, said)?
            {
                return Ok(credentials);
            }
        }
    };
    let credentials = tokio::select! {
        biased;
        () = drain.cancelled() => return Err(Close::GoingAway),
        brought = timeout(patience, brought) => brought.unwrap_or(Err(Close::AuthTimeout))?,
    };
    let endpoint = &connection.endpoint;
    let checked = async {
        let session = identify(&endpoint.server, endpoint.client, &credentials).await?;
        let registered = endpoint.register(&session).await?;
        Ok((session, registered))
    };
    tokio::select! {
        biased;
        () = drain.cancelled() => Err(Close::GoingAway),
        checked = checked => checked,
    }
}
