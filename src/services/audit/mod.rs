//! The audit log as people read it, and its export: every row with its hash, closed by a checkpoint that this installation signs, so that the
//! file can be checked on another machine.

pub mod export;

use std::collections::{HashMap, HashSet};
use std::io::ErrorKind;

use ed25519_dalek::SigningKey;
use ed25519_dalek::pkcs8::{DecodePrivateKey, EncodePrivateKey, KeypairBytes, spki::der::pem::LineEnding};

use crate::base::paths::{DataDir, write_private};
use crate::base::seams::Seams;
use crate::model::audit::{Actor, AuditFilter, AuditRow, Entry};
use crate::model::session::Origin;
use crate::model::user::Caller;
use crate::store::{Store, StoreError};

use export::Checkpoint;

/// Rows read at once for an export: bounds its memory.
const EXPORT_ROWS: u32 = 1_000;

/// Reads, exports and signs the audit log. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Audit {
    store: Store,
    seams: Seams,
    dir: DataDir,
}

/// Why there is no export.
#[derive(Debug, thiserror::Error)]
pub enum AuditError {
    /// The signing key's file cannot be read or written.
    #[error("{path}: {reason}")]
    Key {
        /// Which file.
        path: String,
        /// Why.
        reason: String,
    },
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Audit {
    /// Names the store and the folder that holds the signing key; nothing is touched.
    #[must_use]
    pub const fn new(store: Store, seams: Seams, dir: DataDir) -> Self {
        Self { store, seams, dir }
    }

    /// The rows that a filter lets through, the newest first.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn rows(&self, filter: AuditFilter) -> Result<Vec<AuditRow>, StoreError> {
        self.store.audit_rows(filter).await
    }

    /// The names of the people and companies that acted or were acted on, by id. They are those of now: a row itself only ever holds ids.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn names(&self, rows: &[AuditRow]) -> Result<HashMap<String, String>, StoreError> {
        let ids: HashSet<&String> = rows.iter().flat_map(|row| [Some(&row.actor), Some(&row.object), row.company_id.as_ref()]).flatten().collect();
        self.store.account_names(ids.into_iter().cloned().collect()).await
    }

    /// Begins an export, which is itself recorded and so its last row. The rows come from [`Audit::exported`], the end is the checkpoint.
    ///
    /// # Errors
    /// See [`AuditError`].
    pub async fn checkpoint(&self, by: &Caller, origin: &Origin) -> Result<Checkpoint, AuditError> {
        let key = self.signing_key()?;
        let at = self.seams.now();
        let entry = Entry::new(at, Actor::User(Some(by.user.id.clone())), "audit.exported", "audit log").from(origin.address);
        self.store.record_audit(entry).await?;
        let install_id = self.store.installation().await?.map(|installation| installation.install_id).unwrap_or_default();
        let (sequence, hash) = self.store.audit_head().await?;
        let checkpoint = Checkpoint::sign(&key, install_id, sequence, hash, at);
        // It proves that this moment has passed, which the licence's clock goes by.
        self.store.keep_audit_checkpoint(serde_json::to_string(&checkpoint).map_err(StoreError::from)?).await?;
        Ok(checkpoint)
    }

    /// The next rows of an export after place `after`, up to place `last`; none when it is done.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn exported(&self, after: i64, last: i64) -> Result<Vec<AuditRow>, StoreError> {
        let mut rows = self.store.audit_after(after, EXPORT_ROWS).await?;
        rows.retain(|row| row.sequence <= last);
        Ok(rows)
    }

    /// The installation's signing key, made when it is first needed. It is a file beside the database: whoever alters rows only cannot sign.
    fn signing_key(&self) -> Result<SigningKey, AuditError> {
        let path = self.dir.audit_key();
        let failed = |reason: String| AuditError::Key { path: path.display().to_string(), reason };
        match std::fs::read_to_string(&path) {
            Ok(pem) => SigningKey::from_pkcs8_pem(pem.trim()).map_err(|_| failed("it does not hold an Ed25519 private key in PEM form".into())),
            Err(error) if error.kind() == ErrorKind::NotFound => {
                let key = SigningKey::from_bytes(&zeroize::Zeroizing::new(self.seams.random_bytes::<32>()));
                let pem = KeypairBytes { secret_key: key.to_bytes(), public_key: None }.to_pkcs8_pem(LineEnding::LF);
                let pem = pem.map_err(|error| failed(error.to_string()))?;
                write_private(&path, pem.as_bytes()).map_err(|error| failed(error.to_string()))?;
                Ok(key)
            }
            Err(error) => Err(failed(error.to_string())),
        }
    }
}
