//! The layout of the data folder, in one place.

use std::fs::{File, OpenOptions};
use std::io::{ErrorKind, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

/// The data folder: everything the appliance keeps.
#[derive(Clone, Debug)]
pub struct DataDir(PathBuf);

impl DataDir {
    /// Names the folder; nothing is touched.
    #[must_use]
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self(path.into())
    }

    /// Creates the folder (mode 0700) when it is missing.
    ///
    /// # Errors
    /// When it cannot be created.
    pub fn create(&self) -> std::io::Result<()> {
        use std::os::unix::fs::DirBuilderExt;
        std::fs::DirBuilder::new().recursive(true).mode(0o700).create(&self.0)
    }

    /// The folder itself.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.0
    }

    /// The database file.
    #[must_use]
    pub fn database(&self) -> PathBuf {
        self.0.join("onsite.db")
    }

    /// The generated bootstrap token, mode 0600, until it is redeemed.
    #[must_use]
    pub fn bootstrap_token(&self) -> PathBuf {
        self.0.join("bootstrap-token")
    }

    /// The path of the link that `onsite admin recover` makes, mode 0600.
    #[must_use]
    pub fn admin_recovery(&self) -> PathBuf {
        self.0.join("admin-recovery")
    }

    /// Certificate and key.
    #[must_use]
    pub fn tls(&self) -> PathBuf {
        self.0.join("tls")
    }

    /// Backups, those before a migration among them.
    #[must_use]
    pub fn backups(&self) -> PathBuf {
        self.0.join("backups")
    }

    /// Mail that no server is there for, one file each.
    #[must_use]
    pub fn mail(&self) -> PathBuf {
        self.0.join("mail")
    }

    /// The key that signs the audit log's checkpoints, mode 0600.
    #[must_use]
    pub fn audit_key(&self) -> PathBuf {
        self.0.join("audit-key.pem")
    }

    /// Held while a process serves this folder.
    #[must_use]
    pub fn lock(&self) -> PathBuf {
        self.0.join("onsite.lock")
    }

    /// The settings file.
    #[must_use]
    pub fn settings(&self) -> PathBuf {
        self.0.join("onsite.toml")
    }
}

/// Writes a secret to a new file of mode 0600 and puts it in place in one step: nobody sees a half, and a link planted under the
/// name is replaced, not followed.
///
/// # Errors
/// When it cannot be written; nothing is left behind then.
pub fn write_private(path: &Path, contents: &[u8]) -> std::io::Result<()> {
    let part = path.with_extension("part");
    match std::fs::remove_file(&part) {
        Err(error) if error.kind() != ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let written = (|| {
        let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&part)?;
        file.write_all(contents)?;
        file.sync_all()?;
        std::fs::rename(&part, path)?;
        path.parent().map_or(Ok(()), |folder| File::open(folder)?.sync_all())
    })();
    if written.is_err() {
        // Whether this succeeds changes nothing for the caller, who is told of the first failure.
        let _ = std::fs::remove_file(&part);
    }
    written
}
