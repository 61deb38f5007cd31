//! Who asks: credentials in, [`Identity`] out.
//!
//! Keys are looked up in a mirror of the store ([`KeyRing`]), and tokens are checked against keys that
//! are kept at hand ([`Tokens`]), so a connection costs no I/O and a store or an issuer that is away
//! harms no one who has a credential. Nothing is downgraded in silence: what a credential opened is
//! closed when the credential ends ([`Credential::end`]).

mod api_key;
mod bots;
mod identity;
mod key_ring;
mod reason;
mod session;
mod token;

pub(crate) use self::api_key::random_letters;
pub use self::api_key::{ApiKey, KeyDigest, KeyPrefix, KeyRecord, KeyState};
pub use self::bots::{BotOwners, BotRecord};
pub use self::identity::{Identity, Scope, Scopes};
pub use self::key_ring::{KeyRing, Lease, LeaseEnd};
pub use self::reason::{AuthError, Away, Reason};
pub use self::session::{Credential, Session, SessionEnd};
pub use self::token::mint;
pub use self::token::{Accepted, BadClient, BadFile, BadIssuer, BadKey, ClaimNames, Explanation};
pub use self::token::{IssuerConfig, JwtConfig, Note, Tokens};

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use tokio::sync::watch;
use uuid::Uuid;

use crate::metrics::{AuthenticationLabel, Metrics};

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
    tokens: Tokens,
    metrics: Arc<Metrics>,
}

/// What somebody brought. An empty credential is none.
#[derive(Clone, Debug, Default)]
pub struct Credentials {
    /// `X-API-KEY`
    pub api_key: Option<SecretString>,
    /// `Authorization`: all of it, the scheme too.
    pub authorization: Option<SecretString>,
}

impl Credentials {
    /// The same, where API keys may come as bearers: one that is no JSON Web Token, whose three parts have dots in
    /// between, is taken for a key. It goes before a key that comes otherwise, as a token does.
    pub fn with_key_as_bearer(mut self) -> Self {
        let bearer = given(&self.authorization).and_then(bearer);
        if let Some(key) = bearer.filter(|bearer| !bearer.contains('.')) {
            self.api_key = Some(key.into());
            self.authorization = None;
        }
        self
    }
}

impl Authenticator {
    /// Checks against the keys of this ring and of the issuers of tokens, which something else keeps
    /// fresh.
    pub fn new(
        config: AuthConfig,
        ring: Arc<KeyRing>,
        tokens: Tokens,
        metrics: Arc<Metrics>,
    ) -> Self {
        Authenticator {
            config: Arc::new(config),
            ring,
            tokens,
            metrics,
        }
    }

    /// Who this is. Awaits nothing once keys are loaded and no issuer has to be asked, and no longer
    /// than `auth.timeout` otherwise. Cancel-safe.
    ///
    /// Of a token and a key the token counts, as at Blink. What is logged of it names the connection.
    pub async fn authenticate(
        &self,
        credentials: &Credentials,
        connection: Option<Uuid>,
    ) -> Result<Session, AuthError> {
        let result = match (
            given(&credentials.authorization),
            given(&credentials.api_key),
        ) {
            (None, None) => self.counted("none", Ok(Session::anonymous())),
            (None, Some(key)) => self.counted("key", self.by_api_key(key).await),
            (Some(authorization), _) => self.counted("token", self.by_token(authorization).await),
        };
        // One line a connection; of newer tokens, which may come any number of times, there is none.
        if let Err(error) = &result {
            tracing::info!(
                id = connection.map(|id| tracing::field::display(id.simple())),
                reason = error.name(),
                "credentials are not accepted: {error}"
            );
        }
        match (result, self.config.on_bad_credentials) {
            (Err(AuthError::Forbidden(_)), OnBadCredentials::Anonymous) => Ok(Session::anonymous()),
            (result, _) => result,
        }
    }

    /// The session that a newer token puts in the place of the present one: of the same account and
    /// user, and one that does not take away what subscriptions live by. A bad token is refused,
    /// whatever bad credentials count as elsewhere. Cancel-safe.
    pub async fn renew(
        &self,
        present: &Identity,
        authorization: &str,
    ) -> Result<Session, AuthError> {
        let newer = self.by_token(authorization).await.and_then(|newer| {
            let allowed = present.may_become(&newer.identity);
            allowed.map(|()| newer).map_err(AuthError::Forbidden)
        });
        self.counted("token", newer)
    }

    async fn by_token(&self, authorization: &str) -> Result<Session, AuthError> {
        let token = bearer(authorization).ok_or(AuthError::Forbidden(Reason::NotBearer))?;
        let checked = tokio::time::timeout(self.config.timeout, self.tokens.check(token)).await;
        let accepted = checked.unwrap_or(Err(AuthError::Unavailable(Away::Issuer)))?;
        let Accepted {
            identity,
            expires_at,
            closes_at,
        } = accepted;
        let scopes = self.scopes(identity.scopes());
        Ok(Session {
            identity: Identity::of(identity.account(), identity.user(), scopes),
            credential: Credential::Token {
                expires_at,
                closes_at,
            },
        })
    }

    async fn by_api_key(&self, text: &str) -> Result<Session, AuthError> {
        let key = ApiKey::parse(text, &self.config.key_prefix)
            .ok_or(AuthError::Forbidden(Reason::MalformedKey))?;
        if !self.ring.is_loaded() {
            let loaded = tokio::time::timeout(self.config.timeout, self.ring.loaded());
            loaded
                .await
                .map_err(|_| AuthError::Unavailable(Away::Keys))?;
        }
        let (record, lease) = self
            .ring
            .find(&key, Timestamp::now())
            .map_err(AuthError::Forbidden)?;
        let scopes = self.scopes(record.scopes);
        Ok(Session {
            identity: Identity::of(Some(record.account), record.user, scopes),
            credential: Credential::Key {
                id: record.id,
                lease,
                expires_at: record.expires_at,
            },
        })
    }

    /// Changes after leases of keys have ended: whoever has one is to look at it.
    pub fn key_ends(&self) -> watch::Receiver<u64> {
        self.ring.ends()
    }

    /// The same result, counted.
    fn counted(
        &self,
        credential: &'static str,
        result: Result<Session, AuthError>,
    ) -> Result<Session, AuthError> {
        let (label, reason) = match &result {
            Ok(_) => ("accepted", ""),
            Err(error @ AuthError::Forbidden(_)) => ("forbidden", error.name()),
            Err(error @ AuthError::Unavailable(_)) => ("unavailable", error.name()),
        };
        if let Err(error) = &result {
            tracing::debug!(credential, reason, "{label}: {error}");
        }
        self.metrics
            .authentications
            .get_or_create(&AuthenticationLabel {
                credential,
                result: label,
                reason,
            })
            .inc();
        result
    }

    /// Where scopes are not enforced everybody may subscribe. Queries ask for `read` either way, as at
    /// Blink.
    fn scopes(&self, scopes: Scopes) -> Scopes {
        match self.config.enforce_scopes || scopes.is_unrestricted() {
            true => scopes,
            false => scopes.that_hear(),
        }
    }
}

/// The token in `Bearer <token>`; the scheme is taken in any case (RFC 7235, section 2.1).
fn bearer(authorization: &str) -> Option<&str> {
    let (scheme, token) = authorization.trim().split_once(' ')?;
    let token = token.trim();
    (scheme.eq_ignore_ascii_case("bearer") && !token.is_empty()).then_some(token)
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
                user: None,
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
                authorization: Some(bearer.into()),
            };
            let tokens = Tokens::default();
            let authenticator =
                Authenticator::new(config, self.ring.clone(), tokens, Arc::default());
            let answer = authenticator
                .authenticate(&credentials, None)
                .now_or_never();
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
        assert_eq!(session.credential.key_id(), Some(door.record.id));
    }

    #[test]
    fn nobody_and_who_brings_something_empty_are_anonymous() {
        let session = Door::new().ask(config(), "", "").unwrap();
        assert_eq!(session.identity, Identity::ANONYMOUS);
        assert!(matches!(session.credential, Credential::None));
    }

    #[test]
    fn a_bad_key_is_forbidden_or_nobody() {
        let door = Door::new();
        let anonymous = AuthConfig {
            on_bad_credentials: OnBadCredentials::Anonymous,
            ..config()
        };
        let stranger = ApiKey::generate().unwrap().reveal(&blink());
        for (key, reason) in [
            ("blink_", Reason::MalformedKey),
            (stranger.expose_secret(), Reason::UnknownKey),
        ] {
            let answer = identity(door.ask(config(), key, ""));
            assert_eq!(answer, Err(AuthError::Forbidden(reason)));
            let answer = identity(door.ask(anonymous.clone(), key, ""));
            assert_eq!(answer, Ok(Identity::ANONYMOUS));
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
        assert_eq!(answer, Err(AuthError::Forbidden(Reason::RevokedKey)));
    }

    #[tokio::test]
    async fn of_a_key_and_a_bearer_the_bearer_counts() {
        let door = Door::new();
        for (authorization, reason) in [
            ("Bearer a.b.c", Reason::UnknownIssuer),
            ("a.b.c", Reason::NotBearer),
            ("Bearer ", Reason::NotBearer),
            ("Basic YTpi", Reason::NotBearer),
        ] {
            let answer = door.ask(config(), door.key.expose_secret(), authorization);
            assert_eq!(identity(answer), Err(AuthError::Forbidden(reason)));
        }
    }

    #[test]
    fn where_scopes_are_not_enforced_every_key_hears_and_none_reads_or_publishes() {
        let door = Door::new();
        let relaxed = AuthConfig {
            enforce_scopes: false,
            ..config()
        };
        let scopes = |config| match door.ask(config, door.key.expose_secret(), "") {
            Ok(session) => session.identity.scopes(),
            other => panic!("{other:?}"),
        };
        assert!(!scopes(config()).may_hear());
        assert!(scopes(relaxed.clone()).may_hear());
        assert!(!scopes(relaxed.clone()).may_read());
        assert!(!scopes(relaxed.clone()).may_administer());
        assert!(!scopes(relaxed).may_publish());
    }

    #[tokio::test(start_paused = true)]
    async fn before_the_first_load_a_key_waits_and_is_then_sent_away_to_come_back() {
        let door = Door::new();
        let authenticator =
            Authenticator::new(config(), Arc::default(), Tokens::default(), Arc::default());
        let credentials = Credentials {
            api_key: Some(door.key.clone()),
            authorization: None,
        };
        let answer = authenticator.authenticate(&credentials, None).await;
        assert_eq!(identity(answer), Err(AuthError::Unavailable(Away::Keys)));

        let load = async {
            tokio::task::yield_now().await;
            let records = [door.record.clone()];
            authenticator.ring.replace(records, Timestamp::now());
        };
        let (answer, ()) = tokio::join!(authenticator.authenticate(&credentials, None), load);
        assert!(answer.is_ok());
    }

    #[test]
    fn what_somebody_brought_does_not_print() {
        let credentials = Credentials {
            api_key: Some("hush".into()),
            authorization: Some("hush".into()),
        };
        assert!(!format!("{credentials:?}").contains("hush"));
    }
}
