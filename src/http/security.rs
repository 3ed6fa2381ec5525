//! What every request and answer goes through: a request id, the name it was asked by, the browser's safety headers, the refusal of cross-site
//! writes, and the one form of errors.

use axum::extract::Request;
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use super::cors::Cors;
use super::errors::{ApiError, in_the_one_form};
use super::hosts::Hosts;
use crate::base::ids;
use crate::base::seams::Seams;

tokio::task_local! {
    static REQUEST_ID: String;
}

/// The id of the request being answered; empty outside of one.
#[must_use]
pub fn request_id() -> String {
    REQUEST_ID.try_with(Clone::clone).unwrap_or_default()
}

/// Everything comes from this origin; nothing inline, nothing framed.
const CONTENT_SECURITY_POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; font-src 'self'; connect-src 'self'; \
     manifest-src 'self'; object-src 'none'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'";

const HEADERS: [(HeaderName, &str); 7] = [
    (header::CONTENT_SECURITY_POLICY, CONTENT_SECURITY_POLICY),
    (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (header::X_FRAME_OPTIONS, "DENY"),
    (header::REFERRER_POLICY, "no-referrer"),
    (HeaderName::from_static("permissions-policy"), "camera=(), geolocation=(), microphone=(), payment=(), usb=()"),
    (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
    (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
];

/// A year, and whatever is named below this host too.
const TRANSPORT_SECURITY: HeaderValue = HeaderValue::from_static("max-age=31536000; includeSubDomains");

/// What the envelope goes by.
#[derive(Clone)]
pub struct Guard {
    /// Time and randomness.
    pub seams: Seams,
    /// Whether answers go over TLS, and so carry HSTS.
    pub tls: bool,
    /// Which names are answered.
    pub hosts: Hosts,
    /// Which other origins may call.
    pub cors: Cors,
}

/// Gives the request an id, answers within it, and sets the safety headers.
pub async fn envelope(guard: Guard, request: Request, next: Next) -> Response {
    let id = format!("req_{}", ids::generate(&guard.seams));
    let started = guard.seams.clock.elapsed();
    let (method, path) = (request.method().clone(), request.uri().path().to_owned());
    let allowed = guard.cors.allowed(request.headers());
    let mut response = REQUEST_ID.scope(id.clone(), async { in_the_one_form(answer(&guard, request, next).await) }).await;
    let headers = response.headers_mut();
    for (name, value) in HEADERS {
        // An attachment brings a stricter policy of its own.
        headers.entry(name).or_insert(HeaderValue::from_static(value));
    }
    if path.starts_with("/api/") {
        // What one person may see must not lie in a cache for the next.
        headers.entry(header::CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
        guard.cors.mark(allowed, headers);
    }
    if guard.tls {
        headers.insert(header::STRICT_TRANSPORT_SECURITY, TRANSPORT_SECURITY);
    }
    if let Ok(value) = HeaderValue::from_str(&id) {
        headers.insert("x-request-id", value);
    }
    // Debug: an appliance's operator reads one line a problem, not one a request.
    let millis = guard.seams.clock.elapsed().saturating_sub(started).as_millis();
    tracing::debug!(request_id = id, %method, path, status = response.status().as_u16(), millis, "request");
    response
}

async fn answer(guard: &Guard, request: Request, next: Next) -> Response {
    if let Some(refusal) = guard.hosts.refuse(&request) {
        return refusal;
    }
    if let Some(answer) = guard.cors.preflight(&request) {
        return answer;
    }
    if guard.cors.allowed(request.headers()).is_none()
        && let Some(refusal) = refuse_cross_site(request.method(), request.headers())
    {
        return refusal.into_response();
    }
    next.run(request).await
}

/// A browser says where a request comes from. Its writes must come from our own pages, with a cookie or without: a form on
/// another site could else sign a visitor in as somebody else.
fn refuse_cross_site(method: &Method, headers: &HeaderMap) -> Option<ApiError> {
    if matches!(*method, Method::GET | Method::HEAD | Method::OPTIONS) {
        return None;
    }
    let own = match headers.get("sec-fetch-site") {
        Some(site) => site == "same-origin" || site == "none",
        // Old browsers send Origin alone; its host must be the one they asked.
        None => match (headers.get(header::ORIGIN).and_then(|v| v.to_str().ok()), headers.get(header::HOST).and_then(|v| v.to_str().ok())) {
            (Some(origin), Some(host)) => origin.split_once("://").is_some_and(|(_, from)| from.eq_ignore_ascii_case(host)),
            // A program sends neither; a browser that carries a cookie always sends one.
            (None, _) => !headers.contains_key(header::COOKIE) || headers.contains_key(header::AUTHORIZATION),
            (Some(_), None) => false,
        },
    };
    (!own).then(|| {
        ApiError::new(StatusCode::FORBIDDEN, "cross_site", "This request came from the pages of another site; it was refused.")
            .remedy("Use the pages of this server, or a bearer token from a program.")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        pairs.iter().map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value))).collect()
    }

    #[test]
    fn a_cookie_write_must_come_from_our_own_pages() {
        let refused = |pairs: &[_]| refuse_cross_site(&Method::POST, &headers(pairs)).is_some();
        assert!(!refused(&[("cookie", "a=b"), ("sec-fetch-site", "same-origin")]));
        assert!(refused(&[("cookie", "a=b"), ("sec-fetch-site", "cross-site")]));
        assert!(refused(&[("cookie", "a=b"), ("sec-fetch-site", "same-site")]));
        assert!(refused(&[("cookie", "a=b")]));
        assert!(refused(&[("cookie", "a=b"), ("origin", "https://evil.example"), ("host", "onsite.example")]));
        assert!(refused(&[("cookie", "a=b"), ("origin", "null"), ("host", "onsite.example")]));
        assert!(!refused(&[("cookie", "a=b"), ("origin", "https://onsite.example"), ("host", "onsite.example")]));
        assert!(!refused(&[("authorization", "Bearer x")]));
        assert!(!refused(&[]), "a program has neither");
        assert!(refused(&[("sec-fetch-site", "cross-site")]), "signing somebody in from another site");
        assert!(refused(&[("origin", "https://evil.example"), ("host", "onsite.example")]), "the same from an old browser");
        assert!(refuse_cross_site(&Method::GET, &headers(&[("cookie", "a=b"), ("sec-fetch-site", "cross-site")])).is_none());
    }
}
