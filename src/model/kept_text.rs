//! The canonical text of a page or a document, as it is kept for whoever asks where something stands.

use super::ids::DocumentId;
use crate::base::clock::Timestamp;

/// A text as kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeptText {
    /// SHA-256 of `text`, hexadecimal.
    pub content_hash: String,
    /// The page it is from.
    pub url: Option<String>,
    /// The document it is from.
    pub document_id: Option<DocumentId>,
    /// Its title.
    pub title: String,
    /// The canonical text.
    pub text: String,
    /// Its structure, as JSON: the collector's own form.
    pub structure_json: String,
    /// When it was last collected.
    pub collected_at: Timestamp,
}
