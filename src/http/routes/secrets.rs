//! How secrets and personal fields are kept, for system admins.

use axum::Json;
use axum::extract::State;
use serde::Serialize;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::base::vault::Keeping;
use crate::http::caller::SystemAdmin;
use crate::http::errors::ErrorEnvelope;
use crate::http::{ApiError, AppState};

/// The routes of this noun.
pub fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::new().routes(routes!(encryption))
}

#[derive(Serialize, ToSchema)]
struct EncryptionView {
    /// Whether there is a key (`DB_ENCRYPTION_KEY`). Without one this is the critical finding `encryption_at_rest`.
    key_set: bool,
    /// Which key encrypts now; it says nothing about the key.
    key_id: Option<String>,
    /// Values that are encrypted with it.
    values: u64,
    /// Values that are still under an earlier key, or not encrypted: they are encrypted anew while the server serves.
    values_waiting: u64,
    /// Of those, how many are not encrypted.
    values_unencrypted: u64,
    /// Earlier keys that are still needed.
    earlier_keys: Vec<String>,
}

/// How secrets and personal fields are encrypted at rest.
#[utoipa::path(get, path = "/api/system-admin/encryption", tag = "status", operation_id = "encryption_at_rest", responses(
    (status = 200, body = EncryptionView),
    (status = 404, body = ErrorEnvelope),
))]
async fn encryption(State(state): State<AppState>, SystemAdmin(_admin): SystemAdmin) -> Result<Json<EncryptionView>, ApiError> {
    let (keeping, status) = (state.secrets.sealing_with(), state.secrets.status().await?);
    let count = |wanted: Keeping| status.kept.iter().filter(|(kept, _)| *kept == wanted).map(|(_, values)| values).sum();
    let key_id = match keeping {
        Keeping::Plain => None,
        Keeping::Under(id) => Some(id.to_string()),
    };
    Ok(Json(EncryptionView {
        key_set: key_id.is_some(),
        values: if key_id.is_some() { count(keeping) } else { 0 },
        values_waiting: status.otherwise_than(keeping),
        values_unencrypted: count(Keeping::Plain),
        earlier_keys: status.keys.into_iter().filter(|id| Some(id) != key_id.as_ref()).collect(),
        key_id,
    }))
}
