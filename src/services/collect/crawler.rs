//! The state of a crawl: sites with their queues, and whose turn it is.

mod answers;

use std::collections::{HashMap, HashSet, VecDeque};
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::future::BoxFuture;
use futures_util::stream::FuturesUnordered;
use http::header::{ACCEPT, IF_MODIFIED_SINCE, IF_NONE_MATCH};
use http::{HeaderMap, HeaderValue, StatusCode};
use url::Url;

use super::crawl::{CrawlRequest, CrawlSettings, CrawlSummary, Ended, Fate, PageLinks, PageOutcome, PageSink, Previous, Reason};
use super::frontier::{Frontier, Refusal, is_later_page};
use super::politeness::Pace;
use super::robots::{ROBOTS_BYTES_MAX, Robots};
use super::sitemap::SITEMAP_BYTES_MAX;
use crate::base::seams::Seams;
use crate::model::crawl::Pagination;
use crate::services::egress::{Egress, EgressError, FetchRequest, Fetched, Purpose, REDIRECTS_MAX, Target};

/// Sitemaps read in one crawl.
const SITEMAPS_MAX: u32 = 10;
/// Requests that may fail or be of no use, beside one for each page of the budget.
const SPARE_REQUESTS: u32 = 20;
/// Sites of one crawl that does not stay on its own.
const SITES_MAX: usize = 500;
const ACCEPTED: &str = "text/html, application/xhtml+xml, text/markdown;q=0.9, text/csv;q=0.9, text/plain;q=0.8, application/json;q=0.7, */*;q=0.1";

/// What a request is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Robots,
    Sitemap,
    Page,
}

/// The place of a page that no start page links.
const PLACE_LAST: u64 = u64::MAX;

#[derive(Debug)]
struct Job {
    kind: Kind,
    url: Url,
    depth: u32,
    /// Counts from 1.
    attempt: u32,
    is_start: bool,
    /// See [`PageOutcome::place`].
    place: u64,
    previous: Option<Previous>,
}

impl Job {
    const fn new(kind: Kind, url: Url, depth: u32) -> Self {
        Self { kind, url, depth, attempt: 1, is_start: false, place: PLACE_LAST, previous: None }
    }
}

/// One origin.
struct Site {
    /// `None` until its file was read.
    robots: Option<Robots>,
    robots_asked: bool,
    queue: VecDeque<Job>,
    /// From sitemaps: after everything that pages link to.
    later: VecDeque<Job>,
    pace: Pace,
}

struct Done {
    site: usize,
    job: Job,
    answer: Result<Fetched, EgressError>,
}

/// What to do next.
enum Next {
    Begin(usize, Job),
    Refused(Job, Reason, bool),
    /// Nothing before this span has passed, or until something under way ends.
    Wait(Option<Duration>),
}

/// A crawl under way.
pub(super) struct Crawler<'a, S> {
    request: &'a CrawlRequest,
    egress: &'a Egress,
    seams: &'a Seams,
    settings: &'a CrawlSettings,
    sink: &'a mut S,
    frontier: Frontier,
    sites: Vec<Site>,
    site_of: HashMap<String, usize>,
    turn: usize,
    bodies: HashSet<[u8; 32]>,
    sitemaps_left: u32,
    requests_left: u32,
    pages_under_way: u32,
    summary: CrawlSummary,
}

impl<'a, S: PageSink> Crawler<'a, S> {
    pub(super) fn new(request: &'a CrawlRequest, egress: &'a Egress, seams: &'a Seams, settings: &'a CrawlSettings, sink: &'a mut S) -> Self {
        Self {
            request,
            egress,
            seams,
            settings,
            sink,
            frontier: Frontier::new(request.policy.clone(), request.pages_max),
            sites: Vec::new(),
            site_of: HashMap::new(),
            turn: 0,
            bodies: HashSet::new(),
            sitemaps_left: SITEMAPS_MAX,
            requests_left: request.pages_max.saturating_mul(2).saturating_add(SPARE_REQUESTS),
            pages_under_way: 0,
            summary: CrawlSummary { fetched: 0, not_modified: 0, skipped: 0, failed: 0, ended: Ended::Complete },
        }
    }

    pub(super) async fn run(mut self) -> Result<CrawlSummary, S::Error> {
        self.take_start_pages().await?;
        let cancel = self.request.cancel.clone();
        let mut under_way: FuturesUnordered<BoxFuture<'static, Done>> = FuturesUnordered::new();
        while !cancel.is_cancelled() {
            let mut wait = None;
            while under_way.len() < self.settings.parallelism.max(1) {
                match self.next() {
                    Next::Begin(site, job) => under_way.push(self.begin(site, job)),
                    Next::Refused(job, reason, on_purpose) => {
                        let fate = if on_purpose { Fate::Skipped(reason) } else { Fate::Failed(reason) };
                        self.hand_over(&job, None, fate).await?;
                    }
                    Next::Wait(span) => {
                        wait = span;
                        break;
                    }
                }
            }
            if under_way.is_empty() && wait.is_none() {
                break;
            }
            let clock = &self.seams.clock;
            let waited = async {
                match wait {
                    Some(span) => clock.sleep(span).await,
                    None => std::future::pending().await,
                }
            };
            let done = tokio::select! {
                biased;
                () = cancel.cancelled() => break,
                Some(done) = under_way.next(), if !under_way.is_empty() => Some(done),
                () = waited => None,
            };
            if let Some(done) = done {
                self.answered(done).await?;
            }
        }
        self.summary.ended = if cancel.is_cancelled() { Ended::Cancelled } else { self.ending() };
        Ok(self.summary)
    }

    fn ending(&self) -> Ended {
        let left = self.sites.iter().any(|site| site.queue.iter().chain(&site.later).any(|job| job.kind == Kind::Page));
        if left { Ended::Budget } else { Ended::Complete }
    }

    async fn take_start_pages(&mut self) -> Result<(), S::Error> {
        for (place, url) in (0_u64..).zip(&self.request.start) {
            match self.frontier.start(url) {
                Ok(url) => {
                    let Some(site) = self.site(&url) else { continue };
                    let mut job = Job::new(Kind::Page, url, 0);
                    (job.is_start, job.place) = (true, place);
                    self.sites[site].queue.push_back(job);
                }
                Err(Refusal::Known) => {}
                Err(refusal) => {
                    let (code, message) = match refusal {
                        Refusal::Pattern => ("excluded", "a pattern of the automation excludes this start page"),
                        _ => ("bad_url", "a start page begins with https:// or http:// and holds no password"),
                    };
                    self.hand_over(&Job::new(Kind::Page, url.clone(), 0), None, Fate::Skipped(Reason::new(code, message))).await?;
                }
            }
        }
        Ok(())
    }

    /// The origin of an address, made when it is new. `None`: there are too many.
    fn site(&mut self, url: &Url) -> Option<usize> {
        let origin = url.origin().ascii_serialization();
        if let Some(site) = self.site_of.get(&origin) {
            return Some(*site);
        }
        if self.sites.len() >= SITES_MAX {
            return None;
        }
        // Only one's own network can be asked without asking its robots.txt.
        let obeys = self.request.policy.robots || !self.request.internal;
        let mut site = Site {
            robots: (!obeys).then_some(Robots::Open),
            robots_asked: false,
            queue: VecDeque::new(),
            later: VecDeque::new(),
            pace: Pace::new(Duration::from_millis(self.settings.public_delay_millis)),
        };
        site.pace.learned(Target::of(url).ok().and_then(|target| target.literal));
        if !obeys {
            self.plan_sitemaps(&mut site, url);
        }
        self.sites.push(site);
        self.site_of.insert(origin, self.sites.len() - 1);
        Some(self.sites.len() - 1)
    }

    fn plan_sitemaps(&mut self, site: &mut Site, page: &Url) {
        if !self.request.policy.sitemap || self.request.depth_max < 2 || !self.frontier.is_on_site(page) {
            return;
        }
        let mut maps = site.robots.as_ref().map_or_else(Vec::new, |robots| robots.sitemaps(page));
        if maps.is_empty() {
            maps.extend(page.join("/sitemap.xml"));
        }
        for map in maps {
            if self.sitemaps_left > 0 && self.frontier.is_on_site(&map) && map.origin() == page.origin() {
                self.sitemaps_left -= 1;
                site.later.push_back(Job::new(Kind::Sitemap, map, 0));
            }
        }
    }

    /// Whose turn it is: the sites take turns, so that one slow site does not hold up the others.
    fn next(&mut self) -> Next {
        let now = self.seams.clock.elapsed();
        let done = self.summary.fetched + self.summary.not_modified;
        if self.requests_left == 0 || done + self.pages_under_way >= self.request.pages_max {
            return Next::Wait(None);
        }
        let mut soonest: Option<Duration> = None;
        for step in 0..self.sites.len() {
            let index = (self.turn + step) % self.sites.len();
            let site = &mut self.sites[index];
            if site.queue.is_empty() && site.later.is_empty() {
                continue;
            }
            let is_retry_of_robots = site.queue.front().is_some_and(|job| job.kind == Kind::Robots);
            let waits_for_robots = site.robots.is_none() && site.robots_asked && !is_retry_of_robots;
            let free_at = if waits_for_robots { None } else { site.pace.free_at() };
            match free_at {
                None => continue,
                Some(at) if at > now => {
                    soonest = Some(soonest.map_or(at, |other| other.min(at)));
                    continue;
                }
                Some(_) => {}
            }
            self.turn = index + 1;
            if site.robots.is_none() && !site.robots_asked {
                site.robots_asked = true;
                let page = site.queue.front().or(site.later.front()).map(|job| job.url.clone());
                match page.as_ref().and_then(Robots::url_for) {
                    Some(url) => return Next::Begin(index, Job::new(Kind::Robots, url, 0)),
                    None => site.robots = Some(Robots::Open),
                }
            }
            let Some(job) = site.queue.pop_front().or_else(|| site.later.pop_front()) else { continue };
            if let (Kind::Page | Kind::Sitemap, Some(robots)) = (job.kind, &site.robots)
                && let Err((reason, on_purpose)) = robots.allows(&job.url)
            {
                if job.kind == Kind::Page {
                    return Next::Refused(job, reason, on_purpose);
                }
                continue;
            }
            return Next::Begin(index, job);
        }
        Next::Wait(soonest.map(|at| at.saturating_sub(now)))
    }

    fn begin(&mut self, site: usize, mut job: Job) -> BoxFuture<'static, Done> {
        self.sites[site].pace.begins(self.seams.clock.elapsed());
        self.requests_left -= 1;
        let mut request = FetchRequest::get(job.url.clone(), Purpose::Collect);
        request.company = Some(self.request.company.clone());
        request.timeout = Duration::from_millis(self.settings.page_timeout_millis);
        request.accept_redirects = REDIRECTS_MAX;
        request.max_bytes = match job.kind {
            Kind::Robots => ROBOTS_BYTES_MAX,
            Kind::Sitemap => SITEMAP_BYTES_MAX,
            Kind::Page => self.settings.page_bytes_max,
        };
        if job.kind == Kind::Page {
            self.pages_under_way += 1;
            request.headers.insert(ACCEPT, HeaderValue::from_static(ACCEPTED));
            job.previous = self.sink.previous(&job.url);
            let links_matter = job.depth < self.request.depth_max || self.request.policy.pagination != Pagination::None;
            if let Some(previous) = job.previous.as_ref().filter(|previous| previous.links.is_some() || !links_matter) {
                add_conditions(&mut request.headers, previous);
            }
        }
        let egress = self.egress.clone();
        let kind = job.kind;
        let path = job.url.path().to_owned();
        Box::pin(async move {
            let wanted =
                move |status: StatusCode, headers: &HeaderMap| kind != Kind::Page || (status.is_success() && answers::is_readable(headers, &path));
            let answer = egress.fetch_when(request, wanted).await;
            Done { site, job, answer }
        })
    }

    async fn answered(&mut self, done: Done) -> Result<(), S::Error> {
        let Done { site, job, answer } = done;
        self.sites[site].pace.ended();
        self.sites[site].pace.learned(answer.as_ref().map_or_else(EgressError::address, |fetched| fetched.address));
        if job.kind == Kind::Page {
            self.pages_under_way -= 1;
        }
        if let Some(wait) = self.wait_before_retry(&job, &answer) {
            let now = self.seams.clock.elapsed();
            let site = &mut self.sites[site];
            site.pace.pause(now, wait);
            site.queue.push_front(Job { attempt: job.attempt + 1, ..job });
            return Ok(());
        }
        match job.kind {
            Kind::Robots => self.read_robots(site, &job.url, answer),
            Kind::Sitemap => self.read_sitemap(site, &job.url, answer),
            Kind::Page => return self.read_page(site, job, answer).await,
        }
        Ok(())
    }

    async fn read_page(&mut self, site: usize, job: Job, answer: Result<Fetched, EgressError>) -> Result<(), S::Error> {
        let fetched = match answer {
            Ok(fetched) => fetched,
            Err(error) => return self.hand_over(&job, None, Fate::Failed(Reason::of(&error))).await,
        };
        let final_url = fetched.final_url.clone();
        let fate = self.judge(site, &job, fetched);
        let leads_to = match &fate {
            Fate::Fetched(page) => Some(self.sink.links(&final_url, page)),
            Fate::NotModified => job.previous.as_ref().and_then(|previous| previous.links.clone()),
            Fate::Skipped(_) | Fate::Failed(_) => None,
        };
        self.hand_over(&job, Some(&final_url), fate).await?;
        if let Some(links) = leads_to {
            self.follow(&job, &final_url, links);
        }
        Ok(())
    }

    fn follow(&mut self, job: &Job, page: &Url, links: PageLinks) {
        let pagination = self.request.policy.pagination;
        if let Some(next) = links.next.filter(|_| matches!(pagination, Pagination::Auto | Pagination::NextLink)) {
            self.take_link(&next, job.depth, PLACE_LAST);
        }
        for (at, link) in (0_u64..).zip(links.links) {
            let by_number = matches!(pagination, Pagination::Auto | Pagination::PageParam) && is_later_page(page, &link);
            let depth = if by_number { job.depth } else { job.depth + 1 };
            if depth <= self.request.depth_max {
                let place = if job.is_start { (job.place + 1) << 32 | at } else { PLACE_LAST };
                self.take_link(&link, depth, place);
            }
        }
    }

    fn take_link(&mut self, link: &Url, depth: u32, place: u64) {
        // Away from one's own sites there are many links that no rule allows: they are not pages of this crawl.
        if !self.request.policy.same_site && !self.frontier.is_on_site(link) && self.egress.check(link).is_err() {
            return;
        }
        if let Ok(url) = self.frontier.found(link) {
            self.queue(url, depth, place, false);
        }
    }

    fn queue(&mut self, url: Url, depth: u32, place: u64, later: bool) {
        let Some(site) = self.site(&url) else { return };
        let job = Job { place, ..Job::new(Kind::Page, url, depth) };
        let site = &mut self.sites[site];
        if later { site.later.push_back(job) } else { site.queue.push_back(job) }
    }

    async fn hand_over(&mut self, job: &Job, final_url: Option<&Url>, fate: Fate) -> Result<(), S::Error> {
        let count = match &fate {
            Fate::Fetched(_) => &mut self.summary.fetched,
            Fate::NotModified => &mut self.summary.not_modified,
            Fate::Skipped(_) => &mut self.summary.skipped,
            Fate::Failed(_) => &mut self.summary.failed,
        };
        *count += 1;
        let final_url = final_url.unwrap_or(&job.url).clone();
        let fetched_at = self.seams.now();
        self.sink.page(PageOutcome { url: job.url.clone(), final_url, depth: job.depth, place: job.place, fate, fetched_at }).await
    }
}

fn add_conditions(headers: &mut HeaderMap, previous: &Previous) {
    let mut add = |name, value: &Option<String>| {
        if let Some(value) = value.as_deref().and_then(|value| HeaderValue::from_str(value).ok()) {
            headers.insert(name, value);
        }
    };
    add(IF_NONE_MATCH, &previous.etag);
    add(IF_MODIFIED_SINCE, &previous.last_modified);
}
