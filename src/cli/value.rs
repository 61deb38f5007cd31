//! Values of flags that several commands take.

use std::time::Duration;

use clap::builder::{PossibleValuesParser, TypedValueParser};

use crate::auth::Scope;
use crate::topic::{AccountId, BotId, UserId};

pub(super) fn user(text: &str) -> Result<UserId, &'static str> {
    UserId::parse(text).ok_or("not a number from 1 to 2147483646")
}

pub(super) fn account(text: &str) -> Result<AccountId, &'static str> {
    AccountId::parse(text).ok_or("not a UUID with hyphens")
}

pub(super) fn bot(text: &str) -> Result<BotId, &'static str> {
    BotId::parse(text).ok_or("not \"bot_\" and 1 to 64 letters, digits, hyphens and underscores")
}

pub(super) fn scope() -> impl TypedValueParser<Value = Scope> {
    let words = Scope::ALL.map(Scope::as_str);
    PossibleValuesParser::new(words)
        .map(|word| Scope::parse(&word).expect("it is one of the words"))
}

pub(super) fn duration(text: &str) -> Result<Duration, &'static str> {
    match humantime::parse_duration(text) {
        Ok(duration) if !duration.is_zero() => Ok(duration),
        _ => Err("expected a duration such as 90d"),
    }
}
