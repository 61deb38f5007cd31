//! Operators see connections, and close them: `GET` and `DELETE /v1/connections`.

use std::sync::Arc;

use axum::Json;
use axum::body::Body;
use axum::extract::{Path, RawQuery, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use serde::Deserialize;
use serde_json::json;
use url::form_urlencoded;

use super::http::authenticate;
use super::routes::{Routes, refuse};
use crate::auth::Session;
use crate::registry::{BadFilter, Filter, GoodbyeCode, GoodbyeReason, Tally};

/// What a request to see connections asks for.
#[derive(Debug, PartialEq)]
struct Look {
    filter: Filter,
    limit: usize,
}

/// What a request to close connections asks for.
#[derive(Debug, Default, PartialEq)]
struct Order {
    filter: Filter,
    code: Option<GoodbyeCode>,
    reason: Option<GoodbyeReason>,
}

/// The body of such a request, if it has one.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct OrderBody {
    code: Option<u16>,
    reason: Option<String>,
}

/// What is wrong with a request.
#[derive(Debug, PartialEq, thiserror::Error)]
enum BadRequest {
    #[error(transparent)]
    Filter(#[from] BadFilter),
    #[error("unknown parameter {0:?}: expected one of {1}")]
    Unknown(String, &'static str),
    #[error("{0} is said twice")]
    Twice(String),
    #[error("limit: expected a number from 1 to {MOST}")]
    Limit,
    #[error("code: expected 4403, 1001, 1012 or 1013")]
    Code,
    #[error("reason: expected up to 123 bytes without control characters")]
    Reason,
    #[error("the body is not {{\"code\": …, \"reason\": …}}: {0}")]
    Body(String),
    #[error("say which connections: at least one of account, user, key and connection")]
    Everybody,
}

/// Connections in one answer, if it is not said.
const USUAL: usize = 1_000;
/// And at most.
const MOST: usize = 10_000;

/// `GET /v1/connections`, for keys with the scope `admin`.
pub(super) async fn list(
    State(routes): State<Arc<Routes>>,
    headers: HeaderMap,
    RawQuery(query): RawQuery,
) -> Response {
    if let Err(refused) = administer(&routes, &headers).await {
        return refused;
    }
    let Look { filter, limit } = match Look::read(query.as_deref().unwrap_or_default()) {
        Ok(look) => look,
        Err(bad) => return refuse(StatusCode::BAD_REQUEST, bad.to_string()),
    };
    let seen = routes.registry.list(&filter, limit).await;
    Json(json!({
        "connections": seen.listing.connections,
        "more": seen.listing.more,
        "partial": seen.others.is_err(),
    }))
    .into_response()
}

/// `DELETE /v1/connections`, for keys with the scope `admin`.
pub(super) async fn close(
    State(routes): State<Arc<Routes>>,
    headers: HeaderMap,
    RawQuery(query): RawQuery,
    body: Body,
) -> Response {
    carry_out(&routes, &headers, None, query, body).await
}

/// `DELETE /v1/connections/{connection_id}`, for keys with the scope `admin`.
pub(super) async fn close_one(
    State(routes): State<Arc<Routes>>,
    Path(connection_id): Path<String>,
    headers: HeaderMap,
    RawQuery(query): RawQuery,
    body: Body,
) -> Response {
    carry_out(&routes, &headers, Some(connection_id), query, body).await
}

async fn carry_out(
    routes: &Routes,
    headers: &HeaderMap,
    connection: Option<String>,
    query: Option<String>,
    body: Body,
) -> Response {
    let session = match administer(routes, headers).await {
        Ok(session) => session,
        Err(refused) => return refused,
    };
    let body = match routes.read(body).await {
        Ok(body) => body,
        Err(refused) => return refused,
    };
    let query = query.unwrap_or_default();
    let order = match Order::read(connection.as_deref(), &query, &body) {
        Ok(order) => order,
        Err(bad) => return refuse(StatusCode::BAD_REQUEST, bad.to_string()),
    };
    let code = order.code.unwrap_or_default();
    let closed = routes
        .registry
        .close(&order.filter, code, order.reason)
        .await;
    let Tally { count, silent } = closed.tally;
    tracing::info!(
        connections = count,
        close.code = code.number(),
        filter = %order.filter,
        by = session.credential.key_id().map(tracing::field::display),
        "closed connections"
    );
    match closed.others {
        Ok(()) => Json(json!({ "closed": count, "partial": silent > 0 })).into_response(),
        Err(unavailable) => {
            tracing::warn!(error = %unavailable, "other nodes were not told to close connections");
            let error = "only this node's are closed: the others cannot be told now, try again";
            let answer = Json(json!({ "error": error, "closed": count, "partial": true }));
            (StatusCode::SERVICE_UNAVAILABLE, answer).into_response()
        }
    }
}

/// Whoever may see and close connections.
async fn administer(routes: &Routes, headers: &HeaderMap) -> Result<Session, Response> {
    let authenticator = &routes.server.authenticator;
    let session = authenticate(authenticator, headers).await?;
    if session.identity.scopes().may_administer() {
        Ok(session)
    } else {
        let why = "this needs a key with the scope `admin`";
        Err(refuse(StatusCode::FORBIDDEN, why))
    }
}

impl Look {
    fn read(query: &str) -> Result<Self, BadRequest> {
        let (mut filter, mut limit) = (Filter::default(), USUAL);
        for (name, value) in parameters(query)? {
            if name == "limit" {
                let number = value.parse().ok();
                let number = number.filter(|limit| (1..=MOST).contains(limit));
                limit = number.ok_or(BadRequest::Limit)?;
            } else if !filter.read(&name, &value)? {
                let known = "account, user, key, connection and limit";
                return Err(BadRequest::Unknown(name, known));
            }
        }
        Ok(Look { filter, limit })
    }
}

impl Order {
    fn read(connection: Option<&str>, query: &str, body: &[u8]) -> Result<Self, BadRequest> {
        let mut order = Order::default();
        for (name, value) in parameters(query)? {
            match name.as_str() {
                "connection" if connection.is_some() => return Err(BadRequest::Twice(name)),
                "code" => order.set_code(&value)?,
                "reason" => order.set_reason(&value)?,
                _ if order.filter.read(&name, &value)? => {}
                _ => {
                    let known = "account, user, key, connection, code and reason";
                    return Err(BadRequest::Unknown(name, known));
                }
            }
        }
        if let Some(connection) = connection {
            order.filter.read("connection", connection)?;
        }
        if !body.is_empty() {
            let body: OrderBody = serde_json::from_slice(body)
                .map_err(|error| BadRequest::Body(error.to_string()))?;
            if let Some(code) = body.code {
                order.set_code(&code.to_string())?;
            }
            if let Some(reason) = body.reason {
                order.set_reason(&reason)?;
            }
        }
        // Nobody is closed by leaving something out.
        if order.filter.is_empty() {
            return Err(BadRequest::Everybody);
        }
        Ok(order)
    }

    fn set_code(&mut self, value: &str) -> Result<(), BadRequest> {
        let code = GoodbyeCode::parse(value).ok_or(BadRequest::Code)?;
        match self.code.replace(code) {
            Some(_) => Err(BadRequest::Twice("code".to_owned())),
            None => Ok(()),
        }
    }

    fn set_reason(&mut self, value: &str) -> Result<(), BadRequest> {
        let reason = GoodbyeReason::parse(value).ok_or(BadRequest::Reason)?;
        match self.reason.replace(reason) {
            Some(_) => Err(BadRequest::Twice("reason".to_owned())),
            None => Ok(()),
        }
    }
}

/// The parameters of a query, each once: of two that differ nobody can say which is meant.
fn parameters(query: &str) -> Result<Vec<(String, String)>, BadRequest> {
    let mut parameters: Vec<(String, String)> = Vec::new();
    for (name, value) in form_urlencoded::parse(query.as_bytes()) {
        if parameters.iter().any(|(before, _)| *before == name) {
            return Err(BadRequest::Twice(name.into_owned()));
        }
        parameters.push((name.into_owned(), value.into_owned()));
    }
    Ok(parameters)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn order(connection: Option<&str>, query: &str, body: &str) -> Result<Order, String> {
        Order::read(connection, query, body.as_bytes()).map_err(|bad| bad.to_string())
    }

    #[test]
    fn a_look_without_parameters_is_at_a_thousand_of_all() {
        let look = Look::read("").unwrap();
        assert!(look.filter.is_empty());
        assert_eq!(look.limit, 1000);
        let look = Look::read("user=42&limit=5&connection=a%20b%2Fc").unwrap();
        assert_eq!(look.limit, 5);
        assert_eq!(look.filter.connection.unwrap().as_str(), "a b/c");
    }

    #[test]
    fn what_is_wrong_with_a_look_names_the_parameter() {
        let wrong = |query: &str| Look::read(query).unwrap_err().to_string();
        for (query, words) in [
            ("user=x", "user: expected a number from 1 to 2147483646"),
            ("account=1", "account: expected a UUID with hyphens"),
            ("limit=0", "limit: expected a number from 1 to 10000"),
            ("limit=10001", "limit: expected a number from 1 to 10000"),
            ("user=1&user=2", "user is said twice"),
            (
                "usr=1",
                "unknown parameter \"usr\": expected one of account, user, key, connection and limit",
            ),
        ] {
            assert_eq!(wrong(query), words);
        }
    }

    #[test]
    fn an_order_says_which_and_may_say_how_in_its_query_or_its_body() {
        let plain = order(Some("phone"), "", "").unwrap();
        assert_eq!((plain.code, plain.reason), (None, None));
        let spoken = order(None, "user=42&code=1012&reason=moving", "").unwrap();
        assert_eq!(spoken.code, Some(GoodbyeCode::ServiceRestart));
        let written = order(None, "user=42", r#"{"code":1012,"reason":"moving"}"#);
        assert_eq!(written, Ok(spoken));
    }

    #[test]
    fn nobody_is_closed_by_leaving_something_out() {
        let everybody = "say which connections: at least one of account, user, key and connection";
        for query in ["", "code=1012", "reason=all"] {
            assert_eq!(order(None, query, "").unwrap_err(), everybody);
        }
        let code = "code: expected 4403, 1001, 1012 or 1013";
        assert_eq!(order(None, "user=1&code=1000", "").unwrap_err(), code);
        let reason = "reason: expected up to 123 bytes without control characters";
        assert_eq!(order(None, "user=1&reason=", "").unwrap_err(), reason);
        let twice = "connection is said twice";
        assert_eq!(order(Some("a"), "connection=b", "").unwrap_err(), twice);
        assert!(order(None, "user=1", r#"{"user":2}"#).is_err());
        assert!(order(None, "user=1&limit=3", "").is_err());
    }
}
