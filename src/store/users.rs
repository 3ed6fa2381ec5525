//! Accounts.

use rusqlite::types::{FromSql, FromSqlError, FromSqlResult, ToSql, ToSqlOutput, ValueRef};
use rusqlite::{Connection, OptionalExtension, Row};

use super::api_keys::end_keys;
use super::audit::append_audit;
use super::departures;
use super::{Store, StoreError};
use crate::base::clock::Timestamp;
use crate::model::audit::Entry;
use crate::model::ids::UserId;
use crate::model::user::{Email, User, UserWithUse};

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

/// Accounts shown at most.
const LISTED_MAX: u32 = 10_000;

/// What came of disabling or enabling an account.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum UserDisabled {
    /// It is so now.
    Done(User),
    /// There is no such account.
    NotThere,
    /// Nobody else could look after the appliance.
    LastSystemAdmin,
    /// Every seat is taken.
    SeatsTaken,
}

/// The columns of [`read_user`], in its order, of a table named `users`.
pub(in crate::store) const USER_COLUMNS: &str = "users.id, opened('users', 'email', users.id, users.email),
    opened('users', 'name', users.id, users.name), users.system_admin, users.disabled_at, users.created_at";
/// Finds the account of the address `?1`, whichever key its index was made with.
pub(in crate::store) const HAS_EMAIL: &str = "users.email_index IN (SELECT value FROM json_each(indexes('users.email', ?1)))";

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
            let sql = format!("SELECT {USER_COLUMNS}, users.password_hash FROM users WHERE {HAS_EMAIL}");
            Ok(conn.prepare_cached(&sql)?.query_row([&email], |row| Ok((read_user(row)?, row.get(6)?))).optional()?)
        })
        .await
    }

    /// An account.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn user(&self, id: UserId) -> Result<Option<User>, StoreError> {
        self.read("read user", move |conn| user_in(conn, &id)).await
    }

    /// Every account, by name.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn users(&self) -> Result<Vec<UserWithUse>, StoreError> {
        self.read("list users", |conn| {
            let sql = format!(
                "SELECT {USER_COLUMNS}, (SELECT count(*) FROM memberships JOIN companies ON companies.id = memberships.company_id
                          WHERE memberships.user_id = users.id AND companies.deleted_at IS NULL),
                        (SELECT max(sessions.last_seen_at) FROM sessions WHERE sessions.user_id = users.id)
                 FROM users ORDER BY 3 COLLATE NOCASE, users.id LIMIT {LISTED_MAX}"
            );
            let mut statement = conn.prepare_cached(&sql)?;
            let users =
                statement.query_map([], |row| Ok(UserWithUse { user: read_user(row)?, companies: row.get(6)?, last_seen_at: row.get(7)? }))?;
            Ok(users.collect::<Result<_, _>>()?)
        })
        .await
    }

    /// Lets an account in or keeps it out: out ends its sessions at once. `seats` is how many active users there may be; `None` = any number.
    ///
    /// # Errors
    /// When it could not be kept.
    pub async fn set_user_disabled(
        &self,
        id: UserId,
        disabled: bool,
        seats: Option<u64>,
        at: Timestamp,
        audit: Entry,
    ) -> Result<UserDisabled, StoreError> {
        self.write_departure("disable user", move |tx| {
            let Some(user) = user_in(tx, &id)? else { return Ok(UserDisabled::NotThere) };
            if disabled == user.disabled_at.is_some() {
                return Ok(UserDisabled::Done(user));
            }
            let admins = "SELECT count(*) FROM users WHERE system_admin = 1 AND disabled_at IS NULL";
            if disabled && user.system_admin && tx.query_row(admins, [], |row| row.get::<_, u32>(0))? < 2 {
                return Ok(UserDisabled::LastSystemAdmin);
            }
            if !disabled && !seat_free(tx, seats)? {
                return Ok(UserDisabled::SeatsTaken);
            }
            tx.execute("UPDATE users SET disabled_at = ?2 WHERE id = ?1", (&id, disabled.then_some(at)))?;
            if disabled {
                tx.execute("UPDATE sessions SET ended_at = ?2 WHERE user_id = ?1 AND ended_at IS NULL", (&id, at))?;
                end_keys(tx, &id, None, at)?;
                departures::disabled(tx, &id, at)?;
            }
            append_audit(tx, &audit)?;
            Ok(UserDisabled::Done(User { disabled_at: disabled.then_some(at), ..user }))
        })
        .await
    }
}

/// Whether one more account may come in, of `seats`; `None` = any number.
pub(in crate::store) fn seat_free(conn: &Connection, seats: Option<u64>) -> Result<bool, StoreError> {
    let Some(seats) = seats else { return Ok(true) };
    let used: u32 = conn.query_row("SELECT count(*) FROM users WHERE disabled_at IS NULL", [], |row| row.get(0))?;
    Ok(u64::from(used) < seats)
}

/// An account, inside another store method's transaction.
pub(in crate::store) fn user_in(conn: &Connection, id: &UserId) -> Result<Option<User>, StoreError> {
    let sql = format!("SELECT {USER_COLUMNS} FROM users WHERE id = ?1");
    Ok(conn.prepare_cached(&sql)?.query_row([id], read_user).optional()?)
}

/// Makes an account inside another store method's transaction. `None`: the address has one already.
pub(in crate::store) fn insert_user(tx: &Connection, user: &NewUser) -> Result<Option<User>, StoreError> {
    let sql = format!(
        // Not left to the index alone: while keys change, equal addresses have different ones.
        "INSERT INTO users (id, email_index, email, name, password_hash, system_admin, created_at)
         SELECT ?2, indexed('users.email', ?1), sealed('users', 'email', ?2, ?1), sealed('users', 'name', ?2, ?3), ?4, ?5, ?6
         WHERE NOT EXISTS (SELECT 1 FROM users WHERE {HAS_EMAIL}) RETURNING {USER_COLUMNS}"
    );
    let values = (&user.email, &user.id, &user.name, &user.password_hash, user.system_admin, user.at);
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
