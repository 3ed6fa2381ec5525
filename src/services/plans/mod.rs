//! The one question about plans: may this company do this?

use crate::model::ids::CompanyId;
use crate::model::plans::{self, Feature, Limit, Plan, Refusal, Use};
use crate::services::licensing::Licensing;
use crate::store::StoreError;

/// Why something was not allowed.
#[derive(Debug, thiserror::Error)]
pub enum PlanError {
    /// The plan does not allow it: 402 `plan_limit`.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Answers from the plan that applies at that moment. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Plans {
    licensing: Licensing,
}

impl Plans {
    /// Plans as licensing knows them.
    #[must_use]
    pub const fn new(licensing: Licensing) -> Self {
        Self { licensing }
    }

    /// Whether the company may use so much of a feature.
    ///
    /// # Errors
    /// The refusal with the feature, the limit, the use and the plan that lifts it; or that the store failed.
    pub async fn may(&self, company: &CompanyId, feature: Feature, wanted: Use) -> Result<(), PlanError> {
        Ok(plans::may(&self.of(company).await?, feature, wanted)?)
    }

    /// What the company's plan allows of a feature, for defaults and for showing.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn limit(&self, company: &CompanyId, feature: Feature) -> Result<Limit, StoreError> {
        Ok(self.of(company).await?.limit(feature))
    }

    /// The plan that applies to the company.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn of(&self, company: &CompanyId) -> Result<Plan, StoreError> {
        self.licensing.plan_for(company).await
    }
}
