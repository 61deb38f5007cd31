//! The WebSocket: what is told on it, and what is not.

use tokio_tungstenite::tungstenite::Message;

use super::{ALICE, connect, hook, start, start_with, taken, until_heard};
use crate::client::Client;
use crate::streams::response::Response;

#[tokio::test]
async fn nothing_is_said_before_the_first_webhook_which_is_in_its_envelope() {
    let server = start().await;
    let hook = hook(&[&server], ALICE, &[]).await;
    let mut socket = connect(&server, &hook.token).await;
    until_heard(&server, 1.0).await;
    let id = taken(&server, &hook.path, r#"{"a":1.0}"#).await;
    let told = socket.text().await;
    let start = format!(r#"{{"type":"webhook","payload":{{"a":1.0}},"id":"{id}","timestamp":""#);
    assert!(told.starts_with(&start), "{told}");
}

#[tokio::test]
async fn a_raw_socket_has_the_bare_bodies() {
    let server = start().await;
    let hook = hook(&[&server], ALICE, &[]).await;
    let path = format!("/?token={}&envelope=raw", hook.token);
    let mut socket = Client::connect_at(server.address(), &path, None).await;
    until_heard(&server, 1.0).await;
    taken(&server, &hook.path, " {\n\"a\": 1.0 }\n").await;
    assert_eq!(socket.text().await, "{\n\"a\": 1.0 }");
}

#[tokio::test]
async fn what_a_client_says_means_nothing() {
    let server = start().await;
    let hook = hook(&[&server], ALICE, &[]).await;
    let mut socket = connect(&server, &hook.token).await;
    until_heard(&server, 1.0).await;
    for text in ["", "hello", r#"{"type":"ping"}"#, "{"] {
        socket.send(text).await;
    }
    socket.send_message(Message::binary(vec![255])).await;
    let id = taken(&server, &hook.path, "{}").await;
    assert_eq!(socket.json().await["id"], id);
}

#[tokio::test]
async fn a_bad_or_missing_token_is_answered_401_at_the_upgrade() {
    let server = start().await;
    let upgrade = [
        ("Connection", "Upgrade"),
        ("Upgrade", "websocket"),
        ("Sec-WebSocket-Version", "13"),
        ("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ=="),
    ];
    for path in ["/", "/?token=", "/?token=nonsense"] {
        let mut refused = Response::of(server.address(), "GET", path, &upgrade, "").await;
        assert_eq!(refused.status, 401, "{path}");
        assert_eq!(refused.rest().await, r#"{"error":"Unauthorized"}"#);
    }
    let plain = Response::of(server.address(), "GET", "/", &[], "").await;
    assert_eq!(plain.status, 426);
}

#[tokio::test]
async fn clients_are_pinged() {
    let server = start_with(&[("TIDINGS_WEBSOCKS__PING_INTERVAL", "50ms")]).await;
    let hook = hook(&[&server], ALICE, &[]).await;
    let mut socket = connect(&server, &hook.token).await;
    for _ in 0..3 {
        let message = socket.message().await.expect("it is open");
        assert!(matches!(message, Message::Ping(_)), "{message:?}");
    }
}

#[tokio::test]
async fn the_path_is_a_setting() {
    let server = start_with(&[("TIDINGS_WEBSOCKS__PATH", "/hooks")]).await;
    let hook = hook(&[&server], ALICE, &[]).await;
    let path = format!("/hooks?token={}", hook.token);
    let mut socket = Client::connect_at(server.address(), &path, None).await;
    until_heard(&server, 1.0).await;
    let id = taken(&server, &hook.path, "{}").await;
    assert_eq!(socket.json().await["id"], id);
    assert_eq!(server.get("/").await.0, 404);
}

#[tokio::test]
async fn a_client_is_told_to_come_back_when_the_server_stops() {
    let mut server = start().await;
    let hook = hook(&[&server], ALICE, &[]).await;
    let mut socket = connect(&server, &hook.token).await;
    until_heard(&server, 1.0).await;
    server.signal("TERM");
    assert_eq!(socket.closed().await.0, 1001);
    assert_eq!(server.exit_code().await, Some(0));
}

#[tokio::test]
async fn an_operator_lists_and_closes_these_connections_like_others() {
    let server = start().await;
    let hook = hook(&[&server], ALICE, &[]).await;
    let mut socket = connect(&server, &hook.token).await;
    until_heard(&server, 1.0).await;
    let admin = server.key(ALICE, &["admin"]).await;
    let listed = crate::tidings::http()
        .get(server.http_url("/v1/connections"))
        .header("x-api-key", &admin)
        .send()
        .await
        .unwrap()
        .text()
        .await
        .unwrap();
    assert!(listed.contains(r#""websocks""#), "{listed}");
    let closed = crate::tidings::http()
        .delete(server.http_url(&format!("/v1/connections?account={ALICE}&code=1001")))
        .header("x-api-key", &admin)
        .send()
        .await
        .unwrap();
    assert!(closed.status().is_success(), "{}", closed.status());
    assert_eq!(socket.closed().await.0, 1001);
}
