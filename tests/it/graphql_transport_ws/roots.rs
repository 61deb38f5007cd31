//! The one root field of a subscription, however it is selected.

use super::{PRICE_RESULT, error, next, publish_price};
use crate::tidings::Tidings;

/// The field that stands at the root in these tests.
const FIELD: &str = "realtimePrice(input: {}) { realtimePrice { btcSatPrice { base } } }";

/// Each of these gives the price: they are all the same question.
async fn all_give_the_price(queries: &[String], variables: &str) {
    let server = Tidings::start().await;
    let mut client = server.anonymous().await;
    for (id, query) in queries.iter().enumerate() {
        client
            .subscribe_with(&id.to_string(), query, variables)
            .await;
        assert_eq!(client.fence().await, [""; 0], "{query}");
    }
    publish_price(&server).await;
    let mut told = Vec::new();
    for _ in queries {
        told.push(client.text().await);
    }
    told.sort();
    let mut expected: Vec<_> = (0..queries.len())
        .map(|id| next(&id.to_string(), PRICE_RESULT))
        .collect();
    expected.sort();
    assert_eq!(told, expected);
}

async fn is_refused(query: &str, variables: &str, errors: &str) {
    let server = Tidings::start().await;
    let mut client = server.anonymous().await;
    client.subscribe_with("1", query, variables).await;
    assert_eq!(client.text().await, error("1", errors), "{query}");
}

#[tokio::test]
async fn two_root_fields_are_refused() {
    is_refused(
        &format!("subscription {{ {FIELD} myUpdates {{ errors {{ code }} }} }}"),
        "{}",
        r#"[{"message":"Anonymous Subscription must select only one top level field.","locations":[{"line":1,"column":84}]}]"#,
    )
    .await;
    is_refused(
        &format!("subscription Two {{ a: {FIELD}\n b: {FIELD} }}"),
        "{}",
        r#"[{"message":"Subscription \"Two\" must select only one top level field.","locations":[{"line":2,"column":2}]}]"#,
    )
    .await;
    is_refused(
        &format!("subscription {{ {FIELD} ...F }}\nfragment F on Subscription {{ myUpdates {{ errors {{ code }} }} }}"),
        "{}",
        r#"[{"message":"Anonymous Subscription must select only one top level field.","locations":[{"line":2,"column":30}]}]"#,
    )
    .await;
}

#[tokio::test]
async fn no_root_field_is_refused() {
    is_refused(
        &format!("subscription ($skip: Boolean!) {{ ... @skip(if: $skip) {{ {FIELD} }} }}"),
        r#"{"skip":true}"#,
        r#"[{"message":"Anonymous Subscription must select only one top level field.","locations":[{"line":1,"column":1}]}]"#,
    )
    .await;
}

#[tokio::test]
async fn the_root_field_may_stand_in_fragments() {
    let named = "fragment F on Subscription";
    all_give_the_price(
        &[
            format!("subscription {{ {FIELD} }}"),
            format!("subscription {{ ...F }} {named} {{ {FIELD} }}"),
            format!("subscription {{ ... on Subscription {{ {FIELD} }} }}"),
            format!("subscription {{ ... {{ {FIELD} }} }}"),
            format!("subscription {{ ... {{ ...F }} }} {named} {{ ... on Subscription {{ ...G }} }} fragment G on Subscription {{ {FIELD} }}"),
            format!("{named} {{ {FIELD} }} subscription Named {{ ...F ...F }}"),
            "subscription { ...F } fragment F on Subscription { realtimePrice(input: {}) { ...P } } fragment P on RealtimePricePayload { realtimePrice { btcSatPrice { base } } }".to_owned(),
        ],
        "{}",
    )
    .await;
}

#[tokio::test]
async fn the_root_field_may_be_included_and_skipped_by_variables() {
    let variables = "($yes: Boolean!, $no: Boolean = false)";
    let other = "myUpdates { errors { code } }";
    all_give_the_price(
        &[
            format!("subscription {variables} {{ {} {other_skipped} }}", FIELD.replacen(" {", " @include(if: $yes) @skip(if: $no) {", 2).replacen("input: @include(if: $yes) @skip(if: $no)", "input:", 1), other_skipped = other.replacen(" {", " @include(if: $no) @skip(if: $yes) {", 1)),
            format!("subscription {variables} {{ ...F @include(if: $yes) ...G @include(if: $no) }} fragment F on Subscription {{ {FIELD} }} fragment G on Subscription {{ {other} }}"),
            format!("subscription {variables} {{ ... @include(if: $yes) {{ ... @skip(if: $no) {{ {FIELD} }} }} ... @skip(if: $yes) {{ ... @include(if: $no) {{ {other} }} }} }}"),
        ],
        r#"{"yes":true}"#,
    )
    .await;
}

#[tokio::test]
async fn the_same_field_twice_is_one_with_both_selections() {
    all_give_the_price(
        &[
            format!("subscription {{ {FIELD} {FIELD} }}"),
            format!("subscription {{ {FIELD} ...F }} fragment F on Subscription {{ {FIELD} }}"),
        ],
        "{}",
    )
    .await;
    let server = Tidings::start().await;
    let mut client = server.anonymous().await;
    client
        .subscribe("1", "subscription { realtimePrice(input: {}) { errors { code } } ... { realtimePrice(input: {}) { realtimePrice { btcSatPrice { base } } } } }")
        .await;
    assert_eq!(client.fence().await, [""; 0]);
    publish_price(&server).await;
    let both = PRICE_RESULT.replacen(
        r#"{"realtimePrice":{"r"#,
        r#"{"realtimePrice":{"errors":[],"r"#,
        1,
    );
    assert_eq!(client.text().await, next("1", &both));
}

#[tokio::test]
async fn an_alias_at_the_root_is_told_back() {
    let server = Tidings::start().await;
    let mut client = server.anonymous().await;
    client
        .subscribe("1", &format!("subscription {{ now: {FIELD} }}"))
        .await;
    assert_eq!(client.fence().await, [""; 0]);
    publish_price(&server).await;
    assert_eq!(
        client.text().await,
        next("1", &PRICE_RESULT.replacen("realtimePrice", "now", 1))
    );
}

#[tokio::test]
async fn introspection_at_the_root_is_refused() {
    is_refused(
        "subscription { __typename }",
        "{}",
        r#"[{"message":"Anonymous Subscription must not select an introspection top level field.","locations":[{"line":1,"column":16}]}]"#,
    )
    .await;
    is_refused(
        "subscription S { ...F } fragment F on Subscription { a: __typename }",
        "{}",
        r#"[{"message":"Subscription \"S\" must not select an introspection top level field.","locations":[{"line":1,"column":54}]}]"#,
    )
    .await;
    is_refused(
        &format!("subscription {{ __typename {FIELD} }}"),
        "{}",
        r#"[{"message":"Anonymous Subscription must select only one top level field.","locations":[{"line":1,"column":27}]}]"#,
    )
    .await;
}

#[tokio::test]
async fn below_the_root_typenames_are_told() {
    let server = Tidings::start().await;
    let mut client = server.anonymous().await;
    client.subscribe("1", "subscription { realtimePrice(input: {}) { __typename realtimePrice { type: __typename } } }").await;
    assert_eq!(client.fence().await, [""; 0]);
    publish_price(&server).await;
    assert_eq!(
        client.text().await,
        next(
            "1",
            r#"{"data":{"realtimePrice":{"__typename":"RealtimePricePayload","realtimePrice":{"type":"RealtimePrice"}}}}"#
        )
    );
}

#[tokio::test]
async fn root_fragments_that_are_wrong_are_reported() {
    let server = Tidings::start().await;
    let mut client = server.anonymous().await;
    for query in [
        "subscription { ...Gone }",
        "subscription { ...F } fragment F on Subscription { ...F }",
        "subscription { ...F } fragment F on Subscription { ...G } fragment G on Subscription { ...F }",
        "subscription { ... on Query { me { id } } }",
        "subscription { ... on Nothing { a } }",
        &format!(
            "subscription {{ {FIELD} }} fragment Unused on Subscription {{ myUpdates {{ errors {{ code }} }} }}"
        ),
        &format!("subscription {{ ...F @nothing }} fragment F on Subscription {{ {FIELD} }}"),
        &format!("subscription {{ ...F @include }} fragment F on Subscription {{ {FIELD} }}"),
        &format!(
            "subscription {{ ...F @include(if: $gone) }} fragment F on Subscription {{ {FIELD} }}"
        ),
        &format!("subscription ($unused: Int) {{ ...F }} fragment F on Subscription {{ {FIELD} }}"),
    ] {
        client.subscribe("1", query).await;
        let said = client.text().await;
        assert!(
            said.starts_with(r#"{"id":"1","type":"error","payload":[{"message":"#),
            "{query}: {said}"
        );
    }
    super::lives_on(&server, &mut client, "1").await;
}
