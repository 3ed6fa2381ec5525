//! The egress log: a row for every attempt, the refused ones too, written in batches by one task.

use std::collections::VecDeque;
use std::net::IpAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use url::Url;

use crate::base::seams::Seams;
use crate::base::tasks::Tasks;
use crate::base::text;
use crate::model::egress::{NewEgressLogRow, Purpose};
use crate::model::ids::CompanyId;
use crate::store::{Store, StoreError};

/// Most rows that wait while the store cannot take them; then the oldest go first.
const WAITING_ROWS_MAX: usize = 10_000;
/// Most rows of one write.
const BATCH_ROWS_MAX: usize = 1_000;
/// The longest destination kept, bytes.
const DESTINATION_BYTES_MAX: usize = 1_024;
/// How long the end of the app waits for attempts under way to tell how they went.
const LAST_ROWS_WAIT: Duration = Duration::from_secs(2);

/// Takes rows and writes them. Cheap to clone.
#[derive(Clone)]
pub(super) struct EgressLog {
    inner: Arc<Inner>,
}

struct Inner {
    waiting: Mutex<VecDeque<NewEgressLogRow>>,
    // Held while writing, so that a flush returns only once everything before it is written.
    writing: tokio::sync::Mutex<()>,
    wake: Notify,
    open: AtomicUsize,
    store: Store,
    keep_rows: u32,
    seams: Seams,
}

impl EgressLog {
    /// Starts the task that writes.
    pub(super) fn start(store: Store, seams: Seams, tasks: &Tasks, keep_rows: u32) -> Self {
        let inner = Inner {
            waiting: Mutex::default(),
            writing: tokio::sync::Mutex::default(),
            wake: Notify::new(),
            open: AtomicUsize::new(0),
            store,
            keep_rows,
            seams,
        };
        let log = Self { inner: Arc::new(inner) };
        let (writer, stop) = (log.clone(), tasks.token().clone());
        tasks.spawn("egress log", async move {
            while !stop.is_cancelled() {
                tokio::select! {
                    () = writer.inner.wake.notified() => writer.flush_or_warn().await,
                    () = stop.cancelled() => {}
                }
            }
            // Attempts under way end with the app, a moment after this task is told.
            let last_rows = async {
                while writer.inner.open.load(Ordering::Acquire) > 0 {
                    writer.inner.wake.notified().await;
                }
            };
            let _ = tokio::time::timeout(LAST_ROWS_WAIT, last_rows).await;
            writer.flush_or_warn().await;
        });
        log
    }

    /// Opens a row for an attempt that begins now.
    pub(super) fn attempt(&self, company: Option<CompanyId>, purpose: Purpose, method: &http::Method, url: &Url, bytes_sent: u64) -> Attempt {
        self.inner.open.fetch_add(1, Ordering::AcqRel);
        Attempt {
            log: self.clone(),
            started: self.inner.seams.clock.elapsed(),
            row: NewEgressLogRow {
                at: self.inner.seams.now(),
                company,
                purpose,
                method: method.as_str().to_owned(),
                destination: destination(url),
                address: None,
                outcome: "cancelled",
                status: None,
                bytes_sent,
                bytes_received: 0,
                duration_millis: 0,
            },
        }
    }

    /// Writes what waits.
    ///
    /// # Errors
    /// When the store fails: the rows go on waiting.
    pub(super) async fn flush(&self) -> Result<(), StoreError> {
        let _writing = self.inner.writing.lock().await;
        loop {
            let batch: Vec<_> = {
                let mut waiting = self.lock();
                let count = waiting.len().min(BATCH_ROWS_MAX);
                waiting.drain(..count).collect()
            };
            if batch.is_empty() {
                return Ok(());
            }
            if let Err(error) = self.inner.store.append_egress_log(batch.clone(), self.inner.keep_rows).await {
                let mut waiting = self.lock();
                for row in batch.into_iter().rev() {
                    waiting.push_front(row);
                }
                return Err(error);
            }
        }
    }

    /// What waits to be written, the oldest first.
    pub(super) fn waiting(&self) -> Vec<NewEgressLogRow> {
        self.lock().iter().cloned().collect()
    }

    async fn flush_or_warn(&self) {
        if let Err(error) = self.flush().await {
            tracing::error!(%error, waiting = self.lock().len(), "the egress log could not be written; its rows wait");
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, VecDeque<NewEgressLogRow>> {
        self.inner.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// An attempt under way. Its row is written when this is dropped, however that comes about.
pub(super) struct Attempt {
    log: EgressLog,
    started: Duration,
    row: NewEgressLogRow,
}

impl Attempt {
    /// The server answered.
    pub(super) fn answered(&mut self, status: http::StatusCode, address: Option<IpAddr>) {
        self.row.status = Some(status.as_u16());
        self.row.address = address;
    }

    /// A connection that is not HTTP reached this address.
    pub(super) const fn reached(&mut self, address: Option<IpAddr>) {
        self.row.address = address;
    }

    /// This many bytes were sent so far.
    pub(super) const fn sent(&mut self, bytes: u64) {
        self.row.bytes_sent = bytes;
    }

    /// This many body bytes have come so far.
    pub(super) const fn received(&mut self, bytes: u64) {
        self.row.bytes_received = bytes;
    }

    /// It ended: `ok`, or an error's code.
    pub(super) const fn ended(&mut self, outcome: &'static str) {
        self.row.outcome = outcome;
    }

    /// It failed; an address that the error names is kept.
    pub(super) fn failed(&mut self, error: &super::EgressError) {
        self.ended(error.code());
        self.row.address = self.row.address.or(error.address());
    }
}

impl Drop for Attempt {
    fn drop(&mut self) {
        let took = self.log.inner.seams.clock.elapsed().saturating_sub(self.started);
        self.row.duration_millis = u64::try_from(took.as_millis()).unwrap_or(u64::MAX);
        {
            let mut waiting = self.log.lock();
            if waiting.len() >= WAITING_ROWS_MAX {
                waiting.pop_front();
            }
            waiting.push_back(self.row.clone());
        }
        self.log.inner.open.fetch_sub(1, Ordering::AcqRel);
        self.log.inner.wake.notify_one();
    }
}

/// `scheme://host:port/path`: never the query, which may hold secrets.
fn destination(url: &Url) -> String {
    let host = url.host_str().unwrap_or_default();
    let port = url.port_or_known_default().unwrap_or_default();
    let whole = format!("{}://{host}:{port}{}", url.scheme(), url.path());
    text::truncate(&whole, DESTINATION_BYTES_MAX).to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_query_and_the_password_stay_out() {
        let url = "https://user:pw@a.example/path/x?token=secret#frag".parse().unwrap();
        assert_eq!(destination(&url), "https://a.example:443/path/x");
    }
}
