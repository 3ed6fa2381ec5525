//! The library over the kept texts, and the extractor inside the binary.

use std::sync::Arc;

use futures_util::future::BoxFuture;

use super::seams::{CollectedSource, Extractor, Library, NamedDocument};
use crate::model::document::Document;
use crate::model::ids::{CompanyId, DocumentId};
use crate::model::report::{ReportBody, SourceRef};
use crate::services::collect::extract::{Objective, SourcePage, extract_report};
use crate::services::collect::texts::{KeptPage, PageTexts};
use crate::store::{Store, StoreError};

/// Texts of pages and documents, as the store keeps them.
#[derive(Clone, Debug)]
pub struct StoredLibrary {
    texts: PageTexts,
    store: Store,
}

impl StoredLibrary {
    /// Over a store.
    #[must_use]
    pub fn new(store: Store) -> Self {
        Self { texts: PageTexts::new(store.clone()), store }
    }

    async fn named(&self, company: &CompanyId, ids: Vec<DocumentId>) -> Result<Vec<Document>, StoreError> {
        if ids.is_empty() {
            return self.store.documents(company.clone()).await;
        }
        let mut documents = Vec::with_capacity(ids.len());
        for id in ids {
            documents.extend(self.store.document(company.clone(), id).await?);
        }
        Ok(documents)
    }

    async fn source(&self, company: &CompanyId, document: &Document) -> Result<Result<CollectedSource, String>, StoreError> {
        let kept = match &document.text_hash {
            Some(hash) => self.texts.get(company, hash).await?,
            None => None,
        };
        let Some(kept) = kept else {
            let reason = document.notice.as_ref().map_or_else(|| "no_text: it has no text".to_owned(), |n| format!("{}: {}", n.code, n.message));
            return Ok(Err(reason));
        };
        let source = SourceRef { url: None, document_id: Some(document.id.clone()), title: document.name.clone(), page_number: None };
        // A document is as old as its upload, however often it is read.
        Ok(Ok(CollectedSource { source, text: kept.text, content_hash: kept.content_hash, collected_at: document.uploaded_at }))
    }
}

impl Library for StoredLibrary {
    fn keep(&self, company: CompanyId, source: CollectedSource) -> BoxFuture<'_, Result<(), StoreError>> {
        Box::pin(async move { self.texts.keep(&company, &source.source, &source.text, source.collected_at).await.map(|_| ()) })
    }

    fn text(&self, company: CompanyId, content_hash: String) -> BoxFuture<'_, Result<Option<KeptPage>, StoreError>> {
        Box::pin(async move { self.texts.get(&company, &content_hash).await })
    }

    fn has_document(&self, company: CompanyId, document: DocumentId) -> BoxFuture<'_, Result<bool, StoreError>> {
        Box::pin(async move { self.texts.has_document(&company, &document).await })
    }

    fn documents(&self, company: CompanyId, named: Vec<DocumentId>) -> BoxFuture<'_, Result<Vec<NamedDocument>, StoreError>> {
        Box::pin(async move {
            let mut found = Vec::new();
            for document in self.named(&company, named).await? {
                let source = self.source(&company, &document).await?;
                found.push(NamedDocument { id: document.id, source });
            }
            Ok(found)
        })
    }
}

/// The extractor inside the binary: tables, key figures and key sentences, without a model.
#[derive(Clone, Copy, Debug, Default)]
pub struct BuiltInExtractor;

impl Extractor for BuiltInExtractor {
    fn extract(&self, sources: &[CollectedSource], title: &str, objective: &str, context: &str) -> ReportBody {
        let pages: Vec<SourcePage> = sources
            .iter()
            .map(|source| SourcePage { source: source.source.clone(), text: Arc::clone(&source.text), collected_at: source.collected_at })
            .collect();
        extract_report(&pages, &Objective::new(title, objective).with_context(context))
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::page_text;
    use super::*;
    use crate::base::clock::Timestamp;

    #[tokio::test]
    async fn what_is_kept_is_read_again_and_reported_with_its_evidence() {
        let (store, _folder) = crate::store::testing::store();
        let (_, company) = crate::store::testing::user_and_company(&store).await;
        let library = StoredLibrary::new(store);
        let text = Arc::new(page_text("The Rhine has a length of 1,230 km and flows through six countries to the North Sea."));
        let source = CollectedSource {
            source: SourceRef { url: Some("http://a.example/rhine".into()), document_id: None, title: "Rhine".into(), page_number: None },
            content_hash: text.content_hash(),
            text,
            collected_at: Timestamp::from_millis(1_795_300_000_000),
        };
        library.keep(company.clone(), source.clone()).await.unwrap();
        let kept = library.text(company.clone(), source.content_hash.clone()).await.unwrap().unwrap();
        assert_eq!((kept.source.title.as_str(), &kept.text), ("Rhine", &source.text));
        assert!(library.text(company, "00".into()).await.unwrap().is_none());

        let body = BuiltInExtractor.extract(std::slice::from_ref(&source), "Rivers", "How long is the Rhine?", "");
        assert_eq!((body.metrics[0].value, body.metrics[0].unit.as_deref()), (1230.0, Some("km")));
        let evidence = body.evidence(&body.metrics[0].evidence[0]).unwrap();
        assert_eq!(evidence.content_hash, source.content_hash);
        assert!(source.text.canonical_text().contains(&evidence.quote));
    }
}
