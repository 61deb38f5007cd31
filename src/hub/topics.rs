//! The topics that somebody listens to, or did a moment ago: who listens, and what was last told.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::time::Instant;

use super::Remembers;
use super::listeners::Listeners;
use super::recent::Recent;
use super::shared::{Shared, Snapshot};
use crate::event::{Event, InvoiceUpdate, WebhookId};
use crate::metrics::{Held, Metrics};
use crate::topic::{AccountId, Topic};

/// All topics that are known here.
pub(super) struct Topics {
    by_topic: Mutex<HashMap<Topic, Listened>>,
    metrics: Arc<Metrics>,
    remembers: Remembers,
    /// Topics that may be known at a time.
    limit: usize,
}

/// One topic.
struct Listened {
    listeners: Listeners,
    /// The last state told, by [`Event::slot`].
    told: [Option<Box<Told>>; 2],
    /// Of webhooks alone.
    recent: Option<Box<Recent>>,
    /// Webhooks that came while those that were missed before them are asked for: told behind those.
    held: Option<Vec<Event>>,
    /// Whether the store has said what it knows, since the bus was last away.
    is_recalled: bool,
    /// Watched whether anybody listens or not.
    is_pinned: bool,
    /// Operations that are being put to run: the topic stays watched for them.
    starting: usize,
    /// Since when nobody listens.
    idle_since: Option<Instant>,
    _counted: Held,
}

/// The last event of a slot.
struct Told {
    number: u64,
    at: Instant,
    event: Arc<Event>,
}

/// Knows a topic, and keeps it watched, while an operation on it is being put to run: events are
/// retained before anyone has joined, and the linger cannot end in between.
pub(super) struct Starting<'a> {
    topics: &'a Topics,
    topic: Topic,
}

impl Topics {
    pub(super) fn new(remembers: Remembers, limit: usize, metrics: Arc<Metrics>) -> Self {
        Topics {
            by_topic: Mutex::default(),
            metrics,
            remembers,
            limit,
        }
    }

    /// Knows a topic for good.
    pub(super) fn pin(&self, topic: &Topic) {
        self.locked(|topics| self.entry(topics, topic).is_pinned = true);
    }

    /// Knows a topic at least while this is held; `None` if there are too many.
    pub(super) fn starting(&self, topic: &Topic) -> Option<Starting<'_>> {
        self.locked(|topics| {
            if topics.len() >= self.limit && !topics.contains_key(topic) {
                return None;
            }
            self.entry(topics, topic).starting += 1;
            Some(Starting {
                topics: self,
                topic: topic.clone(),
            })
        })
    }

    /// An operation listens to its topics from now on.
    pub(super) fn listen(&self, shared: &Arc<Shared>) {
        self.locked(|topics| {
            for topic in &shared.topics {
                let listened = self.entry(topics, topic);
                listened.idle_since = None;
                listened.listeners.add(topic, shared);
            }
        });
    }

    /// An operation listens no longer.
    pub(super) fn leave(&self, shared: &Arc<Shared>) {
        self.locked(|topics| {
            for topic in &shared.topics {
                if let Some(listened) = topics.get_mut(topic) {
                    listened.listeners.remove(topic, shared);
                    listened.note_idle();
                }
            }
        });
    }

    /// Remembers an event that is a state, and gives those who are to hear it. A webhook that was told
    /// before is not to be heard again.
    pub(super) fn tell(&self, topic: &Topic, number: u64, event: &Arc<Event>) -> Vec<Arc<Shared>> {
        self.locked(|topics| {
            let Some(listened) = topics.get_mut(topic) else {
                return Vec::new();
            };
            if let Some(slot) = event.slot() {
                listened.told[slot] = Some(Box::new(Told::new(number, event.clone())));
            }
            if let Event::Webhook(_) = **event {
                if let Some(held) = &mut listened.held {
                    // What is over was kept, too, and is told with what was missed.
                    if held.len() < self.remembers.webhooks.events {
                        held.push((**event).clone());
                    }
                    return Vec::new();
                }
                let recent = listened.recent.get_or_insert_default();
                if !recent.remember(number, event, self.remembers.webhooks) {
                    return Vec::new();
                }
            }
            listened.listeners.of(event)
        })
    }

    /// Remembers a state that was kept elsewhere, `age` ago, in the place of a lesser one. `true` if
    /// it is news to somebody who listens, and so has to be told.
    pub(super) fn recall(&self, topic: &Topic, event: &Event, age: Duration) -> bool {
        self.locked(|topics| {
            let (Some(slot), Some(listened)) = (event.slot(), topics.get_mut(topic)) else {
                return false;
            };
            listened.is_recalled = true;
            let told = &mut listened.told[slot];
            if told
                .as_ref()
                .is_some_and(|told| !is_further(event, &told.event))
            {
                return false;
            }
            if !listened.listeners.is_empty() {
                return true;
            }
            // Nobody has been told. Numbered 0, or as what it replaces: live events are newer.
            let number = told.as_ref().map_or(0, |told| told.number);
            let now = Instant::now();
            let at = now.checked_sub(age).unwrap_or(now);
            let event = Arc::new(event.clone());
            *told = Some(Box::new(Told { number, at, event }));
            false
        })
    }

    /// Webhooks may have been missed: what comes now is held back until it is known which. Gives the accounts
    /// whose they are.
    pub(super) fn hold_webhooks(&self) -> Vec<AccountId> {
        self.locked(|topics| {
            let mut owners = Vec::new();
            for (topic, listened) in topics {
                if let Topic::Webhook(owner) = topic {
                    listened.held.get_or_insert_default();
                    listened.is_recalled = false;
                    owners.push(*owner);
                }
            }
            owners
        })
    }

    /// Remembers webhooks that were kept elsewhere. Where somebody listens, or waits for them, they are given
    /// back: to be told.
    pub(super) fn recall_webhooks(&self, topic: &Topic, kept: Vec<Event>) -> Option<Vec<Event>> {
        self.locked(|topics| {
            let listened = topics.get_mut(topic)?;
            listened.is_recalled = true;
            if listened.held.is_some() || !listened.listeners.is_empty() {
                return Some(kept);
            }
            let recent = listened.recent.get_or_insert_default();
            for event in kept {
                recent.remember(0, &Arc::new(event), self.remembers.webhooks);
            }
            None
        })
    }

    /// What was kept, and what was held back meanwhile, in the order of their ids. Nothing is held back any more.
    pub(super) fn release_webhooks(&self, topic: &Topic, mut kept: Vec<Event>) -> Vec<Event> {
        let held = self.locked(|topics| topics.get_mut(topic)?.held.take());
        kept.extend(held.into_iter().flatten());
        // Those that come twice are told once.
        kept.sort_by_key(|event| match event {
            Event::Webhook(webhook) => Some(webhook.id),
            _ => None,
        });
        kept
    }

    /// The webhooks of a topic behind this one, as far as they are remembered.
    pub(super) fn since(&self, topic: &Topic, after: WebhookId) -> Snapshot {
        self.locked(|topics| {
            let recent = topics
                .get(topic)
                .and_then(|listened| listened.recent.as_ref());
            recent.map_or_else(Snapshot::default, |recent| recent.since(after))
        })
    }

    /// Notes whether the store has said what it knows of a topic.
    pub(super) fn note_recalled(&self, topic: &Topic, is_recalled: bool) {
        self.locked(|topics| {
            if let Some(listened) = topics.get_mut(topic) {
                listened.is_recalled = is_recalled;
            }
        });
    }

    /// Whether the store has said what it knows of a topic.
    pub(super) fn is_recalled(&self, topic: &Topic) -> bool {
        self.locked(|topics| {
            topics
                .get(topic)
                .is_some_and(|listened| listened.is_recalled)
        })
    }

    /// Who listens to a topic now.
    pub(super) fn listeners(&self, topic: &Topic) -> Vec<Arc<Shared>> {
        self.locked(|topics| {
            topics
                .get(topic)
                .map_or_else(Vec::new, |listened| listened.listeners.all())
        })
    }

    /// The last event told on a topic in a slot, and its number; `None` if there is none, or it is
    /// too old to tell.
    pub(super) fn last(&self, topic: &Topic, slot: usize) -> Option<(u64, Arc<Event>)> {
        self.locked(|topics| {
            let told = topics.get(topic)?.told[slot].as_ref()?;
            self.is_fresh(topic, told)
                .then(|| (told.number, told.event.clone()))
        })
    }

    /// The snapshot that all slots of a topic make.
    pub(super) fn snapshot_of(&self, topic: &Topic) -> Snapshot {
        self.locked(|topics| {
            let mut snapshot = Snapshot::default();
            let told = topics.get(topic).map(|listened| &listened.told);
            for told in told.into_iter().flatten().flatten() {
                if self.is_fresh(topic, told) {
                    snapshot.up_to = snapshot.up_to.max(told.number);
                    snapshot.events.push(told.event.clone());
                }
            }
            snapshot
        })
    }

    /// The topics that somebody listens to now.
    pub(super) fn heard(&self) -> Vec<Topic> {
        self.locked(|topics| {
            let heard = topics
                .iter()
                .filter(|(_, listened)| !listened.listeners.is_empty());
            heard.map(|(topic, _)| topic.clone()).collect()
        })
    }

    /// Forgets the topics that nobody has listened to for `linger`. Each is released under the lock:
    /// whoever wants it back asks the bus after this, and gets a timer of its own.
    pub(super) fn release_idle(&self, linger: Duration, release: impl Fn(&Topic)) {
        self.locked(|topics| {
            topics.retain(|topic, listened| {
                let is_idle = listened.is_idle(linger);
                if is_idle {
                    release(topic);
                }
                !is_idle
            });
        });
    }

    fn is_fresh(&self, topic: &Topic, told: &Told) -> bool {
        match topic {
            Topic::Price(_) | Topic::UserPrice(_) | Topic::MintPrice(_) => {
                told.at.elapsed() < self.remembers.prices_for
            }
            Topic::Account(_)
            | Topic::Invoice(_)
            | Topic::Rewards(_)
            | Topic::Dataset(_)
            | Topic::Bot(_)
            | Topic::Wallet(_)
            | Topic::Webhook(_) => true,
        }
    }

    fn entry<'a>(
        &self,
        topics: &'a mut HashMap<Topic, Listened>,
        topic: &Topic,
    ) -> &'a mut Listened {
        topics.entry(topic.clone()).or_insert_with(|| Listened {
            listeners: Listeners::default(),
            told: [None, None],
            recent: None,
            held: None,
            is_recalled: false,
            is_pinned: false,
            starting: 0,
            idle_since: None,
            _counted: Held::new(&self.metrics.topics),
        })
    }

    fn locked<T>(&self, f: impl FnOnce(&mut HashMap<Topic, Listened>) -> T) -> T {
        let topics = self.by_topic.lock();
        f(&mut topics.expect("nothing panics while it holds the topics"))
    }
}

impl Listened {
    fn note_idle(&mut self) {
        if self.listeners.is_empty() {
            self.idle_since.get_or_insert_with(Instant::now);
        }
    }

    fn is_idle(&self, linger: Duration) -> bool {
        let is_over = |since: Instant| since.elapsed() >= linger;
        !self.is_pinned && self.starting == 0 && self.idle_since.is_some_and(is_over)
    }
}

impl Told {
    fn new(number: u64, event: Arc<Event>) -> Self {
        let at = Instant::now();
        Told { number, at, event }
    }
}

/// Whether what was kept elsewhere says more than what was told here.
fn is_further(kept: &Event, told: &Event) -> bool {
    match (kept, told) {
        (
            Event::Invoice(InvoiceUpdate::State(kept)),
            Event::Invoice(InvoiceUpdate::State(told)),
        ) => kept.status > told.status,
        (kept, told) => kept.fetched_at() > told.fetched_at(),
    }
}

impl Drop for Starting<'_> {
    fn drop(&mut self) {
        self.topics.locked(|topics| {
            if let Some(listened) = topics.get_mut(&self.topic) {
                listened.starting -= 1;
                listened.note_idle();
            }
        });
    }
}
