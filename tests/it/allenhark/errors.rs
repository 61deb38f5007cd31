//! What is answered to what cannot be done: one test for each code.

use super::{
    ACCOUNT, MINT, NO_SUCH_BOT, SUBSCRIBE_BOT, SUBSCRIBE_PRICE, SUBSCRIBE_WALLET, SUBSCRIBED_PRICE,
    SUBSCRIBED_WALLET, TIERS, WALLET, ask, connect, fence, let_in, signed_in, start, tier,
};
use ::tidings::accounts::AccountPlans;
use ::tidings::topic::{AccountId, SolanaAddress};
use serde_json::Value;

/// What is answered to each of these, by a client that goes on after it.
async fn answers(code: &str, cases: &[(&str, &str)]) {
    let server = start(&[]).await;
    let mut client = signed_in(&server).await;
    for (said, answer) in cases {
        let answer = format!(r#"{{"type":"error","code":"{code}",{answer}}}"#);
        ask(&mut client, said, &answer).await;
    }
    ask(&mut client, SUBSCRIBE_PRICE, SUBSCRIBED_PRICE).await;
}

#[tokio::test]
async fn invalid_message() {
    answers(
        "INVALID_MESSAGE",
        &[
            ("hello", r#""message":"The message is not JSON""#),
            ("[]", r#""message":"The message is not a JSON object""#),
            ("{}", r#""message":"`type` is missing""#),
            (r#"{"type":null}"#, r#""message":"`type` is missing""#),
            (r#"{"type":7}"#, r#""message":"`type` is not a string""#),
            (
                r#"{"type":"ping","type":"ping"}"#,
                r#""message":"A key of the message appears twice""#,
            ),
        ],
    )
    .await;
}

#[tokio::test]
async fn unknown_type() {
    let known = "expected auth, subscribe, unsubscribe or ping";
    answers(
        "UNKNOWN_TYPE",
        &[
            (
                r#"{"type":"stream"}"#,
                &format!(r#""message":"Unknown type \"stream\", {known}""#),
            ),
            (
                r#"{"type":""}"#,
                &format!(r#""message":"Unknown type \"\", {known}""#),
            ),
        ],
    )
    .await;
}

#[tokio::test]
async fn unknown_channel() {
    let message = r#""message":"Unknown channel, expected bot, price or transactions""#;
    answers(
        "UNKNOWN_CHANNEL",
        &[
            (
                r#"{"type":"subscribe","channel":"trades","mint":"x"}"#,
                &format!(r#"{message},"channel":"trades""#),
            ),
            (
                r#"{"type":"unsubscribe","channel":"Bot"}"#,
                &format!(r#"{message},"channel":"Bot""#),
            ),
        ],
    )
    .await;
}

#[tokio::test]
async fn missing_field() {
    answers(
        "MISSING_FIELD",
        &[
            (r#"{"type":"auth"}"#, r#""message":"`apiKey` is missing""#),
            (
                r#"{"type":"subscribe"}"#,
                r#""message":"`channel` is missing""#,
            ),
            (
                r#"{"type":"subscribe","channel":"bot","botid":"bot_1"}"#,
                r#""message":"`botId` is missing","channel":"bot""#,
            ),
            (
                r#"{"type":"subscribe","channel":"price"}"#,
                r#""message":"`mint` is missing","channel":"price""#,
            ),
            (
                r#"{"type":"unsubscribe","channel":"transactions","wallet":null}"#,
                r#""message":"`wallet` is missing","channel":"transactions""#,
            ),
        ],
    )
    .await;
}

#[tokio::test]
async fn invalid_field() {
    let address = "is not an address of Solana: 32 bytes in base58";
    answers(
        "INVALID_FIELD",
        &[
            (r#"{"type":"auth","apiKey":7}"#, r#""message":"`apiKey` is not a string""#),
            (
                r#"{"type":"subscribe","channel":7}"#,
                r#""message":"`channel` is not a string""#,
            ),
            (
                r#"{"type":"subscribe","channel":"bot","botId":"abc"}"#,
                r#""message":"`botId` is not the id of a bot, such as bot_abc123","channel":"bot","botId":"abc""#,
            ),
            (
                r#"{"type":"subscribe","channel":"price","mint":"EPjFWdd5"}"#,
                &format!(r#""message":"`mint` {address}","channel":"price","mint":"EPjFWdd5""#),
            ),
            // Not base58: there is a zero in it.
            (
                r#"{"type":"subscribe","channel":"transactions","wallet":"0PjFWdd5AufqSSqeM2qN1xzybapC8G4wEGGkZwyTDt1v"}"#,
                &format!(r#""message":"`wallet` {address}","channel":"transactions","wallet":"0PjFWdd5AufqSSqeM2qN1xzybapC8G4wEGGkZwyTDt1v""#),
            ),
        ],
    )
    .await;
}

#[tokio::test]
async fn not_found() {
    let server = start(&[]).await;
    let mut client = signed_in(&server).await;
    ask(&mut client, SUBSCRIBE_BOT, NO_SUCH_BOT).await;
    server.until_metric("tidings_subscriptions", 0.0).await;
    fence(&mut client).await;
}

#[tokio::test]
async fn not_subscribed() {
    let message = r#""message":"There is no such subscription""#;
    answers(
        "NOT_SUBSCRIBED",
        &[
            (
                r#"{"type":"unsubscribe","channel":"bot","botId":"bot_abc123"}"#,
                &format!(r#"{message},"channel":"bot","botId":"bot_abc123""#),
            ),
            (
                &SUBSCRIBE_WALLET.replace("subscribe", "unsubscribe"),
                &format!(r#"{message},"channel":"transactions","wallet":"{WALLET}""#),
            ),
        ],
    )
    .await;
}

#[tokio::test]
async fn limit_exceeded() {
    let server = start(&[(TIERS, &tier(2, 100))]).await;
    let mut client = signed_in(&server).await;
    ask(&mut client, SUBSCRIBE_PRICE, SUBSCRIBED_PRICE).await;
    ask(&mut client, SUBSCRIBE_WALLET, SUBSCRIBED_WALLET).await;
    let one_more = SUBSCRIBE_PRICE.replace(MINT, WALLET);
    let exceeded = format!(
        r#"{{"type":"error","code":"LIMIT_EXCEEDED","message":"A connection may have 2 subscriptions at a time","channel":"price","mint":"{WALLET}"}}"#
    );
    ask(&mut client, &one_more, &exceeded).await;
    // What there is goes on, and what is asked for twice is no more than once.
    ask(&mut client, SUBSCRIBE_PRICE, SUBSCRIBED_PRICE).await;
    let unsubscribe = SUBSCRIBE_WALLET.replace("subscribe", "unsubscribe");
    ask(
        &mut client,
        &unsubscribe,
        &SUBSCRIBED_WALLET.replace("subscribed", "unsubscribed"),
    )
    .await;
    ask(
        &mut client,
        &one_more,
        &SUBSCRIBED_PRICE.replace(MINT, WALLET),
    )
    .await;
}

/// More than any other connection may have.
#[tokio::test]
async fn an_account_of_a_larger_tier_may_have_more() {
    let server = start(&[]).await;
    let account = AccountId::parse(ACCOUNT).unwrap();
    let plans = AccountPlans {
        allenhark: Some("enterprise".to_owned()),
        ..AccountPlans::default()
    };
    server.store().put_plans(account, &plans).await.unwrap();
    let key = server.key(ACCOUNT, &["read"]).await;
    // The plans are read after the keys.
    server
        .until("more than a hundred are let in", async || {
            let mut client = let_in(&server, &key).await;
            let mut answer = Value::Null;
            for number in 0..101 {
                let mint = SolanaAddress::of_bytes(&[number; 32]);
                let subscribe = SUBSCRIBE_PRICE.replace(MINT, mint.as_str());
                client.send(&subscribe).await;
                answer = client.json().await;
                if answer["type"] == "error" {
                    break;
                }
            }
            answer["type"] == "subscribed"
        })
        .await;
}

#[tokio::test]
async fn rate_limited() {
    let server = start(&[(TIERS, &tier(10, 3))]).await;
    let mut client = signed_in(&server).await;
    for _ in 0..4 {
        client.send(SUBSCRIBE_PRICE).await;
    }
    for _ in 0..3 {
        assert_eq!(client.text().await, SUBSCRIBED_PRICE);
    }
    let limited = client.text().await;
    let begin = r#"{"type":"error","code":"RATE_LIMITED","message":"Too many messages, the next one may come in "#;
    let end = format!(r#" ms","channel":"price","mint":"{MINT}"}}"#);
    assert!(
        limited.starts_with(begin) && limited.ends_with(&end),
        "{limited}"
    );
    server
        .until("it may speak again", async || {
            client.send(r#"{"type":"ping"}"#).await;
            let pongs = client.json().await["type"] == "pong";
            tokio::time::sleep(std::time::Duration::from_millis(500)).await;
            pongs
        })
        .await;
}

/// The errors of whoever was not let in yet are the same.
#[tokio::test]
async fn whoever_was_not_let_in_is_told_what_is_wrong_with_a_message_too() {
    let server = start(&[]).await;
    let mut client = connect(&server).await;
    for (said, code) in [
        ("hello", "INVALID_MESSAGE"),
        (r#"{"type":"stream"}"#, "UNKNOWN_TYPE"),
        (r#"{"type":"auth"}"#, "MISSING_FIELD"),
        (r#"{"type":"auth","apiKey":7}"#, "INVALID_FIELD"),
        (
            r#"{"type":"subscribe","channel":"trades"}"#,
            "UNKNOWN_CHANNEL",
        ),
        (SUBSCRIBE_PRICE, "AUTH_REQUIRED"),
    ] {
        client.send(said).await;
        assert_eq!(client.json().await["code"], code, "{said}");
    }
}

/// Credentials that cannot be checked now are not said to be wrong.
#[tokio::test]
async fn internal() {
    let redis = crate::redis_server::RedisServer::absent(&[]);
    let settings = [("TIDINGS_AUTH__TIMEOUT", "100ms"), super::ENABLED];
    let server = crate::tidings::Tidings::start_on(&redis, &settings).await;
    let mut client = connect(&server).await;
    let key = format!("blink_{}", "a".repeat(64));
    let away = r#"{"type":"error","code":"INTERNAL","message":"Credentials cannot be checked now, try again later"}"#;
    ask(&mut client, &super::auth(&key), away).await;
    assert_eq!(client.closed().await.0, 1013);
}
