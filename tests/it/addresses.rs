//! Limits by address: whose it is, and how many connections it may have.

use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::Error;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, connect_async};

use crate::tidings::Tidings;

/// This machine is limited like any other.
const LIMITED: (&str, &str) = ("TIDINGS_LIMITS__UNLIMITED_NETWORKS", "");
const BEHIND_PROXY: (&str, &str) = ("TIDINGS_LIMITS__TRUSTED_PROXIES", "127.0.0.0/8");

type Socket = WebSocketStream<MaybeTlsStream<TcpStream>>;

/// Connects with this X-Forwarded-For; an error is the status, and what Retry-After says.
async fn connect(server: &Tidings, forwarded: Option<&str>) -> Result<Socket, (u16, u64)> {
    let mut request = server.ws_url().into_client_request().unwrap();
    let headers = request.headers_mut();
    headers.insert(
        "sec-websocket-protocol",
        "graphql-transport-ws".parse().unwrap(),
    );
    if let Some(forwarded) = forwarded {
        headers.insert("x-forwarded-for", forwarded.parse().unwrap());
    }
    match connect_async(request).await {
        Ok((socket, _)) => Ok(socket),
        Err(Error::Http(response)) => {
            let retry_after = response.headers()["retry-after"].to_str().unwrap();
            Err((response.status().as_u16(), retry_after.parse().unwrap()))
        }
        Err(error) => panic!("{error}"),
    }
}

async fn refusals(server: &Tidings, reason: &str) -> f64 {
    let name = format!(r#"tidings_connections_refused_total{{reason="{reason}"}}"#);
    server.metric(&name).await
}

#[tokio::test]
async fn an_address_has_so_many_connections_at_a_time() {
    let two = ("TIDINGS_LIMITS__CONNECTIONS_PER_IP", "2");
    let server = Tidings::start_with(&[LIMITED, two]).await;
    let first = connect(&server, None).await.unwrap();
    let _second = connect(&server, None).await.unwrap();
    for forged in [None, Some("203.0.113.9")] {
        let refused = connect(&server, forged).await.err();
        assert_eq!(refused, Some((429, 5)), "{forged:?}");
    }
    assert_eq!(refusals(&server, "too_many_of_address").await, 2.0);
    let warned = |line: &serde_json::Value| {
        let message = line["message"].as_str().unwrap_or_default();
        line["level"] == "WARN" && message.contains("limits.trusted_proxies")
    };
    server.logged(warned).await;
    drop(first);
    server
        .until("there is room again", async || {
            connect(&server, None).await.is_ok()
        })
        .await;
}

#[tokio::test]
async fn an_address_that_connects_too_often_is_told_when_to_come_again() {
    let burst = ("TIDINGS_LIMITS__CONNECTIONS_PER_IP_BURST", "3");
    let rate = ("TIDINGS_LIMITS__CONNECTIONS_PER_IP_PER_MINUTE", "1");
    let server = Tidings::start_with(&[LIMITED, burst, rate]).await;
    for _ in 0..3 {
        drop(connect(&server, None).await.unwrap());
    }
    let (status, again_in) = connect(&server, None).await.unwrap_err();
    assert_eq!(status, 429);
    assert!((1..=60).contains(&again_in), "{again_in}");
    assert_eq!(refusals(&server, "too_often_of_address").await, 1.0);
    // Queries and probes are not connections.
    assert_eq!(server.get("/healthz").await.0, 200);
}

#[tokio::test]
async fn behind_a_trusted_proxy_each_client_has_its_own_connections() {
    let one = ("TIDINGS_LIMITS__CONNECTIONS_PER_IP", "1");
    let server = Tidings::start_with(&[LIMITED, BEHIND_PROXY, one]).await;
    let _first = connect(&server, Some("203.0.113.1")).await.unwrap();
    let _second = connect(&server, Some("198.51.100.7, 203.0.113.2, 127.0.0.9"))
        .await
        .unwrap();
    // What a client writes itself stands before what the proxy knows of it.
    for same in ["203.0.113.1", "198.51.100.8, 203.0.113.2"] {
        let refused = connect(&server, Some(same)).await.err();
        assert_eq!(refused, Some((429, 5)), "{same}");
    }
    // One client of IPv6 is a network.
    let _third = connect(&server, Some("2a00:1:2:3::1")).await.unwrap();
    assert!(connect(&server, Some("2a00:1:2:3::2")).await.is_err());
}

#[tokio::test]
async fn this_machine_may_connect_as_often_as_it_likes() {
    let one = ("TIDINGS_LIMITS__CONNECTIONS_PER_IP", "1");
    let burst = ("TIDINGS_LIMITS__CONNECTIONS_PER_IP_BURST", "1");
    let server = Tidings::start_with(&[one, burst]).await;
    let mut clients = Vec::new();
    for _ in 0..30 {
        clients.push(server.anonymous().await);
    }
}
