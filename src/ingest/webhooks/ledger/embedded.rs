//! The ledger of one process: a file of its own, and one lock.
//!
//! `webhooks.db` is beside `tidings.db` and not in it: each write to that one makes every process that mirrors
//! it read all of it again.

use std::path::Path;
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use jiff::Timestamp;
use rusqlite::{Connection, OptionalExtension, Transaction, TransactionBehavior};
use uuid::Uuid;

use super::{Delivery, Entered, LedgerError, MONTHS, Month, Rules, read_id};
use crate::bus::Bus;
use crate::event::{Webhook, WebhookId};
use crate::ingest::webhooks::idempotency::IdempotencyKey;
use crate::retained::MemoryRetained;
use crate::topic::{AccountId, Topic};

/// Counts in a file, keeps in memory, and tells over the bus. Cheap to clone.
#[derive(Clone)]
pub struct EmbeddedLedger {
    book: Book,
    retained: MemoryRetained,
    bus: Bus,
    /// The id of the last webhook. Held from the choice of an id until it is told, so that ids are told in
    /// their order.
    last: Arc<tokio::sync::Mutex<WebhookId>>,
}

/// The file.
#[derive(Clone)]
struct Book {
    connection: Arc<Mutex<Connection>>,
    rules: Rules,
}

const FORMAT: i64 = 1;

const TABLES: &str = "
    CREATE TABLE usage (
        account TEXT NOT NULL,
        month TEXT NOT NULL,
        used INTEGER NOT NULL,
        PRIMARY KEY (account, month)
    ) STRICT, WITHOUT ROWID;
    CREATE TABLE entered (
        endpoint TEXT NOT NULL,
        key BLOB NOT NULL,
        id TEXT NOT NULL,
        at INTEGER NOT NULL,
        PRIMARY KEY (endpoint, key)
    ) STRICT, WITHOUT ROWID;
    CREATE INDEX entered_at ON entered (at);
    CREATE INDEX entered_at_endpoint ON entered (endpoint, at);
";

/// Keys of an endpoint are counted once in so many entries: that looks at all of them.
const COUNT_KEYS_EVERY: u64 = 256;

impl EmbeddedLedger {
    /// `webhooks.db` in this directory, which is there. Blocks.
    pub fn open(
        directory: &Path,
        rules: Rules,
        retained: MemoryRetained,
        bus: Bus,
    ) -> Result<Self, LedgerError> {
        let connection = Connection::open(directory.join("webhooks.db"))?;
        connection.pragma_update(None, "journal_mode", "WAL")?;
        // What was counted in the last moments before the power fails may be lost; when the process ends,
        // however it does, nothing is.
        connection.pragma_update(None, "synchronous", "NORMAL")?;
        EmbeddedLedger::of(connection, rules, retained, bus)
    }

    /// One that ends with this process.
    pub fn in_memory(
        rules: Rules,
        retained: MemoryRetained,
        bus: Bus,
    ) -> Result<Self, LedgerError> {
        EmbeddedLedger::of(Connection::open_in_memory()?, rules, retained, bus)
    }

    fn of(
        connection: Connection,
        rules: Rules,
        retained: MemoryRetained,
        bus: Bus,
    ) -> Result<Self, LedgerError> {
        let present: i64 = connection.pragma_query_value(None, "user_version", |row| row.get(0))?;
        match present {
            0 => {
                connection.execute_batch(TABLES)?;
                connection.pragma_update(None, "user_version", FORMAT)?;
            }
            FORMAT => {}
            _ => return Err(LedgerError::Newer),
        }
        let first = WebhookId {
            millisecond: 0,
            sequence: 0,
        };
        Ok(EmbeddedLedger {
            book: Book {
                connection: Arc::new(Mutex::new(connection)),
                rules,
            },
            retained,
            bus,
            last: Arc::new(tokio::sync::Mutex::new(first)),
        })
    }

    pub(super) async fn enter(&self, delivery: Delivery) -> Result<Entered, LedgerError> {
        let ledger = self.clone();
        // A task of its own: who posts may go in the middle, and it must not stay half done.
        let entering = tokio::spawn(async move { ledger.enter_whole(delivery).await });
        match entering.await {
            Ok(entered) => entered,
            // Only the end of the runtime cancels it, and that ends whoever waits here, too.
            Err(error) if error.is_cancelled() => std::future::pending().await,
            Err(error) => std::panic::resume_unwind(error.into_panic()),
        }
    }

    async fn enter_whole(&self, delivery: Delivery) -> Result<Entered, LedgerError> {
        let mut last = self.last.lock().await;
        let now = Timestamp::now();
        let id = last.next(now);
        let delivery = Arc::new(delivery);
        let entering = delivery.clone();
        let entered = self
            .book
            .blocking(move |book, connection| book.enter(connection, &entering, id, now))
            .await??;
        let Entered::New(id) = entered else {
            return Ok(entered);
        };
        *last = id;
        let topic = Topic::Webhook(delivery.account);
        let body = Bytes::from(Webhook::body(id, &delivery.payload));
        if let Err(away) = self.bus.publish(&topic, body.clone()).await {
            let undoing = delivery.clone();
            self.book
                .blocking(move |_, connection| undo(connection, &undoing))
                .await??;
            return Err(away.into());
        }
        self.retained.keep_webhook(delivery.account, id, body);
        Ok(entered)
    }

    pub(super) async fn before(
        &self,
        endpoint: Uuid,
        key: IdempotencyKey,
    ) -> Result<Option<WebhookId>, LedgerError> {
        let look = move |book: &Book, connection: &mut Connection| {
            let since = book.since(Timestamp::now());
            before(connection, endpoint, key, since)
        };
        self.book.blocking(look).await?
    }

    pub(super) async fn used(&self, account: AccountId, month: Month) -> Result<u64, LedgerError> {
        self.book
            .blocking(move |_, connection| used(connection, account, month))
            .await?
            .map_err(LedgerError::from)
    }
}

impl Book {
    fn enter(
        &self,
        connection: &mut Connection,
        delivery: &Delivery,
        id: WebhookId,
        now: Timestamp,
    ) -> Result<Entered, LedgerError> {
        let immediate = TransactionBehavior::Immediate;
        let transaction = connection.transaction_with_behavior(immediate)?;
        if let Some(key) = delivery.key {
            let since = self.since(now);
            transaction
                .prepare_cached("DELETE FROM entered WHERE at <= ?1")?
                .execute((since,))?;
            if let Some(id) = before(&transaction, delivery.endpoint, key, since)? {
                return Ok(Entered::Before(id));
            }
        }
        let used = used(&transaction, delivery.account, delivery.month)?;
        if delivery.limit.is_some_and(|limit| used >= limit) {
            return Ok(Entered::OverLimit);
        }
        count(&transaction, delivery, used)?;
        if let Some(key) = delivery.key {
            self.remember(&transaction, delivery.endpoint, key, id, now)?;
            if used.is_multiple_of(COUNT_KEYS_EVERY) {
                self.forget_oldest(&transaction, delivery.endpoint)?;
            }
        }
        transaction.commit()?;
        Ok(Entered::New(id))
    }

    fn remember(
        &self,
        transaction: &Transaction<'_>,
        endpoint: Uuid,
        key: IdempotencyKey,
        id: WebhookId,
        now: Timestamp,
    ) -> rusqlite::Result<()> {
        let row = (
            endpoint.to_string(),
            key.as_bytes(),
            id.to_string(),
            now.as_millisecond(),
        );
        let insert = "INSERT OR REPLACE INTO entered VALUES (?1, ?2, ?3, ?4)";
        transaction.prepare_cached(insert)?.execute(row)?;
        Ok(())
    }

    fn forget_oldest(&self, transaction: &Transaction<'_>, endpoint: Uuid) -> rusqlite::Result<()> {
        let delete = "DELETE FROM entered WHERE endpoint = ?1 AND key IN (
            SELECT key FROM entered WHERE endpoint = ?1 ORDER BY at DESC LIMIT -1 OFFSET ?2)";
        let keys = i64::try_from(self.rules.keys.get()).unwrap_or(i64::MAX);
        let of = (endpoint.to_string(), keys);
        transaction.prepare_cached(delete)?.execute(of)?;
        Ok(())
    }

    /// What was entered at this time or before is forgotten; in Unix milliseconds.
    fn since(&self, now: Timestamp) -> i64 {
        let window = i64::try_from(self.rules.window.as_millis()).unwrap_or(i64::MAX);
        now.as_millisecond().saturating_sub(window)
    }

    async fn blocking<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Book, &mut Connection) -> T + Send + 'static,
    ) -> Result<T, LedgerError> {
        let book = self.clone();
        let done = tokio::task::spawn_blocking(move || {
            let mut connection = book.connection.lock().expect("no query panics");
            work(&book, &mut connection)
        });
        match done.await {
            Ok(done) => Ok(done),
            // Only the end of the runtime cancels it, and that ends whoever waits here, too.
            Err(error) if error.is_cancelled() => std::future::pending().await,
            Err(error) => std::panic::resume_unwind(error.into_panic()),
        }
    }
}

fn before(
    connection: &Connection,
    endpoint: Uuid,
    key: IdempotencyKey,
    since: i64,
) -> Result<Option<WebhookId>, LedgerError> {
    let select = "SELECT id FROM entered WHERE endpoint = ?1 AND key = ?2 AND at > ?3";
    let mut select = connection.prepare_cached(select)?;
    let of = (endpoint.to_string(), key.as_bytes(), since);
    let id: Option<String> = select.query_row(of, |row| row.get(0)).optional()?;
    id.map(read_id).transpose()
}

fn used(connection: &Connection, account: AccountId, month: Month) -> rusqlite::Result<u64> {
    let select = "SELECT used FROM usage WHERE account = ?1 AND month = ?2";
    let mut select = connection.prepare_cached(select)?;
    let of = (account.to_string(), month.to_string());
    let used: Option<i64> = select.query_row(of, |row| row.get(0)).optional()?;
    Ok(used.and_then(|used| used.try_into().ok()).unwrap_or(0))
}

/// Counts one, on top of those that are used.
fn count(transaction: &Transaction<'_>, delivery: &Delivery, used: u64) -> rusqlite::Result<()> {
    let (account, month) = (delivery.account.to_string(), delivery.month);
    let count = "INSERT INTO usage VALUES (?1, ?2, 1) ON CONFLICT DO UPDATE SET used = used + 1";
    let mut count = transaction.prepare_cached(count)?;
    count.execute((&account, month.to_string()))?;
    if used == 0 {
        let forget = "DELETE FROM usage WHERE account = ?1 AND month < ?2";
        let oldest = month.before(MONTHS).to_string();
        transaction.execute(forget, (&account, oldest))?;
    }
    Ok(())
}

/// What was not told was not taken in.
fn undo(connection: &mut Connection, delivery: &Delivery) -> Result<(), LedgerError> {
    let immediate = TransactionBehavior::Immediate;
    let transaction = connection.transaction_with_behavior(immediate)?;
    let of = (delivery.account.to_string(), delivery.month.to_string());
    let discount = "UPDATE usage SET used = used - 1 WHERE account = ?1 AND month = ?2";
    transaction.execute(discount, of)?;
    if let Some(key) = delivery.key {
        let of = (delivery.endpoint.to_string(), key.as_bytes());
        let forget = "DELETE FROM entered WHERE endpoint = ?1 AND key = ?2";
        transaction.execute(forget, of)?;
    }
    transaction.commit()?;
    Ok(())
}
