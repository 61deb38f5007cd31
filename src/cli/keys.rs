//! `tidings keys`: API keys.

use std::time::Duration;

use anyhow::{Context, bail};
use clap::{Args, Subcommand};
use jiff::{SignedDuration, Timestamp};
use secrecy::ExposeSecret;
use serde_json::json;
use uuid::Uuid;

use super::print;
use super::table::{date, table};
use super::value::{account, duration, name, scope, user};
use crate::auth::{ApiKey, KeyRecord, Scope};
use crate::config::Settings;
use crate::store::Store;
use crate::topic::{AccountId, UserId};

#[derive(Subcommand)]
pub(super) enum Command {
    /// Create a key, and print it: this once
    Create(Create),
    /// List all keys
    List {
        /// As JSON, for machines
        #[arg(long)]
        json: bool,
    },
    /// Revoke a key: whatever it opened is closed within a second, on every server
    Revoke {
        /// As `keys list` shows it: not the key itself
        id: Uuid,
    },
}

#[derive(Args)]
pub(super) struct Create {
    /// Whose key it is
    #[arg(long, value_name = "UUID", value_parser = account)]
    account: AccountId,
    /// The rewards user that its owner is, too
    #[arg(long, value_name = "ID", value_parser = user)]
    user_id: Option<UserId>,
    /// What it may be used for; may be given more than once. Queries, myUpdates and StatusUpdate need
    /// read, POST /v1/events needs publish, /v1/connections needs admin; webhooks hears those of the
    /// account and nothing else
    #[arg(long = "scope", value_name = "SCOPE", value_parser = scope(),
          ignore_case = true, default_values = ["read", "write"])]
    scopes: Vec<Scope>,
    /// How long it is good: "90d". For ever, if it is not said
    #[arg(long, value_name = "DURATION", value_parser = duration)]
    expires_in: Option<Duration>,
    /// What to call it in lists
    #[arg(long, value_name = "TEXT", value_parser = name)]
    name: Option<String>,
}

impl Command {
    pub(super) async fn run(self, settings: &Settings) -> anyhow::Result<()> {
        let store = super::store(settings)?;
        match self {
            Command::Create(create) => create.run(settings, &store).await,
            Command::List { json } => list(&store.keys().await?, json),
            Command::Revoke { id } => revoke(&store, id).await,
        }
    }
}

impl Create {
    async fn run(self, settings: &Settings, store: &Store) -> anyhow::Result<()> {
        let now = Timestamp::now();
        let expires_at = self
            .expires_in
            .map(|duration| end(now, duration))
            .transpose()?;
        let key = ApiKey::generate().context("the system has no randomness for us")?;
        let record = KeyRecord {
            id: Uuid::new_v4(),
            name: self.name,
            account: self.account,
            user: self.user_id,
            scopes: self.scopes.into_iter().collect(),
            digest: key.digest(),
            created_at: now,
            expires_at,
            revoked_at: None,
        };
        store.add_key(&record).await?;
        let KeyRecord { id, scopes, .. } = &record;
        eprintln!("created key {id} with scopes {scopes}; it is shown this once:");
        print(&format!(
            "{}\n",
            key.reveal(&settings.auth.key_prefix).expose_secret()
        ))?;
        let accounts = store.accounts().await?;
        if !accounts.iter().any(|account| account.id == self.account) {
            let account = self.account;
            eprintln!(
                "note: account {account} is not in the directory, so `me` will not show it; \
                 see `tidings accounts import --help`"
            );
        }
        Ok(())
    }
}

fn list(keys: &[KeyRecord], json: bool) -> anyhow::Result<()> {
    let now = Timestamp::now();
    if json {
        let keys: Vec<_> = keys.iter().map(|key| as_json(key, now)).collect();
        return print(&format!("{}\n", serde_json::to_string_pretty(&keys)?));
    }
    if keys.is_empty() {
        eprintln!("there are no keys; see `tidings keys create --help`");
        return Ok(());
    }
    let rows: Vec<_> = keys.iter().map(|key| as_row(key, now)).collect();
    let head = [
        "ID", "NAME", "ACCOUNT", "USER", "SCOPES", "CREATED", "EXPIRES", "STATE",
    ];
    print(&table(head, &rows))
}

fn as_row(key: &KeyRecord, now: Timestamp) -> [String; 8] {
    [
        key.id.to_string(),
        key.name.clone().unwrap_or_else(|| "-".to_owned()),
        key.account.to_string(),
        key.user
            .map_or_else(|| "-".to_owned(), |user| user.to_string()),
        key.scopes.to_string(),
        date(key.created_at),
        key.expires_at.map_or_else(|| "never".to_owned(), date),
        key.state(now).as_str().to_owned(),
    ]
}

fn as_json(key: &KeyRecord, now: Timestamp) -> serde_json::Value {
    json!({
        "id": key.id,
        "name": key.name,
        "account": key.account.to_string(),
        "userId": key.user.map(UserId::get),
        "scopes": key.scopes.iter().map(Scope::as_str).collect::<Vec<_>>(),
        "createdAt": date(key.created_at),
        "expiresAt": key.expires_at.map(date),
        "revokedAt": key.revoked_at.map(date),
        "state": key.state(now).as_str(),
    })
}

async fn revoke(store: &Store, id: Uuid) -> anyhow::Result<()> {
    let now = Timestamp::now();
    let Some(key) = store.revoke_key(id, now).await? else {
        bail!("there is no key {id}; `tidings keys list` shows those that are");
    };
    match key.revoked_at {
        Some(before) if before < now => eprintln!("key {id} was revoked on {}", date(before)),
        _ => eprintln!("revoked key {id}"),
    }
    Ok(())
}

fn end(now: Timestamp, duration: Duration) -> anyhow::Result<Timestamp> {
    let duration = SignedDuration::try_from(duration).ok();
    let end = duration.and_then(|duration| now.checked_add(duration).ok());
    end.context("--expires-in: that is after the end of time")
}
