//! Which addresses are worth fetching: each written in one way, each once, within the site and the patterns, and out of traps.

use std::collections::{HashMap, HashSet};

use url::Url;

use crate::model::crawl::CrawlPolicy;

/// The longest address followed, bytes.
const URL_BYTES_MAX: usize = 2_000;
/// The most parts of a path: deeper ones are made by loops.
const SEGMENTS_MAX: usize = 20;
/// How often one part may stand in a path.
const SEGMENT_REPEATS_MAX: usize = 3;
/// The most parameters of a query.
const PARAMETERS_MAX: usize = 12;
/// The most queries of one path: calendars and filters have no end.
const QUERIES_PER_PATH_MAX: u32 = 300;
/// Addresses kept for each page of the budget; beyond, new ones are not taken.
const KNOWN_PER_PAGE: usize = 50;
/// Addresses kept in any case.
const KNOWN_MIN: usize = 10_000;

/// Parameters that say where a visitor came from, not what the page is.
const TRACKING: [&str; 15] = [
    "fbclid",
    "gclid",
    "dclid",
    "gbraid",
    "wbraid",
    "msclkid",
    "yclid",
    "twclid",
    "igshid",
    "mc_cid",
    "mc_eid",
    "_ga",
    "_gl",
    "phpsessid",
    "jsessionid",
];
/// Endings that hold no text.
const BINARY_ENDINGS: [&str; 48] = [
    "7z", "avi", "avif", "bin", "bmp", "bz2", "css", "deb", "dmg", "doc", "docx", "eot", "epub", "exe", "flac", "gif", "gz", "ico", "img", "iso",
    "jar", "jpeg", "jpg", "js", "m4a", "mjs", "mov", "mp3", "mp4", "mpg", "msi", "ogg", "pdf", "png", "ppt", "pptx", "rar", "rpm", "svg", "tar",
    "tgz", "ttf", "wav", "webm", "webp", "woff", "xz", "zip",
];
/// Parameters that number the pages of a list.
const PAGE_PARAMETERS: [&str; 6] = ["page", "pg", "paged", "pagenum", "offset", "start"];

/// Why an address is not followed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Refusal {
    /// It is known already.
    Known,
    /// Another site.
    OffSite,
    /// The patterns leave it out.
    Pattern,
    /// It looks like an endless loop.
    Trap,
    /// A picture, an archive, a program.
    Binary,
    /// Not http, not https, or with a password.
    Scheme,
    /// There are too many already.
    Full,
}

/// The addresses of one crawl.
pub(super) struct Frontier {
    policy: CrawlPolicy,
    sites: HashSet<String>,
    known: HashSet<String>,
    known_max: usize,
    queries: HashMap<String, u32>,
}

impl Frontier {
    /// Nothing known yet.
    pub(super) fn new(policy: CrawlPolicy, pages_max: u32) -> Self {
        let known_max = (pages_max as usize).saturating_mul(KNOWN_PER_PAGE).max(KNOWN_MIN);
        Self { policy, sites: HashSet::new(), known: HashSet::new(), known_max, queries: HashMap::new() }
    }

    /// Takes a start page: its site is one of those that are followed.
    pub(super) fn start(&mut self, url: &Url) -> Result<Url, Refusal> {
        let url = canonical(url).ok_or(Refusal::Scheme)?;
        self.sites.insert(site(&url));
        if !self.policy.admits(&url, true) {
            return Err(Refusal::Pattern);
        }
        if self.known.insert(url.to_string()) { Ok(url) } else { Err(Refusal::Known) }
    }

    /// Takes a found link.
    pub(super) fn found(&mut self, link: &Url) -> Result<Url, Refusal> {
        let url = canonical(link).ok_or(Refusal::Scheme)?;
        if self.known.contains(url.as_str()) {
            return Err(Refusal::Known);
        }
        self.in_scope(&url)?;
        if is_trap(&url) {
            return Err(Refusal::Trap);
        }
        if ending(&url).is_some_and(|ending| BINARY_ENDINGS.contains(&ending.as_str())) {
            return Err(Refusal::Binary);
        }
        if self.known.len() >= self.known_max {
            return Err(Refusal::Full);
        }
        if url.query().is_some() {
            let count = self.queries.entry(url[..url::Position::AfterPath].to_owned()).or_default();
            *count += 1;
            if *count > QUERIES_PER_PATH_MAX {
                return Err(Refusal::Trap);
            }
        }
        self.known.insert(url.to_string());
        Ok(url)
    }

    /// Where a fetch ended after redirects: still within the site, and not fetched under its own address already. The site of a
    /// redirected start page becomes one that is followed.
    pub(super) fn arrived(&mut self, from: &Url, to: &Url, is_start: bool) -> Result<(), Refusal> {
        let (Some(from), Some(to)) = (canonical(from), canonical(to)) else { return Err(Refusal::Scheme) };
        if from == to {
            return Ok(());
        }
        if is_start {
            self.sites.insert(site(&to));
        } else {
            self.in_scope(&to)?;
        }
        if self.known.insert(to.into()) { Ok(()) } else { Err(Refusal::Known) }
    }

    /// Whether an address is on a site that is followed.
    pub(super) fn is_on_site(&self, url: &Url) -> bool {
        self.sites.contains(&site(url))
    }

    fn in_scope(&self, url: &Url) -> Result<(), Refusal> {
        if self.policy.same_site && !self.sites.contains(&site(url)) {
            return Err(Refusal::OffSite);
        }
        if self.policy.admits(url, false) { Ok(()) } else { Err(Refusal::Pattern) }
    }
}

/// The site of an address: its host without `www.`, with its port when it is none of the usual ones.
fn site(url: &Url) -> String {
    let host = url.host_str().unwrap_or_default();
    let host = host.strip_prefix("www.").unwrap_or(host);
    url.port().map_or_else(|| host.to_owned(), |port| format!("{host}:{port}"))
}

/// The one way to write an address: no fragment, no tracking, no empty query, no final dot of the host. `None`: not an address to fetch.
pub(super) fn canonical(url: &Url) -> Option<Url> {
    if !matches!(url.scheme(), "http" | "https") || !url.username().is_empty() || url.password().is_some() {
        return None;
    }
    let mut url = url.clone();
    url.set_fragment(None);
    if let Some(host) = url.host_str().and_then(|host| host.strip_suffix('.')).map(str::to_owned) {
        url.set_host(Some(&host)).ok()?;
    }
    if let Some(query) = url.query() {
        // Kept as written, part by part: to write a query anew could change what it means.
        let kept: Vec<&str> = query.split('&').filter(|part| !part.is_empty() && !is_tracking(part)).collect();
        let kept = kept.join("&");
        url.set_query((!kept.is_empty()).then_some(kept.as_str()));
    }
    Some(url)
}

fn is_tracking(part: &str) -> bool {
    let name = part.split('=').next().unwrap_or_default().to_ascii_lowercase();
    name.starts_with("utm_") || TRACKING.contains(&name.as_str())
}

fn is_trap(url: &Url) -> bool {
    if url.as_str().len() > URL_BYTES_MAX || url.query_pairs().count() > PARAMETERS_MAX {
        return true;
    }
    let segments: Vec<&str> = url.path_segments().map(|parts| parts.filter(|part| !part.is_empty()).collect()).unwrap_or_default();
    let repeated = |segment: &&str| segments.iter().filter(|other| *other == segment).count() > SEGMENT_REPEATS_MAX;
    segments.len() > SEGMENTS_MAX || segments.iter().any(repeated)
}

fn ending(url: &Url) -> Option<String> {
    let (_, ending) = url.path_segments()?.next_back()?.rsplit_once('.')?;
    Some(ending.to_ascii_lowercase())
}

/// Whether `link` is a later page of the list that `page` is part of: the same but for a larger page number.
pub(super) fn is_later_page(page: &Url, link: &Url) -> bool {
    if page[..url::Position::AfterPath] != link[..url::Position::AfterPath] {
        return false;
    }
    let parts = |url: &Url| -> (Vec<(String, String)>, u64) {
        let is_number = |name: &str| PAGE_PARAMETERS.contains(&name.to_ascii_lowercase().as_str());
        let (numbers, rest): (Vec<_>, Vec<_>) = url.query_pairs().into_owned().partition(|(name, _)| is_number(name));
        (rest, numbers.first().and_then(|(_, value)| value.parse().ok()).unwrap_or(0))
    };
    let ((rest, number), (other_rest, other_number)) = (parts(page), parts(link));
    rest == other_rest && other_number > number
}

#[cfg(test)]
mod tests {
    use super::*;

    fn url(text: &str) -> Url {
        text.parse().unwrap()
    }

    fn frontier(policy: CrawlPolicy) -> Frontier {
        let mut frontier = Frontier::new(policy, 10);
        frontier.start(&url("https://www.a.example/docs/")).unwrap();
        frontier
    }

    #[test]
    fn an_address_is_written_in_one_way() {
        let same = [
            "https://A.example:443/x/../y?a=1&b=#part",
            "https://a.example./y?a=1&b=&utm_source=mail&fbclid=7",
            "https://a.example/./y?&a=1&b=&PHPSESSID=abc",
        ];
        for text in same {
            assert_eq!(canonical(&url(text)).unwrap().as_str(), "https://a.example/y?a=1&b=", "{text}");
        }
        assert_eq!(canonical(&url("http://a.example/?utm_id=1")).unwrap().as_str(), "http://a.example/");
        assert!(canonical(&url("mailto:a@a.example")).is_none() && canonical(&url("http://u:p@a.example/")).is_none());
    }

    #[test]
    fn links_stay_on_the_site_and_come_once() {
        let mut frontier = frontier(CrawlPolicy::default());
        assert!(frontier.found(&url("https://a.example/x")).is_ok());
        assert_eq!(frontier.found(&url("https://a.example/x#y")), Err(Refusal::Known));
        assert_eq!(frontier.found(&url("https://b.example/x")), Err(Refusal::OffSite));
        assert_eq!(frontier.found(&url("https://a.example:8443/x")), Err(Refusal::OffSite));
        assert_eq!(frontier.found(&url("https://a.example.evil.example/x")), Err(Refusal::OffSite));
        assert_eq!(frontier.found(&url("https://a.example/picture.PNG")), Err(Refusal::Binary));
        let anywhere = CrawlPolicy { same_site: false, exclude: vec!["/private/*".into()], ..CrawlPolicy::default() };
        let mut frontier = self::frontier(anywhere);
        assert!(frontier.found(&url("https://b.example/x")).is_ok());
        assert_eq!(frontier.found(&url("https://b.example/private/x")), Err(Refusal::Pattern));
    }

    #[test]
    fn traps_are_seen() {
        let mut frontier = frontier(CrawlPolicy::default());
        let long = format!("https://a.example/{}", "x".repeat(URL_BYTES_MAX));
        let deep = format!("https://a.example/{}", (0..30).map(|n| format!("{n}/")).collect::<String>());
        for trap in [long.as_str(), deep.as_str(), "https://a.example/a/b/a/b/a/b/a/b"] {
            assert_eq!(frontier.found(&url(trap)), Err(Refusal::Trap), "{trap}");
        }
        let taken = (0..2_000).filter(|day| frontier.found(&url(&format!("https://a.example/calendar?day={day}"))).is_ok()).count();
        assert_eq!(taken, QUERIES_PER_PATH_MAX as usize);
    }

    #[test]
    fn a_redirected_start_page_takes_its_site_along_and_others_do_not() {
        let mut frontier = frontier(CrawlPolicy::default());
        assert_eq!(frontier.arrived(&url("https://a.example/x"), &url("https://b.example/"), false), Err(Refusal::OffSite));
        assert!(frontier.arrived(&url("https://www.a.example/docs/"), &url("https://b.example/"), true).is_ok());
        assert!(frontier.found(&url("https://b.example/y")).is_ok());
        assert_eq!(frontier.arrived(&url("https://b.example/z"), &url("https://b.example/y"), false), Err(Refusal::Known));
    }

    #[test]
    fn later_pages_of_a_list_are_known_by_their_number() {
        let page = url("https://a.example/list?sort=up&page=2");
        assert!(is_later_page(&page, &url("https://a.example/list?sort=up&page=3")));
        assert!(is_later_page(&url("https://a.example/list"), &url("https://a.example/list?page=2")));
        assert!(!is_later_page(&page, &url("https://a.example/list?sort=up&page=1")));
        assert!(!is_later_page(&page, &url("https://a.example/list?sort=down&page=3")));
        assert!(!is_later_page(&page, &url("https://a.example/other?sort=up&page=3")));
    }
}
