//! The appliance's accounts, for system admins.

use axum::Json;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::me::UserView;
use crate::base::clock::Timestamp;
use crate::features::members::UserChangeError;
use crate::http::caller::{Fresh, Ids, RequestOrigin, SystemAdmin};
use crate::http::errors::ErrorEnvelope;
use crate::http::extract::ValidJson;
use crate::http::{ApiError, AppState};
use crate::model::ids::UserId;
use crate::model::user::UserWithUse;

/// The routes of this noun.
pub fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::new().routes(routes!(list)).routes(routes!(change)).routes(routes!(reset)).routes(routes!(remove_factors))
}

/// An account, with what a system admin wants to know about its use.
#[derive(Serialize, ToSchema)]
struct AccountView {
    user: UserView,
    /// Companies it belongs to.
    companies: u32,
    /// When it was last used, to the minute; null = never.
    #[schema(value_type = Option<String>, format = DateTime)]
    last_seen_at: Option<Timestamp>,
    /// Whether it is kept out.
    disabled: bool,
}

impl From<UserWithUse> for AccountView {
    fn from(UserWithUse { user, companies, last_seen_at }: UserWithUse) -> Self {
        Self { disabled: user.disabled_at.is_some(), user: user.into(), companies, last_seen_at }
    }
}

#[derive(Serialize, ToSchema)]
struct AccountList {
    users: Vec<AccountView>,
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct AccountRequest {
    /// Whether the account is kept out; that ends its sessions at once.
    disabled: bool,
}

#[derive(Serialize, ToSchema)]
struct PasswordResetView {
    /// Replaces the password, once. Shown only here: hand over the link `/password-reset#TOKEN` of this appliance.
    token: String,
    #[schema(value_type = String, format = DateTime)]
    expires_at: Timestamp,
    /// Whether it is on its way to the account's owner by mail too.
    mailed: bool,
}

#[derive(Deserialize)]
struct UserPath {
    user: UserId,
}

/// Every account, by name.
#[utoipa::path(get, path = "/api/system-admin/users", tag = "system-admin", operation_id = "list_users", responses(
    (status = 200, body = AccountList),
    (status = 404, description = "Not a system admin", body = ErrorEnvelope),
))]
async fn list(State(state): State<AppState>, _: SystemAdmin) -> Result<Json<AccountList>, ApiError> {
    let users = state.members.users().await?;
    Ok(Json(AccountList { users: users.into_iter().map(AccountView::from).collect() }))
}

/// Keep an account out, or let it in again.
#[utoipa::path(patch, path = "/api/system-admin/users/{user}", tag = "system-admin", operation_id = "change_user", request_body = AccountRequest,
    params(("user" = String, Path)), responses(
    (status = 204),
    (status = 402, description = "`seat_limit_reached`", body = ErrorEnvelope),
    (status = 403, description = "`step_up_required`", body = ErrorEnvelope),
    (status = 404, body = ErrorEnvelope),
    (status = 409, description = "`last_system_admin`", body = ErrorEnvelope),
))]
async fn change(
    State(state): State<AppState>,
    SystemAdmin(caller): SystemAdmin,
    _: Fresh,
    Ids(path): Ids<UserPath>,
    RequestOrigin(origin): RequestOrigin,
    ValidJson(request): ValidJson<AccountRequest>,
) -> Result<StatusCode, ApiError> {
    state.members.set_disabled(&caller, path.user, request.disabled, &origin).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Make a link that replaces a forgotten password once, within 24 hours.
#[utoipa::path(post, path = "/api/system-admin/users/{user}/password-reset", tag = "system-admin", operation_id = "create_password_reset", params(("user" = String, Path)), responses(
    (status = 201, body = PasswordResetView),
    (status = 403, description = "`step_up_required`", body = ErrorEnvelope),
    (status = 404, body = ErrorEnvelope),
))]
async fn reset(
    State(state): State<AppState>,
    SystemAdmin(caller): SystemAdmin,
    _: Fresh,
    Ids(path): Ids<UserPath>,
    RequestOrigin(origin): RequestOrigin,
) -> Result<Response, ApiError> {
    let link = state.members.issue_password_reset(&caller, &path.user, &origin).await?;
    let view = PasswordResetView { token: link.token.expose().clone(), expires_at: link.expires_at, mailed: link.mailed };
    Ok((StatusCode::CREATED, [(header::CACHE_CONTROL, "no-store")], Json(view)).into_response())
}

/// Take an account's second factors away: its owner lost their device and their recovery codes.
#[utoipa::path(delete, path = "/api/system-admin/users/{user}/factors", tag = "system-admin", operation_id = "remove_user_factors",
    params(("user" = String, Path)), responses(
    (status = 204),
    (status = 403, description = "`step_up_required`", body = ErrorEnvelope),
    (status = 404, body = ErrorEnvelope),
))]
async fn remove_factors(
    State(state): State<AppState>,
    SystemAdmin(caller): SystemAdmin,
    _: Fresh,
    Ids(path): Ids<UserPath>,
    RequestOrigin(origin): RequestOrigin,
) -> Result<StatusCode, ApiError> {
    state.members.remove_factors(&caller, path.user, &origin).await?;
    Ok(StatusCode::NO_CONTENT)
}

impl From<UserChangeError> for ApiError {
    fn from(error: UserChangeError) -> Self {
        match error {
            UserChangeError::NotThere => Self::not_found(),
            UserChangeError::LastSystemAdmin => {
                Self::conflict("last_system_admin", "This is the last system admin who can come in.").remedy("Let another system admin in first.")
            }
            UserChangeError::SeatsTaken => seats_taken(),
            UserChangeError::Link(error) => error.into(),
            UserChangeError::Store(error) => error.into(),
        }
    }
}

/// 402: nobody can be added.
pub(super) fn seats_taken() -> ApiError {
    ApiError::new(StatusCode::PAYMENT_REQUIRED, "seat_limit_reached", "Every seat of the licence is taken: nobody can be added.")
        .remedy("Disable users who have left, or ask the vendor for more seats.")
}
