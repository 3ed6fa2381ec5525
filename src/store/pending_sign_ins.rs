//! Sign-ins whose password was right and whose second factor is still to come. They open nothing.

use rusqlite::{Connection, OptionalExtension};

use super::audit::append_audit;
use super::factors::{Proof, consume};
use super::mail::{NewMail, insert_mail};
use super::sessions::insert_session;
use super::users::{USER_COLUMNS, read_user};
use super::{Store, StoreError};
use crate::base::clock::Timestamp;
use crate::base::secret::constant_time_eq;
use crate::model::audit::Entry;
use crate::model::ids::{PendingSignInId, UserId};
use crate::model::session::NewSession;
use crate::model::user::User;

/// Wrong codes after which a sign-in begins anew.
pub const WRONG_CODES_MAX: u32 = 5;
/// Codes mailed for one sign-in at most.
pub const MAILS_MAX: u32 = 3;
/// Sign-ins of one account that may wait at once; the oldest goes first.
const WAITING_MAX: u32 = 5;

/// A sign-in to keep.
#[derive(Clone, Debug)]
pub struct NewPendingSignIn {
    /// The sign-in.
    pub id: PendingSignInId,
    /// Whose.
    pub user: UserId,
    /// SHA-256 of its token.
    pub token_hash: [u8; 32],
    /// Now.
    pub at: Timestamp,
    /// Until when the factor may come.
    pub expires_at: Timestamp,
}

/// A code on its way by mail.
#[derive(Clone, Debug)]
pub struct MailedCode {
    /// SHA-256 of the code and the sign-in's token.
    pub hash: [u8; 32],
    /// What carries it.
    pub mail: NewMail,
}

/// A sign-in that waits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PendingSignIn {
    /// The sign-in.
    pub id: PendingSignInId,
    /// Whose.
    pub user: User,
    /// Whether a code was mailed for it.
    pub mailed: bool,
    /// Until when the factor may come.
    pub expires_at: Timestamp,
}

/// What came of a factor.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Finished {
    /// The session is open.
    Done(User),
    /// The sign-in is over: used, too old, or too many wrong codes.
    Ended,
    /// The code is not right, or was used before.
    Wrong,
}

impl Store {
    /// Keeps a sign-in, and its mail with it. Earlier ones of the account that ended, and those beyond five, go.
    ///
    /// # Errors
    /// When it could not be kept.
    pub async fn begin_sign_in(&self, new: NewPendingSignIn, code: Option<MailedCode>) -> Result<(), StoreError> {
        self.write("begin sign-in", move |tx| {
            tx.execute("DELETE FROM pending_sign_ins WHERE expires_at <= ?1", [new.at])?;
            tx.execute(
                "DELETE FROM pending_sign_ins WHERE user_id = ?1 AND id NOT IN
                   (SELECT id FROM pending_sign_ins WHERE user_id = ?1 ORDER BY created_at DESC, id DESC LIMIT ?2)",
                (&new.user, WAITING_MAX - 1),
            )?;
            tx.execute(
                "INSERT INTO pending_sign_ins (id, user_id, token_hash, created_at, expires_at, mail_code_hash, mails)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
                (&new.id, &new.user, new.token_hash, new.at, new.expires_at, code.as_ref().map(|code| code.hash), u32::from(code.is_some())),
            )?;
            code.map_or(Ok(()), |code| insert_mail(tx, &code.mail))
        })
        .await
    }

    /// The sign-in of a token, if it can still be finished at `at`.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn pending_sign_in(&self, token_hash: [u8; 32], at: Timestamp) -> Result<Option<PendingSignIn>, StoreError> {
        self.read("read sign-in", move |conn| waiting(conn, token_hash, at)).await
    }

    /// Replaces the mailed code of a sign-in, as often as may be. `false`: not (any more).
    ///
    /// # Errors
    /// When it could not be kept.
    pub async fn mail_another_code(&self, id: PendingSignInId, code: MailedCode) -> Result<bool, StoreError> {
        self.write("mail another code", move |tx| {
            let sql = "UPDATE pending_sign_ins SET mail_code_hash = ?2, mails = mails + 1 WHERE id = ?1 AND mails BETWEEN 1 AND ?3 - 1";
            let changed = tx.execute(sql, (&id, code.hash, MAILS_MAX))?;
            if changed > 0 {
                insert_mail(tx, &code.mail)?;
            }
            Ok(changed > 0)
        })
        .await
    }

    /// Counts a wrong code and records it. Returns how many more are borne.
    ///
    /// # Errors
    /// When it could not be kept.
    pub async fn count_wrong_code(&self, id: PendingSignInId, audit: Entry) -> Result<u32, StoreError> {
        self.write("count wrong code", move |tx| {
            let sql = "UPDATE pending_sign_ins SET wrong_codes = wrong_codes + 1 WHERE id = ?1 RETURNING wrong_codes";
            let wrong: Option<u32> = tx.query_row(sql, [&id], |row| row.get(0)).optional()?;
            append_audit(tx, &audit)?;
            Ok(WRONG_CODES_MAX.saturating_sub(wrong.unwrap_or(WRONG_CODES_MAX)))
        })
        .await
    }

    /// Opens the session of a sign-in whose factor holds: the proof, the sign-in and the session, all or nothing.
    ///
    /// # Errors
    /// When it could not be kept.
    pub async fn finish_sign_in(&self, token_hash: [u8; 32], proof: Proof, session: NewSession, audit: Entry) -> Result<Finished, StoreError> {
        self.write("finish sign-in", move |tx| {
            let Some(pending) = waiting(tx, token_hash, session.at)? else { return Ok(Finished::Ended) };
            let holds = match &proof {
                Proof::Password => false,
                Proof::MailCode(hash) => mailed_code(tx, &pending.id)?.is_some_and(|kept| constant_time_eq(&kept, hash)),
                other => consume(tx, &pending.user.id, other, session.at)?,
            };
            if !holds {
                return Ok(Finished::Wrong);
            }
            tx.execute("DELETE FROM pending_sign_ins WHERE id = ?1", [&pending.id])?;
            insert_session(tx, &pending.user.id, &session)?;
            append_audit(tx, &audit)?;
            Ok(Finished::Done(pending.user))
        })
        .await
    }
}

fn mailed_code(conn: &Connection, id: &PendingSignInId) -> Result<Option<[u8; 32]>, StoreError> {
    Ok(conn.query_row("SELECT mail_code_hash FROM pending_sign_ins WHERE id = ?1", [id], |row| row.get(0))?)
}

fn waiting(conn: &Connection, token_hash: [u8; 32], at: Timestamp) -> Result<Option<PendingSignIn>, StoreError> {
    let sql = format!(
        "SELECT {USER_COLUMNS}, pending_sign_ins.id, pending_sign_ins.mail_code_hash IS NOT NULL, pending_sign_ins.expires_at
         FROM pending_sign_ins JOIN users ON users.id = pending_sign_ins.user_id
         WHERE pending_sign_ins.token_hash = ?1 AND pending_sign_ins.expires_at > ?2 AND pending_sign_ins.wrong_codes < ?3
           AND users.disabled_at IS NULL"
    );
    let found = conn.prepare_cached(&sql)?.query_row((token_hash, at, WRONG_CODES_MAX), |row| {
        Ok(PendingSignIn { id: row.get(6)?, user: read_user(row)?, mailed: row.get(7)?, expires_at: row.get(8)? })
    });
    Ok(found.optional()?)
}
