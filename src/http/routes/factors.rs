//! One's second factors, and showing again who one is.

use axum::Json;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::base::clock::Timestamp;
use crate::base::secret::Secret;
use crate::http::caller::{Enrolling, Fresh, RequestOrigin};
use crate::http::errors::ErrorEnvelope;
use crate::http::extract::ValidJson;
use crate::http::relying_party::ByName;
use crate::http::{ApiError, AppState};
use crate::model::factor::{FactorMethod, RecoveryCode};
use crate::model::ids::PasskeyId;
use crate::model::passkey::Passkey;
use crate::services::auth::factors::{FactorError, FactorStatus, Shown};

/// The routes of this noun.
pub fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::new()
        .routes(routes!(security))
        .routes(routes!(offer, remove))
        .routes(routes!(confirm))
        .routes(routes!(recovery_codes))
        .routes(routes!(step_up))
}

/// What the caller has of second factors.
#[derive(Serialize, ToSchema)]
struct SecurityView {
    /// Since when there is an authenticator app; null = there is none.
    #[schema(value_type = Option<String>, format = DateTime)]
    totp_since: Option<Timestamp>,
    /// Recovery codes that can still be used.
    recovery_codes: u32,
    /// Their passkeys, the oldest first.
    passkeys: Vec<PasskeyView>,
    /// The name of the host that passkeys made now belong to; null = the server was asked for by its address, and there are none for addresses.
    passkeys_host: Option<String>,
    /// Whether everybody must have a second factor.
    required: bool,
    /// Until when what asks for a fresh proof is open to this session.
    #[schema(value_type = String, format = DateTime)]
    fresh_until: Timestamp,
}

impl SecurityView {
    fn new(status: FactorStatus, host: Option<String>) -> Self {
        let FactorStatus { totp_since, recovery_codes, passkeys, required, fresh_until } = status;
        let passkeys = passkeys.into_iter().map(PasskeyView::from).collect();
        Self { totp_since, recovery_codes, passkeys, passkeys_host: host, required, fresh_until }
    }
}

/// A passkey of one's own.
#[derive(Serialize, ToSchema)]
#[schema(as = Passkey)]
pub(super) struct PasskeyView {
    #[schema(value_type = String)]
    id: PasskeyId,
    name: String,
    /// The name of the host it works at.
    host: String,
    /// Whether its maker copies it to its owner's other devices.
    synced: bool,
    #[schema(value_type = String, format = DateTime)]
    created_at: Timestamp,
    #[schema(value_type = Option<String>, format = DateTime)]
    last_used_at: Option<Timestamp>,
}

impl From<Passkey> for PasskeyView {
    fn from(passkey: Passkey) -> Self {
        let Passkey { id, name, relying_party, backed_up, created_at, last_used_at, .. } = passkey;
        Self { id, name, host: relying_party, synced: backed_up, created_at, last_used_at }
    }
}

#[derive(Serialize, ToSchema)]
struct TotpOfferView {
    /// To be typed into an app.
    secret: String,
    /// To be opened by an app: `otpauth://totp/...`.
    uri: String,
    /// The same as a QR code.
    qr_svg: String,
}

#[derive(Serialize, ToSchema)]
struct RecoveryCodesView {
    /// Each opens one sign-in in place of the app. Shown only here.
    recovery_codes: Vec<String>,
}

// No `Debug`: these hold what opens something.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct CodeRequest {
    /// Six digits of the app.
    code: String,
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct StepUpRequest {
    /// The password, or `method` and `code`.
    password: Option<String>,
    /// `totp` or `recovery_code`.
    #[schema(value_type = Option<String>)]
    method: Option<FactorMethod>,
    code: Option<String>,
}

impl StepUpRequest {
    fn shown(self) -> Result<Shown, ApiError> {
        match (self.password, self.method, self.code) {
            (Some(password), None, None) => Ok(Shown::Password(Secret::new(password))),
            (None, Some(method @ (FactorMethod::Totp | FactorMethod::RecoveryCode)), Some(code)) => Ok(Shown::Code(method, Secret::new(code))),
            _ => Err(ApiError::invalid("password", "A proof is a password, or a method (totp or recovery_code) with a code.")
                .remedy("Send {\"password\": ...}, or {\"method\": \"totp\", \"code\": ...}.")),
        }
    }
}

#[derive(Serialize, ToSchema)]
pub(super) struct FreshView {
    /// Until when what asks for a fresh proof is open to this session.
    #[schema(value_type = String, format = DateTime)]
    pub(super) fresh_until: Timestamp,
}

/// The caller's second factors, and how fresh their last proof is.
#[utoipa::path(get, path = "/api/me/security", tag = "auth", operation_id = "my_security", responses(
    (status = 200, body = SecurityView),
    (status = 401, body = ErrorEnvelope),
))]
async fn security(
    State(state): State<AppState>,
    Enrolling(caller): Enrolling,
    by_name: Result<ByName, ApiError>,
) -> Result<Json<SecurityView>, ApiError> {
    let host = by_name.ok().map(|ByName(party)| party.id().to_owned());
    Ok(Json(SecurityView::new(state.auth.factor_status(&caller).await?, host)))
}

/// Begin to set up an authenticator app: it counts once a code of it is confirmed. One that is in use stays in use until then.
#[utoipa::path(post, path = "/api/me/factors/totp", tag = "auth", operation_id = "offer_totp", responses(
    (status = 201, body = TotpOfferView),
    (status = 401, body = ErrorEnvelope),
    (status = 403, description = "`step_up_required`", body = ErrorEnvelope),
))]
async fn offer(State(state): State<AppState>, Enrolling(caller): Enrolling, _: Fresh) -> Result<Response, ApiError> {
    let offer = state.auth.offer_totp(&caller).await?;
    let view = TotpOfferView { secret: offer.secret.expose().clone(), uri: offer.uri.expose().clone(), qr_svg: offer.qr_svg.expose().clone() };
    Ok((StatusCode::CREATED, [(header::CACHE_CONTROL, "no-store")], Json(view)).into_response())
}

/// Confirm the app by its first code. All other sessions end; the answer holds the only copy of the recovery codes.
#[utoipa::path(post, path = "/api/me/factors/totp/confirm", tag = "auth", operation_id = "confirm_totp", request_body = CodeRequest, responses(
    (status = 200, body = RecoveryCodesView),
    (status = 401, body = ErrorEnvelope),
    (status = 403, description = "`wrong_code`", body = ErrorEnvelope),
    (status = 409, description = "`nothing_offered`", body = ErrorEnvelope),
    (status = 429, description = "`too_many_tries`", body = ErrorEnvelope),
))]
async fn confirm(
    State(state): State<AppState>,
    Enrolling(caller): Enrolling,
    RequestOrigin(origin): RequestOrigin,
    ValidJson(request): ValidJson<CodeRequest>,
) -> Result<Response, ApiError> {
    let codes = state.auth.confirm_totp(&caller, &Secret::new(request.code), &origin).await?;
    Ok(codes_response(&codes))
}

/// Remove the authenticator app; with the last factor go the recovery codes.
#[utoipa::path(delete, path = "/api/me/factors/totp", tag = "auth", operation_id = "remove_totp", responses(
    (status = 204),
    (status = 401, body = ErrorEnvelope),
    (status = 403, description = "`step_up_required`", body = ErrorEnvelope),
    (status = 409, description = "`no_factor`", body = ErrorEnvelope),
))]
async fn remove(
    State(state): State<AppState>,
    Enrolling(caller): Enrolling,
    _: Fresh,
    RequestOrigin(origin): RequestOrigin,
) -> Result<StatusCode, ApiError> {
    state.auth.remove_totp(&caller, &origin).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Make new recovery codes; the earlier ones do not count any more. The answer holds the only copy.
#[utoipa::path(post, path = "/api/me/factors/recovery-codes", tag = "auth", operation_id = "new_recovery_codes", responses(
    (status = 200, body = RecoveryCodesView),
    (status = 401, body = ErrorEnvelope),
    (status = 403, description = "`step_up_required`", body = ErrorEnvelope),
    (status = 409, description = "`no_factor`", body = ErrorEnvelope),
))]
async fn recovery_codes(
    State(state): State<AppState>,
    Enrolling(caller): Enrolling,
    _: Fresh,
    RequestOrigin(origin): RequestOrigin,
) -> Result<Response, ApiError> {
    Ok(codes_response(&state.auth.new_recovery_codes(&caller, &origin).await?))
}

/// Show again who one is, so that what asks for a fresh proof is open to this session for a while.
#[utoipa::path(post, path = "/api/me/step-up", tag = "auth", operation_id = "step_up", request_body = StepUpRequest, responses(
    (status = 200, body = FreshView),
    (status = 401, body = ErrorEnvelope),
    (status = 403, description = "`wrong_password`, `wrong_code`", body = ErrorEnvelope),
    (status = 422, description = "`invalid_field`", body = ErrorEnvelope),
    (status = 429, description = "`too_many_tries`, `busy`", body = ErrorEnvelope),
))]
async fn step_up(
    State(state): State<AppState>,
    Enrolling(caller): Enrolling,
    RequestOrigin(origin): RequestOrigin,
    ValidJson(request): ValidJson<StepUpRequest>,
) -> Result<Json<FreshView>, ApiError> {
    let fresh_until = state.auth.step_up(&caller, request.shown()?, &origin).await?;
    Ok(Json(FreshView { fresh_until }))
}

fn codes_response(codes: &[RecoveryCode]) -> Response {
    let view = RecoveryCodesView { recovery_codes: codes.iter().map(RecoveryCode::text).collect() };
    ([(header::CACHE_CONTROL, "no-store")], Json(view)).into_response()
}

impl From<FactorError> for ApiError {
    fn from(error: FactorError) -> Self {
        match error {
            FactorError::WrongCode => Self::new(StatusCode::FORBIDDEN, "wrong_code", "This code is not right, or was used before.")
                .field("code")
                .remedy("Enter the code that is shown now; an app's code counts once. If it never fits, the clock of the device is off."),
            FactorError::WrongPassword => Self::new(StatusCode::FORBIDDEN, "wrong_password", "This is not your password.").field("password"),
            FactorError::NothingOffered => {
                Self::conflict("nothing_offered", "No authenticator app waits to be confirmed.").remedy("Begin again: an offer lasts an hour.")
            }
            FactorError::NoFactor => Self::conflict("no_factor", "There is no such factor.").remedy("Set one up first."),
            FactorError::TooManyTries(error) => error.into(),
            FactorError::Hash(error) => error.into(),
            FactorError::Vault(error) => Self::internal(error),
            FactorError::Store(error) => error.into(),
        }
    }
}
