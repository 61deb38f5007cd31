//! This node, as the others of the fleet see it.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use redis::{Pipeline, cmd};
use tokio::sync::watch;
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::fleet::{Fleet, NODES, connections, counts, lease};
use super::goodbye::Goodbye;
use super::members::{Fact, Late, Members, Name, Truth, Turn};
use super::order::{KEPT, KEPT_MS, ORDERS, Order};
use super::{NO_LIMIT, RegistryLimits, TooMany, Who};
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
    node: Uuid,
    name: Arc<str>,
    lease: Duration,
    /// What a newcomer may be kept waiting.
    patience: Duration,
    following: watch::Sender<Following>,
    /// When an operator was told that Redis refuses what is needed here.
    warned: Mutex<Option<Instant>>,
}

/// Whether orders that are given from now on arrive. Before, no name is claimed: the order to give
/// it up again might be missed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Following {
    NotYet,
    Redis,
    /// Redis was away when it was asked where the stream ends.
    Nothing,
}

/// A newcomer, as `claim.lua` is told of it.
#[derive(Debug)]
pub(super) struct Claim<'a> {
    pub(super) name: &'a Name,
    pub(super) id: Uuid,
    pub(super) who: Who,
    /// With the newcomer, on this node.
    pub(super) of_user: usize,
    pub(super) of_key: usize,
    pub(super) limits: RegistryLimits,
}

/// From one look for orders to the next: they arrive within a second.
const POLL: Duration = Duration::from_millis(200);
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

/// Facts in one write: others wait for Redis meanwhile, and it must answer in time.
const BATCH: usize = 500;
/// Orders in one answer.
const ORDERS_AT_ONCE: usize = 500;
/// Names claimed in one go, when the fleet has forgotten them.
const CLAIMS: usize = 100;
/// Members that are looked at before others get a turn.
const LOOKS: usize = 1_000;

const CLAIM: &str = include_str!("claim.lua");

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
            warned: Mutex::default(),
        }
    }

    pub(super) fn fleet(&self) -> &Fleet {
        &self.fleet
    }

    pub(super) fn node(&self) -> Uuid {
        self.node
    }

    /// Counts a newcomer in all of the fleet, and gives it its name: its turn, unless there are too
    /// many. Waits no longer than it has patience.
    pub(super) async fn claim(
        &self,
        claim: &Claim<'_>,
    ) -> Result<Result<Turn, TooMany>, Unavailable> {
        let claimed = async {
            let mut following = self.following.subscribe();
            let is_settled = |following: &Following| *following != Following::NotYet;
            match following.wait_for(is_settled).await.as_deref() {
                Ok(Following::Redis) => {}
                _ => return Err(Unavailable::Away("it was away at the start".to_owned())),
            }
            let (user, key) = (claim.who.user, claim.who.key);
            let mut words = cmd("EVAL");
            words
                .arg(CLAIM)
                .arg(0)
                .arg(self.node.to_string())
                .arg(millis(self.lease));
            words.arg(user.map_or_else(String::new, |user| Fact::User(user).field()));
            words.arg(claim.of_user).arg(claim.limits.per_user);
            words.arg(key.map_or_else(String::new, |key| Fact::Key(key).field()));
            words.arg(claim.of_key).arg(claim.limits.per_key);
            words
                .arg(claim.name.field())
                .arg(claim.id.to_string())
                .arg("");
            words.arg(KEPT).arg(KEPT_MS);
            let (verdict, turn): (String, Turn) = self.link().run(&words).await?;
            Ok(match verdict.as_str() {
                "user" => Err(TooMany::User),
                "key" => Err(TooMany::Key),
                _ => Ok(turn),
            })
        };
        timeout(self.patience, claimed)
            .await
            .unwrap_or(Err(Unavailable::TimedOut))
            .inspect_err(|unavailable| self.heed(unavailable))
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

    /// Does what the fleet asks for, in the order in which it was asked.
    async fn follow(&self, members: &Mutex<Members>) {
        let mut last = None;
        loop {
            let more = match &last {
                None => match self.arrive(members).await {
                    Ok(end) => {
                        last = Some(end);
                        self.following.send_replace(Following::Redis);
                        true
                    }
                    Err(unavailable) => {
                        self.heed(&unavailable);
                        self.following.send_replace(Following::Nothing);
                        false
                    }
                },
                Some(after) => match self.orders(after).await {
                    Ok(orders) => {
                        for (id, fields) in &orders {
                            self.obey(fields, members);
                            last = Some(id.clone());
                        }
                        orders.len() == ORDERS_AT_ONCE
                    }
                    // They are still there when Redis is.
                    Err(unavailable) => {
                        self.heed(&unavailable);
                        false
                    }
                },
            };
            if !more {
                sleep(POLL).await;
            }
        }
    }

    /// Shows itself to the others, so that they see the names that it takes, and finds out where
    /// the orders end that were given before.
    async fn arrive(&self, members: &Mutex<Members>) -> Result<String, Unavailable> {
        let end = self.end_of_orders().await?;
        self.renew_once(members).await?;
        Ok(end)
    }

    async fn end_of_orders(&self) -> Result<String, Unavailable> {
        let mut newest = cmd("XREVRANGE");
        newest.arg(ORDERS).arg("+").arg("-").arg("COUNT").arg(1);
        let newest: Vec<Entry> = self.link().run(&newest).await?;
        Ok(newest
            .into_iter()
            .next()
            .map_or_else(|| "0-0".to_owned(), |(id, _)| id))
    }

    async fn orders(&self, after: &str) -> Result<Vec<Entry>, Unavailable> {
        let mut read = cmd("XREAD");
        read.arg("COUNT")
            .arg(ORDERS_AT_ONCE)
            .arg("STREAMS")
            .arg(ORDERS)
            .arg(after);
        let streams: Option<Vec<(String, Vec<Entry>)>> = self.link().run(&read).await?;
        let stream = streams.into_iter().flatten().next();
        Ok(stream.map_or_else(Vec::new, |(_, orders)| orders))
    }

    fn obey(&self, fields: &HashMap<Vec<u8>, Vec<u8>>, members: &Mutex<Members>) {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let fields = fields
            .iter()
            .map(|(name, value)| (text(name), text(value)))
            .collect();
        match Order::read(&fields) {
            Some(Order::Replace { name, id, turn }) => locked(members).give_way(&name, id, turn),
            Some(Order::Close {
                from,
                filter,
                code,
                reason,
            }) if from != Some(self.node) => {
                let goodbye = Goodbye::Closed { code, reason };
                let count = locked(members).send_away_all(&filter, &goodbye);
                if count > 0 {
                    tracing::info!(
                        connections = count,
                        "closed connections by order of another node"
                    );
                }
            }
            Some(Order::Close { .. }) => {}
            None => tracing::warn!("left out an order to all nodes that cannot be read"),
        }
    }

    /// Lives, as far as the others know.
    async fn renew(&self, members: &Mutex<Members>) {
        let mut audited = Instant::now();
        loop {
            let renewed = self.renew_once(members).await;
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

    async fn renew_once(&self, members: &Mutex<Members>) -> Result<(), Unavailable> {
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
                Ok::<(), Unavailable>(())
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

    /// Tells some of what has changed, and how much that was.
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
        if facts.is_empty() {
            return Ok(0);
        }
        let words = self.words(&facts, &locked(members));
        match self.link().run_all::<()>(&words).await {
            Ok(()) => Ok(facts.len()),
            Err(unavailable) => {
                let mut members = locked(members);
                facts.into_iter().for_each(|fact| members.doubt(fact));
                Err(unavailable)
            }
        }
    }

    fn words(&self, facts: &[Fact], members: &Members) -> Pipeline {
        let (connections, counts) = (connections(self.node), counts(self.node));
        let mut words = redis::pipe();
        words.atomic();
        for fact in facts {
            let hash = match fact {
                Fact::Connection(_) => &connections,
                Fact::User(_) | Fact::Key(_) | Fact::Name(_) => &counts,
            };
            let value = match members.truth(fact) {
                Truth::UnderWay => continue,
                Truth::Nothing => {
                    words.hdel(hash, fact.field()).ignore();
                    continue;
                }
                Truth::Connection(member, who) => {
                    let listed = member.listed(who, &self.name);
                    serde_json::to_string(&listed).expect("connections are JSON")
                }
                Truth::Count(count) => count.to_string(),
                Truth::Held { turn, key } => held(turn, key),
            };
            words.hset(hash, fact.field(), value).ignore();
        }
        for hash in [connections, counts] {
            words
                .cmd("PEXPIRE")
                .arg(hash)
                .arg(millis(self.lease))
                .ignore();
        }
        words
    }

    /// Tells of names that were taken while nobody could be asked, and how many those were. Whoever
    /// took one later somewhere else keeps it.
    async fn claim_late(&self, members: &Mutex<Members>) -> Result<usize, Unavailable> {
        if *self.following.borrow() != Following::Redis {
            return Ok(0);
        }
        let late = locked(members).take_late(CLAIMS);
        if late.is_empty() {
            return Ok(0);
        }
        let mut words = redis::pipe();
        for one in &late {
            self.late_words(&mut words, one);
        }
        let verdicts = self.link().run_all::<Vec<(String, Turn)>>(&words).await;
        let mut members = locked(members);
        match verdicts {
            Ok(verdicts) => {
                for (one, (verdict, _)) in late.iter().zip(verdicts) {
                    if verdict == "older" {
                        members.send_away(one.id, Goodbye::Replaced);
                    } else {
                        members.take_turn(&one.name, one.id, one.turn);
                    }
                }
                Ok(late.len())
            }
            Err(unavailable) => {
                late.into_iter()
                    .for_each(|one| members.tell_later(one.name));
                Err(unavailable)
            }
        }
    }

    /// Without limits: who is here already stays.
    fn late_words(&self, words: &mut Pipeline, late: &Late) {
        let key = late
            .key
            .map_or_else(String::new, |key| Fact::Key(key).field());
        words.cmd("EVAL").arg(CLAIM).arg(0);
        words.arg(self.node.to_string()).arg(millis(self.lease));
        words.arg("").arg(0).arg(0).arg(key).arg(0).arg(NO_LIMIT);
        words
            .arg(late.name.field())
            .arg(late.id.to_string())
            .arg(late.turn);
        words.arg(KEPT).arg(KEPT_MS);
    }

    /// Notices whose figures are others than the fleet was told.
    async fn sweep(&self, members: &Mutex<Members>) {
        loop {
            sleep(SWEEP).await;
            let all: Vec<_> = locked(members)
                .iter()
                .map(|(member, _)| member.clone())
                .collect();
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
    fn heed(&self, unavailable: &Unavailable) {
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

    fn link(&self) -> &RedisLink {
        self.fleet.link()
    }
}

/// An entry of a stream: its id, and its fields.
type Entry = (String, HashMap<Vec<u8>, Vec<u8>>);

impl Fact {
    /// As a field of the hash that it is told in.
    fn field(&self) -> String {
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

fn locked(members: &Mutex<Members>) -> MutexGuard<'_, Members> {
    members
        .lock()
        .expect("nothing panics while it holds the members")
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
