//! The documents that clients of Blink send.

use super::{ACCOUNT, PRICE_OF_THE_DOCS, WALLET, first, ln_receipt, signed_in};
use crate::bodies::Invoice;
use crate::tidings::Tidings;

#[tokio::test]
async fn lnbits() {
    let server = Tidings::start().await;
    let mut client = signed_in(&server).await;
    client.send(r#"{"id":"blink-payment-stream","type":"subscribe","payload":{"query":"subscription { myUpdates { update { ... on LnUpdate { transaction { initiationVia { ... on InitiationViaLn { paymentHash } } direction } } } } }","variables":{}}}"#).await;
    assert_eq!(client.fence().await, [""; 0]);
    server
        .publish(&format!("ACCOUNT_UPDATE_{ACCOUNT}"), &ln_receipt())
        .await;
    // It reads payload.data.myUpdates.update.transaction, and crashes on a null on the way.
    let told: serde_json::Value = serde_json::from_str(&client.text().await).unwrap();
    let transaction = &told["payload"]["data"]["myUpdates"]["update"]["transaction"];
    assert_eq!(
        (
            &transaction["direction"],
            &transaction["initiationVia"]["paymentHash"]
        ),
        (&"RECEIVE".into(), &super::hash().into())
    );
}

#[tokio::test]
async fn btcpay_server() {
    let server = Tidings::start().await;
    let mut client = signed_in(&server).await;
    let query = "subscription myUpdates {\n  myUpdates {\n    update {\n      ... on LnUpdate {\n        transaction {\n          initiationVia {\n            ... on InitiationViaLn {\n              paymentHash\n              paymentRequest\n            }\n          }\n          direction\n          status\n          createdAt\n          settlementAmount\n        }\n      }\n    }\n  }\n}";
    let payload = serde_json::json!({"query": query, "operationName": "myUpdates", "variables": null, "extensions": null});
    client
        .send(&format!(
            r#"{{"id":"c0ffee","type":"subscribe","payload":{payload}}}"#
        ))
        .await;
    assert_eq!(client.fence().await, [""; 0]);
    server
        .publish(&format!("ACCOUNT_UPDATE_{ACCOUNT}"), &ln_receipt())
        .await;
    let told = client.text().await;
    assert!(told.contains(r#""direction":"RECEIVE","status":"SUCCESS","createdAt":1700531378,"settlementAmount":2707"#), "{told}");
}

#[tokio::test]
async fn blink_mobile() {
    let server = Tidings::start().await;
    let mut client = signed_in(&server).await;
    let query = "subscription myLnUpdates { myUpdates { errors { message __typename } update { ... on LnUpdate { paymentHash status __typename } __typename } __typename } }";
    let payload = serde_json::json!({"query": query, "operationName": "myLnUpdates", "variables": {}, "extensions": {}});
    client
        .send(&format!(
            r#"{{"id":"1","type":"subscribe","payload":{payload}}}"#
        ))
        .await;
    assert_eq!(client.fence().await, [""; 0]);
    server
        .publish(&format!("ACCOUNT_UPDATE_{ACCOUNT}"), &ln_receipt())
        .await;
    let hash = super::hash();
    assert_eq!(
        client.text().await,
        format!(
            r#"{{"id":"1","type":"next","payload":{{"data":{{"myUpdates":{{"errors":[],"update":{{"paymentHash":"{hash}","status":"PAID","__typename":"LnUpdate"}},"__typename":"MyUpdatesPayload"}}}}}}}}"#
        )
    );
}

#[tokio::test]
async fn blink_pay() {
    let server = Tidings::start().await;
    server.publish("PRICE_UPDATE_USD", PRICE_OF_THE_DOCS).await;
    let mut client = server.anonymous().await;
    let query = "subscription realtimePriceWs($currency: DisplayCurrency!) { realtimePrice(input: {currency: $currency}) { errors { message } realtimePrice { timestamp btcSatPrice { base offset } usdCentPrice { base offset } denominatorCurrency } } }";
    assert_eq!(
        first(&mut client, query, r#"{"currency":"USD"}"#).await,
        r#"{"data":{"realtimePrice":{"errors":[],"realtimePrice":{"timestamp":1703258171,"btcSatPrice":{"base":43644148438,"offset":12},"usdCentPrice":{"base":1000000,"offset":6},"denominatorCurrency":"USD"}}}}"#
    );
    let query = "subscription price($amount: SatAmount!, $amountCurrencyUnit: ExchangeCurrencyUnit!, $priceCurrencyUnit: ExchangeCurrencyUnit!) { price(input: {amount: $amount, amountCurrencyUnit: $amountCurrencyUnit, priceCurrencyUnit: $priceCurrencyUnit}) { errors { message } price { base offset currencyUnit formattedAmount } } }";
    assert_eq!(
        first(
            &mut client,
            query,
            r#"{"amount":1,"amountCurrencyUnit":"BTCSAT","priceCurrencyUnit":"USDCENT"}"#
        )
        .await,
        r#"{"data":{"price":{"errors":[],"price":{"base":43644148438,"offset":12,"currencyUnit":"USDCENT","formattedAmount":"0.0436441484375"}}}}"#
    );
    let invoice = Invoice::new();
    let query = "subscription lnInvoicePaymentStatus($input: LnInvoicePaymentStatusInput!) { lnInvoicePaymentStatus(input: $input) { __typename errors { message __typename } status } }";
    let variables = serde_json::json!({"input": {"paymentRequest": invoice.request}});
    assert_eq!(
        first(&mut client, query, &variables.to_string()).await,
        r#"{"data":{"lnInvoicePaymentStatus":{"__typename":"LnInvoicePaymentStatusPayload","errors":[],"status":"PENDING"}}}"#
    );
}

#[tokio::test]
async fn the_tests_of_blink_itself() {
    let server = Tidings::start().await;
    server.import_accounts(&format!(
        r#"[{{"id":"{ACCOUNT}","displayCurrency":"USD","level":"ONE","defaultWalletId":"{WALLET}","wallets":[{{"id":"{WALLET}","walletCurrency":"BTC","balance":2707,"pendingIncomingBalance":0}}]}}]"#
    ));
    let key = server.key(ACCOUNT, &["read"]).await;
    server
        .until("the account is known", async || {
            let query = r#"{"query":"{ me { defaultAccount { id } } }"}"#;
            server
                .post("/graphql", &key, query)
                .await
                .1
                .contains(r#""defaultAccount":{"#)
        })
        .await;
    let mut client = server.with_key(&key).await;
    let query = "subscription myUpdatesSub { myUpdates { errors { message } me { id defaultAccount { id wallets { id walletCurrency balance } } } update { type: __typename ... on Price { base offset currencyUnit formattedAmount } ... on RealtimePrice { id timestamp denominatorCurrency btcSatPrice { base offset } usdCentPrice { base offset } } ... on LnUpdate { paymentHash status walletId } ... on OnChainUpdate { txNotificationType txHash amount usdPerSat walletId } ... on IntraLedgerUpdate { txNotificationType amount usdPerSat walletId } } } }";
    client.subscribe("1", query).await;
    assert_eq!(client.fence().await, [""; 0]);
    server
        .publish(&format!("ACCOUNT_UPDATE_{ACCOUNT}"), &ln_receipt())
        .await;
    let hash = super::hash();
    assert_eq!(
        client.text().await,
        format!(
            r#"{{"id":"1","type":"next","payload":{{"data":{{"myUpdates":{{"errors":[],"me":{{"id":"{ACCOUNT}","defaultAccount":{{"id":"{ACCOUNT}","wallets":[{{"id":"{WALLET}","walletCurrency":"BTC","balance":2707}}]}}}},"update":{{"type":"LnUpdate","paymentHash":"{hash}","status":"PAID","walletId":"{WALLET}"}}}}}}}}}}"#
        )
    );
}
