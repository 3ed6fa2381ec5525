//! systemd, where it started us: the socket that it holds, what it is told, and the sign of life that it waits for.
//! Started by anything else, all of this does nothing.

use std::io;
use std::net::TcpListener;
use std::time::Duration;

use listenfd::ListenFd;
use sd_notify::NotifyState;

/// The first socket that systemd opened for us (`LISTEN_FDS`): how a service listens on port 443 without root.
///
/// # Errors
/// The descriptor that was handed over is not a listening TCP socket.
pub fn inherited_listener() -> io::Result<Option<TcpListener>> {
    ListenFd::from_env().take_tcp_listener(0)
}

/// Says that requests are answered, and where.
pub fn ready(url: &str) {
    tell(&[NotifyState::Ready, NotifyState::Status(&format!("serving {url}"))]);
}

/// Says that the stop has begun.
pub fn stopping() {
    tell(&[NotifyState::Stopping, NotifyState::Status("finishing open requests")]);
}

/// The sign of life.
pub fn alive() {
    tell(&[NotifyState::Watchdog]);
}

/// How often a sign of life is due: twice in the time after which systemd (`WatchdogSec=`) would restart us. `None` = nobody waits for one.
#[must_use]
pub fn sign_of_life_every() -> Option<Duration> {
    sd_notify::watchdog_enabled().map(|limit| limit / 2)
}

/// Whoever cannot be told will find out by itself; the appliance goes on.
fn tell(states: &[NotifyState]) {
    if let Err(error) = sd_notify::notify(states) {
        tracing::warn!(%error, "the service manager cannot be told of {states:?}");
    }
}
