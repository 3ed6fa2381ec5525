//! How mail leaves, from the settings.

use std::str::FromStr;

use url::Url;

use super::instance::StartError;
use crate::base::paths::DataDir;
use crate::config::Config;
use crate::config::mail::{AzureAccount, SmtpServer};
use crate::model::user::Email;
use crate::services::mail::{MailSettings, Sender};

/// What mail comes from where no server asks.
const SPOOL_FROM: &str = "onsite@localhost";

/// A setting that was checked when it was read, and does not hold all the same.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
struct Wrong(String);

/// How mail leaves: SMTP first, then Azure, else the folder.
pub(super) fn settings(config: &Config, dir: &DataDir) -> Result<MailSettings, StartError> {
    let auth = &config.auth;
    let sender = match (&auth.smtp_url, &auth.azure_connection_string) {
        (Some(url), _) => Sender::Smtp(SmtpServer::parse(url.expose()).map_err(wrong("SMTP_URL"))?),
        (None, Some(text)) => Sender::Azure(AzureAccount::parse(text.expose()).map_err(wrong("AZURE_COMMUNICATION_SERVICES_CONNECTION_STRING"))?),
        (None, None) => Sender::Spool(dir.mail()),
    };
    let from = config.mail_from().unwrap_or_else(|| SPOOL_FROM.to_owned());
    let from = Email::from_str(&from).map_err(StartError::part("ONSITE_MAIL_FROM"))?;
    let base_url = config.server.app_base_url.as_deref().map(Url::parse).transpose().map_err(StartError::part("APP_BASE_URL"))?;
    Ok(MailSettings { sender, from, base_url })
}

fn wrong(setting: &'static str) -> impl FnOnce(&'static str) -> StartError {
    move |what| StartError::part(setting)(Wrong(what.to_owned()))
}
