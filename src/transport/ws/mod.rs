//! WebSockets: the upgrade, and what is spoken afterwards.

mod clock;
mod close;
mod connection;
mod graphql_transport_ws;
mod handshake;
mod heartbeat;
mod open;
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
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::task::TaskTracker;
use tokio_util::task::task_tracker::TaskTrackerToken;

use self::connection::{Opened, live};
use self::socket::Line;
use self::upgrade::{Gone, Upgraded};
use super::address::{Addresses, Counted, OverLimit};
use crate::metrics::ReasonLabel;

/// Takes upgrades, up to a limit.
pub struct Upgrades {
    server: Arc<Server>,
    permits: Arc<Semaphore>,
    addresses: Addresses,
    /// Waits for connections that are ending when the process stops.
    open: TaskTracker,
}

/// A connection's place among all that there may be: each is counted out when it ends.
pub(super) struct Place {
    _permit: OwnedSemaphorePermit,
    _of_address: Option<Counted>,
    /// The process waits for it when it stops.
    _open: TaskTrackerToken,
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
        let place = Place {
            _permit: permit,
            _of_address: of_address,
            _open: self.open.token(),
        };
        tokio::spawn(live(async move {
            match upgraded.await {
                Ok(Upgraded::Tcp(stream, read)) => {
                    let connection = Connection::over_tcp(stream, &read, server, client);
                    // What was read is not kept: it is a part of a buffer for requests.
                    drop(read);
                    open(connection.at(place), is_acceptable).await
                }
                Ok(Upgraded::Other(pipe)) => {
                    let connection = Connection::over(pipe, server, client);
                    tokio::spawn(live(open(connection.at(place), is_acceptable)));
                    None
                }
                // Before it was answered: it was no connection.
                Err(Gone) => None,
            }
        }));
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

async fn open<L: Line>(connection: Connection<L>, is_acceptable: bool) -> Option<Opened<L>> {
    Some(if is_acceptable {
        connection.open().await
    } else {
        connection.refuse()
    })
}

#[cfg(test)]
mod tests {
    use super::open::Open;
    use super::socket::Direct;
    use super::*;

    fn future_size<A, F: Future>(_: impl FnOnce(A) -> F) -> usize {
        size_of::<F>()
    }

    /// What one connection that waits costs, beside its outbox and what the registry and the hub know
    /// of it. There may be a million of them.
    #[test]
    fn the_task_of_a_connection_is_small() {
        let task = size_of_val(&live::<Direct>(async { None }));
        let open = size_of::<Open<Direct>>();
        let opening = future_size(Connection::<Direct>::open);
        assert!(
            opening <= 2560,
            "{opening} bytes, which are moved when a client comes"
        );
        assert!(open <= 384, "{open} bytes");
        assert!(task <= 320, "{task} bytes");
    }
}
