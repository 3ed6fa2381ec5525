//! A look at a code, a list or a request, away from any installation.

use std::collections::BTreeSet;
use std::path::PathBuf;

use clap::Args;
use serde_json::json;

use super::super::outcome::{CommandResult, Failure, say, table};
use super::input::{carried, conclude, list_rows, request_rows, rows};
use super::vendor::ring_of;
use crate::base::clock::Timestamp;
use crate::base::qr::Picture;
use crate::base::seams::Seams;
use crate::model::ids::LicenceId;
use crate::model::licence::text::{CODE, Carried};
use crate::model::licence::{ReasonCode, SignedCode, SignedList};
use crate::services::licensing::judge::authenticate_list;
use crate::services::licensing::{KeyRing, verify_alone};

/// Show what a code, a revocation list or a request says, without checking its signature.
#[derive(Debug, Args)]
pub(in crate::cli) struct Inspect {
    /// The code, a file that holds it, a picture of its QR code, or - for standard input.
    #[arg(value_name = "CODE|FILE|-")]
    pub(super) code: String,
    /// Also print the QR picture of a code.
    #[arg(long)]
    pub(super) qr: bool,
    /// One JSON document instead of a table.
    #[arg(long)]
    pub(super) json: bool,
}

impl Inspect {
    pub(super) fn run(self) -> CommandResult {
        match carried(&self.code, self.json)? {
            Carried::Code(code) => self.code(&code),
            Carried::Revocations(list) => {
                if self.json {
                    say(json!({ "signature_checked": false, "list": list.list() }));
                } else {
                    say(format!("a revocation list\n{}", table(&list_rows(list.list()))));
                    say("\nThe signature was not checked: onsite license verify does that.");
                }
                Ok(())
            }
            Carried::Request(request) => {
                if self.json {
                    say(json!({ "request": request }));
                } else {
                    say(format!("a licence request\n{}", table(&request_rows(&request))));
                }
                Ok(())
            }
        }
    }

    fn code(&self, code: &SignedCode) -> CommandResult {
        if self.json {
            say(json!({ "signature_checked": false, "claims": code.claims(), "code": code.to_line() }));
            return Ok(());
        }
        say(table(&rows(code.claims())));
        if self.qr {
            say(Picture::of(&CODE.picture_text(code.bytes())).map_err(Failure::failed)?.terminal());
        }
        say("\nThe signature was not checked: onsite license verify does that.");
        Ok(())
    }
}

/// Check a code or a revocation list away from any installation.
#[derive(Debug, Args)]
pub(in crate::cli) struct Verify {
    /// The code, a file that holds it, a picture of its QR code, or - for standard input.
    #[arg(value_name = "CODE|FILE|-")]
    pub(super) code: String,
    /// Public keys to believe, PEM [default: those of this build].
    #[arg(long, value_name = "FILE")]
    pub(super) key: Option<PathBuf>,
    /// A revocation list that counts too.
    #[arg(long, value_name = "LIST|FILE")]
    pub(super) revocations: Option<String>,
    /// The moment to judge it at, RFC 3339 [default: now].
    #[arg(long, value_name = "TIME")]
    pub(super) at: Option<Timestamp>,
    /// One JSON document instead of text.
    #[arg(long)]
    pub(super) json: bool,
}

impl Verify {
    pub(super) fn run(self) -> CommandResult {
        let ring = match &self.key {
            None => KeyRing::of_build(std::env::var("LICENSE_PUBLIC_KEY_PEM").ok().as_deref()).map_err(Failure::failed)?,
            Some(path) => ring_of(path)?,
        };
        let now = self.at.unwrap_or_else(|| Seams::system().now());
        match carried(&self.code, self.json)? {
            Carried::Code(code) => {
                let revoked = self.revoked(&ring)?;
                conclude(verify_alone(&code, &ring, now, &revoked), code.claims(), self.json)
            }
            Carried::Revocations(list) => conclude_list(&list, &ring, self.json),
            Carried::Request(_) => Err(Failure::Usage(
                "this is a licence request: it is not signed, so there is nothing to verify. `onsite license inspect` shows what it says".to_owned(),
            )),
        }
    }

    fn revoked(&self, ring: &KeyRing) -> Result<BTreeSet<LicenceId>, Failure> {
        let Some(argument) = &self.revocations else { return Ok(BTreeSet::new()) };
        let Carried::Revocations(list) = carried(argument, self.json)? else {
            return Err(Failure::Usage("--revocations: this is not a revocation list; `onsite license revoke` makes one".to_owned()));
        };
        match authenticate_list(&list, ring) {
            Ok(()) => Ok(list.list().revoked.clone()),
            Err(reason) => Err(Failure::failed(format!("--revocations: {}: the list is not one of these keys' vendor", reason.as_str()))),
        }
    }
}

fn conclude_list(list: &SignedList, ring: &KeyRing, as_json: bool) -> CommandResult {
    let reason = authenticate_list(list, ring).err().unwrap_or(ReasonCode::Ok);
    let text = if reason == ReasonCode::Ok { "The revocation list is the vendor's." } else { "The revocation list does not count." };
    if as_json {
        say(json!({ "reason": reason, "message": text, "list": list.list() }));
    } else {
        say(format!("{}: {text} Number {}, {} code(s).", reason.as_str(), list.list().number, list.list().revoked.len()));
    }
    if reason == ReasonCode::Ok { Ok(()) } else { Err(Failure::CheckFailed) }
}
