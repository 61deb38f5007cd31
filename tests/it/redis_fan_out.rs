//! Servers on one Redis: what Blink's back end publishes reaches the right clients of every node.

use serde_json::json;

use crate::bodies::{
    BY_REQUEST, DOLLARS, Invoice, MY_UPDATES, ln_receipt, memo_in, price, price_in,
};
use crate::redis_server::RedisServer;
use crate::tidings::Tidings;

const ACCOUNT: &str = "0d3d3c1a-5e0e-4b7b-8f59-7f1a7b1f6a51";
const OTHER: &str = "1d3d3c1a-5e0e-4b7b-8f59-7f1a7b1f6a51";
const USD: &str = "PRICE_UPDATE_USD";

/// The transaction of Blink's webhook documentation.
const TRANSACTION: &str = r#"{"createdAt":"2023-11-21T01:49:38.375Z","id":"655cd1926445716f60b89418","walletId":"21087d73-28c9-4d1f-9b0c-1a2b3c4d5e6f","initiationVia":{"type":"lightning","paymentHash":"bf6b","pubkey":"d75a"},"settlementVia":{"type":"lightning"},"memo":null,"settlementAmount":2707,"settlementFee":0,"settlementCurrency":"BTC","settlementDisplayAmount":"1.00","settlementDisplayFee":"0.00","settlementDisplayPrice":{"base":"36941263391","offset":"12","displayCurrency":"USD","walletCurrency":"BTC"},"status":"success"}"#;

/// The price of Blink's own documentation.
const PRICE: &str = r#"{"timestamp":"2024-01-15T10:30:00.000Z","currency":{"code":"USD","symbol":"$","name":"US Dollar","flag":"🇺🇸","fractionDigits":2,"countryCodes":["US"]},"displayCurrency":"USD","pricePerSat":0.000436441484375,"pricePerUsdCent":0.01}"#;

/// As `redis-cli PUBLISH` does.
async fn publish(redis: &RedisServer, channel: &str, body: &str) {
    let mut publish = redis::cmd("PUBLISH");
    let _: usize = redis.run(publish.arg(channel).arg(body)).await;
}

#[tokio::test]
async fn what_blink_publishes_reaches_the_right_clients_of_both_nodes() {
    let redis = RedisServer::start().await;
    let (first, second) = futures_util::join!(
        Tidings::start_on(&redis, &[]),
        Tidings::start_on(&redis, &[])
    );
    // Made on one node, known on the other.
    let key = first.key(ACCOUNT, &["read"]).await;
    let other_key = second.key(OTHER, &["read"]).await;
    let invoice = Invoice::new();
    let mut clients = Vec::new();
    for server in [&first, &second] {
        server.until_known(&key).await;
        server.until_known(&other_key).await;
        let mut mine = server.with_key(&key).await;
        mine.subscribe("mine", "subscription { myUpdates { update { type: __typename ... on Price { base } ... on RealtimePrice { btcSatPrice { base } } ... on LnUpdate { status transaction { settlementAmount } } ... on IntraLedgerUpdate { txNotificationType amount } ... on OnChainUpdate { txNotificationType amount txHash transaction { createdAt } } } } }").await;
        mine.subscribe("invoice", &invoice.by_request()).await;
        let pending = invoice.in_state(BY_REQUEST, "PENDING");
        assert_eq!(mine.payload("invoice").await, pending);
        let mut other = server.with_key(&other_key).await;
        other.subscribe("price", "subscription { price(input: { amount: 100 amountCurrencyUnit: BTCSAT priceCurrencyUnit: USDCENT }) { errors { message } price { base offset currencyUnit } } }").await;
        other.subscribe("other", MY_UPDATES).await;
        server.until_metric("tidings_subscriptions", 4.0).await;
        clients.push((mine, other));
    }
    let account = format!("ACCOUNT_UPDATE_{ACCOUNT}");
    let user_price = "USER_PRICE_UPDATE_USD";
    let published = [
        (user_price, format!(r#"{{"price":{PRICE}}}"#)),
        (user_price, format!(r#"{{"realtimePrice":{PRICE}}}"#)),
        (
            &account,
            format!(
                r#"{{"invoice":{{"walletId":"w","paymentHash":"bf6b","status":"Paid","transaction":{TRANSACTION}}}}}"#
            ),
        ),
        (
            &account,
            format!(
                r#"{{"intraLedger":{{"walletId":"w","txNotificationType":"intra_ledger_receipt","amount":1000,"currency":"BTC","displayAmount":"0.44","displayCurrency":"USD","displayCurrencyPerSat":4.36e+22,"sats":1000,"transaction":{TRANSACTION}}}}}"#
            ),
        ),
        (
            &account,
            format!(
                r#"{{"transaction":{{"walletId":"w","txNotificationType":"onchain_receipt_pending","amount":"50000","currency":"BTC","displayAmount":"21.82","displayCurrency":"USD","displayCurrencyPerSat":4.36e+22,"txHash":"abcd","transaction":{TRANSACTION}}}}}"#
            ),
        ),
        (&account, format!(r#"{{"realtimePrice":{PRICE}}}"#)),
    ];
    for (channel, body) in &published {
        publish(&redis, channel, body).await;
    }
    publish(&redis, &invoice.channel(), &invoice.paid()).await;
    publish(&redis, USD, PRICE).await;
    let updates = [
        json!({ "type": "Price", "base": 43_644_148_438_u64 }),
        json!({ "type": "RealtimePrice", "btcSatPrice": { "base": 43_644_148_438_u64 } }),
        json!({ "type": "LnUpdate", "status": "PAID", "transaction": { "settlementAmount": 2707 } }),
        json!({ "type": "IntraLedgerUpdate", "txNotificationType": "IntraLedgerReceipt", "amount": 1000 }),
        json!({ "type": "OnChainUpdate", "txNotificationType": "OnchainReceiptPending", "amount": 50000, "txHash": "abcd", "transaction": { "createdAt": 1_700_531_378 } }),
        json!({ "type": "RealtimePrice", "btcSatPrice": { "base": 43_644_148_438_u64 } }),
    ];
    for (mine, other) in &mut clients {
        for update in &updates {
            let told = json!({ "data": { "myUpdates": { "update": update } } });
            assert_eq!(mine.payload("mine").await, told);
        }
        assert_eq!(
            mine.payload("invoice").await,
            invoice.in_state(BY_REQUEST, "PAID")
        );
        mine.completed("invoice").await;
        // The other account hears what is for everybody, and nothing else.
        for kind in ["Price", "RealtimePrice"] {
            let payload = other.payload("other").await;
            assert_eq!(payload["data"]["myUpdates"]["update"]["__typename"], kind);
        }
        assert_eq!(
            other.text().await,
            r#"{"id":"price","type":"next","payload":{"data":{"price":{"errors":[],"price":{"base":4364414843750,"offset":12,"currencyUnit":"USDCENT"}}}}}"#
        );
    }
}

#[tokio::test]
async fn bodies_that_cannot_be_read_are_counted_and_logged_and_harm_nobody() {
    let redis = RedisServer::start().await;
    let server = Tidings::start_on(&redis, &[]).await;
    let key = server.key(ACCOUNT, &["read"]).await;
    let account = format!("ACCOUNT_UPDATE_{ACCOUNT}");
    let invoice = Invoice::new();
    let mut client = server.with_key(&key).await;
    client.subscribe("mine", MY_UPDATES).await;
    client.subscribe("prices", DOLLARS).await;
    client.subscribe("invoice", &invoice.by_request()).await;
    client.payload("invoice").await;
    server.until_metric("tidings_subscriptions", 3.0).await;

    let deep = "[".repeat(100_000);
    let malformed = [
        (USD, "price", "not JSON"),
        (USD, "price", ""),
        (USD, "price", "[1]"),
        (USD, "price", &deep),
        (USD, "price", r#"{"displayCurrency":"EUR","pricePerSat":1}"#),
        ("USER_PRICE_UPDATE_USD", "user_price", "{}"),
        ("USER_PRICE_UPDATE_USD", "user_price", PRICE),
        (&account, "account", "{}"),
        (&account, "account", r#"{"invoice":{}}"#),
        (&account, "account", r#"{"surprise":1}"#),
        (&invoice.channel(), "invoice", r#"{"status":"PAID"}"#),
        (
            &invoice.channel(),
            "invoice",
            r#"{"paymentHash":"00","status":"Paid"}"#,
        ),
    ];
    for (channel, _, body) in &malformed {
        publish(&redis, channel, body).await;
    }
    let mut not_text = redis::cmd("PUBLISH");
    let _: usize = redis.run(not_text.arg(USD).arg(&b"\xff\xfe"[..])).await;
    // Strangers' channels that look like ours are none of our business.
    for stranger in [
        "LN_PAYMENT_STATUS_lnbc1",
        "PRICE_UPDATE_1b9d6bcd-bbfd-4b2d-9b5d-ab8dfbbd4bed",
    ] {
        publish(&redis, stranger, r#"{"errors":[{"message":"no"}]}"#).await;
    }
    publish(&redis, USD, &price(1)).await;
    publish(&redis, &account, &ln_receipt("tea")).await;
    publish(&redis, &invoice.channel(), &invoice.paid()).await;
    assert_eq!(price_in(&client.payload("prices").await), 1);
    assert_eq!(memo_in(&client.payload("mine").await), Some("tea"));
    assert_eq!(
        client.payload("invoice").await,
        invoice.in_state(BY_REQUEST, "PAID")
    );
    for topic in ["price", "user_price", "account", "invoice"] {
        let of_topic = malformed.iter().filter(|(_, of, _)| *of == topic).count();
        let expected = of_topic + usize::from(topic == "price");
        let metric = format!(r#"tidings_malformed_total{{topic="{topic}"}}"#);
        assert_eq!(server.metric(&metric).await, expected as f64, "{topic}");
    }
    let logged = server
        .logged(|line| {
            line["message"]
                .as_str()
                .is_some_and(|said| said.contains("surprise"))
        })
        .await;
    assert_eq!(logged["level"], "WARN", "{logged}");
    assert_eq!(logged["topic"], "account", "{logged}");
}

#[tokio::test]
async fn clients_outlive_a_crash_of_redis_and_are_told_the_present_state_again() {
    let mut redis =
        RedisServer::start_with(&["--appendonly", "yes", "--appendfsync", "always"]).await;
    let (first, second) = futures_util::join!(
        Tidings::start_on(&redis, &[]),
        Tidings::start_on(&redis, &[])
    );
    let key = first.key(ACCOUNT, &["read"]).await;
    let account = format!("ACCOUNT_UPDATE_{ACCOUNT}");
    let invoice = Invoice::new();
    publish(&redis, USD, &price(1)).await;
    let mut clients = Vec::new();
    for server in [&first, &second] {
        server.until_known(&key).await;
        let mut prices = server.anonymous().await;
        prices.subscribe("1", DOLLARS).await;
        assert_eq!(price_in(&prices.payload("1").await), 1);
        let mut pays = server.anonymous().await;
        pays.subscribe("1", &invoice.by_request()).await;
        let pending = invoice.in_state(BY_REQUEST, "PENDING");
        assert_eq!(pays.payload("1").await, pending);
        let mut mine = server.with_key(&key).await;
        mine.subscribe("1", MY_UPDATES).await;
        // The public price stands in for one that was published for accounts.
        assert_eq!(memo_in(&mine.payload("1").await), None);
        assert_eq!(memo_in(&mine.payload("1").await), None);
        server.until_metric("tidings_subscriptions", 3.0).await;
        clients.push((prices, pays, mine));
    }
    for gap in 1..=2 {
        redis.kill();
        for server in [&first, &second] {
            server.until_metric("tidings_bus_up", 0.0).await;
            assert_eq!(server.get("/readyz").await.0, 503);
            assert_eq!(server.get("/healthz").await.0, 200);
        }
        redis.restart().await;
        for (server, (prices, pays, mine)) in [&first, &second].into_iter().zip(&mut clients) {
            assert_eq!(price_in(&prices.payload("1").await), gap);
            let pending = invoice.in_state(BY_REQUEST, "PENDING");
            assert_eq!(pays.payload("1").await, pending);
            assert_eq!(memo_in(&mine.payload("1").await), None);
            assert_eq!(memo_in(&mine.payload("1").await), None);
            assert_eq!(server.get("/readyz").await.0, 200);
            server
                .until_metric("tidings_bus_gaps_total", gap as f64)
                .await;
        }
        publish(&redis, USD, &price(gap + 1)).await;
        publish(&redis, &account, &ln_receipt("tea")).await;
        for (prices, _, mine) in &mut clients {
            assert_eq!(price_in(&prices.payload("1").await), gap + 1);
            assert_eq!(memo_in(&mine.payload("1").await), Some("tea"));
        }
    }
    publish(&redis, &invoice.channel(), &invoice.paid()).await;
    for (_, pays, _) in &mut clients {
        assert_eq!(
            pays.payload("1").await,
            invoice.in_state(BY_REQUEST, "PAID")
        );
        pays.completed("1").await;
    }
}

#[tokio::test]
async fn what_was_paid_during_a_gap_is_told_after_it() {
    let mut redis = RedisServer::start().await;
    let server = Tidings::start_on(
        &redis,
        &[
            ("TIDINGS_REDIS__RECONNECT_MIN", "2s"),
            ("TIDINGS_REDIS__RECONNECT_MAX", "3s"),
        ],
    )
    .await;
    let invoice = Invoice::new();
    let mut client = server.anonymous().await;
    client.subscribe("1", &invoice.by_request()).await;
    client.payload("1").await;
    redis.kill();
    server.until_metric("tidings_bus_up", 0.0).await;
    redis.restart().await;
    // Another node is back sooner, and hears of it.
    let sooner = Tidings::start_on(&redis, &[]).await;
    publish(&redis, &invoice.channel(), &invoice.paid()).await;
    assert_eq!(
        client.payload("1").await,
        invoice.in_state(BY_REQUEST, "PAID")
    );
    client.completed("1").await;
    drop(sooner);
}

#[tokio::test]
async fn a_server_whose_redis_is_away_at_the_start_serves_and_recovers() {
    let mut redis = RedisServer::absent(&[]);
    let server = Tidings::start_on(&redis, &[]).await;
    server
        .logged(|line| {
            line["message"] == "the bus is away: serving without events until it is there"
        })
        .await;
    assert_eq!(server.get("/healthz").await.0, 200);
    let (status, said) = server.get("/readyz").await;
    assert_eq!((status, said.as_str()), (503, "the bus is away\n"));
    assert_eq!(server.metric("tidings_bus_up").await, 0.0);

    let invoice = Invoice::new();
    let mut client = server.anonymous().await;
    client.subscribe("prices", DOLLARS).await;
    client.subscribe("invoice", &invoice.by_request()).await;
    assert_eq!(
        client.payload("invoice").await,
        invoice.in_state(BY_REQUEST, "PENDING")
    );
    // A key cannot be checked now, which is not the client's fault: it may come back.
    let mut keyed = server.connect().await;
    let key = format!("blink_{}", "x".repeat(64));
    keyed
        .send(&format!(
            r#"{{"type":"connection_init","payload":{{"X-API-KEY":"{key}"}}}}"#
        ))
        .await;
    assert_eq!(keyed.closed().await.0, 1013);
    let (status, _) = server
        .post("/graphql", &key, r#"{"query":"{ __typename }"}"#)
        .await;
    assert_eq!(status, 503);

    redis.restart().await;
    server
        .until("it is ready", async || server.get("/readyz").await.0 == 200)
        .await;
    assert_eq!(server.metric("tidings_bus_up").await, 1.0);
    assert_eq!(
        client.payload("invoice").await,
        invoice.in_state(BY_REQUEST, "PENDING"),
        "the snapshot after the gap"
    );
    publish(&redis, USD, &price(1)).await;
    assert_eq!(price_in(&client.payload("prices").await), 1);
    let key = server.key(ACCOUNT, &["read"]).await;
    let mut keyed = server.with_key(&key).await;
    keyed.fence().await;
}

#[tokio::test]
async fn accounts_and_prices_of_one_node_are_known_to_the_other() {
    let redis = RedisServer::start().await;
    let first = Tidings::start_on(&redis, &[]).await;
    let accounts = json!([{
        "id": ACCOUNT, "username": "alice", "displayCurrency": "EUR", "level": "ONE",
        "defaultWalletId": "6c9ae5a1-0c6b-4d8e-9a39-2b5a7a0f0b01",
        "wallets": [{ "id": "6c9ae5a1-0c6b-4d8e-9a39-2b5a7a0f0b01", "walletCurrency": "BTC" }],
    }]);
    let imported = first.command(&["accounts", "import", "-"], &[], &accounts.to_string());
    assert!(imported.status.success());
    let key = first.key(ACCOUNT, &["read"]).await;
    let mut client = first.anonymous().await;
    publish(&redis, USD, &price(3)).await;
    client.subscribe("1", DOLLARS).await;
    assert_eq!(price_in(&client.payload("1").await), 3);

    // A node that starts later knows both; its first asker is told the last price.
    let second = Tidings::start_on(&redis, &[]).await;
    second.until_known(&key).await;
    let query = r#"{"query":"{ me { username defaultAccount { displayCurrency } } }"}"#;
    let (_, said) = second.post("/graphql", &key, query).await;
    assert_eq!(
        said,
        r#"{"data":{"me":{"username":"alice","defaultAccount":{"displayCurrency":"EUR"}}}}"#
    );
    let mut late = second.anonymous().await;
    late.subscribe("1", DOLLARS).await;
    assert_eq!(price_in(&late.payload("1").await), 3);
    // An account's prices are in its own currency.
    let mut mine = second.with_key(&key).await;
    mine.subscribe("1", MY_UPDATES).await;
    second.until_metric("tidings_subscriptions", 2.0).await;
    publish(
        &redis,
        "USER_PRICE_UPDATE_USD",
        &format!(r#"{{"realtimePrice":{PRICE}}}"#),
    )
    .await;
    let euros = PRICE.replace("USD", "EUR");
    publish(
        &redis,
        "USER_PRICE_UPDATE_EUR",
        &format!(r#"{{"realtimePrice":{euros}}}"#),
    )
    .await;
    publish(
        &redis,
        &format!("ACCOUNT_UPDATE_{ACCOUNT}"),
        &ln_receipt("tea"),
    )
    .await;
    let text = mine.text().await;
    assert!(text.contains("RealtimePrice"), "{text}");
    assert_eq!(memo_in(&mine.payload("1").await), Some("tea"));
}
