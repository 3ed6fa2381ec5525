//! Passkeys: one's own, and showing one at the second step of a sign-in or as a fresh proof.

use axum::Json;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::auth::{SessionKind, SessionView, signed_in_response};
use super::factors::{FreshView, PasskeyView};
use super::passkey_options::{AssertionRequest, CreationOptions, RequestOptions, bytes};
use crate::base::secret::Secret;
use crate::http::caller::{Enrolling, Fresh, Ids, RequestOrigin};
use crate::http::errors::ErrorEnvelope;
use crate::http::extract::ValidJson;
use crate::http::relying_party::ByName;
use crate::http::{ApiError, AppState};
use crate::model::factor::RecoveryCode;
use crate::model::ids::PasskeyId;
use crate::model::passkey::{Created, PASSKEYS_MAX, Refusal, Transport};
use crate::model::user::DisplayName;
use crate::services::auth::passkeys::{PasskeyError, PasskeyForm};

/// The routes of this noun.
pub fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::new()
        .routes(routes!(ask_for_new))
        .routes(routes!(add))
        .routes(routes!(rename, remove))
        .routes(routes!(ask_at_sign_in))
        .routes(routes!(second_step))
        .routes(routes!(ask_again))
        .routes(routes!(step_up))
}

#[derive(Deserialize)]
struct OwnPasskey {
    passkey: PasskeyId,
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct NewPasskey {
    /// Its owner's name for it, for example "Laptop".
    name: String,
    /// `id` of what the browser answered.
    id: String,
    /// `response.clientDataJSON`, in base64url.
    client_data: String,
    /// `response.attestationObject`, in base64url.
    attestation_object: String,
    /// `response.getTransports()`: a hint for the next time.
    #[serde(default)]
    transports: Vec<String>,
}

impl NewPasskey {
    fn form(self) -> Result<PasskeyForm, ApiError> {
        let name = name(&self.name)?;
        let created = Created {
            credential_id: bytes("id", &self.id)?,
            client_data: bytes("client_data", &self.client_data)?,
            attestation: bytes("attestation_object", &self.attestation_object)?,
        };
        let mut transports: Vec<Transport> = Vec::new();
        for known in self.transports.iter().filter_map(|text| Transport::named(text)) {
            if !transports.contains(&known) {
                transports.push(known);
            }
        }
        Ok(PasskeyForm { name, created, transports })
    }
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct PasskeyChange {
    /// Its new name.
    name: String,
}

#[derive(Serialize, ToSchema)]
struct AddedPasskey {
    passkey: PasskeyView,
    /// With the account's first factor: each opens one sign-in in place of it. Shown only here; empty else.
    recovery_codes: Vec<String>,
}

// No `Debug`: both hold what opens a session.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct SignInChallengeRequest {
    /// From the answer of the first step.
    second_step: String,
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct SecondStepByPasskey {
    /// From the answer of the first step.
    second_step: String,
    passkey: AssertionRequest,
    /// `cookie` (for browsers) unless given.
    #[serde(default)]
    session: SessionKind,
}

/// Ask for a new passkey: what the browser's `navigator.credentials.create` is given. It can be answered once, within five minutes, by this session.
#[utoipa::path(post, path = "/api/me/factors/passkeys/challenge", tag = "auth", operation_id = "ask_for_new_passkey", responses(
    (status = 200, body = CreationOptions),
    (status = 401, body = ErrorEnvelope),
    (status = 403, description = "`step_up_required`", body = ErrorEnvelope),
    (status = 409, description = "`passkeys_need_a_name`, `too_many_passkeys`", body = ErrorEnvelope),
))]
async fn ask_for_new(State(state): State<AppState>, Enrolling(caller): Enrolling, _: Fresh, ByName(party): ByName) -> Result<Response, ApiError> {
    let asked = state.auth.ask_for_new_passkey(&caller, party).await?;
    Ok(no_store(CreationOptions::new(&asked, &caller.user)))
}

/// Keep the passkey that the browser made. With the account's first factor come its recovery codes, and all other sessions end.
#[utoipa::path(post, path = "/api/me/factors/passkeys", tag = "auth", operation_id = "add_passkey", request_body = NewPasskey, responses(
    (status = 201, body = AddedPasskey),
    (status = 401, body = ErrorEnvelope),
    (status = 403, description = "`passkey_refused`, with the `reason`", body = ErrorEnvelope),
    (status = 409, description = "`passkeys_need_a_name`, `no_challenge`, `passkey_known`, `too_many_passkeys`", body = ErrorEnvelope),
    (status = 422, description = "`invalid_field`", body = ErrorEnvelope),
))]
async fn add(
    State(state): State<AppState>,
    Enrolling(caller): Enrolling,
    ByName(party): ByName,
    RequestOrigin(origin): RequestOrigin,
    ValidJson(request): ValidJson<NewPasskey>,
) -> Result<Response, ApiError> {
    let (passkey, codes) = state.auth.add_passkey(&caller, &party, request.form()?, &origin).await?;
    let view = AddedPasskey { passkey: passkey.into(), recovery_codes: codes.iter().map(RecoveryCode::text).collect() };
    Ok((StatusCode::CREATED, no_store(view)).into_response())
}

/// Give a passkey another name.
#[utoipa::path(patch, path = "/api/me/factors/passkeys/{passkey}", tag = "auth", operation_id = "rename_passkey", params(("passkey" = String, Path)),
    request_body = PasskeyChange, responses(
    (status = 204),
    (status = 401, body = ErrorEnvelope),
    (status = 404, body = ErrorEnvelope),
    (status = 422, description = "`invalid_field`", body = ErrorEnvelope),
))]
async fn rename(
    State(state): State<AppState>,
    Enrolling(caller): Enrolling,
    Ids(OwnPasskey { passkey }): Ids<OwnPasskey>,
    RequestOrigin(origin): RequestOrigin,
    ValidJson(request): ValidJson<PasskeyChange>,
) -> Result<StatusCode, ApiError> {
    state.auth.rename_passkey(&caller, passkey, &name(&request.name)?, &origin).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Remove a passkey; with the last factor go the recovery codes.
#[utoipa::path(delete, path = "/api/me/factors/passkeys/{passkey}", tag = "auth", operation_id = "remove_passkey",
    params(("passkey" = String, Path)), responses(
    (status = 204),
    (status = 401, body = ErrorEnvelope),
    (status = 403, description = "`step_up_required`", body = ErrorEnvelope),
    (status = 404, body = ErrorEnvelope),
))]
async fn remove(
    State(state): State<AppState>,
    Enrolling(caller): Enrolling,
    _: Fresh,
    Ids(OwnPasskey { passkey }): Ids<OwnPasskey>,
    RequestOrigin(origin): RequestOrigin,
) -> Result<StatusCode, ApiError> {
    state.auth.remove_passkey(&caller, passkey, &origin).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Ask for a passkey at a sign-in that waits: what the browser's `navigator.credentials.get` is given.
#[utoipa::path(post, path = "/api/auth/second-step/passkey/challenge", tag = "auth", operation_id = "ask_for_passkey_at_sign_in",
    request_body = SignInChallengeRequest, responses(
    (status = 200, body = RequestOptions),
    (status = 409, description = "`passkeys_need_a_name`, `no_passkey_here`", body = ErrorEnvelope),
    (status = 410, description = "`sign_in_ended`", body = ErrorEnvelope),
))]
async fn ask_at_sign_in(
    State(state): State<AppState>,
    ByName(party): ByName,
    ValidJson(request): ValidJson<SignInChallengeRequest>,
) -> Result<Response, ApiError> {
    let asked = state.auth.ask_for_passkey_at_sign_in(&Secret::new(request.second_step), party).await?;
    Ok(no_store(RequestOptions::from(&asked)))
}

/// Sign in: the second step, with a passkey.
#[utoipa::path(post, path = "/api/auth/second-step/passkey", tag = "auth", operation_id = "second_step_by_passkey",
    request_body = SecondStepByPasskey, responses(
    (status = 200, body = SessionView),
    (status = 401, description = "`passkey_refused`, with the `reason`", body = ErrorEnvelope),
    (status = 409, description = "`passkeys_need_a_name`, `no_challenge`", body = ErrorEnvelope),
    (status = 410, description = "`sign_in_ended`", body = ErrorEnvelope),
    (status = 429, description = "`too_many_tries`", body = ErrorEnvelope),
))]
async fn second_step(
    State(state): State<AppState>,
    ByName(party): ByName,
    RequestOrigin(origin): RequestOrigin,
    ValidJson(request): ValidJson<SecondStepByPasskey>,
) -> Result<Response, ApiError> {
    let (token, shown) = (Secret::new(request.second_step), request.passkey.assertion()?);
    let signed_in = state.auth.second_step_by_passkey(&token, &party, &shown, origin).await?;
    signed_in_response(&state, StatusCode::OK, request.session, signed_in)
}

/// Ask the caller for a passkey, to show again who they are.
#[utoipa::path(post, path = "/api/me/step-up/passkey/challenge", tag = "auth", operation_id = "ask_for_passkey_again", responses(
    (status = 200, body = RequestOptions),
    (status = 401, body = ErrorEnvelope),
    (status = 409, description = "`passkeys_need_a_name`, `no_passkey_here`", body = ErrorEnvelope),
))]
async fn ask_again(State(state): State<AppState>, Enrolling(caller): Enrolling, ByName(party): ByName) -> Result<Response, ApiError> {
    let asked = state.auth.ask_for_passkey_again(&caller, party).await?;
    Ok(no_store(RequestOptions::from(&asked)))
}

/// Show again who one is, by a passkey.
#[utoipa::path(post, path = "/api/me/step-up/passkey", tag = "auth", operation_id = "step_up_by_passkey", request_body = AssertionRequest, responses(
    (status = 200, body = FreshView),
    (status = 401, body = ErrorEnvelope),
    (status = 403, description = "`passkey_refused`, with the `reason`", body = ErrorEnvelope),
    (status = 409, description = "`passkeys_need_a_name`, `no_challenge`", body = ErrorEnvelope),
    (status = 429, description = "`too_many_tries`", body = ErrorEnvelope),
))]
async fn step_up(
    State(state): State<AppState>,
    Enrolling(caller): Enrolling,
    ByName(party): ByName,
    RequestOrigin(origin): RequestOrigin,
    ValidJson(request): ValidJson<AssertionRequest>,
) -> Result<Json<FreshView>, ApiError> {
    let fresh_until = state.auth.step_up_by_passkey(&caller, &party, &request.assertion()?, &origin).await?;
    Ok(Json(FreshView { fresh_until }))
}

fn name(text: &str) -> Result<DisplayName, ApiError> {
    text.parse().map_err(|error| ApiError::invalid("name", format!("That is not a name for a passkey: {error}.")))
}

fn no_store<T: Serialize>(body: T) -> Response {
    ([(header::CACHE_CONTROL, "no-store")], Json(body)).into_response()
}

/// A passkey that is not taken, with the reason and what can be done about it.
pub(super) fn refused(status: StatusCode, refusal: Refusal) -> ApiError {
    let remedy = match refusal {
        Refusal::WrongOrigin | Refusal::WrongHost | Refusal::Embedded => "Open this server by its own name, in a window of its own.",
        Refusal::NotVerified => "Use a device with a screen lock, or set a PIN for the security key.",
        Refusal::CountWentBack => {
            "Remove this passkey and set it up anew, if it is yours and in your hands. Tell whoever runs this server if it is not."
        }
        Refusal::Algorithm | Refusal::Key => "Use another device: this one makes keys that are not taken here.",
        _ => "Try again. If it stays, remove the passkey and set it up anew.",
    };
    ApiError::new(status, "passkey_refused", format!("This passkey is not taken: {refusal}.")).fact("reason", refusal.as_str()).remedy(remedy)
}

impl From<PasskeyError> for ApiError {
    fn from(error: PasskeyError) -> Self {
        match error {
            PasskeyError::NoneHere { hosts } if hosts.is_empty() => {
                Self::conflict("no_passkey_here", "Your account has no passkey.").remedy("Show another factor.")
            }
            PasskeyError::NoneHere { hosts } => {
                let message = format!("Your passkeys belong to {}, and this server was opened by another name.", hosts.join(" and "));
                Self::conflict("no_passkey_here", message).remedy("Open it by that name, or show another factor.")
            }
            PasskeyError::NoChallenge => {
                Self::conflict("no_challenge", "Nothing waits for this answer: it was answered, or is older than five minutes.")
                    .remedy("Begin again.")
            }
            PasskeyError::Refused(refusal) => refused(StatusCode::FORBIDDEN, refusal),
            PasskeyError::NotThere => Self::not_found(),
            PasskeyError::Known => Self::conflict("passkey_known", "This passkey is kept already.").remedy("Use it as it is, or another device."),
            PasskeyError::TooMany => Self::conflict("too_many_passkeys", format!("You have {PASSKEYS_MAX} passkeys, which is as many as may be."))
                .remedy("Remove one first."),
            PasskeyError::TooManyTries(error) => error.into(),
            PasskeyError::Store(error) => error.into(),
        }
    }
}
