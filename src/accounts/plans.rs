//! What accounts have subscribed to at the APIs that have plans.

use std::collections::HashMap;
use std::sync::Arc;

use arc_swap::ArcSwap;
use serde::{Deserialize, Serialize};

use crate::topic::AccountId;

/// The plans of one account. Where it has none, the API's default holds.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
pub struct AccountPlans {
    /// Of `websocks.plans`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub websocks: Option<String>,
    /// Webhooks a month, at most: the account's own limit, below that of its plan.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub webhooks_cap: Option<u64>,
    /// Of `blockdb.plans`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub blockdb: Option<String>,
    /// Of `allenhark.tiers`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub allenhark: Option<String>,
}

/// The plans of all accounts, mirrored in memory: readers take no lock and wait for nobody.
#[derive(Debug, Default)]
pub struct Plans(ArcSwap<HashMap<AccountId, Arc<AccountPlans>>>);

impl Plans {
    /// The plans of an account.
    pub fn of(&self, account: AccountId) -> Arc<AccountPlans> {
        let plans = self.0.load();
        plans.get(&account).cloned().unwrap_or_default()
    }

    /// Puts these plans in the place of all that were known.
    pub fn replace(&self, plans: impl IntoIterator<Item = (AccountId, AccountPlans)>) {
        let plans = plans.into_iter();
        let plans = plans.map(|(account, plans)| (account, Arc::new(plans)));
        self.0.store(Arc::new(plans.collect()));
    }
}
