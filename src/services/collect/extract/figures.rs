//! Figures in prose and in cells: numbers with what they count, and not the numbers that count nothing (years, versions, telephones).

use super::units::{attached_magnitude, currency_before, magnitude_at, unit_at};

/// A figure in a text.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Figure {
    /// Where it begins, with its currency.
    pub(super) start: usize,
    /// Where it ends, with its unit.
    pub(super) end: usize,
    /// Its value; of a range the lower one.
    pub(super) value: f64,
    /// The upper value of a range.
    pub(super) high: Option<f64>,
    /// Its unit, as reports name it.
    pub(super) unit: Option<String>,
}

/// Words before a number that make it a name.
const LABELS: [&str; 40] = [
    "appendix", "article", "bug", "build", "chapter", "chapters", "class", "clause", "code", "error", "fig", "figure", "grade", "http", "id", "iso",
    "issue", "item", "layer", "level", "line", "no", "number", "page", "pages", "part", "phase", "pid", "port", "ports", "release", "rfc", "section",
    "sections", "stage", "status", "step", "table", "version", "volume",
];
/// Words that may begin a sentence before a count.
const OPENERS: [&str; 26] = [
    "about",
    "above",
    "across",
    "after",
    "all",
    "almost",
    "an",
    "and",
    "approximately",
    "around",
    "as",
    "at",
    "between",
    "by",
    "every",
    "for",
    "from",
    "in",
    "nearly",
    "of",
    "only",
    "over",
    "roughly",
    "some",
    "the",
    "with",
];

/// The figures of a sentence, in order. `comma` says that a comma is the decimal mark here.
pub(super) fn find(text: &str, comma: bool) -> Vec<Figure> {
    let mut figures = Vec::new();
    let mut from = 0;
    while let Some(at) = text[from..].find(|c: char| c.is_ascii_digit()).map(|at| from + at) {
        let (end, found) = figure_at(text, at, comma);
        figures.extend(found);
        from = end.max(at + 1);
    }
    figures
}

/// A cell that is a figure and nothing else but a remark: value and unit.
pub(super) fn cell(text: &str, comma: bool) -> Option<(f64, Option<String>)> {
    let text = text.trim().trim_start_matches(['~', '≈', '<', '>', '≤', '≥', '+', '(']).trim_start();
    let text = ["c. ", "ca. ", "about ", "approx. "].iter().find_map(|hedge| text.strip_prefix(hedge)).unwrap_or(text);
    let negative = text.starts_with(['-', '−']);
    let unsigned = text.trim_start_matches(['-', '−']);
    let first = unsigned.find(|c: char| c.is_ascii_digit())?;
    let before = unsigned[..first].trim();
    if !(before.is_empty() || currency_before(&unsigned[..first]).is_some_and(|(at, _)| at == 0)) {
        return None;
    }
    let figure = measure(unsigned, first, comma)?;
    if figure.high.is_some() {
        return None;
    }
    let rest = unsigned[figure.end..].trim();
    let remark = rest.is_empty() || rest.starts_with(['(', '[', '*', '†', '‡', '^', ')']);
    let value = if negative { -figure.value } else { figure.value };
    remark.then_some((value, figure.unit))
}

/// The figure whose first digit stands at `at`, if it is one, and where to look on.
fn figure_at(text: &str, at: usize, comma: bool) -> (usize, Option<Figure>) {
    let run = digits_run(&text[at..]);
    let skip = at + run + telephone_tail(text, at, at + run);
    if is_part_of_a_name(text, at, skip) {
        return (skip, None);
    }
    let Some(figure) = measure(text, at, comma) else { return (skip, None) };
    let end = figure.end.max(skip.min(text.len()));
    let bare = figure.unit.is_none() && figure.high.is_none();
    let plain_year = bare && (1000.0..2101.0).contains(&figure.value) && text[figure.start..figure.end].bytes().all(|b| b.is_ascii_digit());
    if plain_year || (bare && follows_label(text, figure.start)) {
        return (end, None);
    }
    (figure.end.max(at + 1), Some(figure))
}

/// How far a telephone number that began with `+` goes on behind its first group: ` 30 901820`.
fn telephone_tail(text: &str, at: usize, end: usize) -> usize {
    if !text[..at].ends_with('+') {
        return 0;
    }
    let rest = &text[end..];
    let length = rest.find(|c: char| !(c.is_ascii_digit() || matches!(c, ' ' | '-' | '(' | ')'))).unwrap_or(rest.len());
    rest[..length].trim_end_matches([' ', '-', '(', ')']).len()
}

/// `555-1234`, `1990-1995`: long groups joined by a hyphen are a telephone number or years, not a range.
fn joins_long_groups(run: &str) -> bool {
    run.split_once('-')
        .is_some_and(|(left, right)| left.len() >= 3 && right.len() == 4 && left.len() != right.len() || left.len() == 4 && right.len() == 4)
}

/// How far digits and the marks between them go: `2024-03-12`, `12:30`, `1.2.3`, `555-1234`.
fn digits_run(text: &str) -> usize {
    let bytes = text.as_bytes();
    let mut end = 0;
    while end < bytes.len() {
        let joins = matches!(bytes[end], b'.' | b',' | b':' | b'/' | b'-' | b'\'') && bytes.get(end + 1).is_some_and(u8::is_ascii_digit);
        if bytes[end].is_ascii_digit() || joins {
            end += 1;
        } else {
            break;
        }
    }
    end
}

/// Versions, dates, times, fractions, telephone numbers, ordinals, identifiers.
fn is_part_of_a_name(text: &str, at: usize, end: usize) -> bool {
    let run = &text[at..end];
    let before = text[..at].chars().next_back();
    let glued = before
        .is_some_and(|c| c.is_alphanumeric() && !text[..at].ends_with("US") || matches!(c, '_' | '/' | '#' | '@' | '.' | ':' | '\\' | '=' | '^'));
    let money = currency_before(&text[..at]).is_some();
    let dashed_before = before == Some('-') && text[..at - 1].ends_with(|c: char| c.is_alphanumeric());
    let telephone = (text[..at].ends_with('+') && run.contains(' '))
        || joins_long_groups(run)
        || run.matches('-').count() > 1
        || (run.contains('-') && run.len() > 8 && !run.contains(','));
    let clock_or_fraction = run.contains([':', '/']);
    let version = run.matches('.').count() > 1 && !run.split('.').skip(1).all(|group| group.len() == 3);
    let leading_zero = run.len() > 1 && run.starts_with('0') && !run.starts_with("0.") && !run.starts_with("0,");
    let after = &text[end..];
    let ordinal = ["st", "nd", "rd", "th", "x", "D", "G", "."].iter().any(|ending| {
        after.strip_prefix(ending).is_some_and(|rest| match *ending {
            // `2.x`: a version; `12.` is the end of a sentence.
            "." => rest.starts_with(|c: char| c.is_alphanumeric()),
            _ => !rest.starts_with(|c: char| c.is_alphanumeric()),
        })
    });
    let dated = after.strip_prefix(' ').is_some_and(super::dates::begins_with_month);
    (glued && !money)
        || dashed_before
        || telephone
        || clock_or_fraction
        || version
        || leading_zero
        || ordinal
        || dated
        || super::dates::ends_with_month(&text[..at])
}

/// Number, range, magnitude and unit from the digit at `at` on.
fn measure(text: &str, at: usize, comma: bool) -> Option<Figure> {
    let currency = currency_before(&text[..at]);
    let mut start = currency.map_or(at, |(from, _)| from);
    let mut sign = 1.0;
    if let Some(mark) = text[..start].chars().next_back().filter(|c| matches!(c, '-' | '−'))
        && text[..start - mark.len_utf8()].chars().next_back().is_none_or(|c| c == ' ' || c == '(')
    {
        start -= mark.len_utf8();
        sign = -1.0;
    }
    let (value, length) = number(&text[at..], comma)?;
    let mut end = at + length;
    let mut value = sign * value;
    let mut high = None;
    if let Some((upper, length)) = range_after(&text[end..], comma) {
        if upper > value {
            high = Some(upper);
        }
        end += length;
    }
    let mut factor = attached_magnitude(&text[end..], currency.is_some());
    if let Some((length, _)) = factor {
        end += length;
    } else if let Some(rest) = text[end..].strip_prefix([' ', '-']) {
        factor = magnitude_at(rest);
        end += factor.map_or(0, |(length, _)| length + 1);
    }
    if let Some((_, factor)) = factor {
        value *= factor;
        high = high.map(|high| high * factor);
    }
    // A power of ten is not read: better no figure than one wrong by its power.
    let rest = text[end..].trim_start();
    if rest.starts_with('×') || rest.starts_with("x 10") || rest.starts_with('^') {
        return None;
    }
    let mut unit = currency.map(|(_, name)| name.to_owned());
    if unit.is_none() {
        let gap = usize::from(text[end..].starts_with([' ', '-']));
        if let Some((length, name)) = unit_at(&text[end + gap..]).filter(|(_, name)| gap == 0 || !needs_context(text, end + gap, name)) {
            unit = Some(name.to_owned());
            end += gap + length;
        } else if text[end..].starts_with(|c: char| c.is_alphanumeric()) || (gap == 1 && text[end..].starts_with('-')) {
            // `64-bit`, `3D`, `10-fold`: part of a word.
            return None;
        }
    }
    Some(Figure { start, end, value, high, unit })
}

/// Whether a one-letter unit after a space might be a word: `5 A students`, `3 V`. Only what is hardly ever a word passes.
fn needs_context(text: &str, at: usize, name: &str) -> bool {
    let written_short = text[at..].chars().nth(1).is_none_or(|c| !c.is_alphanumeric());
    written_short && matches!(name, "A" | "J" | "N" | "t")
}

/// `–20`, `-20`, ` to 20`, ` and 20` after `between`: the upper value, and the length.
fn range_after(text: &str, comma: bool) -> Option<(f64, usize)> {
    let rest = ["–", "—", "-", " – ", " — ", " - ", " to "].iter().find_map(|mark| text.strip_prefix(mark))?;
    if !rest.starts_with(|c: char| c.is_ascii_digit()) {
        return None;
    }
    let (value, length) = number(rest, comma)?;
    Some((value, text.len() - rest.len() + length))
}

/// A number at the start of `text`: its value and length.
fn number(text: &str, comma: bool) -> Option<(f64, usize)> {
    let (group, point) = if comma { (['.', '\'', ' '], ',') } else { ([',', '\'', ' '], '.') };
    let bytes = text.as_bytes();
    let mut plain = String::new();
    let mut end = bytes.iter().take_while(|b| b.is_ascii_digit()).count();
    plain.push_str(&text[..end]);
    let three = |from: usize| {
        bytes.get(from..from + 3).is_some_and(|three| three.iter().all(u8::is_ascii_digit)) && !bytes.get(from + 3).is_some_and(u8::is_ascii_digit)
    };
    let separator = text[end..].chars().next().filter(|c| group.contains(c) && (1..=3).contains(&end) && three(end + 1));
    if let Some(separator) = separator {
        while text[end..].starts_with(separator) && three(end + 1) {
            plain.push_str(&text[end + 1..end + 4]);
            end += 4;
        }
    }
    // The other language's grouping is unmistakable when it comes twice: `1.230.000`.
    let twice = separator.is_none()
        && (1..=3).contains(&end)
        && text[end..].starts_with(point)
        && three(end + 1)
        && text[end + 4..].starts_with(point)
        && three(end + 5);
    if twice {
        while text[end..].starts_with(point) && three(end + 1) {
            plain.push_str(&text[end + 1..end + 4]);
            end += 4;
        }
    } else if let Some(rest) = text[end..].strip_prefix(point)
        && rest.starts_with(|c: char| c.is_ascii_digit())
    {
        let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
        plain.push('.');
        plain.push_str(&rest[..digits]);
        end += 1 + digits;
    } else if separator.is_none()
        && let Some(rest) = text[end..].strip_prefix(if comma { '.' } else { ',' })
    {
        // A decimal of the other language: `3,5`.
        let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
        if (1..=2).contains(&digits) {
            plain.push('.');
            plain.push_str(&rest[..digits]);
            end += 1 + digits;
        }
    }
    (plain.len() <= 18).then(|| plain.parse().ok()).flatten().filter(|value: &f64| value.is_finite()).map(|value| (value, end))
}

/// How many digits behind the decimal mark a text writes of a value, where the value alone would lose some: 2 of `4.20`.
pub(super) fn decimals_written(text: &str, value: f64) -> Option<u8> {
    let mut from = 0;
    while let Some(at) = text[from..].find(|c: char| c.is_ascii_digit()).map(|at| from + at) {
        let run = digits_run(&text[at..]);
        from = at + run.max(1);
        for comma in [false, true] {
            let Some((found, length)) = number(&text[at..], comma).filter(|(found, _)| (found - value.abs()).abs() < f64::EPSILON) else { continue };
            let mark = if comma { ',' } else { '.' };
            // A mark that comes twice parts thousands.
            let parts: Vec<&str> = text[at..at + length].split(mark).collect();
            let written = if let [_, digits] = parts.as_slice() { digits.len() } else { 0 };
            let kept = found.to_string().split_once('.').map_or(0, |(_, digits)| digits.len());
            if written > kept {
                return u8::try_from(written).ok();
            }
        }
    }
    None
}

/// Whether the word before makes the number a name: `port 8080`, `Python 3`, `RFC 2616`.
fn follows_label(text: &str, start: usize) -> bool {
    let before = text[..start].trim_end();
    let word = before.rsplit(|c: char| !c.is_alphanumeric()).next().unwrap_or_default();
    let lower = word.to_lowercase();
    let capitalised = word.chars().next().is_some_and(char::is_uppercase);
    before.ends_with(['#', '№'])
        || LABELS.contains(&lower.as_str())
        || (capitalised && !before.ends_with([',', '.', ':', ';']) && !OPENERS.contains(&lower.as_str()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(text: &str) -> Vec<(f64, Option<f64>, Option<String>)> {
        find(text, false).into_iter().map(|figure| (figure.value, figure.high, figure.unit)).collect()
    }

    fn one(value: f64, unit: &str) -> Vec<(f64, Option<f64>, Option<String>)> {
        vec![(value, None, (!unit.is_empty()).then(|| unit.to_owned()))]
    }

    #[test]
    fn figures_are_read_with_units_magnitudes_and_currencies() {
        assert_eq!(all("It is 1,230 km long."), one(1230.0, "km"));
        assert_eq!(all("It covers 185,000 square kilometres."), one(185_000.0, "km²"));
        assert_eq!(all("About 83.2 million people live there."), one(83_200_000.0, ""));
        assert_eq!(all("It cost US$1.5 billion."), one(1.5e9, "USD"));
        assert_eq!(all("It cost $5m, or 12% more."), [one(5e6, "USD"), one(12.0, "%")].concat());
        assert_eq!(all("A 30-second timeout"), one(30.0, "s"));
        assert_eq!(all("down to −40 °C in winter"), one(-40.0, "°C"));
        assert_eq!(all("Its effective temperature is 5,772 K, and it shines."), one(5772.0, "K"));
        assert_eq!(all("flows at 2,900 m³/s on average"), one(2900.0, "m³/s"));
        assert_eq!(all("rated 3,5 of 5 stars").first(), one(3.5, "").first());
        assert_eq!(find("Der Rhein ist 1.230 km lang", true)[0].value, 1230.0);
    }

    #[test]
    fn a_figure_keeps_the_digits_that_its_source_writes() {
        assert_eq!(decimals_written("Kestrel,4.20 EUR,0.5", 4.2), Some(2));
        assert_eq!(decimals_written("kostet 12,50 Euro", 12.5), Some(2));
        assert_eq!(decimals_written("between 3.0 and 4 m", 3.0), Some(1));
        assert_eq!(decimals_written("15,655,924 people, 1.5 million, 7", 15_655_924.0), None);
        assert_eq!(decimals_written("1.50 million", 1.5e6), None, "multiplied out, it is written otherwise");
    }

    #[test]
    fn ranges_keep_both_ends() {
        assert_eq!(all("between 10–20 km wide"), [(10.0, Some(20.0), Some("km".into()))]);
        assert_eq!(all("from 5 to 7.5 percent"), [(5.0, Some(7.5), Some("%".into()))]);
    }

    #[test]
    fn numbers_that_count_nothing_are_no_figures() {
        for text in [
            "In 2024 it opened.",
            "on 12 March 2024",
            "on March 12, 2024",
            "Call +49 30 901820 or 555-1234.",
            "Python 3 and version 3.12.1 and v2.0",
            "RFC 2616 on port 8080",
            "a 64-bit system",
            "the 3rd of 4th",
            "at 12:30 on 2024-03-12",
            "see section 5 and Figure 2",
            "UTF-8 and H2O",
            "2.x releases",
            "1.5 × 10^6",
        ] {
            assert_eq!(all(text), [], "{text}");
        }
    }

    #[test]
    fn cells_are_figures_as_a_whole_or_not_at_all() {
        assert_eq!(cell("1,230 km (764 mi)", false), Some((1230.0, Some("km".into()))));
        assert_eq!(cell("−4.5%", false), Some((-4.5, Some("%".into()))));
        assert_eq!(cell("$1,200 [a]", false), Some((1200.0, Some("USD".into()))));
        assert_eq!(cell("~ 500", false), Some((500.0, None)));
        for text in ["10–20", "1.2.3", "Rhine 5", "n/a", "", "5 of 7", "2024-01-01"] {
            assert_eq!(cell(text, false), None, "{text}");
        }
    }
}
