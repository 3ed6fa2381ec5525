//! Automations: widgets, their runs, their reports.
//!
//! A run goes through three hands. [`drive`](Automations::drive) takes it from the queue, `execute` collects, extracts and reports, and
//! [`ingest_waiting`](Automations::ingest_waiting) makes its report recallable in the background. Each step stands in the store before
//! the next begins, so that a process that dies resumes or fails the run cleanly.

mod built_in;
mod collect;
mod departures;
mod drive;
mod error;
mod execute;
mod ingest;
mod library;
mod recalling;
mod report;
mod retention;
mod runs;
mod schedule;
pub mod seams;
#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;
mod views;
mod web;
mod widgets;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

use crate::base::places::{Places, Work};
use crate::base::seams::Seams;
use crate::base::signal::{Nudge, Signals};
use crate::base::tasks::Tasks;
use crate::model::ids::{CompanyId, RunId, UserId};
use crate::model::role::Role;
use crate::services::ledger::Ledger;
use crate::services::plans::Plans;
use crate::store::runs::RunCounts;
use crate::store::{Store, StoreError};

pub use built_in::BuiltInExtractor;
pub use error::AutomationError;
pub use library::Library;
pub use recalling::RecallIngester;
pub use runs::RunView;
pub use views::{Headline, LatestRun, ReportView, WidgetView};
pub use web::WebCollector;

/// What automations need to know.
#[derive(Clone, Copy, Debug)]
pub struct AutomationsSettings {
    /// Whether reports are made recallable (`AUTOMATION_VECTORSTORE_ENABLED`).
    pub ingest: bool,
    /// Longest time a run collects; then it reports on what it has. Seconds.
    pub collect_seconds_max: u64,
    /// Most memory of the texts that one run reads for its report, and that one ingest puts into recall. Bytes.
    pub text_bytes_max: usize,
    /// Days for which the events of an ended run are kept.
    pub event_days: u32,
    /// Days for which reports are kept (`ONSITE_REPORT_DAYS`); `None` = for ever.
    pub report_days: Option<u32>,
}

impl Default for AutomationsSettings {
    fn default() -> Self {
        Self { ingest: false, collect_seconds_max: 3_600, text_bytes_max: 64 << 20, event_days: 30, report_days: Some(365) }
    }
}

/// What automations are made of.
#[derive(Clone)]
pub struct AutomationsParts {
    /// Where everything is kept.
    pub store: Store,
    /// Time and randomness.
    pub seams: Seams,
    /// Starts runs.
    pub tasks: Tasks,
    /// Where runs and answers work at once.
    pub places: Places,
    /// Wakes followers of runs.
    pub signals: Signals,
    /// Says what a company may do.
    pub plans: Plans,
    /// Accounts for tokens.
    pub ledger: Ledger,
    /// Fetches pages.
    pub collector: Arc<dyn seams::Collector>,
    /// Keeps the texts of pages and documents.
    pub library: Library,
    /// Makes reports of pages.
    pub extractor: Arc<dyn seams::Extractor>,
    /// Makes reports recallable.
    pub ingester: Arc<dyn seams::Ingester>,
    /// Numbers.
    pub settings: AutomationsSettings,
}

/// The automations of all companies. Cheap to clone.
#[derive(Clone)]
pub struct Automations {
    inner: Arc<Inner>,
}

struct Inner {
    parts: AutomationsParts,
    working: Mutex<HashMap<RunId, CancellationToken>>,
    /// Held by whoever takes runs from the queue, so that a run between its claim and its worker is not taken for abandoned.
    /// The company that was given a place last.
    driving: tokio::sync::Mutex<Option<CompanyId>>,
    /// Held by threads that make reports, also of runs that are over: nobody waits for the thread of a cancelled run, and it counts until it ends.
    extracting: Arc<Semaphore>,
    /// Held by whoever ingests.
    ingesting: tokio::sync::Mutex<()>,
    ingest_nudge: Nudge,
}

/// Who asks, and in which company. The company is one the caller is a member of.
#[derive(Clone, Debug)]
pub struct Viewer {
    /// The company.
    pub company: CompanyId,
    /// The person.
    pub user: UserId,
    /// Their role there.
    pub role: Role,
}

impl Automations {
    /// How much is going on, in the whole appliance.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn counts(&self) -> Result<RunCounts, StoreError> {
        self.store().run_counts().await
    }

    /// Automations over their parts. Nothing runs until [`drive`](Self::drive) and [`ingest_waiting`](Self::ingest_waiting) are called.
    #[must_use]
    pub fn new(parts: AutomationsParts) -> Self {
        let extracting = Arc::new(Semaphore::new(parts.places.most()));
        let inner = Inner {
            extracting,
            parts,
            working: Mutex::default(),
            driving: tokio::sync::Mutex::default(),
            ingesting: tokio::sync::Mutex::default(),
            ingest_nudge: Nudge::default(),
        };
        Self { inner: Arc::new(inner) }
    }

    /// Wakes whoever drives runs.
    #[must_use]
    pub fn run_nudge(&self) -> Nudge {
        self.parts().places.nudge(Work::Run)
    }

    /// Wakes whoever drives ingests.
    #[must_use]
    pub fn ingest_nudge(&self) -> Nudge {
        self.inner.ingest_nudge.clone()
    }

    fn parts(&self) -> &AutomationsParts {
        &self.inner.parts
    }

    fn store(&self) -> &Store {
        &self.inner.parts.store
    }

    fn now(&self) -> crate::base::clock::Timestamp {
        self.inner.parts.seams.now()
    }

    fn tell(&self, run: &RunId) {
        self.inner.parts.signals.notify(run.as_str());
    }

    fn working(&self) -> std::sync::MutexGuard<'_, HashMap<RunId, CancellationToken>> {
        self.inner.working.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl std::fmt::Debug for Automations {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Automations").field("settings", &self.inner.parts.settings).finish_non_exhaustive()
    }
}
