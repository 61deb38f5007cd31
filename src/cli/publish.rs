//! `tidings publish`: events, from a shell.

use std::io::ErrorKind;

use anyhow::{Context, bail};
use clap::Args;
use reqwest::Method;
use secrecy::SecretString;
use tokio::io::{AsyncBufReadExt, BufReader};
use url::Url;

use super::server::Way;
use crate::config::Settings;
use crate::ingest;
use crate::topic::Topic;

#[derive(Args)]
#[command(after_long_help = "\
Without JSON, stdin is read: one body a line; without CHANNEL too, one channel and body a line.

With the bus in Redis, events go there. With the bus in a server's own memory they go to that server, \
and need a key with the scope publish.")]
pub(super) struct Arguments {
    #[arg(help = Topic::CHANNELS)]
    channel: Option<String>,
    /// The body
    json: Option<String>,
    /// The server to publish to. Without it: Redis, or the server of these settings
    #[arg(long)]
    url: Option<Url>,
    /// The key for it. Prefer TIDINGS_KEY: everybody on a machine sees command lines
    #[arg(long)]
    key: Option<SecretString>,
}

impl Arguments {
    pub(super) async fn run(self, settings: &Settings) -> anyhow::Result<()> {
        let way = Way::new(self.url, self.key, settings)?;
        match (self.channel, self.json) {
            (Some(channel), Some(json)) => publish(&way, &channel, json).await,
            (channel, _) => publish_lines(&way, channel.as_deref()).await,
        }
    }
}

/// In order. Stops at the first line that is refused; the lines before it are published.
async fn publish_lines(way: &Way, channel: Option<&str>) -> anyhow::Result<()> {
    let mut lines = BufReader::new(tokio::io::stdin()).lines();
    let (mut number, mut published) = (0, 0);
    while let Some(line) = next(&mut lines).await? {
        number += 1;
        let line = line.trim();
        if line.is_empty() {
            continue;
        }
        let (channel, json) = match channel {
            Some(channel) => (channel, line),
            None => line.split_once(char::is_whitespace).unwrap_or((line, "")),
        };
        let done = publish(way, channel, json.trim_start().to_owned()).await;
        done.with_context(|| format!("line {number}"))?;
        published += 1;
    }
    eprintln!(
        "published {published} event{}",
        if published == 1 { "" } else { "s" }
    );
    Ok(())
}

async fn publish(way: &Way, channel: &str, json: String) -> anyhow::Result<()> {
    let (topic, _) = ingest::check(channel, json.as_bytes())?;
    let channel = topic.channel();
    match way {
        Way::Redis(link) => {
            let mut publish = redis::cmd("PUBLISH");
            let _: i64 = link.run(publish.arg(channel).arg(json)).await?;
        }
        Way::Server(server) => {
            let path = ["events", &channel];
            server
                .ask(Method::POST, &path, &[], Some(json), "publish")
                .await?;
        }
    }
    Ok(())
}

async fn next(
    lines: &mut tokio::io::Lines<BufReader<tokio::io::Stdin>>,
) -> anyhow::Result<Option<String>> {
    match lines.next_line().await {
        Err(error) if error.kind() == ErrorKind::InvalidData => bail!("stdin is not UTF-8"),
        line => line.context("cannot read stdin"),
    }
}
