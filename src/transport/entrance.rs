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

    /// A place for a client at this address; or the answer that there is none now.
    pub(super) fn enter(&self, address: IpAddr) -> Result<Place, Response> {
        let Ok(permit) = self.permits.clone().try_acquire_owned() else {
            let status = StatusCode::SERVICE_UNAVAILABLE;
            return Err(self.refuse(status, "too_many", COME_AGAIN, "too many connections\n"));
        };
        let of_address = self.addresses.enter(address);
        Ok(Place {
            _permit: permit,
            _of_address: of_address.map_err(|over| self.refuse_address(over))?,
            _open: self.open.token(),
        })
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
        let refused = &self.metrics.connections_refused;
        refused.get_or_create(&ReasonLabel { reason }).inc();
        // Rounded up, so that whoever waits for so long is let in.
        let seconds = again_in.as_millis().div_ceil(1000);
        let retry_after = [(header::RETRY_AFTER, seconds.to_string())];
        (status, retry_after, words).into_response()
    }
}
