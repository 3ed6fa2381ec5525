//! Accounts.

use rusqlite::types::{FromSql, FromSqlError, FromSqlResult, ToSql, ToSqlOutput, ValueRef};
use rusqlite::{Connection, OptionalExtension, Row};

use super::audit::append_audit;
use super::{Store, StoreError};
use crate::base::clock::Timestamp;
use crate::model::audit::Entry;
use crate::model::ids::UserId;
use crate::model::user::{Email, User};

impl ToSql for Email {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(ToSqlOutput::from(self.as_str()))
    }
}

impl FromSql for Email {
    fn column_result(value: ValueRef<'_>) -> FromSqlResult<Self> {
        value.as_str()?.parse().map_err(FromSqlError::other)
    }
}

/// An account to make.
#[derive(Clone)]
pub struct NewUser {
    /// The account.
    pub id: UserId,
    /// How they sign in.
    pub email: Email,
    /// How they are shown.
    pub name: String,
    /// Argon2id as a PHC string.
    pub password_hash: String,
    /// Whether they look after the whole appliance.
    pub system_admin: bool,
    /// Now.
    pub at: Timestamp,
}

/// The columns of [`read_user`], in its order, of a table named `users`.
pub(in crate::store) const USER_COLUMNS: &str = "users.id, users.email, users.name, users.system_admin, users.disabled_at, users.created_at";

impl Store {
    /// Makes an account. `None`: the address has one already.
    ///
    /// # Errors
    /// When it could not be kept.
    pub async fn create_user(&self, user: NewUser, audit: Entry) -> Result<Option<User>, StoreError> {
        self.write("create user", move |tx| {
            let made = insert_user(tx, &user)?;
            if made.is_some() {
                append_audit(tx, &audit)?;
            }
            Ok(made)
        })
        .await
    }

    /// An account by its address, with its password hash.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn user_by_email(&self, email: Email) -> Result<Option<(User, String)>, StoreError> {
        self.read("read user", move |conn| {
            let sql = format!("SELECT {USER_COLUMNS}, users.password_hash FROM users WHERE email = ?1");
            Ok(conn.prepare_cached(&sql)?.query_row([&email], |row| Ok((read_user(row)?, row.get(6)?))).optional()?)
        })
        .await
    }

    /// An account.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn user(&self, id: UserId) -> Result<Option<User>, StoreError> {
        self.read("read user", move |conn| {
            let sql = format!("SELECT {USER_COLUMNS} FROM users WHERE id = ?1");
            Ok(conn.prepare_cached(&sql)?.query_row([&id], read_user).optional()?)
        })
        .await
    }

    /// How many accounts may come in: the seats in use.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn active_user_count(&self) -> Result<u32, StoreError> {
        self.read("count users", |conn| Ok(conn.query_row("SELECT count(*) FROM users WHERE disabled_at IS NULL", [], |row| row.get(0))?)).await
    }
}

/// Makes an account inside another store method's transaction. `None`: the address has one already.
pub(in crate::store) fn insert_user(tx: &Connection, user: &NewUser) -> Result<Option<User>, StoreError> {
    let sql = format!(
        "INSERT INTO users (id, email, name, password_hash, system_admin, created_at) VALUES (?1, ?2, ?3, ?4, ?5, ?6)
         ON CONFLICT (email) DO NOTHING RETURNING {USER_COLUMNS}"
    );
    let values = (&user.id, &user.email, &user.name, &user.password_hash, user.system_admin, user.at);
    Ok(tx.prepare_cached(&sql)?.query_row(values, read_user).optional()?)
}

/// Whether anyone looks after the appliance. A disabled admin counts: setup must never open again.
pub(in crate::store) fn has_system_admin(conn: &Connection) -> Result<bool, StoreError> {
    Ok(conn.prepare_cached("SELECT EXISTS (SELECT 1 FROM users WHERE system_admin = 1)")?.query_row([], |row| row.get(0))?)
}

/// Reads [`USER_COLUMNS`] from the row's first columns.
pub(in crate::store) fn read_user(row: &Row<'_>) -> rusqlite::Result<User> {
    Ok(User { id: row.get(0)?, email: row.get(1)?, name: row.get(2)?, system_admin: row.get(3)?, disabled_at: row.get(4)?, created_at: row.get(5)? })
}
