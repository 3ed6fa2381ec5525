//! What is kept only for a while.

use std::time::Duration;

use super::{AutomationError, Automations};

/// Runs whose events go in one transaction.
const RUNS_AT_ONCE: u32 = 50;

impl Automations {
    /// Removes the events of runs that ended long ago; the runs, their pages and reports stay. Returns how many runs' events went.
    ///
    /// # Errors
    /// The store's failure.
    pub async fn prune(&self) -> Result<usize, AutomationError> {
        let before = self.now().minus(Duration::from_secs(u64::from(self.parts().settings.event_days) * 86_400));
        let mut pruned = 0;
        loop {
            let gone = self.store().prune_run_events(before, RUNS_AT_ONCE).await?;
            pruned += gone;
            if gone < RUNS_AT_ONCE as usize || self.parts().tasks.is_stopping() {
                return Ok(pruned);
            }
        }
    }
}
