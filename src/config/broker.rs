//! The broker of chat: background tasks of a conversation.

use super::definition::{Kind, section};

section! {
    /// The broker of chat: background tasks of a conversation.
    Broker {
        /// Whether the broker owns the stream that a user sees.
        enabled: bool = "BROKER_ENABLED", Kind::Flag, Some("1"), NotYet;
        /// Background tasks of one conversation that run at once.
        running_slot_cap: u64 = "BROKER_RUNNING_SLOT_CAP", Kind::Integer(1, 32), Some("3"), NotYet;
        /// Where tasks are kept; unset = durable.
        task_backend: Option<String> = "BROKER_TASK_BACKEND", Kind::Choice(&["memory", "durable"]), None, NotYet;
        /// How long the list of ended tasks lives, in seconds.
        task_ttl_seconds: u64 = "BROKER_TASK_TTL_SECONDS", Kind::Integer(60, 31_536_000), Some("86400"), NotYet;
    }
}
