//! Queries over HTTP: `POST /graphql`.
//!
//! The request and its answers follow "GraphQL over HTTP" for `application/json`: a well-formed
//! request is answered 200, whatever its result says.

use std::sync::Arc;

use axum::body::Bytes;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use secrecy::SecretString;

use crate::auth::{AuthError, Authenticator, Credentials, Session};
use crate::graphql::{Graphql, GraphqlError, Request, refused_json};
use crate::metrics::Metrics;

/// Answers queries.
pub struct Queries {
    pub graphql: Arc<Graphql>,
    pub authenticator: Authenticator,
    pub metrics: Arc<Metrics>,
}

impl Queries {
    /// Answers one `POST`.
    pub async fn answer(&self, headers: &HeaderMap, body: Bytes) -> Response {
        self.metrics.queries.inc();
        if !is_json(headers) {
            return refusal(
                StatusCode::UNSUPPORTED_MEDIA_TYPE,
                "Content-Type must be application/json",
            );
        }
        let session = match authenticate(&self.authenticator, headers).await {
            Ok(session) => session,
            Err(response) => return response,
        };
        // serde would take a list for an object without the names of its keys.
        if body.trim_ascii_start().starts_with(b"[") {
            return refusal(
                StatusCode::BAD_REQUEST,
                "Batches are not supported: send one request at a time",
            );
        }
        let request = match serde_json::from_slice::<Request>(&body) {
            Ok(request) => request,
            Err(error) => {
                return refusal(
                    StatusCode::BAD_REQUEST,
                    &format!("The body is not a GraphQL request: {error}"),
                );
            }
        };
        let answer = self.graphql.execute(&session.identity, request).await;
        json(StatusCode::OK, answer.json)
    }
}

/// What to say to a `GET` that is neither an upgrade nor anything else.
pub fn how_to_ask() -> Response {
    let words = "This is a GraphQL endpoint. Subscriptions: WebSocket with the subprotocol graphql-transport-ws. \
                 Queries: POST with Content-Type: application/json.\n";
    (
        StatusCode::METHOD_NOT_ALLOWED,
        [(header::ALLOW, "POST, OPTIONS")],
        words,
    )
        .into_response()
}

/// Who asks, by the headers of a request. Nothing is downgraded: a bad key is answered 401.
pub async fn authenticate(
    authenticator: &Authenticator,
    headers: &HeaderMap,
) -> Result<Session, Response> {
    // A header that is not text is a wrong credential, not an absent one.
    let credential = |name: &str| {
        headers
            .get(name)
            .map(|value| SecretString::from(value.to_str().unwrap_or("not text")))
    };
    let credentials = Credentials {
        api_key: credential("x-api-key"),
        authorization: credential("authorization"),
    };
    match authenticator.authenticate(&credentials, None).await {
        Ok(session) => Ok(session),
        Err(AuthError::Forbidden(_)) => {
            let mut refused = refusal(StatusCode::UNAUTHORIZED, "Unauthorized");
            // RFC 9110, section 11.6.1: a 401 says how to do better.
            let headers = refused.headers_mut();
            headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
            Err(refused)
        }
        Err(AuthError::Unavailable(_)) => {
            let words = "Credentials cannot be checked now, try again later";
            Err(refusal(StatusCode::SERVICE_UNAVAILABLE, words))
        }
    }
}

fn is_json(headers: &HeaderMap) -> bool {
    let content_type = headers
        .get(header::CONTENT_TYPE)
        .and_then(|value| value.to_str().ok())
        .unwrap_or_default();
    let media_type = content_type.split(';').next().unwrap_or_default().trim();
    media_type.eq_ignore_ascii_case("application/json")
}

fn refusal(status: StatusCode, words: &str) -> Response {
    json(status, refused_json(&[GraphqlError::new(words)]))
}

fn json(status: StatusCode, body: String) -> Response {
    (
        status,
        [(header::CONTENT_TYPE, "application/json; charset=utf-8")],
        body,
    )
        .into_response()
}
