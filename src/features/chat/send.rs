//! Asking and stopping.

use super::{Chat, ChatOwner};
use crate::model::chat::{ChatRun, Message, QUESTION_MAX_BYTES, WAITING_MAX};
use crate::model::ids::{ChatRunId, ConversationId, MessageId};
use crate::store::StoreError;
use crate::store::chat_runs::{AskOutcome, NewQuestion};

/// Why a question was not taken. Nothing was kept then.
#[derive(Debug, thiserror::Error)]
pub enum SendError {
    /// Nothing but white space.
    #[error("the question is empty")]
    Empty,
    /// Too long: 413 `question_too_long`.
    #[error("the question has {bytes} bytes; a question has at most {QUESTION_MAX_BYTES}")]
    TooLong {
        /// Its length.
        bytes: usize,
    },
    /// The conversation is not there, or not the caller's.
    #[error("there is no such conversation")]
    NoConversation,
    /// Too many questions of this conversation wait already.
    #[error("{WAITING_MAX} questions of this conversation wait for their answers already")]
    TooManyWaiting,
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Chat {
    /// Takes a question: once this returns, it will be answered, whatever happens to the caller or the process.
    ///
    /// # Errors
    /// [`SendError`].
    pub async fn send(&self, owner: &ChatOwner, conversation: &ConversationId, text: &str) -> Result<(Message, ChatRun), SendError> {
        // The length first: nobody trims a gigabyte to find that it is too long.
        if text.len() > QUESTION_MAX_BYTES {
            return Err(SendError::TooLong { bytes: text.len() });
        }
        let text = text.trim();
        if text.is_empty() {
            return Err(SendError::Empty);
        }
        let seams = &self.parts().seams;
        let new = NewQuestion {
            owner: owner.clone(),
            conversation: conversation.clone(),
            message: MessageId::new(seams),
            run: ChatRunId::new(seams),
            text: text.to_owned(),
        };
        match self.parts().store.ask(new, seams.now()).await? {
            AskOutcome::Queued(message, run) => {
                self.nudge().nudge();
                Ok((message, run))
            }
            AskOutcome::NoConversation => Err(SendError::NoConversation),
            AskOutcome::TooManyWaiting => Err(SendError::TooManyWaiting),
        }
    }

    /// One run; `None` when it is not there or not the caller's.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn run(&self, owner: &ChatOwner, id: &ChatRunId) -> Result<Option<ChatRun>, StoreError> {
        self.parts().store.chat_run(owner.clone(), id.clone()).await
    }

    /// Stops a run. One that waits is over when this returns, one that runs soon after; one that is over stays as it is.
    /// `None` when it is not there or not the caller's.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn cancel(&self, owner: &ChatOwner, id: &ChatRunId) -> Result<Option<ChatRun>, StoreError> {
        let run = self.parts().store.ask_cancel_chat_run(owner.clone(), id.clone(), self.parts().seams.now()).await?;
        if run.is_some() {
            self.stop(id);
        }
        Ok(run)
    }

    /// Tells whoever makes or follows the run that it was asked to stop, or did.
    pub(super) fn stop(&self, id: &ChatRunId) {
        if let Some(cancel) = self.active().get(id) {
            cancel.cancel();
        }
        self.parts().signals.notify(id.as_str());
        // The next question of its conversation may have its turn now.
        self.nudge().nudge();
    }
}
