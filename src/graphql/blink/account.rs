//! Accounts, from the directory.

use std::sync::Arc;

use async_graphql::{Context, Enum, ID, Interface, Object};

use super::price::RealtimePrice;
use super::wallet::{PublicWallet, Wallet, not_found};
use crate::accounts;
use crate::graphql::scalars::{DisplayCurrency, WalletId};

/// An account as its owner sees it.
#[derive(Interface)]
#[graphql(
    field(name = "defaultWallet", method = "default_wallet", ty = "PublicWallet"),
    field(
        name = "defaultWalletId",
        method = "default_wallet_id",
        ty = "WalletId",
        deprecation = "Shifting property to 'defaultWallet.id'"
    ),
    field(name = "displayCurrency", method = "display_currency", ty = "DisplayCurrency"),
    field(name = "id", ty = "ID"),
    field(name = "level", ty = "AccountLevel"),
    field(name = "realtimePrice", method = "realtime_price", ty = "RealtimePrice"),
    field(
        name = "walletById",
        method = "wallet_by_id",
        ty = "Wallet",
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
    fn find(&self, id: uuid::Uuid) -> async_graphql::Result<&accounts::Wallet> {
        let mut wallets = self.0.wallets.iter();
        wallets.find(|wallet| wallet.id == id).ok_or_else(not_found)
    }
}

/// An account of a person or a business.
#[Object]
impl ConsumerAccount {
    async fn default_wallet(&self) -> async_graphql::Result<PublicWallet> {
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
    async fn realtime_price(&self, ctx: &Context<'_>) -> async_graphql::Result<RealtimePrice> {
        RealtimePrice::latest(ctx, self.0.display_currency)
    }

    async fn wallet_by_id(&self, wallet_id: WalletId) -> async_graphql::Result<Wallet> {
        let id = wallet_id.check().map_err(|invalid| invalid.thrown())?;
        self.find(id).map(|wallet| Wallet::of(self.0.id, wallet))
    }

    async fn wallets(&self) -> Vec<Wallet> {
        let wallets = self.0.wallets.iter();
        wallets.map(|wallet| Wallet::of(self.0.id, wallet)).collect()
    }
}
