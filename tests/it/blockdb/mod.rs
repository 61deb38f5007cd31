//! BlockDB's WebSockets, row by row of their contract, on real sockets.
//!
//! The rows are those of <https://docs.blockdb.io/wss-reference/overview/introduction> and the pages behind it, and what is
//! decided where they are silent or contradict each other.

mod clients;
mod closes;
mod crowd;
mod datasets;
mod entrance;
mod errors;
mod told;

use serde_json::Value;

use crate::client::Client;
use crate::tidings::Tidings;

const ACCOUNT: &str = "0d3d3c1a-5e0e-4b7b-8f59-7f1a7b1f6a51";
const ENABLED: (&str, &str) = ("TIDINGS_BLOCKDB__ENABLED", "true");

const SUBSCRIBE_BLOCKS: &str =
    r#"{"action":"subscribe","chain_id":1,"dataset_id":"0101","params":{}}"#;
const SUBSCRIBED_BLOCKS: &str =
    r#"{"action":"subscribe","chain_id":1,"dataset_id":"0101","status":"success"}"#;

async fn start(settings: &[(&str, &str)]) -> Tidings {
    Tidings::start_with(&[&[ENABLED], settings].concat()).await
}

/// Connects with a key.
async fn connect(server: &Tidings, key: &str) -> Client {
    let path = format!("/v1/evm/?api_key={key}");
    Client::connect_at(server.address(), &path, None).await
}

/// A client that may read, and has asked for nothing yet.
async fn let_in(server: &Tidings) -> Client {
    let key = server.key(ACCOUNT, &["read"]).await;
    connect(server, &key).await
}

/// Says something, and is answered so.
async fn ask(client: &mut Client, what: &str, answer: &str) {
    client.send(what).await;
    assert_eq!(client.text().await, answer, "{what}");
}

async fn subscribe(client: &mut Client, dataset: &str, params: &str) {
    let what = format!(
        r#"{{"action":"subscribe","chain_id":1,"dataset_id":"{dataset}","params":{params}}}"#
    );
    let answer = format!(
        r#"{{"action":"subscribe","chain_id":1,"dataset_id":"{dataset}","status":"success"}}"#
    );
    ask(client, &what, &answer).await;
}

/// A client that may read, and hears blocks.
async fn hearing_blocks(server: &Tidings) -> Client {
    let mut client = let_in(server).await;
    ask(&mut client, SUBSCRIBE_BLOCKS, SUBSCRIBED_BLOCKS).await;
    client
}

async fn publish_block(server: &Tidings, number: u64) {
    let body = format!(r#"{{"block_number":{number}}}"#);
    server.publish("DATASET_1_0101", &body).await;
}

/// The next message is of this block: so nothing else was told up to it.
async fn hears_block(client: &mut Client, number: u64) {
    let told = client.json().await;
    assert_eq!(told["dataset_id"], "0101", "{told}");
    assert_eq!(told["data"]["block_number"], number, "{told}");
}

/// Says something, and is answered with an error: its answer.
async fn refused(client: &mut Client, what: &str) -> Value {
    client.send(what).await;
    let answer = client.json().await;
    assert_eq!(answer["status"], "error", "{answer}");
    answer
}
