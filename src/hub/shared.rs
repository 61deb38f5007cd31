//! One running rendering of one question, for all who asked it.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard};

use smallvec::SmallVec;

use super::InvoiceTerms;
use super::outbox::{Envelope, Outbox, Policy};
use crate::auth::Identity;
use crate::event::Event;
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
}

/// A payload, and whether anything can follow it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rendered {
    pub payload: String,
    pub last: bool,
}

/// What a question turns out to need once it is understood.
pub struct Plan {
    /// The topics whose events are rendered.
    pub topics: SmallVec<[Topic; 2]>,
    /// What a new asker is told first.
    pub snapshot: SnapshotFn,
    pub renderer: Box<dyn Render>,
    /// The invoice whose expiry is to be told.
    pub invoice: Option<InvoiceTerms>,
}

/// Reads the present state. It is called under the lock of its operation and must not wait.
pub type SnapshotFn = Box<dyn Fn() -> Snapshot + Send>;

/// The present state, as the events that a listener would have heard.
#[derive(Clone, Debug, Default)]
pub struct Snapshot {
    pub events: SmallVec<[Arc<Event>; 2]>,
    /// The number of the newest event in it: what is numbered up to here is not told again.
    pub up_to: u64,
}

/// One running shared operation.
///
/// Joining, leaving, snapshots and live events all happen under its one lock. So a new member's
/// snapshot and the live events that follow have no gap and no overlap, and joining and the last
/// leave cannot miss each other.
pub(super) struct Shared {
    pub(super) key: OperationKey,
    pub(super) topics: SmallVec<[Topic; 2]>,
    /// Whose expiry it is told.
    pub(super) invoice: Option<InvoiceTerms>,
    metrics: Arc<Metrics>,
    running: Mutex<Running>,
}

struct Running {
    renderer: Box<dyn Render>,
    snapshot: SnapshotFn,
    /// Contiguous: a live event walks over all of them.
    members: Vec<Member>,
    /// Where each subscription stands in `members`. Keyed by outbox and subscription.
    places: HashMap<MemberId, usize>,
    /// Whoever started it has not joined yet, but is about to: it does not end before.
    is_new: bool,
    ended: bool,
    _counted: Held,
}

/// One subscription that hears a shared operation.
pub(super) struct Member {
    pub(super) outbox: Arc<Outbox>,
    pub(super) envelope: Arc<Envelope>,
    /// Retained events numbered up to here were in its snapshot.
    pub(super) up_to: u64,
}

type MemberId = (usize, u64);

impl Member {
    fn id(&self) -> MemberId {
        (
            Arc::as_ptr(&self.outbox) as usize,
            self.envelope.subscription,
        )
    }
}

/// The operation has ended: whoever wanted to join starts another.
pub(super) struct Ended;

impl Shared {
    pub(super) fn new(key: OperationKey, plan: Plan, metrics: Arc<Metrics>) -> Arc<Self> {
        Arc::new(Shared {
            key,
            topics: plan.topics,
            invoice: plan.invoice,
            running: Mutex::new(Running {
                renderer: plan.renderer,
                snapshot: plan.snapshot,
                members: Vec::new(),
                places: HashMap::new(),
                is_new: true,
                ended: false,
                _counted: Held::new(&metrics.operations),
            }),
            metrics,
        })
    }

    /// Adds a member and tells it the present state, before any live event.
    pub(super) fn join(&self, mut member: Member, is_starter: bool) -> Result<(), Ended> {
        let mut running = self.running();
        if running.ended {
            return Err(Ended);
        }
        running.is_new &= !is_starter;
        let snapshot = (running.snapshot)();
        member.up_to = snapshot.up_to;
        for event in &snapshot.events {
            let rendered = running.render(event, &self.metrics);
            member
                .outbox
                .push(&member.envelope, &rendered.payload, policy(event));
            if rendered.last {
                member.outbox.complete(&member.envelope);
                running.end_if_empty();
                return Ok(());
            }
        }
        running.add(member);
        Ok(())
    }

    /// Removes a member. `true` says that it was the last, and the operation has ended.
    pub(super) fn leave(&self, outbox: &Arc<Outbox>, envelope: &Envelope) -> bool {
        let mut running = self.running();
        running.remove((Arc::as_ptr(outbox) as usize, envelope.subscription));
        running.end_if_empty()
    }

    /// Renders a live event once and gives it to all members. `true`: the operation has ended.
    pub(super) fn tell(&self, number: u64, event: &Arc<Event>) -> bool {
        let mut running = self.running();
        if running.ended || running.members.is_empty() {
            return running.ended;
        }
        let rendered = running.render(event, &self.metrics);
        let policy = policy(event);
        let is_retained = event.slot().is_some();
        for member in &running.members {
            if !(is_retained && number <= member.up_to) {
                member
                    .outbox
                    .push(&member.envelope, &rendered.payload, policy);
            }
        }
        if rendered.last { running.end() } else { false }
    }

    /// Tells all members the present state anew, after events may have been missed.
    pub(super) fn tell_snapshot(&self) -> bool {
        let mut running = self.running();
        if running.ended {
            return true;
        }
        let snapshot = (running.snapshot)();
        for member in &mut running.members {
            member.up_to = snapshot.up_to;
        }
        for event in &snapshot.events {
            let rendered = running.render(event, &self.metrics);
            for member in &running.members {
                member
                    .outbox
                    .push(&member.envelope, &rendered.payload, policy(event));
            }
            if rendered.last {
                return running.end();
            }
        }
        false
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

    fn add(&mut self, member: Member) {
        self.places.insert(member.id(), self.members.len());
        self.members.push(member);
    }

    fn remove(&mut self, id: MemberId) {
        let Some(place) = self.places.remove(&id) else {
            return;
        };
        self.members.swap_remove(place);
        if let Some(moved) = self.members.get(place) {
            self.places.insert(moved.id(), place);
        }
    }

    /// Nothing can follow: completes all members' subscriptions.
    fn end(&mut self) -> bool {
        for member in self.members.drain(..) {
            member.outbox.complete(&member.envelope);
        }
        self.places.clear();
        self.end_if_empty()
    }

    fn end_if_empty(&mut self) -> bool {
        self.ended |= self.members.is_empty() && !self.is_new;
        self.ended
    }
}

fn policy(event: &Event) -> Policy {
    if event.conflates() {
        Policy::Latest {
            slot: event.slot().unwrap_or(usize::MAX),
        }
    } else {
        Policy::Every
    }
}
