//! The life of an operation: what is said for its id, and when that ends.

use super::{
    PRICE, PRICE_RESULT, complete, error, lives_on, next, publish_price, publish_price_of,
};
use crate::tidings::Tidings;

/// Has expired long ago: its subscription is told so, and completes. (An example of BOLT 11.)
const EXPIRED: &str = r#"subscription { lnInvoicePaymentStatusByPaymentRequest(input: { paymentRequest: "lnbc2500u1pvjluezsp5zyg3zyg3zyg3zyg3zyg3zyg3zyg3zyg3zyg3zyg3zyg3zyg3zygspp5qqqsyqcyq5rqwzqfqqqsyqcyq5rqwzqfqqqsyqcyq5rqwzqfqypqdq5xysxxatsyp3k7enxv4jsxqzpu9qrsgquk0rl77nj30yxdy8j9vdx85fkpmdla2087ne0xh8nhedh8w27kyke0lp53ut353s06fv3qfegext0eh0ymjpf39tuven09sam30g4vgpfna3rh" }) { status } }"#;
const EXPIRED_RESULT: &str =
    r#"{"data":{"lnInvoicePaymentStatusByPaymentRequest":{"status":"EXPIRED"}}}"#;

#[tokio::test]
async fn after_an_error_nothing_comes_for_the_id_and_it_is_free_at_once() {
    let server = Tidings::start().await;
    let mut client = server.anonymous().await;
    client.subscribe("1", "subscription { nothing }").await;
    let said = client.text().await;
    assert!(
        said.starts_with(r#"{"id":"1","type":"error","payload":[{"message":"#),
        "{said}"
    );
    // No `complete`, nor anything else.
    lives_on(&server, &mut client, "1").await;
}

#[tokio::test]
async fn a_complete_of_the_client_has_no_echo() {
    let server = Tidings::start().await;
    let mut client = server.anonymous().await;
    client.subscribe("1", PRICE).await;
    client.complete("1").await;
    lives_on(&server, &mut client, "2").await;
}

#[tokio::test]
async fn in_a_burst_of_events_nothing_comes_for_an_id_after_its_complete() {
    let server = Tidings::start().await;
    let mut client = server.anonymous().await;
    client.subscribe("ends", PRICE).await;
    client.subscribe("stays", PRICE).await;
    assert_eq!(client.fence().await, [""; 0]);
    let burst = async {
        for price in 1..=200 {
            publish_price_of(&server, &format!("0.00{price:03}")).await;
        }
    };
    let listen = async {
        // In the middle of it: some have come, and more are on their way.
        let mut first = String::new();
        while !first.contains(r#""id":"ends""#) {
            first = client.text().await;
        }
        client.complete("ends").await;
        client.fence().await;
        let last = next(
            "stays",
            &PRICE_RESULT.replace("43644148438", "200000000000"),
        );
        loop {
            let text = client.text().await;
            assert!(
                text.starts_with(r#"{"id":"stays""#),
                "{text} after the complete"
            );
            if text == last {
                break;
            }
        }
    };
    tokio::join!(burst, listen);
    assert_eq!(client.fence().await, [""; 0]);
}

#[tokio::test]
async fn an_id_may_be_used_again_at_once_after_its_complete() {
    let server = Tidings::start().await;
    let mut client = server.anonymous().await;
    for _ in 0..50 {
        client.subscribe("1", PRICE).await;
        client.complete("1").await;
    }
    client.subscribe("1", PRICE).await;
    assert_eq!(client.fence().await, [""; 0]);
    publish_price(&server).await;
    // Once: none of the former ones has been left behind.
    assert_eq!(client.text().await, next("1", PRICE_RESULT));
    publish_price_of(&server, "0.0005").await;
    let second = next("1", &PRICE_RESULT.replace("43644148438", "50000000000"));
    assert_eq!(client.text().await, second);
    assert_eq!(server.metric("tidings_subscriptions").await, 1.0);
}

#[tokio::test]
async fn a_complete_of_an_unknown_id_is_ignored() {
    let server = Tidings::start().await;
    let mut client = server.anonymous().await;
    client.complete("nothing").await;
    client.subscribe("1", PRICE).await;
    client.complete("2").await;
    client.complete("1").await;
    client.complete("1").await;
    lives_on(&server, &mut client, "1").await;
}

#[tokio::test]
async fn what_the_server_completes_is_over_and_its_id_is_free() {
    let server = Tidings::start().await;
    let mut client = server.anonymous().await;
    for _ in 0..3 {
        client.subscribe("1", EXPIRED).await;
        assert_eq!(client.text().await, next("1", EXPIRED_RESULT));
        assert_eq!(client.text().await, complete("1"));
    }
    // Client and server may complete at the same time.
    client.complete("1").await;
    lives_on(&server, &mut client, "1").await;
}

#[tokio::test]
async fn an_id_that_is_used_again_gets_nothing_of_what_it_was_used_for_before() {
    let server = Tidings::start().await;
    let mut client = server.anonymous().await;
    publish_price(&server).await;
    server
        .until("the price is known", async || {
            let query = r#"{"query":"{ realtimePrice { id } }"}"#;
            server
                .post("/graphql", "", query)
                .await
                .1
                .contains(r#""data":{"#)
        })
        .await;
    // Each is told the price, or was ended before it could be; and its `complete` is not the next one's.
    for _ in 0..20 {
        client.subscribe("1", PRICE).await;
        client.complete("1").await;
        client.subscribe("1", EXPIRED).await;
        let mut text = client.text().await;
        if text == next("1", PRICE_RESULT) {
            text = client.text().await;
        }
        assert_eq!(text, next("1", EXPIRED_RESULT));
        assert_eq!(client.text().await, complete("1"));
    }
}

#[tokio::test]
async fn ids_are_told_back_as_they_were_given() {
    let server = Tidings::start().await;
    let mut client = server.anonymous().await;
    for id in [
        "ä",
        "a\\\"b",
        "\\u0041\\n",
        "{}",
        "0",
        "a".repeat(1000).as_str(),
    ] {
        client.subscribe(id, EXPIRED).await;
        let said: serde_json::Value = serde_json::from_str(&client.text().await).unwrap();
        let given: String = serde_json::from_str(&format!("\"{id}\"")).unwrap();
        assert_eq!(said["id"], given);
        let said: serde_json::Value = serde_json::from_str(&client.text().await).unwrap();
        assert_eq!(
            (&said["id"], &said["type"]),
            (&given.into(), &"complete".into())
        );
    }
}

#[tokio::test]
async fn over_the_limit_of_subscriptions_there_is_an_error_and_the_others_live_on() {
    let server =
        Tidings::start_with(&[("TIDINGS_LIMITS__SUBSCRIPTIONS_PER_CONNECTION", "3")]).await;
    let mut client = server.anonymous().await;
    for id in ["1", "2", "3"] {
        client.subscribe(id, PRICE).await;
    }
    client.subscribe("4", PRICE).await;
    let said = error(
        "4",
        r#"[{"message":"A connection may have 3 subscriptions at a time","extensions":{"code":"TOO_MANY_SUBSCRIPTIONS"}}]"#,
    );
    assert_eq!(client.text().await, said);
    publish_price(&server).await;
    let mut told = [
        client.text().await,
        client.text().await,
        client.text().await,
    ];
    told.sort();
    assert_eq!(told, ["1", "2", "3"].map(|id| next(id, PRICE_RESULT)));

    client.complete("2").await;
    client.subscribe("4", EXPIRED).await;
    assert_eq!(client.text().await, next("4", EXPIRED_RESULT));
    assert_eq!(client.text().await, complete("4"));
    // What the server completed does not count either.
    client.subscribe("5", EXPIRED).await;
    assert_eq!(client.text().await, next("5", EXPIRED_RESULT));
}

#[tokio::test]
async fn an_error_of_one_operation_leaves_its_neighbours_alone() {
    let server = Tidings::start().await;
    let mut client = server.anonymous().await;
    client.subscribe("1", PRICE).await;
    for (id, query) in [
        ("2", "{"),
        ("3", "subscription { nothing }"),
        ("4", "{ me { id } }"),
    ] {
        client.subscribe(id, query).await;
        assert!(
            client
                .text()
                .await
                .starts_with(&format!(r#"{{"id":"{id}","type":"error""#))
        );
    }
    client
        .subscribe("5", "subscription { myUpdates { errors { code } } }")
        .await;
    assert!(
        client
            .text()
            .await
            .starts_with(r#"{"id":"5","type":"next","payload":{"errors""#)
    );
    assert_eq!(client.text().await, complete("5"));
    client.subscribe("6", PRICE).await;
    assert_eq!(client.fence().await, [""; 0]);
    publish_price(&server).await;
    let mut told = [client.text().await, client.text().await];
    told.sort();
    assert_eq!(told, ["1", "6"].map(|id| next(id, PRICE_RESULT)));
}

#[tokio::test]
async fn one_id_on_two_connections_is_two_operations() {
    let server = Tidings::start().await;
    let mut clients = [server.anonymous().await, server.anonymous().await];
    for client in &mut clients {
        client.subscribe("1", PRICE).await;
        assert_eq!(client.fence().await, [""; 0]);
    }
    let [one, other] = &mut clients;
    one.complete("1").await;
    assert_eq!(one.fence().await, [""; 0]);
    publish_price(&server).await;
    assert_eq!(other.text().await, next("1", PRICE_RESULT));
    assert_eq!(one.fence().await, [""; 0]);
}
