//! All SQL. One writer thread that commits in groups, a pool of read-only connections, and one file per noun.

pub mod addresses;
pub mod api_keys;
pub mod audit;
pub mod backup;
pub mod bootstrap;
pub mod chat_runs;
pub mod chunk_index;
pub mod chunks;
pub mod columns;
pub mod companies;
pub mod company_ends;
pub mod company_export;
pub mod conversations;
pub mod departures;
pub mod document_ingests;
pub mod document_versions;
pub mod documents;
pub mod egress;
mod engine;
mod error;
pub mod events;
pub mod factors;
pub mod installation;
pub mod invitations;
pub mod issuer;
pub mod ledger;
pub mod leftovers;
pub mod licence;
pub mod mail;
pub mod members;
pub mod metric_changes;
pub mod migrate;
pub mod names;
pub mod page_texts;
pub mod passkeys;
pub mod password_resets;
pub mod pending_sign_ins;
mod readers;
pub mod refused_sign_ins;
pub mod reports;
pub mod retention;
pub mod run_ingests;
pub mod run_pages;
pub mod run_recovery;
pub mod runs;
pub mod sealing;
pub mod secrets;
pub mod sessions;
pub mod sso;
pub mod sso_entries;
pub mod users;
mod vector_scan;
pub mod widgets;
mod writer;

use std::path::Path;
use std::sync::Arc;

use rusqlite::Connection;

use crate::base::clock::Timestamp;
use crate::base::memory;
use crate::base::paths::DataDir;
use crate::base::signal::Nudge;
use crate::base::vault::Vault;

pub use engine::{InstanceLock, OpenError, refuse_network_file_system};
pub use error::StoreError;
use readers::Readers;
use vector_scan::VectorScan;
use writer::Writer;

/// The database. Cheap to clone; the last clone closes it.
#[derive(Clone)]
pub struct Store {
    inner: Arc<Inner>,
}

struct Inner {
    // Dropped in this order: the writer's connection closes last and so empties the log into the database, before the lock is let go.
    readers: Readers,
    writer: Writer,
    vectors: VectorScan,
    vault: Vault,
    stops: Nudge,
    _lock: Option<InstanceLock>,
}

/// How the database is opened.
#[derive(Clone, Debug)]
pub struct StoreOptions {
    /// Most read connections at once (`DB_POOL_MAX`).
    pub readers_max: usize,
    /// Now: stamps applied migrations and names the backup taken before them.
    pub now: Timestamp,
    /// Seals and opens personal fields and secrets (`DB_ENCRYPTION_KEY`).
    pub vault: Vault,
}

impl Store {
    /// Opens the database of a data folder for serving: takes the folder's lock, refuses network file systems, backs up and migrates.
    ///
    /// # Errors
    /// Says what stands in the way and what to do: a second instance, a network file system, a newer or altered schema, the disk.
    pub fn open(dir: &DataDir, options: StoreOptions) -> Result<Self, OpenError> {
        engine::refuse_network_file_system(dir.path())?;
        let lock = InstanceLock::take(&dir.lock())?;
        let path = dir.database();
        let mut connection = engine::open_writer(&path)?;
        secrets::check_keys(&connection, &options.vault)?;
        migrate::up(&mut connection, dir, options.now)?;
        secrets::note_key(&mut connection, &options.vault, false, options.now)?;
        Self::over(connection, &path, options, Some(lock))
    }

    /// Opens the database for one command on the server: as [`Store::open`] when nothing serves the folder, else beside the running
    /// server, which sees what is written at once. Beside it nothing is migrated; SQLite serialises the two writers.
    ///
    /// # Errors
    /// As [`Store::open`]; and when the running server is of another version.
    pub fn open_for_command(dir: &DataDir, options: StoreOptions) -> Result<Self, OpenError> {
        match Self::open(dir, options.clone()) {
            Err(OpenError::InUse { .. }) => {}
            other => return other,
        }
        let path = dir.database();
        let mut connection = engine::open_writer(&path)?;
        secrets::check_keys(&connection, &options.vault)?;
        if migrate::status(&connection)?.iter().any(|state| state.applied_at.is_none()) {
            return Err(OpenError::OlderServer { path: dir.lock() });
        }
        secrets::note_key(&mut connection, &options.vault, true, options.now)?;
        Self::over(connection, &path, options, None)
    }

    fn over(connection: Connection, path: &Path, options: StoreOptions, lock: Option<InstanceLock>) -> Result<Self, OpenError> {
        let StoreOptions { readers_max, vault, .. } = options;
        sealing::register(&connection, &vault).map_err(|source| OpenError::Sqlite { path: path.to_owned(), source })?;
        Ok(Self {
            inner: Arc::new(Inner {
                writer: Writer::start(connection)?,
                readers: Readers::new(path, readers_max, vault.clone()),
                vectors: VectorScan::default(),
                vault,
                stops: Nudge::default(),
                _lock: lock,
            }),
        })
    }

    /// Runs `job` in the writer thread, inside a savepoint of a transaction shared with whoever else is waiting.
    /// The answer comes after the commit has reached the disk. `operation` names the work in errors.
    ///
    /// # Errors
    /// What the job returned, or that the commit failed: in both cases nothing of the job was kept.
    pub(in crate::store) async fn write<T, F>(&self, operation: &'static str, job: F) -> Result<T, StoreError>
    where
        T: Send + 'static,
        F: FnOnce(&Connection) -> Result<T, StoreError> + Send + 'static,
    {
        self.inner.writer.run(job).await.map_err(|error| error.during(operation))
    }

    /// Runs `query` on a read-only connection, off the async threads, on one consistent snapshot.
    ///
    /// # Errors
    /// What the query returned.
    pub(in crate::store) async fn read<T, F>(&self, operation: &'static str, query: F) -> Result<T, StoreError>
    where
        T: Send + 'static,
        F: FnOnce(&Connection) -> Result<T, StoreError> + Send + 'static,
    {
        let store = Arc::clone(&self.inner);
        self.inner.readers.run(store, query).await.map_err(|error| error.during(operation))
    }

    /// Whether there is room to write. Once a write found none, the disk is asked and a write is tried, so that room is noticed by itself.
    pub async fn has_room(&self) -> bool {
        const ROOM_BYTES_MIN: u64 = 1 << 20;
        let Inner { writer, readers, .. } = &*self.inner;
        if !writer.disk_full() {
            return true;
        }
        let free = rustix::fs::statvfs(readers.path()).map_or(u64::MAX, |disk| disk.f_bavail.saturating_mul(disk.f_frsize));
        let probe = |tx: &Connection| Ok(tx.execute("UPDATE installation SET install_id = install_id", [])?);
        let room = free >= ROOM_BYTES_MIN && self.write("look for room", probe).await.is_ok();
        if room {
            writer.room_again();
        }
        room
    }

    /// Comes back once the writer has come to this: at once, unless it hangs. It writes nothing, so a full disk does not matter.
    pub async fn await_writer(&self) {
        let _ = self.write("sign of life", |_| Ok(())).await;
    }

    /// Lets go of the memory of what was not used since the last call: vectors of companies that nobody searched, and the connections of readers.
    pub async fn release_idle_memory(&self) {
        let inner = Arc::clone(&self.inner);
        let released = tokio::task::spawn_blocking(move || {
            inner.vectors.release_idle();
            inner.readers.close_idle();
            memory::release_heap();
        });
        if released.await.is_err() {
            tracing::error!("giving idle memory back panicked");
        }
    }

    /// Whether the database answers: for readiness.
    ///
    /// # Errors
    /// When it does not.
    pub async fn ping(&self) -> Result<(), StoreError> {
        self.read("ping", |conn| Ok(conn.query_row("SELECT 1", [], |_| Ok(()))?)).await
    }
}

/// Opens a database read-only for a command that only looks, beside a running server or without one.
///
/// # Errors
/// When there is none, or it cannot be read.
pub fn open_read_only(path: &Path) -> Result<Connection, OpenError> {
    engine::open_reader(path)
}

impl std::fmt::Debug for Store {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Store").finish_non_exhaustive()
    }
}

#[cfg(test)]
pub(crate) mod testing {
    use super::*;

    /// A vault without a key.
    pub(crate) fn vault() -> Vault {
        Vault::without_key(&crate::base::seams::Seams::system())
    }

    /// A migrated store in a temporary folder, which lives as long as the returned guard.
    pub(crate) fn store() -> (Store, tempfile::TempDir) {
        let folder = tempfile::tempdir().unwrap();
        let options = StoreOptions { readers_max: 4, now: Timestamp::from_millis(1_795_300_000_000), vault: vault() };
        let store = Store::open(&DataDir::new(folder.path()), options).unwrap();
        (store, folder)
    }

    /// Runs one statement: for states that no method of the store makes yet.
    pub(crate) async fn execute<P: rusqlite::Params + Send + 'static>(store: &Store, sql: &'static str, params: P) {
        store.write("test statement", move |tx| Ok(tx.execute(sql, params)?)).await.unwrap();
    }

    /// Refuses an `UPDATE` or `INSERT` of a table until [`allow`].
    pub(crate) async fn refuse(store: &Store, verb: &str, table: &str) {
        let sql = format!("CREATE TRIGGER refuse BEFORE {verb} ON {table} BEGIN SELECT RAISE(ABORT, 'refused'); END");
        store.write("test trigger", move |tx| Ok(tx.execute(&sql, [])?)).await.unwrap();
    }

    /// Ends what [`refuse`] began.
    pub(crate) async fn allow(store: &Store) {
        execute(store, "DROP TRIGGER refuse", []).await;
    }

    /// Every answer is in this state now, whoever works on it.
    pub(crate) async fn put_chat_runs(store: &Store, state: &'static str) {
        execute(store, "UPDATE chat_runs SET state = ?1", [state]).await;
    }

    /// The one event that a stream has left takes the first place.
    pub(crate) async fn put_event_first(store: &Store, stream: &str) {
        execute(store, "UPDATE run_events SET seq = 1 WHERE stream_id = ?1", [stream.to_owned()]).await;
    }

    /// A company's subscription, without an end.
    pub(crate) async fn subscribe(store: &Store, company: &crate::model::ids::CompanyId, plan: &'static str) {
        execute(store, "INSERT INTO company_subscriptions VALUES (?1, ?2, 0, NULL)", (company.clone(), plan)).await;
    }

    /// So many small documents, each older than the next, whose ids begin as `like` does.
    pub(crate) async fn put_documents(
        store: &Store,
        company: &crate::model::ids::CompanyId,
        user: &crate::model::ids::UserId,
        like: crate::model::ids::DocumentId,
        number: u32,
    ) {
        let sql = "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ?4)
                   INSERT INTO documents (id, company_id, name, media_type, size_bytes, version, content_hash, state, uploaded_by, uploaded_at)
                   SELECT substr(?3, 1, length(?3) - 4) || printf('%04d', i), ?1, 'old ' || i, 'text/plain', 0, 1, '00', 'ready', ?2, i FROM n";
        execute(store, sql, (company.clone(), user.clone(), like, number)).await;
    }

    /// A user and a company of theirs, as bare rows.
    pub(crate) async fn user_and_company(store: &Store) -> (crate::model::ids::UserId, crate::model::ids::CompanyId) {
        let seams = crate::base::seams::Seams::system();
        let (user, company) = (crate::model::ids::UserId::new(&seams), crate::model::ids::CompanyId::new(&seams));
        let rows = (user.clone(), company.clone());
        store
            .write("test user and company", move |tx| {
                tx.execute("INSERT INTO users (id, email_index, name, password_hash, created_at) VALUES (?1, ?1, x'0041', '', 0)", [&rows.0])?;
                let sql = "INSERT INTO companies (id, number, name, created_at, created_by)
                           SELECT ?1, coalesce(max(number), 0) + 1, 'C', 0, ?2 FROM companies";
                Ok(tx.execute(sql, (&rows.1, &rows.0))?)
            })
            .await
            .unwrap();
        (user, company)
    }

    /// Somebody's place in a company.
    pub(crate) async fn membership(
        store: &Store,
        company: &crate::model::ids::CompanyId,
        user: &crate::model::ids::UserId,
        role: crate::model::role::Role,
    ) {
        let sql = "INSERT OR REPLACE INTO memberships (company_id, user_id, role, created_at) VALUES (?1, ?2, ?3, 0)";
        execute(store, sql, (company.clone(), user.clone(), role)).await;
    }

    /// A document of a company, as a bare row.
    pub(crate) async fn document(
        store: &Store,
        company: &crate::model::ids::CompanyId,
        user: &crate::model::ids::UserId,
    ) -> crate::model::ids::DocumentId {
        let id = crate::model::ids::DocumentId::new(&crate::base::seams::Seams::system());
        let sql = "INSERT INTO documents (id, company_id, name, media_type, size_bytes, version, content_hash, state, uploaded_by, uploaded_at)
                   VALUES (?1, ?2, 'a.txt', 'text/plain', 1, 1, '', 'ready', ?3, 0)";
        execute(store, sql, (id.clone(), company.clone(), user.clone())).await;
        id
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_failed_job_leaves_nothing_and_does_not_disturb_its_neighbours() {
        let (store, _folder) = testing::store();
        let insert = |id: &'static str, fail: bool| {
            let store = store.clone();
            async move {
                store
                    .write("insert", move |tx| {
                        tx.execute("INSERT INTO run_events VALUES (?1, 1, 'k', '{}', 0)", [id])?;
                        if fail { Err(StoreError::corrupt("on purpose")) } else { Ok(()) }
                    })
                    .await
            }
        };
        let (good, bad, duplicate) = tokio::join!(insert("a", false), insert("b", true), insert("a", false));
        assert!(good.is_ok() && bad.is_err() && duplicate.is_err());
        let ids: Vec<String> = store
            .read("list", |conn| {
                let mut statement = conn.prepare("SELECT stream_id FROM run_events")?;
                Ok(statement.query_map([], |row| row.get(0))?.collect::<Result<_, _>>()?)
            })
            .await
            .unwrap();
        assert_eq!(ids, ["a"]);
    }

    #[tokio::test]
    async fn a_panicking_job_fails_alone() {
        let (store, _folder) = testing::store();
        let panicked = store.write::<(), _>("panic", |_| panic!("on purpose")).await;
        assert!(matches!(panicked, Err(StoreError::Panicked { .. })), "{panicked:?}");
        assert!(store.write("after", |tx| Ok(tx.execute("INSERT INTO run_events VALUES ('a', 1, 'k', '{}', 0)", [])?)).await.is_ok());
    }

    #[tokio::test]
    async fn readers_cannot_write() {
        let (store, _folder) = testing::store();
        let refused = store.read("write", |conn| Ok(conn.execute("DELETE FROM run_events", [])?)).await;
        assert!(refused.is_err());
    }

    #[test]
    fn a_second_instance_is_told_so() {
        let (_store, folder) = testing::store();
        let options = StoreOptions { readers_max: 1, now: Timestamp::from_millis(0), vault: testing::vault() };
        let second = Store::open(&DataDir::new(folder.path()), options);
        assert!(matches!(second, Err(OpenError::InUse { .. })));
    }

    #[tokio::test]
    async fn a_command_writes_beside_the_server_and_the_server_sees_it() {
        let (server, folder) = testing::store();
        let options = StoreOptions { readers_max: 1, now: Timestamp::from_millis(0), vault: testing::vault() };
        let command = Store::open_for_command(&DataDir::new(folder.path()), options).unwrap();
        testing::execute(&command, "INSERT INTO run_events VALUES ('a', 1, 'k', '{}', 0)", []).await;
        testing::execute(&server, "INSERT INTO run_events VALUES ('a', 2, 'k', '{}', 0)", []).await;
        assert_eq!(server.events_after("a".into(), 0, 9).await.unwrap().len(), 2);
    }
}
