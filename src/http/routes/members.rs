//! Members of a company.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::base::clock::Timestamp;
use crate::features::members::MemberError;
use crate::http::caller::{CompanyAdmin, CompanySession, Fresh, Ids, RequestOrigin};
use crate::http::errors::ErrorEnvelope;
use crate::http::extract::{Listed, PartQuery, ValidJson};
use crate::http::{ApiError, AppState};
use crate::model::company::Member;
use crate::model::ids::UserId;
use crate::model::role::Role;
use crate::model::user::Email;

/// The routes of this noun.
pub fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::new().routes(routes!(list)).routes(routes!(change, remove))
}

/// Somebody who belongs to the company.
#[derive(Serialize, ToSchema)]
#[schema(as = Member)]
struct MemberView {
    #[schema(value_type = String)]
    user_id: UserId,
    name: String,
    #[schema(value_type = String)]
    email: Email,
    /// `owner`, `admin`, `dev`, `member` or `viewer`.
    #[schema(value_type = String)]
    role: Role,
    /// Since when they belong to the company.
    #[schema(value_type = String, format = DateTime)]
    since: Timestamp,
    /// When they last used the appliance, to the minute; null = never.
    #[schema(value_type = Option<String>, format = DateTime)]
    last_seen_at: Option<Timestamp>,
    /// Whether the account is kept out of the appliance.
    disabled: bool,
}

impl From<Member> for MemberView {
    fn from(Member { user, role, since, last_seen_at }: Member) -> Self {
        Self { user_id: user.id, name: user.name, email: user.email, role, since, last_seen_at, disabled: user.disabled_at.is_some() }
    }
}

#[derive(Serialize, ToSchema)]
struct MemberList {
    members: Vec<MemberView>,
    /// Where the next part begins (`before`); null when there is none.
    #[schema(value_type = Option<String>)]
    next_before: Option<UserId>,
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct MemberRequest {
    /// `owner`, `admin`, `dev`, `member` or `viewer`.
    #[schema(value_type = String)]
    role: Role,
}

#[derive(Deserialize)]
struct MemberPath {
    user: UserId,
}

/// The members: owners first, then by name.
#[utoipa::path(get, path = "/api/companies/{company}/members", tag = "members", operation_id = "list_members", params(("company" = String, Path), PartQuery), responses(
    (status = 200, body = MemberList),
    (status = 404, body = ErrorEnvelope),
))]
async fn list(State(state): State<AppState>, member: CompanySession, Listed(part): Listed<UserId>) -> Result<Json<MemberList>, ApiError> {
    let members = state.members.list(&member.company.id, &part).await?;
    let next_before = part.next(&members, |member| member.user.id.clone());
    Ok(Json(MemberList { members: members.into_iter().map(MemberView::from).collect(), next_before }))
}

/// Give a member another role. For admins and owners, and never more than one's own role.
#[utoipa::path(patch, path = "/api/companies/{company}/members/{user}", tag = "members", operation_id = "change_member", request_body = MemberRequest,
    params(("company" = String, Path), ("user" = String, Path)), responses(
    (status = 204),
    (status = 403, description = "`role_too_low`, `step_up_required`", body = ErrorEnvelope),
    (status = 404, body = ErrorEnvelope),
    (status = 409, description = "`last_owner`", body = ErrorEnvelope),
))]
async fn change(
    State(state): State<AppState>,
    CompanyAdmin(member): CompanyAdmin,
    _: Fresh,
    Ids(path): Ids<MemberPath>,
    RequestOrigin(origin): RequestOrigin,
    ValidJson(request): ValidJson<MemberRequest>,
) -> Result<StatusCode, ApiError> {
    state.members.set_role(&member.caller, &member.company.id, path.user, request.role, &origin).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// End a membership. What the member made stays with the company; their automations rest until an admin takes them over. Anybody may leave; admins and owners may remove members of at most their own role.
#[utoipa::path(delete, path = "/api/companies/{company}/members/{user}", tag = "members", operation_id = "remove_member",
    params(("company" = String, Path), ("user" = String, Path)), responses(
    (status = 204),
    (status = 403, description = "`role_too_low`, `step_up_required`", body = ErrorEnvelope),
    (status = 404, body = ErrorEnvelope),
    (status = 409, description = "`last_owner`", body = ErrorEnvelope),
))]
async fn remove(
    State(state): State<AppState>,
    member: CompanySession,
    _: Fresh,
    Ids(path): Ids<MemberPath>,
    RequestOrigin(origin): RequestOrigin,
) -> Result<StatusCode, ApiError> {
    state.members.remove(&member.caller, &member.company.id, path.user, &origin).await?;
    Ok(StatusCode::NO_CONTENT)
}

impl From<MemberError> for ApiError {
    fn from(error: MemberError) -> Self {
        match error {
            MemberError::NotThere => Self::not_found(),
            MemberError::NotAllowed => {
                let message = "This needs the role admin or owner, and at least the role of the member and the role to be given.";
                Self::new(StatusCode::FORBIDDEN, "role_too_low", message).remedy("Ask an owner of the company.")
            }
            MemberError::LastOwner => {
                Self::conflict("last_owner", "This is the company's last owner, and a company needs one.").remedy("Make another member owner first.")
            }
            MemberError::Store(error) => error.into(),
        }
    }
}
