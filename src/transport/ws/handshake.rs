//! From the upgrade to an acknowledgement: who is there, and may it come in.

use std::future::Future;
use std::pin::pin;

use tokio::time::timeout;

use super::connection::Connection;
use super::graphql_transport_ws::{ConnectionInfo, Refreshed, connection_ack, pong, refreshed};
use super::graphql_ws::{KEEP_ALIVE, complaint, connection_error};
use super::message::ClientMessage;
use super::open::rhythm;
use super::socket::Line;
use crate::auth::{Scope, Scopes, Session};
use crate::registry::{ConnectionId, Registered};
use crate::transport::close::Close;
use crate::transport::endpoint::{Endpoint, admit};
use crate::transport::introduction::Introduction;
use crate::transport::protocol::Protocol;

/// Who was let in, and knows it.
pub(super) struct Admitted {
    pub(super) session: Session,
    pub(super) registered: Registered,
    /// The first operation that it began before it was: clients of graphql-ws may. What it said behind that
    /// was not read yet.
    pub(super) early: Option<Box<ClientMessage>>,
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
            && *close != Close::Terminated
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
        let (admitted, early) = self.attend(check).await?;
        let (session, registered) = admitted?;
        let info = wants_info.then(|| info(&self.endpoint, &session, &registered));
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

    /// The client may still speak while its credentials are checked. To subscribe then is too early, and to
    /// say `connection_init` again is too much. But in graphql-ws clients subscribe without waiting: the
    /// first such message is kept, and what is behind it stays unread, so that nobody who was not let in
    /// yet has more kept for it than that.
    async fn attend<T>(
        &mut self,
        check: impl Future<Output = T>,
    ) -> Result<(T, Option<Box<ClientMessage>>), Close> {
        let drain = self.endpoint.server.drain.clone();
        let mut check = pin!(check);
        let mut early = None;
        loop {
            let message = tokio::select! {
                biased;
                () = drain.cancelled() => return Err(Close::GoingAway),
                result = &mut check => return Ok((result, early)),
                message = self.receive(), if early.is_none() => message?,
            };
            match message {
                Some(ClientMessage::ConnectionInit(_)) => return Err(Close::TooManyInits),
                Some(message @ ClientMessage::Subscribe { .. })
                    if self.endpoint.protocol == Protocol::GraphqlWs =>
                {
                    early = Some(Box::new(message));
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
            ClientMessage::Invalid { id, wrong } => {
                self.endpoint.say(&complaint(id.as_deref(), &wrong));
                Ok(())
            }
            ClientMessage::ConnectionInit(_)
            | ClientMessage::Complete { .. }
            | ClientMessage::Pong => Ok(()),
        }
    }
}

/// What a client is told that asked what was made of its credentials.
fn info<'a>(
    endpoint: &Endpoint,
    session: &Session,
    registered: &'a Registered,
) -> ConnectionInfo<'a> {
    let limits = &endpoint.server.limits;
    ConnectionInfo {
        connection_id: registered.connection_id().map_or("", ConnectionId::as_str),
        expires_at: session.credential.expires_at().map(|at| at.as_second()),
        scopes: scopes_to_tell(session.identity.scopes()),
        ping_interval_ms: rhythm(endpoint).interval.as_millis() as u64,
        reconnect_jitter_ms: limits.reconnect_jitter.as_millis() as u64,
    }
}

/// `None` for those that restrict nothing.
fn scopes_to_tell(scopes: Scopes) -> Option<Vec<&'static str>> {
    let words = || scopes.iter().map(Scope::as_str).collect();
    (!scopes.is_unrestricted()).then(words)
}
