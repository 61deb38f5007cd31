//! What anybody would write first: async-graphql behind axum, an execution for each subscriber, fed by Redis through
//! tokio's broadcast channels. It answers the questions of the comparison as Blink does, believes every key, and has no
//! limits.
//!
//! `naive --listen ADDRESS --redis ADDRESS [--read-buffer BYTES]`: with the last, sockets are read through buffers of
//! that size. tungstenite's own are of 128 KiB, and it fills them with zeroes before every read.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};

use async_graphql::futures_util::{Stream, StreamExt, stream};
use async_graphql::http::ALL_WEBSOCKET_PROTOCOLS;
use async_graphql::{
    Context, Data, EmptyMutation, InputObject, Object, Schema, SimpleObject, Subscription, Union,
};
use async_graphql_axum::{GraphQLProtocol, GraphQLWebSocket};
use axum::Router;
use axum::extract::{State, WebSocketUpgrade};
use axum::response::Response;
use axum::routing::get;
use axum::serve::ListenerExt as _;
use compare::words;
use jiff::Timestamp;
use jiff::tz::TimeZone;
use serde::Deserialize;
use sha1::{Digest as _, Sha1};
use tokio::sync::broadcast;
use tokio_stream::wrappers::BroadcastStream;

#[derive(Debug, thiserror::Error)]
enum Failure {
    #[error("usage: naive --listen ADDRESS --redis ADDRESS [--read-buffer BYTES]")]
    Usage,
    #[error("{0}")]
    Io(#[from] std::io::Error),
    #[error("Redis: {0}")]
    Redis(#[from] redis::RedisError),
}

#[tokio::main]
async fn main() -> Result<(), Failure> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let after = |name: &str| {
        let at = arguments.iter().position(|argument| argument == name)?;
        arguments.get(at + 1)
    };
    let listen: SocketAddr = after("--listen")
        .and_then(|text| text.parse().ok())
        .ok_or(Failure::Usage)?;
    let redis = after("--redis").ok_or(Failure::Usage)?;
    let read_buffer = after("--read-buffer")
        .map(|text| text.parse().map_err(|_| Failure::Usage))
        .transpose()?;

    let events = Events::start(redis).await?;
    let schema = Schema::build(Query, EmptyMutation, Root)
        .data(events)
        .finish();
    let router = Router::new()
        .route("/graphql", get(subscribe))
        .with_state(Server {
            schema,
            read_buffer,
        });
    // A frame that waits for the acknowledgement of the one before it is late.
    let listener = tokio::net::TcpListener::bind(listen)
        .await?
        .tap_io(|socket| {
            let _ = socket.set_nodelay(true);
        });
    Ok(axum::serve(listener, router).await?)
}

#[derive(Clone)]
struct Server {
    schema: Schema<Query, EmptyMutation, Root>,
    read_buffer: Option<usize>,
}

async fn subscribe(
    State(server): State<Server>,
    protocol: GraphQLProtocol,
    upgrade: WebSocketUpgrade,
) -> Response {
    let upgrade = match server.read_buffer {
        Some(bytes) => upgrade.read_buffer_size(bytes),
        None => upgrade,
    };
    upgrade
        .protocols(ALL_WEBSOCKET_PROTOCOLS)
        .on_upgrade(move |socket| {
            GraphQLWebSocket::new(socket, server.schema, protocol)
                .on_connection_init(async |init| {
                    let key = init["X-API-KEY"]
                        .as_str()
                        .and_then(|key| key.strip_prefix("blink_")?.parse().ok());
                    let mut data = Data::default();
                    data.insert(Account(words::account(key.unwrap_or_default())));
                    Ok(data)
                })
                .serve()
        })
}

/// Whose key it was.
struct Account(String);

/// What comes from Redis, and who listens.
#[derive(Clone)]
struct Events {
    prices: broadcast::Sender<Arc<Tick>>,
    last_price: Arc<Mutex<Option<Arc<Tick>>>>,
    accounts: Arc<Mutex<HashMap<String, broadcast::Sender<Arc<Receipt>>>>>,
    subscribe: redis::aio::PubSubSink,
}

/// Events that may wait for a subscriber; then it skips some.
const WAITING: usize = 64;

impl Events {
    async fn start(redis: &str) -> Result<Self, redis::RedisError> {
        let client = redis::Client::open(format!("redis://{redis}"))?;
        let (mut subscribe, messages) = client.get_async_pubsub().await?.split();
        subscribe.subscribe(words::PRICE_CHANNEL).await?;
        let events = Events {
            prices: broadcast::channel(WAITING).0,
            last_price: Arc::default(),
            accounts: Arc::default(),
            subscribe,
        };
        tokio::spawn(events.clone().pass_on(messages));
        Ok(events)
    }

    async fn pass_on(self, mut messages: redis::aio::PubSubStream) {
        while let Some(message) = messages.next().await {
            let body = message.get_payload_bytes();
            // Nobody may listen: that is no failure.
            match message
                .get_channel_name()
                .strip_prefix(words::ACCOUNT_CHANNEL)
            {
                Some(account) => {
                    let Ok(Update { invoice }) = serde_json::from_slice(body) else {
                        continue;
                    };
                    let accounts = self.accounts.lock().unwrap_or_else(PoisonError::into_inner);
                    if let Some(listeners) = accounts.get(account) {
                        let _ = listeners.send(Arc::new(invoice));
                    }
                }
                None => {
                    let Ok(tick) = serde_json::from_slice::<Tick>(body) else {
                        continue;
                    };
                    let tick = Arc::new(tick);
                    *self
                        .last_price
                        .lock()
                        .unwrap_or_else(PoisonError::into_inner) = Some(tick.clone());
                    let _ = self.prices.send(tick);
                }
            }
        }
    }

    fn last_price(&self) -> Option<Arc<Tick>> {
        self.last_price
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    async fn receipts(
        &self,
        account: &str,
    ) -> Result<broadcast::Receiver<Arc<Receipt>>, redis::RedisError> {
        let (receiver, is_new) = {
            let mut accounts = self.accounts.lock().unwrap_or_else(PoisonError::into_inner);
            match accounts.get(account) {
                Some(listeners) => (listeners.subscribe(), false),
                None => {
                    let (sender, receiver) = broadcast::channel(WAITING);
                    accounts.insert(account.to_owned(), sender);
                    (receiver, true)
                }
            }
        };
        if is_new {
            let channel = format!("{}{account}", words::ACCOUNT_CHANNEL);
            self.subscribe.clone().subscribe(channel).await?;
        }
        Ok(receiver)
    }
}

/// The body of a price.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Tick {
    timestamp: Timestamp,
    display_currency: String,
    price_per_sat: f64,
    price_per_usd_cent: f64,
}

/// The body of an account's channel.
#[derive(Deserialize)]
struct Update {
    invoice: Receipt,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Receipt {
    wallet_id: String,
    payment_hash: String,
    status: String,
    transaction: Transaction,
}

#[derive(Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Transaction {
    created_at: Timestamp,
    id: String,
    memo: Option<String>,
    settlement_amount: i64,
    settlement_currency: String,
    status: String,
}

struct Query;

#[Object]
impl Query {
    async fn is_alive(&self) -> bool {
        true
    }
}

struct Root;

#[derive(InputObject)]
struct RealtimePriceInput {
    #[graphql(default = "USD")]
    currency: String,
}

#[Subscription]
impl Root {
    async fn realtime_price(
        &self,
        ctx: &Context<'_>,
        input: RealtimePriceInput,
    ) -> async_graphql::Result<impl Stream<Item = RealtimePricePayload>> {
        if input.currency != "USD" {
            return Err("Invalid currency.".into());
        }
        let events = ctx.data::<Events>()?;
        let live = BroadcastStream::new(events.prices.subscribe());
        let live = live.filter_map(async |tick| tick.ok());
        let prices = stream::iter(events.last_price()).chain(live);
        Ok(prices.map(|tick| RealtimePricePayload {
            errors: Vec::new(),
            realtime_price: RealtimePrice(tick),
        }))
    }

    async fn my_updates(
        &self,
        ctx: &Context<'_>,
    ) -> async_graphql::Result<impl Stream<Item = MyUpdatesPayload>> {
        let events = ctx.data::<Events>()?;
        let account = ctx.data::<Account>()?.0.clone();
        let live = BroadcastStream::new(events.receipts(&account).await?);
        let receipts =
            live.filter_map(async |receipt| Some(UserUpdate::LnUpdate(LnUpdate(receipt.ok()?))));
        let snapshot = events.last_price().into_iter().flat_map(|tick| {
            let base = tick.base_of_sat();
            [
                UserUpdate::Price(Price { base, offset: 12 }),
                UserUpdate::RealtimePrice(RealtimePrice(tick)),
            ]
        });
        Ok(stream::iter(snapshot).chain(receipts).map(move |update| {
            let me = (!matches!(update, UserUpdate::Price(_))).then(|| User {
                id: account.clone(),
            });
            MyUpdatesPayload {
                errors: Vec::new(),
                me,
                update,
            }
        }))
    }
}

#[derive(SimpleObject)]
struct Error {
    message: String,
    code: Option<String>,
    path: Option<Vec<String>>,
}

#[derive(SimpleObject)]
struct RealtimePricePayload {
    errors: Vec<Error>,
    realtime_price: RealtimePrice,
}

struct RealtimePrice(Arc<Tick>);

#[derive(SimpleObject)]
struct MinorPrice {
    base: u64,
    offset: u32,
    currency_unit: &'static str,
}

impl Tick {
    fn base_of_sat(&self) -> u64 {
        (self.price_per_sat * 100.0 * 1e12).round() as u64
    }
}

#[Object]
impl RealtimePrice {
    /// A UUID by SHA-1 of the second and the currency.
    async fn id(&self) -> String {
        let time = self.0.timestamp.to_zoned(TimeZone::UTC);
        let time = time.strftime("%a %b %d %Y %H:%M:%S GMT+0000 (Coordinated Universal Time)");
        let digest = Sha1::digest(format!("{time}-{}", self.0.display_currency));
        let mut id: [u8; 16] = std::array::from_fn(|at| digest[at]);
        id[6] = id[6] & 0x0f | 0x50;
        id[8] = id[8] & 0x3f | 0x80;
        let hex: String = id.iter().map(|byte| format!("{byte:02x}")).collect();
        format!(
            "{}-{}-{}-{}-{}",
            &hex[..8],
            &hex[8..12],
            &hex[12..16],
            &hex[16..20],
            &hex[20..]
        )
    }

    async fn timestamp(&self) -> i64 {
        self.0.timestamp.as_second()
    }

    async fn denominator_currency(&self) -> &str {
        &self.0.display_currency
    }

    async fn btc_sat_price(&self) -> MinorPrice {
        MinorPrice {
            base: self.0.base_of_sat(),
            offset: 12,
            currency_unit: "MINOR",
        }
    }

    async fn usd_cent_price(&self) -> MinorPrice {
        let base = (self.0.price_per_usd_cent * 100.0 * 1e6).round() as u64;
        MinorPrice {
            base,
            offset: 6,
            currency_unit: "MINOR",
        }
    }
}

#[derive(SimpleObject)]
struct User {
    id: String,
}

#[derive(SimpleObject)]
struct MyUpdatesPayload {
    errors: Vec<Error>,
    me: Option<User>,
    update: UserUpdate,
}

#[derive(Union)]
enum UserUpdate {
    LnUpdate(LnUpdate),
    Price(Price),
    RealtimePrice(RealtimePrice),
}

#[derive(SimpleObject)]
struct Price {
    base: u64,
    offset: u32,
}

struct LnUpdate(Arc<Receipt>);

#[Object]
impl LnUpdate {
    async fn payment_hash(&self) -> &str {
        &self.0.payment_hash
    }

    async fn status(&self) -> String {
        self.0.status.to_uppercase()
    }

    async fn wallet_id(&self) -> &str {
        &self.0.wallet_id
    }

    async fn transaction(&self) -> TransactionOf {
        TransactionOf(self.0.clone())
    }
}

struct TransactionOf(Arc<Receipt>);

#[Object(name = "Transaction")]
impl TransactionOf {
    async fn id(&self) -> &str {
        &self.0.transaction.id
    }

    async fn status(&self) -> String {
        self.0.transaction.status.to_uppercase()
    }

    async fn direction(&self) -> &'static str {
        if self.0.transaction.settlement_amount > 0 {
            "RECEIVE"
        } else {
            "SEND"
        }
    }

    async fn memo(&self) -> Option<&str> {
        self.0.transaction.memo.as_deref()
    }

    async fn settlement_amount(&self) -> i64 {
        self.0.transaction.settlement_amount
    }

    async fn settlement_currency(&self) -> &str {
        &self.0.transaction.settlement_currency
    }

    async fn created_at(&self) -> i64 {
        self.0.transaction.created_at.as_second()
    }
}
