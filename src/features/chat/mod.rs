//! Conversations: a question becomes a durable run, whose answer rests on what is recalled and is streamed as events.
//!
//! The run outlives whoever watches it, and the process: what was not finished is begun again, and its followers are told to start over.

mod answer;
mod conversations;
mod events;
mod retention;
mod run;
mod send;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use crate::base::places::{Places, Work};
use crate::base::seams::Seams;
use crate::base::signal::{Nudge, Signals};
use crate::base::tasks::Tasks;
use crate::model::ids::{ChatRunId, CompanyId};
use crate::services::gateway::Provider;
use crate::services::ledger::Ledger;
use crate::services::recall::Recall;
use crate::store::{Store, StoreError};

pub use crate::store::conversations::ChatOwner;
pub use conversations::TitleError;
pub use send::SendError;

/// How chat behaves.
#[derive(Clone, Copy, Debug)]
pub struct ChatSettings {
    /// Longest time of one answer (`ORCH_STREAM_RUN_TIMEOUT_SECONDS`); `None` = as long as it takes.
    pub answer_max: Option<Duration>,
}

/// What chat stands on.
#[derive(Clone)]
pub struct ChatParts {
    /// The database.
    pub store: Store,
    /// Time and randomness.
    pub seams: Seams,
    /// Starts the tasks that make answers.
    pub tasks: Tasks,
    /// Wakes followers.
    pub signals: Signals,
    /// Where runs and answers work at once.
    pub places: Places,
    /// Charges for answers.
    pub ledger: Ledger,
    /// Finds what an answer rests on.
    pub recall: Recall,
    /// Answers.
    pub provider: Arc<dyn Provider>,
}

/// The chat. Cheap to clone.
#[derive(Clone)]
pub struct Chat {
    inner: Arc<Inner>,
}

struct Inner {
    parts: ChatParts,
    settings: ChatSettings,
    // The runs this process is making, each with what stops it.
    active: Mutex<HashMap<ChatRunId, CancellationToken>>,
    // The company that was given a place last.
    last: Mutex<Option<CompanyId>>,
}

impl Chat {
    /// The chat over its parts. Nothing runs until [`Chat::make_answers`].
    #[must_use]
    pub fn new(parts: ChatParts, settings: ChatSettings) -> Self {
        Self { inner: Arc::new(Inner { parts, settings, active: Mutex::default(), last: Mutex::default() }) }
    }

    /// What wakes the runner: for the driver of jobs.
    #[must_use]
    pub fn nudge(&self) -> Nudge {
        self.parts().places.nudge(Work::Answer)
    }

    /// How many answers wait or are being made.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn active_runs(&self) -> Result<u64, StoreError> {
        self.parts().store.count_active_chat_runs().await
    }

    fn last(&self) -> std::sync::MutexGuard<'_, Option<CompanyId>> {
        self.inner.last.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn parts(&self) -> &ChatParts {
        &self.inner.parts
    }

    fn active(&self) -> std::sync::MutexGuard<'_, HashMap<ChatRunId, CancellationToken>> {
        self.inner.active.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl std::fmt::Debug for Chat {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Chat").field("settings", &self.inner.settings).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
