//! The store of one machine: a file.

use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use rusqlite::{Connection, ErrorCode, TransactionBehavior};

use super::{Kind, StoreError, Version};

/// One connection, used on the threads that may block: nobody waits for the disk on a thread that
/// serves.
#[derive(Clone)]
pub struct SqliteStore(Arc<Mutex<Database>>);

struct Database {
    connection: Connection,
    /// `PRAGMA data_version` tells of the writes of others; these are our own.
    writes: i64,
}

const FORMAT: i64 = 2;

/// How long to wait for others who have the file.
const PATIENCE: Duration = Duration::from_secs(5);

/// What each format has that the one before it had not.
const TABLES: [&str; FORMAT as usize] = [
    "
    CREATE TABLE keys (id TEXT PRIMARY KEY, record TEXT NOT NULL) STRICT;
    CREATE TABLE accounts (id TEXT PRIMARY KEY, record TEXT NOT NULL) STRICT;
    ",
    "
    CREATE TABLE webhooks (id TEXT PRIMARY KEY, record TEXT NOT NULL) STRICT;
    CREATE TABLE bots (id TEXT PRIMARY KEY, record TEXT NOT NULL) STRICT;
    CREATE TABLE plans (id TEXT PRIMARY KEY, record TEXT NOT NULL) STRICT;
    ",
];

impl SqliteStore {
    pub(super) fn open(directory: &Path) -> Result<Self, StoreError> {
        make(directory).map_err(|cause| StoreError::Directory {
            directory: directory.to_owned(),
            cause,
        })?;
        let connection = Connection::open(directory.join("tidings.db"))?;
        SqliteStore::of(connection)
    }

    pub(super) fn in_memory() -> Result<Self, StoreError> {
        SqliteStore::of(Connection::open_in_memory()?)
    }

    fn of(mut connection: Connection) -> Result<Self, StoreError> {
        connection.busy_timeout(PATIENCE)?;
        // Writers do not disturb readers: `tidings keys create` does not stop a server.
        write_ahead(&connection)?;
        let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let present: i64 =
            transaction.pragma_query_value(None, "user_version", |row| row.get(0))?;
        let newer = usize::try_from(present)
            .ok()
            .and_then(|present| TABLES.get(present..));
        let newer = newer.ok_or(StoreError::Newer)?;
        for tables in newer {
            transaction.execute_batch(tables)?;
        }
        if !newer.is_empty() {
            transaction.pragma_update(None, "user_version", FORMAT)?;
        }
        transaction.commit()?;
        let database = Database {
            connection,
            writes: 0,
        };
        Ok(SqliteStore(Arc::new(Mutex::new(database))))
    }

    pub(super) async fn version(&self) -> Result<Version, StoreError> {
        self.blocking(|database| {
            let read = |row: &rusqlite::Row<'_>| row.get(0);
            let connection = &database.connection;
            let others = connection.pragma_query_value(None, "data_version", read)?;
            Ok(Version([others, database.writes]))
        })
        .await
    }

    pub(super) async fn records(&self, kind: Kind) -> Result<Vec<(String, String)>, StoreError> {
        self.blocking(move |database| {
            let select = format!("SELECT id, record FROM {}", kind.name());
            let mut statement = database.connection.prepare_cached(&select)?;
            let records = statement.query_map((), |row| Ok((row.get(0)?, row.get(1)?)))?;
            records.collect()
        })
        .await
    }

    /// All of them or none.
    pub(super) async fn put(
        &self,
        kind: Kind,
        records: Vec<(String, String)>,
    ) -> Result<(), StoreError> {
        self.blocking(move |database| {
            let immediate = TransactionBehavior::Immediate;
            let transaction = database.connection.transaction_with_behavior(immediate)?;
            let insert = format!("INSERT OR REPLACE INTO {} VALUES (?1, ?2)", kind.name());
            for (id, record) in &records {
                transaction.prepare_cached(&insert)?.execute((id, record))?;
            }
            transaction.commit()?;
            database.writes += 1;
            Ok(())
        })
        .await
    }

    pub(super) async fn remove(&self, kind: Kind, id: String) -> Result<bool, StoreError> {
        self.blocking(move |database| {
            let delete = format!("DELETE FROM {} WHERE id = ?1", kind.name());
            let removed = database.connection.execute(&delete, (id,))?;
            database.writes += 1;
            Ok(removed > 0)
        })
        .await
    }

    async fn blocking<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Database) -> rusqlite::Result<T> + Send + 'static,
    ) -> Result<T, StoreError> {
        let database = self.0.clone();
        let done = tokio::task::spawn_blocking(move || {
            work(&mut database.lock().expect("no query panics"))
        });
        match done.await {
            Ok(done) => Ok(done?),
            // Only the end of the runtime cancels it, and that ends whoever waits here, too.
            Err(error) if error.is_cancelled() => std::future::pending().await,
            Err(error) => std::panic::resume_unwind(error.into_panic()),
        }
    }
}

/// For us alone: there are people's balances in it.
fn make(directory: &Path) -> std::io::Result<()> {
    let mut builder = std::fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(directory)
}

/// Switches to a write-ahead log. SQLite does not wait for others here, whatever its busy timeout,
/// when several processes switch a new file at once.
fn write_ahead(connection: &Connection) -> rusqlite::Result<()> {
    let deadline = Instant::now() + PATIENCE;
    loop {
        match connection.pragma_update(None, "journal_mode", "WAL") {
            Err(error)
                if error.sqlite_error_code() == Some(ErrorCode::DatabaseBusy)
                    && Instant::now() < deadline =>
            {
                std::thread::sleep(Duration::from_millis(5));
            }
            switched => return switched,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_file_of_a_newer_tidings_is_left_alone() {
        let directory = tempfile::tempdir().unwrap();
        drop(SqliteStore::open(directory.path()).unwrap());
        let connection = Connection::open(directory.path().join("tidings.db")).unwrap();
        connection
            .pragma_update(None, "user_version", FORMAT + 1)
            .unwrap();
        let refused = SqliteStore::open(directory.path()).err();
        assert!(matches!(refused, Some(StoreError::Newer)));
    }

    #[test]
    fn a_file_of_an_older_tidings_gets_what_it_has_not() {
        let directory = tempfile::tempdir().unwrap();
        let connection = Connection::open(directory.path().join("tidings.db")).unwrap();
        connection.execute_batch(TABLES[0]).unwrap();
        connection.pragma_update(None, "user_version", 1).unwrap();
        drop(connection);
        drop(SqliteStore::open(directory.path()).unwrap());
        let store = SqliteStore::open(directory.path()).unwrap();
        let database = store.0.lock().unwrap();
        let bots = "SELECT count(*) FROM bots";
        let count: i64 = database
            .connection
            .query_row(bots, (), |row| row.get(0))
            .unwrap();
        assert_eq!(count, 0);
    }

    #[test]
    fn those_who_start_at_once_do_not_disturb_each_other() {
        for _ in 0..10 {
            let directory = tempfile::tempdir().unwrap();
            std::thread::scope(|scope| {
                let open = || SqliteStore::open(directory.path()).map(drop);
                let opened: Vec<_> = (0..8).map(|_| scope.spawn(open)).collect();
                for one in opened {
                    one.join().unwrap().unwrap();
                }
            });
        }
    }

    #[test]
    fn a_query_that_the_end_of_the_runtime_cancels_ends_quietly() {
        let store = SqliteStore::in_memory().unwrap();
        let runtime = tokio::runtime::Builder::new_current_thread()
            .build()
            .unwrap();
        let ended = runtime.handle().clone();
        drop(runtime);
        let _inside = ended.enter();
        let mut query = std::pin::pin!(store.version());
        let mut context = std::task::Context::from_waker(std::task::Waker::noop());
        assert!(query.as_mut().poll(&mut context).is_pending());
    }

    #[cfg(unix)]
    #[test]
    fn only_its_owner_may_look_into_the_directory() {
        use std::os::unix::fs::PermissionsExt;
        let directory = tempfile::tempdir().unwrap().path().join("data");
        SqliteStore::open(&directory).unwrap();
        let mode = std::fs::metadata(&directory).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o700);
    }
}
