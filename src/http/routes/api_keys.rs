//! API keys of a company's members. They are made and ended in a session only: a key makes no key.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::base::clock::Timestamp;
use crate::base::text::sentence;
use crate::http::caller::{CompanySession, Ids, RequestOrigin};
use crate::http::errors::ErrorEnvelope;
use crate::http::extract::ValidJson;
use crate::http::{ApiError, AppState};
use crate::model::api_key::{ApiKey, ApiKeyForm, ApiKeyState, InvalidApiKey, Scope};
use crate::model::ids::{ApiKeyId, UserId};
use crate::services::api_keys::CreateApiKeyError;

/// The routes of this noun.
pub fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::new().routes(routes!(list, create)).routes(routes!(revoke))
}

#[derive(Serialize, ToSchema)]
#[schema(as = ApiKey)]
struct ApiKeyView {
    #[schema(value_type = String)]
    id: ApiKeyId,
    name: String,
    /// The key's first characters, to recognise it by.
    prefix: String,
    /// `read`, `recall`, `chat`, `automations`, `documents`, `usage`.
    scopes: Vec<&'static str>,
    /// `active`, `expired` or `revoked`.
    state: &'static str,
    /// For whom it acts.
    #[schema(value_type = String)]
    user_id: UserId,
    user_name: String,
    #[schema(value_type = String, format = DateTime)]
    created_at: Timestamp,
    #[schema(value_type = String, format = DateTime)]
    expires_at: Timestamp,
    /// To the minute.
    #[schema(value_type = Option<String>, format = DateTime)]
    last_used_at: Option<Timestamp>,
}

impl ApiKeyView {
    fn new(key: ApiKey, state: ApiKeyState, user_name: String) -> Self {
        let scopes = key.scopes.names().collect();
        let ApiKey { id, user, name, prefix, created_at, expires_at, last_used_at, .. } = key;
        Self { id, name, prefix, scopes, state: state.as_str(), user_id: user, user_name, created_at, expires_at, last_used_at }
    }
}

#[derive(Serialize, ToSchema)]
struct ApiKeyList {
    api_keys: Vec<ApiKeyView>,
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct ApiKeyRequest {
    /// What it is for, in its owner's words.
    name: String,
    /// At least one of `read`, `recall`, `chat`, `automations`, `documents`, `usage`.
    #[schema(value_type = Vec<String>)]
    scopes: Vec<Scope>,
    /// From 1 to 365.
    expires_in_days: u32,
}

#[derive(Serialize, ToSchema)]
struct NewApiKeyView {
    api_key: ApiKeyView,
    /// What a program presents as its bearer token. Shown only here.
    token: String,
}

#[derive(Deserialize)]
struct ApiKeyPath {
    api_key: ApiKeyId,
}

/// API keys, the newest first: all of the company's for its admins and owners, else the caller's own.
#[utoipa::path(get, path = "/api/companies/{company}/api-keys", tag = "api keys", operation_id = "list_api_keys", params(("company" = String, Path)), responses(
    (status = 200, body = ApiKeyList),
    (status = 404, body = ErrorEnvelope),
))]
async fn list(State(state): State<AppState>, member: CompanySession) -> Result<Json<ApiKeyList>, ApiError> {
    let keys = state.api_keys.list(&member.caller, member.role, &member.company.id).await?;
    Ok(Json(ApiKeyList { api_keys: keys.into_iter().map(|(key, state, user)| ApiKeyView::new(key, state, user.name)).collect() }))
}

/// Make a key that acts for the caller, within its scopes and never beyond the caller's role at that moment. The answer holds its only copy.
#[utoipa::path(post, path = "/api/companies/{company}/api-keys", tag = "api keys", operation_id = "create_api_key", request_body = ApiKeyRequest,
    params(("company" = String, Path)), responses(
    (status = 201, body = NewApiKeyView),
    (status = 404, body = ErrorEnvelope),
    (status = 409, description = "`too_many_keys`", body = ErrorEnvelope),
    (status = 422, description = "`invalid_field`", body = ErrorEnvelope),
))]
async fn create(
    State(state): State<AppState>,
    member: CompanySession,
    RequestOrigin(origin): RequestOrigin,
    ValidJson(request): ValidJson<ApiKeyRequest>,
) -> Result<Response, ApiError> {
    let form = ApiKeyForm::check(&request.name, &request.scopes, request.expires_in_days)?;
    let made = state.api_keys.create(&member.caller, &member.company.id, form, &origin).await?;
    let view = ApiKeyView::new(made.key, ApiKeyState::Active, member.caller.user.name);
    Ok((StatusCode::CREATED, Json(NewApiKeyView { api_key: view, token: made.token.expose().clone() })).into_response())
}

/// End a key at once. Admins and owners end any of the company's, others their own.
#[utoipa::path(delete, path = "/api/companies/{company}/api-keys/{api_key}", tag = "api keys", operation_id = "revoke_api_key",
    params(("company" = String, Path), ("api_key" = String, Path)), responses(
    (status = 204),
    (status = 404, body = ErrorEnvelope),
))]
async fn revoke(
    State(state): State<AppState>,
    member: CompanySession,
    Ids(path): Ids<ApiKeyPath>,
    RequestOrigin(origin): RequestOrigin,
) -> Result<StatusCode, ApiError> {
    let revoked = state.api_keys.revoke(&member.caller, member.role, &member.company.id, path.api_key, &origin).await?;
    if revoked { Ok(StatusCode::NO_CONTENT) } else { Err(ApiError::not_found()) }
}

impl From<InvalidApiKey> for ApiError {
    fn from(error: InvalidApiKey) -> Self {
        Self::invalid(error.field(), sentence(error))
    }
}

impl From<CreateApiKeyError> for ApiError {
    fn from(error: CreateApiKeyError) -> Self {
        match error {
            CreateApiKeyError::UserHasMost | CreateApiKeyError::CompanyHasMost => {
                Self::conflict("too_many_keys", sentence(error)).remedy("End one that is not used any more.")
            }
            CreateApiKeyError::NotMember => Self::not_found(),
            CreateApiKeyError::Store(error) => error.into(),
        }
    }
}
