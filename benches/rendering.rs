//! What it costs to render an event, by a plan and by the general executor, and to find out what a
//! request asks.
//!
//! `cargo bench --bench rendering`

use std::hint::black_box;
use std::sync::Arc;
use std::time::Duration;

use criterion::{Criterion, criterion_group, criterion_main};
use serde_json::json;
use tidings::accounts::{Account, AccountLevel, Directory, Wallet};
use tidings::auth::{Identity, Scopes};
use tidings::bus::{Bus, MemoryBus};
use tidings::event::{Event, WalletCurrency};
use tidings::graphql::{Graphql, PersistedDocuments, Request, RequestLimits, Sources};
use tidings::hub::{Hub, HubConfig, Remembers, Render};
use tidings::retained::{MemoryRetained, Retained, RetainedConfig};
use tidings::topic::{AccountId, Currency, Topic};
use tokio::runtime::Runtime;

criterion_group!(benches, payment, price, asking);
criterion_main!(benches);

const ID: &str = "21087d73-28c9-4d1f-9b0c-1a2b3c4d5e6f";

/// What a wallet's app asks, about.
const MY_UPDATES: &str = "subscription myUpdates { myUpdates { errors { message } me { id defaultAccount { id
    wallets { id walletCurrency balance } } } update { __typename
    ... on LnUpdate { paymentHash status walletId transaction { ...Entry } }
    ... on IntraLedgerUpdate { txNotificationType amount walletId transaction { ...Entry } }
    ... on OnChainUpdate { txNotificationType txHash amount walletId transaction { ...Entry } }
    ... on RealtimePrice { id timestamp denominatorCurrency btcSatPrice { base offset } usdCentPrice { base offset } }
    ... on Price { base offset currencyUnit formattedAmount } } } }
fragment Entry on Transaction { __typename id status direction memo createdAt settlementAmount settlementFee
    settlementCurrency settlementDisplayAmount settlementDisplayCurrency settlementDisplayFee
    settlementPrice { base offset currencyUnit formattedAmount }
    initiationVia { __typename ... on InitiationViaIntraLedger { counterPartyWalletId counterPartyUsername }
        ... on InitiationViaLn { paymentHash paymentRequest } ... on InitiationViaOnChain { address } }
    settlementVia { __typename ... on SettlementViaIntraLedger { counterPartyWalletId counterPartyUsername }
        ... on SettlementViaLn { preImage } ... on SettlementViaOnChain { transactionHash } } }";

const REALTIME_PRICE: &str =
    "subscription ($input: RealtimePriceInput!) { realtimePrice(input: $input) {
    realtimePrice { id timestamp denominatorCurrency btcSatPrice { base offset currencyUnit }
        usdCentPrice { base offset currencyUnit } } errors { message } } }";

/// A payment over Lightning to an account that the directory knows.
fn payment(criterion: &mut Criterion) {
    let via = json!({ "type": "lightning", "paymentHash": "bf".repeat(32), "paymentRequest": "lnbc1", "pubkey": "" });
    let body = json!({ "invoice": {
        "walletId": ID, "paymentHash": "bf".repeat(32), "status": "Paid",
        "transaction": {
            "createdAt": "2023-11-21T01:49:38.375Z", "id": "655cd1926445716f60b89418", "walletId": ID,
            "initiationVia": via, "settlementVia": { "type": "lightning", "revealedPreImage": "cd".repeat(32) },
            "memo": "tea", "settlementAmount": 2707, "settlementFee": 0, "settlementCurrency": "BTC",
            "settlementDisplayAmount": "1.00", "settlementDisplayFee": "0.00", "status": "success",
            "settlementDisplayPrice": { "base": "36941263391", "offset": "12", "displayCurrency": "USD", "walletCurrency": "BTC" },
        },
    }});
    let topic = Topic::Account(AccountId::parse(ID).expect("it is one"));
    let request = request(MY_UPDATES, json!({}));
    rendering(criterion, "a payment", &topic, &body, &request);
}

fn price(criterion: &mut Criterion) {
    let body = json!({ "timestamp": "2024-01-15T10:30:00.000Z", "pricePerSat": 0.00043644, "pricePerUsdCent": 0.01 });
    let request = request(REALTIME_PRICE, json!({ "input": { "currency": "USD" } }));
    let topic = Topic::Price(Currency::USD);
    rendering(criterion, "a price", &topic, &body, &request);
}

fn rendering(
    criterion: &mut Criterion,
    name: &str,
    topic: &Topic,
    body: &serde_json::Value,
    request: &Request,
) {
    let event = Event::decode(topic, body.to_string().as_bytes()).expect("a body of this topic");
    let event = Arc::new(event);
    let (graphql, runtime) = (graphql(1000), runtime());
    let identity = owner();
    let mut group = criterion.benchmark_group(name);
    let by_plan = runtime.block_on(graphql.renderer(&identity, request));
    let generally = runtime.block_on(graphql.general_renderer(&identity, request));
    let mut told = Vec::new();
    for (way, renderer) in [("by its plan", by_plan), ("generally", generally)] {
        let mut renderer: Box<dyn Render> = renderer.expect("it runs");
        told.push(renderer.render(&event).payload);
        group.bench_function(way, |bencher| {
            bencher.iter(|| renderer.render(black_box(&event)));
        });
    }
    assert_eq!(told[0], told[1]);
    group.finish();
}

/// What a request asks that was asked before, or never; and starting it.
fn asking(criterion: &mut Criterion) {
    let runtime = runtime();
    let identity = owner();
    let (kept, cold) = (graphql(1000), graphql(0));
    for (name, request) in [
        ("asking for payments", request(MY_UPDATES, json!({}))),
        (
            "asking for prices",
            request(REALTIME_PRICE, json!({ "input": { "currency": "USD" } })),
        ),
    ] {
        let mut group = criterion.benchmark_group(name);
        group.bench_function("what was asked before", |bencher| {
            bencher.iter(|| runtime.block_on(kept.ask(black_box(&request))));
        });
        group.bench_function("for the first time", |bencher| {
            bencher.iter(|| runtime.block_on(cold.ask(black_box(&request))));
        });
        group.bench_function("and starting its plan", |bencher| {
            bencher.iter(|| {
                runtime
                    .block_on(kept.renderer(&identity, black_box(&request)))
                    .ok()
            });
        });
        group.bench_function("and starting the general executor", |bencher| {
            bencher.iter(|| {
                runtime
                    .block_on(kept.general_renderer(&identity, black_box(&request)))
                    .ok()
            });
        });
        group.finish();
    }
}

fn request(query: &str, variables: serde_json::Value) -> Request {
    let request = json!({ "query": query, "variables": variables });
    serde_json::from_value(request).expect("it is one")
}

fn owner() -> Identity {
    Identity::of(AccountId::parse(ID), None, Scopes::default())
}

fn runtime() -> Runtime {
    let runtime = tokio::runtime::Builder::new_current_thread().build();
    runtime.expect("this machine has threads")
}

/// Without events, and with a cache of so many documents.
fn graphql(documents: u64) -> Graphql {
    let month = Duration::from_secs(30 * 86_400);
    let (bus, _) = MemoryBus::new();
    let retained_config = RetainedConfig {
        invoices: 100,
        invoices_for: month,
        prices_for: month,
        webhooks: 100,
        webhooks_bytes: 1 << 20,
        webhooks_for: Duration::from_secs(3600),
    };
    let retained = MemoryRetained::new(&retained_config);
    let config = HubConfig {
        linger: month,
        topics: usize::MAX,
    };
    let (bus, retained) = (Bus::Memory(bus), Retained::Memory(retained));
    let hub = Hub::new(
        bus,
        retained,
        Arc::default(),
        config,
        Remembers::of(&retained_config),
        Arc::default(),
    );
    let wallet = |currency| Wallet {
        id: uuid::Uuid::from_u128(currency as u128),
        currency,
        balance: Some(2707),
        pending_incoming_balance: Some(0),
    };
    let directory = Directory::default();
    directory.replace([Account {
        id: AccountId::parse(ID).expect("it is one"),
        username: Some("satoshi".to_owned()),
        display_currency: Currency::USD,
        level: AccountLevel::Two,
        default_wallet_id: wallet(WalletCurrency::Btc).id,
        wallets: vec![wallet(WalletCurrency::Btc), wallet(WalletCurrency::Usd)],
    }]);
    let sources = Sources {
        hub,
        directory: Arc::new(directory),
        currencies: [Currency::USD].into(),
        default_display_currency: Currency::USD,
        complete_when_final: true,
    };
    let limits = RequestLimits {
        depth: 20,
        complexity: 1000,
        documents,
    };
    Graphql::new(sources, limits, PersistedDocuments::automatic())
}
