//! `tidings serve`.

use crate::config::Settings;

/// Serves until it is told to stop.
pub(super) async fn serve(_settings: Settings, _demo: bool) -> anyhow::Result<()> {
    anyhow::bail!("not built yet")
}
