//! Subscriptions over multipart responses: the bytes.

use super::{MULTIPART, post, publish_to, result};
use crate::bodies::{DOLLARS, Invoice};
use crate::tidings::Tidings;

/// A part, with the delimiter that ends it.
fn part(json: &str) -> String {
    format!("\r\ncontent-type: application/json\r\n\r\n{json}\r\n--graphql")
}

#[tokio::test]
async fn each_result_is_a_part_that_ends_with_the_next_delimiter() {
    let server = Tidings::start().await;
    for accept in [
        "multipart/mixed;subscriptionSpec=1.0",
        r#"multipart/mixed;subscriptionSpec="1.0""#,
        r#"multipart/mixed;boundary="graphql";subscriptionSpec="1.0",application/json"#,
        "multipart/mixed;boundary=graphql;subscriptionSpec=1.0,application/graphql-response+json,application/json;q=0.9",
    ] {
        let mut response = post(&server, &[("Accept", accept)], DOLLARS).await;
        assert_eq!(response.status, 200);
        assert_eq!(
            response.header("content-type"),
            Some(r#"multipart/mixed;boundary="graphql";subscriptionspec=1.0"#)
        );
        assert_eq!(response.until("--graphql").await, "\r\n--graphql");
        for number in [7, 8] {
            publish_to(&server, 1.0, number).await;
            let payload = format!(r#"{{"payload":{}}}"#, result(number));
            // A client that comes later is told the last price at once.
            let mut told = response.until("--graphql").await;
            while told != part(&payload) {
                told = response.until("--graphql").await;
            }
        }
        drop(response);
        server.until_metric("tidings_connections", 0.0).await;
    }
}

#[tokio::test]
async fn the_last_delimiter_ends_the_response_when_the_operation_has_completed() {
    let server = Tidings::start_with(&[("TIDINGS_INVOICES__COMPLETE_WHEN_FINAL", "true")]).await;
    let invoice = Invoice::new();
    let mut response = post(&server, &[MULTIPART], &invoice.by_hash()).await;
    response.until(r#""PENDING""#).await;
    server.publish(&invoice.channel(), &invoice.paid()).await;
    response.until(r#""PAID""#).await;
    let rest = response.rest().await;
    assert!(rest.ends_with("}}\r\n--graphql--\r\n"), "{rest:?}");
    assert_eq!(rest.matches("--graphql").count(), 1 + 1, "{rest:?}");
}

#[tokio::test]
async fn errors_of_an_operation_are_in_its_payload() {
    let server = Tidings::start().await;
    let mut refused = post(
        &server,
        &[MULTIPART],
        "subscription { myUpdates { me { id } } }",
    )
    .await;
    assert_eq!(refused.status, 200);
    let error = r#"{"payload":{"errors":[{"message":"Not Authenticated for subscription","locations":[{"line":1,"column":16}],"path":["myUpdates"],"extensions":{"code":"NOT_AUTHENTICATED"}}]}}"#;
    assert_eq!(
        refused.rest().await,
        format!("\r\n--graphql{}--\r\n", part(error))
    );
    let mut invalid = post(&server, &[MULTIPART], "subscription { nothing }").await;
    let said = invalid.rest().await;
    assert!(
        said.contains(r#"{"payload":{"errors":[{"message":"Unknown field"#),
        "{said}"
    );
}

#[tokio::test]
async fn a_query_is_json_where_that_is_taken_and_one_part_where_it_is_not() {
    let server = Tidings::start().await;
    let mut response = post(&server, &[MULTIPART], "{ __typename }").await;
    assert_eq!(
        response.header("content-type"),
        Some("application/json; charset=utf-8")
    );
    assert_eq!(response.rest().await, r#"{"data":{"__typename":"Query"}}"#);
    let alone = ("Accept", "multipart/mixed;subscriptionSpec=1.0");
    let mut response = post(&server, &[alone], "{ __typename }").await;
    let payload = r#"{"payload":{"data":{"__typename":"Query"}}}"#;
    assert_eq!(
        response.rest().await,
        format!("\r\n--graphql{}--\r\n", part(payload))
    );
}

#[tokio::test]
async fn a_part_that_says_nothing_comes_now_and_then() {
    let server = Tidings::start_with(&[("TIDINGS_LIMITS__MULTIPART_HEARTBEAT", "50ms")]).await;
    let mut response = post(&server, &[MULTIPART], DOLLARS).await;
    assert_eq!(response.until("--graphql").await, "\r\n--graphql");
    for _ in 0..5 {
        assert_eq!(response.until("--graphql").await, part("{}"));
    }
}
