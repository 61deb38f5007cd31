//! Which path is answered by whom.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::extract::ws::rejection::WebSocketUpgradeRejection;
use axum::extract::{Extension, Path, RawQuery, State};
use axum::http::{HeaderMap, Method, StatusCode, Uri, header};
use axum::middleware::from_fn_with_state;
use axum::response::{IntoResponse, Response};
use axum::routing::{delete, get, post};
use axum::{Json, Router};
use http_body_util::{BodyExt, LengthLimitError, Limited};

use super::address::{Peer, TrustedProxies};
use super::connections::{close, close_one, list};
use super::endpoint::Client;
use super::entrance::Entrance;
use super::http::{Asking, Http, authenticate};
use super::introduction::Introduction;
use super::origin::{Origins, guard};
use super::playground::{self, Playground};
use super::server::Server;
use super::ws::{self, Upgrade};
use crate::drain::Drain;
use crate::hub::Hub;
use crate::ingest::{Refused, check};
use crate::metrics::Metrics;
use crate::registry::Registry;

/// What the routes lead to.
pub struct Routes {
    /// Where GraphQL is, for people.
    pub path: String,
    /// Where it is, too.
    pub also_at: Vec<String>,
    /// Whose pages may ask.
    pub origins: Origins,
    pub server: Arc<Server>,
    pub entrance: Arc<Entrance>,
    pub http: Http,
    /// What browsers are shown, if anything.
    pub playground: Option<Playground>,
    pub registry: Arc<Registry>,
    pub proxies: TrustedProxies,
    pub hub: Arc<Hub>,
    pub metrics: Arc<Metrics>,
    pub drain: Drain,
    /// Of the bodies of requests.
    pub message_bytes: usize,
    /// For the body of a request.
    pub body_timeout: Duration,
}

/// Whether a path is one that leads elsewhere than to GraphQL.
pub fn is_fixed(path: &str) -> bool {
    let fixed = ["/healthz", "/readyz", "/metrics", "/v1"];
    fixed.contains(&path) || path.starts_with("/v1/")
}

/// Whether a path is one of WebSocks', besides that of its WebSocket.
pub fn is_of_websocks(path: &str) -> bool {
    let fixed = ["/api/usage", "/api/events/stream"];
    fixed.contains(&path) || path.starts_with("/api/in/")
}

impl Routes {
    /// All routes.
    pub fn router(self) -> Router {
        let cors = self.origins.cors();
        let guard = from_fn_with_state(self.origins.clone(), guard);
        let fixed = Router::new()
            .route("/v1/events/{channel}", post(publish))
            .route("/v1/connections", get(list).delete(close))
            .route("/v1/connections/{connection_id}", delete(close_one))
            .route("/healthz", get(|| async { "ok\n" }))
            .route("/readyz", get(ready))
            .route("/metrics", get(metrics));
        // A set, because a path that is routed twice is a panic.
        let paths: BTreeSet<_> = self.also_at.iter().chain([&self.path]).collect();
        let mut router = paths.iter().fold(fixed, |router, path| {
            router.route(path, get(ask).post(ask_by_post).put(reserve).delete(end))
        });
        if let Some(shared) = &self.server.apis.allenhark {
            router = router.merge(ws::allenhark::routes(shared));
        }
        if let Some(intake) = &self.server.apis.websocks {
            router = router.merge(ws::websocks::routes(intake));
        }
        if let Some(shared) = &self.server.apis.blockdb {
            router = router.merge(ws::blockdb::routes(shared));
        }
        if self.playground.is_some() {
            for route in playground::routes(&paths) {
                router = router.route(&route, get(playground_file));
            }
        }
        router
            .fallback(not_found)
            .layer(guard)
            .layer(cors)
            .with_state(Arc::new(self))
    }
}

impl Routes {
    fn asking<'a>(
        &self,
        peer: &'a Peer,
        headers: &'a HeaderMap,
        parameters: &'a Option<String>,
    ) -> Asking<'a> {
        Asking {
            headers,
            fate: &peer.fate,
            parameters: parameters.as_deref().unwrap_or_default(),
            address: self.proxies.client(peer.address, headers),
        }
    }

    /// The body of a request, in full and in time.
    pub(super) async fn read(&self, body: Body) -> Result<Bytes, Response> {
        let mut body = body;
        let read = self.read_up_to(&mut body, self.message_bytes).await;
        read.map_err(|unread| {
            let words = match unread {
                Unread::TooLong => "the body is too long\n",
                Unread::Broken => "",
                Unread::TooSlow => "the body did not come\n",
            };
            (unread.status(), words).into_response()
        })
    }

    /// The same, with a limit of its own. Of one that is too long the rest is left.
    pub(super) async fn read_up_to(&self, body: &mut Body, bytes: usize) -> Result<Bytes, Unread> {
        let read = Limited::new(body, bytes).collect();
        match tokio::time::timeout(self.body_timeout, read).await {
            Ok(Ok(body)) => Ok(body.to_bytes()),
            Ok(Err(error)) if error.is::<LengthLimitError>() => Err(Unread::TooLong),
            Ok(Err(_)) => Err(Unread::Broken),
            Err(_) => Err(Unread::TooSlow),
        }
    }
}

/// Why the body of a request was not read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Unread {
    TooLong,
    /// It ended in the middle.
    Broken,
    TooSlow,
}

impl Unread {
    pub(super) fn status(self) -> StatusCode {
        match self {
            Unread::TooLong => StatusCode::PAYLOAD_TOO_LARGE,
            Unread::Broken => StatusCode::BAD_REQUEST,
            Unread::TooSlow => StatusCode::REQUEST_TIMEOUT,
        }
    }
}

/// A GET at a GraphQL path: an upgrade, or a request like others.
async fn ask(
    State(routes): State<Arc<Routes>>,
    Extension(peer): Extension<Peer>,
    RawQuery(parameters): RawQuery,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    upgrade: Result<Upgrade, WebSocketUpgradeRejection>,
) -> Response {
    if routes.drain.begun.is_cancelled() {
        return stopping();
    }
    let asking = routes.asking(&peer, &headers, &parameters);
    match upgrade {
        Ok(upgrade) => {
            let place = match routes.entrance.enter(asking.address) {
                Ok(place) => place,
                Err(full) => return full.into_response(),
            };
            let client = Client::at(asking.address);
            let said = Introduction::of_headers(&headers);
            ws::accept(routes.server.clone(), upgrade, client, place, said)
        }
        Err(rejection) if headers.contains_key(header::UPGRADE) => rejection.into_response(),
        Err(_) => {
            let playground = routes.playground.as_ref();
            match playground.and_then(|playground| playground.page(&uri, &headers)) {
                Some(page) => page,
                None => routes.http.get(&method, asking).await,
            }
        }
    }
}

/// `GET <path>/playground/<name>`
async fn playground_file(
    State(routes): State<Arc<Routes>>,
    Path(name): Path<String>,
    headers: HeaderMap,
) -> Response {
    let playground = routes.playground.as_ref();
    match playground.and_then(|playground| playground.file(&name, &headers)) {
        Some(file) => file,
        None => not_found(State(routes)).await,
    }
}

async fn ask_by_post(
    State(routes): State<Arc<Routes>>,
    Extension(peer): Extension<Peer>,
    RawQuery(parameters): RawQuery,
    headers: HeaderMap,
    body: Body,
) -> Response {
    if routes.drain.begun.is_cancelled() {
        return stopping();
    }
    match routes.read(body).await {
        Ok(body) => {
            let asking = routes.asking(&peer, &headers, &parameters);
            routes.http.post(asking, &body).await
        }
        Err(refused) => refused,
    }
}

async fn reserve(
    State(routes): State<Arc<Routes>>,
    Extension(peer): Extension<Peer>,
    RawQuery(parameters): RawQuery,
    headers: HeaderMap,
) -> Response {
    if routes.drain.begun.is_cancelled() {
        return stopping();
    }
    let asking = routes.asking(&peer, &headers, &parameters);
    routes.http.reserve(asking).await
}

async fn end(
    State(routes): State<Arc<Routes>>,
    Extension(peer): Extension<Peer>,
    RawQuery(parameters): RawQuery,
    headers: HeaderMap,
) -> Response {
    let asking = routes.asking(&peer, &headers, &parameters);
    routes.http.end(asking).await
}

/// `POST /v1/events/<channel>`, for keys with the scope `publish`.
async fn publish(
    State(routes): State<Arc<Routes>>,
    Path(channel): Path<String>,
    headers: HeaderMap,
    body: Body,
) -> Response {
    match authenticate(&routes.server.authenticator, &headers).await {
        Ok(session) if session.identity.scopes().may_publish() => {}
        Ok(_) => {
            return refuse(
                StatusCode::FORBIDDEN,
                "this needs a key with the scope `publish`",
            );
        }
        Err(response) => return response,
    }
    let body = match routes.read(body).await {
        Ok(body) => body,
        Err(refused) => return refused,
    };
    let topic = match check(&channel, &body) {
        Ok((topic, _)) => topic,
        Err(refused @ Refused::UnknownChannel(_)) => {
            return refuse(StatusCode::NOT_FOUND, refused.to_string());
        }
        Err(refused) => return refuse(StatusCode::UNPROCESSABLE_ENTITY, refused.to_string()),
    };
    match routes.hub.publish(&topic, body).await {
        Ok(()) => StatusCode::ACCEPTED.into_response(),
        Err(away) => refuse(StatusCode::SERVICE_UNAVAILABLE, away.to_string()),
    }
}

/// Ready for new clients: not while stopping, and not while the bus is away, when they would hear
/// nothing. Clients that are connected stay.
async fn ready(State(routes): State<Arc<Routes>>) -> Response {
    if routes.drain.begun.is_cancelled() {
        stopping()
    } else if routes.hub.is_up() {
        "ready\n".into_response()
    } else {
        (StatusCode::SERVICE_UNAVAILABLE, "the bus is away\n").into_response()
    }
}

async fn metrics(State(routes): State<Arc<Routes>>) -> Response {
    routes.metrics.bus_up.set(i64::from(routes.hub.is_up()));
    let content_type = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    (
        [(header::CONTENT_TYPE, content_type)],
        routes.metrics.encode(),
    )
        .into_response()
}

async fn not_found(State(routes): State<Arc<Routes>>) -> Response {
    (
        StatusCode::NOT_FOUND,
        format!("Nothing is here. GraphQL is at {}\n", routes.path),
    )
        .into_response()
}

/// Answers with why not, as JSON.
pub(super) fn refuse(status: StatusCode, why: impl Into<String>) -> Response {
    let why: String = why.into();
    (status, Json(serde_json::json!({ "error": why }))).into_response()
}

/// What is answered while the server stops.
pub(super) fn stopping() -> Response {
    (
        StatusCode::SERVICE_UNAVAILABLE,
        [(header::CONNECTION, "close")],
        "stopping\n",
    )
        .into_response()
}
