//! What can go wrong in the store.

use rusqlite::ErrorCode;

/// A failed store operation. Carries the operation's name and its source.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// SQLite refused.
    #[error("{operation}: {source}")]
    Sqlite {
        /// What was being done.
        operation: &'static str,
        /// SQLite's own error.
        source: rusqlite::Error,
    },
    /// No room: reads go on, writes fail until there is room again.
    #[error("{operation}: the disk is full")]
    DiskFull {
        /// What was being done.
        operation: &'static str,
    },
    /// A stored value that no version of Onsite writes.
    #[error("{operation}: the database holds a value that cannot be read: {what}")]
    Corrupt {
        /// What was being done.
        operation: &'static str,
        /// Which value.
        what: String,
    },
    /// The group's transaction did not commit; nothing of it was kept.
    #[error("{operation}: the transaction did not commit: {reason}")]
    NotCommitted {
        /// What was being done.
        operation: &'static str,
        /// SQLite's words.
        reason: String,
    },
    /// What the rows would belong to was deleted or superseded: there is nothing to go on with.
    #[error("{operation}: what this belongs to was deleted or superseded")]
    OwnerEnded {
        /// What was being done.
        operation: &'static str,
    },
    /// The job itself is broken; it was rolled back.
    #[error("{operation}: the job panicked and was rolled back")]
    Panicked {
        /// What was being done.
        operation: &'static str,
    },
    /// The database is closing.
    #[error("{operation}: the database is closing")]
    Closed {
        /// What was being done.
        operation: &'static str,
    },
}

impl StoreError {
    /// A stored value that cannot be read back.
    pub fn corrupt(what: impl Into<String>) -> Self {
        Self::Corrupt { operation: "", what: what.into() }
    }

    /// The owner of the rows is no more.
    pub(in crate::store) const fn owner_ended() -> Self {
        Self::OwnerEnded { operation: "" }
    }

    /// Names the operation.
    #[must_use]
    pub(in crate::store) fn during(mut self, name: &'static str) -> Self {
        match &mut self {
            Self::Sqlite { operation, .. }
            | Self::DiskFull { operation }
            | Self::Corrupt { operation, .. }
            | Self::NotCommitted { operation, .. }
            | Self::OwnerEnded { operation }
            | Self::Panicked { operation }
            | Self::Closed { operation } => *operation = name,
        }
        self
    }
}

impl From<rusqlite::Error> for StoreError {
    fn from(source: rusqlite::Error) -> Self {
        match source.sqlite_error_code() {
            Some(ErrorCode::DiskFull) => Self::DiskFull { operation: "" },
            _ => Self::Sqlite { operation: "", source },
        }
    }
}

impl From<serde_json::Error> for StoreError {
    fn from(source: serde_json::Error) -> Self {
        Self::corrupt(source.to_string())
    }
}
