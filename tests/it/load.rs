//! `tidings load`: what it counts, against servers that do well and servers that do not.

use std::process::Stdio;

use serde_json::{Value, json};
use tokio::net::{TcpListener, TcpStream};

use crate::redis_server::RedisServer;
use crate::tidings::Tidings;
use crate::token_issuer::{key_path, tls_of_localhost};

/// How a run ended.
pub(crate) struct Ended {
    pub(crate) code: Option<i32>,
    pub(crate) printed: String,
    pub(crate) said: String,
    directory: tempfile::TempDir,
}

impl Ended {
    fn file(&self, name: &str) -> String {
        std::fs::read_to_string(self.directory.path().join(name)).expect(name)
    }

    /// The report of a run with `--json report.json`.
    pub(crate) fn report(&self) -> Value {
        serde_json::from_str(&self.file("report.json")).expect("the report is JSON")
    }

    #[track_caller]
    pub(crate) fn good(&self) -> Value {
        assert_eq!(self.code, Some(0), "{}{}", self.printed, self.said);
        self.report()
    }

    #[track_caller]
    pub(crate) fn failed(&self, reason: &str) -> Value {
        assert_eq!(self.code, Some(1), "{}{}", self.printed, self.said);
        assert_eq!(self.said.trim_end(), format!("error: {reason}"));
        self.report()
    }
}

/// Runs `tidings load` in a directory with these files.
pub(crate) async fn load(arguments: &[&str], files: &[(&str, &str)]) -> Ended {
    let directory = tempfile::tempdir().expect("a directory");
    for (name, text) in files {
        std::fs::write(directory.path().join(name), text).expect(name);
    }
    let output = tokio::process::Command::new(env!("CARGO_BIN_EXE_tidings"))
        .arg("load")
        .args(arguments)
        .args(["--quiet", "--json", "report.json"])
        .current_dir(directory.path())
        .env_clear()
        .stdin(Stdio::null())
        .output()
        .await
        .expect("tidings runs");
    Ended {
        code: output.status.code(),
        printed: String::from_utf8(output.stdout).expect("text"),
        said: String::from_utf8(output.stderr).expect("text"),
        directory,
    }
}

/// How much was published: something, however busy the machine is.
pub(crate) fn published(report: &Value) -> u64 {
    let published = report["publications"]["published"].as_u64();
    published
        .filter(|count| *count > 0)
        .expect("something was published")
}

const ACCOUNT: &str = "0d3d3c1a-5e0e-4b7b-8f59-7f1a7b1f6a51";

/// A server, and what a run needs to publish to it over HTTP.
async fn over_http() -> (Tidings, String, [String; 3]) {
    let server = Tidings::start().await;
    let key = server.key(ACCOUNT, &["read", "publish"]).await;
    let publish = server.http_url("/");
    let url = server.ws_url();
    (server, url, ["--publish".to_owned(), publish, key])
}

/// The arguments of a preset against a server, over HTTP.
fn preset<'a>(name: &'a str, url: &'a str, http: &'a [String; 3]) -> Vec<&'a str> {
    preset_for("1s", name, url, http)
}

fn preset_for<'a>(
    duration: &'a str,
    name: &'a str,
    url: &'a str,
    http: &'a [String; 3],
) -> Vec<&'a str> {
    let [publish, to, key] = http.each_ref().map(String::as_str);
    vec![
        "--preset", name, "--url", url, publish, to, "--key", key, "--for", duration, "--rate",
        "20",
    ]
}

#[tokio::test]
async fn prices_reach_everybody_once_and_in_order() {
    let (server, url, http) = over_http().await;
    let pid = server.pid().to_string();
    let mut arguments = preset("price", &url, &http);
    arguments.extend(["-n", "50", "--server-pid", &pid, "--html", "report.html"]);
    let ended = load(&arguments, &[]).await;
    let report = ended.good();
    let connections = &report["connections"];
    assert_eq!(connections["subscribed"], 50);
    assert_eq!(connections["firstResults"], 50, "{report:#}");
    let published = published(&report);
    let deliveries = &report["deliveries"];
    assert_eq!(deliveries["received"], published * 50, "{report:#}");
    assert_eq!(deliveries["isExact"], true);
    assert_eq!(deliveries["latency"]["count"], published * 50);
    assert!(report["server"]["residentBytesConnected"].as_u64() > Some(1_000_000));
    assert!(
        ended.printed.contains("connected         50 of 50 in "),
        "{}",
        ended.printed
    );
    server.until_metric("tidings_connections", 0.0).await;
    is_a_page_of_its_own(&ended.file("report.html"));
}

#[tokio::test]
async fn a_server_behind_tls_is_reached_if_its_authority_is_trusted() {
    let (server, _, http) = over_http().await;
    let (proxy, behind) = (tls_of_localhost(), server.address());
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        while let Ok((socket, _)) = listener.accept().await {
            let proxy = proxy.clone();
            tokio::spawn(async move {
                let mut outside = proxy.accept(socket).await?;
                let mut inside = TcpStream::connect(behind).await?;
                tokio::io::copy_bidirectional(&mut outside, &mut inside).await
            });
        }
    });
    let url = format!("wss://localhost:{port}/graphql");
    let mut arguments = preset("price", &url, &http);
    arguments.extend(["-n", "5"]);
    let stranger = load(&arguments, &[]).await;
    stranger.failed("5 connections were refused");
    let authority = key_path("ca.crt.pem");
    arguments.extend(["--ca-file", authority.to_str().unwrap()]);
    let report = load(&arguments, &[]).await.good();
    let received = &report["deliveries"]["received"];
    assert_eq!(*received, published(&report) * 5, "{report:#}");
}

#[tokio::test]
async fn through_redis_prices_come_in_bursts_from_several_threads() {
    let redis = RedisServer::start().await;
    let server = Tidings::start_on(&redis, &[]).await;
    let (url, to) = (server.ws_url(), redis.url().to_string());
    let arguments = [
        "--preset",
        "price",
        "--url",
        &url,
        "--publish",
        &to,
        "-n",
        "20",
        "--threads",
        "2",
        "--scenario",
        "burst",
        "--burst",
        "8",
        "--rate",
        "5",
        "--for",
        "1s",
        "--source-addresses",
        "3",
    ];
    let report = load(&arguments, &[]).await.good();
    assert_eq!(report["publications"]["published"], 40);
    assert_eq!(report["publications"]["unheard"], 0);
    assert_eq!(report["deliveries"]["received"], 800);
    assert_eq!(report["scenario"], "burst");
}

#[tokio::test]
async fn each_account_is_told_its_own_payments() {
    let (server, url, http) = over_http().await;
    let accounts = [1, 2, 3].map(|number| format!("{number}d3d3c1a-5e0e-4b7b-8f59-7f1a7b1f6a51"));
    let mut keys = Vec::new();
    for account in &accounts {
        keys.push(server.key(account, &["read"]).await);
    }
    let mut arguments = preset("my-updates", &url, &http);
    arguments.extend([
        "-n",
        "6",
        "--keys",
        "keys.txt",
        "--accounts",
        "accounts.txt",
    ]);
    let files = [
        ("keys.txt", keys.join("\n")),
        ("accounts.txt", accounts.join("\n")),
    ];
    let files = files.each_ref().map(|(name, text)| (*name, text.as_str()));
    let report = load(&arguments, &files).await.good();
    // Two connections for each account.
    assert_eq!(report["deliveries"]["received"], 2 * published(&report));
    assert_eq!(report["deliveries"]["foreign"], 0);
}

#[tokio::test]
async fn each_invoice_is_paid_once() {
    let (_server, url, http) = over_http().await;
    let mut arguments = preset_for("20s", "invoice", &url, &http);
    arguments.extend(["-n", "8"]);
    let report = load(&arguments, &[]).await.good();
    assert_eq!(report["publications"]["published"], 8);
    assert_eq!(report["deliveries"]["received"], 8);
    assert_eq!(report["deliveries"]["completed"], 8);
}

#[tokio::test]
async fn each_rewards_user_is_told_its_own_points() {
    let (server, url, http) = over_http().await;
    let mut keys = Vec::new();
    for user in ["7", "8"] {
        let key = server.new_key(ACCOUNT, &["read"], &["--user-id", user]);
        server.until_known(&key).await;
        keys.push(key);
    }
    let keys = keys.join("\n");
    let mut arguments = preset("rewards", &url, &http);
    arguments.extend(["-n", "4", "--keys", "keys.txt", "--accounts", "users.txt"]);
    let files = [("keys.txt", keys.as_str()), ("users.txt", "7\n8\n")];
    let report = load(&arguments, &files).await.good();
    assert_eq!(report["deliveries"]["received"], 2 * published(&report));
    assert_eq!(report["connections"]["firstResults"], 4);
}

#[tokio::test]
async fn after_a_storm_everybody_is_back() {
    let (_server, url, http) = over_http().await;
    let mut arguments = preset("price", &url, &http);
    arguments.extend(["-n", "30", "--scenario", "storm", "--storms", "2"]);
    let report = load(&arguments, &[]).await.good();
    let returns = &report["returns"];
    // Who was not back from the first storm when the second came was not told to go.
    assert!(returns["toldTo"].as_u64() >= Some(30), "{report:#}");
    assert_eq!(returns["subscribed"], returns["toldTo"]);
    assert_eq!(returns["firstResults"], returns["toldTo"]);
    assert!(returns["toFirstResult"]["maxMs"].as_f64() > Some(0.0));
}

#[tokio::test]
async fn while_some_come_and_go_the_others_lack_nothing() {
    let (_server, url, http) = over_http().await;
    let mut arguments = preset("price", &url, &http);
    arguments.extend(["-n", "20", "--scenario", "churn", "--churn-rate", "50"]);
    let report = load(&arguments, &[]).await.good();
    assert!(
        report["returns"]["subscribed"].as_u64() > Some(20),
        "{report:#}"
    );
}

#[tokio::test]
async fn clients_that_do_not_read_are_counted_by_themselves() {
    let settings = [
        ("TIDINGS_LIMITS__OUTBOX_FRAMES", "4"),
        ("TIDINGS_LIMITS__CONFLATE_ABOVE", "1000"),
    ];
    let server = Tidings::start_with(&settings).await;
    let key = server.key(ACCOUNT, &["read", "publish"]).await;
    let (url, to) = (server.ws_url(), server.http_url("/"));
    let http = ["--publish".to_owned(), to, key];
    let mut arguments = preset("price", &url, &http);
    arguments.extend(["-n", "10", "--scenario", "slow", "--slow-share", "20%"]);
    let report = load(&arguments, &[]).await.good();
    assert_eq!(report["slow"]["clients"], 2);
    assert_eq!(report["deliveries"]["received"], 8 * published(&report));
}

#[tokio::test]
async fn a_demo_can_be_put_under_load_with_the_key_it_prints() {
    let server = Tidings::start_as(&["serve", "--demo"], &[]).await;
    let (key, account) = (server.named("API key").await, server.named("Account").await);
    let (url, to) = (server.ws_url(), server.http_url("/"));
    let http = ["--publish".to_owned(), to, key];
    let mut arguments = preset("my-updates", &url, &http);
    arguments.extend(["-n", "5", "--account", &account]);
    let report = load(&arguments, &[]).await.good();
    assert_eq!(
        report["deliveries"]["received"],
        5 * published(&report),
        "{report:#}"
    );
}

#[tokio::test]
async fn connections_that_are_refused_or_closed_are_told_with_the_servers_words() {
    let (_server, url, http) = over_http().await;
    let mut arguments = preset("my-updates", &url, &http);
    arguments.extend([
        "-n",
        "3",
        "--account",
        ACCOUNT,
        "--init",
        r#"{"X-API-KEY":"blink_wrong"}"#,
    ]);
    let report = load(&arguments, &[])
        .await
        .failed("3 connections were refused");
    assert_eq!(
        report["closes"],
        json!([{ "code": 4403, "reason": "Forbidden", "count": 3 }])
    );

    let elsewhere = url.replace("/graphql", "/elsewhere");
    let arguments = preset("price", &elsewhere, &http);
    let report = load(&[&arguments[..], &["-n", "2"]].concat(), &[])
        .await
        .failed("2 connections were refused");
    assert_eq!(report["errors"][0]["error"], "HTTP 404 Not Found");
}

#[tokio::test]
async fn what_the_bus_does_not_take_is_no_success() {
    let (_server, url, http) = over_http().await;
    let mut arguments = preset("price", &url, &http);
    arguments.extend([
        "-n",
        "1",
        "--body",
        r#"{"pricePerSat":"cheap {seq}"}"#,
        "--rate",
        "1",
    ]);
    let at = arguments
        .iter()
        .position(|argument| *argument == "20")
        .unwrap();
    arguments.drain(at - 1..=at);
    let ended = load(&arguments, &[]).await;
    assert_eq!(ended.code, Some(1), "{}", ended.said);
    assert!(
        ended.printed.contains("publishing was answered with 422"),
        "{}",
        ended.printed
    );
    assert_eq!(ended.report()["publications"]["failed"], 1);
}

#[tokio::test]
async fn what_cannot_be_done_is_said_before_anything_is_begun() {
    let refused = async |arguments: &[&str]| {
        let ended = load(&[&["--url", "ws://127.0.0.1:1/"], arguments].concat(), &[]).await;
        assert_eq!(ended.code, Some(1), "{}", ended.said);
        ended.said.trim_end().to_owned()
    };
    assert_eq!(refused(&[]).await, "error: give a --query, or a --preset");
    let said = refused(&["--preset", "price", "-n", "10000000"]).await;
    assert!(said.contains("`ulimit -n 10000064`"), "{said}");
    assert_eq!(
        refused(&["--preset", "my-updates"]).await,
        "error: --init needs {key}: give --keys FILE or --key KEY"
    );
    assert_eq!(
        refused(&["--preset", "price", "--publish", "ftp://localhost"]).await,
        "error: --publish ftp://localhost: expected redis://, rediss://, http:// or https://"
    );
    assert_eq!(
        refused(&["--query", "@{ a }", "--match", "n"]).await,
        "error: --match: expected a text with {seq} in it once, and something before it"
    );
    assert_eq!(
        refused(&["--query", "@{ a }", "--body", "x"]).await,
        "error: --body says what to publish, and nothing says where: give --publish"
    );
    assert_eq!(
        refused(&["--query", "missing.graphql"]).await,
        "error: --query: cannot read missing.graphql: No such file or directory (os error 2)"
    );
    let said = refused(&["--preset", "price", "--server-pid", "4294967295"]).await;
    assert_eq!(said, "error: --server-pid: there is no process 4294967295");
}

#[tokio::test]
async fn a_run_that_is_interrupted_reports_what_there_was() {
    let (server, url, http) = over_http().await;
    let directory = tempfile::tempdir().unwrap();
    let mut arguments = preset("price", &url, &http);
    arguments.extend(["-n", "5"]);
    let at = arguments
        .iter()
        .position(|argument| *argument == "1s")
        .unwrap();
    arguments[at] = "10m";
    let child = tokio::process::Command::new(env!("CARGO_BIN_EXE_tidings"))
        .arg("load")
        .args(&arguments)
        .args(["--json", "-"])
        .current_dir(directory.path())
        .env_clear()
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    server.until_metric("tidings_connections", 5.0).await;
    server
        .until("it is published", async || {
            server.metric("tidings_deliveries_total").await > 10.0
        })
        .await;
    let pid = child.id().unwrap().to_string();
    assert!(
        std::process::Command::new("kill")
            .args(["-INT", &pid])
            .status()
            .unwrap()
            .success()
    );
    let output = child.wait_with_output().await.unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(0), "{said}");
    assert!(said.starts_with("connecting: 0 of 5"), "{said}");
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(report["isInterrupted"], true);
    assert!(
        report["deliveries"]["received"].as_u64() > Some(0),
        "{report:#}"
    );
}

/// Whether a page is well formed, has its charts, and needs nothing from anywhere.
fn is_a_page_of_its_own(html: &str) {
    for outside in [
        "http://", "https://", "src=", "href=", "@import", "url(", "<script",
    ] {
        // The address of the server is there as text.
        let found = html
            .match_indices(outside)
            .find(|(at, _)| !html[..*at].ends_with(['"', ' ', '>']));
        assert_eq!(found, None, "{outside}");
    }
    assert_eq!(html.matches("<svg ").count(), 4);
    let mut open = Vec::new();
    for tag in html.split('<').skip(1) {
        let (tag, _) = tag.split_once('>').expect("tags end");
        let name = tag
            .trim_start_matches('/')
            .split([' ', '/'])
            .next()
            .unwrap();
        if tag.starts_with('/') {
            assert_eq!(open.pop(), Some(name), "{html}");
        } else if !tag.ends_with('/') && !["!doctype", "meta"].contains(&name) {
            open.push(name);
        }
    }
    assert!(open.is_empty(), "{open:?}");
    assert!(!html.contains("NaN") && !html.contains("inf "), "{html}");
}
