//! Signing in at a service of the company's own.

use axum::Json;
use axum::extract::State;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::auth::{BUSY_RETRY, SecondStepView, SessionKind, SessionView, login_response};
use crate::base::secret::Secret;
use crate::base::text::sentence;
use crate::features::sign_on::{EntryRefused, ProviderAnswer, SignOnError};
use crate::http::caller::{RequestOrigin, cookie_value};
use crate::http::errors::ErrorEnvelope;
use crate::http::extract::ValidJson;
use crate::http::{ApiError, AppState};
use crate::model::session::Origin;
use crate::services::sso::OidcError;

/// The routes of this noun.
pub fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::new().routes(routes!(begin)).routes(routes!(finish)).routes(routes!(directory))
}

#[derive(Serialize, ToSchema)]
struct BegunView {
    /// Where the browser goes to sign in.
    url: String,
}

// No `Debug`: it holds a code that opens a session.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct FinishRequest {
    /// `state`, as the provider gave it back.
    state: String,
    /// `code`, where it signed somebody in.
    #[serde(default)]
    code: Option<String>,
    /// `error`, where it did not.
    #[serde(default)]
    error: Option<String>,
    /// `iss`, where it names itself.
    #[serde(default)]
    iss: Option<String>,
    /// `cookie` (for browsers) unless given.
    #[serde(default)]
    session: SessionKind,
}

// No `Debug`: it holds a password.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct DirectoryRequest {
    /// As the directory knows them: a user name or a mail address.
    user: String,
    password: String,
    /// `cookie` (for browsers) unless given.
    #[serde(default)]
    session: SessionKind,
}

/// Begin to sign in at the OpenID Connect provider. A cookie ties what follows to this browser, for ten minutes.
#[utoipa::path(post, path = "/api/auth/oidc/begin", tag = "auth", operation_id = "begin_oidc", responses(
    (status = 200, body = BegunView),
    (status = 404, description = "No provider is set", body = ErrorEnvelope),
    (status = 429, description = "`too_many_tries`", body = ErrorEnvelope),
    (status = 502, description = "`sso_unavailable`", body = ErrorEnvelope),
))]
async fn begin(State(state): State<AppState>, RequestOrigin(origin): RequestOrigin) -> Result<Response, ApiError> {
    let begun = state.sign_on.begin_oidc(&origin).await?;
    let cookie = sso_cookie(&state, begun.secret.expose(), begun.lifetime.as_secs())?;
    Ok((StatusCode::OK, HeaderMap::from_iter([(header::SET_COOKIE, cookie)]), Json(BegunView { url: begun.url.into() })).into_response())
}

/// Finish signing in at the OpenID Connect provider, with what it sent the browser back with. It works once, in the browser that began.
#[utoipa::path(post, path = "/api/auth/oidc/finish", tag = "auth", operation_id = "finish_oidc", request_body = FinishRequest, responses(
    (status = 200, body = SessionView),
    (status = 202, description = "A second factor is asked for", body = SecondStepView),
    (status = 403, description = "`sso_refused`, `sso_no_place`, `sso_no_mail_address`, `sso_address_not_verified`, `sso_address_of_admin`, \
     `account_disabled`, `seat_limit_reached`, `email_not_verified`", body = ErrorEnvelope),
    (status = 404, description = "No provider is set", body = ErrorEnvelope),
    (status = 410, description = "`sign_in_ended`", body = ErrorEnvelope),
    (status = 502, description = "`sso_unavailable`", body = ErrorEnvelope),
))]
async fn finish(
    State(state): State<AppState>,
    RequestOrigin(origin): RequestOrigin,
    headers: HeaderMap,
    ValidJson(request): ValidJson<FinishRequest>,
) -> Result<Response, ApiError> {
    let FinishRequest { state: answered, code, error, iss, session } = request;
    let answer = ProviderAnswer { state: answered, code: code.map(Secret::new), error, issuer: iss };
    let finished = finished(&state, &headers, answer, session, origin).await;
    // Used up, whatever came of it.
    let mut response = finished.unwrap_or_else(IntoResponse::into_response);
    response.headers_mut().append(header::SET_COOKIE, sso_cookie(&state, "", 0)?);
    Ok(response)
}

/// Sign in with the password of the directory.
#[utoipa::path(post, path = "/api/auth/ldap", tag = "auth", operation_id = "sign_in_ldap", request_body = DirectoryRequest, responses(
    (status = 200, body = SessionView),
    (status = 202, description = "A second factor is asked for", body = SecondStepView),
    (status = 401, description = "`wrong_credentials`", body = ErrorEnvelope),
    (status = 403, description = "`sso_no_place`, `sso_no_mail_address`, `sso_address_not_verified`, `sso_address_of_admin`, `account_disabled`, \
     `seat_limit_reached`, `email_not_verified`", body = ErrorEnvelope),
    (status = 404, description = "No directory is set", body = ErrorEnvelope),
    (status = 429, description = "`too_many_tries`, `busy`", body = ErrorEnvelope),
    (status = 502, description = "`sso_unavailable`", body = ErrorEnvelope),
))]
async fn directory(
    State(state): State<AppState>,
    RequestOrigin(origin): RequestOrigin,
    ValidJson(request): ValidJson<DirectoryRequest>,
) -> Result<Response, ApiError> {
    let login = state.sign_on.sign_in_ldap(&request.user, &Secret::new(request.password), origin).await?;
    login_response(&state, request.session, login)
}

async fn finished(state: &AppState, headers: &HeaderMap, answer: ProviderAnswer, kind: SessionKind, origin: Origin) -> Result<Response, ApiError> {
    let secret = cookie_value(headers, state.facts.sso_cookie()).map(|secret| Secret::new(secret.to_owned()));
    let secret = secret.ok_or(SignOnError::Ended)?;
    let login = state.sign_on.finish_oidc(&secret, answer, origin).await?;
    login_response(state, kind, login)
}

fn sso_cookie(state: &AppState, secret: &str, seconds: u64) -> Result<HeaderValue, ApiError> {
    let secure = if state.facts.plain_http { "" } else { "; Secure" };
    // Strict: only our own page, once it is there, sends it.
    let cookie = format!("{}={secret}; Path=/; HttpOnly; SameSite=Strict; Max-Age={seconds}{secure}", state.facts.sso_cookie());
    let mut value = HeaderValue::from_str(&cookie).map_err(ApiError::internal)?;
    value.set_sensitive(true);
    Ok(value)
}

impl From<SignOnError> for ApiError {
    fn from(error: SignOnError) -> Self {
        let forbidden = |message: String| Self::new(StatusCode::FORBIDDEN, "sso_refused", message);
        match error {
            SignOnError::NotSet => Self::not_found(),
            SignOnError::Ended => Self::new(
                StatusCode::GONE,
                "sign_in_ended",
                "This sign-in is over: it was used, is older than ten minutes, or began in another browser.",
            )
            .remedy("Sign in again."),
            SignOnError::OtherSignIn => {
                forbidden("This answer belongs to another sign-in; it was not used.".to_owned()).remedy("Sign in again, in one window.")
            }
            SignOnError::Declined(word) => forbidden(format!("The provider did not sign you in: {word}.")).remedy("Sign in again."),
            SignOnError::Oidc(OidcError::Token(error)) => forbidden(format!("The provider's answer was not believed: {error}."))
                .remedy("Sign in again; if it stays, whoever looks after the server sees more under Appliance, Sign-in."),
            SignOnError::Oidc(_) => Self::unavailable("The provider did not answer as it should."),
            SignOnError::Ldap(_) => Self::unavailable("The directory did not answer as it should."),
            SignOnError::Busy => {
                Self::too_many("busy", "Too many people are signing in at this moment.", BUSY_RETRY).remedy("Try again in a moment.")
            }
            SignOnError::Refused(refused) => refused.into(),
            SignOnError::TooManyTries(error) => error.into(),
            SignOnError::Login(error) => error.into(),
            SignOnError::Store(error) => error.into(),
        }
    }
}

impl ApiError {
    /// 502: why is for system admins; a stranger is not told how the network is laid out.
    fn unavailable(message: &str) -> Self {
        Self::new(StatusCode::BAD_GATEWAY, "sso_unavailable", message)
            .remedy("Try again in a moment; whoever looks after the server sees why under Appliance, Sign-in.")
    }
}

impl From<EntryRefused> for ApiError {
    fn from(refused: EntryRefused) -> Self {
        let (message, remedy) = match refused {
            EntryRefused::NoPlace => (
                "You are known, and no group of yours has a place here.",
                "Ask a system admin to give one of your groups a role (Appliance, Sign-in), or to invite you.",
            ),
            EntryRefused::NoMail => {
                ("Your sign-in comes without a mail address, which an account here needs.", "Ask whoever looks after it to add yours.")
            }
            EntryRefused::AddressNotVerified => (
                "Nobody vouches that your mail address is yours: where you sign in, or in the account that has it here.",
                "Have it verified where you sign in; if it has an account here, sign in with the password of that account.",
            ),
            EntryRefused::AddressOfAdmin => {
                ("Your mail address is that of a system admin, whose account no other service opens.", "Sign in with the password of that account.")
            }
            EntryRefused::Disabled => ("Your account is disabled.", "Ask a system admin."),
            EntryRefused::SeatsTaken => ("Every seat of the licence is taken.", "Ask a system admin to free one, or to enter a code with more."),
        };
        Self::new(StatusCode::FORBIDDEN, refused.code(), sentence(message)).remedy(remedy)
    }
}
