//! What was counted. Each thread of clients has a tally of its own; they are put together to be shown.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;

use super::envelope::Envelope;

/// What happened to the clients of one thread, or to all of them.
#[derive(Clone, Debug, Default)]
pub(super) struct Tally {
    /// How results of this server begin: no count, but each thread has learned it for itself.
    pub(super) envelope: Envelope,
    /// Connections that got as far as to subscribe.
    pub(super) subscribed: Arrivals,
    /// Subscriptions that were told something first.
    pub(super) firsts: Arrivals,
    /// Connections that could not be opened for the first time, and are not tried again.
    pub(super) refused: u64,
    /// Connections that ended by themselves.
    pub(super) lost: u64,
    /// Publications that arrived, each for each connection that was told.
    pub(super) deliveries: u64,
    pub(super) missing: u64,
    pub(super) duplicated: u64,
    pub(super) out_of_order: u64,
    /// Deliveries of a publication that was for others.
    pub(super) foreign: u64,
    /// Results in which no publication of ours was found.
    pub(super) others: u64,
    /// Such a result, the first that there was.
    pub(super) sample: Option<String>,
    /// Operations that the server ended.
    pub(super) completed: u64,
    pub(super) bytes_in: u64,
    pub(super) bytes_out: u64,
    /// When the last of them happened: subscribing for the first time, a delivery.
    pub(super) last_subscribed: Option<Instant>,
    pub(super) last_delivery: Option<Instant>,
    /// Of clients that do not read: how many there are, and how many the server let go.
    pub(super) slow: u64,
    pub(super) slow_closed: u64,
    /// With which codes and reasons, as far as they could be read.
    pub(super) slow_closes: Counts<(u16, String)>,
    /// From publishing to receiving; those since it was last taken.
    pub(super) latency: Times,
    /// Why connections could not be opened, and what went wrong on open ones.
    pub(super) errors: Counts<String>,
    /// Codes and reasons of the server's close frames.
    pub(super) closes: Counts<(u16, String)>,
}

/// How far connections got, and how long each took to get there. There are as many as there are times.
#[derive(Clone, Debug, Default)]
pub(super) struct Arrivals {
    /// From connecting for the first time.
    pub(super) first: Times,
    /// From being dropped.
    pub(super) again: Times,
}

/// How long something took, each time. In microseconds, to three digits.
#[derive(Clone, Debug)]
pub(super) struct Times(Histogram<u64>);

/// How often each of a few things happened.
#[derive(Clone, Debug)]
pub(super) struct Counts<K>(BTreeMap<K, u64>);

/// Different errors that are counted each by itself; a server may put whatever it likes into them.
const KINDS: usize = 100;
/// What takes longer is counted as taking so long.
const LONGEST: u64 = 600_000_000;

impl Tally {
    /// Adds what another thread has counted.
    pub(super) fn add(&mut self, other: &Tally) {
        let numbers = [
            (&mut self.refused, other.refused),
            (&mut self.lost, other.lost),
            (&mut self.deliveries, other.deliveries),
            (&mut self.missing, other.missing),
            (&mut self.duplicated, other.duplicated),
            (&mut self.out_of_order, other.out_of_order),
            (&mut self.foreign, other.foreign),
            (&mut self.others, other.others),
            (&mut self.completed, other.completed),
            (&mut self.bytes_in, other.bytes_in),
            (&mut self.bytes_out, other.bytes_out),
            (&mut self.slow, other.slow),
            (&mut self.slow_closed, other.slow_closed),
        ];
        for (sum, more) in numbers {
            *sum += more;
        }
        self.last_subscribed = self.last_subscribed.max(other.last_subscribed);
        self.last_delivery = self.last_delivery.max(other.last_delivery);
        if self.sample.is_none() {
            self.sample.clone_from(&other.sample);
        }
        self.subscribed.add(&other.subscribed);
        self.firsts.add(&other.firsts);
        self.latency.add(&other.latency);
        self.errors.add(&other.errors);
        self.closes.add(&other.closes);
        self.slow_closes.add(&other.slow_closes);
    }
}

impl Arrivals {
    pub(super) fn record(&mut self, took: Duration, is_back: bool) {
        let times = if is_back {
            &mut self.again
        } else {
            &mut self.first
        };
        times.record(took);
    }

    fn add(&mut self, other: &Arrivals) {
        self.first.add(&other.first);
        self.again.add(&other.again);
    }
}

impl Default for Times {
    fn default() -> Self {
        let histogram = Histogram::new_with_bounds(1, LONGEST, 3);
        Times(histogram.expect("these are bounds that a histogram can have"))
    }
}

impl Times {
    pub(super) fn record(&mut self, time: Duration) {
        let micros = u64::try_from(time.as_micros()).unwrap_or(LONGEST);
        self.0.saturating_record(micros.max(1));
    }

    pub(super) fn add(&mut self, other: &Times) {
        // Nothing was recorded in most of most threads' histograms, and adding walks all of it.
        if !other.is_empty() {
            let added = self.0.add(&other.0);
            added.expect("all have the same bounds");
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(super) fn count(&self) -> u64 {
        self.0.len()
    }

    pub(super) fn clear(&mut self) {
        self.0.clear();
    }

    /// What so many percent did not exceed, in microseconds.
    pub(super) fn percentile(&self, percent: f64) -> u64 {
        self.0.value_at_percentile(percent)
    }

    pub(super) fn mean(&self) -> f64 {
        self.0.mean()
    }

    pub(super) fn max(&self) -> u64 {
        self.0.max()
    }
}

impl<K> Default for Counts<K> {
    fn default() -> Self {
        Counts(BTreeMap::new())
    }
}

impl<K: Ord + Clone> Counts<K> {
    /// Counts one. A kind that is new when there are too many is not counted.
    pub(super) fn count(&mut self, kind: K) {
        self.count_many(kind, 1);
    }

    fn count_many(&mut self, kind: K, many: u64) {
        if let Some(count) = self.0.get_mut(&kind) {
            *count += many;
        } else if self.0.len() < KINDS {
            self.0.insert(kind, many);
        }
    }

    fn add(&mut self, other: &Self) {
        for (kind, many) in &other.0 {
            self.count_many(kind.clone(), *many);
        }
    }

    /// Each with its count, the most frequent first.
    pub(super) fn sorted(&self) -> Vec<(&K, u64)> {
        let mut all: Vec<_> = self.0.iter().map(|(kind, many)| (kind, *many)).collect();
        all.sort_by_key(|(_, many)| std::cmp::Reverse(*many));
        all
    }

    pub(super) fn total(&self) -> u64 {
        self.0.values().sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tallies_of_two_threads_are_added_up() {
        let mut sum = Tally::default();
        for (deliveries, millis) in [(2, 10), (3, 30)] {
            let mut one = Tally {
                deliveries,
                ..Tally::default()
            };
            one.latency.record(Duration::from_millis(millis));
            one.closes.count((4403, "Forbidden".to_owned()));
            sum.add(&one);
        }
        assert_eq!(sum.deliveries, 5);
        assert_eq!(sum.latency.count(), 2);
        assert!(sum.latency.percentile(50.0).abs_diff(10_000) < 100);
        assert_eq!(sum.closes.sorted(), [(&(4403, "Forbidden".to_owned()), 2)]);
    }

    #[test]
    fn a_server_with_a_new_reason_each_time_does_not_fill_the_memory() {
        let mut counts = Counts::default();
        for number in 0..10_000 {
            counts.count(number);
        }
        assert_eq!(counts.sorted().len(), KINDS);
    }

    #[test]
    fn what_takes_for_ever_is_counted_too() {
        let mut times = Times::default();
        times.record(Duration::MAX);
        times.record(Duration::ZERO);
        assert_eq!(times.count(), 2);
    }
}
