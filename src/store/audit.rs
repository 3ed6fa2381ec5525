//! The audit log: appended to, never changed.

use rusqlite::{Connection, OptionalExtension, Row, named_params};

use super::{Store, StoreError};
use crate::model::audit::{AuditRow, Entry, GENESIS, Outcome, canonical_json};
use crate::model::ids::CompanyId;

crate::text_column!(Outcome);

/// Rows to look at.
#[derive(Clone, Debug, Default)]
pub struct AuditFilter {
    /// Only rows before this place; `None` = from the newest.
    pub before: Option<i64>,
    /// Only acts whose name begins so, such as `member.`.
    pub action: Option<String>,
    /// Only what this actor did: an id or a word, or how a name or an e-mail address begins.
    pub actor: Option<String>,
    /// Only what was done to this object.
    pub object: Option<String>,
    /// Only of this company.
    pub company: Option<CompanyId>,
    /// Only with this outcome.
    pub outcome: Option<Outcome>,
    /// At most so many.
    pub limit: u32,
}

const COLUMNS: &str = "sequence, at, actor, action, object, company_id, address, outcome, detail_json, previous_hash, hash";

impl Store {
    /// The rows that a filter lets through, the newest first.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn audit_rows(&self, filter: AuditFilter) -> Result<Vec<AuditRow>, StoreError> {
        self.read("read audit", move |conn| {
            let sql = format!(
                "SELECT {COLUMNS} FROM audit_log WHERE (:before IS NULL OR sequence < :before)
                   AND (:action IS NULL OR substr(action, 1, length(:action)) = :action) AND (:actor IS NULL OR actor = :actor OR actor IN (SELECT id FROM users
                     WHERE substr(lower(name), 1, length(:actor)) = lower(:actor) OR substr(email, 1, length(:actor)) = lower(:actor)))
                   AND (:object IS NULL OR object = :object) AND (:company IS NULL OR company_id = :company)
                   AND (:outcome IS NULL OR outcome = :outcome) ORDER BY sequence DESC LIMIT :limit"
            );
            let AuditFilter { before, action, actor, object, company, outcome, limit } = filter;
            let mut statement = conn.prepare_cached(&sql)?;
            let values = named_params! {":before": before, ":action": action, ":actor": actor, ":object": object, ":company": company,
            ":outcome": outcome, ":limit": limit};
            Ok(statement.query_map(values, read_row)?.collect::<Result<_, _>>()?)
        })
        .await
    }

    /// Place and hash of the newest row; 0 and [`GENESIS`] when there is none.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn audit_head(&self) -> Result<(i64, [u8; 32]), StoreError> {
        self.read("read audit", head).await
    }

    /// Appends an act to the audit log.
    ///
    /// # Errors
    /// When it could not be kept.
    pub async fn record_audit(&self, entry: Entry) -> Result<(), StoreError> {
        self.write("record audit", move |tx| append_audit(tx, &entry)).await
    }

    /// At most `limit` rows after place `after` (0 = from the start), in order.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn audit_after(&self, after: i64, limit: u32) -> Result<Vec<AuditRow>, StoreError> {
        self.read("read audit", move |conn| audit_after_in(conn, after, limit)).await
    }
}

/// Appends inside another store method's transaction: the act and its row are kept together or not at all.
pub(in crate::store) fn append_audit(tx: &Connection, entry: &Entry) -> Result<(), StoreError> {
    // The writer is one thread, so nobody can append between this look and the insert.
    let (place, previous_hash) = head(tx)?;
    let mut row = AuditRow {
        sequence: place + 1,
        at: entry.at,
        actor: entry.actor.as_str().to_owned(),
        action: entry.action.to_owned(),
        object: entry.object.clone(),
        company_id: entry.company_id.as_ref().map(|id| id.as_str().to_owned()),
        address: entry.address.map(|address| address.to_string()),
        outcome: entry.outcome,
        detail_json: canonical_json(&entry.detail),
        previous_hash,
        hash: GENESIS,
    };
    row.hash = row.compute_hash();
    tx.prepare_cached(
        "INSERT INTO audit_log (sequence, at, actor, action, object, company_id, address, outcome, detail_json, previous_hash, hash)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11)",
    )?
    .execute(rusqlite::params![
        row.sequence,
        row.at,
        row.actor,
        row.action,
        row.object,
        row.company_id,
        row.address,
        row.outcome,
        row.detail_json,
        row.previous_hash,
        row.hash,
    ])?;
    Ok(())
}

/// At most `limit` rows after place `after`, in order, on an open connection: also for a command beside the server.
///
/// # Errors
/// When the database cannot be read.
pub fn audit_after_in(conn: &Connection, after: i64, limit: u32) -> Result<Vec<AuditRow>, StoreError> {
    let mut statement = conn.prepare_cached(&format!("SELECT {COLUMNS} FROM audit_log WHERE sequence > ?1 ORDER BY sequence LIMIT ?2"))?;
    Ok(statement.query_map((after, limit), read_row)?.collect::<Result<_, _>>()?)
}

fn head(conn: &Connection) -> Result<(i64, [u8; 32]), StoreError> {
    let mut statement = conn.prepare_cached("SELECT sequence, hash FROM audit_log ORDER BY sequence DESC LIMIT 1")?;
    Ok(statement.query_row([], |row| Ok((row.get(0)?, row.get(1)?))).optional()?.unwrap_or((0, GENESIS)))
}

fn read_row(row: &Row<'_>) -> rusqlite::Result<AuditRow> {
    Ok(AuditRow {
        sequence: row.get(0)?,
        at: row.get(1)?,
        actor: row.get(2)?,
        action: row.get(3)?,
        object: row.get(4)?,
        company_id: row.get(5)?,
        address: row.get(6)?,
        outcome: row.get(7)?,
        detail_json: row.get(8)?,
        previous_hash: row.get(9)?,
        hash: row.get(10)?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::clock::Timestamp;
    use crate::model::audit::{Actor, verify_chain};
    use crate::store::testing;
    use serde_json::json;

    #[tokio::test]
    async fn rows_written_at_once_form_one_chain_and_an_edit_shows() {
        let (store, _folder) = testing::store();
        let entries = (0..20).map(|n| {
            let entry = Entry::new(Timestamp::from_millis(n), Actor::System, "test.act", format!("thing {n}")).detail(json!({"b": n, "a": null}));
            store.record_audit(entry)
        });
        for written in futures_util::future::join_all(entries).await {
            written.unwrap();
        }
        let rows = store.audit_after(0, 100).await.unwrap();
        assert_eq!(rows.len(), 20);
        assert!(verify_chain((0, GENESIS), &rows).is_ok());
        store.write("tamper", |tx| Ok(tx.execute("UPDATE audit_log SET object = 'x' WHERE sequence = 7", [])?)).await.unwrap();
        let rows = store.audit_after(0, 100).await.unwrap();
        assert_eq!(verify_chain((0, GENESIS), &rows).unwrap_err().sequence, 7);
    }
}
