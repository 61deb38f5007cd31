//! What a sender is answered: the codes of the contract, and their order.

use super::{
    ALICE, connect, deliver, event, hook, listen, refused, start, start_on, start_with, taken,
    until_heard, usage,
};
use crate::redis_server::RedisServer;
use crate::streams::response::Response;
use crate::tidings::Tidings;

#[tokio::test]
async fn a_webhook_is_acknowledged_with_its_id_and_told() {
    let server = start().await;
    let hook = hook(&[&server], ALICE, &[]).await;
    let mut stream = listen(&server, &hook.token).await;
    until_heard(&server, 1.0).await;
    let body = r#"{"event":"user.signup","email":"test@example.com"}"#;
    let id = taken(&server, &hook.path, body).await;
    let (told, data) = event(&mut stream).await;
    assert_eq!(told, id);
    assert_eq!(data["id"], id);
    assert_eq!(data["payload"]["event"], "user.signup");
    assert_eq!(
        server
            .metric(r#"tidings_webhooks_total{result="accepted"}"#)
            .await,
        1.0
    );
}

#[tokio::test]
async fn any_json_is_taken_whatever_its_type_says_and_told_byte_for_byte() {
    let server = start().await;
    let hook = hook(&[&server], ALICE, &[]).await;
    let mut socket = connect(&server, &hook.token).await;
    until_heard(&server, 1.0).await;
    let deep = "[".repeat(500_000) + &"]".repeat(500_000);
    for (body, content_type) in [
        ("null", "application/json"),
        ("7", "text/plain"),
        (r#""text""#, "application/x-www-form-urlencoded"),
        ("[1.10,1e400,-0]", ""),
        (r#"{"b":1,"a":2,"b":"\u0061\ud800"}"#, "application/json"),
        ("\r\n\t{ \"a\" :\r\n [ ] } \n", "application/json"),
        (&deep, "application/json"),
    ] {
        let headers = [("content-type", content_type)];
        let (status, said) = deliver(&server, &hook.path, &headers, body).await;
        assert_eq!(status, 200, "{said}");
        let told = socket.text().await;
        let start = format!(r#"{{"type":"webhook","payload":{},"id":"#, body.trim());
        assert!(told.starts_with(&start), "{:.200}", told);
    }
}

#[tokio::test]
async fn what_is_not_json_is_answered_400_and_not_counted() {
    let server = start().await;
    let hook = hook(&[&server], ALICE, &[]).await;
    let too_deep = "[".repeat(1_000_000);
    for body in [
        &b""[..],
        b"  ",
        b"{",
        b"{}{}",
        b"{'a':1}",
        b"[1,]",
        b"NaN",
        b"\"\xff\"",
        b"\xef\xbb\xbf{}",
        b"a=1&b=2",
        too_deep.as_bytes(),
    ] {
        let answer = deliver(&server, &hook.path, &[], body).await;
        assert_eq!(answer, refused(400, "Invalid JSON payload"), "{body:.20?}");
    }
    assert_eq!(usage(&server, &hook.token).await["used"], 0);
}

#[tokio::test]
async fn a_slug_that_is_nobodys_is_answered_404() {
    let server = start().await;
    let hook = hook(&[&server], ALICE, &[]).await;
    let other = format!("/api/in/{}", "a".repeat(40));
    let shorter = &hook.path[..hook.path.len() - 1];
    let longer = format!("{}a", hook.path);
    for path in [
        &other,
        shorter,
        &longer,
        "/api/in/a%FF",
        "/api/in/..%2f",
        "/api/in/",
        &format!("{}/", hook.path),
    ] {
        let answer = deliver(&server, path, &[], "{}").await;
        assert_eq!(answer, refused(404, "Invalid webhook slug"), "{path}");
    }
    // Nobody's slug says nothing of the body.
    let body = vec![b'x'; 3 << 20];
    let answer = deliver(&server, &other, &[], body).await;
    assert_eq!(answer.0, 404);
}

#[tokio::test]
async fn only_posts_are_taken_and_pages_may_send_them() {
    let server = start().await;
    let hook = hook(&[&server], ALICE, &[]).await;
    for method in ["GET", "PUT", "DELETE", "PATCH"] {
        let mut response = Response::of(server.address(), method, &hook.path, &[], "").await;
        assert_eq!(response.status, 405, "{method}");
        assert_eq!(response.header("allow"), Some("post"), "{method}");
        assert_eq!(response.rest().await, r#"{"error":"Method not allowed"}"#);
    }
    let preflight = [
        ("Origin", "https://shop.example"),
        ("Access-Control-Request-Method", "POST"),
        ("Access-Control-Request-Headers", "content-type"),
    ];
    let response = Response::of(server.address(), "OPTIONS", &hook.path, &preflight, "").await;
    assert_eq!(response.status, 200);
    assert_eq!(response.header("access-control-allow-origin"), Some("*"));
    assert_eq!(
        response.header("access-control-allow-headers"),
        Some("content-type")
    );
}

#[tokio::test]
async fn a_body_above_the_limit_is_answered_413_and_one_at_the_limit_is_told() {
    let server = start().await;
    let hook = hook(&[&server], ALICE, &[]).await;
    let mut socket = connect(&server, &hook.token).await;
    let mut stream = listen(&server, &hook.token).await;
    until_heard(&server, 2.0).await;
    let full = format!("\"{}\"", "x".repeat((1 << 20) - 2));
    taken(&server, &hook.path, &full).await;
    assert!(socket.text().await.contains(&full));
    let (_, data) = event(&mut stream).await;
    assert_eq!(data["payload"].as_str().unwrap().len(), (1 << 20) - 2);
    let over = format!("\"{}\"", "x".repeat((1 << 20) - 1));
    for body in [over, "x".repeat(4 << 20)] {
        let headers = [("content-type", "text/plain")];
        let answer = deliver(&server, &hook.path, &headers, body).await;
        assert_eq!(answer, refused(413, "Payload too large"));
    }
    // Who does not say how long it is finds out, too.
    let chunk = "100000\r\n".to_owned() + &"x".repeat(1 << 20) + "\r\n";
    let chunked = chunk.repeat(2) + "0\r\n\r\n";
    let headers = [("Transfer-Encoding", "chunked")];
    let answer = raw_post(&server, &hook.path, &headers, &chunked).await;
    assert_eq!(answer, 413);
    assert_eq!(usage(&server, &hook.token).await["used"], 1);
}

/// Posts bytes as they are, behind these headers; gives the status.
async fn raw_post(server: &Tidings, path: &str, headers: &[(&str, &str)], bytes: &str) -> u16 {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let mut socket = tokio::net::TcpStream::connect(server.address())
        .await
        .unwrap();
    let mut head = format!("POST {path} HTTP/1.1\r\nHost: tidings\r\n");
    for (name, value) in headers {
        head.push_str(&format!("{name}: {value}\r\n"));
    }
    let request = head + "\r\n" + bytes;
    socket.write_all(request.as_bytes()).await.unwrap();
    let mut status = [0; 12];
    socket.read_exact(&mut status).await.unwrap();
    std::str::from_utf8(&status[9..]).unwrap().parse().unwrap()
}

#[tokio::test]
async fn nobody_who_listens_is_no_reason_to_refuse() {
    let server = start().await;
    let hook = hook(&[&server], ALICE, &[]).await;
    taken(&server, &hook.path, "{}").await;
    assert_eq!(usage(&server, &hook.token).await["used"], 1);
}

#[tokio::test]
async fn the_quota_is_answered_402_before_what_is_no_json_is_answered_400() {
    let plans = r#"[{ name = "one", quota = 1 }]"#;
    let settings = [
        ("TIDINGS_WEBSOCKS__PLANS", plans),
        ("TIDINGS_WEBSOCKS__DEFAULT_PLAN", "one"),
    ];
    let server = start_with(&settings).await;
    let hook = hook(&[&server], ALICE, &[]).await;
    let keyed = [("idempotency-key", "1")];
    assert_eq!(deliver(&server, &hook.path, &keyed, "{").await.0, 400);
    let (status, first) = deliver(&server, &hook.path, &keyed, "{}").await;
    assert_eq!(status, 200);
    let over = refused(402, "Monthly quota exceeded");
    for body in ["{}", "{", ""] {
        assert_eq!(deliver(&server, &hook.path, &[], body).await, over);
    }
    // What was taken before is acknowledged again, before either.
    for body in ["{}", "{"] {
        let again = deliver(&server, &hook.path, &keyed, body).await;
        assert_eq!(again, (200, first.clone()));
    }
    // A slug that is nobody's comes before all of it, and a body that is too long, too.
    assert_eq!(deliver(&server, "/api/in/x", &[], "").await.0, 404);
    assert_eq!(
        deliver(&server, &hook.path, &[], vec![b' '; 2 << 20])
            .await
            .0,
        413
    );
    assert_eq!(usage(&server, &hook.token).await["used"], 1);
}

#[tokio::test]
async fn senders_are_where_the_endpoint_says() {
    let proxied = ("TIDINGS_LIMITS__TRUSTED_PROXIES", "127.0.0.1");
    let server = start_with(&[proxied]).await;
    let here = hook(&[&server], ALICE, &["--allow-from", "127.0.0.0/8"]).await;
    let there = [
        "--allow-from",
        "192.0.2.0/24",
        "--allow-from",
        "2001:db8::1",
    ];
    let there = hook(&[&server], ALICE, &there).await;
    let from = |address| [("x-forwarded-for", address)];
    let no = refused(403, "Source network not allowed");
    assert_eq!(deliver(&server, &here.path, &[], "{}").await.0, 200);
    assert_eq!(deliver(&server, &there.path, &[], "{").await, no);
    for (address, status) in [
        ("192.0.2.7", 200),
        ("2001:db8::1", 200),
        ("198.51.100.1", 403),
        ("192.0.2.7, 198.51.100.1", 403),
    ] {
        let answer = deliver(&server, &there.path, &from(address), "{}").await;
        assert_eq!(answer.0, status, "{address}");
        let answer = deliver(&server, &here.path, &from(address), "{}").await;
        assert_eq!(answer.0, 403, "{address}");
    }
    let refused = r#"tidings_webhooks_total{result="other_network"}"#;
    // Some more than here: those without a body, until the endpoint was known.
    assert!(server.metric(refused).await >= 7.0);
}

#[tokio::test]
async fn while_redis_is_away_a_webhook_is_answered_500_and_is_not_taken_for_done() {
    let mut redis = RedisServer::start().await;
    let server = start_on(&redis).await;
    let hook = hook(&[&server], ALICE, &[]).await;
    redis.kill();
    server.until_metric("tidings_bus_up", 0.0).await;
    let keyed = [("idempotency-key", "1")];
    for body in ["{}", "{"] {
        let answer = deliver(&server, &hook.path, &keyed, body).await;
        assert_eq!(answer, refused(500, "Internal server error"));
    }
    // What this Redis had is gone with it. That the server has noticed tells it so.
    let store = "the store of keys and accounts";
    let says = |what: &'static str| {
        move |line: &serde_json::Value| {
            let message = line["message"].as_str().unwrap_or_default();
            message.starts_with(store) && message.contains(what)
        }
    };
    server.logged(says("is away")).await;
    redis.restart().await;
    server.until_metric("tidings_bus_up", 1.0).await;
    server.logged(says("is back")).await;
    let new = super::hook(&[&server], ALICE, &[]).await;
    let mut stream = listen(&server, &new.token).await;
    until_heard(&server, 1.0).await;
    let (status, said) = deliver(&server, &new.path, &keyed, "{}").await;
    assert_eq!(status, 200);
    assert_eq!(event(&mut stream).await.0, said["id"]);
}

#[tokio::test]
async fn without_being_switched_on_there_is_nothing() {
    let server = Tidings::start().await;
    let hook = super::new_hook(&server, ALICE, &[]);
    let (status, _) = server.post(&hook.path, "", "{}").await;
    assert_eq!(status, 404);
    for path in ["/api/usage", "/api/events/stream", "/"] {
        assert_eq!(server.get(path).await.0, 404, "{path}");
    }
}

#[tokio::test]
async fn no_slug_and_no_token_is_logged() {
    let server = start_with(&[("TIDINGS_LOG__FILTER", "debug")]).await;
    let hook = hook(&[&server], ALICE, &[]).await;
    let mut stream = listen(&server, &hook.token).await;
    until_heard(&server, 1.0).await;
    taken(&server, &hook.path, "{}").await;
    event(&mut stream).await;
    drop(stream);
    server
        .logged(|line| line["message"] == "connection ended")
        .await;
    let slug = &hook.path["/api/in/".len()..];
    let secret = &hook.token["blink_".len()..];
    let is_telling = |line: &serde_json::Value| {
        let line = line.to_string();
        line.contains(slug) || line.contains(secret)
    };
    assert!(!server.has_logged(is_telling), "a secret is in the log");
}
