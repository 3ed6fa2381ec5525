//! Passkeys of one's own: setting one up, its name, its end; and what the second step and a fresh proof look at when one is shown.

use std::time::Duration;

use super::Auth;
use super::limits::TooManyTries;
use crate::model::audit::{Actor, Entry, Outcome};
use crate::model::factor::RecoveryCode;
use crate::model::ids::{PasskeyId, UserId};
use crate::model::passkey::{self, Assertion, CHALLENGE_BYTES, Created, PASSKEYS_MAX, Passkey, Purpose, Refusal, RelyingParty, Transport};
use crate::model::session::Origin;
use crate::model::user::{Caller, DisplayName};
use crate::store::StoreError;
use crate::store::factors::Proof;
use crate::store::passkeys::{Added, NewChallenge};

/// How long a challenge waits: as long as browsers let people look for their device.
pub const CHALLENGE_LIFETIME: Duration = Duration::from_secs(5 * 60);

/// What a browser is asked.
#[derive(Clone, Debug)]
pub struct Asked {
    /// Whom the passkey is for.
    pub party: RelyingParty,
    /// What it is to sign.
    pub challenge: [u8; CHALLENGE_BYTES],
    /// The account's passkeys of this host: those that may be shown, or those that are not to be made again.
    pub passkeys: Vec<Passkey>,
}

/// A passkey that somebody wants to keep.
#[derive(Clone, Debug)]
pub struct PasskeyForm {
    /// Their name for it.
    pub name: DisplayName,
    /// What their browser answered.
    pub created: Created,
    /// How it is reached.
    pub transports: Vec<Transport>,
}

/// Why a passkey was not asked for, not kept or not taken.
#[derive(Debug, thiserror::Error)]
pub enum PasskeyError {
    /// The account has no passkey for the name by which the server was asked.
    #[error("there is no passkey for this host")]
    NoneHere {
        /// The hosts for which it has some.
        hosts: Vec<String>,
    },
    /// No challenge waits (any more).
    #[error("no challenge waits for this answer")]
    NoChallenge,
    /// What was answered does not hold.
    #[error("this passkey is not taken: {0}")]
    Refused(Refusal),
    /// The caller has no such passkey.
    #[error("there is no such passkey")]
    NotThere,
    /// The credential is an account's already.
    #[error("this passkey is kept already")]
    Known,
    /// The account has as many as may be.
    #[error("there are {PASSKEYS_MAX} passkeys already")]
    TooMany,
    /// Too many wrong tries before this one.
    #[error(transparent)]
    TooManyTries(#[from] TooManyTries),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Auth {
    /// The caller's passkeys.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn passkeys(&self, caller: &Caller) -> Result<Vec<Passkey>, StoreError> {
        self.store.passkeys(caller.user.id.clone()).await
    }

    /// Asks the caller's browser for a new passkey.
    ///
    /// # Errors
    /// See [`PasskeyError`].
    pub async fn ask_for_new_passkey(&self, caller: &Caller, party: RelyingParty) -> Result<Asked, PasskeyError> {
        let passkeys = self.passkeys(caller).await?;
        if passkeys.len() >= PASSKEYS_MAX as usize {
            return Err(PasskeyError::TooMany);
        }
        self.ask(caller.session_id.as_str(), Purpose::Register, party, passkeys).await
    }

    /// Keeps the passkey that the browser made. With the account's first factor come its recovery codes, of which this is the only copy, and its
    /// other sessions end.
    ///
    /// # Errors
    /// See [`PasskeyError`].
    pub async fn add_passkey(
        &self,
        caller: &Caller,
        party: &RelyingParty,
        form: PasskeyForm,
        origin: &Origin,
    ) -> Result<(Passkey, Vec<RecoveryCode>), PasskeyError> {
        let challenge = self.take_challenge(caller.session_id.as_str(), Purpose::Register).await?;
        let made = passkey::register(party, &challenge, &form.created).map_err(PasskeyError::Refused)?;
        let new = Passkey {
            id: PasskeyId::new(&self.seams),
            user: caller.user.id.clone(),
            relying_party: party.id().to_owned(),
            credential_id: made.credential_id,
            key: made.key,
            sign_count: made.sign_count,
            backup_eligible: made.backup_eligible,
            backed_up: made.backed_up,
            transports: form.transports,
            name: form.name.as_str().to_owned(),
            created_at: self.seams.now(),
            last_used_at: None,
        };
        let codes = RecoveryCode::new_set(&self.seams);
        let hashes = codes.iter().map(RecoveryCode::hash).collect();
        let detail = serde_json::json!({"factor": "passkey", "passkey": new.id, "name": new.name, "host": new.relying_party});
        let entry = self.entry(caller, "factor.added", origin).detail(detail);
        match self.store.add_passkey(caller.session_id.clone(), new.clone(), hashes, entry).await? {
            Added::Done { first } => Ok((new, if first { codes } else { Vec::new() })),
            Added::Known => Err(PasskeyError::Known),
            Added::TooMany => Err(PasskeyError::TooMany),
        }
    }

    /// Gives one of the caller's passkeys another name.
    ///
    /// # Errors
    /// See [`PasskeyError`].
    pub async fn rename_passkey(&self, caller: &Caller, id: PasskeyId, name: &DisplayName, origin: &Origin) -> Result<(), PasskeyError> {
        let detail = serde_json::json!({"factor": "passkey", "passkey": id, "name": name.as_str()});
        let entry = self.entry(caller, "factor.renamed", origin).detail(detail);
        let renamed = self.store.rename_passkey(caller.user.id.clone(), id, name.as_str().to_owned(), entry).await?;
        if renamed { Ok(()) } else { Err(PasskeyError::NotThere) }
    }

    /// Takes one of the caller's passkeys away.
    ///
    /// # Errors
    /// See [`PasskeyError`].
    pub async fn remove_passkey(&self, caller: &Caller, id: PasskeyId, origin: &Origin) -> Result<(), PasskeyError> {
        let entry = self.entry(caller, "factor.removed", origin).detail(serde_json::json!({"factor": "passkey", "passkey": id}));
        let removed = self.store.remove_passkey(caller.user.id.clone(), id, entry).await?;
        if removed { Ok(()) } else { Err(PasskeyError::NotThere) }
    }

    /// Asks for one of the account's passkeys: those of this host.
    pub(super) async fn ask_for_passkey(&self, user: &UserId, holder: &str, purpose: Purpose, party: RelyingParty) -> Result<Asked, PasskeyError> {
        let all = self.store.passkeys(user.clone()).await?;
        if !all.iter().any(|passkey| passkey.relying_party == party.id()) {
            let mut hosts: Vec<String> = all.into_iter().map(|passkey| passkey.relying_party).collect();
            hosts.sort();
            hosts.dedup();
            return Err(PasskeyError::NoneHere { hosts });
        }
        self.ask(holder, purpose, party, all).await
    }

    async fn ask(&self, holder: &str, purpose: Purpose, party: RelyingParty, mut passkeys: Vec<Passkey>) -> Result<Asked, PasskeyError> {
        passkeys.retain(|passkey| passkey.relying_party == party.id());
        let (challenge, at) = (self.seams.random_bytes(), self.seams.now());
        let new = NewChallenge { holder: holder.to_owned(), purpose, challenge, at, expires_at: at.plus(CHALLENGE_LIFETIME) };
        self.store.keep_challenge(new).await?;
        Ok(Asked { party, challenge, passkeys })
    }

    async fn take_challenge(&self, holder: &str, purpose: Purpose) -> Result<[u8; CHALLENGE_BYTES], PasskeyError> {
        self.store.take_challenge(holder.to_owned(), purpose, self.seams.now()).await?.ok_or(PasskeyError::NoChallenge)
    }

    /// A passkey that was shown, as a proof. A counter that did not go on is recorded by itself: it is the one sign that somebody has a copy.
    pub(super) async fn passkey_proof(
        &self,
        user: &UserId,
        (holder, purpose): (&str, Purpose),
        party: &RelyingParty,
        shown: &Assertion,
        origin: &Origin,
    ) -> Result<Proof, PasskeyError> {
        let challenge = self.take_challenge(holder, purpose).await?;
        let kept = self.store.passkeys(user.clone()).await?.into_iter().find(|kept| kept.credential_id == shown.credential_id);
        let kept = kept.ok_or(PasskeyError::Refused(Refusal::OtherCredential))?;
        match passkey::prove(party, &challenge, &kept, shown) {
            Ok(used) => Ok(Proof::Passkey { id: kept.id, used }),
            Err(refusal) => {
                if refusal == Refusal::CountWentBack {
                    let entry = Entry::new(self.seams.now(), Actor::User(None), "factor.copy_suspected", kept.id.as_str()).from(origin.address);
                    let detail = serde_json::json!({"factor": "passkey", "user": user, "name": kept.name, "kept_count": kept.sign_count});
                    self.store.record_audit(entry.outcome(Outcome::Refused).detail(detail)).await?;
                }
                Err(PasskeyError::Refused(refusal))
            }
        }
    }
}
