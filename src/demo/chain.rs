//! A made-up chain: blocks, and what every dataset of BlockDB tells of them.

use jiff::Timestamp;
use serde_json::value::RawValue;
use serde_json::{Value, json};

use super::{hex, random_bytes, random_unit};
use crate::topic::{ChainId, Dataset, DatasetId, Topic};

/// A chain that grows.
pub(super) struct Chain {
    height: u64,
    head: String,
    /// What one ether costs, in dollars.
    price: f64,
}

/// What is published of a block: for each record the id of its dataset.
pub(super) type Told = Vec<(&'static [u8; 4], Box<RawValue>)>;

/// Every so many blocks one is replaced.
const REORGANISED: u64 = 5;

const WETH: &str = "c02aaa39b223fe8d0a0e5c4f27ead9083c756cc2";
const USDC: &str = "a0b86991c6218b36c1d19d4a2e9eb0ce3606eb48";
const VAULT: &str = "ba12222222228d8ba445958a75a0704d566bf2c8";
const POOL: &str = "88e6a0c2ddd26feeb64f039a2c41296fcb3f5640000000000000000000000000";
const PATH: &str = "5f1d6a7e0c2b4938a1d0e4f7b6c5d8e9f0a1b2c3d4e5f60718293a4b5c6d7e8f";
const TRANSFER: &str = "ddf252ad1be2c89b69c2b068fc378daa952ba7f163c4a11628f55a4df523b3ef";

/// The channel of a dataset of this chain.
pub(super) fn topic(id: &[u8; 4]) -> Topic {
    Topic::Dataset(Dataset {
        chain: ChainId::of_number(1).expect("it is not zero"),
        id: DatasetId::of_digits(*id),
    })
}

impl Chain {
    pub(super) fn new() -> Self {
        Chain {
            height: 19_001_233,
            head: hex(&random_bytes()),
            price: 3_150.0,
        }
    }

    /// What is told of the next block; now and then another one takes its place at once.
    pub(super) fn next(&mut self) -> Told {
        self.height += 1;
        self.price *= 1.0 + (random_unit() - 0.5) / 100.0;
        let parent = std::mem::replace(&mut self.head, hex(&random_bytes()));
        let mut told = vec![(b"0101", self.block(&parent))];
        told.extend(self.primitives());
        told.extend(self.entities());
        told.extend(self.trades());
        told.extend(self.prices());
        told.extend(self.arbitrage());
        if self.height.is_multiple_of(REORGANISED) {
            self.head = hex(&random_bytes());
            let block = self.block(&parent);
            let again = format!(r#"{{"is_reorg":true,"data":{block}}}"#);
            let again = RawValue::from_string(again).expect("it is put together from JSON");
            told.push((b"0101", again));
        }
        told
    }

    fn block(&self, parent: &str) -> Box<RawValue> {
        object([
            ("block_number", json!(self.height)),
            ("block_hash", json!(self.head)),
            ("parent_block_hash", json!(parent)),
            ("receipt_root", json!(hex(&random_bytes()))),
            ("miner", json!(address())),
            ("gas_limit", json!(30_000_000)),
            ("extra_data", json!("746964696e6773")),
            ("size", json!(100_000 + amount(50_000))),
            ("timestamp_utc", now()),
            ("_created_at", now()),
        ])
    }

    fn primitives(&self) -> Told {
        let contract = contract_id(&address(), self.height);
        let mut told = vec![
            (
                b"0111",
                self.at([
                    ("tx_index", json!(4)),
                    ("trace_address", json!("0.1")),
                    ("call_type", json!("CALL")),
                    ("from_address", json!(VAULT)),
                    ("to_address", json!(address())),
                    ("value_wei", json!("0")),
                    ("gas", json!("90000")),
                    ("gas_used", json!("41200")),
                    ("input", json!("a9059cbb")),
                    ("output", Value::Null),
                    ("error", Value::Null),
                    ("tx_success", json!(true)),
                ]),
            ),
            (
                b"0121",
                self.at([
                    ("contract_id", json!(contract)),
                    ("contract_address", json!(&contract[..40])),
                    ("tx_index", json!(1)),
                    ("trace_address", json!("")),
                    ("creator_address", json!(address())),
                    ("creation_call_type", json!("CREATE")),
                ]),
            ),
            (
                b"0122",
                self.at([
                    ("contract_id", json!(contract_id(WETH, 4_719_568))),
                    ("call_data", json!("18160ddd")),
                    ("signature_hash", json!("18160ddd")),
                    ("result", json!(hex(&random_bytes()))),
                    ("timestamp_utc", now()),
                ]),
            ),
        ];
        for tx in 0..2 {
            told.push((
                b"0102",
                self.at([
                    ("tx_hash", json!(hex(&random_bytes()))),
                    ("tx_index", json!(tx)),
                    ("from_address", json!(address())),
                    ("to_address", json!(WETH)),
                    ("created_contract_address", Value::Null),
                    ("gas_used", json!("51204")),
                    (
                        "effective_gas_price_wei",
                        json!(amount(40_000_000_000).to_string()),
                    ),
                    ("status_success", json!(tx == 0)),
                    ("root", Value::Null),
                    ("tx_type", json!(2)),
                    ("trace_failed", json!(false)),
                    ("value_wei", json!("0")),
                    ("input", json!("a9059cbb")),
                    ("nonce", json!(amount(1_000))),
                    ("gas_limit", json!("90000")),
                ]),
            ));
            told.push((
                b"0103",
                self.at([
                    ("tx_index", json!(tx)),
                    ("log_index", json!(tx * 3)),
                    ("contract_address", json!([WETH, USDC][tx])),
                    ("topic_zero", json!(TRANSFER)),
                    ("data_topics", json!([word(&address()), word(&address())])),
                    ("data", json!(format!("{:064x}", amount(1_000_000_000)))),
                ]),
            ));
        }
        told
    }

    fn entities(&self) -> Told {
        let token = |fields: Vec<(&'static str, Value)>| {
            let contract = contract_id(&address(), self.height);
            let mut all = vec![
                ("contract_id", json!(contract)),
                ("contract_address", json!(&contract[..40])),
                ("tx_index", json!(2)),
                ("name", json!("Demo")),
                ("symbol", json!("DEMO")),
            ];
            all.extend(fields);
            self.at(all)
        };
        vec![
            (b"0201", token(vec![("decimals", json!(18))])),
            (
                b"0202",
                token(vec![
                    ("token_uri", Value::Null),
                    ("supports_metadata", json!(true)),
                    ("supports_enumerable", json!(false)),
                ]),
            ),
            (
                b"0203",
                token(vec![
                    ("decimals", Value::Null),
                    ("uri", json!("https://tokens.example/{id}")),
                    ("supports_metadata_uri", json!(true)),
                ]),
            ),
            (
                b"0211",
                self.of_pool(
                    &hex(&random_bytes()),
                    [
                        ("type_id", json!(2)),
                        ("factory", json!("1f98431c8ad98523631ae4a59f267346ea31f984")),
                        ("tokens", json!([WETH, USDC])),
                        ("tick_spacing", json!(10)),
                    ],
                ),
            ),
            (
                b"0212",
                self.of_pool(
                    POOL,
                    [
                        ("type_id", json!(2)),
                        ("total_fee", json!("0.000500000000000000")),
                        ("user_fee", json!("0.000500000000000000")),
                        ("protocol_fee", json!("0.000000000000000000")),
                        ("extra_fee", Value::Null),
                    ],
                ),
            ),
        ]
    }

    fn trades(&self) -> Told {
        let ether = (1.0 + 9.0 * random_unit()) * 1e18;
        let dollars = ether * self.price / 1e12;
        let swap = || {
            vec![
                ("type_id", json!(2)),
                ("token_in", json!(WETH)),
                ("token_out", json!(USDC)),
                ("amount_in", decimal(ether)),
                ("amount_out", decimal(dollars)),
            ]
        };
        let mut print = swap();
        print.push(("exec_price", self.dollars()));
        let mut fees = swap();
        fees.extend([
            ("fee_token", json!(WETH)),
            ("fee_amount_total", decimal(ether * 0.0005)),
            ("fee_amount_user", decimal(ether * 0.0005)),
            ("fee_amount_protocol", json!("0")),
            ("fee_amount_extra", Value::Null),
        ]);
        vec![
            (
                b"0301",
                self.at([
                    ("pool_uid", json!(POOL)),
                    ("exchange_id", json!(1)),
                    (
                        "reserves",
                        json!([decimal(ether * 1e4), decimal(dollars * 1e4)]),
                    ),
                    ("current_tick", json!(201_130)),
                    (
                        "current_sqrt_price",
                        json!("1461446703485210103287273052203988822378"),
                    ),
                    ("current_bin", Value::Null),
                ]),
            ),
            (b"0302", self.of_pool(POOL, print)),
            (b"0303", self.of_pool(POOL, fees)),
            (
                b"0304",
                self.at([
                    ("tx_index", json!(0)),
                    ("log_index", json!(0)),
                    ("trace_address", Value::Null),
                    ("from_address", json!(address())),
                    ("to_address", json!(address())),
                    ("token_address", json!(USDC)),
                    ("amount_raw", decimal(dollars)),
                    ("amount_adj", json!(format!("{:.6}", dollars / 1e6))),
                    ("token_id", Value::Null),
                    ("transfer_type", json!(1)),
                ]),
            ),
            (
                b"0304",
                self.at([
                    ("tx_index", json!(1)),
                    ("log_index", Value::Null),
                    ("trace_address", json!("0")),
                    ("from_address", json!(address())),
                    ("to_address", json!(address())),
                    ("token_address", Value::Null),
                    ("amount_raw", decimal(ether)),
                    ("amount_adj", json!(format!("{:.18}", ether / 1e18))),
                    ("token_id", Value::Null),
                    ("transfer_type", json!(0)),
                ]),
            ),
            (
                b"0305",
                self.of_pool(
                    POOL,
                    [
                        ("type_id", json!(2)),
                        ("flash_loan_source", json!(VAULT)),
                        ("token", json!(USDC)),
                        ("amount_borrowed", decimal(dollars * 100.0)),
                        ("amount_repaid", decimal(dollars * 100.0)),
                        ("fee_amount", json!("0")),
                    ],
                ),
            ),
        ]
    }

    fn prices(&self) -> Told {
        let bucket = || {
            vec![
                ("pool_uid", json!(POOL)),
                ("exchange_id", json!(1)),
                ("type_id", json!(2)),
                ("bucket_start", minute(0)),
                ("bucket_end", minute(1)),
                ("bucket_seconds", json!(60)),
                ("token_in", json!(WETH)),
                ("token_out", json!(USDC)),
            ]
        };
        let mut candle = bucket();
        candle.extend(["open", "high", "low", "close"].map(|name| (name, self.dollars())));
        candle.extend([
            ("volume_in_raw", json!("12000000000000000000")),
            ("volume_in", json!("12.000000000000000000")),
            ("volume_out_raw", decimal(self.price * 12e6)),
            ("volume_out", json!(format!("{:.6}", self.price * 12.0))),
            ("trades_count", json!(7)),
        ]);
        let mut average = bucket();
        average.extend([
            ("price_vwap", self.dollars()),
            ("total_volume_in_raw", json!("12000000000000000000")),
            ("total_volume_in", json!("12.000000000000000000")),
            ("total_volume_out_raw", decimal(self.price * 12e6)),
            (
                "total_volume_out",
                json!(format!("{:.6}", self.price * 12.0)),
            ),
            ("trade_count", json!(7)),
        ]);
        vec![
            (b"0404", object(candle)),
            (b"0405", object(average)),
            (
                b"0411",
                self.of_pool(
                    POOL,
                    [
                        ("type_id", json!(2)),
                        ("target_period_days", json!(30)),
                        ("observed_period_days", json!(30)),
                        ("is_full_period", json!(true)),
                        ("is_extrapolated", json!(false)),
                        ("extrapolation_factor", json!("1")),
                        ("tokens", json!([WETH, USDC])),
                        ("roi_predicted", json!(["0.0123", "0.0119"])),
                    ],
                ),
            ),
            (
                b"0605",
                object([
                    ("first_block_number", json!(self.height)),
                    ("last_block_number", json!(self.height)),
                    ("bucket_start", minute(0)),
                    ("bucket_seconds", json!(60)),
                    ("token_address", json!(WETH)),
                    ("price_usd", self.dollars()),
                    (
                        "total_notional_usd",
                        json!(format!("{:.2}", self.price * 12.0)),
                    ),
                    ("hops", json!(1)),
                    ("sources_count", json!(3)),
                    ("_created_at", now()),
                ]),
            ),
            (
                b"0701",
                self.of_pool(
                    POOL,
                    [
                        ("type_id", json!(2)),
                        (
                            "token_amounts",
                            json!(["1250.000000000000000000", "3950000.000000"]),
                        ),
                        (
                            "tvl_usd",
                            json!(format!("{:.2}", 3_950_000.0 + 1250.0 * self.price)),
                        ),
                    ],
                ),
            ),
        ]
    }

    fn arbitrage(&self) -> Told {
        let event = |fields: Vec<(&'static str, Value)>| {
            let mut all = vec![
                ("path_id", json!(PATH)),
                ("tx_index", json!(1)),
                ("log_index", json!(2)),
            ];
            all.extend(fields);
            self.at(all)
        };
        let cycle = || json!([WETH, USDC, WETH]);
        vec![
            (
                b"0801",
                event(vec![("pool_uids", json!([POOL])), ("token_cycle", cycle())]),
            ),
            (
                b"0802",
                event(vec![
                    ("is_active", json!(self.height.is_multiple_of(2))),
                    ("trigger_pool_uid", json!(POOL)),
                ]),
            ),
            (
                b"0901",
                event(vec![
                    ("is_reversed", json!(false)),
                    ("pool_uids", json!([POOL])),
                    ("token_path", cycle()),
                    (
                        "amounts",
                        json!(["1000000000000000000", "3150000000", "1002000000000000000"]),
                    ),
                    ("profit_in_tokens", json!("0.002000000000000000")),
                    ("token_vwap_usd", self.dollars()),
                    ("profit_in_usd", json!(format!("{:.2}", self.price * 0.002))),
                ]),
            ),
        ]
    }

    /// A record of this block.
    fn at(&self, fields: impl IntoIterator<Item = (&'static str, Value)>) -> Box<RawValue> {
        let place = [("block_number", json!(self.height)), ("block_time", now())];
        let lineage = [("_created_at", now()), ("_updated_at", now())];
        object(place.into_iter().chain(fields).chain(lineage))
    }

    /// Something that happened to a pool in it.
    fn of_pool(
        &self,
        pool: &str,
        fields: impl IntoIterator<Item = (&'static str, Value)>,
    ) -> Box<RawValue> {
        let place = [
            ("pool_uid", json!(pool)),
            ("exchange_id", json!(1)),
            ("tx_index", json!(0)),
            ("log_index", json!(1)),
        ];
        self.at(place.into_iter().chain(fields))
    }

    fn dollars(&self) -> Value {
        json!(format!("{:.18}", self.price))
    }
}

/// An object whose keys stay in this order.
fn object(fields: impl IntoIterator<Item = (&'static str, Value)>) -> Box<RawValue> {
    let fields = fields.into_iter();
    let fields: Vec<_> = fields
        .map(|(name, value)| format!("{name:?}:{value}"))
        .collect();
    let json = format!("{{{}}}", fields.join(","));
    RawValue::from_string(json).expect("it is put together from JSON")
}

/// Its address, and the block and the transaction that made it.
fn contract_id(address: &str, block: u64) -> String {
    format!("{address}{block:08x}0001")
}

fn address() -> String {
    hex(&random_bytes()[..20])
}

/// An address as a topic of a log.
fn word(address: &str) -> String {
    format!("{address:0>64}")
}

fn amount(below: u64) -> u64 {
    (random_unit() * below as f64) as u64
}

/// A big whole number, as records have them.
fn decimal(number: f64) -> Value {
    json!((number as u128).to_string())
}

fn now() -> Value {
    json!(format!("{:.3}", Timestamp::now()))
}

/// The beginning of this minute, or of a later one.
fn minute(later: i64) -> Value {
    let seconds = Timestamp::now().as_second();
    let begin = Timestamp::from_second(seconds - seconds.rem_euclid(60) + later * 60);
    json!(begin.expect("it is now, or almost").to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::{Event, Stream};

    #[test]
    fn every_dataset_is_told_of_and_blocks_are_replaced() {
        let mut chain = Chain::new();
        let mut replaced = 0;
        for _ in 0..REORGANISED {
            let told = chain.next();
            for stream in Stream::ALL {
                let records = told
                    .iter()
                    .filter(|(id, _)| **id == stream.id.as_str().as_bytes());
                assert!(records.count() > 0, "{}", stream.id);
            }
            for (id, body) in &told {
                match Event::decode(&topic(id), body.get().as_bytes()).unwrap() {
                    Event::Dataset(record) => replaced += usize::from(record.is_reorg),
                    other => panic!("{other:?}"),
                }
            }
        }
        assert_eq!(replaced, 1);
    }
}
