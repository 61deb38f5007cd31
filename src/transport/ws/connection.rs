//! The life of one socket: handshake, operation, end.

use std::convert::Infallible;
use std::net::IpAddr;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::ws::{CloseFrame, Message};
use futures_util::{FutureExt, SinkExt, StreamExt};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::close::Close;
use super::graphql_transport_ws::{self as words, ClientMessage, Refreshed, SUBPROTOCOL};
use super::handshake::Admitted;
use super::heartbeat::{Beat, Heartbeat};
use super::refresh::Refresh;
use super::socket::{Socket, SocketError};
use super::subscriptions::{Started, Subscriptions};
use crate::auth::{Authenticator, Credential, Session, SessionEnd};
use crate::graphql::{Graphql, GraphqlError, Refusal, Request, errors_json};
use crate::hub::{Frame, OutboxLimits, Overflow};
use crate::metrics::{ConnectionLabel, Held, Metrics};
use crate::registry::{Goodbye, Registered, Registry};

/// What connections share.
pub struct Server {
    pub graphql: Arc<Graphql>,
    pub authenticator: Authenticator,
    pub registry: Arc<Registry>,
    pub limits: ConnectionLimits,
    pub metrics: Arc<Metrics>,
    /// Cancelled when the process stops.
    pub drain: CancellationToken,
}

/// How long a connection may take, and how much.
#[derive(Clone, Debug)]
pub struct ConnectionLimits {
    /// From the upgrade to `connection_init`.
    pub init_timeout: Duration,
    pub ping_interval: Duration,
    /// From a ping to its pong.
    pub pong_timeout: Duration,
    /// For one write, and so for a client that does not read.
    pub write_timeout: Duration,
    pub subscriptions: usize,
    pub outbox: OutboxLimits,
    /// Told to clients who ask: how long to wait at most, at random, before coming back.
    pub reconnect_jitter: Duration,
}

/// Who is at the other end of a socket, before it has said anything.
#[derive(Clone, Copy, Debug)]
pub struct Client {
    /// Of the connection: in log lines and lists.
    pub id: Uuid,
    pub address: IpAddr,
}

/// How long a client may take to answer a close frame.
const CLOSE_WAIT: Duration = Duration::from_secs(2);

/// One client's socket, owned by one task: the socket, the timers and the subscriptions are its
/// local variables. Its outbox alone is touched by others.
pub struct Connection<S> {
    pub(super) socket: S,
    pub(super) server: Arc<Server>,
    pub(super) client: Client,
    counted: Held,
}

impl<S: Socket> Connection<S> {
    pub fn new(socket: S, server: Arc<Server>, client: Client) -> Self {
        let counted = count(&server.metrics, "unknown");
        Connection {
            socket,
            server,
            client,
            counted,
        }
    }

    /// Lives until the client goes, or a reason to end it comes up; says which.
    pub async fn run(mut self) -> Close {
        let Err(close) = self.live().await;
        self.say_goodbye(&close).await;
        close
    }

    /// Closes a socket that did not ask for a protocol that is spoken here.
    pub async fn refuse(mut self) -> Close {
        self.say_goodbye(&Close::SubprotocolNotAcceptable).await;
        Close::SubprotocolNotAcceptable
    }

    async fn live(&mut self) -> Result<Infallible, Close> {
        let mut admitted = self.handshake().await?;
        self.counted = count(&self.server.metrics, admitted.session.identity.kind());
        self.write([std::mem::take(&mut admitted.ack)]).await?;
        self.operate(admitted).await
    }

    /// The drain, the end of the credentials, who may close it and newer credentials go first, then the
    /// client, then the clock, then what has started, then results: however many results are ready,
    /// none of the others waits for more than one write of them. Everything that is awaited here is
    /// cancel-safe.
    async fn operate(&mut self, admitted: Admitted) -> Result<Infallible, Close> {
        let Admitted {
            mut session,
            registered,
            outbox,
            ..
        } = admitted;
        let server = self.server.clone();
        let limits = &server.limits;
        let mut heartbeat = Heartbeat::new(limits.ping_interval);
        let mut subscriptions = Subscriptions::new(outbox.clone());
        let mut refresh = Refresh::default();
        let mut frames = Vec::new();
        let mut credential_end = pin!(credential_end(session.credential.clone()));
        loop {
            tokio::select! {
                biased;
                () = server.drain.cancelled() => return Err(Close::GoingAway),
                close = &mut credential_end => return Err(close),
                goodbye = registered.told_to_go() => return Err(goodbye.into()),
                result = refresh.checked() => {
                    let refreshed = match result {
                        Ok(newer) => {
                            registered.set_credential(&newer.identity, newer.credential.key_id());
                            credential_end.set(self::credential_end(newer.credential.clone()));
                            session = newer;
                            Refreshed::Authenticated { expires_at: session.credential.expires_at() }
                        }
                        Err(refused) => refused,
                    };
                    self.write([words::refreshed(&refreshed)]).await?;
                }
                message = self.socket.next() => {
                    if let Some(Ok(Message::Pong(_))) = message {
                        self.on_pong(&mut heartbeat, &registered);
                    }
                    if let Some(message) = read(message)? {
                        self.on_message(message, &session, &mut subscriptions, &mut refresh).await?;
                    }
                }
                beat = heartbeat.due() => match beat {
                    Beat::Ping => {
                        self.ping().await?;
                        heartbeat.pinged(limits.pong_timeout);
                    }
                    Beat::Silence => return Err(Close::Unresponsive),
                },
                Some(started) = subscriptions.starting.next() => self.on_started(started, &mut subscriptions).await?,
                taken = outbox.take(&mut frames) => {
                    taken.map_err(|Overflow| Close::TooSlow)?;
                    self.send_results(&mut frames, &mut subscriptions).await?;
                }
            }
            registered.set_subscriptions(subscriptions.count());
        }
    }

    fn on_pong(&self, heartbeat: &mut Heartbeat, registered: &Registered) {
        if let Some(round_trip) = heartbeat.ponged(self.server.limits.ping_interval) {
            registered.set_round_trip(round_trip);
        }
    }

    async fn on_message(
        &mut self,
        message: ClientMessage,
        session: &Session,
        subscriptions: &mut Subscriptions,
        refresh: &mut Refresh,
    ) -> Result<(), Close> {
        match message {
            ClientMessage::ConnectionInit(_) => Err(Close::TooManyInits),
            ClientMessage::Subscribe { id, request } => {
                self.subscribe(id, request, session, subscriptions).await
            }
            ClientMessage::Complete { id } => {
                subscriptions.end(&id);
                Ok(())
            }
            ClientMessage::Ping(payload) => self.write([words::pong(payload.as_deref())]).await,
            ClientMessage::Refresh(authorization) => {
                let authenticator = self.server.authenticator.clone();
                // Beside everything else: an issuer may have to be asked.
                match refresh.begin(authenticator, session.identity.clone(), authorization) {
                    Ok(()) => Ok(()),
                    Err(busy) => self.write([words::refreshed(&busy)]).await,
                }
            }
            ClientMessage::Pong => Ok(()),
        }
    }

    async fn subscribe(
        &mut self,
        id: String,
        request: Request,
        session: &Session,
        subscriptions: &mut Subscriptions,
    ) -> Result<(), Close> {
        if subscriptions.has(&id) {
            return Err(Close::SubscriberExists(id));
        }
        let limit = self.server.limits.subscriptions;
        // What the client has ended may still be starting.
        if subscriptions.load() >= limit {
            let message = format!("A connection may have {limit} subscriptions at a time");
            let error = GraphqlError::new(message).coded("TOO_MANY_SUBSCRIPTIONS");
            return self
                .write([words::error(&id, &errors_json(&[error]))])
                .await;
        }
        let subscription = subscriptions.reserve(&id);
        let graphql = self.server.graphql.clone();
        let identity = session.identity.clone();
        let outbox = subscriptions.outbox.clone();
        let envelope = Arc::new(words::envelope(subscription, &id));
        let mut start = async move {
            let result = graphql
                .subscribe(&identity, request, &outbox, envelope)
                .await;
            Started {
                subscription,
                result,
            }
        }
        .boxed();
        // Most start on the spot. One that must wait for the bus keeps nobody waiting.
        match (&mut start).now_or_never() {
            Some(started) => self.on_started(started, subscriptions).await,
            None => {
                subscriptions.starting.push(start);
                Ok(())
            }
        }
    }

    async fn on_started(
        &mut self,
        started: Started,
        subscriptions: &mut Subscriptions,
    ) -> Result<(), Close> {
        let Started {
            subscription,
            result,
        } = started;
        let refusal = match result {
            Ok(membership) => {
                subscriptions.runs(subscription, membership);
                return Ok(());
            }
            Err(refusal) => refusal,
        };
        let Some(id) = subscriptions.forget(subscription) else {
            return Ok(());
        };
        match refusal {
            Refusal::Error(errors) => self.write([words::error(&id, &errors)]).await,
            Refusal::Result(payload) => {
                let envelope = words::envelope(subscription, &id);
                let next = format!("{}{payload}{}", envelope.before, envelope.after);
                self.write([next, envelope.complete.into_string()]).await
            }
        }
    }

    /// All that is pending goes out in one write.
    async fn send_results(
        &mut self,
        frames: &mut Vec<Frame>,
        subscriptions: &mut Subscriptions,
    ) -> Result<(), Close> {
        for ended in frames.iter().filter_map(|frame| frame.ends) {
            subscriptions.forget(ended);
        }
        self.write(frames.drain(..).map(|frame| frame.text)).await
    }

    /// The next message of the protocol; `None` for a frame that is none of its. Cancel-safe.
    pub(super) async fn receive(&mut self) -> Result<Option<ClientMessage>, Close> {
        let message = self.socket.next().await;
        read(message)
    }

    async fn ping(&mut self) -> Result<(), Close> {
        let limit = self.server.limits.write_timeout;
        let sent = self.socket.send(Message::Ping(Default::default()));
        timeout(limit, sent)
            .await
            .map_err(|_| Close::TooSlow)?
            .map_err(Close::from)
    }

    pub(super) async fn write(
        &mut self,
        texts: impl IntoIterator<Item = String>,
    ) -> Result<(), Close> {
        let socket = &mut self.socket;
        let written = async {
            for text in texts {
                socket.feed(Message::Text(text.into())).await?;
            }
            socket.flush().await
        };
        let limit = self.server.limits.write_timeout;
        timeout(limit, written)
            .await
            .map_err(|_| Close::TooSlow)?
            .map_err(Close::from)
    }

    /// Sends the close frame, and gives the client a moment to answer it.
    async fn say_goodbye(&mut self, close: &Close) {
        let frame = close.code().map(|code| CloseFrame {
            code,
            reason: close.reason().into(),
        });
        if frame.is_none() && *close != Close::ByClient {
            return;
        }
        let goodbye = async {
            if let Some(frame) = frame {
                self.socket.send(Message::Close(Some(frame))).await?;
            }
            // The answer to the client's own close frame goes out with this, too.
            while let Some(message) = self.socket.next().await {
                message?;
            }
            Ok::<_, SocketError>(())
        };
        // Over the limit the socket is dropped: the client has had its chance.
        let _ = timeout(CLOSE_WAIT, goodbye).await;
    }
}

fn read(message: Option<Result<Message, SocketError>>) -> Result<Option<ClientMessage>, Close> {
    match message {
        Some(Ok(Message::Text(text))) => words::decode(&text).map(Some),
        Some(Ok(Message::Binary(_))) => Err(Close::InvalidMessage(
            "a binary frame, messages are text".into(),
        )),
        Some(Ok(Message::Ping(_) | Message::Pong(_))) => Ok(None),
        Some(Ok(Message::Close(_))) => Err(Close::ByClient),
        Some(Err(error)) => Err(error.into()),
        None => Err(Close::Gone),
    }
}

/// Resolves when the credentials end; never for those that have no end.
async fn credential_end(mut credential: Credential) -> Close {
    match credential.ended().await {
        SessionEnd::KeyRevoked => Close::KeyRevoked,
        SessionEnd::KeyExpired => Close::KeyExpired,
        SessionEnd::TokenExpired => Close::TokenExpired,
    }
}

fn count(metrics: &Metrics, identity: &'static str) -> Held {
    Held::new(&metrics.connections.get_or_create(&ConnectionLabel {
        protocol: SUBPROTOCOL,
        identity,
    }))
}

impl From<Goodbye> for Close {
    fn from(goodbye: Goodbye) -> Self {
        match goodbye {
            Goodbye::Replaced => Close::Replaced,
            Goodbye::Closed { code, reason } => Close::ByOperator { code, reason },
        }
    }
}
