//! Makes the answers that wait.

use std::time::Duration;

use futures_util::future::BoxFuture;

use super::driver::{JobError, Reconciler};
use crate::features::chat::Chat;

/// A nudge comes with every question; the tick is for what a nudge could not reach, such as a full disk that has room again.
const EVERY: Duration = Duration::from_secs(5);

/// The job.
#[derive(Clone, Debug)]
pub struct ChatRunner {
    chat: Chat,
}

impl ChatRunner {
    /// For a chat. Start it with [`Chat::nudge`].
    #[must_use]
    pub const fn new(chat: Chat) -> Self {
        Self { chat }
    }
}

impl Reconciler for ChatRunner {
    fn name(&self) -> &'static str {
        "chat runner"
    }

    fn every(&self) -> Duration {
        EVERY
    }

    fn reconcile(&self) -> BoxFuture<'_, Result<(), JobError>> {
        Box::pin(async { Ok(self.chat.make_answers().await?) })
    }
}
