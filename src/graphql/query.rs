//! The root fields of queries: the present state of what subscriptions tell.

use async_graphql::{Context, Object, Result};

use super::Sources;
use super::blink::{
    Currency, LatestPrices, LnInvoicePaymentStatus, LnInvoicePaymentStatusByHashInput,
    LnInvoicePaymentStatusByPaymentRequestInput, RealtimePrice, User, unavailable,
};
use super::need::{invoice_not_found, store_away};
use super::scalars::{DisplayCurrency, Origin, thrown};
use crate::auth::Identity;
use crate::bolt11::PaymentRequest;
use crate::currency::CurrencyDetails;
use crate::event::EventError;
use crate::hub::InvoiceTerms;
use crate::topic;

/// The root of queries.
pub(super) struct Query;

#[Object(name = "Query")]
impl Query {
    /// All currencies that prices are told in.
    async fn currency_list(&self, ctx: &Context<'_>) -> Result<Vec<Currency>> {
        let sources = permitted(ctx)?;
        let LatestPrices(latest) = ctx.data::<LatestPrices>()?;
        let details = |currency: &topic::Currency| {
            latest(*currency).map_or_else(
                || CurrencyDetails::of(*currency),
                |tick| tick.details.clone(),
            )
        };
        Ok(sources
            .currencies
            .iter()
            .map(details)
            .map(Currency::of)
            .collect())
    }

    async fn ln_invoice_payment_status_by_hash(
        &self,
        ctx: &Context<'_>,
        input: LnInvoicePaymentStatusByHashInput,
    ) -> Result<LnInvoicePaymentStatus> {
        let sources = permitted(ctx)?;
        let hash = input
            .payment_hash
            .check()
            .map_err(|invalid| invalid.thrown())?;
        let terms = sources
            .terms_of(&hash)
            .await
            .map_err(store_away)?
            .ok_or_else(|| failed(invoice_not_found(&hash)))?;
        Ok(LnInvoicePaymentStatus::of(
            &sources.hub.present_invoice(&terms).await,
            None,
        ))
    }

    async fn ln_invoice_payment_status_by_payment_request(
        &self,
        ctx: &Context<'_>,
        input: LnInvoicePaymentStatusByPaymentRequestInput,
    ) -> Result<LnInvoicePaymentStatus> {
        let sources = permitted(ctx)?;
        let request = input.payment_request;
        let text = request.check().map_err(|invalid| invalid.thrown())?;
        let decoded = PaymentRequest::decode(text)
            .map_err(|undecodable| thrown(undecodable.to_string(), "INVOICE_DECODE_ERROR"))?;
        let terms = InvoiceTerms {
            payment_hash: decoded.payment_hash,
            payment_request: Some(text.to_owned()),
            expires_at: Some(decoded.expires_at),
        };
        Ok(LnInvoicePaymentStatus::of(
            &sources.hub.present_invoice(&terms).await,
            Some(request.clone()),
        ))
    }

    /// Null without credentials.
    async fn me(&self, ctx: &Context<'_>) -> Result<Option<User>> {
        let sources = permitted(ctx)?;
        let id = ctx.data::<Identity>()?.account();
        Ok(id.map(|id| User::of(id, sources.directory.get(id))))
    }

    /// The latest prices in a currency.
    async fn realtime_price(
        &self,
        ctx: &Context<'_>,
        #[graphql(default_with = "Some(DisplayCurrency::from(\"USD\"))")] currency: Option<
            DisplayCurrency,
        >,
    ) -> Result<RealtimePrice> {
        let sources = permitted(ctx)?;
        let no_currency = || {
            failed(EventError::coded(
                "Invalid currency.",
                super::scalars::INVALID_INPUT,
            ))
        };
        let currency = currency.ok_or_else(no_currency)?;
        let currency = currency
            .check(Origin::Variable)
            .map_err(|invalid| invalid.thrown())?;
        let currency = sources
            .quoted(currency.ok_or_else(no_currency)?)
            .map_err(failed)?;
        let LatestPrices(latest) = ctx.data::<LatestPrices>()?;
        latest(currency)
            .map(RealtimePrice::of)
            .ok_or_else(unavailable)
    }
}

/// What resolvers need, for whoever may query: a key without the scope `read` may not.
fn permitted<'a>(ctx: &Context<'a>) -> Result<&'a Sources> {
    let sources = ctx.data::<Sources>()?;
    match ctx.data::<Identity>()?.scopes().may_read() {
        true => Ok(sources),
        false => Err(thrown(
            "Not authorized: this credential has not the scope `read`",
            "NOT_AUTHORIZED",
        )),
    }
}

fn failed(error: EventError) -> async_graphql::Error {
    match error.code {
        Some(code) => {
            let mut thrown = async_graphql::Error::new(error.message);
            thrown.extensions.get_or_insert_default().set("code", code);
            thrown
        }
        None => async_graphql::Error::new(error.message),
    }
}
