//! What people are shown of widgets and reports: the grid, one widget, one report with what changed.

use std::collections::{BTreeSet, HashMap, HashSet};

use super::seams::Collector;
use super::{AutomationError, Automations, Viewer};
use crate::base::clock::Timestamp;
use crate::model::freshness::Freshness;
use crate::model::ids::{CompanyId, DocumentId, ReportId, WidgetId};
use crate::model::part::Part;
use crate::model::report_history::{MetricChange, MetricPoint, Report, ReportChanges, ReportHead, Series};
use crate::model::run::{Run, RunError};
use crate::model::widget::Widget;
use crate::store::StoreError;

/// Points of a sparkline.
const SPARKLINE_POINTS: u32 = 30;
/// Points of a series.
const SERIES_POINTS: u32 = 500;

/// A widget and how it stands.
#[derive(Clone, Debug, PartialEq)]
pub struct WidgetView {
    /// The widget.
    pub widget: Widget,
    /// Its latest run and what is known from its latest report.
    pub latest: Option<LatestRun>,
    /// Its headline metric over its last reports, oldest first.
    pub sparkline: Vec<MetricPoint>,
    /// What will keep it from running as it is: start pages that may not be reached.
    pub warnings: Vec<RunError>,
}

/// A widget's latest run, and its latest report, which may be of an earlier run.
#[derive(Clone, Debug, PartialEq)]
pub struct LatestRun {
    /// The run.
    pub run: Run,
    /// The latest report there is.
    pub report: Option<ReportHead>,
    /// The headline metric.
    pub headline: Option<Headline>,
    /// How old the report's material is, for this widget.
    pub freshness: Option<Freshness>,
    /// Figures that are not what they were when somebody last looked, where that was asked and there was a report then.
    pub changes: Option<Vec<MetricChange>>,
}

/// The first metric of a report: the one whose name says most of what was asked.
#[derive(Clone, Debug, PartialEq)]
pub struct Headline {
    /// Its name.
    pub name: String,
    /// Its unit.
    pub unit: Option<String>,
    /// Its value.
    pub value: f64,
    /// The difference from the report before.
    pub change: Option<f64>,
    /// The date the source gives.
    pub as_of: Option<String>,
}

/// A report, and what changed since the one before.
#[derive(Clone, Debug, PartialEq)]
pub struct ReportView {
    /// The report.
    pub report: Report,
    /// What changed; none for a first report.
    pub changes: Option<ReportChanges>,
}

impl Automations {
    /// A part of a company's widgets as the viewer may see them, with `since` what moved since then, and where the next part begins: a few queries,
    /// however many there are.
    ///
    /// # Errors
    /// The store's failure.
    pub async fn widgets(
        &self,
        viewer: &Viewer,
        part: &Part<WidgetId>,
        since: Option<Timestamp>,
    ) -> Result<(Vec<WidgetView>, Option<WidgetId>), AutomationError> {
        let (store, company) = (self.store(), || viewer.company.clone());
        let mut widgets = store.widgets_in(company(), part.clone()).await?;
        let next = part.next(&widgets, |widget| widget.id.clone());
        self.name_current_documents(&viewer.company, &mut widgets).await?;
        let mut runs: HashMap<WidgetId, Run> = store.latest_runs(company()).await?.into_iter().map(|run| (run.widget_id.clone(), run)).collect();
        let mut reports: HashMap<WidgetId, ReportHead> =
            store.latest_report_heads(company()).await?.into_iter().map(|head| (head.widget_id.clone(), head)).collect();
        let mut headlines: HashMap<WidgetId, Series> =
            store.headline_series(company(), SPARKLINE_POINTS).await?.into_iter().map(|series| (series.widget_id.clone(), series)).collect();
        let mut changes = match since {
            Some(since) => store.metric_changes(company(), since).await?,
            None => HashMap::new(),
        };
        let mut views = Vec::with_capacity(widgets.len());
        for widget in widgets.into_iter().filter(|widget| widget.is_shown_to(&viewer.user, viewer.role)) {
            let id = widget.id.clone();
            let mut view = self.view(widget, runs.remove(&id), reports.remove(&id), headlines.remove(&id));
            if let Some(latest) = &mut view.latest {
                latest.changes = changes.remove(&id);
            }
            views.push(view);
        }
        Ok((views, next))
    }

    /// One widget.
    ///
    /// # Errors
    /// Not found, or the store's failure.
    pub async fn widget(&self, viewer: &Viewer, id: &WidgetId) -> Result<WidgetView, AutomationError> {
        let mut widget = self.visible_widget(viewer, id).await?;
        self.name_current_documents(&viewer.company, std::slice::from_mut(&mut widget)).await?;
        let (store, company) = (self.store(), || viewer.company.clone());
        let run = store.runs_of_widget(company(), id.clone(), Part::new(None, Some(1))).await?.pop();
        let report = store.report_heads(company(), id.clone(), Part::new(None, Some(1))).await?.pop();
        // The series of the latest report come first, in its order: the first one is its headline, unless it has no metric.
        let series = store.widget_series(company(), id.clone(), SPARKLINE_POINTS).await?.into_iter().next();
        let is_current = |series: &Series| report.as_ref().is_some_and(|head| series.points.last().is_some_and(|point| point.report_id == head.id));
        let headline = series.filter(is_current);
        Ok(self.view(widget, run, report, headline))
    }

    /// A widget's reports, the latest first.
    ///
    /// # Errors
    /// Not found, or the store's failure.
    pub async fn reports(&self, viewer: &Viewer, id: &WidgetId, part: &Part<ReportId>) -> Result<Vec<ReportHead>, AutomationError> {
        self.visible_widget(viewer, id).await?;
        Ok(self.store().report_heads(viewer.company.clone(), id.clone(), part.clone()).await?)
    }

    /// Every metric of a widget over time.
    ///
    /// # Errors
    /// Not found, or the store's failure.
    pub async fn series(&self, viewer: &Viewer, id: &WidgetId) -> Result<Vec<Series>, AutomationError> {
        self.visible_widget(viewer, id).await?;
        Ok(self.store().widget_series(viewer.company.clone(), id.clone(), SERIES_POINTS).await?)
    }

    /// A report and what changed since the one before.
    ///
    /// # Errors
    /// Not found, or the store's failure.
    pub async fn report(&self, viewer: &Viewer, id: &ReportId) -> Result<ReportView, AutomationError> {
        let report = self.store().report(viewer.company.clone(), id.clone()).await?.ok_or(AutomationError::NotFound)?;
        self.visible_widget(viewer, &report.widget_id).await?;
        let before = self.store().report_before(report.widget_id.clone(), report.created_at, report.id.clone()).await?;
        let changes = before.map(|before| ReportChanges::between(&before.body, &report.body));
        Ok(ReportView { report, changes })
    }

    /// Names the documents of widgets by their latest versions, which the next run reads: what people choose from has no others.
    async fn name_current_documents(&self, company: &CompanyId, widgets: &mut [Widget]) -> Result<(), StoreError> {
        let named: BTreeSet<DocumentId> = widgets.iter().flat_map(|widget| &widget.spec.source.documents).cloned().collect();
        if named.is_empty() {
            return Ok(());
        }
        let current: HashMap<DocumentId, DocumentId> = self
            .store()
            .current_documents(company.clone(), named.into_iter().collect())
            .await?
            .into_iter()
            .map(|(named, document)| (named, document.id))
            .collect();
        for documents in widgets.iter_mut().map(|widget| &mut widget.spec.source.documents) {
            let mut seen = HashSet::new();
            documents.iter_mut().filter_map(|id| Some((current.get(id)?, id))).for_each(|(latest, id)| id.clone_from(latest));
            documents.retain(|id| seen.insert(id.clone()));
        }
        Ok(())
    }

    fn view(&self, widget: Widget, run: Option<Run>, report: Option<ReportHead>, headline: Option<Series>) -> WidgetView {
        let freshness = report.as_ref().map(|head| Freshness::at(self.now(), head.collected_at, widget.spec.stale_after_hours));
        let shown = headline.as_ref().and_then(|series| {
            let (point, change) = series.latest()?;
            Some(Headline { name: series.name.clone(), unit: series.unit.clone(), value: point.value, change, as_of: point.as_of.clone() })
        });
        let warnings = warnings(&*self.parts().collector, &widget);
        let latest = run.map(|run| LatestRun { run, report, headline: shown, freshness, changes: None });
        WidgetView { widget, latest, sparkline: headline.map(|series| series.points).unwrap_or_default(), warnings }
    }
}

/// One warning a host that may not be reached.
fn warnings(collector: &dyn Collector, widget: &Widget) -> Vec<RunError> {
    let mut warnings: Vec<RunError> = widget.spec.source.urls.iter().filter_map(|url| collector.check(url).err()).collect();
    warnings.dedup();
    warnings
}
