//! WebSocks: webhooks in, event streams and WebSockets out.

mod clients;
mod command_line;
mod idempotency;
mod intake;
mod isolation;
mod quota;
mod replay;
mod signatures;
mod sockets;
mod streams;

use std::time::Instant;

use serde_json::Value;

use crate::client::Client;
use crate::redis_server::RedisServer;
use crate::streams::response::Response;
use crate::tidings::Tidings;

const ALICE: &str = "0d3d3c1a-5e0e-4b7b-8f59-7f1a7b1f6a51";
const BOB: &str = "21087d73-28c9-4d1f-9b0c-1a2b3c4d5e6f";

const ON: (&str, &str) = ("TIDINGS_WEBSOCKS__ENABLED", "true");

/// An endpoint, as `tidings webhooks create` has printed it.
#[derive(Clone)]
struct Hook {
    id: String,
    /// The path of its URL.
    path: String,
    token: String,
}

/// What a sender is answered.
type Answer = (u16, Value);

async fn start() -> Tidings {
    Tidings::start_with(&[ON]).await
}

async fn start_with(settings: &[(&str, &str)]) -> Tidings {
    Tidings::start_with(&[&[ON], settings].concat()).await
}

async fn start_on(redis: &RedisServer) -> Tidings {
    Tidings::start_on(redis, &[ON]).await
}

/// Creates an endpoint, with more arguments for that, and waits until these servers know it.
async fn hook(servers: &[&Tidings], account: &str, more: &[&str]) -> Hook {
    let hook = new_hook(servers[0], account, more);
    for server in servers {
        until_known(server, &hook.path).await;
    }
    hook
}

fn new_hook(server: &Tidings, account: &str, more: &[&str]) -> Hook {
    let create = [&["webhooks", "create", "--account", account], more].concat();
    let output = server.command(&create, &[], "");
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.success(), "{said}");
    let id = said.split("created webhook ").nth(1).unwrap();
    let printed = String::from_utf8(output.stdout).unwrap();
    let [url, token] = printed.lines().collect::<Vec<_>>()[..] else {
        panic!("two lines, not {printed:?}");
    };
    Hook {
        id: id.split(';').next().unwrap().to_owned(),
        path: path_of(url),
        token: token.to_owned(),
    }
}

/// `/api/in/…` of a URL.
fn path_of(url: &str) -> String {
    let at = url.find("/api/in/").expect("it is where webhooks come in");
    url[at..].to_owned()
}

/// Waits until a server knows an endpoint. A request without a body counts for nothing.
async fn until_known(server: &Tidings, path: &str) {
    server
        .until("the endpoint is known", async || {
            deliver(server, path, &[], "").await.0 != 404
        })
        .await;
}

/// Posts a body, with these headers.
async fn deliver(
    server: &Tidings,
    path: &str,
    headers: &[(&str, &str)],
    body: impl Into<Vec<u8>>,
) -> Answer {
    let mut request = crate::tidings::http()
        .post(server.http_url(path))
        .body(body.into());
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let response = request.send().await.expect("tidings answers");
    let status = response.status().as_u16();
    let text = response.text().await.expect("a body");
    let said = serde_json::from_str(&text).unwrap_or_else(|_| panic!("not JSON: {text:?}"));
    (status, said)
}

/// Posts a body, insists that it is taken, and gives its id.
async fn taken(server: &Tidings, path: &str, body: &str) -> String {
    let (status, said) = deliver(server, path, &[], body).await;
    assert_eq!((status, &said["success"]), (200, &true.into()), "{said}");
    said["id"].as_str().expect("an id").to_owned()
}

fn refused(status: u16, why: &str) -> Answer {
    (status, serde_json::json!({ "error": why }))
}

/// Opens an event stream, and reads what it begins with.
async fn listen(server: &Tidings, token: &str) -> Response {
    listen_with(server, token, &[]).await
}

async fn listen_with(server: &Tidings, token: &str, headers: &[(&str, &str)]) -> Response {
    let path = format!("/api/events/stream?token={token}");
    let mut stream = Response::of(server.address(), "GET", &path, headers, "").await;
    assert_eq!(stream.status, 200, "{}", stream.head);
    assert_eq!(stream.until("\n\n").await, "retry: 3000\n: connected\n\n");
    stream
}

/// The next event of a stream: its id and its data. Comments are passed over.
async fn event(stream: &mut Response) -> (String, Value) {
    let event = loop {
        let event = stream.until("\n\n").await;
        if !event.starts_with(':') {
            break event;
        }
    };
    let (id, data) = event.trim_end().split_once('\n').expect("two fields");
    let data: Vec<_> = data
        .lines()
        .map(|line| line.strip_prefix("data: ").expect("data"))
        .collect();
    let data = serde_json::from_str(&data.join("\n")).expect("data is JSON");
    (id.strip_prefix("id: ").expect("an id").to_owned(), data)
}

/// Opens a WebSocket.
async fn connect(server: &Tidings, token: &str) -> Client {
    Client::connect_at(server.address(), &format!("/?token={token}"), None).await
}

/// Waits until so many subscriptions run: from then on they hear.
async fn until_heard(server: &Tidings, subscriptions: f64) {
    server
        .until_metric("tidings_subscriptions", subscriptions)
        .await;
}

/// What an account has used.
async fn usage(server: &Tidings, token: &str) -> Value {
    let (status, said) = server.get(&format!("/api/usage?token={token}")).await;
    assert_eq!(status, 200, "{said}");
    serde_json::from_str(&said).expect("it is JSON")
}

/// Insists that no more than a second has gone by.
fn within_a_second(since: Instant) {
    let took = since.elapsed();
    assert!(took < std::time::Duration::from_secs(1), "{took:?}");
}
