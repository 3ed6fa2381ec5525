//! Records what is due to be said about the licence.

use std::time::Duration;

use futures_util::future::BoxFuture;

use super::driver::{JobError, Reconciler};
use crate::services::licensing::Licensing;

/// Records each step on the way to the end of the activation code once.
#[derive(Clone, Debug)]
pub struct LicenceWatch(pub Licensing);

impl Reconciler for LicenceWatch {
    fn name(&self) -> &'static str {
        "licence watch"
    }

    fn every(&self) -> Duration {
        Duration::from_secs(3600)
    }

    fn reconcile(&self) -> BoxFuture<'_, Result<(), JobError>> {
        Box::pin(async { Ok(self.0.watch().await?) })
    }
}
