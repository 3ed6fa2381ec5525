//! What still has chunks though nothing of it is to be recalled: deletions end here, whatever interrupted them.

use super::{Store, StoreError};
use crate::model::ids::{DocumentId, WidgetId};

/// A document whose chunks are to be removed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DocumentToForget {
    /// The document.
    pub id: DocumentId,
    /// It was deleted: what widgets found in it goes too. Else it was superseded or failed, and only its own chunks go.
    pub deleted: bool,
}

impl Store {
    /// Documents whose chunks are to be removed.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn documents_to_forget(&self, limit: u32) -> Result<Vec<DocumentToForget>, StoreError> {
        self.read("find documents to forget", move |conn| {
            let mut find = conn.prepare_cached("SELECT id, deleted_at IS NOT NULL FROM documents WHERE forgetting = 1 LIMIT ?1")?;
            let rows = find.query_map([limit], |row| Ok(DocumentToForget { id: row.get(0)?, deleted: row.get(1)? }))?;
            Ok(rows.collect::<Result<_, _>>()?)
        })
        .await
    }

    /// Notes that a document's chunks are removed, unless some are there after all.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn document_is_forgotten(&self, id: DocumentId) -> Result<(), StoreError> {
        self.write("note a forgotten document", move |tx| {
            tx.execute(
                "UPDATE documents SET forgetting = 0 WHERE id = ?1 AND NOT EXISTS
                   (SELECT 1 FROM chunks c WHERE c.document_id = documents.id AND (documents.deleted_at IS NOT NULL OR c.origin = 'document'))",
                [&id],
            )?;
            Ok(())
        })
        .await
    }

    /// Deleted widgets that still have chunks.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn widgets_to_forget(&self, limit: u32) -> Result<Vec<WidgetId>, StoreError> {
        self.read("find widgets to forget", move |conn| {
            let mut find = conn.prepare_cached(
                "SELECT w.id FROM widgets w WHERE w.deleted_at IS NOT NULL AND EXISTS (SELECT 1 FROM chunks c WHERE c.widget_id = w.id) LIMIT ?1",
            )?;
            Ok(find.query_map([limit], |row| row.get(0))?.collect::<Result<_, _>>()?)
        })
        .await
    }
}
