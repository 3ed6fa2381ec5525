//! Gives back the memory that searches left behind.

use std::time::Duration;

use futures_util::future::BoxFuture;

use super::driver::{JobError, Reconciler};
use crate::store::Store;

/// Gives back the memory that searches left behind, one to two turns after the last of them.
#[derive(Clone, Debug)]
pub struct IdleMemory(pub Store);

impl Reconciler for IdleMemory {
    fn name(&self) -> &'static str {
        "idle-memory"
    }

    fn every(&self) -> Duration {
        Duration::from_secs(60)
    }

    fn reconcile(&self) -> BoxFuture<'_, Result<(), JobError>> {
        Box::pin(async {
            self.0.release_idle_memory().await;
            Ok(())
        })
    }
}
