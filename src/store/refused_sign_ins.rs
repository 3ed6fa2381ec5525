//! Refused sign-ins in the audit log: each is told, and those that repeat are told together, so that guessing does not fill the disk.

use std::net::IpAddr;
use std::time::Duration;

use rusqlite::{Connection, OptionalExtension};
use serde_json::json;

use super::audit::append_audit;
use super::{Store, StoreError};
use crate::base::clock::Timestamp;
use crate::model::audit::{Actor, Entry, Outcome};

/// What repeats within this time is told together.
const WINDOW: Duration = Duration::from_secs(60);
/// Accounts and networks that are told apart within one window. Beyond them, refusals are told together whatever they are of.
const APART_MAX: u32 = 60;
/// The account of what is told together.
const ANY_ACCOUNT: &str = "various accounts";
/// Windows closed in one transaction.
const CLOSED_AT_ONCE: u32 = 100;
const ACTION: &str = "auth.login";

/// What is counted together.
struct Counted {
    object: String,
    network: String,
    repeated: u32,
    first_at: Timestamp,
    last_at: Timestamp,
}

impl Store {
    /// Records a refused sign-in: as a row of its own when it is the first of its account and network in a minute, else by its count.
    ///
    /// # Errors
    /// When it could not be kept.
    pub async fn record_refused_sign_in(
        &self,
        object: String,
        network: Option<IpAddr>,
        address: Option<IpAddr>,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        self.write("record a refused sign-in", move |tx| {
            close_ended(tx, now)?;
            let network = network.map(|network| network.to_string()).unwrap_or_default();
            let open: u32 = tx.prepare_cached("SELECT count(*) FROM refused_sign_ins")?.query_row([], |row| row.get(0))?;
            if repeats(tx, &object, &network, now)? {
                return Ok(());
            }
            let apart = open < APART_MAX;
            let (object, network, address) = if apart { (object, network, address) } else { (ANY_ACCOUNT.to_owned(), String::new(), None) };
            if !apart && repeats(tx, &object, &network, now)? {
                return Ok(());
            }
            tx.prepare_cached("INSERT INTO refused_sign_ins (object, network, repeated, first_at, last_at, ends_at) VALUES (?1, ?2, 0, ?3, ?3, ?4)")?
                .execute((&object, &network, now, now.plus(WINDOW)))?;
            append_audit(tx, &Entry::new(now, Actor::User(None), ACTION, object).from(address).outcome(Outcome::Refused))
        })
        .await
    }

    /// Writes the counts of windows that are over. Returns how many there were: at most 100.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn close_refused_sign_ins(&self, now: Timestamp) -> Result<usize, StoreError> {
        // Looked for by a reader: mostly there are none.
        let ended = "SELECT EXISTS (SELECT 1 FROM refused_sign_ins WHERE ends_at <= ?1)";
        if !self.read("look for refused sign-ins", move |conn| Ok(conn.prepare_cached(ended)?.query_row([now], |row| row.get(0))?)).await? {
            return Ok(0);
        }
        self.write("close refused sign-ins", move |tx| close_ended(tx, now)).await
    }
}

/// Counts a refusal to those of its window, if there is one.
fn repeats(tx: &Connection, object: &str, network: &str, now: Timestamp) -> Result<bool, StoreError> {
    let sql = "UPDATE refused_sign_ins SET repeated = repeated + 1, last_at = max(last_at, ?3) WHERE object = ?1 AND network = ?2 RETURNING 1";
    Ok(tx.prepare_cached(sql)?.query_row((object, network, now), |_| Ok(())).optional()?.is_some())
}

fn close_ended(tx: &Connection, now: Timestamp) -> Result<usize, StoreError> {
    let ended: Vec<Counted> = tx
        .prepare_cached(
            "DELETE FROM refused_sign_ins WHERE (object, network) IN
               (SELECT object, network FROM refused_sign_ins WHERE ends_at <= ?1 ORDER BY ends_at LIMIT ?2)
             RETURNING object, network, repeated, first_at, last_at",
        )?
        .query_map((now, CLOSED_AT_ONCE), |row| {
            Ok(Counted { object: row.get(0)?, network: row.get(1)?, repeated: row.get(2)?, first_at: row.get(3)?, last_at: row.get(4)? })
        })?
        .collect::<Result<_, _>>()?;
    for counted in ended.iter().filter(|counted| counted.repeated > 0) {
        let detail = json!({"repeated": counted.repeated, "from": counted.first_at, "until": counted.last_at, "network": counted.network});
        let entry = Entry::new(now, Actor::User(None), ACTION, counted.object.as_str()).from(counted.network.parse().ok());
        append_audit(tx, &entry.outcome(Outcome::Refused).detail(detail))?;
    }
    Ok(ended.len())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::audit::{AuditRow, GENESIS, verify_chain};
    use crate::store::testing;

    async fn refuse(store: &Store, object: &str, network: &str, seconds: i64) {
        let network = network.parse().ok();
        store.record_refused_sign_in(object.into(), network, network, Timestamp::from_millis(seconds * 1_000)).await.unwrap();
    }

    async fn rows(store: &Store) -> Vec<AuditRow> {
        let rows = store.audit_after(0, 1_000).await.unwrap();
        assert!(verify_chain((0, GENESIS), &rows).is_ok());
        assert!(rows.iter().all(|row| row.action == "auth.login" && row.outcome == Outcome::Refused));
        rows
    }

    #[tokio::test]
    async fn the_first_of_a_minute_is_told_at_once_and_the_others_by_their_number() {
        let (store, _folder) = testing::store();
        for second in 0..50 {
            refuse(&store, "usr_a", "192.0.2.1", second).await;
        }
        refuse(&store, "usr_a", "192.0.2.2", 50).await;
        refuse(&store, "usr_b", "192.0.2.1", 51).await;
        assert_eq!(rows(&store).await.len(), 3, "one of each account and network");
        let at = Timestamp::from_millis;
        assert_eq!(store.close_refused_sign_ins(at(59_999)).await.unwrap(), 0);
        assert_eq!(store.close_refused_sign_ins(at(60_000)).await.unwrap(), 1);
        let last = rows(&store).await.pop().unwrap();
        assert_eq!((last.object.as_str(), last.address.as_deref()), ("usr_a", Some("192.0.2.1")));
        let detail: serde_json::Value = serde_json::from_str(&last.detail_json).unwrap();
        assert_eq!((&detail["repeated"], &detail["network"]), (&json!(49), &json!("192.0.2.1")));
        assert_eq!((&detail["from"], &detail["until"]), (&json!(at(0)), &json!(at(49_000))));
        assert_eq!(store.close_refused_sign_ins(at(999_000)).await.unwrap(), 2, "those that came once have been told");
        assert_eq!(rows(&store).await.len(), 4);
    }

    #[tokio::test]
    async fn the_next_minute_begins_anew_and_closes_the_last() {
        let (store, _folder) = testing::store();
        for second in [0, 1, 61, 62] {
            refuse(&store, "usr_a", "192.0.2.1", second).await;
        }
        let repeated: Vec<bool> = rows(&store).await.iter().map(|row| row.detail_json.contains("repeated")).collect();
        assert_eq!(repeated, [false, true, false]);
    }

    #[tokio::test]
    async fn guesses_from_everywhere_stay_few_rows_and_none_is_lost() {
        let (store, _folder) = testing::store();
        for n in 0..400 {
            refuse(&store, &format!("usr_{n}"), &format!("198.51.{}.{}", n / 200, n % 200), 0).await;
        }
        assert_eq!(rows(&store).await.len(), 61);
        while store.close_refused_sign_ins(Timestamp::from_millis(60_000)).await.unwrap() > 0 {}
        let rows = rows(&store).await;
        let last = rows.last().unwrap();
        assert_eq!((rows.len(), last.object.as_str(), last.address.as_deref()), (62, ANY_ACCOUNT, None));
        assert!(last.detail_json.contains("\"repeated\":339"), "{}", last.detail_json);
    }
}
