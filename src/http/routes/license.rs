//! The licence of the appliance: its state, and entering a code or a revocation list.

use axum::Json;
use axum::extract::{DefaultBodyLimit, State};
use serde::Serialize;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::base::clock::Timestamp;
use crate::http::caller::{Fresh, RequestOrigin, Signed, SystemAdmin};
use crate::http::{ApiError, AppState};
use crate::model::audit::Actor;
use crate::model::licence::{Claims, ReasonCode, RecordedNotice};
use crate::model::plans::Feature;
use crate::services::licensing::{LicenceStatus, TakenKind};

use super::license_given::{BODY_BYTES_MAX, Given, NewCode};

/// The routes of this noun.
pub fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::new().routes(routes!(show, enter)).layer(DefaultBodyLimit::max(BODY_BYTES_MAX))
}

/// Shown as the reason while no code was ever entered; every other reason is a [`ReasonCode`].
const NOT_ACTIVATED: &str = "not_activated";

/// The licence as shown.
#[derive(Debug, Serialize, ToSchema)]
struct LicenceView {
    /// `not_activated`, or a reason code: `ok`, `expired_in_grace`, `expired`, …
    reason: &'static str,
    reason_text: &'static str,
    /// What to do about it; empty when all is well.
    remedy: &'static str,
    /// The plan that applies now.
    plan: &'static str,
    plan_title: &'static str,
    customer: Option<String>,
    company: Option<String>,
    seats: Seats,
    #[schema(value_type = Option<String>, format = DateTime)]
    issued_at: Option<Timestamp>,
    #[schema(value_type = Option<String>, format = DateTime)]
    not_before: Option<Timestamp>,
    #[schema(value_type = Option<String>, format = DateTime)]
    expires_at: Option<Timestamp>,
    #[schema(value_type = Option<String>, format = DateTime)]
    grace_until: Option<Timestamp>,
    /// Days until the code ends; 0 once it has.
    days_left: Option<u32>,
    /// The notice that is due: 60, 30, 14, 7 or 1 days before the end.
    notice_days: Option<u32>,
    /// A moment known to have passed that the server's clock is more than a day behind.
    #[schema(value_type = Option<String>, format = DateTime)]
    clock_suspect: Option<Timestamp>,
    install_id: Option<String>,
    development_build: bool,
    features: Vec<FeatureView>,
    /// The vendor key that signed.
    key_id: Option<String>,
    /// The one installation the code is for; null = any.
    bound_to: Option<String>,
    /// The vendor's revocation list that counts.
    revocations: Option<RevocationsView>,
    /// What was said as the code neared its end, the oldest first.
    notices: Vec<LicenceNotice>,
    /// What was entered just now: `activation_code` or `revocation_list`; null when the licence is only looked at.
    entered: Option<&'static str>,
}

#[derive(Debug, Serialize, ToSchema)]
struct RevocationsView {
    number: u64,
    #[schema(value_type = String, format = DateTime)]
    issued_at: Timestamp,
    /// How many codes are on it.
    codes: usize,
}

/// A step on the way to a code's end.
#[derive(Debug, Serialize, ToSchema)]
struct LicenceNotice {
    /// `days_60`, `days_30`, `days_14`, `days_7`, `days_1`, `grace`, `free_tier` or `clock_suspect`.
    step: String,
    #[schema(value_type = String, format = DateTime)]
    at: Timestamp,
}

#[derive(Debug, Serialize, ToSchema)]
struct Seats {
    /// `null` = unlimited.
    allowed: Option<u64>,
    used: u64,
}

#[derive(Debug, Serialize, ToSchema)]
struct FeatureView {
    key: &'static str,
    title: &'static str,
    /// `null` = unlimited, or a feature that is on or off.
    limit: Option<u64>,
    enabled: bool,
}

impl LicenceView {
    async fn of(state: &AppState, status: LicenceStatus) -> Result<Self, ApiError> {
        let notices = state.licensing.notices(&status).await?;
        let notice = |notice: RecordedNotice| LicenceNotice { step: notice.step, at: notice.at };
        Ok(Self { notices: notices.into_iter().map(notice).collect(), ..Self::from(status) })
    }
}

impl From<LicenceStatus> for LicenceView {
    fn from(status: LicenceStatus) -> Self {
        let feature = |&feature: &Feature| {
            let limit = status.plan.limit(feature);
            let shown = if feature.is_switch() { None } else { limit.number() };
            FeatureView { key: feature.key(), title: feature.title(), limit: shown, enabled: limit.allows(1) }
        };
        let claim = |read: fn(&Claims) -> Timestamp| status.claims.as_ref().map(read);
        Self {
            reason: status.reason.map_or(NOT_ACTIVATED, ReasonCode::as_str),
            reason_text: status.reason.map_or("No activation code was entered: the free tier applies.", ReasonCode::text),
            remedy: status.reason.map_or("Enter the code from your vendor.", ReasonCode::remedy),
            plan: status.plan.key,
            plan_title: status.plan.title,
            customer: status.claims.as_ref().map(|claims| claims.customer.clone()),
            company: status.claims.as_ref().map(|claims| claims.company.clone()),
            seats: Seats { allowed: status.seats().number(), used: status.seats_used },
            issued_at: claim(|claims| claims.issued_at),
            not_before: claim(|claims| claims.not_before),
            expires_at: claim(|claims| claims.expires_at),
            grace_until: status.grace_until(),
            days_left: status.days_left,
            notice_days: status.notice_days,
            clock_suspect: status.clock_suspect,
            install_id: status.install_id.clone(),
            development_build: status.development_build,
            features: Feature::ALL.iter().map(feature).collect(),
            key_id: status.claims.as_ref().map(|claims| claims.kid.clone()),
            bound_to: status.claims.as_ref().and_then(|claims| claims.install_id.clone()),
            revocations: status.revocations.map(|held| RevocationsView { number: held.number, issued_at: held.issued_at, codes: held.codes }),
            notices: Vec::new(),
            entered: None,
        }
    }
}

/// The state of the licence.
#[utoipa::path(get, path = "/api/license", tag = "license", operation_id = "get_license", responses((status = 200, body = LicenceView)))]
async fn show(State(state): State<AppState>, _: Signed) -> Result<Json<LicenceView>, ApiError> {
    let status = state.licensing.status().await?;
    Ok(Json(LicenceView::of(&state, status).await?))
}

/// Enters a code or a revocation list: as JSON, as plain text, as an uploaded file, or as a picture (PNG, JPEG) of its QR code. It counts at once.
#[utoipa::path(post, path = "/api/license", tag = "license", operation_id = "enter_license",
    request_body(content((NewCode = "application/json"), (String = "text/plain"), (String = "multipart/form-data"), (String = "image/png"))),
    responses((status = 200, body = LicenceView), (status = 403, description = "`step_up_required`"), (status = 422, description = "The reason code, in words, with a remedy; or `picture_unreadable`")))]
async fn enter(
    State(state): State<AppState>,
    SystemAdmin(caller): SystemAdmin,
    _: Fresh,
    RequestOrigin(origin): RequestOrigin,
    given: Given,
) -> Result<Json<LicenceView>, ApiError> {
    let text = given.text(&state.tasks).await?;
    let taken = state.licensing.enter(&text, Actor::User(Some(caller.user.id)), origin.address).await?;
    let entered = match taken.kind {
        TakenKind::Code => "activation_code",
        TakenKind::Revocations => "revocation_list",
    };
    Ok(Json(LicenceView { entered: Some(entered), ..LicenceView::of(&state, taken.status).await? }))
}
