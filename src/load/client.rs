//! One client: it connects, subscribes, listens, and does what it is told.

use std::cell::RefCell;
use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Poll, ready};
use std::time::{Duration, Instant};

use futures_util::future::{AbortHandle, Abortable};
use tokio::io::{AsyncRead, AsyncWriteExt, ReadBuf};
use tokio::time::timeout;
use tokio_util::either::Either;

use super::crowd::{Crowd, Order};
use super::session::{End, Session};
use super::target::{NotOpened, Wire};

/// What a client does with its connection, and what it has counted, go through the crowd.
pub(super) async fn live(crowd: Arc<Crowd>, i: usize, thread: usize) {
    let (mut since, mut comes_back, mut attempt) = (None, false, 0);
    while !crowd.is_over() {
        let opened = open(&crowd, i, thread, since, comes_back).await;
        let mut connection = match opened {
            Ok(connection) => connection,
            Err(error) => {
                count_refusal(&crowd, thread, &error, comes_back);
                if !comes_back {
                    return;
                }
                tokio::time::sleep(pause(attempt)).await;
                attempt += 1;
                continue;
            }
        };
        attempt = 0;
        let (interrupt, interrupted) = AbortHandle::new_pair();
        crowd.sit(i, interrupt);
        let listening = connection.listen(&crowd);
        let Err(_told) = Abortable::new(listening, interrupted).await.map(|end| {
            count_end(&crowd, thread, &end);
        }) else {
            // It is over, and stays so: what is lost is counted, not mended.
            return;
        };
        match crowd.order(i) {
            Order::Stop => return connection.stop(&crowd).await,
            Order::Drop => {
                connection.break_off();
                since = Some(Instant::now());
            }
            Order::Leave => {
                connection.say_goodbye().await;
                since = None;
            }
        }
        comes_back = true;
    }
}

/// An open connection that has subscribed.
struct Connection {
    wire: Wire,
    session: Session,
    thread: usize,
    is_slow: bool,
}

/// Why there is none.
#[derive(Debug, thiserror::Error)]
enum Refusal {
    #[error(transparent)]
    NotOpened(#[from] NotOpened),
    #[error("{0}")]
    Ended(#[from] End),
    #[error("no answer in {} s", PATIENCE.as_secs())]
    Silence,
}

/// How long a server may take to accept, acknowledge and hear one client.
const PATIENCE: Duration = Duration::from_secs(30);
/// How long one may take to accept a goodbye, and to close on a client that has woken up.
const GOODBYE: Duration = Duration::from_secs(2);
/// The bytes that the system keeps for a client that does not read: few, or nobody would notice.
const SLOW_BUFFER: u32 = 4096;
/// The pauses of a client that comes back and is refused double from the first to the second.
const FIRST_PAUSE: Duration = Duration::from_millis(50);
const LONGEST_PAUSE: Duration = Duration::from_secs(2);

thread_local! {
    /// What the clients of a thread read into, one after another.
    static BUFFER: RefCell<Vec<u8>> = RefCell::new(vec![0; 64 * 1024]);
}

fn pause(attempt: u32) -> Duration {
    FIRST_PAUSE
        .saturating_mul(1 << attempt.min(10))
        .min(LONGEST_PAUSE)
}

/// Opens a connection, up to and with `subscribe`. `since`: from when on the time is measured, if not
/// from now.
async fn open(
    crowd: &Crowd,
    i: usize,
    thread: usize,
    since: Option<Instant>,
    is_back: bool,
) -> Result<Connection, Refusal> {
    if is_back {
        crowd.turn().await;
    }
    let permit = crowd.handshakes.acquire().await;
    let since = since.unwrap_or_else(Instant::now);
    let is_slow = crowd.plan.is_slow(i);
    let opening = async {
        let buffer = is_slow.then_some(SLOW_BUFFER);
        let mut wire = crowd.target.dial(i, buffer).await.map_err(NotOpened::Io)?;
        let mask = getrandom::u64().unwrap_or(i as u64);
        let nonce = (u128::from(mask) << 64 | i as u128).to_le_bytes();
        let mut behind = crowd.target.upgrade(&mut wire, nonce).await?;
        let mut connection = Connection {
            wire,
            session: Session::new(crowd.plan.channel_of(i), since, is_back, mask),
            thread,
            is_slow,
        };
        connection.session.say(&crowd.plan.init(i));
        connection.write(crowd).await?;
        connection.take(&mut behind, crowd)?;
        while !connection.session.is_acknowledged() {
            connection.read(crowd).await?;
            connection.write(crowd).await?;
        }
        connection.session.say(&crowd.plan.subscribe(i));
        let now = Instant::now();
        connection.write(crowd).await?;
        let mut tally = crowd.tally(thread);
        connection.session.subscribed(now, &mut tally);
        tally.slow += u64::from(is_slow && !is_back);
        drop(tally);
        Ok(connection)
    };
    let opened = timeout(PATIENCE, opening).await;
    drop(permit);
    opened.unwrap_or(Err(Refusal::Silence))
}

fn count_refusal(crowd: &Crowd, thread: usize, refusal: &Refusal, comes_back: bool) {
    if crowd.is_over() {
        return;
    }
    let mut tally = crowd.tally(thread);
    tally.refused += u64::from(!comes_back);
    match refusal {
        Refusal::Ended(End::Closed(code, reason)) => tally.closes.count((*code, reason.clone())),
        other => tally.errors.count(other.to_string()),
    }
}

fn count_end(crowd: &Crowd, thread: usize, end: &Ended) {
    let mut tally = crowd.tally(thread);
    tally.lost += 1;
    match &end.0 {
        End::Closed(code, reason) => tally.closes.count((*code, reason.clone())),
        End::Gone(why) => tally.errors.count(why.clone()),
    }
}

/// What [`Connection::listen`] ends with, if nobody tells it to.
struct Ended(End);

impl Connection {
    /// Listens until the server ends it. Cancel-safe: what was read is counted.
    async fn listen(&mut self, crowd: &Crowd) -> Ended {
        if self.is_slow {
            return std::future::pending().await;
        }
        loop {
            let heard = match self.read(crowd).await {
                Ok(()) => self.write(crowd).await,
                ended => ended,
            };
            if let Err(end) = heard {
                return Ended(end);
            }
        }
    }

    /// Reads once, and takes what there is.
    async fn read(&mut self, crowd: &Crowd) -> Result<(), End> {
        let Connection {
            wire,
            session,
            thread,
            ..
        } = self;
        poll_fn(|context| {
            BUFFER.with_borrow_mut(|buffer| {
                let mut read = ReadBuf::new(buffer);
                let done = ready!(Pin::new(&mut *wire).poll_read(context, &mut read));
                // One look at the clock for all that came at once.
                let now = Instant::now();
                Poll::Ready(match done {
                    Err(error) => Err(gone(&error)),
                    Ok(()) if read.filled().is_empty() => {
                        Err(End::Gone("hung up without a close frame".to_owned()))
                    }
                    Ok(()) => {
                        let mut tally = crowd.tally(*thread);
                        tally.bytes_in += read.filled().len() as u64;
                        session.take(read.filled_mut(), now, &crowd.run, &mut tally)
                    }
                })
            })
        })
        .await
    }

    fn take(&mut self, input: &mut [u8], crowd: &Crowd) -> Result<(), End> {
        let mut tally = crowd.tally(self.thread);
        self.session
            .take(input, Instant::now(), &crowd.run, &mut tally)
    }

    /// Writes what is to be said. If it is told to stop in the middle it stops there: what follows is
    /// the end of the connection in any case.
    async fn write(&mut self, crowd: &Crowd) -> Result<(), End> {
        let out = self.session.out();
        if out.is_empty() {
            return Ok(());
        }
        let said = std::mem::take(out);
        self.wire
            .write_all(&said)
            .await
            .map_err(|error| gone(&error))?;
        self.wire.flush().await.map_err(|error| gone(&error))?;
        crowd.tally(self.thread).bytes_out += said.len() as u64;
        Ok(())
    }

    /// Ends it, with the last of the counting.
    async fn stop(mut self, crowd: &Crowd) {
        match self.is_slow {
            true => self.wake_up(crowd).await,
            false => self
                .session
                .settle(&crowd.run, &mut crowd.tally(self.thread)),
        }
        self.say_goodbye().await;
    }

    /// What a client that has not read finds when it does: whether the server has let it go.
    async fn wake_up(&mut self, crowd: &Crowd) {
        let reading = async {
            let mut buffer = vec![0; 64 * 1024];
            loop {
                let read = tokio::io::AsyncReadExt::read(&mut self.wire, &mut buffer).await;
                let ended = match read {
                    Ok(0) => Some(End::Gone("hung up without a close frame".to_owned())),
                    Ok(count) => self.session.closed(&mut buffer[..count]),
                    Err(error) => Some(gone(&error)),
                };
                if let Some(end) = ended {
                    return end;
                }
            }
        };
        if let Ok(end) = timeout(GOODBYE, reading).await {
            let mut tally = crowd.tally(self.thread);
            tally.slow_closed += 1;
            if let End::Closed(code, reason) = end {
                tally.slow_closes.count((code, reason));
            }
        }
    }

    async fn say_goodbye(mut self) {
        self.session.say_goodbye();
        let said = std::mem::take(self.session.out());
        let saying = async {
            self.wire.write_all(&said).await?;
            self.wire.shutdown().await
        };
        // Nobody is waiting for it.
        let _ = timeout(GOODBYE, saying).await;
    }

    /// Ends it as a network does that is gone: the server finds a reset.
    fn break_off(self) {
        let socket = match &self.wire {
            Either::Left(socket) => socket,
            Either::Right(stream) => stream.get_ref().0,
        };
        // Without it the server finds an end, which is as good.
        let _ = socket.set_zero_linger();
    }
}

fn gone(error: &io::Error) -> End {
    End::Gone(match error.kind() {
        io::ErrorKind::ConnectionReset => "connection reset".to_owned(),
        io::ErrorKind::BrokenPipe => "the connection is gone".to_owned(),
        _ => error.to_string(),
    })
}
