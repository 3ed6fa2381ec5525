//! Second factors of one's own: an authenticator app, recovery codes; and showing again who holds a session.

use std::time::Duration;

use super::Auth;
use super::limits::{Beyond, CountedBy, Key, Rule, TooManyTries, Try};
use super::passkeys::{Asked, PasskeyError};
use super::password::HashError;
use crate::base::clock::Timestamp;
use crate::base::qr;
use crate::base::secret::{Secret, sha256};
use crate::base::vault::{Place, VaultError};
use crate::model::audit::{Actor, Entry, Outcome};
use crate::model::factor::{FactorMethod, RecoveryCode, TotpSecret};
use crate::model::ids::UserId;
use crate::model::passkey::{Assertion, Passkey, Purpose, Refusal, RelyingParty};
use crate::model::session::Origin;
use crate::model::user::Caller;
use crate::store::StoreError;
use crate::store::factors::Proof;

/// Wrong codes borne, whatever number of sign-ins they are spread over: 96 guesses a day at most, of a million codes of which three count.
pub(super) const RULES: &[Rule] = &[
    Rule { by: CountedBy::AccountAtAddress, failures: 10, forgiven_every: Duration::from_secs(60), beyond: Beyond::Wait },
    Rule {
        by: CountedBy::Account,
        failures: 10,
        forgiven_every: Duration::from_secs(900),
        beyond: Beyond::Delay { first: Duration::from_secs(2), longest: Duration::from_secs(900) },
    },
];
/// How long a secret waits for its first code.
const OFFER_LIFETIME: Duration = Duration::from_secs(60 * 60);

/// What somebody has of second factors.
#[derive(Clone, Debug)]
pub struct FactorStatus {
    /// Since when they have an authenticator app; `None` = they have none.
    pub totp_since: Option<Timestamp>,
    /// Recovery codes that can still be used.
    pub recovery_codes: u32,
    /// Their passkeys, the oldest first.
    pub passkeys: Vec<Passkey>,
    /// Whether everybody must have a factor.
    pub required: bool,
    /// Until when what asks for a fresh proof is open to this session.
    pub fresh_until: Timestamp,
}

/// A secret for an authenticator app, before it counts.
#[derive(Clone, Debug)]
pub struct TotpOffer {
    /// The secret as people type it.
    pub secret: Secret<String>,
    /// The secret as an app reads it.
    pub uri: Secret<String>,
    /// The same as a picture.
    pub qr_svg: Secret<String>,
}

/// How somebody shows again who they are.
pub enum Shown {
    /// By their password.
    Password(Secret<String>),
    /// By a code of their app, or a recovery code.
    Code(FactorMethod, Secret<String>),
}

/// Why a factor stayed as it was, or a proof was not taken.
#[derive(Debug, thiserror::Error)]
pub enum FactorError {
    /// The code is not right, or was used before.
    #[error("this code is not right")]
    WrongCode,
    /// The password is not right.
    #[error("this is not your password")]
    WrongPassword,
    /// No secret waits for a code (any more).
    #[error("no authenticator app waits to be confirmed")]
    NothingOffered,
    /// There is no authenticator app, or for recovery codes no factor at all.
    #[error("there is no such factor")]
    NoFactor,
    /// Too many wrong tries before this one.
    #[error(transparent)]
    TooManyTries(#[from] TooManyTries),
    /// No password could be checked.
    #[error(transparent)]
    Hash(#[from] HashError),
    /// A secret could not be sealed or opened.
    #[error(transparent)]
    Vault(#[from] VaultError),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// What may go wrong while a code is looked at.
#[derive(Debug, thiserror::Error)]
pub(super) enum WrongCode {
    #[error(transparent)]
    Vault(#[from] VaultError),
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl From<WrongCode> for FactorError {
    fn from(error: WrongCode) -> Self {
        match error {
            WrongCode::Vault(error) => error.into(),
            WrongCode::Store(error) => error.into(),
        }
    }
}

fn place<'a>(column: &'static str, user: &'a UserId) -> Place<'a> {
    Place { table: "totp_factors", column, row: user.as_str() }
}

impl Auth {
    /// What the caller has of second factors.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn factor_status(&self, caller: &Caller) -> Result<FactorStatus, StoreError> {
        let factors = self.store.factors(caller.user.id.clone()).await?;
        Ok(FactorStatus {
            totp_since: factors.totp_since,
            recovery_codes: factors.recovery_codes,
            passkeys: if factors.passkeys > 0 { self.passkeys(caller).await? } else { Vec::new() },
            required: self.settings.require_factor,
            fresh_until: caller.proven_at.plus(self.step_up_window()),
        })
    }

    /// Whether the caller has shown lately who they are.
    #[must_use]
    pub fn is_fresh(&self, caller: &Caller) -> bool {
        self.seams.now().since(caller.proven_at) < self.step_up_window()
    }

    fn step_up_window(&self) -> Duration {
        Duration::from_secs(u64::from(self.settings.step_up_minutes) * 60)
    }

    /// Offers a new secret. What is in use stays in use until the new one is confirmed.
    ///
    /// # Errors
    /// When it could not be kept.
    pub async fn offer_totp(&self, caller: &Caller) -> Result<TotpOffer, FactorError> {
        let secret = TotpSecret::new(&self.seams);
        let sealed = self.vault.seal(place("next_secret", &caller.user.id), secret.bytes())?;
        self.store.offer_totp(caller.user.id.clone(), sealed, self.seams.now()).await?;
        let uri = secret.uri(caller.user.email.as_str());
        // Only a text longer than any code holds has no picture; an address is bounded.
        let qr_svg = qr::Picture::of(&uri).map(|picture| picture.svg()).unwrap_or_default();
        Ok(TotpOffer { secret: Secret::new(secret.text()), uri: Secret::new(uri), qr_svg: Secret::new(qr_svg) })
    }

    /// Puts the offered secret into use by its first code. The answer holds the only copy of the recovery codes; other sessions end.
    ///
    /// # Errors
    /// See [`FactorError`].
    pub async fn confirm_totp(&self, caller: &Caller, code: &Secret<String>, origin: &Origin) -> Result<Vec<RecoveryCode>, FactorError> {
        let (at, user) = (self.seams.now(), &caller.user.id);
        let offered = self.store.factors(user.clone()).await?.totp_next.filter(|(_, made)| at.since(*made) < OFFER_LIFETIME);
        let (sealed, _) = offered.ok_or(FactorError::NothingOffered)?;
        let secret = self.vault.open(place("next_secret", user), &sealed)?;
        let kept = self.vault.seal(place("secret", user), secret.expose())?;
        let counted = self.factor_limits.admit(&self.keys(user, origin))?;
        let step = TotpSecret::from_bytes(secret).matching_step(code.expose(), at).ok_or(FactorError::WrongCode)?;
        counted.give_back();
        let codes = RecoveryCode::new_set(&self.seams);
        let hashes = codes.iter().map(RecoveryCode::hash).collect();
        let entry = self.entry(caller, "factor.added", origin).detail(serde_json::json!({"factor": "totp"}));
        let by = (user.clone(), caller.session_id.clone());
        let confirmed = self.store.confirm_totp(by, (sealed, kept, step), hashes, at, entry).await?;
        if confirmed { Ok(codes) } else { Err(FactorError::NothingOffered) }
    }

    /// Takes the caller's authenticator app away, and with the last factor the recovery codes.
    ///
    /// # Errors
    /// See [`FactorError`].
    pub async fn remove_totp(&self, caller: &Caller, origin: &Origin) -> Result<(), FactorError> {
        let entry = self.entry(caller, "factor.removed", origin).detail(serde_json::json!({"factor": "totp"}));
        let removed = self.store.remove_totp(caller.user.id.clone(), entry).await?;
        if removed { Ok(()) } else { Err(FactorError::NoFactor) }
    }

    /// Takes another's factors away, for a system admin: their device and their codes are lost. One who has none keeps none.
    ///
    /// # Errors
    /// When it could not be kept.
    pub async fn remove_factors_of(&self, by: &Caller, user: UserId, origin: &Origin) -> Result<(), StoreError> {
        let entry = Entry::new(self.seams.now(), Actor::User(Some(by.user.id.clone())), "factor.removed", user.as_str());
        self.store.remove_factors(user, entry.from(origin.address)).await.map(|_| ())
    }

    /// Replaces the caller's recovery codes. The answer holds the only copy.
    ///
    /// # Errors
    /// See [`FactorError`].
    pub async fn new_recovery_codes(&self, caller: &Caller, origin: &Origin) -> Result<Vec<RecoveryCode>, FactorError> {
        let codes = RecoveryCode::new_set(&self.seams);
        let hashes = codes.iter().map(RecoveryCode::hash).collect();
        let entry = self.entry(caller, "factor.recovery_codes_made", origin);
        let replaced = self.store.replace_recovery_codes(caller.user.id.clone(), hashes, self.seams.now(), entry).await?;
        if replaced { Ok(codes) } else { Err(FactorError::NoFactor) }
    }

    /// Notes that whoever holds the session has shown again who they are; returns until when that counts.
    ///
    /// # Errors
    /// See [`FactorError`].
    pub async fn step_up(&self, caller: &Caller, shown: Shown, origin: &Origin) -> Result<Timestamp, FactorError> {
        let user = &caller.user.id;
        let (counted, proof, factor) = match shown {
            Shown::Password(password) => {
                // Guesses count as they do at signing in.
                let account = sha256(caller.user.email.as_str().as_bytes());
                let counted = self.login_limits.admit(&[Key::AccountAtAddress(account, origin.address)])?;
                let stored = self.store.password_hash(user.clone()).await?;
                match self.hasher.verify(&password, stored.as_deref()).await {
                    Ok(right) => (counted, right.then_some(Proof::Password), "password"),
                    Err(error) => {
                        counted.give_back();
                        return Err(error.into());
                    }
                }
            }
            Shown::Code(method, code) => {
                let counted = self.factor_limits.admit(&self.keys(user, origin))?;
                (counted, self.proof(user, method, &code).await?, method.as_str())
            }
        };
        let proven = self.note_proof(caller, (factor, proof), counted, origin).await?;
        proven.ok_or(if factor == "password" { FactorError::WrongPassword } else { FactorError::WrongCode })
    }

    /// Asks the caller for one of their passkeys, to show again who they are.
    ///
    /// # Errors
    /// See [`PasskeyError`].
    pub async fn ask_for_passkey_again(&self, caller: &Caller, party: RelyingParty) -> Result<Asked, PasskeyError> {
        self.ask_for_passkey(&caller.user.id, caller.session_id.as_str(), Purpose::StepUp, party).await
    }

    /// The same as [`Auth::step_up`] by a passkey: it checks its owner, so that it says as much as a password.
    ///
    /// # Errors
    /// See [`PasskeyError`].
    pub async fn step_up_by_passkey(
        &self,
        caller: &Caller,
        party: &RelyingParty,
        shown: &Assertion,
        origin: &Origin,
    ) -> Result<Timestamp, PasskeyError> {
        let counted = self.factor_limits.admit(&self.keys(&caller.user.id, origin))?;
        match self.passkey_proof(&caller.user.id, (caller.session_id.as_str(), Purpose::StepUp), party, shown, origin).await {
            Ok(proof) => {
                let proven = self.note_proof(caller, ("passkey", Some(proof)), counted, origin).await?;
                // It was looked at and held: another use came between.
                proven.ok_or(PasskeyError::Refused(Refusal::CountWentBack))
            }
            Err(PasskeyError::Refused(refusal)) => {
                self.note_proof(caller, ("passkey", None), counted, origin).await?;
                Err(PasskeyError::Refused(refusal))
            }
            Err(error) => {
                counted.give_back();
                Err(error)
            }
        }
    }

    /// Notes a proof and until when it counts; `None` when it was none, which is recorded.
    async fn note_proof(
        &self,
        caller: &Caller,
        (factor, proof): (&'static str, Option<Proof>),
        counted: Try<'_>,
        origin: &Origin,
    ) -> Result<Option<Timestamp>, StoreError> {
        let at = self.seams.now();
        let entry = self.entry(caller, "auth.step_up", origin).detail(serde_json::json!({"factor": factor}));
        let proven = match proof {
            Some(proof) => self.store.prove_session((caller.user.id.clone(), caller.session_id.clone()), proof, at, entry.clone()).await?,
            None => false,
        };
        if !proven {
            self.store.record_audit(entry.outcome(Outcome::Refused)).await?;
            return Ok(None);
        }
        counted.give_back();
        Ok(Some(at.plus(self.step_up_window())))
    }

    /// A code as a proof; `None` when it is none.
    pub(super) async fn proof(&self, user: &UserId, method: FactorMethod, code: &Secret<String>) -> Result<Option<Proof>, WrongCode> {
        match method {
            FactorMethod::Totp => {
                let Some(sealed) = self.store.factors(user.clone()).await?.totp_secret else { return Ok(None) };
                let secret = TotpSecret::from_bytes(self.vault.open(place("secret", user), &sealed)?);
                Ok(secret.matching_step(code.expose(), self.seams.now()).map(Proof::TotpStep))
            }
            FactorMethod::RecoveryCode => Ok(code.expose().parse::<RecoveryCode>().ok().map(|code| Proof::RecoveryCode(code.hash()))),
            FactorMethod::Email | FactorMethod::Passkey => Ok(None),
        }
    }

    pub(super) fn keys(&self, user: &UserId, origin: &Origin) -> [Key; 2] {
        let account = sha256(user.as_str().as_bytes());
        [Key::AccountAtAddress(account, origin.address), Key::Account(account)]
    }

    pub(super) fn entry(&self, caller: &Caller, action: &'static str, origin: &Origin) -> Entry {
        Entry::new(self.seams.now(), Actor::User(Some(caller.user.id.clone())), action, caller.user.id.as_str()).from(origin.address)
    }
}
