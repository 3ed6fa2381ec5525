//! Sessions: found by the hash of their token.

use std::net::IpAddr;
use std::time::Duration;

use rusqlite::{Connection, OptionalExtension, Row};

use super::audit::append_audit;
use super::factors::HAS_FACTOR;
use super::users::{USER_COLUMNS, read_user};
use super::{Store, StoreError};
use crate::base::clock::Timestamp;
use crate::base::text::truncate;
use crate::model::audit::Entry;
use crate::model::ids::{SessionId, UserId};
use crate::model::session::{NewSession, OpenSession, Session};
use crate::model::user::User;

/// How long a session's row outlives it: long enough to answer "who was in last week".
const KEPT_AFTER_END: Duration = Duration::from_secs(30 * 24 * 60 * 60);
/// Most bytes kept of what a client calls itself.
const USER_AGENT_BYTES_MAX: usize = 200;

/// Sessions shown at most.
const LISTED_MAX: u32 = 200;

/// A session and its user, whatever state both are in.
#[derive(Clone, Debug)]
pub struct FoundSession {
    /// The session.
    pub session: Session,
    /// Whose.
    pub user: User,
    /// Whether they have a second factor that needs no mail, or whoever let them in asked for one.
    pub has_factor: bool,
}

/// Which of a user's sessions.
#[derive(Clone, Debug)]
pub enum WhichSessions {
    /// This one.
    One(SessionId),
    /// All but this one.
    AllBut(SessionId),
    /// Every one.
    All,
}

impl Store {
    /// Opens a session for a user who has just proven who they are, and records that in the audit log.
    /// Removes the user's sessions that ended long ago.
    ///
    /// # Errors
    /// When it could not be kept.
    pub async fn open_session(&self, user: UserId, session: NewSession, audit: Entry) -> Result<(), StoreError> {
        self.write("open session", move |tx| {
            let old = session.at.minus(KEPT_AFTER_END);
            tx.prepare_cached("DELETE FROM sessions WHERE user_id = ?1 AND coalesce(ended_at, expires_at) < ?2")?.execute((&user, old))?;
            insert_session(tx, &user, &session)?;
            append_audit(tx, &audit)
        })
        .await
    }

    /// The session of a token and its user, whatever state both are in.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn session_by_token(&self, token_hash: [u8; 32]) -> Result<Option<FoundSession>, StoreError> {
        self.read("read session", move |conn| {
            Ok(conn.prepare_cached(&select_session("sessions.token_hash = ?1"))?.query_row([token_hash], read_session).optional()?)
        })
        .await
    }

    /// A session and its user, whatever state both are in.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn session(&self, id: SessionId) -> Result<Option<FoundSession>, StoreError> {
        self.read("read session", move |conn| {
            Ok(conn.prepare_cached(&select_session("sessions.id = ?1"))?.query_row([&id], read_session).optional()?)
        })
        .await
    }

    /// The addresses from which a user was in lately, as far as sessions are kept; at most the last 200 sessions.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn session_addresses(&self, user: UserId) -> Result<Vec<Option<IpAddr>>, StoreError> {
        self.read("read session addresses", move |conn| {
            let mut statement = conn.prepare_cached(
                "SELECT opened('sessions', 'address', id, address) FROM sessions WHERE user_id = ?1 ORDER BY created_at DESC LIMIT 200",
            )?;
            let addresses = statement.query_map([&user], |row| row.get::<_, Option<String>>(0))?;
            Ok(addresses.map(|address| Ok(address?.and_then(|address| address.parse().ok()))).collect::<Result<_, rusqlite::Error>>()?)
        })
        .await
    }

    /// A user's sessions that no one ended and whose time is not over, the one used last first.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn open_sessions(&self, user: UserId, now: Timestamp) -> Result<Vec<OpenSession>, StoreError> {
        self.read("list sessions", move |conn| {
            let mut statement = conn.prepare_cached(
                "SELECT id, created_at, last_seen_at, expires_at, opened('sessions', 'address', id, address),
                        opened('sessions', 'user_agent', id, user_agent), coalesce(proven_at, created_at) FROM sessions
                 WHERE user_id = ?1 AND ended_at IS NULL AND expires_at > ?2 ORDER BY last_seen_at DESC, id LIMIT ?3",
            )?;
            let sessions = statement.query_map((&user, now, LISTED_MAX), |row| {
                let (id, created_at, last_seen_at, expires_at) = (row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?);
                let proven_at = row.get(6)?;
                let session = Session { id, user_id: user.clone(), created_at, last_seen_at, expires_at, ended_at: None, proven_at };
                Ok(OpenSession { session, address: row.get(4)?, user_agent: row.get(5)? })
            })?;
            Ok(sessions.collect::<Result<_, _>>()?)
        })
        .await
    }

    /// Ends one of a user's sessions, or all of them but one, and returns how many were open.
    ///
    /// # Errors
    /// When it could not be kept.
    pub async fn end_sessions(&self, user: UserId, which: WhichSessions, now: Timestamp, audit: Entry) -> Result<usize, StoreError> {
        self.write("end sessions", move |tx| {
            let (rule, id) = match &which {
                WhichSessions::One(id) => ("id = ?3", Some(id)),
                WhichSessions::AllBut(id) => ("id <> ?3", Some(id)),
                WhichSessions::All => ("?3 IS NULL", None),
            };
            let sql = format!("UPDATE sessions SET ended_at = ?2 WHERE user_id = ?1 AND ended_at IS NULL AND {rule}");
            let ended = tx.prepare_cached(&sql)?.execute((&user, now, id))?;
            if ended > 0 {
                append_audit(tx, &audit)?;
            }
            Ok(ended)
        })
        .await
    }

    /// Notes that a session was used at `now`. Never moves it back.
    ///
    /// # Errors
    /// When it could not be kept.
    pub async fn touch_session(&self, id: SessionId, now: Timestamp) -> Result<(), StoreError> {
        self.write("touch session", move |tx| {
            tx.prepare_cached("UPDATE sessions SET last_seen_at = ?2 WHERE id = ?1 AND last_seen_at < ?2")?.execute((&id, now))?;
            Ok(())
        })
        .await
    }

    /// Ends a session. Says whether it was open; only then is it recorded.
    ///
    /// # Errors
    /// When it could not be kept.
    pub async fn end_session(&self, id: SessionId, now: Timestamp, audit: Entry) -> Result<bool, StoreError> {
        self.write("end session", move |tx| {
            let ended = tx.prepare_cached("UPDATE sessions SET ended_at = ?2 WHERE id = ?1 AND ended_at IS NULL")?.execute((&id, now))? > 0;
            if ended {
                append_audit(tx, &audit)?;
            }
            Ok(ended)
        })
        .await
    }
}

/// The columns that [`read_user`] reads come first.
fn select_session(rule: &str) -> String {
    format!(
        "SELECT {USER_COLUMNS}, sessions.id, sessions.created_at, sessions.last_seen_at, sessions.expires_at, sessions.ended_at,
                coalesce(sessions.proven_at, sessions.created_at),
                sessions.factor_elsewhere OR {HAS_FACTOR}
         FROM sessions JOIN users ON users.id = sessions.user_id WHERE {rule}"
    )
}

fn read_session(row: &Row<'_>) -> rusqlite::Result<FoundSession> {
    let user = read_user(row)?;
    let session = Session {
        id: row.get(6)?,
        user_id: user.id.clone(),
        created_at: row.get(7)?,
        last_seen_at: row.get(8)?,
        expires_at: row.get(9)?,
        ended_at: row.get(10)?,
        proven_at: row.get(11)?,
    };
    Ok(FoundSession { session, user, has_factor: row.get(12)? })
}

/// Opens a session inside another store method's transaction.
pub(in crate::store) fn insert_session(tx: &Connection, user: &UserId, session: &NewSession) -> Result<(), StoreError> {
    let address = session.origin.address.map(|address| address.to_string());
    let user_agent = session.origin.user_agent.as_deref().map(|name| truncate(name, USER_AGENT_BYTES_MAX));
    tx.prepare_cached(
        "INSERT INTO sessions (id, user_id, token_hash, created_at, last_seen_at, expires_at, address, user_agent, factor_elsewhere)
         VALUES (?1, ?2, ?3, ?4, ?4, ?5, sealed('sessions', 'address', ?1, ?6), sealed('sessions', 'user_agent', ?1, ?7), ?8)",
    )?
    .execute((&session.id, user, session.token_hash, session.at, session.expires_at, address, user_agent, session.factor_elsewhere))?;
    Ok(())
}
