//! What is said of requests that do not run: an `error`, or a result with errors and a `complete`.

use super::{PRICE, PRICE_RESULT, complete, error, next, publish_price};
use crate::client::Client;
use crate::tidings::Tidings;

const ONLY_SUBSCRIPTIONS: &str = r#"{"id":"1","type":"error","payload":[{"message":"Only subscription operations are supported"}]}"#;

/// Subscribes with variables, and expects a result with these errors and no data, and its `complete`.
async fn is_failed(client: &mut Client, query: &str, variables: &str, errors: &str) {
    client.subscribe_with("1", query, variables).await;
    assert_eq!(
        client.text().await,
        next("1", &format!(r#"{{"errors":[{errors}]}}"#)),
        "{query} {variables}"
    );
    assert_eq!(client.text().await, complete("1"));
}

#[tokio::test]
async fn a_syntax_error_is_an_error_with_its_place_and_the_socket_lives_on() {
    let server = Tidings::start().await;
    let mut client = server.anonymous().await;
    for (query, column) in [
        ("", 1),
        ("{", 2),
        ("subscription { price( }", 23),
        ("hello", 1),
        ("subscription {}", 15),
    ] {
        client.subscribe("1", query).await;
        let said = client.text().await;
        let (start, end) = (
            r#"{"id":"1","type":"error","payload":[{"message":"Syntax Error: "#,
            format!(r#"","locations":[{{"line":1,"column":{column}}}]}}]}}"#),
        );
        assert!(
            said.starts_with(start) && said.ends_with(&end),
            "{query} gives {said}, not {end}"
        );
        assert!(!said.contains("\\n"), "{said}");
    }
    super::lives_on(&server, &mut client, "1").await;
}

#[tokio::test]
async fn a_validation_error_is_an_error_with_its_place() {
    let server = Tidings::start().await;
    let mut client = server.anonymous().await;
    for (query, place) in [
        ("subscription { nothing }", (1, 16)),
        (
            "subscription {\n  realtimePrice(input: {}) {\n    nothing } }",
            (3, 5),
        ),
        ("subscription { realtimePrice(input: {}) }", (1, 16)),
        (
            "subscription { realtimePrice { errors { code } } }",
            (1, 16),
        ),
        (
            "subscription { realtimePrice(input: { nothing: 1 }) { errors { code } } }",
            (1, 30),
        ),
        (
            "subscription { price(input: { amount: 1, amountCurrencyUnit: EURCENT, priceCurrencyUnit: USDCENT }) { errors { code } } }",
            (1, 22),
        ),
        (
            "subscription { realtimePrice(input: $input) { errors { code } } }",
            (1, 30),
        ),
        (
            "subscription { realtimePrice(input: {}) { ...Gone } }",
            (1, 43),
        ),
        (
            "subscription { realtimePrice(input: {}) @nothing { errors { code } } }",
            (1, 41),
        ),
    ] {
        client.subscribe("1", query).await;
        let said: serde_json::Value = serde_json::from_str(&client.text().await).unwrap();
        assert_eq!(said["type"], "error", "{query}: {said}");
        let errors = said["payload"].as_array().expect("a list");
        let (line, column) = place;
        let expected = serde_json::json!([{"line": line, "column": column}]);
        assert_eq!(errors[0]["locations"], expected, "{query}: {said}");
        assert_eq!(errors[0].get("extensions"), None, "{said}");
    }
    super::lives_on(&server, &mut client, "1").await;
}

#[tokio::test]
async fn queries_and_mutations_and_introspection_are_refused_in_these_words() {
    let server = Tidings::start().await;
    let mut client = server.anonymous().await;
    for query in [
        "{ me { id } }",
        "query { currencyList { id } }",
        "query Q($a: Int!) { nothing(a: $a) }",
        "mutation { pay }",
        "{ __schema { types { name } } }",
        "{ __typename }",
        "query A { __typename }",
    ] {
        client.subscribe("1", query).await;
        assert_eq!(client.text().await, ONLY_SUBSCRIPTIONS, "{query}");
    }
    super::lives_on(&server, &mut client, "1").await;
}

#[tokio::test]
async fn of_several_operations_the_name_says_which() {
    let server = Tidings::start().await;
    let mut client = server.anonymous().await;
    let query = format!(
        "query Q {{ __typename }} {} subscription Other {{ myUpdates {{ errors {{ code }} }} }}",
        PRICE.replace("subscription", "subscription Price")
    );
    let subscribe = |name: &str| {
        let payload = serde_json::json!({"query": query, "operationName": serde_json::from_str::<serde_json::Value>(name).unwrap()});
        format!(r#"{{"id":"1","type":"subscribe","payload":{payload}}}"#)
    };
    for name in ["null", r#""""#, r#""Nobody""#, r#""price""#] {
        client.send(&subscribe(name)).await;
        assert_eq!(
            client.text().await,
            error("1", r#"[{"message":"Unable to identify operation"}]"#),
            "{name}"
        );
    }
    client.send(&subscribe(r#""Q""#)).await;
    assert_eq!(client.text().await, ONLY_SUBSCRIPTIONS);
    client.send(&subscribe(r#""Price""#)).await;
    assert_eq!(client.fence().await, [""; 0]);
    publish_price(&server).await;
    assert_eq!(client.text().await, next("1", PRICE_RESULT));
}

#[tokio::test]
async fn a_name_must_be_that_of_the_one_operation_if_it_is_given() {
    let server = Tidings::start().await;
    let mut client = server.anonymous().await;
    for query in [
        PRICE.to_owned(),
        PRICE.replace("subscription", "subscription A"),
    ] {
        let payload = serde_json::json!({"query": query, "operationName": "B"});
        client
            .send(&format!(
                r#"{{"id":"1","type":"subscribe","payload":{payload}}}"#
            ))
            .await;
        assert_eq!(
            client.text().await,
            error("1", r#"[{"message":"Unable to identify operation"}]"#)
        );
    }
    let payload = serde_json::json!({"query": PRICE.replace("subscription", "subscription A"), "operationName": "A"});
    client
        .send(&format!(
            r#"{{"id":"1","type":"subscribe","payload":{payload}}}"#
        ))
        .await;
    assert_eq!(client.fence().await, [""; 0]);
    publish_price(&server).await;
    assert_eq!(client.text().await, next("1", PRICE_RESULT));
}

const BY_VARIABLE: &str =
    "subscription ($input: PriceInput!) { price(input: $input) { errors { message } } }";

#[tokio::test]
async fn wrong_variables_are_a_result_with_errors_and_no_data() {
    let server = Tidings::start().await;
    let mut client = server.anonymous().await;
    let at = r#""locations":[{"line":1,"column":15}]"#;
    for (variables, message) in [
        (
            "{}",
            r#"Variable \"$input\" of required type \"PriceInput!\" was not provided."#,
        ),
        (
            r#"{"input":null}"#,
            r#"Variable \"$input\" of non-null type \"PriceInput!\" must not be null."#,
        ),
        (
            r#"{"input":{"amount":1,"amountCurrencyUnit":"BTCSAT","priceCurrencyUnit":"EURCENT"}}"#,
            r#"Variable \"$input\" got invalid value \"EURCENT\" at \"input.priceCurrencyUnit\"; Value \"EURCENT\" does not exist in \"ExchangeCurrencyUnit\" enum."#,
        ),
        (
            r#"{"input":{"amount":1,"amountCurrencyUnit":1,"priceCurrencyUnit":"USDCENT"}}"#,
            r#"Variable \"$input\" got invalid value 1 at \"input.amountCurrencyUnit\"; Enum \"ExchangeCurrencyUnit\" cannot represent non-string value: 1."#,
        ),
    ] {
        is_failed(
            &mut client,
            BY_VARIABLE,
            variables,
            &format!(r#"{{"message":"{message}",{at}}}"#),
        )
        .await;
    }
    super::lives_on(&server, &mut client, "1").await;
}

#[tokio::test]
async fn variables_that_the_operation_does_not_know_are_ignored() {
    let server = Tidings::start().await;
    let mut client = server.anonymous().await;
    client
        .subscribe_with("1", PRICE, r#"{"more":{"a":[1]}}"#)
        .await;
    assert_eq!(client.fence().await, [""; 0]);
    publish_price(&server).await;
    assert_eq!(client.text().await, next("1", PRICE_RESULT));
}

#[tokio::test]
async fn an_invalid_document_with_wrong_variables_is_an_error() {
    let server = Tidings::start().await;
    let mut client = server.anonymous().await;
    let query = BY_VARIABLE.replace("message", "nothing");
    client.subscribe("1", &query).await;
    let said = r#"[{"message":"Unknown field \"nothing\" on type \"Error\".","locations":[{"line":1,"column":70}]}]"#;
    assert_eq!(client.text().await, error("1", said));
}

#[tokio::test]
async fn a_bad_hash_is_a_result_with_its_message_place_path_and_code() {
    let server = Tidings::start().await;
    let mut client = server.anonymous().await;
    let query = "subscription ($hash: PaymentHash!) { lnInvoicePaymentStatusByHash(input: { paymentHash: $hash }) { status } }";
    let errors = |what: &str, column: u32| {
        format!(
            r#"{{"message":"Invalid {what} for PaymentHash","locations":[{{"line":1,"column":{column}}}],"path":["lnInvoicePaymentStatusByHash"],"extensions":{{"code":"INVALID_INPUT"}}}}"#
        )
    };
    let hash = "ab".repeat(32);
    for (value, what) in [
        (r#""nonsense""#, "value"),
        (r#""""#, "value"),
        (&format!("\"{hash}0\""), "value"),
        ("1", "type"),
        ("true", "type"),
        (r#"["a"]"#, "type"),
    ] {
        is_failed(
            &mut client,
            query,
            &format!(r#"{{"hash":{value}}}"#),
            &errors(what, 38),
        )
        .await;
        let literal = format!(
            "subscription {{ lnInvoicePaymentStatusByHash(input: {{ paymentHash: {value} }}) {{ status }} }}"
        );
        is_failed(&mut client, &literal, "{}", &errors(what, 16)).await;
    }
}

#[tokio::test]
async fn a_bad_payment_request_is_a_result_with_its_message_place_path_and_code() {
    let server = Tidings::start().await;
    let mut client = server.anonymous().await;
    for field in [
        "lnInvoicePaymentStatus",
        "lnInvoicePaymentStatusByPaymentRequest",
    ] {
        let query = format!(
            "subscription ($input: {}Input!) {{ x: {field}(input: $input) {{ status }} }}",
            field.replacen('l', "L", 1)
        );
        let column = query.find("x: ").unwrap() + 1;
        for (value, what) in [
            (r#""nonsense""#, "value"),
            (r#""ln""#, "value"),
            (r#""lnbc1-2""#, "value"),
            (r#"" lnbc1""#, "value"),
            ("1", "type"),
        ] {
            // The path is of response names.
            let errors = format!(
                r#"{{"message":"Invalid {what} for LnPaymentRequest","locations":[{{"line":1,"column":{column}}}],"path":["x"],"extensions":{{"code":"INVALID_INPUT"}}}}"#
            );
            is_failed(
                &mut client,
                &query,
                &format!(r#"{{"input":{{"paymentRequest":{value}}}}}"#),
                &errors,
            )
            .await;
        }
    }
}

#[tokio::test]
async fn my_updates_without_credentials_is_a_result_and_a_complete() {
    let server = Tidings::start().await;
    let mut client = server.anonymous().await;
    client.send(r#"{"id":"1","type":"subscribe","payload":{"query":"subscription { myUpdates { update { ... on LnUpdate { transaction { initiationVia { ... on InitiationViaLn { paymentHash } } direction } } } } }","variables":{}}}"#).await;
    assert_eq!(
        client.text().await,
        r#"{"id":"1","type":"next","payload":{"errors":[{"message":"Not Authenticated for subscription","locations":[{"line":1,"column":16}],"path":["myUpdates"],"extensions":{"code":"NOT_AUTHENTICATED"}}]}}"#
    );
    assert_eq!(client.text().await, r#"{"id":"1","type":"complete"}"#);
    super::lives_on(&server, &mut client, "1").await;
}

#[tokio::test]
async fn a_request_over_the_limits_of_depth_and_complexity_is_an_error() {
    let server = Tidings::start_with(&[
        ("TIDINGS_LIMITS__DEPTH", "4"),
        ("TIDINGS_LIMITS__COMPLEXITY", "8"),
    ])
    .await;
    let mut client = server.anonymous().await;
    // Four deep, and eight fields: just as many as may be.
    let fits = r#"subscription { realtimePrice(input: {}) { realtimePrice { btcSatPrice { base } a: id b: id c: id d: id } } }"#;
    client.subscribe("1", fits).await;
    assert_eq!(client.fence().await, [""; 0]);
    client.complete("1").await;
    client
        .subscribe("1", &fits.replace("c: id", "c: id e: id"))
        .await;
    assert_eq!(
        client.text().await,
        error("1", r#"[{"message":"Query is too complex."}]"#)
    );
    // Fragments count as often as they are spread.
    let fragments = "subscription { realtimePrice(input: {}) { realtimePrice { a: btcSatPrice { ...F } b: btcSatPrice { ...F } } } } fragment F on PriceOfOneSatInMinorUnit { a: base b: base c: base }";
    client.subscribe("1", fragments).await;
    assert_eq!(
        client.text().await,
        error("1", r#"[{"message":"Query is too complex."}]"#)
    );
    let deep = "subscription { myUpdates { me { defaultAccount { defaultWallet { id } } } } }";
    client.subscribe("1", deep).await;
    assert_eq!(
        client.text().await,
        error("1", r#"[{"message":"Query is nested too deep."}]"#)
    );
}

#[tokio::test]
async fn what_is_not_executed_must_be_valid_too() {
    let server = Tidings::start().await;
    let mut client = server.anonymous().await;
    for query in [
        format!("{PRICE} fragment Unused on Nothing {{ at }}"),
        format!("{PRICE} fragment Unused on Subscription {{ nothing }}"),
        "subscription { realtimePrice(input: {}) { errors { code } } myUpdates @skip(if: true) { nothing } }".to_owned(),
    ] {
        // Twice: the verdict is kept.
        for _ in 0..2 {
            client.subscribe("1", &query).await;
            let said: serde_json::Value = serde_json::from_str(&client.text().await).unwrap();
            assert_eq!(said["type"], "error", "{query}: {said}");
        }
    }
    let query = "subscription A { realtimePrice(input: {}) { errors { code } } } subscription B { nothing }";
    let payload = serde_json::json!({"query": query, "operationName": "A"});
    client
        .send(&format!(
            r#"{{"id":"1","type":"subscribe","payload":{payload}}}"#
        ))
        .await;
    let said: serde_json::Value = serde_json::from_str(&client.text().await).unwrap();
    assert_eq!(said["type"], "error", "{said}");
    super::lives_on(&server, &mut client, "1").await;
}
