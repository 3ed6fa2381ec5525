//! The audit log: appended to, never changed.

use rusqlite::{Connection, OptionalExtension, Row, ToSql};

use super::{Store, StoreError};
use crate::model::audit::{AuditFilter, AuditRow, Entry, GENESIS, Outcome, canonical_json};

crate::text_column!(Outcome);

const COLUMNS: &str = "sequence, at, actor, action, object, company_id, address, outcome, detail_json, previous_hash, hash";

impl Store {
    /// The rows that a filter lets through, the newest first.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn audit_rows(&self, filter: AuditFilter) -> Result<Vec<AuditRow>, StoreError> {
        self.read("read audit", move |conn| {
            let actions = match filter.action.as_deref().filter(|action| !action.is_empty()) {
                Some(beginning) => actions(conn, beginning)?.into_iter().map(Some).collect(),
                None => vec![None],
            };
            let actors = match &filter.actor {
                Some(actor) => actors(conn, actor)?.into_iter().map(Some).collect(),
                None => vec![None],
            };
            let mut rows = Vec::new();
            for action in &actions {
                for actor in &actors {
                    rows.extend(matching(conn, &filter, action.as_deref(), actor.as_deref())?);
                }
            }
            rows.sort_unstable_by_key(|row| std::cmp::Reverse(row.sequence));
            rows.truncate(filter.limit as usize);
            Ok(rows)
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

/// The acts in the log whose names begin so. Each is found by the index from the one before: the log may be long, acts are few.
fn actions(conn: &Connection, beginning: &str) -> Result<Vec<String>, StoreError> {
    let mut next = conn.prepare_cached("SELECT min(action) FROM audit_log WHERE action > ?1")?;
    let mut at_or_after = conn.prepare_cached("SELECT min(action) FROM audit_log WHERE action >= ?1")?;
    let mut found = Vec::new();
    let mut action: Option<String> = at_or_after.query_row([beginning], |row| row.get(0))?;
    while let Some(name) = action.filter(|action| action.starts_with(beginning)) {
        action = next.query_row([&name], |row| row.get(0))?;
        found.push(name);
    }
    Ok(found)
}

/// Whom a filter names: an actor as the log has it, and the users whose name or mail address begins so.
fn actors(conn: &Connection, named: &str) -> Result<Vec<String>, StoreError> {
    let mut found = vec![named.to_owned()];
    let mut statement = conn.prepare_cached(
        "SELECT id FROM users WHERE id <> ?1 AND (substr(lower(opened('users', 'name', id, name)), 1, length(?1)) = lower(?1)
           OR substr(opened('users', 'email', id, email), 1, length(?1)) = lower(?1))",
    )?;
    found.extend(statement.query_map([named], |row| row.get::<_, String>(0))?.collect::<Result<Vec<_>, _>>()?);
    Ok(found)
}

/// The newest rows of a filter, of one action and one actor if they are given. Only what is asked for is compared, so that an index answers it.
fn matching(conn: &Connection, filter: &AuditFilter, action: Option<&str>, actor: Option<&str>) -> Result<Vec<AuditRow>, StoreError> {
    let AuditFilter { before, action: _, actor: _, object, company, outcome, limit } = filter;
    let mut conditions = vec!["sequence < :before"];
    let before = before.unwrap_or(i64::MAX);
    let mut values: Vec<(&str, &dyn ToSql)> = vec![(":before", &before), (":limit", limit)];
    let asked: [(&str, &str, Option<&dyn ToSql>); 5] = [
        ("action = :action", ":action", action.as_ref().map(|value| value as _)),
        ("actor = :actor", ":actor", actor.as_ref().map(|value| value as _)),
        ("object = :object", ":object", object.as_ref().map(|value| value as _)),
        ("company_id = :company", ":company", company.as_ref().map(|value| value as _)),
        ("outcome = :outcome", ":outcome", outcome.as_ref().map(|value| value as _)),
    ];
    for (condition, name, value) in asked {
        if let Some(value) = value {
            conditions.push(condition);
            values.push((name, value));
        }
    }
    let sql = format!("SELECT {COLUMNS} FROM audit_log WHERE {} ORDER BY sequence DESC LIMIT :limit", conditions.join(" AND "));
    Ok(conn.prepare_cached(&sql)?.query_map(values.as_slice(), read_row)?.collect::<Result<_, _>>()?)
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
    async fn every_filter_finds_its_rows_and_the_newest_first() {
        let (store, _folder) = testing::store();
        let (user, company) = testing::user_and_company(&store).await;
        for n in 0..12 {
            let (actor, action) = if n % 3 == 0 { (Actor::User(Some(user.clone())), "member.role_set") } else { (Actor::System, "member.removed") };
            let entry = Entry::new(Timestamp::from_millis(n), actor, action, format!("thing {}", n % 4));
            let entry = if n % 2 == 0 { entry.in_company(company.clone()) } else { entry.outcome(Outcome::Refused) };
            store.record_audit(entry).await.unwrap();
        }
        store.record_audit(Entry::new(Timestamp::from_millis(20), Actor::System, "members.counted", "all")).await.unwrap();
        let find = async |filter: AuditFilter| {
            let rows = store.audit_rows(AuditFilter { limit: 4, ..filter }).await.unwrap();
            rows.into_iter().map(|row| row.sequence).collect::<Vec<_>>()
        };
        let none = AuditFilter::default;
        assert_eq!(find(none()).await, [13, 12, 11, 10]);
        assert_eq!(find(AuditFilter { before: Some(3), ..none() }).await, [2, 1]);
        let action = |action: &str| AuditFilter { action: Some(action.into()), ..none() };
        assert_eq!(find(action("member.")).await, [12, 11, 10, 9], "of both acts, in one order");
        assert_eq!(find(AuditFilter { before: Some(10), ..action("member.role") }).await, [7, 4, 1]);
        assert_eq!(find(action("members")).await, [13]);
        assert_eq!(find(action("nothing")).await, [0; 0]);
        assert_eq!(find(AuditFilter { actor: Some(user.to_string()), ..none() }).await, [10, 7, 4, 1]);
        assert_eq!(find(AuditFilter { object: Some("thing 1".into()), ..none() }).await, [10, 6, 2]);
        assert_eq!(find(AuditFilter { company: Some(company.clone()), ..none() }).await, [11, 9, 7, 5]);
        assert_eq!(find(AuditFilter { outcome: Some(Outcome::Refused), ..none() }).await, [12, 10, 8, 6]);
        assert_eq!(find(AuditFilter { company: Some(company), ..action("member.role_set") }).await, [7, 1]);
    }

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
