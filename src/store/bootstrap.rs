//! Bootstrap tokens. Redeeming one is a single transaction in the one writer thread: of any number at once, one wins.

use rusqlite::{Connection, OptionalExtension, Row};

use super::addresses::mark_verified;
use super::audit::append_audit;
use super::sessions::insert_session;
use super::users::{NewUser, has_system_admin, insert_user};
use super::{Store, StoreError};
use crate::base::clock::Timestamp;
use crate::base::secret::constant_time_eq;
use crate::model::audit::{Actor, Entry, Outcome};
use crate::model::bootstrap::{BootstrapStatus, BootstrapToken, Presented, TokenState, TokenText, WRONG_TRIES_MAX};
use crate::model::ids::BootstrapId;
use crate::model::session::{NewSession, Origin};
use crate::model::user::User;

const COLUMNS: &str = "id, secret_hash, created_at, expires_at, wrong_tries, burnt_at, used_at";

/// A bootstrap token to keep.
#[derive(Clone, Debug)]
pub struct NewBootstrapToken {
    /// The public half.
    pub id: BootstrapId,
    /// SHA-256 of the secret half.
    pub secret_hash: [u8; 32],
    /// Now.
    pub at: Timestamp,
    /// Until when it can be redeemed.
    pub expires_at: Timestamp,
}

impl Store {
    /// How far this installation is with its first admin.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn bootstrap_status(&self) -> Result<BootstrapStatus, StoreError> {
        self.read("read bootstrap token", bootstrap_status_in).await
    }

    /// The newest token with this hash of its secret, in whatever state.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn bootstrap_token_by_hash(&self, secret_hash: [u8; 32]) -> Result<Option<BootstrapToken>, StoreError> {
        self.read("read bootstrap token", move |conn| {
            let sql = format!("SELECT {COLUMNS} FROM bootstrap_tokens WHERE secret_hash = ?1 ORDER BY created_at DESC, id DESC LIMIT 1");
            Ok(conn.prepare_cached(&sql)?.query_row([secret_hash], read_token).optional()?)
        })
        .await
    }

    /// Keeps a new token and retires every earlier one. `false`: there is an admin, so no token is kept.
    ///
    /// # Errors
    /// When it could not be kept.
    pub async fn issue_bootstrap_token(&self, token: NewBootstrapToken, audit: Entry) -> Result<bool, StoreError> {
        self.write("issue bootstrap token", move |tx| {
            if has_system_admin(tx)? {
                return Ok(false);
            }
            tx.execute("UPDATE bootstrap_tokens SET expires_at = ?1 WHERE used_at IS NULL AND expires_at > ?1", [token.at])?;
            tx.execute(
                // A configured token comes back under its own id after it expired.
                "INSERT INTO bootstrap_tokens (id, secret_hash, created_at, expires_at) VALUES (?1, ?2, ?3, ?4)
                 ON CONFLICT (id) DO UPDATE SET secret_hash = excluded.secret_hash, created_at = excluded.created_at,
                   expires_at = excluded.expires_at, wrong_tries = 0, burnt_at = NULL",
                (&token.id, token.secret_hash, token.at, token.expires_at),
            )?;
            append_audit(tx, &audit)?;
            Ok(true)
        })
        .await
    }

    /// Looks whether a token could be redeemed now; a wrong one is counted, and the tenth burns the live one.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn present_bootstrap_token(&self, text: TokenText, origin: Origin, now: Timestamp) -> Result<Presented<()>, StoreError> {
        self.write("present bootstrap token", move |tx| {
            Ok(match judge(tx, &text, &origin, now)? {
                Presented::Accepted(_) => Presented::Accepted(()),
                Presented::Wrong { attempts_left } => Presented::Wrong { attempts_left },
                Presented::Expired => Presented::Expired,
                Presented::Burnt => Presented::Burnt,
                Presented::Done => Presented::Done,
            })
        })
        .await
    }

    /// Redeems a token: marks it used, makes the first system admin, opens their session and records it, all or nothing.
    /// A wrong token is counted. There is never a second admin by this way, whatever happens at the same moment.
    ///
    /// # Errors
    /// When it could not be kept.
    pub async fn redeem_bootstrap_token(&self, text: TokenText, admin: NewUser, session: NewSession) -> Result<Presented<User>, StoreError> {
        self.write("redeem bootstrap token", move |tx| {
            let token = match judge(tx, &text, &session.origin, session.at)? {
                Presented::Accepted(token) => token,
                Presented::Wrong { attempts_left } => return Ok(Presented::Wrong { attempts_left }),
                Presented::Expired => return Ok(Presented::Expired),
                Presented::Burnt => return Ok(Presented::Burnt),
                Presented::Done => return Ok(Presented::Done),
            };
            let marked = tx.execute(
                "UPDATE bootstrap_tokens SET used_at = ?2 WHERE id = ?1 AND used_at IS NULL AND burnt_at IS NULL AND expires_at > ?2",
                (&token.id, session.at),
            )?;
            if marked != 1 {
                return Err(StoreError::corrupt("a bootstrap token that changed within its own transaction"));
            }
            let admin = NewUser { system_admin: true, ..admin };
            let user = insert_user(tx, &admin)?.ok_or_else(|| StoreError::corrupt("the first admin's address belongs to an earlier account"))?;
            tx.execute("UPDATE bootstrap_tokens SET used_by = ?2 WHERE id = ?1", (&token.id, &user.id))?;
            // Let in by the operator's token: a mail server that is not there yet must not lock them out.
            mark_verified(tx, &user.id, session.at)?;
            insert_session(tx, &user.id, &session)?;
            let entry = Entry::new(session.at, Actor::User(Some(user.id.clone())), "bootstrap.redeemed", token.id.as_str());
            let detail = serde_json::json!({"user_id": user.id, "email": user.email, "session_id": session.id});
            append_audit(tx, &entry.from(session.origin.address).detail(detail))?;
            Ok(Presented::Accepted(user))
        })
        .await
    }
}

/// How far an installation is with its first admin, on an open connection: also for a command beside the server.
///
/// # Errors
/// When the database cannot be read.
pub fn bootstrap_status_in(conn: &Connection) -> Result<BootstrapStatus, StoreError> {
    if has_system_admin(conn)? {
        return Ok(BootstrapStatus::Done);
    }
    Ok(BootstrapStatus::Open(newest(conn)?))
}

/// What a presented token is worth. Counts a wrong one and burns the live one at the tenth, with its audit row.
fn judge(tx: &Connection, text: &TokenText, origin: &Origin, now: Timestamp) -> Result<Presented<BootstrapToken>, StoreError> {
    if has_system_admin(tx)? {
        return Ok(Presented::Done);
    }
    let Some(current) = newest(tx)? else { return Ok(Presented::Burnt) };
    match current.state(now) {
        TokenState::Used | TokenState::Burnt => return Ok(Presented::Burnt),
        TokenState::Expired => return Ok(Presented::Expired),
        TokenState::Live { .. } => {}
    }
    let named = text.id.as_ref().is_none_or(|id| *id == current.id);
    if constant_time_eq(&text.secret_hash, &current.secret_hash) && named {
        return Ok(Presented::Accepted(current));
    }
    // Someone who pastes yesterday's token is told so, and is no attacker: they know a secret.
    if let Some(earlier) = text.id.as_ref().map(|id| by_id(tx, id)).transpose()?.flatten()
        && earlier.id != current.id
        && constant_time_eq(&text.secret_hash, &earlier.secret_hash)
    {
        return Ok(Presented::Expired);
    }
    count_wrong_try(tx, &current, origin, now)
}

fn count_wrong_try(tx: &Connection, current: &BootstrapToken, origin: &Origin, now: Timestamp) -> Result<Presented<BootstrapToken>, StoreError> {
    let attempts_left = WRONG_TRIES_MAX.saturating_sub(current.wrong_tries + 1);
    tx.execute(
        "UPDATE bootstrap_tokens SET wrong_tries = wrong_tries + 1, burnt_at = CASE WHEN ?2 = 0 THEN ?3 ELSE burnt_at END WHERE id = ?1",
        (&current.id, attempts_left, now),
    )?;
    let action = if attempts_left == 0 { "bootstrap.burnt" } else { "bootstrap.wrong_token" };
    let entry = Entry::new(now, Actor::User(None), action, current.id.as_str()).from(origin.address).outcome(Outcome::Refused);
    append_audit(tx, &entry.detail(serde_json::json!({"attempts_left": attempts_left})))?;
    Ok(if attempts_left == 0 { Presented::Burnt } else { Presented::Wrong { attempts_left } })
}

fn newest(conn: &Connection) -> Result<Option<BootstrapToken>, StoreError> {
    // Ids sort by time too, but the clock may have been turned back between two tokens: the live one is the one not retired.
    let sql = format!("SELECT {COLUMNS} FROM bootstrap_tokens ORDER BY expires_at DESC, created_at DESC, id DESC LIMIT 1");
    Ok(conn.prepare_cached(&sql)?.query_row([], read_token).optional()?)
}

fn by_id(conn: &Connection, id: &BootstrapId) -> Result<Option<BootstrapToken>, StoreError> {
    Ok(conn.prepare_cached(&format!("SELECT {COLUMNS} FROM bootstrap_tokens WHERE id = ?1"))?.query_row([id], read_token).optional()?)
}

fn read_token(row: &Row<'_>) -> rusqlite::Result<BootstrapToken> {
    Ok(BootstrapToken {
        id: row.get(0)?,
        secret_hash: row.get(1)?,
        created_at: row.get(2)?,
        expires_at: row.get(3)?,
        wrong_tries: row.get(4)?,
        burnt_at: row.get(5)?,
        used_at: row.get(6)?,
    })
}
