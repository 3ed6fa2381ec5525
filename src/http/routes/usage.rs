//! What a company and its caller used: the token ledger, read.

use axum::Json;
use axum::extract::State;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::base::clock::Timestamp;
use crate::http::caller::CompanyDev;
use crate::http::extract::ValidQuery;
use crate::http::{ApiError, AppState};
use crate::model::ledger::{self, TokenTransaction};

/// The routes of this noun.
pub fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::new().routes(routes!(show))
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
}

impl From<TokenTransaction> for TransactionView {
    fn from(row: TokenTransaction) -> Self {
        Self {
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
    let days = span.days.unwrap_or(DAYS_DEFAULT);
    if !(1..=DAYS_MAX).contains(&days) {
        return Err(ApiError::invalid("days", format!("A number from 1 to {DAYS_MAX} is expected.")));
    }
    let balance = state.ledger.balance(&member.caller.user.id).await?;
    let ledger::Usage { totals_by_type, by_day, by_model } = state.ledger.usage(&member.company.id, days).await?;
    let statement = state.ledger.statement(&member.caller.user.id, STATEMENT_ROWS).await?;
    Ok(Json(UsageView {
        balance: balance.balance,
        reserved: balance.reserved,
        totals_by_type: totals_by_type.into_iter().map(|total| TypeTotal { tx_type: total.tx_type.as_str(), tokens: total.tokens }).collect(),
        by_day: by_day.into_iter().map(|total| DayTotal { day: total.day, spent: total.spent, earned: total.earned }).collect(),
        by_model: by_model.into_iter().map(|total| ModelTotal { model: total.model, tokens: total.tokens }).collect(),
        transactions: statement.into_iter().map(Into::into).collect(),
    }))
}
