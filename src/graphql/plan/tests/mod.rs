//! Plans say what the general executor says, byte for byte.

mod documents;
mod events;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use proptest::prelude::*;
use tokio::runtime::Runtime;
use tokio_util::sync::CancellationToken;

use self::documents::{Choices, Types, Written, named};
use super::*;
use crate::accounts::{Account, AccountLevel, Directory, Wallet};
use crate::auth::{Identity, Scopes};
use crate::bus::{Bus, MemoryBus};
use crate::event::WalletCurrency;
use crate::graphql::question::Question;
use crate::graphql::subscription::scope_of;
use crate::graphql::{Graphql, PersistedDocuments, Request, RequestLimits, Source, Sources, sdl};
use crate::hub::{Hub, HubConfig, Remembers};
use crate::retained::{MemoryRetained, Retained, RetainedConfig};
use crate::topic::{AccountId, Currency, PaymentHash, Topic, UserId};

/// A server without a transport, where there is a price in US dollars and one invoice is known.
struct Stage {
    runtime: Runtime,
    graphql: Graphql,
    stopped: CancellationToken,
}

impl Stage {
    fn new() -> Self {
        let runtime = tokio::runtime::Builder::new_current_thread();
        let runtime = { runtime }.enable_all().build().unwrap();
        let (bus, inbox) = MemoryBus::new();
        let month = Duration::from_secs(30 * 86_400);
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
        let bus = Bus::Memory(bus);
        let retained = Retained::Memory(retained);
        let hub = Hub::new(
            bus,
            retained,
            Arc::default(),
            config,
            Remembers::of(&retained_config),
            Arc::default(),
        );
        let stopped = CancellationToken::new();
        runtime.spawn(hub.clone().run(inbox, stopped.clone()));
        runtime.block_on(async {
            let dollars = Topic::Price(Currency::USD);
            hub.clone().pin(vec![dollars.clone()]).await;
            let body = r#"{"pricePerSat":0.0004,"pricePerUsdCent":0.01}"#;
            hub.publish(&dollars, body.into()).await.unwrap();
            let hash = PaymentHash::parse(&"bf".repeat(32)).unwrap();
            let body = r#"{"status":"Pending","paymentRequest":"lnbc1known"}"#;
            let invoice = Topic::Invoice(hash.clone());
            hub.publish(&invoice, body.into()).await.unwrap();
            while hub.last(&dollars, 0).is_none() || hub.known_request(&hash).is_none() {
                tokio::task::yield_now().await;
            }
        });
        let directory = Directory::default();
        directory.replace([
            account(1, Currency::USD),
            account(2, Currency::parse("EUR").unwrap()),
        ]);
        let limits = RequestLimits {
            depth: 40,
            complexity: 4000,
            documents: 100,
        };
        let sources = Sources {
            hub,
            directory: Arc::new(directory),
            currencies: [Currency::USD, Currency::parse("EUR").unwrap()].into(),
            default_display_currency: Currency::USD,
            complete_when_final: true,
        };
        Stage {
            runtime,
            graphql: Graphql::new(sources, limits, PersistedDocuments::automatic()),
            stopped,
        }
    }

    fn question(&self, query: &str, variables: serde_json::Value) -> Result<Arc<Question>, String> {
        let request = Request {
            source: Source::Text(query.to_owned()),
            operation_name: None,
            variables: async_graphql::Variables::from_json(variables),
        };
        let question = self.runtime.block_on(self.graphql.question(&request));
        question.map_err(|refusal| format!("{refusal:?}"))
    }

    /// Whether the plan and the general executor agree on what is told of events at random, and on
    /// whether anything is.
    fn agree(&self, written: &Written, choices: &mut Choices<'_>) -> Result<Agreed, TestCaseError> {
        let Written {
            query,
            variables,
            root,
        } = written;
        let Ok(question) = self.question(query, variables.clone()) else {
            return Ok(Agreed::NotValid);
        };
        let Some(plan) = &question.plan else {
            return Ok(Agreed::NotPlanned);
        };
        let asked = format!("{query}\n{variables}");
        let executor = &self.graphql.executor;
        let identity = scope_of(root, &identity(choices)).runs_as();
        let need = plan.root.need(&executor.sources, &identity);
        let is_refused = self.runtime.block_on(need).is_err();
        let planned = executor.start(&question, identity.clone());
        let planned = self.runtime.block_on(planned);
        let generally = executor.start_generally(&question, identity.clone());
        let (planned, general) = match (planned, self.runtime.block_on(generally)) {
            (Ok(planned), Ok(general)) => (planned, general),
            (planned, general) => {
                let [planned, general] = [planned, general].map(|started| match started {
                    Ok(_) => "it runs".to_owned(),
                    Err(refusal) => format!("{refusal:?}"),
                });
                prop_assert_eq!(&planned, &general, "{}", asked);
                // It was valid, so that it can only be executed to an error.
                let is_right = is_refused && general.starts_with("Result");
                prop_assert!(is_right, "{} to {}", general, asked);
                return Ok(Agreed::Planned);
            }
        };
        prop_assert!(!is_refused, "{}", asked);
        prop_assert_eq!(planned.topics, general.topics, "{}", asked);
        prop_assert_eq!(planned.invoice.is_some(), general.invoice.is_some());
        if root != "StatusUpdate" {
            let [planned, general] = [planned.snapshot, general.snapshot].map(|read| read(None));
            prop_assert_eq!(planned.events, general.events, "{}", asked);
        }
        let reading = Reading {
            identity: &identity,
            directory: &executor.sources.directory,
            lookups: &executor.lookups,
        };
        let (mut planned, mut general) = (planned.renderer, general.renderer);
        for _ in 0..4 {
            let event = Arc::new(events::event(root, choices));
            let asked = format!("{event:?} to {asked}");
            let told = general.render(&event);
            prop_assert_eq!(&planned.render(&event), &told, "{}", asked);
            // What is no error is the plan's own work.
            let has_errors = told.payload.starts_with(r#"{"errors":"#);
            let is_left = plan.write(&event, &reading).is_err();
            prop_assert_eq!(is_left, has_errors, "{}", asked);
            let is_executed = !has_errors || told.payload.contains(r#""path""#);
            prop_assert!(is_executed, "{:?} of {}", told, asked);
        }
        Ok(Agreed::Planned)
    }
}

/// What was found of a request on which nobody disagreed.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Agreed {
    NotValid,
    NotPlanned,
    Planned,
}

impl Drop for Stage {
    fn drop(&mut self) {
        self.stopped.cancel();
    }
}

fn account_id(number: u128) -> AccountId {
    uuid::Uuid::from_u128(0x0000_0000_0000_4000_8000_0000_0000_0000 | number).into()
}

/// An account with a wallet of each kind, of which one has balances that are not known.
fn account(number: u128, display_currency: Currency) -> Account {
    let id = |number: u128| uuid::Uuid::from_u128(0x4000_8000_0000_0000_0000 | number);
    let wallet = |id, currency, balance: Option<i64>| Wallet {
        id,
        currency,
        balance,
        pending_incoming_balance: balance.map(|balance| -balance),
    };
    Account {
        id: account_id(number),
        username: (number == 1).then(|| "sätoshi\"".to_owned()),
        display_currency,
        level: AccountLevel::Two,
        default_wallet_id: id(0x0b),
        wallets: vec![
            wallet(id(0x0b), WalletCurrency::Btc, Some(-2707)),
            wallet(
                id(0x0d),
                WalletCurrency::Usd,
                (number == 2).then_some(i64::MAX),
            ),
        ],
    }
}

/// An account that the directory knows, mostly; or one that it does not, or nobody.
fn identity(choices: &mut Choices<'_>) -> Identity {
    let account = match choices.below(8) {
        0..=3 => Some(account_id(1)),
        4 | 5 => Some(account_id(2)),
        6 => Some(account_id(3)),
        _ => None,
    };
    let user = (!choices.once_in(8))
        .then(|| UserId::of_number(7))
        .flatten();
    let scopes = match choices.once_in(8) {
        true => [crate::auth::Scope::Write].into_iter().collect(),
        false => Scopes::default(),
    };
    Identity::of(account, user, scopes)
}

#[test]
fn whatever_is_asked_and_told_a_plan_writes_what_the_general_executor_does() {
    let stage = Stage::new();
    let types = Types::of_sdl(&sdl());
    let times = [const { AtomicUsize::new(0) }; 3];
    let numbers = proptest::collection::vec(any::<u16>(), 0..700);
    proptest!(|(numbers in numbers)| {
        let mut choices = Choices::new(&numbers);
        let written = types.subscription(&mut choices);
        let agreed = stage.agree(&written, &mut choices)?;
        times[agreed as usize].fetch_add(1, Ordering::Relaxed);
    });
    let [not_valid, not_planned, planned] = times.map(AtomicUsize::into_inner);
    // Else the test says little.
    assert!(
        planned >= 64,
        "{not_valid} are not valid, {not_planned} not planned, {planned} planned"
    );
}

#[test]
fn fragments_apply_as_in_the_general_executor() {
    let stage = Stage::new();
    let wallets =
        "defaultAccount { wallets { ... on Wallet { id } ... on UsdWallet { balance } } }";
    for (me, update, fragments) in [
        // Inside of a fragment on an object a fragment on its union does not apply.
        (
            "id",
            "... on LnUpdate { ... on UserUpdate { __typename } walletId }",
            "",
        ),
        (
            wallets,
            "... on UserUpdate { ... on LnUpdate { walletId } ... { __typename } }",
            "",
        ),
        (
            "... on User { id } me: __typename",
            "... on UserUpdate { ... on UserUpdate { __typename } } ... on Price { offset }",
            "",
        ),
        (
            "a: id ... { a: id b: id }",
            "...A ...B",
            "fragment A on LnUpdate { transaction { id } }
             fragment B on UserUpdate { ... on LnUpdate { transaction { id memo } } __typename }",
        ),
    ] {
        let query = format!(
            "subscription {{ myUpdates {{ me {{ {me} }} update {{ {update} }} }} }} {fragments}"
        );
        let variables = serde_json::json!({});
        let root = "myUpdates".to_owned();
        let written = Written {
            query,
            variables,
            root,
        };
        for kind in 0..7 {
            // Whose identity, and the kind of the first event.
            let numbers = [0, 0, 0, kind];
            let agreed = stage.agree(&written, &mut Choices::new(&numbers)).unwrap();
            assert_eq!(agreed, Agreed::Planned, "{}", written.query);
        }
    }
}

#[test]
fn what_was_asked_before_is_not_found_out_again() {
    let stage = Stage::new();
    let query = "subscription { realtimePrice(input: {}) { errors { message } } }";
    let ask = |query: &str| stage.question(query, serde_json::Value::Null);
    let first = ask(query).unwrap();
    assert!(Arc::ptr_eq(&first, &ask(query).unwrap()));
    let spaced = ask(&query.replace(' ', "  ")).unwrap();
    assert_ne!(first.fingerprint, spaced.fingerprint);
    let refused = "subscription { realtimePrice(input: {}) { surprise } }";
    assert_eq!(ask(refused).err(), ask(refused).err());
}

#[test]
fn requests_that_mean_the_same_are_one_question() {
    let stage = Stage::new();
    let query = r#"subscription ($currency: DisplayCurrency = "USD") {
        realtimePrice(input: { currency: $currency }) { errors { message } } }"#;
    let [left_out, given, other] = [
        serde_json::json!({}),
        serde_json::json!({ "currency": "USD", "unknown": 1 }),
        serde_json::json!({ "currency": "EUR" }),
    ]
    .map(|variables| stage.question(query, variables).unwrap().fingerprint);
    assert_eq!(left_out, given);
    assert_ne!(left_out, other);
}

#[test]
fn what_validation_has_yet_to_see_is_left_to_the_general_executor() {
    let stage = Stage::new();
    for (query, variables) in [
        // A null where none may be.
        (
            "subscription ($amount: SatAmount = 1) { price(input: { amount: $amount,
                amountCurrencyUnit: BTCSAT, priceCurrencyUnit: USDCENT }) { errors { message } } }",
            serde_json::json!({ "amount": null }),
        ),
        // What stands beside a variable.
        (
            "subscription ($amount: SatAmount!) { price(input: { amount: $amount, surprise: 1,
                amountCurrencyUnit: BTCSAT, priceCurrencyUnit: USDCENT }) { errors { message } } }",
            serde_json::json!({ "amount": 1 }),
        ),
        // Two fields of one name, which validation overlooks.
        (
            "subscription { myUpdates { update { ... on LnUpdate { x: walletId
                ... on LnUpdate { x: paymentHash } ... { x: status } } } } }",
            serde_json::json!({}),
        ),
        // The root, put together.
        (
            "subscription { myUpdates { me { id } } myUpdates { errors { message } } }",
            serde_json::json!({}),
        ),
    ] {
        match stage.question(query, variables) {
            Ok(question) => assert!(question.plan.is_none(), "{query}"),
            Err(refusal) => assert!(refusal.contains("conflict"), "{query}: {refusal}"),
        }
    }
}

#[test]
fn every_field_that_a_subscription_reaches_is_planned() {
    let stage = Stage::new();
    let types = Types::of_sdl(&sdl());
    // How to come to each type: what stands before a selection of it, and how many braces it opens.
    let mut roads: BTreeMap<String, (String, usize)> = BTreeMap::new();
    let mut next = vec![("Subscription".to_owned(), ("subscription {".to_owned(), 1))];
    let mut missing = BTreeSet::new();
    while let Some((object, road)) = next.pop() {
        if roads.contains_key(&object) {
            continue;
        }
        for field in types.fields(&object) {
            let name = &field.name.node;
            let arguments: Vec<_> = field
                .arguments
                .iter()
                .map(|argument| {
                    let argument = &argument.node;
                    format!("{}: {}", argument.name.node, types.right(&argument.ty.node))
                })
                .collect();
            let arguments = match arguments.is_empty() {
                true => String::new(),
                false => format!("({})", arguments.join(", ")),
            };
            let ty = named(&field.ty.node);
            let possible = types.possible(ty);
            let (before, braces) = &road;
            let below = if possible.is_empty() {
                ""
            } else {
                "{ __typename }"
            };
            let query = format!("{before} {name}{arguments} {below} {}", "}".repeat(*braces));
            let is_planned = stage
                .question(&query, serde_json::Value::Null)
                .map(|question| question.plan.is_some());
            if is_planned != Ok(true) {
                missing.insert(format!("{object}.{name}: {is_planned:?}"));
            }
            for member in possible {
                let road = format!("{before} {name}{arguments} {{ ... on {member} {{");
                next.push((member, (road, braces + 2)));
            }
        }
        roads.insert(object, road);
    }
    assert!(roads.len() > 25, "these are few types: {:?}", roads.keys());
    assert!(missing.is_empty(), "{missing:#?}");
}
