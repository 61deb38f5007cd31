//! One payload to many: who is told, in what order, and by how many hands.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};

use smallvec::SmallVec;
use tokio::sync::{Notify, mpsc};
use tokio::task::JoinSet;

use super::outbox::{Envelope, Outbox, Payload, Spelled};
use crate::metrics::Metrics;

/// One subscription that hears a shared operation.
#[derive(Debug)]
pub(super) struct Member {
    pub(super) outbox: Arc<Outbox>,
    pub(super) envelope: Envelope,
    /// Retained events numbered up to here were in its snapshot.
    pub(super) up_to: u64,
    /// What was sent off before it joined is not for it.
    pub(super) since: u64,
}

/// Some of the members of an operation, contiguous in memory: what is delivered walks over all of them
/// under one lock, which is given back between two shards.
#[derive(Debug, Default)]
pub(super) struct Shard(Mutex<Vec<Member>>);

/// What is told to all members of an operation.
#[derive(Debug)]
pub(super) struct Delivery {
    /// Its place among what this operation sends off.
    pub(super) sequence: u64,
    pub(super) told: SmallVec<[Told; 1]>,
    /// The present state, up to this number: told to everybody, whatever they knew.
    pub(super) snapshot: Option<u64>,
    /// Whether nothing can follow.
    pub(super) completes: bool,
}

/// An event, rendered.
#[derive(Debug)]
pub(super) struct Told {
    pub(super) payload: Payload,
    /// Its number, if it is a state: who has had it in a snapshot is not told again.
    pub(super) retained: Option<u64>,
}

/// A delivery, and to whom.
#[derive(Debug)]
pub(super) struct Dispatch {
    pub(super) delivery: Delivery,
    pub(super) shards: SmallVec<[Arc<Shard>; 1]>,
}

/// A dispatch that several hands carry out: each takes the next shard that nobody has taken.
#[derive(Debug)]
struct Carried {
    dispatch: Dispatch,
    /// The first shard that nobody has taken.
    next: AtomicUsize,
    /// Shards that were not told yet.
    remaining: AtomicUsize,
    all_told: Notify,
}

/// Those who deliver: the hub's own task, and for large operations one more for each further core.
#[derive(Debug)]
pub(super) struct Hands {
    metrics: Arc<Metrics>,
    own: Scratch,
    others: Vec<mpsc::Sender<Arc<Carried>>>,
    _tasks: JoinSet<()>,
}

/// What a hand keeps from one delivery to the next.
#[derive(Debug, Default)]
struct Scratch {
    spelled: Spelled,
    payloads: Vec<Payload>,
    /// Delivered since others were let run.
    delivered: usize,
}

/// Members of a shard at most. Delivering to so many takes under a millisecond.
pub(super) const SHARD_MEMBERS: usize = 128;
/// Members whose outboxes are fetched from memory together.
const NEIGHBOURS: usize = 16;
/// Deliveries after which a hand lets others run: who connects, who pays.
const BREATH: usize = 256;
/// Dispatches that a hand may be late for. They are carried out without it.
const MISSED: usize = 4;

impl Shard {
    /// Takes a member in, if there is room. Asked under the lock of its operation.
    pub(super) fn add(&self, member: Member) -> Result<(), Member> {
        let mut members = self.members();
        if members.len() >= SHARD_MEMBERS {
            return Err(member);
        }
        if members.is_empty() {
            // Most operations of one account have one member for good.
            members.reserve_exact(1);
        }
        members.push(member);
        Ok(())
    }

    /// Takes a member out. `false`: it is not there, or not any more.
    pub(super) fn remove(&self, outbox: &Arc<Outbox>, subscription: u64) -> bool {
        let mut members = self.members();
        let place = members.iter().position(|member| {
            Arc::ptr_eq(&member.outbox, outbox) && member.envelope.subscription == subscription
        });
        let Some(place) = place else {
            return false;
        };
        members.swap_remove(place);
        if members.is_empty() {
            *members = Vec::new();
        }
        true
    }

    /// Has all members know that events were lost.
    pub(super) fn miss(&self) {
        for member in &*self.members() {
            member.outbox.miss();
        }
    }

    /// Tells all members, and how many payloads that took.
    fn deliver(&self, delivery: &Delivery, scratch: &mut Scratch) -> usize {
        let Scratch {
            spelled, payloads, ..
        } = scratch;
        payloads.clear();
        payloads.extend(delivery.told.iter().map(|told| told.payload.clone()));
        spelled.clear();
        let mut delivered = 0;
        let mut members = self.members();
        for neighbours in members.chunks_mut(NEIGHBOURS) {
            // Each outbox is somewhere else in memory, and none is in the cache: to look at all of them first
            // has the processor wait for them together.
            for member in &*neighbours {
                std::hint::black_box(member.outbox.touch());
            }
            let behind = neighbours.iter_mut();
            for member in behind.filter(|member| member.since < delivery.sequence) {
                delivered += member.tell(delivery, payloads, spelled);
            }
        }
        if delivery.completes {
            for member in std::mem::take(&mut *members) {
                member.outbox.complete(&member.envelope);
            }
        }
        delivered
    }

    fn members(&self) -> MutexGuard<'_, Vec<Member>> {
        self.0
            .lock()
            .expect("nothing panics while it holds a shard")
    }
}

impl Member {
    /// Tells it what it does not know yet: all `payloads` of the delivery, or some. Says how many.
    fn tell(&mut self, delivery: &Delivery, payloads: &[Payload], spelled: &mut Spelled) -> usize {
        let known = |told: &Told| told.retained.is_some_and(|number| number <= self.up_to);
        if delivery.snapshot.is_none() && delivery.told.iter().any(known) {
            let news = delivery.told.iter().filter(|told| !known(told));
            let news: SmallVec<[Payload; 4]> = news.map(|told| told.payload.clone()).collect();
            if !news.is_empty() {
                // What is spelled is what the others are told.
                self.outbox
                    .deliver(&self.envelope, &news, &mut Spelled::default());
            }
            return news.len();
        }
        if let Some(up_to) = delivery.snapshot {
            self.up_to = up_to;
        }
        self.outbox.deliver(&self.envelope, payloads, spelled);
        payloads.len()
    }
}

impl Hands {
    /// One hand for each core that the runtime uses.
    pub(super) fn new(metrics: Arc<Metrics>) -> Self {
        let cores = tokio::runtime::Handle::current().metrics().num_workers();
        let mut tasks = JoinSet::new();
        let others = (1..cores).map(|_| {
            let (sender, receiver) = mpsc::channel(MISSED);
            tasks.spawn(work(receiver, metrics.clone()));
            sender
        });
        Hands {
            others: others.collect(),
            metrics,
            own: Scratch::default(),
            _tasks: tasks,
        }
    }

    /// Delivers. When this returns, all members were told.
    pub(super) async fn deliver(&mut self, dispatch: Dispatch) {
        let helpers = self
            .others
            .len()
            .min(dispatch.shards.len().saturating_sub(1));
        if helpers == 0 {
            for shard in &dispatch.shards {
                self.own.tell(shard, &dispatch.delivery, &self.metrics);
                self.own.breathe().await;
            }
            return;
        }
        let carried = Arc::new(Carried {
            next: AtomicUsize::new(0),
            remaining: AtomicUsize::new(dispatch.shards.len()),
            all_told: Notify::new(),
            dispatch,
        });
        for other in &self.others[..helpers] {
            // One that is late for so many is busy, or gone with the runtime.
            let _ = other.try_send(carried.clone());
        }
        // The task that was woken last has the slot of this thread from which no other takes it: it would
        // begin when we rest. This one pushes it out, to where an idle thread finds it.
        tokio::spawn(async {});
        carried.carry(&mut self.own, &self.metrics).await;
        while carried.remaining.load(Ordering::Acquire) > 0 {
            carried.all_told.notified().await;
        }
    }
}

async fn work(mut dispatches: mpsc::Receiver<Arc<Carried>>, metrics: Arc<Metrics>) {
    let mut scratch = Scratch::default();
    while let Some(carried) = dispatches.recv().await {
        carried.carry(&mut scratch, &metrics).await;
    }
}

impl Carried {
    /// Tells shards until all are taken.
    async fn carry(&self, scratch: &mut Scratch, metrics: &Metrics) {
        let Dispatch { delivery, shards } = &self.dispatch;
        while let Some(shard) = shards.get(self.next.fetch_add(1, Ordering::Relaxed)) {
            let taken = Taken(self);
            scratch.tell(shard, delivery, metrics);
            drop(taken);
            scratch.breathe().await;
        }
    }
}

/// A shard that somebody has taken. Counted when this is dropped, so that the hub does not wait for ever
/// for a hand that has panicked.
struct Taken<'a>(&'a Carried);

impl Drop for Taken<'_> {
    fn drop(&mut self) {
        if self.0.remaining.fetch_sub(1, Ordering::Release) == 1 {
            self.0.all_told.notify_one();
        }
    }
}

impl Scratch {
    fn tell(&mut self, shard: &Shard, delivery: &Delivery, metrics: &Metrics) {
        let delivered = shard.deliver(delivery, self);
        metrics.deliveries.inc_by(delivered as u64);
        self.delivered += delivered;
    }

    /// Lets others run, if there was much to do.
    async fn breathe(&mut self) {
        if self.delivered >= BREATH {
            self.delivered = 0;
            tokio::task::yield_now().await;
        }
    }
}
