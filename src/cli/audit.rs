//! `onsite audit`: checks the audit log, here or in an export on another machine.

use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};

use clap::Subcommand;
use serde_json::json;

use super::DataDirArgument;
use super::local::require_database;
use super::outcome::{CommandResult, Failure, say};
use crate::base::paths::DataDir;
use crate::model::audit::{GENESIS, verify_chain};
use crate::services::audit::export::{Checkpoint, Verified, Verifier};
use crate::store::{audit::audit_after_in, open_read_only};

/// A row is never longer: a line beyond it is not one of ours.
const LINE_BYTES_MAX: u64 = 4 << 20;
/// Rows of the database looked at together.
const ROWS_AT_ONCE: u32 = 1_000;

/// Check the audit log.
#[derive(Debug, Subcommand)]
pub(in crate::cli) enum AuditCommand {
    /// Recompute the hash chain and the signed checkpoint of an export, or the chain of the database. Exit code 3 when something does not hold.
    Verify {
        /// An export (JSON Lines) made in the web interface; without it the database of --data-dir is checked.
        file: Option<PathBuf>,
        /// An export made earlier by the same installation: finds a log that was cut off or written anew since.
        #[arg(long, value_name = "FILE", requires = "file")]
        earlier: Option<PathBuf>,
        #[command(flatten)]
        data: DataDirArgument,
        /// One JSON document instead of text.
        #[arg(long)]
        json: bool,
    },
}

impl AuditCommand {
    pub(in crate::cli) fn run(self) -> CommandResult {
        let Self::Verify { file, earlier, data, json } = self;
        match file {
            Some(file) => verify_file(&file, earlier.as_deref(), json),
            None => verify_database(&data.dir(), json),
        }
    }
}

fn verify_file(file: &Path, earlier: Option<&Path>, as_json: bool) -> CommandResult {
    let earlier = match earlier {
        Some(earlier) => match read_export(earlier, None)? {
            Ok(verified) => Some(verified.checkpoint),
            Err(what) => return broken(&format!("the earlier export {}: {what}", earlier.display()), as_json),
        },
        None => None,
    };
    match read_export(file, earlier)? {
        Ok(Verified { rows, checkpoint }) => {
            if as_json {
                say(json!({"verified": true, "rows": rows, "checkpoint": checkpoint}));
            } else {
                say(format!("{rows} rows hold, and the checkpoint of {} is signed", checkpoint.install_id));
                say(format!("key {}", checkpoint.key));
                say("compare the key with the one you know: a log written anew could be signed with another");
            }
            Ok(())
        }
        Err(what) => broken(&what, as_json),
    }
}

/// The outer failure: the file cannot be read. The inner: it does not hold.
fn read_export(path: &Path, earlier: Option<Checkpoint>) -> Result<Result<Verified, String>, Failure> {
    let failed = |error: std::io::Error| Failure::failed(format!("{}: {error}", path.display()));
    let mut reader = BufReader::new(File::open(path).map_err(failed)?);
    let mut verifier = Verifier::new(earlier);
    let mut line = Vec::new();
    loop {
        line.clear();
        reader.by_ref().take(LINE_BYTES_MAX).read_until(b'\n', &mut line).map_err(failed)?;
        if line.is_empty() {
            return Ok(verifier.finish().map_err(|fault| fault.to_string()));
        }
        if let Err(fault) = verifier.line(String::from_utf8_lossy(&line).trim_end()) {
            return Ok(Err(fault.to_string()));
        }
    }
}

fn verify_database(dir: &DataDir, as_json: bool) -> CommandResult {
    require_database(dir)?;
    let connection = open_read_only(&dir.database()).map_err(Failure::failed)?;
    let mut head = (0, GENESIS);
    loop {
        let rows = audit_after_in(&connection, head.0, ROWS_AT_ONCE).map_err(Failure::failed)?;
        if rows.is_empty() {
            break;
        }
        match verify_chain(head, &rows) {
            Ok(next) => head = next,
            Err(error) => return broken(&error.to_string(), as_json),
        }
    }
    if as_json {
        say(json!({"verified": true, "rows": head.0, "head": hex::encode(head.1)}));
    } else {
        say(format!("{} rows hold; head {}", head.0, hex::encode(head.1)));
    }
    Ok(())
}

fn broken(what: &str, as_json: bool) -> CommandResult {
    if as_json {
        say(json!({"verified": false, "fault": what}));
    } else {
        say(format!("the audit log does not hold: {what}"));
        say("keep this file as evidence; rows before the place named hold");
    }
    Err(Failure::CheckFailed)
}
