//! What is asked of egress, and what it gives back.

use std::net::IpAddr;
use std::time::Duration;

use bytes::Bytes;
use futures_util::stream::BoxStream;
use http::{HeaderMap, Method, StatusCode};
use url::Url;

use super::error::EgressError;
use crate::model::egress::Purpose;
use crate::model::ids::CompanyId;

/// Most redirects followed, whatever a request asks for.
pub const REDIRECTS_MAX: u8 = 5;

/// A request to the outside.
#[derive(Clone, Debug)]
pub struct FetchRequest {
    /// For which company; `None` for the appliance itself.
    pub company: Option<CompanyId>,
    /// Why: for the log.
    pub purpose: Purpose,
    /// Where to. http or https, without credentials.
    pub url: Url,
    /// The method.
    pub method: Method,
    /// Headers to send. `User-Agent`, `Accept` and `Accept-Encoding` are filled in where missing.
    pub headers: HeaderMap,
    /// The body to send.
    pub body: Option<Bytes>,
    /// Most bytes of the answer's body, both on the wire and decompressed. What comes after is not read.
    pub max_bytes: u64,
    /// From the first packet to the last byte of the body; of a stream, to its head.
    pub timeout: Duration,
    /// Redirects to follow, at most [`REDIRECTS_MAX`]. 0: a redirect is an answer like any other.
    pub accept_redirects: u8,
}

impl FetchRequest {
    /// A GET of a page: 16 MiB, 30 s, 5 redirects.
    #[must_use]
    pub fn get(url: Url, purpose: Purpose) -> Self {
        Self {
            company: None,
            purpose,
            url,
            method: Method::GET,
            headers: HeaderMap::new(),
            body: None,
            max_bytes: 16 << 20,
            timeout: Duration::from_secs(30),
            accept_redirects: REDIRECTS_MAX,
        }
    }

    /// A POST of JSON: 64 MiB, 120 s, no redirects (a prompt goes nowhere but where it was sent).
    #[must_use]
    pub fn post_json(url: Url, purpose: Purpose, body: Bytes) -> Self {
        let mut headers = HeaderMap::new();
        headers.insert(http::header::CONTENT_TYPE, http::HeaderValue::from_static("application/json"));
        Self {
            method: Method::POST,
            headers,
            body: Some(body),
            max_bytes: 64 << 20,
            timeout: Duration::from_secs(120),
            accept_redirects: 0,
            ..Self::get(url, purpose)
        }
    }
}

/// An answer with its whole body, or as much of it as was asked for.
#[derive(Clone, Debug)]
pub struct Fetched {
    /// Where it came from, after redirects.
    pub final_url: Url,
    /// The status.
    pub status: StatusCode,
    /// The headers.
    pub headers: HeaderMap,
    /// The body, decompressed.
    pub body: Bytes,
    /// Whether there was more body than `max_bytes`, or than came.
    pub truncated: bool,
    /// Whether the body was left unread, because the head was not wanted.
    pub declined: bool,
    /// Redirects followed.
    pub redirects: u8,
    /// The address it came from.
    pub address: Option<IpAddr>,
}

/// An answer whose body is still coming.
pub struct Streaming {
    /// Where it comes from, after redirects.
    pub final_url: Url,
    /// The status.
    pub status: StatusCode,
    /// The headers.
    pub headers: HeaderMap,
    /// The body as it comes, not decompressed (compression is not asked for). Dropping it closes the connection.
    pub body: BoxStream<'static, Result<Bytes, EgressError>>,
}

impl std::fmt::Debug for Streaming {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Streaming").field("final_url", &self.final_url).field("status", &self.status).finish_non_exhaustive()
    }
}
