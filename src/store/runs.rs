//! Runs of widgets. Every change of state is one transaction with the events that tell of it.

use rusqlite::{Connection, OptionalExtension, Row, named_params};

use super::events::{NewEvent, append_in};
use super::{Store, StoreError};
use crate::base::clock::Timestamp;
use crate::model::ids::{CompanyId, RunId, UserId, WidgetId};
use crate::model::ledger::Settlement;
use crate::model::part::Part;
use crate::model::run::{IngestState, PageFate, Run, RunError, RunState, Transition, Trigger};
use crate::model::run_event::RunEvent;

crate::text_column!(RunState, IngestState, Trigger, PageFate);

pub(in crate::store) const COLUMNS: &str = "id, company_id, widget_id, state, ingest, trigger, attempt, cancel_asked, requested_by, pages_planned, pages_collected, \
                       chunks, findings, metrics, report_id, error_json, queued_at, started_at, finished_at, notice_json, documents_left_out";

/// A run to queue.
#[derive(Clone, Debug)]
pub struct NewRun {
    /// Its id.
    pub id: RunId,
    /// Whose.
    pub company_id: CompanyId,
    /// Which widget's.
    pub widget_id: WidgetId,
    /// Why.
    pub trigger: Trigger,
    /// Who pays.
    pub requested_by: UserId,
    /// Now.
    pub now: Timestamp,
    /// When the widget is due next, when that changes: set whether or not the run is queued, so that a widget that cannot run does not spin.
    pub next_run_at: Option<Option<Timestamp>>,
}

/// Whose turn it is to be given a place.
#[derive(Clone, Debug)]
pub struct Turn {
    /// The company that was given one last.
    pub after: Option<CompanyId>,
    /// The most that one company takes while there are others: one that comes later finds a place, and does not wait for an hour.
    pub most_of_one: u32,
}

impl Turn {
    /// As if nobody had had one, and one company could have all.
    #[cfg(test)]
    pub(crate) const fn anybody() -> Self {
        Self { after: None, most_of_one: u32::MAX }
    }

    pub(in crate::store) fn after(&self) -> &str {
        self.after.as_ref().map_or("", CompanyId::as_str)
    }
}

/// What became of the wish to run.
#[derive(Clone, Debug, PartialEq)]
pub enum QueueOutcome {
    /// It waits for a place.
    Queued(Box<Run>),
    /// The widget has an active run: this one.
    AlreadyRunning(RunId),
    /// There is no such widget.
    NoSuchWidget,
}

/// What became of the wish to stop a run.
#[derive(Clone, Debug, PartialEq)]
pub enum CancelOutcome {
    /// It was waiting and is cancelled.
    Cancelled,
    /// Its worker has been asked.
    Asked,
    /// It was over.
    AlreadyOver(RunState),
    /// There is no such run.
    NoSuchRun,
}

/// How much is going on, in the whole appliance.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RunCounts {
    /// Runs that wait.
    pub queued: u32,
    /// Runs that work.
    pub working: u32,
    /// Ingests that wait or work.
    pub ingesting: u32,
}

impl Store {
    /// Queues a run, unless the widget has an active one.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn queue_run(&self, new: NewRun) -> Result<QueueOutcome, StoreError> {
        self.write("queue run", move |tx| {
            let exists = tx
                .prepare_cached("SELECT 1 FROM widgets WHERE company_id = ?1 AND id = ?2 AND deleted_at IS NULL")?
                .exists((&new.company_id, &new.widget_id))?;
            if !exists {
                return Ok(QueueOutcome::NoSuchWidget);
            }
            if let Some(next) = new.next_run_at {
                tx.execute("UPDATE widgets SET next_run_at = ?2 WHERE id = ?1", (&new.widget_id, next))?;
            }
            if let Some(active) = active_run(tx, &new.widget_id)? {
                return Ok(QueueOutcome::AlreadyRunning(active));
            }
            tx.execute(
                "INSERT INTO widget_runs (id, company_id, widget_id, state, trigger, requested_by, queued_at) VALUES (?1, ?2, ?3, 'queued', ?4, ?5, ?6)",
                (&new.id, &new.company_id, &new.widget_id, new.trigger, &new.requested_by, new.now),
            )?;
            tell(tx, &new.id, &[RunEvent::State(RunState::Queued)], new.now)?;
            Ok(QueueOutcome::Queued(Box::new(one(tx, &new.id)?)))
        })
        .await
    }

    /// Takes up a run. Companies take turns: one with the fewest runs at work comes first, of those the one after whoever was last, with its run that
    /// has waited longest. `None` when none waits, or only of companies that have all the places that one may have.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn claim_next_run(&self, turn: Turn, now: Timestamp) -> Result<Option<Run>, StoreError> {
        self.write("claim run", move |tx| {
            // Those under way and the waiting ones of companies that are there are few among all: both come from partial indexes.
            let mut claim = tx.prepare_cached(
                "WITH working AS (SELECT company_id, count(*) AS runs FROM widget_runs
                   WHERE state IN ('queued', 'collecting', 'extracting', 'reporting') AND state <> 'queued' GROUP BY company_id)
                 UPDATE widget_runs SET state = 'collecting', attempt = attempt + 1, started_at = coalesce(started_at, :now)
                 WHERE id = (SELECT q.id FROM widget_runs q LEFT JOIN working w ON w.company_id = q.company_id
                   WHERE q.state = 'queued' AND NOT EXISTS (SELECT 1 FROM companies c WHERE c.id = q.company_id AND c.deleted_at IS NOT NULL)
                     AND (coalesce(w.runs, 0) < :most OR NOT EXISTS (SELECT 1 FROM companies c WHERE c.id <> q.company_id AND c.deleted_at IS NULL))
                   ORDER BY coalesce(w.runs, 0), q.company_id > :after DESC, q.company_id, q.queued_at, q.id LIMIT 1)
                 RETURNING id",
            )?;
            let given = named_params! {":now": now, ":most": turn.most_of_one, ":after": turn.after()};
            let claimed: Option<RunId> = claim.query_row(given, |row| row.get(0)).optional()?;
            let Some(id) = claimed else { return Ok(None) };
            tell(tx, &id, &[RunEvent::State(RunState::Collecting)], now)?;
            Ok(Some(one(tx, &id)?))
        })
        .await
    }

    /// Moves a working run on. False when it is no longer in the state that the transition leaves, or was asked to stop.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn advance_run(&self, id: RunId, transition: Transition, mut events: Vec<RunEvent>, now: Timestamp) -> Result<bool, StoreError> {
        self.write("advance run", move |tx| {
            let asked = tx.prepare_cached("SELECT 1 FROM widget_runs WHERE id = ?1 AND cancel_asked = 1")?.exists([&id])?;
            if asked || !enter(tx, &id, transition)? {
                return Ok(false);
            }
            events.push(RunEvent::State(transition.to()));
            tell(tx, &id, &events, now)?;
            Ok(true)
        })
        .await
    }

    /// Sets a run's page budget.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn plan_run_pages(&self, id: RunId, pages: u32) -> Result<(), StoreError> {
        self.write("plan run pages", move |tx| {
            tx.execute("UPDATE widget_runs SET pages_planned = ?2 WHERE id = ?1", (&id, pages))?;
            Ok(())
        })
        .await
    }

    /// Notes how many documents a run over all of them does not read.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn note_documents_left_out(&self, id: RunId, documents: u32) -> Result<(), StoreError> {
        self.write("note documents left out", move |tx| {
            tx.execute("UPDATE widget_runs SET documents_left_out = ?2 WHERE id = ?1", (&id, documents))?;
            Ok(())
        })
        .await
    }

    /// Ends a run without a report: failed when there is an error, else cancelled, and charged for when there is a settlement. False when it had ended
    /// already: then nothing is charged.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn end_run(&self, id: RunId, error: Option<RunError>, settlement: Option<Settlement>, now: Timestamp) -> Result<bool, StoreError> {
        self.write("end run", move |tx| {
            let ended = end(tx, &id, error, now)?;
            if let Some(settlement) = settlement.filter(|_| ended) {
                super::ledger::settle_in(tx, &settlement, now)?;
            }
            Ok(ended)
        })
        .await
    }

    /// Asks a run to stop: one that waits is cancelled at once, a working one is marked for its worker.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn ask_run_cancel(&self, company: CompanyId, id: RunId, now: Timestamp) -> Result<CancelOutcome, StoreError> {
        self.write("cancel run", move |tx| {
            let state: Option<RunState> =
                tx.query_row("SELECT state FROM widget_runs WHERE company_id = ?1 AND id = ?2", (&company, &id), |row| row.get(0)).optional()?;
            state.map_or(Ok(CancelOutcome::NoSuchRun), |state| ask_cancel(tx, &id, state, now))
        })
        .await
    }

    /// One run of a company.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn run(&self, company: CompanyId, id: RunId) -> Result<Option<Run>, StoreError> {
        self.read("read run", move |conn| {
            let mut statement = conn.prepare_cached(&format!("SELECT {COLUMNS} FROM widget_runs WHERE company_id = ?1 AND id = ?2"))?;
            let mut rows = statement.query((&company, &id))?;
            rows.next()?.map(from_row).transpose()
        })
        .await
    }

    /// A widget's runs, the latest first.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn runs_of_widget(&self, company: CompanyId, widget: WidgetId, part: Part<RunId>) -> Result<Vec<Run>, StoreError> {
        self.read("list runs", move |conn| {
            let place = "(SELECT queued_at, id FROM widget_runs WHERE id = ?3 AND widget_id = ?2)";
            let further = if part.after.is_some() { format!("(queued_at, id) < {place}") } else { "?3 IS NULL".into() };
            let sql = format!(
                "SELECT {COLUMNS} FROM widget_runs WHERE widget_id = ?2 AND company_id = ?1 AND {further} ORDER BY queued_at DESC, id DESC LIMIT ?4"
            );
            list(conn, &sql, (&company, &widget, &part.after, part.limit))
        })
        .await
    }

    /// The latest run of each of a company's widgets: one query, one index look-up a widget.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn latest_runs(&self, company: CompanyId) -> Result<Vec<Run>, StoreError> {
        self.read("latest runs", move |conn| {
            let columns = COLUMNS.split(", ").map(|column| format!("r.{}", column.trim())).collect::<Vec<_>>().join(", ");
            let sql = format!(
                "SELECT {columns} FROM widgets w JOIN widget_runs r ON r.id =
                   (SELECT l.id FROM widget_runs l WHERE l.widget_id = w.id ORDER BY l.queued_at DESC, l.id DESC LIMIT 1)
                 WHERE w.company_id = ?1 AND w.deleted_at IS NULL"
            );
            list(conn, &sql, [&company])
        })
        .await
    }

    /// How much is going on.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn run_counts(&self) -> Result<RunCounts, StoreError> {
        self.read("count runs", |conn| {
            let count = |sql: &str| conn.prepare_cached(sql)?.query_row([], |row| row.get::<_, u32>(0));
            Ok(RunCounts {
                queued: count("SELECT count(*) FROM widget_runs WHERE state = 'queued'")?,
                // Written as the active index has it, less the queued ones, so that the index answers.
                working: count(
                    "SELECT count(*) FROM widget_runs WHERE state IN ('queued', 'collecting', 'extracting', 'reporting') AND state <> 'queued'",
                )?,
                ingesting: count("SELECT count(*) FROM widget_runs WHERE ingest IN ('pending', 'running')")?,
            })
        })
        .await
    }
}

/// Asks a run to stop, inside another store method's transaction.
pub(in crate::store) fn ask_cancel(tx: &Connection, id: &RunId, state: RunState, now: Timestamp) -> Result<CancelOutcome, StoreError> {
    match state {
        RunState::Queued => end(tx, id, None, now).map(|_| CancelOutcome::Cancelled),
        state if state.is_active() => {
            tx.prepare_cached("UPDATE widget_runs SET cancel_asked = 1 WHERE id = ?1")?.execute([id])?;
            Ok(CancelOutcome::Asked)
        }
        over => Ok(CancelOutcome::AlreadyOver(over)),
    }
}

/// The active run of a widget.
pub(in crate::store) fn active_run(tx: &Connection, widget: &WidgetId) -> Result<Option<RunId>, StoreError> {
    let sql = "SELECT id FROM widget_runs WHERE widget_id = ?1 AND state IN ('queued', 'collecting', 'extracting', 'reporting')";
    Ok(tx.prepare_cached(sql)?.query_row([widget], |row| row.get(0)).optional()?)
}

/// Appends a run's events.
pub(in crate::store) fn tell(tx: &Connection, run: &RunId, events: &[RunEvent], at: Timestamp) -> Result<(), StoreError> {
    let events: Vec<NewEvent> = events.iter().map(|event| NewEvent { kind: event.kind(), data: event.data() }).collect();
    append_in(tx, run.as_str(), &events, at).map(|_| ())
}

/// Writes a change of state, if the run still is where it starts from.
pub(in crate::store) fn enter(tx: &Connection, run: &RunId, transition: Transition) -> Result<bool, StoreError> {
    let sql = "UPDATE widget_runs SET state = ?3 WHERE id = ?1 AND state = ?2";
    Ok(tx.prepare_cached(sql)?.execute((run, transition.from(), transition.to()))? == 1)
}

/// One run inside a transaction.
pub(in crate::store) fn one(tx: &Connection, id: &RunId) -> Result<Run, StoreError> {
    let mut statement = tx.prepare_cached(&format!("SELECT {COLUMNS} FROM widget_runs WHERE id = ?1"))?;
    let mut rows = statement.query([id])?;
    rows.next()?.map(from_row).transpose()?.ok_or_else(|| StoreError::corrupt("a run that was just written is not there"))
}

/// The runs a query with this file's columns finds.
pub(in crate::store) fn list(conn: &Connection, sql: &str, params: impl rusqlite::Params) -> Result<Vec<Run>, StoreError> {
    let mut statement = conn.prepare_cached(sql)?;
    let mut rows = statement.query(params)?;
    let mut runs = Vec::new();
    while let Some(row) = rows.next()? {
        runs.push(from_row(row)?);
    }
    Ok(runs)
}

/// Ends a run without a report. False when it had ended already.
pub(in crate::store) fn end(tx: &Connection, id: &RunId, error: Option<RunError>, now: Timestamp) -> Result<bool, StoreError> {
    let run = one(tx, id)?;
    let target = if error.is_some() { RunState::Failed } else { RunState::Cancelled };
    let Some(transition) = run.state.to(target) else { return Ok(false) };
    enter(tx, id, transition)?;
    let error_json = error.as_ref().map(serde_json::to_string).transpose()?;
    tx.execute("UPDATE widget_runs SET error_json = ?2, finished_at = ?3 WHERE id = ?1", (id, error_json, now))?;
    let last = error.map_or(RunEvent::Cancelled, RunEvent::Failed);
    tell(tx, id, &[RunEvent::State(target), last], now)?;
    Ok(true)
}

fn from_row(row: &Row<'_>) -> Result<Run, StoreError> {
    let error: Option<String> = row.get(15)?;
    let notice: Option<String> = row.get(19)?;
    Ok(Run {
        id: row.get(0)?,
        company_id: row.get(1)?,
        widget_id: row.get(2)?,
        state: row.get(3)?,
        ingest: row.get(4)?,
        trigger: row.get(5)?,
        attempt: row.get(6)?,
        cancel_asked: row.get(7)?,
        requested_by: row.get(8)?,
        pages_planned: row.get(9)?,
        pages_collected: row.get(10)?,
        chunks: row.get(11)?,
        findings: row.get(12)?,
        metrics: row.get(13)?,
        report_id: row.get(14)?,
        error: error.as_deref().map(serde_json::from_str).transpose()?,
        queued_at: row.get(16)?,
        started_at: row.get(17)?,
        finished_at: row.get(18)?,
        notice: notice.as_deref().map(serde_json::from_str).transpose()?,
        documents_left_out: row.get(20)?,
    })
}

#[cfg(test)]
pub(crate) mod testing {
    use super::*;
    use crate::base::seams::Seams;
    use crate::model::widget::{Widget, testing::draft};

    /// A company and its owner, straight into the tables.
    pub(crate) async fn company(store: &Store, number: i64) -> (CompanyId, UserId) {
        let seams = Seams::system();
        let (company, user) = (CompanyId::new(&seams), UserId::new(&seams));
        let made = (company.clone(), user.clone());
        let add = move |tx: &Connection| {
            tx.execute("INSERT INTO users (id, email_index, name, password_hash, created_at) VALUES (?1, ?1, x'0041', 'h', 0)", [&user])?;
            tx.execute("INSERT INTO companies (id, number, name, created_at, created_by) VALUES (?1, ?2, 'c', 0, ?3)", (&company, number, &user))?;
            tx.execute("INSERT INTO memberships (company_id, user_id, role, created_at) VALUES (?1, ?2, 'owner', 0)", (&company, &user))?;
            Ok(())
        };
        store.write("add company", add).await.unwrap();
        made
    }

    /// A manual web widget, not yet kept.
    pub(crate) fn widget(owner: &(CompanyId, UserId)) -> Widget {
        let now = Timestamp::from_millis(1_795_300_000_000);
        Widget {
            id: WidgetId::new(&Seams::system()),
            company_id: owner.0.clone(),
            spec: draft().validated().unwrap(),
            next_run_at: None,
            paused_reason: None,
            created_by: owner.1.clone(),
            created_at: now,
            updated_at: now,
        }
    }

    /// A manual run of it, not yet queued.
    pub(crate) fn new_run(widget: &Widget) -> NewRun {
        NewRun {
            id: RunId::new(&Seams::system()),
            company_id: widget.company_id.clone(),
            widget_id: widget.id.clone(),
            trigger: Trigger::Manual,
            requested_by: widget.created_by.clone(),
            now: widget.created_at,
            next_run_at: None,
        }
    }
}

#[cfg(test)]
#[path = "runs_tests.rs"]
mod tests;
