//! How the server notices that a client has gone.

use tokio_tungstenite::tungstenite::Message;

use crate::client::{PING, Raw};
use crate::tidings::Tidings;

const SOON: (&str, &str) = ("TIDINGS_LIMITS__PING_INTERVAL", "50ms");

#[tokio::test]
async fn a_client_that_answers_no_ping_is_dropped_without_a_close_frame() {
    let server = Tidings::start_with(&[SOON, ("TIDINGS_LIMITS__PONG_TIMEOUT", "50ms")]).await;
    let mut client = Raw::connect(server.address()).await;
    client.text(r#"{"type":"connection_init"}"#).await;
    assert_eq!(
        client.frame().await.unwrap().payload,
        br#"{"type":"connection_ack"}"#
    );
    let ping = client.frame().await.unwrap();
    assert_eq!((ping.first, ping.payload), (PING, Vec::new()));
    assert_eq!(client.frame().await, None);
    server
        .until_metric(r#"tidings_closes_total{reason="unresponsive"}"#, 1.0)
        .await;
}

#[tokio::test]
async fn a_client_that_answers_pings_is_pinged_again() {
    let server = Tidings::start_with(&[SOON, ("TIDINGS_LIMITS__PONG_TIMEOUT", "60s")]).await;
    let mut client = server.anonymous().await;
    for _ in 0..3 {
        assert_eq!(
            client.message().await,
            Some(Message::Ping(Default::default()))
        );
    }
    assert_eq!(client.fence().await, [""; 0]);
}

#[tokio::test]
async fn a_message_pong_is_no_answer_to_a_ping_frame() {
    let server = Tidings::start_with(&[SOON, ("TIDINGS_LIMITS__PONG_TIMEOUT", "100ms")]).await;
    let mut client = Raw::connect(server.address()).await;
    client.text(r#"{"type":"connection_init"}"#).await;
    assert_eq!(
        client.frame().await.unwrap().payload,
        br#"{"type":"connection_ack"}"#
    );
    assert_eq!(client.frame().await.unwrap().first, PING);
    client.text(r#"{"type":"pong"}"#).await;
    // It is pinged again while the answer is awaited.
    while let Some(frame) = client.frame().await {
        assert_eq!(frame.first, PING);
    }
}

#[tokio::test]
async fn a_client_that_leaves_without_a_word_is_forgotten() {
    let server = Tidings::start().await;
    let mut client = server.anonymous().await;
    client.subscribe("1", super::PRICE).await;
    assert_eq!(client.fence().await, [""; 0]);
    server.until_metric("tidings_subscriptions", 1.0).await;
    drop(client);
    server.until_metric("tidings_subscriptions", 0.0).await;
    server
        .until_metric(r#"tidings_closes_total{reason="gone"}"#, 1.0)
        .await;
}
