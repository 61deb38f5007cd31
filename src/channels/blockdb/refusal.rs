//! Why something is not done, as BlockDB's clients are told it: its error object.
//!
//! <https://docs.blockdb.io/wss-reference/overview/errors>

use std::borrow::Cow;
use std::time::Duration;

use serde::Serialize;
use serde_json::Value;
use url::Url;
use uuid::Uuid;

/// Why something is not done.
#[derive(Clone, Debug, PartialEq)]
pub enum Refusal {
    /// What is asked for is not what can be asked for.
    BadRequest(Problems),
    /// Nobody is known by the credentials, or there are none.
    Unauthorized,
    /// Who it is may not read.
    Scope,
    /// The plan of the account does not have the dataset; this one does.
    Plan(String),
    NotSubscribed,
    TooFast {
        again_in: Duration,
    },
    /// The connection has as many subscriptions as it may: so many.
    TooMany(usize),
    /// It is our fault, and passes. What is logged of it has this id.
    Internal(Uuid),
}

/// What is wrong with a request: every part of it, and nothing twice.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Problems {
    #[serde(rename = "invalid_parameters")]
    listed: Vec<Problem>,
    /// How many are not listed.
    #[serde(skip_serializing_if = "is_zero")]
    more: usize,
}

/// What is wrong with one part of a request.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Problem {
    /// `params.topic_zeros[0]`
    name: Cow<'static, str>,
    reason: Reason,
    /// What it may be, if that is a list.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    allowed: Vec<Value>,
}

/// Why a part of a request is wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Reason {
    Missing,
    /// Another type of JSON is expected.
    InvalidType,
    /// The type is right, and the value is not.
    InvalidFormat,
    /// It may be a value, but not one of those that there are.
    Unsupported,
    /// Nothing is called so.
    Unknown,
    TooManyItems,
    /// It comes twice: a key in a message, or a token in a market, which has two.
    Duplicate,
    NotSubscribed,
}

/// Problems that are listed at most: an answer is not to be many times as long as what it answers.
const LISTED: usize = 1000;

#[derive(Serialize)]
struct Object<'a> {
    code: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    http_status: Option<u16>,
    message: Cow<'static, str>,
    hint: Cow<'static, str>,
    severity: &'static str,
    retryable: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    details: Option<Details<'a>>,
    docs_url: &'a str,
}

#[derive(Serialize)]
#[serde(untagged)]
enum Details<'a> {
    Problems(Cow<'a, Problems>),
    Plan { required_plan: &'a str },
    Wait { retry_after_seconds: u64 },
    Limit { subscriptions: usize },
    Incident { incident_id: Uuid },
}

impl Problems {
    /// Of one alone.
    pub fn of(name: &'static str, reason: Reason) -> Self {
        let mut problems = Problems::default();
        problems.add(name, reason);
        problems
    }

    pub fn add(&mut self, name: impl Into<Cow<'static, str>>, reason: Reason) {
        self.push(Problem {
            name: name.into(),
            reason,
            allowed: Vec::new(),
        });
    }

    /// It is none of these.
    pub fn unsupported(&mut self, name: impl Into<Cow<'static, str>>, allowed: Vec<Value>) {
        self.push(Problem {
            name: name.into(),
            reason: Reason::Unsupported,
            allowed,
        });
    }

    /// What was read, if there are none.
    pub(super) fn none<T>(self, read: Option<T>) -> Result<T, Refusal> {
        match read {
            Some(read) if self.listed.is_empty() => Ok(read),
            _ => Err(Refusal::BadRequest(self)),
        }
    }

    fn push(&mut self, problem: Problem) {
        match self.listed.len() < LISTED {
            true => self.listed.push(problem),
            false => self.more += 1,
        }
    }
}

impl Refusal {
    /// The error object, in JSON. Over HTTP it says the status, too.
    pub fn object(&self, http_status: Option<u16>, docs_url: &Url) -> String {
        let object = Object {
            code: self.code(),
            http_status,
            message: self.message(),
            hint: self.hint(),
            severity: self.severity(),
            retryable: matches!(self, Refusal::TooFast { .. } | Refusal::Internal(_)),
            details: self.details(),
            docs_url: docs_url.as_str(),
        };
        serde_json::to_string(&object).expect("an error is JSON")
    }

    fn code(&self) -> &'static str {
        match self {
            Refusal::BadRequest(_) => "BAD_REQUEST",
            Refusal::Unauthorized => "UNAUTHORIZED",
            Refusal::Scope | Refusal::Plan(_) => "FORBIDDEN",
            Refusal::NotSubscribed => "NOT_FOUND",
            Refusal::TooFast { .. } | Refusal::TooMany(_) => "RATE_LIMIT_EXCEEDED",
            Refusal::Internal(_) => "INTERNAL_SERVER_ERROR",
        }
    }

    fn message(&self) -> Cow<'static, str> {
        match self {
            Refusal::BadRequest(_) => "Parts of the request are missing or wrong.".into(),
            Refusal::Unauthorized => "There is no API key, or not one that is good.".into(),
            Refusal::Scope => "This API key may not read.".into(),
            Refusal::Plan(plan) => format!("This dataset comes with the plan {plan:?}.").into(),
            Refusal::NotSubscribed => "There is no such subscription on this connection.".into(),
            Refusal::TooFast { .. } => "Messages come faster than they may.".into(),
            Refusal::TooMany(limit) => {
                format!("A connection may have {limit} subscriptions at a time.").into()
            }
            Refusal::Internal(_) => "This cannot be done now.".into(),
        }
    }

    fn hint(&self) -> Cow<'static, str> {
        match self {
            Refusal::BadRequest(_) => {
                "See details.invalid_parameters. Addresses and hashes are hex without 0x, dataset_id is a string of four digits."
            }
            Refusal::Unauthorized => "Send Authorization: Bearer <key>, or ?api_key=<key>.",
            Refusal::Scope => "Use a key with the scope read.",
            Refusal::Plan(_) => "Upgrade the account's plan.",
            Refusal::NotSubscribed => "Subscriptions end with their connection.",
            Refusal::TooFast { .. } => "Wait for details.retry_after_seconds.",
            Refusal::TooMany(_) => "Unsubscribe from something, or open another connection.",
            Refusal::Internal(_) => "Try again in a while.",
        }
        .into()
    }

    fn severity(&self) -> &'static str {
        match self {
            Refusal::NotSubscribed | Refusal::TooFast { .. } => "warning",
            Refusal::Internal(_) => "critical",
            _ => "error",
        }
    }

    fn details(&self) -> Option<Details<'_>> {
        match self {
            Refusal::BadRequest(problems) => Some(Details::Problems(Cow::Borrowed(problems))),
            Refusal::Plan(required_plan) => Some(Details::Plan { required_plan }),
            Refusal::TooFast { again_in } => Some(Details::Wait {
                // Rounded up, so that whoever waits for so long is heard.
                retry_after_seconds: again_in.as_millis().div_ceil(1000) as u64,
            }),
            Refusal::TooMany(subscriptions) => Some(Details::Limit {
                subscriptions: *subscriptions,
            }),
            Refusal::Internal(incident_id) => Some(Details::Incident {
                incident_id: *incident_id,
            }),
            Refusal::NotSubscribed => {
                let problems = Problems::of("dataset_id", Reason::NotSubscribed);
                Some(Details::Problems(Cow::Owned(problems)))
            }
            Refusal::Unauthorized | Refusal::Scope => None,
        }
    }
}

fn is_zero(count: &usize) -> bool {
    *count == 0
}
