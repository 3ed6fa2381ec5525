//! Small work on text that more than one floor needs.

/// The longest prefix of at most `max_bytes` bytes that ends between characters.
#[must_use]
pub fn truncate(text: &str, max_bytes: usize) -> &str {
    if text.len() <= max_bytes {
        return text;
    }
    let end = (0..=max_bytes).rev().find(|&at| text.is_char_boundary(at)).unwrap_or(0);
    &text[..end]
}

/// Every run of white space becomes one space; none at the ends.
#[must_use]
pub fn collapse_whitespace(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// An error's words as a sentence for people: a capital at the start, unless it begins with a name such as `a.txt`, and a full stop at the end.
#[must_use]
pub fn sentence(words: impl std::fmt::Display) -> String {
    let words = words.to_string();
    let mut rest = words.chars();
    let first = words.split_whitespace().next().unwrap_or_default().trim_end_matches([',', ':', ';', '.']);
    let is_word = first.chars().all(|c| c.is_alphabetic() || matches!(c, '\'' | '’' | '-'));
    let first: String = rest.next().map(|c| if is_word { c.to_uppercase().collect() } else { c.to_string() }).unwrap_or_default();
    let stop = if words.ends_with(['.', '!', '?']) { "" } else { "." };
    format!("{first}{}{stop}", rest.as_str())
}

/// The candidate nearest to `name`, if near enough to be a typing error (Jaro-Winkler of 0.8 and more, any case).
#[must_use]
pub fn nearest<'a>(name: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let name = name.to_lowercase();
    candidates
        .into_iter()
        .map(|candidate| (strsim::jaro_winkler(&name, &candidate.to_lowercase()), candidate))
        .filter(|(score, _)| *score >= 0.8)
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .map(|(_, candidate)| candidate)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn truncation_respects_characters() {
        assert_eq!(truncate("naïve", 3), "na");
        assert_eq!(truncate("naïve", 4), "naï");
        assert_eq!(truncate("a", 9), "a");
    }

    #[test]
    fn words_become_a_sentence() {
        assert_eq!(sentence("a name holds text only"), "A name holds text only.");
        assert_eq!(sentence("Done."), "Done.");
        assert_eq!(sentence("notes.txt has no text"), "notes.txt has no text.");
        assert_eq!(sentence("no: it's over"), "No: it's over.");
    }

    #[test]
    fn a_typing_error_finds_its_name_and_nonsense_finds_none() {
        let names = ["DB_POOL_MAX", "DB_POOL_MIN", "LOG_LEVEL"];
        assert_eq!(nearest("db_pol_max", names), Some("DB_POOL_MAX"));
        assert_eq!(nearest("zzz", names), None);
    }
}
