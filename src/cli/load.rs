//! `tidings load`: a crowd of clients that measures a server.

use std::io::{IsTerminal, Read};
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, bail};
use clap::{Args, ValueEnum};
use secrecy::{ExposeSecret, SecretString};
use tokio_util::sync::CancellationToken;
use url::Url;

use super::print;
use super::value::duration;
use crate::config::Settings;
use crate::load::{
    self, Cast, Matching, PRESETS, People, Plan, Preset, Progress, Publication, Publisher,
    Question, Report, Scenario, ServerProcess, Target, Template,
};

#[derive(Args)]
#[command(after_long_help = HELP)]
pub(super) struct Arguments {
    /// The server: ws://… or wss://…
    #[arg(long)]
    url: Url,
    /// Clients, with one connection and one subscription each
    #[arg(long, short = 'n', value_name = "COUNT", default_value_t = 1000, value_parser = count())]
    connections: u64,
    /// What to ask and to publish, where it is not said below
    #[arg(long, value_name = "NAME", value_parser = preset())]
    preset: Option<String>,

    /// The query: a file, - for stdin, or @ and the text itself
    #[arg(long, value_name = "FILE", help_heading = "Clients")]
    query: Option<String>,
    /// Its variables, in JSON, or @FILE
    #[arg(long, value_name = "JSON", help_heading = "Clients")]
    variables: Option<String>,
    /// Which operation of the query
    #[arg(long, value_name = "NAME", help_heading = "Clients")]
    operation_name: Option<String>,
    /// The payload of connection_init, in JSON, or @FILE
    #[arg(long, value_name = "JSON", help_heading = "Clients")]
    init: Option<String>,
    /// A header of the upgrade; may be given more than once
    #[arg(long = "header", value_name = "NAME: VALUE", help_heading = "Clients")]
    headers: Vec<String>,
    /// The authorities, in PEM, that may have signed the certificate of a wss server. Without it the
    /// public ones
    #[arg(long, value_name = "FILE", help_heading = "Clients")]
    ca_file: Option<PathBuf>,
    /// API keys or tokens for {key}, one a line; connections have them in turn
    #[arg(long, value_name = "FILE", help_heading = "Clients")]
    keys: Option<PathBuf>,
    /// Accounts, or users, for {account}: a file with one a line, or one
    #[arg(
        long,
        visible_alias = "account",
        value_name = "FILE|ID",
        help_heading = "Clients"
    )]
    accounts: Option<String>,

    /// Where to publish: redis://…, or http://… with POST /v1/events/CHANNEL behind it, or with
    /// {channel} where the channel belongs. Without it somebody else publishes
    #[arg(long, value_name = "URL", help_heading = "Publishing")]
    publish: Option<String>,
    /// The key for http://…, and {key} if there are no --keys. Prefer TIDINGS_KEY: everybody on a
    /// machine sees command lines
    #[arg(long, help_heading = "Publishing")]
    key: Option<SecretString>,
    /// The channel. With {i}, {account} or {key} in it, each connection is told its own
    #[arg(long, help_heading = "Publishing")]
    channel: Option<String>,
    /// The body, or @FILE
    #[arg(long, value_name = "TEMPLATE", help_heading = "Publishing")]
    body: Option<String>,
    /// How the answer tells the number of a publication: a text with {seq} in it, such as
    /// '"memo":"{seq}"'. Without it answers are only counted
    #[arg(long = "match", value_name = "TEXT", help_heading = "Publishing")]
    matching: Option<String>,
    /// Events, or bursts of them, a second
    #[arg(
        long,
        value_name = "NUMBER",
        default_value_t = 10.0,
        help_heading = "Publishing"
    )]
    rate: f64,
    /// For how long, once all are connected
    #[arg(long = "for", value_name = "DURATION", default_value = "10s", value_parser = duration, help_heading = "Publishing")]
    duration: Duration,
    /// Publish once for each channel, and then end
    #[arg(long, help_heading = "Publishing")]
    once: bool,

    /// What else happens
    #[arg(long, value_enum, default_value_t = Kind::Steady, help_heading = "Scenario")]
    scenario: Kind,
    /// burst: events back to back, each time
    #[arg(long, value_name = "COUNT", default_value_t = 8, value_parser = count(), help_heading = "Scenario")]
    burst: u64,
    /// storm: how often all connections break, and come back
    #[arg(long, value_name = "COUNT", default_value_t = 1, value_parser = count(), help_heading = "Scenario")]
    storms: u64,
    /// slow: the share of clients that do not read
    #[arg(long, value_name = "PERCENT", default_value = "10%", value_parser = share, help_heading = "Scenario")]
    slow_share: f64,
    /// churn: connections a second that end, while others come
    #[arg(
        long,
        value_name = "NUMBER",
        default_value_t = 10.0,
        help_heading = "Scenario"
    )]
    churn_rate: f64,

    /// Open the connections over this time. Without it as fast as the server takes them
    #[arg(long, value_name = "DURATION", value_parser = duration, conflicts_with = "connect_rate", help_heading = "Connecting")]
    ramp: Option<Duration>,
    /// Connections to open a second
    #[arg(long, value_name = "NUMBER", help_heading = "Connecting")]
    connect_rate: Option<f64>,
    /// Connections that are being opened at a time: many servers let no more than 128 wait to be
    /// accepted, and what is refused there is tried again a second later
    #[arg(long, value_name = "COUNT", default_value_t = 100, value_parser = count(), help_heading = "Connecting")]
    handshakes: u64,
    /// Connect from so many addresses of 127.0.0.0/8: one has some 28,000 ports. Without it as many
    /// as are needed
    #[arg(long, value_name = "COUNT", value_parser = count(), help_heading = "Connecting")]
    source_addresses: Option<u64>,
    /// Threads for clients. One takes more than 100,000 messages a second, and leaves the other
    /// processors to the server
    #[arg(long, value_name = "COUNT", default_value_t = 1, value_parser = clap::value_parser!(u64).range(1..=256), help_heading = "Connecting")]
    threads: u64,
    /// How long nothing must come before nothing more is waited for: first results, and the last
    /// deliveries
    #[arg(long, value_name = "DURATION", default_value = "2s", value_parser = duration, help_heading = "Connecting")]
    settle: Duration,

    /// The server's process, to count its processor time and memory
    #[arg(long, value_name = "PID", help_heading = "Report")]
    server_pid: Option<u32>,
    /// Write the report as JSON, too; - for stdout, in the place of the text
    #[arg(long, value_name = "FILE", help_heading = "Report")]
    json: Option<PathBuf>,
    /// Write it as a page with charts, too
    #[arg(long, value_name = "FILE", help_heading = "Report")]
    html: Option<PathBuf>,
    /// Show no progress
    #[arg(long, short, help_heading = "Report")]
    quiet: bool,
}

#[derive(Clone, Copy, ValueEnum)]
enum Kind {
    /// Everybody listens
    Steady,
    /// Several events back to back
    Burst,
    /// All connections break at once, and come back
    Storm,
    /// Some clients do not read
    Slow,
    /// Connections come and go
    Churn,
}

const HELP: &str = include_str!("load.txt");

impl Arguments {
    pub(super) async fn run(self, settings: &Settings) -> anyhow::Result<()> {
        let run = run_name()?;
        let plan = self.plan(&run)?;
        plan.check()?;
        let target = Target::find(
            &self.url,
            &self.headers,
            plan.connections,
            self.source_addresses.map(|count| count as usize),
            self.ca_file.as_deref(),
        );
        let publisher = self
            .publish
            .as_deref()
            .map(|url| Publisher::new(url, self.publishing_key(), &settings.redis));
        let server = self.server_pid.map(|id| {
            ServerProcess::of_id(id)
                .with_context(|| format!("--server-pid: there is no process {id}"))
        });
        let interrupt = CancellationToken::new();
        let cast = Cast {
            target: target.await?,
            publisher: publisher.transpose()?,
            server: server.transpose()?,
            progress: Progress::new(std::io::stderr().is_terminal(), self.quiet),
            interrupt: interrupt.clone(),
        };
        tokio::spawn(async move {
            if tokio::signal::ctrl_c().await.is_ok() {
                interrupt.cancel();
            }
        });
        let report = load::run(plan, cast).await?;
        self.write(&report)?;
        match report.failures.as_slice() {
            [] => Ok(()),
            failures => bail!("{}", failures.join(", ")),
        }
    }

    fn plan(&self, run: &str) -> anyhow::Result<Plan> {
        let preset = self.preset.as_deref().and_then(Preset::of_name);
        let matching = match (self.matching.as_deref(), preset) {
            (Some(text), _) => Matching::of_text(text, run)?,
            // A preset's text fits what the preset asks and publishes.
            (None, Some(preset)) if self.query.is_none() && self.body.is_none() => {
                Matching::of_text(preset.matching, run)?
            }
            (None, _) => Matching::Order,
        };
        let connections = usize::try_from(self.connections)?;
        let ramp = self
            .ramp
            .map(|time| connections as f64 / time.as_secs_f64());
        Ok(Plan {
            url: self.url.to_string(),
            connections,
            question: self.question(preset)?,
            people: self.people()?,
            matching,
            publication: self.publication(preset)?,
            scenario: match self.scenario {
                Kind::Steady => Scenario::Steady,
                Kind::Burst => Scenario::Burst(self.burst as usize),
                Kind::Storm => Scenario::Storm(self.storms as usize),
                Kind::Slow => Scenario::Slow(self.slow_share),
                Kind::Churn => Scenario::Churn(self.churn_rate),
            },
            duration: self.duration,
            connect_rate: ramp.or(self.connect_rate),
            handshakes: self.handshakes as usize,
            settle: self.settle,
            threads: self.threads as usize,
            run: run.to_owned(),
        })
    }

    fn question(&self, preset: Option<&Preset>) -> anyhow::Result<Question> {
        let mut question = match (preset, &self.query) {
            (Some(preset), _) => preset.question(),
            (None, Some(_)) => Question {
                init: Template::parse("{}"),
                query: Template::parse(""),
                variables: None,
                operation_name: None,
            },
            (None, None) => bail!("give a --query, or a --preset"),
        };
        if let Some(query) = &self.query {
            let text = match query.strip_prefix('@') {
                Some(text) => text.to_owned(),
                None => read(Path::new(query)).context("--query")?,
            };
            question.query = Template::parse(&text);
            // What belongs to the preset's query may not fit this one.
            (question.variables, question.operation_name) = (None, None);
        }
        if let Some(variables) = &self.variables {
            question.variables = Some(template(variables).context("--variables")?);
        }
        if let Some(init) = &self.init {
            question.init = template(init).context("--init")?;
        }
        if let Some(name) = &self.operation_name {
            question.operation_name = Some(name.clone());
        }
        Ok(question)
    }

    fn publication(&self, preset: Option<&Preset>) -> anyhow::Result<Option<Publication>> {
        if self.publish.is_none() {
            let idle = [("--channel", &self.channel), ("--body", &self.body)];
            if let Some((name, _)) = idle.into_iter().find(|(_, text)| text.is_some()) {
                bail!("{name} says what to publish, and nothing says where: give --publish");
            }
            return Ok(None);
        }
        let given = |text: &Option<String>, name: &'static str| {
            text.as_deref()
                .map(|text| template(text).context(name))
                .transpose()
        };
        let (channel, body) = (
            given(&self.channel, "--channel")?,
            given(&self.body, "--body")?,
        );
        let mut publication = match (preset, &channel, &body) {
            (Some(preset), ..) => preset.publication(self.rate),
            (None, Some(channel), Some(body)) => Publication {
                channel: channel.clone(),
                body: body.clone(),
                rate: self.rate,
                once: false,
                prime: None,
            },
            (None, ..) => bail!("--publish needs a --channel and a --body, or a --preset"),
        };
        publication.channel = channel.unwrap_or(publication.channel);
        publication.body = body.unwrap_or(publication.body);
        publication.once |= self.once;
        Ok(Some(publication))
    }

    fn people(&self) -> anyhow::Result<People> {
        let keys = match (&self.keys, self.publishing_key()) {
            (Some(file), _) => lines(file).context("--keys")?,
            (None, Some(key)) => vec![key.expose_secret().to_owned()],
            (None, None) => Vec::new(),
        };
        let accounts = match self.accounts.as_deref() {
            None => Vec::new(),
            Some(file) if Path::new(file).exists() || file == "-" => {
                lines(Path::new(file)).context("--accounts")?
            }
            // A name of a file that is not there has a point or a slash in it, and an id has none.
            Some(file) if file.contains(['.', '/']) => bail!("--accounts: there is no file {file}"),
            Some(id) => vec![id.to_owned()],
        };
        Ok(People { keys, accounts })
    }

    fn publishing_key(&self) -> Option<SecretString> {
        let from_environment = || std::env::var("TIDINGS_KEY").ok().map(SecretString::from);
        self.key.clone().or_else(from_environment)
    }

    /// Writes the report wherever it is wanted.
    fn write(&self, report: &Report) -> anyhow::Result<()> {
        let json = || serde_json::to_string_pretty(report).map(|json| json + "\n");
        let mut is_printed = false;
        if let Some(file) = &self.json {
            is_printed = file == Path::new("-");
            match is_printed {
                true => print(&json()?)?,
                false => write(file, &json()?)?,
            }
        }
        if let Some(file) = &self.html {
            write(file, &load::page(report))?;
        }
        match is_printed {
            true => Ok(()),
            false => print(&report.to_string()),
        }
    }
}

/// A template: the text, or after @ the file that holds it.
fn template(text: &str) -> anyhow::Result<Template> {
    let text = match text.strip_prefix('@') {
        Some(file) => read(Path::new(file))?,
        None => text.to_owned(),
    };
    Ok(Template::parse(text.trim_end()))
}

fn lines(file: &Path) -> anyhow::Result<Vec<String>> {
    let text = read(file)?;
    let lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
    let lines: Vec<_> = lines.map(str::to_owned).collect();
    match lines.is_empty() {
        true => bail!("{} is empty", file.display()),
        false => Ok(lines),
    }
}

fn read(file: &Path) -> anyhow::Result<String> {
    if file == Path::new("-") {
        let mut text = String::new();
        std::io::stdin()
            .read_to_string(&mut text)
            .context("cannot read stdin")?;
        return Ok(text);
    }
    std::fs::read_to_string(file).with_context(|| format!("cannot read {}", file.display()))
}

fn write(file: &Path, text: &str) -> anyhow::Result<()> {
    std::fs::write(file, text).with_context(|| format!("cannot write {}", file.display()))
}

/// Eight hex digits that no other run has.
fn run_name() -> anyhow::Result<String> {
    let number = getrandom::u32().context("the system has no randomness for us")?;
    Ok(format!("{number:08x}"))
}

fn count() -> impl clap::builder::TypedValueParser<Value = u64> {
    clap::value_parser!(u64).range(1..=10_000_000)
}

fn preset() -> impl clap::builder::TypedValueParser<Value = String> {
    clap::builder::PossibleValuesParser::new(PRESETS.map(|preset| preset.name))
}

/// Of "10%", a tenth.
fn share(text: &str) -> Result<f64, &'static str> {
    let percent = text.trim_end_matches('%').parse::<f64>().ok();
    let percent = percent.filter(|percent| (0.0..=100.0).contains(percent));
    percent
        .map(|percent| percent / 100.0)
        .ok_or("expected a share such as 10%")
}
