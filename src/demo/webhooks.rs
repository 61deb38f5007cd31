//! Webhooks of a shop: orders that are paid, packed and sent.

use std::sync::Arc;
use std::time::Duration;

use axum::http::HeaderMap;
use jiff::Timestamp;
use secrecy::SecretString;
use serde_json::{Value, json};
use tokio::time::sleep;
use uuid::Uuid;

use crate::accounts::AccountPlans;
use crate::auth::{KeyPrefix, Scope};
use crate::ingest::webhooks::Intake;
use crate::store::{Store, StoreError};
use crate::topic::AccountId;
use crate::webhook::{Endpoint, Slug};

use super::{new_key, random_unit};

/// Between two webhooks.
const WEBHOOK: Duration = Duration::from_secs(4);

/// The endpoint of the demo's account, and who posts to it.
pub struct DemoWebhooks {
    pub slug: Slug,
    pub token: SecretString,
    endpoint: Endpoint,
    intake: Arc<Intake>,
}

impl DemoWebhooks {
    pub(super) async fn new(
        store: &Store,
        prefix: &KeyPrefix,
        account: AccountId,
        intake: Arc<Intake>,
    ) -> Result<Self, StoreError> {
        let slug = Slug::generate().expect("the system has random numbers");
        let (key, token) = new_key(store, prefix, account, &[Scope::Webhooks]).await?;
        let endpoint = Endpoint {
            id: Uuid::new_v4(),
            account,
            name: Some("demo".to_owned()),
            slug: slug.digest(),
            key,
            verification: None,
            allowed_from: Vec::new(),
            is_idempotent: true,
            created_at: Timestamp::now(),
        };
        store.put_webhook(&endpoint).await?;
        // More than a thousand a month: that is an hour of the demo.
        let plans = &intake.config().plans;
        if let Some(plan) = plans.iter().find(|plan| plan.quota.is_none()) {
            let change = |plans: &mut AccountPlans| plans.websocks = Some(plan.name.clone());
            store.change_plans(account, change).await?;
        }
        Ok(DemoWebhooks {
            slug,
            token,
            endpoint,
            intake,
        })
    }

    /// Posts until it is dropped: as a sender does, but for the socket.
    pub(super) async fn run(&self) {
        for turn in 0u64.. {
            sleep(WEBHOOK).await;
            let body = order(turn).to_string().into();
            let headers = HeaderMap::new();
            if let Err(refused) = self.intake.take(&self.endpoint, &headers, &body).await {
                tracing::debug!("a demo webhook was not taken in: {refused}");
            }
        }
    }
}

/// What happens to an order: three things, one after the other.
fn order(turn: u64) -> Value {
    let event = ["order.paid", "order.packed", "order.sent"][(turn % 3) as usize];
    let cents = 500 + (random_unit() * 9_500.0) as u64;
    json!({
        "event": event,
        "order": 1_000 + turn / 3,
        "total": { "amount": cents, "currency": "EUR" },
    })
}
