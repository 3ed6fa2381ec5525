//! Removes the rows of companies whose deletion cannot be undone any more.

use std::time::Duration;

use futures_util::future::BoxFuture;

use super::driver::{JobError, Reconciler};
use crate::features::companies::CompanyCare;

/// Removes the rows of companies whose deletion cannot be undone any more.
#[derive(Clone, Debug)]
pub struct CompanyPurge(pub CompanyCare);

impl Reconciler for CompanyPurge {
    fn name(&self) -> &'static str {
        "company purge"
    }

    fn every(&self) -> Duration {
        Duration::from_secs(3600)
    }

    fn reconcile(&self) -> BoxFuture<'_, Result<(), JobError>> {
        Box::pin(async {
            let gone = self.0.purge().await?;
            if gone > 0 {
                tracing::info!(gone, "removed the rows of deleted companies");
            }
            Ok(())
        })
    }
}
