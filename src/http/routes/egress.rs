//! What may leave the machine, and what did: for system admins.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::base::clock::Timestamp;
use crate::http::caller::{Ids, RequestOrigin, SystemAdmin};
use crate::http::errors::ErrorEnvelope;
use crate::http::extract::{ValidJson, ValidQuery};
use crate::http::{ApiError, AppState};
use crate::model::audit::Actor;
use crate::model::egress::{EgressLogRow, EgressRule, Purpose, RuleDraft};
use crate::model::ids::{CompanyId, EgressRuleId};
use crate::services::egress::AddRuleError;

/// Most rows of the log in one answer.
const LOG_ROWS_MAX: u32 = 1_000;
const LOG_ROWS_DEFAULT: u32 = 100;

/// The routes of this noun.
pub fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::new().routes(routes!(list, add)).routes(routes!(remove)).routes(routes!(log))
}

/// An allowed destination.
#[derive(Serialize, ToSchema)]
#[schema(as = EgressRule)]
struct RuleView {
    #[schema(value_type = String, example = "egr_01k9zx3v8e2m4q6s8t0w2y4a6c")]
    id: EgressRuleId,
    /// A host, `*.host` (every host below it), `*` (every public host), an address or a network.
    #[schema(example = "*.example.com")]
    destination: String,
    /// One port; `null` = every port.
    port: Option<u16>,
    /// Whether the host may resolve to an address that is not public.
    allow_private: bool,
    reason: String,
    created_by: String,
    #[schema(value_type = String)]
    created_at: Timestamp,
}

impl From<EgressRule> for RuleView {
    fn from(rule: EgressRule) -> Self {
        let EgressRule { id, destination, port, allow_private, reason, created_by, created_at } = rule;
        Self { id, destination: destination.to_string(), port, allow_private, reason, created_by, created_at }
    }
}

#[derive(Serialize, ToSchema)]
struct Rules {
    rules: Vec<RuleView>,
}

/// The rules in force, oldest first. Without any, nothing leaves.
#[utoipa::path(get, path = "/api/system-admin/egress/rules", tag = "egress", operation_id = "list_egress_rules", responses((status = 200, body = Rules), (status = 404, body = ErrorEnvelope)))]
async fn list(_admin: SystemAdmin, State(state): State<AppState>) -> Json<Rules> {
    Json(Rules { rules: state.egress.rules().into_iter().map(Into::into).collect() })
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct NewRule {
    /// A host, `*.host`, `*`, an address or a network.
    destination: String,
    /// One port; none = every port.
    #[serde(default)]
    port: Option<u16>,
    /// Whether the host may resolve to an address that is not public. An address or network says so itself.
    #[serde(default)]
    allow_private: bool,
    /// Why it is allowed.
    reason: String,
}

/// Allows a destination, from now on.
#[utoipa::path(
    post, path = "/api/system-admin/egress/rules", tag = "egress", operation_id = "add_egress_rule", request_body = NewRule,
    responses((status = 201, body = RuleView), (status = 409, body = ErrorEnvelope), (status = 422, body = ErrorEnvelope))
)]
async fn add(
    SystemAdmin(caller): SystemAdmin,
    RequestOrigin(origin): RequestOrigin,
    State(state): State<AppState>,
    ValidJson(new): ValidJson<NewRule>,
) -> Result<(StatusCode, Json<RuleView>), ApiError> {
    let NewRule { destination, port, allow_private, reason } = new;
    let rule =
        state.egress.add_rule(&RuleDraft { destination, port, allow_private, reason }, &Actor::User(Some(caller.user.id)), origin.address).await?;
    Ok((StatusCode::CREATED, Json(rule.into())))
}

/// Stops allowing a destination. What is under way ends by itself.
#[utoipa::path(
    delete, path = "/api/system-admin/egress/rules/{id}", tag = "egress", operation_id = "remove_egress_rule", params(("id" = String, Path)),
    responses((status = 204), (status = 404, body = ErrorEnvelope))
)]
async fn remove(
    SystemAdmin(caller): SystemAdmin,
    RequestOrigin(origin): RequestOrigin,
    State(state): State<AppState>,
    Ids(id): Ids<EgressRuleId>,
) -> Result<StatusCode, ApiError> {
    state.egress.remove_rule(&id, Actor::User(Some(caller.user.id)), origin.address).await?.ok_or_else(ApiError::not_found)?;
    Ok(StatusCode::NO_CONTENT)
}

impl From<AddRuleError> for ApiError {
    fn from(error: AddRuleError) -> Self {
        let message = error.to_string();
        match error {
            AddRuleError::Invalid(invalid) => Self::invalid(invalid.field, invalid.message).remedy(invalid.remedy),
            AddRuleError::Exists { id, .. } => Self::conflict("egress_rule_exists", message)
                .field("destination")
                .remedy("Nothing is to be done; to change it, remove that rule first.")
                .fact("id", id.as_str()),
            AddRuleError::Full => Self::conflict("egress_rules_full", message).remedy("Remove rules, or allow a network or *.host in place of many."),
            AddRuleError::Store(error) => error.into(),
        }
    }
}

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
struct LogQuery {
    /// Most rows, 1 to 1000.
    #[serde(default)]
    limit: Option<u32>,
    /// Only rows before this one: the `id` of the last row of the answer before.
    #[serde(default)]
    before: Option<i64>,
}

/// One attempt to reach one destination.
#[derive(Serialize, ToSchema)]
struct EgressAttempt {
    id: i64,
    #[schema(value_type = String)]
    at: Timestamp,
    #[schema(value_type = Option<String>)]
    company_id: Option<CompanyId>,
    /// `collect`, `model` or `embedding`.
    #[schema(value_type = String)]
    purpose: Purpose,
    method: String,
    /// `scheme://host:port/path`, never the query.
    destination: String,
    /// The address that was connected to, or refused.
    address: Option<String>,
    /// `ok`, or why not: `not_allowed`, `dns`, `connect`, `tls`, `timeout`, `too_large`, `redirect_loop`, `bad_url`, `protocol`, `cancelled`.
    outcome: String,
    /// The outcome in words, when it is not `ok`.
    reason: Option<&'static str>,
    /// The HTTP status of the answer.
    status: Option<u16>,
    /// Body bytes received.
    bytes_received: u64,
    /// Body bytes sent.
    bytes_sent: u64,
    duration_millis: u64,
}

impl From<EgressLogRow> for EgressAttempt {
    fn from(row: EgressLogRow) -> Self {
        Self {
            id: row.id,
            at: row.at,
            company_id: row.company,
            purpose: row.purpose,
            method: row.method,
            destination: row.destination,
            address: row.address,
            reason: in_words(&row.outcome),
            outcome: row.outcome,
            status: row.status,
            bytes_received: row.bytes_received,
            bytes_sent: row.bytes_sent,
            duration_millis: row.duration_millis,
        }
    }
}

fn in_words(outcome: &str) -> Option<&'static str> {
    Some(match outcome {
        "not_allowed" => "No egress rule allows it.",
        "dns" => "The name has no address that could be found.",
        "connect" => "The server was not reached, or ended the connection too early.",
        "tls" => "No secure connection could be made.",
        "timeout" => "It took too long.",
        "too_large" => "The answer was larger than its limit.",
        "redirect_loop" => "Its redirects did not end.",
        "bad_url" => "It is not an address that is fetched.",
        "protocol" => "The server did not answer as a web server should.",
        "cancelled" => "Whoever asked no longer wanted it.",
        _ => return None,
    })
}

#[derive(Serialize, ToSchema)]
struct Log {
    log: Vec<EgressAttempt>,
}

/// What was tried, newest first: everything that left or was refused.
#[utoipa::path(get, path = "/api/system-admin/egress/log", tag = "egress", operation_id = "list_egress_attempts", params(LogQuery), responses((status = 200, body = Log), (status = 404, body = ErrorEnvelope)))]
async fn log(_admin: SystemAdmin, State(state): State<AppState>, ValidQuery(query): ValidQuery<LogQuery>) -> Result<Json<Log>, ApiError> {
    let limit = query.limit.unwrap_or(LOG_ROWS_DEFAULT).clamp(1, LOG_ROWS_MAX);
    let rows = state.egress.recent(limit, query.before).await?;
    Ok(Json(Log { log: rows.into_iter().map(Into::into).collect() }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_says_why() {
        let row = EgressLogRow {
            id: 1,
            at: Timestamp::from_millis(0),
            company: None,
            purpose: Purpose::Collect,
            method: "GET".into(),
            destination: "https://a.example:443/x".into(),
            address: None,
            outcome: "not_allowed".into(),
            status: None,
            bytes_sent: 0,
            bytes_received: 0,
            duration_millis: 0,
        };
        let view = EgressAttempt::from(row);
        assert_eq!((view.outcome.as_str(), view.reason), ("not_allowed", Some("No egress rule allows it.")));
    }
}
