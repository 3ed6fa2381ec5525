//! The one place where errors become HTTP answers.

use std::borrow::Cow;
use std::error::Error;
use std::time::Duration;

use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use serde_json::{Map, Value};
use utoipa::ToSchema;

use super::security::request_id;
use crate::store::StoreError;

/// An error on its way to the caller. What is unknown to the caller's side becomes "internal error" with the request's id;
/// its source is logged here, once.
#[derive(Debug)]
pub struct ApiError {
    status: StatusCode,
    // Boxed: an error travels through many results, and should not make each of them large.
    body: Box<ErrorBody>,
    retry_after: Option<Duration>,
    source: Option<Box<dyn Error + Send + Sync>>,
}

/// The body of every error answer.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct ErrorEnvelope {
    /// The error.
    pub error: ErrorBody,
}

/// What happened, why, and what to do.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct ErrorBody {
    /// A stable code for programs.
    #[schema(value_type = String, example = "invalid_field")]
    pub code: Cow<'static, str>,
    /// What happened and why, for people.
    pub message: String,
    /// Which field of the request is wrong.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub field: Option<String>,
    /// What to do about it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub remedy: Option<String>,
    /// Finds this request in the log.
    pub request_id: String,
    /// Facts that belong to the code, such as the limit and the use of a refusal by plan.
    #[serde(flatten)]
    #[schema(ignore)]
    pub facts: Map<String, Value>,
}

impl ApiError {
    /// An error of the given status, stable code and message.
    pub fn new(status: StatusCode, code: impl Into<Cow<'static, str>>, message: impl Into<String>) -> Self {
        let body = ErrorBody { code: code.into(), message: message.into(), field: None, remedy: None, request_id: String::new(), facts: Map::new() };
        Self { status, body: Box::new(body), retry_after: None, source: None }
    }

    /// 422: a field that does not hold what it should.
    pub fn invalid(field: impl Into<String>, message: impl Into<String>) -> Self {
        Self::new(StatusCode::UNPROCESSABLE_ENTITY, "invalid_field", message).field(field)
    }

    /// 404: not there, or not for this caller; nobody is told which.
    #[must_use]
    pub fn not_found() -> Self {
        Self::new(StatusCode::NOT_FOUND, "not_found", "There is nothing here, or it is not yours to see.")
    }

    /// 401: sign in first.
    #[must_use]
    pub fn unauthorized() -> Self {
        Self::new(StatusCode::UNAUTHORIZED, "unauthorized", "This needs a signed-in user.")
            .remedy("Sign in, or send a bearer token that has not ended.")
    }

    /// 409: the state of things does not allow it.
    pub fn conflict(code: &'static str, message: impl Into<String>) -> Self {
        Self::new(StatusCode::CONFLICT, code, message)
    }

    /// 429: too often; try again after `wait`.
    pub fn too_many(code: &'static str, message: impl Into<String>, wait: Duration) -> Self {
        let mut error = Self::new(StatusCode::TOO_MANY_REQUESTS, code, message);
        error.retry_after = Some(wait);
        error
    }

    /// 500: a fault of ours. The source goes to the log, not to the caller.
    pub fn internal(source: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        let mut error =
            Self::new(StatusCode::INTERNAL_SERVER_ERROR, "internal_error", "Something went wrong on our side; nothing of this request was kept.")
                .remedy("Try again; if it stays, give the request id to whoever looks after the server.");
        error.source = Some(source.into());
        error
    }

    /// Names the field of the request that is wrong.
    #[must_use]
    pub fn field(mut self, field: impl Into<String>) -> Self {
        self.body.field = Some(field.into());
        self
    }

    /// Says what to do.
    #[must_use]
    pub fn remedy(mut self, remedy: impl Into<String>) -> Self {
        self.body.remedy = Some(remedy.into());
        self
    }

    /// Adds a fact that belongs to the code.
    #[must_use]
    pub fn fact(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.body.facts.insert(name.to_owned(), value.into());
        self
    }

    /// The HTTP status it will have.
    #[must_use]
    pub const fn status(&self) -> StatusCode {
        self.status
    }
}

/// An error that the router or an extractor answered in words of its own, put into the one form. What is in it already stays as it is.
pub fn in_the_one_form(response: Response) -> Response {
    let status = response.status();
    let is_json = response.headers().get(header::CONTENT_TYPE).is_some_and(|kind| kind.as_bytes().starts_with(b"application/json"));
    if !(status.is_client_error() || status.is_server_error()) || is_json {
        return response;
    }
    let mut formed = bare(status).into_response();
    for name in [header::ALLOW, header::RETRY_AFTER] {
        if let Some(value) = response.headers().get(&name) {
            formed.headers_mut().insert(name, value.clone());
        }
    }
    formed
}

/// What a status alone says.
fn bare(status: StatusCode) -> ApiError {
    let error = |code: &'static str, message: &str| ApiError::new(status, code, message);
    match status {
        StatusCode::NOT_FOUND => ApiError::not_found(),
        StatusCode::UNAUTHORIZED => ApiError::unauthorized(),
        StatusCode::METHOD_NOT_ALLOWED => {
            error("method_not_allowed", "This address does not know this method.").remedy("Use one of those that the header Allow names.")
        }
        StatusCode::PAYLOAD_TOO_LARGE => error("body_too_large", "The request's body is larger than this route takes.")
            .remedy("Send less at once; files go to the documents route."),
        StatusCode::UNSUPPORTED_MEDIA_TYPE => error("unsupported_media_type", "The request's body is not of the kind that this route reads."),
        StatusCode::UNPROCESSABLE_ENTITY => error("invalid_field", "A part of the request does not hold what it should."),
        StatusCode::TOO_MANY_REQUESTS => error("too_many_requests", "These are more requests than may come at once."),
        StatusCode::SERVICE_UNAVAILABLE => error("unavailable", "The server cannot answer this now.").remedy("Try again in a moment."),
        status if status.is_server_error() => error("internal_error", "Something went wrong on our side."),
        _ => error("bad_request", "The request could not be read."),
    }
}

impl From<StoreError> for ApiError {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::DiskFull { .. } => {
                let mut full =
                    Self::new(StatusCode::INSUFFICIENT_STORAGE, "disk_full", "The server's disk is full: nothing was changed, reading still works.")
                        .remedy("Free space on the disk that holds the data folder; no restart is needed.");
                full.source = Some(Box::new(error));
                full
            }
            StoreError::Closed { .. } => {
                Self::new(StatusCode::SERVICE_UNAVAILABLE, "stopping", "The server is stopping.").remedy("Try again in a moment.")
            }
            other => Self::internal(other),
        }
    }
}

impl IntoResponse for ApiError {
    fn into_response(mut self) -> Response {
        self.body.request_id = request_id();
        if let Some(source) = &self.source {
            let mut text = source.to_string();
            let mut cause = source.source();
            while let Some(deeper) = cause {
                text = format!("{text}: {deeper}");
                cause = deeper.source();
            }
            tracing::error!(request_id = self.body.request_id, code = %self.body.code, error = text, "request failed");
        }
        let retry_after = self.retry_after;
        let mut response = (self.status, axum::Json(ErrorEnvelope { error: *self.body })).into_response();
        if let Some(wait) = retry_after
            && let Ok(value) = HeaderValue::from_str(&wait.as_secs().max(1).to_string())
        {
            response.headers_mut().insert(header::RETRY_AFTER, value);
        }
        response
    }
}
