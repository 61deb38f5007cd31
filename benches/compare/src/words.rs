//! What is asked and what is published: the same for every stack.

/// The key of RFC 6455, section 1.3, so that its answer is known.
pub const SOCKET_KEY: &str = "dGhlIHNhbXBsZSBub25jZQ==";

/// The answer to [`SOCKET_KEY`].
pub const SOCKET_ACCEPT: &str = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=";

/// Asks for the upgrade to WebSocket.
pub fn upgrade() -> String {
    format!(
        "GET /graphql HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {SOCKET_KEY}\r\n\
         Sec-WebSocket-Protocol: graphql-transport-ws\r\n\r\n"
    )
}

/// `connection_init` with the key of a client.
pub fn init(client: usize) -> String {
    let key = api_key(client);
    format!(r#"{{"type":"connection_init","payload":{{"X-API-KEY":"{key}"}}}}"#)
}

/// Where prices are published.
pub const PRICE_CHANNEL: &str = "PRICE_UPDATE_USD";

/// What the channels of accounts begin with.
pub const ACCOUNT_CHANNEL: &str = "ACCOUNT_UPDATE_";

/// What stands before a price's number in its message: the first such field is the price of one sat.
pub const PRICE_FIELD: &str = r#""base":"#;

/// What stands before a payment's number in its message.
pub const MEMO_FIELD: &str = r#""memo":""#;

/// The account of a client.
pub fn account(client: usize) -> String {
    format!("{client:08x}-0000-4000-8000-{client:012x}")
}

/// The API key of a client: the prefix of Blink's, and its number in 64 digits.
pub fn api_key(client: usize) -> String {
    format!("blink_{client:064}")
}

/// The id of a client's subscription: a UUID, as the libraries of clients make them.
pub fn operation_id(client: usize) -> String {
    format!("{client:08x}-1111-4111-8111-{client:012x}")
}

/// Asks for all of the price in US dollars, under this name.
pub fn price_document(alias: &str) -> String {
    format!(
        "subscription RealtimePrice($input: RealtimePriceInput!) {{ {alias}realtimePrice(input: $input) {{ \
         errors {{ code message path }} realtimePrice {{ id timestamp denominatorCurrency \
         btcSatPrice {{ base offset currencyUnit }} usdCentPrice {{ base offset currencyUnit }} }} }} }}"
    )
}

/// The variables of [`price_document`].
pub const PRICE_VARIABLES: &str = r#"{"input":{"currency":"USD"}}"#;

/// Asks for what reaches an account.
pub const UPDATES_DOCUMENT: &str = "subscription MyUpdates { myUpdates { errors { message } me { id } update { \
    __typename ... on LnUpdate { paymentHash status walletId transaction { id status direction memo \
    settlementAmount settlementCurrency createdAt } } ... on Price { base offset } \
    ... on RealtimePrice { btcSatPrice { base offset } } } } }";

/// The body of [`PRICE_CHANNEL`] whose `btcSatPrice.base` is this number.
pub fn price_body(number: u64) -> String {
    format!(
        "{{\"timestamp\":\"2024-01-15T10:30:00.000Z\",\"currency\":{{\"code\":\"USD\",\"symbol\":\"$\",\
         \"name\":\"US Dollar\",\"flag\":\"🇺🇸\",\"fractionDigits\":2,\"countryCodes\":[\"US\"]}},\
         \"displayCurrency\":\"USD\",\"pricePerSat\":{},\"pricePerUsdCent\":0.01}}",
        number as f64 / 1e14
    )
}

/// The body of an account's channel: a Lightning receipt whose memo is this number.
pub fn receipt_body(number: u64) -> String {
    const HASH: &str = "bf6b3a1f0e5c4d2b8a7960f1e2d3c4b5a69788f9e0d1c2b3a4f5e6d7c8b9a0f1";
    const WALLET: &str = "6c9ae5a1-0c6b-4d8e-9a39-2b5a7a0f0b01";
    format!(
        "{{\"invoice\":{{\"walletId\":\"{WALLET}\",\"paymentHash\":\"{HASH}\",\"status\":\"Paid\",\
         \"transaction\":{{\"createdAt\":\"2023-11-21T01:49:38.375Z\",\"id\":\"655cd1926445716f60b89418\",\
         \"walletId\":\"{WALLET}\",\"initiationVia\":{{\"type\":\"lightning\",\"paymentHash\":\"{HASH}\",\
         \"pubkey\":\"\"}},\"settlementVia\":{{\"type\":\"lightning\"}},\"memo\":\"{number}\",\
         \"settlementAmount\":2707,\"settlementFee\":0,\"settlementCurrency\":\"BTC\",\
         \"settlementDisplayAmount\":\"1.00\",\"settlementDisplayFee\":\"0.00\",\"settlementDisplayPrice\":\
         {{\"base\":\"36941263391\",\"offset\":\"12\",\"displayCurrency\":\"USD\",\"walletCurrency\":\"BTC\"}},\
         \"status\":\"success\"}}}}}}"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_number_of_a_run_survives_the_way_into_a_price_and_back() {
        for number in (43_623_000_000..43_623_200_000).step_by(7) {
            let body = price_body(number);
            let price = body.split("\"pricePerSat\":").nth(1).unwrap();
            let price: f64 = price.split(',').next().unwrap().parse().unwrap();
            assert_eq!((price * 100.0 * 1e12).round() as u64, number);
        }
    }

    #[test]
    fn bodies_are_json() {
        for body in [price_body(43_623_000_000), receipt_body(7)] {
            serde_json::from_str::<serde_json::Value>(&body).unwrap();
        }
    }
}
