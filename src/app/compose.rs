//! Builds the services, features and jobs, in the order in which they need each other.

use std::sync::Arc;

use super::instance::StartError;
use crate::base::paths::DataDir;
use crate::base::seams::Seams;
use crate::base::signal::Signals;
use crate::base::tasks::Tasks;
use crate::config::Config;
use crate::http::AppState;
use crate::http::metrics::Metrics;
use crate::http::state::Facts;
use crate::services::egress::{Egress, EgressSettings};
use crate::store::{Store, StoreOptions};

/// The longest body of an ordinary request. Uploads have a limit of their own.
const BODY_BYTES_MAX: usize = 1 << 20;

/// What composition is given.
#[derive(Debug)]
pub struct Parts {
    /// Where everything is kept.
    pub dir: DataDir,
    /// Every setting.
    pub config: Config,
    /// Time and randomness.
    pub seams: Seams,
    /// Starts and stops tasks.
    pub tasks: Tasks,
    /// SHA-256 of the TLS certificate; `None` = plain HTTP on loopback.
    pub certificate_fingerprint: Option<String>,
}

/// The composed appliance, before it listens.
#[derive(Clone)]
pub struct Composed {
    /// What handlers are given.
    pub state: AppState,
}

/// Builds everything; nothing runs yet.
///
/// # Errors
/// When the database cannot be opened or a part cannot be made.
pub async fn compose(parts: Parts) -> Result<Composed, StartError> {
    let Parts { dir, config, seams, tasks, certificate_fingerprint } = parts;
    let options = StoreOptions { readers_max: usize::try_from(config.server.readers_max).unwrap_or(12), now: seams.now() };
    let store = Store::open(&dir, options)?;
    let egress_settings = EgressSettings { extra_authorities: config.appliance.extra_ca_file.as_ref().map(Into::into), ..EgressSettings::default() };
    let egress = Egress::new(store.clone(), seams.clone(), &tasks, egress_settings)
        .await
        .map_err(|error| StartError::Part { part: "egress", source: error.into() })?;
    let signals = Signals::default();
    let facts = Facts {
        version: env!("CARGO_PKG_VERSION"),
        plain_http: certificate_fingerprint.is_none(),
        certificate_fingerprint,
        body_bytes_max: BODY_BYTES_MAX,
    };
    let state = AppState { egress, facts: Arc::new(facts), metrics: Metrics::new(env!("CARGO_PKG_VERSION")), seams, signals, store, tasks };
    Ok(Composed { state })
}

/// Starts the recurring tasks.
pub fn start_jobs(_composed: &Composed) {}
