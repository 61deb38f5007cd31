//! What is told of a record, and in what order.

use serde_json::Value;
use tokio_tungstenite::tungstenite::Message;

use super::{
    SUBSCRIBE_BLOCKS, SUBSCRIBED_BLOCKS, ask, hearing_blocks, hears_block, let_in, publish_block,
    start, subscribe,
};

/// The record of the contract's sample.
const LOG: &str = r#"{"block_number":12345678,"block_time":"2025-11-11T18:42:15.123Z","tx_index":4,"log_index":0,"contract_address":"a0b86991c6218b36c1d19d4a2e9eb0ce3606eb48","topic_zero":"ddf252ad1be2c89b69c2b068fc378daa952ba7f163c4a11628f55a4df523b3ef","data_topics":["00","01"],"data":"03e8","_tracing_id":"0103000000000000000000000000000000000000","_created_at":"2025-11-11T18:42:15.123Z","_updated_at":"2025-11-11T18:42:15.123Z"}"#;

fn tracing_id(told: &Value) -> String {
    let id = told["data"]["_tracing_id"].as_str();
    id.expect("there is one on every message").to_owned()
}

#[tokio::test]
async fn a_record_is_told_as_it_was_published_in_its_envelope() {
    let server = start(&[]).await;
    let mut client = let_in(&server).await;
    subscribe(&mut client, "0103", "{}").await;
    server.publish("DATASET_1_0103", LOG).await;
    let told = format!(r#"{{"chain_id":1,"dataset_id":"0103","is_reorg":false,"data":{LOG}}}"#);
    assert_eq!(client.text().await, told);
}

#[tokio::test]
async fn what_is_subscribed_to_is_left_again() {
    let server = start(&[]).await;
    let mut client = hearing_blocks(&server).await;
    subscribe(&mut client, "0103", "{}").await;
    ask(
        &mut client,
        r#"{"action":"unsubscribe","chain_id":1,"dataset_id":"0103"}"#,
        r#"{"action":"unsubscribe","chain_id":1,"dataset_id":"0103","status":"success"}"#,
    )
    .await;
    server.publish("DATASET_1_0103", LOG).await;
    publish_block(&server, 7).await;
    hears_block(&mut client, 7).await;
    server.until_metric("tidings_subscriptions", 1.0).await;
}

#[tokio::test]
async fn the_ack_precedes_the_data() {
    let server = start(&[]).await;
    let mut client = hearing_blocks(&server).await;
    for number in 1..50 {
        let mut other = let_in(&server).await;
        other.send(SUBSCRIBE_BLOCKS).await;
        publish_block(&server, number).await;
        assert_eq!(other.text().await, SUBSCRIBED_BLOCKS);
        hears_block(&mut client, number).await;
    }
}

#[tokio::test]
async fn params_may_be_left_out_and_a_message_may_be_binary() {
    let server = start(&[]).await;
    let mut client = let_in(&server).await;
    let without = r#"{"action":"subscribe","chain_id":1,"dataset_id":"0101"}"#;
    client.send_message(Message::Binary(without.into())).await;
    assert_eq!(client.text().await, SUBSCRIBED_BLOCKS);
}

#[tokio::test]
async fn a_reorganisation_is_told_on_the_envelope_and_in_the_data() {
    let server = start(&[]).await;
    let mut client = hearing_blocks(&server).await;
    subscribe(&mut client, "0103", "{}").await;
    let reorg = |record: &str| format!(r#"{{"is_reorg":true,"data":{record}}}"#);
    publish_block(&server, 7).await;
    server
        .publish("DATASET_1_0101", &reorg(r#"{"block_number":7}"#))
        .await;
    server.publish("DATASET_1_0103", &reorg(LOG)).await;
    let (first, again, log) = (
        client.json().await,
        client.json().await,
        client.json().await,
    );
    assert_eq!(
        (&first["is_reorg"], &first["data"]["_is_reorg"]),
        (&false.into(), &false.into()),
        "blocks always say it"
    );
    for told in [&again, &log] {
        assert_eq!(told["is_reorg"], true);
        assert_eq!(told["data"]["_is_reorg"], true);
    }
    // Who drops what it has had must not drop the correction.
    assert_ne!(tracing_id(&first), tracing_id(&again));
}

#[tokio::test]
async fn an_id_for_tracing_is_made_and_is_the_same_when_a_record_is_told_again() {
    let server = start(&[]).await;
    let mut client = hearing_blocks(&server).await;
    for body in [
        r#"{"block_number":7,"_created_at":"2025-11-11T18:42:15Z"}"#,
        r#"{"block_number":7,"_created_at":"2025-11-11T18:42:16Z"}"#,
        r#"{"block_number":8}"#,
    ] {
        server.publish("DATASET_1_0101", body).await;
    }
    let mut ids = Vec::new();
    for _ in 0..3 {
        ids.push(tracing_id(&client.json().await));
    }
    assert!(
        ids.iter()
            .all(|id| id.starts_with("0101") && id.len() == 40),
        "{ids:?}"
    );
    assert_eq!(ids[0], ids[1]);
    assert_ne!(ids[0], ids[2]);
}

#[tokio::test]
async fn a_dataset_is_told_in_order() {
    let server = start(&[]).await;
    let mut client = hearing_blocks(&server).await;
    for number in 0..200 {
        publish_block(&server, number).await;
    }
    for number in 0..200 {
        hears_block(&mut client, number).await;
    }
}

/// The key is the chain and the dataset: what is subscribed to again has other parameters from then on.
#[tokio::test]
async fn a_repeated_subscribe_replaces_the_parameters() {
    let server = start(&[]).await;
    let mut client = hearing_blocks(&server).await;
    let none = format!(r#"{{"contract_addresses":["{}"]}}"#, "b".repeat(40));
    subscribe(&mut client, "0103", "{}").await;
    subscribe(&mut client, "0103", &none).await;
    server.until_metric("tidings_subscriptions", 2.0).await;
    server.publish("DATASET_1_0103", LOG).await;
    publish_block(&server, 7).await;
    hears_block(&mut client, 7).await;
    subscribe(&mut client, "0103", "{}").await;
    server.publish("DATASET_1_0103", LOG).await;
    assert_eq!(client.json().await["dataset_id"], "0103");
}

#[tokio::test]
async fn an_alias_is_told_by_the_name_that_the_client_used() {
    let server = start(&[]).await;
    let mut client = hearing_blocks(&server).await;
    let contract = format!(
        r#"{{"contract_id":"{}","contract_address":"{}"}}"#,
        "a".repeat(52),
        "a".repeat(40)
    );
    for (alias, real, body) in [
        ("0104", "0121", contract.as_str()),
        (
            "0601",
            "0701",
            r#"{"pool_uid":"88e6","block_number":1,"tx_index":1,"log_index":1}"#,
        ),
    ] {
        let body = body.replace("88e6", &"88e6".repeat(16));
        subscribe(&mut client, alias, "{}").await;
        subscribe(&mut client, real, "{}").await;
        server.publish(&format!("DATASET_1_{real}"), &body).await;
        let told = [client.json().await, client.json().await];
        let mut ids = told
            .each_ref()
            .map(|told| told["dataset_id"].as_str().unwrap());
        ids.sort_unstable();
        let mut expected = [alias, real];
        expected.sort_unstable();
        assert_eq!(ids, expected);
        assert_eq!(told[0]["data"], told[1]["data"]);
    }
}

/// Equal questions are one operation, whatever the clients call the dataset.
#[tokio::test]
async fn a_record_is_rendered_once_for_all_who_ask_the_same() {
    let server = start(&[]).await;
    let params = format!(r#"{{"contract_addresses":["{}"]}}"#, "a".repeat(40));
    let mut clients = Vec::new();
    for id in ["0121", "0104", "0121"] {
        let mut client = let_in(&server).await;
        subscribe(
            &mut client,
            id,
            &params
                .to_uppercase()
                .replace("CONTRACT_ADDRESSES", "contract_addresses"),
        )
        .await;
        subscribe(&mut client, id, &params).await;
        clients.push(client);
    }
    assert_eq!(server.metric("tidings_operations").await, 1.0);
    let before = server.metric("tidings_renderings_total").await;
    let body = format!(
        r#"{{"contract_id":"{}","contract_address":"{}"}}"#,
        "a".repeat(52),
        "A".repeat(40)
    );
    server.publish("DATASET_1_0121", &body).await;
    for client in &mut clients {
        // As they asked for it.
        assert_eq!(
            client.json().await["data"]["contract_address"],
            "a".repeat(40)
        );
    }
    assert_eq!(
        server.metric("tidings_renderings_total").await - before,
        1.0
    );
}

#[tokio::test]
async fn chains_are_apart() {
    let server = start(&[("TIDINGS_BLOCKDB__CHAINS", "[1, 8453]")]).await;
    let mut client = hearing_blocks(&server).await;
    ask(
        &mut client,
        r#"{"action":"subscribe","chain_id":8453,"dataset_id":"0101","params":{}}"#,
        r#"{"action":"subscribe","chain_id":8453,"dataset_id":"0101","status":"success"}"#,
    )
    .await;
    server
        .publish("DATASET_8453_0101", r#"{"block_number":1}"#)
        .await;
    assert_eq!(client.json().await["chain_id"], 8453);
    publish_block(&server, 7).await;
    hears_block(&mut client, 7).await;
}

#[tokio::test]
async fn what_is_no_record_is_refused_where_it_is_published() {
    let server = start(&[]).await;
    let key = server.key(super::ACCOUNT, &["publish"]).await;
    for (channel, body) in [
        ("DATASET_1_9999", "{}"),
        ("DATASET_1_0103", r#"{"block_number":1,"tx_index":1}"#),
        ("DATASET_1_0103", r#"{"data":{}}"#),
        ("DATASET_1_0101", r#"{"block_number":"7"}"#),
    ] {
        let path = format!("/v1/events/{channel}");
        let (status, said) = server.post(&path, &key, body).await;
        assert_eq!(status, 422, "{said}");
        assert!(said.contains("the body is not what DATASET_1_"), "{said}");
    }
}
