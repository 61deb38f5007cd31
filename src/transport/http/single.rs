//! One event stream for all operations of a client: "single connection mode" of GraphQL over Server-Sent
//! Events, for clients that may have few connections at a time, as browsers over HTTP/1.1.
//!
//! PUT reserves a stream and gives a token for it, GET opens it, POST begins an operation whose results go
//! into it, DELETE ends one. Who reserved it is known by the headers of PUT; POST and DELETE need the same
//! credentials. GET needs the token alone, because a browser's `EventSource` cannot say more, and is
//! answered once.

use async_graphql::parser::types::OperationType;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use tokio::sync::{mpsc, oneshot};
use url::form_urlencoded;

use super::accept::{Accept, Json};
use super::reservations::{Reserved, Token};
use super::stream::{Order, Outcome, Stream};
use super::{Asking, Http, authenticate, json, streaming};
use crate::auth::Identity;
use crate::graphql::{GraphqlError, Request, refused_json};
use crate::transport::introduction::Introduction;
use crate::transport::protocol::Protocol;
use crate::transport::stalling::Fate;
use crate::transport::subscriptions::ID_BYTES;

/// Orders that may wait for a stream's task at a time: it takes them at once.
const ORDERS: usize = 16;

const TOKEN_HEADER: &str = "x-graphql-event-stream-token";
const TOKEN_PARAMETER: &str = "token";

impl Http {
    /// Answers a PUT: reserves a stream.
    pub(in crate::transport) async fn reserve(&self, asking: Asking<'_>) -> Response {
        let accept = Accept::of(asking.headers);
        if !accept.takes("text/plain") {
            return refuse(StatusCode::NOT_ACCEPTABLE, "A token is text/plain");
        }
        let said = Introduction::of_headers(asking.headers);
        let let_in = self.let_in(asking, Protocol::SseSingle, said).await;
        let (endpoint, session, registered) = match let_in {
            Ok(let_in) => let_in,
            Err(refused) => return refused.into_response(),
        };
        let (orders, received) = mpsc::channel(ORDERS);
        let reservation = self.reservations.reserve(Reserved {
            identity: session.identity.clone(),
            orders,
        });
        let token = reservation.token.to_string();
        let in_time = endpoint.server.limits.reservation;
        // It goes out by another socket, which is not known yet.
        let fate = Fate::default();
        let (stream, body) = Stream::new(endpoint, session, registered, fate);
        let stream = stream.taking_orders(received, body, in_time);
        tokio::spawn(async move {
            stream.run().await;
            drop(reservation);
        });
        let headers = [
            (header::CONTENT_TYPE, "text/plain; charset=utf-8"),
            (header::CACHE_CONTROL, "no-store"),
        ];
        (StatusCode::CREATED, headers, token).into_response()
    }

    /// Answers the GET with the stream's token: the stream.
    pub(super) async fn open(&self, asking: Asking<'_>, token: &str) -> Response {
        let Some(reserved) = self.reserved(token) else {
            return not_found();
        };
        let fate = asking.fate.clone();
        match reserved.order(|told| Order::Open { fate, told }).await {
            Some(Some(body)) => streaming(Protocol::SseSingle, body),
            Some(None) => refuse(StatusCode::CONFLICT, "Stream already open"),
            None => not_found(),
        }
    }

    /// Answers a POST with a stream's token: its results go into the stream.
    pub(super) async fn begin(
        &self,
        asking: Asking<'_>,
        token: &str,
        id: Option<String>,
        request: Request,
    ) -> Response {
        let (reserved, identity) = match self.owned(asking, token).await {
            Ok(owned) => owned,
            Err(refused) => return refused,
        };
        let Some(id) = id else {
            return refuse(
                StatusCode::BAD_REQUEST,
                "Operation ID is missing: extensions.operationId",
            );
        };
        if id.len() > ID_BYTES {
            let words = format!("Operation ID is longer than {ID_BYTES} bytes");
            return refuse(StatusCode::BAD_REQUEST, &words);
        }
        let graphql = &self.server.graphql;
        let is_subscription = matches!(
            graphql.operation_type(&request),
            Ok(OperationType::Subscription)
        );
        let outcome = if is_subscription {
            let begin = |told| Order::Begin { id, request, told };
            reserved.order(begin).await
        } else {
            self.server.metrics.queries.inc();
            let answer = graphql.execute(&identity, request).await;
            if answer.is_request_error {
                return json(Json::Plain, StatusCode::BAD_REQUEST, answer.json);
            }
            let tell = |told| Order::Tell {
                id,
                payload: answer.json,
                told,
            };
            reserved.order(tell).await
        };
        match outcome {
            Some(Outcome::Accepted) => StatusCode::ACCEPTED.into_response(),
            Some(Outcome::Exists) => {
                refuse(StatusCode::CONFLICT, "Operation with ID already exists")
            }
            Some(Outcome::Refused(errors)) => {
                let body = format!(r#"{{"errors":{errors}}}"#);
                json(Json::Plain, StatusCode::BAD_REQUEST, body)
            }
            None => not_found(),
        }
    }

    /// Answers a DELETE: ends an operation of a stream. One that has ended is as good as ended.
    pub(in crate::transport) async fn end(&self, asking: Asking<'_>) -> Response {
        let Some(token) = token(asking) else {
            return not_found();
        };
        let (reserved, _) = match self.owned(asking, &token).await {
            Ok(owned) => owned,
            Err(refused) => return refused,
        };
        let Some(id) = parameter(asking.parameters, "operationId") else {
            return refuse(
                StatusCode::BAD_REQUEST,
                "Operation ID is missing: ?operationId=",
            );
        };
        match reserved.order(|told| Order::End { id, told }).await {
            Some(()) => StatusCode::OK.into_response(),
            None => not_found(),
        }
    }

    fn reserved(&self, token: &str) -> Option<Reserved> {
        self.reservations.find(Token::parse(token)?)
    }

    /// The stream with this token, and who asks, if it is theirs.
    async fn owned(
        &self,
        asking: Asking<'_>,
        token: &str,
    ) -> Result<(Reserved, Identity), Response> {
        let session = authenticate(&self.server.authenticator, asking.headers).await?;
        let reserved = self.reserved(token).ok_or_else(not_found)?;
        if reserved.identity.is_same_as(&session.identity) {
            Ok((reserved, session.identity))
        } else {
            // Whose it is is nobody else's affair.
            Err(not_found())
        }
    }
}

impl Reserved {
    /// Has the stream's task do something, and gives what it says; `None` if it has ended.
    async fn order<T>(&self, order: impl FnOnce(oneshot::Sender<T>) -> Order) -> Option<T> {
        let (told, hears) = oneshot::channel();
        self.orders.send(order(told)).await.ok()?;
        hears.await.ok()
    }
}

/// The token of an event stream that a request is about: in a header, or where none can be sent in the URL.
pub(super) fn token(asking: Asking<'_>) -> Option<String> {
    let in_header = |headers: &HeaderMap| {
        let token = headers.get(TOKEN_HEADER)?;
        Some(token.to_str().unwrap_or_default().to_owned())
    };
    in_header(asking.headers).or_else(|| parameter(asking.parameters, TOKEN_PARAMETER))
}

fn parameter(parameters: &str, wanted: &str) -> Option<String> {
    let mut all = form_urlencoded::parse(parameters.as_bytes());
    let (_, value) = all.find(|(name, _)| name == wanted)?;
    Some(value.into_owned())
}

fn not_found() -> Response {
    refuse(StatusCode::NOT_FOUND, "Stream not found")
}

fn refuse(status: StatusCode, words: &str) -> Response {
    json(
        Json::Plain,
        status,
        refused_json(&[GraphqlError::new(words)]),
    )
}
