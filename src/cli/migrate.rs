//! `onsite migrate`: the state of the database schema.

use clap::Subcommand;
use serde_json::json;

use super::DataDirArgument;
use super::outcome::{CommandResult, Failure, say, table};
use crate::store::{migrate, open_read_only};

/// Show the state of the database schema.
#[derive(Debug, Subcommand)]
pub(in crate::cli) enum MigrateCommand {
    /// Every migration and when it was applied. Waiting ones are applied by the next `onsite serve`, after a backup.
    Status {
        #[command(flatten)]
        data: DataDirArgument,
        /// One JSON document instead of a table.
        #[arg(long)]
        json: bool,
    },
}

impl MigrateCommand {
    pub(in crate::cli) fn run(self) -> CommandResult {
        let Self::Status { data, json } = self;
        let path = data.dir().database();
        if !path.exists() {
            return Err(Failure::failed(format!("{} does not exist: start `onsite serve` once, or name the right --data-dir", path.display())));
        }
        let connection = open_read_only(&path).map_err(Failure::failed)?;
        let states = migrate::status(&connection).map_err(Failure::failed)?;
        if json {
            say(json!({ "migrations": states }));
            return Ok(());
        }
        let mut rows = vec![["MIGRATION", "APPLIED"].map(str::to_owned).to_vec()];
        rows.extend(states.into_iter().map(|state| vec![state.name, state.applied_at.map_or_else(|| "waiting".to_owned(), |at| at.to_string())]));
        say(table(&rows));
        Ok(())
    }
}
