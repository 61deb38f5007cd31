//! `me`.

use std::sync::Arc;

use async_graphql::{ID, Object};

use super::account::{Account, ConsumerAccount};
use crate::accounts;
use crate::graphql::json;
use crate::graphql::plan::{Asked, Bail, NotPlanned, Object, Told, Write};
use crate::graphql::scalars::{Username, thrown};
use crate::topic::AccountId;

/// Whoever is signed in. The original puts the account in the user's place, so the id is the
/// account's, and clients have come to rely on it.
#[derive(Clone)]
pub struct User {
    id: AccountId,
    account: Option<Arc<accounts::Account>>,
}

impl User {
    /// The owner of an account, with what the directory knows of it.
    pub fn of(id: AccountId, account: Option<Arc<accounts::Account>>) -> Self {
        User { id, account }
    }
}

/// Whoever is signed in.
#[Object]
impl User {
    async fn default_account(&self) -> async_graphql::Result<Account> {
        let account = self.account.clone();
        account
            .map(Account::of)
            .ok_or_else(|| thrown("Account not found", "NOT_FOUND"))
    }

    /// Id of the account.
    async fn id(&self) -> ID {
        self.id.into()
    }

    #[graphql(deprecation = "will be moved to @Handle in Account and Wallet")]
    async fn username(&self) -> Option<Username> {
        let account = self.account.as_ref()?;
        account.username.clone().map(Into::into)
    }
}

impl Told for User {
    type Value = User;

    fn field(asked: &Asked<'_>) -> Result<Write<User>, NotPlanned> {
        Ok(match asked.name() {
            "defaultAccount" => {
                let account = Object::<ConsumerAccount>::one_of("Account", asked)?;
                Write::nested(account.size(), move |user: &User, lookups, json| {
                    account.write(user.account.as_ref().ok_or(Bail)?, lookups, json)
                })
            }
            "id" => Write::value(|user: &User, json| json::id(json, user.id)),
            "username" => Write::value(|user: &User, json| {
                let account = user.account.as_ref();
                json::optional(
                    json,
                    account.and_then(|account| account.username.as_deref()),
                );
            }),
            _ => return Err(NotPlanned),
        })
    }
}
