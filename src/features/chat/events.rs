//! Writes an answer's events: text is gathered for a moment, so that the table gets a row for a phrase and not for a word.

use std::time::Duration;

use futures_util::future::BoxFuture;

use super::Chat;
use crate::model::chat_event::{ChatEvent, ChatStep};
use crate::model::chunk::Citation;
use crate::model::ids::ChatRunId;
use crate::store::StoreError;

/// Longest time that text waits to be written.
const BATCH_TIME: Duration = Duration::from_millis(50);
/// Text that is written without waiting, in bytes.
const BATCH_BYTES: usize = 200;

/// The writer of one run's events.
pub(super) struct EventWriter<'a> {
    chat: &'a Chat,
    run: &'a ChatRunId,
    pending: String,
    due: Option<BoxFuture<'static, ()>>,
    anything_written: bool,
}

impl<'a> EventWriter<'a> {
    pub(super) fn new(chat: &'a Chat, run: &'a ChatRunId) -> Self {
        Self { chat, run, pending: String::new(), due: None, anything_written: false }
    }

    /// Tells what will be cited, and that the answer begins.
    pub(super) async fn recalled(&mut self, citations: &[Citation]) -> Result<(), StoreError> {
        let recalled = ChatEvent::Recalled { citations: citations.to_vec() };
        self.append(vec![recalled, ChatEvent::State { state: ChatStep::Answering }]).await
    }

    /// Adds text. The first of an answer is written at once: it is what is waited for.
    pub(super) async fn text(&mut self, text: &str) -> Result<(), StoreError> {
        self.pending.push_str(text);
        if self.pending.len() >= BATCH_BYTES || !self.anything_written {
            return self.flush().await;
        }
        let clock = &self.chat.parts().seams.clock;
        self.due.get_or_insert_with(|| clock.sleep(BATCH_TIME));
        Ok(())
    }

    /// Completes when gathered text has waited long enough; never while there is none.
    pub(super) async fn due(&mut self) {
        match &mut self.due {
            Some(due) => due.await,
            None => std::future::pending().await,
        }
    }

    /// Writes what was gathered.
    pub(super) async fn flush(&mut self) -> Result<(), StoreError> {
        self.due = None;
        if self.pending.is_empty() {
            return Ok(());
        }
        self.anything_written = true;
        let text = std::mem::take(&mut self.pending);
        self.append(vec![ChatEvent::Delta { text }]).await
    }

    // `&mut` although nothing changes: the waiting future is not `Sync`, so a shared reference could not cross an await.
    async fn append(&mut self, events: Vec<ChatEvent>) -> Result<(), StoreError> {
        let parts = self.chat.parts();
        parts.store.tell_chat_run(self.run.clone(), events, parts.seams.now()).await?;
        parts.signals.notify(self.run.as_str());
        Ok(())
    }
}
