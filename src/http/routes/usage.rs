//! What a company and its caller used: the token ledger, read.

use std::collections::HashMap;

use axum::Json;
use axum::extract::State;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::base::clock::Timestamp;
use crate::http::caller::{CompanyAdmin, CompanyDev, CompanyMember};
use crate::http::errors::ErrorEnvelope;
use crate::http::extract::ValidQuery;
use crate::http::{ApiError, AppState};
use crate::model::company::MemberUse;
use crate::model::ids::UserId;
use crate::model::ledger::{self, TokenTransaction};
use crate::model::role::Role;
use crate::model::user::Email;

/// The routes of this noun.
pub fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::new().routes(routes!(show)).routes(routes!(mine)).routes(routes!(members))
}

/// Rows of the caller's own statement.
const STATEMENT_ROWS: u32 = 100;
const DAYS_DEFAULT: u16 = 30;
const DAYS_MAX: u16 = 366;

#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
struct Span {
    /// Days back from now, 1 to 366; 30 when not given.
    days: Option<u16>,
}

impl Span {
    fn checked(&self) -> Result<u16, ApiError> {
        let days = self.days.unwrap_or(DAYS_DEFAULT);
        if (1..=DAYS_MAX).contains(&days) { Ok(days) } else { Err(ApiError::invalid("days", format!("A number from 1 to {DAYS_MAX} is expected."))) }
    }
}

/// A company's use, and the caller's balance and latest rows.
#[derive(Debug, Serialize, ToSchema)]
struct UsageView {
    /// Tokens the caller has.
    balance: u64,
    /// Of these, held back for work that is under way.
    reserved: u64,
    totals_by_type: Vec<TypeTotal>,
    by_day: Vec<DayTotal>,
    by_model: Vec<ModelTotal>,
    /// The caller's own rows, newest first.
    transactions: Vec<TransactionView>,
}

/// The caller's own balance and latest rows.
#[derive(Debug, Serialize, ToSchema)]
struct OwnUsageView {
    /// Tokens the caller has.
    balance: u64,
    /// Of these, held back for work that is under way.
    reserved: u64,
    /// The caller's own rows, newest first.
    transactions: Vec<TransactionView>,
}

#[derive(Debug, Serialize, ToSchema)]
struct TypeTotal {
    tx_type: &'static str,
    tokens: u64,
}

#[derive(Debug, Serialize, ToSchema)]
struct DayTotal {
    /// `YYYY-MM-DD`, UTC.
    day: String,
    spent: u64,
    earned: u64,
}

#[derive(Debug, Serialize, ToSchema)]
struct ModelTotal {
    model: String,
    tokens: u64,
}

#[derive(Serialize, ToSchema)]
struct MemberUseList {
    members: Vec<MemberUseView>,
}

/// What one member used in the company.
#[derive(Serialize, ToSchema)]
#[schema(as = MemberUse)]
struct MemberUseView {
    #[schema(value_type = String)]
    user_id: UserId,
    name: String,
    #[schema(value_type = String)]
    email: Email,
    /// Their role in the company; null = they left it.
    #[schema(value_type = Option<String>)]
    role: Option<Role>,
    /// Tokens they spent.
    tokens: u64,
    /// The rows of the ledger that say so.
    entries: u64,
    #[schema(value_type = String, format = DateTime)]
    last_at: Timestamp,
}

impl From<MemberUse> for MemberUseView {
    fn from(MemberUse { user, role, spent, entries, last_at }: MemberUse) -> Self {
        Self { user_id: user.id, name: user.name, email: user.email, role, tokens: spent, entries, last_at }
    }
}

#[derive(Debug, Serialize, ToSchema)]
struct TransactionView {
    id: String,
    #[schema(value_type = String, format = DateTime)]
    created_at: Timestamp,
    tx_type: &'static str,
    /// Negative for spends.
    amount: i64,
    balance_after: i64,
    reference_key: String,
    reference_id: String,
    /// What that is called, where it is of this company: the automation of a run, a conversation, a document.
    reference_name: Option<String>,
}

impl TransactionView {
    fn new(row: TokenTransaction, names: &HashMap<String, String>) -> Self {
        Self {
            reference_name: names.get(&row.reference_id).cloned(),
            id: row.id,
            created_at: row.created_at,
            tx_type: row.tx_type.as_str(),
            amount: row.amount,
            balance_after: row.balance_after,
            reference_key: row.reference_key,
            reference_id: row.reference_id,
        }
    }
}

/// What the company used, by type, day and model.
#[utoipa::path(get, path = "/api/companies/{company}/usage", tag = "usage", operation_id = "get_usage", params(("company" = String, Path), Span),
    responses((status = 200, body = UsageView)))]
async fn show(
    State(state): State<AppState>,
    CompanyDev(member): CompanyDev,
    ValidQuery(span): ValidQuery<Span>,
) -> Result<Json<UsageView>, ApiError> {
    let days = span.checked()?;
    let OwnUsageView { balance, reserved, transactions } = own(&state, &member).await?;
    let ledger::Usage { totals_by_type, by_day, by_model } = state.ledger.usage(&member.company.id, days).await?;
    Ok(Json(UsageView {
        balance,
        reserved,
        totals_by_type: totals_by_type.into_iter().map(|total| TypeTotal { tx_type: total.tx_type.as_str(), tokens: total.tokens }).collect(),
        by_day: by_day.into_iter().map(|total| DayTotal { day: total.day, spent: total.spent, earned: total.earned }).collect(),
        by_model: by_model.into_iter().map(|total| ModelTotal { model: total.model, tokens: total.tokens }).collect(),
        transactions,
    }))
}

/// What each member used, the most first, those who left since included: for whoever looks after the members. The 500 who used the most.
#[utoipa::path(get, path = "/api/companies/{company}/usage/members", tag = "usage", operation_id = "get_member_usage", params(("company" = String, Path), Span),
    responses((status = 200, body = MemberUseList), (status = 403, body = ErrorEnvelope), (status = 404, body = ErrorEnvelope)))]
async fn members(
    State(state): State<AppState>,
    CompanyAdmin(admin): CompanyAdmin,
    ValidQuery(span): ValidQuery<Span>,
) -> Result<Json<MemberUseList>, ApiError> {
    let members = state.ledger.member_use(&admin.company.id, span.checked()?).await?;
    Ok(Json(MemberUseList { members: members.into_iter().map(MemberUseView::from).collect() }))
}

/// What the caller has and used themselves, whatever their role: what work costs is seen by whoever pays for it.
#[utoipa::path(get, path = "/api/companies/{company}/usage/me", tag = "usage", operation_id = "get_own_usage", params(("company" = String, Path)),
    responses((status = 200, body = OwnUsageView), (status = 404, body = ErrorEnvelope)))]
async fn mine(State(state): State<AppState>, member: CompanyMember) -> Result<Json<OwnUsageView>, ApiError> {
    Ok(Json(own(&state, &member).await?))
}

async fn own(state: &AppState, member: &CompanyMember) -> Result<OwnUsageView, ApiError> {
    let user = &member.user().id;
    let balance = state.ledger.balance(user).await?;
    let statement = state.ledger.statement(user, STATEMENT_ROWS).await?;
    let names = state.ledger.work_names(&member.company.id, &statement).await?;
    let transactions = statement.into_iter().map(|row| TransactionView::new(row, &names)).collect();
    Ok(OwnUsageView { balance: balance.balance, reserved: balance.reserved, transactions })
}
