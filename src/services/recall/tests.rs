//! Recall from end to end over a real store, with an embedder whose vectors count words.

use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use futures_util::future::BoxFuture;

use super::*;
use crate::base::clock::{FakeClock, Timestamp};
use crate::base::random::SeededRandom;
use crate::model::chunk::{ChunkType, Origin};
use crate::model::chunker::TokenSpans;
use crate::model::freshness::Freshness;
use crate::model::ids::{DocumentId, RunId, WidgetId};
use crate::model::report::{Evidence, EvidenceId, Finding, Metric, ReportBody, ReportTable, SourceRef, TableRow};
use crate::services::embed::{EmbedKind, Embedding, EmbeddingModel};
use crate::store::chunks::ChunkOwner;
use crate::store::chunks::testing::run;
use crate::store::testing::{store, user_and_company};

/// Adds up one axis per word; words that begin alike share an axis.
#[derive(Default)]
struct WordCounter {
    texts: AtomicUsize,
    broken: AtomicBool,
}

static MODEL: EmbeddingModel = EmbeddingModel { name: "word-counter", dimension: 384, tokens_max: 510, licence: "MIT" };

struct Spaces;

impl TokenSpans for Spaces {
    fn token_spans(&self, text: &str) -> Vec<Range<usize>> {
        let base = text.as_ptr().addr();
        text.split_whitespace().map(|word| word.as_ptr().addr() - base..word.as_ptr().addr() - base + word.len()).collect()
    }
}

impl Embedder for WordCounter {
    fn model(&self) -> &EmbeddingModel {
        &MODEL
    }

    fn embed(&self, texts: Vec<String>, kind: EmbedKind) -> BoxFuture<'static, Result<Vec<Embedding>, EmbedError>> {
        let before = self.texts.fetch_add(if kind == EmbedKind::Bulk { texts.len() } else { 0 }, Ordering::Relaxed);
        let failed = self.broken.load(Ordering::Relaxed) && kind == EmbedKind::Bulk && before > 0;
        Box::pin(async move { if failed { Err(EmbedError::Stopping) } else { Ok(texts.iter().map(|text| count(text)).collect()) } })
    }

    fn tokenizer(&self) -> Result<Arc<dyn TokenSpans>, EmbedError> {
        Ok(Arc::new(Spaces))
    }
}

fn count(text: &str) -> Embedding {
    let mut vector = vec![0.0f32; 384];
    let words = crate::model::words::telling_words(text);
    for word in &words {
        let axis = word.bytes().take(5).fold(7usize, |sum, byte| sum.wrapping_mul(31).wrapping_add(usize::from(byte))) % 384;
        vector[axis] += 1.0;
    }
    let length = vector.iter().map(|x| x * x).sum::<f32>().sqrt().max(1e-9);
    vector.iter_mut().for_each(|x| *x /= length);
    Embedding { vector, tokens: u32::try_from(words.len()).unwrap() }
}

struct Bench {
    recall: Recall,
    store: Store,
    embedder: Arc<WordCounter>,
    clock: Arc<FakeClock>,
    user: UserId,
    company: CompanyId,
    _folder: tempfile::TempDir,
}

const NOON: i64 = 1_795_300_000_000;

async fn bench(automations_enabled: bool) -> Bench {
    let (store, folder) = store();
    let (user, company) = user_and_company(&store).await;
    let clock = Arc::new(FakeClock::new(Timestamp::from_millis(NOON)));
    let seams = Seams { clock: clock.clone(), random: Arc::new(SeededRandom::new(1)) };
    let embedder = Arc::new(WordCounter::default());
    let settings = RecallSettings { automations_enabled, ..RecallSettings::default() };
    let recall = Recall::new(store.clone(), embedder.clone(), seams, Tasks::default(), settings);
    Bench { recall, store, embedder, clock, user, company, _folder: folder }
}

impl Bench {
    async fn run(&self, widget: Option<&WidgetId>, queued_at: i64) -> ReportSource {
        let (widget, run, report) = run(&self.store, &self.company, &self.user, widget, queued_at).await;
        ReportSource {
            company: self.company.clone(),
            widget,
            run,
            report,
            source_class: "internal_web".into(),
            visibility: "company".into(),
            created_by: self.user.clone(),
            stale_after_hours: 48,
        }
    }

    async fn ingest(&self, source: &ReportSource, pages: &[SourceText]) -> Result<IngestSummary, RecallError> {
        self.recall.ingest_report(source.clone(), pages.to_vec(), report(&pages[0]), &|_| {}).await
    }

    async fn document(&self, text: &str) -> DocumentId {
        let document = DocumentId::new(&Seams::system());
        let row = (document.clone(), self.company.clone(), self.user.clone());
        self.store.test_document(row).await;
        let source = DocumentSource { company: self.company.clone(), document: document.clone(), uploaded_by: self.user.clone() };
        let page = SourceText {
            source: SourceRef { url: None, document_id: Some(document.clone()), ..page("", "Handbook", "").source },
            ..page("", "", text)
        };
        self.recall.ingest_document(source, vec![page], &|_| {}).await.unwrap();
        document
    }

    async fn search(&self, text: &str) -> Vec<Recalled> {
        self.search_with(text, RecallFilter::default()).await
    }

    async fn search_with(&self, text: &str, filter: RecallFilter) -> Vec<Recalled> {
        let query = RecallQuery { company: self.company.clone(), viewer: self.user.clone(), text: text.into(), limit: 8, filter };
        self.recall.search(query).await.unwrap()
    }

    async fn chunks(&self, run: &RunId) -> usize {
        self.store.chunk_hashes(ChunkOwner::Run(run.clone())).await.unwrap().len()
    }
}

fn page(url: &str, title: &str, text: &str) -> SourceText {
    SourceText {
        source: SourceRef { url: Some(url.into()), document_id: None, title: title.into(), page_number: None },
        text: text.into(),
        content_hash: crate::base::secret::sha256_hex(text.as_bytes()),
        collected_at: Timestamp::from_millis(NOON),
    }
}

fn rivers() -> SourceText {
    page(
        "http://rivers.example/rhine",
        "Rivers",
        "The Rhine\nThe Rhine rises in the Alps and carries barges to Rotterdam.\nRhine 1,230 km\nSalmon returned in 1990.",
    )
}

fn report(page: &SourceText) -> ReportBody {
    let evidence = |at: usize, quote: &str| Evidence {
        id: EvidenceId::at(at),
        quote: quote.into(),
        source: page.source.clone(),
        content_hash: page.content_hash.clone(),
        collected_at: page.collected_at,
    };
    ReportBody {
        findings: vec![Finding {
            id: "f1".into(),
            text: "Salmon returned in 1990.".into(),
            evidence: vec![EvidenceId::at(0)],
            entities: vec!["Rhine".into()],
        }],
        metrics: vec![Metric {
            id: "m1".into(),
            name: "Rhine: Length".into(),
            value: 1230.0,
            unit: Some("km".into()),
            as_of: None,
            evidence: vec![EvidenceId::at(1)],
        }],
        tables: vec![ReportTable {
            id: "t1".into(),
            title: "Lengths".into(),
            columns: vec!["River".into(), "Length".into()],
            rows: vec![TableRow { cells: vec!["Rhine".into(), "1,230 km".into()], evidence: vec![EvidenceId::at(1)] }],
            evidence: Vec::new(),
        }],
        evidence: vec![evidence(0, "Salmon returned in 1990."), evidence(1, "Rhine 1,230 km")],
        ..ReportBody::default()
    }
}

#[tokio::test]
async fn a_report_is_recalled_with_citations_that_stand_in_the_source() {
    let bench = bench(true).await;
    let source = bench.run(None, 1).await;
    let summary = bench.ingest(&source, &[rivers()]).await.unwrap();
    assert_eq!((summary.chunks, summary.embedded, summary.reused), (4, 4, 0), "finding, metric, row, passage");
    assert!(summary.tokens > 10);

    let found = bench.search("What is the length of the Rhine in km?").await;
    assert_eq!(found[0].citation.quote, "Rhine 1,230 km");
    assert_eq!(found[0].citation.n, 1);
    assert!((found[0].score - found[0].cosine - 0.10).abs() < 1e-6);
    for recalled in &found {
        let citation = &recalled.citation;
        assert!(rivers().text.contains(&citation.quote) && !citation.quote.is_empty(), "{}", citation.quote);
        assert!(recalled.chunk.body.quotable().contains(&citation.quote));
        assert_eq!((citation.url.as_deref(), &citation.content_hash), (Some("http://rivers.example/rhine"), &rivers().content_hash));
        assert_eq!(citation.freshness, Freshness::Fresh);
        assert_eq!(recalled.chunk.body.metadata.source_class.as_deref(), Some("internal_web"));
    }
    let quotes: Vec<&str> = found.iter().map(|recalled| recalled.citation.quote.as_str()).collect();
    assert!(quotes.iter().enumerate().all(|(at, quote)| !quotes[..at].contains(quote)), "one result a quote: {quotes:?}");
    let finding = bench.search("salmon").await;
    assert_eq!(
        (finding[0].chunk.body.chunk_type, finding[0].chunk.body.entity_tags.as_slice()),
        (ChunkType::Finding, ["Rhine".to_owned()].as_slice())
    );
    bench.clock.advance(Duration::from_secs(13 * 3_600));
    assert_eq!(bench.search("salmon").await[0].freshness, Freshness::Recent);
    assert!(bench.search(" ").await.is_empty());
}

#[tokio::test]
async fn an_unchanged_run_costs_nothing_and_the_latest_two_stay() {
    let bench = bench(true).await;
    let first = bench.run(None, 1).await;
    bench.ingest(&first, &[rivers()]).await.unwrap();
    let second = bench.run(Some(&first.widget), 2).await;
    let summary = bench.ingest(&second, &[rivers()]).await.unwrap();
    assert_eq!((summary.chunks, summary.embedded, summary.reused, summary.tokens), (4, 0, 4, 0));
    assert!(
        bench.search("salmon").await.iter().all(|recalled| recalled.chunk.body.run_id.as_ref() == Some(&second.run)),
        "the newer of two that say the same"
    );
    let third = bench.run(Some(&first.widget), 3).await;
    bench.ingest(&third, &[rivers()]).await.unwrap();
    assert_eq!((bench.chunks(&first.run).await, bench.chunks(&second.run).await, bench.chunks(&third.run).await), (0, 4, 4));
    assert_eq!(bench.recall.forget_widget(&first.widget).await.unwrap(), 8);
    assert!(bench.search("salmon").await.is_empty());
}

#[tokio::test]
async fn an_interrupted_ingest_goes_on_and_a_different_one_begins_anew() {
    let bench = bench(true).await;
    let source = bench.run(None, 1).await;
    let long: String = (0..30_000).map(|n| format!("word{n} ")).collect();
    let pages = [rivers(), page("http://rivers.example/long", "Long", &long)];
    bench.embedder.broken.store(true, Ordering::Relaxed);
    assert!(bench.ingest(&source, &pages).await.is_err());
    assert_eq!(bench.chunks(&source.run).await, 32, "the first step stands");
    bench.embedder.broken.store(false, Ordering::Relaxed);
    let steps = std::sync::Mutex::new(Vec::new());
    let progress = |step: IngestProgress| steps.lock().unwrap().push(step);
    let summary = bench.recall.ingest_report(source.clone(), pages.to_vec(), report(&pages[0]), &progress).await.unwrap();
    assert_eq!(summary.reused, 32);
    assert_eq!(summary.chunks, summary.reused + summary.embedded);
    let steps = steps.into_inner().unwrap();
    assert_eq!((steps[0].done, steps.last().map(|step| step.done)), (32, Some(summary.chunks)));
    assert!(steps.iter().all(|step| step.total == summary.chunks));
    let again = bench.ingest(&source, &[rivers()]).await.unwrap();
    assert_eq!((again.chunks, bench.chunks(&source.run).await), (4, 4), "what no longer belongs to the run is gone");
}

#[tokio::test]
async fn documents_come_before_automations_and_without_them() {
    let off = bench(false).await;
    let source = off.run(None, 1).await;
    assert_eq!(off.ingest(&source, &[rivers()]).await.unwrap(), IngestSummary::default());
    let document = off.document("Salmon returned in 1990.\nThe lock opens at six.").await;
    let found = off.search("When did salmon return?").await;
    assert_eq!((found[0].chunk.body.origin, found[0].citation.document_id.as_ref()), (Origin::Document, Some(&document)));
    assert!((found[0].score - found[0].cosine - 0.15).abs() < 1e-6);
    assert_eq!((found[0].citation.title.as_str(), found[0].citation.url.as_deref()), ("Handbook", None));
    assert_eq!(off.recall.forget_document(&document).await.unwrap(), 1);
    assert!(off.search("salmon").await.is_empty());
}

#[tokio::test]
async fn filters_and_companies_limit_what_is_recalled() {
    let bench = bench(true).await;
    let source = bench.run(None, 1).await;
    bench.ingest(&source, &[rivers()]).await.unwrap();
    let widgets = |ids: Vec<WidgetId>| RecallFilter { widgets: Some(ids), max_age: None };
    assert!(!bench.search_with("salmon", widgets(vec![source.widget.clone()])).await.is_empty());
    assert!(bench.search_with("salmon", widgets(vec![WidgetId::new(&Seams::system())])).await.is_empty());
    bench.clock.advance(Duration::from_secs(7_200));
    let aged = |hours: u64| RecallFilter { widgets: None, max_age: Some(Duration::from_secs(hours * 3_600)) };
    assert!(!bench.search_with("salmon", aged(3)).await.is_empty());
    assert!(bench.search_with("salmon", aged(1)).await.is_empty());
    let (stranger, foreign) = user_and_company(&bench.store).await;
    let query = RecallQuery { company: foreign, viewer: stranger, text: "salmon".into(), limit: 8, filter: RecallFilter::default() };
    assert!(bench.recall.search(query).await.unwrap().is_empty());
}
