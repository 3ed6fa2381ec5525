//! The first step of a run: pages of sites or texts of documents, each kept with its fate as it is met.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::Automations;
use super::execute::Stop;
use super::seams::{CollectJob, CollectedSource, MetOutcome, MetPage};
use crate::model::ids::DocumentId;
use crate::model::report::SourceRef;
use crate::model::run::{KnownPage, PageFate, Run, RunError, RunPage};
use crate::model::widget::{SourceClass, Widget};
use crate::services::collect::texts::kept_text;

/// Pages that may wait to be kept before the collector is slowed down.
const MET_WAITING: usize = 8;
/// Earlier runs whose pages are compared with.
const RUNS_KNOWN: u32 = 2;
/// How a document's address begins in a run's pages.
const DOCUMENT_SCHEME: &str = "document:";

/// How the reason begins why a page that was collected is not read for the report.
const NOT_READ: &str = "not_read";

/// What a run could have read, and is not in its report.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Unread {
    /// Pages that there was no memory for.
    pub(super) pages: u32,
    /// Documents beyond the number that a run reads.
    pub(super) documents: u32,
}

/// What a run has collected so far, and what stood in its way.
#[derive(Default)]
pub(super) struct Collected {
    /// What the report is made of.
    pub(super) sources: Vec<CollectedSource>,
    /// Where the page of a content hash stands on its site.
    places: HashMap<String, u64>,
    /// Memory that there is for more.
    bytes_left: usize,
    /// What is there and not read.
    pub(super) unread: Unread,
    hashes: HashSet<String>,
    failures: Vec<(String, RunError)>,
    /// Hosts that egress refused.
    refused: BTreeSet<String>,
    skipped: Vec<(String, String)>,
}

impl Collected {
    /// The sources by their place on the site, then by address: pages arrive as their servers answer, and of equals a report takes the first, so
    /// that without an order the same site would give other figures from one run to the next.
    fn in_order(&mut self) {
        let places = &self.places;
        self.sources.sort_by_cached_key(|collected| {
            let url = collected.source.url.clone().unwrap_or_default();
            (places.get(&collected.content_hash).copied(), url)
        });
    }
}

impl Automations {
    /// Collects what the run's widget names, or as much of it as there was time for until it was stopped.
    pub(super) async fn collect(&self, run: &Run, widget: &Widget, budget: u32, stop: &CancellationToken) -> Result<Collected, Stop> {
        let known = Arc::new(self.store().known_pages(widget.id.clone(), run.id.clone(), RUNS_KNOWN).await?);
        if widget.spec.source.source_class.is_web() {
            self.collect_web(run, widget, budget, known, stop).await
        } else {
            self.collect_documents(run, widget, budget, &known, stop).await
        }
    }

    fn nothing_collected(&self) -> Collected {
        Collected { bytes_left: self.parts().settings.text_bytes_max, ..Collected::default() }
    }

    async fn collect_web(
        &self,
        run: &Run,
        widget: &Widget,
        budget: u32,
        known: Arc<HashMap<String, KnownPage>>,
        stop: &CancellationToken,
    ) -> Result<Collected, Stop> {
        let enough = stop.child_token();
        let job = CollectJob {
            company: widget.company_id.clone(),
            start: widget.spec.source.urls.clone(),
            policy: widget.spec.source.crawl.clone(),
            depth: widget.spec.crawl_depth(),
            pages_max: budget,
            internal: widget.spec.source.source_class == SourceClass::InternalWeb,
            known: Arc::clone(&known),
            stop: enough.clone(),
        };
        let (sender, mut met) = mpsc::channel(MET_WAITING);
        let mut collected = self.nothing_collected();
        let collecting = async {
            self.parts().collector.collect(job, sender).await;
            Ok::<(), Stop>(())
        };
        let keeping = async {
            while let Some(page) = met.recv().await {
                self.keep_page(run, page, budget, &known, &mut collected).await?;
            }
            Ok(())
        };
        let time_is_up = async {
            self.parts().seams.clock.sleep(Duration::from_secs(self.parts().settings.collect_seconds_max)).await;
            tracing::info!(run = %run.id, "the run's time to collect is up: it reports on what it has");
            enough.cancel();
            std::future::pending::<()>().await;
        };
        tokio::select! {
            done = async { tokio::try_join!(collecting, keeping) } => done?,
            () = time_is_up => return Err(Stop::Cancelled),
        };
        collected.in_order();
        Ok(collected)
    }

    async fn keep_page(
        &self,
        run: &Run,
        met: MetPage,
        budget: u32,
        known: &HashMap<String, KnownPage>,
        collected: &mut Collected,
    ) -> Result<(), Stop> {
        let url = met.url.to_string();
        let mut page = RunPage {
            final_url: (met.final_url != met.url).then(|| met.final_url.to_string()),
            url: url.clone(),
            title: None,
            fate: PageFate::Skipped,
            reason: None,
            status: met.status,
            bytes: met.bytes,
            content_hash: None,
            etag: met.etag,
            last_modified: met.last_modified,
            fetched_at: met.at,
        };
        let mut kept = None;
        match met.outcome {
            MetOutcome::Skipped(reason) => {
                collected.skipped.push((url, reason.clone()));
                page.reason = Some(reason);
            }
            MetOutcome::Failed(error) => {
                page.fate = PageFate::Failed;
                page.reason = Some(format!("{}: {}", error.code, error.message));
                collected.failures.push((url, error));
            }
            MetOutcome::Refused(host, error) => {
                page.fate = PageFate::Failed;
                page.reason = Some(format!("{}: {}", error.code, error.message));
                collected.refused.insert(host);
            }
            MetOutcome::Text(text) => {
                let content_hash = text.content_hash();
                let title = text.title_at(&met.final_url);
                page.title = Some(title.clone());
                if collected.hashes.insert(content_hash.clone()) {
                    let source = SourceRef { url: Some(met.final_url.to_string()), document_id: None, title, page_number: None };
                    let source = CollectedSource { source, text, content_hash: content_hash.clone(), collected_at: met.at };
                    kept = Some(kept_text(&source.source, &source.text, source.collected_at)?);
                    page.fate = KnownPage::fate(known.get(&url), &content_hash);
                    collected.places.insert(content_hash.clone(), met.place);
                    page.reason = collected.take(source);
                } else {
                    page.reason = Some("same_text: another page of this run has the same text".into());
                    collected.skipped.push((url, "same_text".into()));
                }
                page.content_hash = Some(content_hash);
            }
        }
        self.store().record_page(run, page, kept, budget).await?;
        self.tell(&run.id);
        Ok(())
    }

    async fn collect_documents(
        &self,
        run: &Run,
        widget: &Widget,
        budget: u32,
        known: &HashMap<String, KnownPage>,
        stop: &CancellationToken,
    ) -> Result<Collected, Stop> {
        let mut collected = self.nothing_collected();
        let library = &self.parts().library;
        let (documents, more) = library.documents(&run.company_id, &widget.spec.source.documents, budget).await?;
        collected.unread.documents = more;
        if more != run.documents_left_out {
            self.store().note_documents_left_out(run.id.clone(), more).await?;
        }
        for document in documents {
            if stop.is_cancelled() {
                break;
            }
            let now = self.now();
            let mut page = RunPage {
                url: page_of(&document.id),
                final_url: None,
                title: Some(document.name.clone()),
                fate: PageFate::Skipped,
                reason: None,
                status: None,
                bytes: 0,
                content_hash: None,
                etag: None,
                last_modified: None,
                fetched_at: now,
            };
            match library.read(&run.company_id, &document).await? {
                Ok(source) => {
                    page.fate = KnownPage::fate(library.known(&document, known).await?, &source.content_hash);
                    page.content_hash = Some(source.content_hash.clone());
                    if collected.hashes.insert(source.content_hash.clone()) {
                        page.reason = collected.take(source);
                    }
                }
                Err(reason) => {
                    page.reason = Some(reason.clone());
                    collected.skipped.push((page.url.clone(), reason));
                }
            }
            self.store().record_page(run, page, None, budget).await?;
            self.tell(&run.id);
        }
        Ok(collected)
    }
}

impl Collected {
    /// Holds a page's text for the report, as far as there is memory for it; else the reason why it is not read. It is kept and can be recalled.
    fn take(&mut self, source: CollectedSource) -> Option<String> {
        let bytes = source.text.held_bytes();
        if bytes > self.bytes_left {
            self.unread.pages += 1;
            return Some(format!("{NOT_READ}: the run has more text than one report is made of; this page can be recalled"));
        }
        self.bytes_left -= bytes;
        self.sources.push(source);
        None
    }

    /// Why there is nothing to report on: the most telling reason, with its remedy.
    pub(super) fn nothing(&self, widget: &Widget) -> RunError {
        if let Some((url, error)) = self.failures.first() {
            let code = if self.failures.iter().all(|(_, other)| other.code == error.code) { error.code.as_str() } else { "site_unreachable" };
            return RunError::new(code, format!("Nothing could be collected. {url}: {}", error.message), error.remedy.clone());
        }
        if !self.refused.is_empty() {
            let named = self.refused.iter().map(String::as_str).collect::<Vec<_>>().join(", ");
            return RunError::new(
                "egress_not_allowed",
                format!("Onsite may not reach {named}."),
                format!("A system admin can allow {named} under Appliance › Egress; then run this again."),
            );
        }
        if self.skipped.iter().any(|(_, reason)| reason.starts_with("robots")) {
            return RunError::new(
                "robots_disallowed",
                "The site's robots.txt asks that these pages not be collected.",
                "Ask whoever runs the site, or turn off robots for this automation if the site is yours.",
            );
        }
        if let Some((url, reason)) = self.skipped.first() {
            return RunError::new(
                "nothing_collected",
                format!("No page with text was found. {url}: {reason}"),
                "Check that the start pages show text without JavaScript, and that the patterns do not leave them out.",
            );
        }
        let (message, remedy) = match widget.spec.source.source_class {
            SourceClass::Upload | SourceClass::CompanyDocs => {
                ("No document with text was found.", "Upload a document with text, and wait until it is ready.")
            }
            _ => (
                "No page with text was found.",
                "Check that the start pages show text without JavaScript, and that the patterns do not leave them out.",
            ),
        };
        RunError::new("nothing_collected", message, remedy)
    }
}

/// Whether a page's text was collected and not read for the report.
pub(super) fn is_not_read(page: &RunPage) -> bool {
    page.fate.is_collected() && page.reason.as_deref().is_some_and(|reason| reason.starts_with(NOT_READ))
}

/// A document's address among the pages of a run.
pub(super) fn page_of(document: &DocumentId) -> String {
    format!("{DOCUMENT_SCHEME}{document}")
}

/// The document that a page's address of a run names.
pub(super) fn document_of(url: &str) -> Option<DocumentId> {
    url.strip_prefix(DOCUMENT_SCHEME)?.parse().ok()
}
