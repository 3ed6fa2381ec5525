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
/// A further sentence must reach this share of the best one's score.
const FURTHER_SHARE: f32 = 0.72;
/// The floor: below this share of the question's words, weighted, a sentence does not answer, however near its passage is. See the test `the_floor`.
const COVERAGE_FLOOR: f32 = 0.34;
/// A passage this near (cosine) may answer in other words than the question's, if a sentence has at least [`COVERAGE_FLOOR_NEAR`] of them.
const COSINE_NEAR: f32 = 0.55;
const COVERAGE_FLOOR_NEAR: f32 = 0.2;
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
}

/// The sentences that answer the question, in reading order: passages by their best sentence, within a passage as written.
pub(super) fn choose<'a>(question: &str, passages: &'a [RecalledPassage]) -> Vec<Chosen<'a>> {
    let asked: HashSet<String> = terms(question).into_iter().collect();
    let mut candidates = candidates(passages);
    let weights = weights(&asked, &candidates);
    let titles: Vec<HashSet<String>> = passages.iter().map(|passage| terms(&passage.title).into_iter().collect()).collect();
    let wanted = Wanted::read(question);
    for candidate in &mut candidates {
        let at = candidate.chosen.passage;
        candidate.coverage = coverage(&weights, &candidate.terms, &titles[at]);
        let figure = if wanted.is_met_by(candidate.chosen.text) { FIGURE_WEIGHT } else { 0.0 };
        candidate.chosen.score = candidate.coverage + NEARNESS_WEIGHT * nearness(passages[at].cosine) + figure;
    }
    candidates.retain(|candidate| {
        let near = passages[candidate.chosen.passage].cosine >= COSINE_NEAR;
        candidate.coverage >= if near { COVERAGE_FLOOR_NEAR } else { COVERAGE_FLOOR }
    });
    pick(candidates)
}

fn candidates(passages: &[RecalledPassage]) -> Vec<Candidate<'_>> {
    passages
        .iter()
        .enumerate()
        .flat_map(|(passage, recalled)| sentences(&recalled.quotable).into_iter().enumerate().map(move |(order, text)| (passage, order, text)))
        .map(|(passage, order, text)| Candidate {
            chosen: Chosen { passage, text, score: 0.0 },
            order,
            coverage: 0.0,
            terms: terms(text).into_iter().collect(),
        })
        .collect()
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

fn pick(mut candidates: Vec<Candidate<'_>>) -> Vec<Chosen<'_>> {
    // Equal scores keep the order of recall, so that the same question over the same passages gives the same answer.
    candidates.sort_by(|a, b| b.chosen.score.total_cmp(&a.chosen.score));
    let Some(best) = candidates.first().map(|candidate| candidate.chosen.score) else { return Vec::new() };
    let mut picked: Vec<Candidate<'_>> = Vec::new();
    for candidate in candidates {
        if picked.len() == SENTENCES_MAX || candidate.chosen.score < FURTHER_SHARE * best {
            break;
        }
        if !picked.iter().any(|other| say_the_same(&candidate, other)) {
            picked.push(candidate);
        }
    }
    let first_of: HashMap<usize, usize> = picked.iter().enumerate().rev().map(|(rank, candidate)| (candidate.chosen.passage, rank)).collect();
    picked.sort_by_key(|candidate| (first_of.get(&candidate.chosen.passage).copied(), candidate.order));
    picked.into_iter().map(|candidate| candidate.chosen).collect()
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
}

impl Wanted {
    fn read(question: &str) -> Self {
        let question = question.to_lowercase();
        let asks = |phrases: &[&str]| phrases.iter().any(|phrase| question.contains(phrase));
        if asks(&["when ", "what year", "which year", "what date", "since what", "wann", "quand", "cuándo"]) {
            Self::Moment
        } else if asks(&[
            "how many",
            "how much",
            "how old",
            "how long",
            "how large",
            "how big",
            "how high",
            "how far",
            "what number",
            "percent",
            "wie viel",
            "combien",
        ]) {
            Self::Figure
        } else {
            Self::Anything
        }
    }

    fn is_met_by(self, text: &str) -> bool {
        match self {
            Self::Anything => false,
            Self::Figure => text.bytes().any(|b| b.is_ascii_digit()),
            Self::Moment => has_year(text) || MONTHS.iter().any(|month| text.contains(month)),
        }
    }
}

const MONTHS: [&str; 12] =
    ["January", "February", "March", "April", "May ", "June", "July", "August", "September", "October", "November", "December"];

fn has_year(text: &str) -> bool {
    text.split(|c: char| !c.is_ascii_digit()).any(|digits| digits.len() == 4 && (digits.starts_with('1') || digits.starts_with("20")))
}
