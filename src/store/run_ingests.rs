//! The background ingest of runs' reports: durable, because it is a column of the run.

use rusqlite::{Connection, OptionalExtension};

use super::runs::{one, tell};
use super::{Store, StoreError};
use crate::base::clock::Timestamp;
use crate::model::ids::{CompanyId, RunId, WidgetId};
use crate::model::run::{ATTEMPTS_MAX, IngestState, PAGES_NOT_READ, Run, RunError};
use crate::model::run_event::RunEvent;

/// Ingests that wait and are not to be left alone for now. The first condition is the index's.
const WAITING: &str = "ingest IN ('pending', 'running') AND ingest = 'pending' AND (ingest_after IS NULL OR ingest_after <= ?1)
    AND company_id NOT IN (SELECT c.id FROM companies c WHERE c.deleted_at IS NOT NULL AND c.purged_at IS NULL)";

/// How an ingest stands after a step.
#[derive(Clone, Debug, PartialEq)]
pub struct IngestStep {
    /// Where it stands.
    pub state: IngestState,
    /// Chunks that can be recalled.
    pub chunks: u32,
    /// Chunks embedded so far.
    pub done: u32,
    /// Chunks there are.
    pub total: u32,
    /// Why it failed.
    pub error: Option<RunError>,
    /// Why it waits, or what it left out.
    pub notice: Option<RunError>,
}

impl IngestStep {
    /// Nothing done yet, or nothing to do.
    #[must_use]
    pub const fn at(state: IngestState) -> Self {
        Self { state, chunks: 0, done: 0, total: 0, error: None, notice: None }
    }

    /// The end that says why.
    #[must_use]
    pub fn failed(error: RunError) -> Self {
        Self { error: Some(error), ..Self::at(IngestState::Failed) }
    }
}

impl Store {
    /// Takes up an ingest. Companies take turns: the one after `after` comes next, with the run that has waited longest. `None` when none waits.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn claim_next_ingest(&self, after: Option<CompanyId>, now: Timestamp) -> Result<Option<Run>, StoreError> {
        self.write("claim ingest", move |tx| {
            let mut claim = tx.prepare_cached(&format!(
                "UPDATE widget_runs SET ingest = 'running', ingest_attempt = ingest_attempt + 1, ingest_after = NULL WHERE id =
                   (SELECT id FROM widget_runs WHERE {WAITING}
                    ORDER BY company_id > ?2 DESC, company_id, coalesce(ingest_after, finished_at), id LIMIT 1)
                 RETURNING id"
            ))?;
            let claimed: Option<RunId> = claim.query_row((now, after.as_ref().map_or("", CompanyId::as_str)), |row| row.get(0)).optional()?;
            let Some(id) = claimed else { return Ok(None) };
            let run = one(tx, &id)?;
            keep(tx, &id, IngestStep { chunks: run.chunks, ..IngestStep::at(IngestState::Running) }, now)?;
            Ok(Some(Run { notice: None, ..run }))
        })
        .await
    }

    /// Whether another run's ingest is to be taken up.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn another_run_waits(&self, now: Timestamp) -> Result<bool, StoreError> {
        self.read("look for waiting ingests", move |conn| {
            Ok(conn.prepare_cached(&format!("SELECT 1 FROM widget_runs WHERE {WAITING}"))?.exists([now])?)
        })
        .await
    }

    /// Lets a running ingest wait at least until `until`, without counting the attempt; what it has done stays. The step's notice says why, unless
    /// it only gave its turn to another.
    ///
    /// # Errors
    /// When the store fails; the next start then does it.
    pub async fn postpone_ingest(&self, id: RunId, until: Timestamp, step: IngestStep, now: Timestamp) -> Result<(), StoreError> {
        self.write("postpone ingest", move |tx| {
            tx.execute(
                "UPDATE widget_runs SET ingest_attempt = ingest_attempt - 1, ingest_after = ?2 WHERE id = ?1 AND ingest = 'running'",
                (&id, until),
            )?;
            keep(tx, &id, IngestStep { state: IngestState::Pending, ..step }, now)
        })
        .await
    }

    /// Keeps how a running ingest stands; an ended one ends the run's stream of events.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn step_ingest(&self, id: RunId, step: IngestStep, now: Timestamp) -> Result<(), StoreError> {
        self.write("step ingest", move |tx| keep(tx, &id, step, now)).await
    }

    /// Lets a running ingest wait again without counting the attempt: the app stops, or the store failed under it.
    ///
    /// # Errors
    /// When the store fails; the next start then does it.
    pub async fn put_back_ingest(&self, id: RunId) -> Result<(), StoreError> {
        self.write("put back ingest", move |tx| {
            tx.execute("UPDATE widget_runs SET ingest = 'pending', ingest_attempt = ingest_attempt - 1 WHERE id = ?1 AND ingest = 'running'", [&id])?;
            Ok(())
        })
        .await
    }

    /// Lets ingests that nobody works on any more wait again, or gives them up after [`ATTEMPTS_MAX`] attempts.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn recover_ingests(&self, now: Timestamp) -> Result<(), StoreError> {
        let running = self.read("look for running ingests", |conn| {
            // Written as the index has it, so that it answers.
            let sql = "SELECT 1 FROM widget_runs WHERE ingest IN ('pending', 'running') AND ingest = 'running'";
            Ok(conn.prepare_cached(sql)?.exists([])?)
        });
        if running.await? { self.write("recover ingests", move |tx| recover(tx, now).map(|_| ())).await } else { Ok(()) }
    }

    /// Runs of a widget that have a report, the latest first: those beyond the first few lose their chunks.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn reported_runs(&self, widget: WidgetId, limit: u32) -> Result<Vec<RunId>, StoreError> {
        self.read("reported runs", move |conn| {
            let mut statement = conn.prepare_cached(
                "SELECT id FROM widget_runs WHERE widget_id = ?1 AND state = 'succeeded' ORDER BY queued_at DESC, id DESC LIMIT ?2",
            )?;
            Ok(statement.query_map((&widget, limit), |row| row.get(0))?.collect::<Result<_, _>>()?)
        })
        .await
    }
}

/// Ingests that a dead process left half done start over, unless they have killed it too often.
pub(in crate::store) fn recover(tx: &Connection, now: Timestamp) -> Result<Vec<RunId>, StoreError> {
    let given_up: Vec<RunId> = tx
        .prepare("SELECT id FROM widget_runs WHERE ingest IN ('pending', 'running') AND ingest = 'running' AND ingest_attempt >= ?1")?
        .query_map([ATTEMPTS_MAX], |row| row.get(0))?
        .collect::<Result<_, _>>()?;
    for run in given_up {
        let error = RunError::new(
            "ingest_interrupted_too_often",
            format!("the process ended under this ingest {ATTEMPTS_MAX} times"),
            "The report stands. Look into the appliance's log for what ended it, then run the automation again.",
        );
        keep(tx, &run, IngestStep::failed(error), now)?;
    }
    let mut statement =
        tx.prepare("UPDATE widget_runs SET ingest = 'pending' WHERE ingest IN ('pending', 'running') AND ingest = 'running' RETURNING id")?;
    Ok(statement.query_map([], |row| row.get(0))?.collect::<Result<_, _>>()?)
}

fn keep(tx: &Connection, id: &RunId, mut step: IngestStep, now: Timestamp) -> Result<(), StoreError> {
    if step.notice.is_none() {
        step.notice = one(tx, id)?.notice.filter(|notice| notice.code == PAGES_NOT_READ);
    }
    let error_json = step.error.as_ref().map(serde_json::to_string).transpose()?;
    let notice_json = step.notice.as_ref().map(serde_json::to_string).transpose()?;
    tx.prepare_cached("UPDATE widget_runs SET ingest = ?2, chunks = ?3, error_json = coalesce(?4, error_json), notice_json = ?5 WHERE id = ?1")?
        .execute((id, step.state, step.chunks, error_json, notice_json))?;
    let IngestStep { state, chunks, done, total, error, notice } = step;
    let mut events = vec![RunEvent::Ingest { state, chunks, done, total, error, notice }];
    if matches!(state, IngestState::Done | IngestState::Failed | IngestState::Off) {
        let report_id = one(tx, id)?.report_id;
        events.push(RunEvent::Done { report_id, ingest: state, chunks });
    }
    tell(tx, id, &events, now)
}
