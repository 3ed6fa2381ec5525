//! Copies of the whole database, made by SQLite itself, so that they are consistent and compact.

use std::fs::File;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use rusqlite::Connection;

use crate::base::clock::Timestamp;
use crate::base::paths::DataDir;

/// Why no copy was made.
#[derive(Debug, thiserror::Error)]
pub enum BackupError {
    /// The folder, or what lies in it, cannot be made, read or removed.
    #[error("{path}: {source}")]
    Io {
        /// The folder or the file.
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

/// What the name of a copy ends with until it is finished.
const UNFINISHED: &str = ".db.unfinished";

/// Removes the copies that a process did not live to finish: each is as large as the database.
///
/// # Errors
/// When the folder cannot be read, or one cannot be removed.
pub(super) fn remove_unfinished(dir: &DataDir) -> Result<(), BackupError> {
    for (name, path) in copies(&dir.backups())? {
        if name.starts_with("before-") && name.ends_with(UNFINISHED) {
            std::fs::remove_file(&path).map_err(io(&path))?;
        }
    }
    Ok(())
}

/// Copies the database into the backups folder under a name that says before which migration, and when. A copy of what the database holds now is
/// taken as it is, so that a migration that fails at every start does not fill the disk.
///
/// # Errors
/// When the folder or the copy cannot be written.
pub(super) fn before_migration(connection: &Connection, dir: &DataDir, migration: &str, now: Timestamp) -> Result<PathBuf, BackupError> {
    let folder = dir.backups();
    std::fs::create_dir_all(&folder).map_err(io(&folder))?;
    let path = folder.join(format!("before-{migration}-{}.db", now.millis()));
    let sqlite = |source| BackupError::Sqlite { path: path.clone(), source };
    // With an empty log the database's file changes when what it holds does. A copy has the time of the file that it was made of.
    connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(())).map_err(sqlite)?;
    let changed = changed(&dir.database())?;
    let start = format!("before-{migration}-");
    for (name, copy) in copies(&folder)? {
        if name.starts_with(&start) && name.ends_with(".db") && self::changed(&copy)? == changed {
            return Ok(copy);
        }
    }
    let unfinished = folder.join(format!("before-{migration}-{}{UNFINISHED}", now.millis()));
    connection.execute("VACUUM INTO ?1", [unfinished.display().to_string()]).map_err(sqlite)?;
    let copy = File::options().write(true).open(&unfinished).map_err(io(&unfinished))?;
    copy.set_modified(changed).and_then(|()| copy.sync_all()).map_err(io(&unfinished))?;
    std::fs::rename(&unfinished, &path).map_err(io(&path))?;
    File::open(&folder).and_then(|folder| folder.sync_all()).map_err(io(&folder))?;
    Ok(path)
}

/// What lies in the backups folder.
fn copies(folder: &Path) -> Result<Vec<(String, PathBuf)>, BackupError> {
    let entries = match std::fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(io(folder)(error)),
    };
    let entries: Vec<_> = entries.collect::<Result<_, _>>().map_err(io(folder))?;
    Ok(entries.into_iter().map(|entry| (entry.file_name().to_string_lossy().into_owned(), entry.path())).collect())
}

fn changed(path: &Path) -> Result<SystemTime, BackupError> {
    std::fs::metadata(path).and_then(|about| about.modified()).map_err(io(path))
}

fn io(path: &Path) -> impl FnOnce(std::io::Error) -> BackupError {
    move |source| BackupError::Io { path: path.to_owned(), source }
}
