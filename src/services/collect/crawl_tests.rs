//! Crawls of real servers on loopback. Waiting moves a clock and takes no time.

use std::collections::HashMap;
use std::convert::Infallible;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures_util::future::BoxFuture;
use tokio_util::sync::CancellationToken;
use url::Url;

use super::crawl::*;
use crate::base::clock::{Clock, Timestamp};
use crate::base::random::SeededRandom;
use crate::base::seams::Seams;
use crate::model::crawl::{CrawlPolicy, Pagination};
use crate::model::ids::CompanyId;
use crate::services::egress::testing::{Asked, FixedNames, Reply, TestEgress, TestServer, egress};

/// A clock on which waiting takes no time.
#[derive(Default)]
struct JumpClock(AtomicU64);

impl Clock for JumpClock {
    fn now(&self) -> Timestamp {
        Timestamp::from_millis(1_795_300_000_000).plus(self.elapsed())
    }

    fn elapsed(&self) -> Duration {
        Duration::from_millis(self.0.load(Ordering::SeqCst))
    }

    fn sleep(&self, span: Duration) -> BoxFuture<'static, ()> {
        self.0.fetch_add(u64::try_from(span.as_millis()).unwrap() + 1, Ordering::SeqCst);
        Box::pin(async {})
    }
}

#[derive(Default)]
struct Sink {
    outcomes: Vec<PageOutcome>,
    previous: HashMap<String, Previous>,
    cancel_after: Option<(usize, CancellationToken)>,
}

impl PageSink for Sink {
    type Error = Infallible;

    fn previous(&mut self, url: &Url) -> Option<Previous> {
        self.previous.get(url.path()).cloned()
    }

    fn links(&mut self, final_url: &Url, page: &FetchedPage) -> PageLinks {
        let text = String::from_utf8_lossy(&page.body).into_owned();
        let links = text.split("href=").skip(1).filter_map(|rest| final_url.join(rest.split(['>', ' ']).next()?).ok()).collect();
        let next = text.split("rel=next to=").nth(1).and_then(|rest| final_url.join(rest.split('>').next()?).ok());
        PageLinks { links, next }
    }

    async fn page(&mut self, outcome: PageOutcome) -> Result<(), Infallible> {
        self.outcomes.push(outcome);
        if let Some((count, token)) = &self.cancel_after
            && self.outcomes.len() >= *count
        {
            token.cancel();
        }
        Ok(())
    }
}

struct Crawled {
    summary: CrawlSummary,
    outcomes: Vec<PageOutcome>,
    waited: Duration,
}

impl Crawled {
    /// `path what` for each outcome, sorted.
    fn fates(&self) -> Vec<String> {
        let mut fates: Vec<_> =
            self.outcomes.iter().map(|outcome| format!("{} {}", &outcome.url[url::Position::BeforePath..], fate(outcome))).collect();
        fates.sort();
        fates
    }
}

fn fate(outcome: &PageOutcome) -> &'static str {
    match &outcome.fate {
        Fate::Fetched(_) => "fetched",
        Fate::NotModified => "not_modified",
        Fate::Skipped(reason) | Fate::Failed(reason) => reason.code,
    }
}

fn request(start: Url) -> CrawlRequest {
    CrawlRequest {
        company: CompanyId::new(&Seams::system()),
        start: vec![start],
        policy: CrawlPolicy { sitemap: false, ..CrawlPolicy::default() },
        pages_max: 50,
        depth_max: 3,
        internal: false,
        cancel: CancellationToken::new(),
    }
}

async fn loopback() -> TestEgress {
    egress(&[("127.0.0.0/8", None, false)], FixedNames::new(&[])).await
}

async fn run(test: &TestEgress, request: &CrawlRequest, mut sink: Sink) -> Crawled {
    let clock = Arc::new(JumpClock::default());
    let seams = Seams { clock: clock.clone(), random: Arc::new(SeededRandom::new(7)) };
    let settings = CrawlSettings { page_bytes_max: 1 << 20, page_timeout_millis: 10_000, ..CrawlSettings::default() };
    let summary = crawl(request, &test.egress, &seams, &settings, &mut sink).await.unwrap();
    Crawled { summary, outcomes: sink.outcomes, waited: clock.elapsed() }
}

fn site(pages: &'static [(&'static str, &'static str)]) -> TestServer {
    TestServer::start(move |asked: &Asked| {
        let page = pages.iter().find(|(path, _)| *path == asked.path);
        page.map_or_else(
            || Reply::text("404 Not Found", ""),
            |(path, body)| match *path {
                "/robots.txt" => Reply::text("200 OK", body),
                _ => Reply::html(*body),
            },
        )
    })
}

#[tokio::test]
async fn a_site_is_collected_within_its_rules() {
    let server = site(&[
        ("/robots.txt", "User-agent: *\nDisallow: /private"),
        (
            "/",
            "start href=/a href=/b#part href=/b?utm_source=x href=/private/x href=http://elsewhere.example/ href=/p.jpg href=mailto:a@b href=/missing",
        ),
        ("/a", "a href=/deep href=/"),
        ("/b", "b"),
        ("/deep", "deep href=/deeper"),
        ("/deeper", "deeper href=/deepest"),
        ("/deepest", "too deep"),
    ]);
    let crawled = run(&loopback().await, &request(server.url("/")), Sink::default()).await;
    assert_eq!(
        crawled.fates(),
        ["/ fetched", "/a fetched", "/b fetched", "/deep fetched", "/deeper fetched", "/missing http_status", "/private/x robots"]
    );
    assert_eq!(crawled.summary, CrawlSummary { fetched: 5, not_modified: 0, skipped: 1, failed: 1, ended: Ended::Complete });
    assert_eq!(server.paths()[0], "/robots.txt");
    assert_eq!(server.paths().iter().filter(|path| *path == "/robots.txt").count(), 1);
    // Loopback is one's own: nothing was waited for but the first request.
    assert!(crawled.waited < Duration::from_secs(2), "{:?}", crawled.waited);
}

#[tokio::test]
async fn a_site_without_end_costs_its_budget_and_no_more() {
    let server = TestServer::start(|asked| match asked.path.as_str() {
        "/robots.txt" => Reply::text("404 Not Found", ""),
        path => Reply::html(format!("{path} href={path}1 href={path}2 href={path}?x=1")),
    });
    let mut request = request(server.url("/loop"));
    (request.pages_max, request.depth_max) = (25, 20);
    let crawled = run(&loopback().await, &request, Sink::default()).await;
    assert_eq!((crawled.summary.fetched, crawled.summary.ended), (25, Ended::Budget));
    assert_eq!(server.asked().len(), 26);
}

#[tokio::test]
async fn a_site_that_only_fails_or_repeats_itself_ends_too() {
    let server = TestServer::start(|asked| match asked.path.as_str() {
        "/robots.txt" => Reply::text("404 Not Found", ""),
        "/" => Reply::html((0..500).map(|n| format!("href=/{n} ")).collect::<String>()),
        path if path.len() % 2 == 0 => Reply::html("the same"),
        _ => Reply::text("410 Gone", ""),
    });
    let mut request = request(server.url("/"));
    request.pages_max = 10;
    let crawled = run(&loopback().await, &request, Sink::default()).await;
    assert_eq!((crawled.summary.fetched, crawled.summary.ended), (2, Ended::Budget));
    assert_eq!(server.asked().len(), 10 * 2 + 20);
}

#[tokio::test]
async fn what_has_not_changed_is_not_sent_again_and_its_links_are_followed_all_the_same() {
    let server = TestServer::start(|asked| match (asked.path.as_str(), asked.headers.get("if-none-match").map(String::as_str)) {
        ("/robots.txt", _) => Reply::text("404 Not Found", ""),
        ("/", Some("\"one\"")) => Reply::Whole("304 Not Modified", vec![], Vec::new()),
        ("/a", Some(_)) => Reply::text("500 Internal Server Error", "a condition without known links"),
        (path, _) => {
            Reply::Whole("200 OK", vec![("Content-Type", "text/html".into()), ("ETag", "\"two\"".into())], format!("{path} href=/b").into_bytes())
        }
    });
    let mut sink = Sink::default();
    let links = PageLinks { links: vec![server.url("/a")], next: None };
    sink.previous.insert("/".into(), Previous { etag: Some("\"one\"".into()), last_modified: None, links: Some(links) });
    sink.previous.insert("/a".into(), Previous { etag: Some("\"two\"".into()), last_modified: None, links: None });
    let crawled = run(&loopback().await, &request(server.url("/")), sink).await;
    assert_eq!(crawled.fates(), ["/ not_modified", "/a fetched", "/b fetched"]);
    let page = crawled.outcomes.iter().find_map(|outcome| if let Fate::Fetched(page) = &outcome.fate { Some(page) } else { None }).unwrap();
    assert_eq!((page.etag(), page.content_type()), (Some("\"two\""), Some("text/html")));
}

#[tokio::test]
async fn what_is_no_text_is_left_out_and_the_endless_is_cut() {
    let server = TestServer::start(|asked| match asked.path.as_str() {
        "/robots.txt" => Reply::text("404 Not Found", ""),
        "/" => Reply::html("href=/film href=/endless href=/liar href=/untyped href=/data.csv href=/copy1 href=/copy2"),
        "/film" => Reply::Endless("video/mp4"),
        "/endless" => Reply::Endless("text/plain"),
        "/liar" => Reply::html("%PDF-1.7 \u{1}\u{2}"),
        "/untyped" => Reply::Whole("200 OK", vec![], b"plain words".to_vec()),
        "/data.csv" => Reply::Whole("200 OK", vec![("Content-Type", "application/octet-stream".into())], b"a,b\n1,2\n".to_vec()),
        _ => Reply::html("copied"),
    });
    let crawled = run(&loopback().await, &request(server.url("/")), Sink::default()).await;
    let fates = crawled.fates();
    for expected in ["/film unsupported_type", "/endless fetched", "/liar binary", "/untyped fetched", "/data.csv fetched"] {
        assert!(fates.contains(&expected.to_owned()), "{expected}: {fates:?}");
    }
    assert_eq!(fates.iter().filter(|fate| fate.ends_with("duplicate")).count(), 1);
    let cut = crawled.outcomes.iter().find(|outcome| outcome.url.path() == "/endless").unwrap();
    assert!(matches!(&cut.fate, Fate::Fetched(page) if page.truncated && page.body.len() == 1 << 20));
}

#[tokio::test]
async fn trouble_is_met_with_patience_and_then_told() {
    let failures = Arc::new(Mutex::new(HashMap::<String, u32>::new()));
    let seen = Arc::clone(&failures);
    let server = TestServer::start(move |asked| {
        let mut seen = seen.lock().unwrap();
        let count = seen.entry(asked.path.clone()).or_default();
        *count += 1;
        match (asked.path.as_str(), *count) {
            ("/robots.txt", _) => Reply::text("404 Not Found", ""),
            ("/", _) => Reply::html("href=/recovers href=/hangs-up href=/down href=/busy href=/later"),
            ("/recovers", 1) => Reply::text("503 Service Unavailable", ""),
            ("/hangs-up", 1 | 2) => Reply::HangUp,
            ("/down", _) => Reply::text("500 Internal Server Error", ""),
            ("/busy", 1) => Reply::Whole("429 Too Many Requests", vec![("Retry-After", "30".into())], Vec::new()),
            ("/later", _) => Reply::Whole("503 Service Unavailable", vec![("Retry-After", "86400".into())], Vec::new()),
            (path, _) => Reply::html(path.to_owned()),
        }
    });
    let crawled = run(&loopback().await, &request(server.url("/")), Sink::default()).await;
    assert_eq!(crawled.fates(), ["/ fetched", "/busy fetched", "/down http_status", "/hangs-up fetched", "/later http_status", "/recovers fetched"]);
    assert_eq!(failures.lock().unwrap()["/down"], 3);
    assert_eq!(failures.lock().unwrap()["/later"], 1);
    assert!(crawled.waited >= Duration::from_secs(30), "{:?}", crawled.waited);
}

#[tokio::test]
async fn a_site_that_cannot_say_what_it_allows_is_not_crawled() {
    let server = TestServer::start(|asked| match asked.path.as_str() {
        "/robots.txt" => Reply::text("503 Service Unavailable", ""),
        _ => Reply::html("page"),
    });
    let test = loopback().await;
    let crawled = run(&test, &request(server.url("/")), Sink::default()).await;
    assert_eq!(crawled.fates(), ["/ robots_unavailable"]);
    assert_eq!(server.paths(), ["/robots.txt", "/robots.txt", "/robots.txt"]);
    // Robots can be left aside in one's own network only.
    let mut request = request(server.url("/"));
    request.policy.robots = false;
    assert_eq!(run(&test, &request, Sink::default()).await.fates(), ["/ robots_unavailable"]);
    request.internal = true;
    assert_eq!(run(&test, &request, Sink::default()).await.fates(), ["/ fetched"]);
}

#[tokio::test]
async fn the_guard_speaks_through_the_crawl() {
    let inside = TestServer::start(|_| Reply::html("secret"));
    let to = format!("http://localhost.corp:{}/", inside.address.port());
    let server = TestServer::start(move |asked| match asked.path.as_str() {
        "/robots.txt" => Reply::text("404 Not Found", ""),
        _ => Reply::redirect(to.clone()),
    });
    let names = FixedNames::new(&[("site.example", &["127.0.0.1"]), ("localhost.corp", &["127.0.0.1"])]);
    let test = egress(&[("site.example", None, true), ("*", None, false)], names).await;
    let crawled = run(&test, &request(server.url_as("site.example", "/")), Sink::default()).await;
    assert_eq!(crawled.fates(), ["/ not_allowed"]);
    assert!(matches!(&crawled.outcomes[0].fate, Fate::Failed(reason) if reason.remedy.as_ref().is_some_and(|remedy| remedy.contains("Egress"))));
    assert!(inside.asked().is_empty());
    let unlisted = egress(&[], FixedNames::new(&[])).await;
    assert_eq!(run(&unlisted, &request(server.url("/x")), Sink::default()).await.fates(), ["/x not_allowed"]);
    assert_eq!(run(&unlisted, &request("http://u:p@a.example/".parse().unwrap()), Sink::default()).await.fates(), ["/ bad_url"]);
}

#[tokio::test]
async fn a_page_has_the_place_of_its_link_on_a_start_page_whoever_answers_first() {
    let server = site(&[("/", "<a href=/late><a href=/early>"), ("/late", "<a href=/deep>"), ("/early", "<p>x"), ("/deep", "<p>y")]);
    let crawled = run(&loopback().await, &request(server.url("/")), Sink::default()).await;
    let mut told: Vec<(u64, &str)> = crawled.outcomes.iter().map(|outcome| (outcome.place, outcome.url.path())).collect();
    told.sort_unstable();
    assert_eq!(told.iter().map(|(_, path)| *path).collect::<Vec<_>>(), ["/", "/late", "/early", "/deep"]);
}

#[tokio::test]
async fn lists_are_followed_to_their_end_whatever_the_depth() {
    let server = site(&[
        ("/list", "1 href=/list?page=2 href=/other"),
        ("/list?page=2", "2 rel=next to=/list/three>"),
        ("/list/three", "3 href=/other"),
        ("/other", "other"),
    ]);
    let mut request = request(server.url("/list"));
    request.depth_max = 0;
    let test = loopback().await;
    assert_eq!(run(&test, &request, Sink::default()).await.fates(), ["/list fetched", "/list/three fetched", "/list?page=2 fetched"]);
    request.policy.pagination = Pagination::None;
    assert_eq!(run(&test, &request, Sink::default()).await.fates(), ["/list fetched"]);
}

#[tokio::test]
async fn a_sitemap_gives_what_no_page_links_to() {
    let server = TestServer::start(|asked| match asked.path.as_str() {
        "/robots.txt" => Reply::text("200 OK", "Sitemap: /maps.xml\nCrawl-delay: 2\n"),
        "/maps.xml" => Reply::text("200 OK", "<sitemapindex><sitemap><loc>/map.xml</loc></sitemap></sitemapindex>"),
        "/map.xml" => Reply::text("200 OK", "<urlset><url><loc>/lonely</loc></url><url><loc>http://elsewhere.example/</loc></url></urlset>"),
        path => Reply::html(path.to_owned()),
    });
    let mut request = request(server.url("/"));
    request.policy.sitemap = true;
    let crawled = run(&loopback().await, &request, Sink::default()).await;
    assert_eq!(crawled.fates(), ["/ fetched", "/lonely fetched"]);
    // Five requests, two seconds apart, as its robots.txt asks.
    assert!(crawled.waited >= Duration::from_secs(6), "{:?}", crawled.waited);
}

#[tokio::test]
async fn a_crawl_can_be_stopped() {
    let server = TestServer::start(|asked| Reply::html(format!("{} href={}1", asked.path, asked.path)));
    let mut request = request(server.url("/p"));
    request.depth_max = 20;
    request.policy.robots = false;
    request.internal = true;
    let sink = Sink { cancel_after: Some((3, request.cancel.clone())), ..Sink::default() };
    let crawled = run(&loopback().await, &request, sink).await;
    assert_eq!((crawled.summary.fetched, crawled.summary.ended), (3, Ended::Cancelled));
}
