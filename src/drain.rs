//! The end of the process: stop accepting, tell every connection, wait, go.

use std::time::Duration;

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

impl Drain {
    /// Begins the drain at SIGTERM or SIGINT.
    pub async fn on_signal(&self) -> std::io::Result<()> {
        let name = stop_signal().await?;
        tracing::info!(signal = name, open = self.open.len(), "stopping");
        self.begun.cancel();
        self.open.close();
        Ok(())
    }

    /// Waits until all that is open has ended, but no longer than `grace`. Says how much was left.
    pub async fn finish(&self, grace: Duration) -> usize {
        self.open.close();
        tokio::select! {
            _ = tokio::time::timeout(grace, self.open.wait()) => {}
            // Whoever asks twice does not want to wait.
            _ = stop_signal() => tracing::info!("stopping at once"),
        }
        let left = self.open.len();
        if left > 0 {
            tracing::warn!(left, "the grace is over, the rest is cut off");
        }
        left
    }
}

/// Waits for SIGTERM or SIGINT, and says which.
async fn stop_signal() -> std::io::Result<&'static str> {
    use tokio::signal::unix::{SignalKind, signal};
    let (mut terminate, mut interrupt) = (
        signal(SignalKind::terminate())?,
        signal(SignalKind::interrupt())?,
    );
    Ok(tokio::select! {
        _ = terminate.recv() => "SIGTERM",
        _ = interrupt.recv() => "SIGINT",
    })
}
