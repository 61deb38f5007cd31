//! Names of streams of events, each with exactly one channel name on the bus.
//!
//! A [`Topic`] prints as a channel name ([`Topic::channel`]) and is read back from one
//! ([`Topic::of_channel`]); nothing else in the program spells a channel. The channels of Blink are
//! spelled as Blink's back end publishes them.

mod dataset;
mod names;
mod solana;

pub use self::dataset::{ChainId, Dataset, DatasetId};
pub use self::names::{AccountId, Currency, PaymentHash, UserId};
pub use self::solana::{BotId, SolanaAddress};

use std::fmt;

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
    /// A dataset of an EVM chain; public. `DATASET_<chain>_<dataset>`
    Dataset(Dataset),
    /// What a trading bot does; its owner's. `BOT_<botId>`
    Bot(BotId),
    /// What a token of Solana costs; public. `MINT_PRICE_<mint>`
    MintPrice(SolanaAddress),
    /// The transactions of a wallet of Solana; public. `WALLET_TX_<wallet>`
    Wallet(SolanaAddress),
    /// The webhooks of one account; its own. `WEBHOOK_<account>`
    Webhook(AccountId),
}

const PRICE: &str = "PRICE_UPDATE_";
const USER_PRICE: &str = "USER_PRICE_UPDATE_";
const ACCOUNT: &str = "ACCOUNT_UPDATE_";
const INVOICE: &str = "LN_PAYMENT_STATUS_";
const REWARDS: &str = "REWARDS_STATUS_";
const DATASET: &str = "DATASET_";
const BOT: &str = "BOT_";
const MINT_PRICE: &str = "MINT_PRICE_";
const WALLET: &str = "WALLET_TX_";
const WEBHOOK: &str = "WEBHOOK_";

impl Topic {
    /// The pattern of all invoice channels, for buses that can watch a pattern.
    pub const EVERY_INVOICE: &'static str = "LN_PAYMENT_STATUS_*";

    /// All channels that have a topic, for people.
    pub const CHANNELS: &'static str = "PRICE_UPDATE_<currency>, USER_PRICE_UPDATE_<currency>, \
                                        ACCOUNT_UPDATE_<account id>, LN_PAYMENT_STATUS_<payment hash>, \
                                        REWARDS_STATUS_<user id>, DATASET_<chain>_<dataset>, BOT_<bot id>, \
                                        MINT_PRICE_<mint>, WALLET_TX_<wallet>, WEBHOOK_<account id>";

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
        } else if let Some(name) = channel.strip_prefix(DATASET) {
            Dataset::of_canonical(name).map(Topic::Dataset)
        } else if let Some(id) = channel.strip_prefix(BOT) {
            BotId::parse(id).map(Topic::Bot)
        } else if let Some(mint) = channel.strip_prefix(MINT_PRICE) {
            SolanaAddress::parse(mint).map(Topic::MintPrice)
        } else if let Some(wallet) = channel.strip_prefix(WALLET) {
            SolanaAddress::parse(wallet).map(Topic::Wallet)
        } else if let Some(id) = channel.strip_prefix(WEBHOOK) {
            AccountId::of_canonical(id).map(Topic::Webhook)
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
            Topic::Dataset(dataset) => format!("{DATASET}{dataset}"),
            Topic::Bot(id) => format!("{BOT}{id}"),
            Topic::MintPrice(mint) => format!("{MINT_PRICE}{mint}"),
            Topic::Wallet(wallet) => format!("{WALLET}{wallet}"),
            Topic::Webhook(id) => format!("{WEBHOOK}{id}"),
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
            Topic::Dataset(_) => "dataset",
            Topic::Bot(_) => "bot",
            Topic::MintPrice(_) => "mint_price",
            Topic::Wallet(_) => "wallet",
            Topic::Webhook(_) => "webhook",
        }
    }
}

impl fmt::Display for Topic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.channel())
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
            "DATASET_1_0101",
            "BOT_bot_abc123",
            "MINT_PRICE_EPjFWdd5AufqSSqeM2qN1xzybapC8G4wEGGkZwyTDt1v",
            "WALLET_TX_11111111111111111111111111111111",
            "WEBHOOK_21087d73-28c9-4d1f-9b0c-1a2b3c4d5e6f",
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
            "DATASET_1_101",
            "DATASET_01_0101",
            "DATASET_0101",
            "DATASET_1_01012",
            "DATASET_-1_0101",
            "BOT_abc",
            "BOT_bot_",
            "BOT_bot_a b",
            "MINT_PRICE_SOL",
            "MINT_PRICE_0PjFWdd5AufqSSqeM2qN1xzybapC8G4wEGGkZwyTDt1v",
            "WEBHOOK_21087D73-28C9-4D1F-9B0C-1A2B3C4D5E6F",
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
            (1u64.., "[0-9]{4}").prop_map(|(chain, id)| Topic::Dataset(Dataset {
                chain: ChainId::of_number(chain).unwrap(),
                id: DatasetId::parse(&id).unwrap(),
            })),
            "bot_[A-Za-z0-9_-]{1,64}".prop_map(|id| Topic::Bot(BotId::parse(&id).unwrap())),
            any::<[u8; 32]>().prop_map(|key| Topic::MintPrice(SolanaAddress::of_bytes(&key))),
            any::<[u8; 32]>().prop_map(|key| Topic::Wallet(SolanaAddress::of_bytes(&key))),
            any::<u128>().prop_map(|id| Topic::Webhook(uuid::Uuid::from_u128(id).into())),
        ]
    }
}
