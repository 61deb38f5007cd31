//! Publishing over HTTP and from a shell: what is taken, and what is refused and why.

use serde_json::Value;

use crate::bodies::{DOLLARS, price, price_in};
use crate::redis_server::RedisServer;
use crate::tidings::Tidings;

const ACCOUNT: &str = "0d3d3c1a-5e0e-4b7b-8f59-7f1a7b1f6a51";
const EVENTS: &str = "/v1/events/PRICE_UPDATE_USD";

/// The word for why something was refused.
fn reason(said: &str) -> String {
    let said: Value = serde_json::from_str(said).unwrap_or_else(|_| panic!("not JSON: {said}"));
    said["error"].as_str().expect("a reason").to_owned()
}

#[tokio::test]
async fn what_is_posted_is_told() {
    let server = Tidings::start().await;
    let mut client = server.anonymous().await;
    client.subscribe("1", DOLLARS).await;
    let key = server.key(ACCOUNT, &["publish"]).await;
    assert_eq!(
        server.post(EVENTS, &key, &price(7)).await,
        (202, String::new())
    );
    assert_eq!(price_in(&client.payload("1").await), 7);
}

#[tokio::test]
async fn what_may_not_be_published_is_refused_with_a_reason() {
    let server = Tidings::start().await;
    let key = server.key(ACCOUNT, &["publish"]).await;
    let reader = server.key(ACCOUNT, &["read", "write"]).await;
    let bad = format!("blink_{}", "x".repeat(64));

    let (status, said) = server.post(EVENTS, &bad, &price(1)).await;
    assert_eq!(status, 401, "{said}");
    for key in ["", &reader] {
        let (status, said) = server.post(EVENTS, key, &price(1)).await;
        assert_eq!(status, 403);
        assert_eq!(reason(&said), "this needs a key with the scope `publish`");
    }
    for channel in ["PRICES", "PRICE_UPDATE_usd", "LN_PAYMENT_STATUS_lnbc1"] {
        let path = format!("/v1/events/{channel}");
        let (status, said) = server.post(&path, &key, "{}").await;
        assert_eq!(status, 404);
        let why = format!("there is no channel {channel:?}; there are PRICE_UPDATE_<currency>");
        assert!(reason(&said).starts_with(&why), "{said}");
    }
    for (body, why) in [
        ("", "EOF while parsing"),
        ("soon", "expected value"),
        ("{}", "pricePerSat is missing, or not above zero"),
        (r#"{"pricePerSat":"cheap"}"#, "pricePerSat: not a number"),
        (
            r#"{"displayCurrency":"EUR","pricePerSat":1}"#,
            "displayCurrency is \"EUR\", and the channel's is USD",
        ),
    ] {
        let (status, said) = server.post(EVENTS, &key, body).await;
        assert_eq!(status, 422, "{body}");
        assert!(reason(&said).contains(why), "{body}: {said}");
    }
    let account = format!("/v1/events/ACCOUNT_UPDATE_{ACCOUNT}");
    let (status, said) = server
        .post(&account, &key, r#"{"invoice":{"walletId":7}}"#)
        .await;
    assert_eq!(status, 422);
    assert!(
        reason(&said).contains("invoice.walletId: invalid type"),
        "{said}"
    );
    let (status, _) = server.post(EVENTS, &key, &"x".repeat(70_000)).await;
    assert_eq!(status, 413, "over limits.message_bytes");
    assert_eq!(server.get(EVENTS).await.0, 405);
}

#[tokio::test]
async fn a_shell_publishes_to_a_server_with_a_key() {
    let server = Tidings::start().await;
    let mut client = server.anonymous().await;
    client.subscribe("1", DOLLARS).await;
    let key = server.key(ACCOUNT, &["publish"]).await;
    let reader = server.key(ACCOUNT, &["read"]).await;
    let url = server.http_url("/");
    let publish = ["publish", "--url", &url];
    let with = |more: &[&str], key: &str, stdin: &str| {
        let key = [("TIDINGS_KEY", key)];
        server.command(&[&publish, more].concat(), &key, stdin)
    };
    assert!(
        with(&["PRICE_UPDATE_USD", &price(1)], &key, "")
            .status
            .success()
    );
    assert_eq!(price_in(&client.payload("1").await), 1);

    let lines = format!("{}\n\n{}\n", price(2), price(3));
    let ended = with(&["PRICE_UPDATE_USD"], &key, &lines);
    assert_eq!(
        String::from_utf8_lossy(&ended.stderr),
        "published 2 events\n"
    );
    assert_eq!(price_in(&client.payload("1").await), 2);
    assert_eq!(price_in(&client.payload("1").await), 3);

    let lines = format!("PRICE_UPDATE_USD {}\nPRICES {{}}\n", price(4));
    let ended = with(&[], &key, &lines);
    assert_eq!(ended.status.code(), Some(1));
    let said = String::from_utf8_lossy(&ended.stderr);
    assert!(
        said.starts_with("error: line 2: there is no channel \"PRICES\""),
        "{said}"
    );
    assert_eq!(
        price_in(&client.payload("1").await),
        4,
        "the line before it"
    );

    let ended = with(&["PRICE_UPDATE_USD", &price(5)], &reader, "");
    let said = String::from_utf8_lossy(&ended.stderr);
    assert!(said.contains("403 Forbidden"), "{said}");
    assert!(said.contains("the key needs the scope publish"), "{said}");
}

#[tokio::test]
async fn on_redis_a_shell_needs_no_server_and_a_post_reaches_every_node() {
    let redis = RedisServer::start().await;
    let (first, second) = futures_util::join!(
        Tidings::start_on(&redis, &[]),
        Tidings::start_on(&redis, &[])
    );
    let mut client = second.anonymous().await;
    client.subscribe("1", DOLLARS).await;
    first.run(&["publish", "PRICE_UPDATE_USD", &price(1)]);
    assert_eq!(price_in(&client.payload("1").await), 1);
    let lines = format!("PRICE_UPDATE_USD {}\n", price(2));
    assert!(first.command(&["publish"], &[], &lines).status.success());
    assert_eq!(price_in(&client.payload("1").await), 2);
    first.publish("PRICE_UPDATE_USD", &price(3)).await;
    assert_eq!(price_in(&client.payload("1").await), 3);
}

#[tokio::test]
async fn while_redis_is_away_publishing_is_refused_with_503() {
    let mut redis = RedisServer::start().await;
    let server = Tidings::start_on(&redis, &[]).await;
    let key = server.key(ACCOUNT, &["publish"]).await;
    redis.kill();
    server.until_metric("tidings_bus_up", 0.0).await;
    let (status, said) = server.post(EVENTS, &key, &price(1)).await;
    assert_eq!((status, reason(&said)), (503, "the bus is away".to_owned()));
    let ended = server.command(&["publish", "PRICE_UPDATE_USD", &price(1)], &[], "");
    assert_eq!(ended.status.code(), Some(1));
    let said = String::from_utf8_lossy(&ended.stderr);
    assert!(said.starts_with("error: redis is away"), "{said}");
}
