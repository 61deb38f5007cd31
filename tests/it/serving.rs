//! The process: how it starts, what it answers to operators, and how it stops.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::bodies::{DOLLARS, price, price_in};
use crate::client::Client;
use crate::tidings::{PATIENCE, Tidings};

async fn stops_at(signal: &str) {
    let mut server = Tidings::start_with(&[("TIDINGS_SERVER__SHUTDOWN_GRACE", "10s")]).await;
    let mut subscribed = server.anonymous().await;
    subscribed.subscribe("1", DOLLARS).await;
    let mut early = server.connect().await;
    // One that speaks HTTP, and one that does not speak at all.
    assert_eq!(server.get("/healthz").await.0, 200);
    let mut silent = TcpStream::connect(server.address()).await.unwrap();
    server.until_metric("tidings_subscriptions", 1.0).await;

    let told = Instant::now();
    server.signal(signal);
    let going_away = (1001, "Going away".to_owned());
    assert_eq!(subscribed.closed().await, going_away);
    assert_eq!(early.closed().await, going_away);
    server
        .until("new connections are refused", async || {
            TcpStream::connect(server.address()).await.is_err()
        })
        .await;
    assert_eq!(server.exit_code().await, Some(0));
    assert!(told.elapsed() < Duration::from_secs(10));
    let mut rest = Vec::new();
    let _ = silent.read_to_end(&mut rest).await;
    let said = server.logged(|line| line["message"] == "stopping").await;
    assert_eq!(said["signal"], format!("SIG{signal}"));
}

#[tokio::test]
async fn at_sigterm_clients_are_sent_elsewhere_and_the_process_ends_well() {
    stops_at("TERM").await;
}

#[tokio::test]
async fn at_sigint_clients_are_sent_elsewhere_and_the_process_ends_well() {
    stops_at("INT").await;
}

#[tokio::test]
async fn a_server_that_has_only_just_said_that_it_listens_can_be_stopped() {
    let mut server = Tidings::start().await;
    for _ in 0..10 {
        server.signal("TERM");
        assert_eq!(server.exit_code().await, Some(0));
        server.start_again().await;
    }
}

#[tokio::test]
async fn a_client_that_does_not_answer_keeps_nobody_from_stopping() {
    let mut server = Tidings::start_with(&[("TIDINGS_SERVER__SHUTDOWN_GRACE", "500ms")]).await;
    let mut dead = Client::narrow(server.address()).await;
    dead.init("{}").await;
    let told = Instant::now();
    server.signal("TERM");
    assert_eq!(server.exit_code().await, Some(0));
    assert!(
        told.elapsed() < Duration::from_secs(2),
        "{:?}",
        told.elapsed()
    );
    drop(dead);
}

#[tokio::test]
async fn operators_are_answered() {
    let server = Tidings::start().await;
    assert_eq!(server.get("/healthz").await, (200, "ok\n".to_owned()));
    assert_eq!(server.get("/readyz").await, (200, "ready\n".to_owned()));
    let (status, metrics) = server.get("/metrics").await;
    assert_eq!(status, 200);
    assert!(metrics.ends_with("# EOF\n"), "OpenMetrics text");
    for name in [
        "tidings_subscriptions",
        "tidings_operations",
        "tidings_bus_up",
    ] {
        assert!(metrics.contains(&format!("# TYPE {name} ")), "{name}");
    }
    let open = r#"tidings_connections{protocol="graphql-transport-ws",identity="anonymous"}"#;
    let client = server.anonymous().await;
    assert_eq!(server.metric(open).await, 1.0);
    drop(client);
    server.until_metric(open, 0.0).await;
    server
        .until_metric(r#"tidings_closes_total{reason="gone"}"#, 1.0)
        .await;
    let (status, said) = server.get("/").await;
    assert_eq!(
        (status, said.as_str()),
        (404, "Nothing is here. GraphQL is at /graphql\n")
    );
    assert_eq!(server.get("/graphql").await.0, 400);
}

#[tokio::test]
async fn who_does_not_finish_a_request_is_cut_off() {
    let server = Tidings::start_with(&[("TIDINGS_SERVER__HEADER_TIMEOUT", "300ms")]).await;
    for half in [
        "GET /hea",
        "GET /healthz HTTP/1.1\r\nHost: t\r\nX-Slow: ",
        "",
    ] {
        let mut stream = TcpStream::connect(server.address()).await.unwrap();
        stream.write_all(half.as_bytes()).await.unwrap();
        let mut answer = Vec::new();
        let ended = timeout(PATIENCE, stream.read_to_end(&mut answer)).await;
        let ended = ended.unwrap_or_else(|_| panic!("{half:?} is not cut off"));
        let answer = String::from_utf8_lossy(&answer);
        assert!(ended.is_err() || !answer.contains("200 OK"), "{answer}");
    }
    // Whoever has upgraded is not meant.
    let mut client = server.anonymous().await;
    client.subscribe("1", DOLLARS).await;
    let mut other = TcpStream::connect(server.address()).await.unwrap();
    let mut nothing = Vec::new();
    let _ = timeout(PATIENCE, other.read_to_end(&mut nothing))
        .await
        .unwrap();
    server.publish("PRICE_UPDATE_USD", &price(1)).await;
    assert_eq!(price_in(&client.payload("1").await), 1);
}

#[tokio::test]
async fn a_list_of_queries_is_refused_whatever_is_in_it() {
    let server = Tidings::start().await;
    for batch in [r#"["{ __typename }"]"#, r#"[{"query":"{ __typename }"}]"#] {
        let (status, said) = server.post("/graphql", "", batch).await;
        assert_eq!(status, 400);
        assert!(said.contains("Batches are not supported"), "{said}");
    }
}

#[tokio::test]
async fn more_connections_than_the_limit_are_answered_503() {
    let server = Tidings::start_with(&[("TIDINGS_LIMITS__CONNECTIONS", "2")]).await;
    let first = server.anonymous().await;
    let mut second = server.anonymous().await;
    let refused = tokio_tungstenite::connect_async(server.ws_url()).await;
    match refused {
        Err(tokio_tungstenite::tungstenite::Error::Http(response)) => {
            assert_eq!(response.status(), 503);
            assert_eq!(response.headers()["retry-after"], "5");
        }
        other => panic!("{other:?}"),
    }
    assert_eq!(
        server
            .metric(r#"tidings_connections_refused_total{reason="too_many"}"#)
            .await,
        1.0
    );
    second.fence().await;
    drop(first);
    server.until_metric("tidings_connections", 1.0).await;
    let mut third = server.anonymous().await;
    third.fence().await;
}

#[tokio::test]
async fn an_address_in_use_is_said_clearly() {
    let server = Tidings::start().await;
    let address = server.address().to_string();
    let ended = server.command(&["serve", "--listen", &address], &[], "");
    assert_eq!(ended.status.code(), Some(1));
    let said = String::from_utf8_lossy(&ended.stderr);
    let last = said.lines().last().unwrap_or_default();
    let why = format!("error: cannot listen on {address}: Address already in use");
    assert!(last.starts_with(&why), "{said}");
}

/// What `serve --demo` prints, pasted line by line; and then everything that it promises.
#[tokio::test]
async fn the_demo_prints_what_to_paste_and_what_is_pasted_works() {
    let server = Tidings::start_as(&["serve", "--demo"], &[]).await;
    server
        .until("it says what to paste", async || {
            let last = |line: &String| line.contains("StatusUpdate");
            server.printed().iter().any(last)
        })
        .await;
    let printed = server.printed();
    assert_eq!(server.named("WebSocket").await, server.ws_url());
    let (key, request) = (server.named("API key").await, server.named("Invoice").await);
    assert!(key.starts_with("blink_") && key.len() == 70, "{key}");
    assert!(request.starts_with("lnbcrt"), "{request}");
    let websocat = format!(
        "websocat -v --protocol graphql-transport-ws {}",
        server.ws_url()
    );
    assert!(
        printed.iter().any(|line| line.trim() == websocat),
        "{printed:#?}"
    );
    // The other APIs have tests of their own.
    let to_paste: Vec<_> = printed
        .iter()
        .take_while(|line| !line.contains("Webhooks"))
        .map(|line| line.trim())
        .filter(|line| line.starts_with('{'))
        .collect();
    // The last two are of the rewards user, see `rewards`.
    assert_eq!(to_paste.len(), 7);

    let mut client = server.connect().await;
    client.send(to_paste[0]).await;
    assert_eq!(client.text().await, r#"{"type":"connection_ack"}"#);
    for line in &to_paste[1..4] {
        client.send(line).await;
    }
    for code in ["USD", "EUR", "CRC", "JPY", "KWD"] {
        client
            .subscribe_with(
                code,
                crate::bodies::REALTIME_PRICE,
                &json!({ "input": { "currency": code } }).to_string(),
            )
            .await;
    }
    // Prices of each currency, and what happened to the account and to the invoice.
    let mut prices: HashMap<String, Vec<u64>> = HashMap::new();
    let (mut payments, mut invoice) = (Vec::new(), Vec::new());
    let began = Instant::now();
    while payments.len() < 4 || invoice.len() < 3 {
        assert!(began.elapsed() < PATIENCE, "{payments:?} {invoice:?}");
        let message = client.json().await;
        let payload = &message["payload"];
        match message["id"].as_str().unwrap() {
            "1" => {
                let told = &payload["data"]["realtimePrice"]["realtimePrice"];
                prices
                    .entry("pasted".to_owned())
                    .or_default()
                    .push(told["btcSatPrice"]["base"].as_u64().unwrap());
            }
            "2" => {
                let update = &payload["data"]["myUpdates"]["update"];
                let kind = update["type"].as_str().unwrap();
                if kind.ends_with("Update") {
                    payments.push((kind.to_owned(), update["txNotificationType"].clone()));
                }
            }
            "3" if message["type"] == "complete" => invoice.push("complete".to_owned()),
            "3" => {
                let told = &payload["data"]["lnInvoicePaymentStatusByPaymentRequest"];
                assert_eq!(told["errors"], json!([]));
                let status = told["status"].as_str().unwrap().to_owned();
                assert_eq!(
                    told["paymentPreimage"].is_string(),
                    status == "PAID",
                    "{told}"
                );
                invoice.push(status);
            }
            code => prices
                .entry(code.to_owned())
                .or_default()
                .push(price_in(payload)),
        }
    }
    assert_eq!(invoice, ["PENDING", "PAID", "complete"]);
    let expected = [
        ("LnUpdate", Value::Null),
        ("OnChainUpdate", json!("OnchainReceiptPending")),
        ("OnChainUpdate", json!("OnchainReceipt")),
    ];
    for (told, (kind, notification)) in payments.iter().zip(expected) {
        assert_eq!(*told, (kind.to_owned(), notification), "{payments:?}");
    }
    assert!(
        payments.iter().any(|(kind, _)| kind == "IntraLedgerUpdate"),
        "{payments:?}"
    );
    for (currency, told) in &prices {
        assert!(
            told.iter().any(|price| *price != told[0]),
            "{currency} does not move: {told:?}"
        );
    }
    assert_eq!(prices.len(), 6);
    assert_eq!(to_paste[4], r#"{"id":"1","type":"complete"}"#);
    client.send(to_paste[4]).await;
    client.fence().await;
    // Nothing is kept: there is no store.
    assert!(!server.has_file("data"));
}
