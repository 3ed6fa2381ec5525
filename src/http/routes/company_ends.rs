//! What happens to a company as a whole: handed over, exported, deleted, restored.

use std::io;
use std::time::Duration;

use axum::Json;
use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::{HeaderName, StatusCode, header};
use axum::response::{IntoResponse, Response};
use futures_util::stream;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::base::clock::Timestamp;
use crate::features::companies::{CareError, Export};
use crate::http::caller::{CompanyOwner, Fresh, Ids, RequestOrigin, SystemAdmin};
use crate::http::errors::ErrorEnvelope;
use crate::http::extract::ValidJson;
use crate::http::{ApiError, AppState};
use crate::model::company::{DELETION_GRACE, DeletedCompany};
use crate::model::ids::{CompanyId, UserId};

/// When to try again while others export.
const BUSY_WAIT: Duration = Duration::from_secs(60);

/// The routes of this noun.
pub fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::new()
        .routes(routes!(transfer))
        .routes(routes!(export))
        .routes(routes!(losses, delete))
        .routes(routes!(deleted))
        .routes(routes!(restore))
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct TransferRequest {
    /// The member who becomes an owner.
    #[schema(value_type = String)]
    user_id: UserId,
}

/// What would be lost with the company.
#[derive(Serialize, ToSchema)]
struct LossesView {
    automations: u64,
    reports: u64,
    /// The latest version of each.
    documents: u64,
    /// Of all versions.
    document_bytes: u64,
    /// Of all members; those of others are not in an export.
    conversations: u64,
    members: u64,
    /// Open ones.
    invitations: u64,
    /// For so many days a system admin can undo the deletion.
    undone_within_days: u64,
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct DeletionRequest {
    /// The company's name, typed by whoever deletes it.
    name: String,
}

#[derive(Serialize, ToSchema)]
struct DeletedView {
    #[schema(value_type = String)]
    id: CompanyId,
    name: String,
    #[schema(value_type = String, format = DateTime)]
    deleted_at: Timestamp,
    /// From then on it cannot be restored, and its rows are removed.
    #[schema(value_type = String, format = DateTime)]
    purged_after: Timestamp,
}

impl From<DeletedCompany> for DeletedView {
    fn from(DeletedCompany { id, name, deleted_at }: DeletedCompany) -> Self {
        Self { id, name, deleted_at, purged_after: deleted_at.plus(DELETION_GRACE) }
    }
}

#[derive(Serialize, ToSchema)]
struct DeletedList {
    companies: Vec<DeletedView>,
}

#[derive(Deserialize)]
struct CompanyPath {
    company: CompanyId,
}

/// Hand the company over: the member becomes an owner, and the caller, an owner, an admin.
#[utoipa::path(post, path = "/api/companies/{company}/transfer", tag = "companies", operation_id = "transfer_company", request_body = TransferRequest,
    params(("company" = String, Path)), responses(
    (status = 204),
    (status = 403, description = "`role_too_low`, `step_up_required`", body = ErrorEnvelope),
    (status = 404, body = ErrorEnvelope),
    (status = 422, description = "`invalid_field`: nobody it can be handed to", body = ErrorEnvelope),
))]
async fn transfer(
    State(state): State<AppState>,
    CompanyOwner(member): CompanyOwner,
    _: Fresh,
    RequestOrigin(origin): RequestOrigin,
    ValidJson(request): ValidJson<TransferRequest>,
) -> Result<StatusCode, ApiError> {
    let handed = state.members.transfer(&member.caller, &member.company.id, request.user_id, &origin).await;
    if matches!(handed, Err(crate::features::members::MemberError::NotThere)) {
        return Err(ApiError::invalid("user_id", "This is no other active member of the company.").remedy("Name one, or invite them first."));
    }
    handed?;
    Ok(StatusCode::NO_CONTENT)
}

/// Everything the company has, as one archive: JSON Lines and the documents' files. For owners.
///
/// A tar that is made while it is sent; its last file is `manifest.json`: one without was cut off. Conversations of other members are theirs and not in it.
#[utoipa::path(get, path = "/api/companies/{company}/export", tag = "companies", operation_id = "export_company", params(("company" = String, Path)), responses(
    (status = 200, description = "A tar", content_type = "application/x-tar"),
    (status = 403, description = "`role_too_low`, `step_up_required`", body = ErrorEnvelope),
    (status = 404, body = ErrorEnvelope),
    (status = 429, description = "`exports_busy`: too many exports at once", body = ErrorEnvelope),
))]
async fn export(
    State(state): State<AppState>,
    CompanyOwner(member): CompanyOwner,
    _: Fresh,
    RequestOrigin(origin): RequestOrigin,
) -> Result<Response, ApiError> {
    let export = state.care.export(&member.caller, &member.company, &origin).await?;
    let name = format!("attachment; filename=\"onsite-export-{}.tar\"", member.company.id);
    let headers: [(HeaderName, String); 3] =
        [(header::CONTENT_TYPE, "application/x-tar".into()), (header::CONTENT_DISPOSITION, name), (header::CACHE_CONTROL, "no-store".into())];
    Ok((headers, Body::from_stream(stream::try_unfold(export, next_bytes))).into_response())
}

async fn next_bytes(mut export: Export) -> io::Result<Option<(Bytes, Export)>> {
    match export.next().await {
        Ok(bytes) => Ok(bytes.map(|bytes| (bytes, export))),
        Err(error) => {
            // The status is long sent: the archive ends without its manifest.
            tracing::error!(%error, "an export was cut off");
            Err(io::Error::other("the export was cut off"))
        }
    }
}

/// What would be lost with the company. For owners.
#[utoipa::path(get, path = "/api/companies/{company}/deletion", tag = "companies", operation_id = "get_company_losses", params(("company" = String, Path)), responses(
    (status = 200, body = LossesView),
    (status = 403, description = "`role_too_low`", body = ErrorEnvelope),
    (status = 404, body = ErrorEnvelope),
))]
async fn losses(State(state): State<AppState>, CompanyOwner(member): CompanyOwner) -> Result<Json<LossesView>, ApiError> {
    let held = state.care.holdings(&member.company.id).await?;
    Ok(Json(LossesView {
        automations: held.automations,
        reports: held.reports,
        documents: held.documents,
        document_bytes: held.document_bytes,
        conversations: held.conversations,
        members: held.members,
        invitations: held.invitations,
        undone_within_days: DELETION_GRACE.as_secs() / 86_400,
    }))
}

/// Delete the company. For owners, who type its name. It is gone for everybody at once; for two weeks a system admin can undo that.
#[utoipa::path(post, path = "/api/companies/{company}/deletion", tag = "companies", operation_id = "delete_company", request_body = DeletionRequest,
    params(("company" = String, Path)), responses(
    (status = 204),
    (status = 403, description = "`role_too_low`, `step_up_required`", body = ErrorEnvelope),
    (status = 404, body = ErrorEnvelope),
    (status = 422, description = "`not_its_name`", body = ErrorEnvelope),
))]
async fn delete(
    State(state): State<AppState>,
    CompanyOwner(member): CompanyOwner,
    _: Fresh,
    RequestOrigin(origin): RequestOrigin,
    ValidJson(request): ValidJson<DeletionRequest>,
) -> Result<StatusCode, ApiError> {
    state.care.delete(&member.caller, &member.company, &request.name, &origin).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Companies that were deleted and can still be restored. For system admins.
#[utoipa::path(get, path = "/api/system-admin/deleted-companies", tag = "system-admin", operation_id = "list_deleted_companies", responses(
    (status = 200, body = DeletedList),
    (status = 404, description = "Not a system admin", body = ErrorEnvelope),
))]
async fn deleted(State(state): State<AppState>, _: SystemAdmin) -> Result<Json<DeletedList>, ApiError> {
    Ok(Json(DeletedList { companies: state.care.deleted().await?.into_iter().map(DeletedView::from).collect() }))
}

/// Undo the deletion of a company: its members have it back as it was. For system admins.
#[utoipa::path(post, path = "/api/system-admin/deleted-companies/{company}/restore", tag = "system-admin", operation_id = "restore_company",
    params(("company" = String, Path)), responses((status = 204), (status = 404, body = ErrorEnvelope)))]
async fn restore(
    State(state): State<AppState>,
    SystemAdmin(caller): SystemAdmin,
    Ids(path): Ids<CompanyPath>,
    RequestOrigin(origin): RequestOrigin,
) -> Result<StatusCode, ApiError> {
    state.care.restore(&caller, &path.company, &origin).await?;
    Ok(StatusCode::NO_CONTENT)
}

impl From<CareError> for ApiError {
    fn from(error: CareError) -> Self {
        match error {
            CareError::NotThere => Self::not_found(),
            CareError::NotItsName => Self::new(StatusCode::UNPROCESSABLE_ENTITY, "not_its_name", "This is not the company's name.")
                .field("name")
                .remedy("Type the name as it stands in the settings of the company."),
            CareError::ExportsBusy => Self::too_many("exports_busy", "As many exports as are made at once are under way.", BUSY_WAIT)
                .remedy("Try again when one has ended."),
            CareError::Store(error) => error.into(),
        }
    }
}
