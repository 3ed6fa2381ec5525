//! A company's name and its end. A deleted company is not there for anybody from that moment; a while later its rows are removed in small
//! transactions. What stays: its number, which is never given twice, the token ledger, and the audit log.

use rusqlite::{Connection, OptionalExtension};

use super::audit::append_audit;
use super::chunk_index;
use super::departures;
use super::{Store, StoreError};
use crate::base::clock::Timestamp;
use crate::model::audit::Entry;
use crate::model::chunk::ChunkId;
use crate::model::company::{CompanyHoldings, DeletedCompany};
use crate::model::ids::CompanyId;

/// Rows removed in one transaction.
const BATCH: u32 = 200;
/// Companies shown at most.
const LISTED_MAX: u32 = 1_000;

/// What holds rows of a company, with the condition by which they are found and in an order in which nothing refers to what goes.
const PURGED: &[(&str, &str)] = &[
    ("metric_points", "company_id = ?1"),
    ("reports", "company_id = ?1"),
    ("run_pages", "company_id = ?1"),
    ("run_events", "stream_id IN (SELECT id FROM widget_runs WHERE company_id = ?1 UNION ALL SELECT id FROM chat_runs WHERE company_id = ?1)"),
    ("widget_runs", "company_id = ?1"),
    ("widgets", "company_id = ?1"),
    ("document_contents", "company_id = ?1"),
    ("documents", "company_id = ?1"),
    ("page_texts", "company_id = ?1"),
    ("messages", "company_id = ?1"),
    ("chat_runs", "company_id = ?1"),
    ("conversations", "company_id = ?1"),
    ("token_reservations", "company_id = ?1"),
    ("company_subscriptions", "company_id = ?1"),
    ("invitations", "company_id = ?1"),
    ("api_keys", "company_id = ?1"),
    ("sso_group_roles", "company_id = ?1"),
    ("sso_memberships", "company_id = ?1"),
    ("sso_kept_out", "company_id = ?1"),
    ("memberships", "company_id = ?1"),
    ("chunk_sequences", "company_id = ?1"),
];
/// What keeps a company's rows: what was spent, done and sent is the appliance's to account for.
#[cfg(test)]
const KEPT: [&str; 4] = ["companies", "token_transactions", "audit_log", "egress_log"];

impl Store {
    /// Gives a company another name. `None`: there is no such company; else the name it had.
    ///
    /// # Errors
    /// When it could not be kept.
    pub async fn rename_company(&self, company: CompanyId, name: String, audit: Entry) -> Result<Option<String>, StoreError> {
        self.write("rename company", move |tx| {
            let before: Option<String> =
                tx.query_row("SELECT name FROM companies WHERE id = ?1 AND deleted_at IS NULL", [&company], |row| row.get(0)).optional()?;
            let Some(before) = before else { return Ok(None) };
            if before != name {
                tx.execute("UPDATE companies SET name = ?2 WHERE id = ?1", (&company, &name))?;
                append_audit(tx, &audit.detail(serde_json::json!({"before": before, "after": name})))?;
            }
            Ok(Some(before))
        })
        .await
    }

    /// What would be lost with a company.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn company_holdings(&self, company: CompanyId) -> Result<CompanyHoldings, StoreError> {
        self.read("count what a company holds", move |conn| {
            let count = |what: &str| -> Result<u64, StoreError> {
                let sql = format!("SELECT {what}");
                let number: i64 = conn.prepare_cached(&sql)?.query_row([&company], |row| row.get(0))?;
                u64::try_from(number).map_err(|_| StoreError::corrupt("a negative count"))
            };
            Ok(CompanyHoldings {
                automations: count("count(*) FROM widgets WHERE company_id = ?1 AND deleted_at IS NULL")?,
                reports: count("count(*) FROM reports WHERE company_id = ?1")?,
                documents: count("count(*) FROM documents WHERE company_id = ?1 AND deleted_at IS NULL AND superseded_at IS NULL")?,
                document_bytes: count("coalesce(sum(size_bytes), 0) FROM documents WHERE company_id = ?1 AND deleted_at IS NULL")?,
                conversations: count("count(*) FROM conversations WHERE company_id = ?1 AND deleted_at IS NULL")?,
                members: count("count(*) FROM memberships WHERE company_id = ?1")?,
                invitations: count("count(*) FROM invitations WHERE company_id = ?1 AND accepted_at IS NULL AND withdrawn_at IS NULL")?,
            })
        })
        .await
    }

    /// Deletes a company. False: there is none.
    ///
    /// # Errors
    /// When it could not be kept.
    pub async fn delete_company(&self, company: CompanyId, audit: Entry) -> Result<bool, StoreError> {
        self.write_departure("delete company", move |tx| {
            let deleted = tx.execute("UPDATE companies SET deleted_at = ?2 WHERE id = ?1 AND deleted_at IS NULL", (&company, audit.at))? > 0;
            if deleted {
                departures::company_ended(tx, &company, audit.at)?;
                append_audit(tx, &audit)?;
            }
            Ok(deleted)
        })
        .await
    }

    /// Undoes the deletion of a company that is not purged yet. False: there is none such.
    ///
    /// # Errors
    /// When it could not be kept.
    pub async fn restore_company(&self, company: CompanyId, deleted_after: Timestamp, audit: Entry) -> Result<bool, StoreError> {
        self.write("restore company", move |tx| {
            let restored = tx.execute(
                "UPDATE companies SET deleted_at = NULL WHERE id = ?1 AND deleted_at > ?2 AND purged_at IS NULL",
                (&company, deleted_after),
            )?;
            if restored > 0 {
                append_audit(tx, &audit)?;
            }
            Ok(restored > 0)
        })
        .await
    }

    /// Deleted companies whose rows are still there, the latest first.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn deleted_companies(&self) -> Result<Vec<DeletedCompany>, StoreError> {
        self.read("list deleted companies", |conn| {
            let mut list = conn.prepare_cached(
                "SELECT id, name, deleted_at FROM companies WHERE deleted_at IS NOT NULL AND purged_at IS NULL
                 ORDER BY deleted_at DESC, id LIMIT ?1",
            )?;
            let rows = list.query_map([LISTED_MAX], |row| Ok(DeletedCompany { id: row.get(0)?, name: row.get(1)?, deleted_at: row.get(2)? }))?;
            Ok(rows.collect::<Result<_, _>>()?)
        })
        .await
    }

    /// Removes the next rows of a company deleted at or before `deleted_by`. True: there may be more.
    ///
    /// # Errors
    /// When the store fails; another call goes on.
    pub async fn purge_company(&self, company: CompanyId, deleted_by: Timestamp, audit: Entry) -> Result<bool, StoreError> {
        self.write("purge company", move |tx| {
            let due = tx
                .prepare_cached("SELECT 1 FROM companies WHERE id = ?1 AND deleted_at <= ?2 AND purged_at IS NULL")?
                .exists((&company, deleted_by))?;
            if !due {
                return Ok(false);
            }
            if purge_chunks(tx, &company)? > 0 {
                return Ok(true);
            }
            // Widgets refer to each other.
            tx.prepare_cached("UPDATE widgets SET upstream_widget_id = NULL WHERE company_id = ?1 AND upstream_widget_id IS NOT NULL")?
                .execute([&company])?;
            for (table, rows) in PURGED {
                if purge_rows(tx, table, rows, &company)? > 0 {
                    return Ok(true);
                }
            }
            tx.execute("UPDATE companies SET purged_at = ?2, name = '(deleted)' WHERE id = ?1", (&company, audit.at))?;
            append_audit(tx, &audit)?;
            Ok(false)
        })
        .await
    }
}

fn purge_chunks(tx: &Connection, company: &CompanyId) -> Result<usize, StoreError> {
    let mut find = tx.prepare_cached("SELECT id FROM chunks WHERE company_id = ?1 LIMIT ?2")?;
    let ids: Vec<i64> = find.query_map((company, BATCH), |row| row.get(0))?.collect::<Result<_, _>>()?;
    for id in &ids {
        chunk_index::delete(tx, ChunkId::from_number(*id))?;
        tx.prepare_cached("DELETE FROM chunks WHERE id = ?1")?.execute([id])?;
    }
    Ok(ids.len())
}

fn purge_rows(tx: &Connection, table: &str, rows: &str, company: &CompanyId) -> Result<usize, StoreError> {
    // The one table without a rowid has short keys that end with a number.
    let sql = if table == "run_events" {
        format!("DELETE FROM run_events WHERE (stream_id, seq) IN (SELECT stream_id, seq FROM run_events WHERE {rows} LIMIT {BATCH})")
    } else {
        format!("DELETE FROM {table} WHERE rowid IN (SELECT rowid FROM {table} WHERE {rows} LIMIT {BATCH})")
    };
    Ok(tx.prepare_cached(&sql)?.execute([company])?)
}

#[cfg(test)]
mod tests {
    use super::super::chunks::testing::{MODEL, chunk, pointing, run};
    use super::*;
    use crate::model::audit::Actor;
    use crate::store::testing::{store, user_and_company};

    fn entry(company: &CompanyId, at: i64) -> Entry {
        Entry::new(Timestamp::from_millis(at), Actor::System, "company.purged", company.as_str())
    }

    /// A table of a later version that holds rows of companies must be named here, or a deleted company would stay in it.
    #[tokio::test]
    async fn every_table_that_holds_rows_of_companies_is_purged_or_kept_on_purpose() {
        let (store, _folder) = store();
        let sql = "SELECT m.name FROM sqlite_master m WHERE m.type = 'table' AND EXISTS
                     (SELECT 1 FROM pragma_table_info(m.name) c WHERE c.name = 'company_id')";
        let tables: Vec<String> =
            store.read("tables", move |conn| Ok(conn.prepare(sql)?.query_map([], |row| row.get(0))?.collect::<Result<_, _>>()?)).await.unwrap();
        let known = |table: &str| table == "chunks" || KEPT.contains(&table) || PURGED.iter().any(|(purged, _)| *purged == table);
        let unknown: Vec<_> = tables.iter().filter(|table| !known(table)).collect();
        assert!(tables.len() > 10 && unknown.is_empty(), "add to PURGED or KEPT: {unknown:?}");
    }

    #[tokio::test]
    async fn of_a_purged_company_only_its_number_ledger_and_audit_stay_and_others_are_untouched() {
        let (store, _folder) = store();
        let mut companies = Vec::new();
        for n in 0..2 {
            let (user, company) = user_and_company(&store).await;
            for at in 0..3 {
                let (widget, run, report) = run(&store, &company, &user, None, at).await;
                let mut chunk = chunk(Some((&widget, &run)), 0, "text", pointing(n, 0.0));
                chunk.body.report_id = Some(report);
                store.insert_chunks(company.clone(), MODEL, vec![chunk]).await.unwrap();
            }
            companies.push(company);
        }
        let company = companies[0].clone();
        assert!(!store.purge_company(company.clone(), Timestamp::from_millis(9), entry(&company, 9)).await.unwrap(), "not deleted");
        assert!(store.delete_company(company.clone(), entry(&company, 5)).await.unwrap());
        assert!(!store.delete_company(company.clone(), entry(&company, 5)).await.unwrap(), "once");
        assert!(!store.purge_company(company.clone(), Timestamp::from_millis(4), entry(&company, 9)).await.unwrap());
        assert_eq!(store.deleted_companies().await.unwrap().len(), 1, "not yet");
        assert!(store.restore_company(company.clone(), Timestamp::from_millis(4), entry(&company, 6)).await.unwrap());
        assert!(!store.restore_company(company.clone(), Timestamp::from_millis(4), entry(&company, 6)).await.unwrap());
        store.delete_company(company.clone(), entry(&company, 7)).await.unwrap();
        assert!(!store.restore_company(company.clone(), Timestamp::from_millis(7), entry(&company, 9)).await.unwrap(), "too late");
        let mut calls = 0;
        while store.purge_company(company.clone(), Timestamp::from_millis(7), entry(&company, 9)).await.unwrap() {
            calls += 1;
            assert!(calls < 100, "it ends");
        }
        assert!(store.deleted_companies().await.unwrap().is_empty());
        for (of, left) in [(company, 0), (companies[1].clone(), 3)] {
            for table in ["chunks", "reports", "widget_runs", "widgets"] {
                let (of, sql) = (of.clone(), format!("SELECT count(*) FROM {table} WHERE company_id = ?1"));
                let count: u32 = store.read("count", move |conn| Ok(conn.query_row(&sql, [&of], |row| row.get(0))?)).await.unwrap();
                assert_eq!(count, left, "{table}");
            }
        }
        let vectors: u32 = store.read("count", |conn| Ok(conn.query_row("SELECT count(*) FROM chunk_vectors", [], |row| row.get(0))?)).await.unwrap();
        assert_eq!(vectors, 3);
    }
}
