//! `tidings accounts`: the directory.

use std::io::Read;
use std::path::{Path, PathBuf};

use anyhow::Context;
use clap::Subcommand;

use super::print;
use super::table::table;
use crate::accounts::{self, Account};
use crate::config::Settings;
use crate::event::WalletCurrency;

#[derive(Subcommand)]
pub(super) enum Command {
    /// Import accounts, in the place of those with the same ids
    #[command(after_long_help = SHAPE)]
    Import {
        /// A file of JSON, or - for stdin
        file: PathBuf,
    },
    /// List all accounts
    List {
        /// As JSON, in the form that import takes
        #[arg(long)]
        json: bool,
    },
}

const SHAPE: &str = r#"The file holds an array of accounts, or an object with that array as "accounts":

[
  {
    "id": "0d3d3c1a-5e0e-4b7b-8f59-7f1a7b1f6a51",
    "username": "alice",
    "displayCurrency": "USD",
    "level": "ONE",
    "defaultWalletId": "6c9ae5a1-0c6b-4d8e-9a39-2b5a7a0f0b01",
    "wallets": [
      {
        "id": "6c9ae5a1-0c6b-4d8e-9a39-2b5a7a0f0b01",
        "walletCurrency": "BTC",
        "balance": 1000,
        "pendingIncomingBalance": 0
      }
    ]
  }
]

username, balance and pendingIncomingBalance may be left out; level is ZERO, ONE, TWO or THREE;
walletCurrency is BTC or USD; balances are in sats or cents. A file with anything wrong in it is
refused whole."#;

impl Command {
    pub(super) async fn run(self, settings: &Settings) -> anyhow::Result<()> {
        match self {
            Command::Import { file } => import(settings, &file).await,
            Command::List { json } => list(&super::store(settings)?.accounts().await?, json),
        }
    }
}

/// What is wrong with the file is told before the store is opened.
async fn import(settings: &Settings, file: &Path) -> anyhow::Result<()> {
    let (name, text) = if file == Path::new("-") {
        let mut text = String::new();
        let read = std::io::stdin().read_to_string(&mut text);
        ("stdin".to_owned(), read.map(|_| text))
    } else {
        (file.display().to_string(), std::fs::read_to_string(file))
    };
    let text = text.with_context(|| format!("cannot read {name}"))?;
    let accounts = accounts::read(&name, &text)?;
    super::store(settings)?.put_accounts(&accounts).await?;
    let count = accounts.len();
    eprintln!(
        "imported {count} account{}",
        if count == 1 { "" } else { "s" }
    );
    Ok(())
}

fn list(accounts: &[Account], json: bool) -> anyhow::Result<()> {
    if json {
        return print(&format!("{}\n", accounts::write(accounts)));
    }
    if accounts.is_empty() {
        eprintln!("there are no accounts; see `tidings accounts import --help`");
        return Ok(());
    }
    let rows: Vec<_> = accounts.iter().map(as_row).collect();
    print(&table(
        ["ID", "USERNAME", "CURRENCY", "LEVEL", "WALLETS"],
        &rows,
    ))
}

fn as_row(account: &Account) -> [String; 5] {
    let wallets = account.wallets.iter().map(|wallet| match wallet.currency {
        WalletCurrency::Btc => "BTC",
        WalletCurrency::Usd => "USD",
    });
    [
        account.id.to_string(),
        account.username.clone().unwrap_or_else(|| "-".to_owned()),
        account.display_currency.to_string(),
        account.level.as_str().to_owned(),
        wallets.collect::<Vec<_>>().join(" "),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_help_shows_is_what_is_read() {
        let example = &SHAPE[SHAPE.find("[\n").unwrap()..SHAPE.rfind("]\n").unwrap() + 1];
        let accounts = accounts::read("help", example).unwrap();
        assert_eq!(accounts::write(&accounts), example);
    }
}
