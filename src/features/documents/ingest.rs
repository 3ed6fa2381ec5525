//! Making documents recallable: a reconciler that a job calls on a tick or a nudge. Whatever a restart cut off is taken up again.

use serde_json::json;

use super::{DocumentIngest, Documents, Ingested};
use crate::model::document::{Document, DocumentNotice, DocumentState};
use crate::model::ledger::TxType;
use crate::model::rates;
use crate::services::ledger::{LedgerError, Reservation};
use crate::store::StoreError;

/// Documents of one pass.
const BATCH: u32 = 50;
/// Bytes of text to a model token, to hold back an estimate: a little less than English has.
const BYTES_PER_TOKEN: usize = 3;

impl Documents {
    /// Makes every waiting document recallable, one after the other, and returns how many are ready now. While another call is at it, does
    /// nothing.
    ///
    /// # Errors
    /// When the store fails: the rest waits for the next call.
    pub async fn reconcile(&self) -> Result<usize, StoreError> {
        let Ok(_guard) = self.busy.try_lock() else { return Ok(0) };
        let mut ready = 0;
        for document in self.store.documents_to_ingest(BATCH).await? {
            if self.tasks.is_stopping() {
                break;
            }
            ready += usize::from(self.ingest(&document).await?);
        }
        Ok(ready)
    }

    async fn ingest(&self, document: &Document) -> Result<bool, StoreError> {
        let kept = match &document.text_hash {
            Some(hash) => self.texts.get(&document.company, hash).await?,
            None => None,
        };
        let Some(kept) = kept else {
            self.fail(document, "text_missing", "Its text is not kept any more.", "Delete it, and upload the file again.").await?;
            return Ok(false);
        };
        let estimate = rates::built_in_embedding(u64::try_from(kept.text.canonical_text().len() / BYTES_PER_TOKEN).unwrap_or(u64::MAX));
        let Some(reservation) = self.reserve(document, estimate).await? else { return Ok(false) };
        self.store.set_document_state(document.id.clone(), DocumentState::Ingesting, 0, document.notice.clone()).await?;
        let job = DocumentIngest { document: document.clone(), text: kept.text, text_hash: kept.content_hash };
        let stopped = self.tasks.token().child_token();
        let result = tokio::select! {
            result = self.ingester.ingest(job) => result,
            // It stays in its state, and the next start takes it up.
            () = stopped.cancelled() => return Ok(false),
        };
        match result {
            Ok(ingested) => self.finish(document, reservation, ingested).await,
            Err(reason) => {
                reservation.release().await?;
                tracing::warn!(document = %document.id, reason, "a document could not be made recallable");
                self.fail(
                    document,
                    "ingest_failed",
                    &format!("It could not be made recallable: {reason}."),
                    "Upload the file again to try once more.",
                )
                .await?;
                Ok(false)
            }
        }
    }

    /// Holds back the estimate; without tokens the document waits, and says so.
    async fn reserve(&self, document: &Document, estimate: u64) -> Result<Option<Reservation>, StoreError> {
        let key = format!("document:{}", document.id);
        match self.ledger.reserve(&document.uploaded_by, &document.company, TxType::EmbeddingSpend, &key, estimate).await {
            Ok(reservation) => Ok(Some(reservation.about(document.id.as_str()))),
            Err(LedgerError::Store(error)) => Err(error),
            Err(LedgerError::Insufficient(refused)) => {
                let notice = DocumentNotice {
                    code: "tokens_insufficient".to_owned(),
                    message: format!("It waits for tokens: {refused}."),
                    remedy: Some("It goes on by itself with the next daily grant; an administrator can grant tokens now.".to_owned()),
                };
                if document.notice.as_ref() != Some(&notice) {
                    self.store.set_document_state(document.id.clone(), DocumentState::Stored, 0, Some(notice)).await?;
                }
                Ok(None)
            }
        }
    }

    async fn finish(&self, document: &Document, reservation: Reservation, ingested: Ingested) -> Result<bool, StoreError> {
        let Ingested { chunks, tokens } = ingested;
        // Waiting for tokens is over; what else is to be known stays.
        let notice = document.notice.clone().filter(|notice| notice.code != "tokens_insufficient");
        let there = self.store.set_document_state(document.id.clone(), DocumentState::Ready, chunks, notice).await?;
        let metadata = json!({ "model": self.ingester.model(), "model_tokens": tokens, "chunks": chunks, "document": document.name });
        reservation.settle(rates::built_in_embedding(tokens), metadata).await?;
        if !there {
            // It was deleted meanwhile.
            self.ingester.forget(document.id.clone()).await?;
            return Ok(false);
        }
        for earlier in self.store.supersede_documents(document).await? {
            self.ingester.forget(earlier).await?;
        }
        tracing::info!(document = %document.id, chunks, tokens, "a document can be recalled");
        Ok(true)
    }

    async fn fail(&self, document: &Document, code: &str, message: &str, remedy: &str) -> Result<(), StoreError> {
        let notice = DocumentNotice { code: code.to_owned(), message: message.to_owned(), remedy: Some(remedy.to_owned()) };
        self.store.set_document_state(document.id.clone(), DocumentState::Failed, 0, Some(notice)).await?;
        Ok(())
    }
}
