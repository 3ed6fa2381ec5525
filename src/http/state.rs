//! What handlers are given.

use std::sync::Arc;

use super::metrics::Metrics;
use crate::base::seams::Seams;
use crate::base::signal::Signals;
use crate::base::tasks::Tasks;
use crate::services::egress::Egress;
use crate::store::Store;

/// The features and services that handlers call. Cheap to clone: every field is.
#[derive(Clone)]
pub struct AppState {
    /// The only way out.
    pub egress: Egress,
    /// Facts that do not change while the process runs.
    pub facts: Arc<Facts>,
    /// Counts requests.
    pub metrics: Metrics,
    /// Time and randomness.
    pub seams: Seams,
    /// Wake-ups for followers of streams.
    pub signals: Signals,
    /// For streams of events and readiness only; everything else goes through a feature or a service.
    pub store: Store,
    /// Ends streams when the app stops.
    pub tasks: Tasks,
}

/// Facts that do not change while the process runs.
#[derive(Debug)]
pub struct Facts {
    /// The version of this binary.
    pub version: &'static str,
    /// SHA-256 of the TLS certificate in hexadecimal pairs; `None` without TLS.
    pub certificate_fingerprint: Option<String>,
    /// Whether this process serves plain HTTP on loopback (`--dev`): cookies then cannot be `Secure`.
    pub plain_http: bool,
    /// The longest body of an ordinary request, bytes.
    pub body_bytes_max: usize,
}
