//! Conversations and their messages.

use rusqlite::{Connection, OptionalExtension, Row};

use super::{Store, StoreError};
use crate::base::clock::Timestamp;
use crate::model::chat::{AnswerTokens, ChatRunState, Conversation, Message, MessageRole};
use crate::model::ids::{ChatRunId, CompanyId, ConversationId, MessageId, UserId};
use crate::model::part::Part;
use crate::text_column;

text_column!(ChatRunState, MessageRole);

/// Whose conversations: a user's, in a company. What is not theirs is not there.
#[derive(Clone, Debug)]
pub struct ChatOwner {
    /// The company.
    pub company: CompanyId,
    /// The user.
    pub user: UserId,
}

impl Store {
    /// Keeps a new conversation.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn create_conversation(&self, new: Conversation) -> Result<(), StoreError> {
        self.write("create conversation", move |tx| {
            tx.prepare_cached("INSERT INTO conversations (id, company_id, user_id, title, created_at, updated_at) VALUES (?1, ?2, ?3, ?4, ?5, ?6)")?
                .execute((&new.id, &new.company_id, &new.user_id, &new.title, new.created_at, new.updated_at))?;
            Ok(())
        })
        .await
    }

    /// One conversation.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn conversation(&self, owner: ChatOwner, id: ConversationId) -> Result<Option<Conversation>, StoreError> {
        self.read("read conversation", move |conn| find(conn, &owner, &id)).await
    }

    /// A user's conversations, the one used last first.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn conversations(&self, owner: ChatOwner, part: Part<ConversationId>) -> Result<Vec<Conversation>, StoreError> {
        self.read("list conversations", move |conn| {
            let place = "(SELECT updated_at, id FROM conversations WHERE id = ?3 AND company_id = ?1 AND user_id = ?2)";
            let further = if part.after.is_some() { format!("(updated_at, id) < {place}") } else { "?3 IS NULL".into() };
            let mut statement = conn.prepare_cached(&format!(
                "SELECT id, company_id, user_id, title, created_at, updated_at FROM conversations
                 WHERE company_id = ?1 AND user_id = ?2 AND deleted_at IS NULL AND {further} ORDER BY updated_at DESC, id DESC LIMIT ?4",
            ))?;
            let found = statement.query_map((&owner.company, &owner.user, &part.after, part.limit), read_conversation)?;
            Ok(found.collect::<Result<_, _>>()?)
        })
        .await
    }

    /// Renames a conversation and returns it; `None` when it is not there.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn rename_conversation(
        &self,
        owner: ChatOwner,
        id: ConversationId,
        title: String,
        now: Timestamp,
    ) -> Result<Option<Conversation>, StoreError> {
        self.write("rename conversation", move |tx| {
            tx.prepare_cached(
                "UPDATE conversations SET title = ?4, updated_at = ?5 WHERE id = ?1 AND company_id = ?2 AND user_id = ?3 AND deleted_at IS NULL",
            )?
            .execute((&id, &owner.company, &owner.user, &title, now))?;
            find(tx, &owner, &id)
        })
        .await
    }

    /// Deletes a conversation; what still runs in it is asked to stop. Returns those runs, or `None` when it is not there. Its messages go at once
    /// when nothing runs, else with [`Store::empty_deleted_conversations`].
    ///
    /// # Errors
    /// When the store fails.
    pub async fn delete_conversation(&self, owner: ChatOwner, id: ConversationId, now: Timestamp) -> Result<Option<Vec<ChatRunId>>, StoreError> {
        self.write("delete conversation", move |tx| {
            let deleted = tx
                .prepare_cached("UPDATE conversations SET deleted_at = ?4 WHERE id = ?1 AND company_id = ?2 AND user_id = ?3 AND deleted_at IS NULL")?
                .execute((&id, &owner.company, &owner.user, now))?;
            if deleted == 0 {
                return Ok(None);
            }
            let mut statement = tx.prepare_cached("SELECT id FROM chat_runs WHERE conversation_id = ?1 AND state IN ('queued', 'running')")?;
            let runs: Vec<ChatRunId> = statement.query_map([&id], |row| row.get(0))?.collect::<Result<_, _>>()?;
            for run in &runs {
                super::chat_runs::ask_cancel_in(tx, run, now)?;
            }
            if runs.is_empty() {
                empty(tx, &id)?;
            }
            Ok(Some(runs))
        })
        .await
    }

    /// Removes what deleted conversations still hold, at most `limit` of them, and returns how many. What remains says that there was one, and what
    /// it cost. One in which an answer is still being stopped waits.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn empty_deleted_conversations(&self, limit: u32) -> Result<usize, StoreError> {
        let full: Vec<ConversationId> = self
            .read("find deleted conversations", move |conn| {
                let mut find = conn.prepare_cached(
                    "SELECT id FROM conversations c WHERE deleted_at IS NOT NULL AND title <> '' AND NOT EXISTS
                       (SELECT 1 FROM chat_runs r WHERE r.conversation_id = c.id AND r.state IN ('queued', 'running')) LIMIT ?1",
                )?;
                Ok(find.query_map([limit], |row| row.get(0))?.collect::<Result<_, _>>()?)
            })
            .await?;
        for id in &full {
            let id = id.clone();
            self.write("empty conversation", move |tx| empty(tx, &id)).await?;
        }
        Ok(full.len())
    }

    /// The messages of a conversation, the newest first; `None` when it is not there.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn messages(&self, owner: ChatOwner, id: ConversationId, part: Part<MessageId>) -> Result<Option<Vec<Message>>, StoreError> {
        self.read("read messages", move |conn| {
            if find(conn, &owner, &id)?.is_none() {
                return Ok(None);
            }
            let place = "(SELECT position FROM messages WHERE id = ?2 AND conversation_id = ?1)";
            let further = if part.after.is_some() { format!("m.position < {place}") } else { "?2 IS NULL".into() };
            let sql = format!("{SELECT_MESSAGES} WHERE m.conversation_id = ?1 AND {further} ORDER BY m.position DESC LIMIT ?3");
            let mut statement = conn.prepare_cached(&sql)?;
            let mut rows = statement.query((&id, &part.after, part.limit))?;
            let mut messages = Vec::new();
            while let Some(row) = rows.next()? {
                messages.push(read_message(row)?);
            }
            Ok(Some(messages))
        })
        .await
    }
}

const SELECT_MESSAGES: &str = "SELECT m.id, m.role, m.text, m.citations_json, m.chat_run_id, m.model, m.quoted, m.prompt_tokens, m.completion_tokens,
       m.duration_millis, coalesce(r.state, 'succeeded'), m.created_at FROM messages m LEFT JOIN chat_runs r ON r.id = m.chat_run_id";

/// At most `limit` messages before the one at `position` that belong to finished exchanges, the oldest of them first.
pub(in crate::store) fn messages_before(conn: &Connection, id: &ConversationId, position: i64, limit: u32) -> Result<Vec<Message>, StoreError> {
    let sql = format!("{SELECT_MESSAGES} WHERE m.conversation_id = ?1 AND m.position < ?2 ORDER BY m.position DESC LIMIT ?3");
    let mut statement = conn.prepare_cached(&sql)?;
    let mut rows = statement.query((id, position, limit))?;
    let mut messages = Vec::new();
    while let Some(row) = rows.next()? {
        let message = read_message(row)?;
        if message.state == ChatRunState::Succeeded {
            messages.push(message);
        }
    }
    messages.reverse();
    Ok(messages)
}

/// A message by its id.
pub(in crate::store) fn message_by_id(conn: &Connection, id: &crate::model::ids::MessageId) -> Result<Message, StoreError> {
    let sql = format!("{SELECT_MESSAGES} WHERE m.id = ?1");
    let mut statement = conn.prepare_cached(&sql)?;
    let mut rows = statement.query([id])?;
    rows.next()?.map_or_else(|| Err(StoreError::corrupt(format!("the message {id} is missing"))), read_message)
}

/// The place of the next question. Questions have odd places, and an answer the one after its question, so that it stands there
/// even when the next question was asked before it came.
pub(in crate::store) fn next_question_position(conn: &Connection, id: &ConversationId) -> Result<i64, StoreError> {
    let last: i64 =
        conn.prepare_cached("SELECT coalesce(max(position), 0) FROM messages WHERE conversation_id = ?1")?.query_row([id], |row| row.get(0))?;
    Ok(if last % 2 == 0 { last + 1 } else { last + 2 })
}

/// Removes the messages of a conversation and the events of its answers, and its title, which was made of a question.
fn empty(tx: &Connection, id: &ConversationId) -> Result<(), StoreError> {
    tx.prepare_cached("DELETE FROM messages WHERE conversation_id = ?1")?.execute([id])?;
    tx.prepare_cached("DELETE FROM run_events WHERE stream_id IN (SELECT id FROM chat_runs WHERE conversation_id = ?1)")?.execute([id])?;
    tx.prepare_cached("UPDATE conversations SET title = '' WHERE id = ?1")?.execute([id])?;
    Ok(())
}

pub(in crate::store) fn find(conn: &Connection, owner: &ChatOwner, id: &ConversationId) -> Result<Option<Conversation>, StoreError> {
    let mut statement = conn.prepare_cached(
        "SELECT id, company_id, user_id, title, created_at, updated_at FROM conversations
         WHERE id = ?1 AND company_id = ?2 AND user_id = ?3 AND deleted_at IS NULL",
    )?;
    Ok(statement.query_row((id, &owner.company, &owner.user), read_conversation).optional()?)
}

fn read_conversation(row: &Row<'_>) -> rusqlite::Result<Conversation> {
    Ok(Conversation {
        id: row.get(0)?,
        company_id: row.get(1)?,
        user_id: row.get(2)?,
        title: row.get(3)?,
        created_at: row.get(4)?,
        updated_at: row.get(5)?,
    })
}

fn read_message(row: &Row<'_>) -> Result<Message, StoreError> {
    let count = |value: Option<i64>| value.map(|value| u64::try_from(value).unwrap_or(0));
    let (prompt, completion) = (count(row.get(7)?), count(row.get(8)?));
    let millis: Option<i64> = row.get(9)?;
    Ok(Message {
        id: row.get(0)?,
        role: row.get(1)?,
        text: row.get(2)?,
        citations: serde_json::from_str(row.get_ref(3)?.as_str().map_err(rusqlite::Error::from)?)?,
        run_id: row.get(4)?,
        model: row.get(5)?,
        quoted: row.get(6)?,
        tokens: prompt.zip(completion).map(|(prompt, completion)| AnswerTokens { prompt, completion }),
        seconds: millis.map(|millis| millis as f64 / 1_000.0),
        state: row.get(10)?,
        created_at: row.get(11)?,
    })
}
