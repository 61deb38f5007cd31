//! From the upgrade to an acknowledgement: who is there, and may it come in.

use std::future::Future;
use std::pin::pin;

use tokio::time::timeout;

use super::connection::Connection;
use super::graphql_transport_ws::{ConnectionInfo, Refreshed, connection_ack, pong, refreshed};
use super::graphql_ws::{KEEP_ALIVE, complaint, connection_error};
use super::message::ClientMessage;
use super::socket::Line;
use crate::auth::{Scope, Scopes, Session};
use crate::registry::{ConnectionId, Registered};
use crate::transport::close::Close;
use crate::transport::endpoint::admit;
use crate::transport::introduction::Introduction;
use crate::transport::protocol::Protocol;
use crate::transport::server::Server;

/// Who was let in, and knows it.
pub(super) struct Admitted {
    pub(super) session: Session,
    pub(super) registered: Registered,
    /// What it said before it was: graphql-ws lets clients begin operations then.
    pub(super) early: Vec<ClientMessage>,
}

impl<L: Line> Connection<L> {
    /// Waits for `connection_init`, then for its check, and acknowledges it. What was said in the headers
    /// of the upgrade holds where it is silent.
    pub(super) async fn handshake(
        &mut self,
        said: Option<Box<Introduction>>,
    ) -> Result<Admitted, Close> {
        let admitted = self.let_in(said).await;
        if let Err(close) = &admitted
            && self.endpoint.protocol == Protocol::GraphqlWs
            && close.code().is_some()
        {
            self.endpoint.say(&connection_error(close));
        }
        admitted
    }

    async fn let_in(&mut self, said: Option<Box<Introduction>>) -> Result<Admitted, Close> {
        let server = self.endpoint.server.clone();
        let init = timeout(server.limits.init_timeout, self.await_init());
        let mut init = init.await.unwrap_or(Err(Close::InitTimeout))?;
        if let Some(said) = said {
            init = init.or(*said);
        }
        let wants_info = init.wants_info;
        let (client, protocol) = (self.endpoint.client, self.endpoint.protocol);
        let check = admit(
            &server,
            client,
            protocol,
            self.endpoint.outbox.clone(),
            init,
        );
        let mut early = Vec::new();
        let (session, registered) = self.attend(check, &mut early).await??;
        let info = wants_info.then(|| info(&server, &session, &registered));
        self.endpoint.say(&connection_ack(info.as_ref()));
        if protocol == Protocol::GraphqlWs {
            self.endpoint.say(KEEP_ALIVE);
        }
        Ok(Admitted {
            session,
            registered,
            early,
        })
    }

    async fn await_init(&mut self) -> Result<Introduction, Close> {
        let drain = self.endpoint.server.drain.clone();
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

    /// The client may still speak while its credentials are checked. To subscribe then is too early, but
    /// in graphql-ws, where it waits; to say `connection_init` again is too much.
    async fn attend<T>(
        &mut self,
        check: impl Future<Output = T>,
        early: &mut Vec<ClientMessage>,
    ) -> Result<T, Close> {
        let drain = self.endpoint.server.drain.clone();
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
                Some(
                    message @ (ClientMessage::Subscribe { .. } | ClientMessage::Complete { .. }),
                ) if self.endpoint.protocol == Protocol::GraphqlWs => {
                    // So many subscriptions, and as many ends.
                    if early.len() >= 2 * self.endpoint.server.limits.subscriptions {
                        return Err(Close::Unauthorized);
                    }
                    early.push(message);
                }
                Some(message) => self.on_early_message(message)?,
                None => {}
            }
        }
    }

    fn on_early_message(&self, message: ClientMessage) -> Result<(), Close> {
        match message {
            ClientMessage::Subscribe { .. } => Err(Close::Unauthorized),
            ClientMessage::Ping(payload) => {
                self.endpoint.say(&pong(payload.as_deref()));
                Ok(())
            }
            ClientMessage::Refresh(_) => {
                let reason = "Not acknowledged yet";
                self.endpoint.say(&refreshed(&Refreshed::Not { reason }));
                Ok(())
            }
            ClientMessage::Terminate => Err(Close::Terminated),
            ClientMessage::Invalid { id, what } => {
                self.endpoint.say(&complaint(id.as_deref(), &what));
                Ok(())
            }
            ClientMessage::ConnectionInit(_)
            | ClientMessage::Complete { .. }
            | ClientMessage::Pong => Ok(()),
        }
    }
}

/// What a client is told that asked what was made of its credentials.
fn info<'a>(server: &Server, session: &Session, registered: &'a Registered) -> ConnectionInfo<'a> {
    ConnectionInfo {
        connection_id: registered.connection_id().map_or("", ConnectionId::as_str),
        expires_at: session.credential.expires_at().map(|at| at.as_second()),
        scopes: scopes_to_tell(session.identity.scopes()),
        ping_interval_ms: server.limits.ping_interval.as_millis() as u64,
        reconnect_jitter_ms: server.limits.reconnect_jitter.as_millis() as u64,
    }
}

/// `None` for those that restrict nothing.
fn scopes_to_tell(scopes: Scopes) -> Option<Vec<&'static str>> {
    let words = || scopes.iter().map(Scope::as_str).collect();
    (!scopes.is_unrestricted()).then(words)
}
