//! Signing in with the password of the directory.

use super::{SignOn, SignOnError};
use crate::base::secret::{Secret, sha256};
use crate::model::session::Origin;
use crate::model::sso::SsoSource;
use crate::services::auth::second_step::Login;
use crate::services::auth::{LoginError, Vouched};
use crate::services::sso::{Ldap, LdapError};

/// Sign-ins that ask the directory at once: each holds a connection to it.
pub(super) const AT_ONCE_MAX: usize = 16;

/// A directory, as this appliance uses it.
pub struct LdapSignOn {
    /// The directory.
    pub directory: Ldap,
    /// What the sign-in page calls it.
    pub name: String,
    /// Whether it asks for more than a password itself.
    pub second_factor: bool,
}

impl SignOn {
    /// What the sign-in page calls the directory; `None`: there is none.
    #[must_use]
    pub fn ldap_name(&self) -> Option<&str> {
        self.ldap().map(|ldap| ldap.name.as_str())
    }

    /// The directory, for whoever looks after the appliance.
    #[must_use]
    pub fn ldap(&self) -> Option<&LdapSignOn> {
        self.inner.ldap.as_ref()
    }

    /// Asks the directory whether it can be searched. `None`: there is none.
    ///
    /// # Errors
    /// Why it could not be asked.
    pub async fn probe_ldap(&self) -> Option<Result<(), LdapError>> {
        let probed = self.ldap()?.directory.probe().await;
        match &probed {
            Ok(()) => self.works(SsoSource::Ldap),
            Err(error) => self.failed(SsoSource::Ldap, error),
        }
        Some(probed)
    }

    /// Takes the name and the password of somebody in the directory. Unknown and wrong take the same path.
    ///
    /// # Errors
    /// See [`SignOnError`].
    pub async fn sign_in_ldap(&self, user: &str, password: &Secret<String>, origin: Origin) -> Result<Login, SignOnError> {
        let ldap = self.ldap().ok_or(SignOnError::NotSet)?;
        // As it was typed: who has this name is what the directory is asked for.
        let name = sha256(format!("ldap:{}", user.trim().to_lowercase()).as_bytes());
        let known = self.inner.store.user_of_directory_name(name).await?;
        let counted = self.inner.auth.admit_try(known.as_ref(), name, &origin).await?;
        let Ok(_place) = self.inner.directory_places.try_acquire() else {
            counted.give_back();
            return Err(SignOnError::Busy);
        };
        match ldap.directory.identify(user, password).await {
            Ok(Some(identity)) => {
                counted.give_back();
                self.works(SsoSource::Ldap);
                let hash = identity.hash();
                let came = self.enter(identity, Vouched { by: SsoSource::Ldap, second_factor: ldap.second_factor }, origin).await?;
                self.inner.store.keep_directory_name(hash, name).await?;
                Ok(came)
            }
            Ok(None) => {
                self.record_refusal(SsoSource::Ldap, "credentials", &origin).await?;
                Err(LoginError::WrongCredentials.into())
            }
            Err(error) => {
                counted.give_back();
                self.failed(SsoSource::Ldap, &error);
                self.record_refusal(SsoSource::Ldap, "unavailable", &origin).await?;
                Err(SignOnError::Ldap(error))
            }
        }
    }
}
