//! `POST /graphql`.

use reqwest::Method;
use serde_json::{Value, json};

use crate::bodies::Invoice;
use crate::tidings::{Tidings, http};

const ACCOUNT: &str = "21087d73-28c9-4d1f-9b0c-1a2b3c4d5e6f";
const BTC_WALLET: &str = "1b9d6bcd-bbfd-4b2d-9b5d-ab8dfbbd4bed";
const USD_WALLET: &str = "2b9d6bcd-bbfd-4b2d-9b5d-ab8dfbbd4bed";
const DOLLAR_PRICE: &str = r#"{"timestamp":"2023-12-22T15:16:11.000Z","displayCurrency":"USD","pricePerSat":0.000436441484375,"pricePerUsdCent":0.01}"#;

/// Asks without credentials and variables.
async fn ask(server: &Tidings, query: &str) -> String {
    ask_with(server, "", query, json!({})).await
}

async fn ask_with(server: &Tidings, key: &str, query: &str, variables: Value) -> String {
    let body = json!({ "query": query, "variables": variables });
    let (status, said) = server.post("/graphql", key, &body.to_string()).await;
    assert_eq!(status, 200, "{said}");
    said
}

async fn until_told(server: &Tidings, key: &str, query: &str, told: &str) {
    server
        .until(told, async || {
            ask_with(server, key, query, json!({})).await == told
        })
        .await;
}

#[tokio::test]
async fn the_introspection_query_of_graphql_js_is_answered() {
    let server = Tidings::start().await;
    for query in [INTROSPECTION, &INTROSPECTION_WITH_ALL] {
        let said: Value = serde_json::from_str(&ask(&server, query).await).unwrap();
        assert_eq!(said.get("errors"), None, "{said}");
        let schema = &said["data"]["__schema"];
        assert_eq!(schema["queryType"]["name"], "Query");
        assert_eq!(schema["subscriptionType"]["name"], "Subscription");
        assert_eq!(schema["mutationType"], Value::Null);
        let types = schema["types"].as_array().unwrap();
        let find = |name: &str| {
            types
                .iter()
                .find(|one| one["name"] == name)
                .unwrap_or_else(|| panic!("no {name}"))
        };
        let fields = find("Subscription")["fields"].as_array().unwrap();
        let deprecated = fields
            .iter()
            .find(|field| field["name"] == "lnInvoicePaymentStatus")
            .unwrap();
        assert_eq!(deprecated["isDeprecated"], true);
        assert_eq!(
            deprecated["deprecationReason"],
            "Deprecated in favor of lnInvoicePaymentStatusByPaymentRequest"
        );
        let default = &find("RealtimePriceInput")["inputFields"][0];
        assert_eq!(
            (&default["name"], &default["defaultValue"]),
            (&"currency".into(), &"\"USD\"".into())
        );
        assert_eq!(
            find("UserUpdate")["possibleTypes"]
                .as_array()
                .unwrap()
                .len(),
            5
        );
    }
}

#[tokio::test]
async fn a_page_of_any_origin_may_ask() {
    let server = Tidings::start().await;
    let (url, origin) = (
        server.http_url("/graphql"),
        "https://studio.apollographql.com",
    );
    let asked = "content-type,x-api-key,apollo-require-preflight";
    let response = http()
        .request(Method::OPTIONS, &url)
        .header("origin", origin)
        .header("access-control-request-method", "POST")
        .header("access-control-request-headers", asked)
        .send()
        .await
        .unwrap();
    assert_eq!(response.status(), 200);
    let header = |name: &str| {
        response.headers()[name]
            .to_str()
            .unwrap()
            .to_ascii_lowercase()
    };
    assert_eq!(header("access-control-allow-origin"), "*");
    assert_eq!(header("access-control-allow-headers"), asked);
    assert!(header("access-control-allow-methods").contains("post"));
    assert!(header("access-control-max-age").parse::<u32>().unwrap() > 0);

    // Also what went wrong may be read.
    for (key, status) in [("", 200), ("nonsense", 401)] {
        let response = http()
            .post(&url)
            .header("origin", origin)
            .header("content-type", "application/json")
            .header("x-api-key", key)
            .body(r#"{"query":"{ __typename }"}"#)
            .send()
            .await
            .unwrap();
        assert_eq!(response.status(), status);
        assert_eq!(response.headers()["access-control-allow-origin"], "*");
        assert_eq!(
            response.headers()["content-type"],
            "application/json; charset=utf-8"
        );
    }
}

#[tokio::test]
async fn a_bad_key_is_answered_401() {
    let server = Tidings::start().await;
    let query = r#"{"query":"{ __typename }"}"#;
    let refused = (401, r#"{"errors":[{"message":"Unauthorized"}]}"#.to_owned());
    assert_eq!(
        server.post("/graphql", "blink_nonsense", query).await,
        refused
    );
    assert_eq!(
        server.post("/graphql", "", query).await,
        (200, r#"{"data":{"__typename":"Query"}}"#.to_owned())
    );
}

#[tokio::test]
async fn the_latest_price_is_told() {
    let server = Tidings::start().await;
    let query = "{ realtimePrice { id timestamp denominatorCurrency btcSatPrice { base offset } usdCentPrice { base offset } } }";
    assert_eq!(
        ask(&server, query).await,
        r#"{"errors":[{"message":"Price unavailable, please wait for a while and try again.","locations":[{"line":1,"column":3}],"path":["realtimePrice"],"extensions":{"code":"PRICE_SERVICE_OFFLINE"}}],"data":null}"#
    );
    server.publish("PRICE_UPDATE_USD", DOLLAR_PRICE).await;
    let told = r#"{"data":{"realtimePrice":{"id":"a6e2abdb-431e-5455-81c1-92fbaccfb0de","timestamp":1703258171,"denominatorCurrency":"USD","btcSatPrice":{"base":43644148438,"offset":12},"usdCentPrice":{"base":1000000,"offset":6}}}}"#;
    until_told(&server, "", query, told).await;
    for currency in [r#""USD""#, r#""usd""#] {
        let query = query.replace(
            "realtimePrice {",
            &format!("realtimePrice(currency: {currency}) {{"),
        );
        assert_eq!(ask(&server, &query).await, told);
    }
    let query = query.replace(
        "{ realtimePrice {",
        "query ($currency: DisplayCurrency) { realtimePrice(currency: $currency) {",
    );
    // A variable that is not given leaves the place to its default.
    for variables in [json!({}), json!({"currency": "USD"})] {
        assert_eq!(ask_with(&server, "", &query, variables).await, told);
    }
    let failed = |message: &str| {
        format!(
            r#"{{"errors":[{{"message":"{message}","locations":[{{"line":1,"column":38}}],"path":["realtimePrice"],"extensions":{{"code":"INVALID_INPUT"}}}}],"data":null}}"#
        )
    };
    for (currency, message) in [
        (json!(null), "Invalid currency."),
        (json!("XYZ"), "Invalid currency."),
        (json!("US"), "Invalid value for DisplayCurrency"),
        (json!(7), "Invalid type for DisplayCurrency"),
    ] {
        assert_eq!(
            ask_with(&server, "", &query, json!({ "currency": currency })).await,
            failed(message)
        );
    }
}

#[tokio::test]
async fn the_currencies_are_listed() {
    let server = Tidings::start_with(&[("TIDINGS_PRICES__CURRENCIES", "USD,JPY,KWD")]).await;
    assert_eq!(
        ask(
            &server,
            "{ currencyList { id symbol name fractionDigits } }"
        )
        .await,
        r#"{"data":{"currencyList":[{"id":"USD","symbol":"$","name":"United States dollar","fractionDigits":2},{"id":"JPY","symbol":"¥","name":"Japanese yen","fractionDigits":0},{"id":"KWD","symbol":"د.ك","name":"Kuwaiti dinar","fractionDigits":3}]}}"#
    );
    let flags = ask(&server, "{ currencyList { flag } }").await;
    assert!(flags.contains("🇺🇸") && flags.contains("🇯🇵"), "{flags}");
    // What was published of a currency is told of it.
    let body = json!({"displayCurrency": "USD", "pricePerSat": 0.0004, "currency": {"code": "USD", "symbol": "US$", "name": "Dollar", "flag": "🦅", "fractionDigits": 2}});
    server.publish("PRICE_UPDATE_USD", &body.to_string()).await;
    let told = r#"{"data":{"currencyList":[{"symbol":"US$","flag":"🦅"},"#;
    server
        .until(told, async || {
            ask(&server, "{ currencyList { symbol flag } }")
                .await
                .starts_with(told)
        })
        .await;
}

#[tokio::test]
async fn the_state_of_an_invoice_is_told() {
    let server = Tidings::start().await;
    let invoice = Invoice::new();
    let fields = "{ status paymentHash paymentRequest paymentPreimage }";
    let (by_request, by_hash) = (
        "lnInvoicePaymentStatusByPaymentRequest",
        "lnInvoicePaymentStatusByHash",
    );
    let of_request = |request: &str| {
        format!(r#"{{ {by_request}(input: {{ paymentRequest: "{request}" }}) {fields} }}"#)
    };
    let of_hash =
        |hash: &str| format!(r#"{{ {by_hash}(input: {{ paymentHash: "{hash}" }}) {fields} }}"#);
    let told = |field: &str, status: &str, preimage: Value| {
        let (hash, request) = (&invoice.hash, &invoice.request);
        format!(
            r#"{{"data":{{"{field}":{{"status":"{status}","paymentHash":"{hash}","paymentRequest":"{request}","paymentPreimage":{preimage}}}}}}}"#
        )
    };
    let failed = |field: &str, message: &str, code: &str| {
        let message = Value::from(message);
        format!(
            r#"{{"errors":[{{"message":{message},"locations":[{{"line":1,"column":3}}],"path":["{field}"],"extensions":{{"code":"{code}"}}}}],"data":null}}"#
        )
    };
    assert_eq!(
        ask(&server, &of_request(&invoice.request)).await,
        told(by_request, "PENDING", Value::Null)
    );
    let unknown = format!(
        "Unexpected error occurred, please try again or contact support if it persists (code: InvoiceNotFoundError: {{\"paymentHash\":\"{}\"}})",
        invoice.hash
    );
    assert_eq!(
        ask(&server, &of_hash(&invoice.hash)).await,
        failed(by_hash, &unknown, "UNEXPECTED_CLIENT_ERROR")
    );
    server
        .publish(&invoice.channel(), &invoice.told("Pending"))
        .await;
    until_told(
        &server,
        "",
        &of_hash(&invoice.hash),
        &told(by_hash, "PENDING", Value::Null),
    )
    .await;
    server.publish(&invoice.channel(), &invoice.paid()).await;
    let preimage = || Value::from(invoice.preimage.as_str());
    until_told(
        &server,
        "",
        &of_hash(&invoice.hash),
        &told(by_hash, "PAID", preimage()),
    )
    .await;
    assert_eq!(
        ask(&server, &of_request(&invoice.request)).await,
        told(by_request, "PAID", preimage())
    );

    for (query, field, message, code) in [
        (
            of_request("nonsense"),
            by_request,
            "Invalid value for LnPaymentRequest",
            "INVALID_INPUT",
        ),
        (
            of_request("lnqq"),
            by_request,
            "Invalid lightning request, couldn't decode.",
            "INVOICE_DECODE_ERROR",
        ),
        (
            of_hash("nonsense"),
            by_hash,
            "Invalid value for PaymentHash",
            "INVALID_INPUT",
        ),
    ] {
        assert_eq!(ask(&server, &query).await, failed(field, message, code));
    }
}

#[tokio::test]
async fn me_is_the_account_of_the_key() {
    let server = Tidings::start().await;
    let key = server.key(ACCOUNT, &["read"]).await;
    assert_eq!(
        ask(&server, "{ me { id } }").await,
        r#"{"data":{"me":null}}"#
    );
    // An account that the directory does not know has an id.
    let id = format!(r#"{{"data":{{"me":{{"id":"{ACCOUNT}","username":null}}}}}}"#);
    assert_eq!(
        ask_with(&server, &key, "{ me { id username } }", json!({})).await,
        id
    );
    server.import_accounts(&format!(
        r#"{{"accounts":[{{"id":"{ACCOUNT}","username":"alice","displayCurrency":"EUR","level":"TWO","defaultWalletId":"{USD_WALLET}","wallets":[{{"id":"{BTC_WALLET}","walletCurrency":"BTC","balance":2707,"pendingIncomingBalance":10}},{{"id":"{USD_WALLET}","walletCurrency":"USD"}}]}}]}}"#
    ));
    let query = "{ me { id username defaultAccount { __typename id level displayCurrency defaultWalletId defaultWallet { id currency walletCurrency } wallets { __typename id accountId walletCurrency } } } }";
    let told = format!(
        r#"{{"data":{{"me":{{"id":"{ACCOUNT}","username":"alice","defaultAccount":{{"__typename":"ConsumerAccount","id":"{ACCOUNT}","level":"TWO","displayCurrency":"EUR","defaultWalletId":"{USD_WALLET}","defaultWallet":{{"id":"{USD_WALLET}","currency":"USD","walletCurrency":"USD"}},"wallets":[{{"__typename":"BTCWallet","id":"{BTC_WALLET}","accountId":"{ACCOUNT}","walletCurrency":"BTC"}},{{"__typename":"UsdWallet","id":"{USD_WALLET}","accountId":"{ACCOUNT}","walletCurrency":"USD"}}]}}}}}}}}"#
    );
    until_told(&server, &key, query, &told).await;

    let by_id = "query ($id: WalletId!) { me { defaultAccount { walletById(walletId: $id) { balance pendingIncomingBalance } } } }";
    assert_eq!(
        ask_with(&server, &key, by_id, json!({ "id": BTC_WALLET })).await,
        r#"{"data":{"me":{"defaultAccount":{"walletById":{"balance":2707,"pendingIncomingBalance":10}}}}}"#
    );
    for (id, message, path, code) in [
        (
            USD_WALLET,
            "Balance not found",
            r#","balance""#,
            "NOT_FOUND",
        ),
        (ACCOUNT, "Wallet not found", "", "NOT_FOUND"),
        (
            "nonsense",
            "Invalid value for WalletId",
            "",
            "INVALID_INPUT",
        ),
    ] {
        let said = ask_with(&server, &key, by_id, json!({ "id": id })).await;
        let (start, end) = (
            format!(r#"{{"errors":[{{"message":"{message}","locations":"#),
            format!(
                r#""path":["me","defaultAccount","walletById"{path}],"extensions":{{"code":"{code}"}}}}],"data":{{"me":null}}}}"#
            ),
        );
        assert!(
            said.starts_with(&start) && said.ends_with(&end),
            "{id}: {said}"
        );
    }
    let price = "{ me { defaultAccount { realtimePrice { denominatorCurrency } } } }";
    assert!(
        ask_with(&server, &key, price, json!({}))
            .await
            .contains("PRICE_SERVICE_OFFLINE")
    );
    server
        .publish(
            "PRICE_UPDATE_EUR",
            r#"{"displayCurrency":"EUR","pricePerSat":0.0004,"pricePerUsdCent":0.009}"#,
        )
        .await;
    let told =
        r#"{"data":{"me":{"defaultAccount":{"realtimePrice":{"denominatorCurrency":"EUR"}}}}}"#;
    until_told(&server, &key, price, told).await;
}

#[tokio::test]
async fn requests_that_cannot_be_executed_are_answered_without_data() {
    let server = Tidings::start().await;
    let errors = |message: &str| format!(r#"{{"errors":[{{"message":"{message}"}}]}}"#);
    assert_eq!(
        ask(&server, "subscription { myUpdates { errors { code } } }").await,
        errors(
            "A subscription needs an answer that goes on: a WebSocket with the subprotocol graphql-transport-ws, or a request with Accept: text/event-stream or multipart/mixed;subscriptionSpec=1.0"
        )
    );
    assert_eq!(
        ask(&server, "query A { __typename } query B { __typename }").await,
        errors("Unable to identify operation")
    );
    for query in [
        "{",
        "",
        "{ nothing }",
        "{ me { nothing } }",
        "mutation { pay }",
        "query ($a: Int!) { __typename }",
        "query ($a: Int) { __typename }",
    ] {
        let said = ask(&server, query).await;
        assert!(
            said.starts_with(r#"{"errors":[{"message":"#) && !said.contains(r#""data""#),
            "{query}: {said}"
        );
    }
    let named = json!({"query": "query A { __typename } query B { b: __typename }", "operationName": "B", "variables": null, "extensions": {}});
    assert_eq!(
        server.post("/graphql", "", &named.to_string()).await,
        (200, r#"{"data":{"b":"Query"}}"#.to_owned())
    );
}

#[tokio::test]
async fn what_is_no_request_is_refused_with_a_reason() {
    let server = Tidings::start().await;
    for (body, reason) in [
        ("", "The body is not a GraphQL request: "),
        ("{", "The body is not a GraphQL request: "),
        (
            "{}",
            "The body is not a GraphQL request: it has neither `query` nor `documentId` nor ",
        ),
        (r#"{"query":1}"#, "The body is not a GraphQL request: "),
        (
            r#"{"query":"{ __typename }","variables":[]}"#,
            "The body is not a GraphQL request: ",
        ),
        (
            r#"{"query":"{ __typename }","operationName":1}"#,
            "The body is not a GraphQL request: ",
        ),
        (
            r#"[{"query":"{ __typename }"}]"#,
            "Batches are not supported: send one request at a time",
        ),
        (
            " []",
            "Batches are not supported: send one request at a time",
        ),
    ] {
        let (status, said) = server.post("/graphql", "", body).await;
        assert_eq!(status, 400, "{body}: {said}");
        assert!(
            said.starts_with(&format!(r#"{{"errors":[{{"message":"{reason}"#)),
            "{body}: {said}"
        );
    }
    let too_long = json!({"query": format!("{{ __typename }} #{}", " ".repeat(70_000))});
    assert_eq!(
        server.post("/graphql", "", &too_long.to_string()).await.0,
        413
    );
}

#[tokio::test]
async fn other_types_and_methods_are_refused_with_a_reason() {
    let server = Tidings::start().await;
    let url = server.http_url("/graphql");
    for (content_type, body) in [
        (
            "application/x-www-form-urlencoded",
            "query=%7B__typename%7D",
        ),
        ("multipart/form-data; boundary=x", "--x--"),
        ("text/plain", r#"{"query":"{ __typename }"}"#),
        ("application/graphql", "{ __typename }"),
        ("", r#"{"query":"{ __typename }"}"#),
    ] {
        let mut request = http().post(&url).body(body);
        if !content_type.is_empty() {
            request = request.header("content-type", content_type);
        }
        let response = request.send().await.unwrap();
        assert_eq!(response.status(), 415, "{content_type}");
        let said = response.text().await.unwrap();
        assert_eq!(
            said,
            r#"{"errors":[{"message":"Content-Type must be application/json"}]}"#
        );
    }
    for content_type in [
        "application/json",
        "application/json; charset=utf-8",
        "Application/JSON;charset=UTF-8",
    ] {
        let request = http().post(&url).header("content-type", content_type);
        let response = request
            .body(r#"{"query":"{ __typename }"}"#)
            .send()
            .await
            .unwrap();
        assert_eq!(response.status(), 200, "{content_type}");
    }
    for path in ["/graphql", "/graphql?x=1"] {
        let (status, said) = server.get(path).await;
        assert_eq!(status, 400);
        assert!(
            said.contains("graphql-transport-ws") && said.contains("POST"),
            "{said}"
        );
    }
    let patch = http().request(Method::PATCH, &url).send().await.unwrap();
    assert_eq!(patch.status(), 405);
    assert_eq!(
        patch.headers()["allow"].to_str().unwrap(),
        "GET,HEAD,POST,PUT,DELETE"
    );
}

/// `getIntrospectionQuery()` of graphql-js 16.
const INTROSPECTION: &str = include_str!("introspection.graphql");

/// The same with all of its options, as GraphiQL and Apollo Sandbox ask.
static INTROSPECTION_WITH_ALL: std::sync::LazyLock<String> = std::sync::LazyLock::new(|| {
    INTROSPECTION
        .replace("__schema {", "__schema {\n        description")
        .replace(
            "          locations\n",
            "          isRepeatable\n          locations\n",
        )
        .replace("args {", "args(includeDeprecated: true) {")
        .replace("inputFields {", "inputFields(includeDeprecated: true) {")
        .replace(
            "      description\n      fields",
            "      description\n      specifiedByURL\n      isOneOf\n      fields",
        )
        .replace(
            "      defaultValue\n",
            "      defaultValue\n      isDeprecated\n      deprecationReason\n",
        )
});
