//! The licence: codes are judged offline, each time anew, against the keys in this build, the clock and each other.
//!
//! Nothing here ever locks: a code that does not count leaves the free tier, and signing in, reading, export, backup and entering a
//! new code never ask for one.

mod drop_in;
mod entry;
pub mod issue;
pub mod judge;
pub mod keys;
pub mod private_key;
mod refusal;
pub mod register;
pub mod status;
mod watch;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Mutex;

use crate::base::clock::Timestamp;
use crate::base::seams::Seams;
use crate::model::ids::{CompanyId, LicenceId};
use crate::model::licence::{ReasonCode, SignedCode, SignedList};
use crate::model::plans::{self, Plan};
use crate::store::{Store, StoreError};

pub use entry::{Taken, TakenKind, request_of};
pub use keys::{KeyRing, KeyRingError};
pub use refusal::{CodeRefusal, EnterError};
pub use status::{LicenceStatus, RevocationsHeld, compute};

/// The revocation list that came with this build; empty when none did.
const COMPILED_IN_REVOCATIONS: &str = include_str!(concat!(env!("OUT_DIR"), "/revocations.onsite"));

/// When this binary was built (its last commit): time has passed at least until then.
#[must_use]
pub fn build_date() -> Timestamp {
    let seconds: i64 = env!("ONSITE_BUILD_SECONDS").parse().unwrap_or(0);
    Timestamp::from_millis(seconds.saturating_mul(1_000))
}

/// What licensing needs to know.
#[derive(Clone, Debug)]
pub struct LicensingSettings {
    /// The keys to believe: `KeyRing::of_build(..)`.
    pub ring: KeyRing,
    /// A moment known to have passed: [`build_date`].
    pub build_date: Timestamp,
    /// The revocation list that came with this build.
    pub revocations: Option<SignedList>,
}

impl LicensingSettings {
    /// What this build believes: its own keys and list, or the keys given at run time if it is a development build.
    ///
    /// # Errors
    /// What is wrong with the keys.
    pub fn of_build(run_time_pem: Option<&str>) -> Result<Self, KeyRingError> {
        // One that does not read is a fault of the build, which a test finds; its signature is checked whenever it is used.
        let revocations = SignedList::from_text(COMPILED_IN_REVOCATIONS).ok();
        Ok(Self { ring: KeyRing::of_build(run_time_pem)?, build_date: build_date(), revocations })
    }
}

/// The licence of this appliance. Cheap to clone; nothing is cached, so a new code counts at once.
#[derive(Clone)]
pub struct Licensing {
    inner: Arc<Inner>,
}

struct Inner {
    store: Store,
    seams: Seams,
    settings: LicensingSettings,
    // On the monotonic clock: up to when the passing of time was noted.
    noted: Mutex<Duration>,
    dropped: drop_in::Seen,
}

impl Licensing {
    /// Licensing over a store.
    #[must_use]
    pub fn new(store: Store, seams: Seams, settings: LicensingSettings) -> Self {
        let noted = Mutex::new(seams.clock.elapsed());
        Self { inner: Arc::new(Inner { store, seams, settings, noted, dropped: drop_in::Seen::default() }) }
    }

    /// Moves the high-water mark of the clock on by the time that has passed since the last note: measured, not read off the clock,
    /// so that one set wrongly for an hour leaves no trace.
    ///
    /// # Errors
    /// When it could not be kept; the next note makes up for it.
    pub async fn note_time_passed(&self) -> Result<(), StoreError> {
        // Held until it is kept: of two notes at once, the second must not count the same time again.
        let mut noted = self.inner.noted.lock().await;
        let now = self.inner.seams.clock.elapsed();
        self.inner.store.advance_clock_high_water(now.saturating_sub(*noted)).await?;
        *noted = now;
        Ok(())
    }

    /// The keys and lists this build believes.
    #[must_use]
    pub fn settings(&self) -> &LicensingSettings {
        &self.inner.settings
    }

    /// Whether this build takes development codes and keys: shown on every screen.
    #[must_use]
    pub fn development_build(&self) -> bool {
        self.inner.settings.ring.is_development()
    }

    /// The state of the licence now.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn status(&self) -> Result<LicenceStatus, StoreError> {
        self.status_at(self.inner.seams.now()).await
    }

    /// The state of the licence at a moment.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn status_at(&self, now: Timestamp) -> Result<LicenceStatus, StoreError> {
        Ok(compute(&self.inner.store.licence_facts().await?, &self.inner.settings, now))
    }

    /// The plan that applies to a company: the code's while it counts, else the company's own subscription, else the free tier.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn plan_for(&self, company: &CompanyId) -> Result<Plan, StoreError> {
        let now = self.inner.seams.now();
        let status = self.status_at(now).await?;
        if status.is_effective() {
            return Ok(status.plan);
        }
        let subscription = self.inner.store.subscription_of(company.clone()).await?;
        let running = subscription.filter(|subscription| subscription.ends_at.is_none_or(|ends| now < ends));
        Ok(running.and_then(|subscription| plans::find(&subscription.plan)).map_or(status.plan, Plan::of))
    }
}

impl std::fmt::Debug for Licensing {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Licensing").field("settings", &self.inner.settings).finish_non_exhaustive()
    }
}

/// The judgement of a code away from any installation: for the issuer's `verify`.
#[must_use]
pub fn verify_alone(code: &SignedCode, ring: &KeyRing, now: Timestamp, revoked: &BTreeSet<LicenceId>) -> ReasonCode {
    judge::judge(code, ring, &judge::Circumstances { now, floor: now, install_id: None, others: &[], revoked })
}

#[cfg(test)]
#[path = "licensing_tests.rs"]
mod tests;

#[cfg(test)]
#[path = "reasons_tests.rs"]
mod reasons;
