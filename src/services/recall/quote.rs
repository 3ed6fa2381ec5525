//! The words of a chunk that a citation quotes.

use unicode_segmentation::UnicodeSegmentation;

use crate::base::text;
use crate::model::words::{related, telling_words};

/// Longest quote in bytes. What has no full stop within is cut at a word.
const QUOTE_BYTES_MAX: usize = 400;
/// A sentence shorter than this says little alone.
const QUOTE_BYTES_GOOD: usize = 25;

/// The sentence of `quotable` that shares most with the question: an exact part of one of its lines. Rare words weigh more. Empty only when there
/// is no text.
pub(super) fn best<'a>(quotable: &'a str, question: &str) -> &'a str {
    let sentences: Vec<&str> = quotable.lines().flat_map(sentences).collect();
    let wanted = telling_words(question);
    let words: Vec<Vec<String>> = sentences.iter().map(|sentence| sentence.unicode_words().map(str::to_lowercase).collect()).collect();
    let holds = |sentence: &[String], word: &String| sentence.iter().any(|other| related(other, word));
    let weights: Vec<f32> = wanted
        .iter()
        .map(|word| {
            let holding = words.iter().filter(|sentence| holds(sentence, word)).count();
            ((sentences.len() + 1) as f32 / (holding + 1) as f32).ln() + 0.1
        })
        .collect();
    let score = |at: usize| {
        let shared: f32 = wanted.iter().zip(&weights).filter(|(word, _)| holds(&words[at], word)).map(|(_, weight)| weight).sum();
        let whole = sentences[at].ends_with(['.', '!', '?', '。']) && sentences[at].starts_with(|c: char| !c.is_lowercase());
        shared + if sentences[at].len() >= QUOTE_BYTES_GOOD { 0.05 } else { 0.0 } + if whole { 0.05 } else { 0.0 }
    };
    // The first of equals: texts begin with what matters.
    (0..sentences.len()).rev().max_by(|&a, &b| score(a).total_cmp(&score(b))).map_or("", |at| sentences[at])
}

/// The sentences of a line, without white space at their ends, none longer than a quote may be.
fn sentences(line: &str) -> impl Iterator<Item = &str> {
    let mut parts = Vec::new();
    let mut start = 0;
    for (at, part) in line.split_sentence_bound_indices() {
        let end = at + part.len();
        if end == line.len() || !ends_abbreviated(part) {
            parts.push(line[start..end].trim());
            start = end;
        }
    }
    parts.into_iter().filter(|part| !part.is_empty()).map(shortened)
}

/// Whether a part ends with a title or an initial (`Dr.`, `J.`) rather than with a sentence.
fn ends_abbreviated(part: &str) -> bool {
    let last = part.trim_end().strip_suffix('.').and_then(|part| part.rsplit([' ', '.', '(']).next()).unwrap_or_default();
    let letters = last.chars().count();
    letters == 1 || (letters <= 3 && last.starts_with(char::is_uppercase) && last.chars().skip(1).all(char::is_lowercase))
}

fn shortened(sentence: &str) -> &str {
    if sentence.len() <= QUOTE_BYTES_MAX {
        return sentence;
    }
    let cut = text::truncate(sentence, QUOTE_BYTES_MAX);
    cut.rfind(char::is_whitespace).map_or(cut, |at| cut[..at].trim_end())
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "Rivers of Europe\nThe Danube is 2,850 km long. The Rhine is 1,230 km long, says Dr. Kremer of Cologne.\nRhine 1,230";

    #[test]
    fn the_sentence_that_answers_is_quoted_word_for_word() {
        let quote = best(TEXT, "How long is the Rhine?");
        assert_eq!(quote, "The Rhine is 1,230 km long, says Dr. Kremer of Cologne.");
        assert!(TEXT.contains(quote));
        assert_eq!(best(TEXT, "danubes"), "The Danube is 2,850 km long.");
    }

    #[test]
    fn there_is_always_a_quote_where_there_is_text() {
        assert_eq!(best(TEXT, "???"), "The Danube is 2,850 km long.");
        assert_eq!(best("x", "y"), "x");
        assert_eq!(best(" \n", "y"), "");
        let endless = "wörd ".repeat(500);
        let quote = best(&endless, "word");
        assert!(quote.len() <= QUOTE_BYTES_MAX && quote.ends_with("wörd") && endless.contains(quote));
    }
}
