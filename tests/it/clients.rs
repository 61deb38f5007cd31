//! The clients that people use, as they come, against the demo: one script each, in `tests/clients`.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use ::tidings::bolt11::PaymentRequest;
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;
use tokio::process::{Child, Command};
use tokio::time::timeout;

use crate::tidings::{ISSUER, Tidings};

/// How long a script may run. Each waits for seconds by itself, and clients wait before they reconnect.
const WHOLE_SCRIPT: Duration = Duration::from_secs(120);

#[tokio::test]
async fn graphql_ws_5_needs_no_special_setting() {
    every_subscription(node("graphql-ws.mjs").arg("5")).await;
}

#[tokio::test]
async fn graphql_ws_6_needs_no_special_setting() {
    every_subscription(node("graphql-ws.mjs").arg("6")).await;
}

#[tokio::test]
async fn apollo_client_needs_no_special_setting() {
    every_subscription(&mut node("apollo.mjs")).await;
}

#[tokio::test]
async fn apollo_client_sends_hashes_and_ids_for_documents() {
    let directory = tempfile::tempdir().unwrap();
    let manifest = directory.path().join("manifest.json");
    let trusted = json!({"account-of-the-app": "query Trusted { me { id } }"});
    std::fs::write(&manifest, trusted.to_string()).unwrap();
    let manifest = ("TIDINGS_DOCUMENTS__MANIFEST", manifest.to_str().unwrap());
    let server = Tidings::start_as(&["serve", "--demo"], &[manifest]).await;
    let mut script = Script::start(&mut node("apollo_persisted.mjs"), &server).await;
    script.succeeds().await;
}

#[tokio::test]
async fn urql_needs_no_special_setting() {
    every_subscription(&mut node("urql.mjs")).await;
}

#[tokio::test]
async fn gql_of_python_needs_no_special_setting() {
    every_subscription(&mut python("gql_websockets.py")).await;
}

#[tokio::test]
async fn graphql_ws_5_comes_back_after_a_restart() {
    a_restart(node("reconnect.mjs").arg("5")).await;
}

#[tokio::test]
async fn graphql_ws_6_comes_back_after_a_restart() {
    a_restart(node("reconnect.mjs").arg("6")).await;
}

#[tokio::test]
async fn graphql_ws_does_after_each_close_code_what_the_page_about_them_says() {
    for version in ["5", "6"] {
        let run = node("close_codes.mjs").arg(version).output();
        let output = timeout(WHOLE_SCRIPT, run).await.expect("it ends in time");
        let output = output.expect("node runs");
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "graphql-ws {version}: {said}");
    }
}

#[tokio::test]
async fn graphql_ws_5_hears_of_rewards() {
    rewards(node("rewards.mjs").arg("5")).await;
}

#[tokio::test]
async fn graphql_ws_6_hears_of_rewards() {
    rewards(node("rewards.mjs").arg("6")).await;
}

#[tokio::test]
async fn the_example_prints_prices_and_payments() {
    let server = demo().await;
    let mut script = Script::start(&mut example("graphql-ws.mjs"), &server).await;
    script.prints("btcSatPrice: { base: ").await;
    script.prints("settlementAmount: ").await;
}

#[tokio::test]
async fn the_example_of_rewards_keeps_its_token_fresh() {
    let server = Tidings::start_as(&["serve", "--demo"], &[ISSUER]).await;
    let token = server.token(&["--user-id", "42", "--expires-in", "20s"]);
    let mut example = example("rewards.mjs");
    let mut script = Script::start(example.env("TIDINGS_TOKEN", token), &server).await;
    script.prints("[ 'connected', {} ]").await;
    script.prints("user_id: 42").await;
    script
        .prints("token refreshed: { authenticated: true")
        .await;
}

/// Python's gql 4 is the one that needs this.
#[tokio::test]
async fn an_upgrade_is_answered_in_the_spelling_of_the_client() {
    let server = Tidings::start().await;
    let mut stream = TcpStream::connect(server.address()).await.unwrap();
    stream
        .write_all(
            b"GET /graphql HTTP/1.1\r\nHost: tidings\r\nConnection: Upgrade\r\nUPGRADE: websocket\r\n\
              Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\
              Sec-WebSocket-Protocol: graphql-ws, graphql-transport-ws\r\n\r\n",
        )
        .await
        .unwrap();
    let mut response = String::new();
    let mut lines = BufReader::new(stream).lines();
    while let Some(line) = lines
        .next_line()
        .await
        .unwrap()
        .filter(|line| !line.is_empty())
    {
        response += &format!("{line}\n");
    }
    assert!(response.starts_with("HTTP/1.1 101 "), "{response}");
    assert!(
        response.contains("\nSec-WebSocket-Protocol: graphql-transport-ws\n"),
        "{response}"
    );
    assert!(response.contains("\nUPGRADE: websocket\n"), "{response}");
    assert!(response.contains("\nsec-websocket-accept: "), "{response}");
}

/// The payload of the `connection_init` that the demo prints for its rewards user.
async fn rewards_params(server: &Tidings) -> String {
    let mut params = None;
    server
        .until(
            "the rewards user's connection_init is printed",
            async || {
                params = server.printed().iter().find_map(|line| {
                    let message = line.trim();
                    let message = message.contains("connection_id").then_some(message)?;
                    let message: Value = serde_json::from_str(message).ok()?;
                    Some(message["payload"].to_string())
                });
                params.is_some()
            },
        )
        .await;
    params.expect("it was printed")
}

/// Runs a script that asks for everything. When it says that the invoice is pending, pays: the demo
/// would do it, too, after 15 seconds.
async fn every_subscription(command: &mut Command) {
    let server = demo().await;
    let mut script = Script::start(command, &server).await;
    script.prints("> pay").await;
    pay(&server).await;
    script.succeeds().await;
    server.until_metric("tidings_subscriptions", 0.0).await;
    server.until_metric("tidings_connections", 0.0).await;
    let invalid = r#"tidings_closes_total{reason="invalid_message"}"#;
    assert_eq!(server.metric(invalid).await, 0.0);
}

async fn a_restart(command: &mut Command) {
    let mut server = demo().await;
    let mut script = Script::start(command, &server).await;
    script.prints("> restart").await;
    server.restart().await;
    script.succeeds().await;
}

async fn rewards(command: &mut Command) {
    let server = demo().await;
    let mut script = Script::start(command, &server).await;
    script.succeeds().await;
    server.until_metric("tidings_subscriptions", 0.0).await;
}

async fn demo() -> Tidings {
    Tidings::start_as(&["serve", "--demo"], &[]).await
}

async fn pay(server: &Tidings) {
    let (key, request) = (server.named("API key").await, server.named("Invoice").await);
    let hash = PaymentRequest::decode(&request).unwrap().payment_hash;
    let paid = json!({
        "paymentHash": hash.as_str(),
        "paymentPreimage": "11".repeat(32),
        "status": "Paid",
    });
    let path = format!("/v1/events/LN_PAYMENT_STATUS_{}", hash.as_str());
    let (status, said) = server.post(&path, &key, &paid.to_string()).await;
    assert_eq!(status, 202, "{said}");
}

fn node(script: &str) -> Command {
    let mut command = Command::new("node");
    in_clients(command.arg(script).stdin(Stdio::null()));
    command
}

/// From its standard input Node looks for packages where it is started: they need not be installed a
/// second time.
fn example(name: &str) -> Command {
    let script = std::fs::File::open(root().join("examples").join(name)).expect("an example");
    let mut command = Command::new("node");
    in_clients(command.args(["--input-type=module", "-"]).stdin(script));
    command
}

fn python(script: &str) -> Command {
    let mut command = Command::new(clients().join(".venv/bin/python"));
    in_clients(command.args(["-u", "-B", script]).stdin(Stdio::null()));
    command
}

fn in_clients(command: &mut Command) -> &mut Command {
    command.current_dir(clients())
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn clients() -> PathBuf {
    root().join("tests/clients")
}

/// Insists that what the scripts need is there: a test that skips itself proves nothing.
fn insist_on_clients() {
    let need = |path: &str, command: &str| {
        assert!(
            clients().join(path).exists(),
            "tests/clients/{path} is not there: run `scripts/test`, or\n  {command}"
        );
    };
    need("node_modules/ws", "npm ci --prefix tests/clients");
    need(
        ".venv/bin/python",
        "python3 -m venv tests/clients/.venv && tests/clients/.venv/bin/pip install -r tests/clients/requirements.txt",
    );
}

/// A script that runs beside a server.
struct Script {
    process: Child,
    lines: tokio::io::Lines<BufReader<tokio::process::ChildStdout>>,
    said: String,
}

impl Script {
    async fn start(command: &mut Command, server: &Tidings) -> Self {
        insist_on_clients();
        let mut process = command
            .env(
                "TIDINGS_WS_URL",
                format!("ws://{}/graphql", server.address()),
            )
            .env("TIDINGS_HTTP_URL", server.http_url("/graphql"))
            .env(
                "TIDINGS_REWARDS_WS_URL",
                format!("ws://{}/rewards-graphql-api/", server.address()),
            )
            .env("TIDINGS_REWARDS_PARAMS", rewards_params(server).await)
            .env("TIDINGS_KEY", server.named("API key").await)
            .env("TIDINGS_INVOICE", server.named("Invoice").await)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap_or_else(|error| {
                panic!("{command:?} does not start ({error}): it needs Node 20 and Python 3.11")
            });
        let stdout = BufReader::new(process.stdout.take().expect("it is piped"));
        Script {
            process,
            lines: stdout.lines(),
            said: String::new(),
        }
    }

    /// Waits until it prints a line with this in it.
    async fn prints(&mut self, what: &str) {
        let printed = timeout(WHOLE_SCRIPT, async {
            while let Some(line) = self.lines.next_line().await.expect("it prints text") {
                self.said += &format!("{line}\n");
                if line.contains(what) {
                    return true;
                }
            }
            false
        });
        if printed.await != Ok(true) {
            self.fails(&format!("it does not print {what:?}")).await;
        }
    }

    /// Waits until it has ended well.
    async fn succeeds(&mut self) {
        let rest = timeout(WHOLE_SCRIPT, async {
            while let Some(line) = self.lines.next_line().await.expect("it prints text") {
                self.said += &format!("{line}\n");
            }
            self.process.wait().await.expect("it is our child")
        });
        match rest.await {
            Ok(status) if status.success() => {}
            Ok(status) => self.fails(&status.to_string()).await,
            Err(_) => self.fails("it does not end").await,
        }
    }

    async fn fails(&mut self, why: &str) -> ! {
        let _ = self.process.kill().await;
        let mut errors = String::new();
        if let Some(mut stderr) = self.process.stderr.take() {
            let _ = stderr.read_to_string(&mut errors).await;
        }
        panic!("{why}\n--- printed\n{}--- errors\n{errors}", self.said);
    }
}
