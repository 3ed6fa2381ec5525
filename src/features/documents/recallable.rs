//! Recall, as documents see it.

use futures_util::future::BoxFuture;

use super::{DocumentIngest, DocumentIngester, Ingested};
use crate::model::ids::DocumentId;
use crate::model::report::SourceRef;
use crate::services::recall::{DocumentSource, Recall, SourceText};
use crate::store::StoreError;

/// Makes documents recallable with the recall service.
#[derive(Clone)]
pub struct RecallIngester {
    recall: Recall,
    model: String,
}

impl RecallIngester {
    /// Over recall; `model` is the embedding model's name.
    #[must_use]
    pub fn new(recall: Recall, model: impl Into<String>) -> Self {
        Self { recall, model: model.into() }
    }
}

impl DocumentIngester for RecallIngester {
    fn ingest(&self, job: DocumentIngest) -> BoxFuture<'_, Result<Ingested, String>> {
        Box::pin(async move {
            let DocumentIngest { document, text, text_hash } = job;
            let source = SourceRef { url: None, document_id: Some(document.id.clone()), title: document.name.clone(), page_number: None };
            let texts = vec![SourceText { source, text: text.canonical_text(), content_hash: text_hash, collected_at: document.uploaded_at }];
            let source = DocumentSource { company: document.company, document: document.id, uploaded_by: document.uploaded_by };
            let summary = self.recall.ingest_document(source, texts, &|_| {}).await.map_err(|error| error.to_string())?;
            Ok(Ingested { chunks: summary.chunks, tokens: summary.tokens })
        })
    }

    fn forget(&self, document: DocumentId) -> BoxFuture<'_, Result<(), StoreError>> {
        Box::pin(async move { self.recall.forget_document(&document).await.map(|_| ()) })
    }

    fn model(&self) -> String {
        self.model.clone()
    }
}

impl std::fmt::Debug for RecallIngester {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RecallIngester").field("model", &self.model).finish_non_exhaustive()
    }
}
