//! `tidings publish`: events, from a shell.

use std::io::ErrorKind;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use anyhow::{Context, bail};
use clap::Args;
use reqwest::StatusCode;
use secrecy::{ExposeSecret, SecretString};
use tokio::io::{AsyncBufReadExt, BufReader};
use url::Url;

use crate::bus::BusConfig;
use crate::config::Settings;
use crate::ingest;
use crate::redis_link::RedisLink;
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
        let outlet = Outlet::new(self.url, self.key, settings)?;
        match (self.channel, self.json) {
            (Some(channel), Some(json)) => outlet.publish(&channel, json).await,
            (channel, _) => outlet.publish_lines(channel.as_deref()).await,
        }
    }
}

/// Where events are taken.
enum Outlet {
    Redis(RedisLink),
    Server {
        client: reqwest::Client,
        url: Url,
        key: Option<SecretString>,
    },
}

impl Outlet {
    fn new(
        url: Option<Url>,
        key: Option<SecretString>,
        settings: &Settings,
    ) -> anyhow::Result<Self> {
        let url = match (url, &settings.bus) {
            (None, BusConfig::Redis { url }) => {
                return Ok(Outlet::Redis(RedisLink::new(url, &settings.redis)?));
            }
            (Some(url), _) => url,
            (None, BusConfig::Memory) => {
                let address = reachable(settings.server.listen);
                format!("http://{address}")
                    .parse()
                    .expect("addresses are URLs")
            }
        };
        let from_environment = || std::env::var("TIDINGS_KEY").ok().map(SecretString::from);
        let mut client = reqwest::Client::builder().timeout(Duration::from_secs(10));
        if url.scheme() == "http" {
            // Without TLS no certificates are needed, and a small container has none.
            client = client.tls_certs_only([]);
        }
        Ok(Outlet::Server {
            client: client.build()?,
            url,
            key: key.or_else(from_environment),
        })
    }

    /// In order. Stops at the first line that is refused; the lines before it are published.
    async fn publish_lines(&self, channel: Option<&str>) -> anyhow::Result<()> {
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
            let done = self.publish(channel, json.trim_start().to_owned()).await;
            done.with_context(|| format!("line {number}"))?;
            published += 1;
        }
        eprintln!(
            "published {published} event{}",
            if published == 1 { "" } else { "s" }
        );
        Ok(())
    }

    async fn publish(&self, channel: &str, json: String) -> anyhow::Result<()> {
        let (topic, _) = ingest::check(channel, json.as_bytes())?;
        match self {
            Outlet::Redis(link) => {
                let mut publish = redis::cmd("PUBLISH");
                let _: i64 = link.run(publish.arg(topic.channel()).arg(json)).await?;
                Ok(())
            }
            Outlet::Server { client, url, key } => {
                post(client, url, key.as_ref(), &topic, json).await
            }
        }
    }
}

async fn post(
    client: &reqwest::Client,
    server: &Url,
    key: Option<&SecretString>,
    topic: &Topic,
    json: String,
) -> anyhow::Result<()> {
    let mut url = server.clone();
    url.path_segments_mut()
        .map_err(|()| anyhow::anyhow!("--url {server}: not the URL of a server"))?
        .pop_if_empty()
        .extend(["v1", "events", &topic.channel()]);
    let mut request = client
        .post(url)
        .header("Content-Type", "application/json")
        .body(json);
    if let Some(key) = key {
        request = request.header("X-API-KEY", key.expose_secret());
    }
    let answer = request.send().await;
    let answer =
        answer.with_context(|| format!("cannot reach {server}; does a server run there?"))?;
    let status = answer.status();
    if status.is_success() {
        return Ok(());
    }
    let said: String = answer
        .text()
        .await
        .unwrap_or_default()
        .chars()
        .take(500)
        .collect();
    let refusal = matches!(status, StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN);
    let hint = match key {
        None if refusal => "; a key with the scope publish goes into TIDINGS_KEY",
        Some(_) if refusal => "; the key needs the scope publish",
        _ => "",
    };
    bail!("{server} said {status}: {}{hint}", said.trim())
}

/// Where a server is found that listens on all addresses.
fn reachable(listen: SocketAddr) -> SocketAddr {
    let ip = match listen.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    };
    SocketAddr::new(ip, listen.port())
}

async fn next(
    lines: &mut tokio::io::Lines<BufReader<tokio::io::Stdin>>,
) -> anyhow::Result<Option<String>> {
    match lines.next_line().await {
        Err(error) if error.kind() == ErrorKind::InvalidData => bail!("stdin is not UTF-8"),
        line => line.context("cannot read stdin"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_that_listens_everywhere_is_found_here() {
        let reachable = |listen: &str| reachable(listen.parse().unwrap()).to_string();
        assert_eq!(reachable("0.0.0.0:4000"), "127.0.0.1:4000");
        assert_eq!(reachable("[::]:4000"), "[::1]:4000");
        assert_eq!(reachable("192.0.2.1:80"), "192.0.2.1:80");
    }
}
