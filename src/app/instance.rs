//! One running appliance: started, ready, drained, stopped.

use std::net::{SocketAddr, TcpListener};
use std::time::Duration;

use axum_server::Handle;
use axum_server::tls_rustls::{RustlsAcceptor, RustlsConfig};
use tokio::task::JoinHandle;

use super::compose::{self, Composed, Parts};
use super::connections::Bounded;
use super::tls::{self, TlsError};
use crate::base::paths::DataDir;
use crate::base::seams::Seams;
use crate::base::service_manager;
use crate::base::tasks::Tasks;
use crate::config::Config;
use crate::http::router;
use crate::store::OpenError;

/// How long open requests may go on after the stop was asked for.
const DRAIN: Duration = Duration::from_secs(5);
/// HTTP/2 requests at once on one connection: a browser with a stream of events and a page full of questions stays far below.
const STREAMS_PER_CONNECTION: u32 = 32;
/// What somebody may send before anybody reads it, of one request and of a whole connection.
const STREAM_WINDOW_BYTES: u32 = 64 << 10;
const CONNECTION_WINDOW_BYTES: u32 = 256 << 10;
/// How long tasks may take to put their work down after that. Both together stay below ten seconds.
const WIND_DOWN: Duration = Duration::from_secs(4);

/// Why the appliance did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The data folder cannot be made.
    #[error("the data folder {path} cannot be made: {source}")]
    DataDir {
        /// The folder.
        path: std::path::PathBuf,
        /// The operating system's reason.
        source: std::io::Error,
    },
    /// The database cannot be opened.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// The certificate cannot be used.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// The address is taken, or not ours.
    #[error("cannot listen on {address}: {source}; choose another --listen, or stop what uses it")]
    Listen {
        /// The address asked for.
        address: SocketAddr,
        /// The operating system's reason.
        source: std::io::Error,
    },
    /// Plain HTTP was asked for on an address that others can reach.
    #[error("--dev serves plain HTTP and so only on loopback; {0} is not: drop --dev, or listen on 127.0.0.1")]
    PlainHttpBeyondLoopback(SocketAddr),
    /// Whatever failed, it failed for want of room.
    #[error("{cause}; the disk that holds {path} is full: free some space there (100 MB is plenty to begin with), then start again")]
    DiskFull {
        /// The data folder.
        path: std::path::PathBuf,
        /// What failed.
        cause: Box<Self>,
    },
    /// A part could not be made.
    #[error("{part}: {source}")]
    Part {
        /// Which part.
        part: &'static str,
        /// Its reason.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}

impl StartError {
    /// Says that the disk is full, when it is. SQLite calls a missing page of shared memory an I/O error, so the disk itself is asked.
    fn or_disk_full(self, dir: &DataDir) -> Self {
        const ROOM_BYTES_MIN: u64 = 1 << 20;
        match rustix::fs::statvfs(dir.path()) {
            Ok(disk) if disk.f_bavail.saturating_mul(disk.f_frsize) < ROOM_BYTES_MIN => {
                Self::DiskFull { path: dir.path().to_owned(), cause: Box::new(self) }
            }
            _ => self,
        }
    }

    /// Names the part whose making failed.
    pub(super) fn part<E: std::error::Error + Send + Sync + 'static>(part: &'static str) -> impl FnOnce(E) -> Self {
        move |source| Self::Part { part, source: Box::new(source) }
    }
}

/// What an appliance is started with.
#[derive(Debug)]
pub struct StartOptions {
    /// Where everything is kept.
    pub dir: DataDir,
    /// Where it listens; port 0 picks one.
    pub listen: SocketAddr,
    /// Plain HTTP, on loopback only.
    pub dev: bool,
    /// Every setting.
    pub config: Config,
    /// Time and randomness.
    pub seams: Seams,
}

/// A running appliance.
pub struct Instance {
    /// Where it listens.
    pub address: SocketAddr,
    /// The address for people: `https://127.0.0.1:8443`.
    pub url: String,
    /// What it is made of.
    pub composed: Composed,
    tasks: Tasks,
    handle: Handle<SocketAddr>,
    server: JoinHandle<std::io::Result<()>>,
}

impl Instance {
    /// Opens the data folder, listens, and starts the recurring tasks. It answers requests when this returns.
    ///
    /// # Errors
    /// Says what stands in the way and what to do.
    pub async fn start(options: StartOptions) -> Result<Self, StartError> {
        let StartOptions { dir, listen, dev, config, seams } = options;
        dir.create().map_err(|source| StartError::DataDir { path: dir.path().to_owned(), source })?;
        // The port first: a server that cannot listen must not touch the database.
        let bind = |source| StartError::Listen { address: listen, source };
        let listener = match service_manager::inherited_listener().map_err(bind)? {
            Some(inherited) => inherited,
            None => TcpListener::bind(listen).map_err(bind)?,
        };
        let address = listener.local_addr().map_err(bind)?;
        if dev && !address.ip().is_loopback() {
            return Err(StartError::PlainHttpBeyondLoopback(address));
        }
        let full = |error: StartError| error.or_disk_full(&dir);
        let tls = if dev { None } else { Some(tls::load_or_create(&dir.tls(), address.ip(), seams.now()).map_err(|error| full(error.into()))?) };
        let tasks = Tasks::default();
        let size = |number: u64| usize::try_from(number).unwrap_or(usize::MAX);
        let per_address = size(config.server.connections_per_address_max);
        let connections = Bounded::new(size(config.server.connections_max), (per_address > 0).then_some(per_address));
        let certificate_fingerprint = tls.as_ref().map(|tls| tls.fingerprint.clone());
        let composed =
            compose::compose(Parts { dir: dir.clone(), config, seams, tasks: tasks.clone(), certificate_fingerprint }).await.map_err(full)?;
        let service = router::service(composed.state.clone()).into_make_service_with_connect_info::<SocketAddr>();
        let handle = Handle::new();
        let mut server = axum_server::from_tcp(listener).map_err(bind)?.handle(handle.clone()).first_request_timeout(Duration::from_secs(30));
        server
            .http_builder()
            .http2()
            .max_concurrent_streams(STREAMS_PER_CONNECTION)
            .initial_stream_window_size(STREAM_WINDOW_BYTES)
            .initial_connection_window_size(CONNECTION_WINDOW_BYTES);
        let serving = tls.map(|tls| RustlsAcceptor::new(RustlsConfig::from_config(tls.config)));
        let server = match serving {
            Some(acceptor) => tasks.spawn("https", server.acceptor(acceptor.acceptor(connections)).serve(service)),
            None => tasks.spawn("http", server.acceptor(connections).serve(service)),
        };
        compose::start_jobs(&composed);
        let scheme = if dev { "http" } else { "https" };
        Ok(Self { address, url: format!("{scheme}://{}", for_people(address)), composed, tasks, handle, server })
    }

    /// Stops: no new connections, open requests drain, streams end, tasks put their work down. Takes less than ten seconds.
    pub async fn stop(self) {
        // Streams end with the tasks' token, and must end for the connections to drain.
        self.tasks.token().cancel();
        self.handle.graceful_shutdown(Some(DRAIN));
        match self.server.await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::error!(%error, "the listener failed"),
            Err(error) => tracing::error!(%error, "the listener's task failed"),
        }
        let left = self.tasks.stop(WIND_DOWN).await;
        if left > 0 {
            tracing::warn!(left, "tasks were still running; their work goes on at the next start");
        }
    }
}

/// An address that a browser on this machine can open.
fn for_people(address: SocketAddr) -> String {
    if address.ip().is_unspecified() { format!("localhost:{}", address.port()) } else { address.to_string() }
}

impl std::fmt::Debug for Instance {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Instance").field("url", &self.url).finish_non_exhaustive()
    }
}
