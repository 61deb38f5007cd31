//! The operations that run, by what they answer.

use std::borrow::Borrow;
use std::collections::HashSet;
use std::hash::{Hash, Hasher};
use std::sync::{Arc, Mutex, MutexGuard};

use super::shared::{OperationKey, Shared};

/// All shared operations that run.
#[derive(Default)]
pub(super) struct Operations(Mutex<HashSet<Running>>);

/// An operation, found by its key: which it holds itself, so that a map need not hold it again.
struct Running(Arc<Shared>);

impl Operations {
    pub(super) fn get(&self, key: &OperationKey) -> Option<Arc<Shared>> {
        self.running()
            .get(key)
            .map(|Running(shared)| shared.clone())
    }

    /// The operation that runs with this one's key; or this one, which runs from now on. `then` is
    /// called in that case, before anybody else can find it.
    pub(super) fn get_or_insert(&self, shared: &Arc<Shared>, then: impl FnOnce()) -> Arc<Shared> {
        let mut running = self.running();
        if let Some(Running(other)) = running.get(&shared.key) {
            return other.clone();
        }
        running.insert(Running(shared.clone()));
        then();
        shared.clone()
    }

    /// Takes an operation out, unless another one has taken its place. `then` is called either way,
    /// before anybody can put one in its place.
    pub(super) fn remove(&self, shared: &Arc<Shared>, then: impl FnOnce()) {
        let mut running = self.running();
        let is_it = |Running(other): &Running| Arc::ptr_eq(other, shared);
        if running.get(&shared.key).is_some_and(is_it) {
            running.remove(&shared.key);
        }
        then();
    }

    pub(super) fn all(&self) -> Vec<Arc<Shared>> {
        let running = self.running();
        running
            .iter()
            .map(|Running(shared)| shared.clone())
            .collect()
    }

    fn running(&self) -> MutexGuard<'_, HashSet<Running>> {
        self.0
            .lock()
            .expect("nothing panics while it holds the operations")
    }
}

impl Borrow<OperationKey> for Running {
    fn borrow(&self) -> &OperationKey {
        &self.0.key
    }
}

impl PartialEq for Running {
    fn eq(&self, other: &Self) -> bool {
        self.0.key == other.0.key
    }
}

impl Eq for Running {}

impl Hash for Running {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.0.key.hash(state);
    }
}
