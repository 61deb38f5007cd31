//! The command line.
//!
//! What a command is asked for goes to stdout, alone, so that it can be piped; all that is said
//! about it goes to stderr. It ends with 0, with 1 when it failed, and with 2 when it was not
//! understood.

mod accounts;
mod banner;
mod bots;
mod config;
mod connections;
mod keys;
mod load;
mod plans;
mod publish;
mod schema;
mod serve;
mod server;
mod table;
mod token;
mod value;
mod webhooks;

use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context;
use clap::{Parser, Subcommand};
use tracing::Level;

use crate::bus::BusConfig;
use crate::config::{Flag, Layers, Settings};
use crate::redis_link::RedisLink;
use crate::store::Store;

/// Tells apps what just happened: Blink's GraphQL subscriptions over graphql-transport-ws.
#[derive(Parser)]
#[command(version, arg_required_else_help = true)]
pub struct Cli {
    /// A file with the settings that differ from the default (see `tidings config print`)
    #[arg(long, global = true, value_name = "FILE")]
    config: Option<PathBuf>,
    /// The Redis that is the bus: redis:// or rediss://. With a password, prefer TIDINGS_BUS__URL:
    /// everybody on a machine sees command lines
    #[arg(long, global = true, value_name = "URL")]
    redis_url: Option<String>,
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Serve subscriptions
    Serve {
        /// The address and port to listen on
        #[arg(long, value_name = "ADDR")]
        listen: Option<String>,
        /// Publish made-up prices and payments, and keep nothing
        #[arg(long)]
        demo: bool,
    },
    /// Create, list and revoke API keys
    #[command(subcommand)]
    Keys(keys::Command),
    /// Make a JSON Web Token for development, or say what a server makes of one
    Token(token::Arguments),
    /// List and close connections
    #[command(subcommand)]
    Connections(connections::Command),
    /// Import and list the accounts that `me` shows
    #[command(subcommand)]
    Accounts(accounts::Command),
    /// Say whose the trading bots are
    #[command(subcommand)]
    Bots(bots::Command),
    /// Create, list, change and delete the endpoints that webhooks are posted to
    #[command(subcommand)]
    Webhooks(webhooks::Command),
    /// Set and list the plans of accounts
    #[command(subcommand)]
    Plans(plans::Command),
    /// Publish events
    Publish(publish::Arguments),
    /// Put a server under load, and measure it
    Load(Box<load::Arguments>),
    /// Show the settings, or look for mistakes in them
    #[command(subcommand)]
    Config(config::Command),
    /// Print the GraphQL schema
    Schema,
}

impl Cli {
    /// Runs the command to its end.
    pub async fn run(self) -> ExitCode {
        if !matches!(self.command, Command::Serve { .. }) {
            // A server says how it wants to log; of a command only what went wrong is of interest.
            tracing_subscriber::fmt()
                .with_writer(std::io::stderr)
                .with_max_level(Level::WARN)
                .init();
        }
        match self.execute().await {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => {
                eprintln!("error: {error:#}");
                ExitCode::FAILURE
            }
        }
    }

    async fn execute(self) -> anyhow::Result<()> {
        let layers = self.layers();
        match self.command {
            Command::Serve { demo, .. } => serve::serve(layers?.settings()?, demo).await,
            Command::Keys(command) => command.run(&layers?.settings()?).await,
            Command::Token(arguments) => arguments.run(&layers?.settings()?).await,
            Command::Connections(command) => command.run(&layers?.settings()?).await,
            Command::Accounts(command) => command.run(&layers?.settings()?).await,
            Command::Bots(command) => command.run(&layers?.settings()?).await,
            Command::Webhooks(command) => command.run(&layers?.settings()?).await,
            Command::Plans(command) => command.run(&layers?.settings()?).await,
            Command::Publish(arguments) => arguments.run(&layers?.settings()?).await,
            Command::Load(arguments) => arguments.run(&layers?.settings()?).await,
            Command::Config(command) => command.run(&layers?),
            Command::Schema => schema::schema(),
        }
    }

    fn layers(&self) -> anyhow::Result<Layers> {
        // Those that are no text are no settings.
        let env = std::env::vars_os().filter_map(|(name, value)| {
            Some((name.into_string().ok()?, value.into_string().ok()?))
        });
        let mut flags = Vec::new();
        let mut flag = |name, key, value: &Option<String>| {
            flags.extend(value.clone().map(|value| Flag { name, key, value }));
        };
        flag("--redis-url", "bus.url", &self.redis_url);
        if let Command::Serve { listen, .. } = &self.command {
            flag("--listen", "server.listen", listen);
        }
        Ok(Layers::read(self.config.as_deref(), env, flags)?)
    }
}

/// The store that servers with these settings use.
fn store(settings: &Settings) -> anyhow::Result<Store> {
    match &settings.bus {
        BusConfig::Memory => {
            let directory = settings.store.directory.display();
            Store::open(&settings.store)
                .with_context(|| format!("cannot open the store in {directory}"))
        }
        BusConfig::Redis { url } => Ok(Store::redis(RedisLink::new(url, &settings.redis)?)),
    }
}

/// Prints what was asked for. Whoever reads it may stop in the middle, as `head` does.
fn print(text: &str) -> anyhow::Result<()> {
    let mut stdout = std::io::stdout().lock();
    match stdout
        .write_all(text.as_bytes())
        .and_then(|()| stdout.flush())
    {
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => {
            Err(error).context("cannot write to stdout")
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }
}
