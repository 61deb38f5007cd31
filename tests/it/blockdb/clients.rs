//! Clients that people use, as they come, beside the demo.

use std::process::Stdio;

use tokio::process::Command;

use crate::script::{Script, demo, node, python, tool};
use crate::tidings::Tidings;

async fn samples(command: &mut Command) {
    let server = demo().await;
    command.env("TIDINGS_BLOCKDB_URL", url(&server));
    let mut script = Script::start(command, &server).await;
    script.succeeds().await;
    server.until_metric("tidings_subscriptions", 0.0).await;
    server.until_metric("tidings_connections", 0.0).await;
}

fn url(server: &Tidings) -> String {
    format!("ws://{}/v1/evm/", server.address())
}

#[tokio::test]
async fn ws_of_npm_needs_no_special_setting() {
    samples(&mut node("blockdb.mjs")).await;
}

#[tokio::test]
async fn websocket_client_of_python_needs_no_special_setting() {
    samples(&mut python("blockdb_websocket_client.py")).await;
}

#[tokio::test]
async fn websockets_of_python_needs_no_special_setting() {
    samples(&mut python("blockdb_websockets.py")).await;
}

/// What `serve --demo` prints, pasted into websocat line by line.
#[tokio::test]
async fn what_the_demo_prints_for_websocat_is_answered() {
    let server = demo().await;
    let mut lines = Vec::new();
    server
        .until("it says what to paste", async || {
            let printed = server.printed();
            let printed = printed.iter().map(|line| line.trim().to_owned());
            lines = printed
                .filter(|line| line.contains(r#""action":"subscribe""#))
                .collect();
            lines.len() == 2
        })
        .await;
    let session = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(session.path(), lines.join("\n") + "\n").unwrap();
    let mut websocat = Command::new(tool("websocat"));
    let bearer = format!("Authorization: Bearer {}", server.named("API key").await);
    websocat
        .args(["--no-close", "-H", &bearer, &url(&server)])
        .stdin(Stdio::from(session.reopen().unwrap()));
    let mut script = Script::start(&mut websocat, &server).await;
    for line in [
        r#"{"action":"subscribe","chain_id":1,"dataset_id":"0101","status":"success"}"#,
        r#"{"action":"subscribe","chain_id":1,"dataset_id":"0304","status":"success"}"#,
        r#"{"chain_id":1,"dataset_id":"0101","is_reorg":false,"data":{"block_number":"#,
        r#""transfer_type":0"#,
        r#"{"chain_id":1,"dataset_id":"0101","is_reorg":true,"data":{"block_number":"#,
    ] {
        script.prints(line).await;
    }
}
