//! Seals what is not under the current key.

use std::time::Duration;

use futures_util::future::BoxFuture;

use super::driver::{JobError, Reconciler};
use crate::model::audit::Actor;
use crate::services::secrets::Secrets;

/// Seals what is not under the current key: at a start with a new one, and what an earlier turn left. Costs one row when there is nothing to do.
#[derive(Clone, Debug)]
pub struct SecretRotation(pub Secrets);

impl Reconciler for SecretRotation {
    fn name(&self) -> &'static str {
        "secret rotation"
    }

    fn every(&self) -> Duration {
        Duration::from_secs(600)
    }

    fn reconcile(&self) -> BoxFuture<'_, Result<(), JobError>> {
        Box::pin(async {
            let rotated = self.0.rotate(Actor::System, |_| {}).await?;
            if rotated.values > 0 {
                tracing::info!(values = rotated.values, finished = rotated.finished, "values were encrypted with the current key");
            }
            if rotated.unreadable > 0 {
                return Err(format!("{} values do not open with any key and stay as they are", rotated.unreadable).into());
            }
            Ok(())
        })
    }
}
