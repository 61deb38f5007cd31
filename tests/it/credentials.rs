//! Keys: what they open, and when that ends.

use std::time::{Duration, Instant};

use serde_json::json;

use crate::bodies::{DOLLARS, MY_UPDATES, ln_receipt, memo_in, price, price_in};
use crate::client::Client;
use crate::redis_server::RedisServer;
use crate::tidings::Tidings;

const ACCOUNT: &str = "0d3d3c1a-5e0e-4b7b-8f59-7f1a7b1f6a51";

/// Payloads of `connection_init` with bad credentials.
fn bad_credentials() -> Vec<String> {
    let stranger = "x".repeat(64);
    [
        r#"{"X-API-KEY":"blink_"}"#,
        r#"{"X-API-KEY":"nonsense"}"#,
        r#"{"X-API-KEY":7}"#,
        &format!(r#"{{"X-API-KEY":"blink_{stranger}"}}"#),
        &format!(r#"{{"X-API-KEY":"galoy_staging_{stranger}"}}"#),
        r#"{"Authorization":"Bearer a.b.c"}"#,
    ]
    .map(str::to_owned)
    .to_vec()
}

async fn say_init(server: &Tidings, payload: &str) -> Client {
    let mut client = server.connect().await;
    let init = format!(r#"{{"type":"connection_init","payload":{payload}}}"#);
    client.send(&init).await;
    client
}

fn forbidden() -> (u16, String) {
    (4403, "Forbidden".to_owned())
}

#[tokio::test]
async fn a_bad_key_and_any_bearer_are_forbidden() {
    let server = Tidings::start().await;
    for payload in bad_credentials() {
        let mut client = say_init(&server, &payload).await;
        assert_eq!(client.closed().await, forbidden(), "{payload}");
    }
    // Of a key and a bearer the bearer counts.
    let key = server.key(ACCOUNT, &["read"]).await;
    let both = format!(r#"{{"X-API-KEY":"{key}","Authorization":"Bearer a.b.c"}}"#);
    let mut client = say_init(&server, &both).await;
    assert_eq!(client.closed().await, forbidden());
    let counted = bad_credentials().len() as f64 + 1.0;
    server
        .until_metric(r#"tidings_closes_total{reason="forbidden"}"#, counted)
        .await;
}

#[tokio::test]
async fn an_empty_key_is_none() {
    let server = Tidings::start().await;
    for payload in [r#"{"X-API-KEY":""}"#, r#"{"X-API-KEY":null}"#, "{}"] {
        let mut client = server.connect().await;
        client.init(payload).await;
    }
}

#[tokio::test]
async fn where_bad_credentials_are_as_good_as_none_the_public_is_heard() {
    let anonymous = ("TIDINGS_AUTH__ON_BAD_CREDENTIALS", "anonymous");
    let server = Tidings::start_with(&[anonymous]).await;
    server.publish("PRICE_UPDATE_USD", &price(1)).await;
    for payload in bad_credentials() {
        let mut client = server.connect().await;
        client.init(&payload).await;
        client.subscribe("1", DOLLARS).await;
        assert_eq!(price_in(&client.payload("1").await), 1);
        client.subscribe("2", MY_UPDATES).await;
        let refused = client.payload("2").await;
        assert_eq!(
            refused["errors"][0]["message"],
            "Not Authenticated for subscription"
        );
        assert_eq!(
            refused["errors"][0]["extensions"]["code"],
            "NOT_AUTHENTICATED"
        );
        client.completed("2").await;
    }
    // A good key is still one.
    let key = server.key(ACCOUNT, &["read"]).await;
    let mut client = server.with_key(&key).await;
    client.subscribe("1", MY_UPDATES).await;
    server.until_metric("tidings_operations", 1.0).await;
}

#[tokio::test]
async fn what_a_revoked_key_opened_is_closed_within_a_second_and_nothing_else() {
    let server = Tidings::start().await;
    let key = server.new_key(ACCOUNT, &["read"], &["--name", "till"]);
    let other = server.key(ACCOUNT, &["read"]).await;
    server.until_known(&key).await;
    let (mut one, mut two) = (server.with_key(&key).await, server.with_key(&key).await);
    one.subscribe("1", MY_UPDATES).await;
    let mut sibling = server.with_key(&other).await;
    sibling.subscribe("1", MY_UPDATES).await;
    let mut anonymous = server.anonymous().await;
    anonymous.subscribe("1", DOLLARS).await;
    server.until_metric("tidings_subscriptions", 3.0).await;

    server.run(&["keys", "revoke", &server.key_id("till")]);
    let revoked = Instant::now();
    let closed = (4403, "API key revoked".to_owned());
    assert_eq!(one.closed().await, closed);
    assert_eq!(two.closed().await, closed);
    assert!(
        revoked.elapsed() < Duration::from_secs(1),
        "after {:?}",
        revoked.elapsed()
    );
    let mut again = say_init(&server, &format!(r#"{{"X-API-KEY":"{key}"}}"#)).await;
    assert_eq!(again.closed().await, forbidden());

    let channel = format!("ACCOUNT_UPDATE_{ACCOUNT}");
    server.publish(&channel, &ln_receipt("tea")).await;
    assert_eq!(memo_in(&sibling.payload("1").await), Some("tea"));
    server.publish("PRICE_UPDATE_USD", &price(1)).await;
    assert_eq!(price_in(&anonymous.payload("1").await), 1);
    let revoked = r#"tidings_closes_total{reason="key_revoked"}"#;
    server.until_metric(revoked, 2.0).await;
}

#[tokio::test]
async fn a_revocation_is_known_on_every_node_within_a_second() {
    let redis = RedisServer::start().await;
    let (first, second) = futures_util::join!(
        Tidings::start_on(&redis, &[]),
        Tidings::start_on(&redis, &[])
    );
    let key = first.new_key(ACCOUNT, &["read"], &["--name", "till"]);
    let mut clients = Vec::new();
    for server in [&first, &second] {
        server.until_known(&key).await;
        let mut client = server.with_key(&key).await;
        client.subscribe("1", MY_UPDATES).await;
        server.until_metric("tidings_subscriptions", 1.0).await;
        clients.push(client);
    }
    second.run(&["keys", "revoke", &second.key_id("till")]);
    let revoked = Instant::now();
    for client in &mut clients {
        assert_eq!(client.closed().await, (4403, "API key revoked".to_owned()));
    }
    assert!(
        revoked.elapsed() < Duration::from_secs(1),
        "after {:?}",
        revoked.elapsed()
    );
}

#[tokio::test]
async fn what_a_key_opened_is_closed_when_it_expires_and_nothing_else() {
    let server = Tidings::start().await;
    let other = server.key(ACCOUNT, &["read"]).await;
    let mut sibling = server.with_key(&other).await;
    let created = Instant::now();
    let key = server.new_key(ACCOUNT, &["read"], &["--expires-in", "2s"]);
    server.until_known(&key).await;
    let mut client = server.with_key(&key).await;
    client.subscribe("1", MY_UPDATES).await;
    assert_eq!(client.closed().await, (4403, "API key expired".to_owned()));
    let lived = created.elapsed();
    assert!(lived >= Duration::from_secs(2), "closed after {lived:?}");
    assert!(lived < Duration::from_secs(4), "closed after {lived:?}");
    let mut again = say_init(&server, &format!(r#"{{"X-API-KEY":"{key}"}}"#)).await;
    assert_eq!(again.closed().await, forbidden());
    sibling.fence().await;
}

#[tokio::test]
async fn queries_take_the_same_keys() {
    const ME: &str = r#"{"query":"{ me { id } }"}"#;
    let server = Tidings::start().await;
    let key = server.new_key(ACCOUNT, &["read"], &["--name", "till"]);
    server.until_known(&key).await;
    let me = json!({ "data": { "me": { "id": ACCOUNT } } }).to_string();
    assert_eq!(server.post("/graphql", &key, ME).await, (200, me));
    let nobody = json!({ "data": { "me": null } }).to_string();
    assert_eq!(server.post("/graphql", "", ME).await, (200, nobody));
    let refused = json!({ "errors": [{ "message": "Unauthorized" }] }).to_string();
    let stranger = format!("blink_{}", "x".repeat(64));
    for bad in ["nonsense", &stranger] {
        let answer = server.post("/graphql", bad, ME).await;
        assert_eq!(answer, (401, refused.clone()), "{bad}");
    }
    let writer = server.key(ACCOUNT, &["write"]).await;
    let (status, said) = server.post("/graphql", &writer, ME).await;
    assert_eq!(status, 200);
    assert!(said.contains(r#""code":"NOT_AUTHORIZED""#), "{said}");

    server.run(&["keys", "revoke", &server.key_id("till")]);
    server
        .until("a revoked key is refused", async || {
            server.post("/graphql", &key, ME).await == (401, refused.clone())
        })
        .await;
}
