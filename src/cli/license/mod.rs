//! `onsite license`: the vendor's keys and codes, and the customer's state.

mod input;
mod issuer;
mod local;

use clap::Subcommand;

use super::outcome::CommandResult;

/// Make, read, check and enter activation codes.
#[derive(Debug, Subcommand)]
pub(in crate::cli) enum LicenseCommand {
    /// Make a signing key and its public half (vendor).
    Keygen(issuer::Keygen),
    /// Sign an activation code (vendor).
    Issue(issuer::Issue),
    /// Show what a code says, without checking its signature.
    Inspect(issuer::Inspect),
    /// Check a code away from any installation. Exit code 3 when its plan would not apply.
    Verify(issuer::Verify),
    /// Show the licence of a data folder, beside a running server or without one.
    Status(local::Status),
    /// Enter a code into a data folder, beside a running server or without one.
    Enter(local::Enter),
}

impl LicenseCommand {
    pub(in crate::cli) fn run(self) -> CommandResult {
        match self {
            Self::Keygen(command) => command.run(),
            Self::Issue(command) => command.run(),
            Self::Inspect(command) => command.run(),
            Self::Verify(command) => command.run(),
            Self::Status(command) => command.run(),
            Self::Enter(command) => command.run(),
        }
    }
}
