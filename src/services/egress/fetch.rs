//! Fetching: hop by hop, each hop checked and logged, redirects followed by hand.

use std::net::IpAddr;
use std::time::Duration;

use bytes::Bytes;
use futures_util::StreamExt;
use http::header::{ACCEPT, ACCEPT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, LOCATION, USER_AGENT};
use http::{HeaderMap, HeaderValue, Method, Response, StatusCode};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use tokio::time::timeout;
use url::Url;

use super::Egress;
use super::body::BodySink;
use super::client::{explain, peer};
use super::error::EgressError;
use super::log::Attempt;
use super::policy::Target;
use super::request::{FetchRequest, Fetched, REDIRECTS_MAX, Streaming};
use crate::base::clock::Clock;

/// Headers that may follow a redirect to another origin. Everything else may be a credential.
const HARMLESS_HEADERS: [&str; 6] = ["accept", "accept-encoding", "accept-language", "if-modified-since", "if-none-match", "user-agent"];

/// An answer whose body is unread.
struct Opened {
    response: Response<Incoming>,
    attempt: Attempt,
    url: Url,
    host: String,
    address: Option<IpAddr>,
    redirects: u8,
    /// On the clock's own scale, as [`elapsed`](crate::base::clock::Clock::elapsed) counts.
    deadline: Duration,
}

impl Egress {
    /// Fetches a URL with its body.
    ///
    /// # Errors
    /// When the policy refuses it or one of its redirects, or it cannot be fetched within the request's bounds. An answer of any status
    /// is an answer, not an error.
    pub async fn fetch(&self, request: FetchRequest) -> Result<Fetched, EgressError> {
        self.fetch_when(request, |_, _| true).await
    }

    /// As [`Egress::fetch`], but reads the body only when the head is wanted.
    ///
    /// # Errors
    /// As [`Egress::fetch`].
    pub async fn fetch_when(
        &self,
        mut request: FetchRequest,
        wanted: impl Fn(StatusCode, &HeaderMap) -> bool + Send,
    ) -> Result<Fetched, EgressError> {
        request.headers.entry(ACCEPT_ENCODING).or_insert(HeaderValue::from_static("gzip"));
        let (max_bytes, limit) = (request.max_bytes, request.timeout);
        let mut opened = self.open(request).await?;
        let declined = !wanted(opened.response.status(), opened.response.headers());
        let taken = if declined { Ok((Bytes::new(), false)) } else { collect(self.clock(), &mut opened, max_bytes, limit).await };
        match taken {
            Ok((body, truncated)) => {
                opened.attempt.ended("ok");
                let (head, _) = opened.response.into_parts();
                Ok(Fetched {
                    final_url: opened.url,
                    status: head.status,
                    headers: head.headers,
                    body,
                    truncated,
                    declined,
                    redirects: opened.redirects,
                    address: opened.address,
                })
            }
            Err(error) => {
                opened.attempt.failed(&error);
                Err(error)
            }
        }
    }

    /// Fetches a URL whose body is handed on as it comes: for answers that are written while they are read.
    ///
    /// # Errors
    /// As [`Egress::fetch`], until the head has come; later ones come through the stream.
    pub async fn open_stream(&self, mut request: FetchRequest) -> Result<Streaming, EgressError> {
        request.headers.entry(ACCEPT_ENCODING).or_insert(HeaderValue::from_static("identity"));
        let max_bytes = request.max_bytes;
        let opened = self.open(request).await?;
        let idle = Duration::from_millis(self.settings().stream_idle_timeout_millis);
        let (head, body) = opened.response.into_parts();
        let state = Some((body, opened.attempt, opened.host, 0u64));
        let body = futures_util::stream::unfold(state, move |state| async move {
            let (mut body, mut attempt, host, received) = state?;
            match next_chunk(&mut body, &host, idle).await {
                Ok(Some(chunk)) if received + chunk.len() as u64 <= max_bytes => {
                    let received = received + chunk.len() as u64;
                    attempt.received(received);
                    Some((Ok(chunk), Some((body, attempt, host, received))))
                }
                Ok(None) => {
                    attempt.ended("ok");
                    None
                }
                Ok(Some(_)) => failed(attempt, EgressError::TooLarge { host, what: "a stream", limit_bytes: max_bytes }),
                Err(error) => failed(attempt, error),
            }
        });
        Ok(Streaming { final_url: opened.url, status: head.status, headers: head.headers, body: body.boxed() })
    }

    /// Follows redirects to the first answer that is none.
    async fn open(&self, mut request: FetchRequest) -> Result<Opened, EgressError> {
        let deadline = self.clock().elapsed().saturating_add(request.timeout);
        let agent = self.user_agent();
        request.headers.entry(USER_AGENT).or_insert(agent);
        request.headers.entry(ACCEPT).or_insert(HeaderValue::from_static("*/*"));
        let redirects_max = request.accept_redirects.min(REDIRECTS_MAX);
        let mut visited = Vec::new();
        loop {
            request.url.set_fragment(None);
            let target = Target::of(&request.url);
            let sent = request.body.as_ref().map_or(0, |body| body.len() as u64);
            let mut attempt = self.log().attempt(request.company.clone(), request.purpose, &request.method, &request.url, sent);
            let answer = match target {
                Ok(target) => self.hop(&request, &target, deadline).await.map(|response| (target, response)),
                Err(error) => Err(error),
            };
            let (target, response) = answer.inspect_err(|error| attempt.failed(error))?;
            let address = peer(&response);
            attempt.answered(response.status(), address);
            let location = if redirects_max > 0 { redirect_of(&request.url, &response) } else { None };
            let Some(location) = location else {
                let redirects = u8::try_from(visited.len()).unwrap_or(u8::MAX);
                return Ok(Opened { response, attempt, url: request.url, host: target.host, address, redirects, deadline });
            };
            attempt.ended("ok");
            drop(attempt);
            visited.push(std::mem::replace(&mut request.url, location?));
            if let Err(error) = self.admit_redirect(&request, &visited, redirects_max, (&target, address)) {
                self.log().attempt(request.company.clone(), request.purpose, &request.method, &request.url, 0).failed(&error);
                return Err(error);
            }
            redirected(&mut request, &visited, response.status());
        }
    }

    async fn hop(&self, request: &FetchRequest, target: &Target, deadline: Duration) -> Result<Response<Incoming>, EgressError> {
        let door = self.door();
        // The connector checks again, with the address; a pooled connection and an unlisted name end here, before anybody is asked.
        door.policy.precheck(target)?;
        let mut builder = http::Request::builder().method(request.method.clone());
        if let Some(headers) = builder.headers_mut() {
            *headers = request.headers.clone();
        }
        let body = request.body.clone().unwrap_or_default();
        let late = || EgressError::Timeout { host: target.host.clone(), waiting_for: "answer", limit: request.timeout };
        before(self.clock(), deadline, door.send(&request.url, builder, body, || self.tls())).await.ok_or_else(late)?
    }

    /// Whether a redirect is followed. Its address is checked where it is connected to, as any other.
    fn admit_redirect(&self, request: &FetchRequest, visited: &[Url], redirects_max: u8, from: (&Target, Option<IpAddr>)) -> Result<(), EgressError> {
        let to = Target::of(&request.url)?;
        let looped = |reason: String| EgressError::RedirectLoop { host: to.host.clone(), reason };
        if request.method == Method::GET && visited.contains(&request.url) {
            return Err(looped("it came back to an address it had left".into()));
        }
        if visited.len() > usize::from(redirects_max) {
            return Err(looped(format!("more than {redirects_max} times")));
        }
        let leaves_tls = visited.last().is_some_and(|last| last.scheme() == "https") && request.url.scheme() == "http";
        if leaves_tls && !self.door().policy.may_downgrade(from.0, from.1, &to) {
            return Err(EgressError::NotAllowed {
                host: to.host.clone(),
                port: to.port,
                address: None,
                reason: "a secure page redirects to one that is not, and no single rule covers both".into(),
                remedy: format!("If that is meant, a system admin can allow {} for every port under Appliance › Egress.", to.host),
            });
        }
        Ok(())
    }
}

/// Where an answer redirects to; `None` when it does not.
fn redirect_of(url: &Url, response: &Response<Incoming>) -> Option<Result<Url, EgressError>> {
    if !matches!(response.status().as_u16(), 301 | 302 | 303 | 307 | 308) {
        return None;
    }
    let location = response.headers().get(LOCATION)?;
    let text = String::from_utf8_lossy(location.as_bytes()).into_owned();
    Some(url.join(&text).map_err(|error| EgressError::BadUrl { reason: format!("it redirects to something that is no address ({error})") }))
}

/// Adapts the request to its new address: the method as browsers do, and no secrets to another origin.
fn redirected(request: &mut FetchRequest, visited: &[Url], status: StatusCode) {
    let to_get = status == StatusCode::SEE_OTHER || (matches!(status.as_u16(), 301 | 302) && request.method == Method::POST);
    if to_get && request.method != Method::HEAD {
        request.method = Method::GET;
        request.body = None;
        request.headers.remove(CONTENT_TYPE);
        request.headers.remove(CONTENT_LENGTH);
    }
    if visited.last().is_some_and(|last| last.origin() != request.url.origin()) {
        let kept: HeaderMap = HARMLESS_HEADERS
            .iter()
            .filter_map(|name| request.headers.get(*name).map(|value| (http::HeaderName::from_static(name), value.clone())))
            .collect();
        let content_type = request.body.as_ref().and_then(|_| request.headers.get(CONTENT_TYPE).cloned());
        request.headers = kept;
        if let Some(value) = content_type {
            request.headers.insert(CONTENT_TYPE, value);
        }
    }
}

/// What comes of the work, unless the clock reaches the deadline first.
async fn before<T>(clock: &dyn Clock, deadline: Duration, work: impl Future<Output = T>) -> Option<T> {
    tokio::select! {
        biased;
        done = work => Some(done),
        () = clock.sleep(deadline.saturating_sub(clock.elapsed())) => None,
    }
}

async fn collect(clock: &dyn Clock, opened: &mut Opened, max_bytes: u64, limit: Duration) -> Result<(Bytes, bool), EgressError> {
    let host = &opened.host;
    let protocol = |reason: String| EgressError::Protocol { host: host.clone(), reason };
    let mut sink = BodySink::new(opened.response.headers(), max_bytes).map_err(protocol)?;
    loop {
        let late = || EgressError::Timeout { host: host.clone(), waiting_for: "send its body", limit };
        let frame = before(clock, opened.deadline, opened.response.body_mut().frame()).await.ok_or_else(late)?;
        let Some(frame) = frame else { break };
        let frame = frame.map_err(|error| explain(host, &error))?;
        let Some(chunk) = frame.data_ref() else { continue };
        let more = sink.push(chunk);
        opened.attempt.received(sink.wire_bytes());
        if !more.map_err(protocol)? {
            break;
        }
    }
    let taken = sink.finish();
    Ok((taken.bytes.into(), taken.truncated))
}

async fn next_chunk(body: &mut Incoming, host: &str, idle: Duration) -> Result<Option<Bytes>, EgressError> {
    loop {
        match timeout(idle, body.frame()).await {
            Err(_) => return Err(EgressError::Timeout { host: host.to_owned(), waiting_for: "go on with its answer", limit: idle }),
            Ok(None) => return Ok(None),
            Ok(Some(Err(error))) => return Err(explain(host, &error)),
            Ok(Some(Ok(frame))) => {
                // Anything else is trailers.
                if let Ok(chunk) = frame.into_data() {
                    return Ok(Some(chunk));
                }
            }
        }
    }
}

type StreamState = Option<(Incoming, Attempt, String, u64)>;

fn failed(mut attempt: Attempt, error: EgressError) -> Option<(Result<Bytes, EgressError>, StreamState)> {
    attempt.failed(&error);
    Some((Err(error), None))
}
