//! The only way out. Everything that leaves the machine goes through here: one policy, one client, one log.
//!
//! Nothing is allowed until a system admin lists it. Addresses are checked where connections are made ([`connector`]), so that neither a
//! literal address, nor a redirect, nor a name that changes its address gets around the check. Proxy variables are not looked at.

pub mod address;
mod body;
mod client;
mod connector;
mod error;
mod fetch;
mod log;
mod policy;
mod request;
pub mod resolver;
mod stream;
#[cfg(test)]
pub(crate) mod testing;
#[cfg(test)]
mod tests;
mod tls;

use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::{Arc, OnceLock, PoisonError, RwLock};
use std::time::Duration;

use http::HeaderValue;
use rustls::ClientConfig;
use rustls::pki_types::CertificateDer;
use serde_json::json;
use url::Url;

use crate::base::clock::Clock;
use crate::base::seams::Seams;
use crate::base::tasks::Tasks;
use crate::model::audit::{Actor, Entry};
use crate::model::egress::{EgressLogRow, EgressRule, NewEgressLogRow, RuleDraft};
use crate::model::ids::EgressRuleId;
use crate::store::egress::RuleAdded;
use crate::store::{Store, StoreError};

use client::Door;
use connector::CheckedConnector;
pub use error::{AddRuleError, EgressError, EgressSetupError};
use log::EgressLog;
pub use policy::{Policy, Target};
pub use request::{FetchRequest, Fetched, REDIRECTS_MAX, Streaming};
use resolver::{Resolve, SystemResolver};
pub use stream::{Connection, Destination};

pub use crate::model::egress::Purpose;

/// How egress behaves.
#[derive(Clone, Debug)]
pub struct EgressSettings {
    /// Most time to resolve a name and connect, milliseconds.
    pub connect_timeout_millis: u64,
    /// Most time between two pieces of a stream, milliseconds.
    pub stream_idle_timeout_millis: u64,
    /// Rows of the log that are kept.
    pub log_rows_max: u32,
    /// A PEM file of certificate authorities trusted besides the host's.
    pub extra_authorities: Option<PathBuf>,
}

impl Default for EgressSettings {
    fn default() -> Self {
        Self { connect_timeout_millis: 10_000, stream_idle_timeout_millis: 120_000, log_rows_max: 100_000, extra_authorities: None }
    }
}

/// The way out. Cheap to clone.
#[derive(Clone)]
pub struct Egress {
    inner: Arc<Inner>,
}

struct Inner {
    store: Store,
    seams: Seams,
    settings: EgressSettings,
    log: EgressLog,
    resolver: Arc<dyn Resolve>,
    extra_authorities: Vec<CertificateDer<'static>>,
    tls: OnceLock<ClientConfig>,
    door: RwLock<Arc<Door>>,
    // One change of rules at a time, so that the door always shows the latest.
    changing: tokio::sync::Mutex<()>,
}

impl Egress {
    /// Reads the rules and starts the task that writes the log.
    ///
    /// # Errors
    /// When the rules or the file of additional authorities cannot be read.
    pub async fn new(store: Store, seams: Seams, tasks: &Tasks, settings: EgressSettings) -> Result<Self, EgressSetupError> {
        Self::with_resolver(store, seams, tasks, settings, Arc::new(SystemResolver::default())).await
    }

    /// As [`Egress::new`], resolving names by `resolver`.
    ///
    /// # Errors
    /// As [`Egress::new`].
    pub async fn with_resolver(
        store: Store,
        seams: Seams,
        tasks: &Tasks,
        settings: EgressSettings,
        resolver: Arc<dyn Resolve>,
    ) -> Result<Self, EgressSetupError> {
        let extra_authorities = tls::extra_authorities(settings.extra_authorities.as_deref())?;
        let rules = store.list_egress_rules().await?;
        let log = EgressLog::start(store.clone(), seams.clone(), tasks, settings.log_rows_max);
        let door = RwLock::new(Arc::new(door(rules, &resolver, &settings)));
        let changing = tokio::sync::Mutex::default();
        let tls = OnceLock::new();
        Ok(Self { inner: Arc::new(Inner { store, seams, settings, log, resolver, extra_authorities, tls, door, changing }) })
    }

    /// The rules in force, oldest first.
    #[must_use]
    pub fn rules(&self) -> Vec<EgressRule> {
        self.door().policy.rules().to_vec()
    }

    /// Adds a rule, and records who did. It is in force when this returns.
    ///
    /// # Errors
    /// Names the wrong field and the remedy, or says that it is listed already.
    pub async fn add_rule(&self, draft: &RuleDraft, by: &Actor, address: Option<IpAddr>) -> Result<EgressRule, AddRuleError> {
        let seams = &self.inner.seams;
        let rule = EgressRule::checked(draft, EgressRuleId::new(seams), by.as_str().to_owned(), seams.now())?;
        let entry = Entry::new(rule.created_at, by.clone(), "egress_rule.add", rule.id.as_str()).from(address).detail(detail(&rule));
        let _changing = self.inner.changing.lock().await;
        match self.inner.store.add_egress_rule(rule.clone(), entry).await? {
            RuleAdded::Added => {}
            RuleAdded::Exists(id) => return Err(AddRuleError::Exists { destination: rule.destination.to_string(), id }),
            RuleAdded::Full => return Err(AddRuleError::Full),
        }
        self.reload().await?;
        tracing::info!(rule = %rule.id, destination = %rule.destination, by = by.as_str(), "egress allowed");
        Ok(rule)
    }

    /// Removes a rule, records who did, and returns it; `None` when there is none with this id. No new connection is made under it once this returns.
    ///
    /// # Errors
    /// When the store fails: the rule then stays.
    pub async fn remove_rule(&self, id: &EgressRuleId, by: Actor, address: Option<IpAddr>) -> Result<Option<EgressRule>, StoreError> {
        let _changing = self.inner.changing.lock().await;
        let Some(rule) = self.rules().into_iter().find(|rule| rule.id == *id) else { return Ok(None) };
        let entry = Entry::new(self.inner.seams.now(), by, "egress_rule.remove", id.as_str()).from(address).detail(detail(&rule));
        let removed = self.inner.store.remove_egress_rule(id.clone(), entry).await?;
        self.reload().await?;
        tracing::info!(rule = %id, "egress rule removed");
        Ok(removed.then_some(rule))
    }

    /// Whether a URL could be fetched, as far as can be told without asking a name server: for a form that is being filled in.
    ///
    /// # Errors
    /// [`EgressError::NotAllowed`] or [`EgressError::BadUrl`].
    pub fn check(&self, url: &Url) -> Result<(), EgressError> {
        self.door().policy.precheck(&Target::of(url)?)
    }

    /// The newest rows of the log, newest first: at most `limit`, and only those before row `before` when it is given. What cannot be written is among
    /// them: a full disk keeps nobody from seeing what left.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn recent(&self, limit: u32, before: Option<i64>) -> Result<Vec<EgressLogRow>, StoreError> {
        let waiting = match self.inner.log.flush().await {
            Ok(()) => Vec::new(),
            Err(error) => {
                tracing::warn!(%error, "the egress log is shown with rows that cannot be written yet");
                self.inner.log.waiting()
            }
        };
        let mut rows = self.numbered(waiting, before).await?;
        rows.truncate(limit as usize);
        let left = limit.saturating_sub(u32::try_from(rows.len()).unwrap_or(u32::MAX));
        rows.extend(self.inner.store.egress_log(left, before).await?);
        Ok(rows)
    }

    /// Rows that wait, the newest first, by the places that they will have.
    async fn numbered(&self, waiting: Vec<NewEgressLogRow>, before: Option<i64>) -> Result<Vec<EgressLogRow>, StoreError> {
        if waiting.is_empty() {
            return Ok(Vec::new());
        }
        let last = self.inner.store.egress_log(1, None).await?.first().map_or(0, |row| row.id);
        let mut rows: Vec<_> = (last + 1..).zip(waiting).map(|(place, row)| row.at_place(place)).collect();
        rows.retain(|row| before.is_none_or(|before| row.id < before));
        rows.reverse();
        Ok(rows)
    }

    async fn reload(&self) -> Result<(), StoreError> {
        let rules = self.inner.store.list_egress_rules().await?;
        let new = Arc::new(door(rules, &self.inner.resolver, &self.inner.settings));
        *self.inner.door.write().unwrap_or_else(PoisonError::into_inner) = new;
        Ok(())
    }

    fn door(&self) -> Arc<Door> {
        Arc::clone(&self.inner.door.read().unwrap_or_else(PoisonError::into_inner))
    }

    fn log(&self) -> &EgressLog {
        &self.inner.log
    }

    fn settings(&self) -> &EgressSettings {
        &self.inner.settings
    }

    fn clock(&self) -> &dyn Clock {
        &*self.inner.seams.clock
    }

    fn user_agent(&self) -> HeaderValue {
        HeaderValue::from_static(concat!("Onsite/", env!("CARGO_PKG_VERSION"), " (+on-premises collector)"))
    }

    fn tls(&self) -> Result<ClientConfig, EgressError> {
        if let Some(config) = self.inner.tls.get() {
            return Ok(config.clone());
        }
        let config = tls::client_config(&self.inner.extra_authorities)
            .map_err(|error| EgressError::Tls { host: "this machine".into(), reason: error.to_string() })?;
        Ok(self.inner.tls.get_or_init(|| config).clone())
    }
}

fn detail(rule: &EgressRule) -> serde_json::Value {
    json!({ "destination": rule.destination.to_string(), "port": rule.port, "allow_private": rule.allow_private, "reason": rule.reason })
}

fn door(rules: Vec<EgressRule>, resolver: &Arc<dyn Resolve>, settings: &EgressSettings) -> Door {
    Door::new(CheckedConnector {
        policy: Arc::new(Policy::new(rules)),
        resolver: Arc::clone(resolver),
        connect_timeout: Duration::from_millis(settings.connect_timeout_millis),
    })
}

impl std::fmt::Debug for Egress {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Egress").finish_non_exhaustive()
    }
}
