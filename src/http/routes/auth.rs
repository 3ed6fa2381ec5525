//! Signing in and out.

use axum::Json;
use axum::extract::State;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::me::UserView;
use super::passkeys::refused;
use crate::base::clock::Timestamp;
use crate::base::secret::Secret;
use crate::http::caller::{Enrolling, RequestOrigin};
use crate::http::errors::ErrorEnvelope;
use crate::http::extract::ValidJson;
use crate::http::{ApiError, AppState};
use crate::model::factor::FactorMethod;
use crate::model::session::SignedIn;
use crate::services::auth::LoginError;
use crate::services::auth::limits::TooManyTries;
use crate::services::auth::password::HashError;
use crate::services::auth::second_step::{Login, SecondStepError, Waiting};

/// How long someone should wait when as many passwords are being checked as may: several hashes' time.
pub(super) const BUSY_RETRY: std::time::Duration = std::time::Duration::from_secs(2);

/// The routes of this noun.
pub fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::new().routes(routes!(login)).routes(routes!(second_step)).routes(routes!(mail_code)).routes(routes!(logout))
}

// No `Debug`: it holds a password.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct LoginRequest {
    email: String,
    password: String,
    /// `cookie` (for browsers) unless given.
    #[serde(default)]
    session: SessionKind,
}

/// How the session is handed over.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub(super) enum SessionKind {
    /// In a cookie that no script can read, and nowhere else: for browsers.
    #[default]
    Cookie,
    /// As a token in the answer, and no cookie: for programs.
    Bearer,
}

/// Somebody who has just come in.
#[derive(Serialize, ToSchema)]
pub(super) struct SessionView {
    user: UserView,
    session: TokenView,
}

#[derive(Serialize, ToSchema)]
struct TokenView {
    /// Only where a bearer session was asked for: send it as `Authorization: Bearer`.
    #[serde(skip_serializing_if = "Option::is_none")]
    token: Option<String>,
    /// When the session ends at the latest.
    #[schema(value_type = String, format = DateTime)]
    expires_at: Timestamp,
}

/// A right password that is not enough.
#[derive(Serialize, ToSchema)]
pub(super) struct SecondStepView {
    /// What to present with the factor.
    second_step: String,
    /// How the factor can be shown: `passkey`, `totp`, `recovery_code`, `email` (a code is on its way).
    #[schema(value_type = Vec<String>)]
    methods: Vec<FactorMethod>,
    /// Until when.
    #[schema(value_type = String, format = DateTime)]
    expires_at: Timestamp,
}

// No `Debug`: both hold what opens a session.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct SecondStepRequest {
    /// From the answer of the first step.
    second_step: String,
    /// `totp`, `recovery_code` or `email`.
    #[schema(value_type = String)]
    method: FactorMethod,
    code: String,
    /// `cookie` (for browsers) unless given.
    #[serde(default)]
    session: SessionKind,
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct MailCodeRequest {
    /// From the answer of the first step.
    second_step: String,
}

/// Sign in with mail address and password. Who has a second factor is asked for it (202).
#[utoipa::path(post, path = "/api/auth/login", tag = "auth", request_body = LoginRequest, responses(
    (status = 200, body = SessionView),
    (status = 202, description = "A second factor is asked for", body = SecondStepView),
    (status = 401, description = "`wrong_credentials`", body = ErrorEnvelope),
    (status = 403, description = "`email_not_verified`", body = ErrorEnvelope),
    (status = 429, description = "`too_many_tries`, `busy`", body = ErrorEnvelope),
))]
async fn login(
    State(state): State<AppState>,
    RequestOrigin(origin): RequestOrigin,
    ValidJson(request): ValidJson<LoginRequest>,
) -> Result<Response, ApiError> {
    let login = state.auth.login(&request.email, &Secret::new(request.password), origin).await?;
    login_response(&state, request.session, login)
}

/// Answers somebody who is in, or who is asked for a second factor.
pub(super) fn login_response(state: &AppState, kind: SessionKind, login: Login) -> Result<Response, ApiError> {
    match login {
        Login::In(signed_in) => signed_in_response(state, StatusCode::OK, kind, signed_in),
        Login::SecondStep(Waiting { token, methods, expires_at }) => {
            let view = SecondStepView { second_step: token.expose().clone(), methods, expires_at };
            Ok((StatusCode::ACCEPTED, [(header::CACHE_CONTROL, "no-store")], Json(view)).into_response())
        }
    }
}

/// Sign in: the second step, with a code.
#[utoipa::path(post, path = "/api/auth/second-step", tag = "auth", operation_id = "second_step", request_body = SecondStepRequest, responses(
    (status = 200, body = SessionView),
    (status = 401, description = "`wrong_code`", body = ErrorEnvelope),
    (status = 410, description = "`sign_in_ended`", body = ErrorEnvelope),
    (status = 429, description = "`too_many_tries`", body = ErrorEnvelope),
))]
async fn second_step(
    State(state): State<AppState>,
    RequestOrigin(origin): RequestOrigin,
    ValidJson(request): ValidJson<SecondStepRequest>,
) -> Result<Response, ApiError> {
    let (token, code) = (Secret::new(request.second_step), Secret::new(request.code));
    let signed_in = state.auth.second_step(&token, request.method, &code, origin).await?;
    signed_in_response(&state, StatusCode::OK, request.session, signed_in)
}

/// Mail another code for a sign-in that waits for one. The earlier code does not count any more.
#[utoipa::path(post, path = "/api/auth/second-step/mail", tag = "auth", operation_id = "mail_another_code", request_body = MailCodeRequest, responses(
    (status = 204),
    (status = 409, description = "`no_more_mail`", body = ErrorEnvelope),
    (status = 410, description = "`sign_in_ended`", body = ErrorEnvelope),
    (status = 429, description = "`too_many_tries`", body = ErrorEnvelope),
))]
async fn mail_code(State(state): State<AppState>, ValidJson(request): ValidJson<MailCodeRequest>) -> Result<StatusCode, ApiError> {
    state.auth.mail_another_code(&Secret::new(request.second_step)).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// End the session that asks.
#[utoipa::path(post, path = "/api/auth/logout", tag = "auth", responses((status = 204), (status = 401, body = ErrorEnvelope)))]
async fn logout(State(state): State<AppState>, Enrolling(caller): Enrolling, RequestOrigin(origin): RequestOrigin) -> Result<Response, ApiError> {
    state.auth.logout(&caller, &origin).await;
    Ok((StatusCode::NO_CONTENT, no_cookie(&state)?).into_response())
}

/// Answers somebody who has just come in, with the session as they asked for it.
pub(super) fn signed_in_response(state: &AppState, status: StatusCode, kind: SessionKind, signed_in: SignedIn) -> Result<Response, ApiError> {
    let token = signed_in.token.expose();
    let seconds = signed_in.expires_at.since(state.seams.now()).as_secs();
    let (headers, token) = match kind {
        SessionKind::Cookie => (cookie_header(&session_cookie(state, token, seconds))?, None),
        SessionKind::Bearer => (HeaderMap::new(), Some(token.clone())),
    };
    let session = TokenView { token, expires_at: signed_in.expires_at };
    Ok((status, headers, Json(SessionView { user: signed_in.user.into(), session })).into_response())
}

/// Takes the session's cookie out of the browser.
pub(super) fn no_cookie(state: &AppState) -> Result<HeaderMap, ApiError> {
    cookie_header(&session_cookie(state, "", 0))
}

fn session_cookie(state: &AppState, token: &str, seconds: u64) -> String {
    let secure = if state.facts.plain_http { "" } else { "; Secure" };
    format!("{}={token}; Path=/; HttpOnly; SameSite=Lax; Max-Age={seconds}{secure}", state.facts.session_cookie())
}

fn cookie_header(cookie: &str) -> Result<HeaderMap, ApiError> {
    let mut value = HeaderValue::from_str(cookie).map_err(ApiError::internal)?;
    value.set_sensitive(true);
    // What carries a session is for one pair of eyes: no cache keeps it.
    Ok(HeaderMap::from_iter([(header::SET_COOKIE, value), (header::CACHE_CONTROL, HeaderValue::from_static("no-store"))]))
}

impl From<LoginError> for ApiError {
    fn from(error: LoginError) -> Self {
        match error {
            LoginError::WrongCredentials => Self::new(StatusCode::UNAUTHORIZED, "wrong_credentials", "The mail address or the password is wrong."),
            LoginError::TooManyTries(error) => error.into(),
            LoginError::EmailNotVerified => {
                Self::new(StatusCode::FORBIDDEN, "email_not_verified", "The password is right, and your mail address is not verified yet.")
                    .remedy("Open the link in the mail that was sent to you. Signing in again after five minutes sends another.")
            }
            LoginError::Vault(error) => Self::internal(error),
            LoginError::Hash(error) => error.into(),
            LoginError::Store(error) => error.into(),
        }
    }
}

impl From<SecondStepError> for ApiError {
    fn from(error: SecondStepError) -> Self {
        match error {
            SecondStepError::Ended => Self::new(
                StatusCode::GONE,
                "sign_in_ended",
                "This sign-in is over: it was used, is older than ten minutes, or had too many wrong codes.",
            )
            .remedy("Sign in again."),
            SecondStepError::Wrong { attempts_left } => {
                Self::new(StatusCode::UNAUTHORIZED, "wrong_code", "This code is not right, or was used before.")
                    .field("code")
                    .fact("attempts_left", attempts_left)
                    .remedy("Enter the code that is shown now; an app's code counts once. If it never fits, the clock of the device is off.")
            }
            SecondStepError::PasskeyRefused { refusal, attempts_left } => {
                refused(StatusCode::UNAUTHORIZED, refusal).fact("attempts_left", attempts_left)
            }
            SecondStepError::Passkey(error) => error.into(),
            SecondStepError::NoMoreMail => Self::conflict("no_more_mail", "No other code is mailed for this sign-in.")
                .remedy("Look for the mails that were sent, or sign in again."),
            SecondStepError::TooManyTries(error) => error.into(),
            SecondStepError::Vault(error) => Self::internal(error),
            SecondStepError::Store(error) => error.into(),
        }
    }
}

impl From<TooManyTries> for ApiError {
    fn from(error: TooManyTries) -> Self {
        Self::too_many("too_many_tries", "There were too many wrong tries.", error.retry_after).remedy("Wait as long as Retry-After says.")
    }
}

impl From<HashError> for ApiError {
    fn from(error: HashError) -> Self {
        match error {
            HashError::Busy => Self::too_many("busy", "Too many people are signing in at this moment.", BUSY_RETRY).remedy("Try again in a moment."),
            HashError::Broken(_) => Self::internal(error),
        }
    }
}
