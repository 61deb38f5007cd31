//! The clients that people use, as they come, against the demo: one script each, in `tests/clients`.

use ::tidings::bolt11::PaymentRequest;
use serde_json::json;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;
use tokio::process::Command;
use tokio::time::timeout;

use crate::script::{Script, WHOLE_SCRIPT, demo, node, python};
use crate::tidings::Tidings;

#[tokio::test]
async fn graphql_ws_5_needs_no_special_setting() {
    every_subscription(node("graphql-ws.mjs").arg("5")).await;
}

#[tokio::test]
async fn graphql_ws_6_needs_no_special_setting() {
    every_subscription(node("graphql-ws.mjs").arg("6")).await;
}

#[tokio::test]
async fn apollo_client_needs_no_special_setting() {
    every_subscription(&mut node("apollo.mjs")).await;
}

#[tokio::test]
async fn apollo_client_sends_hashes_and_ids_for_documents() {
    let directory = tempfile::tempdir().unwrap();
    let manifest = directory.path().join("manifest.json");
    let trusted = json!({"account-of-the-app": "query Trusted { me { id } }"});
    std::fs::write(&manifest, trusted.to_string()).unwrap();
    let manifest = ("TIDINGS_DOCUMENTS__MANIFEST", manifest.to_str().unwrap());
    let server = Tidings::start_as(&["serve", "--demo"], &[manifest]).await;
    let mut script = Script::start(&mut node("apollo_persisted.mjs"), &server).await;
    script.succeeds().await;
}

#[tokio::test]
async fn urql_needs_no_special_setting() {
    every_subscription(&mut node("urql.mjs")).await;
}

#[tokio::test]
async fn gql_of_python_needs_no_special_setting() {
    every_subscription(&mut python("gql_websockets.py")).await;
}

#[tokio::test]
async fn gql_of_python_may_ask_for_the_older_subprotocol() {
    every_subscription(python("gql_websockets.py").arg("graphql-ws")).await;
}

#[tokio::test]
async fn relay_needs_no_special_setting() {
    every_subscription(&mut node("relay.mjs")).await;
}

#[tokio::test]
async fn subscriptions_transport_ws_needs_no_special_setting() {
    every_subscription(&mut node("subscriptions-transport-ws.mjs")).await;
}

#[tokio::test]
async fn apps_of_the_time_of_the_older_subprotocol_are_understood() {
    let server = demo().await;
    let mut script = Script::start(&mut node("legacy_apps.mjs"), &server).await;
    script.succeeds().await;
    server.until_metric("tidings_subscriptions", 0.0).await;
    server.until_metric("tidings_connections", 0.0).await;
}

#[tokio::test]
async fn graphql_sse_needs_no_special_setting_with_a_stream_for_each_operation() {
    every_subscription(node("graphql-sse.mjs").arg("distinct")).await;
}

#[tokio::test]
async fn graphql_sse_needs_no_special_setting_with_one_stream_for_all() {
    every_subscription(node("graphql-sse.mjs").arg("single")).await;
}

#[tokio::test]
async fn urql_fetches_subscriptions_as_server_sent_events() {
    every_subscription(&mut node("urql_fetch.mjs")).await;
}

#[tokio::test]
async fn apollo_client_needs_no_special_setting_without_a_socket() {
    every_subscription(&mut node("apollo_multipart.mjs")).await;
}

#[tokio::test]
async fn graphql_over_http_is_spoken_as_its_audits_have_it() {
    let server = demo().await;
    let mut script = Script::start(&mut node("audit.mjs"), &server).await;
    script.succeeds().await;
}

#[tokio::test]
async fn the_collection_for_postman_is_answered_as_it_says() {
    let server = demo().await;
    let mut script = Script::start(&mut node("postman.mjs"), &server).await;
    script.succeeds().await;
    server.until_metric("tidings_subscriptions", 0.0).await;
}

#[tokio::test]
async fn graphql_ws_5_comes_back_after_a_restart() {
    a_restart(node("reconnect.mjs").arg("5")).await;
}

#[tokio::test]
async fn graphql_ws_6_comes_back_after_a_restart() {
    a_restart(node("reconnect.mjs").arg("6")).await;
}

#[tokio::test]
async fn subscriptions_transport_ws_comes_back_after_a_restart() {
    a_restart(&mut node("subscriptions-transport-ws_reconnect.mjs")).await;
}

#[tokio::test]
async fn graphql_sse_comes_back_after_a_restart_with_a_stream_for_each_operation() {
    a_restart(node("graphql-sse_reconnect.mjs").arg("distinct")).await;
}

#[tokio::test]
async fn graphql_sse_comes_back_after_a_restart_with_one_stream_for_all() {
    a_restart(node("graphql-sse_reconnect.mjs").arg("single")).await;
}

#[tokio::test]
async fn graphql_ws_does_after_each_close_code_what_the_page_about_them_says() {
    for version in ["5", "6"] {
        let run = node("close_codes.mjs").arg(version).output();
        let output = timeout(WHOLE_SCRIPT, run).await.expect("it ends in time");
        let output = output.expect("node runs");
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "graphql-ws {version}: {said}");
    }
}

#[tokio::test]
async fn graphql_ws_5_hears_of_rewards() {
    rewards(node("rewards.mjs").arg("5")).await;
}

#[tokio::test]
async fn graphql_ws_6_hears_of_rewards() {
    rewards(node("rewards.mjs").arg("6")).await;
}

/// Python's gql 4 is the one that needs this.
#[tokio::test]
async fn an_upgrade_is_answered_in_the_spelling_of_the_client() {
    let server = Tidings::start().await;
    let mut stream = TcpStream::connect(server.address()).await.unwrap();
    stream
        .write_all(
            b"GET /graphql HTTP/1.1\r\nHost: tidings\r\nConnection: Upgrade\r\nUPGRADE: websocket\r\n\
              Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\
              Sec-WebSocket-Protocol: graphql-ws, graphql-transport-ws\r\n\r\n",
        )
        .await
        .unwrap();
    let mut response = String::new();
    let mut lines = BufReader::new(stream).lines();
    while let Some(line) = lines
        .next_line()
        .await
        .unwrap()
        .filter(|line| !line.is_empty())
    {
        response += &format!("{line}\n");
    }
    assert!(response.starts_with("HTTP/1.1 101 "), "{response}");
    assert!(
        response.contains("\nSec-WebSocket-Protocol: graphql-transport-ws\n"),
        "{response}"
    );
    assert!(response.contains("\nUPGRADE: websocket\n"), "{response}");
    assert!(response.contains("\nsec-websocket-accept: "), "{response}");
}

/// Runs a script that asks for everything. When it says that the invoice is pending, pays: the demo
/// would do it, too, after 15 seconds.
async fn every_subscription(command: &mut Command) {
    let server = demo().await;
    let mut script = Script::start(command, &server).await;
    script.prints("> pay").await;
    pay(&server).await;
    script.succeeds().await;
    server.until_metric("tidings_subscriptions", 0.0).await;
    server.until_metric("tidings_connections", 0.0).await;
    let invalid = r#"tidings_closes_total{reason="invalid_message"}"#;
    assert_eq!(server.metric(invalid).await, 0.0);
}

async fn a_restart(command: &mut Command) {
    let mut server = demo().await;
    let mut script = Script::start(command, &server).await;
    script.prints("> restart").await;
    server.restart().await;
    script.succeeds().await;
}

async fn rewards(command: &mut Command) {
    let server = demo().await;
    let mut script = Script::start(command, &server).await;
    script.succeeds().await;
    server.until_metric("tidings_subscriptions", 0.0).await;
}

async fn pay(server: &Tidings) {
    let (key, request) = (server.named("API key").await, server.named("Invoice").await);
    let hash = PaymentRequest::decode(&request).unwrap().payment_hash;
    let paid = json!({
        "paymentHash": hash.as_str(),
        "paymentPreimage": "11".repeat(32),
        "status": "Paid",
    });
    let path = format!("/v1/events/LN_PAYMENT_STATUS_{}", hash.as_str());
    let (status, said) = server.post(&path, &key, &paid.to_string()).await;
    assert_eq!(status, 202, "{said}");
}
