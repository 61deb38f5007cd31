//! The clients that people use, as they come, in the shape of WebSocks' own samples: one script each, in
//! `tests/clients`.

use tokio::process::Command;

use super::{ALICE, Hook, hook, start, taken, until_heard};
use crate::script::{ONE_BROWSER, Script, node, python, tool};
use crate::tidings::{Tidings, http};

fn run(command: &mut Command, server: &Tidings, token: &str) -> Script {
    let stream = format!("/api/events/stream?token={token}");
    // Without a path, as WebSocks writes it.
    let socket = format!("ws://{}?token={token}", server.address());
    command
        .env("TIDINGS_STREAM_URL", server.http_url(&stream))
        .env("TIDINGS_SOCKET_URL", socket);
    Script::spawn(command)
}

/// Posts a webhook, which has this number, and waits until the script says that it was received.
async fn receives(script: &mut Script, server: &Tidings, hook: &Hook, number: u32) {
    let body = format!("{{\n  \"event\": \"user.signup\",\r\n  \"number\": {number}\n}}\n");
    taken(server, &hook.path, &body).await;
    prints(script, number).await;
}

async fn prints(script: &mut Script, number: u32) {
    let printed = format!(r#"Webhook received: {{"event":"user.signup","number":{number}}}"#);
    script.prints(&printed).await;
}

/// Closes all connections of the account, as if a server stopped.
async fn cut(server: &Tidings, admin: &str) {
    let path = format!("/v1/connections?account={ALICE}&code=1012");
    let request = http().delete(server.http_url(&path));
    let cut = request.header("x-api-key", admin).send().await.unwrap();
    assert!(cut.status().is_success(), "{}", cut.status());
}

/// It receives webhooks, and those too that come while it is away; and it stays away with a bad token.
async fn event_source(
    mut command: impl FnMut() -> Command,
    listeners: f64,
) -> (Tidings, Hook, Script) {
    let server = start().await;
    let hook = hook(&[&server], ALICE, &[]).await;
    let admin = server.key(ALICE, &["admin"]).await;
    let mut script = run(&mut command(), &server, &hook.token);
    script.prints("> open").await;
    until_heard(&server, listeners).await;
    for number in 1..=3 {
        receives(&mut script, &server, &hook, number).await;
    }
    cut(&server, &admin).await;
    server.until_metric("tidings_connections", 0.0).await;
    for number in 4..=6 {
        taken(
            &server,
            &hook.path,
            &format!(r#"{{"event":"user.signup","number":{number}}}"#),
        )
        .await;
    }
    script.prints("> away").await;
    for number in 4..=6 {
        prints(&mut script, number).await;
    }
    receives(&mut script, &server, &hook, 7).await;
    assert!(server.metric("tidings_webhook_replays_total").await >= 3.0);
    let mut other = run(&mut command(), &server, "nonsense");
    other.prints("> refused").await;
    (server, hook, script)
}

/// It receives webhooks, and hears that its token is bad.
async fn simple(mut command: impl FnMut() -> Command) {
    let server = start().await;
    let hook = hook(&[&server], ALICE, &[]).await;
    let mut script = run(&mut command(), &server, &hook.token);
    script.prints("> open").await;
    until_heard(&server, 1.0).await;
    for number in 1..=3 {
        receives(&mut script, &server, &hook, number).await;
    }
    let mut script = run(&mut command(), &server, "nonsense");
    script.prints("401").await;
}

#[tokio::test]
async fn eventsource_of_npm_needs_no_special_setting() {
    event_source(|| node("websocks_eventsource.mjs"), 1.0).await;
}

#[tokio::test]
async fn the_event_source_of_a_page_of_another_origin_needs_no_special_setting() {
    let _alone = ONE_BROWSER.lock().await;
    let (server, _, script) = event_source(|| node("websocks_page.mjs"), 2.0).await;
    for line in [
        "> socket open",
        r#"On the socket: {"event":"user.signup","number":3}"#,
        "> socket closed",
    ] {
        assert!(script.said().contains(line), "{}", script.said());
    }
    drop(server);
}

#[tokio::test]
async fn ws_of_npm_needs_no_special_setting() {
    simple(|| node("websocks_ws.mjs")).await;
}

#[tokio::test]
async fn sseclient_py_needs_no_special_setting() {
    simple(|| python("websocks_sseclient.py")).await;
}

#[tokio::test]
async fn websocket_client_of_python_needs_no_special_setting() {
    simple(|| python("websocks_websocket.py")).await;
}

#[tokio::test]
async fn curl_and_websocat_print_what_the_demo_is_sent() {
    let server = crate::script::demo().await;
    let (url, token) = (
        server.named("Webhook URL").await,
        server.named("Webhook token").await,
    );
    let mut curl = Command::new("curl");
    curl.arg("-sN")
        .arg(server.http_url(&format!("/api/events/stream?token={token}")));
    let mut curl = Script::spawn(&mut curl);
    curl.prints("retry: 3000").await;
    let mut websocat = Command::new(tool("websocat"));
    websocat.arg(format!("ws://{}/?token={token}", server.address()));
    // It ends with its stdin.
    websocat.stdin(std::process::Stdio::piped());
    let mut websocat = Script::spawn(&mut websocat);
    server
        .until("both listen", async || {
            server.metric("tidings_subscriptions").await == 2.0
        })
        .await;
    let posted = Command::new("curl")
        .args(["-s", &url, "--json", r#"{"event":"user.signup"}"#])
        .output();
    let said = String::from_utf8(posted.await.unwrap().stdout).unwrap();
    assert!(said.contains(r#""success":true"#), "{said}");
    for script in [&mut curl, &mut websocat] {
        script
            .prints(r#"{"type":"webhook","payload":{"event":"user.signup"},"id":""#)
            .await;
        // The demo posts some by itself.
        script.prints(r#""payload":{"event":"order."#).await;
    }
}
