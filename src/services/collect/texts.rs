//! The kept texts of pages and documents, with their structure: what the extractor reads again when a page has not changed, and what a
//! citation opens.

use std::sync::Arc;

use super::page::PageText;
use crate::base::clock::Timestamp;
use crate::model::ids::{CompanyId, DocumentId};
use crate::model::kept_text::KeptText;
use crate::model::report::SourceRef;
use crate::store::{Store, StoreError};

/// A kept text with its structure.
#[derive(Clone, Debug)]
pub struct KeptPage {
    /// Where it stands.
    pub source: SourceRef,
    /// SHA-256 of its canonical text, hexadecimal.
    pub content_hash: String,
    /// The text.
    pub text: Arc<PageText>,
    /// When it was last collected.
    pub collected_at: Timestamp,
}

/// Finds kept texts. Cheap to clone.
#[derive(Clone, Debug)]
pub struct PageTexts {
    store: Store,
}

impl PageTexts {
    /// Over a store.
    #[must_use]
    pub fn new(store: Store) -> Self {
        Self { store }
    }

    /// The text of this content, if the company has it.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn get(&self, company: &CompanyId, content_hash: &str) -> Result<Option<KeptPage>, StoreError> {
        let Some(kept) = self.store.page_text(company.clone(), content_hash.to_owned()).await? else { return Ok(None) };
        let text: PageText = serde_json::from_str(&kept.structure_json)?;
        Ok(Some(KeptPage {
            source: SourceRef { url: kept.url, document_id: kept.document_id, title: kept.title, page_number: None },
            content_hash: kept.content_hash,
            text: Arc::new(text),
            collected_at: kept.collected_at,
        }))
    }

    /// Whether the company has this document.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn has_document(&self, company: &CompanyId, document: &DocumentId) -> Result<bool, StoreError> {
        Ok(self.store.document(company.clone(), document.clone()).await?.is_some())
    }
}

/// The form in which a text is kept.
///
/// # Errors
/// When its structure cannot be written as JSON, which no text causes.
pub fn kept_text(source: &SourceRef, text: &PageText, collected_at: Timestamp) -> Result<KeptText, StoreError> {
    let canonical = text.canonical_text();
    Ok(KeptText {
        content_hash: crate::base::secret::sha256_hex(canonical.as_bytes()),
        url: source.url.clone(),
        document_id: source.document_id.clone(),
        title: source.title.clone(),
        text: canonical,
        structure_json: serde_json::to_string(text)?,
        collected_at,
    })
}
