//! The store, mirrored in memory.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use tokio::time::{Interval, MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use super::{Store, StoreError, Version};
use crate::accounts::{Directory, Plans};
use crate::auth::{BotOwners, KeyRing};
use crate::webhook::Endpoints;

/// What is mirrored.
#[derive(Clone, Default)]
pub struct Mirrored {
    pub ring: Arc<KeyRing>,
    pub directory: Arc<Directory>,
    pub bots: Arc<BotOwners>,
    pub plans: Arc<Plans>,
    pub webhooks: Arc<Endpoints>,
}

/// How often the store is asked whether anything changed. What is revoked must be known everywhere
/// within a second.
const EVERY: Duration = Duration::from_millis(250);

/// Keeps all of these like the store, and ends the leases of keys that expire, until
/// it is cancelled. While the store is away they stay as they were.
pub async fn refresh(store: Store, mirrored: Mirrored, cancel: CancellationToken) {
    let ring = mirrored.ring.clone();
    let mut mirror = Mirror {
        store,
        mirrored,
        version: None,
        away: false,
    };
    // What needs no store waits for none: its answer may take a while.
    let expire = async {
        let mut tick = ticks();
        loop {
            tick.tick().await;
            ring.expire(Timestamp::now());
        }
    };
    let look = async {
        let mut tick = ticks();
        loop {
            tick.tick().await;
            mirror.look().await;
        }
    };
    tokio::select! {
        () = cancel.cancelled() => {}
        () = expire => {}
        () = look => {}
    }
}

fn ticks() -> Interval {
    let mut tick = interval(EVERY);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    tick
}

struct Mirror {
    store: Store,
    mirrored: Mirrored,
    /// Of what is mirrored; `None` until the first load, and after the store was away: it may come
    /// back as another one that happens to have the same number.
    version: Option<Version>,
    away: bool,
}

impl Mirror {
    async fn look(&mut self) {
        match self.load().await {
            Ok(()) if self.away => {
                self.away = false;
                info!("the store of keys and accounts is back");
            }
            Ok(()) => {}
            Err(error) => {
                self.version = None;
                if !self.away {
                    self.away = true;
                    let error: &dyn std::error::Error = &error;
                    warn!(
                        error,
                        "the store of keys and accounts is away; what was known of them holds"
                    );
                }
            }
        }
    }

    async fn load(&mut self) -> Result<(), StoreError> {
        // The version first: what is written while we read is read again.
        let version = self.store.version().await?;
        if self.version == Some(version) {
            return Ok(());
        }
        let Mirrored {
            ring,
            directory,
            bots,
            plans,
            webhooks,
        } = &self.mirrored;
        let keys = self.store.keys().await?;
        ring.replace(keys, Timestamp::now());
        directory.replace(self.store.accounts().await?);
        let known = self.store.bots().await?.into_iter();
        bots.replace(known.map(|bot| (bot.id, bot.account)));
        plans.replace(self.store.plans().await?);
        // The last: whoever waits for these counts by the plans.
        webhooks.replace(self.store.webhooks().await?);
        self.version = Some(version);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::auth::{
        ApiKey, AuthConfig, Authenticator, Credential, Credentials, Identity, KeyPrefix, KeyRecord,
        OnBadCredentials, Session, SessionEnd, Tokens,
    };
    use crate::store::StoreConfig;
    use std::time::Instant;
    use uuid::Uuid;

    /// A server, and the store that another process opened.
    struct TwoProcesses {
        other: Store,
        authenticator: Authenticator,
        ring: Arc<KeyRing>,
        _cancel: tokio_util::sync::DropGuard,
        _directory: tempfile::TempDir,
    }

    impl TwoProcesses {
        fn start() -> Self {
            let directory = tempfile::tempdir().unwrap();
            let config = StoreConfig {
                directory: directory.path().to_owned(),
            };
            let cancel = CancellationToken::new();
            let mirrored = Mirrored::default();
            let ring = mirrored.ring.clone();
            let ours = Store::open(&config).unwrap();
            tokio::spawn(refresh(ours, mirrored, cancel.clone()));
            let auth = AuthConfig {
                key_prefix: KeyPrefix::parse("blink").unwrap(),
                on_bad_credentials: OnBadCredentials::Anonymous,
                enforce_scopes: true,
                timeout: Duration::from_secs(5),
            };
            TwoProcesses {
                other: Store::open(&config).unwrap(),
                authenticator: Authenticator::new(
                    auth,
                    ring.clone(),
                    Tokens::default(),
                    Arc::default(),
                ),
                ring,
                _cancel: cancel.drop_guard(),
                _directory: directory,
            }
        }

        async fn add(&self, expires_at: Option<Timestamp>) -> (ApiKey, Uuid) {
            let key = ApiKey::generate().unwrap();
            let record = KeyRecord {
                id: Uuid::new_v4(),
                name: None,
                account: Uuid::new_v4().into(),
                user: None,
                scopes: Default::default(),
                digest: key.digest(),
                created_at: Timestamp::now(),
                expires_at,
                revoked_at: None,
            };
            self.other.add_key(&record).await.unwrap();
            (key, record.id)
        }

        /// Waits for the end of a session, as connections do.
        async fn end(&self, credential: &Credential) -> SessionEnd {
            let mut ends = self.ring.ends();
            loop {
                if let Some(end) = credential.end(Timestamp::now()) {
                    return end;
                }
                ends.changed().await.expect("the ring is there");
            }
        }

        /// Asks until the key is known.
        async fn session(&self, key: &ApiKey) -> Session {
            loop {
                let credentials = Credentials {
                    api_key: Some(key.reveal(&KeyPrefix::parse("blink").unwrap())),
                    authorization: None,
                };
                let session = self
                    .authenticator
                    .authenticate(&credentials, None)
                    .await
                    .unwrap();
                if session.identity != Identity::ANONYMOUS {
                    return session;
                }
                tokio::task::yield_now().await;
            }
        }
    }

    #[tokio::test]
    async fn what_another_process_revokes_ends_here_within_a_second() {
        let two = TwoProcesses::start();
        two.ring.loaded().await;
        let (key, id) = two.add(None).await;
        let lease = two.session(&key).await.credential;

        let revoked = Instant::now();
        two.other.revoke_key(id, Timestamp::now()).await.unwrap();
        assert_eq!(two.end(&lease).await, SessionEnd::KeyRevoked);
        assert!(revoked.elapsed() < Duration::from_secs(1));
    }

    #[tokio::test]
    async fn a_lease_ends_when_its_key_expires() {
        let two = TwoProcesses::start();
        let end = Timestamp::now() + jiff::SignedDuration::from_secs(1);
        let (key, _) = two.add(Some(end)).await;
        let lease = two.session(&key).await.credential;
        assert_eq!(two.end(&lease).await, SessionEnd::KeyExpired);
        assert!(Timestamp::now() >= end);
    }
}
