//! What becomes of an invoice: pending, then paid or expired.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::bodies::{BY_HASH, BY_REQUEST, DOLLARS, Invoice, price, price_in};
use crate::redis_server::RedisServer;
use crate::tidings::Tidings;

/// Blink's behaviour: a subscription stays open after PAID and EXPIRED.
const STAYS_OPEN: (&str, &str) = ("TIDINGS_INVOICES__COMPLETE_WHEN_FINAL", "false");

#[tokio::test]
async fn an_invoice_is_pending_then_paid_and_then_nothing_follows() {
    let server = Tidings::start().await;
    let invoice = Invoice::new();
    let mut client = server.anonymous().await;
    client.subscribe("1", &invoice.by_request()).await;
    assert_eq!(
        client.payload("1").await,
        invoice.in_state(BY_REQUEST, "PENDING")
    );
    // The core's own message has no request.
    server.publish(&invoice.channel(), &invoice.paid()).await;
    assert_eq!(
        client.payload("1").await,
        invoice.in_state(BY_REQUEST, "PAID")
    );
    client.completed("1").await;
    server.until_metric("tidings_subscriptions", 0.0).await;
    // The id is free again.
    client.subscribe("1", &invoice.by_request()).await;
    assert_eq!(
        client.payload("1").await,
        invoice.in_state(BY_REQUEST, "PAID")
    );
    client.completed("1").await;
}

#[tokio::test]
async fn the_older_field_tells_the_same() {
    let server = Tidings::start().await;
    let invoice = Invoice::new();
    let mut client = server.anonymous().await;
    let request = json!({ "input": { "paymentRequest": invoice.request } }).to_string();
    client.subscribe_with("2", "subscription LnInvoicePaymentStatus($input: LnInvoicePaymentStatusInput!) { lnInvoicePaymentStatus(input: $input) { status errors { code message path } }}", &request).await;
    let told = |status| {
        format!(
            r#"{{"id":"2","type":"next","payload":{{"data":{{"lnInvoicePaymentStatus":{{"status":"{status}","errors":[]}}}}}}}}"#
        )
    };
    assert_eq!(client.text().await, told("PENDING"));
    server.publish(&invoice.channel(), &invoice.paid()).await;
    assert_eq!(client.text().await, told("PAID"));
    client.completed("2").await;
}

#[tokio::test]
async fn an_invoice_expires_a_second_after_it_says_so() {
    let server = Tidings::start().await;
    let made = Instant::now();
    let validity = Duration::from_secs(4);
    let invoice = Invoice::valid_for(validity);
    let mut client = server.anonymous().await;
    client.subscribe("request", &invoice.by_request()).await;
    assert_eq!(
        client.payload("request").await,
        invoice.in_state(BY_REQUEST, "PENDING")
    );
    // What one client brings holds for that client: by its hash it is known when it is published.
    let pending = invoice.told("Pending");
    server.publish(&invoice.channel(), &pending).await;
    until_known(&server, &invoice, "PENDING").await;
    client.subscribe("hash", &invoice.by_hash()).await;
    assert_eq!(
        client.payload("hash").await,
        invoice.in_state(BY_HASH, "PENDING")
    );
    // Both are told, in any order.
    let mut told = Vec::new();
    for _ in 0..4 {
        told.push(client.json().await);
    }
    let after = made.elapsed();
    // Invoices count in whole seconds.
    assert!(after >= validity, "after {after:?}");
    for (id, field) in [("request", BY_REQUEST), ("hash", BY_HASH)] {
        let expired =
            json!({ "id": id, "type": "next", "payload": invoice.in_state(field, "EXPIRED") });
        let complete = json!({ "id": id, "type": "complete" });
        let place = |message: &Value| told.iter().position(|told| told == message);
        assert!(place(&expired).is_some(), "{told:?}");
        assert!(place(&expired) < place(&complete), "{told:?}");
    }
}

#[tokio::test]
async fn an_invoice_that_has_expired_is_told_so_at_once() {
    let server = Tidings::start().await;
    let invoice = Invoice::expired();
    let mut client = server.anonymous().await;
    client.subscribe("1", &invoice.by_request()).await;
    assert_eq!(
        client.payload("1").await,
        invoice.in_state(BY_REQUEST, "EXPIRED")
    );
    client.completed("1").await;
}

#[tokio::test]
async fn a_paid_invoice_does_not_expire_and_one_for_a_hundred_years_neither() {
    let server = Tidings::start_with(&[STAYS_OPEN]).await;
    let paid = Invoice::valid_for(Duration::from_secs(4));
    let century = Invoice::valid_for(Duration::from_secs(100 * 365 * 86_400));
    let later = Invoice::valid_for(Duration::from_secs(5));
    let mut client = server.anonymous().await;
    for (id, invoice) in [("paid", &paid), ("century", &century), ("later", &later)] {
        client.subscribe(id, &invoice.by_request()).await;
        assert_eq!(
            client.payload(id).await,
            invoice.in_state(BY_REQUEST, "PENDING")
        );
    }
    server.publish(&paid.channel(), &paid.paid()).await;
    assert_eq!(
        client.payload("paid").await,
        paid.in_state(BY_REQUEST, "PAID")
    );
    // What another server thinks of it does not count, either.
    server.publish(&paid.channel(), &paid.told("Expired")).await;
    // The next thing that is heard is the end of the one that ends after the paid one would have.
    assert_eq!(
        client.payload("later").await,
        later.in_state(BY_REQUEST, "EXPIRED")
    );
    assert_eq!(server.metric("tidings_subscriptions").await, 3.0);
}

#[tokio::test]
async fn a_subscription_stays_open_after_paid_where_that_is_wanted_and_nothing_is_told_twice() {
    let server = Tidings::start_with(&[STAYS_OPEN]).await;
    let invoice = Invoice::new();
    let mut client = server.anonymous().await;
    client.subscribe("prices", DOLLARS).await;
    client.subscribe("1", &invoice.by_request()).await;
    assert_eq!(
        client.payload("1").await,
        invoice.in_state(BY_REQUEST, "PENDING")
    );
    for _ in 0..3 {
        server
            .publish(&invoice.channel(), &invoice.told("Pending"))
            .await;
    }
    for _ in 0..3 {
        server.publish(&invoice.channel(), &invoice.paid()).await;
    }
    server
        .publish(&invoice.channel(), &invoice.told("Pending"))
        .await;
    assert_eq!(
        client.payload("1").await,
        invoice.in_state(BY_REQUEST, "PAID")
    );
    server.publish("PRICE_UPDATE_USD", &price(1)).await;
    assert_eq!(price_in(&client.payload("prices").await), 1);
    assert_eq!(server.metric("tidings_subscriptions").await, 2.0);
    client.complete("1").await;
    server.until_metric("tidings_subscriptions", 1.0).await;
}

/// Waits until a server knows an invoice in this state. What was published is taken, not yet told.
async fn until_known(server: &Tidings, invoice: &Invoice, status: &str) {
    let query = format!(
        r#"{{ {BY_HASH}(input: {{ paymentHash: "{}" }}) {{ status }} }}"#,
        invoice.hash
    );
    let query = json!({ "query": query }).to_string();
    server
        .until("the invoice is known", async || {
            let (_, said) = server.post("/graphql", "", &query).await;
            said.contains(&format!(r#""status":"{status}""#))
        })
        .await;
}

#[tokio::test]
async fn what_is_paid_while_nobody_listens_is_known() {
    let server = Tidings::start().await;
    let invoice = Invoice::new();
    server.publish(&invoice.channel(), &invoice.paid()).await;
    until_known(&server, &invoice, "PAID").await;
    let mut client = server.anonymous().await;
    // Nobody has said its request yet.
    client.subscribe("1", &invoice.by_hash()).await;
    let mut paid = invoice.in_state(BY_HASH, "PAID");
    paid["data"][BY_HASH]["paymentRequest"] = Value::Null;
    assert_eq!(client.payload("1").await, paid);
    client.completed("1").await;
    client.subscribe("2", &invoice.by_request()).await;
    assert_eq!(
        client.payload("2").await,
        invoice.in_state(BY_REQUEST, "PAID")
    );
    client.completed("2").await;

    let told = Invoice::new();
    server.publish(&told.channel(), &told.told("Pending")).await;
    server.publish(&told.channel(), &told.paid()).await;
    until_known(&server, &told, "PAID").await;
    client.subscribe("3", &told.by_hash()).await;
    assert_eq!(client.payload("3").await, told.in_state(BY_HASH, "PAID"));
    client.completed("3").await;
}

#[tokio::test]
async fn a_node_that_starts_later_knows_what_was_paid() {
    let redis = RedisServer::start().await;
    let first = Tidings::start_on(&redis, &[]).await;
    let invoice = Invoice::new();
    for body in [invoice.told("Pending"), invoice.paid()] {
        let _: usize = redis
            .run(redis::cmd("PUBLISH").arg(invoice.channel()).arg(body))
            .await;
    }
    until_known(&first, &invoice, "PAID").await;
    let second = Tidings::start_on(&redis, &[]).await;
    until_known(&second, &invoice, "PAID").await;
    let mut hears = first.anonymous().await;
    hears.subscribe("1", &invoice.by_hash()).await;
    assert_eq!(hears.payload("1").await, invoice.in_state(BY_HASH, "PAID"));
    let mut asks = second.anonymous().await;
    asks.subscribe("1", &invoice.by_hash()).await;
    assert_eq!(asks.payload("1").await, invoice.in_state(BY_HASH, "PAID"));
    asks.completed("1").await;
    asks.subscribe("2", &invoice.by_request()).await;
    assert_eq!(
        asks.payload("2").await,
        invoice.in_state(BY_REQUEST, "PAID")
    );
    asks.completed("2").await;
}

fn not_found(invoice: &Invoice) -> Value {
    let message = format!(
        r#"Unexpected error occurred, please try again or contact support if it persists (code: InvoiceNotFoundError: {{"paymentHash":"{}"}})"#,
        invoice.hash
    );
    json!({ "data": { BY_HASH: {
        "errors": [{ "message": message, "code": "UNEXPECTED_CLIENT_ERROR" }],
        "status": null, "paymentHash": null, "paymentRequest": null, "paymentPreimage": null,
    }}})
}

#[tokio::test]
async fn an_unknown_hash_is_said_to_be_and_known_as_soon_as_someone_tells_of_it() {
    let server = Tidings::start().await;
    let invoice = Invoice::new();
    let mut early = server.anonymous().await;
    early.subscribe("1", &invoice.by_hash()).await;
    assert_eq!(early.payload("1").await, not_found(&invoice));

    server
        .publish(&invoice.channel(), &invoice.told("Pending"))
        .await;
    assert_eq!(
        early.payload("1").await,
        invoice.in_state(BY_HASH, "PENDING")
    );
    let mut late = server.anonymous().await;
    late.subscribe("1", &invoice.by_hash()).await;
    assert_eq!(
        late.payload("1").await,
        invoice.in_state(BY_HASH, "PENDING")
    );

    server.publish(&invoice.channel(), &invoice.paid()).await;
    for client in [&mut early, &mut late] {
        assert_eq!(client.payload("1").await, invoice.in_state(BY_HASH, "PAID"));
        client.completed("1").await;
    }
}

#[tokio::test]
async fn an_invoice_that_was_unknown_to_its_asker_expires_too() {
    unknown_until_published(Invoice::valid_for(Duration::from_secs(1))).await;
}

#[tokio::test]
async fn an_invoice_that_was_published_after_its_time_expires_too() {
    unknown_until_published(Invoice::expired()).await;
}

async fn unknown_until_published(invoice: Invoice) {
    let server = Tidings::start().await;
    let mut client = server.anonymous().await;
    client.subscribe("1", &invoice.by_hash()).await;
    assert_eq!(client.payload("1").await, not_found(&invoice));
    server
        .publish(&invoice.channel(), &invoice.told("Pending"))
        .await;
    assert_eq!(
        client.payload("1").await,
        invoice.in_state(BY_HASH, "PENDING")
    );
    assert_eq!(
        client.payload("1").await,
        invoice.in_state(BY_HASH, "EXPIRED")
    );
    client.completed("1").await;
}

#[tokio::test]
async fn a_request_that_cannot_be_read_is_said_so_and_the_subscription_stays_open() {
    let server = Tidings::start().await;
    let mut client = server.anonymous().await;
    let document = format!(
        r#"subscription {{ {BY_REQUEST}(input: {{ paymentRequest: "lnbc1nonsense" }}) {{ errors {{ message code }} status }} }}"#
    );
    client.subscribe("1", &document).await;
    let payload = client.payload("1").await;
    let told = &payload["data"][BY_REQUEST];
    assert_eq!(
        told["errors"][0]["code"], "INVOICE_DECODE_ERROR",
        "{payload}"
    );
    assert_eq!(told["status"], Value::Null);
    assert_eq!(server.metric("tidings_subscriptions").await, 1.0);
    assert_eq!(client.fence().await, Vec::<String>::new());
}

#[tokio::test]
async fn queries_tell_the_present_state_of_an_invoice() {
    let server = Tidings::start().await;
    let ask = async |field: &str, input: Value| {
        let query = format!(
            "{{ {field}(input: {}) {{ status paymentHash paymentRequest paymentPreimage }} }}",
            input.as_str().unwrap()
        );
        let body = json!({ "query": query }).to_string();
        let (status, said) = server.post("/graphql", "", &body).await;
        assert_eq!(status, 200, "{said}");
        serde_json::from_str::<Value>(&said).unwrap()
    };
    let invoice = Invoice::new();
    let request = || json!(format!(r#"{{ paymentRequest: "{}" }}"#, invoice.request));
    let hash = || json!(format!(r#"{{ paymentHash: "{}" }}"#, invoice.hash));
    let in_state = |field: &str, status: &str| {
        let mut state = invoice.in_state(field, status);
        state["data"][field]
            .as_object_mut()
            .unwrap()
            .remove("errors");
        state
    };

    let unknown = ask(BY_HASH, hash()).await;
    let message = unknown["errors"][0]["message"].as_str().unwrap();
    assert!(message.contains("InvoiceNotFoundError"), "{unknown}");
    assert_eq!(
        ask(BY_REQUEST, request()).await,
        in_state(BY_REQUEST, "PENDING")
    );
    server
        .publish(&invoice.channel(), &invoice.told("Pending"))
        .await;
    // It is kept before it is told, but after it was published.
    server
        .until("the invoice is known", async || {
            ask(BY_HASH, hash()).await == in_state(BY_HASH, "PENDING")
        })
        .await;
    server.publish(&invoice.channel(), &invoice.paid()).await;
    server
        .until("the invoice is paid", async || {
            ask(BY_HASH, hash()).await == in_state(BY_HASH, "PAID")
        })
        .await;
    assert_eq!(
        ask(BY_REQUEST, request()).await,
        in_state(BY_REQUEST, "PAID")
    );
}
