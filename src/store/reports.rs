//! Reports and the series of their metrics. A report is kept in one transaction with the end of its run.

use rusqlite::{Connection, OptionalExtension, Row};

use super::runs::{enter, tell};
use super::{Store, StoreError};
use crate::base::clock::Timestamp;
use crate::model::ids::{CompanyId, ReportId, WidgetId};
use crate::model::ledger::Settlement;
use crate::model::part::Part;
use crate::model::report_history::{MetricPoint, Report, ReportHead, Series};
use crate::model::run::{IngestState, RunError, RunState};
use crate::model::run_event::RunEvent;

const HEAD_COLUMNS: &str = "r.id, r.widget_id, r.run_id, r.title, r.pages, r.findings, r.metrics, r.collected_at, r.created_at";

impl Store {
    /// Keeps a run's report and its metric points, charges for it, and ends the run as succeeded with its ingest waiting (or off) and its notice, all or
    /// nothing. False when the run was no longer reporting: then nothing is charged.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn finish_run(
        &self,
        report: Report,
        ingest: IngestState,
        notice: Option<RunError>,
        settlement: Option<Settlement>,
    ) -> Result<bool, StoreError> {
        self.write("finish run", move |tx| {
            let Some(succeed) = RunState::Reporting.to(RunState::Succeeded) else { return Ok(false) };
            if !enter(tx, &report.run_id, succeed)? {
                return Ok(false);
            }
            insert_report(tx, &report)?;
            insert_points(tx, &report)?;
            if let Some(settlement) = &settlement {
                super::ledger::settle_in(tx, settlement, report.created_at)?;
            }
            let notice_json = notice.as_ref().map(serde_json::to_string).transpose()?;
            tx.execute(
                "UPDATE widget_runs SET report_id = ?2, findings = ?3, metrics = ?4, ingest = ?5, finished_at = ?6, error_json = NULL, notice_json = ?7
                 WHERE id = ?1",
                (&report.run_id, &report.id, count(&report.body.findings), count(&report.body.metrics), ingest, report.created_at, notice_json),
            )?;
            let mut events = vec![RunEvent::State(RunState::Succeeded), RunEvent::Report(report.id.clone())];
            events.push(RunEvent::Ingest { state: ingest, chunks: 0, done: 0, total: 0, error: None, notice });
            if ingest == IngestState::Off {
                events.push(RunEvent::Done { report_id: Some(report.id.clone()), ingest, chunks: 0 });
            }
            tell(tx, &report.run_id, &events, report.created_at)?;
            Ok(true)
        })
        .await
    }

    /// One report of a company.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn report(&self, company: CompanyId, id: ReportId) -> Result<Option<Report>, StoreError> {
        self.read("read report", move |conn| one(conn, "r.company_id = ?1 AND r.id = ?2", (&company, &id))).await
    }

    /// The report before a given one of the same widget.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn report_before(&self, widget: WidgetId, created_at: Timestamp, id: ReportId) -> Result<Option<Report>, StoreError> {
        self.read("read report before", move |conn| {
            let before =
                "r.widget_id = ?1 AND (r.created_at < ?2 OR (r.created_at = ?2 AND r.id < ?3)) ORDER BY r.created_at DESC, r.id DESC LIMIT 1";
            one(conn, before, (&widget, created_at, &id))
        })
        .await
    }

    /// A widget's latest report.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn latest_report(&self, company: CompanyId, widget: WidgetId) -> Result<Option<Report>, StoreError> {
        self.read("read latest report", move |conn| {
            one(conn, "r.company_id = ?1 AND r.widget_id = ?2 ORDER BY r.created_at DESC, r.id DESC LIMIT 1", (&company, &widget))
        })
        .await
    }

    /// A widget's reports without their bodies, the latest first.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn report_heads(&self, company: CompanyId, widget: WidgetId, part: Part<ReportId>) -> Result<Vec<ReportHead>, StoreError> {
        self.read("list reports", move |conn| {
            let place = "(SELECT created_at, id FROM reports WHERE id = ?3 AND widget_id = ?2)";
            let further = if part.after.is_some() { format!("(r.created_at, r.id) < {place}") } else { "?3 IS NULL".into() };
            let sql = format!(
                "SELECT {HEAD_COLUMNS} FROM reports r WHERE r.widget_id = ?2 AND r.company_id = ?1 AND {further}
                 ORDER BY r.created_at DESC, r.id DESC LIMIT ?4"
            );
            heads(conn, &sql, (&company, &widget, &part.after, part.limit))
        })
        .await
    }

    /// The latest report of each of a company's widgets: one query, one index look-up a widget.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn latest_report_heads(&self, company: CompanyId) -> Result<Vec<ReportHead>, StoreError> {
        self.read("latest reports", move |conn| {
            let sql = format!(
                "SELECT {HEAD_COLUMNS} FROM widgets w JOIN reports r ON r.id =
                   (SELECT l.id FROM reports l WHERE l.widget_id = w.id ORDER BY l.created_at DESC, l.id DESC LIMIT 1)
                 WHERE w.company_id = ?1 AND w.deleted_at IS NULL"
            );
            heads(conn, &sql, [&company])
        })
        .await
    }

    /// The headline of each of a company's widgets over its last `points` reports: the first metric of the latest report, in one query. What it reads
    /// is that many look-ups a widget, however old the widget is.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn headline_series(&self, company: CompanyId, points: u32) -> Result<Vec<Series>, StoreError> {
        self.read("headline series", move |conn| {
            let sql = "SELECT p.widget_id, p.name, p.unit, p.collected_at, p.value, p.as_of, p.report_id
                       FROM widgets w
                       JOIN metric_points h ON h.report_id =
                         (SELECT l.id FROM reports l WHERE l.widget_id = w.id ORDER BY l.created_at DESC, l.id DESC LIMIT 1) AND h.position = 0
                       JOIN reports r ON r.widget_id = w.id AND r.created_at >= coalesce(
                         (SELECT e.created_at FROM reports e WHERE e.widget_id = w.id ORDER BY e.created_at DESC, e.id DESC LIMIT 1 OFFSET ?2 - 1), 0)
                       JOIN metric_points p ON p.widget_id = w.id AND p.name = h.name AND p.unit = h.unit AND p.report_id = r.id
                       WHERE w.company_id = ?1 AND w.deleted_at IS NULL ORDER BY w.id, p.collected_at, p.report_id";
            series(conn, sql, (&company, points))
        })
        .await
    }

    /// The metrics of a widget over its last `reports` reports: those of the latest one first, in its order. What it reads is bounded by that, however
    /// long the widget has been reporting.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn widget_series(&self, company: CompanyId, widget: WidgetId, reports: u32) -> Result<Vec<Series>, StoreError> {
        self.read("widget series", move |conn| {
            let sql = "WITH latest AS (
                         SELECT id FROM reports WHERE widget_id = ?2 AND company_id = ?1 ORDER BY created_at DESC, id DESC LIMIT ?3)
                       SELECT widget_id, name, unit, collected_at, value, as_of, report_id FROM (
                         SELECT p.*, max(p.report_id) OVER (PARTITION BY p.name, p.unit) AS last_report,
                           min(p.position) OVER (PARTITION BY p.name, p.unit) AS place
                         FROM latest l CROSS JOIN metric_points p ON p.report_id = l.id) AS shown
                       ORDER BY last_report DESC, place, name, unit, collected_at, report_id";
            series(conn, sql, (&company, &widget, reports))
        })
        .await
    }
}

fn insert_report(tx: &Connection, report: &Report) -> Result<(), StoreError> {
    tx.execute(
        "INSERT INTO reports (id, company_id, widget_id, run_id, title, body_json, pages, findings, metrics, collected_at, created_at)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11)",
        rusqlite::params![
            report.id,
            report.company_id,
            report.widget_id,
            report.run_id,
            report.title,
            serde_json::to_string(&report.body)?,
            report.pages,
            count(&report.body.findings),
            count(&report.body.metrics),
            report.collected_at,
            report.created_at,
        ],
    )?;
    Ok(())
}

fn insert_points(tx: &Connection, report: &Report) -> Result<(), StoreError> {
    // A report may name a metric twice; the first one counts, so that a series has one value a report.
    let mut insert = tx.prepare_cached(
        "INSERT INTO metric_points (widget_id, name, unit, report_id, company_id, position, value, as_of, collected_at)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9) ON CONFLICT DO NOTHING",
    )?;
    for (position, metric) in (0_i64..).zip(&report.body.metrics) {
        let unit = metric.unit.as_deref().unwrap_or_default();
        insert.execute(rusqlite::params![
            report.widget_id,
            metric.name,
            unit,
            report.id,
            report.company_id,
            position,
            metric.value,
            metric.as_of,
            report.created_at,
        ])?;
    }
    Ok(())
}

fn one(conn: &Connection, condition: &str, params: impl rusqlite::Params) -> Result<Option<Report>, StoreError> {
    let sql = format!(
        "SELECT r.id, r.company_id, r.widget_id, r.run_id, r.title, r.pages, r.collected_at, r.created_at, r.body_json FROM reports r WHERE {condition}"
    );
    let found = conn.prepare_cached(&sql)?.query_row(params, |row| Ok((report_without_body(row)?, row.get::<_, String>(8)?))).optional()?;
    let Some((mut report, body_json)) = found else { return Ok(None) };
    report.body = serde_json::from_str(&body_json)?;
    Ok(Some(report))
}

fn report_without_body(row: &Row<'_>) -> rusqlite::Result<Report> {
    Ok(Report {
        id: row.get(0)?,
        company_id: row.get(1)?,
        widget_id: row.get(2)?,
        run_id: row.get(3)?,
        title: row.get(4)?,
        body: crate::model::report::ReportBody::default(),
        pages: row.get(5)?,
        collected_at: row.get(6)?,
        created_at: row.get(7)?,
    })
}

fn heads(conn: &Connection, sql: &str, params: impl rusqlite::Params) -> Result<Vec<ReportHead>, StoreError> {
    let mut statement = conn.prepare_cached(sql)?;
    let rows = statement.query_map(params, |row| {
        Ok(ReportHead {
            id: row.get(0)?,
            widget_id: row.get(1)?,
            run_id: row.get(2)?,
            title: row.get(3)?,
            pages: row.get(4)?,
            findings: row.get(5)?,
            metrics: row.get(6)?,
            collected_at: row.get(7)?,
            created_at: row.get(8)?,
        })
    })?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// Rows of one series stand together, oldest first.
fn series(conn: &Connection, sql: &str, params: impl rusqlite::Params) -> Result<Vec<Series>, StoreError> {
    let mut statement = conn.prepare_cached(sql)?;
    let mut rows = statement.query(params)?;
    let mut found: Vec<Series> = Vec::new();
    while let Some(row) = rows.next()? {
        let (widget_id, name, unit): (WidgetId, String, String) = (row.get(0)?, row.get(1)?, row.get(2)?);
        let unit = Some(unit).filter(|unit| !unit.is_empty());
        let point = MetricPoint { at: row.get(3)?, value: row.get(4)?, as_of: row.get(5)?, report_id: row.get(6)? };
        match found.last_mut() {
            Some(last) if last.widget_id == widget_id && last.name == name && last.unit == unit => last.points.push(point),
            _ => found.push(Series { widget_id, name, unit, points: vec![point] }),
        }
    }
    Ok(found)
}

fn count<T>(items: &[T]) -> u32 {
    u32::try_from(items.len()).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::super::runs::testing::{company, new_run, widget};
    use super::*;
    use crate::base::seams::Seams;
    use crate::model::report_history::testing::body;
    use crate::model::run::Run;
    use crate::model::widget::Widget;
    use crate::store::run_ingests::IngestStep;
    use crate::store::testing;

    async fn reporting(store: &Store, widget: &Widget, now: Timestamp) -> Run {
        store.queue_run(crate::store::runs::NewRun { now, ..new_run(widget) }).await.unwrap();
        let run = store.claim_next_run(crate::store::runs::Turn::anybody(), now).await.unwrap().unwrap();
        for (from, to) in [(RunState::Collecting, RunState::Extracting), (RunState::Extracting, RunState::Reporting)] {
            assert!(store.advance_run(run.id.clone(), from.to(to).unwrap(), vec![], now).await.unwrap());
        }
        run
    }

    fn report(run: &Run, now: Timestamp, metrics: &[(&str, f64)]) -> Report {
        Report {
            id: ReportId::new(&Seams::system()),
            company_id: run.company_id.clone(),
            widget_id: run.widget_id.clone(),
            run_id: run.id.clone(),
            title: "Prices".into(),
            body: body(&["a"], metrics),
            pages: 1,
            collected_at: now,
            created_at: now,
        }
    }

    #[tokio::test]
    async fn a_report_its_points_and_the_end_of_its_run_are_kept_together() {
        let (store, _folder) = testing::store();
        let owner = company(&store, 1).await;
        let widget = widget(&owner);
        store.insert_widget(widget.clone(), None).await.unwrap();
        let mut reports = Vec::new();
        for (minute, metrics) in [vec![("Bread", 2.0)], vec![("Milk", 1.0), ("Bread", 2.5), ("Bread", 9.0)]].into_iter().enumerate() {
            let now = Timestamp::from_millis(60_000 * i64::try_from(minute).unwrap());
            let run = reporting(&store, &widget, now).await;
            let report = report(&run, now, &metrics);
            assert!(store.finish_run(report.clone(), IngestState::Pending, None, None).await.unwrap());
            assert!(!store.finish_run(report.clone(), IngestState::Pending, None, None).await.unwrap(), "once");
            reports.push(report);
        }
        let (first, second) = (&reports[0], &reports[1]);
        assert_eq!(store.report(owner.0.clone(), second.id.clone()).await.unwrap().as_ref(), Some(second));
        assert_eq!(store.report_before(widget.id.clone(), second.created_at, second.id.clone()).await.unwrap().as_ref(), Some(first));
        assert_eq!(store.report_before(widget.id.clone(), first.created_at, first.id.clone()).await.unwrap(), None);
        assert_eq!(store.latest_report_heads(owner.0.clone()).await.unwrap()[0].id, second.id);
        assert_eq!(store.latest_runs(owner.0.clone()).await.unwrap()[0].report_id.as_ref(), Some(&second.id));

        let all = store.widget_series(owner.0.clone(), widget.id.clone(), 10).await.unwrap();
        let told: Vec<(&str, Vec<f64>)> = all.iter().map(|s| (s.name.as_str(), s.points.iter().map(|p| p.value).collect())).collect();
        assert_eq!(told, [("Bread", vec![2.0, 2.5]), ("Milk", vec![1.0])]);
        let latest = store.widget_series(owner.0.clone(), widget.id.clone(), 1).await.unwrap();
        let told: Vec<(&str, usize)> = latest.iter().map(|s| (s.name.as_str(), s.points.len())).collect();
        assert_eq!(told, [("Milk", 1), ("Bread", 1)], "of so many reports, in the order of the latest");
        let theirs = company(&store, 2).await;
        assert_eq!(store.widget_series(theirs.0, widget.id.clone(), 10).await.unwrap(), []);
        let headlines = store.headline_series(owner.0.clone(), 10).await.unwrap();
        assert_eq!(headlines.len(), 1);
        assert_eq!((headlines[0].name.as_str(), headlines[0].latest().unwrap().1), ("Milk", None));
        assert_eq!(store.reported_runs(widget.id.clone(), 9).await.unwrap(), [second.run_id.clone(), first.run_id.clone()]);
    }

    #[tokio::test]
    async fn an_ingest_is_durable_and_ends_the_stream() {
        let (store, _folder) = testing::store();
        let owner = company(&store, 1).await;
        let widget = widget(&owner);
        store.insert_widget(widget.clone(), None).await.unwrap();
        let now = widget.created_at;
        let run = reporting(&store, &widget, now).await;
        store.finish_run(report(&run, now, &[]), IngestState::Pending, None, None).await.unwrap();
        let claimed = store.claim_next_ingest(None, now).await.unwrap().unwrap();
        assert_eq!((claimed.id.clone(), claimed.ingest), (run.id.clone(), IngestState::Running));
        assert_eq!(store.claim_next_ingest(None, now).await.unwrap(), None);
        assert_eq!(store.recover_runs(now).await.unwrap().ingests, std::slice::from_ref(&run.id), "a restart starts it over");
        store.claim_next_ingest(None, now).await.unwrap().unwrap();
        let step = IngestStep { chunks: 7, done: 7, total: 7, ..IngestStep::at(IngestState::Done) };
        store.step_ingest(run.id.clone(), step, now).await.unwrap();
        let run = store.run(owner.0, run.id).await.unwrap().unwrap();
        assert_eq!((run.state, run.ingest, run.chunks), (RunState::Succeeded, IngestState::Done, 7));
        let last = store.events_after(run.id.to_string(), 0, 100).await.unwrap().pop().unwrap();
        assert_eq!((last.kind.as_str(), &last.data["chunks"]), ("done", &serde_json::json!(7)));
        assert_eq!(store.run_counts().await.unwrap().ingesting, 0);
        assert_eq!(store.prune_run_events(now.plus(std::time::Duration::from_secs(1)), 9).await.unwrap(), 1);
        assert_eq!(store.events_after(run.id.to_string(), 0, 100).await.unwrap(), []);
    }

    #[tokio::test]
    async fn an_ingest_that_kills_the_process_three_times_is_given_up() {
        let (store, _folder) = testing::store();
        let owner = company(&store, 1).await;
        let widget = widget(&owner);
        store.insert_widget(widget.clone(), None).await.unwrap();
        let now = widget.created_at;
        let run = reporting(&store, &widget, now).await;
        store.finish_run(report(&run, now, &[]), IngestState::Pending, None, None).await.unwrap();
        for _ in 0..3 {
            assert!(store.claim_next_ingest(None, now).await.unwrap().is_some());
            store.recover_runs(now).await.unwrap();
        }
        assert_eq!(store.claim_next_ingest(None, now).await.unwrap(), None);
        let run = store.run(owner.0, run.id).await.unwrap().unwrap();
        assert_eq!((run.state, run.ingest), (RunState::Succeeded, IngestState::Failed));
        assert_eq!(run.error.unwrap().code, "ingest_interrupted_too_often");
    }
}
