//! Writing the blocks of a page within its bounds.

use super::page::{BLOCK_BYTES_MAX, BLOCKS_MAX, Block, TEXT_BYTES_MAX};
use crate::base::text::truncate;

/// Collects blocks within the bounds of a page.
#[derive(Debug, Default)]
pub(super) struct Blocks {
    pub(super) list: Vec<Block>,
    bytes: usize,
    pub(super) truncated: bool,
}

impl Blocks {
    /// Adds a block; empty ones are dropped, long ones continued in the next, and beyond the page's bounds all are cut.
    pub(super) fn push(&mut self, block: Block) {
        let Block { kind, text, seams } = block;
        let mut rest = text.as_str();
        let mut from = 0;
        while !rest.is_empty() {
            if self.list.len() >= BLOCKS_MAX || self.bytes >= TEXT_BYTES_MAX {
                self.truncated = true;
                return;
            }
            let part = cut_at_word(rest, BLOCK_BYTES_MAX);
            let range = from..from + part.len();
            let inside = |&at: &u32| (at as usize) > range.start && (at as usize) < range.end;
            let seams = seams.iter().copied().filter(inside).map(|at| at - u32::try_from(range.start).unwrap_or(0)).collect();
            self.bytes += part.len() + 1;
            self.list.push(Block { kind, text: part.to_owned(), seams });
            let next = rest[part.len()..].trim_start();
            from += rest.len() - next.len();
            rest = next;
        }
    }
}

/// At most `max` bytes of `text`, ending at a word's end where there is one.
fn cut_at_word(text: &str, max: usize) -> &str {
    let cut = truncate(text, max);
    if cut.len() == text.len() {
        return cut;
    }
    match cut.rfind(' ') {
        Some(at) if at > 0 => &cut[..at],
        _ => cut,
    }
}

#[cfg(test)]
mod tests {
    use super::super::page::BlockKind;
    use super::*;

    #[test]
    fn a_long_block_is_continued_without_losing_a_word() {
        let text = "word ".repeat(10_000);
        let mut blocks = Blocks::default();
        blocks.push(Block { kind: BlockKind::Paragraph, text: text.trim().to_owned(), seams: vec![10, 20_000] });
        assert!(blocks.list.len() > 2 && blocks.list.iter().all(|block| block.text.len() <= BLOCK_BYTES_MAX));
        let again = blocks.list.iter().map(|block| block.text.as_str()).collect::<Vec<_>>().join(" ");
        assert_eq!(again, text.trim());
        assert_eq!(blocks.list[0].seams, [10]);
        assert_eq!(blocks.list[1].seams.len(), 1);
        assert!(!blocks.truncated);
    }
}
