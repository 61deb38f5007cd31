//! Every setting, in the sections of `config/default.toml`.
//!
//! That file is the reference: it is compiled in, complete and commented, and no setting has a
//! default anywhere else. What is laid over it is the business of [`Layers`].

mod layers;

pub use self::layers::{ConfigError, Flag, Layers, Origin};

use std::net::{IpAddr, SocketAddr};
use std::num::NonZeroU32;
use std::path::Path;
use std::time::Duration;

use ipnet::IpNet;
use serde::de::Error as _;
use serde::{Deserialize, Deserializer};

use crate::auth::{AuthConfig, JwtConfig};
use crate::bus::BusConfig;
use crate::channels::allenhark::AllenHarkConfig;
use crate::channels::blockdb::BlockDbConfig;
use crate::channels::websocks::WebsocksConfig;
use crate::graphql::DocumentsConfig;
use crate::hub::{HubConfig, OutboxLimits};
use crate::redis_link::RedisConfig;
use crate::registry::{NodeName, RegistryConfig, RegistryLimits};
use crate::retained::RetainedConfig;
use crate::store::StoreConfig;
use crate::telemetry::LogConfig;
use crate::topic::Currency;
use crate::transport::address::AddressLimits;
use crate::transport::origin::{self, Origins};
use crate::transport::routes;
use crate::transport::server::ConnectionLimits;

/// All settings, each module's in its own section.
// No `Debug`: there may be a password in the URL of the bus.
#[derive(Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    pub server: ServerConfig,
    pub bus: BusConfig,
    pub redis: RedisConfig,
    pub retained: RetainedConfig,
    pub store: StoreConfig,
    pub auth: AuthConfig,
    pub jwt: JwtConfig,
    pub hub: HubConfig,
    pub registry: RegistryConfig,
    pub limits: LimitsConfig,
    pub documents: DocumentsConfig,
    pub prices: PricesConfig,
    pub invoices: InvoicesConfig,
    pub allenhark: AllenHarkConfig,
    pub websocks: WebsocksConfig,
    pub blockdb: BlockDbConfig,
    pub log: LogConfig,
}

impl Settings {
    /// The default, under `file`, under the environment, under the command line.
    pub fn load(
        file: Option<&Path>,
        env: impl Iterator<Item = (String, String)>,
        flags: Vec<Flag>,
    ) -> Result<Self, ConfigError> {
        Layers::read(file, env, flags)?.settings()
    }

    /// Whether each path leads to one API alone; or else the setting that is wrong, and why.
    pub fn check_paths(&self) -> Result<(), (&'static str, String)> {
        let WebsocksConfig { enabled, path, .. } = &self.websocks;
        if !enabled {
            return Ok(());
        }
        let ServerConfig {
            path: graphql,
            also_at,
            ..
        } = &self.server;
        if graphql == path || also_at.contains(path) {
            let why = format!("{path} is a path of GraphQL: see server.path and server.also_at");
            return Err(("websocks.path", why));
        }
        if routes::is_fixed(path) || routes::is_of_websocks(path) {
            let why = format!("{path} is there already, and leads elsewhere");
            return Err(("websocks.path", why));
        }
        for (key, paths) in [
            ("server.path", std::slice::from_ref(graphql)),
            ("server.also_at", also_at),
        ] {
            if let Some(path) = paths.iter().find(|path| routes::is_of_websocks(path)) {
                let why = format!("{path} leads elsewhere where websocks.enabled is true");
                return Err((key, why));
            }
        }
        Ok(())
    }
}

/// `[server]`: where it listens, and how it stops.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ServerConfig {
    #[serde(deserialize_with = "address")]
    pub listen: SocketAddr,
    #[serde(deserialize_with = "path")]
    pub path: String,
    #[serde(deserialize_with = "paths")]
    pub also_at: Vec<String>,
    #[serde(deserialize_with = "origins")]
    pub allowed_origins: Origins,
    pub playground: bool,
    /// Absent: what the machine is called, and the port.
    pub name: Option<NodeName>,
    #[serde(with = "humantime_serde")]
    pub header_timeout: Duration,
    #[serde(with = "humantime_serde")]
    pub shutdown_grace: Duration,
}

/// `[limits]`: what one client, and all of them, may use.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LimitsConfig {
    pub connections: usize,
    pub connections_per_user: usize,
    pub connections_per_key: usize,
    pub connections_per_ip: usize,
    pub connections_per_ip_per_minute: NonZeroU32,
    pub connections_per_ip_burst: NonZeroU32,
    #[serde(deserialize_with = "networks")]
    pub unlimited_networks: Vec<IpNet>,
    #[serde(deserialize_with = "networks")]
    pub trusted_proxies: Vec<IpNet>,
    #[serde(with = "humantime_serde")]
    pub init_timeout: Duration,
    #[serde(with = "humantime_serde")]
    pub ping_interval: Duration,
    #[serde(with = "humantime_serde")]
    pub pong_timeout: Duration,
    pub message_bytes: usize,
    pub subscriptions_per_connection: usize,
    pub depth: usize,
    pub complexity: usize,
    #[serde(with = "humantime_serde")]
    pub write_timeout: Duration,
    pub outbox_frames: usize,
    pub outbox_bytes: usize,
    pub conflate_above: usize,
    #[serde(with = "humantime_serde")]
    pub sse_heartbeat: Duration,
    #[serde(with = "humantime_serde")]
    pub multipart_heartbeat: Duration,
    #[serde(with = "humantime_serde")]
    pub reservation: Duration,
    #[serde(with = "humantime_serde")]
    pub reconnect_jitter: Duration,
    pub documents: usize,
}

impl LimitsConfig {
    /// How many connections there may be of whom.
    pub fn of_registry(&self) -> RegistryLimits {
        RegistryLimits {
            per_user: self.connections_per_user,
            per_key: self.connections_per_key,
        }
    }

    /// How many connections one address may have.
    pub fn of_address(&self) -> AddressLimits {
        AddressLimits {
            connections: self.connections_per_ip,
            per_minute: self.connections_per_ip_per_minute,
            burst: self.connections_per_ip_burst,
            unlimited: self.unlimited_networks.clone(),
        }
    }

    /// How long the machine of a client may acknowledge nothing: a client of a response that goes on cannot be
    /// pinged, and is to be missed as soon as one that can be. One that does not read has time for that, too.
    pub fn unacknowledged(&self) -> Duration {
        (self.ping_interval + self.pong_timeout).max(self.write_timeout)
    }

    /// What one connection may use.
    pub fn of_connection(&self) -> ConnectionLimits {
        ConnectionLimits {
            init_timeout: self.init_timeout,
            ping_interval: self.ping_interval,
            pong_timeout: self.pong_timeout,
            write_timeout: self.write_timeout,
            subscriptions: self.subscriptions_per_connection,
            message_bytes: self.message_bytes,
            outbox: OutboxLimits {
                frames: self.outbox_frames,
                bytes: self.outbox_bytes,
                conflate_above: self.conflate_above,
            },
            sse_heartbeat: self.sse_heartbeat,
            multipart_heartbeat: self.multipart_heartbeat,
            reservation: self.reservation,
            reconnect_jitter: self.reconnect_jitter,
        }
    }
}

/// `[prices]`: which there are.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PricesConfig {
    #[serde(deserialize_with = "currencies")]
    pub currencies: Vec<Currency>,
    #[serde(deserialize_with = "currency")]
    pub default_display_currency: Currency,
}

/// `[invoices]`
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct InvoicesConfig {
    pub complete_when_final: bool,
}

fn address<'de, D: Deserializer<'de>>(deserializer: D) -> Result<SocketAddr, D::Error> {
    let text = String::deserialize(deserializer)?;
    text.parse().map_err(|_| {
        D::Error::custom("expected an IP address and a port, such as \"127.0.0.1:4000\"")
    })
}

/// Networks as `10.0.0.0/8`, and single addresses.
fn networks<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<IpNet>, D::Error> {
    #[derive(Deserialize)]
    struct Wrapped(#[serde(deserialize_with = "network")] IpNet);
    let wrapped = Vec::<Wrapped>::deserialize(deserializer)?;
    Ok(wrapped.into_iter().map(|Wrapped(one)| one).collect())
}

fn network<'de, D: Deserializer<'de>>(deserializer: D) -> Result<IpNet, D::Error> {
    let text = String::deserialize(deserializer)?;
    let address = || text.parse::<IpAddr>().ok().map(IpNet::from);
    text.parse().ok().or_else(address).ok_or_else(|| {
        D::Error::custom(format!(
            "expected a network such as \"10.0.0.0/8\", not {text:?}"
        ))
    })
}

/// `"*"` among them is any.
fn origins<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Origins, D::Error> {
    #[derive(Deserialize)]
    struct Listed(#[serde(deserialize_with = "origin")] Option<origin::Origin>);
    let listed = Vec::<Listed>::deserialize(deserializer)?;
    let all: Option<Origins> = listed.into_iter().map(|Listed(origin)| origin).collect();
    Ok(all.unwrap_or(Origins::Any))
}

/// `None` is any.
fn origin<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<origin::Origin>, D::Error> {
    let text = String::deserialize(deserializer)?;
    match text.as_str() {
        "*" => Ok(None),
        text => text.parse().map(Some).map_err(D::Error::custom),
    }
}

fn path<'de, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    let text = String::deserialize(deserializer)?;
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"/-_.~".contains(&byte);
    if !(text.starts_with('/') && text.bytes().all(plain)) {
        return Err(D::Error::custom("expected a path such as \"/graphql\""));
    }
    if routes::is_fixed(&text) {
        let why = format!("{text} is there already, and leads elsewhere than to GraphQL");
        return Err(D::Error::custom(why));
    }
    Ok(text)
}

fn paths<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<String>, D::Error> {
    #[derive(Deserialize)]
    struct Wrapped(#[serde(deserialize_with = "path")] String);
    let wrapped = Vec::<Wrapped>::deserialize(deserializer)?;
    Ok(wrapped.into_iter().map(|Wrapped(one)| one).collect())
}

fn currency<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Currency, D::Error> {
    let text = String::deserialize(deserializer)?;
    Currency::parse(&text).ok_or_else(|| {
        D::Error::custom(format!(
            "expected the code of a currency such as \"USD\", not {text:?}"
        ))
    })
}

fn currencies<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<Currency>, D::Error> {
    #[derive(Deserialize)]
    struct Wrapped(#[serde(deserialize_with = "currency")] Currency);
    let wrapped = Vec::<Wrapped>::deserialize(deserializer)?;
    Ok(wrapped.into_iter().map(|Wrapped(one)| one).collect())
}
