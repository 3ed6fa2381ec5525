//! `onsite ledger`: checks the token ledger.

use clap::Subcommand;
use serde_json::json;

use super::DataDirArgument;
use super::local::require_database;
use super::outcome::{CommandResult, Failure, say};
use crate::store::{ledger, open_read_only};

/// Check the token ledger.
#[derive(Debug, Subcommand)]
pub(in crate::cli) enum LedgerCommand {
    /// Recompute every balance and the hash chain, beside a running server or without one. Exit code 3 when a row does not hold.
    Verify {
        #[command(flatten)]
        data: DataDirArgument,
        /// One JSON document instead of text.
        #[arg(long)]
        json: bool,
    },
}

impl LedgerCommand {
    pub(in crate::cli) fn run(self) -> CommandResult {
        let Self::Verify { data, json } = self;
        require_database(&data.dir())?;
        let connection = open_read_only(&data.dir().database()).map_err(Failure::failed)?;
        let report = ledger::verify(&connection).map_err(Failure::failed)?;
        if json {
            say(json!({
                "verified": report.first_error.is_none(), "rows": report.rows, "users": report.users, "head": report.head,
                "first_error": report.first_error,
            }));
        } else if let Some(error) = &report.first_error {
            say(format!("row {} does not hold: {}", error.sequence, error.problem));
            say(format!("{} rows before it hold; restore a backup from before the change, or keep this file as evidence", report.rows));
        } else {
            say(format!("{} rows of {} users hold; head {}", report.rows, report.users, report.head));
        }
        if report.first_error.is_none() { Ok(()) } else { Err(Failure::CheckFailed) }
    }
}
