//! Render once, send to many; attach, snapshot, live; and what becomes of those who do not read.

use std::time::Duration;

use futures_util::future::join_all;
use serde_json::{Value, json};

use crate::bodies::{
    BY_REQUEST, DOLLARS, Invoice, MY_UPDATES, REALTIME_PRICE, ln_receipt, memo_in, price, price_in,
    price_with, user_price,
};
use crate::client::Client;
use crate::redis_server::RedisServer;
use crate::tidings::Tidings;

const ACCOUNT: &str = "0d3d3c1a-5e0e-4b7b-8f59-7f1a7b1f6a51";
const USD: &str = "PRICE_UPDATE_USD";

#[tokio::test]
async fn two_hundred_who_ask_the_same_cost_one_rendering_an_event() {
    let server = Tidings::start().await;
    server.publish(USD, &price(1)).await;
    let mut clients = join_all((0..100).map(|_| server.anonymous())).await;
    for client in &mut clients {
        for id in ["a", "b"] {
            client.subscribe(id, DOLLARS).await;
            assert_eq!(price_in(&client.payload(id).await), 1, "the snapshot");
        }
    }
    assert_eq!(server.metric("tidings_subscriptions").await, 200.0);
    assert_eq!(server.metric("tidings_operations").await, 1.0);
    let snapshots = server.metric("tidings_renderings_total").await;
    assert_eq!(snapshots, 1.0, "the present state is rendered for all");

    server.publish(USD, &price(2)).await;
    let (mut first, mut second) = (Vec::new(), Vec::new());
    for client in &mut clients {
        first.push(client.text().await);
        second.push(client.text().await);
    }
    assert_eq!(
        server.metric("tidings_renderings_total").await,
        snapshots + 1.0
    );
    assert_eq!(server.metric("tidings_deliveries_total").await, 400.0);
    let next = |id| {
        format!(
            r#"{{"id":"{id}","type":"next","payload":{{"data":{{"realtimePrice":{{"realtimePrice":{{"btcSatPrice":{{"base":2}}}}}}}}}}}}"#
        )
    };
    assert!(first.iter().all(|text| *text == next("a")), "{first:?}");
    assert!(second.iter().all(|text| *text == next("b")), "{second:?}");
}

#[tokio::test]
async fn different_questions_are_rendered_separately_and_equal_ones_together() {
    let server = Tidings::start().await;
    let mut client = server.anonymous().await;
    for (id, variables) in [
        ("dollars", r#"{"input":{"currency":"USD"}}"#),
        ("dollars again", r#"{ "input" : { "currency" : "USD" } }"#),
        ("euros", r#"{"input":{"currency":"EUR"}}"#),
    ] {
        client.subscribe_with(id, REALTIME_PRICE, variables).await;
    }
    client.subscribe("in other words", DOLLARS).await;
    server.until_metric("tidings_subscriptions", 4.0).await;
    assert_eq!(server.metric("tidings_operations").await, 3.0);

    server.publish(USD, &price(7)).await;
    let mut heard = Vec::new();
    for _ in 0..3 {
        let message = client.json().await;
        assert_eq!(price_in(&message["payload"]), 7);
        heard.push(message["id"].as_str().unwrap().to_owned());
    }
    heard.sort();
    assert_eq!(heard, ["dollars", "dollars again", "in other words"]);
    assert_eq!(server.metric("tidings_renderings_total").await, 2.0);

    server.publish("PRICE_UPDATE_EUR", &price(8)).await;
    assert_eq!(price_in(&client.payload("euros").await), 8);
    assert_eq!(server.metric("tidings_renderings_total").await, 3.0);
}

#[tokio::test]
async fn the_last_price_is_told_to_the_asker_alone() {
    let server = Tidings::start().await;
    server.publish(USD, &price(1)).await;
    let mut first = server.anonymous().await;
    first.subscribe("1", DOLLARS).await;
    assert_eq!(price_in(&first.payload("1").await), 1);

    let mut second = server.anonymous().await;
    second.subscribe("1", DOLLARS).await;
    assert_eq!(price_in(&second.payload("1").await), 1);
    first.subscribe("on the same socket", DOLLARS).await;
    assert_eq!(price_in(&first.payload("on the same socket").await), 1);

    server.publish(USD, &price(2)).await;
    assert_eq!(price_in(&first.payload("1").await), 2);
    assert_eq!(price_in(&first.payload("on the same socket").await), 2);
    assert_eq!(price_in(&second.payload("1").await), 2);
}

#[tokio::test]
async fn the_snapshot_of_my_updates_is_told_to_the_asker_alone() {
    let server = Tidings::start().await;
    let key = server.key(ACCOUNT, &["read"]).await;
    server
        .publish("USER_PRICE_UPDATE_USD", &user_price(5))
        .await;
    let snapshot = json!({ "data": { "myUpdates": { "update":
        { "__typename": "RealtimePrice", "btcSatPrice": { "base": 5 } } } } });
    let mut first = server.with_key(&key).await;
    first.subscribe("1", MY_UPDATES).await;
    assert_eq!(first.payload("1").await, snapshot);
    let mut second = server.with_key(&key).await;
    second.subscribe("1", MY_UPDATES).await;
    assert_eq!(second.payload("1").await, snapshot);

    let channel = format!("ACCOUNT_UPDATE_{ACCOUNT}");
    server.publish(&channel, &ln_receipt("tea")).await;
    assert_eq!(memo_in(&first.payload("1").await), Some("tea"));
    assert_eq!(memo_in(&second.payload("1").await), Some("tea"));
}

#[tokio::test]
async fn the_state_of_an_invoice_is_told_to_the_asker_alone() {
    let server = Tidings::start().await;
    let invoice = Invoice::new();
    let (mut first, mut second) = (server.anonymous().await, server.anonymous().await);
    for client in [&mut first, &mut second] {
        client.subscribe("1", &invoice.by_request()).await;
        let pending = invoice.in_state(BY_REQUEST, "PENDING");
        assert_eq!(client.payload("1").await, pending);
    }
    server.publish(&invoice.channel(), &invoice.paid()).await;
    for client in [&mut first, &mut second] {
        let paid = invoice.in_state(BY_REQUEST, "PAID");
        assert_eq!(client.payload("1").await, paid);
        client.completed("1").await;
    }
}

/// Nobody is slow here, so nothing may be left out.
const ROOMY: [(&str, &str); 3] = [
    ("TIDINGS_LIMITS__CONFLATE_ABOVE", "100000"),
    ("TIDINGS_LIMITS__OUTBOX_FRAMES", "100000"),
    ("TIDINGS_LIMITS__OUTBOX_BYTES", "100000000"),
];

#[tokio::test]
async fn whoever_joins_at_whatever_moment_hears_every_price_once_and_in_order() {
    const JOINERS: usize = 40;
    let server = Tidings::start_with(&ROOMY).await;
    server.publish(USD, &price(1)).await;
    let published = std::cell::Cell::new(1u64);
    let left = std::cell::Cell::new(JOINERS);
    let publish = async {
        while left.get() > 0 {
            server.publish(USD, &price(published.get() + 1)).await;
            published.set(published.get() + 1);
        }
    };
    let join = async |joiner: usize| {
        let mut client = server.anonymous().await;
        // Three stays each, beginning at moments that the machine picks.
        for stay in 0..3 {
            let id = format!("{joiner}.{stay}");
            client.subscribe(&id, DOLLARS).await;
            let first = price_in(&client.payload(&id).await);
            for next in first + 1..first + 10 + (joiner % 7) as u64 {
                assert_eq!(price_in(&client.payload(&id).await), next);
            }
            client.complete(&id).await;
            // What was on its way may still come, and nothing else.
            client.fence().await;
        }
        left.set(left.get() - 1);
    };
    let ((), _) = futures_util::join!(publish, join_all((0..JOINERS).map(join)));
    assert_eq!(server.metric("tidings_conflated_total").await, 0.0);
    server.until_metric("tidings_subscriptions", 0.0).await;
    server.until_metric("tidings_operations", 0.0).await;
}

#[tokio::test]
async fn the_first_and_the_last_who_leave_disturb_nobody() {
    let server = Tidings::start().await;
    let mut clients = join_all((0..4).map(|_| server.anonymous())).await;
    for client in &mut clients {
        client.subscribe("1", DOLLARS).await;
    }
    server.until_metric("tidings_subscriptions", 4.0).await;
    let mut number = 0;
    let mut all_hear = async |clients: &mut [Client]| {
        number += 1;
        server.publish(USD, &price(number)).await;
        for client in clients {
            assert_eq!(price_in(&client.payload("1").await), number);
        }
    };
    all_hear(&mut clients).await;
    // The one who started it says that it has heard enough,
    clients[0].complete("1").await;
    clients[0].fence().await;
    all_hear(&mut clients[1..]).await;
    // the last one who came vanishes,
    drop(clients.pop());
    server.until_metric("tidings_subscriptions", 2.0).await;
    all_hear(&mut clients[1..]).await;
    // and who has left before comes back.
    clients[0].subscribe("1", DOLLARS).await;
    assert_eq!(price_in(&clients[0].payload("1").await), 3, "the snapshot");
    all_hear(&mut clients).await;
    assert_eq!(server.metric("tidings_operations").await, 1.0);
}

#[tokio::test]
async fn what_nobody_listens_to_ends_and_its_channel_is_released_after_the_linger() {
    let redis = RedisServer::start().await;
    let server = Tidings::start_on(&redis, &[("TIDINGS_HUB__LINGER", "500ms")]).await;
    let key = server.key(ACCOUNT, &["read"]).await;
    let pinned = server.metric("tidings_topics").await;
    let channel = format!("ACCOUNT_UPDATE_{ACCOUNT}");
    assert_eq!(redis.listeners(&channel).await, 0);

    let (mut first, mut second) = (server.with_key(&key).await, server.with_key(&key).await);
    first.subscribe("1", MY_UPDATES).await;
    second.subscribe("1", MY_UPDATES).await;
    server.until_metric("tidings_subscriptions", 2.0).await;
    assert_eq!(server.metric("tidings_operations").await, 1.0);
    assert_eq!(server.metric("tidings_topics").await, pinned + 1.0);
    assert_eq!(redis.listeners(&channel).await, 1, "once for both");

    first.complete("1").await;
    drop(second);
    server.until_metric("tidings_subscriptions", 0.0).await;
    server.until_metric("tidings_operations", 0.0).await;
    // A client that comes back within the linger costs Redis nothing,
    assert_eq!(redis.listeners(&channel).await, 1);
    first.subscribe("2", MY_UPDATES).await;
    server.until_metric("tidings_operations", 1.0).await;
    first.complete("2").await;
    // and after it nothing is left.
    server.until_metric("tidings_topics", pinned).await;
    server
        .until("the channel is released", async || {
            redis.listeners(&channel).await == 0
        })
        .await;
    // It can be listened to again.
    first.subscribe("3", MY_UPDATES).await;
    server.until_metric("tidings_operations", 1.0).await;
    let receivers: usize = redis
        .run(redis::cmd("PUBLISH").arg(&channel).arg(ln_receipt("tea")))
        .await;
    assert_eq!(receivers, 1);
    assert_eq!(memo_in(&first.payload("3").await), Some("tea"));
}

/// A price of half a megabyte for whoever asks by [`big_question`].
fn big_price(number: u64) -> String {
    let name = "x".repeat(50_000);
    let currency =
        json!({ "code": "USD", "symbol": "$", "name": name, "flag": "", "fractionDigits": 2 });
    price_with(number, &json!({ "currency": currency })).to_string()
}

fn big_question() -> String {
    let names: String = (0..10)
        .map(|n| format!("n{n}: denominatorCurrencyDetails {{ name }} "))
        .collect();
    format!(
        r#"subscription {{ realtimePrice(input: {{ currency: "USD" }}) {{ realtimePrice {{ btcSatPrice {{ base }} {names} }} }} }}"#
    )
}

#[tokio::test]
async fn who_reads_slowly_gets_the_newest_price_and_delays_nobody() {
    const PRICES: u64 = 40;
    let server = Tidings::start_with(&[
        ("TIDINGS_LIMITS__OUTBOX_BYTES", "100000000"),
        ("TIDINGS_LIMITS__CONFLATE_ABOVE", "2"),
        ("TIDINGS_LIMITS__WRITE_TIMEOUT", "60s"),
        ("TIDINGS_LIMITS__PONG_TIMEOUT", "60s"),
    ])
    .await;
    let mut slow = Client::narrow(server.address()).await;
    slow.init("{}").await;
    slow.subscribe("1", &big_question()).await;
    let mut quick = server.anonymous().await;
    quick.subscribe("1", DOLLARS).await;
    server.until_metric("tidings_subscriptions", 2.0).await;

    for number in 1..=PRICES {
        server.publish(USD, &big_price(number)).await;
        assert_eq!(price_in(&quick.payload("1").await), number);
    }
    let mut heard = Vec::new();
    while heard.last() != Some(&PRICES) {
        heard.push(price_in(&slow.payload("1").await));
    }
    assert!(heard.is_sorted_by(|a, b| a < b), "{heard:?}");
    let missed = PRICES - heard.len() as u64;
    assert!(missed > 0, "the client was not slow: {heard:?}");
    let conflated = server.metric("tidings_conflated_total").await;
    assert_eq!(conflated, missed as f64, "what is left out is counted");
    // It has caught up, and is as good as new.
    server.publish(USD, &big_price(PRICES + 1)).await;
    assert_eq!(price_in(&slow.payload("1").await), PRICES + 1);
}

#[tokio::test]
async fn who_is_too_slow_for_payments_is_closed_with_1013_and_misses_none_silently() {
    const PAYMENTS: usize = 30;
    let server = Tidings::start_with(&[
        ("TIDINGS_LIMITS__OUTBOX_BYTES", "100000000"),
        ("TIDINGS_LIMITS__OUTBOX_FRAMES", "4"),
        ("TIDINGS_LIMITS__WRITE_TIMEOUT", "60s"),
        ("TIDINGS_LIMITS__PONG_TIMEOUT", "60s"),
    ])
    .await;
    let key = server.key(ACCOUNT, &["read"]).await;
    let mut slow = Client::narrow(server.address()).await;
    slow.init(&format!(r#"{{"X-API-KEY":"{key}"}}"#)).await;
    let memos: String = (0..10).map(|n| format!("m{n}: memo ")).collect();
    slow.subscribe("1", &format!("subscription {{ myUpdates {{ update {{ ... on LnUpdate {{ transaction {{ memo {memos} }} }} }} }} }}")).await;
    let mut quick = server.with_key(&key).await;
    quick.subscribe("1", MY_UPDATES).await;
    server.until_metric("tidings_subscriptions", 2.0).await;

    let memo = |number: usize| format!("{number} {}", "x".repeat(50_000));
    let channel = format!("ACCOUNT_UPDATE_{ACCOUNT}");
    for number in 0..PAYMENTS {
        server.publish(&channel, &ln_receipt(&memo(number))).await;
        let payload = quick.payload("1").await;
        assert_eq!(memo_in(&payload), Some(&*memo(number)));
    }
    let (texts, closed) = slow.closed_after_all().await;
    assert_eq!(closed.0, 1013, "{}", closed.1);
    assert!(texts.len() < PAYMENTS, "the client was not slow");
    for (number, text) in texts.iter().enumerate() {
        let message: Value = serde_json::from_str(text).unwrap();
        let heard = memo_in(&message["payload"]);
        assert_eq!(heard, Some(&*memo(number)), "without a gap up to the close");
    }
    drop(slow);
    server
        .until_metric(r#"tidings_closes_total{reason="too_slow"}"#, 1.0)
        .await;
    server.until_metric("tidings_subscriptions", 1.0).await;
    server.publish(&channel, &ln_receipt("the rest")).await;
    assert_eq!(memo_in(&quick.payload("1").await), Some("the rest"));
}

#[tokio::test]
async fn who_does_not_read_at_all_is_let_go_when_the_write_timeout_is_over() {
    let server = Tidings::start_with(&[
        ("TIDINGS_LIMITS__WRITE_TIMEOUT", "300ms"),
        ("TIDINGS_LIMITS__OUTBOX_BYTES", "100000000"),
    ])
    .await;
    let mut dead = Client::narrow(server.address()).await;
    dead.init("{}").await;
    dead.subscribe("1", &big_question()).await;
    server.until_metric("tidings_subscriptions", 1.0).await;
    let too_slow = r#"tidings_closes_total{reason="too_slow"}"#;
    let mut number = 0;
    server
        .until("it is let go", async || {
            number += 1;
            server.publish(USD, &big_price(number)).await;
            server.metric(too_slow).await == 1.0
        })
        .await;
    server.until_metric("tidings_subscriptions", 0.0).await;
    server.until_metric("tidings_connections", 0.0).await;
    drop(dead);
}

/// The harness's own: a setting that is not one must not make these tests vacuous.
#[tokio::test]
async fn a_linger_is_a_setting() {
    let server = Tidings::start_with(&[("TIDINGS_HUB__LINGER", "1ms")]).await;
    let mut client = server.anonymous().await;
    let invoice = Invoice::valid_for(Duration::from_secs(60));
    let pinned = server.metric("tidings_topics").await;
    client.subscribe("1", &invoice.by_request()).await;
    client.payload("1").await;
    assert_eq!(server.metric("tidings_topics").await, pinned + 1.0);
    client.complete("1").await;
    server.until_metric("tidings_topics", pinned).await;
}
