//! What is kept only for a while.

use std::time::Duration;

use super::{AutomationError, Automations};
use crate::base::clock::Timestamp;
use crate::store::retention::RunsKept;

/// Reports or runs looked for at once.
const BATCH: u32 = 50;
/// Batches of each kind in one look: what is left waits for the next one, so that a look ends.
const BATCHES_MAX: u32 = 100;
/// Latest runs of a widget that are kept whatever came of them.
const RUNS_PER_WIDGET: u32 = 100;

impl Automations {
    /// Removes reports past their time with their chunks, runs that nothing refers to, and the events of runs that ended long ago. Returns how
    /// many of these there were.
    ///
    /// # Errors
    /// The store's failure.
    pub async fn prune(&self) -> Result<usize, AutomationError> {
        let (settings, store) = (self.parts().settings, self.store());
        let oldest_report = settings.report_days.map(|days| self.days_ago(days));
        let oldest_events = self.days_ago(settings.event_days);
        let runs = RunsKept { per_widget: RUNS_PER_WIDGET, limit: BATCH };
        let mut pruned = self.in_batches(|| store.prune_reports(oldest_report, BATCH)).await?;
        pruned += self.in_batches(|| store.prune_runs(runs)).await?;
        pruned += self.in_batches(|| store.prune_run_events(oldest_events, BATCH)).await?;
        Ok(pruned)
    }

    fn days_ago(&self, days: u32) -> Timestamp {
        self.now().minus(Duration::from_secs(u64::from(days) * 86_400))
    }

    async fn in_batches<F>(&self, batch: impl Fn() -> F) -> Result<usize, AutomationError>
    where
        F: Future<Output = Result<usize, crate::store::StoreError>>,
    {
        let mut pruned = 0;
        for _ in 0..BATCHES_MAX {
            let gone = batch().await?;
            pruned += gone;
            if gone < BATCH as usize || self.parts().tasks.is_stopping() {
                break;
            }
        }
        Ok(pruned)
    }
}
