use std::collections::{BTreeSet, HashMap};

use insta::assert_snapshot;
use proptest::prelude::*;
use serde_json::json;

use super::*;
use uuid::Uuid;

use crate::filter::{Filter, Term};

const ADDRESS: &str = "a0b86991c6218b36c1d19d4a2e9eb0ce3606eb48";

fn config() -> BlockDbConfig {
    BlockDbConfig {
        message_bytes: 262_144,
        enabled: true,
        chains: [1, 8453]
            .map(|chain| ChainId::of_number(chain).unwrap())
            .into(),
        plans: ["free", "growth", "scale"].map(str::to_owned).into(),
        required_plans: vec![RequiredPlan {
            dataset: DatasetId::of_digits(*b"0901"),
            plan: "growth".to_owned(),
        }],
        aliases: vec![Alias {
            id: DatasetId::of_digits(*b"0104"),
            means: DatasetId::of_digits(*b"0121"),
        }],
        ping_interval: Duration::from_secs(20),
        pong_timeout: Duration::from_secs(60),
        idle_timeout: Duration::from_secs(60),
        messages_per_second: NonZeroU32::MIN,
        docs_url: Url::parse("https://docs.example/errors").unwrap(),
    }
}

fn request(message: Value) -> Request {
    let Value::Object(mut message) = message else {
        panic!("a request is an object");
    };
    Request {
        chain_id: message.remove("chain_id"),
        dataset_id: message.remove("dataset_id"),
        params: message.remove("params"),
        others: message.into_iter().map(|(name, _)| name).collect(),
    }
}

fn asked_on(plan: Option<&str>, message: Value) -> Result<(Target, Question), Refusal> {
    let plans = AccountPlans {
        blockdb: plan.map(str::to_owned),
        ..AccountPlans::default()
    };
    BlockDb { config: config() }.question(&request(message), &plans)
}

fn asked(dataset: &str, params: Value) -> Question {
    let message = json!({ "chain_id": 1, "dataset_id": dataset, "params": params });
    let (_, question) = asked_on(None, message).unwrap();
    question
}

fn refused_message(message: Value) -> String {
    let refusal = asked_on(None, message).unwrap_err();
    let object = refusal.object(None, &config().docs_url);
    let object: Value = serde_json::from_str(&object).unwrap();
    format!("{} {}", object["code"].as_str().unwrap(), object["details"])
}

fn refused(dataset: &str, params: Value) -> String {
    refused_message(json!({ "chain_id": 1, "dataset_id": dataset, "params": params }))
}

#[test]
fn the_error_object_has_its_keys_in_the_order_of_the_sample() {
    let refusal = asked_on(
        None,
        json!({ "chain_id": 1, "dataset_id": "0103", "params": { "topic_zeros": ["0xdd"] } }),
    );
    let refusal = refusal.unwrap_err();
    assert_snapshot!(refusal.object(None, &config().docs_url), @r#"{"code":"BAD_REQUEST","message":"Parts of the request are missing or wrong.","hint":"See details.invalid_parameters. Addresses and hashes are hex without 0x, dataset_id is a string of four digits.","severity":"error","retryable":false,"details":{"invalid_parameters":[{"name":"params.topic_zeros[0]","reason":"invalid_format"}]},"docs_url":"https://docs.example/errors"}"#);
    assert_snapshot!(Refusal::Unauthorized.object(Some(401), &config().docs_url), @r#"{"code":"UNAUTHORIZED","http_status":401,"message":"There is no API key, or not one that is good.","hint":"Send Authorization: Bearer <key>, or ?api_key=<key>.","severity":"error","retryable":false,"docs_url":"https://docs.example/errors"}"#);
    let again_in = Duration::from_millis(1001);
    assert_snapshot!(Refusal::TooFast { again_in }.object(None, &config().docs_url), @r#"{"code":"RATE_LIMIT_EXCEEDED","message":"Messages come faster than they may.","hint":"Wait for details.retry_after_seconds.","severity":"warning","retryable":true,"details":{"retry_after_seconds":2},"docs_url":"https://docs.example/errors"}"#);
    assert_snapshot!(Refusal::TooMany(7).object(None, &config().docs_url), @r#"{"code":"RATE_LIMIT_EXCEEDED","message":"A connection may have 7 subscriptions at a time.","hint":"Unsubscribe from something, or open another connection.","severity":"error","retryable":false,"details":{"subscriptions":7},"docs_url":"https://docs.example/errors"}"#);
    assert_snapshot!(Refusal::NotSubscribed.object(None, &config().docs_url), @r#"{"code":"NOT_FOUND","message":"There is no such subscription on this connection.","hint":"Subscriptions end with their connection.","severity":"warning","retryable":false,"details":{"invalid_parameters":[{"name":"dataset_id","reason":"not_subscribed"}]},"docs_url":"https://docs.example/errors"}"#);
    assert_snapshot!(Refusal::Internal(Uuid::nil()).object(None, &config().docs_url), @r#"{"code":"INTERNAL_SERVER_ERROR","message":"This cannot be done now.","hint":"Try again in a while.","severity":"critical","retryable":true,"details":{"incident_id":"00000000-0000-0000-0000-000000000000"},"docs_url":"https://docs.example/errors"}"#);
    assert_snapshot!(Refusal::Scope.object(Some(403), &config().docs_url), @r#"{"code":"FORBIDDEN","http_status":403,"message":"This API key may not read.","hint":"Use a key with the scope read.","severity":"error","retryable":false,"docs_url":"https://docs.example/errors"}"#);
}

#[test]
fn everything_that_is_wrong_is_listed() {
    assert_snapshot!(refused_message(json!({})), @r#"BAD_REQUEST {"invalid_parameters":[{"name":"chain_id","reason":"missing"},{"name":"dataset_id","reason":"missing"}]}"#);
    assert_snapshot!(refused_message(json!({ "chain_id": "1", "dataset_id": 101, "params": [], "param": {} })), @r#"BAD_REQUEST {"invalid_parameters":[{"name":"param","reason":"unknown"},{"name":"chain_id","reason":"invalid_type"},{"name":"dataset_id","reason":"invalid_type"},{"name":"params","reason":"invalid_type"}]}"#);
    assert_snapshot!(refused_message(json!({ "chain_id": 5, "dataset_id": "0103", "params": {} })), @r#"BAD_REQUEST {"invalid_parameters":[{"allowed":[1,8453],"name":"chain_id","reason":"unsupported"}]}"#);
    assert_snapshot!(refused_message(json!({ "chain_id": 1, "dataset_id": "101" })), @r#"BAD_REQUEST {"invalid_parameters":[{"allowed":["0101","0102","0103","0111","0121","0122","0201","0202","0203","0211","0212","0301","0302","0303","0304","0305","0404","0405","0411","0605","0701","0801","0802","0901"],"name":"dataset_id","reason":"unsupported"}]}"#);
    assert_snapshot!(refused("0103", json!({ "contract_addresses": [ADDRESS, "0xab", 7, null], "topic_zero": [] })), @r#"BAD_REQUEST {"invalid_parameters":[{"name":"params.topic_zero","reason":"unknown"},{"name":"params.contract_addresses[1]","reason":"invalid_format"},{"name":"params.contract_addresses[2]","reason":"invalid_type"},{"name":"params.contract_addresses[3]","reason":"invalid_type"}]}"#);
    assert_snapshot!(refused("0102", json!({ "from_addresses": ADDRESS, "status_success": "true" })), @r#"BAD_REQUEST {"invalid_parameters":[{"name":"params.from_addresses","reason":"invalid_type"},{"name":"params.status_success","reason":"invalid_type"}]}"#);
    assert_snapshot!(refused("0304", json!({ "transfer_types": ["erc20", "ERC20", 1] })), @r#"BAD_REQUEST {"invalid_parameters":[{"allowed":["native","erc20","erc721","erc1155"],"name":"params.transfer_types[1]","reason":"unsupported"},{"name":"params.transfer_types[2]","reason":"invalid_type"}]}"#);
    assert_snapshot!(refused("0211", json!({ "exchange_ids": [1, -1, 1.5, "1"], "pool_type_ids": vec![0; 1001] })), @r#"BAD_REQUEST {"invalid_parameters":[{"name":"params.exchange_ids[1]","reason":"invalid_format"},{"name":"params.exchange_ids[2]","reason":"invalid_format"},{"name":"params.exchange_ids[3]","reason":"invalid_type"},{"name":"params.pool_type_ids","reason":"too_many_items"}]}"#);
    assert_snapshot!(refused("0302", json!({})), @r#"BAD_REQUEST {"invalid_parameters":[{"name":"params.base_token_address","reason":"missing"},{"name":"params.quote_token_address","reason":"missing"}]}"#);
    assert_snapshot!(refused("0404", json!({ "base_token_address": ADDRESS, "quote_token_address": ADDRESS.to_uppercase(), "aggregation_interval": "2m" })), @r#"BAD_REQUEST {"invalid_parameters":[{"name":"params.quote_token_address","reason":"duplicate"},{"allowed":["1m","5m","1h","1d"],"name":"params.aggregation_interval","reason":"unsupported"}]}"#);
    assert_snapshot!(refused("0605", json!({ "base_token_address": ADDRESS, "quote_currency_code": "EUR" })), @r#"BAD_REQUEST {"invalid_parameters":[{"allowed":["USD"],"name":"params.quote_currency_code","reason":"unsupported"}]}"#);
    assert_snapshot!(refused("0101", json!({ "miner": ADDRESS })), @r#"BAD_REQUEST {"invalid_parameters":[{"name":"params.miner","reason":"unknown"}]}"#);
}

#[test]
fn an_answer_does_not_grow_with_what_is_wrong_for_ever() {
    let params: Map<String, Value> = (0..3000).map(|n| (format!("p{n}"), Value::Null)).collect();
    let refusal = refused("0101", Value::Object(params));
    assert_eq!(refusal.matches("unknown").count(), 1000);
    assert!(
        refusal.ends_with(r#""more":2000}"#),
        "{}",
        &refusal[refusal.len() - 40..]
    );
}

#[test]
fn no_values_and_null_are_no_filter_and_case_does_not_matter() {
    for params in [
        json!({}),
        json!(null),
        json!({ "contract_addresses": [], "topic_zeros": null }),
    ] {
        assert!(asked("0103", params).filter.is_all());
    }
    let upper = asked(
        "0103",
        json!({ "contract_addresses": [ADDRESS.to_uppercase(), ADDRESS] }),
    );
    let lower = asked("0103", json!({ "contract_addresses": [ADDRESS] }));
    assert_eq!(upper.filter, lower.filter);
}

#[test]
fn candles_are_of_a_minute_unless_it_is_said_otherwise() {
    let of = |interval: Value| {
        let other = "b".repeat(40);
        asked("0404", json!({ "base_token_address": ADDRESS, "quote_token_address": other, "aggregation_interval": interval })).filter
    };
    assert_eq!(of(json!(null)), of(json!("1m")));
    assert_ne!(of(json!(null)), of(json!("1h")));
}

#[test]
fn details_are_another_form_and_the_same_filter() {
    let brief = asked("0301", json!({ "include_details": false }));
    let full = asked("0301", json!({ "include_details": true }));
    assert_eq!(brief.filter, full.filter);
    assert_ne!(brief.form.name, full.form.name);
    assert_eq!(brief.form.name, asked("0301", json!({})).form.name);
}

#[test]
fn an_alias_asks_the_same_under_another_name() {
    let message = |id: &str| json!({ "chain_id": 1, "dataset_id": id });
    let (alias, of_alias) = asked_on(None, message("0104")).unwrap();
    let (real, of_real) = asked_on(None, message("0121")).unwrap();
    assert_eq!(
        (alias.name(), real.name()),
        ("1_0104".to_owned(), "1_0121".to_owned())
    );
    assert_eq!(of_alias.topic, of_real.topic);
}

#[test]
fn a_plan_and_all_above_it_have_what_it_has() {
    let on = |plan| asked_on(plan, json!({ "chain_id": 1, "dataset_id": "0901" })).map(drop);
    let refused = Err(Refusal::Plan("growth".to_owned()));
    for plan in [None, Some("free"), Some("gone")] {
        assert_eq!(on(plan), refused, "{plan:?}");
    }
    for plan in [Some("growth"), Some("scale")] {
        assert_eq!(on(plan), Ok(()), "{plan:?}");
    }
    assert!(asked_on(None, json!({ "chain_id": 1, "dataset_id": "0802" })).is_ok());
}

#[test]
fn settings_that_contradict_each_other_are_refused() {
    let wrong = |change: fn(&mut BlockDbConfig)| {
        let mut config = config();
        change(&mut config);
        let (key, why) = config.check().unwrap_err();
        format!("{key}: {why}")
    };
    assert_eq!(config().check(), Ok(()));
    assert_snapshot!(wrong(|config| config.chains.clear()), @"blockdb.chains: expected one chain at least");
    assert_snapshot!(wrong(|config| config.plans.clear()), @"blockdb.plans: expected one plan at least: that of accounts that have none");
    assert_snapshot!(wrong(|config| config.plans.truncate(1)), @"blockdb.required_plans[0].plan: expected one of blockdb.plans");
    assert_snapshot!(wrong(|config| config.aliases[0].id = DatasetId::of_digits(*b"0701")), @"blockdb.aliases[0].id: 0701 is a dataset: an alias cannot take its place");
    assert_snapshot!(wrong(|config| config.aliases[0].means = DatasetId::of_digits(*b"0105")), @"blockdb.aliases[0].means: there is no dataset 0105");
    assert_snapshot!(wrong(|config| config.aliases.push(config.aliases[0].clone())), @"blockdb.aliases[1].id: 0104 is an alias already");
    assert_snapshot!(wrong(|config| config.required_plans[0].dataset = DatasetId::of_digits(*b"0902")), @"blockdb.required_plans[0].dataset: there is no dataset 0902");
}

/// Random choices, which proptest makes simpler when something is wrong.
struct Choices<'a>(std::slice::Iter<'a, u8>);

impl Choices<'_> {
    fn below(&mut self, end: u8) -> u8 {
        self.0.next().copied().unwrap_or_default() % end
    }

    /// One of few values, in either case: what is asked for is often what is told.
    fn hex(&mut self, bytes: usize) -> Value {
        let digit = ["a", "b", "c", "D", "A"][usize::from(self.below(5))];
        digit.repeat(2 * bytes).into()
    }

    fn number(&mut self) -> Value {
        self.below(4).into()
    }

    fn word(&mut self, words: &[&str]) -> Value {
        words[usize::from(self.below(words.len() as u8))].into()
    }
}

const TYPES: [&str; 4] = ["native", "erc20", "erc721", "erc1155"];
const INTERVALS: [(&str, u64); 4] = [("1m", 60), ("5m", 300), ("1h", 3600), ("1d", 86400)];
const CALLS: [&str; 3] = ["CALL", "CREATE", "STATICCALL"];

/// What filters look at, and what a record must have, of all datasets together.
fn record(choices: &mut Choices<'_>) -> Value {
    let mut record = json!({
        "block_number": choices.number(), "tx_index": 0, "log_index": 0, "trace_address": "0.1", "call_data": "",
        "bucket_start": "2025-11-11T18:42:00Z",
        "bucket_seconds": INTERVALS[usize::from(choices.below(4))].1,
        "contract_id": format!("{}000000010002", choices.hex(20).as_str().unwrap()),
        "signature_hash": choices.hex(4), "pool_uid": choices.hex(32), "path_id": choices.hex(32),
        "exchange_id": choices.number(), "type_id": choices.number(), "target_period_days": choices.number(),
        "token_in": choices.hex(20), "token_out": choices.hex(20), "token_address": choices.hex(20),
        "transfer_type": choices.below(5),
    });
    for field in [
        "from_address",
        "to_address",
        "contract_address",
        "flash_loan_source",
        "token",
    ] {
        record[field] = choices.hex(20);
    }
    record["topic_zero"] = choices.hex(32);
    record["call_type"] = choices.word(&CALLS);
    record["status_success"] = (choices.below(2) == 1).into();
    // Of those that may be: a contract is created, an event is anonymous.
    for field in [
        "to_address",
        "topic_zero",
        "status_success",
        "contract_address",
        "token",
    ] {
        match choices.below(5) {
            0 => record[field] = Value::Null,
            1 => drop(record.as_object_mut().unwrap().remove(field)),
            _ => {}
        }
    }
    record
}

/// Parameters of a dataset, as its page names them.
fn params(dataset: &str, choices: &mut Choices<'_>) -> Value {
    let mut params = json!({});
    let lists: &[(&str, &str)] = match dataset {
        "0102" => &[("from_addresses", "address"), ("to_addresses", "address")],
        "0103" => &[("contract_addresses", "address"), ("topic_zeros", "hash")],
        "0111" => &[
            ("from_addresses", "address"),
            ("to_addresses", "address"),
            ("call_types", "call"),
        ],
        "0121" => &[("contract_addresses", "address")],
        "0122" => &[
            ("contract_addresses", "address"),
            ("signature_hashes", "signature"),
        ],
        "0211" => &[("exchange_ids", "number"), ("pool_type_ids", "number")],
        "0212" => &[("pool_uids", "hash"), ("exchange_ids", "number")],
        "0301" | "0411" | "0701" => &[("pool_uids", "hash")],
        "0303" => &[("pool_uids", "hash"), ("token_in_addresses", "address")],
        "0304" => &[
            ("from_addresses", "address"),
            ("to_addresses", "address"),
            ("token_addresses", "address"),
            ("transfer_types", "type"),
        ],
        "0305" => &[
            ("pool_uids", "hash"),
            ("flash_loan_source_addresses", "address"),
            ("token_addresses", "address"),
        ],
        "0801" | "0802" | "0901" => &[("path_ids", "hash")],
        _ => &[],
    };
    for (name, kind) in lists {
        let mut one = || match *kind {
            "address" => choices.hex(20),
            "hash" => choices.hex(32),
            "signature" => choices.hex(4),
            "number" => choices.number(),
            "call" => choices.word(&CALLS),
            _ => choices.word(&TYPES),
        };
        let items: Vec<_> = [one(), one(), one()].into();
        // One list in three does not matter, or is not there.
        params[name] = match choices.below(6) {
            0 => json!([]),
            1 => continue,
            length => Value::from(&items[..usize::from(length).min(3)]),
        };
    }
    let of_one: &[(&str, Value)] = &match dataset {
        "0102" => vec![("status_success", json!(choices.below(2) == 1))],
        "0201" => vec![("address", choices.hex(20))],
        "0202" | "0203" => vec![("contract_address", choices.hex(20))],
        "0301" => vec![("include_details", json!(choices.below(2) == 1))],
        "0404" => vec![(
            "aggregation_interval",
            json!(INTERVALS[usize::from(choices.below(4))].0),
        )],
        "0411" => vec![("target_period_days", choices.number())],
        _ => vec![],
    };
    for (name, value) in of_one {
        if choices.below(3) > 0 {
            params[name] = value.clone();
        }
    }
    match dataset {
        "0302" | "0404" | "0405" => {
            params["base_token_address"] = "Aa".repeat(20).into();
            params["quote_token_address"] = choices.word(&["b", "c", "d"]);
            let quote = params["quote_token_address"].as_str().unwrap().repeat(40);
            params["quote_token_address"] = quote.into();
        }
        "0605" => {
            params["base_token_address"] = choices.hex(20);
            params["quote_currency_code"] = "USD".into();
        }
        _ => {}
    }
    params
}

/// Whether a record passes, as the pages say it, without anything of what is tested here.
fn passes(dataset: &str, params: &Value, record: &Value) -> bool {
    let same = |one: &Value, other: &Value| match (one.as_str(), other.as_str()) {
        (Some(one), Some(other)) => one.eq_ignore_ascii_case(other),
        _ => !one.is_null() && one == other,
    };
    let any = |name: &str, field: &str| match params[name].as_array() {
        None => true,
        Some(items) => items.is_empty() || items.iter().any(|item| same(item, &record[field])),
    };
    let is =
        |name: &str, field: &str| params[name].is_null() || same(&params[name], &record[field]);
    let market = || {
        let (base, quote) = (
            &params["base_token_address"],
            &params["quote_token_address"],
        );
        let (from, to) = (&record["token_in"], &record["token_out"]);
        (same(base, from) && same(quote, to)) || (same(base, to) && same(quote, from))
    };
    match dataset {
        "0102" => {
            any("from_addresses", "from_address")
                && any("to_addresses", "to_address")
                && is("status_success", "status_success")
        }
        "0103" => any("contract_addresses", "contract_address") && any("topic_zeros", "topic_zero"),
        "0111" => {
            any("from_addresses", "from_address")
                && any("to_addresses", "to_address")
                && any("call_types", "call_type")
        }
        "0121" => any("contract_addresses", "contract_address"),
        "0122" => {
            let id = record["contract_id"].as_str().unwrap().to_lowercase();
            let wanted = params["contract_addresses"].as_array();
            wanted.is_none_or(|wanted| {
                wanted.is_empty()
                    || wanted
                        .iter()
                        .any(|address| id.starts_with(&address.as_str().unwrap().to_lowercase()))
            }) && any("signature_hashes", "signature_hash")
        }
        "0201" => is("address", "contract_address"),
        "0202" | "0203" => is("contract_address", "contract_address"),
        "0211" => any("exchange_ids", "exchange_id") && any("pool_type_ids", "type_id"),
        "0212" => any("pool_uids", "pool_uid") && any("exchange_ids", "exchange_id"),
        "0301" | "0701" => any("pool_uids", "pool_uid"),
        "0302" | "0405" => market(),
        "0303" => any("pool_uids", "pool_uid") && any("token_in_addresses", "token_in"),
        "0304" => {
            let kind = record["transfer_type"].as_u64().unwrap() as usize;
            let kinds = params["transfer_types"].as_array();
            any("from_addresses", "from_address")
                && any("to_addresses", "to_address")
                && any("token_addresses", "token_address")
                && kinds.is_none_or(|kinds| {
                    kinds.is_empty()
                        || TYPES
                            .get(kind)
                            .is_some_and(|kind| kinds.contains(&json!(kind)))
                })
        }
        "0305" => {
            any("pool_uids", "pool_uid")
                && any("flash_loan_source_addresses", "flash_loan_source")
                && any("token_addresses", "token")
        }
        "0404" => {
            let interval = params["aggregation_interval"].as_str().unwrap_or("1m");
            let seconds = INTERVALS
                .iter()
                .find(|(word, _)| *word == interval)
                .unwrap()
                .1;
            market() && record["bucket_seconds"] == json!(seconds)
        }
        "0411" => is("target_period_days", "target_period_days") && any("pool_uids", "pool_uid"),
        "0605" => is("base_token_address", "token_address"),
        "0801" | "0802" | "0901" => any("path_ids", "path_id"),
        _ => true,
    }
}

/// Finds who hears an event as the hub does: by its terms.
#[derive(Default)]
struct Index {
    all: Vec<usize>,
    by_term: HashMap<Term, Vec<usize>>,
    filters: Vec<Filter>,
}

impl Index {
    fn add(&mut self, filter: Filter) {
        let number = self.filters.len();
        match filter.is_all() {
            true => self.all.push(number),
            false => {
                for term in filter.index() {
                    self.by_term.entry(term).or_default().push(number);
                }
            }
        }
        self.filters.push(filter);
    }

    fn of(&self, terms: &[Term]) -> BTreeSet<usize> {
        let found = terms
            .iter()
            .filter_map(|term| self.by_term.get(term))
            .flatten();
        let found = found.filter(|number| self.filters[**number].passes(terms));
        found.chain(&self.all).copied().collect()
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn who_hears_a_record_is_who_a_naive_scan_finds(
        which in 0..Stream::ALL.len(),
        subscriptions in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 24), 1..20),
        told in proptest::collection::vec(any::<u8>(), 40),
    ) {
        let id = Stream::ALL[which].id;
        let dataset = id.as_str();
        let plans = AccountPlans { blockdb: Some("scale".to_owned()), ..AccountPlans::default() };
        let api = BlockDb { config: config() };
        let mut index = Index::default();
        let mut asked = Vec::new();
        for choices in &subscriptions {
            let params = params(dataset, &mut Choices(choices.iter()));
            let message = json!({ "chain_id": 1, "dataset_id": dataset, "params": params });
            let (_, question) = api.question(&request(message), &plans).unwrap();
            index.add(question.filter);
            asked.push(params);
        }
        let record = record(&mut Choices(told.iter()));
        let topic = Topic::Dataset(Dataset { chain: ChainId::of_number(1).unwrap(), id });
        let event = Event::decode(&topic, record.to_string().as_bytes()).unwrap();
        let naive = asked.iter().enumerate().filter(|(_, params)| passes(dataset, params, &record));
        let naive: BTreeSet<_> = naive.map(|(number, _)| number).collect();
        prop_assert_eq!(index.of(event.terms()), naive, "{} of {:?}", record, asked);
    }

    #[test]
    fn no_parameters_make_it_panic(dataset in "0[1-9][0-2][1-5]", params in r#"[{}\[\]",:a-z_0-9]{0,60}"#, given in r#"\{"(pool_uids|from_addresses|exchange_ids|base_token_address)":\[?("[0-9a-f]{0,64}"|[0-9.-]{1,4}|null|true)\]?\}"#) {
        for params in [params, given] {
            if let Ok(params) = serde_json::from_str::<Value>(&params) {
                let _ = asked_on(None, json!({ "chain_id": 1, "dataset_id": dataset, "params": params }));
            }
        }
    }
}
