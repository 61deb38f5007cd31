//! The playground: what a browser is given at the GraphQL path, and what somebody does with it.

use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use flate2::read::GzDecoder;
use reqwest::Response;
use reqwest::header::HeaderMap;
use serde_json::Value;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::Command;
use tokio::time::timeout;

use crate::script::{ONE_BROWSER, artifacts};
use crate::tidings::{Tidings, http};

/// What Chromium says that it takes, when somebody opens a page.
const BROWSER: &str =
    "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,*/*;q=0.8";

/// How long a browser may take for all that the test does in it.
const WHOLE_SCRIPT: Duration = Duration::from_secs(600);

/// How long an installation from the network may take, and a build.
const WHOLE_BUILD: Duration = Duration::from_secs(300);

#[tokio::test]
async fn a_browser_without_a_network_runs_every_example_of_the_demo() {
    let need = "tests/clients/node_modules/playwright-core";
    assert!(
        root().join(need).exists(),
        "{need} is not there: run `scripts/test`, or\n  npm ci --prefix tests/clients"
    );
    let mut server = Tidings::start_as(&["serve", "--demo"], &[]).await;
    let url = server.named("Playground").await;
    assert_eq!(url, server.http_url("/graphql"));
    let artifacts = artifacts();
    let _alone = ONE_BROWSER.lock().await;
    let mut script = Command::new("node")
        .arg("playground.mjs")
        .current_dir(root().join("tests/clients"))
        .env("TIDINGS_PLAYGROUND_URL", url)
        .env("TIDINGS_KEY", server.named("API key").await)
        .env("TIDINGS_ARTIFACTS", &artifacts)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .expect("node runs");
    let mut lines = BufReader::new(script.stdout.take().expect("it is piped")).lines();
    let mut printed = String::new();
    let run = async {
        while let Some(line) = lines.next_line().await.expect("it prints text") {
            printed += &format!("{line}\n");
            if line == "> restart" {
                server.restart().await;
            }
        }
        script.wait_with_output().await.expect("it is our child")
    };
    let ended = timeout(WHOLE_SCRIPT, run).await;
    let output = ended.unwrap_or_else(|_| panic!("it does not end\n{printed}"));
    assert!(
        output.status.success(),
        "{printed}\n{}",
        text(output.stderr)
    );
    // Whatever was left running in the browser ended with it.
    server.until_metric("tidings_subscriptions", 0.0).await;
    server.until_metric("tidings_connections", 0.0).await;
    println!("{printed}screenshots are in {}", artifacts.display());
}

#[tokio::test]
async fn what_is_embedded_is_what_its_sources_make() {
    let run = Command::new("playground/build")
        .arg("--check")
        .current_dir(root())
        .kill_on_drop(true)
        .output();
    let output = timeout(WHOLE_BUILD, run).await.expect("it ends in time");
    let output = output.expect("bash runs");
    assert!(
        output.status.success(),
        "{}{}",
        text(output.stdout),
        text(output.stderr)
    );
}

#[tokio::test]
async fn every_graphql_path_shows_a_page_whose_files_are_below_it() {
    let server = Tidings::start().await;
    for path in [
        "/graphql",
        "/rewards-graphql-api/",
        "/rewards-graphql-api",
        "/rewards-graphql-api/query",
    ] {
        let page = get(&server, path, &[("accept", BROWSER)]).await;
        assert_eq!(page.status(), 200, "{path}");
        let base = page.url().clone();
        let page = page.text().await.unwrap();
        let names: Vec<_> = page
            .split("=\"./")
            .skip(1)
            .filter_map(|rest| rest.split('"').next())
            .collect();
        assert!(names.len() > 2, "{page}");
        for name in names {
            let url = base.join(name).unwrap();
            let folder = format!("{}/playground/", path.trim_end_matches('/'));
            assert!(url.path().starts_with(&folder), "{url}");
            let file = get(&server, url.path(), &[]).await;
            assert_eq!(file.status(), 200, "{url}");
        }
    }
}

#[tokio::test]
async fn the_page_may_load_its_own_files_alone_and_be_in_no_frame() {
    let server = Tidings::start().await;
    let page = get(&server, "/graphql", &[("accept", BROWSER)]).await;
    assert_eq!(
        said(page.headers(), "content-type"),
        "text/html; charset=utf-8"
    );
    assert_eq!(said(page.headers(), "cache-control"), "no-cache");
    assert_eq!(said(page.headers(), "x-content-type-options"), "nosniff");
    assert_eq!(said(page.headers(), "x-frame-options"), "DENY");
    assert!(said(page.headers(), "vary").contains("Accept"));
    let policy = said(page.headers(), "content-security-policy");
    for rule in [
        "default-src 'none'",
        "script-src 'self'",
        "connect-src 'self'",
        "frame-ancestors 'none'",
    ] {
        assert!(policy.split("; ").any(|said| said == rule), "{policy}");
    }
    assert!(!policy.contains("http"), "{policy}");
}

#[tokio::test]
async fn files_come_compressed_to_stay_and_plain_to_those_who_cannot_read_that() {
    let server = Tidings::start().await;
    for (ending, content_type) in [
        (".js", "text/javascript; charset=utf-8"),
        (".css", "text/css; charset=utf-8"),
        (".svg", "image/svg+xml"),
    ] {
        let path = file_named(&server, ending).await;
        let zipped = get(&server, &path, &[("accept-encoding", "gzip, deflate, br")]).await;
        assert_eq!(said(zipped.headers(), "content-type"), content_type);
        assert_eq!(said(zipped.headers(), "content-encoding"), "gzip");
        assert_eq!(said(zipped.headers(), "x-content-type-options"), "nosniff");
        assert_eq!(
            said(zipped.headers(), "cache-control"),
            "public, max-age=31536000, immutable"
        );
        assert!(said(zipped.headers(), "vary").contains("Accept-Encoding"));
        let zipped = zipped.bytes().await.unwrap();
        for refusal in ["identity", "br, gzip;q=0", "~~~~"] {
            let plain = get(&server, &path, &[("accept-encoding", refusal)]).await;
            assert_eq!(said(plain.headers(), "content-encoding"), "");
            assert_eq!(said(plain.headers(), "content-type"), content_type);
            let mut unzipped = Vec::new();
            GzDecoder::new(&zipped[..])
                .read_to_end(&mut unzipped)
                .unwrap();
            assert_eq!(plain.bytes().await.unwrap(), unzipped, "{path}");
        }
    }
}

#[tokio::test]
async fn nothing_else_is_below_the_playground() {
    let server = Tidings::start().await;
    for path in [
        "/graphql/playground/no.js",
        "/graphql/playground/",
        "/graphql/playground",
        "/graphql/playground/a/b",
    ] {
        let (status, said) = server.get(path).await;
        assert_eq!(
            (status, said.as_str()),
            (404, "Nothing is here. GraphQL is at /graphql\n"),
            "{path}"
        );
    }
}

#[tokio::test]
async fn programs_are_told_how_to_ask_and_not_shown_a_page() {
    let server = Tidings::start().await;
    for accept in ["*/*", "application/json", "text/html;q=0, */*"] {
        let response = get(&server, "/graphql", &[("accept", accept)]).await;
        assert_ne!(
            said(response.headers(), "content-type"),
            "text/html; charset=utf-8"
        );
        let words = response.text().await.unwrap();
        assert!(words.contains("This is a GraphQL endpoint"), "{words}");
    }
    // What is asked in the URL is not answered with an editor.
    let asked = get(
        &server,
        "/graphql?query={__typename}",
        &[("accept", BROWSER)],
    )
    .await;
    assert_ne!(
        said(asked.headers(), "content-type"),
        "text/html; charset=utf-8"
    );
}

#[tokio::test]
async fn an_operator_can_turn_it_off() {
    let off = [("TIDINGS_SERVER__PLAYGROUND", "false")];
    let server = Tidings::start_as(&["serve", "--demo"], &off).await;
    let response = get(&server, "/graphql", &[("accept", BROWSER)]).await;
    let words = response.text().await.unwrap();
    assert!(words.contains("This is a GraphQL endpoint"), "{words}");
    assert_eq!(server.get("/graphql/playground/demo.json").await.0, 404);
    server.named("Invoice").await;
    assert!(
        !server
            .printed()
            .iter()
            .any(|line| line.contains("Playground"))
    );
}

#[tokio::test]
async fn only_a_demo_tells_its_credentials_and_only_to_its_own_page() {
    let path = "/graphql/playground/demo.json";
    let server = Tidings::start().await;
    assert_eq!(server.get(path).await, (200, "null".to_owned()));

    let demo = Tidings::start_as(&["serve", "--demo"], &[]).await;
    let key = demo.named("API key").await;
    let facts = get(&demo, path, &[]).await;
    assert_eq!(said(facts.headers(), "cache-control"), "no-store");
    let facts: Value = serde_json::from_str(&facts.text().await.unwrap()).unwrap();
    assert_eq!(facts["apiKey"], key);
    assert_eq!(facts["paymentRequest"], demo.named("Invoice").await);
    let elsewhere = get(&demo, path, &[("origin", "https://elsewhere.example")]).await;
    assert_eq!(elsewhere.status(), 403);
    assert_eq!(elsewhere.text().await.unwrap(), "");
    for (host, status) in [
        ("localhost:4000", 200),
        ("[::1]:4000", 200),
        ("192.0.2.1", 200),
        ("rebound.example", 403),
        ("localhost.example:4000", 403),
    ] {
        let answer = get(&demo, path, &[("host", host)]).await;
        assert_eq!(answer.status(), status, "{host}");
    }
}

async fn get(server: &Tidings, path: &str, headers: &[(&str, &str)]) -> Response {
    let mut request = http().get(server.http_url(path));
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    request.send().await.expect("tidings answers")
}

/// The path of a file of the page that ends so.
async fn file_named(server: &Tidings, ending: &str) -> String {
    let page = get(server, "/graphql", &[("accept", BROWSER)]).await;
    let page = page.text().await.unwrap();
    let mut names = page.split('"');
    let name = names
        .find(|name| name.ends_with(ending))
        .expect("there is one");
    name.replacen('.', "", 1)
}

/// What a header says; nothing if it is not there.
fn said(headers: &HeaderMap, name: &str) -> String {
    let values = headers.get_all(name).iter();
    let texts: Vec<_> = values.map(|value| value.to_str().expect("text")).collect();
    texts.join(", ")
}

fn text(bytes: Vec<u8>) -> String {
    String::from_utf8_lossy(&bytes).into_owned()
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).to_owned()
}
