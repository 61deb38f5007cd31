//! Why sockets close: one test for each code.

use std::time::{Duration, Instant};

use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::CloseFrame;

use super::{
    ACCOUNT, SUBSCRIBE_PRICE, SUBSCRIBED_PRICE, TIERS, ask, auth, connect, let_in, signed_in,
    start, tier,
};
use crate::client::Client;
use crate::tidings::{ISSUER, Tidings};

async fn until_nothing_is_left(server: &Tidings, reason: &str) {
    let closes = format!(r#"tidings_closes_total{{reason="{reason}"}}"#);
    server.until_metric(&closes, 1.0).await;
    server.until_metric("tidings_connections", 0.0).await;
    server.until_metric("tidings_subscriptions", 0.0).await;
}

async fn subscribed(server: &Tidings) -> Client {
    let mut client = signed_in(server).await;
    ask(&mut client, SUBSCRIBE_PRICE, SUBSCRIBED_PRICE).await;
    client
}

#[tokio::test]
async fn a_client_that_leaves_is_answered_1000() {
    let server = start(&[]).await;
    let mut client = subscribed(&server).await;
    let close = CloseFrame {
        code: 1000.into(),
        reason: "bye".into(),
    };
    client.send_message(Message::Close(Some(close))).await;
    assert_eq!(client.closed().await, (1000, "bye".to_owned()));
    until_nothing_is_left(&server, "by_client").await;
}

#[tokio::test]
async fn a_server_that_stops_says_1001() {
    let mut server = start(&[]).await;
    let mut client = subscribed(&server).await;
    let mut stranger = connect(&server).await;
    server.signal("TERM");
    let away = (1001, "Going away".to_owned());
    assert_eq!(client.closed().await, away);
    assert_eq!(stranger.closed().await, away);
    drop((client, stranger));
    assert_eq!(server.exit_code().await, Some(0));
}

#[tokio::test]
async fn a_message_over_16_kib_is_1009() {
    let server = start(&[]).await;
    let longest = |more: usize| {
        let message = r#"{"type":"ping","padding":""}"#;
        let padding = "x".repeat(16 * 1024 - message.len() + more);
        format!(r#"{{"type":"ping","padding":"{padding}"}}"#)
    };
    for is_let_in in [true, false] {
        let mut client = match is_let_in {
            true => signed_in(&server).await,
            false => connect(&server).await,
        };
        client.send(&longest(0)).await;
        assert_eq!(client.json().await["type"], "pong");
        client.send(&longest(1)).await;
        assert_eq!(client.closed().await, (1009, "Message too big".to_owned()));
    }
}

#[tokio::test]
async fn who_speaks_something_else_is_4400() {
    let server = start(&[]).await;
    let mut client = subscribed(&server).await;
    for _ in 0..10 {
        client.send("hello").await;
        assert_eq!(client.json().await["code"], "INVALID_MESSAGE");
    }
    let closed = (4400, "Invalid message received: 10 in a row".to_owned());
    assert_eq!(client.closed().await, closed);
    until_nothing_is_left(&server, "invalid_message").await;
}

#[tokio::test]
async fn a_binary_frame_is_4400() {
    let server = start(&[]).await;
    for is_let_in in [true, false] {
        let mut client = match is_let_in {
            true => signed_in(&server).await,
            false => connect(&server).await,
        };
        client
            .send_message(Message::Binary(r#"{"type":"ping"}"#.into()))
            .await;
        let binary = "Invalid message received: a binary frame, messages are text";
        assert_eq!(client.closed().await, (4400, binary.to_owned()));
    }
}

#[tokio::test]
async fn a_revoked_key_is_4401_within_a_second() {
    let server = start(&[]).await;
    let key = server.new_key(ACCOUNT, &["read"], &["--name", "till"]);
    server.until_known(&key).await;
    let mut client = let_in(&server, &key).await;
    ask(&mut client, SUBSCRIBE_PRICE, SUBSCRIBED_PRICE).await;
    server.run(&["keys", "revoke", &server.key_id("till")]);
    let revoked = Instant::now();
    assert_eq!(client.closed().await, (4401, "API key revoked".to_owned()));
    assert!(revoked.elapsed() < Duration::from_secs(1));
    until_nothing_is_left(&server, "key_revoked").await;
}

#[tokio::test]
async fn an_expired_token_is_4401() {
    let server = start(&[
        ISSUER,
        ("TIDINGS_JWT__LEEWAY", "0s"),
        ("TIDINGS_JWT__EXPIRY_JITTER", "0s"),
    ])
    .await;
    let token = server.token(&["--account", ACCOUNT, "--expires-in", "3s"]);
    let mut client = let_in(&server, &token).await;
    assert_eq!(client.closed().await, (4401, "Token expired".to_owned()));
}

#[tokio::test]
async fn who_sends_no_ping_is_4408() {
    let server = start(&[("TIDINGS_ALLENHARK__IDLE_TIMEOUT", "500ms")]).await;
    let began = Instant::now();
    let mut client = subscribed(&server).await;
    let closed = (4408, "No ping for too long".to_owned());
    assert_eq!(client.closed().await, closed);
    assert!(began.elapsed() >= Duration::from_millis(500));
    until_nothing_is_left(&server, "no_ping").await;
}

/// A message or a frame: both are pings.
#[tokio::test]
async fn who_sends_pings_stays() {
    let server = start(&[("TIDINGS_ALLENHARK__IDLE_TIMEOUT", "1500ms")]).await;
    let key = server.key(ACCOUNT, &["read"]).await;
    let (mut by_message, mut by_frame) = (let_in(&server, &key).await, let_in(&server, &key).await);
    let began = Instant::now();
    while began.elapsed() < Duration::from_secs(4) {
        by_message.send(r#"{"type":"ping"}"#).await;
        assert_eq!(by_message.json().await["type"], "pong");
        by_frame
            .send_message(Message::Ping("are you there".into()))
            .await;
        loop {
            match by_frame.message().await {
                Some(Message::Pong(said)) if said == "are you there" => break,
                Some(Message::Ping(_)) => {}
                other => panic!("{other:?}"),
            }
        }
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}

/// Pongs are not pings, nor are other messages: what is asked for is a ping.
#[tokio::test]
async fn who_says_anything_but_pings_is_4408() {
    let server = start(&[
        ("TIDINGS_ALLENHARK__IDLE_TIMEOUT", "1s"),
        ("TIDINGS_LIMITS__PING_INTERVAL", "100ms"),
    ])
    .await;
    let mut client = signed_in(&server).await;
    let closed = loop {
        client.send(SUBSCRIBE_PRICE).await;
        match client.event().await {
            Ok(text) => assert_eq!(text, SUBSCRIBED_PRICE),
            Err(closed) => break closed,
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    };
    assert_eq!(closed.0, 4408);
}

#[tokio::test]
async fn who_goes_on_after_it_was_told_that_it_speaks_too_much_is_4429() {
    let server = start(&[(TIERS, &tier(10, 3))]).await;
    let mut client = subscribed(&server).await;
    for _ in 0..20 {
        client.send(r#"{"type":"ping"}"#).await;
    }
    let (texts, closed) = client.closed_after_all().await;
    assert_eq!(closed, (4429, "Too many messages".to_owned()));
    let limited = texts.iter().filter(|text| text.contains("RATE_LIMITED"));
    assert!((3..=5).contains(&limited.count()), "{texts:?}");
    until_nothing_is_left(&server, "too_many_messages").await;
}

#[tokio::test]
async fn a_stranger_is_held_to_the_default_tier() {
    let server = start(&[(TIERS, &tier(10, 3))]).await;
    let mut client = connect(&server).await;
    for _ in 0..20 {
        client.send(r#"{"type":"ping"}"#).await;
    }
    assert_eq!(client.closed_after_all().await.1.0, 4429);
}

#[tokio::test]
async fn what_is_no_utf_8_is_1007_and_no_websocket_is_1002() {
    let server = start(&[]).await;
    let key = server.key(ACCOUNT, &["read"]).await;
    for (first, payload, code) in [(0x81, &b"\xff"[..], 1007u16), (0x83, b"", 1002)] {
        let mut client = crate::client::Raw::connect_at(server.address(), "/v1/ws").await;
        client.text(&auth(&key)).await;
        client.send(first, payload).await;
        loop {
            let frame = client.frame().await.expect("it is closed with a frame");
            if frame.first == crate::client::CLOSE {
                assert_eq!(frame.payload[..2], code.to_be_bytes());
                break;
            }
        }
    }
}

#[tokio::test]
async fn an_operator_closes_it() {
    let server = start(&[]).await;
    let admin = server
        .key("99999999-9999-4999-8999-999999999999", &["admin"])
        .await;
    let mut client = subscribed(&server).await;
    let url = server.http_url("");
    let close = [
        "connections",
        "close",
        "--account",
        ACCOUNT,
        "--code",
        "1013",
        "--url",
        &url,
    ];
    let output = server.command(&close, &[("TIDINGS_KEY", &admin)], "");
    assert!(output.status.success(), "{output:?}");
    assert_eq!(client.closed().await.0, 1013);
    until_nothing_is_left(&server, "by_operator").await;
}
