//! Responses that go on: event streams and multipart, on raw bytes.

mod lives;
mod multipart;
mod persisted;
pub(crate) mod response;
mod single;
mod sockets;
mod sse;

use serde_json::json;

use self::response::Response;
use crate::bodies::price;
use crate::tidings::Tidings;

const EVENTS: (&str, &str) = ("Accept", "text/event-stream");
const MULTIPART: (&str, &str) = (
    "Accept",
    r#"multipart/mixed;subscriptionSpec="1.0", application/json"#,
);
const JSON: (&str, &str) = ("Content-Type", "application/json");

const USD: &str = "PRICE_UPDATE_USD";

/// A request of this document, as JSON.
fn asks(query: &str) -> String {
    json!({ "query": query }).to_string()
}

/// Asks for a document by POST.
async fn post(server: &Tidings, headers: &[(&str, &str)], query: &str) -> Response {
    let headers = [&[JSON], headers].concat();
    Response::of(server.address(), "POST", "/graphql", &headers, &asks(query)).await
}

/// The result that tells of the price with this number.
fn result(number: u64) -> String {
    format!(
        r#"{{"data":{{"realtimePrice":{{"realtimePrice":{{"btcSatPrice":{{"base":{number}}}}}}}}}}}"#
    )
}

/// Publishes the price with this number, when so many subscriptions run.
async fn publish_to(server: &Tidings, subscriptions: f64, number: u64) {
    server
        .until_metric("tidings_subscriptions", subscriptions)
        .await;
    server.publish(USD, &price(number)).await;
}
