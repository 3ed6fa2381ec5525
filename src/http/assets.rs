//! The web UI, embedded in the binary.

use axum::body::Body;
use axum::http::{HeaderMap, Method, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use rust_embed::{EmbeddedFile, RustEmbed};

use super::errors::ApiError;

#[derive(RustEmbed)]
#[folder = "ui-dist/"]
struct Ui;

/// Serves a file of the UI; any other path that no route took is a page of the UI, and so its `index.html`.
pub async fn serve(method: Method, uri: Uri, headers: HeaderMap) -> Response {
    let path = uri.path().trim_start_matches('/');
    if path.starts_with("api/") || path == "api" {
        return ApiError::not_found().into_response();
    }
    if !matches!(method, Method::GET | Method::HEAD) {
        return StatusCode::METHOD_NOT_ALLOWED.into_response();
    }
    match Ui::get(path) {
        Some(file) => answer(path, &file, &headers),
        // A missing script must not be answered with a page: the browser would try to run it.
        None if path.starts_with("assets/") => StatusCode::NOT_FOUND.into_response(),
        None => match Ui::get("index.html") {
            Some(index) => answer("index.html", &index, &headers),
            None => StatusCode::NOT_FOUND.into_response(),
        },
    }
}

fn answer(path: &str, file: &EmbeddedFile, headers: &HeaderMap) -> Response {
    let tag = format!("\"{}\"", hex::encode(&file.metadata.sha256_hash()[..16]));
    // The build puts a content hash into the names below assets/, so those never change.
    let cache = if path.starts_with("assets/") { "public, max-age=31536000, immutable" } else { "no-cache" };
    if headers.get(header::IF_NONE_MATCH).is_some_and(|sent| sent.as_bytes() == tag.as_bytes()) {
        return (StatusCode::NOT_MODIFIED, [(header::ETAG, tag), (header::CACHE_CONTROL, cache.to_owned())]).into_response();
    }
    let media_type = file.metadata.mimetype().to_owned();
    let headers = [(header::CONTENT_TYPE, media_type), (header::ETAG, tag), (header::CACHE_CONTROL, cache.to_owned())];
    (headers, Body::from(file.data.clone().into_owned())).into_response()
}
