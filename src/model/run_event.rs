//! What a follower of a run is shown, in order. The last one of a stream is `done`, `failed` or `cancelled`.

use serde_json::{Value, json};

use super::ids::ReportId;
use super::run::{IngestState, PageFate, RunError, RunState};

/// One event of a run.
#[derive(Clone, Debug, PartialEq)]
pub enum RunEvent {
    /// The run entered a state.
    State(RunState),
    /// A page came to its fate.
    Page {
        /// Its address.
        url: String,
        /// What became of it.
        fate: PageFate,
        /// Why, when it was left out or could not be had.
        reason: Option<String>,
        /// Pages used so far.
        n: u32,
        /// Pages that may be used.
        budget: u32,
    },
    /// The pages were read.
    Extracted {
        /// Findings.
        findings: u32,
        /// Key figures.
        metrics: u32,
        /// Tables.
        tables: u32,
    },
    /// The report is there.
    Report(ReportId),
    /// The background ingest moved on.
    Ingest {
        /// Where it stands.
        state: IngestState,
        /// Chunks that can be recalled.
        chunks: u32,
        /// Chunks embedded so far.
        done: u32,
        /// Chunks there are.
        total: u32,
        /// Why it failed.
        error: Option<RunError>,
        /// Why it waits, or what it left out.
        notice: Option<RunError>,
    },
    /// Everything is done.
    Done {
        /// The report.
        report_id: Option<ReportId>,
        /// How the ingest ended.
        ingest: IngestState,
        /// Chunks that can be recalled.
        chunks: u32,
    },
    /// The run failed.
    Failed(RunError),
    /// The run was stopped.
    Cancelled,
}

impl RunEvent {
    /// The SSE `event:` field.
    #[must_use]
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::State(_) => "state",
            Self::Page { .. } => "page",
            Self::Extracted { .. } => "extracted",
            Self::Report(_) => "report",
            Self::Ingest { .. } => "ingest",
            Self::Done { .. } => "done",
            Self::Failed(_) => "failed",
            Self::Cancelled => "cancelled",
        }
    }

    /// The SSE `data:` field.
    #[must_use]
    pub fn data(&self) -> Value {
        match self {
            Self::State(state) => json!({ "state": state }),
            Self::Page { url, fate, reason, n, budget } => json!({ "url": url, "fate": fate, "reason": reason, "n": n, "budget": budget }),
            Self::Extracted { findings, metrics, tables } => json!({ "findings": findings, "metrics": metrics, "tables": tables }),
            Self::Report(report_id) => json!({ "report_id": report_id }),
            Self::Ingest { state, chunks, done, total, error, notice } => {
                // While it waits nothing of the run's rest can be recalled: a follower is told so as of a failure.
                let error = error.as_ref().or(notice.as_ref().filter(|_| *state == IngestState::Pending));
                json!({ "state": state, "chunks": chunks, "done": done, "total": total, "error": error, "notice": notice })
            }
            Self::Done { report_id, ingest, chunks } => json!({ "report_id": report_id, "ingest": ingest, "chunks": chunks }),
            Self::Failed(error) => json!({ "error": error }),
            Self::Cancelled => json!({}),
        }
    }
}
