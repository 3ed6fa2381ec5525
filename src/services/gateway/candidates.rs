//! The sentences of the recalled passages, each with what a reader knows when they come to it: the heading or the words that lead to it, and the sentence
//! that it goes on from.

use std::collections::HashSet;

use super::provider::RecalledPassage;
use super::sentences::{lines, sentences, shorten, terms};
use super::wanted::is_calendar;

/// Lines above a sentence among which its heading is looked for.
const LEAD_LINES_MAX: usize = 12;
/// Longest line that may be a heading.
const HEADING_BYTES_MAX: usize = 80;
/// Items of a list that are quoted with the words that lead to it.
const ITEMS_MAX: usize = 8;

/// A chosen sentence.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Chosen<'a> {
    /// Place of its passage among those given.
    pub(super) passage: usize,
    /// The sentence: an exact part of the passage's `quotable`.
    pub(super) text: &'a str,
    /// What it stands under, where it says little without: an item, a value.
    pub(super) under: Option<&'a str>,
    /// Higher is better.
    pub(super) score: f32,
}

pub(super) struct Candidate<'a> {
    pub(super) chosen: Chosen<'a>,
    /// Its place in its passage.
    pub(super) order: usize,
    pub(super) coverage: f32,
    /// Its words, and those of the sentence it goes on from.
    pub(super) terms: HashSet<String>,
    /// The words of what it stands under.
    pub(super) lent: HashSet<String>,
    /// The question's words that stand in the sentence itself, and their share. What the sentence before it or the title lends does not count.
    pub(super) asked: HashSet<String>,
    pub(super) asked_share: f32,
    /// The place of the sentence that names what this one speaks of.
    pub(super) goes_on_from: Option<usize>,
    /// How many places behind it belong to it: a list that it leads to.
    pub(super) items: usize,
    /// Its subject, or that of what it goes on from, has a name.
    pub(super) names_another: bool,
}

/// Everything that could be quoted, by passage and as written.
pub(super) fn candidates(passages: &[RecalledPassage]) -> Vec<Candidate<'_>> {
    passages.iter().enumerate().flat_map(|(passage, recalled)| of_passage(passage, recalled)).collect()
}

fn of_passage(passage: usize, recalled: &RecalledPassage) -> Vec<Candidate<'_>> {
    let reading = recalled.reading();
    let all = lines(&recalled.quotable);
    // A list that was put together: what leads to it is said of every item, and an item says only itself.
    let of_list = reading.filter(|_| all.len() > 1);
    let of_row = reading.filter(|_| all.len() == 1);
    let mut found: Vec<Candidate<'_>> = Vec::new();
    for (at, line) in all.iter().enumerate() {
        // A row is quoted as a whole: a full stop in a cell ends nothing.
        let parts = if reading.is_some() { vec![shorten(line)] } else { sentences(line) };
        let leads = match (of_list, of_row) {
            (Some(list), _) => list.split(": ").take(1).collect(),
            (None, Some(_)) => Vec::new(),
            (None, None) => leads(&all, at),
        };
        for text in parts {
            let own: HashSet<String> = terms(text).into_iter().chain(of_row.into_iter().flat_map(terms)).collect();
            let before = referent(text, &own, &found);
            let names_another = before.map_or_else(|| names_its_subject(text), |before| found[before].names_another);
            let mut all_terms = own.clone();
            all_terms.extend(before.into_iter().flat_map(|before| found[before].terms.iter().cloned()));
            found.push(Candidate {
                chosen: Chosen { passage, text, under: leads.first().copied().filter(|_| !is_ended(text)), score: 0.0 },
                order: found.len(),
                coverage: 0.0,
                terms: all_terms,
                lent: leads.iter().flat_map(|lead| terms(lead)).collect(),
                asked: own,
                asked_share: 0.0,
                goes_on_from: before,
                items: if text.ends_with(':') { items_below(&all, at) } else { 0 },
                names_another,
            });
        }
    }
    found
}

/// The place of the sentence without which this one dangles: what a pronoun stands for, or where `the ferry` was `a car ferry`.
fn referent(text: &str, own: &HashSet<String>, before: &[Candidate<'_>]) -> Option<usize> {
    let last = before.last()?;
    if begins_with_pronoun(text) {
        return Some(last.goes_on_from.unwrap_or(last.order));
    }
    let noun = text
        .strip_prefix("The ")
        .or_else(|| text.strip_prefix("This "))?
        .split_whitespace()
        .next()
        .filter(|word| word.starts_with(char::is_lowercase))?;
    let noun = terms(noun).into_iter().next().filter(|noun| own.contains(noun))?;
    // The nearest one that has a name as well: two sentences about ferries in general lean on nobody.
    before.iter().rev().take(3).find(|other| other.asked.contains(&noun) && names_its_subject(other.chosen.text)).map(|other| other.order)
}

/// Whether a sentence begins with a word that stands for something named before it.
fn begins_with_pronoun(text: &str) -> bool {
    const WORDS: [&str; 16] =
        ["It", "Its", "He", "His", "She", "Her", "They", "Their", "This", "These", "Both", "Such", "That", "Those", "There", "Thus"];
    text.split(|c: char| !c.is_alphanumeric()).next().is_some_and(|first| WORDS.contains(&first))
}

/// Whether what a sentence speaks of has a name: a capital before its verb that does not begin it and is no month's.
fn names_its_subject(text: &str) -> bool {
    const ENDS: [&str; 22] = [
        "is", "are", "was", "were", "has", "have", "had", "can", "may", "must", "will", "by", "in", "to", "from", "with", "at", "on", "for", "that",
        "who", "which",
    ];
    text.split_whitespace()
        .skip(1)
        .take(5)
        .take_while(|word| !ENDS.contains(word))
        .any(|word| word.starts_with(char::is_uppercase) && !is_calendar(word))
}

/// What a line stands under, the nearest first: a heading, the words that lead to a list, a term. Two of them when one stands right above the other.
fn leads<'a>(all: &[&'a str], at: usize) -> Vec<&'a str> {
    let prose = is_ended(all[at]);
    let mut found: Vec<&str> = Vec::new();
    for line in all[..at].iter().rev().take(LEAD_LINES_MAX) {
        if is_heading(line) || !prose && line.ends_with(':') {
            found.push(line);
            if found.len() == 2 {
                break;
            }
        } else if !found.is_empty() || prose != is_ended(line) {
            // Text and lists are under a heading of their own, or go on from one another: only like is passed over.
            break;
        }
    }
    found
}

/// A heading, a term, a question that the text goes on to answer: short, with a capital, and neither a sentence nor a value.
fn is_heading(line: &str) -> bool {
    line.len() <= HEADING_BYTES_MAX
        && line.starts_with(char::is_uppercase)
        && (!is_ended(line) || line.ends_with('?'))
        && !line.ends_with([':', ','])
        && !is_field(line)
        && !line.contains(" | ")
        && !line.bytes().any(|b| b.is_ascii_digit())
}

/// `Monday: closed`.
fn is_field(line: &str) -> bool {
    line.split_once(": ").is_some_and(|(name, value)| !name.is_empty() && !value.is_empty())
}

/// Whether a text ends as a sentence does.
pub(super) fn is_ended(text: &str) -> bool {
    text.ends_with(['.', '!', '?', '。', '”', '"', ')', ';'])
}

/// A heading, a menu, a caption: text without an end and without a figure says little, however many words it shares.
pub(super) fn is_fragment(candidate: &Candidate<'_>) -> bool {
    let text = candidate.chosen.text;
    !is_ended(text) && candidate.items == 0 && !is_field(text) && !text.bytes().any(|b| b.is_ascii_digit())
}

/// How many lines below one that ends with a colon are the list that it leads to.
fn items_below(all: &[&str], at: usize) -> usize {
    let capital = |line: &str| line.starts_with(char::is_uppercase);
    let below = &all[at + 1..];
    let Some(first) = below.first().filter(|line| !is_ended(line)) else { return 0 };
    let mut items = below.iter().take(ITEMS_MAX).take_while(|line| !is_ended(line) && (capital(first) || !capital(line))).count();
    // The last of them may be the heading of the text that follows.
    if items > 1 && capital(first) && is_heading(below[items - 1]) && below.get(items).is_some_and(|next| is_ended(next)) {
        items -= 1;
    }
    items
}

#[cfg(test)]
mod tests {
    use super::*;

    fn passage(content: &str) -> RecalledPassage {
        RecalledPassage {
            n: 1,
            title: String::new(),
            source: String::new(),
            content: content.to_owned(),
            quotable: content.to_owned(),
            freshness: "FRESH".to_owned(),
            collected_at: String::new(),
            cosine: 0.5,
        }
    }

    #[test]
    fn a_sentence_knows_the_one_that_names_what_it_speaks_of() {
        let text =
            "The Puffin is a car ferry. It was built in 1987. It has two decks. The ferry is maintained by Harland Works. The weather is mild.";
        let passages = [passage(text)];
        let before: Vec<Option<usize>> = candidates(&passages).iter().map(|candidate| candidate.goes_on_from).collect();
        assert_eq!(before, [None, Some(0), Some(0), Some(0), None]);
    }

    #[test]
    fn an_item_knows_its_heading_and_a_lead_in_its_items() {
        let text = "Visit\nOpening hours\nMonday: closed\nSaturday: 11:00–18:00\nClosed on holidays.\nYou may bring:\nsmall bags\nwater\nGetting here\nTake tram 4.";
        let passages = [passage(text)];
        let found = candidates(&passages);
        assert_eq!(found[3].chosen.under, Some("Opening hours"));
        assert_eq!(found[4].chosen.under, None, "a sentence speaks for itself");
        assert_eq!((found[5].chosen.text, found[5].items), ("You may bring:", 2));
        assert_eq!(found[7].chosen.under, Some("You may bring:"));
        assert!(found[9].lent.contains("get") || found[9].lent.contains("getting"), "{:?}", found[9].lent);
    }
}
