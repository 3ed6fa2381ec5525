//! Activation codes as they were entered, and what their judgement needs to know.

use rusqlite::{Connection, OptionalExtension};

use super::audit::append_audit;
use super::{Store, StoreError};
use crate::base::clock::Timestamp;
use crate::model::audit::Entry;
use crate::model::ids::{CompanyId, LicenceId};
use crate::model::licence::RecordedNotice;

/// A code to keep.
#[derive(Clone, Debug)]
pub struct NewCode {
    /// Its id.
    pub jti: LicenceId,
    /// The canonical line.
    pub line: String,
    /// Whose counter `seq` is.
    pub customer: String,
    /// The customer's counter.
    pub seq: u64,
    /// Its claims, for people who look into the database; never read back.
    pub claims_json: String,
    /// When it was entered.
    pub at: Timestamp,
    /// Who entered it: a user id, `system` or `cli`.
    pub by: String,
}

/// Everything a licence's state is computed from, as of one moment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LicenceFacts {
    /// The codes' canonical lines, the one entered last first.
    pub lines: Vec<String>,
    /// This installation; `None` before the first start.
    pub install_id: Option<String>,
    /// The latest time this installation has seen.
    pub clock_high_water: Option<Timestamp>,
    /// Users who can sign in.
    pub active_users: u64,
    /// The newest revocation list, its canonical line.
    pub revocations: Option<String>,
    /// The last checkpoint of the audit log that was signed, JSON.
    pub checkpoint: Option<String>,
}

/// A revocation list to keep.
#[derive(Clone, Debug)]
pub struct NewList {
    /// Its number.
    pub number: u64,
    /// The canonical line.
    pub line: String,
    /// When it was issued.
    pub issued_at: Timestamp,
    /// When it was taken.
    pub at: Timestamp,
    /// Who took it: a user id, `system` or `cli`.
    pub by: String,
}

/// A company's subscription.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Subscription {
    /// Key of the plan.
    pub plan: String,
    /// When it ends; `None` = it does not.
    pub ends_at: Option<Timestamp>,
}

impl Store {
    /// Keeps a code that was found good, together with its audit row. False when a newer code of the same customer came first: nothing
    /// is kept then.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn keep_activation_code(&self, code: NewCode, entry: Entry) -> Result<bool, StoreError> {
        self.write("keep activation code", move |tx| {
            let kept = keep_in(tx, &code)?;
            if kept {
                append_audit(tx, &entry)?;
            }
            Ok(kept)
        })
        .await
    }

    /// Keeps a revocation list whose signature holds, together with its audit row. False when a newer one is here: nothing is kept then.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn keep_revocation_list(&self, list: NewList, entry: Entry) -> Result<bool, StoreError> {
        let number = i64::try_from(list.number).map_err(|_| StoreError::corrupt("a revocation list's number beyond 2^63"))?;
        self.write("keep revocation list", move |tx| {
            let newest: Option<i64> = tx.query_row("SELECT max(number) FROM revocation_lists", [], |row| row.get(0))?;
            if newest.is_some_and(|newest| newest >= number) {
                return Ok(false);
            }
            tx.execute(
                "INSERT INTO revocation_lists (number, list, issued_at, taken_at, taken_by) VALUES (?1, ?2, ?3, ?4, ?5)",
                (number, &list.line, list.issued_at, list.at, &list.by),
            )?;
            append_audit(tx, &entry)?;
            Ok(true)
        })
        .await
    }

    /// Records a step on the way to a code's end with its audit row, unless it was recorded before; says whether it did.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn record_licence_notice(&self, jti: String, step: String, entry: Entry) -> Result<bool, StoreError> {
        self.write("record licence notice", move |tx| {
            let sql = "INSERT INTO licence_notices (jti, step, at) VALUES (?1, ?2, ?3) ON CONFLICT (jti, step) DO NOTHING";
            let is_new = tx.execute(sql, (&jti, &step, entry.at))? > 0;
            if is_new {
                append_audit(tx, &entry)?;
            }
            Ok(is_new)
        })
        .await
    }

    /// The steps that were recorded for a code, the oldest first.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn licence_notices(&self, jti: String) -> Result<Vec<RecordedNotice>, StoreError> {
        self.read("read licence notices", move |conn| {
            let mut statement = conn.prepare_cached("SELECT step, at FROM licence_notices WHERE jti = ?1 ORDER BY at, step")?;
            Ok(statement.query_map([&jti], |row| Ok(RecordedNotice { step: row.get(0)?, at: row.get(1)? }))?.collect::<Result<_, _>>()?)
        })
        .await
    }

    /// Keeps the last signed checkpoint of the audit log, as JSON.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn keep_audit_checkpoint(&self, json: String) -> Result<(), StoreError> {
        self.write("keep audit checkpoint", move |tx| {
            tx.execute(
                "INSERT INTO last_audit_checkpoint (id, checkpoint_json) VALUES (1, ?1)
                 ON CONFLICT (id) DO UPDATE SET checkpoint_json = excluded.checkpoint_json",
                [&json],
            )?;
            Ok(())
        })
        .await
    }

    /// Reads what a licence's state is computed from.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn licence_facts(&self) -> Result<LicenceFacts, StoreError> {
        self.read("read licence facts", facts).await
    }

    /// A company's own subscription, if it has one.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn subscription_of(&self, company: CompanyId) -> Result<Option<Subscription>, StoreError> {
        self.read("read subscription", move |conn| {
            Ok(conn
                .prepare_cached("SELECT plan, ends_at FROM company_subscriptions WHERE company_id = ?1")?
                .query_row([&company], |row| Ok(Subscription { plan: row.get(0)?, ends_at: row.get(1)? }))
                .optional()?)
        })
        .await
    }
}

fn keep_in(tx: &Connection, code: &NewCode) -> Result<bool, StoreError> {
    let seq = i64::try_from(code.seq).map_err(|_| StoreError::corrupt("a code's counter beyond 2^63"))?;
    // Judged before this transaction; asked again inside it, so that two at once cannot leave the older one on top.
    let newer: bool =
        tx.query_row("SELECT EXISTS (SELECT 1 FROM activation_codes WHERE customer = ?1 AND seq > ?2)", (&code.customer, seq), |row| row.get(0))?;
    if newer {
        return Ok(false);
    }
    // Entered last is entered last, whatever the clock says.
    let at: Timestamp = tx
        .query_row("SELECT max(entered_at) FROM activation_codes WHERE jti <> ?1", [&code.jti], |row| row.get::<_, Option<i64>>(0))?
        .map_or(code.at, |last| code.at.max(Timestamp::from_millis(last + 1)));
    tx.execute(
        "INSERT INTO activation_codes (jti, code, customer, seq, claims_json, entered_at, entered_by) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)
         ON CONFLICT (jti) DO UPDATE SET code = excluded.code, entered_at = excluded.entered_at, entered_by = excluded.entered_by",
        (&code.jti, &code.line, &code.customer, seq, &code.claims_json, at, &code.by),
    )?;
    Ok(true)
}

/// See [`Store::licence_facts`]; on any connection, one opened read-only beside a running server too.
///
/// # Errors
/// When the rows cannot be read.
pub fn facts(conn: &Connection) -> Result<LicenceFacts, StoreError> {
    let mut statement = conn.prepare_cached("SELECT code FROM activation_codes ORDER BY entered_at DESC, jti DESC")?;
    let lines = statement.query_map([], |row| row.get(0))?.collect::<Result<_, _>>()?;
    let installation = conn
        .prepare_cached("SELECT install_id, clock_high_water FROM installation WHERE id = 1")?
        .query_row([], |row| Ok((row.get(0)?, row.get(1)?)))
        .optional()?;
    let active_users: i64 = conn.query_row("SELECT count(*) FROM users WHERE disabled_at IS NULL", [], |row| row.get(0))?;
    let (install_id, clock_high_water) = installation.map_or((None, None), |(id, mark)| (Some(id), Some(mark)));
    let text = |sql: &str| -> Result<Option<String>, StoreError> { Ok(conn.prepare_cached(sql)?.query_row([], |row| row.get(0)).optional()?) };
    let revocations = text("SELECT list FROM revocation_lists ORDER BY number DESC LIMIT 1")?;
    let checkpoint = text("SELECT checkpoint_json FROM last_audit_checkpoint WHERE id = 1")?;
    Ok(LicenceFacts { lines, install_id, clock_high_water, active_users: active_users.unsigned_abs(), revocations, checkpoint })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::seams::Seams;
    use crate::model::audit::Actor;
    use crate::store::testing;

    #[tokio::test]
    async fn the_code_entered_last_comes_first_and_an_older_count_is_not_kept() {
        let (store, _folder) = testing::store();
        let seams = Seams::system();
        let code = |customer: &str, seq, at| NewCode {
            jti: LicenceId::new(&seams),
            line: format!("{customer} {seq}"),
            customer: customer.into(),
            seq,
            claims_json: "{}".into(),
            at: Timestamp::from_millis(at),
            by: "cli".into(),
        };
        let keep = |code: NewCode| {
            let entry = Entry::new(code.at, Actor::Cli, "license.enter", code.jti.as_str());
            store.keep_activation_code(code, entry)
        };
        let first = code("acme", 2, 1_000);
        assert!(keep(first.clone()).await.unwrap());
        assert!(!keep(code("acme", 1, 2_000)).await.unwrap());
        assert!(keep(code("other", 1, 500)).await.unwrap(), "the clock went back");
        assert_eq!(store.licence_facts().await.unwrap().lines, ["other 1", "acme 2"]);
        assert!(keep(first).await.unwrap());
        assert_eq!(store.licence_facts().await.unwrap().lines, ["acme 2", "other 1"], "entered again");
        assert_eq!(store.audit_after(0, 9).await.unwrap().len(), 3, "what was kept, and only that");
    }
}
