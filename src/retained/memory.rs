//! What one process remembers.

use std::sync::{Arc, Mutex};
use std::time::Instant;

use bytes::Bytes;
use moka::policy::EvictionPolicy;
use moka::sync::Cache;

use super::history::History;
use super::{KeptPrice, RetainedConfig, merged};
use crate::event::{InvoiceState, WebhookId};
use crate::topic::{AccountId, PaymentHash, Topic};

/// Remembers until the process ends. Cheap to clone; all clones share one memory.
#[derive(Clone)]
pub struct MemoryRetained {
    prices: Cache<(Topic, usize), Price>,
    invoices: Cache<PaymentHash, InvoiceState>,
    /// Of those accounts that had some of late: an operator has made an endpoint for each.
    webhooks: Cache<AccountId, Arc<Mutex<History>>>,
    config: RetainedConfig,
}

/// A price, and when it was kept.
#[derive(Clone)]
pub(super) struct Price {
    pub(super) body: Bytes,
    pub(super) kept: Instant,
}

/// There are fewer currencies than this. It is a limit for who publishes nonsense.
pub(super) const PRICES: usize = 4096;

impl MemoryRetained {
    /// An empty memory.
    pub fn new(config: &RetainedConfig) -> Self {
        // Least recently used goes first: moka's own policy admits what is asked for often, and
        // would refuse an invoice that was paid a moment ago.
        MemoryRetained {
            prices: Cache::builder()
                .max_capacity(PRICES as u64)
                .eviction_policy(EvictionPolicy::lru())
                .time_to_live(config.prices_for)
                .build(),
            invoices: Cache::builder()
                .max_capacity(config.invoices as u64)
                .eviction_policy(EvictionPolicy::lru())
                .time_to_live(config.invoices_for)
                .build(),
            webhooks: Cache::builder().time_to_idle(config.webhooks_for).build(),
            config: config.clone(),
        }
    }

    pub(super) fn keep_price(&self, topic: &Topic, slot: usize, body: &Bytes) {
        // A copy: the body may be a slice of something bigger.
        let body = Bytes::copy_from_slice(body);
        let kept = Instant::now();
        self.prices
            .insert((topic.clone(), slot), Price { body, kept });
    }

    pub(super) fn prices(&self) -> Vec<KeptPrice> {
        let prices = self.kept_prices();
        prices
            .map(|((topic, slot), price)| KeptPrice {
                topic,
                slot,
                body: price.body,
                age: price.kept.elapsed(),
            })
            .collect()
    }

    pub(super) fn kept_prices(&self) -> impl Iterator<Item = ((Topic, usize), Price)> {
        self.prices
            .iter()
            .map(|(key, price)| ((*key).clone(), price))
    }

    /// Returns what is known now.
    pub(super) fn keep_invoice(&self, told: &InvoiceState) -> InvoiceState {
        self.invoices
            .entry_by_ref(&told.payment_hash)
            .and_upsert_with(|known| merged(known.map(moka::Entry::into_value), told))
            .into_value()
    }

    /// Remembers a webhook of an account, as it went over the bus.
    pub(crate) fn keep_webhook(&self, owner: AccountId, id: WebhookId, body: Bytes) {
        let history = self.webhooks.get_with(owner, Arc::default);
        let mut history = history.lock().expect("nothing panics while it holds it");
        history.keep(id, body, &self.config);
    }

    pub(super) fn webhooks(&self, owner: AccountId) -> Vec<Bytes> {
        let history = self.webhooks.get(&owner);
        history.map_or_else(Vec::new, |history| {
            let history = history.lock().expect("nothing panics while it holds it");
            history.bodies(self.config.webhooks_for)
        })
    }

    pub(super) fn invoice(&self, hash: &PaymentHash) -> Option<InvoiceState> {
        self.invoices.get(hash)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::InvoiceStatus;
    use proptest::prelude::*;
    use std::time::Duration;

    fn memory() -> MemoryRetained {
        MemoryRetained::new(&RetainedConfig {
            invoices: 100,
            invoices_for: Duration::from_secs(60),
            prices_for: Duration::from_secs(60),
            webhooks: 100,
            webhooks_bytes: 1 << 20,
            webhooks_for: Duration::from_secs(3600),
        })
    }

    fn told() -> impl Strategy<Value = InvoiceState> {
        let status = prop_oneof![
            Just(InvoiceStatus::Pending),
            Just(InvoiceStatus::Paid),
            Just(InvoiceStatus::Expired)
        ];
        (status, any::<bool>(), any::<bool>()).prop_map(|(status, request, preimage)| {
            InvoiceState {
                payment_hash: PaymentHash::parse(&"ab".repeat(32)).unwrap(),
                payment_request: request.then(|| "lnbc1".to_owned()),
                payment_preimage: preimage.then(|| "cd".repeat(32)),
                status,
            }
        })
    }

    fn known_after(told: &[InvoiceState]) -> Option<InvoiceState> {
        let memory = memory();
        for told in told {
            memory.keep_invoice(told);
        }
        memory.invoice(&told.first()?.payment_hash)
    }

    proptest! {
        #[test]
        fn what_is_known_in_the_end_does_not_depend_on_the_order(
            (told, shuffled) in proptest::collection::vec(told(), 1..6)
                .prop_flat_map(|told| (Just(told.clone()), Just(told).prop_shuffle()))
        ) {
            prop_assert_eq!(known_after(&told), known_after(&shuffled));
        }

        #[test]
        fn what_is_told_twice_changes_nothing(told in proptest::collection::vec(told(), 1..6)) {
            let twice: Vec<_> = told.iter().flat_map(|told| [told.clone(), told.clone()]).collect();
            prop_assert_eq!(known_after(&told), known_after(&twice));
        }
    }
}
