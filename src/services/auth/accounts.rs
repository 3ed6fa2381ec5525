//! What people do with their own account: another password, a look at their sessions, an end to them; and the link that replaces a
//! forgotten password, which works without mail: a system admin or the operator hands it over.

use std::time::Duration;

use super::limits::{Key, TooManyTries};
use super::{Auth, HashError};
use crate::base::clock::Timestamp;
use crate::base::seams::Seams;
use crate::base::secret::{Secret, new_token, sha256};
use crate::base::vault::VaultError;
use crate::model::audit::{Actor, Entry, Outcome};
use crate::model::ids::{PasswordResetId, SessionId, UserId};
use crate::model::password::{NewPassword, PasswordRefusal};
use crate::model::session::{OpenSession, Origin};
use crate::model::user::{Caller, Email, InvalidEmail, User};
use crate::store::password_resets::{NewPasswordReset, RecoveryLink};
use crate::store::sessions::WhichSessions;
use crate::store::{Store, StoreError};

/// How long a link that replaces a password works.
const RESET_LIFETIME: Duration = Duration::from_secs(24 * 60 * 60);

/// Why a password was not replaced.
#[derive(Debug, thiserror::Error)]
pub enum PasswordError {
    /// The present password is another.
    #[error("this is not your present password")]
    WrongPassword,
    /// The link is used, too old, replaced by a newer one, or was never made.
    #[error("this link does not work any more")]
    LinkEnded,
    /// Too many wrong tries before this one.
    #[error(transparent)]
    TooManyTries(#[from] TooManyTries),
    /// The new one does not keep the rules.
    #[error(transparent)]
    Refused(#[from] PasswordRefusal),
    /// No password could be hashed or checked.
    #[error(transparent)]
    Hash(#[from] HashError),
    /// A mail's text could not be sealed.
    #[error(transparent)]
    Vault(#[from] VaultError),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Why an address was not changed.
#[derive(Debug, thiserror::Error)]
pub enum EmailError {
    /// Not a mail address.
    #[error(transparent)]
    Email(#[from] InvalidEmail),
    /// Another account has it.
    #[error("this mail address has an account already")]
    Taken,
    /// The present password was not given, or could not be checked.
    #[error(transparent)]
    Password(#[from] PasswordError),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// A link that replaces a password: the one moment at which its token is known here.
#[derive(Clone, Debug)]
pub struct PasswordReset {
    /// What to present.
    pub token: Secret<String>,
    /// Until when it works.
    pub expires_at: Timestamp,
    /// Whether it is on its way to its owner by mail.
    pub mailed: bool,
}

/// Restores a system admin by a link that replaces their password; for the operator on the server itself. `None`: there is no account of this
/// address.
///
/// # Errors
/// When it could not be kept.
pub async fn recover_admin(store: &Store, seams: &Seams, email: Email) -> Result<Option<PasswordReset>, StoreError> {
    let (token, at) = (new_token(seams), seams.now());
    let expires_at = at.plus(RESET_LIFETIME);
    let link = RecoveryLink { id: PasswordResetId::new(seams), token_hash: sha256(token.expose().as_bytes()), expires_at };
    Ok(store.recover_admin(email, link, at).await?.map(|_| PasswordReset { token, expires_at, mailed: false }))
}

impl Auth {
    /// Replaces the caller's password, who has to know the present one. Their other sessions end.
    ///
    /// # Errors
    /// See [`PasswordError`].
    pub async fn change_password(
        &self,
        caller: &Caller,
        present: &Secret<String>,
        new: Secret<String>,
        origin: &Origin,
    ) -> Result<(), PasswordError> {
        let entry = Entry::new(self.seams.now(), Actor::User(Some(caller.user.id.clone())), "password.changed", caller.user.id.as_str());
        let entry = entry.from(origin.address);
        self.prove(caller, present, origin, &entry).await?;
        let new = NewPassword::check(new, &caller.user.email, &caller.user.name)?;
        let hash = self.hasher.hash(&new).await?;
        Ok(self.store.set_password(caller.user.id.clone(), hash, caller.session_id.clone(), self.seams.now(), entry).await?)
    }

    /// Gives the caller's account another address, for whoever knows the present password. Their other sessions end.
    ///
    /// # Errors
    /// See [`EmailError`].
    pub async fn change_email(&self, caller: &Caller, present: &Secret<String>, email: &str, origin: &Origin) -> Result<Email, EmailError> {
        let email: Email = email.parse()?;
        let entry = Entry::new(self.seams.now(), Actor::User(Some(caller.user.id.clone())), "email.changed", caller.user.id.as_str());
        let entry = entry.from(origin.address);
        self.prove(caller, present, origin, &entry).await?;
        let kept = self.store.set_email(caller.user.id.clone(), email.clone(), caller.session_id.clone(), entry).await?;
        if kept { Ok(email) } else { Err(EmailError::Taken) }
    }

    /// Goes on only when the caller knows their present password; a wrong one is recorded as the refusal of `what`.
    async fn prove(&self, caller: &Caller, present: &Secret<String>, origin: &Origin, what: &Entry) -> Result<(), PasswordError> {
        let stored = self.store.password_hash(caller.user.id.clone()).await?;
        // Whoever holds a session only may not find out the password with it: guesses count as they do at signing in.
        let account = sha256(caller.user.email.as_str().as_bytes());
        let counted = self.login_limits.admit(&[Key::AccountAtAddress(account, origin.address)])?;
        match self.hasher.verify(present, stored.as_deref()).await {
            Ok(true) => {
                counted.give_back();
                Ok(())
            }
            Ok(false) => {
                self.store.record_audit(what.clone().outcome(Outcome::Refused)).await?;
                Err(PasswordError::WrongPassword)
            }
            Err(error) => {
                counted.give_back();
                Err(error.into())
            }
        }
    }

    /// Makes a link that replaces an account's password once, and mails it to its owner where mail is sent. `None`: there is no such account.
    ///
    /// # Errors
    /// When it could not be kept.
    pub async fn issue_password_reset(&self, by: Actor, user: &UserId, origin: &Origin) -> Result<Option<PasswordReset>, PasswordError> {
        let Some(owner) = self.store.user(user.clone()).await? else { return Ok(None) };
        let (token, at) = (new_token(&self.seams), self.seams.now());
        let expires_at = at.plus(RESET_LIFETIME);
        let id = PasswordResetId::new(&self.seams);
        let entry = Entry::new(at, by.clone(), "password.reset_issued", user.as_str()).from(origin.address);
        let entry = entry.detail(serde_json::json!({"password_reset_id": id, "expires_at": expires_at}));
        let new = NewPasswordReset { id, user: user.clone(), token_hash: sha256(token.expose().as_bytes()), by, at, expires_at };
        let mail = self.outbox.password_reset(&owner.email, &token, expires_at)?;
        let mailed = mail.is_some() && self.outbox.reaches_people();
        let kept = self.store.issue_password_reset(new, mail, entry).await?;
        self.outbox.posted();
        Ok(kept.then_some(PasswordReset { token, expires_at, mailed }))
    }

    /// Replaces the password that a link is for and ends every session of the account. The link is looked at before a password is hashed:
    /// whoever has none costs one indexed read.
    ///
    /// # Errors
    /// See [`PasswordError`].
    pub async fn reset_password(&self, token: &Secret<String>, new: Secret<String>, origin: Origin) -> Result<User, PasswordError> {
        let token_hash = sha256(token.expose().trim().as_bytes());
        let user = self.store.password_reset_user(token_hash, self.seams.now()).await?.ok_or(PasswordError::LinkEnded)?;
        let new = NewPassword::check(new, &user.email, &user.name)?;
        let hash = self.hasher.hash(&new).await?;
        self.store.reset_password(token_hash, hash, self.seams.now(), origin).await?.ok_or(PasswordError::LinkEnded)
    }

    /// The caller's sessions that can still be used, the one used last first.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn sessions_of(&self, caller: &Caller) -> Result<Vec<OpenSession>, StoreError> {
        let now = self.seams.now();
        let open = self.store.open_sessions(caller.user.id.clone(), now).await?;
        Ok(open.into_iter().filter(|open| self.is_open(&open.session, now)).collect())
    }

    /// Ends one of the caller's sessions. `false`: it is not theirs, or not open.
    ///
    /// # Errors
    /// When it could not be kept.
    pub async fn end_session(&self, caller: &Caller, session: SessionId, origin: &Origin) -> Result<bool, StoreError> {
        self.end(caller, WhichSessions::One(session), origin).await.map(|ended| ended > 0)
    }

    /// Ends all of the caller's sessions but the one that asks, and returns how many.
    ///
    /// # Errors
    /// When it could not be kept.
    pub async fn end_other_sessions(&self, caller: &Caller, origin: &Origin) -> Result<usize, StoreError> {
        self.end(caller, WhichSessions::AllBut(caller.session_id.clone()), origin).await
    }

    /// Ends all of the caller's sessions, the one that asks too, and returns how many.
    ///
    /// # Errors
    /// When it could not be kept.
    pub async fn end_all_sessions(&self, caller: &Caller, origin: &Origin) -> Result<usize, StoreError> {
        self.end(caller, WhichSessions::All, origin).await
    }

    async fn end(&self, caller: &Caller, which: WhichSessions, origin: &Origin) -> Result<usize, StoreError> {
        let now = self.seams.now();
        let object = match &which {
            WhichSessions::One(id) => id.as_str().to_owned(),
            WhichSessions::AllBut(_) => "all other sessions".to_owned(),
            WhichSessions::All => "all sessions".to_owned(),
        };
        let entry = Entry::new(now, Actor::User(Some(caller.user.id.clone())), "auth.sessions_ended", object).from(origin.address);
        self.store.end_sessions(caller.user.id.clone(), which, now, entry).await
    }
}
