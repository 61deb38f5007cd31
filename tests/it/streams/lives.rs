//! What ends a response that goes on, and that nothing is left of it then: the same that ends a socket.

use futures_util::future::join_all;
use reqwest::Method;
use serde_json::{Value, json};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::response::Response;
use super::{EVENTS, MULTIPART, asks, post, publish_to, result};
use crate::bodies::{DOLLARS, MY_UPDATES, price};
use crate::tidings::{ISSUER, PATIENCE, Tidings, http};

const ACCOUNT: &str = "0d3d3c1a-5e0e-4b7b-8f59-7f1a7b1f6a51";

/// What is told of an end that its client cannot mend by coming back as it is.
fn error(message: &str, code: &str) -> String {
    format!(r#"[{{"message":"{message}","extensions":{{"code":"{code}"}}}}]"#)
}

/// Asks for so much at a time that the buffers between us are soon full.
fn much() -> String {
    let names: String = (0..900)
        .map(|number| format!("as_long_as_a_name_may_well_be_{number}: timestamp "))
        .collect();
    format!(
        "subscription {{ realtimePrice(input: {{ currency: \"USD\" }}) {{ realtimePrice {{ {names} }} }} }}"
    )
}

async fn until_nothing_is_left(server: &Tidings, reason: &str) {
    let closes = format!(r#"tidings_closes_total{{reason="{reason}"}}"#);
    server.until_metric(&closes, 1.0).await;
    server.until_metric("tidings_connections", 0.0).await;
    assert_eq!(server.metric("tidings_subscriptions").await, 0.0);
}

#[tokio::test]
async fn a_client_that_has_gone_leaves_nothing() {
    let server = Tidings::start().await;
    for (count, accept) in [(1.0, EVENTS), (2.0, MULTIPART)] {
        let response = post(&server, &[accept], DOLLARS).await;
        server.until_metric("tidings_subscriptions", 1.0).await;
        drop(response);
        server.until_metric("tidings_subscriptions", 0.0).await;
        server
            .until_metric(r#"tidings_closes_total{reason="gone"}"#, count)
            .await;
        assert_eq!(server.metric("tidings_connections").await, 0.0);
    }
}

#[tokio::test]
async fn a_client_that_does_not_read_leaves_nothing_and_its_socket_ends() {
    let server = Tidings::start_with(&[
        ("TIDINGS_LIMITS__WRITE_TIMEOUT", "300ms"),
        ("TIDINGS_LIMITS__OUTBOX_FRAMES", "32"),
    ])
    .await;
    let mut slow = post(&server, &[EVENTS], &much()).await;
    let mut quick = post(&server, &[EVENTS], DOLLARS).await;
    server.until_metric("tidings_subscriptions", 2.0).await;
    let mut number = 0;
    server
        .until("the slow one is let go", async || {
            for _ in 0..50 {
                number += 1;
                server.publish(super::USD, &price(number)).await;
                quick.until(&result(number)).await;
            }
            server.metric("tidings_subscriptions").await == 1.0
        })
        .await;
    slow.until_cut_off().await;
    // Whether its outbox or its socket has seen it first.
    server
        .until_metric(r#"tidings_closes_total{reason="too_slow"}"#, 1.0)
        .await;
    number += 1;
    publish_to(&server, 1.0, number).await;
    quick.until(&result(number)).await;
}

/// As far as we can see it is the same whether a client's machine has no room for what it is sent, or is not there any
/// more.
#[tokio::test]
async fn a_client_whose_machine_acknowledges_nothing_is_missed() {
    let server = Tidings::start_with(&[
        ("TIDINGS_LIMITS__PING_INTERVAL", "200ms"),
        ("TIDINGS_LIMITS__PONG_TIMEOUT", "200ms"),
        ("TIDINGS_LIMITS__WRITE_TIMEOUT", "400ms"),
    ])
    .await;
    let silent = post(&server, &[EVENTS], &much()).await;
    // More than it has room for, and less than we have: it is not slow, as far as anybody has noticed.
    publish_to(&server, 1.0, 7).await;
    until_nothing_is_left(&server, "unresponsive").await;
    drop(silent);
}

#[tokio::test]
async fn an_answer_that_nobody_reads_does_not_keep_its_socket() {
    let server = Tidings::start_with(&[("TIDINGS_LIMITS__WRITE_TIMEOUT", "300ms")]).await;
    let introspection = asks(include_str!("../introspection.graphql"));
    let request = format!(
        "POST /graphql HTTP/1.1\r\nHost: t\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{introspection}",
        introspection.len()
    );
    let mut socket = TcpStream::connect(server.address()).await.unwrap();
    // One after the other, without reading: in the end the server writes no more, and then ends it.
    let ended = timeout(PATIENCE, async {
        while socket.write_all(request.as_bytes()).await.is_ok() {}
    });
    ended.await.expect("the socket ends");
}

#[tokio::test]
async fn a_revoked_key_ends_what_it_opened() {
    let server = Tidings::start().await;
    let key = server.key(ACCOUNT, &["read"]).await;
    let with_key = ("X-API-KEY", key.as_str());
    let mut events = post(&server, &[EVENTS, with_key], MY_UPDATES).await;
    let mut parts = post(&server, &[MULTIPART, with_key], MY_UPDATES).await;
    server.until_metric("tidings_subscriptions", 2.0).await;
    let keys: Value = serde_json::from_str(&server.run(&["keys", "list", "--json"])).unwrap();
    let id = keys[0]["id"].as_str().unwrap();
    server.run(&["keys", "revoke", id]);
    let errors = error("API key revoked", "KEY_REVOKED");
    assert_eq!(
        events.rest().await,
        format!(":\n\nevent: next\ndata: {{\"errors\":{errors}}}\n\nevent: complete\ndata:\n\n")
    );
    assert_eq!(
        parts.rest().await,
        format!(
            "\r\n--graphql\r\ncontent-type: application/json\r\n\r\n{{\"payload\":null,\"errors\":{errors}}}\r\n--graphql--\r\n"
        )
    );
    server.until_metric("tidings_connections", 0.0).await;
    assert_eq!(
        post(&server, &[EVENTS, with_key], MY_UPDATES).await.status,
        401
    );
}

#[tokio::test]
async fn a_token_that_expires_ends_what_it_opened() {
    let server = Tidings::start_with(&[
        ISSUER,
        ("TIDINGS_JWT__LEEWAY", "0s"),
        ("TIDINGS_JWT__EXPIRY_JITTER", "0s"),
    ])
    .await;
    let token = server.token(&["--account", ACCOUNT, "--expires-in", "3s"]);
    let token = format!("Bearer {token}");
    let mut events = post(&server, &[EVENTS, ("Authorization", &token)], MY_UPDATES).await;
    assert_eq!(events.status, 200);
    let told = events.rest().await;
    let errors = error("Token expired", "TOKEN_EXPIRED");
    assert!(told.contains(&errors), "{told}");
    until_nothing_is_left(&server, "token_expired").await;
}

#[tokio::test]
async fn an_event_stream_just_ends_when_the_server_stops_and_a_multipart_one_says_why() {
    let mut server = Tidings::start().await;
    let mut events = post(&server, &[EVENTS], DOLLARS).await;
    let mut parts = post(&server, &[MULTIPART], DOLLARS).await;
    server.until_metric("tidings_subscriptions", 2.0).await;
    server.signal("TERM");
    // Its client comes back by itself, which it would not after `complete`.
    assert_eq!(events.rest().await, ":\n\n");
    let told = parts.rest().await;
    let errors = error("Going away", "GOING_AWAY");
    assert!(
        told.ends_with(&format!(
            "{{\"payload\":null,\"errors\":{errors}}}\r\n--graphql--\r\n"
        )),
        "{told}"
    );
    assert_eq!(server.exit_code().await, Some(0));
}

#[tokio::test]
async fn the_server_does_not_wait_for_clients_that_do_not_read_to_stop() {
    let mut server = Tidings::start_with(&[
        ("TIDINGS_LIMITS__WRITE_TIMEOUT", "1h"),
        ("TIDINGS_SERVER__SHUTDOWN_GRACE", "1h"),
    ])
    .await;
    let mut slow = [
        post(&server, &[EVENTS], &much()).await,
        post(&server, &[MULTIPART], &much()).await,
    ];
    server.until_metric("tidings_subscriptions", 2.0).await;
    let mut number = 0;
    server
        .until("both are behind", async || {
            for _ in 0..50 {
                number += 1;
                server.publish(super::USD, &price(number)).await;
            }
            server.metric("tidings_conflated_total").await >= 200.0
        })
        .await;
    server.signal("TERM");
    assert_eq!(server.exit_code().await, Some(0));
    for slow in &mut slow {
        slow.until_cut_off().await;
    }
}

#[tokio::test]
async fn operators_see_streams_and_close_them() {
    let server = Tidings::start().await;
    let key = server.key(ACCOUNT, &["read"]).await;
    let admin = server
        .key("99999999-9999-4999-8999-999999999999", &["admin"])
        .await;
    let headers = [EVENTS, ("X-API-KEY", &key), ("X-Connection-Id", "till 3")];
    let mut events = post(&server, &headers, MY_UPDATES).await;
    server.until_metric("tidings_subscriptions", 1.0).await;
    let ask = async |method, rest: &str, body: Value| -> Value {
        let url = server.http_url(&format!("/v1/connections{rest}"));
        let request = http().request(method, url).header("x-api-key", &admin);
        let answer = request.body(body.to_string()).send().await.unwrap();
        serde_json::from_str(&answer.text().await.unwrap()).unwrap()
    };
    let listed = ask(Method::GET, "", Value::Null).await;
    let connection = &listed["connections"][0];
    assert_eq!(connection["protocol"], "sse");
    assert_eq!(connection["connectionId"], "till 3");
    assert_eq!(connection["account"], ACCOUNT);
    assert_eq!(connection["subscriptions"], 1);
    let order = json!({ "code": 4403, "reason": "enough" });
    let closed = ask(Method::DELETE, "/till%203", order).await;
    assert_eq!(closed["closed"], 1);
    let told = events.rest().await;
    assert!(told.contains(&error("enough", "BY_OPERATOR")), "{told}");
    until_nothing_is_left(&server, "by_operator").await;
}

#[tokio::test]
async fn a_client_that_comes_back_under_its_name_takes_the_place_of_its_old_stream() {
    let server = Tidings::start_with(&[ISSUER]).await;
    let token = format!("Bearer {}", server.token(&["--user-id", "42"]));
    let status = "subscription { StatusUpdate { Type } }";
    let unnamed = post(&server, &[EVENTS, ("Authorization", &token)], status).await;
    assert_eq!(unnamed.status, 400);
    let headers = [
        EVENTS,
        ("Authorization", &token),
        ("X-Connection-Id", "tab"),
    ];
    let mut old = post(&server, &headers, status).await;
    old.until("connected").await;
    let mut new = post(&server, &headers, status).await;
    new.until("connected").await;
    let told = old.rest().await;
    assert!(told.contains("REPLACED"), "{told}");
    server.until_metric("tidings_connections", 1.0).await;
}

#[tokio::test]
async fn the_limits_of_sockets_are_those_of_streams() {
    let server = Tidings::start_with(&[
        ("TIDINGS_LIMITS__CONNECTIONS_PER_IP", "2"),
        ("TIDINGS_LIMITS__UNLIMITED_NETWORKS", ""),
    ])
    .await;
    let socket = server.anonymous().await;
    let events = post(&server, &[EVENTS], DOLLARS).await;
    let refused = post(&server, &[MULTIPART], DOLLARS).await;
    assert_eq!(refused.status, 429);
    assert!(refused.header("retry-after").is_some());
    // A query is no connection.
    assert_eq!(post(&server, &[], "{ __typename }").await.status, 200);
    drop(socket);
    server.until_metric("tidings_connections", 1.0).await;
    let reserved = Response::of(server.address(), "PUT", "/graphql", &[], "").await;
    assert_eq!(reserved.status, 201);
    drop(events);

    let server = Tidings::start_with(&[("TIDINGS_LIMITS__CONNECTIONS_PER_KEY", "1")]).await;
    let key = server.key(ACCOUNT, &["read"]).await;
    let with_key = ("X-API-KEY", key.as_str());
    let first = post(&server, &[EVENTS, with_key], MY_UPDATES).await;
    assert_eq!(first.status, 200);
    assert_eq!(
        post(&server, &[EVENTS, with_key], MY_UPDATES).await.status,
        429
    );
}

#[tokio::test]
async fn many_streams_share_what_is_rendered() {
    let server = Tidings::start().await;
    let streams = (0..30).map(|number| {
        let accept = if number % 2 == 0 { EVENTS } else { MULTIPART };
        let server = &server;
        async move { post(server, &[accept], DOLLARS).await }
    });
    let mut streams = join_all(streams).await;
    let mut socket = server.anonymous().await;
    socket.subscribe("1", DOLLARS).await;
    publish_to(&server, 31.0, 7).await;
    let told = result(7);
    join_all(streams.iter_mut().map(|stream| stream.until(&told))).await;
    let told = socket.payload("1").await;
    assert_eq!(told.to_string(), result(7));
    assert_eq!(server.metric("tidings_operations").await, 1.0);
}
