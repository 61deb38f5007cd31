//! The event stream: what a page's `EventSource` is told.

use super::{ALICE, event, hook, listen, listen_with, start, start_with, taken, until_heard};
use crate::streams::response::Response;
use crate::tidings::Tidings;

async fn get(server: &Tidings, path: &str, headers: &[(&str, &str)]) -> Response {
    Response::of(server.address(), "GET", path, headers, "").await
}

#[tokio::test]
async fn a_stream_has_the_headers_that_pages_and_proxies_need() {
    let server = start().await;
    let hook = hook(&[&server], ALICE, &[]).await;
    let headers = [("Origin", "https://shop.example")];
    let stream = listen_with(&server, &hook.token, &headers).await;
    assert_eq!(stream.header("content-type"), Some("text/event-stream"));
    assert_eq!(
        stream.header("cache-control"),
        Some("no-cache, no-transform")
    );
    assert_eq!(stream.header("x-accel-buffering"), Some("no"));
    assert_eq!(stream.header("access-control-allow-origin"), Some("*"));
}

#[tokio::test]
async fn an_event_has_an_id_and_the_envelope_and_no_name() {
    let server = start().await;
    let hook = hook(&[&server], ALICE, &[]).await;
    let mut stream = listen(&server, &hook.token).await;
    until_heard(&server, 1.0).await;
    let id = taken(&server, &hook.path, r#"{ "b": 1.10, "a": "x" }"#).await;
    let told = stream.until("\n\n").await;
    let (start, timestamp) = told.split_once(r#""timestamp":""#).unwrap();
    assert_eq!(
        start,
        format!(
            "id: {id}\ndata: {{\"type\":\"webhook\",\"payload\":{{ \"b\": 1.10, \"a\": \"x\" }},\"id\":\"{id}\","
        )
    );
    let (timestamp, end) = timestamp.split_once('"').unwrap();
    assert_eq!(end, "}\n\n");
    let milliseconds = timestamp.parse::<jiff::Timestamp>().unwrap();
    let (millisecond, _) = id.split_once('-').unwrap();
    assert_eq!(milliseconds.as_millisecond().to_string(), millisecond);
    assert_eq!(timestamp.len(), "2026-11-22T23:02:28.757Z".len());
}

#[tokio::test]
async fn a_body_of_many_lines_is_told_in_many_lines() {
    let server = start().await;
    let hook = hook(&[&server], ALICE, &[]).await;
    let mut stream = listen(&server, &hook.token).await;
    until_heard(&server, 1.0).await;
    taken(&server, &hook.path, "{\r\n  \"a\": [\n1,\r2]\n}\n").await;
    let (_, data) = event(&mut stream).await;
    assert_eq!(data["payload"], serde_json::json!({ "a": [1, 2] }));
}

#[tokio::test]
async fn a_raw_stream_has_the_bare_bodies() {
    let server = start().await;
    let hook = hook(&[&server], ALICE, &[]).await;
    let path = format!("/api/events/stream?envelope=raw&token={}", hook.token);
    let mut stream = get(&server, &path, &[]).await;
    stream.until("\n\n").await;
    until_heard(&server, 1.0).await;
    let id = taken(&server, &hook.path, "[1,2]").await;
    assert_eq!(
        stream.until("\n\n").await,
        format!("id: {id}\ndata: [1,2]\n\n")
    );
    let strange = get(&server, &path.replace("raw", "fancy"), &[]).await;
    assert_eq!(strange.status, 400);
}

#[tokio::test]
async fn a_bad_or_missing_token_is_answered_401_in_json() {
    let server = start().await;
    let hook = hook(&[&server], ALICE, &[]).await;
    let other = "blink_".to_owned() + &"x".repeat(64);
    for path in [
        "/api/events/stream".to_owned(),
        "/api/events/stream?token=".to_owned(),
        "/api/events/stream?token=nonsense".to_owned(),
        format!("/api/events/stream?token={other}"),
        format!("/api/events/stream?token={}x", hook.token),
    ] {
        let mut refused = get(&server, &path, &[]).await;
        assert_eq!(refused.status, 401, "{path}");
        assert_eq!(refused.header("content-type"), Some("application/json"));
        assert_eq!(refused.rest().await, r#"{"error":"Unauthorized"}"#);
    }
    server.until_metric("tidings_connections", 0.0).await;
}

#[tokio::test]
async fn where_bad_credentials_are_nobody_they_still_open_no_stream() {
    let server = start_with(&[("TIDINGS_AUTH__ON_BAD_CREDENTIALS", "anonymous")]).await;
    let refused = get(&server, "/api/events/stream?token=nonsense", &[]).await;
    assert_eq!(refused.status, 401);
}

#[tokio::test]
async fn any_key_that_may_hear_opens_a_stream_in_a_header_too() {
    let server = start().await;
    let hook = hook(&[&server], ALICE, &[]).await;
    let reader = server.key(ALICE, &["read"]).await;
    let mut streams = vec![listen(&server, &reader).await];
    for header in [
        ("X-API-KEY", reader.as_str()),
        ("X-API-KEY", hook.token.as_str()),
        ("Authorization", &format!("Bearer {}", hook.token)),
    ] {
        let mut stream = get(&server, "/api/events/stream", &[header]).await;
        stream.until("\n\n").await;
        streams.push(stream);
    }
    until_heard(&server, 4.0).await;
    // All hear what is rendered once.
    assert_eq!(server.metric("tidings_operations").await, 1.0);
    let id = taken(&server, &hook.path, "{}").await;
    for stream in &mut streams {
        assert_eq!(event(stream).await.0, id);
    }
    assert_eq!(server.metric("tidings_renderings_total").await, 1.0);
    for scope in ["write", "publish"] {
        let key = server.new_key(ALICE, &[scope], &[]);
        server.until_known(&key).await;
        let path = format!("/api/events/stream?token={key}");
        assert_eq!(get(&server, &path, &[]).await.status, 403, "{scope}");
    }
}

#[tokio::test]
async fn a_comment_says_now_and_then_that_the_stream_is_there() {
    let server = start_with(&[("TIDINGS_LIMITS__SSE_HEARTBEAT", "50ms")]).await;
    let hook = hook(&[&server], ALICE, &[]).await;
    let mut stream = listen(&server, &hook.token).await;
    for _ in 0..3 {
        assert_eq!(stream.until("\n\n").await, ": keepalive\n\n");
    }
}

#[tokio::test]
async fn a_stream_just_ends_when_the_server_stops_and_its_client_comes_back() {
    let mut server = start().await;
    let hook = hook(&[&server], ALICE, &[]).await;
    let mut stream = listen(&server, &hook.token).await;
    until_heard(&server, 1.0).await;
    server.signal("TERM");
    assert_eq!(stream.rest().await, "");
    assert_eq!(server.exit_code().await, Some(0));
}

#[tokio::test]
async fn a_key_may_have_so_many_connections() {
    let server = start_with(&[("TIDINGS_LIMITS__CONNECTIONS_PER_KEY", "1")]).await;
    let hook = hook(&[&server], ALICE, &[]).await;
    let first = listen(&server, &hook.token).await;
    let path = format!("/api/events/stream?token={}", hook.token);
    let mut second = get(&server, &path, &[]).await;
    assert_eq!(second.status, 429);
    assert_eq!(second.header("retry-after"), Some("5"));
    assert_eq!(
        second.rest().await,
        r#"{"error":"Too many connections with this key"}"#
    );
    drop(first);
    server.until_metric("tidings_connections", 0.0).await;
    listen(&server, &hook.token).await;
}

#[tokio::test]
async fn a_client_that_takes_nothing_is_let_go() {
    let settings = [
        ("TIDINGS_WEBSOCKS__BODY_BYTES", "600000"),
        ("TIDINGS_WEBSOCKS__OUTBOX_BYTES", "800000"),
        ("TIDINGS_RETAINED__WEBHOOKS_BYTES", "700000"),
    ];
    let server = start_with(&settings).await;
    let hook = hook(&[&server], ALICE, &[]).await;
    let stream = listen(&server, &hook.token).await;
    until_heard(&server, 1.0).await;
    let body = format!("\"{}\"", "x".repeat(500_000));
    for _ in 0..16 {
        taken(&server, &hook.path, &body).await;
    }
    let too_slow = r#"tidings_closes_total{reason="too_slow"}"#;
    server.until_metric(too_slow, 1.0).await;
    drop(stream);
}

#[tokio::test]
async fn the_longest_bodies_that_come_together_reach_who_reads() {
    let server = start().await;
    let hook = hook(&[&server], ALICE, &[]).await;
    let mut stream = listen(&server, &hook.token).await;
    let longest = format!("\"{}\"", "x".repeat(1_048_574));
    let posted = (0..6).map(|_| taken(&server, &hook.path, &longest));
    let mut posted = futures_util::future::join_all(posted).await;
    let mut heard = Vec::new();
    for _ in &posted {
        heard.push(event(&mut stream).await.0);
    }
    posted.sort();
    heard.sort();
    assert_eq!(heard, posted);
}
