//! The audit log: who did what to what, for system admins.

use std::collections::HashMap;

use axum::Json;
use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::{HeaderName, header};
use axum::response::{IntoResponse, Response};
use futures_util::stream;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::base::clock::Timestamp;
use crate::http::caller::{Fresh, RequestOrigin, SystemAdmin};
use crate::http::errors::ErrorEnvelope;
use crate::http::extract::ValidQuery;
use crate::http::{ApiError, AppState};
use crate::model::audit::{AuditFilter, AuditRow, Outcome};
use crate::model::ids::CompanyId;
use crate::services::audit::export::{LastLine, row_line};
use crate::services::audit::{Audit, AuditError};
use crate::store::StoreError;

/// Most rows in one answer.
const ROWS_MAX: u32 = 500;
const ROWS_DEFAULT: u32 = 100;

/// The routes of this noun.
pub fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::new().routes(routes!(list)).routes(routes!(export))
}

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct AuditQuery {
    /// Only rows before this place: the way to the next page.
    before: Option<i64>,
    /// Only acts whose name begins so, such as `member.`.
    action: Option<String>,
    /// Only what this actor did: a user's id, how their name or e-mail address begins, `system`, `cli` or `unknown`.
    actor: Option<String>,
    /// Only what was done to this object.
    object: Option<String>,
    /// Only of this company.
    #[param(value_type = Option<String>)]
    company: Option<CompanyId>,
    /// Only `ok`, `refused` or `failed`.
    outcome: Option<String>,
    /// At most so many rows, up to 500.
    limit: Option<u32>,
}

/// An act as recorded.
#[derive(Serialize, ToSchema)]
#[schema(as = AuditRow)]
struct RowView {
    /// Its place, from 1, without gaps.
    sequence: i64,
    #[schema(value_type = String, format = DateTime)]
    at: Timestamp,
    /// A user's id, `system`, `cli` or `unknown`.
    actor: String,
    /// The user's name now.
    actor_name: Option<String>,
    /// What was done, such as `member.role_set`.
    action: String,
    /// To what: an id, or a word where there is none.
    object: String,
    /// Its name now, where it is a user or a company.
    object_name: Option<String>,
    company_id: Option<String>,
    company_name: Option<String>,
    address: Option<String>,
    /// `ok`, `refused` or `failed`.
    outcome: &'static str,
    /// Before and after, and whatever else explains it.
    detail: serde_json::Value,
    /// SHA-256 of the row and of the one before it, hexadecimal.
    hash: String,
}

impl RowView {
    fn new(row: AuditRow, names: &HashMap<String, String>) -> Self {
        Self {
            sequence: row.sequence,
            at: row.at,
            actor_name: names.get(&row.actor).cloned(),
            object_name: names.get(&row.object).cloned(),
            company_name: row.company_id.as_ref().and_then(|id| names.get(id)).cloned(),
            actor: row.actor,
            action: row.action,
            object: row.object,
            company_id: row.company_id,
            address: row.address,
            outcome: row.outcome.as_str(),
            detail: serde_json::from_str(&row.detail_json).unwrap_or_default(),
            hash: hex::encode(row.hash),
        }
    }
}

#[derive(Serialize, ToSchema)]
struct RowList {
    rows: Vec<RowView>,
    /// Where the next page begins (`before`); null when there is none.
    next_before: Option<i64>,
}

/// The audit log, the newest row first.
#[utoipa::path(get, path = "/api/system-admin/audit", tag = "system-admin", operation_id = "list_audit_rows", params(AuditQuery), responses(
    (status = 200, body = RowList),
    (status = 404, description = "Not a system admin", body = ErrorEnvelope),
    (status = 422, description = "`invalid_field`", body = ErrorEnvelope),
))]
async fn list(State(state): State<AppState>, _: SystemAdmin, ValidQuery(query): ValidQuery<AuditQuery>) -> Result<Json<RowList>, ApiError> {
    let outcome = query.outcome.as_deref().map(str::parse::<Outcome>).transpose();
    let outcome = outcome.map_err(|_| ApiError::invalid("outcome", "An outcome is ok, refused or failed."))?;
    let limit = query.limit.unwrap_or(ROWS_DEFAULT).clamp(1, ROWS_MAX);
    let AuditQuery { before, action, actor, object, company, .. } = query;
    let rows = state.audit.rows(AuditFilter { before, action, actor, object, company, outcome, limit }).await?;
    let full = rows.len() == limit as usize;
    let next_before = rows.last().map(|row| row.sequence).filter(|last| full && *last > 1);
    let names = state.audit.names(&rows).await?;
    Ok(Json(RowList { rows: rows.into_iter().map(|row| RowView::new(row, &names)).collect(), next_before }))
}

/// The whole log as JSON Lines, closed by a checkpoint that this installation signs: `onsite audit verify FILE` checks it on any machine.
#[utoipa::path(get, path = "/api/system-admin/audit/export", tag = "system-admin", operation_id = "export_audit_log", responses(
    (status = 200, description = "JSON Lines", body = String, content_type = "application/x-ndjson"),
    (status = 403, description = "`step_up_required`", body = ErrorEnvelope),
    (status = 404, description = "Not a system admin", body = ErrorEnvelope),
))]
async fn export(
    State(state): State<AppState>,
    SystemAdmin(caller): SystemAdmin,
    _: Fresh,
    RequestOrigin(origin): RequestOrigin,
) -> Result<Response, ApiError> {
    let checkpoint = state.audit.checkpoint(&caller, &origin).await?;
    let name = format!("attachment; filename=\"onsite-audit-{}.jsonl\"", checkpoint.sequence);
    let headers: [(HeaderName, String); 3] =
        [(header::CONTENT_TYPE, "application/x-ndjson".into()), (header::CONTENT_DISPOSITION, name), (header::CACHE_CONTROL, "no-store".into())];
    let last = checkpoint.sequence;
    let end = serde_json::to_string(&LastLine { checkpoint }).map_err(ApiError::internal)?;
    let lines = stream::try_unfold((state.audit.clone(), 0, Some(end)), move |(audit, after, end)| next_lines(audit, after, last, end));
    Ok((headers, Body::from_stream(lines)).into_response())
}

type Lines = (Audit, i64, Option<String>);

/// The next rows as lines; after them the checkpoint; then nothing.
async fn next_lines(audit: Audit, after: i64, last: i64, end: Option<String>) -> Result<Option<(Bytes, Lines)>, StoreError> {
    let Some(end) = end else { return Ok(None) };
    let rows = audit.exported(after, last).await?;
    match rows.last().map(|row| row.sequence) {
        Some(reached) => {
            let text: String = rows.iter().map(|row| row_line(row) + "\n").collect();
            Ok(Some((text.into(), (audit, reached, Some(end)))))
        }
        None => Ok(Some(((end + "\n").into(), (audit, after, None)))),
    }
}

impl From<AuditError> for ApiError {
    fn from(error: AuditError) -> Self {
        match error {
            AuditError::Store(error) => error.into(),
            AuditError::Key { .. } => Self::internal(error),
        }
    }
}
