//! The browser service for pages that need JavaScript.

use super::definition::{Kind, section};

section! {
    /// The browser service for pages that need JavaScript.
    Browser {
        /// Address of the browser service; unset = off.
        service_url: Option<String> = "BROWSER_SERVICE_URL", Kind::Url, None, NotYet;
        /// Bearer token of the browser service.
        service_auth_token: Option<crate::base::secret::Secret<String>> = "BROWSER_SERVICE_AUTH_TOKEN", Kind::Secret(None), None, NotYet;
        /// Sessions kept ready; must not exceed BROWSER_SESSION_MAX_COUNT.
        service_pool_size: u64 = "BROWSER_SERVICE_POOL_SIZE", Kind::Integer(1, 256), Some("6"), NotYet;
        /// Sessions at most.
        session_max_count: u64 = "BROWSER_SESSION_MAX_COUNT", Kind::Integer(1, 256), Some("12"), NotYet;
        /// How long to wait for a free session, in seconds.
        service_pool_wait_seconds: f64 = "BROWSER_SERVICE_POOL_WAIT_SECONDS", Kind::Number(0.0, 600.0), Some("5"), NotYet;
        /// How long a page may go on loading once it is shown, in seconds.
        service_fetch_wait_seconds: f64 = "BROWSER_SERVICE_FETCH_WAIT_SECONDS", Kind::Number(0.0, 60.0), Some("0.4"), NotYet;
        /// Internal hosts that the browser may visit.
        service_allowed_internal_hosts: Vec<String> = "BROWSER_SERVICE_ALLOWED_INTERNAL_HOSTS", Kind::List, Some("frontend,localhost,host.docker.internal"), NotYet;
    }
}
