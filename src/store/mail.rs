//! Outgoing mail. A row is written in the transaction of what it tells of.

use std::time::Duration;

use rusqlite::{Connection, Row};

use super::{Store, StoreError};
use crate::base::clock::Timestamp;
use crate::base::text::truncate;
use crate::model::ids::MailId;
use crate::model::mail::{MailKind, MailRecord, MailState, WaitingMail};
use crate::model::user::Email;

crate::text_column!(MailKind, MailState);

/// Mails shown at most.
const LISTED_MAX: u32 = 200;
/// How long a mail that was sent or given up is shown.
const ENDED_KEPT: Duration = Duration::from_secs(90 * 24 * 60 * 60);
/// Most bytes kept of a failure's words.
const ERROR_BYTES_MAX: usize = 500;

/// A mail to send.
#[derive(Clone, Debug)]
pub struct NewMail {
    /// The mail.
    pub id: MailId,
    /// What it is for.
    pub kind: MailKind,
    /// To whom.
    pub recipient: Email,
    /// Its subject.
    pub subject: String,
    /// Its text, sealed.
    pub body: Vec<u8>,
    /// Now.
    pub at: Timestamp,
    /// Until when it makes sense.
    pub useful_until: Timestamp,
}

/// What came of a try.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum MailTried {
    /// The mail server took it.
    Sent,
    /// It is tried again then.
    Again(Timestamp, String),
    /// It is given up.
    Failed(String),
}

impl Store {
    /// Keeps a mail that nothing else goes with.
    ///
    /// # Errors
    /// When it could not be kept.
    pub async fn queue_mail(&self, mail: NewMail) -> Result<(), StoreError> {
        self.write("queue mail", move |tx| insert_mail(tx, &mail)).await
    }

    /// Mails that are due at `now`, the oldest first.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn mail_due(&self, now: Timestamp, limit: u32) -> Result<Vec<WaitingMail>, StoreError> {
        self.read("read due mail", move |conn| {
            let mut statement = conn.prepare_cached(
                "SELECT id, kind, recipient, subject, body, attempts, created_at, useful_until FROM outgoing_mail
                 WHERE state = 'waiting' AND next_at <= ?1 ORDER BY next_at, id LIMIT ?2",
            )?;
            Ok(statement.query_map((now, limit), read_waiting)?.collect::<Result<_, _>>()?)
        })
        .await
    }

    /// Keeps what came of a try; the text goes once it is sent or given up.
    ///
    /// # Errors
    /// When it could not be kept: the mail may then be sent twice.
    pub async fn mail_tried(&self, id: MailId, tried: MailTried, at: Timestamp) -> Result<(), StoreError> {
        self.write("note tried mail", move |tx| {
            let (state, next, error) = match &tried {
                MailTried::Sent => (MailState::Sent, None, None),
                MailTried::Again(next, error) => (MailState::Waiting, Some(*next), Some(error)),
                MailTried::Failed(error) => (MailState::Failed, None, Some(error)),
            };
            tx.prepare_cached(
                "UPDATE outgoing_mail SET state = ?2, attempts = attempts + 1, next_at = coalesce(?3, next_at), last_error = ?4,
                        ended_at = CASE WHEN ?3 IS NULL THEN ?5 END, body = CASE WHEN ?3 IS NULL THEN NULL ELSE body END
                 WHERE id = ?1 AND state = 'waiting'",
            )?
            .execute((&id, state, next, error.map(|error| truncate(error, ERROR_BYTES_MAX)), at))?;
            let old = at.minus(ENDED_KEPT);
            tx.prepare_cached("DELETE FROM outgoing_mail WHERE state IN ('sent', 'failed') AND next_at < ?1")?.execute([old])?;
            Ok(())
        })
        .await
    }

    /// The newest mails.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn mail_records(&self) -> Result<Vec<MailRecord>, StoreError> {
        self.read("list mail", |conn| {
            let mut statement = conn.prepare_cached(
                "SELECT id, kind, recipient, state, attempts, created_at, next_at, ended_at, last_error FROM outgoing_mail
                 ORDER BY created_at DESC, id DESC LIMIT ?1",
            )?;
            Ok(statement.query_map([LISTED_MAX], read_record)?.collect::<Result<_, _>>()?)
        })
        .await
    }

    /// How many mails of a kind were written to an address since `since`: for bounds.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn mail_count(&self, recipient: Email, kind: MailKind, since: Timestamp) -> Result<u32, StoreError> {
        self.read("count mail", move |conn| {
            let sql = "SELECT count(*) FROM outgoing_mail WHERE recipient = ?1 AND kind = ?2 AND created_at > ?3";
            Ok(conn.prepare_cached(sql)?.query_row((&recipient, kind, since), |row| row.get(0))?)
        })
        .await
    }
}

/// Writes a mail inside another store method's transaction.
pub(in crate::store) fn insert_mail(tx: &Connection, mail: &NewMail) -> Result<(), StoreError> {
    tx.prepare_cached(
        "INSERT INTO outgoing_mail (id, kind, recipient, subject, body, state, next_at, created_at, useful_until)
         VALUES (?1, ?2, ?3, ?4, ?5, 'waiting', ?6, ?6, ?7)",
    )?
    .execute((&mail.id, mail.kind, &mail.recipient, &mail.subject, &mail.body, mail.at, mail.useful_until))?;
    Ok(())
}

fn read_waiting(row: &Row<'_>) -> rusqlite::Result<WaitingMail> {
    Ok(WaitingMail {
        id: row.get(0)?,
        kind: row.get(1)?,
        recipient: row.get(2)?,
        subject: row.get(3)?,
        body: row.get(4)?,
        attempts: row.get(5)?,
        created_at: row.get(6)?,
        useful_until: row.get(7)?,
    })
}

fn read_record(row: &Row<'_>) -> rusqlite::Result<MailRecord> {
    let state: MailState = row.get(3)?;
    let next: Timestamp = row.get(6)?;
    Ok(MailRecord {
        id: row.get(0)?,
        kind: row.get(1)?,
        recipient: row.get(2)?,
        state,
        attempts: row.get(4)?,
        created_at: row.get(5)?,
        next_at: (state == MailState::Waiting).then_some(next),
        ended_at: row.get(7)?,
        last_error: row.get(8)?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::seams::Seams;
    use crate::store::testing;

    fn mail(at: i64) -> NewMail {
        NewMail {
            id: MailId::new(&Seams::system()),
            kind: MailKind::Invitation,
            recipient: "ada@example.org".parse().unwrap(),
            subject: "S".into(),
            body: b"sealed".to_vec(),
            at: Timestamp::from_millis(at),
            useful_until: Timestamp::from_millis(at + 1_000_000),
        }
    }

    #[tokio::test]
    async fn a_mail_waits_is_tried_again_and_its_text_goes_with_its_end() {
        let (store, _folder) = testing::store();
        let (sent, failed) = (mail(1), mail(2));
        store.queue_mail(sent.clone()).await.unwrap();
        store.queue_mail(failed.clone()).await.unwrap();
        let at = Timestamp::from_millis;
        assert_eq!(store.mail_due(at(1), 9).await.unwrap().len(), 1);
        store.mail_tried(sent.id.clone(), MailTried::Again(at(50), "451 later".into()), at(3)).await.unwrap();
        assert_eq!(store.mail_due(at(49), 9).await.unwrap().len(), 1, "the other one");
        let due = store.mail_due(at(50), 9).await.unwrap();
        assert_eq!((due.len(), due[1].attempts, due[1].body.as_slice()), (2, 1, &b"sealed"[..]));
        store.mail_tried(sent.id, MailTried::Sent, at(51)).await.unwrap();
        store.mail_tried(failed.id, MailTried::Failed("550 no such user".into()), at(200)).await.unwrap();
        assert!(store.mail_due(at(1_000), 9).await.unwrap().is_empty());
        let records = store.mail_records().await.unwrap();
        assert_eq!(records.iter().map(|record| record.state).collect::<Vec<_>>(), [MailState::Failed, MailState::Sent]);
        assert_eq!((records[0].last_error.as_deref(), records[0].next_at), (Some("550 no such user"), None));
        let texts: u32 =
            store.read("count", |conn| Ok(conn.query_row("SELECT count(body) FROM outgoing_mail", [], |row| row.get(0))?)).await.unwrap();
        assert_eq!(texts, 0);
        assert_eq!(store.mail_count("ada@example.org".parse().unwrap(), MailKind::Invitation, at(1)).await.unwrap(), 1);
    }
}
