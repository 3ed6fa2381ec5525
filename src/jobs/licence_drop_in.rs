//! Takes licence files that are dropped into the data folder.

use std::time::Duration;

use futures_util::future::BoxFuture;

use super::driver::{JobError, Reconciler};
use crate::base::paths::DataDir;
use crate::services::licensing::Licensing;

/// Takes `*.onsite` files of the data folder, at the start and while the appliance runs.
#[derive(Clone, Debug)]
pub struct LicenceDropIn(pub Licensing, pub DataDir);

impl Reconciler for LicenceDropIn {
    fn name(&self) -> &'static str {
        "licence drop-in"
    }

    fn every(&self) -> Duration {
        Duration::from_secs(10)
    }

    fn reconcile(&self) -> BoxFuture<'_, Result<(), JobError>> {
        Box::pin(async {
            self.0.take_dropped(self.1.path()).await?;
            Ok(())
        })
    }
}
