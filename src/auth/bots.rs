//! Whose the trading bots are.

use std::collections::HashMap;
use std::sync::Arc;

use arc_swap::ArcSwap;
use jiff::Timestamp;
use tokio::sync::watch;

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
pub struct BotOwners {
    owners: ArcSwap<HashMap<BotId, AccountId>>,
    losses: watch::Sender<u64>,
}

impl BotOwners {
    /// Whose a bot is; `None` for one that is not known.
    pub fn owner(&self, bot: &BotId) -> Option<AccountId> {
        self.owners.load().get(bot).copied()
    }

    /// Puts these bots in the place of all that were known.
    pub fn replace(&self, bots: impl IntoIterator<Item = (BotId, AccountId)>) {
        let owners: HashMap<_, _> = bots.into_iter().collect();
        let before = self.owners.swap(Arc::new(owners));
        let owners = self.owners.load();
        let is_lost = |(bot, owner): (&BotId, &AccountId)| owners.get(bot) != Some(owner);
        if before.iter().any(is_lost) {
            self.losses.send_modify(|losses| *losses += 1);
        }
    }

    /// Changes after somebody has lost a bot: it was removed, or is another account's now.
    pub fn losses(&self) -> watch::Receiver<u64> {
        self.losses.subscribe()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whoever_gains_a_bot_disturbs_nobody_and_whoever_loses_one_is_noticed() {
        let bot = |name: &str| BotId::parse(name).unwrap();
        let account = |id: u128| AccountId::from(uuid::Uuid::from_u128(id));
        let owners = BotOwners::default();
        let mut losses = owners.losses();
        owners.replace([(bot("bot_1"), account(1))]);
        owners.replace([(bot("bot_1"), account(1)), (bot("bot_2"), account(1))]);
        assert!(!losses.has_changed().unwrap());
        owners.replace([(bot("bot_1"), account(2)), (bot("bot_2"), account(1))]);
        assert!(losses.has_changed().unwrap());
        losses.mark_unchanged();
        owners.replace([(bot("bot_1"), account(2))]);
        assert!(losses.has_changed().unwrap());
        assert_eq!(owners.owner(&bot("bot_1")), Some(account(2)));
        assert_eq!(owners.owner(&bot("bot_2")), None);
    }
}
