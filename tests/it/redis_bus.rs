//! The Redis bus when Redis misbehaves.

use std::sync::Arc;
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;
use tidings::bus::{Away, Bus, Inbox, Message, RedisBus};
use tidings::redis_link::RedisLink;
use tidings::topic::Topic;
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;
use url::Url;

use crate::redis_server::{PATIENT, RedisServer, SHIPPED, config, until};

/// A bus of one process.
struct Node {
    bus: Bus,
    inbox: Inbox,
}

impl Node {
    fn start(url: &Url, settings: &str) -> Self {
        let config = config(settings);
        let link = RedisLink::new(url, &config).expect("a good URL");
        let (bus, inbox) = RedisBus::start(config, link);
        Node {
            bus: Bus::Redis(bus),
            inbox,
        }
    }

    async fn next(&mut self) -> Message {
        timeout(Duration::from_secs(30), self.inbox.next())
            .await
            .expect("something arrives")
            .expect("the bus has not ended")
    }

    async fn expect(&mut self, topic: &Topic, body: &'static str) {
        assert_eq!(self.next().await, payload(topic, body));
    }

    /// Publishes until it works: the command connection may have to be opened again.
    async fn publish(&self, topic: &Topic, body: &'static str) {
        until("a body is published", async || {
            self.bus.publish(topic, body.into()).await.is_ok()
        })
        .await;
    }
}

fn payload(topic: &Topic, body: &'static str) -> Message {
    Message::Payload {
        topic: topic.clone(),
        body: Bytes::from_static(body.as_bytes()),
    }
}

fn price(code: &str) -> Topic {
    Topic::of_channel(&format!("PRICE_UPDATE_{code}")).expect("a currency")
}

fn account(number: u128) -> Topic {
    Topic::Account(uuid::Uuid::from_u128(number).into())
}

fn invoice() -> Topic {
    Topic::of_channel(&format!("LN_PAYMENT_STATUS_{}", "ab".repeat(32))).expect("a hash")
}

#[tokio::test]
async fn after_a_crash_of_redis_everything_is_watched_again() {
    let mut server = RedisServer::start().await;
    let mut node = Node::start(&server.url(), PATIENT);
    for number in 0..2000 {
        node.bus.watch(&account(number)).await.unwrap();
    }
    server.kill();
    assert_eq!(node.next().await, Message::Lost);
    assert!(!node.bus.is_up());
    server.restart().await;
    assert_eq!(node.next().await, Message::Restored);
    assert!(node.bus.is_up());

    let mut every = redis::cmd("PUBSUB");
    let channels: Vec<String> = server.run(every.arg("CHANNELS").arg("ACCOUNT_*")).await;
    assert_eq!(channels.len(), 2000);
    for topic in [account(0), account(777), account(1999), invoice()] {
        node.publish(&topic, "after").await;
        node.expect(&topic, "after").await;
    }
}

#[tokio::test]
async fn a_crash_that_lasts_is_said_once_and_survived() {
    let mut server = RedisServer::start().await;
    let mut node = Node::start(&server.url(), PATIENT);
    node.bus.watch(&price("USD")).await.unwrap();
    for _ in 0..3 {
        server.kill();
        assert_eq!(node.next().await, Message::Lost);
        assert_eq!(node.bus.watch(&price("EUR")).await, Err(Away));
        assert_eq!(
            node.bus.publish(&price("USD"), "{}".into()).await,
            Err(Away)
        );
        server.restart().await;
        assert_eq!(node.next().await, Message::Restored);
        for code in ["USD", "EUR"] {
            node.publish(&price(code), "back").await;
            node.expect(&price(code), "back").await;
        }
    }
}

#[tokio::test]
async fn a_redis_that_goes_silent_is_noticed_within_two_seconds() {
    let server = RedisServer::start().await;
    let mut node = Node::start(&server.url(), SHIPPED);
    node.bus.watch(&price("USD")).await.unwrap();
    let since = Instant::now();
    server.pause();
    assert_eq!(node.next().await, Message::Lost);
    let noticed = since.elapsed();
    assert!(noticed < Duration::from_millis(2500), "after {noticed:?}");
    assert_eq!(node.bus.watch(&price("EUR")).await, Err(Away));
    server.resume();
    assert_eq!(node.next().await, Message::Restored);
    for code in ["USD", "EUR"] {
        node.publish(&price(code), "back").await;
        node.expect(&price(code), "back").await;
    }
}

#[tokio::test]
async fn a_subscriber_that_hangs_on_the_old_server_after_a_failover_is_moved() {
    let (old, new) = (RedisServer::start().await, RedisServer::start().await);
    let (url, server_port) = road_to(old.port()).await;
    let mut node = Node::start(&url, SHIPPED);
    node.bus.watch(&price("USD")).await.unwrap();
    node.publish(&price("USD"), "from the old one").await;
    node.expect(&price("USD"), "from the old one").await;

    server_port.store(new.port(), Ordering::SeqCst);
    let mut kill = redis::cmd("CLIENT");
    kill.arg("KILL").arg("TYPE").arg("normal");
    let killed: i64 = old.run(&kill).await;
    assert!(
        killed >= 1,
        "the command connection, and not the subscriber"
    );

    assert_eq!(node.next().await, Message::Lost);
    assert_eq!(node.next().await, Message::Restored);
    assert_eq!(new.listeners("PRICE_UPDATE_USD").await, 1);
    node.publish(&price("USD"), "from the new one").await;
    node.expect(&price("USD"), "from the new one").await;
}

#[tokio::test]
async fn a_redis_that_is_away_at_the_start_is_said_and_waited_for() {
    let mut server = RedisServer::absent(&[]);
    let mut node = Node::start(&server.url(), PATIENT);
    assert_eq!(node.next().await, Message::Lost);
    assert_eq!(node.bus.watch(&price("USD")).await, Err(Away));
    assert_eq!(node.bus.watch(&invoice()).await, Err(Away));
    server.restart().await;
    assert_eq!(node.next().await, Message::Restored);
    node.publish(&price("USD"), "first").await;
    node.expect(&price("USD"), "first").await;
}

#[tokio::test]
async fn the_first_connection_is_no_news() {
    let server = RedisServer::start().await;
    let mut node = Node::start(&server.url(), PATIENT);
    // Nobody waits for the bus to be up before it watches.
    node.bus.watch(&price("USD")).await.unwrap();
    assert!(node.bus.is_up());
    node.publish(&price("USD"), "first").await;
    node.expect(&price("USD"), "first").await;
}

#[tokio::test]
async fn an_operator_who_kills_the_subscriber_causes_one_gap() {
    let server = RedisServer::start().await;
    let mut node = Node::start(&server.url(), PATIENT);
    node.bus.watch(&price("USD")).await.unwrap();
    let mut kill = redis::cmd("CLIENT");
    let killed: i64 = server.run(kill.arg("KILL").arg("TYPE").arg("pubsub")).await;
    assert_eq!(killed, 1);
    assert_eq!(node.next().await, Message::Lost);
    assert_eq!(node.next().await, Message::Restored);
    node.publish(&price("USD"), "back").await;
    node.expect(&price("USD"), "back").await;
}

#[tokio::test]
async fn a_strangers_body_is_ignored() {
    let server = RedisServer::start().await;
    let mut node = Node::start(&server.url(), PATIENT);
    node.bus.watch(&price("USD")).await.unwrap();
    for channel in [
        "LN_PAYMENT_STATUS_lnbc1",
        "LN_PAYMENT_STATUS_",
        "PRICE_UPDATE_usd",
    ] {
        let mut publish = redis::cmd("PUBLISH");
        let _: i64 = server.run(publish.arg(channel).arg("{}")).await;
    }
    node.publish(&price("USD"), "ours").await;
    node.expect(&price("USD"), "ours").await;
}

#[tokio::test]
async fn what_is_released_is_given_up_and_what_is_wanted_stays() {
    let server = RedisServer::start().await;
    let node = Node::start(&server.url(), PATIENT);
    node.bus.watch(&price("USD")).await.unwrap();
    node.bus.watch(&price("EUR")).await.unwrap();
    node.bus.release(&price("USD"));
    until("redis has no listener left", async || {
        server.listeners("PRICE_UPDATE_USD").await == 0
    })
    .await;
    assert_eq!(server.listeners("PRICE_UPDATE_EUR").await, 1);
}

#[tokio::test]
async fn a_reader_that_is_slow_loses_nothing() {
    let server = RedisServer::start().await;
    // With little patience: a full inbox must not look like a silent Redis.
    let settings = SHIPPED.replace("1s", "300ms").replace("500ms", "100ms");
    let mut node = Node::start(&server.url(), &settings);
    node.bus.watch(&price("USD")).await.unwrap();
    let mut script = redis::cmd("EVAL");
    script.arg("for i = 1, 20000 do redis.call('PUBLISH', KEYS[1], i) end");
    let _: () = server.run(script.arg(1).arg("PRICE_UPDATE_USD")).await;
    // More than the timeouts, while nobody reads and the inbox is full.
    tokio::time::sleep(Duration::from_millis(1000)).await;
    for number in 1..=20000 {
        match node.next().await {
            Message::Payload { body, .. } => assert_eq!(body, number.to_string()),
            other => panic!("{other:?} after {number}"),
        }
    }
    assert!(node.bus.is_up());
}

#[tokio::test]
async fn a_reader_that_is_too_slow_for_redis_sees_the_gap() {
    let server =
        RedisServer::start_with(&["--client-output-buffer-limit", "pubsub 1mb 1mb 1"]).await;
    let mut node = Node::start(&server.url(), PATIENT);
    node.bus.watch(&price("USD")).await.unwrap();
    let mut script = redis::cmd("EVAL");
    script.arg("for i = 1, 100 do redis.call('PUBLISH', KEYS[1], string.rep('x', 1000)) end");
    script.arg(1).arg("PRICE_UPDATE_USD");
    until("redis gives up", async || {
        let _: () = server.run(&script).await;
        server.listeners("PRICE_UPDATE_USD").await == 0
    })
    .await;
    let mut message = node.next().await;
    while let Message::Payload { .. } = message {
        message = node.next().await;
    }
    assert_eq!(message, Message::Lost);
    assert_eq!(node.next().await, Message::Restored);
    node.publish(&price("USD"), "back").await;
    node.expect(&price("USD"), "back").await;
}

#[tokio::test]
async fn a_password_opens_the_door_and_a_wrong_one_does_not() {
    let server = RedisServer::start().await;
    let mut acl = redis::cmd("ACL");
    acl.arg("SETUSER").arg("tidings").arg("on").arg(">s3cr/et");
    let _: () = server
        .run(acl.arg("allcommands").arg("allkeys").arg("allchannels"))
        .await;

    let url = |password| format!("redis://tidings:{password}@127.0.0.1:{}", server.port());
    let mut node = Node::start(&url("s3cr%2Fet").parse().unwrap(), PATIENT);
    node.bus.watch(&price("USD")).await.unwrap();
    node.publish(&price("USD"), "opened").await;
    node.expect(&price("USD"), "opened").await;

    let mut stranger = Node::start(&url("wrong").parse().unwrap(), PATIENT);
    assert_eq!(stranger.next().await, Message::Lost);
}

#[tokio::test]
async fn a_redis_that_forbids_publishing_is_still_listened_to() {
    let server = RedisServer::start().await;
    let mut acl = redis::cmd("ACL");
    acl.arg("SETUSER").arg("reader").arg("on").arg(">pass");
    acl.arg("allcommands").arg("-publish").arg("allchannels");
    let _: () = server.run(&acl).await;
    let settings = SHIPPED.replace("1s", "300ms").replace("500ms", "100ms");
    let url = format!("redis://reader:pass@127.0.0.1:{}", server.port());
    let mut node = Node::start(&url.parse().unwrap(), &settings);
    node.bus.watch(&price("USD")).await.unwrap();
    // Long enough for every canary to be missed.
    tokio::time::sleep(Duration::from_millis(1000)).await;
    assert_eq!(
        node.bus.publish(&price("USD"), "{}".into()).await,
        Err(Away)
    );
    let mut publish = redis::cmd("PUBLISH");
    let _: i64 = server
        .run(publish.arg("PRICE_UPDATE_USD").arg("still here"))
        .await;
    node.expect(&price("USD"), "still here").await;
}

/// A road whose end can be moved: connections that are open stay where they are.
async fn road_to(port: u16) -> (Url, Arc<AtomicU16>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("redis://{}", listener.local_addr().unwrap());
    let end = Arc::new(AtomicU16::new(port));
    let port = Arc::clone(&end);
    tokio::spawn(async move {
        while let Ok((mut here, _)) = listener.accept().await {
            let port = port.load(Ordering::SeqCst);
            tokio::spawn(async move {
                let mut there = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
                let _ = tokio::io::copy_bidirectional(&mut here, &mut there).await;
            });
        }
    });
    (url.parse().unwrap(), end)
}
