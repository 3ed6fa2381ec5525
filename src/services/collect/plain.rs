//! Plain text to blocks: paragraphs end at empty lines, lists and underlined headings are known.

use super::page::{Block, BlockKind, Blocks, PageText};
use crate::base::text::{collapse_whitespace, truncate};

/// Most bytes of a line that is taken for a title.
const TITLE_BYTES_MAX: usize = 120;

/// Reads plain text.
pub(super) fn read(text: &str) -> PageText {
    let mut blocks = Blocks::default();
    let mut paragraph: Vec<&str> = Vec::new();
    for line in text.lines() {
        let trimmed = line.trim();
        if trimmed.is_empty() {
            end_paragraph(&mut paragraph, &mut blocks);
        } else if is_underline(trimmed) && paragraph.len() == 1 {
            let level = if trimmed.starts_with('=') { 1 } else { 2 };
            let heading = collapse_whitespace(paragraph.first().copied().unwrap_or_default());
            paragraph.clear();
            blocks.push(Block::new(BlockKind::Heading(level), heading));
        } else if is_rule(trimmed) {
            end_paragraph(&mut paragraph, &mut blocks);
        } else {
            if is_item(trimmed) {
                end_paragraph(&mut paragraph, &mut blocks);
            }
            paragraph.push(line);
        }
    }
    end_paragraph(&mut paragraph, &mut blocks);
    page(blocks)
}

fn page(blocks: Blocks) -> PageText {
    let title = blocks
        .list
        .first()
        .filter(|block| {
            matches!(block.kind, BlockKind::Heading(_)) || (block.text.len() <= TITLE_BYTES_MAX && !block.text.ends_with(['.', ':', ';']))
        })
        .map(|block| truncate(&block.text, TITLE_BYTES_MAX).to_owned());
    PageText { title, blocks: blocks.list, truncated: blocks.truncated, ..PageText::default() }
}

fn end_paragraph(paragraph: &mut Vec<&str>, blocks: &mut Blocks) {
    let lines = std::mem::take(paragraph);
    let Some(first) = lines.first() else { return };
    if is_item(first.trim()) {
        blocks.push(Block::new(BlockKind::ListItem, collapse_whitespace(&lines.join(" "))));
    } else if lines.len() > 1 && lines.iter().all(|line| is_field(line.trim())) {
        // `Length: 1,230 km` line by line is a list, not a sentence.
        for line in lines {
            blocks.push(Block::new(BlockKind::ListItem, collapse_whitespace(line)));
        }
    } else {
        blocks.push(Block::new(BlockKind::Paragraph, collapse_whitespace(&lines.join(" "))));
    }
}

fn is_underline(line: &str) -> bool {
    line.len() >= 3 && (line.bytes().all(|b| b == b'=') || line.bytes().all(|b| b == b'-'))
}

fn is_rule(line: &str) -> bool {
    line.len() >= 3 && line.bytes().all(|b| matches!(b, b'=' | b'-' | b'*' | b'_' | b'#' | b'~'))
}

fn is_item(line: &str) -> bool {
    if line.starts_with(['•', '‣', '◦']) || ["- ", "* ", "+ "].iter().any(|mark| line.starts_with(mark)) {
        return true;
    }
    let digits = line.bytes().take_while(u8::is_ascii_digit).count();
    (1..=3).contains(&digits) && (line[digits..].starts_with(". ") || line[digits..].starts_with(") "))
}

fn is_field(line: &str) -> bool {
    line.split_once(": ").is_some_and(|(name, value)| (1..=60).contains(&name.len()) && !value.trim().is_empty() && !name.contains(". "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paragraphs_lists_fields_and_headings_are_told_apart() {
        let page = read("Rivers\n======\n\nThe Rhine\nis long.\n\n- one\n- two\n  more\n1. three\n\nLength: 1,230 km\nBasin: 185,000 km2\n");
        use BlockKind::{Heading, ListItem, Paragraph};
        let blocks: Vec<_> = page.blocks.iter().map(|block| (block.kind, block.text.as_str())).collect();
        assert_eq!(
            blocks,
            [
                (Heading(1), "Rivers"),
                (Paragraph, "The Rhine is long."),
                (ListItem, "- one"),
                (ListItem, "- two more"),
                (ListItem, "1. three"),
                (ListItem, "Length: 1,230 km"),
                (ListItem, "Basin: 185,000 km2"),
            ]
        );
        assert_eq!(page.title.as_deref(), Some("Rivers"));
    }
}
