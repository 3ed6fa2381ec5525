//! How far a crawl may go: budgets and patterns, each with its bounds.

use serde::{Deserialize, Serialize};
use url::Url;
use utoipa::ToSchema;

use super::invalid::Invalid;

/// Most pages of one run, whatever the plan allows.
pub const PAGES_MAX: u32 = 10_000;
/// Most links away from a start page.
pub const DEPTH_MAX: u32 = 20;
/// Most patterns of a kind.
pub const PATTERNS_MAX: usize = 50;
/// Most bytes of a pattern.
pub const PATTERN_BYTES_MAX: usize = 200;

/// How the pages of a list are found.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Pagination {
    /// Next links first, else page parameters.
    #[default]
    Auto,
    /// `rel=next` and links named so.
    NextLink,
    /// Numbered page parameters in the address.
    PageParam,
    /// Not at all.
    None,
}

/// A widget's crawl policy.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(default, deny_unknown_fields)]
pub struct CrawlPolicy {
    /// Most pages of a run, 1 to [`PAGES_MAX`]; the plan may allow fewer.
    pub max_pages: u32,
    /// Most links away from a start page, 0 to [`DEPTH_MAX`].
    pub max_depth: u32,
    /// Whether only the start pages' own sites are followed.
    pub same_site: bool,
    /// When not empty, only addresses that match one of these; `*` stands for anything. Start pages always match.
    pub include: Vec<String>,
    /// Never addresses that match one of these, not even start pages.
    pub exclude: Vec<String>,
    /// How the pages of a list are found.
    pub pagination: Pagination,
    /// Whether the sites' robots.txt is obeyed.
    pub robots: bool,
    /// Whether the sites' sitemaps are read for more pages.
    pub sitemap: bool,
}

impl Default for CrawlPolicy {
    fn default() -> Self {
        Self {
            max_pages: 50,
            max_depth: 3,
            same_site: true,
            include: Vec::new(),
            exclude: Vec::new(),
            pagination: Pagination::Auto,
            robots: true,
            sitemap: true,
        }
    }
}

impl CrawlPolicy {
    /// Checks the bounds.
    ///
    /// # Errors
    /// Names the field.
    pub fn validated(mut self) -> Result<Self, Invalid> {
        if !(1..=PAGES_MAX).contains(&self.max_pages) {
            return Err(Invalid::new(
                "source_config.crawl.max_pages",
                format!("{} pages is out of range", self.max_pages),
                format!("Choose 1 to {PAGES_MAX} pages."),
            ));
        }
        if self.max_depth > DEPTH_MAX {
            return Err(Invalid::new(
                "source_config.crawl.max_depth",
                format!("a depth of {} is out of range", self.max_depth),
                format!("Choose 0 to {DEPTH_MAX} links."),
            ));
        }
        patterns("source_config.crawl.include", &mut self.include)?;
        patterns("source_config.crawl.exclude", &mut self.exclude)?;
        Ok(self)
    }

    /// Whether the patterns let a found link in (a start page is asked only whether it is excluded).
    #[must_use]
    pub fn admits(&self, url: &Url, is_start_page: bool) -> bool {
        let included = is_start_page || self.include.is_empty() || self.include.iter().any(|pattern| matches(pattern, url));
        included && !self.exclude.iter().any(|pattern| matches(pattern, url))
    }
}

fn patterns(field: &str, patterns: &mut Vec<String>) -> Result<(), Invalid> {
    for pattern in patterns.iter_mut() {
        *pattern = pattern.trim().to_owned();
    }
    patterns.retain(|pattern| !pattern.is_empty());
    if patterns.len() > PATTERNS_MAX {
        return Err(Invalid::new(field, format!("{} patterns are too many", patterns.len()), format!("Give at most {PATTERNS_MAX}.")));
    }
    match patterns.iter().find(|pattern| pattern.len() > PATTERN_BYTES_MAX) {
        Some(_) => Err(Invalid::new(field, "a pattern is too long", format!("Use at most {PATTERN_BYTES_MAX} bytes, and * for anything."))),
        None => Ok(()),
    }
}

/// A pattern with `://` is held against the whole address, one that begins with `/` against path and query, any other against both anywhere.
fn matches(pattern: &str, url: &Url) -> bool {
    let path = &url[url::Position::BeforePath..url::Position::AfterQuery];
    if pattern.contains("://") {
        glob(pattern, &url[..url::Position::AfterQuery])
    } else if pattern.starts_with('/') {
        glob(pattern, path)
    } else {
        glob(&format!("*{pattern}*"), &url[..url::Position::AfterQuery])
    }
}

/// Whether `text` as a whole matches `pattern`, where `*` stands for any run of characters. Takes at most pattern x text steps.
fn glob(pattern: &str, text: &str) -> bool {
    let (pattern, text) = (pattern.as_bytes(), text.as_bytes());
    let (mut p, mut t) = (0, 0);
    // Where to go on after the last star: the pattern's place behind it, and the text's place it has swallowed up to.
    let mut retry: Option<(usize, usize)> = None;
    while t < text.len() {
        match pattern.get(p) {
            Some(b'*') => {
                retry = Some((p + 1, t));
                p += 1;
            }
            Some(byte) if *byte == text[t] => {
                p += 1;
                t += 1;
            }
            _ => match retry {
                Some((after_star, swallowed)) => {
                    p = after_star;
                    t = swallowed + 1;
                    retry = Some((after_star, t));
                }
                None => return false,
            },
        }
    }
    pattern[p..].iter().all(|byte| *byte == b'*')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn admits(include: &[&str], exclude: &[&str], url: &str) -> bool {
        let policy = CrawlPolicy {
            include: include.iter().map(ToString::to_string).collect(),
            exclude: exclude.iter().map(ToString::to_string).collect(),
            ..CrawlPolicy::default()
        };
        policy.admits(&url.parse().unwrap(), false)
    }

    #[test]
    fn patterns_select_by_path_by_address_or_by_part() {
        assert!(admits(&[], &[], "https://a.example/x"));
        assert!(admits(&["/docs/*"], &[], "https://a.example/docs/a/b?x=1"));
        assert!(!admits(&["/docs/*"], &[], "https://a.example/blog/docs/"));
        assert!(admits(&["https://a.example/*"], &[], "https://a.example/"));
        assert!(!admits(&["https://a.example/*"], &[], "https://b.example/"));
        assert!(!admits(&[], &["print"], "https://a.example/page?print=1"));
        assert!(!admits(&["/docs/*"], &["*.pdf"], "https://a.example/docs/a.pdf"));
        assert!(admits(&["/a*b*c"], &[], "https://a.example/a-bb-b-c"));
        assert!(!admits(&["/a*b*c"], &[], "https://a.example/a-c-b"));
    }

    #[test]
    fn a_start_page_needs_no_inclusion_but_can_be_excluded() {
        let policy = CrawlPolicy { include: vec!["/docs/*".into()], exclude: vec!["/secret".into()], ..CrawlPolicy::default() };
        assert!(policy.admits(&"https://a.example/".parse().unwrap(), true));
        assert!(!policy.admits(&"https://a.example/secret".parse().unwrap(), true));
    }

    #[test]
    fn bounds_are_kept() {
        let wrong = [
            CrawlPolicy { max_pages: PAGES_MAX + 1, ..CrawlPolicy::default() },
            CrawlPolicy { max_depth: DEPTH_MAX + 1, ..CrawlPolicy::default() },
            CrawlPolicy { include: vec!["x".repeat(PATTERN_BYTES_MAX + 1)], ..CrawlPolicy::default() },
            CrawlPolicy { exclude: vec!["x".into(); PATTERNS_MAX + 1], ..CrawlPolicy::default() },
        ];
        for policy in wrong {
            assert!(policy.clone().validated().is_err(), "{policy:?}");
        }
        assert_eq!(serde_json::from_str::<CrawlPolicy>("{}").unwrap(), CrawlPolicy::default());
        assert!(serde_json::from_str::<CrawlPolicy>(r#"{"max_page": 3}"#).is_err());
    }
}
