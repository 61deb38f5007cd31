//! `tidings schema`.

/// Prints the schema as SDL.
pub(super) fn schema() -> anyhow::Result<()> {
    anyhow::bail!("not built yet")
}
