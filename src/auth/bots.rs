//! Whose the trading bots are.

use std::collections::HashMap;
use std::sync::Arc;

use arc_swap::ArcSwap;
use jiff::Timestamp;

use crate::topic::{AccountId, BotId};

/// A bot, as the store keeps it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BotRecord {
    pub id: BotId,
    /// Whose it is.
    pub account: AccountId,
    pub created_at: Timestamp,
}

/// The owners of all bots, mirrored in memory: readers take no lock and wait for nobody.
#[derive(Debug, Default)]
pub struct BotOwners(ArcSwap<HashMap<BotId, AccountId>>);

impl BotOwners {
    /// Whose a bot is; `None` for one that is not known.
    pub fn owner(&self, bot: &BotId) -> Option<AccountId> {
        self.0.load().get(bot).copied()
    }

    /// Puts these bots in the place of all that were known.
    pub fn replace(&self, bots: impl IntoIterator<Item = (BotId, AccountId)>) {
        self.0.store(Arc::new(bots.into_iter().collect()));
    }
}
