//! `onsite serve`: run the appliance until it is asked to stop.

use std::io::IsTerminal;
use std::net::SocketAddr;
use std::time::Duration;

use clap::Args;
use tokio::signal::unix::{SignalKind, signal};

use super::DataDirArgument;
use super::outcome::{CommandResult, Failure, say};
use crate::app::{Instance, StartOptions};
use crate::base::memory;
use crate::base::seams::Seams;
use crate::base::service_manager;
use crate::base::telemetry::{self, LogFormat};
use crate::config::definition::Used;
use crate::config::sources::Origin;
use crate::config::{Config, definitions};
use crate::services::auth::bootstrap::BootstrapStart;

/// Run the appliance.
#[derive(Debug, Args)]
pub(in crate::cli) struct Serve {
    #[command(flatten)]
    data: DataDirArgument,
    /// Where to listen; port 0 picks a free one. A socket that systemd hands over (onsite.socket) comes first.
    #[arg(long, value_name = "ADDR", env = "ONSITE_LISTEN", default_value = "0.0.0.0:8443")]
    listen: SocketAddr,
    /// Serve plain HTTP, on loopback only.
    #[arg(long)]
    dev: bool,
}

impl Serve {
    pub(in crate::cli) fn run(self) -> CommandResult {
        memory::share_heaps();
        // What the appliance writes is for nobody else on this machine, whatever the shell that started it thinks.
        rustix::process::umask(rustix::fs::Mode::RWXG | rustix::fs::Mode::RWXO);
        let config = self.data.config()?;
        let level = match config.server.log_level.as_str() {
            "WARNING" => "warn".to_owned(),
            other => other.to_lowercase(),
        };
        telemetry::start(&level, if config.server.log_format == "json" { LogFormat::Json } else { LogFormat::Text });
        warn_of_unused(&config);
        let threads = usize::try_from(config.server.worker_threads).unwrap_or(2);
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(threads).enable_all().build().map_err(Failure::failed)?;
        let options = StartOptions { dir: self.data.dir(), listen: self.listen, dev: self.dev, config, seams: Seams::system() };
        let result = runtime.block_on(serve(options));
        // Blocking work that is still going on (reading a large page) is put back at the next start; the exit does not wait for it.
        runtime.shutdown_timeout(Duration::from_secs(1));
        result
    }
}

/// A setting that somebody made and this version does not act on must not look as if it were in force.
fn warn_of_unused(config: &Config) {
    let unused: Vec<&str> = definitions()
        .filter(|definition| definition.used == Used::NotYet)
        .filter(|definition| config.values.get(definition.name).is_some_and(|value| value.origin != Origin::Default))
        .map(|definition| definition.name)
        .collect();
    if !unused.is_empty() {
        tracing::warn!(settings = unused.join(", "), "these settings are set and checked, but this version does not act on them");
    }
}

async fn serve(options: StartOptions) -> CommandResult {
    // Before the start: a signal that comes during it must not be lost.
    let mut terminate = signal(SignalKind::terminate()).map_err(Failure::failed)?;
    let mut interrupt = signal(SignalKind::interrupt()).map_err(Failure::failed)?;
    let instance = Instance::start(options).await.map_err(Failure::failed)?;
    say(format!("listening on {}", instance.url));
    announce(&instance);
    // Making the parts took memory that serving does not.
    memory::release_heap();
    service_manager::ready(&instance.url);
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
    service_manager::stopping();
    tracing::info!("stopping");
    instance.stop().await;
    tracing::info!("stopped");
    Ok(())
}

/// What the operator needs at the first start. The token goes to a terminal only: standard output may be a log.
fn announce(instance: &Instance) {
    if let Some(fingerprint) = &instance.composed.state.facts.certificate_fingerprint {
        say(format!("certificate fingerprint (SHA-256) {fingerprint}"));
    }
    if instance.composed.state.licensing.development_build() {
        say("development build: no vendor key inside, not for production");
    }
    match &instance.composed.bootstrap {
        BootstrapStart::Done => {}
        BootstrapStart::Kept { file, expires_at } => say(format!("setup is open: the bootstrap token is in {}, until {expires_at}", file.display())),
        BootstrapStart::Configured { expires_at } => say(format!("setup is open with the configured bootstrap token, until {expires_at}")),
        BootstrapStart::Generated(issued) => {
            say(format!("setup is open: the bootstrap token is in {}, until {}", issued.file.display(), issued.expires_at));
            if std::io::stdout().is_terminal() {
                say(format!("bootstrap token {}", issued.token.expose()));
            }
        }
        BootstrapStart::Burnt => say("the bootstrap token was burnt by too many wrong tries: stop the server and run `onsite bootstrap reissue`"),
    }
}
