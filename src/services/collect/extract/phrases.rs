//! The phrases of a sentence around a figure: its clause, its subject, what is counted, and whether words can name an attribute.

use super::words::{is_capitalised, words};

/// Words between a verb and its figure that only hedge.
const HEDGES: &[&str] = &[
    "about",
    "approximately",
    "around",
    "over",
    "more than",
    "less than",
    "fewer than",
    "at least",
    "at most",
    "up to",
    "nearly",
    "almost",
    "some",
    "roughly",
    "an estimated",
    "only",
    "just",
    "under",
    "as many as",
    "as much as",
    "a total of",
    "exactly",
    "currently",
    "now",
    "a maximum of",
    "a minimum of",
    "below",
    "above",
    "slightly",
    "well",
    "set to",
    "to",
    "by",
    "at",
    "the",
    "a",
    "an",
    "approx.",
    "c.",
    "ca.",
    "not",
    "still",
    "even",
];

/// Verbs that make what stands before them equal to the figure.
pub(super) const COPULAS: &[&str] = &[
    "is",
    "was",
    "are",
    "were",
    "be",
    "reached",
    "reaches",
    "totalled",
    "totaled",
    "totals",
    "equals",
    "measures",
    "measured",
    "averages",
    "averaged",
    "rose",
    "fell",
    "grew",
    "increased",
    "decreased",
    "dropped",
    "declined",
    "stands",
    "stood",
    "amounts",
    "amounted",
    "defaults",
    "exceeds",
    "exceeded",
    "hit",
    "climbed",
    "remains",
    "remained",
];

/// Verbs that say what is counted by themselves.
pub(super) const VERBS: &[(&str, &str)] = &[
    ("covers", "Area"),
    ("covered", "Area"),
    ("drains", "Drainage area"),
    ("weighs", "Weight"),
    ("weighed", "Weight"),
    ("lasts", "Duration"),
    ("lasted", "Duration"),
    ("costs", "Cost"),
    ("cost", "Cost"),
    ("stretches", "Length"),
    ("extends", "Length"),
    ("spans", "Span"),
    ("earned", "Earnings"),
];

/// Verbs whose object is counted: `has 12 moons`.
pub(super) const HAVING: &[&str] = &[
    "has",
    "have",
    "had",
    "contains",
    "contain",
    "includes",
    "include",
    "employs",
    "employed",
    "holds",
    "hold",
    "produces",
    "produced",
    "supports",
    "support",
    "allows",
    "allow",
    "accepts",
    "accept",
    "carries",
    "carried",
    "serves",
    "served",
    "comprises",
    "operates",
    "operated",
    "handles",
    "stores",
    "keeps",
    "uses",
    "attracts",
    "attracted",
    "hosts",
    "hosted",
    "receives",
    "received",
    "counts",
    "generates",
    "generated",
];

pub(super) const PRONOUNS: &[&str] = &[
    "it", "they", "this", "that", "these", "those", "which", "who", "he", "she", "there", "its", "their", "his", "her", "we", "you", "i", "one",
    "each", "all", "both",
];

/// Words that cannot be part of what a figure is the figure of.
const BREAKERS: &[&str] = &[
    "a", "an", "the", "with", "has", "have", "had", "at", "to", "by", "for", "from", "in", "on", "and", "or", "but", "is", "was", "are", "were",
    "that", "its", "their", "his", "her", "than", "as", "reaches", "reached", "into", "over", "about", "if", "when", "while", "because", "after",
    "before", "per", "out", "one", "any", "some", "this", "these", "each", "every", "under", "between", "up", "consists", "made", "instead",
    "because", "use", "uses", "using",
];

/// Longest attribute, in words and bytes.
const ATTRIBUTE_WORDS_MAX: usize = 5;

const ATTRIBUTE_BYTES_MAX: usize = 50;

/// Whether the figure is a bound rather than a value.
pub(super) fn bound(left: &str) -> &'static str {
    let left = left.trim_end();
    match () {
        () if ["up to", "at most", "a maximum of", "no more than", "not more than"].iter().any(|word| left.ends_with(word)) => "maximum",
        () if ["at least", "a minimum of", "no less than", "not less than"].iter().any(|word| left.ends_with(word)) => "minimum",
        () => "",
    }
}

pub(super) fn bounded(bound: &str, attribute: &str) -> String {
    let lower = attribute.to_lowercase();
    let said = bound.is_empty() || ["max", "min", "limit", "most", "least"].iter().any(|word| lower.contains(word));
    if said { attribute.to_owned() } else { format!("{bound} {}", lower_first(attribute)) }
}

/// The first letter small, unless the word is an abbreviation.
pub(super) fn lower_first(text: &str) -> String {
    let mut characters = text.chars();
    match (characters.next(), characters.clone().next()) {
        (Some(first), second) if !second.is_some_and(char::is_uppercase) => first.to_lowercase().chain(characters).collect(),
        _ => text.to_owned(),
    }
}

/// `Ships may` in `Ships may be …` is `Ships`.
pub(super) fn without_modal(phrase: &str) -> &str {
    let phrase = phrase.trim();
    [" may", " can", " must", " should", " will", " could", " might", " would", " shall"]
        .iter()
        .find_map(|modal| phrase.strip_suffix(modal))
        .unwrap_or(phrase)
}

pub(super) fn without_hedges(text: &str) -> &str {
    let mut left = text.trim_end_matches(['(', '~', '≈']).trim_end();
    'again: loop {
        for hedge in HEDGES {
            if let Some(rest) = left.strip_suffix(hedge)
                && rest.ends_with(' ')
            {
                left = rest.trim_end();
                continue 'again;
            }
        }
        return left;
    }
}

/// The last clause of what stands before a verb; the sentence's subject when that clause is an insertion.
pub(super) fn clause<'a>(before: &'a str, sentence: &'a str) -> &'a str {
    let start = [", ", "; ", ": ", " and ", " but ", " while ", ") "]
        .iter()
        .filter_map(|mark| before.rfind(mark).map(|at| at + mark.len()))
        .max()
        .unwrap_or(0);
    let last = before[start..].trim();
    let relative = ["which", "who", "that", "a ", "an ", "and ", "one of"].iter().any(|word| last.starts_with(word));
    if last.is_empty() || relative { subject(sentence) } else { last }
}

/// The subject of a sentence, behind an opening like `In 2023, `: what stands before the first verb or comma.
pub(super) fn subject(sentence: &str) -> &str {
    let openers = ["In ", "As of ", "By ", "At ", "Since ", "On ", "With ", "According ", "During ", "After ", "For "];
    let rest = match sentence.find(", ") {
        Some(comma) if openers.iter().any(|opener| sentence.starts_with(opener)) => &sentence[comma + 2..],
        _ => sentence,
    };
    let mut end = rest.find([',', ';', '(', ':']).unwrap_or(rest.len());
    for word in words(rest) {
        let lower = word.text.to_lowercase();
        if word.at.start >= end {
            break;
        }
        if COPULAS.contains(&lower.as_str())
            || HAVING.contains(&lower.as_str())
            || VERBS.iter().any(|(verb, _)| *verb == lower)
            || lower == "with"
            || lower == "flows"
        {
            end = word.at.start;
            break;
        }
    }
    rest[..end].trim()
}

/// The noun phrase that a text ends with: `has a mean discharge` gives `mean discharge`.
pub(super) fn last_phrase(text: &str) -> Option<&str> {
    let found = words(text);
    if found.last()?.at.end != text.len() {
        return None;
    }
    let start = found.iter().rposition(|word| BREAKERS.contains(&word.text.to_lowercase().as_str())).map_or(0, |at| at + 1);
    let phrase = text[found.get(start)?.at.start..].trim();
    let phrase = phrase.rsplit([',', ';', '(', ':']).next().unwrap_or(phrase).trim();
    is_attribute(phrase).then_some(phrase)
}

/// What is counted: the one or two words after a bare figure.
pub(super) fn counted(right: &str) -> Option<&str> {
    let found = words(right);
    let first = found.first().filter(|word| word.at.start == 0)?;
    let stops = |word: &str| {
        BREAKERS.contains(&word) || ["of", "who", "which", "live", "lived", "people's", "times", "other", "more", "most"].contains(&word)
    };
    if stops(first.text) || is_capitalised(first.text) || first.text.len() < 3 {
        return None;
    }
    // An adjective is followed by its noun; a plural stands alone.
    let mut end = first.at.end;
    if !first.text.ends_with('s')
        && let Some(second) = found.get(1)
        && right[end..second.at.start] == *" "
        && !stops(second.text)
        && second.text.ends_with('s')
    {
        end = second.at.end;
    }
    Some(&right[..end]).filter(|noun| is_attribute(noun))
}

pub(super) fn without_article(phrase: &str) -> &str {
    let phrase = phrase.trim().trim_start_matches(['“', '"', '(', '-', ' ']);
    ["The ", "the ", "A ", "a ", "An ", "an "].iter().find_map(|article| phrase.strip_prefix(article)).unwrap_or(phrase).trim()
}

pub(super) fn is_attribute(phrase: &str) -> bool {
    let count = phrase.split(' ').count();
    const ODD_STARTS: [&str; 26] = [
        "if", "and", "so", "for", "finally", "in", "note", "when", "by", "as", "or", "to", "then", "thus", "at", "on", "after", "before", "since",
        "also", "first", "here", "now", "however", "next", "with",
    ];
    let first = phrase.split(' ').next().unwrap_or_default().to_lowercase();
    let odd = ODD_STARTS.contains(&first.as_str()) || phrase.contains(" the ") || phrase.contains(['—', '–', '$', '_', '’']);
    let clean = !odd
        && !super::tables::is_naming(phrase)
        && !phrase.contains(['.', '!', '?', '{', '}', '<', '>', '=', '/', '"', '“', ':', '|', '#', '[', ']']);
    (3..=ATTRIBUTE_BYTES_MAX).contains(&phrase.len())
        && count <= ATTRIBUTE_WORDS_MAX
        && clean
        && phrase.starts_with(char::is_alphabetic)
        && !PRONOUNS.contains(&phrase.to_lowercase().as_str())
        && !words(phrase).iter().any(|word| COPULAS.contains(&word.text) || ["who", "which", "that", "not", "if"].contains(&word.text))
}
