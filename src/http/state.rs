//! What handlers are given.

use std::sync::Arc;
use std::time::Duration;

use super::caller::{COOKIE_PLAIN, COOKIE_SECURE, SSO_COOKIE_PLAIN, SSO_COOKIE_SECURE};
use super::cors::Cors;
use super::hosts::Hosts;
use super::metrics::Metrics;
use super::rates::Rates;
use crate::base::seams::Seams;
use crate::base::tasks::Tasks;
use crate::config::Config;
use crate::features::automations::Automations;
use crate::features::chat::Chat;
use crate::features::companies::CompanyCare;
use crate::features::documents::Documents;
use crate::features::issuer::Issuer;
use crate::features::members::Members;
use crate::features::setup::Setup;
use crate::features::sign_on::SignOn;
use crate::services::api_keys::ApiKeys;
use crate::services::audit::Audit;
use crate::services::auth::Auth;
use crate::services::companies::Companies;
use crate::services::egress::Egress;
use crate::services::ledger::Ledger;
use crate::services::licensing::Licensing;
use crate::services::mail::{Courier, Outbox};
use crate::services::plans::Plans;
use crate::services::readiness::Readiness;
use crate::services::recall::Recall;
use crate::services::secrets::Secrets;
use crate::services::streams::Streams;

/// The features and services that handlers call. Cheap to clone: every field is.
#[derive(Clone)]
pub struct AppState {
    /// API keys of members.
    pub api_keys: ApiKeys,
    /// The audit log.
    pub audit: Audit,
    /// Who is asking.
    pub auth: Auth,
    /// Widgets, their runs and reports.
    pub automations: Automations,
    /// Companies as a whole: name, export, end.
    pub care: CompanyCare,
    /// Conversations and their answers.
    pub chat: Chat,
    /// Companies and their members.
    pub companies: Companies,
    /// Company documents.
    pub documents: Documents,
    /// The way out, its rules and its log.
    pub egress: Egress,
    /// Every setting, with its origin.
    pub config: Arc<Config>,
    /// Sends mail.
    pub courier: Courier,
    /// Facts that do not change while the process runs.
    pub facts: Arc<Facts>,
    /// Orders for activation codes, on an issuer.
    pub issuer: Issuer,
    /// The token ledger.
    pub ledger: Ledger,
    /// Activation codes.
    pub licensing: Licensing,
    /// Members, invitations and accounts.
    pub members: Members,
    /// Writes mails, and says how they leave.
    pub outbox: Outbox,
    /// Counts requests.
    pub metrics: Metrics,
    /// What a company may do.
    pub plans: Plans,
    /// How often anybody may ask.
    pub rates: Rates,
    /// Whether the appliance can do its work.
    pub readiness: Readiness,
    /// What was collected and uploaded, found again.
    pub recall: Recall,
    /// Time and randomness.
    pub seams: Seams,
    /// What is encrypted at rest.
    pub secrets: Secrets,
    /// The first start.
    pub setup: Setup,
    /// Signing in at a provider or a directory.
    pub sign_on: SignOn,
    /// What followers of runs are shown.
    pub streams: Streams,
    /// Ends streams when the app stops.
    pub tasks: Tasks,
}

/// Facts that do not change while the process runs.
#[derive(Clone, Debug)]
pub struct Facts {
    /// The version of this binary.
    pub version: &'static str,
    /// SHA-256 of the TLS certificate in hexadecimal pairs; `None` without TLS.
    pub certificate_fingerprint: Option<String>,
    /// Whether this process serves plain HTTP on loopback (`--dev`): cookies then cannot be `Secure`.
    pub plain_http: bool,
    /// The longest time to the head of an answer (`GUNICORN_TIMEOUT`).
    pub request_timeout: Duration,
    /// The longest body of an ordinary request, bytes.
    pub body_bytes_max: usize,
    /// Which names are answered.
    pub hosts: Hosts,
    /// Which other origins' pages may call.
    pub cors: Cors,
}

impl Facts {
    /// The name of the session cookie.
    #[must_use]
    pub const fn session_cookie(&self) -> &'static str {
        if self.plain_http { COOKIE_PLAIN } else { COOKIE_SECURE }
    }

    /// The name of the cookie that ties a sign-in at a provider to the browser that began it.
    #[must_use]
    pub const fn sso_cookie(&self) -> &'static str {
        if self.plain_http { SSO_COOKIE_PLAIN } else { SSO_COOKIE_SECURE }
    }
}
