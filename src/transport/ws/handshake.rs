//! From the upgrade to an acknowledgement: who is there, and may it come in.

use std::future::Future;
use std::pin::pin;
use std::sync::Arc;

use tokio::time::timeout;

use super::close::Close;
use super::connection::{Client, Connection};
use super::graphql_transport_ws::{
    self as words, ClientMessage, ConnectionInfo, Init, Refreshed, SUBPROTOCOL, connection_ack,
};
use super::server::Server;
use super::socket::Line;
use crate::auth::{AuthError, Scope, Scopes, Session};
use crate::hub::Outbox;
use crate::registry::{BadConnectionId, ConnectionId, Newcomer, Registered};

/// Who was let in.
pub(super) struct Admitted {
    pub(super) session: Session,
    pub(super) registered: Registered,
    /// What to say to it.
    pub(super) ack: String,
}

impl<L: Line> Connection<L> {
    /// Waits for `connection_init`, then for its check.
    pub(super) async fn handshake(&mut self) -> Result<Admitted, Close> {
        let limit = self.server.limits.init_timeout;
        let init = timeout(limit, self.await_init())
            .await
            .unwrap_or(Err(Close::InitTimeout))?;
        let (server, client, outbox) = (self.server.clone(), self.client, self.outbox.clone());
        self.attend(admit(&server, client, outbox, init)).await?
    }

    async fn await_init(&mut self) -> Result<Init, Close> {
        let drain = self.server.drain.clone();
        loop {
            let message = tokio::select! {
                biased;
                () = drain.cancelled() => return Err(Close::GoingAway),
                message = self.receive() => message?,
            };
            match message {
                Some(ClientMessage::ConnectionInit(init)) => return Ok(init),
                Some(message) => self.on_early_message(message)?,
                None => {}
            }
        }
    }

    /// The client may still speak while its credentials are checked: to subscribe then is too early,
    /// to say `connection_init` again is too much.
    async fn attend<T>(&mut self, check: impl Future<Output = T>) -> Result<T, Close> {
        let drain = self.server.drain.clone();
        let mut check = pin!(check);
        loop {
            let message = tokio::select! {
                biased;
                () = drain.cancelled() => return Err(Close::GoingAway),
                result = &mut check => return Ok(result),
                message = self.receive() => message?,
            };
            match message {
                Some(ClientMessage::ConnectionInit(_)) => return Err(Close::TooManyInits),
                Some(message) => self.on_early_message(message)?,
                None => {}
            }
        }
    }

    fn on_early_message(&self, message: ClientMessage) -> Result<(), Close> {
        match message {
            ClientMessage::Subscribe { .. } => Err(Close::Unauthorized),
            ClientMessage::Ping(payload) => {
                self.say(&words::pong(payload.as_deref()));
                Ok(())
            }
            ClientMessage::Refresh(_) => {
                let reason = "Not acknowledged yet";
                self.say(&words::refreshed(&Refreshed::Not { reason }));
                Ok(())
            }
            ClientMessage::ConnectionInit(_)
            | ClientMessage::Complete { .. }
            | ClientMessage::Pong => Ok(()),
        }
    }
}

async fn admit(
    server: &Server,
    client: Client,
    outbox: Arc<Outbox>,
    init: Init,
) -> Result<Admitted, Close> {
    let authenticator = &server.authenticator;
    let session = authenticator
        .authenticate(&init.credentials, Some(client.id))
        .await;
    let session = session.map_err(|error| match error {
        AuthError::Forbidden(_) => Close::Forbidden,
        AuthError::Unavailable(_) => Close::Unavailable,
    })?;
    let newcomer = Newcomer {
        id: client.id,
        connection_id: connection_id(init.connection_id, session.identity.user().is_some())
            .map_err(Close::BadConnectionId)?
            .or_else(|| init.wants_info.then(ConnectionId::generate)),
        identity: session.identity.clone(),
        key: session.credential.key_id(),
        protocol: SUBPROTOCOL,
        address: client.address,
        outbox,
    };
    let registered = server.registry.register(newcomer).await;
    let registered = registered.map_err(Close::TooManyConnections)?;
    let info = init.wants_info.then(|| ConnectionInfo {
        connection_id: registered.connection_id().map_or("", ConnectionId::as_str),
        expires_at: session.credential.expires_at().map(|at| at.as_second()),
        scopes: scopes_to_tell(session.identity.scopes()),
        ping_interval_ms: server.limits.ping_interval.as_millis() as u64,
        reconnect_jitter_ms: server.limits.reconnect_jitter.as_millis() as u64,
    });
    let ack = connection_ack(info.as_ref());
    Ok(Admitted {
        session,
        registered,
        ack,
    })
}

/// `None` for those that restrict nothing.
fn scopes_to_tell(scopes: Scopes) -> Option<Vec<&'static str>> {
    let words = || scopes.iter().map(Scope::as_str).collect();
    (!scopes.is_unrestricted()).then(words)
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
