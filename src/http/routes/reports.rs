//! Reports of widgets, and their metrics over time.

use axum::Json;
use axum::extract::State;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::widgets::{InWidget, viewer};
use crate::base::clock::Timestamp;
use crate::features::automations::ReportView;
use crate::http::caller::{CompanyMember, Ids};
use crate::http::errors::ErrorEnvelope;
use crate::http::extract::{Listed, PartQuery};
use crate::http::{ApiError, AppState};
use crate::model::ids::{CompanyId, ReportId, RunId, WidgetId};
use crate::model::report::ReportBody;
use crate::model::report_history::{self, ReportChanges};

/// The routes of this noun.
pub fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::new().routes(routes!(list)).routes(routes!(series)).routes(routes!(get))
}

#[derive(Debug, Deserialize)]
struct InReport {
    #[serde(rename = "company")]
    _company: CompanyId,
    report: ReportId,
}

#[derive(Serialize, ToSchema)]
struct ReportHead {
    #[schema(value_type = String)]
    id: ReportId,
    #[schema(value_type = String)]
    run_id: RunId,
    title: String,
    pages: u32,
    findings: u32,
    metrics: u32,
    #[schema(value_type = String, format = DateTime)]
    collected_at: Timestamp,
    #[schema(value_type = String, format = DateTime)]
    created_at: Timestamp,
}

#[derive(Serialize, ToSchema)]
struct ReportList {
    reports: Vec<ReportHead>,
    /// Where the next part begins (`before`); null when there is none.
    #[schema(value_type = Option<String>)]
    next_before: Option<ReportId>,
}

#[derive(Serialize, ToSchema)]
pub(super) struct MetricChange {
    name: String,
    unit: Option<String>,
    /// Absent when the metric is new.
    previous: Option<f64>,
    /// Absent when the metric is gone.
    current: Option<f64>,
    change: Option<f64>,
}

impl From<report_history::MetricChange> for MetricChange {
    fn from(metric: report_history::MetricChange) -> Self {
        Self { name: metric.name, unit: metric.unit, previous: metric.previous, current: metric.current, change: metric.change }
    }
}

/// What changed since the report before.
#[derive(Serialize, ToSchema)]
struct Changes {
    metrics: Vec<MetricChange>,
    /// Ids of findings.
    new_findings: Vec<String>,
    /// Texts of findings.
    gone_findings: Vec<String>,
}

impl From<ReportChanges> for Changes {
    fn from(changes: ReportChanges) -> Self {
        Self {
            metrics: changes.metrics.into_iter().map(Into::into).collect(),
            new_findings: changes.new_findings,
            gone_findings: changes.gone_findings,
        }
    }
}

#[derive(Serialize, ToSchema)]
struct Report {
    #[schema(value_type = String)]
    id: ReportId,
    #[schema(value_type = String)]
    widget_id: WidgetId,
    #[schema(value_type = String)]
    run_id: RunId,
    title: String,
    pages: u32,
    #[schema(value_type = String, format = DateTime)]
    collected_at: Timestamp,
    #[schema(value_type = String, format = DateTime)]
    created_at: Timestamp,
    #[serde(flatten)]
    body: ReportBody,
    /// None for a first report.
    changes: Option<Changes>,
}

impl From<ReportView> for Report {
    fn from(view: ReportView) -> Self {
        let report = view.report;
        Self {
            id: report.id,
            widget_id: report.widget_id,
            run_id: report.run_id,
            title: report.title,
            pages: report.pages,
            collected_at: report.collected_at,
            created_at: report.created_at,
            body: report.body,
            changes: view.changes.map(Into::into),
        }
    }
}

#[derive(Serialize, ToSchema)]
struct Point {
    #[schema(value_type = String, format = DateTime)]
    at: Timestamp,
    value: f64,
    as_of: Option<String>,
    #[schema(value_type = String)]
    report_id: ReportId,
}

#[derive(Serialize, ToSchema)]
struct Series {
    name: String,
    unit: Option<String>,
    points: Vec<Point>,
}

impl From<report_history::Series> for Series {
    fn from(series: report_history::Series) -> Self {
        let point = |point: report_history::MetricPoint| Point { at: point.at, value: point.value, as_of: point.as_of, report_id: point.report_id };
        Self { name: series.name, unit: series.unit, points: series.points.into_iter().map(point).collect() }
    }
}

#[derive(Serialize, ToSchema)]
struct SeriesList {
    series: Vec<Series>,
}

/// A widget's reports, the latest first.
#[utoipa::path(get, path = "/api/companies/{company}/widgets/{widget}/reports", tag = "automations", operation_id = "list_reports",
    params(("company" = String, Path), ("widget" = String, Path), PartQuery), responses((status = 200, body = ReportList), (status = 404, body = ErrorEnvelope)))]
async fn list(
    State(state): State<AppState>,
    member: CompanyMember,
    Ids(ids): Ids<InWidget>,
    Listed(part): Listed<ReportId>,
) -> Result<Json<ReportList>, ApiError> {
    let heads = state.automations.reports(&viewer(member), &ids.widget, &part).await?;
    let next_before = part.next(&heads, |head| head.id.clone());
    let head = |head: report_history::ReportHead| ReportHead {
        id: head.id,
        run_id: head.run_id,
        title: head.title,
        pages: head.pages,
        findings: head.findings,
        metrics: head.metrics,
        collected_at: head.collected_at,
        created_at: head.created_at,
    };
    Ok(Json(ReportList { reports: heads.into_iter().map(head).collect(), next_before }))
}

/// A widget's metrics over time.
#[utoipa::path(get, path = "/api/companies/{company}/widgets/{widget}/series", tag = "automations", operation_id = "get_series",
    params(("company" = String, Path), ("widget" = String, Path)), responses((status = 200, body = SeriesList), (status = 404, body = ErrorEnvelope)))]
async fn series(State(state): State<AppState>, member: CompanyMember, Ids(ids): Ids<InWidget>) -> Result<Json<SeriesList>, ApiError> {
    let series = state.automations.series(&viewer(member), &ids.widget).await?;
    Ok(Json(SeriesList { series: series.into_iter().map(Into::into).collect() }))
}

/// A report, and what changed since the one before.
#[utoipa::path(get, path = "/api/companies/{company}/reports/{report}", tag = "automations", operation_id = "get_report",
    params(("company" = String, Path), ("report" = String, Path)), responses((status = 200, body = Report), (status = 404, body = ErrorEnvelope)))]
async fn get(State(state): State<AppState>, member: CompanyMember, Ids(ids): Ids<InReport>) -> Result<Json<Report>, ApiError> {
    Ok(Json(state.automations.report(&viewer(member), &ids.report).await?.into()))
}
