//! Services that know people: a provider of OpenID Connect and a directory of LDAP. They say who somebody is; what that opens here is decided by
//! `features/sign_on`.

mod id_token;
mod jwks;
mod ldap;
mod ldap_wire;
mod oidc;
mod provider;

pub use id_token::TokenError;
pub use ldap::{Ldap, LdapSettings};
pub use oidc::{Oidc, OidcProbe, OidcSettings};

use std::time::Duration;

use crate::services::egress::EgressError;

/// Why a provider's answer did not say who somebody is.
#[derive(Clone, Debug, thiserror::Error)]
pub enum OidcError {
    /// It could not be asked.
    #[error(transparent)]
    Egress(#[from] EgressError),
    /// It did not answer as a provider does.
    #[error("the provider, {step}: {reason}")]
    Provider {
        /// What it was asked for.
        step: &'static str,
        /// What is wrong.
        reason: String,
    },
    /// Its token is not believed.
    #[error("the provider: {0}")]
    Token(#[from] TokenError),
}

/// Why a directory did not say who somebody is.
#[derive(Clone, Debug, thiserror::Error)]
pub enum LdapError {
    /// It could not be reached.
    #[error(transparent)]
    Egress(#[from] EgressError),
    /// It did not speak as a directory does.
    #[error("the directory: {0}")]
    Protocol(String),
    /// It refused a step that has to work.
    #[error("the directory refused {step}: {reply}")]
    Refused {
        /// Which step.
        step: &'static str,
        /// Its words.
        reply: String,
    },
    /// It took too long.
    #[error("the directory took longer than {} s", .0.as_secs())]
    Timeout(Duration),
}
