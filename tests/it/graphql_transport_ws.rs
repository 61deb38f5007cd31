//! The protocol, rule by rule, against the built server.

use crate::tidings::Tidings;

#[tokio::test]
async fn a_connection_is_acknowledged_before_anything_else() {
    let server = Tidings::start().await;
    let mut client = server.connect().await;
    assert_eq!(client.subprotocol.as_deref(), Some("graphql-transport-ws"));
    client.send(r#"{"type":"connection_init"}"#).await;
    assert_eq!(client.text().await, r#"{"type":"connection_ack"}"#);
}

#[tokio::test]
async fn a_price_arrives() {
    let server = Tidings::start().await;
    let mut client = server.anonymous().await;
    client.subscribe("1", "subscription { realtimePrice(input: { currency: \"USD\" }) { realtimePrice { btcSatPrice { base } } } }").await;
    client.fence().await;
    server.publish("PRICE_UPDATE_USD", r#"{"timestamp":"2024-01-15T10:30:00.000Z","displayCurrency":"USD","pricePerSat":0.000436441484375,"pricePerUsdCent":0.01}"#).await;
    assert_eq!(
        client.text().await,
        r#"{"id":"1","type":"next","payload":{"data":{"realtimePrice":{"realtimePrice":{"btcSatPrice":{"base":43644148438}}}}}}"#
    );
}
