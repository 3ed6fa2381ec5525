//! Who is asking, and with which permission: an extractor is the permission, so a handler that has one was allowed.

use std::convert::Infallible;
use std::net::SocketAddr;

use axum::extract::{ConnectInfo, FromRef, FromRequestParts, Path};
use axum::http::request::Parts;
use axum::http::{HeaderMap, StatusCode, header};

use super::errors::ApiError;
use super::state::AppState;
use crate::base::text::truncate;
use crate::model::company::Company;
use crate::model::ids::CompanyId;
use crate::model::role::Role;
use crate::model::session::Origin;
use crate::model::user::Caller;
use crate::store::StoreError;

/// A browser's name for itself is kept to this length, in bytes.
const USER_AGENT_BYTES_MAX: usize = 256;

/// The session cookie under TLS: the prefix binds it to this host, this path and TLS.
pub const COOKIE_SECURE: &str = "__Host-onsite_session";
/// The session cookie of `--dev`, which has no TLS to bind it to.
pub const COOKIE_PLAIN: &str = "onsite_session";

/// The session token a request carries: a bearer token, else the cookie.
#[must_use]
pub fn session_token<'a>(headers: &'a HeaderMap, cookie: &str) -> Option<&'a str> {
    if let Some(value) = headers.get(header::AUTHORIZATION) {
        let (scheme, token) = value.to_str().ok()?.split_once(' ')?;
        return scheme.eq_ignore_ascii_case("bearer").then(|| token.trim());
    }
    let pairs = headers.get_all(header::COOKIE).iter().filter_map(|value| value.to_str().ok()).flat_map(|value| value.split(';'));
    pairs.filter_map(|pair| pair.trim().split_once('=')).find(|(name, _)| *name == cookie).map(|(_, token)| token)
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

/// Somebody signed in.
#[derive(Clone, Debug)]
pub struct Signed(pub Caller);

impl<S> FromRequestParts<S> for Signed
where
    S: Send + Sync,
    AppState: FromRef<S>,
{
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        let state = AppState::from_ref(state);
        let token = session_token(&parts.headers, state.facts.session_cookie()).ok_or_else(ApiError::unauthorized)?;
        let caller = state.auth.authenticate(token).await?.ok_or_else(ApiError::unauthorized)?;
        state.rates.by_user(&caller.user.id)?;
        Ok(Self(caller))
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

/// A member of the company named in the path (`{company}`). To anybody else the company is not there.
#[derive(Clone, Debug)]
pub struct CompanyMember {
    /// Who.
    pub caller: Caller,
    /// Which company.
    pub company: Company,
    /// What they may do in it.
    pub role: Role,
}

impl CompanyMember {
    /// The same member as they are now; `None` when their session or their membership ended.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn again(&self, state: &AppState) -> Result<Option<Self>, StoreError> {
        let Some(caller) = state.auth.still_signed_in(&self.caller).await? else { return Ok(None) };
        let membership = state.companies.membership(&self.company.id, &caller.user.id).await?;
        Ok(membership.map(|membership| Self { caller, company: membership.company, role: membership.role }))
    }

    /// Goes on only with at least this role; 403 `role_too_low` else: a member may know what the company has, and that others may do it.
    fn at_least(self, needed: Role) -> Result<Self, ApiError> {
        if self.role.allows(needed) {
            return Ok(self);
        }
        Err(role_too_low(format!("This needs the role {} in the company; yours is {}.", needed.as_str(), self.role.as_str())))
    }
}

impl<S> FromRequestParts<S> for CompanyMember
where
    S: Send + Sync,
    AppState: FromRef<S>,
{
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        #[derive(serde::Deserialize)]
        struct InPath {
            company: String,
        }
        let Signed(caller) = Signed::from_request_parts(parts, state).await?;
        let Path(InPath { company }) = Path::from_request_parts(parts, state).await.map_err(|_| ApiError::not_found())?;
        let company: CompanyId = company.parse().map_err(|_| ApiError::not_found())?;
        let membership = AppState::from_ref(state).companies.membership(&company, &caller.user.id).await?;
        let membership = membership.ok_or_else(ApiError::not_found)?;
        Ok(Self { caller, company: membership.company, role: membership.role })
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
    /// A member who looks after members and keys.
    CompanyAdmin = Admin;
    /// A member whose company it is.
    CompanyOwner = Owner;
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
