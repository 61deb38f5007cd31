//! What came of a run: as text for a person, as JSON for a machine.

use std::time::{Duration, Instant};

use serde::Serialize;

use super::cost::{Server, Tester, Usage};
use super::matching::Matching;
use super::plan::{Plan, Scenario};
use super::publisher::Published;
use super::series::Series;
use super::session::Run;
use super::summary::number;
use super::tally::{Counts, Tally, Times};

/// All that was measured. Times are in milliseconds unless their names say otherwise.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Report {
    /// Why it is no success; empty if it is one.
    pub failures: Vec<String>,
    pub(super) is_interrupted: bool,
    pub(super) url: String,
    pub(super) scenario: &'static str,
    pub(super) connections: Connections,
    pub(super) publications: Option<Publications>,
    pub(super) deliveries: Deliveries,
    pub(super) returns: Option<Returns>,
    pub(super) slow: Option<Slow>,
    pub(super) errors: Vec<ErrorCount>,
    pub(super) closes: Vec<CloseCount>,
    pub(super) received_bytes: u64,
    pub(super) sent_bytes: u64,
    pub(super) server: Option<Server>,
    pub(super) tester: Tester,
    pub(super) series: Series,
}

#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Connections {
    pub(super) asked: u64,
    pub(super) subscribed: u64,
    pub(super) refused: u64,
    pub(super) lost: u64,
    /// From the first connection to the last subscription.
    pub(super) seconds: f64,
    pub(super) per_second: f64,
    pub(super) to_subscribe: Quantiles,
    /// Subscriptions that were told something before anything was published.
    pub(super) first_results: u64,
    pub(super) to_first_result: Quantiles,
}

#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Publications {
    pub(super) published: u64,
    pub(super) planned: u64,
    pub(super) per_second: f64,
    /// Those that the bus did not take, and those that nobody listened for.
    pub(super) failed: u64,
    pub(super) unheard: u64,
    pub(super) latest_ms: f64,
}

#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Deliveries {
    pub(super) received: u64,
    pub(super) per_second: f64,
    pub(super) missing: u64,
    pub(super) duplicated: u64,
    pub(super) out_of_order: u64,
    /// Publications that were told to somebody for whom they were not.
    pub(super) foreign: u64,
    /// Results that are of no publication of this run.
    pub(super) others: u64,
    pub(super) other_sample: Option<String>,
    /// Operations that the server ended.
    pub(super) completed: u64,
    /// Whether each was known by its number, or only counted.
    pub(super) is_exact: bool,
    pub(super) latency: Quantiles,
    /// Percent, and what so many did not exceed.
    pub(super) curve: Vec<(f64, f64)>,
}

/// Connections that came back after a storm, or came while others left.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Returns {
    pub(super) told_to: u64,
    pub(super) subscribed: u64,
    pub(super) first_results: u64,
    pub(super) to_subscribe: Quantiles,
    pub(super) to_first_result: Quantiles,
}

#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Slow {
    pub(super) clients: u64,
    /// Whom the server let go, and how, where that could be read.
    pub(super) closed: u64,
    pub(super) closes: Vec<CloseCount>,
}

#[derive(Clone, Debug, Serialize)]
pub(super) struct ErrorCount {
    pub(super) error: String,
    pub(super) count: u64,
}

#[derive(Clone, Debug, Serialize)]
pub(super) struct CloseCount {
    pub(super) code: u16,
    pub(super) reason: String,
    pub(super) count: u64,
}

/// How long something took.
#[derive(Clone, Copy, Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Quantiles {
    pub(super) count: u64,
    pub(super) mean_ms: f64,
    pub(super) p50_ms: f64,
    pub(super) p90_ms: f64,
    pub(super) p99_ms: f64,
    pub(super) p999_ms: f64,
    pub(super) max_ms: f64,
}

/// What was measured besides the tally.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Measured {
    pub(super) began: Option<Instant>,
    pub(super) publishing_since: Option<Instant>,
    pub(super) performing: Duration,
    pub(super) before: Usage,
    pub(super) connected: Usage,
    pub(super) performed: Usage,
    pub(super) peak_bytes: u64,
    pub(super) dropped: u64,
    pub(super) is_interrupted: bool,
}

/// Percentiles of the curve. The steps are those in which tails are told.
const CURVE: [f64; 17] = [
    0.0, 10.0, 25.0, 50.0, 60.0, 70.0, 80.0, 90.0, 95.0, 98.0, 99.0, 99.5, 99.9, 99.95, 99.99,
    99.999, 100.0,
];

impl Report {
    pub(super) fn new(
        plan: &Plan,
        run: &Run,
        tally: &Tally,
        published: &Published,
        measured: &Measured,
        series: Series,
    ) -> Self {
        let mut report = Report {
            failures: Vec::new(),
            is_interrupted: measured.is_interrupted,
            url: plan.url.clone(),
            scenario: plan.scenario.as_str(),
            connections: Connections::new(plan, tally, measured),
            publications: plan.publication.as_ref().map(|_| Publications {
                published: published.taken,
                planned: plan.planned(),
                per_second: per_second(published.taken, published.took),
                failed: run.publications.count() - published.taken,
                unheard: published.unheard,
                latest_ms: millis(published.late),
            }),
            deliveries: Deliveries::new(run, tally, measured),
            returns: Returns::new(plan, tally, measured),
            slow: matches!(plan.scenario, Scenario::Slow(_)).then(|| Slow {
                clients: tally.slow,
                closed: tally.slow_closed,
                closes: closes(&tally.slow_closes),
            }),
            errors: errors(&tally.errors, &published.errors),
            closes: closes(&tally.closes),
            received_bytes: tally.bytes_in,
            sent_bytes: tally.bytes_out,
            server: measured.before.cpu.map(|_| Server::new(tally, measured)),
            tester: Tester::new(plan, measured),
            series,
        };
        report.failures = report.judge();
        report
    }

    /// Why this is no success.
    fn judge(&self) -> Vec<String> {
        let mut failures = Vec::new();
        let mut none = |count: u64, one: &str, many: &str| match count {
            0 => {}
            1 => failures.push(format!("1 {one}")),
            count => failures.push(format!("{} {many}", number(count as f64))),
        };
        let Connections {
            asked,
            subscribed,
            refused,
            lost,
            ..
        } = self.connections;
        none(
            refused,
            "connection was refused",
            "connections were refused",
        );
        let late = asked - (subscribed + refused).min(asked);
        if !self.is_interrupted {
            none(late, "connection was not made", "connections were not made");
        }
        none(lost, "connection was lost", "connections were lost");
        let told = &self.deliveries;
        none(
            told.missing,
            "delivery is missing",
            "deliveries are missing",
        );
        none(
            told.duplicated,
            "delivery came twice",
            "deliveries came twice",
        );
        none(
            told.out_of_order,
            "delivery came out of order",
            "deliveries came out of order",
        );
        none(
            told.foreign,
            "delivery was for somebody else",
            "deliveries were for somebody else",
        );
        if let Some(returns) = &self.returns {
            let away = returns.told_to.saturating_sub(returns.subscribed + lost);
            none(
                away,
                "connection did not come back",
                "connections did not come back",
            );
        }
        let errors = self.errors.iter().map(|error| error.count).sum();
        if refused + lost == 0 {
            none(errors, "error", "errors");
        }
        if let Some(publications) = &self.publications {
            none(
                publications.failed,
                "publication was not taken",
                "publications were not taken",
            );
            if publications.published > 0 && told.received == 0 && told.missing == 0 {
                failures.push("nothing was delivered".to_owned());
            }
        }
        failures
    }
}

impl Connections {
    fn new(plan: &Plan, tally: &Tally, measured: &Measured) -> Self {
        let ended = tally.last_subscribed.zip(measured.began);
        let took = ended.map_or(Duration::ZERO, |(last, began)| {
            last.saturating_duration_since(began)
        });
        let (to_subscribe, to_first) = (&tally.subscribed.first, &tally.firsts.first);
        Connections {
            asked: plan.connections as u64,
            subscribed: to_subscribe.count(),
            refused: tally.refused,
            lost: tally.lost,
            seconds: took.as_secs_f64(),
            per_second: per_second(to_subscribe.count(), took),
            to_subscribe: Quantiles::of(to_subscribe),
            first_results: to_first.count(),
            to_first_result: Quantiles::of(to_first),
        }
    }
}

impl Deliveries {
    fn new(run: &Run, tally: &Tally, measured: &Measured) -> Self {
        let ended = tally.last_delivery.zip(measured.publishing_since);
        let took = ended.map_or(Duration::ZERO, |(last, since)| {
            last.saturating_duration_since(since)
        });
        let points = CURVE.map(|percent| (percent, tally.latency.percentile(percent) as f64 / 1e3));
        Deliveries {
            received: tally.deliveries,
            per_second: per_second(tally.deliveries, took),
            missing: tally.missing,
            duplicated: tally.duplicated,
            out_of_order: tally.out_of_order,
            foreign: tally.foreign,
            others: tally.others,
            other_sample: tally.sample.clone(),
            completed: tally.completed,
            is_exact: matches!(run.matching, Matching::Text { .. }),
            latency: Quantiles::of(&tally.latency),
            curve: if tally.latency.is_empty() {
                Vec::new()
            } else {
                points.to_vec()
            },
        }
    }
}

impl Returns {
    fn new(plan: &Plan, tally: &Tally, measured: &Measured) -> Option<Self> {
        matches!(plan.scenario, Scenario::Storm(_) | Scenario::Churn(_)).then(|| Returns {
            told_to: measured.dropped,
            subscribed: tally.subscribed.again.count(),
            first_results: tally.firsts.again.count(),
            to_subscribe: Quantiles::of(&tally.subscribed.again),
            to_first_result: Quantiles::of(&tally.firsts.again),
        })
    }
}

impl Quantiles {
    fn of(times: &Times) -> Self {
        if times.is_empty() {
            return Quantiles::default();
        }
        let at = |percent| times.percentile(percent) as f64 / 1e3;
        Quantiles {
            count: times.count(),
            mean_ms: times.mean() / 1e3,
            p50_ms: at(50.0),
            p90_ms: at(90.0),
            p99_ms: at(99.0),
            p999_ms: at(99.9),
            max_ms: times.max() as f64 / 1e3,
        }
    }
}

fn errors(on_connections: &Counts<String>, of_publisher: &Counts<String>) -> Vec<ErrorCount> {
    let both = on_connections
        .sorted()
        .into_iter()
        .chain(of_publisher.sorted());
    both.map(|(error, count)| ErrorCount {
        error: error.clone(),
        count,
    })
    .collect()
}

fn closes(counts: &Counts<(u16, String)>) -> Vec<CloseCount> {
    let each = counts.sorted().into_iter();
    each.map(|((code, reason), count)| CloseCount {
        code: *code,
        reason: reason.clone(),
        count,
    })
    .collect()
}

fn per_second(count: u64, time: Duration) -> f64 {
    match time.is_zero() {
        true => 0.0,
        false => count as f64 / time.as_secs_f64(),
    }
}

fn millis(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}
