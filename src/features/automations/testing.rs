//! A bench for automations: the real store, ledger and plans, a clock that is moved by hand, and scripted pages.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures_util::future::BoxFuture;
use tokio::sync::mpsc;
use url::Url;

use super::seams::{CollectJob, CollectedSource, Collector, Extractor, IngestError, IngestJob, Ingester, MetOutcome, MetPage};
use super::{Automations, AutomationsParts, AutomationsSettings, Library, Viewer};
use crate::base::clock::{Clock, FakeClock};
use crate::base::paths::DataDir;
use crate::base::places::Places;
use crate::base::random::SystemRandom;
use crate::base::seams::Seams;
use crate::base::signal::Signals;
use crate::base::tasks::Tasks;
use crate::base::vault::Vault;
use crate::model::ids::{DocumentId, RunId, WidgetId};
use crate::model::report::{BUILT_IN_EXTRACTOR, Evidence, EvidenceId, Finding, Metric, ReportBody, SourceRef};
use crate::model::role::Role;
use crate::model::run::{Run, RunError};
use crate::services::collect::page::{Block, BlockKind, PageText};
use crate::services::collect::texts::kept_text;
use crate::services::ledger::{Ledger, LedgerSettings};
use crate::services::licensing::{Licensing, LicensingSettings, keys::KeyRing};
use crate::services::plans::Plans;
use crate::services::recall::{IngestProgress, IngestSummary, LeftOut};
use crate::store::documents::NewDocument;
use crate::store::{Store, StoreError, StoreOptions};

/// What a scripted page does.
#[derive(Clone, Debug)]
pub(super) enum Page {
    /// It has this text.
    Text(&'static str),
    /// It cannot be had.
    Fails(&'static str),
    /// Egress refuses this host, on the way to it.
    Refuses(&'static str),
    /// It is left out.
    Skips(&'static str),
    /// It never comes.
    Hangs,
    /// The collector breaks.
    Panics,
}

/// What outlives a process: the disk, and what is scripted.
#[derive(Clone)]
pub(super) struct World {
    pub(super) folder: Arc<tempfile::TempDir>,
    pub(super) clock: Arc<FakeClock>,
    pub(super) script: Arc<Script>,
    /// Places of runs and answers together.
    pub(super) places: usize,
}

/// What pages say, and what hangs.
#[derive(Default)]
pub(super) struct Script {
    pub(super) pages: Mutex<Vec<(&'static str, Page)>>,
    pub(super) ingest_hangs: Mutex<bool>,
    pub(super) ingest_waits: Mutex<Option<RunError>>,
    pub(super) left_out: Mutex<LeftOut>,
    pub(super) ingested: Mutex<Vec<(RunId, usize)>>,
    pub(super) forgotten: Mutex<Vec<WidgetId>>,
    pub(super) contexts: Mutex<Vec<String>>,
}

/// One process over a world.
pub(super) struct Bench {
    pub(super) automations: Automations,
    pub(super) store: Store,
    pub(super) ledger: Ledger,
    pub(super) tasks: Tasks,
    pub(super) signals: Signals,
    pub(super) places: Places,
    pub(super) seams: Seams,
    pub(super) world: World,
}

impl World {
    pub(super) fn new() -> Self {
        let clock = Arc::new(FakeClock::new("2026-11-22T10:00:00Z".parse().unwrap()));
        Self { folder: Arc::new(tempfile::tempdir().unwrap()), clock, script: Arc::default(), places: 9 }
    }

    pub(super) fn set_pages(&self, pages: Vec<(&'static str, Page)>) {
        *self.script.pages.lock().unwrap() = pages;
    }

    /// Starts a process: opens the store and recovers.
    pub(super) async fn start(&self, settings: AutomationsSettings) -> Bench {
        let options = StoreOptions { readers_max: 4, now: self.clock.now(), vault: Vault::without_key(&Seams::system()) };
        let store = Store::open(&DataDir::new(self.folder.path()), options).unwrap();
        let seams = Seams { clock: Arc::clone(&self.clock) as _, random: Arc::new(SystemRandom) };
        let (tasks, signals) = (Tasks::default(), Signals::default());
        let licensing = LicensingSettings { ring: KeyRing::of_build(None).unwrap(), build_date: self.clock.now(), revocations: None };
        let ledger = Ledger::new(store.clone(), seams.clone(), tasks.clone(), LedgerSettings { daily_free_tokens: 500_000 });
        let places = Places::new(self.places);
        let automations = Automations::new(AutomationsParts {
            store: store.clone(),
            seams: seams.clone(),
            tasks: tasks.clone(),
            places: places.clone(),
            signals: signals.clone(),
            plans: Plans::new(Licensing::new(store.clone(), seams.clone(), licensing)),
            ledger: ledger.clone(),
            collector: Arc::clone(&self.script) as _,
            library: Library::new(store.clone()),
            extractor: Arc::clone(&self.script) as _,
            ingester: Arc::clone(&self.script) as _,
            settings,
        });
        ledger.recover().await.unwrap();
        automations.recover().await.unwrap();
        Bench { automations, store, ledger, tasks, signals, places, seams, world: self.clone() }
    }
}

/// Runs as in production, with ingest.
pub(super) fn settings() -> AutomationsSettings {
    AutomationsSettings { ingest: true, ..AutomationsSettings::default() }
}

/// A first process over a new world.
pub(super) async fn bench() -> Bench {
    World::new().start(settings()).await
}

impl Bench {
    /// A member of a new company with this role.
    pub(super) async fn viewer(&self) -> Viewer {
        let (user, company) = crate::store::testing::user_and_company(&self.store).await;
        crate::store::testing::membership(&self.store, &company, &user, Role::Owner).await;
        Viewer { company, user, role: Role::Owner }
    }

    /// Uploads a document with this text.
    pub(super) async fn document(&self, viewer: &Viewer, text: &str) -> DocumentId {
        self.document_named(viewer, &format!("{}.txt", DocumentId::new(&self.seams)), text).await
    }

    /// Uploads the next version of a name with this text.
    pub(super) async fn document_named(&self, viewer: &Viewer, name: &str, text: &str) -> DocumentId {
        let (id, now) = (DocumentId::new(&self.seams), self.seams.now());
        let source = SourceRef { url: None, document_id: Some(id.clone()), title: "Doc".into(), page_number: None };
        let new = NewDocument {
            id: id.clone(),
            company: viewer.company.clone(),
            name: name.into(),
            media_type: "text/plain".into(),
            content: text.into(),
            content_hash: crate::base::secret::sha256_hex(text.as_bytes()),
            text: kept_text(&source, &page_text(text), now).unwrap(),
            notice: None,
            uploaded_by: viewer.user.clone(),
            uploaded_at: now,
        };
        self.store.insert_document(new).await.unwrap();
        id
    }

    /// Moves the clock a minute, so that what follows is later.
    pub(super) fn tick(&self) {
        self.world.clock.advance(Duration::from_secs(60));
    }

    /// Waits until a run is as wanted.
    pub(super) async fn until(&self, viewer: &Viewer, id: &RunId, wanted: impl Fn(&Run) -> bool) -> Run {
        let waiting = async {
            let mut signal = self.signals.subscribe(id.as_str());
            loop {
                let run = self.store.run(viewer.company.clone(), id.clone()).await.unwrap().unwrap();
                if wanted(&run) {
                    return run;
                }
                signal.changed().await;
            }
        };
        tokio::time::timeout(Duration::from_secs(20), waiting).await.expect("the run gets there")
    }

    /// Runs a widget to its end and ingests its report.
    pub(super) async fn run_through(&self, viewer: &Viewer, widget: &WidgetId) -> Run {
        let run = self.automations.start_run(viewer, widget).await.unwrap();
        self.automations.drive().await.unwrap();
        self.until(viewer, &run.id, |run| !run.state.is_active()).await;
        self.automations.ingest_waiting().await.unwrap();
        self.tick();
        self.store.run(viewer.company.clone(), run.id).await.unwrap().unwrap()
    }

    /// A run's events in short: states by their names, pages by their fates, the rest by their kinds.
    pub(super) async fn story(&self, id: &RunId) -> Vec<String> {
        let events = self.store.events_after(id.to_string(), 0, 1_000).await.unwrap();
        let word = |value: &serde_json::Value| value.as_str().unwrap().to_owned();
        let short = |event: crate::model::stream_event::StoredEvent| match event.kind.as_str() {
            "state" => word(&event.data["state"]),
            "page" => format!("page {}", word(&event.data["fate"])),
            "ingest" => format!("ingest {}", word(&event.data["state"])),
            other => format!("<{other}>"),
        };
        events.into_iter().map(short).collect()
    }
}

/// The text of a scripted page.
pub(super) fn page_text(text: &str) -> PageText {
    let blocks = text.split('|').filter(|block| !block.is_empty()).map(|block| Block::new(BlockKind::Paragraph, block)).collect();
    PageText { title: Some("Page".into()), blocks, ..PageText::default() }
}

impl Collector for Script {
    fn collect(&self, job: CollectJob, met: mpsc::Sender<MetPage>) -> BoxFuture<'_, ()> {
        Box::pin(async move {
            let pages = self.pages.lock().unwrap().clone();
            for (url, page) in pages.into_iter().take(job.pages_max as usize) {
                let outcome = match page {
                    Page::Text(text) => MetOutcome::Text(Arc::new(page_text(text))),
                    Page::Fails(code) => MetOutcome::Failed(RunError::new(code, "it did not work", "do something")),
                    Page::Refuses(host) => MetOutcome::Refused(host.into(), RunError::new("egress_not_allowed", "not allowed", "allow it")),
                    Page::Skips(reason) => MetOutcome::Skipped(reason.into()),
                    Page::Hangs => return job.stop.cancelled().await,
                    Page::Panics => panic!("on purpose"),
                };
                let page = MetPage {
                    url: url.parse().unwrap(),
                    final_url: url.parse().unwrap(),
                    place: 0,
                    status: Some(200),
                    bytes: 1,
                    etag: None,
                    last_modified: None,
                    at: "2026-11-22T09:59:00Z".parse().unwrap(),
                    outcome,
                };
                if met.send(page).await.is_err() {
                    return;
                }
            }
        })
    }

    fn check(&self, url: &Url) -> Result<(), RunError> {
        match url.host_str() {
            Some("refused.example") => Err(RunError::new("egress_not_allowed", "refused.example is not allowed", "allow it")),
            _ => Ok(()),
        }
    }
}

/// A finding a block; `name=value` makes a metric.
impl Extractor for Script {
    fn extract(&self, sources: &[CollectedSource], _title: &str, objective: &str, context: &str) -> ReportBody {
        assert_ne!(objective, "break", "on purpose");
        self.contexts.lock().unwrap().push(context.to_owned());
        let mut body = ReportBody { summary: "In short.".into(), extractor: BUILT_IN_EXTRACTOR.into(), ..ReportBody::default() };
        for source in sources {
            for block in &source.text.blocks {
                let id = EvidenceId::at(body.evidence.len());
                body.evidence.push(Evidence {
                    id: id.clone(),
                    quote: block.text.clone(),
                    source: source.source.clone(),
                    content_hash: source.content_hash.clone(),
                    collected_at: source.collected_at,
                });
                if let Some((name, value)) = block.text.split_once('=') {
                    let metric = Metric {
                        id: format!("m{}", body.metrics.len() + 1),
                        name: name.into(),
                        decimals: None,
                        value: value.parse().unwrap(),
                        unit: None,
                        as_of: None,
                        evidence: vec![id],
                    };
                    body.metrics.push(metric);
                } else {
                    let id_text = format!("f{}", body.findings.len() + 1);
                    body.findings.push(Finding { id: id_text, text: block.text.clone(), evidence: vec![id], entities: vec![] });
                }
            }
        }
        body
    }
}

impl Ingester for Script {
    fn ingest(&self, job: IngestJob, progress: mpsc::Sender<IngestProgress>) -> BoxFuture<'_, Result<IngestSummary, IngestError>> {
        let hangs = *self.ingest_hangs.lock().unwrap();
        Box::pin(async move {
            let total = u32::try_from(job.report.body.evidence.len()).unwrap();
            let _ = progress.send(IngestProgress { done: 0, total }).await;
            if hangs {
                job.stop.cancelled().await;
                return Err(IngestError::Stopped);
            }
            if let Some(why) = self.ingest_waits.lock().unwrap().clone() {
                return Err(IngestError::Waits { why, progress: IngestProgress { done: 1, total } });
            }
            let _ = progress.send(IngestProgress { done: total, total }).await;
            self.ingested.lock().unwrap().push((job.run_id, job.pages.len()));
            Ok(IngestSummary { chunks: total, left_out: *self.left_out.lock().unwrap(), ..IngestSummary::default() })
        })
    }

    fn forget(&self, widget: WidgetId) -> BoxFuture<'_, Result<(), StoreError>> {
        self.forgotten.lock().unwrap().push(widget);
        Box::pin(async { Ok(()) })
    }
}
