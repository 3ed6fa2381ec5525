//! Removes the events of answers that are kept whole elsewhere.

use std::time::Duration;

use futures_util::future::BoxFuture;

use super::driver::{JobError, Reconciler};
use crate::features::chat::Chat;

/// Removes what tells how a finished answer came, once nobody can still be following it: the answer itself stands in its message.
#[derive(Clone, Debug)]
pub struct ChatRetention(pub Chat);

impl Reconciler for ChatRetention {
    fn name(&self) -> &'static str {
        "chat retention"
    }

    fn every(&self) -> Duration {
        Duration::from_secs(3600)
    }

    fn reconcile(&self) -> BoxFuture<'_, Result<(), JobError>> {
        Box::pin(async {
            self.0.prune_events().await?;
            Ok(())
        })
    }
}
