//! What a site's robots.txt allows. Read once per run.

use http::StatusCode;
use texting_robots::Robot;
use url::Url;

use super::crawl::Reason;
use crate::services::egress::{EgressError, Fetched};

/// Most bytes of a robots.txt that are read: what search engines read.
pub(super) const ROBOTS_BYTES_MAX: u64 = 500 * 1024;
/// The name that robots.txt files address us by.
const AGENT: &str = "onsite";
/// Most sitemaps taken from a robots.txt.
const SITEMAPS_MAX: usize = 10;

/// What a site allows.
pub(super) enum Robots {
    /// These rules.
    Rules(Robot),
    /// Everything.
    Open,
    /// Nothing: the reason is each page's failure.
    Closed(Reason),
}

impl Robots {
    /// Where the file of a site is.
    pub(super) fn url_for(page: &Url) -> Option<Url> {
        let mut url = page.join("/robots.txt").ok()?;
        url.set_query(None);
        url.set_fragment(None);
        Some(url)
    }

    /// Reads an answer: 4xx means that there are no rules, 5xx and silence that nothing is known, and then nothing is asked.
    pub(super) fn from_answer(answer: Result<Fetched, EgressError>) -> Self {
        match answer {
            Ok(fetched) if fetched.status.is_success() => Robot::new(AGENT, &fetched.body).map_or_else(
                |_| Self::Closed(Reason::new("robots_unreadable", "the site's robots.txt cannot be read, so nothing of it is fetched")),
                Self::Rules,
            ),
            Ok(fetched) if fetched.status.is_client_error() && fetched.status != StatusCode::TOO_MANY_REQUESTS => Self::Open,
            Ok(fetched) => {
                let message = format!("the site's robots.txt answers with status {}, so nothing is known to be allowed", fetched.status.as_u16());
                let mut reason = Reason::new("robots_unavailable", message);
                reason.status = Some(fetched.status.as_u16());
                Self::Closed(reason)
            }
            Err(error) => Self::Closed(Reason::of(&error)),
        }
    }

    /// Whether a page may be fetched.
    ///
    /// # Errors
    /// Why not, and whether the site said so (`true`) or could not be asked.
    pub(super) fn allows(&self, url: &Url) -> Result<(), (Reason, bool)> {
        match self {
            Self::Open => Ok(()),
            Self::Rules(robot) if robot.allowed(url.as_str()) => Ok(()),
            Self::Rules(_) => Err((Reason::new("robots", "the site's robots.txt does not allow it"), true)),
            Self::Closed(reason) => Err((reason.clone(), false)),
        }
    }

    /// The wait between requests it asks for, seconds.
    pub(super) fn delay_seconds(&self) -> Option<f32> {
        match self {
            Self::Rules(robot) => robot.delay,
            Self::Open | Self::Closed(_) => None,
        }
    }

    /// The sitemaps it names.
    pub(super) fn sitemaps(&self, base: &Url) -> Vec<Url> {
        match self {
            Self::Rules(robot) => robot.sitemaps.iter().take(SITEMAPS_MAX).filter_map(|text| base.join(text.trim()).ok()).collect(),
            Self::Open | Self::Closed(_) => Vec::new(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(status: u16, body: &'static str) -> Robots {
        Robots::from_answer(Ok(Fetched {
            final_url: "http://a.example/robots.txt".parse().unwrap(),
            status: StatusCode::from_u16(status).unwrap(),
            headers: http::HeaderMap::new(),
            body: body.into(),
            truncated: false,
            declined: false,
            redirects: 0,
            address: None,
        }))
    }

    fn allows(robots: &Robots, path: &str) -> bool {
        robots.allows(&format!("http://a.example{path}").parse().unwrap()).is_ok()
    }

    #[test]
    fn rules_for_us_win_over_rules_for_everybody() {
        let robots = answer(
            200,
            "User-agent: *\nDisallow: /\n\nUser-agent: Onsite\nDisallow: /private\nAllow: /private/open\nCrawl-delay: 2\nSitemap: /map.xml\n",
        );
        assert!(allows(&robots, "/") && allows(&robots, "/private/open/x") && !allows(&robots, "/private/x"));
        assert_eq!(robots.delay_seconds(), Some(2.0));
        assert_eq!(robots.sitemaps(&"http://a.example/".parse().unwrap())[0].as_str(), "http://a.example/map.xml");
        let others = answer(200, "User-agent: Googlebot\nDisallow: /\n");
        assert!(allows(&others, "/"));
    }

    #[test]
    fn no_file_is_no_rule_and_no_answer_is_no_permission() {
        for open in [404, 401, 403, 410] {
            assert!(allows(&answer(open, ""), "/"), "{open}");
        }
        for closed in [429, 500, 503, 304] {
            assert!(!allows(&answer(closed, ""), "/"), "{closed}");
        }
        let unreachable = Robots::from_answer(Err(EgressError::Dns { host: "a.example".into(), reason: "gone".into(), temporary: false }));
        let (reason, said) = unreachable.allows(&"http://a.example/".parse().unwrap()).unwrap_err();
        assert_eq!((reason.code, said), ("dns", false));
    }
}
