//! `LN_PAYMENT_STATUS_<hash>`.

use serde::Deserialize;

use super::{Cause, EventError, from_json};
use crate::topic::PaymentHash;

/// What is told of an invoice.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum InvoiceUpdate {
    State(InvoiceState),
    Errors(Vec<EventError>),
}

/// What is known of an invoice. A publisher may leave the request and the preimage out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InvoiceState {
    pub payment_hash: PaymentHash,
    pub payment_request: Option<String>,
    pub payment_preimage: Option<String>,
    pub status: InvoiceStatus,
}

/// `Pending`, `Expired`, `Paid` on the bus; in the order in which one follows on another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
pub enum InvoiceStatus {
    Pending,
    Expired,
    Paid,
}

impl InvoiceStatus {
    /// Nothing follows on a paid or an expired invoice.
    pub fn is_final(self) -> bool {
        self != InvoiceStatus::Pending
    }

    /// The word for it on the bus.
    pub fn as_str(self) -> &'static str {
        match self {
            InvoiceStatus::Pending => "Pending",
            InvoiceStatus::Paid => "Paid",
            InvoiceStatus::Expired => "Expired",
        }
    }

    /// Reads the word.
    pub fn parse(text: &str) -> Option<Self> {
        [
            InvoiceStatus::Pending,
            InvoiceStatus::Paid,
            InvoiceStatus::Expired,
        ]
        .into_iter()
        .find(|status| status.as_str() == text)
    }
}

impl InvoiceUpdate {
    pub(super) fn decode(hash: &PaymentHash, body: &[u8]) -> Result<Self, Cause> {
        #[derive(Deserialize)]
        #[serde(rename_all = "camelCase")]
        struct Payload {
            payment_hash: Option<String>,
            payment_request: Option<String>,
            payment_preimage: Option<String>,
            status: Option<InvoiceStatus>,
            errors: Option<Vec<EventError>>,
        }
        let payload: Payload = from_json(body)?;
        if let Some(errors) = payload.errors.filter(|errors| !errors.is_empty()) {
            return Ok(InvoiceUpdate::Errors(errors));
        }
        // In whichever case it is spelled.
        if let Some(told) = payload.payment_hash
            && !told.eq_ignore_ascii_case(hash.as_str())
        {
            return Err(Cause::Meaning(format!(
                "paymentHash is {told:?}, and the channel's is {hash}"
            )));
        }
        let status = payload
            .status
            .ok_or_else(|| Cause::Meaning("status is missing".to_owned()))?;
        Ok(InvoiceUpdate::State(InvoiceState {
            payment_hash: hash.clone(),
            payment_request: payload
                .payment_request
                .filter(|request| !request.is_empty()),
            payment_preimage: payload
                .payment_preimage
                .filter(|preimage| !preimage.is_empty()),
            status,
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decode(body: &str) -> Result<InvoiceUpdate, String> {
        let hash = PaymentHash::parse(&"ab".repeat(32)).unwrap();
        InvoiceUpdate::decode(&hash, body.as_bytes()).map_err(|cause| cause.to_string())
    }

    #[test]
    fn the_cores_own_paid_message_has_no_request() {
        let body = format!(
            r#"{{"paymentHash":"{}","paymentPreimage":"{}","status":"Paid"}}"#,
            "AB".repeat(32),
            "cd".repeat(32)
        );
        let Ok(InvoiceUpdate::State(state)) = decode(&body) else {
            panic!("no state")
        };
        assert_eq!(state.status, InvoiceStatus::Paid);
        assert_eq!(state.payment_request, None);
        assert_eq!(state.payment_preimage, Some("cd".repeat(32)));
    }

    #[test]
    fn a_message_for_another_hash_is_malformed() {
        assert!(
            decode(r#"{"paymentHash":"ff","status":"Paid"}"#)
                .unwrap_err()
                .contains("paymentHash")
        );
    }

    #[test]
    fn a_status_in_upper_case_is_not_what_the_bus_says() {
        assert!(
            decode(r#"{"status":"PAID"}"#)
                .unwrap_err()
                .contains("unknown variant `PAID`")
        );
    }
}
