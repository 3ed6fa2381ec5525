//! Who is asking.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use serde::Serialize;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::base::clock::Timestamp;
use crate::http::caller::Enrolling;
use crate::http::errors::ErrorEnvelope;
use crate::http::{ApiError, AppState};
use crate::model::company::Membership;
use crate::model::ids::{CompanyId, UserId};
use crate::model::role::Role;
use crate::model::user::{Email, User};

/// The routes of this noun.
pub fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::new().routes(routes!(opening)).routes(routes!(me))
}

/// A person with an account.
#[derive(Serialize, ToSchema)]
#[schema(as = User)]
pub(super) struct UserView {
    #[schema(value_type = String)]
    id: UserId,
    #[schema(value_type = String)]
    email: Email,
    name: String,
    /// Whether they look after the whole appliance.
    system_admin: bool,
    #[schema(value_type = String, format = DateTime)]
    created_at: Timestamp,
}

impl From<User> for UserView {
    fn from(user: User) -> Self {
        Self { id: user.id, email: user.email, name: user.name, system_admin: user.system_admin, created_at: user.created_at }
    }
}

#[derive(Serialize, ToSchema)]
struct Me {
    user: UserView,
    /// The companies the caller belongs to, the oldest first.
    companies: Vec<MyCompany>,
    /// Whether the binary holds no vendor key and so trusts one given at run time.
    development_build: bool,
    /// A second factor has to be set up before anything else (`second_factor_required`).
    must_enrol: bool,
    version: &'static str,
}

#[derive(Serialize, ToSchema)]
struct MyCompany {
    #[schema(value_type = String)]
    id: CompanyId,
    name: String,
    /// `owner`, `admin`, `dev`, `member` or `viewer`.
    #[schema(value_type = String)]
    role: Role,
}

impl From<Membership> for MyCompany {
    fn from(membership: Membership) -> Self {
        Self { id: membership.company.id, name: membership.company.name, role: membership.role }
    }
}

#[derive(Serialize, ToSchema)]
struct Opening {
    /// Whether the request carries a session that has not ended.
    signed_in: bool,
    /// There is no system admin yet: the bootstrap token can be redeemed.
    setup_open: bool,
    /// The build honours keys of its environment, and every screen says so, sign-in too.
    development_build: bool,
    /// A forgotten password can be replaced by a link that is mailed.
    mails_links: bool,
    /// What the OpenID Connect provider is called, where one is set.
    oidc: Option<String>,
    /// What the directory is called whose passwords are taken, where one is set.
    ldap: Option<String>,
}

/// What an interface needs to know before anybody has signed in: where to begin. It answers everybody, so that opening a page asks for nothing
/// that is refused.
#[utoipa::path(get, path = "/api/session", tag = "auth", responses((status = 200, body = Opening)))]
async fn opening(State(state): State<AppState>, signed: Result<Enrolling, ApiError>) -> Result<Json<Opening>, ApiError> {
    let signed_in = match signed {
        Ok(_) => true,
        Err(error) if error.status() == StatusCode::UNAUTHORIZED => false,
        Err(error) => return Err(error),
    };
    let setup_open = !state.setup.is_over().await?;
    let (development_build, mails_links) = (state.licensing.development_build(), state.auth.mails_links());
    let (oidc, ldap) = (state.sign_on.oidc_name().map(str::to_owned), state.sign_on.ldap_name().map(str::to_owned));
    Ok(Json(Opening { signed_in, setup_open, development_build, mails_links, oidc, ldap }))
}

/// Who is asking, and which companies they belong to.
#[utoipa::path(get, path = "/api/me", tag = "auth", responses((status = 200, body = Me), (status = 401, body = ErrorEnvelope)))]
async fn me(State(state): State<AppState>, Enrolling(caller): Enrolling) -> Result<Json<Me>, ApiError> {
    let companies = state.companies.list_for(&caller.user.id).await?;
    Ok(Json(Me {
        must_enrol: caller.must_enrol,
        user: caller.user.into(),
        companies: companies.into_iter().map(MyCompany::from).collect(),
        development_build: state.licensing.development_build(),
        version: state.facts.version,
    }))
}
