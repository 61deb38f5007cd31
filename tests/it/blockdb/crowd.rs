//! Many subscriptions to one dataset: each hears its own records alone.

use serde_json::Value;

use super::{
    ACCOUNT, SUBSCRIBE_BLOCKS, SUBSCRIBED_BLOCKS, ask, connect, hears_block, publish_block, start,
};

const CLIENTS: usize = 10;
/// Of each client, all to the same dataset: by as many names.
const SUBSCRIPTIONS: usize = 1000;

fn address(number: usize) -> String {
    format!("{number:040x}")
}

fn name(number: usize) -> String {
    format!("{}", 1000 + number)
}

#[tokio::test]
async fn ten_thousand_subscriptions_with_different_addresses_hear_only_theirs() {
    let aliases = (0..SUBSCRIPTIONS)
        .map(|number| format!(r#"{{ id = "{}", means = "0103" }}"#, name(number)));
    let aliases = format!("[{}]", aliases.collect::<Vec<_>>().join(", "));
    let server = start(&[
        ("TIDINGS_BLOCKDB__ALIASES", aliases.as_str()),
        ("TIDINGS_BLOCKDB__MESSAGES_PER_SECOND", "1000000"),
        ("TIDINGS_LIMITS__SUBSCRIPTIONS_PER_CONNECTION", "1001"),
        ("TIDINGS_LIMITS__OUTBOX_FRAMES", "10000"),
    ])
    .await;
    let key = server.key(ACCOUNT, &["read"]).await;
    let mut clients = Vec::new();
    for client in 0..CLIENTS {
        let mut socket = connect(&server, &key).await;
        ask(&mut socket, SUBSCRIBE_BLOCKS, SUBSCRIBED_BLOCKS).await;
        for number in 0..SUBSCRIPTIONS {
            let (name, address) = (name(number), address(client * SUBSCRIPTIONS + number));
            let params = format!(r#"{{"contract_addresses":["{address}"]}}"#);
            socket
                .send(&format!(r#"{{"action":"subscribe","chain_id":1,"dataset_id":"{name}","params":{params}}}"#))
                .await;
        }
        for number in 0..SUBSCRIPTIONS {
            let answer = socket.json().await;
            assert_eq!(answer["dataset_id"], name(number), "{answer}");
            assert_eq!(answer["status"], "success", "{answer}");
        }
        clients.push(socket);
    }
    let all = (CLIENTS * SUBSCRIPTIONS) as f64;
    assert_eq!(server.metric("tidings_operations").await, all + 1.0);

    let renderings = server.metric("tidings_renderings_total").await;
    let wanted: Vec<usize> = (0..CLIENTS * SUBSCRIPTIONS).step_by(97).collect();
    for number in &wanted {
        let body = format!(
            r#"{{"block_number":{number},"tx_index":0,"log_index":0,"contract_address":"{}"}}"#,
            address(*number)
        );
        server.publish("DATASET_1_0103", &body).await;
    }
    publish_block(&server, 7).await;
    for (client, socket) in clients.iter_mut().enumerate() {
        for number in wanted
            .iter()
            .filter(|number| **number / SUBSCRIPTIONS == client)
        {
            let told: Value = socket.json().await;
            assert_eq!(told["dataset_id"], name(number % SUBSCRIPTIONS));
            assert_eq!(told["data"]["contract_address"], address(*number));
        }
        hears_block(socket, 7).await;
    }
    let told = server.metric("tidings_renderings_total").await - renderings;
    assert_eq!(
        told,
        wanted.len() as f64 + 1.0,
        "nothing was rendered for nobody"
    );
}
