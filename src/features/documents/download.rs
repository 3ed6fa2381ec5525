//! A document's file on its way to somebody, piece by piece: a slow reader of a large file costs a piece of memory, not the file.

use bytes::Bytes;
use tokio::sync::OwnedSemaphorePermit;

use super::{DocumentError, Documents};
use crate::model::document::Document;
use crate::model::ids::{CompanyId, DocumentId};
use crate::store::{Store, StoreError};

/// Bytes in memory of each download.
const PIECE_BYTES: usize = 256 * 1024;

/// A file being sent. It has its place among the downloads at once until this is dropped.
pub struct Download {
    store: Store,
    document: Document,
    sent: u64,
    _place: OwnedSemaphorePermit,
}

impl Documents {
    /// Begins to send a document's file as uploaded, if the company has it.
    ///
    /// # Errors
    /// [`DocumentError::DownloadsBusy`] when as many as there may be are under way; when the store fails.
    pub async fn download(&self, company: &CompanyId, id: &DocumentId) -> Result<Option<Download>, DocumentError> {
        let Some(document) = self.get(company, id).await? else { return Ok(None) };
        let place = std::sync::Arc::clone(&self.download_places).try_acquire_owned().map_err(|_| DocumentError::DownloadsBusy)?;
        Ok(Some(Download { store: self.store.clone(), document, sent: 0, _place: place }))
    }
}

impl Download {
    /// Which document.
    #[must_use]
    pub const fn document(&self) -> &Document {
        &self.document
    }

    /// The next bytes; `None` at the end.
    ///
    /// # Errors
    /// When the store fails, or the document went while it was sent.
    pub async fn next(&mut self) -> Result<Option<Bytes>, StoreError> {
        if self.sent >= self.document.size_bytes {
            return Ok(None);
        }
        let piece = self.store.document_piece(self.document.company.clone(), self.document.id.clone(), self.sent, PIECE_BYTES).await?;
        if piece.is_empty() {
            return Err(StoreError::corrupt("a document that is shorter than it was when it was kept"));
        }
        self.sent += piece.len() as u64;
        Ok(Some(piece.into()))
    }
}
