//! Makes uploaded documents recallable: at an upload's nudge, at start for what a restart cut off, and now and then for those that wait
//! for tokens.

use std::time::Duration;

use futures_util::future::BoxFuture;

use super::driver::{JobError, Reconciler};
use crate::features::documents::Documents;

/// The reconciler over [`Documents::reconcile`].
#[derive(Debug)]
pub struct DocumentIngest {
    documents: Documents,
}

impl DocumentIngest {
    /// Over the documents feature.
    #[must_use]
    pub const fn new(documents: Documents) -> Self {
        Self { documents }
    }
}

impl Reconciler for DocumentIngest {
    fn name(&self) -> &'static str {
        "document-ingest"
    }

    fn every(&self) -> Duration {
        Duration::from_secs(60)
    }

    fn reconcile(&self) -> BoxFuture<'_, Result<(), JobError>> {
        Box::pin(async move { Ok(self.documents.reconcile().await.map(|_| ())?) })
    }
}
