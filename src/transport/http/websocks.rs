//! WebSocks over HTTP: webhooks come in, an event stream goes out, and an account sees what it has used.
//!
//! Whatever is refused is answered by JSON: `{"error": "…"}`.

use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::extract::rejection::PathRejection;
use axum::extract::{Extension, Path, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use http_body_util::BodyExt;
use serde::{Deserialize, Deserializer};
use serde_json::json;
use tokio::time::timeout;

use super::{advise, flowing, status_of};
use crate::auth::{AuthError, Session};
use crate::channels::websocks::{By, Envelope, question};
use crate::event::WebhookId;
use crate::hub::Outbox;
use crate::ingest::webhooks::{Intake, Refused, Taken, Usage};
use crate::transport::address::Peer;
use crate::transport::arrival::Arrival;
use crate::transport::close::Close;
use crate::transport::endpoint::Endpoint;
use crate::transport::operation::Operation;
use crate::transport::protocol::Protocol;
use crate::transport::routes::{Routes, Unread, refuse, stopping};

/// How a client wants to hear webhooks, and from where on.
#[derive(Clone, Copy, Debug)]
pub(in crate::transport) struct Wish {
    pub(in crate::transport) envelope: Envelope,
    /// The last that it has heard.
    pub(in crate::transport) after: Option<WebhookId>,
}

const SERVER_ERROR: &str = "Internal server error";

/// What is taken of a body that is refused, and for how long: a sender that cannot send does not read why.
const LEFTOVER_BYTES: usize = 8 << 20;
const LEFTOVER_TIME: Duration = Duration::from_secs(2);

/// `POST /api/in/<slug>`
pub(in crate::transport) async fn take(
    State(routes): State<Arc<Routes>>,
    Extension(intake): Extension<Arc<Intake>>,
    Extension(peer): Extension<Peer>,
    slug: Result<Path<String>, PathRejection>,
    headers: HeaderMap,
    mut body: Body,
) -> Response {
    if routes.drain.begun.is_cancelled() {
        return stopping();
    }
    // A slug that is no text is nobody's, too.
    let slug = slug.map_or_else(|_| String::new(), |Path(slug)| slug);
    let address = routes.proxies.client(peer.address, &headers);
    let endpoint = match intake.endpoint(&slug, address).await {
        Ok(endpoint) => endpoint,
        Err(refused) => {
            leave(&headers, body).await;
            return refuse_webhook(&refused);
        }
    };
    let limit = intake.config().body_bytes;
    let read = match is_longer(&headers, limit) {
        true => Err(Unread::TooLong),
        false => routes.read_up_to(&mut body, limit).await,
    };
    let body = match read {
        Ok(body) => body,
        Err(Unread::TooLong) => {
            leave(&headers, body).await;
            return refuse_webhook(&intake.refused(Refused::TooLong));
        }
        Err(unread) => return refuse(unread.status(), "The body did not come"),
    };
    match intake.take(&endpoint, &headers, &body).await {
        Ok(Taken::New(id) | Taken::Before(id)) => {
            let taken = json!({ "success": true, "id": id.to_string() });
            axum::Json(taken).into_response()
        }
        Err(refused) => refuse_webhook(&refused),
    }
}

/// `POST /api/in/`
pub(in crate::transport) async fn no_slug(Extension(intake): Extension<Arc<Intake>>) -> Response {
    refuse_webhook(&intake.refused(Refused::UnknownSlug))
}

/// Any other method, where webhooks are taken in,
pub(in crate::transport) async fn take_only_posts() -> Response {
    refuse_method("POST")
}

/// and where they are told.
pub(in crate::transport) async fn only_gets() -> Response {
    refuse_method("GET, HEAD")
}

fn refuse_method(allowed: &'static str) -> Response {
    let mut refused = refuse(StatusCode::METHOD_NOT_ALLOWED, "Method not allowed");
    let allowed = HeaderValue::from_static(allowed);
    refused.headers_mut().insert(header::ALLOW, allowed);
    refused
}

/// `GET /api/events/stream`
pub(in crate::transport) async fn stream(arrival: Arrival) -> Response {
    let protocol = Protocol::WebSocksSse;
    let Some(wish) = Wish::of(&arrival) else {
        return refuse_wish();
    };
    let session = match arrival.identify(protocol, arrival.token()).await {
        Ok(session) => session,
        Err(close) => return refuse_client(&close),
    };
    let Some(owner) = session.identity.account() else {
        return refuse_client(&Close::Forbidden);
    };
    if !session.identity.scopes().may_hear_webhooks() {
        return forbidden();
    }
    let place = match arrival.place() {
        Ok(place) => place,
        Err(full) => return full.into_response(),
    };
    let server = arrival.server();
    let outbox = Outbox::new(server.outbox_rules(protocol), protocol.framing(), None);
    let mut endpoint = Endpoint::new(server.clone(), arrival.client, protocol, outbox);
    endpoint.take_place(place);
    endpoint.set_session(&session);
    let registered = match endpoint.register(&session).await {
        Ok(registered) => registered,
        Err(close) => {
            endpoint.ended(&close);
            return refuse_client(&close);
        }
    };
    let operation = Operation::Channel {
        question: question(owner, wish.envelope, By::EventStream),
        welcome: String::new(),
        after: wish.after,
    };
    flowing(arrival.fate, (endpoint, session, registered), operation)
}

/// `GET /api/usage`
pub(in crate::transport) async fn show_usage(
    Extension(intake): Extension<Arc<Intake>>,
    arrival: Arrival,
) -> Response {
    let session = match account(arrival).await {
        Ok(session) => session,
        Err(refused) => return refused,
    };
    match session.identity.scopes().may_hear_webhooks() {
        true => usage(&intake, &session).await,
        false => forbidden(),
    }
}

/// `PUT /api/usage`: the account's own limit.
pub(in crate::transport) async fn set_cap(
    State(routes): State<Arc<Routes>>,
    Extension(intake): Extension<Arc<Intake>>,
    arrival: Arrival,
    mut body: Body,
) -> Response {
    let session = match account(arrival).await {
        Ok(session) => session,
        Err(refused) => return refused,
    };
    if !session.identity.scopes().may_write() {
        let why = "this needs a key without scopes, or with the scope `write`";
        return refuse(StatusCode::FORBIDDEN, why);
    }
    let body = match routes.read_up_to(&mut body, routes.message_bytes).await {
        Ok(body) => body,
        Err(unread) => return refuse(unread.status(), "The body did not come"),
    };
    let Some(Wanted { cap }) = Wanted::read(&body) else {
        let why = r#"expected {"cap": 1000}, or {"cap": null} for none"#;
        return refuse(StatusCode::BAD_REQUEST, why);
    };
    let Some(owner) = session.identity.account() else {
        return refuse_client(&Close::Forbidden);
    };
    match intake.set_cap(owner, cap).await {
        Ok(()) => usage(&intake, &session).await,
        Err(error) => {
            let error: &dyn std::error::Error = &error;
            tracing::warn!(error, "a limit of an account was not kept");
            refuse(StatusCode::INTERNAL_SERVER_ERROR, SERVER_ERROR)
        }
    }
}

impl Wish {
    /// Of the parameters and headers of a request; `None` if it wishes for an envelope that there is not.
    ///
    /// An id that is none of ours is as good as none: a browser sends back whatever it was told last, by whoever
    /// was here before.
    pub(in crate::transport) fn of(arrival: &Arrival) -> Option<Self> {
        let envelope = match arrival.parameter("envelope") {
            Some(text) => Envelope::parse(&text)?,
            None => Envelope::default(),
        };
        // Browsers send the header when they come back. What cannot set one has the parameter.
        let last = arrival.headers.get("last-event-id");
        let last = last.and_then(|last| last.to_str().ok().map(str::to_owned));
        let last = last.or_else(|| arrival.parameter("lastEventId"));
        Some(Wish {
            envelope,
            after: last.and_then(|last| WebhookId::parse(&last)),
        })
    }
}

/// The body of a PUT.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Wanted {
    /// Not left out: that would mean nothing.
    #[serde(deserialize_with = "given")]
    cap: Option<u64>,
}

impl Wanted {
    fn read(body: &[u8]) -> Option<Self> {
        // serde would take a list for an object without the names of its keys.
        let is_object = body.trim_ascii_start().starts_with(b"{");
        is_object.then(|| serde_json::from_slice(body).ok())?
    }
}

fn given<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<u64>, D::Error> {
    Option::deserialize(deserializer)
}

/// The session of whoever asks for something of an account.
async fn account(arrival: Arrival) -> Result<Session, Response> {
    let (server, token) = (arrival.server().clone(), arrival.token());
    drop(arrival);
    match server.authenticator.authenticate(&token, None).await {
        Ok(session) if session.identity.account().is_some() => Ok(session),
        Ok(_) | Err(AuthError::Forbidden(_)) => Err(refuse_client(&Close::Forbidden)),
        Err(AuthError::Unavailable(_)) => Err(refuse_client(&Close::Unavailable)),
    }
}

async fn usage(intake: &Intake, session: &Session) -> Response {
    let Some(owner) = session.identity.account() else {
        return refuse_client(&Close::Forbidden);
    };
    let Ok(usage) = intake.usage(owner).await else {
        return refuse(StatusCode::INTERNAL_SERVER_ERROR, SERVER_ERROR);
    };
    let remaining = usage.remaining();
    let Usage {
        allowance,
        month,
        used,
    } = usage;
    let shown = json!({
        "plan": allowance.plan,
        "month": month.to_string(),
        "used": used,
        "quota": allowance.quota,
        "cap": allowance.cap,
        "remaining": remaining,
        "resets_at": month.end().to_string(),
    });
    // It holds for now, and for who asked.
    let headers = [(header::CACHE_CONTROL, "no-store")];
    (headers, axum::Json(shown)).into_response()
}

fn refuse_webhook(refused: &Refused) -> Response {
    let (status, why) = match refused {
        Refused::UnknownSlug => (StatusCode::NOT_FOUND, "Invalid webhook slug"),
        Refused::OtherNetwork => (StatusCode::FORBIDDEN, "Source network not allowed"),
        Refused::TooLong => (StatusCode::PAYLOAD_TOO_LARGE, "Payload too large"),
        Refused::BadSignature(_) => (StatusCode::UNAUTHORIZED, "Invalid signature"),
        Refused::OverQuota => (StatusCode::PAYMENT_REQUIRED, "Monthly quota exceeded"),
        Refused::NotJson => (StatusCode::BAD_REQUEST, "Invalid JSON payload"),
        Refused::Unavailable(_) => (StatusCode::INTERNAL_SERVER_ERROR, SERVER_ERROR),
    };
    refuse(status, why)
}

/// Answers whoever is not let in.
pub(in crate::transport) fn refuse_client(close: &Close) -> Response {
    let why = match close {
        Close::Forbidden => "Unauthorized".to_owned(),
        _ => close.reason(),
    };
    advise(refuse(status_of(close), why))
}

/// Answers whoever wishes for what there is not.
pub(in crate::transport) fn refuse_wish() -> Response {
    let why = "envelope: expected `webhook` or `raw`";
    refuse(StatusCode::BAD_REQUEST, why)
}

/// Answers a key that is good, and not for this.
pub(in crate::transport) fn forbidden() -> Response {
    let why = "this needs a key without scopes, or with the scope `webhooks` or `read`";
    refuse(StatusCode::FORBIDDEN, why)
}

/// Whether a body says that it is longer than this.
fn is_longer(headers: &HeaderMap, bytes: usize) -> bool {
    let length = headers.get(header::CONTENT_LENGTH);
    let length = length.and_then(|length| length.to_str().ok()?.parse::<u64>().ok());
    length.is_some_and(|length| length > bytes as u64)
}

/// Takes what is still to come of a body that is refused. Whoever waits to be asked for it does not send it.
async fn leave(headers: &HeaderMap, mut body: Body) {
    if headers.contains_key(header::EXPECT) {
        return;
    }
    let rest = async {
        let mut left = LEFTOVER_BYTES;
        while let Some(Ok(frame)) = body.frame().await {
            let bytes = frame.data_ref().map_or(0, Bytes::len);
            match left.checked_sub(bytes) {
                Some(less) => left = less,
                None => break,
            }
        }
    };
    let _ = timeout(LEFTOVER_TIME, rest).await;
}
