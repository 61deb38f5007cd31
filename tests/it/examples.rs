//! The examples, as somebody runs them who has just started the demo.

use std::fs;
use std::path::Path;
use std::process::Stdio;

use tokio::process::Command;

use crate::script::{ONE_BROWSER, Script, demo, in_clients, node, python, root, tool};
use crate::tidings::{ISSUER, Tidings};

#[tokio::test]
async fn the_example_of_graphql_ws_prints_prices_and_payments() {
    let server = demo().await;
    let mut script = Script::start(&mut module("graphql-ws.mjs"), &server).await;
    script.prints("btcSatPrice: { base: ").await;
    script.prints("settlementAmount: ").await;
}

#[tokio::test]
async fn the_example_of_rewards_keeps_its_token_fresh() {
    let server = Tidings::start_as(&["serve", "--demo"], &[ISSUER]).await;
    let token = server.token(&["--user-id", "42", "--expires-in", "20s"]);
    let mut example = module("rewards.mjs");
    let mut script = Script::start(example.env("TIDINGS_TOKEN", token), &server).await;
    script.prints("[ 'connected', {} ]").await;
    script.prints("user_id: 42").await;
    script
        .prints("token refreshed: { authenticated: true")
        .await;
}

#[tokio::test]
async fn the_example_of_gql_prints_prices_and_payments() {
    let server = demo().await;
    let mut script = Script::start(&mut python("../../examples/gql_prices.py"), &server).await;
    script.prints("'btcSatPrice': {'base': ").await;
    script.prints("'settlementAmount': ").await;
}

#[tokio::test]
async fn the_example_of_graphql_ws_client_prints_prices_and_payments() {
    let server = demo().await;
    let built = Path::new(env!("CARGO_BIN_EXE_tidings")).with_file_name("examples");
    let built = built.join("graphql_ws_client");
    assert!(
        built.exists(),
        "{built:?} is not there: run `cargo build --examples`, as `cargo test` does"
    );
    let mut script = Script::start(&mut Command::new(built), &server).await;
    script.prints(r#""btcSatPrice":{"base":"#).await;
    script.prints(r#""settlementAmount":"#).await;
}

#[tokio::test]
async fn the_examples_of_websocat_print_what_they_are_named_after() {
    let server = demo().await;
    for (example, printed) in [
        ("websocat/price.sh", r#""currencyUnit":"USDCENT""#),
        ("websocat/realtime_price.sh", r#""btcSatPrice":{"base":"#),
        ("websocat/my_updates.sh", r#""settlementAmount":"#),
        ("websocat/legacy.sh", r#""btcSatPrice":{"base":"#),
    ] {
        let mut script = Script::start(&mut shell(example), &server).await;
        script.prints(r#"{"type":"connection_ack"}"#).await;
        script.prints(printed).await;
    }
}

#[tokio::test]
async fn the_examples_of_allenhark_print_trades_prices_and_transactions() {
    let server = demo().await;
    for (mut example, told) in [
        (
            module("allenhark.mjs"),
            ["price So11", "processed in", "bot bot_abc123 trade_"],
        ),
        (
            python("../../examples/allenhark.py"),
            ["price_update {", "'status': 'processed'", "bot_update {"],
        ),
        (
            shell("websocat/allenhark.sh"),
            [
                r#"{"type":"price_update","#,
                r#""status":"processed""#,
                r#"{"type":"bot_update","#,
            ],
        ),
    ] {
        let mut script = Script::start(&mut example, &server).await;
        script.prints("auth_success").await;
        for told in told {
            script.prints(told).await;
        }
    }
}

#[tokio::test]
async fn the_examples_of_blockdb_print_blocks_corrections_transfers_and_logs() {
    let server = demo().await;
    for (mut example, told) in [
        (
            module("blockdb.mjs"),
            vec!["subscribe success", "log 1900", "of a0b86991"],
        ),
        (
            python("../../examples/blockdb.py"),
            vec!["subscribe success", "block 1900", "corrected 1900"],
        ),
        (
            shell("websocat/blockdb.sh"),
            vec![
                r#""dataset_id":"0304","status":"success"}"#,
                r#""dataset_id":"0101","is_reorg":false"#,
                r#""transfer_type":0"#,
            ],
        ),
    ] {
        let mut script = Script::start(&mut example, &server).await;
        for told in told {
            script.prints(told).await;
        }
    }
}

#[tokio::test]
async fn the_example_of_curl_prints_prices_and_with_a_key_payments() {
    let server = demo().await;
    let mut anonymous = Command::new("env");
    anonymous.args(["-u", "TIDINGS_KEY"]);
    anonymous.arg(root().join("examples/sse.sh"));
    let mut script = Script::start(&mut anonymous, &server).await;
    script.prints("event: next").await;
    script.prints(r#""btcSatPrice":{"base":"#).await;
    let mut script = Script::start(&mut shell("sse.sh"), &server).await;
    script.prints(r#""settlementAmount":"#).await;
}

#[tokio::test]
async fn what_the_demo_prints_for_curl_is_answered() {
    let server = demo().await;
    server.named("curl").await;
    let printed = server.printed();
    let first = printed
        .iter()
        .position(|line| line.trim().starts_with("curl"));
    let command = printed[first.expect("it was printed")..][..2].join("\n");
    let mut shell = Command::new("sh");
    let mut script = Script::start(shell.args(["-c", &command]), &server).await;
    script.prints("event: next").await;
    script
        .prints(r#"{"data":{"myUpdates":{"update":{"type":"RealtimePrice""#)
        .await;
}

/// The page is `apollo-client/index.html`, with `apollo-client/main.mjs`. Chromium opens it.
#[tokio::test]
async fn the_example_of_apollo_client_shows_the_same_over_each_transport() {
    let _alone = ONE_BROWSER.lock().await;
    let server = demo().await;
    let mut script = Script::start(&mut node("page.mjs"), &server).await;
    script.succeeds().await;
    // What a page held is gone with it.
    server.until_metric("tidings_subscriptions", 0.0).await;
    server.until_metric("tidings_connections", 0.0).await;
}

#[test]
fn each_example_says_how_it_is_run_and_is_run_here() {
    let examples = root().join("examples");
    let here = include_str!("examples.rs");
    let mut folders = vec![examples.clone()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).expect("there are examples") {
            let path = entry.expect("it can be read").path();
            if path.is_dir() {
                folders.push(path);
                continue;
            }
            let name = path.strip_prefix(&examples).expect("it is in there");
            let name = name.to_str().expect("it is text");
            let run = name.strip_suffix(".rs").unwrap_or(name);
            assert!(here.contains(run), "{name} is not run");
            let text = fs::read_to_string(&path).expect("it is text");
            // A command, set off by four spaces, before the code begins.
            let lines = text.lines().take(8);
            let comments = lines.map(|line| line.trim_start_matches(['#', '/', '!', '<', '-']));
            let mut commands = comments.filter(|line| line.starts_with("     "));
            assert!(commands.next().is_some(), "{name}: how is it run?");
        }
    }
}

/// From its standard input Node looks for packages where it is started: they need not be installed a
/// second time.
fn module(name: &str) -> Command {
    let script = fs::File::open(root().join("examples").join(name)).expect("an example");
    let mut command = Command::new("node");
    in_clients(command.args(["--input-type=module", "-"]).stdin(script));
    command
}

fn shell(name: &str) -> Command {
    let mut command = Command::new(root().join("examples").join(name));
    let tools = tool("websocat");
    let tools = tools.parent().expect("it is in a folder").display();
    let path = std::env::var("PATH").unwrap_or_default();
    command.env("PATH", format!("{tools}:{path}"));
    command.stdin(Stdio::null());
    command
}
