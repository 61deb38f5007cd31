//! The life of one socket: handshake, operation, end.

use std::collections::HashMap;
use std::convert::Infallible;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::ws::{CloseFrame, Message};
use futures_util::future::BoxFuture;
use futures_util::stream::FuturesUnordered;
use futures_util::{FutureExt, SinkExt, StreamExt};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use super::close::Close;
use super::graphql_transport_ws::{self as words, CONNECTION_ACK, ClientMessage};
use super::heartbeat::{Beat, Heartbeat};
use super::socket::{Socket, SocketError};
use crate::auth::{AuthError, Authenticator, Credential, Credentials, Session, SessionEnd};
use crate::graphql::{Graphql, GraphqlError, Refusal, Request, errors_json};
use crate::hub::{Frame, Membership, Outbox, OutboxLimits, Overflow};
use crate::metrics::{Metrics, ResultLabel};

/// What connections share.
pub struct Server {
    pub graphql: Arc<Graphql>,
    pub authenticator: Authenticator,
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
}

/// How long a client may take to answer a close frame.
const CLOSE_WAIT: Duration = Duration::from_secs(2);

/// One client's socket, owned by one task: the socket, the timers and the subscriptions are its
/// local variables. Its outbox alone is touched by others.
pub struct Connection<S> {
    socket: S,
    server: Arc<Server>,
}

/// The subscriptions of a connection.
struct Subscriptions {
    outbox: Arc<Outbox>,
    /// By the id that the client gave.
    by_id: HashMap<String, u64>,
    running: HashMap<u64, Running>,
    starting: FuturesUnordered<BoxFuture<'static, Started>>,
    /// Never used twice, so that what pends for an old one is not taken for a new one's.
    next: u64,
}

struct Running {
    id: String,
    /// None while it is being started.
    membership: Option<Membership>,
}

struct Started {
    subscription: u64,
    result: Result<Membership, Refusal>,
}

impl<S: Socket> Connection<S> {
    pub fn new(socket: S, server: Arc<Server>) -> Self {
        Connection { socket, server }
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
        let session = self.handshake().await?;
        self.write([CONNECTION_ACK.to_owned()]).await?;
        self.operate(session).await
    }

    /// From the upgrade to an identity: waits for `connection_init`, then for its check.
    async fn handshake(&mut self) -> Result<Session, Close> {
        let limit = self.server.limits.init_timeout;
        let credentials = timeout(limit, self.await_init())
            .await
            .unwrap_or(Err(Close::InitTimeout))?;
        self.authenticate(credentials).await
    }

    async fn await_init(&mut self) -> Result<Credentials, Close> {
        let drain = self.server.drain.clone();
        loop {
            let message = tokio::select! {
                biased;
                () = drain.cancelled() => return Err(Close::GoingAway),
                message = self.receive() => message?,
            };
            match message {
                Some(ClientMessage::ConnectionInit(credentials)) => return Ok(credentials),
                Some(message) => self.on_early_message(message).await?,
                None => {}
            }
        }
    }

    /// The client may still speak while its credentials are checked: to subscribe then is too early,
    /// to say `connection_init` again is too much.
    async fn authenticate(&mut self, credentials: Credentials) -> Result<Session, Close> {
        let server = self.server.clone();
        let mut check = pin!(server.authenticator.authenticate(&credentials));
        let result = loop {
            let message = tokio::select! {
                biased;
                () = server.drain.cancelled() => return Err(Close::GoingAway),
                result = &mut check => break result,
                message = self.receive() => message?,
            };
            match message {
                Some(ClientMessage::ConnectionInit(_)) => return Err(Close::TooManyInits),
                Some(message) => self.on_early_message(message).await?,
                None => {}
            }
        };
        let (label, session) = match result {
            Ok(session) => {
                if let Some(key) = session.credential.key_id() {
                    tracing::Span::current().record("key", tracing::field::display(key));
                }
                (session.identity.kind(), Ok(session))
            }
            Err(AuthError::Forbidden(_)) => ("forbidden", Err(Close::Forbidden)),
            Err(AuthError::Unavailable(_)) => ("unavailable", Err(Close::Unavailable)),
        };
        server
            .metrics
            .authentications
            .get_or_create(&ResultLabel { result: label })
            .inc();
        session
    }

    async fn on_early_message(&mut self, message: ClientMessage) -> Result<(), Close> {
        match message {
            ClientMessage::Subscribe { .. } => Err(Close::Unauthorized),
            ClientMessage::Ping(payload) => self.write([words::pong(payload.as_deref())]).await,
            ClientMessage::ConnectionInit(_)
            | ClientMessage::Complete { .. }
            | ClientMessage::Pong => Ok(()),
        }
    }

    /// The drain and the end of the credentials go first, then the client, then the clock, then what
    /// has started, then results: however many results are ready, none of the others waits for more
    /// than one write of them. Everything that is awaited here is cancel-safe.
    async fn operate(&mut self, session: Session) -> Result<Infallible, Close> {
        let server = self.server.clone();
        let limits = &server.limits;
        let mut heartbeat = Heartbeat::new(limits.ping_interval);
        let outbox = Outbox::new(limits.outbox, server.metrics.clone());
        let mut subscriptions = Subscriptions::new(outbox.clone());
        let mut frames = Vec::new();
        let mut lease_end = pin!(ended(session.credential.clone()));
        loop {
            tokio::select! {
                biased;
                () = server.drain.cancelled() => return Err(Close::GoingAway),
                end = &mut lease_end => return Err(end),
                message = self.socket.next() => {
                    if let Some(Ok(Message::Pong(_))) = message {
                        heartbeat.ponged(limits.ping_interval);
                    }
                    if let Some(message) = read(message)? {
                        self.on_message(message, &session, &mut subscriptions).await?;
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
        }
    }

    async fn on_message(
        &mut self,
        message: ClientMessage,
        session: &Session,
        subscriptions: &mut Subscriptions,
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
        if subscriptions.by_id.contains_key(&id) {
            return Err(Close::SubscriberExists(id));
        }
        let limit = self.server.limits.subscriptions;
        // What the client has ended may still be starting.
        if subscriptions
            .running
            .len()
            .max(subscriptions.starting.len())
            >= limit
        {
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
        match (subscriptions.running.get_mut(&subscription), result) {
            // The client has ended it meanwhile: the membership is dropped, and what pends with it.
            (None, _) => Ok(()),
            (Some(running), Ok(membership)) => {
                running.membership = Some(membership);
                Ok(())
            }
            (Some(_), Err(refusal)) => {
                let id = subscriptions.forget(subscription);
                match refusal {
                    Refusal::Error(errors) => self.write([words::error(&id, &errors)]).await,
                    Refusal::Result(payload) => {
                        let envelope = words::envelope(subscription, &id);
                        let next = format!("{}{payload}{}", envelope.before, envelope.after);
                        self.write([next, envelope.complete.into_string()]).await
                    }
                }
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
            if subscriptions.running.contains_key(&ended) {
                subscriptions.forget(ended);
            }
        }
        self.write(frames.drain(..).map(|frame| frame.text)).await
    }

    /// The next message of the protocol; `None` for a frame that is none of its. Cancel-safe.
    async fn receive(&mut self) -> Result<Option<ClientMessage>, Close> {
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

    async fn write(&mut self, texts: impl IntoIterator<Item = String>) -> Result<(), Close> {
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
async fn ended(mut credential: Credential) -> Close {
    match credential.ended().await {
        SessionEnd::KeyRevoked => Close::KeyRevoked,
        SessionEnd::KeyExpired => Close::KeyExpired,
        SessionEnd::TokenExpired => Close::KeyExpired,
    }
}

impl Subscriptions {
    fn new(outbox: Arc<Outbox>) -> Self {
        Subscriptions {
            outbox,
            by_id: HashMap::new(),
            running: HashMap::new(),
            starting: FuturesUnordered::new(),
            next: 0,
        }
    }

    fn reserve(&mut self, id: &str) -> u64 {
        self.next += 1;
        self.by_id.insert(id.to_owned(), self.next);
        self.running.insert(
            self.next,
            Running {
                id: id.to_owned(),
                membership: None,
            },
        );
        self.next
    }

    /// The client's `complete`: nothing more is sent for this id, and it is free again. An unknown
    /// id is not an error: client and server may complete at the same time.
    fn end(&mut self, id: &str) {
        if let Some(subscription) = self.by_id.remove(id) {
            self.running.remove(&subscription);
            self.outbox.forget(subscription);
        }
    }

    /// Forgets a subscription that has ended here, and gives back its id.
    fn forget(&mut self, subscription: u64) -> String {
        let running = self
            .running
            .remove(&subscription)
            .expect("it was just looked up");
        self.by_id.remove(&running.id);
        running.id
    }
}
