//! What an answer means: try again, read the rules of the site, take its sitemap, or hand a page over with its fate.

use std::collections::VecDeque;
use std::time::Duration;

use http::header::{CONTENT_TYPE, RETRY_AFTER};
use http::{HeaderMap, StatusCode};
use url::Url;

use super::super::crawl::{Fate, FetchedPage, PageSink, Reason};
use super::super::frontier::Refusal;
use super::super::page::binary_kind;
use super::super::politeness::{Pace, RETRY_AFTER_MAX, backoff};
use super::super::robots::Robots;
use super::super::sitemap;
use super::{Crawler, Job, Kind, PLACE_LAST, Site};
use crate::base::secret::sha256;
use crate::services::egress::{EgressError, Fetched};

impl<S: PageSink> Crawler<'_, S> {
    /// How long to wait before the same request again; `None`: no other try.
    pub(super) fn wait_before_retry(&self, job: &Job, answer: &Result<Fetched, EgressError>) -> Option<Duration> {
        if job.attempt >= self.settings.attempts_max || self.requests_left == 0 {
            return None;
        }
        let fetched = match answer {
            Err(error) => return error.is_temporary().then(|| backoff(job.attempt, self.seams)),
            Ok(fetched) => fetched,
        };
        if !matches!(fetched.status.as_u16(), 429 | 500 | 502 | 503 | 504) {
            return None;
        }
        let asked = fetched.headers.get(RETRY_AFTER).and_then(|value| value.to_str().ok()?.trim().parse().ok()).map(Duration::from_secs);
        match asked {
            Some(asked) if asked > RETRY_AFTER_MAX => None,
            asked => Some(asked.unwrap_or_default().max(backoff(job.attempt, self.seams))),
        }
    }

    pub(super) fn read_robots(&mut self, site: usize, url: &Url, answer: Result<Fetched, EgressError>) {
        let robots = Robots::from_answer(answer);
        let mut taken = std::mem::replace(&mut self.sites[site], placeholder());
        if let Some(seconds) = robots.delay_seconds() {
            taken.pace.asked_to_wait(seconds);
        }
        taken.robots = Some(robots);
        self.plan_sitemaps(&mut taken, url);
        self.sites[site] = taken;
    }

    pub(super) fn read_sitemap(&mut self, site: usize, url: &Url, answer: Result<Fetched, EgressError>) {
        let Ok(fetched) = answer else { return };
        if !fetched.status.is_success() {
            return;
        }
        let map = sitemap::read(&fetched.body, url);
        for map in map.maps {
            if self.sitemaps_left > 0 && map.origin() == url.origin() {
                self.sitemaps_left -= 1;
                self.sites[site].later.push_back(Job::new(Kind::Sitemap, map, 0));
            }
        }
        for page in map.pages {
            match self.frontier.found(&page) {
                Ok(page) => self.queue(page, 1, PLACE_LAST, true),
                Err(Refusal::Full) => break,
                Err(_) => {}
            }
        }
    }

    pub(super) fn judge(&mut self, site: usize, job: &Job, fetched: Fetched) -> Fate {
        let skipped = |code, message: String| Fate::Skipped(Reason::new(code, message));
        if fetched.status == StatusCode::NOT_MODIFIED && job.previous.is_some() {
            return Fate::NotModified;
        }
        if !fetched.status.is_success() {
            let mut reason = Reason::new("http_status", format!("the server answered with status {}", fetched.status));
            reason.status = Some(fetched.status.as_u16());
            return Fate::Failed(reason);
        }
        let to = &fetched.final_url;
        match self.frontier.arrived(&job.url, to, job.is_start) {
            Ok(()) => {}
            Err(Refusal::Known) => return skipped("duplicate", format!("it redirects to {to}, which is known already")),
            Err(_) => return skipped("off_site", format!("it redirects to {to}, which the automation's rules leave out")),
        }
        if to.origin() == job.url.origin()
            && let Some(Err((reason, _))) = self.sites[site].robots.as_ref().map(|robots| robots.allows(to))
        {
            return Fate::Skipped(reason);
        }
        if fetched.declined {
            let kind = fetched.headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or("of no declared type");
            return skipped("unsupported_type", format!("it is {kind}, which holds no text that can be read"));
        }
        if let Some(kind) = binary_kind(&fetched.body) {
            return skipped("binary", format!("it is {kind}, whatever its headers say"));
        }
        if !self.bodies.insert(sha256(&fetched.body)) {
            return skipped("duplicate", "another page of this run has exactly the same content".into());
        }
        Fate::Fetched(FetchedPage { status: fetched.status, headers: fetched.headers, body: fetched.body, truncated: fetched.truncated })
    }
}

fn placeholder() -> Site {
    Site { robots: None, robots_asked: true, queue: VecDeque::new(), later: VecDeque::new(), pace: Pace::new(Duration::ZERO) }
}

/// Whether the head promises text that [`read`](super::super::page::read) reads. What is not declared is looked at.
pub(super) fn is_readable(headers: &HeaderMap, path: &str) -> bool {
    const READ: [&str; 10] = [
        "text/html",
        "application/xhtml+xml",
        "text/plain",
        "text/markdown",
        "text/x-markdown",
        "text/csv",
        "application/csv",
        "text/tab-separated-values",
        "application/json",
        "text/json",
    ];
    const TEXT_ENDINGS: [&str; 8] = [".md", ".markdown", ".txt", ".csv", ".tsv", ".json", ".html", ".htm"];
    let declared = headers.get(CONTENT_TYPE).map(|value| String::from_utf8_lossy(value.as_bytes()).to_ascii_lowercase()).unwrap_or_default();
    match declared.split(';').next().unwrap_or_default().trim() {
        "" => true,
        "application/octet-stream" | "application/vnd.ms-excel" => TEXT_ENDINGS.iter().any(|ending| path.to_ascii_lowercase().ends_with(ending)),
        other => READ.contains(&other) || other.ends_with("+json"),
    }
}
