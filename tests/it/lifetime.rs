//! Connections and what they live by: names, expiry, refreshing, replacing.

use std::time::{Duration, SystemTime};

use serde_json::{Value, json};

use crate::client::{Client, Closed};
use crate::tidings::{ISSUER, Tidings};

const ACCOUNT: &str = "0d3d3c1a-5e0e-4b7b-8f59-7f1a7b1f6a51";
const STATUS_UPDATE: &str = "subscription { StatusUpdate { Type UserID Data } }";
const MY_UPDATES: &str = "subscription { myUpdates { update { __typename } } }";

/// A server that believes tokens, and ends what they opened on the second.
async fn server() -> Tidings {
    Tidings::start_with(&[
        ISSUER,
        ("TIDINGS_JWT__LEEWAY", "0s"),
        ("TIDINGS_JWT__EXPIRY_JITTER", "0s"),
    ])
    .await
}

fn payload(token: &str, connection_id: &str) -> String {
    json!({ "Authorization": format!("Bearer {token}"), "connection_id": connection_id })
        .to_string()
}

async fn with_token(server: &Tidings, token: &str, connection_id: &str) -> Client {
    let mut client = server.connect().await;
    client.init(&payload(token, connection_id)).await;
    client
}

/// What `connection_init` with this payload is answered with.
async fn answer(server: &Tidings, payload: &Value) -> Result<String, Closed> {
    let mut client = server.connect().await;
    client
        .send(&json!({ "type": "connection_init", "payload": payload }).to_string())
        .await;
    client.event().await
}

/// The payload of the pong to a ping with this token.
async fn refresh(client: &mut Client, token: &str) -> Value {
    let ping = json!({ "type": "ping", "payload": { "Authorization": format!("Bearer {token}") } });
    client.send(&ping.to_string()).await;
    let mut pong = client.json().await;
    assert_eq!(pong["type"], "pong", "{pong}");
    pong["payload"].take()
}

async fn subscribe_status(client: &mut Client) {
    client.subscribe("1", STATUS_UPDATE).await;
    let connected = client.payload("1").await;
    assert_eq!(connected["data"]["StatusUpdate"]["Type"], "connected");
}

fn seconds_since_1970() -> f64 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    since.unwrap().as_secs_f64()
}

/// The claim `exp` of a token, as the server tells it to who asks.
async fn expires_at(server: &Tidings, token: &str) -> i64 {
    let mut payload: Value = serde_json::from_str(&payload(token, "expiry")).unwrap();
    payload["connection_info"] = true.into();
    let ack: Value = serde_json::from_str(&answer(server, &payload).await.unwrap()).unwrap();
    ack["payload"]["expiresAt"].as_i64().unwrap()
}

#[tokio::test]
async fn a_connection_ends_when_its_token_expires_and_not_before() {
    let server = server().await;
    let token = server.token(&["--user-id", "42", "--expires-in", "4s"]);
    let expiry = expires_at(&server, &token).await;
    let mut client = with_token(&server, &token, "tab").await;
    subscribe_status(&mut client).await;
    assert_eq!(client.closed().await, (4403, "Token expired".to_owned()));
    assert!(seconds_since_1970() >= expiry as f64);
    server
        .until_metric(r#"tidings_closes_total{reason="token_expired"}"#, 1.0)
        .await;
    // And it opens nothing any more.
    let refused = answer(
        &server,
        &json!({ "Authorization": format!("Bearer {token}"), "connection_id": "tab" }),
    )
    .await;
    assert_eq!(refused, Err((4403, "Forbidden".to_owned())));
    let counted = r#"tidings_authentications_total{credential="token",result="forbidden",reason="expired_token"}"#;
    server.until_metric(counted, 1.0).await;
}

#[tokio::test]
async fn the_leeway_is_added_to_the_expiry() {
    let leeway = ("TIDINGS_JWT__LEEWAY", "2s");
    let no_jitter = ("TIDINGS_JWT__EXPIRY_JITTER", "0s");
    let server = Tidings::start_with(&[ISSUER, leeway, no_jitter]).await;
    let token = server.token(&["--account", ACCOUNT, "--expires-in", "1s"]);
    let expiry = expires_at(&server, &token).await;
    let mut client = with_token(&server, &token, "tab").await;
    assert_eq!(client.closed().await, (4403, "Token expired".to_owned()));
    assert!(seconds_since_1970() >= (expiry + 2) as f64);
}

#[tokio::test]
async fn what_tokens_of_one_expiry_opened_does_not_end_all_at_once() {
    let jitter = ("TIDINGS_JWT__EXPIRY_JITTER", "2s");
    let server = Tidings::start_with(&[ISSUER, ("TIDINGS_JWT__LEEWAY", "0s"), jitter]).await;
    let token = server.token(&["--account", ACCOUNT, "--expires-in", "2s"]);
    let expiry = expires_at(&server, &token).await as f64;
    let mut clients = Vec::new();
    for number in 0..16 {
        clients.push(with_token(&server, &token, &number.to_string()).await);
    }
    let ends = clients.iter_mut().map(async |client| {
        assert_eq!(client.closed().await, (4403, "Token expired".to_owned()));
        seconds_since_1970()
    });
    let ends = futures_util::future::join_all(ends).await;
    let (first, last) = ends.iter().fold((f64::MAX, 0.0f64), |(first, last), end| {
        (first.min(*end), last.max(*end))
    });
    assert!(first >= expiry);
    // Sixteen out of two seconds: all within a fifth of one, by chance, once in 10^14 runs.
    assert!(last - first > 0.2, "{ends:?}");
}

#[tokio::test]
async fn a_ping_with_a_newer_token_keeps_the_connection_open() {
    let server = server().await;
    let short = server.token(&["--user-id", "42", "--expires-in", "5s"]);
    let long = server.token(&["--user-id", "42", "--expires-in", "1h"]);
    let until = expires_at(&server, &long).await;
    let mut refreshed = with_token(&server, &short, "refreshed").await;
    subscribe_status(&mut refreshed).await;
    let mut left = with_token(&server, &short, "left").await;
    assert_eq!(
        refresh(&mut refreshed, &long).await,
        json!({ "authenticated": true, "expiresAt": until })
    );
    // The one that did not is gone, so the time is over; the other goes on.
    assert_eq!(left.closed().await, (4403, "Token expired".to_owned()));
    assert_eq!(refreshed.fence().await, Vec::<String>::new());
    let body = r#"{"Type":"vc_update","Timestamp":"2026-01-15T10:30:00Z","UserID":42,"Data":{"user_id":42,"virtual_currency_id":1,"new_amount":7.5}}"#;
    server.publish("REWARDS_STATUS_42", body).await;
    let told = refreshed.payload("1").await;
    assert_eq!(told["data"]["StatusUpdate"]["Type"], "vc_update");
}

#[tokio::test]
async fn a_token_of_another_account_or_user_is_refused_and_the_old_one_stays() {
    let server = server().await;
    let old = server.token(&["--user-id", "42", "--expires-in", "8s"]);
    let mut client = with_token(&server, &old, "tab").await;
    subscribe_status(&mut client).await;
    let other_user = server.token(&["--user-id", "43"]);
    let with_account = server.token(&["--user-id", "42", "--account", ACCOUNT]);
    for token in [other_user, with_account] {
        assert_eq!(
            refresh(&mut client, &token).await,
            json!({ "authenticated": false, "reason": "Token of another account or user" })
        );
    }
    let blind = server.token(&["--user-id", "42", "--scope", "receive"]);
    assert_eq!(
        refresh(&mut client, &blind).await["authenticated"],
        Value::Bool(false)
    );
    for token in ["a.b.c", ""] {
        assert_eq!(
            refresh(&mut client, token).await,
            json!({ "authenticated": false, "reason": "Forbidden" })
        );
    }
    // The events are still those of the user that it was.
    let body = |user: u32| {
        format!(r#"{{"Type":"x","Timestamp":"2026-01-15T10:30:00Z","UserID":{user},"Data":{{}}}}"#)
    };
    server.publish("REWARDS_STATUS_43", &body(43)).await;
    server.publish("REWARDS_STATUS_42", &body(42)).await;
    assert_eq!(
        client.payload("1").await["data"]["StatusUpdate"]["UserID"],
        42
    );
    assert_eq!(client.closed().await, (4403, "Token expired".to_owned()));
}

#[tokio::test]
async fn who_came_with_a_key_or_as_nobody_may_bring_a_token_of_the_same_account_alone() {
    let server = server().await;
    let key = server.key(ACCOUNT, &["read"]).await;
    let token = server.token(&["--account", ACCOUNT, "--expires-in", "2s"]);
    let mut with_key = server.with_key(&key).await;
    assert_eq!(
        refresh(&mut with_key, &token).await["authenticated"],
        Value::Bool(true)
    );
    let mut nobody = server.anonymous().await;
    assert_eq!(
        refresh(&mut nobody, &token).await,
        json!({ "authenticated": false, "reason": "Token of another account or user" })
    );
    nobody.subscribe("1", MY_UPDATES).await;
    let refused = nobody.payload("1").await;
    assert_eq!(
        refused["errors"][0]["extensions"]["code"],
        "NOT_AUTHENTICATED"
    );
    // It lives by the token now.
    assert_eq!(with_key.closed().await, (4403, "Token expired".to_owned()));
}

#[tokio::test]
async fn plain_pings_are_answered_as_before() {
    let server = server().await;
    let token = server.token(&["--user-id", "42"]);
    let mut early = server.connect().await;
    assert_eq!(
        refresh(&mut early, &token).await,
        json!({ "authenticated": false, "reason": "Not acknowledged yet" })
    );
    let mut client = with_token(&server, &token, "tab").await;
    for (ping, pong) in [
        (r#"{"type":"ping"}"#, r#"{"type":"pong"}"#),
        (
            r#"{"type":"ping","payload":{"authorizations":1}}"#,
            r#"{"type":"pong","payload":{"authorizations":1}}"#,
        ),
        (
            r#"{"type":"ping","payload":{ "at": {"Authorization":"Bearer x"} }}"#,
            r#"{"type":"pong","payload":{ "at": {"Authorization":"Bearer x"} }}"#,
        ),
    ] {
        client.send(ping).await;
        assert_eq!(client.text().await, pong);
    }
}

#[tokio::test]
async fn the_acknowledgement_says_what_was_made_of_the_credentials_to_who_asks_alone() {
    let server = server().await;
    let ack = |payload: Value| {
        let server = &server;
        async move { answer(server, &payload).await.unwrap() }
    };
    let token = server.token(&["--user-id", "42", "--account", ACCOUNT, "--scope", "read"]);
    let bearer = format!("Bearer {token}");
    let asks = json!({ "Authorization": bearer, "connection_id": "tab", "connection_info": true });
    let told: Value = serde_json::from_str(&ack(asks).await).unwrap();
    let expires_at = told["payload"]["expiresAt"].as_i64().unwrap();
    let in_an_hour = seconds_since_1970() + 3600.0;
    assert!((expires_at as f64 - in_an_hour).abs() < 60.0);
    let expected = json!({
        "connectionId": "tab",
        "expiresAt": expires_at,
        "scopes": ["read"],
        "pingIntervalMs": 12_000,
        "reconnectJitterMs": 5_000,
    });
    assert_eq!(
        told,
        json!({ "type": "connection_ack", "payload": expected })
    );

    let anonymous: Value =
        serde_json::from_str(&ack(json!({ "connection_info": true })).await).unwrap();
    assert_eq!(anonymous["payload"]["expiresAt"], Value::Null);
    assert_eq!(anonymous["payload"]["scopes"], Value::Null);
    let made = anonymous["payload"]["connectionId"].as_str().unwrap();
    assert!(uuid::Uuid::parse_str(made).is_ok(), "{made}");

    for does_not in [
        json!({ "Authorization": bearer, "connection_id": "tab" }),
        json!({ "connection_info": false }),
        json!({}),
    ] {
        assert_eq!(ack(does_not).await, r#"{"type":"connection_ack"}"#);
    }
}

#[tokio::test]
async fn a_rewards_user_must_name_its_connection() {
    let server = server().await;
    let token = server.token(&["--user-id", "42"]);
    let key = server.new_key(ACCOUNT, &["read"], &["--user-id", "42"]);
    server.until_known(&key).await;
    let mut long = "é".repeat(128);
    let credentials = [
        ("Authorization", format!("Bearer {token}")),
        ("X-API-KEY", key),
    ];
    for (name, credential) in &credentials {
        let payload = |id: Value| json!({ *name: credential, "connection_id": id });
        let ack = Ok(r#"{"type":"connection_ack"}"#.to_owned());
        assert_eq!(answer(&server, &payload(long.clone().into())).await, ack);
        for (id, why) in [
            (Value::Null, "connection_id is missing"),
            ("".into(), "connection_id is empty"),
            (
                format!("{long}é").into(),
                "connection_id is longer than 128 characters",
            ),
            ("a\nb".into(), "connection_id has control characters"),
            (7.into(), "connection_id is not a string"),
        ] {
            let refused = answer(&server, &payload(id)).await;
            assert_eq!(refused, Err((4403, why.to_owned())));
        }
        let absent = answer(&server, &json!({ *name: credential })).await;
        assert_eq!(absent, Err((4403, "connection_id is missing".to_owned())));
    }
    server
        .until_metric(r#"tidings_closes_total{reason="bad_connection_id"}"#, 12.0)
        .await;
    // Others may, and are held to the same when they do.
    let ack = Ok(r#"{"type":"connection_ack"}"#.to_owned());
    assert_eq!(answer(&server, &json!({ "connection_id": "" })).await, ack);
    long.push('é');
    let refused = answer(&server, &json!({ "connection_id": long })).await;
    assert_eq!(
        refused,
        Err((
            4403,
            "connection_id is longer than 128 characters".to_owned()
        ))
    );
}

#[tokio::test]
async fn a_newer_connection_of_the_same_name_replaces_the_older_one() {
    let server = server().await;
    let (alice, bob) = (
        server.token(&["--user-id", "42"]),
        server.token(&["--user-id", "43"]),
    );
    let mut old = with_token(&server, &alice, "tab-1").await;
    let mut other_tab = with_token(&server, &alice, "tab-2").await;
    let mut others = with_token(&server, &bob, "tab-1").await;
    let mut nobody = server.connect().await;
    nobody.init(r#"{"connection_id":"tab-1"}"#).await;

    let mut new = with_token(&server, &alice, "tab-1").await;
    let replaced = (4410, "Replaced by a newer connection".to_owned());
    assert_eq!(old.closed().await, replaced);
    for client in [&mut new, &mut other_tab, &mut others, &mut nobody] {
        assert_eq!(client.fence().await, Vec::<String>::new());
    }
    // Of nobody's connections any number may have the same name: else anybody could throw out anybody.
    let mut another = server.connect().await;
    another.init(r#"{"connection_id":"tab-1"}"#).await;
    nobody.fence().await;
    server
        .until_metric(r#"tidings_closes_total{reason="replaced"}"#, 1.0)
        .await;
}

#[tokio::test]
async fn connections_are_counted_by_the_kind_of_who_is_there() {
    let server = server().await;
    let open = |identity: &str| {
        format!(r#"tidings_connections{{protocol="graphql-transport-ws",identity="{identity}"}}"#)
    };
    let _unknown = server.connect().await;
    let _anonymous = server.anonymous().await;
    let token = server.token(&["--user-id", "42"]);
    let _user = with_token(&server, &token, "1").await;
    let token = server.token(&["--user-id", "42", "--account", ACCOUNT]);
    let both = with_token(&server, &token, "2").await;
    for identity in ["unknown", "anonymous", "user", "account_and_user"] {
        server.until_metric(&open(identity), 1.0).await;
    }
    drop(both);
    server.until_metric(&open("account_and_user"), 0.0).await;
    let accepted =
        r#"tidings_authentications_total{credential="token",result="accepted",reason=""}"#;
    server.until_metric(accepted, 2.0).await;
}

/// Also what makes a front end's first minutes: refreshing again and again, long before the end.
#[tokio::test]
async fn a_connection_may_be_refreshed_any_number_of_times() {
    let server = server().await;
    let token = server.token(&["--user-id", "42"]);
    let mut client = with_token(&server, &token, "tab").await;
    subscribe_status(&mut client).await;
    for hours in 1..=20 {
        let newer = server.token(&["--user-id", "42", "--expires-in", &format!("{hours}h")]);
        assert_eq!(
            refresh(&mut client, &newer).await["authenticated"],
            Value::Bool(true)
        );
    }
    // Those that come at once are checked one after the other.
    let ping = json!({ "type": "ping", "payload": { "Authorization": format!("Bearer {token}") } });
    for _ in 0..3 {
        client.send(&ping.to_string()).await;
    }
    for _ in 0..3 {
        let pong = client.json().await;
        assert_eq!(
            pong["payload"]["authenticated"],
            Value::Bool(true),
            "{pong}"
        );
    }
    // A shorter one counts, too.
    let short = server.token(&["--user-id", "42", "--expires-in", "1s"]);
    assert_eq!(
        refresh(&mut client, &short).await["authenticated"],
        Value::Bool(true)
    );
    let before = std::time::Instant::now();
    assert_eq!(client.closed().await, (4403, "Token expired".to_owned()));
    assert!(before.elapsed() < Duration::from_secs(20));
}
