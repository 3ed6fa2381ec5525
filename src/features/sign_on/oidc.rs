//! Signing in at a provider of OpenID Connect: there with a redirect, back with a code.

use std::time::Duration;

use url::Url;

use super::{OidcSignOn, SignOn, SignOnError};
use crate::base::secret::{Secret, new_token, sha256};
use crate::base::text::truncate;
use crate::model::session::Origin;
use crate::model::sso::SsoSource;
use crate::services::auth::Vouched;
use crate::services::auth::limits::Key;
use crate::services::auth::second_step::Login;
use crate::services::sso::OidcError;

/// How long somebody may take at the provider.
const LIFETIME: Duration = Duration::from_secs(10 * 60);
/// Most bytes of the provider's word for a refusal.
const DECLINED_BYTES_MAX: usize = 64;

/// A sign-in that goes to the provider: the one moment at which its secret is known here.
#[derive(Clone, Debug)]
pub struct Begun {
    /// Where the browser goes.
    pub url: Url,
    /// What the browser keeps.
    pub secret: Secret<String>,
    /// For how long.
    pub lifetime: Duration,
}

/// What the browser brings back from the provider.
#[derive(Clone, Debug)]
pub struct ProviderAnswer {
    /// Which sign-in it answers.
    pub state: String,
    /// The code, where the provider signed them in.
    pub code: Option<Secret<String>>,
    /// Its word for a refusal.
    pub error: Option<String>,
    /// Who it says that it is.
    pub issuer: Option<String>,
}

impl SignOn {
    /// Begins a sign-in at the provider.
    ///
    /// # Errors
    /// See [`SignOnError`].
    pub async fn begin_oidc(&self, origin: &Origin) -> Result<Begun, SignOnError> {
        let OidcSignOn { provider, .. } = self.inner.oidc.as_ref().ok_or(SignOnError::NotSet)?;
        // Counted whether it is finished or not.
        let _counted = self.inner.begin_limits.admit(&[Key::Address(origin.address)])?;
        let (secret, at) = (new_token(&self.inner.seams), self.inner.seams.now());
        let url = provider.authorization_url(&secret).await.map_err(|error| self.oidc_failed(error))?;
        self.inner.store.begin_sso(sha256(secret.expose().as_bytes()), at, at.plus(LIFETIME)).await?;
        Ok(Begun { url, secret, lifetime: LIFETIME })
    }

    /// Finishes a sign-in at the provider: whatever comes of it, it is used up.
    ///
    /// # Errors
    /// See [`SignOnError`].
    pub async fn finish_oidc(&self, secret: &Secret<String>, answer: ProviderAnswer, origin: Origin) -> Result<Login, SignOnError> {
        let oidc = self.inner.oidc.as_ref().ok_or(SignOnError::NotSet)?;
        let taken = self.inner.store.take_sso(sha256(secret.expose().as_bytes()), self.inner.seams.now()).await?;
        let began_at = taken.ok_or(SignOnError::Ended)?;
        let identity = async {
            if !oidc.provider.is_answer_to(secret, &answer.state, answer.issuer.as_deref()).await.map_err(|error| self.oidc_failed(error))? {
                return Err(SignOnError::OtherSignIn);
            }
            let Some(code) = &answer.code else { return Err(SignOnError::Declined(declined(answer.error.as_deref()))) };
            oidc.provider.identify(secret, code, began_at).await.map_err(|error| self.oidc_failed(error))
        };
        match identity.await {
            Ok(identity) => {
                self.works(SsoSource::Oidc);
                self.enter(identity, Vouched { by: SsoSource::Oidc, second_factor: oidc.second_factor }, origin).await
            }
            Err(error) => {
                self.record_refusal(SsoSource::Oidc, reason(&error), &origin).await?;
                Err(error)
            }
        }
    }

    fn oidc_failed(&self, error: OidcError) -> SignOnError {
        self.failed(SsoSource::Oidc, &error);
        SignOnError::Oidc(error)
    }

    /// Records a sign-in that another service did not vouch for.
    pub(super) async fn record_refusal(&self, by: SsoSource, reason: &'static str, origin: &Origin) -> Result<(), SignOnError> {
        Ok(self.inner.auth.record_refused("unknown account".to_owned(), Some((by, reason)), origin).await?)
    }
}

/// What the audit log says of a refusal: nothing that the other side wrote.
const fn reason(error: &SignOnError) -> &'static str {
    match error {
        SignOnError::OtherSignIn => "other_sign_in",
        SignOnError::Declined(_) => "declined",
        SignOnError::Oidc(OidcError::Token(_)) => "token",
        SignOnError::Oidc(_) => "unavailable",
        _ => "refused",
    }
}

/// The provider's word, if it is one of the protocol's.
fn declined(error: Option<&str>) -> String {
    let word: String = error.unwrap_or_default().chars().filter(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '-')).collect();
    if word.is_empty() { "no reason given".to_owned() } else { truncate(&word, DECLINED_BYTES_MAX).to_owned() }
}
