//! What is remembered: in one process, and in Redis.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use tidings::event::{InvoiceState, InvoiceStatus};
use tidings::redis_link::RedisLink;
use tidings::retained::{MemoryRetained, RedisRetained, Retained, RetainedConfig};
use tidings::topic::{PaymentHash, Topic};

use crate::redis_server::{RedisServer, SHIPPED, config, until};

macro_rules! in_every_memory {
    ($($sentence:ident),* $(,)?) => {
        mod memory {
            $(#[tokio::test] async fn $sentence() { super::$sentence(super::memory()).await; })*
        }
        mod redis {
            $(#[tokio::test] async fn $sentence() { super::$sentence(super::redis().await).await; })*
        }
    };
}

in_every_memory!(
    an_invoice_that_nobody_told_of_is_unknown,
    paid_stays_paid_whatever_is_told_later,
    expired_gives_way_to_paid_and_not_to_pending,
    what_a_later_message_leaves_out_stays_known,
    the_last_price_of_each_slot_is_remembered,
);

/// Who is told, and who is asked.
struct Subject {
    teller: Retained,
    asked: Retained,
    server: Option<RedisServer>,
}

fn memory() -> Subject {
    let retained = Retained::Memory(MemoryRetained::new(&month()));
    Subject {
        teller: retained.clone(),
        asked: retained,
        server: None,
    }
}

/// Two nodes: what the one is told, the other is asked.
async fn redis() -> Subject {
    let server = RedisServer::start().await;
    Subject {
        teller: node(&server, &month()),
        asked: node(&server, &month()),
        server: Some(server),
    }
}

fn node(server: &RedisServer, config: &RetainedConfig) -> Retained {
    Retained::Redis(RedisRetained::start(config, server.link()))
}

fn month() -> RetainedConfig {
    RetainedConfig {
        invoices: 1000,
        invoices_for: Duration::from_secs(30 * 24 * 3600),
        prices_for: Duration::from_secs(600),
        webhooks: 100,
        webhooks_bytes: 1 << 20,
        webhooks_for: Duration::from_secs(3600),
    }
}

impl Subject {
    /// Waits until all that was kept can be asked for: it is written in order.
    async fn settle(&self) {
        // Another one each time: one that was known before is no fence.
        static FENCES: AtomicU64 = AtomicU64::new(0);
        let number = FENCES.fetch_add(1, Ordering::Relaxed);
        let fence = InvoiceState {
            payment_hash: PaymentHash::parse(&format!("fe{number:062x}")).unwrap(),
            ..invoice("f", InvoiceStatus::Pending)
        };
        self.teller.keep_invoice(&fence);
        until("the fence is known", async || {
            self.asked.invoice(&fence.payment_hash).await.unwrap() == Some(fence.clone())
        })
        .await;
    }

    async fn status(&self, digit: &str) -> Option<InvoiceStatus> {
        self.settle().await;
        let state = self.asked.invoice(&hash(digit)).await.unwrap();
        state.map(|state| state.status)
    }

    async fn prices(&self) -> Vec<(String, usize, String)> {
        self.settle().await;
        prices(&self.asked).await
    }
}

async fn prices(retained: &Retained) -> Vec<(String, usize, String)> {
    let prices = retained.prices().await.unwrap().into_iter();
    let mut prices: Vec<_> = prices
        .map(|kept| {
            let body = String::from_utf8(kept.body.to_vec()).unwrap();
            (kept.topic.channel(), kept.slot, body)
        })
        .collect();
    prices.sort();
    prices
}

fn hash(digit: &str) -> PaymentHash {
    PaymentHash::parse(&digit.repeat(64)).unwrap()
}

fn invoice(digit: &str, status: InvoiceStatus) -> InvoiceState {
    InvoiceState {
        payment_hash: hash(digit),
        payment_request: None,
        payment_preimage: None,
        status,
    }
}

fn price(channel: &str) -> Topic {
    Topic::of_channel(channel).unwrap()
}

fn keep_price(retained: &Retained, channel: &str, slot: usize, body: &'static str) {
    retained.keep_price(&price(channel), slot, &Bytes::from_static(body.as_bytes()));
}

async fn an_invoice_that_nobody_told_of_is_unknown(subject: Subject) {
    assert_eq!(subject.status("a").await, None);
    assert_eq!(subject.asked.known_invoice(&hash("a")), None);
}

async fn paid_stays_paid_whatever_is_told_later(subject: Subject) {
    for status in [
        InvoiceStatus::Pending,
        InvoiceStatus::Paid,
        InvoiceStatus::Expired,
        InvoiceStatus::Pending,
    ] {
        subject.teller.keep_invoice(&invoice("a", status));
    }
    assert_eq!(subject.status("a").await, Some(InvoiceStatus::Paid));
    let known = subject.teller.known_invoice(&hash("a")).unwrap();
    assert_eq!(known.status, InvoiceStatus::Paid);
}

async fn expired_gives_way_to_paid_and_not_to_pending(subject: Subject) {
    let tell = |status| subject.teller.keep_invoice(&invoice("a", status));
    tell(InvoiceStatus::Pending);
    assert_eq!(subject.status("a").await, Some(InvoiceStatus::Pending));
    tell(InvoiceStatus::Expired);
    tell(InvoiceStatus::Pending);
    assert_eq!(subject.status("a").await, Some(InvoiceStatus::Expired));
    tell(InvoiceStatus::Paid);
    assert_eq!(subject.status("a").await, Some(InvoiceStatus::Paid));
}

async fn what_a_later_message_leaves_out_stays_known(subject: Subject) {
    let request = Some("lnbc1".to_owned());
    let preimage = Some("cd".repeat(32));
    subject.teller.keep_invoice(&InvoiceState {
        payment_request: request.clone(),
        ..invoice("a", InvoiceStatus::Pending)
    });
    subject.teller.keep_invoice(&InvoiceState {
        payment_preimage: preimage.clone(),
        ..invoice("a", InvoiceStatus::Paid)
    });
    subject
        .teller
        .keep_invoice(&invoice("a", InvoiceStatus::Paid));
    subject.settle().await;
    let whole = InvoiceState {
        payment_request: request,
        payment_preimage: preimage,
        ..invoice("a", InvoiceStatus::Paid)
    };
    assert_eq!(
        subject.asked.invoice(&hash("a")).await.unwrap(),
        Some(whole.clone())
    );
    // Who has asked knows.
    assert_eq!(subject.asked.known_invoice(&hash("a")), Some(whole));
}

async fn the_last_price_of_each_slot_is_remembered(subject: Subject) {
    assert_eq!(subject.prices().await, []);
    for (channel, slot, body) in [
        ("PRICE_UPDATE_USD", 0, "1"),
        ("PRICE_UPDATE_USD", 0, "2"),
        ("USER_PRICE_UPDATE_USD", 0, "3"),
        ("USER_PRICE_UPDATE_USD", 1, "4"),
        ("PRICE_UPDATE_EUR", 0, "5"),
    ] {
        keep_price(&subject.teller, channel, slot, body);
    }
    let expected = [
        ("PRICE_UPDATE_EUR", 0, "5"),
        ("PRICE_UPDATE_USD", 0, "2"),
        ("USER_PRICE_UPDATE_USD", 0, "3"),
        ("USER_PRICE_UPDATE_USD", 1, "4"),
    ]
    .map(|(channel, slot, body)| (channel.to_owned(), slot, body.to_owned()));
    assert_eq!(subject.prices().await, expected);
    assert_eq!(subject.teller.dropped(), 0);
}

#[tokio::test]
async fn nothing_stays_in_redis_for_ever() {
    let subject = redis().await;
    let server = subject.server.as_ref().unwrap();
    keep_price(&subject.teller, "PRICE_UPDATE_USD", 0, "1");
    subject
        .teller
        .keep_invoice(&invoice("a", InvoiceStatus::Pending));
    subject.settle().await;

    let keys: Vec<String> = server.run(::redis::cmd("KEYS").arg("*")).await;
    assert_eq!(keys.len(), 4, "{keys:?}");
    let minute = 60;
    for (key, seconds) in [
        (
            format!("tidings:invoice:{}", hash("a")),
            30 * 24 * 60 * minute,
        ),
        (
            "tidings:retained:PRICE_UPDATE_USD:0".to_owned(),
            10 * minute,
        ),
        ("tidings:retained".to_owned(), 10 * minute),
    ] {
        let life: i64 = server.run(::redis::cmd("TTL").arg(&key)).await;
        assert!(
            (seconds - minute..=seconds).contains(&life),
            "{key}: {life}"
        );
    }
}

#[tokio::test]
async fn what_two_nodes_are_told_is_one_story() {
    let subject = redis().await;
    let (one, two) = (&subject.teller, &subject.asked);
    one.keep_invoice(&InvoiceState {
        payment_request: Some("lnbc1".to_owned()),
        ..invoice("a", InvoiceStatus::Pending)
    });
    two.keep_invoice(&InvoiceState {
        payment_preimage: Some("cd".repeat(32)),
        ..invoice("a", InvoiceStatus::Paid)
    });
    let whole = InvoiceState {
        payment_request: Some("lnbc1".to_owned()),
        payment_preimage: Some("cd".repeat(32)),
        ..invoice("a", InvoiceStatus::Paid)
    };
    for node in [one, two] {
        until("it knows both halves", async || {
            node.invoice(&hash("a")).await.unwrap() == Some(whole.clone())
        })
        .await;
    }
}

#[tokio::test]
async fn while_redis_is_away_a_node_knows_what_it_was_told_and_tells_it_afterwards() {
    let mut server = RedisServer::start().await;
    let one = node(&server, &month());
    let two = node(&server, &month());
    assert_eq!(two.invoice(&hash("b")).await.unwrap(), None);
    server.kill();

    let paid = invoice("a", InvoiceStatus::Paid);
    one.keep_invoice(&paid);
    keep_price(&one, "PRICE_UPDATE_USD", 0, "1");
    let known = one.invoice(&hash("a")).await.unwrap();
    assert_eq!(known, Some(paid.clone()));
    assert_eq!(prices(&one).await.len(), 1);
    two.invoice(&hash("a")).await.unwrap_err();
    two.prices().await.unwrap_err();

    server.restart().await;
    until("the other node knows", async || {
        matches!(two.invoice(&hash("a")).await, Ok(Some(state)) if state == paid)
            && matches!(two.prices().await, Ok(prices) if prices.len() == 1)
    })
    .await;
}

#[tokio::test]
async fn after_a_gap_the_younger_price_counts() {
    let subject = redis().await;
    let (one, two) = (&subject.teller, &subject.asked);
    keep_price(two, "PRICE_UPDATE_USD", 0, "old");
    until("the old price is stored", async || {
        prices(one).await.len() == 1
    })
    .await;
    // Ages are told apart by the millisecond.
    tokio::time::sleep(Duration::from_millis(20)).await;
    keep_price(one, "PRICE_UPDATE_USD", 0, "new");
    until("both know the new one", async || {
        prices(one).await == prices(two).await
    })
    .await;
    let new = ("PRICE_UPDATE_USD".to_owned(), 0, "new".to_owned());
    assert_eq!(prices(two).await, [new]);
}

#[tokio::test]
async fn a_price_is_not_served_longer_than_it_may() {
    let config = RetainedConfig {
        prices_for: Duration::from_millis(300),
        webhooks: 100,
        webhooks_bytes: 1 << 20,
        webhooks_for: Duration::from_secs(3600),
        ..month()
    };
    let server = RedisServer::start().await;
    let (one, two) = (node(&server, &config), node(&server, &config));
    let alone = Retained::Memory(MemoryRetained::new(&config));
    for retained in [&one, &alone] {
        keep_price(retained, "PRICE_UPDATE_USD", 0, "1");
        assert_eq!(prices(retained).await.len(), 1);
    }
    for retained in [&one, &two, &alone] {
        until("it is forgotten", async || {
            prices(retained).await.is_empty()
        })
        .await;
    }
}

#[tokio::test]
async fn a_memory_that_is_full_takes_what_is_new() {
    let config = RetainedConfig {
        invoices: 10,
        ..month()
    };
    let retained = Retained::Memory(MemoryRetained::new(&config));
    for number in 0..1000 {
        let hash = PaymentHash::parse(&format!("{number:064x}")).unwrap();
        retained.keep_invoice(&InvoiceState {
            payment_hash: hash.clone(),
            ..invoice("a", InvoiceStatus::Paid)
        });
        assert!(retained.known_invoice(&hash).is_some(), "{number}");
    }
}

#[tokio::test]
async fn what_cannot_be_written_is_counted() {
    let server = RedisServer::absent(&[]);
    let link = RedisLink::new(&server.url(), &config(SHIPPED)).unwrap();
    let retained = Retained::Redis(RedisRetained::start(&month(), link));
    for _ in 0..10_000 {
        retained.keep_invoice(&invoice("a", InvoiceStatus::Pending));
    }
    assert!(retained.dropped() >= 5000, "{}", retained.dropped());
}
