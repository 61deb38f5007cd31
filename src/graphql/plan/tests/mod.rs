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
use crate::graphql::renderer::{Begun, begin};
use crate::graphql::subscription::scope_of;
use crate::graphql::{Graphql, Request, RequestLimits, Sources, sdl};
use crate::hub::{Hub, HubConfig, Render};
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
        let retained = MemoryRetained::new(&RetainedConfig {
            invoices: 100,
            invoices_for: month,
            prices_for: month,
        });
        let config = HubConfig {
            linger: month,
            topics: usize::MAX,
        };
        let bus = Bus::Memory(bus);
        let retained = Retained::Memory(retained);
        let hub = Hub::new(bus, retained, config, month, Arc::default());
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
            graphql: Graphql::new(sources, limits),
            stopped,
        }
    }

    fn question(&self, query: &str, variables: serde_json::Value) -> Result<Arc<Question>, String> {
        let request = Request {
            query: query.to_owned(),
            operation_name: None,
            variables: async_graphql::Variables::from_json(variables),
        };
        let question = self.runtime.block_on(self.graphql.question(&request));
        question.map_err(|refusal| format!("{refusal:?}"))
    }

    /// Whether the plan and the general executor agree on what is told of events at random, and on
    /// whether anything is.
    fn agree(&self, question: &Question, plan: &Plan, root: &str, choices: &mut Choices<'_>) {
        let executor = &self.graphql.executor;
        let identity = scope_of(root, &identity(choices)).runs_as();
        let need = plan.root.need(&executor.sources, &identity);
        let need = self.runtime.block_on(need);
        let document = question.flat().unwrap();
        let execute = |asking| executor.stream(question, document, asking);
        let begun = begin(identity.clone(), question.origins, execute);
        match (need, self.runtime.block_on(begun)) {
            (Ok(need), Begun::Runs(general)) => {
                assert_eq!(need.topics, general.topics);
                let events = |snapshot: crate::hub::Snapshot| format!("{:?}", snapshot.events);
                if root != "StatusUpdate" {
                    assert_eq!(events((need.snapshot)()), events((general.snapshot)()));
                }
            }
            (Err(_), Begun::Failed(_)) => return,
            (need, Begun::Invalid(response)) => {
                panic!("{:?} of {:?}", need.is_ok(), response.errors)
            }
            (need, _) => panic!("only one starts: the plan {}", need.is_ok()),
        }
        let reading = Reading {
            identity: &identity,
            directory: &executor.sources.directory,
            lookups: &executor.lookups,
        };
        let mut general = executor
            .late(question, identity.clone(), false)
            .ok()
            .unwrap();
        for _ in 0..4 {
            let event = Arc::new(events::event(root, choices));
            let told = general.render(&event).payload;
            match plan.write(&event, &reading) {
                Ok(written) => assert_eq!(written, told, "{event:?}"),
                Err(Bail) => {
                    let is_error = told.starts_with(r#"{"errors":"#) && told.contains(r#""path""#);
                    assert!(is_error, "bailed at {event:?}: {told}");
                }
            }
        }
    }
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
    let [asked, valid, planned] = [const { AtomicUsize::new(0) }; 3];
    proptest!(ProptestConfig::with_cases(400), |(numbers in proptest::collection::vec(any::<u16>(), 0..700))| {
        let mut choices = Choices::new(&numbers);
        let Written { query, variables, root } = types.subscription(&mut choices);
        asked.fetch_add(1, Ordering::Relaxed);
        if let Ok(question) = stage.question(&query, variables.clone()) {
            valid.fetch_add(1, Ordering::Relaxed);
            if let Some(plan) = &question.plan {
                planned.fetch_add(1, Ordering::Relaxed);
                let agree = std::panic::AssertUnwindSafe(|| stage.agree(&question, plan, &root, &mut choices));
                if let Err(panic) = std::panic::catch_unwind(agree) {
                    eprintln!("{query}\n{variables}");
                    std::panic::resume_unwind(panic);
                }
            }
        }
    });
    let [asked, valid, planned] = [asked, valid, planned].map(AtomicUsize::into_inner);
    // Else the test says nothing.
    assert!(valid > asked / 2, "{valid} of {asked} documents are valid");
    assert!(planned > valid / 2, "{planned} of {valid} are planned");
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
