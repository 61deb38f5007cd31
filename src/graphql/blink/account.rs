//! Accounts, from the directory.

use std::sync::Arc;

use async_graphql::{Context, Enum, ID, Interface, Object};

use super::error::{Fallible, told_list};
use super::price::{LatestPrices, RealtimePrice};
use super::wallet::{PublicWallet, ToldWallet, Wallet, not_found};
use crate::accounts;
use crate::graphql::json;
use crate::graphql::plan::{Asked, Bail, NotPlanned, Object, Told, Write};
use crate::graphql::scalars::{DisplayCurrency, WalletId};

/// An account as its owner sees it.
#[derive(Interface)]
#[graphql(
    field(
        name = "defaultWallet",
        method = "default_wallet",
        ty = "Fallible<PublicWallet>"
    ),
    field(
        name = "defaultWalletId",
        method = "default_wallet_id",
        ty = "WalletId",
        deprecation = "Shifting property to 'defaultWallet.id'"
    ),
    field(
        name = "displayCurrency",
        method = "display_currency",
        ty = "DisplayCurrency"
    ),
    field(name = "id", ty = "ID"),
    field(name = "level", ty = "AccountLevel"),
    field(
        name = "realtimePrice",
        method = "realtime_price",
        ty = "Fallible<RealtimePrice>"
    ),
    field(
        name = "walletById",
        method = "wallet_by_id",
        ty = "Fallible<Wallet>",
        arg(name = "walletId", ty = "WalletId")
    ),
    field(name = "wallets", ty = "Vec<Wallet>")
)]
pub enum Account {
    Consumer(ConsumerAccount),
}

/// The one kind of [`Account`] that there is.
pub struct ConsumerAccount(Arc<accounts::Account>);

/// How well an account is known to the bank.
#[derive(Enum, Clone, Copy, Debug, PartialEq, Eq)]
#[graphql(remote = "accounts::AccountLevel")]
pub enum AccountLevel {
    One,
    Three,
    Two,
    Zero,
}

impl Account {
    pub(super) fn of(account: Arc<accounts::Account>) -> Self {
        Account::Consumer(ConsumerAccount(account))
    }
}

impl ConsumerAccount {
    fn find(&self, id: uuid::Uuid) -> Fallible<&accounts::Wallet> {
        find(&self.0, id).ok_or_else(not_found)
    }
}

/// An account of a person or a business.
#[Object]
impl ConsumerAccount {
    async fn default_wallet(&self) -> Fallible<PublicWallet> {
        self.find(self.0.default_wallet_id).map(PublicWallet::of)
    }

    async fn default_wallet_id(&self) -> WalletId {
        self.0.default_wallet_id.into()
    }

    async fn display_currency(&self) -> DisplayCurrency {
        self.0.display_currency.code().into()
    }

    async fn id(&self) -> ID {
        self.0.id.into()
    }

    async fn level(&self) -> AccountLevel {
        self.0.level.into()
    }

    /// The latest prices in the account's display currency.
    async fn realtime_price(&self, ctx: &Context<'_>) -> Fallible<RealtimePrice> {
        RealtimePrice::latest(ctx, self.0.display_currency)
    }

    async fn wallet_by_id(&self, wallet_id: WalletId) -> Fallible<Wallet> {
        let id = wallet_id.check().map_err(|invalid| invalid.thrown())?;
        self.find(id).map(|wallet| Wallet::of(self.0.id, wallet))
    }

    async fn wallets(&self) -> Vec<Wallet> {
        let wallets = self.0.wallets.iter();
        wallets
            .map(|wallet| Wallet::of(self.0.id, wallet))
            .collect()
    }
}

impl Told for ConsumerAccount {
    type Value = accounts::Account;

    fn field(asked: &Asked<'_>) -> Result<Write<accounts::Account>, NotPlanned> {
        use accounts::Account;
        Ok(match asked.name() {
            "defaultWallet" => {
                let object = Object::<PublicWallet>::of(asked)?;
                Write::nested(object.size(), move |account: &Account, lookups, json| {
                    let wallet = find(account, account.default_wallet_id).ok_or(Bail)?;
                    object.write(wallet, lookups, json)
                })
            }
            "defaultWalletId" => Write::value(|account: &Account, json| {
                json::id(json, account.default_wallet_id);
            }),
            "displayCurrency" => Write::value(|account: &Account, json| {
                json::string(json, account.display_currency.code());
            }),
            "id" => Write::value(|account: &Account, json| json::id(json, account.id)),
            "level" => Write::value(|account: &Account, json| {
                json::word(json, AccountLevel::from(account.level));
            }),
            "realtimePrice" => {
                let price = Object::<RealtimePrice>::of(asked)?;
                Write::nested(price.size(), move |account: &Account, lookups, json| {
                    let LatestPrices(latest) = &lookups.latest;
                    let tick = latest(account.display_currency).ok_or(Bail)?;
                    price.write(&tick, lookups, json)
                })
            }
            "walletById" => {
                let id = asked.argument::<WalletId>("walletId")?.check();
                let id = id.map_err(|_| NotPlanned)?;
                let wallet = ToldWallet::of(asked)?;
                Write::nested(wallet.size(), move |account: &Account, lookups, json| {
                    let found = find(account, id).ok_or(Bail)?;
                    wallet.write(&Wallet::of(account.id, found), lookups, json)
                })
            }
            "wallets" => {
                let wallet = ToldWallet::of(asked)?;
                Write::nested(wallet.size(), move |account: &Account, lookups, json| {
                    told_list(json, &account.wallets, |json, each| {
                        wallet.write(&Wallet::of(account.id, each), lookups, json)
                    })
                })
            }
            _ => return Err(NotPlanned),
        })
    }
}

fn find(account: &accounts::Account, id: uuid::Uuid) -> Option<&accounts::Wallet> {
    account.wallets.iter().find(|wallet| wallet.id == id)
}
