//! Tells systemd that the appliance is alive, after the database's writer has answered.

use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;

use super::driver::{JobError, Reconciler};
use crate::base::service_manager;
use crate::services::readiness::Readiness;

/// Gives the sign of life. Any answer of the writer counts, a full disk too: a restart cures what hangs, not what fails.
#[derive(Debug)]
pub struct SignOfLife {
    /// Who is asked first.
    pub readiness: Readiness,
    /// Half of what systemd waits.
    pub every: Duration,
}

impl Reconciler for SignOfLife {
    fn name(&self) -> &'static str {
        "sign-of-life"
    }

    fn every(&self) -> Duration {
        self.every
    }

    fn reconcile(&self) -> BoxFuture<'_, Result<(), JobError>> {
        async {
            self.readiness.alive().await;
            service_manager::alive();
            Ok(())
        }
        .boxed()
    }
}
