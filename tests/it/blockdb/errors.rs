//! What is refused, with which code and which details.

use insta::assert_snapshot;
use serde_json::{Value, json};

use super::{
    ACCOUNT, SUBSCRIBE_BLOCKS, SUBSCRIBED_BLOCKS, ask, connect, hearing_blocks, hears_block,
    let_in, publish_block, refused, start, subscribe,
};
use crate::client::Client;

async fn bad_request(client: &mut Client, what: &str) -> Value {
    let answer = refused(client, what).await;
    assert_eq!(answer["error"]["code"], "BAD_REQUEST");
    assert_eq!(answer["error"]["retryable"], false);
    answer["error"]["details"]["invalid_parameters"].clone()
}

#[tokio::test]
async fn an_error_is_an_ack_with_the_error_object() {
    let server = start(&[]).await;
    let mut client = let_in(&server).await;
    client
        .send(r#"{"action":"subscribe","chain_id":1,"dataset_id":"0103","params":{"topic_zeros":["0xdd"]}}"#)
        .await;
    assert_snapshot!(client.text().await, @r#"{"action":"subscribe","chain_id":1,"dataset_id":"0103","status":"error","error":{"code":"BAD_REQUEST","message":"Parts of the request are missing or wrong.","hint":"See details.invalid_parameters. Addresses and hashes are hex without 0x, dataset_id is a string of four digits.","severity":"error","retryable":false,"details":{"invalid_parameters":[{"name":"params.topic_zeros[0]","reason":"invalid_format"}]},"docs_url":"https://docs.blockdb.io/wss-reference/overview/errors"}}"#);
}

#[tokio::test]
async fn what_is_no_json_no_object_or_no_action_is_a_bad_request_and_the_socket_stays() {
    let server = start(&[]).await;
    let mut client = hearing_blocks(&server).await;
    for (what, problem) in [
        ("hello", json!({"name":"message","reason":"invalid_format"})),
        ("", json!({"name":"message","reason":"invalid_format"})),
        ("[]", json!({"name":"message","reason":"invalid_type"})),
        ("{}", json!({"name":"action","reason":"missing"})),
        (
            r#"{"action":1}"#,
            json!({"name":"action","reason":"invalid_type"}),
        ),
        (
            r#"{"action":"ping"}"#,
            json!({"name":"action","reason":"unsupported","allowed":["subscribe","unsubscribe"]}),
        ),
    ] {
        assert_eq!(
            bad_request(&mut client, what).await,
            json!([problem]),
            "{what}"
        );
    }
    publish_block(&server, 7).await;
    hears_block(&mut client, 7).await;
}

#[tokio::test]
async fn an_unknown_action_is_echoed_and_what_is_not_said_is_null() {
    let server = start(&[]).await;
    let mut client = let_in(&server).await;
    let answer = refused(&mut client, r#"{"action":"list"}"#).await;
    assert_eq!(answer["action"], "list");
    assert_eq!(
        (&answer["chain_id"], &answer["dataset_id"]),
        (&Value::Null, &Value::Null)
    );
}

#[tokio::test]
async fn what_is_missing_or_of_a_wrong_type_is_named() {
    let server = start(&[]).await;
    let mut client = let_in(&server).await;
    for (what, problems) in [
        (
            r#"{"action":"subscribe"}"#,
            json!([{"name":"chain_id","reason":"missing"},{"name":"dataset_id","reason":"missing"}]),
        ),
        (
            r#"{"action":"subscribe","chain_id":"1","dataset_id":101}"#,
            json!([{"name":"chain_id","reason":"invalid_type"},{"name":"dataset_id","reason":"invalid_type"}]),
        ),
        (
            r#"{"action":"subscribe","chain_id":1,"dataset_id":"0101","params":"all"}"#,
            json!([{"name":"params","reason":"invalid_type"}]),
        ),
        (
            r#"{"action":"subscribe","chain_id":1,"dataset_id":"0102","params":{"from":[],"to_addresses":["0xab",1]},"parms":{}}"#,
            json!([
                {"name":"parms","reason":"unknown"},
                {"name":"params.from","reason":"unknown"},
                {"name":"params.to_addresses[0]","reason":"invalid_format"},
                {"name":"params.to_addresses[1]","reason":"invalid_type"},
            ]),
        ),
        (
            r#"{"action":"unsubscribe","chain_id":1}"#,
            json!([{"name":"dataset_id","reason":"missing"}]),
        ),
    ] {
        assert_eq!(bad_request(&mut client, what).await, problems, "{what}");
    }
}

#[tokio::test]
async fn a_chain_or_a_dataset_that_there_is_not_is_unsupported_and_those_there_are_are_listed() {
    let server = start(&[]).await;
    let mut client = let_in(&server).await;
    let what = r#"{"action":"subscribe","chain_id":5,"dataset_id":"0999","params":{}}"#;
    let problems = bad_request(&mut client, what).await;
    assert_eq!(
        problems[0],
        json!({"name":"chain_id","reason":"unsupported","allowed":[1]})
    );
    assert_eq!(problems[1]["reason"], "unsupported");
    assert_eq!(problems[1]["allowed"].as_array().unwrap().len(), 24);
    assert_eq!(problems[1]["allowed"][0], "0101");
}

#[tokio::test]
async fn more_than_a_thousand_values_are_too_many() {
    let server = start(&[]).await;
    let mut client = let_in(&server).await;
    let ids = |count: usize| format!(r#"{{"exchange_ids":[{}]}}"#, vec!["1"; count].join(","));
    subscribe(&mut client, "0211", &ids(1000)).await;
    let params = ids(1001);
    let what =
        format!(r#"{{"action":"subscribe","chain_id":1,"dataset_id":"0211","params":{params}}}"#);
    let problems = bad_request(&mut client, &what).await;
    assert_eq!(
        problems,
        json!([{"name":"params.exchange_ids","reason":"too_many_items"}])
    );
}

#[tokio::test]
async fn what_is_not_subscribed_to_is_not_found() {
    let server = start(&[]).await;
    let mut client = let_in(&server).await;
    let unsubscribe = r#"{"action":"unsubscribe","chain_id":1,"dataset_id":"0101"}"#;
    let error = refused(&mut client, unsubscribe).await["error"].take();
    assert_eq!(
        (&error["code"], &error["retryable"]),
        (&json!("NOT_FOUND"), &json!(false))
    );
    assert_eq!(
        error["details"]["invalid_parameters"],
        json!([{"name":"dataset_id","reason":"not_subscribed"}])
    );
}

#[tokio::test]
async fn a_dataset_of_a_higher_plan_is_forbidden_until_the_account_has_it() {
    let server = start(&[(
        "TIDINGS_BLOCKDB__REQUIRED_PLANS",
        r#"[{ dataset = "0901", plan = "growth" }]"#,
    )])
    .await;
    let mut client = let_in(&server).await;
    let what = r#"{"action":"subscribe","chain_id":1,"dataset_id":"0901","params":{}}"#;
    let error = refused(&mut client, what).await["error"].take();
    assert_eq!(error["code"], "FORBIDDEN");
    assert_eq!(error["details"], json!({"required_plan":"growth"}));
    server.run(&["plans", "set", "--account", ACCOUNT, "--blockdb", "scale"]);
    server
        .until("the plan is known", async || {
            client.send(what).await;
            client.json().await["status"] == "success"
        })
        .await;
}

#[tokio::test]
async fn who_is_too_fast_is_told_when_to_go_on() {
    let server = start(&[("TIDINGS_BLOCKDB__MESSAGES_PER_SECOND", "2")]).await;
    let key = server.key(ACCOUNT, &["read"]).await;
    let mut client = connect(&server, &key).await;
    for _ in 0..10 {
        client.send(SUBSCRIBE_BLOCKS).await;
    }
    let mut errors = Vec::new();
    for _ in 0..10 {
        let answer = client.json().await;
        assert_eq!(answer["action"], "subscribe");
        errors.extend(answer.get("error").cloned());
    }
    assert!(errors.len() >= 7, "{errors:?}");
    assert_eq!(errors[0]["code"], "RATE_LIMIT_EXCEEDED");
    assert_eq!(errors[0]["retryable"], true);
    assert_eq!(errors[0]["details"], json!({"retry_after_seconds":1}));
    publish_block(&server, 7).await;
    hears_block(&mut client, 7).await;
}

#[tokio::test]
async fn a_connection_has_so_many_subscriptions_and_no_more() {
    let server = start(&[("TIDINGS_LIMITS__SUBSCRIPTIONS_PER_CONNECTION", "2")]).await;
    let mut client = hearing_blocks(&server).await;
    subscribe(&mut client, "0102", "{}").await;
    let third = r#"{"action":"subscribe","chain_id":1,"dataset_id":"0103","params":{}}"#;
    let answer = refused(&mut client, third).await;
    assert_eq!(answer["dataset_id"], "0103");
    assert_eq!(answer["error"]["code"], "RATE_LIMIT_EXCEEDED");
    assert_eq!(answer["error"]["details"], json!({"subscriptions":2}));
    // What is there can be replaced, and left.
    ask(&mut client, SUBSCRIBE_BLOCKS, SUBSCRIBED_BLOCKS).await;
}

#[tokio::test]
async fn what_cannot_be_done_now_is_an_internal_error_that_may_be_tried_again() {
    let server = start(&[
        ("TIDINGS_PRICES__CURRENCIES", "USD"),
        ("TIDINGS_HUB__TOPICS", "2"),
    ])
    .await;
    let mut client = let_in(&server).await;
    let error = refused(&mut client, SUBSCRIBE_BLOCKS).await["error"].take();
    assert_eq!(error["code"], "INTERNAL_SERVER_ERROR");
    assert_eq!(
        (&error["retryable"], &error["severity"]),
        (&json!(true), &json!("critical"))
    );
    let incident = error["details"]["incident_id"]
        .as_str()
        .expect("there is one");
    server.logged(|line| line["incident"] == incident).await;
}
