//! Who hears what: hands each event to the operations that wait for it.
//!
//! One task ([`Hub::run`]) moves events from the bus to the operations, in order, and waits for
//! nothing slow. Each event is decoded once, numbered, retained if it is a state, rendered once for
//! each different question, and written to everyone who asked that question. What came together is
//! told together: one write for each client.
//!
//! A topic is watched on the bus from its first listener on, and released a while
//! (`hub.linger`) after its last one has left. Prices are watched always, so that there is a last
//! one to tell; so are invoices, by the bus itself.

mod batch;
mod bell;
mod fan_out;
mod gap;
mod invoices;
mod listeners;
mod operations;
mod outbox;
mod recent;
mod shared;
mod topics;

pub use self::invoices::InvoiceTerms;
pub use self::outbox::{
    Envelope, Framing, Outbox, OutboxLimits, OutboxRules, Payload, Policy, Spelled, State, Words,
};
pub use self::recent::RecentLimits;
pub use self::shared::{Asker, OperationKey, Plan, Render, Rendered, Scope, Snapshot, SnapshotFn};

use std::sync::{Arc, Mutex, MutexGuard, Weak};
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use serde::Deserialize;
use smallvec::SmallVec;
use tokio::sync::mpsc;
use tokio::time::MissedTickBehavior;
use tokio_util::sync::CancellationToken;

use self::batch::Batch;
use self::fan_out::{Hands, Shard};
use self::invoices::Timers;
use self::operations::Operations;
use self::shared::{Ended, Outcome, Shared};
use self::topics::{Starting, Topics};
use crate::auth::{BotOwners, Identity};
use crate::bus::{Bus, Inbox, Message};
use crate::event::{Event, InvoiceState, InvoiceUpdate, StatusType, WebhookId};
use crate::metrics::{Held, Metrics, TopicLabel};
use crate::redis_link::Unavailable;
use crate::retained::{Retained, RetainedConfig};
use crate::topic::{AccountId, PaymentHash, Topic};

/// `[hub]`
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HubConfig {
    /// How long a topic without listeners stays watched.
    #[serde(with = "humantime_serde")]
    pub linger: Duration,
    /// Topics that may be listened to at a time.
    pub topics: usize,
}

/// What the hub remembers of what was told.
#[derive(Clone, Copy, Debug)]
pub struct Remembers {
    /// How long a price is told as the last one.
    pub prices_for: Duration,
    /// Of the webhooks of one account.
    pub webhooks: RecentLimits,
}

impl Remembers {
    /// As much as is retained for all nodes.
    pub fn of(config: &RetainedConfig) -> Self {
        Remembers {
            prices_for: config.prices_for,
            webhooks: RecentLimits {
                events: config.webhooks,
                bytes: config.webhooks_bytes,
            },
        }
    }
}

/// Hands events to those who may hear them.
pub struct Hub {
    bus: Bus,
    retained: Retained,
    bots: Arc<BotOwners>,
    config: HubConfig,
    metrics: Arc<Metrics>,
    operations: Operations,
    topics: Topics,
    timers: Timers,
    local: mpsc::Sender<Local>,
    /// Until the hub runs.
    local_inbox: Mutex<Option<mpsc::Receiver<Local>>>,
}

/// Why an operation was not started.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotStarted {
    /// An identity asked for a topic that is not its to hear.
    #[error("not allowed to hear this topic")]
    Forbidden,
    /// This node listens to as many topics as it may.
    #[error("Too many topics are listened to here, try again later")]
    TooManyTopics,
}

/// A subscription that is being heard. Dropping it leaves the operation.
pub struct Membership {
    hub: Weak<Hub>,
    shared: Arc<Shared>,
    /// `None` if nothing follows on what it was told when it joined.
    shard: Option<Arc<Shard>>,
    outbox: Arc<Outbox>,
    subscription: u64,
    _counted: Held,
}

/// What this node tells itself, in order with what the bus tells.
enum Local {
    /// An event that did not come from the bus, but from the store.
    Event(Topic, Event),
    /// The same, to be remembered only: everybody is told the present state next.
    Remember(Topic, Event),
    /// The terms of an invoice that are over at this time.
    Expired(PaymentHash, SystemTime),
    /// Webhooks of an account that were kept: those that were not told are to be told now.
    Webhooks(AccountId, Vec<Event>),
    /// Tell everybody what there is to tell after a gap, but those who listen to what is recalled.
    TellPresent,
    /// Tell everybody who listens to an invoice the present state.
    TellInvoice(PaymentHash),
}

/// Messages that this node may have under way to itself.
const LOCAL_MESSAGES: usize = 1024;
/// Of what is wrong with a body, in the log: it may quote the body.
const CAUSE_BYTES: usize = 200;
/// How often topics that linger are looked at.
const SWEEP: Duration = Duration::from_millis(250);

impl Hub {
    pub fn new(
        bus: Bus,
        retained: Retained,
        bots: Arc<BotOwners>,
        config: HubConfig,
        remembers: Remembers,
        metrics: Arc<Metrics>,
    ) -> Arc<Self> {
        let (local, local_inbox) = mpsc::channel(LOCAL_MESSAGES);
        Arc::new(Hub {
            bus,
            retained,
            bots,
            topics: Topics::new(remembers, config.topics, metrics.clone()),
            config,
            metrics,
            operations: Operations::default(),
            timers: Timers::default(),
            local,
            local_inbox: Mutex::new(Some(local_inbox)),
        })
    }

    /// Watches these topics for good, and knows what was kept of them.
    pub async fn pin(self: Arc<Self>, topics: Vec<Topic>) {
        for topic in &topics {
            self.topics.pin(topic);
        }
        // All at once: a Redis may be far away. If it is gone the topics are watched when it is back.
        futures_util::future::join_all(topics.iter().map(|topic| self.bus.watch(topic))).await;
        self.recall_prices(Local::Event).await;
    }

    /// Moves events from the bus to the operations until the bus ends or `cancel` is cancelled.
    pub async fn run(self: Arc<Self>, mut inbox: Inbox, cancel: CancellationToken) {
        let mut local = self.local_inbox().take().expect("a hub runs once");
        let mut sweep = tokio::time::interval(SWEEP);
        sweep.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut batch = Batch::default();
        let mut hands = Hands::new(self.metrics.clone());
        let mut losses = self.bots.losses();
        loop {
            // The bus comes last: it can always be ready, the others cannot.
            tokio::select! {
                biased;
                () = cancel.cancelled() => return,
                _ = sweep.tick() => self.release_idle_topics(),
                Ok(()) = losses.changed() => self.end_lost_bots(&mut hands).await,
                Some(message) = local.recv() => self.on_local(&mut batch, message),
                message = inbox.next() => {
                    let Some(message) = message else { return };
                    self.on_message(&mut batch, message);
                    // What came with it is told with it.
                    while batch.has_room() && let Some(message) = inbox.try_next() {
                        self.on_message(&mut batch, message);
                    }
                }
            }
            for (shared, events) in batch.drain() {
                self.carry_out(&shared, shared.tell(&events), &mut hands)
                    .await;
            }
            for shared in batch.drain_stale() {
                self.carry_out(&shared, shared.tell_snapshot(), &mut hands)
                    .await;
            }
        }
    }

    /// Ends what those hear who have lost a bot. That is rare, and so all operations are looked at.
    async fn end_lost_bots(&self, hands: &mut Hands) {
        let is_of_bot = |topic: &Topic| matches!(topic, Topic::Bot(_));
        for shared in self.operations.all() {
            if shared.topics.iter().any(is_of_bot) {
                self.carry_out(&shared, shared.end_if_lost(), hands).await;
            }
        }
    }

    /// Takes an operation away that has ended, and delivers what it still says.
    async fn carry_out(&self, shared: &Arc<Shared>, outcome: Outcome, hands: &mut Hands) {
        if outcome.ended {
            self.remove(shared);
        }
        if let Some(dispatch) = outcome.dispatch {
            hands.deliver(dispatch).await;
        }
    }

    /// Joins the running operation of this key; `None` if there is none.
    ///
    /// The outbox first gets the snapshot, then every live event.
    pub fn join(self: &Arc<Self>, key: &OperationKey, asker: Asker<'_>) -> Option<Membership> {
        let running = self.operations.get(key)?;
        self.try_join(running, asker, false).ok()
    }

    /// Starts an operation and joins it; or the one that another connection has started meanwhile.
    ///
    /// Whoever it runs as must be allowed to hear all of its topics.
    pub async fn start(
        self: &Arc<Self>,
        key: OperationKey,
        plan: Plan,
        asker: Asker<'_>,
    ) -> Result<Membership, NotStarted> {
        let identity = key.scope.runs_as();
        let mut topics = plan.topics.iter();
        if !topics.all(|topic| self.may_read(&identity, topic)) {
            return Err(NotStarted::Forbidden);
        }
        let _starting = self.prepare(&plan.topics, plan.invoice.as_ref()).await?;
        let shared = Shared::new(key, plan, self.metrics.clone());
        loop {
            let running = self
                .operations
                .get_or_insert(&shared, || self.topics.listen(&shared));
            // One that has ended since is out of the map now, and ours takes its place. Ours cannot
            // end before we have joined it.
            let is_starter = Arc::ptr_eq(&running, &shared);
            if let Ok(membership) = self.try_join(running, asker, is_starter) {
                return Ok(membership);
            }
        }
    }

    /// The last event told on a topic in a slot; `None` if there is none, or it is too old to tell.
    pub fn last(&self, topic: &Topic, slot: usize) -> Option<Arc<Event>> {
        self.topics.last(topic, slot).map(|(_, event)| event)
    }

    /// The webhooks of an account behind this one, as far as they are remembered.
    pub fn webhooks_since(&self, owner: AccountId, after: WebhookId) -> Snapshot {
        let missed = self.topics.since(&Topic::Webhook(owner), after);
        let replays = &self.metrics.webhook_replays;
        replays.inc_by(missed.events.len() as u64);
        missed
    }

    /// The snapshot that a topic's retained events make.
    pub fn snapshot_of(&self, topic: &Topic) -> Snapshot {
        self.topics.snapshot_of(topic)
    }

    /// What was published of an invoice, as far as this node or the store knows. An error if the store
    /// would have to be asked, and cannot.
    pub async fn invoice(&self, hash: &PaymentHash) -> Result<Option<InvoiceState>, Unavailable> {
        self.retained.invoice(hash).await
    }

    /// The request of an invoice that this node has heard of.
    pub fn known_request(&self, hash: &PaymentHash) -> Option<String> {
        self.retained.known_invoice(hash)?.payment_request
    }

    /// Whether somebody may hear a topic now.
    pub fn may_read(&self, identity: &Identity, topic: &Topic) -> bool {
        identity.may_read(topic, &self.bots)
    }

    /// Publishes a body on a topic.
    pub async fn publish(&self, topic: &Topic, body: Bytes) -> Result<(), crate::bus::Away> {
        self.bus.publish(topic, body).await
    }

    /// Whether what is published now would be heard.
    pub fn is_up(&self) -> bool {
        self.bus.is_up()
    }

    fn try_join(
        self: &Arc<Self>,
        shared: Arc<Shared>,
        asker: Asker<'_>,
        is_starter: bool,
    ) -> Result<Membership, Ended> {
        let shard = match shared.join(asker, is_starter) {
            Ok(shard) => shard,
            Err(ended) => {
                self.remove(&shared);
                return Err(ended);
            }
        };
        Ok(Membership {
            hub: Arc::downgrade(self),
            shared,
            shard,
            outbox: asker.outbox.clone(),
            subscription: asker.envelope.subscription,
            _counted: Held::new(&self.metrics.subscriptions),
        })
    }

    /// Watches all that an operation needs, and knows the present state of it.
    async fn prepare(
        self: &Arc<Self>,
        topics: &[Topic],
        invoice: Option<&InvoiceTerms>,
    ) -> Result<SmallVec<[Starting<'_>; 2]>, NotStarted> {
        let mut starting = SmallVec::new();
        for topic in topics {
            let new = self.topics.starting(topic);
            starting.push(new.ok_or(NotStarted::TooManyTopics)?);
            // Listen first, read the state afterwards: nothing falls between. While the bus is away
            // the topic is wanted, and everybody gets a snapshot when it is back.
            let _ = self.bus.watch(topic).await;
            match topic {
                Topic::Invoice(hash) => {
                    self.recall_invoice(hash).await;
                }
                Topic::Webhook(owner) if !self.topics.is_recalled(topic) => {
                    self.recall_webhooks(*owner).await;
                }
                _ => {}
            }
        }
        if let Some(terms) = invoice {
            self.watch_expiry(terms);
        }
        Ok(starting)
    }

    /// Takes an operation that has ended out of the maps.
    fn remove(&self, shared: &Arc<Shared>) {
        self.operations.remove(shared, || self.topics.leave(shared));
    }

    fn release_idle_topics(&self) {
        self.topics.release_idle(self.config.linger, |topic| {
            self.bus.release(topic);
            if let Topic::Invoice(hash) = topic {
                self.timers.stop(hash);
            }
        });
    }

    fn on_message(self: &Arc<Self>, batch: &mut Batch, message: Message) {
        match message {
            Message::Payload { topic, body } => self.on_payload(batch, topic, &body),
            // Nothing can be done before it is back, and that it is back is always said.
            Message::Lost => {}
            Message::Restored => {
                self.metrics.bus_gaps.inc();
                let owners = self.topics.hold_webhooks();
                tokio::spawn(self.clone().after_gap(owners));
            }
        }
    }

    fn on_payload(self: &Arc<Self>, batch: &mut Batch, topic: Topic, body: &Bytes) {
        let label = TopicLabel {
            topic: topic.kind(),
        };
        self.metrics.events.get_or_create(&label).inc();
        let event = match Event::decode(&topic, body) {
            Ok(event) => event,
            Err(malformed) => {
                self.metrics.malformed.get_or_create(&label).inc();
                let cause = malformed.cause.to_string();
                let cause = &cause[..cause.floor_char_boundary(CAUSE_BYTES)];
                tracing::warn!(topic = topic.kind(), "event dropped: {cause}");
                return;
            }
        };
        match &event {
            Event::Invoice(InvoiceUpdate::State(state)) => self.retained.keep_invoice(state),
            Event::Price(_) | Event::UserPrice(_) => {
                if let Some(slot) = event.slot() {
                    self.retained.keep_price(&topic, slot, body);
                }
            }
            Event::Rewards(update) => {
                if matches!(update.status_type, StatusType::Unknown(_)) {
                    self.metrics.rewards_unknown_types.inc();
                }
            }
            // Mints are not watched always, and webhooks were kept before they were published.
            Event::MintPrice(_) | Event::Webhook(_) => {}
            Event::Invoice(_)
            | Event::Account(_)
            | Event::Dataset(_)
            | Event::Bot(_)
            | Event::Wallet(_) => {}
        }
        self.tell(batch, topic, event);
    }

    fn on_local(self: &Arc<Self>, batch: &mut Batch, message: Local) {
        match message {
            Local::Event(topic, event) => self.tell(batch, topic, event),
            Local::Remember(topic, event) => {
                let number = batch.next_number();
                self.topics.tell(&topic, number, &Arc::new(event));
            }
            Local::Expired(hash, at) => {
                self.on_expired(batch, hash, at);
            }
            Local::Webhooks(owner, kept) => {
                let topic = Topic::Webhook(owner);
                for webhook in self.topics.release_webhooks(&topic, kept) {
                    self.tell(batch, topic.clone(), webhook);
                }
            }
            Local::TellPresent => self.tell_after_gap(batch),
            Local::TellInvoice(hash) => {
                batch.add_stale(self.topics.listeners(&Topic::Invoice(hash)));
            }
        }
    }

    /// Numbers an event, retains it if it is a state, and hands it to all operations on its topic.
    fn tell(self: &Arc<Self>, batch: &mut Batch, topic: Topic, event: Event) {
        let Some(event) = self.invoice_news(&topic, event) else {
            return;
        };
        let number = batch.next_number();
        let event = Arc::new(event);
        let running = self.topics.tell(&topic, number, &event);
        let is_pending = self.on_pending(&event);
        for shared in running {
            // Whoever asked with terms was told that it is pending, or over, by its snapshot.
            if is_pending && shared.invoice.is_some() {
                continue;
            }
            batch.add(shared, number, &event);
        }
    }

    fn local_inbox(&self) -> MutexGuard<'_, Option<mpsc::Receiver<Local>>> {
        self.local_inbox
            .lock()
            .expect("nothing panics while it holds it")
    }
}

impl Drop for Membership {
    fn drop(&mut self) {
        let shard = self.shard.as_deref();
        let was_last = self.shared.leave(shard, &self.outbox, self.subscription);
        self.outbox.forget(self.subscription);
        if was_last && let Some(hub) = self.hub.upgrade() {
            hub.remove(&self.shared);
        }
    }
}
