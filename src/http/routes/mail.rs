//! Outgoing mail, for system admins: whether it leaves, and why not.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::base::clock::Timestamp;
use crate::base::text::sentence;
use crate::http::caller::SystemAdmin;
use crate::http::errors::ErrorEnvelope;
use crate::http::extract::ValidJson;
use crate::http::{ApiError, AppState};
use crate::model::ids::MailId;
use crate::model::mail::MailRecord;
use crate::model::user::{Email, InvalidEmail};
use crate::services::mail::Sender;

/// The routes of this noun.
pub fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::new().routes(routes!(list)).routes(routes!(test))
}

/// A mail without its text, which may hold a one-time link.
#[derive(Serialize, ToSchema)]
struct MailView {
    #[schema(value_type = String)]
    id: MailId,
    /// `invitation`, `password_reset`, `verify_email`, `sign_in_code` or `test`.
    kind: &'static str,
    #[schema(value_type = String)]
    recipient: Email,
    /// `waiting`, `sent` or `failed`.
    state: &'static str,
    /// Tries so far.
    attempts: u32,
    #[schema(value_type = String, format = DateTime)]
    created_at: Timestamp,
    /// When it is tried next, while it waits.
    #[schema(value_type = Option<String>, format = DateTime)]
    next_at: Option<Timestamp>,
    /// When it was sent or given up.
    #[schema(value_type = Option<String>, format = DateTime)]
    ended_at: Option<Timestamp>,
    /// Why the last try failed, and what can be done.
    last_error: Option<String>,
}

impl From<MailRecord> for MailView {
    fn from(record: MailRecord) -> Self {
        let MailRecord { id, kind, recipient, state, attempts, created_at, next_at, ended_at, last_error } = record;
        Self { id, kind: kind.as_str(), recipient, state: state.as_str(), attempts, created_at, next_at, ended_at, last_error }
    }
}

#[derive(Serialize, ToSchema)]
struct MailList {
    /// How mail leaves: `smtp`, `azure`, or `spool` (into the folder `mail` of the data folder).
    sender: &'static str,
    /// Where it comes from.
    from: String,
    /// Whether links can be mailed: `APP_BASE_URL` is set.
    links: bool,
    /// The newest first, at most 200.
    mails: Vec<MailView>,
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct TestMailRequest {
    /// To whom.
    to: String,
}

#[derive(Serialize, ToSchema)]
struct QueuedView {
    /// The mail, to be found in the list.
    #[schema(value_type = String)]
    id: MailId,
}

/// How mail leaves, and the newest mails.
#[utoipa::path(get, path = "/api/system-admin/mail", tag = "system-admin", operation_id = "list_mail", responses(
    (status = 200, body = MailList),
    (status = 404, description = "Not a system admin", body = ErrorEnvelope),
))]
async fn list(State(state): State<AppState>, _: SystemAdmin) -> Result<Json<MailList>, ApiError> {
    let mails = state.courier.records().await?;
    let settings = state.outbox.settings();
    let sender = match settings.sender {
        Sender::Smtp(_) => "smtp",
        Sender::Azure(_) => "azure",
        Sender::Spool(_) => "spool",
    };
    let mails = mails.into_iter().map(MailView::from).collect();
    Ok(Json(MailList { sender, from: settings.from.to_string(), links: settings.base_url.is_some(), mails }))
}

/// Send a mail, to see whether it arrives.
#[utoipa::path(post, path = "/api/system-admin/mail/test", tag = "system-admin", operation_id = "test_mail", request_body = TestMailRequest, responses(
    (status = 202, body = QueuedView),
    (status = 404, description = "Not a system admin", body = ErrorEnvelope),
    (status = 422, description = "`invalid_field`", body = ErrorEnvelope),
))]
async fn test(
    State(state): State<AppState>,
    _: SystemAdmin,
    ValidJson(request): ValidJson<TestMailRequest>,
) -> Result<(StatusCode, Json<QueuedView>), ApiError> {
    let to: Email = request.to.parse().map_err(|error: InvalidEmail| ApiError::invalid("to", sentence(error)))?;
    let mail = state.outbox.test(&to).map_err(ApiError::internal)?;
    let id = mail.id.clone();
    state.courier.post(mail).await?;
    Ok((StatusCode::ACCEPTED, Json(QueuedView { id })))
}
