//! Refusals of the services that many routes share, as HTTP answers.

use axum::http::StatusCode;

use super::errors::ApiError;
use crate::model::ledger::InsufficientTokens;
use crate::model::plans::Refusal;
use crate::services::ledger::LedgerError;
use crate::services::licensing::{CodeRefusal, EnterError};
use crate::services::plans::PlanError;

impl From<CodeRefusal> for ApiError {
    fn from(refusal: CodeRefusal) -> Self {
        let remedy = refusal.remedy();
        Self::new(StatusCode::UNPROCESSABLE_ENTITY, refusal.reason.as_str(), refusal.message).field("code").remedy(remedy)
    }
}

impl From<EnterError> for ApiError {
    fn from(error: EnterError) -> Self {
        match error {
            EnterError::Refused(refusal) => refusal.into(),
            EnterError::Store(error) => error.into(),
        }
    }
}

impl From<Refusal> for ApiError {
    fn from(refusal: Refusal) -> Self {
        Self::new(StatusCode::PAYMENT_REQUIRED, "plan_limit", refusal.to_string())
            .remedy(refusal.remedy())
            .fact("feature", refusal.feature.key())
            .fact("limit", refusal.limit)
            .fact("used", refusal.used)
            .fact("plan", refusal.lifted_by.map(|plan| plan.key))
    }
}

impl From<PlanError> for ApiError {
    fn from(error: PlanError) -> Self {
        match error {
            PlanError::Refused(refusal) => refusal.into(),
            PlanError::Store(error) => error.into(),
        }
    }
}

impl From<InsufficientTokens> for ApiError {
    fn from(refusal: InsufficientTokens) -> Self {
        let message = format!("This needs {} tokens, and {} are available.", refusal.needed, refusal.available);
        let remedy = match refusal.next_grant_at {
            Some(at) => format!("Ask for less, or wait for the daily grant at {at}; an administrator can grant more."),
            None => "Ask for less, or ask an administrator to grant more.".to_owned(),
        };
        Self::new(StatusCode::PAYMENT_REQUIRED, "insufficient_tokens", message)
            .remedy(remedy)
            .fact("needed", refusal.needed)
            .fact("available", refusal.available)
            .fact("next_grant_at", refusal.next_grant_at.map(|at| at.to_string()))
    }
}

impl From<LedgerError> for ApiError {
    fn from(error: LedgerError) -> Self {
        match error {
            LedgerError::Insufficient(refusal) => refusal.into(),
            LedgerError::Store(error) => error.into(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::plans::{Feature, Plan, Use, may};
    use axum::body::to_bytes;
    use axum::response::IntoResponse;

    async fn body(error: ApiError) -> (StatusCode, serde_json::Value) {
        let response = error.into_response();
        let status = response.status();
        (status, serde_json::from_slice(&to_bytes(response.into_body(), 10_000).await.unwrap()).unwrap())
    }

    #[tokio::test]
    async fn a_refusal_by_plan_carries_feature_limit_use_and_the_plan_that_lifts_it() {
        let refusal = may(&Plan::free(), Feature::MaxWidgets, Use::one_more(3)).unwrap_err();
        let (status, body) = body(refusal.into()).await;
        let error = &body["error"];
        assert_eq!((status.as_u16(), error["code"].as_str()), (402, Some("plan_limit")));
        assert_eq!(
            (&error["feature"], &error["limit"], &error["used"], &error["plan"]),
            (&"max_widgets".into(), &3.into(), &3.into(), &"team".into())
        );
    }

    #[tokio::test]
    async fn too_few_tokens_say_how_many_and_when_more_come() {
        let at = "2026-11-22T00:00:00Z".parse().unwrap();
        let (status, body) = body(InsufficientTokens { needed: 9, available: 4, next_grant_at: Some(at) }.into()).await;
        assert_eq!((status.as_u16(), &body["error"]["code"], &body["error"]["needed"]), (402, &"insufficient_tokens".into(), &9.into()));
        assert_eq!(body["error"]["next_grant_at"], "2026-11-22T00:00:00.000Z");
    }
}
