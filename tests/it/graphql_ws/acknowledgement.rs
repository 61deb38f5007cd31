//! How clients are let in, and told that the server is there.

use serde_json::{Value, json};
use tokio_tungstenite::tungstenite::Message;

use super::{
    ACCOUNT, KEEP_ALIVE, completed, connect, fence, let_in, payload, refused, start, stop,
};
use crate::bodies::{DOLLARS, MY_UPDATES, ln_receipt, memo_in, price, price_in};
use crate::client::Client;
use crate::tidings::Tidings;
use crate::token_issuer::{TokenIssuer, token};

#[tokio::test]
async fn an_acknowledgement_comes_first_and_a_keep_alive_next() {
    let server = Tidings::start().await;
    for init in [
        r#"{"type":"connection_init","payload":{}}"#,
        r#"{"type":"connection_init","payload":null}"#,
        r#"{"type":"connection_init"}"#,
    ] {
        let mut client = connect(&server).await;
        assert_eq!(client.subprotocol.as_deref(), Some("graphql-ws"));
        client.send(init).await;
        for expected in [r#"{"type":"connection_ack"}"#, KEEP_ALIVE] {
            match client.message().await {
                Some(Message::Text(text)) => assert_eq!(text, expected),
                other => panic!("{other:?} where {expected} was expected"),
            }
        }
    }
}

#[tokio::test]
async fn a_keep_alive_comes_with_every_ping() {
    let server = Tidings::start_with(&[("TIDINGS_LIMITS__PING_INTERVAL", "50ms")]).await;
    let mut client = let_in(&server, &json!({})).await;
    for _ in 0..3 {
        assert!(matches!(client.message().await, Some(Message::Ping(_))));
        match client.message().await {
            Some(Message::Text(text)) => assert_eq!(text, KEEP_ALIVE),
            other => panic!("{other:?} where a keep-alive was expected"),
        }
    }
}

/// An issuer that lets the server wait for its keys, the server, and a client whose token is being checked.
async fn in_between(settings: &[(&str, &str)]) -> (TokenIssuer, Tidings, Client) {
    let issuer = TokenIssuer::start().await;
    issuer.publish(&[("one", "p256.pem")]);
    issuer.hold();
    let issuers = format!("[{{ jwks_url = '{}' }}]", issuer.url());
    let patient = [
        ("TIDINGS_JWT__ISSUERS", issuers.as_str()),
        ("TIDINGS_JWT__JWKS_TIMEOUT", "60s"),
        ("TIDINGS_AUTH__TIMEOUT", "60s"),
    ];
    let server = Tidings::start_with(&[&patient, settings].concat()).await;
    let mut client = connect(&server).await;
    let token = token("p256.pem", Some("one"), json!({ "sub": ACCOUNT }));
    let init = json!({ "type": "connection_init", "payload": { "Authorization": format!("Bearer {token}") } });
    client.send(&init.to_string()).await;
    fence(&mut client).await;
    (issuer, server, client)
}

#[tokio::test]
async fn what_is_started_before_the_acknowledgement_waits_for_it_and_is_answered_in_order() {
    let (issuer, server, mut client) = in_between(&[]).await;
    start(&mut client, "1", DOLLARS).await;
    start(&mut client, "2", "subscription { nothing }").await;
    stop(&mut client, "1").await;
    start(&mut client, "3", MY_UPDATES).await;
    issuer.let_go();
    assert_eq!(client.text().await, r#"{"type":"connection_ack"}"#);
    assert_eq!(client.text().await, KEEP_ALIVE);
    payload(&mut client, "error", "2").await;
    completed(&mut client, "1").await;
    server.until_metric("tidings_subscriptions", 1.0).await;
    let channel = format!("ACCOUNT_UPDATE_{ACCOUNT}");
    server.publish(&channel, &ln_receipt("tea")).await;
    let told = payload(&mut client, "data", "3").await;
    assert_eq!(memo_in(&told), Some("tea"));
}

#[tokio::test]
async fn more_than_a_connection_may_have_are_refused_one_by_one_then_too() {
    let limit = ("TIDINGS_LIMITS__SUBSCRIPTIONS_PER_CONNECTION", "2");
    let (issuer, server, mut client) = in_between(&[limit]).await;
    for id in ["1", "2", "3", "4"] {
        start(&mut client, id, DOLLARS).await;
    }
    issuer.let_go();
    assert_eq!(client.text().await, r#"{"type":"connection_ack"}"#);
    for id in ["3", "4"] {
        let error = payload(&mut client, "error", id).await;
        assert_eq!(error["extensions"]["code"], "TOO_MANY_SUBSCRIPTIONS");
    }
    server.until_metric("tidings_subscriptions", 2.0).await;
    server.publish("PRICE_UPDATE_USD", &price(1)).await;
    for id in ["1", "2"] {
        assert_eq!(price_in(&payload(&mut client, "data", id).await), 1);
    }
}

#[tokio::test]
async fn who_leaves_before_it_is_let_in_leaves_nothing() {
    let (issuer, server, mut client) = in_between(&[]).await;
    start(&mut client, "1", DOLLARS).await;
    drop(client);
    issuer.let_go();
    server.until_metric("tidings_connections", 0.0).await;
    server.until_metric("tidings_subscriptions", 0.0).await;
}

#[tokio::test]
async fn bad_credentials_are_refused_with_words_and_what_was_started_behind_them_is_not_answered() {
    let server = Tidings::start().await;
    for credentials in [
        json!({ "X-API-KEY": "nonsense" }),
        json!({ "Authorization": "Bearer a.b.c" }),
        json!({ "headers": { "Authorization": "Bearer a.b.c" } }),
    ] {
        let mut client = connect(&server).await;
        let init = json!({ "type": "connection_init", "payload": credentials });
        client.send(&init.to_string()).await;
        start(&mut client, "1", DOLLARS).await;
        let forbidden = || "Forbidden".to_owned();
        assert_eq!(
            refused(&mut client).await,
            (forbidden(), (4403, forbidden()))
        );
    }
    server.until_metric("tidings_connections", 0.0).await;
    assert_eq!(server.metric("tidings_subscriptions").await, 0.0);
}

#[tokio::test]
async fn to_start_before_the_init_is_refused_and_to_stop_is_passed_over() {
    let server = Tidings::start().await;
    let mut client = connect(&server).await;
    stop(&mut client, "1").await;
    fence(&mut client).await;
    start(&mut client, "1", DOLLARS).await;
    let unauthorized = || "Unauthorized".to_owned();
    assert_eq!(
        refused(&mut client).await,
        (unauthorized(), (4401, unauthorized()))
    );
}

#[tokio::test]
async fn an_init_that_does_not_come_or_comes_twice_or_cannot_be_read_ends_the_connection() {
    let server = Tidings::start_with(&[("TIDINGS_LIMITS__INIT_TIMEOUT", "200ms")]).await;
    let mut silent = connect(&server).await;
    let timeout = || "Connection initialisation timeout".to_owned();
    assert_eq!(refused(&mut silent).await, (timeout(), (4408, timeout())));

    let mut odd = connect(&server).await;
    odd.send(r#"{"type":"connection_init","payload":"token"}"#)
        .await;
    let (message, (code, _)) = refused(&mut odd).await;
    assert_eq!(code, 4400);
    assert!(message.ends_with("`payload` of connection_init is not an object"));

    let mut twice = let_in(&server, &json!({})).await;
    twice.send(r#"{"type":"connection_init"}"#).await;
    let too_many = (4429, "Too many initialisation requests".to_owned());
    assert_eq!(twice.closed_after_all().await.1, too_many);
}

#[tokio::test]
async fn what_is_no_message_is_answered_before_the_init_too() {
    let server = Tidings::start().await;
    let mut client = connect(&server).await;
    client.send("hello").await;
    let said: Value = client.json().await;
    assert_eq!(said["type"], "error");
    client.init("{}").await;
}
