//! Migrations: numbered files, applied in order, each once, each in its own transaction together with its row in `schema_migrations`.

use rusqlite::{Connection, OptionalExtension};

use super::backup;
use crate::base::clock::Timestamp;
use crate::base::paths::DataDir;
use crate::base::secret::sha256_hex;

/// One numbered file of `src/store/migrations`.
#[derive(Debug)]
pub struct Migration {
    /// File name without its ending.
    pub name: &'static str,
    /// Its statements.
    pub sql: &'static str,
}

/// Every migration this binary knows, in order.
pub const MIGRATIONS: &[Migration] = include!(concat!(env!("OUT_DIR"), "/migrations.rs"));

/// Why the schema was left as it is.
#[derive(Debug, thiserror::Error)]
pub enum MigrateError {
    /// A newer version wrote this database.
    #[error("the database was written by a newer version of onsite (it has {name}): install that version or a later one; nothing was touched")]
    Newer {
        /// The first migration this binary does not know.
        name: String,
    },
    /// A file that was applied reads differently now.
    #[error("migration {name} was applied with other contents than this binary has: use the version that wrote this database; nothing was touched")]
    Changed {
        /// Which migration.
        name: String,
    },
    /// An earlier migration is missing among the applied ones.
    #[error("migration {name} was skipped although later ones are applied: restore a backup from {backups}; nothing was touched")]
    Missing {
        /// Which migration.
        name: String,
        /// Where backups lie.
        backups: String,
    },
    /// A migration failed; its transaction was rolled back.
    #[error("migration {name} failed and was rolled back: {source}")]
    Failed {
        /// Which migration.
        name: String,
        /// SQLite's reason.
        source: rusqlite::Error,
    },
    /// The backup before the migration failed; nothing was migrated.
    #[error("the backup before migrating failed, so nothing was migrated: {0}")]
    Backup(#[from] backup::BackupError),
    /// The table of applied migrations cannot be read or made.
    #[error("reading schema_migrations: {0}")]
    Table(#[source] rusqlite::Error),
}

/// A migration and when it was applied.
#[derive(Debug, serde::Serialize)]
pub struct MigrationState {
    /// File name without its ending.
    pub name: String,
    /// `None` while it waits.
    pub applied_at: Option<Timestamp>,
}

/// The state of every migration this binary knows, on an open database.
///
/// # Errors
/// When the applied ones and the known ones disagree.
pub fn status(connection: &Connection) -> Result<Vec<MigrationState>, MigrateError> {
    let applied = applied(connection)?;
    check(&applied, "the backups folder")?;
    Ok(MIGRATIONS
        .iter()
        .enumerate()
        .map(|(at, migration)| MigrationState { name: migration.name.to_owned(), applied_at: applied.get(at).map(|row| row.applied_at) })
        .collect())
}

/// Applies what is missing. A database that already has a schema is backed up first.
///
/// # Errors
/// See [`MigrateError`]; the database is then as it was after the last migration that succeeded.
pub(super) fn up(connection: &mut Connection, dir: &DataDir, now: Timestamp) -> Result<(), MigrateError> {
    let done = applied(connection)?;
    check(&done, &dir.backups().display().to_string())?;
    backup::remove_unfinished(dir)?;
    let waiting = &MIGRATIONS[done.len()..];
    if waiting.is_empty() {
        return Ok(());
    }
    if !done.is_empty() {
        backup::before_migration(connection, dir, waiting[0].name, now)?;
    }
    connection
        .execute_batch(
            "CREATE TABLE IF NOT EXISTS schema_migrations (name TEXT PRIMARY KEY, applied_at INTEGER NOT NULL, checksum TEXT NOT NULL) STRICT",
        )
        .map_err(MigrateError::Table)?;
    for migration in waiting {
        apply(connection, migration, now).map_err(|source| MigrateError::Failed { name: migration.name.to_owned(), source })?;
    }
    Ok(())
}

pub(super) fn apply(connection: &mut Connection, migration: &Migration, now: Timestamp) -> Result<(), rusqlite::Error> {
    let transaction = connection.transaction_with_behavior(rusqlite::TransactionBehavior::Immediate)?;
    transaction.execute_batch(migration.sql)?;
    transaction.execute(
        "INSERT INTO schema_migrations (name, applied_at, checksum) VALUES (?1, ?2, ?3)",
        (migration.name, now.millis(), sha256_hex(migration.sql.as_bytes())),
    )?;
    transaction.commit()
}

struct Applied {
    name: String,
    applied_at: Timestamp,
    checksum: String,
}

fn applied(connection: &Connection) -> Result<Vec<Applied>, MigrateError> {
    let exists = connection
        .query_row("SELECT 1 FROM sqlite_schema WHERE type = 'table' AND name = 'schema_migrations'", [], |_| Ok(()))
        .optional()
        .map_err(MigrateError::Table)?;
    if exists.is_none() {
        return Ok(Vec::new());
    }
    let mut statement = connection.prepare("SELECT name, applied_at, checksum FROM schema_migrations ORDER BY name").map_err(MigrateError::Table)?;
    let rows = statement
        .query_map([], |row| Ok(Applied { name: row.get(0)?, applied_at: Timestamp::from_millis(row.get(1)?), checksum: row.get(2)? }))
        .map_err(MigrateError::Table)?;
    rows.collect::<Result<_, _>>().map_err(MigrateError::Table)
}

/// The applied migrations must be a prefix of the known ones, letter by letter.
fn check(applied: &[Applied], backups: &str) -> Result<(), MigrateError> {
    if let Some(unknown) = applied.iter().find(|row| MIGRATIONS.iter().all(|known| known.name != row.name)) {
        return Err(MigrateError::Newer { name: unknown.name.clone() });
    }
    for (row, known) in applied.iter().zip(MIGRATIONS) {
        if row.name != known.name {
            return Err(MigrateError::Missing { name: known.name.to_owned(), backups: backups.to_owned() });
        }
        if row.checksum != sha256_hex(known.sql.as_bytes()) {
            return Err(MigrateError::Changed { name: known.name.to_owned() });
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::{OpenError, Store, StoreOptions};

    const NOW: Timestamp = Timestamp::from_millis(1_795_300_000_000);

    fn open(folder: &tempfile::TempDir) -> Result<Store, OpenError> {
        Store::open(&DataDir::new(folder.path()), StoreOptions { readers_max: 1, now: NOW, vault: crate::store::testing::vault() })
    }

    fn alter(folder: &tempfile::TempDir, sql: &str) {
        Connection::open(DataDir::new(folder.path()).database()).unwrap().execute_batch(sql).unwrap();
    }

    #[test]
    fn a_fresh_database_has_every_migration_and_opening_again_changes_nothing() {
        let folder = tempfile::tempdir().unwrap();
        drop(open(&folder).unwrap());
        drop(open(&folder).unwrap());
        let connection = Connection::open(DataDir::new(folder.path()).database()).unwrap();
        let states = status(&connection).unwrap();
        assert_eq!(states.len(), MIGRATIONS.len());
        assert!(states.iter().all(|state| state.applied_at == Some(NOW)));
        assert!(!DataDir::new(folder.path()).backups().exists(), "a new database needs no backup");
    }

    #[test]
    fn a_newer_a_changed_and_a_gapped_schema_stop_the_start() {
        let folder = tempfile::tempdir().unwrap();
        drop(open(&folder).unwrap());
        alter(&folder, "INSERT INTO schema_migrations VALUES ('9999_future', 0, 'x')");
        assert!(matches!(open(&folder), Err(OpenError::Migrate(MigrateError::Newer { name })) if name == "9999_future"));
        alter(
            &folder,
            "DELETE FROM schema_migrations WHERE name = '9999_future'; UPDATE schema_migrations SET checksum = 'x' WHERE name LIKE '0001%'",
        );
        assert!(matches!(open(&folder), Err(OpenError::Migrate(MigrateError::Changed { .. }))));
        alter(&folder, "DELETE FROM schema_migrations WHERE name LIKE '0001%'");
        assert!(matches!(open(&folder), Err(OpenError::Migrate(MigrateError::Missing { .. }))));
    }

    /// A database that knows only the first migration.
    fn older(dir: &DataDir) -> Connection {
        let mut connection = super::super::engine::open_writer(&dir.database()).unwrap();
        connection
            .execute_batch("CREATE TABLE schema_migrations (name TEXT PRIMARY KEY, applied_at INTEGER NOT NULL, checksum TEXT NOT NULL) STRICT")
            .unwrap();
        apply(&mut connection, &MIGRATIONS[0], NOW).unwrap();
        connection
    }

    fn kept(dir: &DataDir) -> Vec<std::path::PathBuf> {
        std::fs::read_dir(dir.backups()).unwrap().map(|entry| entry.unwrap().path()).collect()
    }

    #[test]
    fn a_start_removes_unfinished_copies_and_leaves_what_else_lies_there() {
        let folder = tempfile::tempdir().unwrap();
        let dir = DataDir::new(folder.path());
        drop(open(&folder).unwrap());
        std::fs::create_dir(dir.backups()).unwrap();
        std::fs::write(dir.backups().join("before-0001_accounts-1.db.unfinished"), "half").unwrap();
        std::fs::write(dir.backups().join("mine.db.unfinished"), "whole").unwrap();
        drop(open(&folder).unwrap());
        assert_eq!(kept(&dir), [dir.backups().join("mine.db.unfinished")]);
    }

    #[test]
    fn a_copy_is_made_once_for_what_the_database_holds() {
        let folder = tempfile::tempdir().unwrap();
        let dir = DataDir::new(folder.path());
        let connection = older(&dir);
        let later = |millis| Timestamp::from_millis(NOW.millis() + millis);
        let first = backup::before_migration(&connection, &dir, MIGRATIONS[1].name, NOW).unwrap();
        drop(connection);
        let connection = super::super::engine::open_writer(&dir.database()).unwrap();
        connection.execute_batch("BEGIN; CREATE TABLE half (a INTEGER); ROLLBACK").unwrap();
        assert_eq!(backup::before_migration(&connection, &dir, MIGRATIONS[1].name, later(1)).unwrap(), first, "nothing has changed");
        std::thread::sleep(std::time::Duration::from_millis(20));
        connection.execute_batch("CREATE TABLE more (a INTEGER)").unwrap();
        let second = backup::before_migration(&connection, &dir, MIGRATIONS[1].name, later(2)).unwrap();
        assert_eq!(kept(&dir).len(), 2);
        let more: i64 = Connection::open(second).unwrap().query_row("SELECT count(*) FROM more", [], |row| row.get(0)).unwrap();
        assert_eq!(more, 0);
    }

    #[test]
    fn an_older_database_is_backed_up_before_it_is_migrated() {
        let folder = tempfile::tempdir().unwrap();
        let dir = DataDir::new(folder.path());
        drop(older(&dir));
        drop(open(&folder).unwrap());
        let kept = kept(&dir);
        assert_eq!(kept.len(), 1);
        let tables: i64 = Connection::open(&kept[0]).unwrap().query_row("SELECT count(*) FROM schema_migrations", [], |row| row.get(0)).unwrap();
        assert_eq!(tables, 1, "the backup holds the schema as it was");
    }
}
