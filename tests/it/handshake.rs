//! When things happen on a connection: a socket in memory, and a clock that jumps.
//!
//! The settings are those that are shipped, so the times are those that clients see.

use std::sync::Arc;
use std::time::Duration;

use insta::assert_snapshot;
use tidings::accounts::Directory;
use tidings::auth::{Authenticator, KeyRing, Tokens};
use tidings::bus::{Bus, MemoryBus};
use tidings::channels::Channels;
use tidings::config::Settings;
use tidings::graphql::{Graphql, PersistedDocuments, RequestLimits, Sources};
use tidings::hub::{Hub, Remembers};
use tidings::metrics::Metrics;
use tidings::registry::{Registry, RegistryLimits};
use tidings::retained::{MemoryRetained, Retained};
use tidings::transport::apis::Apis;
use tidings::transport::close::Close;
use tidings::transport::endpoint;
use tidings::transport::protocol::Protocol;
use tidings::transport::server::Server;
use tidings::transport::ws::Connection;
use tidings::websocket::{Message, Opcode, Reader, Role, close_payload, push_masked};
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, ReadHalf, WriteHalf};
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;

const INIT: &str = r#"{"type":"connection_init"}"#;
const INIT_WITH_KEY: &str = r#"{"type":"connection_init","payload":{"X-API-KEY":"blink_aaaaaaaaaaaaaaaabbbbbbbbbbbbbbbbccccccccccccccccdddddddddddddddd"}}"#;
const PING: &str = r#"{"type":"ping"}"#;

#[tokio::test(start_paused = true)]
async fn a_silent_client_is_closed_when_the_init_timeout_is_over() {
    assert_snapshot!(Client::default().conversation(&[]).await, @r"
    3s: close 4408 Connection initialisation timeout
    3s: ended by InitTimeout
    ");
}

#[tokio::test(start_paused = true)]
async fn a_client_that_talks_of_something_else_is_closed_then_too() {
    let pings = [(1000, PING), (2999, PING)];
    assert_snapshot!(Client::default().conversation(&pings).await, @r#"
    1s: {"type":"pong"}
    2.999s: {"type":"pong"}
    3s: close 4408 Connection initialisation timeout
    3s: ended by InitTimeout
    "#);
}

#[tokio::test(start_paused = true)]
async fn an_init_in_the_last_moment_is_in_time() {
    let client = Client {
        until: 10_000,
        ..Client::default()
    };
    assert_snapshot!(client.conversation(&[(2999, INIT)]).await, @r#"2.999s: {"type":"connection_ack"}"#);
}

#[tokio::test(start_paused = true)]
async fn the_init_timeout_stops_at_the_init_and_who_cannot_be_checked_comes_back_later() {
    // Keys are not known yet, and wait for `auth.timeout`.
    let pings = [(2500, INIT_WITH_KEY), (3400, PING)];
    assert_snapshot!(Client::default().conversation(&pings).await, @r#"
    3.4s: {"type":"pong"}
    3.5s: close 1013 Credentials cannot be checked now, try again later
    3.5s: ended by Unavailable
    "#);
}

#[tokio::test(start_paused = true)]
async fn a_client_that_answers_no_ping_is_dropped_12_seconds_after_it() {
    let client = Client {
        pongs: Pongs::Never,
        ..Client::default()
    };
    assert_snapshot!(client.conversation(&[(0, INIT)]).await, @r#"
    0s: {"type":"connection_ack"}
    12s: ping frame
    24s: ended by Unresponsive
    "#);
}

#[tokio::test(start_paused = true)]
async fn messages_are_no_answer_to_a_ping() {
    let client = Client {
        pongs: Pongs::Never,
        ..Client::default()
    };
    let says = [(0, INIT), (13_000, PING), (14_000, r#"{"type":"pong"}"#)];
    assert_snapshot!(client.conversation(&says).await, @r#"
    0s: {"type":"connection_ack"}
    12s: ping frame
    13s: {"type":"pong"}
    24s: ended by Unresponsive
    "#);
}

#[tokio::test(start_paused = true)]
async fn a_client_that_answers_is_pinged_12_seconds_after_its_answer() {
    let client = Client {
        until: 40_000,
        ..Client::default()
    };
    assert_snapshot!(client.conversation(&[(0, INIT)]).await, @r#"
    0s: {"type":"connection_ack"}
    12s: ping frame
    24s: ping frame
    36s: ping frame
    "#);
    let client = Client {
        until: 60_000,
        pongs: Pongs::After(11_999),
        ..Client::default()
    };
    assert_snapshot!(client.conversation(&[(0, INIT)]).await, @r#"
    0s: {"type":"connection_ack"}
    12s: ping frame
    35.999s: ping frame
    59.998s: ping frame
    "#);
}

#[tokio::test(start_paused = true)]
async fn a_pong_that_nobody_asked_for_changes_nothing() {
    let client = Client {
        pongs: Pongs::Never,
        ..Client::default()
    };
    let says = [(0, INIT), (6_000, PONG_FRAME), (11_000, PONG_FRAME)];
    assert_snapshot!(client.conversation(&says).await, @r#"
    0s: {"type":"connection_ack"}
    12s: ping frame
    24s: ended by Unresponsive
    "#);
}

#[tokio::test(start_paused = true)]
async fn no_ping_comes_before_the_acknowledgement() {
    let server = server(|settings| {
        settings.limits.init_timeout = Duration::from_secs(60);
        settings.limits.ping_interval = Duration::from_secs(1);
    });
    let client = Client {
        server,
        until: 31_500,
        ..Client::default()
    };
    assert_snapshot!(client.conversation(&[(30_000, INIT)]).await, @r#"
    30s: {"type":"connection_ack"}
    31s: ping frame
    "#);
}

#[tokio::test(start_paused = true)]
async fn a_client_that_does_not_read_is_let_go_when_the_write_timeout_is_over() {
    // Two frames fit on the way: the acknowledgement, and one pong.
    let client = Client {
        reads: false,
        ..Client::default()
    };
    let says = [(0, INIT), (1000, PING), (5000, PING)];
    // From the write that could not end, and then a moment for the close frame.
    assert_snapshot!(client.conversation(&says).await, @"17s: ended by TooSlow");
}

#[tokio::test(start_paused = true)]
async fn a_client_that_does_not_read_is_noticed_by_its_ping() {
    let client = Client {
        reads: false,
        ..Client::default()
    };
    assert_snapshot!(client.conversation(&[(0, INIT), (1000, PING)]).await, @"24s: ended by TooSlow");
}

#[tokio::test(start_paused = true)]
async fn a_client_that_does_not_answer_the_close_is_dropped_2_seconds_later() {
    let client = Client {
        closes: false,
        ..Client::default()
    };
    assert_snapshot!(client.conversation(&[]).await, @r"
    3s: close 4408 Connection initialisation timeout
    5s: ended by InitTimeout
    ");
}

#[tokio::test(start_paused = true)]
async fn a_server_that_stops_says_so_in_every_phase() {
    for says in [&[][..], &[(500, INIT_WITH_KEY)], &[(0, INIT)]] {
        let client = Client::default();
        let drain = client.server.drain.clone();
        tokio::spawn(async move {
            sleep_until(Instant::now() + Duration::from_secs(1)).await;
            drain.cancel();
        });
        let heard = client.conversation(says).await;
        let expected = "1s: close 1001 Going away\n1s: ended by GoingAway";
        assert!(heard.ends_with(expected), "{heard}");
    }
}

#[tokio::test(start_paused = true)]
async fn in_graphql_ws_a_keep_alive_comes_with_the_acknowledgement_and_with_every_ping() {
    let client = Client {
        protocol: Protocol::GraphqlWs,
        until: 40_000,
        ..Client::default()
    };
    assert_snapshot!(client.conversation(&[(0, INIT)]).await, @r#"
    0s: {"type":"connection_ack"}
    0s: {"type":"ka"}
    12s: ping frame
    12s: {"type":"ka"}
    24s: ping frame
    24s: {"type":"ka"}
    36s: ping frame
    36s: {"type":"ka"}
    "#);
}

#[tokio::test(start_paused = true)]
async fn in_graphql_ws_no_keep_alive_is_more_than_20_seconds_behind_the_last_one() {
    // However long a client takes for its pong,
    let client = Client {
        protocol: Protocol::GraphqlWs,
        pongs: Pongs::After(11_999),
        until: 60_000,
        ..Client::default()
    };
    assert_snapshot!(client.conversation(&[(0, INIT)]).await, @r#"
    0s: {"type":"connection_ack"}
    0s: {"type":"ka"}
    12s: ping frame
    12s: {"type":"ka"}
    23.999s: {"type":"ka"}
    35.999s: ping frame
    35.999s: {"type":"ka"}
    47.998s: {"type":"ka"}
    59.998s: ping frame
    59.998s: {"type":"ka"}
    "#);
    // and however rarely it is pinged.
    let client = Client {
        server: server(|settings| settings.limits.ping_interval = Duration::from_secs(50)),
        protocol: Protocol::GraphqlWs,
        until: 80_000,
        ..Client::default()
    };
    assert_snapshot!(client.conversation(&[(0, INIT)]).await, @r#"
    0s: {"type":"connection_ack"}
    0s: {"type":"ka"}
    20s: ping frame
    20s: {"type":"ka"}
    40s: ping frame
    40s: {"type":"ka"}
    60s: ping frame
    60s: {"type":"ka"}
    "#);
}

#[tokio::test(start_paused = true)]
async fn in_graphql_ws_who_cannot_be_let_in_is_told_why_and_what_it_began_is_forgotten() {
    let start = r#"{"id":"1","type":"start","payload":{"query":"subscription { myUpdates { update { __typename } } }"}}"#;
    // Keys are not known yet, and wait for `auth.timeout`.
    let client = Client {
        protocol: Protocol::GraphqlWs,
        ..Client::default()
    };
    let says = [(0, INIT_WITH_KEY), (1, start), (2, start)];
    assert_snapshot!(client.conversation(&says).await, @r#"
    1s: {"type":"connection_error","payload":{"message":"Credentials cannot be checked now, try again later"}}
    1s: close 1013 Credentials cannot be checked now, try again later
    1s: ended by Unavailable
    "#);
}

/// Says a pong frame, in a list of texts.
const PONG_FRAME: &str = "pong frame";

/// A client, and the server that it speaks with.
struct Client {
    server: Arc<Server>,
    protocol: Protocol,
    pongs: Pongs,
    reads: bool,
    /// Whether it answers a close frame.
    closes: bool,
    /// When nobody is curious any longer, in milliseconds.
    until: u64,
}

/// When a client answers pings.
#[derive(Clone, Copy)]
enum Pongs {
    /// So many milliseconds later.
    After(u64),
    Never,
}

impl Default for Client {
    fn default() -> Self {
        Client {
            server: server(|_| {}),
            protocol: Protocol::GraphqlTransportWs,
            pongs: Pongs::After(0),
            reads: true,
            closes: true,
            until: 100_000,
        }
    }
}

impl Client {
    /// Says these texts at these times, in milliseconds; gives what is heard, and when.
    async fn conversation(self, says: &[(u64, &str)]) -> String {
        // What is on the way to a client that does not read: an acknowledgement and one pong.
        let on_the_way = if self.reads { 65_536 } else { 44 };
        let (pipe, client) = tokio::io::duplex(on_the_way);
        let (read, mut write) = tokio::io::split(client);
        let mut ear = Ear::new(read);
        let begin = Instant::now();
        let at = |milliseconds| begin + Duration::from_millis(milliseconds);
        let limit = self.server.limits.message_bytes;
        let connection = Connection::over(pipe, self.server, somebody(), self.protocol, limit);
        let mut connection = tokio::spawn(connection.run());
        let mut to_say: Vec<(Instant, Frame)> = says
            .iter()
            .map(|(time, text)| (at(*time), frame(text)))
            .collect();
        let mut heard = Vec::new();
        loop {
            to_say.sort_by_key(|(time, _)| *time);
            let next = to_say.first().map_or(at(self.until), |(time, _)| *time);
            tokio::select! {
                biased;
                close = &mut connection => {
                    let close: Close = close.expect("a connection does not panic");
                    heard.push(format!("{}s: ended by {close:?}", begin.elapsed().as_secs_f64()));
                    break;
                }
                (words, answer) = ear.next(), if self.reads => {
                    heard.push(format!("{}s: {words}", begin.elapsed().as_secs_f64()));
                    match (answer, self.pongs) {
                        (Some(pong @ (Opcode::Pong, _)), Pongs::After(milliseconds)) => {
                            to_say.push((Instant::now() + Duration::from_millis(milliseconds), pong));
                        }
                        (Some(close @ (Opcode::Close, _)), _) if self.closes => {
                            say(&mut write, close).await;
                        }
                        _ => {}
                    }
                }
                () = sleep_until(next.min(at(self.until))) => {
                    if Instant::now() >= at(self.until) {
                        break;
                    }
                    let (_, frame) = to_say.remove(0);
                    say(&mut write, frame).await;
                }
            }
        }
        heard.join("\n")
    }
}

type Frame = (Opcode, Vec<u8>);

fn frame(text: &str) -> Frame {
    match text {
        PONG_FRAME => (Opcode::Pong, Vec::new()),
        text => (Opcode::Text, text.into()),
    }
}

/// A server that has gone is no reason for a client to fail.
async fn say(write: &mut WriteHalf<DuplexStream>, (opcode, payload): Frame) {
    let mut bytes = Vec::new();
    push_masked(&mut bytes, opcode, [1, 2, 3, 4], &[&payload]);
    let _ = write.write_all(&bytes).await;
}

/// Reads frames, and answers none by itself.
struct Ear {
    read: ReadHalf<DuplexStream>,
    reader: Reader,
    bytes: Vec<u8>,
}

impl Ear {
    fn new(read: ReadHalf<DuplexStream>) -> Self {
        Ear {
            read,
            reader: Reader::new(Role::Client, 65_536),
            bytes: Vec::new(),
        }
    }

    /// The words of the next frame, and its answer; never, when there is none any more. Cancel-safe.
    async fn next(&mut self) -> (String, Option<Frame>) {
        loop {
            let mut input = &mut self.bytes[..];
            let heard = self.reader.next(&mut input).expect("a server sends frames");
            let heard = heard.map(|message| (words(&message), answer(&message)));
            self.bytes = input.to_vec();
            if let Some(heard) = heard {
                return heard;
            }
            if self.read.read_buf(&mut self.bytes).await.unwrap_or(0) == 0 {
                std::future::pending::<()>().await;
            }
        }
    }
}

fn words(message: &Message<'_>) -> String {
    match message {
        Message::Text(text) => text.to_string(),
        Message::Ping(_) => "ping frame".to_owned(),
        Message::Close(Some((code, reason))) => format!("close {code} {reason}"),
        other => format!("{other:?}"),
    }
}

fn answer(message: &Message<'_>) -> Option<Frame> {
    match message {
        Message::Ping(payload) => Some((Opcode::Pong, payload.to_vec())),
        Message::Close(Some((code, reason))) => {
            Some((Opcode::Close, close_payload(*code, reason).to_vec()))
        }
        _ => None,
    }
}

fn somebody() -> endpoint::Client {
    endpoint::Client {
        id: uuid::Uuid::new_v4(),
        address: [127, 0, 0, 1].into(),
    }
}

/// A server with the settings that are shipped, changed by this. It knows no keys yet.
fn server(change: impl FnOnce(&mut Settings)) -> Arc<Server> {
    let mut settings =
        Settings::load(None, std::iter::empty(), Vec::new()).expect("the default is good");
    change(&mut settings);
    let metrics = Arc::<Metrics>::default();
    let (bus, inbox) = MemoryBus::new();
    let retained = Retained::Memory(MemoryRetained::new(&settings.retained));
    let hub = Hub::new(
        Bus::Memory(bus),
        retained,
        Arc::default(),
        settings.hub.clone(),
        Remembers::of(&settings.retained),
        metrics.clone(),
    );
    tokio::spawn(hub.clone().run(inbox, CancellationToken::new()));
    let sources = Sources {
        hub: hub.clone(),
        directory: Arc::<Directory>::default(),
        currencies: settings.prices.currencies.clone().into(),
        default_display_currency: settings.prices.default_display_currency,
        complete_when_final: settings.invoices.complete_when_final,
    };
    let limits = RequestLimits {
        depth: settings.limits.depth,
        complexity: settings.limits.complexity,
        documents: settings.limits.documents as u64,
    };
    let server = Server::new(
        Arc::new(Graphql::new(
            sources,
            limits,
            PersistedDocuments::automatic(),
        )),
        Apis {
            channels: Channels::new(hub),
            plans: Arc::default(),
            allenhark: None,
            websocks: None,
            blockdb: None,
        },
        Authenticator::new(
            settings.auth.clone(),
            Arc::<KeyRing>::default(),
            Tokens::default(),
            metrics.clone(),
        ),
        Registry::alone(
            RegistryLimits {
                per_user: 10,
                per_key: 1000,
            },
            "node".into(),
        ),
        settings.limits.of_connection(),
        metrics,
        CancellationToken::new(),
    );
    tokio::spawn(server.clone().watch());
    server
}
