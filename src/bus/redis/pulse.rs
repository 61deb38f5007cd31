//! Whether the connection is alive, by two signs.
//!
//! A link can go silent without a FIN, and a subscriber can be deaf while its server answers: after
//! a failover it may hang on the old one, which nobody publishes on any longer. So PING asks the
//! server, and a canary (a message that we publish through the command connection, on a channel of
//! our own) asks the whole road.

use std::time::Duration;

use tokio::time::{Instant, sleep_until};

use super::subscriber::Doubt;
use crate::redis_link::{RedisConfig, Unavailable};

pub(super) struct Pulse {
    ping_interval: Duration,
    reply_timeout: Duration,
    canary_interval: Duration,
    canary_timeout: Duration,
    ping_due: Instant,
    pong_by: Option<Instant>,
    canary_due: Instant,
    canary_by: Option<Instant>,
}

/// What is to be done now.
#[derive(Debug)]
pub(super) enum Beat {
    Ping,
    Canary,
    Silence(Doubt),
}

impl Pulse {
    /// The pulse of a connection that was opened now.
    pub(super) fn new(config: &RedisConfig) -> Self {
        let now = Instant::now();
        Pulse {
            ping_interval: config.ping_interval,
            reply_timeout: config.reply_timeout,
            canary_interval: config.canary_interval,
            canary_timeout: config.canary_timeout,
            ping_due: now + config.ping_interval,
            pong_by: None,
            canary_due: now + config.canary_interval,
            canary_by: None,
        }
    }

    /// The next beat. Cancel-safe. Poll it when nothing is left to read: then silence is silence,
    /// and not a message that was there before this process found the time to look.
    pub(super) async fn next(&mut self) -> Beat {
        let by = [self.pong_by, self.canary_by].into_iter().flatten().min();
        let due = self.ping_due.min(self.canary_due);
        sleep_until(by.map_or(due, |by| by.min(due))).await;
        let now = Instant::now();
        let passed = |deadline: Option<Instant>| deadline.is_some_and(|deadline| deadline <= now);
        if passed(self.pong_by) {
            Beat::Silence(Doubt::NoPong(self.reply_timeout))
        } else if passed(self.canary_by) {
            Beat::Silence(Doubt::NoCanary(self.canary_timeout))
        } else if self.ping_due <= now {
            self.ping_due = now + self.ping_interval;
            self.pong_by.get_or_insert(now + self.reply_timeout);
            Beat::Ping
        } else {
            self.canary_due = now + self.canary_interval;
            self.canary_by.get_or_insert(now + self.canary_timeout);
            Beat::Canary
        }
    }

    /// The server has answered.
    pub(super) fn pong(&mut self) {
        self.pong_by = None;
    }

    /// The canary is back.
    pub(super) fn canary_heard(&mut self) {
        self.canary_by = None;
    }

    /// What became of publishing the canary. One that Redis refused, or that found no connection,
    /// proves nothing about the subscriber; one that got no answer makes it as doubtful as before.
    pub(super) fn canary_published(&mut self, outcome: &Result<i64, Unavailable>) {
        match outcome {
            Ok(_) | Err(Unavailable::TimedOut) => {}
            Err(Unavailable::Away(_) | Unavailable::Refused(_)) => self.canary_by = None,
        }
    }

    /// For this long nobody read the socket: that was our slowness, not the link's.
    pub(super) fn excuse(&mut self, blocked: Duration) {
        for by in [&mut self.pong_by, &mut self.canary_by] {
            *by = by.map(|by| by + blocked);
        }
    }
}
