//! Mail: written as a row in the transaction of what it tells of ([`Outbox`]), sent by a recurring task ([`Courier`]) over SMTP or Azure, or put
//! into a folder where neither is set. Plain, short texts; nothing in them is fetched or counted.

mod azure;
mod courier;
mod message;
mod outbox;
mod smtp;
mod spool;
mod texts;

use std::path::PathBuf;
use std::time::Duration;

use url::Url;

use crate::base::vault::VaultError;
use crate::config::mail::{AzureAccount, SmtpServer};
use crate::model::user::Email;
use crate::services::egress::EgressError;

pub use courier::Courier;
pub use outbox::{InvitationLetter, Outbox};

/// How mail leaves.
#[derive(Clone, Debug)]
pub enum Sender {
    /// To a mail server.
    Smtp(SmtpServer),
    /// To Azure Communication Services.
    Azure(AzureAccount),
    /// Into this folder, for an operator to look at or a program to fetch.
    Spool(PathBuf),
}

/// How mail is written and sent.
#[derive(Clone, Debug)]
pub struct MailSettings {
    /// How it leaves.
    pub sender: Sender,
    /// Where it comes from.
    pub from: Email,
    /// What links begin with (`APP_BASE_URL`); without it no mail with a link is written.
    pub base_url: Option<Url>,
}

/// Why a mail was not sent.
#[derive(Debug, thiserror::Error)]
pub enum MailError {
    /// The mail server was not reached, or not allowed.
    #[error(transparent)]
    Egress(#[from] EgressError),
    /// The mail server said no.
    #[error("the mail server refused {step}: {reply}")]
    Refused {
        /// What it was told.
        step: &'static str,
        /// What it said.
        reply: String,
        /// Whether it will always say so for this mail.
        for_good: bool,
    },
    /// What came back is not as it should be.
    #[error("the mail server does not answer as one should: {0}")]
    Protocol(String),
    /// It took too long.
    #[error("the mail server took longer than {} s", .0.as_secs())]
    Timeout(Duration),
    /// The folder for mail cannot be written.
    #[error("the folder for mail: {0}")]
    Spool(String),
    /// The mail itself cannot be written.
    #[error("the mail cannot be written: {0}")]
    Message(String),
    /// The stored text does not open.
    #[error(transparent)]
    Vault(#[from] VaultError),
}

impl MailError {
    /// Whether another try of the same mail cannot succeed.
    #[must_use]
    pub const fn for_good(&self) -> bool {
        matches!(self, Self::Refused { for_good: true, .. } | Self::Message(_) | Self::Vault(VaultError::Altered | VaultError::Form))
    }

    /// What happened, and what can be done where something can.
    #[must_use]
    pub fn explained(&self) -> String {
        match self {
            Self::Egress(error) => format!("{error}. {}", error.remedy()),
            other => other.to_string(),
        }
    }
}
