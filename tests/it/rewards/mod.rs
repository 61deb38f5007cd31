//! `StatusUpdate` of Fast Track Rewards: what is told to whom, byte for byte.

mod crowd;
mod nodes;

use jiff::Timestamp;
use serde_json::{Value, json};

use crate::client::Client;
use crate::tidings::Tidings;

const ACCOUNT: &str = "21087d73-28c9-4d1f-9b0c-1a2b3c4d5e6f";
const CHANNEL: &str = "REWARDS_STATUS_123";
const AT: &str = "2026-01-15T10:31:00Z";
/// As the contract has it.
const STATUS_UPDATE: &str =
    "subscription StatusUpdate { StatusUpdate { Type Timestamp UserID Data } }";

/// A new key of a rewards user, that the server knows of.
async fn key_of(server: &Tidings, user: &str, scopes: &[&str]) -> String {
    let key = server.new_key(ACCOUNT, scopes, &["--user-id", user]);
    server.until_known(&key).await;
    key
}

/// What a rewards user sends first.
fn init(key: &str) -> String {
    let connection_id = uuid::Uuid::new_v4();
    format!(r#"{{"connection_id":"{connection_id}","X-API-KEY":"{key}"}}"#)
}

async fn connect(server: &Tidings, key: &str) -> Client {
    let mut client = server.connect().await;
    client.init(&init(key)).await;
    client
}

/// A client of user 123 who may read.
async fn signed_in(server: &Tidings) -> Client {
    let key = key_of(server, "123", &["read"]).await;
    connect(server, &key).await
}

/// Subscribes, and passes over that it is connected.
async fn subscribe(client: &mut Client, id: &str) {
    client.subscribe(id, STATUS_UPDATE).await;
    assert_eq!(status_type(&client.payload(id).await), "connected");
}

fn status_type(payload: &Value) -> &str {
    let told = &payload["data"]["StatusUpdate"]["Type"];
    told.as_str().unwrap_or_else(|| panic!("{payload}"))
}

/// A body of this type for user 123.
fn body(status_type: &str, data: &str) -> String {
    format!(r#"{{"Type":"{status_type}","Timestamp":"{AT}","UserID":123,"Data":{data}}}"#)
}

/// What subscription 1 is told of it, if `Data` is this text.
fn told(status_type: &str, data: &str) -> String {
    let data = serde_json::to_string(data).unwrap();
    format!(
        r#"{{"id":"1","type":"next","payload":{{"data":{{"StatusUpdate":{{"Type":"{status_type}","Timestamp":"{AT}","UserID":123,"Data":{data}}}}}}}}}"#
    )
}

#[tokio::test]
async fn the_session_of_the_contract_is_answered_byte_for_byte() {
    let server = Tidings::start().await;
    let key = key_of(&server, "123", &["read"]).await;
    let mut client = server.connect().await;
    client
        .send(&format!(
            r#"{{"type":"connection_init","payload":{{"connection_id":"0e2c0f3e-7b1b-4f0e-9d6e-0f6f3b3f2a10","X-API-KEY":"{key}"}}}}"#
        ))
        .await;
    assert_eq!(client.text().await, r#"{"type":"connection_ack"}"#);
    let before = Timestamp::now().as_second();
    client
        .send(r#"{"id":"1","type":"subscribe","payload":{"query":"subscription StatusUpdate { StatusUpdate { Type Timestamp UserID Data } }"}}"#)
        .await;
    let text = client.text().await;
    let message: Value = serde_json::from_str(&text).unwrap();
    let now = message["payload"]["data"]["StatusUpdate"]["Timestamp"].as_str();
    let now = now.unwrap_or_else(|| panic!("{text}"));
    assert_eq!(
        text,
        format!(
            r#"{{"id":"1","type":"next","payload":{{"data":{{"StatusUpdate":{{"Type":"connected","Timestamp":"{now}","UserID":123,"Data":"{{}}"}}}}}}}}"#
        )
    );
    assert_eq!(now.len(), "2026-01-15T10:30:00Z".len(), "{now}");
    let told_at = now.parse::<Timestamp>().unwrap().as_second();
    assert!((before..=Timestamp::now().as_second()).contains(&told_at));

    server
        .publish(
            CHANNEL,
            r#"{"Type":"loyalty_update","Timestamp":"2026-01-15T10:31:00Z","UserID":123,"Data":{"user_id":123,"level":5,"xp":1250.5}}"#,
        )
        .await;
    assert_eq!(
        client.text().await,
        r#"{"id":"1","type":"next","payload":{"data":{"StatusUpdate":{"Type":"loyalty_update","Timestamp":"2026-01-15T10:31:00Z","UserID":123,"Data":"{\"user_id\":123,\"level\":5,\"xp\":1250.5}"}}}}"#
    );
    server
        .publish(
            CHANNEL,
            r#"{"Type":"wheel_tokens_update","Timestamp":"2026-01-15T10:32:00Z","UserID":123,"Data":{"user_id":123,"wheel_id":7,"transaction_type":"credit","expire_date":"2026-02-01T00:00:00Z"}}"#,
        )
        .await;
    assert_eq!(
        client.text().await,
        r#"{"id":"1","type":"next","payload":{"data":{"StatusUpdate":{"Type":"wheel_tokens_update","Timestamp":"2026-01-15T10:32:00Z","UserID":123,"Data":"{\"user_id\":123,\"wheel_id\":7,\"transaction_type\":\"credit\",\"expire_date\":\"2026-02-01T00:00:00Z\"}"}}}}"#
    );
    client.complete("1").await;
    assert_eq!(client.fence().await, [""; 0]);
}

#[tokio::test]
async fn every_type_is_told_in_order_with_its_data_as_it_was_published() {
    let server = Tidings::start().await;
    let mut client = signed_in(&server).await;
    subscribe(&mut client, "1").await;
    let updates = [
        (
            "loyalty_update",
            r#"{"xp":1250.50,"level":5,"user_id":"123"}"#,
        ),
        (
            "vc_update",
            r#"{"user_id":123,"virtual_currency_id":2,"new_amount":1e3}"#,
        ),
        (
            "wheel_tokens_update",
            r#"{"user_id":123,"wheel_id":7,"transaction_type":"debit","expire_date":null}"#,
        ),
        (
            "challenges_progress_update",
            r#"{ "user_id": 123, "user_task_id": 9, "amount": 0.25 }"#,
        ),
        // A Challenge and a UserBonusV2 of nobody knows what fields.
        (
            "challenges_credit_update",
            r#"{"z":1,"a":{"name":"\u00e9\ud83c\udfb0"},"a":[1.0,10000000000000000000000]}"#,
        ),
        ("bonus_update", "{}"),
        ("season_update", r#"{"season":"winter"}"#),
        ("season_update", "[1, 2]"),
    ];
    for (status_type, data) in updates {
        server.publish(CHANNEL, &body(status_type, data)).await;
    }
    for (status_type, data) in updates {
        assert_eq!(client.text().await, told(status_type, data));
    }
    // The same with Data in a string, as the wire has it.
    for (status_type, data) in updates {
        let quoted = serde_json::to_string(data).unwrap();
        server.publish(CHANNEL, &body(status_type, &quoted)).await;
        assert_eq!(client.text().await, told(status_type, data));
    }
    // Without UserID, which the channel says, and without Data.
    let bare = format!(r#"{{"Type":"season_update","Timestamp":"{AT}"}}"#);
    server.publish(CHANNEL, &bare).await;
    assert_eq!(client.text().await, told("season_update", "{}"));
    let unknown = "tidings_rewards_unknown_types_total";
    assert_eq!(server.metric(unknown).await, 5.0);
}

#[tokio::test]
async fn connected_is_told_to_each_subscription_alone() {
    let server = Tidings::start().await;
    let key = key_of(&server, "123", &["read"]).await;
    let (mut one, mut other) = (connect(&server, &key).await, connect(&server, &key).await);
    for client in [&mut one, &mut other] {
        for id in ["1", "2"] {
            client.subscribe(id, STATUS_UPDATE).await;
            assert_eq!(status_type(&client.payload(id).await), "connected");
        }
    }
    for client in [&mut one, &mut other] {
        assert_eq!(client.fence().await, [""; 0]);
    }
    assert_eq!(server.metric("tidings_operations").await, 1.0);
    // And what happens, to each subscription once.
    server.publish(CHANNEL, &body("bonus_update", "{}")).await;
    for client in [&mut one, &mut other] {
        let mut ids = Vec::new();
        for _ in 0..2 {
            let mut message = client.json().await;
            assert_eq!(status_type(&message["payload"]), "bonus_update");
            ids.push(message["id"].take());
        }
        ids.sort_by_key(Value::to_string);
        assert_eq!(ids, ["1", "2"]);
        assert_eq!(client.fence().await, [""; 0]);
    }
    assert_eq!(server.metric("tidings_renderings_total").await, 5.0);
}

#[tokio::test]
async fn aliases_names_of_operations_and_fragments_are_as_everywhere() {
    let server = Tidings::start().await;
    let mut client = signed_in(&server).await;
    let query = "subscription Other { myUpdates { update { __typename } } } subscription Mine { ...root } fragment root on Subscription { now: StatusUpdate { kind: __typename ...what UserID } } fragment what on StatusUpdate { what: Type Data }";
    let payload = json!({ "query": query, "operationName": "Mine" });
    let message = json!({ "id": "1", "type": "subscribe", "payload": payload });
    client.send(&message.to_string()).await;
    assert_eq!(
        client.text().await,
        r#"{"id":"1","type":"next","payload":{"data":{"now":{"kind":"StatusUpdate","what":"connected","Data":"{}","UserID":123}}}}"#
    );
    for wrong in [
        "subscription { statusUpdate { Type } }",
        "subscription { StatusUpdate { type } }",
        "subscription { StatusUpdate }",
        "subscription { StatusUpdate(user: 124) { Type } }",
        "{ StatusUpdate { Type } }",
    ] {
        client.subscribe("2", wrong).await;
        let message = client.json().await;
        assert_eq!(message["type"], "error", "{wrong}: {message}");
    }
}

#[tokio::test]
async fn who_is_no_rewards_user_is_refused_as_for_my_updates() {
    let server = Tidings::start().await;
    // An account, but no user.
    let key = server.key(ACCOUNT, &["read"]).await;
    for mut client in [server.anonymous().await, server.with_key(&key).await] {
        client
            .subscribe("1", "subscription { StatusUpdate { Type } }")
            .await;
        assert_eq!(
            client.text().await,
            r#"{"id":"1","type":"next","payload":{"errors":[{"message":"Not Authenticated for subscription","locations":[{"line":1,"column":16}],"path":["StatusUpdate"],"extensions":{"code":"NOT_AUTHENTICATED"}}]}}"#
        );
        assert_eq!(client.text().await, r#"{"id":"1","type":"complete"}"#);
    }
    let key = key_of(&server, "123", &["receive", "publish"]).await;
    let mut client = connect(&server, &key).await;
    client
        .subscribe("1", "subscription { mine: StatusUpdate { Type } }")
        .await;
    assert_eq!(
        client.text().await,
        r#"{"id":"1","type":"next","payload":{"errors":[{"message":"Not authorized: this credential has not the scope `read`","locations":[{"line":1,"column":16}],"path":["mine"],"extensions":{"code":"NOT_AUTHORIZED"}}]}}"#
    );
    assert_eq!(client.text().await, r#"{"id":"1","type":"complete"}"#);
}

#[tokio::test]
async fn an_account_that_is_a_user_too_hears_both() {
    let server = Tidings::start().await;
    let mut client = signed_in(&server).await;
    subscribe(&mut client, "rewards").await;
    client
        .subscribe(
            "payments",
            "subscription { myUpdates { update { __typename } } }",
        )
        .await;
    server.until_metric("tidings_subscriptions", 2.0).await;
    server.publish(CHANNEL, &body("bonus_update", "{}")).await;
    let payload = client.payload("rewards").await;
    assert_eq!(status_type(&payload), "bonus_update");
    let channel = format!("ACCOUNT_UPDATE_{ACCOUNT}");
    server
        .publish(&channel, &crate::bodies::ln_receipt("tea"))
        .await;
    let payload = client.payload("payments").await;
    assert_eq!(
        payload["data"]["myUpdates"]["update"]["__typename"],
        "LnUpdate"
    );
}

#[tokio::test]
async fn what_is_malformed_is_refused_where_it_is_published() {
    let server = Tidings::start().await;
    let mut client = signed_in(&server).await;
    subscribe(&mut client, "1").await;
    let key = server.key(ACCOUNT, &["publish"]).await;
    let path = format!("/v1/events/{CHANNEL}");
    let level = |user: &str| format!(r#"{{"user_id":{user},"level":5,"xp":1}}"#);
    for (body, why) in [
        ("{}".to_owned(), "missing field `Type`"),
        (
            body("connected", "{}"),
            "Type is connected, which only the server says",
        ),
        (
            body("loyalty_update", r#"{"user_id":123,"level":"five","xp":1}"#),
            "Data.level is \"five\", not an integer",
        ),
        (
            body("loyalty_update", &level("124")),
            "Data.user_id is 124, and the channel's is 123",
        ),
        (
            body("loyalty_update", &level("123")).replace(AT, "yesterday"),
            "Timestamp is \"yesterday\", not RFC 3339",
        ),
        (
            body("bonus_update", "{}").replace(r#""UserID":123"#, r#""UserID":"124""#),
            "UserID is \"124\", and the channel's is 123",
        ),
        (
            body("bonus_update", "[]"),
            "Data: invalid type: sequence, expected an object",
        ),
    ] {
        let (status, said) = server.post(&path, &key, &body).await;
        assert_eq!(status, 422, "{body}: {said}");
        let said: Value = serde_json::from_str(&said).unwrap();
        let said = said["error"].as_str().unwrap();
        let why = format!("the body is not what {CHANNEL} tells: {why}");
        assert!(said.starts_with(&why), "{said}");

        let url = server.http_url("/");
        let ended = server.command(
            &["publish", "--url", &url, CHANNEL, &body],
            &[("TIDINGS_KEY", &key)],
            "",
        );
        assert_eq!(ended.status.code(), Some(1));
        let said = String::from_utf8_lossy(&ended.stderr);
        assert!(said.starts_with(&format!("error: {why}")), "{said}");
    }
    for channel in [
        "REWARDS_STATUS_0",
        "REWARDS_STATUS_2147483647",
        "REWARDS_STATUS_me",
    ] {
        let path = format!("/v1/events/{channel}");
        let (status, said) = server.post(&path, &key, &body("x", "{}")).await;
        assert_eq!(status, 404, "{said}");
    }
    // A shell says what happens, too.
    let url = server.http_url("/");
    let good = body("loyalty_update", &level("123"));
    let ended = server.command(
        &["publish", "--url", &url, CHANNEL, &good],
        &[("TIDINGS_KEY", &key)],
        "",
    );
    assert!(ended.status.success());
    assert_eq!(client.text().await, told("loyalty_update", &level("123")));
}

#[tokio::test]
async fn clients_of_rewards_find_it_where_they_look_for_it() {
    let server = Tidings::start().await;
    let key = key_of(&server, "123", &["read"]).await;
    for path in [
        "/graphql",
        "/rewards-graphql-api/",
        "/rewards-graphql-api",
        "/rewards-graphql-api/query",
    ] {
        let subprotocol = Some("graphql-transport-ws");
        let mut client = Client::connect_at(server.address(), path, subprotocol).await;
        client.init(&init(&key)).await;
        subscribe(&mut client, "1").await;
        // It is one server: the rest is there, too.
        let query = r#"{"query":"{ me { id } }"}"#;
        let (status, said) = server.post(path, &key, query).await;
        assert_eq!((status, said.contains(ACCOUNT)), (200, true), "{said}");
        assert_eq!(server.get(path).await.0, 400);
    }
    assert_eq!(server.get("/rewards-graphql-api/x").await.0, 404);
}

#[tokio::test]
async fn it_is_served_at_other_paths_if_those_are_set() {
    let server = Tidings::start_with(&[
        ("TIDINGS_SERVER__PATH", "/subscriptions"),
        (
            "TIDINGS_SERVER__ALSO_AT",
            "/rewards,/subscriptions,/rewards",
        ),
    ])
    .await;
    for path in ["/subscriptions", "/rewards"] {
        assert_eq!(server.get(path).await.0, 400, "{path}");
    }
    for path in ["/graphql", "/rewards-graphql-api/"] {
        assert_eq!(server.get(path).await.0, 404, "{path}");
    }
    let ended = server.command(
        &["serve"],
        &[("TIDINGS_SERVER__ALSO_AT", "/rewards,/metrics")],
        "",
    );
    assert_eq!(ended.status.code(), Some(1));
    let said = String::from_utf8_lossy(&ended.stderr);
    assert!(
        said.contains("/metrics is there already, and leads elsewhere than to GraphQL"),
        "{said}"
    );
}

/// What `serve --demo` prints for the rewards user, pasted line by line.
#[tokio::test]
async fn the_rewards_user_of_the_demo_gets_on() {
    let server = Tidings::start_as(&["serve", "--demo"], &[]).await;
    let mut to_paste = Vec::new();
    server
        .until("it says what to paste", async || {
            to_paste = server.printed();
            to_paste.iter().any(|line| line.contains("StatusUpdate"))
        })
        .await;
    let pasted = |what: &str| {
        let mut lines = to_paste.iter().map(|line| line.trim());
        lines.find(|line| line.contains(what)).expect("it is there")
    };
    let mut client = server.connect().await;
    client.send(pasted(r#""connection_id":"demo-1""#)).await;
    assert_eq!(client.text().await, r#"{"type":"connection_ack"}"#);
    client.send(pasted("StatusUpdate")).await;
    let mut types = Vec::new();
    while types.len() < 5 {
        let payload = client.payload("1").await;
        let update = &payload["data"]["StatusUpdate"];
        assert_eq!(update["UserID"], 42);
        let data = update["Data"].as_str().unwrap();
        assert!(serde_json::from_str::<Value>(data).unwrap().is_object());
        types.push(status_type(&payload).to_owned());
    }
    types.sort();
    let each = [
        "bonus_update",
        "challenges_progress_update",
        "connected",
        "loyalty_update",
        "wheel_tokens_update",
    ];
    assert_eq!(types, each);
}
