//! No slug and no token ever reaches another account's webhooks.

use std::collections::HashSet;

use super::{ALICE, BOB, ON, connect, deliver, event, hook, listen, start, taken, until_heard};
use crate::redis_server::RedisServer;
use crate::tidings::Tidings;

const CAROL: &str = "33333333-3333-4333-8333-333333333333";

/// Posts to the endpoints of three accounts in a shuffled order; each client hears its own account's webhooks,
/// all of them in order, and no others.
async fn each_hears_its_own(servers: &[&Tidings]) {
    const ACCOUNTS: [&str; 3] = [ALICE, BOB, CAROL];
    let mut hooks = Vec::new();
    for account in ACCOUNTS {
        for _ in 0..2 {
            hooks.push((account, hook(servers, account, &[]).await));
        }
    }
    let mut streams = Vec::new();
    let mut sockets = Vec::new();
    for (number, (account, hook)) in hooks.iter().enumerate() {
        let server = servers[number % servers.len()];
        streams.push((*account, listen(server, &hook.token).await));
        sockets.push((*account, connect(server, &hook.token).await));
    }
    for server in servers {
        until_heard(server, (2 * hooks.len() / servers.len()) as f64).await;
    }
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut posted: Vec<(&str, String)> = Vec::new();
    for number in 0..60 {
        // xorshift64: the same order every time, and no pattern in it.
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        let (account, hook) = &hooks[(state % hooks.len() as u64) as usize];
        let body = format!(r#"{{"of":"{account}","number":{number}}}"#);
        let server = servers[number % servers.len()];
        posted.push((account, taken(server, &hook.path, &body).await));
    }
    let own = |account: &str| -> Vec<String> {
        let own = posted.iter().filter(|(of, _)| *of == account);
        own.map(|(_, id)| id.clone()).collect()
    };
    for (account, stream) in &mut streams {
        for id in own(account) {
            let (told, data) = event(stream).await;
            assert_eq!(told, id);
            assert_eq!(data["payload"]["of"], **account);
        }
    }
    for (account, socket) in &mut sockets {
        for id in own(account) {
            let told = socket.json().await;
            assert_eq!(told["id"], id);
            assert_eq!(told["payload"]["of"], **account);
        }
    }
    // And nothing else: the next that each hears is the next that is its own.
    for (account, hook) in &hooks {
        let id = taken(servers[0], &hook.path, "\"last\"").await;
        for (of, stream) in &mut streams {
            if of == account {
                assert_eq!(event(stream).await.0, id);
            }
        }
        for (of, socket) in &mut sockets {
            if of == account {
                assert_eq!(socket.json().await["id"], id);
            }
        }
    }
}

#[tokio::test]
async fn each_account_hears_its_own_webhooks_of_one_server() {
    let server = start().await;
    each_hears_its_own(&[&server]).await;
}

#[tokio::test]
async fn each_account_hears_its_own_webhooks_of_two_servers() {
    let redis = RedisServer::start().await;
    let (first, second) = futures_util::join!(
        Tidings::start_on(&redis, &[ON]),
        Tidings::start_on(&redis, &[ON])
    );
    each_hears_its_own(&[&first, &second]).await;
}

#[tokio::test]
async fn slugs_and_tokens_are_not_taken_for_each_other() {
    let server = start().await;
    let alice = hook(&[&server], ALICE, &[]).await;
    let bob = hook(&[&server], BOB, &[]).await;
    let slug = |hook: &super::Hook| hook.path["/api/in/".len()..].to_owned();
    let secrets: HashSet<_> = [&alice, &bob]
        .iter()
        .flat_map(|hook| [slug(hook), hook.token.clone()])
        .collect();
    assert_eq!(secrets.len(), 4);
    for hook in [&alice, &bob] {
        let path = format!("/api/in/{}", hook.token);
        assert_eq!(deliver(&server, &path, &[], "{}").await.0, 404);
        let path = format!("/api/usage?token={}", slug(hook));
        assert_eq!(server.get(&path).await.0, 401);
        // The other's slug beside one's own token leads nowhere else.
        let path = format!("{}?token={}", alice.path, bob.token);
        assert_eq!(deliver(&server, &path, &[], "").await.0, 400);
    }
}

#[tokio::test]
async fn what_was_missed_is_replayed_to_its_own_account_alone() {
    let server = start().await;
    let alice = hook(&[&server], ALICE, &[]).await;
    let bob = hook(&[&server], BOB, &[]).await;
    // Somebody listens, so that the server remembers both.
    let mut first = listen(&server, &alice.token).await;
    let mut other = listen(&server, &bob.token).await;
    until_heard(&server, 2.0).await;
    let before = taken(&server, &alice.path, "1").await;
    event(&mut first).await;
    let secret = taken(&server, &alice.path, "2").await;
    let theirs = taken(&server, &bob.path, "3").await;
    assert_eq!(event(&mut other).await.0, theirs);
    let headers = [("Last-Event-ID", before.as_str())];
    let mut again = super::listen_with(&server, &bob.token, &headers).await;
    assert_eq!(event(&mut again).await.0, theirs);
    let mut again = super::listen_with(&server, &alice.token, &headers).await;
    assert_eq!(event(&mut again).await.0, secret);
}

#[tokio::test]
async fn a_token_hears_webhooks_and_nothing_else_of_its_account() {
    let server = start().await;
    let hook = hook(&[&server], ALICE, &[]).await;
    let (_, said) = server
        .post("/graphql", &hook.token, r#"{"query":"{ me { id } }"}"#)
        .await;
    assert!(said.contains("NOT_AUTHORIZED"), "{said}");
    let mut client = server.with_key(&hook.token).await;
    client.subscribe("1", crate::bodies::MY_UPDATES).await;
    let said = client.text().await;
    assert!(said.contains("NOT_AUTHORIZED"), "{said}");
    let (status, _) = server
        .post("/v1/events/PRICE_UPDATE_USD", &hook.token, "{}")
        .await;
    assert_eq!(status, 403);
}
