//! Endpoints that ask for a signature.

use std::time::{SystemTime, UNIX_EPOCH};

use aws_lc_rs::hmac;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::{ALICE, Hook, deliver, hook, refused, start, usage};
use crate::tidings::Tidings;

const WHSEC: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
const OTHER: &str = "whsec_AAECAwQFBgcICQoLDA0ODxAREhMUFRYX";

fn sign(key: &[u8], parts: &[&str]) -> Vec<u8> {
    let key = hmac::Key::new(hmac::HMAC_SHA256, key);
    hmac::sign(&key, parts.concat().as_bytes())
        .as_ref()
        .to_vec()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn github(secret: &str, body: &str) -> String {
    format!("sha256={}", hex(&sign(secret.as_bytes(), &[body])))
}

fn stripe(secret: &str, time: u64, body: &str) -> String {
    let signature = sign(secret.as_bytes(), &[&time.to_string(), ".", body]);
    format!("t={time},v1={}", hex(&signature))
}

fn standard(secret: &str, id: &str, time: u64, body: &str) -> String {
    let key = STANDARD.decode(&secret["whsec_".len()..]).unwrap();
    let signature = sign(&key, &[id, ".", &time.to_string(), ".", body]);
    format!("v1,{}", STANDARD.encode(signature))
}

fn now() -> u64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap()
        .as_secs()
}

async fn verified(server: &Tidings, scheme: &str, secrets: &[&str]) -> Hook {
    let directory = tempfile::tempdir().unwrap();
    let mut arguments = vec!["--verify".to_owned(), scheme.to_owned()];
    for (number, secret) in secrets.iter().enumerate() {
        let file = directory.path().join(number.to_string());
        std::fs::write(&file, format!("{secret}\n")).unwrap();
        arguments.push("--secret-file".to_owned());
        arguments.push(file.to_str().unwrap().to_owned());
    }
    let arguments: Vec<_> = arguments.iter().map(String::as_str).collect();
    hook(&[server], ALICE, &arguments).await
}

#[tokio::test]
async fn githubs_signature_is_checked_and_its_delivery_tells_repeats() {
    let server = start().await;
    let hook = verified(&server, "github", &["s3cret"]).await;
    let body = r#"{"zen":"Design for failure."}"#;
    let good = github("s3cret", body);
    let wrong = refused(401, "Invalid signature");
    for headers in [
        &[][..],
        &[("x-hub-signature-256", github("other", body).as_str())][..],
        &[("x-hub-signature-256", github("s3cret", "{}").as_str())][..],
        // SHA-1, which GitHub sends, too.
        &[("x-hub-signature", good.as_str())][..],
    ] {
        assert_eq!(deliver(&server, &hook.path, headers, body).await, wrong);
    }
    let delivery = ("x-github-delivery", "72d3162e-cc78-11e3-81ab-4c9367dc0958");
    let headers = [("x-hub-signature-256", good.as_str()), delivery];
    let first = deliver(&server, &hook.path, &headers, body).await;
    assert_eq!(first.0, 200);
    assert_eq!(deliver(&server, &hook.path, &headers, body).await, first);
    // What is known already is no reason to believe who does not sign.
    assert_eq!(deliver(&server, &hook.path, &[delivery], body).await, wrong);
    assert_eq!(usage(&server, &hook.token).await["used"], 1);
    let bad = r#"tidings_webhooks_total{result="bad_signature"}"#;
    // One more than here: the one without a body, until the endpoint was known.
    assert!(server.metric(bad).await >= 5.0);
}

#[tokio::test]
async fn stripes_signature_is_checked_with_its_time_and_its_event_tells_repeats() {
    let server = start().await;
    let hook = verified(&server, "stripe", &["whsec_one"]).await;
    let body = r#"{"id":"evt_1","object":"event"}"#;
    let wrong = refused(401, "Invalid signature");
    for signature in [
        stripe("whsec_two", now(), body),
        stripe("whsec_one", now() - 600, body),
        stripe("whsec_one", now() + 600, body),
        "t=,v1=".to_owned(),
    ] {
        let headers = [("stripe-signature", signature.as_str())];
        assert_eq!(deliver(&server, &hook.path, &headers, body).await, wrong);
    }
    let mut first = None;
    for time in [now() - 200, now(), now() + 200] {
        let signature = stripe("whsec_one", time, body);
        let headers = [
            ("stripe-signature", signature.as_str()),
            // Not signed: whoever caught a delivery could say anything here.
            ("idempotency-key", &signature),
        ];
        let answer = deliver(&server, &hook.path, &headers, body).await;
        assert_eq!(answer.0, 200);
        assert_eq!(*first.get_or_insert(answer.clone()), answer);
    }
    assert_eq!(usage(&server, &hook.token).await["used"], 1);
}

#[tokio::test]
async fn standard_webhooks_are_checked_with_their_id_and_time() {
    let server = start().await;
    let hook = verified(&server, "standard", &[WHSEC]).await;
    let body = r#"{"type":"contact.created"}"#;
    let post = async |signature: &str, id: &str, time: u64| {
        let time = time.to_string();
        let headers = [
            ("webhook-id", id),
            ("webhook-timestamp", time.as_str()),
            ("webhook-signature", signature),
        ];
        deliver(&server, &hook.path, &headers, body).await
    };
    let (time, wrong) = (now(), refused(401, "Invalid signature"));
    let good = standard(WHSEC, "msg_1", time, body);
    assert_eq!(
        post(&standard(OTHER, "msg_1", time, body), "msg_1", time).await,
        wrong
    );
    assert_eq!(post(&good, "msg_2", time).await, wrong);
    assert_eq!(post(&good, "msg_1", time + 1).await, wrong);
    let old = standard(WHSEC, "msg_1", time - 600, body);
    assert_eq!(post(&old, "msg_1", time - 600).await, wrong);
    let first = post(&format!("v1,AAAA {good}"), "msg_1", time).await;
    assert_eq!(first.0, 200);
    assert_eq!(post(&good, "msg_1", time).await, first);
}

#[tokio::test]
async fn the_tolerance_is_a_setting() {
    let server = super::start_with(&[("TIDINGS_WEBSOCKS__SIGNATURE_TOLERANCE", "20m")]).await;
    let hook = verified(&server, "stripe", &["whsec_one"]).await;
    let signature = stripe("whsec_one", now() - 600, "{}");
    let headers = [("stripe-signature", signature.as_str())];
    assert_eq!(deliver(&server, &hook.path, &headers, "{}").await.0, 200);
}

#[tokio::test]
async fn two_secrets_are_good_while_they_are_changed() {
    let server = start().await;
    let hook = verified(&server, "github", &["new", "old"]).await;
    let is_good = async |secret: &str| {
        let signature = github(secret, "{}");
        let headers = [("x-hub-signature-256", signature.as_str())];
        deliver(&server, &hook.path, &headers, "{}").await.0 == 200
    };
    assert!(is_good("new").await && is_good("old").await);
    let rotate = ["webhooks", "rotate", &hook.id, "--secret-file", "-"];
    let rotated = server.command(&rotate, &[], "newer\n");
    assert!(rotated.status.success());
    assert!(rotated.stdout.is_empty());
    server
        .until("the newer secret is good", async || is_good("newer").await)
        .await;
    assert!(is_good("new").await && !is_good("old").await);
}
