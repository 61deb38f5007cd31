//! How connections end: the same that ends those of `graphql-transport-ws`.

use serde_json::{Value, json};
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::CloseFrame;

use super::{ACCOUNT, anonymous, connect, let_in, start};
use crate::bodies::{DOLLARS, MY_UPDATES};
use crate::client::Client;
use crate::tidings::{ISSUER, Tidings};

/// Waits until a connection has ended for this reason, and nothing is left of it.
async fn until_nothing_is_left(server: &Tidings, reason: &str) {
    let closes = format!(r#"tidings_closes_total{{reason="{reason}"}}"#);
    server.until_metric(&closes, 1.0).await;
    server.until_metric("tidings_connections", 0.0).await;
    server.until_metric("tidings_subscriptions", 0.0).await;
}

/// How a connection is closed on which something runs.
async fn closed(client: &mut Client) -> (u16, String) {
    let (texts, closed) = client.closed_after_all().await;
    assert_eq!(texts, [""; 0]);
    closed
}

#[tokio::test]
async fn a_client_that_terminates_is_closed_and_leaves_nothing() {
    let server = Tidings::start().await;
    let mut client = anonymous(&server).await;
    start(&mut client, "1", DOLLARS).await;
    server.until_metric("tidings_subscriptions", 1.0).await;
    // Apollo iOS says so, and leaves it to the server to close the socket.
    client.send(r#"{"type":"connection_terminate"}"#).await;
    let terminated = (1000, "Terminated by the client".to_owned());
    assert_eq!(closed(&mut client).await, terminated);
    until_nothing_is_left(&server, "terminated").await;
}

#[tokio::test]
async fn a_client_that_terminates_before_it_was_let_in_is_told_of_no_error() {
    let server = Tidings::start().await;
    let mut client = connect(&server).await;
    client
        .send(r#"{"type":"connection_terminate","payload":null}"#)
        .await;
    assert_eq!(closed(&mut client).await.0, 1000);
    until_nothing_is_left(&server, "terminated").await;
}

#[tokio::test]
async fn the_goodbye_of_apollo_android_is_one_like_others() {
    let server = Tidings::start().await;
    let mut client = anonymous(&server).await;
    start(&mut client, "1", DOLLARS).await;
    server.until_metric("tidings_subscriptions", 1.0).await;
    let reason = r#"{"type":"connection_terminate"}"#;
    let close = CloseFrame {
        code: 1001.into(),
        reason: reason.into(),
    };
    client.send_message(Message::Close(Some(close))).await;
    assert_eq!(closed(&mut client).await, (1001, reason.to_owned()));
    until_nothing_is_left(&server, "by_client").await;
}

#[tokio::test]
async fn a_client_that_has_gone_leaves_nothing() {
    let server = Tidings::start().await;
    let mut client = anonymous(&server).await;
    start(&mut client, "1", DOLLARS).await;
    server.until_metric("tidings_subscriptions", 1.0).await;
    drop(client);
    until_nothing_is_left(&server, "gone").await;
}

#[tokio::test]
async fn a_revoked_key_ends_what_it_opened() {
    let server = Tidings::start().await;
    let key = server.new_key(ACCOUNT, &["read"], &["--name", "till"]);
    server.until_known(&key).await;
    let mut client = let_in(&server, &json!({ "X-API-KEY": key })).await;
    start(&mut client, "1", MY_UPDATES).await;
    server.until_metric("tidings_subscriptions", 1.0).await;
    server.run(&["keys", "revoke", &server.key_id("till")]);
    let revoked = (4403, "API key revoked".to_owned());
    assert_eq!(closed(&mut client).await, revoked);
    until_nothing_is_left(&server, "key_revoked").await;
}

#[tokio::test]
async fn an_expired_token_ends_what_it_opened() {
    let server = Tidings::start_with(&[
        ISSUER,
        ("TIDINGS_JWT__LEEWAY", "0s"),
        ("TIDINGS_JWT__EXPIRY_JITTER", "0s"),
    ])
    .await;
    let token = server.token(&["--account", ACCOUNT, "--expires-in", "3s"]);
    let payload = json!({ "Authorization": format!("Bearer {token}") });
    let mut client = let_in(&server, &payload).await;
    start(&mut client, "1", MY_UPDATES).await;
    assert_eq!(
        closed(&mut client).await,
        (4403, "Token expired".to_owned())
    );
    until_nothing_is_left(&server, "token_expired").await;
}

#[tokio::test]
async fn a_newer_connection_of_the_same_name_replaces_the_older_one_whatever_it_speaks() {
    let server = Tidings::start().await;
    let key = server.key(ACCOUNT, &["read"]).await;
    let payload = json!({ "X-API-KEY": key, "connection_id": "till" });
    let replaced = (4410, "Replaced by a newer connection".to_owned());
    let mut first = let_in(&server, &payload).await;
    let mut second = let_in(&server, &payload).await;
    assert_eq!(closed(&mut first).await, replaced);
    let mut third = server.connect().await;
    third.init(&payload.to_string()).await;
    assert_eq!(closed(&mut second).await, replaced);
    let _fourth = let_in(&server, &payload).await;
    assert_eq!(third.closed().await, replaced);
}

#[tokio::test]
async fn an_operator_sees_it_and_closes_it() {
    let server = Tidings::start().await;
    let admin = server
        .key("99999999-9999-4999-8999-999999999999", &["admin"])
        .await;
    let key = server.key(ACCOUNT, &["read"]).await;
    let payload = json!({ "X-API-KEY": key, "connection_id": "till" });
    let mut client = let_in(&server, &payload).await;
    start(&mut client, "1", MY_UPDATES).await;
    server.until_metric("tidings_subscriptions", 1.0).await;
    let counted = r#"tidings_connections{protocol="graphql-ws",identity="account"}"#;
    server.until_metric(counted, 1.0).await;

    let url = server.http_url("");
    let ask = |arguments: &[&str]| {
        let arguments = [&["connections"], arguments, &["--url", &url]].concat();
        server.command(&arguments, &[("TIDINGS_KEY", &admin)], "")
    };
    let listed: Value = serde_json::from_slice(&ask(&["list", "--json"]).stdout).unwrap();
    let listed = listed.as_array().unwrap();
    assert_eq!(listed.len(), 1, "{listed:?}");
    assert_eq!(listed[0]["protocol"], "graphql-ws");
    assert_eq!(listed[0]["connectionId"], "till");
    assert_eq!(listed[0]["subscriptions"], 1);

    let close = ["close", "--connection", "till", "--code", "1013"];
    let output = ask(&[&close[..], &["--reason", "later, please"]].concat());
    assert!(output.status.success(), "{output:?}");
    let later = (1013, "later, please".to_owned());
    assert_eq!(closed(&mut client).await, later);
    until_nothing_is_left(&server, "by_operator").await;
}

#[tokio::test]
async fn a_server_that_stops_says_so() {
    let mut server = Tidings::start().await;
    let mut client = anonymous(&server).await;
    start(&mut client, "1", DOLLARS).await;
    server.until_metric("tidings_subscriptions", 1.0).await;
    server.signal("TERM");
    assert_eq!(closed(&mut client).await, (1001, "Going away".to_owned()));
    drop(client);
    assert_eq!(server.exit_code().await, Some(0));
}
