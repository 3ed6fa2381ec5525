//! `onsite doctor`: settings and surroundings, each finding with its remedy.

use clap::Args;
use serde::Serialize;
use serde_json::json;

use super::DataDirArgument;
use super::outcome::{CommandResult, Failure, say, table};
use crate::base::paths::DataDir;
use crate::base::seams::Seams;
use crate::config::definition::{Definition, Used};
use crate::config::mail::SmtpServer;
use crate::config::sources::Origin;
use crate::config::{Config, definitions};
use crate::features::issuer::Signing;
use crate::model::issuer::SIGNING_NOT_CONFIGURED;
use crate::store::{self, migrate, secrets};

/// Below this much free disk the doctor warns: a run's material and a backup need room.
const FREE_BYTES_MIN: u64 = 1 << 30;

/// Check settings and surroundings. Exit 3 when a check does not hold.
#[derive(Debug, Args)]
pub(in crate::cli) struct Doctor {
    #[command(flatten)]
    data: DataDirArgument,
    /// One JSON document instead of tables.
    #[arg(long)]
    json: bool,
}

/// How a finding stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
enum State {
    Ok,
    NotUsedYet,
    Warning,
    Failed,
}

impl State {
    const fn word(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::NotUsedYet => "not used yet",
            Self::Warning => "WARNING",
            Self::Failed => "FAILED",
        }
    }
}

/// One line of the parity table.
#[derive(Debug, Serialize)]
struct Finding {
    name: String,
    expected: String,
    actual: String,
    state: State,
    remedy: String,
}

impl Doctor {
    pub(in crate::cli) fn run(self) -> CommandResult {
        let (mut settings, config) = match self.data.config() {
            Ok(config) => (definitions().map(|definition| setting(&config, definition)).collect::<Vec<_>>(), Some(config)),
            Err(problems) => {
                let finding = |problem: crate::config::Problem| Finding {
                    name: problem.name,
                    expected: String::new(),
                    actual: problem.what,
                    state: State::Failed,
                    remedy: problem.remedy,
                };
                (problems.into_iter().map(finding).collect::<Vec<_>>(), None)
            }
        };
        // What this version does not act on comes after what it does.
        settings.sort_by_key(|finding| finding.state == State::NotUsedYet);
        let dir = self.data.dir();
        let mut checks = vec![folder(&dir), free_space(&dir), schema(&dir)];
        if let Some(config) = &config {
            checks.push(recall(config));
            checks.push(encryption(&dir, config));
            checks.push(mail(config));
            if config.is_issuer() {
                checks.push(signing(config));
            }
        }
        let failed = settings.iter().chain(&checks).any(|finding: &Finding| finding.state == State::Failed);
        if self.json {
            say(json!({ "settings": settings, "checks": checks, "ok": !failed }));
        } else {
            say(render("CHECK", &checks));
            say("");
            say(render("VARIABLE", &settings));
        }
        if failed { Err(Failure::CheckFailed) } else { Ok(()) }
    }
}

fn render(head: &str, findings: &[Finding]) -> String {
    let mut rows = vec![[head, "STATE", "ACTUAL", "EXPECTED", "REMEDY"].map(str::to_owned).to_vec()];
    rows.extend(findings.iter().map(|finding| {
        vec![finding.name.clone(), finding.state.word().to_owned(), finding.actual.clone(), finding.expected.clone(), finding.remedy.clone()]
    }));
    table(&rows)
}

fn setting(config: &Config, definition: &Definition) -> Finding {
    let set = config.values.get(definition.name).is_some_and(|value| value.origin != Origin::Default);
    let (state, remedy) = if config.has_foreign_prefix(definition) {
        (State::Warning, "check that this is the right provider's key")
    } else if definition.used == Used::NotYet && set {
        (State::NotUsedYet, "it is read and checked; this version does not act on it")
    } else if definition.used == Used::NotYet {
        (State::NotUsedYet, "")
    } else {
        (State::Ok, "")
    };
    Finding {
        name: definition.name.to_owned(),
        expected: definition.kind.expected(),
        actual: config.shown(definition),
        state,
        remedy: remedy.to_owned(),
    }
}

fn finding(name: &str, expected: &str, actual: impl Into<String>, state: State, remedy: impl Into<String>) -> Finding {
    Finding { name: name.to_owned(), expected: expected.to_owned(), actual: actual.into(), state, remedy: remedy.into() }
}

fn folder(dir: &DataDir) -> Finding {
    let (name, expected) = ("data folder", "a local folder that this user can write to");
    let path = dir.path().display().to_string();
    match rustix::fs::access(dir.path(), rustix::fs::Access::WRITE_OK) {
        Ok(()) => match store::refuse_network_file_system(dir.path()) {
            Ok(()) => finding(name, expected, path, State::Ok, ""),
            Err(error) => finding(name, expected, path, State::Failed, error.to_string()),
        },
        Err(rustix::io::Errno::NOENT) => finding(
            name,
            expected,
            format!("{path} does not exist"),
            State::Warning,
            "the first `onsite serve` makes it, or name the right --data-dir",
        ),
        Err(error) => {
            finding(name, expected, format!("{path}: {error}"), State::Failed, "give this user the folder: chown, or run as the service's user")
        }
    }
}

fn free_space(dir: &DataDir) -> Finding {
    let (name, expected) = ("free disk", "1 GiB or more");
    match rustix::fs::statvfs(dir.path()) {
        Ok(stat) => {
            let free = stat.f_bavail.saturating_mul(stat.f_frsize);
            let actual = format!("{:.1} GiB", free as f64 / f64::from(1u32 << 30));
            if free < FREE_BYTES_MIN {
                finding(name, expected, actual, State::Warning, "free space, or move the data folder to a larger disk")
            } else {
                finding(name, expected, actual, State::Ok, "")
            }
        }
        Err(error) => finding(name, expected, error.to_string(), State::Warning, "the data folder must exist to be measured"),
    }
}

fn schema(dir: &DataDir) -> Finding {
    let (name, expected) = ("schema", "every migration applied, none unknown");
    let path = dir.database();
    if !path.exists() {
        return finding(name, expected, "no database yet", State::Warning, "the first `onsite serve` makes it");
    }
    let states = store::open_read_only(&path)
        .map_err(|error| error.to_string())
        .and_then(|connection| migrate::status(&connection).map_err(|error| error.to_string()));
    match states {
        Ok(states) => {
            let waiting = states.iter().filter(|state| state.applied_at.is_none()).count();
            let actual = format!("{} applied, {waiting} waiting", states.len() - waiting);
            if waiting > 0 {
                finding(name, expected, actual, State::Warning, "the next `onsite serve` backs up and applies them")
            } else {
                finding(name, expected, actual, State::Ok, "")
            }
        }
        Err(error) => finding(name, expected, "cannot be read", State::Failed, error),
    }
}

fn mail(config: &Config) -> Finding {
    let (name, expected) = ("mail", "a mail server and APP_BASE_URL, where mail is wanted");
    let smtp = config.auth.smtp_url.as_ref().and_then(|url| SmtpServer::parse(url.expose()).ok());
    let server = match (smtp, &config.auth.azure_connection_string) {
        (Some(server), _) => format!("{}:{}", server.host, server.port),
        (None, Some(_)) => "Azure Communication Services".to_owned(),
        (None, None) => return finding(name, expected, "none: mails are put into the folder mail of the data folder", State::Ok, ""),
    };
    if config.server.app_base_url.is_some() {
        finding(name, expected, server, State::Ok, "")
    } else {
        finding(name, expected, server, State::Warning, "set APP_BASE_URL: without it no link is mailed, only codes")
    }
}

fn signing(config: &Config) -> Finding {
    let (name, expected) = ("signing key", "LICENSE_PUBLIC_KEY_PEM and LICENSE_SIGNING_PRIVATE_KEY_PEM that belong together");
    let licence = &config.licence;
    let (private, passphrase) = (licence.signing_private_key_pem.as_ref(), licence.signing_key_passphrase.as_ref());
    let signing = Signing::of_settings(licence.public_key_pem.as_deref(), private, passphrase);
    match signing.key_at(Seams::system().now()) {
        Ok(_) => finding(name, expected, signing.kid().unwrap_or_default(), State::Ok, ""),
        Err(why) => {
            finding(name, expected, why, State::Warning, format!("{SIGNING_NOT_CONFIGURED}: set both; until then orders wait as pending_signing_key"))
        }
    }
}

fn recall(config: &Config) -> Finding {
    let (name, expected) = ("recall", "AUTOMATION_VECTORSTORE_ENABLED=1");
    if config.recall.automation_vectorstore_enabled {
        finding(name, expected, "on", State::Ok, "")
    } else {
        finding(
            name,
            expected,
            "off: answers recall documents only",
            State::Warning,
            "set AUTOMATION_VECTORSTORE_ENABLED=1 so that answers recall what automations collected",
        )
    }
}

/// Secrets and personal fields: whether there is a key, whether it opens the database, and whether everything is under it.
fn encryption(dir: &DataDir, config: &Config) -> Finding {
    let (name, expected) = ("encryption_at_rest", "DB_ENCRYPTION_KEY set, everything encrypted with it");
    let vault = config.auth.vault(&Seams::system());
    let path = dir.database();
    let found = path.exists().then(|| -> Result<_, String> {
        let connection = store::open_read_only(&path).map_err(|error| error.to_string())?;
        secrets::check_keys(&connection, &vault).map_err(|error| error.to_string())?;
        // A database that waits for its migrations has no envelopes yet.
        Ok(secrets::secrets_status_in(&connection).ok())
    });
    let waiting = match found.transpose() {
        Err(error) => return finding(name, expected, "the keys do not open the database", State::Failed, error),
        Ok(status) => status.flatten().map_or(0, |status| status.otherwise_than(vault.keeping())),
    };
    if vault.current().is_none() {
        let remedy = "make a key with `onsite secrets new-key`, keep a copy away from this server, set DB_ENCRYPTION_KEY and restart";
        return finding(name, expected, "critical: no key, so secrets and personal fields are kept unencrypted", State::Warning, remedy);
    }
    if waiting > 0 {
        return finding(
            name,
            expected,
            format!("{waiting} values wait"),
            State::Warning,
            "the running server encrypts them; or run `onsite secrets rotate`",
        );
    }
    finding(name, expected, "on", State::Ok, "")
}
