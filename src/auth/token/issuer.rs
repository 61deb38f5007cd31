//! One issuer: its name, its keys, its rules.

use std::sync::Arc;

use jiff::Timestamp;
use jsonwebtoken::{Algorithm, AlgorithmFamily};
use secrecy::ExposeSecret;

use super::claims::{Claimed, Rules};
use super::compact::Compact;
use super::config::{IssuerConfig, JwtConfig, place};
use super::jwks_url::{BadClient, JwksUrl, Known};
use super::key::{BadKey, Key, Unsigned, signer};
use super::key_file::{BadFile, KeyFile};
use super::trail::Trail;
use crate::auth::reason::{AuthError, Away, Reason};

/// One issuer.
#[derive(Debug)]
pub(super) struct Issuer {
    /// Where it stands in the settings, for people.
    place: String,
    /// The claim `iss` of its tokens.
    name: Option<String>,
    algorithms: Vec<Algorithm>,
    rules: Rules,
    sources: Vec<Source>,
}

/// Where keys come from.
#[derive(Debug)]
enum Source {
    Settings(Arc<Vec<Key>>),
    File(Arc<KeyFile>),
    Url(Arc<JwksUrl>),
}

/// What one issuer says of a token, by the keys that are known now.
pub(super) enum Opinion {
    /// It is good.
    Good(Claimed),
    /// It has signed it, and does not let it pass.
    Bad(Reason),
    /// None of its keys has signed it.
    Unsigned {
        error: AuthError,
        /// Whether a key that is not known yet may have.
        is_open: bool,
    },
}

/// An issuer whose keys cannot be had. None of it repeats a secret.
#[derive(Debug, thiserror::Error)]
pub enum BadIssuer {
    #[error("{place}.hmac_secrets: {why}")]
    Secret { place: String, why: BadKey },
    #[error("{place}: {file}")]
    File { place: String, file: BadFile },
    #[error("{place}.jwks_url: {why}")]
    Url { place: String, why: BadClient },
}

impl Issuer {
    /// Reads its keys, but for those at a URL.
    pub(super) fn new(
        number: usize,
        config: &IssuerConfig,
        shared: &JwtConfig,
        url: Option<Arc<JwksUrl>>,
    ) -> Result<Self, BadIssuer> {
        let place = place(number);
        let mut sources = Vec::new();
        if !config.hmac_secrets.is_empty() {
            let secrets = config.hmac_secrets.iter();
            let keys = secrets.map(|secret| Key::of_secret(secret.expose_secret().as_bytes()));
            let keys = keys.collect::<Result<Vec<_>, _>>().map_err(|why| {
                let place = place.clone();
                BadIssuer::Secret { place, why }
            })?;
            sources.push(Source::Settings(Arc::new(keys)));
        }
        for (path, kind) in config.files() {
            let file = KeyFile::open(path.clone(), kind).map_err(|file| {
                let place = place.clone();
                BadIssuer::File { place, file }
            })?;
            sources.push(Source::File(Arc::new(file)));
        }
        sources.extend(url.map(Source::Url));
        let algorithms = config.algorithms.as_ref().unwrap_or(&shared.algorithms);
        let grantable = config.grantable_scopes.as_ref();
        Ok(Issuer {
            place,
            name: config.issuer.clone(),
            algorithms: algorithms.clone(),
            rules: Rules {
                audience: config.audience.clone(),
                names: shared.claim_names(Some(config)),
                grantable: grantable.unwrap_or(&shared.grantable_scopes).clone(),
                leeway: shared.leeway,
            },
            sources,
        })
    }

    /// The claim `iss` of its tokens; `None` if it does not matter.
    pub(super) fn name(&self) -> Option<&str> {
        self.name.as_deref()
    }

    /// Its files.
    pub(super) fn files(&self) -> impl Iterator<Item = &Arc<KeyFile>> {
        self.sources.iter().filter_map(|source| match source {
            Source::File(file) => Some(file),
            _ => None,
        })
    }

    /// Its URL.
    pub(super) fn url(&self) -> Option<&Arc<JwksUrl>> {
        self.sources.iter().find_map(|source| match source {
            Source::Url(url) => Some(url),
            _ => None,
        })
    }

    /// What it says of a token that names it, or no other. Asks nobody.
    pub(super) fn opinion(
        &self,
        token: &Compact<'_>,
        now: Timestamp,
        trail: &mut Trail,
    ) -> Opinion {
        trail.note("issuer", || match &self.name {
            Some(name) => format!("{name:?} ({})", self.place),
            None => self.place.clone(),
        });
        let algorithm = token.header.algorithm();
        let Some(algorithm) = algorithm.filter(|algorithm| self.algorithms.contains(algorithm))
        else {
            trail.note("algorithm", || format!("not one of {:?}", self.algorithms));
            return Opinion::Unsigned {
                error: AuthError::Forbidden(Reason::WrongAlgorithm),
                is_open: false,
            };
        };
        trail.note("algorithm", || format!("{algorithm:?} is allowed"));
        match self.signer(token, algorithm, trail) {
            Ok(()) => match self.rules.read(&token.claims, now, trail) {
                Ok(claimed) => Opinion::Good(claimed),
                Err(reason) => Opinion::Bad(reason),
            },
            // No key could make a token good that is over, or for somebody else: nobody need be asked
            // for one, and its bearer need not come back.
            Err((error, is_open)) if is_open || matches!(error, AuthError::Unavailable(_)) => {
                match self.rules.read(&token.claims, now, trail) {
                    Ok(_) => Opinion::Unsigned { error, is_open },
                    Err(reason) => Opinion::Unsigned {
                        error: AuthError::Forbidden(reason),
                        is_open: false,
                    },
                }
            }
            Err((error, is_open)) => Opinion::Unsigned { error, is_open },
        }
    }

    /// Whether one of the keys has signed; if not, why not, and whether newer keys may have.
    fn signer(
        &self,
        token: &Compact<'_>,
        algorithm: Algorithm,
        trail: &mut Trail,
    ) -> Result<(), (AuthError, bool)> {
        let mut none = Unsigned::default();
        let (mut has_url, mut is_away) = (false, false);
        // What is at a URL is no secret: it has signed none of these, and nobody need be asked.
        let is_hmac = algorithm.family() == AlgorithmFamily::Hmac;
        let may_sign = |source: &&Source| !(is_hmac && matches!(source, Source::Url(_)));
        for source in self.sources.iter().filter(may_sign) {
            let keys = match source {
                Source::Settings(keys) => keys.clone(),
                Source::File(file) => file.keys(),
                Source::Url(url) => {
                    has_url = true;
                    match url.known() {
                        Known::Keys(keys) => keys,
                        Known::Stale(keys) => {
                            is_away = true;
                            keys
                        }
                        Known::Nothing => {
                            is_away = true;
                            trail.note("keys", || format!("{} is away", url.url()));
                            continue;
                        }
                    }
                }
            };
            match signer(&keys, token, algorithm) {
                Ok(key) => {
                    trail.note("key", || format!("{key}, {}: it has signed", source.name()));
                    return Ok(());
                }
                Err(unsigned) => {
                    trail.note("keys", || {
                        let tried = unsigned.tried;
                        format!(
                            "{}, {tried} of {} tried: none has signed",
                            source.name(),
                            keys.len()
                        )
                    });
                    none = none.or(unsigned);
                }
            }
        }
        match (has_url && !none.is_named, is_away) {
            (true, true) => Err((AuthError::Unavailable(Away::Issuer), true)),
            (is_open, _) => Err((AuthError::Forbidden(none.reason()), is_open)),
        }
    }
}

impl Source {
    /// For people.
    fn name(&self) -> String {
        match self {
            Source::Settings(_) => "in hmac_secrets".to_owned(),
            Source::File(file) => format!("in {file}"),
            Source::Url(url) => format!("at {}", url.url()),
        }
    }
}
