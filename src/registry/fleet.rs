//! What all nodes of a Redis have told of their connections.
//!
//! | key | is | lives |
//! |---|---|---|
//! | `tidings:nodes` | a set: the nodes, each by a UUID that it made when it started | for ever; who is gone is removed |
//! | `tidings:node:<node>` | its name, as long as it lives | the lease, renewed |
//! | `tidings:connections:<node>` | a hash: its connections, as JSON by id | the lease, renewed |
//! | `tidings:counts:<node>` | a hash: `user:<id>` and `key:<id>`, how many there are of them; `name:<owner>:<connection_id>`, who has the name | the lease, renewed |
//! | `tidings:turn` | the place of the last who took a name | an hour |
//! | `tidings:closed:<order>` | a hash: how many each node has closed by an order | a minute |
//! | `tidings:orders` | a stream: what all nodes are to do (`order.rs`) | an hour |

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use redis::cmd;
use tokio::time::{Instant, sleep};
use uuid::Uuid;

use super::filter::Filter;
use super::goodbye::{GoodbyeCode, GoodbyeReason};
use super::listed::Listed;
use super::order::{KEPT_MS, ORDERS, Order};
use crate::redis_link::{RedisLink, Unavailable};

/// All nodes that share a Redis, as anybody sees them. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Fleet(RedisLink);

/// Some of the connections that there are.
#[derive(Debug, Default)]
pub struct Listing {
    /// By age. Of more than were asked for, any.
    pub connections: Vec<Listed>,
    /// There are others that were asked for.
    pub more: bool,
}

/// How many connections were told to go.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    pub count: usize,
    /// Nodes that have not said in time how many of theirs were.
    pub silent: usize,
}

/// How long nodes may take to say how many they have closed: they look for orders several times a
/// second.
const COUNTING: Duration = Duration::from_secs(1);
const COUNT_AGAIN: Duration = Duration::from_millis(20);
/// How long what they have said is kept, in milliseconds.
pub(super) const TALLY_MS: u64 = 60_000;

/// The set of nodes.
pub(super) const NODES: &str = "tidings:nodes";

/// Connections in one answer of Redis: others wait for it meanwhile.
const BATCH: usize = 500;

impl Fleet {
    pub fn new(link: RedisLink) -> Self {
        Fleet(link)
    }

    pub(super) fn link(&self) -> &RedisLink {
        &self.0
    }

    /// The connections that the filter picks, up to `limit` of them.
    pub async fn list(&self, filter: &Filter, limit: usize) -> Result<Listing, Unavailable> {
        self.list_without(None, filter, limit).await
    }

    /// Tells all that the filter picks to go, and says how many they were. Each node does it within a
    /// second; those that come meanwhile may be among them.
    pub async fn close(
        &self,
        filter: &Filter,
        code: GoodbyeCode,
        reason: Option<GoodbyeReason>,
    ) -> Result<Tally, Unavailable> {
        self.close_without(None, filter, code, reason).await
    }

    /// The same, but for the connections of one node.
    pub(super) async fn list_without(
        &self,
        node: Option<Uuid>,
        filter: &Filter,
        limit: usize,
    ) -> Result<Listing, Unavailable> {
        let mut listing = Listing::default();
        self.each(node, |listed| {
            if filter.picks(listed.id, Some(&listed.connection_id), &listed.who) {
                listing.more = listing.connections.len() == limit;
                if !listing.more {
                    listing.connections.push(listed);
                }
            }
            !listing.more
        })
        .await?;
        listing
            .connections
            .sort_by_key(|listed| (listed.since, listed.id));
        Ok(listing)
    }

    /// The same, but for the connections of one node, which has closed its own.
    pub(super) async fn close_without(
        &self,
        node: Option<Uuid>,
        filter: &Filter,
        code: GoodbyeCode,
        reason: Option<GoodbyeReason>,
    ) -> Result<Tally, Unavailable> {
        let mut nodes = self.live().await?;
        nodes.retain(|other| Some(*other) != node);
        let tally = Uuid::new_v4();
        let order = Order::Close {
            from: node,
            tally,
            filter: filter.clone(),
            code,
            reason,
        };
        if let Some(words) = order.words() {
            let mut give = redis::pipe();
            give.atomic().add_command(words).ignore();
            give.cmd("PEXPIRE").arg(ORDERS).arg(KEPT_MS).ignore();
            let () = self.0.run_all(&give).await?;
        }
        Ok(self.count(tally, &nodes).await)
    }

    /// Waits for the nodes to say how many they have closed. The order stands, whatever they say.
    async fn count(&self, tally: Uuid, nodes: &[Uuid]) -> Tally {
        let deadline = Instant::now() + COUNTING;
        loop {
            let said: Result<HashMap<String, usize>, _> =
                self.0.run(cmd("HGETALL").arg(closed_in(tally))).await;
            let said = said.unwrap_or_default();
            let has_said = |node: &&Uuid| said.contains_key(&node.to_string());
            let silent = nodes.len() - nodes.iter().filter(has_said).count();
            if silent == 0 || Instant::now() >= deadline {
                let count = said.values().sum();
                return Tally { count, silent };
            }
            sleep(COUNT_AGAIN).await;
        }
    }

    /// Shows every connection once, until somebody has seen enough.
    async fn each(
        &self,
        without: Option<Uuid>,
        mut go_on: impl FnMut(Listed) -> bool,
    ) -> Result<(), Unavailable> {
        for node in self.live().await? {
            if Some(node) == without {
                continue;
            }
            // A scan may tell of the same one twice.
            let mut seen = HashSet::new();
            let mut cursor = 0;
            loop {
                let mut scan = cmd("HSCAN");
                scan.arg(connections(node))
                    .arg(cursor)
                    .arg("COUNT")
                    .arg(BATCH);
                let (next, some): (u64, HashMap<String, Vec<u8>>) = self.0.run(&scan).await?;
                for listed in some.values().filter_map(|json| read(json)) {
                    if seen.insert(listed.id) && !go_on(listed) {
                        return Ok(());
                    }
                }
                match next {
                    0 => break,
                    next => cursor = next,
                }
            }
        }
        Ok(())
    }

    /// The nodes that live.
    async fn live(&self) -> Result<Vec<Uuid>, Unavailable> {
        Ok(self.nodes().await?.0)
    }

    /// The nodes that live, and those whose lease has ended.
    async fn nodes(&self) -> Result<(Vec<Uuid>, Vec<Uuid>), Unavailable> {
        let names: Vec<String> = self.0.run(cmd("SMEMBERS").arg(NODES)).await?;
        let nodes: Vec<_> = names
            .iter()
            .filter_map(|name| Uuid::try_parse(name).ok())
            .collect();
        if nodes.is_empty() {
            return Ok((nodes, Vec::new()));
        }
        let mut leases = cmd("MGET");
        for node in &nodes {
            leases.arg(lease(*node));
        }
        let leases: Vec<Option<String>> = self.0.run(&leases).await?;
        let (live, dead): (Vec<_>, Vec<_>) = nodes
            .into_iter()
            .zip(leases)
            .partition(|(_, lease)| lease.is_some());
        let nodes = |pairs: Vec<(Uuid, _)>| pairs.into_iter().map(|(node, _)| node).collect();
        Ok((nodes(live), nodes(dead)))
    }

    /// Takes nodes off the set whose lease has ended; one that comes back puts itself on it again.
    pub(super) async fn forget_dead(&self) -> Result<(), Unavailable> {
        let (_, dead) = self.nodes().await?;
        if dead.is_empty() {
            return Ok(());
        }
        let mut remove = cmd("SREM");
        remove.arg(NODES);
        for node in dead {
            remove.arg(node.to_string());
        }
        let _: i64 = self.0.run(&remove).await?;
        Ok(())
    }
}

/// A connection that another node has told of; what a newer tidings tells otherwise is left out.
fn read(json: &[u8]) -> Option<Listed> {
    serde_json::from_slice(json).ok()
}

pub(super) fn lease(node: Uuid) -> String {
    format!("tidings:node:{node}")
}

pub(super) fn connections(node: Uuid) -> String {
    format!("tidings:connections:{node}")
}

pub(super) fn counts(node: Uuid) -> String {
    format!("tidings:counts:{node}")
}

/// Where nodes say how many connections they have closed by one order.
pub(super) fn closed_in(tally: Uuid) -> String {
    format!("tidings:closed:{tally}")
}
