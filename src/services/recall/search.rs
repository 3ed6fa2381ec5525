//! Answering a question with what was collected and uploaded.

use std::time::Duration;

use super::rank::{self, LIST_LENGTH, Ranked};
use super::{Recall, RecallError, quote};
use crate::model::chunk::{Chunk, Citation};
use crate::model::freshness::Freshness;
use crate::model::ids::{CompanyId, UserId, WidgetId};
use crate::model::words::telling_words;
use crate::services::embed::EmbedKind;
use crate::store::chunk_index::ChunkQuery;

/// Most results of one search.
pub const RESULTS_MAX: usize = 50;
/// Bytes of a question that are looked at: more than the model's window holds.
const QUESTION_BYTES_MAX: usize = 8_192;
/// Candidates of each list. Twice the places that count: a widget's latest two runs often say the same, and only one of the two stays.
const CANDIDATES: usize = 2 * LIST_LENGTH;

/// A question.
#[derive(Clone, Debug)]
pub struct RecallQuery {
    /// Among this company's chunks.
    pub company: CompanyId,
    /// On whose behalf: private widgets' chunks are their creator's alone.
    pub viewer: UserId,
    /// The question.
    pub text: String,
    /// Most results, at most [`RESULTS_MAX`].
    pub limit: usize,
    /// What else limits them.
    pub filter: RecallFilter,
}

/// What else limits the results.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RecallFilter {
    /// Only what these widgets collected.
    pub widgets: Option<Vec<WidgetId>>,
    /// Only what is at most this old.
    pub max_age: Option<Duration>,
}

/// A chunk that was recalled, best first.
#[derive(Clone, Debug, PartialEq)]
pub struct Recalled {
    /// The chunk; [`crate::model::chunk::ChunkBody::quotable`] is what stands in the source word for word.
    pub chunk: Chunk,
    /// How near it is to the question: -1 to 1.
    pub cosine: f32,
    /// The cosine with the boost of its origin. The order is that of the fused lists, not of this alone.
    pub score: f32,
    /// How old it is, for its kind.
    pub freshness: Freshness,
    /// How to cite it; `n` is its place, from 1.
    pub citation: Citation,
}

/// What a search cost and found.
impl Recall {
    /// The company's chunks that answer a question best: exact cosine and full text, fused (see [`rank`](self)). Results that would quote the
    /// same words of the same source are one result.
    ///
    /// # Errors
    /// When embedding or the store fails.
    pub async fn search(&self, query: RecallQuery) -> Result<Vec<Recalled>, RecallError> {
        let question = crate::base::text::truncate(query.text.trim(), QUESTION_BYTES_MAX).to_owned();
        if question.is_empty() || query.limit == 0 {
            return Ok(Vec::new());
        }
        let embeddings = self.embedder.embed(vec![question.clone()], EmbedKind::Query).await?;
        let Some(embedding) = embeddings.into_iter().next() else { return Ok(Vec::new()) };
        let now = self.seams.now();
        let matches = self
            .store
            .search_chunks(ChunkQuery {
                company: query.company,
                viewer: query.viewer,
                vector: embedding.vector,
                words: telling_words(&question),
                limit: u16::try_from(CANDIDATES).unwrap_or(u16::MAX),
                automations: self.settings.automations_enabled,
                widgets: query.filter.widgets,
                collected_from: query.filter.max_age.map(|age| now.minus(age)),
            })
            .await?;
        let mut results: Vec<Recalled> = Vec::new();
        for Ranked { chunk, cosine, score, .. } in rank::fuse(matches) {
            let quote = quote::best(&chunk.body.quotable(), &question).to_owned();
            let same = |other: &Recalled| other.citation.content_hash == chunk.body.content_hash && other.citation.quote == quote;
            if results.iter().any(same) {
                continue;
            }
            let n = u32::try_from(results.len() + 1).unwrap_or(u32::MAX);
            results.push(Recalled { freshness: chunk.freshness(now), citation: chunk.cite(n, quote, now), chunk, cosine, score });
            if results.len() >= query.limit.min(RESULTS_MAX) {
                break;
            }
        }
        Ok(results)
    }
}
