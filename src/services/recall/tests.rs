//! Recall from end to end over a real store, with an embedder whose vectors count words.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use super::*;
use crate::base::clock::{FakeClock, Timestamp};
use crate::base::random::SeededRandom;
use crate::model::chunk::{ChunkType, Origin};
use crate::model::freshness::Freshness;
use crate::model::ids::{DocumentId, RunId, WidgetId};
use crate::model::report::{Evidence, EvidenceId, Finding, Metric, ReportBody, ReportTable, SourceRef, TableRow};
use crate::services::embed::testing::WordCounter;
use crate::services::ledger::LedgerSettings;
use crate::store::chunks::ChunkOwner;
use crate::store::chunks::testing::run;
use crate::store::testing::{store, user_and_company};

struct Bench {
    recall: Recall,
    ledger: Ledger,
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
    let ledger = Ledger::new(store.clone(), seams.clone(), Tasks::default(), LedgerSettings { daily_free_tokens: 500_000 });
    let recall = Recall::new(store.clone(), embedder.clone(), seams, Tasks::default(), ledger.clone(), settings);
    Bench { recall, ledger, store, embedder, clock, user, company, _folder: folder }
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
            payer: self.user.clone(),
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
        rows: Vec::new(),
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
            decimals: None,
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

#[tokio::test]
async fn a_run_takes_what_pages_repeat_once_gives_way_and_says_what_it_leaves_out() {
    let bench = bench(true).await;
    let (first, second) = (bench.run(None, 1).await, bench.run(None, 2).await);
    let words =
        |from: usize, to: usize| (from..to).map(|n| if n % 40 == 39 { format!("word{n}.\n") } else { format!("word{n} ") }).collect::<String>();
    let book = page("http://rivers.example/print", "Book", &words(0, 80_000));
    let chapters = (0..8).map(|n| page(&format!("http://rivers.example/{n}"), "Book", &words(n * 10_000, (n + 1) * 10_000)));
    let long = page("http://rivers.example/dump", "Dump", &words(1_000_000, 1_100_000));
    let pages: Vec<SourceText> = [rivers(), book, long].into_iter().chain(chapters).collect();
    let ingest = async || bench.recall.ingest_report(first.clone(), pages.clone(), report(&pages[0]), &|_| {}).await.unwrap();
    let whole = ingest().await;
    assert_eq!((whole.left, whole.left_out.pages), (0, 1), "only the dump is cut");
    assert!(whole.left_out.passages > 0);
    assert_eq!(whole.chunks as usize, bench.chunks(&first.run).await);
    let chapter = 10_000usize.div_ceil(509 - 64);
    let (least, most) = (200 + 8 * (chapter - 3), 200 + 8 * (chapter + 1) + 4);
    assert!((least..=most).contains(&(whole.chunks as usize)), "{} of the chapters, the dump's 200, the report's, none of the book", whole.chunks);

    // Another run waits: the ingest stops after a turn, and goes on where it was.
    bench.recall.forget_widget(&first.widget).await.unwrap();
    bench.store.test_ingest_waits(second.run.clone()).await;
    let turn = ingest().await;
    assert_eq!((turn.chunks, turn.left), (256, whole.chunks - 256));
    let mut last = turn;
    while last.left > 0 {
        last = ingest().await;
    }
    assert_eq!((last.chunks, last.left_out), (whole.chunks, whole.left_out));
    assert!(bench.ledger.verify().await.unwrap().first_error.is_none());
}

#[tokio::test]
async fn a_deleted_widget_takes_in_nothing_and_is_swept() {
    let bench = bench(true).await;
    let source = bench.run(None, 1).await;
    bench.ingest(&source, &[rivers()]).await.unwrap();
    // The process dies before the chunks are removed.
    bench.store.delete_widget(bench.company.clone(), source.widget.clone(), Timestamp::from_millis(NOON)).await.unwrap();
    assert!(bench.search("salmon").await.is_empty());
    let again = bench.run(Some(&source.widget), 2).await;
    assert!(matches!(bench.ingest(&again, &[rivers()]).await, Err(RecallError::Ended)));
    assert_eq!(bench.recall.sweep().await.unwrap(), 4);
}
