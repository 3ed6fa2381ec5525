//! By which name the server is asked. A page of another site can make its own name resolve to this server (DNS rebinding) and would then be of the
//! same origin: without TLS only the name in `Host` tells the two apart.

use std::net::{IpAddr, SocketAddr};

use axum::extract::{ConnectInfo, Request};
use axum::http::uri::Authority;
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use url::Host;

use super::errors::ApiError;
use crate::base::web_origin::{WebOrigin, host_of, is_loopback_name};

/// What load balancers and this machine ask, by whatever address they know.
const HEALTH: [&str; 3] = ["/healthz", "/readyz", "/metrics"];

/// Which names are answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Hosts {
    /// Plain HTTP on loopback (`--dev`): only names of this machine to itself.
    Loopback,
    /// `APP_BASE_URL`: everything else is sent there.
    Canonical(WebOrigin),
    /// Under TLS without `APP_BASE_URL`: the certificate tells a browser whom it talks to.
    Any,
}

impl Hosts {
    /// The answer to a request that asked by a name which is not served; `None` = go on.
    pub(super) fn refuse(&self, request: &Request) -> Option<Response> {
        let asked = asked_host(request.uri(), request.headers());
        let host = asked.as_deref().and_then(host_of);
        match self {
            Self::Any => None,
            Self::Loopback => (!host.as_ref().is_some_and(is_loopback_name)).then(|| {
                wrong_host("With --dev this server answers to localhost and loopback addresses only.")
                    .remedy("Open it as http://localhost.")
                    .into_response()
            }),
            Self::Canonical(base) if asked.is_some_and(|asked| base.is_asked_by(&asked)) => None,
            Self::Canonical(_) if is_health(request) && host.as_ref().is_some_and(|host| is_by_number(host) || is_loopback_name(host)) => None,
            Self::Canonical(base) => Some(elsewhere(base, request)),
        }
    }

    /// The origin of the pages that send such a request: `APP_BASE_URL`, or the name it asked by. `None` when it asked by none.
    pub(super) fn origin(&self, uri: &Uri, headers: &HeaderMap, plain_http: bool) -> Option<WebOrigin> {
        if let Self::Canonical(base) = self {
            return Some(base.clone());
        }
        let scheme = if plain_http { "http" } else { "https" };
        WebOrigin::parse(&format!("{scheme}://{}", asked_host(uri, headers)?))
    }
}

/// The one host of a request, as it stands in `:authority` or `Host`.
fn asked_host(uri: &Uri, headers: &HeaderMap) -> Option<String> {
    let mut named = headers.get_all(header::HOST).iter();
    match (uri.authority().map(Authority::as_str), named.next(), named.next()) {
        (Some(authority), _, _) => Some(authority.to_owned()),
        (None, Some(host), None) => host.to_str().ok().map(str::to_owned),
        // None at all, or two that may differ.
        _ => None,
    }
}

/// An address by its number cannot be made to mean another server.
const fn is_by_number(host: &Host<String>) -> bool {
    matches!(host, Host::Ipv4(_) | Host::Ipv6(_))
}

fn is_health(request: &Request) -> bool {
    HEALTH.contains(&request.uri().path())
}

fn elsewhere(base: &WebOrigin, request: &Request) -> Response {
    let path = request.uri().path_and_query().map_or("/", |path| path.as_str());
    let there = format!("{}{path}", base.as_str());
    match HeaderValue::from_str(&there) {
        Ok(location) if matches!(*request.method(), Method::GET | Method::HEAD) => {
            (StatusCode::MOVED_PERMANENTLY, [(header::LOCATION, location)]).into_response()
        }
        // A redirect would lose the body.
        _ => wrong_host(&format!("This server is {}.", base.as_str())).remedy("Send the request there.").into_response(),
    }
}

fn wrong_host(message: &str) -> ApiError {
    ApiError::new(StatusCode::MISDIRECTED_REQUEST, "wrong_host", message)
}

/// The address of whoever is connected.
pub(super) fn peer(request: &Request) -> Option<IpAddr> {
    request.extensions().get::<ConnectInfo<SocketAddr>>().map(|ConnectInfo(peer)| peer.ip().to_canonical())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_have_the_origin_of_app_base_url_or_of_the_one_name_asked_by() {
        let base = WebOrigin::parse("https://onsite.example").unwrap();
        let origin = |hosts: &Hosts, plain, asked: &[&'static str]| {
            let headers: HeaderMap =
                asked.iter().map(|host| (header::HOST, HeaderValue::from_static(host))).fold(HeaderMap::new(), |mut all, (name, host)| {
                    all.append(name, host);
                    all
                });
            hosts.origin(&Uri::from_static("/x"), &headers, plain).map(|origin| origin.as_str().to_owned())
        };
        assert_eq!(origin(&Hosts::Canonical(base), false, &["evil.example"]).as_deref(), Some("https://onsite.example"));
        assert_eq!(origin(&Hosts::Any, false, &["Onsite.lan:8443"]).as_deref(), Some("https://onsite.lan:8443"));
        assert_eq!(origin(&Hosts::Loopback, true, &["localhost:8080"]).as_deref(), Some("http://localhost:8080"));
        assert_eq!(origin(&Hosts::Any, false, &["a.example", "b.example"]), None, "two names");
        assert_eq!(origin(&Hosts::Any, false, &[]), None);
    }
}
