//! Egress rules and the egress log.

use rusqlite::Row;

use super::audit::append_audit;
use super::{Store, StoreError};
use crate::model::audit::Entry;
use crate::model::egress::{EgressLogRow, EgressRule, NewEgressLogRow, Purpose, RULES_MAX};
use crate::model::ids::EgressRuleId;

crate::text_column!(Purpose);

/// What became of a rule that was to be added.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RuleAdded {
    /// It is in force.
    Added,
    /// One with the same destination and port is there already.
    Exists(EgressRuleId),
    /// There are [`RULES_MAX`] rules.
    Full,
}

impl Store {
    /// Every rule, oldest first.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn list_egress_rules(&self) -> Result<Vec<EgressRule>, StoreError> {
        self.read("list egress rules", |conn| {
            let mut statement = conn.prepare_cached(
                "SELECT id, destination, port, allow_private, reason, created_by, created_at FROM egress_rules ORDER BY created_at, id",
            )?;
            let rows = statement.query_map([], |row| Ok((rule(row), row.get::<_, String>(1)?)))?;
            rows.map(|row| {
                let (rule, destination) = row?;
                rule?.with_destination(&destination)
            })
            .collect()
        })
        .await
    }

    /// Adds a rule and records that, unless its destination and port are listed already.
    ///
    /// # Errors
    /// When the store fails: there is neither then.
    pub async fn add_egress_rule(&self, rule: EgressRule, audit: Entry) -> Result<RuleAdded, StoreError> {
        self.write("add egress rule", move |tx| {
            let destination = rule.destination.to_string();
            let same: Option<EgressRuleId> = tx
                .prepare_cached("SELECT id FROM egress_rules WHERE destination = ?1 AND port IS ?2")?
                .query_map((&destination, rule.port), |row| row.get(0))?
                .next()
                .transpose()?;
            if let Some(id) = same {
                return Ok(RuleAdded::Exists(id));
            }
            let count: u32 = tx.query_row("SELECT count(*) FROM egress_rules", [], |row| row.get(0))?;
            if count >= RULES_MAX {
                return Ok(RuleAdded::Full);
            }
            tx.prepare_cached(
                "INSERT INTO egress_rules (id, destination, port, allow_private, reason, created_by, created_at) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
            )?
            .execute((&rule.id, destination, rule.port, rule.allow_private, &rule.reason, &rule.created_by, rule.created_at))?;
            append_audit(tx, &audit)?;
            Ok(RuleAdded::Added)
        })
        .await
    }

    /// Removes a rule and records that. `false`: there is none with this id.
    ///
    /// # Errors
    /// When the store fails: the rule then stays.
    pub async fn remove_egress_rule(&self, id: EgressRuleId, audit: Entry) -> Result<bool, StoreError> {
        self.write("remove egress rule", move |tx| {
            let removed = tx.prepare_cached("DELETE FROM egress_rules WHERE id = ?1")?.execute([&id])? > 0;
            if removed {
                append_audit(tx, &audit)?;
            }
            Ok(removed)
        })
        .await
    }

    /// Appends rows to the log and forgets all but the newest `keep_rows`.
    ///
    /// # Errors
    /// When the store fails: then none of them was kept.
    pub async fn append_egress_log(&self, rows: Vec<NewEgressLogRow>, keep_rows: u32) -> Result<(), StoreError> {
        self.write("append egress log", move |tx| {
            let mut insert = tx.prepare_cached(
                "INSERT INTO egress_log (at, company_id, purpose, method, destination, address, outcome, status, bytes_sent, bytes_received, duration_millis)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11)",
            )?;
            for row in &rows {
                insert.execute((
                    row.at,
                    &row.company,
                    row.purpose,
                    &row.method,
                    &row.destination,
                    row.address.map(|address| address.to_string()),
                    row.outcome,
                    row.status,
                    i64::try_from(row.bytes_sent).unwrap_or(i64::MAX),
                    i64::try_from(row.bytes_received).unwrap_or(i64::MAX),
                    i64::try_from(row.duration_millis).unwrap_or(i64::MAX),
                ))?;
            }
            // Ids only grow, so the newest rows are those with the highest ids.
            tx.prepare_cached("DELETE FROM egress_log WHERE id <= (SELECT max(id) FROM egress_log) - ?1")?.execute([keep_rows])?;
            Ok(())
        })
        .await
    }

    /// The newest rows of the log, newest first: at most `limit`, and only those before row `before` when it is given.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn egress_log(&self, limit: u32, before: Option<i64>) -> Result<Vec<EgressLogRow>, StoreError> {
        self.read("read egress log", move |conn| {
            let mut statement = conn.prepare_cached(
                "SELECT id, at, company_id, purpose, method, destination, address, outcome, status, bytes_sent, bytes_received, duration_millis
                 FROM egress_log WHERE id < ?1 ORDER BY id DESC LIMIT ?2",
            )?;
            let rows = statement.query_map((before.unwrap_or(i64::MAX), limit), log_row)?;
            Ok(rows.collect::<Result<_, _>>()?)
        })
        .await
    }
}

/// A rule whose destination is still text: parsing it is not SQLite's business.
struct RuleRow {
    id: EgressRuleId,
    port: Option<u16>,
    allow_private: bool,
    reason: String,
    created_by: String,
    created_at: crate::base::clock::Timestamp,
}

impl RuleRow {
    fn with_destination(self, destination: &str) -> Result<EgressRule, StoreError> {
        let destination = destination.parse().map_err(|error| StoreError::corrupt(format!("egress rule {}: {error}", self.id)))?;
        let Self { id, port, allow_private, reason, created_by, created_at } = self;
        Ok(EgressRule { id, destination, port, allow_private, reason, created_by, created_at })
    }
}

fn rule(row: &Row<'_>) -> rusqlite::Result<RuleRow> {
    Ok(RuleRow {
        id: row.get(0)?,
        port: row.get(2)?,
        allow_private: row.get(3)?,
        reason: row.get(4)?,
        created_by: row.get(5)?,
        created_at: row.get(6)?,
    })
}

fn log_row(row: &Row<'_>) -> rusqlite::Result<EgressLogRow> {
    let count = |index| row.get::<_, i64>(index).map(i64::unsigned_abs);
    Ok(EgressLogRow {
        id: row.get(0)?,
        at: row.get(1)?,
        company: row.get(2)?,
        purpose: row.get(3)?,
        method: row.get(4)?,
        destination: row.get(5)?,
        address: row.get(6)?,
        outcome: row.get(7)?,
        status: row.get(8)?,
        bytes_sent: count(9)?,
        bytes_received: count(10)?,
        duration_millis: count(11)?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::clock::Timestamp;
    use crate::base::seams::Seams;
    use crate::model::egress::RuleDraft;
    use crate::store::testing;

    fn act() -> Entry {
        Entry::new(Timestamp::from_millis(1), crate::model::audit::Actor::System, "egress_rule.test", "rule")
    }

    fn new_rule(destination: &str, port: Option<u16>) -> EgressRule {
        let draft = RuleDraft { destination: destination.into(), port, allow_private: false, reason: "test".into() };
        EgressRule::checked(&draft, EgressRuleId::new(&Seams::system()), "demo".into(), Timestamp::from_millis(5)).unwrap()
    }

    #[tokio::test]
    async fn a_rule_is_listed_once_and_can_be_removed() {
        let (store, _folder) = testing::store();
        let (any, one) = (new_rule("example.com", None), new_rule("example.com", Some(443)));
        assert_eq!(store.add_egress_rule(any.clone(), act()).await.unwrap(), RuleAdded::Added);
        assert_eq!(store.add_egress_rule(one.clone(), act()).await.unwrap(), RuleAdded::Added);
        assert_eq!(store.add_egress_rule(new_rule("example.com", None), act()).await.unwrap(), RuleAdded::Exists(any.id.clone()));
        let mut listed = store.list_egress_rules().await.unwrap();
        listed.sort_by_key(|rule| rule.port);
        assert_eq!(listed, [any.clone(), one]);
        assert!(store.remove_egress_rule(any.id.clone(), act()).await.unwrap());
        assert!(!store.remove_egress_rule(any.id, act()).await.unwrap());
        assert_eq!(store.audit_after(0, 10).await.unwrap().len(), 3, "what was done is recorded with it, what was not is not");
    }

    #[tokio::test]
    async fn the_log_keeps_the_newest_rows() {
        let (store, _folder) = testing::store();
        let row = |n: u64| NewEgressLogRow {
            at: Timestamp::from_millis(1),
            company: None,
            purpose: Purpose::Model,
            method: "GET".into(),
            destination: format!("https://a.example:443/{n}"),
            address: Some([10, 0, 0, 1].into()),
            outcome: "ok",
            status: Some(200),
            bytes_sent: 0,
            bytes_received: n,
            duration_millis: 3,
        };
        store.append_egress_log((0..5).map(row).collect(), 3).await.unwrap();
        store.append_egress_log(vec![row(5)], 3).await.unwrap();
        let rows = store.egress_log(10, None).await.unwrap();
        assert_eq!(rows.iter().map(|row| row.bytes_received).collect::<Vec<_>>(), [5, 4, 3]);
        assert_eq!(rows[0].address.as_deref(), Some("10.0.0.1"));
        assert_eq!(store.egress_log(10, Some(rows[1].id)).await.unwrap().len(), 1);
    }
}
