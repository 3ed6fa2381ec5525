//! The licence: codes are judged offline, each time anew, against the keys in this build, the clock and each other.
//!
//! Nothing here ever locks: a code that does not count leaves the free tier, and signing in, reading, export, backup and entering a
//! new code never ask for one.

pub mod issue;
pub mod judge;
pub mod keys;
pub mod status;

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serde_json::json;

use crate::base::clock::Timestamp;
use crate::base::seams::Seams;
use crate::model::audit::{Actor, Entry, Outcome};
use crate::model::ids::CompanyId;
use crate::model::licence::{MalformedCode, ReasonCode, SignedCode};
use crate::model::plans::{self, Plan};
use crate::store::licence::NewCode;
use crate::store::{Store, StoreError};

pub use keys::{KeyRing, KeyRingError};
pub use status::{LicenceStatus, compute};

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
}

/// A code that was not taken, and why.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct CodeRefusal {
    /// The reason: the error's code over HTTP.
    pub reason: ReasonCode,
    /// What is the case, with the particulars of this code.
    pub message: String,
}

impl CodeRefusal {
    /// What to do about it.
    #[must_use]
    pub const fn remedy(&self) -> &'static str {
        self.reason.remedy()
    }

    fn of(reason: ReasonCode) -> Self {
        Self { reason, message: reason.text().to_owned() }
    }

    fn judged(reason: ReasonCode, code: &SignedCode) -> Self {
        let claims = code.claims();
        let particulars = match reason {
            ReasonCode::Expired => format!(" It ended at {}, its grace at {}.", claims.expires_at, claims.grace_until()),
            ReasonCode::NotYetValid => format!(" It begins at {}.", claims.not_before),
            ReasonCode::UnknownKey => format!(" Its key is {}.", claims.kid),
            ReasonCode::KeyRetired => format!(" Its key is {}, and it was issued at {}.", claims.kid, claims.issued_at),
            ReasonCode::UnsupportedVersion => format!(" Its plan is `{}`.", claims.plan),
            ReasonCode::WrongAudience => format!(" It is for `{}`.", claims.audience),
            ReasonCode::WrongInstallation => format!(" It is for {}.", claims.install_id.as_deref().unwrap_or("another")),
            _ => String::new(),
        };
        Self { reason, message: format!("{}{particulars}", reason.text()) }
    }
}

impl From<MalformedCode> for CodeRefusal {
    fn from(error: MalformedCode) -> Self {
        let reason = error.reason();
        Self { reason, message: format!("{} More exactly: {error}.", reason.text()) }
    }
}

/// Why a code was not entered.
#[derive(Debug, thiserror::Error)]
pub enum EnterError {
    /// It does not count: 422 with the reason as code.
    #[error(transparent)]
    Refused(#[from] CodeRefusal),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
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
}

impl Licensing {
    /// Licensing over a store.
    #[must_use]
    pub fn new(store: Store, seams: Seams, settings: LicensingSettings) -> Self {
        let noted = Mutex::new(seams.clock.elapsed());
        Self { inner: Arc::new(Inner { store, seams, settings, noted }) }
    }

    /// Moves the high-water mark of the clock on by the time that has passed since the last note: measured, not read off the clock,
    /// so that one set wrongly for an hour leaves no trace.
    ///
    /// # Errors
    /// When it could not be kept; the next note makes up for it.
    pub async fn note_time_passed(&self) -> Result<(), StoreError> {
        let now = self.inner.seams.clock.elapsed();
        let passed = now.saturating_sub(*self.noted());
        self.inner.store.advance_clock_high_water(passed).await?;
        *self.noted() = now;
        Ok(())
    }

    fn noted(&self) -> MutexGuard<'_, Duration> {
        self.inner.noted.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether this build takes development codes and keys: shown on every screen.
    #[must_use]
    pub fn development_build(&self) -> bool {
        self.inner.settings.ring.is_development()
    }

    /// Judges a code as pasted or uploaded and keeps it if its plan would apply. Either way an audit row says so.
    ///
    /// # Errors
    /// [`CodeRefusal`] with the reason, or that the store failed.
    pub async fn enter(&self, text: &str, actor: Actor, address: Option<IpAddr>) -> Result<LicenceStatus, EnterError> {
        let entry = Entry { address, ..Entry::new(self.inner.seams.now(), actor, "license.enter", "activation code") };
        match self.try_enter(text, entry.clone()).await {
            Err(EnterError::Refused(refusal)) => {
                let detail = json!({ "reason": refusal.reason, "message": refusal.message });
                self.inner.store.record_audit(Entry { outcome: Outcome::Refused, detail, ..entry }).await?;
                Err(refusal.into())
            }
            other => other,
        }
    }

    async fn try_enter(&self, text: &str, entry: Entry) -> Result<LicenceStatus, EnterError> {
        let Inner { store, settings, .. } = &*self.inner;
        let code = SignedCode::from_text(text).map_err(CodeRefusal::from)?;
        let facts = store.licence_facts().await?;
        let reason = status::judge_entry(&code, &facts, settings, entry.at);
        if !reason.is_effective() {
            return Err(CodeRefusal::judged(reason, &code).into());
        }
        let claims = code.claims();
        let before = compute(&facts, settings, entry.at);
        let detail = json!({
            "before": { "code": before.claims.map(|claims| claims.jti), "plan": before.plan.key },
            "after": { "code": claims.jti, "customer": claims.customer, "plan": claims.plan, "seq": claims.seq, "expires_at": claims.expires_at },
        });
        let new = NewCode {
            jti: claims.jti.clone(),
            line: code.to_line(),
            customer: claims.customer.clone(),
            seq: claims.seq,
            claims_json: serde_json::to_string(claims).map_err(StoreError::from)?,
            at: entry.at,
            by: entry.actor.as_str().to_owned(),
        };
        let entry = Entry { object: claims.jti.to_string(), detail, ..entry };
        if !store.keep_activation_code(new, entry).await? {
            return Err(CodeRefusal::of(ReasonCode::Superseded).into());
        }
        Ok(self.status().await?)
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
pub fn verify_alone(code: &SignedCode, ring: &KeyRing, now: Timestamp) -> ReasonCode {
    let revoked = BTreeSet::new();
    judge::judge(code, ring, &judge::Circumstances { now, floor: now, install_id: None, others: &[], revoked: &revoked })
}

#[cfg(test)]
#[path = "licensing_tests.rs"]
mod tests;
