//! How much runs at once, and for how long.

use super::definition::{Kind, section};

section! {
    /// How much runs at once, and for how long.
    Orchestration {
        /// Runs of automations and answers worked on at once, counted together: of more than one place each kind leaves one to the other, and a company one to others.
        runs_max: u64 = "ORCH_THREAD_POOL_WORKERS", Kind::Integer(1, 256), Some("8"), Yes;
        /// Longest time of one streamed answer, in seconds.
        stream_run_timeout_seconds: u64 = "ORCH_STREAM_RUN_TIMEOUT_SECONDS", Kind::Integer(1, 86_400), Some("300"), Yes;
        /// Whether the time limit of a streamed answer ends it.
        stream_hard_timeout_enabled: bool = "ORCH_STREAM_HARD_TIMEOUT_ENABLED", Kind::Flag, Some("1"), Yes;
        /// How much longer than the answer itself a client may ask for its state, in seconds.
        status_polling_grace_seconds: u64 = "ORCH_STATUS_POLLING_TIMEOUT_GRACE_S", Kind::Integer(0, 86_400), Some("120"), NotYet;
        /// Longest time of one loop of tool calls, in milliseconds.
        tool_loop_max_latency_millis: u64 = "ORCH_TOOL_LOOP_MAX_LATENCY_MS", Kind::Integer(1_000, 86_400_000), Some("300000"), NotYet;
        /// Longest time until an answer is complete, in seconds.
        max_response_time_seconds: u64 = "ORCH_MAX_RESPONSE_TIME_SECONDS", Kind::Integer(1, 86_400), Some("300"), NotYet;
        /// Longest time of a job on a miner, in seconds.
        miner_proxy_timeout_seconds: u64 = "ORCH_MINER_PROXY_TIMEOUT_SECONDS", Kind::Integer(1, 86_400), Some("240"), NotYet;
        /// Whether a user's own limit of tokens per request is ignored.
        ignore_user_per_request_token_limit: bool = "ORCH_IGNORE_USER_PER_REQUEST_TOKEN_LIMIT", Kind::Flag, Some("1"), NotYet;
        /// Pages fetched at once by one collection.
        web_fetch_parallelism: u64 = "ORCH_WEB_FETCH_PARALLELISM", Kind::Integer(1, 64), Some("6"), Yes;
    }
}
