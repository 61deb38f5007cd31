//! `tidings bots`: whose the trading bots are.

use anyhow::{Context, bail};
use clap::{Args, Subcommand};
use jiff::Timestamp;
use serde_json::json;

use super::print;
use super::table::{date, table};
use super::value::{account, bot};
use crate::auth::BotRecord;
use crate::config::Settings;
use crate::store::Store;
use crate::topic::{AccountId, BotId};

#[derive(Subcommand)]
pub(super) enum Command {
    /// Say whose a bot is, and print its id: that account alone may subscribe to it
    Add(Add),
    /// List bots
    List {
        /// Those of this account alone
        #[arg(long, value_name = "UUID", value_parser = account)]
        account: Option<AccountId>,
        /// As JSON, for machines
        #[arg(long)]
        json: bool,
    },
    /// Forget a bot: whoever listens to it is told so within a second, on every server
    Remove {
        /// As `bots list` shows it
        #[arg(value_parser = bot)]
        id: BotId,
    },
}

#[derive(Args)]
pub(super) struct Add {
    /// Whose it is
    #[arg(long, value_name = "UUID", value_parser = account)]
    account: AccountId,
    /// Take it from the account that has it now
    #[arg(long)]
    force: bool,
    /// What it is called: "bot_" and up to 64 letters, digits, hyphens and underscores. Made up, if it is not said
    #[arg(value_parser = bot)]
    id: Option<BotId>,
}

impl Command {
    pub(super) async fn run(self, settings: &Settings) -> anyhow::Result<()> {
        let store = super::store(settings)?;
        match self {
            Command::Add(add) => add.run(&store).await,
            Command::List { account, json } => {
                let mut bots = store.bots().await?;
                bots.retain(|bot| account.is_none_or(|account| bot.account == account));
                list(&bots, json)
            }
            Command::Remove { id } => remove(&store, &id).await,
        }
    }
}

impl Add {
    async fn run(self, store: &Store) -> anyhow::Result<()> {
        let Add { account, force, id } = self;
        let id = match id {
            Some(id) => id,
            None => BotId::generate().context("the system has no randomness for us")?,
        };
        let bots = store.bots().await?;
        let present = bots.into_iter().find(|bot| bot.id == id);
        match &present {
            Some(bot) if bot.account == account => {
                eprintln!("bot {id} is account {account}'s already");
            }
            Some(bot) if !force => {
                let owner = bot.account;
                bail!("bot {id} is account {owner}'s; --force takes it from there");
            }
            _ => {
                let now = Timestamp::now();
                let created_at = present.as_ref().map_or(now, |bot| bot.created_at);
                let bot = BotRecord {
                    id: id.clone(),
                    account,
                    created_at,
                };
                store.put_bot(&bot).await?;
                match present {
                    Some(before) => {
                        eprintln!(
                            "moved bot {id} from account {} to {account}",
                            before.account
                        );
                    }
                    None => eprintln!("added bot {id} of account {account}"),
                }
            }
        }
        print(&format!("{id}\n"))
    }
}

fn list(bots: &[BotRecord], json: bool) -> anyhow::Result<()> {
    if json {
        let bots: Vec<_> = bots.iter().map(as_json).collect();
        return print(&format!("{}\n", serde_json::to_string_pretty(&bots)?));
    }
    if bots.is_empty() {
        eprintln!("there are no bots; see `tidings bots add --help`");
        return Ok(());
    }
    let rows: Vec<_> = bots
        .iter()
        .map(|bot| {
            [
                bot.id.to_string(),
                bot.account.to_string(),
                date(bot.created_at),
            ]
        })
        .collect();
    print(&table(["ID", "ACCOUNT", "ADDED"], &rows))
}

fn as_json(bot: &BotRecord) -> serde_json::Value {
    json!({
        "id": bot.id.as_str(),
        "account": bot.account.to_string(),
        "createdAt": date(bot.created_at),
    })
}

async fn remove(store: &Store, id: &BotId) -> anyhow::Result<()> {
    if !store.remove_bot(id).await? {
        bail!("there is no bot {id}; `tidings bots list` shows those that are");
    }
    eprintln!("removed bot {id}");
    Ok(())
}
