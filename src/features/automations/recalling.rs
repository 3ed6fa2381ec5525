//! The ingester over recall.

use futures_util::future::BoxFuture;
use tokio::sync::mpsc;

use super::seams::{IngestError, IngestJob, Ingester};
use crate::model::ids::WidgetId;
use crate::model::run::RunError;
use crate::services::embed::EmbedError;
use crate::services::recall::{IngestProgress, IngestSummary, Recall, RecallError, ReportSource};
use crate::store::StoreError;

/// Makes reports recallable through the recall service.
#[derive(Clone, Debug)]
pub struct RecallIngester {
    /// Where chunks go.
    pub recall: Recall,
}

impl Ingester for RecallIngester {
    fn ingest(&self, job: IngestJob, progress: mpsc::Sender<IngestProgress>) -> BoxFuture<'_, Result<IngestSummary, IngestError>> {
        Box::pin(async move {
            let source = source_of(&job);
            // A full channel loses a step of the progress, nothing else.
            let tell = move |step| {
                let _ = progress.try_send(step);
            };
            tokio::select! {
                biased;
                () = job.stop.cancelled() => Err(IngestError::Stopped),
                done = self.recall.ingest_report(source, job.pages, job.report.body, &tell) => done.map_err(failed),
            }
        })
    }

    fn forget(&self, widget: WidgetId) -> BoxFuture<'_, Result<(), StoreError>> {
        Box::pin(async move { self.recall.forget_widget(&widget).await.map(|_| ()) })
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
        payer: job.payer.clone(),
        stale_after_hours: job.widget.spec.stale_after_hours,
    }
}

fn failed(error: RecallError) -> IngestError {
    match error {
        RecallError::Embed(EmbedError::Stopping) => IngestError::Stopped,
        RecallError::Store(error) => IngestError::Store(error),
        RecallError::Ended => IngestError::Ended,
        RecallError::Unpaid { short, progress } => IngestError::Waits {
            why: RunError::new(
                "insufficient_tokens",
                format!("The report stands. Of {} chunks {} can be recalled; the rest waits for tokens: {short}.", progress.total, progress.done),
                "It goes on by itself when there are tokens; a system admin can grant some.",
            ),
            progress,
        },
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
