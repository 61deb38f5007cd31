//! Who is connected, to any node of the fleet.
//!
//! Every connection registers once it is known who its client is, and holds on to a [`Registered`]:
//! dropping that is how it leaves. The registry tells a connection to go when its client has come
//! back under the same `connection_id`, or when an operator says so; it refuses newcomers when there
//! are too many of the same user or with the same key.

mod claim;
mod connection_id;
mod filter;
mod fleet;
mod follow;
mod goodbye;
mod listed;
mod member;
mod members;
mod node;
mod order;
mod presence;

pub use self::connection_id::{BadConnectionId, ConnectionId};
pub use self::filter::{BadFilter, Filter};
pub use self::fleet::{Fleet, Listing, Tally};
pub use self::goodbye::{Goodbye, GoodbyeCode, GoodbyeReason};
pub use self::listed::{Figures, Listed, Who};
pub use self::node::{NodeName, node_name};

use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use serde::Deserialize;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use self::claim::Claim;
use self::member::Member;
use self::members::{Fact, Members, Name, Truth};
use self::presence::Presence;
use crate::auth::Identity;
use crate::hub::Outbox;
use crate::redis_link::{RedisConfig, RedisLink, Unavailable};

/// Knows every connection of this process, and through Redis those of all others.
#[derive(Debug)]
pub struct Registry {
    limits: RegistryLimits,
    /// The name of this node in lists.
    node: Arc<str>,
    members: Mutex<Members>,
    /// `None` for a process that is alone.
    presence: Option<Presence>,
}

/// `[registry]`: how nodes know of each other.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RegistryConfig {
    /// How long a node that is not heard of counts as alive.
    #[serde(with = "humantime_serde")]
    pub lease: Duration,
}

/// How many connections there may be at a time, in the whole fleet.
#[derive(Clone, Copy, Debug)]
pub struct RegistryLimits {
    /// Of one rewards user.
    pub per_user: usize,
    /// With one API key.
    pub per_key: usize,
}

/// A connection whose client is known.
#[derive(Debug)]
pub struct Newcomer {
    /// What log lines call it.
    pub id: Uuid,
    /// What its client calls it; `None` if the client has no name for it and is told none, so that
    /// it cannot come back under it.
    pub connection_id: Option<ConnectionId>,
    pub identity: Identity,
    /// The id of the API key that opened it.
    pub key: Option<Uuid>,
    pub protocol: &'static str,
    pub address: IpAddr,
    pub outbox: Arc<Outbox>,
}

/// There are as many connections as there may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TooMany {
    #[error("too many connections of this user")]
    User,
    #[error("too many connections with this key")]
    Key,
}

/// A connection's place in the registry, until it is dropped.
#[derive(Debug)]
pub struct Registered {
    registry: Arc<Registry>,
    member: Arc<Member>,
}

/// What an operator gets to see.
#[derive(Debug)]
pub struct Seen {
    pub listing: Listing,
    /// Why only this node's connections are in it, if so.
    pub others: Result<(), Unavailable>,
}

/// What became of closing.
#[derive(Debug)]
pub struct Closed {
    pub tally: Tally,
    /// Why only this node's were, if so.
    pub others: Result<(), Unavailable>,
}

impl Registry {
    /// The registry of a process that is alone.
    pub fn alone(limits: RegistryLimits, node: Arc<str>) -> Arc<Self> {
        Arc::new(Registry {
            limits,
            node,
            members: Mutex::default(),
            presence: None,
        })
    }

    /// The registry of one of the processes that share a Redis. It needs [`Registry::run`].
    pub fn in_fleet(
        limits: RegistryLimits,
        node: Arc<str>,
        config: &RegistryConfig,
        redis: &RedisConfig,
        link: RedisLink,
    ) -> Arc<Self> {
        let presence = Presence::new(link, node.clone(), config.lease, redis.reply_timeout);
        Arc::new(Registry {
            limits,
            node,
            members: Mutex::new(Members::of_a_fleet()),
            presence: Some(presence),
        })
    }

    /// Keeps the fleet and this process informed of each other until it is stopped, which should be
    /// when the last connection has gone; a process that is alone has nothing to do.
    pub async fn run(self: Arc<Self>, stopped: CancellationToken) {
        match &self.presence {
            Some(presence) => presence.keep(&self.members, &stopped).await,
            None => stopped.cancelled().await,
        }
    }

    /// Lets a connection in, in the place of the one that its client had under the same
    /// `connection_id`: that one is told to go. Nobody's connections take no other's place.
    ///
    /// Who has credentials is counted in all of the fleet, which may take as long as Redis may take
    /// to answer. While it does not, each node counts by itself.
    pub async fn register(self: &Arc<Self>, newcomer: Newcomer) -> Result<Registered, TooMany> {
        let who = Who::of(&newcomer.identity, newcomer.key);
        let member = Arc::new(Member::new(
            newcomer.id,
            newcomer.connection_id,
            who,
            newcomer.protocol,
            newcomer.address,
            newcomer.outbox,
        ));
        let replaced = self.members().enter(&member, &self.limits)?;
        // From here on whatever happens, being cancelled too, takes it out again.
        let registered = Registered {
            registry: self.clone(),
            member,
        };
        let name = Name::of(&registered.member);
        let is_counted = who.user.is_some() || who.key.is_some();
        if let Some(presence) = &self.presence
            && (is_counted || name.is_some())
        {
            // Who takes a place that is counted already is not one more.
            let unless = |is_replaced, limit| if is_replaced { NO_LIMIT } else { limit };
            let limits = RegistryLimits {
                per_user: unless(replaced.of_the_same_user, self.limits.per_user),
                per_key: unless(replaced.of_the_same_key, self.limits.per_key),
            };
            // Boxed: whoever lets a client in would have room for it several times over.
            Box::pin(self.claim(presence, name.as_ref(), &registered, who, limits)).await?;
        }
        Ok(registered)
    }

    async fn claim(
        &self,
        presence: &Presence,
        name: Option<&Name>,
        registered: &Registered,
        who: Who,
        limits: RegistryLimits,
    ) -> Result<(), TooMany> {
        let claim = {
            let members = self.members();
            Claim {
                name,
                id: registered.member.id,
                who,
                of_user: who.user.map_or(0, |user| members.of_user(user)),
                of_key: who.key.map_or(0, |key| members.of_key(key)),
                limits,
            }
        };
        let turn = presence.claim(&claim).await;
        let mut members = self.members();
        match turn {
            Ok(turn) => {
                let turn = turn?;
                if let Some(name) = name {
                    members.take_turn(name, registered.member.id, turn);
                }
            }
            Err(unavailable) => {
                tracing::debug!(id = %registered.member.id.simple(), error = %unavailable, "connections are counted on this node alone");
                if let Some(name) = name {
                    members.tell_later(name.clone());
                }
            }
        }
        // Somebody came or went meanwhile, and the fleet may have been told in the other order.
        let facts = [
            (who.user.map(Fact::User), claim.of_user),
            (who.key.map(Fact::Key), claim.of_key),
        ];
        for (fact, told) in facts {
            if let Some(fact) = fact
                && !matches!(members.truth(&fact), Truth::Count(count) if count == told)
            {
                members.doubt(fact);
            }
        }
        Ok(())
    }

    /// The connections of the fleet that the filter picks, up to `limit` of them. This node's are as
    /// they are now, those of others as they were some seconds ago at most.
    pub async fn list(&self, filter: &Filter, limit: usize) -> Seen {
        let mut connections: Vec<_> = self
            .members()
            .iter()
            .filter(|member| filter.picks(member.id, member.given_id(), &member.who()))
            .take(limit.saturating_add(1))
            .map(|member| member.listed(&self.node))
            .collect();
        let room = limit.saturating_sub(connections.len());
        let mut more = connections.len() > limit;
        connections.truncate(limit);
        let mut others = Ok(());
        if let Some(presence) = &self.presence
            && !more
        {
            let theirs = presence
                .fleet()
                .list_without(Some(presence.node), filter, room);
            match theirs.await {
                Ok(theirs) => {
                    connections.extend(theirs.connections);
                    more = theirs.more;
                    others = presence.lapse();
                }
                Err(unavailable) => others = Err(unavailable),
            }
        }
        connections.sort_by_key(|listed| (listed.since, listed.id));
        let listing = Listing { connections, more };
        Seen { listing, others }
    }

    /// Tells all connections of the fleet to go that the filter picks: this node's at once, those of
    /// others within a second.
    pub async fn close(
        &self,
        filter: &Filter,
        code: GoodbyeCode,
        reason: Option<GoodbyeReason>,
    ) -> Closed {
        let goodbye = Goodbye::Closed {
            code,
            reason: reason.clone(),
        };
        let here = self.members().send_away_all(filter, &goodbye);
        let Some(presence) = &self.presence else {
            return Closed {
                tally: Tally {
                    count: here,
                    silent: 0,
                },
                others: Ok(()),
            };
        };
        let elsewhere = presence
            .fleet()
            .close_without(Some(presence.node), filter, code, reason);
        let (mut tally, others) = match elsewhere.await {
            Ok(tally) => (tally, Ok(())),
            Err(unavailable) => (Tally::default(), Err(unavailable)),
        };
        tally.count += here;
        Closed { tally, others }
    }

    /// Rings every connection of this node.
    pub fn ring_all(&self) {
        self.ring(|_| true);
    }

    /// Rings the connections of this node that a key has opened: leases have ended, and each looks
    /// at its own. Who is registered later has to look by itself.
    pub fn ring_key_holders(&self) {
        self.ring(|who| who.key.is_some());
    }

    fn ring(&self, whom: impl Fn(&Who) -> bool) {
        // Who is woken may want the lock at once.
        let outboxes: Vec<_> = self
            .members()
            .iter()
            .filter(|member| whom(&member.who()))
            .map(|member| member.outbox().clone())
            .collect();
        outboxes.iter().for_each(|outbox| outbox.ring());
    }

    fn members(&self) -> MutexGuard<'_, Members> {
        self.members
            .lock()
            .expect("nothing panics while it holds the members")
    }
}

/// More than there can be. Redis counts in doubles: not the largest number of ours.
const NO_LIMIT: usize = u32::MAX as usize;

impl Registered {
    /// What the client calls this connection, or could, if it was registered with such a name.
    pub fn connection_id(&self) -> Option<&ConnectionId> {
        self.member.given_id()
    }

    /// Why the connection is to end, if it is. Its outbox is rung when that changes.
    pub fn goodbye(&self) -> Option<Goodbye> {
        self.member.goodbye()
    }

    /// For lists: how many subscriptions run.
    pub fn set_subscriptions(&self, count: usize) {
        self.member.set_subscriptions(count);
    }

    /// For lists: how long the pong took that has just come.
    pub fn set_round_trip(&self, time: Duration) {
        self.member.set_round_trip(time);
    }

    /// What the connection is opened by from now on: another credential of the same account and user.
    pub fn set_credential(&self, identity: &Identity, key: Option<Uuid>) {
        let who = Who::of(identity, key);
        self.registry.members().set_key(self.member.id, who.key);
    }
}

impl Drop for Registered {
    fn drop(&mut self) {
        self.registry.members().leave(self.member.id);
    }
}
