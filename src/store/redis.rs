//! The store of many machines: the Redis that is their bus, too.
//!
//! Hashes `tidings:keys` and `tidings:accounts`, from id to JSON, and the number `tidings:version`,
//! which every write counts up.

use std::collections::HashMap;

use super::{Kind, StoreError, Version};
use crate::redis_link::RedisLink;

#[derive(Clone)]
pub struct RedisStore(RedisLink);

const VERSION: &str = "tidings:version";

/// A script runs alone, as a transaction does; but a transaction is several commands, and they
/// would meet those of others on a shared connection.
const PUT: &str = "\
for i = 1, #ARGV, 2 do redis.call('HSET', KEYS[1], ARGV[i], ARGV[i + 1]) end
return redis.call('INCR', KEYS[2])";

/// Records in one write: others wait for Redis meanwhile.
const BATCH: usize = 500;

impl RedisStore {
    pub(super) fn new(link: RedisLink) -> Self {
        RedisStore(link)
    }

    pub(super) async fn version(&self) -> Result<Version, StoreError> {
        let version: Option<i64> = self.0.run(redis::cmd("GET").arg(VERSION)).await?;
        Ok(Version([version.unwrap_or(0), 0]))
    }

    pub(super) async fn records(&self, kind: Kind) -> Result<Vec<(String, String)>, StoreError> {
        let all = self.0.run(redis::cmd("HGETALL").arg(hash(kind))).await?;
        let all: HashMap<String, String> = all;
        Ok(all.into_iter().collect())
    }

    /// Batch by batch. Where it fails in the middle the first batches are kept; putting all of them
    /// again completes it.
    pub(super) async fn put(
        &self,
        kind: Kind,
        records: Vec<(String, String)>,
    ) -> Result<(), StoreError> {
        for batch in records.chunks(BATCH) {
            let mut put = redis::cmd("EVAL");
            put.arg(PUT).arg(2).arg(hash(kind)).arg(VERSION);
            for (id, record) in batch {
                put.arg(id).arg(record);
            }
            let _: i64 = self.0.run(&put).await?;
        }
        Ok(())
    }
}

fn hash(kind: Kind) -> String {
    format!("tidings:{}", kind.name())
}
