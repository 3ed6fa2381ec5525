//! `onsite admin`: restores a lost system admin, for the operator on the server itself.

use std::io::IsTerminal;

use clap::Subcommand;

use super::DataDirArgument;
use super::local::open_stopped;
use super::outcome::{CommandResult, Failure, say};
use crate::base::paths::write_private;
use crate::base::seams::Seams;
use crate::base::secret::Secret;
use crate::model::user::Email;
use crate::services::auth::accounts::recover_admin;

/// Restore a lost system admin.
#[derive(Debug, Subcommand)]
pub(in crate::cli) enum AdminCommand {
    /// Make an account a system admin that can come in: ends its sessions and makes a link that replaces its password within 24 hours. The
    /// server must be stopped. It is recorded in the audit log.
    Recover {
        /// The account's mail address.
        #[arg(long)]
        email: String,
        #[command(flatten)]
        data: DataDirArgument,
    },
}

impl AdminCommand {
    pub(in crate::cli) fn run(self) -> CommandResult {
        let Self::Recover { email, data } = self;
        let email: Email = email.parse().map_err(|error| Failure::Usage(format!("--email: {error}")))?;
        let (dir, seams) = (data.dir(), Seams::system());
        let store = open_stopped(&data, &seams, &format!("admin recover --email {email}"))?;
        let runtime = tokio::runtime::Builder::new_current_thread().build().map_err(Failure::failed)?;
        let link = runtime.block_on(recover_admin(&store, &seams, email.clone())).map_err(Failure::failed)?;
        let link = link.ok_or_else(|| Failure::failed(format!("there is no account of {email}: name the address that the admin signs in with")))?;
        let path = Secret::new(format!("/password-reset#{}", link.token.expose()));
        let file = dir.admin_recovery();
        let line = Secret::new(format!("{}\n", path.expose()));
        write_private(&file, line.expose().as_bytes()).map_err(|error| Failure::failed(format!("{}: {error}", file.display())))?;
        say(format!("{email} is a system admin; every session of the account has ended"));
        say(format!("start the server and open the path in {} behind its address, until {}; then remove that file", file.display(), link.expires_at));
        if std::io::stdout().is_terminal() {
            say(path.expose());
        }
        Ok(())
    }
}
