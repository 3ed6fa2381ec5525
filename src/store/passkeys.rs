//! Passkeys, and the challenges that wait for an answer of one.

use rusqlite::types::Type;
use rusqlite::{Connection, OptionalExtension, Row};

use super::audit::append_audit;
use super::factors::{drop_codes_without_factor, has_factor, replace_codes};
use super::{Store, StoreError};
use crate::base::clock::Timestamp;
use crate::model::audit::Entry;
use crate::model::ids::{PasskeyId, SessionId, UserId};
use crate::model::passkey::{CHALLENGE_BYTES, PASSKEYS_MAX, Passkey, PublicKey, Purpose, Transport, Used};

/// A challenge to keep. A holder has one for each purpose: a new one takes the place of the earlier.
#[derive(Clone, Debug)]
pub struct NewChallenge {
    /// The session or the pending sign-in that it is for.
    pub holder: String,
    /// What it may be answered for.
    pub purpose: Purpose,
    /// The challenge.
    pub challenge: [u8; CHALLENGE_BYTES],
    /// Now.
    pub at: Timestamp,
    /// Until when it may be answered.
    pub expires_at: Timestamp,
}

/// What came of a passkey to keep.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Added {
    /// It counts. `first`: it is the first factor of its account, and the recovery codes were kept with it.
    Done {
        /// Whether there was no factor before.
        first: bool,
    },
    /// The credential is an account's already.
    Known,
    /// The account has as many as may be.
    TooMany,
}

const COLUMNS: &str = "id, user_id, relying_party, credential_id, algorithm, public_key, sign_count, backup_eligible, backed_up, transports, name,
                       created_at, last_used_at";

impl Store {
    /// Keeps a challenge. Those whose time is over go.
    ///
    /// # Errors
    /// When it could not be kept.
    pub async fn keep_challenge(&self, new: NewChallenge) -> Result<(), StoreError> {
        self.write("keep challenge", move |tx| {
            tx.execute("DELETE FROM passkey_challenges WHERE expires_at <= ?1", [new.at])?;
            tx.execute(
                "INSERT INTO passkey_challenges (holder, purpose, challenge, expires_at) VALUES (?1, ?2, ?3, ?4)
                 ON CONFLICT (holder, purpose) DO UPDATE SET challenge = excluded.challenge, expires_at = excluded.expires_at",
                (&new.holder, new.purpose.as_str(), new.challenge, new.expires_at),
            )?;
            Ok(())
        })
        .await
    }

    /// Takes the challenge that a holder has for a purpose: whatever comes of the answer, it is used up. `None`: none waits (any more).
    ///
    /// # Errors
    /// When it could not be used up.
    pub async fn take_challenge(&self, holder: String, purpose: Purpose, at: Timestamp) -> Result<Option<[u8; CHALLENGE_BYTES]>, StoreError> {
        self.write("take challenge", move |tx| {
            let sql = "DELETE FROM passkey_challenges WHERE holder = ?1 AND purpose = ?2 RETURNING challenge, expires_at";
            let found: Option<([u8; CHALLENGE_BYTES], Timestamp)> =
                tx.query_row(sql, (&holder, purpose.as_str()), |row| Ok((row.get(0)?, row.get(1)?))).optional()?;
            Ok(found.filter(|(_, expires_at)| *expires_at > at).map(|(challenge, _)| challenge))
        })
        .await
    }

    /// An account's passkeys, the oldest first.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn passkeys(&self, user: UserId) -> Result<Vec<Passkey>, StoreError> {
        self.read("read passkeys", move |conn| {
            let sql = format!("SELECT {COLUMNS} FROM passkeys WHERE user_id = ?1 ORDER BY created_at, id");
            let mut statement = conn.prepare_cached(&sql)?;
            Ok(statement.query_map([&user], read_passkey)?.collect::<Result<_, _>>()?)
        })
        .await
    }

    /// Keeps a passkey; the session that asks has shown who holds it. With the first factor of an account come its recovery codes, and its other
    /// sessions, which were opened without one, end.
    ///
    /// # Errors
    /// When it could not be kept.
    pub async fn add_passkey(&self, session: SessionId, new: Passkey, codes: Vec<[u8; 32]>, audit: Entry) -> Result<Added, StoreError> {
        self.write("add passkey", move |tx| {
            let count: u32 = tx.query_row("SELECT count(*) FROM passkeys WHERE user_id = ?1", [&new.user], |row| row.get(0))?;
            if count >= PASSKEYS_MAX {
                return Ok(Added::TooMany);
            }
            let known = "SELECT EXISTS (SELECT 1 FROM passkeys WHERE credential_id = ?1)";
            if tx.query_row(known, [&new.credential_id], |row| row.get(0))? {
                return Ok(Added::Known);
            }
            let first = !has_factor(tx, &new.user)?;
            insert_passkey(tx, &new)?;
            let (user, at) = (&new.user, new.created_at);
            if first {
                replace_codes(tx, user, &codes, at)?;
                tx.execute("UPDATE sessions SET ended_at = ?2 WHERE user_id = ?1 AND ended_at IS NULL AND id <> ?3", (user, at, &session))?;
                tx.execute("DELETE FROM pending_sign_ins WHERE user_id = ?1", [user])?;
            }
            tx.execute("UPDATE sessions SET proven_at = ?2 WHERE id = ?1", (&session, at))?;
            append_audit(tx, &audit)?;
            Ok(Added::Done { first })
        })
        .await
    }

    /// Gives an account's passkey another name. `false`: it has no such passkey.
    ///
    /// # Errors
    /// When it could not be kept.
    pub async fn rename_passkey(&self, user: UserId, id: PasskeyId, name: String, audit: Entry) -> Result<bool, StoreError> {
        self.write("rename passkey", move |tx| {
            let renamed = tx.execute("UPDATE passkeys SET name = ?3 WHERE id = ?1 AND user_id = ?2", (&id, &user, &name))? > 0;
            if renamed {
                append_audit(tx, &audit)?;
            }
            Ok(renamed)
        })
        .await
    }

    /// Takes an account's passkey away; with its last factor go the recovery codes. `false`: it has no such passkey.
    ///
    /// # Errors
    /// When it could not be kept.
    pub async fn remove_passkey(&self, user: UserId, id: PasskeyId, audit: Entry) -> Result<bool, StoreError> {
        self.write("remove passkey", move |tx| {
            if tx.execute("DELETE FROM passkeys WHERE id = ?1 AND user_id = ?2", (&id, &user))? == 0 {
                return Ok(false);
            }
            drop_codes_without_factor(tx, &user)?;
            append_audit(tx, &audit)?;
            Ok(true)
        })
        .await
    }
}

/// Notes the use of a passkey; `false` when it is gone, or its counter did not go on since it was looked at.
pub(in crate::store) fn use_passkey(tx: &Connection, user: &UserId, id: &PasskeyId, used: Used, at: Timestamp) -> Result<bool, StoreError> {
    let sql = "UPDATE passkeys SET sign_count = ?3, backed_up = ?4, last_used_at = ?5
               WHERE id = ?1 AND user_id = ?2 AND (sign_count < ?3 OR (sign_count = 0 AND ?3 = 0))";
    Ok(tx.prepare_cached(sql)?.execute((id, user, used.sign_count, used.backed_up, at))? > 0)
}

fn insert_passkey(tx: &Connection, new: &Passkey) -> Result<(), StoreError> {
    let transports = new.transports.iter().map(|transport| transport.as_str()).collect::<Vec<_>>().join(" ");
    tx.execute(
        &format!("INSERT INTO passkeys ({COLUMNS}) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13)"),
        rusqlite::params![
            new.id,
            new.user,
            new.relying_party,
            new.credential_id,
            new.key.algorithm(),
            new.key.bytes(),
            new.sign_count,
            new.backup_eligible,
            new.backed_up,
            transports,
            new.name,
            new.created_at,
            new.last_used_at,
        ],
    )?;
    Ok(())
}

fn read_passkey(row: &Row<'_>) -> rusqlite::Result<Passkey> {
    let (algorithm, key): (i64, Vec<u8>) = (row.get(4)?, row.get(5)?);
    let not_a_key = || rusqlite::Error::FromSqlConversionFailure(5, Type::Blob, "not a public key of its algorithm".into());
    let transports: String = row.get(9)?;
    Ok(Passkey {
        id: row.get(0)?,
        user: row.get(1)?,
        relying_party: row.get(2)?,
        credential_id: row.get(3)?,
        key: PublicKey::from_parts(algorithm, &key).map_err(|_| not_a_key())?,
        sign_count: row.get(6)?,
        backup_eligible: row.get(7)?,
        backed_up: row.get(8)?,
        transports: transports.split(' ').filter_map(Transport::named).collect(),
        name: row.get(10)?,
        created_at: row.get(11)?,
        last_used_at: row.get(12)?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::seams::Seams;
    use crate::model::audit::Actor;
    use crate::store::factors::{Factors, Proof};
    use crate::store::testing;

    const AT: Timestamp = Timestamp::from_millis(1_000);

    fn act() -> Entry {
        Entry::new(AT, Actor::System, "factor.test", "factor")
    }

    fn passkey(user: &UserId, credential: u8) -> Passkey {
        Passkey {
            id: PasskeyId::new(&Seams::system()),
            user: user.clone(),
            relying_party: "onsite.example".to_owned(),
            credential_id: vec![credential; 16],
            key: PublicKey::EdDsa([9; 32]),
            sign_count: 3,
            backup_eligible: true,
            backed_up: false,
            transports: ["usb", "hybrid"].into_iter().filter_map(Transport::named).collect(),
            name: "Laptop".to_owned(),
            created_at: AT,
            last_used_at: None,
        }
    }

    #[tokio::test]
    async fn a_passkey_is_kept_once_counts_on_and_takes_the_codes_with_it_when_it_is_the_last_factor() {
        let (store, _folder) = testing::store();
        let (user, _) = testing::user_and_company(&store).await;
        let session = SessionId::new(&Seams::system());
        let add = async |new: &Passkey| store.add_passkey(session.clone(), new.clone(), vec![[1; 32]], act()).await.unwrap();
        let (one, two) = (passkey(&user, 1), passkey(&user, 2));
        assert_eq!(add(&one).await, Added::Done { first: true });
        assert_eq!(add(&Passkey { id: PasskeyId::new(&Seams::system()), ..one.clone() }).await, Added::Known);
        assert_eq!(add(&two).await, Added::Done { first: false });
        assert_eq!(store.passkeys(user.clone()).await.unwrap().iter().find(|kept| kept.id == one.id), Some(&one));
        for credential in 3..=10 {
            assert_eq!(add(&passkey(&user, credential)).await, Added::Done { first: false });
        }
        assert_eq!(add(&passkey(&user, 11)).await, Added::TooMany);

        let proof = |sign_count| Proof::Passkey { id: one.id.clone(), used: Used { sign_count, backed_up: true } };
        let proven = async |proof| store.prove_session((user.clone(), session.clone()), proof, AT, act()).await.unwrap();
        assert!(!proven(proof(3)).await);
        assert!(proven(proof(4)).await);
        assert!(!proven(proof(4)).await);
        let kept = store.passkeys(user.clone()).await.unwrap().into_iter().find(|kept| kept.id == one.id).unwrap();
        assert_eq!((kept.sign_count, kept.backed_up, kept.last_used_at), (4, true, Some(AT)));

        let (stranger, _) = testing::user_and_company(&store).await;
        assert!(!store.remove_passkey(stranger.clone(), one.id.clone(), act()).await.unwrap());
        assert!(!store.rename_passkey(stranger, one.id.clone(), "Mine".to_owned(), act()).await.unwrap());
        let ids: Vec<_> = store.passkeys(user.clone()).await.unwrap().into_iter().map(|kept| kept.id).collect();
        for (left, id) in (0..ids.len()).rev().zip(ids) {
            assert_eq!(store.factors(user.clone()).await.unwrap().recovery_codes, 1);
            assert!(store.remove_passkey(user.clone(), id, act()).await.unwrap());
            assert_eq!(usize::try_from(store.factors(user.clone()).await.unwrap().passkeys).unwrap(), left);
        }
        assert_eq!(store.factors(user).await.unwrap(), Factors::default());
    }

    #[tokio::test]
    async fn a_challenge_is_for_one_holder_and_purpose_once_and_in_time() {
        let (store, _folder) = testing::store();
        let keep = async |challenge: u8| {
            let (holder, purpose, expires_at) = ("ses_1".to_owned(), Purpose::StepUp, Timestamp::from_millis(2_000));
            store.keep_challenge(NewChallenge { holder, purpose, challenge: [challenge; 32], at: AT, expires_at }).await.unwrap();
        };
        let take = async |holder: &str, purpose, at| store.take_challenge(holder.to_owned(), purpose, Timestamp::from_millis(at)).await.unwrap();
        keep(1).await;
        assert_eq!(take("ses_2", Purpose::StepUp, 1_500).await, None);
        assert_eq!(take("ses_1", Purpose::Register, 1_500).await, None);
        keep(2).await;
        assert_eq!(take("ses_1", Purpose::StepUp, 1_500).await, Some([2; 32]), "the newest");
        assert_eq!(take("ses_1", Purpose::StepUp, 1_500).await, None, "once");
        keep(3).await;
        assert_eq!(take("ses_1", Purpose::StepUp, 2_000).await, None, "too late");
    }
}
