//! Which datasets there are, and what can be asked of them: BlockDB's catalogue.
//!
//! BlockDB's own pages contradict each other about ids; this follows the newer ones, those of its streams.
//! What no page says is decided here:
//!
//! * The integers of `transfer_type` are those that the words for them are listed in: native 0, erc20 1, erc721 2,
//!   erc1155 3.
//! * A market is a pair of tokens, whichever of them somebody paid with: a record of either direction passes
//!   `base_token_address` and `quote_token_address`.
//! * A record of 0122 names no address, but its `contract_id` begins with it.
//! * Prices of 0605 are in US dollars (`price_usd`), so that is the one `quote_currency_code` there is.

use crate::topic::DatasetId;

/// A dataset: what is in all of its records, and what clients may ask for.
#[derive(Debug)]
pub struct Stream {
    pub id: DatasetId,
    /// Its page below `wss-reference/evm/` of BlockDB's documentation.
    pub name: &'static str,
    /// What makes a record that record: a newer one with the same values of these fields takes its place. Those
    /// that are in all records; there may be more to it (`log_index` of a transfer that has a log).
    pub(super) key: &'static [(&'static str, KeyKind)],
    pub params: &'static [Param],
}

/// What a field of a natural key holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum KeyKind {
    Number,
    Text,
}

/// Something that can be asked of a dataset.
///
/// Its place in [`Stream::params`] is the dimension of the terms that it filters by.
#[derive(Debug)]
pub struct Param {
    pub name: &'static str,
    pub kind: Kind,
    pub shape: Shape,
    /// What holds when it is not said; `None` if that does not matter then.
    pub default: Option<&'static str>,
    pub is_required: bool,
    pub asks: Asks,
}

/// Of how many values something is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shape {
    One,
    List,
}

/// What a value is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// So many bytes, in hex.
    Hex {
        bytes: usize,
    },
    /// A whole number, not below zero.
    Number,
    Flag,
    /// One of these words.
    Word(&'static [&'static str]),
    /// One of these words, for each of which a number stands in records.
    Coded(&'static [(&'static str, u64)]),
}

/// What a parameter is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Asks {
    /// Records with one of its values in this field.
    Field(&'static str),
    /// Records of these contracts, whose addresses the ids in this field begin with.
    ContractOf(&'static str),
    /// Records whose `token_in` and `token_out` are this token and that of [`Asks::Quote`], in either order. The terms are
    /// this parameter's.
    Base,
    /// The other token of the market. It comes right behind [`Asks::Base`].
    Quote,
    /// Nothing: there is no other.
    Only,
    /// To be told these fields, too, which are left out otherwise.
    Details(&'static [&'static str]),
}

impl Stream {
    /// All of them, in the order of their ids.
    pub const ALL: &'static [Stream] = &CATALOGUE;

    /// The dataset of this id.
    pub fn of_id(id: DatasetId) -> Option<&'static Stream> {
        let at = CATALOGUE.binary_search_by_key(&id, |stream| stream.id);
        at.ok().map(|at| &CATALOGUE[at])
    }

    /// The fields that whoever has not asked for details is not told.
    pub fn details(&self) -> &'static [&'static str] {
        let mut params = self.params.iter();
        let details = params.find_map(|param| match param.asks {
            Asks::Details(fields) => Some(fields),
            _ => None,
        });
        details.unwrap_or_default()
    }
}

const ADDRESS: Kind = Kind::Hex { bytes: 20 };
const HASH: Kind = Kind::Hex { bytes: 32 };

const fn list(name: &'static str, kind: Kind, field: &'static str) -> Param {
    Param {
        name,
        kind,
        shape: Shape::List,
        default: None,
        is_required: false,
        asks: Asks::Field(field),
    }
}

const fn one(name: &'static str, kind: Kind, field: &'static str) -> Param {
    Param {
        shape: Shape::One,
        ..list(name, kind, field)
    }
}

const FROM: Param = list("from_addresses", ADDRESS, "from_address");
const TO: Param = list("to_addresses", ADDRESS, "to_address");
const CONTRACTS: Param = list("contract_addresses", ADDRESS, "contract_address");
const POOLS: Param = list("pool_uids", HASH, "pool_uid");
const EXCHANGES: Param = list("exchange_ids", Kind::Number, "exchange_id");
const PATHS: Param = list("path_ids", HASH, "path_id");
const BASE: Param = Param {
    is_required: true,
    asks: Asks::Base,
    ..one("base_token_address", ADDRESS, "")
};
const QUOTE: Param = Param {
    is_required: true,
    asks: Asks::Quote,
    ..one("quote_token_address", ADDRESS, "")
};
const INTERVAL: Param = Param {
    default: Some("1m"),
    ..one(
        "aggregation_interval",
        Kind::Coded(&[("1m", 60), ("5m", 300), ("1h", 3_600), ("1d", 86_400)]),
        "bucket_seconds",
    )
};

const BLOCK: (&str, KeyKind) = ("block_number", KeyKind::Number);
const TX: (&str, KeyKind) = ("tx_index", KeyKind::Number);
const LOG: (&str, KeyKind) = ("log_index", KeyKind::Number);
const POOL: (&str, KeyKind) = ("pool_uid", KeyKind::Text);
const CONTRACT: (&str, KeyKind) = ("contract_id", KeyKind::Text);
const PATH: (&str, KeyKind) = ("path_id", KeyKind::Text);
const BUCKET: [(&str, KeyKind); 2] = [
    ("bucket_start", KeyKind::Text),
    ("bucket_seconds", KeyKind::Number),
];
const PAIR: [(&str, KeyKind); 2] = [("token_in", KeyKind::Text), ("token_out", KeyKind::Text)];

const fn stream(
    digits: &[u8; 4],
    name: &'static str,
    key: &'static [(&'static str, KeyKind)],
    params: &'static [Param],
) -> Stream {
    Stream {
        id: DatasetId::of_digits(*digits),
        name,
        key,
        params,
    }
}

// A line for each would be longer than a line may be; the columns are id, page, natural key, parameters.
const CATALOGUE: [Stream; 24] = [
    stream(b"0101", "primitives/blocks", &[BLOCK], &[]),
    stream(
        b"0102",
        "primitives/transactions",
        &[BLOCK, TX],
        &[
            FROM,
            TO,
            one("status_success", Kind::Flag, "status_success"),
        ],
    ),
    stream(
        b"0103",
        "primitives/logs",
        &[BLOCK, TX, LOG],
        &[CONTRACTS, list("topic_zeros", HASH, "topic_zero")],
    ),
    stream(
        b"0111",
        "primitives/internal-transactions",
        &[BLOCK, TX, ("trace_address", KeyKind::Text)],
        &[
            FROM,
            TO,
            list(
                "call_types",
                Kind::Word(&["CALL", "DELEGATECALL", "STATICCALL", "CREATE", "CREATE2"]),
                "call_type",
            ),
        ],
    ),
    stream(b"0121", "primitives/contracts", &[CONTRACT], &[CONTRACTS]),
    stream(
        b"0122",
        "primitives/function-results",
        &[CONTRACT, BLOCK, ("call_data", KeyKind::Text)],
        &[
            Param {
                asks: Asks::ContractOf("contract_id"),
                ..CONTRACTS
            },
            list("signature_hashes", Kind::Hex { bytes: 4 }, "signature_hash"),
        ],
    ),
    stream(
        b"0201",
        "entities/tokens-erc20",
        &[CONTRACT],
        &[one("address", ADDRESS, "contract_address")],
    ),
    stream(
        b"0202",
        "entities/tokens-erc721",
        &[CONTRACT],
        &[one("contract_address", ADDRESS, "contract_address")],
    ),
    stream(
        b"0203",
        "entities/tokens-erc1155",
        &[CONTRACT],
        &[one("contract_address", ADDRESS, "contract_address")],
    ),
    stream(
        b"0211",
        "entities/pools",
        &[POOL],
        &[EXCHANGES, list("pool_type_ids", Kind::Number, "type_id")],
    ),
    stream(
        b"0212",
        "entities/fee-terms",
        &[POOL, BLOCK, TX, LOG],
        &[POOLS, EXCHANGES],
    ),
    stream(
        b"0301",
        "reserves/reserves",
        &[POOL, BLOCK],
        &[
            POOLS,
            Param {
                asks: Asks::Details(&["current_tick", "current_sqrt_price", "current_bin"]),
                ..one("include_details", Kind::Flag, "")
            },
        ],
    ),
    stream(
        b"0302",
        "prices/crypto/prices-spot-prints",
        &[POOL, BLOCK, TX, LOG],
        &[BASE, QUOTE],
    ),
    stream(
        b"0303",
        "swaps/swap-fees",
        &[POOL, BLOCK, TX, LOG],
        &[POOLS, list("token_in_addresses", ADDRESS, "token_in")],
    ),
    stream(
        b"0304",
        "transfers/token-transfers",
        &[BLOCK, TX],
        &[
            FROM,
            TO,
            list("token_addresses", ADDRESS, "token_address"),
            list(
                "transfer_types",
                Kind::Coded(&[("native", 0), ("erc20", 1), ("erc721", 2), ("erc1155", 3)]),
                "transfer_type",
            ),
        ],
    ),
    stream(
        b"0305",
        "flash-loans/flash-loan-prints",
        &[BLOCK, TX, LOG],
        &[
            POOLS,
            list("flash_loan_source_addresses", ADDRESS, "flash_loan_source"),
            list("token_addresses", ADDRESS, "token"),
        ],
    ),
    stream(
        b"0404",
        "prices/crypto/prices-spot-ohlc",
        &[POOL, BUCKET[0], BUCKET[1], PAIR[0], PAIR[1]],
        &[BASE, QUOTE, INTERVAL],
    ),
    stream(
        b"0405",
        "prices/crypto/prices-spot-vwap",
        &[POOL, BUCKET[0], BUCKET[1], PAIR[0], PAIR[1]],
        &[BASE, QUOTE],
    ),
    stream(
        b"0411",
        "yields/yields",
        &[
            POOL,
            BLOCK,
            TX,
            LOG,
            ("target_period_days", KeyKind::Number),
        ],
        &[
            one("target_period_days", Kind::Number, "target_period_days"),
            POOLS,
        ],
    ),
    stream(
        b"0605",
        "prices/fiat/prices-spot-vwap-fiat",
        &[("token_address", KeyKind::Text), BUCKET[0], BUCKET[1]],
        &[
            Param {
                is_required: true,
                ..one("base_token_address", ADDRESS, "token_address")
            },
            Param {
                is_required: true,
                asks: Asks::Only,
                ..one("quote_currency_code", Kind::Word(&["USD"]), "")
            },
        ],
    ),
    stream(b"0701", "tvl/tvl-usd", &[POOL, BLOCK, TX, LOG], &[POOLS]),
    stream(b"0801", "arbitrage/arb-paths", &[PATH], &[PATHS]),
    stream(
        b"0802",
        "arbitrage/arb-path-status",
        &[PATH, BLOCK, TX, LOG],
        &[PATHS],
    ),
    stream(
        b"0901",
        "arbitrage/arb-opportunities",
        &[PATH, BLOCK, TX, LOG],
        &[PATHS],
    ),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_dataset_is_found_by_its_id() {
        for stream in Stream::ALL {
            let found = Stream::of_id(stream.id).unwrap();
            assert_eq!(found.name, stream.name);
        }
        assert!(Stream::of_id(DatasetId::of_digits(*b"0104")).is_none());
    }

    #[test]
    fn a_market_has_two_sides_next_to_each_other() {
        for stream in Stream::ALL {
            let sides = stream.params.iter().map(|param| param.asks);
            let sides: Vec<_> = sides.collect();
            let base = sides.iter().position(|asks| *asks == Asks::Base);
            let quote = sides.iter().position(|asks| *asks == Asks::Quote);
            assert_eq!(base.map(|at| at + 1), quote, "{}", stream.id);
        }
    }

    /// The datasets as the contract lists them: so that a slip in the table above is seen.
    #[test]
    fn what_can_be_asked_of_each_dataset() {
        let of = |param: &Param| {
            let star = if param.is_required { "*" } else { "" };
            let brackets = if param.shape == Shape::List { "[]" } else { "" };
            format!("{}{brackets}{star}", param.name)
        };
        let lines = Stream::ALL.iter().map(|stream| {
            let params: Vec<_> = stream.params.iter().map(of).collect();
            let line = format!("{} {}: {}", stream.id, stream.name, params.join(", "));
            line.trim_end().to_owned() + "\n"
        });
        insta::assert_snapshot!(lines.collect::<String>(), @r"
        0101 primitives/blocks:
        0102 primitives/transactions: from_addresses[], to_addresses[], status_success
        0103 primitives/logs: contract_addresses[], topic_zeros[]
        0111 primitives/internal-transactions: from_addresses[], to_addresses[], call_types[]
        0121 primitives/contracts: contract_addresses[]
        0122 primitives/function-results: contract_addresses[], signature_hashes[]
        0201 entities/tokens-erc20: address
        0202 entities/tokens-erc721: contract_address
        0203 entities/tokens-erc1155: contract_address
        0211 entities/pools: exchange_ids[], pool_type_ids[]
        0212 entities/fee-terms: pool_uids[], exchange_ids[]
        0301 reserves/reserves: pool_uids[], include_details
        0302 prices/crypto/prices-spot-prints: base_token_address*, quote_token_address*
        0303 swaps/swap-fees: pool_uids[], token_in_addresses[]
        0304 transfers/token-transfers: from_addresses[], to_addresses[], token_addresses[], transfer_types[]
        0305 flash-loans/flash-loan-prints: pool_uids[], flash_loan_source_addresses[], token_addresses[]
        0404 prices/crypto/prices-spot-ohlc: base_token_address*, quote_token_address*, aggregation_interval
        0405 prices/crypto/prices-spot-vwap: base_token_address*, quote_token_address*
        0411 yields/yields: target_period_days, pool_uids[]
        0605 prices/fiat/prices-spot-vwap-fiat: base_token_address*, quote_currency_code*
        0701 tvl/tvl-usd: pool_uids[]
        0801 arbitrage/arb-paths: path_ids[]
        0802 arbitrage/arb-path-status: path_ids[]
        0901 arbitrage/arb-opportunities: path_ids[]
        ");
    }
}
