//! Companies.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::base::clock::Timestamp;
use crate::base::text::sentence;
use crate::http::caller::{CompanyAdmin, CompanyMember, RequestOrigin, Signed, SystemAdmin};
use crate::http::errors::ErrorEnvelope;
use crate::http::extract::ValidJson;
use crate::http::{ApiError, AppState};
use crate::model::company::{Company, Membership};
use crate::model::ids::CompanyId;
use crate::model::role::Role;
use crate::model::user::{DisplayName, InvalidName};

/// The routes of this noun.
pub fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::new().routes(routes!(list, create)).routes(routes!(get, rename))
}

/// A company, as one of its members sees it.
#[derive(Serialize, ToSchema)]
#[schema(as = Company)]
struct CompanyView {
    #[schema(value_type = String)]
    id: CompanyId,
    name: String,
    /// The caller's role: `owner`, `admin`, `dev`, `member` or `viewer`.
    #[schema(value_type = String)]
    role: Role,
    #[schema(value_type = String, format = DateTime)]
    created_at: Timestamp,
}

impl From<Membership> for CompanyView {
    fn from(Membership { company, role }: Membership) -> Self {
        Self { id: company.id, name: company.name, role, created_at: company.created_at }
    }
}

#[derive(Serialize, ToSchema)]
struct CompanyList {
    companies: Vec<CompanyView>,
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct NewCompanyRequest {
    name: String,
}

/// The companies the caller belongs to, the oldest first.
#[utoipa::path(get, path = "/api/companies", tag = "companies", operation_id = "list_companies", responses((status = 200, body = CompanyList), (status = 401, body = ErrorEnvelope)))]
async fn list(State(state): State<AppState>, Signed(caller): Signed) -> Result<Json<CompanyList>, ApiError> {
    let companies = state.companies.list_for(&caller.user.id).await?;
    Ok(Json(CompanyList { companies: companies.into_iter().map(CompanyView::from).collect() }))
}

/// Make a company; its maker becomes the owner. For system admins.
#[utoipa::path(post, path = "/api/companies", tag = "companies", operation_id = "create_company", request_body = NewCompanyRequest, responses(
    (status = 201, body = CompanyView),
    (status = 404, description = "Not a system admin", body = ErrorEnvelope),
    (status = 422, description = "`invalid_field`", body = ErrorEnvelope),
))]
async fn create(
    State(state): State<AppState>,
    SystemAdmin(caller): SystemAdmin,
    RequestOrigin(origin): RequestOrigin,
    ValidJson(request): ValidJson<NewCompanyRequest>,
) -> Result<(StatusCode, Json<CompanyView>), ApiError> {
    let name: DisplayName = request.name.parse().map_err(|error: InvalidName| ApiError::invalid("name", sentence(error)))?;
    let made = state.companies.create(&caller, &name, &origin).await?;
    Ok((StatusCode::CREATED, Json(made.into())))
}

/// One company.
#[utoipa::path(get, path = "/api/companies/{company}", tag = "companies", operation_id = "get_company", params(("company" = String, Path)), responses(
    (status = 200, body = CompanyView),
    (status = 404, body = ErrorEnvelope),
))]
async fn get(member: CompanyMember) -> Json<CompanyView> {
    Json(Membership { company: member.company, role: member.role }.into())
}

/// Give a company another name. For admins and owners.
#[utoipa::path(patch, path = "/api/companies/{company}", tag = "companies", operation_id = "rename_company", request_body = NewCompanyRequest,
    params(("company" = String, Path)), responses(
    (status = 200, body = CompanyView),
    (status = 403, description = "`role_too_low`", body = ErrorEnvelope),
    (status = 404, body = ErrorEnvelope),
    (status = 422, description = "`invalid_field`", body = ErrorEnvelope),
))]
async fn rename(
    State(state): State<AppState>,
    CompanyAdmin(member): CompanyAdmin,
    RequestOrigin(origin): RequestOrigin,
    ValidJson(request): ValidJson<NewCompanyRequest>,
) -> Result<Json<CompanyView>, ApiError> {
    let name: DisplayName = request.name.parse().map_err(|error: InvalidName| ApiError::invalid("name", sentence(error)))?;
    state.care.rename(&member.caller, &member.company.id, &name, &origin).await?;
    let company = Company { name: name.as_str().to_owned(), ..member.company };
    Ok(Json(Membership { company, role: member.role }.into()))
}
