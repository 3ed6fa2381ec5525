//! The website that ships with the binary, served on loopback as any web server would.

use std::net::{Ipv4Addr, SocketAddr};

use axum::Router;
use axum::body::Body;
use axum::http::{StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use rust_embed::RustEmbed;
use tokio::net::TcpListener;

use super::DemoError;
use crate::base::tasks::Tasks;

#[derive(RustEmbed)]
#[folder = "assets/demo-site/"]
struct Site;

/// Serves the site on a free loopback port and returns its address.
pub(super) async fn serve(tasks: &Tasks) -> Result<SocketAddr, DemoError> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.map_err(|error| DemoError::new("serving the demo's site", error))?;
    let address = listener.local_addr().map_err(|error| DemoError::new("serving the demo's site", error))?;
    let stop = tasks.token().clone();
    tasks.spawn("demo-site", async move {
        let served = axum::serve(listener, Router::new().fallback(page)).with_graceful_shutdown(stop.cancelled_owned()).await;
        if let Err(error) = served {
            tracing::error!(%error, "the demo's site stopped");
        }
    });
    Ok(address)
}

async fn page(uri: Uri) -> Response {
    let path = uri.path().trim_start_matches('/');
    let path = if path.is_empty() { "index.html" } else { path };
    match Site::get(path) {
        Some(file) => ([(header::CONTENT_TYPE, file.metadata.mimetype().to_owned())], Body::from(file.data.into_owned())).into_response(),
        None => StatusCode::NOT_FOUND.into_response(),
    }
}
