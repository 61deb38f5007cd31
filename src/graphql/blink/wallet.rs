//! Wallets of an account, in bitcoin or in US dollars.

use async_graphql::{Enum, ID, Interface, Object};

use super::error::Fallible;
use crate::accounts;
use crate::event;
use crate::graphql::json;
use crate::graphql::plan::{Asked, Bail, Lookups, NotPlanned, Object, Told, Write};
use crate::graphql::scalars::{SignedAmount, thrown};
use crate::topic::AccountId;

/// A wallet as its owner sees it.
#[derive(Interface)]
#[expect(
    clippy::duplicated_attributes,
    reason = "fields of one type are not duplicates"
)]
#[graphql(
    field(name = "accountId", method = "account_id", ty = "ID"),
    field(name = "balance", ty = "Fallible<SignedAmount>"),
    field(name = "id", ty = "ID"),
    field(
        name = "pendingIncomingBalance",
        method = "pending_incoming_balance",
        ty = "Fallible<SignedAmount>"
    ),
    field(
        name = "walletCurrency",
        method = "wallet_currency",
        ty = "WalletCurrency"
    )
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
pub(in crate::graphql) struct Owned {
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

    async fn balance(&self) -> Fallible<SignedAmount> {
        known(self.0.wallet.balance)
    }

    async fn id(&self) -> ID {
        self.0.wallet.id.into()
    }

    /// What is on its way to the wallet on-chain, and not confirmed.
    async fn pending_incoming_balance(&self) -> Fallible<SignedAmount> {
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

    async fn balance(&self) -> Fallible<SignedAmount> {
        known(self.0.wallet.balance)
    }

    async fn id(&self) -> ID {
        self.0.wallet.id.into()
    }

    /// What is on its way to the wallet on-chain, and not confirmed.
    async fn pending_incoming_balance(&self) -> Fallible<SignedAmount> {
        known(self.0.wallet.pending_incoming_balance)
    }

    async fn wallet_currency(&self) -> WalletCurrency {
        WalletCurrency::Usd
    }
}

/// The schema has no word for a balance that is not known, so it is an error of its field.
fn known(balance: Option<i64>) -> Fallible<SignedAmount> {
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

/// What is written of a wallet, of whichever kind it is.
pub(super) struct ToldWallet {
    btc: Object<BtcWallet>,
    usd: Object<UsdWallet>,
}

impl ToldWallet {
    pub(super) fn of(asked: &Asked<'_>) -> Result<Self, NotPlanned> {
        Ok(ToldWallet {
            btc: Object::one_of("Wallet", asked)?,
            usd: Object::one_of("Wallet", asked)?,
        })
    }

    pub(super) fn write(
        &self,
        wallet: &Wallet,
        lookups: &Lookups,
        json: &mut String,
    ) -> Result<(), Bail> {
        match wallet {
            Wallet::Btc(BtcWallet(owned)) => self.btc.write(owned, lookups, json),
            Wallet::Usd(UsdWallet(owned)) => self.usd.write(owned, lookups, json),
        }
    }

    pub(super) fn size(&self) -> usize {
        self.btc.size() + self.usd.size()
    }
}

impl Told for BtcWallet {
    type Value = Owned;

    fn field(asked: &Asked<'_>) -> Result<Write<Owned>, NotPlanned> {
        Owned::field(asked, WalletCurrency::Btc)
    }
}

impl Told for UsdWallet {
    type Value = Owned;

    fn field(asked: &Asked<'_>) -> Result<Write<Owned>, NotPlanned> {
        Owned::field(asked, WalletCurrency::Usd)
    }
}

impl Owned {
    fn field(asked: &Asked<'_>, currency: WalletCurrency) -> Result<Write<Self>, NotPlanned> {
        Ok(match asked.name() {
            "accountId" => Write::value(|owned: &Owned, json| json::id(json, owned.account)),
            "balance" => Write::fallible(|owned: &Owned, _, json| {
                json::scalar(json, &known(owned.wallet.balance)?);
                Ok(())
            }),
            "id" => Write::value(|owned: &Owned, json| json::id(json, owned.wallet.id)),
            "pendingIncomingBalance" => Write::fallible(|owned: &Owned, _, json| {
                json::scalar(json, &known(owned.wallet.pending_incoming_balance)?);
                Ok(())
            }),
            "walletCurrency" => Write::value(move |_, json| json::word(json, currency)),
            _ => return Err(NotPlanned),
        })
    }
}

impl Told for PublicWallet {
    type Value = accounts::Wallet;

    fn field(asked: &Asked<'_>) -> Result<Write<accounts::Wallet>, NotPlanned> {
        Ok(match asked.name() {
            "currency" | "walletCurrency" => Write::value(|wallet: &accounts::Wallet, json| {
                json::word(json, WalletCurrency::from(wallet.currency));
            }),
            "id" => Write::value(|wallet: &accounts::Wallet, json| json::id(json, wallet.id)),
            _ => return Err(NotPlanned),
        })
    }
}
