//! All clients of a run, on threads of their own.

use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use futures_util::future::AbortHandle;
use tokio::sync::Semaphore;
use tokio::time::sleep_until;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::client;
use super::plan::Plan;
use super::session::Run;
use super::tally::Tally;
use super::target::Target;

/// The clients, what they are told to do, and what they have counted.
pub(super) struct Crowd {
    pub(super) plan: Plan,
    pub(super) target: Arc<Target>,
    pub(super) run: Run,
    /// How many connections may be opened at a time.
    pub(super) handshakes: Semaphore,
    /// When the next connection may set out, if there is a rate.
    next_turn: Mutex<Instant>,
    seats: Vec<Seat>,
    tallies: Vec<Mutex<Tally>>,
    /// Connections that were told to break off or to leave, and so to come back.
    dropped: AtomicU64,
    is_over: AtomicBool,
    /// Cancelled when nothing more is to be published.
    pub(super) enough: CancellationToken,
}

/// The place of one client, which has one connection at a time.
#[derive(Default)]
struct Seat {
    order: AtomicU8,
    interrupt: Mutex<Option<AbortHandle>>,
}

/// What a client is told to do with its connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum Order {
    /// Say goodbye, and end.
    Stop = 0,
    /// Break it off, as a network does, and come back.
    Drop = 1,
    /// Say goodbye, and come as somebody new.
    Leave = 2,
}

/// How long clients have to say goodbye.
const GOODBYES: Duration = Duration::from_secs(5);

impl Crowd {
    pub(super) fn new(plan: Plan, target: Arc<Target>, run: Run) -> Self {
        Crowd {
            handshakes: Semaphore::new(plan.handshakes),
            next_turn: Mutex::new(Instant::now()),
            seats: std::iter::repeat_with(Seat::default)
                .take(plan.connections)
                .collect(),
            tallies: std::iter::repeat_with(Mutex::default)
                .take(plan.threads)
                .collect(),
            dropped: AtomicU64::new(0),
            is_over: AtomicBool::new(false),
            enough: CancellationToken::new(),
            plan,
            target,
            run,
        }
    }

    /// Starts the threads, and with them the clients.
    pub(super) fn start(self: &Arc<Self>) -> std::io::Result<Vec<std::thread::JoinHandle<()>>> {
        let mut threads = Vec::new();
        for thread in 0..self.plan.threads {
            // A runtime of one thread: its tasks are never moved, and its reads need no lock.
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()?;
            let crowd = self.clone();
            let begun = std::thread::Builder::new()
                .name(format!("clients {thread}"))
                .spawn(move || runtime.block_on(crowd.attend(thread)))?;
            threads.push(begun);
        }
        Ok(threads)
    }

    async fn attend(self: Arc<Self>, thread: usize) {
        let clients = TaskTracker::new();
        for i in (thread..self.plan.connections).step_by(self.plan.threads) {
            self.turn().await;
            if self.is_over() {
                break;
            }
            clients.spawn(client::live(self.clone(), i, thread));
        }
        clients.close();
        let until_over = async {
            while !self.is_over() {
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
            tokio::time::sleep(GOODBYES).await;
        };
        tokio::select! {
            () = clients.wait() => {}
            () = until_over => {}
        }
    }

    /// Waits until another connection may set out.
    pub(super) async fn turn(&self) {
        let Some(rate) = self.plan.connect_rate else {
            return;
        };
        let turn = {
            let mut next = self
                .next_turn
                .lock()
                .expect("nothing panics while it holds it");
            let turn = (*next).max(Instant::now());
            *next = turn + Duration::from_secs_f64(1.0 / rate);
            turn
        };
        sleep_until(turn.into()).await;
    }

    /// What a thread's clients have counted.
    pub(super) fn tally(&self, thread: usize) -> MutexGuard<'_, Tally> {
        let tally = self.tallies[thread].lock();
        tally.expect("nothing panics while it counts")
    }

    /// The tallies of all threads, one after another.
    pub(super) fn tallies(&self) -> impl Iterator<Item = MutexGuard<'_, Tally>> {
        (0..self.tallies.len()).map(|thread| self.tally(thread))
    }

    pub(super) fn is_over(&self) -> bool {
        self.is_over.load(Ordering::Acquire)
    }

    /// Ends it: everybody goes home.
    pub(super) fn end(&self) {
        self.is_over.store(true, Ordering::Release);
        for i in 0..self.seats.len() {
            self.tell(i, Order::Stop);
        }
    }

    /// Tells one client to do something. One that is not connected now does nothing.
    pub(super) fn tell(&self, i: usize, order: Order) {
        let seat = &self.seats[i];
        if let Some(interrupt) = seat.interrupt().take() {
            seat.order.store(order as u8, Ordering::Release);
            interrupt.abort();
            if order != Order::Stop {
                self.dropped.fetch_add(1, Ordering::Relaxed);
            }
        }
    }

    /// Where the client of this seat hears that it is told something.
    pub(super) fn sit(&self, i: usize, interrupt: AbortHandle) {
        let seat = &self.seats[i];
        seat.order.store(Order::Stop as u8, Ordering::Release);
        *seat.interrupt() = Some(interrupt);
        // It may have ended just before.
        if self.is_over() {
            self.tell(i, Order::Stop);
        }
    }

    /// How many connections are to come back.
    pub(super) fn dropped(&self) -> u64 {
        self.dropped.load(Ordering::Relaxed)
    }

    /// What the client of this seat was told.
    pub(super) fn order(&self, i: usize) -> Order {
        match self.seats[i].order.load(Ordering::Acquire) {
            1 => Order::Drop,
            2 => Order::Leave,
            _ => Order::Stop,
        }
    }
}

impl Seat {
    fn interrupt(&self) -> MutexGuard<'_, Option<AbortHandle>> {
        self.interrupt
            .lock()
            .expect("nothing panics while it holds it")
    }
}
