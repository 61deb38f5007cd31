//! JSON Web Tokens: who issues them, and what they say.
//!
//! A token is believed in this order: the issuer that it names is one of ours; its algorithm is
//! allowed; a key of that issuer, made for that algorithm, has signed it; and only then are its
//! claims looked at. Keys are at hand: those of files are read again when they change, those of URLs
//! are fetched in the background ([`Tokens::keep_fresh`]).

mod claims;
mod compact;
mod config;
mod issuer;
mod jwks_url;
mod key;
mod key_file;
pub mod mint;
#[cfg(test)]
mod tests;
mod trail;

pub use self::config::{ClaimNames, IssuerConfig, JwtConfig};
pub use self::issuer::BadIssuer;
pub use self::jwks_url::BadClient;
pub use self::key::BadKey;
pub use self::key_file::BadFile;
pub use self::trail::Note;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::future::join_all;
use futures_util::stream::FuturesUnordered;
use jiff::Timestamp;
use tokio::time::{MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;

use self::claims::{Claimed, later};
use self::compact::Compact;
use self::issuer::{Issuer, Opinion};
use self::jwks_url::JwksUrl;
use self::key_file::KeyFile;
use self::trail::Trail;
use super::identity::Identity;
use super::reason::{AuthError, Reason};

/// The issuers whose tokens count. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct Tokens(Arc<Inner>);

#[derive(Debug, Default)]
struct Inner {
    issuers: Vec<Issuer>,
    /// Each once, however many issuers share it.
    urls: Vec<Arc<JwksUrl>>,
    leeway: Duration,
    expiry_jitter: Duration,
    file_interval: Duration,
}

/// What a good token says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Accepted {
    pub identity: Identity,
    /// The claim `exp`.
    pub expires_at: Timestamp,
    /// When what it opened is closed.
    pub closes_at: Timestamp,
}

/// What is made of a token, and why.
#[derive(Clone, Debug)]
pub struct Explanation {
    /// JSON, if it can be read. Not believed.
    pub header: Option<String>,
    /// JSON, if it can be read. Not believed.
    pub claims: Option<String>,
    /// What was looked at, in order.
    pub notes: Vec<Note>,
    pub verdict: Result<Accepted, AuthError>,
}

impl Tokens {
    /// Reads all keys that are in files: those must be good now. What is at URLs is fetched once
    /// they are kept fresh.
    pub fn new(config: &JwtConfig) -> Result<Self, BadIssuer> {
        let (mut issuers, mut urls) = (Vec::new(), HashMap::new());
        for (number, issuer) in config.issuers.iter().enumerate() {
            let mut shared = None;
            if let Some(url) = &issuer.jwks_url {
                if !urls.contains_key(url) {
                    let keys = JwksUrl::new(url.clone(), config).map_err(|why| BadIssuer::Url {
                        place: config::place(number),
                        why,
                    })?;
                    urls.insert(url.clone(), Arc::new(keys));
                }
                shared = urls.get(url).cloned();
            }
            issuers.push(Issuer::new(number, issuer, config, shared)?);
        }
        Ok(Tokens(Arc::new(Inner {
            issuers,
            urls: urls.into_values().collect(),
            leeway: config.leeway,
            expiry_jitter: config.expiry_jitter,
            file_interval: config.file_interval,
        })))
    }

    /// Who the bearer of this token is. Waits only where an issuer must be asked for a key that is not
    /// known. Cancel-safe.
    pub async fn check(&self, token: &str) -> Result<Accepted, AuthError> {
        self.examine(token, &mut Trail::silent()).await
    }

    /// The same, with what was looked at on the way.
    pub async fn explain(&self, token: &str) -> Explanation {
        let mut trail = Trail::told();
        let verdict = self.examine(token, &mut trail).await;
        let (header, claims) = compact::parts(token);
        Explanation {
            header: header.map(|header| format!("{header:#}")),
            claims: claims.map(|claims| format!("{claims:#}")),
            notes: trail.into_notes(),
            verdict,
        }
    }

    /// Reads files again that have changed, and fetches keys before they are old, until it is
    /// cancelled. To be run once.
    pub async fn keep_fresh(self, cancel: CancellationToken) {
        let urls = self.0.urls.iter().map(|url| url.keep_fresh(cancel.clone()));
        let files: Vec<_> = self
            .0
            .issuers
            .iter()
            .flat_map(Issuer::files)
            .cloned()
            .collect();
        let look = async {
            if !files.is_empty() {
                let look = look(files, self.0.file_interval);
                cancel.run_until_cancelled(look).await;
            }
        };
        tokio::join!(join_all(urls), look);
    }

    async fn examine(&self, token: &str, trail: &mut Trail) -> Result<Accepted, AuthError> {
        if self.0.issuers.is_empty() {
            return Err(AuthError::Forbidden(Reason::UnknownIssuer));
        }
        let token = Compact::read(token).map_err(AuthError::Forbidden)?;
        let issuers = self.issuers(&token);
        let mut refused = match opinion(&issuers, &token, trail) {
            Ok(claimed) => return Ok(self.accepted(claimed)),
            Err(refused) => refused,
        };
        // A key that is not known may be a new one. One issuer that is slow keeps no other's waiting.
        let urls = issuers.iter().filter_map(|issuer| issuer.url());
        let mut asked: FuturesUnordered<_> = urls.map(|url| url.asked()).collect();
        while refused.is_open && asked.next().await.is_some() {
            trail.again();
            refused = match opinion(&issuers, &token, trail) {
                Ok(claimed) => return Ok(self.accepted(claimed)),
                Err(refused) => refused,
            };
        }
        Err(refused.error)
    }

    /// Whose a token may be: what it says itself only chooses among those that are configured.
    fn issuers(&self, token: &Compact<'_>) -> Vec<&Issuer> {
        let named = |name: Option<&str>| {
            let issuers = self.0.issuers.iter();
            issuers
                .filter(|issuer| issuer.name() == name)
                .collect::<Vec<_>>()
        };
        match token.issuer().map(|name| named(Some(name))) {
            Some(issuers) if !issuers.is_empty() => issuers,
            _ => named(None),
        }
    }

    fn accepted(&self, claimed: Claimed) -> Accepted {
        // A machine without randomness does without the jitter.
        let chance = f64::from(getrandom::u32().unwrap_or(0)) / f64::from(u32::MAX);
        let jitter = self.0.expiry_jitter.mul_f64(chance);
        Accepted {
            identity: claimed.identity,
            expires_at: claimed.expires_at,
            closes_at: later(later(claimed.expires_at, self.0.leeway), jitter),
        }
    }
}

/// Nobody lets a token pass.
struct Refused {
    error: AuthError,
    /// Whether newer keys may change that.
    is_open: bool,
}

/// What these issuers say of a token by the keys that are known now. Of several that refuse it, the
/// one counts that knows most about it.
fn opinion(
    issuers: &[&Issuer],
    token: &Compact<'_>,
    trail: &mut Trail,
) -> Result<Claimed, Refused> {
    let now = Timestamp::now();
    let mut bad = None;
    let mut unsigned: Option<Refused> = None;
    for issuer in issuers {
        match issuer.opinion(token, now, trail) {
            Opinion::Good(claimed) => return Ok(claimed),
            Opinion::Bad(reason) => bad = bad.or(Some(reason)),
            Opinion::Unsigned { error, is_open } => {
                let refused = Refused { error, is_open };
                let knows_less = unsigned
                    .as_ref()
                    .is_none_or(|before| before.rank() < refused.rank());
                if knows_less {
                    unsigned = Some(refused);
                }
            }
        }
    }
    match (bad, unsigned) {
        (Some(reason), _) => Err(Refused {
            error: AuthError::Forbidden(reason),
            is_open: false,
        }),
        (None, Some(refused)) => Err(refused),
        (None, None) => Err(Refused {
            error: AuthError::Forbidden(Reason::UnknownIssuer),
            is_open: false,
        }),
    }
}

impl Refused {
    /// Who cannot know now may be the one whose token it is.
    fn rank(&self) -> (bool, bool, bool) {
        let is_away = matches!(self.error, AuthError::Unavailable(_));
        let is_allowed = self.error != AuthError::Forbidden(Reason::WrongAlgorithm);
        (is_away, self.is_open, is_allowed)
    }
}

/// Looks at files again and again, where waiting for a disk harms nobody.
async fn look(files: Vec<Arc<KeyFile>>, every: Duration) {
    let mut tick = interval(every);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tick.tick().await;
        let files = files.clone();
        let looked = tokio::task::spawn_blocking(move || files.iter().for_each(|file| file.look()));
        // It is cancelled only where the runtime ends.
        let _ = looked.await;
    }
}
