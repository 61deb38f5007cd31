//! What is true of every bus: the same tests for each.

use std::time::Duration;

use bytes::Bytes;
use tidings::bus::{Bus, Inbox, MemoryBus, Message, RedisBus};
use tidings::topic::Topic;
use tokio::time::timeout;

use crate::redis_server::{PATIENT, RedisServer, config};

macro_rules! on_every_bus {
    ($($sentence:ident),* $(,)?) => {
        mod memory {
            $(#[tokio::test] async fn $sentence() { super::$sentence(super::memory()).await; })*
        }
        mod redis {
            $(#[tokio::test] async fn $sentence() { super::$sentence(super::redis().await).await; })*
        }
    };
}

on_every_bus!(
    what_is_published_on_a_watched_topic_arrives_once_and_in_order,
    what_is_published_after_watch_has_returned_arrives,
    what_was_published_before_watch_does_not_arrive,
    what_is_published_after_a_release_does_not_arrive,
    a_topic_that_is_watched_twice_is_released_once,
    a_topic_that_is_released_and_watched_again_arrives,
    invoices_arrive_though_nobody_watches_them,
    invoices_arrive_once_though_somebody_watches_and_releases_them,
    a_body_is_not_touched,
    the_inbox_ends_with_the_bus,
);

struct Subject {
    bus: Bus,
    inbox: Inbox,
    _server: Option<RedisServer>,
}

fn memory() -> Subject {
    let (bus, inbox) = MemoryBus::new();
    Subject {
        bus: Bus::Memory(bus),
        inbox,
        _server: None,
    }
}

async fn redis() -> Subject {
    let server = RedisServer::start().await;
    let (bus, inbox) = RedisBus::start(config(PATIENT), server.link());
    Subject {
        bus: Bus::Redis(bus),
        inbox,
        _server: Some(server),
    }
}

impl Subject {
    async fn publish(&self, topic: &Topic, body: &str) {
        let body = Bytes::copy_from_slice(body.as_bytes());
        self.bus.publish(topic, body).await.expect("the bus is up");
    }

    async fn watch(&self, topic: &Topic) {
        self.bus.watch(topic).await.expect("the bus is up");
    }

    /// The next body, and its topic.
    async fn next(&mut self) -> (Topic, String) {
        let message = timeout(Duration::from_secs(20), self.inbox.next()).await;
        match message.expect("something arrives") {
            Some(Message::Payload { topic, body }) => (
                topic,
                String::from_utf8(body.to_vec()).expect("bodies of this test are text"),
            ),
            other => panic!("{other:?}"),
        }
    }

    async fn expect(&mut self, topic: &Topic, body: &str) {
        assert_eq!(self.next().await, (topic.clone(), body.to_owned()));
    }

    /// Says that nothing is under way: what is published last arrives first.
    async fn expect_nothing_else(&mut self) {
        let fence = topic("PRICE_UPDATE_XTS");
        self.watch(&fence).await;
        self.publish(&fence, "fence").await;
        self.expect(&fence, "fence").await;
        self.bus.release(&fence);
    }
}

fn topic(channel: &str) -> Topic {
    Topic::of_channel(channel).expect("a topic's channel")
}

fn account() -> Topic {
    topic("ACCOUNT_UPDATE_21087d73-28c9-4d1f-9b0c-1a2b3c4d5e6f")
}

fn invoice(digit: &str) -> Topic {
    topic(&format!("LN_PAYMENT_STATUS_{}", digit.repeat(64)))
}

async fn what_is_published_on_a_watched_topic_arrives_once_and_in_order(mut subject: Subject) {
    let topics = [topic("PRICE_UPDATE_USD"), account(), invoice("a")];
    for topic in &topics {
        subject.watch(topic).await;
    }
    for number in 0..300 {
        for topic in &topics {
            subject.publish(topic, &number.to_string()).await;
        }
    }
    let mut heard = std::collections::HashMap::<Topic, Vec<String>>::new();
    for _ in 0..900 {
        let (topic, body) = subject.next().await;
        heard.entry(topic).or_default().push(body);
    }
    let published: Vec<_> = (0..300).map(|number: i32| number.to_string()).collect();
    for topic in &topics {
        assert_eq!(heard.get(topic), Some(&published), "{topic}");
    }
    subject.expect_nothing_else().await;
}

async fn what_is_published_after_watch_has_returned_arrives(mut subject: Subject) {
    for number in 0..50 {
        let topic = topic(&format!("PRICE_UPDATE_X{number:02}"));
        subject.watch(&topic).await;
        subject.publish(&topic, "at once").await;
        subject.expect(&topic, "at once").await;
    }
}

async fn what_was_published_before_watch_does_not_arrive(mut subject: Subject) {
    let price = topic("PRICE_UPDATE_USD");
    subject.publish(&price, "early").await;
    subject.watch(&price).await;
    subject.expect_nothing_else().await;
}

async fn what_is_published_after_a_release_does_not_arrive(mut subject: Subject) {
    let (price, other) = (topic("PRICE_UPDATE_USD"), topic("PRICE_UPDATE_EUR"));
    subject.watch(&price).await;
    subject.bus.release(&price);
    // `release` returns at once; what is watched after it is watched when it is done.
    subject.watch(&other).await;
    subject.publish(&price, "late").await;
    subject.expect_nothing_else().await;
}

async fn a_topic_that_is_watched_twice_is_released_once(mut subject: Subject) {
    let (price, other) = (topic("PRICE_UPDATE_USD"), topic("PRICE_UPDATE_EUR"));
    subject.watch(&price).await;
    subject.watch(&price).await;
    subject.publish(&price, "one").await;
    subject.expect(&price, "one").await;
    subject.bus.release(&price);
    subject.watch(&other).await;
    subject.publish(&price, "late").await;
    subject.expect_nothing_else().await;
}

async fn a_topic_that_is_released_and_watched_again_arrives(mut subject: Subject) {
    let price = topic("PRICE_UPDATE_USD");
    for _ in 0..50 {
        subject.watch(&price).await;
        subject.bus.release(&price);
        subject.watch(&price).await;
        subject.publish(&price, "still here").await;
        subject.expect(&price, "still here").await;
        subject.bus.release(&price);
    }
}

async fn invoices_arrive_though_nobody_watches_them(mut subject: Subject) {
    // Any watch: it says that the bus is up.
    subject.watch(&account()).await;
    subject.publish(&invoice("b"), "paid").await;
    subject.expect(&invoice("b"), "paid").await;
}

async fn invoices_arrive_once_though_somebody_watches_and_releases_them(mut subject: Subject) {
    subject.watch(&invoice("c")).await;
    subject.publish(&invoice("c"), "pending").await;
    subject.expect(&invoice("c"), "pending").await;
    subject.bus.release(&invoice("c"));
    subject.publish(&invoice("c"), "paid").await;
    subject.expect(&invoice("c"), "paid").await;
    subject.expect_nothing_else().await;
}

async fn a_body_is_not_touched(mut subject: Subject) {
    let body = Bytes::from_static(b"\r\n\0\xff*3\r\n$7\r\n");
    let topic = account();
    subject.watch(&topic).await;
    subject.bus.publish(&topic, body.clone()).await.unwrap();
    assert_eq!(
        subject.inbox.next().await,
        Some(Message::Payload { topic, body })
    );
}

async fn the_inbox_ends_with_the_bus(subject: Subject) {
    let Subject { bus, mut inbox, .. } = subject;
    bus.watch(&account()).await.unwrap();
    assert!(bus.is_up());
    drop(bus);
    assert_eq!(inbox.next().await, None);
}
