//! `tidings serve`: puts the parts together, and takes them apart again. Read this first.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use tokio::sync::watch;
use tokio::time::timeout;
use tokio_util::task::TaskTracker;

use super::banner::run_demo;
use crate::auth::{Authenticator, Tokens};
use crate::bus::{Bus, BusConfig, Inbox, MemoryBus, RedisBus};
use crate::channels::Channels;
use crate::config::Settings;
use crate::demo::{Demo, DemoIssuer};
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
use crate::topic::Topic;
use crate::transport::address::{Addresses, TrustedProxies};
use crate::transport::apis::Apis;
use crate::transport::entrance::Entrance;
use crate::transport::http::Http;
use crate::transport::listener::{self, SocketLimits};
use crate::transport::playground::Playground;
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
    if is_demo {
        settings.allenhark.enabled = true;
        settings.blockdb.enabled = true;
    }
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
                allenhark: settings.allenhark.api(),
                websocks: self.intake,
                blockdb: settings.blockdb.api(),
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
