//! One run, from its place in the queue to its report: collect, extract, report, each step written before the next.

use std::sync::Arc;

use serde_json::json;
use tokio_util::sync::CancellationToken;

use super::Automations;
use super::collect::Collected;
use super::ingest::not_read_notice;
use super::seams::CollectedSource;
use crate::model::ids::ReportId;
use crate::model::ledger::{Settlement, TxType};
use crate::model::plans::Feature;
use crate::model::rates;
use crate::model::report::{BUILT_IN_EXTRACTOR, ReportBody};
use crate::model::report_history::Report;
use crate::model::run::{IngestState, Run, RunError, RunState};
use crate::model::run_event::RunEvent;
use crate::model::widget::Widget;
use crate::services::ledger::{LedgerError, Reservation};
use crate::store::StoreError;

/// Ledger tokens reserved for each page of the budget: a page of 4,000 tokens, which few exceed.
const TOKENS_A_PAGE: u64 = 40;
/// Bytes of text that count as one token.
const BYTES_A_TOKEN: u64 = 4;

/// Why a run did not come to its report.
#[derive(Debug)]
pub(super) enum Stop {
    /// Somebody stopped it.
    Cancelled,
    /// The app stops: it goes on at the next start.
    Shutdown,
    /// It cannot be done.
    Failed(RunError),
    /// The store failed under it.
    Store(StoreError),
}

impl From<StoreError> for Stop {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

impl Automations {
    /// Does a claimed run's work.
    pub(super) async fn execute(&self, run: &Run, stop: &CancellationToken) -> Result<(), Stop> {
        // Asked to stop between the claim and the token's being there: only the row knows.
        let asked = self.store().run(run.company_id.clone(), run.id.clone()).await?.is_none_or(|run| run.cancel_asked);
        // Queued while whoever pays was losing their place.
        let may = self.store().may_run(run.company_id.clone(), run.requested_by.clone()).await?;
        let widget = self.store().widget(run.company_id.clone(), run.widget_id.clone()).await?;
        let Some(widget) = widget.filter(|_| may && !asked) else { return Err(Stop::Cancelled) };
        let budget = self.budget(&widget).await?;
        self.store().plan_run_pages(run.id.clone(), budget).await?;
        let reservation = self.reserve(run, &widget, budget).await?;

        let mut collected = self.collect(run, &widget, budget, stop).await?;
        let sources = Arc::new(std::mem::take(&mut collected.sources));
        match self.report_on(run, &widget, &collected, &sources, stop).await {
            Ok(body) => self.finish(run, &widget, &sources, not_read_notice(collected.unread), body, reservation).await,
            Err(Stop::Cancelled) => self.finish_cancelled(run, &sources, reservation).await,
            Err(stopped) => Err(stopped),
        }
    }

    async fn report_on(
        &self,
        run: &Run,
        widget: &Widget,
        collected: &Collected,
        sources: &Arc<Vec<CollectedSource>>,
        stop: &CancellationToken,
    ) -> Result<ReportBody, Stop> {
        self.check_stop(stop)?;
        if sources.is_empty() {
            return Err(Stop::Failed(collected.nothing(widget)));
        }
        self.enter(run, RunState::Collecting, RunState::Extracting, vec![]).await?;
        let body = self.extract(widget, sources, stop).await?;
        let extracted = RunEvent::Extracted { findings: count(&body.findings), metrics: count(&body.metrics), tables: count(&body.tables) };
        self.enter(run, RunState::Extracting, RunState::Reporting, vec![extracted]).await?;
        self.check_stop(stop)?;
        Ok(body)
    }

    /// Pages the run may use: what the widget wants, as far as the plan allows it today.
    async fn budget(&self, widget: &Widget) -> Result<u32, Stop> {
        let source = &widget.spec.source;
        if !source.source_class.is_web() {
            return Ok(u32::try_from(crate::model::widget::DOCUMENTS_MAX).unwrap_or(u32::MAX));
        }
        let limit = self.parts().plans.limit(&widget.company_id, Feature::CrawlPagesMax).await?.number();
        let limit = limit.map_or(u32::MAX, |limit| u32::try_from(limit).unwrap_or(u32::MAX));
        Ok(source.crawl.max_pages.min(limit).max(1))
    }

    async fn reserve(&self, run: &Run, widget: &Widget, budget: u32) -> Result<Reservation, Stop> {
        let tokens = TOKENS_A_PAGE * u64::from(budget);
        let reserved = self.parts().ledger.reserve(&run.requested_by, &widget.company_id, TxType::AutomationSpend, run.id.as_str(), tokens).await;
        match reserved {
            Ok(reservation) => Ok(reservation),
            Err(LedgerError::Store(error)) => Err(error.into()),
            Err(LedgerError::Insufficient(short)) => Err(Stop::Failed(RunError::new(
                "insufficient_tokens",
                short.to_string(),
                short.next_grant_at.map_or_else(
                    || "Ask a system admin for tokens.".to_owned(),
                    |at| format!("Wait for the next grant at {at}, lower the page budget, or ask a system admin for tokens."),
                ),
            ))),
        }
    }

    async fn enter(&self, run: &Run, from: RunState, to: RunState, events: Vec<RunEvent>) -> Result<(), Stop> {
        let Some(transition) = from.to(to) else { return Err(Stop::Store(StoreError::corrupt("a transition that is not allowed"))) };
        if !self.store().advance_run(run.id.clone(), transition, events, self.now()).await? {
            // Only a cancellation takes a claimed run away from its worker.
            return Err(Stop::Cancelled);
        }
        self.tell(&run.id);
        Ok(())
    }

    async fn extract(&self, widget: &Widget, sources: &Arc<Vec<CollectedSource>>, stop: &CancellationToken) -> Result<ReportBody, Stop> {
        let context = self.upstream_context(widget).await?;
        let (extractor, sources) = (Arc::clone(&self.parts().extractor), Arc::clone(sources));
        let (title, objective) = (widget.spec.title.clone(), widget.spec.objective.clone());
        let places = Arc::clone(&self.inner.extracting);
        let work = async {
            let place = places.acquire_owned().await;
            let work = self.parts().tasks.spawn_blocking(move || (extractor.extract(&sources, &title, &objective, &context), place).0);
            work.await
        };
        let body = tokio::select! {
            done = work => done,
            // The thread goes on to its end, but nobody waits for it.
            () = stop.cancelled() => return self.check_stop(stop).and(Err(Stop::Cancelled)),
        };
        body.map_err(|error| {
            tracing::error!(widget = %widget.id, %error, "the extractor broke off");
            Stop::Failed(RunError::new("extraction_failed", "The pages could not be read.", "The appliance's log says what went wrong."))
        })
    }

    /// Ends a cancelled run and charges for what it had read until then, all or nothing. One that had read nothing costs nothing.
    async fn finish_cancelled(&self, run: &Run, sources: &[CollectedSource], reservation: Reservation) -> Result<(), Stop> {
        if sources.is_empty() {
            return Err(Stop::Cancelled);
        }
        let text_tokens = text_tokens(sources);
        let metadata = json!({
            "run_id": run.id, "widget_id": run.widget_id, "pages": sources.len(), "text_tokens": text_tokens, "model": BUILT_IN_EXTRACTOR,
            "cancelled": true,
        });
        let end = |settlement: Settlement| async move {
            let write = || self.store().end_run(run.id.clone(), None, Some(settlement.clone()), self.now());
            // As an error, so that a run that was over already lets its reservation go.
            if self.insist("the end of a run cannot be written yet", write).await == Some(true) { Ok(()) } else { Err(Stop::Cancelled) }
        };
        reservation.settle_with(rates::built_in_extraction(text_tokens), metadata, end).await?;
        tracing::info!(run = %run.id, pages = sources.len(), "run cancelled");
        Ok(())
    }

    async fn finish(
        &self,
        run: &Run,
        widget: &Widget,
        sources: &[CollectedSource],
        notice: Option<RunError>,
        body: ReportBody,
        reservation: Reservation,
    ) -> Result<(), Stop> {
        let now = self.now();
        let text_tokens = text_tokens(sources);
        let metadata = json!({
            "run_id": run.id, "widget_id": widget.id, "pages": sources.len(), "text_tokens": text_tokens, "model": body.extractor,
        });
        let report = Report {
            id: ReportId::new(&self.parts().seams),
            company_id: run.company_id.clone(),
            widget_id: run.widget_id.clone(),
            run_id: run.id.clone(),
            title: widget.spec.title.clone(),
            pages: count(sources),
            collected_at: sources.iter().map(|source| source.collected_at).min().unwrap_or(now),
            created_at: now,
            body,
        };
        let ingest = if self.parts().settings.ingest { IngestState::Pending } else { IngestState::Off };
        let store = self.store().clone();
        // As an error, so that a run that was over already lets its reservation go.
        let commit =
            |settlement| async move { if store.finish_run(report, ingest, notice, Some(settlement)).await? { Ok(()) } else { Err(Stop::Cancelled) } };
        reservation.settle_with(rates::built_in_extraction(text_tokens), metadata, commit).await?;
        tracing::info!(run = %run.id, pages = sources.len(), "run succeeded");
        self.tell(&run.id);
        self.inner.ingest_nudge.nudge();
        Ok(())
    }

    /// Whether to go on.
    pub(super) fn check_stop(&self, stop: &CancellationToken) -> Result<(), Stop> {
        if self.parts().tasks.is_stopping() {
            Err(Stop::Shutdown)
        } else if stop.is_cancelled() {
            Err(Stop::Cancelled)
        } else {
            Ok(())
        }
    }
}

fn text_tokens(sources: &[CollectedSource]) -> u64 {
    sources.iter().map(text_bytes).sum::<u64>().div_ceil(BYTES_A_TOKEN)
}

fn text_bytes(source: &CollectedSource) -> u64 {
    source.text.blocks.iter().map(|block| block.text.len() as u64 + 1).sum()
}

fn count<T>(items: &[T]) -> u32 {
    u32::try_from(items.len()).unwrap_or(u32::MAX)
}
