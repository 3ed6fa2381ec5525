//! Company documents: uploaded, versioned by name, read once, and made recallable in the background.

mod ingest;
mod recallable;
#[cfg(test)]
mod tests;
mod upload;

use std::sync::Arc;

use futures_util::future::BoxFuture;

use crate::base::seams::Seams;
use crate::base::signal::Nudge;
use crate::base::tasks::Tasks;
use crate::model::document::Document;
use crate::model::ids::{CompanyId, DocumentId, UserId};
use crate::services::collect::page::{PageError, PageText};
use crate::services::collect::texts::PageTexts;
use crate::services::ledger::Ledger;
use crate::store::{Store, StoreError};

pub use recallable::RecallIngester;
pub use upload::Upload;

/// How documents are taken.
#[derive(Clone, Copy, Debug)]
pub struct DocumentSettings {
    /// The largest file, bytes.
    pub upload_bytes_max: u64,
}

impl Default for DocumentSettings {
    fn default() -> Self {
        Self { upload_bytes_max: 50 * 1024 * 1024 }
    }
}

/// Why a document was not taken.
#[derive(Debug, thiserror::Error)]
pub enum DocumentError {
    /// The request holds no file.
    #[error("no file was sent: send it as the form's field `file`")]
    NoFile,
    /// The file's name cannot be used.
    #[error("the file's name {0:?} cannot be used: it is empty, or longer than 200 bytes")]
    Name(String),
    /// The file is too large.
    #[error("the file is larger than {limit_bytes} bytes ({} MB), the most that is taken", limit_bytes / (1024 * 1024))]
    TooLarge {
        /// The largest file, bytes.
        limit_bytes: u64,
    },
    /// There is no text to be had from it.
    #[error("{name} cannot be used: {reason}")]
    Unreadable {
        /// The file's name.
        name: String,
        /// Why.
        reason: PageError,
    },
    /// Reading it failed.
    #[error("reading the file failed: {0}")]
    Reader(String),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// What to make recallable.
#[derive(Clone, Debug)]
pub struct DocumentIngest {
    /// The document.
    pub document: Document,
    /// Its text.
    pub text: Arc<PageText>,
    /// SHA-256 of its canonical text, hexadecimal.
    pub text_hash: String,
}

/// What came of it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Ingested {
    /// Chunks that can be recalled.
    pub chunks: u32,
    /// Tokens the embedding model read.
    pub tokens: u64,
}

/// Makes documents recallable: recall stands behind it.
pub trait DocumentIngester: Send + Sync + 'static {
    /// Chunks, embeds and keeps a document; goes on where an interrupted call stopped. An error is for people to read.
    fn ingest(&self, job: DocumentIngest) -> BoxFuture<'_, Result<Ingested, String>>;

    /// Takes a document's chunks away.
    fn forget(&self, document: DocumentId) -> BoxFuture<'_, Result<(), StoreError>>;

    /// The model's name, for the ledger.
    fn model(&self) -> String;
}

/// The documents of all companies. Cheap to clone.
#[derive(Clone)]
pub struct Documents {
    store: Store,
    texts: PageTexts,
    seams: Seams,
    tasks: Tasks,
    nudge: Nudge,
    ledger: Ledger,
    ingester: Arc<dyn DocumentIngester>,
    settings: DocumentSettings,
    /// One ingest at a time: the embedder has its own workers.
    busy: Arc<tokio::sync::Mutex<()>>,
}

impl Documents {
    /// Documents over a store; `ledger` is charged for embedding, `ingester` makes them recallable, `nudge` wakes whoever calls
    /// [`Documents::reconcile`].
    #[must_use]
    pub fn new(
        store: Store,
        seams: Seams,
        tasks: Tasks,
        nudge: Nudge,
        ledger: Ledger,
        ingester: Arc<dyn DocumentIngester>,
        settings: DocumentSettings,
    ) -> Self {
        let texts = PageTexts::new(store.clone());
        Self { store, texts, seams, tasks, nudge, ledger, ingester, settings, busy: Arc::default() }
    }

    /// Wakes whoever makes documents recallable.
    #[must_use]
    pub fn nudge(&self) -> Nudge {
        self.nudge.clone()
    }

    /// The largest file, bytes.
    #[must_use]
    pub const fn upload_bytes_max(&self) -> u64 {
        self.settings.upload_bytes_max
    }

    /// A company's documents, the latest version of each name, newest first.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn list(&self, company: &CompanyId) -> Result<Vec<Document>, StoreError> {
        self.store.documents(company.clone()).await
    }

    /// A document, if the company has it.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn get(&self, company: &CompanyId, id: &DocumentId) -> Result<Option<Document>, StoreError> {
        self.store.document(company.clone(), id.clone()).await
    }

    /// A document and its file as uploaded, if the company has it.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn content(&self, company: &CompanyId, id: &DocumentId) -> Result<Option<(Document, Vec<u8>)>, StoreError> {
        let Some(document) = self.get(company, id).await? else { return Ok(None) };
        Ok(self.store.document_content(company.clone(), id.clone()).await?.map(|content| (document, content)))
    }

    /// Deletes a document with all versions of its name, their files, texts and chunks. False when there was none.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn delete(&self, company: &CompanyId, id: &DocumentId) -> Result<bool, StoreError> {
        let deleted = self.store.delete_document(company.clone(), id.clone(), self.seams.now()).await?;
        for document in &deleted {
            self.ingester.forget(document.clone()).await?;
        }
        Ok(!deleted.is_empty())
    }

    /// How many documents wait or are being made recallable.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn ingesting(&self) -> Result<u64, StoreError> {
        self.store.count_documents_to_ingest().await
    }

    /// Keeps an upload and wakes its ingest. The same file under the same name again gives the version that is there.
    ///
    /// # Errors
    /// Says why the file is not taken.
    pub async fn upload(&self, company: &CompanyId, by: &UserId, upload: Upload) -> Result<Document, DocumentError> {
        let id = DocumentId::new(&self.seams);
        let (company, by, now, limit) = (company.clone(), by.clone(), self.seams.now(), self.settings.upload_bytes_max);
        let read = self.tasks.spawn_blocking(move || upload.read(id, company, by, now, limit));
        let new = read.await.map_err(|error| DocumentError::Reader(error.to_string()))??;
        let document = self.store.insert_document(new).await?;
        self.nudge.nudge();
        Ok(document)
    }
}

impl std::fmt::Debug for Documents {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Documents").field("settings", &self.settings).finish_non_exhaustive()
    }
}
