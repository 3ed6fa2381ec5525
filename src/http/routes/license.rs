//! The licence of the appliance: its state, and entering a code.

use axum::Json;
use axum::extract::{FromRequest, Multipart, Request, State};
use axum::http::{StatusCode, header};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::base::clock::Timestamp;
use crate::http::caller::{Fresh, RequestOrigin, Signed, SystemAdmin};
use crate::http::extract::ValidJson;
use crate::http::{ApiError, AppState};

use crate::model::audit::Actor;
use crate::model::licence::{Claims, ReasonCode};
use crate::model::plans::Feature;
use crate::services::licensing::LicenceStatus;

/// The routes of this noun.
pub fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::new().routes(routes!(show, enter))
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
        }
    }
}

/// The state of the licence.
#[utoipa::path(get, path = "/api/license", tag = "license", operation_id = "get_license", responses((status = 200, body = LicenceView)))]
async fn show(State(state): State<AppState>, _: Signed) -> Result<Json<LicenceView>, ApiError> {
    Ok(Json(state.licensing.status().await?.into()))
}

/// A code to enter.
#[derive(Debug, Deserialize, ToSchema)]
struct NewCode {
    /// The line, or the text of the .onsite file.
    code: String,
}

/// Enters a code: as JSON, as plain text, or as an uploaded file. It counts at once.
#[utoipa::path(post, path = "/api/license", tag = "license", operation_id = "enter_license",
    request_body(content((NewCode = "application/json"), (String = "text/plain"), (String = "multipart/form-data"))),
    responses((status = 200, body = LicenceView), (status = 403, description = "`step_up_required`"), (status = 422, description = "The reason code, in words, with a remedy")))]
async fn enter(
    State(state): State<AppState>,
    SystemAdmin(caller): SystemAdmin,
    _: Fresh,
    RequestOrigin(origin): RequestOrigin,
    CodeText(text): CodeText,
) -> Result<Json<LicenceView>, ApiError> {
    Ok(Json(state.licensing.enter(&text, Actor::User(Some(caller.user.id)), origin.address).await?.into()))
}

/// The text of a code from any of the forms it may come in.
struct CodeText(String);

impl<S: Send + Sync> FromRequest<S> for CodeText {
    type Rejection = ApiError;

    async fn from_request(request: Request, state: &S) -> Result<Self, ApiError> {
        let content_type = request.headers().get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
        let media_type = content_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
        match media_type.as_str() {
            "multipart/form-data" => from_multipart(request, state).await,
            "text/plain" | "application/octet-stream" => {
                String::from_request(request, state).await.map(Self).map_err(|rejection| unreadable(rejection.status()))
            }
            _ => ValidJson::<NewCode>::from_request(request, state).await.map(|ValidJson(new)| Self(new.code)),
        }
    }
}

async fn from_multipart<S: Send + Sync>(request: Request, state: &S) -> Result<CodeText, ApiError> {
    let mut form = Multipart::from_request(request, state).await.map_err(|rejection| unreadable(rejection.status()))?;
    let field = form.next_field().await.map_err(|error| unreadable(error.status()))?;
    let field = field.ok_or_else(|| ApiError::invalid("code", "The form has no field: send the code or the .onsite file as one."))?;
    field.text().await.map(CodeText).map_err(|error| unreadable(error.status()))
}

fn unreadable(status: StatusCode) -> ApiError {
    if status == StatusCode::PAYLOAD_TOO_LARGE {
        return ApiError::new(status, "body_too_large", "This is much larger than an activation code.").remedy("Send the .onsite file itself.");
    }
    ApiError::new(StatusCode::BAD_REQUEST, "body_unreadable", "The code could not be read from the request: it is text.")
        .remedy("Send JSON with a field `code`, plain text, or a form with the .onsite file.")
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::body::Body;

    async fn text_of(content_type: &str, body: &'static str) -> Result<String, StatusCode> {
        let request = Request::post("/api/license").header(header::CONTENT_TYPE, content_type).body(Body::from(body)).unwrap();
        CodeText::from_request(request, &()).await.map(|CodeText(text)| text).map_err(|error| error.status())
    }

    #[tokio::test]
    async fn a_code_comes_as_json_as_text_or_as_a_file() {
        assert_eq!(text_of("application/json; charset=utf-8", "{\"code\":\"ONSITE1-A\"}").await.as_deref(), Ok("ONSITE1-A"));
        assert_eq!(text_of("text/plain", "ONSITE1-B").await.as_deref(), Ok("ONSITE1-B"));
        let form = "--x\r\ncontent-disposition: form-data; name=\"file\"; filename=\"a.onsite\"\r\n\r\nONSITE1-C\r\n--x--\r\n";
        assert_eq!(text_of("multipart/form-data; boundary=x", form).await.as_deref(), Ok("ONSITE1-C"));
        assert_eq!(text_of("multipart/form-data; boundary=x", "--x--\r\n").await, Err(StatusCode::UNPROCESSABLE_ENTITY));
        assert_eq!(text_of("application/json", "{}").await, Err(StatusCode::UNPROCESSABLE_ENTITY));
    }
}
