//! What matters to the objective: relevance of words, scores of sentences, and a choice that does not say the same thing twice.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

use super::context::Extreme;
use super::words::terms;

/// Most findings of a report.
pub(super) const FINDINGS_MAX: usize = 40;
/// Most findings from one page.
const PER_PAGE_MAX: usize = 5;
/// Findings that are wanted even when fewer speak to the objective.
const FINDINGS_WANTED: usize = 8;
/// Sentences that are compared with each other; the rest scored lower.
const POOL_MAX: usize = 600;
/// Two sentences that share more of their words say the same.
const SAME: f64 = 0.6;

/// What a widget wants to know.
#[derive(Clone, Debug, Default)]
pub struct Objective {
    title: String,
    text: String,
    context: String,
}

impl Objective {
    /// From the widget's title and objective.
    #[must_use]
    pub fn new(title: &str, text: &str) -> Self {
        Self { title: title.to_owned(), text: text.to_owned(), context: String::new() }
    }

    /// With what other reports say: its words count when passages are ranked, and are not what was asked.
    #[must_use]
    pub fn with_context(mut self, context: &str) -> Self {
        context.clone_into(&mut self.context);
        self
    }

    pub(super) fn extreme(&self) -> Extreme {
        match Extreme::of(&self.text) {
            Extreme::None => Extreme::of(&self.title),
            asked => asked,
        }
    }
}

/// Stems of words that ask for whatever there is, and so for nothing in particular: "key figures and dates of this site".
const UNSPECIFIC: [&str; 22] = [
    "content",
    "data",
    "date",
    "demo",
    "detail",
    "fact",
    "figure",
    "important",
    "information",
    "key",
    "list",
    "main",
    "metric",
    "number",
    "overview",
    "page",
    "say",
    "site",
    "statement",
    "summary",
    "value",
    "website",
];

fn specific(text: &str) -> impl Iterator<Item = String> {
    terms(text).into_iter().filter(|term| !UNSPECIFIC.contains(&term.as_str()))
}

/// The words of a question and of a title, by which the figure that is shown first is chosen.
pub(super) struct Asked {
    question: BTreeSet<String>,
    title: BTreeSet<String>,
}

impl Asked {
    pub(super) fn new(objective: &Objective) -> Self {
        Self { question: specific(&objective.text).collect(), title: specific(&objective.title).collect() }
    }

    /// How many words of the question a name says, and how many of the title. Each counts as one however common it is in the material:
    /// on a site about prices `price` sets no sentence apart, and is still what was asked.
    pub(super) fn said_by(&self, name: &str) -> (usize, usize) {
        let said: BTreeSet<String> = terms(name).into_iter().collect();
        (said.intersection(&self.question).count(), said.intersection(&self.title).count())
    }
}

/// A sentence that may become a finding.
#[derive(Clone, Debug)]
pub(super) struct Sentence {
    pub(super) page: usize,
    pub(super) block: usize,
    pub(super) range: Range<usize>,
    /// What else it rests on: the further items of a list.
    pub(super) more: Vec<(usize, Range<usize>)>,
    /// It was put together from the items of a list: a finding only where it speaks to the objective.
    pub(super) list: bool,
    /// As shown.
    pub(super) text: String,
    pub(super) terms: BTreeSet<String>,
    /// Its place among the page's sentences.
    pub(super) position: usize,
    /// Page and heading it stands under.
    pub(super) topic: Vec<String>,
    pub(super) figures: usize,
    pub(super) entities: Vec<String>,
    /// Strippers of markup differ within it.
    pub(super) seams: bool,
}

/// Weights of the objective's words: rare ones in the material count more.
pub(super) struct Relevance {
    weights: BTreeMap<String, f64>,
    total: f64,
}

impl Relevance {
    /// `texts` are the sets of terms of everything that is ranked.
    pub(super) fn new<'a>(objective: &Objective, texts: impl Iterator<Item = &'a BTreeSet<String>>) -> Self {
        let mut weights: BTreeMap<String, f64> = BTreeMap::new();
        for term in specific(&objective.title) {
            weights.insert(term, 0.6);
        }
        for term in specific(&objective.text).chain(terms(&objective.context)) {
            weights.insert(term, 1.0);
        }
        let (mut count, mut holding) = (0.0f64, BTreeMap::<String, f64>::new());
        for set in texts {
            count += 1.0;
            for term in weights.keys().filter(|term| set.contains(*term)) {
                *holding.entry(term.clone()).or_default() += 1.0;
            }
        }
        for (term, weight) in &mut weights {
            let with = holding.get(term).copied().unwrap_or_default();
            *weight *= (1.0 + (count - with + 0.5) / (with + 0.5)).ln();
        }
        // A word that the material never uses must not lower everything else.
        let total = weights.iter().filter(|(term, _)| holding.contains_key(*term)).map(|(_, weight)| weight).sum();
        Self { weights, total }
    }

    /// From 0 (nothing of the objective) to 1 (all of it).
    pub(super) fn of<'a>(&self, terms: impl Iterator<Item = &'a String>) -> f64 {
        if self.total <= 0.0 {
            return 0.0;
        }
        let found: BTreeSet<&String> = terms.filter(|term| self.weights.contains_key(*term)).collect();
        (found.into_iter().filter_map(|term| self.weights.get(term)).sum::<f64>() / self.total).min(1.0)
    }

    pub(super) fn of_text(&self, text: &str) -> f64 {
        self.of(terms(text).iter())
    }
}

/// A chosen sentence: its place in the list, and how much it says about the objective.
pub(super) struct Chosen {
    pub(super) at: usize,
    pub(super) relevance: f64,
}

/// The findings, the most telling first.
pub(super) fn choose(sentences: &[Sentence], relevance: &Relevance) -> Vec<Chosen> {
    let mut pool: Vec<(usize, f64, f64)> = sentences
        .iter()
        .enumerate()
        .map(|(at, sentence)| {
            let own = relevance.of(sentence.terms.iter());
            (at, own, score(sentence, own, relevance.of(sentence.topic.iter())))
        })
        .collect();
    pool.sort_by(|a, b| b.2.total_cmp(&a.2).then(a.0.cmp(&b.0)));
    pool.truncate(POOL_MAX);
    let any_relevant = pool.iter().any(|(_, own, _)| *own > 0.0);
    let mut chosen: Vec<Chosen> = Vec::new();
    let mut per_page: BTreeMap<usize, usize> = BTreeMap::new();
    let mut likeness = vec![0.0f64; pool.len()];
    while chosen.len() < FINDINGS_MAX {
        let best = pool
            .iter()
            .enumerate()
            .filter(|(place, (at, own, _))| {
                let enough = any_relevant && *own <= 0.0 && chosen.len() >= FINDINGS_WANTED;
                let unasked = sentences[*at].list && *own <= 0.0;
                likeness[*place] < SAME && !enough && !unasked && per_page.get(&sentences[*at].page).copied().unwrap_or(0) < PER_PAGE_MAX
            })
            .map(|(place, (at, _, score))| {
                (place, score - 0.9 * likeness[place] - 0.15 * per_page.get(&sentences[*at].page).copied().unwrap_or(0) as f64)
            })
            .max_by(|a, b| a.1.total_cmp(&b.1).then(b.0.cmp(&a.0)));
        let Some((place, value)) = best else { break };
        if value < 0.0 {
            break;
        }
        let (at, own, _) = pool[place];
        *per_page.entry(sentences[at].page).or_default() += 1;
        chosen.push(Chosen { at, relevance: own });
        for (other, like) in likeness.iter_mut().enumerate() {
            *like = like.max(jaccard(&sentences[at].terms, &sentences[pool[other].0].terms));
        }
        likeness[place] = f64::INFINITY;
    }
    chosen
}

/// The summary: two to four chosen sentences, word for word, in the order of the sources.
pub(super) fn summary(sentences: &[Sentence], chosen: &[Chosen]) -> String {
    const BYTES_MAX: usize = 700;
    let best = chosen.first().map_or(0.0, |first| first.relevance);
    let mut picked: Vec<&Sentence> = Vec::new();
    let mut bytes = 0;
    for candidate in chosen {
        let sentence = &sentences[candidate.at];
        let weak = picked.len() >= 2 && candidate.relevance < best * 0.5;
        if !weak
            && !sentence.list
            && picked.len() < 4
            && (picked.len() < 2 || bytes + sentence.text.len() <= BYTES_MAX)
            && sentence.text.len() <= BYTES_MAX / 2
        {
            bytes += sentence.text.len();
            picked.push(sentence);
        }
    }
    picked.sort_by_key(|sentence| (sentence.page, sentence.block, sentence.range.start));
    picked.iter().map(|sentence| sentence.text.as_str()).collect::<Vec<_>>().join(" ")
}

/// Whether something stands in a lower-case text.
type Test = fn(&str) -> bool;

/// What makes a sentence a worse finding, and how much each takes off.
const DEDUCTIONS: [(f64, Test); 6] = [
    (1.0, |lower| NOISE.iter().any(|noise| lower.contains(noise))),
    (0.3, |lower| TELLING_OFF.iter().any(|start| lower.starts_with(start))),
    (0.3, |lower| POINTING.iter().any(|word| lower.contains(word))),
    (0.6, |lower| lower.ends_with('?')),
    (0.5, |lower| lower.contains(['{', '}', '<', '>', '|', '\\']) || ["()", "->", "://"].iter().any(|code| lower.contains(code))),
    // It stands for something said before: weaker when quoted alone.
    (0.2, |lower| REFERRING.iter().any(|start| lower.starts_with(start))),
];

fn score(sentence: &Sentence, own: f64, topic: f64) -> f64 {
    let lower = sentence.text.to_lowercase();
    let figure = if sentence.figures > 0 { 0.35 } else { 0.0 };
    let entities = 0.05 * sentence.entities.len().min(4) as f64;
    let place = 0.5 / (1.0 + 0.4 * sentence.position as f64);
    let deducted: f64 = DEDUCTIONS.iter().filter(|(_, applies)| applies(&lower)).map(|(amount, _)| amount).sum();
    let seams = if sentence.seams { 0.1 } else { 0.0 };
    let length = match sentence.text.split(' ').count() {
        0..7 => 0.25,
        7..=45 => 0.0,
        _ => 0.4,
    };
    3.0 * own + 0.6 * topic + figure + entities + place - deducted - seams - length
}

/// What pages say beside their subject.
const NOISE: [&str; 18] = [
    "cookie",
    "copyright",
    "all rights reserved",
    "subscribe",
    "newsletter",
    "click here",
    "sign up",
    "log in",
    "for more information",
    "for more details",
    "this page was last",
    "privacy policy",
    "terms of use",
    "javascript",
    "see also",
    "in this chapter",
    "in this section",
    "retrieved",
];
/// How sentences begin that lead the reader and say nothing themselves.
const TELLING_OFF: [&str; 30] = [
    "as mentioned",
    "as we",
    "as you saw",
    "click ",
    "for example",
    "for this example",
    "here ",
    "i ",
    "if you ",
    "in listing",
    "i’",
    "let's ",
    "note that",
    "note:",
    "recall ",
    "see ",
    "the following",
    "this article",
    "this chapter",
    "this document",
    "this guide",
    "this list",
    "this page",
    "this section",
    "to do this",
    "try ",
    "we ",
    "we'",
    "we’",
    "you can ",
];
/// What points at something else on the page.
const POINTING: [&str; 6] = ["listing ", "figure ", "chapter ", "see fig", " section", "this example"];
/// How sentences begin that stand on the one before.
const REFERRING: [&str; 11] = ["it ", "this ", "these ", "they ", "however", "such ", "but ", "and ", "also", "thus", "therefore"];

fn jaccard(a: &BTreeSet<String>, b: &BTreeSet<String>) -> f64 {
    let shared = a.intersection(b).count() as f64;
    let all = (a.len() + b.len()) as f64 - shared;
    if all <= 0.0 { 0.0 } else { shared / all }
}
