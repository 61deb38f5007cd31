//! What the hub knows of invoices: which news of them are news, and when they expire.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, SystemTime};

use tokio::task::AbortHandle;

use super::{Hub, Local};
use crate::bolt11::PaymentRequest;
use crate::event::{Event, InvoiceState, InvoiceStatus, InvoiceUpdate};
use crate::topic::{PaymentHash, Topic};

/// What an invoice says of itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InvoiceTerms {
    pub payment_hash: PaymentHash,
    pub payment_request: String,
    pub expires_at: SystemTime,
}

impl InvoiceTerms {
    /// The terms of an invoice that is told to be pending, with its request.
    pub(super) fn of_pending(event: &Event) -> Option<Self> {
        let Event::Invoice(InvoiceUpdate::State(state)) = event else {
            return None;
        };
        let request = state.payment_request.as_deref()?;
        let decoded = match state.status {
            InvoiceStatus::Pending => PaymentRequest::decode(request).ok()?,
            InvoiceStatus::Paid | InvoiceStatus::Expired => return None,
        };
        // A request of something else says nothing about this invoice.
        (decoded.payment_hash == state.payment_hash).then(|| InvoiceTerms {
            payment_hash: decoded.payment_hash,
            payment_request: request.to_owned(),
            expires_at: decoded.expires_at,
        })
    }

    /// A time to come that no clock here reaches.
    pub fn never() -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_secs(100_000_000_000)
    }
}

/// One timer an invoice and node, for the invoices that somebody listens to.
#[derive(Default)]
pub(super) struct Timers(Mutex<HashMap<PaymentHash, AbortHandle>>);

/// An invoice is told to be expired this long after it says so itself, as Blink does: a payment that
/// arrives at the last moment is told first.
const GRACE: Duration = Duration::from_secs(1);
/// The longest sleep before the clock is looked at again: it may have been set meanwhile.
const NAP: Duration = Duration::from_secs(3600);
/// How long to wait when nobody can be asked whether an invoice was paid.
const ASK_AGAIN: Duration = Duration::from_secs(2);

impl Timers {
    pub(super) fn stop(&self, hash: &PaymentHash) {
        if let Some(timer) = self.timers().remove(hash) {
            timer.abort();
        }
    }

    fn timers(&self) -> MutexGuard<'_, HashMap<PaymentHash, AbortHandle>> {
        self.0
            .lock()
            .expect("nothing panics while it holds the timers")
    }
}

impl Hub {
    /// What a new asker is told of an invoice: what was last told of it, or what its terms say now.
    pub fn invoice_state(&self, terms: &InvoiceTerms) -> (InvoiceState, u64) {
        let told = self.told_of_invoice(&terms.payment_hash);
        let number = told.as_ref().map_or(0, |(_, number)| *number);
        if let Some((state, _)) = told
            && state.status.is_final()
        {
            return (state, number);
        }
        let is_over = SystemTime::now() >= terms.expires_at;
        let state = InvoiceState {
            payment_hash: terms.payment_hash.clone(),
            payment_request: Some(terms.payment_request.clone())
                .filter(|request| !request.is_empty()),
            payment_preimage: None,
            status: if is_over {
                InvoiceStatus::Expired
            } else {
                InvoiceStatus::Pending
            },
        };
        (state, number)
    }

    /// The state of an invoice, asked for once: what was told here, what the store knows, what its
    /// terms say.
    pub async fn present_invoice(&self, terms: &InvoiceTerms) -> InvoiceState {
        let (told, _) = self.invoice_state(terms);
        match self.invoice(&terms.payment_hash).await {
            Some(kept) if kept.status.is_final() && told.status != InvoiceStatus::Paid => kept,
            _ => told,
        }
    }

    /// What was last told of an invoice to those who listen to it here, and the number of that.
    pub fn told_of_invoice(&self, hash: &PaymentHash) -> Option<(InvoiceState, u64)> {
        let (number, event) = self.topics.last(&Topic::Invoice(hash.clone()), 0)?;
        match &*event {
            Event::Invoice(InvoiceUpdate::State(state)) => Some((state.clone(), number)),
            _ => None,
        }
    }

    /// Tells that an invoice has expired when it has, if somebody listens then and it is not paid.
    ///
    /// To be called while its topic is listened to, or put to run: the timer ends with the topic.
    pub(super) fn watch_expiry(self: &Arc<Self>, terms: &InvoiceTerms) {
        let hash = &terms.payment_hash;
        if SystemTime::now() >= terms.expires_at {
            return;
        }
        {
            let mut timers = self.timers.timers();
            if timers.get(hash).is_some_and(|timer| !timer.is_finished()) {
                return;
            }
            let at = terms.expires_at + GRACE;
            let timer = tokio::spawn(self.clone().tell_expiry(hash.clone(), at));
            timers.insert(hash.clone(), timer.abort_handle());
        }
        // Not under the timers' lock: they are stopped under that of the topics.
        self.know_pending(terms);
    }

    /// Takes an invoice that somebody is being told of as pending, so that a publisher's `Pending`
    /// is no news, and its `Paid` without a request gets one.
    fn know_pending(&self, terms: &InvoiceTerms) {
        let state = InvoiceState {
            payment_hash: terms.payment_hash.clone(),
            payment_request: Some(terms.payment_request.to_ascii_lowercase())
                .filter(|request| !request.is_empty()),
            payment_preimage: None,
            status: InvoiceStatus::Pending,
        };
        let topic = Topic::Invoice(terms.payment_hash.clone());
        let event = Event::Invoice(InvoiceUpdate::State(state));
        self.topics.know(&topic, event);
    }

    async fn tell_expiry(self: Arc<Self>, hash: PaymentHash, at: SystemTime) {
        while let Ok(left) = at.duration_since(SystemTime::now()) {
            tokio::time::sleep(left.min(NAP)).await;
        }
        // The payment may have been told while this node could not hear.
        let kept = loop {
            match self.retained.invoice(&hash).await {
                Ok(kept) => break kept,
                Err(_) => tokio::time::sleep(ASK_AGAIN).await,
            }
        };
        let state = match kept {
            Some(paid) if paid.status == InvoiceStatus::Paid => paid,
            known => InvoiceState {
                payment_request: known.and_then(|known| known.payment_request),
                payment_preimage: None,
                status: InvoiceStatus::Expired,
                payment_hash: hash.clone(),
            },
        };
        let event = Event::Invoice(InvoiceUpdate::State(state));
        let _ = self
            .local
            .send(Local::Event(Topic::Invoice(hash), event))
            .await;
    }

    /// Knows what the store knows of an invoice.
    pub(super) async fn recall_invoice(&self, topic: &Topic, hash: &PaymentHash) {
        let Ok(Some(kept)) = self.retained.invoice(hash).await else {
            return;
        };
        let Some(event) = self.invoice_news(topic, Event::Invoice(InvoiceUpdate::State(kept)))
        else {
            return;
        };
        if !self.topics.know_before_anybody(topic, &event) {
            let _ = self.local.send(Local::Kept(topic.clone(), event)).await;
        }
    }

    /// What of an event on an invoice is news: nothing follows on `Paid`, and the same is not told
    /// twice. What the publisher left out is filled in from what is known. Other events pass.
    pub(super) fn invoice_news(&self, topic: &Topic, event: Event) -> Option<Event> {
        let Event::Invoice(InvoiceUpdate::State(mut state)) = event else {
            return Some(event);
        };
        let kept = self.retained.known_invoice(&state.payment_hash);
        if let Some(kept) = kept {
            state.payment_request = state.payment_request.or(kept.payment_request);
            state.payment_preimage = state.payment_preimage.or(kept.payment_preimage);
            if kept.status == InvoiceStatus::Paid {
                state.status = InvoiceStatus::Paid;
            }
        }
        let told = self.last(topic, 0);
        if let Some(Event::Invoice(InvoiceUpdate::State(told))) = told.as_deref() {
            state.payment_request = state
                .payment_request
                .or_else(|| told.payment_request.clone());
            let follows = !told.status.is_final()
                || (told.status == InvoiceStatus::Expired && state.status == InvoiceStatus::Paid);
            if !follows || told.status == state.status {
                return None;
            }
        }
        Some(Event::Invoice(InvoiceUpdate::State(state)))
    }
}
