//! Which connections are meant.

use std::fmt;

use uuid::Uuid;

use super::connection_id::ConnectionId;
use super::listed::Who;
use crate::topic::{AccountId, UserId};

/// Picks connections: those that fit all that is said. One that says nothing picks all.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Filter {
    pub account: Option<AccountId>,
    pub user: Option<UserId>,
    /// The id of an API key, not the key.
    pub key: Option<Uuid>,
    /// What the client calls it, or what our log lines do: a UUID, with hyphens or without.
    pub connection: Option<ConnectionId>,
}

/// The value of this parameter is none that it can have.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{name}: expected {expected}")]
pub struct BadFilter {
    pub name: &'static str,
    pub expected: &'static str,
}

impl fmt::Display for Filter {
    /// `user=42 connection=phone`
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (number, (name, value)) in self.parameters().into_iter().enumerate() {
            let gap = if number == 0 { "" } else { " " };
            write!(f, "{gap}{name}={value}")?;
        }
        Ok(())
    }
}

impl Filter {
    /// The names of what can be filtered by.
    pub const NAMES: [&'static str; 4] = [ACCOUNT, USER, KEY, CONNECTION];

    /// Whether it picks all.
    pub fn is_empty(&self) -> bool {
        *self == Filter::default()
    }

    /// Reads one parameter into it; `false` if it is of another name.
    pub fn read(&mut self, name: &str, value: &str) -> Result<bool, BadFilter> {
        match name {
            ACCOUNT => {
                let account = AccountId::parse(value);
                self.account = Some(account.ok_or(bad(ACCOUNT, "a UUID with hyphens"))?);
            }
            USER => {
                let user = UserId::parse(value);
                self.user = Some(user.ok_or(bad(USER, "a number from 1 to 2147483646"))?);
            }
            KEY => {
                let key = Uuid::try_parse(value);
                let expected = "the id of a key, as `tidings keys list` shows it";
                self.key = Some(key.map_err(|_| bad(KEY, expected))?);
            }
            CONNECTION => {
                let expected = "1 to 128 characters, none of them a control character";
                let connection = ConnectionId::parse(value);
                self.connection = Some(connection.map_err(|_| bad(CONNECTION, expected))?);
            }
            _ => return Ok(false),
        }
        Ok(true)
    }

    /// What it says, in the form that [`Filter::read`] reads.
    pub fn parameters(&self) -> Vec<(&'static str, String)> {
        let mut parameters = Vec::new();
        parameters.extend(self.account.map(|account| (ACCOUNT, account.to_string())));
        parameters.extend(self.user.map(|user| (USER, user.to_string())));
        parameters.extend(self.key.map(|key| (KEY, key.to_string())));
        let connection = self.connection.as_ref();
        parameters.extend(connection.map(|connection| (CONNECTION, connection.to_string())));
        parameters
    }

    /// Whether it picks the connection with these names.
    pub(super) fn picks(&self, id: Uuid, given: Option<&ConnectionId>, who: &Who) -> bool {
        let is_called = |wanted: &ConnectionId| {
            Some(wanted) == given || Uuid::try_parse(wanted.as_str()) == Ok(id)
        };
        self.account
            .is_none_or(|account| who.account == Some(account))
            && self.user.is_none_or(|user| who.user == Some(user))
            && self.key.is_none_or(|key| who.key == Some(key))
            && self.connection.as_ref().is_none_or(is_called)
    }
}

const ACCOUNT: &str = "account";
const USER: &str = "user";
const KEY: &str = "key";
const CONNECTION: &str = "connection";

fn bad(name: &'static str, expected: &'static str) -> BadFilter {
    BadFilter { name, expected }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn filter(parameters: &[(&str, &str)]) -> Result<Filter, String> {
        let mut filter = Filter::default();
        for (name, value) in parameters {
            let is_known = filter.read(name, value).map_err(|bad| bad.to_string())?;
            assert!(is_known, "{name}");
        }
        Ok(filter)
    }

    const ID: &str = "0d3d3c1a-5e0e-4b7b-8f59-7f1a7b1f6a51";

    #[test]
    fn a_bad_value_is_refused_with_the_name_of_its_parameter() {
        for (name, value, words) in [
            ("account", "alice", "account: expected a UUID with hyphens"),
            ("user", "0", "user: expected a number from 1 to 2147483646"),
            ("user", "+7", "user: expected a number from 1 to 2147483646"),
            (
                "key",
                "blink_x",
                "key: expected the id of a key, as `tidings keys list` shows it",
            ),
            (
                "connection",
                "",
                "connection: expected 1 to 128 characters, none of them a control character",
            ),
        ] {
            assert_eq!(filter(&[(name, value)]).unwrap_err(), words);
        }
        assert_eq!(Filter::default().read("usr", "1"), Ok(false));
    }

    #[test]
    fn what_it_says_is_read_back() {
        let all = [
            ("account", ID),
            ("user", "42"),
            ("key", ID),
            ("connection", "phone"),
        ];
        let filter = filter(&all).unwrap();
        let mut again = Filter::default();
        for (name, value) in filter.parameters() {
            assert_eq!(again.read(name, &value), Ok(true));
        }
        assert_eq!(again, filter);
    }

    #[test]
    fn it_picks_what_fits_all_that_it_says() {
        let (id, phone) = (Uuid::new_v4(), ConnectionId::parse("phone").unwrap());
        let who = Who {
            account: AccountId::parse(ID),
            user: UserId::parse("42"),
            key: None,
        };
        let picks =
            |parameters: &[(&str, &str)]| filter(parameters).unwrap().picks(id, Some(&phone), &who);
        assert!(picks(&[]));
        assert!(picks(&[
            ("account", ID),
            ("user", "42"),
            ("connection", "phone")
        ]));
        assert!(!picks(&[("account", ID), ("user", "43")]));
        assert!(!picks(&[("connection", "Phone")]));
        assert!(!picks(&[("key", ID)]));
        assert!(picks(&[("connection", &id.to_string())]));
        assert!(picks(&[("connection", &id.simple().to_string())]));
        assert!(!picks(&[("connection", &Uuid::new_v4().to_string())]));
    }
}
