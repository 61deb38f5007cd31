//! JSON Web Tokens: what they open, and what the shell says of them.

use std::process::Output;

use insta::assert_snapshot;
use serde_json::{Value, json};

use crate::bodies::{MY_UPDATES, ln_receipt, memo_in};
use crate::client::Client;
use crate::tidings::Tidings;
use crate::token_issuer::{SECRET, TokenIssuer, key_path, now, token};

const ACCOUNT: &str = "0d3d3c1a-5e0e-4b7b-8f59-7f1a7b1f6a51";
const OTHER_ACCOUNT: &str = "99999999-9999-4999-8999-999999999999";
const ME: &str = r#"{"query":"{ me { id } }"}"#;

/// A server that takes tokens signed with [`SECRET`].
async fn server() -> Tidings {
    Tidings::start_with(&[("TIDINGS_JWT__ISSUERS", &with_secret(""))]).await
}

/// An issuer with [`SECRET`], and with more in its table.
fn with_secret(more: &str) -> String {
    format!("[{{ hmac_secrets = ['{SECRET}'], {more} }}]")
}

fn of_account() -> String {
    token("", None, json!({ "sub": ACCOUNT }))
}

async fn say_init(server: &Tidings, payload: &Value) -> Client {
    let mut client = server.connect().await;
    client
        .send(&json!({ "type": "connection_init", "payload": payload }).to_string())
        .await;
    client
}

async fn is_acknowledged(server: &Tidings, token: &str) -> Client {
    let mut client = server.connect().await;
    client.init(&payload(token).to_string()).await;
    client
}

/// With a name of its own, which rewards users must bring.
fn payload(token: &str) -> Value {
    let name = uuid::Uuid::new_v4().to_string();
    json!({ "Authorization": format!("Bearer {token}"), "connection_id": name })
}

async fn closed(server: &Tidings, token: &str) -> (u16, String) {
    let mut client = say_init(server, &payload(token)).await;
    client.closed().await
}

fn forbidden() -> (u16, String) {
    (4403, "Forbidden".to_owned())
}

#[tokio::test]
async fn a_good_token_opens_a_connection_of_its_account() {
    let server = server().await;
    let mut client = is_acknowledged(&server, &of_account()).await;
    client.subscribe("1", MY_UPDATES).await;
    let mut other =
        is_acknowledged(&server, &token("", None, json!({ "sub": OTHER_ACCOUNT }))).await;
    other.subscribe("1", MY_UPDATES).await;
    server.until_metric("tidings_subscriptions", 2.0).await;
    server
        .publish(&format!("ACCOUNT_UPDATE_{ACCOUNT}"), &ln_receipt("tea"))
        .await;
    server
        .publish(
            &format!("ACCOUNT_UPDATE_{OTHER_ACCOUNT}"),
            &ln_receipt("coffee"),
        )
        .await;
    assert_eq!(memo_in(&client.payload("1").await), Some("tea"));
    assert_eq!(memo_in(&other.payload("1").await), Some("coffee"));
}

#[tokio::test]
async fn the_scheme_and_its_name_are_taken_in_any_case() {
    let server = server().await;
    let token = of_account();
    for (name, scheme) in [
        ("Authorization", "Bearer"),
        ("authorization", "bearer"),
        ("AUTHORIZATION", "BEARER"),
        ("Authorization", "Bearer "),
    ] {
        let mut client = server.connect().await;
        client
            .init(&json!({ name: format!("{scheme} {token}") }).to_string())
            .await;
    }
    for wrong in [
        token.clone(),
        format!("Bearer{token}"),
        format!("JWT {token}"),
        format!("Bearer {token} x"),
    ] {
        let mut client = say_init(&server, &json!({ "Authorization": wrong })).await;
        assert_eq!(client.closed().await, forbidden(), "{wrong}");
    }
}

#[tokio::test]
async fn a_token_that_is_not_good_is_forbidden_and_the_client_is_not_told_why() {
    let issuers = with_secret("issuer = 'me', audience = ['tidings']");
    let leeway = ("TIDINGS_JWT__LEEWAY", "1m");
    let server = Tidings::start_with(&[("TIDINGS_JWT__ISSUERS", &issuers), leeway]).await;
    let with = |more: Value| {
        let mut claims = json!({ "iss": "me", "aud": "tidings", "user_id": 42 });
        claims
            .as_object_mut()
            .unwrap()
            .extend(more.as_object().unwrap().clone());
        token("", None, claims)
    };
    is_acknowledged(&server, &with(json!({}))).await;
    is_acknowledged(&server, &with(json!({ "exp": now() - 5 }))).await;
    for claims in [
        json!({ "exp": now() - 3600 }),
        json!({ "exp": null }),
        json!({ "nbf": now() + 3600 }),
        json!({ "iat": now() + 3600 }),
        json!({ "iss": "you" }),
        json!({ "iss": null }),
        json!({ "aud": "other" }),
        json!({ "aud": null }),
        json!({ "user_id": 0 }),
        json!({ "user_id": null }),
    ] {
        assert_eq!(
            closed(&server, &with(claims.clone())).await,
            forbidden(),
            "{claims}"
        );
    }
    assert_eq!(closed(&server, "a.b.c").await, forbidden());
    let stranger = token(
        "rsa.pem",
        None,
        json!({ "iss": "me", "aud": "tidings", "user_id": 42 }),
    );
    assert_eq!(closed(&server, &stranger).await, forbidden());
}

#[tokio::test]
async fn of_a_token_and_a_key_the_token_counts() {
    let server = server().await;
    let key = server.key(OTHER_ACCOUNT, &["read"]).await;
    let both =
        |token: &str| json!({ "X-API-KEY": key, "Authorization": format!("Bearer {token}") });
    let mut client = server.connect().await;
    client.init(&both(&of_account()).to_string()).await;
    client.subscribe("1", MY_UPDATES).await;
    server.until_metric("tidings_subscriptions", 1.0).await;
    server
        .publish(
            &format!("ACCOUNT_UPDATE_{OTHER_ACCOUNT}"),
            &ln_receipt("coffee"),
        )
        .await;
    server
        .publish(&format!("ACCOUNT_UPDATE_{ACCOUNT}"), &ln_receipt("tea"))
        .await;
    assert_eq!(memo_in(&client.payload("1").await), Some("tea"));
    // A bad one does, too.
    let mut client = say_init(&server, &both("a.b.c")).await;
    assert_eq!(client.closed().await, forbidden());
}

/// Posts a query with this header: the status and the body of the answer.
async fn post(server: &Tidings, authorization: &str) -> (u16, Value) {
    let request = crate::tidings::http()
        .post(server.http_url("/graphql"))
        .header("content-type", "application/json")
        .header("authorization", authorization)
        .body(ME);
    let response = request.send().await.unwrap();
    let status = response.status().as_u16();
    (
        status,
        serde_json::from_str(&response.text().await.unwrap()).unwrap(),
    )
}

#[tokio::test]
async fn queries_take_the_same_tokens() {
    let server = server().await;
    let me = json!({ "data": { "me": { "id": ACCOUNT } } });
    assert_eq!(
        post(&server, &format!("Bearer {}", of_account())).await,
        (200, me.clone())
    );
    assert_eq!(
        post(&server, &format!("bearer {}", of_account())).await,
        (200, me)
    );
    let refused = json!({ "errors": [{ "message": "Unauthorized" }] });
    for bad in [
        "Bearer a.b.c",
        "nonsense",
        &format!("Basic {}", of_account()),
    ] {
        assert_eq!(post(&server, bad).await, (401, refused.clone()));
    }
    let expired = token("", None, json!({ "sub": ACCOUNT, "exp": now() - 3600 }));
    assert_eq!(
        post(&server, &format!("Bearer {expired}")).await,
        (401, refused)
    );
}

#[tokio::test]
async fn who_may_not_read_is_not_answered() {
    let server = server().await;
    let writer = token("", None, json!({ "sub": ACCOUNT, "scope": "write" }));
    let (status, said) = post(&server, &format!("Bearer {writer}")).await;
    assert_eq!(status, 200);
    assert!(
        said.to_string().contains(r#""code":"NOT_AUTHORIZED""#),
        "{said}"
    );
    let reader = token("", None, json!({ "sub": ACCOUNT, "scope": "read write" }));
    let me = json!({ "data": { "me": { "id": ACCOUNT } } });
    assert_eq!(post(&server, &format!("Bearer {reader}")).await, (200, me));
}

#[tokio::test]
async fn while_the_issuer_is_away_its_clients_are_told_to_come_back() {
    let issuer = TokenIssuer::start().await;
    issuer.go_away();
    let issuers = format!("[{{ jwks_url = '{}' }}]", issuer.url());
    let settings = [
        ("TIDINGS_JWT__ISSUERS", issuers.as_str()),
        ("TIDINGS_JWT__JWKS_RETRY_MIN", "10ms"),
        ("TIDINGS_JWT__JWKS_RETRY_MAX", "20ms"),
        ("TIDINGS_JWT__JWKS_INTERVAL", "1ms"),
    ];
    let server = Tidings::start_with(&settings).await;
    let token = token("rsa.pem", Some("one"), json!({ "sub": ACCOUNT }));
    let later = (
        1013,
        "Credentials cannot be checked now, try again later".to_owned(),
    );
    assert_eq!(closed(&server, &token).await, later);
    let (status, _) = post(&server, &format!("Bearer {token}")).await;
    assert_eq!(status, 503);
    // Who can be checked without the issuer is, and whoever needs no credentials is not harmed.
    server.anonymous().await;
    assert_eq!(closed(&server, "a.b.c").await, forbidden());

    issuer.publish(&[("one", "rsa.pem")]);
    server
        .until("the issuer is back", async || {
            post(&server, &format!("Bearer {token}")).await.0 == 200
        })
        .await;
    is_acknowledged(&server, &token).await;
}

#[tokio::test]
async fn keys_in_files_are_changed_without_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("issuer.pem");
    std::fs::copy(key_path("rsa.pub.pem"), &file).unwrap();
    let issuers = format!("[{{ pem_files = ['{}'] }}]", file.display());
    let settings = [
        ("TIDINGS_JWT__ISSUERS", issuers.as_str()),
        ("TIDINGS_JWT__FILE_INTERVAL", "10ms"),
    ];
    let server = Tidings::start_with(&settings).await;
    let old = token("rsa.pem", None, json!({ "user_id": 42 }));
    let new = token("ed25519.pem", None, json!({ "user_id": 42 }));
    is_acknowledged(&server, &old).await;
    assert_eq!(closed(&server, &new).await, forbidden());

    std::fs::write(&file, "broken").unwrap();
    let warned = server
        .logged(|line| line["message"] == "the keys of tokens stay as they were")
        .await;
    assert!(
        warned["error"].as_str().unwrap().contains("no public key"),
        "{warned}"
    );
    is_acknowledged(&server, &old).await;

    std::fs::copy(key_path("ed25519.pub.pem"), &file).unwrap();
    server
        .logged(|line| line["message"] == "read new keys of tokens")
        .await;
    is_acknowledged(&server, &new).await;
    assert_eq!(closed(&server, &old).await, forbidden());
}

#[tokio::test]
async fn a_server_whose_keys_are_missing_does_not_start() {
    let server = Tidings::start().await;
    let serve = |issuers: &str| {
        let ended = server.command(&["serve"], &[("TIDINGS_JWT__ISSUERS", issuers)], "");
        assert_eq!(ended.status.code(), Some(1));
        let said = String::from_utf8(ended.stderr).unwrap();
        said.lines().last().unwrap().to_owned()
    };
    assert_snapshot!(serve("[{ pem_files = ['no-such.pem'] }]"), @"error: jwt.issuers[0]: no-such.pem: cannot be read: No such file or directory (os error 2)");
    assert_snapshot!(serve("[{ hmac_secrets = ['short'] }]"), @"error: jwt.issuers[0].hmac_secrets (from the environment, TIDINGS_JWT__ISSUERS): expected a list of secrets of 32 bytes or more (`openssl rand -hex 32` prints one)");
}

/// Runs `tidings token …` beside a server.
fn tidings_token(server: &Tidings, arguments: &[&str], stdin: &str) -> Output {
    server.command(&[&["token"], arguments].concat(), &[], stdin)
}

fn out(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

fn said(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

#[tokio::test]
async fn a_token_that_is_made_in_the_shell_is_taken_by_the_server() {
    let issuers = with_secret("issuer = 'me', audience = ['tidings'], user_claim = 'uid'");
    let server = Tidings::start_with(&[("TIDINGS_JWT__ISSUERS", &issuers)]).await;
    let made = tidings_token(
        &server,
        &["--user-id", "42", "--account", ACCOUNT, "--scope", "read"],
        "",
    );
    assert_eq!((made.status.code(), said(&made).as_str()), (Some(0), ""));
    let token = out(&made);
    assert_eq!(token.lines().count(), 1, "it stands alone");
    let mut client = is_acknowledged(&server, token.trim()).await;
    client.subscribe("1", MY_UPDATES).await;
    server.until_metric("tidings_subscriptions", 1.0).await;

    // As an argument, from stdin, with and without what stands before it in a header.
    let header = format!("Bearer {token}");
    for (arguments, stdin) in [
        (vec!["check", token.trim()], ""),
        (vec!["check"], token.as_str()),
        (vec!["check", "-"], header.as_str()),
        (vec!["check", header.trim()], ""),
    ] {
        let checked = tidings_token(&server, &arguments, stdin);
        assert_eq!(checked.status.code(), Some(0), "{}", said(&checked));
        assert!(
            out(&checked).contains(&format!("as account {ACCOUNT} and user 42")),
            "{}",
            out(&checked)
        );
    }
}

#[tokio::test]
async fn a_token_is_made_with_an_algorithm_that_the_settings_allow() {
    let issuers = "[{ algorithms = ['RS256', 'HS512'], hmac_secrets = \
                   ['0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef'] }]";
    let server = Tidings::start_with(&[("TIDINGS_JWT__ISSUERS", issuers)]).await;
    let made = tidings_token(&server, &["--account", ACCOUNT], "");
    assert_eq!((made.status.code(), said(&made).as_str()), (Some(0), ""));
    is_acknowledged(&server, out(&made).trim()).await;
    let made = tidings_token(&server, &["--account", ACCOUNT, "--algorithm", "HS256"], "");
    assert_eq!(made.status.code(), Some(0));
    assert_snapshot!(said(&made), @"note: HS256 is not in algorithms of this issuer: a server will not take the token");
    closed(&server, out(&made).trim()).await;
}

#[tokio::test]
async fn a_token_is_made_with_a_private_key_without_any_issuer() {
    let server = Tidings::start().await;
    for (file, kid) in [
        ("rsa.pem", None),
        ("p256.pem", Some("one")),
        ("ed25519.pem", None),
    ] {
        let path = key_path(file);
        let mut arguments = vec!["--user-id", "42", "--private-key", path.to_str().unwrap()];
        arguments.extend([
            "--audience",
            "tidings",
            "--issuer",
            "me",
            "--expires-in",
            "10m",
        ]);
        arguments.extend(kid.into_iter().flat_map(|kid| ["--kid", kid]));
        let made = tidings_token(&server, &arguments, "");
        assert_eq!(made.status.code(), Some(0), "{}", said(&made));
        let public = key_path(&file.replace(".pem", ".pub.pem"));
        let issuers = format!(
            "[{{ issuer = 'me', audience = ['tidings'], pem_files = ['{}'] }}]",
            public.display()
        );
        let checked = server.command(
            &["token", "check"],
            &[("TIDINGS_JWT__ISSUERS", &issuers)],
            &out(&made),
        );
        assert_eq!(checked.status.code(), Some(0), "{}", said(&checked));
    }
}

#[tokio::test]
async fn a_secret_may_be_in_a_file() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("secret");
    std::fs::write(&file, format!("{SECRET}\n")).unwrap();
    let issuers = format!("[{{ hmac_secret_files = ['{}'] }}]", file.display());
    let server = Tidings::start_with(&[("TIDINGS_JWT__ISSUERS", &issuers)]).await;
    let made = tidings_token(
        &server,
        &[
            "--user-id",
            "42",
            "--algorithm",
            "HS512",
            "--scope",
            "admin",
        ],
        "",
    );
    assert_eq!(
        said(&made),
        "note: admin is not in grantable_scopes of this issuer: a server will not grant it\n"
    );
    is_acknowledged(&server, out(&made).trim()).await;
    is_acknowledged(&server, &of_account()).await;
}

#[tokio::test]
async fn where_there_is_nothing_to_sign_with_it_is_said_what_to_do() {
    let server = Tidings::start().await;
    let failed = |arguments: &[&str]| {
        let ended = tidings_token(&server, arguments, "");
        assert_eq!((ended.status.code(), out(&ended).as_str()), (Some(1), ""));
        said(&ended)
    };
    assert_snapshot!(failed(&["--user-id", "42"]), @r#"
    error: there is nothing to sign with. Configure an issuer with a secret, for this command and for the server:
      export TIDINGS_JWT__ISSUERS='[{ hmac_secrets = ["'$(openssl rand -hex 32)'"] }]'
    or name a private key with --private-key
    "#);
    assert_snapshot!(failed(&[]), @"error: a token names somebody: --user-id, --account, or both");
    assert_snapshot!(failed(&["--user-id", "42", "--issuer", "me"]), @"error: --issuer me: no such issuer in the settings; configured: none that has a name");
    assert_snapshot!(failed(&["--user-id", "42", "--private-key", "no-such.pem"]), @"error: no-such.pem: No such file or directory (os error 2)");
}

/// What is explained of a token with these settings, without what differs from run to run.
fn explained(server: &Tidings, issuers: &str, token: &str) -> (Option<i32>, String) {
    let checked = server.command(
        &["token", "check"],
        &[("TIDINGS_JWT__ISSUERS", issuers)],
        token,
    );
    let lines = out(&checked) + &said(&checked);
    let is_stable = |line: &&str| {
        !["exp ", "closed "]
            .iter()
            .any(|about| line.starts_with(about))
    };
    let lines: Vec<_> = lines
        .lines()
        .filter(is_stable)
        .filter(|line| !line.contains("\"exp\""))
        .map(|line| line.split(", until ").next().unwrap())
        .collect();
    (checked.status.code(), lines.join("\n"))
}

#[tokio::test]
async fn what_the_server_would_say_of_a_token_is_explained() {
    let server = Tidings::start().await;
    let issuers = with_secret("issuer = 'me', audience = ['tidings']");
    let claims = json!({ "iss": "me", "aud": ["tidings"], "user_id": 42, "scope": "read admin" });
    let (code, text) = explained(&server, &issuers, &token("", None, claims.clone()));
    assert_eq!(code, Some(0));
    assert_snapshot!(text, @r#"
    header      {
                  "alg": "HS256",
                  "typ": "JWT"
                }
    claims      {
                  "aud": [
                    "tidings"
                  ],
                  "iss": "me",
                  "scope": "read admin",
                  "user_id": 42
                }
    issuer      "me" (jwt.issuers[0])
    algorithm   HS256 is allowed
    key         a secret without kid, in hmac_secrets: it has signed
    aud         ["tidings"], of which one must be in ["tidings"]
    user        42 (user_id)
    scopes      read, of "read admin"
    accepted    as user 42
    "#);
    let (code, text) = explained(&server, &issuers, &token("rsa.pem", Some("one"), claims));
    assert_eq!(code, Some(1));
    assert_snapshot!(text, @r#"
    header      {
                  "alg": "RS256",
                  "kid": "one",
                  "typ": "JWT"
                }
    claims      {
                  "aud": [
                    "tidings"
                  ],
                  "iss": "me",
                  "scope": "read admin",
                  "user_id": 42
                }
    issuer      "me" (jwt.issuers[0])
    algorithm   RS256 is allowed
    keys        in hmac_secrets, 0 of 1 tried: none has signed
    error: refused: signed with a key that none of the issuer's is (unknown_signing_key); a server closes with 4403 Forbidden
    "#);
    let (code, text) = explained(&server, &issuers, "nonsense");
    assert_eq!(code, Some(1));
    assert_snapshot!(text, @r"
    header      cannot be read
    claims      cannot be read
    error: refused: not a JSON Web Token (malformed_token); a server closes with 4403 Forbidden
    ");
    let (code, text) = explained(&server, "[]", &of_account());
    assert_eq!(code, Some(1));
    assert!(
        text.ends_with("a server closes with 4403 Forbidden"),
        "{text}"
    );
}

// The command is waited for on one thread, and answered on another.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_token_is_explained_with_keys_that_are_fetched() {
    let server = Tidings::start().await;
    let issuer = TokenIssuer::start().await;
    issuer.publish(&[("one", "p256.pem")]);
    let issuers = format!("[{{ jwks_url = '{}' }}]", issuer.url());
    let token = token("p256.pem", Some("one"), json!({ "sub": ACCOUNT }));
    let (code, text) = explained(&server, &issuers, &token);
    assert_eq!(code, Some(0), "{text}");
    assert!(
        text.contains(&format!(
            "a P-256 key with kid \"one\", at {}",
            issuer.url()
        )),
        "{text}"
    );
    issuer.go_away();
    let (code, text) = explained(&server, &issuers, &token);
    assert_eq!(code, Some(1), "{text}");
    assert!(
        text.ends_with("a server closes with 1013: come back later"),
        "{text}"
    );
}
