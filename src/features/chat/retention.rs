//! What is kept only for a while.

use std::time::Duration;

use super::Chat;
use crate::store::StoreError;

/// How long the events of a finished answer are kept: its viewers may go on from where they were.
const KEPT: Duration = Duration::from_secs(24 * 60 * 60);
/// Runs whose events go in one transaction.
const RUNS_AT_ONCE: u32 = 20;

impl Chat {
    /// Removes what deleted conversations still hold, and what tells how answers came that ended a day ago; the answers stand in their messages and
    /// last events. Returns how many runs' events went.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn prune_events(&self) -> Result<usize, StoreError> {
        while self.parts().store.empty_deleted_conversations(RUNS_AT_ONCE).await? == RUNS_AT_ONCE as usize && !self.parts().tasks.is_stopping() {}
        let before = self.parts().seams.now().minus(KEPT);
        let mut pruned = 0;
        loop {
            let gone = self.parts().store.prune_chat_events(before, RUNS_AT_ONCE).await?;
            pruned += gone;
            if gone < RUNS_AT_ONCE as usize || self.parts().tasks.is_stopping() {
                return Ok(pruned);
            }
        }
    }
}
