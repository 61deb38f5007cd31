//! `tidings connections`: who is connected.

use anyhow::{Context, bail};
use clap::{Args, Subcommand};
use reqwest::Method;
use secrecy::SecretString;
use serde::Deserialize;
use serde_json::json;
use url::Url;

use super::print;
use super::server::Way;
use super::table::{date, table};
use crate::config::Settings;
use crate::registry::{Filter, Fleet, GoodbyeCode, GoodbyeReason, Listed, Tally};

#[derive(Subcommand)]
#[command(after_long_help = "\
With the bus in Redis, the connections of all servers are there. Without, they are asked of the server, \
which needs a key with the scope admin in TIDINGS_KEY.")]
pub(super) enum Command {
    /// List connections, by age; where there are more than --limit, any of them
    List {
        #[command(flatten)]
        which: Which,
        #[command(flatten)]
        server: AskedServer,
        /// As many as that at most
        #[arg(long, value_name = "NUMBER", default_value_t = 1000,
              value_parser = clap::value_parser!(u32).range(1..=10_000))]
        limit: u32,
        /// As JSON, for machines
        #[arg(long)]
        json: bool,
    },
    /// Close connections: on every server, within a second
    Close {
        #[command(flatten)]
        which: Which,
        #[command(flatten)]
        server: AskedServer,
        /// What the clients are told: up to 123 bytes
        #[arg(long, value_name = "TEXT", value_parser = reason)]
        reason: Option<GoodbyeReason>,
        /// 4403: not wanted here. With 1001, 1012 and 1013 clients come back
        #[arg(long, value_parser = code, default_value = "4403")]
        code: GoodbyeCode,
    },
}

/// Those that fit all that is said.
#[derive(Args)]
pub(super) struct Which {
    /// Of this account
    #[arg(long, value_name = "UUID", value_parser = parameter("account"))]
    account: Option<String>,
    /// Of this rewards user
    #[arg(long, value_name = "ID", value_parser = parameter("user"))]
    user: Option<String>,
    /// Opened with this key, as `keys list` shows it: not the key itself
    #[arg(long, value_name = "ID", value_parser = parameter("key"))]
    key: Option<String>,
    /// Called this by their client, or by our log lines
    #[arg(long, value_name = "ID", value_parser = parameter("connection"))]
    connection: Option<String>,
}

#[derive(Args)]
pub(super) struct AskedServer {
    /// The server to ask. Without it: Redis, or the server of these settings
    #[arg(long)]
    url: Option<Url>,
    /// The key for it. Prefer TIDINGS_KEY: everybody on a machine sees command lines
    #[arg(long)]
    api_key: Option<SecretString>,
}

/// What `GET /v1/connections` answers.
#[derive(Deserialize)]
struct Answer {
    connections: Vec<Listed>,
    more: bool,
    #[serde(default)]
    partial: bool,
}

/// What `DELETE /v1/connections` answers.
#[derive(Deserialize)]
struct Closed {
    closed: usize,
    #[serde(default)]
    partial: bool,
}

impl Command {
    pub(super) async fn run(self, settings: &Settings) -> anyhow::Result<()> {
        match self {
            Command::List {
                which,
                server,
                limit,
                json,
            } => {
                let way = Way::new(server.url, server.api_key, settings)?;
                show(&list(&way, &which.filter()?, limit).await?, json)
            }
            Command::Close {
                which,
                server,
                reason,
                code,
            } => {
                let filter = which.filter()?;
                if filter.is_empty() {
                    bail!("say which connections: --account, --user, --key or --connection");
                }
                let way = Way::new(server.url, server.api_key, settings)?;
                let Closed { closed, partial } = close(&way, &filter, code, reason).await?;
                let plural = if closed == 1 { "" } else { "s" };
                eprintln!("closed {closed} connection{plural}");
                if partial {
                    eprintln!("note: not every server has said yet how many of its own it closed");
                }
                Ok(())
            }
        }
    }
}

impl Which {
    fn filter(self) -> anyhow::Result<Filter> {
        let mut filter = Filter::default();
        let said = [self.account, self.user, self.key, self.connection];
        let names = ["account", "user", "key", "connection"];
        for (name, value) in names.into_iter().zip(said) {
            if let Some(value) = value {
                filter.read(name, &value)?;
            }
        }
        Ok(filter)
    }
}

async fn list(way: &Way, filter: &Filter, limit: u32) -> anyhow::Result<Answer> {
    match way {
        Way::Redis(link) => {
            let fleet = Fleet::new(link.clone());
            let listing = fleet.list(filter, limit as usize).await?;
            Ok(Answer {
                connections: listing.connections,
                more: listing.more,
                partial: false,
            })
        }
        Way::Server(server) => {
            let mut parameters = filter.parameters();
            parameters.push(("limit", limit.to_string()));
            let path = ["connections"];
            let said = server.ask(Method::GET, &path, &parameters, None, "admin");
            serde_json::from_str(&said.await?).context("the server answers something else")
        }
    }
}

async fn close(
    way: &Way,
    filter: &Filter,
    code: GoodbyeCode,
    reason: Option<GoodbyeReason>,
) -> anyhow::Result<Closed> {
    match way {
        Way::Redis(link) => {
            let fleet = Fleet::new(link.clone());
            let Tally { count, silent } = fleet.close(filter, code, reason).await?;
            Ok(Closed {
                closed: count,
                partial: silent > 0,
            })
        }
        Way::Server(server) => {
            let mut parameters = filter.parameters();
            parameters.push(("code", code.number().to_string()));
            parameters.extend(reason.map(|reason| ("reason", reason.as_str().to_owned())));
            let path = ["connections"];
            let said = server.ask(Method::DELETE, &path, &parameters, None, "admin");
            serde_json::from_str(&said.await?).context("the server answers something else")
        }
    }
}

fn show(answer: &Answer, json: bool) -> anyhow::Result<()> {
    if answer.more {
        eprintln!("note: there are more; --limit shows up to 10000, filters show fewer");
    }
    if answer.partial {
        eprintln!("note: redis is away: these are the connections of one server alone");
    }
    if json {
        let connections = json!(answer.connections);
        return print(&format!(
            "{}\n",
            serde_json::to_string_pretty(&connections)?
        ));
    }
    if answer.connections.is_empty() {
        eprintln!("there are no such connections");
        return Ok(());
    }
    let rows: Vec<_> = answer.connections.iter().map(as_row).collect();
    let head = [
        "CONNECTION",
        "ACCOUNT",
        "USER",
        "KEY",
        "PROTOCOL",
        "ADDRESS",
        "SINCE",
        "SUBSCRIPTIONS",
        "PING",
        "QUEUED",
        "NODE",
    ];
    print(&table(head, &rows))
}

fn as_row(listed: &Listed) -> [String; 11] {
    let or_dash = |text: Option<String>| text.unwrap_or_else(|| "-".to_owned());
    let figures = &listed.figures;
    [
        listed.connection_id.to_string(),
        or_dash(listed.who.account.map(|account| account.to_string())),
        or_dash(listed.who.user.map(|user| user.to_string())),
        or_dash(listed.who.key.map(|key| key.to_string())),
        listed.protocol.to_string(),
        listed.address.to_string(),
        date(listed.since),
        figures.subscriptions.to_string(),
        or_dash(
            figures
                .round_trip
                .map(|time| format!("{}ms", time.as_millis())),
        ),
        format!("{}B", figures.bytes_queued),
        listed.node.to_string(),
    ]
}

/// The value of a parameter of the filter, checked.
fn parameter(name: &'static str) -> impl Fn(&str) -> Result<String, String> + Clone {
    move |value| match Filter::default().read(name, value) {
        Ok(_) => Ok(value.to_owned()),
        Err(bad) => Err(format!("expected {}", bad.expected)),
    }
}

fn reason(text: &str) -> Result<GoodbyeReason, &'static str> {
    GoodbyeReason::parse(text).ok_or("expected up to 123 bytes without control characters")
}

fn code(text: &str) -> Result<GoodbyeCode, &'static str> {
    GoodbyeCode::parse(text).ok_or("expected 4403, 1001, 1012 or 1013")
}
