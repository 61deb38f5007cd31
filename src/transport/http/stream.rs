//! A response that goes on: its life, whatever is spoken in it.

use std::convert::Infallible;
use std::future::poll_fn;
use std::io;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use axum::body::Body;
use bytes::Bytes;
use futures_util::stream;
use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, timeout};
use tokio_util::sync::PollSender;

use super::Farewell;
use crate::auth::Session;
use crate::graphql::{GraphqlError, Refusal, Request, errors_json};
use crate::hub::{Outbox, State};
use crate::registry::Registered;
use crate::transport::close::Close;
use crate::transport::endpoint::Endpoint;
use crate::transport::life::{Begun, Life};
use crate::transport::operation::Operation;
use crate::transport::stalling::Fate;
use crate::transport::subscriptions::Started;

/// A response that goes on, owned by one task. The request that it answers has been read; what is said to
/// the client pends in its outbox, and goes on into the body as fast as the client takes it.
pub(super) struct Stream {
    endpoint: Endpoint,
    life: Life,
    pipe: Pipe,
    /// When it is said next that we are there.
    beats_at: Instant,
    /// From other requests of the same client, where it sends any.
    orders: Option<Orders>,
}

/// What other requests of the same client want of a stream.
#[derive(Debug)]
pub(super) enum Order {
    /// Its body, for the first who asks, and the fate of the socket by which it goes out.
    Open {
        fate: Fate,
        told: oneshot::Sender<Option<Body>>,
    },
    /// To begin an operation.
    Begin {
        id: String,
        request: Request,
        told: oneshot::Sender<Outcome>,
    },
    /// To pass on a result, under an id that is not in use.
    Tell {
        id: String,
        payload: String,
        told: oneshot::Sender<Outcome>,
    },
    /// To end an operation, if it runs.
    End {
        id: String,
        told: oneshot::Sender<()>,
    },
}

/// What became of an operation.
#[derive(Debug)]
pub(super) enum Outcome {
    /// Its results go into the stream.
    Accepted,
    /// Its id is in use.
    Exists,
    /// It was not executed: the errors, as a JSON list.
    Refused(String),
}

/// Where orders come from.
struct Orders {
    received: mpsc::Receiver<Order>,
    /// The body, until it is asked for; and until when that has to be.
    body: Option<(Body, Instant)>,
    /// Who waits to hear of operations that are being started.
    waiting: Vec<(Box<str>, oneshot::Sender<Outcome>)>,
}

/// What is written, chunk by chunk, into the body of a response.
struct Pipe {
    chunks: PollSender<Bytes>,
    /// For one thing alone: to see that the body was dropped.
    body: mpsc::Sender<Bytes>,
    /// Why it was dropped.
    fate: Fate,
}

/// A chunk at a time: what a client does not take is to pend in its outbox, where it is counted, and where
/// newer prices take the place of older ones.
const CHUNKS: usize = 1;

/// How long a client may take to take the last that it is told.
const LAST_WORDS: Duration = Duration::from_secs(2);

impl Stream {
    /// A stream that has begun, and the body that it goes into.
    pub(super) fn new(
        endpoint: Endpoint,
        session: Session,
        registered: Registered,
        fate: Fate,
    ) -> (Self, Body) {
        let (sender, mut receiver) = mpsc::channel(CHUNKS);
        endpoint.say(endpoint.protocol.flow().begin);
        let stream = Stream {
            beats_at: Instant::now() + interval(&endpoint),
            endpoint,
            life: Life::new(session, registered),
            pipe: Pipe {
                chunks: PollSender::new(sender.clone()),
                body: sender,
                fate,
            },
            orders: None,
        };
        let chunks = stream::poll_fn(move |context| {
            let chunk = receiver.poll_recv(context);
            chunk.map(|chunk| chunk.map(Ok::<Bytes, Infallible>))
        });
        (stream, Body::from_stream(chunks))
    }

    /// Takes orders, the body among them, which has to be asked for in time.
    pub(super) fn taking_orders(
        mut self,
        received: mpsc::Receiver<Order>,
        body: Body,
        in_time: Duration,
    ) -> Self {
        self.orders = Some(Orders {
            received,
            body: Some((body, Instant::now() + in_time)),
            waiting: Vec::new(),
        });
        self
    }

    /// Begins the one operation of a stream that takes no orders.
    pub(super) fn begin(&mut self, operation: Operation) {
        if let Begun::Started(started) = self.life.begin(&self.endpoint, "", operation) {
            self.on_started(started);
        }
    }

    /// Lives until all is told, the client goes, or a reason to end it comes up.
    pub(super) async fn run(mut self) {
        let Err(close) = self.operate().await;
        let Stream {
            endpoint,
            life,
            mut pipe,
            orders,
            ..
        } = self;
        // Whoever has sent one, or waits to hear of an operation, is told at once that nobody is here.
        drop(orders);
        say_farewell(&endpoint, &life, &close);
        // It is not known, and costs nothing, from here on.
        drop(life);
        let outbox = &endpoint.outbox;
        let flushed = poll_fn(|context| pipe.poll_flush(context, outbox));
        // Where it is the body that has gone, its socket may go on: that of a HEAD has none.
        if timeout(LAST_WORDS, flushed).await.is_err() {
            pipe.fate.cut_off(close.clone());
        }
        outbox.shut();
        endpoint.ended(&close);
    }

    async fn operate(&mut self) -> Result<Infallible, Close> {
        loop {
            self.look_around()?;
            self.life.tell_registry();
            let Stream {
                endpoint,
                life,
                pipe,
                orders,
                ..
            } = self;
            let (outbox, body) = (&endpoint.outbox, pipe.body.clone());
            tokio::select! {
                biased;
                () = poll_fn(|context| outbox.poll_rung(context)) => {}
                () = body.closed() => return Err(pipe.fate.close()),
                order = next(orders) => self.on_order(order),
                started = life.subscriptions.started() => self.on_started(started),
                flushed = poll_fn(|context| pipe.poll_flushed(context, outbox)) => flushed?,
            }
        }
    }

    /// Looks at everything that may have been rung for, and says that we are there when it is time to.
    fn look_around(&mut self) -> Result<(), Close> {
        let Stream {
            endpoint,
            life,
            orders,
            beats_at,
            ..
        } = self;
        let body = orders.as_ref().and_then(|orders| orders.body.as_ref());
        let opened_by = body.map(|(_, by)| *by);
        if opened_by.is_some() {
            endpoint.outbox.excuse();
        }
        life.check(endpoint)?;
        let now = Instant::now();
        if opened_by.is_some_and(|by| by <= now) {
            return Err(Close::InitTimeout);
        }
        let is_clear = endpoint.outbox.state() == State::Clear;
        if orders.is_none() && is_clear && life.subscriptions.count() == 0 {
            return Err(Close::Completed);
        }
        if *beats_at <= now {
            // Who has not taken what came before would not hear it.
            if is_clear && opened_by.is_none() {
                endpoint.say(endpoint.protocol.flow().beat);
            }
            *beats_at = now + interval(endpoint);
        }
        let due = opened_by.map_or(*beats_at, |by| by.min(*beats_at));
        life.set_clock(endpoint, due);
        Ok(())
    }

    fn on_order(&mut self, order: Order) {
        match order {
            Order::Open { fate, told } => {
                let body = self.orders.as_mut().and_then(|orders| orders.body.take());
                if body.is_some() {
                    self.pipe.fate = fate;
                    self.endpoint.outbox.excuse();
                }
                // Who has gone meanwhile takes the body along: the stream ends.
                let _ = told.send(body.map(|(body, _)| body));
            }
            Order::Begin { id, request, told } => {
                let operation = Operation::Graphql(request);
                match self.life.begin(&self.endpoint, &id, operation) {
                    Begun::Exists => {
                        let _ = told.send(Outcome::Exists);
                    }
                    Begun::Started(started) => {
                        self.wait(id, told);
                        self.on_started(started);
                    }
                    Begun::Starts => self.wait(id, told),
                }
            }
            Order::Tell { id, payload, told } => {
                let outcome = if self.life.subscriptions.has(&id) {
                    Outcome::Exists
                } else {
                    let endpoint = &self.endpoint;
                    endpoint.protocol.tell_once(&endpoint.outbox, &id, &payload);
                    Outcome::Accepted
                };
                let _ = told.send(outcome);
            }
            Order::End { id, told } => {
                self.life.subscriptions.end(&id);
                if let Some(orders) = &mut self.orders {
                    // Its id may be given to another one now, and what becomes of that is not said of this.
                    let waited = orders.waiting.extract_if(.., |(of, _)| **of == *id);
                    waited.for_each(|(_, told)| drop(told.send(Outcome::Accepted)));
                }
                let _ = told.send(());
            }
        }
    }

    /// Has a request wait until it is known what becomes of its operation.
    fn wait(&mut self, id: String, told: oneshot::Sender<Outcome>) {
        if let Some(orders) = &mut self.orders {
            orders.waiting.push((id.into(), told));
        }
    }

    fn on_started(&mut self, started: Started) {
        let refused = self.life.settle(started);
        let mut refused = refused.map(|(id, why)| (id, why.into_refusal()));
        let Stream {
            endpoint,
            life,
            orders,
            ..
        } = self;
        let Some(orders) = orders else {
            if let Some((id, refusal)) = refused
                && !matches!(endpoint.protocol.flow().farewell, Farewell::None)
            {
                endpoint.protocol.refuse(&endpoint.outbox, &id, &refusal);
            }
            return;
        };
        // Who waits for what has been decided now: it runs, or is not there any more.
        for (id, told) in std::mem::take(&mut orders.waiting) {
            let outcome = match refused.take_if(|(of, _)| *of == id) {
                Some((_, Refusal::Error(errors))) => Outcome::Refused(errors),
                Some((id, refusal)) => {
                    endpoint.protocol.refuse(&endpoint.outbox, &id, &refusal);
                    Outcome::Accepted
                }
                None if life.subscriptions.is_starting(&id) => {
                    orders.waiting.push((id, told));
                    continue;
                }
                None => Outcome::Accepted,
            };
            let _ = told.send(outcome);
        }
    }
}

impl Pipe {
    /// Writes what pends, until nothing does. An error says that the client has gone.
    fn poll_flush(
        &mut self,
        context: &mut Context<'_>,
        outbox: &Outbox,
    ) -> Poll<Result<(), Close>> {
        let flushed = outbox.poll_flush(context, |context, bytes| {
            let gone = |_| io::Error::from(io::ErrorKind::BrokenPipe);
            ready!(self.chunks.poll_reserve(context)).map_err(gone)?;
            let sent = self.chunks.send_item(Bytes::copy_from_slice(bytes));
            Poll::Ready(sent.map(|()| bytes.len()).map_err(gone))
        });
        flushed.map_err(|_| self.fate.close())
    }

    /// The same; ready only when something was written: there may be something to look at then.
    fn poll_flushed(
        &mut self,
        context: &mut Context<'_>,
        outbox: &Outbox,
    ) -> Poll<Result<(), Close>> {
        if outbox.state() == State::Clear {
            return Poll::Pending;
        }
        self.poll_flush(context, outbox)
    }
}

/// The next order; never where there are none. Cancel-safe.
async fn next(orders: &mut Option<Orders>) -> Order {
    let order = match orders {
        Some(orders) => orders.received.recv().await,
        None => None,
    };
    match order {
        Some(order) => order,
        None => std::future::pending().await,
    }
}

/// How often it is said that we are there.
fn interval(endpoint: &Endpoint) -> Duration {
    (endpoint.protocol.flow().interval)(&endpoint.server.limits)
}

/// Says why a stream ends before its operations do. An event stream that just ends makes its client come
/// back, so it just ends where that is wanted.
fn say_farewell(endpoint: &Endpoint, life: &Life, close: &Close) {
    if matches!(close, Close::Completed | Close::Gone) {
        return;
    }
    let code = close.name().to_ascii_uppercase();
    let errors = errors_json(&[GraphqlError::new(close.reason()).coded(&code)]);
    match endpoint.protocol.flow().farewell {
        Farewell::OfAll(words) => {
            let last = words(&errors);
            let outbox = &endpoint.outbox;
            outbox.say_last(|out| out.extend_from_slice(last.as_bytes()));
        }
        Farewell::OfEachOperation if !close.is_to_come_back() => {
            let refusal = Refusal::Error(errors);
            for id in life.subscriptions.ids() {
                endpoint.protocol.refuse(&endpoint.outbox, id, &refusal);
            }
        }
        Farewell::OfEachOperation | Farewell::None => {}
    }
}
