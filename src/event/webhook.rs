//! Webhooks that were taken in.

use std::fmt;

use jiff::Timestamp;
use serde::Deserialize;
use serde_json::value::RawValue;

use super::{Cause, from_json};

/// A webhook that was taken in for an account.
#[derive(Clone, Debug)]
pub struct Webhook {
    pub id: WebhookId,
    /// The body, byte for byte as it came, without the space around it.
    pub payload: Box<RawValue>,
}

/// The id of a webhook, which is later than those of all that were taken in before it for the same account:
/// when it was taken in, in Unix milliseconds, and its place among those of that millisecond. It prints as the
/// ids of Redis' streams do, `1795375882123-0`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct WebhookId {
    pub millisecond: u64,
    pub sequence: u64,
}

impl Webhook {
    pub(super) fn decode(body: &[u8]) -> Result<Self, Cause> {
        #[derive(Deserialize)]
        struct Body {
            id: String,
            payload: Box<RawValue>,
        }
        let Body { id, payload } = from_json(body)?;
        let wrong = || Cause::Meaning(format!("id: {id:?} is not like \"1795375882123-0\""));
        let id = WebhookId::parse(&id).ok_or_else(wrong)?;
        Ok(Webhook { id, payload })
    }

    /// How it goes over the bus, and is kept.
    pub fn body(id: WebhookId, payload: &str) -> String {
        format!(r#"{{"id":"{id}","payload":{payload}}}"#)
    }
}

impl PartialEq for Webhook {
    fn eq(&self, other: &Self) -> bool {
        (self.id, self.payload.get()) == (other.id, other.payload.get())
    }
}

impl WebhookId {
    /// Reads the one spelling that [`fmt::Display`] prints.
    pub fn parse(text: &str) -> Option<Self> {
        let (millisecond, sequence) = text.split_once('-')?;
        let id = WebhookId {
            millisecond: millisecond.parse().ok()?,
            sequence: sequence.parse().ok()?,
        };
        (id.to_string() == text && id.timestamp().is_some()).then_some(id)
    }

    /// When it was taken in; `None` for a time that there is not.
    pub fn timestamp(self) -> Option<Timestamp> {
        Timestamp::from_millisecond(self.millisecond.try_into().ok()?).ok()
    }

    /// The id of the next one that is taken in at this time.
    pub fn next(self, now: Timestamp) -> Self {
        let millisecond = u64::try_from(now.as_millisecond()).unwrap_or_default();
        if millisecond > self.millisecond {
            let sequence = 0;
            return WebhookId {
                millisecond,
                sequence,
            };
        }
        // The clock may have been set back.
        WebhookId {
            sequence: self.sequence + 1,
            ..self
        }
    }
}

impl fmt::Display for WebhookId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.millisecond, self.sequence)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_body_is_kept_as_it_came() {
        let payload = r#"{ "b": 1.10, "a": [1e400, "\u0061"] }"#;
        let id = WebhookId::parse("1795375882123-7").unwrap();
        let webhook = Webhook::decode(Webhook::body(id, payload).as_bytes()).unwrap();
        assert_eq!((webhook.id, webhook.payload.get()), (id, payload));
    }

    #[test]
    fn ids_are_spelled_in_one_way_and_grow() {
        for text in ["", "1", "1-", "01-0", "1-+1", "-1-1", "99999999999999999-0"] {
            assert_eq!(WebhookId::parse(text), None, "{text}");
        }
        let first = WebhookId::parse("1795375882123-0").unwrap();
        let now = first.timestamp().unwrap();
        let second = first.next(now);
        assert_eq!(second.to_string(), "1795375882123-1");
        assert!(second.next(Timestamp::UNIX_EPOCH) > second);
        let later = now + jiff::SignedDuration::from_millis(1);
        assert_eq!(second.next(later).to_string(), "1795375882124-0");
    }
}
