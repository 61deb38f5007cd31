//! A client that says exactly what a test tells it to.

use std::net::SocketAddr;

use futures_util::{SinkExt, StreamExt};
use serde_json::Value;
use tokio::net::{TcpSocket, TcpStream};
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::http::HeaderValue;
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, client_async, connect_async};

use crate::tidings::PATIENCE;

pub(crate) struct Client {
    socket: WebSocketStream<MaybeTlsStream<TcpStream>>,
    /// The subprotocol that the server chose.
    pub(crate) subprotocol: Option<String>,
    fences: usize,
}

/// How a connection was closed: code and reason. Code 1006 is a socket that ended without a frame.
pub(crate) type Closed = (u16, String);

impl Client {
    /// Connects, offering these subprotocols as written.
    pub(crate) async fn connect(url: &str, subprotocols: Option<&str>) -> Self {
        let mut request = url.into_client_request().expect("a URL");
        if let Some(subprotocols) = subprotocols {
            let value = subprotocols.parse().expect("a header");
            request
                .headers_mut()
                .insert("sec-websocket-protocol", value);
        }
        let connected = timeout(PATIENCE, connect_async(request))
            .await
            .expect("it connects in time");
        let (socket, response) = match connected {
            Ok(connected) => connected,
            Err(error) => panic!("{url} does not take the upgrade: {error}"),
        };
        let chosen = response.headers().get("sec-websocket-protocol");
        let subprotocol = chosen.map(|value| value.to_str().expect("text").to_owned());
        Client {
            socket,
            subprotocol,
            fences: 0,
        }
    }

    /// Connects with a small receive buffer: a client that stops reading is noticed soon.
    pub(crate) async fn narrow(address: SocketAddr) -> Self {
        let socket = TcpSocket::new_v4().expect("a socket");
        socket.set_recv_buffer_size(4096).expect("a buffer");
        let stream = socket.connect(address).await.expect("it connects");
        let mut request = format!("ws://{address}/graphql")
            .into_client_request()
            .expect("a URL");
        let protocol = HeaderValue::from_static("graphql-transport-ws");
        request
            .headers_mut()
            .insert("sec-websocket-protocol", protocol);
        let stream = MaybeTlsStream::Plain(stream);
        let (socket, _) = timeout(PATIENCE, client_async(request, stream))
            .await
            .expect("it connects in time")
            .expect("it takes the upgrade");
        Client {
            socket,
            subprotocol: None,
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
