//! Pings, and how long a client may take to answer one.

use std::time::Duration;

use tokio::time::Instant;

/// Which of two waits a connection is in: until the next ping, or until a pong is overdue.
#[derive(Debug)]
pub(super) enum Heartbeat {
    PingAt(Instant),
    PongBy { pinged: Instant, by: Instant },
}

/// What is to be done when a wait is over.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Beat {
    Ping,
    /// No pong came.
    Silence,
}

impl Heartbeat {
    /// The first ping is due one interval from now.
    pub(super) fn new(interval: Duration) -> Self {
        Heartbeat::PingAt(Instant::now() + interval)
    }

    /// When the present wait is over.
    pub(super) fn due_at(&self) -> Instant {
        match self {
            Heartbeat::PingAt(at) => *at,
            Heartbeat::PongBy { by, .. } => *by,
        }
    }

    /// What is to be done by now, if anything.
    pub(super) fn due(&self, now: Instant) -> Option<Beat> {
        match self {
            Heartbeat::PingAt(at) => (*at <= now).then_some(Beat::Ping),
            Heartbeat::PongBy { by, .. } => (*by <= now).then_some(Beat::Silence),
        }
    }

    /// A ping was sent.
    pub(super) fn pinged(&mut self, patience: Duration) {
        let pinged = Instant::now();
        let by = pinged + patience;
        *self = Heartbeat::PongBy { pinged, by };
    }

    /// A pong came: the time since its ping. One that nobody asked for changes nothing.
    pub(super) fn ponged(&mut self, interval: Duration) -> Option<Duration> {
        let Heartbeat::PongBy { pinged, .. } = *self else {
            return None;
        };
        *self = Heartbeat::new(interval);
        Some(pinged.elapsed())
    }
}
