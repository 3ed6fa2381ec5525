//! HTML to text: the main content in document order, tables with their spans expanded, and where the page links to.

mod parse;
mod table;
mod tame;
mod walk;

use scraper::{ElementRef, Html, Selector};
use url::Url;

use super::page::{BlockKind, LINKS_MAX, PageText};
use crate::base::text::{collapse_whitespace, truncate};
use walk::{Walked, walk};

/// Most bytes of HTML that are read; the rest is cut.
const HTML_BYTES_MAX: usize = 32 * 1024 * 1024;
/// Most bytes of a title.
const TITLE_BYTES_MAX: usize = 300;
/// A candidate for the main content with less text than this is an empty shell.
const MAIN_BYTES_MIN: usize = 80;

/// Reads a page. `address` is where it came from: links are resolved against it, or against the page's own `base`.
/// `None` when it `ended` before it was read.
pub(super) fn read(html: &str, address: &Url, ended: &dyn Fn() -> bool) -> Option<PageText> {
    let cut = truncate(html, HTML_BYTES_MAX);
    let tamed = tame::tame(cut);
    let parse::Parsed { document, cut: grown } = parse::parse(&tamed, ended)?;
    let walked = main_content(&document);
    let (links, next_link) = links(&document, address);
    Some(PageText {
        title: title(&document),
        language: attribute(&document, "html", "lang").map(|lang| truncate(lang.trim(), 35).to_owned()).filter(|lang| !lang.is_empty()),
        blocks: walked.blocks,
        tables: walked.tables,
        links,
        next_link,
        truncated: walked.truncated || grown || cut.len() < html.len(),
        ..PageText::default()
    })
}

/// The text of the main content: `main`, else a single `article`, else the body without menus, else the body.
fn main_content(document: &Html) -> Walked {
    let root = document.root_element();
    let body = first(document, "body").unwrap_or(root);
    for candidate in ["main article", "main, [role=main]", "article", "#mw-content-text, #content, #main-content, .markdown-body"] {
        let Some(selector) = selector(candidate) else { continue };
        let mut found = document.select(&selector).filter(|element| !walk::is_dropped(**element));
        // Several articles are a list of them: their surroundings hold all.
        if let (Some(only), None) = (found.next(), found.next()) {
            let walked = walk(*only, true);
            let (here, all) = (text_bytes(&walked), text_bytes(&walk(*body, true)));
            let shell = here < MAIN_BYTES_MIN && here * 2 < all;
            let teaser = candidate == "article" && here * 3 < all;
            if here > 0 && !shell && !teaser {
                return walked;
            }
        }
    }
    let walked = walk(*body, true);
    if walked.blocks.iter().any(|block| !matches!(block.kind, BlockKind::Heading(_))) { walked } else { walk(*body, false) }
}

fn text_bytes(walked: &Walked) -> usize {
    walked.blocks.iter().map(|block| block.text.len()).sum()
}

fn selector(text: &str) -> Option<Selector> {
    Selector::parse(text).ok()
}

fn first<'a>(document: &'a Html, text: &str) -> Option<ElementRef<'a>> {
    document.select(&selector(text)?).next()
}

fn attribute<'a>(document: &'a Html, element: &str, name: &str) -> Option<&'a str> {
    first(document, element).and_then(|found| found.value().attr(name))
}

fn title(document: &Html) -> Option<String> {
    let tidy = |text: String| {
        let text = collapse_whitespace(&text);
        let text = text.trim_end_matches(['¶', '§', '#']).trim_end();
        (!text.is_empty()).then(|| truncate(text, TITLE_BYTES_MAX).to_owned())
    };
    first(document, "head title")
        .and_then(|element| tidy(element.text().collect()))
        .or_else(|| attribute(document, "meta[property='og:title']", "content").and_then(|text| tidy(text.to_owned())))
        .or_else(|| first(document, "h1").and_then(|element| tidy(element.text().collect())))
}

fn links(document: &Html, address: &Url) -> (Vec<Url>, Option<Url>) {
    let base = attribute(document, "base[href]", "href").and_then(|href| address.join(href.trim()).ok()).unwrap_or_else(|| address.clone());
    let Some(selector) = selector("a[href], area[href], link[rel][href]") else { return (Vec::new(), None) };
    let mut seen = std::collections::HashSet::new();
    let (mut links, mut next) = (Vec::new(), None);
    for element in document.select(&selector) {
        let value = element.value();
        let is_next = value.attr("rel").is_some_and(|rel| rel.split_ascii_whitespace().any(|word| word.eq_ignore_ascii_case("next")));
        if value.name() == "link" && !is_next {
            continue;
        }
        let Some(url) = value.attr("href").and_then(|href| resolve(&base, href)) else { continue };
        if is_next && next.is_none() {
            next = Some(url.clone());
        }
        if links.len() < LINKS_MAX && seen.insert(url.clone()) {
            links.push(url);
        }
    }
    (links, next)
}

/// An absolute http or https address without fragment.
pub(super) fn resolve(base: &Url, href: &str) -> Option<Url> {
    let mut url = base.join(href.trim()).ok()?;
    if !matches!(url.scheme(), "http" | "https") || url.as_str().len() > 2_000 {
        return None;
    }
    url.set_fragment(None);
    Some(url)
}

#[cfg(test)]
mod tests;
