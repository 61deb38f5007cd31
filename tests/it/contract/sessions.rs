//! The sessions of Blink's documentation.

use super::{ACCOUNT, PRICE_OF_THE_DOCS, REALTIME_PRICE_OF_THE_DOCS};
use crate::bodies::Invoice;
use crate::tidings::Tidings;

#[tokio::test]
async fn prices() {
    let server = Tidings::start().await;
    let mut client = server.connect().await;
    client
        .send(r#"{"type":"connection_init","payload":{}}"#)
        .await;
    assert_eq!(client.text().await, r#"{"type":"connection_ack"}"#);

    client.send(r#"{"id":"1","type":"subscribe","payload":{"query":"subscription { price( input: { amount: 100 amountCurrencyUnit: BTCSAT priceCurrencyUnit: USDCENT } ) { errors { message } price { base offset currencyUnit } }}","variables":{}}}"#).await;
    assert_eq!(client.fence().await, [""; 0]);
    server.publish("PRICE_UPDATE_USD", PRICE_OF_THE_DOCS).await;
    assert_eq!(
        client.text().await,
        r#"{"id":"1","type":"next","payload":{"data":{"price":{"errors":[],"price":{"base":4364414843750,"offset":12,"currencyUnit":"USDCENT"}}}}}"#
    );
    client.send(r#"{"id":"1","type":"complete"}"#).await;
    assert_eq!(client.fence().await, [""; 0]);
    server
        .publish("PRICE_UPDATE_USD", REALTIME_PRICE_OF_THE_DOCS)
        .await;
    server
        .until("the price is known", async || {
            let query = r#"{"query":"{ realtimePrice { btcSatPrice { base } } }"}"#;
            server
                .post("/graphql", "", query)
                .await
                .1
                .contains("43623050781")
        })
        .await;

    client.send(r#"{"id":"2","type":"subscribe","payload":{"query":"subscription realtimePrice($input: RealtimePriceInput!) { realtimePrice(input: $input) { realtimePrice { id btcSatPrice { base offset } } errors { code message path } }}","variables":{"input":{"currency":"USD"}}}}"#).await;
    assert_eq!(
        client.text().await,
        r#"{"id":"2","type":"next","payload":{"data":{"realtimePrice":{"realtimePrice":{"id":"a6e2abdb-431e-5455-81c1-92fbaccfb0de","btcSatPrice":{"base":43623050781,"offset":12}},"errors":[]}}}}"#
    );
}

#[tokio::test]
async fn updates_of_an_account() {
    let server = Tidings::start().await;
    server.publish("PRICE_UPDATE_USD", PRICE_OF_THE_DOCS).await;
    let key = server.key(ACCOUNT, &["read"]).await;
    let mut client = server.connect().await;
    client
        .send(&format!(
            r#"{{"type":"connection_init","payload":{{"X-API-KEY":"{key}"}}}}"#
        ))
        .await;
    assert_eq!(client.text().await, r#"{"type":"connection_ack"}"#);

    client.send(r#"{"id":"1","type":"subscribe","payload":{"query":"subscription { myUpdates { update { ... on LnUpdate { transaction { initiationVia { ... on InitiationViaLn { paymentHash } } direction } } } } }","variables":{}}}"#).await;
    // A `Price` and a `RealtimePrice`, of which nothing was asked.
    for _ in 0..2 {
        assert_eq!(
            client.text().await,
            r#"{"id":"1","type":"next","payload":{"data":{"myUpdates":{"update":{}}}}}"#
        );
    }
    server
        .publish(&format!("ACCOUNT_UPDATE_{ACCOUNT}"), &super::ln_receipt())
        .await;
    assert_eq!(
        client.text().await,
        r#"{"id":"1","type":"next","payload":{"data":{"myUpdates":{"update":{"transaction":{"initiationVia":{"paymentHash":"bfbfbfbfbfbfbfbfbfbfbfbfbfbfbfbfbfbfbfbfbfbfbfbfbfbfbfbfbfbfbfbf"},"direction":"RECEIVE"}}}}}}"#
    );
}

#[tokio::test]
async fn an_invoice() {
    let server = Tidings::start().await;
    let mut client = server.anonymous().await;
    let invoice = Invoice::new();
    client
        .send(
            &r#"{"id":"2","type":"subscribe","payload":{"query":"subscription LnInvoicePaymentStatus($input: LnInvoicePaymentStatusInput!) { lnInvoicePaymentStatus(input: $input) { status errors { code message path } }}","variables":{"input":{"paymentRequest":"lnbc...."}}}}"#
                .replace("lnbc....", &invoice.request),
        )
        .await;
    assert_eq!(
        client.text().await,
        r#"{"id":"2","type":"next","payload":{"data":{"lnInvoicePaymentStatus":{"status":"PENDING","errors":[]}}}}"#
    );
    server.publish(&invoice.channel(), &invoice.paid()).await;
    assert_eq!(
        client.text().await,
        r#"{"id":"2","type":"next","payload":{"data":{"lnInvoicePaymentStatus":{"status":"PAID","errors":[]}}}}"#
    );
    // Where Blink leaves the subscription open; see `complete_when_final`.
    assert_eq!(client.text().await, r#"{"id":"2","type":"complete"}"#);
}

#[tokio::test]
async fn an_invoice_whose_subscription_stays_open_as_at_blink() {
    let server = Tidings::start_with(&[("TIDINGS_INVOICES__COMPLETE_WHEN_FINAL", "false")]).await;
    let mut client = server.anonymous().await;
    let invoice = Invoice::new();
    client.subscribe("2", &invoice.by_request()).await;
    assert!(client.text().await.contains("PENDING"));
    server.publish(&invoice.channel(), &invoice.paid()).await;
    assert!(client.text().await.contains("PAID"));
    assert_eq!(client.fence().await, [""; 0]);
}
