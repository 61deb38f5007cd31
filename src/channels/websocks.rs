//! WebSocks: what is told of an account's webhooks, and which plans there are.
//!
//! All of an account's clients hear all of its webhooks. Each is told in an envelope, or as the bare body where
//! the client asks for that; in an event stream the lines of the event are part of the form.

use std::collections::HashSet;
use std::fmt::Write;
use std::net::SocketAddr;
use std::num::NonZeroUsize;
use std::time::Duration;

use serde::{Deserialize, Deserializer};
use url::Url;

use super::{Form, Question};
use crate::accounts::AccountPlans;
use crate::event::{Event, Webhook};
use crate::filter::Filter;
use crate::topic::{AccountId, Topic};

/// `[websocks]`
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WebsocksConfig {
    pub enabled: bool,
    /// Of the WebSocket.
    pub path: String,
    /// What the rest of the world calls this server; absent: where it listens.
    #[serde(default, deserialize_with = "public_url")]
    pub public_url: Option<Url>,
    pub plans: Vec<Plan>,
    /// Of accounts that have no other.
    pub default_plan: String,
    pub body_bytes: usize,
    /// What may wait for one client, in bytes.
    pub outbox_bytes: usize,
    /// How long a delivery is known to have come before.
    #[serde(with = "humantime_serde")]
    pub idempotency_window: Duration,
    /// Deliveries of one endpoint that are known so.
    pub idempotency_keys: NonZeroUsize,
    #[serde(with = "humantime_serde")]
    pub signature_tolerance: Duration,
    /// How often a client on a WebSocket is pinged.
    #[serde(with = "humantime_serde")]
    pub ping_interval: Duration,
}

/// What an account may subscribe to.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Plan {
    #[serde(deserialize_with = "plan_name")]
    pub name: String,
    /// Webhooks a month; any number, if it is absent.
    pub quota: Option<u64>,
}

/// How many webhooks an account may have taken in a month.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Allowance {
    /// The name of its plan.
    pub plan: String,
    /// That of the plan,
    pub quota: Option<u64>,
    /// and the account's own limit.
    pub cap: Option<u64>,
}

/// How a client wants webhooks told.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Envelope {
    /// `{"type":"webhook","payload":<body>,"id":"…","timestamp":"…"}`
    #[default]
    Webhook,
    /// The body alone.
    Raw,
}

/// What a client hears them by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum By {
    WebSocket,
    EventStream,
}

impl WebsocksConfig {
    /// What is wrong with it, in itself: the setting, and why.
    pub fn check(&self) -> Result<(), (&'static str, String)> {
        let mut names = HashSet::new();
        if self.plans.is_empty() {
            return Err(("websocks.plans", "expected one plan at least".to_owned()));
        }
        if let Some(twice) = self.plans.iter().find(|plan| !names.insert(&plan.name)) {
            let why = format!("there are two plans called {}", twice.name);
            return Err(("websocks.plans", why));
        }
        if self.plan(&self.default_plan).is_none() {
            let names: Vec<_> = self.plans.iter().map(|plan| plan.name.as_str()).collect();
            let why = format!("expected one of the plans: {}", names.join(", "));
            return Err(("websocks.default_plan", why));
        }
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"/-_.~".contains(&byte);
        if !(self.path.starts_with('/') && self.path.bytes().all(plain)) {
            let why = "expected a path such as \"/\" or \"/websocks\"".to_owned();
            return Err(("websocks.path", why));
        }
        Ok(())
    }

    /// The plan of this name.
    pub fn plan(&self, name: &str) -> Option<&Plan> {
        self.plans.iter().find(|plan| plan.name == name)
    }

    /// What an account with these plans may have. A plan that is not there any more is as good as none.
    pub fn allowance(&self, plans: &AccountPlans) -> Allowance {
        let own = plans.websocks.as_deref().and_then(|name| self.plan(name));
        let plan = own.or_else(|| self.plan(&self.default_plan));
        Allowance {
            plan: plan.map_or_else(|| self.default_plan.clone(), |plan| plan.name.clone()),
            quota: plan.and_then(|plan| plan.quota),
            cap: plans.webhooks_cap,
        }
    }

    /// Where webhooks are posted to: the URL in front of the slug.
    pub fn intake_url(&self, listens_at: SocketAddr) -> String {
        let base = match &self.public_url {
            Some(url) => url.as_str().trim_end_matches('/').to_owned(),
            None => format!("http://{listens_at}"),
        };
        format!("{base}/api/in/")
    }
}

impl Plan {
    /// What there may be in one.
    pub const FIELDS: &[&str] = &["name", "quota"];
}

impl Allowance {
    /// Webhooks a month that are taken; `None` for any number.
    pub fn limit(&self) -> Option<u64> {
        match (self.quota, self.cap) {
            (Some(quota), Some(cap)) => Some(quota.min(cap)),
            (quota, cap) => quota.or(cap),
        }
    }
}

impl Envelope {
    /// Reads the parameter `envelope`.
    pub fn parse(text: &str) -> Option<Self> {
        match text {
            "webhook" => Some(Envelope::Webhook),
            "raw" => Some(Envelope::Raw),
            _ => None,
        }
    }
}

/// All webhooks of an account, as one of its clients wants them told.
pub fn question(owner: AccountId, envelope: Envelope, by: By) -> Question {
    Question {
        topic: Topic::Webhook(owner),
        filter: Filter::default(),
        form: match (by, envelope) {
            (By::WebSocket, Envelope::Webhook) => &WEBHOOK,
            (By::WebSocket, Envelope::Raw) => &RAW,
            (By::EventStream, Envelope::Webhook) => &EVENT,
            (By::EventStream, Envelope::Raw) => &RAW_EVENT,
        },
    }
}

static WEBHOOK: Form = Form {
    name: "websocks",
    render: |_, event| told(event, enveloped),
    gone,
};
static RAW: Form = Form {
    name: "websocks raw",
    render: |_, event| told(event, |webhook| webhook.payload.get().to_owned()),
    gone,
};
static EVENT: Form = Form {
    name: "websocks event",
    render: |_, event| told(event, |webhook| as_event(webhook, &enveloped(webhook))),
    gone,
};
static RAW_EVENT: Form = Form {
    name: "websocks raw event",
    render: |_, event| told(event, |webhook| as_event(webhook, webhook.payload.get())),
    gone,
};

/// Webhooks stay their account's: nobody is told this.
fn gone(_: &Topic) -> String {
    String::new()
}

fn told(event: &Event, form: impl Fn(&Webhook) -> String) -> String {
    match event {
        Event::Webhook(webhook) => form(webhook),
        _ => String::new(),
    }
}

fn enveloped(webhook: &Webhook) -> String {
    let Webhook { id, payload } = webhook;
    // As JavaScript prints it. An id is read only if it is of a time that there is.
    let timestamp = id.timestamp().unwrap_or_default();
    let timestamp = timestamp.strftime("%Y-%m-%dT%H:%M:%S%.3fZ");
    let payload = payload.get();
    format!(r#"{{"type":"webhook","payload":{payload},"id":"{id}","timestamp":"{timestamp}"}}"#)
}

/// The lines of an event (HTML standard, section 9.2.5), without the end of the last. A line of the data ends
/// where the stream's do: JSON has such characters between its tokens alone, where what they are does not matter.
fn as_event(webhook: &Webhook, data: &str) -> String {
    let mut event = String::with_capacity(data.len() + 64);
    let _ = write!(event, "id: {}", webhook.id);
    let ends = memchr::memchr2_iter(b'\n', b'\r', data.as_bytes());
    let mut begin = 0;
    for end in ends.chain([data.len()]) {
        // Of CR LF, an empty line is left; it says nothing either.
        if begin < end {
            event.extend(["\ndata: ", &data[begin..end]]);
        }
        begin = end + 1;
    }
    event
}

fn public_url<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Url>, D::Error> {
    let text = String::deserialize(deserializer)?;
    let url = Url::parse(&text).ok();
    let is_plain = |url: &Url| {
        let is_http = ["http", "https"].contains(&url.scheme());
        is_http && url.has_host() && url.query().is_none() && url.fragment().is_none()
    };
    match url.filter(is_plain) {
        Some(url) => Ok(Some(url)),
        None => Err(serde::de::Error::custom(
            "expected a URL such as \"https://hooks.example\"",
        )),
    }
}

/// Names are shown in lists and typed in shells.
fn plan_name<'de, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    let text = String::deserialize(deserializer)?;
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
    match !text.is_empty() && text.len() <= 100 && text.bytes().all(plain) {
        true => Ok(text),
        false => Err(serde::de::Error::custom(
            "expected letters, digits, dashes, dots and underscores, such as \"pro\"",
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::WebhookId;
    use insta::assert_snapshot;
    use proptest::prelude::*;
    use serde_json::value::RawValue;

    fn rendered(envelope: Envelope, by: By, payload: &str) -> String {
        let owner = AccountId::from(uuid::Uuid::from_u128(1));
        let webhook = Webhook {
            id: WebhookId::parse("1795375882120-7").unwrap(),
            payload: RawValue::from_string(payload.to_owned()).unwrap(),
        };
        let Question { topic, form, .. } = question(owner, envelope, by);
        (form.render)(&topic, &Event::Webhook(webhook.into()))
    }

    #[test]
    fn a_webhook_is_told_in_its_envelope_with_its_body_as_it_came() {
        let body = r#"{"b":1.10,"a":[1e400, "\u0061"],"b":2}"#;
        assert_snapshot!(rendered(Envelope::Webhook, By::WebSocket, body), @r#"{"type":"webhook","payload":{"b":1.10,"a":[1e400, "\u0061"],"b":2},"id":"1795375882120-7","timestamp":"2026-11-22T19:31:22.120Z"}"#);
        assert_eq!(rendered(Envelope::Raw, By::WebSocket, body), body);
        assert_snapshot!(rendered(Envelope::Webhook, By::EventStream, "null"), @r#"
        id: 1795375882120-7
        data: {"type":"webhook","payload":null,"id":"1795375882120-7","timestamp":"2026-11-22T19:31:22.120Z"}
        "#);
    }

    #[test]
    fn the_lines_of_a_body_are_lines_of_an_event() {
        let body = "{\r\n  \"a\": 1,\r  \"b\": \"x\\n\u{2028}y\"\n\n}";
        let event = rendered(Envelope::Raw, By::EventStream, body);
        assert_eq!(
            event,
            "id: 1795375882120-7\ndata: {\ndata:   \"a\": 1,\ndata:   \"b\": \"x\\n\u{2028}y\"\ndata: }"
        );
    }

    #[test]
    fn the_lower_of_a_plans_quota_and_the_accounts_cap_is_the_limit() {
        let allowance = |quota, cap| {
            let plan = "free".to_owned();
            Allowance { plan, quota, cap }.limit()
        };
        assert_eq!(allowance(None, None), None);
        assert_eq!(allowance(Some(7), None), Some(7));
        assert_eq!(allowance(None, Some(7)), Some(7));
        assert_eq!(allowance(Some(7), Some(9)), Some(7));
        assert_eq!(allowance(Some(9), Some(0)), Some(0));
    }

    proptest! {
        /// What a client of an event stream puts together says the same as what was posted.
        #[test]
        fn whatever_is_posted_is_what_a_client_reads(
            text in "[a-z\\r\\n\u{85}\u{2028} \"\\\\]{0,20}",
            between in "[ \\n\\r\\t]{0,6}",
        ) {
            let string = serde_json::to_string(&text).unwrap();
            let body = format!("[{between}{string}{between},{between}1.0]");
            let event = rendered(Envelope::Raw, By::EventStream, &body);
            let lines = event.split('\n');
            prop_assert!(!event.contains('\r'));
            let data: Vec<_> = lines.filter_map(|line| line.strip_prefix("data: ")).collect();
            let read: serde_json::Value = serde_json::from_str(&data.join("\n")).unwrap();
            let sent: serde_json::Value = serde_json::from_str(&body).unwrap();
            prop_assert_eq!(read, sent);
        }
    }
}
