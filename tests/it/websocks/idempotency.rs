//! Deliveries that are sent again: acknowledged, and neither counted nor told.

use super::{ALICE, BOB, ON, deliver, event, hook, listen, start, until_heard, usage};
use crate::redis_server::RedisServer;
use crate::tidings::Tidings;

async fn is_told_once(servers: &[&Tidings]) {
    let (first, last) = (servers[0], servers[servers.len() - 1]);
    let hook = hook(servers, ALICE, &[]).await;
    let mut stream = listen(last, &hook.token).await;
    until_heard(last, 1.0).await;
    for name in ["Idempotency-Key", "webhook-id", "X-GitHub-Delivery"] {
        let headers = [(name, "delivery-1")];
        let (status, said) = deliver(first, &hook.path, &headers, "1").await;
        assert_eq!(status, 200);
        assert_eq!(event(&mut stream).await.0, said["id"]);
        for body in ["1", "2", "not JSON"] {
            let again = deliver(last, &hook.path, &headers, body).await;
            assert_eq!(again, (200, said.clone()), "{name}");
        }
        // Another one is told, and nothing before it.
        let (_, other) = deliver(first, &hook.path, &[(name, "delivery-2")], "2").await;
        assert_eq!(event(&mut stream).await.0, other["id"]);
    }
    assert_eq!(usage(first, &hook.token).await["used"], 6);
}

#[tokio::test]
async fn a_delivery_that_says_it_was_sent_before_is_told_once_by_one_server() {
    let server = start().await;
    is_told_once(&[&server]).await;
    let repeated = r#"tidings_webhooks_total{result="repeated"}"#;
    assert_eq!(server.metric(repeated).await, 9.0);
}

#[tokio::test]
async fn a_delivery_that_says_it_was_sent_before_is_told_once_by_two_servers() {
    let redis = RedisServer::start().await;
    let (first, second) = futures_util::join!(
        Tidings::start_on(&redis, &[ON]),
        Tidings::start_on(&redis, &[ON])
    );
    is_told_once(&[&first, &second]).await;
}

#[tokio::test]
async fn of_the_same_delivery_sent_many_times_at_once_one_is_taken() {
    let server = start().await;
    let hook = hook(&[&server], ALICE, &[]).await;
    let sent = (0..20).map(|_| deliver(&server, &hook.path, &[("idempotency-key", "1")], "1"));
    let answers = futures_util::future::join_all(sent).await;
    assert!(
        answers.iter().all(|answer| *answer == answers[0]),
        "{answers:?}"
    );
    assert_eq!(usage(&server, &hook.token).await["used"], 1);
}

#[tokio::test]
async fn a_key_says_something_of_its_own_endpoint_alone() {
    let server = start().await;
    let keyed = [("idempotency-key", "1")];
    let mut ids = Vec::new();
    for account in [ALICE, ALICE, BOB] {
        let hook = hook(&[&server], account, &[]).await;
        let (status, said) = deliver(&server, &hook.path, &keyed, "1").await;
        assert_eq!(status, 200);
        ids.push(said["id"].as_str().unwrap().to_owned());
    }
    ids.dedup();
    assert_eq!(ids.len(), 3);
}

#[tokio::test]
async fn what_was_taken_is_known_when_the_server_comes_back() {
    let mut server = start().await;
    let hook = hook(&[&server], ALICE, &[]).await;
    let keyed = [("idempotency-key", "1")];
    let answer = deliver(&server, &hook.path, &keyed, "1").await;
    server.restart().await;
    super::until_known(&server, &hook.path).await;
    assert_eq!(deliver(&server, &hook.path, &keyed, "1").await, answer);
}

#[tokio::test]
async fn a_key_is_forgotten_when_its_window_is_over() {
    let redis = RedisServer::start().await;
    let settings = [ON, ("TIDINGS_WEBSOCKS__IDEMPOTENCY_WINDOW", "200ms")];
    let (embedded, on_redis) = futures_util::join!(
        Tidings::start_with(&settings),
        Tidings::start_on(&redis, &settings)
    );
    for server in [embedded, on_redis] {
        let hook = hook(&[&server], ALICE, &[]).await;
        let keyed = [("idempotency-key", "1")];
        let first = deliver(&server, &hook.path, &keyed, "1").await;
        server
            .until("it is taken again", async || {
                deliver(&server, &hook.path, &keyed, "1").await != first
            })
            .await;
        assert_eq!(usage(&server, &hook.token).await["used"], 2);
    }
}

#[tokio::test]
async fn on_redis_the_oldest_of_too_many_keys_are_forgotten() {
    let redis = RedisServer::start().await;
    let keys = ("TIDINGS_WEBSOCKS__IDEMPOTENCY_KEYS", "3");
    let server = Tidings::start_on(&redis, &[ON, keys]).await;
    let hook = hook(&[&server], ALICE, &[]).await;
    let send = async |key: &str| {
        let (status, said) = deliver(&server, &hook.path, &[("idempotency-key", key)], "1").await;
        assert_eq!(status, 200);
        said["id"].as_str().unwrap().to_owned()
    };
    let first = send("1").await;
    let second = send("2").await;
    send("3").await;
    send("4").await;
    assert_eq!(send("2").await, second);
    assert_ne!(send("1").await, first);
    let ids = format!("tidings:entered:{}", hook.id);
    let known: usize = redis.run(redis::cmd("HLEN").arg(&ids)).await;
    let times: usize = redis
        .run(redis::cmd("ZCARD").arg(format!("{ids}:at")))
        .await;
    assert_eq!((known, times), (3, 3));
}

#[tokio::test]
async fn an_endpoint_may_forward_every_delivery() {
    let server = start().await;
    let hook = hook(&[&server], ALICE, &["--every-delivery"]).await;
    let keyed = [("idempotency-key", "1")];
    let first = deliver(&server, &hook.path, &keyed, "1").await;
    assert_ne!(deliver(&server, &hook.path, &keyed, "1").await, first);
}
