//! What Blink's clients send, and what they are answered: byte for byte.

mod clients;
mod invoices;
mod prices;
mod scalars;
mod sessions;
mod updates;

use crate::client::Client;
use crate::tidings::Tidings;

const ACCOUNT: &str = "21087d73-28c9-4d1f-9b0c-1a2b3c4d5e6f";
const WALLET: &str = "1b9d6bcd-bbfd-4b2d-9b5d-ab8dfbbd4bed";

/// The body of `PRICE_UPDATE_USD` by which the documentation's `price` comes out.
const PRICE_OF_THE_DOCS: &str = r#"{"timestamp":"2023-12-22T15:16:11.000Z","currency":{"code":"USD","symbol":"$","name":"US Dollar","flag":"🇺🇸","fractionDigits":2,"countryCodes":["US"]},"displayCurrency":"USD","pricePerSat":0.000436441484375,"pricePerUsdCent":0.01}"#;
/// The same for its `realtimePrice`.
const REALTIME_PRICE_OF_THE_DOCS: &str = r#"{"timestamp":"2023-12-22T15:16:11.000Z","currency":{"code":"USD","symbol":"$","name":"US Dollar","flag":"🇺🇸","fractionDigits":2,"countryCodes":["US"]},"displayCurrency":"USD","pricePerSat":0.0004362305078125,"pricePerUsdCent":0.01}"#;

/// A transaction as in Blink's webhooks, by these ways, of this amount and status.
fn transaction(initiation: &str, settlement: &str, amount: i64, status: &str) -> String {
    format!(
        r#"{{"createdAt":"2023-11-21T01:49:38.375Z","id":"655cd1926445716f60b89418","walletId":"{WALLET}","initiationVia":{initiation},"settlementVia":{settlement},"memo":null,"settlementAmount":{amount},"settlementFee":0,"settlementCurrency":"BTC","settlementDisplayAmount":"1.00","settlementDisplayFee":"0.00","settlementDisplayPrice":{{"base":"36941263391","offset":"12","displayCurrency":"USD","walletCurrency":"BTC"}},"status":"{status}"}}"#
    )
}

fn hash() -> String {
    "bf".repeat(32)
}

/// `{"invoice":…}`: a Lightning receipt.
fn ln_receipt() -> String {
    let hash = hash();
    let via = format!(r#"{{"type":"lightning","paymentHash":"{hash}","pubkey":"d75a"}}"#);
    let transaction = transaction(&via, r#"{"type":"lightning"}"#, 2707, "success");
    format!(
        r#"{{"invoice":{{"walletId":"{WALLET}","paymentHash":"{hash}","status":"Paid","transaction":{transaction}}}}}"#
    )
}

/// Subscribes, and gives what is said first, without the envelope.
async fn first(client: &mut Client, query: &str, variables: &str) -> String {
    client.subscribe_with("1", query, variables).await;
    let text = client.text().await;
    client.complete("1").await;
    let payload = text.strip_prefix(r#"{"id":"1","type":"next","payload":"#);
    let payload = payload.and_then(|text| text.strip_suffix('}'));
    payload
        .unwrap_or_else(|| panic!("{query} gives {text}"))
        .to_owned()
}

/// A client with a key of [`ACCOUNT`].
async fn signed_in(server: &Tidings) -> Client {
    let key = server.key(ACCOUNT, &["read"]).await;
    server.with_key(&key).await
}
