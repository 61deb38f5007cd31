//! Who comes back is told what was missed.

use tidings::event::WebhookId;

use super::{
    ALICE, Hook, ON, event, hook, listen, listen_with, start, start_with, taken, until_heard,
};
use crate::client::Client;
use crate::redis_server::RedisServer;
use crate::streams::response::Response;
use crate::tidings::Tidings;

async fn listen_behind(server: &Tidings, hook: &Hook, id: &str) -> Response {
    listen_with(server, &hook.token, &[("Last-Event-ID", id)]).await
}

#[tokio::test]
async fn what_was_missed_is_told_in_order_and_once_and_then_what_is_new() {
    let server = start().await;
    let hook = hook(&[&server], ALICE, &[]).await;
    let mut stream = listen(&server, &hook.token).await;
    until_heard(&server, 1.0).await;
    let heard = taken(&server, &hook.path, "0").await;
    assert_eq!(event(&mut stream).await.0, heard);
    drop(stream);
    server.until_metric("tidings_connections", 0.0).await;
    let mut other = listen(&server, &hook.token).await;
    until_heard(&server, 1.0).await;
    let mut missed = Vec::new();
    for number in 1..=5 {
        missed.push(taken(&server, &hook.path, &number.to_string()).await);
        // What another has heard is known to the server, and was told before.
        assert_eq!(event(&mut other).await.0, missed[number - 1]);
    }
    let mut again = listen_behind(&server, &hook, &heard).await;
    for id in &missed {
        assert_eq!(event(&mut again).await.0, *id);
    }
    let next = taken(&server, &hook.path, "6").await;
    assert_eq!(event(&mut again).await.0, next);
    assert_eq!(server.metric("tidings_webhook_replays_total").await, 5.0);
}

#[tokio::test]
async fn what_nobody_heard_is_kept_for_who_comes_back() {
    let server = start().await;
    let hook = hook(&[&server], ALICE, &[]).await;
    let first = taken(&server, &hook.path, "1").await;
    let second = taken(&server, &hook.path, "2").await;
    let mut stream = listen_behind(&server, &hook, &first).await;
    assert_eq!(event(&mut stream).await.0, second);
    // Who says nothing of what it has heard is told what is new alone.
    let mut new = listen(&server, &hook.token).await;
    until_heard(&server, 2.0).await;
    let third = taken(&server, &hook.path, "3").await;
    assert_eq!(event(&mut new).await.0, third);
    assert_eq!(event(&mut stream).await.0, third);
}

#[tokio::test]
async fn polyfills_and_sockets_say_it_in_a_parameter() {
    let server = start().await;
    let hook = hook(&[&server], ALICE, &[]).await;
    let first = taken(&server, &hook.path, "1").await;
    let second = taken(&server, &hook.path, "2").await;
    let parameters = format!("token={}&lastEventId={first}", hook.token);
    let path = format!("/api/events/stream?{parameters}");
    let mut stream = Response::of(server.address(), "GET", &path, &[], "").await;
    stream.until("\n\n").await;
    assert_eq!(event(&mut stream).await.0, second);
    let path = format!("/?{parameters}");
    let mut socket = Client::connect_at(server.address(), &path, None).await;
    assert_eq!(socket.json().await["id"], second);
}

#[tokio::test]
async fn an_id_that_is_none_of_ours_replays_nothing() {
    let server = start().await;
    let hook = hook(&[&server], ALICE, &[]).await;
    taken(&server, &hook.path, "1").await;
    let mut streams = Vec::new();
    for strange in ["", "7", "evt_1", "99999999999999-0"] {
        streams.push(listen_behind(&server, &hook, strange).await);
    }
    until_heard(&server, 4.0).await;
    let next = taken(&server, &hook.path, "2").await;
    for stream in &mut streams {
        assert_eq!(event(stream).await.0, next);
    }
}

#[tokio::test]
async fn the_oldest_are_forgotten_by_their_number_and_by_their_bytes() {
    let redis = RedisServer::start().await;
    let limits = [
        ON,
        ("TIDINGS_RETAINED__WEBHOOKS", "3"),
        ("TIDINGS_RETAINED__WEBHOOKS_BYTES", "1000"),
        ("TIDINGS_WEBSOCKS__BODY_BYTES", "999"),
    ];
    let (embedded, on_redis) =
        futures_util::join!(start_with(&limits), Tidings::start_on(&redis, &limits));
    for server in [&embedded, &on_redis] {
        let hook = hook(&[server], ALICE, &[]).await;
        let first = taken(server, &hook.path, "0").await;
        let mut ids = Vec::new();
        for number in 1..=4 {
            ids.push(taken(server, &hook.path, &number.to_string()).await);
        }
        // The first who listens, so what is kept is read from where it is kept.
        let mut stream = listen_behind(server, &hook, &first).await;
        for id in &ids[1..] {
            assert_eq!(event(&mut stream).await.0, *id);
        }
        // What this one hears is known to the server.
        let long = format!("\"{}\"", "x".repeat(600));
        let mut post = async |body: &str| {
            let id = taken(server, &hook.path, body).await;
            assert_eq!(event(&mut stream).await.0, id);
            id
        };
        let old = post(&long).await;
        let new = post(&long).await;
        let mut again = listen_behind(server, &hook, &first).await;
        assert_eq!(event(&mut again).await.0, new, "and not {old}");
    }
}

#[tokio::test]
async fn what_one_server_took_another_replays() {
    let redis = RedisServer::start().await;
    let (first, second) = futures_util::join!(
        Tidings::start_on(&redis, &[ON]),
        Tidings::start_on(&redis, &[ON])
    );
    let hook = hook(&[&first, &second], ALICE, &[]).await;
    let heard = taken(&first, &hook.path, "1").await;
    let mut missed = Vec::new();
    for (number, server) in [&first, &second, &first].iter().enumerate() {
        missed.push(taken(server, &hook.path, &number.to_string()).await);
    }
    for server in [&first, &second] {
        let mut stream = listen_behind(server, &hook, &heard).await;
        for id in &missed {
            assert_eq!(event(&mut stream).await.0, *id);
        }
    }
    // Where somebody has listened for a while, too.
    let _listening = listen(&second, &hook.token).await;
    until_heard(&second, 1.0).await;
    let last = taken(&first, &hook.path, "7").await;
    let mut stream = listen_behind(&second, &hook, &missed[2]).await;
    assert_eq!(event(&mut stream).await.0, last);
}

#[tokio::test]
async fn what_was_taken_while_a_server_heard_nothing_is_told_when_it_hears_again() {
    let redis = RedisServer::start().await;
    let (deaf, other) = futures_util::join!(
        Tidings::start_on(&redis, &[ON]),
        Tidings::start_on(&redis, &[ON])
    );
    let hook = hook(&[&deaf, &other], ALICE, &[]).await;
    let mut stream = listen(&deaf, &hook.token).await;
    let mut socket = super::connect(&deaf, &hook.token).await;
    until_heard(&deaf, 2.0).await;
    let before = taken(&other, &hook.path, "0").await;
    assert_eq!(event(&mut stream).await.0, before);
    // All subscribers are cut off, again and again while more is posted.
    let mut ids = Vec::new();
    for number in 1..=20 {
        if number % 4 == 1 {
            let mut kill = redis::cmd("CLIENT");
            kill.arg("KILL").arg("TYPE").arg("pubsub");
            redis.run::<i64>(&kill).await;
        }
        ids.push(taken(&other, &hook.path, &number.to_string()).await);
    }
    for id in &ids {
        assert_eq!(event(&mut stream).await.0, *id);
    }
    assert_eq!(socket.json().await["id"], before);
    for id in &ids {
        assert_eq!(socket.json().await["id"], *id);
    }
    assert!(deaf.metric("tidings_bus_gaps_total").await >= 1.0);
}

#[tokio::test]
async fn after_a_gap_what_was_missed_is_told_before_what_comes_now() {
    let redis = RedisServer::start().await;
    let (deaf, other) = futures_util::join!(
        Tidings::start_on(&redis, &[ON]),
        Tidings::start_on(&redis, &[ON])
    );
    let hook = hook(&[&deaf, &other], ALICE, &[]).await;
    let mut stream = listen(&deaf, &hook.token).await;
    until_heard(&deaf, 1.0).await;
    // Posters who do not stop while the subscribers are cut off: fewer in all than are remembered.
    let posters = (0..4).map(|_| async {
        let mut ids = Vec::new();
        for number in 0..20 {
            ids.push(taken(&other, &hook.path, &number.to_string()).await);
        }
        ids
    });
    let cut = async {
        for _ in 0..3 {
            let gaps = deaf.metric("tidings_bus_gaps_total").await;
            let mut kill = redis::cmd("CLIENT");
            kill.arg("KILL").arg("TYPE").arg("pubsub");
            redis.run::<i64>(&kill).await;
            deaf.until("it hears again", async || {
                deaf.metric("tidings_bus_gaps_total").await > gaps
            })
            .await;
        }
    };
    let (posted, ()) = futures_util::join!(futures_util::future::join_all(posters), cut);
    let mut heard = Vec::new();
    for _ in posted.iter().flatten() {
        heard.push(WebhookId::parse(&event(&mut stream).await.0).unwrap());
    }
    assert!(heard.is_sorted(), "{heard:?}");
    heard.dedup();
    assert_eq!(heard.len(), 80);
}
