//! What clients start and stop.

use insta::assert_snapshot;
use serde_json::{Value, json};
use tokio_tungstenite::tungstenite::Message;

use super::{anonymous, completed, fence, heard, payload, start, stop};
use crate::bodies::{BY_REQUEST, DOLLARS, Invoice, MY_UPDATES, price, price_in};
use crate::client::Client;
use crate::persisted::hash;
use crate::redis_server::RedisServer;
use crate::tidings::Tidings;

const USD: &str = "PRICE_UPDATE_USD";

/// Shows that nothing else came up to now and that the connection still serves, by a price that arrives
/// under an id that is free.
async fn lives_on(server: &Tidings, client: &mut Client, number: u64) {
    fence(client).await;
    start(client, "lives on", DOLLARS).await;
    server.publish(USD, &price(number)).await;
    // The price before may be told first.
    while price_in(&payload(client, "data", "lives on").await) != number {}
    stop(client, "lives on").await;
    completed(client, "lives on").await;
}

#[tokio::test]
async fn a_price_arrives_as_data() {
    let server = Tidings::start().await;
    let mut client = anonymous(&server).await;
    start(&mut client, "1", DOLLARS).await;
    server.until_metric("tidings_subscriptions", 1.0).await;
    server.publish(USD, &price(7)).await;
    assert_snapshot!(heard(&mut client).await, @r#"{"id":"1","type":"data","payload":{"data":{"realtimePrice":{"realtimePrice":{"btcSatPrice":{"base":7}}}}}}"#);
}

#[tokio::test]
async fn a_paid_invoice_is_told_and_completes() {
    let server = Tidings::start_with(&[("TIDINGS_INVOICES__COMPLETE_WHEN_FINAL", "true")]).await;
    let mut client = anonymous(&server).await;
    let invoice = Invoice::new();
    start(&mut client, "1", &invoice.by_request()).await;
    let pending = payload(&mut client, "data", "1").await;
    assert_eq!(pending, invoice.in_state(BY_REQUEST, "PENDING"));
    server.publish(&invoice.channel(), &invoice.paid()).await;
    let paid = payload(&mut client, "data", "1").await;
    assert_eq!(paid, invoice.in_state(BY_REQUEST, "PAID"));
    completed(&mut client, "1").await;
    server.until_metric("tidings_subscriptions", 0.0).await;
    lives_on(&server, &mut client, 1).await;
}

#[tokio::test]
async fn what_is_stopped_is_answered_complete_and_nothing_follows() {
    let server = Tidings::start().await;
    let mut client = anonymous(&server).await;
    start(&mut client, "1", DOLLARS).await;
    start(&mut client, "2", DOLLARS).await;
    server.until_metric("tidings_subscriptions", 2.0).await;
    server.publish(USD, &price(1)).await;
    for id in ["1", "2"] {
        assert_eq!(price_in(&payload(&mut client, "data", id).await), 1);
    }
    stop(&mut client, "1").await;
    completed(&mut client, "1").await;
    assert_eq!(server.metric("tidings_subscriptions").await, 1.0);
    // Twice, and what never was.
    stop(&mut client, "1").await;
    stop(&mut client, "unknown").await;
    fence(&mut client).await;
    for number in [2, 3] {
        server.publish(USD, &price(number)).await;
        assert_eq!(price_in(&payload(&mut client, "data", "2").await), number);
    }
}

#[tokio::test]
async fn an_operation_with_an_id_that_is_in_use_takes_the_place_of_the_other() {
    let server = Tidings::start().await;
    let mut client = anonymous(&server).await;
    start(&mut client, "1", DOLLARS).await;
    server.until_metric("tidings_operations", 1.0).await;
    let invoice = Invoice::new();
    start(&mut client, "1", &invoice.by_request()).await;
    // Not a `complete` first: it would end the new one.
    let pending = payload(&mut client, "data", "1").await;
    assert_eq!(pending, invoice.in_state(BY_REQUEST, "PENDING"));
    assert_eq!(server.metric("tidings_subscriptions").await, 1.0);
    server.publish(USD, &price(1)).await;
    server.publish(&invoice.channel(), &invoice.paid()).await;
    let paid = payload(&mut client, "data", "1").await;
    assert_eq!(paid, invoice.in_state(BY_REQUEST, "PAID"));
}

#[tokio::test]
async fn what_is_stopped_or_replaced_before_it_runs_is_never_heard() {
    let redis = RedisServer::start().await;
    let server = Tidings::start_on(&redis, &[]).await;
    let mut client = anonymous(&server).await;
    let [stopped, replaced, newer] = [Invoice::new(), Invoice::new(), Invoice::new()];
    // An operation waits for the channel that it needs.
    redis.pause();
    start(&mut client, "1", &stopped.by_request()).await;
    stop(&mut client, "1").await;
    completed(&mut client, "1").await;
    start(&mut client, "2", &replaced.by_request()).await;
    start(&mut client, "2", &newer.by_request()).await;
    fence(&mut client).await;
    redis.resume();
    let pending = payload(&mut client, "data", "2").await;
    assert_eq!(pending, newer.in_state(BY_REQUEST, "PENDING"));
    assert_eq!(server.metric("tidings_subscriptions").await, 1.0);
    server.publish(&newer.channel(), &newer.paid()).await;
    let paid = payload(&mut client, "data", "2").await;
    assert_eq!(paid, newer.in_state(BY_REQUEST, "PAID"));
}

#[tokio::test]
async fn an_operation_that_cannot_run_is_answered_with_one_object_and_its_id_is_free() {
    let server = Tidings::start().await;
    let mut client = anonymous(&server).await;
    start(&mut client, "1", "subscription {").await;
    assert_snapshot!(heard(&mut client).await, @r#"{"id":"1","type":"error","payload":{"message":"Syntax Error: expected selection","locations":[{"line":1,"column":15}]}}"#);
    start(&mut client, "1", "subscription { nothing }").await;
    assert_snapshot!(heard(&mut client).await, @r#"{"id":"1","type":"error","payload":{"message":"Unknown field \"nothing\" on type \"Subscription\".","locations":[{"line":1,"column":16}]}}"#);
    let twice = r#"subscription { realtimePrice(input: { currency: "USD" }) { one two } }"#;
    start(&mut client, "1", twice).await;
    assert_snapshot!(heard(&mut client).await, @r#"{"id":"1","type":"error","payload":{"message":"Unknown field \"one\" on type \"RealtimePricePayload\".","locations":[{"line":1,"column":60}],"errors":[{"message":"Unknown field \"one\" on type \"RealtimePricePayload\".","locations":[{"line":1,"column":60}]},{"message":"Unknown field \"two\" on type \"RealtimePricePayload\".","locations":[{"line":1,"column":64}]}]}}"#);
    start(&mut client, "1", "{ __typename }").await;
    assert_snapshot!(heard(&mut client).await, @r#"{"id":"1","type":"error","payload":{"message":"Only subscription operations are supported"}}"#);
    start(&mut client, "1", DOLLARS).await;
    server.until_metric("tidings_subscriptions", 1.0).await;
}

#[tokio::test]
async fn an_error_of_what_runs_is_data() {
    let server = Tidings::start().await;
    let mut client = anonymous(&server).await;
    start(&mut client, "1", MY_UPDATES).await;
    let told = payload(&mut client, "data", "1").await;
    assert_eq!(told["errors"][0]["extensions"]["code"], "NOT_AUTHENTICATED");
    completed(&mut client, "1").await;
}

#[tokio::test]
async fn a_hash_that_nobody_has_sent_the_document_of_is_an_error_in_the_words_of_apollo() {
    let server = Tidings::start().await;
    let mut client = anonymous(&server).await;
    let persisted = json!({ "persistedQuery": { "version": 1, "sha256Hash": hash(DOLLARS) } });
    // As Apollo's apps do: first without the text, then with it, under the same id.
    let mut start = json!({ "id": "1", "type": "start", "payload": { "operationName": null, "variables": {}, "extensions": persisted } });
    client.send(&start.to_string()).await;
    let error = payload(&mut client, "error", "1").await;
    assert_eq!(error["message"], "PersistedQueryNotFound");
    start["payload"]["query"] = DOLLARS.into();
    client.send(&start.to_string()).await;
    server.until_metric("tidings_subscriptions", 1.0).await;
    server.publish(USD, &price(1)).await;
    assert_eq!(price_in(&payload(&mut client, "data", "1").await), 1);
}

#[tokio::test]
async fn what_is_no_message_is_answered_and_the_connection_goes_on() {
    let server = Tidings::start().await;
    let mut client = anonymous(&server).await;
    for (wrong, number) in [
        "",
        "hello",
        "[]",
        r#"{"id":"1"}"#,
        r#"{"type":7}"#,
        r#"{"type":"ka"}"#,
        r#"{"type":"start","payload":{"query":"{ a }"}}"#,
        r#"{"id":1,"type":"stop"}"#,
    ]
    .into_iter()
    .zip(1..)
    {
        client.send(wrong).await;
        let text = heard(&mut client).await;
        let said: Value = serde_json::from_str(&text).unwrap();
        assert_eq!(said["type"], "error", "{wrong} gave {text}");
        assert_eq!(said.get("id"), None, "{wrong} gave {text}");
        let message = said["payload"]["message"].as_str().unwrap();
        assert!(message.starts_with("Invalid message received: "), "{text}");
        lives_on(&server, &mut client, number).await;
    }
}

#[tokio::test]
async fn an_error_ends_the_operation_that_it_is_about() {
    let server = Tidings::start().await;
    let mut client = anonymous(&server).await;
    for wrong in [
        json!({ "id": "1", "type": "start", "payload": {} }),
        json!({ "id": "1", "type": "subscribe", "payload": { "query": DOLLARS } }),
    ] {
        start(&mut client, "1", DOLLARS).await;
        server.until_metric("tidings_subscriptions", 1.0).await;
        client.send(&wrong.to_string()).await;
        let error = payload(&mut client, "error", "1").await;
        assert!(error["message"].is_string(), "{error}");
        server.until_metric("tidings_subscriptions", 0.0).await;
    }
    lives_on(&server, &mut client, 1).await;
}

#[tokio::test]
async fn a_message_may_come_in_a_binary_frame_if_it_is_text() {
    let server = Tidings::start().await;
    let mut client = anonymous(&server).await;
    let start = json!({ "id": "1", "type": "start", "payload": { "query": DOLLARS } });
    client
        .send_message(Message::binary(start.to_string()))
        .await;
    server.until_metric("tidings_subscriptions", 1.0).await;
    server.publish(USD, &price(1)).await;
    assert_eq!(price_in(&payload(&mut client, "data", "1").await), 1);
    client.send_message(Message::binary(vec![0xff, 0xfe])).await;
    let (texts, (code, reason)) = client.closed_after_all().await;
    assert_eq!(texts, [""; 0]);
    assert_eq!(code, 4400);
    assert!(
        reason.ends_with("a binary frame, messages are text"),
        "{reason}"
    );
}
