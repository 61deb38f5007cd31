//! The protocol, rule by rule, against the built server.
//!
//! Its text is `PROTOCOL.md` of <https://github.com/enisdenjo/graphql-ws>.

mod alive;
mod closes;
mod hostile;
mod operations;
mod requests;
mod roots;

use tokio_tungstenite::tungstenite::Message;

use crate::client::Client;
use crate::tidings::Tidings;

/// Says nothing until there is a price.
const PRICE: &str = r#"subscription { realtimePrice(input: { currency: "USD" }) { realtimePrice { btcSatPrice { base } } } }"#;

/// What [`PRICE`] says of [`publish_price`].
const PRICE_RESULT: &str =
    r#"{"data":{"realtimePrice":{"realtimePrice":{"btcSatPrice":{"base":43644148438}}}}}"#;

async fn publish_price(server: &Tidings) {
    publish_price_of(server, "0.000436441484375").await;
}

async fn publish_price_of(server: &Tidings, per_sat: &str) {
    let body = format!(
        r#"{{"timestamp":"2024-01-15T10:30:00.000Z","displayCurrency":"USD","pricePerSat":{per_sat},"pricePerUsdCent":0.01}}"#
    );
    server.publish("PRICE_UPDATE_USD", &body).await;
}

/// `{"id":…,"type":"next","payload":…}`
fn next(id: &str, payload: &str) -> String {
    format!(r#"{{"id":"{id}","type":"next","payload":{payload}}}"#)
}

/// `{"id":…,"type":"error","payload":…}`
fn error(id: &str, errors: &str) -> String {
    format!(r#"{{"id":"{id}","type":"error","payload":{errors}}}"#)
}

/// `{"id":…,"type":"complete"}`
fn complete(id: &str) -> String {
    format!(r#"{{"id":"{id}","type":"complete"}}"#)
}

/// Shows that nothing has come up to now, and that the connection still serves, by a price that arrives.
async fn lives_on(server: &Tidings, client: &mut Client, id: &str) {
    client.subscribe(id, PRICE).await;
    assert_eq!(client.fence().await, [""; 0]);
    publish_price(server).await;
    assert_eq!(client.text().await, next(id, PRICE_RESULT));
}

#[tokio::test]
async fn a_connection_is_acknowledged_before_anything_else() {
    let server = Tidings::start().await;
    let mut client = server.connect().await;
    assert_eq!(client.subprotocol.as_deref(), Some("graphql-transport-ws"));
    client.send(r#"{"type":"connection_init"}"#).await;
    match client.message().await {
        Some(Message::Text(text)) => assert_eq!(text, r#"{"type":"connection_ack"}"#),
        other => panic!("{other:?} comes first"),
    }
}

#[tokio::test]
async fn an_init_may_have_a_payload_of_anything() {
    let server = Tidings::start().await;
    for payload in [
        "{}",
        "null",
        r#"{"X-API-KEY":""}"#,
        r#"{"locale":["de"],"headers":{}}"#,
    ] {
        server.connect().await.init(payload).await;
    }
}

#[tokio::test]
async fn a_message_may_have_keys_that_the_protocol_does_not_know() {
    let server = Tidings::start().await;
    let mut client = server.connect().await;
    client
        .send(r#" {"type":"connection_init","id":7,"more":[1]} "#)
        .await;
    assert_eq!(client.text().await, r#"{"type":"connection_ack"}"#);
    client.send(r#"{"type":"subscribe","id":"1","payload":{"query":"{ __typename }","extensions":{"tracing":{"version":1}}},"more":{}}"#).await;
    assert!(client.text().await.contains("Only subscription operations"));
}

#[tokio::test]
async fn pings_are_answered_with_their_payload_before_the_init_and_after_it() {
    let server = Tidings::start().await;
    let mut client = server.connect().await;
    for _ in ["before", "after"] {
        client.send(r#"{"type":"ping"}"#).await;
        assert_eq!(client.text().await, r#"{"type":"pong"}"#);
        client
            .send(r#"{"type":"ping","payload":{"b":[1.0,"ä"],"a":null}}"#)
            .await;
        assert_eq!(
            client.text().await,
            r#"{"type":"pong","payload":{"b":[1.0,"ä"],"a":null}}"#
        );
        client.send_message(Message::Ping("frame".into())).await;
        assert_eq!(client.message().await, Some(Message::Pong("frame".into())));
        if client.subprotocol.take().is_some() {
            client.init("{}").await;
        }
    }
}

#[tokio::test]
async fn pongs_that_nobody_asked_for_are_accepted() {
    let server = Tidings::start().await;
    let mut client = server.connect().await;
    client.send(r#"{"type":"pong"}"#).await;
    client.send_message(Message::Pong("frame".into())).await;
    client.init("{}").await;
    client.send(r#"{"type":"pong","payload":{"a":1}}"#).await;
    client.send_message(Message::Pong("frame".into())).await;
    lives_on(&server, &mut client, "1").await;
}

#[tokio::test]
async fn a_price_arrives() {
    let server = Tidings::start().await;
    let mut client = server.anonymous().await;
    lives_on(&server, &mut client, "1").await;
}
