//! Keys that an issuer publishes at a URL: fetched once for the whole process, and kept fresh.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use arc_swap::ArcSwap;
use reqwest::header::{CACHE_CONTROL, HeaderMap};
use reqwest::redirect;
use tokio::sync::{Notify, watch};
use tokio::time::{Instant, timeout};
use tokio_util::sync::CancellationToken;
use url::Url;

use super::config::JwtConfig;
use super::key::{BadKey, JwksFrom, Key, jwks};
use crate::redis_link::Backoff;
use crate::tls::{self, BadTls, Trust};

/// The keys at one URL. One task fetches them ([`JwksUrl::keep_fresh`]); all others read what it
/// has found, and at most ask it to hurry.
#[derive(Debug)]
pub(super) struct JwksUrl {
    url: Url,
    client: reqwest::Client,
    times: Times,
    max_bytes: usize,
    found: ArcSwap<Found>,
    /// Which attempts to fetch there were, for those who wait for one.
    attempts: watch::Sender<Attempts>,
    hurry: Notify,
    hurried: Mutex<Option<Hurried>>,
}

/// The last time that somebody was in a hurry.
#[derive(Clone, Copy, Debug)]
struct Hurried {
    at: Instant,
    /// The number of the attempt that this brought about.
    attempt: u64,
}

/// How long what takes.
#[derive(Clone, Copy, Debug)]
struct Times {
    fresh_min: Duration,
    fresh_max: Duration,
    stale_for: Duration,
    interval: Duration,
    retry_min: Duration,
    retry_max: Duration,
    timeout: Duration,
}

/// What the last attempts have found.
#[derive(Clone, Debug, Default)]
struct Found {
    keys: Arc<Vec<Key>>,
    /// When these keys were what the issuer says; `None` before it said anything.
    at: Option<Instant>,
    /// Whether the last attempt failed.
    is_away: bool,
    /// Why, as far as it was logged.
    why: Option<Arc<str>>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Attempts {
    begun: u64,
    ended: u64,
}

/// What is known of the keys of an issuer now.
pub(super) enum Known {
    /// The issuer's own word, and not long ago.
    Keys(Arc<Vec<Key>>),
    /// Its word from before it went away.
    Stale(Arc<Vec<Key>>),
    Nothing,
}

/// Why keys cannot be fetched at all.
#[derive(Debug, thiserror::Error)]
pub enum BadClient {
    #[error("{0}")]
    Tls(BadTls),
    #[error("the HTTP client: {0}")]
    Http(reqwest::Error),
}

/// Why one attempt failed.
#[derive(Debug, thiserror::Error)]
enum FetchError {
    #[error("{0}")]
    Http(String),
    #[error("it answered {0}")]
    Status(reqwest::StatusCode),
    #[error("its answer is longer than {0} bytes")]
    TooLong(usize),
    #[error("no answer in time")]
    Timeout,
    #[error("it answered: {0}")]
    Bad(#[from] BadKey),
}

impl JwksUrl {
    /// Knows nothing yet, and asks nobody before it is kept fresh.
    pub(super) fn new(url: Url, config: &JwtConfig) -> Result<Self, BadClient> {
        Ok(JwksUrl {
            client: client(&url, config)?,
            url,
            times: Times {
                fresh_min: config.jwks_fresh_min,
                fresh_max: config.jwks_fresh_max,
                stale_for: config.jwks_stale_for,
                interval: config.jwks_interval,
                retry_min: config.jwks_retry_min,
                retry_max: config.jwks_retry_max,
                timeout: config.jwks_timeout,
            },
            max_bytes: config.jwks_bytes,
            found: ArcSwap::default(),
            attempts: watch::Sender::default(),
            hurry: Notify::new(),
            hurried: Mutex::new(None),
        })
    }

    /// Where they are.
    pub(super) fn url(&self) -> &Url {
        &self.url
    }

    /// What is known now.
    pub(super) fn known(&self) -> Known {
        let found = self.found.load();
        let is_usable = found.at.is_some_and(|at| {
            at.elapsed() < self.times.fresh_max.saturating_add(self.times.stale_for)
        });
        match (is_usable, found.is_away) {
            (true, false) => Known::Keys(found.keys.clone()),
            (true, true) => Known::Stale(found.keys.clone()),
            (false, _) => Known::Nothing,
        }
    }

    /// Returns when there was a fetch that may have found a key that is not known: at once, if one
    /// that was asked for is not long ago. Cancel-safe, and who gives up waiting stops nothing.
    pub(super) async fn asked(&self) {
        let mut attempts = self.attempts.subscribe();
        let now = *attempts.borrow_and_update();
        if let Some(awaited) = self.hurried(now) {
            let ended = attempts
                .wait_for(|attempts| attempts.ended >= awaited)
                .await;
            ended.expect("the sender is our own");
        }
    }

    /// The number of the attempt to wait for, if there is one.
    fn hurried(&self, attempts: Attempts) -> Option<u64> {
        let Attempts { begun, ended } = attempts;
        // The first is always under way, and whatever is under way may find the key.
        if begun > ended || begun == 0 {
            return Some(begun.max(1));
        }
        let mut hurried = self.hurried.lock().unwrap_or_else(PoisonError::into_inner);
        match *hurried {
            Some(last) if last.attempt > ended => Some(last.attempt),
            Some(last) if last.at.elapsed() < self.times.interval => None,
            _ => {
                let attempt = begun + 1;
                let at = Instant::now();
                *hurried = Some(Hurried { at, attempt });
                self.hurry.notify_one();
                Some(attempt)
            }
        }
    }

    /// Fetches them, again and again, until it is cancelled. There must be one such task.
    pub(super) async fn keep_fresh(&self, cancel: CancellationToken) {
        let mut backoff = Backoff::new(self.times.retry_min, self.times.retry_max);
        loop {
            let pause = tokio::select! {
                () = cancel.cancelled() => return,
                pause = self.attempt(&mut backoff) => pause,
            };
            tokio::select! {
                () = cancel.cancelled() => return,
                () = self.hurry.notified() => {}
                () = tokio::time::sleep(pause) => {}
            }
        }
    }

    /// Fetches them once, and says how long to wait before the next time.
    async fn attempt(&self, backoff: &mut Backoff) -> Duration {
        self.attempts.send_modify(|attempts| attempts.begun += 1);
        let fetched = timeout(self.times.timeout, self.fetch()).await;
        let before = self.found.load_full();
        let pause = match fetched.unwrap_or(Err(FetchError::Timeout)) {
            Ok((keys, fresh_for)) => {
                if before.is_away {
                    tracing::info!(url = %self.url, "the issuer of tokens is back");
                }
                if keys.is_empty() {
                    tracing::warn!(url = %self.url, "the issuer of tokens has no key any more");
                }
                backoff.reset();
                self.found.store(Arc::new(Found {
                    keys: Arc::new(keys),
                    at: Some(Instant::now()),
                    is_away: false,
                    why: None,
                }));
                early(fresh_for)
            }
            Err(error) => {
                // Once for each cause: the first one may not be what keeps it away.
                let why: Arc<str> = error.to_string().into();
                if before.why.as_ref() != Some(&why) {
                    tracing::warn!(url = %self.url, %error, "the keys of tokens cannot be fetched");
                }
                self.found.store(Arc::new(Found {
                    is_away: true,
                    why: Some(why),
                    ..(*before).clone()
                }));
                backoff.next_pause()
            }
        };
        self.attempts
            .send_modify(|attempts| attempts.ended = attempts.begun);
        pause
    }

    async fn fetch(&self) -> Result<(Vec<Key>, Duration), FetchError> {
        let http = |error: reqwest::Error| FetchError::Http(whole(&error.without_url()));
        let request = self
            .client
            .get(self.url.clone())
            .header("accept", "application/json");
        let mut response = request.send().await.map_err(http)?;
        if response.status() != reqwest::StatusCode::OK {
            return Err(FetchError::Status(response.status()));
        }
        let fresh_for = max_age(response.headers())
            .unwrap_or(self.times.fresh_max)
            .clamp(self.times.fresh_min, self.times.fresh_max);
        let mut body = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(http)? {
            if body.len() + chunk.len() > self.max_bytes {
                return Err(FetchError::TooLong(self.max_bytes));
            }
            body.extend_from_slice(&chunk);
        }
        Ok((jwks(&body, JwksFrom::Url)?, fresh_for))
    }
}

fn client(url: &Url, config: &JwtConfig) -> Result<reqwest::Client, BadClient> {
    let trust = config.ca_file.as_deref().map(Trust::PublicAnd);
    let tls = tls::client(trust.unwrap_or(Trust::Public)).map_err(BadClient::Tls)?;
    let mut client = reqwest::Client::builder()
        .tls_backend_preconfigured(tls)
        // What a URL leads to is what the operator has written, and nothing else.
        .redirect(redirect::Policy::none())
        .user_agent(concat!("tidings/", env!("CARGO_PKG_VERSION")));
    if url.scheme() == "http" {
        // It is on this machine, where no proxy finds it.
        client = client.no_proxy();
    }
    client.build().map_err(BadClient::Http)
}

/// `max-age` of `Cache-Control`; nothing at all for what must not be kept.
fn max_age(headers: &HeaderMap) -> Option<Duration> {
    let values = headers
        .get_all(CACHE_CONTROL)
        .iter()
        .filter_map(|value| value.to_str().ok());
    let mut age = None;
    for directive in values.flat_map(|value| value.split(',')) {
        let (name, value) = directive.split_once('=').unwrap_or((directive, ""));
        let name = name.trim().to_ascii_lowercase();
        if name == "no-store" || name == "no-cache" {
            return Some(Duration::ZERO);
        }
        if name == "max-age" {
            let seconds = value.trim().trim_matches('"').parse().ok();
            age = age.or(seconds.map(Duration::from_secs));
        }
    }
    age
}

/// A while before it is over, and not for all nodes of a fleet at the same time.
fn early(fresh_for: Duration) -> Duration {
    let chance = getrandom::u32().unwrap_or(0);
    fresh_for.mul_f64(0.8 + 0.1 * f64::from(chance) / f64::from(u32::MAX))
}

/// An error with what it was caused by: that of reqwest alone says next to nothing.
fn whole(error: &dyn std::error::Error) -> String {
    let mut words = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        words.push_str(": ");
        words.push_str(&cause.to_string());
        source = cause.source();
    }
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    fn age(values: &[&str]) -> Option<u64> {
        let values = values
            .iter()
            .map(|value| (CACHE_CONTROL, value.parse().unwrap()));
        max_age(&values.collect()).map(|age| age.as_secs())
    }

    #[test]
    fn the_issuer_says_how_long_its_keys_are_fresh() {
        assert_eq!(age(&["max-age=300"]), Some(300));
        assert_eq!(
            age(&["public, Max-Age=\"300\" , must-revalidate"]),
            Some(300)
        );
        assert_eq!(age(&["public", "max-age=300"]), Some(300));
        assert_eq!(age(&["max-age=300, max-age=600"]), Some(300));
        assert_eq!(age(&["max-age=300, no-cache"]), Some(0));
        assert_eq!(age(&["no-store"]), Some(0));
        for nothing in [
            &[][..],
            &["public"],
            &["max-age"],
            &["max-age=soon"],
            &["max-age=-1"],
            &["s-maxage=300"],
        ] {
            assert_eq!(age(nothing), None, "{nothing:?}");
        }
    }

    #[test]
    fn keys_are_fetched_a_while_before_they_are_old() {
        for _ in 0..100 {
            let early = early(Duration::from_secs(100)).as_secs_f64();
            assert!((80.0..=90.0).contains(&early), "{early}");
        }
    }
}
