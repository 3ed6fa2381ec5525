//! API keys: made by a member for programs that act for them, shown once, and good for as long as the member is.

use std::sync::Arc;
use std::time::Duration;

use crate::base::seams::Seams;
use crate::base::secret::{Secret, sha256};
use crate::model::api_key::{ApiKey, ApiKeyForm, ApiKeyState, KeyCaller, has_form, new_key};
use crate::model::audit::{Actor, Entry};
use crate::model::ids::{ApiKeyId, CompanyId};
use crate::model::role::Role;
use crate::model::session::Origin;
use crate::model::user::{Caller, User};
use crate::services::auth::limits::{Beyond, CountedBy, Key, Limits, Rule};
use crate::store::api_keys::{ApiKeyMade, KEYS_OF_COMPANY_MAX, KEYS_OF_USER_MAX, WhichKey};
use crate::store::{Store, StoreError};

/// A key's last use is noted to this precision: one write a minute, not one a request.
const LAST_USED_PRECISION: Duration = Duration::from_secs(60);
/// Requests with one key: 300 at once, and five a second for ever.
const REQUEST_RULES: &[Rule] = &[Rule { by: CountedBy::Account, failures: 300, forgiven_every: Duration::from_millis(200), beyond: Beyond::Wait }];

/// A key just made: the one moment at which it is known here.
#[derive(Clone, Debug)]
pub struct NewApiKey {
    /// What is kept of it.
    pub key: ApiKey,
    /// What a program presents.
    pub token: Secret<String>,
}

/// Why no key was made.
#[derive(Debug, thiserror::Error)]
pub enum CreateApiKeyError {
    /// Its user has as many as there may be.
    #[error("you have {KEYS_OF_USER_MAX} keys in this company, as many as there may be")]
    UserHasMost,
    /// The company has as many as there may be.
    #[error("the company has {KEYS_OF_COMPANY_MAX} keys, as many as there may be")]
    CompanyHasMost,
    /// Its user is no member any more.
    #[error("you are no member of this company any more")]
    NotMember,
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Why a program may not go on with its key.
#[derive(Debug, thiserror::Error)]
pub enum KeyRefused {
    /// Unknown, expired, revoked, or its user is gone: nobody is told which.
    #[error("this API key does not work")]
    NotWorking,
    /// Too many requests with it.
    #[error("too many requests with this API key")]
    TooMany(Duration),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Makes, lists, recognises and ends keys. Cheap to clone.
#[derive(Clone)]
pub struct ApiKeys {
    store: Store,
    seams: Seams,
    limits: Arc<Limits>,
}

impl ApiKeys {
    /// Names the store and the seams.
    #[must_use]
    pub fn new(store: Store, seams: Seams) -> Self {
        Self { limits: Arc::new(Limits::new(Arc::clone(&seams.clock), REQUEST_RULES)), store, seams }
    }

    /// Makes a key that acts for the caller.
    ///
    /// # Errors
    /// See [`CreateApiKeyError`].
    pub async fn create(&self, by: &Caller, company: &CompanyId, form: ApiKeyForm, origin: &Origin) -> Result<NewApiKey, CreateApiKeyError> {
        let (token, prefix) = new_key(&self.seams);
        let at = self.seams.now();
        let key = ApiKey {
            id: ApiKeyId::new(&self.seams),
            company: company.clone(),
            user: by.user.id.clone(),
            name: form.name.as_str().to_owned(),
            prefix,
            scopes: form.scopes,
            created_at: at,
            expires_at: at.plus(form.lifetime),
            last_used_at: None,
            revoked_at: None,
        };
        let entry = Entry::new(at, Actor::User(Some(by.user.id.clone())), "api_key.created", key.id.as_str()).in_company(company.clone());
        let scopes: Vec<_> = key.scopes.names().collect();
        let detail = serde_json::json!({"name": key.name, "prefix": key.prefix, "scopes": scopes, "expires_at": key.expires_at});
        let made = self.store.create_api_key(key.clone(), sha256(token.expose().as_bytes()), entry.from(origin.address).detail(detail)).await?;
        match made {
            ApiKeyMade::Done => Ok(NewApiKey { key, token }),
            ApiKeyMade::UserHasMost => Err(CreateApiKeyError::UserHasMost),
            ApiKeyMade::CompanyHasMost => Err(CreateApiKeyError::CompanyHasMost),
            ApiKeyMade::NotMember => Err(CreateApiKeyError::NotMember),
        }
    }

    /// The company's keys with those they act for: all of them for an admin or owner, else the caller's own.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn list(&self, by: &Caller, role: Role, company: &CompanyId) -> Result<Vec<(ApiKey, ApiKeyState, User)>, StoreError> {
        let of = (!role.allows(Role::Admin)).then(|| by.user.id.clone());
        let (keys, now) = (self.store.api_keys(company.clone(), of).await?, self.seams.now());
        Ok(keys.into_iter().map(|(key, user)| (key.clone(), key.state(now), user)).collect())
    }

    /// Takes a key back, at once: any of the company's for an admin or owner, else one of the caller's own. `false`: there is none such.
    ///
    /// # Errors
    /// When it could not be kept.
    pub async fn revoke(&self, by: &Caller, role: Role, company: &CompanyId, id: ApiKeyId, origin: &Origin) -> Result<bool, StoreError> {
        let of = (!role.allows(Role::Admin)).then(|| by.user.id.clone());
        let actor = Actor::User(Some(by.user.id.clone()));
        let entry = Entry::new(self.seams.now(), actor, "api_key.revoked", id.as_str()).in_company(company.clone()).from(origin.address);
        self.store.revoke_api_key(company.clone(), id, of, by.user.id.clone(), entry).await
    }

    /// Who comes with this key. One indexed read, and a write once a minute.
    ///
    /// # Errors
    /// See [`KeyRefused`].
    pub async fn authenticate(&self, token: &str) -> Result<KeyCaller, KeyRefused> {
        if !has_form(token) {
            return Err(KeyRefused::NotWorking);
        }
        let hash = sha256(token.as_bytes());
        let caller = self.store.api_key(WhichKey::Presented(hash)).await?.ok_or(KeyRefused::NotWorking)?;
        let now = self.seams.now();
        if !is_working(&caller, now) {
            return Err(KeyRefused::NotWorking);
        }
        // The place is kept: it counts requests, not failures.
        let _counted = self.limits.admit(&[Key::Account(hash)]).map_err(|too_many| KeyRefused::TooMany(too_many.retry_after))?;
        if caller.key.last_used_at.is_none_or(|last| now.since(last) >= LAST_USED_PRECISION)
            && let Err(error) = self.store.touch_api_key(caller.key.id.clone(), now).await
        {
            // Reading must go on when the disk is full.
            tracing::warn!(%error, "the last use of an API key was not noted");
        }
        Ok(caller)
    }

    /// Who came with this key, as they are now; `None` when it does not work any more. Does not count as a use.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn still_working(&self, id: &ApiKeyId) -> Result<Option<KeyCaller>, StoreError> {
        let now = self.seams.now();
        Ok(self.store.api_key(WhichKey::Known(id.clone())).await?.filter(|caller| is_working(caller, now)))
    }
}

fn is_working(caller: &KeyCaller, now: crate::base::clock::Timestamp) -> bool {
    caller.key.state(now) == ApiKeyState::Active && caller.user.disabled_at.is_none()
}

impl std::fmt::Debug for ApiKeys {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ApiKeys").finish_non_exhaustive()
    }
}
