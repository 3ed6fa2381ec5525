//! Turning text into vectors, and text into a model's tokens.
//!
//! [`Embedder`] is what the rest of Onsite sees. [`BuiltInEmbedder`] is the model that is part of the binary; a remote one implements
//! the same trait.
//!
//! A chunk of up to 512 tokens is read in one window, though the model was trained on 256. Measured on Cranfield 1400, two or three consecutive abstracts
//! to a chunk (690 chunks of 395 tokens on average, a chunk's grade the best of its abstracts'), vectors alone and fused with BM25 as recall does:
//!
//! | | vectors nDCG@10 / recall@10 | fused nDCG@10 / recall@10 |
//! |---|---|---|
//! | BM25 alone | | .403 / .459 |
//! | **one window of up to 510** | .394 / .457 | .448 / .497 |
//! | cut at 254 | .376 / .427 | .436 / .486 |
//! | half of each half | .384 / .433 | .441 / .498 |
//! | mean of two halves | .398 / .440 | .449 / .504 |
//! | two halves as two vectors, the better counts | .402 / .475 | .453 / .528 |
//!
//! What takes half the time loses .007 to .012 of the fused order. Two halves still take nine tenths of the operations of the whole.

mod asset;
mod builtin;
mod queue;
mod session;
#[cfg(test)]
pub(crate) mod testing;

use std::sync::Arc;

use futures_util::future::BoxFuture;

use crate::model::chunker::TokenSpans;

pub use builtin::{BuiltInEmbedder, EmbedSettings};

/// The model behind an embedder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EmbeddingModel {
    /// Recorded with each chunk: another name means other vectors.
    pub name: &'static str,
    /// Numbers in a vector.
    pub dimension: usize,
    /// Tokens of text that one vector sees (the model's own markers not counted); what is beyond is not seen.
    pub tokens_max: usize,
    /// Its licence, as an SPDX expression.
    pub licence: &'static str,
}

/// A text's vector.
#[derive(Clone, Debug, PartialEq)]
pub struct Embedding {
    /// Unit length: the dot product of two is their cosine.
    pub vector: Vec<f32>,
    /// Tokens the model read, its markers not counted.
    pub tokens: u32,
}

/// What the vectors are for: decides who goes first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EmbedKind {
    /// Somebody waits for an answer.
    Query,
    /// Ingest in the background.
    Bulk,
}

/// Why there is no vector.
#[derive(Debug, thiserror::Error)]
pub enum EmbedError {
    /// The model cannot be made ready.
    #[error("the embedding model cannot be loaded: {0}")]
    Load(String),
    /// The model failed on this input.
    #[error("the embedding model failed: {0}")]
    Failed(String),
    /// The app is stopping.
    #[error("the embedding model is stopping")]
    Stopping,
}

/// Makes vectors. Dropping a returned future gives the work up.
pub trait Embedder: Send + Sync + 'static {
    /// The model behind it.
    fn model(&self) -> &EmbeddingModel;

    /// One vector per text, in the texts' order.
    fn embed(&self, texts: Vec<String>, kind: EmbedKind) -> BoxFuture<'static, Result<Vec<Embedding>, EmbedError>>;

    /// The model's tokenizer, for cutting text to its size. Blocks while it loads (tens of milliseconds); let it go when done, it takes memory.
    ///
    /// # Errors
    /// [`EmbedError::Load`].
    fn tokenizer(&self) -> Result<Arc<dyn TokenSpans>, EmbedError>;
}

/// The cosine of two unit vectors.
#[must_use]
pub fn cosine(a: &[f32], b: &[f32]) -> f32 {
    a.iter().zip(b).map(|(x, y)| x * y).sum()
}
