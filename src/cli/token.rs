//! `tidings token`: JSON Web Tokens, made and explained.

use std::io::Read;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, bail};
use clap::builder::{PossibleValuesParser, TypedValueParser};
use clap::{Args, Subcommand};
use jiff::{SignedDuration, Timestamp};
use jsonwebtoken::Algorithm;
use secrecy::{ExposeSecret, SecretString};
use tokio_util::sync::CancellationToken;

use super::print;
use super::table::date;
use super::value::{account, duration, scope, user};
use crate::auth::mint::{Claims, SigningKey, mint};
use crate::auth::{
    Accepted, AuthError, Explanation, IssuerConfig, OnBadCredentials, Scope, Tokens,
};
use crate::config::Settings;
use crate::topic::{AccountId, UserId};

#[derive(Args)]
#[command(
    args_conflicts_with_subcommands = true,
    after_long_help = "\
The token is signed with the first secret of the issuer (hmac_secrets, hmac_secret_files), or with a private key. \
Its issuer and its audience are what the settings say of that issuer, so that a server with the same settings takes it."
)]
pub(super) struct Arguments {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    mint: Mint,
}

#[derive(Subcommand)]
enum Command {
    /// Say what a server with these settings makes of a token, and why
    ///
    /// Ends with 0 if it is accepted, and with 1 if not.
    Check {
        /// The token, with or without "Bearer " before it. Without it stdin is read: everybody on a
        /// machine sees command lines
        token: Option<SecretString>,
    },
}

/// Make a token
#[derive(Args)]
struct Mint {
    /// The rewards user that it names
    #[arg(long, value_name = "ID", value_parser = user)]
    user_id: Option<UserId>,
    /// The account that it names
    #[arg(long, value_name = "UUID", value_parser = account)]
    account: Option<AccountId>,
    /// How long it is good
    #[arg(long, value_name = "DURATION", value_parser = duration, default_value = "1h")]
    expires_in: Duration,
    /// What it may be used for; may be given more than once. Everything but publish and admin, if it
    /// is not said
    #[arg(long = "scope", value_name = "SCOPE", value_parser = scope(), ignore_case = true)]
    scopes: Vec<Scope>,
    /// Which of the configured issuers it is from: its `issuer`. The first with a secret, if it is
    /// not said
    #[arg(long, value_name = "NAME")]
    issuer: Option<String>,
    /// Whom it is for: the claim `aud`
    #[arg(long, value_name = "NAME")]
    audience: Option<String>,
    /// What to sign with instead of a secret: a private key in PEM
    #[arg(long, value_name = "FILE")]
    private_key: Option<PathBuf>,
    /// What to sign with it: one for its kind that the settings allow, if it is not said
    #[arg(long, value_parser = algorithm())]
    algorithm: Option<Algorithm>,
    /// What the key is called: the header `kid`
    #[arg(long)]
    kid: Option<String>,
}

impl Arguments {
    pub(super) async fn run(self, settings: &Settings) -> anyhow::Result<()> {
        match self.command {
            Some(Command::Check { token }) => check(settings, token).await,
            None => self.mint.run(settings),
        }
    }
}

impl Mint {
    fn run(self, settings: &Settings) -> anyhow::Result<()> {
        if self.user_id.is_none() && self.account.is_none() {
            bail!("a token names somebody: --user-id, --account, or both");
        }
        let issuer = self.issuer(settings)?;
        let mut key = self.key(issuer)?;
        let allowed = issuer.and_then(|issuer| issuer.algorithms.as_ref());
        let allowed = allowed.unwrap_or(&settings.jwt.algorithms);
        key = match self.algorithm {
            Some(algorithm) => key.with_algorithm(algorithm)?,
            None => for_one_of(allowed, key),
        };
        if !allowed.contains(&key.algorithm()) {
            let algorithm = key.algorithm();
            eprintln!(
                "note: {algorithm:?} is not in algorithms of this issuer: a server will not take the token"
            );
        }
        if let Some(kid) = self.kid {
            key = key.with_id(kid);
        }
        let lasts = SignedDuration::try_from(self.expires_in).ok();
        let expires_at = lasts.and_then(|lasts| Timestamp::now().checked_add(lasts).ok());
        let claims = Claims {
            account: self.account,
            user: self.user_id,
            scopes: self.scopes,
            issuer: self.issuer.or_else(|| issuer?.issuer.clone()),
            audience: self.audience.or_else(|| issuer?.audience.first().cloned()),
            expires_at: expires_at.context("--expires-in: that is after the end of time")?,
            names: settings.jwt.claim_names(issuer),
        };
        let token = mint(&claims, &key)?;
        let grantable = issuer.and_then(|issuer| issuer.grantable_scopes.as_ref());
        let grantable = grantable.unwrap_or(&settings.jwt.grantable_scopes);
        for scope in claims
            .scopes
            .iter()
            .filter(|scope| !grantable.contains(scope))
        {
            let scope = scope.as_str();
            eprintln!(
                "note: {scope} is not in grantable_scopes of this issuer: a server will not grant it"
            );
        }
        print(&format!("{}\n", token.expose_secret()))
    }

    /// The issuer whose settings the token is made after.
    fn issuer<'s>(&self, settings: &'s Settings) -> anyhow::Result<Option<&'s IssuerConfig>> {
        let issuers = &settings.jwt.issuers;
        let mut named = issuers.iter().filter(|issuer| issuer.issuer == self.issuer);
        match (&self.issuer, &self.private_key) {
            (Some(_), Some(_)) => Ok(named.next()),
            (Some(name), None) => {
                let known: Vec<_> = issuers
                    .iter()
                    .filter_map(|one| one.issuer.as_deref())
                    .collect();
                let known = match known.is_empty() {
                    true => "none that has a name".to_owned(),
                    false => known.join(", "),
                };
                let named = named.next();
                Ok(Some(named.with_context(|| {
                    format!("--issuer {name}: no such issuer in the settings; configured: {known}")
                })?))
            }
            (None, Some(_)) => Ok(issuers.iter().find(|issuer| has_public_keys(issuer))),
            (None, None) => Ok(issuers.iter().find(|issuer| has_secret(issuer))),
        }
    }

    fn key(&self, issuer: Option<&IssuerConfig>) -> anyhow::Result<SigningKey> {
        if let Some(file) = &self.private_key {
            let named = || file.display().to_string();
            let pem = std::fs::read(file).with_context(named)?;
            return SigningKey::of_pem(&pem).with_context(named);
        }
        let secret = issuer.and_then(|issuer| issuer.hmac_secrets.first());
        let file = issuer.and_then(|issuer| issuer.hmac_secret_files.first());
        match (secret, file) {
            (Some(secret), _) => Ok(SigningKey::of_secret(secret)?),
            (None, Some(file)) => {
                let named = || file.display().to_string();
                let content = std::fs::read(file).with_context(named)?;
                SigningKey::of_secret_file(&content).with_context(named)
            }
            (None, None) if self.issuer.is_some() => bail!(
                "this issuer has no secret to sign with: name a private key with --private-key"
            ),
            (None, None) => bail!(
                "there is nothing to sign with. Configure an issuer with a secret, for this command and for the server:\n  \
                 export TIDINGS_JWT__ISSUERS='[{{ hmac_secrets = [\"'$(openssl rand -hex 32)'\"] }}]'\n\
                 or name a private key with --private-key"
            ),
        }
    }
}

/// The key with an algorithm that is allowed, if it goes with one.
fn for_one_of(allowed: &[Algorithm], key: SigningKey) -> SigningKey {
    if allowed.contains(&key.algorithm()) {
        return key;
    }
    let mut others = allowed.iter();
    let other = others.find_map(|algorithm| key.clone().with_algorithm(*algorithm).ok());
    other.unwrap_or(key)
}

fn has_secret(issuer: &IssuerConfig) -> bool {
    !issuer.hmac_secrets.is_empty() || !issuer.hmac_secret_files.is_empty()
}

fn has_public_keys(issuer: &IssuerConfig) -> bool {
    !issuer.pem_files.is_empty() || issuer.jwks_file.is_some() || issuer.jwks_url.is_some()
}

async fn check(settings: &Settings, token: Option<SecretString>) -> anyhow::Result<()> {
    let given = match token {
        Some(token) if token.expose_secret() != "-" => token,
        _ => from_stdin()?,
    };
    let token = given.expose_secret().trim();
    let token = match token.split_once(char::is_whitespace) {
        Some((scheme, token)) if scheme.eq_ignore_ascii_case("bearer") => token.trim(),
        _ => token,
    };
    let tokens = Tokens::new(&settings.jwt)?;
    // As in a server: it fetches what is at URLs, and the check waits for that.
    let stop = CancellationToken::new();
    let fresh = tokio::spawn(tokens.clone().keep_fresh(stop.clone()));
    let explanation = tokens.explain(token).await;
    stop.cancel();
    fresh.await?;
    print(&said(&explanation))?;
    match explanation.verdict {
        Ok(_) => Ok(()),
        Err(error) => bail!("{}", refusal(&error, settings.auth.on_bad_credentials)),
    }
}

fn from_stdin() -> anyhow::Result<SecretString> {
    let mut text = String::new();
    // Longer than any server would read.
    let stdin = std::io::stdin().take(1 << 20).read_to_string(&mut text);
    stdin.context("cannot read stdin")?;
    Ok(text.into())
}

/// All that is known of a token, for people.
fn said(explanation: &Explanation) -> String {
    let mut lines = String::new();
    let mut line = |about: &str, text: &str| {
        let indented = text.replace('\n', "\n            ");
        lines.push_str(&format!("{about:<12}{indented}\n"));
    };
    let unread = || "cannot be read".to_owned();
    line("header", &explanation.header.clone().unwrap_or_else(unread));
    line("claims", &explanation.claims.clone().unwrap_or_else(unread));
    for note in &explanation.notes {
        line(note.about, &note.text);
    }
    if let Ok(Accepted {
        identity,
        expires_at,
        closes_at,
    }) = &explanation.verdict
    {
        let account = identity
            .account()
            .map(|account| format!("account {account}"));
        let user = identity.user().map(|user| format!("user {user}"));
        let who: Vec<_> = account.into_iter().chain(user).collect();
        let (expires_at, closes_at) = (date(*expires_at), date(*closes_at));
        line(
            "accepted",
            &format!("as {}, until {expires_at}", who.join(" and ")),
        );
        line("closed", &format!("what it opens now, at {closes_at}"));
    }
    lines
}

/// What becomes of whoever brings it.
fn refusal(error: &AuthError, on_bad: OnBadCredentials) -> String {
    let name = error.name();
    match (error, on_bad) {
        (AuthError::Unavailable(_), _) => {
            format!(
                "cannot be checked now: {error} ({name}); a server closes with 1013: come back later"
            )
        }
        (AuthError::Forbidden(_), OnBadCredentials::Reject) => {
            format!("refused: {error} ({name}); a server closes with 4403 Forbidden")
        }
        (AuthError::Forbidden(_), OnBadCredentials::Anonymous) => {
            format!(
                "refused: {error} ({name}); for a server with these settings it is as good as none"
            )
        }
    }
}

fn algorithm() -> impl TypedValueParser<Value = Algorithm> {
    let words = [
        "RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "EdDSA", "HS256",
        "HS384", "HS512",
    ];
    PossibleValuesParser::new(words).map(|word| word.parse().expect("it is one of the words"))
}
