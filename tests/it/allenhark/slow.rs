//! A client that does not read: it misses prices, and nothing else without being told.

use super::{
    ACCOUNT, MINT, SUBSCRIBE_PRICE, SUBSCRIBE_WALLET, WALLET, auth, own, price, start,
    told_of_price, traded, transaction,
};
use crate::client::{CLOSE, PING, Raw};
use crate::tidings::Tidings;

/// Connects with a small receive buffer, subscribes, and reads as far as the answer.
async fn narrow(server: &Tidings, subscribe: &str) -> Raw {
    let key = server.key(ACCOUNT, &["read"]).await;
    let mut client = Raw::narrow_at(server.address(), "/v1/ws").await;
    client.text(&auth(&key)).await;
    client.text(subscribe).await;
    loop {
        let text = text(&mut client).await.expect("it is answered");
        if text.contains(r#""type":"subscribed""#) {
            return client;
        }
    }
}

/// The next text; an error says that it was closed, with the code.
async fn text(client: &mut Raw) -> Result<String, u16> {
    loop {
        let frame = client.frame().await.ok_or(1006u16)?;
        match frame.first {
            PING => {}
            CLOSE => return Err(u16::from_be_bytes([frame.payload[0], frame.payload[1]])),
            _ => return Ok(String::from_utf8(frame.payload).expect("it is text")),
        }
    }
}

#[tokio::test]
async fn a_client_that_does_not_read_misses_old_prices_and_gets_the_latest() {
    let server = start(&[]).await;
    let mut client = narrow(&server, SUBSCRIBE_PRICE).await;
    let channel = format!("MINT_PRICE_{MINT}");
    let mut last = 0;
    server
        .until("prices give way to newer ones", async || {
            for _ in 0..200 {
                last += 1;
                server.publish(&channel, &price(&last.to_string())).await;
            }
            server.metric("tidings_conflated_total").await > 100.0
        })
        .await;
    let mut told = 0;
    loop {
        told += 1;
        let text = text(&mut client).await.expect("it is not closed for that");
        if text == told_of_price(&last.to_string()) {
            break;
        }
    }
    assert!(told < last, "{told} of {last}");
}

/// As much as its outbox may hold, and then it is closed with a code that says: come back.
#[tokio::test]
async fn a_client_that_does_not_read_is_closed_before_it_misses_a_transaction() {
    let server = start(&[("TIDINGS_LIMITS__OUTBOX_FRAMES", "100")]).await;
    let client = narrow(&server, SUBSCRIBE_WALLET).await;
    let channel = format!("WALLET_TX_{WALLET}");
    never_silently(
        &server,
        client,
        |number| (channel.clone(), transaction("confirmed", number)),
        "slot",
    )
    .await;
}

#[tokio::test]
async fn a_client_that_does_not_read_is_closed_before_it_misses_what_its_bot_does() {
    let server = start(&[("TIDINGS_LIMITS__OUTBOX_FRAMES", "100")]).await;
    let key = server.key(ACCOUNT, &["read"]).await;
    own(&server, &key, ACCOUNT, "bot_abc123").await;
    let client = narrow(&server, super::SUBSCRIBE_BOT).await;
    let body = |number| ("BOT_bot_abc123".to_owned(), traded(number as usize));
    never_silently(&server, client, body, "number").await;
}

/// Publishes until the client is given up; it then reads all up to a place, without a gap, and a close.
async fn never_silently(
    server: &Tidings,
    mut client: Raw,
    body: impl Fn(u64) -> (String, String),
    counts: &str,
) {
    let mut last = 0;
    let closed = r#"tidings_closes_total{reason="too_slow"}"#;
    server
        .until("it is given up", async || {
            for _ in 0..200 {
                let (channel, body) = body(last);
                server.publish(&channel, &body).await;
                last += 1;
            }
            server.metric("tidings_subscriptions").await == 0.0
        })
        .await;
    let mut expected = 0;
    let code = loop {
        match text(&mut client).await {
            Ok(text) => {
                assert!(text.contains(&format!("\"{counts}\":{expected}")), "{text}");
                expected += 1;
            }
            Err(code) => break code,
        }
    };
    assert_eq!(code, 1013);
    assert!(expected < last);
    server.until_metric(closed, 1.0).await;
}
