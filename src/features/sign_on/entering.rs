//! Somebody whom another service knows comes in, or is told why not.

use super::{SignOn, SignOnError};
use crate::model::session::Origin;
use crate::model::sso::SsoIdentity;
use crate::model::user::{DisplayName, Email};
use crate::services::auth::second_step::Login;
use crate::services::auth::{LoginError, Vouched};
use crate::store::sso_entries::{SsoEntered, SsoEntry};
use crate::store::users::NewUser;

/// Why who somebody is opens nothing here.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EntryRefused {
    /// No group gives them a place.
    #[error("no group gives them a place here")]
    NoPlace,
    /// The service names no mail address.
    #[error("the service names no mail address")]
    NoMail,
    /// Nobody vouches for their address: the service, or whoever has an account with it.
    #[error("the address is not verified by the service, or not in the account that has it")]
    AddressNotVerified,
    /// Their address is that of a system admin's account.
    #[error("the address is a system admin's")]
    AddressOfAdmin,
    /// Their account is kept out.
    #[error("the account is disabled")]
    Disabled,
    /// Every seat is taken.
    #[error("every seat of the licence is taken")]
    SeatsTaken,
}

impl EntryRefused {
    /// A stable code for programs and the audit log.
    #[must_use]
    pub const fn code(self) -> &'static str {
        match self {
            Self::NoPlace => "sso_no_place",
            Self::NoMail => "sso_no_mail_address",
            Self::AddressNotVerified => "sso_address_not_verified",
            Self::AddressOfAdmin => "sso_address_of_admin",
            Self::Disabled => "account_disabled",
            Self::SeatsTaken => "seat_limit_reached",
        }
    }
}

impl SignOn {
    /// Lets somebody in whom another service knows.
    pub(super) async fn enter(&self, identity: SsoIdentity, vouched: Vouched, origin: Origin) -> Result<Login, SignOnError> {
        let known = self.inner.store.has_account_for(identity.clone()).await?;
        let mut new_user = None;
        if !known && let Some(email) = &identity.email {
            // Hashing a password costs: only whoever would come in is worth it.
            match self.entered(&identity, None, &origin).await? {
                SsoEntered::NeedsAccount => new_user = Some(self.new_user(email, &identity).await?),
                other => return self.told(other, identity, vouched, origin).await,
            }
        }
        let entered = self.entered(&identity, new_user, &origin).await?;
        self.told(entered, identity, vouched, origin).await
    }

    async fn entered(&self, identity: &SsoIdentity, new_user: Option<NewUser>, origin: &Origin) -> Result<SsoEntered, SignOnError> {
        let seats = self.inner.licensing.status().await?.seats().number();
        let entry = SsoEntry { identity: identity.clone(), new_user, seats, at: self.inner.seams.now(), address: origin.address };
        Ok(self.inner.store.enter_by_sso(entry).await?)
    }

    async fn told(&self, entered: SsoEntered, identity: SsoIdentity, vouched: Vouched, origin: Origin) -> Result<Login, SignOnError> {
        let refused = match entered {
            SsoEntered::In(user) => return Ok(self.inner.auth.after_elsewhere(user, vouched, origin).await?),
            SsoEntered::NoPlace => EntryRefused::NoPlace,
            // Between two looks an account of this address was made.
            SsoEntered::NeedsAccount | SsoEntered::AddressNotVerified => EntryRefused::AddressNotVerified,
            SsoEntered::NoMail => EntryRefused::NoMail,
            SsoEntered::AddressOfAdmin => EntryRefused::AddressOfAdmin,
            SsoEntered::Disabled => EntryRefused::Disabled,
            SsoEntered::SeatsTaken => EntryRefused::SeatsTaken,
        };
        let object = identity.email.as_ref().map_or("unknown account", Email::as_str).to_owned();
        self.inner.auth.record_refused(object, Some((vouched.by, refused.code())), &origin).await?;
        Err(refused.into())
    }

    async fn new_user(&self, email: &Email, identity: &SsoIdentity) -> Result<NewUser, SignOnError> {
        let shown = identity.name.as_deref().and_then(|name| name.parse::<DisplayName>().ok());
        let name = match shown {
            Some(name) => name,
            None => email.local_part().parse().map_err(|_| EntryRefused::NoMail)?,
        };
        Ok(self.inner.auth.new_user_without_password(email.clone(), &name).await.map_err(LoginError::from)?)
    }
}
