//! What becomes of a Lightning invoice.

use std::sync::Arc;

use async_graphql::{Context, Enum, InputObject, Object};

use super::error::{Error, errors, told_errors};
use crate::event::{EventError, InvoiceState, InvoiceStatus, InvoiceUpdate};
use crate::graphql::json;
use crate::graphql::plan::{Asked, Lookups, NotPlanned, Told, Write};
use crate::graphql::scalars::{LnPaymentPreImage, LnPaymentRequest, PaymentHash};
use crate::topic;

/// What is known of an invoice.
#[derive(Clone)]
pub struct LnInvoicePaymentStatus {
    state: InvoiceState,
    asked: Option<LnPaymentRequest>,
}

/// What the subscriptions to an invoice tell.
pub struct LnInvoicePaymentStatusPayload {
    errors: Vec<EventError>,
    status: Option<LnInvoicePaymentStatus>,
}

/// What becomes of an invoice.
#[derive(Enum, Clone, Copy, Debug, PartialEq, Eq)]
#[graphql(remote = "InvoiceStatus")]
pub enum InvoicePaymentStatus {
    Expired,
    Paid,
    Pending,
}

/// Which invoice, by its request.
#[derive(InputObject)]
pub struct LnInvoicePaymentStatusInput {
    pub payment_request: LnPaymentRequest,
}

/// Which invoice, by its request.
#[derive(InputObject)]
pub struct LnInvoicePaymentStatusByPaymentRequestInput {
    pub payment_request: LnPaymentRequest,
}

/// Which invoice, by its hash.
#[derive(InputObject)]
pub struct LnInvoicePaymentStatusByHashInput {
    pub payment_hash: PaymentHash,
}

/// Where resolvers find an invoice that was published without its request.
#[derive(Clone)]
pub struct InvoiceRequests(pub Arc<FindRequest>);

type FindRequest = dyn Fn(&topic::PaymentHash) -> Option<String> + Send + Sync;

impl LnInvoicePaymentStatus {
    /// This state. Whoever `asked` by a request is answered with it, in his own spelling.
    pub fn of(state: &InvoiceState, asked: Option<LnPaymentRequest>) -> Self {
        LnInvoicePaymentStatus {
            state: state.clone(),
            asked,
        }
    }

    fn hash(&self) -> PaymentHash {
        self.state.payment_hash.as_str().into()
    }

    fn preimage(&self) -> Option<LnPaymentPreImage> {
        self.state.payment_preimage.clone().map(Into::into)
    }

    /// As it was asked, or published; or as it is known where resolvers run that can know it.
    fn request(&self, requests: Option<&InvoiceRequests>) -> Option<LnPaymentRequest> {
        let published = || self.state.payment_request.clone();
        let looked_up = || {
            let InvoiceRequests(find) = requests?;
            find(&self.state.payment_hash)
        };
        let known = || published().or_else(looked_up).map(Into::into);
        self.asked.clone().or_else(known)
    }

    fn status(&self) -> InvoicePaymentStatus {
        self.state.status.into()
    }
}

/// What is known of a Lightning invoice.
#[Object]
impl LnInvoicePaymentStatus {
    async fn payment_hash(&self) -> Option<PaymentHash> {
        Some(self.hash())
    }

    async fn payment_preimage(&self) -> Option<LnPaymentPreImage> {
        self.preimage()
    }

    async fn payment_request(&self, ctx: &Context<'_>) -> Option<LnPaymentRequest> {
        self.request(ctx.data_opt())
    }

    #[graphql(name = "status")]
    async fn payment_status(&self) -> Option<InvoicePaymentStatus> {
        Some(self.status())
    }
}

impl LnInvoicePaymentStatusPayload {
    /// What an update tells to whoever `asked` by this request, or by the hash.
    pub fn of_update(update: &InvoiceUpdate, asked: Option<LnPaymentRequest>) -> Self {
        match update {
            InvoiceUpdate::State(state) => LnInvoicePaymentStatusPayload {
                errors: Vec::new(),
                status: Some(LnInvoicePaymentStatus::of(state, asked)),
            },
            InvoiceUpdate::Errors(errors) => LnInvoicePaymentStatusPayload {
                errors: errors.clone(),
                status: None,
            },
        }
    }

    /// An error instead of a status.
    pub fn error(error: EventError) -> Self {
        LnInvoicePaymentStatusPayload {
            errors: vec![error],
            status: None,
        }
    }
}

#[Object]
impl LnInvoicePaymentStatusPayload {
    async fn errors(&self) -> Vec<Error> {
        errors(&self.errors)
    }

    async fn payment_hash(&self) -> Option<PaymentHash> {
        self.status.as_ref().map(LnInvoicePaymentStatus::hash)
    }

    async fn payment_preimage(&self) -> Option<LnPaymentPreImage> {
        self.status.as_ref()?.preimage()
    }

    async fn payment_request(&self, ctx: &Context<'_>) -> Option<LnPaymentRequest> {
        self.status.as_ref()?.request(ctx.data_opt())
    }

    async fn status(&self) -> Option<InvoicePaymentStatus> {
        self.status.as_ref().map(LnInvoicePaymentStatus::status)
    }
}

impl Told for LnInvoicePaymentStatusPayload {
    type Value = Self;

    fn field(asked: &Asked<'_>) -> Result<Write<Self>, NotPlanned> {
        Ok(match asked.name() {
            "errors" => told_errors(asked, |payload: &Self| &payload.errors[..])?,
            "paymentHash" => Write::optional(|payload: &Self| {
                let status = payload.status.as_ref()?;
                Some(status.state.payment_hash.as_str())
            }),
            "paymentPreimage" => Write::optional(|payload: &Self| {
                let status = payload.status.as_ref()?;
                status.state.payment_preimage.as_deref()
            }),
            "paymentRequest" => Write::fallible(|payload: &Self, lookups: &Lookups, json| {
                let status = payload.status.as_ref();
                match status.and_then(|status| status.request(Some(&lookups.requests))) {
                    Some(request) => json::scalar(json, &request),
                    None => json.push_str("null"),
                }
                Ok(())
            }),
            "status" => Write::value(|payload: &Self, json| match &payload.status {
                Some(status) => json::word(json, status.status()),
                None => json.push_str("null"),
            }),
            _ => return Err(NotPlanned),
        })
    }
}
