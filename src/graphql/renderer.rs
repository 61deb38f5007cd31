//! One running execution of a subscription, driven event by event.
//!
//! `async-graphql` resolves a subscription as a stream. Here the stream's source is a [`Feed`] that
//! the hub fills: one event in, one result out, on the spot. Resolvers of results wait for nothing,
//! so a result is ready when the stream is polled.

use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};

use async_graphql::Response;
use futures_util::stream::BoxStream;
use futures_util::{Stream, StreamExt};
use tokio::sync::oneshot;

use super::need::Need;
use super::origins::Origins;
use super::response::{GraphqlError, refused_json, result_json};
use crate::auth::Identity;
use crate::event::{Event, InvoiceUpdate};
use crate::filter::Filter;
use crate::hub::{Plan, Render, Rendered};

/// Given to the resolver of a subscription field: who asks and how, and where the answer goes.
pub(super) struct Asking {
    /// As whom the operation runs.
    pub identity: Identity,
    pub origins: Origins,
    answer: Mutex<Option<oneshot::Sender<Need>>>,
    queue: Arc<Mutex<Queue>>,
}

/// The events of one running subscription. It never ends by itself.
pub(super) struct Feed(Arc<Mutex<Queue>>);

#[derive(Default)]
struct Queue {
    events: VecDeque<Arc<Event>>,
    waker: Option<Waker>,
}

/// Renders events through a running execution.
pub(super) struct Renderer {
    results: BoxStream<'static, Response>,
    queue: Arc<Mutex<Queue>>,
    completes: bool,
}

/// How an execution began.
pub(super) enum Begun {
    Runs(Plan),
    /// The field was resolved to an error.
    Failed(Response),
    /// Validation, or a limit, said no before anything was resolved.
    Invalid(Response),
}

/// Polls that may be needed until a result is ready. More than a few would be a resolver that waits.
const POLLS: usize = 64;

impl Asking {
    /// Says what the field needs, and gives the events that it will get. It is asked once.
    pub(super) fn answer(&self, need: Need) -> Feed {
        let answer = self
            .answer
            .lock()
            .expect("nothing panics while it holds it")
            .take();
        if let Some(answer) = answer {
            // Nobody waits any longer if the client has gone meanwhile.
            let _ = answer.send(need);
        }
        Feed(self.queue.clone())
    }
}

impl Stream for Feed {
    type Item = Arc<Event>;

    fn poll_next(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let mut queue = self
            .0
            .lock()
            .expect("nothing panics while it holds a queue");
        match queue.events.pop_front() {
            Some(event) => Poll::Ready(Some(event)),
            None => {
                queue.waker = Some(context.waker().clone());
                Poll::Pending
            }
        }
    }
}

/// Starts an execution: runs it until its field's resolver has said what it needs, or failed.
pub(super) async fn begin(
    identity: Identity,
    origins: Origins,
    execute: impl FnOnce(Arc<Asking>) -> BoxStream<'static, Response>,
) -> Begun {
    let (answer, need) = oneshot::channel();
    let queue: Arc<Mutex<Queue>> = Arc::default();
    let answer = Mutex::new(Some(answer));
    let mut results = execute(Arc::new(Asking {
        identity,
        origins,
        answer,
        queue: queue.clone(),
    }));
    tokio::select! {
        biased;
        // Polled first: most resolvers answer on the spot, and then `need` is there.
        first = results.next() => {
            let response = first.unwrap_or_default();
            // What a resolver fails with has a path; what validation says has none.
            let is_resolved = response.errors.iter().any(|error| !error.path.is_empty());
            if is_resolved { Begun::Failed(response) } else { Begun::Invalid(response) }
        }
        Ok(need) = need => {
            let Need { topics, snapshot, invoice, completes } = need;
            Begun::Runs(Plan { topics, filter: Filter::default(), snapshot, renderer: Box::new(Renderer { results, queue, completes }), invoice })
        }
    }
}

impl Renderer {
    /// Of an operation that runs already: what its field needs is known, and asked of nobody.
    pub(super) fn late(
        identity: Identity,
        origins: Origins,
        completes: bool,
        execute: impl FnOnce(Arc<Asking>) -> BoxStream<'static, Response>,
    ) -> Self {
        let queue: Arc<Mutex<Queue>> = Arc::default();
        let asking = Asking {
            identity,
            origins,
            answer: Mutex::default(),
            queue: queue.clone(),
        };
        Renderer {
            results: execute(Arc::new(asking)),
            queue,
            completes,
        }
    }
}

impl Render for Renderer {
    fn render(&mut self, event: &Arc<Event>) -> Rendered {
        let waker = {
            let mut queue = self
                .queue
                .lock()
                .expect("nothing panics while it holds a queue");
            queue.events.push_back(event.clone());
            queue.waker.take()
        };
        if let Some(waker) = waker {
            waker.wake();
        }
        let last = self.completes && is_final(event);
        // A panic in a resolver ends its own operation, and never its neighbours.
        let result = AssertUnwindSafe(|| self.result());
        match catch_unwind(result).ok().flatten() {
            Some(response) => Rendered {
                payload: result_json(&response, true),
                last,
            },
            None => {
                tracing::error!(
                    "a resolver of a subscription panicked, waits or has ended: its operation ends"
                );
                failed()
            }
        }
    }
}

impl Renderer {
    fn result(&mut self) -> Option<Response> {
        let mut context = Context::from_waker(Waker::noop());
        for _ in 0..POLLS {
            match self.results.poll_next_unpin(&mut context) {
                Poll::Ready(response) => return response,
                Poll::Pending => {}
            }
        }
        None
    }
}

/// What is told where a rendering failed for no fault of the client's.
pub(super) fn failed() -> Rendered {
    Rendered {
        payload: refused_json(&[GraphqlError::new("Internal server error")]),
        last: true,
    }
}

pub(super) fn is_final(event: &Event) -> bool {
    matches!(event, Event::Invoice(InvoiceUpdate::State(state)) if state.status.is_final())
}
