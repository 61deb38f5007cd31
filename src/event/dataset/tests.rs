use insta::assert_snapshot;
use proptest::prelude::*;

use super::*;
use crate::event::Event;
use crate::topic::{ChainId, Topic};

fn dataset(id: &str) -> Dataset {
    Dataset {
        chain: ChainId::of_number(1).unwrap(),
        id: DatasetId::parse(id).unwrap(),
    }
}

fn decode(id: &str, body: &str) -> Result<DatasetRecord, String> {
    match Event::decode(&Topic::Dataset(dataset(id)), body.as_bytes()) {
        Ok(Event::Dataset(record)) => Ok((*record).clone()),
        Ok(other) => panic!("{other:?}"),
        Err(malformed) => Err(malformed.cause.to_string()),
    }
}

fn refused(id: &str, body: &str) -> String {
    decode(id, body).unwrap_err()
}

fn terms_of(id: &str, body: &str) -> Vec<String> {
    let record = decode(id, body).unwrap();
    let terms = record.terms.iter();
    terms
        .map(|term| format!("{} {}", term.dimension, term.value))
        .collect()
}

const LOG: &str = r#"{"block_number":12345678,"tx_index":4,"log_index":0,"contract_address":"A0b86991c6218b36c1d19d4a2e9eb0ce3606eb48","topic_zero":"0xddf252ad1be2c89b69c2b068fc378daa952ba7f163c4a11628f55a4df523b3ef","data":"00","odd":[1.0, 1e2 , "a b\" c"]}"#;

#[test]
fn what_is_told_is_the_record_as_it_was_written_with_an_id() {
    assert_snapshot!(decode("0103", LOG).unwrap().data, @r#"{"block_number":12345678,"tx_index":4,"log_index":0,"contract_address":"a0b86991c6218b36c1d19d4a2e9eb0ce3606eb48","topic_zero":"ddf252ad1be2c89b69c2b068fc378daa952ba7f163c4a11628f55a4df523b3ef","data":"00","odd":[1.0,1e2,"a b\" c"],"_tracing_id":"010340388b4c4cd55378be5bdd3d5bb468391826"}"#);
}

#[test]
fn the_id_of_the_publisher_is_passed_on_where_it_stands() {
    let body = r#"{"_tracing_id":"0101ff","block_number":1}"#;
    assert_snapshot!(decode("0101", body).unwrap().data, @r#"{"_tracing_id":"0101ff","block_number":1,"_is_reorg":false}"#);
    for none in ["null", r#""""#] {
        let body = format!(r#"{{"_tracing_id":{none},"path_id":"ab"}}"#);
        let record = decode("0801", &body.replace("ab", &"ab".repeat(32))).unwrap();
        assert!(
            record.data.starts_with(r#"{"_tracing_id":"0801"#),
            "{}",
            record.data
        );
    }
}

#[test]
fn an_envelope_is_what_has_an_object_in_data_and_nothing_else() {
    let record = decode("0103", &format!(r#"{{"data":{LOG},"is_reorg":true}}"#)).unwrap();
    assert!(record.is_reorg);
    assert!(
        record
            .data
            .contains(r#""_is_reorg":true,"_tracing_id":"0103"#)
    );
    let record = decode("0103", &format!(r#"{{"data":{LOG}}}"#)).unwrap();
    assert!(!record.is_reorg && !record.data.contains("_is_reorg"));
    assert_snapshot!(refused("0103", &format!(r#"{{"data":{LOG},"block_number":1}}"#)), @"block_number: beside an object `data` there is nothing but `is_reorg`");
    assert_snapshot!(refused("0103", &format!(r#"{{"data":{LOG},"is_reorg":1}}"#)), @"is_reorg: expected true or false");
    assert_snapshot!(refused("0101", r#"{"is_reorg":true,"block_number":1}"#), @"is_reorg: it belongs beside an object `data`, or into the record as `_is_reorg`");
    assert_snapshot!(refused("0103", r#"{"data":{"data":{}}}"#), @"block_number is missing: it is part of what tells the records of 0103 apart");
}

#[test]
fn blocks_always_say_whether_they_are_of_a_reorganisation() {
    let told = |body: &str| decode("0101", body).unwrap().data;
    assert!(told(r#"{"block_number":1}"#).contains(r#""_is_reorg":false"#));
    assert!(told(r#"{"is_reorg":true,"data":{"block_number":1}}"#).contains(r#""_is_reorg":true"#));
    assert!(told(r#"{"block_number":1,"_is_reorg":true}"#).contains(r#""_is_reorg":true"#));
    assert_snapshot!(refused("0101", r#"{"is_reorg":false,"data":{"block_number":1,"_is_reorg":true}}"#), @"is_reorg is false, and _is_reorg of the record is true");
}

#[test]
fn equal_records_have_equal_ids_and_others_others() {
    let id = |body: &str| {
        let record = decode("0101", body).unwrap();
        let (_, id) = record.data.split_once(r#""_tracing_id":""#).unwrap();
        id[..TRACING_ID_DIGITS].to_owned()
    };
    let one = id(r#"{"block_number":1,"miner":"ab"}"#);
    assert_eq!(
        one,
        id(r#"{ "miner" : "ab", "block_number":1, "_created_at":"now" }"#)
    );
    assert_eq!(
        one,
        id(r#"{"is_reorg":false,"data":{"block_number":1,"miner":"ab"}}"#)
    );
    for other in [
        r#"{"is_reorg":true,"data":{"block_number":1,"miner":"ab"}}"#,
        r#"{"block_number":1,"miner":"cd"}"#,
        r#"{"block_number":2,"miner":"ab"}"#,
        r#"{"block_number":1,"minerab":""}"#,
    ] {
        assert_ne!(one, id(other));
    }
}

#[test]
fn terms_are_spelled_in_one_way() {
    assert_eq!(
        terms_of("0103", LOG),
        [
            "0 a0b86991c6218b36c1d19d4a2e9eb0ce3606eb48",
            "1 ddf252ad1be2c89b69c2b068fc378daa952ba7f163c4a11628f55a4df523b3ef",
        ]
    );
    let transfer = |kind: u64| {
        format!(r#"{{"block_number":1,"tx_index":0,"token_address":null,"transfer_type":{kind}}}"#)
    };
    assert_eq!(terms_of("0304", &transfer(0)), ["3 native"]);
    assert_eq!(terms_of("0304", &transfer(3)), ["3 erc1155"]);
    assert_eq!(terms_of("0304", &transfer(9)), ["3 9"]);
}

#[test]
fn either_direction_is_the_same_market() {
    let (a, b) = ("a".repeat(40), "b".repeat(40));
    let pool = "c".repeat(64);
    let print = |from: &str, to: &str| {
        format!(
            r#"{{"pool_uid":"{pool}","block_number":1,"tx_index":1,"log_index":1,"token_in":"{from}","token_out":"{to}"}}"#
        )
    };
    let there = terms_of("0302", &print(&a, &b));
    assert_eq!(there, terms_of("0302", &print(&b, &a)));
    assert_eq!(there, [format!("0 {a}-{b}")]);
}

#[test]
fn the_id_of_a_contract_begins_with_its_address() {
    let id = format!("{}0000000100ff", "Ab".repeat(20));
    let result = format!(
        r#"{{"contract_id":"{id}","block_number":1,"call_data":"","signature_hash":"70a08231"}}"#
    );
    assert_eq!(
        terms_of("0122", &result),
        [format!("0 {}", "ab".repeat(20)), "1 70a08231".to_owned()]
    );
}

#[test]
fn details_are_left_out_for_who_did_not_ask_for_them() {
    let pool = "c".repeat(64);
    let body = format!(
        r#"{{"pool_uid":"{pool}","block_number":1,"current_tick":-7,"reserves":["1"],"current_bin":null}}"#
    );
    let record = decode("0301", &body).unwrap();
    assert!(
        record
            .data
            .contains(r#""current_tick":-7,"reserves":["1"],"current_bin":null,"#)
    );
    let brief = record.without_details.unwrap();
    assert!(
        brief.contains(r#""block_number":1,"reserves":["1"],"_tracing_id""#),
        "{brief}"
    );
    assert!(decode("0103", LOG).unwrap().without_details.is_none());
}

#[test]
fn what_nobody_could_filter_or_tell_apart_is_refused() {
    assert_snapshot!(refused("9999", "{}"), @"there is no dataset 9999; there are 0101, 0102, 0103, 0111, 0121, 0122, 0201, 0202, 0203, 0211, 0212, 0301, 0302, 0303, 0304, 0305, 0404, 0405, 0411, 0605, 0701, 0801, 0802, 0901");
    assert_snapshot!(refused("0101", "{}"), @"block_number is missing: it is part of what tells the records of 0101 apart");
    assert_snapshot!(refused("0101", r#"{"block_number":"1"}"#), @"block_number: expected a whole number");
    assert_snapshot!(refused("0101", r#"{"block_number":1.5}"#), @"block_number: expected a whole number");
    assert_snapshot!(refused("0101", r#"{"block_number":1,"block_number":1}"#), @"block_number comes twice");
    assert_snapshot!(refused("0101", r#"{"block_number":1,"_tracing_id":7}"#), @"_tracing_id: expected a string");
    assert_snapshot!(refused("0101", "7"), @"invalid type: integer `7`, expected an object at line 1 column 1");
    assert_snapshot!(refused("0101", r#"{"block_number":1"#), @"EOF while parsing an object at line 1 column 17");
    assert_snapshot!(refused("0102", r#"{"block_number":1,"tx_index":0,"from_address":"ab"}"#), @"from_address: expected 20 bytes in hex");
    assert_snapshot!(refused("0102", r#"{"block_number":1,"tx_index":0,"status_success":"yes"}"#), @"status_success: expected true or false");
    assert_snapshot!(refused("0304", r#"{"block_number":1,"tx_index":0,"transfer_type":"erc20"}"#), @"transfer_type: expected a whole number");
    assert_snapshot!(refused("0801", r#"{"path_id":null}"#), @"path_id is missing: it is part of what tells the records of 0801 apart");
}

proptest! {
    #[test]
    fn what_is_told_is_json_and_says_what_was_published(
        miner in ".*",
        number in 0u64..,
        spaces in "[ \n\t]{0,3}",
    ) {
        let miner = serde_json::to_string(&miner).unwrap();
        let body = format!(r#"{{{spaces}"block_number"{spaces}:{spaces}{number}{spaces},{spaces}"a"{spaces}:{spaces}[{spaces}{miner}{spaces}]{spaces}}}"#);
        let record = decode("0101", &body).unwrap();
        let told = format!(r#"{{"block_number":{number},"a":[{miner}],"_is_reorg":false,"_tracing_id":"#);
        prop_assert!(record.data.starts_with(&told), "{}", record.data);
        prop_assert!(serde_json::from_str::<serde_json::Value>(&record.data).is_ok());
    }
}
