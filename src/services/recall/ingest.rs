//! Putting a report or a document into recall, in steps that a restart goes on from.

use std::sync::Arc;

use serde_json::json;

use super::drafts::{self, DocumentSource, Draft, ReportSource, SourceText};
use super::{LeftOut, Recall, RecallError};
use crate::base::text;
use crate::model::chunker::TokenSpans;
use crate::model::ids::{CompanyId, UserId};
use crate::model::ledger::TxType;
use crate::model::rates;
use crate::model::report::ReportBody;
use crate::services::embed::EmbedKind;
use crate::services::ledger::{LedgerError, Reservation};
use crate::store::StoreError;
use crate::store::chunks::{ChunkOwner, KnownEmbedding, NewChunk};

/// Chunks of one step: enough to keep every worker of the embedder busy, few enough to show progress and to lose little.
const STEP_CHUNKS: usize = 32;
/// Steps after which an ingest gives way to one that waits: 256 chunks, half a minute of two cores.
const TURN_STEPS: u32 = 8;

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
    /// Chunks still to be put in: something else waits and is given its turn. Another call goes on.
    pub left: u32,
    /// What is never put in.
    pub left_out: LeftOut,
}

/// Whose chunks are made, and who pays.
struct Job {
    company: CompanyId,
    payer: UserId,
    owner: ChunkOwner,
}

impl Recall {
    /// Puts a report and the pages it rests on into recall, then lets go of the chunks of runs past their retention. Called again for the same
    /// run, it goes on where it stopped. Does nothing while automations are not recalled.
    ///
    /// # Errors
    /// When embedding or the store fails, tokens are missing, or the widget is gone; what was put in stays, and the next call goes on from there.
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
        let widget = source.widget.clone();
        let job = Job { company: source.company.clone(), payer: source.payer.clone(), owner: ChunkOwner::Run(source.run.clone()) };
        let (drafts, left_out) = self.drafts(move |tokens| drafts::of_report(&source, &pages, &body, tokens)).await?;
        let summary = self.ingest(&job, drafts, progress).await?;
        if summary.left == 0 {
            self.store.retain_chunks_of_latest_runs(widget, self.settings.runs_kept).await?;
        }
        Ok(IngestSummary { left_out, ..summary })
    }

    /// Puts a document into recall. Called again, it goes on where it stopped.
    ///
    /// # Errors
    /// When embedding or the store fails, tokens are missing, or the document is gone; what was put in stays, and the next call goes on from there.
    pub async fn ingest_document(
        &self,
        source: DocumentSource,
        pages: Vec<SourceText>,
        progress: &(dyn Fn(IngestProgress) + Send + Sync),
    ) -> Result<IngestSummary, RecallError> {
        let owner = ChunkOwner::Document(source.document.clone());
        let job = Job { company: source.company.clone(), payer: source.uploaded_by.clone(), owner };
        let (drafts, left_out) = self.drafts(move |tokens| drafts::of_document(&source, &pages, tokens)).await?;
        Ok(IngestSummary { left_out, ..self.ingest(&job, drafts, progress).await? })
    }

    /// Cuts off the async threads: a large site is seconds of tokenizing.
    async fn drafts<F>(&self, cut: F) -> Result<(Vec<Draft>, LeftOut), RecallError>
    where
        F: FnOnce(&dyn TokenSpans) -> (Vec<Draft>, LeftOut) + Send + 'static,
    {
        let embedder = Arc::clone(&self.embedder);
        let cut = self.tasks.spawn_blocking(move || Ok::<_, RecallError>(cut(&*embedder.tokenizer()?)));
        cut.await.map_err(|error| RecallError::Cut(error.to_string()))?
    }

    async fn ingest(&self, job: &Job, drafts: Vec<Draft>, progress: &(dyn Fn(IngestProgress) + Send + Sync)) -> Result<IngestSummary, RecallError> {
        let total = count(&drafts);
        let there = self.already_there(&job.owner, &drafts).await?;
        let mut summary = IngestSummary { chunks: there, reused: there, ..IngestSummary::default() };
        progress(IngestProgress { done: there, total });
        let mut rest = drafts.into_iter().skip(there as usize);
        for steps in 1u32.. {
            let step: Vec<Draft> = rest.by_ref().take(STEP_CHUNKS).collect();
            if step.is_empty() {
                break;
            }
            self.step(job, step, total, &mut summary).await?;
            progress(IngestProgress { done: summary.chunks, total });
            if steps.is_multiple_of(TURN_STEPS) && summary.chunks < total && self.others_wait(&job.owner).await? {
                break;
            }
        }
        summary.left = total - summary.chunks;
        Ok(summary)
    }

    /// How many chunks an interrupted ingest of the same drafts has put in. Chunks of anything else are taken out.
    async fn already_there(&self, owner: &ChunkOwner, drafts: &[Draft]) -> Result<u32, RecallError> {
        let there = self.store.chunk_hashes(owner.clone()).await?;
        let expected = (0..).zip(drafts.iter().map(|draft| &draft.hash));
        if there.len() <= drafts.len() && there.iter().zip(expected).all(|((place, hash), (ordinal, draft))| *place == ordinal && hash == draft) {
            return Ok(u32::try_from(there.len()).unwrap_or(u32::MAX));
        }
        self.store.delete_chunks(owner.clone()).await?;
        Ok(0)
    }

    async fn others_wait(&self, owner: &ChunkOwner) -> Result<bool, StoreError> {
        match owner {
            ChunkOwner::Document(id) => self.store.another_document_waits(id.clone(), self.seams.now()).await,
            _ => self.store.another_run_waits(self.seams.now()).await,
        }
    }

    /// Puts one batch in and charges for what of it the model had to read, in one transaction: a crash loses one batch's work at most, and
    /// nothing is charged that is not in.
    async fn step(&self, job: &Job, drafts: Vec<Draft>, total: u32, summary: &mut IngestSummary) -> Result<(), RecallError> {
        let model = self.embedder.model().name;
        let hashes = drafts.iter().map(|draft| draft.hash.clone()).collect();
        let mut known = self.store.known_embeddings(job.company.clone(), model, hashes).await?;
        let unknown: Vec<&Draft> = drafts.iter().filter(|draft| !known.contains_key(&draft.hash)).collect();
        let (embedded, mut tokens) = (count(&unknown), 0);
        let mut reservation = None;
        if let Some(first) = unknown.first() {
            let estimate = unknown.iter().map(|draft| u64::from(draft.tokens)).sum();
            reservation = Some(self.reserve(job, first, estimate, IngestProgress { done: summary.chunks, total }).await?);
            let texts = unknown.iter().map(|draft| draft.body.embedded_text()).collect();
            for (draft, embedding) in unknown.iter().zip(self.embedder.embed(texts, EmbedKind::Bulk).await?) {
                tokens += u64::from(embedding.tokens);
                known.insert(draft.hash.clone(), KnownEmbedding { vector: embedding.vector, tokens: embedding.tokens });
            }
        }
        let put_in = count(&drafts);
        let chunks = drafts
            .into_iter()
            .filter_map(|draft| {
                let embedding = known.get(&draft.hash)?.clone();
                Some(NewChunk { body: draft.body, hash: draft.hash, vector: embedding.vector, tokens: embedding.tokens })
            })
            .collect();
        let (company, now) = (job.company.clone(), self.seams.now());
        let insert = |settlement| self.store.insert_settled_chunks(company, model, chunks, settlement, now);
        match reservation {
            Some(reservation) => {
                let metadata = json!({ "model": model, "model_tokens": tokens, "embedded": embedded, "reused": put_in - embedded });
                reservation.settle_with(rates::built_in_embedding(tokens), metadata, |settlement| insert(Some(settlement))).await?;
            }
            None => insert(None).await?,
        }
        summary.chunks += put_in;
        summary.embedded += embedded;
        summary.reused += put_in - embedded;
        summary.tokens += tokens;
        Ok(())
    }

    /// Holds back what a batch will cost. The key is the batch's own: however often it is tried, it is charged once.
    async fn reserve(&self, job: &Job, first: &Draft, tokens: u64, progress: IngestProgress) -> Result<Reservation, RecallError> {
        let key = format!("{}:{}:{}", job.owner.id(), first.body.ordinal, text::truncate(&first.hash, 16));
        let tokens = rates::built_in_embedding(tokens);
        match self.ledger.reserve(&job.payer, &job.company, TxType::EmbeddingSpend, &key, tokens).await {
            Ok(reservation) => Ok(reservation.about(job.owner.id())),
            Err(LedgerError::Insufficient(short)) => Err(RecallError::Unpaid { short, progress }),
            Err(LedgerError::Store(error)) => Err(error.into()),
        }
    }
}

fn count<T>(items: &[T]) -> u32 {
    u32::try_from(items.len()).unwrap_or(u32::MAX)
}
