//! GraphQL over Server-Sent Events, a connection for each operation: the bytes.

use super::response::Response;
use super::{EVENTS, asks, post, publish_to, result};
use crate::bodies::{BY_HASH, DOLLARS, Invoice};
use crate::tidings::Tidings;

const NOT_ME: &str = r#"{"errors":[{"message":"Not Authenticated for subscription","locations":[{"line":1,"column":16}],"path":["myUpdates"],"extensions":{"code":"NOT_AUTHENTICATED"}}]}"#;

/// The whole body of a stream whose one operation was refused so, or gave this alone.
fn only(result: &str) -> String {
    format!("event: next\ndata: {result}\n\nevent: complete\ndata:\n\n")
}

#[tokio::test]
async fn each_result_is_an_event_and_the_stream_begins_with_a_comment() {
    let server = Tidings::start().await;
    let mut response = post(&server, &[EVENTS], DOLLARS).await;
    assert_eq!(response.status, 200);
    assert_eq!(
        response.header("content-type"),
        Some("text/event-stream; charset=utf-8")
    );
    assert_eq!(
        response.header("cache-control"),
        Some("no-cache, no-transform")
    );
    assert_eq!(response.header("x-accel-buffering"), Some("no"));
    assert_eq!(response.until("\n\n").await, ":\n\n");
    for number in [7, 8, 9] {
        publish_to(&server, 1.0, number).await;
        let event = response.until("\n\n").await;
        assert_eq!(event, format!("event: next\ndata: {}\n\n", result(number)));
    }
}

#[tokio::test]
async fn the_last_event_says_that_it_is_complete_and_the_response_ends() {
    let server = Tidings::start_with(&[("TIDINGS_INVOICES__COMPLETE_WHEN_FINAL", "true")]).await;
    let invoice = Invoice::new();
    let mut response = post(&server, &[EVENTS], &invoice.by_hash()).await;
    let pending = invoice.in_state(BY_HASH, "PENDING");
    let paid = invoice.in_state(BY_HASH, "PAID");
    assert_eq!(response.until("data: ").await, ":\n\nevent: next\ndata: ");
    let first: serde_json::Value = serde_json::from_str(&response.until("\n\n").await).unwrap();
    assert_eq!(first, pending);
    server.publish(&invoice.channel(), &invoice.paid()).await;
    assert_eq!(response.until("data: ").await, "event: next\ndata: ");
    let last: serde_json::Value = serde_json::from_str(&response.until("\n\n").await).unwrap();
    assert_eq!(
        last["data"][BY_HASH]["status"],
        paid["data"][BY_HASH]["status"]
    );
    assert_eq!(response.rest().await, "event: complete\ndata:\n\n");
    server.until_metric("tidings_connections", 0.0).await;
    server
        .until_metric(r#"tidings_closes_total{reason="completed"}"#, 1.0)
        .await;
}

#[tokio::test]
async fn a_browser_s_event_source_asks_by_get() {
    let server = Tidings::start().await;
    let query: String = url::form_urlencoded::byte_serialize(DOLLARS.as_bytes()).collect();
    let path = format!("/graphql?query={query}");
    let mut response = Response::of(server.address(), "GET", &path, &[EVENTS], "").await;
    assert_eq!(response.status, 200);
    assert_eq!(response.until("\n\n").await, ":\n\n");
    publish_to(&server, 1.0, 7).await;
    let event = response.until("\n\n").await;
    assert_eq!(event, format!("event: next\ndata: {}\n\n", result(7)));
}

#[tokio::test]
async fn what_is_wrong_with_an_operation_is_told_in_the_stream() {
    let server = Tidings::start().await;
    let mut refused = post(
        &server,
        &[EVENTS],
        "subscription { myUpdates { me { id } } }",
    )
    .await;
    assert_eq!(refused.status, 200);
    assert_eq!(refused.rest().await, format!(":\n\n{}", only(NOT_ME)));
    let mut invalid = post(&server, &[EVENTS], "subscription { nothing }").await;
    assert_eq!(invalid.status, 200);
    let said = invalid.rest().await;
    assert!(
        said.starts_with(":\n\nevent: next\ndata: {\"errors\":[{"),
        "{said}"
    );
    assert!(said.ends_with("]}\n\nevent: complete\ndata:\n\n"), "{said}");
    let mut unreadable = post(&server, &[EVENTS], "subscription {").await;
    let said = unreadable.rest().await;
    assert!(said.contains("Syntax Error"), "{said}");
    assert_eq!(server.metric("tidings_connections").await, 0.0);
}

#[tokio::test]
async fn a_query_is_told_in_one_event() {
    let server = Tidings::start().await;
    let mut response = post(&server, &[EVENTS], "{ __typename }").await;
    assert_eq!(
        response.rest().await,
        only(r#"{"data":{"__typename":"Query"}}"#)
    );
    // Where JSON is taken, too, that is what one result is.
    let both = ("Accept", "text/event-stream, application/json");
    let mut response = post(&server, &[both], "{ __typename }").await;
    assert_eq!(
        response.header("content-type"),
        Some("application/json; charset=utf-8")
    );
    assert_eq!(response.rest().await, r#"{"data":{"__typename":"Query"}}"#);
}

#[tokio::test]
async fn what_is_no_request_is_refused_before_there_is_a_stream() {
    let server = Tidings::start().await;
    let of = async |headers: &[(&str, &str)], body: &str| {
        let mut response = Response::of(server.address(), "POST", "/graphql", headers, body).await;
        (response.status, response.rest().await)
    };
    let form = ("Content-Type", "application/x-www-form-urlencoded");
    assert_eq!(of(&[EVENTS, form], "query=x").await.0, 415);
    assert_eq!(of(&[EVENTS, super::JSON], "{").await.0, 400);
    assert_eq!(of(&[EVENTS, super::JSON], "{}").await.0, 400);
    let batch = format!("[{}]", asks(DOLLARS));
    let (status, said) = of(&[EVENTS, super::JSON], &batch).await;
    assert_eq!(status, 400);
    assert!(said.contains("Batches are not supported"), "{said}");
    let nonsense = ("X-API-KEY", "nonsense");
    let (status, said) = of(&[EVENTS, super::JSON, nonsense], &asks(DOLLARS)).await;
    assert_eq!(status, 401, "{said}");
    let image = ("Accept", "image/png");
    let (status, said) = of(&[image, super::JSON], &asks("{ __typename }")).await;
    assert_eq!(status, 406);
    assert!(said.contains("text/event-stream"), "{said}");
}

#[tokio::test]
async fn a_comment_comes_now_and_then() {
    let server = Tidings::start_with(&[("TIDINGS_LIMITS__SSE_HEARTBEAT", "50ms")]).await;
    let mut response = post(&server, &[EVENTS], DOLLARS).await;
    for _ in 0..5 {
        assert_eq!(response.until("\n\n").await, ":\n\n");
    }
    publish_to(&server, 1.0, 7).await;
    let rest = response.until("event: next\n").await;
    assert_eq!(rest.replace(":\n\n", ""), "event: next\n");
}
