//! `tidings schema`.

use super::print;

/// Prints the schema as SDL.
pub(super) fn schema() -> anyhow::Result<()> {
    print(&crate::graphql::sdl())
}
