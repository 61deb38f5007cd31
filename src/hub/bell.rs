//! How a connection's task is woken.

use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};

use futures_util::task::AtomicWaker;

/// One bell for whatever a task has to look at. It says that there is something, not what: so many
/// rings are as good as one, and nothing is kept for each.
#[derive(Debug, Default)]
pub(super) struct Bell {
    is_rung: AtomicBool,
    waker: AtomicWaker,
}

impl Bell {
    pub(super) fn ring(&self) {
        if !self.is_rung.swap(true, Ordering::AcqRel) {
            self.waker.wake();
        }
    }

    /// Ready if it was rung since it was ready last. For one task alone.
    pub(super) fn poll_rung(&self, context: &mut Context<'_>) -> Poll<()> {
        if self.is_rung.swap(false, Ordering::AcqRel) {
            return Poll::Ready(());
        }
        self.waker.register(context.waker());
        // It may have been rung before the waker was there.
        if self.is_rung.swap(false, Ordering::AcqRel) {
            Poll::Ready(())
        } else {
            Poll::Pending
        }
    }
}
