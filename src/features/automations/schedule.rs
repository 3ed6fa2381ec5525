//! Turns widgets that are due into queued runs.

use super::{AutomationError, Automations};
use crate::model::run::Trigger;
use crate::store::runs::QueueOutcome;

/// Due widgets looked at in one go.
const DUE_AT_ONCE: u32 = 200;

impl Automations {
    /// Queues a run for every widget that is due, and moves each on to its next time, counted from now: however many ticks were missed, one
    /// run makes up for them. A widget whose run is still going loses this tick. Returns how many runs were queued.
    ///
    /// # Errors
    /// The store's failure.
    pub async fn queue_due(&self) -> Result<usize, AutomationError> {
        let mut queued = 0;
        loop {
            let now = self.now();
            let due = self.store().due_widgets(now, DUE_AT_ONCE).await?;
            let last = due.len() < DUE_AT_ONCE as usize;
            for widget in due {
                let next = widget.spec.next_run_after(now);
                match self.queue(&widget, Trigger::Schedule, widget.created_by.clone(), Some(next)).await? {
                    QueueOutcome::Queued(_) => queued += 1,
                    QueueOutcome::AlreadyRunning(run) => {
                        tracing::info!(widget = %widget.id, %run, "due while its run is still going: this tick is skipped");
                    }
                    // Deleted since it was found due.
                    QueueOutcome::NoSuchWidget => {}
                }
            }
            if last {
                return Ok(queued);
            }
        }
    }
}
