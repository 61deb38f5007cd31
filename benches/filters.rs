//! What an event costs that few of many filtered operations are for: from the bus to the outbox of the one that
//! it is for.

use std::future::poll_fn;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use criterion::{Criterion, criterion_group, criterion_main};
use tidings::auth::Identity;
use tidings::bus::{Bus, MemoryBus};
use tidings::channels::{Channels, Form, Question};
use tidings::event::Event;
use tidings::filter::Filter;
use tidings::hub::{
    Asker, Envelope, Framing, Hub, HubConfig, Membership, Outbox, OutboxLimits, OutboxRules,
    Remembers, Words,
};
use tidings::retained::{MemoryRetained, Retained, RetainedConfig};
use tidings::topic::Topic;
use tokio::runtime::Runtime;
use tokio_util::sync::CancellationToken;

/// Operations with different filters on one topic.
const OPERATIONS: [usize; 3] = [10, 1_000, 100_000];

static FORM: Form = Form {
    name: "bench",
    render: |_, _| "{}".to_owned(),
    gone: |_| String::new(),
};

static WORDS: Words = Words {
    before_id: "",
    before_payload: "",
    after_payload: "",
    before_completed: "",
    after_completed: "",
};

/// A hub with operations, each of which asks for the logs of one contract.
struct Stage {
    hub: Arc<Hub>,
    /// Of the client whose contract tells something.
    outbox: Arc<Outbox>,
    body: String,
    _memberships: Vec<Membership>,
}

fn topic() -> Topic {
    Topic::of_channel("DATASET_1_0103").expect("a channel")
}

fn contract(number: usize) -> String {
    format!("{number:040x}")
}

fn log(contract: &str) -> String {
    let (zeros, hash) = ("0".repeat(64), "d".repeat(64));
    format!(
        r#"{{"block_number":12345678,"block_time":"2025-11-11T18:42:15.123Z","tx_index":4,"log_index":0,"contract_address":"{contract}","topic_zero":"{hash}","data_topics":["{zeros}","{zeros}"],"data":"{zeros}"}}"#
    )
}

impl Stage {
    async fn of(operations: usize) -> Self {
        let hour = Duration::from_secs(3600);
        let (bus, inbox) = MemoryBus::new();
        let config = RetainedConfig {
            invoices: 10,
            invoices_for: hour,
            prices_for: hour,
            webhooks: 10,
            webhooks_bytes: 1000,
            webhooks_for: hour,
        };
        let hub = Hub::new(
            Bus::Memory(bus),
            Retained::Memory(MemoryRetained::new(&config)),
            Arc::default(),
            HubConfig {
                linger: hour,
                topics: usize::MAX,
            },
            Remembers::of(&config),
            Arc::default(),
        );
        tokio::spawn(hub.clone().run(inbox, CancellationToken::new()));
        let rules = Arc::new(OutboxRules {
            limits: OutboxLimits {
                frames: usize::MAX,
                bytes: usize::MAX,
                conflate_above: usize::MAX,
            },
            metrics: Arc::default(),
        });
        let outbox = Outbox::new(rules.clone(), Framing::WebSocket, None);
        let others = Outbox::new(rules, Framing::WebSocket, None);
        let channels = Channels::new(hub.clone());
        let event = Event::decode(&topic(), log(&contract(0)).as_bytes()).expect("a log");
        let mut terms = event.terms().iter();
        let of_contract = terms.find(|term| *term.value == *contract(0));
        let dimension = of_contract.expect("logs are found by contracts").dimension;
        let mut memberships = Vec::with_capacity(operations);
        for number in 0..operations {
            let question = Question {
                topic: topic(),
                filter: Filter::default().one_of(dimension, [contract(number)]),
                form: &FORM,
            };
            let envelope = Envelope {
                subscription: number as u64,
                id: Default::default(),
                words: &WORDS,
            };
            let asker = match number {
                0 => Asker::new(&outbox, &envelope),
                _ => Asker::new(&others, &envelope),
            };
            let started = channels.subscribe(&Identity::ANONYMOUS, question, asker);
            memberships.push(started.await.expect("chains are public"));
        }
        Stage {
            hub,
            outbox,
            body: log(&contract(0)),
            _memberships: memberships,
        }
    }

    /// Publishes an event, and waits until the client has it.
    async fn tell(&self) {
        let published = self.hub.publish(&topic(), self.body.clone().into()).await;
        published.expect("the bus is here");
        poll_fn(|context| self.outbox.poll_rung(context)).await;
        let taken = poll_fn(|context| {
            self.outbox
                .poll_flush(context, |_, bytes| Poll::Ready(Ok(bytes.len())))
        });
        taken.await.expect("everything is taken");
    }
}

fn filters(criterion: &mut Criterion) {
    let runtime: Runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime");
    for operations in OPERATIONS {
        let stage = runtime.block_on(Stage::of(operations));
        let name = format!("an event for one of {operations} filtered operations");
        criterion.bench_function(&name, |bencher| {
            bencher.iter(|| runtime.block_on(stage.tell()));
        });
    }
}

criterion_group!(benches, filters);
criterion_main!(benches);
