//! `tidings serve`: puts the parts together, and takes them apart again. Read this first.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use secrecy::{ExposeSecret, SecretString};
use tokio::sync::{mpsc, watch};
use tokio::time::timeout;
use tokio_util::task::TaskTracker;

use crate::auth::{Authenticator, Tokens};
use crate::bus::{Bus, BusConfig, Inbox, MemoryBus, RedisBus};
use crate::channels::Channels;
use crate::channels::websocks::WebsocksConfig;
use crate::config::Settings;
use crate::demo::{Demo, DemoInvoice, DemoIssuer, DemoWebhooks};
use crate::drain::{Drain, StopSignals};
use crate::graphql::{Graphql, PersistedDocuments, RequestLimits, Sources};
use crate::hub::{Hub, Remembers};
use crate::ingest::webhooks::{EmbeddedLedger, Intake, Ledger, RedisLedger, Rules};
use crate::metrics::Metrics;
use crate::redis_link::RedisLink;
use crate::registry::{Registry, node_name};
use crate::retained::{MemoryRetained, RedisRetained, Retained};
use crate::store::{Mirrored, Store, refresh};
use crate::telemetry;
use crate::topic::{Topic, UserId};
use crate::transport::address::{Addresses, TrustedProxies};
use crate::transport::apis::Apis;
use crate::transport::entrance::Entrance;
use crate::transport::http::Http;
use crate::transport::listener::{self, SocketLimits};
use crate::transport::playground::{DemoFacts, Playground};
use crate::transport::routes::Routes;
use crate::transport::server::Server;

/// How long to wait for the bus before the first client is let in. A bus that is away then is said
/// so, and served without.
const BUS_PATIENCE: Duration = Duration::from_secs(2);

/// Serves until it is told to stop by SIGTERM or SIGINT.
pub(super) async fn serve(mut settings: Settings, is_demo: bool) -> anyhow::Result<()> {
    if is_demo {
        settings.websocks.enabled = true;
        settings
            .check_paths()
            .map_err(|(key, why)| anyhow::anyhow!("the demo shows all APIs; {key}: {why}"))?;
    }
    // Before it is said that this listens: whoever reads that may stop it.
    let mut signals = StopSignals::take_over()?;
    telemetry::start(&settings.log);
    let listener = listener::bind(settings.server.listen, settings.limits.unacknowledged())
        .with_context(|| format!("cannot listen on {}", settings.server.listen))?;
    let address = listener.local_addr()?;
    let metrics = Arc::<Metrics>::default();
    let drain = Drain::default();
    let background = TaskTracker::new();

    let Outside {
        bus,
        inbox,
        retained,
        store,
        ledger,
        registry,
    } = outside(&settings, is_demo, address.port())?;
    let mirrored = Mirrored::default();
    let hub = Hub::new(
        bus,
        retained,
        mirrored.bots.clone(),
        settings.hub.clone(),
        Remembers::of(&settings.retained),
        metrics.clone(),
    );
    // Not the drain's token: results go out, and connections are known, until the last has gone.
    let all_gone = tokio_util::sync::CancellationToken::new();
    let mut hub_runs = tokio::spawn(hub.clone().run(inbox, all_gone.clone()));
    background.spawn(registry.clone().run(all_gone.clone()));
    // Goes on when we do not wait for it any longer.
    let pinned = tokio::spawn(hub.clone().pin(price_topics(&settings)));
    if timeout(BUS_PATIENCE, pinned).await.is_err() || !hub.is_up() {
        tracing::warn!("the bus is away: serving without events until it is there");
    }

    let intake = settings.websocks.enabled.then(|| {
        Arc::new(Intake::new(
            settings.websocks.clone(),
            mirrored.webhooks.clone(),
            mirrored.plans.clone(),
            store.clone(),
            ledger,
            settings.auth.timeout,
            metrics.clone(),
        ))
    });

    let demo = match is_demo {
        true => {
            let issuer = DemoIssuer::new();
            settings.jwt.issuers.push(issuer.config());
            let prefix = &settings.auth.key_prefix;
            let demo = Demo::new(&store, prefix, &issuer, hub.clone(), intake.clone());
            Some(demo.await?)
        }
        false => None,
    };
    // After the demo has made its key, so that whoever reads it can use it. Clients are let in before
    // the first load; those with keys wait for it.
    background.spawn(refresh(store, mirrored.clone(), drain.begun.child_token()));

    let tokens = Tokens::new(&settings.jwt)?;
    let kept_fresh = tokens.clone().keep_fresh(drain.begun.child_token());
    background.spawn(kept_fresh);

    let inside = Inside {
        hub,
        intake,
        mirrored,
        registry,
        tokens,
        persisted: settings.documents.open()?,
        metrics,
        drain: drain.clone(),
    };
    let (facts, told) = watch::channel(None);
    let playground = settings.server.playground.then(|| Playground::new(told));
    let routes = inside.routes(&settings, playground);
    let accepting = tokio::spawn(listener::serve(
        listener,
        routes.router(),
        SocketLimits {
            open: settings.limits.connections,
            header_timeout: settings.server.header_timeout,
            write_timeout: settings.limits.write_timeout,
        },
        drain.clone(),
    ));
    if let Some(demo) = demo {
        let path = settings.server.path.clone();
        let websocks = settings.websocks.clone();
        tokio::spawn(run_demo(demo, address, path, websocks, facts));
    }
    tracing::info!(%address, path = settings.server.path, "listening");

    tokio::select! {
        () = drain.on_signal(&mut signals) => {}
        // Nobody would be told anything any more, and nobody would notice.
        ended = &mut hub_runs => anyhow::bail!("the hub has ended: {ended:?}"),
    }
    accepting.await?;
    drain
        .finish(settings.server.shutdown_grace, &mut signals)
        .await;
    all_gone.cancel();
    hub_runs.await?;
    background.close();
    background.wait().await;
    tracing::info!("stopped");
    Ok(())
}

/// What reaches beyond this process, or stands in for it.
struct Outside {
    bus: Bus,
    inbox: Inbox,
    retained: Retained,
    store: Store,
    ledger: Ledger,
    registry: Arc<Registry>,
}

fn outside(settings: &Settings, is_demo: bool, port: u16) -> anyhow::Result<Outside> {
    let limits = settings.limits.of_registry();
    let node = node_name(settings.server.name.as_ref(), port).into();
    let rules = Rules::of(&settings.websocks);
    match &settings.bus {
        BusConfig::Memory => {
            let (bus, inbox) = MemoryBus::new();
            let bus = Bus::Memory(bus);
            let retained = MemoryRetained::new(&settings.retained);
            let (kept, told) = (retained.clone(), bus.clone());
            let (store, ledger) = if is_demo {
                let ledger = EmbeddedLedger::in_memory(rules, kept, told)?;
                (Store::in_memory()?, ledger)
            } else {
                // First the store, which makes the directory.
                let store = super::store(settings)?;
                let directory = &settings.store.directory;
                let ledger = EmbeddedLedger::open(directory, rules, kept, told);
                (store, ledger.context("cannot open webhooks.db")?)
            };
            Ok(Outside {
                bus,
                inbox,
                retained: Retained::Memory(retained),
                store,
                ledger: Ledger::Embedded(ledger),
                registry: Registry::alone(limits, node),
            })
        }
        BusConfig::Redis { .. } if is_demo => {
            anyhow::bail!(
                "the demo makes prices and payments up: it keeps to itself, and does not go with Redis"
            )
        }
        BusConfig::Redis { url } => {
            let link = RedisLink::new(url, &settings.redis)?;
            let (bus, inbox) = RedisBus::start(settings.redis.clone(), link.clone());
            let retained = Retained::Redis(RedisRetained::start(&settings.retained, link.clone()));
            let (config, redis) = (&settings.registry, &settings.redis);
            let registry = Registry::in_fleet(limits, node, config, redis, link.clone());
            let ledger = RedisLedger::new(link.clone(), rules, settings.retained.clone());
            Ok(Outside {
                bus: Bus::Redis(bus),
                inbox,
                retained,
                store: Store::redis(link),
                ledger: Ledger::Redis(ledger),
                registry,
            })
        }
    }
}

/// Prices are watched always, so that there is a last one to tell to whoever asks first.
fn price_topics(settings: &Settings) -> Vec<Topic> {
    let currencies = settings.prices.currencies.iter().copied();
    currencies
        .flat_map(|currency| [Topic::Price(currency), Topic::UserPrice(currency)])
        .collect()
}

/// What clients reach through the routes.
struct Inside {
    hub: Arc<Hub>,
    intake: Option<Arc<Intake>>,
    mirrored: Mirrored,
    registry: Arc<Registry>,
    tokens: Tokens,
    persisted: PersistedDocuments,
    metrics: Arc<Metrics>,
    drain: Drain,
}

impl Inside {
    fn routes(self, settings: &Settings, playground: Option<Playground>) -> Routes {
        let (hub, metrics) = (self.hub, self.metrics);
        let limits = &settings.limits;
        let authenticator = Authenticator::new(
            settings.auth.clone(),
            self.mirrored.ring,
            self.tokens,
            metrics.clone(),
        );
        let sources = Sources {
            hub: hub.clone(),
            directory: self.mirrored.directory,
            currencies: settings.prices.currencies.clone().into(),
            default_display_currency: settings.prices.default_display_currency,
            complete_when_final: settings.invoices.complete_when_final,
        };
        let request_limits = RequestLimits {
            depth: limits.depth,
            complexity: limits.complexity,
            documents: limits.documents as u64,
        };
        let graphql = Arc::new(Graphql::new(sources, request_limits, self.persisted));
        tokio::spawn({
            let graphql = graphql.clone();
            async move { graphql.look_at_manifest().await }
        });
        let server = Server::new(
            graphql,
            Apis {
                channels: Channels::new(hub.clone()),
                plans: self.mirrored.plans,
                websocks: self.intake,
            },
            authenticator,
            self.registry.clone(),
            limits.of_connection(),
            metrics.clone(),
            self.drain.begun.clone(),
        );
        // For as long as the process lives: connections that say goodbye have times, too.
        tokio::spawn(server.clone().watch());
        let entrance = Arc::new(Entrance::new(
            limits.connections,
            Addresses::new(limits.of_address()),
            self.drain.open.clone(),
            metrics.clone(),
        ));
        Routes {
            path: settings.server.path.clone(),
            also_at: settings.server.also_at.clone(),
            http: Http::new(server.clone(), entrance.clone()),
            server,
            entrance,
            origins: settings.server.allowed_origins.clone(),
            playground,
            registry: self.registry,
            proxies: TrustedProxies::new(limits.trusted_proxies.clone()),
            hub,
            metrics,
            drain: self.drain,
            message_bytes: limits.message_bytes,
            body_timeout: settings.server.header_timeout,
        }
    }
}

/// Publishes made-up events, and says what to paste where; the playground is told, too.
async fn run_demo(
    demo: Demo,
    address: std::net::SocketAddr,
    path: String,
    websocks: WebsocksConfig,
    facts: watch::Sender<Option<DemoFacts>>,
) {
    let (invoices, mut made) = mpsc::channel(1);
    let key = demo.key.expose_secret().to_owned();
    let account = demo.account;
    let rewards = rewards_banner(demo.user, &demo.token, address, &key);
    let webhooks = demo.webhooks.clone();
    let webhooks = webhooks.map_or_else(String::new, |webhooks| {
        webhooks_banner(&webhooks, address, &websocks)
    });
    let (api_key, token) = (demo.key.clone(), demo.token.clone());
    let tell = |invoice: &DemoInvoice| {
        facts.send_replace(Some(DemoFacts {
            api_key: api_key.clone(),
            token: token.clone(),
            payment_request: invoice.payment_request.clone(),
            payment_hash: invoice.payment_hash.clone(),
        }));
    };
    tokio::spawn(demo.run(invoices));
    let Some(invoice) = made.recv().await else {
        return;
    };
    tell(&invoice);
    // Without a playground nobody is left to tell.
    let playground = match facts.is_closed() {
        true => String::new(),
        false => format!("  Playground    http://{address}{path}     in a browser\n"),
    };
    let banner = banner(
        address,
        &path,
        &playground,
        &key,
        &account.to_string(),
        &invoice,
    );
    let _ = super::print(&(banner + &rewards + &webhooks));
    while let Some(invoice) = made.recv().await {
        tell(&invoice);
        let _ = super::print(&format!("  next invoice  {}\n", invoice.payment_request));
    }
}

fn banner(
    address: std::net::SocketAddr,
    path: &str,
    playground: &str,
    key: &str,
    account: &str,
    invoice: &DemoInvoice,
) -> String {
    format!(
        r#"
Tidings {version}, a demo: prices, payments and rewards are made up, and nothing is kept.

{playground}  WebSocket     ws://{address}{path}     subprotocol graphql-transport-ws
  HTTP          http://{address}{path}     POST, GET, event streams, multipart
  API key       {key}
  Account       {account}
  Invoice       {request}
                (pending for 15 seconds, then paid)

In another terminal:

  websocat -v --protocol graphql-transport-ws ws://{address}{path}

and then, line by line:

  {{"type":"connection_init","payload":{{"X-API-KEY":"{key}"}}}}
  {{"id":"1","type":"subscribe","payload":{{"query":"subscription {{ realtimePrice(input: {{ currency: \"EUR\" }}) {{ realtimePrice {{ timestamp btcSatPrice {{ base offset }} }} errors {{ message }} }} }}"}}}}
  {{"id":"2","type":"subscribe","payload":{{"query":"subscription {{ myUpdates {{ update {{ type: __typename ... on LnUpdate {{ status transaction {{ settlementAmount }} }} ... on OnChainUpdate {{ txNotificationType transaction {{ status settlementAmount }} }} ... on IntraLedgerUpdate {{ transaction {{ settlementAmount }} }} }} }} }}"}}}}
  {{"id":"3","type":"subscribe","payload":{{"query":"subscription {{ lnInvoicePaymentStatusByPaymentRequest(input: {{ paymentRequest: \"{request}\" }}) {{ status paymentPreimage errors {{ message }} }} }}"}}}}
  {{"id":"1","type":"complete"}}

or without a WebSocket:

  curl -N -H 'Accept: text/event-stream' -H 'X-API-KEY: {key}' http://{address}{path} \
    --get --data-urlencode 'query=subscription {{ myUpdates {{ update {{ type: __typename ... on RealtimePrice {{ timestamp }} }} }} }}'
"#,
        version = env!("CARGO_PKG_VERSION"),
        request = invoice.payment_request,
    )
}

fn rewards_banner(
    user: UserId,
    token: &SecretString,
    address: std::net::SocketAddr,
    key: &str,
) -> String {
    format!(
        r#"
For the user {user} of the reward program, who owns the account:

  Token         {token}
                (good for a day)

in a session of its own:

  {{"type":"connection_init","payload":{{"connection_id":"demo-1","Authorization":"Bearer {token}"}}}}
  {{"id":"1","type":"subscribe","payload":{{"query":"subscription {{ StatusUpdate {{ Type Timestamp UserID Data }} }}"}}}}

Who is connected:

  TIDINGS_KEY={key} tidings connections list --url http://{address}

"#,
        token = token.expose_secret(),
    )
}

fn webhooks_banner(
    webhooks: &DemoWebhooks,
    address: std::net::SocketAddr,
    config: &WebsocksConfig,
) -> String {
    format!(
        r#"
Webhooks that are posted to the account, and one every few seconds that is made up:

  Webhook URL   {url}{slug}
  Webhook token {token}

  curl {url}{slug} --json '{{"event":"user.signup","email":"test@example.com"}}'

are heard by event streams, and by WebSockets:

  curl -N 'http://{address}/api/events/stream?token={token}'
  websocat 'ws://{address}{path}?token={token}'

in a page, too, wherever it comes from:

  new EventSource('http://{address}/api/events/stream?token={token}').onmessage = (event) => console.log(JSON.parse(event.data))

"#,
        url = config.intake_url(address),
        slug = webhooks.slug.reveal(),
        token = webhooks.token.expose_secret(),
        path = config.path,
    )
}
