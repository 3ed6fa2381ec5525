//! The HTTP client behind the policy: one per set of rules, with its pool of checked connections, bounds and no proxy.

use std::error::Error;
use std::io;
use std::net::IpAddr;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response, Uri};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::connect::HttpInfo;
use hyper_util::client::legacy::{Builder, Client};
use hyper_util::rt::{TokioExecutor, TokioTimer};
use rustls::ClientConfig;
use url::Url;

use super::connector::CheckedConnector;
use super::error::EgressError;
use super::policy::Policy;

/// Most bytes of an answer's head.
const HEAD_BYTES_MAX: u32 = 64 * 1024;
/// Most headers of an answer.
const HEADERS_MAX: usize = 200;
/// How long an unused connection is kept.
const IDLE_KEPT: Duration = Duration::from_secs(30);
/// Unused connections kept for each host.
const IDLE_PER_HOST_MAX: usize = 4;

/// The client for one policy. When the rules change, a new one takes its place, so that no connection outlives the rule that allowed it
/// but those in use at that moment.
pub(super) struct Door {
    pub(super) policy: Arc<Policy>,
    connector: CheckedConnector,
    plain: Client<CheckedConnector, Full<Bytes>>,
    // Made when first needed: the host's certificates take about a megabyte.
    secure: OnceLock<Client<HttpsConnector<CheckedConnector>, Full<Bytes>>>,
}

impl Door {
    pub(super) fn new(connector: CheckedConnector) -> Self {
        Self { policy: Arc::clone(&connector.policy), plain: builder().build(connector.clone()), connector, secure: OnceLock::new() }
    }

    /// The connector itself, for what is not HTTP.
    pub(super) fn connector(&self) -> CheckedConnector {
        self.connector.clone()
    }

    /// Sends one request, without following redirects. `tls` gives the configuration when the first secure request needs it.
    pub(super) async fn send(
        &self,
        url: &Url,
        request: http::request::Builder,
        body: Bytes,
        tls: impl FnOnce() -> Result<ClientConfig, EgressError>,
    ) -> Result<Response<Incoming>, EgressError> {
        let uri = uri_of(url)?;
        let host = url.host_str().unwrap_or_default();
        let request: Request<Full<Bytes>> =
            request.uri(uri).body(Full::new(body)).map_err(|error| EgressError::BadUrl { reason: error.to_string() })?;
        let sent = if url.scheme() == "https" { self.secure(tls)?.request(request) } else { self.plain.request(request) };
        sent.await.map_err(|error| explain(host, &error))
    }

    fn secure(
        &self,
        tls: impl FnOnce() -> Result<ClientConfig, EgressError>,
    ) -> Result<&Client<HttpsConnector<CheckedConnector>, Full<Bytes>>, EgressError> {
        if let Some(client) = self.secure.get() {
            return Ok(client);
        }
        let https = HttpsConnectorBuilder::new().with_tls_config(tls()?).https_only().enable_http1().enable_http2();
        let client = builder().build(https.wrap_connector(self.connector.clone()));
        Ok(self.secure.get_or_init(|| client))
    }
}

fn builder() -> Builder {
    let mut builder = Client::builder(TokioExecutor::new());
    builder
        .timer(TokioTimer::new())
        .pool_timer(TokioTimer::new())
        .pool_idle_timeout(IDLE_KEPT)
        .pool_max_idle_per_host(IDLE_PER_HOST_MAX)
        .http1_max_buf_size(HEAD_BYTES_MAX as usize)
        .http1_max_headers(HEADERS_MAX)
        .http2_max_header_list_size(HEAD_BYTES_MAX);
    builder
}

fn uri_of(url: &Url) -> Result<Uri, EgressError> {
    url[..url::Position::AfterQuery].parse().map_err(|error: http::uri::InvalidUri| EgressError::BadUrl { reason: error.to_string() })
}

/// The address at the other end.
pub(super) fn peer<B>(response: &Response<B>) -> Option<IpAddr> {
    response.extensions().get::<HttpInfo>().map(|info| info.remote_addr().ip().to_canonical())
}

/// Finds what really happened in a chain of errors.
pub(super) fn explain(host: &str, error: &(dyn Error + 'static)) -> EgressError {
    if let Some(found) = search(host, error) {
        return found;
    }
    let mut deepest = error;
    while let Some(source) = deepest.source() {
        deepest = source;
    }
    EgressError::Protocol { host: host.to_owned(), reason: deepest.to_string() }
}

fn search(host: &str, error: &(dyn Error + 'static)) -> Option<EgressError> {
    let host_text = || host.to_owned();
    if let Some(ours) = error.downcast_ref::<EgressError>() {
        return Some(ours.clone());
    }
    if let Some(tls) = error.downcast_ref::<rustls::Error>() {
        return Some(EgressError::Tls { host: host_text(), reason: tls.to_string() });
    }
    if let Some(http) = error.downcast_ref::<hyper::Error>() {
        if http.is_parse_too_large() {
            return Some(EgressError::TooLarge { host: host_text(), what: "headers", limit_bytes: HEAD_BYTES_MAX.into() });
        }
        if http.is_incomplete_message() || http.is_closed() || http.is_canceled() {
            let reason = "it closed the connection before its answer was complete".into();
            return Some(EgressError::Connect { host: host_text(), address: None, reason });
        }
    }
    if let Some(io) = error.downcast_ref::<io::Error>() {
        // `source` of an io::Error skips the error it was made from.
        let inner = io.get_ref();
        if let Some(found) = inner.and_then(|inner| search(host, inner)) {
            return Some(found);
        }
        // hyper tells an early end as an io::Error of its own making; other wrapped ones are about what was said, not about the line.
        if inner.is_none() || io.kind() == io::ErrorKind::UnexpectedEof {
            return Some(EgressError::Connect { host: host_text(), address: None, reason: io.to_string() });
        }
    }
    error.source().and_then(|source| search(host, source))
}
