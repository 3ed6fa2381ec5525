//! Sentences within a block, as ranges of its text.

use std::ops::Range;

/// Shortest and longest sentence that is worth quoting, in bytes.
pub(super) const SENTENCE_BYTES: Range<usize> = 25..600;

/// After these a full stop does not end a sentence.
const ABBREVIATIONS: [&str; 44] = [
    "al", "approx", "art", "bzw", "c", "ca", "cf", "chap", "co", "corp", "dept", "dr", "e.g", "ed", "eds", "eg", "est", "etc", "fig", "figs", "gen",
    "gov", "i.e", "ie", "inc", "jr", "ltd", "max", "min", "mr", "mrs", "ms", "mt", "no", "nos", "nr", "op", "pp", "prof", "sr", "st", "vol", "vs",
    "z.b",
];

/// The sentences of a block, in order, without white space and reference marks (`[1]`) at their ends.
pub(super) fn split(text: &str) -> Vec<Range<usize>> {
    let mut sentences = Vec::new();
    let mut start = 0;
    for (at, c) in text.char_indices() {
        if at < start || !matches!(c, '.' | '!' | '?' | '。' | '！' | '？' | '…') {
            continue;
        }
        let after = at + c.len_utf8();
        let closed = after + text[after..].len() - text[after..].trim_start_matches(['"', '\'', '”', '’', '»', ')', '」']).len();
        let next = skip_references(text, closed);
        if ends_here(text, start, at, c, next) {
            push(text, start..closed, &mut sentences);
            start = next + text[next..].len() - text[next..].trim_start().len();
        }
    }
    push(text, start..text.len(), &mut sentences);
    sentences
}

/// Whether a range of a block reads as a sentence: it begins as one, ends as one, and has enough words.
pub(super) fn is_sentence(text: &str) -> bool {
    let ended = text.trim_end_matches(['"', '\'', '”', '’', '»', ')', '」']).ends_with(['.', '!', '?', '。', '！', '？']);
    let begun = text
        .trim_start_matches(['"', '“', '«', '(', '„', '‘', '\'', '*', '_', '`', '[', '-', ' '])
        .starts_with(|c: char| c.is_uppercase() || c.is_ascii_digit() || !c.is_ascii());
    let wide = text.chars().filter(|c| ('\u{3040}'..='\u{9fff}').contains(c) || ('\u{ac00}'..='\u{d7af}').contains(c)).count();
    let words = text.split(' ').filter(|word| word.chars().any(char::is_alphabetic)).count();
    SENTENCE_BYTES.contains(&text.len()) && ended && begun && (words >= 5 || wide >= 10)
}

fn push(text: &str, range: Range<usize>, sentences: &mut Vec<Range<usize>>) {
    let whole = &text[range.clone()];
    let trimmed = whole.trim();
    if !trimmed.is_empty() {
        let start = range.start + (whole.len() - whole.trim_start().len());
        sentences.push(start..start + trimmed.len());
    }
}

/// Past `[1]`, `[note 2]`, `[citation needed]` right after a sentence.
fn skip_references(text: &str, mut at: usize) -> usize {
    while let Some(rest) = text[at..].strip_prefix('[') {
        match rest.find(']') {
            Some(end) if end <= 20 => at += end + 2,
            _ => break,
        }
    }
    at
}

fn ends_here(text: &str, start: usize, at: usize, c: char, next: usize) -> bool {
    if matches!(c, '。' | '！' | '？') || next >= text.len() {
        return true;
    }
    let rest = &text[next..];
    if !rest.starts_with(' ') {
        return false;
    }
    let follows = rest.trim_start_matches([' ', '"', '“', '‘', '«', '(', '„', '*', '_', '`', '[']).chars().next();
    if !follows.is_some_and(|c| c.is_uppercase() || c.is_ascii_digit() || (c.is_alphabetic() && !c.is_lowercase())) {
        return false;
    }
    if c != '.' {
        return true;
    }
    let word = text[start..at].rsplit([' ', '(', '“', '"']).next().unwrap_or_default();
    // A single capital is an initial, unless it ends a unit or a name of one letter after a figure: rare enough.
    let initial = word.chars().count() == 1 && word.chars().all(char::is_uppercase);
    let dotted = word.contains('.') && word.split('.').all(|part| part.chars().count() <= 1);
    !(initial || dotted || ABBREVIATIONS.contains(&word.to_lowercase().as_str()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(text: &str) -> Vec<&str> {
        split(text).into_iter().map(|range| &text[range]).collect()
    }

    #[test]
    fn sentences_end_where_a_reader_ends_them() {
        assert_eq!(
            texts(
                "The Rhine is 1,230.5 km long.[1][note 2] Dr. J. Smith measured it (see Fig. 2). “Is it?” he asked, e.g. in the U.S. and abroad. Yes!"
            ),
            ["The Rhine is 1,230.5 km long.", "Dr. J. Smith measured it (see Fig. 2).", "“Is it?” he asked, e.g. in the U.S. and abroad.", "Yes!"]
        );
        assert_eq!(texts("信濃川は長い。全長は367キロ。"), ["信濃川は長い。", "全長は367キロ。"]);
        assert_eq!(texts("See config.toml for more. Then restart"), ["See config.toml for more.", "Then restart"]);
    }

    #[test]
    fn menus_and_fragments_are_not_sentences() {
        assert!(is_sentence("The default timeout is 30 seconds."));
        for text in ["Home About Contact Imprint Legal", "and so on it goes and goes.", "Yes, it is."] {
            assert!(!is_sentence(text), "{text}");
        }
    }
}
