//! Refused sign-ins in the audit log: each is told, and those that repeat are told together, so that guessing does not fill the disk.

use std::net::IpAddr;
use std::time::Duration;

use rusqlite::{Connection, OptionalExtension};
use serde_json::json;

use super::audit::append_audit;
use super::{Store, StoreError};
use crate::base::clock::Timestamp;
use crate::model::audit::{Actor, Entry, Outcome};
use crate::model::sso::SsoSource;

/// What repeats within this time is told together.
const WINDOW: Duration = Duration::from_secs(60);
/// Accounts and networks that are told apart within one window. Beyond them, refusals are told together whatever they are of.
const APART_MAX: u32 = 60;
/// The account of what is told together.
const ANY_ACCOUNT: &str = "various accounts";
/// Windows closed in one transaction.
const CLOSED_AT_ONCE: u32 = 100;
const ACTION: &str = "auth.login";

/// A sign-in that was refused.
#[derive(Clone, Debug)]
pub struct RefusedSignIn {
    /// The account, as the audit log names it.
    pub object: String,
    /// Where it came from, as networks are counted.
    pub network: Option<IpAddr>,
    /// Where it came from.
    pub address: Option<IpAddr>,
    /// The service that was asked, and why it opens nothing; `None`: a password of one's own.
    pub elsewhere: Option<(SsoSource, &'static str)>,
    /// Now.
    pub at: Timestamp,
}

/// What is counted together.
struct Counted {
    object: String,
    network: String,
    service: String,
    reason: String,
    repeated: u32,
    first_at: Timestamp,
    last_at: Timestamp,
}

impl Store {
    /// Records a refused sign-in: as a row of its own when it is the first of its account, network, service and reason in a minute, else by its count.
    ///
    /// # Errors
    /// When it could not be kept.
    pub async fn record_refused_sign_in(&self, refused: RefusedSignIn) -> Result<(), StoreError> {
        self.write("record a refused sign-in", move |tx| {
            let RefusedSignIn { object, network, address, elsewhere, at: now } = refused.clone();
            close_ended(tx, now)?;
            let network = network.map(|network| network.to_string()).unwrap_or_default();
            let (service, reason) = elsewhere.map_or(("", ""), |(service, reason)| (service.as_str(), reason));
            let open: u32 = tx.prepare_cached("SELECT count(*) FROM refused_sign_ins")?.query_row([], |row| row.get(0))?;
            if repeats(tx, [&object, &network, service, reason], now)? {
                return Ok(());
            }
            let apart = open < APART_MAX;
            let (object, network, address) = if apart { (object, network, address) } else { (ANY_ACCOUNT.to_owned(), String::new(), None) };
            let (service, reason) = if apart { (service, reason) } else { ("", "") };
            if !apart && repeats(tx, [&object, &network, service, reason], now)? {
                return Ok(());
            }
            tx.prepare_cached(
                "INSERT INTO refused_sign_ins (object, network, service, reason, repeated, first_at, last_at, ends_at)
                 VALUES (?1, ?2, ?3, ?4, 0, ?5, ?5, ?6)",
            )?
            .execute((&object, &network, service, reason, now, now.plus(WINDOW)))?;
            let entry = Entry::new(now, Actor::User(None), ACTION, object).from(address).outcome(Outcome::Refused);
            append_audit(tx, &if service.is_empty() { entry } else { entry.detail(json!({"by": service, "reason": reason})) })
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
fn repeats(tx: &Connection, of: [&str; 4], now: Timestamp) -> Result<bool, StoreError> {
    let sql = "UPDATE refused_sign_ins SET repeated = repeated + 1, last_at = max(last_at, ?5)
               WHERE object = ?1 AND network = ?2 AND service = ?3 AND reason = ?4 RETURNING 1";
    let [object, network, service, reason] = of;
    Ok(tx.prepare_cached(sql)?.query_row((object, network, service, reason, now), |_| Ok(())).optional()?.is_some())
}

fn close_ended(tx: &Connection, now: Timestamp) -> Result<usize, StoreError> {
    let ended: Vec<Counted> = tx
        .prepare_cached(
            "DELETE FROM refused_sign_ins WHERE (object, network, service, reason) IN
               (SELECT object, network, service, reason FROM refused_sign_ins WHERE ends_at <= ?1 ORDER BY ends_at LIMIT ?2)
             RETURNING object, network, service, reason, repeated, first_at, last_at",
        )?
        .query_map((now, CLOSED_AT_ONCE), |row| {
            let (object, network, service, reason) = (row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?);
            Ok(Counted { object, network, service, reason, repeated: row.get(4)?, first_at: row.get(5)?, last_at: row.get(6)? })
        })?
        .collect::<Result<_, _>>()?;
    for counted in ended.iter().filter(|counted| counted.repeated > 0) {
        let mut detail = json!({"repeated": counted.repeated, "from": counted.first_at, "until": counted.last_at, "network": counted.network});
        if !counted.service.is_empty() {
            (detail["by"], detail["reason"]) = (json!(counted.service), json!(counted.reason));
        }
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
        let at = Timestamp::from_millis(seconds * 1_000);
        store.record_refused_sign_in(RefusedSignIn { object: object.into(), network, address: network, elsewhere: None, at }).await.unwrap();
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
    async fn what_a_service_refuses_is_counted_by_service_and_reason() {
        let (store, _folder) = testing::store();
        let at = Timestamp::from_millis(1_000);
        for (source, reason) in [(SsoSource::Oidc, "token"), (SsoSource::Oidc, "declined"), (SsoSource::Ldap, "token")].into_iter().cycle().take(30) {
            let elsewhere = Some((source, reason));
            store.record_refused_sign_in(RefusedSignIn { object: "usr_a".into(), network: None, address: None, elsewhere, at }).await.unwrap();
        }
        assert_eq!(rows(&store).await.len(), 3);
        assert_eq!(store.close_refused_sign_ins(Timestamp::from_millis(70_000)).await.unwrap(), 3);
        let details: Vec<serde_json::Value> = rows(&store).await.iter().map(|row| serde_json::from_str(&row.detail_json).unwrap()).collect();
        for (by, reason) in [("oidc", "token"), ("oidc", "declined"), ("ldap", "token")] {
            let of: Vec<_> = details.iter().filter(|detail| detail["by"] == by && detail["reason"] == reason).collect();
            assert_eq!((of.len(), &of[0]["repeated"], &of[1]["repeated"]), (2, &json!(null), &json!(9)));
        }
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
