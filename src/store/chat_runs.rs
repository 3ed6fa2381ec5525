//! The durable runs that make answers. Every change of state and the event that tells of it are one transaction.

use rusqlite::{Connection, OptionalExtension, Row, named_params};

use super::conversations::{self, ChatOwner};
use super::events::tell_answer as tell;
use super::ledger::settle_in;
use super::runs::Turn;
use super::{Store, StoreError};
use crate::base::clock::Timestamp;
use crate::model::chat::{ATTEMPTS_MAX, Answer, ChatFailure, ChatRun, ChatRunState, Message, UNTITLED, WAITING_MAX, title_of};
use crate::model::chat_event::{ChatEvent, ChatStep};
use crate::model::ids::{ChatRunId, ConversationId, MessageId};
use crate::model::ledger::Settlement;

/// Messages before a question that are told to the model.
const EARLIER_MESSAGES_MAX: u32 = 12;

/// A question to be answered.
#[derive(Clone, Debug)]
pub struct NewQuestion {
    /// Who asks, and where.
    pub owner: ChatOwner,
    /// In which conversation.
    pub conversation: ConversationId,
    /// The id its message will have.
    pub message: MessageId,
    /// The id its run will have.
    pub run: ChatRunId,
    /// The question.
    pub text: String,
}

/// How asking ended.
#[derive(Clone, Debug, PartialEq)]
#[expect(clippy::large_enum_variant, reason = "made once a question and taken apart at once")]
pub enum AskOutcome {
    /// The question stands, and its run waits.
    Queued(Message, ChatRun),
    /// The conversation is not there.
    NoConversation,
    /// Too many questions of this conversation wait already.
    TooManyWaiting,
}

/// A run whose turn it is.
#[derive(Clone, Debug, PartialEq)]
pub struct ClaimedRun {
    /// The run, now in state running.
    pub run: ChatRun,
    /// The question.
    pub question: String,
    /// What was said before it, the oldest first.
    pub earlier: Vec<Message>,
}

impl Store {
    /// Keeps a question and queues its run, in one transaction. An untitled conversation gets its title from it.
    ///
    /// # Errors
    /// When the store fails; nothing was kept then.
    pub async fn ask(&self, new: NewQuestion, now: Timestamp) -> Result<AskOutcome, StoreError> {
        self.write("ask", move |tx| ask_in(tx, &new, now)).await
    }

    /// Takes a run of a conversation where nothing runs, and marks it as begun. Companies take turns: one with the fewest answers being made comes
    /// first, of those the one after whoever was last, with its run that waits longest.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn claim_chat_run(&self, turn: Turn, now: Timestamp) -> Result<Option<ClaimedRun>, StoreError> {
        self.write("claim chat run", move |tx| {
            // One answer of a conversation at a time, in the order asked: the next question may rest on it.
            let mut statement = tx.prepare_cached(
                "WITH making AS (SELECT company_id, count(*) AS answers FROM chat_runs WHERE state = 'running' GROUP BY company_id)
                 UPDATE chat_runs SET state = 'running', attempt = attempt + 1, started_at = :now WHERE id = (
                   SELECT q.id FROM chat_runs q LEFT JOIN making m ON m.company_id = q.company_id WHERE q.state = 'queued'
                   AND q.company_id NOT IN (SELECT c.id FROM companies c WHERE c.deleted_at IS NOT NULL AND c.purged_at IS NULL) AND NOT EXISTS
                     (SELECT 1 FROM chat_runs r WHERE r.conversation_id = q.conversation_id AND r.state = 'running')
                   AND (coalesce(m.answers, 0) < :most OR NOT EXISTS (SELECT 1 FROM companies c WHERE c.id <> q.company_id AND c.deleted_at IS NULL))
                   ORDER BY coalesce(m.answers, 0), q.company_id > :after DESC, q.company_id, q.queued_at, q.id LIMIT 1) RETURNING id",
            )?;
            let given = named_params! {":now": now, ":most": turn.most_of_one, ":after": turn.after()};
            let Some(id) = statement.query_row(given, |row| row.get::<_, ChatRunId>(0)).optional()? else { return Ok(None) };
            let Some(run) = find(tx, &id)? else { return Ok(None) };
            tell(tx, &id, &[ChatEvent::State { state: ChatStep::Recalling }], now)?;
            let mut question = tx.prepare_cached("SELECT text, position FROM messages WHERE id = ?1")?;
            let (question, position) = question.query_row([&run.question_message_id], |row| Ok((row.get(0)?, row.get(1)?)))?;
            let earlier = conversations::messages_before(tx, &run.conversation_id, position, EARLIER_MESSAGES_MAX)?;
            Ok(Some(ClaimedRun { run, question, earlier }))
        })
        .await
    }

    /// Queues again what is marked as running but is not among `alive`: whoever ran it is gone. Begun too often, it fails.
    /// Returns the runs that changed.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn requeue_orphaned_chat_runs(&self, alive: Vec<ChatRunId>, now: Timestamp) -> Result<Vec<ChatRunId>, StoreError> {
        let running = self
            .read("find running chat runs", |conn| {
                let mut statement = conn.prepare_cached("SELECT id FROM chat_runs WHERE state = 'running'")?;
                Ok(statement.query_map([], |row| row.get(0))?.collect::<Result<Vec<ChatRunId>, _>>()?)
            })
            .await?;
        let orphans: Vec<_> = running.into_iter().filter(|id| !alive.contains(id)).collect();
        if orphans.is_empty() {
            return Ok(orphans);
        }
        self.write("requeue chat runs", move |tx| {
            for id in &orphans {
                requeue_in(tx, id, now)?;
            }
            Ok(orphans)
        })
        .await
    }

    /// Queues a run again that its own runner put down because the process stops: that costs no attempt.
    ///
    /// # Errors
    /// When the store fails; the run is then found to be nobody's at the next start.
    pub async fn put_back_chat_run(&self, id: ChatRunId, now: Timestamp) -> Result<(), StoreError> {
        self.write("put back chat run", move |tx| {
            let sql = "UPDATE chat_runs SET attempt = attempt - 1 WHERE id = ?1 AND state = 'running' AND attempt > 0";
            tx.prepare_cached(sql)?.execute([&id])?;
            requeue_in(tx, &id, now)
        })
        .await
    }

    /// Keeps a finished answer: its message, its price, its last event and the run's state, all or nothing.
    /// `None` when the run is not running (any more): nothing was kept then.
    ///
    /// # Errors
    /// When the store fails; nothing was kept then.
    pub async fn finish_chat_run(
        &self,
        id: ChatRunId,
        answer: Answer,
        settlement: Settlement,
        now: Timestamp,
    ) -> Result<Option<Message>, StoreError> {
        self.write("finish chat run", move |tx| {
            let Some(run) = find(tx, &id)?.filter(|run| run.state == ChatRunState::Running) else { return Ok(None) };
            end_in(tx, &id, ChatRunState::Succeeded, None, now)?;
            insert_answer(tx, &run, &answer, now)?;
            settle_in(tx, &settlement, now)?;
            touch_in(tx, &run.conversation_id, now)?;
            let message = conversations::message_by_id(tx, &answer.message_id)?;
            tell(tx, &id, &[ChatEvent::Done { message: Box::new(message.clone()) }], now)?;
            Ok(Some(message))
        })
        .await
    }

    /// Ends a run without an answer. False when it was over already.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn fail_chat_run(&self, id: ChatRunId, failure: ChatFailure, now: Timestamp) -> Result<bool, StoreError> {
        self.write("fail chat run", move |tx| fail_in(tx, &id, &failure, now)).await
    }

    /// Ends a run because its user stopped it, and charges for what it had used. False when it was over already: then nothing is charged.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn end_cancelled_chat_run(&self, id: ChatRunId, used: Option<Settlement>, now: Timestamp) -> Result<bool, StoreError> {
        self.write("cancel chat run", move |tx| {
            let ended = cancel_in(tx, &id, now)?;
            if let Some(used) = used.filter(|_| ended) {
                settle_in(tx, &used, now)?;
            }
            Ok(ended)
        })
        .await
    }

    /// Asks to stop a run: a waiting one is over at once, a running one by its runner. Returns it as it then is; `None` when it is not there.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn ask_cancel_chat_run(&self, owner: ChatOwner, id: ChatRunId, now: Timestamp) -> Result<Option<ChatRun>, StoreError> {
        self.write("ask to cancel chat run", move |tx| {
            if find_owned(tx, &owner, &id)?.is_none() {
                return Ok(None);
            }
            ask_cancel_in(tx, &id, now)?;
            find(tx, &id)
        })
        .await
    }

    /// One run; `None` when it is not there, or its conversation was deleted.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn chat_run(&self, owner: ChatOwner, id: ChatRunId) -> Result<Option<ChatRun>, StoreError> {
        self.read("read chat run", move |conn| find_owned(conn, &owner, &id)).await
    }

    /// Whether the user asked to stop a run.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn chat_run_cancel_asked(&self, id: ChatRunId) -> Result<bool, StoreError> {
        self.read("read chat run", move |conn| Ok(find(conn, &id)?.is_none_or(|run| run.cancel_asked))).await
    }

    /// Removes the events of runs that ended before `before`, but for the last one, which holds the whole answer. At most `limit` runs;
    /// returns how many it were.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn prune_chat_events(&self, before: Timestamp, limit: u32) -> Result<usize, StoreError> {
        // Looked for by a reader: the writer is not held up. Of a run that was pruned the first event is gone.
        let old = self
            .read("find old chat events", move |conn| {
                // From first events that are old: few streams still have one. A run whose only event is the first keeps it.
                let mut statement = conn.prepare_cached(
                    "SELECT r.id FROM run_events e CROSS JOIN chat_runs r ON r.id = e.stream_id
                     WHERE e.seq = 1 AND e.at < ?1 AND r.finished_at < ?1 AND EXISTS (SELECT 1 FROM run_events l WHERE l.stream_id = r.id AND l.seq > 1) LIMIT ?2",
                )?;
                Ok(statement.query_map((before, limit), |row| row.get(0))?.collect::<Result<Vec<ChatRunId>, _>>()?)
            })
            .await?;
        if old.is_empty() {
            return Ok(0);
        }
        self.write("prune chat events", move |tx| {
            let mut delete =
                tx.prepare_cached("DELETE FROM run_events WHERE stream_id = ?1 AND seq < (SELECT max(seq) FROM run_events WHERE stream_id = ?1)")?;
            for run in &old {
                delete.execute([run])?;
            }
            Ok(old.len())
        })
        .await
    }

    /// How many answers wait or are being made.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn count_active_chat_runs(&self) -> Result<u64, StoreError> {
        self.read("count chat runs", |conn| {
            let count: i64 = conn.query_row("SELECT count(*) FROM chat_runs WHERE state IN ('queued', 'running')", [], |row| row.get(0))?;
            Ok(u64::try_from(count).unwrap_or(0))
        })
        .await
    }
}

fn ask_in(tx: &Connection, new: &NewQuestion, now: Timestamp) -> Result<AskOutcome, StoreError> {
    let Some(conversation) = conversations::find(tx, &new.owner, &new.conversation)? else { return Ok(AskOutcome::NoConversation) };
    let waiting: u32 = tx
        .prepare_cached("SELECT count(*) FROM chat_runs WHERE conversation_id = ?1 AND state IN ('queued', 'running')")?
        .query_row([&new.conversation], |row| row.get(0))?;
    if waiting >= WAITING_MAX {
        return Ok(AskOutcome::TooManyWaiting);
    }
    tx.prepare_cached(
        "INSERT INTO chat_runs (id, company_id, conversation_id, user_id, question_message_id, state, queued_at) VALUES (?1, ?2, ?3, ?4, ?5, 'queued', ?6)",
    )?
    .execute((&new.run, &new.owner.company, &new.conversation, &new.owner.user, &new.message, now))?;
    let position = conversations::next_question_position(tx, &new.conversation)?;
    tx.prepare_cached(
        "INSERT INTO messages (id, company_id, conversation_id, position, role, text, chat_run_id, created_at) VALUES (?1, ?2, ?3, ?4, 'user', ?5, ?6, ?7)",
    )?
    .execute((&new.message, &new.owner.company, &new.conversation, position, &new.text, &new.run, now))?;
    if conversation.title == UNTITLED {
        tx.prepare_cached("UPDATE conversations SET title = ?2 WHERE id = ?1")?.execute((&new.conversation, title_of(&new.text)))?;
    }
    touch_in(tx, &new.conversation, now)?;
    tell(tx, &new.run, &[ChatEvent::State { state: ChatStep::Queued }], now)?;
    let run = find(tx, &new.run)?.ok_or_else(|| StoreError::corrupt("the run just queued is missing"))?;
    Ok(AskOutcome::Queued(conversations::message_by_id(tx, &new.message)?, run))
}

/// Asks to stop a run that is not over.
pub(in crate::store) fn ask_cancel_in(tx: &Connection, id: &ChatRunId, now: Timestamp) -> Result<(), StoreError> {
    match find(tx, id)?.map(|run| run.state) {
        Some(ChatRunState::Queued) => {
            cancel_in(tx, id, now)?;
        }
        Some(ChatRunState::Running) => {
            tx.prepare_cached("UPDATE chat_runs SET cancel_asked = 1 WHERE id = ?1")?.execute([id])?;
        }
        _ => {}
    }
    Ok(())
}

fn requeue_in(tx: &Connection, id: &ChatRunId, now: Timestamp) -> Result<(), StoreError> {
    let Some(run) = find(tx, id)?.filter(|run| run.state == ChatRunState::Running) else { return Ok(()) };
    if run.cancel_asked {
        cancel_in(tx, id, now)?;
        return Ok(());
    }
    if run.attempt >= ATTEMPTS_MAX {
        let failure = ChatFailure {
            code: "answer_interrupted".into(),
            message: format!("Making this answer was begun {ATTEMPTS_MAX} times and interrupted each time, most likely by a stop of the server."),
            remedy: "Ask again; if it happens again, give this run's id to whoever looks after the server.".into(),
        };
        fail_in(tx, id, &failure, now)?;
        return Ok(());
    }
    tx.prepare_cached("UPDATE chat_runs SET state = 'queued' WHERE id = ?1")?.execute([id])?;
    tell(tx, id, &[ChatEvent::Reset {}, ChatEvent::State { state: ChatStep::Queued }], now)?;
    Ok(())
}

fn fail_in(tx: &Connection, id: &ChatRunId, failure: &ChatFailure, now: Timestamp) -> Result<bool, StoreError> {
    if !end_in(tx, id, ChatRunState::Failed, Some(failure), now)? {
        return Ok(false);
    }
    tell(tx, id, &[ChatEvent::Failed { error: failure.clone() }], now)?;
    Ok(true)
}

fn cancel_in(tx: &Connection, id: &ChatRunId, now: Timestamp) -> Result<bool, StoreError> {
    if !end_in(tx, id, ChatRunState::Cancelled, None, now)? {
        return Ok(false);
    }
    tell(tx, id, &[ChatEvent::Cancelled {}], now)?;
    Ok(true)
}

/// Ends a run that is not over; false when it was.
fn end_in(tx: &Connection, id: &ChatRunId, state: ChatRunState, failure: Option<&ChatFailure>, now: Timestamp) -> Result<bool, StoreError> {
    let error = failure.map(serde_json::to_string).transpose()?;
    let ended = tx
        .prepare_cached("UPDATE chat_runs SET state = ?2, error_json = ?3, finished_at = ?4 WHERE id = ?1 AND state IN ('queued', 'running')")?
        .execute((id, state, error, now))?;
    Ok(ended == 1)
}

fn insert_answer(tx: &Connection, run: &ChatRun, answer: &Answer, now: Timestamp) -> Result<(), StoreError> {
    let question: i64 = tx.prepare_cached("SELECT position FROM messages WHERE id = ?1")?.query_row([&run.question_message_id], |row| row.get(0))?;
    let whole = |count: u64| i64::try_from(count).unwrap_or(i64::MAX);
    tx.prepare_cached(
        "INSERT INTO messages (id, company_id, conversation_id, position, role, text, citations_json, chat_run_id, model, quoted, prompt_tokens,
           completion_tokens, duration_millis, created_at) VALUES (?1, ?2, ?3, ?4, 'assistant', ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13)",
    )?
    .execute((
        &answer.message_id,
        &run.company_id,
        &run.conversation_id,
        question + 1,
        &answer.text,
        serde_json::to_string(&answer.citations)?,
        &run.id,
        &answer.model,
        answer.quoted,
        whole(answer.tokens.prompt),
        whole(answer.tokens.completion),
        whole(answer.duration_millis),
        now,
    ))?;
    Ok(())
}

fn touch_in(tx: &Connection, id: &ConversationId, now: Timestamp) -> Result<(), StoreError> {
    tx.prepare_cached("UPDATE conversations SET updated_at = max(updated_at, ?2) WHERE id = ?1")?.execute((id, now))?;
    Ok(())
}

const SELECT_RUN: &str = "SELECT id, company_id, conversation_id, user_id, question_message_id, state, attempt, cancel_asked, error_json, queued_at,
       started_at, finished_at FROM chat_runs";

fn find(conn: &Connection, id: &ChatRunId) -> Result<Option<ChatRun>, StoreError> {
    let mut statement = conn.prepare_cached(&format!("{SELECT_RUN} WHERE id = ?1"))?;
    let mut rows = statement.query([id])?;
    rows.next()?.map(read_run).transpose()
}

fn find_owned(conn: &Connection, owner: &ChatOwner, id: &ChatRunId) -> Result<Option<ChatRun>, StoreError> {
    let run = find(conn, id)?.filter(|run| run.company_id == owner.company && run.user_id == owner.user);
    match run {
        Some(run) if conversations::find(conn, owner, &run.conversation_id)?.is_some() => Ok(Some(run)),
        _ => Ok(None),
    }
}

fn read_run(row: &Row<'_>) -> Result<ChatRun, StoreError> {
    let error: Option<String> = row.get(8)?;
    Ok(ChatRun {
        id: row.get(0)?,
        company_id: row.get(1)?,
        conversation_id: row.get(2)?,
        user_id: row.get(3)?,
        question_message_id: row.get(4)?,
        state: row.get(5)?,
        attempt: row.get(6)?,
        cancel_asked: row.get(7)?,
        error: error.map(|text| serde_json::from_str(&text)).transpose()?,
        queued_at: row.get(9)?,
        started_at: row.get(10)?,
        finished_at: row.get(11)?,
    })
}

#[cfg(test)]
#[path = "chat_runs_tests.rs"]
mod tests;
