//! The second step of signing in: the password was right, and a second factor is to come. Until then there is no session, only a sign-in that
//! waits for ten minutes and bears five wrong codes.

use std::time::Duration;

use super::factors::WrongCode;
use super::limits::{TooManyTries, Try};
use super::passkeys::{Asked, PasskeyError};
use super::{Auth, LoginError};
use crate::base::clock::Timestamp;
use crate::base::secret::{Secret, new_token, sha256};
use crate::base::vault::VaultError;
use crate::model::audit::{Actor, Entry, Outcome};
use crate::model::factor::{FactorMethod, new_mail_code};
use crate::model::ids::PendingSignInId;
use crate::model::mail::MailKind;
use crate::model::passkey::{Assertion, Purpose, Refusal, RelyingParty};
use crate::model::session::{Origin, SignedIn};
use crate::model::user::User;
use crate::store::StoreError;
use crate::store::factors::{Factors, Proof};
use crate::store::pending_sign_ins::{Finished, MailedCode, NewPendingSignIn, PendingSignIn};

/// How long a sign-in waits for its factor.
const LIFETIME: Duration = Duration::from_secs(10 * 60);
/// Codes mailed to one account within [`MAILS_WITHIN`]: whoever knows a password cannot fill a mailbox.
const MAILS_MAX: u32 = 10;
const MAILS_WITHIN: Duration = Duration::from_secs(60 * 60);

/// What a right password leads to.
#[derive(Clone, Debug)]
pub enum Login {
    /// They are in.
    In(SignedIn),
    /// They are asked for a second factor.
    SecondStep(Waiting),
}

/// A sign-in that waits: the one moment at which its token is known here.
#[derive(Clone, Debug)]
pub struct Waiting {
    /// What to present with the factor.
    pub token: Secret<String>,
    /// How the factor can be shown.
    pub methods: Vec<FactorMethod>,
    /// Until when.
    pub expires_at: Timestamp,
}

/// Why a second step did not lead in.
#[derive(Debug, thiserror::Error)]
pub enum SecondStepError {
    /// The sign-in was used, is too old, or had too many wrong codes.
    #[error("this sign-in is over")]
    Ended,
    /// The code is not right.
    #[error("this code is not right")]
    Wrong {
        /// Wrong codes until the sign-in is over.
        attempts_left: u32,
    },
    /// The passkey does not hold.
    #[error("this passkey is not taken: {refusal}")]
    PasskeyRefused {
        /// Why.
        refusal: Refusal,
        /// Wrong answers until the sign-in is over.
        attempts_left: u32,
    },
    /// No passkey could be asked for or looked at.
    #[error(transparent)]
    Passkey(PasskeyError),
    /// As many codes were mailed for this sign-in as may be, or none is mailed for it.
    #[error("no other code is mailed for this sign-in")]
    NoMoreMail,
    /// Too many wrong tries before this one.
    #[error(transparent)]
    TooManyTries(#[from] TooManyTries),
    /// A secret could not be sealed or opened.
    #[error(transparent)]
    Vault(#[from] VaultError),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Auth {
    /// What comes after a right password: first the address, then the factor, then the session.
    pub(super) async fn after_password(&self, user: User, origin: Origin) -> Result<Login, LoginError> {
        if self.settings.verify_addresses && !self.store.is_address_verified(user.id.clone()).await? {
            self.mail_verification(&user).await?;
            return Err(LoginError::EmailNotVerified);
        }
        let factors = self.store.factors(user.id.clone()).await?;
        let methods = self.methods(&factors);
        if methods.is_empty() {
            return self.admit(user, origin).await.map(Login::In);
        }
        self.begin_second_step(&user, methods).await.map(Login::SecondStep)
    }

    pub(super) fn methods(&self, factors: &Factors) -> Vec<FactorMethod> {
        let passkey = (factors.passkeys > 0).then_some(FactorMethod::Passkey);
        let app = factors.totp_secret.as_ref().map(|_| FactorMethod::Totp);
        if passkey.is_none() && app.is_none() {
            return if self.settings.mail_codes { vec![FactorMethod::Email] } else { Vec::new() };
        }
        // A passkey counts wherever it was made: opening the server by another name must not do without it.
        let code = (factors.recovery_codes > 0).then_some(FactorMethod::RecoveryCode);
        [passkey, app, code].into_iter().flatten().collect()
    }

    pub(super) async fn begin_second_step(&self, user: &User, methods: Vec<FactorMethod>) -> Result<Waiting, LoginError> {
        let (token, at) = (new_token(&self.seams), self.seams.now());
        let expires_at = at.plus(LIFETIME);
        let code = if methods.contains(&FactorMethod::Email) {
            self.may_mail_code(user).await?;
            Some(self.mailed_code(user, &token, expires_at)?)
        } else {
            None
        };
        let id = PendingSignInId::new(&self.seams);
        let token_hash = sha256(token.expose().as_bytes());
        self.store.begin_sign_in(NewPendingSignIn { id, user: user.id.clone(), token_hash, at, expires_at }, code).await?;
        self.outbox.posted();
        Ok(Waiting { token, methods, expires_at })
    }

    /// Mails another code for a sign-in that waits for one; the earlier one does not count any more.
    ///
    /// # Errors
    /// See [`SecondStepError`].
    pub async fn mail_another_code(&self, token: &Secret<String>) -> Result<(), SecondStepError> {
        let pending = self.pending(token).await?;
        if !pending.mailed {
            return Err(SecondStepError::NoMoreMail);
        }
        self.may_mail_code(&pending.user).await.map_err(|error| match error {
            LoginError::TooManyTries(error) => SecondStepError::TooManyTries(error),
            LoginError::Store(error) => error.into(),
            _ => SecondStepError::NoMoreMail,
        })?;
        let code = self.mailed_code(&pending.user, token, pending.expires_at)?;
        if !self.store.mail_another_code(pending.id, code).await? {
            return Err(SecondStepError::NoMoreMail);
        }
        self.outbox.posted();
        Ok(())
    }

    /// Opens the session of a sign-in whose factor is shown.
    ///
    /// # Errors
    /// See [`SecondStepError`].
    pub async fn second_step(
        &self,
        token: &Secret<String>,
        method: FactorMethod,
        code: &Secret<String>,
        origin: Origin,
    ) -> Result<SignedIn, SecondStepError> {
        let pending = self.pending(token).await?;
        let counted = self.factor_limits.admit(&self.keys(&pending.user.id, &origin))?;
        let proof = match method {
            FactorMethod::Email => pending.mailed.then(|| Proof::MailCode(code_hash(code, token))),
            other => self.proof(&pending.user.id, other, code).await?,
        };
        self.finish(token, pending, (method, proof), counted, origin).await
    }

    /// Asks for a passkey at a sign-in that waits.
    ///
    /// # Errors
    /// See [`SecondStepError`].
    pub async fn ask_for_passkey_at_sign_in(&self, token: &Secret<String>, party: RelyingParty) -> Result<Asked, SecondStepError> {
        let pending = self.pending(token).await?;
        Ok(self.ask_for_passkey(&pending.user.id, pending.id.as_str(), Purpose::SignIn, party).await?)
    }

    /// Opens the session of a sign-in whose passkey is shown.
    ///
    /// # Errors
    /// See [`SecondStepError`].
    pub async fn second_step_by_passkey(
        &self,
        token: &Secret<String>,
        party: &RelyingParty,
        shown: &Assertion,
        origin: Origin,
    ) -> Result<SignedIn, SecondStepError> {
        let pending = self.pending(token).await?;
        let counted = self.factor_limits.admit(&self.keys(&pending.user.id, &origin))?;
        match self.passkey_proof(&pending.user.id, (pending.id.as_str(), Purpose::SignIn), party, shown, &origin).await {
            Ok(proof) => self.finish(token, pending, (FactorMethod::Passkey, Some(proof)), counted, origin).await,
            Err(PasskeyError::Refused(refusal)) => {
                let detail = serde_json::json!({"factor": "passkey", "reason": refusal.as_str()});
                let entry = self.refused_code(&pending.user, FactorMethod::Passkey, &origin).detail(detail);
                let attempts_left = self.store.count_wrong_code(pending.id, entry).await?;
                Err(SecondStepError::PasskeyRefused { refusal, attempts_left })
            }
            Err(error) => {
                counted.give_back();
                Err(error.into())
            }
        }
    }

    /// Opens the session if the proof holds; counts it as wrong else.
    async fn finish(
        &self,
        token: &Secret<String>,
        pending: PendingSignIn,
        (method, proof): (FactorMethod, Option<Proof>),
        counted: Try<'_>,
        origin: Origin,
    ) -> Result<SignedIn, SecondStepError> {
        let (session, session_token) = self.new_session(origin.clone());
        let (session_id, expires_at) = (session.id.clone(), session.expires_at);
        let finished = match proof {
            Some(proof) => {
                let entry = Entry::new(session.at, Actor::User(Some(pending.user.id.clone())), "auth.login", session.id.as_str());
                let entry = entry.from(origin.address).detail(serde_json::json!({"factor": method.as_str()}));
                self.store.finish_sign_in(sha256(token.expose().as_bytes()), proof, session, entry).await?
            }
            None => Finished::Wrong,
        };
        match finished {
            Finished::Done(user) => {
                counted.give_back();
                Ok(SignedIn { user, session_id, token: session_token, expires_at })
            }
            Finished::Ended => {
                counted.give_back();
                Err(SecondStepError::Ended)
            }
            Finished::Wrong => {
                let attempts_left = self.store.count_wrong_code(pending.id, self.refused_code(&pending.user, method, &origin)).await?;
                Err(match method {
                    // It was looked at and held: another use came between.
                    FactorMethod::Passkey => SecondStepError::PasskeyRefused { refusal: Refusal::CountWentBack, attempts_left },
                    _ => SecondStepError::Wrong { attempts_left },
                })
            }
        }
    }

    async fn pending(&self, token: &Secret<String>) -> Result<PendingSignIn, SecondStepError> {
        let hash = sha256(token.expose().as_bytes());
        self.store.pending_sign_in(hash, self.seams.now()).await?.ok_or(SecondStepError::Ended)
    }

    pub(super) fn refused_code(&self, user: &User, method: FactorMethod, origin: &Origin) -> Entry {
        let entry = Entry::new(self.seams.now(), Actor::User(None), "auth.second_factor", user.id.as_str()).from(origin.address);
        entry.outcome(Outcome::Refused).detail(serde_json::json!({"factor": method.as_str()}))
    }

    async fn may_mail_code(&self, user: &User) -> Result<(), LoginError> {
        let since = self.seams.now().minus(MAILS_WITHIN);
        if self.store.mail_count(user.email.clone(), MailKind::SignInCode, since).await? >= MAILS_MAX {
            return Err(TooManyTries { retry_after: MAILS_WITHIN / MAILS_MAX }.into());
        }
        Ok(())
    }

    fn mailed_code(&self, user: &User, token: &Secret<String>, expires_at: Timestamp) -> Result<MailedCode, VaultError> {
        let code = new_mail_code(&self.seams);
        let mail = self.outbox.sign_in_code(&user.email, &code, expires_at)?;
        Ok(MailedCode { hash: code_hash(&code, token), mail })
    }
}

/// What is kept of a mailed code. The token is not kept, so a reader of the database cannot try all codes.
fn code_hash(code: &Secret<String>, token: &Secret<String>) -> [u8; 32] {
    let digits: String = code.expose().chars().filter(|c| !c.is_whitespace()).collect();
    let both = Secret::new(format!("{digits}:{}", token.expose()));
    sha256(both.expose().as_bytes())
}

impl From<PasskeyError> for SecondStepError {
    fn from(error: PasskeyError) -> Self {
        match error {
            PasskeyError::TooManyTries(error) => error.into(),
            PasskeyError::Store(error) => error.into(),
            other => Self::Passkey(other),
        }
    }
}

impl From<WrongCode> for SecondStepError {
    fn from(error: WrongCode) -> Self {
        match error {
            WrongCode::Vault(error) => error.into(),
            WrongCode::Store(error) => error.into(),
        }
    }
}
