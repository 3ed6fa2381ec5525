//! Which passages an answer cites: the `[n]` in its text, and only those that there are.

/// A text and the passages it cites.
#[derive(Debug, PartialEq, Eq)]
pub struct Cited {
    /// The text without citations of passages that do not exist.
    pub text: String,
    /// The numbers cited, each once, ascending.
    pub numbers: Vec<usize>,
}

/// Longest number taken for a citation: `[2024]` is a year that somebody put in brackets.
const DIGITS_MAX: usize = 3;

/// Reads the citations of a generated text over passages 1 to `passages`. `[1, 2]` becomes `[1][2]`; an unknown number is removed, since it would
/// point at nothing. Code in backticks is left alone.
#[must_use]
pub fn read(text: &str, passages: usize) -> Cited {
    let mut out = String::with_capacity(text.len());
    let mut numbers = std::collections::BTreeSet::new();
    let mut rest = text;
    let mut in_code = false;
    while let Some(at) = rest.find(['[', '`']) {
        out.push_str(&rest[..at]);
        rest = &rest[at..];
        if rest.starts_with('`') {
            in_code = !in_code;
            out.push('`');
            rest = &rest[1..];
            continue;
        }
        match bracket(rest).filter(|_| !in_code) {
            Some((cited, length)) => {
                let known: Vec<usize> = cited.into_iter().filter(|n| (1..=passages).contains(n)).collect();
                if known.is_empty() {
                    out.truncate(out.trim_end_matches(' ').len());
                }
                for n in known {
                    numbers.insert(n);
                    out.push_str(&format!("[{n}]"));
                }
                rest = &rest[length..];
            }
            None => {
                out.push('[');
                rest = &rest[1..];
            }
        }
    }
    out.push_str(rest);
    Cited { text: out, numbers: numbers.into_iter().collect() }
}

/// The numbers of `[1]` or `[1, 2]` at the start of `text`, and its length in bytes.
fn bracket(text: &str) -> Option<(Vec<usize>, usize)> {
    let end = text.find(']')?;
    let inside = &text[1..end];
    let number = |part: &str| {
        let part = part.trim();
        let fits = !part.is_empty() && part.len() <= DIGITS_MAX && part.bytes().all(|b| b.is_ascii_digit());
        fits.then(|| part.parse().ok()).flatten()
    };
    let numbers = inside.split([',', ';']).map(number).collect::<Option<Vec<usize>>>()?;
    Some((numbers, end + 1))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn cited(text: &str, numbers: &[usize]) -> Cited {
        Cited { text: text.to_owned(), numbers: numbers.to_vec() }
    }

    #[test]
    fn known_numbers_stay_and_unknown_ones_go() {
        assert_eq!(read("A [2]. B [9]. C [1][2]", 2), cited("A [2]. B. C [1][2]", &[1, 2]));
        assert_eq!(read("A [1, 7; 2].", 3), cited("A [1][2].", &[1, 2]));
        assert_eq!(read("A [0].", 3), cited("A.", &[]));
    }

    #[test]
    fn years_words_and_code_are_not_citations() {
        let text = "In [2024] see [note] and `list[1]`, open [";
        assert_eq!(read(text, 3), cited(text, &[]));
    }

    proptest! {
        #[test]
        fn every_number_left_is_known_and_reading_again_changes_nothing(text in "([a-z ]|\\[|\\]|[0-9]|,|`|é){0,60}", passages in 0usize..6) {
            let once = read(&text, passages);
            prop_assert!(once.numbers.iter().all(|n| (1..=passages).contains(n)));
            let mut known = once.numbers.clone();
            known.dedup();
            prop_assert_eq!(known, once.numbers);
        }
    }
}
