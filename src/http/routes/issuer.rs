//! The issuer (`ONSITE=0`): orders for activation codes and the codes that come of them. On an appliance none of this is there.

use std::collections::BTreeMap;

use axum::Json;
use axum::extract::{FromRef, FromRequestParts, State};
use axum::http::StatusCode;
use axum::http::request::Parts;
use axum::response::Response;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::license_request::svg;
use crate::base::clock::Timestamp;
use crate::base::text::sentence;
use crate::features::issuer::OrderError;
use crate::http::caller::{Ids, RequestOrigin, SystemAdmin};
use crate::http::errors::ErrorEnvelope;
use crate::http::extract::ValidJson;
use crate::http::{ApiError, AppState};
use crate::model::ids::{IssueRequestId, LicenceId};
use crate::model::issuer::{IssueOrder, IssueRequest, IssueState, SIGNING_NOT_CONFIGURED};
use crate::model::licence::text::CODE;
use crate::model::licence::{Environment, GRACE_DAYS_DEFAULT, LicenceRequest};
use crate::model::plans::{FREE, PLANS};
use crate::model::user::Caller;
use crate::services::licensing::issue::IssueError;

/// Days a code lasts when the order does not say.
const DAYS_DEFAULT: u32 = 365;

/// The routes of this noun.
pub fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::new()
        .routes(routes!(overview))
        .routes(routes!(list, order))
        .routes(routes!(show, withdraw))
        .routes(routes!(sign))
        .routes(routes!(picture))
}

/// A system admin of an issuer. To anybody else, and on an appliance, the route is not there.
#[derive(Clone, Debug)]
struct IssuerAdmin(Caller);

impl<S> FromRequestParts<S> for IssuerAdmin
where
    S: Send + Sync,
    AppState: FromRef<S>,
{
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        let SystemAdmin(caller) = SystemAdmin::from_request_parts(parts, state).await?;
        if AppState::from_ref(state).issuer.is_enabled() { Ok(Self(caller)) } else { Err(ApiError::not_found()) }
    }
}

#[derive(Serialize, ToSchema)]
struct IssuerView {
    signing: SigningView,
    /// Orders that wait for a key.
    pending: u64,
    /// Keys of the plans that can be ordered.
    plans: Vec<&'static str>,
}

#[derive(Serialize, ToSchema)]
struct SigningView {
    ready: bool,
    /// The key that signs.
    key_id: Option<String>,
    /// `onprem_license_signing_not_configured` when orders have to wait.
    reason: Option<&'static str>,
    /// Why, and what to do.
    message: Option<String>,
}

/// Whether orders can be signed, and how many wait.
#[utoipa::path(get, path = "/api/issuer", tag = "issuer", operation_id = "get_issuer", responses(
    (status = 200, body = IssuerView),
    (status = 404, description = "Not an issuer, or not a system admin", body = ErrorEnvelope),
))]
async fn overview(State(state): State<AppState>, _: IssuerAdmin) -> Result<Json<IssuerView>, ApiError> {
    let signing = state.issuer.signing();
    let why = signing.key_at(state.seams.now()).err();
    let remedy = "Orders are kept and signed once the issuer is started with the right keys.";
    Ok(Json(IssuerView {
        signing: SigningView {
            ready: why.is_none(),
            key_id: signing.kid().map(str::to_owned),
            reason: why.is_some().then_some(SIGNING_NOT_CONFIGURED),
            message: why.map(|why| format!("{why} {remedy}")),
        },
        pending: state.issuer.pending_count().await?,
        // Nobody orders what applies without a code.
        plans: PLANS.iter().map(|plan| plan.key).filter(|key| *key != FREE).collect(),
    }))
}

/// An order.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct NewIssueRequest {
    /// The customer's key in your books: codes are counted per customer.
    customer: String,
    /// The company as the appliance shows it; that of `request` when not given.
    company: Option<String>,
    /// Key of the plan.
    plan: String,
    /// Active users; the plan's number when not given.
    seats: Option<u32>,
    /// Limits that differ from the plan's; null = unlimited.
    #[serde(default)]
    features: BTreeMap<String, Option<u64>>,
    /// Days it lasts; 365 when not given.
    days: Option<u32>,
    /// Days of grace; 14 when not given.
    grace_days: Option<u32>,
    /// When it begins; when it is signed, if not given.
    #[schema(value_type = Option<String>, format = DateTime)]
    not_before: Option<Timestamp>,
    /// The one installation it is for.
    install_id: Option<String>,
    /// The customer's licence request (line or file): binds the code to that installation.
    request: Option<String>,
    /// Ids of codes that end with this one.
    #[serde(default)]
    #[schema(value_type = Vec<String>)]
    supersedes: Vec<LicenceId>,
    /// A code that only development builds take.
    #[serde(default)]
    development: bool,
}

impl NewIssueRequest {
    fn order(self) -> Result<IssueOrder, ApiError> {
        let not_a_request = |error| ApiError::invalid("request", sentence(format!("the request cannot be read: {error}")));
        let request = self.request.as_deref().map(str::trim).filter(|text| !text.is_empty());
        let request = request.map(LicenceRequest::from_text).transpose().map_err(not_a_request)?;
        let company = self.company.filter(|company| !company.trim().is_empty()).or_else(|| request.as_ref()?.company.clone());
        let company = company.ok_or_else(|| ApiError::invalid("company", "The order names no company, and neither does the request."))?;
        Ok(IssueOrder {
            customer: self.customer.trim().to_owned(),
            company: company.trim().to_owned(),
            plan: self.plan,
            features: self.features,
            seats: self.seats,
            not_before: self.not_before,
            days: self.days.unwrap_or(DAYS_DEFAULT),
            grace_days: self.grace_days.unwrap_or(GRACE_DAYS_DEFAULT),
            install_id: self.install_id.filter(|id| !id.trim().is_empty()).or(request.map(|request| request.install_id)),
            supersedes: self.supersedes,
            environment: if self.development { Environment::Development } else { Environment::Production },
        })
    }
}

/// An order with what became of it.
#[derive(Serialize, ToSchema)]
struct IssueRequestView {
    #[schema(value_type = String)]
    id: IssueRequestId,
    /// `pending_signing_key`, `signed` or `withdrawn`.
    status: &'static str,
    customer: String,
    company: String,
    plan: String,
    /// As ordered; null = the plan's.
    seats: Option<u32>,
    days: u32,
    grace_days: u32,
    install_id: Option<String>,
    development: bool,
    #[schema(value_type = String, format = DateTime)]
    created_at: Timestamp,
    created_by: String,
    #[schema(value_type = Option<String>, format = DateTime)]
    signed_at: Option<Timestamp>,
    code: Option<IssuedCode>,
}

/// The code of an order that was signed.
#[derive(Serialize, ToSchema)]
struct IssuedCode {
    #[schema(value_type = String)]
    id: LicenceId,
    seq: u64,
    key_id: String,
    seats: u32,
    #[schema(value_type = String, format = DateTime)]
    not_before: Timestamp,
    #[schema(value_type = String, format = DateTime)]
    expires_at: Timestamp,
    /// The one line, to paste.
    line: String,
    /// The text of the file.
    file: String,
    /// What to call the file.
    file_name: String,
}

impl From<IssueRequest> for IssueRequestView {
    fn from(request: IssueRequest) -> Self {
        let order = request.order;
        let code = request.code.map(|code| {
            let claims = code.claims();
            IssuedCode {
                id: claims.jti.clone(),
                seq: claims.seq,
                key_id: claims.kid.clone(),
                seats: claims.seats,
                not_before: claims.not_before,
                expires_at: claims.expires_at,
                line: code.to_line(),
                file: code.to_armour(),
                file_name: format!("{}.onsite", claims.jti),
            }
        });
        Self {
            id: request.id,
            status: request.state.as_str(),
            customer: order.customer,
            company: order.company,
            plan: order.plan,
            seats: order.seats,
            days: order.days,
            grace_days: order.grace_days,
            install_id: order.install_id,
            development: order.environment == Environment::Development,
            created_at: request.created_at,
            created_by: request.created_by,
            signed_at: request.signed_at,
            code,
        }
    }
}

#[derive(Serialize, ToSchema)]
struct IssueRequestList {
    requests: Vec<IssueRequestView>,
}

/// The newest orders.
#[utoipa::path(get, path = "/api/issuer/requests", tag = "issuer", operation_id = "list_issue_requests", responses(
    (status = 200, body = IssueRequestList),
    (status = 404, description = "Not an issuer, or not a system admin", body = ErrorEnvelope),
))]
async fn list(State(state): State<AppState>, _: IssuerAdmin) -> Result<Json<IssueRequestList>, ApiError> {
    Ok(Json(IssueRequestList { requests: state.issuer.list().await?.into_iter().map(Into::into).collect() }))
}

/// Takes an order: signed at once where there is a key (201), else kept as `pending_signing_key` (202) and signed once there is one.
#[utoipa::path(post, path = "/api/issuer/requests", tag = "issuer", operation_id = "create_issue_request", request_body = NewIssueRequest, responses(
    (status = 201, body = IssueRequestView),
    (status = 202, description = "`pending_signing_key`", body = IssueRequestView),
    (status = 404, description = "Not an issuer, or not a system admin", body = ErrorEnvelope),
    (status = 422, description = "`invalid_field`", body = ErrorEnvelope),
))]
async fn order(
    State(state): State<AppState>,
    IssuerAdmin(caller): IssuerAdmin,
    RequestOrigin(origin): RequestOrigin,
    ValidJson(new): ValidJson<NewIssueRequest>,
) -> Result<(StatusCode, Json<IssueRequestView>), ApiError> {
    let request = state.issuer.order(&caller, &origin, new.order()?).await?;
    let status = if request.state == IssueState::Signed { StatusCode::CREATED } else { StatusCode::ACCEPTED };
    Ok((status, Json(request.into())))
}

#[derive(Deserialize)]
struct InPath {
    request: IssueRequestId,
}

/// An order, with its code once it is signed.
#[utoipa::path(get, path = "/api/issuer/requests/{request}", tag = "issuer", operation_id = "get_issue_request",
    params(("request" = String, Path, description = "The order's id")), responses(
    (status = 200, body = IssueRequestView),
    (status = 404, description = "Not there", body = ErrorEnvelope),
))]
async fn show(State(state): State<AppState>, _: IssuerAdmin, Ids(InPath { request }): Ids<InPath>) -> Result<Json<IssueRequestView>, ApiError> {
    Ok(Json(state.issuer.get(&request).await?.ok_or_else(ApiError::not_found)?.into()))
}

/// Tries again to sign an order that waits.
#[utoipa::path(post, path = "/api/issuer/requests/{request}/sign", tag = "issuer", operation_id = "sign_issue_request",
    params(("request" = String, Path, description = "The order's id")), responses(
    (status = 200, description = "With the status `signed`, or still `pending_signing_key`", body = IssueRequestView),
    (status = 404, description = "Not there", body = ErrorEnvelope),
    (status = 409, description = "`not_pending`", body = ErrorEnvelope),
))]
async fn sign(
    State(state): State<AppState>,
    IssuerAdmin(caller): IssuerAdmin,
    Ids(InPath { request }): Ids<InPath>,
) -> Result<Json<IssueRequestView>, ApiError> {
    Ok(Json(state.issuer.sign_now(&caller, &request).await?.into()))
}

/// Takes an order back that waits. A code that was signed is ended with `onsite license revoke`.
#[utoipa::path(delete, path = "/api/issuer/requests/{request}", tag = "issuer", operation_id = "withdraw_issue_request",
    params(("request" = String, Path, description = "The order's id")), responses(
    (status = 204, description = "Taken back"),
    (status = 404, description = "Not there", body = ErrorEnvelope),
    (status = 409, description = "`not_pending`", body = ErrorEnvelope),
))]
async fn withdraw(
    State(state): State<AppState>,
    IssuerAdmin(caller): IssuerAdmin,
    RequestOrigin(origin): RequestOrigin,
    Ids(InPath { request }): Ids<InPath>,
) -> Result<StatusCode, ApiError> {
    state.issuer.withdraw(&caller, &origin, &request).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// The code of an order as a QR picture (SVG).
#[utoipa::path(get, path = "/api/issuer/requests/{request}/qr", tag = "issuer", operation_id = "get_issue_request_picture",
    params(("request" = String, Path, description = "The order's id")), responses(
    (status = 200, description = "The picture", body = String, content_type = "image/svg+xml"),
    (status = 404, description = "Not there", body = ErrorEnvelope),
    (status = 409, description = "`not_signed`, `picture_too_long`", body = ErrorEnvelope),
))]
async fn picture(State(state): State<AppState>, _: IssuerAdmin, Ids(InPath { request }): Ids<InPath>) -> Result<Response, ApiError> {
    let request = state.issuer.get(&request).await?.ok_or_else(ApiError::not_found)?;
    let code = request.code.ok_or_else(|| ApiError::conflict("not_signed", "The order has no code yet.").remedy("Sign it first."))?;
    svg(&CODE.picture_text(code.bytes()))
}

impl From<OrderError> for ApiError {
    fn from(error: OrderError) -> Self {
        match error {
            OrderError::Order(IssueError::UnknownPlan(_)) => Self::invalid("plan", sentence(error)),
            OrderError::Order(IssueError::UnknownFeature(_)) => Self::invalid("features", sentence(error)),
            OrderError::Order(IssueError::Days) => Self::invalid("days", sentence(error)),
            OrderError::Order(IssueError::Claim(ref claim)) => {
                let field: &str = if let crate::model::licence::MalformedCode::BadClaim(field) = claim { field } else { "order" };
                Self::invalid(field, "This is empty, longer than 200 bytes, or holds characters that are not printed.")
            }
            OrderError::TooManyPending => {
                Self::conflict("too_many_pending", sentence(error)).remedy("Start the issuer with its keys, or withdraw some.")
            }
            OrderError::NotThere => Self::not_found(),
            OrderError::NotPending(_) => {
                Self::conflict("not_pending", sentence(error)).remedy("A code that was signed is ended with `onsite license revoke`.")
            }
            OrderError::Store(error) => error.into(),
        }
    }
}
