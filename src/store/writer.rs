//! The one writer: a thread that runs waiting jobs in one transaction and answers them after its commit.
//!
//! A hundred waiting writers share one fsync. Each job has a savepoint of its own, so that a failed one leaves nothing behind
//! and its neighbours do not notice.

use std::panic::AssertUnwindSafe;
use std::thread::JoinHandle;

use rusqlite::Connection;
use tokio::sync::{mpsc, oneshot};

use super::engine::OpenError;
use super::error::StoreError;

/// Jobs that may wait at once; one more waits in its caller.
const QUEUE_JOBS: usize = 1024;
/// Jobs that share a commit: bounds how long the first of them waits.
const GROUP_JOBS: usize = 256;

/// Told how the commit went; then answers the caller.
type Answer = Box<dyn FnOnce(Result<(), String>) + Send>;
/// Runs inside the transaction and returns its answer. Its savepoint is kept when the flag is true.
type Job = Box<dyn FnOnce(&Connection) -> (bool, Answer) + Send>;

pub(super) struct Writer {
    jobs: Option<mpsc::Sender<Job>>,
    thread: Option<JoinHandle<()>>,
}

impl Writer {
    pub(super) fn start(connection: Connection) -> Result<Self, OpenError> {
        let (sender, receiver) = mpsc::channel(QUEUE_JOBS);
        let thread = std::thread::Builder::new()
            .name("store-writer".into())
            .spawn(move || serve(&connection, receiver))
            .map_err(|source| OpenError::Io { path: "store-writer thread".into(), source })?;
        Ok(Self { jobs: Some(sender), thread: Some(thread) })
    }

    pub(super) async fn run<T, F>(&self, job: F) -> Result<T, StoreError>
    where
        T: Send + 'static,
        F: FnOnce(&Connection) -> Result<T, StoreError> + Send + 'static,
    {
        let (sender, receiver) = oneshot::channel();
        let job: Job = Box::new(move |connection| {
            let result = std::panic::catch_unwind(AssertUnwindSafe(|| job(connection))).unwrap_or(Err(StoreError::Panicked { operation: "" }));
            let keep = result.is_ok();
            let answer: Answer = Box::new(move |committed| {
                let result = match committed {
                    Ok(()) => result,
                    Err(reason) => Err(result.err().unwrap_or(StoreError::NotCommitted { operation: "", reason })),
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

fn serve(connection: &Connection, mut jobs: mpsc::Receiver<Job>) {
    while let Some(first) = jobs.blocking_recv() {
        let mut answers = Vec::new();
        let begun = connection.execute_batch("BEGIN IMMEDIATE");
        let mut next = Some(first);
        while let Some(job) = next.take() {
            if begun.is_ok() {
                answers.push(in_savepoint(connection, job));
            } else {
                // The job still runs to make its answer, outside a transaction and against a connection that refuses: it cannot be kept.
                answers.push(refuse(connection, job));
            }
            if answers.len() < GROUP_JOBS {
                next = jobs.try_recv().ok();
            }
        }
        let committed = begun.and_then(|()| connection.execute_batch("COMMIT")).map_err(|error| error.to_string());
        if committed.is_err() && !connection.is_autocommit() {
            // A failed commit (disk full) leaves the transaction open.
            if let Err(error) = connection.execute_batch("ROLLBACK") {
                tracing::error!(%error, "rolling back a failed group");
            }
        }
        for answer in answers {
            answer(committed.clone());
        }
    }
}

fn in_savepoint(connection: &Connection, job: Job) -> Answer {
    let opened = connection.execute_batch("SAVEPOINT job");
    let (keep, answer) = job(connection);
    let end = if keep { "RELEASE job" } else { "ROLLBACK TO job; RELEASE job" };
    let closed = opened.and_then(|()| connection.execute_batch(end)).map_err(|error| error.to_string());
    Box::new(move |committed| answer(closed.and(committed)))
}

fn refuse(connection: &Connection, job: Job) -> Answer {
    // query_only makes every statement of the job fail instead of committing by itself.
    let _ = connection.execute_batch("PRAGMA query_only = ON");
    let (_, answer) = job(connection);
    let _ = connection.execute_batch("PRAGMA query_only = OFF");
    answer
}
