//! API keys: found by the hash of the key, together with whom they act for.

use std::time::Duration;

use rusqlite::types::{FromSql, FromSqlError, FromSqlResult, ToSql, ToSqlOutput, ValueRef};
use rusqlite::{Connection, OptionalExtension, Row};

use super::audit::append_audit;
use super::members::role_of;
use super::users::{USER_COLUMNS, read_user};
use super::{Store, StoreError};
use crate::base::clock::Timestamp;
use crate::model::api_key::{ApiKey, KeyCaller, Scopes};
use crate::model::audit::Entry;
use crate::model::ids::{ApiKeyId, CompanyId, UserId};
use crate::model::role::Role;
use crate::model::user::User;

impl ToSql for Scopes {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(ToSqlOutput::from(self.to_string()))
    }
}

impl FromSql for Scopes {
    fn column_result(value: ValueRef<'_>) -> FromSqlResult<Self> {
        value.as_str()?.parse().map_err(FromSqlError::other)
    }
}

/// Keys of one user in one company that work at the same time.
pub const KEYS_OF_USER_MAX: u32 = 20;
/// Keys of one company that work at the same time.
pub const KEYS_OF_COMPANY_MAX: u32 = 500;
/// Keys shown at most.
const LISTED_MAX: u32 = 1_000;
/// How long a key's row outlives it: long enough to answer "which key was that".
const KEPT_AFTER_END: Duration = Duration::from_secs(90 * 24 * 60 * 60);

const COLUMNS: &str = "api_keys.id, api_keys.company_id, api_keys.user_id, api_keys.name, api_keys.prefix, api_keys.scopes, api_keys.created_at,
    api_keys.expires_at, api_keys.last_used_at, api_keys.revoked_at";

/// What came of making a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ApiKeyMade {
    /// It works now.
    Done,
    /// Its user has as many as there may be.
    UserHasMost,
    /// The company has as many as there may be.
    CompanyHasMost,
    /// Its user is no member (any more).
    NotMember,
}

/// How a key is found.
#[derive(Clone, Debug)]
pub enum WhichKey {
    /// By the SHA-256 of the key that a program presents.
    Presented([u8; 32]),
    /// By its id.
    Known(ApiKeyId),
}

impl Store {
    /// Keeps a key. Removes the company's keys that ended long ago.
    ///
    /// # Errors
    /// When it could not be kept.
    pub async fn create_api_key(&self, key: ApiKey, token_hash: [u8; 32], audit: Entry) -> Result<ApiKeyMade, StoreError> {
        self.write("create API key", move |tx| {
            if role_of(tx, &key.company, &key.user)?.is_none() {
                return Ok(ApiKeyMade::NotMember);
            }
            let old = key.created_at.minus(KEPT_AFTER_END);
            tx.execute("DELETE FROM api_keys WHERE company_id = ?1 AND min(coalesce(revoked_at, expires_at), expires_at) < ?2", (&key.company, old))?;
            let working = "company_id = ?1 AND revoked_at IS NULL AND expires_at > ?2";
            let of_company: u32 =
                tx.query_row(&format!("SELECT count(*) FROM api_keys WHERE {working}"), (&key.company, key.created_at), |row| row.get(0))?;
            let of_user: u32 = tx.query_row(
                &format!("SELECT count(*) FROM api_keys WHERE {working} AND user_id = ?3"),
                (&key.company, key.created_at, &key.user),
                |row| row.get(0),
            )?;
            if of_user >= KEYS_OF_USER_MAX {
                return Ok(ApiKeyMade::UserHasMost);
            }
            if of_company >= KEYS_OF_COMPANY_MAX {
                return Ok(ApiKeyMade::CompanyHasMost);
            }
            tx.execute(
                "INSERT INTO api_keys (id, company_id, user_id, name, prefix, token_hash, scopes, created_at, expires_at)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)",
                (&key.id, &key.company, &key.user, &key.name, &key.prefix, token_hash, &key.scopes, key.created_at, key.expires_at),
            )?;
            append_audit(tx, &audit)?;
            Ok(ApiKeyMade::Done)
        })
        .await
    }

    /// A key with its user and the user's present role in its company, whatever state key and user are in. `None`: there is no such key, its
    /// user is no member, or the company is gone.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn api_key(&self, which: WhichKey) -> Result<Option<KeyCaller>, StoreError> {
        self.read("read API key", move |conn| match &which {
            WhichKey::Presented(hash) => find(conn, "api_keys.token_hash = ?1", hash),
            WhichKey::Known(id) => find(conn, "api_keys.id = ?1", id),
        })
        .await
    }

    /// A company's keys with those they act for, the newest first; `of` = only this user's.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn api_keys(&self, company: CompanyId, of: Option<UserId>) -> Result<Vec<(ApiKey, User)>, StoreError> {
        self.read("list API keys", move |conn| {
            let sql = format!(
                "SELECT {USER_COLUMNS}, {COLUMNS} FROM api_keys JOIN users ON users.id = api_keys.user_id
                 WHERE api_keys.company_id = ?1 AND (?2 IS NULL OR api_keys.user_id = ?2)
                 ORDER BY api_keys.created_at DESC, api_keys.id DESC LIMIT {LISTED_MAX}"
            );
            let mut statement = conn.prepare_cached(&sql)?;
            Ok(statement.query_map((&company, &of), |row| Ok((read_key(row)?, read_user(row)?)))?.collect::<Result<_, _>>()?)
        })
        .await
    }

    /// Takes a working key back; `of` = only if it is this user's. `false`: there is none such.
    ///
    /// # Errors
    /// When it could not be kept.
    pub async fn revoke_api_key(&self, company: CompanyId, id: ApiKeyId, of: Option<UserId>, by: UserId, audit: Entry) -> Result<bool, StoreError> {
        self.write("revoke API key", move |tx| {
            let revoked = tx.execute(
                "UPDATE api_keys SET revoked_at = ?4, revoked_by = ?5
                 WHERE company_id = ?1 AND id = ?2 AND (?3 IS NULL OR user_id = ?3) AND revoked_at IS NULL",
                (&company, &id, &of, audit.at, &by),
            )?;
            if revoked > 0 {
                append_audit(tx, &audit)?;
            }
            Ok(revoked > 0)
        })
        .await
    }

    /// Notes that a key was used at `now`. Never moves it back.
    ///
    /// # Errors
    /// When it could not be kept.
    pub async fn touch_api_key(&self, id: ApiKeyId, now: Timestamp) -> Result<(), StoreError> {
        self.write("touch API key", move |tx| {
            tx.prepare_cached("UPDATE api_keys SET last_used_at = ?2 WHERE id = ?1 AND coalesce(last_used_at, 0) < ?2")?.execute((&id, now))?;
            Ok(())
        })
        .await
    }
}

/// Ends the keys of somebody who may not come in any more, or left a company, inside another store method's transaction.
pub(in crate::store) fn end_keys(tx: &Connection, user: &UserId, company: Option<&CompanyId>, at: Timestamp) -> Result<(), StoreError> {
    let sql =
        "UPDATE api_keys SET revoked_at = ?3, revoked_by = 'system' WHERE user_id = ?1 AND (?2 IS NULL OR company_id = ?2) AND revoked_at IS NULL";
    tx.prepare_cached(sql)?.execute((user, company, at))?;
    Ok(())
}

fn find(conn: &Connection, rule: &str, value: &dyn ToSql) -> Result<Option<KeyCaller>, StoreError> {
    let sql = format!(
        "SELECT {USER_COLUMNS}, {COLUMNS}, memberships.role FROM api_keys JOIN users ON users.id = api_keys.user_id
         JOIN memberships ON memberships.company_id = api_keys.company_id AND memberships.user_id = api_keys.user_id
         JOIN companies ON companies.id = api_keys.company_id WHERE {rule} AND companies.deleted_at IS NULL"
    );
    let read = |row: &Row<'_>| Ok(KeyCaller { user: read_user(row)?, key: read_key(row)?, role: row.get::<_, Role>(16)? });
    Ok(conn.prepare_cached(&sql)?.query_row([value], read).optional()?)
}

/// Reads [`COLUMNS`] behind those of a user.
fn read_key(row: &Row<'_>) -> rusqlite::Result<ApiKey> {
    Ok(ApiKey {
        id: row.get(6)?,
        company: row.get(7)?,
        user: row.get(8)?,
        name: row.get(9)?,
        prefix: row.get(10)?,
        scopes: row.get(11)?,
        created_at: row.get(12)?,
        expires_at: row.get(13)?,
        last_used_at: row.get(14)?,
        revoked_at: row.get(15)?,
    })
}
