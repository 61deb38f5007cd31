//! What is counted, for `GET /metrics` in OpenMetrics text.
//!
//! Names are fields of one struct; labels come from closed sets, never from clients.

use prometheus_client::encoding::{EncodeLabelSet, text};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::{Metric, Registry};

/// Every metric of the process.
#[derive(Debug)]
pub struct Metrics {
    registry: Registry,
    /// Open connections, by protocol and kind of identity (`unknown` before the acknowledgement).
    pub connections: Family<ConnectionLabel, Gauge>,
    /// Connections that ended, by the one reason that each has.
    pub closes: Family<ReasonLabel, Counter>,
    /// Upgrades and requests for streams refused: `too_many` on this node, `too_many_of_address`, `too_often_of_address`.
    pub connections_refused: Family<ReasonLabel, Counter>,
    /// Checks of credentials: of what, with what result, and why where it is not `accepted`.
    pub authentications: Family<AuthenticationLabel, Counter>,
    /// Running subscriptions.
    pub subscriptions: Gauge,
    /// Running shared operations: what is rendered, however many listen.
    pub operations: Gauge,
    /// Topics that are listened to, or linger.
    pub topics: Gauge,
    /// Events that arrived, by kind of topic.
    pub events: Family<TopicLabel, Counter>,
    /// Bodies that could not be decoded, by kind of topic. They are logged, and harm nobody.
    pub malformed: Family<TopicLabel, Counter>,
    /// Events of rewards whose `Type` is not known here. They are passed on.
    pub rewards_unknown_types: Counter,
    /// Renderings: once for each event and different question.
    pub renderings: Counter,
    /// Results put into outboxes.
    pub deliveries: Counter,
    /// Older prices that gave way to newer ones in the outbox of a slow client.
    pub conflated: Counter,
    /// Times that the bus was away and came back.
    pub bus_gaps: Counter,
    /// 1 while the bus is there. Asked when it is scraped.
    pub bus_up: Gauge,
    /// Requests to `POST /graphql`.
    pub queries: Counter,
    /// Webhooks that were posted, by what became of them: `accepted`, `repeated`, or why they were refused.
    pub webhooks: Family<ResultLabel, Counter>,
    /// Webhooks that were told again to clients who came back.
    pub webhook_replays: Counter,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct ConnectionLabel {
    pub protocol: &'static str,
    pub identity: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct ReasonLabel {
    pub reason: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct ResultLabel {
    pub result: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct AuthenticationLabel {
    /// `none`, `key` or `token`.
    pub credential: &'static str,
    /// `accepted`, `forbidden` or `unavailable`.
    pub result: &'static str,
    pub reason: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct TopicLabel {
    pub topic: &'static str,
}

/// Counts something in while it lives: a task that is cancelled runs no code, but drops its values.
#[derive(Debug)]
pub struct Held(Gauge);

impl Held {
    /// Counts one in, until the guard is dropped.
    pub fn new(gauge: &Gauge) -> Self {
        gauge.inc();
        Held(gauge.clone())
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.0.dec();
    }
}

impl Metrics {
    /// The whole of it, as OpenMetrics text.
    pub fn encode(&self) -> String {
        let mut encoded = String::new();
        text::encode(&mut encoded, &self.registry).expect("a String takes whatever is written");
        encoded
    }
}

impl Default for Metrics {
    fn default() -> Self {
        let mut registry = Registry::with_prefix("tidings");
        let mut counted = Registering(&mut registry);
        Metrics {
            connections: counted.family("connections", "Open connections"),
            closes: counted.family("closes", "Ended connections by reason"),
            connections_refused: counted.family(
                "connections_refused",
                "Upgrades and requests for streams refused by reason",
            ),
            authentications: counted.family("authentications", "Checks of credentials"),
            subscriptions: counted.one("subscriptions", "Running subscriptions"),
            operations: counted.one("operations", "Running shared operations"),
            topics: counted.one("topics", "Topics that are listened to, or linger"),
            events: counted.family("events", "Events that arrived"),
            malformed: counted.family("malformed", "Bodies that could not be decoded"),
            rewards_unknown_types: counted.one(
                "rewards_unknown_types",
                "Events of rewards whose Type is not known here",
            ),
            renderings: counted.one(
                "renderings",
                "Renderings: once an event and different question",
            ),
            deliveries: counted.one("deliveries", "Results put into outboxes"),
            conflated: counted.one(
                "conflated",
                "Older prices that gave way in slow clients' outboxes",
            ),
            bus_gaps: counted.one("bus_gaps", "Times that the bus was away and came back"),
            bus_up: counted.one("bus_up", "1 while the bus is there"),
            queries: counted.one("queries", "Queries over HTTP"),
            webhooks: counted.family("webhooks", "Webhooks that were posted"),
            webhook_replays: counted.one(
                "webhook_replays",
                "Webhooks that were told again to clients who came back",
            ),
            registry,
        }
    }
}

/// Registers what it makes.
struct Registering<'a>(&'a mut Registry);

impl Registering<'_> {
    fn one<M: Default + Clone + Metric>(&mut self, name: &str, help: &str) -> M {
        let metric = M::default();
        self.0.register(name, help, metric.clone());
        metric
    }

    fn family<L, M>(&mut self, name: &str, help: &str) -> Family<L, M>
    where
        L: Clone + std::hash::Hash + Eq,
        M: Default,
        Family<L, M>: Metric,
    {
        let family = Family::<L, M>::default();
        self.0.register(name, help, family.clone());
        family
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_held_is_counted_out_however_its_task_ends() {
        let metrics = Metrics::default();
        let held = Held::new(&metrics.subscriptions);
        assert!(metrics.encode().contains("tidings_subscriptions 1"));
        drop(held);
        assert!(metrics.encode().contains("tidings_subscriptions 0"));
    }
}
