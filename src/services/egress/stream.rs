//! Connections that are not HTTP: the same policy, the same check of the address that is connected to, the same log. TLS at once or later.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use url::Url;

use super::Egress;
use super::error::EgressError;
use super::log::Attempt;
use super::policy::Target;
use crate::model::egress::Purpose;

/// Where to connect to, and what the log says about it.
#[derive(Clone, Debug)]
pub struct Destination<'a> {
    /// Why.
    pub purpose: Purpose,
    /// The protocol, as the scheme of an address: `smtp`.
    pub protocol: &'static str,
    /// The host: a name or an address.
    pub host: &'a str,
    /// The port.
    pub port: u16,
}

/// An open connection. Its row of the log is written when it is dropped.
pub struct Connection {
    stream: Stream,
    host: String,
    attempt: Attempt,
    sent: u64,
    received: u64,
}

enum Stream {
    Plain(TcpStream),
    // Boxed: it is many times as large.
    Secure(Box<TlsStream<TcpStream>>),
}

impl Egress {
    /// Connects, without TLS.
    ///
    /// # Errors
    /// When the policy refuses it, or nothing is there.
    pub async fn connect(&self, to: Destination<'_>) -> Result<Connection, EgressError> {
        let bad = |reason: String| EgressError::BadUrl { reason };
        let target = Target::of_host(to.host, to.port).filter(|target| target.port != 0).ok_or_else(|| bad("it has no host or no port".into()))?;
        let host = if to.host.contains(':') { format!("[{}]", target.host) } else { target.host.clone() };
        let url: Url = format!("{}://{host}:{}", to.protocol, to.port).parse().map_err(|error: url::ParseError| bad(error.to_string()))?;
        let mut attempt = self.log().attempt(None, to.purpose, &http::Method::CONNECT, &url, 0);
        let connected = self.door().connector().connect_to(target.clone()).await.inspect_err(|error| attempt.failed(error))?;
        let stream = connected.into_inner();
        attempt.ended("ok");
        attempt.reached(stream.peer_addr().ok().map(|peer| peer.ip().to_canonical()));
        Ok(Connection { stream: Stream::Plain(stream), host: target.host, attempt, sent: 0, received: 0 })
    }

    /// Secures a connection: the certificate must be one for its host, of an authority that egress trusts.
    ///
    /// # Errors
    /// [`EgressError::Tls`].
    pub async fn secure(&self, connection: Connection) -> Result<Connection, EgressError> {
        let Connection { stream, host, mut attempt, sent, received } = connection;
        let failed = |reason: String| EgressError::Tls { host: host.clone(), reason };
        let secured = async {
            let Stream::Plain(stream) = stream else { return Err(failed("it is secure already".into())) };
            let name = ServerName::try_from(host.clone()).map_err(|error| failed(error.to_string()))?;
            let connector = TlsConnector::from(Arc::new(self.tls()?));
            connector.connect(name, stream).await.map_err(|error| failed(error.to_string()))
        };
        let secured = secured.await.inspect_err(|error| attempt.failed(error))?;
        Ok(Connection { stream: Stream::Secure(Box::new(secured)), host, attempt, sent, received })
    }
}

impl Connection {
    /// Whether TLS protects it.
    #[must_use]
    pub const fn is_secure(&self) -> bool {
        matches!(self.stream, Stream::Secure(_))
    }

    /// The other side did not speak the protocol.
    pub const fn failed(&mut self) {
        self.attempt.ended("protocol");
    }
}

impl AsyncRead for Connection {
    fn poll_read(self: Pin<&mut Self>, context: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let before = buffer.filled().len();
        ready!(match &mut this.stream {
            Stream::Plain(stream) => Pin::new(stream).poll_read(context, buffer),
            Stream::Secure(stream) => Pin::new(stream).poll_read(context, buffer),
        })?;
        this.received += (buffer.filled().len() - before) as u64;
        this.attempt.received(this.received);
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Connection {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let written = ready!(match &mut this.stream {
            Stream::Plain(stream) => Pin::new(stream).poll_write(context, bytes),
            Stream::Secure(stream) => Pin::new(stream).poll_write(context, bytes),
        })?;
        this.sent += written as u64;
        this.attempt.sent(this.sent);
        Poll::Ready(Ok(written))
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.get_mut().stream {
            Stream::Plain(stream) => Pin::new(stream).poll_flush(context),
            Stream::Secure(stream) => Pin::new(stream).poll_flush(context),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.get_mut().stream {
            Stream::Plain(stream) => Pin::new(stream).poll_shutdown(context),
            Stream::Secure(stream) => Pin::new(stream).poll_shutdown(context),
        }
    }
}

impl std::fmt::Debug for Connection {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Connection").field("host", &self.host).field("secure", &self.is_secure()).finish_non_exhaustive()
    }
}
