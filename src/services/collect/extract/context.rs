//! What the parts of the extractor know of a page, and what they hand in.

use std::ops::Range;

use super::super::page::{BlockKind, PageText};
use super::entities::Lexicon;
use super::titles;
use super::words;

/// A figure that may become a metric.
#[derive(Clone, Debug)]
pub(super) struct MetricDraft {
    pub(super) name: String,
    pub(super) value: f64,
    pub(super) unit: Option<String>,
    pub(super) as_of: Option<String>,
    /// What it stands under: counts for its relevance.
    pub(super) topic: String,
    pub(super) page: usize,
    pub(super) block: usize,
    pub(super) quote: Range<usize>,
    pub(super) bonus: f64,
}

/// A table that may be reported.
#[derive(Clone, Debug)]
pub(super) struct TableDraft {
    pub(super) title: String,
    pub(super) columns: Vec<String>,
    /// Cells, and the block of the row.
    pub(super) rows: Vec<(Vec<String>, usize)>,
    /// The blocks of its header.
    pub(super) header: Vec<usize>,
    pub(super) page: usize,
    /// The block that stands for the whole: the caption or the first row.
    pub(super) lead: usize,
    /// Two columns, names and values, without a header.
    pub(super) pair: bool,
}

/// Whether the objective asks for an extreme.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Extreme {
    #[default]
    None,
    Most,
    Least,
}

impl Extreme {
    /// From the objective's words.
    pub(super) fn of(objective: &str) -> Self {
        let has = |list: &[&str]| words::words(objective).iter().any(|word| list.contains(&word.text.to_lowercase().as_str()));
        if has(&["longest", "largest", "highest", "biggest", "greatest", "tallest", "deepest", "fastest", "heaviest", "oldest", "maximum", "top"]) {
            Self::Most
        } else if has(&["shortest", "smallest", "lowest", "least", "fewest", "slowest", "lightest", "cheapest", "minimum"]) {
            Self::Least
        } else {
            Self::None
        }
    }

    /// What the figure asked for gains over its column.
    pub(super) fn bonus(self, value: f64, least: f64, most: f64) -> f64 {
        let hit = match self {
            Self::None => false,
            Self::Most => value >= most,
            Self::Least => value <= least,
        };
        if hit { 0.3 } else { 0.0 }
    }
}

/// A page with what is known of it.
pub(super) struct PageContext<'a> {
    pub(super) index: usize,
    pub(super) page: &'a PageText,
    pub(super) title: String,
    /// What the page is about.
    pub(super) subject: String,
    /// A comma is the decimal mark in the page's language.
    pub(super) comma: bool,
    pub(super) extreme: Extreme,
    pub(super) lexicon: &'a Lexicon,
    headings: Vec<String>,
    /// The heading of each block, counted from 1; 0 is none.
    heading_of: Vec<u32>,
}

impl<'a> PageContext<'a> {
    pub(super) fn new(index: usize, page: &'a PageText, title: String, extreme: Extreme, lexicon: &'a Lexicon) -> Self {
        let mut headings = Vec::new();
        let mut heading_of = Vec::with_capacity(page.blocks.len());
        for block in &page.blocks {
            if let BlockKind::Heading(_) = block.kind {
                headings.push(titles::heading(&block.text, page.format));
            }
            heading_of.push(u32::try_from(headings.len()).unwrap_or(0));
        }
        let comma = page.language.as_deref().is_some_and(|language| {
            let main = language.split(['-', '_']).next().unwrap_or_default().to_ascii_lowercase();
            // Switzerland and the like write points.
            !language.to_ascii_lowercase().ends_with("ch")
                && ["cs", "da", "de", "es", "fi", "fr", "hu", "id", "it", "nb", "nl", "no", "pl", "pt", "ro", "ru", "sv", "tr", "uk"]
                    .contains(&main.as_str())
        });
        Self { index, page, title, subject: titles::page_subject(page), comma, extreme, lexicon, headings, heading_of }
    }

    /// The heading that a block stands under, unless it names a part of any page.
    pub(super) fn heading_at(&self, block: usize) -> Option<&str> {
        let at = *self.heading_of.get(block)? as usize;
        self.headings.get(at.checked_sub(1)?).map(String::as_str).filter(|heading| !titles::is_generic(heading) && heading.len() <= 80)
    }

    /// Whom a statement in this block is about when it does not say: a heading or a page that names somebody, else the heading.
    pub(super) fn owner(&self, block: usize) -> String {
        let known = |name: &str| name.split(' ').next().is_some_and(|first| self.lexicon.knows(first));
        match self.heading_at(block) {
            Some(heading) if known(heading) || !known(&self.subject) => heading.to_owned(),
            _ => self.subject.clone(),
        }
    }

    /// What the block stands under, for relevance: page and heading.
    pub(super) fn topic(&self, block: usize) -> String {
        format!("{} {}", self.subject, self.heading_at(block).unwrap_or_default())
    }
}
