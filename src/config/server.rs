//! The HTTP server, its limits and its log.

use super::definition::{Kind, section};

section! {
    /// The HTTP server, its limits and its log.
    Server {
        /// Worker threads of the server.
        worker_threads: u64 = "GUNICORN_WORKERS", Kind::Integer(1, 256), Some("2"), Yes;
        /// Connections open at once; one more waits until another closes.
        connections_max: u64 = "GUNICORN_WORKER_CONNECTIONS", Kind::Integer(16, 100_000), Some("2000"), Yes;
        /// Connections open at once from one address (an IPv6 network of 64 bits counts as one); 0 = no bound of its own. This machine's own are not counted.
        connections_per_address_max: u64 = "ONSITE_CONNECTIONS_PER_ADDRESS_MAX", Kind::Integer(0, 100_000), Some("200"), Yes;
        /// Requests of one user a minute, by all their sessions; a minute's worth may come at once. 0 = not counted.
        user_requests_per_minute: u64 = "ONSITE_USER_REQUESTS_PER_MINUTE", Kind::Integer(0, 1_000_000), Some("6000"), Yes;
        /// API requests from one address a minute; raise it where many people share a proxy. This machine's own are not counted. 0 = not counted.
        address_requests_per_minute: u64 = "ONSITE_ADDRESS_REQUESTS_PER_MINUTE", Kind::Integer(0, 1_000_000), Some("12000"), Yes;
        /// Longest time to the head of an answer, in seconds.
        request_timeout_seconds: u64 = "GUNICORN_TIMEOUT", Kind::Integer(1, 86_400), Some("600"), Yes;
        /// Read connections to the database that are kept open. They are opened when first needed, so that an idle server holds none.
        readers_min: u64 = "DB_POOL_MIN", Kind::Integer(0, 256), Some("3"), NotYet;
        /// Read connections to the database at most.
        readers_max: u64 = "DB_POOL_MAX", Kind::Integer(1, 256), Some("12"), Yes;
        /// How much is logged.
        log_level: String = "LOG_LEVEL", Kind::Choice(&["ERROR", "WARN", "WARNING", "INFO", "DEBUG", "TRACE"]), Some("INFO"), Yes;
        /// How a log line looks: readable text, or one JSON object a line.
        log_format: String = "LOG_FORMAT", Kind::Choice(&["text", "json"]), Some("text"), Yes;
        /// Origins whose pages may call the API from a browser, exactly: https://app.example.com, without a path or a wildcard.
        cors_allowed_origins: Vec<String> = "CORS_ALLOWED_ORIGINS", Kind::List, None, Yes;
        /// The address people use, without a path: the canonical host, to which requests by any other name are redirected (a proxy must pass Host on).
        app_base_url: Option<String> = "APP_BASE_URL", Kind::Url, None, Yes;
        /// The hosted service's front end lived elsewhere; here the server serves it itself.
        frontend_base_url: Option<String> = "FRONTEND_BASE_URL", Kind::Url, None, NotYet;
        /// Which environment this is; `prod` refuses exploring router policies.
        app_env: String = "APP_ENV", Kind::Choice(&["prod", "staging", "dev", "test"]), Some("prod"), NotYet;
    }
}
