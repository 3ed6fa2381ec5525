//! Removes what is kept only for a while.

use std::time::Duration;

use futures_util::future::BoxFuture;

use super::driver::{JobError, Reconciler};
use crate::features::automations::Automations;

/// Removes what is kept only for a while.
#[derive(Clone, Debug)]
pub struct Retention(pub Automations);

impl Reconciler for Retention {
    fn name(&self) -> &'static str {
        "retention"
    }

    fn every(&self) -> Duration {
        Duration::from_secs(3600)
    }

    fn reconcile(&self) -> BoxFuture<'_, Result<(), JobError>> {
        Box::pin(async {
            self.0.prune().await?;
            Ok(())
        })
    }
}
