//! Wallets of an account, in bitcoin or in US dollars.

use async_graphql::{Enum, ID, Interface, Object};

use crate::accounts;
use crate::event;
use crate::graphql::scalars::{SignedAmount, thrown};
use crate::topic::AccountId;

/// A wallet as its owner sees it.
#[derive(Interface)]
#[graphql(
    field(name = "accountId", method = "account_id", ty = "ID"),
    field(name = "balance", ty = "SignedAmount"),
    field(name = "id", ty = "ID"),
    field(
        name = "pendingIncomingBalance",
        method = "pending_incoming_balance",
        ty = "SignedAmount"
    ),
    field(name = "walletCurrency", method = "wallet_currency", ty = "WalletCurrency")
)]
pub enum Wallet {
    Btc(BtcWallet),
    Usd(UsdWallet),
}

/// A wallet in bitcoin.
pub struct BtcWallet(Owned);

/// A wallet in US dollars.
pub struct UsdWallet(Owned);

/// A wallet as anybody may see it.
pub struct PublicWallet(accounts::Wallet);

/// Currency of a wallet.
#[derive(Enum, Clone, Copy, Debug, PartialEq, Eq)]
#[graphql(remote = "event::WalletCurrency")]
pub enum WalletCurrency {
    Btc,
    Usd,
}

/// What both kinds of wallets know.
struct Owned {
    account: AccountId,
    wallet: accounts::Wallet,
}

impl Wallet {
    pub(super) fn of(account: AccountId, wallet: &accounts::Wallet) -> Self {
        let wallet = wallet.clone();
        let currency = wallet.currency;
        let owned = Owned { account, wallet };
        match currency {
            event::WalletCurrency::Btc => Wallet::Btc(BtcWallet(owned)),
            event::WalletCurrency::Usd => Wallet::Usd(UsdWallet(owned)),
        }
    }
}

impl PublicWallet {
    pub(super) fn of(wallet: &accounts::Wallet) -> Self {
        PublicWallet(wallet.clone())
    }
}

/// The error of a wallet that the account does not have.
pub(super) fn not_found() -> async_graphql::Error {
    thrown("Wallet not found", "NOT_FOUND")
}

/// A wallet in bitcoin; amounts are in satoshis.
#[Object(name = "BTCWallet")]
impl BtcWallet {
    async fn account_id(&self) -> ID {
        self.0.account.into()
    }

    async fn balance(&self) -> async_graphql::Result<SignedAmount> {
        known(self.0.wallet.balance)
    }

    async fn id(&self) -> ID {
        self.0.wallet.id.into()
    }

    /// What is on its way to the wallet on-chain, and not confirmed.
    async fn pending_incoming_balance(&self) -> async_graphql::Result<SignedAmount> {
        known(self.0.wallet.pending_incoming_balance)
    }

    async fn wallet_currency(&self) -> WalletCurrency {
        WalletCurrency::Btc
    }
}

/// A wallet in US dollars; amounts are in cents.
#[Object(name = "UsdWallet")]
impl UsdWallet {
    async fn account_id(&self) -> ID {
        self.0.account.into()
    }

    async fn balance(&self) -> async_graphql::Result<SignedAmount> {
        known(self.0.wallet.balance)
    }

    async fn id(&self) -> ID {
        self.0.wallet.id.into()
    }

    /// What is on its way to the wallet on-chain, and not confirmed.
    async fn pending_incoming_balance(&self) -> async_graphql::Result<SignedAmount> {
        known(self.0.wallet.pending_incoming_balance)
    }

    async fn wallet_currency(&self) -> WalletCurrency {
        WalletCurrency::Usd
    }
}

/// The schema has no word for a balance that is not known, so it is an error of its field.
fn known(balance: Option<i64>) -> async_graphql::Result<SignedAmount> {
    balance
        .map(|balance| SignedAmount::from(balance as f64))
        .ok_or_else(|| thrown("Balance not found", "NOT_FOUND"))
}

/// A wallet as anybody may see it.
#[Object]
impl PublicWallet {
    async fn currency(&self) -> WalletCurrency {
        self.0.currency.into()
    }

    async fn id(&self) -> ID {
        self.0.id.into()
    }

    #[graphql(deprecation = "Shifting property to 'currency'")]
    async fn wallet_currency(&self) -> WalletCurrency {
        self.0.currency.into()
    }
}
