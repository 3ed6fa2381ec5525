//! The first start: redeeming the bootstrap token makes the first system admin. Afterwards there is no setup any more.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use crate::base::seams::Seams;
use crate::base::secret::Secret;
use crate::model::bootstrap::{BootstrapStatus, Presented, TokenState, TokenText};
use crate::model::session::{Origin, SignedIn};
use crate::services::auth::bootstrap::Bootstrap;
use crate::services::auth::limits::{Beyond, CountedBy, Key, Limits, Rule, TooManyTries};
use crate::services::auth::password::HashError;
use crate::services::auth::{AccountForm, Auth, InvalidAccount};
use crate::store::{Store, StoreError};

/// Wrong bootstrap tokens borne. The tenth burns the token; these go on where that ends, so that a reissued token is not burnt at once
/// and someone who asks again and again costs nothing.
const LIMITS: &[Rule] = &[
    Rule { by: CountedBy::Address, failures: 15, forgiven_every: Duration::from_secs(30), beyond: Beyond::Wait },
    Rule { by: CountedBy::Everybody, failures: 30, forgiven_every: Duration::from_secs(10), beyond: Beyond::Wait },
];

/// Lets the first admin in. Cheap to clone.
#[derive(Clone)]
pub struct Setup {
    store: Store,
    seams: Seams,
    auth: Auth,
    bootstrap: Bootstrap,
    limits: Arc<Limits>,
    // Once done, for ever: saves the look into the store, never decides that setup is open.
    done: Arc<AtomicBool>,
}

/// How far setup is, while it is open.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SetupState {
    /// What the newest token is good for; `None` when none was ever made.
    pub token: Option<TokenState>,
    /// Which installation this is: activation codes may be bound to it.
    pub install_id: String,
}

/// What someone typed to become the first admin.
#[derive(Clone, Debug)]
pub struct Redemption {
    /// The bootstrap token.
    pub token: Secret<String>,
    /// How they will sign in.
    pub email: String,
    /// How they will be shown.
    pub name: String,
    /// Their password.
    pub password: Secret<String>,
}

/// Why there is no admin from this request.
#[derive(Debug, thiserror::Error)]
pub enum RedeemError {
    /// There is one already: setup does not exist any more.
    #[error("setup is over")]
    Done,
    /// Not the token; counted.
    #[error("this is not the bootstrap token; {attempts_left} more wrong tries burn it")]
    WrongToken {
        /// Wrong tries until the token is burnt.
        attempts_left: u32,
    },
    /// The token's 24 hours are over, or a newer one replaced it.
    #[error("this bootstrap token has expired or was replaced by a newer one")]
    Expired,
    /// Too many wrong tries.
    #[error("the bootstrap token was burnt by too many wrong tries")]
    Burnt,
    /// Too many wrong tries before this one.
    #[error(transparent)]
    TooManyTries(#[from] TooManyTries),
    /// The token is right, the account is not.
    #[error(transparent)]
    Account(#[from] InvalidAccount),
    /// The password could not be hashed.
    #[error(transparent)]
    Hash(#[from] HashError),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Setup {
    /// Builds the feature.
    #[must_use]
    pub fn new(store: Store, seams: Seams, auth: Auth, bootstrap: Bootstrap) -> Self {
        let limits = Arc::new(Limits::new(Arc::clone(&seams.clock), LIMITS));
        Self { store, seams, auth, bootstrap, limits, done: Arc::default() }
    }

    /// Whether there is a system admin. Once true, true for ever.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn is_over(&self) -> Result<bool, StoreError> {
        Ok(matches!(self.status().await?, BootstrapStatus::Done))
    }

    /// How far setup is; `None` once it is over.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn state(&self) -> Result<Option<SetupState>, StoreError> {
        let BootstrapStatus::Open(newest) = self.status().await? else { return Ok(None) };
        let install_id = self.store.installation().await?.map(|installation| installation.install_id).unwrap_or_default();
        let now = self.seams.now();
        Ok(Some(SetupState { token: newest.map(|token| token.state(now)), install_id }))
    }

    /// Looks whether a token could be redeemed now, as redeeming does before anything else: a wrong one is counted like any other, a right one
    /// stays as it is.
    ///
    /// # Errors
    /// See [`RedeemError`].
    pub async fn check(&self, token: &Secret<String>, origin: &Origin) -> Result<(), RedeemError> {
        self.look(TokenText::read(token), origin).await
    }

    /// Redeems the bootstrap token: the first system admin, signed in. Of any number of redemptions at once, one succeeds.
    ///
    /// # Errors
    /// See [`RedeemError`].
    pub async fn redeem(&self, request: Redemption, origin: Origin) -> Result<SignedIn, RedeemError> {
        let text = TokenText::read(&request.token);
        // A look first: whoever does not have the token makes us neither hash a password nor say what is wrong with an address.
        self.look(text.clone(), &origin).await?;
        let form = AccountForm::check(&request.email, &request.name, request.password)?;
        let admin = self.auth.new_user(&form).await?;
        let (session, token) = self.auth.new_session(origin.clone());
        let (session_id, expires_at) = (session.id.clone(), session.expires_at);
        let redeemed = self.store.redeem_bootstrap_token(text, admin, session).await?;
        let user = self.accepted(redeemed)?;
        self.done.store(true, Ordering::Relaxed);
        self.bootstrap.remove_file();
        tracing::info!(user_id = %user.id, "the bootstrap token was redeemed; setup is over");
        Ok(SignedIn { user, session_id, token, expires_at })
    }

    async fn look(&self, text: TokenText, origin: &Origin) -> Result<(), RedeemError> {
        if self.done.load(Ordering::Relaxed) {
            return Err(RedeemError::Done);
        }
        let counted = self.limits.admit(&[Key::Address(origin.address), Key::Everybody])?;
        let looked = self.store.present_bootstrap_token(text, origin.clone(), self.seams.now()).await?;
        self.accepted(looked)?;
        counted.give_back();
        Ok(())
    }

    async fn status(&self) -> Result<BootstrapStatus, StoreError> {
        if self.done.load(Ordering::Relaxed) {
            return Ok(BootstrapStatus::Done);
        }
        let status = self.store.bootstrap_status().await?;
        if status == BootstrapStatus::Done {
            self.done.store(true, Ordering::Relaxed);
        }
        Ok(status)
    }

    fn accepted<T>(&self, presented: Presented<T>) -> Result<T, RedeemError> {
        match presented {
            Presented::Accepted(value) => Ok(value),
            Presented::Done => {
                self.done.store(true, Ordering::Relaxed);
                Err(RedeemError::Done)
            }
            Presented::Wrong { attempts_left } => Err(RedeemError::WrongToken { attempts_left }),
            Presented::Expired => Err(RedeemError::Expired),
            Presented::Burnt => {
                self.bootstrap.remove_file();
                Err(RedeemError::Burnt)
            }
        }
    }
}

#[cfg(test)]
mod tests;
