//! A client of a plain-JSON API that asks for a WebSocket, or for another response that goes on.

use std::sync::Arc;

use axum::Extension;
use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use url::form_urlencoded;

use super::address::Peer;
use super::close::Close;
use super::endpoint::{Client, identify};
use super::entrance::{Full, Place};
use super::introduction::Introduction;
use super::protocol::Protocol;
use super::routes::{Routes, stopping};
use super::server::Server;
use super::stalling::Fate;
use super::ws::Upgrade;
use crate::auth::{Credentials, Session};
use crate::metrics::ReasonLabel;

/// A request at a path of a plain-JSON API, before anything is known of its client. Nobody arrives any more
/// while the server stops.
pub(super) struct Arrival {
    pub(super) client: Client,
    pub(super) headers: HeaderMap,
    /// Behind the `?`.
    parameters: String,
    /// Of the socket that it comes by.
    pub(super) fate: Fate,
    routes: Arc<Routes>,
}

/// That it asks for a WebSocket: whoever does not is told so.
pub(super) struct Upgrading(pub(super) Upgrade);

impl FromRequestParts<Arc<Routes>> for Arrival {
    type Rejection = Response;

    async fn from_request_parts(
        parts: &mut Parts,
        routes: &Arc<Routes>,
    ) -> Result<Self, Self::Rejection> {
        if routes.drain.begun.is_cancelled() {
            return Err(stopping());
        }
        let peer = Extension::<Peer>::from_request_parts(parts, routes).await;
        let Extension(peer) = peer.map_err(IntoResponse::into_response)?;
        let headers = parts.headers.clone();
        Ok(Arrival {
            client: Client::at(routes.proxies.client(peer.address, &headers)),
            parameters: parts.uri.query().unwrap_or_default().to_owned(),
            headers,
            fate: peer.fate,
            routes: routes.clone(),
        })
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Upgrading {
    type Rejection = Response;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Self::Rejection> {
        let upgrade = Upgrade::from_request_parts(parts, state).await;
        upgrade.map(Upgrading).map_err(|rejection| {
            if parts.headers.contains_key(header::UPGRADE) {
                return rejection.into_response();
            }
            (
                StatusCode::UPGRADE_REQUIRED,
                [(header::UPGRADE, "websocket")],
                "This is a WebSocket, and the request asks for none: Upgrade: websocket is not there, or a proxy took it away.\n",
            )
                .into_response()
        })
    }
}

impl Arrival {
    /// The first value of a parameter behind the `?`.
    pub(super) fn parameter(&self, wanted: &str) -> Option<String> {
        let mut all = form_urlencoded::parse(self.parameters.as_bytes());
        let (_, value) = all.find(|(name, _)| name == wanted)?;
        Some(value.into_owned())
    }

    /// What it is known by: its parameter `token`, or the headers of the request, where a key may be a bearer.
    pub(super) fn token(&self) -> Credentials {
        let token = self.parameter("token");
        match token.filter(|token| !token.is_empty()) {
            Some(token) => Credentials {
                api_key: Some(token.into()),
                authorization: None,
            },
            None => {
                let said = Introduction::of_headers(&self.headers);
                said.credentials.with_key_as_bearer()
            }
        }
    }

    pub(super) fn server(&self) -> &Arc<Server> {
        &self.routes.server
    }

    /// A place among all that there may be.
    pub(super) fn place(&self) -> Result<Place, Full> {
        self.routes.entrance.enter(self.client.address)
    }

    /// Who it is that brought these credentials. What is wrong with them is logged and counted.
    ///
    /// The future borrows nothing: a request that is not read yet cannot be shared between threads.
    pub(super) fn identify(
        &self,
        protocol: Protocol,
        credentials: Credentials,
    ) -> impl Future<Output = Result<Session, Close>> + use<> {
        let (server, client) = (self.routes.server.clone(), self.client);
        async move {
            let session = identify(&server, client, &credentials).await;
            session.inspect_err(|close| {
                let reason = close.name();
                let closes = &server.metrics.closes;
                closes.get_or_create(&ReasonLabel { reason }).inc();
                tracing::info!(
                    id = %client.id.simple(),
                    protocol = protocol.name(),
                    close.reason = reason,
                    "connection refused"
                );
            })
        }
    }
}
