//! A document by its hash alone, over every way in: one operation runs, whoever asks and however.

use serde_json::{Value, json};

use super::response::Response;
use super::{EVENTS, JSON, MULTIPART, publish_to, result};
use crate::bodies::DOLLARS;
use crate::client::Client;
use crate::persisted::hash;
use crate::tidings::Tidings;

/// A request by the hash of [`DOLLARS`], with more extensions.
fn by_hash(more: Value) -> Value {
    let persisted = json!({ "version": 1, "sha256Hash": hash(DOLLARS) });
    let mut extensions = json!({ "persistedQuery": persisted });
    let more = more.as_object().expect("an object").clone();
    extensions.as_object_mut().expect("it is one").extend(more);
    json!({ "extensions": extensions })
}

#[tokio::test]
async fn a_hash_that_one_client_has_sent_the_text_of_is_known_over_every_way_in() {
    let server = Tidings::start().await;
    let request = by_hash(json!({}));
    let post = async |headers: &[(&str, &str)], body: &Value| {
        let headers = [&[JSON], headers].concat();
        Response::of(
            server.address(),
            "POST",
            "/graphql",
            &headers,
            &body.to_string(),
        )
        .await
    };
    let mut unknown = post(&[EVENTS], &request).await;
    assert!(unknown.rest().await.contains("PERSISTED_QUERY_NOT_FOUND"));
    let mut unknown = post(&[MULTIPART], &request).await;
    assert!(unknown.rest().await.contains("PERSISTED_QUERY_NOT_FOUND"));

    let mut first = server.anonymous().await;
    first.subscribe("1", DOLLARS).await;
    server.until_metric("tidings_subscriptions", 1.0).await;
    let mut second = server.anonymous().await;
    second
        .send(&json!({ "type": "subscribe", "id": "1", "payload": request }).to_string())
        .await;
    let mut older = Client::connect(server.address(), Some("graphql-ws")).await;
    older.send(r#"{"type":"connection_init"}"#).await;
    older
        .send(&json!({ "type": "start", "id": "1", "payload": request }).to_string())
        .await;
    let mut events = post(&[EVENTS], &request).await;
    let mut parts = post(&[MULTIPART], &request).await;
    let extensions = request["extensions"].to_string();
    let path: String = url::form_urlencoded::byte_serialize(extensions.as_bytes()).collect();
    let path = format!("/graphql?extensions={path}");
    let mut got = Response::of(server.address(), "GET", &path, &[EVENTS], "").await;
    let token = Response::of(server.address(), "PUT", "/graphql", &[], "")
        .await
        .rest()
        .await;
    let with_token = ("X-GraphQL-Event-Stream-Token", token.as_str());
    let begun = post(&[with_token], &by_hash(json!({ "operationId": "1" }))).await;
    assert_eq!(begun.status, 202);
    let headers = [EVENTS, with_token];
    let mut single = Response::of(server.address(), "GET", "/graphql", &headers, "").await;

    publish_to(&server, 7.0, 7).await;
    assert_eq!(server.metric("tidings_operations").await, 1.0);
    for client in [&mut first, &mut second] {
        assert_eq!(client.payload("1").await.to_string(), result(7));
    }
    let mut heard = older.text().await;
    while !heard.contains(r#""type":"data""#) {
        heard = older.text().await;
    }
    assert!(heard.contains(&result(7)), "{heard}");
    for stream in [&mut events, &mut parts, &mut got, &mut single] {
        stream.until(&result(7)).await;
    }
}
