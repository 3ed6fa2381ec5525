//! Durable streams over Server-Sent Events: replayed from the store from any point, then followed.
//!
//! A stream may outlive many things, but not its viewer's right to see it: the right is asked for again at every keep-alive.

use std::convert::Infallible;
use std::time::Duration;

use axum::http::{HeaderMap, HeaderValue, header};
use axum::response::sse::{Event, Sse};
use axum::response::{IntoResponse, Response};
use futures_util::future::BoxFuture;
use serde_json::json;

use super::state::AppState;
use crate::base::signal::Subscription;
use crate::model::stream_event::StoredEvent;
use crate::store::StoreError;

/// Events read from the store at once.
const BATCH_EVENTS: u32 = 256;
/// How long a stream says nothing at most, and how long it may go on for somebody who may not see it any more.
const KEEP_ALIVE: Duration = Duration::from_secs(15);

/// Where a follower wants to go on: `Last-Event-ID`, or 0 for the whole stream.
#[must_use]
pub fn last_event_id(headers: &HeaderMap) -> u64 {
    headers.get("last-event-id").and_then(|value| value.to_str().ok()).and_then(|text| text.trim().parse().ok()).unwrap_or(0)
}

/// Asks again whether the viewer may see the stream.
pub type StillAllowed = Box<dyn Fn(AppState) -> BoxFuture<'static, Result<bool, StoreError>> + Send + Sync>;

/// Answers with the events of a stream after `after`: first those in the store, then each new one, until a terminal event; at once
/// when nothing comes after the terminal one. Somebody who may not see it any more gets the event `closed` and the stream's end.
/// Closing the connection stops nothing but the following.
pub fn event_stream(state: AppState, stream_id: String, after: u64, allowed: StillAllowed) -> Response {
    let check_at = state.seams.clock.elapsed() + KEEP_ALIVE;
    let subscription = state.streams.subscribe(&stream_id);
    let follower = Follower { subscription, state, allowed, stream_id, after, check_at, waiting: Vec::new(), ended: false };
    let events =
        futures_util::stream::unfold(
            follower,
            |mut follower| async move { follower.next().await.map(|event| (Ok::<_, Infallible>(event), follower)) },
        );
    let mut response = Sse::new(events).into_response();
    // A proxy that buffers would hold the answer back until its end.
    response.headers_mut().insert("x-accel-buffering", HeaderValue::from_static("no"));
    response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

struct Follower {
    subscription: Subscription,
    state: AppState,
    allowed: StillAllowed,
    stream_id: String,
    after: u64,
    // On the monotonic clock: events that come all the time do not put it off.
    check_at: Duration,
    // In reverse, so that the next one is popped.
    waiting: Vec<StoredEvent>,
    ended: bool,
}

impl Follower {
    /// The next thing to say; `None` ends the stream.
    async fn next(&mut self) -> Option<Event> {
        if self.ended {
            return None;
        }
        match self.look().await {
            Ok(said) => said,
            Err(error) => {
                // The browser reconnects by itself and goes on from its last event.
                tracing::error!(stream = self.stream_id, %error, "following events");
                None
            }
        }
    }

    async fn look(&mut self) -> Result<Option<Event>, StoreError> {
        loop {
            if self.state.seams.clock.elapsed() >= self.check_at {
                return self.keep_alive().await.map(Some);
            }
            if let Some(event) = self.waiting.pop() {
                self.ended = event.is_terminal();
                // Of an old stream the terminal event alone is kept: it takes the next place, so that followers meet no gap.
                self.after = if self.ended { self.after + 1 } else { event.seq };
                return Ok(Some(Event::default().id(self.after.to_string()).event(event.kind).data(event.data.to_string())));
            }
            self.waiting = self.state.streams.after(&self.stream_id, self.after, BATCH_EVENTS).await?;
            self.waiting.reverse();
            if !self.waiting.is_empty() {
                continue;
            }
            // Asked for what comes after the end: waiting for it would be for ever.
            if self.state.streams.ends_by(&self.stream_id, self.after).await? {
                return Ok(None);
            }
            let silence = self.check_at.saturating_sub(self.state.seams.clock.elapsed());
            tokio::select! {
                () = self.state.tasks.stopping() => return Ok(None),
                () = self.subscription.changed() => {}
                () = self.state.seams.clock.sleep(silence) => {}
            }
        }
    }

    async fn keep_alive(&mut self) -> Result<Event, StoreError> {
        self.check_at = self.state.seams.clock.elapsed() + KEEP_ALIVE;
        if (self.allowed)(self.state.clone()).await? {
            return Ok(Event::default().comment("still here"));
        }
        self.ended = true;
        // It takes no place of its own: whoever signs in again goes on from the last event it was sent after.
        let error = json!({ "code": "closed", "message": "The session ended, or this is not yours to see any more. Sign in and open it again." });
        Ok(Event::default().id(self.after.to_string()).event("closed").data(json!({ "error": error }).to_string()))
    }
}
