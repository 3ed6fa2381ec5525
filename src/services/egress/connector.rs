//! The connector: resolves, checks every address against the policy, and connects to exactly the address it checked. A name that
//! changes its address between a check and a connection finds no gap here, because there is none.

use std::future::Future;
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use http::Uri;
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tower::Service;

use super::error::EgressError;
use super::policy::{Policy, Target};
use super::resolver::Resolve;

/// Most addresses tried for one connection.
const ADDRESSES_MAX: usize = 8;

/// Makes TCP connections that the policy allows.
#[derive(Clone)]
pub(super) struct CheckedConnector {
    pub(super) policy: Arc<Policy>,
    pub(super) resolver: Arc<dyn Resolve>,
    pub(super) connect_timeout: Duration,
}

impl CheckedConnector {
    async fn connect(self, uri: Uri) -> Result<TokioIo<TcpStream>, EgressError> {
        let port = uri.port_u16().unwrap_or(if uri.scheme_str() == Some("https") { 443 } else { 80 });
        let target =
            uri.host().and_then(|host| Target::of_host(host, port)).ok_or_else(|| EgressError::BadUrl { reason: "it has no host".into() })?;
        self.connect_to(target).await
    }

    /// Connects to a target that is allowed.
    pub(super) async fn connect_to(self, target: Target) -> Result<TokioIo<TcpStream>, EgressError> {
        let limit = self.connect_timeout;
        let host = target.host.clone();
        match tokio::time::timeout(limit, self.reach(target)).await {
            Ok(result) => result,
            Err(_) => Err(EgressError::Timeout { host, waiting_for: "connect", limit }),
        }
    }

    async fn reach(self, target: Target) -> Result<TokioIo<TcpStream>, EgressError> {
        let allowed = self.allowed_addresses(&target).await?;
        let mut last = None;
        // Each address gets a share of the time, so that a dead first one does not use up all of it.
        let share = self.connect_timeout / u32::try_from(allowed.len()).unwrap_or(1).max(1);
        for address in allowed {
            let reason = match tokio::time::timeout(share, TcpStream::connect(SocketAddr::new(address, target.port))).await {
                Ok(Ok(stream)) => {
                    // Without it, small requests wait for Nagle's algorithm.
                    let _ = stream.set_nodelay(true);
                    return Ok(TokioIo::new(stream));
                }
                Ok(Err(error)) => error.to_string(),
                Err(_) => format!("no answer within {} ms", share.as_millis()),
            };
            last = Some((address, reason));
        }
        let (address, reason) = last.map_or((None, "it has no address".to_owned()), |(address, reason)| (Some(address), reason));
        Err(EgressError::Connect { host: target.host, address, reason })
    }

    /// The target's addresses that the policy allows; the first refusal when it allows none.
    async fn allowed_addresses(&self, target: &Target) -> Result<Vec<IpAddr>, EgressError> {
        self.policy.precheck(target)?;
        if let Some(address) = target.literal {
            return Ok(vec![address]);
        }
        let dns = |reason: String, temporary| EgressError::Dns { host: target.host.clone(), reason, temporary };
        let found = self.resolver.resolve(target.host.clone()).await.map_err(|error| dns(error.reason, error.temporary))?;
        let mut refusal = None;
        let mut allowed = Vec::new();
        for address in found {
            match self.policy.check(target, address) {
                Ok(()) if allowed.len() < ADDRESSES_MAX => allowed.push(address),
                Ok(()) => {}
                Err(error) => refusal = refusal.or(Some(error)),
            }
        }
        match (allowed.is_empty(), refusal) {
            (false, _) => Ok(allowed),
            (true, Some(refusal)) => Err(refusal),
            (true, None) => Err(dns("the name has no address".into(), false)),
        }
    }
}

impl Service<Uri> for CheckedConnector {
    type Response = TokioIo<TcpStream>;
    type Error = EgressError;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, EgressError>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), EgressError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, uri: Uri) -> Self::Future {
        Box::pin(self.clone().connect(uri))
    }
}
