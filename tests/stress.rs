//! Joins and leaves on many threads while events flow: the hub itself, without sockets.
//!
//! A binary of its own, so that nothing else runs beside it.

use std::collections::VecDeque;
use std::future::poll_fn;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use tidings::bus::{Bus, MemoryBus};
use tidings::event::{Event, PriceUpdate};
use tidings::filter::Filter;
use tidings::hub::{
    Asker, Envelope, Framing, Hub, HubConfig, Membership, OperationKey, Outbox, OutboxLimits,
    OutboxRules, Plan, Remembers, Render, Rendered, Scope, State, Words,
};
use tidings::metrics::Metrics;
use tidings::retained::{MemoryRetained, Retained, RetainedConfig};
use tidings::topic::{Currency, Topic};
use tokio::task::JoinSet;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

/// How long a fact may take to come true.
const PATIENCE: Duration = Duration::from_secs(60);

/// Numbers that may be published and not told yet: as many as wait in the hub's inbox.
const UNDER_WAY: u64 = 4096 + 2;

/// Nobody is slow here, so nothing may be left out.
const LIMITS: OutboxLimits = OutboxLimits {
    frames: usize::MAX,
    bytes: usize::MAX,
    conflate_above: usize::MAX,
};

/// Says the number of a price, and the last one for a number that is divisible by `last_at`.
struct Numbers {
    last_at: u64,
}

impl Render for Numbers {
    fn render(&mut self, event: &Arc<Event>) -> Rendered {
        let Event::Price(PriceUpdate::Tick(tick)) = &**event else {
            panic!("nothing else is published");
        };
        // The price in US dollars has two digits: 1e-14 is the base 1.
        let number = tick.per_sat.base(1, 12) as u64;
        Rendered {
            payload: number.to_string(),
            last: number.is_multiple_of(self.last_at),
        }
    }
}

/// A hub that runs, with numbered events.
struct Stage {
    hub: Arc<Hub>,
    metrics: Arc<Metrics>,
    rules: Arc<OutboxRules>,
    published: AtomicU64,
    stopped: CancellationToken,
}

impl Stage {
    fn new(linger: Duration) -> Arc<Self> {
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
        let metrics = Arc::<Metrics>::default();
        let hub = Hub::new(
            Bus::Memory(bus),
            Retained::Memory(retained),
            Arc::default(),
            HubConfig {
                linger,
                topics: usize::MAX,
            },
            Remembers::of(&retained_config),
            metrics.clone(),
        );
        let stopped = CancellationToken::new();
        tokio::spawn(hub.clone().run(inbox, stopped.clone()));
        Arc::new(Stage {
            hub,
            rules: Arc::new(OutboxRules {
                limits: LIMITS,
                metrics: metrics.clone(),
            }),
            metrics,
            published: AtomicU64::new(0),
            stopped,
        })
    }

    /// Publishes the next number.
    async fn publish(&self) {
        let number = self.published.load(Ordering::SeqCst) + 1;
        let body = format!(r#"{{"pricePerSat":{:e}}}"#, number as f64 / 1e14);
        self.hub.publish(&topic(), body.into()).await.unwrap();
        self.published.store(number, Ordering::SeqCst);
    }

    /// Publishes until it is told to stop.
    async fn publish_until(&self, stop: &AtomicBool) {
        while !stop.load(Ordering::SeqCst) {
            self.publish().await;
            tokio::task::yield_now().await;
        }
    }

    fn plan(&self, last_at: u64) -> Plan {
        let hub = self.hub.clone();
        Plan {
            topics: [topic()].into_iter().collect(),
            filter: Filter::default(),
            snapshot: Box::new(move |_| hub.snapshot_of(&topic())),
            renderer: Box::new(Numbers { last_at }),
            invoice: None,
        }
    }

    /// Whether an operation runs that somebody could join.
    fn runs(self: &Arc<Self>, key: &OperationKey) -> bool {
        let passer_by = Listener::new(self);
        let envelope = Listener::envelope(0);
        let joined = self.hub.join(key, Asker::new(&passer_by.outbox, &envelope));
        joined.is_some()
    }

    /// Waits until so many operations are counted. One that has ended is counted until the hub's
    /// task has let go of it.
    async fn until_operations(&self, count: i64) {
        let deadline = Instant::now() + PATIENCE;
        while self.metrics.operations.get() != count {
            assert!(
                Instant::now() < deadline,
                "{} operations, not {count}",
                self.metrics.operations.get()
            );
            tokio::task::yield_now().await;
        }
    }

    /// Waits until nothing is left of all that was running.
    async fn until_nothing_is_left(&self) {
        let left = || {
            let metrics = &self.metrics;
            (
                metrics.subscriptions.get(),
                metrics.operations.get(),
                metrics.topics.get(),
            )
        };
        let deadline = Instant::now() + PATIENCE;
        while left() != (0, 0, 0) {
            assert!(
                Instant::now() < deadline,
                "subscriptions, operations and topics are left: {:?}",
                left()
            );
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        self.stopped.cancel();
    }
}

fn topic() -> Topic {
    Topic::Price(Currency::USD)
}

fn question(number: usize) -> OperationKey {
    OperationKey {
        scope: Scope::Everybody,
        question: {
            let mut question = [0; 32];
            question[..8].copy_from_slice(&number.to_le_bytes());
            question
        },
    }
}

/// One client: its outbox, and what it has taken from it.
struct Listener {
    stage: Arc<Stage>,
    outbox: Arc<Outbox>,
    subscriptions: u64,
    taken: VecDeque<String>,
}

/// One line a frame: the number of the subscription, a payload.
const WORDS: Words = Words {
    before_id: "",
    before_payload: " ",
    after_payload: "\n",
    before_completed: "",
    after_completed: " done\n",
};

impl Listener {
    fn new(stage: &Arc<Stage>) -> Self {
        Listener {
            stage: stage.clone(),
            outbox: Outbox::new(stage.rules.clone(), Framing::Bare, None),
            subscriptions: 0,
            taken: VecDeque::new(),
        }
    }

    fn envelope(subscription: u64) -> Envelope {
        Envelope {
            subscription,
            id: subscription.to_string().into_bytes().into(),
            words: &WORDS,
        }
    }

    /// Joins what runs, or starts it, as a connection does.
    async fn subscribe(&mut self, key: OperationKey, last_at: u64) -> Membership {
        self.subscriptions += 1;
        let envelope = Self::envelope(self.subscriptions);
        let hub = &self.stage.hub;
        if let Some(membership) = hub.join(&key, Asker::new(&self.outbox, &envelope)) {
            return membership;
        }
        tokio::task::yield_now().await;
        let plan = self.stage.plan(last_at);
        let started = hub
            .start(key, plan, Asker::new(&self.outbox, &envelope))
            .await;
        started.expect("prices are for everybody")
    }

    /// The next frame of the present subscription; `None` says that it has ended.
    async fn next(&mut self) -> Option<u64> {
        while self.taken.is_empty() {
            timeout(PATIENCE, self.take())
                .await
                .expect("no wake-up is lost");
        }
        let frame = self.taken.pop_front().expect("there is one");
        let text = frame.strip_prefix(&format!("{} ", self.subscriptions));
        match text.unwrap_or_else(|| panic!("{frame} came late")) {
            "done" => {
                // One that was left before it was read may be among them.
                assert_eq!(self.outbox.take_ended().last(), Some(&self.subscriptions));
                None
            }
            number => Some(number.parse().expect("a number")),
        }
    }

    /// Takes what pends, when it was rung for.
    async fn take(&mut self) {
        poll_fn(|context| self.outbox.poll_rung(context)).await;
        assert_ne!(self.outbox.state(), State::Overflowed, "there is room");
        let mut bytes = Vec::new();
        let write = |_: &mut Context<'_>, some: &[u8]| {
            bytes.extend_from_slice(some);
            Poll::Ready(Ok(some.len()))
        };
        let mut context = Context::from_waker(Waker::noop());
        assert!(self.outbox.poll_flush(&mut context, write).is_ready());
        let text = String::from_utf8(bytes).expect("it is text");
        self.taken.extend(text.lines().map(str::to_owned));
    }

    /// Leaves, and forgets what was taken and not read.
    fn leave(&mut self, membership: Membership) {
        drop(membership);
        self.taken.clear();
    }
}

/// Numbers that are random and the same in each run (xorshift).
struct Random(u64);

impl Random {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % limit
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn whoever_joins_and_leaves_hears_everything_in_between_once_and_in_order() {
    const LISTENERS: u64 = 64;
    const STAYS: u64 = 60;
    let stage = Stage::new(Duration::from_millis(1));
    let stop = Arc::new(AtomicBool::new(false));
    let publisher = tokio::spawn({
        let (stage, stop) = (stage.clone(), stop.clone());
        async move { stage.publish_until(&stop).await }
    });
    let mut listeners = JoinSet::new();
    for seed in 1..=LISTENERS {
        let mut listener = Listener::new(&stage);
        listeners.spawn(async move {
            let mut random = Random(seed * 0x9e37_79b9);
            for _ in 0..STAYS {
                // Few questions, so that first and last ones come and go all the time.
                let key = question(random.below(3) as usize);
                let known = listener.stage.published.load(Ordering::SeqCst);
                let membership = listener.subscribe(key, u64::MAX).await;
                let mut heard: Option<u64> = None;
                for _ in 0..random.below(30) {
                    let number = listener.next().await.expect("nothing ends here");
                    match heard {
                        Some(before) => assert_eq!(number, before + 1, "without a gap"),
                        None => assert!(number + UNDER_WAY > known, "{number} after {known}"),
                    }
                    heard = Some(number);
                }
                listener.leave(membership);
            }
        });
    }
    while let Some(ended) = listeners.join_next().await {
        ended.expect("a listener hears what it should");
    }
    stop.store(true, Ordering::SeqCst);
    publisher.await.unwrap();
    stage.until_nothing_is_left().await;
    assert_eq!(stage.metrics.conflated.get(), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn who_is_told_the_present_state_is_told_what_follows_from_there() {
    const LISTENERS: u64 = 400;
    // Watched for good: there is always a last number to begin with.
    let stage = Stage::new(Duration::from_millis(1));
    let mut anchor = Listener::new(&stage);
    let anchored = anchor.subscribe(question(0), u64::MAX).await;
    stage.publish().await;
    assert_eq!(anchor.next().await, Some(1));

    let stop = Arc::new(AtomicBool::new(false));
    let publisher = tokio::spawn({
        let (stage, stop) = (stage.clone(), stop.clone());
        async move { stage.publish_until(&stop).await }
    });
    let mut joined = JoinSet::new();
    for number in 0..LISTENERS {
        let mut listener = Listener::new(&stage);
        joined.spawn(async move {
            let key = question(number as usize % 5);
            let membership = listener.subscribe(key, u64::MAX).await;
            let first = listener.next().await.expect("the present state");
            (listener, membership, first)
        });
    }
    let joined = joined.join_all().await;
    stop.store(true, Ordering::SeqCst);
    publisher.await.unwrap();
    stage.publish().await;
    let last = stage.published.load(Ordering::SeqCst);
    // All of them hear up to the very last one, and the anchor has heard everything.
    for (mut listener, membership, first) in joined {
        for number in first + 1..=last {
            assert_eq!(listener.next().await, Some(number));
        }
        listener.leave(membership);
    }
    for number in 2..=last {
        assert_eq!(anchor.next().await, Some(number));
    }
    anchor.leave(anchored);
    stage.until_nothing_is_left().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn who_starts_the_same_at_the_same_time_shares_one_operation() {
    const ROUNDS: u64 = 300;
    const STARTERS: usize = 16;
    // Kept watched, so that each round has a present state.
    let stage = Stage::new(Duration::from_millis(1));
    let mut anchor = Listener::new(&stage);
    let anchored = anchor.subscribe(question(usize::MAX), u64::MAX).await;
    stage.publish().await;
    anchor.next().await;
    for round in 0..ROUNDS {
        let mut starters = JoinSet::new();
        for _ in 0..STARTERS {
            let mut listener = Listener::new(&stage);
            starters.spawn(async move {
                let key = question(round as usize);
                let membership = listener.subscribe(key, u64::MAX).await;
                (listener, membership)
            });
        }
        let started = starters.join_all().await;
        // The anchor's and theirs.
        stage.until_operations(2).await;
        let rendered = stage.metrics.renderings.get();
        stage.publish().await;
        let number = stage.published.load(Ordering::SeqCst);
        assert_eq!(anchor.next().await, Some(number));
        let (mut leavers, mut memberships) = (Vec::new(), Vec::new());
        for (mut listener, membership) in started {
            assert_eq!(listener.next().await, Some(number - 1), "the snapshot");
            assert_eq!(listener.next().await, Some(number));
            leavers.push(listener);
            memberships.push(membership);
        }
        assert_eq!(stage.metrics.renderings.get(), rendered + 2);
        // It lives as long as the last of them, and not a moment longer.
        let last = memberships.pop();
        let mut leaving = JoinSet::new();
        for membership in memberships {
            leaving.spawn(async move { drop(membership) });
        }
        leaving.join_all().await;
        assert!(stage.runs(&question(round as usize)));
        drop(last);
        assert!(!stage.runs(&question(round as usize)));
        stage.until_operations(1).await;
    }
    anchor.leave(anchored);
    stage.until_nothing_is_left().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn an_operation_that_ends_by_itself_completes_everyone_once_and_can_be_started_again() {
    const LISTENERS: u64 = 48;
    const STAYS: u64 = 60;
    const LAST_AT: u64 = 25;
    let stage = Stage::new(Duration::from_millis(1));
    let stop = Arc::new(AtomicBool::new(false));
    let publisher = tokio::spawn({
        let (stage, stop) = (stage.clone(), stop.clone());
        async move { stage.publish_until(&stop).await }
    });
    let mut listeners = JoinSet::new();
    for seed in 1..=LISTENERS {
        let mut listener = Listener::new(&stage);
        listeners.spawn(async move {
            let mut random = Random(seed * 0x9e37_79b9);
            for _ in 0..STAYS {
                let membership = listener.subscribe(question(0), LAST_AT).await;
                let stays_to_the_end = random.below(3) > 0;
                let mut heard: Option<u64> = None;
                let mut results = 0;
                while stays_to_the_end || random.below(10) > 0 {
                    let Some(number) = listener.next().await else {
                        // Who comes between the last result and the end is told the present state, and
                        // the end. Of what really ends nothing is published afterwards.
                        let last = heard.expect("it ends with a result");
                        let ends = last.is_multiple_of(LAST_AT) || results == 1;
                        assert!(ends, "it ends when nothing can follow, not at {last}");
                        break;
                    };
                    results += 1;
                    let before = heard.replace(number);
                    assert!(before.is_none_or(|before| number == before + 1));
                    assert!(before.is_none_or(|before| before % LAST_AT != 0));
                }
                listener.leave(membership);
            }
        });
    }
    while let Some(ended) = listeners.join_next().await {
        ended.expect("a listener hears what it should");
    }
    stop.store(true, Ordering::SeqCst);
    publisher.await.unwrap();
    stage.until_nothing_is_left().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn who_gives_up_while_it_starts_leaves_nothing_behind() {
    let stage = Stage::new(Duration::from_millis(1));
    let mut attempts = JoinSet::new();
    for seed in 1..=2000u64 {
        let mut listener = Listener::new(&stage);
        attempts.spawn(async move {
            let subscribe = listener.subscribe(question(seed as usize % 7), u64::MAX);
            // Aborted at its first or second wait, or right after it.
            let limit = Duration::from_micros(Random(seed * 0x9e37_79b9).below(50));
            let _ = timeout(limit, subscribe).await;
        });
        if seed.is_multiple_of(3) {
            stage.publish().await;
        }
        if seed.is_multiple_of(100) {
            attempts.abort_all();
        }
    }
    while attempts.join_next().await.is_some() {}
    stage.until_nothing_is_left().await;
}
