//! What somebody may send to do harm: each is answered, and the server lives on.

use super::lives_on;
use crate::tidings::Tidings;

/// Sends the document, and expects an `error`.
async fn is_refused(query: &str) {
    let server = Tidings::start().await;
    let mut client = server.anonymous().await;
    client.subscribe("1", query).await;
    let said = client.text().await;
    assert!(
        said.starts_with(r#"{"id":"1","type":"error","payload":[{"message":"#),
        "{said}"
    );
    assert!(
        said.len() < 20_000,
        "{} bytes are sent for one mistake",
        said.len()
    );
    let body = serde_json::json!({ "query": query });
    let (status, said) = server.post("/graphql", "", &body.to_string()).await;
    assert_eq!(status, 200, "{said}");
    lives_on(&server, &mut client, "1").await;
}

#[tokio::test]
async fn selections_inside_selections_as_deep_as_a_message_is_long_are_refused() {
    is_refused(&"{a".repeat(30_000)).await;
    is_refused(&format!(
        "subscription{}{}",
        "{a".repeat(15_000),
        "}".repeat(15_000)
    ))
    .await;
}

#[tokio::test]
async fn fragments_inside_fragments_as_deep_as_a_message_is_long_are_refused() {
    is_refused(&format!(
        "subscription{{{}a{}}}",
        "...{".repeat(12_000),
        "}".repeat(12_000)
    ))
    .await;
}

#[tokio::test]
async fn values_inside_values_as_deep_as_a_message_is_long_are_refused() {
    is_refused(&format!(
        "subscription{{a(b:{}{})}}",
        "[".repeat(30_000),
        "]".repeat(30_000)
    ))
    .await;
    is_refused(&format!(
        "subscription{{a(b:{}1{})}}",
        "{a:".repeat(15_000),
        "}".repeat(15_000)
    ))
    .await;
    is_refused(&format!(
        "subscription($a:{}Int{}){{a}}",
        "[".repeat(30_000),
        "]".repeat(30_000)
    ))
    .await;
}

#[tokio::test]
async fn variables_as_deep_as_a_message_is_long_are_refused() {
    let server = Tidings::start().await;
    let mut client = server.anonymous().await;
    let deep = format!(
        r#"{{"input":{}{}}}"#,
        "[".repeat(30_000),
        "]".repeat(30_000)
    );
    client.subscribe_with("1", super::PRICE, &deep).await;
    assert_eq!(
        client.closed().await,
        (
            4400,
            "Invalid message received: `payload.variables` cannot be read".to_owned()
        )
    );
    let mut client = server.anonymous().await;
    lives_on(&server, &mut client, "1").await;
}

/// Spreads each fragment twice in the one before: 2^29 fields.
fn doubling(root: &str, on: &str, field: &str) -> String {
    let mut query = format!("subscription {{ {root} }}");
    for n in 0..29 {
        let next = n + 1;
        query.push_str(&format!(
            " fragment F{n} on {on} {{ ...F{next} ...F{next} }}"
        ));
    }
    query.push_str(&format!(" fragment F29 on {on} {{ {field} }}"));
    query
}

#[tokio::test]
async fn fragments_that_double_below_the_root_are_refused() {
    is_refused(&doubling(
        "realtimePrice(input: {}) { ...F0 }",
        "RealtimePricePayload",
        "errors { code }",
    ))
    .await;
}

#[tokio::test]
async fn fragments_that_double_at_the_root_are_answered() {
    is_refused(&doubling("...F0", "Subscription", "nothing")).await;
}

#[tokio::test]
async fn fragments_that_double_and_lead_back_are_refused() {
    let query = "subscription { realtimePrice(input: {}) { ...A ...A } } fragment A on RealtimePricePayload { ...B ...B } fragment B on RealtimePricePayload { ...C ...C } fragment C on RealtimePricePayload { ...B ...A }";
    is_refused(query).await;
    is_refused(
        &query
            .replace("realtimePrice(input: {}) { ...A ...A }", "...A ...A")
            .replace("RealtimePricePayload", "Subscription"),
    )
    .await;
}

#[tokio::test]
async fn fragments_in_a_chain_as_long_as_a_message_are_refused() {
    for (root, on) in [
        ("...F0", "Subscription"),
        ("realtimePrice(input: {}) { ...F0 }", "RealtimePricePayload"),
        (
            "realtimePrice(input: {}) { errors { code } }",
            "Subscription",
        ),
    ] {
        let mut query = format!("subscription {{ {root} }}");
        let mut n = 0;
        while query.len() < 60_000 {
            query.push_str(&format!("fragment F{n} on {on}{{...F{}}}", n + 1));
            n += 1;
        }
        query.push_str(&format!("fragment F{n} on {on}{{a}}"));
        is_refused(&query).await;
    }
}

#[tokio::test]
async fn introspection_that_multiplies_is_refused() {
    let server = Tidings::start().await;
    let mut lists = "name".to_owned();
    for _ in 0..8 {
        lists = format!("possibleTypes {{ interfaces {{ {lists} }} }}");
    }
    let fragments = "{ __schema { types { ...A } } } fragment A on __Type { possibleTypes { ...B } } fragment B on __Type { interfaces { fields { name } } }";
    for query in [
        &format!("{{ __schema {{ types {{ {lists} }} }} }}"),
        fragments,
    ] {
        let body = serde_json::json!({ "query": query });
        let refused = r#"{"errors":[{"message":"Maximum introspection depth exceeded"}]}"#;
        assert_eq!(
            server.post("/graphql", "", &body.to_string()).await,
            (200, refused.to_owned())
        );
    }
}

#[tokio::test]
async fn fields_as_many_as_a_message_is_long_are_refused() {
    is_refused(&format!(
        "subscription {{ realtimePrice(input: {{}}) {{ {} }} }}",
        "nothing ".repeat(7_000)
    ))
    .await;
    is_refused(&format!("subscription {{ {} }}", "a ".repeat(30_000))).await;
}

#[tokio::test]
async fn a_long_value_is_not_echoed_at_length() {
    let server = Tidings::start().await;
    let mut client = server.anonymous().await;
    let query = "subscription ($input: RealtimePriceInput!) { realtimePrice(input: $input) { errors { code } } }";
    for variables in [
        format!(r#"{{"input":"{}"}}"#, "ä".repeat(20_000)),
        format!(r#"{{"input":{{"{}":1}}}}"#, "a".repeat(60_000)),
        format!(
            r#"{{"input":{{{}}}}}"#,
            (0..5_000)
                .map(|n| format!(r#""k{n}":1"#))
                .collect::<Vec<_>>()
                .join(",")
        ),
    ] {
        client.subscribe_with("1", query, &variables).await;
        let said = client.text().await;
        assert!(
            said.len() < variables.len(),
            "{} bytes are told of {}",
            said.len(),
            variables.len()
        );
        assert_eq!(client.text().await, super::complete("1"));
    }
}
