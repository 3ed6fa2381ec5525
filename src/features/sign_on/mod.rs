//! Signing in at a service of the company's own: a provider of OpenID Connect, a directory of LDAP. The service says who somebody is; here it is
//! decided what that opens. The sign-in with a password of one's own is always there beside it.

mod entering;
mod groups;
mod ldap;
mod oidc;

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::Semaphore;

use crate::base::clock::Timestamp;
use crate::base::seams::Seams;
use crate::model::sso::SsoSource;
use crate::services::auth::limits::{Beyond, CountedBy, Limits, Rule, TooManyTries};
use crate::services::auth::{Auth, LoginError};
use crate::services::licensing::Licensing;
use crate::services::sso::{LdapError, Oidc, OidcError, OidcProbe};
use crate::store::{Store, StoreError};

pub use entering::EntryRefused;
pub use groups::{GroupRoleDraft, GroupRoleError};
pub use ldap::LdapSignOn;
pub use oidc::{Begun, ProviderAnswer};

/// How often one address may begin to sign in elsewhere: each is a row that waits, and many people may share an address.
const BEGIN_RULES: &[Rule] = &[Rule { by: CountedBy::Address, failures: 60, forgiven_every: Duration::from_secs(2), beyond: Beyond::Wait }];

/// A provider, as this appliance uses it.
pub struct OidcSignOn {
    /// The provider.
    pub provider: Oidc,
    /// What the sign-in page calls it.
    pub name: String,
    /// Whether it asks for a second factor itself.
    pub second_factor: bool,
}

/// What signing in elsewhere stands on.
pub struct SignOnParts {
    /// Where accounts are.
    pub store: Store,
    /// Time and randomness.
    pub seams: Seams,
    /// Opens sessions.
    pub auth: Auth,
    /// Says how many seats there are.
    pub licensing: Licensing,
    /// A provider of OpenID Connect.
    pub oidc: Option<OidcSignOn>,
    /// A directory of LDAP.
    pub ldap: Option<LdapSignOn>,
}

/// Signing in elsewhere. Cheap to clone.
#[derive(Clone)]
pub struct SignOn {
    inner: Arc<Inner>,
}

struct Inner {
    store: Store,
    seams: Seams,
    auth: Auth,
    licensing: Licensing,
    oidc: Option<OidcSignOn>,
    ldap: Option<LdapSignOn>,
    begin_limits: Limits,
    directory_places: Semaphore,
    last_failures: Mutex<Vec<(SsoSource, LastFailure)>>,
}

/// Why a service did not answer last, for system admins.
#[derive(Clone, Debug)]
pub struct LastFailure {
    /// When.
    pub at: Timestamp,
    /// Why.
    pub reason: String,
}

/// Why somebody was not signed in.
#[derive(Debug, thiserror::Error)]
pub enum SignOnError {
    /// No such service is set.
    #[error("this way of signing in is not set up")]
    NotSet,
    /// The sign-in was finished, is too old, or was begun in another browser.
    #[error("this sign-in is over")]
    Ended,
    /// The answer belongs to another sign-in.
    #[error("this answer belongs to another sign-in")]
    OtherSignIn,
    /// The provider says that it did not sign them in.
    #[error("the provider did not sign them in: {0}")]
    Declined(String),
    /// The provider's answer is not believed, or did not come.
    #[error(transparent)]
    Oidc(OidcError),
    /// The directory did not say whether the password is right.
    #[error(transparent)]
    Ldap(LdapError),
    /// As many ask the directory as may.
    #[error("too many people are signing in at this moment")]
    Busy,
    /// Who they are opens nothing here.
    #[error(transparent)]
    Refused(#[from] EntryRefused),
    /// Too many tries.
    #[error(transparent)]
    TooManyTries(#[from] TooManyTries),
    /// No session could be opened.
    #[error(transparent)]
    Login(#[from] LoginError),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl SignOn {
    /// Builds the feature.
    #[must_use]
    pub fn new(parts: SignOnParts) -> Self {
        let SignOnParts { store, seams, auth, licensing, oidc, ldap } = parts;
        let begin_limits = Limits::new(Arc::clone(&seams.clock), BEGIN_RULES);
        let directory_places = Semaphore::new(ldap::AT_ONCE_MAX);
        let last_failures = Mutex::default();
        let inner = Inner { store, seams, auth, licensing, oidc, ldap, begin_limits, directory_places, last_failures };
        Self { inner: Arc::new(inner) }
    }

    /// What the sign-in page calls the provider; `None`: there is none.
    #[must_use]
    pub fn oidc_name(&self) -> Option<&str> {
        self.inner.oidc.as_ref().map(|oidc| oidc.name.as_str())
    }

    /// The provider, for whoever looks after the appliance.
    #[must_use]
    pub fn oidc(&self) -> Option<&OidcSignOn> {
        self.inner.oidc.as_ref()
    }

    /// Asks the provider what it is. `None`: there is none.
    ///
    /// # Errors
    /// Why it could not be asked, or is not believed.
    pub async fn probe_oidc(&self) -> Option<Result<OidcProbe, OidcError>> {
        let oidc = self.inner.oidc.as_ref()?;
        let probed = oidc.provider.probe().await;
        match &probed {
            Ok(_) => self.works(SsoSource::Oidc),
            Err(error) => self.failed(SsoSource::Oidc, error),
        }
        Some(probed)
    }

    /// Why a service did not answer last; `None`: it did.
    #[must_use]
    pub fn last_failure(&self, source: SsoSource) -> Option<LastFailure> {
        let failures = self.inner.last_failures.lock().unwrap_or_else(PoisonError::into_inner);
        failures.iter().find(|(of, _)| *of == source).map(|(_, failure)| failure.clone())
    }

    fn failed(&self, source: SsoSource, error: &dyn std::error::Error) {
        let failure = LastFailure { at: self.inner.seams.now(), reason: error.to_string() };
        tracing::warn!(%source, reason = failure.reason, "a sign-in at a service of the company failed");
        self.works(source);
        self.inner.last_failures.lock().unwrap_or_else(PoisonError::into_inner).push((source, failure));
    }

    fn works(&self, source: SsoSource) {
        self.inner.last_failures.lock().unwrap_or_else(PoisonError::into_inner).retain(|(of, _)| *of != source);
    }
}

impl std::fmt::Debug for SignOn {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SignOn").field("oidc", &self.inner.oidc.is_some()).field("ldap", &self.inner.ldap.is_some()).finish_non_exhaustive()
    }
}
