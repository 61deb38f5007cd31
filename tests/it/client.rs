//! A client that says exactly what a test tells it to.

use std::net::SocketAddr;

use futures_util::{SinkExt, StreamExt};
use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};
use tokio::time::timeout;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::Role;

use crate::tidings::PATIENCE;

pub(crate) struct Client {
    socket: WebSocketStream<TcpStream>,
    /// The subprotocol that the server chose.
    pub(crate) subprotocol: Option<String>,
    fences: usize,
}

const SUBPROTOCOL: &str = "graphql-transport-ws";

/// How a connection was closed: code and reason. Code 1006 is a socket that ended without a frame.
pub(crate) type Closed = (u16, String);

impl Client {
    /// Connects, offering these subprotocols as written.
    ///
    /// The upgrade is asked for by hand: libraries refuse an answer without a subprotocol, and with
    /// it the close frame that says why there is none.
    pub(crate) async fn connect(address: SocketAddr, subprotocols: Option<&str>) -> Self {
        Self::connect_at(address, "/graphql", subprotocols).await
    }

    /// The same at another path.
    pub(crate) async fn connect_at(
        address: SocketAddr,
        path: &str,
        subprotocols: Option<&str>,
    ) -> Self {
        let offer = subprotocols.map_or(String::new(), offer);
        let socket = TcpSocket::new_v4().expect("a socket");
        Self::over(socket, address, path, &offer).await
    }

    /// Connects with a subprotocol, and says more in the headers of the upgrade.
    pub(crate) async fn connect_with(
        address: SocketAddr,
        subprotocol: &str,
        headers: &[(&str, &str)],
    ) -> Self {
        let headers = lines(headers);
        let socket = TcpSocket::new_v4().expect("a socket");
        Self::over(
            socket,
            address,
            "/graphql",
            &(offer(subprotocol) + &headers),
        )
        .await
    }

    /// Connects at this path without a subprotocol, and says this in the headers of the upgrade.
    pub(crate) async fn connect_saying(
        address: SocketAddr,
        path: &str,
        headers: &[(&str, &str)],
    ) -> Self {
        let headers = lines(headers);
        let socket = TcpSocket::new_v4().expect("a socket");
        Self::over(socket, address, path, &headers).await
    }

    /// Connects with a small receive buffer: a client that stops reading is noticed soon.
    pub(crate) async fn narrow(address: SocketAddr) -> Self {
        let socket = TcpSocket::new_v4().expect("a socket");
        socket.set_recv_buffer_size(4096).expect("a buffer");
        Self::over(socket, address, "/graphql", &offer(SUBPROTOCOL)).await
    }

    /// The same at another path, without a subprotocol.
    pub(crate) async fn narrow_at(address: SocketAddr, path: &str) -> Self {
        let socket = TcpSocket::new_v4().expect("a socket");
        socket.set_recv_buffer_size(4096).expect("a buffer");
        Self::over(socket, address, path, "").await
    }

    async fn over(socket: TcpSocket, address: SocketAddr, path: &str, headers: &str) -> Self {
        let (stream, head) = upgrade(socket, address, path, headers).await;
        let subprotocol = head.lines().find_map(|line| {
            let (name, value) = line.split_once(':')?;
            name.eq_ignore_ascii_case("sec-websocket-protocol")
                .then(|| value.trim().to_owned())
        });
        Client {
            socket: WebSocketStream::from_raw_socket(stream, Role::Client, None).await,
            subprotocol,
            fences: 0,
        }
    }

    /// `connection_init` with this payload, and its acknowledgement.
    pub(crate) async fn init(&mut self, payload: &str) {
        self.send(&format!(
            r#"{{"type":"connection_init","payload":{payload}}}"#
        ))
        .await;
        assert_eq!(self.text().await, r#"{"type":"connection_ack"}"#);
    }

    /// Subscribes with this id to this document, without variables.
    pub(crate) async fn subscribe(&mut self, id: &str, query: &str) {
        self.subscribe_with(id, query, "{}").await;
    }

    /// The same with variables, in JSON.
    pub(crate) async fn subscribe_with(&mut self, id: &str, query: &str, variables: &str) {
        let query = serde_json::to_string(query).expect("text is JSON");
        let payload = format!(r#"{{"query":{query},"variables":{variables}}}"#);
        self.send(&format!(
            r#"{{"id":"{id}","type":"subscribe","payload":{payload}}}"#
        ))
        .await;
    }

    /// Ends a subscription.
    pub(crate) async fn complete(&mut self, id: &str) {
        self.send(&format!(r#"{{"id":"{id}","type":"complete"}}"#))
            .await;
    }

    /// Sends a text frame.
    pub(crate) async fn send(&mut self, text: &str) {
        self.send_message(Message::text(text)).await;
    }

    /// Sends any frame.
    pub(crate) async fn send_message(&mut self, message: Message) {
        timeout(PATIENCE, self.socket.send(message))
            .await
            .expect("it is sent in time")
            .expect("the socket is open");
    }

    /// The next text frame. Pings and pongs of WebSocket are passed over.
    pub(crate) async fn text(&mut self) -> String {
        match self.event().await {
            Ok(text) => text,
            Err((code, reason)) => panic!("closed {code} {reason:?} where a message was expected"),
        }
    }

    /// The next text frame, as JSON.
    pub(crate) async fn json(&mut self) -> Value {
        serde_json::from_str(&self.text().await).expect("messages are JSON")
    }

    /// The next text frame, which is a result of the subscription with this id: its payload.
    pub(crate) async fn payload(&mut self, id: &str) -> Value {
        let mut message = self.json().await;
        assert_eq!(
            (&message["type"], &message["id"]),
            (&"next".into(), &id.into()),
            "{message}"
        );
        message["payload"].take()
    }

    /// The next text frame says that the subscription with this id has ended.
    pub(crate) async fn completed(&mut self, id: &str) {
        let complete = format!(r#"{{"id":"{id}","type":"complete"}}"#);
        assert_eq!(self.text().await, complete);
    }

    /// How the connection is closed; messages before that are a failure.
    pub(crate) async fn closed(&mut self) -> Closed {
        match self.event().await {
            Ok(text) => panic!("{text} where the connection was expected to close"),
            Err(closed) => closed,
        }
    }

    /// How the connection is closed, whatever comes before.
    pub(crate) async fn closed_after_all(&mut self) -> (Vec<String>, Closed) {
        let mut texts = Vec::new();
        loop {
            match self.event().await {
                Ok(text) => texts.push(text),
                Err(closed) => return (texts, closed),
            }
        }
    }

    /// The next text frame, or the close. The server's pings do not prolong the wait.
    pub(crate) async fn event(&mut self) -> Result<String, Closed> {
        let next = async {
            loop {
                match self.message().await {
                    Some(Message::Text(text)) => return Ok(text.to_string()),
                    Some(Message::Close(Some(frame))) => {
                        return Err((frame.code.into(), frame.reason.to_string()));
                    }
                    Some(Message::Close(None)) => return Err((1005, String::new())),
                    Some(_) => {}
                    None => return Err((1006, String::new())),
                }
            }
        };
        timeout(PATIENCE, next)
            .await
            .expect("a message or a close comes in time")
    }

    /// The next frame of any kind; `None` when the socket has ended. Reading also answers pings.
    pub(crate) async fn message(&mut self) -> Option<Message> {
        let next = timeout(PATIENCE, self.socket.next())
            .await
            .expect("something comes in time");
        next.and_then(Result::ok)
    }

    /// All messages up to now: sends a ping of the protocol, and reads until its pong.
    ///
    /// What the server had put into its outbox before it read the ping may still be behind the pong:
    /// to be sure that something does not come, wait for a fact that comes after it.
    pub(crate) async fn fence(&mut self) -> Vec<String> {
        self.fences += 1;
        let fence = format!(r#""payload":{{"fence":{}}}"#, self.fences);
        self.send(&format!(r#"{{"type":"ping",{fence}}}"#)).await;
        let pong = format!(r#"{{"type":"pong",{fence}}}"#);
        let mut texts = Vec::new();
        loop {
            let text = self.text().await;
            if text == pong {
                return texts;
            }
            texts.push(text);
        }
    }
}

/// A client that does nothing by itself: no pong, no answer to a close frame. It also sees frames as
/// they are.
pub(crate) struct Raw(TcpStream);

/// A frame of a server: its first byte (`FIN` and the opcode), and its payload.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct RawFrame {
    pub(crate) first: u8,
    pub(crate) payload: Vec<u8>,
}

/// `FIN`, and the opcode of a close frame, a ping.
pub(crate) const CLOSE: u8 = 0x88;
pub(crate) const PING: u8 = 0x89;

impl Raw {
    pub(crate) async fn connect(address: SocketAddr) -> Self {
        let socket = TcpSocket::new_v4().expect("a socket");
        Raw(upgrade(socket, address, "/graphql", &offer(SUBPROTOCOL))
            .await
            .0)
    }

    /// The same at another path, without a subprotocol.
    pub(crate) async fn connect_at(address: SocketAddr, path: &str) -> Self {
        let socket = TcpSocket::new_v4().expect("a socket");
        Raw(upgrade(socket, address, path, "").await.0)
    }

    /// Sends a frame in one piece: the opcode with `FIN`, and the payload.
    pub(crate) async fn send(&mut self, first: u8, payload: &[u8]) {
        const MASKED: u8 = 0x80;
        let length = payload.len();
        let mut frame = vec![first];
        match u16::try_from(length) {
            Ok(short) if short < 126 => frame.push(MASKED | short as u8),
            Ok(short) => {
                frame.push(MASKED | 126);
                frame.extend(short.to_be_bytes());
            }
            Err(_) => {
                frame.push(MASKED | 127);
                frame.extend((length as u64).to_be_bytes());
            }
        }
        // The mask of zeroes changes nothing.
        frame.extend([0; 4]);
        frame.extend(payload);
        // A server that has had enough does not take the rest: what it says is what counts.
        let _ = timeout(PATIENCE, self.0.write_all(&frame))
            .await
            .expect("it is sent in time");
    }

    /// Sends a text frame.
    pub(crate) async fn text(&mut self, text: &str) {
        self.send(0x81, text.as_bytes()).await;
    }

    /// The next frame; `None` when the connection has ended.
    pub(crate) async fn frame(&mut self) -> Option<RawFrame> {
        timeout(PATIENCE, self.read())
            .await
            .expect("something comes in time")
            .ok()
    }

    async fn read(&mut self) -> std::io::Result<RawFrame> {
        let first = self.0.read_u8().await?;
        let length = match self.0.read_u8().await? {
            126 => usize::from(self.0.read_u16().await?),
            127 => self.0.read_u64().await? as usize,
            short => usize::from(short),
        };
        assert!(
            length < 1 << 24,
            "servers do not mask, and we ask for little"
        );
        let mut payload = vec![0; length];
        self.0.read_exact(&mut payload).await?;
        Ok(RawFrame { first, payload })
    }
}

/// Headers as they are sent.
fn lines(headers: &[(&str, &str)]) -> String {
    let headers = headers.iter();
    headers
        .map(|(name, value)| format!("{name}: {value}\r\n"))
        .collect()
}

/// The header that offers these subprotocols.
fn offer(subprotocols: &str) -> String {
    format!("Sec-WebSocket-Protocol: {subprotocols}\r\n")
}

/// Asks for the upgrade to WebSocket with these headers, each with its line end, and insists on it: the stream behind it, and what was said.
async fn upgrade(
    socket: TcpSocket,
    address: SocketAddr,
    path: &str,
    headers: &str,
) -> (TcpStream, String) {
    let request = format!(
        "GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n{headers}\r\n"
    );
    let upgraded = async {
        let mut stream = socket.connect(address).await?;
        stream.set_nodelay(true)?;
        stream.write_all(request.as_bytes()).await?;
        let mut head = Vec::new();
        // Byte by byte: what follows belongs to the WebSocket.
        while !head.ends_with(b"\r\n\r\n") {
            head.push(stream.read_u8().await?);
        }
        Ok::<_, std::io::Error>((stream, head))
    };
    let (stream, head) = timeout(PATIENCE, upgraded)
        .await
        .expect("it answers in time")
        .expect("it answers");
    let head = String::from_utf8(head).expect("headers are text");
    assert!(head.starts_with("HTTP/1.1 101 "), "no upgrade: {head}");
    // RFC 6455, section 1.3, has this example.
    assert!(head.contains("s3pPLMBiTxaQ9kYGzzhZRbK+xOo="), "{head}");
    (stream, head)
}
