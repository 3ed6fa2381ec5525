//! The words of a text that carry its meaning.

use unicode_segmentation::UnicodeSegmentation;

/// Most words of one question; the rest adds noise and time.
const WORDS_MAX: usize = 32;
/// Longest word in characters.
const WORD_CHARS_MAX: usize = 64;
/// English words that say nothing about a subject: they stand in nearly every text.
const STOP_WORDS: &[&str] = &[
    "a", "about", "above", "after", "again", "all", "also", "am", "an", "and", "any", "are", "as", "at", "be", "because", "been", "before", "being",
    "below", "between", "both", "but", "by", "can", "could", "did", "do", "does", "doing", "down", "during", "each", "every", "few", "for", "from",
    "further", "get", "had", "has", "have", "having", "he", "her", "here", "hers", "him", "his", "how", "i", "if", "in", "into", "is", "it", "its",
    "just", "many", "may", "me", "might", "more", "most", "much", "must", "my", "no", "nor", "not", "of", "off", "on", "once", "one", "only", "or",
    "other", "our", "out", "over", "own", "per", "same", "she", "should", "so", "some", "such", "than", "that", "the", "their", "them", "then",
    "there", "these", "they", "this", "those", "through", "to", "too", "under", "until", "up", "us", "very", "was", "we", "were", "what", "when",
    "where", "which", "while", "who", "whom", "whose", "why", "will", "with", "would", "you", "your",
];

/// Whether a lower-case word says nothing about a subject.
#[must_use]
pub fn is_stop_word(word: &str) -> bool {
    STOP_WORDS.binary_search(&word).is_ok()
}

/// The distinct words of a text in lower case, without the most common ones, in order; all of them when only common ones are there.
#[must_use]
pub fn telling_words(text: &str) -> Vec<String> {
    let mut all: Vec<String> = Vec::new();
    for word in text.unicode_words() {
        let word: String = word.to_lowercase().chars().take(WORD_CHARS_MAX).collect();
        if !all.contains(&word) {
            all.push(word);
        }
        if all.len() >= 4 * WORDS_MAX {
            break;
        }
    }
    let mut telling: Vec<String> = all.iter().filter(|word| !is_stop_word(word)).cloned().collect();
    if telling.is_empty() {
        telling = all;
    }
    telling.truncate(WORDS_MAX);
    telling
}

/// Whether two lower-case words are likely forms of one: the same but for an ending of up to three letters.
#[must_use]
pub fn related(a: &str, b: &str) -> bool {
    let (short, long) = if a.len() <= b.len() { (a, b) } else { (b, a) };
    if short == long {
        return true;
    }
    let shared = short.chars().zip(long.chars()).take_while(|(x, y)| x == y).count();
    let (short, long) = (short.chars().count(), long.chars().count());
    shared >= 4 && short - shared <= 2 && long - shared <= 3
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_stop_words_are_sorted_for_their_search() {
        assert!(STOP_WORDS.is_sorted());
    }

    #[test]
    fn a_question_keeps_what_it_is_about() {
        assert_eq!(telling_words("How long is the Rhine, and the RHINE's source?"), ["long", "rhine", "rhine's", "source"]);
        assert_eq!(telling_words("Who are you?"), ["who", "are", "you"]);
        assert!(telling_words(" \"*( ").is_empty());
    }

    #[test]
    fn endings_do_not_hide_a_word() {
        assert!(related("inhabitant", "inhabitants") && related("policies", "policy") && related("year", "years"));
        assert!(!related("car", "care") && !related("rhine", "rhone") && !related("2023", "2024"));
    }
}
