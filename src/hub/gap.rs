//! What is told after the bus was away, and what was kept meanwhile.

use std::sync::Arc;

use futures_util::{StreamExt, stream};

use super::batch::Batch;
use super::invoices::ASK_AGAIN;
use super::{Hub, Local};
use crate::event::Event;
use crate::retained::KeptPrice;
use crate::topic::{AccountId, Topic};

/// Questions to the store at a time, after the bus was away.
const RECALLS: usize = 64;

/// What those who listen to a topic are told after events may have been lost; what goes for most last.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Gap {
    /// What was kept of it, one by one, as soon as the store was asked. Payments of accounts are kept nowhere;
    /// who hears them hears prices, too.
    Recalled,
    /// The present state.
    Told,
    /// That they have missed something: nobody keeps it for them.
    Missed,
}

impl Gap {
    fn of(topic: &Topic) -> Self {
        match topic {
            Topic::Account(_) | Topic::Invoice(_) | Topic::Webhook(_) => Gap::Recalled,
            Topic::Price(_) | Topic::UserPrice(_) | Topic::Rewards(_) | Topic::MintPrice(_) => {
                Gap::Told
            }
            Topic::Dataset(_) | Topic::Bot(_) | Topic::Wallet(_) => Gap::Missed,
        }
    }
}

impl Hub {
    /// Tells everybody what there is to tell after a gap, but those who listen to what is recalled.
    pub(super) fn tell_after_gap(&self, batch: &mut Batch) {
        for shared in self.operations.all() {
            // What listens to nothing (an error that was told once) has missed nothing.
            let gaps = shared.topics.iter().map(Gap::of);
            match gaps.max() {
                Some(Gap::Missed) => shared.miss(),
                Some(Gap::Told) => batch.add_stale([shared]),
                Some(Gap::Recalled) | None => {}
            }
        }
    }

    /// Knows the prices that were kept by other nodes, or by this one before; what is news to those
    /// who listen goes through the queue.
    pub(super) async fn recall_prices(&self, news: impl Fn(Topic, Event) -> Local) {
        let Ok(kept) = self.retained.prices().await else {
            return;
        };
        for KeptPrice {
            topic, body, age, ..
        } in kept
        {
            let Ok(event) = Event::decode(&topic, &body) else {
                continue;
            };
            if self.topics.recall(&topic, &event, age) {
                let _ = self.local.send(news(topic, event)).await;
            }
        }
    }

    /// Nobody is silently stale: everybody gets the present state as a snapshot, with what was kept
    /// elsewhere meanwhile. Prices first, invoices as soon as the store has been asked about them.
    ///
    /// What happened to a user of a reward program is kept nowhere. That it is `connected` again tells
    /// a client to ask for the present state, because events may have been missed.
    ///
    /// Webhooks of these accounts are held back meanwhile.
    pub(super) async fn after_gap(self: Arc<Self>, owners: Vec<AccountId>) {
        let invoices = self
            .topics
            .heard()
            .into_iter()
            .filter_map(|topic| match topic {
                Topic::Invoice(hash) => Some(hash),
                _ => None,
            });
        let invoices: Vec<_> = invoices.collect();
        for hash in &invoices {
            let topic = Topic::Invoice(hash.clone());
            self.topics.note_recalled(&topic, false);
        }
        self.recall_prices(Local::Remember).await;
        let _ = self.local.send(Local::TellPresent).await;
        let webhooks = owners
            .into_iter()
            .map(|owner| self.recall_webhooks_at_last(owner));
        stream::iter(webhooks)
            .buffer_unordered(RECALLS)
            .collect::<()>()
            .await;
        let asked = invoices.into_iter().map(|hash| async {
            self.recall_invoice_at_last(&hash).await;
            let _ = self.local.send(Local::TellInvoice(hash)).await;
        });
        stream::iter(asked)
            .buffer_unordered(RECALLS)
            .collect::<()>()
            .await;
    }

    /// Knows what was kept of an account's webhooks, and tells those who listen what they have missed of
    /// them. `false` if nobody can be asked now.
    pub(super) async fn recall_webhooks(&self, owner: AccountId) -> bool {
        let topic = Topic::Webhook(owner);
        let Ok(kept) = self.retained.webhooks(owner).await else {
            return false;
        };
        let kept = kept
            .iter()
            .filter_map(|body| Event::decode(&topic, body).ok());
        if let Some(kept) = self.topics.recall_webhooks(&topic, kept.collect()) {
            let _ = self.local.send(Local::Webhooks(owner, kept)).await;
        }
        true
    }

    /// The same, as often as it takes.
    async fn recall_webhooks_at_last(&self, owner: AccountId) {
        while !self.recall_webhooks(owner).await {
            tokio::time::sleep(ASK_AGAIN).await;
        }
    }
}
