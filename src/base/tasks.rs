//! The only way to start a task: named, tracked, and asked to stop together with the app.

use std::future::Future;
use std::time::Duration;

use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::Instrument;

/// Starts and tracks tasks. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct Tasks {
    tracker: TaskTracker,
    stop: CancellationToken,
}

impl Tasks {
    /// Starts a named task. It should watch [`Tasks::stopping`] when it may run for long.
    #[expect(clippy::disallowed_methods, reason = "this is the one place that spawns")]
    pub fn spawn<F>(&self, name: &'static str, future: F) -> tokio::task::JoinHandle<F::Output>
    where
        F: Future + Send + 'static,
        F::Output: Send + 'static,
    {
        tokio::spawn(self.tracker.track_future(future.instrument(tracing::info_span!("task", name))))
    }

    /// Runs blocking work (hashing, parsing) off the async threads, tracked.
    pub fn spawn_blocking<F, T>(&self, work: F) -> tokio::task::JoinHandle<T>
    where
        F: FnOnce() -> T + Send + 'static,
        T: Send + 'static,
    {
        self.tracker.spawn_blocking(work)
    }

    /// The token that is cancelled when the app stops; child tokens cancel single pieces of work.
    #[must_use]
    pub fn token(&self) -> &CancellationToken {
        &self.stop
    }

    /// Completes when the app stops.
    pub async fn stopping(&self) {
        self.stop.cancelled().await;
    }

    /// Whether the app is stopping.
    #[must_use]
    pub fn is_stopping(&self) -> bool {
        self.stop.is_cancelled()
    }

    /// Asks every task to stop and waits for them at most `limit`. Returns how many were still running.
    pub async fn stop(&self, limit: Duration) -> usize {
        self.stop.cancel();
        self.tracker.close();
        // The limit is real time: it bounds the shutdown of a real process.
        let _ = tokio::time::timeout(limit, self.tracker.wait()).await;
        self.tracker.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn stop_waits_for_tasks_that_listen() {
        let tasks = Tasks::default();
        let inner = tasks.clone();
        let handle = tasks.spawn("listener", async move { inner.stopping().await });
        assert_eq!(tasks.stop(Duration::from_secs(5)).await, 0);
        assert!(handle.await.is_ok());
    }
}
