//! Settings: every variable the appliance knows, one file per section. The doc comments of the fields are the manual.

pub mod appliance;
pub mod auth;
pub mod broker;
pub mod browser;
pub mod definition;
pub mod ldap;
pub mod licence;
pub mod mail;
pub mod miners;
pub mod models;
pub mod orchestration;
pub mod recall;
pub mod reference;
pub mod server;
pub mod sources;
pub mod sso;
pub mod tokens;

use definition::{Definition, Kind};
use mail::{AzureAccount, SmtpServer};
use sources::{Sources, Values};

use crate::base::web_origin::WebOrigin;

/// Below this a day's grant does not last for one run, unless it is allowed on purpose.
const DAILY_FREE_FLOOR: u64 = 10_000;

/// A setting that does not hold: which, why, and what to do.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, thiserror::Error)]
#[error("{name}: {what}; {remedy}")]
pub struct Problem {
    /// The variable.
    pub name: String,
    /// What is wrong.
    pub what: String,
    /// What to do.
    pub remedy: String,
}

impl Problem {
    fn new(name: impl Into<String>, what: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self { name: name.into(), what: what.into(), remedy: remedy.into() }
    }
}

/// Every setting, checked.
#[derive(Clone, Debug)]
pub struct Config {
    /// What only the appliance has.
    pub appliance: appliance::Appliance,
    /// Sessions, factors and mail.
    pub auth: auth::Auth,
    /// The broker of chat.
    pub broker: broker::Broker,
    /// The browser service.
    pub browser: browser::Browser,
    /// Activation codes and the bundle.
    pub licence: licence::Licence,
    /// Miners and the router.
    pub miners: miners::Miners,
    /// Model servers and keys.
    pub models: models::Models,
    /// How much runs at once.
    pub orchestration: orchestration::Orchestration,
    /// Recall of collected material.
    pub recall: recall::Recall,
    /// The HTTP server.
    pub server: server::Server,
    /// Single sign-on.
    pub sso: sso::Sso,
    /// The token ledger's grants.
    pub tokens: tokens::Tokens,
    /// Every value with its origin.
    pub values: Values,
}

/// The sections with their titles and settings.
pub const SECTIONS: [(&str, &[Definition]); 12] = [
    ("HTTP server", server::Server::DEFINITIONS),
    ("Orchestration", orchestration::Orchestration::DEFINITIONS),
    ("Broker", broker::Broker::DEFINITIONS),
    ("Miners and router", miners::Miners::DEFINITIONS),
    ("Recall", recall::Recall::DEFINITIONS),
    ("Browser", browser::Browser::DEFINITIONS),
    ("Tokens", tokens::Tokens::DEFINITIONS),
    ("Models and keys", models::Models::DEFINITIONS),
    ("Sign-in and mail", auth::Auth::DEFINITIONS),
    ("Single sign-on", sso::Sso::DEFINITIONS),
    ("Licence and bundle", licence::Licence::DEFINITIONS),
    ("Appliance", appliance::Appliance::DEFINITIONS),
];

/// Every setting that is known, section by section.
pub fn definitions() -> impl Iterator<Item = &'static Definition> {
    SECTIONS.into_iter().flat_map(|(_, definitions)| definitions)
}

impl Config {
    /// Looks every setting up and checks it.
    ///
    /// # Errors
    /// Every problem at once, so that an operator corrects the file once.
    pub fn load(sources: &Sources) -> Result<Self, Vec<Problem>> {
        let values = Values::look_up(sources)?;
        let config = Self::read(values)
            .ok_or_else(|| vec![Problem::new("settings", "a default does not fit its type", "report this as a fault of Onsite")])?;
        let problems = config.contradictions();
        if problems.is_empty() { Ok(config) } else { Err(problems) }
    }

    /// Whether this process issues activation codes (`ONSITE=0`) instead of being activated with one.
    #[must_use]
    pub const fn is_issuer(&self) -> bool {
        !self.appliance.onsite || !self.appliance.next_public_onsite
    }

    fn read(values: Values) -> Option<Self> {
        Some(Self {
            appliance: appliance::Appliance::read(&values)?,
            auth: auth::Auth::read(&values)?,
            broker: broker::Broker::read(&values)?,
            browser: browser::Browser::read(&values)?,
            licence: licence::Licence::read(&values)?,
            miners: miners::Miners::read(&values)?,
            models: models::Models::read(&values)?,
            orchestration: orchestration::Orchestration::read(&values)?,
            recall: recall::Recall::read(&values)?,
            server: server::Server::read(&values)?,
            sso: sso::Sso::read(&values)?,
            tokens: tokens::Tokens::read(&values)?,
            values,
        })
    }

    /// Settings that are fine alone and wrong together.
    fn contradictions(&self) -> Vec<Problem> {
        let mut problems = Vec::new();
        if self.tokens.daily_free_amount < DAILY_FREE_FLOOR && !self.tokens.allow_low_daily_free {
            let what = format!("{} is below {DAILY_FREE_FLOOR}, which does not last for one run", self.tokens.daily_free_amount);
            problems.push(Problem::new("DAILY_FREE_TOKEN_AMOUNT", what, "raise it, or set ALLOW_LOW_DAILY_FREE_TOKENS=1"));
        }
        let set = |name| self.values.get(name).is_some_and(|value| value.origin != sources::Origin::Default);
        if set("ONSITE") && set("NEXT_PUBLIC_ONSITE") && self.appliance.onsite != self.appliance.next_public_onsite {
            problems.push(Problem::new("NEXT_PUBLIC_ONSITE", "it says otherwise than ONSITE, and both mean the same", "set only ONSITE"));
        }
        if self.browser.service_pool_size > self.browser.session_max_count {
            let what = format!("{} is more than BROWSER_SESSION_MAX_COUNT ({})", self.browser.service_pool_size, self.browser.session_max_count);
            problems.push(Problem::new("BROWSER_SERVICE_POOL_SIZE", what, "lower it, or raise BROWSER_SESSION_MAX_COUNT"));
        }
        if self.server.readers_min > self.server.readers_max {
            let what = format!("{} is more than DB_POOL_MAX ({})", self.server.readers_min, self.server.readers_max);
            problems.push(Problem::new("DB_POOL_MIN", what, "lower it, or raise DB_POOL_MAX"));
        }
        if self.auth.db_encryption_key.is_none() && !self.auth.db_encryption_key_previous.is_empty() {
            let what = "there are earlier keys and no present one";
            problems.push(Problem::new(
                "DB_ENCRYPTION_KEY",
                what,
                "set it: what was encrypted stays encrypted, so a key is only ever replaced by another",
            ));
        }
        if self.models.url.is_some() != self.models.name.is_some() {
            problems.push(Problem::new(
                "ONSITE_MODEL_URL",
                "a model server needs both its address and the model's name",
                "set ONSITE_MODEL_URL and ONSITE_MODEL_NAME together",
            ));
        }
        problems.extend(self.mail_problems());
        problems.extend(self.sso_problems());
        for origin in self.server.cors_allowed_origins.iter().filter(|origin| WebOrigin::parse(origin).is_none()) {
            let what = format!("`{origin}` is not an origin");
            problems.push(Problem::new("CORS_ALLOWED_ORIGINS", what, "name each exactly, as in https://app.example.com; there is no wildcard"));
        }
        if self.server.app_base_url.as_deref().is_some_and(|url| WebOrigin::parse(url).is_none()) {
            problems.push(Problem::new(
                "APP_BASE_URL",
                "it is more than scheme, host and port",
                "give it without a path, as in https://onsite.example.com",
            ));
        }
        problems
    }

    /// What keeps mail from being sent, and what needs mail and would never get it.
    fn mail_problems(&self) -> Vec<Problem> {
        let auth = &self.auth;
        let mut problems = Vec::new();
        if let Some(Err(what)) = auth.smtp_url.as_ref().map(|url| SmtpServer::parse(url.expose())) {
            problems.push(Problem::new("SMTP_URL", what, "write smtp://user:password@host:587 or smtps://user:password@host:465"));
        }
        if let Some(Err(what)) = auth.azure_connection_string.as_ref().map(|text| AzureAccount::parse(text.expose())) {
            problems.push(Problem::new("AZURE_COMMUNICATION_SERVICES_CONNECTION_STRING", what, "copy it from the resource's page of keys"));
        }
        if auth.azure_connection_string.is_some() != auth.azure_sender.is_some() {
            let remedy = "set AZURE_COMMUNICATION_SERVICES_CONNECTION_STRING and AZURE_COMMUNICATION_EMAIL_SENDER together";
            problems.push(Problem::new("AZURE_COMMUNICATION_EMAIL_SENDER", "Azure needs both its connection string and a sender", remedy));
        }
        let sender = auth.smtp_url.is_some() || auth.azure_connection_string.is_some();
        if sender && problems.is_empty() && self.mail_from().is_none() {
            problems.push(Problem::new(
                "ONSITE_MAIL_FROM",
                "mail needs an address that it comes from",
                "set it to an address that the mail server accepts",
            ));
        }
        let by_mail = "set SMTP_URL, or AZURE_COMMUNICATION_SERVICES_CONNECTION_STRING with its sender";
        if auth.require_email_verification && !sender {
            problems.push(Problem::new("AUTH_REQUIRE_EMAIL_VERIFICATION", "there is no mail server, so nobody could verify an address", by_mail));
        }
        if auth.require_email_verification && self.server.app_base_url.is_none() {
            let what = "a link in a mail needs the address that people use";
            problems.push(Problem::new("AUTH_REQUIRE_EMAIL_VERIFICATION", what, "set APP_BASE_URL"));
        }
        if auth.require_email_2fa && !sender && !auth.require_second_factor {
            let what = "there is no mail server, so nobody could sign in";
            let remedy = format!("{by_mail}; or set ONSITE_REQUIRE_SECOND_FACTOR=1, which asks for an authenticator app and needs no mail");
            problems.push(Problem::new("AUTH_REQUIRE_EMAIL_2FA", what, remedy));
        }
        problems
    }

    /// The address that mail comes from.
    #[must_use]
    pub fn mail_from(&self) -> Option<String> {
        let auth = &self.auth;
        if auth.mail_from.is_some() {
            return auth.mail_from.clone();
        }
        match &auth.smtp_url {
            Some(url) => SmtpServer::parse(url.expose()).ok()?.credentials.map(|(user, _)| user).filter(|user| user.contains('@')),
            None => auth.azure_sender.clone(),
        }
    }

    /// A setting's value as it may be shown: secrets masked, unset as a dash.
    #[must_use]
    pub fn shown(&self, definition: &Definition) -> String {
        match self.values.text(definition.name) {
            None => "-".to_owned(),
            Some(_) if definition.kind.is_secret() => "(set, not shown)".to_owned(),
            Some(text) => text.to_owned(),
        }
    }

    /// A key that does not begin as its provider's keys do: it may be another provider's.
    #[must_use]
    pub fn has_foreign_prefix(&self, definition: &Definition) -> bool {
        match (definition.kind, self.values.text(definition.name)) {
            (Kind::Secret(Some(prefix)), Some(text)) => !text.starts_with(prefix),
            _ => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::sources::Origin;
    use super::*;
    use std::collections::BTreeSet;

    fn sources(environment: &[(&str, &str)], file: &str) -> (Sources, tempfile::TempDir) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("onsite.toml");
        std::fs::write(&path, file).unwrap();
        let environment = environment.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        (Sources { environment, file: Some(path), ..Sources::default() }, folder)
    }

    fn problems(environment: &[(&str, &str)], file: &str) -> Vec<Problem> {
        Config::load(&sources(environment, file).0).unwrap_err()
    }

    #[test]
    fn every_default_is_within_its_own_range_and_every_name_is_unique() {
        Config::load(&Sources::default()).unwrap();
        let names: BTreeSet<_> = definitions().map(|definition| definition.name).collect();
        assert_eq!(names.len(), definitions().count());
        assert!(definitions().all(|definition| definition.meaning.trim().len() > 10));
    }

    #[test]
    fn a_flag_beats_the_environment_beats_a_file_beats_the_settings_file() {
        let (mut sources, folder) = sources(&[], "DB_POOL_MAX = 5\n[server]\nlog_level = \"WARN\"\n");
        let config = Config::load(&sources).unwrap();
        assert_eq!((config.server.readers_max, config.server.log_level.as_str()), (5, "WARN"));
        assert!(matches!(config.values.get("DB_POOL_MAX").unwrap().origin, Origin::SettingsFile(_)));
        let secret = folder.path().join("secret");
        std::fs::write(&secret, "6\n").unwrap();
        sources.environment.insert("DB_POOL_MAX_FILE".into(), secret.display().to_string());
        assert_eq!(Config::load(&sources).unwrap().server.readers_max, 6);
        sources.environment.insert("DB_POOL_MAX".into(), "7".into());
        assert_eq!(Config::load(&sources).unwrap().server.readers_max, 7);
        sources.flags.insert("DB_POOL_MAX".into(), "8".into());
        let config = Config::load(&sources).unwrap();
        assert_eq!((config.server.readers_max, &config.values.get("DB_POOL_MAX").unwrap().origin), (8, &Origin::Flag));
    }

    #[test]
    fn an_unknown_key_names_the_nearest_and_all_problems_come_at_once() {
        let found = problems(&[("GUNICORN_TIMEOUT", "0")], "db_pol_max = 3\nGUNICORN_WORKERS = 9999\n");
        let text: Vec<String> = found.iter().map(ToString::to_string).collect();
        assert_eq!(found.len(), 3, "{text:?}");
        assert!(text.iter().any(|line| line.contains("did you mean DB_POOL_MAX?")), "{text:?}");
        assert!(text.iter().any(|line| line.contains("a whole number from 1 to 256")), "{text:?}");
    }

    #[test]
    fn settings_that_contradict_each_other_are_refused() {
        assert_eq!(problems(&[("DAILY_FREE_TOKEN_AMOUNT", "5")], "")[0].name, "DAILY_FREE_TOKEN_AMOUNT");
        assert!(Config::load(&sources(&[("DAILY_FREE_TOKEN_AMOUNT", "5"), ("ALLOW_LOW_DAILY_FREE_TOKENS", "1")], "").0).is_ok());
        assert_eq!(problems(&[("BROWSER_SERVICE_POOL_SIZE", "13")], "")[0].name, "BROWSER_SERVICE_POOL_SIZE");
        assert_eq!(problems(&[("ONSITE_MODEL_URL", "http://127.0.0.1:8080")], "")[0].name, "ONSITE_MODEL_URL");
        assert_eq!(problems(&[("ONSITE", "1"), ("NEXT_PUBLIC_ONSITE", "0")], "")[0].name, "NEXT_PUBLIC_ONSITE");
        for issuer in [[("ONSITE", "0")], [("NEXT_PUBLIC_ONSITE", "0")]] {
            assert!(Config::load(&sources(&issuer, "").0).unwrap().is_issuer());
        }
    }

    #[test]
    fn an_encryption_key_is_32_bytes_and_the_refusal_says_what_to_do() {
        let refused = |text: &str| problems(&[("DB_ENCRYPTION_KEY", text)], "")[0].to_string();
        let short = refused("c2hvcnQ=");
        assert!(short.contains("this has 5") && short.contains("onsite secrets new-key") && !short.contains("c2hvcnQ"), "{short}");
        assert!(refused("not a key at all!").contains("not base64"));
        let key = "-v7-_v7-_v7-_v7-_v7-_v7-_v7-_v7-_v7-_v7-_v4=";
        let two = format!("{key},{key}");
        assert!(refused(&two).contains("2 keys"));
        assert_eq!(problems(&[("DB_ENCRYPTION_KEY_PREVIOUS", key)], "")[0].name, "DB_ENCRYPTION_KEY");
        let (mut sources, folder) = sources(&[("DB_ENCRYPTION_KEY_PREVIOUS", &two)], "");
        // As systemd places a credential, with a line end.
        std::fs::write(folder.path().join("DB_ENCRYPTION_KEY"), format!("{key}\n")).unwrap();
        sources.environment.insert("CREDENTIALS_DIRECTORY".into(), folder.path().display().to_string());
        let config = Config::load(&sources).unwrap();
        assert!(config.auth.db_encryption_key.is_some() && config.auth.db_encryption_key_previous.len() == 2);
        assert!(!format!("{config:?}").contains("_v7-"));
    }

    #[test]
    fn what_needs_mail_refuses_to_start_without_a_sender() {
        let names = |environment: &[(&str, &str)]| problems(environment, "").into_iter().map(|problem| problem.name).collect::<Vec<_>>();
        let holds = |environment: &[(&str, &str)]| Config::load(&sources(environment, "").0).is_ok();
        let (smtp, verify, code) = (("SMTP_URL", "smtp://a%40b.example:p@mail.example"), "AUTH_REQUIRE_EMAIL_VERIFICATION", "AUTH_REQUIRE_EMAIL_2FA");
        let base = ("APP_BASE_URL", "https://onsite.example");
        assert_eq!(names(&[(code, "1")]), [code]);
        assert!(holds(&[(code, "1"), smtp]) && holds(&[(code, "1"), ("ONSITE_REQUIRE_SECOND_FACTOR", "1")]));
        assert_eq!(names(&[(verify, "1")]), [verify, verify]);
        assert_eq!(names(&[(verify, "1"), smtp]), [verify], "a link needs an address");
        assert!(holds(&[(verify, "1"), smtp, base]));
        assert_eq!(names(&[(verify, "1"), base, ("ONSITE_REQUIRE_SECOND_FACTOR", "1")]), [verify], "no factor verifies an address");
        assert_eq!(names(&[("SMTP_URL", "smtp://mail.example")]), ["ONSITE_MAIL_FROM"]);
        assert_eq!(names(&[("SMTP_URL", "mail.example")]), ["SMTP_URL"]);
        assert_eq!(names(&[("AZURE_COMMUNICATION_EMAIL_SENDER", "a@b.example")]), ["AZURE_COMMUNICATION_EMAIL_SENDER"]);
    }

    #[test]
    fn single_sign_on_refuses_to_start_half_set_or_unprotected() {
        let names = |environment: &[(&str, &str)]| problems(environment, "").into_iter().map(|problem| problem.name).collect::<Vec<_>>();
        let holds = |environment: &[(&str, &str)]| Config::load(&sources(environment, "").0).is_ok();
        let (base, client) = (("APP_BASE_URL", "https://onsite.example"), ("ONSITE_OIDC_CLIENT_ID", "onsite"));
        assert_eq!(names(&[("ONSITE_OIDC_ISSUER", "http://id.example"), base, client]), ["ONSITE_OIDC_ISSUER"]);
        assert_eq!(names(&[("ONSITE_OIDC_ISSUER", "https://id.example")]), ["ONSITE_OIDC_CLIENT_ID", "ONSITE_OIDC_ISSUER"]);
        assert!(holds(&[("ONSITE_OIDC_ISSUER", "https://id.example"), base, client]));
        let (ldap, below) = (("ONSITE_LDAP_URL", "ldaps://directory.example"), ("ONSITE_LDAP_BASE_DN", "dc=example"));
        assert_eq!(names(&[ldap]), ["ONSITE_LDAP_BASE_DN"]);
        assert_eq!(names(&[("ONSITE_LDAP_URL", "ldap://10.0.0.5?tls=none"), below]), ["ONSITE_LDAP_URL"]);
        assert_eq!(names(&[ldap, below, ("ONSITE_LDAP_BIND_DN", "cn=onsite")]), ["ONSITE_LDAP_BIND_DN"]);
        assert_eq!(names(&[ldap, below, ("ONSITE_LDAP_USER_FILTER", "(uid=ada)")]), ["ONSITE_LDAP_USER_FILTER"]);
        assert!(holds(&[ldap, below, ("ONSITE_LDAP_GROUP_FILTER", "-")]));
    }

    #[test]
    fn a_secret_is_never_shown() {
        let (sources, _folder) = sources(&[("ANTHROPIC_API_KEY", "canary-1"), ("SMTP_URL", "smtp://a%40b.example:canary-2@host")], "");
        let config = Config::load(&sources).unwrap();
        let shown: String = definitions().map(|definition| config.shown(definition)).collect();
        assert!(!shown.contains("canary"));
        assert!(!format!("{config:?}").contains("canary"));
        let anthropic = definitions().find(|definition| definition.name == "ANTHROPIC_API_KEY").unwrap();
        assert!(config.has_foreign_prefix(anthropic));
    }
}
