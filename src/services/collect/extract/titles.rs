//! What a page and its sections are about.

use super::super::markdown;
use super::super::page::{BlockKind, PageFormat, PageText};

/// Headings that name a part of any page rather than a subject.
const GENERIC: [&str; 62] = [
    "about",
    "abstract",
    "appendix",
    "background",
    "basics",
    "bibliography",
    "by the numbers",
    "change log",
    "changelog",
    "conclusion",
    "configuration",
    "contents",
    "data",
    "description",
    "details",
    "documentation",
    "environment",
    "example",
    "examples",
    "external links",
    "facts",
    "faq",
    "features",
    "figures",
    "further reading",
    "general",
    "general information",
    "geography",
    "getting started",
    "history",
    "home",
    "in brief",
    "index",
    "installation",
    "introduction",
    "key facts",
    "key figures",
    "links",
    "notes",
    "notice",
    "options",
    "other",
    "overview",
    "parameters",
    "quick facts",
    "reference",
    "references",
    "related",
    "requirements",
    "returns",
    "see also",
    "settings",
    "sources",
    "statistics",
    "summary",
    "syntax",
    "table of contents",
    "terms",
    "tutorial",
    "usage",
    "warning",
    "what's new",
];
/// Longest subject, in bytes: a longer heading is a sentence.
const SUBJECT_BYTES_MAX: usize = 60;

/// Text as shown: reference marks (`[1]`) gone, and in Markdown the marks.
pub(super) fn shown(text: &str, format: PageFormat) -> String {
    let text = if format == PageFormat::Markdown { markdown::tidy(text) } else { text.to_owned() };
    without_references(&text)
}

/// The text without `[1]`, `[a]`, `[note 2]`, `[citation needed]`.
pub(super) fn without_references(text: &str) -> String {
    if !text.contains('[') {
        return text.to_owned();
    }
    let mut output = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(open) = rest.find('[') {
        let inside = &rest[open + 1..];
        let Some(close) = inside.find(']') else { break };
        let mark = &inside[..close];
        let reference = !mark.is_empty()
            && (mark.bytes().all(|b| b.is_ascii_digit())
                || (mark.len() == 1 && mark.bytes().all(|b| b.is_ascii_lowercase()))
                || ["note ", "citation", "update", "when", "according", "clarif"].iter().any(|start| mark.starts_with(start)));
        output.push_str(&rest[..open]);
        if !reference {
            output.push_str(&rest[open..open + close + 2]);
        }
        rest = &inside[close + 1..];
    }
    output.push_str(rest);
    output.trim().to_owned()
}

/// A heading without permalink marks and numbering.
pub(super) fn heading(text: &str, format: PageFormat) -> String {
    let text = shown(text, format);
    let text = text.trim().trim_end_matches(['¶', '§', '#', ':', '🔗']).trim_end();
    let numbered = text.find(|c: char| !(c.is_ascii_digit() || c == '.')).unwrap_or(0);
    if numbered > 0 && text[..numbered].contains('.') && text[numbered..].starts_with(' ') {
        text[numbered..].trim_start().to_owned()
    } else {
        text.to_owned()
    }
}

/// What the page is about: its first heading, else its title without the site's name.
pub(super) fn page_subject(page: &PageText) -> String {
    // The names of its members are about parts of it.
    if page.format == PageFormat::Json {
        return page.title.clone().unwrap_or_default();
    }
    // A page without a heading of the first level may still open with its name.
    let top = || page.blocks.iter().take(3).find(|block| matches!(block.kind, BlockKind::Heading(_)));
    let first = page.blocks.iter().find(|block| matches!(block.kind, BlockKind::Heading(1))).or_else(top);
    let from_heading = first.map(|block| heading(&block.text, page.format)).filter(|text| !text.is_empty() && !is_generic(text));
    let from_title = || {
        let title = page.title.as_deref().unwrap_or_default();
        [" - ", " — ", " – ", " | ", " · ", " :: "]
            .iter()
            .filter_map(|mark| title.find(mark))
            .min()
            .map_or(title, |at| &title[..at])
            .trim()
            .to_owned()
    };
    let subject = from_heading.unwrap_or_else(from_title);
    if subject.len() > SUBJECT_BYTES_MAX { short(&subject) } else { subject }
}

/// The part of a long title before its first colon, dash or bracket.
fn short(title: &str) -> String {
    let cut = [": ", " – ", " — ", " (", ", "].iter().filter_map(|mark| title.find(mark)).min().unwrap_or(title.len());
    crate::base::text::truncate(&title[..cut], SUBJECT_BYTES_MAX).trim().to_owned()
}

/// Whether a heading names a part of any page.
pub(super) fn is_generic(heading: &str) -> bool {
    heading.is_empty() || heading.to_lowercase().starts_with("by ") || GENERIC.contains(&heading.to_lowercase().as_str())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::services::collect::page::Block;

    #[test]
    fn subjects_are_headings_without_decoration() {
        let mut page = PageText { title: Some("Rhine - Facts site".into()), ..PageText::default() };
        assert_eq!(page_subject(&page), "Rhine");
        page.blocks.push(Block::new(BlockKind::Heading(1), "2.1 Connection pool¶"));
        assert_eq!(page_subject(&page), "Connection pool");
        page.blocks[0].text = "Overview".into();
        assert_eq!(page_subject(&page), "Rhine");
    }

    #[test]
    fn reference_marks_go_and_other_brackets_stay() {
        assert_eq!(without_references("Long[1] river[note 2] [sic] array[i][12]."), "Long river [sic] array.");
        assert_eq!(without_references("open [ bracket"), "open [ bracket");
    }
}
