//! The customer's commands: the licence of a data folder.

use clap::Args;
use serde_json::json;

use super::super::DataDirArgument;
use super::super::local::options;
use super::super::outcome::{CommandResult, Failure, say, table};
use super::input::{rows, text_of};
use crate::base::seams::Seams;
use crate::model::audit::Actor;
use crate::model::plans::{Feature, Limit};
use crate::services::licensing::{EnterError, KeyRing, LicenceStatus, Licensing, LicensingSettings, build_date, compute};
use crate::store::{Store, licence, open_read_only};

/// Show the licence of a data folder.
#[derive(Debug, Args)]
pub(in crate::cli) struct Status {
    #[command(flatten)]
    data: DataDirArgument,
    /// One JSON document instead of text.
    #[arg(long)]
    json: bool,
}

impl Status {
    pub(super) fn run(self) -> CommandResult {
        let settings = settings(&self.data)?;
        let path = self.data.dir().database();
        if !path.exists() {
            return Err(Failure::failed(format!("{} does not exist: start `onsite serve` once, or name the right --data-dir", path.display())));
        }
        let connection = open_read_only(&path).map_err(Failure::failed)?;
        let facts = licence::facts(&connection).map_err(Failure::failed)?;
        show(&compute(&facts, &settings, Seams::system().now()), self.json);
        Ok(())
    }
}

/// Enter a code into a data folder. A running server takes it up at once.
#[derive(Debug, Args)]
pub(in crate::cli) struct Enter {
    /// The code, a file that holds it, or - for standard input.
    #[arg(value_name = "CODE|FILE|-")]
    code: String,
    #[command(flatten)]
    data: DataDirArgument,
    /// One JSON document instead of text.
    #[arg(long)]
    json: bool,
}

impl Enter {
    pub(super) fn run(self) -> CommandResult {
        let settings = settings(&self.data)?;
        let text = text_of(&self.code)?;
        let seams = Seams::system();
        let dir = self.data.dir();
        dir.create().map_err(|error| Failure::failed(format!("{}: {error}", dir.path().display())))?;
        let store = Store::open_for_command(&dir, options(&self.data, &seams)?).map_err(Failure::failed)?;
        let licensing = Licensing::new(store, seams, settings);
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(Failure::failed)?;
        match runtime.block_on(licensing.enter(&text, Actor::Cli, None)) {
            Ok(status) => {
                show(&status, self.json);
                Ok(())
            }
            Err(EnterError::Refused(refusal)) => {
                if self.json {
                    say(json!({ "reason": refusal.reason, "message": refusal.message, "remedy": refusal.remedy() }));
                } else {
                    say(format!("{}: {} {}", refusal.reason.as_str(), refusal.message, refusal.remedy()));
                }
                Err(Failure::CheckFailed)
            }
            Err(EnterError::Store(error)) => Err(Failure::failed(error)),
        }
    }
}

fn settings(data: &DataDirArgument) -> Result<LicensingSettings, Failure> {
    let config = data.config()?;
    let ring =
        KeyRing::of_build(config.licence.public_key_pem.as_deref()).map_err(|error| Failure::Usage(format!("LICENSE_PUBLIC_KEY_PEM: {error}")))?;
    Ok(LicensingSettings { ring, build_date: build_date() })
}

fn show(status: &LicenceStatus, as_json: bool) {
    let limits = Feature::ALL.iter().map(|&feature| (feature, status.plan.limit(feature)));
    if as_json {
        let limits: serde_json::Map<_, _> = limits.map(|(feature, limit)| (feature.key().to_owned(), json!(limit.number()))).collect();
        say(json!({
            "reason": status.reason, "plan": status.plan.key, "limits": limits, "claims": status.claims, "seats_used": status.seats_used,
            "days_left": status.days_left, "grace_until": status.grace_until(), "clock_suspect": status.clock_suspect,
            "install_id": status.install_id, "development_build": status.development_build,
        }));
        return;
    }
    say(status.reason.map_or_else(|| "not activated: the free tier applies".to_owned(), |reason| format!("{}: {}", reason.as_str(), reason.text())));
    let mut lines: Vec<Vec<String>> = vec![
        vec!["applies".into(), status.plan.title.into()],
        vec!["installation".into(), status.install_id.clone().unwrap_or_else(|| "not started yet".into())],
        vec!["users".into(), status.seats_used.to_string()],
    ];
    lines.extend(limits.map(|(feature, limit)| vec![feature.title().to_lowercase(), words(feature, limit)]));
    say(table(&lines));
    if let Some(claims) = &status.claims {
        say(format!("\nthe code:\n{}", table(&rows(claims))));
    }
    if status.development_build {
        say("\nThis is a development build: it believes the keys it is given at run time.");
    }
}

fn words(feature: Feature, limit: Limit) -> String {
    match limit.number() {
        None if feature.is_switch() => "yes".to_owned(),
        Some(0) if feature.is_switch() => "no".to_owned(),
        None => "unlimited".to_owned(),
        Some(number) => number.to_string(),
    }
}
