//! Services that know people, for system admins: whether they work, and which of their groups give which role.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::base::clock::Timestamp;
use crate::base::text::sentence;
use crate::config::ldap::LdapSecurity;
use crate::features::sign_on::{GroupRoleDraft, GroupRoleError, LastFailure};
use crate::http::caller::{Fresh, Ids, RequestOrigin, SystemAdmin};
use crate::http::errors::ErrorEnvelope;
use crate::http::extract::ValidJson;
use crate::http::{ApiError, AppState};
use crate::model::ids::{CompanyId, GroupRoleId};
use crate::model::role::Role;
use crate::model::sso::{GroupRole, SsoSource};

/// The routes of this noun.
pub fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::new().routes(routes!(look)).routes(routes!(test)).routes(routes!(add_group)).routes(routes!(remove_group))
}

#[derive(Serialize, ToSchema)]
struct SignOnView {
    /// The OpenID Connect provider; `null`: none is set.
    oidc: Option<OidcView>,
    /// The directory of LDAP; `null`: none is set.
    ldap: Option<LdapView>,
    /// The groups that give roles.
    groups: Vec<GroupRoleView>,
    /// The companies in which a group can have a role.
    companies: Vec<CompanyName>,
}

#[derive(Serialize, ToSchema)]
struct CompanyName {
    #[schema(value_type = String)]
    id: CompanyId,
    name: String,
}

#[derive(Serialize, ToSchema)]
struct OidcView {
    /// What the sign-in page calls it.
    name: String,
    issuer: String,
    client_id: String,
    /// Whether it is told a secret; else PKCE alone protects the code.
    has_secret: bool,
    /// Where it sends people back to: to be registered there.
    redirect_uri: String,
    groups_claim: String,
    second_factor: bool,
    /// Why it did not answer last.
    last_failure: Option<FailureView>,
}

#[derive(Serialize, ToSchema)]
struct LdapView {
    /// What the sign-in page calls it.
    name: String,
    /// `host:port`.
    server: String,
    /// `tls`, `start_tls`, or `none` on this machine.
    security: &'static str,
    base_dn: String,
    /// The account that looks people up; `null`: none, anonymous.
    bind_dn: Option<String>,
    second_factor: bool,
    /// Why it did not answer last.
    last_failure: Option<FailureView>,
}

#[derive(Serialize, ToSchema)]
struct FailureView {
    #[schema(value_type = String, format = DateTime)]
    at: Timestamp,
    reason: String,
}

impl From<LastFailure> for FailureView {
    fn from(failure: LastFailure) -> Self {
        Self { at: failure.at, reason: failure.reason }
    }
}

#[derive(Serialize, ToSchema)]
struct GroupRoleView {
    #[schema(value_type = String)]
    id: GroupRoleId,
    /// `oidc` or `ldap`.
    #[schema(value_type = String)]
    source: SsoSource,
    group: String,
    #[schema(value_type = String)]
    company_id: CompanyId,
    company: String,
    #[schema(value_type = String)]
    role: Role,
    #[schema(value_type = String, format = DateTime)]
    created_at: Timestamp,
}

impl From<(GroupRole, String)> for GroupRoleView {
    fn from((group_role, company): (GroupRole, String)) -> Self {
        let GroupRole { id, source, group, company: company_id, role, created_at } = group_role;
        Self { id, source, group, company_id, company, role, created_at }
    }
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct NewGroupRole {
    /// `oidc` or `ldap`.
    #[schema(value_type = String)]
    source: SsoSource,
    /// As it stands in the provider's claim; of a directory the whole name of the group's entry.
    group: String,
    #[schema(value_type = String)]
    company_id: CompanyId,
    /// `admin`, `dev`, `member` or `viewer`.
    #[schema(value_type = String)]
    role: Role,
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct TestRequest {
    /// `oidc` or `ldap`.
    #[schema(value_type = String)]
    source: SsoSource,
}

#[derive(Serialize, ToSchema)]
struct TestView {
    works: bool,
    /// What it answered, or why it did not.
    found: String,
}

/// Which services know people, whether they work, and which groups give which role.
#[utoipa::path(get, path = "/api/system-admin/sign-on", tag = "system-admin", operation_id = "sign_on", responses(
    (status = 200, body = SignOnView),
    (status = 404, description = "Not a system admin", body = ErrorEnvelope),
))]
async fn look(State(state): State<AppState>, _: SystemAdmin) -> Result<Json<SignOnView>, ApiError> {
    let groups = state.sign_on.group_roles().await?.into_iter().map(GroupRoleView::from).collect();
    let companies = state.companies.all().await?.into_iter().map(|company| CompanyName { id: company.id, name: company.name }).collect();
    Ok(Json(SignOnView { oidc: oidc_view(&state), ldap: ldap_view(&state), groups, companies }))
}

fn oidc_view(state: &AppState) -> Option<OidcView> {
    let oidc = state.sign_on.oidc()?;
    let settings = oidc.provider.settings();
    Some(OidcView {
        name: oidc.name.clone(),
        issuer: settings.issuer.clone(),
        client_id: settings.client_id.clone(),
        has_secret: settings.client_secret.is_some(),
        redirect_uri: settings.redirect_uri.to_string(),
        groups_claim: settings.groups_claim.clone(),
        second_factor: oidc.second_factor,
        last_failure: state.sign_on.last_failure(SsoSource::Oidc).map(FailureView::from),
    })
}

fn ldap_view(state: &AppState) -> Option<LdapView> {
    let ldap = state.sign_on.ldap()?;
    let settings = ldap.directory.settings();
    Some(LdapView {
        name: ldap.name.clone(),
        server: format!("{}:{}", settings.server.host, settings.server.port),
        security: match settings.server.security {
            LdapSecurity::Tls => "tls",
            LdapSecurity::StartTls => "start_tls",
            LdapSecurity::None => "none",
        },
        base_dn: settings.base.clone(),
        bind_dn: settings.account.as_ref().map(|(dn, _)| dn.clone()),
        second_factor: ldap.second_factor,
        last_failure: state.sign_on.last_failure(SsoSource::Ldap).map(FailureView::from),
    })
}

/// Ask a service whether it answers as it should.
#[utoipa::path(post, path = "/api/system-admin/sign-on/test", tag = "system-admin", operation_id = "test_sign_on", request_body = TestRequest, responses(
    (status = 200, body = TestView),
    (status = 404, description = "Not a system admin, or no such service is set", body = ErrorEnvelope),
))]
async fn test(State(state): State<AppState>, _: SystemAdmin, ValidJson(request): ValidJson<TestRequest>) -> Result<Json<TestView>, ApiError> {
    let probed = match request.source {
        SsoSource::Oidc => state.sign_on.probe_oidc().await.map(|probed| match probed {
            Ok(probe) => Ok(format!("It sends people to {} and publishes {} keys.", probe.authorization_endpoint, probe.keys)),
            Err(error) => Err(sentence(error)),
        }),
        SsoSource::Ldap => state.sign_on.probe_ldap().await.map(|probed| match probed {
            Ok(()) => Ok("It answers, and the account may search in it.".to_owned()),
            Err(error) => Err(sentence(error)),
        }),
    };
    let probed = probed.ok_or_else(ApiError::not_found)?;
    Ok(Json(TestView { works: probed.is_ok(), found: probed.unwrap_or_else(|reason| reason) }))
}

/// Give a group a role in a company. Whoever is in it has the role from their next sign-in on.
#[utoipa::path(post, path = "/api/system-admin/sign-on/groups", tag = "system-admin", operation_id = "add_group_role", request_body = NewGroupRole, responses(
    (status = 201, description = "It is in the list"),
    (status = 403, description = "`step_up_required`", body = ErrorEnvelope),
    (status = 404, description = "Not a system admin", body = ErrorEnvelope),
    (status = 409, description = "`group_role_exists`, `group_roles_full`", body = ErrorEnvelope),
    (status = 422, description = "`invalid_field`", body = ErrorEnvelope),
))]
async fn add_group(
    SystemAdmin(caller): SystemAdmin,
    _: Fresh,
    State(state): State<AppState>,
    RequestOrigin(origin): RequestOrigin,
    ValidJson(new): ValidJson<NewGroupRole>,
) -> Result<StatusCode, ApiError> {
    let NewGroupRole { source, group, company_id: company, role } = new;
    state.sign_on.add_group_role(&caller, GroupRoleDraft { source, group, company, role }, &origin).await?;
    Ok(StatusCode::CREATED)
}

/// Take a group's role away. Who has it by the group loses it at their next sign-in.
#[utoipa::path(
    delete, path = "/api/system-admin/sign-on/groups/{group}", tag = "system-admin", operation_id = "remove_group_role",
    params(("group" = String, Path)),
    responses((status = 204), (status = 403, description = "`step_up_required`", body = ErrorEnvelope), (status = 404, body = ErrorEnvelope))
)]
async fn remove_group(
    SystemAdmin(caller): SystemAdmin,
    _: Fresh,
    State(state): State<AppState>,
    RequestOrigin(origin): RequestOrigin,
    Ids(id): Ids<GroupRoleId>,
) -> Result<StatusCode, ApiError> {
    if state.sign_on.remove_group_role(&caller, id, &origin).await? { Ok(StatusCode::NO_CONTENT) } else { Err(ApiError::not_found()) }
}

impl From<GroupRoleError> for ApiError {
    fn from(error: GroupRoleError) -> Self {
        let message = sentence(&error);
        match error {
            GroupRoleError::Invalid(invalid) => Self::invalid(invalid.field, sentence(invalid.message)).remedy(invalid.remedy),
            GroupRoleError::Exists => Self::conflict("group_role_exists", message).field("group").remedy("Remove that one first to give another."),
            GroupRoleError::NoCompany => Self::invalid("company_id", message).remedy("Choose one of the list."),
            GroupRoleError::Full => Self::conflict("group_roles_full", message).remedy("Remove some that are not needed."),
            GroupRoleError::Store(error) => error.into(),
        }
    }
}
