//! The bus of several processes: Redis pub/sub.
//!
//! One connection of this process listens, on exact channels as they are watched and on one pattern
//! for all invoices; another ([`RedisLink`]) publishes. A supervisor of ours owns the first: the
//! redis crate notices neither a link that went silent nor a subscriber that is deaf, and some of
//! its ways to reconnect give up. Whatever makes the connection doubtful, the answer is one and the
//! same: drop it, say [`Message::Lost`], connect and watch everything again, say
//! [`Message::Restored`].
//!
//! **When the inbox is full** the supervisor stops reading the socket. Nothing is dropped here: the
//! kernel's buffer fills, then Redis's buffer for us, up to its `client-output-buffer-limit
//! pubsub` (32 MB, or 8 MB for a minute). Then Redis closes the connection, and that is a gap that
//! everybody sees, like any other.

mod pulse;
mod resp;
mod subscriber;
mod watchlist;

use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use bytes::Bytes;
use futures_util::FutureExt;
use redis::cmd;
use tokio::sync::mpsc::error::TrySendError;
use tokio::sync::{Notify, mpsc};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, timeout};
use tokio_util::task::AbortOnDropHandle;
use tracing::{debug, info, warn};

#[doc(hidden)]
pub use self::resp::{Replies, Reply};

use self::pulse::{Beat, Pulse};
use self::subscriber::{Doubt, Heard, Subscriber};
use self::watchlist::{Batch, Watchlist};
use super::{Away, Inbox, Message, inbox};
use crate::redis_link::{Backoff, RedisConfig, RedisLink};
use crate::topic::Topic;

/// Carries payloads through Redis.
#[derive(Clone)]
pub struct RedisBus {
    link: RedisLink,
    watching: Arc<Watching>,
    reply_timeout: Duration,
    /// Ends when the last clone of this bus is dropped; then so does the inbox.
    _supervisor: Arc<AbortOnDropHandle<()>>,
}

impl RedisBus {
    /// A bus through the Redis that `link` leads to, and the end that its one reader reads.
    /// Returns at once, whether Redis is there or not.
    pub fn start(config: RedisConfig, link: RedisLink) -> (Self, Inbox) {
        let (sender, inbox) = inbox();
        let canary = format!("TIDINGS_CANARY_{}", uuid::Uuid::new_v4());
        let watching = Arc::new(Watching::new(canary));
        let reply_timeout = config.reply_timeout;
        let supervisor = Supervisor {
            link: link.clone(),
            config,
            watching: Arc::clone(&watching),
            inbox: sender,
        };
        let supervisor = AbortOnDropHandle::new(tokio::spawn(supervisor.run()));
        let bus = RedisBus {
            link,
            watching,
            reply_timeout,
            _supervisor: Arc::new(supervisor),
        };
        (bus, inbox)
    }

    /// Through the command connection, whether the subscriber is connected or not.
    pub(super) async fn publish(&self, topic: &Topic, body: Bytes) -> Result<(), Away> {
        let mut publish = cmd("PUBLISH");
        publish.arg(topic.channel()).arg(&body[..]);
        match self.link.run::<i64>(&publish).await {
            Ok(_receivers) => Ok(()),
            Err(unavailable) => {
                debug!("a body was not published: {unavailable}");
                Err(Away)
            }
        }
    }

    /// Waits until Redis has confirmed, but no longer than it may take to answer.
    pub(super) async fn watch(&self, topic: &Topic) -> Result<(), Away> {
        let (waiting, connection) = {
            let mut state = self.watching.state();
            let waiting = state.watchlist.watch(&self.watching.channel(topic));
            if state.standing == Standing::Away {
                return Err(Away);
            }
            (waiting, state.connection)
        };
        let Some(waiting) = waiting else {
            return Ok(());
        };
        self.watching.changed.notify_one();
        match timeout(self.reply_timeout, waiting).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(_lost)) => Err(Away),
            Err(_) => {
                // Whoever is told `Away` is told `Restored` later: so this is a gap, too.
                self.watching.doubt(connection);
                Err(Away)
            }
        }
    }

    pub(super) fn release(&self, topic: &Topic) {
        if !matches!(topic, Topic::Invoice(_)) {
            let mut state = self.watching.state();
            state.watchlist.release(&Channel::Topic(topic.clone()));
            self.watching.changed.notify_one();
        }
    }

    pub(super) fn is_up(&self) -> bool {
        self.watching.state().standing == Standing::Up
    }
}

/// What the bus's clones and its supervisor share.
struct Watching {
    state: Mutex<State>,
    /// Wakes the supervisor when there is something to ask, or a doubt.
    changed: Notify,
    /// A channel that no other process knows.
    canary: String,
}

/// A channel that is watched.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Channel {
    Topic(Topic),
    /// The one that no other process knows.
    Canary,
}

struct State {
    standing: Standing,
    watchlist: Watchlist<Channel>,
    /// Counts connections, so that a doubt about one is none about the next.
    connection: u64,
    doubted: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Standing {
    /// The first connection is under way: nothing is lost yet.
    Starting,
    Up,
    Away,
}

impl Watching {
    fn new(canary: String) -> Self {
        let mut watchlist = Watchlist::default();
        // The canary is watched like any channel, and always.
        watchlist.watch(&Channel::Canary);
        let state = State {
            standing: Standing::Starting,
            watchlist,
            connection: 0,
            doubted: false,
        };
        Watching {
            state: Mutex::new(state),
            changed: Notify::new(),
            canary,
        }
    }

    /// The channel that is watched when the topic is. For an invoice it is the canary's: the
    /// pattern of all invoices is the first thing that a connection asks for, and Redis answers in
    /// order.
    fn channel(&self, topic: &Topic) -> Channel {
        match topic {
            Topic::Invoice(_) => Channel::Canary,
            topic => Channel::Topic(topic.clone()),
        }
    }

    /// The channel with this name, if it is one of those that are watched here.
    fn named(&self, name: &str) -> Option<Channel> {
        match Topic::of_channel(name) {
            Some(topic) => Some(Channel::Topic(topic)),
            None => (name == self.canary).then_some(Channel::Canary),
        }
    }

    fn names(&self, channels: &[Channel]) -> Vec<String> {
        let name = |channel: &Channel| match channel {
            Channel::Topic(topic) => topic.channel(),
            Channel::Canary => self.canary.clone(),
        };
        channels.iter().map(name).collect()
    }

    fn doubt(&self, connection: u64) {
        let mut state = self.state();
        if state.connection == connection && state.standing != Standing::Away {
            state.doubted = true;
            self.changed.notify_one();
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state
            .lock()
            .expect("nothing panics while it holds the watchlist")
    }
}

/// Keeps the bus connected, for ever.
struct Supervisor {
    link: RedisLink,
    config: RedisConfig,
    watching: Arc<Watching>,
    inbox: mpsc::Sender<Message>,
}

impl Supervisor {
    async fn run(self) {
        tokio::select! {
            () = self.inbox.closed() => self.watching.state().standing = Standing::Away,
            () = self.keep_connected() => {}
        }
    }

    async fn keep_connected(&self) {
        let mut backoff = self.link.backoff();
        loop {
            let Err(doubt) = self.listen(&mut backoff).await;
            self.lose(&doubt).await;
            sleep(backoff.next_pause()).await;
        }
    }

    /// Connects, and listens until there is a doubt.
    ///
    /// What Redis says goes first: silence is judged only when nothing is left to read. All that was read
    /// is handed over before anything is waited for. What is to be asked waits for what was read at
    /// once at most, because it is asked before every wait.
    async fn listen(&self, backoff: &mut Backoff) -> Result<std::convert::Infallible, Doubt> {
        let address = self.link.address();
        let patience = self.config.reply_timeout;
        let mut subscriber = Subscriber::connect(address, Topic::EVERY_INVOICE, patience).await?;
        self.watching.state().watchlist.connected();
        let mut pulse = Pulse::new(&self.config);
        let mut canaries = JoinSet::new();
        // The lock of the watchlist is taken when there is something to see, not for each message.
        let mut has_changed = true;
        loop {
            while let Some(heard) = subscriber.heard()? {
                has_changed |= matches!(heard, Heard::Confirmed { .. });
                self.hear(heard, &mut pulse).await;
            }
            has_changed |= self.watching.changed.notified().now_or_never().is_some();
            if std::mem::take(&mut has_changed) {
                self.ask(&mut subscriber).await?;
                self.restore_if_settled(backoff).await;
            }
            tokio::select! {
                biased;
                read = subscriber.read() => read?,
                () = self.watching.changed.notified() => has_changed = true,
                Some(Ok(outcome)) = canaries.join_next() => pulse.canary_published(&outcome),
                beat = pulse.next() => match beat {
                    Beat::Ping => subscriber.ping().await?,
                    // At most one is under way.
                    Beat::Canary if canaries.is_empty() => {
                        let (link, publish) = (self.link.clone(), self.canary());
                        canaries.spawn(async move { link.run::<i64>(&publish).await });
                    }
                    Beat::Canary => {}
                    Beat::Silence(doubt) => return Err(doubt),
                },
            }
        }
    }

    /// Asks Redis for what has changed on the watchlist: first what is given up, so that a channel that
    /// is confirmed says that those released before it are gone.
    async fn ask(&self, subscriber: &mut Subscriber) -> Result<(), Doubt> {
        loop {
            let batch = {
                let mut state = self.watching.state();
                if state.doubted {
                    return Err(Doubt::NotConfirmed(self.config.reply_timeout));
                }
                state.watchlist.ask(self.config.resubscribe_batch.get())
            };
            let Some(Batch {
                subscribe,
                unsubscribe,
            }) = batch
            else {
                return Ok(());
            };
            for (command, channels) in [("UNSUBSCRIBE", unsubscribe), ("SUBSCRIBE", subscribe)] {
                let names = self.watching.names(&channels);
                subscriber.ask(command, &names).await?;
            }
        }
    }

    /// Says that the bus is up when Redis has confirmed all that is wanted. Decided under the lock:
    /// who was told `Away` before has its channel on the list that is complete now.
    async fn restore_if_settled(&self, backoff: &mut Backoff) {
        let (before, channels) = {
            let mut state = self.watching.state();
            if state.standing == Standing::Up || !state.watchlist.is_settled() {
                return;
            }
            let before = std::mem::replace(&mut state.standing, Standing::Up);
            (before, state.watchlist.len())
        };
        backoff.reset();
        let redis = self.link.address();
        info!(%redis, channels, "the bus is up");
        if before == Standing::Away {
            self.tell(Message::Restored).await;
        }
    }

    async fn hear(&self, heard: Heard, pulse: &mut Pulse) {
        match heard {
            Heard::Body(body) => match body.channel().and_then(|name| self.watching.named(name)) {
                Some(Channel::Topic(topic)) => {
                    let body = body.into_bytes();
                    let blocked = self.tell(Message::Payload { topic, body }).await;
                    pulse.excuse(blocked);
                }
                Some(Channel::Canary) => pulse.canary_heard(),
                None => debug!("a body came on a channel that is no topic's"),
            },
            Heard::Confirmed { channel } => {
                if let Some(channel) = self.watching.named(&channel) {
                    self.watching.state().watchlist.confirmed(&channel);
                }
            }
            Heard::Pong => pulse.pong(),
            Heard::Other => {}
        }
    }

    /// Gives the connection up. Said once, however many attempts fail after it.
    async fn lose(&self, doubt: &Doubt) {
        let before = {
            let mut state = self.watching.state();
            state.watchlist.disconnected();
            state.connection += 1;
            state.doubted = false;
            std::mem::replace(&mut state.standing, Standing::Away)
        };
        let redis = self.link.address();
        if before == Standing::Away {
            debug!(%redis, "the bus is still away: {doubt}");
        } else {
            warn!(%redis, "the bus is lost: {doubt}");
            self.tell(Message::Lost).await;
        }
    }

    /// Puts a message into the inbox, and tells how long that took if it was full.
    async fn tell(&self, message: Message) -> Duration {
        let Err(TrySendError::Full(message)) = self.inbox.try_send(message) else {
            return Duration::ZERO;
        };
        let since = Instant::now();
        // It fails when nobody reads any longer; then `run` ends.
        let _ = self.inbox.send(message).await;
        since.elapsed()
    }

    fn canary(&self) -> redis::Cmd {
        let mut publish = cmd("PUBLISH");
        publish.arg(&self.watching.canary).arg("");
        publish
    }
}
