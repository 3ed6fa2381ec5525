//! Makes reports recallable in the background.

use std::time::Duration;

use futures_util::future::BoxFuture;

use super::driver::{JobError, Reconciler};
use crate::features::automations::Automations;

/// Makes reports recallable in the background.
#[derive(Clone, Debug)]
pub struct Ingest(pub Automations);

impl Reconciler for Ingest {
    fn name(&self) -> &'static str {
        "ingest"
    }

    fn every(&self) -> Duration {
        Duration::from_secs(60)
    }

    fn reconcile(&self) -> BoxFuture<'_, Result<(), JobError>> {
        Box::pin(async {
            self.0.ingest_waiting().await?;
            Ok(())
        })
    }
}
