//! The collector of sites: the crawler, with pages read as they come.

use std::collections::HashMap;
use std::sync::Arc;

use futures_util::future::BoxFuture;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use url::Url;

use super::Library;
use super::seams::{CollectJob, Collector, MetOutcome, MetPage};
use crate::base::seams::Seams;
use crate::base::tasks::Tasks;
use crate::model::ids::CompanyId;
use crate::model::run::{KnownPage, RunError};
use crate::services::collect::crawl::{self, CrawlRequest, CrawlSettings, Fate, FetchedPage, PageLinks, PageOutcome, PageSink, Previous, Reason};
use crate::services::collect::page::{self, PageError, PageText};
use crate::services::collect::texts::KeptPage;
use crate::services::egress::Egress;

/// Known pages that are asked for conditionally; their links are held in memory during the crawl.
const CONDITIONAL_PAGES_MAX: usize = 2_000;
/// Links held: some 50 MB. Pages beyond are fetched as if they were new.
const CONDITIONAL_LINKS_MAX: usize = 200_000;

/// Crawls sites through the egress client.
#[derive(Clone)]
pub struct WebCollector {
    /// The way out.
    pub egress: Egress,
    /// Time and randomness.
    pub seams: Seams,
    /// Starts the crawl's thread.
    pub tasks: Tasks,
    /// Where earlier texts are.
    pub library: Library,
    /// How crawls behave.
    pub settings: CrawlSettings,
}

impl Collector for WebCollector {
    fn collect(&self, job: CollectJob, met: mpsc::Sender<MetPage>) -> BoxFuture<'_, ()> {
        Box::pin(async move {
            // Whoever drops this future has no more use for the crawl.
            let _ended = job.stop.clone().drop_guard();
            let links = self.known_links(&job).await;
            let sink = Sink {
                company: job.company.clone(),
                known: Arc::clone(&job.known),
                links,
                library: self.library.clone(),
                met,
                read: None,
                stop: job.stop.clone(),
            };
            let request = CrawlRequest {
                company: job.company,
                start: job.start,
                policy: job.policy,
                pages_max: job.pages_max,
                depth_max: job.depth,
                internal: job.internal,
                cancel: job.stop,
            };
            // A thread of its own: reading a large page takes long, and must not hold up those who wait for other things.
            let (this, runtime) = (self.clone(), tokio::runtime::Handle::current());
            let crawling = self.tasks.spawn_blocking(move || {
                let mut sink = sink;
                runtime.block_on(crawl::crawl(&request, &this.egress, &this.seams, &this.settings, &mut sink))
            });
            match crawling.await {
                Ok(Ok(summary)) => tracing::debug!(?summary, "crawled"),
                // The receiver is gone: the run has ended another way, and says so itself.
                Ok(Err(())) => {}
                Err(error) => tracing::error!(%error, "a crawl broke off"),
            }
        })
    }

    fn check(&self, url: &Url) -> Result<(), RunError> {
        self.egress.check(url).map_err(|error| run_error(error.code(), error.to_string(), Some(error.remedy())))
    }
}

impl WebCollector {
    /// Where known pages led, of those whose text is still kept: only they can be told "not modified".
    async fn known_links(&self, job: &CollectJob) -> HashMap<String, PageLinks> {
        let (mut links, mut held) = (HashMap::new(), 0);
        let conditional = job.known.iter().filter(|(_, known)| known.etag.is_some() || known.last_modified.is_some());
        for (url, known) in conditional.take(CONDITIONAL_PAGES_MAX) {
            match self.library.text(&job.company, &known.content_hash).await {
                // Another page with the same text leads elsewhere.
                Ok(Some(kept)) if is_of(&kept, url, known) => {
                    held += kept.text.links.len();
                    if held > CONDITIONAL_LINKS_MAX {
                        break;
                    }
                    links.insert(url.clone(), links_of(&kept.text));
                }
                Ok(_) => {}
                Err(error) => tracing::warn!(%error, "a kept page could not be read: it is fetched again"),
            }
        }
        links
    }
}

struct Sink {
    company: CompanyId,
    known: Arc<HashMap<String, KnownPage>>,
    links: HashMap<String, PageLinks>,
    library: Library,
    met: mpsc::Sender<MetPage>,
    read: Option<(Url, Result<Arc<PageText>, PageError>)>,
    stop: CancellationToken,
}

impl PageSink for Sink {
    type Error = ();

    fn previous(&mut self, url: &Url) -> Option<Previous> {
        let links = self.links.remove(url.as_str())?;
        let known = self.known.get(url.as_str())?;
        Some(Previous { etag: known.etag.clone(), last_modified: known.last_modified.clone(), links: Some(links) })
    }

    fn links(&mut self, final_url: &Url, page: &FetchedPage) -> PageLinks {
        let read = self.read(page, final_url);
        let links = read.as_ref().map(|text| links_of(text)).unwrap_or_default();
        self.read = Some((final_url.clone(), read));
        links
    }

    async fn page(&mut self, outcome: PageOutcome) -> Result<(), ()> {
        let status;
        let (mut bytes, mut etag, mut last_modified) = (0, None, None);
        let result = match outcome.fate {
            Fate::Fetched(page) => {
                status = Some(page.status.as_u16());
                bytes = page.body.len() as u64;
                (etag, last_modified) = (page.etag().map(str::to_owned), page.last_modified().map(str::to_owned));
                let text = match self.read.take() {
                    Some((url, text)) if url == outcome.final_url => text,
                    _ => self.read(&page, &outcome.final_url),
                };
                text.map_or_else(|error| MetOutcome::Skipped(format!("{}: {error}", error.code())), MetOutcome::Text)
            }
            Fate::NotModified => {
                status = Some(304);
                let known = self.known.get(outcome.url.as_str()).cloned();
                (etag, last_modified) = known.as_ref().map_or((None, None), |known| (known.etag.clone(), known.last_modified.clone()));
                self.kept(&outcome.url, known).await
            }
            Fate::Skipped(reason) => {
                status = reason.status;
                MetOutcome::Skipped(format!("{}: {}", reason.code, reason.message))
            }
            Fate::Failed(reason) => {
                status = reason.status;
                failed(reason)
            }
        };
        let page = MetPage {
            url: outcome.url,
            final_url: outcome.final_url,
            place: outcome.place,
            status,
            bytes,
            etag,
            last_modified,
            at: outcome.fetched_at,
            outcome: result,
        };
        self.met.send(page).await.map_err(|_| ())
    }
}

impl Sink {
    fn read(&self, page: &FetchedPage, url: &Url) -> Result<Arc<PageText>, PageError> {
        page::read_unless(&page.body, page.content_type(), url, &|| self.stop.is_cancelled()).map(Arc::new)
    }

    async fn kept(&self, url: &Url, known: Option<KnownPage>) -> MetOutcome {
        let gone = || MetOutcome::Failed(RunError::new("text_gone", "the page has not changed, and its kept text is gone", "Run it again."));
        let Some(known) = known else { return gone() };
        match self.library.text(&self.company, &known.content_hash).await {
            Ok(Some(kept)) if is_of(&kept, url.as_str(), &known) => MetOutcome::Text(kept.text),
            // Another page, which may be somebody's own, was collected meanwhile with the same text: its title and links are not this one's.
            Ok(Some(kept)) => {
                let mut text = PageText::clone(&kept.text);
                (text.title, text.next_link) = (known.title, None);
                text.links.clear();
                MetOutcome::Text(Arc::new(text))
            }
            _ => gone(),
        }
    }
}

/// Whether a text is kept as this page has it, and not as another with the same text.
fn is_of(kept: &KeptPage, url: &str, known: &KnownPage) -> bool {
    kept.source.url.as_deref() == Some(known.final_url.as_deref().unwrap_or(url))
}

fn links_of(text: &PageText) -> PageLinks {
    PageLinks { links: text.links.clone(), next: text.next_link.clone() }
}

fn failed(reason: Reason) -> MetOutcome {
    let error = run_error(reason.code, reason.message, reason.remedy);
    match reason.refused {
        Some(host) => MetOutcome::Refused(host, error),
        None => MetOutcome::Failed(error),
    }
}

fn run_error(code: &str, message: String, remedy: Option<String>) -> RunError {
    let code = if code == EGRESS_REFUSED { "egress_not_allowed" } else { code };
    RunError::new(code, message, remedy.unwrap_or_else(|| "Look at the page in a browser, then run it again.".into()))
}

/// What egress calls a refusal by its rules.
const EGRESS_REFUSED: &str = "not_allowed";

#[cfg(test)]
mod tests {
    use super::super::seams::CollectedSource;
    use super::*;
    use crate::model::crawl::CrawlPolicy;
    use crate::model::report::SourceRef;
    use crate::services::egress::testing::{Asked, FixedNames, Reply, TestEgress, TestServer, egress};
    use crate::store::testing::{store, user_and_company};

    fn site(asked: &Asked) -> Reply {
        let page = |tag: &str, body: &str| {
            if asked.headers.get("if-none-match").map(String::as_str) == Some(tag) {
                return Reply::Whole("304 Not Modified", vec![("ETag", tag.into())], Vec::new());
            }
            let headers = vec![("Content-Type", "text/html".into()), ("ETag", tag.into())];
            Reply::Whole("200 OK", headers, format!("<html><title>T</title><body><p>{body}</p></body></html>").into_bytes())
        };
        match asked.path.as_str() {
            "/" => page("\"home\"", "Home of the Rhine. <a href=/a>a</a> <a href=/gone>g</a> <a href=/blob>b</a>"),
            "/a" => page("\"a\"", "The Rhine is 1,230 km long."),
            "/blob" => Reply::Whole("200 OK", vec![("Content-Type", "application/octet-stream".into())], vec![0, 159, 1, 2]),
            _ => Reply::text("404 Not Found", "no"),
        }
    }

    /// A collector for a company whose kept texts live as long as the returned guard.
    async fn collector(way_out: &TestEgress) -> (WebCollector, CompanyId, tempfile::TempDir) {
        let (store, folder) = store();
        let (_, company) = user_and_company(&store).await;
        let collector = WebCollector {
            egress: way_out.egress.clone(),
            seams: Seams::system(),
            tasks: way_out.tasks.clone(),
            library: Library::new(store),
            settings: CrawlSettings::default(),
        };
        (collector, company, folder)
    }

    async fn collect(collector: &WebCollector, company: &CompanyId, start: &Url, known: HashMap<String, KnownPage>) -> Vec<MetPage> {
        let job = CollectJob {
            company: company.clone(),
            start: vec![start.clone()],
            policy: CrawlPolicy { robots: true, sitemap: false, ..CrawlPolicy::default() },
            depth: 1,
            pages_max: 10,
            internal: true,
            known: Arc::new(known),
            stop: CancellationToken::new(),
        };
        let (sender, mut met) = mpsc::channel(1);
        let (pages, ()) = tokio::join!(
            async {
                let mut pages = Vec::new();
                while let Some(page) = met.recv().await {
                    pages.push(page);
                }
                pages
            },
            collector.collect(job, sender)
        );
        pages
    }

    #[tokio::test]
    async fn pages_are_read_and_known_ones_are_asked_for_conditionally() {
        let server = TestServer::start(site);
        let way_out = egress(&[("127.0.0.1", None, true)], Arc::new(FixedNames::default())).await;
        let (collector, company, _folder) = collector(&way_out).await;
        let first = collect(&collector, &company, &server.url("/"), HashMap::new()).await;
        let mut known = HashMap::new();
        let mut told = Vec::new();
        for page in first {
            told.push(match &page.outcome {
                MetOutcome::Text(text) => {
                    let content_hash = text.content_hash();
                    let source = SourceRef { url: Some(page.url.to_string()), document_id: None, title: "T".into(), page_number: None };
                    let (text, content_hash_of) = (Arc::clone(text), content_hash.clone());
                    let kept = CollectedSource { source, text, content_hash: content_hash_of, collected_at: page.at };
                    collector.library.keep(&company, &kept).await.unwrap();
                    known.insert(
                        page.url.to_string(),
                        KnownPage { final_url: None, title: None, content_hash, etag: page.etag, last_modified: None, this_run: None },
                    );
                    format!("{} text", page.url.path())
                }
                MetOutcome::Skipped(reason) | MetOutcome::Failed(RunError { code: reason, .. }) | MetOutcome::Refused(reason, _) => {
                    format!("{} {}", page.url.path(), reason.split(':').next().unwrap())
                }
            });
        }
        told.sort();
        assert_eq!(told[..2], ["/ text", "/a text"]);
        assert_eq!(told.len(), 4, "{told:?}");

        let again = collect(&collector, &company, &server.url("/"), known).await;
        let unchanged: Vec<&MetPage> = again.iter().filter(|page| page.status == Some(304)).collect();
        assert_eq!(unchanged.len(), 2);
        assert!(unchanged.iter().all(|page| matches!(page.outcome, MetOutcome::Text(_)) && page.bytes == 0));
    }

    #[tokio::test]
    async fn what_is_not_allowed_says_so_and_a_dropped_run_ends_the_crawl() {
        let server = TestServer::start(site);
        let way_out = egress(&[], Arc::new(FixedNames::default())).await;
        let (collector, company, _folder) = collector(&way_out).await;
        assert_eq!(collector.check(&server.url("/")).unwrap_err().code, "egress_not_allowed");
        let met = collect(&collector, &company, &server.url("/"), HashMap::new()).await;
        let MetOutcome::Refused(host, error) = &met[0].outcome else { panic!("{met:?}") };
        assert_eq!((host.as_str(), error.code.as_str()), (server.url("/").authority(), "egress_not_allowed"));
        assert_eq!(server.asked().len(), 0);
    }

    #[tokio::test]
    async fn a_refused_redirect_names_the_host_it_leads_to() {
        let server = TestServer::start(|_| Reply::Whole("302 Found", vec![("Location", "http://127.0.0.2:8080/x".into())], Vec::new()));
        let way_out = egress(&[("127.0.0.1", None, true)], Arc::new(FixedNames::default())).await;
        let (collector, company, _folder) = collector(&way_out).await;
        let met = collect(&collector, &company, &server.url("/"), HashMap::new()).await;
        let told: Vec<&str> = met.iter().map(|page| if let MetOutcome::Refused(host, _) = &page.outcome { host } else { "" }).collect();
        assert_eq!(told, ["127.0.0.2:8080"]);
    }
}
