//! What is kept: keys and accounts.
//!
//! A server does not ask the store while it serves: [`refresh`] mirrors it in memory. Whoever
//! writes to the store, in whatever process, changes its [`Version`], and so every server hears of
//! it within a second.

mod mirror;
mod record;
mod redis;
mod sqlite;

pub use self::mirror::{Mirrored, refresh};

use std::path::PathBuf;

use jiff::Timestamp;
use serde::Deserialize;
use uuid::Uuid;

use self::redis::RedisStore;
use self::sqlite::SqliteStore;
use crate::accounts::{Account, AccountPlans};
use crate::auth::{BotRecord, KeyRecord};
use crate::redis_link::{RedisLink, Unavailable};
use crate::topic::{AccountId, BotId};
use crate::webhook::Endpoint;

/// `[store]`
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StoreConfig {
    /// Where `tidings.db` is.
    pub directory: PathBuf,
}

/// Keeps keys and accounts. Cheap to clone.
#[derive(Clone)]
pub enum Store {
    Sqlite(SqliteStore),
    Redis(RedisStore),
}

/// Changes whenever anybody wrote. Only good for being compared with an earlier one of the same
/// store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Version([i64; 2]);

/// Why the store did not do what it was asked for.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    #[error("cannot make the directory {}", directory.display())]
    Directory {
        directory: PathBuf,
        #[source]
        cause: std::io::Error,
    },
    #[error("tidings.db was made by a newer tidings")]
    Newer,
    #[error(transparent)]
    Sqlite(#[from] rusqlite::Error),
    #[error(transparent)]
    Away(#[from] Unavailable),
}

impl Store {
    /// `tidings.db` in the configured directory; both are made if they are missing. Blocks.
    pub fn open(config: &StoreConfig) -> Result<Self, StoreError> {
        SqliteStore::open(&config.directory).map(Store::Sqlite)
    }

    /// A store that ends with this process.
    pub fn in_memory() -> Result<Self, StoreError> {
        SqliteStore::in_memory().map(Store::Sqlite)
    }

    /// The store that all servers of one Redis share.
    pub fn redis(link: RedisLink) -> Self {
        Store::Redis(RedisStore::new(link))
    }

    /// Cheap enough to be asked for several times a second.
    pub async fn version(&self) -> Result<Version, StoreError> {
        match self {
            Store::Sqlite(store) => store.version().await,
            Store::Redis(store) => store.version().await,
        }
    }

    /// All keys, the oldest first; those too that are not good any more.
    pub async fn keys(&self) -> Result<Vec<KeyRecord>, StoreError> {
        let mut keys = readable(self.records(Kind::Keys).await?, record::read_key);
        keys.sort_by_key(|key| (key.created_at, key.id));
        Ok(keys)
    }

    /// All accounts, by id.
    pub async fn accounts(&self) -> Result<Vec<Account>, StoreError> {
        let mut accounts = readable(self.records(Kind::Accounts).await?, |json| {
            crate::accounts::read_one(json).map_err(|error| error.to_string())
        });
        accounts.sort_by_key(|account| account.id);
        Ok(accounts)
    }

    /// Keeps a new key.
    pub async fn add_key(&self, key: &KeyRecord) -> Result<(), StoreError> {
        let record = (key.id.to_string(), record::write_key(key));
        self.put(Kind::Keys, vec![record]).await
    }

    /// Revokes a key, unless it was before. The key as it is now; `None` if there is no such key.
    pub async fn revoke_key(
        &self,
        id: Uuid,
        now: Timestamp,
    ) -> Result<Option<KeyRecord>, StoreError> {
        // Nothing else about a key changes, so two who revoke it at once only differ in the date.
        let keys = self.keys().await?;
        let Some(mut key) = keys.into_iter().find(|key| key.id == id) else {
            return Ok(None);
        };
        if key.revoked_at.is_none() {
            key.revoked_at = Some(now);
            self.add_key(&key).await?;
        }
        Ok(Some(key))
    }

    /// Keeps accounts, in the place of those with the same ids.
    pub async fn put_accounts(&self, accounts: &[Account]) -> Result<(), StoreError> {
        let records = accounts.iter().map(|account| {
            let json = crate::accounts::write_one(account);
            (account.id.to_string(), json)
        });
        self.put(Kind::Accounts, records.collect()).await
    }

    /// All bots, by id.
    pub async fn bots(&self) -> Result<Vec<BotRecord>, StoreError> {
        let mut bots = readable(self.records(Kind::Bots).await?, record::read_bot);
        bots.sort_by(|one, other| one.id.cmp(&other.id));
        Ok(bots)
    }

    /// Keeps a bot, in the place of one with the same id.
    pub async fn put_bot(&self, bot: &BotRecord) -> Result<(), StoreError> {
        let record = (bot.id.to_string(), record::write_bot(bot));
        self.put(Kind::Bots, vec![record]).await
    }

    /// Forgets a bot. `false` if there was none.
    pub async fn remove_bot(&self, id: &BotId) -> Result<bool, StoreError> {
        self.remove(Kind::Bots, id.as_str()).await
    }

    /// All endpoints of webhooks, the oldest first.
    pub async fn webhooks(&self) -> Result<Vec<Endpoint>, StoreError> {
        let records = self.records(Kind::Webhooks).await?;
        let mut endpoints = readable(records, record::read_webhook);
        endpoints.sort_by_key(|endpoint| (endpoint.created_at, endpoint.id));
        Ok(endpoints)
    }

    /// Keeps an endpoint of webhooks, in the place of one with the same id.
    pub async fn put_webhook(&self, endpoint: &Endpoint) -> Result<(), StoreError> {
        let record = (endpoint.id.to_string(), record::write_webhook(endpoint));
        self.put(Kind::Webhooks, vec![record]).await
    }

    /// Forgets an endpoint of webhooks. `false` if there was none.
    pub async fn remove_webhook(&self, id: Uuid) -> Result<bool, StoreError> {
        self.remove(Kind::Webhooks, &id.to_string()).await
    }

    /// The plans of all accounts that have some.
    pub async fn plans(&self) -> Result<Vec<(AccountId, AccountPlans)>, StoreError> {
        let records = self.records(Kind::Plans).await?;
        let ids: Vec<_> = records.iter().map(|(id, _)| AccountId::parse(id)).collect();
        let plans = records.into_iter().zip(ids).filter_map(|(record, id)| {
            let read = |json: &str| serde_json::from_str(json).map_err(|error| error.to_string());
            let plans = readable(vec![record], read).pop()?;
            Some((id?, plans))
        });
        Ok(plans.collect())
    }

    /// Keeps the plans of an account, in the place of those that it had.
    pub async fn put_plans(
        &self,
        account: AccountId,
        plans: &AccountPlans,
    ) -> Result<(), StoreError> {
        let json = serde_json::to_string(plans).expect("plans are JSON");
        self.put(Kind::Plans, vec![(account.to_string(), json)])
            .await
    }

    /// Changes the plans of an account. Of two who do that at once the later one counts.
    pub async fn change_plans(
        &self,
        account: AccountId,
        change: impl FnOnce(&mut AccountPlans),
    ) -> Result<(), StoreError> {
        let mut kept = self.plans().await?.into_iter();
        let own = kept.find(|(of, _)| *of == account);
        let mut plans = own.map(|(_, plans)| plans).unwrap_or_default();
        change(&mut plans);
        self.put_plans(account, &plans).await
    }

    async fn records(&self, kind: Kind) -> Result<Vec<(String, String)>, StoreError> {
        match self {
            Store::Sqlite(store) => store.records(kind).await,
            Store::Redis(store) => store.records(kind).await,
        }
    }

    async fn remove(&self, kind: Kind, id: &str) -> Result<bool, StoreError> {
        match self {
            Store::Sqlite(store) => store.remove(kind, id.to_owned()).await,
            Store::Redis(store) => store.remove(kind, id).await,
        }
    }

    async fn put(&self, kind: Kind, records: Vec<(String, String)>) -> Result<(), StoreError> {
        match self {
            Store::Sqlite(store) => store.put(kind, records).await,
            Store::Redis(store) => store.put(kind, records).await,
        }
    }
}

/// What is kept, each as JSON by its id.
#[derive(Clone, Copy, Debug)]
enum Kind {
    Keys,
    Accounts,
    Bots,
    Plans,
    Webhooks,
}

impl Kind {
    /// The table, and a part of the name of the hash.
    fn name(self) -> &'static str {
        match self {
            Kind::Keys => "keys",
            Kind::Accounts => "accounts",
            Kind::Bots => "bots",
            Kind::Plans => "plans",
            Kind::Webhooks => "webhooks",
        }
    }
}

/// The records that can be read. One that cannot (a newer tidings wrote it, or somebody's hand) must
/// not keep us from hearing of the others, a revocation among them; a key that cannot be read
/// opens nothing.
fn readable<T>(records: Vec<(String, String)>, read: impl Fn(&str) -> Result<T, String>) -> Vec<T> {
    let read = |(id, json): (String, String)| match read(&json) {
        Ok(value) => Some(value),
        Err(error) => {
            tracing::warn!(record.id = %id, error, "left out a record that cannot be read");
            None
        }
    };
    records.into_iter().filter_map(read).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::auth::{ApiKey, KeyRecord, Scope};
    use crate::topic::UserId;
    use crate::webhook::{Scheme, SigningSecret, Slug, Verification};

    fn key() -> KeyRecord {
        KeyRecord {
            id: Uuid::new_v4(),
            name: Some("till".to_owned()),
            account: Uuid::new_v4().into(),
            user: UserId::of_number(42),
            scopes: [Scope::Read, Scope::Write].into_iter().collect(),
            digest: ApiKey::generate().unwrap().digest(),
            created_at: Timestamp::now(),
            expires_at: Some(Timestamp::now()),
            revoked_at: None,
        }
    }

    fn account() -> Account {
        let wallet = Uuid::new_v4();
        let json = format!(
            r#"[{{"id":"{}","displayCurrency":"USD","level":"ONE","defaultWalletId":"{wallet}","wallets":[{{"id":"{wallet}","walletCurrency":"BTC"}}]}}]"#,
            Uuid::new_v4()
        );
        crate::accounts::read("-", &json).unwrap().remove(0)
    }

    fn endpoint(key: &KeyRecord) -> Endpoint {
        let secret = SigningSecret::parse(Scheme::Stripe, "whsec_hush").unwrap();
        Endpoint {
            id: Uuid::new_v4(),
            account: key.account,
            name: Some("shop".to_owned()),
            slug: Slug::generate().unwrap().digest(),
            key: key.id,
            verification: Some(Verification::new(Scheme::Stripe, vec![secret]).unwrap()),
            allowed_from: vec!["192.0.2.0/24".parse().unwrap()],
            is_idempotent: true,
            created_at: Timestamp::now(),
        }
    }

    /// What is true of every store.
    async fn keeps_its_promises(store: Store, same: Store) {
        let (key, account) = (key(), account());
        let empty = same.version().await.unwrap();
        assert_eq!(same.version().await.unwrap(), empty);

        store.add_key(&key).await.unwrap();
        assert_ne!(same.version().await.unwrap(), empty, "a key was added");
        assert_eq!(same.keys().await.unwrap(), std::slice::from_ref(&key));

        let before = store.version().await.unwrap();
        let now = Timestamp::now();
        let revoked = store.revoke_key(key.id, now).await.unwrap().unwrap();
        assert_eq!(revoked.revoked_at, Some(now));
        assert_ne!(store.version().await.unwrap(), before, "by our own hand");
        assert_eq!(same.keys().await.unwrap(), std::slice::from_ref(&revoked));

        let later = now + jiff::SignedDuration::from_secs(1);
        let again = store.revoke_key(key.id, later).await.unwrap();
        assert_eq!(again, Some(revoked), "the first revocation stands");
        let nobody = store.revoke_key(Uuid::new_v4(), now).await.unwrap();
        assert_eq!(nobody, None);

        let before = same.version().await.unwrap();
        store
            .put_accounts(std::slice::from_ref(&account))
            .await
            .unwrap();
        assert_ne!(same.version().await.unwrap(), before, "an account was kept");
        let moved = Account {
            username: Some("alice".to_owned()),
            ..account
        };
        store
            .put_accounts(std::slice::from_ref(&moved))
            .await
            .unwrap();
        assert_eq!(same.accounts().await.unwrap(), [moved]);

        let bot = BotRecord {
            id: BotId::parse("bot_abc123").unwrap(),
            account: key.account,
            created_at: now,
        };
        store.put_bot(&bot).await.unwrap();
        assert_eq!(same.bots().await.unwrap(), std::slice::from_ref(&bot));
        let before = same.version().await.unwrap();
        assert!(store.remove_bot(&bot.id).await.unwrap());
        assert_ne!(same.version().await.unwrap(), before, "a bot was removed");
        assert!(!store.remove_bot(&bot.id).await.unwrap());
        assert_eq!(same.bots().await.unwrap(), []);

        let plans = AccountPlans {
            blockdb: Some("growth".to_owned()),
            ..AccountPlans::default()
        };
        store.put_plans(key.account, &plans).await.unwrap();
        assert_eq!(same.plans().await.unwrap(), [(key.account, plans)]);

        let endpoint = endpoint(&key);
        store.put_webhook(&endpoint).await.unwrap();
        let kept = same.webhooks().await.unwrap();
        assert_eq!(kept, std::slice::from_ref(&endpoint));
        assert!(store.remove_webhook(endpoint.id).await.unwrap());
        assert!(!store.remove_webhook(endpoint.id).await.unwrap());
    }

    #[tokio::test]
    async fn a_file_keeps_keys_and_accounts_for_every_process() {
        let directory = tempfile::tempdir().unwrap();
        let config = StoreConfig {
            directory: directory.path().join("data"),
        };
        let (store, same) = (Store::open(&config).unwrap(), Store::open(&config).unwrap());
        keeps_its_promises(store, same).await;
    }

    #[tokio::test]
    async fn memory_keeps_keys_and_accounts_for_this_process() {
        let store = Store::in_memory().unwrap();
        keeps_its_promises(store.clone(), store).await;
    }

    #[tokio::test]
    async fn a_record_that_cannot_be_read_does_not_hide_the_others() {
        let store = Store::in_memory().unwrap();
        let key = key();
        store.add_key(&key).await.unwrap();
        let strange = (Uuid::new_v4().to_string(), r#"{"scopes":"fly"}"#.to_owned());
        store.put(Kind::Keys, vec![strange]).await.unwrap();
        assert_eq!(store.keys().await.unwrap(), [key]);
    }
}
