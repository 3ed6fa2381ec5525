//! Copies of the whole database, made by SQLite itself, so that they are consistent and compact.

use std::path::PathBuf;

use rusqlite::Connection;

use crate::base::clock::Timestamp;
use crate::base::paths::DataDir;

/// Why no copy was made.
#[derive(Debug, thiserror::Error)]
pub enum BackupError {
    /// The folder cannot be made.
    #[error("{path}: {source}")]
    Io {
        /// The folder.
        path: PathBuf,
        /// The operating system's reason.
        source: std::io::Error,
    },
    /// SQLite could not write the copy.
    #[error("{path}: {source}")]
    Sqlite {
        /// The copy.
        path: PathBuf,
        /// SQLite's reason.
        source: rusqlite::Error,
    },
}

/// Copies the database into the backups folder under a name that says before which migration, and when.
///
/// # Errors
/// When the folder or the copy cannot be written.
pub(super) fn before_migration(connection: &Connection, dir: &DataDir, migration: &str, now: Timestamp) -> Result<PathBuf, BackupError> {
    let folder = dir.backups();
    std::fs::create_dir_all(&folder).map_err(|source| BackupError::Io { path: folder.clone(), source })?;
    let path = folder.join(format!("before-{migration}-{}.db", now.millis()));
    connection.execute("VACUUM INTO ?1", [path.display().to_string()]).map_err(|source| BackupError::Sqlite { path: path.clone(), source })?;
    Ok(path)
}
