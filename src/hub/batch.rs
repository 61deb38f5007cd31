//! What came from the bus together, and is told together.

use std::collections::HashMap;
use std::sync::Arc;

use smallvec::SmallVec;

use super::shared::Shared;
use crate::event::Event;

/// Events and the operations that they are for, in order.
#[derive(Default)]
pub(super) struct Batch {
    /// Of the last event: they are numbered without a gap, for as long as the hub runs.
    number: u64,
    told: Vec<(Arc<Shared>, Events)>,
    /// Where in `told` an operation is: by its address, which nobody else has while it is there. Known
    /// from the second event on: the first tells each operation once.
    places: HashMap<usize, usize>,
    /// Operations that are to be told the present state.
    stale: Vec<Arc<Shared>>,
    events: usize,
}

/// Numbered events.
pub(super) type Events = SmallVec<[(u64, Arc<Event>); 1]>;

/// So many events are told together: more would keep the first of them waiting.
const EVENTS: usize = 64;

impl Batch {
    /// The number of the next event.
    pub(super) fn next_number(&mut self) -> u64 {
        self.number += 1;
        self.events += 1;
        if self.events == 2 {
            let told = self.told.iter().enumerate();
            let places = told.map(|(at, (shared, _))| (address(shared), at));
            self.places.extend(places);
        }
        self.number
    }

    /// Whether more may be added before it is told.
    pub(super) fn has_room(&self) -> bool {
        self.events < EVENTS
    }

    /// An event is to be told to an operation, behind those that are.
    pub(super) fn add(&mut self, shared: Arc<Shared>, number: u64, event: &Arc<Event>) {
        let at = self.told.len();
        let place = match self.events {
            ..2 => at,
            _ => *self.places.entry(address(&shared)).or_insert(at),
        };
        if place == at {
            self.told.push((shared, Events::new()));
        }
        self.told[place].1.push((number, event.clone()));
    }

    /// Operations are to be told the present state, which is that after all these events.
    pub(super) fn add_stale(&mut self, operations: impl IntoIterator<Item = Arc<Shared>>) {
        self.stale.extend(operations);
    }

    /// Takes all operations out that are to be told something, the first one first.
    pub(super) fn drain(&mut self) -> impl Iterator<Item = (Arc<Shared>, Events)> + use<'_> {
        self.places.clear();
        self.events = 0;
        self.told.drain(..)
    }

    /// Takes those out that are to be told the present state.
    pub(super) fn drain_stale(&mut self) -> impl Iterator<Item = Arc<Shared>> + use<'_> {
        self.stale.drain(..)
    }
}

fn address(shared: &Arc<Shared>) -> usize {
    Arc::as_ptr(shared) as usize
}
