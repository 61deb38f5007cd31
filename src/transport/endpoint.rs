//! Our end of the conversation with one client.

use std::net::IpAddr;
use std::sync::Arc;

use tokio::time::Instant;
use uuid::Uuid;

use super::close::Close;
use super::entrance::{Full, Place};
use super::introduction::Introduction;
use super::protocol::Protocol;
use super::server::Server;
use crate::auth::{AuthError, Credentials, Identity, Session};
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

/// Why a client is not let in, where it is answered over HTTP.
#[derive(Debug)]
pub(super) enum NotLetIn {
    Full(Full),
    Refused(Close),
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

    /// Counts the client among those who are connected, under no name, if there is room for one more of it.
    pub(super) async fn register(&self, session: &Session) -> Result<Registered, Close> {
        let (client, protocol) = (self.client, self.protocol);
        register(
            &self.server,
            client,
            protocol,
            self.outbox.clone(),
            session,
            None,
        )
        .await
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
            close.code = self.protocol.close_code(close),
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
    let session = authenticate(server, client, &credentials).await?;
    let name = connection_id(given, session.identity.user().is_some());
    let name = name.map_err(Close::BadConnectionId)?;
    let name = name.or_else(|| wants_info.then(ConnectionId::generate));
    let registered = register(server, client, protocol, outbox, &session, name).await?;
    Ok((session, registered))
}

/// Who it is that brings these credentials.
async fn authenticate(
    server: &Server,
    client: Client,
    credentials: &Credentials,
) -> Result<Session, Close> {
    let authenticator = &server.authenticator;
    let session = authenticator
        .authenticate(credentials, Some(client.id))
        .await;
    session.map_err(|error| match error {
        AuthError::Forbidden(_) => Close::Forbidden,
        AuthError::Unavailable(_) => Close::Unavailable,
    })
}

/// The same where nobody is let in who is nobody in particular.
pub(super) async fn identify(
    server: &Server,
    client: Client,
    credentials: &Credentials,
) -> Result<Session, Close> {
    let session = authenticate(server, client, credentials).await?;
    match session.identity == Identity::ANONYMOUS {
        true => Err(Close::Forbidden),
        false => Ok(session),
    }
}

/// Counts a client among those who are connected, if there is room for one more of it.
async fn register(
    server: &Server,
    client: Client,
    protocol: Protocol,
    outbox: Arc<Outbox>,
    session: &Session,
    connection_id: Option<ConnectionId>,
) -> Result<Registered, Close> {
    let newcomer = Newcomer {
        id: client.id,
        connection_id,
        identity: session.identity.clone(),
        key: session.credential.key_id(),
        protocol: protocol.name(),
        address: client.address,
        outbox,
    };
    let registered = server.registry.register(newcomer).await;
    registered.map_err(Close::TooManyConnections)
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
