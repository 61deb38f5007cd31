//! The store of many machines: the Redis that is their bus, too.
//!
//! Hashes `tidings:keys`, `tidings:accounts` and so on, from id to JSON, and the number `tidings:version`,
//! which every write counts up.

use std::collections::HashMap;

use super::{Kind, StoreError, Version};
use crate::redis_link::RedisLink;

#[derive(Clone)]
pub struct RedisStore(RedisLink);

const VERSION: &str = "tidings:version";

/// Records in one command: others wait for Redis meanwhile, and it must answer in time.
const BATCH: usize = 500;

impl RedisStore {
    pub(super) fn new(link: RedisLink) -> Self {
        RedisStore(link)
    }

    pub(super) async fn version(&self) -> Result<Version, StoreError> {
        let version: Option<i64> = self.0.run(redis::cmd("GET").arg(VERSION)).await?;
        Ok(Version([version.unwrap_or(0), 0]))
    }

    /// What is written meanwhile may be missing: then the version is another one, too.
    pub(super) async fn records(&self, kind: Kind) -> Result<Vec<(String, String)>, StoreError> {
        // A scan may tell of the same one twice.
        let mut all = HashMap::new();
        let mut cursor = 0;
        loop {
            let mut scan = redis::cmd("HSCAN");
            scan.arg(hash(kind)).arg(cursor).arg("COUNT").arg(BATCH);
            let (next, some): (u64, Vec<(String, String)>) = self.0.run(&scan).await?;
            all.extend(some);
            match next {
                0 => return Ok(all.into_iter().collect()),
                next => cursor = next,
            }
        }
    }

    /// Batch by batch. Where it fails in the middle the first batches are kept; putting all of them
    /// again completes it.
    pub(super) async fn put(
        &self,
        kind: Kind,
        records: Vec<(String, String)>,
    ) -> Result<(), StoreError> {
        for batch in records.chunks(BATCH) {
            let mut put = redis::pipe();
            put.atomic().cmd("HSET").arg(hash(kind));
            for (id, record) in batch {
                put.arg(id).arg(record);
            }
            put.ignore().cmd("INCR").arg(VERSION).ignore();
            let () = self.0.run_all(&put).await?;
        }
        Ok(())
    }
}

impl RedisStore {
    pub(super) async fn remove(&self, kind: Kind, id: &str) -> Result<bool, StoreError> {
        let mut remove = redis::pipe();
        remove
            .atomic()
            .hdel(hash(kind), id)
            .cmd("INCR")
            .arg(VERSION)
            .ignore();
        let (removed,): (usize,) = self.0.run_all(&remove).await?;
        Ok(removed > 0)
    }
}

fn hash(kind: Kind) -> String {
    format!("tidings:{}", kind.name())
}
