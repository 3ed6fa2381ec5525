//! Takes waiting runs up as places come free.

use std::time::Duration;

use futures_util::future::BoxFuture;

use super::driver::{JobError, Reconciler};
use crate::features::automations::Automations;

/// Takes waiting runs up as places come free.
#[derive(Clone, Debug)]
pub struct RunDriver(pub Automations);

impl Reconciler for RunDriver {
    fn name(&self) -> &'static str {
        "run-driver"
    }

    fn every(&self) -> Duration {
        Duration::from_secs(30)
    }

    fn reconcile(&self) -> BoxFuture<'_, Result<(), JobError>> {
        Box::pin(async {
            self.0.drive().await?;
            Ok(())
        })
    }
}
