//! Miners: the workers of model jobs, and the router that chooses a model.

use super::definition::{Kind, section};

section! {
    /// Miners: the workers of model jobs, and the router that chooses a model.
    Miners {
        /// Whether each configured model is a virtual miner of this process.
        internal_mode: bool = "MINER_INTERNAL_MODE", Kind::Flag, Some("1"), NotYet;
        /// How long a request waits for a miner over HTTP, in seconds.
        http_sync_wait_seconds: u64 = "MINER_HTTP_SYNC_WAIT_S", Kind::Integer(1, 3_600), Some("90"), NotYet;
        /// How long a request waits for a queued miner job, in seconds.
        queue_sync_wait_seconds: u64 = "MINER_QUEUE_SYNC_WAIT_S", Kind::Integer(1, 3_600), Some("60"), NotYet;
        /// The user who receives what internal miners earn.
        internal_owner_user_id: Option<String> = "MINER_INTERNAL_OWNER_USER_ID", Kind::Text, None, NotYet;
        /// The same, named by e-mail address.
        internal_owner_email: Option<String> = "MINER_INTERNAL_OWNER_EMAIL", Kind::Text, None, NotYet;
        /// Whether a policy that explores models may be used with `APP_ENV=prod`.
        router_allow_exploration_in_prod: bool = "ROUTER_ALLOW_EXPLORATION_IN_PROD", Kind::Flag, Some("0"), NotYet;
    }
}
