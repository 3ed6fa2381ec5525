//! The command line: one file per command group.
//!
//! Exit codes: 0 done, 1 failed, 2 wrong usage, 3 a check did not hold.

mod admin;
mod audit;
mod bootstrap;
mod config;
mod demo;
mod doctor;
mod healthcheck;
mod ledger;
mod license;
mod local;
mod migrate;
mod outcome;
mod secrets;
mod serve;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};

use crate::base::paths::DataDir;
use crate::config::sources::Sources;
use crate::config::{Config, Problem};

/// The on-premises appliance of an AI research-and-automation service.
#[derive(Debug, Parser)]
#[command(name = "onsite", version, about, after_help = "Exit codes: 0 done, 1 failed, 2 wrong usage, 3 a check did not hold.")]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run the appliance.
    Serve(serve::Serve),
    /// Restore a lost system admin.
    #[command(subcommand)]
    Admin(admin::AdminCommand),
    /// Check the audit log.
    #[command(subcommand)]
    Audit(audit::AuditCommand),
    /// Look after the token that lets the first admin in.
    #[command(subcommand)]
    Bootstrap(bootstrap::BootstrapCommand),
    /// Show settings with their origin.
    #[command(subcommand)]
    Config(config::ConfigCommand),
    /// Run the main job once, on a real instance in a temporary folder.
    Demo(demo::Demo),
    /// Check settings and surroundings; name what to mend.
    Doctor(doctor::Doctor),
    /// Ask a running appliance whether it is ready.
    Healthcheck(healthcheck::Healthcheck),
    /// Check the token ledger.
    #[command(subcommand)]
    Ledger(ledger::LedgerCommand),
    /// Make, read, check and enter activation codes.
    #[command(subcommand)]
    License(Box<license::LicenseCommand>),
    /// Show the state of the database schema, or bring it up to date.
    #[command(subcommand)]
    Migrate(migrate::MigrateCommand),
    /// Look after what is encrypted at rest.
    #[command(subcommand)]
    Secrets(secrets::SecretsCommand),
}

/// Which data folder a command works on.
#[derive(Clone, Debug, Args)]
pub(in crate::cli) struct DataDirArgument {
    /// The folder that holds everything.
    #[arg(long, value_name = "DIR", env = "ONSITE_DATA_DIR", default_value = "/var/lib/onsite")]
    data_dir: PathBuf,
}

impl DataDirArgument {
    fn dir(&self) -> DataDir {
        DataDir::new(&self.data_dir)
    }

    /// The settings as a server of this folder would see them.
    fn config(&self) -> Result<Config, Vec<Problem>> {
        Config::load(&Sources::of_process(self.dir().settings()))
    }
}

/// Parses the arguments, runs the command and returns its exit code.
#[must_use]
pub fn main() -> ExitCode {
    let result = match Cli::parse().command {
        Command::Serve(command) => command.run(),
        Command::Admin(command) => command.run(),
        Command::Audit(command) => command.run(),
        Command::Bootstrap(command) => command.run(),
        Command::Config(command) => command.run(),
        Command::Demo(command) => command.run(),
        Command::Doctor(command) => command.run(),
        Command::Healthcheck(command) => command.run(),
        Command::Ledger(command) => command.run(),
        Command::License(command) => command.run(),
        Command::Migrate(command) => command.run(),
        Command::Secrets(command) => command.run(),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => failure.report(),
    }
}
