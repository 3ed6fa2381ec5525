//! Links that verify a mail address.

use rusqlite::{Connection, OptionalExtension};

use super::audit::append_audit;
use super::mail::{NewMail, insert_mail};
use super::users::{USER_COLUMNS, read_user};
use super::{Store, StoreError};
use crate::base::clock::Timestamp;
use crate::model::audit::{Actor, Entry};
use crate::model::ids::{EmailVerificationId, UserId};
use crate::model::session::Origin;
use crate::model::user::User;

/// A link to keep, with the mail that carries it.
#[derive(Clone, Debug)]
pub struct NewVerification {
    /// The link's id.
    pub id: EmailVerificationId,
    /// Whose address.
    pub user: UserId,
    /// SHA-256 of the link's token.
    pub token_hash: [u8; 32],
    /// Now.
    pub at: Timestamp,
    /// Until when it works.
    pub expires_at: Timestamp,
    /// What carries it.
    pub mail: NewMail,
}

impl Store {
    /// Whether an account's address is verified.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn is_address_verified(&self, user: UserId) -> Result<bool, StoreError> {
        self.read("read verification", move |conn| {
            let sql = "SELECT email_verified_at IS NOT NULL FROM users WHERE id = ?1";
            Ok(conn.prepare_cached(sql)?.query_row([&user], |row| row.get(0)).optional()?.unwrap_or(false))
        })
        .await
    }

    /// Keeps a link and its mail, unless one was made since `not_since`. Earlier links go. `false`: one is on its way.
    ///
    /// # Errors
    /// When it could not be kept.
    pub async fn send_verification(&self, new: NewVerification, not_since: Timestamp) -> Result<bool, StoreError> {
        self.write("send verification", move |tx| {
            let recent = "SELECT EXISTS (SELECT 1 FROM email_verifications WHERE user_id = ?1 AND created_at > ?2)";
            if tx.query_row(recent, (&new.user, not_since), |row| row.get(0))? {
                return Ok(false);
            }
            tx.execute("DELETE FROM email_verifications WHERE user_id = ?1", [&new.user])?;
            tx.execute(
                "INSERT INTO email_verifications (id, user_id, token_hash, created_at, expires_at) VALUES (?1, ?2, ?3, ?4, ?5)",
                (&new.id, &new.user, new.token_hash, new.at, new.expires_at),
            )?;
            insert_mail(tx, &new.mail)?;
            Ok(true)
        })
        .await
    }

    /// Verifies the address that a token is for, and uses the link up. `None`: the link does not work (any more).
    ///
    /// # Errors
    /// When it could not be kept.
    pub async fn verify_address(&self, token_hash: [u8; 32], at: Timestamp, origin: Origin) -> Result<Option<User>, StoreError> {
        self.write("verify address", move |tx| {
            let sql = format!(
                "SELECT {USER_COLUMNS} FROM email_verifications JOIN users ON users.id = email_verifications.user_id
                 WHERE email_verifications.token_hash = ?1 AND email_verifications.expires_at > ?2"
            );
            let Some(user) = tx.query_row(&sql, (token_hash, at), read_user).optional()? else { return Ok(None) };
            tx.execute("DELETE FROM email_verifications WHERE user_id = ?1", [&user.id])?;
            mark_verified(tx, &user.id, at)?;
            let entry = Entry::new(at, Actor::User(Some(user.id.clone())), "email.verified", user.id.as_str()).from(origin.address);
            append_audit(tx, &entry)?;
            Ok(Some(user))
        })
        .await
    }
}

/// Takes an address as verified inside another store method's transaction.
pub(in crate::store) fn mark_verified(tx: &Connection, user: &UserId, at: Timestamp) -> Result<(), StoreError> {
    tx.execute("UPDATE users SET email_verified_at = coalesce(email_verified_at, ?2) WHERE id = ?1", (user, at))?;
    Ok(())
}
