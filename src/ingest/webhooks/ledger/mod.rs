//! The book of what was taken in: the one step that counts, keeps, remembers and tells.
//!
//! What is true of every ledger, and held by `tests/it/websocks`:
//!
//! * Of any number of deliveries at once, on any number of nodes, exactly as many are taken as the limit lets.
//! * A delivery whose idempotency key was entered within the window is not entered again; one that was refused
//!   or failed was not entered.
//! * Ids grow in the order in which the webhooks of an account are told.
//! * What was counted stays counted when the process ends.

mod embedded;
mod redis;

pub use self::embedded::EmbeddedLedger;
pub use self::redis::RedisLedger;

use std::num::NonZeroUsize;
use std::time::Duration;

use uuid::Uuid;

use super::Month;
use super::idempotency::IdempotencyKey;
use crate::channels::websocks::WebsocksConfig;
use crate::event::WebhookId;
use crate::redis_link::Unavailable;
use crate::topic::AccountId;

/// Takes webhooks in, one after the other.
pub enum Ledger {
    /// Of the one process that there is.
    Embedded(EmbeddedLedger),
    /// That of all nodes.
    Redis(RedisLedger),
}

/// How long idempotency keys are known, and how many of one endpoint.
#[derive(Clone, Copy, Debug)]
pub struct Rules {
    pub window: Duration,
    pub keys: NonZeroUsize,
}

/// A webhook that is to be taken in.
#[derive(Debug)]
pub(super) struct Delivery {
    pub(super) endpoint: Uuid,
    pub(super) account: AccountId,
    pub(super) month: Month,
    /// How many of this account may be taken in this month.
    pub(super) limit: Option<u64>,
    pub(super) key: Option<IdempotencyKey>,
    /// JSON.
    pub(super) payload: String,
}

/// What became of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Entered {
    New(WebhookId),
    /// It was entered before, under this id.
    Before(WebhookId),
    OverLimit,
}

/// Why nothing was entered, or nobody knows whether it was.
#[derive(Debug, thiserror::Error)]
pub enum LedgerError {
    #[error(transparent)]
    Sqlite(#[from] rusqlite::Error),
    #[error(transparent)]
    Redis(#[from] Unavailable),
    #[error(transparent)]
    Bus(#[from] crate::bus::Away),
    #[error("webhooks.db was made by a newer tidings")]
    Newer,
    #[error("an id is not one of a webhook: {0:?}")]
    StrangeId(String),
}

/// For how long it is known how much was taken in, for whoever writes bills.
const MONTHS: i32 = 13;

impl Rules {
    pub fn of(config: &WebsocksConfig) -> Self {
        Rules {
            window: config.idempotency_window,
            keys: config.idempotency_keys,
        }
    }
}

impl Ledger {
    /// Takes a webhook in, or says why not. It is done whole, or not at all, whether or not anybody waits
    /// for the answer.
    pub(super) async fn enter(&self, delivery: Delivery) -> Result<Entered, LedgerError> {
        match self {
            Ledger::Embedded(ledger) => ledger.enter(delivery).await,
            Ledger::Redis(ledger) => ledger.enter(delivery).await,
        }
    }

    /// What [`Ledger::enter`] would go by: the id under which a key was entered, and how many webhooks the
    /// account has had.
    pub(super) async fn look_up(
        &self,
        endpoint: Uuid,
        key: Option<IdempotencyKey>,
        account: AccountId,
        month: Month,
    ) -> Result<(Option<WebhookId>, u64), LedgerError> {
        let before = match (self, key) {
            (_, None) => None,
            (Ledger::Embedded(ledger), Some(key)) => ledger.before(endpoint, key).await?,
            (Ledger::Redis(ledger), Some(key)) => ledger.before(endpoint, key).await?,
        };
        Ok((before, self.used(account, month).await?))
    }

    /// How many webhooks of an account were taken in in a month.
    pub(super) async fn used(&self, account: AccountId, month: Month) -> Result<u64, LedgerError> {
        match self {
            Ledger::Embedded(ledger) => ledger.used(account, month).await,
            Ledger::Redis(ledger) => ledger.used(account, month).await,
        }
    }
}

fn read_id(text: String) -> Result<WebhookId, LedgerError> {
    WebhookId::parse(&text).ok_or(LedgerError::StrangeId(text))
}
