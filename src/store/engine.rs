//! Opening SQLite: extensions, pragmas, the lock on the data folder, and the file systems that cannot hold a database.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Once;

use rusqlite::{Connection, OpenFlags};

use super::migrate::MigrateError;
use super::secrets::KeyError;

/// Why a database was not opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Another process serves this folder.
    #[error("another onsite process is using {path}: stop it first, or give this one its own --data-dir")]
    InUse {
        /// The lock file.
        path: PathBuf,
    },
    /// The server that is running is older than this command.
    #[error("the server that holds {path} is of an older version than this command: restart it with this version, then try again")]
    OlderServer {
        /// The lock file.
        path: PathBuf,
    },
    /// The file system cannot give SQLite shared memory and locks that hold.
    #[error("{path} is on a network file system ({kind}): SQLite's write-ahead log needs a local disk; choose a --data-dir on one")]
    NetworkFileSystem {
        /// The data folder.
        path: PathBuf,
        /// Which file system.
        kind: &'static str,
    },
    /// The folder or a file in it cannot be used.
    #[error("{path}: {source}")]
    Io {
        /// Which file.
        path: PathBuf,
        /// The operating system's reason.
        source: std::io::Error,
    },
    /// SQLite cannot open the file.
    #[error("{path}: {source}")]
    Sqlite {
        /// Which file.
        path: PathBuf,
        /// SQLite's reason.
        source: rusqlite::Error,
    },
    /// The schema stands in the way.
    #[error(transparent)]
    Migrate(#[from] MigrateError),
    /// The keys do not open it.
    #[error(transparent)]
    Keys(#[from] KeyError),
}

/// The exclusive use of a data folder; let go when dropped, or by the kernel when the process dies.
#[derive(Debug)]
pub struct InstanceLock {
    _file: File,
}

impl InstanceLock {
    /// Takes the lock without waiting.
    ///
    /// # Errors
    /// When another process has it, or the file cannot be made.
    pub fn take(path: &Path) -> Result<Self, OpenError> {
        let io = |source| OpenError::Io { path: path.to_owned(), source };
        let file = File::options().create(true).truncate(false).write(true).open(path).map_err(io)?;
        match rustix::fs::flock(&file, rustix::fs::FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => Ok(Self { _file: file }),
            Err(rustix::io::Errno::WOULDBLOCK) => Err(OpenError::InUse { path: path.to_owned() }),
            Err(other) => Err(io(other.into())),
        }
    }
}

/// Refuses file systems over which several machines could reach the same file.
///
/// # Errors
/// [`OpenError::NetworkFileSystem`], or that the folder cannot be looked at.
pub fn refuse_network_file_system(path: &Path) -> Result<(), OpenError> {
    let stat = rustix::fs::statfs(path).map_err(|errno| OpenError::Io { path: path.to_owned(), source: errno.into() })?;
    // Magic numbers of statfs(2).
    let kind = match stat.f_type as u64 & 0xffff_ffff {
        0x6969 => "NFS",
        0x517b => "SMB",
        0xff53_4d42 => "CIFS",
        0xfe53_4d42 => "SMB2",
        0x5346_414f => "AFS",
        0x00c3_6400 => "Ceph",
        0x0116_1970 => "GFS2",
        0x0bd0_0bd0 => "Lustre",
        _ => return Ok(()),
    };
    Err(OpenError::NetworkFileSystem { path: path.to_owned(), kind })
}

/// Opens (and creates) the database for the one writer.
pub(super) fn open_writer(path: &Path) -> Result<Connection, OpenError> {
    register_extensions();
    let sqlite = |source| OpenError::Sqlite { path: path.to_owned(), source };
    let connection = Connection::open(path).map_err(sqlite)?;
    // WAL with FULL: an acknowledged commit has been synced. FAST deletion overwrites what was there with zeros where the page is written anyway,
    // so that a value that was sealed does not stay beside its envelope. The time-out only covers a backup or a command line beside the server.
    connection
        .execute_batch(
            "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA foreign_keys = ON; PRAGMA busy_timeout = 5000;
             PRAGMA temp_store = MEMORY; PRAGMA secure_delete = FAST; PRAGMA trusted_schema = ON; PRAGMA journal_size_limit = 67108864;",
        )
        .map_err(sqlite)?;
    connection.set_prepared_statement_cache_capacity(128);
    Ok(connection)
}

/// Empties the write-ahead log into the database and cuts it to nothing, so that earlier values do not stay in it. `false`: somebody reads.
pub(super) fn truncate_log(path: &Path) -> Result<bool, OpenError> {
    let busy = open_writer(path)?.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |row| row.get::<_, i64>(0));
    busy.map(|busy| busy == 0).map_err(|source| OpenError::Sqlite { path: path.to_owned(), source })
}

/// Opens the database for reading only.
pub(super) fn open_reader(path: &Path) -> Result<Connection, OpenError> {
    register_extensions();
    let sqlite = |source| OpenError::Sqlite { path: path.to_owned(), source };
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags).map_err(sqlite)?;
    connection.execute_batch("PRAGMA query_only = ON; PRAGMA busy_timeout = 5000; PRAGMA temp_store = MEMORY;").map_err(sqlite)?;
    connection.set_prepared_statement_cache_capacity(64);
    Ok(connection)
}

/// Makes sqlite-vec part of every connection opened from now on.
fn register_extensions() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        type EntryPoint = unsafe extern "C" fn(
            *mut rusqlite::ffi::sqlite3,
            *mut *mut std::ffi::c_char,
            *const rusqlite::ffi::sqlite3_api_routines,
        ) -> std::ffi::c_int;
        #[expect(unsafe_code, reason = "sqlite-vec exposes its entry point without the signature that SQLite calls it with")]
        // SAFETY: sqlite3_vec_init is an extension entry point: it has exactly this signature in sqlite-vec.h.
        unsafe {
            let entry = std::mem::transmute::<*const (), EntryPoint>(sqlite_vec::sqlite3_vec_init as *const ());
            rusqlite::ffi::sqlite3_auto_extension(Some(entry));
        }
    });
}
