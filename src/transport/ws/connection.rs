//! The life of one socket: handshake, operation, end.

use std::convert::Infallible;
use std::future::{Future, poll_fn};
use std::net::IpAddr;
use std::sync::Arc;
use std::task::{Poll, ready};
use std::time::Duration;

use futures_util::FutureExt;
use jiff::Timestamp;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout};
use tracing::Instrument;
use uuid::Uuid;

use super::Place;
use super::close::Close;
use super::graphql_transport_ws::{self as words, ClientMessage, Refreshed, SUBPROTOCOL};
use super::handshake::Admitted;
use super::heartbeat::{Beat, Heartbeat};
use super::refresh::Refresh;
use super::server::Server;
use super::socket::{Direct, Line, Piped, Socket, SocketError};
use super::subscriptions::{Started, Subscriptions};
use crate::auth::{Credential, Session, SessionEnd};
use crate::graphql::{GraphqlError, Refusal, Request, errors_json};
use crate::hub::{Framing, Outbox, State};
use crate::metrics::{ConnectionLabel, Held, Metrics, ReasonLabel};
use crate::registry::{Goodbye, Registered};
use crate::websocket::{Message, Opcode, close_payload, push_frame};

/// Who is at the other end of a socket, before it has said anything.
#[derive(Clone, Copy, Debug)]
pub struct Client {
    /// Of the connection: in log lines and lists.
    pub id: Uuid,
    pub address: IpAddr,
}

/// How long a client may take to answer a close frame.
const CLOSE_WAIT: Duration = Duration::from_secs(2);
/// The clock on the wall may be set, or the machine may sleep: it is looked at again this often.
const LOOK_AGAIN: Duration = Duration::from_secs(30);

/// One client's socket, owned by one task: what is read from it, and the subscriptions, are its local
/// variables. Its outbox alone is touched by others.
pub struct Connection<L> {
    pub(super) socket: Socket<L>,
    pub(super) server: Arc<Server>,
    pub(super) client: Client,
    pub(super) outbox: Arc<Outbox>,
    /// The id of the key that opened it, for log lines.
    key: Option<Uuid>,
    since: Instant,
    counted: Held,
    /// `None` where nothing is limited.
    place: Option<Place>,
}

/// A connection whose client was let in.
///
/// There are many of them, and most wait. So they wait for two things alone, the socket and the
/// [bell](Outbox::ring), with no timer and no buffer of their own; a test holds what one weighs.
pub(super) struct Open<L> {
    connection: Connection<L>,
    life: Life,
}

/// What became of a connection that was to be opened.
pub(super) type Opened<L> = Result<Open<L>, (Connection<L>, Close)>;

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

/// What came from a client.
pub(super) enum Heard {
    Says(ClientMessage),
    Ping,
    Pong,
}

impl Connection<Direct> {
    /// A connection over TCP, behind an upgrade: with what was read behind that.
    pub(super) fn over_tcp(
        stream: TcpStream,
        read: &[u8],
        server: Arc<Server>,
        client: Client,
    ) -> Self {
        let outbox = Outbox::new(server.outbox.clone(), Framing::WebSocket, Some(stream));
        let line = Direct::of(outbox.clone());
        Connection::new(line, read, outbox, server, client)
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin + Send + 'static> Connection<Piped<S>> {
    /// A connection over anything else. All of its writing is done by its own task.
    pub fn over(pipe: S, server: Arc<Server>, client: Client) -> Self {
        let outbox = Outbox::new(server.outbox.clone(), Framing::WebSocket, None);
        Connection::new(Piped(pipe), &[], outbox, server, client)
    }

    /// Lives until the client goes, or a reason to end it comes up; says which.
    pub async fn run(self) -> Close {
        let opened = self.open().map(Some);
        live(opened).await.expect("it was opened")
    }
}

/// The life of a connection that is opened by this, if it is: until the client goes, or a reason to end
/// it comes up; says which.
pub(super) fn live<L: Line + 'static>(
    opening: impl Future<Output = Option<Opened<L>>> + Send + 'static,
) -> impl Future<Output = Option<Close>> + Send {
    // Boxed, as the end is: they are not for long, and the room for them would be kept all the time.
    let opening = opening.boxed();
    async move {
        match opening.await? {
            Ok(mut open) => {
                let Err(close) = open.operate().await;
                Some(open.connection.end(close).boxed().await)
            }
            Err((connection, close)) => Some(connection.end(close).boxed().await),
        }
    }
}

impl<L: Line> Connection<L> {
    fn new(line: L, read: &[u8], outbox: Arc<Outbox>, server: Arc<Server>, client: Client) -> Self {
        let counted = count(&server.metrics, "unknown");
        Connection {
            socket: Socket::new(line, read, server.limits.message_bytes),
            server,
            client,
            outbox,
            key: None,
            since: Instant::now(),
            counted,
            place: None,
        }
    }

    /// Its place among all that there may be, which is free when it has ended.
    pub(super) fn at(mut self, place: Place) -> Self {
        self.place = Some(place);
        self
    }

    /// Closes a socket that did not ask for a protocol that is spoken here.
    pub(super) fn refuse(self) -> Opened<L> {
        Err((self, Close::SubprotocolNotAcceptable))
    }

    /// Lets the client in, or says why not.
    pub(super) async fn open(mut self) -> Opened<L> {
        // What is said of a client before it is known says which it is. Not for longer: a span is not
        // for free, and most connections have nothing to say.
        let id = self.client.id.simple();
        let span = tracing::info_span!("connection", %id, key = tracing::field::Empty);
        let Admitted {
            session,
            registered,
            ack,
        } = match self.handshake().instrument(span).await {
            Ok(admitted) => admitted,
            Err(close) => return Err((self, close)),
        };
        self.counted = count(&self.server.metrics, session.identity.kind());
        self.key = session.credential.key_id();
        self.say(&ack);
        let life = Life {
            session,
            registered,
            heartbeat: Heartbeat::new(self.server.limits.ping_interval),
            subscriptions: Subscriptions::default(),
            refresh: Refresh::default(),
            rings_at: None,
        };
        Ok(Open {
            connection: self,
            life,
        })
    }

    async fn end(mut self, close: Close) -> Close {
        self.say_goodbye(&close).await;
        let reason = close.name();
        let closes = &self.server.metrics.closes;
        closes.get_or_create(&ReasonLabel { reason }).inc();
        tracing::info!(
            id = %self.client.id.simple(),
            key = self.key.map(tracing::field::display),
            close.code = close.code(),
            close.reason = reason,
            duration_ms = self.since.elapsed().as_millis() as u64,
            "connection ended"
        );
        close
    }

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
        let mut next = life.heartbeat.due_at();
        match self.outbox.state() {
            State::Overflowed => return Err(Close::TooSlow),
            State::Pending { since } if since + limits.write_timeout <= now => {
                return Err(Close::TooSlow);
            }
            State::Pending { since } => next = next.min(since + limits.write_timeout),
            State::Clear => {}
        }
        match life.heartbeat.due(now) {
            Some(Beat::Silence) => return Err(Close::Unresponsive),
            Some(Beat::Ping) => {
                self.outbox.say(|out| push_frame(out, Opcode::Ping, &[]));
                life.heartbeat.pinged(limits.pong_timeout);
                next = life.heartbeat.due_at();
                if let State::Pending { since } = self.outbox.state() {
                    next = next.min(since + limits.write_timeout);
                }
            }
            None => {}
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

    /// The next message of the protocol; `None` for a frame that is none of its. Cancel-safe.
    pub(super) async fn receive(&mut self) -> Result<Option<ClientMessage>, Close> {
        match hear(&mut self.socket, &self.outbox).await? {
            Heard::Says(message) => Ok(Some(message)),
            Heard::Ping | Heard::Pong => Ok(None),
        }
    }

    pub(super) fn say(&self, text: &str) {
        self.outbox
            .say(|out| push_frame(out, Opcode::Text, &[text.as_bytes()]));
    }

    /// Sends the close frame, and gives the client a moment to answer it.
    async fn say_goodbye(&mut self, close: &Close) {
        let is_answer = *close == Close::ByClient;
        if let Some(code) = close.code() {
            say_close(&self.outbox, code, &close.reason());
        } else if !is_answer {
            return self.outbox.shut();
        }
        let Connection { socket, outbox, .. } = self;
        let goodbye = async {
            let flushed = poll_fn(|context| socket.poll_flush(context, outbox)).await;
            if is_answer || flushed.is_err() {
                return;
            }
            loop {
                // What comes before the answer may be anything that was on its way.
                match poll_fn(|context| socket.poll_next(context, outbox, is_close)).await {
                    Ok(false) => {}
                    Ok(true) | Err(SocketError::Gone) => return,
                    Err(SocketError::Bad(_)) => break,
                }
            }
            // Unread bytes would make of our close a reset, which takes the frame with it.
            poll_fn(|context| socket.poll_drained(context)).await;
        };
        // Over the limit the socket is dropped: the client has had its chance.
        let _ = timeout(CLOSE_WAIT, goodbye).await;
        self.outbox.shut();
    }
}

impl<L: Line> Open<L> {
    /// What it was rung for goes first, then newer credentials, then the client, then what has
    /// started. Results are no part of this: whoever has one writes it. Everything that is awaited here
    /// is cancel-safe.
    async fn operate(&mut self) -> Result<Infallible, Close> {
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

/// The next thing that a client says. Its pings and its goodbye are answered. Cancel-safe.
async fn hear<L: Line>(socket: &mut Socket<L>, outbox: &Outbox) -> Result<Heard, Close> {
    let read = |message: Message<'_>| match message {
        Message::Text(text) => words::decode(&text).map(Heard::Says),
        Message::Binary(_) => Err(Close::InvalidMessage(
            "a binary frame, messages are text".into(),
        )),
        Message::Ping(payload) => {
            outbox.say(|out| push_frame(out, Opcode::Pong, &[&payload]));
            Ok(Heard::Ping)
        }
        Message::Pong(_) => Ok(Heard::Pong),
        Message::Close(said) => {
            outbox.say_last(|out| match said {
                Some((code, reason)) => {
                    push_frame(out, Opcode::Close, &[&close_payload(code, &reason)]);
                }
                None => push_frame(out, Opcode::Close, &[]),
            });
            Err(Close::ByClient)
        }
    };
    poll_fn(|context| {
        let heard = ready!(socket.poll_next(context, outbox, read));
        Poll::Ready(heard.unwrap_or_else(|error| Err(error.into())))
    })
    .await
}

fn say_close(outbox: &Outbox, code: u16, reason: &str) {
    let payload = close_payload(code, reason);
    outbox.say_last(|out| push_frame(out, Opcode::Close, &[&payload]));
}

fn is_close(message: Message<'_>) -> bool {
    matches!(message, Message::Close(_))
}

/// When credentials are to be looked at again, if they end by themselves.
fn ends_in(credential: &Credential) -> Option<Duration> {
    let left = credential.closes_at()?.duration_since(Timestamp::now());
    // An error is a time that has passed.
    Some(Duration::try_from(left).unwrap_or_default().min(LOOK_AGAIN))
}

fn count(metrics: &Metrics, identity: &'static str) -> Held {
    Held::new(&metrics.connections.get_or_create(&ConnectionLabel {
        protocol: SUBPROTOCOL,
        identity,
    }))
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
