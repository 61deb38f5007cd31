//! Our end of the conversation with one client.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;
use uuid::Uuid;

use super::close::Close;
use super::entrance::Place;
use super::introduction::Introduction;
use super::protocol::Protocol;
use super::server::Server;
use crate::auth::{AuthError, Session};
use crate::hub::Outbox;
use crate::metrics::{ConnectionLabel, Held, Metrics, ReasonLabel};
use crate::registry::{BadConnectionId, ConnectionId, Newcomer, Registered};

/// Who is at the other end, before it has said anything.
#[derive(Clone, Copy, Debug)]
pub struct Client {
    /// Of the connection: in log lines and lists.
    pub id: Uuid,
    pub address: IpAddr,
}

/// Our end of the conversation with one client, from its first byte to its last, whatever is spoken.
pub(super) struct Endpoint {
    pub(super) server: Arc<Server>,
    pub(super) client: Client,
    pub(super) protocol: Protocol,
    /// Touched by whoever has something to say to the client.
    pub(super) outbox: Arc<Outbox>,
    /// The id of the key that opened it, for log lines.
    key: Option<Uuid>,
    since: Instant,
    counted: Held,
    /// `None` where nothing is limited.
    place: Option<Place>,
}

impl Client {
    /// Somebody new at this address.
    pub(super) fn at(address: IpAddr) -> Self {
        Client {
            id: Uuid::new_v4(),
            address,
        }
    }
}

impl Endpoint {
    pub(super) fn new(
        server: Arc<Server>,
        client: Client,
        protocol: Protocol,
        outbox: Arc<Outbox>,
    ) -> Self {
        let counted = count(&server.metrics, protocol, "unknown");
        Endpoint {
            server,
            client,
            protocol,
            outbox,
            key: None,
            since: Instant::now(),
            counted,
            place: None,
        }
    }

    /// Its place among all that there may be, which is free when it has ended.
    pub(super) fn take_place(&mut self, place: Place) {
        self.place = Some(place);
    }

    /// The client was let in.
    pub(super) fn set_session(&mut self, session: &Session) {
        self.counted = count(&self.server.metrics, self.protocol, session.identity.kind());
        self.key = session.credential.key_id();
    }

    /// How often the client is pinged.
    pub(super) fn ping_interval(&self) -> Duration {
        self.protocol
            .ping_interval(self.server.limits.ping_interval)
    }

    pub(super) fn say(&self, text: &str) {
        self.outbox.tell(&[text.as_bytes()]);
    }

    /// Counts an ending, and logs it.
    pub(super) fn ended(&self, close: &Close) {
        let reason = close.name();
        let closes = &self.server.metrics.closes;
        closes.get_or_create(&ReasonLabel { reason }).inc();
        tracing::info!(
            id = %self.client.id.simple(),
            protocol = self.protocol.name(),
            key = self.key.map(tracing::field::display),
            close.code = close.code(),
            close.reason = reason,
            duration_ms = self.since.elapsed().as_millis() as u64,
            "connection ended"
        );
    }
}

/// Lets a client in: its credentials are good, and there is room for one more of it.
pub(super) async fn admit(
    server: &Server,
    client: Client,
    protocol: Protocol,
    outbox: Arc<Outbox>,
    introduction: Introduction,
) -> Result<(Session, Registered), Close> {
    let Introduction {
        credentials,
        connection_id: given,
        wants_info,
    } = introduction;
    let authenticator = &server.authenticator;
    let session = authenticator
        .authenticate(&credentials, Some(client.id))
        .await;
    let session = session.map_err(|error| match error {
        AuthError::Forbidden(_) => Close::Forbidden,
        AuthError::Unavailable(_) => Close::Unavailable,
    })?;
    let newcomer = Newcomer {
        id: client.id,
        connection_id: connection_id(given, session.identity.user().is_some())
            .map_err(Close::BadConnectionId)?
            .or_else(|| wants_info.then(ConnectionId::generate)),
        identity: session.identity.clone(),
        key: session.credential.key_id(),
        protocol: protocol.name(),
        address: client.address,
        outbox,
    };
    let registered = server.registry.register(newcomer).await;
    let registered = registered.map_err(Close::TooManyConnections)?;
    Ok((session, registered))
}

/// What the client calls the connection, as nothing is as good as none. A rewards user must say so.
fn connection_id(
    given: Option<Result<ConnectionId, BadConnectionId>>,
    is_required: bool,
) -> Result<Option<ConnectionId>, BadConnectionId> {
    match given {
        Some(Err(BadConnectionId::Empty)) if !is_required => Ok(None),
        Some(given) => given.map(Some),
        None if is_required => Err(BadConnectionId::Missing),
        None => Ok(None),
    }
}

fn count(metrics: &Metrics, protocol: Protocol, identity: &'static str) -> Held {
    Held::new(&metrics.connections.get_or_create(&ConnectionLabel {
        protocol: protocol.name(),
        identity,
    }))
}
