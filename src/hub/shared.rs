//! One running rendering of one question, for all who asked it.

use std::sync::atomic::AtomicUsize;
use std::sync::{Arc, Mutex, MutexGuard};

use smallvec::SmallVec;

use super::InvoiceTerms;
use super::fan_out::{Delivery, Dispatch, Member, Shard, Told};
use super::outbox::{Envelope, Outbox, Payload, Policy, Spelled};
use crate::auth::Identity;
use crate::event::{Event, WebhookId};
use crate::filter::Filter;
use crate::metrics::{Held, Metrics};
use crate::topic::Topic;

/// Who may share a rendering.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Scope {
    /// Everybody who asks the same. It runs as [`Identity::ANONYMOUS`], so that a mistake here could
    /// show nobody what is another's.
    Everybody,
    /// One identity's own.
    Only(Identity),
}

impl Scope {
    /// As whom a rendering of this scope runs.
    pub fn runs_as(&self) -> Identity {
        match self {
            Scope::Everybody => Identity::ANONYMOUS,
            Scope::Only(identity) => identity.clone(),
        }
    }
}

/// What tells one shared operation from another.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct OperationKey {
    /// Part of the key, so that a payload rendered for one scope reaches no other.
    pub scope: Scope,
    /// The SHA-256 of the whole question: for GraphQL of the document, the operation's name and the
    /// variables. Not the question itself: it may be long, and its answer may run for days.
    pub question: [u8; 32],
}

/// Turns an event into the payload that answers a question.
///
/// It does not panic: what fails ends its own operation, in words of the question's protocol.
pub trait Render: Send {
    fn render(&mut self, event: &Arc<Event>) -> Rendered;

    /// What is told as the last thing, if whoever it runs as may not hear it any more.
    fn end(&self) -> Option<String> {
        None
    }
}

/// A payload, and whether anything can follow it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rendered {
    pub payload: String,
    pub last: bool,
}

/// What a question turns out to need once it is understood.
pub struct Plan {
    /// The topics whose events are rendered,
    pub topics: SmallVec<[Topic; 2]>,
    /// and which of them.
    pub filter: Filter,
    /// What a new asker is told first.
    pub snapshot: SnapshotFn,
    pub renderer: Box<dyn Render>,
    /// The invoice whose expiry is to be told.
    pub invoice: Option<InvoiceTerms>,
}

/// Reads the present state, for an asker that has heard all up to this webhook, if it says so. It is called
/// under the lock of its operation and must not wait.
pub type SnapshotFn = Box<dyn Fn(Option<WebhookId>) -> Snapshot + Send>;

/// Who joins an operation.
#[derive(Clone, Copy)]
pub struct Asker<'a> {
    pub outbox: &'a Arc<Outbox>,
    pub envelope: &'a Envelope,
    /// What it is told before anything else, now that it has joined: framed as results are. Empty for
    /// protocols that say nothing then.
    pub welcome: &'a str,
    /// The last webhook that it has heard.
    pub after: Option<WebhookId>,
}

impl<'a> Asker<'a> {
    /// One that has heard nothing yet, and is told nothing but what it asked for.
    pub fn new(outbox: &'a Arc<Outbox>, envelope: &'a Envelope) -> Self {
        Asker {
            outbox,
            envelope,
            welcome: "",
            after: None,
        }
    }
}

/// The present state, as the events that a listener would have heard.
#[derive(Clone, Debug, Default)]
pub struct Snapshot {
    pub events: SmallVec<[Arc<Event>; 2]>,
    /// The number of the newest event in it: what is numbered up to here is not told again.
    pub up_to: u64,
}

/// One running shared operation.
///
/// Joining, the last leave, snapshots and what live events say are decided under its one lock. So a
/// new member's snapshot and the live events that follow have no gap and no overlap, and joining and
/// the last leave cannot miss each other. What was decided is delivered afterwards, under the locks of
/// its shards: a member that joins meanwhile knows what is not for it by its place in the sequence.
pub(super) struct Shared {
    pub(super) key: OperationKey,
    pub(super) topics: SmallVec<[Topic; 2]>,
    pub(super) filter: Filter,
    /// Whose expiry it is told.
    pub(super) invoice: Option<Box<InvoiceTerms>>,
    /// Where it stands among the operations on each of its topics: for [`super::topics`] alone.
    pub(super) places: SmallVec<[AtomicUsize; 2]>,
    metrics: Arc<Metrics>,
    running: Mutex<Running>,
}

struct Running {
    renderer: Box<dyn Render>,
    snapshot: SnapshotFn,
    shards: SmallVec<[Arc<Shard>; 1]>,
    /// The first of the shards that may have room.
    roomy: usize,
    /// Members in all shards.
    members: usize,
    /// Of the last thing that was sent off.
    sequence: u64,
    /// What was last told as a snapshot, where everybody is told the same.
    told: Option<Box<(Snapshot, Vec<Payload>)>>,
    /// Whoever started it has not joined yet, but is about to: it does not end before.
    is_new: bool,
    ended: bool,
    _counted: Held,
}

/// The operation has ended: whoever wanted to join starts another.
pub(super) struct Ended;

/// What becomes of an operation that was told something.
pub(super) struct Outcome {
    pub(super) dispatch: Option<Dispatch>,
    pub(super) ended: bool,
}

impl Shared {
    pub(super) fn new(key: OperationKey, plan: Plan, metrics: Arc<Metrics>) -> Arc<Self> {
        Arc::new(Shared {
            key,
            places: plan.topics.iter().map(|_| AtomicUsize::new(0)).collect(),
            topics: plan.topics,
            filter: plan.filter,
            invoice: plan.invoice.map(Box::new),
            running: Mutex::new(Running {
                renderer: plan.renderer,
                snapshot: plan.snapshot,
                shards: SmallVec::new(),
                roomy: 0,
                members: 0,
                sequence: 0,
                told: None,
                is_new: true,
                ended: false,
                _counted: Held::new(&metrics.operations),
            }),
            metrics,
        })
    }

    /// Adds a member and tells it the present state, before any live event. Gives the shard that it
    /// is in, or `None` if nothing follows.
    pub(super) fn join(
        &self,
        asker: Asker<'_>,
        is_starter: bool,
    ) -> Result<Option<Arc<Shard>>, Ended> {
        let Asker {
            outbox,
            envelope,
            welcome,
            after,
        } = asker;
        let mut running = self.running();
        if running.ended {
            return Err(Ended);
        }
        running.is_new &= !is_starter;
        if !welcome.is_empty() {
            outbox.tell(&[welcome.as_bytes()]);
        }
        let snapshot = (running.snapshot)(after);
        let up_to = snapshot.up_to;
        let (payloads, last) = running.render_snapshot(snapshot, self);
        if !payloads.is_empty() {
            outbox.deliver(envelope, &payloads, &mut Spelled::default());
            self.metrics.deliveries.inc_by(payloads.len() as u64);
        }
        if last {
            outbox.complete(envelope);
            running.end_if_empty();
            return Ok(None);
        }
        let member = Member {
            outbox: outbox.clone(),
            envelope: envelope.clone(),
            up_to,
            since: running.sequence,
        };
        Ok(Some(running.add(member)))
    }

    /// Removes a member, if it is in a shard. `true` says that none is left, and the operation has
    /// ended.
    pub(super) fn leave(
        &self,
        shard: Option<&Shard>,
        outbox: &Arc<Outbox>,
        subscription: u64,
    ) -> bool {
        // Ended or not: what is on its way to all must not reach one that has left.
        let left = shard.filter(|shard| shard.remove(outbox, subscription));
        let mut running = self.running();
        if let Some(shard) = left
            && !running.ended
        {
            running.members -= 1;
            let mut shards = running.shards.iter();
            let place = shards.position(|own| std::ptr::eq(&**own, shard));
            running.roomy = running.roomy.min(place.unwrap_or_default());
        }
        running.end_if_empty()
    }

    /// Renders live events, once for all members.
    pub(super) fn tell(&self, events: &[(u64, Arc<Event>)]) -> Outcome {
        let mut running = self.running();
        if running.ended || running.members == 0 {
            return Outcome {
                dispatch: None,
                ended: running.ended,
            };
        }
        let mut told = SmallVec::new();
        let mut last = false;
        for (number, event) in events {
            let rendered = running.render(event, &self.metrics);
            told.push(Told {
                payload: Payload::of(rendered.payload, event),
                retained: event.is_kept().then_some(*number),
            });
            last = rendered.last;
            if last {
                break;
            }
        }
        running.send_off(told, None, last)
    }

    /// Tells all members the present state anew, after events may have been missed.
    pub(super) fn tell_snapshot(&self) -> Outcome {
        let mut running = self.running();
        if running.ended {
            return Outcome {
                dispatch: None,
                ended: true,
            };
        }
        let snapshot = (running.snapshot)(None);
        let up_to = snapshot.up_to;
        let (payloads, last) = running.render_snapshot(snapshot, self);
        let told = payloads.into_iter().map(|payload| Told {
            payload,
            retained: None,
        });
        running.send_off(told.collect(), Some(up_to), last)
    }

    /// Ends it with its last words, if whoever it runs as may not hear it any more.
    pub(super) fn end_if_lost(&self) -> Outcome {
        let mut running = self.running();
        match running.renderer.end() {
            Some(words) if !running.ended => {
                let payload = Payload {
                    json: words.into(),
                    policy: Policy::Every,
                };
                let told = Told {
                    payload,
                    retained: None,
                };
                running.send_off([told].into_iter().collect(), None, true)
            }
            _ => Outcome {
                dispatch: None,
                ended: running.ended,
            },
        }
    }

    /// Has all members know that events were lost.
    pub(super) fn miss(&self) {
        for shard in &self.running().shards {
            shard.miss();
        }
    }

    /// Where it stands among the operations on one of its topics.
    pub(super) fn place(&self, topic: &Topic) -> Option<&AtomicUsize> {
        let at = self.topics.iter().position(|own| own == topic)?;
        Some(&self.places[at])
    }

    fn running(&self) -> MutexGuard<'_, Running> {
        self.running.lock().expect("rendering does not panic")
    }
}

impl Running {
    fn render(&mut self, event: &Arc<Event>, metrics: &Metrics) -> Rendered {
        metrics.renderings.inc();
        self.renderer.render(event)
    }

    /// Renders the present state, up to a result that is the last. What everybody is told alike is
    /// rendered once, for all who come before it changes.
    fn render_snapshot(&mut self, snapshot: Snapshot, of: &Shared) -> (Vec<Payload>, bool) {
        if let Some(told) = &self.told
            && told.0.events == snapshot.events
        {
            return (told.1.clone(), false);
        }
        let mut payloads = Vec::with_capacity(snapshot.events.len());
        for event in &snapshot.events {
            let rendered = self.render(event, &of.metrics);
            payloads.push(Payload::of(rendered.payload, event));
            if rendered.last {
                return (payloads, true);
            }
        }
        // What is one's own may depend on more than the event: on the account as it is now.
        if of.key.scope == Scope::Everybody && !snapshot.events.is_empty() {
            self.told = Some(Box::new((snapshot, payloads.clone())));
        }
        (payloads, false)
    }

    fn send_off(
        &mut self,
        told: SmallVec<[Told; 1]>,
        snapshot: Option<u64>,
        completes: bool,
    ) -> Outcome {
        self.sequence += 1;
        let delivery = Delivery {
            sequence: self.sequence,
            told,
            snapshot,
            completes,
        };
        let shards = if completes {
            self.ended = true;
            self.members = 0;
            std::mem::take(&mut self.shards)
        } else {
            self.shards.clone()
        };
        Outcome {
            dispatch: Some(Dispatch { delivery, shards }),
            ended: self.ended,
        }
    }

    fn add(&mut self, mut member: Member) -> Arc<Shard> {
        self.members += 1;
        while let Some(shard) = self.shards.get(self.roomy) {
            match shard.add(member) {
                Ok(()) => return shard.clone(),
                Err(refused) => member = refused,
            }
            self.roomy += 1;
        }
        let shard = Arc::<Shard>::default();
        shard.add(member).expect("a new one has room");
        self.shards.push(shard.clone());
        shard
    }

    fn end_if_empty(&mut self) -> bool {
        self.ended |= self.members == 0 && !self.is_new;
        self.ended
    }
}

impl Payload {
    fn of(json: String, event: &Event) -> Self {
        let policy = if event.conflates() {
            Policy::Latest {
                slot: event.slot().unwrap_or(usize::MAX),
            }
        } else {
            Policy::Every
        };
        Payload {
            json: json.into(),
            policy,
        }
    }
}
