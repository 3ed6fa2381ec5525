//! Second factors. What is consumed, a step or a recovery code, is consumed in the transaction that it opens something in.

use rusqlite::{Connection, OptionalExtension};

use super::audit::append_audit;
use super::passkeys::use_passkey;
use super::{Store, StoreError};
use crate::base::clock::Timestamp;
use crate::model::audit::Entry;
use crate::model::ids::{PasskeyId, SessionId, UserId};
use crate::model::passkey::Used;

/// What an account has of second factors.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Factors {
    /// The authenticator app's secret, sealed.
    pub totp_secret: Option<Vec<u8>>,
    /// Since when it counts.
    pub totp_since: Option<Timestamp>,
    /// A secret that waits for its first code, sealed, and when it was made.
    pub totp_next: Option<(Vec<u8>, Timestamp)>,
    /// Recovery codes that can still be used.
    pub recovery_codes: u32,
    /// Passkeys.
    pub passkeys: u32,
}

/// A proof that was checked as far as it can be without the store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Proof {
    /// The password, which was right.
    Password,
    /// The step of a right code: good if no code of it or of a later one was accepted before.
    TotpStep(i64),
    /// The hash of a recovery code: good if there is one and it is unused.
    RecoveryCode([u8; 32]),
    /// The hash of a mailed code: good if it is the one last sent.
    MailCode([u8; 32]),
    /// A passkey that signed: good if it is there, and its counter went on.
    Passkey {
        /// Which.
        id: PasskeyId,
        /// What is new of it.
        used: Used,
    },
}

/// Whether an account has a factor that needs no mail, in a statement over `users`.
pub(in crate::store) const HAS_FACTOR: &str =
    "(EXISTS (SELECT 1 FROM totp_factors WHERE totp_factors.user_id = users.id AND totp_factors.secret IS NOT NULL)
     OR EXISTS (SELECT 1 FROM passkeys WHERE passkeys.user_id = users.id))";

impl Store {
    /// An account's factors.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn factors(&self, user: UserId) -> Result<Factors, StoreError> {
        self.read("read factors", move |conn| {
            let found = conn
                .prepare_cached("SELECT secret, confirmed_at, next_secret, next_at FROM totp_factors WHERE user_id = ?1")?
                .query_row([&user], |row| {
                    let next: (Option<Vec<u8>>, Option<Timestamp>) = (row.get(2)?, row.get(3)?);
                    Ok(Factors { totp_secret: row.get(0)?, totp_since: row.get(1)?, totp_next: next.0.zip(next.1), ..Factors::default() })
                })
                .optional()?
                .unwrap_or_default();
            let count = |sql| conn.prepare_cached(sql)?.query_row([&user], |row| row.get(0));
            let recovery_codes = count("SELECT count(*) FROM recovery_codes WHERE user_id = ?1 AND used_at IS NULL")?;
            Ok(Factors { recovery_codes, passkeys: count("SELECT count(*) FROM passkeys WHERE user_id = ?1")?, ..found })
        })
        .await
    }

    /// Keeps a secret that waits for its first code; one that is in use stays in use until then.
    ///
    /// # Errors
    /// When it could not be kept.
    pub async fn offer_totp(&self, user: UserId, sealed: Vec<u8>, at: Timestamp) -> Result<(), StoreError> {
        self.write("offer factor", move |tx| {
            tx.execute(
                "INSERT INTO totp_factors (user_id, next_secret, next_at) VALUES (?1, ?2, ?3)
                 ON CONFLICT (user_id) DO UPDATE SET next_secret = excluded.next_secret, next_at = excluded.next_at",
                (&user, &sealed, at),
            )?;
            Ok(())
        })
        .await
    }

    /// Puts the waiting secret into use, with `codes` in place of all earlier recovery codes; the session that asks has shown who holds it, the
    /// others of the account end. `offered` is what was confirmed: `false` when another waits by now. `kept` is the same, sealed for its new place.
    ///
    /// # Errors
    /// When it could not be kept.
    pub async fn confirm_totp(
        &self,
        (user, session): (UserId, SessionId),
        (offered, kept, step): (Vec<u8>, Vec<u8>, i64),
        codes: Vec<[u8; 32]>,
        at: Timestamp,
        audit: Entry,
    ) -> Result<bool, StoreError> {
        self.write("confirm factor", move |tx| {
            let confirmed = tx.execute(
                "UPDATE totp_factors SET secret = ?5, next_secret = NULL, next_at = NULL, last_step = ?3, confirmed_at = ?4
                 WHERE user_id = ?1 AND next_secret = ?2",
                (&user, &offered, step, at, &kept),
            )?;
            if confirmed == 0 {
                return Ok(false);
            }
            replace_codes(tx, &user, &codes, at)?;
            tx.execute("UPDATE sessions SET proven_at = ?2 WHERE id = ?1", (&session, at))?;
            tx.execute("UPDATE sessions SET ended_at = ?2 WHERE user_id = ?1 AND ended_at IS NULL AND id <> ?3", (&user, at, &session))?;
            tx.execute("DELETE FROM pending_sign_ins WHERE user_id = ?1", [&user])?;
            append_audit(tx, &audit)?;
            Ok(true)
        })
        .await
    }

    /// Replaces the recovery codes of an account with a factor. `false`: it has none.
    ///
    /// # Errors
    /// When they could not be kept.
    pub async fn replace_recovery_codes(&self, user: UserId, codes: Vec<[u8; 32]>, at: Timestamp, audit: Entry) -> Result<bool, StoreError> {
        self.write("replace recovery codes", move |tx| {
            if !has_factor(tx, &user)? {
                return Ok(false);
            }
            replace_codes(tx, &user, &codes, at)?;
            append_audit(tx, &audit)?;
            Ok(true)
        })
        .await
    }

    /// Takes an account's authenticator app away; with its last factor go the recovery codes. `false`: it has no app.
    ///
    /// # Errors
    /// When it could not be kept.
    pub async fn remove_totp(&self, user: UserId, audit: Entry) -> Result<bool, StoreError> {
        self.write("remove authenticator app", move |tx| {
            let had: Option<bool> =
                tx.query_row("DELETE FROM totp_factors WHERE user_id = ?1 RETURNING secret IS NOT NULL", [&user], |row| row.get(0)).optional()?;
            if had != Some(true) {
                return Ok(false);
            }
            drop_codes_without_factor(tx, &user)?;
            append_audit(tx, &audit)?;
            Ok(true)
        })
        .await
    }

    /// Takes all of an account's factors away. `false`: it has none.
    ///
    /// # Errors
    /// When it could not be kept.
    pub async fn remove_factors(&self, user: UserId, audit: Entry) -> Result<bool, StoreError> {
        self.write("remove factors", move |tx| {
            let had = has_factor(tx, &user)?;
            remove_factors_in(tx, &user)?;
            if had {
                append_audit(tx, &audit)?;
            }
            Ok(had)
        })
        .await
    }

    /// Notes that a session's holder has shown who they are. `false`: the proof is used up, or was none.
    ///
    /// # Errors
    /// When it could not be kept.
    pub async fn prove_session(&self, (user, session): (UserId, SessionId), proof: Proof, at: Timestamp, audit: Entry) -> Result<bool, StoreError> {
        self.write("prove session", move |tx| {
            if !consume(tx, &user, &proof, at)? {
                return Ok(false);
            }
            tx.execute("UPDATE sessions SET proven_at = ?2 WHERE id = ?1", (&session, at))?;
            append_audit(tx, &audit)?;
            Ok(true)
        })
        .await
    }
}

/// Uses a proof up; `false` when it is used up already, or none. A mailed code belongs to a pending sign-in and is compared there.
pub(in crate::store) fn consume(tx: &Connection, user: &UserId, proof: &Proof, at: Timestamp) -> Result<bool, StoreError> {
    let used = match proof {
        Proof::Password => return Ok(true),
        Proof::MailCode(_) => return Ok(false),
        Proof::TotpStep(step) => tx
            .prepare_cached(
                "UPDATE totp_factors SET last_step = ?2 WHERE user_id = ?1 AND secret IS NOT NULL AND (last_step IS NULL OR last_step < ?2)",
            )?
            .execute((user, step))?,
        Proof::RecoveryCode(hash) => tx
            .prepare_cached("UPDATE recovery_codes SET used_at = ?3 WHERE user_id = ?1 AND code_hash = ?2 AND used_at IS NULL")?
            .execute((user, hash, at))?,
        Proof::Passkey { id, used } => return use_passkey(tx, user, id, *used, at),
    };
    Ok(used > 0)
}

/// Takes an account's factors away inside another store method's transaction.
pub(in crate::store) fn remove_factors_in(tx: &Connection, user: &UserId) -> Result<(), StoreError> {
    tx.execute("DELETE FROM totp_factors WHERE user_id = ?1", [user])?;
    tx.execute("DELETE FROM passkeys WHERE user_id = ?1", [user])?;
    tx.execute("DELETE FROM recovery_codes WHERE user_id = ?1", [user])?;
    tx.execute("DELETE FROM pending_sign_ins WHERE user_id = ?1", [user])?;
    Ok(())
}

/// Once the last factor is gone: codes that would replace nothing, and sign-ins that wait for what is not there any more.
pub(in crate::store) fn drop_codes_without_factor(tx: &Connection, user: &UserId) -> Result<(), StoreError> {
    if !has_factor(tx, user)? {
        tx.execute("DELETE FROM recovery_codes WHERE user_id = ?1", [user])?;
        tx.execute("DELETE FROM pending_sign_ins WHERE user_id = ?1", [user])?;
    }
    Ok(())
}

pub(in crate::store) fn has_factor(conn: &Connection, user: &UserId) -> Result<bool, StoreError> {
    let sql = format!("SELECT {HAS_FACTOR} FROM users WHERE id = ?1");
    Ok(conn.prepare_cached(&sql)?.query_row([user], |row| row.get(0))?)
}

pub(in crate::store) fn replace_codes(tx: &Connection, user: &UserId, codes: &[[u8; 32]], at: Timestamp) -> Result<(), StoreError> {
    tx.execute("DELETE FROM recovery_codes WHERE user_id = ?1", [user])?;
    let mut insert = tx.prepare_cached("INSERT INTO recovery_codes (user_id, code_hash, created_at) VALUES (?1, ?2, ?3)")?;
    for hash in codes {
        insert.execute((user, hash, at))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::seams::Seams;
    use crate::model::audit::Actor;
    use crate::model::ids::PasswordResetId;
    use crate::store::password_resets::RecoveryLink;
    use crate::store::testing;

    const AT: Timestamp = Timestamp::from_millis(1_000);

    fn act() -> Entry {
        Entry::new(AT, Actor::System, "factor.test", "factor")
    }

    async fn enrolled(store: &Store) -> (UserId, SessionId) {
        let (user, _) = testing::user_and_company(store).await;
        let by = (user.clone(), SessionId::new(&Seams::system()));
        store.offer_totp(user, b"offered".to_vec(), AT).await.unwrap();
        let secret = |offered: &[u8]| (offered.to_vec(), b"kept".to_vec(), 7);
        assert!(!store.confirm_totp(by.clone(), secret(b"an older one"), vec![], AT, act()).await.unwrap(), "only what was offered last");
        assert!(store.confirm_totp(by.clone(), secret(b"offered"), vec![[1; 32], [2; 32]], AT, act()).await.unwrap());
        by
    }

    #[tokio::test]
    async fn steps_go_forward_only_and_a_recovery_code_is_used_once() {
        let (store, _folder) = testing::store();
        let by = enrolled(&store).await;
        let proven = async |proof: Proof| store.prove_session(by.clone(), proof, AT, act()).await.unwrap();
        assert!(!proven(Proof::TotpStep(7)).await, "the step that confirmed it");
        assert!(!proven(Proof::TotpStep(6)).await);
        assert!(proven(Proof::TotpStep(8)).await);
        assert!(!proven(Proof::TotpStep(8)).await);
        assert!(proven(Proof::RecoveryCode([2; 32])).await);
        assert!(!proven(Proof::RecoveryCode([2; 32])).await);
        assert!(!proven(Proof::RecoveryCode([3; 32])).await);
        assert!(!proven(Proof::MailCode([2; 32])).await, "a mailed code belongs to its sign-in");
        let factors = store.factors(by.0.clone()).await.unwrap();
        assert_eq!((factors.totp_secret.as_deref(), factors.totp_next, factors.recovery_codes), (Some(&b"kept"[..]), None, 1));
    }

    #[tokio::test]
    async fn a_recovered_admin_comes_in_without_a_device_and_without_a_mail() {
        let (store, _folder) = testing::store();
        let (user, _) = enrolled(&store).await;
        let seams = Seams::system();
        let email = "lost@example.org".parse::<crate::model::user::Email>().unwrap();
        let rename = "UPDATE users SET email = sealed('users', 'email', id, ?2), email_index = indexed('users.email', ?2) WHERE id = ?1";
        testing::execute(&store, rename, (user.clone(), email.as_str().to_owned())).await;
        assert!(!store.is_address_verified(user.clone()).await.unwrap());
        let link = RecoveryLink { id: PasswordResetId::new(&seams), token_hash: [9; 32], expires_at: Timestamp::from_millis(9_000) };
        assert!(store.recover_admin(email, link, AT).await.unwrap().is_some());
        assert_eq!(store.factors(user.clone()).await.unwrap(), Factors::default());
        assert!(store.is_address_verified(user).await.unwrap());
    }
}
