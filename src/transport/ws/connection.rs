//! The life of one socket, from its opening to its end.

use std::convert::Infallible;
use std::future::{Future, poll_fn};
use std::sync::Arc;
use std::task::{Poll, ready};
use std::time::Duration;

use futures_util::FutureExt;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::handshake::Admitted;
use super::message::{ClientMessage, invalid};
use super::open::Open;
use super::socket::{Direct, Line, Piped, Socket, SocketError};
use super::{graphql_transport_ws, graphql_ws};
use crate::hub::Outbox;
use crate::transport::close::Close;
use crate::transport::endpoint::{Client, Endpoint};
use crate::transport::entrance::Place;
use crate::transport::introduction::Introduction;
use crate::transport::protocol::Protocol;
use crate::transport::server::Server;
use crate::websocket::{Message, Opcode, close_payload, push_frame};

/// How long a client may take to answer a close frame.
const CLOSE_WAIT: Duration = Duration::from_secs(2);
/// One client's socket, owned by one task: what is read from it, and the subscriptions, are its local
/// variables. Its outbox alone is touched by others.
pub struct Connection<L> {
    pub(super) socket: Socket<L>,
    pub(super) endpoint: Endpoint,
}

/// A connection whose client was let in.
pub(super) trait Conversation<L>: Send + 'static {
    /// Goes on until a reason to end it comes up.
    fn operate(&mut self) -> impl Future<Output = Result<Infallible, Close>> + Send;

    /// What is left of it to close.
    fn into_connection(self) -> Connection<L>;
}

/// What became of a connection that was to be opened. Boxed, because what a task is handed it has
/// room for twice.
pub(super) type Opened<L, C> = Result<Box<C>, Box<(Connection<L>, Close)>>;

/// What came from a client.
pub(super) enum Heard<T> {
    Says(T),
    Ping,
    Pong,
}

/// What a client says: one message.
pub(super) enum Says<'a> {
    Text(&'a str),
    Binary(&'a [u8]),
}

impl Connection<Direct> {
    /// A connection over TCP, behind an upgrade: with what was read behind that.
    pub(super) fn over_tcp(
        stream: TcpStream,
        read: &[u8],
        server: Arc<Server>,
        client: Client,
        protocol: Protocol,
        message_bytes: usize,
    ) -> Self {
        let outbox = Outbox::new(
            server.outbox_rules(protocol),
            protocol.framing(),
            Some(stream),
        );
        let line = Direct::of(outbox.clone());
        let endpoint = Endpoint::new(server, client, protocol, outbox);
        Connection::new(line, read, endpoint, message_bytes)
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin + Send + 'static> Connection<Piped<S>> {
    /// A connection over anything else. All of its writing is done by its own task.
    pub fn over(
        pipe: S,
        server: Arc<Server>,
        client: Client,
        protocol: Protocol,
        message_bytes: usize,
    ) -> Self {
        let outbox = Outbox::new(server.outbox_rules(protocol), protocol.framing(), None);
        let endpoint = Endpoint::new(server, client, protocol, outbox);
        Connection::new(Piped(pipe), &[], endpoint, message_bytes)
    }

    /// Lives until the client goes, or a reason to end it comes up; says which.
    pub async fn run(self) -> Close {
        let opened = self.open(None).map(Some);
        live(opened).await.expect("it was opened")
    }
}

/// The life of a connection that is opened by this, if it is: until the client goes, or a reason to end
/// it comes up; says which.
pub(super) fn live<L: Line, C: Conversation<L>>(
    opening: impl Future<Output = Option<Opened<L, C>>> + Send + 'static,
) -> impl Future<Output = Option<Close>> + Send {
    // Boxed, as the end is: they are not for long, and the room for them would be kept all the time.
    let opening = opening.boxed();
    async move {
        let ending = match opening.await? {
            Ok(mut open) => {
                let Err(close) = open.operate().await;
                open.into_connection().end(close).boxed()
            }
            Err(refused) => {
                let (connection, close) = *refused;
                connection.end(close).boxed()
            }
        };
        Some(ending.await)
    }
}

impl<L: Line> Connection<L> {
    fn new(line: L, read: &[u8], endpoint: Endpoint, message_bytes: usize) -> Self {
        Connection {
            socket: Socket::new(line, read, message_bytes),
            endpoint,
        }
    }

    /// Its place among all that there may be, which is free when it has ended.
    pub(super) fn at(mut self, place: Place) -> Self {
        self.endpoint.take_place(place);
        self
    }

    /// Closes a socket that did not ask for a protocol that is spoken here.
    pub(super) fn refuse<C>(self) -> Opened<L, C> {
        Err(Box::new((self, Close::SubprotocolNotAcceptable)))
    }

    /// Lets the client in, or says why not. What was said of it in headers is known already.
    pub(super) async fn open(mut self, said: Option<Box<Introduction>>) -> Opened<L, Open<L>> {
        let Admitted {
            session,
            registered,
            early,
        } = match self.handshake(said).await {
            Ok(admitted) => admitted,
            Err(close) => return Err(Box::new((self, close))),
        };
        self.endpoint.set_session(&session);
        let mut open = Box::new(Open::new(self, session, registered));
        match early.map_or(Ok(()), |message| open.on_early(*message)) {
            Ok(()) => Ok(open),
            Err(close) => Err(Box::new((open.into_connection(), close))),
        }
    }

    async fn end(mut self, close: Close) -> Close {
        self.say_goodbye(&close).await;
        self.endpoint.ended(&close);
        close
    }

    /// The next message of the protocol; `None` for a frame that is none of its. Cancel-safe.
    pub(super) async fn receive(&mut self) -> Result<Option<ClientMessage>, Close> {
        match hear(&mut self.socket, &self.endpoint, decode).await? {
            Heard::Says(message) => Ok(Some(message)),
            Heard::Ping | Heard::Pong => Ok(None),
        }
    }

    /// Sends the close frame, and gives the client a moment to answer it.
    async fn say_goodbye(&mut self, close: &Close) {
        let is_answer = *close == Close::ByClient;
        if let Some(code) = self.endpoint.protocol.close_code(close) {
            say_close(&self.endpoint.outbox, code, &close.reason());
        } else if !is_answer {
            return self.endpoint.outbox.shut();
        }
        let Connection { socket, endpoint } = self;
        let outbox = &endpoint.outbox;
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
        self.endpoint.outbox.shut();
    }
}

/// The next thing that a client says, as it is read by this. Its pings and its goodbye are answered.
/// Cancel-safe.
pub(super) async fn hear<L: Line, T>(
    socket: &mut Socket<L>,
    endpoint: &Endpoint,
    read: impl Fn(Protocol, Says<'_>) -> Result<T, Close>,
) -> Result<Heard<T>, Close> {
    let take = |message: Message<'_>| match message {
        Message::Text(text) => read(endpoint.protocol, Says::Text(&text)).map(Heard::Says),
        Message::Binary(bytes) => read(endpoint.protocol, Says::Binary(&bytes)).map(Heard::Says),
        Message::Ping(payload) => {
            endpoint
                .outbox
                .say(|out| push_frame(out, Opcode::Pong, &[&payload]));
            Ok(Heard::Ping)
        }
        Message::Pong(_) => Ok(Heard::Pong),
        Message::Close(said) => {
            endpoint.outbox.say_last(|out| match said {
                Some((code, reason)) => {
                    push_frame(out, Opcode::Close, &[&close_payload(code, &reason)]);
                }
                None => push_frame(out, Opcode::Close, &[]),
            });
            Err(Close::ByClient)
        }
    };
    poll_fn(|context| {
        let heard = ready!(socket.poll_next(context, &endpoint.outbox, take));
        Poll::Ready(heard.unwrap_or_else(|error| Err(error.into())))
    })
    .await
}

/// Reads a message of one of GraphQL's protocols. Apps of graphql-ws may write their texts into binary
/// frames: Apollo Kotlin did for a while.
pub(super) fn decode(protocol: Protocol, says: Says<'_>) -> Result<ClientMessage, Close> {
    let text = match says {
        Says::Text(text) => Some(text),
        Says::Binary(bytes) if protocol == Protocol::GraphqlWs => std::str::from_utf8(bytes).ok(),
        Says::Binary(_) => None,
    };
    match (protocol, text) {
        (_, None) => Err(invalid("a binary frame, messages are text")),
        (Protocol::GraphqlWs, Some(text)) => graphql_ws::decode(text),
        (_, Some(text)) => graphql_transport_ws::decode(text),
    }
}

fn say_close(outbox: &Outbox, code: u16, reason: &str) {
    let payload = close_payload(code, reason);
    outbox.say_last(|out| push_frame(out, Opcode::Close, &[&payload]));
}

fn is_close(message: Message<'_>) -> bool {
    matches!(message, Message::Close(_))
}
