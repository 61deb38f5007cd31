//! What is told: byte for byte as the contract has it.

use super::{
    ACCOUNT, BOT, MINT, SUBSCRIBE_BOT, SUBSCRIBE_PRICE, SUBSCRIBE_WALLET, SUBSCRIBED_BOT,
    SUBSCRIBED_PRICE, SUBSCRIBED_WALLET, WALLET, ask, fence, is_now, let_in, price, signed_in,
    start, told_of_price, told_of_trade, told_of_transaction, traded, transaction, with_bot,
};
use crate::tidings::Tidings;

#[tokio::test]
async fn the_samples_of_the_contract_are_told_byte_for_byte() {
    let server = start(&[]).await;
    let (_, mut client) = with_bot(&server, ACCOUNT).await;
    ask(&mut client, SUBSCRIBE_PRICE, SUBSCRIBED_PRICE).await;
    ask(&mut client, SUBSCRIBE_WALLET, SUBSCRIBED_WALLET).await;
    server
        .publish(
            "BOT_bot_abc123",
            r#"{"event":"trade_executed","data":{"signature":"5VERv8...","profit":0.15,"timestamp":"2024-01-15T10:30:00Z"}}"#,
        )
        .await;
    assert_eq!(
        client.text().await,
        r#"{"type":"bot_update","botId":"bot_abc123","event":"trade_executed","data":{"signature":"5VERv8...","profit":0.15,"timestamp":"2024-01-15T10:30:00Z"}}"#
    );
    server
        .publish(
            "MINT_PRICE_EPjFWdd5AufqSSqeM2qN1xzybapC8G4wEGGkZwyTDt1v",
            r#"{"price":1.0001,"volume":1000000,"timestamp":"2024-01-15T10:30:00Z"}"#,
        )
        .await;
    assert_eq!(
        client.text().await,
        r#"{"type":"price_update","mint":"EPjFWdd5AufqSSqeM2qN1xzybapC8G4wEGGkZwyTDt1v","price":1.0001,"volume":1000000,"timestamp":"2024-01-15T10:30:00Z"}"#
    );
    server
        .publish(
            "WALLET_TX_7xKXtg2CW87d97TXJSDpbD5jBkheTqA83TZRuJosgAsU",
            r#"{"signature":"5VERv8","status":"confirmed","slot":250123456}"#,
        )
        .await;
    assert_eq!(
        client.text().await,
        r#"{"type":"transaction_confirmed","signature":"5VERv8","status":"confirmed","slot":250123456,"wallet":"7xKXtg2CW87d97TXJSDpbD5jBkheTqA83TZRuJosgAsU"}"#
    );
}

#[tokio::test]
async fn every_status_of_a_transaction_is_told_in_the_same_type() {
    let server = start(&[]).await;
    let mut client = signed_in(&server).await;
    ask(&mut client, SUBSCRIBE_WALLET, SUBSCRIBED_WALLET).await;
    for (slot, status) in ["processed", "confirmed", "finalized", "failed"]
        .iter()
        .enumerate()
    {
        let body = transaction(status, slot as u64);
        server.publish(&format!("WALLET_TX_{WALLET}"), &body).await;
        let told = told_of_transaction(status, slot as u64);
        assert_eq!(client.text().await, told);
    }
}

#[tokio::test]
async fn whatever_a_bot_says_is_passed_on() {
    let server = start(&[]).await;
    let (_, mut client) = with_bot(&server, ACCOUNT).await;
    for event in [
        "trade_executed",
        "trade_failed",
        "status_changed",
        "error",
        "lunch \"time\"",
    ] {
        let event = serde_json::to_string(event).unwrap();
        let data = r#"{"profit":-0.000000000000000000001,"n":18446744073709551616, "s":"é\u0000"}"#;
        let body = format!(r#"{{"event":{event},"data":{data}}}"#);
        server.publish("BOT_bot_abc123", &body).await;
        let told = format!(
            r#"{{"type":"bot_update","botId":"bot_abc123","event":{event},"data":{data}}}"#
        );
        assert_eq!(client.text().await, told);
    }
}

#[tokio::test]
async fn digits_are_told_as_they_were_published() {
    let server = start(&[]).await;
    let mut client = signed_in(&server).await;
    ask(&mut client, SUBSCRIBE_PRICE, SUBSCRIBED_PRICE).await;
    for digits in [
        "0.00000123450",
        "1e-9",
        "123456789012345678901234567890",
        "0",
    ] {
        server
            .publish(&format!("MINT_PRICE_{MINT}"), &price(digits))
            .await;
        assert_eq!(client.text().await, told_of_price(digits));
    }
}

#[tokio::test]
async fn a_price_without_a_time_is_one_of_now_and_fractions_of_seconds_are_cut_off() {
    let server = start(&[]).await;
    let mut client = signed_in(&server).await;
    ask(&mut client, SUBSCRIBE_PRICE, SUBSCRIBED_PRICE).await;
    let channel = format!("MINT_PRICE_{MINT}");
    server.publish(&channel, r#"{"price":1,"volume":2}"#).await;
    is_now(&client.json().await["timestamp"]);
    let body = r#"{"price":1,"volume":2,"timestamp":"2024-01-15T11:30:00.999+01:00"}"#;
    server.publish(&channel, body).await;
    assert_eq!(client.json().await["timestamp"], "2024-01-15T10:30:00Z");
}

/// The answer comes first, then the last price, then those that follow.
#[tokio::test]
async fn a_new_subscriber_is_told_the_last_price_behind_the_answer() {
    let server = start(&[]).await;
    let key = server.key(ACCOUNT, &["read"]).await;
    let mut first = let_in(&server, &key).await;
    ask(&mut first, SUBSCRIBE_PRICE, SUBSCRIBED_PRICE).await;
    let channel = format!("MINT_PRICE_{MINT}");
    server.publish(&channel, &price("1.0")).await;
    server.publish(&channel, &price("2.0")).await;
    assert_eq!(first.text().await, told_of_price("1.0"));
    assert_eq!(first.text().await, told_of_price("2.0"));

    let mut second = let_in(&server, &key).await;
    ask(&mut second, SUBSCRIBE_PRICE, SUBSCRIBED_PRICE).await;
    assert_eq!(second.text().await, told_of_price("2.0"));
    server.publish(&channel, &price("3.0")).await;
    for client in [&mut first, &mut second] {
        assert_eq!(client.text().await, told_of_price("3.0"));
    }
}

#[tokio::test]
async fn a_price_that_is_too_old_is_told_to_nobody_new() {
    let server = start(&[("TIDINGS_RETAINED__PRICES_FOR", "1ms")]).await;
    let key = server.key(ACCOUNT, &["read"]).await;
    let mut first = let_in(&server, &key).await;
    ask(&mut first, SUBSCRIBE_PRICE, SUBSCRIBED_PRICE).await;
    server
        .publish(&format!("MINT_PRICE_{MINT}"), &price("1.0"))
        .await;
    assert_eq!(first.text().await, told_of_price("1.0"));
    let mut second = let_in(&server, &key).await;
    ask(&mut second, SUBSCRIBE_PRICE, SUBSCRIBED_PRICE).await;
    fence(&mut second).await;
}

#[tokio::test]
async fn each_hears_what_it_asked_for_and_nothing_else() {
    let server = start(&[]).await;
    let key = server.key(ACCOUNT, &["read"]).await;
    let mut wallet = let_in(&server, &key).await;
    ask(&mut wallet, SUBSCRIBE_WALLET, SUBSCRIBED_WALLET).await;
    let mut mint = let_in(&server, &key).await;
    // The same address as the wallet's, in the other channel.
    let subscribe = SUBSCRIBE_PRICE.replace(MINT, WALLET);
    ask(
        &mut mint,
        &subscribe,
        &SUBSCRIBED_PRICE.replace(MINT, WALLET),
    )
    .await;
    server
        .publish(&format!("MINT_PRICE_{WALLET}"), &price("1.0"))
        .await;
    server
        .publish(&format!("WALLET_TX_{WALLET}"), &transaction("failed", 7))
        .await;
    assert_eq!(wallet.text().await, told_of_transaction("failed", 7));
    assert_eq!(
        mint.text().await,
        told_of_price("1.0").replace(MINT, WALLET)
    );
    fence(&mut wallet).await;
    fence(&mut mint).await;
}

#[tokio::test]
async fn who_subscribes_twice_is_answered_twice_and_told_once() {
    let server = start(&[]).await;
    let (_, mut client) = with_bot(&server, ACCOUNT).await;
    ask(&mut client, SUBSCRIBE_BOT, SUBSCRIBED_BOT).await;
    server.until_metric("tidings_subscriptions", 1.0).await;
    server.publish("BOT_bot_abc123", &traded(1)).await;
    assert_eq!(client.text().await, told_of_trade(1));
    fence(&mut client).await;
}

#[tokio::test]
async fn who_unsubscribes_is_answered_and_told_no_more() {
    let server = start(&[]).await;
    let (_, mut client) = with_bot(&server, ACCOUNT).await;
    ask(&mut client, SUBSCRIBE_WALLET, SUBSCRIBED_WALLET).await;
    let unsubscribe = SUBSCRIBE_BOT.replace("subscribe", "unsubscribe");
    let unsubscribed = SUBSCRIBED_BOT.replace("subscribed", "unsubscribed");
    ask(&mut client, &unsubscribe, &unsubscribed).await;
    server.publish("BOT_bot_abc123", &traded(1)).await;
    server
        .publish(&format!("WALLET_TX_{WALLET}"), &transaction("failed", 7))
        .await;
    assert_eq!(client.text().await, told_of_transaction("failed", 7));
    ask(&mut client, SUBSCRIBE_BOT, SUBSCRIBED_BOT).await;
    server.publish("BOT_bot_abc123", &traded(2)).await;
    assert_eq!(client.text().await, told_of_trade(2));
}

#[tokio::test]
async fn a_body_that_is_none_is_not_taken() {
    let server = start(&[]).await;
    let key = server.key(ACCOUNT, &["publish"]).await;
    for (channel, body, why) in [
        (
            format!("MINT_PRICE_{MINT}"),
            r#"{"price":"1.0","volume":1}"#,
            "price: expected a number that is not below zero",
        ),
        (
            format!("WALLET_TX_{WALLET}"),
            r#"{"signature":"5VERv8","status":"lost","slot":1}"#,
            "status: unknown variant `lost`",
        ),
        (
            format!("BOT_{BOT}"),
            r#"{"event":"error"}"#,
            "missing field `data`",
        ),
    ] {
        let (status, said) = server
            .post(&format!("/v1/events/{channel}"), &key, body)
            .await;
        assert_eq!(status, 422, "{said}");
        assert!(said.contains(why), "{said}");
    }
    for channel in ["BOT_abc", "MINT_PRICE_abc", "WALLET_TX_0x00"] {
        let (status, _) = server
            .post(&format!("/v1/events/{channel}"), &key, "{}")
            .await;
        assert_eq!(status, 404, "{channel}");
    }
}

/// What everybody asks alike is rendered once.
#[tokio::test]
async fn what_many_ask_is_one_operation() {
    let server = start(&[]).await;
    let keys = [
        server.key(ACCOUNT, &["read"]).await,
        server.key(super::OTHER, &["read"]).await,
    ];
    let mut clients = Vec::new();
    for number in 0..10 {
        let mut client = let_in(&server, &keys[number % 2]).await;
        ask(&mut client, SUBSCRIBE_PRICE, SUBSCRIBED_PRICE).await;
        clients.push(client);
    }
    let renderings = rendered(&server).await;
    server
        .publish(&format!("MINT_PRICE_{MINT}"), &price("1.0"))
        .await;
    for client in &mut clients {
        assert_eq!(client.text().await, told_of_price("1.0"));
    }
    assert_eq!(rendered(&server).await - renderings, 1.0);
}

async fn rendered(server: &Tidings) -> f64 {
    server.metric("tidings_renderings_total").await
}
