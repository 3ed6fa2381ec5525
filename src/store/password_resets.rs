//! Links that replace a forgotten password, and the replacing itself: it ends every other session of the account.

use rusqlite::{Connection, OptionalExtension};

use super::addresses::mark_verified;
use super::audit::append_audit;
use super::factors::remove_factors_in;
use super::mail::{NewMail, insert_mail};
use super::users::{HAS_EMAIL, USER_COLUMNS, read_user, user_in};
use super::{Store, StoreError};
use crate::base::clock::Timestamp;
use crate::model::audit::{Actor, Entry};
use crate::model::ids::{PasswordResetId, SessionId, UserId};
use crate::model::session::Origin;
use crate::model::user::{Email, User};

/// A link to keep.
#[derive(Clone, Debug)]
pub struct NewPasswordReset {
    /// The link's id, for the audit log.
    pub id: PasswordResetId,
    /// Whose password.
    pub user: UserId,
    /// SHA-256 of the link's token.
    pub token_hash: [u8; 32],
    /// Who made it.
    pub by: Actor,
    /// Now.
    pub at: Timestamp,
    /// Until when it works.
    pub expires_at: Timestamp,
}

/// The link that a recovered admin comes in with.
#[derive(Clone, Debug)]
pub struct RecoveryLink {
    /// The link's id, for the audit log.
    pub id: PasswordResetId,
    /// SHA-256 of the link's token.
    pub token_hash: [u8; 32],
    /// Until when it works.
    pub expires_at: Timestamp,
}

impl Store {
    /// Keeps a link, with the mail that carries it, and retires the account's earlier ones. `false`: there is no such account.
    ///
    /// # Errors
    /// When it could not be kept.
    pub async fn issue_password_reset(&self, new: NewPasswordReset, mail: Option<NewMail>, audit: Entry) -> Result<bool, StoreError> {
        self.write("issue password reset", move |tx| {
            tx.execute("DELETE FROM password_resets WHERE user_id = ?1 AND used_at IS NULL", [&new.user])?;
            let kept = tx.execute(
                "INSERT INTO password_resets (id, user_id, token_hash, made_by, created_at, expires_at)
                 SELECT ?1, id, ?3, ?4, ?5, ?6 FROM users WHERE id = ?2",
                (&new.id, &new.user, new.token_hash, new.by.as_str(), new.at, new.expires_at),
            )?;
            if kept > 0 {
                mail.map_or(Ok(()), |mail| insert_mail(tx, &mail))?;
                append_audit(tx, &audit)?;
            }
            Ok(kept > 0)
        })
        .await
    }

    /// Restores a system admin: the account of this address may come in and looks after the appliance again, every session of it ends, and a
    /// link replaces its password. Its second factors are gone. `None`: there is no such account.
    ///
    /// # Errors
    /// When it could not be kept.
    pub async fn recover_admin(&self, email: Email, link: RecoveryLink, at: Timestamp) -> Result<Option<User>, StoreError> {
        self.write("recover admin", move |tx| {
            let recovered = format!("UPDATE users SET system_admin = 1, disabled_at = NULL WHERE {HAS_EMAIL} RETURNING {USER_COLUMNS}");
            let Some(user) = tx.query_row(&recovered, [&email], read_user).optional()? else { return Ok(None) };
            tx.execute("UPDATE sessions SET ended_at = ?2 WHERE user_id = ?1 AND ended_at IS NULL", (&user.id, at))?;
            tx.execute("DELETE FROM password_resets WHERE user_id = ?1 AND used_at IS NULL", [&user.id])?;
            // What is lost with a device, or waits for a mail server that is gone, must not keep the last admin out.
            remove_factors_in(tx, &user.id)?;
            // Another service opens no admin's account.
            tx.execute("DELETE FROM sso_identities WHERE user_id = ?1", [&user.id])?;
            mark_verified(tx, &user.id, at)?;
            tx.execute(
                "INSERT INTO password_resets (id, user_id, token_hash, made_by, created_at, expires_at) VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
                (&link.id, &user.id, link.token_hash, Actor::Cli.as_str(), at, link.expires_at),
            )?;
            let entry = Entry::new(at, Actor::Cli, "admin.recovered", user.id.as_str());
            append_audit(tx, &entry.detail(serde_json::json!({"email": user.email, "password_reset_id": link.id, "expires_at": link.expires_at})))?;
            Ok(Some(user))
        })
        .await
    }

    /// The account whose password a token may replace at `at`.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn password_reset_user(&self, token_hash: [u8; 32], at: Timestamp) -> Result<Option<User>, StoreError> {
        self.read("read password reset", move |conn| usable(conn, token_hash, at).map(|found| found.map(|(_, user)| user))).await
    }

    /// Replaces the password of the account that a link is for, uses the link up, and ends all its sessions. `None`: the link does not work
    /// (any more).
    ///
    /// # Errors
    /// When it could not be kept.
    pub async fn reset_password(&self, token_hash: [u8; 32], hash: String, at: Timestamp, origin: Origin) -> Result<Option<User>, StoreError> {
        self.write("reset password", move |tx| {
            let Some((id, user)) = usable(tx, token_hash, at)? else { return Ok(None) };
            tx.execute("UPDATE password_resets SET used_at = ?2 WHERE id = ?1", (&id, at))?;
            replace(tx, &user.id, &hash, None, at)?;
            let entry = Entry::new(at, Actor::User(Some(user.id.clone())), "password.reset", user.id.as_str()).from(origin.address);
            append_audit(tx, &entry.detail(serde_json::json!({"password_reset_id": id})))?;
            Ok(Some(user))
        })
        .await
    }

    /// An account's password hash.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn password_hash(&self, user: UserId) -> Result<Option<String>, StoreError> {
        self.read("read password hash", move |conn| {
            Ok(conn.query_row("SELECT password_hash FROM users WHERE id = ?1", [&user], |row| row.get(0)).optional()?)
        })
        .await
    }

    /// Replaces an account's hash by another of the same password, unless the password was changed meanwhile.
    ///
    /// # Errors
    /// When it could not be kept.
    pub async fn renew_password_hash(&self, user: UserId, old: String, new: String) -> Result<(), StoreError> {
        self.write("renew password hash", move |tx| {
            tx.execute("UPDATE users SET password_hash = ?3 WHERE id = ?1 AND password_hash = ?2", (&user, &old, &new))?;
            Ok(())
        })
        .await
    }

    /// Gives an account another address, with which it signs in from now on; its sessions but `keep` and its links for a new password end.
    /// False: the address has an account.
    ///
    /// # Errors
    /// When it could not be kept.
    pub async fn set_email(&self, user: UserId, email: Email, keep: SessionId, audit: Entry) -> Result<bool, StoreError> {
        self.write("set email", move |tx| {
            let Some(before) = user_in(tx, &user)?.map(|user| user.email) else { return Err(StoreError::corrupt("a session of nobody")) };
            let holder = format!("SELECT users.id FROM users WHERE {HAS_EMAIL}");
            let holder: Option<UserId> = tx.prepare_cached(&holder)?.query_row([&email], |row| row.get(0)).optional()?;
            if holder.is_some_and(|holder| holder != user) {
                return Ok(false);
            }
            // Nobody has shown that the new one reaches them.
            tx.execute(
                "UPDATE users SET email = sealed('users', 'email', ?1, ?2), email_index = indexed('users.email', ?2),
                   email_verified_at = CASE WHEN ?3 THEN email_verified_at END WHERE id = ?1",
                (&user, &email, before == email),
            )?;
            tx.execute("DELETE FROM email_verifications WHERE user_id = ?1", [&user])?;
            tx.execute("DELETE FROM pending_sign_ins WHERE user_id = ?1", [&user])?;
            tx.execute("UPDATE sessions SET ended_at = ?2 WHERE user_id = ?1 AND ended_at IS NULL AND id <> ?3", (&user, audit.at, &keep))?;
            tx.execute("DELETE FROM password_resets WHERE user_id = ?1 AND used_at IS NULL", [&user])?;
            append_audit(tx, &audit.detail(serde_json::json!({"before": before, "after": email})))?;
            Ok(true)
        })
        .await
    }

    /// Replaces an account's password and ends its sessions but `keep`.
    ///
    /// # Errors
    /// When it could not be kept.
    pub async fn set_password(&self, user: UserId, hash: String, keep: SessionId, at: Timestamp, audit: Entry) -> Result<(), StoreError> {
        self.write("set password", move |tx| {
            replace(tx, &user, &hash, Some(&keep), at)?;
            append_audit(tx, &audit)
        })
        .await
    }
}

fn usable(conn: &Connection, token_hash: [u8; 32], at: Timestamp) -> Result<Option<(PasswordResetId, User)>, StoreError> {
    let sql = format!(
        "SELECT {USER_COLUMNS}, password_resets.id FROM password_resets JOIN users ON users.id = password_resets.user_id
         WHERE password_resets.token_hash = ?1 AND password_resets.used_at IS NULL AND password_resets.expires_at > ?2 AND users.disabled_at IS NULL"
    );
    Ok(conn.prepare_cached(&sql)?.query_row((token_hash, at), |row| Ok((row.get(6)?, read_user(row)?))).optional()?)
}

fn replace(tx: &Connection, user: &UserId, hash: &str, keep: Option<&SessionId>, at: Timestamp) -> Result<(), StoreError> {
    tx.execute("UPDATE users SET password_hash = ?2 WHERE id = ?1", (user, hash))?;
    tx.execute("UPDATE sessions SET ended_at = ?2 WHERE user_id = ?1 AND ended_at IS NULL AND id IS NOT ?3", (user, at, keep))?;
    tx.execute("DELETE FROM password_resets WHERE user_id = ?1 AND used_at IS NULL", [user])?;
    // Whoever knew the old one has shown nothing any more.
    tx.execute("DELETE FROM pending_sign_ins WHERE user_id = ?1", [user])?;
    Ok(())
}
