//! What can be bought here, and whether that works.

use axum::Json;
use axum::extract::State;
use serde::Serialize;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::http::AppState;
use crate::http::caller::Signed;

/// The routes of this noun.
pub fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::new().routes(routes!(show))
}

#[derive(Serialize, ToSchema)]
struct BillingView {
    /// The checkout of licences for appliances.
    on_prem_checkout: Checkout,
}

#[derive(Serialize, ToSchema)]
struct Checkout {
    /// Only an issuer (`ONSITE=0`) sells.
    offered: bool,
    ready: bool,
    /// Why it is not ready: `onprem_license_signing_not_configured`.
    reasons: Vec<&'static str>,
}

/// Which checkouts are offered and ready.
#[utoipa::path(get, path = "/api/billing", tag = "billing", operation_id = "get_billing", responses((status = 200, body = BillingView)))]
async fn show(State(state): State<AppState>, _: Signed) -> Json<BillingView> {
    let offered = state.issuer.is_enabled();
    let reasons: Vec<&str> = state.issuer.readiness().into_iter().collect();
    Json(BillingView { on_prem_checkout: Checkout { offered, ready: offered && reasons.is_empty(), reasons } })
}
