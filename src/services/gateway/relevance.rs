//! Chooses the sentences of the recalled passages that answer a question, or none.
//!
//! A sentence's score is the weighted share of the question's words that it has (rare words weigh more, words of the passage's title count in part), how near
//! its passage is to the question in meaning, and whether it has the figure or date that the question asks for.

use std::collections::{HashMap, HashSet};

use super::provider::RecalledPassage;
use super::sentences::{sentences, terms};

/// Most sentences of an answer.
const SENTENCES_MAX: usize = 5;
/// What a word of the question counts when it stands in the passage's title only.
const TITLE_WEIGHT: f32 = 0.7;
/// What the passage's nearness counts beside the words.
const NEARNESS_WEIGHT: f32 = 0.5;
/// What a figure counts when the question asks for one.
const FIGURE_WEIGHT: f32 = 0.2;
/// What is left of a fragment's share of words.
const FRAGMENT_SHARE: f32 = 0.5;
/// A further sentence must reach this share of the best one's score, and say something that was asked and that no chosen sentence says yet.
const FURTHER_SHARE: f32 = 0.8;
/// One that says nothing new must be about as relevant as the best: this share of its score, and of its words of the question.
const ALIKE_SHARE: f32 = 0.9;
/// The floor: the least share of the question's words, weighted, that a sentence must have. Where its passage is far from the question in meaning, common
/// words meet by chance, and it must have more: [`FLOOR_SLOPE`] for each step of the cosine below [`COSINE_NEAR`], up to [`COVERAGE_FLOOR_FAR`]. Measured
/// with the embedding model that ships, see the test `the_floor`.
const COVERAGE_FLOOR: f32 = 0.34;
const COVERAGE_FLOOR_FAR: f32 = 0.7;
const FLOOR_SLOPE: f32 = 1.2;
/// A passage this near (cosine) may answer in other words than the question's, if a sentence has at least [`COVERAGE_FLOOR_CLOSE`] of them.
const COSINE_CLOSE: f32 = 0.55;
const COVERAGE_FLOOR_CLOSE: f32 = 0.2;
const COSINE_NEAR: f32 = 0.45;
/// Cosines that mean nothing and everything: unrelated texts reach the first with this embedding model, a paraphrase the second.
const COSINE_SPAN: (f32, f32) = (0.2, 0.8);
/// Two sentences that share this much of their words say the same.
const SAME_SHARE: f32 = 0.8;
/// Sentences of a library that is not there: keeps weights sensible when little was recalled.
const BACKGROUND_SENTENCES: f32 = 20.0;

/// A chosen sentence.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Chosen<'a> {
    /// Place of its passage among those given.
    pub(super) passage: usize,
    /// The sentence: an exact part of the passage's `quotable`.
    pub(super) text: &'a str,
    /// Higher is better.
    pub(super) score: f32,
}

struct Candidate<'a> {
    chosen: Chosen<'a>,
    order: usize,
    coverage: f32,
    terms: HashSet<String>,
    /// The question's words that stand in the sentence itself, and their share. What the sentence before it or the title lends does not count.
    asked: HashSet<String>,
    asked_share: f32,
    refers_back: bool,
    /// It, or what it refers back to, has a name in it.
    names_another: bool,
}

/// The sentences that answer the question, in reading order: passages by their best sentence, within a passage as written.
pub(super) fn choose<'a>(question: &str, passages: &'a [RecalledPassage]) -> Vec<Chosen<'a>> {
    let mut all: Vec<Chosen<'a>> = Vec::new();
    for part in parts(question) {
        for chosen in choose_for(part, passages) {
            if !all.iter().any(|other| other.text == chosen.text) {
                all.push(chosen);
            }
        }
    }
    all.truncate(SENTENCES_MAX);
    all
}

fn choose_for<'a>(question: &str, passages: &'a [RecalledPassage]) -> Vec<Chosen<'a>> {
    let asked: HashSet<String> = terms(question).into_iter().collect();
    let mut candidates = candidates(passages);
    let as_written: HashMap<(usize, usize), Chosen<'a>> =
        candidates.iter().map(|candidate| ((candidate.chosen.passage, candidate.order), candidate.chosen)).collect();
    lend_measures(&asked, &mut candidates);
    let weights = weights(&asked, &candidates);
    let titles: Vec<HashSet<String>> = passages.iter().map(|passage| terms(&passage.title).into_iter().collect()).collect();
    let wanted = Wanted::read(question);
    for candidate in &mut candidates {
        let at = candidate.chosen.passage;
        candidate.coverage = coverage(&weights, &candidate.terms, &titles[at]);
        candidate.asked.retain(|term| asked.contains(term));
        candidate.asked_share = coverage(&weights, &candidate.asked, &HashSet::new());
        if is_fragment(candidate.chosen.text) {
            candidate.coverage *= FRAGMENT_SHARE;
        }
        let figure = if wanted.is_met_by(candidate.chosen.text) { FIGURE_WEIGHT } else { 0.0 };
        candidate.chosen.score = candidate.coverage + NEARNESS_WEIGHT * nearness(passages[at].cosine) + figure;
    }
    let names = names(question);
    let named = passages_with_a_name(&names, passages);
    candidates.retain(|candidate| {
        let at = candidate.chosen.passage;
        named[at] && candidate.coverage >= floor(passages[at].cosine)
    });
    // Within a passage too: beside a sentence about the Puffin, one about the Kittiwake is no answer.
    let is_named = |candidate: &Candidate<'_>| candidate.terms.iter().any(|term| names.contains(term));
    if candidates.iter().any(is_named) {
        candidates.retain(|candidate| is_named(candidate) || !candidate.names_another);
    }
    pick(candidates, &as_written)
}

/// The questions in a question: `What does a ticket cost, and when is the harbour closed?` asks two. One that goes on from another (two lines) is one.
fn parts(question: &str) -> Vec<&str> {
    const ASKING: [&str; 9] = ["what", "when", "where", "who", "which", "why", "how", "wann", "wer"];
    let asks = |text: &str| text.split_whitespace().next().is_some_and(|word| ASKING.contains(&word.to_lowercase().as_str()));
    if question.contains('\n') || !asks(question) {
        return vec![question];
    }
    let mut parts = Vec::new();
    let mut rest = question;
    let mut from = 0;
    while let Some(at) = rest[from..].find(" and ").map(|at| from + at) {
        let next = &rest[at + " and ".len()..];
        if asks(next) {
            parts.push(&rest[..at]);
            (rest, from) = (next, 0);
        } else {
            from = at + 1;
        }
    }
    parts.push(rest);
    parts
}

/// What a question asks by an adjective, sources say by a noun or a verb: "how heavy" is answered by "weighs" and "mass".
const MEASURES: [(&str, &str); 12] = [
    ("long", "length duration lasts takes"),
    ("high", "height elevation altitude"),
    ("tall", "height"),
    ("deep", "depth"),
    ("wide", "width"),
    ("heavy", "weighs weight mass"),
    ("fast", "speed"),
    ("far", "distance"),
    ("hot", "temperature"),
    ("cold", "temperature"),
    ("big", "size diameter area"),
    ("large", "size diameter area"),
];

/// Gives sentences that measure what was asked the question's own word for it.
fn lend_measures(asked: &HashSet<String>, candidates: &mut [Candidate<'_>]) {
    for (word, said) in MEASURES {
        let (word, said) = (terms(word), terms(said));
        for word in word.into_iter().filter(|word| asked.contains(word)) {
            for candidate in candidates.iter_mut() {
                for terms in [&mut candidate.terms, &mut candidate.asked] {
                    if said.iter().any(|said| terms.contains(said)) {
                        terms.insert(word.clone());
                    }
                }
            }
        }
    }
}

/// The names in a question: words with a capital that do not begin a line.
fn names(question: &str) -> HashSet<String> {
    let capital = |word: &&str| word.starts_with(char::is_uppercase);
    question.lines().flat_map(|line| line.split_whitespace().skip(1).filter(capital)).flat_map(terms).collect()
}

/// For each passage, whether it has one of the names in the question (any, when the question has none): what is said of Venus does not answer for Pluto.
/// Where all nouns have capitals, one of them is enough.
fn passages_with_a_name(names: &HashSet<String>, passages: &[RecalledPassage]) -> Vec<bool> {
    let has_one = |passage: &RecalledPassage| terms(&passage.title).into_iter().chain(terms(&passage.content)).any(|term| names.contains(&term));
    passages.iter().map(|passage| names.is_empty() || has_one(passage)).collect()
}

/// The least coverage of a sentence whose passage is this near.
fn floor(cosine: f32) -> f32 {
    if cosine >= COSINE_CLOSE {
        return COVERAGE_FLOOR_CLOSE;
    }
    (COVERAGE_FLOOR + FLOOR_SLOPE * (COSINE_NEAR - cosine).max(0.0)).min(COVERAGE_FLOOR_FAR)
}

fn candidates(passages: &[RecalledPassage]) -> Vec<Candidate<'_>> {
    let mut found: Vec<Candidate<'_>> = Vec::new();
    for (passage, recalled) in passages.iter().enumerate() {
        for (order, text) in sentences(&recalled.quotable).into_iter().enumerate() {
            let mut own: HashSet<String> = terms(text).into_iter().chain(recalled.reading().into_iter().flat_map(terms)).collect();
            let asked = own.clone();
            let refers_back = order > 0 && refers_back(text);
            if refers_back && let Some(before) = found.last() {
                // "Its mean temperature is 464 °C" speaks of what the sentence before it names.
                own.extend(before.terms.iter().cloned());
            }
            let names_another = names_somebody(text) || refers_back && found.last().is_some_and(|before| before.names_another);
            found.push(Candidate {
                names_another,
                chosen: Chosen { passage, text, score: 0.0 },
                order,
                coverage: 0.0,
                terms: own,
                asked,
                asked_share: 0.0,
                refers_back,
            });
        }
    }
    found
}

/// Whether a sentence begins with a word that stands for something named before it.
fn refers_back(text: &str) -> bool {
    const WORDS: [&str; 16] =
        ["It", "Its", "He", "His", "She", "Her", "They", "Their", "This", "These", "Both", "Such", "That", "Those", "There", "Thus"];
    text.split(|c: char| !c.is_alphanumeric()).next().is_some_and(|first| WORDS.contains(&first))
}

/// Whether a sentence names somebody or something: a capital that does not begin it and is no month's.
fn names_somebody(text: &str) -> bool {
    let is_month = |word: &str| MONTHS.iter().any(|month| word.starts_with(month.trim_end()));
    text.split_whitespace().skip(1).any(|word| word.starts_with(char::is_uppercase) && !is_month(word))
}

/// A heading, a menu, a caption: text without an end and without a figure says little, however many words it shares.
fn is_fragment(text: &str) -> bool {
    !text.ends_with(['.', '!', '?', '。', '”', '"', ')', ';']) && !text.bytes().any(|b| b.is_ascii_digit())
}

/// What each word of the question weighs: inverse document frequency over the recalled sentences.
fn weights<'q>(asked: &'q HashSet<String>, candidates: &[Candidate<'_>]) -> HashMap<&'q str, f32> {
    let weight = |term: &String| {
        let having = candidates.iter().filter(|candidate| candidate.terms.contains(term)).count();
        (1.0 + (candidates.len() as f32 + BACKGROUND_SENTENCES) / (having as f32 + 1.0)).ln()
    };
    asked.iter().map(|term| (term.as_str(), weight(term))).collect()
}

fn coverage(weights: &HashMap<&str, f32>, sentence: &HashSet<String>, title: &HashSet<String>) -> f32 {
    let total: f32 = weights.values().sum();
    let found: f32 = weights
        .iter()
        .map(|(term, weight)| match (sentence.contains(*term), title.contains(*term)) {
            (true, _) => *weight,
            (false, true) => TITLE_WEIGHT * weight,
            (false, false) => 0.0,
        })
        .sum();
    if total > 0.0 { found / total } else { 0.0 }
}

fn nearness(cosine: f32) -> f32 {
    ((cosine - COSINE_SPAN.0) / (COSINE_SPAN.1 - COSINE_SPAN.0)).clamp(0.0, 1.0)
}

/// `as_written` is every sentence by passage and order, those that do not answer too.
fn pick<'a>(mut candidates: Vec<Candidate<'a>>, as_written: &HashMap<(usize, usize), Chosen<'a>>) -> Vec<Chosen<'a>> {
    // Equal scores keep the order of recall, so that the same question over the same passages gives the same answer.
    candidates.sort_by(|a, b| b.chosen.score.total_cmp(&a.chosen.score));
    let Some((best, best_share)) = candidates.first().map(|best| (best.chosen.score, best.asked_share)) else { return Vec::new() };
    let mut picked: Vec<Candidate<'_>> = Vec::new();
    for candidate in candidates {
        if picked.len() == SENTENCES_MAX || candidate.chosen.score < FURTHER_SHARE * best {
            break;
        }
        let adds = candidate.asked.iter().any(|term| !picked.iter().any(|other| other.asked.contains(term)));
        let alike = candidate.chosen.score >= ALIKE_SHARE * best && candidate.asked_share >= ALIKE_SHARE * best_share;
        if (adds || alike) && !picked.iter().any(|other| say_the_same(&candidate, other)) {
            picked.push(candidate);
        }
    }
    // By passage, the best first, and within a passage as written; what a sentence refers back to comes with it.
    let mut places: Vec<(usize, usize, usize)> = Vec::new();
    for candidate in &picked {
        let passage = candidate.chosen.passage;
        let rank = picked.iter().position(|other| other.chosen.passage == passage).unwrap_or(0);
        places.push((rank, passage, candidate.order));
        // Passages overlap: what it refers back to may be quoted from another one already.
        let before = as_written.get(&(passage, candidate.order.wrapping_sub(1))).filter(|_| candidate.refers_back);
        if before.is_some_and(|before| !picked.iter().any(|other| other.chosen.passage != passage && other.chosen.text == before.text)) {
            places.push((rank, passage, candidate.order - 1));
        }
    }
    places.sort_unstable();
    places.dedup();
    places.truncate(SENTENCES_MAX);
    places.into_iter().filter_map(|(_, passage, order)| as_written.get(&(passage, order)).copied()).collect()
}

fn say_the_same(left: &Candidate<'_>, right: &Candidate<'_>) -> bool {
    let (a, b) = (left.chosen.text, right.chosen.text);
    if a.contains(b) || b.contains(a) {
        return true;
    }
    // Two rows of one table share their words and differ in their figures: figures are words here, so that they stay apart.
    let shared = left.terms.intersection(&right.terms).count() as f32;
    let all = left.terms.union(&right.terms).count() as f32;
    all > 0.0 && shared / all >= SAME_SHARE
}

/// What kind of thing the question asks for.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Wanted {
    Anything,
    Figure,
    Moment,
    Reason,
}

impl Wanted {
    fn read(question: &str) -> Self {
        let question = format!(" {} ", question.to_lowercase());
        let asks = |phrases: &[&str]| phrases.iter().any(|phrase| question.contains(phrase));
        let how_much = |rest: &str| rest.split_whitespace().next().is_some_and(|word| !HOW_OF_MANNER.contains(&word));
        if asks(&[" when ", "what year", "which year", "what date", "since what", " wann ", " quand "]) {
            Self::Moment
        } else if asks(&[" why ", "what causes", "what caused", " warum ", " pourquoi "]) {
            Self::Reason
        } else if question.split(" how ").skip(1).any(how_much) || asks(&["what number", "percent", "wie viel", "combien"]) {
            Self::Figure
        } else {
            Self::Anything
        }
    }

    fn is_met_by(self, text: &str) -> bool {
        match self {
            Self::Anything => false,
            Self::Figure => {
                text.bytes().any(|b| b.is_ascii_digit()) || text.split_whitespace().any(|word| NUMBER_WORDS.contains(&word.to_lowercase().as_str()))
            }
            Self::Reason => REASON_WORDS.iter().any(|word| text.contains(word)),
            Self::Moment => has_year(text) || MONTHS.iter().any(|month| text.contains(month)),
        }
    }
}

/// What follows "how" when no figure is asked for.
const HOW_OF_MANNER: [&str; 18] =
    ["do", "does", "did", "is", "are", "was", "were", "can", "could", "to", "come", "should", "would", "will", "has", "have", "the", "i"];
const REASON_WORDS: [&str; 7] = ["because", "Because", "due to", "owing to", "as a result", "caused by", "weil"];
const NUMBER_WORDS: [&str; 12] = ["one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve"];
const MONTHS: [&str; 12] =
    ["January", "February", "March", "April", "May ", "June", "July", "August", "September", "October", "November", "December"];

fn has_year(text: &str) -> bool {
    text.split(|c: char| !c.is_ascii_digit()).any(|digits| digits.len() == 4 && (digits.starts_with('1') || digits.starts_with("20")))
}

#[cfg(test)]
#[path = "relevance_tests.rs"]
mod tests;
