//! A server, as commands speak to it that cannot ask Redis.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use anyhow::{Context, bail};
use reqwest::{Method, StatusCode};
use secrecy::{ExposeSecret, SecretString};
use url::Url;

use crate::bus::BusConfig;
use crate::config::Settings;
use crate::redis_link::RedisLink;

/// Where a command finds the servers that it is about.
pub(super) enum Way {
    /// All of them have this Redis.
    Redis(RedisLink),
    /// There is this one.
    Server(Server),
}

/// One server, and a key for it.
pub(super) struct Server {
    client: reqwest::Client,
    url: Url,
    key: Option<SecretString>,
}

/// How long a server may take to answer.
const ANSWER: Duration = Duration::from_secs(10);

/// Of what a server says that refuses, so much is shown.
const SAID: usize = 500;

impl Way {
    /// To the server at this URL; without one to Redis, or to the server of these settings.
    pub(super) fn new(
        url: Option<Url>,
        key: Option<SecretString>,
        settings: &Settings,
    ) -> anyhow::Result<Self> {
        let url = match (url, &settings.bus) {
            (None, BusConfig::Redis { url }) => {
                return Ok(Way::Redis(RedisLink::new(url, &settings.redis)?));
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
        let mut client = reqwest::Client::builder().timeout(ANSWER);
        if url.scheme() == "http" {
            // Without TLS no certificates are needed, and a small container has none.
            client = client.tls_certs_only([]);
        }
        Ok(Way::Server(Server {
            client: client.build()?,
            url,
            key: key.or_else(from_environment),
        }))
    }
}

impl Server {
    /// Asks for `/v1/…`, and gives back what it says. `scope` is what the key must have.
    pub(super) async fn ask(
        &self,
        method: Method,
        path: &[&str],
        parameters: &[(&str, String)],
        json: Option<String>,
        scope: &str,
    ) -> anyhow::Result<String> {
        let Server { client, url, key } = self;
        let mut asked = url.clone();
        asked
            .path_segments_mut()
            .map_err(|()| anyhow::anyhow!("--url {url}: not the URL of a server"))?
            .pop_if_empty()
            .push("v1")
            .extend(path);
        if !parameters.is_empty() {
            asked.query_pairs_mut().extend_pairs(parameters);
        }
        let mut request = client.request(method, asked);
        if let Some(json) = json {
            request = request
                .header("Content-Type", "application/json")
                .body(json);
        }
        if let Some(key) = key {
            request = request.header("X-API-KEY", key.expose_secret());
        }
        let answer = request.send().await;
        let answer =
            answer.with_context(|| format!("cannot reach {url}; does a server run there?"))?;
        let status = answer.status();
        if status.is_success() {
            return answer
                .text()
                .await
                .with_context(|| format!("{url} broke off"));
        }
        let said: String = answer
            .text()
            .await
            .unwrap_or_default()
            .chars()
            .take(SAID)
            .collect();
        let refusal = matches!(status, StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN);
        let hint = match key {
            None if refusal => format!("; a key with the scope {scope} goes into TIDINGS_KEY"),
            Some(_) if refusal => format!("; the key needs the scope {scope}"),
            _ => String::new(),
        };
        bail!("{url} said {status}: {}{hint}", said.trim())
    }
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
