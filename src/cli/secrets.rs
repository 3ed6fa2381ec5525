//! `onsite secrets`: the key of what is encrypted at rest, how far everything is encrypted with it, and the change to another.

use std::time::Duration;

use clap::Subcommand;
use indicatif::{ProgressBar, ProgressStyle};
use serde_json::json;

use super::DataDirArgument;
use super::local::{options, require_database, require_owner};
use super::outcome::{CommandResult, Failure, say, table};
use crate::base::seams::Seams;
use crate::base::tasks::Tasks;
use crate::base::vault::{Keeping, Key, Vault};
use crate::model::audit::Actor;
use crate::services::secrets::Secrets;
use crate::store::secrets::{SecretsStatus, check_keys, secrets_status_in};
use crate::store::{OpenError, Store, open_read_only};

/// How often a running server's progress is looked at.
const LOOK_EVERY: Duration = Duration::from_millis(500);
/// Looks without progress after which the command stops waiting: the server goes on without it.
const LOOKS_WITHOUT_PROGRESS_MAX: u32 = 120;

/// Look after what is encrypted at rest.
#[derive(Debug, Subcommand)]
pub(in crate::cli) enum SecretsCommand {
    /// Make a new key and print it. Keep a copy away from this server: without it neither the database nor a backup opens.
    NewKey,
    /// Which keys values are encrypted with. Exit 3 when something is not encrypted with the present key.
    Status {
        #[command(flatten)]
        data: DataDirArgument,
        /// One JSON document instead of a table.
        #[arg(long)]
        json: bool,
    },
    /// Encrypt everything with the present key (DB_ENCRYPTION_KEY). A running server does it by itself after a restart with the new key: then this
    /// shows how far it is. It can be broken off at any moment and goes on where it was. It is recorded in the audit log.
    Rotate {
        #[command(flatten)]
        data: DataDirArgument,
    },
}

impl SecretsCommand {
    pub(in crate::cli) fn run(self) -> CommandResult {
        match self {
            Self::NewKey => {
                say(Key::generate(&Seams::system()).expose());
                Ok(())
            }
            Self::Status { data, json } => status(&data, json),
            Self::Rotate { data } => rotate(&data),
        }
    }
}

/// The state of the database, and the keys of the settings, which have to open it.
fn look(data: &DataDirArgument) -> Result<(SecretsStatus, Vault), Failure> {
    let vault = data.config()?.auth.vault(&Seams::system());
    require_database(&data.dir())?;
    let connection = open_read_only(&data.dir().database()).map_err(Failure::failed)?;
    check_keys(&connection, &vault).map_err(Failure::failed)?;
    let status = secrets_status_in(&connection)
        .map_err(|error| Failure::failed(format!("{error}; if the database is of an earlier version, start the server once")))?;
    Ok((status, vault))
}

fn status(data: &DataDirArgument, as_json: bool) -> CommandResult {
    let (status, vault) = look(data)?;
    let waiting = status.otherwise_than(vault.keeping());
    let key = |keeping: &Keeping| match keeping {
        Keeping::Plain => "none".to_owned(),
        Keeping::Under(id) => id.to_string(),
    };
    if as_json {
        let kept: Vec<_> = status.kept.iter().map(|(keeping, values)| json!({ "key": key(keeping), "values": values })).collect();
        say(json!({ "key": vault.current().map(|id| id.to_string()), "kept": kept, "keys_needed": status.keys, "values_waiting": waiting }));
    } else {
        let mut rows = vec![["KEY", "VALUES", ""].map(str::to_owned).to_vec()];
        rows.extend(status.kept.iter().map(|(keeping, values)| {
            let word = match keeping {
                Keeping::Plain => "NOT ENCRYPTED",
                keeping if *keeping == vault.keeping() => "present",
                Keeping::Under(_) => "earlier",
            };
            vec![key(keeping), values.to_string(), word.to_owned()]
        }));
        say(table(&rows));
        say(match (vault.current(), waiting) {
            (None, _) => "there is no key: make one with `onsite secrets new-key`, set DB_ENCRYPTION_KEY and restart the server".to_owned(),
            (Some(_), 0) if status.keys.len() <= 1 => "everything is encrypted with the present key; earlier ones are not needed any more".to_owned(),
            (Some(_), waiting) => {
                format!("{waiting} values wait to be encrypted with the present key; the running server does it, or `onsite secrets rotate`")
            }
        });
    }
    if waiting == 0 && vault.current().is_some() { Ok(()) } else { Err(Failure::CheckFailed) }
}

fn rotate(data: &DataDirArgument) -> CommandResult {
    let seams = Seams::system();
    let (before, vault) = look(data)?;
    let Some(id) = vault.current() else {
        return Err(Failure::failed("there is no DB_ENCRYPTION_KEY: make one with `onsite secrets new-key` and set it, for the server too"));
    };
    let dir = data.dir();
    require_owner(&dir, "secrets rotate")?;
    let bar = ProgressBar::new(before.otherwise_than(vault.keeping()));
    bar.set_style(ProgressStyle::with_template("{wide_bar} {pos}/{len} values").unwrap_or_else(|_| ProgressStyle::default_bar()));
    let store = match Store::open(&dir, options(data, &seams)?) {
        Ok(store) => store,
        Err(OpenError::InUse { .. }) => return watch(data, &bar),
        Err(other) => return Err(Failure::failed(other)),
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(Failure::failed)?;
    let rotated = runtime.block_on(Secrets::new(store, seams, Tasks::default()).rotate(Actor::Cli, |values| bar.inc(values)));
    bar.finish_and_clear();
    let rotated = rotated.map_err(Failure::failed)?;
    if rotated.finished {
        say(format!("everything is encrypted with key {id}: {} values anew; earlier keys are not needed any more", rotated.values));
        return Ok(());
    }
    Err(Failure::failed(format!(
        "{} values were encrypted anew, and {} do not open: keep the earlier keys, and see the lines above for where they are",
        rotated.values, rotated.unreadable
    )))
}

/// Follows a running server, which changes the keys by itself.
fn watch(data: &DataDirArgument, bar: &ProgressBar) -> CommandResult {
    let (mut left_before, mut looks) = (u64::MAX, 0);
    loop {
        let (status, vault) = look(data)?;
        let current = vault.current().map(|id| id.to_string());
        if !status.keys.iter().any(|key| Some(key) == current.as_ref()) {
            return Err(Failure::failed(
                "the running server does not have this key yet: restart it with DB_ENCRYPTION_KEY and DB_ENCRYPTION_KEY_PREVIOUS as given here \
                 (systemctl restart onsite); it then encrypts everything anew while it serves",
            ));
        }
        let left = status.otherwise_than(vault.keeping());
        bar.set_position(bar.length().unwrap_or(left).saturating_sub(left));
        if left == 0 && status.keys.len() == 1 {
            bar.finish_and_clear();
            say("everything is encrypted with the present key; earlier ones are not needed any more");
            return Ok(());
        }
        looks = if left < left_before { 0 } else { looks + 1 };
        if looks > LOOKS_WITHOUT_PROGRESS_MAX {
            return Err(Failure::failed(format!("{left} values wait and the running server makes no progress: its log says why")));
        }
        left_before = left;
        std::thread::sleep(LOOK_EVERY);
    }
}
