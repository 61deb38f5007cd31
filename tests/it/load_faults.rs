//! `tidings load` against a server of another kind, that makes mistakes: each is counted as what it is.

use std::net::SocketAddr;

use futures_util::{SinkExt, StreamExt};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::handshake::server::{Request, Response};
use tokio_tungstenite::tungstenite::http::HeaderValue;
use tokio_tungstenite::tungstenite::protocol::CloseFrame;

use crate::load::{Ended, load, published};

/// What a server that is not ours does with publication `seq`.
type Fault = fn(u64) -> Vec<u64>;

/// A server of another kind: it orders keys otherwise, pings, tells nothing first, takes publications
/// over HTTP at any path, and makes a mistake.
async fn careless(fault: Fault) -> (SocketAddr, SocketAddr) {
    let (told, _) = tokio::sync::broadcast::channel::<u64>(1000);
    let (clients, bus) = (listener().await, listener().await);
    let addresses = (clients.local_addr().unwrap(), bus.local_addr().unwrap());
    let sender = told.clone();
    tokio::spawn(async move {
        let publish = axum::routing::post(move |body: String| async move {
            let seq: Value = serde_json::from_str(&body).unwrap();
            for seq in fault(seq["n"].as_u64().unwrap()) {
                let _ = sender.send(seq);
            }
        });
        let app = axum::Router::new().route("/say/{channel}", publish);
        axum::serve(bus, app).await.unwrap();
    });
    tokio::spawn(async move {
        while let Ok((socket, _)) = clients.accept().await {
            tokio::spawn(serve(socket, told.subscribe()));
        }
    });
    addresses
}

async fn listener() -> TcpListener {
    TcpListener::bind("127.0.0.1:0").await.expect("a free port")
}

#[expect(
    clippy::result_large_err,
    reason = "the callback's type is tungstenite's"
)]
async fn serve(socket: tokio::net::TcpStream, mut told: tokio::sync::broadcast::Receiver<u64>) {
    let accept = |_: &Request, mut response: Response| {
        let protocol = HeaderValue::from_static("graphql-transport-ws");
        response
            .headers_mut()
            .insert("sec-websocket-protocol", protocol);
        Ok(response)
    };
    let mut socket = tokio_tungstenite::accept_hdr_async(socket, accept)
        .await
        .unwrap();
    loop {
        tokio::select! {
            message = socket.next() => {
                let text = match message {
                    Some(Ok(Message::Text(text))) => text,
                    // Our ping was answered.
                    Some(Ok(Message::Pong(_))) => continue,
                    _ => return,
                };
                let message: Value = serde_json::from_str(&text).unwrap();
                let answer = match message["type"].as_str().unwrap() {
                    "connection_init" => vec![r#"{"type":"ping"}"#, r#"{"payload":null,"type":"connection_ack"}"#],
                    "subscribe" => vec![],
                    "pong" => vec![],
                    other => panic!("{other}"),
                };
                for text in answer {
                    socket.send(Message::text(text)).await.unwrap();
                }
            }
            Ok(seq) = told.recv() => {
                if seq == 0 {
                    let frame = CloseFrame { code: 4499.into(), reason: "had enough".into() };
                    let _ = socket.close(Some(frame)).await;
                    return;
                }
                let text = format!(r#"{{"payload":{{"data":{{"news":{{"n":{seq}}}}}}},"type":"next","id":"1"}}"#);
                socket.send(Message::Ping(vec![1].into())).await.unwrap();
                socket.send(Message::text(text)).await.unwrap();
            }
        }
    }
}

async fn load_on_careless(fault: Fault, more: &[&str]) -> Ended {
    load_of("news.graphql", "news", fault, more).await
}

/// With a query that is given so, and published on this channel.
async fn load_of(query: &str, channel: &str, fault: Fault, more: &[&str]) -> Ended {
    let (clients, bus) = careless(fault).await;
    let (url, to) = (
        format!("ws://{clients}/"),
        format!("http://{bus}/say/{{channel}}"),
    );
    let arguments = [
        "--url",
        &url,
        "--query",
        query,
        "--publish",
        &to,
        "--channel",
        channel,
        "--body",
        r#"{"n":{seq}}"#,
        "-n",
        "2",
        "--rate",
        "8",
        "--for",
        "2s",
        "--settle",
        "500ms",
    ];
    let files = [("news.graphql", "subscription { news { n } }")];
    load(&[&arguments[..], more].concat(), &files).await
}

const EXACT: [&str; 2] = ["--match", r#""n":{seq}"#];

#[tokio::test]
async fn another_server_that_does_well_does_well() {
    let report = load_on_careless(|seq| vec![seq], &EXACT).await.good();
    assert_eq!(report["deliveries"]["received"], 2 * published(&report));
    assert_eq!(report["connections"]["firstResults"], 0);
    let counted = load_on_careless(|seq| vec![seq], &[]).await;
    let report = counted.good();
    assert_eq!(report["deliveries"]["received"], 2 * published(&report));
    assert!(
        counted
            .printed
            .contains("--match would tell which is which"),
        "{}",
        counted.printed
    );
}

#[tokio::test]
async fn what_is_left_out_is_missing() {
    let fault: Fault = |seq| {
        if seq == 3 || seq == 10 {
            vec![]
        } else {
            vec![seq]
        }
    };
    let report = load_on_careless(fault, &EXACT)
        .await
        .failed("4 deliveries are missing");
    assert_eq!(report["deliveries"]["received"], 2 * published(&report) - 4);
    load_on_careless(fault, &[])
        .await
        .failed("4 deliveries are missing");
}

#[tokio::test]
async fn what_comes_twice_is_counted_as_such() {
    let fault: Fault = |seq| if seq == 3 { vec![3, 3] } else { vec![seq] };
    let report = load_on_careless(fault, &EXACT)
        .await
        .failed("2 deliveries came twice");
    assert_eq!(report["deliveries"]["received"], 2 * published(&report));
}

#[tokio::test]
async fn what_comes_late_is_out_of_order_and_not_missing() {
    let fault: Fault = |seq| match seq {
        3 => vec![],
        4 => vec![4, 3],
        seq => vec![seq],
    };
    let report = load_on_careless(fault, &EXACT)
        .await
        .failed("2 deliveries came out of order");
    assert_eq!(report["deliveries"]["missing"], 0);
}

#[tokio::test]
async fn what_somebody_else_should_have_been_told_is_noticed() {
    let query = "@subscription { news { n } }";
    let ended = load_of(query, "news_{i}", |seq| vec![seq], &EXACT).await;
    assert_eq!(ended.code, Some(1), "{}", ended.said);
    let report = ended.report();
    // Each connection was told all, and half of it was its own.
    assert_eq!(report["deliveries"]["foreign"], published(&report));
    assert_eq!(report["deliveries"]["received"], published(&report));
    assert!(
        ended.said.ends_with("deliveries were for somebody else\n"),
        "{}",
        ended.said
    );
}

#[tokio::test]
async fn connections_that_the_server_closes_are_lost() {
    let fault: Fault = |seq| if seq == 5 { vec![0] } else { vec![seq] };
    let report = load_on_careless(fault, &EXACT)
        .await
        .failed("2 connections were lost");
    assert_eq!(
        report["closes"],
        json!([{ "code": 4499, "reason": "had enough", "count": 2 }])
    );
}
