//! Documents by their hashes and ids: Apollo's automatic persisted queries, and trusted documents.

use insta::assert_snapshot;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::bodies::{DOLLARS, price};
use crate::client::Client;
use crate::tidings::Tidings;

const QUERY: &str = "{ __typename }";
const NOT_FOUND: &str =
    r#"[{"message":"PersistedQueryNotFound","extensions":{"code":"PERSISTED_QUERY_NOT_FOUND"}}]"#;
const UNKNOWN_ID: &str = r#"[{"message":"No document has this id: it is not in the manifest of this server","extensions":{"code":"PERSISTED_QUERY_NOT_IN_LIST"}}]"#;

/// The hash of a text, as clients spell it.
pub(crate) fn hash(text: &str) -> String {
    let digest = Sha256::digest(text);
    digest.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The extension of Apollo's clients.
fn persisted(hash: &str) -> Value {
    json!({"persistedQuery": {"version": 1, "sha256Hash": hash}})
}

/// What is told of a request over HTTP.
async fn ask(server: &Tidings, request: Value) -> String {
    let (status, said) = server.post("/graphql", "", &request.to_string()).await;
    assert_eq!(status, 200, "{said}");
    said
}

/// What is refused of a request over HTTP: a list of errors.
async fn refused(server: &Tidings, request: Value) -> String {
    let said = ask(server, request).await;
    let errors = said.strip_prefix(r#"{"errors":"#);
    let errors = errors.and_then(|errors| errors.strip_suffix('}'));
    errors.unwrap_or_else(|| panic!("{said}")).to_owned()
}

async fn subscribe(client: &mut Client, id: &str, payload: &Value) {
    let message = json!({"id": id, "type": "subscribe", "payload": payload});
    client.send(&message.to_string()).await;
}

/// What is refused of a subscription: a list of errors.
async fn not_subscribed(client: &mut Client, payload: Value) -> String {
    subscribe(client, "refused", &payload).await;
    let said = client.text().await;
    let errors = said.strip_prefix(r#"{"id":"refused","type":"error","payload":"#);
    let errors = errors.and_then(|errors| errors.strip_suffix('}'));
    errors.unwrap_or_else(|| panic!("{said}")).to_owned()
}

/// Shows that a subscription to [`DOLLARS`] runs, by a price that arrives.
async fn hears(server: &Tidings, client: &mut Client, payload: Value, number: u64) {
    subscribe(client, "heard", &payload).await;
    server.publish("PRICE_UPDATE_USD", &price(number)).await;
    loop {
        let told = client.payload("heard").await;
        if told["data"]["realtimePrice"]["realtimePrice"]["btcSatPrice"]["base"] == number {
            break;
        }
    }
    client.complete("heard").await;
    client.fence().await;
}

/// A server with a manifest and more settings.
async fn with_manifest(manifest: &Value, settings: &[(&str, &str)]) -> Tidings {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("manifest.json");
    std::fs::write(&path, manifest.to_string()).unwrap();
    let path = path.to_str().unwrap();
    // It is read when it starts.
    Tidings::start_with(&[&[("TIDINGS_DOCUMENTS__MANIFEST", path)], settings].concat()).await
}

/// Trusts these documents, and no others. The tests look with the last one whether a key is known.
async fn with_these_only(documents: &[(&str, &str)]) -> Tidings {
    let mut manifest = json!({"key": "{ me { id } }"});
    for (id, text) in documents {
        manifest[id] = (*text).into();
    }
    with_manifest(&manifest, &[("TIDINGS_DOCUMENTS__ONLY_MANIFEST", "true")]).await
}

#[tokio::test]
async fn a_query_is_found_by_its_hash_once_anybody_has_sent_it() {
    let server = Tidings::start().await;
    let by_hash = json!({"extensions": persisted(&hash(QUERY))});
    assert_eq!(refused(&server, by_hash.clone()).await, NOT_FOUND);
    // To say that it was not found keeps nothing.
    assert_eq!(refused(&server, by_hash.clone()).await, NOT_FOUND);
    let registers = json!({"query": QUERY, "extensions": persisted(&hash(QUERY))});
    let told = r#"{"data":{"__typename":"Query"}}"#;
    assert_eq!(ask(&server, registers).await, told);
    assert_eq!(ask(&server, by_hash).await, told);
    let by_id = json!({"documentId": format!("sha256:{}", hash(QUERY))});
    assert_eq!(ask(&server, by_id).await, told);
}

#[tokio::test]
async fn a_subscription_is_found_by_its_hash_whatever_way_it_was_sent() {
    let server = Tidings::start().await;
    let mut client = server.anonymous().await;
    let by_hash = json!({"extensions": persisted(&hash(DOLLARS))});
    // Clients of graphql-ws must send a text: an empty one is none.
    let with_nothing = json!({"query": "", "extensions": persisted(&hash(DOLLARS))});
    for payload in [&by_hash, &with_nothing] {
        assert_eq!(
            not_subscribed(&mut client, payload.clone()).await,
            NOT_FOUND
        );
    }
    // Over HTTP, where it is not answered.
    let said = refused(&server, json!({"query": DOLLARS})).await;
    assert!(said.contains("A subscription needs"), "{said}");
    hears(&server, &mut client, by_hash, 1).await;
    hears(&server, &mut client, with_nothing, 2).await;
    let by_id = json!({"documentId": format!("sha256:{}", hash(DOLLARS))});
    hears(&server, &mut client, by_id, 3).await;
    let registers = json!({"query": DOLLARS, "extensions": persisted(&hash(DOLLARS))});
    hears(&server, &mut client, registers, 4).await;
}

#[tokio::test]
async fn who_sends_a_hash_joins_who_has_sent_the_text() {
    let server = Tidings::start().await;
    let mut client = server.anonymous().await;
    client.subscribe("text", DOLLARS).await;
    client.fence().await;
    subscribe(
        &mut client,
        "hash",
        &json!({"extensions": persisted(&hash(DOLLARS))}),
    )
    .await;
    client.fence().await;
    assert_eq!(server.metric("tidings_subscriptions").await, 2.0);
    assert_eq!(server.metric("tidings_operations").await, 1.0);
}

#[tokio::test]
async fn a_text_that_is_not_the_one_of_its_hash_is_refused_and_not_kept() {
    let server = Tidings::start().await;
    let mut client = server.anonymous().await;
    let wrong = hash("{ other }");
    let mismatch = r#"[{"message":"provided sha does not match query","extensions":{"code":"PERSISTED_QUERY_HASH_MISMATCH"}}]"#;
    let over_http = json!({"query": QUERY, "extensions": persisted(&wrong)});
    assert_eq!(refused(&server, over_http).await, mismatch);
    let over_socket = json!({"query": DOLLARS, "extensions": persisted(&wrong)});
    assert_eq!(not_subscribed(&mut client, over_socket).await, mismatch);
    for text in [QUERY, "{ other }"] {
        let by_hash = json!({"extensions": persisted(&hash(text))});
        assert_eq!(refused(&server, by_hash).await, NOT_FOUND);
    }
}

#[tokio::test]
async fn what_cannot_be_understood_of_a_persisted_query_is_said_as_apollo_says_it() {
    let server = Tidings::start().await;
    let mut client = server.anonymous().await;
    let version =
        json!({"extensions": {"persistedQuery": {"version": 2, "sha256Hash": hash(QUERY)}}});
    let other_version = r#"[{"message":"Unsupported persisted query version","extensions":{"code":"BAD_REQUEST"}}]"#;
    assert_eq!(refused(&server, version.clone()).await, other_version);
    assert_eq!(not_subscribed(&mut client, version).await, other_version);
    let unknown = json!({"documentId": "nobody's"});
    assert_eq!(refused(&server, unknown.clone()).await, UNKNOWN_ID);
    assert_eq!(not_subscribed(&mut client, unknown).await, UNKNOWN_ID);
}

#[tokio::test]
async fn what_is_no_document_is_an_error_and_not_found_by_its_hash() {
    let server = Tidings::start().await;
    let mut client = server.anonymous().await;
    let broken = "subscription {";
    let registers = json!({"query": broken, "extensions": persisted(&hash(broken))});
    let said = refused(&server, registers.clone()).await;
    assert!(said.starts_with(r#"[{"message":"Syntax Error: "#), "{said}");
    let said = not_subscribed(&mut client, registers).await;
    assert!(said.contains("Syntax Error: "), "{said}");
    let by_hash = json!({"extensions": persisted(&hash(broken))});
    assert_eq!(refused(&server, by_hash.clone()).await, NOT_FOUND);
    assert_eq!(not_subscribed(&mut client, by_hash).await, NOT_FOUND);
}

#[tokio::test]
async fn without_automatic_persisted_queries_clients_are_told_to_send_texts() {
    let server = Tidings::start_with(&[("TIDINGS_DOCUMENTS__APQ", "false")]).await;
    let mut client = server.anonymous().await;
    let text = json!({"query": QUERY, "extensions": persisted(&hash(QUERY))});
    assert_eq!(
        ask(&server, text).await,
        r#"{"data":{"__typename":"Query"}}"#
    );
    let by_hash = json!({"extensions": persisted(&hash(QUERY))});
    let unsupported = r#"[{"message":"PersistedQueryNotSupported","extensions":{"code":"PERSISTED_QUERY_NOT_SUPPORTED"}}]"#;
    assert_eq!(refused(&server, by_hash.clone()).await, unsupported);
    assert_eq!(not_subscribed(&mut client, by_hash).await, unsupported);
}

#[tokio::test]
async fn more_documents_than_are_kept_are_answered_all_the_same() {
    let server = Tidings::start_with(&[("TIDINGS_LIMITS__DOCUMENTS", "1")]).await;
    for number in 0..200 {
        let text = format!("{{ a{number}: __typename }}");
        let registers = json!({"query": text, "extensions": persisted(&hash(&text))});
        let told = format!(r#"{{"data":{{"a{number}":"Query"}}}}"#);
        assert_eq!(ask(&server, registers).await, told);
    }
    // What was forgotten is asked for again.
    let mut forgotten = 0;
    for number in 0..200 {
        let text = format!("{{ a{number}: __typename }}");
        let said = ask(&server, json!({"extensions": persisted(&hash(&text))})).await;
        forgotten += usize::from(said.contains("PERSISTED_QUERY_NOT_FOUND"));
    }
    // How soon it is forgotten is the cache's own affair.
    assert!(forgotten > 100, "{forgotten}");
}

#[tokio::test]
async fn trusted_documents_are_asked_for_by_their_ids_in_both_forms() {
    let plain = json!({"dollars": DOLLARS, "type": QUERY});
    let operation =
        |id: &str, body: &str| json!({"id": id, "name": "A", "type": "any", "body": body});
    let apollos = json!({
        "format": "apollo-persisted-query-manifest",
        "version": 1,
        "operations": [operation("dollars", DOLLARS), operation("type", QUERY)],
    });
    for manifest in [plain, apollos] {
        let server = with_manifest(&manifest, &[]).await;
        let mut client = server.anonymous().await;
        for (number, form) in [
            |id: &str| json!({"documentId": id}),
            |id: &str| json!({"extensions": persisted(id)}),
        ]
        .into_iter()
        .enumerate()
        {
            let told = ask(&server, form("type")).await;
            assert_eq!(told, r#"{"data":{"__typename":"Query"}}"#);
            hears(&server, &mut client, form("dollars"), 1 + number as u64).await;
        }
        // Others are answered, too.
        let told = ask(&server, json!({"query": "{ a: __typename }"})).await;
        assert_eq!(told, r#"{"data":{"a":"Query"}}"#);
    }
}

#[tokio::test]
async fn where_only_trusted_documents_are_answered_all_others_are_refused() {
    let server = with_these_only(&[("dollars", DOLLARS)]).await;
    let mut client = server.anonymous().await;
    for (number, payload) in [
        json!({"documentId": "dollars"}),
        json!({"query": DOLLARS}),
        json!({"query": DOLLARS, "extensions": persisted(&hash(DOLLARS))}),
        json!({"extensions": persisted(&hash(DOLLARS))}),
    ]
    .into_iter()
    .enumerate()
    {
        hears(&server, &mut client, payload, 1 + number as u64).await;
    }
    let not_trusted = r#"[{"message":"Only documents of the manifest of this server may be asked for","extensions":{"code":"QUERY_NOT_IN_SAFELIST"}}]"#;
    let with_a_space = format!("{DOLLARS} ");
    for text in [
        QUERY,
        "{ __schema { queryType { name } } }",
        "{",
        &with_a_space,
    ] {
        for request in [
            json!({"query": text}),
            json!({"query": text, "extensions": persisted(&hash(text))}),
        ] {
            assert_eq!(refused(&server, request.clone()).await, not_trusted);
            assert_eq!(not_subscribed(&mut client, request).await, not_trusted);
        }
        let by_hash = json!({"extensions": persisted(&hash(text))});
        assert_eq!(refused(&server, by_hash.clone()).await, UNKNOWN_ID);
        assert_eq!(not_subscribed(&mut client, by_hash).await, UNKNOWN_ID);
    }
}

#[tokio::test]
async fn trusted_documents_that_this_server_cannot_answer_are_named_in_its_log_once() {
    let elsewhere = "query Elsewhere { cats { name } }";
    let other = "mutation Feed { feed } query Elsewhere { cats { name } }";
    let manifest =
        json!({"type": QUERY, "dollars": DOLLARS, "other": other, "elsewhere": elsewhere});
    let server = with_manifest(&manifest, &[]).await;
    let line = server.logged(|line| line["first.id"].is_string()).await;
    assert_eq!(line["level"], "WARN", "{line}");
    assert_eq!(line["first.id"], "elsewhere", "{line}");
    assert_eq!(
        (&line["documents"], &line["invalid"]),
        (&4.into(), &2.into()),
        "{line}"
    );
    let said = refused(&server, json!({"documentId": "elsewhere"})).await;
    assert!(said.contains("cats"), "{said}");
}

#[test]
fn a_server_does_not_start_with_a_manifest_that_is_not_good() {
    let directory = tempfile::tempdir().unwrap();
    std::fs::write(
        directory.path().join("manifest.json"),
        r#"{"good":"{ a }","bad":"{"}"#,
    )
    .unwrap();
    let run = |arguments: &str, settings: &[(&str, &str)]| {
        let output = std::process::Command::new(env!("CARGO_BIN_EXE_tidings"))
            .args(arguments.split_whitespace())
            .current_dir(directory.path())
            .env_clear()
            .env("TIDINGS_SERVER__LISTEN", "127.0.0.1:0")
            .envs(settings.iter().copied())
            .output()
            .unwrap();
        assert!(!output.status.success());
        let said = String::from_utf8(output.stderr).unwrap();
        said.lines().last().unwrap_or_default().to_owned()
    };
    let said = ["serve", "config check"].map(|command| {
        let manifest = |path| run(command, &[("TIDINGS_DOCUMENTS__MANIFEST", path)]);
        let only = run(command, &[("TIDINGS_DOCUMENTS__ONLY_MANIFEST", "true")]);
        [
            manifest("missing.json"),
            manifest("manifest.json"),
            manifest(""),
            only,
        ]
        .join("\n")
    });
    assert_eq!(said[0], said[1]);
    assert_snapshot!(said[0], @r#"
    error: missing.json: cannot be read: No such file or directory (os error 2)
    error: manifest.json: the document "bad" is not GraphQL: Syntax Error: expected selection (1:2)
    error: documents.manifest (from the environment, TIDINGS_DOCUMENTS__MANIFEST): expected a file
    error: documents.only_manifest (from the environment, TIDINGS_DOCUMENTS__ONLY_MANIFEST): without documents.manifest nothing could be asked at all
    "#);
}
