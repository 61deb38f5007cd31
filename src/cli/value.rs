//! Values of flags that several commands take.

use std::net::IpAddr;
use std::time::Duration;

use clap::builder::{PossibleValuesParser, TypedValueParser};
use ipnet::IpNet;

use crate::auth::Scope;
use crate::topic::{AccountId, BotId, UserId};
use crate::webhook::Scheme;

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

pub(super) fn scheme() -> impl TypedValueParser<Value = Scheme> {
    let words = Scheme::ALL.map(Scheme::as_str);
    PossibleValuesParser::new(words)
        .map(|word| Scheme::parse(&word).expect("it is one of the words"))
}

/// `10.0.0.0/8`, or a single address.
pub(super) fn network(text: &str) -> Result<IpNet, &'static str> {
    let address = || text.parse::<IpAddr>().ok().map(IpNet::from);
    let network = text.parse().ok().or_else(address);
    network.ok_or("expected a network such as 10.0.0.0/8")
}

/// Names are shown in lists: nothing that moves the cursor.
pub(super) fn name(text: &str) -> Result<String, &'static str> {
    match !text.is_empty() && text.chars().count() <= 100 && !text.contains(char::is_control) {
        true => Ok(text.to_owned()),
        false => Err("expected up to 100 printable characters"),
    }
}
