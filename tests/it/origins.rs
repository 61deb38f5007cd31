//! Which pages may ask: CORS as browsers ask for it, and the list that holds for everything.

use reqwest::Method;

use crate::client::Client;
use crate::streams::response::Response;
use crate::tidings::{Tidings, http};

const TYPENAME: &str = r#"{"query":"{ __typename }"}"#;
const SANDBOX: &str = "https://studio.apollographql.com";
const SHOP: &str = "https://shop.example";

/// A preflight, as browsers send it for a page of this origin.
async fn preflight(
    server: &Tidings,
    origin: &str,
    method: &str,
    headers: &str,
) -> reqwest::Response {
    let request = http().request(Method::OPTIONS, server.http_url("/graphql"));
    let request = request
        .header("origin", origin)
        .header("access-control-request-method", method)
        .header("access-control-request-headers", headers)
        .header("access-control-request-private-network", "true");
    request.send().await.expect("tidings answers")
}

fn header<'a>(response: &'a reqwest::Response, name: &str) -> &'a str {
    let value = response.headers().get(name);
    value.map_or("", |value| value.to_str().unwrap())
}

#[tokio::test]
async fn apollo_sandbox_may_ask_from_its_page() {
    let server = Tidings::start().await;
    let asked = "authorization,content-type,x-api-key,x-connection-id";
    let preflight = preflight(&server, SANDBOX, "POST", asked).await;
    assert_eq!(preflight.status(), 200);
    assert_eq!(header(&preflight, "access-control-allow-origin"), "*");
    assert_eq!(header(&preflight, "access-control-allow-headers"), asked);
    assert_eq!(
        header(&preflight, "access-control-allow-private-network"),
        "true"
    );
    assert_eq!(header(&preflight, "access-control-max-age"), "86400");
    let methods = header(&preflight, "access-control-allow-methods");
    for method in ["GET", "POST", "PUT", "DELETE"] {
        assert!(methods.contains(method), "{methods}");
    }
    // The answer, too, and one that refuses: pages show what it says.
    for key in ["", "nonsense"] {
        let request = http().post(server.http_url("/graphql"));
        let request = request.header("origin", SANDBOX).header("x-api-key", key);
        let request = request.header("content-type", "application/json");
        let answer = request.body(TYPENAME).send().await.unwrap();
        assert_eq!(header(&answer, "access-control-allow-origin"), "*");
        assert_eq!(
            header(&answer, "access-control-expose-headers"),
            "retry-after"
        );
    }
}

#[tokio::test]
async fn a_list_of_origins_holds_for_everything() {
    let listed = format!("{SHOP},http://localhost:3000");
    let server = Tidings::start_with(&[("TIDINGS_SERVER__ALLOWED_ORIGINS", &listed)]).await;
    let allowed = preflight(&server, SHOP, "POST", "content-type").await;
    assert_eq!(header(&allowed, "access-control-allow-origin"), SHOP);
    let other = preflight(&server, SANDBOX, "POST", "content-type").await;
    assert_eq!(header(&other, "access-control-allow-origin"), "");
    let json = ("Content-Type", "application/json");
    let events = ("Accept", "text/event-stream");
    let parts = ("Accept", "multipart/mixed;subscriptionSpec=1.0");
    let asks = r#"{"query":"subscription { realtimePrice(input: { currency: \"USD\" }) { errors { message } } }"}"#;
    for (origin, status) in [(SHOP, 200), (SANDBOX, 403), ("null", 403)] {
        let origin = ("Origin", origin);
        for accept in [("Accept", "*/*"), events, parts] {
            let headers = [json, origin, accept];
            let body = if accept.1 == "*/*" { TYPENAME } else { asks };
            let answer = Response::of(server.address(), "POST", "/graphql", &headers, body).await;
            assert_eq!(answer.status, status, "{origin:?} {accept:?}");
        }
        let reserved = Response::of(server.address(), "PUT", "/graphql", &[origin], "").await;
        assert_eq!(reserved.status == 201, status == 200);
        let upgrade = [
            origin,
            ("Connection", "upgrade"),
            ("Upgrade", "websocket"),
            ("Sec-WebSocket-Version", "13"),
            ("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ=="),
            ("Sec-WebSocket-Protocol", "graphql-transport-ws"),
        ];
        let upgraded = Response::of(server.address(), "GET", "/graphql", &upgrade, "").await;
        assert_eq!(upgraded.status == 101, status == 200, "{}", upgraded.status);
    }
    // Programs that are no pages say no origin.
    let subprotocol = Some("graphql-transport-ws");
    let mut client = Client::connect(server.address(), subprotocol).await;
    client.init("{}").await;
}

#[tokio::test]
async fn an_origin_that_browsers_would_not_send_is_refused_at_start() {
    let server = Tidings::start().await;
    for bad in ["https://shop.example/", "shop.example", "https://*.example"] {
        let settings = [("TIDINGS_SERVER__ALLOWED_ORIGINS", bad)];
        let ended = server.command(&["config", "check"], &settings, "");
        assert!(!ended.status.success(), "{bad}");
        let said = String::from_utf8(ended.stderr).unwrap();
        assert!(said.contains("server.allowed_origins"), "{said}");
        assert!(said.contains("as browsers send it"), "{said}");
    }
}
