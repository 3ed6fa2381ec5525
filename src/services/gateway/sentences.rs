//! Cuts a passage into the sentences that can be quoted, each an exact part of it, and reads the words that carry meaning.

use unicode_segmentation::UnicodeSegmentation;

use crate::model::words::is_stop_word;

/// Longest quote in bytes: a "sentence" beyond it is a list or a page without full stops, and is cut at a word.
const SENTENCE_MAX_BYTES: usize = 600;

/// The sentences of a text in order. Each is an exact part of one line, without white space at its ends.
pub(super) fn sentences(text: &str) -> Vec<&str> {
    text.lines().flat_map(in_line).filter(|sentence| sentence.chars().any(char::is_alphanumeric)).collect()
}

/// The lines of a text that say something.
pub(super) fn lines(text: &str) -> Vec<&str> {
    text.lines().map(str::trim).filter(|line| line.chars().any(char::is_alphanumeric)).collect()
}

fn in_line(line: &str) -> Vec<&str> {
    let mut found = Vec::new();
    let mut start = 0;
    let mut marks = line.char_indices().peekable();
    while let Some((at, mark)) = marks.next() {
        let wide = matches!(mark, '。' | '！' | '？');
        if !wide && !matches!(mark, '.' | '!' | '?') {
            continue;
        }
        let end = closing(line, at + mark.len_utf8());
        let after = &line[end..];
        let opens = after.trim_start().chars().next().is_none_or(|c| !c.is_lowercase());
        if wide || (after.starts_with(char::is_whitespace) && opens && !(mark == '.' && is_abbreviation(&line[start..at]))) {
            found.push(shorten(line[start..end].trim()));
            start = end;
            while marks.peek().is_some_and(|(next, _)| *next < end) {
                marks.next();
            }
        }
    }
    found.push(shorten(line[start..].trim()));
    found
}

/// Past quotation marks, brackets and reference marks such as `[12]` that belong to the sentence ending before `from`.
fn closing(line: &str, from: usize) -> usize {
    let mut end = from;
    loop {
        let rest = &line[end..];
        let step = match rest.chars().next() {
            Some(mark @ ('"' | '”' | '’' | '\'' | ')' | '»')) => mark.len_utf8(),
            Some('[') => match reference_mark(rest) {
                Some(length) => length,
                None => return end,
            },
            _ => return end,
        };
        end += step;
    }
}

/// Length of a `[12]` at the start of the text.
pub(super) fn reference_mark(text: &str) -> Option<usize> {
    let inside = text.strip_prefix('[')?;
    let digits = inside.bytes().take_while(u8::is_ascii_digit).count();
    (digits > 0 && inside[digits..].starts_with(']')).then_some(digits + 2)
}

/// Whether the full stop after `before` belongs to a word such as "Dr." or an initial.
fn is_abbreviation(before: &str) -> bool {
    const KNOWN: [&str; 26] = [
        "dr", "mr", "mrs", "ms", "prof", "st", "no", "nr", "vs", "approx", "ca", "cf", "fig", "vol", "inc", "ltd", "co", "corp", "jr", "sr", "e.g",
        "i.e", "z.b", "bzw", "u.s", "p",
    ];
    let word = before.rsplit(|c: char| c.is_whitespace() || c == '(').next().unwrap_or_default();
    let single_letter = word.chars().count() == 1 && word.chars().all(char::is_alphabetic);
    single_letter || KNOWN.contains(&word.to_lowercase().as_str())
}

pub(super) fn shorten(sentence: &str) -> &str {
    let cut = crate::base::text::truncate(sentence, SENTENCE_MAX_BYTES);
    if cut.len() == sentence.len() {
        return sentence;
    }
    cut.rfind(char::is_whitespace).map_or(cut, |at| cut[..at].trim_end())
}

/// The words that carry meaning, in lower case and cut to their stem, in order.
pub(super) fn terms(text: &str) -> Vec<String> {
    text.unicode_words()
        .flat_map(parts)
        .map(str::to_lowercase)
        .filter(|word| !is_stop_word(word) && !ASKING.contains(&word.as_str()))
        .map(|word| stem(&word))
        .collect()
}

/// The words in a program's name: `price_eur`, `keeper.phone`, `unitPrice`.
fn parts(word: &str) -> Vec<&str> {
    if !word.is_ascii() || word.len() < 4 {
        return vec![word];
    }
    let bytes = word.as_bytes();
    let joined = |at: usize| bytes[at] == b'_' || bytes[at] == b'.' && at > 1 && !bytes[at - 1].is_ascii_digit();
    let mut parts = Vec::new();
    let mut start = 0;
    for at in 1..bytes.len() {
        let hump = bytes[at - 1].is_ascii_lowercase() && bytes[at].is_ascii_uppercase();
        if joined(at) || hump {
            parts.push(&word[start..at]);
            start = at + usize::from(!hump);
        }
    }
    parts.push(&word[start..]);
    parts.retain(|part| !part.is_empty());
    parts
}

/// A light English stem: plural, possessive, "-ing", "-ed", "-ion" and a last "e" go. Words of other languages mostly pass unchanged, which only
/// makes them match less often.
fn stem(word: &str) -> String {
    let word = word.trim_end_matches("'s").trim_end_matches("’s");
    if !word.is_ascii() || word.bytes().any(|b| b.is_ascii_digit()) {
        return word.to_owned();
    }
    let cut = |suffix: &str, shortest: usize| word.strip_suffix(suffix).filter(|stem| stem.len() >= shortest);
    let stem = if let Some(stem) = cut("ies", 3) {
        return format!("{stem}y");
    } else if let Some(stem) = cut("ing", 4).or_else(|| cut("ed", 3)) {
        undouble(stem)
    } else if let Some(stem) = cut("ions", 5).or_else(|| cut("ion", 5)) {
        stem
    } else if let Some(stem) = cut("es", 3).filter(|stem| stem.ends_with(['s', 'x', 'z']) || stem.ends_with("ch") || stem.ends_with("sh")) {
        stem
    } else if let Some(stem) = cut("s", 3).filter(|stem| !stem.ends_with(['s', 'u', 'i'])) {
        stem
    } else {
        word
    };
    if stem.len() > 3 { stem.strip_suffix('e').unwrap_or(stem).to_owned() } else { stem.to_owned() }
}

/// "planned" without its ending is "plann": one of the two letters goes.
fn undouble(stem: &str) -> &str {
    let mut last = stem.bytes().rev();
    match (last.next(), last.next()) {
        (Some(a), Some(b)) if a == b && !matches!(a, b'l' | b's' | b'z' | b'e' | b'o') => &stem[..stem.len() - 1],
        _ => stem,
    }
}

/// Words of which questions are made.
const ASKING: &[&str] = &[
    "current",
    "currently",
    "done",
    "exactly",
    "find",
    "frequently",
    "give",
    "know",
    "latest",
    "list",
    "mean",
    "now",
    "often",
    "please",
    "question",
    "say",
    "show",
    "tell",
    "want",
];

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn sentences_end_where_a_reader_would_end_them() {
        let text = "Dr. Meier moved 3.5 km, i.e. nearby. He said \"Go.\" Then it rained.[12] Was it 1 p.m.? Yes!\nNext line";
        let expected = ["Dr. Meier moved 3.5 km, i.e. nearby.", "He said \"Go.\"", "Then it rained.[12]", "Was it 1 p.m.?", "Yes!", "Next line"];
        assert_eq!(sentences(text), expected);
        assert_eq!(sentences("東京は首都です。人口は多い。"), ["東京は首都です。", "人口は多い。"]);
    }

    #[test]
    fn forms_of_a_word_share_a_stem() {
        for (left, right) in [("population", "populated"), ("cities", "city"), ("Berlin's", "berlin"), ("planned", "planning"), ("prices", "price")] {
            assert_eq!(terms(left), terms(right), "{left} {right}");
        }
        assert_eq!(terms("What is the population of Berlin?"), ["populat", "berlin"]);
        assert_eq!(terms("bus"), ["bus"]);
        assert_eq!(terms("price_eur keeper.phone unitPrice e.g 3.5"), ["pric", "eur", "keeper", "phon", "unit", "pric", "e.g", "3.5"]);
    }

    proptest! {
        #[test]
        fn every_sentence_is_a_part_of_one_line(text in "\\PC{0,80}(\\.|\\?|。|\\[3\\]| |\n|[A-Z]){0,20}\\PC{0,80}") {
            for sentence in sentences(&text) {
                prop_assert!(text.lines().any(|line| line.contains(sentence)));
                prop_assert!(sentence.len() <= SENTENCE_MAX_BYTES && sentence == sentence.trim());
            }
        }
    }
}
