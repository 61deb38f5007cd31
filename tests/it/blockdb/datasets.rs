//! The parameters of each dataset: what passes, and what does not.

use serde_json::{Value, json};

use super::{
    ACCOUNT, SUBSCRIBE_BLOCKS, SUBSCRIBED_BLOCKS, ask, connect, hears_block, let_in, publish_block,
    refused, start, subscribe,
};

const A: &str = "a0b86991c6218b36c1d19d4a2e9eb0ce3606eb48";
const B: &str = "c02aaa39b223fe8d0a0e5c4f27ead9083c756cc2";
const C: &str = "dac17f958d2ee523a2206206994597c13d831ec7";

fn hash(digit: &str) -> String {
    digit.repeat(64)
}

/// A record is told to who asks with these parameters, and not to who asks with those.
async fn is_told(dataset: &str, record: Value, to: &[Value], not_to: &[Value]) {
    let server = start(&[]).await;
    let key = server.key(ACCOUNT, &["read"]).await;
    let mut clients = Vec::new();
    let asked = to.iter().map(|params| (true, params));
    for (hears, params) in asked.chain(not_to.iter().map(|params| (false, params))) {
        let mut client = connect(&server, &key).await;
        ask(&mut client, SUBSCRIBE_BLOCKS, SUBSCRIBED_BLOCKS).await;
        super::subscribe(&mut client, dataset, &params.to_string()).await;
        clients.push((hears, params, client));
    }
    let channel = format!("DATASET_1_{dataset}");
    server.publish(&channel, &record.to_string()).await;
    publish_block(&server, 7).await;
    for (hears, params, client) in &mut clients {
        if *hears {
            let told = client.json().await;
            assert_eq!(told["dataset_id"], dataset, "{params}");
        }
        hears_block(client, 7).await;
    }
}

/// Parameters are refused for these reasons.
async fn is_refused(dataset: &str, params: Value, problems: &[(&str, &str)]) {
    let server = start(&[]).await;
    let mut client = super::let_in(&server).await;
    let what =
        json!({ "action": "subscribe", "chain_id": 1, "dataset_id": dataset, "params": params });
    let answer = refused(&mut client, &what.to_string()).await;
    let listed = &answer["error"]["details"]["invalid_parameters"];
    let listed = listed.as_array().expect("there are some").iter();
    let listed: Vec<_> = listed
        .map(|problem| {
            (
                problem["name"].as_str().unwrap(),
                problem["reason"].as_str().unwrap(),
            )
        })
        .collect();
    assert_eq!(listed, problems);
}

/// A record at a place in a block.
fn at(fields: Value) -> Value {
    let mut record = json!({ "block_number": 1, "tx_index": 2, "log_index": 3 });
    let own = record.as_object_mut().unwrap();
    own.extend(fields.as_object().unwrap().clone());
    record
}

#[tokio::test]
async fn blocks_0101_have_none() {
    is_refused(
        "0101",
        json!({ "miner": A }),
        &[("params.miner", "unknown")],
    )
    .await;
}

#[tokio::test]
async fn transactions_0102() {
    is_told(
        "0102",
        at(json!({ "from_address": A, "to_address": B, "status_success": true })),
        &[
            json!({}),
            json!({ "from_addresses": [A] }),
            json!({ "from_addresses": [C, A.to_uppercase()], "to_addresses": [B] }),
            json!({ "from_addresses": [], "status_success": true }),
        ],
        &[
            json!({ "from_addresses": [B] }),
            json!({ "from_addresses": [A], "to_addresses": [A, C] }),
            json!({ "from_addresses": [A], "status_success": false }),
        ],
    )
    .await;
}

#[tokio::test]
async fn logs_0103() {
    is_told(
        "0103",
        at(json!({ "contract_address": A, "topic_zero": hash("d"), "data": "00" })),
        &[
            json!({ "contract_addresses": [B, A] }),
            json!({ "topic_zeros": [hash("D")] }),
        ],
        &[
            json!({ "topic_zeros": [hash("e")] }),
            json!({ "contract_addresses": [A], "topic_zeros": [hash("e")] }),
        ],
    )
    .await;
}

#[tokio::test]
async fn internal_transactions_0111() {
    is_told(
        "0111",
        at(json!({ "trace_address": "0.1", "call_type": "CREATE2", "from_address": A, "to_address": null })),
        &[json!({ "call_types": ["CALL", "CREATE2"] }), json!({ "from_addresses": [A] })],
        &[json!({ "call_types": ["CREATE"] }), json!({ "to_addresses": [A] })],
    )
    .await;
    is_refused(
        "0111",
        json!({ "call_types": ["call"] }),
        &[("params.call_types[0]", "unsupported")],
    )
    .await;
}

#[tokio::test]
async fn contracts_0121() {
    is_told(
        "0121",
        json!({ "contract_id": format!("{A}000000010002"), "contract_address": A }),
        &[json!({ "contract_addresses": [A] })],
        &[json!({ "contract_addresses": [B] })],
    )
    .await;
}

#[tokio::test]
async fn function_results_0122() {
    is_told(
        "0122",
        at(json!({ "contract_id": format!("{A}000000010002"), "call_data": "18160ddd", "signature_hash": "18160ddd" })),
        &[
            json!({ "contract_addresses": [A] }),
            json!({ "contract_addresses": [A], "signature_hashes": ["18160ddd"] }),
        ],
        &[json!({ "contract_addresses": [B] }), json!({ "signature_hashes": ["18160dde"] })],
    )
    .await;
    is_refused(
        "0122",
        json!({ "signature_hashes": ["0x18160ddd"] }),
        &[("params.signature_hashes[0]", "invalid_format")],
    )
    .await;
}

async fn tokens(dataset: &str, name: &str) {
    is_told(
        dataset,
        json!({ "contract_id": format!("{A}000000010002"), "contract_address": A }),
        &[json!({}), json!({ name: A })],
        &[json!({ name: B })],
    )
    .await;
    let place = format!("params.{name}");
    is_refused(dataset, json!({ name: [A] }), &[(&place, "invalid_type")]).await;
}

#[tokio::test]
async fn erc20_tokens_0201() {
    tokens("0201", "address").await;
}

#[tokio::test]
async fn erc721_tokens_0202() {
    tokens("0202", "contract_address").await;
}

#[tokio::test]
async fn erc1155_tokens_0203() {
    tokens("0203", "contract_address").await;
}

#[tokio::test]
async fn pools_0211() {
    is_told(
        "0211",
        json!({ "pool_uid": hash("8"), "exchange_id": 1, "type_id": 201, "tokens": [A, B] }),
        &[
            json!({ "exchange_ids": [1, 2] }),
            json!({ "pool_type_ids": [201] }),
        ],
        &[
            json!({ "exchange_ids": [2] }),
            json!({ "exchange_ids": [1], "pool_type_ids": [1] }),
        ],
    )
    .await;
    is_refused(
        "0211",
        json!({ "exchange_ids": ["1"] }),
        &[("params.exchange_ids[0]", "invalid_type")],
    )
    .await;
}

#[tokio::test]
async fn fee_terms_0212() {
    is_told(
        "0212",
        at(json!({ "pool_uid": hash("8"), "exchange_id": 1 })),
        &[json!({ "pool_uids": [hash("8")], "exchange_ids": [1] })],
        &[
            json!({ "pool_uids": [hash("8")], "exchange_ids": [2] }),
            json!({ "pool_uids": [hash("9")] }),
        ],
    )
    .await;
}

#[tokio::test]
async fn reserves_0301() {
    let record = json!({
        "pool_uid": hash("8"), "block_number": 1, "current_tick": 210130, "current_sqrt_price": "1", "current_bin": null,
    });
    is_told(
        "0301",
        record.clone(),
        &[json!({ "pool_uids": [hash("8")] })],
        &[json!({ "pool_uids": [hash("9")], "include_details": true })],
    )
    .await;

    let server = start(&[]).await;
    let mut brief = super::let_in(&server).await;
    let mut full = super::let_in(&server).await;
    super::subscribe(&mut brief, "0301", "{}").await;
    super::subscribe(&mut full, "0301", r#"{"include_details":true}"#).await;
    server.publish("DATASET_1_0301", &record.to_string()).await;
    let (brief, full) = (brief.json().await, full.json().await);
    for detail in ["current_tick", "current_sqrt_price", "current_bin"] {
        assert!(brief["data"].get(detail).is_none(), "{brief}");
        assert_eq!(full["data"].get(detail), record.get(detail), "{full}");
    }
    assert_eq!(brief["data"]["_tracing_id"], full["data"]["_tracing_id"]);
}

fn market(base: &str, quote: &str) -> Value {
    json!({ "base_token_address": base, "quote_token_address": quote })
}

/// Either direction is the same market.
async fn is_of_a_market(dataset: &str, record: Value) {
    is_told(
        dataset,
        record,
        &[market(A, B), market(B, A)],
        &[market(A, C), market(C, B)],
    )
    .await;
    is_refused(
        dataset,
        json!({ "base_token_address": A }),
        &[("params.quote_token_address", "missing")],
    )
    .await;
    is_refused(
        dataset,
        market(A, A),
        &[("params.quote_token_address", "duplicate")],
    )
    .await;
}

#[tokio::test]
async fn spot_prints_0302() {
    is_of_a_market(
        "0302",
        at(json!({ "pool_uid": hash("8"), "token_in": A, "token_out": B })),
    )
    .await;
}

#[tokio::test]
async fn swap_fees_0303() {
    is_told(
        "0303",
        at(json!({ "pool_uid": hash("8"), "token_in": A, "token_out": B })),
        &[
            json!({ "pool_uids": [hash("8")] }),
            json!({ "token_in_addresses": [A] }),
        ],
        &[json!({ "token_in_addresses": [B] })],
    )
    .await;
}

#[tokio::test]
async fn token_transfers_0304() {
    is_told(
        "0304",
        at(json!({ "from_address": A, "to_address": B, "token_address": C, "transfer_type": 1 })),
        &[
            json!({ "transfer_types": ["native", "erc20"] }),
            json!({ "from_addresses": [A], "to_addresses": [B], "token_addresses": [C] }),
        ],
        &[
            json!({ "transfer_types": ["erc721", "erc1155"] }),
            json!({ "token_addresses": [A] }),
        ],
    )
    .await;
}

#[tokio::test]
async fn flash_loans_0305() {
    is_told(
        "0305",
        at(json!({ "pool_uid": null, "flash_loan_source": A, "token": B })),
        &[json!({ "flash_loan_source_addresses": [A], "token_addresses": [B, C] })],
        &[
            json!({ "pool_uids": [hash("8")] }),
            json!({ "token_addresses": [A] }),
        ],
    )
    .await;
}

fn bucket(seconds: u64) -> Value {
    json!({
        "pool_uid": hash("8"), "bucket_start": "2025-11-11T18:42:00Z", "bucket_seconds": seconds,
        "token_in": A, "token_out": B,
    })
}

#[tokio::test]
async fn candles_0404() {
    is_of_a_market("0404", bucket(60)).await;
    let of = |interval: &str| {
        let mut params = market(A, B);
        params["aggregation_interval"] = interval.into();
        params
    };
    is_told("0404", bucket(60), &[of("1m")], &[of("5m"), of("1d")]).await;
    is_told("0404", bucket(3600), &[of("1h")], &[market(A, B)]).await;
    is_refused(
        "0404",
        of("1w"),
        &[("params.aggregation_interval", "unsupported")],
    )
    .await;
}

#[tokio::test]
async fn averages_0405() {
    is_of_a_market("0405", bucket(300)).await;
}

#[tokio::test]
async fn yields_0411() {
    is_told(
        "0411",
        at(json!({ "pool_uid": hash("8"), "target_period_days": 30 })),
        &[
            json!({}),
            json!({ "target_period_days": 30, "pool_uids": [hash("8")] }),
        ],
        &[json!({ "target_period_days": 7 })],
    )
    .await;
    is_refused(
        "0411",
        json!({ "target_period_days": "30" }),
        &[("params.target_period_days", "invalid_type")],
    )
    .await;
}

#[tokio::test]
async fn prices_in_dollars_0605() {
    let of = |token: &str, currency: &str| json!({ "base_token_address": token, "quote_currency_code": currency });
    is_told(
        "0605",
        json!({ "token_address": A, "bucket_start": "2025-11-11T18:42:00Z", "bucket_seconds": 60, "price_usd": "1" }),
        &[of(A, "USD")],
        &[of(B, "USD")],
    )
    .await;
    is_refused(
        "0605",
        of(A, "EUR"),
        &[("params.quote_currency_code", "unsupported")],
    )
    .await;
    is_refused(
        "0605",
        json!({}),
        &[
            ("params.base_token_address", "missing"),
            ("params.quote_currency_code", "missing"),
        ],
    )
    .await;
}

#[tokio::test]
async fn tvl_0701() {
    is_told(
        "0701",
        at(json!({ "pool_uid": hash("8") })),
        &[json!({ "pool_uids": [hash("9"), hash("8")] })],
        &[json!({ "pool_uids": [hash("9")] })],
    )
    .await;
}

async fn is_of_a_path(dataset: &str) {
    is_told(
        dataset,
        at(json!({ "path_id": hash("5"), "pool_uids": [hash("8")] })),
        &[json!({}), json!({ "path_ids": [hash("5")] })],
        &[json!({ "path_ids": [hash("8")] })],
    )
    .await;
}

#[tokio::test]
async fn arbitrage_paths_0801() {
    is_of_a_path("0801").await;
}

#[tokio::test]
async fn states_of_arbitrage_paths_0802() {
    is_of_a_path("0802").await;
}

#[tokio::test]
async fn arbitrage_opportunities_0901() {
    is_of_a_path("0901").await;
}

#[tokio::test]
async fn a_filter_may_have_a_thousand_items_and_no_more() {
    let server = start(&[]).await;
    let mut client = let_in(&server).await;
    let pools = |count: usize| {
        let pools: Vec<_> = (0..count).map(|pool| format!("{pool:064x}")).collect();
        json!({ "pool_uids": pools, "token_addresses": [] })
    };
    subscribe(&mut client, "0305", &pools(1000).to_string()).await;
    let params = pools(1001);
    let refused = refused(
        &mut client,
        &format!(r#"{{"action":"subscribe","chain_id":1,"dataset_id":"0305","params":{params}}}"#),
    )
    .await;
    assert_eq!(
        refused["error"]["details"]["invalid_parameters"],
        json!([{ "name": "params.pool_uids", "reason": "too_many_items" }])
    );
}
