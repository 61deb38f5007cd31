//! The last webhooks of one account, in this process.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use bytes::Bytes;

use super::RetainedConfig;
use crate::event::WebhookId;

/// Bodies as they went over the bus, the oldest first. Beyond the limits the oldest are forgotten.
#[derive(Debug, Default)]
pub(super) struct History {
    kept: VecDeque<Kept>,
    bytes: usize,
}

#[derive(Debug)]
struct Kept {
    id: WebhookId,
    body: Bytes,
    at: Instant,
}

impl History {
    pub(super) fn keep(&mut self, id: WebhookId, body: Bytes, limits: &RetainedConfig) {
        let at = Instant::now();
        // Whoever keeps two at once need not wait for the other: they are put in order here.
        let place = self.kept.partition_point(|kept| kept.id < id);
        self.bytes += body.len();
        self.kept.insert(place, Kept { id, body, at });
        // The newest stays, however long it is.
        while self.kept.len() > 1
            && self.is_over(limits)
            && let Some(oldest) = self.kept.pop_front()
        {
            self.bytes -= oldest.body.len();
        }
    }

    pub(super) fn bodies(&self, kept_for: Duration) -> Vec<Bytes> {
        let fresh = self.kept.iter().filter(|kept| kept.at.elapsed() < kept_for);
        fresh.map(|kept| kept.body.clone()).collect()
    }

    fn is_over(&self, limits: &RetainedConfig) -> bool {
        let is_old = |kept: &Kept| kept.at.elapsed() >= limits.webhooks_for;
        self.kept.len() > limits.webhooks
            || self.bytes > limits.webhooks_bytes
            || self.kept.front().is_some_and(is_old)
    }
}
