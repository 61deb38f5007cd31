//! Who is connected, to any node of the fleet.
//!
//! Every connection registers once it is known who its client is, and holds on to a [`Registered`]:
//! dropping that is how it leaves. The registry tells a connection to go when its client has come
//! back under the same `connection_id`, or when an operator says so; it refuses newcomers when there
//! are too many of the same user or with the same key.

mod connection_id;
mod filter;
mod goodbye;
mod listed;
mod member;
mod members;

pub use self::connection_id::{BadConnectionId, ConnectionId};
pub use self::filter::{BadFilter, Filter};
pub use self::goodbye::{Goodbye, GoodbyeCode, GoodbyeReason};
pub use self::listed::{Figures, Listed, Who};

use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use uuid::Uuid;

use self::member::Member;
use self::members::Members;
use crate::auth::Identity;
use crate::hub::Outbox;

/// Knows every connection of this process, and through Redis those of all others.
#[derive(Debug)]
pub struct Registry {
    limits: RegistryLimits,
    /// The name of this node in lists.
    node: Arc<str>,
    members: Mutex<Members>,
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
    /// What its client calls it.
    pub connection_id: ConnectionId,
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

impl Registry {
    /// The registry of a process that is alone.
    pub fn alone(limits: RegistryLimits, node: &str) -> Arc<Self> {
        Arc::new(Registry {
            limits,
            node: node.into(),
            members: Mutex::default(),
        })
    }

    /// Lets a connection in, in the place of the one that its client had under the same
    /// `connection_id`: that one is told to go. Nobody's connections take no other's place.
    pub async fn register(self: &Arc<Self>, newcomer: Newcomer) -> Result<Registered, TooMany> {
        let who = Who::of(&newcomer.identity, newcomer.key);
        let member = Arc::new(Member::new(
            newcomer.id,
            newcomer.connection_id,
            newcomer.protocol,
            newcomer.address,
            newcomer.outbox,
        ));
        self.members().enter(&member, who, &self.limits)?;
        Ok(Registered {
            registry: self.clone(),
            member,
        })
    }

    fn members(&self) -> MutexGuard<'_, Members> {
        self.members
            .lock()
            .expect("nothing panics while it holds the members")
    }
}

impl Registered {
    /// What the client calls this connection.
    pub fn connection_id(&self) -> &ConnectionId {
        &self.member.connection_id
    }

    /// Returns when the connection is to end, and why. Cancel-safe; says the same whenever it is
    /// asked again.
    pub async fn told_to_go(&self) -> Goodbye {
        self.member.told_to_go().await
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
