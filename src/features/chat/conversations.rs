//! Conversations themselves: begin, list, read, rename, delete.

use super::{Chat, ChatOwner};
use crate::base::text::collapse_whitespace;
use crate::model::chat::{Conversation, Message, TITLE_MAX_CHARS, UNTITLED};
use crate::model::ids::{ConversationId, MessageId};
use crate::model::part::Part;
use crate::store::StoreError;

/// Why a title was not taken.
#[derive(Debug, thiserror::Error)]
pub enum TitleError {
    /// Nothing but white space.
    #[error("a title needs at least one character")]
    Empty,
    /// Too long.
    #[error("a title has at most {TITLE_MAX_CHARS} characters")]
    TooLong,
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Chat {
    /// Begins a conversation. Without a title it gets one from its first question.
    ///
    /// # Errors
    /// [`TitleError`].
    pub async fn begin(&self, owner: &ChatOwner, title: Option<&str>) -> Result<Conversation, TitleError> {
        let title = title.map(checked_title).transpose()?.unwrap_or_else(|| UNTITLED.to_owned());
        let seams = &self.parts().seams;
        let now = seams.now();
        let new = Conversation {
            id: ConversationId::new(seams),
            company_id: owner.company.clone(),
            user_id: owner.user.clone(),
            title,
            created_at: now,
            updated_at: now,
        };
        self.parts().store.create_conversation(new.clone()).await?;
        Ok(new)
    }

    /// The caller's conversations, the one used last first.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn list(&self, owner: &ChatOwner, part: &Part<ConversationId>) -> Result<Vec<Conversation>, StoreError> {
        self.parts().store.conversations(owner.clone(), part.clone()).await
    }

    /// One conversation; `None` when it is not there or not the caller's.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn conversation(&self, owner: &ChatOwner, id: &ConversationId) -> Result<Option<Conversation>, StoreError> {
        self.parts().store.conversation(owner.clone(), id.clone()).await
    }

    /// Its messages, the newest first; `None` when it is not there or not the caller's.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn messages(&self, owner: &ChatOwner, id: &ConversationId, part: &Part<MessageId>) -> Result<Option<Vec<Message>>, StoreError> {
        self.parts().store.messages(owner.clone(), id.clone(), part.clone()).await
    }

    /// Renames a conversation; `None` when it is not there or not the caller's.
    ///
    /// # Errors
    /// [`TitleError`].
    pub async fn rename(&self, owner: &ChatOwner, id: &ConversationId, title: &str) -> Result<Option<Conversation>, TitleError> {
        let title = checked_title(title)?;
        Ok(self.parts().store.rename_conversation(owner.clone(), id.clone(), title, self.parts().seams.now()).await?)
    }

    /// Deletes a conversation and stops what runs in it; false when it is not there or not the caller's.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn delete(&self, owner: &ChatOwner, id: &ConversationId) -> Result<bool, StoreError> {
        let Some(runs) = self.parts().store.delete_conversation(owner.clone(), id.clone(), self.parts().seams.now()).await? else {
            return Ok(false);
        };
        for run in &runs {
            self.stop(run);
        }
        Ok(true)
    }
}

fn checked_title(title: &str) -> Result<String, TitleError> {
    let title = collapse_whitespace(title);
    match title.chars().count() {
        0 => Err(TitleError::Empty),
        1..=TITLE_MAX_CHARS => Ok(title),
        _ => Err(TitleError::TooLong),
    }
}
