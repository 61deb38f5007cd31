//! WebSockets: the upgrade, and what is spoken afterwards.

mod close;
mod connection;
mod graphql_transport_ws;
mod handshake;
mod heartbeat;
mod refresh;
mod socket;
mod subscriptions;

pub use self::close::Close;
pub use self::connection::{Client, Connection, ConnectionLimits, Server};
pub use self::graphql_transport_ws::SUBPROTOCOL;
pub use self::socket::{Socket, SocketError};

#[doc(hidden)]
pub use self::graphql_transport_ws::decode as decode_frame;

use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::extract::ws::WebSocketUpgrade;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use tokio::sync::Semaphore;
use tokio_util::task::TaskTracker;
use tracing::Instrument;

use super::address::{Addresses, OverLimit};
use crate::metrics::ReasonLabel;

/// Takes upgrades, up to a limit.
pub struct Upgrades {
    server: Arc<Server>,
    /// Messages above this close their connection.
    message_bytes: usize,
    permits: Arc<Semaphore>,
    addresses: Addresses,
    /// Waits for connections that are ending when the process stops.
    open: TaskTracker,
}

/// Of the socket's buffers: the default of 128 KiB would cost that much a connection, and as much
/// again in clearing it at each read.
const BUFFER_BYTES: usize = 4096;
/// What may be queued behind a client that does not read, before a write fails.
const WRITE_BUFFER_BYTES: usize = 4 * 1024 * 1024;

/// After how long somebody may be let in who is not now.
const COME_AGAIN: Duration = Duration::from_secs(5);

impl Upgrades {
    pub fn new(
        server: Arc<Server>,
        message_bytes: usize,
        connections: usize,
        addresses: Addresses,
        open: TaskTracker,
    ) -> Self {
        let permits = Arc::new(Semaphore::new(connections.min(Semaphore::MAX_PERMITS)));
        Upgrades {
            server,
            message_bytes,
            permits,
            addresses,
            open,
        }
    }

    /// Answers an upgrade request of the client at this address, and lets the connection live.
    ///
    /// A client that does not offer `graphql-transport-ws` is accepted and closed with 4406, as
    /// graphql-ws does: a browser cannot see why an upgrade was refused.
    pub fn accept(&self, upgrade: WebSocketUpgrade, address: IpAddr) -> Response {
        let Ok(permit) = self.permits.clone().try_acquire_owned() else {
            let status = StatusCode::SERVICE_UNAVAILABLE;
            return self.refuse(status, "too_many", COME_AGAIN, "too many connections\n");
        };
        let of_address = match self.addresses.enter(address) {
            Ok(of_address) => of_address,
            Err(over) => return self.refuse_address(over),
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
                    let _counted = (permit, of_address, token);
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

    fn refuse_address(&self, over: OverLimit) -> Response {
        if self.addresses.should_warn() {
            tracing::warn!(
                "connections of an address are refused; if it is a proxy's, limits.trusted_proxies should name it"
            );
        }
        let status = StatusCode::TOO_MANY_REQUESTS;
        match over {
            OverLimit::TooMany => {
                let words = "too many connections from this address\n";
                self.refuse(status, "too_many_of_address", COME_AGAIN, words)
            }
            OverLimit::TooOften { again_in } => {
                let words = "too many new connections from this address\n";
                self.refuse(status, "too_often_of_address", again_in, words)
            }
        }
    }

    fn refuse(
        &self,
        status: StatusCode,
        reason: &'static str,
        again_in: Duration,
        words: &'static str,
    ) -> Response {
        let refused = &self.server.metrics.connections_refused;
        refused.get_or_create(&ReasonLabel { reason }).inc();
        // Rounded up, so that whoever waits for so long is let in.
        let seconds = again_in.as_millis().div_ceil(1000);
        let retry_after = [(header::RETRY_AFTER, seconds.to_string())];
        (status, retry_after, words).into_response()
    }
}
