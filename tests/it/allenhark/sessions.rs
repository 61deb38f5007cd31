//! Who is let in, and what may be said before that.

use ::tidings::topic::SolanaAddress;

use super::{
    ACCOUNT, AUTH_SUCCESS, MINT, NO_SUCH_BOT, OTHER, SUBSCRIBE_BOT, SUBSCRIBE_PRICE,
    SUBSCRIBED_BOT, SUBSCRIBED_PRICE, ask, auth, connect, error_code, fence, is_now, let_in, own,
    signed_in, start,
};
use crate::client::Client;
use crate::tidings::{ISSUER, Tidings};
use crate::token_issuer::{TokenIssuer, token};

#[tokio::test]
async fn a_good_key_is_acknowledged() {
    let server = start(&[]).await;
    let key = server.key(ACCOUNT, &["read"]).await;
    let mut client = connect(&server).await;
    ask(&mut client, &auth(&key), AUTH_SUCCESS).await;
    let counted = r#"tidings_connections{protocol="allenhark",identity="account"}"#;
    server.until_metric(counted, 1.0).await;
}

#[tokio::test]
async fn a_bad_key_is_told_so_and_closed() {
    let server = start(&[]).await;
    for key in ["", "wrong", &format!("blink_{}", "a".repeat(64)), "a.b.c"] {
        let mut client = connect(&server).await;
        let failed = r#"{"type":"error","code":"AUTH_FAILED","message":"Invalid API key"}"#;
        ask(&mut client, &auth(key), failed).await;
        assert_eq!(client.closed().await, (4401, "Forbidden".to_owned()));
    }
}

/// Elsewhere it may be configured to be as good as none. Here none is not good enough.
#[tokio::test]
async fn a_bad_key_is_closed_even_where_it_is_as_good_as_none() {
    let server = start(&[("TIDINGS_AUTH__ON_BAD_CREDENTIALS", "anonymous")]).await;
    let mut client = connect(&server).await;
    client.send(&auth("wrong")).await;
    assert_eq!(error_code(&mut client).await, "AUTH_FAILED");
    assert_eq!(client.closed().await.0, 4401);
}

#[tokio::test]
async fn a_key_that_may_not_hear_is_not_let_in() {
    let server = start(&[]).await;
    let key = server.key(ACCOUNT, &["publish"]).await;
    let mut client = connect(&server).await;
    let failed =
        r#"{"type":"error","code":"AUTH_FAILED","message":"The API key needs the scope read"}"#;
    ask(&mut client, &auth(&key), failed).await;
    assert_eq!(client.closed().await.0, 4401);
}

#[tokio::test]
async fn a_token_of_an_account_will_do_and_one_of_a_user_alone_will_not() {
    let server = start(&[ISSUER]).await;
    let token = server.token(&["--account", ACCOUNT]);
    let mut client = connect(&server).await;
    ask(&mut client, &auth(&token), AUTH_SUCCESS).await;
    let token = server.token(&["--user-id", "42"]);
    let mut client = connect(&server).await;
    client.send(&auth(&token)).await;
    assert_eq!(error_code(&mut client).await, "AUTH_FAILED");
    assert_eq!(client.closed().await.0, 4401);
}

#[tokio::test]
async fn who_does_not_say_who_it_is_is_closed_in_time() {
    let server = start(&[("TIDINGS_ALLENHARK__AUTH_TIMEOUT", "300ms")]).await;
    let mut client = connect(&server).await;
    let late = r#"{"type":"error","code":"AUTH_TIMEOUT","message":"No `auth` came in time"}"#;
    assert_eq!(client.text().await, late);
    let closed = (4401, "Authentication timeout".to_owned());
    assert_eq!(client.closed().await, closed);
}

#[tokio::test]
async fn what_is_said_meanwhile_does_not_prolong_the_time_to_say_who_one_is() {
    let server = start(&[("TIDINGS_ALLENHARK__AUTH_TIMEOUT", "1s")]).await;
    let mut client = connect(&server).await;
    loop {
        client.send(r#"{"type":"ping"}"#).await;
        let said = client.json().await;
        if said["type"] == "error" {
            assert_eq!(said["code"], "AUTH_TIMEOUT");
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
    }
    assert_eq!(client.closed().await.0, 4401);
}

/// The published sample sends all of it when the socket opens.
#[tokio::test]
async fn commands_right_behind_an_auth_are_answered_in_order() {
    let server = start(&[]).await;
    let key = server.key(ACCOUNT, &["read"]).await;
    own(&server, &key, ACCOUNT, "bot_abc123").await;
    let mut session = vec![
        (auth(&key), AUTH_SUCCESS.to_owned()),
        (SUBSCRIBE_BOT.to_owned(), SUBSCRIBED_BOT.to_owned()),
    ];
    for number in 0..10 {
        let mint = SolanaAddress::of_bytes(&[number; 32]);
        let of_mint = |text: &str| text.replace(MINT, mint.as_str());
        session.push((of_mint(SUBSCRIBE_PRICE), of_mint(SUBSCRIBED_PRICE)));
    }
    for _ in 0..20 {
        let mut client = connect(&server).await;
        for (said, _) in &session {
            client.send(said).await;
        }
        for (_, answer) in &session {
            assert_eq!(client.text().await, *answer);
        }
    }
}

/// However long that takes: here the issuer of its token has to be asked for its keys.
#[tokio::test]
async fn what_is_said_while_credentials_are_checked_is_answered_when_they_were() {
    let issuer = TokenIssuer::start().await;
    issuer.publish(&[("one", "rsa.pem")]);
    issuer.hold();
    let issuers = format!("[{{ jwks_url = '{}' }}]", issuer.url());
    let server = start(&[
        ("TIDINGS_JWT__ISSUERS", issuers.as_str()),
        ("TIDINGS_JWT__JWKS_TIMEOUT", "60s"),
        ("TIDINGS_AUTH__TIMEOUT", "60s"),
    ])
    .await;
    let end = jiff::Timestamp::now().as_second() + 3600;
    let claims = serde_json::json!({ "sub": ACCOUNT, "exp": end });
    let mut client = connect(&server).await;
    client
        .send(&auth(&token("rsa.pem", Some("one"), claims)))
        .await;
    client.send(SUBSCRIBE_PRICE).await;
    client.send(SUBSCRIBE_BOT).await;
    issuer.until_asked(1).await;
    assert_eq!(server.metric("tidings_subscriptions").await, 0.0);
    issuer.let_go();
    for answer in [AUTH_SUCCESS, SUBSCRIBED_PRICE, NO_SUCH_BOT] {
        assert_eq!(client.text().await, answer);
    }
}

#[tokio::test]
async fn a_command_before_any_auth_is_refused_and_the_socket_stays() {
    let server = start(&[]).await;
    let key = server.key(ACCOUNT, &["read"]).await;
    let mut client = connect(&server).await;
    let refused = |rest: &str| {
        format!(
            r#"{{"type":"error","code":"AUTH_REQUIRED","message":"Say who you are first: {{\"type\":\"auth\",\"apiKey\":\"…\"}}",{rest}}}"#
        )
    };
    let about = r#""channel":"bot","botId":"bot_abc123""#;
    ask(&mut client, SUBSCRIBE_BOT, &refused(about)).await;
    let unsubscribe = SUBSCRIBE_PRICE.replace("subscribe", "unsubscribe");
    let about = format!(r#""channel":"price","mint":"{MINT}""#);
    ask(&mut client, &unsubscribe, &refused(&about)).await;
    ask(&mut client, &auth(&key), AUTH_SUCCESS).await;
    ask(&mut client, SUBSCRIBE_PRICE, SUBSCRIBED_PRICE).await;
}

#[tokio::test]
async fn a_ping_is_answered_with_the_time_before_an_auth_and_after() {
    let server = start(&[]).await;
    let key = server.key(ACCOUNT, &["read"]).await;
    let mut client = connect(&server).await;
    for _ in 0..2 {
        client.send(r#"{"type":"ping"}"#).await;
        let text = client.text().await;
        assert!(
            text.starts_with(r#"{"type":"pong","timestamp":""#),
            "{text}"
        );
        let pong: serde_json::Value = serde_json::from_str(&text).unwrap();
        is_now(&pong["timestamp"]);
        client.send(&auth(&key)).await;
        assert_eq!(client.text().await, AUTH_SUCCESS);
    }
}

#[tokio::test]
async fn the_same_key_may_be_said_again_and_another_may_not() {
    let server = start(&[]).await;
    let key = server.key(ACCOUNT, &["read"]).await;
    let others = [
        server.key(ACCOUNT, &["read"]).await,
        server.key(OTHER, &["read"]).await,
        "wrong".to_owned(),
    ];
    let mut client = let_in(&server, &key).await;
    ask(&mut client, SUBSCRIBE_PRICE, SUBSCRIBED_PRICE).await;
    ask(&mut client, &auth(&key), AUTH_SUCCESS).await;
    for other in &others {
        let refused = r#"{"type":"error","code":"AUTH_FAILED","message":"This connection has another key: open one for each"}"#;
        ask(&mut client, &auth(other), refused).await;
    }
    server.until_metric("tidings_subscriptions", 1.0).await;
    fence(&mut client).await;
}

#[tokio::test]
async fn where_it_is_switched_off_nothing_is_there() {
    let server = Tidings::start().await;
    let (status, _) = server.get("/v1/ws").await;
    assert_eq!(status, 404);
}

#[tokio::test]
async fn what_asks_for_no_websocket_is_told_to() {
    let server = start(&[]).await;
    let (status, said) = server.get("/v1/ws").await;
    assert_eq!(
        (status, &*said),
        (
            426,
            "This is a WebSocket, and the request asks for none: Upgrade: websocket is not there, or a proxy took it away.\n"
        )
    );
}

#[tokio::test]
async fn as_many_connections_with_a_key_as_there_may_be() {
    let server = start(&[("TIDINGS_LIMITS__CONNECTIONS_PER_KEY", "1")]).await;
    let key = server.key(ACCOUNT, &["read"]).await;
    let mut first = let_in(&server, &key).await;
    let mut second = connect(&server).await;
    client_is_one_too_many(&mut second, &key).await;
    fence(&mut first).await;
}

async fn client_is_one_too_many(client: &mut Client, key: &str) {
    client.send(&auth(key)).await;
    assert_eq!(error_code(client).await, "LIMIT_EXCEEDED");
    let closed = (1013, "Too many connections with this key".to_owned());
    assert_eq!(client.closed().await, closed);
}

#[tokio::test]
async fn it_is_listed_among_the_connections() {
    let server = start(&[]).await;
    let admin = server
        .key("99999999-9999-4999-8999-999999999999", &["admin"])
        .await;
    let mut client = signed_in(&server).await;
    ask(&mut client, SUBSCRIBE_PRICE, SUBSCRIBED_PRICE).await;
    let url = server.http_url("");
    let list = ["connections", "list", "--json", "--url", &url];
    server
        .until("it is listed", async || {
            let output = server.command(&list, &[("TIDINGS_KEY", &admin)], "");
            let listed: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
            listed[0]["protocol"] == "allenhark" && listed[0]["subscriptions"] == 1
        })
        .await;
}
