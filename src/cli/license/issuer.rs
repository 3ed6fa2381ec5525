//! The vendor's commands: they need no data folder and no network.

use std::fs::File;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use clap::Args;
use serde_json::json;

use super::super::outcome::{CommandResult, Failure, say, table};
use super::input::{code_of, conclude, rows};
use crate::base::clock::Timestamp;
use crate::base::seams::Seams;
use crate::model::ids::LicenceId;
use crate::model::licence::{Environment, GRACE_DAYS_DEFAULT};
use crate::services::licensing::keys::fingerprint;
use crate::services::licensing::{KeyRing, issue, verify_alone};

/// Make a signing key and its public half.
#[derive(Debug, Args)]
pub(in crate::cli) struct Keygen {
    /// The folder for both files. Files that are there already are never overwritten.
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    /// One JSON document instead of text.
    #[arg(long)]
    json: bool,
}

impl Keygen {
    pub(super) fn run(self) -> CommandResult {
        let key = issue::generate_key(&Seams::system());
        let (private, public) = (self.out.join("license-private-key.pem"), self.out.join("license-public-key.pem"));
        std::fs::create_dir_all(&self.out).map_err(|error| Failure::failed(format!("{}: {error}", self.out.display())))?;
        write_new(&private, issue::private_pem(&key).map_err(Failure::failed)?.as_bytes(), 0o600)?;
        write_new(&public, issue::public_pem(&key).map_err(Failure::failed)?.as_bytes(), 0o644)?;
        let kid = fingerprint(&key.verifying_key());
        if self.json {
            say(json!({ "kid": kid, "private_key": private, "public_key": public }));
        } else {
            say(format!("key {kid}\nprivate: {} (keep it off every customer's machine)\npublic:  {}", private.display(), public.display()));
            say(format!("Build a release that believes it: LICENSE_PUBLIC_KEY_PEM=\"$(cat {})\" cargo build --release", public.display()));
        }
        Ok(())
    }
}

fn write_new(path: &Path, bytes: &[u8], mode: u32) -> CommandResult {
    let written = File::options().write(true).create_new(true).mode(mode).open(path).and_then(|mut file| {
        file.write_all(bytes)?;
        file.sync_all()
    });
    written.map_err(|error| Failure::failed(format!("{}: {error}", path.display())))
}

/// Sign an activation code. The code goes to standard output as one line, and with --out to an armoured file.
#[derive(Debug, Args)]
pub(in crate::cli) struct Issue {
    /// The private key: a PKCS#8 PEM file.
    #[arg(long, value_name = "FILE")]
    key: PathBuf,
    /// The customer's key in your books: codes are counted per customer.
    #[arg(long)]
    customer: String,
    /// The company as the appliance shows it.
    #[arg(long)]
    company: String,
    /// Key of the plan: team, business, enterprise.
    #[arg(long)]
    plan: String,
    /// Active users [default: the plan's].
    #[arg(long)]
    seats: Option<u32>,
    /// A limit that differs from the plan's: KEY=NUMBER or KEY=unlimited. May be repeated.
    #[arg(long = "feature", value_name = "KEY=LIMIT", value_parser = parse_feature)]
    features: Vec<(String, Option<u64>)>,
    /// Days it lasts.
    #[arg(long, default_value_t = 365)]
    days: u32,
    /// Days of grace after its end.
    #[arg(long, default_value_t = GRACE_DAYS_DEFAULT)]
    grace_days: u32,
    /// When it begins, RFC 3339 [default: now].
    #[arg(long, value_name = "TIME")]
    not_before: Option<Timestamp>,
    /// The one installation it is for [default: any].
    #[arg(long, value_name = "ID")]
    install_id: Option<String>,
    /// Counts the customer's codes: a lower one cannot replace a higher one.
    #[arg(long, default_value_t = 1)]
    seq: u64,
    /// The id of a code that ends with this one. May be repeated.
    #[arg(long, value_name = "ID")]
    supersedes: Vec<LicenceId>,
    /// Who issues.
    #[arg(long, default_value = "onsite")]
    issuer: String,
    /// Make a development code, which release builds refuse.
    #[arg(long)]
    development: bool,
    /// Also write the armoured file.
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// One JSON document instead of the line.
    #[arg(long)]
    json: bool,
}

fn parse_feature(text: &str) -> Result<(String, Option<u64>), String> {
    let (key, limit) = text.split_once('=').ok_or("expected KEY=NUMBER or KEY=unlimited")?;
    let limit = if limit == "unlimited" { None } else { Some(limit.parse().map_err(|_| format!("`{limit}` is neither a number nor `unlimited`"))?) };
    Ok((key.to_owned(), limit))
}

impl Issue {
    pub(super) fn run(self) -> CommandResult {
        let pem = std::fs::read_to_string(&self.key).map(zeroize::Zeroizing::new);
        let pem = pem.map_err(|error| Failure::failed(format!("{}: {error}", self.key.display())))?;
        let key = issue::read_private_pem(&pem).map_err(|error| Failure::failed(format!("{}: {error}", self.key.display())))?;
        let order = issue::Order {
            issuer: self.issuer,
            customer: self.customer,
            company: self.company,
            plan: self.plan,
            features: self.features.into_iter().collect(),
            seats: self.seats,
            not_before: self.not_before,
            days: self.days,
            grace_days: self.grace_days,
            install_id: self.install_id,
            seq: self.seq,
            supersedes: self.supersedes,
            environment: if self.development { Environment::Development } else { Environment::Production },
        };
        let code = issue::issue(order, &key, &Seams::system()).map_err(|error| Failure::Usage(error.to_string()))?;
        if let Some(path) = &self.out {
            std::fs::write(path, code.to_armour()).map_err(|error| Failure::failed(format!("{}: {error}", path.display())))?;
        }
        if self.json {
            say(json!({ "code": code.to_line(), "claims": code.claims(), "file": self.out }));
        } else {
            say(code.to_line());
        }
        Ok(())
    }
}

/// Show what a code says, without checking its signature.
#[derive(Debug, Args)]
pub(in crate::cli) struct Inspect {
    /// The code, a file that holds it, or - for standard input.
    #[arg(value_name = "CODE|FILE|-")]
    code: String,
    /// One JSON document instead of a table.
    #[arg(long)]
    json: bool,
}

impl Inspect {
    pub(super) fn run(self) -> CommandResult {
        let code = code_of(&self.code, self.json)?;
        if self.json {
            say(json!({ "signature_checked": false, "claims": code.claims(), "code": code.to_line() }));
        } else {
            say(table(&rows(code.claims())));
            say("\nThe signature was not checked: onsite license verify does that.");
        }
        Ok(())
    }
}

/// Check a code away from any installation.
#[derive(Debug, Args)]
pub(in crate::cli) struct Verify {
    /// The code, a file that holds it, or - for standard input.
    #[arg(value_name = "CODE|FILE|-")]
    code: String,
    /// Public keys to believe, PEM [default: those of this build].
    #[arg(long, value_name = "FILE")]
    key: Option<PathBuf>,
    /// The moment to judge it at, RFC 3339 [default: now].
    #[arg(long, value_name = "TIME")]
    at: Option<Timestamp>,
    /// One JSON document instead of text.
    #[arg(long)]
    json: bool,
}

impl Verify {
    pub(super) fn run(self) -> CommandResult {
        let ring = match &self.key {
            None => KeyRing::of_build(std::env::var("LICENSE_PUBLIC_KEY_PEM").ok().as_deref()).map_err(Failure::failed)?,
            Some(path) => {
                let pem = std::fs::read_to_string(path).map_err(|error| Failure::failed(format!("{}: {error}", path.display())))?;
                KeyRing::development(&pem).map_err(|error| Failure::failed(format!("{}: {error}", path.display())))?
            }
        };
        let code = code_of(&self.code, self.json)?;
        let now = self.at.unwrap_or_else(|| Seams::system().now());
        conclude(verify_alone(&code, &ring, now), code.claims(), self.json)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    fn keygen(folder: &Path) -> CommandResult {
        Keygen { out: folder.to_owned(), json: true }.run()
    }

    fn issue_to(folder: &Path, plan: &str) -> CommandResult {
        Issue {
            key: folder.join("license-private-key.pem"),
            customer: "acme".into(),
            company: "Acme".into(),
            plan: plan.into(),
            seats: None,
            features: vec![parse_feature("max_widgets=unlimited").unwrap()],
            days: 30,
            grace_days: 14,
            not_before: None,
            install_id: None,
            seq: 1,
            supersedes: Vec::new(),
            issuer: "vendor".into(),
            development: false,
            out: Some(folder.join("acme.onsite")),
            json: true,
        }
        .run()
    }

    #[test]
    fn a_key_is_made_once_and_only_its_owner_reads_it() {
        let folder = tempfile::tempdir().unwrap();
        keygen(folder.path()).unwrap();
        let mode = std::fs::metadata(folder.path().join("license-private-key.pem")).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        assert!(matches!(keygen(folder.path()), Err(Failure::Failed(_))), "never overwritten");
    }

    #[test]
    fn a_code_is_issued_inspected_and_verified() {
        let folder = tempfile::tempdir().unwrap();
        keygen(folder.path()).unwrap();
        issue_to(folder.path(), "team").unwrap();
        assert!(matches!(issue_to(folder.path(), "temas"), Err(Failure::Usage(text)) if text.contains("team")));
        let file = folder.path().join("acme.onsite").display().to_string();
        Inspect { code: file.clone(), json: true }.run().unwrap();
        let verify = |code: &str, at: Option<&str>| {
            let key = Some(folder.path().join("license-public-key.pem"));
            Verify { code: code.to_owned(), key, at: at.map(|at| at.parse().unwrap()), json: true }.run()
        };
        verify(&file, None).unwrap();
        let line = crate::model::licence::SignedCode::from_text(&std::fs::read_to_string(&file).unwrap()).unwrap().to_line();
        verify(&line, None).unwrap();
        assert!(matches!(verify(&file, Some("2999-01-01T00:00:00Z")), Err(Failure::CheckFailed)));
        let mistyped = line.replacen("ONSITE1-", "ONSITE1-Z", 1);
        assert!(matches!(verify(&mistyped, None), Err(Failure::CheckFailed)));
        assert!(matches!(verify("/nowhere", None), Err(Failure::Failed(_))));
    }

    #[test]
    fn limits_read_as_numbers_or_unlimited() {
        assert_eq!(parse_feature("seats=5").unwrap(), ("seats".into(), Some(5)));
        assert!(parse_feature("seats").is_err() && parse_feature("seats=many").is_err());
    }
}
