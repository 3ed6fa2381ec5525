//! The words of a question that carry its meaning.

use unicode_segmentation::UnicodeSegmentation;

/// Most words of one question; the rest adds noise and time.
const WORDS_MAX: usize = 32;
/// Longest word in characters.
const WORD_CHARS_MAX: usize = 64;
/// English words that stand in nearly every text: they find everything, slowly.
const COMMON: &[&str] = &[
    "a", "about", "an", "and", "any", "are", "as", "at", "be", "been", "but", "by", "can", "could", "did", "do", "does", "for", "from", "give",
    "had", "has", "have", "he", "her", "his", "how", "i", "if", "in", "into", "is", "it", "its", "many", "me", "more", "most", "much", "my", "no",
    "not", "of", "on", "or", "our", "please", "she", "should", "show", "so", "some", "such", "tell", "than", "that", "the", "their", "them", "then",
    "there", "these", "they", "this", "those", "to", "was", "we", "were", "what", "when", "where", "which", "who", "whom", "whose", "why", "will",
    "with", "would", "you", "your",
];

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
    let mut telling: Vec<String> = all.iter().filter(|word| COMMON.binary_search(&word.as_str()).is_err()).cloned().collect();
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
    fn the_common_words_are_sorted_for_their_search() {
        assert!(COMMON.is_sorted());
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
