//! `myUpdates`: what each event of an account becomes.

use super::{ACCOUNT, PRICE_OF_THE_DOCS, WALLET, hash, ln_receipt, signed_in, transaction};
use crate::client::Client;
use crate::tidings::Tidings;

/// Subscribes, publishes a body on the account's channel, and expects this payload.
async fn is_told(
    server: &Tidings,
    client: &mut Client,
    selection: &str,
    body: &str,
    payload: &str,
) {
    client
        .subscribe(
            "1",
            &format!("subscription {{ myUpdates {{ {selection} }} }}"),
        )
        .await;
    assert_eq!(client.fence().await, [""; 0]);
    server
        .publish(&format!("ACCOUNT_UPDATE_{ACCOUNT}"), body)
        .await;
    assert_eq!(
        client.text().await,
        format!(r#"{{"id":"1","type":"next","payload":{{"data":{{"myUpdates":{payload}}}}}}}"#)
    );
    client.complete("1").await;
}

#[tokio::test]
async fn a_lightning_receipt_is_told_as_in_the_sample() {
    let server = Tidings::start().await;
    let mut client = signed_in(&server).await;
    let hash = hash();
    is_told(
        &server,
        &mut client,
        "errors { message } me { id } update { __typename ... on LnUpdate { paymentHash status walletId transaction { id direction status settlementAmount } } }",
        &ln_receipt(),
        &format!(r#"{{"errors":[],"me":{{"id":"{ACCOUNT}"}},"update":{{"__typename":"LnUpdate","paymentHash":"{hash}","status":"PAID","walletId":"{WALLET}","transaction":{{"id":"655cd1926445716f60b89418","direction":"RECEIVE","status":"SUCCESS","settlementAmount":2707}}}}}}"#),
    )
    .await;
}

#[tokio::test]
async fn an_update_that_nothing_was_asked_of_is_an_empty_object() {
    let server = Tidings::start().await;
    let mut client = signed_in(&server).await;
    is_told(
        &server,
        &mut client,
        "update { ... on OnChainUpdate { txHash } }",
        &ln_receipt(),
        r#"{"update":{}}"#,
    )
    .await;
}

#[tokio::test]
async fn a_transaction_is_told_with_all_of_its_fields() {
    let server = Tidings::start().await;
    let mut client = signed_in(&server).await;
    let hash = hash();
    is_told(
        &server,
        &mut client,
        "update { ... on LnUpdate { transaction { id createdAt externalId memo direction status settlementAmount settlementCurrency settlementFee settlementDisplayAmount settlementDisplayCurrency settlementDisplayFee settlementPrice { base offset currencyUnit formattedAmount } initiationVia { __typename ... on InitiationViaLn { paymentHash paymentRequest } } settlementVia { __typename ... on SettlementViaLn { preImage paymentSecret } } } } }",
        &ln_receipt(),
        // `createdAt` in Unix seconds, as the schema promises: Blink tells an error object there (Q1).
        &format!(r#"{{"update":{{"transaction":{{"id":"655cd1926445716f60b89418","createdAt":1700531378,"externalId":null,"memo":null,"direction":"RECEIVE","status":"SUCCESS","settlementAmount":2707,"settlementCurrency":"BTC","settlementFee":0,"settlementDisplayAmount":"1.00","settlementDisplayCurrency":"USD","settlementDisplayFee":"0.00","settlementPrice":{{"base":36941263391,"offset":12,"currencyUnit":"MINOR","formattedAmount":"0.036941263391"}},"initiationVia":{{"__typename":"InitiationViaLn","paymentHash":"{hash}","paymentRequest":""}},"settlementVia":{{"__typename":"SettlementViaLn","preImage":null,"paymentSecret":null}}}}}}}}"#),
    )
    .await;
}

const ON_CHAIN: &str = "update { __typename ... on OnChainUpdate { txNotificationType txHash amount displayCurrencyPerSat usdPerSat walletId transaction { direction status initiationVia { ... on InitiationViaOnChain { address } } settlementVia { ... on SettlementViaOnChain { transactionHash vout arrivalInMempoolEstimatedAt } } } } ... on IntraLedgerUpdate { txNotificationType amount displayCurrencyPerSat usdPerSat walletId transaction { direction status settlementVia { ... on SettlementViaIntraLedger { counterPartyWalletId counterPartyUsername preImage } } } } }";

#[tokio::test]
async fn on_chain_news_are_told_with_their_notification_type() {
    let server = Tidings::start().await;
    let mut client = signed_in(&server).await;
    let tx = "cd".repeat(32);
    for (wire, notification, amount, status, direction) in [
        (
            "onchain_receipt_pending",
            "OnchainReceiptPending",
            50_000,
            "PENDING",
            "RECEIVE",
        ),
        (
            "onchain_receipt",
            "OnchainReceipt",
            50_000,
            "SUCCESS",
            "RECEIVE",
        ),
        (
            "onchain_payment",
            "OnchainPayment",
            -50_000,
            "SUCCESS",
            "SEND",
        ),
    ] {
        let transaction = transaction(
            r#"{"type":"onchain","address":"bcrt1q"}"#,
            &format!(r#"{{"type":"onchain","transactionHash":"{tx}","vout":1}}"#),
            amount,
            &status.to_lowercase(),
        );
        // The published price of a sat is passed through, whatever it is (Q2).
        let body = format!(
            r#"{{"transaction":{{"walletId":"{WALLET}","txNotificationType":"{wire}","amount":{amount},"currency":"BTC","displayAmount":"21.82","displayCurrency":"USD","displayCurrencyPerSat":4.36e+22,"txHash":"{tx}","transaction":{transaction}}}}}"#
        );
        let payload = format!(
            r#"{{"update":{{"__typename":"OnChainUpdate","txNotificationType":"{notification}","txHash":"{tx}","amount":50000,"displayCurrencyPerSat":4.36e+22,"usdPerSat":4.36e+22,"walletId":"{WALLET}","transaction":{{"direction":"{direction}","status":"{status}","initiationVia":{{"address":"bcrt1q"}},"settlementVia":{{"transactionHash":"{tx}","vout":1,"arrivalInMempoolEstimatedAt":null}}}}}}}}"#
        );
        is_told(&server, &mut client, ON_CHAIN, &body, &payload).await;
    }
}

#[tokio::test]
async fn intraledger_news_are_told_with_the_other_side() {
    let server = Tidings::start().await;
    let mut client = signed_in(&server).await;
    let via = r#"{"type":"intraledger","counterPartyWalletId":"2b9d6bcd-bbfd-4b2d-9b5d-ab8dfbbd4bed","counterPartyUsername":"alice"}"#;
    let transaction = transaction(via, via, 1000, "success");
    // Without a price of a sat, the settlement's is told.
    let body = format!(
        r#"{{"intraLedger":{{"walletId":"{WALLET}","txNotificationType":"intra_ledger_receipt","amount":1000,"currency":"BTC","displayAmount":"0.44","displayCurrency":"USD","sats":1000,"transaction":{transaction}}}}}"#
    );
    let payload = format!(
        r#"{{"update":{{"__typename":"IntraLedgerUpdate","txNotificationType":"IntraLedgerReceipt","amount":1000,"displayCurrencyPerSat":0.036941263391,"usdPerSat":0.036941263391,"walletId":"{WALLET}","transaction":{{"direction":"RECEIVE","status":"SUCCESS","settlementVia":{{"counterPartyWalletId":"2b9d6bcd-bbfd-4b2d-9b5d-ab8dfbbd4bed","counterPartyUsername":"alice","preImage":null}}}}}}}}"#
    );
    is_told(&server, &mut client, ON_CHAIN, &body, &payload).await;
}

#[tokio::test]
async fn an_on_chain_payment_that_settled_in_the_ledger_is_never_null() {
    let server = Tidings::start().await;
    let mut client = signed_in(&server).await;
    let settlement =
        r#"{"type":"intraledger","counterPartyWalletId":null,"counterPartyUsername":null}"#;
    let transaction = transaction(
        r#"{"type":"onchain","address":"bcrt1q"}"#,
        settlement,
        -1000,
        "success",
    );
    // To whoever selects `txHash` Blink tells an error and `update: null`, which crashes clients (Q8).
    let body = format!(
        r#"{{"transaction":{{"walletId":"{WALLET}","txNotificationType":"onchain_payment","amount":-1000,"currency":"BTC","transaction":{transaction}}}}}"#
    );
    let payload = r#"{"update":{"__typename":"IntraLedgerUpdate"}}"#;
    is_told(
        &server,
        &mut client,
        "update { __typename ... on OnChainUpdate { txHash } }",
        &body,
        payload,
    )
    .await;
}

#[tokio::test]
async fn every_notification_type_has_its_name_one_of_them_misspelt() {
    let server = Tidings::start().await;
    let mut client = signed_in(&server).await;
    for (wire, name) in [
        ("paid-invoice", "LigtningReceipt"),
        ("intra_ledger_receipt", "IntraLedgerReceipt"),
        ("intra_ledger_payment", "IntraLedgerPayment"),
    ] {
        let via = r#"{"type":"intraledger"}"#;
        let transaction = transaction(via, via, 1, "success");
        let body = format!(
            r#"{{"intraLedger":{{"walletId":"{WALLET}","txNotificationType":"{wire}","amount":1,"transaction":{transaction}}}}}"#
        );
        let payload = format!(r#"{{"update":{{"txNotificationType":"{name}"}}}}"#);
        is_told(
            &server,
            &mut client,
            "update { ... on IntraLedgerUpdate { txNotificationType } }",
            &body,
            &payload,
        )
        .await;
    }
}

#[tokio::test]
async fn prices_of_an_account_are_told_and_me_is_null_with_a_price() {
    let server = Tidings::start().await;
    let mut client = signed_in(&server).await;
    let selection = "me { id } update { __typename ... on Price { base offset currencyUnit formattedAmount } ... on RealtimePrice { timestamp btcSatPrice { base } } }";
    let price = r#"{"me":null,"update":{"__typename":"Price","base":43644148438,"offset":12,"currencyUnit":"USDCENT","formattedAmount":"0.0436441484375"}}"#;
    let realtime = format!(
        r#"{{"me":{{"id":"{ACCOUNT}"}},"update":{{"__typename":"RealtimePrice","timestamp":1703258171,"btcSatPrice":{{"base":43644148438}}}}}}"#
    );
    is_told(
        &server,
        &mut client,
        selection,
        &format!(r#"{{"price":{PRICE_OF_THE_DOCS}}}"#),
        price,
    )
    .await;
    is_told(
        &server,
        &mut client,
        selection,
        &format!(r#"{{"realtimePrice":{PRICE_OF_THE_DOCS}}}"#),
        &realtime,
    )
    .await;

    // The channel of all accounts of a currency.
    client
        .subscribe(
            "1",
            &format!("subscription {{ myUpdates {{ {selection} }} }}"),
        )
        .await;
    assert_eq!(client.fence().await, [""; 0]);
    for (key, payload) in [("price", price), ("realtimePrice", &realtime)] {
        server
            .publish(
                "USER_PRICE_UPDATE_USD",
                &format!(r#"{{"{key}":{PRICE_OF_THE_DOCS}}}"#),
            )
            .await;
        assert_eq!(
            client.text().await,
            format!(r#"{{"id":"1","type":"next","payload":{{"data":{{"myUpdates":{payload}}}}}}}"#)
        );
    }
}

#[tokio::test]
async fn a_snapshot_is_told_to_the_asker_alone() {
    let server = Tidings::start().await;
    server
        .publish(
            "USER_PRICE_UPDATE_USD",
            &format!(r#"{{"realtimePrice":{PRICE_OF_THE_DOCS}}}"#),
        )
        .await;
    let key = server.key(ACCOUNT, &["read"]).await;
    let (mut one, mut other) = (server.with_key(&key).await, server.with_key(&key).await);
    for client in [&mut one, &mut other] {
        client
            .subscribe("1", "subscription { myUpdates { update { __typename } } }")
            .await;
        assert_eq!(
            client.text().await,
            r#"{"id":"1","type":"next","payload":{"data":{"myUpdates":{"update":{"__typename":"RealtimePrice"}}}}}"#
        );
    }
    // Blink tells the first one what the second one was told (Q5).
    assert_eq!(one.fence().await, [""; 0]);
}

#[tokio::test]
async fn a_key_that_may_not_read_has_no_updates() {
    let server = Tidings::start().await;
    let key = server.key(ACCOUNT, &["receive"]).await;
    let mut client = server.with_key(&key).await;
    client
        .subscribe("1", "subscription { myUpdates { update { __typename } } }")
        .await;
    assert_eq!(
        client.text().await,
        r#"{"id":"1","type":"next","payload":{"errors":[{"message":"Not authorized: this credential has not the scope `read`","locations":[{"line":1,"column":16}],"path":["myUpdates"],"extensions":{"code":"NOT_AUTHORIZED"}}]}}"#
    );
    assert_eq!(client.text().await, r#"{"id":"1","type":"complete"}"#);
}
