//! Documents: files that a company uploaded, versioned by name.

use serde::{Deserialize, Serialize};

use super::ids::{CompanyId, DocumentId, UserId};
use crate::base::clock::Timestamp;

/// How far a document is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DocumentState {
    /// Kept, and waiting to be made recallable.
    Stored,
    /// Being made recallable.
    Ingesting,
    /// Recallable.
    Ready,
    /// Kept, but not recallable.
    Failed,
}

impl DocumentState {
    /// As stored.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Stored => "stored",
            Self::Ingesting => "ingesting",
            Self::Ready => "ready",
            Self::Failed => "failed",
        }
    }

    /// From the stored form.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        [Self::Stored, Self::Ingesting, Self::Ready, Self::Failed].into_iter().find(|state| state.as_str() == text)
    }
}

/// What is wrong with a document, or to be known about it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DocumentNotice {
    /// For programs.
    pub code: String,
    /// For people.
    pub message: String,
    /// What to do.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub remedy: Option<String>,
}

/// A document, without its content.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Document {
    /// Its id.
    pub id: DocumentId,
    /// Whose it is.
    pub company: CompanyId,
    /// The file's name.
    pub name: String,
    /// Its media type.
    pub media_type: String,
    /// Its size in bytes.
    pub size_bytes: u64,
    /// 1 for the first of its name, then counted up.
    pub version: u32,
    /// SHA-256 of the file, hexadecimal.
    pub content_hash: String,
    /// SHA-256 of its canonical text: the key of its text.
    pub text_hash: Option<String>,
    /// How far it is.
    pub state: DocumentState,
    /// What is wrong, or to be known.
    pub notice: Option<DocumentNotice>,
    /// How many chunks of it can be recalled.
    pub chunks: u32,
    /// Who uploaded it.
    pub uploaded_by: UserId,
    /// When.
    pub uploaded_at: Timestamp,
}
