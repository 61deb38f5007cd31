//! A connection of this node.

use std::net::IpAddr;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock};
use std::time::Duration;

use jiff::Timestamp;
use uuid::Uuid;

use super::connection_id::ConnectionId;
use super::goodbye::Goodbye;
use super::listed::{Figures, Listed, Owner, Who};
use crate::hub::Outbox;
use crate::topic::{AccountId, UserId};

/// What is known of one connection of this node. Shared by the registry and the connection's own
/// guard, so that its figures are told without a lock.
///
/// There is one for each of a million idle clients: it is as small as it can be, and what only some
/// have is boxed.
#[derive(Debug)]
pub(super) struct Member {
    pub(super) id: Uuid,
    /// `None` for nobody in particular, who brought no `connection_id`.
    known: Option<Box<Known>>,
    protocol: &'static str,
    address: IpAddr,
    /// In microseconds since 1970.
    since: i64,
    outbox: Arc<Outbox>,
    subscriptions: AtomicU32,
    /// In microseconds, up to more than an hour; [`NEVER`] while no ping was answered.
    round_trip: AtomicU32,
    /// What the others of the fleet were told last: see [`Member::drifted`].
    told: AtomicU32,
    goodbye: OnceLock<Box<Goodbye>>,
}

/// Whose a connection is, and what its client calls it.
#[derive(Debug)]
struct Known {
    account: Option<AccountId>,
    user: Option<UserId>,
    /// It may change, and then it does so under the lock of the registry.
    key: Mutex<Option<Uuid>>,
    connection_id: Option<ConnectionId>,
}

const NEVER: u32 = u32::MAX;

impl Member {
    pub(super) fn new(
        id: Uuid,
        connection_id: Option<ConnectionId>,
        who: Who,
        protocol: &'static str,
        address: IpAddr,
        outbox: Arc<Outbox>,
    ) -> Self {
        let is_known = who != Who::default() || connection_id.is_some();
        let known = is_known.then(|| Known {
            account: who.account,
            user: who.user,
            key: Mutex::new(who.key),
            connection_id,
        });
        Member {
            id,
            known: known.map(Box::new),
            protocol,
            address,
            since: Timestamp::now().as_microsecond(),
            outbox,
            subscriptions: AtomicU32::new(0),
            round_trip: AtomicU32::new(NEVER),
            told: AtomicU32::new(0),
            goodbye: OnceLock::new(),
        }
    }

    /// Whose it is.
    pub(super) fn who(&self) -> Who {
        self.known.as_ref().map_or_else(Who::default, |known| Who {
            account: known.account,
            user: known.user,
            key: *known.key(),
        })
    }

    /// The key that it is opened by from now on. Nobody in particular has none.
    pub(super) fn set_key(&self, key: Option<Uuid>) {
        if let Some(known) = &self.known {
            *known.key() = key;
        }
    }

    /// What it is called in lists: for one that its client calls nothing, what log lines call it.
    pub(super) fn connection_id(&self) -> ConnectionId {
        let given = self.given_id().cloned();
        given.unwrap_or_else(|| ConnectionId::of(self.id))
    }

    /// What its client calls it, if it does.
    pub(super) fn given_id(&self) -> Option<&ConnectionId> {
        self.known.as_ref()?.connection_id.as_ref()
    }

    /// The name that its client could come back under, and whose it is. Nobody in particular has none,
    /// or anybody could take anybody's place.
    pub(super) fn called(&self) -> Option<(Owner, &ConnectionId)> {
        let known = self.known.as_ref()?;
        let owner = Owner::of(known.account, known.user)?;
        Some((owner, known.connection_id.as_ref()?))
    }

    pub(super) fn set_subscriptions(&self, count: usize) {
        let count = u32::try_from(count).unwrap_or(u32::MAX);
        self.subscriptions.store(count, Ordering::Relaxed);
    }

    pub(super) fn set_round_trip(&self, time: Duration) {
        let microseconds = u32::try_from(time.as_micros()).unwrap_or(NEVER - 1);
        let microseconds = microseconds.min(NEVER - 1);
        self.round_trip.store(microseconds, Ordering::Relaxed);
    }

    pub(super) fn figures(&self) -> Figures {
        let round_trip = match self.round_trip.load(Ordering::Relaxed) {
            NEVER => None,
            microseconds => Some(Duration::from_micros(microseconds.into())),
        };
        Figures {
            subscriptions: self.subscriptions.load(Ordering::Relaxed) as usize,
            round_trip,
            bytes_queued: self.outbox.pending_bytes(),
        }
    }

    /// Whether its figures are others than when this was asked last, as far as it matters to
    /// somebody who looks at them: the exact number of subscriptions, and the magnitudes of the rest.
    pub(super) fn drifted(&self) -> bool {
        let figures = self.figures();
        let magnitude = |value: u128| u128::BITS - value.leading_zeros();
        // From 4 ms on: below that a round trip is short, whatever it is.
        let round_trip = figures.round_trip.unwrap_or_default().as_millis() >> 2;
        let subscriptions = u32::try_from(figures.subscriptions).unwrap_or(u32::MAX);
        let seen = u32::from(figures.round_trip.is_some());
        let now = subscriptions
            .wrapping_shl(16)
            .wrapping_add(magnitude(round_trip) << 9)
            .wrapping_add(magnitude(figures.bytes_queued as u128 >> 10) << 1)
            .wrapping_add(seen);
        self.told.swap(now, Ordering::Relaxed) != now
    }

    pub(super) fn listed(&self, node: &Arc<str>) -> Listed {
        Listed {
            id: self.id,
            connection_id: self.connection_id(),
            who: self.who(),
            protocol: self.protocol.into(),
            address: self.address,
            since: Timestamp::from_microsecond(self.since).unwrap_or_default(),
            figures: self.figures(),
            node: node.clone(),
        }
    }

    /// When it was registered, by this node's clock: microseconds since 1970.
    pub(super) fn since_microseconds(&self) -> u64 {
        u64::try_from(self.since).unwrap_or_default()
    }

    /// Tells it to go. What it was told first stands.
    pub(super) fn send_away(&self, goodbye: Goodbye) {
        if self.goodbye.set(goodbye.into()).is_ok() {
            self.outbox.ring();
        }
    }

    /// What it was told when it was told to go.
    pub(super) fn goodbye(&self) -> Option<Goodbye> {
        self.goodbye.get().map(|goodbye| (**goodbye).clone())
    }

    pub(super) fn outbox(&self) -> &Arc<Outbox> {
        &self.outbox
    }
}

impl Known {
    fn key(&self) -> MutexGuard<'_, Option<Uuid>> {
        self.key
            .lock()
            .expect("nothing panics while it holds a key")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hub::{Framing, OutboxLimits, OutboxRules};

    fn member() -> Member {
        let rules = Arc::new(OutboxRules {
            limits: OutboxLimits {
                frames: 1,
                bytes: 1,
                conflate_above: 1,
            },
            metrics: Arc::default(),
        });
        let outbox = Outbox::new(rules, Framing::Bare, None);
        let name = ConnectionId::generate();
        Member::new(
            Uuid::new_v4(),
            Some(name),
            Who::default(),
            "p",
            [127, 0, 0, 1].into(),
            outbox,
        )
    }

    #[test]
    fn only_what_matters_to_a_reader_of_lists_has_drifted() {
        let member = member();
        assert!(!member.drifted());
        member.set_subscriptions(1);
        assert!(member.drifted());
        assert!(!member.drifted());
        let round_trip = |time| {
            member.set_round_trip(Duration::from_millis(time));
            member.drifted()
        };
        assert!(round_trip(1), "the first");
        assert!(!round_trip(3));
        assert!(round_trip(30));
        assert!(!round_trip(31));
        assert!(round_trip(300));
    }

    #[test]
    fn a_member_that_brought_nothing_fits_into_two_cache_lines() {
        // With the counts of its `Arc`.
        let weight = size_of::<Member>() + 2 * size_of::<usize>();
        assert!(weight <= 128, "{weight}");
        assert!(size_of::<Known>() <= 64, "{}", size_of::<Known>());
    }

    #[test]
    fn what_it_was_told_first_stands() {
        let member = member();
        member.send_away(Goodbye::Replaced);
        member.send_away(Goodbye::Closed {
            code: Default::default(),
            reason: None,
        });
        assert_eq!(member.goodbye(), Some(Goodbye::Replaced));
    }
}
