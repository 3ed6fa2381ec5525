//! Durable streams over Server-Sent Events: replayed from the store from any point, then followed.

use std::convert::Infallible;
use std::time::Duration;

use axum::http::{HeaderMap, HeaderValue, header};
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};

use crate::base::signal::Signals;
use crate::base::tasks::Tasks;
use crate::store::Store;
use crate::store::events::StoredEvent;

/// Events read from the store at once.
const BATCH_EVENTS: u32 = 256;
/// A stream ends after one of these.
const TERMINAL_KINDS: [&str; 3] = ["done", "failed", "cancelled"];

/// Where a follower wants to go on: `Last-Event-ID`, or 0 for the whole stream.
#[must_use]
pub fn last_event_id(headers: &HeaderMap) -> u64 {
    headers.get("last-event-id").and_then(|value| value.to_str().ok()).and_then(|text| text.trim().parse().ok()).unwrap_or(0)
}

/// Answers with the events of a stream after `after`: first those in the store, then each new one, until a terminal event.
/// Closing the connection stops nothing but the following.
pub fn event_stream(store: Store, signals: &Signals, tasks: Tasks, stream_id: String, after: u64) -> Response {
    let follower = Follower { subscription: signals.subscribe(&stream_id), store, tasks, stream_id, after, waiting: Vec::new(), ended: false };
    let events = futures_util::stream::unfold(follower, |mut follower| async move { follower.next().await.map(|event| (event, follower)) });
    let mut response = Sse::new(events).keep_alive(KeepAlive::new().interval(Duration::from_secs(15)).text("still here")).into_response();
    // A proxy that buffers would hold the answer back until its end.
    response.headers_mut().insert("x-accel-buffering", HeaderValue::from_static("no"));
    response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

struct Follower {
    subscription: crate::base::signal::Subscription,
    store: Store,
    tasks: Tasks,
    stream_id: String,
    after: u64,
    // In reverse, so that the next one is popped.
    waiting: Vec<StoredEvent>,
    ended: bool,
}

impl Follower {
    async fn next(&mut self) -> Option<Result<Event, Infallible>> {
        while self.waiting.is_empty() {
            if self.ended {
                return None;
            }
            self.waiting = match self.store.events_after(self.stream_id.clone(), self.after, BATCH_EVENTS).await {
                Ok(events) => events,
                Err(error) => {
                    // The browser reconnects by itself and goes on from its last event.
                    tracing::error!(stream = self.stream_id, %error, "reading events");
                    return None;
                }
            };
            self.waiting.reverse();
            if self.waiting.is_empty() {
                tokio::select! {
                    () = self.tasks.stopping() => return None,
                    () = self.subscription.changed() => {}
                }
            }
        }
        let event = self.waiting.pop()?;
        self.after = event.seq;
        self.ended = TERMINAL_KINDS.contains(&event.kind.as_str());
        Some(Ok(Event::default().id(event.seq.to_string()).event(event.kind).data(event.data.to_string())))
    }
}
