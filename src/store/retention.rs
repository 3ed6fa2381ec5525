//! What is removed after a while: reports past their time with their chunks and points, runs that nothing refers to, events of old runs.
//!
//! Each method finds what is due with a read and removes it in small transactions, so that the writer is never held for long; a second call
//! goes on where the first one stopped.

use rusqlite::Connection;

use super::chunks::ChunkOwner;
use super::{Store, StoreError};
use crate::base::clock::Timestamp;
use crate::model::ids::{ReportId, RunId};

/// Which runs are kept without a report.
#[derive(Clone, Copy, Debug)]
pub struct RunsKept {
    /// The latest runs of each widget.
    pub per_widget: u32,
    /// Most runs removed by one call.
    pub limit: u32,
}

impl Store {
    /// Removes reports made before `before`, with their chunks and metric points, and those of deleted widgets. The latest report of a widget
    /// stays, however old it is. Returns how many went: at most `limit`.
    ///
    /// # Errors
    /// When the store fails; what is left goes with the next call.
    pub async fn prune_reports(&self, before: Option<Timestamp>, limit: u32) -> Result<usize, StoreError> {
        let expired: Vec<(ReportId, RunId)> = self
            .read("find expired reports", move |conn| {
                // Each by an index of little: of the old ones those remain that are the latest of their widget.
                let old = "SELECT p.id, p.run_id FROM reports p CROSS JOIN widget_runs r ON r.id = p.run_id
                     WHERE p.created_at < ?1 AND r.ingest NOT IN ('pending', 'running') AND EXISTS
                       (SELECT 1 FROM reports l WHERE l.widget_id = p.widget_id AND (l.created_at, l.id) > (p.created_at, p.id))
                     LIMIT ?2";
                let of_deleted =
                    "SELECT p.id, p.run_id FROM widgets w CROSS JOIN reports p ON p.widget_id = w.id CROSS JOIN widget_runs r ON r.id = p.run_id
                     WHERE w.deleted_at IS NOT NULL AND r.ingest NOT IN ('pending', 'running') LIMIT ?1";
                let pair = |row: &rusqlite::Row<'_>| Ok((row.get(0)?, row.get(1)?));
                let mut found: Vec<(ReportId, RunId)> = conn.prepare_cached(old)?.query_map((before, limit), pair)?.collect::<Result<_, _>>()?;
                for one in conn.prepare_cached(of_deleted)?.query_map([limit], pair)? {
                    let one = one?;
                    if found.len() < limit as usize && !found.contains(&one) {
                        found.push(one);
                    }
                }
                Ok(found)
            })
            .await?;
        for (report, run) in &expired {
            self.delete_chunks(ChunkOwner::Run(run.clone())).await?;
            let report = report.clone();
            self.write("remove report", move |tx| remove_report(tx, &report)).await?;
        }
        Ok(expired.len())
    }

    /// Removes ended runs with their pages and events: those beyond a widget's latest and those of deleted widgets, but never one that a kept
    /// report or chunk refers to. Returns how many went.
    ///
    /// # Errors
    /// When the store fails; what is left goes with the next call.
    pub async fn prune_runs(&self, kept: RunsKept) -> Result<usize, StoreError> {
        let old: Vec<RunId> = self
            .read("find old runs", move |conn| {
                // From those without a report, of which each widget has few: the others are not looked at.
                let mut find = conn.prepare_cached(
                    "SELECT r.id FROM widget_runs r CROSS JOIN widgets w ON w.id = r.widget_id
                     WHERE r.report_id IS NULL AND r.finished_at IS NOT NULL AND r.ingest NOT IN ('pending', 'running')
                       AND (w.deleted_at IS NOT NULL OR (r.queued_at, r.id) <= (SELECT l.queued_at, l.id FROM widget_runs l
                         WHERE l.widget_id = r.widget_id ORDER BY l.queued_at DESC, l.id DESC LIMIT 1 OFFSET ?1))
                       AND NOT EXISTS (SELECT 1 FROM reports p WHERE p.run_id = r.id)
                       AND NOT EXISTS (SELECT 1 FROM chunks c WHERE c.run_id = r.id)
                     LIMIT ?2",
                )?;
                Ok(find.query_map((kept.per_widget, kept.limit), |row| row.get(0))?.collect::<Result<_, _>>()?)
            })
            .await?;
        for run in &old {
            let run = run.clone();
            self.write("remove run", move |tx| remove_run(tx, &run)).await?;
        }
        Ok(old.len())
    }

    /// Removes the events of runs that ended before `before`. Returns how many runs' events went: at most `limit`.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn prune_run_events(&self, before: Timestamp, limit: u32) -> Result<usize, StoreError> {
        let old: Vec<RunId> = self
            .read("find old run events", move |conn| {
                // From first events that are old: every stream has one, and loses it when it is pruned.
                let mut find = conn.prepare_cached(
                    "SELECT r.id FROM run_events e CROSS JOIN widget_runs r ON r.id = e.stream_id
                     WHERE e.seq = 1 AND e.at < ?1 AND r.finished_at < ?1 AND r.ingest NOT IN ('pending', 'running') LIMIT ?2",
                )?;
                Ok(find.query_map((before, limit), |row| row.get(0))?.collect::<Result<_, _>>()?)
            })
            .await?;
        for run in &old {
            let run = run.clone();
            self.write("remove run events", move |tx| remove_events(tx, &run)).await?;
        }
        Ok(old.len())
    }
}

fn remove_report(tx: &Connection, report: &ReportId) -> Result<(), StoreError> {
    tx.prepare_cached("DELETE FROM metric_points WHERE report_id = ?1")?.execute([report])?;
    tx.prepare_cached("UPDATE widget_runs SET report_id = NULL WHERE id = (SELECT run_id FROM reports WHERE id = ?1)")?.execute([report])?;
    tx.prepare_cached("DELETE FROM reports WHERE id = ?1")?.execute([report])?;
    Ok(())
}

fn remove_run(tx: &Connection, run: &RunId) -> Result<(), StoreError> {
    tx.prepare_cached("DELETE FROM run_pages WHERE run_id = ?1")?.execute([run])?;
    remove_events(tx, run)?;
    tx.prepare_cached("DELETE FROM widget_runs WHERE id = ?1")?.execute([run])?;
    Ok(())
}

fn remove_events(tx: &Connection, run: &RunId) -> Result<(), StoreError> {
    tx.prepare_cached("DELETE FROM run_events WHERE stream_id = ?1")?.execute([run])?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::chunks::testing::{MODEL, chunk, pointing, run};
    use super::*;
    use crate::model::ids::WidgetId;
    use crate::store::testing::{store, user_and_company};

    async fn count(store: &Store, table: &'static str) -> u32 {
        store.read("count", move |conn| Ok(conn.query_row(&format!("SELECT count(*) FROM {table}"), [], |row| row.get(0))?)).await.unwrap()
    }

    async fn execute(store: &Store, sql: &'static str) {
        store.write("change", move |tx| Ok(tx.execute_batch(sql)?)).await.unwrap();
    }

    /// A widget with so many runs, each with a report, a point, a page, an event and a chunk.
    async fn widget_with_runs(store: &Store, runs: i64) -> WidgetId {
        let (user, company) = user_and_company(store).await;
        let mut widget = None;
        for at in 0..runs {
            let (id, run, report) = run(store, &company, &user, widget.as_ref(), at).await;
            let mut chunk = chunk(Some((&id, &run)), 0, "text", pointing(0, 0.0));
            chunk.body.report_id = Some(report.clone());
            store.insert_chunks(company.clone(), MODEL, vec![chunk]).await.unwrap();
            let (point, of) = ((id.clone(), report, company.clone()), run.clone());
            store
                .write("add", move |tx| {
                    let (id, report, company) = point;
                    tx.execute(
                        "INSERT INTO metric_points (widget_id, name, report_id, company_id, position, value, collected_at) VALUES (?1, 'm', ?2, ?3, 0, 1, 0)",
                        (&id, &report, &company),
                    )?;
                    tx.execute("UPDATE widget_runs SET report_id = ?2, finished_at = ?3 WHERE id = ?1", (&of, &report, at))?;
                    tx.execute("UPDATE reports SET created_at = ?2 WHERE id = ?1", (&report, at))?;
                    tx.execute(
                        "INSERT INTO run_pages (run_id, position, company_id, widget_id, url, fate, fetched_at) VALUES (?1, 1, ?2, ?3, 'u', 'new', 0)",
                        (&of, &company, &id),
                    )?;
                    Ok(tx.execute("INSERT INTO run_events (stream_id, seq, kind, data_json, at) VALUES (?1, 1, 'k', '{}', 0)", [&of])?)
                })
                .await
                .unwrap();
            widget = Some(id);
        }
        widget.unwrap()
    }

    #[tokio::test]
    async fn an_expired_report_goes_with_its_chunks_and_points_and_the_latest_stays() {
        let (store, _folder) = store();
        widget_with_runs(&store, 3).await;
        assert_eq!(store.prune_reports(None, 9).await.unwrap(), 0, "for ever");
        assert_eq!(store.prune_reports(Some(Timestamp::from_millis(9)), 1).await.unwrap(), 1, "bounded");
        assert_eq!(store.prune_reports(Some(Timestamp::from_millis(9)), 9).await.unwrap(), 1);
        assert_eq!(store.prune_reports(Some(Timestamp::from_millis(9)), 9).await.unwrap(), 0);
        for (table, left) in [("reports", 1), ("metric_points", 1), ("chunks", 1), ("chunk_vectors", 1), ("widget_runs", 3)] {
            assert_eq!(count(&store, table).await, left, "{table}");
        }
        assert_eq!(count(&store, "widget_runs WHERE report_id IS NOT NULL").await, 1);
    }

    #[tokio::test]
    async fn runs_go_beyond_the_latest_unless_a_report_refers_to_them() {
        let (store, _folder) = store();
        widget_with_runs(&store, 5).await;
        let kept = RunsKept { per_widget: 2, limit: 9 };
        assert_eq!(store.prune_runs(kept).await.unwrap(), 0, "all have reports");
        // The third's report stays because it is young enough.
        store.prune_reports(Some(Timestamp::from_millis(2)), 9).await.unwrap();
        assert_eq!(store.prune_runs(RunsKept { limit: 1, ..kept }).await.unwrap(), 1, "bounded");
        assert_eq!(store.prune_runs(kept).await.unwrap(), 1);
        for table in ["widget_runs", "run_pages", "run_events"] {
            assert_eq!(count(&store, table).await, 3, "{table}");
        }
        execute(&store, "UPDATE widget_runs SET finished_at = NULL, state = 'collecting' WHERE queued_at = 2; DELETE FROM chunks").await;
        execute(&store, "UPDATE widget_runs SET report_id = NULL; DELETE FROM metric_points; DELETE FROM reports").await;
        assert_eq!(store.prune_runs(kept).await.unwrap(), 0, "a run at work stays");
    }

    #[tokio::test]
    async fn of_a_deleted_widget_nothing_stays() {
        let (store, _folder) = store();
        widget_with_runs(&store, 2).await;
        execute(&store, "UPDATE widgets SET deleted_at = 1").await;
        store.prune_reports(None, 9).await.unwrap();
        store.prune_runs(RunsKept { per_widget: 100, limit: 9 }).await.unwrap();
        for table in ["reports", "metric_points", "chunks", "widget_runs", "run_pages", "run_events"] {
            assert_eq!(count(&store, table).await, 0, "{table}");
        }
    }
}
