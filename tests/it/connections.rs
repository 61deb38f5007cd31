//! Connections as operators see them and close them: over HTTP, and from a shell.

use std::time::{Duration, Instant};

use futures_util::join;
use reqwest::Method;
use serde_json::{Value, json};

use crate::bodies::DOLLARS;
use crate::client::Client;
use crate::redis_server::RedisServer;
use crate::tidings::{Tidings, http};

const ALICE: &str = "0d3d3c1a-5e0e-4b7b-8f59-7f1a7b1f6a51";
const BOB: &str = "1e4e4d2b-6f1f-4c8c-9a6a-8a2b8c2a7b62";
const OPERATOR: &str = "99999999-9999-4999-8999-999999999999";

/// Asks `/v1/connections…` with a key: the status, and the answer.
async fn ask(server: &Tidings, method: Method, rest: &str, key: &str) -> (u16, Value) {
    let url = server.http_url(&format!("/v1/connections{rest}"));
    let request = http().request(method, url).header("x-api-key", key);
    let response = request.send().await.expect("tidings answers");
    let status = response.status().as_u16();
    let said = response.text().await.expect("a body");
    let said = serde_json::from_str(&said).unwrap_or_else(|_| panic!("not JSON: {said}"));
    (status, said)
}

/// The connections that the server lists.
async fn listed(server: &Tidings, rest: &str, key: &str) -> Vec<Value> {
    let (status, mut said) = ask(server, Method::GET, rest, key).await;
    assert_eq!(status, 200, "{said}");
    assert_eq!(said["partial"], false);
    match said["connections"].take() {
        Value::Array(connections) => connections,
        other => panic!("{other}"),
    }
}

async fn until_listed(server: &Tidings, rest: &str, key: &str, count: usize) {
    server
        .until(&format!("{count} are listed"), async || {
            listed(server, rest, key).await.len() == count
        })
        .await;
}

/// Connects with a key, under a name.
async fn named(server: &Tidings, key: &str, connection_id: &str) -> Client {
    let mut client = server.connect().await;
    let payload = json!({ "X-API-KEY": key, "connection_id": connection_id });
    client.init(&payload.to_string()).await;
    client
}

/// A new key of an account and a rewards user, that the server knows of.
async fn key_of_user(server: &Tidings, account: &str, user: &str) -> String {
    let key = server.new_key(account, &["read"], &["--user-id", user, "--name", user]);
    server.until_known(&key).await;
    key
}

/// Two nodes of one Redis.
async fn two_nodes(redis: &RedisServer) -> (Tidings, Tidings) {
    let lease = ("TIDINGS_REGISTRY__LEASE", "3s");
    let (one, two) = (
        [lease, ("TIDINGS_SERVER__NAME", "one")],
        [lease, ("TIDINGS_SERVER__NAME", "two")],
    );
    join!(
        Tidings::start_on(redis, &one),
        Tidings::start_on(redis, &two)
    )
}

#[tokio::test]
async fn a_connection_is_listed_with_what_is_known_of_it() {
    let server = Tidings::start_with(&[
        ("TIDINGS_SERVER__NAME", "eu-1"),
        ("TIDINGS_LIMITS__PING_INTERVAL", "100ms"),
    ])
    .await;
    let admin = server.key(OPERATOR, &["admin"]).await;
    let key = key_of_user(&server, ALICE, "42").await;
    let mut client = named(&server, &key, "phone").await;
    client.subscribe("1", DOLLARS).await;
    let mut connection = Value::Null;
    server
        .until("a ping was answered, and a subscription runs", async || {
            // Reading is what answers pings.
            client.fence().await;
            connection = listed(&server, "", &admin).await.remove(0);
            connection["roundTripMs"].is_f64() && connection["subscriptions"] == 1
        })
        .await;
    for unknown in ["id", "since", "roundTripMs"] {
        assert!(!connection[unknown].is_null(), "{connection}");
        connection[unknown].take();
    }
    assert_eq!(
        connection,
        json!({
            "id": null,
            "connectionId": "phone",
            "account": ALICE,
            "user": 42,
            "key": server.key_id("42"),
            "protocol": "graphql-transport-ws",
            "address": "127.0.0.1",
            "since": null,
            "subscriptions": 1,
            "roundTripMs": null,
            "bytesQueued": 0,
            "node": "eu-1",
        })
    );
    drop(client);
    until_listed(&server, "", &admin, 0).await;
}

#[tokio::test]
async fn connections_are_for_operators_alone_and_nobody_is_closed_by_omission() {
    let server = Tidings::start().await;
    let admin = server.key(OPERATOR, &["admin"]).await;
    let reader = server.key(ALICE, &["read", "write", "publish"]).await;
    let mut client = server.anonymous().await;
    for method in [Method::GET, Method::DELETE] {
        let rest = "?account=1";
        for key in ["", &reader] {
            let (status, said) = ask(&server, method.clone(), rest, key).await;
            assert_eq!(status, 403);
            let why = json!({ "error": "this needs a key with the scope `admin`" });
            assert_eq!(said, why);
        }
        let (status, _) = ask(&server, method.clone(), rest, "nonsense").await;
        assert_eq!(status, 401);
        let (status, said) = ask(&server, method.clone(), rest, &admin).await;
        assert_eq!(status, 400);
        assert_eq!(said["error"], "account: expected a UUID with hyphens");
    }
    for everybody in ["", "?reason=all", "?code=1012"] {
        let (status, said) = ask(&server, Method::DELETE, everybody, &admin).await;
        assert_eq!(status, 400, "{said}");
    }
    client.fence().await;
}

#[tokio::test]
async fn an_operator_closes_a_connection_by_its_name_or_by_its_id() {
    let server = Tidings::start().await;
    let admin = server.key(OPERATOR, &["admin"]).await;
    let key = server.key(ALICE, &["read"]).await;
    let mut by_name = named(&server, &key, "phone 1/a").await;
    let mut by_id = named(&server, &key, "tablet").await;
    let mut stays = named(&server, &key, "watch").await;
    let id = listed(&server, "?connection=tablet", &admin).await[0]["id"].take();
    let (status, said) = ask(&server, Method::DELETE, "/phone%201%2Fa", &admin).await;
    assert_eq!(
        (status, said),
        (200, json!({ "closed": 1, "partial": false }))
    );
    assert_eq!(by_name.closed().await.0, 4403);
    let rest = format!("/{}?code=1012&reason=moving%20on", id.as_str().unwrap());
    let (status, said) = ask(&server, Method::DELETE, &rest, &admin).await;
    assert_eq!(
        (status, said),
        (200, json!({ "closed": 1, "partial": false }))
    );
    assert_eq!(by_id.closed().await, (1012, "moving on".to_owned()));
    let (_, said) = ask(&server, Method::DELETE, "/phone", &admin).await;
    assert_eq!(said, json!({ "closed": 0, "partial": false }));
    stays.fence().await;
}

#[tokio::test]
async fn both_nodes_list_all_and_closing_reaches_the_other_within_a_second() {
    let redis = RedisServer::start().await;
    let (one, two) = two_nodes(&redis).await;
    let admin = one.key(OPERATOR, &["admin"]).await;
    two.until_known(&admin).await;
    let key = key_of_user(&one, ALICE, "42").await;
    two.until_known(&key).await;
    let other = one.key(BOB, &["read"]).await;
    two.until_known(&other).await;
    let mut stays = named(&two, &other, "bob's").await;
    let key_id = one.key_id("42");
    for (rest, reason) in [
        ("?user=42", "by user"),
        (&format!("?account={ALICE}"), "by account"),
        (&format!("?key={key_id}"), "by key"),
        ("/phone?user=42", "by name"),
    ] {
        let mut client = named(&two, &key, "phone").await;
        for node in [&one, &two] {
            until_listed(node, "?user=42", &admin, 1).await;
        }
        let asked = Instant::now();
        let separator = if rest.contains('?') { '&' } else { '?' };
        let rest = format!("{rest}{separator}reason={reason}");
        let (status, said) = ask(&one, Method::DELETE, &rest, &admin).await;
        assert_eq!(
            (status, said),
            (200, json!({ "closed": 1, "partial": false })),
            "{reason}"
        );
        assert_eq!(client.closed().await, (4403, reason.to_owned()));
        let took = asked.elapsed();
        assert!(took < Duration::from_secs(1), "{reason} took {took:?}");
    }
    until_listed(&one, "", &admin, 1).await;
    stays.fence().await;
}

#[tokio::test]
async fn a_client_that_comes_back_to_another_node_ends_its_old_connection() {
    let redis = RedisServer::start().await;
    let (one, two) = two_nodes(&redis).await;
    let key = key_of_user(&one, ALICE, "42").await;
    two.until_known(&key).await;
    let mut old = named(&one, &key, "phone").await;
    for node in [&two, &one, &two] {
        let new = named(node, &key, "phone").await;
        let replaced = (4410, "Replaced by a newer connection".to_owned());
        assert_eq!(old.closed().await, replaced);
        old = new;
    }
    old.fence().await;
}

#[tokio::test]
async fn a_user_has_so_many_connections_on_all_nodes_together() {
    let redis = RedisServer::start().await;
    let (one, two) = two_nodes(&redis).await;
    let key = key_of_user(&one, ALICE, "42").await;
    two.until_known(&key).await;
    let mut clients = Vec::new();
    for place in 0..10 {
        let node = if place % 2 == 0 { &one } else { &two };
        clients.push(named(node, &key, &place.to_string()).await);
    }
    let answer = async |node: &Tidings| {
        let mut client = node.connect().await;
        let payload = json!({ "X-API-KEY": key, "connection_id": "one too many" });
        let init = json!({ "type": "connection_init", "payload": payload });
        client.send(&init.to_string()).await;
        client.event().await
    };
    for node in [&one, &two] {
        assert!(answer(node).await.is_err());
    }
    clients.pop();
    one.until("there is room again", async || answer(&one).await.is_ok())
        .await;
}

#[tokio::test]
async fn what_a_node_that_was_killed_had_is_gone_soon() {
    let redis = RedisServer::start().await;
    let (one, two) = two_nodes(&redis).await;
    let admin = one.key(OPERATOR, &["admin"]).await;
    let _here = one.anonymous().await;
    let _there = two.anonymous().await;
    until_listed(&one, "", &admin, 2).await;
    two.signal("KILL");
    until_listed(&one, "", &admin, 1).await;
    let left = listed(&one, "", &admin).await;
    assert_eq!(left[0]["node"], "one");
}

#[tokio::test]
async fn a_redis_that_refuses_to_keep_connections_is_told_of() {
    let redis = RedisServer::start().await;
    let (one, _two) = two_nodes(&redis).await;
    let full = redis::cmd("CONFIG")
        .arg(&["SET", "maxmemory", "1"])
        .to_owned();
    let admin = one.key(ALICE, &["admin"]).await;
    let _: String = redis.run(&full).await;
    let _here = one.anonymous().await;
    let refused =
        "redis refuses to keep this node's connections: limits hold for each node by itself";
    let logged = one.logged(|line| line["message"] == refused).await;
    assert_eq!(logged["level"], "WARN", "{logged}");
    one.until("the list is said to be of one node alone", async || {
        let (status, said) = ask(&one, Method::GET, "", &admin).await;
        status == 200 && said["partial"] == true
    })
    .await;
}

#[tokio::test]
async fn a_shell_lists_and_closes_the_connections_of_all_servers_of_a_redis() {
    let redis = RedisServer::start().await;
    let (one, two) = two_nodes(&redis).await;
    let key = key_of_user(&one, ALICE, "42").await;
    two.until_known(&key).await;
    let mut here = named(&one, &key, "here").await;
    let mut there = named(&two, &key, "there").await;
    let list = || -> Vec<Value> {
        let printed = one.run(&["connections", "list", "--user", "42", "--json"]);
        serde_json::from_str(&printed).unwrap()
    };
    one.until("both are listed", async || list().len() == 2)
        .await;
    let nodes: Vec<_> = list().iter().map(|one| one["node"].clone()).collect();
    assert_eq!(nodes, ["one", "two"], "the oldest first");
    let printed = one.run(&["connections", "list", "--connection", "there"]);
    let lines: Vec<_> = printed.lines().collect();
    assert_eq!(lines.len(), 2, "{printed}");
    let head: Vec<_> = lines[0].split_whitespace().collect();
    let columns = [
        "CONNECTION",
        "ACCOUNT",
        "USER",
        "KEY",
        "PROTOCOL",
        "ADDRESS",
        "SINCE",
        "SUBSCRIPTIONS",
        "PING",
        "QUEUED",
        "NODE",
    ];
    assert_eq!(head, columns);
    assert!(
        lines[1].starts_with(&format!("there       {ALICE}  42    ")),
        "{printed}"
    );

    let close = [
        "connections",
        "close",
        "--user",
        "42",
        "--connection",
        "there",
    ];
    let how = ["--code", "1013", "--reason", "later, please"];
    let closed = one.command(&[&close[..], &how].concat(), &[], "");
    assert_eq!(
        String::from_utf8_lossy(&closed.stderr),
        "closed 1 connection\n"
    );
    assert_eq!(there.closed().await, (1013, "later, please".to_owned()));
    here.fence().await;
    for wrong in [
        &["connections", "close"][..],
        &["connections", "close", "--user", "x"],
        &["connections", "close", "--user", "42", "--code", "1000"],
    ] {
        assert!(!one.command(wrong, &[], "").status.success(), "{wrong:?}");
    }
    here.fence().await;
}

#[tokio::test]
async fn without_redis_a_shell_asks_the_server_with_a_key_of_the_scope_admin() {
    let server = Tidings::start().await;
    let admin = server.key(OPERATOR, &["admin"]).await;
    let key = key_of_user(&server, ALICE, "42").await;
    let mut client = named(&server, &key, "phone").await;
    let url = server.http_url("");
    let list = ["connections", "list", "--json", "--url", &url];
    let listed = server.command(&list, &[("TIDINGS_KEY", &admin)], "");
    let listed: Vec<Value> = serde_json::from_slice(&listed.stdout).unwrap();
    assert_eq!(listed.len(), 1);
    assert_eq!(listed[0]["connectionId"], "phone");

    let refused = server.command(&list, &[("TIDINGS_KEY", &key)], "");
    let said = String::from_utf8_lossy(&refused.stderr);
    assert!(said.contains("the key needs the scope admin"), "{said}");

    let close = [
        "connections",
        "close",
        "--key",
        &server.key_id("42"),
        "--url",
        &url,
    ];
    let closed = server.command(&close, &[("TIDINGS_KEY", &admin)], "");
    assert_eq!(
        String::from_utf8_lossy(&closed.stderr),
        "closed 1 connection\n"
    );
    assert_eq!(client.closed().await.0, 4403);
}
