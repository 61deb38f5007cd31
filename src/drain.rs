//! The end of the process: stop accepting, tell every connection, wait, go.

use std::time::Duration;

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// What ends with the process, and how it is told.
#[derive(Clone, Debug, Default)]
pub struct Drain {
    /// Cancelled when the process is to stop.
    pub begun: CancellationToken,
    /// Connections that are open, and tasks that must end.
    pub open: TaskTracker,
}

/// SIGTERM and SIGINT, from when this was made.
#[derive(Debug)]
pub struct StopSignals {
    terminate: Signal,
    interrupt: Signal,
}

impl StopSignals {
    /// Takes these signals over: they do not end the process any more, so somebody has to look at them.
    /// Early, because one that comes just now is lost: tokio has the handler before it has a receiver.
    ///
    /// # Errors
    ///
    /// The system does not let us.
    pub fn take_over() -> std::io::Result<Self> {
        Ok(StopSignals {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
        })
    }

    /// The name of the next one. Cancel-safe.
    async fn next(&mut self) -> &'static str {
        tokio::select! {
            _ = self.terminate.recv() => "SIGTERM",
            _ = self.interrupt.recv() => "SIGINT",
        }
    }
}

impl Drain {
    /// Begins the drain at SIGTERM or SIGINT.
    pub async fn on_signal(&self, signals: &mut StopSignals) {
        let name = signals.next().await;
        tracing::info!(signal = name, open = self.open.len(), "stopping");
        self.begun.cancel();
        self.open.close();
    }

    /// Waits until all that is open has ended, but no longer than `grace`. Says how much was left.
    pub async fn finish(&self, grace: Duration, signals: &mut StopSignals) -> usize {
        self.open.close();
        tokio::select! {
            _ = tokio::time::timeout(grace, self.open.wait()) => {}
            // Whoever asks twice does not want to wait.
            _ = signals.next() => tracing::info!("stopping at once"),
        }
        let left = self.open.len();
        if left > 0 {
            tracing::warn!(left, "the grace is over, the rest is cut off");
        }
        left
    }
}
