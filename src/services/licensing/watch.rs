//! The ladder: what is due to be said about the licence, recorded once each.

use serde_json::json;

use super::{LicenceStatus, Licensing};
use crate::model::audit::{Actor, Entry};
use crate::model::licence::{Notice, ReasonCode, RecordedNotice};
use crate::store::StoreError;

/// Stands for the code where there is none.
const NO_CODE: &str = "none";

impl LicenceStatus {
    /// The step on the way to the end that has been reached.
    #[must_use]
    pub fn notice(&self) -> Option<Notice> {
        match self.reason? {
            reason if !reason.is_effective() => Some(Notice::FreeTier),
            ReasonCode::ExpiredInGrace => Some(Notice::Grace),
            _ => self.notice_days.map(Notice::Days),
        }
    }
}

impl Licensing {
    /// Records what is due and was not recorded before. Steps that passed while the appliance was off are passed over: the one that is
    /// reached says more.
    ///
    /// # Errors
    /// When the store fails; the next look makes up for it.
    pub async fn watch(&self) -> Result<(), StoreError> {
        let status = self.status().await?;
        let suspect = status.clock_suspect.map(|_| Notice::ClockSuspect);
        for notice in [status.notice(), suspect].into_iter().flatten() {
            self.record(notice, &status).await?;
        }
        Ok(())
    }

    async fn record(&self, notice: Notice, status: &LicenceStatus) -> Result<(), StoreError> {
        let jti = status.claims.as_ref().map_or(NO_CODE, |claims| claims.jti.as_str()).to_owned();
        let detail = json!({
            "step": notice.to_string(), "reason": status.reason, "plan": status.plan.key, "days_left": status.days_left,
            "expires_at": status.claims.as_ref().map(|claims| claims.expires_at), "grace_until": status.grace_until(),
            "clock_should_be_after": status.clock_suspect,
        });
        let entry = Entry::new(self.inner.seams.now(), Actor::System, "license.notice", jti.clone()).detail(detail);
        if self.inner.store.record_licence_notice(jti, notice.to_string(), entry).await? {
            tracing::warn!(step = %notice, plan = status.plan.key, days_left = status.days_left, "the licence needs attention: see Appliance, Licence");
        }
        Ok(())
    }

    /// What was said about the current code, the oldest first.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn notices(&self, status: &LicenceStatus) -> Result<Vec<RecordedNotice>, StoreError> {
        let jti = status.claims.as_ref().map_or(NO_CODE, |claims| claims.jti.as_str());
        self.inner.store.licence_notices(jti.to_owned()).await
    }
}
