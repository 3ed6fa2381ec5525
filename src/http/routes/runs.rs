//! Runs of widgets, and their streams of events.

use axum::Json;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use futures_util::FutureExt;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::widgets::{InWidget, viewer};
use crate::base::clock::Timestamp;
use crate::features::automations::{AutomationError, RunView};
use crate::http::caller::{CompanyMember, CompanyWorker, Ids};
use crate::http::errors::ErrorEnvelope;
use crate::http::extract::{Listed, PartQuery};
use crate::http::sse::{event_stream, last_event_id};
use crate::http::{ApiError, AppState};
use crate::model::ids::{CompanyId, ReportId, RunId, WidgetId};
use crate::model::run::{self, IngestState, PageFate, RunError, RunPage, RunState, Trigger};

/// The routes of this noun.
pub fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::new().routes(routes!(list, start)).routes(routes!(get)).routes(routes!(cancel)).routes(routes!(events))
}

#[derive(Debug, Deserialize)]
struct InRun {
    #[serde(rename = "company")]
    _company: CompanyId,
    run: RunId,
}

#[derive(Serialize, ToSchema)]
struct Page {
    url: String,
    fate: PageFate,
    /// Why it was left out or could not be had.
    reason: Option<String>,
    /// HTTP status.
    status: Option<u16>,
    bytes: u64,
    /// SHA-256 of its canonical text.
    content_hash: Option<String>,
    #[schema(value_type = String, format = DateTime)]
    fetched_at: Timestamp,
}

impl From<RunPage> for Page {
    fn from(page: RunPage) -> Self {
        Self {
            url: page.url,
            fate: page.fate,
            reason: page.reason,
            status: page.status,
            bytes: page.bytes,
            content_hash: page.content_hash,
            fetched_at: page.fetched_at,
        }
    }
}

#[derive(Serialize, ToSchema)]
struct Run {
    #[schema(value_type = String)]
    id: RunId,
    #[schema(value_type = String)]
    widget_id: WidgetId,
    state: RunState,
    ingest: IngestState,
    trigger: Trigger,
    /// Times it was taken up: 1 unless the process died under it.
    attempt: u32,
    cancel_asked: bool,
    pages_collected: u32,
    pages_planned: u32,
    chunks: u32,
    findings: u32,
    metrics: u32,
    #[schema(value_type = Option<String>)]
    report_id: Option<ReportId>,
    /// Why it failed, or why its ingest did.
    error: Option<RunError>,
    /// Why its ingest waits, or what it left out of recall.
    notice: Option<RunError>,
    #[schema(value_type = String, format = DateTime)]
    queued_at: Timestamp,
    #[schema(value_type = Option<String>, format = DateTime)]
    started_at: Option<Timestamp>,
    #[schema(value_type = Option<String>, format = DateTime)]
    finished_at: Option<Timestamp>,
    /// Only where a single run is asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pages: Option<Vec<Page>>,
    /// Where the next part of its pages begins (`before`); absent when there is none.
    #[serde(skip_serializing_if = "Option::is_none")]
    next_before: Option<i64>,
}

impl From<run::Run> for Run {
    fn from(run: run::Run) -> Self {
        Self {
            id: run.id,
            widget_id: run.widget_id,
            state: run.state,
            ingest: run.ingest,
            trigger: run.trigger,
            attempt: run.attempt,
            cancel_asked: run.cancel_asked,
            pages_collected: run.pages_collected,
            pages_planned: run.pages_planned,
            chunks: run.chunks,
            findings: run.findings,
            metrics: run.metrics,
            report_id: run.report_id,
            error: run.error,
            notice: run.notice,
            queued_at: run.queued_at,
            started_at: run.started_at,
            finished_at: run.finished_at,
            pages: None,
            next_before: None,
        }
    }
}

impl From<RunView> for Run {
    fn from(view: RunView) -> Self {
        Self { pages: Some(view.pages.into_iter().map(Into::into).collect()), next_before: view.next, ..view.run.into() }
    }
}

#[derive(Serialize, ToSchema)]
struct RunList {
    runs: Vec<Run>,
    /// Where the next part begins (`before`); null when there is none.
    #[schema(value_type = Option<String>)]
    next_before: Option<RunId>,
}

/// A widget's latest runs, the latest first.
#[utoipa::path(get, path = "/api/companies/{company}/widgets/{widget}/runs", tag = "automations", operation_id = "list_runs",
    params(("company" = String, Path), ("widget" = String, Path), PartQuery), responses((status = 200, body = RunList), (status = 404, body = ErrorEnvelope)))]
async fn list(
    State(state): State<AppState>,
    member: CompanyMember,
    Ids(ids): Ids<InWidget>,
    Listed(part): Listed<RunId>,
) -> Result<Json<RunList>, ApiError> {
    let runs = state.automations.runs(&viewer(member), &ids.widget, &part).await?;
    let next_before = part.next(&runs, |run| run.id.clone());
    Ok(Json(RunList { runs: runs.into_iter().map(Into::into).collect(), next_before }))
}

/// Runs a widget now. Answers at once: follow the run's events.
#[utoipa::path(post, path = "/api/companies/{company}/widgets/{widget}/runs", tag = "automations", operation_id = "start_run",
    params(("company" = String, Path), ("widget" = String, Path)),
    responses((status = 202, body = Run), (status = 404, body = ErrorEnvelope), (status = 409, body = ErrorEnvelope)))]
async fn start(
    State(state): State<AppState>,
    CompanyWorker(member): CompanyWorker,
    Ids(ids): Ids<InWidget>,
) -> Result<(StatusCode, Json<Run>), ApiError> {
    let viewer = viewer(member);
    let run = state.automations.start_run(&viewer, &ids.widget).await?;
    Ok((StatusCode::ACCEPTED, Json(run.into())))
}

/// A run and the fate of its pages, part by part in the order they were met.
#[utoipa::path(get, path = "/api/companies/{company}/runs/{run}", tag = "automations", operation_id = "get_run",
    params(("company" = String, Path), ("run" = String, Path), PartQuery), responses((status = 200, body = Run), (status = 404, body = ErrorEnvelope)))]
async fn get(State(state): State<AppState>, member: CompanyMember, Ids(ids): Ids<InRun>, Listed(part): Listed<i64>) -> Result<Json<Run>, ApiError> {
    Ok(Json(state.automations.run(&viewer(member), &ids.run, &part).await?.into()))
}

/// Asks a run to stop.
#[utoipa::path(post, path = "/api/companies/{company}/runs/{run}/cancel", tag = "automations", operation_id = "cancel_run",
    params(("company" = String, Path), ("run" = String, Path)),
    responses((status = 202, body = Run), (status = 404, body = ErrorEnvelope), (status = 409, body = ErrorEnvelope)))]
async fn cancel(
    State(state): State<AppState>,
    CompanyWorker(member): CompanyWorker,
    Ids(ids): Ids<InRun>,
) -> Result<(StatusCode, Json<Run>), ApiError> {
    let viewer = viewer(member);
    let run = state.automations.cancel_run(&viewer, &ids.run).await?;
    Ok((StatusCode::ACCEPTED, Json(run.into())))
}

/// A run's events as Server-Sent Events: `state`, `page`, `extracted`, `report`, `ingest`, and at the end `done`, `failed` or `cancelled`.
/// `Last-Event-ID` goes on from there; 204 when the run is over and nothing comes after it.
#[utoipa::path(get, path = "/api/companies/{company}/runs/{run}/events", tag = "automations", operation_id = "follow_run",
    params(("company" = String, Path), ("run" = String, Path), ("Last-Event-ID" = Option<u64>, Header)),
    responses((status = 200, content_type = "text/event-stream", body = String), (status = 204), (status = 404, body = ErrorEnvelope)))]
async fn events(State(state): State<AppState>, member: CompanyMember, Ids(ids): Ids<InRun>, headers: HeaderMap) -> Result<Response, ApiError> {
    let after = last_event_id(&headers);
    if !state.automations.has_events_after(&viewer(member.clone()), &ids.run, after).await? {
        return Ok(StatusCode::NO_CONTENT.into_response());
    }
    let stream = ids.run.to_string();
    let still_allowed = move |state: AppState| {
        let (member, run) = (member.clone(), ids.run.clone());
        async move {
            let Some(member) = member.again(&state).await? else { return Ok(false) };
            match state.automations.visible_run(&viewer(member), &run).await {
                Ok(_) => Ok(true),
                Err(AutomationError::Store(error)) => Err(error),
                Err(_) => Ok(false),
            }
        }
        .boxed()
    };
    Ok(event_stream(state, stream, after, Box::new(still_allowed)))
}
