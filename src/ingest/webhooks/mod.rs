//! Webhooks: taken in over HTTP, counted, and told to the clients of their account.
//!
//! What a delivery is refused for is looked at in this order; a client sees the first that holds:
//!
//! 1. its slug is nobody's;
//! 2. it comes from a network that its endpoint does not allow;
//! 3. its body is too long (that is looked at where it is read);
//! 4. its signature is not its sender's;
//! 5. it was taken before: then it is acknowledged again, and neither counted nor told;
//! 6. its account has had as many this month as it may;
//! 7. its body is not JSON.
//!
//! What is left is taken in by one step that nothing comes between ([`Ledger`]): it is counted, kept for who
//! comes back, remembered as taken and told. Nothing is counted that is refused, and nothing is remembered as
//! taken that failed.

mod idempotency;
mod ledger;
mod month;

pub use self::ledger::{EmbeddedLedger, Ledger, LedgerError, RedisLedger, Rules};
pub use self::month::Month;

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::http::HeaderMap;
use bytes::Bytes;
use jiff::Timestamp;
use serde_json::value::RawValue;

use self::idempotency::IdempotencyKey;
use self::ledger::{Delivery, Entered};
use crate::accounts::Plans;
use crate::channels::websocks::{Allowance, WebsocksConfig};
use crate::event::WebhookId;
use crate::metrics::{Metrics, ResultLabel};
use crate::store::{Store, StoreError};
use crate::topic::AccountId;
use crate::webhook::{BadSignature, Endpoint, Endpoints, Slug};

/// Takes webhooks in.
pub struct Intake {
    config: WebsocksConfig,
    endpoints: Arc<Endpoints>,
    plans: Arc<Plans>,
    store: Store,
    ledger: Ledger,
    /// How long to wait for the first load of the endpoints.
    patience: Duration,
    metrics: Arc<Metrics>,
}

/// A webhook that was taken in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Taken {
    New(WebhookId),
    /// It was taken in before, under this id.
    Before(WebhookId),
}

/// Why a webhook is not taken in.
#[derive(Debug, thiserror::Error)]
pub enum Refused {
    #[error("no endpoint has this slug")]
    UnknownSlug,
    #[error("the sender's network is not one of the endpoint's")]
    OtherNetwork,
    #[error("the body is longer than websocks.body_bytes")]
    TooLong,
    #[error("the signature is not good: {0}")]
    BadSignature(#[source] BadSignature),
    #[error("the account has had as many this month as it may")]
    OverQuota,
    #[error("the body is not JSON")]
    NotJson,
    /// It may have been taken in, or not; who sends it again with the same idempotency key is told.
    #[error("the webhook cannot be taken in now")]
    Unavailable(#[source] Option<LedgerError>),
}

/// What an account has had this month, and what it may have.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Usage {
    pub allowance: Allowance,
    pub month: Month,
    pub used: u64,
}

impl Intake {
    /// Takes in what is posted to these endpoints.
    pub fn new(
        config: WebsocksConfig,
        endpoints: Arc<Endpoints>,
        plans: Arc<Plans>,
        store: Store,
        ledger: Ledger,
        patience: Duration,
        metrics: Arc<Metrics>,
    ) -> Self {
        Intake {
            config,
            endpoints,
            plans,
            store,
            ledger,
            patience,
            metrics,
        }
    }

    /// `[websocks]`
    pub fn config(&self) -> &WebsocksConfig {
        &self.config
    }

    /// The endpoint of a slug, for a sender at this address.
    pub async fn endpoint(&self, slug: &str, address: IpAddr) -> Result<Arc<Endpoint>, Refused> {
        let loaded = tokio::time::timeout(self.patience, self.endpoints.loaded());
        if loaded.await.is_err() {
            return Err(self.refused(Refused::Unavailable(None)));
        }
        let endpoint = Slug::parse(slug).and_then(|slug| self.endpoints.find(&slug));
        let endpoint = endpoint.ok_or_else(|| self.refused(Refused::UnknownSlug))?;
        match endpoint.allows(address) {
            true => Ok(endpoint),
            false => Err(self.refused(Refused::OtherNetwork)),
        }
    }

    /// Takes in what a sender brings to an endpoint.
    pub async fn take(
        &self,
        endpoint: &Endpoint,
        headers: &HeaderMap,
        body: &Bytes,
    ) -> Result<Taken, Refused> {
        let now = Timestamp::now();
        let taken = self.look_at(endpoint, headers, body, now).await;
        match &taken {
            Ok(Taken::New(_)) => self.count("accepted"),
            Ok(Taken::Before(_)) => self.count("repeated"),
            Err(_) => {}
        }
        taken.map_err(|refused| self.refused(refused))
    }

    async fn look_at(
        &self,
        endpoint: &Endpoint,
        headers: &HeaderMap,
        body: &Bytes,
        now: Timestamp,
    ) -> Result<Taken, Refused> {
        if let Some(verification) = &endpoint.verification {
            let tolerance = self.config.signature_tolerance;
            let checked = verification.check(headers, body, now, tolerance);
            checked.map_err(Refused::BadSignature)?;
        }
        let key = IdempotencyKey::of(endpoint, headers, body);
        let account = endpoint.account;
        let limit = self.allowance(account).limit();
        let month = Month::of(now);
        // With all of the text checked, however deep it is: this does not go down into it.
        let Ok(payload) = serde_json::from_slice::<&RawValue>(body) else {
            let looked_up = self.ledger.look_up(endpoint.id, key, account, month).await;
            let (before, used) = looked_up.map_err(unavailable)?;
            return match before {
                Some(id) => Ok(Taken::Before(id)),
                None if limit.is_some_and(|limit| used >= limit) => Err(Refused::OverQuota),
                None => Err(Refused::NotJson),
            };
        };
        let delivery = Delivery {
            endpoint: endpoint.id,
            account,
            month,
            limit,
            key,
            payload: payload.get().to_owned(),
        };
        match self.ledger.enter(delivery).await.map_err(unavailable)? {
            Entered::New(id) => Ok(Taken::New(id)),
            Entered::Before(id) => Ok(Taken::Before(id)),
            Entered::OverLimit => Err(Refused::OverQuota),
        }
    }

    /// What an account has had this month, and what it may have.
    pub async fn usage(&self, account: AccountId) -> Result<Usage, LedgerError> {
        let month = Month::of(Timestamp::now());
        Ok(Usage {
            allowance: self.allowance(account),
            month,
            used: self.ledger.used(account, month).await?,
        })
    }

    /// Sets an account's own limit. It holds on every node within a second.
    pub async fn set_cap(&self, account: AccountId, cap: Option<u64>) -> Result<(), StoreError> {
        let change = self
            .store
            .change_plans(account, |plans| plans.webhooks_cap = cap);
        change.await?;
        // Whoever reads it back here is told it at once.
        self.plans.replace(self.store.plans().await?);
        Ok(())
    }

    /// A refusal of what never came here, counted like the others.
    pub fn refused(&self, refused: Refused) -> Refused {
        self.count(refused.name());
        if let Refused::Unavailable(cause) = &refused {
            let cause = cause.as_ref().map(|cause| cause as &dyn std::error::Error);
            tracing::debug!(cause, "{refused}");
        }
        refused
    }

    fn allowance(&self, account: AccountId) -> Allowance {
        self.config.allowance(&self.plans.of(account))
    }

    fn count(&self, result: &'static str) {
        let webhooks = &self.metrics.webhooks;
        webhooks.get_or_create(&ResultLabel { result }).inc();
    }
}

impl Refused {
    /// Its name in labels of metrics.
    fn name(&self) -> &'static str {
        match self {
            Refused::UnknownSlug => "unknown_slug",
            Refused::OtherNetwork => "other_network",
            Refused::TooLong => "too_long",
            Refused::BadSignature(_) => "bad_signature",
            Refused::OverQuota => "over_quota",
            Refused::NotJson => "not_json",
            Refused::Unavailable(_) => "unavailable",
        }
    }
}

impl Usage {
    /// How many more are taken this month; `None` for any number.
    pub fn remaining(&self) -> Option<u64> {
        let limit = self.allowance.limit()?;
        Some(limit.saturating_sub(self.used))
    }
}

fn unavailable(error: LedgerError) -> Refused {
    Refused::Unavailable(Some(error))
}
