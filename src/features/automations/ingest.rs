//! The background ingest of reports: durable, because what waits is a column of the run.

use std::collections::{HashMap, VecDeque};
use std::time::Duration;

use tokio::sync::mpsc;

use super::collect::{Unread, document_of, is_not_read};
use super::seams::{IngestError, IngestJob};
use super::{AutomationError, Automations};
use crate::model::part::{ITEMS_MAX, Part};
use crate::model::report::SourceRef;
use crate::model::report_history::Report;
use crate::model::run::{IngestState, PAGES_NOT_READ, Run, RunError};
use crate::model::widget::DOCUMENTS_MAX;
use crate::services::recall::{IngestProgress, IngestSummary, LeftOut, SourceText};
use crate::store::StoreError;
use crate::store::run_ingests::IngestStep;

/// Runs of a widget that keep chunks.
const RUNS_WITH_CHUNKS: u32 = 2;
/// Least time between two progress events of an ingest.
const PROGRESS_EVERY: Duration = Duration::from_millis(500);
/// How long an ingest waits for tokens before it is tried again: soon enough after a grant, too seldom to be work.
const TOKENS_WAIT: Duration = Duration::from_secs(600);
/// The remedy for a site that is too large.
const DIVIDE: &str = "Divide the site among several automations, or leave out long pages by pattern.";

impl Automations {
    /// Ingests what waits, one report at a time: embedding takes the processor, and two at once would not be faster. Companies take turns, and a
    /// long ingest gives way to others now and then. Returns how many came to an end.
    ///
    /// # Errors
    /// The store's failure; what was being ingested waits again.
    pub async fn ingest_waiting(&self) -> Result<usize, AutomationError> {
        let _alone = self.inner.ingesting.lock().await;
        // Nobody else ingests: one that still runs is left over from a look that broke off, and counts as an attempt.
        self.store().recover_ingests(self.now()).await?;
        let (mut ended, mut last) = (0, None);
        while !self.parts().tasks.is_stopping() {
            let Some(run) = self.store().claim_next_ingest(last, self.now()).await? else { break };
            self.tell(&run.id);
            let result = self.ingest(&run).await;
            let stopped = matches!(result, Err(IngestError::Stopped));
            ended += usize::from(self.keep_ingest(&run, result).await?);
            self.tell(&run.id);
            if stopped {
                break;
            }
            last = Some(run.company_id);
        }
        Ok(ended)
    }

    /// Keeps what came of an ingest, as often as it takes: one that stayed open would be embedded again. Whether it came to its end.
    async fn keep_ingest(&self, run: &Run, result: Result<IngestStep, IngestError>) -> Result<bool, AutomationError> {
        let store = self.store();
        let (step, wait) = match result {
            Ok(step) => (step, Duration::ZERO),
            Err(IngestError::Ended) => (IngestStep::at(IngestState::Done), Duration::ZERO),
            Err(IngestError::Failed(error)) => {
                tracing::warn!(run = %run.id, code = error.code, message = error.message, "ingest failed");
                (IngestStep::failed(error), Duration::ZERO)
            }
            Err(IngestError::Waits { why, progress: IngestProgress { done, total } }) => {
                (IngestStep { chunks: done, done, total, notice: Some(why), ..IngestStep::at(IngestState::Pending) }, TOKENS_WAIT)
            }
            Err(IngestError::Stopped) => {
                store.put_back_ingest(run.id.clone()).await?;
                return Ok(false);
            }
            Err(IngestError::Store(error)) => {
                self.insist("an ingest cannot be put back yet", || store.put_back_ingest(run.id.clone())).await;
                return Err(error.into());
            }
        };
        if step.state == IngestState::Pending {
            let until = self.now().plus(wait);
            self.insist("an ingest cannot be postponed yet", || store.postpone_ingest(run.id.clone(), until, step.clone(), self.now())).await;
            return Ok(false);
        }
        self.insist("the end of an ingest cannot be written yet", || store.step_ingest(run.id.clone(), step.clone(), self.now())).await;
        Ok(true)
    }

    async fn ingest(&self, run: &Run) -> Result<IngestStep, IngestError> {
        if !self.parts().settings.ingest {
            return Ok(IngestStep::at(IngestState::Off));
        }
        let Some((job, beyond)) = self.ingest_job(run).await? else { return Ok(IngestStep::at(IngestState::Done)) };
        let (sender, progress) = mpsc::channel(16);
        let (result, total) = tokio::join!(self.parts().ingester.ingest(job, sender), self.follow_ingest(run, progress));
        let IngestSummary { chunks, left, left_out, .. } = result?;
        let step = IngestStep { chunks, done: chunks, total, ..IngestStep::at(IngestState::Pending) };
        Ok(if left == 0 { IngestStep { state: IngestState::Done, done: total, notice: notice_of(left_out, beyond), ..step } } else { step })
    }

    /// Writes progress, not more often than a person can read, and returns the last total.
    async fn follow_ingest(&self, run: &Run, mut progress: mpsc::Receiver<IngestProgress>) -> u32 {
        let clock = &self.parts().seams.clock;
        let (mut told_at, mut total) = (None, 0);
        while let Some(now) = progress.recv().await {
            total = now.total;
            if told_at.is_some_and(|at| clock.elapsed().saturating_sub(at) < PROGRESS_EVERY) {
                continue;
            }
            told_at = Some(clock.elapsed());
            let step = IngestStep { chunks: now.done, done: now.done, total: now.total, ..IngestStep::at(IngestState::Running) };
            match self.store().step_ingest(run.id.clone(), step, self.now()).await {
                Ok(()) => self.tell(&run.id),
                Err(error) => tracing::warn!(run = %run.id, %error, "the progress of an ingest was not kept"),
            }
        }
        total
    }

    /// What to ingest; `None` when nobody would recall it: the widget is gone, or two later runs have reports.
    async fn ingest_job(&self, run: &Run) -> Result<Option<(IngestJob, Beyond)>, StoreError> {
        let store = self.store();
        let Some(widget) = store.widget(run.company_id.clone(), run.widget_id.clone()).await? else { return Ok(None) };
        if !store.reported_runs(widget.id.clone(), RUNS_WITH_CHUNKS).await?.contains(&run.id) {
            return Ok(None);
        }
        let Some(report_id) = run.report_id.clone() else { return Ok(None) };
        let Some(report) = store.report(run.company_id.clone(), report_id).await? else { return Ok(None) };
        let (pages, beyond) = self.run_texts(run, &report).await?;
        let stop = self.parts().tasks.token().child_token();
        Ok(Some((IngestJob { widget, run_id: run.id.clone(), payer: run.requested_by.clone(), report, pages, stop }, beyond)))
    }

    /// The pages a run has collected, with their kept texts, each as the report cites it: as many as one ingest holds.
    async fn run_texts(&self, run: &Run, report: &Report) -> Result<(Vec<SourceText>, Beyond), StoreError> {
        let cited: HashMap<&str, &SourceRef> = report.body.evidence.iter().map(|piece| (piece.content_hash.as_str(), &piece.source)).collect();
        let unread = Unread { pages: 0, documents: run.documents_left_out };
        let (mut pages, mut beyond) = (Vec::new(), Beyond { unread, not_recalled: 0 });
        let mut bytes_left = self.parts().settings.text_bytes_max;
        let (mut part, mut waiting) = (Part::new(None, Some(ITEMS_MAX)), VecDeque::new());
        loop {
            let Some(page) = waiting.pop_front() else {
                let found = self.store().run_pages(run.company_id.clone(), run.id.clone(), part.after.unwrap_or(0), part.limit).await?;
                let Some((last, _)) = found.last() else { break };
                part.after = Some(*last);
                waiting.extend(found.into_iter().map(|(_, page)| page));
                continue;
            };
            beyond.unread.pages += u32::from(is_not_read(&page));
            let Some(content_hash) = page.content_hash.filter(|_| page.fate.is_collected()) else { continue };
            let Some(text) = self.parts().library.plain(&run.company_id, &content_hash).await? else { continue };
            if text.len() > bytes_left {
                beyond.not_recalled += 1;
                continue;
            }
            bytes_left -= text.len();
            let source = cited.get(content_hash.as_str()).map(|source| SourceRef::clone(source)).unwrap_or_else(|| {
                let document_id = document_of(&page.url);
                let title = page.title.unwrap_or_else(|| page.url.clone());
                let url = document_id.is_none().then_some(page.url);
                SourceRef { url, document_id, title, page_number: None }
            });
            pages.push(SourceText { source, text, rows: Vec::new(), content_hash, collected_at: page.fetched_at });
        }
        Ok((pages, beyond))
    }
}

/// Pages of a run beyond its bounds.
#[derive(Clone, Copy, Default)]
struct Beyond {
    /// Not read for the report.
    unread: Unread,
    /// Not put into recall.
    not_recalled: u32,
}

/// What a reader is told of pages and documents that are there and not in the report.
pub(super) fn not_read_notice(Unread { pages, documents }: Unread) -> Option<RunError> {
    let pages = (pages > 0).then(|| {
        RunError::new(PAGES_NOT_READ, format!("{} not in the report: the site has more text than one report is made of.", are(pages, "page")), DIVIDE)
    });
    let documents = (documents > 0).then(|| {
        let message = format!("{} not in the report: a run reads the newest {DOCUMENTS_MAX}.", are(documents, "document"));
        RunError::new(PAGES_NOT_READ, message, "Name the documents that matter, in several automations if there are many.")
    });
    pages.into_iter().chain(documents).reduce(joined)
}

fn joined(first: RunError, next: RunError) -> RunError {
    let remedy = if first.remedy == next.remedy { first.remedy } else { format!("{} {}", first.remedy, next.remedy) };
    RunError { code: first.code, message: format!("{} {}", first.message, next.message), remedy }
}

/// What a reader is told of what is not in the report, or not recalled.
fn notice_of(LeftOut { passages, pages }: LeftOut, beyond: Beyond) -> Option<RunError> {
    let mut told: Vec<RunError> = not_read_notice(beyond.unread).into_iter().collect();
    if beyond.not_recalled > 0 {
        let message = format!("{} not recallable: the site has more text than one run puts into recall.", are(beyond.not_recalled, "page"));
        told.push(RunError::new("passages_left_out", message, DIVIDE));
    }
    if passages > 0 {
        let (passages_word, pages_word) = (if passages == 1 { "passage" } else { "passages" }, if pages == 1 { "page" } else { "pages" });
        told.push(RunError::new(
            "passages_left_out",
            format!("{passages} {passages_word} of {pages} {pages_word} are not recallable: the site is larger than one run puts into recall."),
            DIVIDE,
        ));
    }
    told.into_iter().reduce(joined)
}

fn are(count: u32, what: &str) -> String {
    if count == 1 { format!("1 {what} is") } else { format!("{count} {what}s are") }
}
