//! Dates, as sources write them, and the date a figure holds for.

use std::ops::Range;

const MONTHS: [&str; 12] = ["january", "february", "march", "april", "may", "june", "july", "august", "september", "october", "november", "december"];

/// A date in a text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Date {
    pub(super) at: Range<usize>,
    /// `2024`, `2024-03` or `2024-03-12`.
    pub(super) iso: String,
}

/// The number of the month that a word names, in full or by at least three letters.
fn month(word: &str) -> Option<usize> {
    let word = word.trim_end_matches('.').to_lowercase();
    // `may` is a verb far more often than a month that stands alone: callers see to a number beside it.
    MONTHS
        .iter()
        .position(|name| *name == word || (word.len() == 3 && name.starts_with(&word)) || (word == "sept" && *name == "september"))
        .map(|at| at + 1)
}

/// Whether the text begins with a month, as in ` March 2024` after a day.
pub(super) fn begins_with_month(text: &str) -> bool {
    text.split([' ', ',']).next().is_some_and(|word| super::words::is_capitalised(word) && month(word).is_some())
}

/// Whether the text ends with a month, as in `March ` before a day.
pub(super) fn ends_with_month(text: &str) -> bool {
    text.strip_suffix(' ').and_then(|text| text.rsplit(' ').next()).is_some_and(|word| super::words::is_capitalised(word) && month(word).is_some())
}

fn year(word: &str) -> Option<u32> {
    (word.len() == 4).then(|| word.parse().ok()).flatten().filter(|year| (1500..=2100).contains(year))
}

/// The dates of a text, in order.
pub(super) fn find(text: &str) -> Vec<Date> {
    let tokens = super::words::words(text);
    let mut dates = Vec::new();
    let mut at = 0;
    while at < tokens.len() {
        let word = |offset: usize| tokens.get(at + offset).map(|token| token.text).unwrap_or_default();
        let day = |text: &str| text.parse::<u32>().ok().filter(|day| text.len() <= 2 && (1..=31).contains(day));
        let named = |text: &str| super::words::is_capitalised(text).then(|| month(text)).flatten();
        let (iso, used) = if let Some(iso) = iso_date(word(0)) {
            (iso, 1)
        } else if let (Some(day), Some(month), Some(year)) = (day(word(0)), named(word(1)), year(word(2))) {
            (format!("{year}-{month:02}-{day:02}"), 3)
        } else if let (Some(month), Some(day), Some(year)) = (named(word(0)), day(word(1)), year(word(2))) {
            (format!("{year}-{month:02}-{day:02}"), 3)
        } else if let (Some(month), Some(year)) = (named(word(0)), year(word(1))) {
            (format!("{year}-{month:02}"), 2)
        } else if let Some(year) = year(word(0)).filter(|_| stands_alone(text, &tokens[at].at)) {
            (year.to_string(), 1)
        } else {
            at += 1;
            continue;
        };
        dates.push(Date { at: tokens[at].at.start..tokens[at + used - 1].at.end, iso });
        at += used;
    }
    dates
}

/// `2024-03-12` or `2024-03`.
fn iso_date(word: &str) -> Option<String> {
    let parts: Vec<&str> = word.split('-').collect();
    let number = |at: usize, width: usize, most: u32| {
        parts.get(at).filter(|part| part.len() == width).and_then(|part| part.parse::<u32>().ok()).filter(|n| (1..=most).contains(n))
    };
    parts.first().and_then(|part| year(part))?;
    match parts.len() {
        3 if number(1, 2, 12).is_some() && number(2, 2, 31).is_some() => Some(word.to_owned()),
        2 if number(1, 2, 12).is_some() => Some(word.to_owned()),
        _ => None,
    }
}

/// Whether a number of four digits is not part of a longer figure.
fn stands_alone(text: &str, at: &Range<usize>) -> bool {
    let joined = |c: char| c.is_alphanumeric() || matches!(c, '.' | ',' | '/' | '_' | '$' | '€' | '£' | '#');
    let before = text[..at.start].chars().next_back();
    let mut after = text[at.end..].chars();
    let (next, then) = (after.next(), after.next());
    // A comma or a full stop after it is punctuation unless a digit follows.
    before.is_none_or(|c| !joined(c))
        && !(next.is_some_and(joined) && then.is_some_and(char::is_alphanumeric))
        && super::units::unit_at(text[at.end..].trim_start()).is_none()
}

/// The date that the figure at `figure` holds for: `as of …` anywhere in the sentence, a date that opens it (`In 2023, …`), or one in
/// the figure's own clause.
pub(super) fn as_of(sentence: &str, figure: &Range<usize>) -> Option<String> {
    let dates = find(sentence);
    let leads = |date: &Date| {
        let before = sentence[..date.at.start].to_lowercase();
        ["as of", "as at", "as of the", "updated", "status:", "per"].iter().any(|lead| before.trim_end().ends_with(lead))
    };
    if let Some(date) = dates.iter().find(|date| leads(date)) {
        return Some(date.iso.clone());
    }
    let opening = |date: &&Date| {
        let before = sentence[..date.at.start].trim().to_lowercase();
        matches!(before.as_str(), "in" | "by" | "at the end of" | "since" | "during" | "on")
            && sentence[date.at.end..].trim_start().starts_with([',', ' '])
            || (before == "in" && date.at.end < figure.start)
    };
    if let Some(date) = dates.iter().find(opening) {
        return Some(date.iso.clone());
    }
    let in_clause = |date: &&Date| {
        let between = if date.at.start >= figure.end { &sentence[figure.end..date.at.start] } else { return false };
        let lower = between.to_lowercase();
        !between.contains([',', ';', '.']) && between.len() <= 40 && (lower.trim_end().ends_with(" in") || lower.trim_end().ends_with('('))
    };
    dates.iter().find(in_clause).map(|date| date.iso.clone())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_are_read_in_all_common_forms() {
        let isos = |text: &str| find(text).into_iter().map(|date| date.iso).collect::<Vec<_>>();
        assert_eq!(
            isos("On 2024-03-12, 12 March 2023 and March 5, 2022; in Feb 2021 and 1999."),
            ["2024-03-12", "2023-03-12", "2022-03-05", "2021-02", "1999"]
        );
        assert!(isos("It may 5 times reach 1,999 km or 2000 km or $2010 or v2001.").is_empty(), "{:?}", isos("It may reach 2000 km"));
    }

    #[test]
    fn a_figure_holds_for_the_date_said_with_it() {
        let at = |sentence: &str, figure: &str| {
            let start = sentence.find(figure).unwrap();
            as_of(sentence, &(start..start + figure.len()))
        };
        assert_eq!(at("As of March 2024, it has 300 staff.", "300"), Some("2024-03".into()));
        assert_eq!(at("In 2023, sales were 5 million.", "5"), Some("2023".into()));
        assert_eq!(at("Sales reached 5 million in 2022.", "5 million"), Some("2022".into()));
        assert_eq!(at("Founded in 1990, it has 300 staff.", "300"), None);
    }
}
