//! Cutting text into pieces of a model's size. Loses no text, and every piece is an exact part of it.

use std::ops::Range;

/// How a model cuts a text into tokens.
pub trait TokenSpans: Send + Sync {
    /// Where each token lies in the text, in bytes, in order. White space belongs to none.
    fn token_spans(&self, text: &str) -> Vec<Range<usize>>;
}

/// How large pieces are, in the model's tokens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PieceSize {
    /// Most tokens of a piece.
    pub tokens_max: usize,
    /// Most tokens that a piece repeats of the one before it.
    pub overlap_max: usize,
}

/// A part of a text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Piece {
    /// Where it lies in the text, in bytes; on character boundaries, without white space at its ends.
    pub range: Range<usize>,
    /// Its length in tokens.
    pub tokens: u32,
}

/// A token longer than this counts as several: the model may see a megabyte without spaces as one unknown word.
const TOKEN_BYTES_MAX: usize = 64;

/// How well a text can be cut before a token; larger is better.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Cut {
    InsideWord,
    Word,
    Sentence,
    Block,
}

/// Cuts `text` into pieces of at most `size.tokens_max` tokens. Each after the first repeats at most `size.overlap_max` tokens of the one before.
/// A cut is made at the end of a block (line) or a sentence where one lies in the last quarter of a piece, else between words.
#[must_use]
pub fn split(text: &str, tokens: &dyn TokenSpans, size: PieceSize) -> Vec<Piece> {
    let starts = unit_starts(text, &tokens.token_spans(text));
    let max = size.tokens_max.max(1);
    let overlap = size.overlap_max.min(max / 4);
    let mut pieces = Vec::new();
    let mut first = 0;
    while first < starts.len() {
        let last = if starts.len() - first <= max { starts.len() } else { best_end(text, &starts, first + max - max / 4, first + max) };
        let end = starts.get(last).copied().unwrap_or(text.len());
        if let Some(range) = trimmed(text, starts[first]..end) {
            pieces.push(Piece { range, tokens: u32::try_from(last - first).unwrap_or(u32::MAX) });
        }
        if last == starts.len() {
            break;
        }
        // The repeated part begins at a sentence where one begins in its first half, else at a word.
        let next = if overlap == 0 { last } else { best_start(text, &starts, last - overlap, last - overlap / 2) };
        first = next.max(first + 1);
    }
    pieces
}

/// The best place to end among units `from..=to`; the last of equals, so that pieces are full.
fn best_end(text: &str, starts: &[usize], from: usize, to: usize) -> usize {
    (from..=to).max_by_key(|&unit| cut_before(text, starts[unit])).unwrap_or(to)
}

/// The best place to begin among units `from..=to`; the first of equals, so that the overlap is full.
fn best_start(text: &str, starts: &[usize], from: usize, to: usize) -> usize {
    (from..=to).rev().max_by_key(|&unit| cut_before(text, starts[unit])).unwrap_or(from)
}

fn cut_before(text: &str, at: usize) -> Cut {
    let before = &text[..at];
    let trimmed = before.trim_end();
    if trimmed.len() == before.len() {
        return Cut::InsideWord;
    }
    if before[trimmed.len()..].contains('\n') {
        return Cut::Block;
    }
    let sentence = trimmed.trim_end_matches(['"', '\'', ')', ']', '”', '’', '»']).ends_with(['.', '!', '?', '…', '。', '！', '？']);
    if sentence { Cut::Sentence } else { Cut::Word }
}

/// Where each token begins, such that together they cover the whole text from its first character: sorted, on character boundaries,
/// overlong ones divided.
fn unit_starts(text: &str, spans: &[Range<usize>]) -> Vec<usize> {
    let mut starts = Vec::with_capacity(spans.len() + 1);
    if text.trim().is_empty() {
        return starts;
    }
    starts.push(0);
    for span in spans.iter().skip(1) {
        let at = floor_boundary(text, span.start.min(text.len()));
        push_divided(text, &mut starts, at);
    }
    push_divided(text, &mut starts, text.len());
    starts.pop();
    starts
}

/// Adds `at` and, before it, as many divisions as keep each unit within [`TOKEN_BYTES_MAX`].
fn push_divided(text: &str, starts: &mut Vec<usize>, at: usize) {
    let mut last = starts.last().copied().unwrap_or(0);
    while at - last.min(at) > TOKEN_BYTES_MAX {
        last = floor_boundary(text, last + TOKEN_BYTES_MAX);
        starts.push(last);
    }
    if at > last {
        starts.push(at);
    }
}

fn floor_boundary(text: &str, at: usize) -> usize {
    (0..=at).rev().find(|&at| text.is_char_boundary(at)).unwrap_or(0)
}

fn trimmed(text: &str, range: Range<usize>) -> Option<Range<usize>> {
    let part = &text[range.clone()];
    let start = range.start + (part.len() - part.trim_start().len());
    let end = range.start + part.trim_end().len();
    (start < end).then_some(start..end)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Words are tokens; those of more than four characters are several.
    struct Fake;

    impl TokenSpans for Fake {
        fn token_spans(&self, text: &str) -> Vec<Range<usize>> {
            let mut spans = Vec::new();
            for word in text.split_whitespace() {
                let base = word.as_ptr().addr() - text.as_ptr().addr();
                let marks: Vec<usize> = word.char_indices().map(|(at, _)| at).step_by(4).chain([word.len()]).collect();
                spans.extend(marks.windows(2).map(|pair| base + pair[0]..base + pair[1]));
            }
            spans
        }
    }

    /// Sees the whole text as one token.
    struct OneToken;

    impl TokenSpans for OneToken {
        fn token_spans(&self, text: &str) -> Vec<Range<usize>> {
            std::iter::once(0..text.len()).collect()
        }
    }

    fn texts(text: &str, tokens_max: usize, overlap_max: usize) -> Vec<&str> {
        split(text, &Fake, PieceSize { tokens_max, overlap_max }).into_iter().map(|piece| &text[piece.range]).collect()
    }

    #[test]
    fn a_short_text_is_one_piece_and_nothing_is_none() {
        assert_eq!(texts(" One two. ", 8, 2), ["One two."]);
        assert!(texts(" \n ", 8, 2).is_empty());
        assert!(texts("", 8, 2).is_empty());
    }

    #[test]
    fn cuts_prefer_blocks_then_sentences_then_words() {
        assert_eq!(texts("a b c d e f\ng h. i j k l", 8, 0), ["a b c d e f", "g h. i j k l"]);
        assert_eq!(texts("a b c d e f. g h i j k l", 8, 0), ["a b c d e f.", "g h i j k l"]);
        assert_eq!(texts("a b c d e f g abcdefgh z", 8, 0), ["a b c d e f g", "abcdefgh z"], "no word is cut where a space is near");
    }

    #[test]
    fn a_piece_repeats_the_end_of_the_one_before() {
        assert_eq!(texts("a b c d e f g h i j k l", 8, 2), ["a b c d e f g h", "g h i j k l"]);
    }

    #[test]
    fn a_megabyte_in_one_token_is_divided() {
        let text = "x".repeat(1_000_000);
        let pieces = split(&text, &OneToken, PieceSize { tokens_max: 512, overlap_max: 64 });
        assert!(pieces.iter().all(|piece| piece.range.len() <= 512 * TOKEN_BYTES_MAX), "bounded");
        assert_eq!(pieces.last().map(|piece| piece.range.end), Some(text.len()));
    }

    proptest! {
        #[test]
        fn no_text_is_lost_and_no_piece_is_too_large(
            text in "([a-zé日]{1,12}[.!?]?[ \n\u{3000}]{0,2}){0,80}",
            tokens_max in 1usize..40,
            overlap_max in 0usize..20,
        ) {
            let pieces = split(&text, &Fake, PieceSize { tokens_max, overlap_max });
            let mut covered = vec![false; text.len()];
            for piece in &pieces {
                prop_assert!(piece.tokens as usize <= tokens_max && piece.tokens > 0);
                let part = &text[piece.range.clone()];
                prop_assert_eq!(part, part.trim());
                covered[piece.range.clone()].iter_mut().for_each(|seen| *seen = true);
            }
            let lost: String = text.char_indices().filter(|(at, c)| !covered[*at] && !c.is_whitespace()).map(|(_, c)| c).collect();
            prop_assert_eq!(lost, "");
            for pair in pieces.windows(2) {
                prop_assert!(pair[0].range.start < pair[1].range.start, "each piece begins later");
                let repeated = pair[0].range.end.saturating_sub(pair[1].range.start);
                let tokens = Fake.token_spans(&text[pair[1].range.start..pair[1].range.start + repeated]).len();
                prop_assert!(tokens <= overlap_max.min(tokens_max / 4), "repeats at most the overlap");
            }
        }
    }
}
