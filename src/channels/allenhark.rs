//! AllenHark: trading bots, prices of mints, transactions of wallets.
//!
//! What its clients may subscribe to, what they are told of it, and how much they may ask for. Keys stand in
//! the order in which AllenHark's documentation shows them.

use std::collections::HashSet;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use serde::Deserialize;

use super::{Form, Question};
use crate::accounts::AccountPlans;
use crate::event::Event;
use crate::filter::Filter;
use crate::topic::{BotId, SolanaAddress, Topic};

/// `[allenhark]`
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AllenHarkConfig {
    pub enabled: bool,
    pub tiers: Vec<Tier>,
    /// The tier of accounts that have none, and of whoever has not said yet who it is.
    pub default_tier: String,
    pub message_bytes: usize,
    /// From the upgrade to credentials that are good.
    #[serde(with = "humantime_serde")]
    pub auth_timeout: Duration,
    /// From one ping of the client to the next.
    #[serde(with = "humantime_serde")]
    pub idle_timeout: Duration,
}

/// How much an account may ask for.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Tier {
    pub name: String,
    /// Of one connection, at a time.
    pub subscriptions: usize,
    /// Of one connection.
    pub messages_per_second: NonZeroU32,
}

/// What the connections of this API share.
#[derive(Debug)]
pub struct AllenHark {
    pub config: AllenHarkConfig,
}

/// What there is to subscribe to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Subject {
    Bot(BotId),
    Price(SolanaAddress),
    Transactions(SolanaAddress),
}

/// A kind of subjects, as messages name it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Channel {
    Bot,
    Price,
    Transactions,
}

/// Why something is not done, as clients are told it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Code {
    AuthRequired,
    AuthFailed,
    AuthTimeout,
    InvalidMessage,
    UnknownType,
    UnknownChannel,
    MissingField,
    InvalidField,
    NotFound,
    NotSubscribed,
    RateLimited,
    LimitExceeded,
    Internal,
}

/// What a message was about, as far as it can be told: it is told back.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct About {
    pub channel: Option<String>,
    /// The name of the field that says which, and what it said.
    pub field: Option<(&'static str, String)>,
}

static BOT_UPDATE: Form = Form {
    name: "allenhark bot_update",
    render: bot_update,
    gone: bot_is_gone,
};

static PRICE_UPDATE: Form = Form {
    name: "allenhark price_update",
    render: price_update,
    gone: nothing,
};

static TRANSACTION_CONFIRMED: Form = Form {
    name: "allenhark transaction_confirmed",
    render: transaction_confirmed,
    gone: nothing,
};

impl Tier {
    /// All that there may be in one.
    pub const FIELDS: &[&str] = &["name", "subscriptions", "messages_per_second"];
}

impl AllenHarkConfig {
    /// What is wrong in it, and where.
    pub fn check(&self) -> Result<(), (String, String)> {
        let mut names = HashSet::new();
        for (number, tier) in self.tiers.iter().enumerate() {
            let place = |field| format!("allenhark.tiers[{number}].{field}");
            if tier.name.is_empty() || !names.insert(&*tier.name) {
                let why = "expected a name that no other tier has";
                return Err((place("name"), why.to_owned()));
            }
            if tier.subscriptions == 0 {
                return Err((
                    place("subscriptions"),
                    "expected more than nothing".to_owned(),
                ));
            }
        }
        if !names.contains(&*self.default_tier) {
            let why = "expected the name of one of allenhark.tiers";
            return Err(("allenhark.default_tier".to_owned(), why.to_owned()));
        }
        Ok(())
    }
}

impl AllenHarkConfig {
    /// What connections share, if it is switched on. It must have been [checked](Self::check).
    pub fn api(&self) -> Option<Arc<AllenHark>> {
        let config = self.clone();
        self.enabled.then(|| Arc::new(AllenHark { config }))
    }
}

impl AllenHark {
    /// The tier of an account with these plans. One that is not configured any more is as good as none.
    pub fn tier_of(&self, plans: &AccountPlans) -> &Tier {
        let named = plans.allenhark.as_deref().and_then(|name| self.tier(name));
        named.unwrap_or_else(|| self.default_tier())
    }

    /// The tier of whoever has none.
    pub fn default_tier(&self) -> &Tier {
        let tier = self.tier(&self.config.default_tier);
        tier.expect("it is one of the tiers, the configuration was checked")
    }

    fn tier(&self, name: &str) -> Option<&Tier> {
        self.config.tiers.iter().find(|tier| tier.name == name)
    }
}

impl Channel {
    pub const ALL: [Channel; 3] = [Channel::Bot, Channel::Price, Channel::Transactions];

    pub fn as_str(self) -> &'static str {
        match self {
            Channel::Bot => "bot",
            Channel::Price => "price",
            Channel::Transactions => "transactions",
        }
    }

    pub fn parse(text: &str) -> Option<Self> {
        Channel::ALL
            .into_iter()
            .find(|channel| channel.as_str() == text)
    }

    /// The field of a message that says which bot, mint or wallet.
    pub fn field(self) -> &'static str {
        match self {
            Channel::Bot => "botId",
            Channel::Price => "mint",
            Channel::Transactions => "wallet",
        }
    }

    /// What its field must be, in words.
    pub fn expects(self) -> &'static str {
        match self {
            Channel::Bot => "the id of a bot, such as bot_abc123",
            Channel::Price | Channel::Transactions => "an address of Solana: 32 bytes in base58",
        }
    }

    /// The subject that its field names.
    pub fn subject(self, text: &str) -> Option<Subject> {
        match self {
            Channel::Bot => BotId::parse(text).map(Subject::Bot),
            Channel::Price => SolanaAddress::parse(text).map(Subject::Price),
            Channel::Transactions => SolanaAddress::parse(text).map(Subject::Transactions),
        }
    }
}

impl Subject {
    pub fn channel(&self) -> Channel {
        match self {
            Subject::Bot(_) => Channel::Bot,
            Subject::Price(_) => Channel::Price,
            Subject::Transactions(_) => Channel::Transactions,
        }
    }

    /// Which bot, mint or wallet it is.
    pub fn name(&self) -> &str {
        match self {
            Subject::Bot(bot) => bot.as_str(),
            Subject::Price(address) | Subject::Transactions(address) => address.as_str(),
        }
    }

    /// Tells it from all other subjects.
    pub fn id(&self) -> String {
        format!("{}:{}", self.channel().as_str(), self.name())
    }

    /// The subject with this id.
    pub fn of_id(id: &str) -> Option<Self> {
        let (channel, name) = id.split_once(':')?;
        Channel::parse(channel)?.subject(name)
    }

    /// Who asks this is told all of it.
    pub fn question(&self) -> Question {
        let (topic, form) = match self.clone() {
            Subject::Bot(bot) => (Topic::Bot(bot), &BOT_UPDATE),
            Subject::Price(mint) => (Topic::MintPrice(mint), &PRICE_UPDATE),
            Subject::Transactions(wallet) => (Topic::Wallet(wallet), &TRANSACTION_CONFIRMED),
        };
        Question {
            topic,
            filter: Filter::ALL.clone(),
            form,
        }
    }
}

impl Code {
    pub fn as_str(self) -> &'static str {
        match self {
            Code::AuthRequired => "AUTH_REQUIRED",
            Code::AuthFailed => "AUTH_FAILED",
            Code::AuthTimeout => "AUTH_TIMEOUT",
            Code::InvalidMessage => "INVALID_MESSAGE",
            Code::UnknownType => "UNKNOWN_TYPE",
            Code::UnknownChannel => "UNKNOWN_CHANNEL",
            Code::MissingField => "MISSING_FIELD",
            Code::InvalidField => "INVALID_FIELD",
            Code::NotFound => "NOT_FOUND",
            Code::NotSubscribed => "NOT_SUBSCRIBED",
            Code::RateLimited => "RATE_LIMITED",
            Code::LimitExceeded => "LIMIT_EXCEEDED",
            Code::Internal => "INTERNAL",
        }
    }
}

impl From<&Subject> for About {
    fn from(subject: &Subject) -> Self {
        let channel = subject.channel();
        About {
            channel: Some(channel.as_str().to_owned()),
            field: Some((channel.field(), subject.name().to_owned())),
        }
    }
}

/// `{"type":"error","code":…,"message":…}`, and what it is about.
pub fn error(code: Code, message: &str, about: &About) -> String {
    let mut frame = format!(
        r#"{{"type":"error","code":"{}","message":{}"#,
        code.as_str(),
        quoted(message)
    );
    about.write(&mut frame);
    frame.push('}');
    frame
}

/// What is said of a bot that is not there, or is somebody else's: the same, so that nobody finds out which
/// there are.
pub fn no_such_bot(subject: &Subject) -> String {
    error(
        Code::NotFound,
        "There is no such bot in this account",
        &subject.into(),
    )
}

impl About {
    /// Writes its keys behind others of an object.
    pub fn write(&self, frame: &mut String) {
        if let Some(channel) = &self.channel {
            frame.push_str(&format!(r#","channel":{}"#, quoted(channel)));
        }
        if let Some((name, value)) = &self.field {
            frame.push_str(&format!(r#","{name}":{}"#, quoted(value)));
        }
    }
}

fn bot_update(topic: &Topic, event: &Event) -> String {
    let (Topic::Bot(bot), Event::Bot(update)) = (topic, event) else {
        return String::new();
    };
    let (event, data) = (quoted(&update.event), update.data.get());
    format!(r#"{{"type":"bot_update","botId":"{bot}","event":{event},"data":{data}}}"#)
}

fn price_update(topic: &Topic, event: &Event) -> String {
    let (Topic::MintPrice(mint), Event::MintPrice(price)) = (topic, event) else {
        return String::new();
    };
    let (timestamp, volume) = (whole_seconds(price.timestamp), &price.volume);
    let price = &price.price;
    format!(
        r#"{{"type":"price_update","mint":"{mint}","price":{price},"volume":{volume},"timestamp":"{timestamp}"}}"#
    )
}

fn transaction_confirmed(topic: &Topic, event: &Event) -> String {
    let (Topic::Wallet(wallet), Event::Wallet(transaction)) = (topic, event) else {
        return String::new();
    };
    let (signature, slot) = (quoted(&transaction.signature), transaction.slot);
    let status = transaction.status.as_str();
    format!(
        r#"{{"type":"transaction_confirmed","signature":{signature},"status":"{status}","slot":{slot},"wallet":"{wallet}"}}"#
    )
}

fn bot_is_gone(topic: &Topic) -> String {
    match topic {
        Topic::Bot(bot) => no_such_bot(&Subject::Bot(bot.clone())),
        _ => String::new(),
    }
}

/// Of what is public: it is nobody's to lose.
fn nothing(_: &Topic) -> String {
    String::new()
}

/// ISO 8601 in UTC, without a fraction: as all times are told here.
pub fn whole_seconds(time: jiff::Timestamp) -> String {
    time.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}

fn quoted(text: &str) -> String {
    serde_json::to_string(text).expect("a text is JSON")
}

#[cfg(test)]
mod tests {
    use super::*;
    use insta::assert_snapshot;

    const MINT: &str = "EPjFWdd5AufqSSqeM2qN1xzybapC8G4wEGGkZwyTDt1v";
    const WALLET: &str = "11111111111111111111111111111111";

    fn told(subject: &Subject, body: &str) -> String {
        let Question { topic, form, .. } = subject.question();
        let event = Event::decode(&topic, body.as_bytes()).unwrap();
        (form.render)(&topic, &event)
    }

    fn subject(channel: Channel, text: &str) -> Subject {
        channel.subject(text).unwrap()
    }

    #[test]
    fn updates_are_told_as_the_contract_has_them() {
        let bot = subject(Channel::Bot, "bot_abc123");
        assert_snapshot!(told(&bot, r#"{"data":{"signature":"5VERv8...","profit":0.15,"timestamp":"2024-01-15T10:30:00Z"},"event":"trade_executed"}"#),
            @r#"{"type":"bot_update","botId":"bot_abc123","event":"trade_executed","data":{"signature":"5VERv8...","profit":0.15,"timestamp":"2024-01-15T10:30:00Z"}}"#);
        let price = subject(Channel::Price, MINT);
        assert_snapshot!(told(&price, r#"{"timestamp":"2024-01-15T10:30:00.75Z","volume":1000000,"price":1.0001}"#),
            @r#"{"type":"price_update","mint":"EPjFWdd5AufqSSqeM2qN1xzybapC8G4wEGGkZwyTDt1v","price":1.0001,"volume":1000000,"timestamp":"2024-01-15T10:30:00Z"}"#);
        let transactions = subject(Channel::Transactions, WALLET);
        assert_snapshot!(told(&transactions, r#"{"signature":"5VERv8","status":"confirmed","slot":250123456}"#),
            @r#"{"type":"transaction_confirmed","signature":"5VERv8","status":"confirmed","slot":250123456,"wallet":"11111111111111111111111111111111"}"#);
    }

    #[test]
    fn the_names_of_a_bot_s_events_are_its_publisher_s() {
        let bot = subject(Channel::Bot, "bot_abc123");
        assert_snapshot!(told(&bot, r#"{"event":"said \"hi\"","data": { "n" : 1e400 } }"#),
            @r#"{"type":"bot_update","botId":"bot_abc123","event":"said \"hi\"","data":{ "n" : 1e400 }}"#);
    }

    #[test]
    fn whoever_loses_a_bot_is_told_what_a_stranger_is() {
        let bot = subject(Channel::Bot, "bot_abc123");
        let Question { topic, form, .. } = bot.question();
        assert_eq!((form.gone)(&topic), no_such_bot(&bot));
        assert_snapshot!(no_such_bot(&bot), @r#"{"type":"error","code":"NOT_FOUND","message":"There is no such bot in this account","channel":"bot","botId":"bot_abc123"}"#);
    }

    #[test]
    fn addresses_are_32_bytes_of_base58() {
        for channel in [Channel::Price, Channel::Transactions] {
            for good in [MINT, WALLET, "So11111111111111111111111111111111111111112"] {
                assert_eq!(subject(channel, good).name(), good);
            }
            for bad in [
                "",
                "EPjFWdd5",
                // 31 bytes, and 33.
                "1111111111111111111111111111111",
                "111111111111111111111111111111111",
                "0PjFWdd5AufqSSqeM2qN1xzybapC8G4wEGGkZwyTDt1v",
                "EPjFWdd5AufqSSqeM2qN1xzybapC8G4wEGGkZwyTDt1v ",
                "zzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzz",
            ] {
                assert_eq!(channel.subject(bad), None, "{bad}");
            }
        }
    }

    #[test]
    fn a_mint_and_a_wallet_of_the_same_name_are_two_subjects() {
        let (mint, wallet) = (
            subject(Channel::Price, MINT),
            subject(Channel::Transactions, MINT),
        );
        assert_ne!(mint.id(), wallet.id());
        for subject in [&mint, &wallet] {
            assert_eq!(Subject::of_id(&subject.id()).as_ref(), Some(subject));
        }
        assert_ne!(mint.question().topic, wallet.question().topic);
    }

    fn config(tiers: &str, default_tier: &str) -> AllenHarkConfig {
        toml::from_str(&format!(
            "enabled = true\ntiers = {tiers}\ndefault_tier = \"{default_tier}\"\nmessage_bytes = 1\nauth_timeout = \"1s\"\nidle_timeout = \"1s\""
        ))
        .unwrap()
    }

    const TIERS: &str = r#"[{ name = "free", subscriptions = 1, messages_per_second = 1 }, { name = "pro", subscriptions = 2, messages_per_second = 2 }]"#;

    #[test]
    fn an_account_has_its_tier_or_the_default_one() {
        let config = config(TIERS, "free");
        assert_eq!(config.check(), Ok(()));
        let allenhark = config.api().unwrap();
        let tier = |name: Option<&str>| {
            let plans = AccountPlans {
                allenhark: name.map(str::to_owned),
                ..AccountPlans::default()
            };
            allenhark.tier_of(&plans).name.clone()
        };
        assert_eq!(tier(None), "free");
        assert_eq!(tier(Some("pro")), "pro");
        assert_eq!(tier(Some("gone")), "free");
    }

    #[test]
    fn what_is_wrong_with_tiers_is_named_with_its_place() {
        for (tiers, default_tier, wrong) in [
            (TIERS, "gold", "allenhark.default_tier"),
            ("[]", "free", "allenhark.default_tier"),
            (
                &TIERS.replace("pro", "free"),
                "free",
                "allenhark.tiers[1].name",
            ),
            (
                &TIERS.replace("subscriptions = 2", "subscriptions = 0"),
                "free",
                "allenhark.tiers[1].subscriptions",
            ),
        ] {
            let (place, _) = config(tiers, default_tier).check().unwrap_err();
            assert_eq!(place, wrong);
        }
    }
}
