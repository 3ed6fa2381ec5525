//! What a report, its pages or a document become: texts with their sources, cut to the embedding model's size.

use std::collections::HashMap;

use super::passages::{self, LeftOut, PAGE_PASSAGES_MAX, RUN_PASSAGES_MAX};
use crate::base::clock::Timestamp;
use crate::base::text;
use crate::model::chunk::{CHUNK_OVERLAP_TOKENS, CHUNK_TOKENS, ChunkBody, ChunkMetadata, ChunkType, Origin};
use crate::model::chunker::{PieceSize, TokenSpans, split};
use crate::model::freshness::DOCUMENT_STALE_AFTER_HOURS;
use crate::model::ids::{CompanyId, DocumentId, ReportId, RunId, UserId, WidgetId};
use crate::model::report::{Evidence, EvidenceId, Metric, ReportBody, SourceRef, read_as};
use crate::services::collect::extract::NamedRow;

/// Bytes of a title that a chunk carries: a longer one would crowd out its text.
const TITLE_BYTES_MAX: usize = 160;
/// The model's own markers at both ends.
const MARKER_TOKENS: usize = 2;
/// Addresses kept of pages that hold the very same text.
const SOURCE_URLS_MAX: usize = 8;

/// The run that a report comes from.
#[derive(Clone, Debug)]
pub struct ReportSource {
    /// Whose.
    pub company: CompanyId,
    /// The widget.
    pub widget: WidgetId,
    /// The run.
    pub run: RunId,
    /// The report.
    pub report: ReportId,
    /// The widget's source class, as written in its configuration.
    pub source_class: String,
    /// The widget's visibility now.
    pub visibility: String,
    /// Who made the widget.
    pub created_by: UserId,
    /// Who pays for the embedding.
    pub payer: UserId,
    /// After how many hours its material counts as stale.
    pub stale_after_hours: u32,
}

/// An uploaded document.
#[derive(Clone, Debug)]
pub struct DocumentSource {
    /// Whose.
    pub company: CompanyId,
    /// The document.
    pub document: DocumentId,
    /// Who uploaded it, and pays for the embedding.
    pub uploaded_by: UserId,
}

/// The canonical text of a page, of a document, or of one page of a paged document.
#[derive(Clone, Debug)]
pub struct SourceText {
    /// Where it stands.
    pub source: SourceRef,
    /// Canonical text: blocks joined by line breaks.
    pub text: String,
    /// Rows of its tables that are recalled one by one.
    pub rows: Vec<NamedRow>,
    /// SHA-256 of the canonical text of the whole source, hexadecimal.
    pub content_hash: String,
    /// When it was collected or uploaded.
    pub collected_at: Timestamp,
}

/// A chunk to be, with the hash that says whether its vector is known.
#[derive(Clone, Debug)]
pub(super) struct Draft {
    pub(super) body: ChunkBody,
    pub(super) hash: String,
    /// What the model will read, about.
    pub(super) tokens: u32,
}

/// Everything of a report that can be recalled: findings, metrics and table rows, then the passages of its pages. The same for the same input, so
/// that an interrupted ingest finds its place again.
pub(super) fn of_report(source: &ReportSource, pages: &[SourceText], body: &ReportBody, tokens: &dyn TokenSpans) -> (Vec<Draft>, LeftOut) {
    let metadata = ChunkMetadata {
        source_class: Some(source.source_class.clone()),
        widget_visibility: Some(source.visibility.clone()),
        created_by: Some(source.created_by.clone()),
        quotes: Vec::new(),
    };
    let template = ChunkBody {
        origin: Origin::Automation,
        widget_id: Some(source.widget.clone()),
        run_id: Some(source.run.clone()),
        report_id: Some(source.report.clone()),
        ..template(metadata, source.stale_after_hours)
    };
    let mut drafts = Drafts::new(template, tokens);
    for finding in &body.findings {
        drafts.stated(body, &finding.evidence, ChunkType::Finding, &finding.text, |chunk| chunk.entity_tags.clone_from(&finding.entities));
    }
    for metric in &body.metrics {
        drafts.stated(body, &metric.evidence, ChunkType::Metric, &sentence(metric), |chunk| {
            chunk.metric_tags = vec![metric.name.clone()];
            chunk.metric_value = Some(metric.value);
        });
    }
    for table in &body.tables {
        for row in &table.rows {
            let evidence = if row.evidence.is_empty() { &table.evidence } else { &row.evidence };
            drafts.stated(body, evidence, ChunkType::TableRow, &read_as(&table.title, &table.columns, &row.cells), |_| {});
        }
    }
    let texts = passages::new_texts(pages);
    let cut = pages.iter().zip(&texts).map(|(page, text)| drafts.passages(page, text, ChunkType::Evidence)).collect();
    let (taken, left_out) = passages::in_turns(cut, PAGE_PASSAGES_MAX, RUN_PASSAGES_MAX);
    taken.into_iter().for_each(|draft| drafts.push(draft));
    (drafts.done(), left_out)
}

/// The passages and rows of a document: all of them, for an upload is bounded and meant.
pub(super) fn of_document(source: &DocumentSource, pages: &[SourceText], tokens: &dyn TokenSpans) -> (Vec<Draft>, LeftOut) {
    let metadata = ChunkMetadata { created_by: Some(source.uploaded_by.clone()), ..ChunkMetadata::default() };
    let template = ChunkBody {
        origin: Origin::Document,
        chunk_type: ChunkType::Document,
        document_id: Some(source.document.clone()),
        ..template(metadata, DOCUMENT_STALE_AFTER_HOURS)
    };
    let mut drafts = Drafts::new(template, tokens);
    for page in pages {
        drafts.passages(page, &page.text, ChunkType::Document).into_iter().for_each(|draft| drafts.push(draft));
        page.rows.iter().for_each(|row| drafts.row(page, row));
    }
    (drafts.done(), LeftOut::default())
}

fn template(metadata: ChunkMetadata, stale_after_hours: u32) -> ChunkBody {
    ChunkBody {
        origin: Origin::Automation,
        widget_id: None,
        run_id: None,
        report_id: None,
        document_id: None,
        chunk_type: ChunkType::Evidence,
        ordinal: 0,
        title: String::new(),
        content: String::new(),
        source_urls: Vec::new(),
        page_number: None,
        content_hash: String::new(),
        entity_tags: Vec::new(),
        metric_tags: Vec::new(),
        metric_value: None,
        collected_at: Timestamp::default(),
        stale_after_hours,
        metadata,
    }
}

struct Drafts<'a> {
    template: ChunkBody,
    tokens: &'a dyn TokenSpans,
    found: Vec<Draft>,
    /// Where the text of a hash and type already is: pages repeat each other.
    seen: HashMap<(String, ChunkType), usize>,
}

impl<'a> Drafts<'a> {
    fn new(template: ChunkBody, tokens: &'a dyn TokenSpans) -> Self {
        Self { template, tokens, found: Vec::new(), seen: HashMap::new() }
    }

    fn done(mut self) -> Vec<Draft> {
        for (ordinal, draft) in (0..).zip(&mut self.found) {
            draft.body.ordinal = ordinal;
        }
        self.found
    }

    /// A statement of the report. Without evidence there is nothing to cite it by, so it is not recalled.
    fn stated(&mut self, report: &ReportBody, evidence: &[EvidenceId], chunk_type: ChunkType, text: &str, complete: impl Fn(&mut ChunkBody)) {
        let evidence: Vec<&Evidence> = evidence.iter().filter_map(|id| report.evidence(id)).collect();
        let Some(first) = evidence.first() else { return };
        // A chunk cites one source. Of statements resting on several, the quotes of the first are kept.
        let quotes: Vec<String> =
            evidence.iter().filter(|other| other.content_hash == first.content_hash).map(|evidence| evidence.quote.clone()).collect();
        let missing: Vec<&str> = quotes.iter().map(String::as_str).filter(|quote| !text.contains(quote)).collect();
        let content = std::iter::once(text).chain(missing).collect::<Vec<_>>().join("\n");
        let urls = evidence.iter().filter_map(|evidence| evidence.source.url.clone());
        let body = {
            let mut body = self.of_source(&first.source, &first.content_hash, first.collected_at, chunk_type);
            body.source_urls = urls.fold(Vec::new(), |mut urls, url| {
                if !urls.contains(&url) && urls.len() < SOURCE_URLS_MAX {
                    urls.push(url);
                }
                urls
            });
            body.metadata.quotes = quotes;
            complete(&mut body);
            body
        };
        self.cut(&body, &content).into_iter().for_each(|draft| self.push(draft));
    }

    /// `text` of a source, in passages.
    fn passages(&self, page: &SourceText, text: &str, chunk_type: ChunkType) -> Vec<Draft> {
        let body = self.of_source(&page.source, &page.content_hash, page.collected_at, chunk_type);
        self.cut(&body, text)
    }

    /// A row of a document's table, which means something only with the names of its columns.
    fn row(&mut self, page: &SourceText, row: &NamedRow) {
        let mut body = self.of_source(&page.source, &page.content_hash, page.collected_at, ChunkType::TableRow);
        body.metadata.quotes = vec![row.quote.clone()];
        self.cut(&body, &format!("{}\n{}", row.text, row.quote)).into_iter().for_each(|draft| self.push(draft));
    }

    fn of_source(&self, source: &SourceRef, content_hash: &str, collected_at: Timestamp, chunk_type: ChunkType) -> ChunkBody {
        ChunkBody {
            chunk_type,
            title: text::truncate(&text::collapse_whitespace(&source.title), TITLE_BYTES_MAX).trim_end().to_owned(),
            source_urls: source.url.iter().cloned().collect(),
            document_id: self.template.document_id.clone().or_else(|| source.document_id.clone()),
            page_number: source.page_number,
            content_hash: content_hash.to_owned(),
            collected_at,
            ..self.template.clone()
        }
    }

    /// Cuts so that title, text and markers together fill the model's window at most.
    fn cut(&self, body: &ChunkBody, content: &str) -> Vec<Draft> {
        let title = self.tokens.token_spans(&body.title).len();
        let size = PieceSize { tokens_max: CHUNK_TOKENS.saturating_sub(MARKER_TOKENS + title), overlap_max: CHUNK_OVERLAP_TOKENS };
        let drafts = split(content, self.tokens, size).into_iter().map(|piece| {
            let body = ChunkBody { content: content[piece.range].to_owned(), ..body.clone() };
            Draft { hash: body.hash(), body, tokens: piece.tokens.saturating_add(u32::try_from(title).unwrap_or(u32::MAX)) }
        });
        drafts.collect()
    }

    fn push(&mut self, draft: Draft) {
        match self.seen.get(&(draft.hash.clone(), draft.body.chunk_type)).and_then(|at| self.found.get_mut(*at)) {
            Some(same) => {
                let urls = &mut same.body.source_urls;
                urls.extend(draft.body.source_urls.into_iter().filter(|url| !urls.contains(url)).take(1).collect::<Vec<_>>());
                urls.truncate(SOURCE_URLS_MAX);
            }
            None => {
                self.seen.insert((draft.hash.clone(), draft.body.chunk_type), self.found.len());
                self.found.push(draft);
            }
        }
    }
}

/// A metric as a sentence: `Rhine: Length: 1230 km (as of 2024)`.
fn sentence(metric: &Metric) -> String {
    let unit = metric.unit.as_ref().map(|unit| format!(" {unit}")).unwrap_or_default();
    let as_of = metric.as_of.as_ref().map(|date| format!(" (as of {date})")).unwrap_or_default();
    format!("{}: {}{unit}{as_of}", metric.name, metric.figure())
}
