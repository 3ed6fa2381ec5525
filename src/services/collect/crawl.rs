//! Crawling: from start pages, within a budget, politely. What is found is handed over page by page while the crawl goes on.

use bytes::Bytes;
use http::header::{CONTENT_TYPE, ETAG, LAST_MODIFIED};
use http::{HeaderMap, StatusCode};
use tokio_util::sync::CancellationToken;
use url::Url;

use super::crawler::Crawler;
use crate::base::clock::Timestamp;
use crate::base::seams::Seams;
use crate::model::crawl::CrawlPolicy;
use crate::model::ids::CompanyId;
use crate::services::egress::{Egress, EgressError};

/// How crawls behave on this appliance.
#[derive(Clone, Debug)]
pub struct CrawlSettings {
    /// Requests under way at once in one crawl (`ORCH_WEB_FETCH_PARALLELISM`).
    pub parallelism: usize,
    /// Most bytes of a page; what comes after is not read.
    pub page_bytes_max: u64,
    /// Most time for a page, milliseconds.
    pub page_timeout_millis: u64,
    /// The wait between two requests to one public site, milliseconds.
    pub public_delay_millis: u64,
    /// Tries for a page whose site does not answer or answers that it cannot now.
    pub attempts_max: u32,
}

impl Default for CrawlSettings {
    fn default() -> Self {
        Self { parallelism: 6, page_bytes_max: 16 << 20, page_timeout_millis: 30_000, public_delay_millis: 1_000, attempts_max: 3 }
    }
}

/// What to crawl.
#[derive(Clone, Debug)]
pub struct CrawlRequest {
    /// For whom.
    pub company: CompanyId,
    /// Start pages.
    pub start: Vec<Url>,
    /// The widget's policy; its `max_pages` and `max_depth` are bounded by the next two.
    pub policy: CrawlPolicy,
    /// The page budget: the policy's or the plan's, whichever is less. Pages collected and pages found unchanged count.
    pub pages_max: u32,
    /// Links away from a start page. 0: only start pages (and the later pages of their lists). Sitemaps are read from 2 on.
    pub depth_max: u32,
    /// Whether the source is `internal_web`: only there can robots.txt be left aside.
    pub internal: bool,
    /// Ends the crawl early; requests under way are dropped.
    pub cancel: CancellationToken,
}

/// Why a page was not collected.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reason {
    /// A stable code: `robots`, `unsupported_type`, `binary`, `duplicate`, `off_site`, `http_status`, or an egress error's code.
    pub code: &'static str,
    /// For people.
    pub message: String,
    /// What can be done.
    pub remedy: Option<String>,
    /// The HTTP status, where it is the reason.
    pub status: Option<u16>,
    /// The host that egress refused, with its port unless it goes without saying: after a redirect not the host of the page.
    pub refused: Option<String>,
}

impl Reason {
    pub(super) fn new(code: &'static str, message: impl Into<String>) -> Self {
        Self { code, message: message.into(), remedy: None, status: None, refused: None }
    }

    pub(super) fn of(error: &EgressError) -> Self {
        let refused = match error {
            EgressError::NotAllowed { host, port: 80 | 443, .. } => Some(host.clone()),
            EgressError::NotAllowed { host, port, .. } if host.contains(':') => Some(format!("[{host}]:{port}")),
            EgressError::NotAllowed { host, port, .. } => Some(format!("{host}:{port}")),
            _ => None,
        };
        Self { code: error.code(), message: error.to_string(), remedy: Some(error.remedy()), status: None, refused }
    }
}

/// A page as it came.
#[derive(Clone, Debug)]
pub struct FetchedPage {
    /// The status, 2xx.
    pub status: StatusCode,
    /// The headers.
    pub headers: HeaderMap,
    /// The body, decompressed.
    pub body: Bytes,
    /// Whether the body was cut at `page_bytes_max`, or ended too early.
    pub truncated: bool,
}

impl FetchedPage {
    /// The `Content-Type` with its parameters.
    #[must_use]
    pub fn content_type(&self) -> Option<&str> {
        self.header(&CONTENT_TYPE)
    }

    /// The `ETag`, for the next crawl.
    #[must_use]
    pub fn etag(&self) -> Option<&str> {
        self.header(&ETAG)
    }

    /// `Last-Modified`, for the next crawl.
    #[must_use]
    pub fn last_modified(&self) -> Option<&str> {
        self.header(&LAST_MODIFIED)
    }

    fn header(&self, name: &http::HeaderName) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }
}

/// What became of a page.
#[derive(Clone, Debug)]
pub enum Fate {
    /// It came.
    Fetched(FetchedPage),
    /// It is what it was the last time (304).
    NotModified,
    /// Left out on purpose.
    Skipped(Reason),
    /// Could not be had.
    Failed(Reason),
}

/// A page and what became of it.
#[derive(Clone, Debug)]
pub struct PageOutcome {
    /// Its address, in canonical form: the key under which to ask for it the next time.
    pub url: Url,
    /// Where it came from, after redirects.
    pub final_url: Url,
    /// Links away from a start page.
    pub depth: u32,
    /// Where it stands: start pages in their order, then what they link to in theirs, then all others alike. Unlike the time of arrival it is
    /// the same from one crawl to the next.
    pub place: u64,
    /// What became of it.
    pub fate: Fate,
    /// When that was known.
    pub fetched_at: Timestamp,
}

/// Where a page leads.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PageLinks {
    /// Its links, absolute.
    pub links: Vec<Url>,
    /// The next page of the list it is part of, as declared.
    pub next: Option<Url>,
}

/// What is known of a page from the last crawl.
#[derive(Clone, Debug, Default)]
pub struct Previous {
    /// Its `ETag`.
    pub etag: Option<String>,
    /// Its `Last-Modified`.
    pub last_modified: Option<String>,
    /// Where it led. `None`: not known; then the page is only asked for conditionally where its links do not matter.
    pub links: Option<PageLinks>,
}

/// Who takes the pages.
pub trait PageSink: Send {
    /// What ends the crawl when a page cannot be taken.
    type Error: Send;

    /// What is known of a page from the last crawl.
    fn previous(&mut self, url: &Url) -> Option<Previous>;

    /// Where a page leads. Called before [`PageSink::page`] for the same page: what was read for it can be kept until then.
    fn links(&mut self, final_url: &Url, page: &FetchedPage) -> PageLinks;

    /// Takes an outcome. The crawl waits for it.
    fn page(&mut self, outcome: PageOutcome) -> impl Future<Output = Result<(), Self::Error>> + Send;
}

/// How a crawl ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    /// Everything within reach was visited.
    Complete,
    /// The page budget is used up, or too much failed.
    Budget,
    /// Somebody stopped it.
    Cancelled,
}

/// A crawl in figures.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CrawlSummary {
    /// Pages that came.
    pub fetched: u32,
    /// Pages that are what they were.
    pub not_modified: u32,
    /// Pages left out.
    pub skipped: u32,
    /// Pages that could not be had.
    pub failed: u32,
    /// How it ended.
    pub ended: Ended,
}

/// Crawls.
///
/// # Errors
/// What the sink returned. A page that fails is an outcome, not an error.
pub async fn crawl<S: PageSink>(
    request: &CrawlRequest,
    egress: &Egress,
    seams: &Seams,
    settings: &CrawlSettings,
    sink: &mut S,
) -> Result<CrawlSummary, S::Error> {
    Crawler::new(request, egress, seams, settings, sink).run().await
}
