//! The passphrase of a signing key: from a file, the environment or the terminal, never from an argument, which every process can read.

use std::fs::{File, OpenOptions};
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::path::PathBuf;

use clap::Args;
use rustix::termios::{LocalModes, OptionalActions, Termios, tcgetattr, tcsetattr};

use super::super::outcome::Failure;
use crate::base::secret::Secret;

/// The variable that may hold it.
const VARIABLE: &str = "LICENSE_SIGNING_KEY_PASSPHRASE";
/// Longest passphrase, bytes.
const BYTES_MAX: u64 = 4_096;

/// Where the passphrase of the signing key comes from.
#[derive(Clone, Debug, Default, Args)]
pub(super) struct PassphraseArguments {
    /// A file that holds the passphrase of the private key in its first line [default: LICENSE_SIGNING_KEY_PASSPHRASE, then the terminal].
    #[arg(long, value_name = "FILE", env = "LICENSE_SIGNING_KEY_PASSPHRASE_FILE")]
    pub(super) passphrase_file: Option<PathBuf>,
}

impl PassphraseArguments {
    /// The passphrase of a key that is there.
    pub(super) fn of_existing(&self) -> Result<Secret<String>, Failure> {
        self.given()?.map_or_else(|| prompt("Passphrase of the signing key: "), Ok)
    }

    /// The passphrase for a new key; typed twice on a terminal.
    pub(super) fn for_new(&self) -> Result<Secret<String>, Failure> {
        if let Some(given) = self.given()? {
            return Ok(given);
        }
        let first = prompt("Passphrase for the new key (12 characters or more): ")?;
        let second = prompt("The same again: ")?;
        if first.expose() == second.expose() { Ok(first) } else { Err(Failure::failed("the two passphrases differ: nothing was made; try again")) }
    }

    fn given(&self) -> Result<Option<Secret<String>>, Failure> {
        if let Some(path) = &self.passphrase_file {
            let failed = |error: std::io::Error| Failure::failed(format!("{}: {error}", path.display()));
            let mut text = zeroize::Zeroizing::new(String::new());
            File::open(path).map_err(failed)?.take(BYTES_MAX).read_to_string(&mut text).map_err(failed)?;
            return Ok(Some(Secret::new(text.lines().next().unwrap_or_default().to_owned())));
        }
        Ok(std::env::var(VARIABLE).ok().filter(|text| !text.is_empty()).map(Secret::new))
    }
}

/// Asks on the terminal itself, without showing what is typed: standard input may be something else.
fn prompt(question: &str) -> Result<Secret<String>, Failure> {
    let nobody = |_| {
        Failure::Usage(format!(
            "a passphrase is needed and there is no terminal to ask on: name a file with --passphrase-file, or set {VARIABLE}_FILE or {VARIABLE}"
        ))
    };
    let terminal = OpenOptions::new().read(true).write(true).open("/dev/tty").map_err(nobody)?;
    write!(&terminal, "{question}").and_then(|()| (&terminal).flush()).map_err(Failure::failed)?;
    let _quiet = Quiet::on(&terminal)?;
    let mut line = zeroize::Zeroizing::new(String::new());
    BufReader::new((&terminal).take(BYTES_MAX)).read_line(&mut line).map_err(Failure::failed)?;
    let _unseen = writeln!(&terminal);
    Ok(Secret::new(line.trim_end_matches(['\r', '\n']).to_owned()))
}

/// No echo as long as it lives.
struct Quiet<'a> {
    terminal: &'a File,
    before: Termios,
}

impl<'a> Quiet<'a> {
    fn on(terminal: &'a File) -> Result<Self, Failure> {
        let before = tcgetattr(terminal).map_err(Failure::failed)?;
        let mut quiet = before.clone();
        quiet.local_modes.remove(LocalModes::ECHO);
        tcsetattr(terminal, OptionalActions::Flush, &quiet).map_err(Failure::failed)?;
        Ok(Self { terminal, before })
    }
}

impl Drop for Quiet<'_> {
    fn drop(&mut self) {
        // Nobody is there to be told; the shell resets a terminal that stays quiet.
        let _unseen = tcsetattr(self.terminal, OptionalActions::Flush, &self.before);
    }
}
