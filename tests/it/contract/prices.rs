//! `price` and `realtimePrice`: the arithmetic, and what is told instead of a price.

use super::{PRICE_OF_THE_DOCS, REALTIME_PRICE_OF_THE_DOCS, first};
use crate::redis_server::RedisServer;
use crate::tidings::Tidings;

const PRICE: &str =
    "price { base offset currencyUnit formattedAmount } errors { message code path }";

fn price_of(amount: &str, amount_unit: &str, price_unit: &str) -> String {
    format!(
        "subscription {{ price(input: {{ amount: {amount}, amountCurrencyUnit: {amount_unit}, priceCurrencyUnit: {price_unit} }}) {{ {PRICE} }} }}"
    )
}

fn no_price(message: &str) -> String {
    format!(
        r#"{{"data":{{"price":{{"price":null,"errors":[{{"message":"{message}","code":null,"path":null}}]}}}}}}"#
    )
}

#[tokio::test]
async fn a_price_that_cannot_be_is_told_once_and_then_nothing_on_an_open_subscription() {
    let server = Tidings::start().await;
    let mut client = server.anonymous().await;
    let told = [
        ("1.5", "BTCSAT", "USDCENT", "Invalid type for SatAmount"),
        ("-1", "BTCSAT", "USDCENT", "Invalid value for SatAmount"),
        (
            "10000000000001",
            "USDCENT",
            "USDCENT",
            "Value too big for SatAmount",
        ),
        ("1", "USDCENT", "USDCENT", "Unsupported exchange unit"),
        ("1000000", "BTCSAT", "BTCSAT", "Unsupported exchange unit"),
        (
            "1000000",
            "BTCSAT",
            "USDCENT",
            "Unsupported exchange amount",
        ),
    ];
    for (id, (amount, amount_unit, price_unit, message)) in told.iter().enumerate() {
        client
            .subscribe(&id.to_string(), &price_of(amount, amount_unit, price_unit))
            .await;
        let payload = no_price(message);
        assert_eq!(
            client.text().await,
            format!(r#"{{"id":"{id}","type":"next","payload":{payload}}}"#)
        );
    }
    client
        .subscribe(
            "works",
            &price_of("999999", "BTCSAT", "USDCENT").replace("base ", ""),
        )
        .await;
    assert_eq!(client.fence().await, [""; 0]);
    server.publish("PRICE_UPDATE_USD", PRICE_OF_THE_DOCS).await;
    // The one that works alone.
    let told = client.text().await;
    assert!(told.starts_with(r#"{"id":"works","type":"next""#), "{told}");
    assert_eq!(client.fence().await, [""; 0]);
    // And their ids are in use.
    client
        .subscribe("0", &price_of("1", "BTCSAT", "USDCENT"))
        .await;
    assert_eq!(
        client.closed().await,
        (4409, "Subscriber for 0 already exists".to_owned())
    );
}

#[tokio::test]
async fn a_price_is_told_with_the_number_that_javascript_prints() {
    let server = Tidings::start().await;
    server.publish("PRICE_UPDATE_USD", PRICE_OF_THE_DOCS).await;
    let mut client = server.anonymous().await;
    assert_eq!(
        first(&mut client, &price_of("100", "BTCSAT", "USDCENT"), "{}").await,
        r#"{"data":{"price":{"price":{"base":4364414843750,"offset":12,"currencyUnit":"USDCENT","formattedAmount":"4.3644148437500005"},"errors":[]}}}"#
    );
    assert_eq!(
        first(&mut client, &price_of("0", "BTCSAT", "USDCENT"), "{}").await,
        r#"{"data":{"price":{"price":{"base":0,"offset":12,"currencyUnit":"USDCENT","formattedAmount":"0"},"errors":[]}}}"#
    );
}

#[tokio::test]
async fn a_price_beyond_53_bits_is_null_with_an_error_and_the_subscription_lives_on() {
    let server = Tidings::start().await;
    let mut client = server.anonymous().await;
    client.subscribe("1", "subscription { price(input: { amount: 999999, amountCurrencyUnit: BTCSAT, priceCurrencyUnit: USDCENT }) { errors { message } price { base offset } } }").await;
    assert_eq!(client.fence().await, [""; 0]);
    server.publish("PRICE_UPDATE_USD", PRICE_OF_THE_DOCS).await;
    assert_eq!(
        client.text().await,
        r#"{"id":"1","type":"next","payload":{"errors":[{"message":"SafeInt cannot represent non 53-bit signed integer value: 43644104793351560","locations":[{"line":1,"column":134}],"path":["price","price","base"],"extensions":{"code":"INVALID_INPUT"}}],"data":{"price":{"errors":[],"price":null}}}}"#
    );
    server
        .publish(
            "PRICE_UPDATE_USD",
            &PRICE_OF_THE_DOCS.replace("0.000436441484375", "0.00001"),
        )
        .await;
    assert_eq!(
        client.text().await,
        r#"{"id":"1","type":"next","payload":{"data":{"price":{"errors":[],"price":{"base":999999000000000,"offset":12}}}}}"#
    );
}

#[tokio::test]
async fn a_realtime_price_has_all_of_the_sample() {
    let server = Tidings::start().await;
    server
        .publish("PRICE_UPDATE_USD", REALTIME_PRICE_OF_THE_DOCS)
        .await;
    let mut client = server.anonymous().await;
    client.subscribe("5", "subscription { realtimePrice(input: {}) { errors { message } realtimePrice { id timestamp denominatorCurrency denominatorCurrencyDetails { id symbol name flag fractionDigits } btcSatPrice { base offset currencyUnit } usdCentPrice { base offset currencyUnit } } } }").await;
    assert_eq!(
        client.text().await,
        r#"{"id":"5","type":"next","payload":{"data":{"realtimePrice":{"errors":[],"realtimePrice":{"id":"a6e2abdb-431e-5455-81c1-92fbaccfb0de","timestamp":1703258171,"denominatorCurrency":"USD","denominatorCurrencyDetails":{"id":"USD","symbol":"$","name":"US Dollar","flag":"🇺🇸","fractionDigits":2},"btcSatPrice":{"base":43623050781,"offset":12,"currencyUnit":"MINOR"},"usdCentPrice":{"base":1000000,"offset":6,"currencyUnit":"MINOR"}}}}}}"#
    );
}

#[tokio::test]
async fn prices_are_in_the_minor_unit_of_each_currency() {
    let server = Tidings::start().await;
    let mut client = server.anonymous().await;
    for (code, price, usd, sat, cent) in [
        (
            "USD",
            43_644.148_437_5,
            43_644.148_437_5,
            43_644_148_438_u64,
            1_000_000_u64,
        ),
        ("EUR", 17_500.0, 20_000.0, 17_500_000_000, 875_000),
        ("JPY", 6_500_000.0, 50_000.0, 65_000_000_000, 1_300_000),
        ("KWD", 15_000.0, 50_000.0, 150_000_000_000, 3_000_000),
    ] {
        client.subscribe("1", &format!(r#"subscription {{ realtimePrice(input: {{ currency: "{code}" }}) {{ realtimePrice {{ denominatorCurrency btcSatPrice {{ base }} usdCentPrice {{ base }} }} }} }}"#)).await;
        // Without a price there is nothing to say.
        assert_eq!(client.fence().await, [""; 0]);
        let body = serde_json::json!({"displayCurrency": code, "pricePerSat": price / 1e8, "pricePerUsdCent": price / usd / 100.0});
        server
            .publish(&format!("PRICE_UPDATE_{code}"), &body.to_string())
            .await;
        let told = format!(
            r#"{{"id":"1","type":"next","payload":{{"data":{{"realtimePrice":{{"realtimePrice":{{"denominatorCurrency":"{code}","btcSatPrice":{{"base":{sat}}},"usdCentPrice":{{"base":{cent}}}}}}}}}}}}}"#
        );
        assert_eq!(client.text().await, told);
        client.complete("1").await;
    }
}

const REALTIME_PRICE: &str = "{ realtimePrice { id } errors { message code path } }";

#[tokio::test]
async fn a_currency_that_there_is_not_is_told_once_and_then_nothing() {
    let server = Tidings::start().await;
    let mut client = server.anonymous().await;
    for (id, input) in [
        r#"{ currency: "XYZ" }"#,
        "{ currency: null }",
        r#"{ currency: "€€€" }"#,
    ]
    .iter()
    .enumerate()
    {
        client
            .subscribe(
                &id.to_string(),
                &format!("subscription {{ realtimePrice(input: {input}) {REALTIME_PRICE} }}"),
            )
            .await;
        assert_eq!(
            client.text().await,
            format!(
                r#"{{"id":"{id}","type":"next","payload":{{"data":{{"realtimePrice":{{"realtimePrice":null,"errors":[{{"message":"Invalid currency.","code":"INVALID_INPUT","path":null}}]}}}}}}}}"#
            )
        );
    }
    client
        .subscribe(
            "0",
            &format!("subscription {{ realtimePrice(input: {{}}) {REALTIME_PRICE} }}"),
        )
        .await;
    assert_eq!(client.closed().await.0, 4409);
}

#[tokio::test]
async fn a_currency_is_read_in_any_case_and_is_the_dollar_if_it_is_not_said() {
    let server = Tidings::start().await;
    server
        .publish("PRICE_UPDATE_USD", REALTIME_PRICE_OF_THE_DOCS)
        .await;
    let mut client = server.anonymous().await;
    let told = r#"{"data":{"realtimePrice":{"realtimePrice":{"id":"a6e2abdb-431e-5455-81c1-92fbaccfb0de"},"errors":[]}}}"#;
    for input in ["{}", r#"{ currency: "usd" }"#, r#"{ currency: "Usd" }"#] {
        let query = format!("subscription {{ realtimePrice(input: {input}) {REALTIME_PRICE} }}");
        assert_eq!(first(&mut client, &query, "{}").await, told);
    }
    let query = format!(
        "subscription ($input: RealtimePriceInput!) {{ realtimePrice(input: $input) {REALTIME_PRICE} }}"
    );
    for input in ["{}", r#"{"currency":"usd"}"#] {
        assert_eq!(
            first(&mut client, &query, &format!(r#"{{"input":{input}}}"#)).await,
            told
        );
    }
    let query = format!(
        "subscription ($currency: DisplayCurrency) {{ realtimePrice(input: {{ currency: $currency }}) {REALTIME_PRICE} }}"
    );
    assert_eq!(first(&mut client, &query, "{}").await, told);
}

#[tokio::test]
async fn what_is_published_instead_of_a_price_is_told() {
    // What Blink's back end may say on Redis `publish` would refuse as a mistake.
    let redis = RedisServer::start().await;
    let server = Tidings::start_on(&redis, &[]).await;
    let mut client = server.anonymous().await;
    let (price, realtime) = ("price", "realtimePrice");
    client
        .subscribe(price, &price_of("1", "BTCSAT", "USDCENT"))
        .await;
    client
        .subscribe(
            realtime,
            &format!("subscription {{ realtimePrice(input: {{}}) {REALTIME_PRICE} }}"),
        )
        .await;
    assert_eq!(client.fence().await, [""; 0]);
    let no_info = r#"{"message":"No price info","code":null,"path":null}"#;
    for (body, errors) in [
        (r#"{"displayCurrency":"USD"}"#, no_info),
        ("{}", no_info),
        (
            r#"{"errors":[{"message":"Price unavailable, please wait for a while and try again.","code":"PRICE_SERVICE_OFFLINE"}]}"#,
            r#"{"message":"Price unavailable, please wait for a while and try again.","code":"PRICE_SERVICE_OFFLINE","path":null}"#,
        ),
    ] {
        let _: usize = redis
            .run(redis::cmd("PUBLISH").arg("PRICE_UPDATE_USD").arg(body))
            .await;
        let mut told = [client.text().await, client.text().await];
        told.sort();
        let expected = [price, realtime].map(|field| {
            format!(r#"{{"id":"{field}","type":"next","payload":{{"data":{{"{field}":{{"{field}":null,"errors":[{errors}]}}}}}}}}"#)
        });
        assert_eq!(told, expected);
    }
    // Without the price of a cent there is a `price`, but no `realtimePrice`.
    let body = r#"{"displayCurrency":"USD","pricePerSat":0.0004}"#;
    let _: usize = redis
        .run(redis::cmd("PUBLISH").arg("PRICE_UPDATE_USD").arg(body))
        .await;
    let mut told = [client.text().await, client.text().await];
    told.sort();
    assert!(told[0].contains(r#""base":40000000000,"#), "{told:?}");
    assert_eq!(
        told[1],
        format!(
            r#"{{"id":"realtimePrice","type":"next","payload":{{"data":{{"realtimePrice":{{"realtimePrice":null,"errors":[{no_info}]}}}}}}}}"#
        )
    );
}
