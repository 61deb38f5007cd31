//! What a connection does once its client was let in.

use std::convert::Infallible;
use std::future::poll_fn;

use super::connection::{Connection, Conversation, Heard, decode, hear};
use super::graphql_transport_ws::{Refreshed, pong, refreshed};
use super::graphql_ws::{KEEP_ALIVE, KEEP_ALIVE_WITHIN, complaint};
use super::heartbeat::{Heartbeat, Rhythm};
use super::message::ClientMessage;
use super::refresh::Refresh;
use super::socket::Line;
use crate::auth::Session;
use crate::graphql::Request;
use crate::registry::Registered;
use crate::transport::close::Close;
use crate::transport::endpoint::Endpoint;
use crate::transport::life::{Begun, Life};
use crate::transport::operation::Operation;
use crate::transport::protocol::Protocol;
use crate::transport::subscriptions::Started;

/// A connection whose client was let in.
///
/// There are many of them, and most wait. So they wait for two things alone, the socket and the
/// [bell](crate::hub::Outbox::ring), with no timer and no buffer of their own; a test holds what one weighs.
pub(super) struct Open<L> {
    connection: Connection<L>,
    talk: Talk,
}

/// The client's part, and ours: what goes on between the two.
struct Talk {
    life: Life,
    heartbeat: Heartbeat,
    refresh: Refresh,
}

impl<L: Line> Open<L> {
    pub(super) fn new(connection: Connection<L>, session: Session, registered: Registered) -> Self {
        let heartbeat = Heartbeat::new(rhythm(&connection.endpoint));
        Open {
            connection,
            talk: Talk {
                life: Life::new(session, registered),
                heartbeat,
                refresh: Refresh::default(),
            },
        }
    }

    /// Takes what the client said before it was let in.
    pub(super) fn on_early(&mut self, message: ClientMessage) -> Result<(), Close> {
        self.talk.on_message(&self.connection.endpoint, message)
    }
}

impl<L: Line> Conversation<L> for Open<L> {
    fn into_connection(self) -> Connection<L> {
        self.connection
    }

    /// What it was rung for goes first, then newer credentials, then the client, then what has
    /// started. Results are no part of this: whoever has one writes it. Everything that is awaited here
    /// is cancel-safe.
    async fn operate(&mut self) -> Result<Infallible, Close> {
        let Open { connection, talk } = self;
        let Connection { socket, endpoint } = connection;
        talk.look_around(endpoint)?;
        loop {
            tokio::select! {
                biased;
                () = poll_fn(|context| endpoint.outbox.poll_rung(context)) => talk.look_around(endpoint)?,
                newer = talk.refresh.checked() => talk.on_refreshed(endpoint, newer)?,
                heard = hear(socket, endpoint, decode) => talk.on_heard(endpoint, heard?)?,
                started = talk.life.subscriptions.started() => talk.on_started(endpoint, started),
            }
            talk.life.tell_registry();
        }
    }
}

impl Talk {
    /// Looks at everything that may have been rung for, and pings the client when it is time to.
    fn look_around(&mut self, endpoint: &Endpoint) -> Result<(), Close> {
        self.life.check(endpoint)?;
        let rhythm = rhythm(endpoint);
        if self.heartbeat.beat(rhythm, endpoint)? && endpoint.protocol == Protocol::GraphqlWs {
            endpoint.say(KEEP_ALIVE);
        }
        // The ping, too, may not have been taken.
        self.life.set_clock(endpoint, self.heartbeat.due_at(rhythm));
        Ok(())
    }

    fn on_refreshed(
        &mut self,
        endpoint: &Endpoint,
        newer: Result<Session, Refreshed>,
    ) -> Result<(), Close> {
        let outcome = match newer {
            Ok(newer) => {
                let key = newer.credential.key_id();
                self.life.registered.set_credential(&newer.identity, key);
                self.life.session = newer;
                let expires_at = self.life.session.credential.expires_at();
                Refreshed::Authenticated { expires_at }
            }
            Err(refused) => refused,
        };
        endpoint.say(&refreshed(&outcome));
        // It may end sooner than the one before.
        self.look_around(endpoint)
    }

    fn on_heard(&mut self, endpoint: &Endpoint, heard: Heard<ClientMessage>) -> Result<(), Close> {
        match heard {
            Heard::Says(message) => self.on_message(endpoint, message),
            Heard::Ping => Ok(()),
            Heard::Pong => {
                let rhythm = rhythm(endpoint);
                if let Some(round_trip) = self.heartbeat.ponged(rhythm) {
                    self.life.registered.set_round_trip(round_trip);
                    let is_slow = round_trip + rhythm.interval > KEEP_ALIVE_WITHIN;
                    if is_slow && endpoint.protocol == Protocol::GraphqlWs {
                        endpoint.say(KEEP_ALIVE);
                    }
                    self.life.ring_at(endpoint, self.heartbeat.due_at(rhythm));
                }
                Ok(())
            }
        }
    }

    fn on_message(&mut self, endpoint: &Endpoint, message: ClientMessage) -> Result<(), Close> {
        match message {
            ClientMessage::ConnectionInit(_) => return Err(Close::TooManyInits),
            ClientMessage::Subscribe { id, request } => {
                return self.subscribe(endpoint, id, request);
            }
            ClientMessage::Complete { id } => {
                if self.life.subscriptions.end(&id) {
                    endpoint.protocol.confirm_end(&endpoint.outbox, &id);
                }
            }
            ClientMessage::Ping(payload) => endpoint.say(&pong(payload.as_deref())),
            ClientMessage::Refresh(authorization) => {
                let authenticator = endpoint.server.authenticator.clone();
                let present = self.life.session.identity.clone();
                // Beside everything else: an issuer may have to be asked.
                if let Err(busy) = self.refresh.begin(authenticator, present, authorization) {
                    endpoint.say(&refreshed(&busy));
                }
            }
            ClientMessage::Pong => {}
            ClientMessage::Terminate => return Err(Close::Terminated),
            ClientMessage::Invalid { id, wrong } => {
                // Clients forget an operation at its `error`, and do not stop it.
                if let Some(id) = &id {
                    self.life.subscriptions.end(id);
                }
                endpoint.say(&complaint(id.as_deref(), &wrong));
            }
        }
        Ok(())
    }

    fn subscribe(
        &mut self,
        endpoint: &Endpoint,
        id: String,
        request: Request,
    ) -> Result<(), Close> {
        if endpoint.protocol == Protocol::GraphqlWs {
            self.life.subscriptions.end(&id);
        }
        match self.life.begin(endpoint, &id, Operation::Graphql(request)) {
            Begun::Exists => return Err(Close::SubscriberExists(id)),
            Begun::Started(started) => self.on_started(endpoint, started),
            Begun::Starts => {}
        }
        Ok(())
    }

    fn on_started(&mut self, endpoint: &Endpoint, started: Started) {
        if let Some((id, why)) = self.life.settle(started) {
            let refusal = why.into_refusal();
            endpoint.protocol.refuse(&endpoint.outbox, &id, &refusal);
        }
    }
}

/// How often a client is pinged: one of `graphql-ws` as often as its `ka` must come, for which it does not
/// wait longer.
pub(super) fn rhythm(endpoint: &Endpoint) -> Rhythm {
    let limits = &endpoint.server.limits;
    Rhythm {
        interval: match endpoint.protocol {
            Protocol::GraphqlWs => limits.ping_interval.min(KEEP_ALIVE_WITHIN),
            _ => limits.ping_interval,
        },
        patience: limits.pong_timeout,
    }
}
