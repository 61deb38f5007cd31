//! What connections share.

use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::apis::Apis;
use super::clock::Clock;
use super::protocol::Protocol;
use crate::auth::Authenticator;
use crate::graphql::Graphql;
use crate::hub::{OutboxLimits, OutboxRules};
use crate::metrics::Metrics;
use crate::registry::Registry;

/// What connections share.
pub struct Server {
    pub graphql: Arc<Graphql>,
    pub apis: Apis,
    pub authenticator: Authenticator,
    pub registry: Arc<Registry>,
    pub limits: ConnectionLimits,
    pub metrics: Arc<Metrics>,
    /// Cancelled when the process stops.
    pub drain: CancellationToken,
    outbox: Arc<OutboxRules>,
    /// Of clients that hear webhooks, which are longer than anything else.
    outbox_of_webhooks: Arc<OutboxRules>,
    pub(super) clock: Clock,
}

/// How long a connection may take, and how much.
#[derive(Clone, Debug)]
pub struct ConnectionLimits {
    /// From the upgrade to `connection_init`.
    pub init_timeout: Duration,
    pub ping_interval: Duration,
    /// From a ping to its pong.
    pub pong_timeout: Duration,
    /// For one write, and so for a client that does not read.
    pub write_timeout: Duration,
    pub subscriptions: usize,
    /// Messages above this close their connection.
    pub message_bytes: usize,
    pub outbox: OutboxLimits,
    /// How often a comment is sent in an event stream, and
    pub sse_heartbeat: Duration,
    /// a part that says nothing in a multipart response.
    pub multipart_heartbeat: Duration,
    /// From the reservation of an event stream to its opening.
    pub reservation: Duration,
    /// Told to clients who ask: how long to wait at most, at random, before coming back.
    pub reconnect_jitter: Duration,
}

impl Server {
    pub fn new(
        graphql: Arc<Graphql>,
        apis: Apis,
        authenticator: Authenticator,
        registry: Arc<Registry>,
        limits: ConnectionLimits,
        metrics: Arc<Metrics>,
        drain: CancellationToken,
    ) -> Arc<Self> {
        let outbox = |limits| {
            let metrics = metrics.clone();
            Arc::new(OutboxRules { limits, metrics })
        };
        let mut of_webhooks = limits.outbox;
        if let Some(intake) = &apis.websocks {
            of_webhooks.bytes = intake.config().outbox_bytes;
        }
        Arc::new(Server {
            outbox: outbox(limits.outbox),
            outbox_of_webhooks: outbox(of_webhooks),
            clock: Clock::default(),
            graphql,
            apis,
            authenticator,
            registry,
            limits,
            metrics,
            drain,
        })
    }

    /// What holds for the outboxes of this protocol.
    pub(super) fn outbox_rules(&self, protocol: Protocol) -> Arc<OutboxRules> {
        match protocol {
            Protocol::WebSocks | Protocol::WebSocksSse => self.outbox_of_webhooks.clone(),
            _ => self.outbox.clone(),
        }
    }

    /// Rings for connections when there is something for them to look at that nobody else rings for: a
    /// time that has come, a key that has ended, the drain. Without it they hear of none of these. To be
    /// run once, until the last connection has gone.
    pub async fn watch(self: Arc<Self>) {
        let drained = async {
            self.drain.cancelled().await;
            self.registry.ring_all();
            std::future::pending::<()>().await;
        };
        let keys = async {
            let mut ends = self.authenticator.key_ends();
            while ends.changed().await.is_ok() {
                self.registry.ring_key_holders();
            }
            std::future::pending::<()>().await;
        };
        tokio::join!(self.clock.run(), drained, keys);
    }
}
