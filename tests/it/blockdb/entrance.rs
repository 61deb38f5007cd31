//! Who is let in, and where: credentials are checked before the upgrade.

use axum::http::StatusCode;
use insta::assert_snapshot;

use super::{ACCOUNT, SUBSCRIBE_BLOCKS, SUBSCRIBED_BLOCKS, ask, start};
use crate::client::Client;
use crate::tidings::{ISSUER, Tidings, http};

const PATH: &str = "/v1/evm/";

async fn comes_in(server: &Tidings, path: &str, headers: &[(&str, &str)]) {
    let mut client = Client::connect_saying(server.address(), path, headers).await;
    ask(&mut client, SUBSCRIBE_BLOCKS, SUBSCRIBED_BLOCKS).await;
}

/// Asks for the upgrade and is refused: status and body.
async fn refused(server: &Tidings, path: &str, headers: &[(&str, &str)]) -> (StatusCode, String) {
    let mut request = http()
        .get(server.http_url(path))
        .header("connection", "upgrade")
        .header("upgrade", "websocket")
        .header("sec-websocket-version", "13")
        .header("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ==");
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let response = request.send().await.unwrap();
    let status = response.status();
    if status == StatusCode::UNAUTHORIZED {
        assert_eq!(response.headers()["www-authenticate"], "Bearer");
        assert_eq!(response.headers()["content-type"], "application/json");
    }
    (status, response.text().await.unwrap())
}

async fn unauthorized(server: &Tidings, path: &str, headers: &[(&str, &str)]) -> String {
    let (status, body) = refused(server, path, headers).await;
    assert_eq!(status, StatusCode::UNAUTHORIZED, "{body}");
    body
}

#[tokio::test]
async fn all_paths_lead_in() {
    let server = start(&[]).await;
    let key = server.key(ACCOUNT, &["read"]).await;
    for path in ["/v1/evm/", "/v1/evm", "/v1/evm/stream"] {
        comes_in(&server, &format!("{path}?api_key={key}"), &[]).await;
    }
}

#[tokio::test]
async fn a_key_comes_as_a_bearer_in_any_case_or_in_x_api_key() {
    let server = start(&[]).await;
    let key = server.key(ACCOUNT, &["read"]).await;
    for scheme in ["Bearer", "bearer", "BEARER"] {
        let bearer = format!("{scheme} {key}");
        comes_in(&server, PATH, &[("Authorization", &bearer)]).await;
    }
    comes_in(&server, PATH, &[("X-API-KEY", &key)]).await;
}

#[tokio::test]
async fn a_json_web_token_is_a_bearer_too() {
    let server = start(&[ISSUER]).await;
    let token = server.token(&["--account", ACCOUNT]);
    let bearer = format!("Bearer {token}");
    comes_in(&server, PATH, &[("Authorization", &bearer)]).await;
}

#[tokio::test]
async fn the_header_wins_over_the_parameter() {
    let server = start(&[]).await;
    let key = server.key(ACCOUNT, &["read"]).await;
    let (good, bad) = (
        format!("Bearer {key}"),
        format!("Bearer blink_{}", "x".repeat(64)),
    );
    comes_in(&server, "/v1/evm/?api_key=bad", &[("Authorization", &good)]).await;
    let path = format!("/v1/evm/?api_key={key}");
    unauthorized(&server, &path, &[("Authorization", &bad)]).await;
}

#[tokio::test]
async fn without_a_good_key_the_answer_is_401_with_the_error_object() {
    let server = start(&[]).await;
    let body = unauthorized(&server, PATH, &[]).await;
    assert_snapshot!(body, @r#"{"error":{"code":"UNAUTHORIZED","http_status":401,"message":"There is no API key, or not one that is good.","hint":"Send Authorization: Bearer <key>, or ?api_key=<key>.","severity":"error","retryable":false,"docs_url":"https://docs.blockdb.io/wss-reference/overview/errors"}}"#);
    let unknown = format!("Bearer blink_{}", "x".repeat(64));
    for authorization in [
        &unknown,
        "Bearer x",
        "Bearer a.b.c",
        "Basic YTpi",
        "Bearer ",
    ] {
        let headers = [("Authorization", authorization)];
        assert_eq!(unauthorized(&server, PATH, &headers).await, body);
    }
    assert_eq!(unauthorized(&server, "/v1/evm/?api_key=x", &[]).await, body);
    assert_eq!(unauthorized(&server, "/v1/evm/?api_key=", &[]).await, body);
    server.until_metric("tidings_connections", 0.0).await;
}

#[tokio::test]
async fn nobody_is_let_in_where_bad_credentials_count_as_none() {
    let server = start(&[("TIDINGS_AUTH__ON_BAD_CREDENTIALS", "anonymous")]).await;
    unauthorized(&server, PATH, &[]).await;
    unauthorized(&server, "/v1/evm/?api_key=x", &[]).await;
}

#[tokio::test]
async fn a_key_that_may_not_read_is_403() {
    let server = start(&[]).await;
    let key = server.key(ACCOUNT, &["receive"]).await;
    let (status, body) = refused(&server, &format!("/v1/evm/?api_key={key}"), &[]).await;
    assert_eq!(status, StatusCode::FORBIDDEN);
    assert_snapshot!(body, @r#"{"error":{"code":"FORBIDDEN","http_status":403,"message":"This API key may not read.","hint":"Use a key with the scope read.","severity":"error","retryable":false,"docs_url":"https://docs.blockdb.io/wss-reference/overview/errors"}}"#);
}

#[tokio::test]
async fn it_is_a_websocket_and_not_there_if_it_is_switched_off() {
    let server = start(&[]).await;
    assert_eq!(server.get("/v1/evm/").await.0, 426);
    let server = Tidings::start().await;
    assert_eq!(server.get("/v1/evm/").await.0, 404);
}
