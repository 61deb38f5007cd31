//! What the hub knows of invoices: which news of them are news, and when they expire.
//!
//! What is *told* of an invoice was published, and holds for everybody. What its *terms* say (when it
//! expires) was decoded from a payment request that some client brought, and holds for those who
//! brought the same: anybody can make a request with somebody else's hash in it.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, SystemTime};

use tokio::task::AbortHandle;

use super::batch::Batch;
use super::{Hub, Local};
use crate::bolt11::PaymentRequest;
use crate::event::{Event, InvoiceState, InvoiceStatus, InvoiceUpdate};
use crate::retained::merged;
use crate::topic::{PaymentHash, Topic};

/// What an invoice says of itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InvoiceTerms {
    pub payment_hash: PaymentHash,
    /// `None` if whoever published the invoice did not say.
    pub payment_request: Option<String>,
    /// `None` if nobody can say: whoever publishes the invoice will.
    pub expires_at: Option<SystemTime>,
}

/// One timer for an invoice and a time, for as long as somebody listens to the invoice.
#[derive(Default)]
pub(super) struct Timers(Mutex<HashMap<PaymentHash, Vec<(SystemTime, AbortHandle)>>>);

/// An invoice is told to be expired this long after it says so itself, as Blink does: a payment that
/// arrives at the last moment is told first.
const GRACE: Duration = Duration::from_secs(1);
/// The longest sleep before the clock is looked at again: it may have been set meanwhile.
const NAP: Duration = Duration::from_secs(3600);
/// Timers for one hash before those that nobody listens for are looked for. An invoice has one.
const TIMERS: usize = 64;
/// How long to wait when nobody can be asked whether an invoice was paid.
pub(super) const ASK_AGAIN: Duration = Duration::from_secs(2);

impl InvoiceTerms {
    /// As far as what was published says.
    pub fn published(state: &InvoiceState) -> Self {
        let decoded = state.payment_request.as_deref().map(PaymentRequest::decode);
        InvoiceTerms {
            payment_hash: state.payment_hash.clone(),
            payment_request: state.payment_request.clone(),
            expires_at: decoded
                .and_then(Result::ok)
                .map(|decoded| decoded.expires_at),
        }
    }

    fn is_over(&self) -> bool {
        self.expires_at.is_some_and(|at| SystemTime::now() >= at)
    }

    /// When those who listen are told that it has expired.
    fn over_at(&self) -> Option<SystemTime> {
        self.expires_at?.checked_add(GRACE)
    }

    /// The state now: what was published, if that is final, else what these terms say. An invoice is
    /// not said to have expired unless the store was asked whether it was paid.
    fn present(&self, published: Option<InvoiceState>, is_asked: bool) -> InvoiceState {
        match published {
            Some(published) if published.status.is_final() => published,
            _ if is_asked && self.is_over() => self.state(InvoiceStatus::Expired),
            _ => self.state(InvoiceStatus::Pending),
        }
    }

    fn state(&self, status: InvoiceStatus) -> InvoiceState {
        InvoiceState {
            payment_hash: self.payment_hash.clone(),
            payment_request: self.payment_request.clone(),
            payment_preimage: None,
            status,
        }
    }
}

impl Timers {
    pub(super) fn stop(&self, hash: &PaymentHash) {
        for (_, timer) in self.timers().remove(hash).into_iter().flatten() {
            timer.abort();
        }
    }

    fn timers(&self) -> MutexGuard<'_, HashMap<PaymentHash, Vec<(SystemTime, AbortHandle)>>> {
        self.0
            .lock()
            .expect("nothing panics while it holds the timers")
    }
}

impl Hub {
    /// What a new asker is told of an invoice: what was told of it, or what its terms say now.
    pub fn invoice_state(&self, terms: &InvoiceTerms) -> (InvoiceState, u64) {
        let told = self.told_of_invoice(&terms.payment_hash);
        let number = told.as_ref().map_or(0, |(_, number)| *number);
        let topic = Topic::Invoice(terms.payment_hash.clone());
        let published = told.map(|(told, _)| told);
        let is_asked = self.topics.is_recalled(&topic);
        (terms.present(published, is_asked), number)
    }

    /// The state of an invoice, asked for once: what the store knows, what was told here, what its
    /// terms say.
    pub async fn present_invoice(&self, terms: &InvoiceTerms) -> InvoiceState {
        let kept = self.retained.invoice(&terms.payment_hash).await;
        let told = self.told_of_invoice(&terms.payment_hash);
        let published = match (&kept, told) {
            (Ok(Some(kept)), told) => Some(merged(told.map(|(told, _)| told), kept)),
            (_, told) => told.map(|(told, _)| told),
        };
        terms.present(published, kept.is_ok())
    }

    /// What was last told of an invoice to those who listen to it here, and the number of that.
    pub fn told_of_invoice(&self, hash: &PaymentHash) -> Option<(InvoiceState, u64)> {
        let (number, event) = self.topics.last(&Topic::Invoice(hash.clone()), 0)?;
        match &*event {
            Event::Invoice(InvoiceUpdate::State(state)) => Some((state.clone(), number)),
            _ => None,
        }
    }

    /// Tells whoever is about to ask with these terms when they are over. If they are over already the
    /// snapshot says so, or nobody could be asked.
    pub(super) fn watch_expiry(self: &Arc<Self>, terms: &InvoiceTerms) {
        let topic = Topic::Invoice(terms.payment_hash.clone());
        if !(terms.is_over() && self.topics.is_recalled(&topic)) {
            self.tell_when_over(terms);
        }
    }

    /// Tells that an invoice has expired when it has, if somebody listens then and it is not paid.
    ///
    /// To be called while its topic is listened to, or put to run: the timer ends with the topic.
    fn tell_when_over(self: &Arc<Self>, terms: &InvoiceTerms) {
        let Some(at) = terms.over_at() else { return };
        let hash = &terms.payment_hash;
        let topic = Topic::Invoice(hash.clone());
        let listeners = self.topics.listeners(&topic);
        let mut timers = self.timers.timers();
        let timers = timers.entry(hash.clone()).or_default();
        timers.retain(|(_, timer)| !timer.is_finished());
        if timers.len() >= TIMERS {
            // Somebody makes up requests with this hash. Those that nobody listens for are let go.
            let terms = || {
                listeners
                    .iter()
                    .filter_map(|shared| shared.invoice.as_deref())
            };
            timers.retain(|(at, timer)| {
                let is_heard = terms().any(|terms| terms.over_at() == Some(*at));
                if !is_heard {
                    timer.abort();
                }
                is_heard
            });
        }
        if timers.iter().all(|(other, _)| *other != at) {
            let timer = tokio::spawn(self.clone().tell_expiry(hash.clone(), at));
            timers.push((at, timer.abort_handle()));
        }
    }

    async fn tell_expiry(self: Arc<Self>, hash: PaymentHash, at: SystemTime) {
        while let Ok(left) = at.duration_since(SystemTime::now()) {
            tokio::time::sleep(left.min(NAP)).await;
        }
        // The payment may have been told while this node could not hear.
        self.recall_invoice_at_last(&hash).await;
        let _ = self.local.send(Local::Expired(hash, at)).await;
    }

    /// Tells those who asked with terms that are over at `at` that the invoice has expired, unless
    /// something final was told.
    pub(super) fn on_expired(&self, batch: &mut Batch, hash: PaymentHash, at: SystemTime) {
        let number = batch.next_number();
        let told = self.told_of_invoice(&hash);
        if told.is_some_and(|(state, _)| state.status.is_final()) {
            return;
        }
        let published = self.published_terms(&hash);
        for shared in self.topics.listeners(&Topic::Invoice(hash)) {
            // Whoever asked for an unknown invoice was told of it when it was published.
            let terms = shared.invoice.as_deref().or(published.as_ref());
            let Some(terms) = terms.filter(|terms| terms.over_at() == Some(at)) else {
                continue;
            };
            let state = terms.state(InvoiceStatus::Expired);
            let event = Arc::new(Event::Invoice(InvoiceUpdate::State(state)));
            batch.add(shared, number, &event);
        }
    }

    /// Whether an event tells that an invoice is pending; then its expiry is watched.
    pub(super) fn on_pending(self: &Arc<Self>, event: &Event) -> bool {
        let Event::Invoice(InvoiceUpdate::State(state)) = event else {
            return false;
        };
        let is_pending = state.status == InvoiceStatus::Pending;
        if is_pending && let Some(terms) = self.published_terms(&state.payment_hash) {
            self.tell_when_over(&terms);
        }
        is_pending
    }

    /// The terms of an invoice whose request was published; `None` if nobody listens to it.
    fn published_terms(&self, hash: &PaymentHash) -> Option<InvoiceTerms> {
        let (state, _) = self.told_of_invoice(hash)?;
        Some(InvoiceTerms::published(&state))
    }

    /// Knows what the store knows of an invoice, or notes that it could not be asked.
    pub(super) async fn recall_invoice(&self, hash: &PaymentHash) -> bool {
        let topic = Topic::Invoice(hash.clone());
        match self.retained.invoice(hash).await {
            Ok(Some(kept)) => {
                let event = Event::Invoice(InvoiceUpdate::State(kept));
                if self.topics.recall(&topic, &event, Duration::ZERO) {
                    let _ = self.local.send(Local::Event(topic, event)).await;
                }
                true
            }
            Ok(None) => {
                self.topics.note_recalled(&topic, true);
                true
            }
            Err(_) => {
                self.topics.note_recalled(&topic, false);
                false
            }
        }
    }

    /// The same, as often as it takes.
    pub(super) async fn recall_invoice_at_last(&self, hash: &PaymentHash) {
        while !self.recall_invoice(hash).await {
            tokio::time::sleep(ASK_AGAIN).await;
        }
    }

    /// What of an event on an invoice is news: nothing follows on `Paid`, and the same is not told
    /// twice. What the publisher left out is filled in from what was published before. Other events
    /// pass.
    pub(super) fn invoice_news(&self, topic: &Topic, event: Event) -> Option<Event> {
        let Event::Invoice(InvoiceUpdate::State(state)) = event else {
            return Some(event);
        };
        let state = merged(self.retained.known_invoice(&state.payment_hash), &state);
        let told = self.last(topic, 0);
        if let Some(Event::Invoice(InvoiceUpdate::State(told))) = told.as_deref()
            && told.status >= state.status
        {
            return None;
        }
        Some(Event::Invoice(InvoiceUpdate::State(state)))
    }
}
