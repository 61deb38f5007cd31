//! All clients of a run, and the one connection that publishes to them.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{Ipv4Addr, SocketAddr};
use std::time::{Duration, Instant};

use compare::{frame, resp, words};
use memchr::memmem;
use mio::net::TcpStream;
use mio::{Events, Interest, Poll, Token};
use socket2::{Domain, Socket, Type};

use crate::client::{Client, Stage, Ways, Wrong};
use crate::task::{Question, Task};

/// Clients that share one address of this machine: there are some 28,000 ports for each, and few of them taken are found
/// quickly.
const CLIENTS_PER_ADDRESS: usize = 4000;

/// How long nothing may happen while something should.
const PATIENCE: Duration = Duration::from_secs(60);

pub(crate) struct Crowd {
    poll: Poll,
    events: Events,
    server: SocketAddr,
    redis: TcpStream,
    clients: Vec<Client>,
    ways: Ways,
    buffer: Box<[u8]>,
    out: Vec<u8>,
    /// The number of the next event.
    next_number: u64,
    /// Events that clients were told.
    delivered: u64,
    last_progress: Instant,
}

/// How connecting went.
pub(crate) struct Connected {
    /// Clients that waited for their first message in vain.
    pub(crate) lost: usize,
    /// When the last of the others was told its own.
    pub(crate) last_heard: Instant,
}

/// A client that has not heard its first message.
struct Opening {
    client: usize,
    /// When it was seen to have subscribed.
    subscribed: Option<Instant>,
}

/// How long a client that has subscribed keeps the next one waiting.
const GIVING_WAY: Duration = Duration::from_millis(250);

#[derive(Debug, thiserror::Error)]
pub(crate) enum Failed {
    #[error("{0}")]
    Io(#[from] io::Error),
    #[error("{0}")]
    Wrong(#[from] Wrong),
    #[error("nothing came for {0:?}: {1} of {2} deliveries are missing")]
    Missing(Duration, u64, u64),
    #[error("the server knows no key after {0:?}")]
    Unknown(Duration),
    #[error("nobody has subscribed to {channel} after {patience:?}")]
    Deaf {
        channel: &'static str,
        patience: Duration,
    },
    #[error("{0}")]
    Task(#[from] serde_json::Error),
    #[error("usage: driver '<task in JSON>'")]
    Usage,
}

const REDIS: Token = Token(usize::MAX - 1);

/// Prices and payments of a run are numbered from here on. As many digits as a price has.
const FIRST_NUMBER: u64 = 43_623_000_000;

impl Crowd {
    /// Nobody yet; waits until the server listens to Redis and knows the keys, and publishes a first price, which every
    /// client is told when it comes.
    pub(crate) fn new(task: &Task) -> Result<Self, Failed> {
        let poll = Poll::new()?;
        let mut stream = std::net::TcpStream::connect(task.redis)?;
        until_heard(&mut stream)?;
        until_known(task.server, task.clients - 1)?;
        stream.set_nonblocking(true)?;
        stream.set_nodelay(true)?;
        let mut redis = TcpStream::from_std(stream);
        poll.registry()
            .register(&mut redis, REDIS, Interest::READABLE)?;
        Ok(Crowd {
            poll,
            events: Events::with_capacity(1024),
            server: task.server,
            redis,
            clients: Vec::with_capacity(task.clients),
            ways: Ways::new(task.question, task.operations, FIRST_NUMBER),
            buffer: vec![0; 262_144].into(),
            out: Vec::new(),
            next_number: FIRST_NUMBER,
            delivered: 0,
            last_progress: Instant::now(),
        })
    }

    /// Connects so many, of which so many at a time, each until it has heard its first message. A client that is not
    /// told one at once gives way to the next: how fast others are let in is no matter of its loss.
    pub(crate) fn connect(
        &mut self,
        count: usize,
        in_flight: usize,
        patience: Duration,
    ) -> Result<Connected, Failed> {
        let mut opening: Vec<Opening> = Vec::with_capacity(in_flight);
        let mut silent: Vec<Opening> = Vec::new();
        let mut connected = Connected {
            lost: 0,
            last_heard: Instant::now(),
        };
        let mut looked = Instant::now();
        self.last_progress = looked;
        while self.clients.len() < count || !opening.is_empty() || !silent.is_empty() {
            while self.clients.len() < count && opening.len() < in_flight {
                let client = self.dial()?;
                opening.push(Opening {
                    client,
                    subscribed: None,
                });
            }
            self.turn(Some(Duration::from_millis(20)))?;
            let now = Instant::now();
            let before = opening.len();
            for one in opening.extract_if(.., |one| one.is_over(&self.clients, now)) {
                match self.clients[one.client].stage {
                    Stage::Listening => connected.last_heard = now,
                    _ => silent.push(one),
                }
            }
            if opening.len() < before {
                self.last_progress = now;
            }
            // There may be thousands: not for every message.
            if now - looked > GIVING_WAY {
                looked = now;
                silent.retain(|one| {
                    let client = &mut self.clients[one.client];
                    match client.stage {
                        Stage::Listening => connected.last_heard = now,
                        _ if now - one.subscribed.unwrap_or(now) < patience => return true,
                        _ => connected.lost += 1,
                    }
                    client.stage = Stage::Listening;
                    false
                });
            }
            if !opening.is_empty() {
                self.check_patience(0)?;
            }
        }
        for (client, number) in self.clients.iter_mut().zip(FIRST_NUMBER..) {
            match self.ways.question {
                Question::Price => client.expect(FIRST_NUMBER, 1),
                Question::Updates => client.expect(number, count as u64),
            }
        }
        Ok(connected)
    }

    pub(crate) fn len(&self) -> u64 {
        self.clients.len() as u64
    }

    /// Events that clients were told since they are connected.
    pub(crate) fn delivered(&self) -> u64 {
        self.delivered
    }

    /// Publishes prices in one write. Every client is to be told each.
    pub(crate) fn publish_prices(&mut self, burst: u64) -> Result<(), Failed> {
        self.out.clear();
        for _ in 0..burst {
            let body = words::price_body(self.next_number);
            let channel = words::PRICE_CHANNEL.as_bytes();
            resp::command(&mut self.out, &[b"PUBLISH", channel, body.as_bytes()]);
            self.next_number += 1;
        }
        self.send()
    }

    /// Publishes payments in one write, each of another account, in turn. One client is to be told of each.
    pub(crate) fn publish_payments(&mut self, count: u64) -> Result<(), Failed> {
        self.out.clear();
        for _ in 0..count {
            let client = (self.next_number - FIRST_NUMBER) % self.len();
            let channel = format!(
                "{}{}",
                words::ACCOUNT_CHANNEL,
                words::account(client as usize)
            );
            let body = words::receipt_body(self.next_number);
            resp::command(
                &mut self.out,
                &[b"PUBLISH", channel.as_bytes(), body.as_bytes()],
            );
            self.next_number += 1;
        }
        self.send()
    }

    /// Serves the sockets until so many events were delivered in all.
    pub(crate) fn until_delivered(&mut self, deliveries: u64) -> Result<(), Failed> {
        self.last_progress = Instant::now();
        while self.delivered < deliveries {
            let before = self.delivered;
            self.turn(Some(Duration::from_secs(1)))?;
            if self.delivered > before {
                self.last_progress = Instant::now();
            }
            self.check_patience(deliveries)?;
        }
        Ok(())
    }

    /// Serves the sockets for this long: pings are answered.
    pub(crate) fn idle(&mut self, time: Duration) -> Result<(), Failed> {
        let end = Instant::now() + time;
        while let Some(left) = end.checked_duration_since(Instant::now()) {
            self.turn(Some(left))?;
        }
        Ok(())
    }

    /// Serves the sockets that are ready, once.
    pub(crate) fn turn(&mut self, patience: Option<Duration>) -> Result<(), Failed> {
        match self.poll.poll(&mut self.events, patience) {
            Err(error) if error.kind() == ErrorKind::Interrupted => return Ok(()),
            done => done?,
        }
        for event in &self.events {
            if event.token() == REDIS {
                // How many heard it is of no interest here: every client is counted.
                while matches!(self.redis.read(&mut self.buffer), Ok(1..)) {}
                continue;
            }
            let client = &mut self.clients[event.token().0];
            if client.stage == Stage::Connecting && event.is_writable() {
                client.on_connected()?;
            }
            if event.is_readable() && client.stage != Stage::Connecting {
                self.delivered += client.on_readable(&self.ways, &mut self.buffer)?;
            }
        }
        Ok(())
    }

    /// Every client has been told the last of all events.
    pub(crate) fn has_heard_all(&self) -> bool {
        match self.ways.question {
            Question::Price => self
                .clients
                .iter()
                .all(|client| client.expected() == self.next_number),
            Question::Updates => self.delivered == self.next_number - FIRST_NUMBER,
        }
    }

    fn send(&mut self) -> Result<(), Failed> {
        let mut sent = 0;
        while sent < self.out.len() {
            match self.redis.write(&self.out[sent..]) {
                Ok(written) => sent += written,
                // Redis is on our core: it takes the rest when it is let.
                Err(error) if error.kind() == ErrorKind::WouldBlock => std::thread::yield_now(),
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }

    /// Begins to connect one more client; its number.
    fn dial(&mut self) -> io::Result<usize> {
        let client = self.clients.len();
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None)?;
        socket.set_nonblocking(true)?;
        socket.set_tcp_nodelay(true)?;
        // Ends with a reset: thousands of ports that wait for two minutes would be missing in the next run.
        socket.set_linger(Some(Duration::ZERO))?;
        if self.server.ip().is_loopback() {
            let address = Ipv4Addr::new(127, 0, 1, 1 + (client / CLIENTS_PER_ADDRESS) as u8);
            socket.bind(&SocketAddr::from((address, 0)).into())?;
        }
        match socket.connect(&self.server.into()) {
            // EINPROGRESS, for which ErrorKind has no name of its own: 115 on every Linux that runs this.
            Err(error) if error.raw_os_error() != Some(115) => return Err(error),
            _ => {}
        }
        let mut stream = TcpStream::from_std(socket.into());
        let interest = Interest::READABLE | Interest::WRITABLE;
        self.poll
            .registry()
            .register(&mut stream, Token(client), interest)?;
        self.clients.push(Client::new(client, stream));
        Ok(client)
    }

    fn check_patience(&self, deliveries: u64) -> Result<(), Failed> {
        let missing = deliveries.saturating_sub(self.delivered);
        match self.last_progress.elapsed() > PATIENCE {
            true => Err(Failed::Missing(PATIENCE, missing, deliveries)),
            false => Ok(()),
        }
    }
}

impl Opening {
    /// Whether it keeps the next one waiting no longer.
    fn is_over(&mut self, clients: &[Client], now: Instant) -> bool {
        match clients[self.client].stage {
            Stage::Listening => true,
            Stage::Subscribing => now - *self.subscribed.get_or_insert(now) > GIVING_WAY,
            _ => false,
        }
    }
}

/// Connects with a key, and leaves, until the server knows it.
///
/// It is the last of those that there are, so that all are loaded.
fn until_known(server: SocketAddr, client: usize) -> Result<(), Failed> {
    let end = Instant::now() + PATIENCE;
    while Instant::now() < end {
        let mut stream = std::net::TcpStream::connect(server)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        let mut said = words::upgrade().into_bytes();
        frame::masked(&mut said, frame::TEXT, words::init(client).as_bytes());
        stream.write_all(&said)?;
        let mut heard = Vec::new();
        let mut buffer = [0; 1024];
        // Until the acknowledgement, or the end: a key that is not known closes the connection.
        loop {
            match stream.read(&mut buffer)? {
                0 => break,
                read => heard.extend(&buffer[..read]),
            }
            if memmem::find(&heard, b"connection_ack").is_some() {
                return Ok(());
            }
            if memmem::find(&heard, b"\r\n\r\n\x88").is_some() {
                break;
            }
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    Err(Failed::Unknown(PATIENCE))
}

/// Publishes a price until somebody hears it.
fn until_heard(redis: &mut std::net::TcpStream) -> Result<(), Failed> {
    let mut publish = Vec::new();
    let channel = words::PRICE_CHANNEL;
    let body = words::price_body(FIRST_NUMBER - 1);
    resp::command(
        &mut publish,
        &[b"PUBLISH", channel.as_bytes(), body.as_bytes()],
    );
    let end = Instant::now() + PATIENCE;
    while Instant::now() < end {
        redis.write_all(&publish)?;
        let mut reply = [0; 16];
        let read = redis.read(&mut reply)?;
        if !reply[..read].starts_with(b":0") {
            return Ok(());
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    Err(Failed::Deaf {
        channel,
        patience: PATIENCE,
    })
}
