//! Every route, and what all of them go through.

use axum::Router;
use axum::extract::{DefaultBodyLimit, MatchedPath, Request, State};
use axum::http::{Method, StatusCode, header};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use tower_http::compression::CompressionLayer;
use tower_http::compression::predicate::{NotForContentType, Predicate, SizeAbove};
use utoipa::OpenApi;
use utoipa::openapi::OpenApi as Document;
use utoipa_axum::router::OpenApiRouter;

use super::errors::ApiError;
use super::routes;
use super::security::Guard;
use super::state::AppState;
use super::{assets, hosts, security};

/// The longest body of a request that needs no session: the answer of an authenticator is 4 kB.
const STRANGERS_BODY_BYTES_MAX: usize = 16 << 10;

#[derive(OpenApi)]
#[openapi(info(
    title = "Onsite",
    description = "The API of the Onsite appliance. Errors have one form: {error: {code, message, field?, remedy?, request_id}}.",
    license(name = "MIT", identifier = "MIT")
))]
struct Api;

/// The routes and the OpenAPI document that describes them.
pub fn api() -> (Router<AppState>, Document) {
    OpenApiRouter::with_openapi(Api::openapi())
        .merge(routes::account::routes())
        .merge(routes::api_keys::routes())
        .merge(routes::audit::routes())
        .merge(routes::auth::routes())
        .merge(routes::billing::routes())
        .merge(routes::chat_runs::routes())
        .merge(routes::companies::routes())
        .merge(routes::company_ends::routes())
        .merge(routes::conversations::routes())
        .merge(routes::documents::routes())
        .merge(routes::egress::routes())
        .merge(routes::factors::routes())
        .merge(routes::passkeys::routes())
        .merge(routes::health::routes())
        .merge(routes::invitations::routes())
        .merge(routes::issuer::routes())
        .merge(routes::license::routes())
        .merge(routes::license_request::routes())
        .merge(routes::mail::routes())
        .merge(routes::me::routes())
        .merge(routes::members::routes())
        .merge(routes::recall::routes())
        .merge(routes::reports::routes())
        .merge(routes::runs::routes())
        .merge(routes::secrets::routes())
        .merge(routes::setup::routes())
        .merge(routes::sso::routes())
        .merge(routes::sso_admin::routes())
        .merge(routes::status::routes())
        .merge(routes::usage::routes())
        .merge(routes::users::routes())
        .merge(routes::widgets::routes())
        .split_for_parts()
}

/// The whole service for a given state.
pub fn service(state: AppState) -> Router {
    let (routes, document) = api();
    let facts = &state.facts;
    let guard = Guard { seams: state.seams.clone(), tls: !facts.plain_http, hosts: facts.hosts.clone(), cors: facts.cors.clone() };
    // As text: the tree that it is made of takes megabytes, and would be written anew at each request.
    let openapi = serde_json::to_vec(&document).map(Bytes::from).map_err(|error| error.to_string());
    drop(document);
    // A stream must not wait for a compressor's window to fill.
    let compressible = SizeAbove::new(1024).and(NotForContentType::new("text/event-stream")).and(NotForContentType::IMAGES);
    let inner = routes
        .route(
            "/api/openapi.json",
            axum::routing::get(move || async move {
                openapi.map(|text| ([(header::CONTENT_TYPE, "application/json")], text)).map_err(ApiError::internal)
            }),
        )
        .fallback(assets::serve)
        .layer(middleware::from_fn_with_state(state.clone(), admit))
        .layer(DefaultBodyLimit::max(state.facts.body_bytes_max))
        .layer(middleware::from_fn_with_state(state.clone(), measure))
        .layer(CompressionLayer::new().compress_when(compressible))
        .layer(middleware::from_fn(move |request, next| security::envelope(guard.clone(), request, next)))
        .with_state(state);
    Router::new().fallback_service(inner).layer(middleware::map_response(nothing_is_allowed_where_nothing_is))
}

/// The router adds to every answer of an address which methods it knows, outside of all layers of its own: to a 404 too, which then tells.
async fn nothing_is_allowed_where_nothing_is(mut response: Response) -> Response {
    if response.status() == StatusCode::NOT_FOUND {
        response.headers_mut().remove(header::ALLOW);
    }
    response
}

/// Lets a request of the API in, unless its address asks too often, or setup is over and it asks for setup: then nothing is there, whatever the method.
async fn admit(State(state): State<AppState>, mut request: Request, next: Next) -> Response {
    // Whoever is not signed in has nothing long to say, and must not fill the memory.
    if ["/api/auth/", "/api/setup", "/api/invitations/"].iter().any(|start| request.uri().path().starts_with(start)) {
        DefaultBodyLimit::max(STRANGERS_BODY_BYTES_MAX).apply(&mut request);
    }
    let path = request.uri().path();
    if !path.starts_with("/api/") {
        return next.run(request).await;
    }
    if let Err(refusal) = state.rates.from_address(hosts::peer(&request)) {
        return refusal.into_response();
    }
    if path == "/api/setup" || path.starts_with("/api/setup/") {
        match state.setup.is_over().await {
            Ok(false) => {}
            Ok(true) => return ApiError::not_found().into_response(),
            Err(error) => return ApiError::from(error).into_response(),
        }
    }
    next.run(request).await
}

async fn measure(State(state): State<AppState>, request: Request, next: Next) -> Response {
    let method = known_method(request.method());
    let route = request.extensions().get::<MatchedPath>().map_or_else(|| "(ui)".to_owned(), |path| path.as_str().to_owned());
    let started = state.seams.clock.elapsed();
    let response = tokio::select! {
        biased;
        response = next.run(request) => response,
        () = state.seams.clock.sleep(state.facts.request_timeout) => {
            ApiError::new(StatusCode::REQUEST_TIMEOUT, "timed_out", "The request took longer than GUNICORN_TIMEOUT allows, or its body did not come.")
                .remedy("Try again; an upload needs a faster connection or a longer limit.")
                .into_response()
        }
    };
    state.metrics.answered(method, &route, response.status().as_u16(), state.seams.clock.elapsed().saturating_sub(started));
    response
}

/// The method as a metric's label. HTTP takes any word as a method, and each would be a time series for ever.
fn known_method(method: &Method) -> &'static str {
    const KNOWN: [Method; 7] = [Method::GET, Method::POST, Method::PATCH, Method::DELETE, Method::PUT, Method::HEAD, Method::OPTIONS];
    const NAMES: [&str; 7] = ["GET", "POST", "PATCH", "DELETE", "PUT", "HEAD", "OPTIONS"];
    KNOWN.iter().zip(NAMES).find(|(known, _)| *known == method).map_or("other", |(_, name)| name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn odd_methods_share_one_label() {
        assert_eq!(known_method(&Method::PATCH), "PATCH");
        for n in 0..1_000 {
            assert_eq!(known_method(&Method::from_bytes(format!("ODD{n}").as_bytes()).unwrap()), "other");
        }
    }
}
