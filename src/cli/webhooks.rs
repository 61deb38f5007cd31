//! `tidings webhooks`: the endpoints that webhooks are posted to.

use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use clap::{ArgGroup, Args, Subcommand};
use ipnet::IpNet;
use jiff::Timestamp;
use secrecy::ExposeSecret;
use serde_json::json;
use uuid::Uuid;

use super::print;
use super::table::{date, table};
use super::value::{account, name, network, scheme};
use crate::auth::{ApiKey, KeyRecord, Scope};
use crate::config::Settings;
use crate::store::Store;
use crate::topic::AccountId;
use crate::webhook::{Endpoint, Scheme, SigningSecret, Slug, Verification};

#[derive(Subcommand)]
pub(super) enum Command {
    /// Create an endpoint, and print its URL and its token, a line each: this once
    Create(Create),
    /// List all endpoints
    List {
        /// As JSON, for machines
        #[arg(long)]
        json: bool,
    },
    /// Put something new in the place of one secret of an endpoint, and print it; the others stay as they are
    Rotate(Rotate),
    /// Delete an endpoint, and revoke its token: whatever that opened is closed within a second, on every
    /// server
    Delete {
        /// As `webhooks list` shows it
        id: Uuid,
    },
}

#[derive(Args)]
pub(super) struct Create {
    /// Whose endpoint it is: all clients of the account hear what is posted to it
    #[arg(long, value_name = "UUID", value_parser = account)]
    account: AccountId,
    /// What to call it in lists
    #[arg(long, value_name = "TEXT", value_parser = name)]
    name: Option<String>,
    /// How its senders sign. What is not signed so is answered 401
    #[arg(long, value_name = "SCHEME", value_parser = scheme(), requires = "secret_files")]
    verify: Option<Scheme>,
    /// A file with the secret that they sign with, as they show it, or - for stdin; may be given twice, while
    /// it is changed
    #[arg(long = "secret-file", value_name = "FILE", requires = "verify")]
    secret_files: Vec<PathBuf>,
    /// A network that its senders are in; may be given more than once. What comes from elsewhere is
    /// answered 403
    #[arg(long = "allow-from", value_name = "NETWORK", value_parser = network)]
    allowed_from: Vec<IpNet>,
    /// Forward every delivery, whether or not it says that it was sent before
    #[arg(long)]
    every_delivery: bool,
}

#[derive(Args)]
#[command(group(ArgGroup::new("what").required(true).args(["slug", "token", "secret_file"])))]
pub(super) struct Rotate {
    /// As `webhooks list` shows it
    id: Uuid,
    /// The slug, and so the URL: what is posted to the old one is answered 404
    #[arg(long)]
    slug: bool,
    /// The token: what the old one opened is closed within a second, on every server
    #[arg(long)]
    token: bool,
    /// The secret that senders sign with: a file with the new one, or - for stdin. The one before it is good
    /// until the next time
    #[arg(long, value_name = "FILE")]
    secret_file: Option<PathBuf>,
}

impl Command {
    pub(super) async fn run(self, settings: &Settings) -> anyhow::Result<()> {
        let store = super::store(settings)?;
        match self {
            Command::Create(create) => create.run(settings, &store).await,
            Command::List { json } => list(&store.webhooks().await?, json),
            Command::Rotate(rotate) => rotate.run(settings, &store).await,
            Command::Delete { id } => delete(&store, id).await,
        }
    }
}

impl Create {
    async fn run(self, settings: &Settings, store: &Store) -> anyhow::Result<()> {
        let verification = match self.verify {
            Some(scheme) => {
                let secrets = self.secret_files.iter();
                let secrets = secrets.map(|file| secret(scheme, file));
                let secrets = secrets.collect::<anyhow::Result<_>>()?;
                Some(Verification::new(scheme, secrets)?)
            }
            None => None,
        };
        let (id, slug) = (Uuid::new_v4(), new_slug()?);
        let (token, record) = new_token(self.account, id, self.name.as_deref())?;
        let endpoint = Endpoint {
            id,
            account: self.account,
            name: self.name,
            slug: slug.digest(),
            key: record.id,
            verification,
            allowed_from: self.allowed_from,
            is_idempotent: !self.every_delivery,
            created_at: record.created_at,
        };
        // The token first: an endpoint without one could not be heard.
        store.add_key(&record).await?;
        store.put_webhook(&endpoint).await?;
        eprintln!("created webhook {id}; its URL and its token are shown this once:");
        print(&format!(
            "{}\n{}\n",
            url(settings, &slug),
            token.reveal(&settings.auth.key_prefix).expose_secret()
        ))?;
        note_what_is_missing(settings);
        Ok(())
    }
}

impl Rotate {
    async fn run(self, settings: &Settings, store: &Store) -> anyhow::Result<()> {
        let id = self.id;
        let mut endpoint = find(store, id).await?;
        if let Some(file) = &self.secret_file {
            let Some(verification) = &endpoint.verification else {
                bail!("webhook {id} asks for no signature: there is no secret to rotate");
            };
            let newer = secret(verification.scheme, file)?;
            endpoint.verification = Some(verification.renewed(newer));
            store.put_webhook(&endpoint).await?;
            eprintln!(
                "webhook {id} takes signatures with the new secret, and with the one before it"
            );
        } else if self.slug {
            let slug = new_slug()?;
            endpoint.slug = slug.digest();
            store.put_webhook(&endpoint).await?;
            eprintln!("webhook {id} is at another URL, which is shown this once:");
            print(&format!("{}\n", url(settings, &slug)))?;
            note_what_is_missing(settings);
        } else {
            let (token, record) = new_token(endpoint.account, id, endpoint.name.as_deref())?;
            let before = std::mem::replace(&mut endpoint.key, record.id);
            store.add_key(&record).await?;
            store.put_webhook(&endpoint).await?;
            store.revoke_key(before, Timestamp::now()).await?;
            eprintln!("webhook {id} has another token, which is shown this once:");
            let token = token.reveal(&settings.auth.key_prefix);
            print(&format!("{}\n", token.expose_secret()))?;
        }
        Ok(())
    }
}

async fn delete(store: &Store, id: Uuid) -> anyhow::Result<()> {
    let endpoint = find(store, id).await?;
    store.remove_webhook(id).await?;
    store.revoke_key(endpoint.key, Timestamp::now()).await?;
    eprintln!("deleted webhook {id}, and revoked its token");
    Ok(())
}

async fn find(store: &Store, id: Uuid) -> anyhow::Result<Endpoint> {
    let mut endpoints = store.webhooks().await?.into_iter();
    let found = endpoints.find(|endpoint| endpoint.id == id);
    found.with_context(|| {
        format!("there is no webhook {id}; `tidings webhooks list` shows those that are")
    })
}

fn list(endpoints: &[Endpoint], json: bool) -> anyhow::Result<()> {
    if json {
        let endpoints: Vec<_> = endpoints.iter().map(as_json).collect();
        return print(&format!("{}\n", serde_json::to_string_pretty(&endpoints)?));
    }
    if endpoints.is_empty() {
        eprintln!("there are no webhooks; see `tidings webhooks create --help`");
        return Ok(());
    }
    let rows: Vec<_> = endpoints.iter().map(as_row).collect();
    let head = [
        "ID", "NAME", "ACCOUNT", "TOKEN", "VERIFIED", "FROM", "REPEATS", "CREATED",
    ];
    print(&table(head, &rows))
}

fn as_row(endpoint: &Endpoint) -> [String; 8] {
    let verification = endpoint.verification.as_ref();
    let networks = endpoint.allowed_from.iter().map(IpNet::to_string);
    let networks = networks.collect::<Vec<_>>().join(" ");
    [
        endpoint.id.to_string(),
        endpoint.name.clone().unwrap_or_else(|| "-".to_owned()),
        endpoint.account.to_string(),
        endpoint.key.to_string(),
        verification
            .map_or("no", |one| one.scheme.as_str())
            .to_owned(),
        if networks.is_empty() {
            "anywhere".to_owned()
        } else {
            networks
        },
        if endpoint.is_idempotent {
            "once"
        } else {
            "forwarded"
        }
        .to_owned(),
        date(endpoint.created_at),
    ]
}

fn as_json(endpoint: &Endpoint) -> serde_json::Value {
    let verification = endpoint.verification.as_ref();
    json!({
        "id": endpoint.id,
        "name": endpoint.name,
        "account": endpoint.account.to_string(),
        "keyId": endpoint.key,
        "verification": verification.map(|one| json!({
            "scheme": one.scheme.as_str(),
            "secrets": one.secrets().len(),
        })),
        "allowedFrom": endpoint.allowed_from,
        "idempotent": endpoint.is_idempotent,
        "createdAt": date(endpoint.created_at),
    })
}

fn new_slug() -> anyhow::Result<Slug> {
    Slug::generate().context("the system has no randomness for us")
}

/// An API key that hears webhooks, and nothing else.
fn new_token(
    account: AccountId,
    endpoint: Uuid,
    called: Option<&str>,
) -> anyhow::Result<(ApiKey, KeyRecord)> {
    let key = ApiKey::generate().context("the system has no randomness for us")?;
    let called = called.map_or_else(|| endpoint.to_string(), str::to_owned);
    let record = KeyRecord {
        id: Uuid::new_v4(),
        name: Some(format!("webhook {called}")),
        account,
        user: None,
        scopes: [Scope::Webhooks].into_iter().collect(),
        digest: key.digest(),
        created_at: Timestamp::now(),
        expires_at: None,
        revoked_at: None,
    };
    Ok((key, record))
}

fn secret(scheme: Scheme, file: &Path) -> anyhow::Result<SigningSecret> {
    let (name, text) = if file == Path::new("-") {
        (
            "stdin".to_owned(),
            std::io::read_to_string(std::io::stdin()),
        )
    } else {
        (file.display().to_string(), std::fs::read_to_string(file))
    };
    let text = text.with_context(|| format!("cannot read {name}"))?;
    let read = SigningSecret::parse(scheme, &text);
    read.with_context(|| format!("{name} holds no secret of {}", scheme.as_str()))
}

fn url(settings: &Settings, slug: &Slug) -> String {
    let before = settings.websocks.intake_url(settings.server.listen);
    format!("{before}{}", slug.reveal())
}

fn note_what_is_missing(settings: &Settings) {
    if settings.websocks.public_url.is_none() {
        eprintln!(
            "note: the URL says where the server listens; websocks.public_url says what others call it"
        );
    }
    if !settings.websocks.enabled {
        eprintln!(
            "note: websocks.enabled is false in these settings: a server with them takes no webhooks"
        );
    }
}
