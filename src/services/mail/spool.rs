//! Mail into a folder: one file of mode 0600 a mail, complete as it would travel.

use std::fs::DirBuilder;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::Path;

use super::MailError;
use super::message::Letter;
use crate::base::paths::write_private;

/// Most files in the folder: somebody has to take them out.
const FILES_MAX: usize = 1_000;

/// Writes a mail into the folder, which is made (mode 0700) when it is missing.
pub(super) fn put(folder: &Path, letter: &Letter) -> Result<(), MailError> {
    let failed = |error: std::io::Error| MailError::Spool(format!("{}: {error}", folder.display()));
    DirBuilder::new().recursive(true).mode(0o700).create(folder).map_err(failed)?;
    if std::fs::read_dir(folder).map_err(failed)?.count() >= FILES_MAX {
        return Err(MailError::Spool(format!("{} holds {FILES_MAX} files: take them out", folder.display())));
    }
    write_private(&folder.join(format!("{}.eml", letter.id)), &letter.formatted()?).map_err(failed)
}
