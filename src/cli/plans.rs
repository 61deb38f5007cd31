//! `tidings plans`: what accounts have subscribed to.

use anyhow::bail;
use clap::{ArgGroup, Args, Subcommand};
use serde_json::json;

use super::print;
use super::table::table;
use super::value::account;
use crate::accounts::AccountPlans;
use crate::config::Settings;
use crate::store::Store;
use crate::topic::AccountId;

#[derive(Subcommand)]
pub(super) enum Command {
    /// Set the plans of an account; what is not named stays as it is. They hold within a second, on every
    /// server
    Set(Set),
    /// List the accounts that have plans of their own; all others have the default ones
    List {
        /// As JSON, for machines
        #[arg(long)]
        json: bool,
    },
}

#[derive(Args)]
#[command(group(ArgGroup::new("plan").required(true).multiple(true)
    .args(["websocks", "cap", "blockdb", "allenhark"])))]
pub(super) struct Set {
    /// Whose plans they are
    #[arg(long, value_name = "UUID", value_parser = account)]
    account: AccountId,
    /// One of websocks.plans, or none: the default one
    #[arg(long, value_name = "PLAN", value_parser = plan)]
    websocks: Option<Choice<String>>,
    /// Webhooks a month, at most, whatever the plan allows; or none
    #[arg(long, value_name = "NUMBER", value_parser = cap)]
    cap: Option<Choice<u64>>,
    /// A plan of BlockDB, or none: the default one
    #[arg(long, value_name = "PLAN", value_parser = plan)]
    blockdb: Option<Choice<String>>,
    /// A tier of AllenHark, or none: the default one
    #[arg(long, value_name = "TIER", value_parser = plan)]
    allenhark: Option<Choice<String>>,
}

/// What is to be set: a value, or that there is none.
#[derive(Clone)]
struct Choice<T>(Option<T>);

impl Command {
    pub(super) async fn run(self, settings: &Settings) -> anyhow::Result<()> {
        let store = super::store(settings)?;
        match self {
            Command::Set(set) => set.run(settings, &store).await,
            Command::List { json } => list(&store.plans().await?, json),
        }
    }
}

impl Set {
    async fn run(self, settings: &Settings, store: &Store) -> anyhow::Result<()> {
        let plans = settings.websocks.plans.iter();
        let tiers = settings.allenhark.tiers.iter();
        known(
            &self.blockdb,
            "blockdb.plans",
            settings.blockdb.plans.iter(),
        )?;
        known(
            &self.websocks,
            "websocks.plans",
            plans.map(|plan| &plan.name),
        )?;
        known(
            &self.allenhark,
            "allenhark.tiers",
            tiers.map(|tier| &tier.name),
        )?;
        let change = store.change_plans(self.account, |plans| {
            change(&mut plans.websocks, self.websocks);
            change(&mut plans.webhooks_cap, self.cap);
            change(&mut plans.blockdb, self.blockdb);
            change(&mut plans.allenhark, self.allenhark);
        });
        change.await?;
        eprintln!("set the plans of account {}", self.account);
        Ok(())
    }
}

/// Whether a plan is one of those that there are.
fn known<'a>(
    choice: &Option<Choice<String>>,
    setting: &str,
    names: impl Iterator<Item = &'a String>,
) -> anyhow::Result<()> {
    let Some(Choice(Some(name))) = choice else {
        return Ok(());
    };
    let names: Vec<_> = names.map(String::as_str).collect();
    if !names.contains(&name.as_str()) {
        bail!("{setting} has no {name}; there are: {}", names.join(", "));
    }
    Ok(())
}

fn change<T>(present: &mut Option<T>, choice: Option<Choice<T>>) {
    if let Some(Choice(value)) = choice {
        *present = value;
    }
}

fn list(plans: &[(AccountId, AccountPlans)], json: bool) -> anyhow::Result<()> {
    let mut plans = plans.to_vec();
    plans.sort_by_key(|(account, _)| account.to_string());
    if json {
        let plans: Vec<_> = plans.iter().map(as_json).collect();
        return print(&format!("{}\n", serde_json::to_string_pretty(&plans)?));
    }
    if plans.is_empty() {
        eprintln!("all accounts have the default plans; see `tidings plans set --help`");
        return Ok(());
    }
    let rows: Vec<_> = plans.iter().map(as_row).collect();
    let head = ["ACCOUNT", "WEBSOCKS", "CAP", "BLOCKDB", "ALLENHARK"];
    print(&table(head, &rows))
}

fn as_row((account, plans): &(AccountId, AccountPlans)) -> [String; 5] {
    let or_default = |plan: &Option<String>| plan.clone().unwrap_or_else(|| "default".to_owned());
    let cap = plans.webhooks_cap;
    [
        account.to_string(),
        or_default(&plans.websocks),
        cap.map_or_else(|| "none".to_owned(), |cap| cap.to_string()),
        or_default(&plans.blockdb),
        or_default(&plans.allenhark),
    ]
}

fn as_json((account, plans): &(AccountId, AccountPlans)) -> serde_json::Value {
    json!({
        "account": account.to_string(),
        "websocks": plans.websocks,
        "webhooksCap": plans.webhooks_cap,
        "blockdb": plans.blockdb,
        "allenhark": plans.allenhark,
    })
}

fn plan(text: &str) -> Result<Choice<String>, &'static str> {
    match text {
        "" => Err("expected the name of a plan, or none"),
        "none" => Ok(Choice(None)),
        name => Ok(Choice(Some(name.to_owned()))),
    }
}

fn cap(text: &str) -> Result<Choice<u64>, &'static str> {
    match text {
        "none" => Ok(Choice(None)),
        number => {
            let number = number.parse().map_err(|_| "expected a number, or none")?;
            Ok(Choice(Some(number)))
        }
    }
}
