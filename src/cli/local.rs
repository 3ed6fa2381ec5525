//! What commands need that work on a data folder, on the server itself.

use std::os::unix::fs::MetadataExt;

use super::DataDirArgument;
use super::outcome::{CommandResult, Failure};
use crate::base::paths::DataDir;
use crate::base::seams::Seams;
use crate::store::{OpenError, Store, StoreOptions};

/// Opens the store of a stopped server, as the owner of its folder. Applies waiting migrations.
pub(in crate::cli) fn open_stopped(data: &DataDirArgument, seams: &Seams, command: &str) -> Result<Store, Failure> {
    let dir = &data.dir();
    require_database(dir)?;
    require_owner(dir, command)?;
    Store::open(dir, options(data, seams)?).map_err(|error| match error {
        OpenError::InUse { .. } => Failure::failed(format!(
            "the server is running, and this is only done while it is stopped: stop it (systemctl stop onsite), run `onsite {command}` again, start it"
        )),
        other => Failure::failed(other),
    })
}

/// How a command opens the store of a data folder: with the keys of its settings.
pub(in crate::cli) fn options(data: &DataDirArgument, seams: &Seams) -> Result<StoreOptions, Failure> {
    Ok(StoreOptions { readers_max: 1, now: seams.now(), vault: data.config()?.auth.vault(seams) })
}

/// There must be a database: a wrong folder is not filled with a new one.
pub(in crate::cli) fn require_database(dir: &DataDir) -> CommandResult {
    let path = dir.database();
    if path.exists() {
        return Ok(());
    }
    Err(Failure::failed(format!("{} does not exist: start `onsite serve` once, or name the right --data-dir", path.display())))
}

/// Whatever a command writes must stay readable for the server's own user: root in its place would lock the server out.
pub(in crate::cli) fn require_owner(dir: &DataDir, command: &str) -> CommandResult {
    let path = dir.path().display();
    let owner = std::fs::metadata(dir.path()).map_err(|error| Failure::failed(format!("{path}: {error}")))?.uid();
    let ours = rustix::process::geteuid().as_raw();
    if owner == ours {
        return Ok(());
    }
    Err(Failure::failed(format!(
        "{path} belongs to the user with id {owner}, and this runs as {ours}: run it as its owner, for example `sudo -u '#{owner}' onsite {command} --data-dir {path}`"
    )))
}
