//! A widget as it is shown: what it is, how its latest run stands, and what its latest report says.

use serde::Serialize;
use url::Url;
use utoipa::ToSchema;

use super::reports::MetricChange;
use crate::base::clock::Timestamp;
use crate::features::automations::{Headline, LatestRun, WidgetView};
use crate::model::crawl::CrawlPolicy;
use crate::model::freshness::Freshness;
use crate::model::ids::{DocumentId, ReportId, RunId, UserId, WidgetId};
use crate::model::paused::PausedReason;
use crate::model::run::{IngestState, RunError, RunState};
use crate::model::schedule::Schedule;
use crate::model::widget::{SourceClass, SourceConfig, Visibility};

#[derive(Serialize, ToSchema)]
struct SourceConfigView {
    source_class: SourceClass,
    #[schema(value_type = Vec<String>)]
    urls: Vec<Url>,
    #[schema(value_type = Vec<String>)]
    documents: Vec<DocumentId>,
    crawl: CrawlPolicy,
    #[schema(value_type = Vec<String>)]
    recall_from_widgets: Vec<WidgetId>,
    max_upstream_age_hours: Option<u32>,
}

impl From<SourceConfig> for SourceConfigView {
    fn from(source: SourceConfig) -> Self {
        Self {
            source_class: source.source_class,
            urls: source.urls,
            documents: source.documents,
            crawl: source.crawl,
            recall_from_widgets: source.recall_from_widgets,
            max_upstream_age_hours: source.max_upstream_age_hours,
        }
    }
}

#[derive(Serialize, ToSchema)]
struct HeadlineView {
    name: String,
    value: f64,
    unit: Option<String>,
    /// The difference from the report before.
    change: Option<f64>,
    as_of: Option<String>,
}

impl From<Headline> for HeadlineView {
    fn from(headline: Headline) -> Self {
        Self { name: headline.name, value: headline.value, unit: headline.unit, change: headline.change, as_of: headline.as_of }
    }
}

/// The latest run, and what the latest report says, which may be of an earlier run.
#[derive(Serialize, ToSchema)]
struct LatestView {
    #[schema(value_type = String)]
    run_id: RunId,
    state: RunState,
    ingest: IngestState,
    error: Option<RunError>,
    #[schema(value_type = Option<String>, format = DateTime)]
    finished_at: Option<Timestamp>,
    #[schema(value_type = Option<String>)]
    report_id: Option<ReportId>,
    headline: Option<HeadlineView>,
    findings: u32,
    metrics: u32,
    freshness: Option<Freshness>,
    #[schema(value_type = Option<String>, format = DateTime)]
    collected_at: Option<Timestamp>,
    /// Figures that are new, gone or other than in the latest report of `since`; null where that was not asked, or there was none then.
    changes: Option<Vec<MetricChange>>,
}

impl From<LatestRun> for LatestView {
    fn from(latest: LatestRun) -> Self {
        let report = latest.report.as_ref();
        Self {
            run_id: latest.run.id,
            state: latest.run.state,
            ingest: latest.run.ingest,
            error: latest.run.error,
            finished_at: latest.run.finished_at,
            report_id: report.map(|head| head.id.clone()),
            headline: latest.headline.map(Into::into),
            findings: report.map_or(0, |head| head.findings),
            metrics: report.map_or(0, |head| head.metrics),
            freshness: latest.freshness,
            collected_at: report.map(|head| head.collected_at),
            changes: latest.changes.map(|changes| changes.into_iter().map(Into::into).collect()),
        }
    }
}

#[derive(Serialize, ToSchema)]
struct SparkPoint {
    #[schema(value_type = String, format = DateTime)]
    at: Timestamp,
    value: f64,
}

#[derive(Serialize, ToSchema)]
pub(super) struct Widget {
    #[schema(value_type = String)]
    id: WidgetId,
    title: String,
    objective: String,
    source_config: SourceConfigView,
    schedule: Schedule,
    stale_after_hours: u32,
    #[schema(value_type = Option<String>)]
    upstream_widget_id: Option<WidgetId>,
    visibility: Visibility,
    deep_collection: bool,
    paused: bool,
    /// Why it is paused though nobody paused it: whoever made it has lost their place. An admin takes it over.
    paused_reason: Option<PausedReason>,
    #[schema(value_type = Option<String>, format = DateTime)]
    next_run_at: Option<Timestamp>,
    /// Who made it: they change and delete it as well as `dev` and above.
    #[schema(value_type = String)]
    created_by: UserId,
    #[schema(value_type = String, format = DateTime)]
    created_at: Timestamp,
    #[schema(value_type = String, format = DateTime)]
    updated_at: Timestamp,
    latest: Option<LatestView>,
    /// The headline over the last reports, oldest first.
    sparkline: Vec<SparkPoint>,
    /// What will keep it from running as it is: start pages that may not be reached.
    warnings: Vec<RunError>,
}

impl From<WidgetView> for Widget {
    fn from(view: WidgetView) -> Self {
        let spec = view.widget.spec;
        Self {
            id: view.widget.id,
            title: spec.title,
            objective: spec.objective,
            source_config: spec.source.into(),
            schedule: spec.schedule,
            stale_after_hours: spec.stale_after_hours,
            upstream_widget_id: spec.upstream_widget_id,
            visibility: spec.visibility,
            deep_collection: spec.deep_collection,
            paused: spec.paused,
            paused_reason: view.widget.paused_reason,
            next_run_at: view.widget.next_run_at,
            created_by: view.widget.created_by,
            created_at: view.widget.created_at,
            updated_at: view.widget.updated_at,
            latest: view.latest.map(Into::into),
            sparkline: view.sparkline.into_iter().map(|point| SparkPoint { at: point.at, value: point.value }).collect(),
            warnings: view.warnings,
        }
    }
}
