//! Names of streams of events, each with exactly one channel name on the bus.
//!
//! A [`Topic`] prints as a channel name ([`Topic::channel`]) and is read back from one
//! ([`Topic::of_channel`]); nothing else in the program spells a channel. The channels of Blink are
//! spelled as Blink's back end publishes them.

use std::fmt;
use std::num::NonZeroI32;
use std::sync::Arc;

/// The typed name of one stream of events.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Topic {
    /// What one bitcoin costs; public. `PRICE_UPDATE_<currency>`
    Price(Currency),
    /// The same for `myUpdates`; for any account. `USER_PRICE_UPDATE_<currency>`
    UserPrice(Currency),
    /// What happens to one account; its own. `ACCOUNT_UPDATE_<account>`
    Account(AccountId),
    /// What becomes of one Lightning invoice; public to whoever knows its hash.
    /// `LN_PAYMENT_STATUS_<hash>`
    Invoice(PaymentHash),
    /// What happens to one user of a reward program; its own. `REWARDS_STATUS_<userId>`
    Rewards(UserId),
}

const PRICE: &str = "PRICE_UPDATE_";
const USER_PRICE: &str = "USER_PRICE_UPDATE_";
const ACCOUNT: &str = "ACCOUNT_UPDATE_";
const INVOICE: &str = "LN_PAYMENT_STATUS_";
const REWARDS: &str = "REWARDS_STATUS_";

impl Topic {
    /// The pattern of all invoice channels, for buses that can watch a pattern.
    pub const EVERY_INVOICE: &'static str = "LN_PAYMENT_STATUS_*";

    /// All channels that have a topic, for people.
    pub const CHANNELS: &'static str = "PRICE_UPDATE_<currency>, USER_PRICE_UPDATE_<currency>, \
                                        ACCOUNT_UPDATE_<account id>, LN_PAYMENT_STATUS_<payment hash>, \
                                        REWARDS_STATUS_<user id>";

    /// The topic that is told on this channel; `None` for a stranger's channel.
    pub fn of_channel(channel: &str) -> Option<Self> {
        if let Some(code) = channel.strip_prefix(PRICE) {
            Currency::of_code(code).map(Topic::Price)
        } else if let Some(code) = channel.strip_prefix(USER_PRICE) {
            Currency::of_code(code).map(Topic::UserPrice)
        } else if let Some(id) = channel.strip_prefix(ACCOUNT) {
            AccountId::of_canonical(id).map(Topic::Account)
        } else if let Some(hash) = channel.strip_prefix(INVOICE) {
            PaymentHash::of_canonical(hash).map(Topic::Invoice)
        } else if let Some(id) = channel.strip_prefix(REWARDS) {
            UserId::of_canonical(id).map(Topic::Rewards)
        } else {
            None
        }
    }

    /// The name of this topic's channel on the bus.
    pub fn channel(&self) -> String {
        match self {
            Topic::Price(currency) => format!("{PRICE}{currency}"),
            Topic::UserPrice(currency) => format!("{USER_PRICE}{currency}"),
            Topic::Account(id) => format!("{ACCOUNT}{id}"),
            Topic::Invoice(hash) => format!("{INVOICE}{hash}"),
            Topic::Rewards(id) => format!("{REWARDS}{id}"),
        }
    }

    /// The kind of this topic, for labels of metrics: never the name itself.
    pub fn kind(&self) -> &'static str {
        match self {
            Topic::Price(_) => "price",
            Topic::UserPrice(_) => "user_price",
            Topic::Account(_) => "account",
            Topic::Invoice(_) => "invoice",
            Topic::Rewards(_) => "rewards",
        }
    }
}

impl fmt::Display for Topic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.channel())
    }
}

/// The code of a currency: three or four upper-case letters or digits.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Currency([u8; 4]);

impl Currency {
    /// The US dollar, the currency of Blink's `price` and the default of `realtimePrice`.
    pub const USD: Currency = Currency(*b"USD\0");

    /// Reads a code as people write it: letters of either case.
    pub fn parse(text: &str) -> Option<Self> {
        Self::of_code(&text.to_ascii_uppercase())
    }

    /// Reads a code as channels spell it: upper case only.
    fn of_code(code: &str) -> Option<Self> {
        let bytes = code.as_bytes();
        let well_formed = (3..=4).contains(&bytes.len())
            && bytes
                .iter()
                .all(|byte| byte.is_ascii_uppercase() || byte.is_ascii_digit());
        let mut padded = [0; 4];
        padded[..bytes.len().min(4)].copy_from_slice(&bytes[..bytes.len().min(4)]);
        well_formed.then_some(Currency(padded))
    }

    /// The code, in upper case.
    pub fn code(&self) -> &str {
        let end = self.0.iter().position(|byte| *byte == 0).unwrap_or(4);
        std::str::from_utf8(&self.0[..end]).expect("a currency code is ASCII")
    }
}

impl fmt::Display for Currency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.code())
    }
}

impl fmt::Debug for Currency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.code())
    }
}

/// The id of a Blink account: a UUID, printed in lower case with hyphens.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct AccountId(uuid::Uuid);

impl AccountId {
    /// Reads a hyphenated UUID in either case.
    pub fn parse(text: &str) -> Option<Self> {
        (text.len() == 36)
            .then(|| uuid::Uuid::try_parse(text).ok().map(AccountId))
            .flatten()
    }

    /// Reads the one spelling that [`fmt::Display`] prints.
    fn of_canonical(text: &str) -> Option<Self> {
        let lower = text.bytes().all(|byte| !byte.is_ascii_uppercase());
        if lower { Self::parse(text) } else { None }
    }
}

impl From<uuid::Uuid> for AccountId {
    fn from(id: uuid::Uuid) -> Self {
        AccountId(id)
    }
}

impl fmt::Display for AccountId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.hyphenated().fmt(f)
    }
}

/// The id of a user of a reward program: above 0 and below 2147483647, as its events have it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct UserId(NonZeroI32);

impl UserId {
    /// The id with this number, if it is in range.
    pub fn of_number(number: i64) -> Option<Self> {
        let id = NonZeroI32::new(i32::try_from(number).ok()?)?;
        (id.is_positive() && id < NonZeroI32::MAX).then_some(UserId(id))
    }

    /// Reads decimal digits, without a sign.
    pub fn parse(text: &str) -> Option<Self> {
        let digits = text.bytes().all(|byte| byte.is_ascii_digit());
        if digits {
            UserId::of_number(text.parse().ok()?)
        } else {
            None
        }
    }

    /// Reads the one spelling that [`fmt::Display`] prints: no zeros in front.
    fn of_canonical(text: &str) -> Option<Self> {
        UserId::parse(text).filter(|_| !text.starts_with('0'))
    }

    /// The number.
    pub fn get(self) -> i32 {
        self.0.get()
    }
}

impl fmt::Display for UserId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// The hash of a Lightning payment: 32 bytes, printed as lower-case hex.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct PaymentHash(Arc<str>);

impl PaymentHash {
    /// Reads 64 hexadecimal digits of either case.
    pub fn parse(text: &str) -> Option<Self> {
        let well_formed = text.len() == 64 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
        well_formed.then(|| PaymentHash(text.to_ascii_lowercase().into()))
    }

    /// Reads the one spelling that [`fmt::Display`] prints.
    fn of_canonical(text: &str) -> Option<Self> {
        let is_canonical = |byte: u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
        let well_formed = text.len() == 64 && text.bytes().all(is_canonical);
        well_formed.then(|| PaymentHash(text.into()))
    }

    /// 64 lower-case hexadecimal digits.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for PaymentHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for PaymentHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_channels_are_spelled_as_blink_publishes_them() {
        for channel in [
            "PRICE_UPDATE_USD",
            "USER_PRICE_UPDATE_EUR",
            "ACCOUNT_UPDATE_21087d73-28c9-4d1f-9b0c-1a2b3c4d5e6f",
            "LN_PAYMENT_STATUS_bf6b7ad5b5c93fbf5ab3fc8ba4c5a1e1d8e0b7d2a1c3e4f5061728394a5b6c7d",
            "REWARDS_STATUS_123",
        ] {
            assert_eq!(
                Topic::of_channel(channel).expect(channel).channel(),
                channel
            );
        }
    }

    #[test]
    fn a_user_price_is_never_taken_for_a_price() {
        assert_eq!(
            Topic::of_channel("USER_PRICE_UPDATE_USD"),
            Some(Topic::UserPrice(Currency::USD))
        );
        assert_eq!(
            Topic::of_channel("PRICE_UPDATE_USD"),
            Some(Topic::Price(Currency::USD))
        );
    }

    #[test]
    fn strangers_channels_have_no_topic() {
        for channel in [
            "",
            "PRICE_UPDATE_",
            "PRICE_UPDATE_usd",
            "PRICE_UPDATE_USDOLLAR",
            "PRICE_UPDATE_1b9d6bcd-bbfd-4b2d-9b5d-ab8dfbbd4bed",
            "LN_PAYMENT_STATUS_lnbc1",
            "ACCOUNT_UPDATE_not-a-uuid",
            "ACCOUNT_UPDATE_21087D73-28C9-4D1F-9B0C-1A2B3C4D5E6F",
            "XPRICE_UPDATE_USD",
            "REWARDS_STATUS_",
            "REWARDS_STATUS_0",
            "REWARDS_STATUS_007",
            "REWARDS_STATUS_+7",
            "REWARDS_STATUS_-7",
            "REWARDS_STATUS_2147483647",
            "REWARDS_STATUS_99999999999999999999",
        ] {
            assert_eq!(Topic::of_channel(channel), None, "{channel}");
        }
    }

    #[test]
    fn a_topic_is_small() {
        // There are some of it for every account that somebody listens to.
        assert!(size_of::<Topic>() <= 24, "{}", size_of::<Topic>());
        assert_eq!(size_of::<Option<UserId>>(), 4);
    }

    proptest! {
        #[test]
        fn a_topic_and_its_channel_are_one(topic in any_topic()) {
            prop_assert_eq!(Topic::of_channel(&topic.channel()), Some(topic));
        }

        #[test]
        fn a_channel_that_has_a_topic_is_that_topics_channel(channel in "(USER_)?PRICE_UPDATE_[A-Za-z0-9]{0,5}|.{0,80}") {
            if let Some(topic) = Topic::of_channel(&channel) {
                prop_assert_eq!(topic.channel(), channel);
            }
        }
    }

    fn any_topic() -> impl Strategy<Value = Topic> {
        prop_oneof![
            "[A-Z0-9]{3,4}".prop_map(|code| Topic::Price(Currency::parse(&code).unwrap())),
            "[A-Z0-9]{3,4}".prop_map(|code| Topic::UserPrice(Currency::parse(&code).unwrap())),
            any::<u128>().prop_map(|id| Topic::Account(uuid::Uuid::from_u128(id).into())),
            "[0-9a-f]{64}".prop_map(|hash| Topic::Invoice(PaymentHash::parse(&hash).unwrap())),
            (1..i64::from(i32::MAX)).prop_map(|id| Topic::Rewards(UserId::of_number(id).unwrap())),
        ]
    }
}
