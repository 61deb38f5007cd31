//! The promise to clients: `schema/blink.graphql`.

use async_graphql::{EmptyMutation, Object, Result, Schema, Subscription};
use futures_util::stream::{self, Stream};

use super::*;
use crate::graphql::scalars::DisplayCurrency;

/// The shape of the queries; nothing asks it.
struct Query;

/// The shape of the subscriptions; nothing asks it.
struct Quiet;

#[Object(name = "Query")]
#[expect(unused_variables, reason = "only the shape counts")]
impl Query {
    /// All currencies that prices are told in.
    async fn currency_list(&self) -> Vec<Currency> {
        Vec::new()
    }

    async fn ln_invoice_payment_status_by_hash(
        &self,
        input: LnInvoicePaymentStatusByHashInput,
    ) -> Result<LnInvoicePaymentStatus> {
        unreachable!()
    }

    async fn ln_invoice_payment_status_by_payment_request(
        &self,
        input: LnInvoicePaymentStatusByPaymentRequestInput,
    ) -> Result<LnInvoicePaymentStatus> {
        unreachable!()
    }

    /// Null without credentials.
    async fn me(&self) -> Option<User> {
        None
    }

    /// The latest prices in a currency.
    async fn realtime_price(
        &self,
        #[graphql(default_with = "Some(DisplayCurrency::from(\"USD\"))")] currency: Option<
            DisplayCurrency,
        >,
    ) -> Result<RealtimePrice> {
        unreachable!()
    }
}

#[Subscription(name = "Subscription")]
#[expect(unused_variables, reason = "only the shape counts")]
impl Quiet {
    #[graphql(deprecation = "Deprecated in favor of lnInvoicePaymentStatusByPaymentRequest")]
    async fn ln_invoice_payment_status(
        &self,
        input: LnInvoicePaymentStatusInput,
    ) -> impl Stream<Item = LnInvoicePaymentStatusPayload> {
        stream::empty()
    }

    /// What becomes of the invoice with this hash.
    async fn ln_invoice_payment_status_by_hash(
        &self,
        input: LnInvoicePaymentStatusByHashInput,
    ) -> impl Stream<Item = LnInvoicePaymentStatusPayload> {
        stream::empty()
    }

    /// What becomes of this invoice.
    async fn ln_invoice_payment_status_by_payment_request(
        &self,
        input: LnInvoicePaymentStatusByPaymentRequestInput,
    ) -> impl Stream<Item = LnInvoicePaymentStatusPayload> {
        stream::empty()
    }

    /// Payments that reach the account or leave it, and prices in its currency.
    async fn my_updates(&self) -> impl Stream<Item = MyUpdatesPayload> {
        stream::empty()
    }

    /// What an amount of sats costs in US cents, at each change.
    async fn price(&self, input: PriceInput) -> impl Stream<Item = PricePayload> {
        stream::empty()
    }

    /// What one sat and one US cent cost in a currency, at each change.
    async fn realtime_price(
        &self,
        input: RealtimePriceInput,
    ) -> impl Stream<Item = RealtimePricePayload> {
        stream::empty()
    }
}

#[test]
fn the_schema_is_the_promised_one() {
    let schema = complete(Schema::build(Query, EmptyMutation, Quiet)).finish();
    let promised = include_str!("../../../schema/blink.graphql");
    assert_eq!(sdl(&schema), promised);
}
