//! The runs that make answers: their state, their events, and stopping them.

use axum::Json;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use futures_util::FutureExt;
use serde::Deserialize;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::conversations::owner;
use crate::http::caller::{CompanyMember, CompanyWorker, Ids};
use crate::http::sse::{event_stream, last_event_id};
use crate::http::{ApiError, AppState};
use crate::model::chat::ChatRun;
use crate::model::ids::ChatRunId;

/// The routes of this noun.
pub fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::new().routes(routes!(read)).routes(routes!(cancel)).routes(routes!(events))
}

#[derive(Deserialize)]
struct InPath {
    run: ChatRunId,
}

/// Where the making of an answer stands.
#[utoipa::path(get, path = "/api/companies/{company}/chat-runs/{run}", tag = "chat", operation_id = "get_chat_run", params(("company" = String, Path), ("run" = String, Path)),
    responses((status = 200, body = ChatRun)))]
async fn read(State(state): State<AppState>, member: CompanyMember, Ids(path): Ids<InPath>) -> Result<Json<ChatRun>, ApiError> {
    state.chat.run(&owner(&member), &path.run).await?.map(Json).ok_or_else(ApiError::not_found)
}

/// Stops an answer; one that is over stays as it is.
#[utoipa::path(post, path = "/api/companies/{company}/chat-runs/{run}/cancel", tag = "chat", operation_id = "cancel_chat_run", params(("company" = String, Path), ("run" = String, Path)),
    responses((status = 202, body = ChatRun)))]
async fn cancel(
    State(state): State<AppState>,
    CompanyWorker(member): CompanyWorker,
    Ids(path): Ids<InPath>,
) -> Result<(StatusCode, Json<ChatRun>), ApiError> {
    let run = state.chat.cancel(&owner(&member), &path.run).await?.ok_or_else(ApiError::not_found)?;
    Ok((StatusCode::ACCEPTED, Json(run)))
}

/// The events of an answer (SSE), from after `Last-Event-ID`: `state`, `recalled`, `delta`, `reset`, then `done`, `failed` or `cancelled`.
#[utoipa::path(get, path = "/api/companies/{company}/chat-runs/{run}/events", tag = "chat", operation_id = "follow_chat_run", params(("company" = String, Path), ("run" = String, Path)),
    responses((status = 200, content_type = "text/event-stream", body = String), (status = 204, description = "Over, and all of it was seen")))]
async fn events(State(state): State<AppState>, member: CompanyMember, Ids(path): Ids<InPath>, headers: HeaderMap) -> Result<Response, ApiError> {
    let run = state.chat.run(&owner(&member), &path.run).await?.ok_or_else(ApiError::not_found)?;
    let (stream, after) = (run.id.to_string(), last_event_id(&headers));
    // A browser that reconnects after the last event would wait for ever; 204 tells it to stop.
    if run.state.is_over() && state.streams.after(&stream, after, 1).await?.is_empty() {
        return Ok(StatusCode::NO_CONTENT.into_response());
    }
    let still_allowed = move |state: AppState| {
        let (member, run) = (member.clone(), run.id.clone());
        async move {
            let Some(member) = member.again(&state).await? else { return Ok(false) };
            Ok(state.chat.run(&owner(&member), &run).await?.is_some())
        }
        .boxed()
    };
    Ok(event_stream(state, stream, after, Box::new(still_allowed)))
}
