//! Lists and definitions as statements: opening hours, contacts, what to bring. An item says little alone, so it is told with what leads to its list.

use std::ops::Range;

use super::super::page::{Block, BlockKind, PageFormat};
use super::context::PageContext;
use super::{sentences, titles};

/// Items told in one statement, and their bytes: more is a table or a menu, and goes on in the next.
const ITEMS_MAX: usize = 8;
const ITEMS_BYTES_MAX: usize = 420;
/// Longest item that is one: a longer one is prose without a full stop.
const ITEM_BYTES_MAX: usize = 160;
/// Longest text that leads to a list.
const LEAD_BYTES_MAX: usize = 120;

/// Items that belong together.
pub(super) struct List {
    /// `Opening hours: Monday: closed; Tuesday to Friday: 10:00–17:00`.
    pub(super) text: String,
    /// Where the items stand: block and range.
    pub(super) items: Vec<(usize, Range<usize>)>,
}

/// An item on its way to a list.
struct Item {
    text: String,
    block: usize,
}

/// The lists of a page whose items are no sentences.
pub(super) fn read(context: &PageContext<'_>) -> Vec<List> {
    let blocks = &context.page.blocks;
    let (mut lists, mut open): (Vec<List>, Vec<Item>) = (Vec::new(), Vec::new());
    if matches!(context.page.format, PageFormat::Json | PageFormat::Csv) {
        return lists;
    }
    // A list that is cut into several statements has one lead: what stands before its first item.
    let mut first = 0;
    let mut term: Option<String> = None;
    for (at, block) in blocks.iter().enumerate() {
        if block.kind == BlockKind::Term {
            if open.is_empty() {
                first = at;
            }
            term = Some(titles::shown(&block.text, context.page.format));
            continue;
        }
        match item(context, block, term.take()) {
            Some(text) => {
                if open.is_empty() && block.kind == BlockKind::ListItem {
                    first = at;
                }
                if open.len() >= ITEMS_MAX || open.iter().map(|item| item.text.len()).sum::<usize>() + text.len() > ITEMS_BYTES_MAX {
                    close(context, first, &mut open, &mut lists);
                }
                open.push(Item { text, block: at });
            }
            None => close(context, first, &mut open, &mut lists),
        }
    }
    close(context, first, &mut open, &mut lists);
    lists
}

/// What an item says, with the term that it defines.
fn item(context: &PageContext<'_>, block: &Block, term: Option<String>) -> Option<String> {
    if !matches!(block.kind, BlockKind::ListItem | BlockKind::Definition) || block.text.len() > ITEM_BYTES_MAX {
        return None;
    }
    let sentences = sentences::split(&block.text);
    if sentences.iter().any(|range| sentences::is_sentence(&block.text[range.clone()])) {
        return None;
    }
    let range = super::without_item_mark(&block.text, 0..block.text.len());
    let text = titles::shown(&block.text[range], context.page.format);
    let text = text.trim_end_matches(['.', ';', ',']);
    let telling = text.chars().filter(|c| c.is_alphanumeric()).count() >= 3 && !text.contains(['{', '}', '<', '>', '|', '\\']);
    telling.then(|| match term {
        Some(term) => format!("{}: {text}", term.trim_end_matches(':')),
        None => text.to_owned(),
    })
}

fn close(context: &PageContext<'_>, first: usize, open: &mut Vec<Item>, lists: &mut Vec<List>) {
    let items = std::mem::take(open);
    let Some(lead) = lead(context, first).filter(|_| !items.is_empty()) else { return };
    // Figures and fields tell something. Words alone do where a sentence leads to them: under a heading they are a menu as often as not.
    let words_tell = lead.led;
    let telling = |item: &Item| {
        item.text.contains(": ") || item.text.contains(|c: char| c.is_ascii_digit()) || (words_tell && item.text.split(' ').count() >= 3)
    };
    if items.iter().filter(|item| telling(item)).count() * 2 < items.len() {
        return;
    }
    let told: Vec<&str> = items.iter().map(|item| item.text.as_str()).collect();
    let ranges = items.iter().map(|item| (item.block, 0..context.page.blocks[item.block].text.len())).collect();
    lists.push(List { text: format!("{}: {}", lead.text, told.join("; ")), items: ranges });
}

struct Lead {
    text: String,
    /// It is a text that goes on in the list, rather than a heading.
    led: bool,
}

/// What leads to a list: the text before it where that ends with a colon, else its heading, else the page's subject.
fn lead(context: &PageContext<'_>, first: usize) -> Option<Lead> {
    let before = first.checked_sub(1).map(|at| &context.page.blocks[at]);
    let said = before.filter(|block| matches!(block.kind, BlockKind::Paragraph | BlockKind::Other) && block.text.ends_with(':')).map(|block| {
        let range = sentences::split(&block.text).pop().unwrap_or(0..block.text.len());
        titles::shown(&block.text[range], context.page.format)
    });
    let said = said.filter(|text| text.len() <= LEAD_BYTES_MAX);
    let led = said.is_some();
    let text = said.or_else(|| context.heading_at(first).map(str::to_owned)).unwrap_or_else(|| context.subject.clone());
    let text = text.trim_end_matches(':').trim().to_owned();
    (!text.is_empty()).then_some(Lead { text, led })
}
