//! Who is asking, and with which permission: an extractor is the permission, so a handler that has one was allowed.

use std::convert::Infallible;
use std::net::SocketAddr;

use axum::extract::{ConnectInfo, FromRef, FromRequestParts, MatchedPath, Path};
use axum::http::request::Parts;
use axum::http::{HeaderMap, StatusCode, header};

use super::errors::ApiError;
use super::scopes;
use super::state::AppState;
use crate::base::text::truncate;
use crate::model::api_key::{KeyCaller, is_meant_as_key};
use crate::model::company::Company;
use crate::model::ids::CompanyId;
use crate::model::role::Role;
use crate::model::session::Origin;
use crate::model::user::{Caller, User};
use crate::services::api_keys::KeyRefused;
use crate::store::StoreError;

/// A browser's name for itself is kept to this length, in bytes.
const USER_AGENT_BYTES_MAX: usize = 256;

/// The session cookie under TLS: the prefix binds it to this host, this path and TLS.
pub const COOKIE_SECURE: &str = "__Host-onsite_session";
/// The session cookie of `--dev`, which has no TLS to bind it to.
pub const COOKIE_PLAIN: &str = "onsite_session";
/// The cookie that ties a sign-in at a provider to the browser that began it, under TLS.
pub const SSO_COOKIE_SECURE: &str = "__Host-onsite_sso";
/// The same with `--dev`.
pub const SSO_COOKIE_PLAIN: &str = "onsite_sso";

/// The session token a request carries: a bearer token, else the cookie.
#[must_use]
pub fn session_token<'a>(headers: &'a HeaderMap, cookie: &str) -> Option<&'a str> {
    if let Some(value) = headers.get(header::AUTHORIZATION) {
        let (scheme, token) = value.to_str().ok()?.split_once(' ')?;
        return scheme.eq_ignore_ascii_case("bearer").then(|| token.trim());
    }
    cookie_value(headers, cookie)
}

/// What a cookie of a request holds.
#[must_use]
pub fn cookie_value<'a>(headers: &'a HeaderMap, cookie: &str) -> Option<&'a str> {
    let pairs = headers.get_all(header::COOKIE).iter().filter_map(|value| value.to_str().ok()).flat_map(|value| value.split(';'));
    pairs.filter_map(|pair| pair.trim().split_once('=')).find(|(name, _)| *name == cookie).map(|(_, value)| value)
}

/// Where the request came from.
#[derive(Clone, Debug)]
pub struct RequestOrigin(pub Origin);

impl<S: Send + Sync> FromRequestParts<S> for RequestOrigin {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Infallible> {
        let address = parts.extensions.get::<ConnectInfo<SocketAddr>>().map(|ConnectInfo(peer)| peer.ip().to_canonical());
        let agent = parts.headers.get(header::USER_AGENT).and_then(|value| value.to_str().ok());
        Ok(Self(Origin { address, user_agent: agent.map(|agent| truncate(agent, USER_AGENT_BYTES_MAX).to_owned()) }))
    }
}

/// Somebody with an open session, who may still have to set up a second factor before anything else.
#[derive(Clone, Debug)]
pub struct Enrolling(pub Caller);

impl<S> FromRequestParts<S> for Enrolling
where
    S: Send + Sync,
    AppState: FromRef<S>,
{
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        // Looked up once a request, however many extractors ask.
        if let Some(caller) = parts.extensions.get::<Caller>() {
            return Ok(Self(caller.clone()));
        }
        let state = AppState::from_ref(state);
        let token = session_token(&parts.headers, state.facts.session_cookie()).ok_or_else(ApiError::unauthorized)?;
        if is_meant_as_key(token) {
            return Err(key_not_allowed());
        }
        let caller = state.auth.authenticate(token).await?.ok_or_else(ApiError::unauthorized)?;
        state.rates.by_user(&caller.user.id)?;
        parts.extensions.insert(caller.clone());
        Ok(Self(caller))
    }
}

/// Somebody signed in. A program with an API key is not: what takes this extractor, or one made of it, is closed to keys.
#[derive(Clone, Debug)]
pub struct Signed(pub Caller);

impl<S> FromRequestParts<S> for Signed
where
    S: Send + Sync,
    AppState: FromRef<S>,
{
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        let Enrolling(caller) = Enrolling::from_request_parts(parts, state).await?;
        if caller.must_enrol {
            let message = "Everybody needs a second factor here, and your account has none yet.";
            return Err(ApiError::new(StatusCode::FORBIDDEN, "second_factor_required", message)
                .remedy("Set up a passkey or an authenticator app on the page /account, or by POST /api/me/factors/totp."));
        }
        Ok(Self(caller))
    }
}

/// The caller has shown lately who they are. Stands after the extractor that is the permission, so that nobody is asked for a proof where they may
/// not anyway.
#[derive(Clone, Copy, Debug)]
pub struct Fresh;

impl<S> FromRequestParts<S> for Fresh
where
    S: Send + Sync,
    AppState: FromRef<S>,
{
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        let Enrolling(caller) = Enrolling::from_request_parts(parts, state).await?;
        if AppState::from_ref(state).auth.is_fresh(&caller) {
            return Ok(Self);
        }
        Err(ApiError::new(StatusCode::FORBIDDEN, "step_up_required", "This asks who you are once more: your last proof is too old.")
            .remedy("Show your password, a code or a passkey (POST /api/me/step-up), then ask again."))
    }
}

/// A system admin. To anybody else the route is not there.
#[derive(Clone, Debug)]
pub struct SystemAdmin(pub Caller);

impl<S> FromRequestParts<S> for SystemAdmin
where
    S: Send + Sync,
    AppState: FromRef<S>,
{
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        let Signed(caller) = Signed::from_request_parts(parts, state).await?;
        if caller.is_system_admin() { Ok(Self(caller)) } else { Err(ApiError::not_found()) }
    }
}

/// A member, signed in, of the company named in the path (`{company}`). To anybody else the company is not there.
#[derive(Clone, Debug)]
pub struct CompanySession {
    /// Who.
    pub caller: Caller,
    /// Which company.
    pub company: Company,
    /// What they may do in it.
    pub role: Role,
}

impl<S> FromRequestParts<S> for CompanySession
where
    S: Send + Sync,
    AppState: FromRef<S>,
{
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        let Signed(caller) = Signed::from_request_parts(parts, state).await?;
        let company = company_in_path(parts, state).await?;
        let membership = AppState::from_ref(state).companies.membership(&company, &caller.user.id).await?;
        let membership = membership.ok_or_else(ApiError::not_found)?;
        Ok(Self { caller, company: membership.company, role: membership.role })
    }
}

/// How a member comes.
#[derive(Clone, Debug)]
pub enum Came {
    /// Signed in.
    Session(Caller),
    /// As a program, with an API key whose scopes hold the route.
    Key(Box<KeyCaller>),
}

/// A member of the company named in the path (`{company}`), or a program that acts for one with an API key. To anybody else the company is not
/// there.
#[derive(Clone, Debug)]
pub struct CompanyMember {
    /// How they come.
    pub came: Came,
    /// Which company.
    pub company: Company,
    /// What they may do in it.
    pub role: Role,
}

impl CompanyMember {
    /// Who, or for whom.
    #[must_use]
    pub const fn user(&self) -> &User {
        match &self.came {
            Came::Session(caller) => &caller.user,
            Came::Key(key) => &key.user,
        }
    }

    /// The same member as they are now; `None` when their session, their key or their membership ended.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn again(&self, state: &AppState) -> Result<Option<Self>, StoreError> {
        let came = match &self.came {
            Came::Session(caller) => state.auth.still_signed_in(caller).await?.map(Came::Session),
            Came::Key(key) => state.api_keys.still_working(&key.key.id).await?.map(|key| Came::Key(Box::new(key))),
        };
        let Some(came) = came else { return Ok(None) };
        let membership = state.companies.membership(&self.company.id, &self.user().id).await?;
        Ok(membership.map(|membership| Self { came, company: membership.company, role: membership.role }))
    }

    /// Goes on only with at least this role; 403 `role_too_low` else: a member may know what the company has, and that others may do it.
    fn at_least(self, needed: Role) -> Result<Self, ApiError> {
        allowed(self.role, needed).map(|()| self)
    }
}

impl<S> FromRequestParts<S> for CompanyMember
where
    S: Send + Sync,
    AppState: FromRef<S>,
{
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        let app = AppState::from_ref(state);
        match session_token(&parts.headers, app.facts.session_cookie()) {
            Some(token) if is_meant_as_key(token) => {
                let caller = app.api_keys.authenticate(token).await?;
                app.rates.by_user(&caller.user.id)?;
                let company = company_in_path(parts, state).await?;
                with_key(parts, &app, caller, &company).await
            }
            _ => {
                let CompanySession { caller, company, role } = CompanySession::from_request_parts(parts, state).await?;
                Ok(Self { came: Came::Session(caller), company, role })
            }
        }
    }
}

/// A key opens its own company only, and of that only the routes of its scopes.
async fn with_key(parts: &Parts, app: &AppState, caller: KeyCaller, company: &CompanyId) -> Result<CompanyMember, ApiError> {
    if caller.key.company != *company {
        return Err(ApiError::not_found());
    }
    let route = parts.extensions.get::<MatchedPath>().map_or("", MatchedPath::as_str);
    let scope = scopes::needed(&parts.method, route).ok_or_else(key_not_allowed)?;
    if !caller.key.scopes.allow(scope) {
        let message = format!("This needs the scope {}; the key has {}.", scope.as_str(), caller.key.scopes);
        return Err(ApiError::new(StatusCode::FORBIDDEN, "scope_missing", message).remedy("Make a key with this scope."));
    }
    let company = app.companies.get(company).await?.ok_or_else(ApiError::not_found)?;
    Ok(CompanyMember { role: caller.role, came: Came::Key(Box::new(caller)), company })
}

async fn company_in_path<S: Send + Sync>(parts: &mut Parts, state: &S) -> Result<CompanyId, ApiError> {
    #[derive(serde::Deserialize)]
    struct InPath {
        company: String,
    }
    let Path(InPath { company }) = Path::from_request_parts(parts, state).await.map_err(|_| ApiError::not_found())?;
    company.parse().map_err(|_| ApiError::not_found())
}

fn allowed(role: Role, needed: Role) -> Result<(), ApiError> {
    if role.allows(needed) {
        return Ok(());
    }
    Err(role_too_low(format!("This needs the role {} in the company; yours is {}.", needed.as_str(), role.as_str())))
}

/// 403: this takes a person who is signed in.
fn key_not_allowed() -> ApiError {
    ApiError::new(StatusCode::FORBIDDEN, "key_not_allowed", "An API key cannot do this.").remedy("Sign in and do it in a session.")
}

impl From<KeyRefused> for ApiError {
    fn from(error: KeyRefused) -> Self {
        match error {
            KeyRefused::NotWorking => Self::new(StatusCode::UNAUTHORIZED, "unauthorized", "This API key does not work (any more).")
                .remedy("Make a new one in the company's API keys."),
            KeyRefused::TooMany(wait) => Self::too_many("too_many_requests", "This API key is used too often.", wait)
                .remedy("Wait as long as Retry-After says; spread the requests."),
            KeyRefused::Store(error) => error.into(),
        }
    }
}

/// 403: a member who may know of a thing, but not do that with it.
#[must_use]
pub fn role_too_low(message: String) -> ApiError {
    ApiError::new(StatusCode::FORBIDDEN, "role_too_low", message).remedy("Ask an owner or admin of the company.")
}

macro_rules! members_with {
    ($($(#[$doc:meta])* $name:ident = $role:ident;)*) => {$(
        $(#[$doc])*
        #[derive(Clone, Debug)]
        pub struct $name(pub CompanyMember);

        impl<S> FromRequestParts<S> for $name
        where
            S: Send + Sync,
            AppState: FromRef<S>,
        {
            type Rejection = ApiError;

            async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
                CompanyMember::from_request_parts(parts, state).await?.at_least(Role::$role).map(Self)
            }
        }
    )*};
}

members_with! {
    /// A member who works in the company: asks, uploads, makes and runs automations. A viewer only reads.
    CompanyWorker = Member;
    /// A member who sees what the company used.
    CompanyDev = Dev;
}

/// A member, signed in, who looks after members and keys.
#[derive(Clone, Debug)]
pub struct CompanyAdmin(pub CompanySession);

impl<S> FromRequestParts<S> for CompanyAdmin
where
    S: Send + Sync,
    AppState: FromRef<S>,
{
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        let member = CompanySession::from_request_parts(parts, state).await?;
        allowed(member.role, Role::Admin).map(|()| Self(member))
    }
}

/// A member, signed in, whose company it is.
#[derive(Clone, Debug)]
pub struct CompanyOwner(pub CompanySession);

impl<S> FromRequestParts<S> for CompanyOwner
where
    S: Send + Sync,
    AppState: FromRef<S>,
{
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        let member = CompanySession::from_request_parts(parts, state).await?;
        allowed(member.role, Role::Owner).map(|()| Self(member))
    }
}

/// The ids in the path. One that has not the form of an id names nothing.
#[derive(Debug)]
pub struct Ids<T>(pub T);

impl<T, S> FromRequestParts<S> for Ids<T>
where
    T: serde::de::DeserializeOwned + Send,
    S: Send + Sync,
{
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        Path::from_request_parts(parts, state).await.map(|Path(ids)| Self(ids)).map_err(|_| ApiError::not_found())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(header::HeaderName, &'static str)]) -> HeaderMap {
        let mut map = HeaderMap::new();
        for (name, value) in pairs {
            map.append(name.clone(), header::HeaderValue::from_static(value));
        }
        map
    }

    #[test]
    fn a_bearer_token_goes_before_a_cookie_and_other_cookies_are_passed_over() {
        let token = |pairs: &[_]| session_token(&headers(pairs), COOKIE_PLAIN).map(str::to_owned);
        assert_eq!(token(&[(header::COOKIE, "a=b; onsite_session=abc; c=d")]).as_deref(), Some("abc"));
        assert_eq!(token(&[(header::COOKIE, "onsite_session=abc"), (header::AUTHORIZATION, "bearer xyz")]).as_deref(), Some("xyz"));
        assert_eq!(token(&[(header::COOKIE, "onsite_session=abc"), (header::AUTHORIZATION, "Basic xyz")]), None);
        assert_eq!(token(&[(header::COOKIE, "not_onsite_session=abc")]), None);
        assert_eq!(token(&[]), None);
    }
}
