//! Accounts as JSON: what is imported, and what is kept.

use std::collections::{HashMap, HashSet};
use std::fmt;
use std::marker::PhantomData;

use serde::de::{Deserializer, Visitor};
use serde::{Deserialize, Serialize, Serializer};
use serde_json::value::RawValue;
use uuid::Uuid;

use super::{Account, AccountLevel, Wallet};
use crate::event::WalletCurrency;
use crate::spelling::nearest;
use crate::topic::{AccountId, Currency};

/// Input that is not what it should be: `accounts.json:14: accounts[2].wallets[0].id: not a UUID`.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{name}:{line}: {field}{}{why}", if field.is_empty() { "" } else { ": " })]
pub struct BadAccounts {
    /// What the input is called.
    pub name: String,
    /// From 1.
    pub line: usize,
    /// Empty where it is no field's fault.
    pub field: String,
    pub why: String,
}

/// Reads accounts, all or none. `name` is what errors call the input.
pub fn read(name: &str, text: &str) -> Result<Vec<Account>, BadAccounts> {
    let bad = |line, field: &str, why: String| BadAccounts {
        name: name.to_owned(),
        line,
        field: field.to_owned(),
        why,
    };
    let in_place = |error: serde_path_to_error::Error<serde_json::Error>| {
        let path = error.path().to_string();
        // "?" is what has no name yet: JSON that ends in the middle.
        let path = path.trim_end_matches(['.', '?']);
        let field = match path {
            "" => String::new(),
            index if index.starts_with('[') => format!("accounts{index}"),
            path => path.to_owned(),
        };
        bad(error.inner().line(), &field, words(error.inner()))
    };
    let mut json = serde_json::Deserializer::from_str(text);
    let read = if text.trim_start().starts_with('{') {
        serde_path_to_error::deserialize(&mut json).map(|File { accounts }| accounts)
    } else {
        serde_path_to_error::deserialize(&mut json)
    };
    let forms: Vec<AccountForm> = read.map_err(in_place)?;
    json.end()
        .map_err(|error| bad(error.line(), "", words(&error)))?;
    check(&forms).map_err(|(place, why)| bad(place.line(text), &place.to_string(), why))?;
    Ok(forms.into_iter().map(Account::from).collect())
}

/// Writes accounts as [`read`] reads them.
pub fn write(accounts: &[Account]) -> String {
    let forms: Vec<_> = accounts.iter().cloned().map(AccountForm::from).collect();
    serde_json::to_string_pretty(&forms).expect("accounts are JSON")
}

/// One account, as the store keeps it.
pub(crate) fn write_one(account: &Account) -> String {
    serde_json::to_string(&AccountForm::from(account.clone())).expect("accounts are JSON")
}

/// Reads what [`write_one`] wrote.
pub(crate) fn read_one(json: &str) -> serde_json::Result<Account> {
    serde_json::from_str(json).map(|form: AccountForm| form.into())
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    accounts: Vec<AccountForm>,
}

#[derive(Deserialize, Serialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct AccountForm {
    #[serde(deserialize_with = "account_id", serialize_with = "display")]
    id: AccountId,
    #[serde(
        default,
        deserialize_with = "username",
        skip_serializing_if = "Option::is_none"
    )]
    username: Option<String>,
    #[serde(deserialize_with = "currency", serialize_with = "display")]
    display_currency: Currency,
    level: LevelForm,
    #[serde(deserialize_with = "uuid")]
    default_wallet_id: Uuid,
    wallets: Vec<WalletForm>,
}

#[derive(Deserialize, Serialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct WalletForm {
    #[serde(deserialize_with = "uuid")]
    id: Uuid,
    wallet_currency: CurrencyForm,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    balance: Option<i64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pending_incoming_balance: Option<i64>,
}

#[derive(Clone, Copy, Deserialize, Serialize)]
#[serde(rename_all = "UPPERCASE")]
enum LevelForm {
    Zero,
    One,
    Two,
    Three,
}

#[derive(Clone, Copy, Deserialize, Serialize)]
#[serde(rename_all = "UPPERCASE")]
enum CurrencyForm {
    Btc,
    Usd,
}

/// What no single field can know.
fn check(accounts: &[AccountForm]) -> Result<(), (Place, String)> {
    let (mut ids, mut usernames, mut wallets) = <(HashSet<_>, HashSet<_>, HashSet<_>)>::default();
    for (index, account) in accounts.iter().enumerate() {
        let place = Place::account(index);
        if !ids.insert(account.id) {
            return Err((place.field("id"), "another account has it, too".to_owned()));
        }
        if let Some(username) = &account.username
            && !usernames.insert(username)
        {
            let why = "another account has it, too".to_owned();
            return Err((place.field("username"), why));
        }
        for (wallet_index, wallet) in account.wallets.iter().enumerate() {
            if !wallets.insert(wallet.id) {
                let place = place.field("wallets").item(wallet_index).field("id");
                return Err((place, "another wallet has it, too".to_owned()));
            }
        }
        let default = account.default_wallet_id;
        if !account.wallets.iter().any(|wallet| wallet.id == default) {
            let why = "not the id of one of the account's wallets".to_owned();
            return Err((place.field("defaultWalletId"), why));
        }
    }
    Ok(())
}

/// A way from the whole of the input to one value in it.
#[derive(Clone)]
struct Place(Vec<Step>);

#[derive(Clone)]
enum Step {
    Field(&'static str),
    Item(usize),
}

impl Place {
    fn account(index: usize) -> Self {
        Place(Vec::new()).field("accounts").item(index)
    }

    fn field(&self, name: &'static str) -> Self {
        Place(self.0.iter().cloned().chain([Step::Field(name)]).collect())
    }

    fn item(&self, index: usize) -> Self {
        Place(self.0.iter().cloned().chain([Step::Item(index)]).collect())
    }

    /// The line on which the value begins, in input that was read before without an error.
    fn line(&self, text: &str) -> usize {
        let is_array = text.trim_start().starts_with('[');
        let mut rest = text;
        for step in self.0.iter().skip(usize::from(is_array)) {
            let inner: Option<&RawValue> = match step {
                Step::Field(name) => serde_json::from_str(rest)
                    .ok()
                    .and_then(|mut fields: HashMap<String, &RawValue>| fields.remove(*name)),
                Step::Item(index) => serde_json::from_str(rest)
                    .ok()
                    .and_then(|items: Vec<&RawValue>| items.get(*index).copied()),
            };
            rest = inner.map_or(rest, RawValue::get);
        }
        let start = rest.as_ptr() as usize - text.as_ptr() as usize;
        text[..start].matches('\n').count() + 1
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (number, step) in self.0.iter().enumerate() {
            match step {
                Step::Field(name) if number == 0 => f.write_str(name)?,
                Step::Field(name) => write!(f, ".{name}")?,
                Step::Item(index) => write!(f, "[{index}]")?,
            }
        }
        Ok(())
    }
}

impl From<AccountForm> for Account {
    fn from(form: AccountForm) -> Self {
        Account {
            id: form.id,
            username: form.username,
            display_currency: form.display_currency,
            level: match form.level {
                LevelForm::Zero => AccountLevel::Zero,
                LevelForm::One => AccountLevel::One,
                LevelForm::Two => AccountLevel::Two,
                LevelForm::Three => AccountLevel::Three,
            },
            default_wallet_id: form.default_wallet_id,
            wallets: form.wallets.into_iter().map(Wallet::from).collect(),
        }
    }
}

impl From<Account> for AccountForm {
    fn from(account: Account) -> Self {
        AccountForm {
            id: account.id,
            username: account.username,
            display_currency: account.display_currency,
            level: match account.level {
                AccountLevel::Zero => LevelForm::Zero,
                AccountLevel::One => LevelForm::One,
                AccountLevel::Two => LevelForm::Two,
                AccountLevel::Three => LevelForm::Three,
            },
            default_wallet_id: account.default_wallet_id,
            wallets: account.wallets.into_iter().map(WalletForm::from).collect(),
        }
    }
}

impl From<WalletForm> for Wallet {
    fn from(form: WalletForm) -> Self {
        Wallet {
            id: form.id,
            currency: match form.wallet_currency {
                CurrencyForm::Btc => WalletCurrency::Btc,
                CurrencyForm::Usd => WalletCurrency::Usd,
            },
            balance: form.balance,
            pending_incoming_balance: form.pending_incoming_balance,
        }
    }
}

impl From<Wallet> for WalletForm {
    fn from(wallet: Wallet) -> Self {
        WalletForm {
            id: wallet.id,
            wallet_currency: match wallet.currency {
                WalletCurrency::Btc => CurrencyForm::Btc,
                WalletCurrency::Usd => CurrencyForm::Usd,
            },
            balance: wallet.balance,
            pending_incoming_balance: wallet.pending_incoming_balance,
        }
    }
}

/// The words of an error without its position, and with the field that was meant.
fn words(error: &serde_json::Error) -> String {
    let text = error.to_string();
    let words = text
        .rsplit_once(" at line ")
        .map_or(&*text, |(words, _)| words);
    let mut quoted = words.split('`').skip(1).step_by(2);
    match (words.starts_with("unknown field"), quoted.next()) {
        (true, Some(unknown)) => match nearest(unknown, quoted) {
            Some(nearest) => format!("unknown field, did you mean {nearest}?"),
            None => words.to_owned(),
        },
        _ => words.to_owned(),
    }
}

fn display<T: fmt::Display, S: Serializer>(value: &T, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(value)
}

fn account_id<'de, D: Deserializer<'de>>(deserializer: D) -> Result<AccountId, D::Error> {
    Parsed::from_str(deserializer, AccountId::parse, "not a UUID")
}

fn uuid<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Uuid, D::Error> {
    let parse = |text: &str| (text.len() == 36).then(|| text.parse().ok()).flatten();
    Parsed::from_str(deserializer, parse, "not a UUID")
}

fn currency<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Currency, D::Error> {
    Parsed::from_str(deserializer, Currency::parse, "not the code of a currency")
}

fn username<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<String>, D::Error> {
    #[derive(Deserialize)]
    struct Username(#[serde(deserialize_with = "some")] String);
    fn some<'de, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
        let parse = |text: &str| is_username(text).then(|| text.to_owned());
        let wrong = "not a username: 3 to 50 of a-z, 0-9 and _, at least one of them a letter, not \
                     beginning with 1, 3, _, bc1 or lnbc1; or a phone number";
        Parsed::from_str(deserializer, parse, wrong)
    }
    let username = Option::<Username>::deserialize(deserializer)?;
    Ok(username.map(|Username(name)| name))
}

/// What Blink takes for one: nothing that could be read as an address or an invoice.
fn is_username(text: &str) -> bool {
    let plain = |byte: u8| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'_');
    let is_name = (3..=50).contains(&text.len())
        && text.bytes().all(plain)
        && text.bytes().any(|byte| byte.is_ascii_lowercase())
        && !["1", "3", "_", "bc1", "lnbc1"]
            .iter()
            .any(|start| text.starts_with(start));
    let is_phone = text.strip_prefix('+').is_some_and(|digits| {
        (7..=15).contains(&digits.len()) && digits.bytes().all(|byte| byte.is_ascii_digit())
    });
    is_name || is_phone
}

/// Parses text where it is read: the line of an error is then that of the text itself, and not of
/// whatever follows it.
struct Parsed<T, P> {
    parse: P,
    wrong: &'static str,
    value: PhantomData<T>,
}

impl<T, P: Fn(&str) -> Option<T>> Parsed<T, P> {
    fn from_str<'de, D: Deserializer<'de>>(
        deserializer: D,
        parse: P,
        wrong: &'static str,
    ) -> Result<T, D::Error> {
        deserializer.deserialize_str(Parsed {
            parse,
            wrong,
            value: PhantomData,
        })
    }
}

impl<T, P: Fn(&str) -> Option<T>> Visitor<'_> for Parsed<T, P> {
    type Value = T;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a string")
    }

    fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<T, E> {
        (self.parse)(text).ok_or_else(|| E::custom(self.wrong))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use insta::assert_snapshot;
    use proptest::prelude::*;

    const GOOD: &str = r#"[
  {
    "id": "0d3d3c1a-5e0e-4b7b-8f59-7f1a7b1f6a51",
    "username": "alice",
    "displayCurrency": "EUR",
    "level": "ONE",
    "defaultWalletId": "6c9ae5a1-0c6b-4d8e-9a39-2b5a7a0f0b01",
    "wallets": [
      {
        "id": "6c9ae5a1-0c6b-4d8e-9a39-2b5a7a0f0b01",
        "walletCurrency": "BTC",
        "balance": 1000
      }
    ]
  }
]"#;

    /// What is said of the good input with one thing replaced by another.
    fn said(from: &str, to: &str) -> String {
        assert!(GOOD.contains(from), "{from}");
        let error = read("accounts.json", &GOOD.replacen(from, to, 1)).unwrap_err();
        error.to_string()
    }

    #[test]
    fn what_is_read_is_written_again() {
        let accounts = read("accounts.json", GOOD).unwrap();
        assert_eq!(accounts[0].display_currency.code(), "EUR");
        assert_eq!(accounts[0].wallets[0].balance, Some(1000));
        assert_eq!(accounts[0].wallets[0].pending_incoming_balance, None);
        assert_eq!(write(&accounts), GOOD);
    }

    #[test]
    fn the_list_may_be_wrapped() {
        let wrapped = format!("{{\n\"accounts\": {GOOD}}}");
        assert_eq!(read("-", &wrapped), read("-", GOOD));
        let wrong = wrapped.replace("BTC", "ETH");
        assert_snapshot!(read("-", &wrong).unwrap_err(), @"-:12: accounts[0].wallets[0].walletCurrency: unknown variant `ETH`, expected `BTC` or `USD`");
        let twice = wrapped.replace("\"defaultWalletId\": \"6", "\"defaultWalletId\": \"7");
        assert_snapshot!(read("-", &twice).unwrap_err(), @"-:8: accounts[0].defaultWalletId: not the id of one of the account's wallets");
    }

    #[test]
    fn what_is_wrong_is_named_with_its_line_and_field() {
        assert_snapshot!(said("\"id\": \"6c", "\"id\": \"xx"), @"accounts.json:10: accounts[0].wallets[0].id: not a UUID");
        assert_snapshot!(said("1000", "\"much\""), @r#"accounts.json:12: accounts[0].wallets[0].balance: invalid type: string "much", expected i64"#);
        assert_snapshot!(said("username", "usernme"), @"accounts.json:4: accounts[0].usernme: unknown field, did you mean username?");
        assert_snapshot!(said("\"level\": \"ONE\",", ""), @"accounts.json:15: accounts[0]: missing field `level`");
        assert_snapshot!(said("EUR", "euros"), @"accounts.json:5: accounts[0].displayCurrency: not the code of a currency");
        assert_snapshot!(said("alice", "bc1alice"), @"accounts.json:4: accounts[0].username: not a username: 3 to 50 of a-z, 0-9 and _, at least one of them a letter, not beginning with 1, 3, _, bc1 or lnbc1; or a phone number");
        assert_snapshot!(said("\"defaultWalletId\": \"6c", "\"defaultWalletId\": \"7c"), @"accounts.json:7: accounts[0].defaultWalletId: not the id of one of the account's wallets");
        assert_snapshot!(said("ONE\",", "ONE\""), @"accounts.json:7: accounts[0]: expected `,` or `}`");
        assert_snapshot!(read("-", "{}").unwrap_err(), @"-:1: missing field `accounts`");
        assert_snapshot!(read("-", "").unwrap_err(), @"-:1: EOF while parsing a value");
    }

    #[test]
    fn what_may_be_only_once_is_refused_twice() {
        let account = GOOD.trim_matches(['[', ']', '\n']);
        let two = |other: &str| read("-", &format!("[\n{account},\n{other}]")).unwrap_err();
        assert_snapshot!(two(account), @"-:17: accounts[1].id: another account has it, too");
        let other = account.replace("0d3d", "1d3d");
        assert_snapshot!(two(&other), @"-:18: accounts[1].username: another account has it, too");
        let other = other.replace("alice", "bob");
        assert_snapshot!(two(&other), @"-:24: accounts[1].wallets[0].id: another wallet has it, too");
    }

    #[test]
    fn a_null_is_as_good_as_nothing() {
        let without = GOOD.replace("\"alice\"", "null").replace("1000", "null");
        let account = read("-", &without).unwrap().remove(0);
        assert_eq!((account.username, account.wallets[0].balance), (None, None));
    }

    #[test]
    fn usernames_are_what_blink_takes_for_one() {
        for good in ["alice", "a_1", "+50370000000", "bob3", "2nd"] {
            assert!(is_username(good), "{good}");
        }
        let long = "a".repeat(51);
        for bad in [
            "al", "Alice", "1st", "3rd", "_a_", "bc1q", "lnbc1x", "000", "a-b", "+1", &long,
        ] {
            assert!(!is_username(bad), "{bad}");
        }
    }

    proptest! {
        #[test]
        fn no_input_makes_the_reader_panic(from in 0usize..300, length in 0usize..20, with in "[ \\[\\]{}\":,a-z0-9\\n]{0,8}") {
            let mut text = GOOD.to_owned();
            let end = (from + length).min(text.len());
            text.replace_range(from..end, &with);
            let _ = read("-", &text);
        }
    }
}
