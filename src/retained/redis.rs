//! What all nodes remember together.
//!
//! | key | is | lives |
//! |---|---|---|
//! | `tidings:invoice:<hash>` | a hash: `request`, `preimage`, and for each of `Pending`, `Expired` and `Paid` that was told, when that was first (Unix time in ms) | `invoices_for` after the last news |
//! | `tidings:retained:<channel>:<slot>` | the body of a price | `prices_for` after it was kept |
//! | `tidings:retained` | a set: the names `<channel>:<slot>` | as long as the youngest of them |
//! | `tidings:history:<account>` | a stream: the bodies of webhooks | `webhooks_for` after the last |
//! | `tidings:history:<account>:sizes` | a list: the id and the bytes of each of them | as long |
//! | `tidings:history:<account>:bytes` | the sum of these bytes | as long |
//!
//! An invoice has a field for each status that it had, and the furthest of them is its status. So
//! several nodes merge what they were told by writing it: no field is ever written over with less,
//! without a script, a transaction that must be tried again, or a lock.
//!
//! Prices are keys of their own, because Redis can let a key expire by its own clock: no two nodes'
//! clocks are compared. A name stays in the set when its price is gone; there are only so many
//! currencies, and the set goes with the last of them.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;
use redis::{Pipeline, cmd};
use tokio::sync::mpsc;
use tokio::time::sleep;
use tracing::warn;

use super::memory::{MemoryRetained, PRICES, Price};
use super::{KeptPrice, RetainedConfig};
use crate::event::{InvoiceState, InvoiceStatus, Webhook, WebhookId};
use crate::redis_link::{RedisLink, Unavailable};
use crate::topic::{AccountId, PaymentHash, Topic};

/// Remembers in Redis. Cheap to clone.
#[derive(Clone)]
pub struct RedisRetained {
    memory: MemoryRetained,
    link: RedisLink,
    prices_for: Duration,
    queue: mpsc::Sender<Kept>,
    dropped: Arc<AtomicU64>,
}

/// Something to be written.
enum Kept {
    Price {
        topic: Topic,
        slot: usize,
        price: Price,
    },
    Invoice(InvoiceState),
}

/// What may wait to be written. While Redis is away it waits; when it is full, what is new stays in
/// this process's memory alone, and is counted.
const WRITES: usize = 4096;

/// What is written in one go.
const BATCH: usize = 64;

const INVOICE: &str = "tidings:invoice";
const RETAINED: &str = "tidings:retained";

impl RedisRetained {
    /// Remembers in the Redis that `link` leads to, and starts the task that writes there.
    pub fn start(config: &RetainedConfig, link: RedisLink) -> Self {
        let (queue, kept) = mpsc::channel(WRITES);
        let dropped = Arc::new(AtomicU64::new(0));
        let writer = Writer {
            link: link.clone(),
            config: config.clone(),
            kept,
            dropped: Arc::clone(&dropped),
        };
        // Ends when the last sender is gone and what it sent is written.
        tokio::spawn(writer.run());
        RedisRetained {
            memory: MemoryRetained::new(config),
            link,
            prices_for: config.prices_for,
            queue,
            dropped,
        }
    }

    pub(super) fn keep_price(&self, topic: &Topic, slot: usize, body: &Bytes) {
        self.memory.keep_price(topic, slot, body);
        let price = Price {
            body: body.clone(),
            kept: Instant::now(),
        };
        self.write(Kept::Price {
            topic: topic.clone(),
            slot,
            price,
        });
    }

    /// Of a price that both this process and Redis know, the younger one: after a gap that is what
    /// other nodes kept, and while our own writes are under way it is ours.
    pub(super) async fn prices(&self) -> Result<Vec<KeptPrice>, Unavailable> {
        let mut prices: HashMap<_, _> = self
            .memory
            .kept_prices()
            .map(|(key, price)| (key, (price.kept.elapsed(), price.body)))
            .collect();
        match self.stored_prices().await {
            Ok(stored) => {
                for (key, age, body) in stored {
                    if prices.get(&key).is_none_or(|(known, _)| age <= *known) {
                        prices.insert(key, (age, body));
                    }
                }
            }
            Err(unavailable) if prices.is_empty() => return Err(unavailable),
            Err(_) => {}
        }
        let prices = prices.into_iter();
        Ok(prices
            .map(|((topic, slot), (age, body))| KeptPrice {
                topic,
                slot,
                body,
                age,
            })
            .collect())
    }

    pub(super) fn keep_invoice(&self, told: &InvoiceState) {
        self.memory.keep_invoice(told);
        self.write(Kept::Invoice(told.clone()));
    }

    /// Asks Redis unless nothing can be added to what this process knows.
    pub(super) async fn invoice(
        &self,
        hash: &PaymentHash,
    ) -> Result<Option<InvoiceState>, Unavailable> {
        let known = self.memory.invoice(hash);
        if known.as_ref().is_some_and(is_complete) {
            return Ok(known);
        }
        match self.stored_invoice(hash).await {
            Ok(Some(stored)) => Ok(Some(self.memory.keep_invoice(&stored))),
            Ok(None) => Ok(known),
            // Nothing follows on a payment. Of all else somebody may know more by now.
            Err(_) if known.as_ref().is_some_and(is_paid) => Ok(known),
            Err(unavailable) => Err(unavailable),
        }
    }

    pub(super) async fn webhooks(&self, owner: AccountId) -> Result<Vec<Bytes>, Unavailable> {
        let mut range = cmd("XRANGE");
        range.arg(HistoryKeys::of(owner).bodies).arg("-").arg("+");
        let kept: Vec<(String, (String, String))> = self.link.run(&range).await?;
        let bodies = kept.into_iter().filter_map(|(id, (_, payload))| {
            let id = WebhookId::parse(&id)?;
            Some(Webhook::body(id, &payload).into())
        });
        Ok(bodies.collect())
    }

    pub(super) fn known_invoice(&self, hash: &PaymentHash) -> Option<InvoiceState> {
        self.memory.invoice(hash)
    }

    pub(super) fn dropped(&self) -> u64 {
        self.dropped.load(Ordering::Relaxed)
    }

    fn write(&self, kept: Kept) {
        if self.queue.try_send(kept).is_err() {
            count_dropped(&self.dropped, 1, "redis does not keep up");
        }
    }

    async fn stored_prices(&self) -> Result<Vec<((Topic, usize), Duration, Bytes)>, Unavailable> {
        let names: Vec<String> = self.link.run(cmd("SMEMBERS").arg(RETAINED)).await?;
        let keys: Vec<_> = names
            .iter()
            .filter_map(|name| {
                let (channel, slot) = name.rsplit_once(':')?;
                Some((Topic::of_channel(channel)?, slot.parse().ok()?))
            })
            .take(PRICES)
            .collect();
        if keys.is_empty() {
            return Ok(Vec::new());
        }
        let mut bodies = cmd("MGET");
        let mut lives = redis::pipe();
        for (topic, slot) in &keys {
            let key = price_key(topic, *slot);
            bodies.arg(&key);
            lives.cmd("PTTL").arg(key);
        }
        // The bodies first: one that expires after them is told with no life left.
        let bodies: Vec<Option<Vec<u8>>> = self.link.run(&bodies).await?;
        let lives: Vec<i64> = self.link.run_all(&lives).await?;
        let prices = keys.into_iter().zip(bodies).zip(lives);
        Ok(prices
            .filter_map(|((key, body), life)| {
                let life = Duration::from_millis(u64::try_from(life).ok()?);
                Some((key, self.prices_for.saturating_sub(life), body?.into()))
            })
            .collect())
    }

    async fn stored_invoice(
        &self,
        hash: &PaymentHash,
    ) -> Result<Option<InvoiceState>, Unavailable> {
        let mut read = cmd("HMGET");
        read.arg(invoice_key(hash)).arg("request").arg("preimage");
        for status in STATUSES {
            read.arg(status.as_str());
        }
        type Text = Option<String>;
        let (request, preimage, pending, expired, paid): (Text, Text, Text, Text, Text) =
            self.link.run(&read).await?;
        let had = STATUSES.into_iter().zip([pending, expired, paid]);
        let status = had
            .filter_map(|(status, since)| since.map(|_| status))
            .max();
        Ok(status.map(|status| InvoiceState {
            payment_hash: hash.clone(),
            payment_request: request,
            payment_preimage: preimage,
            status,
        }))
    }
}

/// Where the webhooks of one account are.
pub(crate) struct HistoryKeys {
    pub(crate) bodies: String,
    pub(crate) sizes: String,
    pub(crate) bytes: String,
}

impl HistoryKeys {
    pub(crate) fn of(owner: AccountId) -> Self {
        let bodies = format!("tidings:history:{owner}");
        HistoryKeys {
            sizes: format!("{bodies}:sizes"),
            bytes: format!("{bodies}:bytes"),
            bodies,
        }
    }
}

const STATUSES: [InvoiceStatus; 3] = [
    InvoiceStatus::Pending,
    InvoiceStatus::Expired,
    InvoiceStatus::Paid,
];

/// Whether nothing that is told later changes it.
fn is_paid(state: &InvoiceState) -> bool {
    state.status == InvoiceStatus::Paid
}

fn is_complete(state: &InvoiceState) -> bool {
    is_paid(state) && state.payment_request.is_some() && state.payment_preimage.is_some()
}

fn invoice_key(hash: &PaymentHash) -> String {
    format!("{INVOICE}:{hash}")
}

fn price_name(topic: &Topic, slot: usize) -> String {
    format!("{topic}:{slot}")
}

fn price_key(topic: &Topic, slot: usize) -> String {
    format!("{RETAINED}:{}", price_name(topic, slot))
}

/// Says so the first, second, fourth, eighth … time: an outage fills no log.
fn count_dropped(dropped: &AtomicU64, more: u64, reason: &str) {
    let before = dropped.fetch_add(more, Ordering::Relaxed);
    let now = before + more;
    if before.checked_ilog2() != now.checked_ilog2() {
        warn!(
            dropped = now,
            "not remembered for the other nodes: {reason}"
        );
    }
}

/// Writes what is kept, in order, and tries again while Redis is away.
struct Writer {
    link: RedisLink,
    config: RetainedConfig,
    kept: mpsc::Receiver<Kept>,
    dropped: Arc<AtomicU64>,
}

impl Writer {
    async fn run(mut self) {
        let mut batch = Vec::with_capacity(BATCH);
        while self.kept.recv_many(&mut batch, BATCH).await > 0 {
            self.write(&batch).await;
            batch.clear();
        }
    }

    /// All of it may be written twice: it says the same again.
    async fn write(&self, batch: &[Kept]) {
        let mut backoff = self.link.backoff();
        loop {
            match self.link.run_all::<()>(&self.words(batch)).await {
                Ok(()) => return,
                Err(Unavailable::Refused(error)) => {
                    let reason = format!("redis refused: {error}");
                    return count_dropped(&self.dropped, batch.len() as u64, &reason);
                }
                // Nobody is left who would wait for it.
                Err(_) if self.kept.is_closed() => return,
                Err(_) => sleep(backoff.next_pause()).await,
            }
        }
    }

    /// Made anew for each attempt: a price has grown older meanwhile.
    fn words(&self, batch: &[Kept]) -> Pipeline {
        let mut words = redis::pipe();
        // Together, so that nothing stays without an end.
        words.atomic();
        for kept in batch {
            match kept {
                Kept::Price { topic, slot, price } => self.price(&mut words, topic, *slot, price),
                Kept::Invoice(told) => self.invoice(&mut words, told),
            }
        }
        words
    }

    fn price(&self, words: &mut Pipeline, topic: &Topic, slot: usize, price: &Price) {
        let life = self.config.prices_for.saturating_sub(price.kept.elapsed());
        let life = millis(life);
        if life == 0 {
            return;
        }
        words
            .cmd("SET")
            .arg(price_key(topic, slot))
            .arg(&price.body[..])
            .arg("PX")
            .arg(life)
            .ignore();
        words
            .cmd("SADD")
            .arg(RETAINED)
            .arg(price_name(topic, slot))
            .ignore();
        let longest = millis(self.config.prices_for);
        words.cmd("PEXPIRE").arg(RETAINED).arg(longest).ignore();
    }

    fn invoice(&self, words: &mut Pipeline, told: &InvoiceState) {
        let key = invoice_key(&told.payment_hash);
        let now = jiff::Timestamp::now().as_millisecond();
        words
            .cmd("HSETNX")
            .arg(&key)
            .arg(told.status.as_str())
            .arg(now)
            .ignore();
        for (field, text) in [
            ("request", &told.payment_request),
            ("preimage", &told.payment_preimage),
        ] {
            if let Some(text) = text {
                words.cmd("HSET").arg(&key).arg(field).arg(text).ignore();
            }
        }
        let life = millis(self.config.invoices_for);
        words.cmd("PEXPIRE").arg(key).arg(life).ignore();
    }
}

fn millis(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}
