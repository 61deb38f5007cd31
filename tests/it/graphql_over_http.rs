//! GraphQL over HTTP: what is answered in which media type, with which status. The audits of graphql-http are run
//! by `tests/clients/audit.mjs`.

use reqwest::Method;

use crate::tidings::{Tidings, http};

const TYPENAME: &str = r#"{"query":"{ __typename }"}"#;
const RESULT: &str = r#"{"data":{"__typename":"Query"}}"#;
const RESPONSE: &str = "application/graphql-response+json";

/// What is said to a request: the status, the media type, the body.
async fn says(request: reqwest::RequestBuilder) -> (u16, String, String) {
    let response = request.send().await.expect("tidings answers");
    let media_type = response.headers().get("content-type");
    let media_type = media_type
        .map_or("", |value| value.to_str().unwrap())
        .to_owned();
    let status = response.status().as_u16();
    (status, media_type, response.text().await.expect("a body"))
}

/// What is said to a POST of JSON, with this `Accept`.
async fn post(server: &Tidings, accept: &str, body: &str) -> (u16, String, String) {
    let request = http().post(server.http_url("/graphql"));
    let request = request.header("content-type", "application/json");
    says(request.header("accept", accept).body(body.to_owned())).await
}

/// What is said to a GET with these parameters.
async fn get(server: &Tidings, parameters: &[(&str, &str)]) -> (u16, String, String) {
    let parameters = url::form_urlencoded::Serializer::new(String::new())
        .extend_pairs(parameters)
        .finish();
    let url = server.http_url(&format!("/graphql?{parameters}"));
    says(http().get(url).header("accept", RESPONSE)).await
}

#[tokio::test]
async fn the_status_tells_of_errors_to_those_who_take_the_newer_media_type() {
    let server = Tidings::start().await;
    let bad_requests = [
        r#"{"query":"{"}"#,
        r#"{"query":"{ nothing }"}"#,
        r#"{"query":"query A { __typename } query B { __typename }"}"#,
        r#"{"query":"query ($currency: DisplayCurrency!) { realtimePrice(currency: $currency) { id } }"}"#,
        r#"{"query":"subscription { price(input: { amount: 1, amountCurrencyUnit: BTCSAT, priceCurrencyUnit: USDCENT }) { errors { message } } }"}"#,
        r#"{"query":"mutation { nothing }"}"#,
    ];
    for body in bad_requests {
        let (status, media_type, said) = post(&server, RESPONSE, body).await;
        assert_eq!(status, 400, "{body}: {said}");
        assert_eq!(media_type, format!("{RESPONSE}; charset=utf-8"));
        assert!(said.starts_with(r#"{"errors":[{"message":"#), "{said}");
        let (status, media_type, again) = post(&server, "application/json", body).await;
        assert_eq!(status, 200, "{body}: {said}");
        assert_eq!(media_type, "application/json; charset=utf-8");
        assert_eq!(again, said);
    }
    // What was executed is not the request's fault.
    let mine = r#"{"query":"{ me { id } realtimePrice { id } }"}"#;
    let (status, _, said) = post(&server, RESPONSE, mine).await;
    assert_eq!(status, 200, "{said}");
}

#[tokio::test]
async fn whoever_takes_anything_or_says_nothing_gets_plain_json() {
    let server = Tidings::start().await;
    let plain = "application/json; charset=utf-8".to_owned();
    for accept in [
        "*/*",
        "application/*",
        "application/json",
        "text/html, */*;q=0.1",
    ] {
        let answer = post(&server, accept, TYPENAME).await;
        assert_eq!(answer, (200, plain.clone(), RESULT.to_owned()), "{accept}");
    }
    let response = format!("{RESPONSE}; charset=utf-8");
    for accept in [
        RESPONSE,
        "application/graphql-response+json, application/json;q=0.9",
        "application/graphql-response+json, application/graphql+json, application/json, text/event-stream, multipart/mixed",
    ] {
        let answer = post(&server, accept, TYPENAME).await;
        assert_eq!(
            answer,
            (200, response.clone(), RESULT.to_owned()),
            "{accept}"
        );
    }
    let (status, _, said) = post(&server, "image/png", TYPENAME).await;
    assert_eq!(status, 406);
    assert!(said.contains("Accept must take"), "{said}");
}

#[tokio::test]
async fn a_subscription_without_a_way_to_go_on_is_told_which_there_are() {
    let server = Tidings::start().await;
    let subscription = r#"{"query":"subscription { myUpdates { update { __typename } } }"}"#;
    let (_, _, said) = post(&server, "application/json", subscription).await;
    for way in [
        "graphql-transport-ws",
        "text/event-stream",
        "multipart/mixed",
    ] {
        assert!(said.contains(way), "{said}");
    }
}

#[tokio::test]
async fn a_get_asks_by_its_parameters() {
    let server = Tidings::start().await;
    let typed = "query A($yes: Boolean!) { __typename me @skip(if: $yes) { id } } query B { a: __typename }";
    let (status, _, said) = get(
        &server,
        &[
            ("query", typed),
            ("operationName", "A"),
            ("variables", r#"{"yes":true}"#),
            ("utm_source", "somewhere"),
        ],
    )
    .await;
    assert_eq!((status, said.as_str()), (200, RESULT));
    for (bad, why) in [
        ([("query", "{ a }"), ("query", "{ b }")], "twice"),
        (
            [("query", "{ a }"), ("variables", "nothing")],
            "`variables`",
        ),
        ([("query", "{ a }"), ("extensions", "[]")], "`extensions`"),
    ] {
        let (status, _, said) = get(&server, &bad).await;
        assert_eq!(status, 400, "{said}");
        assert!(said.contains(why), "{said}");
    }
}

#[tokio::test]
async fn no_cache_keeps_an_answer() {
    let server = Tidings::start().await;
    for query in ["%7B__typename%7D", "%7Bnothing%7D"] {
        let url = server.http_url(&format!("/graphql?query={query}"));
        let answer = http().get(url).send().await.unwrap();
        assert_eq!(answer.headers()["cache-control"], "no-store");
    }
}

#[tokio::test]
async fn a_get_changes_nothing() {
    let server = Tidings::start().await;
    let (status, _, said) = get(&server, &[("query", "mutation { nothing }")]).await;
    assert_eq!(status, 405);
    assert!(said.contains("needs a POST"), "{said}");
}

#[tokio::test]
async fn a_head_is_a_get_without_a_body() {
    let server = Tidings::start().await;
    let url = server.http_url("/graphql?query=%7B__typename%7D");
    let (status, media_type, said) = says(http().request(Method::HEAD, url)).await;
    assert_eq!((status, said.as_str()), (200, ""));
    assert_eq!(media_type, "application/json; charset=utf-8");
}
