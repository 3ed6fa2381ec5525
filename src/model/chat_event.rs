//! What a follower of an answer is shown, in order. The last one of a stream is `done`, `failed` or `cancelled`.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::chat::{ChatFailure, Message};
use super::chunk::Citation;

/// What is being done for an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ChatStep {
    /// It waits for its turn.
    Queued,
    /// What is known is looked through.
    Recalling,
    /// It is written.
    Answering,
}

/// One event of an answer.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", content = "data", rename_all = "snake_case")]
pub enum ChatEvent {
    /// The next step is taken.
    State {
        /// Which.
        state: ChatStep,
    },
    /// What will be cited.
    Recalled {
        /// By `n`.
        citations: Vec<Citation>,
    },
    /// More text.
    Delta {
        /// What comes after the text so far.
        text: String,
    },
    /// The text so far counts for nothing: the answer is begun again.
    Reset {},
    /// The answer stands.
    Done {
        /// The answer.
        message: Box<Message>,
    },
    /// There is no answer.
    Failed {
        /// Why.
        error: ChatFailure,
    },
    /// The user stopped it.
    Cancelled {},
}

impl ChatEvent {
    /// The SSE `event:` field.
    #[must_use]
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::State { .. } => "state",
            Self::Recalled { .. } => "recalled",
            Self::Delta { .. } => "delta",
            Self::Reset {} => "reset",
            Self::Done { .. } => "done",
            Self::Failed { .. } => "failed",
            Self::Cancelled {} => "cancelled",
        }
    }

    /// The SSE `data:` field.
    ///
    /// # Errors
    /// When it cannot be written as JSON, which no event causes.
    pub fn data(&self) -> Result<Value, serde_json::Error> {
        Ok(serde_json::to_value(self)?["data"].take())
    }

    /// The event that was sent as these two fields.
    ///
    /// # Errors
    /// When there is no such event.
    pub fn read(kind: &str, data: &Value) -> Result<Self, serde_json::Error> {
        serde_json::from_value(json!({ "kind": kind, "data": data }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_are_sent_as_followers_know_them() {
        let error = ChatFailure { code: "c".into(), message: "m".into(), remedy: "r".into() };
        for (event, kind, data) in [
            (ChatEvent::State { state: ChatStep::Recalling }, "state", json!({ "state": "recalling" })),
            (ChatEvent::Recalled { citations: Vec::new() }, "recalled", json!({ "citations": [] })),
            (ChatEvent::Delta { text: "A".into() }, "delta", json!({ "text": "A" })),
            (ChatEvent::Reset {}, "reset", json!({})),
            (ChatEvent::Failed { error }, "failed", json!({ "error": { "code": "c", "message": "m", "remedy": "r" } })),
            (ChatEvent::Cancelled {}, "cancelled", json!({})),
        ] {
            assert_eq!((event.kind(), event.data().unwrap()), (kind, data.clone()));
            assert_eq!(ChatEvent::read(kind, &data).unwrap(), event);
        }
        assert!(ChatEvent::read("delta", &json!({})).is_err());
        assert!(ChatEvent::read("deltas", &json!({ "text": "A" })).is_err());
    }
}
