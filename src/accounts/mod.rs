//! The directory of accounts: what `me` shows, and in which currency an account counts.
//!
//! It is filled by `tidings accounts import`, which reads an array of accounts, or an object with
//! that array as `accounts`:
//!
//! ```json
//! [
//!   {
//!     "id": "0d3d3c1a-5e0e-4b7b-8f59-7f1a7b1f6a51",
//!     "username": "alice",
//!     "displayCurrency": "USD",
//!     "level": "ONE",
//!     "defaultWalletId": "6c9ae5a1-0c6b-4d8e-9a39-2b5a7a0f0b01",
//!     "wallets": [
//!       {
//!         "id": "6c9ae5a1-0c6b-4d8e-9a39-2b5a7a0f0b01",
//!         "walletCurrency": "BTC",
//!         "balance": 1000,
//!         "pendingIncomingBalance": 0
//!       }
//!     ]
//!   }
//! ]
//! ```
//!
//! `username`, `balance` and `pendingIncomingBalance` may be left out. Balances are in minor units.
//! Input that is wrong anywhere is refused whole.

mod json;
mod plans;

pub use self::json::{BadAccounts, read, write};
pub(crate) use self::json::{read_one, write_one};
pub use self::plans::{AccountPlans, Plans};

use std::collections::HashMap;
use std::sync::Arc;

use arc_swap::ArcSwap;

use crate::event::WalletCurrency;
use crate::topic::{AccountId, Currency};

/// One account, as `tidings accounts import` takes it.
#[derive(Clone, Debug, PartialEq)]
pub struct Account {
    pub id: AccountId,
    pub username: Option<String>,
    pub display_currency: Currency,
    pub level: AccountLevel,
    /// One of `wallets`.
    pub default_wallet_id: uuid::Uuid,
    /// At least one.
    pub wallets: Vec<Wallet>,
}

/// One wallet of an account.
#[derive(Clone, Debug, PartialEq)]
pub struct Wallet {
    pub id: uuid::Uuid,
    pub currency: WalletCurrency,
    /// In minor units; `None` if whoever filled the directory did not know it.
    pub balance: Option<i64>,
    /// Unconfirmed on-chain receipts, in minor units.
    pub pending_incoming_balance: Option<i64>,
}

/// How well an account is known to the bank: `ZERO` to `THREE`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AccountLevel {
    Zero,
    One,
    Two,
    Three,
}

impl AccountLevel {
    /// The word for it.
    pub fn as_str(self) -> &'static str {
        match self {
            AccountLevel::Zero => "ZERO",
            AccountLevel::One => "ONE",
            AccountLevel::Two => "TWO",
            AccountLevel::Three => "THREE",
        }
    }
}

/// All accounts, mirrored in memory: readers take no lock and wait for nobody.
#[derive(Debug, Default)]
pub struct Directory(ArcSwap<HashMap<AccountId, Arc<Account>>>);

impl Directory {
    /// The account with this id.
    pub fn get(&self, id: AccountId) -> Option<Arc<Account>> {
        self.0.load().get(&id).cloned()
    }

    /// How many accounts there are.
    pub fn len(&self) -> usize {
        self.0.load().len()
    }

    /// Whether nothing was imported.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Puts these accounts in the place of all that were known.
    pub fn replace(&self, accounts: impl IntoIterator<Item = Account>) {
        let accounts = accounts
            .into_iter()
            .map(|account| (account.id, Arc::new(account)));
        self.0.store(Arc::new(accounts.collect()));
    }
}
