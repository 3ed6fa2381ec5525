//! `onsite license`: the vendor's keys and codes, and the customer's state.

mod check;
mod input;
mod issuer;
mod local;
mod order;
mod passphrase;
mod revoke;
mod vendor;

use clap::Subcommand;

use super::outcome::CommandResult;

/// Make, read, check and enter activation codes.
#[derive(Debug, Subcommand)]
pub(in crate::cli) enum LicenseCommand {
    /// Make a signing key and its public half (vendor).
    Keygen(issuer::Keygen),
    /// Sign an activation code (vendor).
    Issue(Box<issuer::Issue>),
    /// Sign the next revocation list (vendor).
    Revoke(revoke::Revoke),
    /// Make a new signing key and retire the present one (vendor).
    Rotate(revoke::Rotate),
    /// Show what was issued, revoked and rotated (vendor).
    Register(revoke::ShowRegister),
    /// Show what a code, a revocation list or a request says, without checking its signature.
    Inspect(check::Inspect),
    /// Check a code or a revocation list away from any installation. Exit code 3 when it would not count.
    Verify(check::Verify),
    /// Show the licence of a data folder, beside a running server or without one.
    Status(local::Status),
    /// Make a request for a code that is bound to this installation.
    Request(local::Request),
    /// Enter a code or a revocation list into a data folder, beside a running server or without one.
    Enter(local::Enter),
}

impl LicenseCommand {
    pub(in crate::cli) fn run(self) -> CommandResult {
        match self {
            Self::Keygen(command) => command.run(),
            Self::Issue(command) => command.run(),
            Self::Revoke(command) => command.run(),
            Self::Rotate(command) => command.run(),
            Self::Register(command) => command.run(),
            Self::Inspect(command) => command.run(),
            Self::Verify(command) => command.run(),
            Self::Status(command) => command.run(),
            Self::Request(command) => command.run(),
            Self::Enter(command) => command.run(),
        }
    }
}
