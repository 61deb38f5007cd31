//! The root fields of subscriptions: what each needs, and what an event says to whoever asked.

use std::sync::Arc;

use async_graphql::Context;
use futures_util::StreamExt;
use futures_util::stream::BoxStream;
use smallvec::smallvec;

use super::Sources;
use super::blink::{
    LnInvoicePaymentStatusByHashInput, LnInvoicePaymentStatusByPaymentRequestInput,
    LnInvoicePaymentStatusInput, LnInvoicePaymentStatusPayload, MyUpdatesPayload, PriceInput,
    PricePayload, RealtimePriceInput, RealtimePricePayload, User,
};
use super::renderer::{Asking, Need};
use super::rewards::StatusUpdate;
use super::scalars::{LnPaymentRequest, PaymentHash, thrown};
use crate::auth::Identity;
use crate::bolt11::PaymentRequest;
use crate::event::{self, Event, EventError, InvoiceUpdate, PriceUpdate, UserPriceUpdate};
use crate::hub::{Hub, InvoiceTerms, Scope, Snapshot, SnapshotFn};
use crate::redis_link::Unavailable;
use crate::topic::{self, Currency, Topic, UserId};

/// The root of subscriptions.
pub(super) struct Subscription;

/// Who may share a rendering of a root field. A field that is forgotten here is everybody's, and so
/// runs as nobody: it can show no one what is another's.
pub(super) fn scope_of(field: &str, identity: &Identity) -> Scope {
    match field {
        "myUpdates" => Scope::Only(identity.as_account()),
        "StatusUpdate" => Scope::Only(identity.as_user()),
        _ => Scope::Everybody,
    }
}

#[async_graphql::Subscription(name = "Subscription")]
impl Subscription {
    /// What happens to the user in the reward program, from now on.
    #[graphql(name = "StatusUpdate")]
    async fn status_update(
        &self,
        ctx: &Context<'_>,
    ) -> async_graphql::Result<BoxStream<'static, StatusUpdate>> {
        let asking = ctx.data::<Arc<Asking>>()?;
        let user = asking.reads_as(asking.identity.user())?;
        let feed = asking.answer(Need {
            topics: smallvec![Topic::Rewards(user)],
            snapshot: Box::new(move || connected(user)),
            invoice: None,
            completes: false,
        });
        let updates = feed.filter_map(|event| {
            std::future::ready(match &*event {
                Event::Rewards(update) => Some(StatusUpdate::of(update.clone())),
                _ => None,
            })
        });
        Ok(updates.boxed())
    }

    #[graphql(deprecation = "Deprecated in favor of lnInvoicePaymentStatusByPaymentRequest")]
    async fn ln_invoice_payment_status(
        &self,
        ctx: &Context<'_>,
        input: LnInvoicePaymentStatusInput,
    ) -> async_graphql::Result<BoxStream<'static, LnInvoicePaymentStatusPayload>> {
        by_request(ctx, input.payment_request)
    }

    /// What becomes of the invoice with this hash.
    async fn ln_invoice_payment_status_by_hash(
        &self,
        ctx: &Context<'_>,
        input: LnInvoicePaymentStatusByHashInput,
    ) -> async_graphql::Result<BoxStream<'static, LnInvoicePaymentStatusPayload>> {
        by_hash(ctx, &input.payment_hash).await
    }

    /// What becomes of this invoice.
    async fn ln_invoice_payment_status_by_payment_request(
        &self,
        ctx: &Context<'_>,
        input: LnInvoicePaymentStatusByPaymentRequestInput,
    ) -> async_graphql::Result<BoxStream<'static, LnInvoicePaymentStatusPayload>> {
        by_request(ctx, input.payment_request)
    }

    /// Payments that reach the account or leave it, and prices in its currency.
    async fn my_updates(
        &self,
        ctx: &Context<'_>,
    ) -> async_graphql::Result<BoxStream<'static, MyUpdatesPayload>> {
        let sources = ctx.data::<Sources>()?;
        let asking = ctx.data::<Arc<Asking>>()?;
        let id = asking.reads_as(asking.identity.account())?;
        let currency = sources
            .directory
            .get(id)
            .map_or(sources.default_display_currency, |account| {
                account.display_currency
            });
        let hub = sources.hub.clone();
        let feed = asking.answer(Need {
            topics: smallvec![Topic::Account(id), Topic::UserPrice(currency)],
            snapshot: Box::new(move || user_price_snapshot(&hub, currency)),
            invoice: None,
            completes: false,
        });
        let directory = sources.directory.clone();
        let payloads = feed.filter_map(move |event| {
            let me = User::of(id, directory.get(id));
            std::future::ready(MyUpdatesPayload::of(&event, me))
        });
        Ok(payloads.boxed())
    }

    /// What an amount of sats costs in US cents, at each change.
    async fn price(
        &self,
        ctx: &Context<'_>,
        input: PriceInput,
    ) -> async_graphql::Result<BoxStream<'static, PricePayload>> {
        let sources = ctx.data::<Sources>()?;
        let asking = ctx.data::<Arc<Asking>>()?;
        let (need, amount) = match input.sats(asking.origins.amount) {
            Ok(amount) => (prices(sources, Currency::USD), amount),
            Err(error) => (only(error), 0),
        };
        let payloads = asking.answer(need).filter_map(move |event| {
            std::future::ready(match &*event {
                Event::Price(update) => Some(PricePayload::of_update(update, amount)),
                _ => None,
            })
        });
        Ok(payloads.boxed())
    }

    /// What one sat and one US cent cost in a currency, at each change.
    async fn realtime_price(
        &self,
        ctx: &Context<'_>,
        input: RealtimePriceInput,
    ) -> async_graphql::Result<BoxStream<'static, RealtimePricePayload>> {
        let sources = ctx.data::<Sources>()?;
        let asking = ctx.data::<Arc<Asking>>()?;
        let need = match input
            .currency(asking.origins.currency)
            .and_then(|currency| sources.quoted(currency))
        {
            Ok(currency) => prices(sources, currency),
            Err(error) => only(error),
        };
        let payloads = asking.answer(need).filter_map(|event| {
            std::future::ready(match &*event {
                Event::Price(update) => Some(RealtimePricePayload::of_update(update)),
                _ => None,
            })
        });
        Ok(payloads.boxed())
    }
}

impl Asking {
    /// Whose own is asked for, if the asker is somebody who may read it.
    fn reads_as<T>(&self, who: Option<T>) -> async_graphql::Result<T> {
        let who =
            who.ok_or_else(|| thrown("Not Authenticated for subscription", "NOT_AUTHENTICATED"))?;
        if self.identity.scopes().may_hear() {
            Ok(who)
        } else {
            Err(thrown(
                "Not authorized: this credential has not the scope `read`",
                "NOT_AUTHORIZED",
            ))
        }
    }
}

impl Sources {
    /// A currency, if it is one of those that are quoted.
    pub(super) fn quoted(&self, currency: Currency) -> Result<Currency, EventError> {
        if self.currencies.contains(&currency) {
            Ok(currency)
        } else {
            Err(EventError::coded(
                "Invalid currency.",
                super::scalars::INVALID_INPUT,
            ))
        }
    }
}

/// The prices of a currency: the last one, then each.
fn prices(sources: &Sources, currency: Currency) -> Need {
    let hub = sources.hub.clone();
    let topic = Topic::Price(currency);
    Need {
        topics: smallvec![topic.clone()],
        snapshot: Box::new(move || hub.snapshot_of(&topic)),
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
    Box::new(move || Snapshot {
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

fn by_request(
    ctx: &Context<'_>,
    request: LnPaymentRequest,
) -> async_graphql::Result<BoxStream<'static, LnInvoicePaymentStatusPayload>> {
    let sources = ctx.data::<Sources>()?;
    let text = request.check().map_err(|invalid| invalid.thrown())?;
    let need = match PaymentRequest::decode(text) {
        Ok(decoded) => invoice(
            sources,
            InvoiceTerms {
                payment_hash: decoded.payment_hash,
                payment_request: Some(text.to_owned()),
                expires_at: Some(decoded.expires_at),
            },
        ),
        Err(error) => undecodable(EventError::coded(error.to_string(), "INVOICE_DECODE_ERROR")),
    };
    Ok(told(
        ctx.data::<Arc<Asking>>()?,
        need,
        Some(request.clone()),
    ))
}

async fn by_hash(
    ctx: &Context<'_>,
    hash: &PaymentHash,
) -> async_graphql::Result<BoxStream<'static, LnInvoicePaymentStatusPayload>> {
    let sources = ctx.data::<Sources>()?;
    let hash = hash.check().map_err(|invalid| invalid.thrown())?;
    let need = match sources.terms_of(&hash).await.map_err(store_away)? {
        Some(terms) => invoice(sources, terms),
        None => unknown_invoice(sources, hash),
    };
    Ok(told(ctx.data::<Arc<Asking>>()?, need, None))
}

/// In the original's words.
pub(super) fn invoice_not_found(hash: &topic::PaymentHash) -> EventError {
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
        hash: &topic::PaymentHash,
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
        snapshot: Box::new(move || {
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
fn unknown_invoice(sources: &Sources, hash: topic::PaymentHash) -> Need {
    let hub = sources.hub.clone();
    let of = hash.clone();
    let error = InvoiceUpdate::Errors(vec![invoice_not_found(&hash)]);
    Need {
        topics: smallvec![Topic::Invoice(hash)],
        snapshot: Box::new(move || {
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

fn told(
    asking: &Asking,
    need: Need,
    asked: Option<LnPaymentRequest>,
) -> BoxStream<'static, LnInvoicePaymentStatusPayload> {
    asking
        .answer(need)
        .filter_map(move |event| {
            std::future::ready(match &*event {
                Event::Invoice(update) => Some(LnInvoicePaymentStatusPayload::of_update(
                    update,
                    asked.clone(),
                )),
                _ => None,
            })
        })
        .boxed()
}
