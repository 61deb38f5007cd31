//! The root fields: what each is asked, what it needs, and what it says of an event.

use super::object::{Bail, Lookups, Object};
use super::selection::{Asked, NotPlanned};
use crate::accounts::Directory;
use crate::auth::Identity;
use crate::event::{Event, EventError};
use crate::graphql::Sources;
use crate::graphql::blink::{
    LnInvoicePaymentStatusByHashInput, LnInvoicePaymentStatusByPaymentRequestInput,
    LnInvoicePaymentStatusInput, LnInvoicePaymentStatusPayload, MyUpdatesPayload, PriceInput,
    PricePayload, RealtimePriceInput, RealtimePricePayload, User,
};
use crate::graphql::need::{Need, store_away};
use crate::graphql::rewards::StatusUpdate;
use crate::graphql::scalars::LnPaymentRequest;
use crate::graphql::subscription::reads_as;
use crate::topic::{Currency, PaymentHash};

/// A root field, with its arguments read, and what is selected below it.
pub(in crate::graphql) enum Root {
    MyUpdates(Object<MyUpdatesPayload>),
    StatusUpdate(Object<StatusUpdate>),
    /// An error in the place of an argument is told in `errors`.
    Price(Result<u64, EventError>, Object<PricePayload>),
    RealtimePrice(Result<Currency, EventError>, Object<RealtimePricePayload>),
    InvoiceByRequest(LnPaymentRequest, Object<LnInvoicePaymentStatusPayload>),
    InvoiceByHash(PaymentHash, Object<LnInvoicePaymentStatusPayload>),
}

/// As whom, and with what, an event is read.
pub(in crate::graphql) struct Reading<'a> {
    pub identity: &'a Identity,
    pub directory: &'a Directory,
    pub lookups: &'a Lookups,
}

impl Root {
    pub(super) fn of(asked: &Asked<'_>) -> Result<Self, NotPlanned> {
        let by_request = |request: LnPaymentRequest| {
            // One that looks like no invoice is an error of the field.
            request.check().map_err(|_| NotPlanned)?;
            Ok(Root::InvoiceByRequest(request, Object::of(asked)?))
        };
        match asked.name() {
            "StatusUpdate" => Ok(Root::StatusUpdate(Object::of(asked)?)),
            "lnInvoicePaymentStatus" => {
                let input = asked.argument::<LnInvoicePaymentStatusInput>("input")?;
                by_request(input.payment_request)
            }
            "lnInvoicePaymentStatusByHash" => {
                let input = asked.argument::<LnInvoicePaymentStatusByHashInput>("input")?;
                let hash = input.payment_hash.check().map_err(|_| NotPlanned)?;
                Ok(Root::InvoiceByHash(hash, Object::of(asked)?))
            }
            "lnInvoicePaymentStatusByPaymentRequest" => {
                let input =
                    asked.argument::<LnInvoicePaymentStatusByPaymentRequestInput>("input")?;
                by_request(input.payment_request)
            }
            "myUpdates" => Ok(Root::MyUpdates(Object::of(asked)?)),
            "price" => {
                let input = asked.argument::<PriceInput>("input")?;
                let amount = input.sats(asked.origins().amount);
                Ok(Root::Price(amount, Object::of(asked)?))
            }
            "realtimePrice" => {
                let input = asked.argument::<RealtimePriceInput>("input")?;
                let currency = input.currency(asked.origins().currency);
                Ok(Root::RealtimePrice(currency, Object::of(asked)?))
            }
            _ => Err(NotPlanned),
        }
    }

    /// What it needs to run for this identity; or why it does not.
    pub(in crate::graphql) async fn need(
        &self,
        sources: &Sources,
        identity: &Identity,
    ) -> async_graphql::Result<Need> {
        Ok(match self {
            Root::MyUpdates(_) => {
                Need::of_account(sources, reads_as(identity, identity.account())?)
            }
            Root::StatusUpdate(_) => Need::of_user(reads_as(identity, identity.user())?),
            Root::Price(amount, _) => Need::of_price(sources, amount),
            Root::RealtimePrice(currency, _) => Need::of_realtime_price(sources, currency),
            Root::InvoiceByRequest(request, _) => {
                let request = request.check().map_err(|invalid| invalid.thrown())?;
                Need::of_request(sources, request)
            }
            Root::InvoiceByHash(hash, _) => {
                let need = Need::of_hash(sources, hash.clone()).await;
                need.map_err(store_away)?
            }
        })
    }

    /// The value of the field.
    pub(super) fn write(
        &self,
        event: &Event,
        reading: &Reading<'_>,
        json: &mut String,
    ) -> Result<(), Bail> {
        let lookups = reading.lookups;
        match (self, event) {
            (Root::MyUpdates(object), event) => {
                let id = reading.identity.account().ok_or(Bail)?;
                let me = User::of(id, reading.directory.get(id));
                let payload = MyUpdatesPayload::of(event, me).ok_or(Bail)?;
                object.write(&payload, lookups, json)
            }
            (Root::StatusUpdate(object), Event::Rewards(update)) => {
                object.write(update, lookups, json)
            }
            (Root::Price(amount, object), Event::Price(update)) => {
                let sats = amount.as_ref().copied().unwrap_or_default();
                object.write(&PricePayload::of_update(update, sats), lookups, json)
            }
            (Root::RealtimePrice(_, object), Event::Price(update)) => {
                object.write(&RealtimePricePayload::of_update(update), lookups, json)
            }
            (Root::InvoiceByRequest(request, object), Event::Invoice(update)) => {
                let asked = Some(request.clone());
                let payload = LnInvoicePaymentStatusPayload::of_update(update, asked);
                object.write(&payload, lookups, json)
            }
            (Root::InvoiceByHash(_, object), Event::Invoice(update)) => {
                let payload = LnInvoicePaymentStatusPayload::of_update(update, None);
                object.write(&payload, lookups, json)
            }
            // The events of other fields say nothing.
            _ => Err(Bail),
        }
    }

    pub(super) fn size(&self) -> usize {
        match self {
            Root::MyUpdates(object) => object.size(),
            Root::StatusUpdate(object) => object.size(),
            Root::Price(_, object) => object.size(),
            Root::RealtimePrice(_, object) => object.size(),
            Root::InvoiceByRequest(_, object) | Root::InvoiceByHash(_, object) => object.size(),
        }
    }
}
