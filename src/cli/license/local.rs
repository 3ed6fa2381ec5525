//! The customer's commands: the licence of a data folder.

use std::path::PathBuf;

use clap::Args;
use serde_json::json;

use super::super::DataDirArgument;
use super::super::local::{options, require_database};
use super::super::outcome::{CommandResult, Failure, say, table};
use super::input::{rows, text_of};
use super::issuer::write_picture;
use crate::base::qr::Picture;
use crate::base::seams::Seams;
use crate::model::audit::Actor;
use crate::model::licence::ReasonCode;
use crate::model::licence::text::REQUEST;
use crate::model::plans::{Feature, Limit};
use crate::services::licensing::{EnterError, LicenceStatus, Licensing, LicensingSettings, TakenKind, compute, request_of};
use crate::store::licence::LicenceFacts;
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
        let facts = facts_of(&self.data)?;
        show(&compute(&facts, &settings, Seams::system().now()), self.json);
        Ok(())
    }
}

/// Make a request for a code that is bound to this installation: to be carried to the vendor by file, line or picture.
#[derive(Debug, Args)]
pub(in crate::cli) struct Request {
    #[command(flatten)]
    data: DataDirArgument,
    /// The company, as it wants to be named [default: that of the present code].
    #[arg(long)]
    company: Option<String>,
    /// Whom the vendor answers.
    #[arg(long)]
    contact: Option<String>,
    /// Also write the armoured file.
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// Also print the QR picture.
    #[arg(long)]
    qr: bool,
    /// Also write the QR picture: .svg or .png.
    #[arg(long, value_name = "FILE")]
    qr_out: Option<PathBuf>,
    /// One JSON document instead of the line.
    #[arg(long)]
    json: bool,
}

impl Request {
    pub(super) fn run(self) -> CommandResult {
        let settings = settings(&self.data)?;
        let now = Seams::system().now();
        let status = compute(&facts_of(&self.data)?, &settings, now);
        let request = request_of(status, &settings.ring, now, self.company, self.contact);
        let request = request.ok_or_else(|| Failure::failed("this installation has no id yet: start `onsite serve` once"))?;
        let bytes = request.bytes().map_err(|error| Failure::Usage(format!("the request cannot be written: {error}")))?;
        let line = REQUEST.line(&bytes);
        let picture =
            if self.qr || self.qr_out.is_some() { Some(Picture::of(&REQUEST.picture_text(&bytes)).map_err(Failure::failed)?) } else { None };
        if let Some(path) = &self.out {
            std::fs::write(path, REQUEST.armour(&bytes)).map_err(|error| Failure::failed(format!("{}: {error}", path.display())))?;
        }
        if let (Some(path), Some(picture)) = (&self.qr_out, &picture) {
            write_picture(path, picture)?;
        }
        if self.json {
            say(json!({ "request": request, "line": line, "file": self.out, "picture": self.qr_out }));
            return Ok(());
        }
        say(line);
        if let (true, Some(picture)) = (self.qr, &picture) {
            say(picture.terminal());
        }
        Ok(())
    }
}

/// Enter a code or a revocation list into a data folder. A running server takes it up at once.
#[derive(Debug, Args)]
pub(in crate::cli) struct Enter {
    /// The code or the list, a file that holds it, a picture of its QR code, or - for standard input.
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
            Ok(taken) => {
                if taken.kind == TakenKind::Revocations && !self.json {
                    say("the revocation list was taken");
                }
                show(&taken.status, self.json);
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

fn facts_of(data: &DataDirArgument) -> Result<LicenceFacts, Failure> {
    let path = data.dir().database();
    require_database(&data.dir())?;
    let connection = open_read_only(&path).map_err(Failure::failed)?;
    licence::facts(&connection).map_err(Failure::failed)
}

fn settings(data: &DataDirArgument) -> Result<LicensingSettings, Failure> {
    let config = data.config()?;
    let settings = LicensingSettings::of_build(config.licence.public_key_pem.as_deref());
    settings.map_err(|error| Failure::Usage(format!("LICENSE_PUBLIC_KEY_PEM: {error}")))
}

fn show(status: &LicenceStatus, as_json: bool) {
    let limits = Feature::ALL.iter().map(|&feature| (feature, status.plan.limit(feature)));
    if as_json {
        let limits: serde_json::Map<_, _> = limits.map(|(feature, limit)| (feature.key().to_owned(), json!(limit.number()))).collect();
        say(json!({
            "reason": status.reason, "plan": status.plan.key, "limits": limits, "claims": status.claims, "seats_used": status.seats_used,
            "days_left": status.days_left, "grace_until": status.grace_until(), "clock_suspect": status.clock_suspect,
            "notice": status.notice().map(|notice| notice.to_string()),
            "revocations": status.revocations.as_ref().map(|held| json!({ "number": held.number, "issued_at": held.issued_at, "codes": held.codes })),
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
    if let Some(held) = &status.revocations {
        lines.push(vec!["revocation list".into(), format!("{} of {}, {} code(s)", held.number, held.issued_at, held.codes)]);
    }
    lines.extend(limits.map(|(feature, limit)| vec![feature.title().to_lowercase(), words(feature, limit)]));
    say(table(&lines));
    if let Some(at) = status.clock_suspect {
        say(format!("\nThe server's clock is behind {at}, which has passed: correct it. Nothing is locked; dates count from that moment."));
    }
    if let (Some(ReasonCode::Ok), Some(days), Some(_)) = (status.reason, status.days_left, status.notice_days) {
        say(format!("\nThe code ends in {days} day(s): ask the vendor for a renewal (onsite license request makes a request)."));
    }
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
