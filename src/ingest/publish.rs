//! Publishing: what is refused before it can reach the bus.
//!
//! A subscriber that meets a body it cannot decode leaves it out, hours and machines away from
//! whoever wrote it. So it is decoded where it comes in, and its author is told.

use crate::event::{Cause, Event, Malformed, PriceUpdate};
use crate::topic::Topic;

/// Why something is not published.
#[derive(Debug, thiserror::Error)]
pub enum Refused {
    #[error("there is no channel {0:?}; there are {channels}", channels = Topic::CHANNELS)]
    UnknownChannel(String),
    #[error(transparent)]
    Malformed(#[from] Malformed),
}

/// Whether this body can be published on this channel, and what it tells there.
pub fn check(channel: &str, body: &[u8]) -> Result<(Topic, Event), Refused> {
    let topic = Topic::of_channel(channel);
    let topic = topic.ok_or_else(|| Refused::UnknownChannel(channel.to_owned()))?;
    match Event::decode(&topic, body)? {
        // Blink's own publisher may say so, and subscribers are told. From here it is a mistake.
        Event::Price(PriceUpdate::NoPriceInfo) => {
            let cause = "pricePerSat is missing, or not above zero".to_owned();
            let cause = Cause::Meaning(cause);
            Err(Refused::Malformed(Malformed { topic, cause }))
        }
        event => Ok((topic, event)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use insta::assert_snapshot;

    fn refused(channel: &str, body: &str) -> String {
        check(channel, body.as_bytes()).unwrap_err().to_string()
    }

    #[test]
    fn what_its_topic_tells_is_published() {
        let (topic, _) = check("PRICE_UPDATE_USD", br#"{"pricePerSat":0.0004}"#).unwrap();
        assert_eq!(topic.channel(), "PRICE_UPDATE_USD");
    }

    #[test]
    fn what_no_subscriber_could_read_is_refused() {
        assert_snapshot!(refused("PRICES", "{}"), @r#"there is no channel "PRICES"; there are PRICE_UPDATE_<currency>, USER_PRICE_UPDATE_<currency>, ACCOUNT_UPDATE_<account id>, LN_PAYMENT_STATUS_<payment hash>, REWARDS_STATUS_<user id>, DATASET_<chain>_<dataset>, BOT_<bot id>, MINT_PRICE_<mint>, WALLET_TX_<wallet>, WEBHOOK_<account id>"#);
        assert_snapshot!(refused("PRICE_UPDATE_USD", "{}"), @"the body is not what PRICE_UPDATE_USD tells: pricePerSat is missing, or not above zero");
        assert_snapshot!(refused("PRICE_UPDATE_USD", r#"{"pricePerSat":"cheap"}"#), @"the body is not what PRICE_UPDATE_USD tells: pricePerSat: not a number at line 1 column 22");
    }
}
