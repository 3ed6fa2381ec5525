//! Company documents: uploaded, versioned by name, read once, and made recallable in the background.

mod download;
mod ingest;
#[cfg(test)]
mod tests;
mod upload;

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::base::seams::Seams;
use crate::base::signal::Nudge;
use crate::base::tasks::Tasks;
use crate::model::document::Document;
use crate::model::ids::{CompanyId, DocumentId, UserId};
use crate::model::part::Part;
use crate::model::role::Role;
use crate::services::collect::page::PageError;
use crate::services::collect::texts::PageTexts;
use crate::services::recall::Recall;
use crate::store::{Store, StoreError};

pub use download::Download;
pub use upload::Upload;

/// Uploads at once: with the default limit of 50 MB, 200 MB of files in memory.
const UPLOADS_AT_ONCE: usize = 4;

/// Downloads at once, each with a piece of its file in memory.
const DOWNLOADS_AT_ONCE: usize = 64;

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
    /// Too many uploads at once.
    #[error("{UPLOADS_AT_ONCE} uploads are under way, as many as are taken at once")]
    Busy,
    /// Too many downloads at once.
    #[error("{DOWNLOADS_AT_ONCE} downloads are under way, as many as are sent at once")]
    DownloadsBusy,
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
    /// A version of it is somebody else's.
    #[error("this document, or a version of it, was uploaded by somebody else")]
    NotYours,
    /// Reading it failed.
    #[error("reading the file failed: {0}")]
    Reader(String),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// A place among the uploads at once: each holds a whole file in memory.
#[derive(Debug)]
pub struct UploadPlace(#[expect(dead_code, reason = "held while the upload lasts")] OwnedSemaphorePermit);

/// The documents of all companies. Cheap to clone.
#[derive(Clone)]
pub struct Documents {
    store: Store,
    texts: PageTexts,
    seams: Seams,
    tasks: Tasks,
    nudge: Nudge,
    recall: Recall,
    settings: DocumentSettings,
    upload_places: Arc<Semaphore>,
    download_places: Arc<Semaphore>,
    /// One ingest at a time: the embedder has its own workers.
    rounds: Arc<tokio::sync::Mutex<ingest::Rounds>>,
}

impl Documents {
    /// Documents over a store; `recall` makes them recallable, `nudge` wakes whoever calls [`Documents::reconcile`].
    #[must_use]
    pub fn new(store: Store, seams: Seams, tasks: Tasks, nudge: Nudge, recall: Recall, settings: DocumentSettings) -> Self {
        let texts = PageTexts::new(store.clone());
        let upload_places = Arc::new(Semaphore::new(UPLOADS_AT_ONCE));
        let download_places = Arc::new(Semaphore::new(DOWNLOADS_AT_ONCE));
        Self { store, texts, seams, tasks, nudge, recall, settings, upload_places, download_places, rounds: Arc::default() }
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
    pub async fn list(&self, company: &CompanyId, part: &Part<DocumentId>) -> Result<Vec<Document>, StoreError> {
        self.store.documents(company.clone(), part.clone()).await
    }

    /// A document, if the company has it.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn get(&self, company: &CompanyId, id: &DocumentId) -> Result<Option<Document>, StoreError> {
        self.store.document(company.clone(), id.clone()).await
    }

    /// Deletes a document with all versions of its name, their files, texts and chunks. False when there was none.
    ///
    /// # Errors
    /// [`DocumentError::NotYours`] when a version is somebody else's and the role does not reach that far; when the store fails.
    pub async fn delete(&self, company: &CompanyId, by: &UserId, role: Role, id: &DocumentId) -> Result<bool, DocumentError> {
        let now = self.seams.now();
        let deleted = if role.may_change(false) {
            self.store.delete_document(company.clone(), id.clone(), now).await?
        } else {
            self.store.delete_own_document(company.clone(), id.clone(), by.clone(), now).await?.ok_or(DocumentError::NotYours)?
        };
        for document in &deleted {
            // It is deleted, and nobody recalls it any more: what goes wrong here is made good by the sweep.
            if let Err(error) = self.recall.forget_document(document).await {
                tracing::warn!(%document, %error, "a deleted document's chunks are removed later");
                self.nudge.nudge();
            }
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

    /// A place to upload at; to be had before the file is read into memory.
    ///
    /// # Errors
    /// [`DocumentError::Busy`] when as many uploads as memory is meant for are under way.
    pub fn upload_place(&self) -> Result<UploadPlace, DocumentError> {
        Arc::clone(&self.upload_places).try_acquire_owned().map(UploadPlace).map_err(|_| DocumentError::Busy)
    }

    /// Keeps an upload and wakes its ingest. The same file under the same name again gives the version that is there.
    ///
    /// # Errors
    /// [`DocumentError::NotYours`] when it would take the place of somebody else's and the role does not reach that far; else says why the file
    /// is not taken.
    pub async fn upload(&self, place: UploadPlace, company: &CompanyId, by: &UserId, role: Role, upload: Upload) -> Result<Document, DocumentError> {
        let id = DocumentId::new(&self.seams);
        let (company, by, now, limit) = (company.clone(), by.clone(), self.seams.now(), self.settings.upload_bytes_max);
        // The place goes with the work: whoever hangs up meanwhile does not free it before the work is done.
        let stop = self.tasks.token().clone();
        let read = self.tasks.spawn_blocking(move || (upload.read(id, company, by, now, limit, &stop), place));
        let (new, _place) = read.await.map_err(|error| DocumentError::Reader(error.to_string()))?;
        let new = new?;
        let document = if role.may_change(false) {
            self.store.insert_document(new).await?
        } else {
            self.store.insert_own_document(new).await?.ok_or(DocumentError::NotYours)?
        };
        self.nudge.nudge();
        Ok(document)
    }
}

impl std::fmt::Debug for Documents {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Documents").field("settings", &self.settings).finish_non_exhaustive()
    }
}
