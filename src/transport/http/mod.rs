//! GraphQL over HTTP: results at once, and responses that go on.
//!
//! A query is answered as "GraphQL over HTTP" has it. A subscription is answered by a response that goes
//! on, if the client takes one: Server-Sent Events (`sse`) or multipart (`multipart`). Many operations share
//! one event stream where a client asks for that (`single`).

mod accept;
pub(super) mod multipart;
mod request;
mod reservations;
mod single;
pub(super) mod sse;
mod stream;
pub(super) mod websocks;

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use async_graphql::parser::types::OperationType;
use axum::body::Bytes;
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use axum::response::{IntoResponse, Response};

use self::accept::{Accept, Json};
use self::request::BadRequest;
pub(super) use self::request::names_document;
use self::reservations::Reservations;
use self::stream::Stream;
use super::close::Close;
use super::endpoint::{Client, Endpoint, NotLetIn, admit};
use super::entrance::{COME_AGAIN, Entrance};
use super::introduction::Introduction;
use super::operation::Operation;
use super::protocol::Protocol;
use super::server::{ConnectionLimits, Server};
use super::stalling::Fate;
use crate::auth::{AuthError, Authenticator, Session};
use crate::graphql::{Answer, GraphqlError, Request, refused_json};
use crate::hub::Outbox;
use crate::registry::Registered;

/// Answers HTTP requests at the GraphQL paths.
pub struct Http {
    server: Arc<Server>,
    entrance: Arc<Entrance>,
    reservations: Reservations,
}

/// What a response that goes on says besides results.
#[derive(Debug)]
pub(super) struct Flow {
    pub(super) content_type: &'static str,
    /// Its first bytes: they tell proxies and clients that it has begun.
    begin: &'static str,
    /// What says that we are there, now and then,
    beat: &'static str,
    /// and how often.
    interval: fn(&ConnectionLimits) -> Duration,
    farewell: Farewell,
}

/// How it is said why a response ends before its operations do.
#[derive(Clone, Copy, Debug)]
enum Farewell {
    /// It just ends.
    None,
    /// It just ends where its client should come back, which it does then; else each operation gets an error.
    OfEachOperation,
    /// The last bytes, with the errors that say why, as a JSON list.
    OfAll(fn(&str) -> String),
}

/// Who asks, and what answers it takes.
#[derive(Clone, Copy)]
pub(super) struct Asking<'a> {
    pub(super) headers: &'a HeaderMap,
    /// Behind the `?`.
    pub(super) parameters: &'a str,
    pub(super) address: IpAddr,
    /// Of the socket that it comes by.
    pub(super) fate: &'a Fate,
}

impl Http {
    pub fn new(server: Arc<Server>, entrance: Arc<Entrance>) -> Self {
        Http {
            server,
            entrance,
            reservations: Reservations::default(),
        }
    }

    /// Answers a GET, or a HEAD: a query, a subscription, or an event stream that was reserved.
    pub(super) async fn get(&self, method: &Method, asking: Asking<'_>) -> Response {
        let accept = Accept::of(asking.headers);
        if let Some(token) = single::token(asking) {
            return match *method == Method::HEAD {
                // It would be taken away from whoever it is for: a stream is opened once.
                true => refuse_method(&accept, "A stream is opened by GET", "GET"),
                false => self.open(asking, &token).await,
            };
        }
        let request = match request::of_parameters(asking.parameters) {
            Ok(Some(request)) => request,
            Ok(None) => return how_to_ask(),
            Err(bad) => return refuse_request(&accept, &bad),
        };
        // A link must not change anything, whoever put it where. An operation that is none is said so below.
        if let Ok(OperationType::Mutation) = self.server.graphql.operation_type(&request) {
            return refuse_method(&accept, "A mutation needs a POST", "POST");
        }
        self.answer(asking, &accept, request).await
    }

    /// Answers a POST: any operation, for a stream of its own or for one that is open.
    pub(super) async fn post(&self, asking: Asking<'_>, body: &Bytes) -> Response {
        let accept = Accept::of(asking.headers);
        let request = match request::of_body(asking.headers, body) {
            Ok(request) => request,
            Err(bad) => return refuse_request(&accept, &bad),
        };
        match single::token(asking) {
            Some(token) => {
                let id = request::operation_id(body);
                self.begin(asking, &token, id, request).await
            }
            None => self.answer(asking, &accept, request).await,
        }
    }

    async fn answer(&self, asking: Asking<'_>, accept: &Accept<'_>, request: Request) -> Response {
        let operation = self.server.graphql.operation_type(&request);
        if let (Ok(OperationType::Subscription), Some(protocol)) = (&operation, accept.stream()) {
            return self.stream(asking, protocol, request).await;
        }
        if accept.json().is_none() && accept.stream().is_none() {
            let words = "Accept must take application/json, application/graphql-response+json, \
                         text/event-stream or multipart/mixed;subscriptionSpec=1.0";
            return refuse(accept, StatusCode::NOT_ACCEPTABLE, words);
        }
        self.server.metrics.queries.inc();
        match authenticate(&self.server.authenticator, asking.headers).await {
            Ok(session) => {
                let answer = self.server.graphql.execute(&session.identity, request);
                result(accept, answer.await)
            }
            Err(refused) => refused,
        }
    }

    /// Answers with a stream of one operation.
    async fn stream(&self, asking: Asking<'_>, protocol: Protocol, request: Request) -> Response {
        let said = Introduction::of_headers(asking.headers);
        match self.let_in(asking, protocol, said).await {
            Ok(let_in) => flowing(asking.fate.clone(), let_in, Operation::Graphql(request)),
            Err(refused) => refused.into_response(),
        }
    }

    /// Lets a client in that wants a stream; or says why not.
    pub(super) async fn let_in(
        &self,
        asking: Asking<'_>,
        protocol: Protocol,
        said: Introduction,
    ) -> Result<LetIn, NotLetIn> {
        let server = &self.server;
        let place = self
            .entrance
            .enter(asking.address)
            .map_err(NotLetIn::Full)?;
        let client = Client::at(asking.address);
        let outbox = Outbox::new(server.outbox_rules(protocol), protocol.framing(), None);
        let mut endpoint = Endpoint::new(server.clone(), client, protocol, outbox.clone());
        endpoint.take_place(place);
        match admit(server, client, protocol, outbox, said).await {
            Ok((session, registered)) => {
                endpoint.set_session(&session);
                Ok((endpoint, session, registered))
            }
            Err(close) => {
                endpoint.ended(&close);
                Err(NotLetIn::Refused(close))
            }
        }
    }
}

/// A client that was let in: our end of the conversation, who it is, and its place among all who are there.
pub(super) type LetIn = (Endpoint, Session, Registered);

impl IntoResponse for NotLetIn {
    fn into_response(self) -> Response {
        match self {
            NotLetIn::Full(full) => full.into_response(),
            NotLetIn::Refused(close) => refuse_client(&close),
        }
    }
}

/// Answers with a stream of one operation.
fn flowing(fate: Fate, let_in: LetIn, operation: Operation) -> Response {
    let (endpoint, session, registered) = let_in;
    let protocol = endpoint.protocol;
    let (mut stream, body) = Stream::new(endpoint, session, registered, fate);
    stream.begin(operation);
    tokio::spawn(stream.run());
    streaming(protocol, body)
}

/// Who asks, by the headers of a request. Nothing is downgraded: a bad key is answered 401.
pub async fn authenticate(
    authenticator: &Authenticator,
    headers: &HeaderMap,
) -> Result<Session, Response> {
    let said = Introduction::of_headers(headers);
    let session = authenticator.authenticate(&said.credentials, None).await;
    session.map_err(|error| {
        refuse_client(&match error {
            AuthError::Forbidden(_) => Close::Forbidden,
            AuthError::Unavailable(_) => Close::Unavailable,
        })
    })
}

/// Answers whoever is not let in.
fn refuse_client(close: &Close) -> Response {
    let words = match close {
        Close::Forbidden => "Unauthorized".to_owned(),
        _ => close.reason(),
    };
    let words = refused_json(&[GraphqlError::new(words)]);
    advise(json(Json::Plain, status_of(close), words))
}

/// The status that says why somebody is not let in.
pub(super) fn status_of(close: &Close) -> StatusCode {
    match close {
        Close::Forbidden => StatusCode::UNAUTHORIZED,
        Close::BadConnectionId(_) => StatusCode::BAD_REQUEST,
        Close::TooManyConnections(_) => StatusCode::TOO_MANY_REQUESTS,
        _ => StatusCode::SERVICE_UNAVAILABLE,
    }
}

/// Adds to such an answer what to do about it.
pub(super) fn advise(mut refused: Response) -> Response {
    let advice = match refused.status() {
        // RFC 9110, section 11.6.1: a 401 says how to do better.
        StatusCode::UNAUTHORIZED => {
            let bearer = HeaderValue::from_static("Bearer");
            Some((header::WWW_AUTHENTICATE, bearer))
        }
        StatusCode::TOO_MANY_REQUESTS => Some((header::RETRY_AFTER, COME_AGAIN.as_secs().into())),
        _ => None,
    };
    refused.headers_mut().extend(advice);
    refused
}

/// What to say to a `GET` that is neither an upgrade nor anything else.
fn how_to_ask() -> Response {
    let words = "This is a GraphQL endpoint.\n\
                 Subscriptions: WebSocket with the subprotocol graphql-transport-ws or graphql-ws;\n\
                 GET or POST with Accept: text/event-stream; POST with Accept: multipart/mixed;subscriptionSpec=1.0\n\
                 Queries: POST with Content-Type: application/json, or GET with ?query=\n";
    (StatusCode::BAD_REQUEST, words).into_response()
}

/// The result of an operation, in whatever the client takes.
fn result(accept: &Accept<'_>, answer: Answer) -> Response {
    if let Some(media) = accept.json() {
        let status = match media {
            Json::GraphqlResponse if answer.is_request_error => StatusCode::BAD_REQUEST,
            Json::GraphqlResponse | Json::Plain => StatusCode::OK,
        };
        return json(media, status, answer.json);
    }
    let protocol = accept.stream().unwrap_or(Protocol::Sse);
    let begin = match protocol {
        Protocol::Multipart => multipart::FLOW.begin,
        _ => "",
    };
    streaming(protocol, format!("{begin}{}", protocol.only(&answer.json)))
}

fn streaming(protocol: Protocol, body: impl IntoResponse) -> Response {
    let headers = [
        (header::CONTENT_TYPE, protocol.flow().content_type),
        (header::CACHE_CONTROL, "no-cache, no-transform"),
        // nginx would keep what it reads until it has enough of it.
        (header::HeaderName::from_static("x-accel-buffering"), "no"),
    ];
    (headers, body).into_response()
}

fn refuse_request(accept: &Accept<'_>, bad: &BadRequest) -> Response {
    refuse(accept, bad.status(), &bad.to_string())
}

fn refuse_method(accept: &Accept<'_>, words: &str, allowed: &'static str) -> Response {
    let mut refused = refuse(accept, StatusCode::METHOD_NOT_ALLOWED, words);
    let allow = HeaderValue::from_static(allowed);
    refused.headers_mut().insert(header::ALLOW, allow);
    refused
}

/// Answers what is no GraphQL request, or cannot be answered otherwise.
fn refuse(accept: &Accept<'_>, status: StatusCode, words: &str) -> Response {
    let media = accept.json().unwrap_or(Json::Plain);
    json(media, status, refused_json(&[GraphqlError::new(words)]))
}

fn json(media: Json, status: StatusCode, body: String) -> Response {
    let headers = [
        (header::CONTENT_TYPE, media.content_type()),
        // What a GET is answered holds for now, and for who asked.
        (header::CACHE_CONTROL, "no-store"),
    ];
    (status, headers, body).into_response()
}
