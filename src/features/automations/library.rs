//! The texts that runs work with, as the store keeps them: once per company and content.

use std::collections::HashMap;

use super::collect::page_of;
use super::seams::CollectedSource;
use crate::model::document::Document;
use crate::model::ids::{CompanyId, DocumentId};
use crate::model::part::Part;
use crate::model::report::SourceRef;
use crate::model::run::KnownPage;
#[cfg(test)]
use crate::services::collect::texts::kept_text;
use crate::services::collect::texts::{KeptPage, PageTexts};
use crate::store::{Store, StoreError};

/// Texts of pages and documents. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Library {
    texts: PageTexts,
    store: Store,
}

impl Library {
    /// Over a store.
    #[must_use]
    pub fn new(store: Store) -> Self {
        Self { texts: PageTexts::new(store.clone()), store }
    }

    /// Keeps a page's text without a page of a run.
    #[cfg(test)]
    pub(super) async fn keep(&self, company: &CompanyId, source: &CollectedSource) -> Result<(), StoreError> {
        let kept = kept_text(&source.source, &source.text, source.collected_at)?;
        self.store.put_page_texts(company.clone(), vec![kept]).await
    }

    /// The text of a content hash.
    pub(super) async fn text(&self, company: &CompanyId, content_hash: &str) -> Result<Option<KeptPage>, StoreError> {
        self.texts.get(company, content_hash).await
    }

    /// The canonical text of a content hash.
    pub(super) async fn plain(&self, company: &CompanyId, content_hash: &str) -> Result<Option<String>, StoreError> {
        let kept = self.store.page_text(company.clone(), content_hash.to_owned()).await?;
        Ok(kept.map(|kept| kept.text))
    }

    /// Whether a company has a document.
    pub(super) async fn has_document(&self, company: &CompanyId, document: &DocumentId) -> Result<bool, StoreError> {
        self.texts.has_document(company, document).await
    }

    /// The latest versions of the documents named, or the newest of a company's, in that order, without their texts; at most `limit`, and how many
    /// more there are. Those that are gone are left out.
    pub(super) async fn documents(&self, company: &CompanyId, named: &[DocumentId], limit: u32) -> Result<(Vec<Document>, u32), StoreError> {
        if named.is_empty() {
            let newest = self.store.documents(company.clone(), Part { after: None, limit }).await?;
            let all = if newest.len() < limit as usize { 0 } else { self.store.count_documents(company.clone()).await? };
            let more = all.saturating_sub(u32::try_from(newest.len()).unwrap_or(u32::MAX));
            return Ok((newest, more));
        }
        let mut documents: Vec<Document> = Vec::new();
        for (_, document) in self.store.current_documents(company.clone(), named.to_vec()).await? {
            // Two versions of one name are one document.
            if !documents.iter().any(|other| other.id == document.id) {
                documents.push(document);
            }
        }
        let more = documents.len().saturating_sub(limit as usize);
        documents.truncate(limit as usize);
        Ok((documents, u32::try_from(more).unwrap_or(u32::MAX)))
    }

    /// What is known of a document, or else of the version before it that a run has read.
    pub(super) async fn known<'a>(&self, document: &Document, pages: &'a HashMap<String, KnownPage>) -> Result<Option<&'a KnownPage>, StoreError> {
        let known = pages.get(&page_of(&document.id));
        if known.is_some() || document.version == 1 || pages.is_empty() {
            return Ok(known);
        }
        Ok(self.store.earlier_versions(document).await?.iter().find_map(|earlier| pages.get(&page_of(earlier))))
    }

    /// A document's text, or why it has none yet.
    pub(super) async fn read(&self, company: &CompanyId, document: &Document) -> Result<Result<CollectedSource, String>, StoreError> {
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
