//! A made-up market on Solana: what two tokens cost, and a bot that trades there with its wallet.

use bitcoin::base58;
use bitcoin::hashes::{Hash, sha256};
use jiff::Timestamp;
use serde::Serialize;
use serde_json::{Value, json};

use super::{random_bytes, random_unit};
use crate::topic::{BotId, SolanaAddress};

/// The bot's id, as AllenHark's documentation has it: its samples work here.
const BOT: &str = "bot_abc123";
/// USDC and wrapped SOL, and what they cost at first, in dollars.
const MINTS: [(&str, f64); 2] = [
    ("EPjFWdd5AufqSSqeM2qN1xzybapC8G4wEGGkZwyTDt1v", 1.0),
    ("So11111111111111111111111111111111111111112", 172.5),
];
/// The block that the transactions begin behind.
const FIRST_SLOT: u64 = 250_123_456;
/// Blocks from one to the next.
const SLOTS: u64 = 9;

/// What tokens cost.
pub(super) struct Mints(Vec<(SolanaAddress, f64)>);

/// Something that the bot has done, as it is published.
#[derive(Serialize)]
pub(super) struct Update<D> {
    event: &'static str,
    data: D,
}

/// What there is to say of a trade, in the order of AllenHark's documentation.
#[derive(Serialize)]
pub(super) struct Executed<'a> {
    signature: &'a str,
    profit: f64,
    timestamp: String,
}

#[derive(Serialize)]
pub(super) struct Failed<'a> {
    signature: &'a str,
    reason: &'static str,
    timestamp: String,
}

/// A transaction of the bot's, that is on its way.
pub(super) struct Trade {
    signature: String,
    slot: u64,
    profit: f64,
}

pub(super) fn bot() -> BotId {
    BotId::parse(BOT).expect("it is an id")
}

/// The wallet that the bot trades with: the same every time, and nobody has its key.
pub(super) fn wallet() -> SolanaAddress {
    let bytes = sha256::Hash::hash(b"the wallet of the demo of tidings");
    SolanaAddress::of_bytes(bytes.as_byte_array())
}

/// One of the tokens.
pub(super) fn mint() -> SolanaAddress {
    address(MINTS[1].0)
}

impl Mints {
    pub(super) fn new() -> Self {
        Mints(MINTS.map(|(mint, price)| (address(mint), price)).into())
    }

    /// What they cost a moment later, as it is published.
    pub(super) fn next_prices(&mut self) -> Vec<(SolanaAddress, Value)> {
        let next = self.0.iter_mut().map(|(mint, price)| {
            *price *= 1.0 + (random_unit() - 0.5) / 1000.0;
            let body = json!({
                "price": (*price * 1e6).round() / 1e6,
                "volume": 900_000 + (random_unit() * 200_000.0) as u64,
                "timestamp": now(),
            });
            (mint.clone(), body)
        });
        next.collect()
    }
}

impl Trade {
    /// The first, the second, and so on.
    pub(super) fn new(turn: u64) -> Self {
        let signature = [random_bytes(), random_bytes()].concat();
        Trade {
            signature: base58::encode(&signature),
            slot: FIRST_SLOT + turn * SLOTS,
            profit: ((random_unit() - 0.3) * 1000.0).round() / 1000.0,
        }
    }

    /// That the transaction has come this far, as it is published.
    pub(super) fn transaction(&self, status: &str) -> Value {
        json!({ "signature": self.signature, "status": status, "slot": self.slot })
    }

    pub(super) fn executed(&self) -> Update<Executed<'_>> {
        Update {
            event: "trade_executed",
            data: Executed {
                signature: &self.signature,
                profit: self.profit,
                timestamp: now(),
            },
        }
    }

    pub(super) fn failed(&self) -> Update<Failed<'_>> {
        Update {
            event: "trade_failed",
            data: Failed {
                signature: &self.signature,
                reason: "slippage",
                timestamp: now(),
            },
        }
    }
}

fn address(text: &str) -> SolanaAddress {
    SolanaAddress::parse(text).expect("it is an address")
}

fn now() -> String {
    Timestamp::now().strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::Event;
    use crate::topic::Topic;

    #[test]
    fn whatever_happens_on_the_market_can_be_told() {
        let mut mints = Mints::new();
        fn told(topic: Topic, body: impl Serialize) {
            let body = serde_json::to_string(&body).unwrap();
            let event = Event::decode(&topic, body.as_bytes());
            event.unwrap_or_else(|error| panic!("{body}: {error}"));
        }
        for turn in 0..100 {
            for (mint, body) in mints.next_prices() {
                told(Topic::MintPrice(mint), body);
            }
            let trade = Trade::new(turn);
            told(Topic::Bot(bot()), trade.executed());
            told(Topic::Bot(bot()), trade.failed());
            for status in ["processed", "confirmed", "finalized", "failed"] {
                told(Topic::Wallet(wallet()), trade.transaction(status));
            }
        }
    }
}
