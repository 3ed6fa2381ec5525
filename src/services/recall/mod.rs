//! Recall: everything collected and uploaded, cut into chunks, and found again for a question with its citation.

mod drafts;
mod forget;
mod ingest;
mod passages;
mod quote;
mod rank;
mod search;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use crate::base::seams::Seams;
use crate::base::tasks::Tasks;
use crate::model::chunk::{Chunk, ChunkId};
use crate::model::ids::{CompanyId, UserId};
use crate::model::kept_text::KeptText;
use crate::model::ledger::InsufficientTokens;
use crate::services::embed::{EmbedError, Embedder};
use crate::services::ledger::Ledger;
use crate::store::{Store, StoreError};

pub use drafts::{DocumentSource, ReportSource, SourceText};
pub use ingest::{IngestProgress, IngestSummary};
pub use passages::LeftOut;
pub use search::{RESULTS_MAX, RecallFilter, RecallQuery, Recalled};

/// How recall runs.
#[derive(Clone, Copy, Debug)]
pub struct RecallSettings {
    /// Whether automations' chunks are made and queried (`AUTOMATION_VECTORSTORE_ENABLED`). Turned off, chunks stay and are not queried;
    /// documents are recalled all the same.
    pub automations_enabled: bool,
    /// The latest runs of a widget that keep their chunks.
    pub runs_kept: u32,
}

impl Default for RecallSettings {
    fn default() -> Self {
        Self { automations_enabled: true, runs_kept: 2 }
    }
}

/// Why recall failed.
#[derive(Debug, thiserror::Error)]
pub enum RecallError {
    /// No vectors.
    #[error(transparent)]
    Embed(#[from] EmbedError),
    /// The store failed.
    #[error(transparent)]
    Store(StoreError),
    /// Cutting the text failed.
    #[error("cutting the text failed: {0}")]
    Cut(String),
    /// The payer has too few tokens for the next batch. What is in stays, and another call goes on from there.
    #[error("{short}")]
    Unpaid {
        /// How many too few.
        short: InsufficientTokens,
        /// How far it is.
        progress: IngestProgress,
    },
    /// What was to be recalled was deleted or superseded meanwhile.
    #[error("it was deleted or superseded meanwhile")]
    Ended,
}

impl From<StoreError> for RecallError {
    fn from(error: StoreError) -> Self {
        if matches!(error, StoreError::OwnerEnded { .. }) { Self::Ended } else { Self::Store(error) }
    }
}

/// The recall service. Cheap to clone.
#[derive(Clone)]
pub struct Recall {
    store: Store,
    embedder: Arc<dyn Embedder>,
    seams: Seams,
    tasks: Tasks,
    ledger: Ledger,
    settings: RecallSettings,
}

impl Recall {
    /// Recall over a store, with the vectors of an embedder; `ledger` is charged for them.
    #[must_use]
    pub fn new(store: Store, embedder: Arc<dyn Embedder>, seams: Seams, tasks: Tasks, ledger: Ledger, settings: RecallSettings) -> Self {
        Self { store, embedder, seams, tasks, ledger, settings }
    }

    /// Whether what automations collect can be recalled.
    #[must_use]
    pub fn automations_enabled(&self) -> bool {
        self.settings.automations_enabled
    }

    /// A company's chunk, if it is there and `viewer` may see it.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn chunk(&self, company: &CompanyId, viewer: &UserId, id: ChunkId) -> Result<Option<Chunk>, StoreError> {
        self.store.chunk(company.clone(), viewer.clone(), id).await
    }

    /// The text of a company's source by its hash, to show a quote in its surroundings, if `viewer` may see where it is from.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn page(&self, company: &CompanyId, viewer: &UserId, content_hash: &str) -> Result<Option<KeptText>, StoreError> {
        self.store.page_text_for(company.clone(), viewer.clone(), content_hash.to_owned()).await
    }
}

impl std::fmt::Debug for Recall {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Recall").field("settings", &self.settings).finish_non_exhaustive()
    }
}
