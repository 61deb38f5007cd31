//! Rewards over Redis: several nodes, strangers' bodies, and a Redis that was away.

use super::{AT, CHANNEL, STATUS_UPDATE, body, connect, key_of, status_type, subscribe, told};
use crate::redis_server::RedisServer;
use crate::tidings::Tidings;

/// As `redis-cli PUBLISH` does.
async fn publish(redis: &RedisServer, channel: &str, body: &str) {
    let mut publish = redis::cmd("PUBLISH");
    let _: usize = redis.run(publish.arg(channel).arg(body)).await;
}

#[tokio::test]
async fn what_is_malformed_on_redis_is_dropped_counted_and_logged() {
    let redis = RedisServer::start().await;
    let server = Tidings::start_on(&redis, &[]).await;
    let key = key_of(&server, "123", &["read"]).await;
    let mut client = connect(&server, &key).await;
    subscribe(&mut client, "1").await;
    let malformed = [
        "not JSON".to_owned(),
        "[1]".to_owned(),
        body("connected", "{}"),
        body("", "{}"),
        body("bonus_update", "{}").replace("123", "124"),
        body("bonus_update", r#"{"user_id":124}"#),
        body("vc_update", "{}"),
        body("season_update", "{}").replace(AT, "2026-01-15"),
    ];
    for body in &malformed {
        publish(&redis, CHANNEL, body).await;
    }
    publish(&redis, CHANNEL, &body("bonus_update", "{}")).await;
    assert_eq!(client.text().await, told("bonus_update", "{}"));
    let metric = r#"tidings_malformed_total{topic="rewards"}"#;
    assert_eq!(server.metric(metric).await, malformed.len() as f64);
    let logged = server
        .logged(|line| {
            let said = line["message"].as_str();
            said.is_some_and(|said| said.contains("Data.user_id is missing"))
        })
        .await;
    assert_eq!(
        (&logged["level"], &logged["topic"]),
        (&"WARN".into(), &"rewards".into())
    );
}

#[tokio::test]
async fn connected_is_told_again_when_events_may_have_been_missed() {
    let redis = RedisServer::start().await;
    let server = Tidings::start_on(&redis, &[]).await;
    let keys = [
        key_of(&server, "123", &["read"]).await,
        key_of(&server, "124", &["read"]).await,
    ];
    let mut clients = Vec::new();
    for key in [&keys[0], &keys[0], &keys[1]] {
        let mut client = connect(&server, key).await;
        subscribe(&mut client, "1").await;
        clients.push(client);
    }
    let mut kill = redis::cmd("CLIENT");
    let killed: i64 = redis.run(kill.arg("KILL").arg("TYPE").arg("pubsub")).await;
    assert_eq!(killed, 1);
    for (client, user) in clients.iter_mut().zip([123, 123, 124]) {
        let payload = client.payload("1").await;
        assert_eq!(status_type(&payload), "connected");
        assert_eq!(payload["data"]["StatusUpdate"]["UserID"], user);
        assert_eq!(payload["data"]["StatusUpdate"]["Data"], "{}");
    }
    server.until_metric("tidings_bus_gaps_total", 1.0).await;
    publish(&redis, CHANNEL, &body("bonus_update", "{}")).await;
    for client in &mut clients[..2] {
        assert_eq!(client.text().await, told("bonus_update", "{}"));
    }
}

#[tokio::test]
async fn every_node_tells_the_user_and_no_other() {
    let redis = RedisServer::start().await;
    let (first, second) = futures_util::join!(
        Tidings::start_on(&redis, &[]),
        Tidings::start_on(&redis, &[])
    );
    let key = key_of(&first, "123", &["read"]).await;
    let other_key = key_of(&second, "12", &["read"]).await;
    let (mut mine, mut others) = (Vec::new(), Vec::new());
    for server in [&first, &second] {
        server.until_known(&key).await;
        server.until_known(&other_key).await;
        for (key, clients) in [(&key, &mut mine), (&other_key, &mut others)] {
            let mut client = connect(server, key).await;
            client.subscribe("1", STATUS_UPDATE).await;
            assert_eq!(status_type(&client.payload("1").await), "connected");
            clients.push(client);
        }
    }
    for number in 0..3 {
        let data = format!(r#"{{"id":{number}}}"#);
        publish(&redis, CHANNEL, &body("bonus_update", &data)).await;
    }
    let last = body("bonus_update", "{}").replace("123", "12");
    publish(&redis, "REWARDS_STATUS_12", &last).await;
    for client in &mut mine {
        for number in 0..3 {
            let data = format!(r#"{{"id":{number}}}"#);
            assert_eq!(client.text().await, told("bonus_update", &data));
        }
    }
    // Its own event comes after those of the other: had it been told those, they were here first.
    for client in &mut others {
        assert_eq!(
            client.text().await,
            told("bonus_update", "{}").replace("123", "12")
        );
    }
}
