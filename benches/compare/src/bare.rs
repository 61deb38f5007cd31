//! The least that a server can do: one thread, epoll, and `send(2)` of a ready frame with the client's own id in it.
//!
//! It speaks the words of `graphql-transport-ws` that the driver speaks, and knows two questions by a word in them. There
//! is no GraphQL, no check of anything, and no ping: what it costs is what the kernel costs, and the rest of a server is
//! measured against that.
//!
//! `bare --listen ADDRESS --redis ADDRESS [--coalesce]`: with the last, all that one read from Redis brought for a
//! client goes out in one `send`.

use std::collections::HashMap;
use std::io::{self, ErrorKind, Read, Write};
use std::net::SocketAddr;

use base64::Engine as _;
use compare::{frame, resp, words};
use memchr::memmem;
use mio::net::{TcpListener, TcpStream};
use mio::{Events, Interest, Poll, Registry, Token};
use sha1::{Digest as _, Sha1};

const LISTENER: Token = Token(0);
const REDIS: Token = Token(1);
/// The token of the first client's slot.
const CLIENTS: usize = 2;

#[derive(Debug, thiserror::Error)]
enum Failure {
    #[error("usage: bare --listen ADDRESS --redis ADDRESS [--coalesce]")]
    Usage,
    #[error("{0}")]
    Io(#[from] io::Error),
    #[error("Redis has closed the connection")]
    RedisGone,
}

fn main() -> Result<(), Failure> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let mut bare = Bare::start(
        address_after(&arguments, "--listen")?,
        address_after(&arguments, "--redis")?,
        arguments.iter().any(|argument| argument == "--coalesce"),
    )?;
    bare.run()
}

fn address_after(arguments: &[String], name: &str) -> Result<SocketAddr, Failure> {
    let at = arguments.iter().position(|argument| argument == name);
    let value = at.and_then(|at| arguments.get(at + 1));
    value
        .and_then(|value| value.parse().ok())
        .ok_or(Failure::Usage)
}

struct Bare {
    poll: Poll,
    listener: TcpListener,
    redis: Redis,
    coalesce: bool,
    clients: Vec<Option<Client>>,
    free: Vec<u32>,
    /// Who listens to the price: contiguous, and in the order in which they came.
    price_listeners: Vec<u32>,
    account_listeners: HashMap<[u8; 36], u32>,
    /// What a new listener is told first.
    last_price: Option<Vec<u8>>,
    last_number: u64,
    buffer: Box<[u8]>,
    out: Vec<u8>,
}

struct Redis {
    stream: TcpStream,
    received: Vec<u8>,
    unsent: Vec<u8>,
}

struct Client {
    stream: TcpStream,
    id: Box<[u8]>,
    is_upgraded: bool,
    /// The number of its key, from `connection_init`.
    key: u32,
    /// Half a frame, and what the kernel did not take: neither is there as a rule.
    held: Option<Box<Held>>,
}

#[derive(Default)]
struct Held {
    received: Vec<u8>,
    unsent: Vec<u8>,
}

impl Bare {
    fn start(listen: SocketAddr, redis: SocketAddr, coalesce: bool) -> io::Result<Self> {
        let poll = Poll::new()?;
        let mut listener = TcpListener::bind(listen)?;
        poll.registry()
            .register(&mut listener, LISTENER, Interest::READABLE)?;
        let stream = std::net::TcpStream::connect(redis)?;
        stream.set_nonblocking(true)?;
        stream.set_nodelay(true)?;
        let mut redis = Redis {
            stream: TcpStream::from_std(stream),
            received: Vec::new(),
            unsent: Vec::new(),
        };
        poll.registry().register(
            &mut redis.stream,
            REDIS,
            Interest::READABLE | Interest::WRITABLE,
        )?;
        redis.subscribe(words::PRICE_CHANNEL.as_bytes());
        Ok(Bare {
            poll,
            listener,
            redis,
            coalesce,
            clients: Vec::new(),
            free: Vec::new(),
            price_listeners: Vec::new(),
            account_listeners: HashMap::new(),
            last_price: None,
            last_number: 0,
            buffer: vec![0; 65_536].into(),
            out: Vec::new(),
        })
    }

    fn run(&mut self) -> Result<(), Failure> {
        let mut events = Events::with_capacity(1024);
        loop {
            self.redis.flush()?;
            match self.poll.poll(&mut events, None) {
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                done => done?,
            }
            for event in &events {
                match event.token() {
                    LISTENER => self.accept()?,
                    REDIS if event.is_readable() => self.on_redis()?,
                    REDIS => {}
                    Token(token) => {
                        let slot = (token - CLIENTS) as u32;
                        if event.is_writable() {
                            self.resume(slot);
                        }
                        if event.is_readable() {
                            self.on_client(slot);
                        }
                    }
                }
            }
        }
    }

    fn accept(&mut self) -> io::Result<()> {
        loop {
            let mut stream = match self.listener.accept() {
                Ok((stream, _)) => stream,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
                Err(error) => return Err(error),
            };
            stream.set_nodelay(true)?;
            let slot = self.free.pop().unwrap_or_else(|| {
                self.clients.push(None);
                self.clients.len() as u32 - 1
            });
            let token = Token(slot as usize + CLIENTS);
            self.poll
                .registry()
                .register(&mut stream, token, Interest::READABLE)?;
            let client = Client {
                stream,
                id: Box::default(),
                is_upgraded: false,
                key: 0,
                held: None,
            };
            self.clients[slot as usize] = Some(client);
        }
    }

    fn on_client(&mut self, slot: u32) {
        loop {
            let Some(client) = &mut self.clients[slot as usize] else {
                return;
            };
            let read = match client.stream.read(&mut self.buffer) {
                Err(error) if error.kind() == ErrorKind::WouldBlock => return,
                Ok(0) | Err(_) => return self.forget(slot),
                Ok(read) => read,
            };
            let mut received = client
                .held
                .as_mut()
                .map(|held| std::mem::take(&mut held.received))
                .unwrap_or_default();
            received.extend(&self.buffer[..read]);
            let taken = self.understand(slot, &received);
            if let Some(client) = &mut self.clients[slot as usize] {
                received.drain(..taken);
                if !received.is_empty() {
                    client.held.get_or_insert_default().received = received;
                } else if client
                    .held
                    .as_ref()
                    .is_some_and(|held| held.unsent.is_empty())
                {
                    client.held = None;
                }
            }
            // Less than there was room for: there is no more, and the next will be told of.
            if read < self.buffer.len() {
                return;
            }
        }
    }

    /// Answers what a client has said; how many bytes of it were whole messages.
    fn understand(&mut self, slot: u32, received: &[u8]) -> usize {
        let mut taken = 0;
        while let Some(client) = &mut self.clients[slot as usize] {
            let rest = &received[taken..];
            if !client.is_upgraded {
                let Some(end) = memmem::find(rest, b"\r\n\r\n") else {
                    break;
                };
                let answer = upgrade(&rest[..end]);
                client.is_upgraded = true;
                taken += end + 4;
                send(self.poll.registry(), client, slot, answer.as_bytes());
                continue;
            }
            let Some(said) = frame::Frame::first_of(rest) else {
                break;
            };
            taken += said.size;
            match said.first {
                frame::TEXT => self.on_message(slot, &said.unmasked()),
                frame::CLOSE => self.forget(slot),
                _ => {}
            }
        }
        taken
    }

    fn on_message(&mut self, slot: u32, text: &[u8]) {
        let Some(client) = &mut self.clients[slot as usize] else {
            return;
        };
        if memmem::find(text, br#""type":"connection_init""#).is_some() {
            let key = text_after(text, br#""X-API-KEY":"blink_"#).unwrap_or_default();
            client.key = std::str::from_utf8(key)
                .ok()
                .and_then(|key| key.parse().ok())
                .unwrap_or_default();
            const ACK: &[u8] = br#"{"type":"connection_ack"}"#;
            self.out.clear();
            frame::begin(&mut self.out, frame::TEXT, ACK.len());
            self.out.extend(ACK);
            send(self.poll.registry(), client, slot, &self.out);
        } else if memmem::find(text, br#""type":"subscribe""#).is_some() {
            client.id = text_after(text, br#""id":""#).unwrap_or_default().into();
            if memmem::find(text, b"myUpdates").is_some() {
                let account = words::account(client.key as usize);
                self.redis
                    .subscribe(format!("{}{account}", words::ACCOUNT_CHANNEL).as_bytes());
                if let Ok(account) = account.as_bytes().try_into() {
                    self.account_listeners.insert(account, slot);
                }
            } else {
                self.price_listeners.push(slot);
                if let Some(price) = &self.last_price {
                    write_next(&mut self.out, &client.id, price);
                    send(self.poll.registry(), client, slot, &self.out);
                }
            }
        }
    }

    fn on_redis(&mut self) -> Result<(), Failure> {
        loop {
            match self.redis.stream.read(&mut self.buffer) {
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Ok(0) => return Err(Failure::RedisGone),
                Err(error) => return Err(error.into()),
                Ok(read) => self.redis.received.extend(&self.buffer[..read]),
            }
        }
        let received = std::mem::take(&mut self.redis.received);
        let (mut taken, mut prices) = (0, Vec::new());
        while let Some(push) = resp::Push::first_of(&received[taken..]) {
            taken += push.size;
            let account = push.channel.strip_prefix(words::ACCOUNT_CHANNEL.as_bytes());
            match (push.kind, account) {
                (b"message", Some(account)) => self.tell_account(account, push.body),
                (b"subscribe", Some(account)) => self.greet(account),
                (b"message", None) => {
                    let payload = self.price_payload(push.body);
                    if self.coalesce {
                        prices.push(payload);
                    } else {
                        self.tell_price(std::slice::from_ref(&payload));
                        self.last_price = Some(payload);
                    }
                }
                _ => {}
            }
        }
        if !prices.is_empty() {
            self.tell_price(&prices);
            self.last_price = prices.pop();
        }
        self.redis.received = received;
        self.redis.received.drain(..taken);
        Ok(())
    }

    /// Sends every listener these prices, in one `send` each.
    fn tell_price(&mut self, payloads: &[Vec<u8>]) {
        for &slot in &self.price_listeners {
            let Some(client) = &mut self.clients[slot as usize] else {
                continue;
            };
            self.out.clear();
            for payload in payloads {
                push_next(&mut self.out, &client.id, payload);
            }
            send(self.poll.registry(), client, slot, &self.out);
        }
    }

    fn tell_account(&mut self, account: &[u8], body: &[u8]) {
        let listener = <[u8; 36]>::try_from(account)
            .ok()
            .and_then(|account| self.account_listeners.get(&account));
        let Some(&slot) = listener else { return };
        let Some(client) = &mut self.clients[slot as usize] else {
            return;
        };
        let payload = receipt_payload(
            account,
            text_after(body, words::MEMO_FIELD.as_bytes()).unwrap_or_default(),
        );
        write_next(&mut self.out, &client.id, &payload);
        send(self.poll.registry(), client, slot, &self.out);
    }

    /// What a listener is told first, now that nothing can be missed: the price twice, as the original tells it.
    fn greet(&mut self, account: &[u8]) {
        let listener = <[u8; 36]>::try_from(account)
            .ok()
            .and_then(|account| self.account_listeners.get(&account));
        let Some(&slot) = listener else { return };
        let Some(client) = &mut self.clients[slot as usize] else {
            return;
        };
        let number = self.last_number;
        let price = format!(
            r#"{{"data":{{"myUpdates":{{"errors":[],"me":null,"update":{{"__typename":"Price","base":{number},"offset":12}}}}}}}}"#
        );
        let realtime = format!(
            "{{\"data\":{{\"myUpdates\":{{\"errors\":[],\"me\":{{\"id\":\"{}\"}},\"update\":{{\"__typename\":\
             \"RealtimePrice\",\"btcSatPrice\":{{\"base\":{number},\"offset\":12}}}}}}}}}}",
            String::from_utf8_lossy(account)
        );
        self.out.clear();
        push_next(&mut self.out, &client.id, price.as_bytes());
        push_next(&mut self.out, &client.id, realtime.as_bytes());
        send(self.poll.registry(), client, slot, &self.out);
    }

    fn price_payload(&mut self, body: &[u8]) -> Vec<u8> {
        let price = memmem::find(body, br#""pricePerSat":"#)
            .map(|at| &body[at + 14..])
            .unwrap_or_default();
        let end = price
            .iter()
            .position(|byte| *byte == b',')
            .unwrap_or(price.len());
        let price: f64 = std::str::from_utf8(&price[..end])
            .ok()
            .and_then(|price| price.parse().ok())
            .unwrap_or_default();
        self.last_number = (price * 1e14).round() as u64;
        format!(
            "{{\"data\":{{\"realtimePrice\":{{\"errors\":[],\"realtimePrice\":{{\
             \"id\":\"a6e2abdb-431e-5455-81c1-92fbaccfb0de\",\"timestamp\":1705314600,\"denominatorCurrency\":\"USD\",\
             \"btcSatPrice\":{{\"base\":{},\"offset\":12,\"currencyUnit\":\"MINOR\"}},\
             \"usdCentPrice\":{{\"base\":1000000,\"offset\":6,\"currencyUnit\":\"MINOR\"}}}}}}}}}}",
            self.last_number
        )
        .into_bytes()
    }

    /// Sends what the kernel did not take before.
    fn resume(&mut self, slot: u32) {
        let Some(client) = &mut self.clients[slot as usize] else {
            return;
        };
        let Some(held) = &mut client.held else { return };
        let unsent = std::mem::take(&mut held.unsent);
        send(self.poll.registry(), client, slot, &unsent);
    }

    fn forget(&mut self, slot: u32) {
        if let Some(mut client) = self.clients[slot as usize].take() {
            let _ = self.poll.registry().deregister(&mut client.stream);
            self.price_listeners.retain(|listener| *listener != slot);
            self.account_listeners
                .retain(|_, listener| *listener != slot);
            self.free.push(slot);
        }
    }
}

impl Redis {
    fn subscribe(&mut self, channel: &[u8]) {
        resp::command(&mut self.unsent, &[b"SUBSCRIBE", channel]);
    }

    /// Sends what there is. What Redis does not take waits until the poll says that it will.
    fn flush(&mut self) -> io::Result<()> {
        while !self.unsent.is_empty() {
            match self.stream.write(&self.unsent) {
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
                written => drop(self.unsent.drain(..written?)),
            }
        }
        Ok(())
    }
}

/// Sends this behind what is still unsent. A client that is gone is found out by the read.
fn send(registry: &Registry, client: &mut Client, slot: u32, bytes: &[u8]) {
    if let Some(held) = &mut client.held
        && !held.unsent.is_empty()
    {
        held.unsent.extend(bytes);
        return;
    }
    let sent = match client.stream.write(bytes) {
        Ok(sent) => sent,
        Err(error) if error.kind() == ErrorKind::WouldBlock => 0,
        Err(_) => return,
    };
    if sent < bytes.len() {
        client
            .held
            .get_or_insert_default()
            .unsent
            .extend(&bytes[sent..]);
        let token = Token(slot as usize + CLIENTS);
        // It fails for a socket that is gone, only.
        let _ = registry.reregister(
            &mut client.stream,
            token,
            Interest::READABLE | Interest::WRITABLE,
        );
    }
}

/// Writes a `next` message in its frame, and nothing else, to `out`.
fn write_next(out: &mut Vec<u8>, id: &[u8], payload: &[u8]) {
    out.clear();
    push_next(out, id, payload);
}

fn push_next(out: &mut Vec<u8>, id: &[u8], payload: &[u8]) {
    const BEGIN: &[u8] = br#"{"id":""#;
    const MIDDLE: &[u8] = br#"","type":"next","payload":"#;
    let length = BEGIN.len() + id.len() + MIDDLE.len() + payload.len() + 1;
    frame::begin(out, frame::TEXT, length);
    out.extend(BEGIN);
    out.extend(id);
    out.extend(MIDDLE);
    out.extend(payload);
    out.push(b'}');
}

fn receipt_payload(account: &[u8], memo: &[u8]) -> Vec<u8> {
    let mut payload = Vec::with_capacity(512);
    payload.extend(br#"{"data":{"myUpdates":{"errors":[],"me":{"id":""#);
    payload.extend(account);
    payload.extend(
        br#""},"update":{"__typename":"LnUpdate","paymentHash":"bf6b3a1f0e5c4d2b8a7960f1e2d3c4b5a69788f9e0d1c2b3a4f5e6d7c8b9a0f1","status":"PAID","walletId":"6c9ae5a1-0c6b-4d8e-9a39-2b5a7a0f0b01","transaction":{"id":"655cd1926445716f60b89418","status":"SUCCESS","direction":"RECEIVE","memo":""#,
    );
    payload.extend(memo);
    payload.extend(
        br#"","settlementAmount":2707,"settlementCurrency":"BTC","createdAt":1700531378}}}}}"#,
    );
    payload
}

/// What stands between this and the next quote.
fn text_after<'a>(text: &'a [u8], before: &[u8]) -> Option<&'a [u8]> {
    let rest = &text[memmem::find(text, before)? + before.len()..];
    Some(&rest[..memchr::memchr(b'"', rest)?])
}

fn upgrade(head: &[u8]) -> String {
    let head = String::from_utf8_lossy(head);
    let key = head.lines().find_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.eq_ignore_ascii_case("sec-websocket-key")
            .then(|| value.trim())
    });
    let mut sha1 = Sha1::new();
    sha1.update(key.unwrap_or_default());
    // RFC 6455, section 1.3.
    sha1.update("258EAFA5-E914-47DA-95CA-C5AB0DC85B11");
    format!(
        "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
         Sec-WebSocket-Accept: {}\r\nSec-WebSocket-Protocol: graphql-transport-ws\r\n\r\n",
        base64::engine::general_purpose::STANDARD.encode(sha1.finalize())
    )
}
