//! The three subscriptions to an invoice.

use super::first;
use crate::bodies::Invoice;
use crate::tidings::Tidings;

/// An example of BOLT 11 that expired in 2017.
const COFFEE: &str = "lnbc2500u1pvjluezsp5zyg3zyg3zyg3zyg3zyg3zyg3zyg3zyg3zyg3zyg3zyg3zyg3zygspp5qqqsyqcyq5rqwzqfqqqsyqcyq5rqwzqfqqqsyqcyq5rqwzqfqypqdq5xysxxatsyp3k7enxv4jsxqzpu9qrsgquk0rl77nj30yxdy8j9vdx85fkpmdla2087ne0xh8nhedh8w27kyke0lp53ut353s06fv3qfegext0eh0ymjpf39tuven09sam30g4vgpfna3rh";
const COFFEE_HASH: &str = "0001020304050607080900010203040506070809000102030405060708090102";
/// An example from before payment secrets.
const WITHOUT_SECRET: &str = "lnbc2500u1pvjluezpp5qqqsyqcyq5rqwzqfqqqsyqcyq5rqwzqfqqqsyqcyq5rqwzqfqypqdq5xysxxatsyp3k7enxv4jsxqzpuaztrnwngzn3kdzw5hydlzf03qdgm2hdq27cqv3agm2awhz5se903vruatfhq77w3ls4evs3ch9zw97j25emudupq63nyw24cg27h2rspfj9srp";

const BY_REQUEST: [&str; 2] = [
    "lnInvoicePaymentStatus",
    "lnInvoicePaymentStatusByPaymentRequest",
];
const FIELDS: &str =
    "{ errors { message code path } status paymentHash paymentRequest paymentPreimage }";

fn by_request(field: &str, request: &str) -> String {
    format!(r#"subscription {{ {field}(input: {{ paymentRequest: "{request}" }}) {FIELDS} }}"#)
}

fn by_hash(hash: &str) -> String {
    format!(
        r#"subscription {{ lnInvoicePaymentStatusByHash(input: {{ paymentHash: "{hash}" }}) {FIELDS} }}"#
    )
}

fn told(field: &str, status: &str, hash: &str, request: &str, preimage: &str) -> String {
    format!(
        r#"{{"data":{{"{field}":{{"errors":[],"status":"{status}","paymentHash":"{hash}","paymentRequest":"{request}","paymentPreimage":{preimage}}}}}}}"#
    )
}

fn failed(field: &str, message: &str, code: &str) -> String {
    let message = serde_json::to_string(message).unwrap();
    format!(
        r#"{{"data":{{"{field}":{{"errors":[{{"message":{message},"code":"{code}","path":null}}],"status":null,"paymentHash":null,"paymentRequest":null,"paymentPreimage":null}}}}}}"#
    )
}

#[tokio::test]
async fn an_invoice_that_cannot_be_decoded_is_told_why() {
    let server = Tidings::start().await;
    let mut client = server.anonymous().await;
    for (request, message) in [
        (
            COFFEE.replace("quk0rl", "quk0rq").as_str(),
            "Invoice has an invalid checksum, please check again",
        ),
        (
            COFFEE.replace("quk0rl", "quk0rb").as_str(),
            "Invoice has an unknown character, couldn't decode.",
        ),
        (
            WITHOUT_SECRET,
            "Invoice is missing its 'payment secret' value",
        ),
        ("lnqq", "Invalid lightning request, couldn't decode."),
    ] {
        for field in BY_REQUEST {
            assert_eq!(
                first(&mut client, &by_request(field, request), "{}").await,
                failed(field, message, "INVOICE_DECODE_ERROR")
            );
        }
    }
    // The subscription stays open, as at Blink.
    client
        .subscribe("1", &by_request(BY_REQUEST[0], "lnqq"))
        .await;
    client.text().await;
    assert_eq!(client.fence().await, [""; 0]);
    client
        .subscribe("1", &by_request(BY_REQUEST[0], "lnqq"))
        .await;
    assert_eq!(client.closed().await.0, 4409);
}

#[tokio::test]
async fn an_invoice_whose_time_is_over_is_expired() {
    let server = Tidings::start().await;
    let mut client = server.anonymous().await;
    for field in BY_REQUEST {
        for request in [COFFEE, &COFFEE.to_uppercase()] {
            client.subscribe("1", &by_request(field, request)).await;
            let payload = told(field, "EXPIRED", COFFEE_HASH, request, "null");
            assert_eq!(
                client.text().await,
                format!(r#"{{"id":"1","type":"next","payload":{payload}}}"#)
            );
            assert_eq!(client.text().await, r#"{"id":"1","type":"complete"}"#);
        }
    }
}

#[tokio::test]
async fn an_invoice_is_pending_and_then_paid_with_its_request_and_preimage() {
    let server = Tidings::start().await;
    let mut client = server.anonymous().await;
    let invoice = Invoice::new();
    let by_hash_field = "lnInvoicePaymentStatusByHash";
    let [old, new] = BY_REQUEST;
    let upper = invoice.request.to_uppercase();
    server
        .publish(&invoice.channel(), &invoice.told("Pending"))
        .await;
    // Each hears the request in his own spelling, and who asks by the hash in the publisher's.
    let questions = [
        (
            "1",
            old,
            by_request(old, &invoice.request),
            invoice.request.as_str(),
        ),
        ("2", new, by_request(new, &upper), upper.as_str()),
        (
            "3",
            by_hash_field,
            by_hash(&invoice.hash.to_uppercase()),
            invoice.request.as_str(),
        ),
    ];
    let message =
        |id: &str, payload: String| format!(r#"{{"id":"{id}","type":"next","payload":{payload}}}"#);
    let known = serde_json::json!({"query": format!("{{ lnInvoicePaymentStatusByHash(input: {{ paymentHash: \"{}\" }}) {{ status }} }}", invoice.hash)}).to_string();
    server
        .until("the invoice is known", async || {
            server
                .post("/graphql", "", &known)
                .await
                .1
                .contains("PENDING")
        })
        .await;
    for (id, field, query, request) in &questions {
        client.subscribe(id, query).await;
        assert_eq!(
            client.text().await,
            message(id, told(field, "PENDING", &invoice.hash, request, "null"))
        );
    }
    // Blink's own message has no request in it.
    server.publish(&invoice.channel(), &invoice.paid()).await;
    let preimage = format!("\"{}\"", invoice.preimage);
    let mut texts = Vec::new();
    for _ in 0..6 {
        texts.push(client.text().await);
    }
    for (id, field, _, request) in &questions {
        let paid = message(id, told(field, "PAID", &invoice.hash, request, &preimage));
        let complete = format!(r#"{{"id":"{id}","type":"complete"}}"#);
        let of_id: Vec<_> = texts
            .iter()
            .filter(|text| text.starts_with(&format!(r#"{{"id":"{id}""#)))
            .collect();
        assert_eq!(of_id, [&paid, &complete]);
    }
    // Who asks later is told at once.
    for (id, field, query, request) in &questions {
        client.subscribe(id, query).await;
        assert_eq!(
            client.text().await,
            message(id, told(field, "PAID", &invoice.hash, request, &preimage))
        );
        assert_eq!(
            client.text().await,
            format!(r#"{{"id":"{id}","type":"complete"}}"#)
        );
    }
}

#[tokio::test]
async fn an_unknown_hash_is_not_found_until_something_is_told_of_it() {
    let server = Tidings::start().await;
    let mut client = server.anonymous().await;
    let invoice = Invoice::new();
    let field = "lnInvoicePaymentStatusByHash";
    let message = format!(
        "Unexpected error occurred, please try again or contact support if it persists (code: InvoiceNotFoundError: {{\"paymentHash\":\"{}\"}})",
        invoice.hash
    );
    client.subscribe("7", &by_hash(&invoice.hash)).await;
    let payload = failed(field, &message, "UNEXPECTED_CLIENT_ERROR");
    assert_eq!(
        client.text().await,
        format!(r#"{{"id":"7","type":"next","payload":{payload}}}"#)
    );
    server
        .publish(&invoice.channel(), &invoice.told("Pending"))
        .await;
    let payload = told(field, "PENDING", &invoice.hash, &invoice.request, "null");
    assert_eq!(
        client.text().await,
        format!(r#"{{"id":"7","type":"next","payload":{payload}}}"#)
    );
    server.publish(&invoice.channel(), &invoice.paid()).await;
    let payload = told(
        field,
        "PAID",
        &invoice.hash,
        &invoice.request,
        &format!("\"{}\"", invoice.preimage),
    );
    assert_eq!(
        client.text().await,
        format!(r#"{{"id":"7","type":"next","payload":{payload}}}"#)
    );
}

#[tokio::test]
async fn errors_of_a_publisher_are_told_and_do_not_end_it() {
    let server = Tidings::start().await;
    let mut client = server.anonymous().await;
    let invoice = Invoice::new();
    client.subscribe("1", &by_hash(&invoice.hash)).await;
    client.text().await;
    for (message, code) in [
        (
            format!(
                "User tried to pay invoice with hash {}, but it does not exist",
                invoice.hash
            ),
            "LIGHTNING_PAYMENT_ERROR",
        ),
        (
            "Unknown error occurred (code: UnknownLedgerError)".to_owned(),
            "DB_ERROR",
        ),
    ] {
        let body = serde_json::json!({"errors": [{"message": message, "code": code}]});
        server.publish(&invoice.channel(), &body.to_string()).await;
        let payload = failed("lnInvoicePaymentStatusByHash", &message, code);
        assert_eq!(
            client.text().await,
            format!(r#"{{"id":"1","type":"next","payload":{payload}}}"#)
        );
    }
    server.publish(&invoice.channel(), &invoice.paid()).await;
    assert!(client.text().await.contains("PAID"));
}

#[tokio::test]
async fn an_invoice_that_is_good_for_months_does_not_expire_at_once() {
    let server = Tidings::start().await;
    let mut client = server.anonymous().await;
    // Timers of Node fire at once beyond 24.8 days; none of ours may.
    let invoice = Invoice::valid_for(std::time::Duration::from_secs(60 * 60 * 24 * 365));
    client.subscribe("1", &invoice.by_request()).await;
    assert!(client.text().await.contains("PENDING"));
    server.publish(&invoice.channel(), &invoice.paid()).await;
    assert!(client.text().await.contains("PAID"));
}
