//! GraphQL over Server-Sent Events, one stream for all operations of a client.

use serde_json::{Value, json};

use super::response::Response;
use super::{EVENTS, JSON, post, publish_to, result};
use crate::bodies::{DOLLARS, Invoice, MY_UPDATES, ln_receipt};
use crate::redis_server::RedisServer;
use crate::tidings::{ISSUER, Tidings};

const ACCOUNT: &str = "0d3d3c1a-5e0e-4b7b-8f59-7f1a7b1f6a51";
const TOKEN: &str = "X-GraphQL-Event-Stream-Token";

/// Whoever speaks to one server, with these headers in every request.
struct Speaker<'a> {
    server: &'a Tidings,
    headers: Vec<(&'a str, &'a str)>,
}

impl Speaker<'_> {
    async fn says(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: &str,
    ) -> Response {
        let headers = [&self.headers, headers].concat();
        Response::of(self.server.address(), method, path, &headers, body).await
    }

    /// Reserves a stream: its token.
    async fn reserves(&self) -> String {
        let mut response = self.says("PUT", "/graphql", &[], "").await;
        assert_eq!(response.status, 201);
        assert_eq!(
            response.header("content-type"),
            Some("text/plain; charset=utf-8")
        );
        assert_eq!(response.header("cache-control"), Some("no-store"));
        response.rest().await
    }

    async fn opens(&self, token: &str) -> Response {
        let headers = [EVENTS, (TOKEN, token)];
        self.says("GET", "/graphql", &headers, "").await
    }

    /// Begins an operation under an id: the status, and what is said.
    async fn begins(&self, token: &str, id: &str, query: &str) -> (u16, String) {
        let body = json!({ "query": query, "extensions": { "operationId": id } });
        let headers = [JSON, (TOKEN, token)];
        let mut response = self
            .says("POST", "/graphql", &headers, &body.to_string())
            .await;
        (response.status, response.rest().await)
    }

    async fn ends(&self, token: &str, id: &str) -> u16 {
        let path = format!("/graphql?operationId={id}");
        let mut response = self.says("DELETE", &path, &[(TOKEN, token)], "").await;
        response.rest().await;
        response.status
    }
}

fn anybody(server: &Tidings) -> Speaker<'_> {
    Speaker {
        server,
        headers: Vec::new(),
    }
}

fn next(id: &str, result: &str) -> String {
    format!("event: next\ndata: {{\"id\":\"{id}\",\"payload\":{result}}}\n\n")
}

fn complete(id: &str) -> String {
    format!("event: complete\ndata: {{\"id\":\"{id}\"}}\n\n")
}

#[tokio::test]
async fn operations_come_and_go_while_the_stream_stays() {
    let server = Tidings::start().await;
    let client = anybody(&server);
    let token = client.reserves().await;
    let mut stream = client.opens(&token).await;
    assert_eq!(stream.status, 200);
    assert_eq!(
        stream.header("content-type"),
        Some("text/event-stream; charset=utf-8")
    );
    assert_eq!(stream.until("\n\n").await, ":\n\n");
    assert_eq!(
        client.begins(&token, "a", DOLLARS).await,
        (202, String::new())
    );
    publish_to(&server, 1.0, 7).await;
    assert_eq!(stream.until("\n\n").await, next("a", &result(7)));
    // The second is told the present state, the first is not told it again.
    assert_eq!(client.begins(&token, "b", DOLLARS).await.0, 202);
    assert_eq!(stream.until("\n\n").await, next("b", &result(7)));
    assert_eq!(client.ends(&token, "a").await, 200);
    publish_to(&server, 1.0, 8).await;
    assert_eq!(stream.until("\n\n").await, next("b", &result(8)));
    // A query is told in the stream, too.
    assert_eq!(client.begins(&token, "a", "{ __typename }").await.0, 202);
    assert_eq!(
        stream.until(&complete("a")).await,
        next("a", r#"{"data":{"__typename":"Query"}}"#) + &complete("a")
    );
    assert_eq!(client.ends(&token, "never").await, 200);
    drop(stream);
    server.until_metric("tidings_subscriptions", 0.0).await;
    assert_eq!(client.begins(&token, "c", DOLLARS).await.0, 404);
}

#[tokio::test]
async fn what_is_wrong_with_an_operation_is_said_to_whoever_posts_it() {
    let server = Tidings::start().await;
    let client = anybody(&server);
    let token = client.reserves().await;
    let mut stream = client.opens(&token).await;
    assert_eq!(stream.until("\n\n").await, ":\n\n");
    let (status, said) = client.begins(&token, "a", "subscription { nothing }").await;
    assert_eq!(status, 400);
    assert!(said.contains("Unknown field"), "{said}");
    let (status, said) = client.begins(&token, "a", "{ nothing }").await;
    assert_eq!(status, 400);
    assert!(said.contains("Unknown field"), "{said}");
    let (status, said) = client.begins(&token, "", DOLLARS).await;
    assert_eq!(status, 400);
    assert!(said.contains("Operation ID is missing"), "{said}");
    let (status, said) = client.begins(&token, &"a".repeat(1025), DOLLARS).await;
    assert_eq!(status, 400);
    assert!(said.contains("longer than 1024 bytes"), "{said}");
    // It was executed to an error: that is a result.
    let mine = "subscription { myUpdates { me { id } } }";
    assert_eq!(client.begins(&token, "mine", mine).await.0, 202);
    let told = stream.until(&complete("mine")).await;
    assert!(told.contains("NOT_AUTHENTICATED"), "{told}");
    assert_eq!(client.begins(&token, "a", DOLLARS).await.0, 202);
    let (status, said) = client.begins(&token, "a", DOLLARS).await;
    assert_eq!(status, 409);
    assert!(said.contains("already exists"), "{said}");
    assert_eq!(client.begins(&token, "a", "{ __typename }").await.0, 409);
}

#[tokio::test]
async fn a_stream_is_opened_once_and_a_token_of_nothing_is_not_found() {
    let server = Tidings::start().await;
    let client = anybody(&server);
    let token = client.reserves().await;
    let other = client.reserves().await;
    assert_ne!(token, other);
    // In the URL, where a browser's `EventSource` can say nothing else.
    let path = format!("/graphql?token={token}");
    let mut stream = client.says("GET", &path, &[EVENTS], "").await;
    assert_eq!(stream.status, 200);
    assert_eq!(stream.until("\n\n").await, ":\n\n");
    assert_eq!(client.opens(&token).await.status, 409);
    for nothing in ["nothing", "131f6b11-4ead-4d72-b1a8-cf3ee217119b", ""] {
        assert_eq!(client.opens(nothing).await.status, 404, "{nothing}");
        assert_eq!(client.begins(nothing, "a", DOLLARS).await.0, 404);
        assert_eq!(client.ends(nothing, "a").await, 404);
    }
    assert_eq!(
        client
            .says("DELETE", "/graphql?operationId=a", &[], "")
            .await
            .status,
        404
    );
}

#[tokio::test]
async fn what_is_begun_before_the_stream_is_opened_waits_for_it() {
    let server = Tidings::start().await;
    let client = anybody(&server);
    let token = client.reserves().await;
    assert_eq!(client.begins(&token, "a", DOLLARS).await.0, 202);
    publish_to(&server, 1.0, 7).await;
    publish_to(&server, 1.0, 8).await;
    let mut stream = client.opens(&token).await;
    let told = stream.until(&next("a", &result(8))).await;
    assert_eq!(
        told,
        format!(":\n\n{}{}", next("a", &result(7)), next("a", &result(8)))
    );
}

#[tokio::test]
async fn a_reserved_stream_is_not_too_slow_before_anybody_could_read_it() {
    let server = Tidings::start_with(&[
        ("TIDINGS_LIMITS__WRITE_TIMEOUT", "100ms"),
        ("TIDINGS_LIMITS__SSE_HEARTBEAT", "20ms"),
    ])
    .await;
    let client = anybody(&server);
    let token = client.reserves().await;
    assert_eq!(client.begins(&token, "a", DOLLARS).await.0, 202);
    publish_to(&server, 1.0, 7).await;
    // Many times longer than a client may take that could read.
    let mut clock = post(&server, &[EVENTS], DOLLARS).await;
    for _ in 0..25 {
        clock.until("\n\n").await;
    }
    let mut stream = client.opens(&token).await;
    assert_eq!(stream.status, 200);
    let told = stream.until(&next("a", &result(7))).await;
    assert_eq!(told, format!(":\n\n{}", next("a", &result(7))));
    // From now on it says that it is there.
    assert_eq!(stream.until("\n\n").await, ":\n\n");
}

#[tokio::test]
async fn a_reservation_that_nobody_opens_ends() {
    let server = Tidings::start_with(&[("TIDINGS_LIMITS__RESERVATION", "100ms")]).await;
    let client = anybody(&server);
    let token = client.reserves().await;
    assert_eq!(client.begins(&token, "a", DOLLARS).await.0, 202);
    server
        .until_metric(r#"tidings_closes_total{reason="init_timeout"}"#, 1.0)
        .await;
    assert_eq!(server.metric("tidings_subscriptions").await, 0.0);
    assert_eq!(server.metric("tidings_connections").await, 0.0);
    assert_eq!(client.opens(&token).await.status, 404);
}

#[tokio::test]
async fn what_ends_a_stream_ends_one_that_nobody_has_opened_yet() {
    let mut server = Tidings::start_with(&[ISSUER]).await;
    let key = server.key(ACCOUNT, &["read"]).await;
    let of_key = Speaker {
        server: &server,
        headers: vec![("X-API-KEY", &key)],
    };
    let revoked = of_key.reserves().await;
    assert_eq!(of_key.begins(&revoked, "a", MY_UPDATES).await.0, 202);
    let keys: Value = serde_json::from_str(&server.run(&["keys", "list", "--json"])).unwrap();
    server.run(&["keys", "revoke", keys[0]["id"].as_str().unwrap()]);
    let closes = |reason: &str| format!(r#"tidings_closes_total{{reason="{reason}"}}"#);
    server.until_metric(&closes("key_revoked"), 1.0).await;
    assert_eq!(anybody(&server).opens(&revoked).await.status, 404);

    let token = format!("Bearer {}", server.token(&["--user-id", "42"]));
    let named = Speaker {
        server: &server,
        headers: vec![("Authorization", &token), ("X-Connection-Id", "tab")],
    };
    let replaced = named.reserves().await;
    let stays = named.reserves().await;
    server.until_metric(&closes("replaced"), 1.0).await;
    assert_eq!(named.opens(&replaced).await.status, 404);
    server.until_metric("tidings_connections", 1.0).await;
    assert_eq!(named.begins(&stays, "a", DOLLARS).await.0, 202);

    server.signal("TERM");
    assert_eq!(server.exit_code().await, Some(0));
}

#[tokio::test]
async fn a_stream_has_as_many_operations_as_a_socket_may_have() {
    let server =
        Tidings::start_with(&[("TIDINGS_LIMITS__SUBSCRIPTIONS_PER_CONNECTION", "3")]).await;
    let client = anybody(&server);
    let token = client.reserves().await;
    let mut stream = client.opens(&token).await;
    // Ids are the client's affair: lines and quotes in them end nothing.
    let ids = ["a\nevent: complete\n\n", "\"\u{2028}\\", "c"];
    for id in ids {
        assert_eq!(client.begins(&token, id, DOLLARS).await.0, 202);
    }
    let (status, said) = client.begins(&token, "d", DOLLARS).await;
    assert_eq!(status, 400);
    assert!(said.contains("TOO_MANY_SUBSCRIPTIONS"), "{said}");
    publish_to(&server, 3.0, 7).await;
    assert_eq!(stream.until("\n\n").await, ":\n\n");
    for _ in ids {
        let event = stream.until("\n\n").await;
        let data = event
            .strip_prefix("event: next\ndata: ")
            .expect("one event");
        let told: Value = serde_json::from_str(data).expect("one line of JSON");
        assert!(ids.contains(&told["id"].as_str().unwrap()), "{event}");
    }
    assert_eq!(client.ends(&token, "c").await, 200);
    assert_eq!(client.begins(&token, "d", DOLLARS).await.0, 202);
}

/// Redis answers nothing, so that operations are being started for as long as it takes.
#[tokio::test]
async fn an_operation_that_is_ended_while_it_starts_frees_its_id_and_whoever_waits_for_it() {
    let redis = RedisServer::start().await;
    let server = Tidings::start_on(&redis, &[]).await;
    let client = anybody(&server);
    let token = client.reserves().await;
    let mut stream = client.opens(&token).await;
    let (first, second) = (Invoice::new().by_hash(), Invoice::new().by_hash());
    redis.pause();
    let begins = client.begins(&token, "a", &first);
    let ends = async {
        server
            .until("the id is in use", async || {
                client.begins(&token, "a", "{ __typename }").await.0 == 409
            })
            .await;
        assert_eq!(client.ends(&token, "a").await, 200);
    };
    let (begun, ()) = tokio::join!(begins, ends);
    assert_eq!(begun.0, 202);
    // Its id is another one's now; that one waits for Redis, and then runs.
    let resumes = async {
        server
            .until("the id is in use", async || {
                client.begins(&token, "a", "{ __typename }").await.0 == 409
            })
            .await;
        redis.resume();
    };
    let (begun, ()) = tokio::join!(client.begins(&token, "a", &second), resumes);
    assert_eq!(begun.0, 202);
    server.until_metric("tidings_subscriptions", 1.0).await;

    redis.pause();
    let goes = async {
        server
            .until("the id is in use", async || {
                client.begins(&token, "b", "{ __typename }").await.0 == 409
            })
            .await;
        stream.until(":\n\n").await;
        drop(stream);
    };
    // The client of the stream goes: who waits is told so, and does not wait for Redis.
    let third = Invoice::new().by_hash();
    let (begun, ()) = tokio::join!(client.begins(&token, "b", &third), goes);
    assert_eq!(begun.0, 404);
    redis.resume();
    server.until_metric("tidings_subscriptions", 0.0).await;
}

#[tokio::test]
async fn a_stream_is_of_whoever_reserved_it_whoever_knows_its_token() {
    let server = Tidings::start().await;
    let key = server.key(ACCOUNT, &["read"]).await;
    let other = server
        .key("1e4e4d2b-6f1f-4c8c-9a6a-8a2b8c2a7b62", &["read"])
        .await;
    let with = |key| Speaker {
        server: &server,
        headers: vec![("X-API-KEY", key)],
    };
    let (owner, thief) = (with(&key), with(&other));
    let token = owner.reserves().await;
    for stranger in [&thief, &anybody(&server)] {
        assert_eq!(stranger.begins(&token, "a", MY_UPDATES).await.0, 404);
        assert_eq!(stranger.ends(&token, "a").await, 404);
    }
    assert_eq!(
        with("nonsense").begins(&token, "a", MY_UPDATES).await.0,
        401
    );
    assert_eq!(owner.begins(&token, "a", MY_UPDATES).await.0, 202);
    let mut stream = anybody(&server).opens(&token).await;
    server.until_metric("tidings_subscriptions", 1.0).await;
    server
        .publish(&format!("ACCOUNT_UPDATE_{ACCOUNT}"), &ln_receipt("for me"))
        .await;
    stream.until("for me").await;
    let bad = with("nonsense").says("PUT", "/graphql", &[], "").await;
    assert_eq!(bad.status, 401);
}
