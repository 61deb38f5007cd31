//! This node, as the others of the fleet see it.

use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use redis::Pipeline;
use tokio::sync::watch;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::fleet::{Fleet, NODES, connections, counts, lease};
use super::members::{Fact, Members, Truth, Turn};
use crate::redis_link::{RedisLink, Unavailable};

/// Tells the fleet of this node's connections, and does what the fleet asks for.
///
/// Everything that is told is the whole truth of one thing (so many connections of a user, this
/// connection as it is now), never a difference: what is told twice, too late or not at all does no
/// harm that lasts.
#[derive(Debug)]
pub(super) struct Presence {
    fleet: Fleet,
    /// Of this start of this process: a node that comes back is another one.
    pub(super) node: Uuid,
    name: Arc<str>,
    pub(super) lease: Duration,
    /// What a newcomer may be kept waiting.
    pub(super) patience: Duration,
    pub(super) following: watch::Sender<Following>,
    /// Why the lease was not renewed the last time, if it was not.
    lapse: Mutex<Option<String>>,
    /// When an operator was told that Redis refuses what is needed here.
    warned: Mutex<Option<Instant>>,
}

/// Whether orders that are given from now on arrive. Before, no name is claimed: the order to give
/// it up again might be missed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Following {
    NotYet,
    Redis,
    /// Redis was away when it was asked where the stream ends.
    Nothing,
}

/// From one telling of what has changed to the next.
const TELL: Duration = Duration::from_millis(100);
/// From one look at how figures have changed to the next: not every pong is worth telling.
const SWEEP: Duration = Duration::from_secs(2);
/// From one check that the fleet knows the truth to the next: somebody may have tidied up in Redis.
const AUDIT: Duration = Duration::from_secs(60);
/// Before a lease that could not be renewed is tried again.
const RENEW_AGAIN: Duration = Duration::from_millis(500);
/// An operator is told this often that Redis refuses.
const WARN_AGAIN: Duration = Duration::from_secs(60);
/// Leases are renewed so many times before they end.
const RENEWALS: u32 = 3;

/// Facts in one write, and connections told in one [`TELL`]: others wait for Redis meanwhile, and it must answer in time.
const BATCH: usize = 500;
/// Members that are looked at before others get a turn.
const LOOKS: usize = 1_000;

/// What is told in one hash.
#[derive(Default)]
struct Told {
    known: Vec<(String, String)>,
    gone: Vec<String>,
}

impl Presence {
    pub(super) fn new(
        link: RedisLink,
        name: Arc<str>,
        lease: Duration,
        patience: Duration,
    ) -> Self {
        Presence {
            fleet: Fleet::new(link),
            node: Uuid::new_v4(),
            name,
            lease,
            patience,
            following: watch::Sender::new(Following::NotYet),
            lapse: Mutex::default(),
            warned: Mutex::default(),
        }
    }

    pub(super) fn fleet(&self) -> &Fleet {
        &self.fleet
    }

    /// Keeps the fleet and this node informed of each other, until it is stopped; then says goodbye.
    pub(super) async fn keep(&self, members: &Mutex<Members>, stopped: &CancellationToken) {
        let kept = async {
            tokio::join!(
                self.follow(members),
                self.renew(members),
                self.tell(members),
                self.sweep(members)
            )
        };
        if stopped.run_until_cancelled(kept).await.is_none() {
            // Without it the others wait for the lease to end.
            let mut farewell = redis::pipe();
            farewell
                .atomic()
                .cmd("SREM")
                .arg(NODES)
                .arg(self.node.to_string())
                .ignore();
            farewell.del(lease(self.node)).ignore();
            farewell.del(connections(self.node)).ignore();
            farewell.del(counts(self.node)).ignore();
            let _ = self.link().run_all::<()>(&farewell).await;
        }
    }

    /// Lives, as far as the others know.
    async fn renew(&self, members: &Mutex<Members>) {
        let mut audited = Instant::now();
        loop {
            let renewed = self.renew_once(members).await;
            let why = renewed.as_ref().err().map(ToString::to_string);
            *self.lapse.lock().expect("nothing panics while it is held") = why;
            if renewed.is_ok() && audited.elapsed() >= AUDIT {
                audited = Instant::now();
                // What cannot be found out now is found out the next time.
                let _ = self.audit(members).await;
            }
            sleep(match renewed {
                Ok(()) => self.lease / RENEWALS,
                Err(unavailable) => {
                    self.heed(&unavailable);
                    RENEW_AGAIN.min(self.lease / RENEWALS)
                }
            })
            .await;
        }
    }

    pub(super) async fn renew_once(&self, members: &Mutex<Members>) -> Result<(), Unavailable> {
        let (own, for_ms) = (lease(self.node), millis(self.lease));
        let mut words = redis::pipe();
        words.atomic().cmd("GET").arg(&own);
        words
            .cmd("SET")
            .arg(&own)
            .arg(&*self.name)
            .arg("PX")
            .arg(for_ms)
            .ignore();
        words
            .cmd("SADD")
            .arg(NODES)
            .arg(self.node.to_string())
            .ignore();
        words
            .cmd("PEXPIRE")
            .arg(connections(self.node))
            .arg(for_ms)
            .ignore();
        words
            .cmd("PEXPIRE")
            .arg(counts(self.node))
            .arg(for_ms)
            .ignore();
        let (before,): (Option<String>,) = self.link().run_all(&words).await?;
        if before.is_none() {
            // It was away for longer than the lease, or it has lost what it had.
            locked(members).doubt_all();
        }
        self.fleet.forget_dead().await
    }

    /// Tells all again if the fleet does not know as much as it was told.
    async fn audit(&self, members: &Mutex<Members>) -> Result<(), Unavailable> {
        let before = locked(members).told();
        let mut words = redis::pipe();
        words.cmd("HLEN").arg(connections(self.node));
        words.cmd("HLEN").arg(counts(self.node));
        let known: (usize, usize) = self.link().run_all(&words).await?;
        let mut members = locked(members);
        // While something is under way nobody can say what is right.
        if before.is_some() && before == members.told() && before != Some(known) {
            tracing::warn!("redis has lost some of this node's connections: telling all again");
            members.start_over();
        }
        members.doubt_counts();
        Ok(())
    }

    /// Tells the fleet what has changed.
    async fn tell(&self, members: &Mutex<Members>) {
        loop {
            let told = async {
                while self.tell_some(members).await? + self.claim_late(members).await? > 0 {}
                // Last and not all at once: when thousands come back together, letting them in is more
                // urgent than listing them.
                let some = locked(members).take_changed_connections(BATCH);
                self.write(some, members).await
            };
            match told.await {
                Ok(()) => sleep(TELL).await,
                Err(unavailable) => {
                    self.heed(&unavailable);
                    sleep(RENEW_AGAIN).await;
                }
            }
        }
    }

    /// Tells some of what has changed, connections apart, and how much that was.
    async fn tell_some(&self, members: &Mutex<Members>) -> Result<usize, Unavailable> {
        let changes = locked(members).take_changes(BATCH);
        let Some(facts) = changes else {
            let mut forget = redis::pipe();
            forget.atomic().del(connections(self.node)).ignore();
            forget.del(counts(self.node)).ignore();
            let () = self.link().run_all(&forget).await?;
            locked(members).take_all();
            return Ok(1);
        };
        let count = facts.len();
        self.write(facts, members).await.map(|()| count)
    }

    /// Writes the truth of these facts; what could not be written is told later.
    async fn write(&self, facts: Vec<Fact>, members: &Mutex<Members>) -> Result<(), Unavailable> {
        if facts.is_empty() {
            return Ok(());
        }
        let words = self.words(&facts, &locked(members));
        let written = self.link().run_all::<()>(&words).await;
        if written.is_err() {
            let mut members = locked(members);
            facts.into_iter().for_each(|fact| members.doubt(fact));
        }
        written
    }

    fn words(&self, facts: &[Fact], members: &Members) -> Pipeline {
        let mut of_connections = Told::default();
        let mut of_counts = Told::default();
        for fact in facts {
            let told = match fact {
                Fact::Connection(_) => &mut of_connections,
                Fact::User(_) | Fact::Key(_) | Fact::Name(_) => &mut of_counts,
            };
            let value = match members.truth(fact) {
                Truth::UnderWay => continue,
                Truth::Nothing => {
                    told.gone.push(fact.field());
                    continue;
                }
                Truth::Connection(member) => {
                    let listed = member.listed(&self.name);
                    serde_json::to_string(&listed).expect("connections are JSON")
                }
                Truth::Count(count) => count.to_string(),
                Truth::Held { turn, key } => held(turn, key),
            };
            told.known.push((fact.field(), value));
        }
        // A command for each would cost Redis and this node more than what is in it.
        let mut words = redis::pipe();
        words.atomic();
        for (hash, told) in [
            (connections(self.node), of_connections),
            (counts(self.node), of_counts),
        ] {
            if !told.gone.is_empty() {
                words.hdel(&hash, told.gone).ignore();
            }
            if !told.known.is_empty() {
                words.hset_multiple(&hash, &told.known).ignore();
            }
            words
                .cmd("PEXPIRE")
                .arg(hash)
                .arg(millis(self.lease))
                .ignore();
        }
        words
    }

    /// Notices whose figures are others than the fleet was told.
    async fn sweep(&self, members: &Mutex<Members>) {
        loop {
            sleep(SWEEP).await;
            let all: Vec<_> = locked(members).iter().cloned().collect();
            for some in all.chunks(LOOKS) {
                let drifted: Vec<_> = some
                    .iter()
                    .filter(|member| member.drifted())
                    .map(|member| member.id)
                    .collect();
                doubt_connections(members, &drifted);
                tokio::task::yield_now().await;
            }
        }
    }

    /// Tells an operator that Redis is there and says no: it may be full, or this user of it may not
    /// run scripts. Then connections are neither listed nor counted together, and nothing else says
    /// so. That it is away, the bus says.
    pub(super) fn heed(&self, unavailable: &Unavailable) {
        let Unavailable::Refused(error) = unavailable else {
            return;
        };
        let mut warned = self.warned.lock().expect("nothing panics while it is held");
        if warned.is_none_or(|warned| warned.elapsed() >= WARN_AGAIN) {
            *warned = Some(Instant::now());
            tracing::warn!(
                %error,
                "redis refuses to keep this node's connections: limits hold for each node by itself"
            );
        }
    }

    /// Why the lease was not renewed the last time, if it was not. Then the others' may have ended, too,
    /// and their nodes only look dead.
    pub(super) fn lapse(&self) -> Result<(), Unavailable> {
        let lapse = self.lapse.lock().expect("nothing panics while it is held");
        lapse
            .clone()
            .map_or(Ok(()), |why| Err(Unavailable::Away(why)))
    }

    pub(super) fn link(&self) -> &RedisLink {
        self.fleet.link()
    }
}

impl Fact {
    /// As a field of the hash that it is told in.
    pub(super) fn field(&self) -> String {
        match self {
            Fact::Connection(id) => id.to_string(),
            Fact::User(user) => format!("user:{user}"),
            Fact::Key(key) => format!("key:{key}"),
            Fact::Name(name) => name.field(),
        }
    }
}

/// The value of a name's field, as `claim.lua` writes it.
fn held(turn: Turn, key: Option<Uuid>) -> String {
    let key = key.map_or_else(String::new, |key| Fact::Key(key).field());
    format!("{turn} {key}")
}

fn doubt_connections(members: &Mutex<Members>, ids: &[Uuid]) {
    let mut members = locked(members);
    for id in ids {
        members.doubt(Fact::Connection(*id));
    }
}

pub(super) fn locked(members: &Mutex<Members>) -> MutexGuard<'_, Members> {
    members
        .lock()
        .expect("nothing panics while it holds the members")
}

pub(super) fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
