//! Why sockets close: one test for each code, and for each of the rules about silence.

use std::time::{Duration, Instant};

use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::CloseFrame;

use super::{
    ACCOUNT, SUBSCRIBE_BLOCKS, SUBSCRIBED_BLOCKS, ask, connect, hearing_blocks, let_in, start,
};
use crate::client::{Client, Raw};
use crate::tidings::{ISSUER, Tidings};

async fn until_nothing_is_left(server: &Tidings, reason: &str) {
    let closes = format!(r#"tidings_closes_total{{reason="{reason}"}}"#);
    server.until_metric(&closes, 1.0).await;
    server.until_metric("tidings_connections", 0.0).await;
    server.until_metric("tidings_subscriptions", 0.0).await;
}

#[tokio::test]
async fn a_client_that_leaves_is_answered_1000() {
    let server = start(&[]).await;
    let mut client = hearing_blocks(&server).await;
    let close = CloseFrame {
        code: 1000.into(),
        reason: "bye".into(),
    };
    client.send_message(Message::Close(Some(close))).await;
    assert_eq!(client.closed().await, (1000, "bye".to_owned()));
    until_nothing_is_left(&server, "by_client").await;
}

#[tokio::test]
async fn who_has_no_subscription_for_too_long_is_closed_with_1000() {
    let server = start(&[("TIDINGS_BLOCKDB__IDLE_TIMEOUT", "500ms")]).await;
    let idle = (1000, "idle timeout".to_owned());
    let key = server.key(ACCOUNT, &["read"]).await;
    let began = Instant::now();
    assert_eq!(connect(&server, &key).await.closed().await, idle);
    assert!(began.elapsed() >= Duration::from_millis(500));

    let mut client = hearing_blocks(&server).await;
    let mut leaves = hearing_blocks(&server).await;
    ask(
        &mut leaves,
        r#"{"action":"unsubscribe","chain_id":1,"dataset_id":"0101"}"#,
        r#"{"action":"unsubscribe","chain_id":1,"dataset_id":"0101","status":"success"}"#,
    )
    .await;
    assert_eq!(leaves.closed().await, idle);
    // Who hears something is not idle, though nothing was said for as long.
    ask(&mut client, SUBSCRIBE_BLOCKS, SUBSCRIBED_BLOCKS).await;
}

#[tokio::test]
async fn a_server_that_stops_says_1001() {
    let mut server = start(&[]).await;
    let mut client = hearing_blocks(&server).await;
    server.signal("TERM");
    assert_eq!(client.closed().await, (1001, "Going away".to_owned()));
    drop(client);
    assert_eq!(server.exit_code().await, Some(0));
}

#[tokio::test]
async fn a_revoked_key_is_1008_within_a_second() {
    let server = start(&[]).await;
    let key = server.new_key(ACCOUNT, &["read"], &["--name", "till"]);
    server.until_known(&key).await;
    let mut client = connect(&server, &key).await;
    ask(&mut client, SUBSCRIBE_BLOCKS, SUBSCRIBED_BLOCKS).await;
    server.run(&["keys", "revoke", &server.key_id("till")]);
    let revoked = Instant::now();
    assert_eq!(client.closed().await, (1008, "API key revoked".to_owned()));
    assert!(revoked.elapsed() < Duration::from_secs(1));
    until_nothing_is_left(&server, "key_revoked").await;
}

#[tokio::test]
async fn an_expired_token_is_1008() {
    let server = start(&[
        ISSUER,
        ("TIDINGS_JWT__LEEWAY", "0s"),
        ("TIDINGS_JWT__EXPIRY_JITTER", "0s"),
    ])
    .await;
    let token = server.token(&["--account", ACCOUNT, "--expires-in", "3s"]);
    let bearer = format!("Bearer {token}");
    let headers = [("Authorization", bearer.as_str())];
    let mut client = Client::connect_saying(server.address(), "/v1/evm/", &headers).await;
    assert_eq!(client.closed().await, (1008, "Token expired".to_owned()));
}

#[tokio::test]
async fn a_key_with_too_many_connections_is_1013() {
    let server = start(&[("TIDINGS_LIMITS__CONNECTIONS_PER_KEY", "1")]).await;
    let key = server.key(ACCOUNT, &["read"]).await;
    let mut first = connect(&server, &key).await;
    ask(&mut first, SUBSCRIBE_BLOCKS, SUBSCRIBED_BLOCKS).await;
    assert_eq!(connect(&server, &key).await.closed().await.0, 1013);
}

#[tokio::test]
async fn a_client_that_does_not_read_is_closed_with_1013_before_it_misses_a_record() {
    let server = start(&[
        ("TIDINGS_LIMITS__OUTBOX_FRAMES", "8"),
        ("TIDINGS_LIMITS__OUTBOX_BYTES", "100000000"),
        ("TIDINGS_LIMITS__WRITE_TIMEOUT", "60s"),
        ("TIDINGS_BLOCKDB__PONG_TIMEOUT", "120s"),
    ])
    .await;
    let key = server.key(ACCOUNT, &["read"]).await;
    let path = format!("/v1/evm/?api_key={key}");
    let mut client = Client::narrow_at(server.address(), &path).await;
    ask(&mut client, SUBSCRIBE_BLOCKS, SUBSCRIBED_BLOCKS).await;
    let padding = "0".repeat(50_000);
    let mut published = 0u64;
    server
        .until("it is given up", async || {
            let body = format!(r#"{{"block_number":{published},"extra_data":"{padding}"}}"#);
            server.publish("DATASET_1_0101", &body).await;
            published += 1;
            server.metric("tidings_subscriptions").await == 0.0
        })
        .await;
    let (texts, closed) = client.closed_after_all().await;
    assert_eq!(closed.0, 1013, "{}", closed.1);
    assert!((texts.len() as u64) < published, "the client was not slow");
    for (expected, text) in (0u64..).zip(&texts) {
        let told: serde_json::Value = serde_json::from_str(text).expect("messages are JSON");
        assert_eq!(told["data"]["block_number"], expected);
    }
}

#[tokio::test]
async fn a_message_over_the_limit_is_1009() {
    let server = start(&[("TIDINGS_BLOCKDB__MESSAGE_BYTES", "1000")]).await;
    let mut client = let_in(&server).await;
    client.send(&" ".repeat(1001)).await;
    assert_eq!(client.closed().await, (1009, "Message too big".to_owned()));
}

#[tokio::test]
async fn an_operator_who_does_not_want_a_client_says_1008() {
    let server = start(&[]).await;
    let admin = server
        .key("99999999-9999-4999-8999-999999999999", &["admin"])
        .await;
    let mut client = hearing_blocks(&server).await;
    let url = server.http_url("");
    let close = ["connections", "close", "--account", ACCOUNT, "--url", &url];
    let output = server.command(&close, &[("TIDINGS_KEY", &admin)], "");
    assert!(output.status.success(), "{output:?}");
    assert_eq!(client.closed().await.0, 1008);
}

#[tokio::test]
async fn clients_are_pinged_and_who_answers_no_ping_is_dropped() {
    let server = start(&[
        ("TIDINGS_BLOCKDB__PING_INTERVAL", "200ms"),
        ("TIDINGS_BLOCKDB__PONG_TIMEOUT", "700ms"),
    ])
    .await;
    let key = server.key(ACCOUNT, &["read"]).await;
    let path = format!("/v1/evm/?api_key={key}");
    let mut silent = Raw::connect_at(server.address(), &path).await;
    silent.text(SUBSCRIBE_BLOCKS).await;
    let mut pings = 0;
    while let Some(frame) = silent.frame().await {
        pings += usize::from(frame.first == crate::client::PING);
    }
    assert!((2..=4).contains(&pings), "{pings} pings");
    until_nothing_is_left(&server, "unresponsive").await;
}
