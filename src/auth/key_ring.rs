//! All keys, mirrored in memory, and what lives by them.
//!
//! A connection that was opened with a key holds a [`Lease`] for it. Nobody keeps a list of leases:
//! all leases of a key look at the one cell in which its end will be written, when [`KeyRing::ends`]
//! says that some have ended.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};

use arc_swap::ArcSwapOption;
use jiff::Timestamp;
use tokio::sync::watch;

use super::Reason;
use super::api_key::{ApiKey, KeyDigest, KeyRecord, KeyState};

/// All keys. Readers take no lock, and wait for nobody once they are loaded.
#[derive(Debug)]
pub struct KeyRing {
    /// `None` until the first load.
    entries: ArcSwapOption<Entries>,
    loaded: watch::Sender<bool>,
    /// How often leases have ended.
    ends: watch::Sender<u64>,
}

/// The right to go on, for as long as the key is good that it was given for.
#[derive(Clone, Debug)]
pub struct Lease(Arc<Cell>);

/// Why a lease ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LeaseEnd {
    Revoked,
    Expired,
}

/// Where the end of a key is written. It outlives reloads, so that leases do.
///
/// Not a `watch` of its own: that weighs half a kilobyte, and there may be as many keys as
/// connections.
#[derive(Debug, Default)]
struct Cell(AtomicU8);

/// What a [`Cell`] holds.
const GOOD: u8 = 0;
const REVOKED: u8 = 1;
const EXPIRED: u8 = 2;

#[derive(Debug, Default)]
struct Entries {
    by_digest: HashMap<KeyDigest, Entry>,
    /// Keys that will expire, the first one first.
    expiring: Vec<(Timestamp, KeyDigest)>,
}

#[derive(Clone, Debug)]
struct Entry {
    record: Arc<KeyRecord>,
    cell: Arc<Cell>,
}

impl KeyRing {
    /// A ring that was not loaded yet: whoever asks waits.
    pub fn new() -> Self {
        KeyRing {
            entries: ArcSwapOption::empty(),
            loaded: watch::Sender::new(false),
            ends: watch::Sender::new(0),
        }
    }

    /// Puts these keys in the place of all that were known, and ends the leases of those that are
    /// not good any more. To be called by one task alone.
    pub fn replace(&self, records: impl IntoIterator<Item = KeyRecord>, now: Timestamp) {
        let old = self.entries.load_full().unwrap_or_default();
        let mut entries = Entries::default();
        for record in records {
            let entry = Entry::of(record, &old, now);
            if let (None, Some(end)) = (entry.cell.end(), entry.record.expires_at) {
                entries.expiring.push((end, entry.record.digest));
            }
            entries.by_digest.insert(entry.record.digest, entry);
        }
        entries.expiring.sort_unstable_by_key(|(end, _)| *end);
        let entries = Arc::new(entries);
        // First the new keys, then the ends: who asks in between must not get a lease that nobody
        // will end.
        self.entries.store(Some(entries.clone()));
        let mut ended = false;
        for (digest, entry) in &old.by_digest {
            if !entries.by_digest.contains_key(digest) {
                ended |= entry.cell.write(LeaseEnd::Revoked);
            }
        }
        for entry in entries.by_digest.values() {
            ended |= entry.end_if_due(now);
        }
        self.tell_of_ends(ended);
        self.loaded.send_replace(true);
    }

    /// Ends the leases of keys that have expired. Cheap enough to be asked several times a second.
    pub fn expire(&self, now: Timestamp) {
        if let Some(entries) = &*self.entries.load() {
            let due = entries.expiring.partition_point(|(end, _)| *end <= now);
            let mut ended = false;
            for (_, digest) in &entries.expiring[..due] {
                ended |= entries.by_digest[digest].cell.write(LeaseEnd::Expired);
            }
            self.tell_of_ends(ended);
        }
    }

    /// Counts up after leases have ended: by then [`Lease::end`] says so of each of them. Who gets a
    /// lease meanwhile looks at it by itself.
    pub fn ends(&self) -> watch::Receiver<u64> {
        self.ends.subscribe()
    }

    /// Whether there was a first load.
    pub fn is_loaded(&self) -> bool {
        self.entries.load().is_some()
    }

    /// Returns when there was a first load; at once if it was before. Cancel-safe.
    pub async fn loaded(&self) {
        let mut loaded = self.loaded.subscribe();
        let told = loaded.wait_for(|loaded| *loaded).await;
        told.expect("the sender is our own");
    }

    /// The record of a key that is good now, and a lease on it; or what is wrong with the key.
    pub(super) fn find(
        &self,
        key: &ApiKey,
        now: Timestamp,
    ) -> Result<(Arc<KeyRecord>, Lease), Reason> {
        let digest = key.digest();
        let entries = self.entries.load();
        let entry = entries
            .as_ref()
            .and_then(|entries| entries.by_digest.get(&digest))
            .filter(|entry| entry.record.digest.is(&digest))
            .ok_or(Reason::UnknownKey)?;
        match entry.record.state(now) {
            KeyState::Active => Ok((entry.record.clone(), Lease(entry.cell.clone()))),
            KeyState::Revoked => Err(Reason::RevokedKey),
            KeyState::Expired => Err(Reason::ExpiredKey),
        }
    }

    fn tell_of_ends(&self, ended: bool) {
        if ended {
            self.ends.send_modify(|count| *count += 1);
        }
    }
}

impl Default for KeyRing {
    fn default() -> Self {
        KeyRing::new()
    }
}

impl Entry {
    /// With the cell that leases of this key already look at, unless they were told their end: a key
    /// that is good again, because a backup was restored, starts anew.
    fn of(record: KeyRecord, old: &Entries, now: Timestamp) -> Self {
        let kept = old
            .by_digest
            .get(&record.digest)
            .filter(|old| old.cell.end().is_none() || record.state(now) != KeyState::Active);
        Entry {
            cell: kept.map_or_else(Arc::default, |old| old.cell.clone()),
            record: Arc::new(record),
        }
    }

    /// Whether leases have ended by it.
    fn end_if_due(&self, now: Timestamp) -> bool {
        match self.record.state(now) {
            KeyState::Active => false,
            KeyState::Revoked => self.cell.write(LeaseEnd::Revoked),
            KeyState::Expired => self.cell.write(LeaseEnd::Expired),
        }
    }
}

impl Cell {
    fn end(&self) -> Option<LeaseEnd> {
        match self.0.load(Ordering::Acquire) {
            GOOD => None,
            REVOKED => Some(LeaseEnd::Revoked),
            _ => Some(LeaseEnd::Expired),
        }
    }

    /// The first reason stands; whether this is it.
    fn write(&self, why: LeaseEnd) -> bool {
        let why = match why {
            LeaseEnd::Revoked => REVOKED,
            LeaseEnd::Expired => EXPIRED,
        };
        let written = self
            .0
            .compare_exchange(GOOD, why, Ordering::AcqRel, Ordering::Acquire);
        written.is_ok()
    }
}

impl Lease {
    /// Why the key is no longer good, if so.
    ///
    /// Within a second of a revocation anywhere: as often as the ring is refreshed from the store.
    pub fn end(&self) -> Option<LeaseEnd> {
        self.0.end()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_util::FutureExt;
    use jiff::SignedDuration;

    const NOW: Timestamp = Timestamp::UNIX_EPOCH;

    fn seconds(seconds: i64) -> Timestamp {
        NOW + SignedDuration::from_secs(seconds)
    }

    fn record(key: &ApiKey) -> KeyRecord {
        KeyRecord {
            id: uuid::Uuid::from_u128(1),
            name: None,
            account: uuid::Uuid::from_u128(2).into(),
            user: None,
            scopes: Default::default(),
            digest: key.digest(),
            created_at: NOW,
            expires_at: None,
            revoked_at: None,
        }
    }

    fn expiring(key: &ApiKey, end: Timestamp) -> KeyRecord {
        KeyRecord {
            expires_at: Some(end),
            ..record(key)
        }
    }

    #[test]
    fn a_key_is_found_and_a_strangers_is_not() {
        let (key, other) = (ApiKey::generate().unwrap(), ApiKey::generate().unwrap());
        let ring = KeyRing::new();
        ring.replace([record(&key)], NOW);
        assert_eq!(ring.find(&key, NOW).unwrap().0.id.as_u128(), 1);
        assert_eq!(ring.find(&other, NOW).err(), Some(Reason::UnknownKey));
    }

    #[test]
    fn a_lease_outlives_reloads_and_ends_when_its_key_is_revoked() {
        let key = ApiKey::generate().unwrap();
        let ring = KeyRing::new();
        ring.replace([record(&key)], NOW);
        let (_, lease) = ring.find(&key, NOW).unwrap();
        ring.replace([record(&key)], NOW);
        assert_eq!(lease.end(), None);
        let revoked = KeyRecord {
            revoked_at: Some(NOW),
            ..record(&key)
        };
        ring.replace([revoked], NOW);
        assert_eq!(lease.end(), Some(LeaseEnd::Revoked));
        assert_eq!(ring.find(&key, NOW).err(), Some(Reason::RevokedKey));
    }

    #[test]
    fn a_key_that_is_gone_from_the_store_is_revoked() {
        let key = ApiKey::generate().unwrap();
        let ring = KeyRing::new();
        ring.replace([record(&key)], NOW);
        let (_, lease) = ring.find(&key, NOW).unwrap();
        ring.replace([], NOW);
        assert_eq!(lease.end(), Some(LeaseEnd::Revoked));
    }

    #[test]
    fn a_lease_ends_when_its_key_expires() {
        let key = ApiKey::generate().unwrap();
        let ring = KeyRing::new();
        ring.replace([expiring(&key, seconds(60))], NOW);
        let (_, lease) = ring.find(&key, seconds(59)).unwrap();
        ring.expire(seconds(59));
        assert_eq!(lease.end(), None);
        assert_eq!(ring.find(&key, seconds(60)).err(), Some(Reason::ExpiredKey));
        ring.expire(seconds(60));
        assert_eq!(lease.end(), Some(LeaseEnd::Expired));
        ring.replace([], seconds(61));
        assert_eq!(lease.end(), Some(LeaseEnd::Expired));
    }

    #[test]
    fn a_key_that_is_good_again_gives_new_leases() {
        let key = ApiKey::generate().unwrap();
        let ring = KeyRing::new();
        ring.replace([expiring(&key, seconds(1))], NOW);
        let (_, old) = ring.find(&key, NOW).unwrap();
        ring.expire(seconds(1));
        ring.replace([expiring(&key, seconds(9))], seconds(1));
        let (_, new) = ring.find(&key, seconds(1)).unwrap();
        assert_eq!(old.end(), Some(LeaseEnd::Expired));
        assert_eq!(new.end(), None);
        ring.expire(seconds(9));
        assert_eq!(new.end(), Some(LeaseEnd::Expired));
    }

    #[test]
    fn leases_have_ended_before_anybody_is_told_so_and_nobody_is_told_of_nothing() {
        let (key, other) = (ApiKey::generate().unwrap(), ApiKey::generate().unwrap());
        let ring = KeyRing::new();
        let mut ends = ring.ends();
        let records = || [record(&other), expiring(&key, seconds(60))];
        ring.replace(records(), NOW);
        let (_, lease) = ring.find(&key, NOW).unwrap();
        let (_, others) = ring.find(&other, NOW).unwrap();
        ring.expire(seconds(59));
        ring.replace(records(), seconds(59));
        assert!(!ends.has_changed().unwrap());
        assert_eq!(lease.end(), None);

        ring.expire(seconds(60));
        assert!(ends.has_changed().unwrap());
        ends.mark_unchanged();
        assert_eq!(lease.end(), Some(LeaseEnd::Expired));
        ring.expire(seconds(61));
        ring.replace(records(), seconds(61));
        assert!(!ends.has_changed().unwrap(), "once is enough");
        assert_eq!(others.end(), None);

        ring.replace([], seconds(62));
        assert!(ends.has_changed().unwrap());
        assert_eq!(others.end(), Some(LeaseEnd::Revoked));
        assert_eq!(lease.end(), Some(LeaseEnd::Expired), "the first stands");
    }

    #[test]
    fn whoever_asks_before_the_first_load_is_told_to_wait() {
        let ring = KeyRing::new();
        assert_eq!(ring.loaded().now_or_never(), None);
        assert!(!ring.is_loaded());
        ring.replace([], NOW);
        assert_eq!(ring.loaded().now_or_never(), Some(()));
        assert!(ring.is_loaded());
    }
}
