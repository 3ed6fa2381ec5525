//! Taking things out of recall: at once for whoever deletes, and later for what an interruption left.

use super::Recall;
use crate::model::ids::{DocumentId, WidgetId};
use crate::store::StoreError;
use crate::store::chunks::ChunkOwner;
use crate::store::leftovers::DocumentToForget;

/// Documents and widgets of one look.
const BATCH: u32 = 50;

impl Recall {
    /// Removes the chunks of a deleted document, also of what widgets found in it, and returns how many there were. Nobody recalls them since it
    /// was deleted.
    ///
    /// # Errors
    /// When the store fails; [`Recall::sweep`] then does it.
    pub async fn forget_document(&self, document: &DocumentId) -> Result<usize, StoreError> {
        self.forget(DocumentToForget { id: document.clone(), deleted: true }).await
    }

    /// Takes everything a widget collected out of recall, and returns how many chunks that were.
    ///
    /// # Errors
    /// When the store fails; of a deleted widget [`Recall::sweep`] then does it.
    pub async fn forget_widget(&self, widget: &WidgetId) -> Result<usize, StoreError> {
        self.store.delete_chunks(ChunkOwner::Widget(widget.clone())).await
    }

    /// Removes what is left of deleted, superseded and failed documents and of deleted widgets, and returns how many chunks that were.
    ///
    /// # Errors
    /// When the store fails; the next call goes on.
    pub async fn sweep(&self) -> Result<usize, StoreError> {
        let mut removed = 0;
        while !self.tasks.is_stopping() {
            let documents = self.store.documents_to_forget(BATCH).await?;
            let widgets = self.store.widgets_to_forget(BATCH).await?;
            if documents.is_empty() && widgets.is_empty() {
                break;
            }
            for document in documents {
                removed += self.forget(document).await?;
            }
            for widget in widgets {
                removed += self.forget_widget(&widget).await?;
            }
        }
        Ok(removed)
    }

    async fn forget(&self, DocumentToForget { id, deleted }: DocumentToForget) -> Result<usize, StoreError> {
        let owner = if deleted { ChunkOwner::DocumentEverywhere(id.clone()) } else { ChunkOwner::Document(id.clone()) };
        let removed = self.store.delete_chunks(owner).await?;
        self.store.document_is_forgotten(id).await?;
        Ok(removed)
    }
}
