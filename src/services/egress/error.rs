//! Why something did not leave the machine, or did not come back.

use std::net::IpAddr;
use std::time::Duration;

/// A failed fetch. Cloning is cheap enough: errors pass through the connection pool by reference.
#[derive(Clone, Debug, thiserror::Error, PartialEq, Eq)]
pub enum EgressError {
    /// No rule allows the destination.
    #[error("{host} port {port} is not allowed: {reason}")]
    NotAllowed {
        /// The host as in the URL.
        host: String,
        /// The port.
        port: u16,
        /// The address it resolved to, when that is what was refused.
        address: Option<IpAddr>,
        /// Why not.
        reason: String,
        /// What a system admin can do.
        remedy: String,
    },
    /// The name has no address that could be found.
    #[error("the name {host} could not be resolved: {reason}")]
    Dns {
        /// The host.
        host: String,
        /// Why.
        reason: String,
        /// Whether asking again may help.
        temporary: bool,
    },
    /// Nothing listens there, or the network does not reach it.
    #[error("{host} could not be reached: {reason}")]
    Connect {
        /// The host.
        host: String,
        /// The last address tried.
        address: Option<IpAddr>,
        /// Why.
        reason: String,
    },
    /// The secure connection was not made.
    #[error("no secure connection to {host}: {reason}")]
    Tls {
        /// The host.
        host: String,
        /// Why.
        reason: String,
    },
    /// It took too long.
    #[error("{host} took longer than {} ms to {waiting_for}", limit.as_millis())]
    Timeout {
        /// The host.
        host: String,
        /// What was waited for.
        waiting_for: &'static str,
        /// The limit.
        limit: Duration,
    },
    /// The answer's head, or a stream, is beyond its limit. (A fetched body is cut instead, and marked as cut.)
    #[error("{host} sent {what} of more than {limit_bytes} bytes")]
    TooLarge {
        /// The host.
        host: String,
        /// What was too large.
        what: &'static str,
        /// The limit.
        limit_bytes: u64,
    },
    /// Redirects that do not end.
    #[error("{host} redirects too often: {reason}")]
    RedirectLoop {
        /// The host of the last redirect.
        host: String,
        /// How.
        reason: String,
    },
    /// A URL that is not fetched, whoever asks.
    #[error("this address cannot be fetched: {reason}")]
    BadUrl {
        /// Why not.
        reason: String,
    },
    /// What came back is not HTTP as it should be.
    #[error("{host} does not answer as a web server should: {reason}")]
    Protocol {
        /// The host.
        host: String,
        /// What was wrong.
        reason: String,
    },
}

impl EgressError {
    /// The stable code, as in the log and in the API.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::NotAllowed { .. } => "not_allowed",
            Self::Dns { .. } => "dns",
            Self::Connect { .. } => "connect",
            Self::Tls { .. } => "tls",
            Self::Timeout { .. } => "timeout",
            Self::TooLarge { .. } => "too_large",
            Self::RedirectLoop { .. } => "redirect_loop",
            Self::BadUrl { .. } => "bad_url",
            Self::Protocol { .. } => "protocol",
        }
    }

    /// What to do about it, where something can be done.
    #[must_use]
    pub fn remedy(&self) -> String {
        match self {
            Self::NotAllowed { remedy, .. } => remedy.clone(),
            Self::Dns { .. } => "Check the name, and that this machine's /etc/resolv.conf or /etc/hosts knows it.".into(),
            Self::Connect { .. } => "Check that the server runs and that a firewall between here and there lets the port through.".into(),
            Self::Tls { .. } => {
                "Add the authority that signed the server's certificate to this machine's trusted certificates, or name its file in the settings."
                    .into()
            }
            Self::Timeout { .. } => "Try again later; the server is slow or the network drops packets.".into(),
            Self::TooLarge { .. } | Self::RedirectLoop { .. } | Self::Protocol { .. } => {
                "The server has to be mended; fetch another page of it.".into()
            }
            Self::BadUrl { .. } => "Give an address that begins with https:// or http:// and holds no password.".into(),
        }
    }

    /// Whether the same request may succeed a little later.
    #[must_use]
    pub const fn is_temporary(&self) -> bool {
        matches!(self, Self::Connect { .. } | Self::Timeout { .. } | Self::Dns { temporary: true, .. })
    }

    /// The address that was refused or not reached.
    #[must_use]
    pub const fn address(&self) -> Option<IpAddr> {
        match self {
            Self::NotAllowed { address, .. } | Self::Connect { address, .. } => *address,
            _ => None,
        }
    }
}

/// Why egress could not be set up at start.
#[derive(Debug, thiserror::Error)]
pub enum EgressSetupError {
    /// The rules could not be read.
    #[error(transparent)]
    Store(#[from] crate::store::StoreError),
    /// The file of additional authorities cannot be used.
    #[error("the file of additional certificate authorities, {path}, cannot be used: {reason}")]
    Authorities {
        /// The file.
        path: std::path::PathBuf,
        /// Why not.
        reason: String,
    },
    /// The TLS library refuses its own defaults.
    #[error("TLS cannot be set up: {0}")]
    Tls(#[from] rustls::Error),
}

/// Why a rule was not added.
#[derive(Debug, thiserror::Error)]
pub enum AddRuleError {
    /// A field is wrong.
    #[error(transparent)]
    Invalid(#[from] crate::model::invalid::Invalid),
    /// It is listed already.
    #[error("{destination} is allowed already by rule {id}")]
    Exists {
        /// As it would be written.
        destination: String,
        /// The rule that is there.
        id: crate::model::ids::EgressRuleId,
    },
    /// There are too many.
    #[error("there are {} rules already", crate::model::egress::RULES_MAX)]
    Full,
    /// The store failed.
    #[error(transparent)]
    Store(#[from] crate::store::StoreError),
}
