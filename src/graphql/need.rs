//! What the root fields of subscriptions need.

use std::sync::Arc;

use smallvec::{SmallVec, smallvec};

use super::Sources;
use super::scalars::{INVALID_INPUT, thrown};
use crate::bolt11::PaymentRequest;
use crate::event::{self, Event, EventError, InvoiceUpdate, PriceUpdate, UserPriceUpdate};
use crate::hub::{Hub, InvoiceTerms, Snapshot, SnapshotFn};
use crate::redis_link::Unavailable;
use crate::topic::{AccountId, Currency, PaymentHash, Topic, UserId};

/// What a subscription field needs, once its arguments are understood.
pub(super) struct Need {
    pub topics: SmallVec<[Topic; 2]>,
    pub snapshot: SnapshotFn,
    pub invoice: Option<InvoiceTerms>,
    /// Whether the subscription completes after a final state.
    pub completes: bool,
}

impl Need {
    /// `StatusUpdate`: what happens to a user of the reward program.
    pub(super) fn of_user(user: UserId) -> Self {
        Need {
            topics: smallvec![Topic::Rewards(user)],
            snapshot: Box::new(move |_| connected(user)),
            invoice: None,
            completes: false,
        }
    }

    /// `myUpdates`: payments of an account, and prices in its currency.
    pub(super) fn of_account(sources: &Sources, id: AccountId) -> Self {
        let account = sources.directory.get(id);
        let currency = account.map_or(sources.default_display_currency, |account| {
            account.display_currency
        });
        let hub = sources.hub.clone();
        Need {
            topics: smallvec![Topic::Account(id), Topic::UserPrice(currency)],
            snapshot: Box::new(move |_| user_price_snapshot(&hub, currency)),
            invoice: None,
            completes: false,
        }
    }

    /// `price`: those in US dollars; or what is wrong with the amount.
    pub(super) fn of_price(sources: &Sources, amount: &Result<u64, EventError>) -> Self {
        match amount {
            Ok(_) => prices(sources, Currency::USD),
            Err(error) => only(error.clone()),
        }
    }

    /// `realtimePrice`: those in a currency; or what is wrong with it.
    pub(super) fn of_realtime_price(
        sources: &Sources,
        currency: &Result<Currency, EventError>,
    ) -> Self {
        match currency
            .clone()
            .and_then(|currency| sources.quoted(currency))
        {
            Ok(currency) => prices(sources, currency),
            Err(error) => only(error),
        }
    }

    /// What becomes of the invoice that this is, or why it is none.
    pub(super) fn of_request(sources: &Sources, request: &str) -> Self {
        match PaymentRequest::decode(request) {
            Ok(decoded) => invoice(
                sources,
                InvoiceTerms {
                    payment_hash: decoded.payment_hash,
                    payment_request: Some(request.to_owned()),
                    expires_at: Some(decoded.expires_at),
                },
            ),
            Err(error) => undecodable(EventError::coded(error.to_string(), "INVOICE_DECODE_ERROR")),
        }
    }

    /// What becomes of the invoice with this hash.
    pub(super) async fn of_hash(sources: &Sources, hash: PaymentHash) -> Result<Self, Unavailable> {
        Ok(match sources.terms_of(&hash).await? {
            Some(terms) => invoice(sources, terms),
            None => unknown_invoice(sources, hash),
        })
    }
}

impl Sources {
    /// A currency, if it is one of those that are quoted.
    pub(super) fn quoted(&self, currency: Currency) -> Result<Currency, EventError> {
        if self.currencies.contains(&currency) {
            Ok(currency)
        } else {
            Err(EventError::coded("Invalid currency.", INVALID_INPUT))
        }
    }
}

/// The prices of a currency: the last one, then each.
fn prices(sources: &Sources, currency: Currency) -> Need {
    let hub = sources.hub.clone();
    let topic = Topic::Price(currency);
    Need {
        topics: smallvec![topic.clone()],
        snapshot: Box::new(move |_| hub.snapshot_of(&topic)),
        invoice: None,
        completes: false,
    }
}

/// One error, and then silence: the original's subscriptions stay open after it.
fn only(error: EventError) -> Need {
    let event = Arc::new(Event::Price(PriceUpdate::Errors(vec![error])));
    Need {
        topics: smallvec![],
        snapshot: told_once(event),
        invoice: None,
        completes: false,
    }
}

fn told_once(event: Arc<Event>) -> SnapshotFn {
    Box::new(move |_| Snapshot {
        events: smallvec![event.clone()],
        up_to: 0,
    })
}

/// That the subscription runs, which is all that is known of a user at first.
fn connected(user: UserId) -> Snapshot {
    let update = event::StatusUpdate::connected(user, jiff::Timestamp::now());
    Snapshot {
        events: smallvec![Arc::new(Event::Rewards(update.into()))],
        up_to: 0,
    }
}

/// The last prices for `myUpdates`. Where none was told for accounts yet, the public price serves:
/// in US dollars as `price` and as `realtimePrice`, else as the latter alone.
fn user_price_snapshot(hub: &Hub, currency: Currency) -> Snapshot {
    let snapshot = hub.snapshot_of(&Topic::UserPrice(currency));
    if !snapshot.events.is_empty() {
        return snapshot;
    }
    let Some(event) = hub.last(&Topic::Price(currency), 0) else {
        return Snapshot::default();
    };
    let Event::Price(PriceUpdate::Tick(tick)) = &*event else {
        return Snapshot::default();
    };
    let mut events = smallvec![];
    if currency == Currency::USD {
        events.push(Arc::new(Event::UserPrice(UserPriceUpdate::Price(
            tick.clone(),
        ))));
    }
    events.push(Arc::new(Event::UserPrice(UserPriceUpdate::RealtimePrice(
        tick.clone(),
    ))));
    Snapshot { events, up_to: 0 }
}

/// In the original's words.
pub(super) fn invoice_not_found(hash: &PaymentHash) -> EventError {
    let message = format!(
        "Unexpected error occurred, please try again or contact support if it persists \
         (code: InvoiceNotFoundError: {{\"paymentHash\":\"{hash}\"}})"
    );
    EventError::coded(message, "UNEXPECTED_CLIENT_ERROR")
}

impl Sources {
    /// What is known of an invoice by its hash alone: what was published. An error if that cannot be
    /// known now.
    pub(super) async fn terms_of(
        &self,
        hash: &PaymentHash,
    ) -> Result<Option<InvoiceTerms>, Unavailable> {
        let known = match self.hub.told_of_invoice(hash) {
            Some((told, _)) => Some(told),
            None => self.hub.invoice(hash).await?,
        };
        Ok(known.as_ref().map(InvoiceTerms::published))
    }
}

/// Nobody can say now whether an invoice is known. In the original's words for a store that fails.
pub(super) fn store_away(_: Unavailable) -> async_graphql::Error {
    thrown(
        "Unknown error occurred (code: UnknownRepositoryError)",
        "DB_ERROR",
    )
}

fn invoice(sources: &Sources, terms: InvoiceTerms) -> Need {
    let hub = sources.hub.clone();
    let of = terms.clone();
    Need {
        topics: smallvec![Topic::Invoice(terms.payment_hash.clone())],
        snapshot: Box::new(move |_| {
            let (state, up_to) = hub.invoice_state(&of);
            Snapshot {
                events: smallvec![Arc::new(Event::Invoice(InvoiceUpdate::State(state)))],
                up_to,
            }
        }),
        invoice: Some(terms),
        completes: sources.complete_when_final,
    }
}

/// An error for as long as nothing is known of the invoice: it may be told of later.
fn unknown_invoice(sources: &Sources, hash: PaymentHash) -> Need {
    let hub = sources.hub.clone();
    let of = hash.clone();
    let error = InvoiceUpdate::Errors(vec![invoice_not_found(&hash)]);
    Need {
        topics: smallvec![Topic::Invoice(hash)],
        snapshot: Box::new(move |_| {
            let told = hub.told_of_invoice(&of);
            let up_to = told.as_ref().map_or(0, |(_, number)| *number);
            let update =
                told.map_or_else(|| error.clone(), |(state, _)| InvoiceUpdate::State(state));
            Snapshot {
                events: smallvec![Arc::new(Event::Invoice(update))],
                up_to,
            }
        }),
        invoice: None,
        completes: sources.complete_when_final,
    }
}

/// An error, and nothing else to come.
fn undecodable(error: EventError) -> Need {
    let event = Arc::new(Event::Invoice(InvoiceUpdate::Errors(vec![error])));
    Need {
        topics: smallvec![],
        snapshot: told_once(event),
        invoice: None,
        completes: false,
    }
}
