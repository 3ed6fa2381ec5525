//! One's own account: password and sessions, and the link that replaces a forgotten password.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::auth::no_cookie;
use crate::base::clock::Timestamp;
use crate::base::secret::Secret;
use crate::base::text::sentence;
use crate::http::caller::{Fresh, Ids, RequestOrigin, Signed};
use crate::http::errors::ErrorEnvelope;
use crate::http::extract::ValidJson;
use crate::http::{ApiError, AppState};
use crate::model::ids::SessionId;
use crate::model::session::OpenSession;
use crate::services::auth::accounts::{EmailError, PasswordError};

/// The routes of this noun.
pub fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::new()
        .routes(routes!(sessions))
        .routes(routes!(end_others))
        .routes(routes!(end_all))
        .routes(routes!(end))
        .routes(routes!(change_password))
        .routes(routes!(change_email))
        .routes(routes!(reset_password))
        .routes(routes!(forgot_password))
        .routes(routes!(verify_email))
}

/// A session that can be used.
#[derive(Serialize, ToSchema)]
struct OpenSessionView {
    #[schema(value_type = String)]
    id: SessionId,
    /// Whether it is the one that asks.
    current: bool,
    #[schema(value_type = String, format = DateTime)]
    created_at: Timestamp,
    /// To the minute.
    #[schema(value_type = String, format = DateTime)]
    last_seen_at: Timestamp,
    #[schema(value_type = String, format = DateTime)]
    expires_at: Timestamp,
    /// The address it was opened from.
    address: Option<String>,
    /// What the client called itself.
    user_agent: Option<String>,
}

#[derive(Serialize, ToSchema)]
struct SessionList {
    sessions: Vec<OpenSessionView>,
}

#[derive(Serialize, ToSchema)]
struct EndedView {
    /// How many sessions were open.
    ended: usize,
}

// No `Debug`: both hold passwords.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct ChangePasswordRequest {
    present_password: String,
    password: String,
}

// No `Debug`: it holds a password.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct ChangeEmailRequest {
    present_password: String,
    email: String,
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct ResetPasswordRequest {
    token: String,
    password: String,
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct ForgotPasswordRequest {
    email: String,
}

// No `Debug`: it holds a token.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct VerifyEmailRequest {
    token: String,
}

#[derive(Deserialize)]
struct SessionPath {
    session: SessionId,
}

/// The caller's sessions, the one used last first.
#[utoipa::path(get, path = "/api/me/sessions", tag = "auth", operation_id = "list_sessions", responses((status = 200, body = SessionList), (status = 401, body = ErrorEnvelope)))]
async fn sessions(State(state): State<AppState>, Signed(caller): Signed) -> Result<Json<SessionList>, ApiError> {
    let sessions = state.auth.sessions_of(&caller).await?.into_iter().map(|OpenSession { session, address, user_agent }| OpenSessionView {
        current: session.id == caller.session_id,
        id: session.id,
        created_at: session.created_at,
        last_seen_at: session.last_seen_at,
        expires_at: session.expires_at,
        address,
        user_agent,
    });
    Ok(Json(SessionList { sessions: sessions.collect() }))
}

/// End all of the caller's sessions but the one that asks.
#[utoipa::path(post, path = "/api/me/sessions/end-others", tag = "auth", operation_id = "end_other_sessions", responses(
    (status = 200, body = EndedView),
    (status = 401, body = ErrorEnvelope),
))]
async fn end_others(
    State(state): State<AppState>,
    Signed(caller): Signed,
    RequestOrigin(origin): RequestOrigin,
) -> Result<Json<EndedView>, ApiError> {
    Ok(Json(EndedView { ended: state.auth.end_other_sessions(&caller, &origin).await? }))
}

/// Sign out everywhere: end all of the caller's sessions, the one that asks too.
#[utoipa::path(post, path = "/api/me/sessions/end-all", tag = "auth", operation_id = "end_all_sessions", responses(
    (status = 200, body = EndedView),
    (status = 401, body = ErrorEnvelope),
))]
async fn end_all(State(state): State<AppState>, Signed(caller): Signed, RequestOrigin(origin): RequestOrigin) -> Result<Response, ApiError> {
    let ended = state.auth.end_all_sessions(&caller, &origin).await?;
    Ok((no_cookie(&state)?, Json(EndedView { ended })).into_response())
}

/// End one of the caller's sessions.
#[utoipa::path(delete, path = "/api/me/sessions/{session}", tag = "auth", operation_id = "end_session", params(("session" = String, Path)), responses(
    (status = 204),
    (status = 401, body = ErrorEnvelope),
    (status = 404, body = ErrorEnvelope),
))]
async fn end(
    State(state): State<AppState>,
    Signed(caller): Signed,
    Ids(path): Ids<SessionPath>,
    RequestOrigin(origin): RequestOrigin,
) -> Result<StatusCode, ApiError> {
    let ended = state.auth.end_session(&caller, path.session, &origin).await?;
    if ended { Ok(StatusCode::NO_CONTENT) } else { Err(ApiError::not_found()) }
}

/// Replace one's password. All other sessions end.
#[utoipa::path(post, path = "/api/me/password", tag = "auth", operation_id = "change_password", request_body = ChangePasswordRequest, responses(
    (status = 204),
    (status = 401, body = ErrorEnvelope),
    (status = 403, description = "`wrong_password`", body = ErrorEnvelope),
    (status = 422, description = "`invalid_field`", body = ErrorEnvelope),
    (status = 429, description = "`too_many_tries`, `busy`", body = ErrorEnvelope),
))]
async fn change_password(
    State(state): State<AppState>,
    Signed(caller): Signed,
    RequestOrigin(origin): RequestOrigin,
    ValidJson(request): ValidJson<ChangePasswordRequest>,
) -> Result<StatusCode, ApiError> {
    let present = Secret::new(request.present_password);
    state.auth.change_password(&caller, &present, Secret::new(request.password), &origin).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Give one's account another mail address. All other sessions end; sign in with the new address from now on.
#[utoipa::path(post, path = "/api/me/email", tag = "auth", operation_id = "change_email", request_body = ChangeEmailRequest, responses(
    (status = 204),
    (status = 401, body = ErrorEnvelope),
    (status = 403, description = "`wrong_password`, `step_up_required`", body = ErrorEnvelope),
    (status = 409, description = "`email_taken`", body = ErrorEnvelope),
    (status = 422, description = "`invalid_field`", body = ErrorEnvelope),
    (status = 429, description = "`too_many_tries`, `busy`", body = ErrorEnvelope),
))]
async fn change_email(
    State(state): State<AppState>,
    Signed(caller): Signed,
    _: Fresh,
    RequestOrigin(origin): RequestOrigin,
    ValidJson(request): ValidJson<ChangeEmailRequest>,
) -> Result<StatusCode, ApiError> {
    state.auth.change_email(&caller, &Secret::new(request.present_password), &request.email, &origin).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Replace a forgotten password by a link's token. Every session of the account ends; sign in with the new password.
#[utoipa::path(post, path = "/api/auth/password-reset", tag = "auth", operation_id = "reset_password", request_body = ResetPasswordRequest, responses(
    (status = 204),
    (status = 410, description = "`link_ended`", body = ErrorEnvelope),
    (status = 422, description = "`invalid_field`", body = ErrorEnvelope),
    (status = 429, description = "`busy`", body = ErrorEnvelope),
))]
async fn reset_password(
    State(state): State<AppState>,
    RequestOrigin(origin): RequestOrigin,
    ValidJson(request): ValidJson<ResetPasswordRequest>,
) -> Result<StatusCode, ApiError> {
    state.auth.reset_password(&Secret::new(request.token), Secret::new(request.password), origin).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Ask for a link that replaces a forgotten password, by mail. The answer is the same whether the address has an account or not.
#[utoipa::path(post, path = "/api/auth/forgot-password", tag = "auth", operation_id = "forgot_password", request_body = ForgotPasswordRequest, responses(
    (status = 202),
    (status = 409, description = "`no_mail`", body = ErrorEnvelope),
    (status = 429, description = "`too_many_tries`", body = ErrorEnvelope),
))]
async fn forgot_password(
    State(state): State<AppState>,
    RequestOrigin(origin): RequestOrigin,
    ValidJson(request): ValidJson<ForgotPasswordRequest>,
) -> Result<StatusCode, ApiError> {
    if !state.auth.mails_links() {
        return Err(ApiError::conflict("no_mail", "This appliance sends no links by mail.").remedy("Ask a system admin for a link that replaces it."));
    }
    state.auth.mail_forgotten(&request.email, origin)?;
    Ok(StatusCode::ACCEPTED)
}

/// Verify a mail address by a link's token.
#[utoipa::path(post, path = "/api/auth/verify-email", tag = "auth", operation_id = "verify_email", request_body = VerifyEmailRequest, responses(
    (status = 204),
    (status = 410, description = "`link_ended`", body = ErrorEnvelope),
))]
async fn verify_email(
    State(state): State<AppState>,
    RequestOrigin(origin): RequestOrigin,
    ValidJson(request): ValidJson<VerifyEmailRequest>,
) -> Result<StatusCode, ApiError> {
    let verified = state.auth.verify_email(&Secret::new(request.token), origin).await?;
    let ended = || {
        ApiError::new(StatusCode::GONE, "link_ended", "This link was used, replaced by a newer one, or is older than 24 hours.")
            .field("token")
            .remedy("Sign in: if the address is not verified yet, another link is sent.")
    };
    verified.map(|_| StatusCode::NO_CONTENT).ok_or_else(ended)
}

impl From<EmailError> for ApiError {
    fn from(error: EmailError) -> Self {
        match error {
            EmailError::Email(error) => Self::invalid("email", sentence(error)),
            EmailError::Taken => Self::conflict("email_taken", "This mail address belongs to another account.")
                .field("email")
                .remedy("Give another address, or ask a system admin to disable the other account."),
            EmailError::Password(error) => error.into(),
            EmailError::Store(error) => error.into(),
        }
    }
}

impl From<PasswordError> for ApiError {
    fn from(error: PasswordError) -> Self {
        match error {
            PasswordError::WrongPassword => Self::new(StatusCode::FORBIDDEN, "wrong_password", "This is not your present password.")
                .field("present_password")
                .remedy("If you forgot it, ask a system admin for a link that replaces it."),
            PasswordError::LinkEnded => {
                Self::new(StatusCode::GONE, "link_ended", "This link was used, replaced by a newer one, or is older than 24 hours.")
                    .field("token")
                    .remedy("Ask a system admin for another.")
            }
            PasswordError::TooManyTries(error) => error.into(),
            PasswordError::Refused(error) => Self::invalid("password", sentence(error)),
            PasswordError::Hash(error) => error.into(),
            PasswordError::Vault(error) => Self::internal(error),
            PasswordError::Store(error) => error.into(),
        }
    }
}
