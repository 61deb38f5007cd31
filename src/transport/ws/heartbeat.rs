//! Pings, and how long a client may take to answer one.

use std::time::Duration;

use tokio::time::Instant;

use crate::transport::close::Close;
use crate::transport::endpoint::Endpoint;
use crate::websocket::{Opcode, push_frame};

/// How often a client is pinged, and how long it may stay silent after that.
#[derive(Clone, Copy, Debug)]
pub(super) struct Rhythm {
    pub(super) interval: Duration,
    pub(super) patience: Duration,
}

/// When a client is pinged next, and since when a pong is awaited.
#[derive(Debug)]
pub(super) struct Heartbeat {
    ping_at: Instant,
    /// The first ping that no pong has followed.
    pinged: Option<Instant>,
}

/// What is to be done when a wait is over.
#[derive(Debug, PartialEq, Eq)]
enum Beat {
    Ping,
    /// No pong came.
    Silence,
}

impl Heartbeat {
    /// The first ping is due one interval from now.
    pub(super) fn new(rhythm: Rhythm) -> Self {
        Heartbeat {
            ping_at: Instant::now() + rhythm.interval,
            pinged: None,
        }
    }

    /// Pings the client when it is time to, and says whether it was; an error says that it has been silent
    /// for too long.
    pub(super) fn beat(&mut self, rhythm: Rhythm, endpoint: &Endpoint) -> Result<bool, Close> {
        match self.due(rhythm, Instant::now()) {
            Some(Beat::Silence) => Err(Close::Unresponsive),
            Some(Beat::Ping) => {
                let outbox = &endpoint.outbox;
                outbox.say(|out| push_frame(out, Opcode::Ping, &[]));
                self.pinged(rhythm);
                Ok(true)
            }
            None => Ok(false),
        }
    }

    /// When the present wait is over.
    pub(super) fn due_at(&self, rhythm: Rhythm) -> Instant {
        match self.pinged {
            Some(pinged) => self.ping_at.min(pinged + rhythm.patience),
            None => self.ping_at,
        }
    }

    /// What is to be done by now, if anything.
    fn due(&self, rhythm: Rhythm, now: Instant) -> Option<Beat> {
        let is_silent = |pinged| pinged + rhythm.patience <= now;
        if self.pinged.is_some_and(is_silent) {
            Some(Beat::Silence)
        } else {
            (self.ping_at <= now).then_some(Beat::Ping)
        }
    }

    /// A ping was sent.
    fn pinged(&mut self, rhythm: Rhythm) {
        let now = Instant::now();
        self.pinged.get_or_insert(now);
        self.ping_at = now + rhythm.interval;
    }

    /// A pong came: the time since the first ping that it may answer. One that nobody asked for changes
    /// nothing.
    pub(super) fn ponged(&mut self, rhythm: Rhythm) -> Option<Duration> {
        let pinged = self.pinged.take()?;
        self.ping_at = Instant::now() + rhythm.interval;
        Some(pinged.elapsed())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RHYTHM: Rhythm = Rhythm {
        interval: Duration::from_secs(20),
        patience: Duration::from_secs(60),
    };

    #[tokio::test(start_paused = true)]
    async fn a_client_is_pinged_while_a_pong_is_awaited_and_gone_when_none_came_in_time() {
        let began = Instant::now();
        let mut heartbeat = Heartbeat::new(RHYTHM);
        let mut pings = Vec::new();
        let silent_at = loop {
            tokio::time::sleep_until(heartbeat.due_at(RHYTHM)).await;
            match heartbeat.due(RHYTHM, Instant::now()) {
                Some(Beat::Ping) => {
                    heartbeat.pinged(RHYTHM);
                    pings.push(began.elapsed().as_secs());
                }
                Some(Beat::Silence) => break began.elapsed().as_secs(),
                None => unreachable!("something was due"),
            }
        };
        assert_eq!((&pings[..], silent_at), (&[20, 40, 60][..], 80));
    }

    #[tokio::test(start_paused = true)]
    async fn a_pong_answers_all_pings_before_it_and_one_that_nobody_asked_for_none() {
        let mut heartbeat = Heartbeat::new(RHYTHM);
        assert_eq!(heartbeat.ponged(RHYTHM), None);
        for _ in 0..2 {
            tokio::time::sleep_until(heartbeat.due_at(RHYTHM)).await;
            heartbeat.pinged(RHYTHM);
        }
        let since_the_first = heartbeat.ponged(RHYTHM);
        assert_eq!(since_the_first, Some(RHYTHM.interval));
        assert_eq!(heartbeat.due_at(RHYTHM), Instant::now() + RHYTHM.interval);
    }
}
