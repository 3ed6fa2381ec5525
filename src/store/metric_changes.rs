//! What moved since somebody last looked: the figures of each latest report beside those of an earlier one.

use std::collections::HashMap;

use rusqlite::{Connection, named_params};

use super::{Store, StoreError};
use crate::base::clock::Timestamp;
use crate::model::ids::{CompanyId, WidgetId};
use crate::model::report_history::MetricChange;

/// Changes read for one company: some 60 figures a report, so that only a company that changed throughout is cut short.
const CHANGES_MAX: u32 = 5_000;

/// Each widget's latest report, and the latest one that was there at `:since`.
const PAIRS: &str = "WITH pairs AS (
    SELECT w.id AS widget_id, l.id AS latest,
      (SELECT b.id FROM reports b WHERE b.widget_id = w.id AND b.created_at <= :since ORDER BY b.created_at DESC, b.id DESC LIMIT 1) AS earlier
    FROM widgets w JOIN reports l ON l.id =
      (SELECT r.id FROM reports r WHERE r.widget_id = w.id ORDER BY r.created_at DESC, r.id DESC LIMIT 1)
    WHERE w.company_id = :company AND w.deleted_at IS NULL)";

impl Store {
    /// For each of a company's widgets that had a report at `since`: the figures of its latest report that are new, gone or other than in
    /// the latest one of then, in the report's order. Two queries, however many widgets there are.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn metric_changes(&self, company: CompanyId, since: Timestamp) -> Result<HashMap<WidgetId, Vec<MetricChange>>, StoreError> {
        self.read("metric changes", move |conn| {
            let mut changes = widgets_reported_at(conn, &company, since)?;
            let sql = format!(
                "{PAIRS}
                 SELECT widget_id, name, unit, previous, current FROM (
                   SELECT n.widget_id, n.name, n.unit, e.value AS previous, n.value AS current, n.position, 0 AS gone
                   FROM pairs p JOIN metric_points n ON n.report_id = p.latest
                   LEFT JOIN metric_points e ON e.widget_id = n.widget_id AND e.name = n.name AND e.unit = n.unit AND e.report_id = p.earlier
                   WHERE p.earlier IS NOT NULL AND (e.value IS NULL OR e.value <> n.value)
                   UNION ALL
                   SELECT e.widget_id, e.name, e.unit, e.value, NULL, e.position, 1
                   FROM pairs p JOIN metric_points e ON e.report_id = p.earlier
                   WHERE NOT EXISTS (SELECT 1 FROM metric_points n
                     WHERE n.widget_id = e.widget_id AND n.name = e.name AND n.unit = e.unit AND n.report_id = p.latest)) AS moved
                 ORDER BY widget_id, gone, position LIMIT :limit"
            );
            let mut statement = conn.prepare_cached(&sql)?;
            let mut rows = statement.query(named_params! {":company": company, ":since": since, ":limit": CHANGES_MAX})?;
            while let Some(row) = rows.next()? {
                let (previous, current): (Option<f64>, Option<f64>) = (row.get(3)?, row.get(4)?);
                let change = previous.zip(current).map(|(before, now)| now - before);
                let unit = Some(row.get::<_, String>(2)?).filter(|unit| !unit.is_empty());
                changes.entry(row.get(0)?).or_default().push(MetricChange { name: row.get(1)?, unit, previous, current, change });
            }
            Ok(changes)
        })
        .await
    }
}

fn widgets_reported_at(conn: &Connection, company: &CompanyId, since: Timestamp) -> Result<HashMap<WidgetId, Vec<MetricChange>>, StoreError> {
    let sql = format!("{PAIRS} SELECT widget_id FROM pairs WHERE earlier IS NOT NULL");
    let mut statement = conn.prepare_cached(&sql)?;
    let found = statement.query_map(named_params! {":company": company, ":since": since}, |row| Ok((row.get(0)?, Vec::new())))?;
    Ok(found.collect::<Result<_, _>>()?)
}
