//! `tidings webhooks` and `tidings plans`.

use std::time::Instant;

use serde_json::{Value, json};

use super::{
    ALICE, connect, deliver, event, hook, listen, new_hook, path_of, refused, start, start_on,
    taken, until_heard, until_known, within_a_second,
};
use crate::redis_server::RedisServer;
use crate::tidings::Tidings;

fn list(server: &Tidings) -> Value {
    serde_json::from_str(&server.run(&["webhooks", "list", "--json"])).unwrap()
}

#[tokio::test]
async fn an_endpoint_is_listed_without_its_secrets() {
    let server = start().await;
    assert_eq!(list(&server), json!([]));
    let create = [
        "webhooks",
        "create",
        "--account",
        ALICE,
        "--name",
        "shop",
        "--verify",
        "stripe",
        "--secret-file",
        "-",
        "--allow-from",
        "192.0.2.0/24",
    ];
    let created = server.command(&create, &[], "whsec_hush\n");
    let printed = String::from_utf8(created.stdout).unwrap();
    let [url, token] = printed.lines().collect::<Vec<_>>()[..] else {
        panic!("two lines, not {printed:?}");
    };
    let slug = &path_of(url)["/api/in/".len()..];
    assert_eq!(slug.len(), 40);
    assert!(token.starts_with("blink_"));
    let listed = list(&server);
    let endpoint = &listed[0];
    assert_eq!(
        *endpoint,
        json!({
            "id": endpoint["id"],
            "name": "shop",
            "account": ALICE,
            "keyId": server.key_id("webhook shop"),
            "verification": { "scheme": "stripe", "secrets": 1 },
            "allowedFrom": ["192.0.2.0/24"],
            "idempotent": true,
            "createdAt": endpoint["createdAt"],
        })
    );
    let lists = listed.to_string() + &server.run(&["webhooks", "list"]);
    let lists = lists + &server.run(&["keys", "list"]) + &server.run(&["keys", "list", "--json"]);
    for secret in [slug, &token["blink_".len()..], "hush"] {
        assert!(!lists.contains(secret), "{lists}");
    }
    assert!(server.run(&["webhooks", "list"]).contains("stripe"));
}

#[tokio::test]
async fn the_url_begins_with_what_the_world_calls_the_server() {
    let server = super::start_with(&[(
        "TIDINGS_WEBSOCKS__PUBLIC_URL",
        "https://hooks.example/relay/",
    )])
    .await;
    let printed = server.run(&["webhooks", "create", "--account", ALICE]);
    assert!(
        printed.starts_with("https://hooks.example/relay/api/in/"),
        "{printed}"
    );
}

#[tokio::test]
async fn what_makes_no_sense_is_refused() {
    let server = start().await;
    for (arguments, why) in [
        (&["--account", "alice"][..], "not a UUID with hyphens"),
        (
            &["--account", ALICE, "--verify", "github"][..],
            "--secret-file",
        ),
        (&["--account", ALICE, "--secret-file", "-"][..], "--verify"),
        (
            &["--account", ALICE, "--verify", "svix", "--secret-file", "-"][..],
            "possible values",
        ),
        (
            &[
                "--account",
                ALICE,
                "--verify",
                "github",
                "--secret-file",
                "-",
            ][..],
            "it is empty",
        ),
        (
            &[
                "--account",
                ALICE,
                "--verify",
                "standard",
                "--secret-file",
                "nowhere",
            ][..],
            "cannot read nowhere",
        ),
        (
            &["--account", ALICE, "--allow-from", "here"][..],
            "10.0.0.0/8",
        ),
    ] {
        let output = server.command(&[&["webhooks", "create"], arguments].concat(), &[], "");
        let said = String::from_utf8(output.stderr).unwrap();
        assert!(!output.status.success());
        assert!(said.contains(why), "{said}");
    }
    let nobody = "99999999-9999-4999-8999-999999999999";
    for arguments in [&["delete", nobody][..], &["rotate", nobody, "--slug"][..]] {
        let output = server.command(&[&["webhooks"], arguments].concat(), &[], "");
        let said = String::from_utf8(output.stderr).unwrap();
        assert!(said.contains("there is no webhook"), "{said}");
    }
    let hook = new_hook(&server, ALICE, &[]);
    let output = server.command(
        &["webhooks", "rotate", &hook.id, "--secret-file", "-"],
        &[],
        "x",
    );
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(said.contains("asks for no signature"), "{said}");
    assert_eq!(list(&server).as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn another_token_ends_what_the_old_one_opened_within_a_second_on_every_server() {
    let redis = RedisServer::start().await;
    let (first, second) = futures_util::join!(start_on(&redis), start_on(&redis));
    let hook = hook(&[&first, &second], ALICE, &[]).await;
    let mut socket = connect(&first, &hook.token).await;
    let mut stream = listen(&second, &hook.token).await;
    until_heard(&first, 1.0).await;
    until_heard(&second, 1.0).await;
    let token = first.run(&["webhooks", "rotate", &hook.id, "--token"]);
    let rotated = Instant::now();
    assert_eq!(socket.closed().await, (4401, "API key revoked".to_owned()));
    assert_eq!(stream.rest().await, "");
    within_a_second(rotated);
    for server in [&first, &second] {
        let path = format!("/api/events/stream?token={}", hook.token);
        assert_eq!(server.get(&path).await.0, 401);
    }
    // The slug is as it was.
    let mut stream = listen(&second, &token).await;
    until_heard(&second, 1.0).await;
    let id = taken(&first, &hook.path, "{}").await;
    assert_eq!(event(&mut stream).await.0, id);
}

#[tokio::test]
async fn another_slug_leaves_the_token_and_the_old_url_leads_nowhere_within_a_second() {
    let server = start().await;
    let hook = hook(&[&server], ALICE, &[]).await;
    let mut stream = listen(&server, &hook.token).await;
    until_heard(&server, 1.0).await;
    let path = path_of(&server.run(&["webhooks", "rotate", &hook.id, "--slug"]));
    let rotated = Instant::now();
    until_known(&server, &path).await;
    within_a_second(rotated);
    let gone = refused(404, "Invalid webhook slug");
    assert_eq!(deliver(&server, &hook.path, &[], "{}").await, gone);
    let id = taken(&server, &path, "{}").await;
    assert_eq!(event(&mut stream).await.0, id);
}

#[tokio::test]
async fn a_deleted_endpoint_is_gone_with_its_token_within_a_second() {
    let server = start().await;
    let hook = hook(&[&server], ALICE, &[]).await;
    let other = super::hook(&[&server], ALICE, &[]).await;
    let mut socket = connect(&server, &hook.token).await;
    until_heard(&server, 1.0).await;
    server.run(&["webhooks", "delete", &hook.id]);
    let deleted = Instant::now();
    assert_eq!(socket.closed().await.0, 4401);
    server
        .until("the endpoint is gone", async || {
            deliver(&server, &hook.path, &[], "").await.0 == 404
        })
        .await;
    within_a_second(deleted);
    taken(&server, &other.path, "{}").await;
    assert_eq!(list(&server).as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn plans_are_set_one_by_one_and_listed() {
    let server = start().await;
    let set = |arguments: &[&str]| {
        let arguments = [&["plans", "set", "--account", ALICE], arguments].concat();
        server.command(&arguments, &[], "")
    };
    for (arguments, why) in [
        (&[][..], "--websocks"),
        (
            &["--websocks", "gold"][..],
            "websocks.plans has no gold; there are: free, pro",
        ),
        (&["--cap", "many"][..], "expected a number, or none"),
        (
            &["--allenhark", "elite"][..],
            "allenhark.tiers has no elite; there are: free, standard, pro, enterprise",
        ),
        (&["--blockdb", ""][..], "expected the name of a plan"),
    ] {
        let output = set(arguments);
        let said = String::from_utf8(output.stderr).unwrap();
        assert!(!output.status.success());
        assert!(said.contains(why), "{said}");
    }
    assert!(set(&["--websocks", "pro", "--cap", "7"]).status.success());
    assert!(
        set(&["--allenhark", "pro", "--cap", "none"])
            .status
            .success()
    );
    let listed: Value = serde_json::from_str(&server.run(&["plans", "list", "--json"])).unwrap();
    assert_eq!(
        listed,
        json!([{
            "account": ALICE, "websocks": "pro", "webhooksCap": null, "blockdb": null,
            "allenhark": "pro",
        }])
    );
    assert!(server.run(&["plans", "list"]).contains("pro"));
}
