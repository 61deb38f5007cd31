//! Quotas: exactly as many webhooks are taken as there may be, wherever and however they are posted.

use futures_util::{StreamExt, stream};
use serde_json::json;

use super::{
    ALICE, BOB, Hook, ON, connect, deliver, hook, listen, refused, start_with, taken, until_heard,
    usage,
};
use crate::redis_server::RedisServer;
use crate::tidings::Tidings;

const QUOTA: u64 = 50;
const POSTED: usize = 200;
/// Posted at a time.
const AT_ONCE: usize = 32;

const PLANS: (&str, &str) = (
    "TIDINGS_WEBSOCKS__PLANS",
    r#"[{ name = "free", quota = 50 }, { name = "pro" }]"#,
);

/// Posts many webhooks to these servers, in turns, many at a time; gives how many were answered 200 and 402.
async fn rush(servers: &[&Tidings], hook: &Hook) -> (usize, usize) {
    let answers = stream::iter(0..POSTED).map(|number| async move {
        let server = servers[number % servers.len()];
        deliver(server, &hook.path, &[], number.to_string()).await
    });
    let answers: Vec<_> = answers.buffer_unordered(AT_ONCE).collect().await;
    let over = refused(402, "Monthly quota exceeded");
    let (taken, others): (Vec<_>, Vec<_>) =
        answers.into_iter().partition(|(status, _)| *status == 200);
    assert!(others.iter().all(|answer| *answer == over), "{others:?}");
    (taken.len(), others.len())
}

/// Exactly the quota is taken, told and counted.
async fn exactly_the_quota(servers: &[&Tidings]) {
    let own = hook(servers, ALICE, &[]).await;
    let second = hook(servers, ALICE, &[]).await;
    let others = hook(servers, BOB, &[]).await;
    let last = servers[servers.len() - 1];
    let mut socket = connect(last, &own.token).await;
    until_heard(last, 1.0).await;

    let (taken_in, over) = rush(servers, &own).await;
    assert_eq!((taken_in as u64, over), (QUOTA, POSTED - QUOTA as usize));
    let mut ids = Vec::new();
    for _ in 0..QUOTA {
        let told = socket.json().await;
        ids.push(told["id"].as_str().unwrap().to_owned());
    }
    let order = |id: &String| ::tidings::event::WebhookId::parse(id).unwrap();
    assert!(ids.is_sorted_by_key(order), "{ids:?}");

    // Of the account, not of the endpoint; and of no other account.
    assert_eq!(deliver(servers[0], &second.path, &[], "1").await.0, 402);
    taken(servers[0], &others.path, "1").await;
    for server in servers {
        let used = usage(server, &own.token).await;
        assert_eq!(
            (&used["used"], &used["remaining"]),
            (&json!(QUOTA), &json!(0))
        );
        assert_eq!(usage(server, &others.token).await["used"], 1);
    }

    // The refused ones were told to nobody: what is told next is what is taken next.
    servers[0].run(&["plans", "set", "--account", ALICE, "--websocks", "pro"]);
    let next = loop {
        let (status, said) = deliver(servers[0], &own.path, &[], "\"next\"").await;
        if status == 200 {
            break said["id"].as_str().unwrap().to_owned();
        }
        tokio::task::yield_now().await;
    };
    assert_eq!(socket.json().await["id"], next);
}

#[tokio::test]
async fn of_many_posted_at_once_exactly_the_quota_is_taken_by_one_server() {
    let server = start_with(&[PLANS]).await;
    exactly_the_quota(&[&server]).await;
}

#[tokio::test]
async fn of_many_posted_at_once_exactly_the_quota_is_taken_by_two_servers_on_one_redis() {
    let redis = RedisServer::start().await;
    let settings = [ON, PLANS];
    let (first, second) = futures_util::join!(
        Tidings::start_on(&redis, &settings),
        Tidings::start_on(&redis, &settings)
    );
    exactly_the_quota(&[&first, &second]).await;
}

#[tokio::test]
async fn what_was_counted_stays_counted_when_the_server_ends() {
    let mut server = start_with(&[PLANS]).await;
    let hook = hook(&[&server], ALICE, &[]).await;
    for _ in 0..3 {
        taken(&server, &hook.path, "1").await;
    }
    server.signal("KILL");
    server.exit_code().await;
    server.start_again().await;
    super::until_known(&server, &hook.path).await;
    taken(&server, &hook.path, "1").await;
    assert_eq!(usage(&server, &hook.token).await["used"], 4);
}

#[tokio::test]
async fn on_redis_the_count_outlives_every_server_and_has_an_end() {
    let redis = RedisServer::start().await;
    let first = Tidings::start_on(&redis, &[ON, PLANS]).await;
    let hook = hook(&[&first], ALICE, &[]).await;
    let keyed = [("idempotency-key", "1")];
    assert_eq!(deliver(&first, &hook.path, &keyed, "1").await.0, 200);
    drop(first);
    let second = Tidings::start_on(&redis, &[ON, PLANS]).await;
    super::until_known(&second, &hook.path).await;
    taken(&second, &hook.path, "1").await;
    let used = usage(&second, &hook.token).await;
    assert_eq!(used["used"], 2);
    let key = format!("tidings:usage:{ALICE}:{}", used["month"].as_str().unwrap());
    let counted: u64 = redis.run(redis::cmd("GET").arg(&key)).await;
    assert_eq!(counted, 2);
    let mut keys: Vec<String> = Vec::new();
    for pattern in ["tidings:usage:*", "tidings:history:*", "tidings:entered:*"] {
        let some: Vec<String> = redis.run(redis::cmd("KEYS").arg(pattern)).await;
        assert!(!some.is_empty(), "{pattern}");
        keys.extend(some);
    }
    assert!(keys.contains(&key), "{keys:?}");
    for key in keys {
        let left: i64 = redis.run(redis::cmd("PTTL").arg(&key)).await;
        assert!(left > 0, "{key} has no end");
    }
}

#[tokio::test]
async fn an_account_sees_what_it_has_used_and_when_that_begins_anew() {
    let server = start_with(&[PLANS]).await;
    let hook = hook(&[&server], ALICE, &[]).await;
    taken(&server, &hook.path, "1").await;
    let used = usage(&server, &hook.token).await;
    let month = used["month"].as_str().unwrap();
    let resets_at: jiff::Timestamp = used["resets_at"].as_str().unwrap().parse().unwrap();
    let before = resets_at - jiff::SignedDuration::from_secs(1);
    assert!(before.to_string().starts_with(month), "{used}");
    assert!(resets_at.to_string().ends_with("-01T00:00:00Z"), "{used}");
    assert_eq!(
        used,
        json!({
            "plan": "free", "month": month, "used": 1, "quota": QUOTA, "cap": null,
            "remaining": QUOTA - 1, "resets_at": used["resets_at"],
        })
    );
    server.run(&["plans", "set", "--account", ALICE, "--websocks", "pro"]);
    server
        .until("the plan is another one", async || {
            usage(&server, &hook.token).await["plan"] == "pro"
        })
        .await;
    let used = usage(&server, &hook.token).await;
    assert_eq!(
        (&used["quota"], &used["remaining"]),
        (&json!(null), &json!(null))
    );
    for path in ["/api/usage", "/api/usage?token=nonsense"] {
        let (status, said) = server.get(path).await;
        assert_eq!(
            (status, said.as_str()),
            (401, r#"{"error":"Unauthorized"}"#)
        );
    }
}

/// Sets the account's own limit over HTTP, with this key.
async fn set_cap(server: &Tidings, key: &str, body: &str) -> (u16, serde_json::Value) {
    let request = crate::tidings::http()
        .put(server.http_url("/api/usage"))
        .header("x-api-key", key)
        .body(body.to_owned());
    let response = request.send().await.unwrap();
    let status = response.status().as_u16();
    (
        status,
        serde_json::from_str(&response.text().await.unwrap()).unwrap(),
    )
}

#[tokio::test]
async fn an_account_sets_a_limit_of_its_own_below_that_of_its_plan() {
    let server = start_with(&[PLANS]).await;
    let hook = hook(&[&server], ALICE, &[]).await;
    let writer = server.key(ALICE, &["write"]).await;
    let (status, used) = set_cap(&server, &writer, r#"{"cap":2}"#).await;
    assert_eq!(status, 200);
    assert_eq!(
        (&used["cap"], &used["remaining"], &used["quota"]),
        (&json!(2), &json!(2), &json!(QUOTA))
    );
    for _ in 0..2 {
        taken(&server, &hook.path, "1").await;
    }
    let over = refused(402, "Monthly quota exceeded");
    assert_eq!(deliver(&server, &hook.path, &[], "1").await, over);
    // Above the plan's it changes nothing.
    let (_, used) = set_cap(&server, &writer, r#"{"cap":1000}"#).await;
    assert_eq!(used["remaining"], QUOTA - 2);
    let (_, used) = set_cap(&server, &writer, r#"{"cap":null}"#).await;
    assert_eq!(used["cap"], json!(null));
    taken(&server, &hook.path, "1").await;

    for body in [
        "",
        "{}",
        "[2]",
        r#"{"cap":-1}"#,
        r#"{"cap":"2"}"#,
        r#"{"cup":2}"#,
    ] {
        assert_eq!(set_cap(&server, &writer, body).await.0, 400, "{body}");
    }
    for key in ["", "nonsense"] {
        assert_eq!(set_cap(&server, key, r#"{"cap":2}"#).await.0, 401);
    }
    let reader = server.key(ALICE, &["read"]).await;
    for key in [&reader, &hook.token] {
        assert_eq!(set_cap(&server, key, r#"{"cap":2}"#).await.0, 403);
    }
    // The plans that an operator has set are not touched.
    server.run(&[
        "plans",
        "set",
        "--account",
        ALICE,
        "--websocks",
        "pro",
        "--blockdb",
        "growth",
    ]);
    set_cap(&server, &writer, r#"{"cap":7}"#).await;
    let plans: serde_json::Value =
        serde_json::from_str(&server.run(&["plans", "list", "--json"])).unwrap();
    assert_eq!(
        plans,
        json!([{
            "account": ALICE, "websocks": "pro", "webhooksCap": 7, "blockdb": "growth",
            "allenhark": null,
        }])
    );
}

#[tokio::test]
async fn who_listens_and_how_many_do_does_not_count() {
    let server = start_with(&[PLANS]).await;
    let hook = hook(&[&server], ALICE, &[]).await;
    let _streams = [
        listen(&server, &hook.token).await,
        listen(&server, &hook.token).await,
    ];
    until_heard(&server, 2.0).await;
    taken(&server, &hook.path, "1").await;
    assert_eq!(usage(&server, &hook.token).await["used"], 1);
}
