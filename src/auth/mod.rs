//! Who asks: credentials in, [`Identity`] out.
//!
//! Keys are looked up in a mirror of the store ([`KeyRing`]), so a connection costs no I/O and a
//! store that is away harms no one who has a key. Nothing is downgraded in silence: what a key
//! opened is closed when the key ends ([`Lease`]).

mod api_key;
mod identity;
mod key_ring;

pub use self::api_key::{ApiKey, KeyDigest, KeyPrefix, KeyRecord, KeyState};
pub use self::identity::{Identity, Scope, Scopes};
pub use self::key_ring::{KeyRing, Lease, LeaseEnd};

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use uuid::Uuid;

/// `[auth]`
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AuthConfig {
    pub key_prefix: KeyPrefix,
    pub on_bad_credentials: OnBadCredentials,
    pub enforce_scopes: bool,
    #[serde(with = "humantime_serde")]
    pub timeout: Duration,
}

/// What becomes of whoever brings a credential that is wrong, revoked or expired.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OnBadCredentials {
    /// It is told so, and let go.
    Reject,
    /// It is nobody, as at Blink.
    Anonymous,
}

/// Tells who somebody is. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Authenticator {
    config: Arc<AuthConfig>,
    ring: Arc<KeyRing>,
}

/// What somebody brought. An empty credential is none.
#[derive(Clone, Debug, Default)]
pub struct Credentials {
    /// `X-API-KEY`
    pub api_key: Option<SecretString>,
    /// What stands behind `Bearer ` in `Authorization`.
    pub bearer: Option<SecretString>,
}

/// Who somebody is, and for how long.
#[derive(Clone, Debug)]
pub struct Session {
    pub identity: Identity,
    /// `None` for what does not end.
    pub lease: Option<Lease>,
    /// For log lines: never the key itself.
    pub key_id: Option<Uuid>,
}

/// Why somebody was not told apart. No more than this is said to anybody.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AuthError {
    /// The credential is wrong, revoked or expired.
    #[error("forbidden")]
    Forbidden,
    /// It cannot be known now. Not the asker's fault: it may come back.
    #[error("keys cannot be checked now")]
    Unavailable,
}

impl Authenticator {
    /// Checks against the keys of this ring, which something else keeps fresh.
    pub fn new(config: AuthConfig, ring: Arc<KeyRing>) -> Self {
        Authenticator {
            config: Arc::new(config),
            ring,
        }
    }

    /// Who this is. Awaits nothing once the ring is loaded, and no longer than `auth.timeout`
    /// before. Cancel-safe.
    pub async fn authenticate(&self, credentials: Credentials) -> Result<Session, AuthError> {
        match (given(&credentials.bearer), given(&credentials.api_key)) {
            (None, None) => Ok(Session::anonymous()),
            (None, Some(key)) => self.by_api_key(key).await,
            // The bearer counts when there are both, as at Blink. Nothing issues tokens yet.
            (Some(_bearer), _) => self.bad(),
        }
    }

    async fn by_api_key(&self, text: &str) -> Result<Session, AuthError> {
        let Some(key) = ApiKey::parse(text, &self.config.key_prefix) else {
            return self.bad();
        };
        if !self.ring.is_loaded() {
            let loaded = tokio::time::timeout(self.config.timeout, self.ring.loaded());
            loaded.await.map_err(|_| AuthError::Unavailable)?;
        }
        let Some((record, lease)) = self.ring.find(&key, Timestamp::now()) else {
            return self.bad();
        };
        Ok(Session {
            identity: Identity::Account {
                account: record.account,
                scopes: self.scopes(&record),
            },
            lease: Some(lease),
            key_id: Some(record.id),
        })
    }

    fn bad(&self) -> Result<Session, AuthError> {
        match self.config.on_bad_credentials {
            OnBadCredentials::Reject => Err(AuthError::Forbidden),
            OnBadCredentials::Anonymous => Ok(Session::anonymous()),
        }
    }

    /// Where scopes are not enforced every key may read, and may publish no more than before.
    fn scopes(&self, record: &KeyRecord) -> Scopes {
        match self.config.enforce_scopes {
            true => record.scopes,
            false => record.scopes.iter().chain([Scope::Read]).collect(),
        }
    }
}

impl Session {
    fn anonymous() -> Self {
        Session {
            identity: Identity::Anonymous,
            lease: None,
            key_id: None,
        }
    }
}

fn given(credential: &Option<SecretString>) -> Option<&str> {
    let text = credential.as_ref()?.expose_secret();
    (!text.is_empty()).then_some(text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_util::FutureExt;

    fn config() -> AuthConfig {
        AuthConfig {
            key_prefix: blink(),
            on_bad_credentials: OnBadCredentials::Reject,
            enforce_scopes: true,
            timeout: Duration::from_secs(1),
        }
    }

    fn blink() -> KeyPrefix {
        KeyPrefix::parse("blink").unwrap()
    }

    struct Door {
        key: SecretString,
        record: KeyRecord,
        ring: Arc<KeyRing>,
    }

    impl Door {
        /// With one key that may only receive.
        fn new() -> Self {
            let key = ApiKey::generate().unwrap();
            let record = KeyRecord {
                id: Uuid::from_u128(1),
                name: None,
                account: Uuid::from_u128(2).into(),
                scopes: [Scope::Receive].into_iter().collect(),
                digest: key.digest(),
                created_at: Timestamp::UNIX_EPOCH,
                expires_at: None,
                revoked_at: None,
            };
            let ring = Arc::new(KeyRing::new());
            ring.replace([record.clone()], Timestamp::now());
            Door {
                key: key.reveal(&blink()),
                record,
                ring,
            }
        }

        /// Does not wait: what is not known at once is a failure.
        fn ask(&self, config: AuthConfig, key: &str, bearer: &str) -> Result<Session, AuthError> {
            let credentials = Credentials {
                api_key: Some(key.into()),
                bearer: Some(bearer.into()),
            };
            let authenticator = Authenticator::new(config, self.ring.clone());
            let answer = authenticator.authenticate(credentials).now_or_never();
            answer.expect("nothing is awaited once the ring is loaded")
        }
    }

    fn identity(answer: Result<Session, AuthError>) -> Result<Identity, AuthError> {
        answer.map(|session| session.identity)
    }

    #[test]
    fn a_key_is_its_account_with_a_lease() {
        let door = Door::new();
        let session = door.ask(config(), door.key.expose_secret(), "").unwrap();
        assert_eq!(session.identity.account(), Some(door.record.account));
        assert_eq!(session.key_id, Some(door.record.id));
        assert!(session.lease.is_some());
    }

    #[test]
    fn nobody_and_who_brings_something_empty_are_anonymous() {
        let session = Door::new().ask(config(), "", "").unwrap();
        assert_eq!(session.identity, Identity::Anonymous);
        assert!(session.lease.is_none());
    }

    #[test]
    fn a_bad_key_is_forbidden_or_nobody() {
        let door = Door::new();
        let anonymous = AuthConfig {
            on_bad_credentials: OnBadCredentials::Anonymous,
            ..config()
        };
        let stranger = ApiKey::generate().unwrap().reveal(&blink());
        for key in ["blink_", stranger.expose_secret()] {
            let answer = identity(door.ask(config(), key, ""));
            assert_eq!(answer, Err(AuthError::Forbidden));
            let answer = identity(door.ask(anonymous.clone(), key, ""));
            assert_eq!(answer, Ok(Identity::Anonymous));
        }
    }

    #[test]
    fn a_revoked_key_is_forbidden() {
        let door = Door::new();
        let revoked = KeyRecord {
            revoked_at: Some(Timestamp::now()),
            ..door.record.clone()
        };
        door.ring.replace([revoked], Timestamp::now());
        let answer = identity(door.ask(config(), door.key.expose_secret(), ""));
        assert_eq!(answer, Err(AuthError::Forbidden));
    }

    #[test]
    fn of_a_key_and_a_bearer_the_bearer_counts() {
        let door = Door::new();
        let answer = identity(door.ask(config(), door.key.expose_secret(), "a.b.c"));
        assert_eq!(answer, Err(AuthError::Forbidden));
    }

    #[test]
    fn where_scopes_are_not_enforced_every_key_reads_and_none_publishes() {
        let door = Door::new();
        let relaxed = AuthConfig {
            enforce_scopes: false,
            ..config()
        };
        let scopes = |config| match door.ask(config, door.key.expose_secret(), "") {
            Ok(Session {
                identity: Identity::Account { scopes, .. },
                ..
            }) => scopes,
            other => panic!("{other:?}"),
        };
        assert!(!scopes(config()).may_read());
        assert!(scopes(relaxed.clone()).may_read());
        assert!(!scopes(relaxed).may_publish());
    }

    #[tokio::test(start_paused = true)]
    async fn before_the_first_load_a_key_waits_and_is_then_sent_away_to_come_back() {
        let door = Door::new();
        let authenticator = Authenticator::new(config(), Arc::default());
        let credentials = || Credentials {
            api_key: Some(door.key.clone()),
            bearer: None,
        };
        let answer = authenticator.authenticate(credentials()).await;
        assert_eq!(identity(answer), Err(AuthError::Unavailable));

        let load = async {
            tokio::task::yield_now().await;
            let records = [door.record.clone()];
            authenticator.ring.replace(records, Timestamp::now());
        };
        let (answer, ()) = tokio::join!(authenticator.authenticate(credentials()), load);
        assert!(answer.is_ok());
    }

    #[test]
    fn what_somebody_brought_does_not_print() {
        let credentials = Credentials {
            api_key: Some("hush".into()),
            bearer: Some("hush".into()),
        };
        assert!(!format!("{credentials:?}").contains("hush"));
    }
}
