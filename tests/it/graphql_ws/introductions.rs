//! What clients say of themselves outside of the payload of `connection_init`, in both subprotocols: in the
//! headers of the upgrade, and in `headers` inside of the payload.

use serde_json::{Value, json};

use super::ACCOUNT;
use crate::client::{Client, Closed};
use crate::tidings::{ISSUER, Tidings};

const SUBPROTOCOLS: [&str; 2] = ["graphql-transport-ws", "graphql-ws"];

/// Who is there after an upgrade with these headers and a `connection_init` with this payload: kind and name of
/// the connection; or how it was closed.
async fn who(
    server: &Tidings,
    admin: &str,
    subprotocol: &str,
    headers: &[(&str, &str)],
    payload: &Value,
) -> Result<(Value, Value), Closed> {
    let mut client = Client::connect_with(server.address(), subprotocol, headers).await;
    assert_eq!(client.subprotocol.as_deref(), Some(subprotocol));
    let init = json!({ "type": "connection_init", "payload": payload });
    client.send(&init.to_string()).await;
    loop {
        let text = client.event().await?;
        if text == r#"{"type":"connection_ack"}"# {
            break;
        }
        assert!(text.contains("connection_error"), "{text}");
    }
    let listed = server.command(
        &[
            "connections",
            "list",
            "--json",
            "--url",
            &server.http_url(""),
        ],
        &[("TIDINGS_KEY", admin)],
        "",
    );
    let listed: Value = serde_json::from_slice(&listed.stdout).unwrap();
    assert_eq!(listed[0]["protocol"], subprotocol, "{listed}");
    drop(client);
    server.until_metric("tidings_connections", 0.0).await;
    Ok((
        listed[0]["account"].clone(),
        listed[0]["connectionId"].clone(),
    ))
}

#[tokio::test]
async fn credentials_are_taken_from_the_headers_of_the_upgrade_where_the_payload_is_silent() {
    let server = Tidings::start_with(&[ISSUER]).await;
    let admin = server
        .key("99999999-9999-4999-8999-999999999999", &["admin"])
        .await;
    let key = server.key(ACCOUNT, &["read"]).await;
    let bearer = format!("Bearer {}", server.token(&["--account", ACCOUNT]));
    let forbidden = || Err((4403, "Forbidden".to_owned()));
    let account = || Value::from(ACCOUNT);
    for subprotocol in SUBPROTOCOLS {
        let who = async |headers: &[(&str, &str)], payload: Value| {
            who(&server, &admin, subprotocol, headers, &payload).await
        };
        let till = ("X-Connection-Id", "till");
        for payload in [json!({}), json!(null), json!({ "X-API-KEY": "" })] {
            assert_eq!(
                who(&[("X-API-KEY", &key), till], payload).await,
                Ok((account(), "till".into()))
            );
        }
        assert_eq!(
            who(&[("authorization", &bearer), till], json!({})).await,
            Ok((account(), "till".into()))
        );
        assert_eq!(who(&[("X-API-KEY", "bad")], json!({})).await, forbidden());
        // The payload wins, whichever is good, and the other is not looked at.
        let in_payload = json!({ "X-API-KEY": key, "connection_id": "phone" });
        assert_eq!(
            who(&[("X-API-KEY", "bad"), till], in_payload.clone()).await,
            Ok((account(), "phone".into()))
        );
        assert_eq!(
            who(&[("Authorization", "Bearer a.b.c")], in_payload).await,
            Ok((account(), "phone".into()))
        );
        assert_eq!(
            who(&[("X-API-KEY", &key)], json!({ "X-API-KEY": "bad" })).await,
            forbidden()
        );
    }
}

#[tokio::test]
async fn credentials_are_taken_from_headers_inside_of_the_payload_where_the_rest_is_silent() {
    let server = Tidings::start().await;
    let admin = server
        .key("99999999-9999-4999-8999-999999999999", &["admin"])
        .await;
    let key = server.key(ACCOUNT, &["read"]).await;
    let forbidden = || Err((4403, "Forbidden".to_owned()));
    for subprotocol in SUBPROTOCOLS {
        let who = async |headers: &[(&str, &str)], payload: Value| {
            who(&server, &admin, subprotocol, headers, &payload).await
        };
        let inner = json!({ "headers": { "x-api-key": key, "X-Connection-Id": "till" } });
        let till = || Ok((ACCOUNT.into(), "till".into()));
        assert_eq!(who(&[], inner.clone()).await, till());
        assert_eq!(who(&[("X-API-KEY", "bad")], inner).await, till());
        let bad_inside = json!({ "X-API-KEY": key, "connection_id": "till", "headers": { "Authorization": "Bearer a.b.c", "X-Connection-Id": "phone" } });
        assert_eq!(who(&[], bad_inside).await, till());
        let bad_outside = json!({ "X-API-KEY": "bad", "headers": { "X-API-KEY": key } });
        assert_eq!(who(&[], bad_outside).await, forbidden());
        let bad = json!({ "headers": { "Authorization": "Bearer a.b.c" } });
        assert_eq!(who(&[("X-API-KEY", &key)], bad).await, forbidden());
    }
}
