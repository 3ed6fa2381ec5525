//! Queues runs of widgets that are due.

use std::time::Duration;

use futures_util::future::BoxFuture;

use super::driver::{JobError, Reconciler};
use crate::features::automations::Automations;

/// Queues runs of widgets that are due.
#[derive(Clone, Debug)]
pub struct Schedule(pub Automations);

impl Reconciler for Schedule {
    fn name(&self) -> &'static str {
        "schedule"
    }

    fn every(&self) -> Duration {
        Duration::from_secs(15)
    }

    fn reconcile(&self) -> BoxFuture<'_, Result<(), JobError>> {
        Box::pin(async {
            self.0.queue_due().await?;
            Ok(())
        })
    }
}
