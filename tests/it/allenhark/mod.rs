//! AllenHark's API, row by row of its contract, on real sockets.
//!
//! The rows are those of <https://allenhark.com/docs/api/websocket>, and what is decided where that page is silent.

mod bots;
mod clients;
mod closes;
mod errors;
mod nodes;
mod sessions;
mod slow;
mod told;

use serde_json::Value;

use crate::client::Client;
use crate::tidings::Tidings;

const ACCOUNT: &str = "0d3d3c1a-5e0e-4b7b-8f59-7f1a7b1f6a51";
const OTHER: &str = "1d3d3c1a-5e0e-4b7b-8f59-7f1a7b1f6a51";

const BOT: &str = "bot_abc123";
const MINT: &str = "EPjFWdd5AufqSSqeM2qN1xzybapC8G4wEGGkZwyTDt1v";
const WALLET: &str = "7xKXtg2CW87d97TXJSDpbD5jBkheTqA83TZRuJosgAsU";

const SUBSCRIBE_BOT: &str = r#"{"type":"subscribe","channel":"bot","botId":"bot_abc123"}"#;
const SUBSCRIBED_BOT: &str = r#"{"type":"subscribed","channel":"bot","botId":"bot_abc123"}"#;
const SUBSCRIBE_PRICE: &str = r#"{"type":"subscribe","channel":"price","mint":"EPjFWdd5AufqSSqeM2qN1xzybapC8G4wEGGkZwyTDt1v"}"#;
const SUBSCRIBED_PRICE: &str = r#"{"type":"subscribed","channel":"price","mint":"EPjFWdd5AufqSSqeM2qN1xzybapC8G4wEGGkZwyTDt1v"}"#;
const SUBSCRIBE_WALLET: &str = r#"{"type":"subscribe","channel":"transactions","wallet":"7xKXtg2CW87d97TXJSDpbD5jBkheTqA83TZRuJosgAsU"}"#;
const SUBSCRIBED_WALLET: &str = r#"{"type":"subscribed","channel":"transactions","wallet":"7xKXtg2CW87d97TXJSDpbD5jBkheTqA83TZRuJosgAsU"}"#;

const NO_SUCH_BOT: &str = r#"{"type":"error","code":"NOT_FOUND","message":"There is no such bot in this account","channel":"bot","botId":"bot_abc123"}"#;
const AUTH_SUCCESS: &str = r#"{"type":"auth_success"}"#;

const ENABLED: (&str, &str) = ("TIDINGS_ALLENHARK__ENABLED", "true");

/// Has one tier, of so many subscriptions and messages a second.
fn tier(subscriptions: usize, messages_per_second: usize) -> String {
    format!(
        r#"[{{ name = "free", subscriptions = {subscriptions}, messages_per_second = {messages_per_second} }}]"#
    )
}

const TIERS: &str = "TIDINGS_ALLENHARK__TIERS";

async fn start(settings: &[(&str, &str)]) -> Tidings {
    Tidings::start_with(&[&[ENABLED], settings].concat()).await
}

/// Connects, and says nothing yet.
async fn connect(server: &Tidings) -> Client {
    Client::connect_at(server.address(), "/v1/ws", None).await
}

fn auth(key: &str) -> String {
    format!(r#"{{"type":"auth","apiKey":"{key}"}}"#)
}

/// Connects and is let in.
async fn let_in(server: &Tidings, key: &str) -> Client {
    let mut client = connect(server).await;
    client.send(&auth(key)).await;
    assert_eq!(client.text().await, AUTH_SUCCESS);
    client
}

/// A client of [`ACCOUNT`] that was let in.
async fn signed_in(server: &Tidings) -> Client {
    let key = server.key(ACCOUNT, &["read"]).await;
    let_in(server, &key).await
}

/// Says something, and is answered so.
async fn ask(client: &mut Client, what: &str, answer: &str) {
    client.send(what).await;
    assert_eq!(client.text().await, answer, "{what}");
}

/// The code of the error that the next message is, which has a message for people, too.
async fn error_code(client: &mut Client) -> String {
    let said = client.json().await;
    assert_eq!(said["type"], "error", "{said}");
    assert!(said["message"].is_string(), "{said}");
    said["code"].as_str().expect("a code").to_owned()
}

/// Shows that nothing else was said up to now: the next message is the answer to a ping.
async fn fence(client: &mut Client) {
    client.send(r#"{"type":"ping"}"#).await;
    assert_eq!(client.json().await["type"], "pong");
}

/// Gives a bot to an account, and waits until the server knows.
async fn own(server: &Tidings, key: &str, account: &str, bot: &str) {
    server.run(&["bots", "add", "--force", "--account", account, bot]);
    until_owned(server, key, bot).await;
}

/// Waits until a server lets the owner of a key hear a bot: it looks at the store several times a second.
async fn until_owned(server: &Tidings, key: &str, bot: &str) {
    server
        .until("the bot is known", async || {
            let mut client = let_in(server, key).await;
            client
                .send(&format!(
                    r#"{{"type":"subscribe","channel":"bot","botId":"{bot}"}}"#
                ))
                .await;
            client.json().await["type"] == "subscribed"
        })
        .await;
}

/// A client of an account that has a bot, and hears it.
async fn with_bot(server: &Tidings, account: &str) -> (String, Client) {
    let key = server.key(account, &["read"]).await;
    own(server, &key, account, BOT).await;
    let mut client = let_in(server, &key).await;
    ask(&mut client, SUBSCRIBE_BOT, SUBSCRIBED_BOT).await;
    (key, client)
}

fn traded(number: usize) -> String {
    format!(r#"{{"event":"trade_executed","data":{{"number":{number}}}}}"#)
}

/// What is told of [`traded`].
fn told_of_trade(number: usize) -> String {
    format!(
        r#"{{"type":"bot_update","botId":"bot_abc123","event":"trade_executed","data":{{"number":{number}}}}}"#
    )
}

fn price(text: &str) -> String {
    format!(r#"{{"price":{text},"volume":1000000,"timestamp":"2024-01-15T10:30:00Z"}}"#)
}

/// What is told of [`price`].
fn told_of_price(text: &str) -> String {
    format!(
        r#"{{"type":"price_update","mint":"{MINT}","price":{text},"volume":1000000,"timestamp":"2024-01-15T10:30:00Z"}}"#
    )
}

fn transaction(status: &str, slot: u64) -> String {
    format!(r#"{{"signature":"5VERv8","status":"{status}","slot":{slot}}}"#)
}

/// What is told of [`transaction`].
fn told_of_transaction(status: &str, slot: u64) -> String {
    format!(
        r#"{{"type":"transaction_confirmed","signature":"5VERv8","status":"{status}","slot":{slot},"wallet":"{WALLET}"}}"#
    )
}

fn is_now(timestamp: &Value) {
    let text = timestamp.as_str().expect("a timestamp");
    assert_eq!(text.len(), "2024-01-15T10:30:00Z".len(), "{text}");
    let told: jiff::Timestamp = text.parse().expect("ISO 8601");
    let now = jiff::Timestamp::now().as_second();
    assert!((now - 30..=now).contains(&told.as_second()), "{text}");
}
