//! What happened when: the points of the charts.

use std::time::{Duration, Instant};

use serde::Serialize;

use super::tally::Times;

/// Connections and latency over time.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Series {
    pub(super) connects: Vec<Connects>,
    pub(super) latency: Vec<Latency>,
    #[serde(skip)]
    began: Instant,
    #[serde(skip)]
    performance: Option<Instant>,
    #[serde(skip)]
    every: Duration,
    #[serde(skip)]
    deliveries: u64,
}

/// How many were there at a time since the beginning.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Connects {
    pub(super) at_seconds: f64,
    pub(super) subscribed: u64,
    pub(super) first_results: u64,
}

/// What was received up to a time since publishing began, and since the point before.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Latency {
    pub(super) at_seconds: f64,
    pub(super) deliveries: u64,
    /// Milliseconds; absent if nothing was received.
    pub(super) p50_ms: Option<f64>,
    pub(super) p99_ms: Option<f64>,
    pub(super) max_ms: Option<f64>,
}

/// Points that a chart is wide enough for.
const POINTS: u32 = 120;
/// Points of connecting, one a beat, before only every second is kept.
const MOST: usize = 1200;

impl Series {
    /// For a performance of so long.
    pub(super) fn new(duration: Duration) -> Self {
        Series {
            connects: Vec::new(),
            latency: Vec::new(),
            began: Instant::now(),
            performance: None,
            every: (duration / POINTS).max(Duration::from_millis(100)),
            deliveries: 0,
        }
    }

    pub(super) fn begin(&mut self, now: Instant) {
        self.began = now;
        self.connects.push(Connects {
            at_seconds: 0.0,
            subscribed: 0,
            first_results: 0,
        });
    }

    pub(super) fn begin_performance(&mut self, now: Instant) {
        self.performance = Some(now);
    }

    /// Notes how many are there; only what is new is kept.
    pub(super) fn connected(&mut self, now: Instant, subscribed: u64, first_results: u64) {
        let last = self.connects.last();
        let known = last.map(|last| (last.subscribed, last.first_results));
        if known == Some((subscribed, first_results)) {
            return;
        }
        if self.connects.len() >= MOST {
            let mut number = 0;
            self.connects.retain(|_| {
                number += 1;
                number % 2 == 1
            });
        }
        self.connects.push(Connects {
            at_seconds: now.saturating_duration_since(self.began).as_secs_f64(),
            subscribed,
            first_results,
        });
    }

    /// Whether it is time for another point of the latency.
    pub(super) fn is_due(&self, now: Instant) -> bool {
        let Some(began) = self.performance else {
            return false;
        };
        let last = self.latency.last().map_or(0.0, |last| last.at_seconds);
        // A beat is never quite on time.
        let at = now.saturating_duration_since(began).as_secs_f64() + 0.02;
        at - last >= self.every.as_secs_f64()
    }

    /// Adds one: these times, and all deliveries so far.
    pub(super) fn mark(&mut self, now: Instant, times: &Times, deliveries: u64) {
        let Some(began) = self.performance else {
            return;
        };
        let new = deliveries - std::mem::replace(&mut self.deliveries, deliveries);
        let of = |micros: u64| (!times.is_empty()).then_some(micros as f64 / 1e3);
        self.latency.push(Latency {
            at_seconds: now.saturating_duration_since(began).as_secs_f64(),
            deliveries: new,
            p50_ms: of(times.percentile(50.0)),
            p99_ms: of(times.percentile(99.0)),
            max_ms: of(times.max()),
        });
    }

    /// Leaves out what was waited for at the end in vain.
    pub(super) fn end(&mut self) {
        while self.latency.last().is_some_and(|last| last.deliveries == 0) {
            self.latency.pop();
        }
    }

    /// The last point of the latency, for whoever watches.
    pub(super) fn latest(&self) -> Option<&Latency> {
        self.latency.last()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_hour_of_connecting_does_not_fill_the_memory() {
        let mut series = Series::new(Duration::from_secs(1));
        let began = Instant::now();
        series.begin(began);
        for beat in 0..36_000 {
            series.connected(
                began + Duration::from_millis(100) * beat,
                u64::from(beat),
                0,
            );
        }
        assert!(series.connects.len() <= MOST);
        let last = series.connects.last().unwrap();
        assert_eq!((last.at_seconds, last.subscribed), (3599.9, 35_999));
        assert_eq!(series.connects[0].subscribed, 0);
    }

    #[test]
    fn a_point_of_nothing_has_no_latency() {
        let mut series = Series::new(Duration::from_secs(12));
        let began = Instant::now();
        series.begin_performance(began);
        assert!(!series.is_due(began + Duration::from_millis(50)));
        let now = began + Duration::from_millis(100);
        assert!(series.is_due(now));
        let mut times = Times::default();
        series.mark(now, &times, 0);
        times.record(Duration::from_millis(4));
        series.mark(now, &times, 3);
        series.mark(now, &Times::default(), 3);
        series.end();
        assert_eq!(series.latency.len(), 2);
        assert_eq!(series.latency[0].p50_ms, None);
        assert_eq!(series.latency[1].deliveries, 3);
        assert!(series.latency[1].max_ms.unwrap() >= 4.0);
    }
}
