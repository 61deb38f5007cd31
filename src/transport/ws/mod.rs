//! WebSockets: the upgrade, and what is spoken afterwards.

mod close;
mod connection;
mod graphql_transport_ws;
mod handshake;
mod heartbeat;
mod refresh;
mod socket;
mod subscriptions;

pub use self::close::{Close, Next};
pub use self::connection::{Client, Connection, ConnectionLimits, Server};
pub use self::graphql_transport_ws::SUBPROTOCOL;
pub use self::socket::{Socket, SocketError};

#[doc(hidden)]
pub use self::graphql_transport_ws::decode as decode_frame;

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Instant;

use axum::extract::ws::WebSocketUpgrade;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use tokio::sync::Semaphore;
use tokio_util::task::TaskTracker;
use tracing::Instrument;

use crate::metrics::ReasonLabel;

/// Takes upgrades, up to a limit.
pub struct Upgrades {
    server: Arc<Server>,
    /// Messages above this close their connection.
    message_bytes: usize,
    permits: Arc<Semaphore>,
    /// Waits for connections that are ending when the process stops.
    open: TaskTracker,
}

/// Of the socket's buffers: the default of 128 KiB would cost that much a connection, and as much
/// again in clearing it at each read.
const BUFFER_BYTES: usize = 4096;
/// What may be queued behind a client that does not read, before a write fails.
const WRITE_BUFFER_BYTES: usize = 4 * 1024 * 1024;

impl Upgrades {
    pub fn new(
        server: Arc<Server>,
        message_bytes: usize,
        connections: usize,
        open: TaskTracker,
    ) -> Self {
        let permits = Arc::new(Semaphore::new(connections.min(Semaphore::MAX_PERMITS)));
        Upgrades {
            server,
            message_bytes,
            permits,
            open,
        }
    }

    /// Answers an upgrade request, and lets the connection live.
    ///
    /// A client that does not offer `graphql-transport-ws` is accepted and closed with 4406, as
    /// graphql-ws does: a browser cannot see why an upgrade was refused.
    pub fn accept(&self, upgrade: WebSocketUpgrade, address: IpAddr) -> Response {
        let Ok(permit) = self.permits.clone().try_acquire_owned() else {
            self.server.metrics.connections_refused.inc();
            return (
                StatusCode::SERVICE_UNAVAILABLE,
                [(header::RETRY_AFTER, "5")],
                "too many connections\n",
            )
                .into_response();
        };
        let upgrade = upgrade
            .protocols([SUBPROTOCOL])
            .read_buffer_size(BUFFER_BYTES)
            .write_buffer_size(BUFFER_BYTES)
            .max_write_buffer_size(WRITE_BUFFER_BYTES)
            .max_message_size(self.message_bytes)
            .max_frame_size(self.message_bytes);
        let is_acceptable = upgrade.selected_protocol().is_some();
        let server = self.server.clone();
        let token = self.open.token();
        let client = Client {
            id: uuid::Uuid::new_v4(),
            address,
        };
        let id = client.id.simple();
        let span = tracing::info_span!("connection", %id, key = tracing::field::Empty);
        upgrade
            .on_upgrade(move |socket| {
                async move {
                    let _counted = (permit, token);
                    let since = Instant::now();
                    let metrics = server.metrics.clone();
                    let connection = Connection::new(socket::of_axum(socket), server, client);
                    let close = if is_acceptable {
                        connection.run().await
                    } else {
                        connection.refuse().await
                    };
                    metrics
                        .closes
                        .get_or_create(&ReasonLabel {
                            reason: close.name(),
                        })
                        .inc();
                    tracing::info!(
                        close.code = close.code(),
                        close.reason = close.name(),
                        duration_ms = since.elapsed().as_millis() as u64,
                        "connection ended"
                    );
                }
                .instrument(span)
            })
            .into_response()
    }
}
