//! Columns whose values are kept in envelopes, and the SQL functions that seal and open them where they are written and read.
//!
//! `sealed(table, column, row, value)` and `opened(table, column, row, envelope)` pass NULL on; `indexed(domain, value)` is what stands in the index
//! column, and `indexes(domain, value)` a JSON array of everything that may stand there while keys change. Secrets that must not travel through
//! SQLite's memory as text are sealed and opened with [`Store::vault`] instead.

use rusqlite::functions::{Context, FunctionFlags};
use rusqlite::types::ValueRef;
use rusqlite::{Connection, Error};

use super::Store;
use crate::base::vault::{Place, Vault};

/// A column of envelopes.
#[derive(Clone, Copy, Debug)]
pub struct SealedColumn {
    /// The table.
    pub table: &'static str,
    /// Its primary key.
    pub key: &'static str,
    /// The column.
    pub column: &'static str,
    /// The column with its blind index, whose domain is `table.column`.
    pub index: Option<&'static str>,
}

const fn column(table: &'static str, column: &'static str, index: Option<&'static str>) -> SealedColumn {
    SealedColumn { table, key: "id", column, index }
}

/// Every column of envelopes: what is not here is not sealed anew when the key changes.
pub const COLUMNS: &[SealedColumn] = &[
    column("users", "email", Some("email_index")),
    column("users", "name", None),
    column("sessions", "address", None),
    column("sessions", "user_agent", None),
    column("invitations", "email", Some("email_index")),
    SealedColumn { table: "totp_factors", key: "user_id", column: "secret", index: None },
    SealedColumn { table: "totp_factors", key: "user_id", column: "next_secret", index: None },
    column("outgoing_mail", "body", None),
];

impl SealedColumn {
    /// Its name among all: `table.column`.
    #[must_use]
    pub fn name(&self) -> String {
        format!("{}.{}", self.table, self.column)
    }

    /// The place of a row's value.
    #[must_use]
    pub const fn place<'a>(&self, row: &'a str) -> Place<'a> {
        Place { table: self.table, column: self.column, row }
    }
}

impl Store {
    /// Seals and opens the values of columns in [`COLUMNS`].
    pub(in crate::store) fn vault(&self) -> Vault {
        self.inner.vault.clone()
    }
}

/// Gives a connection the functions. They serve statements only: nothing in the schema of a file can call them.
pub(super) fn register(connection: &Connection, vault: &Vault) -> Result<(), Error> {
    let flags = FunctionFlags::SQLITE_UTF8 | FunctionFlags::SQLITE_DIRECTONLY;
    let sealing = vault.clone();
    connection.create_scalar_function("sealed", 4, flags, move |context| {
        let Some(value) = bytes(context, 3)? else { return Ok(None) };
        sealing.seal(place(context)?, value).map(Some).map_err(|error| failed(context, error))
    })?;
    let opening = vault.clone();
    connection.create_scalar_function("opened", 4, flags, move |context| {
        let Some(envelope) = bytes(context, 3)? else { return Ok(None) };
        let opened = opening.open(place(context)?, envelope).map_err(|error| failed(context, error))?;
        String::from_utf8(opened.expose().clone()).map(Some).map_err(|error| failed(context, error.utf8_error()))
    })?;
    let flags = flags | FunctionFlags::SQLITE_DETERMINISTIC;
    let indexing = vault.clone();
    connection
        .create_scalar_function("indexed", 2, flags, move |context| Ok(indexing.index(context.get_raw(0).as_str()?, context.get_raw(1).as_str()?)))?;
    let finding = vault.clone();
    connection.create_scalar_function("indexes", 2, flags, move |context| {
        let indexes = finding.indexes(context.get_raw(0).as_str()?, context.get_raw(1).as_str()?);
        serde_json::to_string(&indexes).map_err(|error| Error::UserFunctionError(Box::new(error)))
    })
}

fn bytes<'a>(context: &'a Context<'_>, at: usize) -> Result<Option<&'a [u8]>, Error> {
    match context.get_raw(at) {
        ValueRef::Null => Ok(None),
        ValueRef::Text(bytes) | ValueRef::Blob(bytes) => Ok(Some(bytes)),
        ValueRef::Integer(_) | ValueRef::Real(_) => Err(Error::InvalidFunctionParameterType(at, context.get_raw(at).data_type())),
    }
}

fn place<'a>(context: &'a Context<'_>) -> Result<Place<'a>, Error> {
    let text = |at| context.get_raw(at).as_str();
    Ok(Place { table: text(0)?, column: text(1)?, row: text(2)? })
}

/// Names the place, never the value.
fn failed(context: &Context<'_>, error: impl std::fmt::Display) -> Error {
    let place = place(context).map(|place| format!("{}.{} of {}", place.table, place.column, place.row)).unwrap_or_default();
    Error::UserFunctionError(format!("{place}: {error}").into())
}
