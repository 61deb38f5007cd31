//! All keys, mirrored in memory, and what lives by them.
//!
//! A connection that was opened with a key holds a [`Lease`] for it. Nobody keeps a list of leases:
//! all leases of a key watch the one cell in which its end will be written.

use std::collections::HashMap;
use std::sync::Arc;

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
}

/// The right to go on, for as long as the key is good that it was given for.
#[derive(Clone, Debug)]
pub struct Lease(watch::Receiver<Option<LeaseEnd>>);

/// Why a lease ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LeaseEnd {
    Revoked,
    Expired,
}

#[derive(Debug, Default)]
struct Entries {
    by_digest: HashMap<KeyDigest, Entry>,
    /// Keys that will expire, the first one first.
    expiring: Vec<(Timestamp, KeyDigest)>,
}

#[derive(Clone, Debug)]
struct Entry {
    record: Arc<KeyRecord>,
    /// Outlives reloads, so that leases do.
    end: watch::Sender<Option<LeaseEnd>>,
}

impl KeyRing {
    /// A ring that was not loaded yet: whoever asks waits.
    pub fn new() -> Self {
        KeyRing {
            entries: ArcSwapOption::empty(),
            loaded: watch::Sender::new(false),
        }
    }

    /// Puts these keys in the place of all that were known, and ends the leases of those that are
    /// not good any more. To be called by one task alone.
    pub fn replace(&self, records: impl IntoIterator<Item = KeyRecord>, now: Timestamp) {
        let old = self.entries.load_full().unwrap_or_default();
        let mut entries = Entries::default();
        for record in records {
            let entry = Entry::of(record, &old, now);
            if let (None, Some(end)) = (*entry.end.borrow(), entry.record.expires_at) {
                entries.expiring.push((end, entry.record.digest));
            }
            entries.by_digest.insert(entry.record.digest, entry);
        }
        entries.expiring.sort_unstable_by_key(|(end, _)| *end);
        let entries = Arc::new(entries);
        // First the new keys, then the ends: who asks in between must not get a lease that nobody
        // will end.
        self.entries.store(Some(entries.clone()));
        for (digest, entry) in &old.by_digest {
            if !entries.by_digest.contains_key(digest) {
                entry.end(LeaseEnd::Revoked);
            }
        }
        for entry in entries.by_digest.values() {
            entry.end_if_due(now);
        }
        self.loaded.send_replace(true);
    }

    /// Ends the leases of keys that have expired. Cheap enough to be asked several times a second.
    pub fn expire(&self, now: Timestamp) {
        if let Some(entries) = &*self.entries.load() {
            let due = entries.expiring.partition_point(|(end, _)| *end <= now);
            for (_, digest) in &entries.expiring[..due] {
                entries.by_digest[digest].end(LeaseEnd::Expired);
            }
        }
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
            KeyState::Active => Ok((entry.record.clone(), Lease(entry.end.subscribe()))),
            KeyState::Revoked => Err(Reason::RevokedKey),
            KeyState::Expired => Err(Reason::ExpiredKey),
        }
    }
}

impl Default for KeyRing {
    fn default() -> Self {
        KeyRing::new()
    }
}

impl Entry {
    /// With the cell that leases of this key already watch, unless they were told their end: a key
    /// that is good again, because a backup was restored, starts anew.
    fn of(record: KeyRecord, old: &Entries, now: Timestamp) -> Self {
        let kept = old
            .by_digest
            .get(&record.digest)
            .filter(|old| old.end.borrow().is_none() || record.state(now) != KeyState::Active);
        Entry {
            end: kept.map_or_else(|| watch::Sender::new(None), |old| old.end.clone()),
            record: Arc::new(record),
        }
    }

    fn end_if_due(&self, now: Timestamp) {
        match self.record.state(now) {
            KeyState::Active => {}
            KeyState::Revoked => self.end(LeaseEnd::Revoked),
            KeyState::Expired => self.end(LeaseEnd::Expired),
        }
    }

    /// The first reason stands.
    fn end(&self, why: LeaseEnd) {
        self.end.send_if_modified(|end| {
            let first = end.is_none();
            end.get_or_insert(why);
            first
        });
    }
}

impl Lease {
    /// Returns when the key is no longer good, and why. Cancel-safe.
    ///
    /// Within a second of a revocation anywhere: as often as the ring is refreshed from the store.
    pub async fn ended(&mut self) -> LeaseEnd {
        let end = match self.0.wait_for(Option::is_some).await.map(|end| *end) {
            Ok(end) => end,
            // The whole ring is gone: the process is ending, and that is what ends connections.
            Err(_) => std::future::pending().await,
        };
        end.expect("it was waited for")
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
        let (_, mut lease) = ring.find(&key, NOW).unwrap();
        ring.replace([record(&key)], NOW);
        assert_eq!(lease.ended().now_or_never(), None);
        let revoked = KeyRecord {
            revoked_at: Some(NOW),
            ..record(&key)
        };
        ring.replace([revoked], NOW);
        assert_eq!(lease.ended().now_or_never(), Some(LeaseEnd::Revoked));
        assert_eq!(ring.find(&key, NOW).err(), Some(Reason::RevokedKey));
    }

    #[test]
    fn a_key_that_is_gone_from_the_store_is_revoked() {
        let key = ApiKey::generate().unwrap();
        let ring = KeyRing::new();
        ring.replace([record(&key)], NOW);
        let (_, mut lease) = ring.find(&key, NOW).unwrap();
        ring.replace([], NOW);
        assert_eq!(lease.ended().now_or_never(), Some(LeaseEnd::Revoked));
    }

    #[test]
    fn a_lease_ends_when_its_key_expires() {
        let key = ApiKey::generate().unwrap();
        let ring = KeyRing::new();
        ring.replace([expiring(&key, seconds(60))], NOW);
        let (_, mut lease) = ring.find(&key, seconds(59)).unwrap();
        ring.expire(seconds(59));
        assert_eq!(lease.ended().now_or_never(), None);
        assert_eq!(ring.find(&key, seconds(60)).err(), Some(Reason::ExpiredKey));
        ring.expire(seconds(60));
        assert_eq!(lease.ended().now_or_never(), Some(LeaseEnd::Expired));
        ring.replace([], seconds(61));
        assert_eq!(lease.ended().now_or_never(), Some(LeaseEnd::Expired));
    }

    #[test]
    fn a_key_that_is_good_again_gives_new_leases() {
        let key = ApiKey::generate().unwrap();
        let ring = KeyRing::new();
        ring.replace([expiring(&key, seconds(1))], NOW);
        let (_, mut old) = ring.find(&key, NOW).unwrap();
        ring.expire(seconds(1));
        ring.replace([expiring(&key, seconds(9))], seconds(1));
        let (_, mut new) = ring.find(&key, seconds(1)).unwrap();
        assert_eq!(old.ended().now_or_never(), Some(LeaseEnd::Expired));
        assert_eq!(new.ended().now_or_never(), None);
        ring.expire(seconds(9));
        assert_eq!(new.ended().now_or_never(), Some(LeaseEnd::Expired));
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
