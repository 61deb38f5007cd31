//! Who said what: the default, a file, the environment, the command line.

use std::collections::HashMap;
use std::fmt;
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};
use std::time::Duration;

use toml::{Table, Value};
use url::Url;

use super::Settings;
use crate::auth::IssuerConfig;
use crate::channels::allenhark::Tier;
use crate::channels::websocks::Plan;
use crate::redis_link::RedisAddress;
use crate::spelling::nearest;

/// The reference, and the lowest layer.
const DEFAULT: &str = include_str!("../../config/default.toml");

const BUS_URL: &str = "bus.url";
const BUS_KIND: &str = "bus.kind";
const ISSUERS: &str = "jwt.issuers";

/// Settings that are lists of tables, and what there may be in one.
const TABLES: [(&str, &[&str]); 3] = [
    (ISSUERS, &IssuerConfig::FIELDS),
    ("websocks.plans", Plan::FIELDS),
    ("allenhark.tiers", Tier::FIELDS),
];

/// Settings whose default is their absence: what the default file has only in comments.
const WITHOUT_DEFAULT: [&str; 6] = [
    BUS_URL,
    "redis.ca_file",
    "jwt.ca_file",
    "server.name",
    "documents.manifest",
    "websocks.public_url",
];

/// Leases are renewed three times before they end: shorter ones keep Redis busy with little else, and
/// end while it is slow for once. What has crashed is listed for as long.
const LEASES: RangeInclusive<Duration> = Duration::from_secs(1)..=Duration::from_secs(3600);

/// What goes around a webhook on its way to a client, in bytes, with some to spare.
const ENVELOPE: usize = 256;

/// Durations that may be nothing. Of all others and of all counts nothing is no use.
const MAY_BE_ZERO: [&str; 5] = [
    "hub.linger",
    "jwt.expiry_jitter",
    "jwt.leeway",
    "limits.reconnect_jitter",
    "server.shutdown_grace",
];

/// All layers, merged, with the origin of every setting.
pub struct Layers {
    default: Table,
    /// Sections of keys: there is nothing deeper.
    merged: Table,
    /// By the setting's full name, `limits.init_timeout`. What is not in it is from the default.
    origins: HashMap<String, Origin>,
}

/// Where the value of a setting came from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origin {
    Default,
    File(PathBuf),
    /// The name of the variable.
    Environment(String),
    /// The name of the flag, with its dashes.
    Flag(&'static str),
}

/// A setting on the command line.
#[derive(Clone)]
pub struct Flag {
    /// `--listen`
    pub name: &'static str,
    /// `server.listen`
    pub key: &'static str,
    pub value: String,
}

/// What is wrong with the configuration. None of it repeats a value: it may hold a password.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    #[error("cannot read {}", file.display())]
    Unreadable {
        file: PathBuf,
        #[source]
        cause: std::io::Error,
    },
    #[error("{}:{line}: {message}", file.display())]
    NotToml {
        file: PathBuf,
        line: usize,
        message: String,
    },
    #[error("unknown setting {key} ({origin}){}", did_you_mean(nearest.as_deref()))]
    Unknown {
        key: String,
        origin: Origin,
        nearest: Option<String>,
    },
    #[error("{key} ({origin}): {why}")]
    Wrong {
        key: String,
        origin: Origin,
        why: String,
    },
}

impl Layers {
    /// Lays the file over the default, the environment over the file, and the flags over all.
    ///
    /// Of the environment, only `TIDINGS_<SECTION>__<KEY>` is a setting.
    pub fn read(
        file: Option<&Path>,
        env: impl Iterator<Item = (String, String)>,
        flags: Vec<Flag>,
    ) -> Result<Self, ConfigError> {
        let default: Table = DEFAULT.parse().expect("the default file is TOML");
        let mut layers = Layers {
            merged: default.clone(),
            default,
            origins: HashMap::new(),
        };
        if let Some(file) = file {
            layers.lay_file(file)?;
        }
        let variables = env.filter_map(|(name, value)| {
            let (section, key) = name.strip_prefix("TIDINGS_")?.split_once("__")?;
            let key = format!("{section}.{}", key.replace("__", ".")).to_ascii_lowercase();
            Some((key, value, Origin::Environment(name)))
        });
        layers.lay_texts(variables.collect())?;
        let flags = flags.into_iter().map(|flag| {
            let origin = Origin::Flag(flag.name);
            (flag.key.to_owned(), flag.value, origin)
        });
        layers.lay_texts(flags.collect())?;
        Ok(layers)
    }

    /// What they come to.
    pub fn settings(&self) -> Result<Settings, ConfigError> {
        self.check_bus()?;
        for (key, fields) in TABLES {
            self.check_tables(key, fields)?;
        }
        for (key, value) in leaves(&self.merged) {
            self.check_zero(&key, value)?;
        }
        let merged = Value::Table(self.merged.clone());
        let settings: Settings = serde_path_to_error::deserialize(merged).map_err(|error| {
            let path = error.path().to_string();
            match self.expected(&path) {
                Some(expected) => self.wrong(&path, format!("expected {expected}")),
                None => self.wrong(&path, error.inner().message()),
            }
        })?;
        if settings.redis.reconnect_min > settings.redis.reconnect_max {
            return Err(self.wrong(
                "redis.reconnect_min",
                "expected no more than redis.reconnect_max",
            ));
        }
        if !LEASES.contains(&settings.registry.lease) {
            return Err(self.wrong("registry.lease", "expected 1s to 1h"));
        }
        if let Err((key, why)) = settings.jwt.check() {
            return Err(self.wrong(&key, why));
        }
        if let Err((key, why)) = settings.documents.check() {
            return Err(self.wrong(key, why));
        }
        if let Err((key, why)) = settings.allenhark.check() {
            return Err(self.wrong(&key, why));
        }
        // What does not fit would close who comes back for it, again and again.
        let (retained, limits) = (&settings.retained, &settings.limits);
        for (key, is_too_much, most) in [
            (
                "retained.webhooks",
                retained.webhooks >= limits.outbox_frames,
                "limits.outbox_frames",
            ),
            (
                "retained.webhooks_bytes",
                retained.webhooks_bytes + retained.webhooks * ENVELOPE
                    > settings.websocks.outbox_bytes,
                "websocks.outbox_bytes, with 256 bytes for each of retained.webhooks",
            ),
            (
                "websocks.body_bytes",
                settings.websocks.body_bytes >= retained.webhooks_bytes,
                "retained.webhooks_bytes",
            ),
        ] {
            if settings.websocks.enabled && is_too_much {
                return Err(self.wrong(key, format!("expected less than {most}")));
            }
        }
        if let Err((key, why)) = settings.websocks.check() {
            return Err(self.wrong(key, why));
        }
        if let Err((key, why)) = settings.check_paths() {
            return Err(self.wrong(key, why));
        }
        if let Err((key, why)) = settings.blockdb.check() {
            return Err(self.wrong(&key, why));
        }
        Ok(settings)
    }

    fn lay_file(&mut self, file: &Path) -> Result<(), ConfigError> {
        let text = std::fs::read_to_string(file).map_err(|cause| ConfigError::Unreadable {
            file: file.to_owned(),
            cause,
        })?;
        let table: Table = text.parse().map_err(|error: toml::de::Error| {
            // Not the error's own words: those show the line, and there may be a password in it.
            let start = error.span().map_or(0, |span| span.start);
            let before = text.get(..start).unwrap_or_default();
            ConfigError::NotToml {
                file: file.to_owned(),
                line: before.matches('\n').count() + 1,
                message: error.message().to_owned(),
            }
        })?;
        let origin = Origin::File(file.to_owned());
        for (section, value) in &table {
            match (self.default.get(section), value) {
                (Some(_), Value::Table(_)) => {}
                (Some(_), _) => {
                    let why = format!("expected a section, [{section}]");
                    return Err(self.wrong_by(section, origin, why));
                }
                (None, Value::Table(keys)) if !keys.is_empty() => {}
                (None, _) => return Err(self.unknown(section, origin)),
            }
        }
        let layer = leaves(&table).map(|(key, value)| (key, value.clone(), origin.clone()));
        self.lay(layer.collect())
    }

    /// Text is read as what the default has: a number where it has a number.
    fn lay_texts(&mut self, layer: Vec<(String, String, Origin)>) -> Result<(), ConfigError> {
        let mut values = Vec::new();
        for (key, text, origin) in layer {
            if !self.is_known(&key) {
                return Err(self.unknown(&key, origin));
            }
            let value = match get(&self.default, &key) {
                Some(Value::Boolean(_)) => text.parse().ok().map(Value::Boolean),
                Some(Value::Integer(_)) => text.parse().ok().map(Value::Integer),
                Some(Value::Array(_)) => list(&text),
                _ => Some(Value::String(text)),
            };
            match (value, self.expected(&key)) {
                (Some(value), _) => values.push((key, value, origin)),
                (None, expected) => {
                    let why = format!("expected {}", expected.unwrap_or_default());
                    return Err(self.wrong_by(&key, origin, why));
                }
            }
        }
        self.lay(values)
    }

    fn lay(&mut self, layer: Vec<(String, Value, Origin)>) -> Result<(), ConfigError> {
        let origin_of = |wanted: &str| {
            let mut said = layer.iter().filter(|(key, ..)| key == wanted);
            said.next()
                .map(|(_, value, origin)| (value, origin.clone()))
        };
        match (origin_of(BUS_KIND), origin_of(BUS_URL)) {
            (None, Some((_, origin))) => self.set(BUS_KIND, Value::from("redis"), origin),
            (Some((kind, _)), Some((_, origin))) if kind.as_str() == Some("memory") => {
                let why = "only kind = \"redis\" takes a URL".to_owned();
                return Err(self.wrong_by(BUS_URL, origin, why));
            }
            // Where a lower layer's Redis is does not matter any more.
            (Some((kind, _)), None) if kind.as_str() == Some("memory") => {
                section(&mut self.merged, "bus").remove("url");
                self.origins.remove(BUS_URL);
            }
            _ => {}
        }
        for (key, value, origin) in layer {
            if !self.is_known(&key) {
                return Err(self.unknown(&key, origin));
            }
            self.set(&key, value, origin);
        }
        Ok(())
    }

    fn set(&mut self, key: &str, value: Value, origin: Origin) {
        let (in_section, name) = key.split_once('.').expect("known settings have a section");
        section(&mut self.merged, in_section).insert(name.to_owned(), value);
        self.origins.insert(key.to_owned(), origin);
    }

    /// A tagged enum forgets, in its errors, which of its fields was wrong.
    fn check_bus(&self) -> Result<(), ConfigError> {
        let kind = get(&self.merged, BUS_KIND).and_then(Value::as_str);
        let url = get(&self.merged, BUS_URL).map(|url| url.as_str().map(Url::parse));
        match (kind, url) {
            (Some("memory"), _) => Ok(()),
            (Some("redis"), Some(Some(Ok(url)))) => match RedisAddress::of_url(&url, None) {
                Ok(_) => Ok(()),
                Err(bad) => Err(self.wrong(BUS_URL, bad.to_string())),
            },
            (Some("redis"), Some(_)) => {
                let expected = "expected a URL such as \"redis://localhost:6379\"";
                Err(self.wrong(BUS_URL, expected))
            }
            (Some("redis"), None) => {
                let expected = "\"redis\" needs bus.url, such as \"redis://localhost:6379\"";
                Err(self.wrong(BUS_KIND, expected))
            }
            _ => Err(self.wrong(BUS_KIND, "expected \"memory\" or \"redis\"")),
        }
    }

    /// What is in a list of tables has no default to be compared with; and serde's own words for what is
    /// no table would repeat it.
    fn check_tables(&self, key: &str, fields: &[&'static str]) -> Result<(), ConfigError> {
        let tables = get(&self.merged, key).and_then(Value::as_array);
        for (number, table) in tables.into_iter().flatten().enumerate() {
            let place = format!("{key}[{number}]");
            let Some(table) = table.as_table() else {
                return Err(self.wrong(&place, "expected a table"));
            };
            let mut said = table.keys();
            if let Some(field) = said.find(|field| !fields.contains(&field.as_str())) {
                let nearest = nearest(field, fields.iter().copied());
                return Err(ConfigError::Unknown {
                    origin: self.origin(&place),
                    nearest: nearest.map(|nearest| format!("{place}.{nearest}")),
                    key: format!("{place}.{field}"),
                });
            }
        }
        Ok(())
    }

    fn check_zero(&self, key: &str, value: &Value) -> Result<(), ConfigError> {
        let is_zero = match value {
            Value::Integer(count) => *count == 0,
            Value::String(text) if self.is_duration(key) => {
                humantime::parse_duration(text).is_ok_and(|duration| duration.is_zero())
            }
            _ => false,
        };
        match is_zero && !MAY_BE_ZERO.contains(&key) {
            true => Err(self.wrong(key, "expected more than nothing")),
            false => Ok(()),
        }
    }

    fn is_known(&self, key: &str) -> bool {
        WITHOUT_DEFAULT.contains(&key) || get(&self.default, key).is_some()
    }

    fn is_duration(&self, key: &str) -> bool {
        let default = get(&self.default, key).and_then(Value::as_str);
        default.is_some_and(|text| humantime::parse_duration(text).is_ok())
    }

    /// What a setting should look like, as its default does. `None` where its own type knows better.
    fn expected(&self, key: &str) -> Option<String> {
        match get(&self.default, key)? {
            default @ Value::Boolean(_) => Some(format!("true or false, such as {default}")),
            default @ Value::Integer(_) => Some(format!("a whole number such as {default}")),
            default if self.is_duration(key) => Some(format!("a duration such as {default}")),
            Value::Array(items) if items.is_empty() => Some(format!(
                "a list of tables: [[{key}]] in a file, [{{ name = \"value\" }}] in the environment"
            )),
            Value::Array(items) => {
                let some = Value::Array(items.iter().take(2).cloned().collect());
                Some(format!("a list such as {some}"))
            }
            _ => None,
        }
    }

    /// The origin of a setting, or of the item of a list in it: `prices.currencies[3]`.
    fn origin(&self, path: &str) -> Origin {
        let key = path.split('[').next().unwrap_or(path);
        self.origins.get(key).cloned().unwrap_or(Origin::Default)
    }

    fn wrong(&self, path: &str, why: impl Into<String>) -> ConfigError {
        self.wrong_by(path, self.origin(path), why.into())
    }

    fn wrong_by(&self, key: &str, origin: Origin, why: String) -> ConfigError {
        ConfigError::Wrong {
            key: key.to_owned(),
            origin,
            why,
        }
    }

    fn unknown(&self, key: &str, origin: Origin) -> ConfigError {
        let known: Vec<_> = leaves(&self.default).map(|(key, _)| key).collect();
        let known = known.iter().map(String::as_str).chain(WITHOUT_DEFAULT);
        let nearest = match key.contains('.') {
            true => nearest(key, known),
            false => nearest(key, self.default.keys().map(String::as_str).chain(known)),
        };
        ConfigError::Unknown {
            nearest: nearest.map(str::to_owned),
            key: key.to_owned(),
            origin,
        }
    }
}

/// All settings as a file that says the same, each with its origin behind it and its passwords
/// left out.
impl fmt::Display for Layers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (number, (name, keys)) in self.merged.iter().enumerate() {
            let gap = if number == 0 { "" } else { "\n" };
            writeln!(f, "{gap}[{name}]")?;
            for (key, value) in keys.as_table().into_iter().flatten() {
                let full = format!("{name}.{key}");
                let value = match full.as_str() {
                    BUS_URL => masked(value),
                    ISSUERS => without_secrets(value),
                    _ => value.clone(),
                };
                let origin = match self.origin(&full) {
                    Origin::Default => "default".to_owned(),
                    Origin::File(file) => file.display().to_string(),
                    Origin::Environment(variable) => variable,
                    Origin::Flag(flag) => flag.to_owned(),
                };
                writeln!(f, "{key} = {value}  # {}", origin.escape_debug())?;
            }
        }
        Ok(())
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Origin::Default => f.write_str("the default"),
            Origin::File(file) => write!(f, "from {}", file.display()),
            Origin::Environment(variable) => write!(f, "from the environment, {variable}"),
            Origin::Flag(flag) => write!(f, "from {flag}"),
        }
    }
}

fn did_you_mean(nearest: Option<&str>) -> String {
    nearest.map_or_else(String::new, |nearest| format!(", did you mean {nearest}?"))
}

fn section<'a>(table: &'a mut Table, name: &str) -> &'a mut Table {
    let section = table.get_mut(name).and_then(Value::as_table_mut);
    section.expect("sections are tables: those of the default are, and no layer puts another there")
}

fn get<'a>(table: &'a Table, key: &str) -> Option<&'a Value> {
    let (section, name) = key.split_once('.')?;
    table.get(section)?.get(name)
}

fn leaves(table: &Table) -> impl Iterator<Item = (String, &Value)> {
    let sections = table
        .iter()
        .filter_map(|(name, keys)| Some((name, keys.as_table()?)));
    sections.flat_map(|(section, keys)| {
        keys.iter()
            .map(move |(key, value)| (format!("{section}.{key}"), value))
    })
}

/// `USD, EUR`, or a list as TOML writes it.
fn list(text: &str) -> Option<Value> {
    if text.trim_start().starts_with('[') {
        let mut table: Table = format!("list = {text}").parse().ok()?;
        return table.remove("list");
    }
    let items = text
        .split(',')
        .map(str::trim)
        .filter(|item| !item.is_empty());
    Some(Value::Array(items.map(Value::from).collect()))
}

fn masked(url: &Value) -> Value {
    let Some(mut url) = url.as_str().and_then(|url| Url::parse(url).ok()) else {
        return Value::from("***");
    };
    if url.password().is_some() && url.set_password(Some("***")).is_err() {
        return Value::from("***");
    }
    Value::from(url.as_str())
}

/// The issuers of tokens, with nothing in the place of secrets that could be one.
fn without_secrets(issuers: &Value) -> Value {
    let mut issuers = issuers.clone();
    for issuer in issuers.as_array_mut().into_iter().flatten() {
        let secrets = issuer.get_mut("hmac_secrets").and_then(Value::as_array_mut);
        for secret in secrets.into_iter().flatten() {
            *secret = Value::from("***");
        }
    }
    issuers
}

#[cfg(test)]
mod tests {
    use super::*;
    use insta::assert_snapshot;

    fn layers(file: &str, env: &[(&str, &str)], flags: &[Flag]) -> Result<Layers, String> {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("tidings.toml");
        std::fs::write(&path, file).unwrap();
        let env = env
            .iter()
            .map(|(name, value)| (name.to_string(), value.to_string()));
        let layers = Layers::read(Some(&path), env, flags.to_vec());
        let name = |text: String| text.replace(path.to_str().unwrap(), "tidings.toml");
        layers
            .map_err(|error| name(error.to_string()))
            .map(|mut layers| {
                for origin in layers.origins.values_mut() {
                    if let Origin::File(file) = origin {
                        *file = "tidings.toml".into();
                    }
                }
                layers
            })
    }

    fn wrong(file: &str, env: &[(&str, &str)], flags: &[Flag]) -> String {
        match layers(file, env, flags).map(|layers| layers.settings()) {
            Ok(Ok(_)) => panic!("nothing is wrong"),
            Ok(Err(error)) => error.to_string(),
            Err(error) => error,
        }
    }

    fn settings(file: &str, env: &[(&str, &str)], flags: &[Flag]) -> Settings {
        let layers = layers(file, env, flags).unwrap();
        layers
            .settings()
            .map_err(|error| error.to_string())
            .unwrap()
    }

    fn listen(value: &str) -> Flag {
        Flag {
            name: "--listen",
            key: "server.listen",
            value: value.to_owned(),
        }
    }

    #[test]
    fn the_default_is_complete() {
        let settings = settings("", &[], &[]);
        assert_eq!(settings.limits.init_timeout, Duration::from_secs(3));
        assert!(settings.prices.currencies.len() > 40);
    }

    #[test]
    fn the_line_beats_the_environment_beats_the_file_beats_the_default() {
        let file = "[server]\nlisten = '127.0.0.1:1'\n[limits]\ndepth = 1\ncomplexity = 1";
        let env = [
            ("TIDINGS_SERVER__LISTEN", "127.0.0.1:2"),
            ("TIDINGS_LIMITS__DEPTH", "2"),
        ];
        let settings = settings(file, &env, &[listen("127.0.0.1:3")]);
        assert_eq!(settings.server.listen.port(), 3);
        assert_eq!(settings.limits.depth, 2);
        assert_eq!(settings.limits.complexity, 1);
        assert_eq!(settings.limits.documents, 1000);
    }

    #[test]
    fn text_becomes_what_the_default_has() {
        let env = [
            ("TIDINGS_AUTH__ENFORCE_SCOPES", "false"),
            ("TIDINGS_PRICES__CURRENCIES", "usd, EUR"),
            ("TIDINGS_HUB__LINGER", "0s"),
        ];
        let settings = settings("", &env, &[]);
        assert!(!settings.auth.enforce_scopes);
        let codes: Vec<_> = settings
            .prices
            .currencies
            .iter()
            .map(|one| one.code())
            .collect();
        assert_eq!(codes, ["USD", "EUR"]);
        assert_eq!(list("['USD']"), list("USD"));
        assert!(settings.hub.linger.is_zero());
    }

    #[test]
    fn variables_that_are_no_settings_are_left_alone() {
        settings(
            "",
            &[
                ("TIDINGS_KEY", "blink_x"),
                ("HOME", "/"),
                ("MY_TIDINGS_A__B", ""),
            ],
            &[],
        );
    }

    #[test]
    fn an_unknown_setting_is_refused_with_the_nearest_right_one() {
        assert_snapshot!(wrong("[limits]\ninit_timeut = '3s'", &[], &[]), @"unknown setting limits.init_timeut (from tidings.toml), did you mean limits.init_timeout?");
        assert_snapshot!(wrong("[limit]\ninit_timeout = '3s'", &[], &[]), @"unknown setting limit.init_timeout (from tidings.toml), did you mean limits.init_timeout?");
        assert_snapshot!(wrong("[limit]", &[], &[]), @"unknown setting limit (from tidings.toml), did you mean limits?");
        assert_snapshot!(wrong("listen = ''", &[], &[]), @"unknown setting listen (from tidings.toml), did you mean server.listen?");
        assert_snapshot!(wrong("[bus]\nulr = ''", &[], &[]), @"unknown setting bus.ulr (from tidings.toml), did you mean bus.url?");
        assert_snapshot!(wrong("", &[("TIDINGS_LIMITS__INIT_TIMEUT", "3s")], &[]), @"unknown setting limits.init_timeut (from the environment, TIDINGS_LIMITS__INIT_TIMEUT), did you mean limits.init_timeout?");
        assert_snapshot!(wrong("", &[("TIDINGS_COLOUR__OF", "")], &[]), @"unknown setting colour.of (from the environment, TIDINGS_COLOUR__OF)");
    }

    #[test]
    fn a_wrong_value_is_refused_with_its_origin_and_what_was_expected() {
        assert_snapshot!(wrong("", &[("TIDINGS_LIMITS__INIT_TIMEOUT", "soon")], &[]), @r#"limits.init_timeout (from the environment, TIDINGS_LIMITS__INIT_TIMEOUT): expected a duration such as "3s""#);
        assert_snapshot!(wrong("[limits]\ninit_timeout = 3", &[], &[]), @r#"limits.init_timeout (from tidings.toml): expected a duration such as "3s""#);
        assert_snapshot!(wrong("[limits]\ninit_timeout = '0s'", &[], &[]), @"limits.init_timeout (from tidings.toml): expected more than nothing");
        assert_snapshot!(wrong("[registry]\nlease = '20ms'", &[], &[]), @"registry.lease (from tidings.toml): expected 1s to 1h");
        assert_snapshot!(wrong("[limits]\ndocuments = -1", &[], &[]), @"limits.documents (from tidings.toml): expected a whole number such as 1000");
        assert_snapshot!(wrong("", &[("TIDINGS_LIMITS__DOCUMENTS", "many")], &[]), @"limits.documents (from the environment, TIDINGS_LIMITS__DOCUMENTS): expected a whole number such as 1000");
        assert_snapshot!(wrong("", &[("TIDINGS_AUTH__ENFORCE_SCOPES", "no")], &[]), @"auth.enforce_scopes (from the environment, TIDINGS_AUTH__ENFORCE_SCOPES): expected true or false, such as true");
        assert_snapshot!(wrong("[prices]\ncurrencies = 'USD'", &[], &[]), @r#"prices.currencies (from tidings.toml): expected a list such as ["USD", "EUR"]"#);
        assert_snapshot!(wrong("[prices]\ncurrencies = ['USD', 'dollars']", &[], &[]), @r#"prices.currencies[1] (from tidings.toml): expected the code of a currency such as "USD", not "dollars""#);
        assert_snapshot!(wrong("[auth]\non_bad_credentials = 'accept'", &[], &[]), @"auth.on_bad_credentials (from tidings.toml): unknown variant `accept`, expected `reject` or `anonymous`");
        assert_snapshot!(wrong("", &[], &[listen("4000")]), @r#"server.listen (from --listen): expected an IP address and a port, such as "127.0.0.1:4000""#);
        assert_snapshot!(wrong("limits = 3", &[], &[]), @"limits (from tidings.toml): expected a section, [limits]");
        assert_snapshot!(wrong("[limits]\ntrusted_proxies = ['10.0.0.1', 'proxy']", &[], &[]), @r#"limits.trusted_proxies[1] (from tidings.toml): expected a network such as "10.0.0.0/8", not "proxy""#);
        assert_snapshot!(wrong("", &[("TIDINGS_SERVER__NAME", "")], &[]), @"server.name (from the environment, TIDINGS_SERVER__NAME): expected up to 100 printable characters");
        assert_snapshot!(wrong("[log]\nfilter = 'info,=x='", &[], &[]), @r#"log.filter (from tidings.toml): expected a level such as "info", or levels by module: "info,tidings::bus=debug""#);
        assert_snapshot!(wrong("[redis]\nreconnect_max = '1ms'", &[], &[]), @"redis.reconnect_min (the default): expected no more than redis.reconnect_max");
    }

    #[test]
    fn a_path_that_leads_elsewhere_is_refused_and_one_that_is_there_twice_is_not() {
        let paths = |env: &str| {
            settings("", &[("TIDINGS_SERVER__ALSO_AT", env)], &[])
                .server
                .also_at
        };
        assert_eq!(paths("/graphql,/a, /a"), ["/graphql", "/a", "/a"]);
        assert_eq!(paths("/v1a,/healthz/"), ["/v1a", "/healthz/"]);
        assert_eq!(paths(""), [""; 0]);
        assert_snapshot!(wrong("[server]\nalso_at = ['/a', '/metrics']", &[], &[]), @"server.also_at[1] (from tidings.toml): /metrics is there already, and leads elsewhere than to GraphQL");
        assert_snapshot!(wrong("[server]\nalso_at = ['/v1/connections']", &[], &[]), @"server.also_at[0] (from tidings.toml): /v1/connections is there already, and leads elsewhere than to GraphQL");
        assert_snapshot!(wrong("[server]\npath = '/healthz'", &[], &[]), @"server.path (from tidings.toml): /healthz is there already, and leads elsewhere than to GraphQL");
        assert_snapshot!(wrong("", &[("TIDINGS_SERVER__ALSO_AT", "rewards")], &[]), @r#"server.also_at[0] (from the environment, TIDINGS_SERVER__ALSO_AT): expected a path such as "/graphql""#);
        assert_snapshot!(wrong("[server]\nalso_at = ['/a/{b}']", &[], &[]), @r#"server.also_at[0] (from tidings.toml): expected a path such as "/graphql""#);
        assert_snapshot!(wrong("[server]\nalso_at = '/a'", &[], &[]), @r#"server.also_at (from tidings.toml): expected a list such as ["/rewards-graphql-api/", "/rewards-graphql-api"]"#);
    }

    #[test]
    fn a_file_that_is_no_toml_is_refused_without_showing_its_secrets() {
        assert_snapshot!(wrong("[bus]\nurl = 'redis://:secret@r", &[], &[]), @"tidings.toml:2: invalid literal string, expected `'`");
    }

    #[test]
    fn saying_where_redis_is_chooses_it() {
        let url = [("TIDINGS_BUS__URL", "redis://r")];
        let is_redis =
            |settings: Settings| matches!(settings.bus, crate::bus::BusConfig::Redis { .. });
        assert!(is_redis(settings("", &url, &[])));
        assert!(is_redis(settings("[bus]\nkind = 'memory'", &url, &[])));
        let file = "[bus]\nkind = 'redis'\nurl = 'redis://r'";
        assert!(is_redis(settings(file, &[], &[])));
        assert!(!is_redis(settings(
            file,
            &[("TIDINGS_BUS__KIND", "memory")],
            &[]
        )));
    }

    #[test]
    fn a_half_filled_bus_is_refused_without_its_password() {
        assert_snapshot!(wrong("[bus]\nkind = 'redis'", &[], &[]), @r#"bus.kind (from tidings.toml): "redis" needs bus.url, such as "redis://localhost:6379""#);
        assert_snapshot!(wrong("[bus]\nkind = 'kafka'", &[], &[]), @r#"bus.kind (from tidings.toml): expected "memory" or "redis""#);
        assert_snapshot!(wrong("[bus]\nurl = 'http://:secret@r'", &[], &[]), @"bus.url (from tidings.toml): the URL of redis begins with redis:// or rediss://");
        assert_snapshot!(wrong("[bus]\nkind = 'memory'\nurl = 'redis://r'", &[], &[]), @r#"bus.url (from tidings.toml): only kind = "redis" takes a URL"#);
    }

    #[test]
    fn an_issuer_is_refused_with_its_place_and_without_its_secret() {
        assert_snapshot!(wrong("[[jwt.issuers]]\nhmac_secret = ['hush']", &[], &[]), @"unknown setting jwt.issuers[0].hmac_secret (from tidings.toml), did you mean jwt.issuers[0].hmac_secrets?");
        assert_snapshot!(wrong("[[jwt.issuers]]\nhmac_secrets = ['hush']", &[], &[]), @"jwt.issuers[0].hmac_secrets (from tidings.toml): expected a list of secrets of 32 bytes or more (`openssl rand -hex 32` prints one)");
        assert_snapshot!(wrong("[[jwt.issuers]]\nhmac_secrets = 'hush'", &[], &[]), @"jwt.issuers[0].hmac_secrets (from tidings.toml): expected a list of secrets of 32 bytes or more (`openssl rand -hex 32` prints one)");
        assert_snapshot!(wrong("[jwt]\nissuers = ['hush']", &[], &[]), @"jwt.issuers[0] (from tidings.toml): expected a table");
        assert_snapshot!(wrong("[jwt]\nalgorithms = []", &[], &[]), @"jwt.algorithms (from tidings.toml): expected one algorithm at least: without, no token is good");
        assert_snapshot!(wrong("[jwt]\nuser_claim = ''", &[], &[]), @"jwt.user_claim (from tidings.toml): expected the name of a claim");
        assert_snapshot!(wrong("[jwt]\nissuers = 'hush'", &[], &[]), @"jwt.issuers (from tidings.toml): expected a list of tables: [[jwt.issuers]] in a file, [{ name = \"value\" }] in the environment");
        assert_snapshot!(wrong("", &[("TIDINGS_JWT__ISSUERS", "hush")], &[]), @"jwt.issuers[0] (from the environment, TIDINGS_JWT__ISSUERS): expected a table");
        assert_snapshot!(wrong("", &[("TIDINGS_JWT__ISSUERS", "[{ hmac_secrets = ['hush }]")], &[]), @"jwt.issuers (from the environment, TIDINGS_JWT__ISSUERS): expected a list of tables: [[jwt.issuers]] in a file, [{ name = \"value\" }] in the environment");
        assert_snapshot!(wrong("[[jwt.issuers]]\nissuer = 'https://issuer.example'", &[], &[]), @"jwt.issuers[0] (from tidings.toml): expected keys: hmac_secrets, hmac_secret_files, pem_files, jwks_file or jwks_url");
        assert_snapshot!(wrong("[[jwt.issuers]]\njwks_url = 'http://issuer.example/jwks.json'", &[], &[]), @r#"jwt.issuers[0].jwks_url (from tidings.toml): expected a URL such as "https://issuer.example/.well-known/jwks.json": https, or http on this machine, and no password"#);
        assert_snapshot!(wrong("[[jwt.issuers]]\npem_files = ['a']\nalgorithms = ['none']", &[], &[]), @r#"jwt.issuers[0].algorithms (from tidings.toml): expected a list of algorithms such as ["RS256", "ES256"]"#);
        assert_snapshot!(wrong("[jwt]\nalgorithms = ['none']", &[], &[]), @"jwt.algorithms[0] (from tidings.toml): unknown variant `none`, expected one of `HS256`, `HS384`, `HS512`, `ES256`, `ES384`, `RS256`, `RS384`, `RS512`, `PS256`, `PS384`, `PS512`, `EdDSA`");
        assert_snapshot!(wrong("[jwt]\ngrantable_scopes = ['all']", &[], &[]), @r#"jwt.grantable_scopes (from tidings.toml): expected a list such as ["read", "receive"]"#);
        assert_snapshot!(wrong("[jwt]\njwks_fresh_min = '1h'", &[], &[]), @"jwt.jwks_fresh_min (from tidings.toml): expected no more than jwt.jwks_fresh_max");
        assert_snapshot!(wrong("[jwt]\njwks_interval = '0s'", &[], &[]), @"jwt.jwks_interval (from tidings.toml): expected more than nothing");
    }

    #[test]
    fn plans_are_a_list_of_tables_and_the_default_is_one_of_them() {
        let plans = r#"[{ name = "one", quota = 5 }, { name = "all" }]"#;
        let env = [
            ("TIDINGS_WEBSOCKS__PLANS", plans),
            ("TIDINGS_WEBSOCKS__DEFAULT_PLAN", "one"),
        ];
        let websocks = settings("", &env, &[]).websocks;
        assert_eq!(websocks.plan("one").unwrap().quota, Some(5));
        assert_eq!(websocks.plan("all").unwrap().quota, None);
        assert_snapshot!(wrong("", &env[..1], &[]), @"websocks.default_plan (the default): expected one of the plans: one, all");
        assert_snapshot!(wrong("[websocks]\nplans = [{ name = 'free', quta = 5 }]", &[], &[]), @"unknown setting websocks.plans[0].quta (from tidings.toml), did you mean websocks.plans[0].quota?");
        assert_snapshot!(wrong("[websocks]\nplans = [{ name = 'free', quota = -5 }]", &[], &[]), @"websocks.plans[0].quota (from tidings.toml): invalid value: integer `-5`, expected u64");
        assert_snapshot!(wrong("[websocks]\nplans = [{ name = 'a b' }]", &[], &[]), @r#"websocks.plans[0].name (from tidings.toml): expected letters, digits, dashes, dots and underscores, such as "pro""#);
        assert_snapshot!(wrong("[websocks]\nplans = [{ name = 'free' }, { name = 'free' }]", &[], &[]), @"websocks.plans (from tidings.toml): there are two plans called free");
        assert_snapshot!(wrong("[websocks]\nplans = []", &[], &[]), @"websocks.plans (from tidings.toml): expected one plan at least");
        assert_snapshot!(wrong("[websocks]\nplans = 'free'", &[], &[]), @r#"websocks.plans (from tidings.toml): expected a list such as [{ name = "free", quota = 1000 }, { name = "pro" }]"#);
        assert_snapshot!(wrong("[websocks]\npublic_url = 'hooks.example'", &[], &[]), @r#"websocks.public_url (from tidings.toml): expected a URL such as "https://hooks.example""#);
        assert_snapshot!(wrong("[websocks]\nping_interval = '0s'", &[], &[]), @"websocks.ping_interval (from tidings.toml): expected more than nothing");
    }

    #[test]
    fn what_is_remembered_of_webhooks_fits_into_an_outbox() {
        let on = [("TIDINGS_WEBSOCKS__ENABLED", "true")];
        settings("[retained]\nwebhooks = 1000", &[], &[]);
        assert_snapshot!(wrong("[retained]\nwebhooks = 256", &on, &[]), @"retained.webhooks (from tidings.toml): expected less than limits.outbox_frames");
        assert_snapshot!(wrong("[websocks]\noutbox_bytes = 4194304", &on, &[]), @"retained.webhooks_bytes (the default): expected less than websocks.outbox_bytes, with 256 bytes for each of retained.webhooks");
        assert_snapshot!(wrong("[websocks]\nbody_bytes = 4194304", &on, &[]), @"websocks.body_bytes (from tidings.toml): expected less than retained.webhooks_bytes");
    }

    #[test]
    fn the_websocket_for_webhooks_is_at_a_path_of_its_own() {
        let on = [("TIDINGS_WEBSOCKS__ENABLED", "true")];
        settings("[server]\npath = '/'", &[], &[]);
        settings("", &on, &[]);
        assert_snapshot!(wrong("[server]\npath = '/'", &on, &[]), @"websocks.path (the default): / is a path of GraphQL: see server.path and server.also_at");
        assert_snapshot!(wrong("[websocks]\npath = '/rewards-graphql-api'", &on, &[]), @"websocks.path (from tidings.toml): /rewards-graphql-api is a path of GraphQL: see server.path and server.also_at");
        assert_snapshot!(wrong("[websocks]\npath = '/metrics'", &on, &[]), @"websocks.path (from tidings.toml): /metrics is there already, and leads elsewhere");
        assert_snapshot!(wrong("[websocks]\npath = '/api/usage'", &on, &[]), @"websocks.path (from tidings.toml): /api/usage is there already, and leads elsewhere");
        assert_snapshot!(wrong("[websocks]\npath = 'ws'", &[], &[]), @r#"websocks.path (from tidings.toml): expected a path such as "/" or "/websocks""#);
        assert_snapshot!(wrong("[server]\nalso_at = ['/api/in/x']", &on, &[]), @"server.also_at (from tidings.toml): /api/in/x leads elsewhere where websocks.enabled is true");
    }

    #[test]
    fn the_environment_says_who_issues_tokens() {
        let secret = "0123456789abcdef0123456789abcdef";
        let issuers = format!("[{{ hmac_secrets = ['{secret}'], audience = ['tidings'] }}]");
        let env = [
            ("TIDINGS_JWT__ISSUERS", issuers.as_str()),
            ("TIDINGS_JWT__LEEWAY", "0s"),
            ("TIDINGS_JWT__EXPIRY_JITTER", "0s"),
        ];
        let settings = settings("", &env, &[]);
        assert_eq!(settings.jwt.issuers[0].audience, ["tidings"]);
        assert!(settings.jwt.leeway.is_zero());
        let printed = layers("", &env, &[]).unwrap().to_string();
        assert!(printed.contains("hmac_secrets = [\"***\"]"), "{printed}");
        assert!(!printed.contains(secret), "{printed}");
    }

    #[test]
    fn what_is_printed_says_the_same_again_without_passwords() {
        let env = [("TIDINGS_LIMITS__INIT_TIMEOUT", "5s")];
        let file = "[bus]\nurl = 'redis://tidings:secret@r:6380/1'";
        let printed = layers(file, &env, &[listen("[::1]:4000")])
            .unwrap()
            .to_string();
        let lines: Vec<_> = printed
            .lines()
            .filter(|line| !line.ends_with("# default") && !line.is_empty())
            .filter(|line| line.contains('#'))
            .collect();
        assert_snapshot!(lines.join("\n"), @r##"
        listen = "[::1]:4000"  # --listen
        kind = "redis"  # tidings.toml
        url = "redis://tidings:***@r:6380/1"  # tidings.toml
        init_timeout = "5s"  # TIDINGS_LIMITS__INIT_TIMEOUT
        "##);
        let again = settings(&printed, &[], &[]);
        assert_eq!(again.limits.init_timeout, Duration::from_secs(5));
    }
}
