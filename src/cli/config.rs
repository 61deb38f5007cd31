//! `tidings config`: what a server would run with.

use clap::Subcommand;

use super::print;
use crate::auth::Tokens;
use crate::config::Layers;

#[derive(Subcommand)]
pub(super) enum Command {
    /// Look for mistakes in the settings
    Check,
    /// Print all settings as TOML, each with where it came from; passwords are left out
    Print,
}

impl Command {
    pub(super) fn run(self, layers: &Layers) -> anyhow::Result<()> {
        let settings = layers.settings()?;
        match self {
            Command::Check => {
                // Files are read: a server does not start without them.
                Tokens::new(&settings.jwt)?;
                settings.documents.open()?;
                eprintln!("the settings are good");
                Ok(())
            }
            Command::Print => print(&layers.to_string()),
        }
    }
}
