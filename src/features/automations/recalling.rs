//! The ingester over recall: what embedding costs is reserved before and charged after.

use futures_util::future::BoxFuture;
use serde_json::json;
use tokio::sync::mpsc;

use super::seams::{CollectedSource, IngestError, IngestJob, IngestProgress, Ingester};
use crate::model::ids::WidgetId;
use crate::model::ledger::TxType;
use crate::model::rates;
use crate::model::run::RunError;
use crate::services::embed::EmbedError;
use crate::services::ledger::{Ledger, LedgerError, Reservation};
use crate::services::recall::{Recall, RecallError, ReportSource, SourceText};
use crate::store::StoreError;

/// Bytes of text that count as one token of the embedding model.
const BYTES_A_TOKEN: u64 = 4;

/// Makes reports recallable through the recall service.
#[derive(Clone, Debug)]
pub struct RecallIngester {
    /// Where chunks go.
    pub recall: Recall,
    /// Accounts for the embedding.
    pub ledger: Ledger,
    /// The embedding model's name, for the ledger.
    pub model: &'static str,
}

impl Ingester for RecallIngester {
    fn ingest(&self, job: IngestJob, progress: mpsc::Sender<IngestProgress>) -> BoxFuture<'_, Result<u32, IngestError>> {
        Box::pin(async move {
            let reservation = self.reserve(&job).await?;
            let (run_id, stop) = (job.run_id.clone(), job.stop.clone());
            let (source, pages) = (source_of(&job), job.sources.iter().map(text_of).collect());
            // A full channel loses a step of the progress, nothing else.
            let tell = move |step: crate::services::recall::IngestProgress| {
                let _ = progress.try_send(IngestProgress { done: step.done, total: step.total });
            };
            let summary = tokio::select! {
                done = self.recall.ingest_report(source, pages, job.report.body, &tell) => done.map_err(failed)?,
                () = stop.cancelled() => return Err(IngestError::Stopped),
            };
            if summary.tokens == 0 {
                // Every vector was known: the model read nothing.
                reservation.release().await?;
            } else {
                let metadata = json!({
                    "run_id": run_id, "model": self.model, "model_tokens": summary.tokens, "embedded": summary.embedded, "reused": summary.reused,
                });
                reservation.settle(rates::built_in_embedding(summary.tokens), metadata).await?;
            }
            Ok(summary.chunks)
        })
    }

    fn forget(&self, widget: WidgetId) -> BoxFuture<'_, Result<(), StoreError>> {
        Box::pin(async move { self.recall.forget_widget(&widget).await.map(|_| ()) })
    }
}

impl RecallIngester {
    /// Holds back what embedding all of it would cost: twice its text, for the passages overlap and the report repeats them.
    async fn reserve(&self, job: &IngestJob) -> Result<Reservation, IngestError> {
        let bytes: u64 = job.sources.iter().flat_map(|source| &source.text.blocks).map(|block| block.text.len() as u64 + 1).sum();
        let tokens = rates::built_in_embedding(2 * bytes / BYTES_A_TOKEN);
        let reserved = self.ledger.reserve(&job.payer, &job.widget.company_id, TxType::EmbeddingSpend, job.run_id.as_str(), tokens).await;
        reserved.map_err(|error| match error {
            LedgerError::Store(error) => IngestError::Store(error),
            LedgerError::Insufficient(short) => IngestError::Failed(RunError::new(
                "insufficient_tokens",
                format!("The report stands, but it cannot be recalled: {short}."),
                "Run the automation again when there are tokens, or ask a system admin for more.",
            )),
        })
    }
}

fn source_of(job: &IngestJob) -> ReportSource {
    ReportSource {
        company: job.widget.company_id.clone(),
        widget: job.widget.id.clone(),
        run: job.run_id.clone(),
        report: job.report.id.clone(),
        source_class: job.widget.spec.source.source_class.as_str().to_owned(),
        visibility: job.widget.spec.visibility.as_str().to_owned(),
        created_by: job.widget.created_by.clone(),
        stale_after_hours: job.widget.spec.stale_after_hours,
    }
}

fn text_of(source: &CollectedSource) -> SourceText {
    SourceText {
        source: source.source.clone(),
        text: source.text.canonical_text(),
        content_hash: source.content_hash.clone(),
        collected_at: source.collected_at,
    }
}

fn failed(error: RecallError) -> IngestError {
    match error {
        RecallError::Embed(EmbedError::Stopping) => IngestError::Stopped,
        RecallError::Store(error) => IngestError::Store(error),
        RecallError::Embed(_) | RecallError::Cut(_) => {
            tracing::error!(%error, "a report could not be embedded");
            IngestError::Failed(RunError::new(
                "embedding_failed",
                "The report stands, but it could not be made recallable.",
                "The appliance's log says why; run the automation again.",
            ))
        }
    }
}
