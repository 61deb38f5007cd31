//! Pings, and how long a client may take to answer one.

use std::time::Duration;

use tokio::time::Instant;

/// Which of two waits a connection is in: until the next ping, or until a pong is overdue.
#[derive(Debug)]
pub(super) enum Heartbeat {
    PingAt(Instant),
    PongBy(Instant),
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

    /// Waits until something is to be done. Cancel-safe: it holds nothing.
    pub(super) async fn due(&self) -> Beat {
        match self {
            Heartbeat::PingAt(at) => {
                tokio::time::sleep_until(*at).await;
                Beat::Ping
            }
            Heartbeat::PongBy(at) => {
                tokio::time::sleep_until(*at).await;
                Beat::Silence
            }
        }
    }

    /// A ping was sent.
    pub(super) fn pinged(&mut self, patience: Duration) {
        *self = Heartbeat::PongBy(Instant::now() + patience);
    }

    /// A pong came; one that nobody asked for changes nothing.
    pub(super) fn ponged(&mut self, interval: Duration) {
        if let Heartbeat::PongBy(_) = self {
            *self = Heartbeat::new(interval);
        }
    }
}
