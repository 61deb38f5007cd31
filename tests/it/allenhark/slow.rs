//! A client that does not read: it misses prices, and nothing else without being told.

use serde_json::Value;

use super::{
    ACCOUNT, ENABLED, MINT, SUBSCRIBE_BOT, SUBSCRIBE_PRICE, SUBSCRIBE_WALLET, SUBSCRIBED_BOT,
    SUBSCRIBED_PRICE, SUBSCRIBED_WALLET, WALLET, ask, auth, own, price, start, told_of_price,
    transaction,
};
use crate::client::Client;
use crate::redis_server::RedisServer;
use crate::tidings::Tidings;

/// So much fits on the way to a client that does not read, of 50,000 bytes each, many times over.
const BIG: usize = 50_000;

/// A server that waits long for those who do not read, and keeps little for them.
const SETTINGS: [(&str, &str); 5] = [
    ("TIDINGS_LIMITS__OUTBOX_BYTES", "100000000"),
    ("TIDINGS_LIMITS__OUTBOX_FRAMES", "8"),
    ("TIDINGS_LIMITS__CONFLATE_ABOVE", "2"),
    ("TIDINGS_LIMITS__WRITE_TIMEOUT", "60s"),
    ("TIDINGS_ALLENHARK__IDLE_TIMEOUT", "120s"),
];

/// Connects with a small receive buffer, and subscribes.
async fn narrow(server: &Tidings, subscribe: &str, subscribed: &str) -> Client {
    let key = server.key(ACCOUNT, &["read"]).await;
    let mut client = Client::narrow_at(server.address(), "/v1/ws").await;
    ask(&mut client, &auth(&key), super::AUTH_SUCCESS).await;
    ask(&mut client, subscribe, subscribed).await;
    client
}

#[tokio::test]
async fn a_client_that_does_not_read_misses_old_prices_and_gets_the_latest() {
    const PRICES: usize = 200;
    let server = start(&SETTINGS).await;
    let mut client = narrow(&server, SUBSCRIBE_PRICE, SUBSCRIBED_PRICE).await;
    let digits = |number: usize| format!("{number}.{}", "0".repeat(BIG));
    for number in 1..=PRICES {
        let channel = format!("MINT_PRICE_{MINT}");
        server.publish(&channel, &price(&digits(number))).await;
    }
    let mut heard = Vec::new();
    while heard.last() != Some(&PRICES) {
        let text = client.text().await;
        let number = (1..=PRICES).find(|number| text == told_of_price(&digits(*number)));
        heard.push(number.expect("it is one of the prices"));
    }
    assert!(heard.is_sorted_by(|a, b| a < b), "{heard:?}");
    let missed = PRICES - heard.len();
    assert!(missed > 0, "the client was not slow: {heard:?}");
    let conflated = server.metric("tidings_conflated_total").await;
    assert_eq!(conflated, missed as f64, "what is left out is counted");
}

#[tokio::test]
async fn a_client_that_does_not_read_is_closed_before_it_misses_what_its_bot_does() {
    let server = start(&SETTINGS).await;
    let key = server.key(ACCOUNT, &["read"]).await;
    own(&server, &key, ACCOUNT, "bot_abc123").await;
    server.until_metric("tidings_subscriptions", 0.0).await;
    let mut client = narrow(&server, SUBSCRIBE_BOT, SUBSCRIBED_BOT).await;
    server.until_metric("tidings_subscriptions", 1.0).await;
    let padding = "x".repeat(BIG);
    let mut published = 0;
    server
        .until("it is given up", async || {
            let data = format!(r#"{{"number":{published},"padding":"{padding}"}}"#);
            let body = format!(r#"{{"event":"trade_executed","data":{data}}}"#);
            server.publish("BOT_bot_abc123", &body).await;
            published += 1;
            server.metric("tidings_subscriptions").await == 0.0
        })
        .await;
    let number = |told: &Value| told["data"]["number"].as_u64();
    closed_without_a_gap(&server, &mut client, published, number).await;
}

#[tokio::test]
async fn a_client_that_does_not_read_is_closed_before_it_misses_a_transaction() {
    const TRANSACTIONS: u64 = 40_000;
    let redis = RedisServer::start().await;
    let server = Tidings::start_on(&redis, &[&[ENABLED][..], &SETTINGS].concat()).await;
    let mut client = narrow(&server, SUBSCRIBE_WALLET, SUBSCRIBED_WALLET).await;
    server.until_metric("tidings_subscriptions", 1.0).await;
    let mut all = redis::pipe();
    for slot in 0..TRANSACTIONS {
        let body = transaction("confirmed", slot);
        all.publish(format!("WALLET_TX_{WALLET}"), body).ignore();
    }
    let publisher = redis::Client::open(redis.url()).unwrap();
    let mut publisher = publisher.get_multiplexed_async_connection().await.unwrap();
    let () = all.query_async(&mut publisher).await.unwrap();
    server.until_metric("tidings_subscriptions", 0.0).await;
    let slot = |told: &Value| told["slot"].as_u64();
    closed_without_a_gap(&server, &mut client, TRANSACTIONS, slot).await;
}

/// It reads all from the first on, up to a place before the last, and a close that says: come back.
async fn closed_without_a_gap(
    server: &Tidings,
    client: &mut Client,
    published: u64,
    number: impl Fn(&Value) -> Option<u64>,
) {
    let (texts, closed) = client.closed_after_all().await;
    assert_eq!(closed.0, 1013, "{}", closed.1);
    assert!((texts.len() as u64) < published, "the client was not slow");
    for (expected, text) in (0..).zip(&texts) {
        let told: Value = serde_json::from_str(text).expect("messages are JSON");
        assert_eq!(number(&told), Some(expected));
    }
    let too_slow = r#"tidings_closes_total{reason="too_slow"}"#;
    server.until_metric(too_slow, 1.0).await;
}
