//! Stops the work of runs whose makers lost their place.

use std::time::Duration;

use futures_util::future::BoxFuture;

use super::driver::{JobError, Reconciler};
use crate::features::automations::Automations;

/// Stops the work of runs whose makers lost their place, or whose company ended. A command beside the server nudges nobody, hence the short wait.
#[derive(Clone, Debug)]
pub struct RunStops(pub Automations);

impl Reconciler for RunStops {
    fn name(&self) -> &'static str {
        "run-stops"
    }

    fn every(&self) -> Duration {
        Duration::from_secs(10)
    }

    fn reconcile(&self) -> BoxFuture<'_, Result<(), JobError>> {
        Box::pin(async {
            self.0.stop_asked().await?;
            Ok(())
        })
    }
}
