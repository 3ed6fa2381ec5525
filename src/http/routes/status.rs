//! What the top line of every page shows, and the settings with their origin.

use axum::Json;
use axum::extract::State;
use serde::Serialize;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::base::clock::Timestamp;
use crate::config::definition::Used;
use crate::config::definitions;
use crate::http::caller::{Signed, SystemAdmin};
use crate::http::{ApiError, AppState};
use crate::model::licence::ReasonCode;

/// The routes of this noun.
pub fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::new().routes(routes!(status)).routes(routes!(settings))
}

#[derive(Debug, Serialize, ToSchema)]
struct Status {
    version: &'static str,
    development_build: bool,
    /// Whether this process issues activation codes (`ONSITE=0`).
    issuer: bool,
    licence: LicenceChip,
    egress: EgressChip,
    work: Work,
}

#[derive(Debug, Serialize, ToSchema)]
struct LicenceChip {
    /// `not_activated` or a reason code.
    reason: &'static str,
    plan: &'static str,
    #[schema(value_type = Option<String>, format = DateTime)]
    expires_at: Option<Timestamp>,
    /// The end of the days of grace.
    #[schema(value_type = Option<String>, format = DateTime)]
    grace_until: Option<Timestamp>,
    /// Days until the code ends; 0 once it has.
    days_left: Option<u32>,
    /// The step on the way to the end that has been reached: `days_60` to `days_1`, `grace`, `free_tier`.
    notice: Option<String>,
    /// A moment known to have passed that the server's clock is more than a day behind.
    #[schema(value_type = Option<String>, format = DateTime)]
    clock_suspect: Option<Timestamp>,
}

#[derive(Debug, Serialize, ToSchema)]
struct EgressChip {
    /// Destinations allowed.
    rules: usize,
}

#[derive(Debug, Serialize, ToSchema)]
struct Work {
    running_runs: u32,
    running_chats: u64,
    ingesting: u32,
}

/// What the top line shows: licence, destinations allowed, running work.
#[utoipa::path(get, path = "/api/status", tag = "status", responses((status = 200, body = Status)))]
async fn status(State(state): State<AppState>, _: Signed) -> Result<Json<Status>, ApiError> {
    let licence = state.licensing.status().await?;
    let runs = state.automations.counts().await?;
    Ok(Json(Status {
        version: state.facts.version,
        development_build: licence.development_build,
        issuer: state.issuer.is_enabled(),
        licence: LicenceChip {
            reason: licence.reason.map_or("not_activated", ReasonCode::as_str),
            plan: licence.plan.key,
            expires_at: licence.claims.as_ref().map(|claims| claims.expires_at),
            grace_until: licence.grace_until(),
            days_left: licence.days_left,
            notice: licence.notice().map(|notice| notice.to_string()),
            clock_suspect: licence.clock_suspect,
        },
        egress: EgressChip { rules: state.egress.rules().len() },
        work: Work { running_runs: runs.queued + runs.working, running_chats: state.chat.active_runs().await?, ingesting: runs.ingesting },
    }))
}

#[derive(Debug, Serialize, ToSchema)]
struct Settings {
    settings: Vec<Setting>,
}

#[derive(Debug, Serialize, ToSchema)]
struct Setting {
    name: &'static str,
    /// Secrets are not shown.
    value: String,
    /// `flag`, `environment`, `default`, or the file it came from.
    origin: String,
    meaning: &'static str,
    /// What may stand there.
    expected: String,
    /// `used`, or `not_used_yet`: read and checked, but this version does not act on it.
    state: &'static str,
}

/// Every setting with value and origin.
#[utoipa::path(get, path = "/api/system-admin/settings", tag = "system-admin", responses((status = 200, body = Settings)))]
async fn settings(State(state): State<AppState>, _: SystemAdmin) -> Json<Settings> {
    let config = &state.config;
    let settings = definitions()
        .map(|definition| Setting {
            name: definition.name,
            value: config.shown(definition),
            origin: config.values.get(definition.name).map_or_else(String::new, |value| value.origin.to_string()),
            meaning: definition.meaning.trim(),
            expected: definition.kind.expected(),
            state: if definition.used == Used::Yes { "used" } else { "not_used_yet" },
        })
        .collect();
    Json(Settings { settings })
}
