//! How many clients there may be at a time, and from where.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::task::TaskTracker;
use tokio_util::task::task_tracker::TaskTrackerToken;

use super::address::{Addresses, Counted, OverLimit};
use crate::metrics::{Metrics, ReasonLabel};

/// Where every client gets its place: whoever opens a WebSocket, or asks for a response that goes on.
pub struct Entrance {
    permits: Arc<Semaphore>,
    addresses: Addresses,
    /// Waits for connections that are ending when the process stops.
    open: TaskTracker,
    metrics: Arc<Metrics>,
}

/// A connection's place among all that there may be: each is counted out when it ends.
pub(super) struct Place {
    _permit: OwnedSemaphorePermit,
    _of_address: Option<Counted>,
    /// The process waits for it when it stops.
    _open: TaskTrackerToken,
}

/// Why there is no place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Full {
    /// This server has as many connections as it may.
    Server,
    Address(OverLimit),
}

/// After how long somebody may be let in who is not now.
pub(super) const COME_AGAIN: Duration = Duration::from_secs(5);

impl Entrance {
    /// For so many connections at a time. The process waits for `open` when it stops.
    pub fn new(
        connections: usize,
        addresses: Addresses,
        open: TaskTracker,
        metrics: Arc<Metrics>,
    ) -> Self {
        let permits = Arc::new(Semaphore::new(connections.min(Semaphore::MAX_PERMITS)));
        Entrance {
            permits,
            addresses,
            open,
            metrics,
        }
    }

    /// A place for a client at this address; or why there is none now.
    pub(super) fn enter(&self, address: IpAddr) -> Result<Place, Full> {
        let permit = self.permits.clone().try_acquire_owned();
        let permit = permit.map_err(|_| self.refused(Full::Server))?;
        let of_address = self.addresses.enter(address);
        Ok(Place {
            _permit: permit,
            _of_address: of_address.map_err(|over| self.refused(Full::Address(over)))?,
            _open: self.open.token(),
        })
    }

    /// The same, counted.
    fn refused(&self, full: Full) -> Full {
        if matches!(full, Full::Address(_)) && self.addresses.should_warn() {
            tracing::warn!(
                "connections of an address are refused; if it is a proxy's, limits.trusted_proxies should name it"
            );
        }
        let reason = match full {
            Full::Server => "too_many",
            Full::Address(OverLimit::TooMany) => "too_many_of_address",
            Full::Address(OverLimit::TooOften { .. }) => "too_often_of_address",
        };
        let refused = &self.metrics.connections_refused;
        refused.get_or_create(&ReasonLabel { reason }).inc();
        full
    }
}

impl IntoResponse for Full {
    fn into_response(self) -> Response {
        let (status, again_in, words) = match self {
            Full::Server => (
                StatusCode::SERVICE_UNAVAILABLE,
                COME_AGAIN,
                "too many connections\n",
            ),
            Full::Address(OverLimit::TooMany) => (
                StatusCode::TOO_MANY_REQUESTS,
                COME_AGAIN,
                "too many connections from this address\n",
            ),
            Full::Address(OverLimit::TooOften { again_in }) => (
                StatusCode::TOO_MANY_REQUESTS,
                again_in,
                "too many new connections from this address\n",
            ),
        };
        // Rounded up, so that whoever waits for so long is let in.
        let seconds = again_in.as_millis().div_ceil(1000);
        let retry_after = [(header::RETRY_AFTER, seconds.to_string())];
        (status, retry_after, words).into_response()
    }
}
