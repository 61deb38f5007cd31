//! The ledger of all nodes: one script on Redis, which runs whole or not at all.
//!
//! | key | is | lives |
//! |---|---|---|
//! | `tidings:usage:<account>:<month>` | how many webhooks the account has had | 13 months after the last |
//! | `tidings:entered:<endpoint>` | a hash: from idempotency key to the id of the webhook | `websocks.idempotency_window` after the last |
//! | `tidings:entered:<endpoint>:at` | a sorted set: when each of them was entered | as long |
//!
//! and the history of the account, which [`retained`](crate::retained) has.

use std::time::Duration;

use jiff::Timestamp;
use redis::{Cmd, cmd};
use sha1::{Digest, Sha1};
use uuid::Uuid;

use super::{Delivery, Entered, LedgerError, MONTHS, Month, Rules, read_id};
use crate::event::WebhookId;
use crate::ingest::webhooks::idempotency::IdempotencyKey;
use crate::redis_link::{RedisLink, Unavailable};
use crate::retained::{HistoryKeys, RetainedConfig};
use crate::topic::{AccountId, Topic};

/// Has a script do it.
pub struct RedisLedger {
    link: RedisLink,
    rules: Rules,
    history: RetainedConfig,
    /// What Redis knows the script by.
    digest: String,
}

const SCRIPT: &str = include_str!("enter.lua");

impl RedisLedger {
    /// On the Redis that the link leads to, with a history as it is configured.
    pub fn new(link: RedisLink, rules: Rules, history: RetainedConfig) -> Self {
        let digest = Sha1::digest(SCRIPT);
        RedisLedger {
            link,
            rules,
            history,
            digest: digest.iter().map(|byte| format!("{byte:02x}")).collect(),
        }
    }

    pub(super) async fn enter(&self, delivery: Delivery) -> Result<Entered, LedgerError> {
        let known = self.script("EVALSHA", &self.digest, &delivery);
        let told = self.link.run::<(String, String)>(&known).await;
        let (what, id) = match told {
            Err(Unavailable::Refused(error)) if error.code() == Some("NOSCRIPT") => {
                let whole = self.script("EVAL", SCRIPT, &delivery);
                self.link.run(&whole).await?
            }
            told => told?,
        };
        match what.as_str() {
            "new" => read_id(id).map(Entered::New),
            "before" => read_id(id).map(Entered::Before),
            _ => Ok(Entered::OverLimit),
        }
    }

    fn script(&self, command: &str, script: &str, delivery: &Delivery) -> Cmd {
        let HistoryKeys {
            bodies,
            sizes,
            bytes,
        } = HistoryKeys::of(delivery.account);
        let (ids, times) = entered_keys(delivery.endpoint);
        let mut run = cmd(command);
        run.arg(script).arg(6);
        run.arg(used_key(delivery.account, delivery.month))
            .arg(bodies)
            .arg(sizes)
            .arg(bytes)
            .arg(ids)
            .arg(times);
        let limit = delivery.limit.map(|limit| limit.to_string());
        let key = delivery.key.as_ref().map(IdempotencyKey::as_bytes);
        run.arg(Topic::Webhook(delivery.account).channel())
            .arg(&delivery.payload)
            .arg(limit.unwrap_or_default())
            .arg(i64::from(MONTHS) * 31 * 24 * 3600 * 1000)
            .arg(self.history.webhooks)
            .arg(self.history.webhooks_bytes)
            .arg(millis(self.history.webhooks_for))
            .arg(key.unwrap_or_default())
            .arg(millis(self.rules.window))
            .arg(self.rules.keys.get());
        run
    }

    pub(super) async fn before(
        &self,
        endpoint: Uuid,
        key: IdempotencyKey,
    ) -> Result<Option<WebhookId>, LedgerError> {
        let (ids, times) = entered_keys(endpoint);
        // Those whose window is over go when others are entered.
        let mut at = cmd("ZSCORE");
        let at: Option<i64> = self.link.run(at.arg(times).arg(key.as_bytes())).await?;
        let since = Timestamp::now().as_millisecond() - millis(self.rules.window);
        if at.is_none_or(|at| at <= since) {
            return Ok(None);
        }
        let mut get = cmd("HGET");
        let id: Option<String> = self.link.run(get.arg(ids).arg(key.as_bytes())).await?;
        id.map(read_id).transpose()
    }

    pub(super) async fn used(&self, account: AccountId, month: Month) -> Result<u64, LedgerError> {
        let mut get = cmd("GET");
        let used: Option<u64> = self.link.run(get.arg(used_key(account, month))).await?;
        Ok(used.unwrap_or(0))
    }
}

fn used_key(account: AccountId, month: Month) -> String {
    format!("tidings:usage:{account}:{month}")
}

fn entered_keys(endpoint: Uuid) -> (String, String) {
    let ids = format!("tidings:entered:{endpoint}");
    let times = format!("{ids}:at");
    (ids, times)
}

fn millis(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}
