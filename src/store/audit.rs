//! The audit log: appended to, never changed.

use rusqlite::{Connection, OptionalExtension, Row};

use super::{Store, StoreError};
use crate::model::audit::{AuditRow, Entry, GENESIS, Outcome, canonical_json};

crate::text_column!(Outcome);

impl Store {
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
        self.read("read audit", move |conn| {
            let mut statement = conn.prepare_cached(
                "SELECT sequence, at, actor, action, object, company_id, address, outcome, detail_json, previous_hash, hash
                 FROM audit_log WHERE sequence > ?1 ORDER BY sequence LIMIT ?2",
            )?;
            Ok(statement.query_map((after, limit), read_row)?.collect::<Result<_, _>>()?)
        })
        .await
    }
}

/// Appends inside another store method's transaction: the act and its row are kept together or not at all.
pub(in crate::store) fn append_audit(tx: &Connection, entry: &Entry) -> Result<(), StoreError> {
    // The writer is one thread, so nobody can append between this look and the insert.
    let last: Option<(i64, [u8; 32])> = tx
        .prepare_cached("SELECT sequence, hash FROM audit_log ORDER BY sequence DESC LIMIT 1")?
        .query_row([], |row| Ok((row.get(0)?, row.get(1)?)))
        .optional()?;
    let (place, previous_hash) = last.unwrap_or((0, GENESIS));
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
