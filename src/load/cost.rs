//! What a run cost: the server, and the load tester itself.

use serde::Serialize;

use super::plan::Plan;
use super::report::Measured;
use super::server_process::{Cpu, ServerProcess};
use super::tally::Tally;

/// What the server needed.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Server {
    /// While it was published, and until the last delivery had arrived.
    pub(super) cpu: Option<Cpu>,
    pub(super) micros_per_delivery: Option<f64>,
    /// While connections were opened.
    pub(super) connecting_cpu: Option<Cpu>,
    pub(super) micros_per_connection: Option<f64>,
    pub(super) resident_bytes_before: Option<u64>,
    pub(super) resident_bytes_connected: Option<u64>,
    pub(super) resident_bytes_peak: u64,
    pub(super) resident_bytes_per_connection: Option<f64>,
}

/// What the load tester itself needed.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Tester {
    pub(super) cpu: Option<Cpu>,
    /// Of the processors that its threads for clients can use, while it was published.
    pub(super) busy_share: Option<f64>,
}

/// What the server and this process have used by a time.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Usage {
    pub(super) cpu: Option<Cpu>,
    resident: Option<u64>,
    own: Option<Cpu>,
}

/// Above this share the figures are the load tester's own limit.
pub(super) const BUSY: f64 = 0.9;

impl Usage {
    pub(super) fn of(server: Option<ServerProcess>) -> Self {
        Usage {
            cpu: server.and_then(ServerProcess::cpu),
            resident: server.and_then(ServerProcess::resident_bytes),
            own: ServerProcess::own().cpu(),
        }
    }
}

impl Server {
    pub(super) fn new(tally: &Tally, measured: &Measured) -> Self {
        let Measured {
            before,
            connected,
            performed,
            ..
        } = *measured;
        let used = |from: Usage, to: Usage| Some(to.cpu?.since(from.cpu?));
        let each = |cpu: Option<Cpu>, count: u64| {
            let cpu = cpu.filter(|_| count > 0)?;
            Some(cpu.total().as_secs_f64() * 1e6 / count as f64)
        };
        let (connecting_cpu, cpu) = (used(before, connected), used(connected, performed));
        let grown = connected.resident.zip(before.resident);
        let grown = grown.map(|(after, before)| after as f64 - before as f64);
        let subscribed = tally.subscribed.first.count();
        Server {
            cpu,
            micros_per_delivery: each(cpu, tally.deliveries),
            connecting_cpu,
            micros_per_connection: each(connecting_cpu, subscribed),
            resident_bytes_before: before.resident,
            resident_bytes_connected: connected.resident,
            resident_bytes_peak: measured.peak_bytes,
            resident_bytes_per_connection: grown
                // A server that had room left over from before did not grow: that says nothing.
                .filter(|grown| subscribed > 0 && *grown > 0.0)
                .map(|grown| grown / subscribed as f64),
        }
    }
}

impl Tester {
    pub(super) fn new(plan: &Plan, measured: &Measured) -> Self {
        let used = measured.performed.own.zip(measured.connected.own);
        let cpu = used.map(|(after, before)| after.since(before));
        let time = measured.performing.as_secs_f64() * plan.threads as f64;
        Tester {
            cpu,
            busy_share: cpu
                .filter(|_| time > 0.0)
                .map(|cpu| cpu.total().as_secs_f64() / time),
        }
    }
}
