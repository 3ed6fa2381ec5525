//! The built-in extractor: the text of pages becomes a report, without a model. The same pages give the same report, and every finding,
//! metric and row points at a quote that stands word for word in its source.

mod context;
mod dates;
mod entities;
mod figures;
mod lists;
mod phrases;
mod prose;
mod rank;
mod rows;
mod sentences;
mod tables;
mod titles;
mod units;
mod words;

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::sync::Arc;

use super::page::{BlockKind, PageText};
use crate::base::clock::Timestamp;
use crate::base::text::truncate;
use crate::model::report::{BUILT_IN_EXTRACTOR, Evidence, EvidenceId, Finding, Metric, ReportBody, ReportTable, SourceRef, TableRow};
use context::{MetricDraft, PageContext, TableDraft};
use entities::Lexicon;
pub use rank::Objective;
use rank::{Asked, Relevance, Sentence};
pub use rows::{NamedRow, rows};

/// Most metrics of a report.
pub const METRICS_MAX: usize = 60;
/// Metrics kept although they do not speak to the objective.
const METRICS_UNASKED_MAX: usize = 12;
/// Most tables of a report.
pub const TABLES_MAX: usize = 20;
/// Tables kept although they do not speak to the objective, where others do.
const TABLES_UNASKED_MAX: usize = 4;
/// Most rows over all tables of a report.
const ROWS_MAX: usize = 1_000;
/// Most sentences looked at on a page, and in all.
const SENTENCES_PER_PAGE_MAX: usize = 400;
const SENTENCES_MAX: usize = 30_000;
/// Most figures weighed against each other.
const DRAFTS_MAX: usize = 20_000;
/// Longest quote, in bytes.
const QUOTE_BYTES_MAX: usize = 1_000;
/// A sentence on this many pages belongs to the site, not to a page.
const BOILERPLATE_PAGES: usize = 3;

/// A source that was read.
#[derive(Clone, Debug)]
pub struct SourcePage {
    /// Where it is from, as evidence names it.
    pub source: SourceRef,
    /// Its text.
    pub text: Arc<PageText>,
    /// When it was collected.
    pub collected_at: Timestamp,
}

/// Makes a report of the pages: tables, key figures, key sentences, the most relevant to the objective first.
#[must_use]
pub fn extract_report(pages: &[SourcePage], objective: &Objective) -> ReportBody {
    let lexicon = learn(pages);
    let extreme = objective.extreme();
    let (mut found, mut metrics, mut tables) = (Vec::new(), Vec::new(), Vec::new());
    for (index, page) in pages.iter().enumerate() {
        let context = PageContext::new(index, &page.text, page.source.title.clone(), extreme, &lexicon);
        let (page_tables, page_metrics) = tables::read(&context);
        tables.extend(page_tables);
        metrics.extend(page_metrics);
        read_text(&context, &mut found, &mut metrics);
        metrics.truncate(DRAFTS_MAX);
        found.truncate(SENTENCES_MAX);
    }
    drop_boilerplate(&mut found);
    let relevance = Relevance::new(objective, found.iter().map(|sentence| &sentence.terms));
    let chosen = rank::choose(&found, &relevance);
    let mut book = Book::new(pages);
    let summary = rank::summary(&found, &chosen);
    let findings = chosen.iter().enumerate().map(|(at, choice)| finding(at, &found[choice.at], &mut book)).collect();
    let metrics = choose_metrics(metrics, &relevance, &Asked::new(objective), &mut book);
    let tables = choose_tables(tables, &relevance, &mut book);
    ReportBody { summary, findings, metrics, tables, evidence: book.evidence, extractor: BUILT_IN_EXTRACTOR.to_owned() }
}

fn is_prose(kind: BlockKind) -> bool {
    matches!(kind, BlockKind::Paragraph | BlockKind::ListItem | BlockKind::Definition | BlockKind::Other)
}

/// Which capitalised words are names, by all sentences of all pages.
fn learn(pages: &[SourcePage]) -> Lexicon {
    let mut lexicon = Lexicon::default();
    for page in pages {
        for block in page.text.blocks.iter().filter(|block| is_prose(block.kind)).take(SENTENCES_PER_PAGE_MAX) {
            for range in sentences::split(&block.text) {
                if sentences::is_sentence(&block.text[range.clone()]) {
                    lexicon.learn(&block.text[range]);
                }
            }
        }
    }
    lexicon
}

/// The sentences of a page, and the figures in its sentences, fields and definitions.
fn read_text(context: &PageContext<'_>, found: &mut Vec<Sentence>, metrics: &mut Vec<MetricDraft>) {
    let mut position = 0;
    let mut term: Option<&str> = None;
    for (at, block) in context.page.blocks.iter().enumerate() {
        match block.kind {
            BlockKind::Term => term = Some(&block.text),
            BlockKind::Definition if term.is_some() => {
                let name = titles::shown(term.take().unwrap_or_default(), context.page.format);
                let value = titles::shown(&block.text, context.page.format);
                metrics.extend(prose::field(context, at, &name, &value, 0..block.text.len()));
            }
            _ => {}
        }
        if !is_prose(block.kind) {
            continue;
        }
        let ranges = sentences::split(&block.text);
        if let [only] = ranges.as_slice()
            && let Some((name, value)) = block.text[only.clone()].split_once(": ")
        {
            metrics.extend(prose::field(
                context,
                at,
                &titles::shown(name, context.page.format),
                &titles::shown(value, context.page.format),
                only.clone(),
            ));
        }
        for range in ranges {
            let range = without_item_mark(&block.text, range);
            if !sentences::is_sentence(&block.text[range.clone()]) || position >= SENTENCES_PER_PAGE_MAX {
                continue;
            }
            let sentence = sentence(context, at, range, position);
            metrics.extend(prose::read(context, at, &sentence.text, &sentence.range));
            found.push(sentence);
            position += 1;
        }
    }
    found.extend(lists::read(context).into_iter().take(SENTENCES_PER_PAGE_MAX).filter_map(|list| of_list(context, list, position)));
}

/// A list as one statement: it rests on its items.
fn of_list(context: &PageContext<'_>, list: lists::List, position: usize) -> Option<Sentence> {
    let mut items = list.items.into_iter();
    let (block, range) = items.next()?;
    let terms = words::terms(&list.text).into_iter().collect();
    let figures = figures::find(&list.text, context.comma).len();
    let entities = context.lexicon.entities(&list.text, context.page.language.as_deref());
    let topic = words::terms(&context.topic(block));
    let more = items.collect();
    Some(Sentence { page: context.index, block, range, text: list.text, more, list: true, terms, position, topic, figures, entities, seams: false })
}

/// Past `- `, `* `, `• `, `1. ` at the start of a list item in plain text.
fn without_item_mark(text: &str, range: Range<usize>) -> Range<usize> {
    let part = &text[range.clone()];
    let rest = part.trim_start_matches(['-', '*', '+', '•', '‣', '◦']);
    if rest.len() < part.len() && rest.starts_with(' ') { range.end - rest.trim_start().len()..range.end } else { range }
}

fn sentence(context: &PageContext<'_>, block: usize, range: Range<usize>, position: usize) -> Sentence {
    let source = &context.page.blocks[block];
    let text = titles::shown(&source.text[range.clone()], context.page.format);
    Sentence {
        page: context.index,
        block,
        terms: words::terms(&text).into_iter().collect(),
        position,
        topic: words::terms(&context.topic(block)),
        figures: figures::find(&text, context.comma).len(),
        entities: context.lexicon.entities(&text, context.page.language.as_deref()),
        seams: source.seams.iter().any(|at| (*at as usize) > range.start && (*at as usize) < range.end),
        range,
        more: Vec::new(),
        list: false,
        text,
    }
}

/// What every page of a site says belongs to none; what one page says twice counts once.
fn drop_boilerplate(found: &mut Vec<Sentence>) {
    let mut pages: BTreeMap<&str, BTreeSet<usize>> = BTreeMap::new();
    for sentence in found.iter() {
        pages.entry(sentence.text.as_str()).or_default().insert(sentence.page);
    }
    let common: BTreeSet<String> = pages.iter().filter(|(_, pages)| pages.len() >= BOILERPLATE_PAGES).map(|(text, _)| (*text).to_owned()).collect();
    let mut seen = BTreeSet::new();
    found.retain(|sentence| !common.contains(&sentence.text) && seen.insert(sentence.text.clone()));
}

fn finding(at: usize, sentence: &Sentence, book: &mut Book<'_>) -> Finding {
    Finding {
        id: format!("f{}", at + 1),
        text: sentence.text.clone(),
        evidence: std::iter::once(&(sentence.block, sentence.range.clone()))
            .chain(&sentence.more)
            .map(|(block, range)| book.quote(sentence.page, *block, range.clone()))
            .collect(),
        entities: sentence.entities.clone(),
    }
}

/// The most relevant figures, each name once; the first is the headline: the one whose name says most of the question, then of the title.
fn choose_metrics(drafts: Vec<MetricDraft>, relevance: &Relevance, asked: &Asked, book: &mut Book<'_>) -> Vec<Metric> {
    let mut scored: Vec<(f64, f64, MetricDraft)> = drafts
        .into_iter()
        .map(|draft| {
            let own = relevance.of_text(&draft.name);
            let all = relevance.of_text(&format!("{} {}", draft.name, draft.topic));
            (own + 0.5 * all + if all > 0.0 { draft.bonus } else { 0.0 }, all, draft)
        })
        .collect();
    // A stable sort: equals stay in the order of the sources.
    scored.sort_by(|a, b| b.0.total_cmp(&a.0));
    lead_with_what_was_asked(&mut scored, asked);
    let mut names = BTreeSet::new();
    let mut metrics: Vec<Metric> = Vec::new();
    let mut unasked = 0;
    for (_, all, draft) in scored {
        unasked += usize::from(all <= 0.0);
        let surplus = all <= 0.0 && unasked > METRICS_UNASKED_MAX;
        if metrics.len() >= METRICS_MAX || surplus || !draft.value.is_finite() || !names.insert(draft.name.to_lowercase()) {
            continue;
        }
        let written = &book.pages[draft.page].text.blocks[draft.block].text[draft.quote.clone()];
        metrics.push(Metric {
            id: format!("m{}", metrics.len() + 1),
            decimals: figures::decimals_written(written, draft.value),
            evidence: vec![book.quote(draft.page, draft.block, draft.quote)],
            name: draft.name,
            value: draft.value,
            unit: draft.unit,
            as_of: draft.as_of,
        });
    }
    metrics
}

/// Puts the figure in front whose name says most of what was asked; of equals the one that ranks first, and nothing where none says a word.
fn lead_with_what_was_asked(scored: &mut [(f64, f64, MetricDraft)], asked: &Asked) {
    let usable = scored.iter().enumerate().filter(|(_, (_, _, draft))| draft.value.is_finite());
    let said = usable.map(|(at, (_, _, draft))| (asked.said_by(&draft.name), at));
    if let Some(((1.., _) | (_, 1..), at)) = said.max_by(|a, b| a.0.cmp(&b.0).then(b.1.cmp(&a.1))) {
        scored[..=at].rotate_right(1);
    }
}

/// The most relevant tables, those of one content once.
fn choose_tables(drafts: Vec<TableDraft>, relevance: &Relevance, book: &mut Book<'_>) -> Vec<ReportTable> {
    let mut seen: BTreeSet<Vec<Vec<String>>> = BTreeSet::new();
    let mut scored: Vec<(f64, TableDraft)> = Vec::new();
    for draft in drafts {
        if seen.insert(draft.rows.iter().map(|(cells, _)| cells.clone()).collect()) {
            let words = format!(
                "{} {} {}",
                draft.title,
                draft.columns.join(" "),
                draft.rows.iter().take(30).map(|(cells, _)| cells[0].as_str()).collect::<Vec<_>>().join(" ")
            );
            scored.push((relevance.of_text(&draft.title) + relevance.of_text(&words), draft));
        }
    }
    scored.sort_by(|a, b| b.0.total_cmp(&a.0));
    if scored.first().is_some_and(|(best, _)| *best > 0.0) {
        let asked = scored.iter().filter(|(score, _)| *score > 0.0).count();
        scored.truncate(asked + TABLES_UNASKED_MAX);
    }
    let mut rows_left = ROWS_MAX;
    let mut tables = Vec::new();
    for (_, draft) in scored.into_iter().take(TABLES_MAX) {
        if rows_left == 0 {
            break;
        }
        let evidence = vec![book.block(draft.page, draft.lead)];
        let rows: Vec<TableRow> =
            draft.rows.into_iter().take(rows_left).map(|(cells, block)| TableRow { cells, evidence: vec![book.block(draft.page, block)] }).collect();
        rows_left -= rows.len();
        tables.push(ReportTable { id: format!("t{}", tables.len() + 1), title: draft.title, columns: draft.columns, rows, evidence });
    }
    tables
}

/// Quotes, each kept once.
struct Book<'a> {
    pages: &'a [SourcePage],
    hashes: BTreeMap<usize, String>,
    known: BTreeMap<(usize, usize, usize, usize), EvidenceId>,
    evidence: Vec<Evidence>,
}

impl<'a> Book<'a> {
    fn new(pages: &'a [SourcePage]) -> Self {
        Self { pages, hashes: BTreeMap::new(), known: BTreeMap::new(), evidence: Vec::new() }
    }

    fn block(&mut self, page: usize, block: usize) -> EvidenceId {
        let length = self.pages[page].text.blocks[block].text.len();
        self.quote(page, block, 0..length)
    }

    fn quote(&mut self, page: usize, block: usize, range: Range<usize>) -> EvidenceId {
        let key = (page, block, range.start, range.end);
        if let Some(id) = self.known.get(&key) {
            return id.clone();
        }
        let source = &self.pages[page];
        let content_hash = self.hashes.entry(page).or_insert_with(|| source.text.content_hash()).clone();
        let id = EvidenceId::at(self.evidence.len());
        let quote = truncate(&source.text.blocks[block].text[range], QUOTE_BYTES_MAX).trim_end().to_owned();
        self.evidence.push(Evidence { id: id.clone(), quote, source: source.source.clone(), content_hash, collected_at: source.collected_at });
        self.known.insert(key, id.clone());
        id
    }
}

#[cfg(test)]
mod tests;
