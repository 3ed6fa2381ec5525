//! Wake-ups for those who follow a stream of events. A signal says "look again"; what happened stands in the store.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::{Notify, watch};

/// Wake-ups by stream id. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct Signals {
    streams: Arc<Mutex<HashMap<String, watch::Sender<u64>>>>,
}

/// One follower of one stream.
#[derive(Debug)]
pub struct Subscription {
    receiver: watch::Receiver<u64>,
}

/// Tells a recurring task to look now instead of at its next tick. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct Nudge(Arc<Notify>);

impl Nudge {
    /// Asks for a look; one that comes while the task is busy is remembered.
    pub fn nudge(&self) {
        self.0.notify_one();
    }

    /// Waits for the next nudge.
    pub async fn nudged(&self) {
        self.0.notified().await;
    }
}

impl Signals {
    /// Wakes every follower of the stream. Costs nothing when there is none.
    pub fn notify(&self, stream_id: &str) {
        let mut streams = self.lock();
        if let Some(sender) = streams.get(stream_id) {
            if sender.receiver_count() == 0 {
                streams.remove(stream_id);
            } else {
                sender.send_modify(|count| *count += 1);
            }
        }
    }

    /// Follows a stream: subscribe first, then read the store, then wait, and nothing is missed.
    #[must_use]
    pub fn subscribe(&self, stream_id: &str) -> Subscription {
        let mut streams = self.lock();
        if !streams.contains_key(stream_id) {
            // Followers who left without a later event would stay here for ever.
            streams.retain(|_, sender| sender.receiver_count() > 0);
        }
        let sender = streams.entry(stream_id.to_owned()).or_insert_with(|| watch::channel(0).0);
        Subscription { receiver: sender.subscribe() }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<String, watch::Sender<u64>>> {
        self.streams.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Subscription {
    /// Waits for the next wake-up since the last call (or since subscribing).
    pub async fn changed(&mut self) {
        // An error means that the stream was dropped with the app; looking again then ends the follower.
        let _ = self.receiver.changed().await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_follower_hears_what_came_between_subscribing_and_waiting() {
        let signals = Signals::default();
        let mut follower = signals.subscribe("run_1");
        signals.notify("run_1");
        signals.notify("run_2");
        follower.changed().await;
    }

    #[tokio::test]
    async fn streams_nobody_follows_are_forgotten() {
        let signals = Signals::default();
        drop(signals.subscribe("run_1"));
        let _kept = signals.subscribe("run_2");
        assert_eq!(signals.lock().len(), 1);
    }
}
