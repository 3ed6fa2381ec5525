//! Pages of other origins that may call the API from a browser: those in `CORS_ALLOWED_ORIGINS`, named exactly, and nobody else.

use axum::extract::Request;
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use axum::response::{IntoResponse, Response};

use super::errors::ApiError;
use crate::base::web_origin::WebOrigin;

const METHODS: HeaderValue = HeaderValue::from_static("GET, POST, PATCH, DELETE");
const REQUEST_HEADERS: HeaderValue = HeaderValue::from_static("authorization, content-type, last-event-id");
const EXPOSED: HeaderValue = HeaderValue::from_static("retry-after, x-request-id, content-disposition");
/// How long a browser may remember a preflight: short enough that taking an origin off the list is felt soon.
const REMEMBERED_SECONDS: HeaderValue = HeaderValue::from_static("600");

/// The origins that may.
#[derive(Clone, Debug, Default)]
pub struct Cors {
    origins: Vec<WebOrigin>,
}

impl Cors {
    /// Exactly these.
    #[must_use]
    pub const fn new(origins: Vec<WebOrigin>) -> Self {
        Self { origins }
    }

    /// The request's origin, when it is one that may.
    pub(super) fn allowed(&self, headers: &HeaderMap) -> Option<HeaderValue> {
        let origin = headers.get(header::ORIGIN)?;
        self.origins.iter().any(|known| known.as_str().as_bytes() == origin.as_bytes()).then(|| origin.clone())
    }

    /// The answer to a browser's question whether it may ask; `None` for any other request.
    pub(super) fn preflight(&self, request: &Request) -> Option<Response> {
        let headers = request.headers();
        let asks = headers.contains_key(header::ORIGIN) && headers.contains_key(header::ACCESS_CONTROL_REQUEST_METHOD);
        if *request.method() != Method::OPTIONS || !asks {
            return None;
        }
        if self.allowed(headers).is_none() {
            let refusal = ApiError::new(StatusCode::FORBIDDEN, "cross_site", "Pages of this origin may not call the API.");
            return Some(refusal.remedy("An operator names such origins in CORS_ALLOWED_ORIGINS.").into_response());
        }
        let answer = [
            (header::ACCESS_CONTROL_ALLOW_METHODS, METHODS),
            (header::ACCESS_CONTROL_ALLOW_HEADERS, REQUEST_HEADERS),
            (header::ACCESS_CONTROL_MAX_AGE, REMEMBERED_SECONDS),
        ];
        Some((StatusCode::NO_CONTENT, answer).into_response())
    }

    /// Lets the allowed origin read an answer. Where there are such origins, every answer depends on who asks.
    pub(super) fn mark(&self, allowed: Option<HeaderValue>, headers: &mut HeaderMap) {
        if !self.origins.is_empty() {
            headers.append(header::VARY, HeaderValue::from_static("origin"));
        }
        if let Some(origin) = allowed {
            headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, origin);
            headers.insert(header::ACCESS_CONTROL_ALLOW_CREDENTIALS, HeaderValue::from_static("true"));
            headers.insert(header::ACCESS_CONTROL_EXPOSE_HEADERS, EXPOSED);
        }
    }
}
