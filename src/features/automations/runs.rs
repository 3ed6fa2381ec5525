//! Asking for runs, looking at them, stopping them.

use super::{AutomationError, Automations, Viewer};
use crate::base::clock::Timestamp;
use crate::model::ids::{CompanyId, RunId, UserId, WidgetId};
use crate::model::part::Part;
use crate::model::run::{IngestState, Run, RunPage, Trigger};
use crate::model::widget::Widget;
use crate::store::runs::{CancelOutcome, NewRun, QueueOutcome};

/// A run and the fate of its pages.
#[derive(Clone, Debug, PartialEq)]
pub struct RunView {
    /// The run.
    pub run: Run,
    /// Its pages, in the order they were met.
    pub pages: Vec<RunPage>,
    /// The place after which the next of them come.
    pub next: Option<i64>,
}

impl Automations {
    /// Queues a run of a widget now.
    ///
    /// # Errors
    /// Not found, a run in progress, or the store's failure.
    pub async fn start_run(&self, viewer: &Viewer, id: &WidgetId) -> Result<Run, AutomationError> {
        let widget = self.visible_widget(viewer, id).await?;
        match self.queue(&widget, Trigger::Manual, viewer.user.clone(), None).await? {
            QueueOutcome::Queued(run) => Ok(*run),
            QueueOutcome::AlreadyRunning(run) => Err(AutomationError::RunInProgress(run)),
            QueueOutcome::NoSuchWidget => Err(AutomationError::NotFound),
        }
    }

    /// Queues a run and wakes the driver. `next` moves the widget's schedule.
    pub(super) async fn queue(
        &self,
        widget: &Widget,
        trigger: Trigger,
        requested_by: UserId,
        next: Option<Option<Timestamp>>,
    ) -> Result<QueueOutcome, AutomationError> {
        let new = NewRun {
            id: RunId::new(&self.parts().seams),
            company_id: widget.company_id.clone(),
            widget_id: widget.id.clone(),
            trigger,
            requested_by,
            now: self.now(),
            next_run_at: next,
        };
        let outcome = self.store().queue_run(new).await?;
        if let QueueOutcome::Queued(run) = &outcome {
            tracing::info!(run = %run.id, widget = %widget.id, trigger = trigger.as_str(), "run queued");
            self.run_nudge().nudge();
        }
        Ok(outcome)
    }

    /// A widget's runs, the latest first.
    ///
    /// # Errors
    /// Not found, or the store's failure.
    pub async fn runs(&self, viewer: &Viewer, id: &WidgetId, part: &Part<RunId>) -> Result<Vec<Run>, AutomationError> {
        self.visible_widget(viewer, id).await?;
        Ok(self.store().runs_of_widget(viewer.company.clone(), id.clone(), part.clone()).await?)
    }

    /// A run and a part of its pages.
    ///
    /// # Errors
    /// Not found, or the store's failure.
    pub async fn run(&self, viewer: &Viewer, id: &RunId, part: &Part<i64>) -> Result<RunView, AutomationError> {
        let run = self.visible_run(viewer, id).await?;
        let pages = self.store().run_pages(viewer.company.clone(), id.clone(), part.after.unwrap_or(0), part.limit).await?;
        let next = part.next(&pages, |(place, _)| *place);
        Ok(RunView { run, pages: pages.into_iter().map(|(_, page)| page).collect(), next })
    }

    /// A run the viewer may see.
    ///
    /// # Errors
    /// Not found, or the store's failure.
    pub async fn visible_run(&self, viewer: &Viewer, id: &RunId) -> Result<Run, AutomationError> {
        let run = self.store().run(viewer.company.clone(), id.clone()).await?.ok_or(AutomationError::NotFound)?;
        self.visible_widget(viewer, &run.widget_id).await?;
        Ok(run)
    }

    /// Whether a follower of a run who has seen `after` events has something to wait for: not when the run is over and no more are kept.
    ///
    /// # Errors
    /// Not found, or the store's failure.
    pub async fn has_events_after(&self, viewer: &Viewer, id: &RunId, after: u64) -> Result<bool, AutomationError> {
        let run = self.visible_run(viewer, id).await?;
        if run.state.is_active() || matches!(run.ingest, IngestState::Pending | IngestState::Running) {
            return Ok(true);
        }
        Ok(!self.store().events_after(id.to_string(), after, 1).await?.is_empty())
    }

    /// Asks a run to stop.
    ///
    /// # Errors
    /// Not found, already over, or the store's failure.
    pub async fn cancel_run(&self, viewer: &Viewer, id: &RunId) -> Result<Run, AutomationError> {
        self.visible_run(viewer, id).await?;
        match self.stop_run(&viewer.company, id).await? {
            CancelOutcome::NoSuchRun => Err(AutomationError::NotFound),
            CancelOutcome::AlreadyOver(state) => Err(AutomationError::RunOver(state)),
            CancelOutcome::Cancelled | CancelOutcome::Asked => self.visible_run(viewer, id).await,
        }
    }

    pub(super) async fn stop_run(&self, company: &CompanyId, id: &RunId) -> Result<CancelOutcome, AutomationError> {
        let outcome = self.store().ask_run_cancel(company.clone(), id.clone(), self.now()).await?;
        if let Some(token) = self.working().get(id) {
            token.cancel();
        }
        self.tell(id);
        Ok(outcome)
    }
}
