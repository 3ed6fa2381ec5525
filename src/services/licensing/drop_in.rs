//! Files that are dropped into the data folder: `*.onsite`, a code or a revocation list, taken without a page or a command.

use std::collections::HashMap;
use std::ffi::OsString;
use std::fs::{File, OpenOptions};
use std::io::{self, Read as _};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use super::{EnterError, Licensing};
use crate::model::audit::Actor;
use crate::model::licence::ReasonCode;
use crate::model::licence::text::TEXT_BYTES_MAX;

const ENDING: &str = "onsite";
/// Most files taken in one look; the next look takes the rest.
const FILES_MAX: usize = 16;

/// Files that were looked at and left where they are, by length and time of change.
#[derive(Debug, Default)]
pub(super) struct Seen(Mutex<HashMap<PathBuf, Stamp>>);

type Stamp = (u64, i64, i64);

impl Licensing {
    /// Takes what lies in the folder. A file that counts becomes `NAME.taken`, one that does not `NAME.refused`; the log and the audit log
    /// say why. One that does not read as a whole is looked at again first: it may still be being copied. Returns how many counted.
    ///
    /// # Errors
    /// When the folder cannot be read or the store fails.
    pub async fn take_dropped(&self, folder: &Path) -> Result<usize, Box<dyn std::error::Error + Send + Sync>> {
        let found = files(folder)?;
        self.seen(|seen| seen.retain(|path, _| found.contains(path)));
        let mut counted = 0;
        for path in found.into_iter().take(FILES_MAX) {
            counted += usize::from(self.take_file(&path).await?);
        }
        Ok(counted)
    }

    async fn take_file(&self, path: &Path) -> Result<bool, Box<dyn std::error::Error + Send + Sync>> {
        let stamp = stamp(path)?;
        let seen_before = self.seen(|seen| seen.insert(path.to_owned(), stamp)) == Some(stamp);
        let text = match read(path) {
            Ok(text) => text,
            // Whoever dropped it may still give it to us.
            Err(error) => {
                if !seen_before {
                    tracing::warn!(file = %path.display(), %error, "a dropped licence file cannot be read: give it to the user that onsite runs as");
                }
                return Ok(false);
            }
        };
        match self.enter_once(&text, seen_before).await? {
            Outcome::Waits => Ok(false),
            Outcome::Counted => {
                tracing::info!(file = %path.display(), "a dropped licence file was taken");
                put_away(path, "taken");
                Ok(true)
            }
            Outcome::Refused => {
                put_away(path, "refused");
                Ok(false)
            }
        }
    }

    async fn enter_once(&self, text: &str, seen_before: bool) -> Result<Outcome, Box<dyn std::error::Error + Send + Sync>> {
        use crate::model::licence::text::Carried;
        if !seen_before && Carried::from_text(text).is_err_and(|error| error.reason() == ReasonCode::Malformed) {
            return Ok(Outcome::Waits);
        }
        match self.enter(text, Actor::System, None).await {
            Ok(_) => Ok(Outcome::Counted),
            Err(EnterError::Refused(refusal)) => {
                tracing::warn!(reason = refusal.reason.as_str(), "a dropped licence file was refused: {} {}", refusal.message, refusal.remedy());
                Ok(Outcome::Refused)
            }
            Err(EnterError::Store(error)) => Err(error.into()),
        }
    }

    fn seen<T>(&self, with: impl FnOnce(&mut HashMap<PathBuf, Stamp>) -> T) -> T {
        with(&mut self.inner.dropped.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

enum Outcome {
    Counted,
    Refused,
    Waits,
}

/// Plain files of that ending, in the order of their names; links are not followed.
fn files(folder: &Path) -> io::Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder)? {
        let entry = entry?;
        let path = entry.path();
        if path.extension().is_some_and(|ending| ending == ENDING) && entry.file_type()?.is_file() {
            found.push(path);
        }
    }
    found.sort();
    Ok(found)
}

fn stamp(path: &Path) -> io::Result<Stamp> {
    let metadata = std::fs::symlink_metadata(path)?;
    Ok((metadata.len(), metadata.mtime(), metadata.mtime_nsec()))
}

fn read(path: &Path) -> io::Result<String> {
    let flags = (rustix::fs::OFlags::NOFOLLOW | rustix::fs::OFlags::NONBLOCK).bits();
    let file: File = OpenOptions::new().read(true).custom_flags(i32::try_from(flags).unwrap_or(0)).open(path)?;
    let mut bytes = Vec::new();
    file.take(u64::try_from(TEXT_BYTES_MAX).unwrap_or(u64::MAX) + 1).read_to_end(&mut bytes)?;
    // What is not text is no code, which is said in one place.
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

/// The file gets an ending that says what became of it. Where that is not possible it stays and is left alone.
fn put_away(path: &Path, ending: &str) {
    let mut name = path.file_name().map(OsString::from).unwrap_or_default();
    name.push(format!(".{ending}"));
    if let Err(error) = std::fs::rename(path, path.with_file_name(name)) {
        tracing::warn!(file = %path.display(), %error, "a dropped licence file could not be renamed; it is left where it is");
    }
}
