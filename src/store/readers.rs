//! The pool of read-only connections: opened when first needed, kept for the next.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use rusqlite::Connection;
use tokio::sync::Semaphore;

use super::Inner;
use super::engine::{self, OpenError};
use super::error::StoreError;
use super::sealing;
use crate::base::vault::Vault;

pub(super) struct Readers {
    path: PathBuf,
    vault: Vault,
    idle: Mutex<Vec<Connection>>,
    places: Arc<Semaphore>,
}

impl Readers {
    pub(super) fn new(path: &Path, max: usize, vault: Vault) -> Self {
        Self { path: path.to_owned(), vault, idle: Mutex::new(Vec::new()), places: Arc::new(Semaphore::new(max.max(1))) }
    }

    /// The database's file.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    pub(super) async fn run<T, F>(&self, store: Arc<Inner>, query: F) -> Result<T, StoreError>
    where
        T: Send + 'static,
        F: FnOnce(&Connection) -> Result<T, StoreError> + Send + 'static,
    {
        let closed = || StoreError::Closed { operation: "" };
        let place = Arc::clone(&self.places).acquire_owned().await.map_err(|_| closed())?;
        tokio::task::spawn_blocking(move || {
            let connection = store.readers.take()?;
            let result = snapshot(&connection, query);
            // A connection stuck in a transaction would hold an old snapshot: it is closed instead.
            if connection.is_autocommit() {
                store.readers.give_back(connection);
            }
            drop(place);
            result
        })
        .await
        .map_err(|_| StoreError::Panicked { operation: "" })?
    }

    /// Closes the connections that nobody uses now, and with them their page caches (2 MB each).
    pub(super) fn close_idle(&self) {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }

    fn take(&self) -> Result<Connection, StoreError> {
        let idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner).pop();
        if let Some(connection) = idle {
            return Ok(connection);
        }
        let connection = engine::open_reader(&self.path).map_err(|error| match error {
            OpenError::Sqlite { source, .. } => source.into(),
            other => StoreError::corrupt(other.to_string()),
        })?;
        sealing::register(&connection, &self.vault)?;
        Ok(connection)
    }

    fn give_back(&self, connection: Connection) {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner).push(connection);
    }
}

/// Several statements of one query see one state of the database.
fn snapshot<T>(connection: &Connection, query: impl FnOnce(&Connection) -> Result<T, StoreError>) -> Result<T, StoreError> {
    connection.execute_batch("BEGIN")?;
    let result = query(connection);
    connection.execute_batch("ROLLBACK")?;
    result
}
