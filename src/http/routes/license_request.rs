//! What this installation asks its vendor for: to be carried over by file, line or picture.

use axum::Json;
use axum::extract::State;
use axum::http::header;
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::base::qr::Picture;
use crate::http::caller::SystemAdmin;
use crate::http::errors::ErrorEnvelope;
use crate::http::extract::ValidQuery;
use crate::http::{ApiError, AppState};
use crate::model::licence::text::REQUEST;
use crate::model::licence::{LicenceRequest, MalformedCode};

/// The routes of this noun.
pub fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::new().routes(routes!(request)).routes(routes!(picture))
}

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct RequestQuery {
    /// The company, as it wants to be named; that of the present code when not given.
    company: Option<String>,
    /// Whom the vendor answers.
    contact: Option<String>,
}

/// A request for an activation code that is bound to this installation.
#[derive(Serialize, ToSchema)]
struct LicenceRequestView {
    install_id: String,
    company: Option<String>,
    contact: Option<String>,
    seats_used: u64,
    /// The one line, to paste.
    line: String,
    /// The text of the file.
    file: String,
    /// What to call the file.
    file_name: String,
}

/// What to send to the vendor for a code that is bound to this installation. It holds nothing secret.
#[utoipa::path(get, path = "/api/license/request", tag = "license", operation_id = "get_license_request", params(RequestQuery), responses(
    (status = 200, body = LicenceRequestView),
    (status = 404, description = "Not a system admin", body = ErrorEnvelope),
    (status = 422, description = "`invalid_field`", body = ErrorEnvelope),
))]
async fn request(
    State(state): State<AppState>,
    _: SystemAdmin,
    ValidQuery(query): ValidQuery<RequestQuery>,
) -> Result<Json<LicenceRequestView>, ApiError> {
    let (request, bytes) = make(&state, query).await?;
    let file_name = format!("{}.onsite-request", request.install_id);
    Ok(Json(LicenceRequestView {
        install_id: request.install_id,
        company: request.company,
        contact: request.contact,
        seats_used: request.seats_used,
        line: REQUEST.line(&bytes),
        file: REQUEST.armour(&bytes),
        file_name,
    }))
}

/// The same as a QR picture (SVG), for a telephone to carry.
#[utoipa::path(get, path = "/api/license/request/qr", tag = "license", operation_id = "get_license_request_picture", params(RequestQuery), responses(
    (status = 200, description = "The picture", body = String, content_type = "image/svg+xml"),
    (status = 404, description = "Not a system admin", body = ErrorEnvelope),
    (status = 422, description = "`invalid_field`", body = ErrorEnvelope),
))]
async fn picture(State(state): State<AppState>, _: SystemAdmin, ValidQuery(query): ValidQuery<RequestQuery>) -> Result<Response, ApiError> {
    let (_, bytes) = make(&state, query).await?;
    svg(&REQUEST.picture_text(&bytes))
}

/// A text as a QR picture.
pub(super) fn svg(text: &str) -> Result<Response, ApiError> {
    let picture = Picture::of(text).map_err(|error| ApiError::conflict("picture_too_long", crate::base::text::sentence(error)))?;
    Ok(([(header::CONTENT_TYPE, "image/svg+xml"), (header::CACHE_CONTROL, "no-store")], picture.svg()).into_response())
}

async fn make(state: &AppState, query: RequestQuery) -> Result<(LicenceRequest, Vec<u8>), ApiError> {
    let given = |text: Option<String>| text.map(|text| text.trim().to_owned()).filter(|text| !text.is_empty());
    let request = state.licensing.request(given(query.company), given(query.contact)).await?;
    let bytes = request.bytes().map_err(|error| match error {
        MalformedCode::BadClaim(field) => ApiError::invalid(field, "This is longer than 200 bytes, or holds characters that are not printed."),
        other => ApiError::internal(other),
    })?;
    Ok((request, bytes))
}
