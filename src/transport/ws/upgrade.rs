//! From a request to the socket behind it.

use std::future::Future;

use axum::body::Body;
use axum::extract::FromRequestParts;
use axum::extract::ws::WebSocketUpgrade;
use axum::extract::ws::rejection::WebSocketUpgradeRejection;
use axum::http::request::Parts;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::Response;
use bytes::Bytes;
use hyper::upgrade::OnUpgrade;
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

use crate::transport::stalling::Stalling;
use crate::websocket::accept_key;

/// A request for a WebSocket. That it is a proper one is judged by axum; what is spoken behind it is
/// ours, so the bytes are too.
pub struct Upgrade {
    key: HeaderValue,
    protocols: Vec<HeaderValue>,
    on_upgrade: OnUpgrade,
}

/// What is behind an upgrade.
pub(super) enum Upgraded {
    /// TCP, and what was read from it behind the request.
    Tcp(TcpStream, Bytes),
    Other(TokioIo<hyper::upgrade::Upgraded>),
}

/// The client has gone before it was answered.
pub(super) struct Gone;

impl<S: Send + Sync> FromRequestParts<S> for Upgrade {
    type Rejection = WebSocketUpgradeRejection;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Self::Rejection> {
        let on_upgrade = parts.extensions.get::<OnUpgrade>().cloned();
        let _ = WebSocketUpgrade::from_request_parts(parts, state).await?;
        let headers = &parts.headers;
        let protocols = headers.get_all(header::SEC_WEBSOCKET_PROTOCOL);
        Ok(Upgrade {
            key: headers[header::SEC_WEBSOCKET_KEY].clone(),
            protocols: protocols.iter().cloned().collect(),
            on_upgrade: on_upgrade.expect("axum refuses a request without it"),
        })
    }
}

impl Upgrade {
    /// Whether the client offers a subprotocol.
    pub(super) fn offers(&self, subprotocol: &str) -> bool {
        let mut offered = self.protocols.iter().filter_map(|list| list.to_str().ok());
        offered.any(|list| list.split(',').any(|one| one.trim() == subprotocol))
    }

    /// The answer, and the socket when that is sent.
    pub(super) fn accept(
        self,
        subprotocol: Option<&'static str>,
    ) -> (
        Response,
        impl Future<Output = Result<Upgraded, Gone>> + Send,
    ) {
        let accept = accept_key(self.key.to_str().unwrap_or_default());
        let mut response = Response::builder()
            .status(StatusCode::SWITCHING_PROTOCOLS)
            .header(header::CONNECTION, "upgrade")
            .header(header::UPGRADE, "websocket")
            .header(header::SEC_WEBSOCKET_ACCEPT, accept);
        if let Some(subprotocol) = subprotocol {
            response = response.header(header::SEC_WEBSOCKET_PROTOCOL, subprotocol);
        }
        let response = response
            .body(Body::empty())
            .expect("these are names and values of headers");
        let on_upgrade = self.on_upgrade;
        let upgraded = async move {
            let upgraded = on_upgrade.await.map_err(|_| Gone)?;
            Ok(match upgraded.downcast::<TokioIo<Stalling>>() {
                Ok(parts) => Upgraded::Tcp(parts.io.into_inner().into_stream(), parts.read_buf),
                Err(upgraded) => Upgraded::Other(TokioIo::new(upgraded)),
            })
        };
        (response, upgraded)
    }
}
