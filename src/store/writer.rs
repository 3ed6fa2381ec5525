//! The one writer: a thread that runs waiting jobs in one transaction and answers them after its commit.
//!
//! A hundred waiting writers share one fsync. Each job has a savepoint of its own, so that a failed one leaves nothing behind
//! and its neighbours do not notice.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;

use rusqlite::Connection;
use tokio::sync::{mpsc, oneshot};

use super::engine::OpenError;
use super::error::StoreError;

/// Jobs that may wait at once; one more waits in its caller.
const QUEUE_JOBS: usize = 1024;
/// Jobs that share a commit: bounds how long the first of them waits.
const GROUP_JOBS: usize = 256;

/// Why a group was not kept. SQLite's own error is not `Clone`, and every waiter of the group is told.
#[derive(Clone, Debug)]
struct NotKept {
    disk_full: bool,
    reason: String,
}

impl From<rusqlite::Error> for NotKept {
    fn from(error: rusqlite::Error) -> Self {
        Self { disk_full: error.sqlite_error_code() == Some(rusqlite::ErrorCode::DiskFull), reason: error.to_string() }
    }
}

impl From<NotKept> for StoreError {
    fn from(NotKept { disk_full, reason }: NotKept) -> Self {
        if disk_full { Self::DiskFull { operation: "" } } else { Self::NotCommitted { operation: "", reason } }
    }
}

/// Told how the commit went; then answers the caller.
type Answer = Box<dyn FnOnce(Result<(), NotKept>) + Send>;
/// Runs inside the transaction and returns its answer. Its savepoint is kept when the flag is true. Without a connection it
/// does not run, and only makes its answer.
type Job = Box<dyn FnOnce(Option<&Connection>) -> (bool, Answer) + Send>;

pub(super) struct Writer {
    jobs: Option<mpsc::Sender<Job>>,
    disk_full: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Writer {
    pub(super) fn start(connection: Connection) -> Result<Self, OpenError> {
        let (sender, receiver) = mpsc::channel(QUEUE_JOBS);
        let disk_full = Arc::new(AtomicBool::new(false));
        let told = Arc::clone(&disk_full);
        let thread = std::thread::Builder::new()
            .name("store-writer".into())
            .spawn(move || serve(&connection, receiver, &told))
            .map_err(|source| OpenError::Io { path: "store-writer thread".into(), source })?;
        Ok(Self { jobs: Some(sender), disk_full, thread: Some(thread) })
    }

    /// Whether a write found no room since [`Writer::room_again`]. Smaller ones may have found some since: that says little.
    pub(super) fn disk_full(&self) -> bool {
        self.disk_full.load(Ordering::Relaxed)
    }

    /// Somebody looked, and there is room.
    pub(super) fn room_again(&self) {
        self.disk_full.store(false, Ordering::Relaxed);
    }

    pub(super) async fn run<T, F>(&self, job: F) -> Result<T, StoreError>
    where
        T: Send + 'static,
        F: FnOnce(&Connection) -> Result<T, StoreError> + Send + 'static,
    {
        let (sender, receiver) = oneshot::channel();
        let job: Job = Box::new(move |connection| {
            let result = match connection {
                Some(connection) => {
                    std::panic::catch_unwind(AssertUnwindSafe(|| job(connection))).unwrap_or(Err(StoreError::Panicked { operation: "" }))
                }
                None => Err(StoreError::Closed { operation: "" }),
            };
            let (ran, keep) = (connection.is_some(), result.is_ok());
            let answer: Answer = Box::new(move |committed| {
                let result = match (result, committed) {
                    // The job's own error says more than the group's, unless it was never asked.
                    (Err(error), _) if ran => Err(error),
                    (_, Err(why)) => Err(why.into()),
                    (result, Ok(())) => result,
                };
                // The caller may have given up; the work stands all the same.
                let _ = sender.send(result);
            });
            (keep, answer)
        });
        let closed = || StoreError::Closed { operation: "" };
        self.jobs.as_ref().ok_or_else(closed)?.send(job).await.map_err(|_| closed())?;
        receiver.await.map_err(|_| closed())?
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        drop(self.jobs.take());
        if let Some(thread) = self.thread.take() {
            // The last clone may be dropped by a job's own closure inside the thread: it cannot wait for itself.
            if thread.thread().id() != std::thread::current().id() && thread.join().is_err() {
                tracing::error!("the store's writer thread ended by a panic");
            }
        }
    }
}

fn serve(connection: &Connection, mut jobs: mpsc::Receiver<Job>, disk_full: &AtomicBool) {
    while let Some(first) = jobs.blocking_recv() {
        let answers = group(connection, first, &mut jobs);
        if answers.met_full_disk || matches!(answers.committed, Err(NotKept { disk_full: true, .. })) {
            disk_full.store(true, Ordering::Relaxed);
        }
        for answer in answers.waiting {
            answer(answers.committed.clone());
        }
    }
}

/// A group that was brought to its end, before anybody is told.
struct Answers {
    waiting: Vec<Answer>,
    committed: Result<(), NotKept>,
    /// A job of the group met a full disk; the others may have been kept all the same.
    met_full_disk: bool,
}

/// Runs the first job and those that wait behind it in one transaction.
fn group(connection: &Connection, first: Job, jobs: &mut mpsc::Receiver<Job>) -> Answers {
    let (mut answers, mut met_full_disk) = (Vec::new(), false);
    let mut outcome = connection.execute_batch("BEGIN IMMEDIATE").map_err(NotKept::from);
    let mut next = Some(first);
    while let Some(job) = next.take() {
        match &outcome {
            Ok(()) => match in_savepoint(connection, job, &mut met_full_disk) {
                Ok(answer) => answers.push(answer),
                Err((answer, lost)) => {
                    answers.push(answer);
                    outcome = Err(lost);
                }
            },
            // Only the first job can meet this: the transaction did not begin.
            Err(_) => answers.push(job(None).1),
        }
        // A lost transaction takes no more jobs: outside of one each would commit by itself while all are told that nothing was kept.
        if outcome.is_ok() && answers.len() < GROUP_JOBS {
            next = jobs.try_recv().ok();
        }
    }
    let committed = outcome.and_then(|()| connection.execute_batch("COMMIT").map_err(NotKept::from));
    // A commit that failed may have left the transaction open.
    if committed.is_err()
        && !connection.is_autocommit()
        && let Err(error) = connection.execute_batch("ROLLBACK")
    {
        tracing::error!(%error, "rolling back a failed group");
    }
    Answers { waiting: answers, committed, met_full_disk }
}

/// Runs a job in a savepoint of its own. `Err` = the whole transaction is gone: SQLite rolls it back by itself when a
/// statement meets a full disk or a failing one.
fn in_savepoint(connection: &Connection, job: Job, met_full_disk: &mut bool) -> Result<Answer, (Answer, NotKept)> {
    if let Err(error) = connection.execute_batch("SAVEPOINT job") {
        return Err((job(None).1, error.into()));
    }
    let (keep, answer) = job(Some(connection));
    *met_full_disk |= !keep && is_full(connection);
    if connection.is_autocommit() {
        let lost = NotKept { disk_full: is_full(connection), reason: "the database ended the transaction".to_owned() };
        return Err((answer, lost));
    }
    let end = if keep { "RELEASE job" } else { "ROLLBACK TO job; RELEASE job" };
    match connection.execute_batch(end) {
        Ok(()) => Ok(answer),
        Err(error) => Err((answer, error.into())),
    }
}

/// Whether the connection's last error was a full disk.
fn is_full(connection: &Connection) -> bool {
    #[expect(unsafe_code, reason = "rusqlite has no safe way to the connection's last error code")]
    // SAFETY: the handle is valid for as long as the connection is borrowed, and the call only reads it.
    let code = unsafe { rusqlite::ffi::sqlite3_errcode(connection.handle()) };
    code & 0xff == rusqlite::ffi::SQLITE_FULL
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A writer over a database that may have only so many pages of 4 KiB.
    fn writer(pages: u32) -> (Writer, tempfile::TempDir) {
        let folder = tempfile::tempdir().unwrap();
        let connection = Connection::open(folder.path().join("x.db")).unwrap();
        connection.execute_batch(&format!("CREATE TABLE t (v BLOB); PRAGMA max_page_count = {pages};")).unwrap();
        (Writer::start(connection).unwrap(), folder)
    }

    async fn insert(writer: &Writer, bytes: i64) -> Result<(), StoreError> {
        writer.run(move |tx| Ok(tx.execute("INSERT INTO t VALUES (zeroblob(?1))", [bytes]).map(|_| ())?)).await
    }

    #[tokio::test]
    async fn a_full_disk_is_named_and_whoever_is_told_so_has_nothing_kept() {
        let (writer, folder) = writer(20);
        let results = tokio::join!(insert(&writer, 10), insert(&writer, 5_000_000), insert(&writer, 10), insert(&writer, 10));
        let results = [results.0, results.1, results.2, results.3];
        assert!(matches!(results[1], Err(StoreError::DiskFull { .. })), "{results:?}");
        let kept = i64::try_from(results.iter().filter(|result| result.is_ok()).count()).unwrap();
        let rows: i64 = Connection::open(folder.path().join("x.db")).unwrap().query_row("SELECT count(*) FROM t", [], |row| row.get(0)).unwrap();
        assert_eq!(rows, kept, "told and kept agree: {results:?}");
        assert!(insert(&writer, 10).await.is_ok(), "and the writer goes on");
    }

    #[tokio::test]
    async fn a_full_disk_is_remembered_until_somebody_found_room() {
        let (writer, _folder) = writer(20);
        assert!(!writer.disk_full());
        assert!(insert(&writer, 5_000_000).await.is_err());
        insert(&writer, 10).await.unwrap();
        assert!(writer.disk_full(), "a little room is no room");
        writer.room_again();
        assert!(!writer.disk_full());
    }
}
