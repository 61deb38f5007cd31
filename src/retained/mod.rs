//! What is remembered for those who ask later: the last prices, what became of invoices, and the last webhooks.
//!
//! A bus tells what happens now. Who subscribes to a price wants the last one at once, and who asks
//! for an invoice that was paid while nobody listened wants to know that. What is true of every kind
//! of memory, and held by `tests/it/retained.rs`:
//!
//! * Nothing here waits to be written: `keep_…` returns at once. What cannot be remembered is
//!   counted ([`Retained::dropped`]).
//! * An invoice only ever goes forward: pending, expired, paid. What is told late, twice, or by
//!   several nodes at the same time ends up the same, in whatever order it comes. A request or a
//!   preimage that is known stays known when a later message leaves it out.
//! * A price is remembered for a while, and not a moment longer: a stale price is worse than none.

mod history;
mod memory;
mod redis;

pub use self::memory::MemoryRetained;
pub(crate) use self::redis::HistoryKeys;
pub use self::redis::RedisRetained;

use std::time::Duration;

use bytes::Bytes;
use serde::Deserialize;

use crate::event::InvoiceState;
use crate::redis_link::Unavailable;
use crate::topic::{AccountId, PaymentHash, Topic};

/// `[retained]`: how much is remembered, and how long.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RetainedConfig {
    /// Invoices in the memory of this process. Over the limit the one that was not asked for
    /// longest is forgotten; in Redis the time alone decides.
    pub invoices: usize,
    /// How long an invoice is remembered after the last news of it.
    #[serde(with = "humantime_serde")]
    pub invoices_for: Duration,
    /// How long a price is served after it was published.
    #[serde(with = "humantime_serde")]
    pub prices_for: Duration,
    /// Webhooks of one account,
    pub webhooks: usize,
    /// their bytes,
    pub webhooks_bytes: usize,
    /// and how long.
    #[serde(with = "humantime_serde")]
    pub webhooks_for: Duration,
}

/// The last price of a topic's slot, as it was published.
#[derive(Clone, Debug)]
pub struct KeptPrice {
    pub topic: Topic,
    pub slot: usize,
    pub body: Bytes,
    /// How long ago it was published.
    pub age: Duration,
}

/// Remembers prices, invoices and webhooks.
#[derive(Clone)]
pub enum Retained {
    /// In this process, until it ends.
    Memory(MemoryRetained),
    /// In Redis, for all nodes; with a memory of this process in front.
    Redis(RedisRetained),
}

impl Retained {
    /// Remembers the body of a price, as it was published, in the place of the last one in its slot
    /// (see [`Event::slot`](crate::event::Event::slot)). The topic is one of prices.
    pub fn keep_price(&self, topic: &Topic, slot: usize, body: &Bytes) {
        match self {
            Retained::Memory(retained) => retained.keep_price(topic, slot, body),
            Retained::Redis(retained) => retained.keep_price(topic, slot, body),
        }
    }

    /// All prices that are remembered. Who starts reads them, and who missed something.
    pub async fn prices(&self) -> Result<Vec<KeptPrice>, Unavailable> {
        match self {
            Retained::Memory(retained) => Ok(retained.prices()),
            Retained::Redis(retained) => retained.prices().await,
        }
    }

    /// Remembers what was told of an invoice, together with what was known of it.
    pub fn keep_invoice(&self, state: &InvoiceState) {
        match self {
            Retained::Memory(retained) => {
                retained.keep_invoice(state);
            }
            Retained::Redis(retained) => retained.keep_invoice(state),
        }
    }

    /// What is known of an invoice, by any node. While Redis is away only what cannot change is told:
    /// that it is paid, if this process knows. [`Unavailable`] says that nobody can know.
    pub async fn invoice(&self, hash: &PaymentHash) -> Result<Option<InvoiceState>, Unavailable> {
        match self {
            Retained::Memory(retained) => Ok(retained.invoice(hash)),
            Retained::Redis(retained) => retained.invoice(hash).await,
        }
    }

    /// What this process knows of an invoice, without a wait.
    pub fn known_invoice(&self, hash: &PaymentHash) -> Option<InvoiceState> {
        match self {
            Retained::Memory(retained) => retained.invoice(hash),
            Retained::Redis(retained) => retained.known_invoice(hash),
        }
    }

    /// The webhooks of an account that are remembered, as they went over the bus, the oldest first. They are
    /// kept by whoever takes them in ([`ingest::webhooks`](crate::ingest::webhooks)), as a part of that.
    pub async fn webhooks(&self, owner: AccountId) -> Result<Vec<Bytes>, Unavailable> {
        match self {
            Retained::Memory(retained) => Ok(retained.webhooks(owner)),
            Retained::Redis(retained) => retained.webhooks(owner).await,
        }
    }

    /// How often something could not be remembered for the other nodes.
    pub fn dropped(&self) -> u64 {
        match self {
            Retained::Memory(_) => 0,
            Retained::Redis(retained) => retained.dropped(),
        }
    }
}

/// What is known of an invoice when `told` has been told, too. Money that has arrived outweighs a
/// clock that has run out, and both outweigh hope.
pub fn merged(known: Option<InvoiceState>, told: &InvoiceState) -> InvoiceState {
    let Some(known) = known else {
        return told.clone();
    };
    InvoiceState {
        payment_hash: known.payment_hash,
        payment_request: told.payment_request.clone().or(known.payment_request),
        payment_preimage: told.payment_preimage.clone().or(known.payment_preimage),
        status: told.status.max(known.status),
    }
}
