//! The root fields of subscriptions: what an event says to whoever asked.

use std::sync::Arc;

use async_graphql::Context;
use futures_util::StreamExt;
use futures_util::stream::BoxStream;

use super::Sources;
use super::blink::{
    LnInvoicePaymentStatusByHashInput, LnInvoicePaymentStatusByPaymentRequestInput,
    LnInvoicePaymentStatusInput, LnInvoicePaymentStatusPayload, MyUpdatesPayload, PriceInput,
    PricePayload, RealtimePriceInput, RealtimePricePayload, User,
};
use super::need::{Need, store_away};
use super::renderer::Asking;
use super::rewards::StatusUpdate;
use super::scalars::{LnPaymentRequest, PaymentHash, thrown};
use crate::auth::Identity;
use crate::event::Event;
use crate::hub::Scope;

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
        let user = reads_as(&asking.identity, asking.identity.user())?;
        let feed = asking.answer(Need::of_user(user));
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
        let id = reads_as(&asking.identity, asking.identity.account())?;
        let feed = asking.answer(Need::of_account(sources, id));
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
        let amount = input.sats(asking.origins.amount);
        let need = Need::of_price(sources, &amount);
        let sats = amount.unwrap_or_default();
        let payloads = asking.answer(need).filter_map(move |event| {
            std::future::ready(match &*event {
                Event::Price(update) => Some(PricePayload::of_update(update, sats)),
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
        let currency = input.currency(asking.origins.currency);
        let need = Need::of_realtime_price(sources, &currency);
        let payloads = asking.answer(need).filter_map(|event| {
            std::future::ready(match &*event {
                Event::Price(update) => Some(RealtimePricePayload::of_update(update)),
                _ => None,
            })
        });
        Ok(payloads.boxed())
    }
}

/// Whose own is asked for, if the asker is somebody who may read it.
pub(super) fn reads_as<T>(identity: &Identity, who: Option<T>) -> async_graphql::Result<T> {
    let who =
        who.ok_or_else(|| thrown("Not Authenticated for subscription", "NOT_AUTHENTICATED"))?;
    if identity.scopes().may_hear() {
        Ok(who)
    } else {
        Err(thrown(
            "Not authorized: this credential has not the scope `read`",
            "NOT_AUTHORIZED",
        ))
    }
}

fn by_request(
    ctx: &Context<'_>,
    request: LnPaymentRequest,
) -> async_graphql::Result<BoxStream<'static, LnInvoicePaymentStatusPayload>> {
    let sources = ctx.data::<Sources>()?;
    let text = request.check().map_err(|invalid| invalid.thrown())?;
    let need = Need::of_request(sources, text);
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
    let need = Need::of_hash(sources, hash).await.map_err(store_away)?;
    Ok(told(ctx.data::<Arc<Asking>>()?, need, None))
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
