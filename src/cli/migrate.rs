//! `onsite migrate`: the state of the database schema, and bringing it up to date without serving.

use clap::Subcommand;
use serde_json::json;

use super::DataDirArgument;
use super::local::{open_stopped, require_database};
use super::outcome::{CommandResult, Failure, say, table};
use crate::base::paths::DataDir;
use crate::base::seams::Seams;
use crate::store::migrate::{self, MigrationState};
use crate::store::open_read_only;

/// Show the state of the database schema, or bring it up to date.
#[derive(Debug, Subcommand)]
pub(in crate::cli) enum MigrateCommand {
    /// Every migration and when it was applied.
    Status {
        #[command(flatten)]
        data: DataDirArgument,
        /// One JSON document instead of a table.
        #[arg(long)]
        json: bool,
    },
    /// Apply the waiting migrations, after a backup, as the next `onsite serve` would. The server must be stopped.
    Up {
        #[command(flatten)]
        data: DataDirArgument,
        /// One JSON document instead of text.
        #[arg(long)]
        json: bool,
    },
}

impl MigrateCommand {
    pub(in crate::cli) fn run(self) -> CommandResult {
        match self {
            Self::Status { data, json } => show(&data.dir(), json),
            Self::Up { data, json } => up(&data, json),
        }
    }
}

fn states(dir: &DataDir) -> Result<Vec<MigrationState>, Failure> {
    require_database(dir)?;
    let connection = open_read_only(&dir.database()).map_err(Failure::failed)?;
    migrate::status(&connection).map_err(Failure::failed)
}

fn show(dir: &DataDir, json: bool) -> CommandResult {
    let states = states(dir)?;
    if json {
        say(json!({ "migrations": states }));
        return Ok(());
    }
    let mut rows = vec![["MIGRATION", "APPLIED"].map(str::to_owned).to_vec()];
    rows.extend(states.into_iter().map(|state| vec![state.name, state.applied_at.map_or_else(|| "waiting".to_owned(), |at| at.to_string())]));
    say(table(&rows));
    Ok(())
}

fn up(data: &DataDirArgument, json: bool) -> CommandResult {
    let dir = &data.dir();
    let (applied, waiting): (Vec<_>, Vec<_>) = states(dir)?.into_iter().partition(|state| state.applied_at.is_some());
    let waiting: Vec<String> = waiting.into_iter().map(|state| state.name).collect();
    if !waiting.is_empty() {
        open_stopped(data, &Seams::system(), "migrate up")?;
    }
    if json {
        say(json!({ "applied": waiting }));
    } else if waiting.is_empty() {
        say("nothing to do: every migration is applied");
    } else {
        say(format!("applied {}", waiting.join(", ")));
        if !applied.is_empty() {
            say(format!("the database as it was before is in {}", dir.backups().display()));
        }
    }
    Ok(())
}
