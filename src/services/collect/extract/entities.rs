//! Who and what a sentence names: runs of capitalised words, rather too few than too many.

use std::collections::BTreeSet;

use super::words::{Word, is_capitalised, words};

/// Most names kept of a sentence.
const PER_SENTENCE_MAX: usize = 8;
/// Most words of a name.
const WORDS_MAX: usize = 6;
/// Words that join parts of a name.
const JOINERS: [&str; 12] = ["of", "de", "la", "du", "von", "van", "der", "del", "di", "for", "am", "upon"];
/// Capitalised words that name nothing by themselves.
const COMMON: [&str; 102] = [
    "a",
    "after",
    "all",
    "although",
    "an",
    "and",
    "any",
    "appendix",
    "april",
    "as",
    "at",
    "august",
    "because",
    "both",
    "but",
    "by",
    "chapter",
    "das",
    "december",
    "default",
    "dem",
    "den",
    "der",
    "des",
    "die",
    "each",
    "ein",
    "eine",
    "february",
    "fig",
    "figs",
    "figure",
    "for",
    "friday",
    "from",
    "he",
    "her",
    "here",
    "his",
    "how",
    "however",
    "i",
    "if",
    "in",
    "instead",
    "it",
    "its",
    "january",
    "july",
    "june",
    "let",
    "listing",
    "many",
    "march",
    "may",
    "monday",
    "more",
    "most",
    "no",
    "not",
    "note",
    "november",
    "october",
    "of",
    "on",
    "one",
    "other",
    "our",
    "page",
    "saturday",
    "section",
    "see",
    "september",
    "she",
    "since",
    "so",
    "some",
    "step",
    "such",
    "sunday",
    "table",
    "the",
    "their",
    "then",
    "there",
    "these",
    "they",
    "this",
    "thursday",
    "to",
    "tuesday",
    "use",
    "using",
    "we",
    "wednesday",
    "what",
    "when",
    "where",
    "while",
    "with",
    "without",
    "you",
];

/// Names seen in the middle of sentences, where capitals mean something.
#[derive(Debug, Default)]
pub(super) struct Lexicon {
    seen: BTreeSet<String>,
}

impl Lexicon {
    /// Learns the names of a sentence that stand behind its first word.
    pub(super) fn learn(&mut self, sentence: &str) {
        let found = words(sentence);
        for (at, word) in found.iter().enumerate().skip(1) {
            if is_name_word(word.text) && !follows_stop(sentence, &found[at]) {
                self.seen.insert(word.text.to_owned());
            }
        }
    }

    /// Whether this word was seen as a name.
    pub(super) fn knows(&self, word: &str) -> bool {
        self.seen.contains(word)
    }

    /// The names in a sentence, in order, each once. German capitalises every noun: there only names of several words count.
    pub(super) fn entities(&self, sentence: &str, language: Option<&str>) -> Vec<String> {
        let found = words(sentence);
        let mut entities: Vec<String> = Vec::new();
        let mut at = 0;
        while at < found.len() && entities.len() < PER_SENTENCE_MAX {
            let length = name_length(sentence, &found[at..]);
            if length == 0 {
                at += 1;
                continue;
            }
            let mut first = at;
            let last = at + length - 1;
            // `The Rhine` at the start is `Rhine`.
            while first < last && COMMON.contains(&found[first].text.to_lowercase().as_str()) {
                first += 1;
            }
            let text = sentence[found[first].at.start..found[last].at.end].trim_end_matches("'s").trim_end_matches("’s");
            let single = first == last;
            let opens = first == 0 || follows_stop(sentence, &found[first]);
            let acronym = text.chars().count() >= 2 && text.chars().all(|c| c.is_uppercase() || c.is_ascii_digit() || c == '_');
            let trusted = !single || acronym || ((!opens || self.knows(text)) && !language.is_some_and(|language| language.starts_with("de")));
            if trusted
                && !COMMON.contains(&text.to_lowercase().as_str())
                && text.chars().count() > 1
                && super::units::unit(text).is_none()
                && !entities.iter().any(|known| known == text)
            {
                entities.push(text.to_owned());
            }
            at = last + 1;
        }
        entities
    }
}

fn is_name_word(word: &str) -> bool {
    is_capitalised(word) && word.chars().any(char::is_alphabetic) && !COMMON.contains(&word.to_lowercase().as_str())
}

/// Whether a word opens a sentence or a quotation within the text.
fn follows_stop(text: &str, word: &Word<'_>) -> bool {
    text[..word.at.start].trim_end().ends_with(['.', ':', '!', '?', '“', '"', '•', '|'])
}

/// How many of the words from the first on are one name.
fn name_length(text: &str, from: &[Word<'_>]) -> usize {
    let capital = |word: &Word<'_>| is_capitalised(word.text) && word.text.chars().any(char::is_alphabetic);
    if !from.first().is_some_and(capital) {
        return 0;
    }
    let mut length = 1;
    while length < from.len().min(WORDS_MAX) {
        let touches = |at: usize| text[from[at - 1].at.end..from[at].at.start] == *" ";
        if touches(length) && capital(&from[length]) {
            length += 1;
        } else if touches(length)
            && JOINERS.contains(&from[length].text)
            && length + 1 < from.len()
            && touches(length + 1)
            && capital(&from[length + 1])
        {
            length += 2;
        } else {
            break;
        }
    }
    length
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_found_and_opening_words_are_not() {
        let mut lexicon = Lexicon::default();
        lexicon.learn("It flows past Basel into the Rhine.");
        assert_eq!(
            lexicon.entities("The Rhine joins Lake Constance near the University of Konstanz, as NATO said in March.", None),
            ["Rhine", "Lake Constance", "University of Konstanz", "NATO"]
        );
        assert_eq!(lexicon.entities("Basel is a city. Most of it is old.", None), ["Basel"]);
        assert!(lexicon.entities("Timeouts are set in seconds.", None).is_empty());
    }

    #[test]
    fn german_nouns_are_not_names() {
        assert_eq!(Lexicon::default().entities("Der Fluss fließt durch die Stadt und den Bodensee Kreis.", Some("de")), ["Bodensee Kreis"]);
    }
}
