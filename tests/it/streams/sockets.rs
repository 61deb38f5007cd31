//! Clients that use their socket in some other way than most: older ones, and such as say more than they need to.

use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::response::Response;
use super::{asks, publish_to, result};
use crate::bodies::DOLLARS;
use crate::tidings::{PATIENCE, Tidings};

const GONE: &str = r#"tidings_closes_total{reason="gone"}"#;

/// A client that speaks raw bytes.
struct Socket(TcpStream);

impl Socket {
    async fn says(server: &Tidings, text: &str) -> Self {
        let mut socket = TcpStream::connect(server.address()).await.unwrap();
        socket.write_all(text.as_bytes()).await.unwrap();
        Socket(socket)
    }

    /// What comes, up to and with this.
    async fn until(&mut self, end: &str) -> String {
        let mut text = String::new();
        while !text.ends_with(end) {
            let byte = timeout(PATIENCE, self.0.read_u8()).await;
            let byte = byte.unwrap_or_else(|_| panic!("no {end:?} in {text:?}"));
            text.push(char::from(
                byte.unwrap_or_else(|_| panic!("it ends behind {text:?}")),
            ));
        }
        text
    }

    /// What comes, up to the end.
    async fn rest(mut self) -> String {
        let mut text = String::new();
        let read = timeout(PATIENCE, self.0.read_to_string(&mut text)).await;
        read.expect("it ends").expect("it is text");
        text
    }
}

/// A POST of [`DOLLARS`] that takes an event stream.
fn dollars(version: &str, more: &str) -> String {
    let body = asks(DOLLARS);
    let length = body.len();
    format!(
        "POST /graphql HTTP/{version}\r\nHost: t\r\nAccept: text/event-stream\r\n\
         Content-Type: application/json\r\nContent-Length: {length}\r\n{more}\r\n{body}"
    )
}

#[tokio::test]
async fn a_client_of_http_1_0_gets_the_same_without_chunks_until_the_socket_ends() {
    let mut server = Tidings::start().await;
    let mut socket = Socket::says(&server, &dollars("1.0", "")).await;
    let head = socket.until("\r\n\r\n").await.to_ascii_lowercase();
    assert!(head.starts_with("http/1.0 200 ok\r\n"), "{head}");
    assert!(!head.contains("transfer-encoding"), "{head}");
    assert_eq!(socket.until("\n\n").await, ":\n\n");
    publish_to(&server, 1.0, 7).await;
    let event = format!("event: next\ndata: {}\n\n", result(7));
    assert_eq!(socket.until("\n\n").await, event);
    server.signal("TERM");
    assert_eq!(socket.rest().await, "");
    assert_eq!(server.exit_code().await, Some(0));
}

#[tokio::test]
async fn a_client_that_asks_whether_it_may_go_on_is_told_so() {
    let server = Tidings::start().await;
    let request = dollars("1.1", "Expect: 100-continue\r\n");
    let (head, body) = request.split_once("\r\n\r\n").unwrap();
    let mut socket = Socket::says(&server, &format!("{head}\r\n\r\n")).await;
    assert_eq!(
        socket.until("\r\n\r\n").await,
        "HTTP/1.1 100 Continue\r\n\r\n"
    );
    socket.0.write_all(body.as_bytes()).await.unwrap();
    socket.until(":\n\n").await;
}

/// It is not known from one that has gone: nothing else is said by a client that closes its socket. Proxies see it the
/// same way.
#[tokio::test]
async fn a_client_that_says_that_it_will_say_no_more_has_gone() {
    let server = Tidings::start().await;
    let mut socket = Socket::says(&server, &dollars("1.1", "")).await;
    socket.until(":\n\n").await;
    server.until_metric("tidings_connections", 1.0).await;
    socket.0.shutdown().await.unwrap();
    socket.rest().await;
    server.until_metric(GONE, 1.0).await;
    server.until_metric("tidings_subscriptions", 0.0).await;
}

#[tokio::test]
async fn a_client_that_has_gone_behind_another_request_is_missed_when_it_is_told_that_we_are_there()
{
    let server = Tidings::start_with(&[("TIDINGS_LIMITS__SSE_HEARTBEAT", "50ms")]).await;
    let both = dollars("1.1", "") + &dollars("1.1", "");
    let mut socket = Socket::says(&server, &both).await;
    socket.until(":\n\n").await;
    // The second one has to wait: a response comes after the other.
    assert_eq!(server.metric("tidings_connections").await, 1.0);
    drop(socket);
    server.until_metric(GONE, 1.0).await;
    server.until_metric("tidings_connections", 0.0).await;
}

#[tokio::test]
async fn who_asks_for_the_head_alone_leaves_nothing_and_takes_nobody_s_stream() {
    let server = Tidings::start().await;
    let query: String = url::form_urlencoded::byte_serialize(DOLLARS.as_bytes()).collect();
    let of = async |method: &str, path: &str| {
        Response::of(server.address(), method, path, &[], "").await
    };
    let path = format!("/graphql?query={query}");
    let head = format!(
        "HEAD {path} HTTP/1.1\r\nHost: t\r\nAccept: text/event-stream\r\nConnection: close\r\n\r\n"
    );
    // The socket goes on behind it.
    let head = head.replace("Connection: close\r\n", "") + &head;
    let said = Socket::says(&server, &head).await.rest().await;
    assert_eq!(said.matches("HTTP/1.1 200 OK\r\n").count(), 2, "{said}");
    assert!(said.ends_with("\r\n\r\n"), "{said}");
    server.until_metric(GONE, 2.0).await;
    assert_eq!(server.metric("tidings_connections").await, 0.0);
    assert_eq!(server.metric("tidings_subscriptions").await, 0.0);

    let token = of("PUT", "/graphql").await.rest().await;
    let path = format!("/graphql?token={token}");
    let head = format!("HEAD {path} HTTP/1.1\r\nHost: t\r\nConnection: close\r\n\r\n");
    let said = Socket::says(&server, &head).await.rest().await;
    assert!(said.starts_with("HTTP/1.1 405 "), "{said}");
    let mut stream = of("GET", &path).await;
    assert_eq!(stream.status, 200);
    stream.until(":\n\n").await;
}

#[tokio::test]
async fn each_request_of_a_socket_brings_its_own_credentials() {
    let server = Tidings::start().await;
    let account = "0d3d3c1a-5e0e-4b7b-8f59-7f1a7b1f6a51";
    let key = server.key(account, &["read"]).await;
    let body = json!({ "query": "{ me { id } }" }).to_string();
    let ask = |more: &str| {
        let length = body.len();
        format!(
            "POST /graphql HTTP/1.1\r\nHost: t\r\nContent-Type: application/json\r\nContent-Length: {length}\r\n{more}\r\n{body}"
        )
    };
    let both = ask(&format!("X-API-KEY: {key}\r\n")) + &ask("Connection: close\r\n");
    let said = Socket::says(&server, &both).await.rest().await;
    let (first, second) = said.split_at(said.rfind("HTTP/1.1 ").unwrap());
    assert!(first.contains(account), "{first}");
    assert!(second.starts_with("HTTP/1.1 "), "{second}");
    assert!(!second.contains(account), "{second}");
}
