//! Who listens to one topic, and to which of its events.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::shared::Shared;
use crate::event::Event;
use crate::filter::Term;
use crate::topic::Topic;

/// The operations on one topic.
///
/// Those that want every event are a list. Those with a filter are found by the terms of an event: however
/// many there are, an event costs a look-up for each of its terms, and nothing for those that it does not
/// concern.
#[derive(Default)]
pub(super) struct Listeners {
    unfiltered: Vec<Arc<Shared>>,
    /// Rarely any, so it is boxed.
    filtered: Option<Box<Filtered>>,
}

#[derive(Default)]
struct Filtered {
    operations: usize,
    by_term: HashMap<Term, Vec<Arc<Shared>>>,
}

impl Listeners {
    pub(super) fn is_empty(&self) -> bool {
        self.unfiltered.is_empty() && self.filtered.is_none()
    }

    pub(super) fn add(&mut self, topic: &Topic, shared: &Arc<Shared>) {
        if !shared.filter.is_all() {
            let filtered = self.filtered.get_or_insert_default();
            filtered.operations += 1;
            for term in shared.filter.index() {
                let found_by = filtered.by_term.entry(term).or_default();
                found_by.push(shared.clone());
            }
            return;
        }
        if let Some(place) = shared.place(topic) {
            place.store(self.unfiltered.len(), Ordering::Relaxed);
        }
        self.unfiltered.push(shared.clone());
    }

    /// Takes an operation out, wherever it is. One that is not there any more is no error.
    pub(super) fn remove(&mut self, topic: &Topic, shared: &Arc<Shared>) {
        if !shared.filter.is_all() {
            self.remove_filtered(shared);
            return;
        }
        let Some(place) = shared.place(topic) else {
            return;
        };
        let at = place.load(Ordering::Relaxed);
        let is_there = |other: &Arc<Shared>| Arc::ptr_eq(other, shared);
        if !self.unfiltered.get(at).is_some_and(is_there) {
            return;
        }
        // The last one takes its place.
        self.unfiltered.swap_remove(at);
        if let Some(moved) = self.unfiltered.get(at)
            && let Some(place) = moved.place(topic)
        {
            place.store(at, Ordering::Relaxed);
        }
        if self.unfiltered.is_empty() {
            self.unfiltered = Vec::new();
        }
    }

    fn remove_filtered(&mut self, shared: &Arc<Shared>) {
        let Some(filtered) = &mut self.filtered else {
            return;
        };
        let mut was_there = false;
        for term in shared.filter.index() {
            let Some(found_by) = filtered.by_term.get_mut(&term) else {
                continue;
            };
            let mut all = found_by.iter();
            if let Some(at) = all.position(|other| Arc::ptr_eq(other, shared)) {
                found_by.swap_remove(at);
                was_there = true;
            }
            if found_by.is_empty() {
                filtered.by_term.remove(&term);
            }
        }
        filtered.operations -= usize::from(was_there);
        if filtered.operations == 0 {
            self.filtered = None;
        }
    }

    /// Those who hear this event, each once.
    pub(super) fn of(&self, event: &Event) -> Vec<Arc<Shared>> {
        let mut hear = self.unfiltered.clone();
        let Some(filtered) = &self.filtered else {
            return hear;
        };
        let terms = event.terms();
        for (at, term) in terms.iter().enumerate() {
            let found = filtered.by_term.get(term).into_iter().flatten();
            // One that is found by several terms was found by the first of them.
            let is_new = |shared: &Arc<Shared>| {
                let mut index = shared.filter.index();
                !index.any(|term| terms[..at].contains(&term))
            };
            let passes =
                |shared: &&Arc<Shared>| shared.filter.passes(terms) && (at == 0 || is_new(shared));
            hear.extend(found.filter(passes).cloned());
        }
        hear
    }

    /// All of them.
    pub(super) fn all(&self) -> Vec<Arc<Shared>> {
        let mut all = self.unfiltered.clone();
        let filtered = self
            .filtered
            .iter()
            .flat_map(|filtered| filtered.by_term.values());
        let begin = all.len();
        all.extend(filtered.flatten().cloned());
        all[begin..].sort_by_key(Arc::as_ptr);
        all.dedup_by(|one, other| Arc::ptr_eq(one, other));
        all
    }
}
