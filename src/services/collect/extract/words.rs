//! Words: where they stand, which carry meaning, and their stems.

use std::ops::Range;

/// A word and where it stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Word<'a> {
    pub(super) text: &'a str,
    pub(super) at: Range<usize>,
}

/// The words of a text: letters and digits, with apostrophes and hyphens inside.
pub(super) fn words(text: &str) -> Vec<Word<'_>> {
    let mut found = Vec::new();
    let mut start: Option<usize> = None;
    let mut previous = 0;
    for (at, c) in text.char_indices() {
        let joins = matches!(c, '\'' | '’' | '-' | '_') && start.is_some() && text[at + c.len_utf8()..].starts_with(char::is_alphanumeric);
        if c.is_alphanumeric() || joins {
            start.get_or_insert(at);
        } else if let Some(from) = start.take() {
            found.push(Word { text: &text[from..previous], at: from..previous });
        }
        previous = at + c.len_utf8();
    }
    if let Some(from) = start {
        found.push(Word { text: &text[from..previous], at: from..previous });
    }
    found
}

/// The stems of the words that carry meaning, in order, with repetitions.
pub(super) fn terms(text: &str) -> Vec<String> {
    words(text)
        .iter()
        .flat_map(|word| word.text.split(['-', '\'', '’', '_']))
        .map(str::to_lowercase)
        .filter(|word| !is_stop_word(word))
        .map(|word| stem(&word))
        .collect()
}

/// A light stem: plural, `-ing` and `-ed` endings go. Two words of one family meet; no dictionary is needed.
pub(super) fn stem(word: &str) -> String {
    if !word.is_ascii() || word.len() < 4 || word.bytes().any(|b| b.is_ascii_digit()) {
        return word.to_owned();
    }
    let cut = |ending: &str, least: usize| word.strip_suffix(ending).filter(|rest| rest.len() >= least);
    let stem = if let Some(rest) = cut("ies", 2) {
        format!("{rest}y")
    } else if let Some(rest) = cut("sses", 2) {
        format!("{rest}ss")
    } else if word.ends_with("ss") || word.ends_with("us") || word.ends_with("is") {
        word.to_owned()
    } else if let Some(rest) = cut("s", 3) {
        rest.to_owned()
    } else {
        word.to_owned()
    };
    let stem = ["ing", "ed"].iter().find_map(|ending| stem.strip_suffix(ending).filter(|rest| rest.len() >= 4).map(str::to_owned)).unwrap_or(stem);
    // `pricing`, `priced` and `price` meet without their `e`.
    match stem.strip_suffix('e') {
        Some(rest) if rest.len() >= 4 => rest.to_owned(),
        _ => stem,
    }
}

/// Words that say nothing about a subject, and those of which objectives are made (`track`, `show`).
pub(super) fn is_stop_word(word: &str) -> bool {
    const OBJECTIVE: &[&str] = &[
        "collect",
        "extract",
        "find",
        "follow",
        "gather",
        "give",
        "keep",
        "key",
        "learn",
        "list",
        "monitor",
        "report",
        "say",
        "show",
        "summarise",
        "summarize",
        "tell",
        "track",
        "use",
        "used",
        "using",
        "watch",
    ];
    // What an apostrophe leaves of `it's` and `don't`.
    matches!(word, "" | "s" | "t") || OBJECTIVE.contains(&word) || crate::model::words::is_stop_word(word)
}

/// Whether the word begins with a capital letter.
pub(super) fn is_capitalised(word: &str) -> bool {
    word.chars().next().is_some_and(char::is_uppercase)
}

/// The text with its first letter as a capital.
pub(super) fn capitalise(text: &str) -> String {
    let mut characters = text.chars();
    match characters.next() {
        Some(first) => first.to_uppercase().chain(characters).collect(),
        None => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn families_of_words_meet() {
        assert_eq!(terms("What are the lengths of European rivers?"), ["length", "european", "river"]);
        assert_eq!(stem("pricing"), stem("prices"));
        assert_eq!(stem("countries"), stem("country"));
        assert_eq!(stem("timeouts"), stem("timeout"));
    }

    #[test]
    fn words_know_where_they_stand() {
        let found = words("Don’t use T-shirts - ever.");
        assert_eq!(found.iter().map(|word| word.text).collect::<Vec<_>>(), ["Don’t", "use", "T-shirts", "ever"]);
        assert!(words("The list is sorted").iter().any(|word| is_stop_word(&word.text.to_lowercase())));
    }
}
