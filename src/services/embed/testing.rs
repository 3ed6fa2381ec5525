//! An embedder for tests whose vectors count words.

use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use futures_util::future::BoxFuture;

use super::{EmbedError, EmbedKind, Embedder, Embedding, EmbeddingModel};
use crate::model::chunker::TokenSpans;

/// Adds up one axis per word; words that begin alike share an axis.
#[derive(Default)]
pub(crate) struct WordCounter {
    /// Texts embedded in bulk so far.
    pub(crate) texts: AtomicUsize,
    /// Stops at the second call in bulk.
    pub(crate) broken: AtomicBool,
    /// Fails in bulk.
    pub(crate) failing: AtomicBool,
}

static MODEL: EmbeddingModel = EmbeddingModel { name: "word-counter", dimension: 384, tokens_max: 510, licence: "MIT" };

struct Spaces;

impl TokenSpans for Spaces {
    fn token_spans(&self, text: &str) -> Vec<Range<usize>> {
        let base = text.as_ptr().addr();
        text.split_whitespace().map(|word| word.as_ptr().addr() - base..word.as_ptr().addr() - base + word.len()).collect()
    }
}

impl Embedder for WordCounter {
    fn model(&self) -> &EmbeddingModel {
        &MODEL
    }

    fn embed(&self, texts: Vec<String>, kind: EmbedKind) -> BoxFuture<'static, Result<Vec<Embedding>, EmbedError>> {
        let before = self.texts.fetch_add(if kind == EmbedKind::Bulk { texts.len() } else { 0 }, Ordering::Relaxed);
        let stopped = self.broken.load(Ordering::Relaxed) && kind == EmbedKind::Bulk && before > 0;
        let failed = self.failing.load(Ordering::Relaxed) && kind == EmbedKind::Bulk;
        Box::pin(async move {
            match (stopped, failed) {
                (true, _) => Err(EmbedError::Stopping),
                (_, true) => Err(EmbedError::Failed("the model is gone".into())),
                _ => Ok(texts.iter().map(|text| count(text)).collect()),
            }
        })
    }

    fn tokenizer(&self) -> Result<Arc<dyn TokenSpans>, EmbedError> {
        Ok(Arc::new(Spaces))
    }
}

fn count(text: &str) -> Embedding {
    let mut vector = vec![0.0f32; 384];
    let words = crate::model::words::telling_words(text);
    for word in &words {
        let axis = word.bytes().take(5).fold(7usize, |sum, byte| sum.wrapping_mul(31).wrapping_add(usize::from(byte))) % 384;
        vector[axis] += 1.0;
    }
    let length = vector.iter().map(|x| x * x).sum::<f32>().sqrt().max(1e-9);
    vector.iter_mut().for_each(|x| *x /= length);
    Embedding { vector, tokens: u32::try_from(text.split_whitespace().count()).unwrap() }
}
