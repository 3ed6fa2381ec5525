//! Durable streams of events, as their followers see them: replayed from any point, then awaited.

use crate::base::signal::{Signals, Subscription};
use crate::model::stream_event::StoredEvent;
use crate::store::{Store, StoreError};

/// The streams of all runs. Cheap to clone. Who may see one is the asker's to know.
#[derive(Clone, Debug)]
pub struct Streams {
    store: Store,
    signals: Signals,
}

impl Streams {
    /// Streams that are kept in the store, and whose followers `signals` wakes.
    #[must_use]
    pub const fn new(store: Store, signals: Signals) -> Self {
        Self { store, signals }
    }

    /// Follows a stream: subscribe first, then read, then wait, and nothing is missed.
    #[must_use]
    pub fn subscribe(&self, stream: &str) -> Subscription {
        self.signals.subscribe(stream)
    }

    /// At most `limit` events after place `after` (0 = from the start), in order.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn after(&self, stream: &str, after: u64, limit: u32) -> Result<Vec<StoredEvent>, StoreError> {
        self.store.events_after(stream.to_owned(), after, limit).await
    }

    /// Whether the stream has ended, and nothing comes after place `after`.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn ends_by(&self, stream: &str, after: u64) -> Result<bool, StoreError> {
        Ok(self.store.stream_end(stream.to_owned()).await?.is_some_and(|end| end <= after))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::clock::Timestamp;
    use crate::store::events::NewEvent;
    use serde_json::json;

    #[tokio::test]
    async fn a_follower_reads_waits_and_knows_the_end() {
        let (store, _folder) = crate::store::testing::store();
        let signals = Signals::default();
        let streams = Streams::new(store.clone(), signals.clone());
        let mut subscription = streams.subscribe("run_a");
        assert!(streams.after("run_a", 0, 10).await.unwrap().is_empty() && !streams.ends_by("run_a", 0).await.unwrap());
        let events = vec![NewEvent { kind: "delta", data: json!({}) }, NewEvent { kind: "done", data: json!({}) }];
        store.append_events("run_a".into(), events, Timestamp::default()).await.unwrap();
        signals.notify("run_a");
        subscription.changed().await;
        assert_eq!(streams.after("run_a", 1, 10).await.unwrap()[0].kind, "done");
        assert!(!streams.ends_by("run_a", 1).await.unwrap(), "the end is still to be read");
        assert!(streams.ends_by("run_a", 2).await.unwrap());
    }
}
