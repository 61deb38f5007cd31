//! What the driver is told to do, and what it reports: JSON, from and to `run`.

use std::net::SocketAddr;

use serde::{Deserialize, Serialize};

/// One run against one server.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Task {
    pub(crate) server: SocketAddr,
    pub(crate) redis: SocketAddr,
    /// The server's process.
    pub(crate) pid: u32,
    pub(crate) question: Question,
    pub(crate) clients: usize,
    /// Connections that are being made at a time.
    pub(crate) in_flight: usize,
    /// Different documents among the clients.
    pub(crate) operations: usize,
    /// How long a client waits for its first message before that counts as lost.
    pub(crate) first_message_ms: u64,
    /// Between looks at whether the server has started in full, and between connecting and the first phase.
    pub(crate) settling_ms: u64,
    pub(crate) phases: Vec<Phase>,
}

/// What clients ask.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Question {
    Price,
    Updates,
}

/// What is measured when all clients are connected, one after the other.
#[derive(Debug, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub(crate) enum Phase {
    /// Prices in bursts of this many; the next burst when all clients have all of the last one.
    Closed { burst: u64, seconds: f64 },
    /// Payments of one account each; so many are on their way at a time.
    Outstanding { events: u64, seconds: f64 },
    /// Single prices, each after a pause in which the server is idle.
    Modest { events: u64, pause_ms: u64 },
    /// The same, and the driver sleeps until the server is idle again: both cores are the server's.
    Asleep { events: u64 },
    /// Resident memory, now.
    Resident,
}

/// What came of a [`Task`].
#[derive(Debug, Serialize)]
pub(crate) struct Report {
    /// Resident bytes of the server before the first client.
    pub(crate) resident_before: u64,
    pub(crate) connect: Connect,
    /// In the order of [`Task::phases`].
    pub(crate) phases: Vec<Measured>,
}

/// How connecting went: connection, `connection_init`, subscription, first message.
#[derive(Debug, Serialize)]
pub(crate) struct Connect {
    pub(crate) clients: usize,
    pub(crate) seconds: f64,
    pub(crate) user_us: f64,
    pub(crate) system_us: f64,
    pub(crate) first_messages_lost: usize,
}

/// What came of a [`Phase`].
#[derive(Debug, Serialize)]
#[serde(untagged)]
pub(crate) enum Measured {
    Deliveries {
        deliveries: u64,
        seconds: f64,
        user_us: f64,
        system_us: f64,
    },
    Latency {
        /// From before the `PUBLISH` to the last client's message: the median of the events.
        median_ms: f64,
        events: u64,
    },
    Memory {
        resident: u64,
    },
}
