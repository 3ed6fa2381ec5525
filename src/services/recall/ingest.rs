//! Putting a report or a document into recall, in steps that a restart goes on from.

use std::collections::HashMap;
use std::sync::Arc;

use super::drafts::{self, DocumentSource, Draft, ReportSource, SourceText};
use super::{Recall, RecallError};
use crate::model::chunker::TokenSpans;
use crate::model::ids::{CompanyId, DocumentId, WidgetId};
use crate::model::report::ReportBody;
use crate::services::embed::EmbedKind;
use crate::store::StoreError;
use crate::store::chunks::{ChunkOwner, KnownEmbedding, NewChunk};

/// Chunks of one step: enough to keep every worker of the embedder busy, few enough to show progress and to lose little.
const STEP_CHUNKS: usize = 32;

/// How far an ingest is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct IngestProgress {
    /// Chunks that can be recalled.
    pub done: u32,
    /// Chunks there will be.
    pub total: u32,
}

/// What an ingest did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct IngestSummary {
    /// Chunks that can be recalled now.
    pub chunks: u32,
    /// Chunks that the model read in this call.
    pub embedded: u32,
    /// Chunks whose vector was known from an earlier run, or that an interrupted ingest had already put in.
    pub reused: u32,
    /// Tokens the model read in this call: what embedding costs.
    pub tokens: u64,
}

impl Recall {
    /// Puts a report and the pages it rests on into recall, then lets go of the chunks of runs past their retention. Called again for the same
    /// run, it goes on where it stopped. Does nothing while automations are not recalled.
    ///
    /// # Errors
    /// When embedding or the store fails; what was put in stays, and the next call goes on from there.
    pub async fn ingest_report(
        &self,
        source: ReportSource,
        pages: Vec<SourceText>,
        body: ReportBody,
        progress: &(dyn Fn(IngestProgress) + Send + Sync),
    ) -> Result<IngestSummary, RecallError> {
        if !self.settings.automations_enabled {
            return Ok(IngestSummary::default());
        }
        let (company, widget, owner) = (source.company.clone(), source.widget.clone(), ChunkOwner::Run(source.run.clone()));
        let drafts = self.drafts(move |tokens| drafts::of_report(&source, &pages, &body, tokens)).await?;
        let summary = self.ingest(company, owner, drafts, progress).await?;
        self.store.retain_chunks_of_latest_runs(widget, self.settings.runs_kept).await?;
        Ok(summary)
    }

    /// Puts a document into recall. Called again, it goes on where it stopped.
    ///
    /// # Errors
    /// When embedding or the store fails; what was put in stays, and the next call goes on from there.
    pub async fn ingest_document(
        &self,
        source: DocumentSource,
        pages: Vec<SourceText>,
        progress: &(dyn Fn(IngestProgress) + Send + Sync),
    ) -> Result<IngestSummary, RecallError> {
        let (company, owner) = (source.company.clone(), ChunkOwner::Document(source.document.clone()));
        let drafts = self.drafts(move |tokens| drafts::of_document(&source, &pages, tokens)).await?;
        self.ingest(company, owner, drafts, progress).await
    }

    /// Takes a document out of recall, and returns how many chunks it had.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn forget_document(&self, document: &DocumentId) -> Result<usize, StoreError> {
        self.store.delete_chunks(ChunkOwner::Document(document.clone())).await
    }

    /// Takes everything a widget collected out of recall, and returns how many chunks that were.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn forget_widget(&self, widget: &WidgetId) -> Result<usize, StoreError> {
        self.store.delete_chunks(ChunkOwner::Widget(widget.clone())).await
    }

    /// Cuts off the async threads: a large site is seconds of tokenizing.
    async fn drafts<F>(&self, cut: F) -> Result<Vec<Draft>, RecallError>
    where
        F: FnOnce(&dyn TokenSpans) -> Vec<Draft> + Send + 'static,
    {
        let embedder = Arc::clone(&self.embedder);
        let cut = self.tasks.spawn_blocking(move || Ok::<_, RecallError>(cut(&*embedder.tokenizer()?)));
        cut.await.map_err(|error| RecallError::Cut(error.to_string()))?
    }

    async fn ingest(
        &self,
        company: CompanyId,
        owner: ChunkOwner,
        drafts: Vec<Draft>,
        progress: &(dyn Fn(IngestProgress) + Send + Sync),
    ) -> Result<IngestSummary, RecallError> {
        let total = u32::try_from(drafts.len()).unwrap_or(u32::MAX);
        let there = self.already_there(owner, &drafts).await?;
        let mut summary = IngestSummary { chunks: there, reused: there, ..IngestSummary::default() };
        progress(IngestProgress { done: there, total });
        let mut rest = drafts.into_iter().skip(there as usize);
        loop {
            let step: Vec<Draft> = rest.by_ref().take(STEP_CHUNKS).collect();
            if step.is_empty() {
                return Ok(summary);
            }
            self.step(&company, step, &mut summary).await?;
            progress(IngestProgress { done: summary.chunks, total });
        }
    }

    /// How many chunks an interrupted ingest of the same drafts has put in. Chunks of anything else are taken out.
    async fn already_there(&self, owner: ChunkOwner, drafts: &[Draft]) -> Result<u32, RecallError> {
        let there = self.store.chunk_hashes(owner.clone()).await?;
        let expected = (0..).zip(drafts.iter().map(|draft| &draft.hash));
        if there.len() <= drafts.len() && there.iter().zip(expected).all(|((place, hash), (ordinal, draft))| *place == ordinal && hash == draft) {
            return Ok(u32::try_from(there.len()).unwrap_or(u32::MAX));
        }
        self.store.delete_chunks(owner).await?;
        Ok(0)
    }

    async fn step(&self, company: &CompanyId, drafts: Vec<Draft>, summary: &mut IngestSummary) -> Result<(), RecallError> {
        let model = self.embedder.model().name;
        let hashes = drafts.iter().map(|draft| draft.hash.clone()).collect();
        let mut known = self.store.known_embeddings(company.clone(), model, hashes).await?;
        let unknown: Vec<&Draft> = drafts.iter().filter(|draft| !known.contains_key(&draft.hash)).collect();
        let mut fresh = HashMap::new();
        if !unknown.is_empty() {
            let texts = unknown.iter().map(|draft| draft.body.embedded_text()).collect();
            for (draft, embedding) in unknown.iter().zip(self.embedder.embed(texts, EmbedKind::Bulk).await?) {
                summary.tokens += u64::from(embedding.tokens);
                summary.embedded += 1;
                fresh.insert(draft.hash.clone(), KnownEmbedding { vector: embedding.vector, tokens: embedding.tokens });
            }
        }
        let count = u32::try_from(drafts.len()).unwrap_or(u32::MAX);
        summary.reused += count - u32::try_from(unknown.len()).unwrap_or(0).min(count);
        known.extend(fresh);
        let chunks = drafts
            .into_iter()
            .filter_map(|draft| {
                let embedding = known.get(&draft.hash)?.clone();
                Some(NewChunk { body: draft.body, hash: draft.hash, vector: embedding.vector, tokens: embedding.tokens })
            })
            .collect();
        self.store.insert_chunks(company.clone(), model, chunks).await?;
        summary.chunks += count;
        Ok(())
    }
}
