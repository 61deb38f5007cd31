//! Clients that people use, as they come, beside the demo.

use std::process::Stdio;

use tokio::process::Command;

use crate::script::{ONE_BROWSER, Script, demo, node, python, tool};
use crate::tidings::Tidings;

#[tokio::test]
async fn ws_of_npm_needs_no_special_setting() {
    all_of_it(node("allenhark.mjs").arg("node")).await;
}

#[tokio::test]
async fn a_browser_needs_nothing_but_its_websocket() {
    let _alone = ONE_BROWSER.lock().await;
    all_of_it(node("allenhark.mjs").arg("chromium")).await;
}

#[tokio::test]
async fn websocket_client_of_python_needs_no_special_setting() {
    all_of_it(&mut python("allenhark_websocket_client.py")).await;
}

#[tokio::test]
async fn websockets_of_python_needs_no_special_setting() {
    all_of_it(&mut python("allenhark_websockets.py")).await;
}

async fn all_of_it(command: &mut Command) {
    let server = demo().await;
    let wallet = pasted(&server, "transactions").await;
    let wallet: serde_json::Value = serde_json::from_str(&wallet).expect("it is JSON");
    command.env(
        "TIDINGS_WALLET",
        wallet["wallet"].as_str().expect("an address"),
    );
    let mut script = Script::start(command, &server).await;
    script.succeeds().await;
    server.until_metric("tidings_subscriptions", 0.0).await;
    server.until_metric("tidings_connections", 0.0).await;
}

/// What `serve --demo` prints, pasted into websocat line by line.
#[tokio::test]
async fn what_the_demo_prints_for_websocat_is_answered() {
    let server = demo().await;
    let mut lines = Vec::new();
    for what in [
        r#""apiKey""#,
        r#""channel":"bot""#,
        r#"subscribe","channel":"price""#,
        r#""channel":"transactions""#,
        r#""type":"ping""#,
    ] {
        lines.push(pasted(&server, what).await);
    }
    let session = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(session.path(), lines.join("\n") + "\n").unwrap();
    let mut websocat = Command::new(tool("websocat"));
    websocat
        .arg("--no-close")
        .arg(format!("ws://{}/v1/ws", server.address()))
        .stdin(Stdio::from(session.reopen().unwrap()));
    let mut script = Script::start(&mut websocat, &server).await;
    for line in [
        r#"{"type":"auth_success"}"#,
        r#"{"type":"subscribed","channel":"bot","botId":"bot_abc123"}"#,
        r#"{"type":"price_update","mint":"So11111111111111111111111111111111111111112","price":"#,
        r#""status":"processed""#,
        r#"{"type":"bot_update","botId":"bot_abc123","event":"trade_executed","data":{"#,
        r#""status":"finalized""#,
    ] {
        script.prints(line).await;
    }
}

/// The line that the demo prints with this in it, of those for AllenHark.
async fn pasted(server: &Tidings, what: &str) -> String {
    let mut line = None;
    server
        .until("it says what to paste", async || {
            let printed = server.printed();
            let mut lines = printed.iter().map(|line| line.trim());
            line = lines
                .find(|line| line.starts_with('{') && line.contains(what))
                .map(str::to_owned);
            line.is_some()
        })
        .await;
    line.expect("it was printed")
}
