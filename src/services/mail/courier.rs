//! Sends what waits: the oldest first, again after a failure, until it is sent, too old, or tried often enough.

use std::time::Duration;

use super::message::Letter;
use super::outbox::{Outbox, place};
use super::smtp::Session;
use super::{MailError, Sender, azure, spool};
use crate::base::seams::Seams;
use crate::base::secret::Secret;
use crate::base::tasks::Tasks;
use crate::base::vault::Vault;
use crate::config::mail::SmtpServer;
use crate::model::mail::{MailRecord, WaitingMail};
use crate::services::egress::Egress;
use crate::store::mail::{MailTried, NewMail};
use crate::store::{Store, StoreError};

/// Mails taken up at once.
const BATCH: u32 = 50;
/// The longest time for one mail, the way to its server included.
const MAIL_TIMEOUT: Duration = Duration::from_secs(60);

/// Sends mail. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Courier {
    store: Store,
    seams: Seams,
    tasks: Tasks,
    vault: Vault,
    egress: Egress,
    outbox: Outbox,
}

impl Courier {
    /// Sends what this outbox wrote.
    #[must_use]
    pub const fn new(store: Store, seams: Seams, tasks: Tasks, vault: Vault, egress: Egress, outbox: Outbox) -> Self {
        Self { store, seams, tasks, vault, egress, outbox }
    }

    /// The newest mails and what became of them.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn records(&self) -> Result<Vec<MailRecord>, StoreError> {
        self.store.mail_records().await
    }

    /// Takes a mail that nothing else caused, and sends it soon.
    ///
    /// # Errors
    /// When it could not be kept.
    pub async fn post(&self, mail: NewMail) -> Result<(), StoreError> {
        self.store.queue_mail(mail).await?;
        self.outbox.posted();
        Ok(())
    }

    /// Sends what is due. A mail that cannot be sent is noted and does not hold the others up.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn deliver(&self) -> Result<(), StoreError> {
        let mut session = None;
        loop {
            let due = self.store.mail_due(self.seams.now(), BATCH).await?;
            let full = due.len() == BATCH as usize;
            for mail in due {
                // Stopping does not wait for a slow mail server; what was not noted as sent is tried at the next start.
                let tried = tokio::select! {
                    biased;
                    () = self.tasks.stopping() => return Ok(()),
                    tried = self.try_one(&mail, &mut session) => tried,
                };
                self.store.mail_tried(mail.id, tried, self.seams.now()).await?;
            }
            if !full {
                break;
            }
        }
        if let Some(session) = session {
            session.quit().await;
        }
        Ok(())
    }

    async fn try_one(&self, mail: &WaitingMail, session: &mut Option<Session>) -> MailTried {
        let now = self.seams.now();
        if now >= mail.useful_until {
            return MailTried::Failed("it was not sent in time".to_owned());
        }
        let sent = match tokio::time::timeout(MAIL_TIMEOUT, self.send(mail, session)).await {
            Ok(sent) => sent,
            Err(_) => Err(MailError::Timeout(MAIL_TIMEOUT)),
        };
        let Err(error) = sent else { return MailTried::Sent };
        // Whatever state the connection is in: the next mail gets another.
        *session = None;
        let why = error.explained();
        match mail.next_try(now).filter(|_| !error.for_good()) {
            Some(next) => {
                tracing::warn!(mail = %mail.id, kind = mail.kind.as_str(), error = why, "a mail was not sent; it is tried again");
                MailTried::Again(next, why)
            }
            None => {
                tracing::error!(mail = %mail.id, kind = mail.kind.as_str(), error = why, "a mail was given up");
                MailTried::Failed(why)
            }
        }
    }

    async fn send(&self, mail: &WaitingMail, session: &mut Option<Session>) -> Result<(), MailError> {
        let letter = self.open(mail)?;
        match &self.outbox.settings().sender {
            Sender::Smtp(server) => self.by_smtp(server, &letter, session).await,
            Sender::Azure(account) => azure::send(&self.egress, account, &letter, self.seams.now()).await,
            Sender::Spool(folder) => spool::put(folder, &letter),
        }
    }

    async fn by_smtp(&self, server: &SmtpServer, letter: &Letter, session: &mut Option<Session>) -> Result<(), MailError> {
        let mut open = match session.take() {
            Some(open) => open,
            None => Session::open(&self.egress, server, self.outbox.settings().base_url.as_ref()).await?,
        };
        open.send(letter).await?;
        *session = Some(open);
        Ok(())
    }

    fn open(&self, mail: &WaitingMail) -> Result<Letter, MailError> {
        let body = self.vault.open(place(mail.id.as_str()), &mail.body)?;
        let text = std::str::from_utf8(body.expose()).map_err(|error| MailError::Message(error.to_string()))?;
        Ok(Letter {
            id: mail.id.clone(),
            from: self.outbox.settings().from.clone(),
            to: mail.recipient.clone(),
            subject: mail.subject.clone(),
            text: Secret::new(text.to_owned()),
            at: mail.created_at,
        })
    }
}
