//! The appliance's accounts, for system admins.

use super::Members;
use crate::model::audit::{Actor, Entry};
use crate::model::ids::UserId;
use crate::model::session::Origin;
use crate::model::user::{Caller, User, UserWithUse};
use crate::services::auth::accounts::{PasswordError, PasswordReset};
use crate::store::StoreError;
use crate::store::users::UserDisabled;

/// Why an account stayed as it was.
#[derive(Debug, thiserror::Error)]
pub enum UserChangeError {
    /// There is no such account.
    #[error("there is no such account")]
    NotThere,
    /// Nobody else could look after the appliance.
    #[error("this is the last system admin who can come in")]
    LastSystemAdmin,
    /// Every seat of the licence is taken.
    #[error("every seat of the licence is taken")]
    SeatsTaken,
    /// The link could not be made.
    #[error(transparent)]
    Link(#[from] PasswordError),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Members {
    /// Every account, by name.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn users(&self) -> Result<Vec<UserWithUse>, StoreError> {
        self.store.users().await
    }

    /// Keeps an account out, which ends its sessions at once, or lets it in again.
    ///
    /// # Errors
    /// See [`UserChangeError`].
    pub async fn set_disabled(&self, by: &Caller, user: UserId, disabled: bool, origin: &Origin) -> Result<User, UserChangeError> {
        let at = self.seams.now();
        let action = if disabled { "user.disabled" } else { "user.enabled" };
        let entry = Entry::new(at, Actor::User(Some(by.user.id.clone())), action, user.as_str()).from(origin.address);
        match self.store.set_user_disabled(user, disabled, self.seats().await?, at, entry).await? {
            UserDisabled::Done(user) => Ok(user),
            UserDisabled::NotThere => Err(UserChangeError::NotThere),
            UserDisabled::LastSystemAdmin => Err(UserChangeError::LastSystemAdmin),
            UserDisabled::SeatsTaken => Err(UserChangeError::SeatsTaken),
        }
    }

    /// Takes an account's second factors away: its owner lost their device and their recovery codes.
    ///
    /// # Errors
    /// See [`UserChangeError`].
    pub async fn remove_factors(&self, by: &Caller, user: UserId, origin: &Origin) -> Result<(), UserChangeError> {
        self.store.user(user.clone()).await?.ok_or(UserChangeError::NotThere)?;
        self.auth.remove_factors_of(by, user, origin).await?;
        Ok(())
    }

    /// Makes a link that replaces a forgotten password once; to be handed to the account's owner.
    ///
    /// # Errors
    /// See [`UserChangeError`].
    pub async fn issue_password_reset(&self, by: &Caller, user: &UserId, origin: &Origin) -> Result<PasswordReset, UserChangeError> {
        let by = Actor::User(Some(by.user.id.clone()));
        self.auth.issue_password_reset(by, user, origin).await?.ok_or(UserChangeError::NotThere)
    }
}
