//! What a run is given to work with: something that fetches pages, something that reads them, something that makes them recallable.
//!
//! Behind each of these traits stands one thing in the product: the crawler, the built-in extractor, recall. They are traits because the tests of
//! runs put scripted ones there, which do what the real ones must not: hang, panic, wait for tokens, refuse a host.

use std::collections::HashMap;
use std::sync::Arc;

use futures_util::future::BoxFuture;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use url::Url;

use crate::base::clock::Timestamp;
use crate::model::crawl::CrawlPolicy;
use crate::model::ids::{CompanyId, RunId, UserId, WidgetId};
use crate::model::report::{ReportBody, SourceRef};
use crate::model::report_history::Report;
use crate::model::run::{KnownPage, RunError};
use crate::model::widget::Widget;
use crate::services::collect::page::PageText;
use crate::services::recall::{IngestProgress, IngestSummary, SourceText};
use crate::store::StoreError;

/// What to fetch.
#[derive(Clone, Debug)]
pub struct CollectJob {
    /// On whose behalf.
    pub company: CompanyId,
    /// Where to start.
    pub start: Vec<Url>,
    /// How far to go.
    pub policy: CrawlPolicy,
    /// Most links away from a start page.
    pub depth: u32,
    /// Most pages whose text is used.
    pub pages_max: u32,
    /// Whether the sites are the company's own.
    pub internal: bool,
    /// Earlier visits, by address. A page's text may be gone since: then it is fetched whatever it was.
    pub known: Arc<HashMap<String, KnownPage>>,
    /// Stops collecting early.
    pub stop: CancellationToken,
}

/// A page the collector met.
#[derive(Clone, Debug)]
pub struct MetPage {
    /// Its address in its one form: what it is known by the next time.
    pub url: Url,
    /// Where it came from, after redirects: what is cited.
    pub final_url: Url,
    /// Its place among the pages of the site, the same from one run to the next.
    pub place: u64,
    /// HTTP status, when there was an answer.
    pub status: Option<u16>,
    /// Bytes received.
    pub bytes: u64,
    /// For the next conditional request.
    pub etag: Option<String>,
    /// For the next conditional request.
    pub last_modified: Option<String>,
    /// When.
    pub at: Timestamp,
    /// What came of it.
    pub outcome: MetOutcome,
}

/// What came of a page.
#[derive(Clone, Debug)]
pub enum MetOutcome {
    /// Its text.
    Text(Arc<PageText>),
    /// It was left out on purpose, for this reason.
    Skipped(String),
    /// It could not be had.
    Failed(RunError),
    /// Egress refused this host: the page's own, or one that it redirects to.
    Refused(String, RunError),
}

/// Fetches pages.
pub trait Collector: Send + Sync + 'static {
    /// Sends each page as it is met and returns when there is no more, the budget is reached, or `stop` is cancelled.
    /// The channel's bound slows it down when its pages are not taken.
    fn collect(&self, job: CollectJob, met: mpsc::Sender<MetPage>) -> BoxFuture<'_, ()>;

    /// Whether an address may be reached at all, as far as can be told without trying.
    ///
    /// # Errors
    /// Says which host, why not, and what to do.
    fn check(&self, url: &Url) -> Result<(), RunError>;
}

/// A page or document to be read.
#[derive(Clone, Debug)]
pub struct CollectedSource {
    /// Where it stands.
    pub source: SourceRef,
    /// Its text.
    pub text: Arc<PageText>,
    /// SHA-256 of its canonical text.
    pub content_hash: String,
    /// When it was collected or confirmed to be unchanged.
    pub collected_at: Timestamp,
}

/// Makes a report of pages. Runs off the async threads.
pub trait Extractor: Send + Sync + 'static {
    /// The report on a widget's title and objective; `context` is what upstream widgets reported.
    fn extract(&self, sources: &[CollectedSource], title: &str, objective: &str, context: &str) -> ReportBody;
}

/// What to make recallable.
#[derive(Clone, Debug)]
pub struct IngestJob {
    /// The widget, as it is now.
    pub widget: Widget,
    /// The run.
    pub run_id: RunId,
    /// Who pays.
    pub payer: UserId,
    /// Its report.
    pub report: Report,
    /// The pages it rests on.
    pub pages: Vec<SourceText>,
    /// Stops it; what is embedded so far is not lost.
    pub stop: CancellationToken,
}

/// Why an ingest did not come to its end.
#[derive(Debug, thiserror::Error)]
pub enum IngestError {
    /// It was stopped: to be taken up again.
    #[error("stopped")]
    Stopped,
    /// It cannot go on for now: the person who reads it is told, and it is tried again later.
    #[error("{}", .why.message)]
    Waits {
        /// What it waits for.
        why: RunError,
        /// How far it is.
        progress: IngestProgress,
    },
    /// Nobody would recall it: the widget was deleted meanwhile.
    #[error("its automation was deleted")]
    Ended,
    /// It cannot be done: the person who reads it is told.
    #[error("{}", .0.message)]
    Failed(RunError),
    /// The store failed: to be tried again.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Makes reports recallable.
pub trait Ingester: Send + Sync + 'static {
    /// Chunks, embeds and keeps a report and its pages; goes on where an interrupted call stopped.
    fn ingest(&self, job: IngestJob, progress: mpsc::Sender<IngestProgress>) -> BoxFuture<'_, Result<IngestSummary, IngestError>>;

    /// Takes a deleted widget's chunks away.
    fn forget(&self, widget: WidgetId) -> BoxFuture<'_, Result<(), StoreError>>;
}
