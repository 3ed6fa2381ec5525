//! The first start. Once there is an admin, none of this is there any more: the router answers 404 before it comes here.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::auth::{SessionKind, SessionView, signed_in_response};
use crate::base::secret::Secret;
use crate::base::text::sentence;
use crate::features::setup::{RedeemError, Redemption};
use crate::http::caller::RequestOrigin;
use crate::http::errors::ErrorEnvelope;
use crate::http::extract::ValidJson;
use crate::http::{ApiError, AppState};
use crate::model::bootstrap::TokenState;

const REISSUE: &str = "On the server itself: stop onsite, run `onsite bootstrap reissue`, start it again.";

/// The routes of this noun.
pub fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::new().routes(routes!(state)).routes(routes!(check)).routes(routes!(redeem))
}

#[derive(Serialize, ToSchema)]
struct SetupView {
    /// `open`.
    setup: &'static str,
    /// What the bootstrap token is good for: `live`, `expired`, `burnt`, or `none` when there is none.
    token: &'static str,
    /// Wrong tries until the token is burnt.
    attempts_left: u32,
    /// Whether the binary holds no vendor key and so trusts one given at run time.
    development_build: bool,
    /// Which installation this is: activation codes may be bound to it.
    install_id: String,
    /// SHA-256 of the TLS certificate, to compare with what the server printed; null without TLS.
    certificate_fingerprint: Option<String>,
}

// No `Debug`: it holds the token.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct CheckRequest {
    token: String,
}

// No `Debug`: it holds a password and the token.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct RedeemRequest {
    token: String,
    email: String,
    password: String,
    name: String,
    /// `cookie` (for browsers) unless given.
    #[serde(default)]
    session: SessionKind,
}

/// How far setup is, while it is open.
#[utoipa::path(get, path = "/api/setup", tag = "setup", responses(
    (status = 200, body = SetupView),
    (status = 404, description = "Setup is over", body = ErrorEnvelope),
))]
async fn state(State(state): State<AppState>) -> Result<Json<SetupView>, ApiError> {
    let setup = state.setup.state().await?.ok_or_else(ApiError::not_found)?;
    let (token, attempts_left) = match setup.token {
        Some(TokenState::Live { attempts_left }) => ("live", attempts_left),
        Some(TokenState::Expired) => ("expired", 0),
        Some(TokenState::Burnt | TokenState::Used) => ("burnt", 0),
        None => ("none", 0),
    };
    Ok(Json(SetupView {
        setup: "open",
        token,
        attempts_left,
        development_build: state.licensing.development_build(),
        install_id: setup.install_id,
        certificate_fingerprint: state.facts.certificate_fingerprint.clone(),
    }))
}

/// Whether this is the bootstrap token, before anybody fills in a form. It tells what redeeming would, and costs what it would: a wrong token is
/// counted by the same limits and burns it at the tenth; the right one stays as it is.
#[utoipa::path(post, path = "/api/setup/check", tag = "setup", operation_id = "check_bootstrap_token", request_body = CheckRequest, responses(
    (status = 204, description = "It can be redeemed"),
    (status = 401, description = "`bootstrap_token_wrong`", body = ErrorEnvelope),
    (status = 404, description = "Setup is over", body = ErrorEnvelope),
    (status = 410, description = "`bootstrap_token_expired`, `bootstrap_token_burnt`", body = ErrorEnvelope),
    (status = 429, description = "`too_many_tries`", body = ErrorEnvelope),
))]
async fn check(
    State(state): State<AppState>,
    RequestOrigin(origin): RequestOrigin,
    ValidJson(request): ValidJson<CheckRequest>,
) -> Result<StatusCode, ApiError> {
    state.setup.check(&Secret::new(request.token), &origin).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Redeem the bootstrap token: makes the first system admin and signs them in.
#[utoipa::path(post, path = "/api/setup/redeem", tag = "setup", request_body = RedeemRequest, responses(
    (status = 201, body = SessionView),
    (status = 401, description = "`bootstrap_token_wrong`", body = ErrorEnvelope),
    (status = 404, description = "Setup is over", body = ErrorEnvelope),
    (status = 410, description = "`bootstrap_token_expired`, `bootstrap_token_burnt`", body = ErrorEnvelope),
    (status = 422, description = "`invalid_field`", body = ErrorEnvelope),
    (status = 429, description = "`too_many_tries`, `busy`", body = ErrorEnvelope),
))]
async fn redeem(
    State(state): State<AppState>,
    RequestOrigin(origin): RequestOrigin,
    ValidJson(request): ValidJson<RedeemRequest>,
) -> Result<Response, ApiError> {
    let redemption =
        Redemption { token: Secret::new(request.token), email: request.email, name: request.name, password: Secret::new(request.password) };
    let signed_in = state.setup.redeem(redemption, origin).await?;
    signed_in_response(&state, StatusCode::CREATED, request.session, signed_in)
}

impl From<RedeemError> for ApiError {
    fn from(error: RedeemError) -> Self {
        match error {
            RedeemError::Done => Self::not_found(),
            RedeemError::WrongToken { attempts_left } => {
                let tries = if attempts_left == 1 { "one more wrong try burns".to_owned() } else { format!("{attempts_left} more wrong tries burn") };
                Self::new(StatusCode::UNAUTHORIZED, "bootstrap_token_wrong", format!("This is not the bootstrap token; {tries} it."))
                    .field("token")
                    .fact("attempts_left", attempts_left)
                    .remedy("Copy the whole line from the file bootstrap-token in the server's data folder.")
            }
            RedeemError::Expired => {
                Self::new(StatusCode::GONE, "bootstrap_token_expired", "This bootstrap token has expired or was replaced by a newer one.")
                    .field("token")
                    .remedy(
                        "Take the newest one from the server's data folder; if it is older than 24 hours, restart the server, which makes another.",
                    )
            }
            RedeemError::Burnt => Self::new(StatusCode::GONE, "bootstrap_token_burnt", "The bootstrap token was burnt by too many wrong tries.")
                .field("token")
                .remedy(REISSUE),
            RedeemError::Account(error) => Self::invalid(error.field(), sentence(error)),
            RedeemError::TooManyTries(error) => error.into(),
            RedeemError::Hash(error) => error.into(),
            RedeemError::Store(error) => error.into(),
        }
    }
}
