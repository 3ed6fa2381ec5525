//! Sessions: opened by signing in, ended by signing out, by time, or by an admin.

use std::net::IpAddr;

use super::ids::{SessionId, UserId};
use super::user::User;
use crate::base::clock::Timestamp;
use crate::base::secret::Secret;

/// Where a request came from: kept with sessions and in the audit log.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Origin {
    /// The peer's address, when there is one.
    pub address: Option<IpAddr>,
    /// What the client calls itself.
    pub user_agent: Option<String>,
}

/// A session as stored. The token itself is nowhere but with its holder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Session {
    /// The session.
    pub id: SessionId,
    /// Whose.
    pub user_id: UserId,
    /// When it was opened.
    pub created_at: Timestamp,
    /// When it was last used, to the minute.
    pub last_seen_at: Timestamp,
    /// When it ends at the latest.
    pub expires_at: Timestamp,
    /// When it was ended before its time.
    pub ended_at: Option<Timestamp>,
    /// When its holder last showed who they are.
    pub proven_at: Timestamp,
}

/// A session with where it was opened.
#[derive(Clone, Debug)]
pub struct OpenSession {
    /// The session.
    pub session: Session,
    /// The address it was opened from.
    pub address: Option<String>,
    /// What the client called itself.
    pub user_agent: Option<String>,
}

/// A session to open.
#[derive(Clone, Debug)]
pub struct NewSession {
    /// The session.
    pub id: SessionId,
    /// SHA-256 of its token.
    pub token_hash: [u8; 32],
    /// Now.
    pub at: Timestamp,
    /// When it ends at the latest.
    pub expires_at: Timestamp,
    /// From where.
    pub origin: Origin,
    /// Whether another service asked for the second factor.
    pub factor_elsewhere: bool,
}

/// Someone who has just come in: the one moment at which the token is known here.
#[derive(Clone, Debug)]
pub struct SignedIn {
    /// Who.
    pub user: User,
    /// The session.
    pub session_id: SessionId,
    /// What to present from now on.
    pub token: Secret<String>,
    /// Until when at the latest.
    pub expires_at: Timestamp,
}
