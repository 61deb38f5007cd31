//! WebSockets: the upgrade, and what is spoken afterwards.

mod clock;
mod close;
mod connection;
mod graphql_transport_ws;
mod handshake;
mod heartbeat;
mod refresh;
mod server;
mod socket;
mod subscriptions;
mod upgrade;

pub use self::close::Close;
pub use self::connection::{Client, Connection};
pub use self::graphql_transport_ws::SUBPROTOCOL;
pub use self::server::{ConnectionLimits, Server};
pub use self::upgrade::Upgrade;

#[doc(hidden)]
pub use self::graphql_transport_ws::decode as decode_frame;

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use tokio::sync::Semaphore;
use tokio_util::task::TaskTracker;

use self::socket::Line;
use self::upgrade::{Gone, Upgraded};
use super::address::{Addresses, OverLimit};
use crate::metrics::ReasonLabel;

/// Takes upgrades, up to a limit.
pub struct Upgrades {
    server: Arc<Server>,
    permits: Arc<Semaphore>,
    addresses: Addresses,
    /// Waits for connections that are ending when the process stops.
    open: TaskTracker,
}

/// After how long somebody may be let in who is not now.
const COME_AGAIN: Duration = Duration::from_secs(5);

impl Upgrades {
    pub fn new(
        server: Arc<Server>,
        connections: usize,
        addresses: Addresses,
        open: TaskTracker,
    ) -> Self {
        let permits = Arc::new(Semaphore::new(connections.min(Semaphore::MAX_PERMITS)));
        Upgrades {
            server,
            permits,
            addresses,
            open,
        }
    }

    /// Answers an upgrade request of the client at this address, and lets the connection live.
    ///
    /// A client that does not offer `graphql-transport-ws` is accepted and closed with 4406, as
    /// graphql-ws does: a browser cannot see why an upgrade was refused.
    pub fn accept(&self, upgrade: Upgrade, address: IpAddr) -> Response {
        let Ok(permit) = self.permits.clone().try_acquire_owned() else {
            let status = StatusCode::SERVICE_UNAVAILABLE;
            return self.refuse(status, "too_many", COME_AGAIN, "too many connections\n");
        };
        let of_address = match self.addresses.enter(address) {
            Ok(of_address) => of_address,
            Err(over) => return self.refuse_address(over),
        };
        let client = Client {
            id: uuid::Uuid::new_v4(),
            address,
        };
        let is_acceptable = upgrade.offers(SUBPROTOCOL);
        let (response, upgraded) = upgrade.accept(is_acceptable.then_some(SUBPROTOCOL));
        let server = self.server.clone();
        let counted = (permit, of_address, self.open.token());
        tokio::spawn(async move {
            let _counted = counted;
            match upgraded.await {
                Ok(Upgraded::Tcp(stream, read)) => {
                    let connection = Connection::over_tcp(stream, &read, server, client);
                    live(connection, is_acceptable).await;
                }
                Ok(Upgraded::Other(pipe)) => {
                    let connection = Connection::over(pipe, server, client);
                    Box::pin(live(connection, is_acceptable)).await;
                }
                // Before it was answered: it was no connection.
                Err(Gone) => {}
            }
        });
        response
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

async fn live<L: Line>(connection: Connection<L>, is_acceptable: bool) {
    if is_acceptable {
        connection.run().await;
    } else {
        connection.refuse().await;
    }
}
