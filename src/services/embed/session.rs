//! The loaded model: tokens in, unit vectors out.

use std::ops::Range;
use std::sync::Arc;

use rten::{Model, NodeId, RunOptions, ThreadPool};
use rten_tensor::prelude::*;
use rten_tensor::{NdTensor, Tensor};
use tokenizers::Tokenizer;

use super::{EmbedError, Embedding, asset};
use crate::base::memory;
use crate::base::text::truncate;
use crate::model::chunker::TokenSpans;

/// Numbers in a vector of the built-in model.
pub(super) const DIMENSION: usize = 384;
/// Its position table has 512 places, two of which are its own markers.
pub(super) const TOKENS_MAX: usize = 510;

/// The tokenizer, cut to no length and padded to none. Giving it up gives its memory back.
pub(super) struct Words(Option<Tokenizer>);

impl Words {
    pub(super) fn load() -> Result<Self, EmbedError> {
        let mut tokenizer = Tokenizer::from_bytes(asset::TOKENIZER).map_err(|error| EmbedError::Load(error.to_string()))?;
        tokenizer.with_padding(None).with_truncation(None).map_err(|error| EmbedError::Load(error.to_string()))?;
        Ok(Self(Some(tokenizer)))
    }

    /// The model's input for a text: marker, at most [`TOKENS_MAX`] tokens, marker.
    fn ids(&self, text: &str) -> Result<Vec<i32>, EmbedError> {
        let tokenizer = self.0.as_ref().ok_or(EmbedError::Stopping)?;
        let encoding = tokenizer.encode_fast(text, true).map_err(|error| EmbedError::Failed(error.to_string()))?;
        let mut ids: Vec<i32> = encoding.get_ids().iter().map(|&id| i32::try_from(id).unwrap_or(0)).collect();
        if ids.len() > TOKENS_MAX + 2 {
            let end = ids.last().copied().unwrap_or(0);
            ids.truncate(TOKENS_MAX + 1);
            ids.push(end);
        }
        Ok(ids)
    }
}

impl Drop for Words {
    fn drop(&mut self) {
        drop(self.0.take());
        memory::release_heap();
    }
}

/// Text is given to the tokenizer in windows of about so many bytes: it keeps several hundred bytes for each token it is
/// working on (a 4 MB text of short tokens took 1.3 GB).
const WINDOW_BYTES: usize = 16 * 1024;

impl TokenSpans for Words {
    fn token_spans(&self, text: &str) -> Vec<Range<usize>> {
        let Some(tokenizer) = &self.0 else { return Vec::new() };
        let mut spans = Vec::new();
        for window in windows(text) {
            let at = window.start;
            match tokenizer.encode(&text[window.clone()], false) {
                Ok(encoding) => spans.extend(encoding.get_offsets().iter().map(|&(start, end)| at + start..at + end)),
                Err(error) => {
                    // It has an answer for every text; were it not so, bytes are the finest tokens there are and no text would be lost.
                    tracing::warn!(%error, "the tokenizer refused a text");
                    spans.extend(window.map(|at| at..at + 1));
                }
            }
        }
        spans
    }
}

/// Cuts a text at white space where there is some, so that no token is cut: one never spans white space.
fn windows(text: &str) -> impl Iterator<Item = Range<usize>> {
    let mut start = 0;
    std::iter::from_fn(move || {
        let rest = text.get(start..).filter(|rest| !rest.is_empty())?;
        let reach = truncate(rest, WINDOW_BYTES).len();
        let length = if reach == rest.len() { reach } else { rest[..reach].rfind(char::is_whitespace).filter(|at| *at > 0).unwrap_or(reach) };
        let window = start..start + length;
        start = window.end;
        Some(window)
    })
}

/// The model's graph. Giving it up gives its memory back.
pub(super) struct Graph {
    model: Option<Model>,
    ids: NodeId,
    mask: NodeId,
    types: Option<NodeId>,
    hidden: NodeId,
}

impl Graph {
    pub(super) fn load() -> Result<Self, EmbedError> {
        let failed = |error: &dyn std::fmt::Display| EmbedError::Load(error.to_string());
        let model = Model::load_static_slice(asset::MODEL).map_err(|error| failed(&error))?;
        let node = |name: &str| model.node_id(name).map_err(|error| failed(&error));
        let (ids, mask, types, hidden) = (node("input_ids")?, node("attention_mask")?, node("token_type_ids").ok(), node("last_hidden_state")?);
        Ok(Self { model: Some(model), ids, mask, types, hidden })
    }
}

impl Drop for Graph {
    fn drop(&mut self) {
        drop(self.model.take());
        asset::release_memory();
    }
}

/// One worker's hold on the model, with the threads it computes on.
pub(super) struct Session {
    graph: Arc<Graph>,
    words: Arc<Words>,
    pool: Arc<ThreadPool>,
}

impl Session {
    pub(super) fn new(graph: Arc<Graph>, words: Arc<Words>, threads: usize) -> Self {
        Self { graph, words, pool: Arc::new(ThreadPool::with_num_threads(threads.max(1))) }
    }

    /// Embeds the texts in one pass: mean of the tokens' vectors, scaled to unit length.
    pub(super) fn embed(&self, texts: &[String]) -> Result<Vec<Embedding>, EmbedError> {
        let failed = |error: &dyn std::fmt::Display| EmbedError::Failed(error.to_string());
        let rows: Vec<Vec<i32>> = texts.iter().map(|text| self.words.ids(text)).collect::<Result<_, _>>()?;
        let width = rows.iter().map(Vec::len).max().unwrap_or(0);
        let shape = [rows.len(), width];
        let mut ids = Vec::with_capacity(rows.len() * width);
        let mut mask = Vec::with_capacity(rows.len() * width);
        for row in &rows {
            ids.extend_from_slice(row);
            ids.resize(ids.len() + width - row.len(), 0);
            mask.resize(mask.len() + row.len(), 1i32);
            mask.resize(mask.len() + width - row.len(), 0);
        }
        let graph = &*self.graph;
        let model = graph.model.as_ref().ok_or(EmbedError::Stopping)?;
        let mut inputs = vec![(graph.ids, Tensor::from_data(&shape, ids).into()), (graph.mask, Tensor::from_data(&shape, mask).into())];
        if let Some(types) = graph.types {
            inputs.push((types, Tensor::<i32>::zeros(&shape).into()));
        }
        let options = RunOptions::default().with_thread_pool(Some(Arc::clone(&self.pool)));
        let [output] = model.run_n(inputs, [graph.hidden], Some(options)).map_err(|error| failed(&error))?;
        let hidden: NdTensor<f32, 3> = output.try_into().map_err(|error: rten::TryFromValueError| failed(&error))?;
        if hidden.shape() != [rows.len(), width, DIMENSION] {
            return Err(EmbedError::Failed(format!("the model answered with a tensor of shape {:?}", hidden.shape())));
        }
        let data = hidden.to_contiguous();
        let values = data.data();
        Ok(rows.iter().enumerate().map(|(index, row)| pool_mean(&values[index * width * DIMENSION..][..row.len() * DIMENSION], row.len())).collect())
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        // The computing threads have heaps of their own.
        self.pool.run(memory::release_heap);
    }
}

/// Mean over a text's tokens (markers included, as the model was trained), scaled to unit length.
fn pool_mean(values: &[f32], tokens: usize) -> Embedding {
    let mut vector = vec![0f32; DIMENSION];
    for token in values.chunks_exact(DIMENSION) {
        for (sum, value) in vector.iter_mut().zip(token) {
            *sum += value;
        }
    }
    let length = vector.iter().map(|x| x * x).sum::<f32>().sqrt().max(f32::MIN_POSITIVE);
    vector.iter_mut().for_each(|x| *x /= length);
    Embedding { vector, tokens: u32::try_from(tokens.saturating_sub(2)).unwrap_or(u32::MAX) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn windows_cover_a_text_and_give_the_tokens_that_one_look_gives() {
        let words = Words::load().unwrap();
        for text in ["Flüsse münden ins Meer, 1,233 km weit. ".repeat(1_200), "x".repeat(40_000), String::new(), "é".repeat(20_000)] {
            let cut: Vec<Range<usize>> = windows(&text).collect();
            assert!(cut.iter().all(|window| window.len() <= WINDOW_BYTES && text.get(window.clone()).is_some()));
            assert_eq!(cut.iter().map(|window| &text[window.clone()]).collect::<String>(), text);
        }
        let text = "Flüsse münden ins Meer, 1,233 km weit. ".repeat(1_200);
        let whole: Vec<Range<usize>> = match &words.0 {
            Some(tokenizer) => tokenizer.encode(text.as_str(), false).unwrap().get_offsets().iter().map(|&(start, end)| start..end).collect(),
            None => Vec::new(),
        };
        assert!(!whole.is_empty());
        assert_eq!(words.token_spans(&text), whole);
    }
}
