//! Figures in sentences to metrics. A figure whose name cannot be told from the sentence is left out: rather few than odd ones.

use std::ops::Range;

use super::context::{MetricDraft, PageContext};
use super::dates;
use super::figures::{self, Figure};
use super::phrases::{
    COPULAS, HAVING, PRONOUNS, VERBS, bound, bounded, clause, counted, is_attribute, last_phrase, lower_first, subject, without_article,
    without_hedges, without_modal,
};
use super::tables::join;
use super::words::{is_capitalised, words};

/// What an adjective after a measure says.
const DIMENSIONS: &[(&str, &str)] = &[
    ("long", "Length"),
    ("in length", "Length"),
    ("wide", "Width"),
    ("in width", "Width"),
    ("broad", "Width"),
    ("high", "Height"),
    ("tall", "Height"),
    ("in height", "Height"),
    ("deep", "Depth"),
    ("in depth", "Depth"),
    ("thick", "Thickness"),
    ("old", "Age"),
    ("in diameter", "Diameter"),
    ("in area", "Area"),
    ("above sea level", "Elevation"),
    ("per year", "Yearly"),
    ("in size", "Size"),
    ("in circumference", "Circumference"),
];

/// Nouns for somebody else than the page's subject: what `the replacement` costs, the ship that it replaces does not cost.
const OTHERS: &[&str] = &[
    "competitor",
    "contract",
    "counterpart",
    "extension",
    "forerunner",
    "neighbour",
    "neighbor",
    "predecessor",
    "project",
    "refit",
    "replacement",
    "rival",
    "sister",
    "successor",
    "twin",
    "upgrade",
];

/// The metrics of a sentence. `sentence` is as shown; `quote` is where it stands in the block.
pub(super) fn read(context: &PageContext<'_>, block: usize, sentence: &str, quote: &Range<usize>) -> Vec<MetricDraft> {
    let mut metrics = Vec::new();
    for figure in figures::find(sentence, context.comma) {
        let Some(name) = name(context, block, sentence, &figure).filter(|name| is_measured(&figure, name)) else { continue };
        let as_of = dates::as_of(sentence, &(figure.start..figure.end));
        let draft = |name: String, value: f64| MetricDraft {
            name,
            value,
            unit: figure.unit.clone(),
            as_of: as_of.clone(),
            topic: context.topic(block),
            page: context.index,
            block,
            quote: quote.clone(),
            bonus: 0.0,
        };
        match figure.high {
            None => metrics.push(draft(name, figure.value)),
            Some(high) => {
                metrics.push(draft(format!("{name}, from"), figure.value));
                metrics.push(draft(format!("{name}, to"), high));
            }
        }
    }
    metrics
}

/// Whether a figure is one to report. A bare small number (`the answer is 24`) is one only of what is counted.
fn is_measured(figure: &Figure, name: &str) -> bool {
    const COUNTED: [&str; 24] = [
        "number",
        "population",
        "total",
        "limit",
        "maximum",
        "minimum",
        "size",
        "score",
        "rate",
        "index",
        "ratio",
        "attendance",
        "members",
        "staff",
        "employees",
        "average",
        "default",
        "capacity",
        "visitors",
        "users",
        "inhabitants",
        "people",
        "ranking",
        "quota",
    ];
    let lower = name.to_lowercase();
    figure.unit.is_some() || figure.value.abs() >= 1000.0 || COUNTED.iter().any(|word| lower.contains(word)) || name.ends_with('s')
}

/// `Length: 1,230 km` on a line of its own, or a term and its definition.
pub(super) fn field(context: &PageContext<'_>, block: usize, name: &str, value: &str, quote: Range<usize>) -> Option<MetricDraft> {
    let (value, unit) = figures::cell(value.trim().trim_end_matches('.'), context.comma)?;
    let year = unit.is_none() && (1000.0..2101.0).contains(&value);
    let name = name.trim().trim_start_matches(['-', '*', '•', ' ']);
    if year || !is_attribute(name) {
        return None;
    }
    let name = join(&context.owner(block), name);
    Some(MetricDraft { name, value, unit, as_of: None, topic: context.topic(block), page: context.index, block, quote, bonus: 0.0 })
}

fn name(context: &PageContext<'_>, block: usize, sentence: &str, figure: &Figure) -> Option<String> {
    let left = without_hedges(sentence[..figure.start].trim_end());
    let right = sentence[figure.end..].trim_start();
    let (before, verb) = left.rsplit_once(' ').unwrap_or(("", left));
    let verb = verb.to_lowercase();
    let owner = |phrase: &str| owner(context, block, sentence, phrase);

    let bound = bound(&sentence[..figure.start]);
    if let Some((_, dimension)) =
        DIMENSIONS.iter().find(|(word, _)| right.strip_prefix(word).is_some_and(|rest| !rest.starts_with(char::is_alphanumeric)))
    {
        let linked = COPULAS.contains(&verb.as_str()) || ["flows", "runs", "extends", "stretches", "rises", "lies", "grows"].contains(&verb.as_str());
        return (linked && figure.unit.is_some()).then(|| measured(context, block, sentence, clause(before, sentence), bound, dimension)).flatten();
    }
    if let Some(phrase) = left.strip_suffix(" of") {
        let attribute = last_phrase(phrase)?;
        return owner(subject(sentence)).map(|owner| join(&owner, &bounded(bound, attribute)));
    }
    if COPULAS.contains(&verb.as_str()) {
        let phrase = clause(before, sentence);
        let phrase = phrase.strip_suffix(" has").or_else(|| phrase.strip_suffix(" have")).unwrap_or(phrase);
        return equal(context, block, sentence, without_modal(phrase), bound);
    }
    if let Some((_, attribute)) = VERBS.iter().find(|(word, _)| *word == verb) {
        figure.unit.as_ref()?;
        return measured(context, block, sentence, clause(before, sentence), bound, attribute);
    }
    if HAVING.contains(&verb.as_str()) && figure.unit.is_none() {
        let noun = counted(right)?;
        return owner(clause(before, sentence)).map(|owner| join(&owner, &bounded(bound, noun)));
    }
    None
}

/// `the mean discharge of the Rhine`, `Germany's population`, `the default timeout`.
fn equal(context: &PageContext<'_>, block: usize, sentence: &str, phrase: &str, bound: &str) -> Option<String> {
    let bare = without_article(phrase);
    for mark in ["'s ", "’s "] {
        if let Some((holder, attribute)) = bare.split_once(mark) {
            return (is_attribute(attribute) && holder.len() <= 40).then(|| join(holder, &bounded(bound, attribute)));
        }
    }
    let own = ["Its ", "its ", "Their ", "their "].iter().find_map(|own| phrase.strip_prefix(own));
    if let Some(attribute) = own {
        return is_attribute(attribute).then(|| join(&context.owner(block), &bounded(bound, attribute)));
    }
    for mark in [" of ", " for "] {
        if let Some((attribute, holder)) = bare.split_once(mark) {
            let who = owner(context, block, sentence, holder)?;
            let attribute = of_another(&who, attribute, holder);
            return is_attribute(&attribute).then(|| join(&who, &bounded(bound, &attribute)));
        }
    }
    // Not `The Rhine is 5 …` nor `It is 5 …`: these say no attribute.
    let first = bare.split(' ').next().unwrap_or_default();
    let names_somebody = is_capitalised(bare) && (context.lexicon.knows(first) || !sentence.starts_with(bare));
    let pronoun = PRONOUNS.contains(&first.to_lowercase().as_str());
    (is_attribute(bare) && !names_somebody && !pronoun).then(|| join(&context.owner(block), &bounded(bound, bare)))
}

/// A measure of something: `Rhine: Length` when it is a name or what the section is about, `Navigation: Length of ships` when it is neither.
fn measured(context: &PageContext<'_>, block: usize, sentence: &str, phrase: &str, bound: &str, dimension: &str) -> Option<String> {
    let phrase = without_modal(phrase);
    let bare = without_article(phrase);
    let definite = phrase.starts_with("The ") || phrase.starts_with("the ");
    let pronoun = PRONOUNS.contains(&bare.to_lowercase().as_str());
    let who = owner(context, block, sentence, phrase)?;
    let another = of_another(&who, dimension, bare);
    if another != dimension {
        return is_attribute(&another).then(|| join(&who, &bounded(bound, &another)));
    }
    let own_name = who == bare || definite || pronoun;
    if own_name {
        return Some(join(&who, &bounded(bound, dimension)));
    }
    is_attribute(bare).then(|| join(&who, &bounded(bound, &format!("{dimension} of {}", lower_first(bare)))))
}

/// An attribute that belongs to another than `who`: `Cost of replacement` for what the replacement costs.
fn of_another(who: &str, attribute: &str, holder: &str) -> String {
    const OWN: [&str; 8] = ["Its ", "its ", "Their ", "their ", "Her ", "her ", "His ", "his "];
    let own = OWN.iter().find_map(|own| holder.trim().strip_prefix(own));
    let holder = without_article(own.unwrap_or(holder));
    let another = who != holder && words(holder).iter().any(|word| OTHERS.contains(&word.text.to_lowercase().as_str()));
    if another { format!("{attribute} of {}", lower_first(holder)) } else { attribute.to_owned() }
}

/// Whom a noun phrase names: itself when it is a name, the page's or section's subject when it is a pronoun or a common noun.
fn owner(context: &PageContext<'_>, block: usize, sentence: &str, phrase: &str) -> Option<String> {
    let bare = without_article(phrase.trim());
    let first = words(bare).first().map(|word| word.text.to_owned()).unwrap_or_default();
    let opens = sentence.starts_with(bare);
    let name = is_capitalised(&first)
        && !PRONOUNS.contains(&first.to_lowercase().as_str())
        && (!opens || context.lexicon.knows(&first) || bare.split(' ').nth(1).is_some_and(is_capitalised));
    if name && bare.split(' ').count() <= 6 && bare.len() <= 60 {
        return Some(bare.trim_end_matches("'s").trim_end_matches("’s").to_owned());
    }
    let short = bare.split(' ').count() <= 4;
    let subject = context.owner(block);
    // A long phrase is about something else than the section.
    (short && !subject.is_empty()).then_some(subject)
}
