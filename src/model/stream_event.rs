//! An event of a durable stream: of a run, or of an answer.

use serde_json::Value;

use crate::base::clock::Timestamp;

/// An event as stored.
#[derive(Clone, Debug, PartialEq)]
pub struct StoredEvent {
    /// Place in its stream, from 1, without gaps: the SSE `id:` field.
    pub seq: u64,
    /// What happened.
    pub kind: String,
    /// Its data.
    pub data: Value,
    /// When it was appended.
    pub at: Timestamp,
}

impl StoredEvent {
    /// Whether nothing comes after it.
    #[must_use]
    pub fn is_terminal(&self) -> bool {
        ends_stream(&self.kind)
    }
}

/// Whether a stream ends with an event of this kind.
#[must_use]
pub fn ends_stream(kind: &str) -> bool {
    matches!(kind, "done" | "failed" | "cancelled")
}
