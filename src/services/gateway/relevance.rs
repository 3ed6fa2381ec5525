//! Chooses the sentences of the recalled passages that answer a question, or none.
//!
//! A sentence's score is the weighted share of the question's words that it has (rare words weigh more, words of the passage's title and of its heading count in part), how near
//! its passage is to the question in meaning, and whether it has the figure or date that the question asks for.

use std::collections::{HashMap, HashSet};

use super::candidates::{Candidate, Chosen, candidates, is_fragment};
use super::provider::RecalledPassage;
use super::sentences::terms;
use super::wanted::Wanted;
use crate::base::text::truncate;

/// Most sentences of an answer, and with the lists and names that they need.
const SENTENCES_MAX: usize = 5;
const QUOTES_MAX: usize = 12;
/// What a word of the question counts when it stands in the passage's title only.
const TITLE_WEIGHT: f32 = 0.7;
/// What the passage's nearness counts beside the words.
const NEARNESS_WEIGHT: f32 = 0.5;
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
/// Bytes of a question that are read, as recall does.
const QUESTION_BYTES_MAX: usize = 8_192;
/// Questions in one that are told apart.
const PARTS_MAX: usize = 4;
/// Sentences of a library that is not there: keeps weights sensible when little was recalled.
const BACKGROUND_SENTENCES: f32 = 20.0;

/// The sentences that answer the question, in reading order: passages by their best sentence, within a passage as written.
///
/// Of a long question the beginning is read, and of many in one the first are told apart: each costs a look at every sentence.
pub(super) fn choose<'a>(question: &str, passages: &'a [RecalledPassage]) -> Vec<Chosen<'a>> {
    let mut all: Vec<Chosen<'a>> = Vec::new();
    for part in parts(truncate(question, QUESTION_BYTES_MAX)) {
        for chosen in choose_for(part, passages) {
            if !all.iter().any(|other| other.text == chosen.text) {
                all.push(chosen);
            }
        }
    }
    all.truncate(QUOTES_MAX);
    all
}

fn choose_for<'a>(question: &str, passages: &'a [RecalledPassage]) -> Vec<Chosen<'a>> {
    let asked: HashSet<String> = terms(question).into_iter().collect();
    let mut candidates = candidates(passages);
    let as_written: HashMap<(usize, usize), Chosen<'a>> =
        candidates.iter().map(|candidate| ((candidate.chosen.passage, candidate.order), candidate.chosen)).collect();
    lend_measures(&asked, &mut candidates);
    lend_contacts(&asked, &mut candidates);
    let weights = weights(&asked, &candidates);
    let titles: Vec<HashSet<String>> = passages.iter().map(|passage| terms(&passage.title).into_iter().collect()).collect();
    let wanted = Wanted::read(question);
    for candidate in &mut candidates {
        let at = candidate.chosen.passage;
        candidate.coverage = coverage(&weights, &candidate.terms, &[&titles[at], &candidate.lent]);
        candidate.asked.retain(|term| asked.contains(term));
        candidate.asked_share = coverage(&weights, &candidate.asked, &[]);
        let gain = wanted.gain(candidate.chosen.text, passages[at].reading());
        // Under `Director`, a name alone is the answer to who it is.
        let answers = gain > 0.0 && candidate.chosen.under.is_some();
        if passages[at].reading().is_none() && is_fragment(candidate) && !answers {
            candidate.coverage *= FRAGMENT_SHARE;
        }
        candidate.chosen.score = candidate.coverage + NEARNESS_WEIGHT * nearness(passages[at].cosine) + gain;
    }
    // What the last line of a question adds to the one it leans on: without it, the answer would be the one that was given before.
    let added: HashSet<String> = question.rsplit_once('\n').map(|(_, last)| terms(last).into_iter().collect()).unwrap_or_default();
    let names = names(question);
    let named = passages_with_a_name(&names, passages);
    candidates.retain(|candidate| {
        let at = candidate.chosen.passage;
        // `The mayor of Sandvik`: what shares nothing but the name is about something else there.
        let says = |term: &String| candidate.terms.contains(term) || candidate.lent.contains(term) || titles[at].contains(term);
        let only_named = passages[at].cosine < COSINE_CLOSE
            && asked.iter().any(|term| !names.contains(term))
            && !asked.iter().any(|term| !names.contains(term) && says(term));
        let only_before = !added.is_empty() && !added.iter().any(says);
        // A question of the source answers none.
        let asks = candidate.chosen.text.ends_with('?');
        named[at] && !only_named && !only_before && !asks && candidate.coverage >= floor(passages[at].cosine)
    });
    // Within a passage too: beside a sentence about the Puffin, one about the Kittiwake is no answer.
    let is_named = |candidate: &Candidate<'_>| candidate.terms.iter().chain(&candidate.lent).any(|term| names.contains(term));
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
        if parts.len() + 1 == PARTS_MAX {
            break;
        }
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
const MEASURES: [(&str, &str); 14] = [
    ("cost", "price fee fare rate admission ticket"),
    ("price", "cost fee fare"),
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

/// What a question asks by a word, a contact answers without one: a telephone number, a mail address.
fn lend_contacts(asked: &HashSet<String>, candidates: &mut [Candidate<'_>]) {
    let words = |words: &str| terms(words).into_iter().filter(|word| asked.contains(word)).collect::<Vec<_>>();
    let (telephone, mail) = (words("phone telephone number call extension"), words("email mail address write"));
    let asks_for_telephone = terms("phone telephone call").iter().any(|word| asked.contains(word));
    for candidate in candidates {
        let text = candidate.chosen.text;
        let lent = if asks_for_telephone && has_telephone(text) {
            &telephone
        } else if text.contains('@') && mail.iter().any(|word| word.contains("mail")) {
            &mail
        } else {
            continue;
        };
        candidate.terms.extend(lent.iter().cloned());
        candidate.asked.extend(lent.iter().cloned());
    }
}

/// Six digits and more with nothing but blanks and marks between.
fn has_telephone(text: &str) -> bool {
    let runs = text.split(|c: char| !(c.is_ascii_digit() || matches!(c, ' ' | '+' | '-' | '/' | '(' | ')')));
    runs.into_iter().any(|run| run.bytes().filter(u8::is_ascii_digit).count() >= 6)
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

/// What each word of the question weighs: inverse document frequency over the recalled sentences.
fn weights<'q>(asked: &'q HashSet<String>, candidates: &[Candidate<'_>]) -> HashMap<&'q str, f32> {
    let weight = |term: &String| {
        let having = candidates.iter().filter(|candidate| candidate.terms.contains(term)).count();
        (1.0 + (candidates.len() as f32 + BACKGROUND_SENTENCES) / (having as f32 + 1.0)).ln()
    };
    asked.iter().map(|term| (term.as_str(), weight(term))).collect()
}

fn coverage(weights: &HashMap<&str, f32>, sentence: &HashSet<String>, around: &[&HashSet<String>]) -> f32 {
    let total: f32 = weights.values().sum();
    let found: f32 = weights
        .iter()
        .map(|(term, weight)| match (sentence.contains(*term), around.iter().any(|around| around.contains(*term))) {
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
    // By passage, the best first, and within a passage as written; what a sentence goes on from comes with it, and the list that it leads to.
    let mut places: Vec<(usize, usize, usize)> = Vec::new();
    for candidate in &picked {
        let passage = candidate.chosen.passage;
        let rank = picked.iter().position(|other| other.chosen.passage == passage).unwrap_or(0);
        places.push((rank, passage, candidate.order));
        places.extend((1..=candidate.items).map(|item| (rank, passage, candidate.order + item)));
        // Passages overlap: what it goes on from may be quoted from another one already.
        let before = candidate.goes_on_from.and_then(|order| Some((order, as_written.get(&(passage, order))?)));
        if let Some((order, before)) = before
            && !picked.iter().any(|other| other.chosen.passage != passage && other.chosen.text == before.text)
        {
            places.push((rank, passage, order));
        }
    }
    places.sort_unstable();
    places.dedup();
    places.truncate(QUOTES_MAX);
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

#[cfg(test)]
#[path = "relevance_tests.rs"]
mod tests;
