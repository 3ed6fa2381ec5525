//! The layout of the data folder, in one place.

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
