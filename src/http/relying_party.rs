//! For whom passkeys are made: the name by which the server was asked.

use axum::extract::{FromRef, FromRequestParts};
use axum::http::StatusCode;
use axum::http::request::Parts;

use super::errors::ApiError;
use super::state::AppState;
use crate::model::passkey::RelyingParty;

/// The server was asked for by a name, so that passkeys can be made for it and shown to it. Under `APP_BASE_URL` that is its host; else the one in
/// the request, which the certificate, or loopback, vouches for.
#[derive(Clone, Debug)]
pub struct ByName(pub RelyingParty);

impl<S> FromRequestParts<S> for ByName
where
    S: Send + Sync,
    AppState: FromRef<S>,
{
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        let facts = AppState::from_ref(state).facts;
        let origin = facts.hosts.origin(&parts.uri, &parts.headers, facts.plain_http);
        origin.and_then(|origin| RelyingParty::of(&origin).ok()).map(Self).ok_or_else(needs_a_name)
    }
}

/// 409: an address has no passkeys; browsers make them for names only.
fn needs_a_name() -> ApiError {
    let message = "Passkeys belong to a name, and this server was asked for by its address.";
    ApiError::new(StatusCode::CONFLICT, "passkeys_need_a_name", message)
        .remedy("Open it by a name. Whoever runs it gives it one in the network, with a certificate for it, and sets APP_BASE_URL to it.")
}
